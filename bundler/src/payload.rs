//! Writing the payload of a bundle in one pass: packs and blobs, from the byte on that follows the head.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{JoinHandle, Scope, ScopedJoinHandle},
};

use rustix::fs::FallocateFlags;
use sealift_verifier::{
    digest::{Digest, Hasher},
    release::BlobRef,
    tar,
};

use crate::{
    build::Tools,
    cache::{Cache, Seen, Watch, look},
    error::{Code, Error, Result},
    output::NEW,
};

/// After so many bytes the disk is asked to begin, so that the last sync has little left to wait for.
const FLUSH_BYTES: u64 = 32 << 20;
/// How much is copied at once.
const PIECE: usize = 1 << 20;
/// The same of what is hashed on the way: it should still be near the processor when it is written.
const HASHED_PIECE: usize = 256 << 10;
/// From how many bytes on the file system is asked for room before they are written.
const LARGE: u64 = 64 << 10;
/// How many headers of members that are copied wait until they are written.
const MOST_HEADERS: usize = 1024;
/// How many copies may wait, however many files may be open.
const MOST_WAITING: usize = 4096;

/// The payload, being written. Everything is written to where it belongs, by several threads.
pub(crate) struct Payload<'s> {
    file: &'s File,
    position: u64,
    /// Headers of members that are copied, and where they go: these are written many at once, because whoever writes waits
    /// for those who copy.
    headers: Vec<(u64, [u8; 512])>,
    turn: Arc<Mutex<()>>,
    copies: Option<SyncSender<Job>>,
    copiers: Vec<ScopedJoinHandle<'s, Result<Vec<Digest>>>>,
    /// The last to be dropped: it waits for the copiers, and they for the end of `copies`.
    flusher: Flusher,
}

/// Content that is copied as it is. If it is not known to have its digest, it is held to that on the way.
pub(crate) struct Copy {
    /// What is read.
    pub(crate) from: Arc<File>,
    /// Where it begins there.
    pub(crate) start: u64,
    /// Its length and its digest.
    pub(crate) content: BlobRef,
    /// What the file looks like as long as it holds this content.
    pub(crate) seen: Option<Seen>,
    /// Keeps what is found out of the file.
    pub(crate) watch: Option<Watch>,
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
    /// Begins at `start`; what comes before it is written later. Copies with as many threads as `tools` says.
    pub(crate) fn new<'e>(
        scope: &'s Scope<'s, 'e>,
        file: &'e File,
        start: u64,
        tools: &Tools<'e>,
    ) -> Result<Self> {
        let flusher = Flusher::new(file.try_clone().map_err(failed)?);
        let (jobs, queue) = sync_channel(most_open());
        let (queue, turn) = (Arc::new(Mutex::new(queue)), Arc::<Mutex<()>>::default());
        let cache = tools.cache;
        let workers = (0..tools.threads.max(1)).map(|_| {
            let (queue, turn) = (Arc::clone(&queue), Arc::clone(&turn));
            let to = Output {
                file,
                turn,
                dirty: flusher.dirty.clone(),
            };
            scope.spawn(move || copy_all(&queue, &to, cache))
        });
        let copiers = workers.collect();
        Ok(Self {
            file,
            position: start,
            headers: Vec::new(),
            turn,
            copies: Some(jobs),
            copiers,
            flusher,
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
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Has a member copied at some time before [`Payload::finish`] returns, and its header written before [`Payload::end`]
    /// does. Says where its content begins; behind it there are zeros, where nothing is written.
    pub(crate) fn copy(&mut self, path: &str, copy: Copy) -> Result<u64> {
        let size = copy.content.size();
        let start = self.position + tar::BLOCK;
        self.headers.push((self.position, tar::header(path, size)));
        if self.headers.len() == MOST_HEADERS {
            self.write_headers()?;
        }
        if let Some(copies) = &self.copies {
            // If no thread is left to take it, `finish` says why.
            let _ = copies.send(Job { copy, start });
        }
        self.position = start + size + tar::padding(size);
        Ok(start)
    }

    fn write_headers(&mut self) -> Result<()> {
        let _own = self.turn.lock();
        for (position, header) in std::mem::take(&mut self.headers) {
            self.fill(position, &header)?;
        }
        Ok(())
    }

    /// Leaves room for what is known later.
    pub(crate) fn reserve(&mut self, size: u64) {
        self.position += size;
    }

    /// Fills room that was left at `position`.
    pub(crate) fn fill(&self, position: u64, bytes: &[u8]) -> Result<()> {
        make_room(self.file, position, bytes.len() as u64);
        self.file.write_all_at(bytes, position).map_err(failed)?;
        if let Some(dirty) = &self.flusher.dirty {
            dirty.add(bytes.len() as u64);
        }
        Ok(())
    }

    /// Drops everything from `position` on, which nothing was copied to.
    pub(crate) fn rewind(&mut self, position: u64) -> Result<()> {
        self.file.set_len(position).map_err(failed)?;
        self.position = position;
        Ok(())
    }

    /// Ends the archive: from now on only contents are missing that are still being copied.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.write_headers()?;
        self.write(&tar::ZEROS)
    }

    /// Waits for what is being copied. Returns what of the cache was not what it should be; then the payload is worth
    /// nothing.
    pub(crate) fn finish(mut self) -> Result<Vec<Digest>> {
        self.copies = None;
        let mut damaged = Vec::new();
        for copier in self.copiers.drain(..) {
            let early = |_| Err(Error::new(Code::Io, NEW, "a copying thread ended early"));
            damaged.extend(copier.join().unwrap_or_else(early)?);
        }
        self.flusher.finish().map_err(failed)?;
        Ok(damaged)
    }
}

/// How many copies may wait for a thread, with what they read open: so many that who makes the last packs and the head need
/// not wait for them, and half as many as files may be open.
pub(crate) fn most_open() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let most = limit.and_then(|limit| usize::try_from(limit / 2).ok());
    most.map_or(MOST_WAITING, |most| most.min(MOST_WAITING))
}

