//! What the rest of this crate does to the disk, put together from the calls of [`Disk`].

use std::{
    ffi::OsStr,
    io::{self, Write as _},
    path::Path,
};

use super::{At, Dir, Disk, Fill, Kind};
use crate::error::{Code, Error, Result};

/// Changes the file system through a [`Disk`]; errors name the path.
#[derive(Clone, Copy)]
pub struct Writer<'d>(&'d dyn Disk);

/// Why a file could not be replaced durably.
#[derive(Debug)]
pub enum ReplaceError {
    /// The old content is there.
    Unchanged(Error),
    /// The new content is there, but a power cut may bring the old one back.
    DurabilityUnknown(Error),
}

impl From<ReplaceError> for Error {
    fn from(error: ReplaceError) -> Self {
        match error {
            ReplaceError::Unchanged(error) | ReplaceError::DurabilityUnknown(error) => error,
        }
    }
}

fn about(at: At<'_>) -> impl Fn(io::Error) -> Error {
    let path = at.path();
    move |e| Error::io(&path, e)
}

impl<'d> Writer<'d> {
    /// Writes through `disk`.
    pub fn new(disk: &'d dyn Disk) -> Self {
        Self(disk)
    }

    /// The disk, for callers that look at what the operating system said.
    pub fn disk(self) -> &'d dyn Disk {
        self.0
    }

    /// Makes a folder, which may be there already.
    pub fn mkdir(self, at: At<'_>) -> Result<()> {
        match self.0.mkdir(at) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => match at.dir.status(at.name)? {
                Some(status) if status.kind == Kind::Dir => Ok(()),
                _ => Err(about(at)(e)),
            },
            other => other.map_err(about(at)),
        }
    }

    /// Makes a folder and those above it.
    pub fn mkdir_all(self, path: &Path) -> Result<()> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(());
        };
        if path.is_dir() {
            return Ok(());
        }
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        self.mkdir_all(parent)?;
        let dir = Dir::open(parent)?;
        self.mkdir(dir.at(name))?;
        self.sync_dir(&dir)
    }

    /// Makes a file with content of its own. Not synced.
    pub fn create(self, at: At<'_>, mode: u32, fill: Fill<'_>) -> Result<()> {
        self.0.create(at, mode, fill).map_err(about(at))
    }

    /// Makes a file that nobody changes any more, with these bytes. Not synced.
    pub fn create_with(self, at: At<'_>, bytes: &[u8]) -> Result<()> {
        self.create(at, 0o444, &mut |file| file.write_all(bytes))
    }

    /// Writes bytes after the last one of a file, durably. A crash may leave any part of them there.
    pub fn append(self, at: At<'_>, bytes: &[u8]) -> Result<()> {
        self.0.append(at, bytes).map_err(about(at))?;
        self.sync_file(at)
    }

    /// Cuts a file off after `length` bytes, durably.
    pub fn truncate(self, at: At<'_>, length: u64) -> Result<()> {
        self.0.truncate(at, length).map_err(about(at))?;
        self.sync_file(at)
    }

    /// Gives a file a second name.
    pub fn link(self, from: At<'_>, to: At<'_>) -> Result<()> {
        self.0.link(from, to).map_err(about(to))
    }

    /// Makes a symbolic link.
    pub fn symlink(self, target: &str, at: At<'_>) -> Result<()> {
        self.0.symlink(target, at).map_err(about(at))
    }

    /// Renames; what is at `to` is replaced.
    pub fn rename(self, from: At<'_>, to: At<'_>) -> Result<()> {
        self.0.rename(from, to).map_err(about(to))
    }

    /// Renames; `already-exists` if something is at `to`.
    pub fn rename_new(self, from: At<'_>, to: At<'_>) -> Result<()> {
        self.0.rename_new(from, to).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Error::io_as(Code::AlreadyExists, to.path(), e),
            _ => about(to)(e),
        })
    }

    /// Removes a file or symbolic link, which may be gone already. Says whether it was there.
    pub fn remove_file(self, at: At<'_>) -> Result<bool> {
        // Looking first keeps calls that change nothing from being counted as changes.
        if at.dir.status(at.name)?.is_none() {
            return Ok(false);
        }
        self.0.remove_file(at).map_err(about(at)).map(|()| true)
    }

    /// Waits until a file is on the medium.
    pub fn sync_file(self, at: At<'_>) -> Result<()> {
        self.0.sync_file(at).map_err(about(at))
    }

    /// Waits until the names in a folder are on the medium.
    pub fn sync_dir(self, dir: &Dir) -> Result<()> {
        self.0
            .sync_dir(dir)
            .map_err(|e| Error::io(dir.path().display(), e))
    }

    /// Waits until the folder's whole file system is on the medium.
    pub fn sync_fs(self, dir: &Dir) -> Result<()> {
        self.0
            .sync_fs(dir)
            .map_err(|e| Error::io(dir.path().display(), e))
    }

    /// Replaces a small file durably: written beside it, synced, renamed over it, the folder synced. After
    /// a crash at any point it has its old or its new content.
    pub fn replace(self, at: At<'_>, bytes: &[u8]) -> Result<(), ReplaceError> {
        self.put(at, bytes).map_err(ReplaceError::Unchanged)?;
        self.sync_dir(at.dir)
            .map_err(ReplaceError::DurabilityUnknown)
    }

    /// Replaces a small file as [`Writer::replace`] does, but leaves it to the caller to sync the folder: until then
    /// a crash may bring the old content back. An error leaves the old content.
    pub fn put(self, at: At<'_>, bytes: &[u8]) -> Result<()> {
        let name = temporary(at.name);
        let beside = at.dir.at(&name);
        self.remove_file(beside)?;
        self.create(beside, 0o644, &mut |file| file.write_all(bytes))?;
        self.sync_file(beside)?;
        self.rename(beside, at)
    }

    /// Writes a file that nobody has seen before, durably: beside its place, synced, renamed there.
    /// `already-exists` if something is there.
    pub fn publish(self, at: At<'_>, mode: u32, fill: Fill<'_>) -> Result<()> {
        if at.dir.status(at.name)?.is_some() {
            return Err(Error::new(
                Code::AlreadyExists,
                at.path(),
                "is there already",
            ));
        }
        let mut partial = std::ffi::OsString::from(".");
        partial.push(at.name);
        partial.push(".partial");
        let beside = at.dir.at(&partial);
        let mut write = || {
            // Left by a run that was cut.
            self.remove_file(beside)?;
            self.create(beside, mode, fill)?;
            self.sync_file(beside)?;
            self.rename_new(beside, at)?;
            self.sync_dir(at.dir)
        };
        write().inspect_err(|_| {
            // The first error is the one to tell.
            let _ = self.remove_file(beside);
        })
    }

    /// Points a symbolic link somewhere else with one rename, durably.
    pub fn replace_link(self, at: At<'_>, target: &str) -> Result<()> {
        let name = temporary(at.name);
        let beside = at.dir.at(&name);
        self.remove_file(beside)?;
        self.symlink(target, beside)?;
        self.rename(beside, at)?;
        self.sync_dir(at.dir)
    }

    /// Removes a folder with everything in it; symbolic links are removed, not followed.
    pub fn remove_tree(self, at: At<'_>) -> Result<()> {
        let dir = at.dir.dir(at.name)?;
        for (name, kind) in dir.list()? {
            if kind == Kind::Dir {
                self.remove_tree(dir.at(&name))?;
            } else {
                self.0
                    .remove_file(dir.at(&name))
                    .map_err(about(dir.at(&name)))?;
            }
        }
        self.0.remove_dir(at).map_err(about(at))
    }
}

