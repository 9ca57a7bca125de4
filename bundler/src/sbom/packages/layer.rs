//! One layer of an image, read once from its beginning to its end: which packages its files tell of, and
//! what it covers of the layers below (OCI image-spec 1.1, "Image Layer Filesystem Changeset").

use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap, HashSet, btree_map::Entry},
    fmt::Write as _,
    io::{self, BufRead, BufReader, Read},
    rc::Rc,
};

use sealift_verifier::{
    digest::{Digest, Hasher},
    release::BlobRef,
};
use serde::{Deserialize, Serialize};

use super::{
    probe::{self, Found, Kind},
    sparse::Sparse,
};
use crate::{
    error::Code,
    plan::{PlannedBlob, SourceReader},
};

/// Entries of a layer. The largest have some 500,000.
const ENTRIES: usize = 10_000_000;
/// Bytes that a layer may always unpack to; beyond that, [`RATIO`] holds. Less in tests of that. Databases and disk images
/// that were made in their whole length are zeros, which are packed to a thousandth and read in seconds.
const FREE_BYTES: u64 = if cfg!(test) { 1 << 24 } else { 1 << 36 };
/// How many times its length a layer may unpack to. Programs and texts come to 5.
const RATIO: u64 = 200;
/// Bytes of headers between two entries: long names and extended attributes.
const HEADER_BYTES: u64 = 4 << 20;
/// Memory that the findings of one layer take, in bytes: a million packages or so.
const FINDING_BYTES: usize = 128 << 20;
/// Names of the files that take something away (OCI image-spec 1.1, "Whiteouts").
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// What one layer tells, whatever lies below it: may be kept by the digest of the layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LayerPackages {
    /// By path.
    pub(super) files: BTreeMap<String, Found>,
    /// Hard links to files of lower layers: the paths of those by the paths of these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) links: BTreeMap<String, String>,
    /// Digest of the layer without its compression, its `DiffID` (OCI image-spec 1.1, "Image JSON"); none where nothing
    /// was unpacked.
    pub(super) unpacked: Option<Digest>,
    /// Hashes of all paths that it puts something at or takes away, and of folders that it makes anew,
    /// sorted. As hashes they take a tenth of the room, and none is ever shown.
    covered: Vec<u64>,
}

impl LayerPackages {
    /// What is wrong if the layer with this digest is another one, unpacked, than an image says.
    pub(super) fn differs(&self, digest: Digest, said: Option<Digest>) -> Option<Flaw> {
        let (found, said) = (self.unpacked?, said?);
        (found != said).then(|| Flaw {
            code: Code::DigestMismatch,
            message: format!(
                "layer {digest} has the digest {found} when it is unpacked, the configuration of the image says {said}"
            ),
        })
    }

    /// Whether a file that a lower layer put at `path` cannot be seen through this one.
    pub(super) fn covers(&self, path: &str) -> bool {
        let covered = |hash: PathHash| self.covered.binary_search(&hash.0).is_ok();
        let mut hash = PathHash::EMPTY;
        if covered(hash.with(b'/')) {
            return true;
        }
        for byte in path.bytes() {
            // A folder that is made anew, or something else where a folder was.
            if byte == b'/' && (covered(hash) || covered(hash.with(b'/'))) {
                return true;
            }
            hash = hash.with(byte);
        }
        covered(hash)
    }
}

/// FNV-1a with 64 bits (Fowler, Noll, Vo), which can be taken of all folders of a path in one go. Of 40 million
/// layers with a million paths each, about one has two paths of the same hash.
#[derive(Clone, Copy)]
struct PathHash(u64);

