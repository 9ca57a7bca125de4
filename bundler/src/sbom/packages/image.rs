//! From an image to its layers in their order, and from what each layer tells to what can be seen of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
};

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use sealift_verifier::digest::Digest;

use super::{
    layer::LayerPackages,
    package::{Ecosystem, FoundPackage, System},
    probe::{self, Found},
};
use crate::plan::{PlannedBlob, PlannedImage};

/// Length of a manifest or an index, in bytes; longer ones are in no plan.
const DOCUMENT_BYTES: u64 = 4 << 20;
/// How deep indexes may lie in indexes.
const DEPTH: usize = 4;
/// Documents of one image.
const DOCUMENTS: usize = 10_000;
/// How often one package may point to another for its license.
const LINKS: usize = 4;

/// The layers of each platform's image, the lowest first. Others than file systems, such as attestations,
/// are left out.
///
/// # Errors
/// A document that cannot be read, although the plan was made from it.
pub(super) fn layers(image: &PlannedImage) -> Result<Vec<Vec<&PlannedBlob>>, String> {
    let mut found = Vec::new();
    let mut documents = vec![(image.digest, 0)];
    let mut seen = BTreeSet::new();
    while let Some((digest, depth)) = documents.pop() {
        if !seen.insert(digest) {
            continue;
        }
        if depth > DEPTH || seen.len() > DOCUMENTS {
            return Err("has too many indexes inside each other".into());
        }
        let blob = blob(image, digest)?;
        let invalid = |e: &dyn std::fmt::Display| format!("blobs/sha256/{digest}: {e}");
        let mut bytes = Vec::new();
        let reader = blob.source.open().map_err(|e| invalid(&e))?;
        let read = reader.take(DOCUMENT_BYTES).read_to_end(&mut bytes);
        read.map_err(|e| invalid(&e))?;
        if Digest::of(&bytes) != digest {
            return Err(invalid(&"has another digest than a moment ago"));
        }
        // Only indexes have manifests (CVE-2021-41190); the plan has refused what is both.
        if let Ok(index) = ImageIndex::from_reader(bytes.as_slice()) {
            for below in index.manifests() {
                documents.push((digest_of(below)?, depth + 1));
            }
            continue;
        }
        let manifest = ImageManifest::from_reader(bytes.as_slice()).map_err(|e| invalid(&e))?;
        let layers = manifest.layers().iter();
        let layers = layers.filter(|layer| is_file_system(layer.media_type().as_ref()));
        let blobs: Result<Vec<_>, _> = layers
            .map(|layer| self::blob(image, digest_of(layer)?))
            .collect();
        found.push(blobs?);
    }
    Ok(found)
}

fn blob(image: &PlannedImage, digest: Digest) -> Result<&PlannedBlob, String> {
    let found = image
        .blobs
        .binary_search_by_key(&digest, |blob| blob.blob.digest());
    let found = found.ok().and_then(|at| image.blobs.get(at));
    found.ok_or_else(|| format!("blobs/sha256/{digest}: is missing"))
}

fn digest_of(descriptor: &Descriptor) -> Result<Digest, String> {
    let text = descriptor.digest().to_string();
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    hex.parse().map_err(|_| format!("{text}: is no SHA-256"))
}

/// Whether layers of this media type are tars that can be read: OCI's and Docker's, compressed or not.
fn is_file_system(media_type: &str) -> bool {
    let ends = ["tar", "tar+gzip", "tar+zstd", "tar.gzip", "tar.zstd"];
    ends.iter().any(|end| {
        let base = media_type.strip_suffix(end);
        base.is_some_and(|base| base.ends_with('.'))
    })
}

/// What can be seen of all layers together: an upper one covers what lies below.
pub(super) fn overlay(layers: &[(Digest, &LayerPackages)]) -> Vec<FoundPackage> {
    let mut visible: BTreeMap<&str, (Digest, &Found)> = BTreeMap::new();
    for (digest, layer) in layers {
        visible.retain(|path, _| !layer.covers(path));
        let files = layer.files.iter();
        visible.extend(files.map(|(path, found)| (path.as_str(), (*digest, found))));
    }
    // What a package manager of the distribution reads (os-release(5)).
    let system = ["etc/os-release", "usr/lib/os-release"]
        .iter()
        .find_map(|path| match visible.get(path) {
            Some((_, Found::System(system))) => Some(system.clone()),
            _ => None,
        })
        .unwrap_or_default();
    let mut licenses = Licenses::default();
    for (path, (_, found)) in &visible {
        licenses.add(path, found);
    }
    packages(&visible, &system, &licenses)
}

fn packages(
    visible: &BTreeMap<&str, (Digest, &Found)>,
    system: &System,
    licenses: &Licenses<'_>,
) -> Vec<FoundPackage> {
    let mut found = Vec::new();
    for (path, (layer, content)) in visible {
        let Found::Packages(packages) = content else {
            continue;
        };
        for package in packages {
            let made = FoundPackage::new(package, system, path, Some(*layer));
            found.extend(made.map(|mut made| {
                if made.ecosystem == Ecosystem::Debian {
                    made.license = licenses.of(&package.name).map(str::to_owned);
                }
                made
            }));
        }
    }
    found
}

/// The licenses of Debian packages by their names.
#[derive(Default)]
struct Licenses<'f> {
    own: BTreeMap<&'f str, &'f str>,
    same_as: BTreeMap<&'f str, &'f str>,
}

impl<'f> Licenses<'f> {
    fn add(&mut self, path: &'f str, found: &'f Found) {
        let Some(name) = probe::documented(path) else {
            return;
        };
        match found {
            Found::License(license) => {
                self.own.insert(name, license);
            }
            Found::SameLicenseAs(other) => {
                self.same_as.insert(name, other);
            }
            Found::Packages(_) | Found::System(_) => {}
        }
    }

    fn of(&self, name: &str) -> Option<&'f str> {
        let mut name = name;
        for _ in 0..LINKS {
            if let Some(license) = self.own.get(name) {
                return Some(license);
            }
            name = self.same_as.get(name)?;
        }
        None
    }
}
