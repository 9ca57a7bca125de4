//! Which content a file had when it looked exactly as it does now.
//!
//! A file is known by its file system, device and inode, and looks as its length and its times say. Of these, nobody can
//! set the ctime: the kernel gives a file the present whenever its content or its inode changes, whatever `touch -d`
//! asks for. A record is therefore made only of a file whose ctime lies behind the present, so that every later change
//! gives it another one, and nothing is concluded where that is not certain.

use std::{
    collections::HashMap,
    fs::{File, Metadata},
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime},
};

use rustix::fs::{StatFs, StatVfs};
use sealift_verifier::digest::Digest;

use super::entries::Folder;
use crate::plan::Source;

/// The name of the file that they are kept in.
const FILE: &str = "files";
const MAGIC: &[u8; 8] = b"sealift2";
/// How many are kept: some 60 MB.
const MOST: usize = 500_000;
/// How far behind the present a ctime has to lie: file systems with short inodes round it down to a second.
const MARGIN: Duration = Duration::from_secs(2);
/// By when the kernel has written every page that a program changed through a mapping; 30 seconds, if nobody
/// set `vm.dirty_expire_centisecs`.
const WRITTEN_BACK: Duration = Duration::from_hours(1);
/// File systems that change the ctime with every change, also one through a mapping, and on the clock of this machine:
/// ext2 to ext4, xfs, btrfs and f2fs. Not tmpfs, which does not see changes through mappings; nor those of a network,
/// which have another clock and show changes late.
const SURE: [u32; 4] = [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010];

/// Seconds and nanoseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Stamp(i64, u32);

impl Stamp {
    fn before(self, duration: Duration) -> Self {
        let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(seconds), self.1)
    }
}

/// Which part of which file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    file_system: u64,
    device: u64,
    inode: u64,
    offset: u64,
    length: u64,
}

/// What can be seen of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Looks {
    size: u64,
    modified: Stamp,
    changed: Stamp,
    born: Stamp,
}

/// Which file it was, and what it looked like, when it was asked for last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seen {
    device: u64,
    inode: u64,
    looks: Looks,
}

