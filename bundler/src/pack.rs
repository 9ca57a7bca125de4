//! Packing: reads each source once, hashes it, compresses frames beside that, and writes the payload of a
//! bundle where it belongs. What the cache knows is not read, and what it holds is copied.
//!
//! Small files are put together into packs of one frame; a larger one has a pack of its own, whose first
//! frame holds its tar header and is written last, because only then is its digest known. Here contents are read;
//! `writer` puts what comes of them behind each other, so that neither waits for the other.

mod buffers;
mod document;
mod small;
mod writer;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{ErrorKind, Read},
    sync::Arc,
};

use hashbrown::HashSet;
use sealift_verifier::{
    delivery::{self, Delivery, DeliveryKind, Pack},
    digest::{Digest, Hasher},
    json,
    limits::FRAME_BYTES,
    pack::{DOCUMENT_LEVEL, LEVEL, compression},
    release::{BlobRef, Release},
    tar,
    tree::Tree,
};

use self::{
    buffers::Buffer,
    document::Document,
    small::Small,
    writer::{Next, Queue},
};
pub(crate) use self::{small::Shortest, writer::WrittenPack};
use crate::{
    build::Tools,
    diff::Side,
    error::{Code, Error, Result},
    manifest::{Bills, Contents, expect, release_with},
    output::NEW,
    payload::{Copy, Origin, Payload},
    plan::{Plan, PlannedBlob, PlannedContent, Source},
    sbom::{Inventory, Take},
};

/// Everything of a bundle but its signed metadata.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) release: Release,
    /// The trees that it refers to.
    pub(crate) trees: BTreeMap<Digest, Tree>,
    pub(crate) delivery: Delivery,
    /// Each pack, in order.
    pub(crate) packs: Vec<WrittenPack>,
    /// Where each stored blob begins in the file, its header left aside.
    pub(crate) blobs: Vec<u64>,
    /// How many bytes were copied from the cache.
    pub(crate) cached: u64,
}

/// Reads all that `plan` names and writes packs and blobs to `file`, from the byte `start` on. `packages` are waited for
/// when all else was read. `meanwhile` is
/// called when everything is known of them, while the last of them are still being copied. If something of the
/// cache was not what it should be, this fails and the cache is distrusted.
pub(crate) fn pack<T>(
    plan: &Plan,
    packages: Inventory<'_>,
    file: &File,
    start: u64,
    tools: &Tools<'_>,
    meanwhile: impl FnOnce(Packed) -> Result<T>,
) -> Result<T> {
    std::thread::scope(|scope| {
        scope.spawn(|| tools.cache.settle(plan.found()));
        let mut payload = Payload::new(scope, file, start, tools)?;
        let result = pack_to(plan, packages, &mut payload, tools).and_then(meanwhile);
        let finished = payload.finish();
        if let Ok(damaged) = &finished
            && !damaged.is_empty()
        {
            tools.cache.distrust();
            for key in damaged {
                tools.cache.remove_pack(*key);
            }
            let detail = "holds packs that are damaged";
            return Err(Error::new(Code::Io, "the cache", detail));
        }
        let result = result?;
        finished?;
        Ok(result)
    })
}

fn pack_to(
    plan: &Plan,
    packages: Inventory<'_>,
    payload: &mut Payload<'_>,
    tools: &Tools<'_>,
) -> Result<Packed> {
    let stored = stored_blobs(plan);
    let mut seen = HashSet::with_capacity(plan.found().count());
    seen.extend(stored.iter().map(|s| s.blob.digest()));
    let (queue, queued) = writer::queue(tools.threads);
    let packer = Packer {
        open: Small::new(&queue.buffers),
        queue,
        seen,
        tools,
    };
    let (Side { release, trees }, packs) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            // Its end of the queue goes with it, so that nobody waits for a writer that has ended.
            let queued = queued;
            writer::write(&queued, payload, tools)
        });
        let side = packer.release(plan, packages);
        let early = |_| Err(Error::new(Code::Io, NEW, "the writing thread ended early"));
        let packs = writer.join().unwrap_or_else(early)?;
        Ok::<_, Error>((side?, packs))
    })?;
    let blobs = stored.into_iter().map(|blob| store(blob, payload, tools));
    let blobs = blobs.collect::<Result<_>>()?;
    payload.end()?;
    let delivery = delivery_of(plan, &release, packs.list)?;
    Ok(Packed {
        release,
        trees,
        delivery,
        packs: packs.written,
        blobs,
        cached: packs.cached,
    })
}

