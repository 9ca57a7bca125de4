//! One layer of an image, read once from its beginning to its end: which packages its files tell of, and
//! what it covers of the layers below (OCI image-spec 1.1, "Image Layer Filesystem Changeset").

use std::{
    cell::Cell,
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read},
    rc::Rc,
};

use sealift_verifier::digest::Hasher;
use serde::{Deserialize, Serialize};

use super::probe::{self, Found};
use crate::{
    error::Code,
    plan::{PlannedBlob, SourceReader},
};

/// Entries of a layer. The largest have some 500,000.
const ENTRIES: usize = 10_000_000;
/// Bytes that a layer may always unpack to; beyond that, [`RATIO`] holds. Less in tests of that.
const FREE_BYTES: u64 = if cfg!(test) { 1 << 24 } else { 1 << 30 };
/// How many times its length a layer may unpack to. Programs and texts come to 5, sparse data to some 50.
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
    /// Hashes of all paths that it puts something at or takes away, and of folders that it makes anew,
    /// sorted. As hashes they take a tenth of the room, and none is ever shown.
    covered: Vec<u64>,
}

impl LayerPackages {
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

/// What is wrong with a layer.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) code: Code,
    pub(super) message: String,
}

impl Flaw {
    fn invalid(message: impl Into<String>) -> Self {
        Self {
            code: Code::ImageInvalid,
            message: message.into(),
        }
    }
}

/// Reads a layer, and holds it to its digest; `progress` hears of bytes that were read.
pub(super) fn read(blob: &PlannedBlob, progress: &dyn Fn(u64)) -> Result<LayerPackages, Flaw> {
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
    let scanned = scan(&mut source, blob.blob.size());
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
    left: u64,
    step: Rc<Cell<u64>>,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)? as u64;
        self.left = self.left.checked_sub(count).ok_or_else(|| {
            io::Error::other(format!("unpacks to more than {RATIO} times its length"))
        })?;
        let step = self.step.get().checked_sub(count);
        self.step
            .set(step.ok_or_else(|| io::Error::other("has an entry with too long a header"))?);
        Ok(usize::try_from(count).unwrap_or(buffer.len()))
    }
}

/// Unpacks a layer, whose compression is seen from its first bytes, and looks through its entries.
fn scan(source: &mut impl BufRead, size: u64) -> io::Result<LayerPackages> {
    let unpacked: Box<dyn Read + '_> = match source.fill_buf()? {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::stream::read::Decoder::with_buffer(source)?),
        _ => Box::new(source),
    };
    let step = Rc::new(Cell::new(HEADER_BYTES));
    let mut archive = tar::Archive::new(Limited {
        inner: unpacked,
        left: FREE_BYTES.max(size.saturating_mul(RATIO)),
        step: step.clone(),
    });
    let mut scan = Scan::default();
    let mut count = 0;
    for entry in archive.entries()? {
        let mut entry = entry?;
        count += 1;
        if count > ENTRIES {
            return Err(io::Error::other(format!("has more than {ENTRIES} entries")));
        }
        // The holes of a sparse file are no bytes of the archive: they are passed over, not read.
        let sparse = entry.header().entry_type().is_gnu_sparse();
        let size = if sparse {
            entry.header().entry_size()?
        } else {
            entry.size()
        };
        step.set(size.saturating_add(HEADER_BYTES));
        scan.entry(&mut entry, sparse)?;
        if !sparse {
            io::copy(&mut entry, &mut io::sink())?;
            step.set(HEADER_BYTES);
        }
    }
    Ok(scan.finish())
}

/// What was found so far.
#[derive(Default)]
struct Scan {
    found: LayerPackages,
    weight: usize,
    /// Room for one file, kept from one to the next.
    buffer: Vec<u8>,
}

impl Scan {
    fn entry<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>, sparse: bool) -> io::Result<()> {
        let kind = entry.header().entry_type();
        if kind.is_dir() || kind.is_pax_global_extensions() {
            return Ok(());
        }
        let path = clean(&String::from_utf8_lossy(&entry.path_bytes()));
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if name == OPAQUE {
            self.cover(PathHash::of(folder).with(b'/'));
            return Ok(());
        }
        if let Some(gone) = name.strip_prefix(WHITEOUT) {
            let gone = if folder.is_empty() {
                gone.to_owned()
            } else {
                format!("{folder}/{gone}")
            };
            self.cover(PathHash::of(&gone));
            return Ok(());
        }
        self.cover(PathHash::of(&path));
        // Of several entries of one path the last one counts.
        self.found.files.remove(&path);
        let found = if kind.is_symlink() {
            let target = entry.link_name_bytes();
            target.and_then(|target| probe::link(&path, &String::from_utf8_lossy(&target)))
        } else if (kind.is_file() || kind.is_contiguous()) && !sparse {
            let size = entry.size();
            probe::file(&path, size, entry, &mut self.buffer)?
        } else {
            None
        };
        if let Some(found) = found {
            self.weight += path.len() + found.weight();
            if self.weight > FINDING_BYTES {
                return Err(io::Error::other("tells of more packages than there can be"));
            }
            self.found.files.insert(path, found);
        }
        Ok(())
    }

    fn cover(&mut self, hash: PathHash) {
        self.found.covered.push(hash.0);
    }

    fn finish(mut self) -> LayerPackages {
        self.found.covered.sort_unstable();
        self.found.covered.dedup();
        self.found
    }
}

/// A path of an archive below the root of the image: without `.`, and `..` never leads above the root.
fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
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
