//! What changes from one release to another. Pure: both sides are given, nothing is read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use sealift_verifier::{
    digest::Digest,
    release::{Artifact, BlobRef, Capability, Content, Release, image_reference},
    tree::{Mode, Node, Tree},
};
use semver::Version;
use serde::Serialize;

/// A release with the trees that it refers to.
#[derive(Debug, Clone)]
pub struct Side {
    /// The release manifest.
    pub release: Release,
    /// Its trees by digest. One that is missing is compared as a whole.
    pub trees: BTreeMap<Digest, Tree>,
}

/// What changes; each list is sorted by name. What stays as it is does not appear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Diff {
    /// The product of the first release.
    pub product: String,
    /// The product of the second one, if it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_product: Option<String>,
    /// Version of the first release.
    pub from: Version,
    /// Version of the second release.
    pub to: Version,
    /// Capabilities.
    pub capabilities: Vec<Change<Version>>,
    /// Images by their references without version; sizes are those of all their blobs.
    pub images: Vec<Change<u64>>,
    /// Files as they lie at the site, below `files/`, with their sizes in bytes.
    pub files: Vec<Change<u64>>,
    /// Bytes of content that the second release has and the first does not, before compression.
    pub new_bytes: u64,
}

/// One thing that changes: a version or a size in bytes, on each side where it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change<T> {
    /// What changes.
    pub name: String,
    /// In which way.
    pub change: Kind,
    /// In the first release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<T>,
    /// In the second release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<T>,
}

/// In which way something changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It is only in the second release.
    Added,
    /// It is only in the first release.
    Removed,
    /// It is in both, and not the same.
    Changed,
}

/// What makes two things equal, and what is shown of them.
struct Item<I, T> {
    identity: I,
    shown: T,
}

/// What changes from `from` to `to`.
pub fn diff(from: &Side, to: &Side) -> Diff {
    let (old, new) = (&from.release, &to.release);
    let had: BTreeSet<Digest> = contents(from).into_keys().collect();
    let new_bytes = contents(to)
        .iter()
        .filter(|(d, _)| !had.contains(d))
        .map(|(_, size)| size)
        .sum();
    Diff {
        product: old.product.to_string(),
        other_product: (old.product != new.product).then(|| new.product.to_string()),
        from: old.version.clone(),
        to: new.version.clone(),
        capabilities: changes(capabilities(old), capabilities(new)),
        images: changes(images(old), images(new)),
        files: changes(files(from), files(to)),
        new_bytes,
    }
}

fn changes<I: PartialEq, T: Clone>(
    mut from: BTreeMap<String, Item<I, T>>,
    to: BTreeMap<String, Item<I, T>>,
) -> Vec<Change<T>> {
    let mut changes = Vec::new();
    for (name, new) in to {
        let (change, old) = match from.remove(&name) {
            None => (Kind::Added, None),
            Some(old) if old.identity == new.identity => continue,
            Some(old) => (Kind::Changed, Some(old.shown)),
        };
        changes.push(Change {
            name,
            change,
            from: old,
            to: Some(new.shown),
        });
    }
    let removed = from.into_iter().map(|(name, old)| Change {
        name,
        change: Kind::Removed,
        from: Some(old.shown),
        to: None,
    });
    changes.extend(removed);
    changes.sort_by(|a, b| a.name.cmp(&b.name));
    changes
}

fn capabilities(release: &Release) -> BTreeMap<String, Item<Capability, Version>> {
    // Why a capability is in a release is no part of what it is.
    let item = |c: &Capability| Item {
        identity: Capability {
            decision: None,
            ..c.clone()
        },
        shown: c.version.clone(),
    };
    release
        .capabilities
        .iter()
        .map(|c| (c.name.to_string(), item(c)))
        .collect()
}

