//! Bundles that lie in a folder. Whoever can write there is nobody we know, and the medium may be pulled out at any
//! time; nothing is ever written to it.

use std::{
    ffi::OsStr,
    fs::{self, File, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};
use sealift_verifier::{digest::Digest, error::printable};

/// Names of a folder that are looked at.
const NAMES: usize = 100_000;
/// Bundles of a folder that are looked at.
pub(super) const BUNDLES: usize = 10_000;

/// A file that may be a bundle.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// What it is called in messages.
    pub(super) name: String,
    pub(super) identity: Identity,
}

/// What changes when a file is written to or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Found {
    /// Stands for this file with this content, also when its medium is mounted again.
    pub(super) fn mark(&self, more: &str) -> Digest {
        let Identity { size, modified, .. } = self.identity;
        Digest::of(format!("{}\0{size}\0{modified:?}\0{more}", self.path.display()).as_bytes())
    }

    /// Stands for this very file as it is, and for no copy of it.
    pub(super) fn exact_mark(&self, more: &str) -> Digest {
        let Identity { inode, changed, .. } = self.identity;
        self.mark(&format!("{inode}\0{changed:?}\0{more}"))
    }

    /// Opens it for reading; nothing if it is another file than was found.
    pub(super) fn open(&self) -> io::Result<Option<File>> {
        // A pipe must not hold us, and a link must not lead us elsewhere, if one came in the file's place.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::open(&self.path, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(rustix::io::Errno::LOOP | rustix::io::Errno::NOENT) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let same = Identity::of(&file.metadata()?) == self.identity;
        Ok(same.then_some(file))
    }
}

/// The files `*.bundle` directly in a folder, sorted by name, and whether there are more than are looked at. Symbolic
/// links, pipes and hidden files are none.
pub(super) fn list(folder: &Path) -> io::Result<(Vec<Found>, bool)> {
    let mut found = Vec::new();
    let mut names = fs::read_dir(folder)?;
    for entry in names.by_ref().take(NAMES) {
        let entry = entry?;
        let path = entry.path();
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if hidden || path.extension() != Some(OsStr::new("bundle")) {
            continue;
        }
        // What is gone already is not there.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_file() {
            found.push(Found {
                name: printable(&path.display().to_string()),
                identity: Identity::of(&metadata),
                path,
            });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    let more = found.len() > BUNDLES || names.next().is_some();
    found.truncate(BUNDLES);
    Ok((found, more))
}
