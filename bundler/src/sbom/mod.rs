//! Bills of materials of a whole release: its capabilities, images and files, and the packages of others in
//! them, as CycloneDX 1.6, SPDX 2.3 and SPDX 3.0.1.
//!
//! [`packages`] finds what was not made by the vendor, `model` puts everything into one order with one set of
//! numbers, `cyclonedx`, `spdx2` and `spdx3` write it down on `paper`.
//! A document depends on the release and its packages alone: no clock, nothing random. Its length does not
//! depend on the values of digests, so that room can be kept for it before they are known.

mod cyclonedx;
mod inventory;
mod model;
pub mod packages;
mod paper;
mod spdx2;
mod spdx3;

pub use self::inventory::{Inventories, Inventory};
pub(crate) use self::paper::Take;
use self::{model::Model, packages::Packages, paper::Paper};
use crate::{diff::Side, error::Result};
use sealift_verifier::{
    json,
    release::{Content, SbomFormat},
};

/// What a bill of materials is made from.
#[derive(Debug, Clone, Copy)]
pub struct SbomInput<'a> {
    /// The release with its trees; what its manifest says of bills of materials does not matter.
    pub side: &'a Side,
    /// The packages of others.
    pub packages: &'a Packages,
}

/// Who wrote the documents, in all of them.
const TOOL: &str = "sealift-bundler";

/// A release whose documents can be written.
pub(crate) struct Documents<'a>(Model<'a>);

impl<'a> Documents<'a> {
    /// Those of this release.
    pub(crate) fn new(input: &SbomInput<'a>) -> Result<Self> {
        Ok(Self(Model::new(input)?))
    }

    /// Gives the document of one format to `take`, as it is made: none of them is ever in memory as a whole.
    ///
    /// # Errors
    /// The first that `take` returns.
    pub(crate) fn write(&self, format: SbomFormat, take: &mut Take<'_>) -> Result<()> {
        let mut paper = Paper::new(take);
        let written = match format {
            SbomFormat::CycloneDx => cyclonedx::write(&self.0, &mut paper),
            SbomFormat::Spdx2 => spdx2::write(&self.0, &mut paper),
            SbomFormat::Spdx3 => spdx3::write(&self.0, &mut paper),
        };
        paper.end(written)
    }

    fn to_vec(&self, format: SbomFormat) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write(format, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }
}

/// All documents, in the order of their formats.
///
/// # Errors
/// Only what cannot be written as JSON.
pub fn documents(input: &SbomInput<'_>) -> Result<Vec<(SbomFormat, Vec<u8>)>> {
    let documents = Documents::new(input)?;
    let all = SbomFormat::ALL.into_iter();
    all.map(|format| Ok((format, documents.to_vec(format)?)))
        .collect()
}

/// More bytes than any of the documents has of a release without packages of others, without writing them: each says of a
/// file some hundred bytes and repeats its name a few times.
pub(crate) fn most(side: &Side) -> Result<u64> {
    let release = json::to_canonical(&side.release)?.len() as u64;
    let trees = side
        .release
        .artifacts()
        .map(|(_, artifact)| match &artifact.content {
            Content::Tree(tree) => tree.size,
            _ => 0,
        });
    let texts = trees.fold(release, u64::saturating_add);
    Ok(texts.saturating_mul(16).saturating_add(1 << 16))
}

/// The release as CycloneDX 1.6 JSON (ECMA-424).
pub fn cyclonedx(input: &SbomInput<'_>) -> Result<Vec<u8>> {
    Documents::new(input)?.to_vec(SbomFormat::CycloneDx)
}

/// The release as SPDX 2.3 JSON.
pub fn spdx2(input: &SbomInput<'_>) -> Result<Vec<u8>> {
    Documents::new(input)?.to_vec(SbomFormat::Spdx2)
}

/// The release as SPDX 3.0.1 JSON-LD.
pub fn spdx3(input: &SbomInput<'_>) -> Result<Vec<u8>> {
    Documents::new(input)?.to_vec(SbomFormat::Spdx3)
}

#[cfg(test)]
mod tests;
