//! The plan: what a release is made of and where each byte of it lies. Pure data, sorted, the same for
//! the same definitions whatever the order in which a file system lists its files.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Take},
    path::{Path, PathBuf},
};

use sealift_verifier::{
    digest::{Digest, Hasher},
    path::EntryPath,
    release::{BlobRef, Capability, Release},
    time::Time,
    tree::Mode,
};

use crate::{
    cache::Seen,
    license::LicenseRules,
    problem::{Place, Problem},
};

/// Everything that goes into a bundle, before any of it is packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The release manifest, as far as it can be said without content: capabilities and bills of materials
    /// are not in it.
    pub release: Release,
    /// The release counter: the version of `targets.json`.
    pub counter: u64,
    /// When the metadata of the bundle expires; later than the release was published.
    pub expires: Time,
    /// The file name of the release definition.
    pub definition: String,
    /// Every definition that was read, sorted by path.
    pub definitions: Vec<DefinitionDigest>,
    /// Which licenses the vendor accepts.
    pub licenses: LicenseRules,
    /// Licenses of capabilities that are none of them: told together with those of packages.
    pub refused: Vec<Problem>,
    /// Sorted by name, each name once, none inside another.
    pub capabilities: Vec<PlannedCapability>,
}

impl Plan {
    /// The folders that it carries, as far as files lie in them.
    pub(crate) fn folders(&self) -> impl Iterator<Item = PathBuf> {
        let artifacts = self.capabilities.iter().flat_map(|c| &c.artifacts);
        artifacts.filter_map(|artifact| {
            let PlannedContent::Tree(entries) = &artifact.content else {
                return None;
            };
            let mut entries = entries.iter();
            entries.find_map(|entry| match &entry.node {
                PlannedNode::File {
                    source: Source::File { path, .. },
                    ..
                } => {
                    let depth = entry.path.as_str().split('/').count();
                    path.ancestors().nth(depth).map(Path::to_owned)
                }
                _ => None,
            })
        })
    }

    /// The files that were found in folders, with their lengths in bytes.
    pub(crate) fn found(&self) -> impl Iterator<Item = (&Source, u64)> {
        let artifacts = self.capabilities.iter().flat_map(|c| &c.artifacts);
        let entries = artifacts.flat_map(|artifact| match &artifact.content {
            PlannedContent::Tree(entries) => entries.as_slice(),
            _ => &[],
        });
        entries.filter_map(|entry| match &entry.node {
            PlannedNode::File { size, source, .. } => Some((source, *size)),
            _ => None,
        })
    }
}

/// A definition that a plan follows from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DefinitionDigest {
    /// Where it lies: relative to the catalog, or, of the release definition and its lock, the file name.
    pub path: String,
    /// The digest of the bytes that were read.
    pub digest: Digest,
}

/// One capability of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedCapability {
    /// Its part of the release manifest, without artifacts.
    pub manifest: Capability,
    /// Sorted by name, each name once, none inside another.
    pub artifacts: Vec<PlannedArtifact>,
}

/// One artifact of a capability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedArtifact {
    /// Its name below the capability.
    pub name: EntryPath,
    /// Where the definition names it.
    pub at: Place,
    /// Where its content lies, relative to the catalog and with all symbolic links resolved.
    pub source: String,
    /// What it is and where its bytes lie.
    pub content: PlannedContent,
}

/// What an artifact is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlannedContent {
    /// An OCI image.
    Image(PlannedImage),
    /// A folder; sorted by path. Folders appear only if they are empty.
    Tree(Vec<PlannedEntry>),
    /// One file.
    File(PlannedFile),
    /// A configuration file.
    Config(PlannedFile),
    /// A license text.
    Notice(PlannedFile),
}

/// An image with all its blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedImage {
    /// Digest of its manifest or index.
    pub digest: Digest,
    /// Media type of its manifest or index.
    pub media_type: String,
    /// Every blob, the manifest or index included: sorted by digest, each once.
    pub blobs: Vec<PlannedBlob>,
}

