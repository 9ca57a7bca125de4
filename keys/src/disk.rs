//! Everything that this crate reads from and writes to disk: reading is bounded, writing is durable
//! (file and folder are synced) and never replaces what is there, drafts excepted.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};

/// Mode of files with a secret key: for their owner only.
pub const SECRET: u32 = 0o600;
/// Mode of files that may be handed out.
pub const PUBLIC: u32 = 0o644;

/// Mode of the folder that secret keys lie in.
const SECRET_FOLDER: u32 = 0o700;
/// Mode of a folder that may be handed out.
const PUBLIC_FOLDER: u32 = 0o755;

/// Reads a regular file of at most `limit` bytes. The bytes are wiped when they are dropped.
pub fn read(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>> {
    let error = |e| Error::io(path, e);
    // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblock)
        .open(path)
        .map_err(error)?;
    let meta = file.metadata().map_err(error)?;
    if !meta.is_file() {
        return Err(Error::new(
            Code::NotAFile,
            path.display(),
            "is no regular file",
        ));
    }
    let too_large = || {
        Error::new(
            Code::TooLarge,
            path.display(),
            format!("is larger than {limit} bytes"),
        )
    };
    if meta.len() > limit {
        return Err(too_large());
    }
    // One buffer of the right size: a growing one would leave copies of secrets behind. The file may
    // have grown since, so one byte more than allowed is asked for.
    let size = usize::try_from(meta.len()).map_err(|_| too_large())?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(size.saturating_add(64)));
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(error)?;
    if bytes.len() as u64 > limit {
        return Err(too_large());
    }
    Ok(bytes)
}

/// Whether others than the owner of `path` may read it.
pub fn is_exposed(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0)
}

/// Makes a new file and syncs it and its folder. What is there already is never touched; what a failure
/// leaves half-written is removed.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let error = |e| Error::io(path, e);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(error)?;
    let written = fill(&mut file, bytes, mode).and_then(|()| sync_folder_of(path));
    if written.is_err() {
        // The error that matters is the first one; the file is ours, so removing it is safe.
        let _ = fs::remove_file(path);
    }
    written.map_err(error)
}

/// Publishes a file under its name in one step, so that nobody ever sees half of it. What is there
/// already is never replaced; the same bytes there are taken for done.
pub fn publish(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = write_beside(path, bytes)?;
    let renamed = rename_new(&temporary, path).map_err(|e| Error::io(path, e));
    if renamed.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    match renamed {
        Err(e) if e.kind() == Some(Code::AlreadyExists) => {
            let there = read(path, bytes.len() as u64).is_ok_and(|there| *there == bytes);
            if there { Ok(()) } else { Err(e) }
        }
        other => other,
    }?;
    sync_folder_of(path).map_err(|e| Error::io(path, e))
}

/// Replaces a draft in one step: afterwards there is the old or the new one, never half of either.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one module of the crate that writes"
)]
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = write_beside(path, bytes)?;
    let renamed = fs::rename(&temporary, path);
    if renamed.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    renamed
        .and_then(|()| sync_folder_of(path))
        .map_err(|e| Error::io(path, e))
}

/// Removes a file; one that is gone already is fine.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(path, e)),
        _ => sync_folder_of(path).map_err(|e| Error::io(path, e)),
    }
}

/// One of the files that [`create_all`] makes.
pub struct NewFile {
    /// Relative to the folder, with at most one folder of its own.
    pub path: PathBuf,
    /// Its content, wiped when it is dropped.
    pub bytes: Zeroizing<Vec<u8>>,
    /// [`SECRET`] or [`PUBLIC`].
    pub mode: u32,
}

/// Makes all `files` below `folder`, or none of them. If `folder` is not there yet, it appears in one
/// step with everything in it; its parent has to be there.
pub fn create_all(folder: &Path, files: &[NewFile]) -> Result<()> {
    let mut made = Made::default();
    match fs::symlink_metadata(folder) {
        Ok(_) => made.fill(folder, files)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let staged = beside(folder)?;
            made.folder(&staged, SECRET_FOLDER)?;
            made.fill(&staged, files)?;
            rename_new(&staged, folder).map_err(|e| Error::io(folder, e))?;
            made.keep();
            return sync_folder_of(folder).map_err(|e| Error::io(folder, e));
        }
        Err(e) => return Err(Error::io(folder, e)),
    }
    made.keep();
    Ok(())
}

/// Refuses if any of `paths`, relative to `folder`, is there already.
pub fn refuse_present(folder: &Path, paths: impl IntoIterator<Item = PathBuf>) -> Result<()> {
    for path in paths {
        let path = folder.join(path);
        if fs::symlink_metadata(&path).is_ok() {
            return Err(Error::new(
                Code::AlreadyExists,
                path.display(),
                "is there already",
            ));
        }
    }
    Ok(())
}

/// What was made so far; dropping it removes that again.
#[derive(Default)]
struct Made {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Made {
    fn folder(&mut self, path: &Path, mode: u32) -> Result<()> {
        DirBuilder::new()
            .mode(mode)
            .create(path)
            .map_err(|e| Error::io(path, e))?;
        self.folders.push(path.to_owned());
        sync_folder_of(path).map_err(|e| Error::io(path, e))
    }

