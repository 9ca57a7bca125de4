//! A folder as content: a blob of JSON that lists its files.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, SeqAccess, Visitor},
};

use crate::{
    digest::Digest,
    error::{Code, Error, Result},
    json::{self, AuthenticBytes},
    limits,
    path::EntryPath,
};

/// What lies in a folder, sorted by path, each path once. Folders appear only if they are empty.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// Sorted by the bytes of their paths; at most [`limits::TREE_ENTRIES`].
    #[serde(deserialize_with = "entries")]
    pub entries: Vec<Entry>,
}

/// One thing in a folder. In JSON a file has `mode`, `size` and `digest`, a symbolic link has `link`, an
/// empty folder has its `path` alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "RawEntry", into = "RawEntry")]
pub struct Entry {
    /// Where it lies below the folder.
    pub path: EntryPath,
    /// What it is.
    pub node: Node,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A regular file.
    File {
        /// Whether it may be run; nothing else of the mode is kept.
        mode: Mode,
        /// Length in bytes.
        size: u64,
        /// SHA-256 of the content.
        digest: Digest,
    },
    /// A symbolic link whose target, taken from the link's own folder, stays inside the tree.
    Symlink {
        /// Relative; may begin with `..` parts.
        target: String,
    },
    /// An empty folder.
    Dir,
}

/// Reads entries, and stops before more than a tree may have take memory.
fn entries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Entry>, D::Error> {
    struct Entries;

    impl<'de> Visitor<'de> for Entries {
        type Value = Vec<Entry>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {} entries", limits::TREE_ENTRIES)
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = seq.next_element()? {
                if entries.len() == limits::TREE_ENTRIES {
                    return Err(de::Error::invalid_length(entries.len(), &self));
                }
                entries.push(entry);
            }
            Ok(entries)
        }
    }

    deserializer.deserialize_seq(Entries)
}

/// [`Entry`] as it is written: in the order of canonical JSON.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    path: EntryPath,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

impl TryFrom<RawEntry> for Entry {
    type Error = Error;

    fn try_from(raw: RawEntry) -> Result<Self> {
        let node = match (raw.mode, raw.size, raw.digest, raw.link) {
            (Some(mode), Some(size), Some(digest), None) => Node::File { mode, size, digest },
            (None, None, None, Some(target)) => Node::Symlink { target },
            (None, None, None, None) => Node::Dir,
            _ => {
                return Err(Error::new(
                    Code::BadMetadata,
                    raw.path.as_str(),
                    "is neither a file, a link nor a folder",
                ));
            }
        };
        Ok(Self {
            path: raw.path,
            node,
        })
    }
}

impl From<Entry> for RawEntry {
    fn from(entry: Entry) -> Self {
        let raw = Self {
            path: entry.path,
            mode: None,
            size: None,
            digest: None,
            link: None,
        };
        match entry.node {
            Node::File { mode, size, digest } => Self {
                mode: Some(mode),
                size: Some(size),
                digest: Some(digest),
                ..raw
            },
            Node::Symlink { target } => Self {
                link: Some(target),
                ..raw
            },
            Node::Dir => raw,
        }
    }
}

/// The only two modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub enum Mode {
    /// Can be read.
    #[serde(rename = "0644")]
    Plain,
    /// Can be read and run.
    #[serde(rename = "0755")]
    Executable,
}

impl Tree {
    /// Reads a tree whose bytes have been verified; `subject` names it in errors.
    pub fn parse(bytes: &AuthenticBytes<'_>, subject: &str) -> Result<Self> {
        let tree: Self = bytes.parse(subject)?;
        tree.check(subject)?;
        Ok(tree)
    }

    /// The canonical JSON of the tree: the blob that a release names.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        json::to_canonical_as_declared(self)
    }

    /// Holds a tree to its rules: order, nothing inside of what is no folder, links that stay inside.
    pub fn check(&self, subject: &str) -> Result<()> {
        let bad = |detail: String| Err(Error::new(Code::PathInvalid, subject, detail));
        if !self.entries.is_sorted_by(|a, b| a.path < b.path) {
            return bad("entries are not sorted by path, each path once".into());
        }
        let is_listed = |path: &str| {
            let search = |entry: &Entry| entry.path.as_str().cmp(path);
            self.entries.binary_search_by(search).is_ok()
        };
        // Folders seen already, so that the parents of 70,000 files in few folders are not looked up again.
        let mut folders = HashSet::new();
        for entry in &self.entries {
            let mut above = entry.path.as_str();
            while let Some((parent, _)) = above.rsplit_once('/') {
                if !folders.insert(parent) {
                    break;
                }
                if is_listed(parent) {
                    return bad(format!(
                        "{} lies inside {parent}, which is no folder",
                        entry.path
                    ));
                }
                above = parent;
            }
            if let Node::Symlink { target } = &entry.node
                && !stays_inside(&entry.path, target)
            {
                return bad(format!(
                    "the link {} leads outside, to {target:?}",
                    entry.path
                ));
            }
        }
        Ok(())
    }

    /// The regular files: path, whether they may be run, length, digest.
    pub fn files(&self) -> impl Iterator<Item = (&EntryPath, Mode, u64, Digest)> {
        self.entries.iter().filter_map(|e| match e.node {
            Node::File { mode, size, digest } => Some((&e.path, mode, size, digest)),
            _ => None,
        })
    }
}

/// Whether a link at `path` to `target` can only lead to places inside the tree, whatever the folders on
/// its way are: `..` may only come first, and not more often than the link lies deep.
pub fn stays_inside(path: &EntryPath, target: &str) -> bool {
    let depth = path.parts().count().saturating_sub(1);
    let ups = target.split('/').take_while(|part| *part == "..").count();
    let mut rest = target.split('/').skip(ups).peekable();
    let sane = !target.is_empty()
        && target.len() <= limits::PATH_BYTES
        && !target.chars().any(char::is_control);
    sane && ups <= depth
        && (rest.peek().is_none() || rest.all(|part| !matches!(part, "" | "." | "..")))
}