impl PathHash {
    const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    fn with(self, byte: u8) -> Self {
        Self((self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
    }

    fn of(path: &str) -> Self {
        path.bytes().fold(Self::EMPTY, Self::with)
    }
}

/// What is wrong with a layer or a file.
#[derive(Debug, Clone)]
pub(super) struct Flaw {
    pub(super) code: Code,
    pub(super) message: String,
}

impl Flaw {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self {
            code: Code::ImageInvalid,
            message: message.into(),
        }
    }
}

/// Reads a layer, and holds it to its digest; `progress` hears of bytes that were read.
pub(super) fn read(blob: &PlannedBlob, progress: &dyn Fn(u64)) -> Result<LayerPackages, Flaw> {
    let mut scan = look(blob, Wanted::new(), progress)?;
    if !scan.missed.is_empty() {
        // Which names a file has is known only behind it.
        scan = look(blob, scan.missed, &|_| ())?;
    }
    Ok(scan.finish())
}

/// Goes through a layer once.
fn look(blob: &PlannedBlob, wanted: Wanted, progress: &dyn Fn(u64)) -> Result<Scan, Flaw> {
    let subject = format!("layer {}", blob.blob.digest());
    let io = |e: io::Error| Flaw {
        code: Code::Io,
        message: format!("{}: {e}", blob.source.subject()),
    };
    let hashed = Hashed {
        inner: blob.source.open().map_err(io)?,
        hasher: Hasher::default(),
        length: 0,
        failed: false,
        progress,
    };
    let mut source = BufReader::with_capacity(1 << 18, hashed);
    let scanned = scan(&mut source, blob.blob, wanted);
    if source.get_ref().failed {
        return scanned.map_err(|e| Flaw {
            code: Code::Io,
            message: format!("{}: {e}", blob.source.subject()),
        });
    }
    // A layer that is not the one that was meant is worth no other words.
    source.consume(source.buffer().len());
    let rest = source.get_mut();
    io::copy(rest, &mut io::sink()).map_err(io)?;
    let (length, declared) = (rest.length, blob.blob.size());
    if length != declared {
        return Err(Flaw {
            code: Code::LengthMismatch,
            message: format!("{subject} has {length} bytes, declared are {declared}"),
        });
    }
    match std::mem::take(&mut rest.hasher).finish() {
        found if found == blob.blob.digest() => {
            scanned.map_err(|e| Flaw::invalid(format!("{subject}: {e}")))
        }
        found => Err(Flaw {
            code: Code::DigestMismatch,
            message: format!("{subject} has the digest {found}"),
        }),
    }
}

/// Bytes that are hashed as they pass.
struct Hashed<'a> {
    inner: SourceReader<'a>,
    hasher: Hasher,
    length: u64,
    /// Whether the operating system failed, which is not the fault of the content.
    failed: bool,
    progress: &'a dyn Fn(u64),
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer);
        let count = read.inspect_err(|e| self.failed |= e.kind() != io::ErrorKind::Interrupted)?;
        self.hasher.update(&buffer[..count]);
        self.length += count as u64;
        (self.progress)(count as u64);
        Ok(count)
    }
}

/// Unpacked bytes, of which only so many may come: in all, and before the next entry.
struct Limited<R> {
    inner: R,
    /// None where they are those of the blob, which is hashed already.
    hasher: Option<Hasher>,
    limits: Rc<Limits>,
}

/// How many bytes may still come.
#[derive(Default)]
struct Limits {
    left: Cell<u64>,
    step: Cell<u64>,
}

impl Limits {
    fn take(&self, count: u64) -> io::Result<()> {
        let left = self.left.get().checked_sub(count);
        self.left.set(left.ok_or_else(|| {
            io::Error::other(format!("unpacks to more than {RATIO} times its length"))
        })?);
        Ok(())
    }
}

/// A file with holes: zeros that no archive has count as if it had them.
struct Charged<R> {
    inner: R,
    limits: Rc<Limits>,
}

impl<R: Read> Read for Charged<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.limits.take(read as u64)?;
        Ok(read)
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(buffer.get(..read).unwrap_or_default());
        }
        let count = read as u64;
        self.limits.take(count)?;
        let step = self.limits.step.get().checked_sub(count);
        let step = step.ok_or_else(|| io::Error::other("has an entry with too long a header"))?;
        self.limits.step.set(step);
        Ok(read)
    }
}

