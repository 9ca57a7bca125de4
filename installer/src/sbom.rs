//! The bills of materials of a kept release.

use std::path::PathBuf;

use sealift_verifier::{
    digest::Digest,
    release::{FileRef, SbomFormat},
};
use serde::Serialize;

use crate::{
    error::{Code, Error, Result},
    generation,
    site::{self, GENERATIONS, Site},
};

/// Length of a bill of materials that is taken into memory, in bytes.
const LIMIT: u64 = 256 << 20;

/// A bill of materials at the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Found {
    /// The generation whose release it is of.
    pub generation: u64,
    /// Which kind of document it is.
    pub format: SbomFormat,
    /// Where it lies.
    pub path: PathBuf,
    /// SHA-256 of it.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// Finds the bill of materials of a kept generation, the current one if none is named, in this format, else
/// in the first that there is.
pub fn find(site: &Site, number: Option<u64>, format: Option<SbomFormat>) -> Result<Found> {
    let number = site.kept_or_current(number)?;
    let generation = site.kept(number)?;
    let release = generation::release(site, generation)?;
    let wanted = |found: SbomFormat| format.is_none_or(|format| format == found);
    let Some(sbom) = release.sbom.iter().find(|sbom| wanted(sbom.format)) else {
        let there: Vec<_> = release.sbom.iter().map(|sbom| sbom.format.name()).collect();
        let why = match there.as_slice() {
            [] => "comes without a bill of materials".into(),
            there => format!("comes with {}", there.join(", ")),
        };
        let what = format!("{} {}", release.product, release.version);
        return Err(Error::new(Code::NoSbom, what, why));
    };
    let name = sbom.format.file_name();
    Ok(Found {
        generation: number,
        format: sbom.format,
        path: site.path(&format!("{GENERATIONS}/{number}/{}/{name}", site::SBOM)),
        digest: sbom.file.digest,
        size: sbom.file.size,
    })
}

impl Found {
    /// The document, held to its digest.
    pub fn read(&self, site: &Site) -> Result<Vec<u8>> {
        if self.size > LIMIT {
            let why = format!("has {} bytes, too many to show: it lies here", self.size);
            return Err(Error::new(
                Code::Usage,
                self.path.display().to_string(),
                why,
            ));
        }
        let file = FileRef {
            digest: self.digest,
            size: self.size,
            executable: false,
        };
        let path = format!("{}/{}", site::SBOM, self.format.file_name());
        generation::read(&site.generation_dir(self.generation)?, &path, &file)
    }
}
