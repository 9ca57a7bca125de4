//! Packing: reads each source once, hashes it, compresses frames beside that, and writes the payload of a
//! bundle where it belongs. What the cache knows is not read, and what it holds is copied.
//!
//! Small files are put together into packs of one frame; a larger one has a pack of its own, whose first
//! frame holds its tar header and is written last, because only then is its digest known.

mod small;

use std::{
    collections::{HashSet, VecDeque},
    fs::File,
    io::{ErrorKind, Read},
    sync::Arc,
};

use sealift_verifier::{
    delivery::{self, Delivery, DeliveryKind, Pack},
    digest::{Digest, Hasher},
    json,
    limits::FRAME_BYTES,
    pack::{self, Compressor, HEADER_FRAME_BYTES, PendingFrame, header_frame},
    release::{BlobRef, Release},
    tar,
};

pub(crate) use self::small::Shortest;
use self::small::Small;
use crate::{
    cache::{Cache, CachedPack},
    error::{Code, Error, Result},
    manifest::{Contents, expect, release_with},
    payload::{Copy, Origin, Payload},
    plan::{Plan, PlannedBlob, PlannedContent, Source},
};

/// Everything of a bundle but its signed metadata.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) release: Release,
    pub(crate) delivery: Delivery,
    /// Each pack, in order.
    pub(crate) packs: Vec<WrittenPack>,
    /// Where each stored blob begins in the file, its header left aside.
    pub(crate) blobs: Vec<u64>,
    /// How many bytes were copied from the cache.
    pub(crate) cached: u64,
}

/// A pack in the file.
#[derive(Debug)]
pub(crate) struct WrittenPack {
    /// Where it begins, its header left aside.
    pub(crate) start: u64,
    /// The digest of what was written there. Of a pack whose first frame was written last it is not known yet.
    pub(crate) digest: Option<Digest>,
}

/// What packing works with.
pub(crate) struct Tools<'a> {
    pub(crate) cache: &'a Cache,
    pub(crate) threads: usize,
    /// Hears of source bytes that are done.
    pub(crate) progress: &'a dyn Fn(u64),
}

/// Reads all that `plan` names and writes packs and blobs to `file`, from the byte `start` on. `meanwhile` is
/// called when everything is known of them, while the last of them are still being copied. If something of the
/// cache was not what it should be, this fails and the cache is distrusted.
pub(crate) fn pack<T>(
    plan: &Plan,
    file: &File,
    start: u64,
    tools: &Tools<'_>,
    meanwhile: impl FnOnce(Packed) -> Result<T>,
) -> Result<T> {
    std::thread::scope(|scope| {
        let mut payload = Payload::new(scope, file, start, tools)?;
        let result = pack_to(plan, &mut payload, tools).and_then(meanwhile)?;
        let damaged = payload.finish()?;
        if damaged.is_empty() {
            return Ok(result);
        }
        tools.cache.distrust();
        for key in damaged {
            tools.cache.remove_pack(key);
        }
        Err(Error::new(
            Code::Io,
            "the cache",
            "holds packs that are damaged",
        ))
    })
}

fn pack_to(plan: &Plan, payload: &mut Payload<'_>, tools: &Tools<'_>) -> Result<Packed> {
    let stored = stored_blobs(plan);
    let mut packer = Packer {
        compressor: Compressor::new(tools.threads),
        most_pending: tools.threads.max(1) + 1,
        payload,
        pending: VecDeque::new(),
        packs: Vec::new(),
        written: Vec::new(),
        open: Small::new(),
        seen: stored.iter().map(|s| s.blob.digest()).collect(),
        cached: 0,
        tools,
    };
    let release = release_with(plan, &mut packer)?.release;
    let last = std::mem::replace(&mut packer.open, Small::new());
    packer.close(last)?;
    packer.drain(0)?;
    let Packer {
        packs,
        written,
        cached,
        ..
    } = packer;
    let blobs = stored.into_iter().map(|blob| store(blob, payload, tools));
    let blobs = blobs.collect::<Result<_>>()?;
    let delivery = delivery_of(plan, &release, packs)?;
    Ok(Packed {
        release,
        delivery,
        packs: written,
        blobs,
        cached,
    })
}

