//! The release manifest that a plan leads to.

use std::collections::BTreeMap;

use sealift_verifier::{
    digest::{Digest, Hasher},
    release::{
        self, Artifact, BlobRef, Capability, Content, FileRef, Image, Release, SbomFormat, TreeRef,
    },
    tree::{Entry, Node, Tree},
};

use crate::{
    diff::Side,
    error::{Code, Error, Result},
    plan::{
        Plan, PlannedArtifact, PlannedBlob, PlannedContent, PlannedEntry, PlannedFile, PlannedNode,
        Source,
    },
    sbom::{self, Documents, SbomInput, Take, packages::Packages},
};

/// What is done with contents while a manifest is made: packing them, or hashing them, or nothing.
pub(crate) trait Contents {
    /// The digest of a file or of a tree's JSON with `size` bytes.
    fn file(&mut self, source: &Source, size: u64) -> Result<Digest>;

    /// Sees a tree's JSON, which has this digest.
    fn made(&mut self, _bytes: Vec<u8>, _digest: Digest) -> Result<()> {
        Ok(())
    }

    /// Has `write` make a document, and says what it is.
    fn document(&mut self, write: &dyn Fn(&mut Take<'_>) -> Result<()>) -> Result<BlobRef> {
        let (mut hasher, mut size) = (Hasher::default(), 0);
        write(&mut |piece| {
            hasher.update(piece);
            size += piece.len() as u64;
            Ok(())
        })?;
        Ok(BlobRef(hasher.finish(), size))
    }

    /// Whether contents are really looked at. If not, nothing is made of them either, and the length of what would
    /// be made is only one that it cannot exceed.
    fn is_known(&self) -> bool {
        true
    }

    /// Sees a blob of an image, whose digest is known.
    fn image_blob(&mut self, _blob: &PlannedBlob) -> Result<()> {
        Ok(())
    }
}

/// The release that `plan` leads to, with its trees. Every file is read once; of images nothing is.
///
/// # Errors
/// A source that cannot be read, or is not what the plan says it is.
pub fn release_of(plan: &Plan) -> Result<Side> {
    struct Hash;
    impl Contents for Hash {
        fn file(&mut self, source: &Source, size: u64) -> Result<Digest> {
            hash(source, size)
        }
    }
    release_with(plan, &Bills::None, &mut Hash)
}

/// Where the bills of materials of a release come from.
pub(crate) enum Bills<'a> {
    /// There are none.
    None,
    /// They are made when the packages of others are known, which this waits for.
    Made(&'a dyn Fn() -> Result<&'a Packages>),
    /// Nothing is made; what they say of packages has at most so many bytes in each of them.
    AtMost(u64),
}

/// The release that `plan` leads to, with its trees. `contents` sees everything in the order of the manifest,
/// a tree's JSON after its files, bills of materials last.
pub(crate) fn release_with(
    plan: &Plan,
    bills: &Bills<'_>,
    contents: &mut dyn Contents,
) -> Result<Side> {
    let mut trees = BTreeMap::new();
    let mut capabilities = Vec::new();
    for planned in &plan.capabilities {
        let artifacts = planned
            .artifacts
            .iter()
            .map(|a| artifact(a, contents, &mut trees));
        capabilities.push(Capability {
            artifacts: artifacts.collect::<Result<_>>()?,
            ..planned.manifest.clone()
        });
    }
    let release = Release {
        capabilities,
        ..plan.release.clone()
    };
    let mut side = Side { release, trees };
    let mut all = Vec::new();
    let mut add = |format, digest, size| {
        let file = FileRef {
            digest,
            size,
            executable: false,
        };
        all.push(release::Sbom { format, file });
    };
    match bills {
        Bills::None => {}
        Bills::Made(packages) => {
            let packages = packages()?;
            let input = SbomInput {
                side: &side,
                packages,
            };
            let documents = Documents::new(&input)?;
            for format in SbomFormat::ALL {
                let bill = contents.document(&|take| documents.write(format, take))?;
                add(format, bill.digest(), bill.size());
            }
        }
        Bills::AtMost(packages) => {
            let most = sbom::most(&side)?.saturating_add(*packages);
            for format in SbomFormat::ALL {
                let digest = contents.file(&Source::Bytes(Vec::new()), most)?;
                add(format, digest, most);
            }
        }
    }
    side.release.sbom = all;
    Ok(side)
}

