//! A tar as a table of its members: where each lies, so that it can be read in place.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use super::Finding;

/// Members of an image archive. Images have some hundred; this is far more.
const MEMBERS: usize = 100_000;
/// Bytes of headers and long names that are read of an archive. Contents are passed over by seeking, so
/// this bounds both time and memory whatever the headers claim.
const HEADER_BYTES: u64 = 128 << 20;
/// How many links are followed from one member to the next.
const LINKS: usize = 8;

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Member {
    File {
        offset: u64,
        size: u64,
    },
    /// A link, with the name that it leads to inside the archive.
    Link(String),
}

/// Where the files of a tar lie.
#[derive(Debug)]
pub(super) struct Archive {
    members: BTreeMap<String, Member>,
}

/// A file of which only so much is read; seeking is free.
struct Budget {
    file: File,
    left: u64,
}

impl Read for Budget {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other("has too many headers"));
        }
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let count = self.file.read(&mut buffer[..most])?;
        self.left -= count as u64;
        Ok(count)
    }
}

impl Seek for Budget {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl Archive {
    /// Reads the headers of a tar.
    pub(super) fn open(path: &Path) -> Result<Self, Finding> {
        let invalid = |e: io::Error| Finding::invalid("the archive", e);
        // Before it is opened: a pipe would wait for somebody who writes to it.
        if !path.metadata().map_err(invalid)?.is_file() {
            return Err(Finding::invalid("the archive", "is no regular file"));
        }
        let mut file = File::open(path).map_err(invalid)?;
        let length = file.metadata().map_err(invalid)?.len();
        let mut magic = Vec::new();
        (&mut file)
            .take(6)
            .read_to_end(&mut magic)
            .map_err(invalid)?;
        if let Some(name) = compression(&magic) {
            return Err(Finding::invalid(
                "the archive",
                format!("is compressed with {name}; unpack that first"),
            ));
        }
        file.seek(SeekFrom::Start(0)).map_err(invalid)?;
        let mut members = BTreeMap::new();
        let mut tar = tar::Archive::new(Budget {
            file,
            left: HEADER_BYTES,
        });
        let no_tar = |e| Finding::invalid("the archive", format!("cannot be read as a tar: {e}"));
        for entry in tar.entries_with_seek().map_err(no_tar)? {
            let entry = entry.map_err(no_tar)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let kind = entry.header().entry_type();
            let target = || {
                entry
                    .link_name_bytes()
                    .map(|t| String::from_utf8_lossy(&t).into_owned())
            };
            let member = if kind.is_file() || kind.is_contiguous() {
                let (offset, size) = (entry.raw_file_position(), entry.size());
                if offset.checked_add(size).is_none_or(|end| end > length) {
                    return Err(Finding::invalid(
                        name,
                        "is cut off: the archive is incomplete",
                    ));
                }
                Member::File { offset, size }
            } else if kind.is_symlink() {
                let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
                Member::Link(normal(&format!(
                    "{folder}/{}",
                    target().unwrap_or_default()
                )))
            } else if kind.is_hard_link() {
                Member::Link(normal(&target().unwrap_or_default()))
            } else if kind.is_dir() || kind.is_pax_global_extensions() {
                continue;
            } else {
                return Err(Finding::invalid(
                    name,
                    "is neither a file, a folder nor a link",
                ));
            };
            if members.len() >= MEMBERS {
                return Err(Finding::invalid(
                    "the archive",
                    format!("has more than {MEMBERS} members"),
                ));
            }
            // With two members of one name it would depend on the reader which of them counts.
            if members.insert(normal(&name), member).is_some() {
                return Err(Finding::invalid(name, "is there twice"));
            }
        }
        Ok(Self { members })
    }

    /// Offset and length of the content of a file, through links where it is one.
    pub(super) fn find(&self, name: &str) -> Option<(u64, u64)> {
        let mut member = self.members.get(&normal(name))?;
        for _ in 0..LINKS {
            match member {
                Member::File { offset, size } => return Some((*offset, *size)),
                Member::Link(target) => member = self.members.get(target)?,
            }
        }
        None
    }
}

/// The compression whose magic number these bytes begin with.
pub(super) fn compression(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x1f, 0x8b, ..] => Some("gzip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some("xz"),
        [b'B', b'Z', b'h', ..] => Some("bzip2"),
        _ => None,
    }
}

/// A member's name without `.` and with `..` taken back: names never leave the archive, they only say
/// which other member is meant.
fn normal(name: &str) -> String {
    let mut parts = Vec::new();
    for part in name.split('/') {
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