/// The delivery manifest of a full bundle with these packs.
pub(crate) fn delivery_of(plan: &Plan, release: &Release, packs: Vec<Pack>) -> Result<Delivery> {
    Ok(Delivery {
        format: delivery::FORMAT,
        kind: DeliveryKind::Full,
        release: Digest::of(&json::to_canonical(release)?),
        compression: pack::compression(),
        packs,
        blobs: stored_blobs(plan).iter().map(|s| s.blob).collect(),
    })
}

/// The blobs of all images that are stored as they are: sorted, each once.
pub(crate) fn stored_blobs(plan: &Plan) -> Vec<&PlannedBlob> {
    let artifacts = plan.capabilities.iter().flat_map(|c| &c.artifacts);
    let images = artifacts.filter_map(|a| match &a.content {
        PlannedContent::Image(image) => Some(image),
        _ => None,
    });
    let mut blobs: Vec<_> = images
        .flat_map(|i| &i.blobs)
        .filter(|b| !b.compressible)
        .collect();
    blobs.sort_by_key(|b| b.blob);
    blobs.dedup_by_key(|b| b.blob.digest());
    blobs
}

/// Has a blob copied as it is, and says where it begins.
fn store(stored: &PlannedBlob, payload: &mut Payload<'_>, tools: &Tools<'_>) -> Result<u64> {
    let subject = stored.source.subject();
    let io = |e| Error::io(&subject, e);
    let member = tar::blob_path(stored.blob.digest());
    let (path, offset) = match &stored.source {
        Source::File { path, .. } => (path, 0),
        Source::Slice { path, offset, .. } => (path, *offset),
        Source::Bytes(bytes) => {
            expect(
                &stored.source,
                Digest::of(bytes),
                Some(stored.blob.digest()),
            )?;
            payload.header(&member, stored.blob.size())?;
            let start = payload.position();
            payload.write(bytes)?;
            payload.write(tar::zeros_after(stored.blob.size()))?;
            return Ok(start);
        }
    };
    let from = File::open(path).map_err(io)?;
    let seen = tools.cache.known_in(&from, offset, stored.blob);
    let watch = match seen {
        None => tools.cache.watch(&stored.source, Some(&from)),
        Some(_) => None,
    };
    let copy = Copy {
        from: Arc::new(from),
        start: offset,
        content: stored.blob,
        seen,
        watch,
        origin: Origin::Vendor(subject.clone()),
    };
    let start = payload.copy(&member, copy);
    (tools.progress)(stored.blob.size());
    Ok(start)
}

/// Something of a pack that is on its way to the bundle.
enum Pending {
    /// The only frame of another pack, with its blobs.
    Pack(Vec<BlobRef>, PendingFrame),
    /// Another pack, of what was made here: its frames follow.
    Made,
    /// The next frame of the newest pack.
    Frame(PendingFrame),
    /// The newest pack has all frames but the first, which holds the header of this blob.
    End(BlobRef),
    /// Another pack, which only has to be copied.
    Cached(Box<CachedPack>),
}

struct Packer<'a, 'f> {
    compressor: Compressor,
    most_pending: usize,
    payload: &'a mut Payload<'f>,
    /// In the order of the bundle.
    pending: VecDeque<Pending>,
    packs: Vec<Pack>,
    written: Vec<WrittenPack>,
    open: Small,
    seen: HashSet<Digest>,
    cached: u64,
    tools: &'a Tools<'a>,
}

impl Contents for Packer<'_, '_> {
    /// Puts a source into a pack, unless its content is in the bundle already. It is read at most once.
    fn file(&mut self, source: &Source, size: u64) -> Result<Digest> {
        let known = match source {
            Source::Bytes(bytes) => Some(Digest::of(bytes)),
            _ => self.tools.cache.known(source, size),
        };
        if let Some(known) = known.filter(|known| self.seen.contains(known)) {
            (self.tools.progress)(size);
            return Ok(known);
        }
        match (source, known) {
            _ if is_small(size) => self.small(source, size, known),
            (Source::Bytes(bytes), Some(digest)) => {
                self.made(bytes, digest)?;
                Ok(digest)
            }
            _ => self.large(source, size, known),
        }
    }

    fn image_blob(&mut self, blob: &PlannedBlob) -> Result<()> {
        if blob.compressible {
            let digest = self.file(&blob.source, blob.blob.size())?;
            expect(&blob.source, digest, Some(blob.blob.digest()))?;
        }
        Ok(())
    }
}

