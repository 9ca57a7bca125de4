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
    probe::{self, Found, Kind},
};
use crate::{
    image::{CONFIG, Config},
    plan::{PlannedBlob, PlannedImage},
};

/// Length of a manifest or an index, in bytes; longer ones are in no plan.
const DOCUMENT_BYTES: u64 = 4 << 20;
/// How deep indexes may lie in indexes.
const DEPTH: usize = 4;
/// Documents of one image.
const DOCUMENTS: usize = 10_000;
/// How often one package may point to another for its license.
const LINKS: usize = 4;

/// A layer of an image.
pub(super) struct Layer<'p> {
    pub(super) blob: &'p PlannedBlob,
    /// The digest that it has to have when it is unpacked, as the configuration says. Runtimes refuse another.
    pub(super) unpacked: Option<Digest>,
}

/// The layers of each platform's image, the lowest first. Others than file systems, such as attestations,
/// are left out.
///
/// # Errors
/// A document that cannot be read, although the plan was made from it; a configuration that is not that of these layers.
pub(super) fn layers(image: &PlannedImage) -> Result<Vec<Vec<Layer<'_>>>, String> {
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
        let bytes = document(image, digest)?;
        // Only indexes have manifests (CVE-2021-41190); the plan has refused what is both.
        if let Ok(index) = ImageIndex::from_reader(bytes.as_slice()) {
            for below in index.manifests() {
                documents.push((digest_of(below)?, depth + 1));
            }
            continue;
        }
        let manifest = ImageManifest::from_reader(bytes.as_slice());
        let manifest = manifest.map_err(|e| invalid(digest, &e))?;
        let unpacked = unpacked(image, &manifest)?;
        let layers = manifest.layers().iter().zip(unpacked);
        let layers = layers.filter(|(layer, _)| is_file_system(layer.media_type().as_ref()));
        let layers: Result<Vec<_>, _> = layers
            .map(|(layer, unpacked)| {
                let blob = self::blob(image, digest_of(layer)?)?;
                Ok::<_, String>(Layer { blob, unpacked })
            })
            .collect();
        found.push(layers?);
    }
    Ok(found)
}

/// The digest of each layer when it is unpacked, if the configuration is one that says so.
fn unpacked(image: &PlannedImage, manifest: &ImageManifest) -> Result<Vec<Option<Digest>>, String> {
    let layers = manifest.layers().len();
    let config = manifest.config();
    if !CONFIG.contains(&config.media_type().as_ref()) {
        return Ok(vec![None; layers]);
    }
    let digest = digest_of(config)?;
    let bytes = document(image, digest)?;
    let config: Config = serde_json::from_slice(&bytes).map_err(|e| invalid(digest, &e))?;
    let Some(said) = config.diff_ids() else {
        return Ok(vec![None; layers]);
    };
    if said.len() != layers {
        let detail = format!("is of {} layers, the image has {layers}", said.len());
        return Err(invalid(digest, &detail));
    }
    let digests = said.iter().map(|text| sha256(text).map(Some));
    digests.collect()
}

/// A manifest, an index or a configuration.
fn document(image: &PlannedImage, digest: Digest) -> Result<Vec<u8>, String> {
    let blob = blob(image, digest)?;
    let mut bytes = Vec::new();
    let reader = blob.source.open().map_err(|e| invalid(digest, &e))?;
    let read = reader.take(DOCUMENT_BYTES).read_to_end(&mut bytes);
    read.map_err(|e| invalid(digest, &e))?;
    if Digest::of(&bytes) != digest {
        return Err(invalid(digest, &"has another digest than a moment ago"));
    }
    Ok(bytes)
}

fn invalid(digest: Digest, detail: &dyn std::fmt::Display) -> String {
    format!("blobs/sha256/{digest}: {detail}")
}

fn blob(image: &PlannedImage, digest: Digest) -> Result<&PlannedBlob, String> {
    let found = image
        .blobs
        .binary_search_by_key(&digest, |blob| blob.blob.digest());
    let found = found.ok().and_then(|at| image.blobs.get(at));
    found.ok_or_else(|| format!("blobs/sha256/{digest}: is missing"))
}

