//! The disk that is there.

use std::{
    fs::File,
    io::{self, Write as _},
};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};

use super::{At, Dir, Disk, Fill};

/// Makes the calls.
pub struct RealDisk;

/// Anything that is not one plain part would leave the open folder.
fn checked(at: At<'_>) -> io::Result<At<'_>> {
    let name = at.name.as_encoded_bytes();
    if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "is not the name of one thing in a folder",
        ));
    }
    Ok(at)
}

/// Opens a file that is there; a pipe or device in its place is none of ours.
fn open_to_change(at: At<'_>, more: OFlags) -> io::Result<File> {
    let at = checked(at)?;
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | more;
    let file = File::from(rustix::fs::openat(at.dir, at.name, flags, Mode::empty())?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "is no regular file",
        ))
    }
}

impl Disk for RealDisk {
    fn mkdir(&self, at: At<'_>) -> io::Result<()> {
        let at = checked(at)?;
        Ok(rustix::fs::mkdirat(at.dir, at.name, Mode::from(0o755))?)
    }

    fn create(&self, at: At<'_>, mode: u32, fill: Fill<'_>) -> io::Result<()> {
        let at = checked(at)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(at.dir, at.name, flags, Mode::from(mode))?;
        fill(&mut File::from(fd))
    }

    fn append(&self, at: At<'_>, bytes: &[u8]) -> io::Result<()> {
        open_to_change(at, OFlags::APPEND)?.write_all(bytes)
    }

    fn truncate(&self, at: At<'_>, length: u64) -> io::Result<()> {
        open_to_change(at, OFlags::empty())?.set_len(length)
    }

    fn link(&self, from: At<'_>, to: At<'_>) -> io::Result<()> {
        let (from, to) = (checked(from)?, checked(to)?);
        Ok(rustix::fs::linkat(
            from.dir,
            from.name,
            to.dir,
            to.name,
            AtFlags::empty(),
        )?)
    }

    fn symlink(&self, target: &str, at: At<'_>) -> io::Result<()> {
        let at = checked(at)?;
        Ok(rustix::fs::symlinkat(target, at.dir, at.name)?)
    }

    fn rename(&self, from: At<'_>, to: At<'_>) -> io::Result<()> {
        let (from, to) = (checked(from)?, checked(to)?);
        Ok(rustix::fs::renameat(from.dir, from.name, to.dir, to.name)?)
    }

    fn rename_new(&self, from: At<'_>, to: At<'_>) -> io::Result<()> {
        let (from, to) = (checked(from)?, checked(to)?);
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(from.dir, from.name, to.dir, to.name, flags) {
            // Some file systems of removable media cannot promise it; then looking first has to do.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                match rustix::fs::statat(to.dir, to.name, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(rustix::io::Errno::NOENT) => self.rename(from, to),
                    Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                    Err(e) => Err(e.into()),
                }
            }
            other => Ok(other?),
        }
    }

    fn remove_file(&self, at: At<'_>) -> io::Result<()> {
        let at = checked(at)?;
        Ok(rustix::fs::unlinkat(at.dir, at.name, AtFlags::empty())?)
    }

    fn remove_dir(&self, at: At<'_>) -> io::Result<()> {
        let at = checked(at)?;
        Ok(rustix::fs::unlinkat(at.dir, at.name, AtFlags::REMOVEDIR)?)
    }

    fn sync_file(&self, at: At<'_>) -> io::Result<()> {
        let at = checked(at)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(at.dir, at.name, flags, Mode::empty())?;
        Ok(rustix::fs::fsync(fd)?)
    }

    fn sync_dir(&self, dir: &Dir) -> io::Result<()> {
        Ok(rustix::fs::fsync(dir)?)
    }

    fn sync_fs(&self, dir: &Dir) -> io::Result<()> {
        Ok(rustix::fs::syncfs(dir)?)
    }
}
