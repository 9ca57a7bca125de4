//! What earlier builds found out: the digests of files that have not changed since, and finished packs by
//! their content. A cache makes a build faster and never another: without it, the bytes are the same.
//!
//! Two things are kept. `records` say which content a file had when it looked exactly as it does now, so that
//! it need not be read, and `known` is how they are stored; `entries` are results under the digest of everything that they were made of. There are records of
//! them too: those that changed since they were written are hashed again while they are used. See docs/decisions/0005-cache.md for what may fool a cache and does not fool
//! this one.

mod entries;
mod known;
mod packs;
mod records;

use std::{
    fs::File,
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use sealift_verifier::{digest::Digest, release::BlobRef};

use self::{
    entries::Folder,
    packs::Recent,
    records::{Of, Records},
};
use crate::{error::Result, plan::Source};

pub use self::records::{Seen, Watch};
pub(crate) use self::{
    packs::CachedPack,
    records::{LOOKS, look},
};

/// How large a cache folder may become if nobody says otherwise, in bytes.
pub const DEFAULT_BYTES: u64 = 20_000_000_000;

/// What is kept of earlier builds, in a folder, and of earlier ones in this run, without one. It may be used by
/// several threads, and its folder by several builds, at once.
#[derive(Debug)]
pub struct Cache {
    folder: Option<Folder>,
    records: Mutex<Records>,
    /// Of its own entries.
    entries: Mutex<Records>,
    recent: Mutex<Recent>,
    /// Something in it proved wrong; nothing is taken from it any more.
    distrusted: AtomicBool,
    /// Bytes of sources that were not read.
    unread: AtomicU64,
}

/// Where the cache of a build is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheFolder<'a> {
    /// The folder; it is made if it is missing.
    pub path: &'a Path,
    /// How many bytes it may hold when a build ends; what was not used for longest goes first.
    pub limit: u64,
}

impl CacheFolder<'_> {
    /// Whether there is a cache in this folder.
    pub(crate) fn is_made(path: &Path) -> bool {
        Folder::is_made(path)
    }
}

impl Cache {
    /// A cache that keeps only what this run needs again: several bundles of one release share their packs.
    pub fn of_this_run() -> Self {
        Self::with(None, Records::default(), Records::default())
    }

    /// Opens the cache in a folder, or one of this run if it cannot be used, with the reason: a full or
    /// read-only disk is no reason not to build.
    ///
    /// # Errors
    /// `cache-unsafe` if the folder belongs to somebody else or others may write to it: they could decide what is in a
    /// bundle that is then signed.
    pub fn open(folder: CacheFolder<'_>) -> Result<(Self, Option<String>)> {
        match Folder::open(folder)? {
            Ok(folder) => {
                let records = Records::read(Of::Sources, &folder);
                let entries = Records::read(Of::Entries, &folder);
                Ok((Self::with(Some(folder), records, entries), None))
            }
            Err(e) => {
                let reason = format!("{}: {e}", folder.path.display());
                Ok((Self::of_this_run(), Some(reason)))
            }
        }
    }

    fn with(folder: Option<Folder>, records: Records, entries: Records) -> Self {
        Self {
            folder,
            records: Mutex::new(records),
            entries: Mutex::new(entries),
            recent: Mutex::default(),
            distrusted: AtomicBool::new(false),
            unread: AtomicU64::new(0),
        }
    }

    /// A small value that was kept under `kind`, a word in lower case, and the digest of what it was made of.
    pub fn get(&self, kind: &str, digest: Digest) -> Option<Vec<u8>> {
        self.folder.as_ref()?.value(kind, digest)
    }

    /// Keeps a small value. That this fails is nothing that a build has to know.
    pub fn put(&self, kind: &str, digest: Digest, bytes: &[u8]) {
        if let Some(folder) = &self.folder {
            folder.keep_value(kind, digest, bytes);
        }
    }

    /// The digest of a file with `size` bytes, if it is known to have been this one since it was last read.
    pub(crate) fn known(&self, source: &Source, size: u64) -> Option<Digest> {
        if self.is_distrusted() {
            return None;
        }
        let found = lock(&self.records).find(source, size)?;
        self.unread.fetch_add(size, Ordering::Relaxed);
        Some(found)
    }

    /// Begins to watch a file that is about to be hashed; nothing if what is found out could not be kept.
    pub(crate) fn watch(&self, source: &Source, file: Option<&File>) -> Option<Watch> {
        lock(&self.records).watch(source, file?)
    }

    /// Keeps the digest of what was read, if the file is still as it was when it began to be watched.
    pub(crate) fn learn(&self, watch: Option<Watch>, file: Option<&File>, digest: Digest) {
        if let (Some(watch), Some(file)) = (watch, file) {
            lock(&self.records).learn(watch, file, digest);
        }
    }

    /// Whether a program with `size` bytes is known to tell of no packages, by this `version` of who looked.
    pub(crate) fn has_no_packages(&self, program: &Source, size: u64, version: u32) -> bool {
        !self.is_distrusted() && lock(&self.records).has_no_packages(program, size, version)
    }

    /// Keeps that it tells of none, if it is still as it was when it began to be watched.
    pub(crate) fn learn_no_packages(&self, watch: Watch, program: &File, version: u32) {
        lock(&self.records).learn_no_packages(watch, program, version);
    }

    /// What a file looks like that is known to have `content` at `start`, as long as that is so.
    pub(crate) fn known_in(&self, file: &File, start: u64, content: BlobRef) -> Option<Seen> {
        if self.is_distrusted() {
            return None;
        }
        let (digest, seen) = lock(&self.records).find_in(file, start, content.size())?;
        (digest == content.digest()).then_some(seen)
    }

    /// Something taken from here was wrong: from now on nothing is taken.
    pub(crate) fn distrust(&self) {
        self.distrusted.store(true, Ordering::Relaxed);
    }

    /// A file was not what was known of it: what is known of others is worth no more.
    pub(crate) fn forget_files(&self) {
        lock(&self.records).forget();
        self.distrust();
    }

    /// Whether something taken from here was wrong.
    pub(crate) fn is_distrusted(&self) -> bool {
        self.distrusted.load(Ordering::Relaxed)
    }

    /// What the operating system calls the present, from a file that was just made.
    pub(crate) fn set_present(&self, new: &File) {
        lock(&self.records).set_present(new);
        lock(&self.entries).set_present(new);
    }

    /// Has changes through mappings of files written that are about to be watched, before much else has to be: whoever
    /// watches a file then need not wait for what this build writes.
    pub(crate) fn settle<'f>(&self, files: impl Iterator<Item = (&'f Source, u64)>) {
        for (source, size) in files {
            let unsettled = lock(&self.records).unsettled(source, size);
            let Some((file, device)) = unsettled else {
                continue;
            };
            let folder = file.parent().and_then(|folder| File::open(folder).ok());
            let Some(device) = folder.and_then(|folder| records::settle(&folder, device)) else {
                return;
            };
            lock(&self.records).settled(device);
        }
    }

    /// How many bytes of sources need not have been read so far.
    pub(crate) fn unread(&self) -> u64 {
        self.unread.load(Ordering::Relaxed)
    }

    /// Writes what was learned of files.
    pub(crate) fn save_files(&self) {
        if let Some(folder) = &self.folder {
            lock(&self.records).write(folder);
        }
    }

    /// Writes what was learned, and makes room.
    pub(crate) fn save(&self) {
        self.save_files();
        if let Some(folder) = &self.folder {
            lock(&self.entries).write(folder);
            folder.make_room();
        }
    }
}

/// A thread that panicked leaves nothing half done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
