//! Packing: reads each source once, hashes it, and compresses frames beside that.
//!
//! Small files are put together into packs of one frame; a large one has a pack of its own. What was
//! compressed goes to a spool file in the order in which it is ready to be written, and is put in its place when
//! the bundle is assembled: the tar header of a large file holds a digest that is known only at its end.

use std::{
    collections::{HashSet, VecDeque},
    fs::File,
    io::{Read, Write},
};

use sealift_verifier::{
    delivery::{self, Delivery, DeliveryKind, Pack},
    digest::{Digest, Hasher},
    json,
    limits::FRAME_BYTES,
    pack::{self, Compressor, PendingFrame},
    release::{self, Artifact, BlobRef, Capability, Content, FileRef, Image, Release, TreeRef},
    tar,
    tree::{Entry, Mode, Node, Tree},
};

use crate::{
    error::{Code, Error, Result},
    plan::{
        Plan, PlannedArtifact, PlannedBlob, PlannedContent, PlannedEntry, PlannedFile, PlannedNode,
        Source,
    },
};

/// Length of a tar header.
const HEADER: usize = tar::BLOCK as usize;

/// A piece of the spool file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) stored: BlobRef,
}

/// Everything of a bundle but its head, which has to be signed first.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) release: Release,
    pub(crate) delivery: Delivery,
    /// Compressed frames, in any order.
    pub(crate) spool: File,
    /// Where the frames of each pack lie in the spool.
    pub(crate) segments: Vec<Vec<Segment>>,
    /// Blobs that are stored as they are, in the order of the delivery manifest.
    pub(crate) stored: Vec<PlannedBlob>,
}

/// Reads all that `plan` names. `spool` is an empty file that may be written; `progress` hears of source
/// bytes that were read.
pub(crate) fn pack(
    plan: &Plan,
    spool: File,
    threads: usize,
    progress: &dyn Fn(u64),
) -> Result<Packed> {
    let stored = stored_blobs(plan);
    let mut packer = Packer {
        compressor: Compressor::new(threads),
        most_pending: threads.max(1) + 1,
        spool,
        spool_end: 0,
        pending: VecDeque::new(),
        packs: Vec::new(),
        open: Small::default(),
        seen: stored.iter().map(|s| s.blob.digest()).collect(),
        progress,
    };
    let mut capabilities = Vec::with_capacity(plan.capabilities.len());
    for planned in &plan.capabilities {
        let artifacts = planned
            .artifacts
            .iter()
            .map(|artifact| packer.artifact(artifact))
            .collect::<Result<_>>()?;
        capabilities.push(Capability {
            name: planned.name.clone(),
            version: planned.version.clone(),
            kind: planned.kind,
            description: planned.description.clone(),
            license: planned.license.clone(),
            artifacts,
            health: planned.health.clone(),
        });
    }
    packer.close_small();
    packer.drain(0)?;

    let release = Release {
        format: release::FORMAT,
        product: plan.product.clone(),
        version: plan.version.clone(),
        published: plan.published,
        security_floor: plan.security_floor.clone(),
        platforms: plan.platforms.clone(),
        capabilities,
    };
    let kept: Vec<PackInWork> = packer
        .packs
        .into_iter()
        .filter(|pack| !pack.dropped)
        .collect();
    let packs = kept.iter().map(|pack| Pack {
        frames: pack
            .frames
            .iter()
            .flatten()
            .map(|segment| segment.stored)
            .collect(),
        blobs: pack.blobs.clone(),
    });
    let delivery = Delivery {
        format: delivery::FORMAT,
        kind: DeliveryKind::Full,
        release: Digest::of(&json::to_canonical(&release)?),
        compression: pack::compression(),
        packs: packs.collect(),
        blobs: stored.iter().map(|s| s.blob).collect(),
    };
    let segments = kept
        .into_iter()
        .map(|pack| pack.frames.into_iter().flatten().collect())
        .collect();
    Ok(Packed {
        release,
        delivery,
        spool: packer.spool,
        segments,
        stored,
    })
}

