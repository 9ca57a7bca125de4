//! Writing the payload of a bundle in one pass: packs and blobs, from the byte on that follows the head.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{JoinHandle, Scope, ScopedJoinHandle},
};

use sealift_verifier::{
    digest::{Digest, Hasher},
    release::BlobRef,
    tar,
};

use crate::error::{Code, Error, Result};

/// After so many bytes the disk is asked to begin, so that the last sync has little left to wait for.
const FLUSH_BYTES: u64 = 64 << 20;
/// How much is copied at once: it should still be near the processor when it is written.
const CHUNK: usize = 256 << 10;
/// How many copies wait for a thread, with what they read open: so many that who makes the last packs and the head need
/// not wait for them.
const QUEUE: usize = 128;

/// The payload, being written. Everything is written to where it belongs, by several threads.
pub(crate) struct Payload<'s> {
    file: &'s File,
    position: u64,
    flushed: u64,
    flusher: Flusher,
    copies: Option<SyncSender<Job>>,
    copiers: Vec<ScopedJoinHandle<'s, Result<Vec<Digest>>>>,
}

/// Content that is copied as it is and held to its digest on the way.
pub(crate) struct Copy {
    /// What is read.
    pub(crate) from: Arc<File>,
    /// Where it begins there.
    pub(crate) start: u64,
    /// Its length and its digest.
    pub(crate) content: BlobRef,
    /// Where it comes from.
    pub(crate) origin: Origin,
}

/// Where copied content comes from, which decides what it means if it is not what it should be.
pub(crate) enum Origin {
    /// The cache, under this key: then it is made anew.
    Cache(Digest),
    /// A file of the vendor with this name: then there is nothing to build.
    Vendor(String),
}

impl<'s> Payload<'s> {
    /// Begins at `start`; what comes before it is written later. Copies with `threads` threads.
    pub(crate) fn new<'e>(
        scope: &'s Scope<'s, 'e>,
        file: &'e File,
        start: u64,
        threads: usize,
    ) -> Result<Self> {
        let flusher = Flusher::new(file.try_clone().map_err(failed)?);
        let (copies, queue) = sync_channel(QUEUE);
        let (queue, turn) = (Arc::new(Mutex::new(queue)), Arc::default());
        let workers = (0..threads.max(1)).map(|_| {
            let (queue, turn) = (Arc::clone(&queue), Arc::clone(&turn));
            scope.spawn(move || copy_all(&queue, file, &turn))
        });
        Ok(Self {
            file,
            position: start,
            flushed: start,
            flusher,
            copies: Some(copies),
            copiers: workers.collect(),
        })
    }

    /// Where the next byte goes.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Writes the header of a member.
    pub(crate) fn header(&mut self, path: &str, size: u64) -> Result<()> {
        self.write(&tar::header(path, size))
    }

    /// Writes bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.fill(self.position, bytes)?;
        self.advance(bytes.len() as u64);
        Ok(())
    }

    /// Has content copied, at some time before [`Payload::finish`] returns.
    pub(crate) fn copy(&mut self, copy: Copy) {
        let (size, to) = (copy.content.size(), self.position);
        if let Some(copies) = &self.copies {
            // If no thread is left to take it, `finish` says why.
            let _ = copies.send((copy, to));
        }
        self.advance(size);
    }

    /// Leaves room for what is known later.
    pub(crate) fn reserve(&mut self, size: u64) {
        self.position += size;
    }

    /// Fills room that was left at `position`.
    pub(crate) fn fill(&self, position: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, position).map_err(failed)
    }

    /// Drops everything from `position` on, which nothing was copied to.
    pub(crate) fn rewind(&mut self, position: u64) -> Result<()> {
        self.file.set_len(position).map_err(failed)?;
        self.flushed = self.flushed.min(position);
        self.position = position;
        Ok(())
    }

    fn advance(&mut self, size: u64) {
        self.position += size;
        if self.position >= self.flushed + FLUSH_BYTES {
            self.flushed = self.position;
            self.flusher.begin();
        }
    }

    /// Ends the archive. Returns what of the cache was not what it should be; then the payload is worth nothing.
    pub(crate) fn finish(mut self) -> Result<Vec<Digest>> {
        self.write(&tar::ZEROS)?;
        self.copies = None;
        let mut damaged = Vec::new();
        for copier in self.copiers.drain(..) {
            let early = |_| {
                Err(Error::new(
                    Code::Io,
                    "the new bundle",
                    "a copying thread ended early",
                ))
            };
            damaged.extend(copier.join().unwrap_or_else(early)?);
        }
        self.flusher.finish().map_err(failed)?;
        Ok(damaged)
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::io("the new bundle", error)
}

