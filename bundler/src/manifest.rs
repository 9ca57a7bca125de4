//! The release manifest that a plan leads to, computed by hashing its sources and writing nothing.

use std::collections::BTreeMap;

use sealift_verifier::{
    digest::Digest,
    json,
    release::{self, Artifact, BlobRef, Capability, Content, FileRef, Image, Release, TreeRef},
    tree::{Entry, Node, Tree},
};

use crate::{
    diff::Side,
    error::{Code, Error, Result},
    plan::{Plan, PlannedArtifact, PlannedContent, PlannedEntry, PlannedFile, PlannedNode, Source},
};

/// The release that `plan` leads to, with its trees. Every file is read once; of images nothing is.
///
/// # Errors
/// A source that cannot be read, or is not what the plan says it is.
pub fn release_of(plan: &Plan) -> Result<Side> {
    let mut trees = BTreeMap::new();
    let mut capabilities = Vec::new();
    for planned in &plan.capabilities {
        let artifacts = planned.artifacts.iter().map(|a| artifact(a, &mut trees));
        capabilities.push(Capability {
            name: planned.name.clone(),
            version: planned.version.clone(),
            kind: planned.kind,
            description: planned.description.clone(),
            license: planned.license.clone(),
            artifacts: artifacts.collect::<Result<_>>()?,
            health: planned.health.clone(),
        });
    }
    let release = Release {
        format: release::FORMAT,
        product: plan.product.clone(),
        version: plan.version.clone(),
        published: plan.published,
        security_floor: plan.security_floor.clone(),
        platforms: plan.platforms.clone(),
        capabilities,
    };
    Ok(Side { release, trees })
}

fn artifact(planned: &PlannedArtifact, trees: &mut BTreeMap<Digest, Tree>) -> Result<Artifact> {
    let content = match &planned.content {
        PlannedContent::Image(image) => Content::Image(Image {
            digest: image.digest,
            media_type: image.media_type.clone(),
            blobs: image.blobs.iter().map(|b| b.blob).collect::<Vec<BlobRef>>(),
        }),
        PlannedContent::Tree(entries) => Content::Tree(tree(entries, trees)?),
        PlannedContent::File(planned) => Content::File(file(planned)?),
        PlannedContent::Config(planned) => Content::Config(file(planned)?),
        PlannedContent::Notice(planned) => Content::Notice(file(planned)?),
    };
    Ok(Artifact {
        name: planned.name.clone(),
        content,
    })
}

fn file(planned: &PlannedFile) -> Result<FileRef> {
    let digest = hash(&planned.source, planned.size)?;
    if let Some(expected) = planned.expected
        && expected != digest
    {
        let detail = format!("has the digest {digest}, declared is {expected}");
        return Err(Error::new(
            Code::DigestMismatch,
            planned.source.subject(),
            detail,
        ));
    }
    Ok(FileRef {
        digest,
        size: planned.size,
        executable: planned.executable,
    })
}

fn tree(planned: &[PlannedEntry], trees: &mut BTreeMap<Digest, Tree>) -> Result<TreeRef> {
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
                    digest: hash(source, *size)?,
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
    let json = json::to_canonical(&tree)?;
    let digest = Digest::of(&json);
    trees.insert(digest, tree);
    Ok(TreeRef {
        digest,
        size: json.len() as u64,
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
