//! Every call that changes the file system at a site, and the only module that makes any.
//!
//! [`Disk`] is the small trait that all of them pass, so that a test can cut or fail each of them, one by
//! one. [`Dir`] is a folder that was opened once: everything below it is reached from its handle, never by
//! following a symbolic link and never upwards (`openat2` with `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`,
//! Linux 5.6). [`Writer`] puts the calls together to what the rest of this crate wants: a file replaced
//! durably, a tree removed.

mod dir;
#[cfg(any(test, feature = "fault-points"))]
pub mod faults;
mod real;
mod writer;

use std::{ffi::OsStr, fs::File, io};

pub use dir::{Dir, Kind, Status};
pub use real::RealDisk;
pub use writer::{ReplaceError, Writer};

/// A name in an open folder: where something is made, changed or removed.
#[derive(Clone, Copy)]
pub struct At<'a> {
    /// The folder.
    pub dir: &'a Dir,
    /// One part of a path; anything with a `/` is refused.
    pub name: &'a OsStr,
}

impl At<'_> {
    /// The path, for messages.
    pub fn path(&self) -> String {
        self.dir.path().join(self.name).display().to_string()
    }
}

/// Writes the content of a new file.
pub type Fill<'a> = &'a mut dyn FnMut(&mut File) -> io::Result<()>;

/// The calls that change the file system. None of them follows a symbolic link in its last part.
pub trait Disk: Sync {
    /// Makes a folder with mode 0755.
    fn mkdir(&self, at: At<'_>) -> io::Result<()>;
    /// Makes a file that must not be there yet, with this mode, and lets `fill` write it. Not synced.
    fn create(&self, at: At<'_>, mode: u32, fill: Fill<'_>) -> io::Result<()>;
    /// Writes bytes after the last one of a file that is there. Not synced.
    fn append(&self, at: At<'_>, bytes: &[u8]) -> io::Result<()>;
    /// Cuts a file off after `length` bytes. Not synced.
    fn truncate(&self, at: At<'_>, length: u64) -> io::Result<()>;
    /// Gives a file a second name.
    fn link(&self, from: At<'_>, to: At<'_>) -> io::Result<()>;
    /// Makes a symbolic link with this target.
    fn symlink(&self, target: &str, at: At<'_>) -> io::Result<()>;
    /// Renames; what is at `to` is replaced.
    fn rename(&self, from: At<'_>, to: At<'_>) -> io::Result<()>;
    /// Renames; fails if something is at `to`.
    fn rename_new(&self, from: At<'_>, to: At<'_>) -> io::Result<()>;
    /// Removes a file or symbolic link.
    fn remove_file(&self, at: At<'_>) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_dir(&self, at: At<'_>) -> io::Result<()>;
    /// Waits until a file's content is on the medium (`fsync`).
    fn sync_file(&self, at: At<'_>) -> io::Result<()>;
    /// Waits until the names in a folder are on the medium (`fsync`).
    fn sync_dir(&self, dir: &Dir) -> io::Result<()>;
    /// Waits until everything on the folder's file system is on the medium (`syncfs`). One call for
    /// 70,000 files takes seconds where one `fsync` each takes minutes.
    fn sync_fs(&self, dir: &Dir) -> io::Result<()>;
}
