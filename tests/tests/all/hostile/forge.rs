//! What attacks are made of: honest pieces, and ways to change them before or after they are signed.

use sealift_verifier::{
    delivery::Delivery,
    digest::Digest,
    json, pack,
    release::{BlobRef, Content, FileRef},
    tar::{self, BLOCK},
};
use serde_json::Value;

use super::maker::{self, Parts, RELEASE, Roles, Sample, root, sign};

/// Makes an attack.
pub(super) type Maker = fn() -> Attack;

/// The counter of the release that the attacked site runs.
pub(super) const PRIOR: u64 = 4;
/// The counter of the release that the attack pretends to be.
pub(super) const NEXT: u64 = 5;

/// A bundle, and whom it is aimed at.
pub(super) struct Attack {
    /// All roots that the vendor published before the site was made; it trusts the last one.
    pub(super) roots: Vec<Vec<u8>>,
    /// The release key that the last of them entitles.
    pub(super) release: u8,
    /// What arrives.
    pub(super) bundle: Vec<u8>,
}

impl From<Vec<u8>> for Attack {
    fn from(bundle: Vec<u8>) -> Self {
        Self {
            roots: vec![first()],
            release: RELEASE,
            bundle,
        }
    }
}

impl From<Parts> for Attack {
    fn from(parts: Parts) -> Self {
        parts.bytes().into()
    }
}

impl Attack {
    /// The root that site and auditor trust.
    pub(super) fn trusted(&self) -> &[u8] {
        self.roots.last().expect("something is trusted")
    }

    /// The honest bundle of the release that the site runs.
    pub(super) fn prior(&self) -> Vec<u8> {
        let members = prior_sample().members_by(self.release);
        let roles = Roles::new(PRIOR, &members);
        Parts::with(self.roots.clone(), &roles, &[self.release], members).bytes()
    }
}

/// The vendor's first root: keys 1 to 3, threshold 2, and the release key.
pub(super) fn first() -> Vec<u8> {
    sign(&root(1), &[1, 2])
}

/// A release with an image, files and a tree. Nothing asks whether it is healthy.
pub(super) fn sample() -> Sample {
    healthy(Sample::rich())
}

/// The older release that sites run before an attack. It shares no content with [`sample`].
pub(super) fn prior_sample() -> Sample {
    let mut sample = healthy(Sample::minimal());
    let content = b"port = 80\n".to_vec();
    sample.release.version = "2.4.0".parse().unwrap();
    sample.release.capabilities[0].artifacts[0].content = Content::Config(file(&content));
    sample.packed = vec![content];
    sample
}

fn healthy(mut sample: Sample) -> Sample {
    for capability in &mut sample.release.capabilities {
        capability.health.clear();
    }
    sample
}

pub(super) fn file(content: &[u8]) -> FileRef {
    FileRef {
        digest: Digest::of(content),
        size: content.len() as u64,
        executable: false,
    }
}

pub(super) fn blob(content: &[u8]) -> BlobRef {
    BlobRef(Digest::of(content), content.len() as u64)
}

/// The honest bundle that attacks begin with.
pub(super) fn good() -> Parts {
    signed(sample().members())
}

/// These members, signed as the vendor does.
pub(super) fn signed(members: Vec<(String, Vec<u8>)>) -> Parts {
    Parts::sign(vec![first()], NEXT, members)
}

/// The honest members, with metadata that was changed before it was signed.
pub(super) fn with_roles(change: impl FnOnce(&mut Roles)) -> Parts {
    let members = sample().members();
    let mut roles = Roles::new(NEXT, &members);
    change(&mut roles);
    Parts::with(vec![first()], &roles, &[RELEASE], members)
}

/// The honest members under these roots.
pub(super) fn under(roots: Vec<Vec<u8>>) -> Parts {
    Parts::sign(roots, NEXT, sample().members())
}

/// A release manifest that was changed before it was signed.
pub(super) fn with_release(change: impl FnOnce(&mut Value)) -> Parts {
    let sample = sample();
    let mut release = serde_json::to_value(&sample.release).unwrap();
    change(&mut release);
    signed(sample.members_with(json::canonical(&release), |_| {}))
}

