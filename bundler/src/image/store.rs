//! The files of an image by their names, whether they lie in a folder or in a tar.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use oci_spec::image::OciLayout;
use sealift_verifier::digest::Digest;

use super::{Finding, archive::Archive};
use crate::{error::Code, plan::Source};

/// Where an image lies.
pub(super) enum Store {
    Folder { root: PathBuf, within: PathBuf },
    Archive { path: PathBuf, members: Archive },
}

/// A file of an image.
pub(super) struct Found {
    pub(super) source: Source,
    pub(super) size: u64,
}

impl Store {
    /// Opens a folder or an archive; both paths are resolved already.
    pub(super) fn open(path: &Path, within: &Path) -> Result<Self, Finding> {
        if path.is_dir() {
            return Ok(Self::Folder {
                root: path.into(),
                within: within.into(),
            });
        }
        Ok(Self::Archive {
            path: path.into(),
            members: Archive::open(path)?,
        })
    }

    /// Whether there is a file of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    /// The file of this name.
    pub(super) fn find(&self, name: &str) -> Result<Found, Finding> {
        match self {
            Self::Folder { root, within } => {
                let path = root.join(name).canonicalize().map_err(|e| match e.kind() {
                    io::ErrorKind::NotFound => Finding::invalid(name, "is missing"),
                    _ => Finding::invalid(name, e),
                })?;
                if !path.starts_with(within) {
                    let message =
                        format!("{name} leads outside of the catalog, to {}", path.display());
                    return Err(Finding {
                        code: Code::PathOutside,
                        message,
                    });
                }
                let metadata = path.metadata().map_err(|e| Finding::invalid(name, e))?;
                if !metadata.is_file() {
                    return Err(Finding::invalid(name, "is no regular file"));
                }
                Ok(Found {
                    source: path.into(),
                    size: metadata.len(),
                })
            }
            Self::Archive { path, members } => {
                let (offset, size) = members
                    .find(name)
                    .ok_or_else(|| Finding::invalid(name, "is missing"))?;
                Ok(Found {
                    source: Source::Slice {
                        path: path.clone(),
                        offset,
                        size,
                    },
                    size,
                })
            }
        }
    }

    /// The bytes of a small file.
    pub(super) fn document(&self, name: &str, most: u64) -> Result<Vec<u8>, Finding> {
        let found = self.find(name)?;
        if found.size > most {
            return Err(Finding::invalid(
                name,
                format!("has {} bytes; more than {most} are not read", found.size),
            ));
        }
        let mut bytes = Vec::new();
        let read = found
            .source
            .open()
            .and_then(|r| r.take(most + 1).read_to_end(&mut bytes));
        read.map_err(|e| Finding::invalid(name, e))?;
        Ok(bytes)
    }

    /// The blob with this digest, whose length has to be the declared one.
    pub(super) fn blob(&self, digest: Digest, size: u64) -> Result<Found, Finding> {
        let found = self.find(&blob_name(digest))?;
        if found.size != size {
            let message = format!(
                "{} has {} bytes, declared are {size}",
                blob_name(digest),
                found.size
            );
            return Err(Finding {
                code: Code::LengthMismatch,
                message,
            });
        }
        Ok(found)
    }

    /// The bytes of a small blob, verified.
    pub(super) fn blob_document(
        &self,
        digest: Digest,
        size: u64,
        most: u64,
    ) -> Result<Vec<u8>, Finding> {
        self.blob(digest, size)?;
        let name = blob_name(digest);
        let bytes = self.document(&name, most)?;
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(Finding {
                code: Code::DigestMismatch,
                message: format!("{name} has the digest {found}"),
            });
        }
        Ok(bytes)
    }

    /// Whether this is a layout of the version that is known here (OCI image-spec 1.1, "oci-layout file").
    pub(super) fn check_layout(&self) -> Result<(), Finding> {
        let bytes = self.document("oci-layout", 4096)?;
        let layout = OciLayout::from_reader(bytes.as_slice())
            .map_err(|e| Finding::invalid("oci-layout", super::json_error(&e)))?;
        let version = layout.image_layout_version();
        if version == "1.0.0" {
            return Ok(());
        }
        Err(Finding::invalid(
            "oci-layout",
            format!("has version {version:?}, known is 1.0.0"),
        ))
    }
}

fn blob_name(digest: Digest) -> String {
    format!("blobs/sha256/{digest}")
}
