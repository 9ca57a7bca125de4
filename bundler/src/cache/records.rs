//! Which content a file had when it looked exactly as it does now.
//!
//! A file is known by its file system, device and inode, and looks as its length and its times say. Of these, nobody can
//! set the ctime: the kernel gives a file the present whenever its content or its inode changes, whatever `touch -d`
//! asks for. A record is therefore made only of a file whose ctime lies behind the present, so that every later change
//! gives it another one, and nothing is concluded where that is not certain.

use std::{collections::HashMap, fs::File, os::fd::AsFd, path::Path, time::Duration};

use rustix::fs::{AtFlags, CWD, StatFs, StatVfs, Statx, StatxFlags, StatxTimestamp};
use sealift_verifier::digest::Digest;

use super::entries::Folder;
use crate::plan::Source;

/// The name of the file that they are kept in.
const FILE: &str = "files";
const MAGIC: &[u8; 8] = b"sealift1";
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Stamp(i64, u32);

impl Stamp {
    fn before(self, duration: Duration) -> Self {
        let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(seconds), self.1)
    }
}

impl From<StatxTimestamp> for Stamp {
    fn from(time: StatxTimestamp) -> Self {
        Self(time.tv_sec, time.tv_nsec)
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Looks {
    size: u64,
    modified: Stamp,
    changed: Stamp,
    born: Stamp,
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
        let own = look(folder.handle()).and_then(|stat| {
            let (device, looks) = (device(&stat), looks(&stat));
            let file_system = self.file_system(device, || kind_of(folder.handle()))?;
            Some([
                file_system,
                device,
                stat.stx_ino,
                looks.born.0.cast_unsigned(),
                looks.born.1.into(),
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
        if let Some(stat) = look(new)
            && self.file_system(device(&stat), || kind_of(new)).is_some()
        {
            self.present = Some(stat.stx_ctime.into());
        }
    }

    /// The digest of a source with `size` bytes, if its file looks as it did when it was read.
    pub(super) fn find(&mut self, source: &Source, size: u64) -> Option<Digest> {
        let (path, offset) = part(source)?;
        let stat = rustix::fs::statx(CWD, path, AtFlags::empty(), mask()).ok()?;
        let (place, looks) = self.place(&stat, (offset, size), || {
            Ok((rustix::fs::statfs(path)?, rustix::fs::statvfs(path)?))
        })?;
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
        let mut stat = look(file)?;
        if Stamp::from(stat.stx_ctime) >= present.before(MARGIN) {
            return None;
        }
        let device = device(&stat);
        // A page that a program changed through a mapping can be changed again without a trace until it is written.
        if Stamp::from(stat.stx_ctime) >= present.before(WRITTEN_BACK)
            && !self.synced.contains(&device)
        {
            rustix::fs::syncfs(file).ok()?;
            self.synced.push(device);
            stat = look(file)?;
        }
        let length = match source {
            Source::Slice { size, .. } => *size,
            _ => stat.stx_size,
        };
        let (place, looks) = self.place(&stat, (offset, length), || kind_of(file))?;
        (looks.changed < present.before(MARGIN)).then_some(Watch { place, looks })
    }

    /// Keeps the digest of what was read, if the file did not change meanwhile.
    pub(super) fn learn(&mut self, Watch { place, looks }: Watch, file: &File, digest: Digest) {
        if look(file).is_some_and(|stat| self::looks(&stat) == looks) {
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
        stat: &Statx,
        (offset, length): (u64, u64),
        file_system: impl FnOnce() -> Kind,
    ) -> Option<(Place, Looks)> {
        let device = device(stat);
        let file_system = self.file_system(device, file_system)?;
        let inode = stat.stx_ino;
        Some((
            Place {
                file_system,
                device,
                inode,
                offset,
                length,
            },
            looks(stat),
        ))
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
        Source::File(path) => Some((path, 0)),
        Source::Slice { path, offset, .. } => Some((path, *offset)),
        Source::Bytes(_) => None,
    }
}

/// What a file system says of itself: its kind, and its id.
type Kind = rustix::io::Result<(StatFs, StatVfs)>;

fn kind_of(file: &File) -> Kind {
    Ok((rustix::fs::fstatfs(file)?, rustix::fs::fstatvfs(file)?))
}

fn mask() -> StatxFlags {
    StatxFlags::BASIC_STATS | StatxFlags::BTIME
}

fn look(file: impl AsFd) -> Option<Statx> {
    rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, mask()).ok()
}

fn device(stat: &Statx) -> u64 {
    rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor)
}

fn looks(stat: &Statx) -> Looks {
    Looks {
        size: stat.stx_size,
        modified: stat.stx_mtime.into(),
        changed: stat.stx_ctime.into(),
        born: stat.stx_btime.into(),
    }
}

impl Record {
    /// As it is stored: five numbers of the place, the length, three times, the digest as text.
    const BYTES: usize = 6 * 8 + 3 * 12 + 64;

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
        bytes.extend(self.digest.to_hex().bytes());
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
        let digest = std::str::from_utf8(from).ok()?.parse().ok()?;
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