/// A delivery manifest that was changed before it was signed.
pub(super) fn with_delivery(change: impl FnOnce(&mut Delivery)) -> Parts {
    let sample = sample();
    let release = json::to_canonical(&sample.release).unwrap();
    signed(sample.members_with(release, change))
}

/// A signed release whose one pack is this tar, whatever the delivery manifest says of it.
pub(super) fn with_pack(tar: Vec<u8>) -> Parts {
    let frame = pack::Compressor::new(1)
        .compress(tar, pack::LEVEL)
        .wait()
        .unwrap()
        .bytes;
    with_frame(frame)
}

/// A signed release whose one pack is this frame.
pub(super) fn with_frame(frame: Vec<u8>) -> Parts {
    let sample = sample();
    let release = json::to_canonical(&sample.release).unwrap();
    let mut members = sample.members_with(release, |d| d.packs[0].frames = vec![blob(&frame)]);
    members[5].1 = frame;
    signed(members)
}

/// The tar of the honest pack.
pub(super) fn pack_tar(path: impl Fn(&[u8]) -> String) -> Vec<u8> {
    let packed = sample().packed;
    let mut tar: Vec<u8> = packed
        .iter()
        .flat_map(|content| maker::member(&path(content), content))
        .collect();
    tar.extend(tar::ZEROS);
    tar
}

/// A signed release with a tree of this JSON: the one in the sample, replaced.
pub(super) fn with_tree(tree: &Value) -> Parts {
    with_tree_bytes(json::canonical(tree))
}

/// A signed release with a tree of these bytes.
pub(super) fn with_tree_bytes(tree: Vec<u8>) -> Parts {
    let mut sample = sample();
    let Content::Tree(reference) = &mut sample.release.capabilities[1].artifacts[0].content else {
        panic!("the second capability of the sample is a tree");
    };
    (reference.digest, reference.size) = (Digest::of(&tree), tree.len() as u64);
    sample.packed[0] = tree;
    signed(sample.members())
}

/// The entry of a file in a tree, with content that the sample has.
pub(super) fn entry(path: &str) -> Value {
    let content = &sample().packed[1];
    serde_json::json!({
        "digest": Digest::of(content), "mode": "0644", "path": path, "size": content.len(),
    })
}

/// Where the member at `path` begins.
pub(super) fn position(parts: &Parts, path: &str) -> usize {
    let before = parts.head.iter().chain(&parts.members);
    before
        .take_while(|(other, _)| other != path)
        .map(|(path, content)| maker::member(path, content).len())
        .sum()
}

/// The honest bundle with another header for `path`.
pub(super) fn with_header(path: &str, change: impl FnOnce(&mut ::tar::Header)) -> Vec<u8> {
    let parts = good();
    let start = position(&parts, path);
    let mut bytes = parts.bytes();
    let block = &mut bytes[start..][..usize::try_from(BLOCK).unwrap()];
    let mut header = ::tar::Header::new_ustar();
    header.as_mut_bytes().copy_from_slice(block);
    change(&mut header);
    header.set_cksum();
    block.copy_from_slice(header.as_bytes());
    bytes
}

/// The honest bundle with a member of this kind put in before `path`.
pub(super) fn with_member(path: &str, kind: ::tar::EntryType, content: &[u8]) -> Vec<u8> {
    let parts = good();
    let mut header = ::tar::Header::new_ustar();
    header.set_path("x").unwrap();
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    header.set_entry_type(kind);
    if kind.is_symlink() || kind.is_hard_link() {
        header.set_link_name("/etc/passwd").unwrap();
    }
    header.set_cksum();
    let mut block = header.as_bytes().to_vec();
    block.extend(content);
    block.resize(block.len().next_multiple_of(512), 0);
    let mut bytes = parts.bytes();
    let start = position(&parts, path);
    bytes.splice(start..start, block);
    bytes
}
