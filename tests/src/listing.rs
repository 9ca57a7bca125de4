//! Everything below a folder, so that two moments can be compared.

use std::{
    collections::BTreeMap,
    fmt,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use sealift_verifier::digest::Digest;

/// Paths below a folder, each with its kind, mode, and content: the digest of a file, the target of a link.
#[derive(Clone, PartialEq, Eq)]
pub struct Listing {
    entries: BTreeMap<String, String>,
    inodes: BTreeMap<String, u64>,
}

impl Listing {
    /// What is below `folder`.
    pub fn of(folder: &Path) -> Self {
        let mut listing = Self {
            entries: BTreeMap::new(),
            inodes: BTreeMap::new(),
        };
        listing.add(folder, folder);
        listing
    }

    /// The paths.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Without what is below `part`, such as a lock that changes with every look at it.
    #[must_use]
    pub fn without(mut self, part: &str) -> Self {
        let keep = |path: &String| path != part && !path.starts_with(&format!("{part}/"));
        self.entries.retain(|path, _| keep(path));
        self.inodes.retain(|path, _| keep(path));
        self
    }

    /// What is in one of them only, or differs; empty if they are the same.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, entry) in &self.entries {
            match other.entries.get(path) {
                None => lines.push(format!("- {path} {entry}")),
                Some(new) if new != entry => lines.push(format!("! {path} {entry} -> {new}")),
                Some(_) => {}
            }
        }
        let added = other
            .entries
            .iter()
            .filter(|(path, _)| !self.entries.contains_key(*path));
        lines.extend(added.map(|(path, entry)| format!("+ {path} {entry}")));
        lines
    }

    /// Paths of both that are other files now than they were, even if their content is the same.
    pub fn rewritten(&self, other: &Self) -> Vec<String> {
        let is_new = |(path, inode): (&String, &u64)| {
            let now = other.inodes.get(path)?;
            (now != inode).then(|| path.clone())
        };
        self.inodes.iter().filter_map(is_new).collect()
    }

    fn add(&mut self, folder: &Path, path: &Path) {
        let fail = |e: std::io::Error| -> ! { panic!("{}: {e}", path.display()) };
        let meta = path.symlink_metadata().unwrap_or_else(|e| fail(e));
        let mode = meta.permissions().mode() & 0o7777;
        let name = path
            .strip_prefix(folder)
            .unwrap_or(path)
            .display()
            .to_string();
        let entry = if meta.is_dir() {
            for entry in std::fs::read_dir(path).unwrap_or_else(|e| fail(e)) {
                self.add(folder, &entry.unwrap_or_else(|e| fail(e)).path());
            }
            format!("folder {mode:o}")
        } else if meta.is_symlink() {
            let target = std::fs::read_link(path).unwrap_or_else(|e| fail(e));
            format!("link to {}", target.display())
        } else {
            self.inodes.insert(name.clone(), meta.ino());
            let bytes = std::fs::read(path).unwrap_or_else(|e| fail(e));
            format!("file {mode:o} {} {}", bytes.len(), Digest::of(&bytes))
        };
        self.entries.insert(name, entry);
    }
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.entries).finish()
    }
}
