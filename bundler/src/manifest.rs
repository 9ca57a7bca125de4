//! The release manifest that a plan leads to.

use std::collections::BTreeMap;

use sealift_verifier::{
    digest::Digest,
    release::{self, Artifact, Capability, Content, FileRef, Image, Release, SbomFormat, TreeRef},
    tree::{Entry, Node, Tree},
};

use crate::{
    diff::Side,
    error::{Code, Error, Result},
    plan::{
        Plan, PlannedArtifact, PlannedBlob, PlannedContent, PlannedEntry, PlannedFile, PlannedNode,
        Source,
    },
    sbom::{self, SbomInput, packages::Packages},
};

/// What is done with contents while a manifest is made: packing them, or hashing them, or nothing.
pub(crate) trait Contents {
    /// The digest of a file or of a tree's JSON with `size` bytes.
    fn file(&mut self, source: &Source, size: u64) -> Result<Digest>;

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
    release_with(plan, &mut Hash)
}

/// The release that `plan` leads to, with its trees. `contents` sees everything in the order of the manifest,
/// a tree's JSON after its files.
pub(crate) fn release_with(plan: &Plan, contents: &mut dyn Contents) -> Result<Side> {
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
    if let Some(packages) = &plan.packages {
        side.release.sbom = bills(&side, packages, contents)?;
    }
    Ok(side)
}

/// Bills of materials of everything else in the release.
fn bills(
    side: &Side,
    packages: &Packages,
    contents: &mut dyn Contents,
) -> Result<Vec<release::Sbom>> {
    let known = contents.is_known();
    let input = SbomInput { side, packages };
    let mut bills = Vec::new();
    let mut take = |format, bytes: Vec<u8>, length| {
        let file = FileRef {
            digest: contents.file(&Source::Bytes(bytes), length)?,
            size: length,
            executable: false,
        };
        bills.push(release::Sbom { format, file });
        Ok(())
    };
    if known {
        sbom::each(&input, &mut |format, bytes| {
            let length = bytes.len() as u64;
            take(format, bytes, length)
        })?;
    } else {
        let most = sbom::most(&input)?;
        for format in SbomFormat::ALL {
            take(format, Vec::new(), most)?;
        }
    }
    Ok(bills)
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
    let (json, size) = if contents.is_known() {
        let json = tree.to_bytes()?;
        let size = json.len() as u64;
        (json, size)
    } else {
        (Vec::new(), most(&tree))
    };
    let digest = contents.file(&Source::Bytes(json), size)?;
    trees.insert(digest, tree);
    Ok(TreeRef {
        digest,
        size,
        files,
        bytes,
    })
}

/// More bytes than the JSON of a tree can have, without writing it.
fn most(tree: &Tree) -> u64 {
    let entries = tree.entries.iter().map(|entry| {
        let target = match &entry.node {
            Node::Symlink { target } => target.len(),
            _ => 0,
        };
        // The longest escape of a byte has six; names of fields, mode, size and digest have fewer than 256.
        (6 * (entry.path.as_str().len() + target) + 256) as u64
    });
    entries.fold(256, u64::saturating_add)
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
