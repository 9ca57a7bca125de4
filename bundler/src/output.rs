//! Where results are written: a new file beside the old one, which takes its place at the end.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use tempfile::NamedTempFile;

use crate::error::{Code, Error, Result};

/// What a bundle that is being built is called in errors, until somebody knows its name.
pub(crate) const NEW: &str = "the new bundle";
const PREFIX: &str = ".sealift-";
/// What every bundle begins with: the name of its first member (docs/format.md 3).
const FIRST: &[u8] = b"metadata/";

/// A file that is being written. It has no name before it is finished, so that whatever ends this
/// program leaves nothing behind; where a file system knows no such files, it has a temporary name.
#[derive(Debug)]
pub(crate) enum NewFile {
    Unnamed(File),
    Named(NamedTempFile),
}

impl NewFile {
    pub(crate) fn file(&mut self) -> &mut File {
        match self {
            Self::Unnamed(file) => file,
            Self::Named(file) => file.as_file_mut(),
        }
    }

    /// A path to open it by once more.
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::Unnamed(file) => by_descriptor(file),
            Self::Named(file) => file.path().to_owned(),
        }
    }
}

/// Refuses to replace anything but a bundle: a slip in a name must not cost somebody a file.
pub(crate) fn check_replaced(out: &Path) -> Result<()> {
    let mut begin = Vec::new();
    let read = File::open(out).and_then(|file| {
        let is_file = file.metadata()?.is_file();
        file.take(FIRST.len() as u64).read_to_end(&mut begin)?;
        Ok(is_file)
    });
    match read {
        Ok(true) if begin.is_empty() || begin == FIRST => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::io(out.display(), e)),
        Ok(_) => {
            let why = "is there already and is no bundle: nothing else is replaced";
            Err(Error::new(Code::Usage, out.display().to_string(), why))
        }
    }
}

/// A new file beside `out`, so that it can take its place by a rename.
pub(crate) fn beside(out: &Path) -> Result<NewFile> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder_of(out);
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::openat(CWD, folder, flags, Mode::from_raw_mode(0o644)) {
        let file = File::from(file);
        // Without /proc there would be no way to give it a name.
        if by_descriptor(&file).exists() {
            return Ok(NewFile::Unnamed(file));
        }
    }
    let named = tempfile::Builder::new()
        .prefix(PREFIX)
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(folder);
    named
        .map(NewFile::Named)
        .map_err(|e| Error::io(folder.display(), e))
}

/// Puts a finished file, synced already, in the place of `out` and syncs the folder.
pub(crate) fn publish(file: NewFile, out: &Path) -> Result<()> {
    let folder = folder_of(out);
    let replaced = match file {
        NewFile::Named(file) => file.persist(out).map(drop).map_err(|e| e.error),
        NewFile::Unnamed(file) => {
            // Only a file with a name can take the place of another one.
            let name = |path: &Path| -> io::Result<()> {
                let unnamed = by_descriptor(&file);
                rustix::fs::linkat(CWD, unnamed, CWD, path, AtFlags::SYMLINK_FOLLOW)
                    .map_err(Into::into)
            };
            let named = tempfile::Builder::new()
                .prefix(PREFIX)
                .make_in(folder, name);
            named.and_then(|named| named.persist(out).map_err(|e| e.error))
        }
    };
    replaced.map_err(|e| Error::io(out.display(), e))?;
    File::open(folder)
        .and_then(|f| f.sync_all())
        .map_err(|e| Error::io(folder.display(), e))
}

fn by_descriptor(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}