impl From<&Metadata> for Seen {
    fn from(metadata: &Metadata) -> Self {
        let stamp = |seconds, nanoseconds: i64| {
            Stamp(seconds, u32::try_from(nanoseconds).unwrap_or_default())
        };
        // Where the file system does not know it, it is the same for all of its files.
        let born = metadata.created().ok();
        let born = born.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let born = born.unwrap_or_default();
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            looks: Looks {
                size: metadata.size(),
                modified: stamp(metadata.mtime(), metadata.mtime_nsec()),
                changed: stamp(metadata.ctime(), metadata.ctime_nsec()),
                born: Stamp(
                    i64::try_from(born.as_secs()).unwrap_or(i64::MAX),
                    born.subsec_nanos(),
                ),
            },
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Record {
    looks: Looks,
    digest: Digest,
    /// In this run.
    used: bool,
}

/// A file that is being read: what it looked like before.
#[derive(Debug)]
pub(crate) struct Watch {
    place: Place,
    looks: Looks,
}

/// All records.
#[derive(Debug, Default)]
pub(super) struct Records {
    known: HashMap<Place, Record>,
    /// Whether there is something to write.
    learned: bool,
    /// Those on disk are not to be added to again.
    forgotten: bool,
    present: Option<Stamp>,
    /// The id of the file system on each device; of those that are not [`SURE`], none.
    file_systems: HashMap<u64, Option<u64>>,
    /// Devices whose changed pages were written since the run began.
    synced: Vec<u64>,
}

impl Records {
    /// Reads what earlier builds left in `folder`: nothing, if it is damaged or was made in another folder, as that of a
    /// copy is.
    pub(super) fn read(folder: &Folder) -> Self {
        let mut records = Self::default();
        records.set_present(folder.probe());
        let Some(bytes) = folder.read(FILE, MOST * Record::BYTES + 1024) else {
            return records;
        };
        records.known = parse(&bytes, &records.header(folder)).unwrap_or_default();
        records
    }

    /// Writes them, with those that another build has written meanwhile.
    pub(super) fn write(&mut self, folder: &Folder) {
        if !std::mem::take(&mut self.learned) {
            return;
        }
        if !self.forgotten {
            for (place, record) in Self::read(folder).known {
                self.known.entry(place).or_insert(record);
            }
        }
        let mut bytes = self.header(folder);
        let mut all: Vec<_> = self.known.iter().collect();
        if all.len() > MOST {
            all.sort_by_key(|(_, record)| !record.used);
            all.truncate(MOST);
        }
        bytes.reserve(all.len() * Record::BYTES + 32);
        for (place, record) in all {
            record.put(place, &mut bytes);
        }
        let digest = Digest::of(&bytes);
        bytes.extend(digest.as_bytes());
        folder.write(FILE, &[&bytes]);
    }

    /// What a file of records begins with: what it is, and the folder that it belongs to. A copied folder is another
    /// one, perhaps on another machine, where the same numbers mean other files.
    fn header(&mut self, folder: &Folder) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let own = look(folder.handle()).and_then(|seen| {
            let file_system = self.file_system(seen.device, || kind_of(folder.handle()))?;
            let Stamp(seconds, nanoseconds) = seen.looks.born;
            Some([
                file_system,
                seen.device,
                seen.inode,
                seconds.cast_unsigned(),
                nanoseconds.into(),
            ])
        });
        for number in own.unwrap_or_default() {
            bytes.extend(number.to_le_bytes());
        }
        bytes
    }

    /// Drops all of them, also those on disk.
    pub(super) fn forget(&mut self) {
        self.known.clear();
        (self.learned, self.forgotten) = (true, true);
    }

    /// `new` was made right now; its ctime is therefore the present, as far as its file system is one of this machine.
    pub(super) fn set_present(&mut self, new: &File) {
        if let Some(seen) = look(new)
            && self.file_system(seen.device, || kind_of(new)).is_some()
        {
            self.present = Some(seen.looks.changed);
        }
    }

    /// The digest of a source with `size` bytes, if its file looks, or looked when it was seen last, as it did when it
    /// was read.
    pub(super) fn find(&mut self, source: &Source, size: u64) -> Option<Digest> {
        let (path, offset) = part(source)?;
        let seen = match source {
            Source::File {
                seen: Some(seen), ..
            } => *seen,
            _ => Seen::from(&path.metadata().ok()?),
        };
        let place = self.place(&seen, (offset, size), || {
            Ok((rustix::fs::statfs(path)?, rustix::fs::statvfs(path)?))
        })?;
        let looks = seen.looks;
        let present = self.present?;
        let whole = matches!(source, Source::Slice { .. }) || looks.size == size;
        let record = self.known.get_mut(&place)?;
        if record.looks != looks || looks.changed >= present || !whole {
            return None;
        }
        record.used = true;
        Some(record.digest)
    }

    /// What a file looks like before it is read; nothing if a later change might not show.
    pub(super) fn watch(&mut self, source: &Source, file: &File) -> Option<Watch> {
        let (_, offset) = part(source)?;
        let present = self.present?;
        let mut seen = look(file)?;
        if seen.looks.changed >= present.before(MARGIN) {
            return None;
        }
        // A page that a program changed through a mapping can be changed again without a trace until it is written.
        if seen.looks.changed >= present.before(WRITTEN_BACK) && !self.synced.contains(&seen.device)
        {
            rustix::fs::syncfs(file).ok()?;
            self.synced.push(seen.device);
            seen = look(file)?;
        }
        let length = match source {
            Source::Slice { size, .. } => *size,
            _ => seen.looks.size,
        };
        let place = self.place(&seen, (offset, length), || kind_of(file))?;
        let looks = seen.looks;
        (looks.changed < present.before(MARGIN)).then_some(Watch { place, looks })
    }

    /// Keeps the digest of what was read, if the file did not change meanwhile.
    pub(super) fn learn(&mut self, Watch { place, looks }: Watch, file: &File, digest: Digest) {
        if look(file).is_some_and(|seen| seen.looks == looks) {
            self.learned = true;
            self.known.insert(
                place,
                Record {
                    looks,
                    digest,
                    used: true,
                },
            );
        }
    }

    fn place(
        &mut self,
        &Seen { device, inode, .. }: &Seen,
        (offset, length): (u64, u64),
        file_system: impl FnOnce() -> Kind,
    ) -> Option<Place> {
        Some(Place {
            file_system: self.file_system(device, file_system)?,
            device,
            inode,
            offset,
            length,
        })
    }

    fn file_system(&mut self, device: u64, ask: impl FnOnce() -> Kind) -> Option<u64> {
        *self.file_systems.entry(device).or_insert_with(|| {
            let (kind, more) = ask().ok()?;
            let sure = u32::try_from(kind.f_type).is_ok_and(|kind| SURE.contains(&kind));
            sure.then_some(more.f_fsid)
        })
    }
}

/// The file of a source, and where in it.
fn part(source: &Source) -> Option<(&Path, u64)> {
    match source {
        Source::File { path, .. } => Some((path, 0)),
        Source::Slice { path, offset, .. } => Some((path, *offset)),
        Source::Bytes(_) => None,
    }
}

/// What a file system says of itself: its kind, and its id.
type Kind = rustix::io::Result<(StatFs, StatVfs)>;

fn kind_of(file: &File) -> Kind {
    Ok((rustix::fs::fstatfs(file)?, rustix::fs::fstatvfs(file)?))
}

fn look(file: &File) -> Option<Seen> {
    Some(Seen::from(&file.metadata().ok()?))
}

impl Record {
    /// As it is stored: five numbers of the place, the length, three times, the digest.
    const BYTES: usize = 6 * 8 + 3 * 12 + 32;