impl Packer<'_, '_> {
    fn small(&mut self, source: &Source, size: u64, known: Option<Digest>) -> Result<Digest> {
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        let mut next = (!self.open.has_room(length)).then(Small::new);
        let digest = match known {
            Some(known) => known,
            None => {
                next.as_mut()
                    .unwrap_or(&mut self.open)
                    .read(source, length, self.tools.cache)?
            }
        };
        (self.tools.progress)(size);
        if self.seen.insert(digest) {
            if let Some(next) = next {
                let full = std::mem::replace(&mut self.open, next);
                self.close(full)?;
            }
            self.open
                .keep(digest, length, known.map(|_| source.clone()));
            if self.open.ends() {
                let full = std::mem::replace(&mut self.open, Small::new());
                self.close(full)?;
            }
        }
        Ok(digest)
    }

    /// Takes a pack of small files from the cache, or compresses it.
    fn close(&mut self, small: Small) -> Result<()> {
        if small.blobs().is_empty() {
            return Ok(());
        }
        let pending = if let Some(found) = self.tools.cache.pack(small.blobs()) {
            Pending::Cached(Box::new(found))
        } else {
            let (tar, blobs) = small.finish(self.tools.cache)?;
            Pending::Pack(blobs, self.compressor.compress(tar))
        };
        self.pending.push_back(pending);
        self.drain(self.most_pending)
    }

    /// Gives a file a pack of its own, unless its content turns out to be in the bundle already.
    fn large(&mut self, source: &Source, size: u64, known: Option<Digest>) -> Result<Digest> {
        if let Some(digest) = known
            && self.take_cached(BlobRef(digest, size))?
        {
            return Ok(digest);
        }
        self.drain(0)?;
        let start = self.begin_large();
        let digest = self.frames(source, size)?;
        if self.seen.insert(digest) {
            self.end_large(BlobRef(digest, size))?;
        } else {
            self.packs.pop();
            self.written.pop();
            self.payload.rewind(start)?;
        }
        Ok(digest)
    }

    /// Gives what was made here a pack of its own. As its digest is known, nothing has to wait for its frames.
    fn made(&mut self, bytes: &[u8], digest: Digest) -> Result<()> {
        let blob = BlobRef(digest, bytes.len() as u64);
        if self.take_cached(blob)? {
            return Ok(());
        }
        self.seen.insert(digest);
        self.pending.push_back(Pending::Made);
        let end = [tar::zeros_after(blob.size()), &tar::ZEROS].concat();
        let mut rest = bytes.chain(&*end);
        loop {
            let mut tar = Vec::with_capacity(FRAME_BYTES);
            let io = |e| Error::io("what was made for the bundle", e);
            (&mut rest)
                .take(FRAME_BYTES as u64)
                .read_to_end(&mut tar)
                .map_err(io)?;
            if tar.is_empty() {
                break;
            }
            self.pending
                .push_back(Pending::Frame(self.compressor.compress(tar)));
            self.drain(self.most_pending)?;
        }
        (self.tools.progress)(blob.size());
        self.pending.push_back(Pending::End(blob));
        self.drain(self.most_pending)
    }

    /// Takes the pack of a large blob from the cache, if it is there.
    fn take_cached(&mut self, blob: BlobRef) -> Result<bool> {
        let Some(found) = self.tools.cache.pack(&[blob]) else {
            return Ok(false);
        };
        self.seen.insert(blob.digest());
        self.pending.push_back(Pending::Cached(Box::new(found)));
        (self.tools.progress)(blob.size());
        self.drain(self.most_pending)?;
        Ok(true)
    }

    /// Leaves room for the header of the next pack and for its first frame; says where that is.
    fn begin_large(&mut self) -> u64 {
        let start = self.payload.position();
        self.packs.push(Pack {
            frames: Vec::new(),
            blobs: Vec::new(),
        });
        self.written.push(WrittenPack {
            start: start + tar::BLOCK,
            digest: None,
        });
        self.payload.reserve(tar::BLOCK + HEADER_FRAME_BYTES as u64);
        start
    }