/// Unpacks a layer, whose compression is seen from its first bytes, and looks through its entries. `wanted` are files that an
/// earlier look found other names for.
fn scan(source: &mut impl BufRead, blob: BlobRef, wanted: Wanted) -> io::Result<Scan> {
    let packed = Some(Hasher::default());
    let (unpacked, hasher): (Box<dyn Read + '_>, _) = match source.fill_buf()? {
        [0x1f, 0x8b, ..] => (
            Box::new(flate2::bufread::MultiGzDecoder::new(source)),
            packed,
        ),
        // A skippable frame may come first, as pzstd writes it (RFC 8878, 3.1.2).
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => (
            Box::new(zstd::stream::read::Decoder::with_buffer(source)?),
            packed,
        ),
        _ => (Box::new(source), None),
    };
    let limits = Rc::new(Limits {
        left: Cell::new(FREE_BYTES.max(blob.size().saturating_mul(RATIO))),
        step: Cell::new(HEADER_BYTES),
    });
    let step = &limits.step;
    let mut archive = tar::Archive::new(Limited {
        inner: unpacked,
        hasher,
        limits: limits.clone(),
    });
    let mut scan = Scan {
        limits: limits.clone(),
        wanted,
        ..Scan::default()
    };
    let mut count = 0;
    for entry in archive.entries()? {
        let mut entry = entry?;
        count += 1;
        if count > ENTRIES {
            return Err(io::Error::other(format!("has more than {ENTRIES} entries")));
        }
        // The holes of a sparse file are no bytes of the archive, though the entry has them.
        let holes = entry.header().entry_type().is_gnu_sparse();
        let size = if holes {
            entry.header().entry_size()?
        } else {
            entry.size()
        };
        step.set(size.saturating_add(HEADER_BYTES));
        scan.entry(&mut entry)?;
        if !holes {
            io::copy(&mut entry, &mut io::sink())?;
            step.set(HEADER_BYTES);
        }
    }
    // Checksums of compressed data come last, and what stands behind the last entry is part of the digest.
    step.set(u64::MAX);
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink())?;
    let unpacked = rest.hasher.map(Hasher::finish);
    scan.found.unpacked = Some(unpacked.unwrap_or(blob.digest()));
    Ok(scan)
}

/// Files of a layer that have to be read although their own paths tell nothing: a hard link gives them another name. By
/// the hashes of their paths; for each kind that they are to be read as, such a name.
type Wanted = HashMap<u64, BTreeMap<Kind, String>>;

/// What was found so far.
#[derive(Default)]
struct Scan {
    found: LayerPackages,
    weight: usize,
    limits: Rc<Limits>,
    /// Room for one file, kept from one to the next.
    buffer: Vec<u8>,
    /// Hashes of the paths of all files.
    put: HashSet<u64>,
    /// Of hard links: the hash of the path that each is another name for.
    links: HashMap<u64, u64>,
    wanted: Wanted,
    /// What came of files that were wanted.
    read: HashMap<(u64, Kind), Option<Rc<Found>>>,
    /// Files that would have had to be read, as was seen too late.
    missed: Wanted,
}

impl Scan {
    fn entry<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> io::Result<()> {
        let kind = entry.header().entry_type();
        // Before there was an entry type for folders, their names ended so (Unix V7); runtimes know that.
        let untyped = entry.header().as_old().linkflag == [0];
        let folder = kind.is_dir() || untyped && entry.path_bytes().ends_with(b"/");
        if folder || kind.is_pax_global_extensions() {
            return Ok(());
        }
        let sparse = match entry.pax_extensions()? {
            Some(headers) => {
                let headers = headers.filter_map(Result::ok);
                Sparse::of(headers.map(|header| (header.key_bytes(), header.value_bytes())))?
            }
            None => None,
        };
        let named = sparse.as_ref().and_then(|sparse| sparse.name.as_deref());
        let path = match named {
            Some(name) => clean(name),
            None => clean(&entry.path_bytes()),
        };
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if name == OPAQUE {
            self.found.covered.push(PathHash::of(folder).with(b'/').0);
            return Ok(());
        }
        if let Some(gone) = name.strip_prefix(WHITEOUT) {
            let gone = if folder.is_empty() {
                gone.to_owned()
            } else {
                format!("{folder}/{gone}")
            };
            self.found.covered.push(PathHash::of(&gone).0);
            return Ok(());
        }
        let target = entry.link_name_bytes().unwrap_or_default();
        let target = kind.is_hard_link().then(|| clean(&target));
        if target.as_ref() == Some(&path) {
            return Ok(());
        }
        // Of several entries of one path the last one counts.
        self.found.files.remove(&path);
        self.found.links.remove(&path);
        if let Some(target) = target {
            return self.hard_link(path, &target);
        }
        let hash = PathHash::of(&path).0;
        self.put.insert(hash);
        self.links.remove(&hash);
        for kind in self.wanted.get(&hash).into_iter().flat_map(BTreeMap::keys) {
            self.read.insert((hash, *kind), None);
        }
        let found = if kind.is_symlink() {
            let target = entry.link_name_bytes();
            target.and_then(|target| probe::link(&path, &String::from_utf8_lossy(&target)))
        } else if kind.is_gnu_sparse() {
            let (size, inner) = (entry.size(), entry);
            let limits = self.limits.clone();
            self.file(&path, size, &mut Charged { inner, limits })?
        } else if kind.is_file() || kind.is_contiguous() {
            match sparse {
                Some(sparse) => {
                    let (size, inner) = (sparse.size, sparse.fill(entry)?);
                    let limits = self.limits.clone();
                    self.file(&path, size, &mut Charged { inner, limits })?
                }
                None => self.file(&path, entry.size(), entry)?,
            }
        } else {
            None
        };
        self.keep(path, found.as_ref())
    }

