//! Finished packs by their content: what was compressed once is copied.

use std::{collections::HashMap, fs::File, io::Write, os::unix::fs::FileExt, sync::Arc};

use sealift_verifier::{
    delivery::Pack,
    digest::{Digest, Hasher},
    limits::STORED_FRAME_BYTES,
    pack,
    release::BlobRef,
};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::{Cache, Seen, Watch, entries::Folder, lock};

/// Length of the description of a pack, in bytes: some 600,000 frames.
const DESCRIPTION_BYTES: u64 = 64 << 20;

/// Packs of bundles that this run has written.
pub(super) type Recent = HashMap<Digest, RecentPack>;

/// A pack that lies somewhere.
#[derive(Debug)]
pub(crate) struct CachedPack {
    pub(crate) key: Digest,
    /// The file that it is in, and where it begins.
    pub(crate) file: Arc<File>,
    pub(crate) start: u64,
    /// SHA-256 of the stored bytes.
    pub(crate) digest: Digest,
    pub(crate) pack: Pack,
    /// What the file looks like as long as its bytes have this digest. Otherwise they have to be hashed while they are
    /// copied, and are watched, so that this is known then.
    pub(crate) seen: Option<Seen>,
    pub(crate) watch: Option<Watch>,
}

/// Where a pack of an earlier bundle of this run lies.
#[derive(Debug)]
pub(super) struct RecentPack {
    file: Arc<File>,
    start: u64,
    digest: Digest,
    pack: Pack,
}

/// What follows the bytes of a pack in its entry; then comes its digest, and its length.
#[derive(Serialize, Deserialize)]
struct Description {
    key: Digest,
    digest: Digest,
    frames: Vec<BlobRef>,
}

/// The digest of all that decides about the bytes of a pack.
fn pack_key(blobs: &[BlobRef], level: i32) -> Digest {
    let mut hasher = Hasher::default();
    let compression = pack::compression();
    let how = format!(
        "{} level {level} frame {}\n",
        compression.library, compression.frame
    );
    hasher.update(how.as_bytes());
    for blob in blobs {
        hasher.update(blob.digest().as_bytes());
        hasher.update(&blob.size().to_le_bytes());
    }
    hasher.finish()
}

fn name(key: Digest) -> String {
    format!("pack-{key}")
}

impl Cache {
    /// The pack of these blobs, if it was made before with this level.
    pub(crate) fn pack(&self, blobs: &[BlobRef], level: i32) -> Option<CachedPack> {
        if self.is_distrusted() {
            return None;
        }
        let key = pack_key(blobs, level);
        if let Some(recent) = lock(&self.recent).get(&key) {
            return Some(CachedPack {
                key,
                file: Arc::clone(&recent.file),
                start: recent.start,
                digest: recent.digest,
                pack: recent.pack.clone(),
                seen: None,
                watch: None,
            });
        }
        let folder = self.folder.as_ref()?;
        let file = folder.open_entry(&name(key))?;
        let found = describe(&file, key, blobs, level);
        if found.is_none() {
            folder.remove(&name(key));
        }
        let (digest, pack) = found?;
        let (seen, watch) = self.use_entry(&file, digest, pack.stored_size());
        Some(CachedPack {
            key,
            file: Arc::new(file),
            start: 0,
            digest,
            pack,
            seen,
            watch,
        })
    }

    /// Says that an entry was used. If its first `size` bytes are known to have this digest, as they still are then, tells
    /// what it looks like now; if not, begins to watch it.
    fn use_entry(&self, file: &File, digest: Digest, size: u64) -> (Option<Seen>, Option<Watch>) {
        let mut entries = lock(&self.entries);
        let known = entries.find_in(file, 0, size);
        Folder::touch(file);
        let watch = entries.watch_own(file, size);
        match watch {
            Some(watch) if known.is_some_and(|(known, _)| known == digest) => {
                let seen = watch.seen();
                entries.learn(watch, file, digest);
                (Some(seen), None)
            }
            watch => (None, watch),
        }
    }