fn artifact(
    planned: &PlannedArtifact,
    contents: &mut dyn Contents,
    trees: &mut BTreeMap<Digest, Tree>,
) -> Result<Artifact> {
    let content = match &planned.content {
        PlannedContent::Image(image) => {
            image
                .blobs
                .iter()
                .try_for_each(|blob| contents.image_blob(blob))?;
            Content::Image(Image {
                digest: image.digest,
                media_type: image.media_type.clone(),
                blobs: image.blobs.iter().map(|b| b.blob).collect(),
            })
        }
        PlannedContent::Tree(entries) => Content::Tree(tree(entries, contents, trees)?),
        PlannedContent::File(planned) => Content::File(file(planned, contents)?),
        PlannedContent::Config(planned) => Content::Config(file(planned, contents)?),
        PlannedContent::Notice(planned) => Content::Notice(file(planned, contents)?),
    };
    Ok(Artifact {
        name: planned.name.clone(),
        content,
    })
}

fn file(planned: &PlannedFile, contents: &mut dyn Contents) -> Result<FileRef> {
    let digest = contents.file(&planned.source, planned.size)?;
    expect(&planned.source, digest, planned.expected)?;
    Ok(FileRef {
        digest,
        size: planned.size,
        executable: planned.executable,
    })
}

/// Holds what was found in a source to what was declared.
pub(crate) fn expect(source: &Source, found: Digest, declared: Option<Digest>) -> Result<()> {
    match declared.filter(|declared| *declared != found) {
        Some(declared) => Err(Error::new(
            Code::DigestMismatch,
            source.subject(),
            format!("has the digest {found}, declared is {declared}"),
        )),
        None => Ok(()),
    }
}

fn tree(
    planned: &[PlannedEntry],
    contents: &mut dyn Contents,
    trees: &mut BTreeMap<Digest, Tree>,
) -> Result<TreeRef> {
    if !contents.is_known() {
        return tree_at_most(planned, contents);
    }
    let mut entries = Vec::with_capacity(planned.len());
    let (mut files, mut bytes) = (0, 0);
    for entry in planned {
        let node = match &entry.node {
            PlannedNode::File { mode, size, source } => {
                files += 1;
                bytes += size;
                Node::File {
                    mode: *mode,
                    size: *size,
                    digest: contents.file(source, *size)?,
                }
            }
            PlannedNode::Symlink { target } => Node::Symlink {
                target: target.clone(),
            },
            PlannedNode::Dir => Node::Dir,
        };
        entries.push(Entry {
            path: entry.path.clone(),
            node,
        });
    }
    let tree = Tree { entries };
    // As whoever reads it will do.
    tree.check("tree")?;
    let json = tree.to_bytes()?;
    let size = json.len() as u64;
    let digest = Digest::of(&json);
    contents.made(json, digest)?;
    trees.insert(digest, tree);
    Ok(TreeRef {
        digest,
        size,
        files,
        bytes,
    })
}

/// The same without a tree being made; its size is one that its JSON cannot exceed.
fn tree_at_most(planned: &[PlannedEntry], contents: &mut dyn Contents) -> Result<TreeRef> {
    let (mut files, mut bytes, mut most) = (0, 0, 256_u64);
    for PlannedEntry { path, node } in planned {
        let target = match node {
            PlannedNode::File { size, source, .. } => {
                contents.file(source, *size)?;
                files += 1;
                bytes += size;
                0
            }
            PlannedNode::Symlink { target } => target.len(),
            PlannedNode::Dir => 0,
        };
        // The longest escape of a byte has six; names of fields, mode, size and digest have fewer than 256.
        most = most.saturating_add((6 * (path.as_str().len() + target) + 256) as u64);
    }
    Ok(TreeRef {
        digest: contents.file(&Source::Bytes(Vec::new()), most)?,
        size: most,
        files,
        bytes,
    })
}

fn hash(source: &Source, size: u64) -> Result<Digest> {
    let (digest, length) = source
        .digest()
        .map_err(|e| Error::io(source.subject(), e))?;
    if length != size {
        let detail = format!("has {length} bytes, had {size} a moment ago");
        return Err(Error::new(Code::LengthMismatch, source.subject(), detail));
    }
    Ok(digest)
}