/// A blob of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedBlob {
    /// Digest and length. Those of manifests and configurations were verified when the plan was made;
    /// of layers only the length, so whoever copies them has to compare the digest.
    pub blob: BlobRef,
    /// Whether it is an uncompressed layer. All else is stored as it is: manifests and configurations so
    /// that other tools find them, compressed layers because packing gains nothing.
    pub compressible: bool,
    /// Where its bytes lie.
    pub source: Source,
}

/// One thing in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedEntry {
    /// Its path below the folder.
    pub path: EntryPath,
    /// What it is.
    pub node: PlannedNode,
}

/// What a [`PlannedEntry`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlannedNode {
    /// A regular file.
    File {
        /// Whether it may be run. Owner, times, set-user-id bits and extended attributes of the vendor's
        /// file system are not part of a release: they would make it depend on the machine.
        mode: Mode,
        /// Length in bytes.
        size: u64,
        /// Where its bytes lie.
        source: Source,
    },
    /// A symbolic link that stays inside the folder.
    Symlink {
        /// Its target.
        target: String,
    },
    /// An empty folder.
    Dir,
}

/// A single file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    /// Where its bytes lie.
    pub source: Source,
    /// Length in bytes.
    pub size: u64,
    /// Whether it may be run.
    pub executable: bool,
    /// The digest that the definition declares; whoever reads the content compares it.
    pub expected: Option<Digest>,
}

/// Where bytes lie.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A whole file.
    File {
        /// The file.
        path: PathBuf,
        /// What it looked like when its folder was listed, if it was found that way.
        seen: Option<Seen>,
    },
    /// A part of a file: a member of an image archive.
    Slice {
        /// The file.
        path: PathBuf,
        /// Where the part begins, in bytes.
        offset: u64,
        /// Its length in bytes.
        size: u64,
    },
    /// Bytes that were made here.
    Bytes(Vec<u8>),
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Self::File { path, seen: None }
    }
}

/// The reader that [`Source::open`] returns.
#[derive(Debug)]
pub enum SourceReader<'a> {
    /// Of a file.
    File(File),
    /// Of a part of a file.
    Slice(Take<File>),
    /// Of bytes.
    Bytes(&'a [u8]),
}

impl Source {
    /// Opens it for reading from its beginning to its end. The reader is not buffered.
    ///
    /// # Errors
    /// What the operating system says, for example that a file has gone since the plan was made. A file
    /// that has become shorter only shows as an early end: compare the length.
    pub fn open(&self) -> io::Result<SourceReader<'_>> {
        Ok(match self {
            Self::File { path, .. } => SourceReader::File(File::open(path)?),
            Self::Slice { path, offset, size } => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(*offset))?;
                SourceReader::Slice(file.take(*size))
            }
            Self::Bytes(bytes) => SourceReader::Bytes(bytes),
        })
    }

    /// Reads all of it: its digest and its length in bytes.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn digest(&self) -> io::Result<(Digest, u64)> {
        let mut reader = self.open()?;
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; 1 << 18];
        let mut length = 0;
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok((hasher.finish(), length)),
                count => {
                    hasher.update(&buffer[..count]);
                    length += count as u64;
                }
            }
        }
    }

    /// What to call it in messages: its path, where it has one.
    pub fn subject(&self) -> String {
        match self {
            Self::File { path, .. } => path.display().to_string(),
            Self::Slice { path, offset, .. } => format!("{} at byte {offset}", path.display()),
            Self::Bytes(_) => "generated content".into(),
        }
    }
}

impl SourceReader<'_> {
    /// The file that is read.
    pub(crate) fn file(&self) -> Option<&File> {
        match self {
            Self::File(file) => Some(file),
            Self::Slice(slice) => Some(slice.get_ref()),
            Self::Bytes(_) => None,
        }
    }
}

impl Read for SourceReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Slice(slice) => slice.read(buffer),
            Self::Bytes(bytes) => bytes.read(buffer),
        }
    }
}
