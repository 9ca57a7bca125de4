//! What was made here and does not fit among small files, cut into the frames of a pack of its own.

use sealift_verifier::{limits::FRAME_BYTES, tar};

use super::buffers::{Buffer, Buffers};
use crate::error::Result;

/// Takes a frame that is complete.
pub(super) type Frame<'f> = dyn FnMut(Buffer) -> Result<()> + 'f;

/// A document, of which only the last frame is here. Nothing is a frame before it is known that something follows it, so that
/// a short document can still go among small files.
pub(super) struct Document {
    buffers: Buffers,
    open: Buffer,
    size: u64,
}

impl Document {
    pub(super) fn new(buffers: &Buffers) -> Self {
        Self {
            buffers: buffers.clone(),
            open: empty(buffers),
            size: 0,
        }
    }

    /// How many bytes it has so far.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Adds bytes, and gives frames to `take` that are full.
    pub(super) fn add(&mut self, piece: &[u8], take: &mut Frame<'_>) -> Result<()> {
        self.size += piece.len() as u64;
        self.append(piece, take)
    }

    /// All of it, which is no longer than a frame.
    pub(super) fn into_short(self) -> Vec<u8> {
        self.open.to_vec()
    }

    /// Gives the last frames to `take`, with the padding and the end of the archive.
    pub(super) fn end(mut self, take: &mut Frame<'_>) -> Result<()> {
        self.append(tar::zeros_after(self.size), take)?;
        self.append(&tar::ZEROS, take)?;
        take(self.open)
    }

    fn append(&mut self, mut piece: &[u8], take: &mut Frame<'_>) -> Result<()> {
        loop {
            let room = FRAME_BYTES - self.open.len();
            let (fits, rest) = piece.split_at(room.min(piece.len()));
            self.open.extend_from_slice(fits);
            if rest.is_empty() {
                return Ok(());
            }
            take(std::mem::replace(&mut self.open, empty(&self.buffers)))?;
            piece = rest;
        }
    }
}

fn empty(buffers: &Buffers) -> Buffer {
    let mut buffer = buffers.take();
    buffer.clear();
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealift_verifier::{delivery::Pack, digest::Digest, release::BlobRef};

    /// Lengths around each place where a frame, the content, its padding and the end of the archive may meet.
    #[test]
    fn frames_are_as_long_as_whoever_reads_them_expects() {
        let buffers = Buffers::default();
        let frame = FRAME_BYTES;
        let near = [0, 1, 511, 512, 513, 1023, 1024, 1025, 1536, 1537, 2048];
        let lengths = near
            .iter()
            .flat_map(|n| [frame - n, frame + n, 2 * frame - n]);
        // Shorter ones have no pack of their own.
        for length in lengths.filter(|length| *length > frame - 1536) {
            let content: Vec<u8> = (0..length).map(|n| n.to_le_bytes()[0] | 1).collect();
            let (mut frames, mut whole) = (Vec::new(), Vec::new());
            let mut take = |frame: Buffer| {
                frames.push(frame.len());
                whole.extend_from_slice(&frame);
                Ok(())
            };
            let mut document = Document::new(&buffers);
            for piece in content.chunks(1_000_003) {
                document.add(piece, &mut take).unwrap();
            }
            assert_eq!(document.size(), length as u64);
            document.end(&mut take).unwrap();
            let pack = Pack {
                blobs: vec![BlobRef(Digest::of(&content), length as u64)],
                frames: Vec::new(),
                level: 1,
            };
            // The first frame is the header.
            assert_eq!(frames, pack.frame_lengths().unwrap()[1..], "{length}");
            let (found, tail) = whole.split_at(length);
            assert!(
                found == content && tail.iter().all(|byte| *byte == 0),
                "{length}"
            );
        }
    }
}