/// The blobs of all images that are stored as they are: sorted, each once.
fn stored_blobs(plan: &Plan) -> Vec<PlannedBlob> {
    let artifacts = plan.capabilities.iter().flat_map(|c| &c.artifacts);
    let images = artifacts.filter_map(|a| match &a.content {
        PlannedContent::Image(image) => Some(image),
        _ => None,
    });
    let mut blobs: Vec<PlannedBlob> = images
        .flat_map(|i| &i.blobs)
        .filter(|b| !b.compressible)
        .cloned()
        .collect();
    blobs.sort_by_key(|b| b.blob);
    blobs.dedup_by_key(|b| b.blob.digest());
    blobs
}

/// A pack whose content is known, while its frames are being compressed.
#[derive(Default)]
struct PackInWork {
    blobs: Vec<BlobRef>,
    frames: Vec<Option<Segment>>,
    /// Its only blob turned out to be one that another pack has.
    dropped: bool,
}

/// The pack that small files go to.
#[derive(Default)]
struct Small {
    tar: Vec<u8>,
    blobs: Vec<BlobRef>,
}

struct Packer<'a> {
    compressor: Compressor,
    most_pending: usize,
    spool: File,
    spool_end: u64,
    /// Number of pack and of frame, and the frame.
    pending: VecDeque<(usize, usize, PendingFrame)>,
    packs: Vec<PackInWork>,
    open: Small,
    seen: HashSet<Digest>,
    progress: &'a dyn Fn(u64),
}

