//! Container images as vendors' tools write them, bit for bit.
//!
//! Three forms are read: OCI image layouts as folders, the same as one tar (`oci-archive`), and what
//! `docker save` and `podman save` write (`docker-archive`). Which one it is, is seen from the content.
//! Nothing is unpacked: [`store`] finds the files of a layout by name, [`walk`] follows an image from
//! its manifest or index to all its blobs, [`docker`] makes a manifest where the archive has none.

mod archive;
mod docker;
mod platform;
mod store;
mod walk;

use std::path::Path;

use oci_spec::image::{Descriptor, ImageIndex};
use sealift_verifier::digest::Digest;

use self::store::Store;
pub(crate) use self::{platform::Config, walk::CONFIG};
use crate::{error::Code, plan::PlannedImage};

/// Length of an image manifest, index or configuration, in bytes. Registries refuse more than 4 MiB of a
/// manifest (OCI distribution-spec 1.1, "Pushing Manifests").
const DOCUMENT_BYTES: u64 = 4 << 20;
/// The annotation that names an image in a layout (OCI image-spec 1.1, "Pre-Defined Annotation Keys").
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Which image is looked for.
pub(crate) struct Wanted<'a> {
    /// The folder or archive, with all its symbolic links resolved.
    pub(crate) path: &'a Path,
    /// The folder that no file of the image may lie outside of, resolved as well.
    pub(crate) within: &'a Path,
    /// The name to choose by.
    pub(crate) reference: Option<&'a str>,
    /// The digest to choose by, and to hold the image to.
    pub(crate) digest: Option<Digest>,
    /// What the image has to offer; with none, anything.
    pub(crate) platforms: &'a [String],
}

/// Something that is wrong with an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl Finding {
    /// An image that does not hold together: `subject` is the blob or file that shows it.
    fn invalid(subject: impl std::fmt::Display, detail: impl std::fmt::Display) -> Self {
        Self {
            code: Code::ImageInvalid,
            message: format!("{subject}: {detail}"),
        }
    }
}

/// Finds the image and every blob of it. Manifests, indexes and configurations are verified against
/// their digests; of layers, the lengths are.
pub(crate) fn read(wanted: &Wanted<'_>) -> Result<PlannedImage, Vec<Finding>> {
    let store = Store::open(wanted.path, wanted.within).map_err(|f| vec![f])?;
    let (image, platforms) = if store.has("oci-layout") {
        let top = choose(&store, wanted).map_err(|f| vec![f])?;
        walk::follow(&store, &top)?
    } else if store.has("manifest.json") {
        docker::read(&store, wanted.path, wanted.reference).map_err(|f| vec![f])?
    } else {
        let message = "is neither an OCI image layout, nor an oci-archive, nor a docker-archive";
        return Err(vec![Finding {
            code: Code::ImageInvalid,
            message: message.into(),
        }]);
    };
    let mut findings = Vec::new();
    if let Some(digest) = wanted.digest
        && digest != image.digest
    {
        let message = format!(
            "the image has the digest {}, declared is {digest}",
            image.digest
        );
        findings.push(Finding {
            code: Code::DigestMismatch,
            message,
        });
    }
    findings.extend(platform::compare(&platforms, wanted.platforms));
    if findings.is_empty() {
        Ok(image)
    } else {
        Err(findings)
    }
}

/// The one image of a layout that is asked for.
fn choose(store: &Store, wanted: &Wanted<'_>) -> Result<Descriptor, Finding> {
    store.check_layout()?;
    let bytes = store.document("index.json", DOCUMENT_BYTES)?;
    let index = ImageIndex::from_reader(bytes.as_slice())
        .map_err(|e| Finding::invalid("index.json", json_error(&e)))?;
    let name = |d: &Descriptor| {
        d.annotations()
            .as_ref()
            .and_then(|a| a.get(REF_NAME))
            .cloned()
    };
    let all = index.manifests();
    let fits = |d: &&Descriptor| match (wanted.reference, wanted.digest) {
        (Some(reference), _) => name(d).as_deref() == Some(reference),
        (None, Some(digest)) if all.len() > 1 => {
            walk::digest_of(d).is_ok_and(|found| found == digest)
        }
        _ => true,
    };
    let mut chosen: Vec<&Descriptor> = all.iter().filter(fits).collect();
    // The same image under several names is still one.
    chosen.dedup_by_key(|d| d.digest().to_string());
    match chosen.as_slice() {
        [one] => Ok((*one).clone()),
        [] if all.is_empty() => Err(Finding::invalid("index.json", "names no image")),
        several => Err(ambiguous(
            several.len(),
            all.iter().filter_map(name),
            wanted.reference,
        )),
    }
}

fn ambiguous(
    count: usize,
    names: impl Iterator<Item = String>,
    reference: Option<&str>,
) -> Finding {
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    let known = if names.is_empty() {
        "none has a name".into()
    } else {
        format!("there are: {}", names.join(", "))
    };
    let asked = reference.map_or_else(String::new, |name| format!(" named {name:?}"));
    let message = match count {
        0 => format!("holds no image{asked}; {known}"),
        _ => format!("holds {count} images{asked}; {known}"),
    };
    Finding {
        code: Code::ImageAmbiguous,
        message,
    }
}

/// What a JSON reader said, without the words around it.
fn json_error(error: &oci_spec::OciSpecError) -> String {
    match error {
        oci_spec::OciSpecError::SerDe(e) => e.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
