//! Downloaded targets: one flat folder, each file under its whole target path in a safe spelling.

use std::path::Path;

use sealift_verifier::{Code, Error, Result, digest::Digest, tuf::Target};

use crate::{
    keeper,
    source::{Source, encoded},
};

/// File systems take names of up to 255 bytes.
const NAME_BYTES: usize = 240;

/// Downloads `path` into `folder`, unless the very same file is there already.
pub(crate) fn download(
    folder: &Path,
    path: &str,
    target: &Target,
    served: &str,
    source: &Source,
) -> Result<()> {
    let file = folder.join(file_name(path));
    let kept = keeper::read(&file, target.length);
    if kept.is_ok_and(|bytes| target.check(&bytes, path).is_ok()) {
        return Ok(());
    }
    let bytes = source.fetch(served, target.length)?;
    let bytes =
        bytes.ok_or_else(|| Error::new(Code::NotFound, served, "is not in the repository"))?;
    target.check(&bytes, path)?;
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder.display().to_string(), e))?;
    keeper::write(&file, &bytes)
}

/// A name without slashes that is never `.`, `..` or hidden, and differs for different paths.
fn file_name(path: &str) -> String {
    let name = encoded(path, false);
    if name.len() > NAME_BYTES {
        return Digest::of(path.as_bytes()).to_hex();
    }
    match name.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}"),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn names_stay_in_the_folder_and_apart() {
        assert_eq!(file_name("a/b.txt"), "a%2Fb.txt");
        assert_eq!(file_name("../a"), "%2E.%2Fa");
        assert_eq!(file_name("/etc/passwd"), "%2Fetc%2Fpasswd");
        assert_eq!(file_name("."), "%2E");
        assert_ne!(file_name("a%2Fb"), file_name("a/b"));
        assert_eq!(file_name(&"x".repeat(999)).len(), 64);
    }
}
