//! Puts packs behind each other: waits for their frames in the order of the bundle, and has copied what the cache holds.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use sealift_verifier::{
    delivery::Pack,
    digest::Digest,
    limits::FRAME_BYTES,
    pack::{Compressor, HEADER_FRAME_BYTES, LEVEL, PendingFrame, header_frame},
    release::BlobRef,
    tar,
};

use super::buffers::Buffers;
use crate::{
    build::Tools,
    cache::CachedPack,
    error::{Code, Error, Result},
    output::NEW,
    payload::{Copy, Origin, Payload, most_open},
};

/// What comes next in the bundle.
pub(super) enum Next {
    /// A pack of one frame, with its blobs.
    Pack(Vec<BlobRef>, Frame),
    /// A pack that only has to be copied.
    Cached(Box<CachedPack>),
    /// A pack of one large blob, whose frames follow, compressed with this level. Not all of them are worth keeping.
    Large { level: i32, kept: bool },
    /// The next frame of that.
    Frame(Frame),
    /// It has all frames but the first, which holds the header of this blob.
    End(BlobRef),
    /// Its content turned out to be in the bundle already: it is dropped.
    Drop,
}

/// A frame that is being compressed.
pub(super) struct Frame {
    pending: PendingFrame,
    /// How many [`UNIT`]s it takes until it is written.
    units: usize,
}

/// Where all of this goes, in order. Whoever is ahead of the writer waits here, so that memory and open files stay
/// bounded.
pub(super) struct Queue {
    /// For the frames that it is given.
    pub(super) buffers: Buffers,
    compressor: Compressor,
    next: SyncSender<Next>,
    /// Holds one thing for each [`UNIT`] of frames under way.
    units: SyncSender<()>,
}

/// The other end of a [`Queue`].
pub(super) struct Queued {
    next: Receiver<Next>,
    units: Receiver<()>,
}

/// What frames under way are measured in, in bytes of what they hold.
const UNIT: usize = 1 << 20;

/// A queue whose frames are compressed by so many threads. It takes one frame more than these work on, or more of them if
/// they are shorter, and copies as far as files may be open.
pub(super) fn queue(threads: usize) -> (Queue, Queued) {
    let (next, queued) = sync_channel((most_open() / 4).max(1));
    let (begin, end) = sync_channel((threads.max(1) + 1) * FRAME_BYTES / UNIT);
    let queue = Queue {
        buffers: Buffers::default(),
        compressor: Compressor::new(threads),
        next,
        units: begin,
    };
    let queued = Queued {
        next: queued,
        units: end,
    };
    (queue, queued)
}

impl Queue {
    /// Begins to compress a frame, once there is room for it.
    pub(super) fn compress(
        &self,
        tar: impl AsRef<[u8]> + Send + 'static,
        level: i32,
    ) -> Result<Frame> {
        let units = tar.as_ref().len().div_ceil(UNIT);
        for _ in 0..units {
            self.units.send(()).map_err(|_| gone())?;
        }
        Ok(Frame {
            pending: self.compressor.compress(tar, level),
            units,
        })
    }

    /// Has something written behind everything before it.
    pub(super) fn add(&self, next: Next) -> Result<()> {
        self.next.send(next).map_err(|_| gone())
    }
}

/// The writer has ended early, and says itself why.
fn gone() -> Error {
    Error::new(Code::Io, NEW, "is not written any more")
}

/// All packs of a bundle.
#[derive(Debug, Default)]
pub(super) struct Packs {
    /// What is in them.
    pub(super) list: Vec<Pack>,
    pub(super) written: Vec<WrittenPack>,
    /// How many bytes were copied from the cache.
    pub(super) cached: u64,
}

/// A pack in the file.
#[derive(Debug)]
pub(crate) struct WrittenPack {
    /// Where it begins, its header left aside.
    pub(crate) start: u64,
    /// The digest of what was written there. Of a pack whose first frame was written last it is not known yet.
    pub(crate) digest: Option<Digest>,
    /// Whether another build may need it again.
    pub(crate) kept: bool,
}

