//! Packing: reads each source once, hashes it, compresses frames beside that, and writes the payload of a
//! bundle where it belongs.
//!
//! Small files are put together into packs of one frame; a larger one has a pack of its own, whose first
//! frame holds its tar header and is written last, because only then is its digest known.

use std::{
    collections::{HashSet, VecDeque},
    io::{ErrorKind, Read},
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

use crate::{
    error::{Code, Error, Result},
    manifest::{Contents, expect, release_with},
    payload::Payload,
    plan::{Plan, PlannedBlob, PlannedContent, Source},
};

/// Length of a tar header, and what members are padded to.
const HEADER: usize = 512;

/// Everything of a bundle but its signed metadata.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) release: Release,
    pub(crate) delivery: Delivery,
    /// Where each pack begins in the file, its header left aside.
    pub(crate) starts: Vec<u64>,
}

/// Reads all that `plan` names and writes packs and blobs to `payload`. `progress` hears of source bytes
/// that were read.
pub(crate) fn pack(
    plan: &Plan,
    mut payload: Payload<'_>,
    threads: usize,
    progress: &dyn Fn(u64),
) -> Result<Packed> {
    let stored = stored_blobs(plan);
    let mut packer = Packer {
        compressor: Compressor::new(threads),
        most_pending: threads.max(1) + 1,
        payload: &mut payload,
        pending: VecDeque::new(),
        packs: Vec::new(),
        starts: Vec::new(),
        open: Small::new(),
        seen: stored.iter().map(|s| s.blob.digest()).collect(),
        progress,
    };
    let release = release_with(plan, &mut packer)?.release;
    let last = std::mem::replace(&mut packer.open, Small::new());
    packer.close(last)?;
    packer.drain(0)?;
    let Packer { packs, starts, .. } = packer;
    for blob in stored {
        store(blob, &mut payload, progress)?;
    }
    payload.finish()?;
    let delivery = delivery_of(plan, &release, packs)?;
    Ok(Packed {
        release,
        delivery,
        starts,
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

/// Copies a blob as it is and holds it to its digest on the way.
fn store(stored: &PlannedBlob, payload: &mut Payload<'_>, progress: &dyn Fn(u64)) -> Result<()> {
    let subject = stored.source.subject();
    let mut reader = stored.source.open().map_err(|e| Error::io(&subject, e))?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 20];
    let mut left = stored.blob.size();
    payload.header(&tar::blob_path(stored.blob.digest()), left)?;
    while left > 0 {
        let most = usize::try_from(left)
            .unwrap_or(buffer.len())
            .min(buffer.len());
        let count = reader
            .read(&mut buffer[..most])
            .map_err(|e| Error::io(&subject, e))?;
        if count == 0 {
            return Err(changed(
                &stored.source,
                "is shorter than its descriptor says",
            ));
        }
        hasher.update(&buffer[..count]);
        payload.write(&buffer[..count])?;
        progress(count as u64);
        left -= count as u64;
    }
    payload.write(tar::zeros_after(stored.blob.size()))?;
    match hasher.finish() {
        found if found == stored.blob.digest() => Ok(()),
        found => {
            let detail = format!(
                "has the digest {found}, its descriptor says {}",
                stored.blob.digest()
            );
            Err(Error::new(Code::DigestMismatch, subject, detail))
        }
    }
}

/// The pack that small files go to: its tar, as far as it is filled.
struct Small {
    tar: Vec<u8>,
    used: usize,
    blobs: Vec<BlobRef>,
}

impl Small {
    fn new() -> Self {
        Self {
            tar: vec![0; FRAME_BYTES],
            used: 0,
            blobs: Vec::new(),
        }
    }

    /// Whether another file fits in, with the end of the archive behind it.
    fn has_room(&self, size: usize) -> bool {
        self.used + HEADER + size.next_multiple_of(HEADER) + tar::ZEROS.len() <= self.tar.len()
    }

    /// Reads a file to where it would lie. There has to be room.
    fn read(&mut self, source: &Source, size: usize) -> Result<Digest> {
        let io = |e| Error::io(source.subject(), e);
        let start = self.used + HEADER;
        // One more byte than there should be: a file that has grown fills it. Of a file, less is read
        // than was asked for only at its end, so that the end need not be asked for again.
        let place = &mut self.tar[start..=start + size];
        let mut reader = source.open().map_err(io)?;
        let mut filled = 0;
        loop {
            match reader.read(&mut place[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(io(e)),
            }
            if filled >= size && filled > 0 {
                break;
            }
        }
        if filled != size {
            return Err(changed(source, "has another length than a moment ago"));
        }
        Ok(Digest::of(&place[..size]))
    }

    /// Keeps what was read last.
    fn keep(&mut self, digest: Digest, size: usize) {
        let header = tar::header(&tar::blob_path(digest), size as u64);
        self.tar[self.used..][..HEADER].copy_from_slice(&header);
        let end = self.used + HEADER + size;
        self.used = end.next_multiple_of(HEADER);
        self.tar[end..self.used].fill(0);
        self.blobs.push(BlobRef(digest, size as u64));
    }

    /// The whole tar, and what lies in it.
    fn finish(mut self) -> (Vec<u8>, Vec<BlobRef>) {
        self.tar.truncate(self.used);
        self.tar.extend(tar::ZEROS);
        (self.tar, self.blobs)
    }
}

struct Packer<'a, 'f> {
    compressor: Compressor,
    most_pending: usize,
    payload: &'a mut Payload<'f>,
    /// Frames under way, in the order of the bundle. A frame with blobs is a pack of its own; one without is
    /// the next frame of the newest pack.
    pending: VecDeque<(Vec<BlobRef>, PendingFrame)>,
    packs: Vec<Pack>,
    starts: Vec<u64>,
    open: Small,
    seen: HashSet<Digest>,
    progress: &'a dyn Fn(u64),
}

impl Contents for Packer<'_, '_> {
    /// Reads a source once and puts it into a pack, unless its content is in the bundle already.
    fn file(&mut self, source: &Source, size: u64) -> Result<Digest> {
        if is_small(size) {
            self.small(source, size)
        } else {
            self.large(source, size)
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
    fn small(&mut self, source: &Source, size: u64) -> Result<Digest> {
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        let mut next = (!self.open.has_room(length)).then(Small::new);
        let digest = next
            .as_mut()
            .unwrap_or(&mut self.open)
            .read(source, length)?;
        (self.progress)(size);
        if self.seen.insert(digest) {
            if let Some(next) = next {
                let full = std::mem::replace(&mut self.open, next);
                self.close(full)?;
            }
            self.open.keep(digest, length);
        }
        Ok(digest)
    }

    /// Compresses a pack of small files.
    fn close(&mut self, small: Small) -> Result<()> {
        let (tar, blobs) = small.finish();
        if blobs.is_empty() {
            return Ok(());
        }
        self.pending
            .push_back((blobs, self.compressor.compress(tar)));
        self.drain(self.most_pending)
    }

    /// Gives a file a pack of its own, unless its content turns out to be in the bundle already.
    fn large(&mut self, source: &Source, size: u64) -> Result<Digest> {
        self.drain(0)?;
        let path = Pack::path(self.packs.len());
        let start = self.payload.position();
        self.packs.push(Pack {
            frames: Vec::new(),
            blobs: Vec::new(),
        });
        self.starts.push(start + tar::BLOCK);
        self.payload
            .reserve(tar::BLOCK + HEADER_FRAME_BYTES as u64)?;

        let io = |e| Error::io(source.subject(), e);
        let mut reader = source.open().map_err(io)?;
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
            (self.progress)(most);
            left -= most;
            if left == 0 {
                let more = tail.min(FRAME_BYTES - tar.len());
                tar.resize(tar.len() + more, 0);
                tail -= more;
            }
            self.pending
                .push_back((Vec::new(), self.compressor.compress(tar)));
            self.drain(self.most_pending)?;
        }
        if reader.read(&mut [0]).map_err(io)? != 0 {
            return Err(changed(source, "is longer than a moment ago"));
        }
        self.drain(0)?;
        let digest = hasher.finish();
        let Some(pack) = self.packs.last_mut().filter(|_| self.seen.insert(digest)) else {
            self.packs.pop();
            self.starts.pop();
            self.payload.rewind(start)?;
            return Ok(digest);
        };
        let first = header_frame(&tar::header(&tar::blob_path(digest), size));
        pack.frames
            .insert(0, BlobRef(Digest::of(&first), first.len() as u64));
        pack.blobs.push(BlobRef(digest, size));
        let stored = pack.stored_size();
        self.payload
            .fill(start, &[&tar::header(&path, stored)[..], &first].concat())?;
        self.payload.write(tar::zeros_after(stored))?;
        Ok(digest)
    }

    /// Writes finished frames until at most `most` are under way.
    fn drain(&mut self, most: usize) -> Result<()> {
        while self.pending.len() > most {
            let Some((blobs, frame)) = self.pending.pop_front() else {
                break;
            };
            let frame = frame.wait().map_err(|e| Error::io("a frame", e))?;
            let stored = BlobRef(frame.digest, frame.bytes.len() as u64);
            if blobs.is_empty() {
                self.payload.write(&frame.bytes)?;
                if let Some(pack) = self.packs.last_mut() {
                    pack.frames.push(stored);
                }
            } else {
                self.payload
                    .header(&Pack::path(self.packs.len()), stored.size())?;
                self.starts.push(self.payload.position());
                self.payload.write(&frame.bytes)?;
                self.payload.write(tar::zeros_after(stored.size()))?;
                self.packs.push(Pack {
                    frames: vec![stored],
                    blobs,
                });
            }
        }
        Ok(())
    }
}

/// Whether a file shares a pack with others.
pub(crate) fn is_small(size: u64) -> bool {
    tar::member_size(size).is_some_and(|member| member + tar::END <= FRAME_BYTES as u64)
}

fn changed(source: &Source, how: &str) -> Error {
    Error::new(Code::LengthMismatch, source.subject(), how)
}