    /// Fills the room at the beginning of the newest pack.
    fn end_large(&mut self, blob: BlobRef) -> Result<()> {
        let path = Pack::path(self.packs.len().saturating_sub(1));
        let (Some(pack), Some(written)) = (self.packs.last_mut(), self.written.last()) else {
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

    /// Reads a large file and makes it the frames of the newest pack; gives its digest.
    fn frames(&mut self, source: &Source, size: u64) -> Result<Digest> {
        let io = |e| Error::io(source.subject(), e);
        let mut reader = source.open().map_err(io)?;
        let watch = self.tools.cache.watch(source, reader.file());
        let mut hasher = Hasher::default();
        let mut left = size;
        // What follows the content: its padding and the end of the archive.
        let mut tail = tar::zeros_after(size).len() + tar::ZEROS.len();
        while left > 0 || tail > 0 {
            let most = left.min(FRAME_BYTES as u64);
            let mut tar = vec![0; usize::try_from(most).unwrap_or(FRAME_BYTES)];
            reader.read_exact(&mut tar).map_err(|e| match e.kind() {
                ErrorKind::UnexpectedEof => changed(source, "is shorter than a moment ago"),
                _ => io(e),
            })?;
            hasher.update(&tar);
            (self.tools.progress)(most);
            left -= most;
            if left == 0 {
                let more = tail.min(FRAME_BYTES - tar.len());
                tar.resize(tar.len() + more, 0);
                tail -= more;
            }
            self.pending
                .push_back(Pending::Frame(self.compressor.compress(tar)));
            self.drain(self.most_pending)?;
        }
        if reader.read(&mut [0]).map_err(io)? != 0 {
            return Err(changed(source, "is longer than a moment ago"));
        }
        self.drain(0)?;
        let digest = hasher.finish();
        self.tools.cache.learn(watch, reader.file(), digest);
        Ok(digest)
    }

    /// Writes finished frames until at most `most` are under way.
    fn drain(&mut self, most: usize) -> Result<()> {
        while self.pending.len() > most {
            match self.pending.pop_front() {
                None => break,
                Some(Pending::Made) => {
                    self.begin_large();
                }
                Some(Pending::End(blob)) => self.end_large(blob)?,
                Some(Pending::Frame(frame)) => {
                    let (bytes, stored) = finished(frame)?;
                    self.payload.write(&bytes)?;
                    if let Some(pack) = self.packs.last_mut() {
                        pack.frames.push(stored);
                    }
                }
                Some(Pending::Pack(blobs, frame)) => {
                    let (bytes, stored) = finished(frame)?;
                    let frames = vec![stored];
                    let pack = Pack { frames, blobs };
                    let path = Pack::path(self.packs.len());
                    self.payload.header(&path, stored.size())?;
                    self.written.push(WrittenPack {
                        start: self.payload.position(),
                        digest: Some(stored.digest()),
                    });
                    self.payload.write(&bytes)?;
                    self.payload.write(tar::zeros_after(stored.size()))?;
                    self.tools.cache.keep_pack(&pack, &bytes, stored.digest());
                    self.packs.push(pack);
                }
                Some(Pending::Cached(found)) => {
                    let size = found.pack.stored_size();
                    let copy = Copy {
                        from: found.file,
                        start: found.start,
                        content: BlobRef(found.digest, size),
                        seen: found.seen,
                        watch: found.watch,
                        origin: Origin::Cache(found.key),
                    };
                    self.written.push(WrittenPack {
                        start: self.payload.copy(&Pack::path(self.packs.len()), copy),
                        digest: Some(found.digest),
                    });
                    self.packs.push(found.pack);
                    self.cached += size;
                }
            }
        }
        Ok(())
    }
}

fn finished(frame: PendingFrame) -> Result<(Vec<u8>, BlobRef)> {
    let frame = frame.wait().map_err(|e| Error::io("a frame", e))?;
    let stored = BlobRef(frame.digest, frame.bytes.len() as u64);
    Ok((frame.bytes, stored))
}

/// Whether a file shares a pack with others.
pub(crate) fn is_small(size: u64) -> bool {
    tar::member_size(size).is_some_and(|member| member + tar::END <= FRAME_BYTES as u64)
}

fn changed(source: &Source, how: &str) -> Error {
    Error::new(Code::LengthMismatch, source.subject(), how)
}