    /// A regular file, also by its other names.
    fn file<R: Read>(
        &mut self,
        path: &str,
        size: u64,
        content: &mut R,
    ) -> io::Result<Option<Found>> {
        let hash = PathHash::of(path).0;
        let Some(kinds) = self.wanted.get(&hash) else {
            return probe::file(path, size, content, &mut self.buffer);
        };
        let mut start = Vec::new();
        if size <= probe::NAMED_BYTES {
            content.read_to_end(&mut start)?;
        }
        for (kind, name) in kinds {
            let found = probe::file(name, size, &mut start.as_slice(), &mut self.buffer)?;
            self.read.insert((hash, *kind), found.map(Rc::new));
        }
        let mut whole = start.as_slice().chain(content);
        probe::file(path, size, &mut whole, &mut self.buffer)
    }

    /// Another name for a file of this layer or of one below. What that tells follows from this name.
    fn hard_link(&mut self, path: String, target: &str) -> io::Result<()> {
        let (hash, of) = (PathHash::of(&path).0, PathHash::of(target).0);
        let kind = Kind::of(&path);
        self.links.insert(hash, of);
        // Links to this one want to know it, too.
        for kind in self.wanted.get(&hash).into_iter().flat_map(BTreeMap::keys) {
            let found = self.read.get(&(of, *kind)).cloned();
            self.read.insert((hash, *kind), found.flatten());
        }
        let below = match self.found.links.get(target) {
            Some(below) => Some(below.clone()),
            None => (!self.put.contains(&of)).then(|| target.to_owned()),
        };
        self.put.insert(hash);
        if let Some(below) = below {
            self.weigh(path.len() + below.len())?;
            self.found.links.insert(path, below);
            return Ok(());
        }
        if kind == Kind::of(target) {
            let found = self.found.files.get(target).cloned();
            return self.keep(path, found.as_ref());
        }
        if kind == Kind::Other {
            return Ok(());
        }
        if let Some(found) = self.read.get(&(of, kind)).cloned() {
            return self.keep(path, found.as_deref());
        }
        let mut next = Some(of);
        while let Some(hash) = next {
            let kinds = self.missed.entry(hash).or_default();
            // Whoever wanted it before has gone the rest of the way.
            next = match kinds.entry(kind) {
                Entry::Occupied(_) => None,
                Entry::Vacant(place) => {
                    place.insert(path.clone());
                    self.links.get(&hash).copied()
                }
            };
        }
        Ok(())
    }

    fn keep(&mut self, path: String, found: Option<&Found>) -> io::Result<()> {
        let Some(found) = found else {
            return Ok(());
        };
        self.weigh(path.len() + found.weight())?;
        self.found.files.insert(path, found.clone());
        Ok(())
    }

    fn weigh(&mut self, bytes: usize) -> io::Result<()> {
        self.weight += bytes;
        if self.weight > FINDING_BYTES {
            return Err(io::Error::other("tells of more packages than there can be"));
        }
        Ok(())
    }

    fn finish(mut self) -> LayerPackages {
        let covered = &mut self.found.covered;
        covered.extend(self.put);
        covered.sort_unstable();
        covered.dedup();
        self.found
    }
}

/// A path of an archive below the root of the image: without `.`, and `..` never leads above the root. Bytes that are no
/// UTF-8 become `\xNN`, and `\` becomes two, so that no two paths become one.
fn clean(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for part in chunk.valid().split_inclusive('\\') {
            text.push_str(part);
            if part.ends_with('\\') {
                text.push('\\');
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}
