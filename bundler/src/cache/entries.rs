//! The folder of a cache: files that appear in one step and are not believed before their digest has matched.
//!
//! Nothing here is synced: what a crash leaves behind does not have its digest, and is thrown away when it is used.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::AsRawFd,
        unix::fs::{DirBuilderExt, MetadataExt},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{CWD, Mode, OFlags};
use sealift_verifier::digest::Digest;
use tempfile::NamedTempFile;

use super::CacheFolder;
use crate::error::{Code, Error, Result};

/// Another layout of the folder gets another name.
const VERSION: &str = "v1";
/// What files begin with that are being written.
const NEW: &str = ".new-";
/// After this time nobody writes them any more.
const ABANDONED: Duration = Duration::from_hours(24);
/// Length of a small value, in bytes.
const VALUE_BYTES: usize = 64 << 20;
/// So that backups leave the folder out (<https://bford.info/cachedir/>).
const TAG: (&str, &[u8]) = (
    "CACHEDIR.TAG",
    b"Signature: 8a477f597d28d172789f06886806bc55\n# Made by sealift-bundler; it may be removed at any time.\n",
);

/// An open folder that only its owner can write to.
#[derive(Debug)]
pub(super) struct Folder {
    handle: File,
    /// Leads to the open folder, whatever becomes of its name.
    path: PathBuf,
    /// A file without a name, made when the folder was opened.
    probe: File,
    limit: u64,
}

impl Folder {
    /// Opens the folder, making it if it is missing. The inner error says that it cannot be used; the outer one,
    /// that it must not be.
    pub(super) fn open(asked: CacheFolder<'_>) -> Result<io::Result<Self>> {
        let mut private = std::fs::DirBuilder::new();
        private.recursive(true).mode(0o700);
        let open = |path: &Path| -> io::Result<(File, PathBuf)> {
            private.create(path)?;
            let handle = File::open(path)?;
            let path = format!("/proc/self/fd/{}", handle.as_raw_fd()).into();
            Ok((handle, path))
        };
        let (outer, path) = match open(asked.path) {
            Ok(opened) => opened,
            Err(e) => return Ok(Err(e)),
        };
        only_ours(&outer, asked.path)?;
        let tag = if path.join(TAG.0).exists() {
            Ok(())
        } else {
            write(&path, TAG.0, &[TAG.1])
        };
        let (handle, path) = match tag.and_then(|()| open(&path.join(VERSION))) {
            Ok(opened) => opened,
            Err(e) => return Ok(Err(e)),
        };
        only_ours(&handle, &asked.path.join(VERSION))?;
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        Ok(
            match rustix::fs::openat(CWD, &path, flags, Mode::RUSR | Mode::WUSR) {
                Ok(probe) => Ok(Self {
                    handle,
                    path,
                    probe: probe.into(),
                    limit: asked.limit,
                }),
                Err(e) => Err(e.into()),
            },
        )
    }

    /// Whether there is one.
    pub(super) fn is_made(path: &Path) -> bool {
        path.join(VERSION).is_dir()
    }

    /// The folder itself.
    pub(super) fn handle(&self) -> &File {
        &self.handle
    }

    /// A file that was made when the folder was opened.
    pub(super) fn probe(&self) -> &File {
        &self.probe
    }

    /// Opens an entry.
    pub(super) fn open_entry(&self, name: &str) -> Option<File> {
        File::open(self.path.join(name)).ok()
    }