    /// Keeps what was found out of an entry while it was copied.
    pub(crate) fn learn_entry(&self, watch: Watch, file: &File, digest: Digest) {
        lock(&self.entries).learn(watch, file, digest);
    }

    /// Drops a pack whose bytes were not what they should be.
    pub(crate) fn remove_pack(&self, key: Digest) {
        lock(&self.recent).remove(&key);
        if let Some(folder) = &self.folder {
            folder.remove(&name(key));
        }
    }

    /// Keeps a pack of one frame.
    pub(crate) fn keep_pack(&self, pack: &Pack, frame: &[u8], digest: Digest) {
        if let Some(mut entry) = self.begin_pack(&pack.blobs, pack.level) {
            entry.write(frame);
            entry.finish(self, pack, digest);
        }
    }

    /// Begins to keep a pack; nothing without a folder.
    pub(crate) fn begin_pack(&self, blobs: &[BlobRef], level: i32) -> Option<PackEntry> {
        let folder = self.folder.as_ref()?;
        let key = pack_key(blobs, level);
        let (file, path) = folder.begin(&name(key)).ok()?;
        Some(PackEntry {
            key,
            file: Some(file),
            path,
        })
    }

    /// Remembers the packs of a bundle that was written to `file`.
    pub(crate) fn remember(&self, file: File, packs: impl Iterator<Item = (Pack, u64, Digest)>) {
        let file = Arc::new(file);
        lock(&self.recent).extend(packs.map(|(pack, start, digest)| {
            let key = pack_key(&pack.blobs, pack.level);
            (
                key,
                RecentPack {
                    file: Arc::clone(&file),
                    start,
                    digest,
                    pack,
                },
            )
        }));
    }
}

/// An entry that is being written. If that fails, there is none.
pub(crate) struct PackEntry {
    key: Digest,
    file: Option<NamedTempFile>,
    path: std::path::PathBuf,
}

impl PackEntry {
    /// Adds stored bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.file.take_if(|file| file.write_all(bytes).is_err());
    }

    /// Puts the entry in its place.
    pub(crate) fn finish(mut self, cache: &Cache, pack: &Pack, digest: Digest) {
        let description = Description {
            key: self.key,
            digest,
            frames: pack.frames.clone(),
        };
        let Ok(json) = serde_json::to_vec(&description) else {
            return;
        };
        self.write(&json);
        self.write(Digest::of(&json).as_bytes());
        self.write(&(json.len() as u64).to_le_bytes());
        if let Some(file) = self.file
            && let Ok(file) = file.persist(self.path)
        {
            let mut entries = lock(&cache.entries);
            if let Some(watch) = entries.watch_own(&file, pack.stored_size()) {
                entries.learn(watch, &file, digest);
            }
        }
    }
}

/// Digest and frames of the pack in an entry, if it says so of itself and they fit its blobs.
fn describe(file: &File, key: Digest, blobs: &[BlobRef], level: i32) -> Option<(Digest, Pack)> {
    let length = file.metadata().ok()?.len();
    let mut end = [0; 40];
    let end_at = length.checked_sub(end.len() as u64)?;
    file.read_exact_at(&mut end, end_at).ok()?;
    let (digest, size) = end.split_first_chunk::<32>()?;
    let size = u64::from_le_bytes(size.try_into().ok()?);
    let start = end_at
        .checked_sub(size)
        .filter(|_| size <= DESCRIPTION_BYTES)?;
    let mut json = vec![0; usize::try_from(size).ok()?];
    file.read_exact_at(&mut json, start).ok()?;
    if Digest::of(&json).as_bytes() != digest {
        return None;
    }
    let description: Description = serde_json::from_slice(&json).ok()?;
    let pack = Pack {
        frames: description.frames,
        blobs: blobs.to_vec(),
        level,
    };
    let sane = pack
        .frames
        .iter()
        .all(|frame| (1..=STORED_FRAME_BYTES as u64).contains(&frame.size()));
    let fits =
        sane && pack.frame_count() == Some(pack.frames.len() as u64) && pack.stored_size() == start;
    (fits && description.key == key).then_some((description.digest, pack))
}