/// The delivery manifest of a full bundle with these packs.
pub(crate) fn delivery_of(plan: &Plan, release: &Release, packs: Vec<Pack>) -> Result<Delivery> {
    Ok(Delivery {
        format: delivery::FORMAT,
        kind: DeliveryKind::Full,
        release: Digest::of(&json::to_canonical(release)?),
        compression: compression(),
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
    let start = payload.copy(&member, copy)?;
    tools.packed(stored.blob.size());
    Ok(start)
}

/// Reads contents, and queues what comes of them.
struct Packer<'a> {
    queue: Queue,
    open: Small,
    /// What is in the bundle already.
    seen: HashSet<Digest>,
    tools: &'a Tools<'a>,
}

impl Contents for Packer<'_> {
    /// Puts a source into a pack, unless its content is in the bundle already. It is read at most once.
    fn file(&mut self, source: &Source, size: u64) -> Result<Digest> {
        let known = match source {
            Source::Bytes(bytes) => Some(Digest::of(bytes)),
            _ => self.tools.cache.known(source, size),
        };
        if let Some(known) = known.filter(|known| self.seen.contains(known)) {
            self.tools.packed(size);
            return Ok(known);
        }
        if is_small(size) {
            self.small(source, size, known)
        } else {
            self.large(source, size, known)
        }
    }

    fn made(&mut self, bytes: Vec<u8>, digest: Digest) -> Result<()> {
        let size = bytes.len() as u64;
        if is_small(size) {
            return self.file(&Source::Bytes(bytes), size).map(drop);
        }
        let blob = BlobRef(digest, size);
        if !self.seen.contains(&digest) && !self.take_cached(blob, DOCUMENT_LEVEL)? {
            let mut document = Document::new(&self.queue.buffers);
            let mut take = frames_to(&self.queue, true);
            document.add(&bytes, &mut take)?;
            document.end(&mut take)?;
            drop(take);
            self.end_large(blob)?;
        }
        self.tools.packed(size);
        Ok(())
    }

    fn document(&mut self, write: &dyn Fn(&mut Take<'_>) -> Result<()>) -> Result<BlobRef> {
        let mut document = Document::new(&self.queue.buffers);
        let mut hasher = Hasher::default();
        // With each release, it is another one.
        let mut take = frames_to(&self.queue, false);
        write(&mut |piece| {
            hasher.update(piece);
            document.add(piece, &mut take)
        })?;
        let blob = BlobRef(hasher.finish(), document.size());
        if is_small(blob.size()) {
            drop(take);
            self.file(&Source::Bytes(document.into_short()), blob.size())?;
        } else {
            document.end(&mut take)?;
            drop(take);
            self.end_large(blob)?;
            self.tools.packed(blob.size());
        }
        Ok(blob)
    }

    fn image_blob(&mut self, blob: &PlannedBlob) -> Result<()> {
        if blob.compressible {
            let digest = self.file(&blob.source, blob.blob.size())?;
            expect(&blob.source, digest, Some(blob.blob.digest()))?;
        }
        Ok(())
    }
}

impl Packer<'_> {
    /// Reads all that `plan` names, and closes the queue.
    fn release(mut self, plan: &Plan, packages: Inventory<'_>) -> Result<Side> {
        let bills = Bills::Made(&|| packages.packages());
        let side = release_with(plan, &bills, &mut self)?;
        let last = self.begin();
        self.close(last)?;
        Ok(side)
    }

    /// Begins another pack of small files, and gives the one before.
    fn begin(&mut self) -> Small {
        std::mem::replace(&mut self.open, Small::new(&self.queue.buffers))
    }

    fn small(&mut self, source: &Source, size: u64, known: Option<Digest>) -> Result<Digest> {
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        let has_room = self.open.has_room(length);
        let mut next = (!has_room).then(|| Small::new(&self.queue.buffers));
        let digest = match known {
            Some(known) => known,
            None => {
                next.as_mut()
                    .unwrap_or(&mut self.open)
                    .read(source, length, self.tools.cache)?
            }
        };
        self.tools.packed(size);
        if self.seen.insert(digest) {
            if let Some(next) = next {
                let full = std::mem::replace(&mut self.open, next);
                self.close(full)?;
            }
            self.open
                .keep(digest, length, known.map(|_| source.clone()));
            if self.open.ends() {
                let full = self.begin();
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
        if let Some(found) = self.tools.cache.pack(small.blobs(), LEVEL) {
            return self.queue.add(Next::Cached(Box::new(found)));
        }
        let (tar, blobs) = small.finish(self.tools.cache)?;
        let frame = self.queue.compress(tar, LEVEL)?;
        self.queue.add(Next::Pack(blobs, frame))
    }

    /// Gives a file a pack of its own, unless its content turns out to be in the bundle already.
    fn large(&mut self, source: &Source, size: u64, known: Option<Digest>) -> Result<Digest> {
        if let Some(digest) = known
            && self.take_cached(BlobRef(digest, size), LEVEL)?
        {
            self.tools.packed(size);
            return Ok(digest);
        }
        self.queue.add(Next::Large {
            level: LEVEL,
            kept: true,
        })?;
        let digest = self.frames(source, size)?;
        self.end_large(BlobRef(digest, size))?;
        Ok(digest)
    }

    /// Ends the pack of a large blob, which is dropped if it turns out to be in the bundle already.
    fn end_large(&mut self, blob: BlobRef) -> Result<()> {
        self.queue.add(if self.seen.insert(blob.digest()) {
            Next::End(blob)
        } else {
            Next::Drop
        })
    }

    /// Takes the pack of a large blob from the cache, if it is there.
    fn take_cached(&mut self, blob: BlobRef, level: i32) -> Result<bool> {
        let Some(found) = self.tools.cache.pack(&[blob], level) else {
            return Ok(false);
        };
        self.seen.insert(blob.digest());
        self.queue.add(Next::Cached(Box::new(found)))?;
        Ok(true)
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
            let mut tar = self.queue.buffers.take();
            tar.resize(usize::try_from(most).unwrap_or(FRAME_BYTES), 0);
            reader.read_exact(&mut tar).map_err(|e| match e.kind() {
                ErrorKind::UnexpectedEof => changed(source, "is shorter than a moment ago"),
                _ => io(e),
            })?;
            hasher.update(&tar);
            self.tools.packed(most);
            left -= most;
            if left == 0 {
                let more = tail.min(FRAME_BYTES - tar.len());
                let length = tar.len() + more;
                tar.resize(length, 0);
                tail -= more;
            }
            let frame = self.queue.compress(tar, LEVEL)?;
            self.queue.add(Next::Frame(frame))?;
        }
        if reader.read(&mut [0]).map_err(io)? != 0 {
            return Err(changed(source, "is longer than a moment ago"));
        }
        let digest = hasher.finish();
        self.tools.cache.learn(watch, reader.file(), digest);
        Ok(digest)
    }
}

/// Begins a pack with the first frame of a document, and has each of them compressed.
fn frames_to(queue: &Queue, kept: bool) -> impl FnMut(Buffer) -> Result<()> {
    let mut is_begun = false;
    move |frame| {
        if !std::mem::replace(&mut is_begun, true) {
            queue.add(Next::Large {
                level: DOCUMENT_LEVEL,
                kept,
            })?;
        }
        let frame = queue.compress(frame, DOCUMENT_LEVEL)?;
        queue.add(Next::Frame(frame))
    }
}

/// Whether a file shares a pack with others.
pub(crate) fn is_small(size: u64) -> bool {
    tar::member_size(size).is_some_and(|member| member + tar::END <= FRAME_BYTES as u64)
}

fn changed(source: &Source, how: &str) -> Error {
    Error::new(Code::LengthMismatch, source.subject(), how)
}
