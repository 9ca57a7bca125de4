//! `delivery.json`: how the bytes of a release travel in this bundle.

use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    error::{Code, Error, Result},
    json::{self, AuthenticBytes},
    limits,
    release::BlobRef,
    tar::{self, BLOCK},
};

/// The version of the delivery manifest that this program reads and writes.
pub const FORMAT: u32 = 1;

/// Which stored file of the bundle yields which blobs. Here and below, fields have the order of canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Delivery {
    /// Blobs that are stored as they are, at `blobs/sha256/<digest>`, sorted.
    pub blobs: Vec<BlobRef>,
    /// How packs were compressed: what a program needs to make the same bytes again.
    pub compression: Compression,
    /// Always [`FORMAT`].
    pub format: u32,
    /// Whether the bundle holds everything.
    pub kind: DeliveryKind,
    /// `packs/0000.tar.zst` and so on, in this order.
    pub packs: Vec<Pack>,
    /// The release digest.
    pub release: Digest,
}

/// How much of the release a bundle holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryKind {
    /// All of it.
    Full,
}

/// How packs were compressed, but for the level, which each says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Compression {
    /// Bytes of a pack's tar in each frame but the last.
    pub frame: u64,
    /// Name and version of the library, such as `zstd 1.5.7`.
    pub library: String,
}

/// One deterministic tar of blobs in independent zstd frames: either any number of blobs in a single frame,
/// or a single blob whose tar header is the first frame, and whose content and the end of the archive are cut
/// into the others. A writer can so begin with the content, before it knows the digest that the header holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// The blobs in the order of the tar.
    pub blobs: Vec<BlobRef>,
    /// Stored length and SHA-256 of each frame; together they are the pack.
    pub frames: Vec<BlobRef>,
    /// The level of the library that its frames were compressed with.
    pub level: i32,
}

impl Pack {
    /// The path of the pack with this number in the bundle.
    pub fn path(number: usize) -> String {
        format!("packs/{number:04}.tar.zst")
    }

    /// How many frames these blobs make; nothing if they are too long.
    pub fn frame_count(&self) -> Option<u64> {
        let tar = tar::stream_size(&self.blobs)?;
        let frame = limits::FRAME_BYTES as u64;
        if tar <= frame {
            return Some(1);
        }
        tar.checked_sub(BLOCK)?.div_ceil(frame).checked_add(1)
    }

    /// Length in bytes of what each frame unpacks to, in order; nothing if the blobs are too long. The list
    /// has [`Pack::frame_count`] entries, however many frames there are.
    pub fn frame_lengths(&self) -> Option<Vec<usize>> {
        let tar = tar::stream_size(&self.blobs)?;
        let frame = limits::FRAME_BYTES as u64;
        let length = |bytes: u64| usize::try_from(bytes.min(frame)).unwrap_or(limits::FRAME_BYTES);
        if tar <= frame {
            return Some(vec![length(tar)]);
        }
        let mut lengths = vec![length(BLOCK)];
        let mut left = tar.saturating_sub(BLOCK);
        while left > 0 {
            lengths.push(length(left));
            left = left.saturating_sub(frame);
        }
        Some(lengths)
    }

    /// Stored length in bytes.
    pub fn stored_size(&self) -> u64 {
        self.frames
            .iter()
            .map(BlobRef::size)
            .fold(0, u64::saturating_add)
    }
}

impl Delivery {
    /// The canonical JSON of the manifest.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        json::to_canonical_as_declared(self)
    }

    /// Reads a delivery manifest whose bytes have been verified.
    pub fn parse(bytes: &AuthenticBytes<'_>) -> Result<Self> {
        let delivery: Self = bytes.parse("delivery.json")?;
        if delivery.format != FORMAT {
            return Err(Error::new(
                Code::UnsupportedFormat,
                "delivery.json",
                format!(
                    "has format {}, this program reads {FORMAT}",
                    delivery.format
                ),
            ));
        }
        delivery.check()?;
        Ok(delivery)
    }

    fn check(&self) -> Result<()> {
        let bad = |detail: String| Err(Error::new(Code::BadMetadata, "delivery.json", detail));
        if !self.blobs.is_sorted_by(|a, b| a.digest() < b.digest()) {
            return bad("blobs are not sorted, each once".into());
        }
        if self.compression.frame != limits::FRAME_BYTES as u64 {
            return bad(format!(
                "frames hold {} bytes, not {}",
                self.compression.frame,
                limits::FRAME_BYTES
            ));
        }
        for (number, pack) in self.packs.iter().enumerate() {
            let path = Pack::path(number);
            if pack.blobs.is_empty() {
                return bad(format!("{path} has no blob"));
            }
            if !limits::LEVELS.contains(&pack.level) {
                return bad(format!("{path} has the level {}", pack.level));
            }
            let limit = limits::STORED_FRAME_BYTES as u64;
            let sane = pack.frames.iter().all(|f| (1..=limit).contains(&f.size()));
            let alone = pack.frames.len() == 1 || pack.blobs.len() == 1;
            // Counted without a list of their lengths: a blob that claims 4 EiB would need one of TiBs.
            let fits = pack.frame_count() == Some(pack.frames.len() as u64);
            if !(sane && alone && fits) {
                return bad(format!("the frames of {path} do not fit its content"));
            }
        }
        Ok(())
    }
}
