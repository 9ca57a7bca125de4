//! Trusted metadata in a folder: `root.json`, `timestamp.json`, `snapshot.json`, `targets.json`.

use std::{
    fs::File,
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use sealift_verifier::{
    Code, Error, Result, limits,
    tuf::{RoleName, client::Keeper},
};
use tempfile::NamedTempFile;

/// The folder.
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// Makes the folder and keeps the first root in it.
    pub(crate) fn start(&mut self, root: &[u8]) -> Result<()> {
        std::fs::create_dir_all(&self.path)
            .map_err(|e| Error::io(self.path.display().to_string(), e))?;
        self.keep(RoleName::Root, root)
    }

    fn file(&self, role: RoleName) -> PathBuf {
        self.path.join(format!("{role}.json"))
    }
}

impl Keeper for Folder {
    fn load(&self, role: RoleName) -> Result<Option<Vec<u8>>> {
        let path = self.file(role);
        if !path.exists() {
            return Ok(None);
        }
        read(&path, limits::METADATA_BYTES).map(Some)
    }

    fn keep(&mut self, role: RoleName, bytes: &[u8]) -> Result<()> {
        write(&self.file(role), bytes)
    }
}

/// Reads a file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let subject = path.display().to_string();
    let file = File::open(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => Error::new(Code::NotFound, &subject, "is not there"),
        _ => Error::io(&subject, e),
    })?;
    read_all(file, limit, &subject)
}

/// Reads to the end; more than `limit` bytes are an error, never a shorter result.
pub(crate) fn read_all(reader: impl Read, limit: u64, subject: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io(subject, e))?;
    if bytes.len() as u64 > limit {
        return Err(Error::new(
            Code::LimitExceeded,
            subject,
            format!("is longer than {limit} bytes"),
        ));
    }
    Ok(bytes)
}

/// Writes a file as a whole or not at all: beside it first, then renamed.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let error = |e| Error::io(path.display().to_string(), e);
    let mut file = NamedTempFile::new_in(path.parent().unwrap_or(Path::new("."))).map_err(error)?;
    file.write_all(bytes).map_err(error)?;
    file.as_file().sync_all().map_err(error)?;
    file.persist(path).map_err(|e| error(e.error))?;
    Ok(())
}
