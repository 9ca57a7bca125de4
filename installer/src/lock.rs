//! One program at a time works at a site; the next one is told who it has to wait for.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
};

use sealift_verifier::time::Time;

use crate::{
    disk::Dir,
    error::{Code, Error, Result},
};

/// The file's name.
pub const FILE: &str = "lock";

/// The lock of a site, held until this is dropped or the process ends, however it ends.
#[must_use]
pub struct Lock {
    _file: File,
}

/// Takes the lock for `command`, or says who holds it (`site-locked`).
///
/// The lock is the kernel's (`flock`); what stands in the file is only for people. It is therefore no part
/// of the state and does not pass [`crate::disk::Disk`].
pub fn take(dir: &Dir, command: &str, now: Time) -> Result<Lock> {
    let path = dir.path().join(FILE);
    let error = |e| Error::io(path.display(), e);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0))
        .open(&path)
        .map_err(error)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(e)) => return Err(error(e)),
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Whatever cannot be read there is no reason to say less than that it is locked.
            let _ = file.take(1000).read_to_string(&mut holder);
            let holder: String = holder.trim().chars().filter(|c| !c.is_control()).collect();
            let who = if holder.is_empty() {
                "another program"
            } else {
                &holder
            };
            let detail = format!("is in use by {who}");
            return Err(Error::new(
                Code::SiteLocked,
                dir.path().display().to_string(),
                detail,
            ));
        }
    }
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let holder = format!(
        "sealift-installer {command}, process {} on {host}, since {now}\n",
        std::process::id()
    );
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(holder.as_bytes()))
        .map_err(error)?;
    Ok(Lock { _file: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let now = Time::from_unix(0).unwrap();
        let first = take(&dir, "apply", now).unwrap();
        let error = take(&dir, "prune", now).err().unwrap();
        assert_eq!(error.kind(), Some(Code::SiteLocked));
        let text = error.to_string();
        let process = format!("process {}", std::process::id());
        assert!(
            text.contains("sealift-installer apply") && text.contains(&process),
            "{text}"
        );
        drop(first);
        let _second = take(&dir, "prune", now).unwrap();
    }
}
