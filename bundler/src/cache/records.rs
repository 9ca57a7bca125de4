//! Which content a file had when it looked exactly as it does now.
//!
//! A file is known by its file system, device and inode, and looks as its length and its times say. Of these, nobody can
//! set the ctime: the kernel gives a file the present whenever its content or its inode changes, whatever `touch -d`
//! asks for. A record is therefore made only of a file whose ctime lies behind the present, so that every later change
//! gives it another one, and nothing is concluded where that is not certain.

use std::{collections::HashMap, fs::File, path::Path, time::Duration};

use rustix::fs::{AtFlags, CWD, StatFs, StatVfs, Statx, StatxFlags, StatxTimestamp};
use sealift_verifier::digest::Digest;

use super::{
    entries::Folder,
    known::{Known, MOST_BYTES},
};
use crate::plan::Source;

const MAGIC: &[u8; 8] = b"sealift2";
/// How far behind the present a ctime has to lie: file systems with short inodes round it down to a second.
const MARGIN: Duration = Duration::from_secs(2);
/// By when the kernel has written every page that a program changed through a mapping; 30 seconds, if nobody
/// set `vm.dirty_expire_centisecs`.
const WRITTEN_BACK: Duration = Duration::from_hours(1);
/// File systems that change the ctime with every change, also one through a mapping, and on the clock of this machine:
/// ext2 to ext4, xfs, btrfs and f2fs. Not tmpfs, which does not see changes through mappings; nor those of a network,
/// which have another clock and show changes late.
const SURE: [u32; 4] = [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010];
/// Another number after each start of the machine.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// What has to be asked for to see what a file looks like.
pub(crate) const LOOKS: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

/// Seconds and nanoseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Stamp(pub(super) i64, pub(super) u32);

impl Stamp {
    fn before(self, duration: Duration) -> Self {
        let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(seconds), self.1)
    }
}

/// Which part of which file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) file_system: u64,
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// Stands where content begins in records that a file tells of no packages; its length is then the version of who looked.
const NO_PACKAGES: u64 = u64::MAX;

/// What can be seen of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Looks {
    pub(super) size: u64,
    pub(super) modified: Stamp,
    pub(super) changed: Stamp,
    pub(super) born: Stamp,
}

/// Which file it was, and what it looked like, when it was asked for last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seen {
    device: u64,
    inode: u64,
    looks: Looks,
}

impl From<&Statx> for Seen {
    fn from(statx: &Statx) -> Self {
        let stamp = |time: StatxTimestamp| Stamp(time.tv_sec, time.tv_nsec);
        Self {
            device: rustix::fs::makedev(statx.stx_dev_major, statx.stx_dev_minor),
            inode: statx.stx_ino,
            looks: Looks {
                size: statx.stx_size,
                modified: stamp(statx.stx_mtime),
                changed: stamp(statx.stx_ctime),
                // Where the file system does not know it, it is the same for all of its files.
                born: stamp(statx.stx_btime),
            },
        }
    }
}

/// A file that is being read: what it looked like before.
#[derive(Debug)]
pub struct Watch {
    place: Place,
    looks: Looks,
}

/// Whose files records are of.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// The vendor's, which anybody may change at any time.
    #[default]
    Sources,
    /// Entries of the cache, which are written once, and by nobody else. As they are not synced, a record counts until
    /// the machine stops: what a power cut takes from a file need not show.
    Entries,
}

impl Watch {
    /// What the file looks like.
    pub(super) fn seen(&self) -> Seen {
        Seen {
            device: self.place.device,
            inode: self.place.inode,
            looks: self.looks,
        }
    }
}

/// All records.
#[derive(Debug, Default)]
pub(super) struct Records {
    of: Of,
    known: Known,
    /// Whether there is something to write.
    learned: bool,
    /// Those on disk are not to be added to again.
    forgotten: bool,
    /// The file that they were read from.
    file: Option<Seen>,
    present: Option<Stamp>,
    /// The id of the file system on each device; of those that are not [`SURE`], none.
    file_systems: HashMap<u64, Option<u64>>,
    /// Devices whose changed pages were written since the run began.
    settled: Vec<u64>,
}

impl Records {
    /// Reads what earlier builds left in `folder`: nothing, if it is damaged or was made in another folder, as that of a
    /// copy is.
    pub(super) fn read(of: Of, folder: &Folder) -> Self {
        let mut records = Self {
            of,
            ..Self::default()
        };
        records.set_present(folder.probe());
        let read = folder.read(records.name(), MOST_BYTES);
        let header = records.header(folder);
        if let Some(((bytes, file), header)) = read.zip(header) {
            records.known = Known::parse(&bytes, &header).unwrap_or_default();
            records.file = look(&file);
        }
        records
    }

