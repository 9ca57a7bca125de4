//! A folder as sorted entries.

use std::{
    collections::HashSet,
    fs::FileType,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, OFlags, Statx};
use sealift_verifier::{
    digest::Digest,
    json, limits,
    path::EntryPath,
    tree::{Entry, Mode, Node, stays_inside},
};
use walkdir::{DirEntry, WalkDir};

use super::Collector;
use crate::{
    build::threads,
    cache::{LOOKS, Seen},
    error::Code,
    plan::{PlannedEntry, PlannedNode, Source},
    problem::Place,
};

/// Problems of one folder that are reported; a wrong folder can have thousands.
const MOST: usize = 20;

impl Collector {
    /// Everything below `root`, sorted by path. Folders appear only if nothing lies in them.
    ///
    /// Of modes, only whether a file may be run is kept: a set-user-id bit, an owner or an extended
    /// attribute would be a privilege that the site never agreed to.
    pub(super) fn tree(&mut self, root: &Path, at: &Place) -> Option<Vec<PlannedEntry>> {
        let Looked {
            mut entries,
            mut wrong,
        } = look_at_all(root);
        // A file system may list its files in any order.
        wrong.sort();
        let more = wrong.len().saturating_sub(MOST);
        for (code, message) in wrong.iter().take(MOST) {
            self.report(at, *code, message.as_str());
        }
        if more > 0 {
            let (code, _) = wrong[MOST];
            self.report(at, code, format!("{more} more like these in this folder"));
        }
        if !wrong.is_empty() {
            return None;
        }
        let mut full: HashSet<String> = HashSet::new();
        for folder in entries.iter().filter_map(|entry| parent(&entry.path)) {
            if !full.contains(folder) {
                full.insert(folder.to_owned());
            }
        }
        entries
            .retain(|entry| entry.node != PlannedNode::Dir || !full.contains(entry.path.as_str()));
        if !fits(&entries, limits::TREE_BYTES) {
            let message = format!(
                "{} files and folders are too many for one tree",
                entries.len()
            );
            self.report(at, Code::TreeTooLarge, message);
            return None;
        }
        Some(entries)
    }
}

/// Whether there are not too many of these entries, and the JSON of a tree with them has at most `limit`
/// bytes.
fn fits(entries: &[PlannedEntry], limit: u64) -> bool {
    // Every key, a digest and a size of all digits; each character of a path or target may be escaped.
    let most = |entry: &PlannedEntry| {
        let target = if let PlannedNode::Symlink { target } = &entry.node {
            target.len()
        } else {
            0
        };
        160 + 2 * (entry.path.as_str().len() + target) as u64
    };
    if entries.len() > limits::TREE_ENTRIES {
        return false;
    }
    if entries.iter().map(most).sum::<u64>() <= limit {
        return true;
    }
    // Close to the limit it is measured: only the digests are not known yet, and all are equally long.
    let digest = Digest::of(&[]);
    let exact = |entry: &PlannedEntry| {
        let node = match &entry.node {
            PlannedNode::File { mode, size, .. } => Node::File {
                mode: *mode,
                size: *size,
                digest,
            },
            PlannedNode::Symlink { target } => Node::Symlink {
                target: target.clone(),
            },
            PlannedNode::Dir => Node::Dir,
        };
        let json = json::to_canonical(&Entry {
            path: entry.path.clone(),
            node,
        });
        json.map_or(u64::MAX, |json| json.len() as u64 + 1)
    };
    let around = r#"{"entries":[]}"#.len() as u64;
    entries.iter().map(exact).fold(around, u64::saturating_add) <= limit
}

fn parent(path: &EntryPath) -> Option<&str> {
    path.as_str().rsplit_once('/').map(|(parent, _)| parent)
}

/// What lies in a folder, sorted by path, and what is wrong with the rest, in any order.
#[derive(Default)]
struct Looked {
    entries: Vec<PlannedEntry>,
    wrong: Vec<(Code, String)>,
}

impl Looked {
    fn sort(&mut self) {
        self.entries.sort_by(|a, b| a.path.cmp(&b.path));
    }
}

/// Everything below `root`. A folder tells the names in it at once, but what each is has to be asked one by one: all cores
/// do that.
fn look_at_all(root: &Path) -> Looked {
    let found = WalkDir::new(root).min_depth(1).follow_links(false);
    let found: Vec<_> = found.into_iter().collect();
    let look = |some: &[walkdir::Result<DirEntry>]| {
        let mut folder = Folder::default();
        let mut looked = Looked::default();
        for found in some {
            match found {
                Ok(found) => match entry(root, found, &mut folder) {
                    Ok(entry) => looked.entries.push(entry),
                    Err(problem) => looked.wrong.push(problem),
                },
                Err(e) => looked.wrong.push((Code::Io, e.to_string())),
            }
        }
        looked.sort();
        looked
    };
    let share = found.len().div_ceil(threads()).max(1);
    let mut all = Looked::default();
    std::thread::scope(|scope| {
        let shares = found.chunks(share);
        let threads: Vec<_> = shares.map(|some| scope.spawn(move || look(some))).collect();
        let early = |_| Looked {
            entries: Vec::new(),
            wrong: vec![(Code::Io, "a listing thread ended early".to_owned())],
        };
        for thread in threads {
            let mut looked = thread.join().unwrap_or_else(early);
            all.entries.append(&mut looked.entries);
            all.wrong.append(&mut looked.wrong);
        }
    });
    // Parts that are sorted already are only put together.
    all.sort();
    all
}

