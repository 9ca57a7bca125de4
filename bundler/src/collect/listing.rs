//! Everything below a folder, in the order of paths.

use std::{
    cmp::Ordering,
    ffi::OsStr,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use rustix::fs::{AtFlags, Dir, DirEntry, FileType, OFlags};
use sealift_verifier::{
    path::EntryPath,
    tree::{Mode, stays_inside},
};

use crate::{
    build::threads,
    cache::{LOOKS, Seen},
    error::Code,
    plan::{PlannedEntry, PlannedNode, Source},
};

/// What is wrong with something that lies in a folder.
type Wrong = (Code, String);

/// Everything below `root`, sorted by path; folders only if nothing lies in them. If anything is wrong, all that is, in
/// any order.
///
/// A folder tells the names in it at once, but what each is has to be asked one by one: all cores do that, each in another
/// folder.
pub(super) fn below(root: &Path) -> Result<Vec<PlannedEntry>, Vec<Wrong>> {
    let todo = Mutex::new(Todo {
        folders: vec![(ROOT, root.to_owned())],
        unfinished: 1,
    });
    let (more, newest) = (Condvar::new(), AtomicUsize::new(ROOT));
    let work = || {
        let mut looked = Looked::default();
        let mut list = todo.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some((number, folder)) = list.folders.pop() {
                drop(list);
                let mut done = Done {
                    todo: &todo,
                    more: &more,
                    below: Vec::new(),
                };
                let items = looked.folder(root, &folder, &newest, &mut done.below);
                looked.folders.push((number, items));
                drop(done);
                list = todo.lock().unwrap_or_else(PoisonError::into_inner);
            } else if list.unfinished == 0 {
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
            folders: Vec::new(),
            wrong: vec![(Code::Io, "a listing thread ended early".to_owned())],
        };
        for thread in threads {
            let mut looked = thread.join().unwrap_or_else(early);
            all.folders.append(&mut looked.folders);
            all.wrong.append(&mut looked.wrong);
        }
    });
    if all.wrong.is_empty() {
        Ok(in_order(all.folders))
    } else {
        Err(all.wrong)
    }
}

/// The number of the folder that everything lies in.
const ROOT: usize = 0;

/// Folders that nobody has looked into yet.
struct Todo {
    folders: Vec<(usize, PathBuf)>,
    /// These, and those that somebody looks into.
    unfinished: usize,
}

/// A folder that is looked into; however that ends, nobody goes on waiting for it.
struct Done<'t> {
    todo: &'t Mutex<Todo>,
    more: &'t Condvar,
    below: Vec<(usize, PathBuf)>,
}

impl Drop for Done<'_> {
    fn drop(&mut self) {
        let mut todo = self.todo.lock().unwrap_or_else(PoisonError::into_inner);
        todo.unfinished += self.below.len();
        todo.unfinished -= 1;
        if !self.below.is_empty() || todo.unfinished == 0 {
            self.more.notify_all();
        }
        todo.folders.append(&mut self.below);
    }
}

/// What somebody has found: what lies in each folder, by its number, and what is wrong.
#[derive(Default)]
struct Looked {
    folders: Vec<(usize, Vec<Item>)>,
    wrong: Vec<Wrong>,
}

/// Something in a folder. For each folder in it there are two, since what lies in that need not follow it at once: `a`,
/// `a-b`, `a/c`.
enum Item {
    /// Anything but a folder.
    Other(PlannedEntry),
    /// A folder with its number, to be told of if nothing lies in it.
    Folder(PlannedEntry, usize),
    /// What lies in the folder with this path and number.
    Below(EntryPath, usize),
}

impl Item {
    /// How paths that are told of because of it begin, and whether they go on.
    fn path(&self) -> (&[u8], bool) {
        let (path, more) = match self {
            Self::Other(entry) | Self::Folder(entry, _) => (&entry.path, false),
            Self::Below(path, _) => (path, true),
        };
        (path.as_str().as_bytes(), more)
    }

    fn compare(&self, other: &Self) -> Ordering {
        let ((a, a_goes_on), (b, b_goes_on)) = (self.path(), other.path());
        let both = a.len().min(b.len());
        let next = |path: &[u8], more: bool| path.get(both).copied().or(more.then_some(b'/'));
        let rest = || next(a, a_goes_on).cmp(&next(b, b_goes_on));
        a[..both].cmp(&b[..both]).then_with(rest)
    }
}