fn digest_of(descriptor: &Descriptor) -> Result<Digest, String> {
    sha256(descriptor.digest().as_ref())
}

fn sha256(text: &str) -> Result<Digest, String> {
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

/// What files tell that can be seen, by their paths, and the layer of each.
type Visible<'f> = BTreeMap<&'f str, (Option<Digest>, &'f Found)>;

/// What can be seen of all layers together: an upper one covers what lies below. A tree is one layer without a digest.
///
/// # Errors
/// A hard link that should tell something, to a file of a lower layer that was not read for that.
pub(super) fn overlay(
    layers: &[(Option<Digest>, &LayerPackages)],
) -> Result<Vec<FoundPackage>, String> {
    let mut visible = Visible::new();
    for (digest, layer) in layers {
        // A file has its other name even if the same layer takes the first one away.
        let mut linked = Vec::new();
        for (path, target) in &layer.links {
            let (kind, of) = (Kind::of(path), Kind::of(target));
            match visible.get(target.as_str()) {
                Some((_, found)) if kind == of => linked.push((path.as_str(), (*digest, *found))),
                _ if kind == of || kind == Kind::Other => {}
                _ => {
                    let layer = digest.map(|d| format!("layer {d}: ")).unwrap_or_default();
                    return Err(format!(
                        "{layer}{path} is a hard link to {target} of a lower layer, which tells of packages only by this name"
                    ));
                }
            }
        }
        visible.retain(|path, _| !layer.covers(path));
        let files = layer.files.iter();
        visible.extend(files.map(|(path, found)| (path.as_str(), (*digest, found))));
        visible.extend(linked);
    }
    let mut licenses = Licenses::default();
    for (path, (_, found)) in &visible {
        licenses.add(path, found);
    }
    Ok(packages(&visible, &licenses))
}

fn packages(visible: &Visible<'_>, licenses: &Licenses<'_>) -> Vec<FoundPackage> {
    let mut found = Vec::new();
    for (path, (layer, content)) in visible {
        let Found::Packages(packages) = content else {
            continue;
        };
        let root = probe::root(path);
        let system = system(visible, root);
        for package in packages {
            let made = FoundPackage::new(package, &system, path, *layer);
            found.extend(made.map(|mut made| {
                if made.ecosystem == Ecosystem::Debian {
                    made.license = licenses.of(root, &package.name).map(str::to_owned);
                }
                made
            }));
        }
    }
    found
}

/// The operating system below a root, as a package manager of the distribution reads it (os-release(5)).
fn system(visible: &Visible<'_>, root: &str) -> System {
    let places = ["etc/os-release", "usr/lib/os-release"];
    let mut found =
        places
            .iter()
            .filter_map(|place| match visible.get(&*format!("{root}{place}")) {
                Some((_, Found::System(system))) => Some(system.clone()),
                _ => None,
            });
    found.next().unwrap_or_default()
}

/// The licenses of Debian packages by the root that they lie below and their names.
#[derive(Default)]
struct Licenses<'f> {
    own: BTreeMap<(&'f str, &'f str), &'f str>,
    same_as: BTreeMap<(&'f str, &'f str), &'f str>,
}

impl<'f> Licenses<'f> {
    fn add(&mut self, path: &'f str, found: &'f Found) {
        let Some(package) = probe::documented(path) else {
            return;
        };
        match found {
            Found::License(license) => {
                self.own.insert(package, license);
            }
            Found::SameLicenseAs(other) => {
                self.same_as.insert(package, other);
            }
            Found::Packages(_) | Found::System(_) => {}
        }
    }

    fn of(&self, root: &str, name: &str) -> Option<&'f str> {
        let mut name = name;
        for _ in 0..LINKS {
            if let Some(license) = self.own.get(&(root, name)) {
                return Some(license);
            }
            name = self.same_as.get(&(root, name))?;
        }
        None
    }
}