fn images(release: &Release) -> BTreeMap<String, Item<Digest, u64>> {
    let item = |(capability, artifact): (&Capability, &Artifact)| {
        let Content::Image(image) = &artifact.content else {
            return None;
        };
        let reference = image_reference(capability, artifact);
        let name = reference
            .rsplit_once(':')
            .map_or(reference.as_str(), |(name, _)| name);
        let size = image.blobs.iter().map(BlobRef::size).sum();
        Some((
            name.to_owned(),
            Item {
                identity: image.digest,
                shown: size,
            },
        ))
    };
    release.artifacts().filter_map(item).collect()
}

/// What a file is compared by.
#[derive(PartialEq, Eq)]
enum FileIdentity {
    Content(Digest, bool),
    Link(String),
    Folder,
}

fn files(side: &Side) -> BTreeMap<String, Item<FileIdentity, u64>> {
    let mut files = BTreeMap::new();
    for (capability, artifact) in side.release.artifacts() {
        let name = format!("{}/{}", capability.name, artifact.name);
        let mut add = |name: String, identity, shown| files.insert(name, Item { identity, shown });
        match &artifact.content {
            Content::Image(_) => {}
            Content::File(file) | Content::Config(file) | Content::Notice(file) => {
                add(
                    name,
                    FileIdentity::Content(file.digest, file.executable),
                    file.size,
                );
            }
            Content::Tree(reference) => match side.trees.get(&reference.digest) {
                None => {
                    add(
                        name,
                        FileIdentity::Content(reference.digest, false),
                        reference.bytes,
                    );
                }
                Some(tree) => {
                    for entry in &tree.entries {
                        let (identity, length) = match &entry.node {
                            Node::File { mode, size, digest } => (
                                FileIdentity::Content(*digest, *mode == Mode::Executable),
                                *size,
                            ),
                            Node::Symlink { target } => (FileIdentity::Link(target.clone()), 0),
                            Node::Dir => (FileIdentity::Folder, 0),
                        };
                        add(format!("{name}/{}", entry.path), identity, length);
                    }
                }
            },
        }
    }
    files
}

/// Every content of a release with its size.
fn contents(side: &Side) -> BTreeMap<Digest, u64> {
    let mut contents = BTreeMap::new();
    for (_, artifact) in side.release.artifacts() {
        match &artifact.content {
            Content::Image(image) => {
                contents.extend(image.blobs.iter().map(|b| (b.digest(), b.size())));
            }
            Content::File(file) | Content::Config(file) | Content::Notice(file) => {
                contents.insert(file.digest, file.size);
            }
            Content::Tree(reference) => match side.trees.get(&reference.digest) {
                Some(tree) => {
                    contents.extend(tree.files().map(|(_, _, size, digest)| (digest, size)));
                }
                None => {
                    contents.insert(reference.digest, reference.bytes);
                }
            },
        }
    }
    contents
}

impl Diff {
    /// Whether the two releases have the same content.
    pub fn is_empty(&self) -> bool {
        self.capabilities.is_empty() && self.images.is_empty() && self.files.is_empty()
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let other = self
            .other_product
            .as_ref()
            .map_or_else(String::new, |product| format!("{product} "));
        writeln!(f, "{} {} -> {other}{}", self.product, self.from, self.to)?;
        if self.is_empty() {
            return writeln!(f, "nothing changes");
        }
        section(f, "capabilities", &self.capabilities, ToString::to_string)?;
        section(f, "images", &self.images, |size| bytes(*size))?;
        section(f, "files", &self.files, |size| bytes(*size))?;
        writeln!(f, "new content: {}", bytes(self.new_bytes))
    }
}

fn section<T: PartialEq>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    changes: &[Change<T>],
    show: impl Fn(&T) -> String,
) -> fmt::Result {
    if changes.is_empty() {
        return Ok(());
    }
    writeln!(f, "{title}:")?;
    for change in changes {
        let sign = match change.change {
            Kind::Added => '+',
            Kind::Removed => '-',
            Kind::Changed => '~',
        };
        let shown = match (&change.from, &change.to) {
            (Some(from), Some(to)) if from != to => format!("{} -> {}", show(from), show(to)),
            (_, Some(only)) | (Some(only), None) => show(only),
            (None, None) => String::new(),
        };
        writeln!(f, "  {sign} {}  {shown}", change.name)?;
    }
    Ok(())
}

