//! From a manifest or an index to every blob that it refers to.

use std::collections::{BTreeMap, BTreeSet};

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
use sealift_verifier::{digest::Digest, release::BlobRef};
use serde::{Deserialize, de::IgnoredAny};

use super::{
    DOCUMENT_BYTES, Finding, json_error,
    platform::{Config, Platform},
    store::Store,
};
use crate::plan::{PlannedBlob, PlannedImage};

/// How deep indexes may lie in indexes. Tools write one; the specification does not say.
const DEPTH: usize = 4;
/// Blobs of one image, manifests included.
const BLOBS: usize = 10_000;

/// Media types of indexes: OCI's and Docker's.
const INDEX: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
/// Media types of manifests: OCI's and Docker's.
const MANIFEST: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
/// Media types of configurations that name a platform: OCI's and Docker's.
pub(crate) const CONFIG: [&str; 2] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
];

/// What tells the two kinds of document apart, whatever the descriptor says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    media_type: Option<MediaType>,
    manifests: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
}

struct Walk<'s> {
    store: &'s Store,
    blobs: BTreeMap<Digest, PlannedBlob>,
    /// Documents that were looked at. Not all blobs: a layer of one image can be a manifest of another.
    followed: BTreeSet<Digest>,
    platforms: Vec<Platform>,
    findings: Vec<Finding>,
}

/// The image behind a descriptor, and the platforms that it is for.
pub(super) fn follow(
    store: &Store,
    top: &Descriptor,
) -> Result<(PlannedImage, Vec<Platform>), Vec<Finding>> {
    let digest = digest_of(top).map_err(|f| vec![f])?;
    let mut walk = Walk {
        store,
        blobs: BTreeMap::new(),
        followed: BTreeSet::new(),
        platforms: Vec::new(),
        findings: Vec::new(),
    };
    if let Err(finding) = walk.document(top, 0) {
        walk.findings.push(finding);
    }
    if !walk.findings.is_empty() {
        return Err(walk.findings);
    }
    let media_type = top.media_type().to_string();
    let image = PlannedImage {
        digest,
        media_type,
        blobs: walk.blobs.into_values().collect(),
    };
    Ok((image, walk.platforms))
}

/// The SHA-256 of a descriptor.
pub(super) fn digest_of(descriptor: &Descriptor) -> Result<Digest, Finding> {
    let text = descriptor.digest().to_string();
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    hex.parse()
        .map_err(|_| Finding::invalid(text, "is no SHA-256 digest; others are not supported"))
}

impl Walk<'_> {
    /// A manifest or an index, and all below it.
    fn document(&mut self, descriptor: &Descriptor, depth: usize) -> Result<(), Finding> {
        let digest = digest_of(descriptor)?;
        let subject = format!("blobs/sha256/{digest}");
        let media_type = descriptor.media_type().to_string();
        if depth > DEPTH {
            return Err(Finding::invalid(
                subject,
                format!("lies more than {DEPTH} indexes deep"),
            ));
        }
        let is_index = INDEX.contains(&media_type.as_str());
        if !is_index && !MANIFEST.contains(&media_type.as_str()) {
            return Err(Finding::invalid(
                subject,
                format!("has the media type {media_type:?}, which is no image's"),
            ));
        }
        if !self.followed.insert(digest) {
            return Ok(());
        }
        let bytes = self
            .store
            .blob_document(digest, descriptor.size(), DOCUMENT_BYTES)?;
        self.add(descriptor, false)?;
        let shape: Shape =
            serde_json::from_slice(&bytes).map_err(|e| Finding::invalid(&subject, e))?;
        // A document that is a manifest to one reader and an index to another (CVE-2021-41190).
        let index_keys = shape.manifests.is_some();
        let manifest_keys = shape.config.is_some() || shape.layers.is_some();
        let said = shape
            .media_type
            .as_ref()
            .is_none_or(|said| said == descriptor.media_type());
        if !said || index_keys != is_index || manifest_keys == is_index {
            return Err(Finding::invalid(
                subject,
                format!("is not the {media_type} that it is said to be"),
            ));
        }
        let unreadable = |e: oci_spec::OciSpecError| Finding::invalid(&subject, json_error(&e));
        if is_index {
            let index = ImageIndex::from_reader(bytes.as_slice()).map_err(unreadable)?;
            for below in index.manifests() {
                // One broken part does not hide what is wrong with the others.
                if let Err(finding) = self.document(below, depth + 1) {
                    self.findings.push(finding);
                }
            }
        } else {
            let manifest = ImageManifest::from_reader(bytes.as_slice()).map_err(unreadable)?;
            self.manifest(&manifest, descriptor)?;
        }
        Ok(())
    }

    fn manifest(
        &mut self,
        manifest: &ImageManifest,
        descriptor: &Descriptor,
    ) -> Result<(), Finding> {
        let config = manifest.config();
        let bytes = self
            .store
            .blob_document(digest_of(config)?, config.size(), DOCUMENT_BYTES)?;
        self.add(config, false)?;
        // Runtimes choose by what the index says; only without an index, the configuration counts.
        let mut platform = descriptor.platform().as_ref().map(Platform::from);
        if platform.is_none() && CONFIG.contains(&config.media_type().as_ref()) {
            let subject = format!("blobs/sha256/{}", digest_of(config)?);
            let config: Config =
                serde_json::from_slice(&bytes).map_err(|e| Finding::invalid(subject, e))?;
            platform = config.platform();
        }
        self.platforms.extend(platform);
        for layer in manifest.layers() {
            if let Err(finding) = self.add(layer, is_uncompressed(layer.media_type().as_ref())) {
                self.findings.push(finding);
            }
        }
        Ok(())
    }

    /// Notes a blob. One that is used in two ways is compressible only if it is in both.
    fn add(&mut self, descriptor: &Descriptor, compressible: bool) -> Result<(), Finding> {
        let digest = digest_of(descriptor)?;
        let found = self.store.blob(digest, descriptor.size())?;
        if self.blobs.len() >= BLOBS {
            return Err(Finding::invalid(
                "the image",
                format!("has more than {BLOBS} blobs"),
            ));
        }
        let blob = BlobRef(digest, descriptor.size());
        let known = self.blobs.entry(digest).or_insert(PlannedBlob {
            blob,
            compressible,
            source: found.source,
        });
        known.compressible &= compressible;
        Ok(())
    }
}

/// Whether content of this media type gains from being packed: everything that does not say that it is
/// compressed already.
fn is_uncompressed(media_type: &str) -> bool {
    !["gzip", "zstd", "zip", "xz", "bzip2"]
        .iter()
        .any(|name| media_type.ends_with(name))
}
