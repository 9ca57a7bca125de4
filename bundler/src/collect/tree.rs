//! A folder as sorted entries.

use std::{
    collections::HashSet,
    ffi::OsStr,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, PoisonError},
};

use rustix::fs::{AtFlags, Dir, DirEntry, FileType, OFlags};
use sealift_verifier::{
    digest::Digest,
    json, limits,
    path::EntryPath,
    tree::{Entry, Mode, Node, stays_inside},
};

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
        let mut last = "";
        for folder in entries.iter().filter_map(|entry| parent(&entry.path)) {
            // Most files lie beside the one before.
            if folder != last && !full.contains(folder) {
                full.insert(folder.to_owned());
            }
            last = folder;
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
/// do that, each in another folder.
fn look_at_all(root: &Path) -> Looked {
    let todo = Mutex::new(Todo {
        folders: vec![root.to_owned()],
        unfinished: 1,
    });
    let more = Condvar::new();
    let work = || {
        let mut looked = Looked::default();
        let mut list = todo.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(folder) = list.folders.pop() {
                drop(list);
                let mut done = Done {
                    todo: &todo,
                    more: &more,
                    below: Vec::new(),
                };
                done.below = look_into(root, &folder, &mut looked);
                drop(done);
                list = todo.lock().unwrap_or_else(PoisonError::into_inner);
            } else if list.unfinished == 0 {
                drop(list);
                looked.sort();
                return looked;
            } else {
                list = more.wait(list).unwrap_or_else(PoisonError::into_inner);
            }
        }
    };
    let mut all = Looked::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads()).map(|_| scope.spawn(work)).collect();
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

/// Folders that nobody has looked into yet.
struct Todo {
    folders: Vec<PathBuf>,
    /// These, and those that somebody looks into.
    unfinished: usize,
}

/// A folder that is looked into; however that ends, nobody goes on waiting for it.
struct Done<'t> {
    todo: &'t Mutex<Todo>,
    more: &'t Condvar,
    below: Vec<PathBuf>,
}

impl Drop for Done<'_> {
    fn drop(&mut self) {
        let mut todo = self.todo.lock().unwrap_or_else(PoisonError::into_inner);
        todo.unfinished += self.below.len();
        todo.unfinished -= 1;
        todo.folders.append(&mut self.below);
        self.more.notify_all();
    }
}

/// Looks at what lies in a folder; gives the folders in it. It is opened once, so that the way there is not gone for each
/// of its files.
fn look_into(root: &Path, folder: &Path, looked: &mut Looked) -> Vec<PathBuf> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let listed = rustix::fs::open(folder, flags, rustix::fs::Mode::empty())
        .and_then(|open| Ok((Dir::read_from(&open)?, open)));
    let (names, open) = match listed {
        Ok(listed) => listed,
        Err(e) => {
            looked.wrong.push(io(folder, e));
            return Vec::new();
        }
    };
    let mut below = Vec::new();
    for found in names {
        let found = match found {
            Ok(found) => found,
            Err(e) => {
                looked.wrong.push(io(folder, e));
                break;
            }
        };
        let name = found.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let path = folder.join(OsStr::from_bytes(name.to_bytes()));
        match entry(root, &path, &open, &found) {
            Ok(entry) => {
                if entry.node == PlannedNode::Dir {
                    below.push(path);
                }
                looked.entries.push(entry);
            }
            Err(problem) => looked.wrong.push(problem),
        }
    }
    below
}

fn io(path: &Path, error: impl std::fmt::Display) -> (Code, String) {
    (Code::Io, format!("{}: {error}", path.display()))
}

/// What lies at `path`, which was `found` in the open `folder`.
fn entry(
    root: &Path,
    path: &Path,
    folder: &OwnedFd,
    found: &DirEntry,
) -> Result<PlannedEntry, (Code, String)> {
    let shown = path.display();
    // All that is found begins with the root: comparing parts is what takes time with so many.
    let whole = path.as_os_str().as_bytes();
    let below = whole.get(root.as_os_str().len()..).unwrap_or(whole);
    let below = below.strip_prefix(b"/").unwrap_or(below);
    let Ok(text) = std::str::from_utf8(below) else {
        return Err((Code::PathInvalid, format!("{shown}: the name is not UTF-8")));
    };
    let entry_path: EntryPath = text
        .parse()
        .map_err(|e| (Code::PathInvalid, format!("{shown}: {e}")))?;
    let look = || {
        rustix::fs::statx(folder, found.file_name(), AtFlags::SYMLINK_NOFOLLOW, LOOKS)
            .map_err(|e| io(path, e))
    };
    let kind = match found.file_type() {
        // Not every file system tells it with the name.
        FileType::Unknown => FileType::from_raw_mode(look()?.stx_mode.into()),
        known => known,
    };
    let node = match kind {
        FileType::Directory => PlannedNode::Dir,
        FileType::Symlink => {
            let target = std::fs::read_link(path).map_err(|e| io(path, e))?;
            let Some(text) = target.to_str() else {
                return Err((
                    Code::LinkOutside,
                    format!("{shown}: the link's target is not UTF-8"),
                ));
            };
            let target = plain(text);
            if !stays_inside(&entry_path, &target) {
                return Err((
                    Code::LinkOutside,
                    format!("{shown} leads to {text:?}, which may lie outside"),
                ));
            }
            PlannedNode::Symlink { target }
        }
        FileType::RegularFile => {
            let looked = look()?;
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
                    path: path.into(),
                    seen: Some(Seen::from(&looked)),
                },
            }
        }
        special => return Err((Code::SpecialFile, format!("{shown} is {}", name(special)))),
    };
    Ok(PlannedEntry {
        path: entry_path,
        node,
    })
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

fn name(special: FileType) -> &'static str {
    match special {
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::BlockDevice | FileType::CharacterDevice => "a device",
        _ => "of a kind that cannot be delivered",
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