impl Packer<'_> {
    fn artifact(&mut self, artifact: &PlannedArtifact) -> Result<Artifact> {
        let content = match &artifact.content {
            PlannedContent::Image(image) => {
                for blob in image.blobs.iter().filter(|b| b.compressible) {
                    self.source(&blob.source, blob.blob.size(), Some(blob.blob.digest()))?;
                }
                Content::Image(Image {
                    digest: image.digest,
                    media_type: image.media_type.clone(),
                    blobs: image.blobs.iter().map(|b| b.blob).collect(),
                })
            }
            PlannedContent::Tree(entries) => Content::Tree(self.tree(entries)?),
            PlannedContent::File(file) => Content::File(self.file(file)?),
            PlannedContent::Config(file) => Content::Config(self.file(file)?),
            PlannedContent::Notice(file) => Content::Notice(self.file(file)?),
        };
        Ok(Artifact {
            name: artifact.name.clone(),
            content,
        })
    }

    fn file(&mut self, file: &PlannedFile) -> Result<FileRef> {
        let digest = self.source(&file.source, file.size, file.expected)?;
        Ok(FileRef {
            digest,
            size: file.size,
            executable: file.executable,
        })
    }

    fn tree(&mut self, planned: &[PlannedEntry]) -> Result<TreeRef> {
        let mut entries = Vec::with_capacity(planned.len());
        for entry in planned {
            let node = match &entry.node {
                PlannedNode::File { mode, size, source } => Node::File {
                    mode: *mode,
                    size: *size,
                    digest: self.source(source, *size, None)?,
                },
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
        let sizes = || tree.files().map(|(_, _, size, _): (_, Mode, u64, _)| size);
        let (files, bytes) = (sizes().count() as u64, sizes().sum());
        let json = Source::Bytes(json::to_canonical(&tree)?);
        let size = match &json {
            Source::Bytes(bytes) => bytes.len() as u64,
            _ => 0,
        };
        Ok(TreeRef {
            digest: self.source(&json, size, None)?,
            size,
            files,
            bytes,
        })
    }

    /// Reads a source once, puts it into a pack unless its content is in the bundle already, and returns
    /// its digest.
    fn source(&mut self, source: &Source, size: u64, expected: Option<Digest>) -> Result<Digest> {
        let member = tar::member_size(size).ok_or_else(|| changed(source, "is too large"))?;
        let digest = if member + tar::END <= FRAME_BYTES as u64 {
            self.small(source, size)?
        } else {
            self.large(source, size)?
        };
        match expected.filter(|expected| *expected != digest) {
            Some(expected) => Err(Error::new(
                Code::DigestMismatch,
                source.subject(),
                format!("has the digest {digest}, declared is {expected}"),
            )),
            None => Ok(digest),
        }
    }

    fn small(&mut self, source: &Source, size: u64) -> Result<Digest> {
        let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
        let reader = source.open().map_err(|e| Error::io(source.subject(), e))?;
        // One more byte than there should be, to notice a file that has grown.
        reader
            .take(size + 1)
            .read_to_end(&mut content)
            .map_err(|e| Error::io(source.subject(), e))?;
        if content.len() as u64 != size {
            return Err(changed(source, "has another length than a moment ago"));
        }
        (self.progress)(size);
        let digest = Digest::of(&content);
        if self.seen.insert(digest) {
            let padding = tar::zeros_after(size);
            let member = HEADER + content.len() + padding.len();
            if self.open.tar.len() + member + tar::ZEROS.len() > FRAME_BYTES {
                self.close_small();
                self.drain(self.most_pending)?;
            }
            self.open
                .tar
                .extend(tar::header(&tar::blob_path(digest), size));
            self.open.tar.extend(content);
            self.open.tar.extend(padding);
            self.open.blobs.push(BlobRef(digest, size));
        }
        Ok(digest)
    }

    fn close_small(&mut self) {
        let Small { mut tar, blobs } = std::mem::take(&mut self.open);
        if blobs.is_empty() {
            return;
        }
        tar.extend(tar::ZEROS);
        self.packs.push(PackInWork {
            blobs,
            frames: vec![None],
            dropped: false,
        });
        self.pending
            .push_back((self.packs.len() - 1, 0, self.compressor.compress(tar)));
        self.open.tar.reserve(FRAME_BYTES);
    }

    fn large(&mut self, source: &Source, size: u64) -> Result<Digest> {
        let number = self.packs.len();
        self.packs.push(PackInWork::default());
        let io = |e| Error::io(source.subject(), e);
        let mut reader = source.open().map_err(io)?;
        let mut hasher = Hasher::default();
        let mut left = size;
        let mut first = Vec::new();
        // What follows the content: its padding and the end of the archive.
        let mut tail = tar::zeros_after(size).len() + tar::ZEROS.len();
        for frame in 0.. {
            let mut tar = Vec::with_capacity(FRAME_BYTES);
            if frame == 0 {
                tar.resize(HEADER, 0);
            }
            let start = tar.len();
            let room = (FRAME_BYTES - start) as u64;
            reader
                .by_ref()
                .take(room.min(left))
                .read_to_end(&mut tar)
                .map_err(io)?;
            let content = &tar[start..];
            if (content.len() as u64) < room.min(left) {
                return Err(changed(source, "is shorter than a moment ago"));
            }
            hasher.update(content);
            (self.progress)(content.len() as u64);
            left -= content.len() as u64;
            if left == 0 {
                let more = tail.min(FRAME_BYTES - tar.len());
                tar.resize(tar.len() + more, 0);
                tail -= more;
            }
            if frame == 0 {
                // Waits for its header, which needs the digest of all the content.
                first = tar;
            } else {
                self.pending
                    .push_back((number, frame, self.compressor.compress(tar)));
                self.drain(self.most_pending)?;
            }
            self.packs[number].frames.push(None);
            if left == 0 && tail == 0 {
                break;
            }
        }
        if reader.read(&mut [0]).map_err(io)? != 0 {
            return Err(changed(source, "is longer than a moment ago"));
        }
        let digest = hasher.finish();
        self.packs[number].blobs.push(BlobRef(digest, size));
        if self.seen.insert(digest) {
            first[..HEADER].copy_from_slice(&tar::header(&tar::blob_path(digest), size));
            self.pending
                .push_back((number, 0, self.compressor.compress(first)));
        } else {
            self.packs[number].dropped = true;
        }
        Ok(digest)
    }

    /// Writes finished frames until at most `most` are under way.
    fn drain(&mut self, most: usize) -> Result<()> {
        while self.pending.len() > most {
            let Some((pack, number, frame)) = self.pending.pop_front() else {
                break;
            };
            let frame = frame.wait().map_err(|e| Error::io("a frame", e))?;
            self.spool
                .write_all(&frame.bytes)
                .map_err(|e| Error::io("the spool file", e))?;
            let stored = BlobRef(frame.digest, frame.bytes.len() as u64);
            self.packs[pack].frames[number] = Some(Segment {
                offset: self.spool_end,
                stored,
            });
            self.spool_end += stored.size();
        }
        Ok(())
    }
}

fn changed(source: &Source, how: &str) -> Error {
    Error::new(Code::LengthMismatch, source.subject(), how)
}