/// The name that a file has while it is written.
fn temporary(name: &OsStr) -> std::ffi::OsString {
    let mut name = name.to_owned();
    name.push(".tmp");
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let writer = Writer::new(&RealDisk);
        for content in ["one", "two"] {
            writer.replace(dir.at("file"), content.as_bytes()).unwrap();
            assert_eq!(dir.read("file", 10).unwrap(), content.as_bytes());
        }
        assert_eq!(dir.list().unwrap(), [("file".into(), Kind::File)]);
    }

    #[test]
    fn nothing_is_reached_through_a_link_or_upwards() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let writer = Writer::new(&RealDisk);
        writer.mkdir(dir.at("inside")).unwrap();
        writer.create_with(dir.at("secret"), b"x").unwrap();
        let inside = dir.dir("inside").unwrap();
        writer.symlink("..", inside.at("up")).unwrap();
        assert!(dir.read("inside/up/secret", 10).is_err());
        assert!(dir.dir("inside").unwrap().read("../secret", 10).is_err());
        assert!(writer.create_with(dir.at("a/b"), b"x").is_err());
        assert!(writer.create_with(dir.at(".."), b"x").is_err());
        writer.remove_tree(dir.at("inside")).unwrap();
        assert_eq!(dir.list().unwrap(), [("secret".into(), Kind::File)]);
    }

    #[test]
    fn a_new_name_never_replaces() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let writer = Writer::new(&RealDisk);
        writer.create_with(dir.at("a"), b"a").unwrap();
        writer.create_with(dir.at("b"), b"b").unwrap();
        let error = writer.rename_new(dir.at("a"), dir.at("b")).unwrap_err();
        assert_eq!(error.kind(), Some(Code::AlreadyExists));
    }
}