/// Writes until nothing more is queued.
pub(super) fn write(
    queued: &Queued,
    payload: &mut Payload<'_>,
    tools: &Tools<'_>,
) -> Result<Packs> {
    let mut writer = Writer {
        payload,
        tools,
        done: Packs::default(),
    };
    for next in &queued.next {
        let units = match &next {
            Next::Pack(_, frame) | Next::Frame(frame) => frame.units,
            _ => 0,
        };
        writer.take(next)?;
        // All of them are there since the frame was begun.
        queued.units.iter().take(units).for_each(drop);
    }
    Ok(writer.done)
}

struct Writer<'a, 'f> {
    payload: &'a mut Payload<'f>,
    tools: &'a Tools<'a>,
    done: Packs,
}

impl Writer<'_, '_> {
    fn take(&mut self, next: Next) -> Result<()> {
        match next {
            Next::Pack(blobs, frame) => self.pack(blobs, frame),
            Next::Cached(found) => self.cached(*found),
            Next::Large { level, kept } => {
                self.begin_large(level, kept);
                Ok(())
            }
            Next::Frame(frame) => {
                let (bytes, stored) = finished(frame)?;
                self.payload.write(&bytes)?;
                if let Some(pack) = self.done.list.last_mut() {
                    pack.frames.push(stored);
                }
                Ok(())
            }
            Next::End(blob) => self.end_large(blob),
            Next::Drop => {
                self.done.list.pop();
                match self.done.written.pop() {
                    Some(dropped) => self.payload.rewind(dropped.start - tar::BLOCK),
                    None => Ok(()),
                }
            }
        }
    }

    fn pack(&mut self, blobs: Vec<BlobRef>, frame: Frame) -> Result<()> {
        let (bytes, stored) = finished(frame)?;
        let frames = vec![stored];
        let pack = Pack {
            frames,
            blobs,
            level: LEVEL,
        };
        let path = Pack::path(self.done.list.len());
        self.payload.header(&path, stored.size())?;
        self.done.written.push(WrittenPack {
            start: self.payload.position(),
            digest: Some(stored.digest()),
            kept: true,
        });
        self.payload.write(&bytes)?;
        self.payload.write(tar::zeros_after(stored.size()))?;
        self.tools.cache.keep_pack(&pack, &bytes, stored.digest());
        self.done.list.push(pack);
        Ok(())
    }

    fn cached(&mut self, found: CachedPack) -> Result<()> {
        let size = found.pack.stored_size();
        let copy = Copy {
            from: found.file,
            start: found.start,
            content: BlobRef(found.digest, size),
            seen: found.seen,
            watch: found.watch,
            origin: Origin::Cache(found.key),
        };
        let path = Pack::path(self.done.list.len());
        self.done.written.push(WrittenPack {
            start: self.payload.copy(&path, copy)?,
            digest: Some(found.digest),
            kept: true,
        });
        self.done.list.push(found.pack);
        self.done.cached += size;
        Ok(())
    }

    /// Leaves room for the header of the next pack and for its first frame.
    fn begin_large(&mut self, level: i32, kept: bool) {
        self.done.list.push(Pack {
            frames: Vec::new(),
            blobs: Vec::new(),
            level,
        });
        self.done.written.push(WrittenPack {
            start: self.payload.position() + tar::BLOCK,
            digest: None,
            kept,
        });
        self.payload.reserve(tar::BLOCK + HEADER_FRAME_BYTES as u64);
    }

    /// Fills the room at the beginning of the newest pack.
    fn end_large(&mut self, blob: BlobRef) -> Result<()> {
        let path = Pack::path(self.done.list.len().saturating_sub(1));
        let newest = (self.done.list.last_mut(), self.done.written.last());
        let (Some(pack), Some(written)) = newest else {
            return Ok(());
        };
        let first = header_frame(&tar::header(&tar::blob_path(blob.digest()), blob.size()));
        pack.frames
            .insert(0, BlobRef(Digest::of(&first), first.len() as u64));
        pack.blobs.push(blob);
        let stored = pack.stored_size();
        self.payload.fill(
            written.start - tar::BLOCK,
            &[&tar::header(&path, stored)[..], &first].concat(),
        )?;
        self.payload.write(tar::zeros_after(stored))
    }
}

fn finished(frame: Frame) -> Result<(Vec<u8>, BlobRef)> {
    let frame = frame.pending.wait().map_err(|e| Error::io("a frame", e))?;
    let stored = BlobRef(frame.digest, frame.bytes.len() as u64);
    Ok((frame.bytes, stored))
}