    /// Says that an entry was used, which changes its times.
    pub(super) fn touch(file: &File) {
        let now = rustix::fs::Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_NOW,
        };
        // Only which entry goes first depends on it.
        let _ = rustix::fs::futimens(
            file,
            &rustix::fs::Timestamps {
                last_access: now,
                last_modification: now,
            },
        );
    }

    /// All of an entry of at most `most` bytes, and the file that it is.
    pub(super) fn read(&self, name: &str, most: usize) -> Option<(Vec<u8>, File)> {
        let file = self.open_entry(name)?;
        let length = file.metadata().ok()?.len();
        let mut bytes = Vec::with_capacity(usize::try_from(length).ok()?.min(most) + 1);
        Self::touch(&file);
        let mut content = (&file).take(most as u64 + 1);
        content.read_to_end(&mut bytes).ok()?;
        (bytes.len() <= most).then_some((bytes, file))
    }

    /// Puts an entry in its place, in one step. That this fails is nothing that a build has to know.
    pub(super) fn write(&self, name: &str, parts: &[&[u8]]) {
        let _ = write(&self.path, name, parts);
    }

    /// An entry that is written bit by bit, and where to put it in the end.
    pub(super) fn begin(&self, name: &str) -> io::Result<(NamedTempFile, PathBuf)> {
        Ok((new(&self.path)?, self.path.join(name)))
    }

    /// Drops an entry.
    pub(super) fn remove(&self, name: &str) {
        let _ = std::fs::remove_file(self.path.join(name));
    }

    /// A small value: its digest comes first, that of what it was made of is in its name.
    pub(super) fn value(&self, kind: &str, digest: Digest) -> Option<Vec<u8>> {
        let name = value_name(kind, digest);
        let (mut bytes, _) = self.read(&name, VALUE_BYTES)?;
        let sound = bytes
            .split_first_chunk::<32>()
            .is_some_and(|(found, rest)| check(&name, rest).as_bytes() == found);
        if !sound {
            self.remove(&name);
            return None;
        }
        bytes.drain(..32);
        Some(bytes)
    }

    /// Keeps a small value.
    pub(super) fn keep_value(&self, kind: &str, digest: Digest, bytes: &[u8]) {
        let name = value_name(kind, digest);
        if bytes.len() + 32 <= VALUE_BYTES {
            self.write(&name, &[check(&name, bytes).as_bytes(), bytes]);
        }
    }

    /// Removes what was not used for longest, until the rest fits.
    pub(super) fn make_room(&self) {
        let Ok(entries) = std::fs::read_dir(&self.path) else {
            return;
        };
        let now = self.probe.metadata().and_then(|m| m.modified());
        let (mut all, mut sum) = (Vec::new(), 0_u64);
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let used = metadata.modified();
            let age = now
                .as_ref()
                .ok()
                .zip(used.as_ref().ok())
                .and_then(|(now, used)| now.duration_since(*used).ok());
            let new = entry.file_name().to_string_lossy().starts_with(NEW);
            if !new {
                sum = sum.saturating_add(metadata.len());
                all.push((used.ok(), metadata.len(), entry.path()));
            } else if age.is_some_and(|age| age > ABANDONED) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        all.sort();
        for (_, length, path) in all {
            if sum <= self.limit {
                break;
            }
            if std::fs::remove_file(path).is_ok() {
                sum = sum.saturating_sub(length);
            }
        }
    }
}

fn value_name(kind: &str, digest: Digest) -> String {
    format!("{kind}-{digest}")
}

/// The digest of an entry with its name, so that none can stand in another's place.
fn check(name: &str, bytes: &[u8]) -> Digest {
    let mut hasher = sealift_verifier::digest::Hasher::default();
    hasher.update(name.as_bytes());
    hasher.update(bytes);
    hasher.finish()
}

fn new(folder: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(NEW).tempfile_in(folder)
}

fn write(folder: &Path, name: &str, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = new(folder)?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    let path = folder.join(name);
    // ext4 writes what takes the place of another file to the disk at once, and its caller waits (auto_da_alloc).
    let _ = std::fs::remove_file(&path);
    file.persist(path).map(drop).map_err(|e| e.error)
}

/// Refuses a folder that somebody else could fill.
fn only_ours(handle: &File, path: &Path) -> Result<()> {
    let metadata = handle
        .metadata()
        .map_err(|e| Error::io(path.display(), e))?;
    let refuse = |how: String| {
        Err(Error::new(
            Code::CacheUnsafe,
            path.display().to_string(),
            how,
        ))
    };
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() != own {
        return refuse(format!(
            "belongs to user {}, not to user {own}, who builds",
            metadata.uid()
        ));
    }
    if metadata.mode() & 0o022 != 0 {
        return refuse(format!(
            "has mode {:03o}: others may write to it",
            metadata.mode() & 0o777
        ));
    }
    Ok(())
}
