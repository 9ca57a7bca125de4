//! Where results are written: a new file beside the old one, which takes its place at the end.

use std::{fs::File, path::Path};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// A new file beside `out`, so that it can take its place by a rename.
pub(crate) fn beside(out: &Path) -> Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder_of(out);
    tempfile::Builder::new()
        .prefix(".sealift-")
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(|e| Error::io(folder.display(), e))
}

/// Puts a finished file, synced already, in the place of `out` and syncs the folder.
pub(crate) fn publish(file: NamedTempFile, out: &Path) -> Result<()> {
    file.persist(out)
        .map_err(|e| Error::io(out.display(), e.error))?;
    let folder = folder_of(out);
    File::open(folder)
        .and_then(|f| f.sync_all())
        .map_err(|e| Error::io(folder.display(), e))
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}