/// A copy, and where it goes.
type Job = (Copy, u64);

/// Copies until nobody asks for more.
fn copy_all(queue: &Mutex<Receiver<Job>>, to: &File, turn: &Mutex<()>) -> Result<Vec<Digest>> {
    let mut buffer = vec![0; CHUNK];
    let mut damaged = Vec::new();
    loop {
        let job = queue.lock().map(|queue| queue.recv());
        let Ok(Ok((copy, position))) = job else {
            return Ok(damaged);
        };
        match (
            copy_one(&copy, to, turn, position, &mut buffer)?,
            copy.origin,
        ) {
            (Ok(()), _) => {}
            (Err(_), Origin::Cache(key)) => damaged.push(key),
            (Err(problem), Origin::Vendor(subject)) => return Err(problem.of(subject)),
        }
    }
}

/// Why content is not what it should be.
enum Unfit {
    Unread(std::io::Error),
    Short,
    Other { found: Digest, expected: Digest },
}

impl Unfit {
    fn of(self, subject: String) -> Error {
        match self {
            Self::Unread(e) => Error::io(subject, e),
            Self::Short => Error::new(
                Code::LengthMismatch,
                subject,
                "is shorter than its descriptor says",
            ),
            Self::Other { found, expected } => {
                let detail = format!("has the digest {found}, its descriptor says {expected}");
                Error::new(Code::DigestMismatch, subject, detail)
            }
        }
    }
}

/// Writes exactly the bytes that it hashes. The inner error is one of what is read. A file takes one write at a time, and
/// who waits for that in the kernel may keep its core busy: here they wait for their `turn`.
fn copy_one(
    copy: &Copy,
    to: &File,
    turn: &Mutex<()>,
    mut position: u64,
    buffer: &mut [u8],
) -> Result<Result<(), Unfit>> {
    let mut hasher = Hasher::default();
    let (mut start, mut left) = (copy.start, copy.content.size());
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(CHUNK).min(buffer.len());
        let count = match copy.from.read_at(&mut buffer[..most], start) {
            Ok(0) => return Ok(Err(Unfit::Short)),
            Ok(count) => count,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Ok(Err(Unfit::Unread(e))),
        };
        hasher.update(&buffer[..count]);
        let own = turn.lock();
        to.write_all_at(&buffer[..count], position)
            .map_err(failed)?;
        drop(own);
        let count = count as u64;
        (start, position, left) = (start + count, position + count, left - count);
    }
    let (found, expected) = (hasher.finish(), copy.content.digest());
    Ok(if found == expected {
        Ok(())
    } else {
        Err(Unfit::Other { found, expected })
    })
}

/// A thread that waits for the disk while others work.
struct Flusher {
    begin: Option<SyncSender<()>>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Flusher {
    fn new(file: File) -> Self {
        let (begin, requests) = sync_channel(1);
        let thread =
            std::thread::spawn(move || requests.iter().try_for_each(|()| file.sync_data()));
        Self {
            begin: Some(begin),
            thread: Some(thread),
        }
    }

    fn begin(&self) {
        if let Some(begin) = &self.begin {
            // If one sync is under way and another asked for, that one will do.
            let _ = begin.try_send(());
        }
    }

    /// An error of the disk is told to one caller of sync only, so that of this thread must not get lost.
    fn finish(&mut self) -> std::io::Result<()> {
        self.begin = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(std::io::Error::other("the syncing thread ended early")),
            None => Ok(()),
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}