fn failed(error: std::io::Error) -> Error {
    Error::io(NEW, error)
}

/// Content to copy, and where it goes.
struct Job {
    copy: Copy,
    start: u64,
}

/// The file that copies are written to. It takes one write at a time, and who waits for that in the kernel may keep its core
/// busy: here they wait for their `turn`.
struct Output<'f> {
    file: &'f File,
    turn: Arc<Mutex<()>>,
    dirty: Option<Dirty>,
}

impl Output<'_> {
    /// Writes bytes, once it is our turn.
    fn write_at(&self, bytes: &[u8], position: u64) -> Result<()> {
        let own = self.turn.lock();
        (self.file).write_all_at(bytes, position).map_err(failed)?;
        drop(own);
        if let Some(dirty) = &self.dirty {
            dirty.add(bytes.len() as u64);
        }
        Ok(())
    }
}

/// Has the file system find room for much at once, and not for each page that is written.
fn make_room(file: &File, position: u64, length: u64) {
    if length > LARGE {
        // Not every file system can.
        let _ = rustix::fs::fallocate(file, FallocateFlags::empty(), position, length);
    }
}

/// Copies until nobody asks for more.
fn copy_all(queue: &Mutex<Receiver<Job>>, to: &Output<'_>, cache: &Cache) -> Result<Vec<Digest>> {
    let mut buffer = vec![0; PIECE];
    let mut damaged = Vec::new();
    loop {
        let job = queue.lock().map(|queue| queue.recv());
        let Ok(Ok(Job { copy, start })) = job else {
            return Ok(damaged);
        };
        if copy.seen.is_some() && copy_known(&copy, to, start, &mut buffer)? {
            continue;
        }
        let copied = copy_hashed(&copy, to, start, &mut buffer)?;
        let digest = copy.content.digest();
        match (copied, copy.origin, copy.watch) {
            (Ok(()), Origin::Cache(_), Some(watch)) => {
                cache.learn_entry(watch, &copy.from, digest);
            }
            (Ok(()), _, watch) => cache.learn(watch, Some(&copy.from), digest),
            (Err(_), Origin::Cache(key), _) => damaged.push(key),
            (Err(problem), Origin::Vendor(subject), _) => return Err(problem.of(subject)),
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

/// Copies content that is known, and says whether it was until the end. If not, it has to be hashed, which tells why.
fn copy_known(copy: &Copy, to: &Output<'_>, start: u64, buffer: &mut [u8]) -> Result<bool> {
    let copied = copy_bytes(copy, to, start, buffer, |_| ())?;
    Ok(copied.is_ok() && look(&copy.from) == copy.seen)
}

/// Copies exactly the bytes that it hashes. The inner error is one of what is read.
fn copy_hashed(
    copy: &Copy,
    to: &Output<'_>,
    start: u64,
    buffer: &mut [u8],
) -> Result<Result<(), Unfit>> {
    let mut hasher = Hasher::default();
    let buffer = &mut buffer[..HASHED_PIECE];
    let copied = copy_bytes(copy, to, start, buffer, |piece| hasher.update(piece))?;
    let (found, expected) = (hasher.finish(), copy.content.digest());
    Ok(match copied {
        Ok(()) if found != expected => Err(Unfit::Other { found, expected }),
        other => other,
    })
}

/// Has each piece `seen` between the read and the write of it.
fn copy_bytes(
    copy: &Copy,
    to: &Output<'_>,
    mut position: u64,
    buffer: &mut [u8],
    mut seen: impl FnMut(&[u8]),
) -> Result<Result<(), Unfit>> {
    let (mut start, mut left) = (copy.start, copy.content.size());
    make_room(to.file, position, left);
    while left > 0 {
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let piece = match copy.from.read_at(&mut buffer[..most], start) {
            Ok(0) => return Ok(Err(Unfit::Short)),
            Ok(count) => &buffer[..count],
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Ok(Err(Unfit::Unread(e))),
        };
        seen(piece);
        to.write_at(piece, position)?;
        let count = piece.len() as u64;
        (start, position, left) = (start + count, position + count, left - count);
    }
    Ok(Ok(()))
}

/// A thread that waits for the disk while others work.
struct Flusher {
    dirty: Option<Dirty>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

/// Counts what is written, and has the disk begin now and then.
#[derive(Clone)]
struct Dirty {
    begin: SyncSender<()>,
    bytes: Arc<AtomicU64>,
}

impl Dirty {
    fn add(&self, count: u64) {
        let before = self.bytes.fetch_add(count, Ordering::Relaxed);
        if before / FLUSH_BYTES != (before + count) / FLUSH_BYTES {
            // If one sync is under way and another asked for, that one will do.
            let _ = self.begin.try_send(());
        }
    }
}

impl Flusher {
    fn new(file: File) -> Self {
        let (begin, requests) = sync_channel(1);
        let thread =
            std::thread::spawn(move || requests.iter().try_for_each(|()| file.sync_data()));
        let bytes = Arc::default();
        Self {
            dirty: Some(Dirty { begin, bytes }),
            thread: Some(thread),
        }
    }

    /// Waits until nobody asks any more; all others who do have to be gone. An error of the disk is told to one caller of
    /// sync only, so that of this thread must not get lost.
    fn finish(&mut self) -> std::io::Result<()> {
        self.dirty = None;
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
