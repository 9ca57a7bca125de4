//! What `docker save`, `podman save` and `skopeo copy … docker-archive:` write: a configuration and layers,
//! but no OCI manifest. One is made here, the same for the same archive on any machine, over the
//! configuration and the layers bit for bit.

use std::{collections::BTreeMap, io::Read, path::Path};

use sealift_verifier::{digest::Digest, json, release::BlobRef};
use serde::Deserialize;
use serde_json::json;

use super::{
    DOCUMENT_BYTES, Finding, ambiguous,
    archive::compression,
    platform::{Config, Platform},
    store::{Found, Store},
};
use crate::{
    error::Code,
    plan::{PlannedBlob, PlannedImage, Source},
};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// One image of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Entry {
    fn tags(&self) -> &[String] {
        self.repo_tags.as_deref().unwrap_or_default()
    }

    fn has_tag(&self, wanted: &str) -> bool {
        // Tools add the registry that they assume: `acme/api:1` is kept as `docker.io/acme/api:1`.
        let known = ["", "docker.io/", "docker.io/library/", "localhost/"];
        self.tags().iter().any(|tag| {
            known
                .iter()
                .any(|prefix| tag.strip_prefix(prefix) == Some(wanted))
        })
    }
}

/// Reads the one image of an archive, or the one of the name `reference`.
pub(super) fn read(
    store: &Store,
    archive: &Path,
    reference: Option<&str>,
) -> Result<(PlannedImage, Vec<Platform>), Finding> {
    if archive.is_dir() {
        return Err(Finding::invalid(
            "oci-layout",
            "is missing; a docker-archive has to be one tar file",
        ));
    }
    let bytes = store.document("manifest.json", DOCUMENT_BYTES)?;
    let entries: Vec<Entry> =
        serde_json::from_slice(&bytes).map_err(|e| Finding::invalid("manifest.json", e))?;
    let chosen: Vec<&Entry> = entries
        .iter()
        .filter(|e| reference.is_none_or(|r| e.has_tag(r)))
        .collect();
    let [entry] = chosen.as_slice() else {
        let names = entries.iter().flat_map(|e| e.tags().iter().cloned());
        return Err(ambiguous(chosen.len(), names, reference));
    };
    let config_bytes = store.document(&entry.config, DOCUMENT_BYTES)?;
    let config: Config =
        serde_json::from_slice(&config_bytes).map_err(|e| Finding::invalid(&entry.config, e))?;
    let config_digest = Digest::of(&config_bytes);
    // `docker save` names a configuration by its digest; where it does, that has to be true.
    let stem = entry
        .config
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .trim_end_matches(".json");
    if stem
        .parse::<Digest>()
        .is_ok_and(|named| named != config_digest)
    {
        let message = format!("{} has the digest {config_digest}", entry.config);
        return Err(Finding {
            code: Code::DigestMismatch,
            message,
        });
    }
    let diff_ids = config.diff_ids().unwrap_or_default();
    if diff_ids.len() != entry.layers.len() {
        let detail = format!(
            "names {} layers, the archive has {}",
            diff_ids.len(),
            entry.layers.len()
        );
        return Err(Finding::invalid(&entry.config, detail));
    }
    let mut blobs = BTreeMap::new();
    let mut layers = Vec::new();
    for (name, diff_id) in entry.layers.iter().zip(diff_ids) {
        let found = store.find(name)?;
        let layer = layer(name, found, diff_id)?;
        layers.push(descriptor(layer.media_type, layer.blob.blob));
        blobs.insert(layer.blob.blob.digest(), layer.blob);
    }
    let config_blob = BlobRef(config_digest, config_bytes.len() as u64);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, config_blob),
        "layers": layers,
    });
    let manifest = json::canonical(&manifest);
    let digest = Digest::of(&manifest);
    let config_source = store.find(&entry.config)?.source;
    blobs.insert(
        config_digest,
        PlannedBlob {
            blob: config_blob,
            compressible: false,
            source: config_source,
        },
    );
    let manifest_blob = BlobRef(digest, manifest.len() as u64);
    blobs.insert(
        digest,
        PlannedBlob {
            blob: manifest_blob,
            compressible: false,
            source: Source::Bytes(manifest),
        },
    );
    let image = PlannedImage {
        digest,
        media_type: MANIFEST.into(),
        blobs: blobs.into_values().collect(),
    };
    Ok((image, config.platform().into_iter().collect()))
}

struct Layer {
    media_type: &'static str,
    blob: PlannedBlob,
}

/// A layer as it lies in the archive. Uncompressed it has the digest that the configuration names, which
/// whoever copies it compares; of a compressed one (kaniko and crane write them) it is computed.
fn layer(name: &str, found: Found, diff_id: &str) -> Result<Layer, Finding> {
    let unreadable = |e: std::io::Error| Finding::invalid(name, e);
    let mut magic = Vec::new();
    found
        .source
        .open()
        .and_then(|r| r.take(6).read_to_end(&mut magic))
        .map_err(unreadable)?;
    let media_type = match compression(&magic) {
        None => LAYER,
        Some("gzip") => "application/vnd.oci.image.layer.v1.tar+gzip",
        Some("zstd") => "application/vnd.oci.image.layer.v1.tar+zstd",
        Some(other) => {
            return Err(Finding::invalid(
                name,
                format!("is compressed with {other}, which images cannot have"),
            ));
        }
    };
    let compressible = media_type == LAYER;
    let digest = if compressible {
        let hex = diff_id.strip_prefix("sha256:").unwrap_or_default();
        hex.parse().map_err(|_| {
            Finding::invalid(
                name,
                format!("has the diff id {diff_id:?}, which is no SHA-256"),
            )
        })?
    } else {
        found.source.digest().map_err(unreadable)?.0
    };
    let blob = PlannedBlob {
        blob: BlobRef(digest, found.size),
        compressible,
        source: found.source,
    };
    Ok(Layer { media_type, blob })
}

fn descriptor(media_type: &str, blob: BlobRef) -> serde_json::Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", blob.digest()), "size": blob.size() })
}
