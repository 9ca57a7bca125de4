//! The OCI image layout that a bundle is at the same time (OCI image-spec 1.1, "image-layout").

use serde_json::json;

use crate::{
    error::Result,
    json,
    release::{BlobRef, Release},
};

/// The content of `oci-layout`.
pub const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// The content of `index.json` for the images of a release: it follows from the release manifest, so a
/// reader compares it.
pub fn index(release: &Release) -> Result<Vec<u8>> {
    let manifests: Vec<_> = release
        .images()
        .map(|(reference, image)| {
            let size = image
                .blobs
                .iter()
                .find(|b| b.digest() == image.digest)
                .map_or(0, BlobRef::size);
            json!({
                "annotations": { "org.opencontainers.image.ref.name": reference },
                "digest": format!("sha256:{}", image.digest),
                "mediaType": image.media_type,
                "size": size,
            })
        })
        .collect();
    let index = json!({
        "manifests": manifests,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "schemaVersion": 2,
    });
    json::to_canonical(&index)
}