    fn fill(&mut self, folder: &Path, files: &[NewFile]) -> Result<()> {
        // A refusal should come before anything is written.
        refuse_present(folder, files.iter().map(|file| file.path.clone()))?;
        for file in files {
            let path = folder.join(&file.path);
            if let Some(parent) = path.parent().filter(|parent| !parent.is_dir()) {
                self.folder(parent, PUBLIC_FOLDER)?;
            }
            create(&path, &file.bytes, file.mode)?;
            self.files.push(path);
        }
        Ok(())
    }

    fn keep(mut self) {
        self.files.clear();
        self.folders.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for file in self.files.drain(..) {
            let _ = fs::remove_file(file);
        }
        for folder in self.folders.drain(..).rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Gives a new name, never one that is taken.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one module of the crate that writes"
)]
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some network file systems do not know the flag. A hard link refuses a taken name, too; for
        // a folder, rename(2) itself refuses all but an empty one.
        Err(Errno::INVAL | Errno::NOSYS) if from.is_dir() => fs::rename(from, to),
        Err(Errno::INVAL | Errno::NOSYS) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        other => Ok(other?),
    }
}

fn write_beside(path: &Path, bytes: &[u8]) -> Result<PathBuf> {
    let temporary = beside(path)?;
    create(&temporary, bytes, PUBLIC)?;
    Ok(temporary)
}

/// A free name in the same folder, so that a rename to `path` stays within one file system.
fn beside(path: &Path) -> Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| Error::new(Code::Usage, path.display(), "names no file or folder"))?;
    let mut random = [0; 8];
    fill_random(&mut random)?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{:016x}", u64::from_ne_bytes(random)));
    Ok(path.with_file_name(temporary))
}

/// Fills `buffer` with random bytes from the operating system.
pub fn fill_random(buffer: &mut [u8]) -> Result<()> {
    getrandom::fill(buffer)
        .map_err(|e| Error::new(Code::NoRandomness, "random numbers", e.to_string()))
}

fn fill(file: &mut File, bytes: &[u8], mode: u32) -> io::Result<()> {
    if mode == PUBLIC {
        // The umask may have taken bits away. A medium without modes (FAT) may refuse, and may.
        let _ = file.set_permissions(fs::Permissions::from_mode(mode));
    }
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the name of `path` durable: without this a power cut may lose a file that was synced itself.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(path: &str, content: &str) -> NewFile {
        NewFile {
            path: path.into(),
            bytes: Zeroizing::new(content.as_bytes().to_vec()),
            mode: SECRET,
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_half_made_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b");
        create(&path, b"old", SECRET).unwrap();
        let error = create(&path, b"new", SECRET).unwrap_err();
        assert_eq!(error.kind(), Some(Code::AlreadyExists));
        // The second file of three is there already, found only after the first: nothing else appears.
        let files = [new("a", "1"), new("b", "2"), new("root/c", "3")];
        assert_eq!(
            create_all(folder.path(), &files).unwrap_err().kind(),
            Some(Code::AlreadyExists)
        );
        assert_eq!(names(folder.path()), ["b"]);
        assert_eq!(*read(&path, 10).unwrap(), b"old");
        // A failure in the middle takes back what was made before it.
        let files = [new("a", "1"), new("root/c", "3"), new("x/y/z", "4")];
        create_all(folder.path(), &files).unwrap_err();
        assert_eq!(names(folder.path()), ["b"]);
        let whole = folder.path().join("new");
        create_all(&whole, &files).unwrap_err();
        assert_eq!(names(folder.path()), ["b"]);
        create_all(&whole, &files[..2]).unwrap();
        assert_eq!(names(&whole), ["a", "root"]);
    }

    #[test]
    fn publishing_is_repeatable_and_never_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.root.json");
        publish(&path, b"one").unwrap();
        publish(&path, b"one").unwrap();
        assert_eq!(
            publish(&path, b"two").unwrap_err().kind(),
            Some(Code::AlreadyExists)
        );
        assert_eq!(*read(&path, 3).unwrap(), b"one");
        replace(&path, b"draft").unwrap();
        assert_eq!(*read(&path, 5).unwrap(), b"draft");
        assert_eq!(names(folder.path()), ["1.root.json"]);
        remove(&path).unwrap();
        remove(&path).unwrap();
    }

    #[test]
    fn reading_is_bounded_and_of_files_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        create(&path, b"12345", PUBLIC).unwrap();
        assert_eq!(read(&path, 4).unwrap_err().kind(), Some(Code::TooLarge));
        assert_eq!(
            read(folder.path(), 4).unwrap_err().kind(),
            Some(Code::NotAFile)
        );
        assert_eq!(
            read(Path::new("/dev/zero"), 4).unwrap_err().kind(),
            Some(Code::NotAFile)
        );
        assert_eq!(
            read(&folder.path().join("b"), 4).unwrap_err().kind(),
            Some(Code::NotFound)
        );
        assert!(is_exposed(&path));
    }
}
