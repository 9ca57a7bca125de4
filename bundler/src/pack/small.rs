//! The pack that small files go to, while it is being filled.

use std::io::{ErrorKind, Read};

use sealift_verifier::{digest::Digest, limits::FRAME_BYTES, release::BlobRef, tar};

use super::{
    buffers::{Buffer, Buffers},
    changed,
};
use crate::{
    cache::Cache,
    error::{Error, Result},
    plan::Source,
};

/// Length of a tar header, and what members are padded to.
const HEADER: usize = 512;
/// A pack may end where its tar has this length, in bytes.
const LEAST: usize = 1 << 20;
/// From there on it ends once in so many bytes, behind a blob whose digest says so.
const SPAN: u64 = 1 << 20;

/// The tar of a pack, as far as it is filled.
pub(super) struct Small {
    /// What was read is in its place; all else is what an earlier pack has left.
    tar: Buffer,
    used: usize,
    blobs: Vec<BlobRef>,
    /// Contents that are known but were not read: where they belong, and where they lie.
    unread: Vec<(usize, BlobRef, Source)>,
}

impl Small {
    pub(super) fn new(buffers: &Buffers) -> Self {
        Self {
            tar: buffers.take(),
            used: 0,
            blobs: Vec::new(),
            unread: Vec::new(),
        }
    }

    /// Whether another file fits in, with the end of the archive behind it.
    pub(super) fn has_room(&self, size: usize) -> bool {
        self.used + member(size) + tar::ZEROS.len() <= FRAME_BYTES
    }

    /// Reads a file to where it would lie. There has to be room.
    pub(super) fn read(&mut self, source: &Source, size: usize, cache: &Cache) -> Result<Digest> {
        let mut reader = source.open().map_err(|e| Error::io(source.subject(), e))?;
        let watch = cache.watch(source, reader.file());
        // One more byte is read than there should be.
        self.reach(self.used + HEADER + size + 1);
        let digest = read_at(&mut self.tar, self.used + HEADER, size, source, &mut reader)?;
        cache.learn(watch, reader.file(), digest);
        Ok(digest)
    }

    /// Keeps what was read last, or what `unread` names.
    pub(super) fn keep(&mut self, digest: Digest, size: usize, unread: Option<Source>) {
        let blob = BlobRef(digest, size as u64);
        if let Some(source) = unread {
            self.unread.push((self.used + HEADER, blob, source));
        }
        self.used += member(size);
        self.blobs.push(blob);
    }

    /// Whether the pack ends behind what was kept last. That follows from its digest, so that after a difference between
    /// two releases their packs soon end at the same places again.
    pub(super) fn ends(&self) -> bool {
        self.used >= LEAST && self.blobs.last().is_some_and(|blob| ends_behind(*blob))
    }

    pub(super) fn blobs(&self) -> &[BlobRef] {
        &self.blobs
    }

    /// Makes the tar so long at least. Room for all that it may become is only touched as far as it is used.
    fn reach(&mut self, length: usize) {
        if self.tar.capacity() == 0 {
            self.tar.reserve_exact(FRAME_BYTES + 1);
        }
        if self.tar.len() < length {
            self.tar.resize(length, 0);
        }
    }

    /// The whole tar, and what lies in it. Reads what was not read yet.
    pub(super) fn finish(mut self, cache: &Cache) -> Result<(Buffer, Vec<BlobRef>)> {
        self.reach(self.used + 1);
        for (start, blob, source) in &self.unread {
            let size = usize::try_from(blob.size()).unwrap_or(usize::MAX);
            let mut reader = source.open().map_err(|e| Error::io(source.subject(), e))?;
            let found = read_at(&mut self.tar, *start, size, source, &mut reader)?;
            if found != blob.digest() {
                cache.forget_files();
                return Err(changed(source, "has another content than a moment ago"));
            }
        }
        let mut rest = self.tar.as_mut_slice();
        for blob in &self.blobs {
            let size = usize::try_from(blob.size()).unwrap_or(usize::MAX);
            let (place, next) = rest.split_at_mut(member(size));
            place[..HEADER]
                .copy_from_slice(&tar::header(&tar::blob_path(blob.digest()), blob.size()));
            place[HEADER + size..].fill(0);
            rest = next;
        }
        self.tar.truncate(self.used);
        self.tar.extend(tar::ZEROS);
        Ok((self.tar, self.blobs))
    }
}

/// The lengths that a pack can have at the least where the next blob begins: as if each blob could end it.
#[derive(Debug, Default)]
pub(crate) struct Shortest {
    used: usize,
}

