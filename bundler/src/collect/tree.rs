//! A folder as sorted entries.

use std::{collections::BTreeSet, fs::FileType, os::unix::fs::PermissionsExt, path::Path};

use sealift_verifier::{
    path::EntryPath,
    tree::{Mode, stays_inside},
};
use walkdir::{DirEntry, WalkDir};

use super::Collector;
use crate::{
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
        let mut entries = Vec::new();
        let mut wrong: Vec<(Code, String)> = Vec::new();
        for found in WalkDir::new(root).min_depth(1).follow_links(false) {
            match found
                .map_err(|e| (Code::Io, e.to_string()))
                .and_then(|e| entry(root, &e))
            {
                Ok(entry) => entries.push(entry),
                Err(problem) => wrong.push(problem),
            }
        }
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
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let full: BTreeSet<String> = entries
            .iter()
            .filter_map(|entry| parent(&entry.path))
            .collect();
        entries
            .retain(|entry| entry.node != PlannedNode::Dir || !full.contains(entry.path.as_str()));
        Some(entries)
    }
}

fn parent(path: &EntryPath) -> Option<String> {
    path.as_str()
        .rsplit_once('/')
        .map(|(parent, _)| parent.to_owned())
}

fn entry(root: &Path, found: &DirEntry) -> Result<PlannedEntry, (Code, String)> {
    let relative = found.path().strip_prefix(root).unwrap_or(found.path());
    let shown = found.path().display();
    let Some(text) = relative.to_str() else {
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
        let metadata = found.metadata().map_err(|e| io(&e))?;
        let executable = metadata.permissions().mode() & 0o111 != 0;
        let mode = if executable {
            Mode::Executable
        } else {
            Mode::Plain
        };
        PlannedNode::File {
            mode,
            size: metadata.len(),
            source: Source::File(found.path().into()),
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