    fn put(&self, place: &Place, bytes: &mut Vec<u8>) {
        let Place {
            file_system,
            device,
            inode,
            offset,
            length,
        } = *place;
        let Looks {
            size,
            modified,
            changed,
            born,
        } = self.looks;
        for number in [file_system, device, inode, offset, length, size] {
            bytes.extend(number.to_le_bytes());
        }
        for Stamp(seconds, nanoseconds) in [modified, changed, born] {
            bytes.extend(seconds.to_le_bytes());
            bytes.extend(nanoseconds.to_le_bytes());
        }
        bytes.extend(self.digest.as_bytes());
    }

    fn take(mut bytes: &[u8]) -> Option<(Place, Self)> {
        let from = &mut bytes;
        let place = Place {
            file_system: number(from)?,
            device: number(from)?,
            inode: number(from)?,
            offset: number(from)?,
            length: number(from)?,
        };
        let looks = Looks {
            size: number(from)?,
            modified: stamp(from)?,
            changed: stamp(from)?,
            born: stamp(from)?,
        };
        let digest = <[u8; 32]>::try_from(*from).ok()?.into();
        Some((
            place,
            Self {
                looks,
                digest,
                used: false,
            },
        ))
    }
}

fn parse(bytes: &[u8], header: &[u8]) -> Option<HashMap<Place, Record>> {
    let (content, digest) = bytes.split_last_chunk::<32>()?;
    let records = content.strip_prefix(header)?;
    if Digest::of(content).as_bytes() != digest {
        return None;
    }
    records.chunks(Record::BYTES).map(Record::take).collect()
}

fn array<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (array, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*array)
}

fn number(from: &mut &[u8]) -> Option<u64> {
    array(from).map(u64::from_le_bytes)
}

fn stamp(from: &mut &[u8]) -> Option<Stamp> {
    let seconds = array(from).map(i64::from_le_bytes)?;
    Some(Stamp(seconds, array(from).map(u32::from_le_bytes)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written_or_not_at_all() {
        let header = [MAGIC.as_slice(), &7_u64.to_le_bytes()].concat();
        let record = |n: u64| {
            let place = Place {
                file_system: n,
                device: 1,
                inode: n << 40,
                offset: 2,
                length: 3,
            };
            let stamp = |seconds| Stamp(seconds, 999_999_999);
            let looks = Looks {
                size: 4,
                modified: stamp(-1),
                changed: stamp(i64::MAX),
                born: stamp(5),
            };
            (
                place,
                Record {
                    looks,
                    digest: Digest::of(&n.to_le_bytes()),
                    used: false,
                },
            )
        };
        let mut bytes = header.clone();
        for (place, record) in (0..3).map(record) {
            record.put(&place, &mut bytes);
        }
        assert_eq!(bytes.len(), header.len() + 3 * Record::BYTES);
        let digest = Digest::of(&bytes);
        bytes.extend(digest.as_bytes());
        let found = parse(&bytes, &header).unwrap();
        assert_eq!(found.len(), 3);
        for (place, record) in (0..3).map(record) {
            let found = found[&place];
            assert!(found.looks == record.looks && found.digest == record.digest);
        }
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            assert!(parse(&changed, &header).is_none(), "{position}");
            assert!(parse(&bytes[..position], &header).is_none(), "{position}");
        }
    }
}