impl Shortest {
    /// Adds a small blob; whether it begins another pack.
    pub(crate) fn begins(&mut self, size: u64) -> bool {
        let member = member(usize::try_from(size).unwrap_or(FRAME_BYTES));
        let begins = self.used == 0
            || self.used >= LEAST
            || self.used + member + tar::ZEROS.len() > FRAME_BYTES;
        self.used = if begins { member } else { self.used + member };
        begins
    }
}

/// Length of a member with its header and padding, in bytes.
fn member(size: usize) -> usize {
    HEADER + size.next_multiple_of(HEADER)
}

/// As often as its part of [`SPAN`] asks for.
fn ends_behind(blob: BlobRef) -> bool {
    let [a, b, c, d, ..] = *blob.digest().as_bytes();
    let drawn = u64::from(u32::from_be_bytes([a, b, c, d]));
    let member = tar::member_size(blob.size()).unwrap_or(SPAN);
    drawn * SPAN < member << 32
}

/// Reads all of a file, of `size` bytes, to its place in a tar.
fn read_at(
    tar: &mut [u8],
    start: usize,
    size: usize,
    source: &Source,
    reader: &mut impl Read,
) -> Result<Digest> {
    // One more byte than there should be: a file that has grown fills it. Of a file, less is read
    // than was asked for only at its end, so that the end need not be asked for again.
    let place = &mut tar[start..=start + size];
    let mut filled = 0;
    loop {
        match reader.read(&mut place[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::io(source.subject(), e)),
        }
        if filled >= size && filled > 0 {
            break;
        }
    }
    if filled != size {
        return Err(changed(source, "has another length than a moment ago"));
    }
    Ok(Digest::of(&place[..size]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blobs as a release has them: most are small, some are not.
    fn blobs(seed: u64, count: u64) -> Vec<BlobRef> {
        let blob = |n: u64| {
            let digest = Digest::of(&[seed, n].map(u64::to_le_bytes).concat());
            let [.., a, b, c, shift] = *digest.as_bytes();
            let most = u64::from(u32::from_be_bytes([0, a, b, c])) >> (shift % 24);
            BlobRef(digest, most.min(7 << 20))
        };
        (0..count).map(blob).collect()
    }

    /// Where packs of these blobs end: the last blob of each, and its length.
    fn ends(blobs: &[BlobRef]) -> Vec<(BlobRef, usize)> {
        let (mut ends, mut open) = (Vec::new(), Small::new(&Buffers::default()));
        let mut close = |open: &mut Small| {
            let full = std::mem::replace(open, Small::new(&Buffers::default()));
            ends.extend(full.blobs.last().map(|last| (*last, full.used)));
        };
        for blob in blobs {
            let size = usize::try_from(blob.size()).unwrap();
            if !open.has_room(size) {
                close(&mut open);
            }
            open.keep(blob.digest(), size, None);
            if open.ends() {
                close(&mut open);
            }
        }
        close(&mut open);
        ends
    }

    #[test]
    fn packs_are_well_filled_and_end_at_the_same_places_behind_a_difference() {
        let (mut filled, mut packs, mut costs) = (0, 0, 0);
        for seed in 0..20 {
            let first = blobs(seed, 3000);
            let mut second = first.clone();
            let place = 700 + usize::try_from(seed).unwrap();
            match seed % 3 {
                0 => second.insert(place, BlobRef(Digest::of(b"new"), 20_000)),
                1 => drop(second.remove(place)),
                _ => second[place] = BlobRef(Digest::of(b"changed"), second[place].size()),
            }
            let (old, new) = (ends(&first), ends(&second));
            filled += old.iter().map(|(_, used)| used).sum::<usize>();
            packs += old.len();
            costs += new.iter().filter(|end| !old.contains(end)).count();
            assert_eq!(old.last(), new.last());
        }
        let average = filled / packs;
        assert!((2 << 20..5 << 20).contains(&average), "{average}");
        // Three for each difference.
        assert!(costs <= 3 * 20, "{costs} of {packs}");
    }

    /// The room for the head is kept before anything is known of contents.
    #[test]
    fn there_are_never_more_packs_than_there_is_room_for() {
        for seed in 0..50 {
            let all = blobs(seed, 1000);
            let mut shortest = Shortest::default();
            let most = all
                .iter()
                .filter(|blob| shortest.begins(blob.size()))
                .count();
            for left_out in [u8::MAX, 128, 64, 1] {
                let kept = |blob: &&BlobRef| blob.digest().as_bytes()[9] <= left_out;
                let real: Vec<_> = all.iter().filter(kept).copied().collect();
                let real = ends(&real).len();
                assert!(real <= most, "{real} of {most}, seed {seed}");
            }
        }
    }
}