impl Looked {
    /// Looks at what lies in a folder, in order, and adds the folders in it to those that lie `below`, with the numbers
    /// that follow the `newest`. It is opened once, so that the way there is not gone for each of its files.
    fn folder(
        &mut self,
        root: &Path,
        folder: &Path,
        newest: &AtomicUsize,
        below: &mut Vec<(usize, PathBuf)>,
    ) -> Vec<Item> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let listed = rustix::fs::open(folder, flags, rustix::fs::Mode::empty())
            .and_then(|open| Ok((Dir::read_from(&open)?, open)));
        let (names, open) = match listed {
            Ok(listed) => listed,
            Err(e) => {
                self.wrong.push(io(folder, e));
                return Vec::new();
            }
        };
        let mut items = Vec::new();
        for found in names {
            let found = match found {
                Ok(found) => found,
                Err(e) => {
                    self.wrong.push(io(folder, e));
                    break;
                }
            };
            let name = found.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let mut path = PathBuf::with_capacity(folder.as_os_str().len() + 1 + name.len());
            path.push(folder);
            path.push(OsStr::from_bytes(name));
            match entry(root, path, &open, &found) {
                Ok(entry) if entry.node == PlannedNode::Dir => {
                    let number = newest.fetch_add(1, Relaxed) + 1;
                    below.push((number, root.join(entry.path.as_path())));
                    items.push(Item::Below(entry.path.clone(), number));
                    items.push(Item::Folder(entry, number));
                }
                Ok(entry) => items.push(Item::Other(entry)),
                Err(wrong) => self.wrong.push(wrong),
            }
        }
        items.sort_unstable_by(Item::compare);
        items
    }
}

/// Puts folders into each other.
fn in_order(mut folders: Vec<(usize, Vec<Item>)>) -> Vec<PlannedEntry> {
    let most = folders.iter().map(|(_, items)| items.len()).sum();
    let mut entries = Vec::with_capacity(most);
    // Each number was given to one folder, and each folder was looked into.
    folders.sort_unstable_by_key(|(number, _)| *number);
    let mut open = Vec::new();
    let mut next = Some(ROOT);
    loop {
        let into = next.take().and_then(|number| folders.get_mut(number));
        open.extend(into.map(|(_, items)| std::mem::take(items).into_iter()));
        let Some(items) = open.last_mut() else {
            return entries;
        };
        match items.next() {
            Some(Item::Other(entry)) => entries.push(entry),
            Some(Item::Folder(entry, number)) => {
                let empty = |(_, items): &(usize, Vec<Item>)| items.is_empty();
                entries.extend(folders.get(number).is_some_and(empty).then_some(entry));
            }
            Some(Item::Below(_, number)) => next = Some(number),
            None => drop(open.pop()),
        }
    }
}

fn io(path: &Path, error: impl std::fmt::Display) -> (Code, String) {
    (Code::Io, format!("{}: {error}", path.display()))
}

/// What lies at `path`, which was `found` in the open `folder`.
fn entry(
    root: &Path,
    path: PathBuf,
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
            .map_err(|e| io(&path, e))
    };
    let kind = match found.file_type() {
        // Not every file system tells it with the name.
        FileType::Unknown => FileType::from_raw_mode(look()?.stx_mode.into()),
        known => known,
    };
    let node = match kind {
        FileType::Directory => PlannedNode::Dir,
        FileType::Symlink => {
            let target = std::fs::read_link(&path).map_err(|e| io(&path, e))?;
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
                    path,
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
    use std::fs::File;

    use super::*;

    /// Names that a `/` sorts before and behind, in folders, beside them and without anything in them.
    #[test]
    fn entries_come_in_the_order_of_their_paths_and_folders_if_empty() {
        let root = tempfile::tempdir().unwrap();
        let files = ["a-b", "a/c.d", "a/c/e", "a0", "b", "é/f", "a/b!/x/y"];
        let folders = ["a/d!", "a/d/x", "a/d/x-", "z"];
        for path in files {
            let file = root.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            File::create(file).unwrap();
        }
        for path in folders {
            std::fs::create_dir_all(root.path().join(path)).unwrap();
        }
        let mut expected = [&files[..], &folders].concat();
        expected.sort_unstable();
        let entries = below(root.path()).unwrap();
        let paths: Vec<_> = entries.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, expected);
        for entry in entries {
            let folder = folders.contains(&entry.path.as_str());
            assert_eq!(entry.node == PlannedNode::Dir, folder, "{:?}", entry.path);
        }
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