    /// The name of the file that they are kept in.
    fn name(&self) -> &'static str {
        match self.of {
            Of::Sources => "files",
            Of::Entries => "entries",
        }
    }

    /// Writes them, with those that another build has written meanwhile.
    pub(super) fn write(&mut self, folder: &Folder) {
        if !std::mem::take(&mut self.learned) {
            return;
        }
        let file = folder.open_entry(self.name());
        let known = self.file.is_some() && self.file == file.and_then(|file| look(&file));
        if !self.forgotten && !known {
            self.known.add(&Self::read(self.of, folder).known);
        }
        if let Some(header) = self.header(folder) {
            let write = |parts: &[&[u8]]| folder.write(self.name(), parts);
            self.known.store(&header, write);
        }
    }

    /// What a file of records begins with: what it is, and the folder that it belongs to. A copied folder is another
    /// one, perhaps on another machine, where the same numbers mean other files. Nothing if it is not known when the
    /// machine was started, and has to be.
    fn header(&mut self, folder: &Folder) -> Option<Vec<u8>> {
        let mut bytes = MAGIC.to_vec();
        if self.of == Of::Entries {
            bytes.extend(std::fs::read(BOOT).ok().filter(|boot| !boot.is_empty())?);
        }
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
        Some(bytes)
    }

    /// Drops all of them, also those on disk.
    pub(super) fn forget(&mut self) {
        self.known = Known::default();
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
        let (_, offset) = part(source)?;
        self.find_part(source, size, (offset, size))
    }

    /// Whether a file with `size` bytes looks as it did when it told of no packages, by this `version` of who looked.
    pub(super) fn has_no_packages(&mut self, source: &Source, size: u64, version: u32) -> bool {
        let part = (NO_PACKAGES, version.into());
        self.find_part(source, size, part).is_some()
    }

    fn find_part(&mut self, source: &Source, size: u64, part_of_it: (u64, u64)) -> Option<Digest> {
        let (path, _) = part(source)?;
        let seen = match source {
            Source::File {
                seen: Some(seen), ..
            } => *seen,
            _ => Seen::from(&rustix::fs::statx(CWD, path, AtFlags::empty(), LOOKS).ok()?),
        };
        if !matches!(source, Source::Slice { .. }) && seen.looks.size != size {
            return None;
        }
        self.recall(&seen, part_of_it, || {
            Ok((rustix::fs::statfs(path)?, rustix::fs::statvfs(path)?))
        })
    }

    /// What the part of an open file that begins at `offset` and has `size` bytes is known to hold, and what the file
    /// looks like as long as it does.
    pub(super) fn find_in(
        &mut self,
        file: &File,
        offset: u64,
        size: u64,
    ) -> Option<(Digest, Seen)> {
        let seen = look(file)?;
        let digest = self.recall(&seen, (offset, size), || kind_of(file))?;
        Some((digest, seen))
    }

    fn recall(
        &mut self,
        seen: &Seen,
        part: (u64, u64),
        file_system: impl FnOnce() -> Kind,
    ) -> Option<Digest> {
        let place = self.place(seen, part, file_system)?;
        if seen.looks.changed >= self.present? {
            return None;
        }
        self.known.recall(&place, &seen.looks)
    }

    /// What a file looks like before it is read; nothing if a later change might not show.
    pub(super) fn watch(&mut self, source: &Source, file: &File) -> Option<Watch> {
        let (_, offset) = part(source)?;
        let present = self.present?;
        let mut seen = look(file)?;
        if seen.looks.changed >= present.before(MARGIN) {
            return None;
        }
        if self.is_unsettled(&seen) {
            self.settled(settle(file, seen.device)?);
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

    /// Whether a program may have changed the file through a mapping and can do so again without a trace, because the page
    /// was not written yet.
    fn is_unsettled(&self, seen: &Seen) -> bool {
        let young = |present: Stamp| seen.looks.changed >= present.before(WRITTEN_BACK);
        self.present.is_some_and(young) && !self.settled.contains(&seen.device)
    }

    /// The file of a source, and its device, if that has to be [`settle`]d before the file is watched, because what it holds
    /// is not known.
    pub(super) fn unsettled<'s>(
        &mut self,
        source: &'s Source,
        size: u64,
    ) -> Option<(&'s Path, u64)> {
        let Source::File {
            path,
            seen: Some(seen),
        } = source
        else {
            return None;
        };
        let unsettled = self.is_unsettled(seen) && self.find(source, size).is_none();
        unsettled.then_some((path, seen.device))
    }

    /// Notes that a device was settled.
    pub(super) fn settled(&mut self, device: u64) {
        self.settled.push(device);
    }

    /// Keeps the digest of what was read, if the file did not change meanwhile.
    pub(super) fn learn(&mut self, Watch { place, looks }: Watch, file: &File, digest: Digest) {
        if look(file).is_some_and(|seen| seen.looks == looks) {
            self.learned = true;
            self.known.learn(&place, &looks, digest);
        }
    }

    /// Keeps that a file told of no packages, if it did not change while it was looked through.
    pub(super) fn learn_no_packages(&mut self, mut watch: Watch, file: &File, version: u32) {
        (watch.place.offset, watch.place.length) = (NO_PACKAGES, version.into());
        self.learn(watch, file, Digest::of(&[]));
    }

    /// What a file looks like that nobody else writes to: however young it is, only we can change it.
    pub(super) fn watch_own(&mut self, file: &File, size: u64) -> Option<Watch> {
        let seen = look(file)?;
        let place = self.place(&seen, (0, size), || kind_of(file))?;
        Some(Watch {
            place,
            looks: seen.looks,
        })
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

/// Has all changed pages of the file system written that an open file or folder is on; gives the `device`, if it is that.
pub(super) fn settle(file: &File, device: u64) -> Option<u64> {
    rustix::fs::syncfs(file).ok()?;
    (look(file)?.device == device).then_some(device)
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

/// What an open file looks like.
pub(crate) fn look(file: &File) -> Option<Seen> {
    let looked = rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, LOOKS).ok()?;
    Some(Seen::from(&looked))
}