/// A number of bytes for people: `512 B`, `1.5 MB`. Powers of 1000, as media are sold.
pub(crate) fn bytes(count: u64) -> String {
    let mut unit = 1_u64;
    let mut names = ["B", "kB", "MB", "GB", "TB"].into_iter();
    let mut name = names.next().unwrap_or_default();
    while count / unit >= 1000
        && let Some(next) = names.next()
    {
        unit *= 1000;
        name = next;
    }
    if unit == 1 {
        return format!("{count} {name}");
    }
    format!("{}.{} {name}", count / unit, count % unit * 10 / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(json: serde_json::Value, trees: Vec<Tree>) -> Side {
        let release = serde_json::from_value(json).unwrap();
        let trees = trees
            .into_iter()
            .map(|t| (Digest::of(format!("{t:?}").as_bytes()), t))
            .collect();
        Side { release, trees }
    }

    fn release(version: &str, capabilities: &serde_json::Value) -> serde_json::Value {
        serde_json::json!({
            "format": 1, "product": "acme", "version": version, "published": "2026-03-01T00:00:00Z",
            "capabilities": capabilities,
        })
    }

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn tree(files: &[(&str, &str)]) -> Tree {
        let entry = |(path, text): &(&str, &str)| sealift_verifier::tree::Entry {
            path: path.parse().unwrap(),
            node: Node::File {
                mode: Mode::Plain,
                size: text.len() as u64,
                digest: digest(text),
            },
        };
        Tree {
            entries: files.iter().map(entry).collect(),
        }
    }

    fn web(version: &str, tree: &Tree) -> serde_json::Value {
        let digest = Digest::of(format!("{tree:?}").as_bytes());
        serde_json::json!({
            "name": "web/shop", "version": version, "kind": "app",
            "artifacts": [{ "name": "site", "content": { "tree": { "digest": digest, "size": 9, "files": 2, "bytes": 7 } } }],
        })
    }

    #[test]
    fn capabilities_images_and_files_with_sizes() {
        let (a, b) = (
            tree(&[("a.html", "aaa"), ("b.html", "bbbb")]),
            tree(&[("a.html", "aaa"), ("c.html", "ccccc")]),
        );
        let model = |text: &str| {
            serde_json::json!({ "name": "ml/rank", "version": "1.0.0", "kind": "model", "artifacts": [
                { "name": "model.bin", "content": { "file": { "digest": digest(text), "size": 1500 } } },
                { "name": "server", "content": { "image": { "digest": digest("i"), "media-type": "m", "blobs": [[digest("i"), 10]] } } },
            ] })
        };
        let from = side(
            release("1.0.0", &serde_json::json!([model("m1"), web("1.0.0", &a)])),
            vec![a.clone()],
        );
        let to = side(
            release("1.1.0", &serde_json::json!([web("1.1.0", &b)])),
            vec![b.clone()],
        );
        let changes = diff(&from, &to);
        assert_eq!(
            changes.to_string(),
            "acme 1.0.0 -> 1.1.0\n\
             capabilities:\n  - ml/rank  1.0.0\n  ~ web/shop  1.0.0 -> 1.1.0\n\
             images:\n  - ml/rank/server  10 B\n\
             files:\n  - ml/rank/model.bin  1.5 kB\n  - web/shop/site/b.html  4 B\n  + web/shop/site/c.html  5 B\n\
             new content: 5 B\n"
        );
        assert_eq!(
            serde_json::to_value(&changes).unwrap()["capabilities"][1]["to"],
            "1.1.0"
        );
        assert!(diff(&from, &from).is_empty());
        assert!(diff(&from, &from).to_string().contains("nothing changes"));
    }

    #[test]
    fn bytes_for_people() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1500), "1.5 kB");
        assert_eq!(bytes(52_428_800), "52.4 MB");
        assert_eq!(bytes(u64::MAX), "18446744.0 TB");
    }
}
