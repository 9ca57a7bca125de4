//! An open folder, and reading below it.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::Read,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};

use super::At;
use crate::error::{Code, Error, Result};

/// An open folder. Its path is only used in messages.
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

/// What something in a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A device, pipe or socket, none of which we ever make.
    Other,
}

impl From<FileType> for Kind {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Dir,
            FileType::Symlink => Self::Symlink,
            _ => Self::Other,
        }
    }
}

/// What the file system says of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// What it is.
    pub kind: Kind,
    /// Length in bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Number of the file itself; two names with one number are one file.
    pub inode: u64,
    /// How many names it has.
    pub links: u64,
}

const FOLDER: OFlags = OFlags::DIRECTORY
    .union(OFlags::RDONLY)
    .union(OFlags::CLOEXEC);

impl Dir {
    /// Opens a folder by a path that a person named; symbolic links in it are theirs to choose.
    pub fn open(path: &Path) -> Result<Self> {
        let fd = rustix::fs::open(path, FOLDER, Mode::empty())
            .map_err(|e| Error::io(path.display(), e.into()))?;
        Ok(Self {
            fd,
            path: path.to_owned(),
        })
    }

    /// Opens the folder that a file which a person named lies in, or is to lie in, and gives its name there.
    pub fn of_file(path: &Path) -> Result<(Self, &OsStr)> {
        let name = path.file_name().ok_or_else(|| {
            let subject = path.display().to_string();
            Error::new(Code::Usage, subject, "is not the name of a file")
        })?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        Ok((Self::open(parent)?, name))
    }

    /// Opens the folder at a relative path below this one.
    pub fn dir(&self, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Ok(Self {
            fd: self.below(path, FOLDER)?,
            path: self.path.join(path),
        })
    }

    /// Opens the regular file at a relative path below this folder, for reading.
    pub fn file(&self, path: impl AsRef<Path>) -> Result<File> {
        let path = path.as_ref();
        // Without NONBLOCK a pipe that somebody put there would hold us for ever.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(self.below(path, flags)?);
        let metadata = file.metadata().map_err(|e| self.error(path, e))?;
        if !metadata.is_file() {
            return Err(Error::new(
                Code::StateDamaged,
                self.name_of(path),
                "is no regular file",
            ));
        }
        Ok(file)
    }

    /// Reads the file at a relative path, which may have up to `limit` bytes.
    pub fn read(&self, path: impl AsRef<Path>, limit: u64) -> Result<Vec<u8>> {
        let path = path.as_ref();
        let mut bytes = Vec::new();
        self.file(path)?
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|e| self.error(path, e))?;
        if bytes.len() as u64 > limit {
            return Err(Error::new(
                Code::StateDamaged,
                self.name_of(path),
                format!("has more than {limit} bytes"),
            ));
        }
        Ok(bytes)
    }

    /// What is in this folder, sorted by name.
    pub fn list(&self) -> Result<Vec<(OsString, Kind)>> {
        let error = |e: rustix::io::Errno| Error::io(self.path.display(), e.into());
        // A second handle: the position in the listing belongs to the handle.
        let fd = self.below(Path::new("."), FOLDER)?;
        let mut found = Vec::new();
        for entry in rustix::fs::Dir::new(fd).map_err(error)? {
            let entry = entry.map_err(error)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => self.status(name)?.map_or(Kind::Other, |s| s.kind),
                kind => kind.into(),
            };
            found.push((name.to_owned(), kind));
        }
        found.sort();
        Ok(found)
    }

    /// What is called `name` in this folder, not following a symbolic link; nothing if nothing is.
    pub fn status(&self, name: &OsStr) -> Result<Option<Status>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Status {
                kind: FileType::from_raw_mode(stat.st_mode).into(),
                size: u64::try_from(stat.st_size).unwrap_or(0),
                mode: stat.st_mode & 0o7777,
                inode: stat.st_ino,
                links: stat.st_nlink,
            })),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(e) => Err(Error::io(self.path.join(name).display(), e.into())),
        }
    }

    /// Where the symbolic link called `name` leads; nothing if there is none.
    pub fn read_link(&self, name: &str) -> Result<Option<String>> {
        match rustix::fs::readlinkat(&self.fd, name, Vec::new()) {
            Ok(target) => Ok(Some(target.to_string_lossy().into_owned())),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::INVAL) => Ok(None),
            Err(e) => Err(self.error(Path::new(name), e.into())),
        }
    }

    /// Free bytes and free files of the file system; nothing for a number that it does not count.
    pub fn free(&self) -> Result<(u64, Option<u64>)> {
        let stat =
            rustix::fs::fstatvfs(&self.fd).map_err(|e| Error::io(self.path.display(), e.into()))?;
        let files = (stat.f_files > 0).then_some(stat.f_favail);
        Ok((stat.f_bavail.saturating_mul(stat.f_frsize), files))
    }

    /// A name in this folder.
    pub fn at<'a, N: AsRef<OsStr> + ?Sized>(&'a self, name: &'a N) -> At<'a> {
        At {
            dir: self,
            name: name.as_ref(),
        }
    }

    /// The path, for messages and for programs that we start.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn below(&self, path: &Path, flags: OFlags) -> Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        loop {
            match rustix::fs::openat2(&self.fd, path, flags, Mode::empty(), resolve) {
                // The kernel asks to try again when something was renamed meanwhile.
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Ok(fd) => return Ok(fd),
                Err(e) => return Err(self.error(path, e.into())),
            }
        }
    }

    fn name_of(&self, path: &Path) -> String {
        self.path.join(path).display().to_string()
    }

    fn error(&self, path: &Path, error: std::io::Error) -> Error {
        Error::io(self.name_of(path), error)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
