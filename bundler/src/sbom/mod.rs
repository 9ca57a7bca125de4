//! Bills of materials of a whole release: its capabilities, images and files, and the packages of others in
//! them, as CycloneDX 1.6, SPDX 2.3 and SPDX 3.0.1.
//!
//! [`packages`] finds what was not made by the vendor, `model` puts everything into one order with one set of
//! numbers, `cyclonedx`, `spdx2` and `spdx3` write it down.
//! A document depends on the release and its packages alone: no clock, nothing random. Its length does not
//! depend on the values of digests, so that room can be kept for it before they are known.

mod cyclonedx;
mod inventory;
mod model;
pub mod packages;
mod spdx2;
mod spdx3;

use std::thread::ScopedJoinHandle;

use sealift_verifier::{
    digest::Digest,
    json,
    release::{Content, SbomFormat},
};
use serde::{Serialize, Serializer};

pub use self::inventory::{Inventories, Inventory};
use self::{model::Model, packages::Packages};
use crate::{
    diff::Side,
    error::{Code, Error, Result},
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

/// All documents, in the order of their formats.
///
/// # Errors
/// Only what cannot be written as JSON.
pub fn documents(input: &SbomInput<'_>) -> Result<Vec<(SbomFormat, Vec<u8>)>> {
    let mut documents = Vec::new();
    each(input, &mut |format, bytes, _| {
        documents.push((format, bytes));
        Ok(())
    })?;
    Ok(documents)
}

/// Hands over one document after the other with its digest, in the order of their formats, while the others are written.
pub(crate) fn each(
    input: &SbomInput<'_>,
    take: &mut dyn FnMut(SbomFormat, Vec<u8>, Digest) -> Result<()>,
) -> Result<()> {
    let model = &Model::new(input)?;
    std::thread::scope(|scope| {
        let documents = SbomFormat::ALL.map(|format| {
            let write = move || {
                let bytes = match format {
                    SbomFormat::CycloneDx => cyclonedx::write(model),
                    SbomFormat::Spdx2 => spdx2::write(model),
                    SbomFormat::Spdx3 => spdx3::write(model),
                }?;
                let digest = Digest::of(&bytes);
                Ok((bytes, digest))
            };
            (format, scope.spawn(write))
        });
        documents.into_iter().try_for_each(|(format, document)| {
            let (bytes, digest) = join(document)?;
            take(format, bytes, digest)
        })
    })
}

fn join<T>(document: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    let early = |_| {
        let why = "a thread ended early";
        Err(Error::new(Code::Io, "the bill of materials", why))
    };
    document.join().unwrap_or_else(early)
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
    cyclonedx::write(&Model::new(input)?)
}

/// The release as SPDX 2.3 JSON.
pub fn spdx2(input: &SbomInput<'_>) -> Result<Vec<u8>> {
    spdx2::write(&Model::new(input)?)
}

/// The release as SPDX 3.0.1 JSON-LD.
pub fn spdx3(input: &SbomInput<'_>) -> Result<Vec<u8>> {
    spdx3::write(&Model::new(input)?)
}

/// Room for what a document says of a file or a package, in bytes.
const ELEMENT_BYTES: usize = 512;

/// An empty document that grows to its length in one place.
fn paper(model: &Model<'_>) -> Vec<u8> {
    Vec::with_capacity((model.elements() + 16) * ELEMENT_BYTES)
}

fn to_json(model: &Model<'_>, document: &impl Serialize) -> Result<Vec<u8>> {
    let mut json = paper(model);
    append(&mut json, document)?;
    Ok(json)
}

fn append(json: &mut Vec<u8>, value: &impl Serialize) -> Result<()> {
    serde_json::to_writer(json, value)
        .map_err(|e| Error::new(Code::Io, "the bill of materials", e.to_string()))
}

/// A list whose elements are made while they are written.
struct Each<F>(F);

impl<F, I> Serialize for Each<F>
where
    F: Fn() -> I,
    I: IntoIterator<Item: Serialize>,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

#[cfg(test)]
mod tests;