/// The folder whose files are looked at, open, so that the way there is gone once and not for each of them.
#[derive(Default)]
struct Folder(Option<(PathBuf, OwnedFd)>);

impl Folder {
    /// What a file looks like, links not followed.
    fn look(&mut self, path: &Path) -> rustix::io::Result<Statx> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(rustix::io::Errno::INVAL);
        };
        if self.0.as_ref().is_none_or(|(open, _)| open != parent) {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = rustix::fs::open(parent, flags, rustix::fs::Mode::empty())?;
            self.0 = Some((parent.to_owned(), opened));
        }
        let (_, folder) = self.0.as_ref().ok_or(rustix::io::Errno::BADF)?;
        rustix::fs::statx(folder, name, AtFlags::SYMLINK_NOFOLLOW, LOOKS)
    }
}

fn entry(
    root: &Path,
    found: &DirEntry,
    folder: &mut Folder,
) -> Result<PlannedEntry, (Code, String)> {
    let shown = found.path().display();
    // All that is found begins with the root: comparing parts is what takes time with so many.
    let whole = found.path().as_os_str().as_bytes();
    let below = whole.get(root.as_os_str().len()..).unwrap_or(whole);
    let below = below.strip_prefix(b"/").unwrap_or(below);
    let Ok(text) = std::str::from_utf8(below) else {
        return Err((Code::PathInvalid, format!("{shown}: the name is not UTF-8")));
    };
    let path: EntryPath = text
        .parse()
        .map_err(|e| (Code::PathInvalid, format!("{shown}: {e}")))?;
    let io = |e: &dyn std::fmt::Display| (Code::Io, format!("{shown}: {e}"));
    let kind = found.file_type();
    let node = if kind.is_dir() {
        PlannedNode::Dir
    } else if kind.is_symlink() {
        let target = std::fs::read_link(found.path()).map_err(|e| io(&e))?;
        let Some(text) = target.to_str() else {
            return Err((
                Code::LinkOutside,
                format!("{shown}: the link's target is not UTF-8"),
            ));
        };
        let target = plain(text);
        if !stays_inside(&path, &target) {
            return Err((
                Code::LinkOutside,
                format!("{shown} leads to {text:?}, which may lie outside"),
            ));
        }
        PlannedNode::Symlink { target }
    } else if kind.is_file() {
        let looked = folder.look(found.path()).map_err(|e| io(&e))?;
        let executable = looked.stx_mode & 0o111 != 0;
        let mode = if executable {
            Mode::Executable
        } else {
            Mode::Plain
        };
        PlannedNode::File {
            mode,
            size: looked.stx_size,
            source: Source::File {
                path: found.path().into(),
                seen: Some(Seen::from(&looked)),
            },
        }
    } else {
        return Err((Code::SpecialFile, format!("{shown} is {}", special(kind))));
    };
    Ok(PlannedEntry { path, node })
}

/// A link's target without the parts that mean nothing: `./a//b/` leads where `a/b` does.
fn plain(target: &str) -> String {
    if target.starts_with('/') {
        return target.to_owned();
    }
    let parts: Vec<&str> = target
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    parts.join("/")
}

fn special(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_block_device() || kind.is_char_device() {
        "a device"
    } else {
        "of a kind that cannot be delivered"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_tree_is_bounded_before_it_is_read() {
        let entry = |i: usize| PlannedEntry {
            path: format!("{}{i:07}", "f".repeat(80)).parse().unwrap(),
            node: PlannedNode::File {
                mode: Mode::Plain,
                size: 1,
                source: Source::Bytes(Vec::new()),
            },
        };
        let json = json::to_canonical(&Entry {
            path: entry(0).path,
            node: Node::File {
                mode: Mode::Plain,
                size: 1,
                digest: Digest::of(&[]),
            },
        });
        let each = json.unwrap().len() + 1;
        // The last comma is counted, though there is none.
        let limit = 14 + 1000 * each as u64;
        let mut entries: Vec<PlannedEntry> = (0..1000).map(entry).collect();
        assert!(fits(&entries, limit));
        assert!(!fits(&entries, limit - 1));
        entries.push(entry(1000));
        assert!(!fits(&entries, limit));
        assert!(fits(&entries, limits::TREE_BYTES));
        assert!(fits(&[], 14));
    }

    #[test]
    fn link_targets_lose_what_means_nothing() {
        for (from, to) in [
            ("./a//b/", "a/b"),
            ("a", "a"),
            ("../x/.", "../x"),
            ("/a/../b", "/a/../b"),
            (".", ""),
        ] {
            assert_eq!(plain(from), to);
        }
    }
}
