//! A folder as the entries of a tree.

use std::path::Path;

use sealift_verifier::{
    digest::Digest,
    json, limits,
    tree::{Entry, Node},
};

use super::{Collector, listing};
use crate::{
    error::Code,
    plan::{PlannedEntry, PlannedNode},
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
        let entries = match listing::below(root) {
            Ok(entries) => entries,
            Err(mut wrong) => {
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
                return None;
            }
        };
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

#[cfg(test)]
mod tests {
    use sealift_verifier::tree::Mode;

    use super::*;
    use crate::plan::Source;

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
}
