//! Records as they are stored, which are found without reading one by one.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use sealift_verifier::digest::{Digest, Hasher};

use super::records::{Looks, Place};

/// How many are kept: some 60 MB.
const MOST: usize = 500_000;
/// Five numbers of the place, then the length and three times of what the file looks like, then the digest.
const RECORD: usize = PLACE + LOOKS + 32;
const PLACE: usize = 5 * 8;
const LOOKS: usize = 8 + 3 * 12;
/// How long a file of records may be: one that begins with at most a kilobyte about itself.
pub(super) const MOST_BYTES: usize = MOST * RECORD + 1024;

/// Which content each of many files had, and what it looked like then.
#[derive(Debug, Default)]
pub(super) struct Known {
    stored: Vec<[u8; RECORD]>,
    /// Which of these were used in this run.
    used: Vec<bool>,
    /// The one behind that which was found last: files are asked for in the order that they were learned in, as a rule.
    next: usize,
    /// Where each of them is, by its place.
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Known {
    /// Takes what [`Known::store`] has written after the same `header`; nothing of it if it is damaged.
    pub(super) fn parse(bytes: &[u8], header: &[u8]) -> Option<Self> {
        let (content, digest) = bytes.split_last_chunk::<32>()?;
        if Digest::of(content).as_bytes() != digest {
            return None;
        }
        let (stored, []) = content.strip_prefix(header)?.as_chunks() else {
            return None;
        };
        let mut known = Self {
            stored: Vec::with_capacity(stored.len()),
            used: Vec::with_capacity(stored.len()),
            next: 0,
            numbers: HashTable::with_capacity(stored.len()),
            hasher: DefaultHashBuilder::default(),
        };
        for record in stored {
            known.put(*record, false);
        }
        Some(known)
    }

    /// Gives all of them to `write`, or those used first, if they are too many, with `header` before them.
    pub(super) fn store(&self, header: &[u8], write: impl FnOnce(&[&[u8]])) {
        let chosen: Vec<_>;
        let stored = if self.stored.len() <= MOST {
            &self.stored
        } else {
            let all = || self.stored.iter().zip(&self.used);
            let used = all().filter(|(_, used)| **used);
            let others = all().filter(|(_, used)| !**used);
            let all = used.chain(others).map(|(record, _)| *record);
            chosen = all.take(MOST).collect();
            &chosen
        };
        let content = stored.as_flattened();
        let mut hasher = Hasher::default();
        hasher.update(header);
        hasher.update(content);
        write(&[header, content, hasher.finish().as_bytes()]);
    }

    /// The digest of what lay at `place` when it looked like this.
    pub(super) fn recall(&mut self, place: &Place, looks: &Looks) -> Option<Digest> {
        let place = place_bytes(place);
        let next = self.stored.get(self.next);
        let number = match next.filter(|next| next.starts_with(&place)) {
            Some(_) => self.next,
            None => self.number(&place)?,
        };
        self.next = number + 1;
        let (looked, digest) = self.stored.get(number)?[PLACE..].split_first_chunk::<LOOKS>()?;
        if *looked != looks_bytes(looks) {
            return None;
        }
        *self.used.get_mut(number)? = true;
        <[u8; 32]>::try_from(digest).ok().map(Digest::from)
    }

    /// Keeps what lies at `place` and looks like this, in place of what lay there before.
    pub(super) fn learn(&mut self, place: &Place, looks: &Looks, digest: Digest) {
        let mut record = [0; RECORD];
        record[..PLACE].copy_from_slice(&place_bytes(place));
        record[PLACE..PLACE + LOOKS].copy_from_slice(&looks_bytes(looks));
        record[PLACE + LOOKS..].copy_from_slice(digest.as_bytes());
        self.put(record, true);
    }

    /// Adds those of places that nothing is known of yet.
    pub(super) fn add(&mut self, other: &Self) {
        for record in &other.stored {
            if record
                .first_chunk()
                .is_some_and(|place| self.number(place).is_none())
            {
                self.put(*record, false);
            }
        }
    }

    fn put(&mut self, record: [u8; RECORD], used: bool) {
        let Some(place) = record.first_chunk::<PLACE>() else {
            return;
        };
        if let Some(number) = self.number(place) {
            (self.stored[number], self.used[number]) = (record, used);
        } else if let Ok(number) = u32::try_from(self.stored.len()) {
            let Self {
                stored,
                numbers,
                hasher,
                ..
            } = self;
            let hash = |number: &u32| hasher.hash_one(&stored[*number as usize][..PLACE]);
            numbers.insert_unique(hasher.hash_one(&place[..]), number, hash);
            self.stored.push(record);
            self.used.push(used);
        }
    }

    fn number(&self, place: &[u8; PLACE]) -> Option<usize> {
        let same = |number: &u32| self.stored[*number as usize].starts_with(place);
        let number = self.numbers.find(self.hasher.hash_one(&place[..]), same);
        number.map(|number| *number as usize)
    }
}

fn place_bytes(place: &Place) -> [u8; PLACE] {
    let Place {
        file_system,
        device,
        inode,
        offset,
        length,
    } = *place;
    let mut bytes = [0; PLACE];
    let numbers = [file_system, device, inode, offset, length];
    for (to, number) in bytes.as_chunks_mut().0.iter_mut().zip(numbers) {
        *to = number.to_le_bytes();
    }
    bytes
}

fn looks_bytes(looks: &Looks) -> [u8; LOOKS] {
    let Looks {
        size,
        modified,
        changed,
        born,
    } = *looks;
    let mut bytes = [0; LOOKS];
    bytes[..8].copy_from_slice(&size.to_le_bytes());
    let times = [modified, changed, born];
    for (to, stamp) in bytes[8..].as_chunks_mut::<12>().0.iter_mut().zip(times) {
        to[..8].copy_from_slice(&stamp.0.to_le_bytes());
        to[8..].copy_from_slice(&stamp.1.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{super::records::Stamp, *};

    fn record(n: u64) -> (Place, Looks, Digest) {
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
        (place, looks, Digest::of(&n.to_le_bytes()))
    }

    fn known(numbers: impl Iterator<Item = u64>) -> Known {
        let mut known = Known::default();
        for (place, looks, digest) in numbers.map(record) {
            known.learn(&place, &looks, digest);
        }
        known
    }

    fn stored(known: &Known, header: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        known.store(header, |parts| bytes = parts.concat());
        bytes
    }

    #[test]
    fn records_are_read_as_they_were_written_or_not_at_all() {
        let header = b"a header";
        let bytes = stored(&known(0..3), header);
        assert_eq!(bytes.len(), header.len() + 3 * RECORD + 32);
        let mut found = Known::parse(&bytes, header).unwrap();
        for (place, looks, digest) in (0..3).map(record) {
            assert_eq!(found.recall(&place, &looks), Some(digest));
        }
        assert!(Known::parse(&bytes, b"another").is_none());
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            assert!(Known::parse(&changed, header).is_none(), "{position}");
            assert!(Known::parse(&bytes[..position], header).is_none());
        }
        // A part of a record, with the right digest.
        let mut short = bytes[..header.len() + RECORD - 1].to_vec();
        short.extend(Digest::of(&short).as_bytes());
        assert!(Known::parse(&short, header).is_none());
    }

    #[test]
    fn each_part_of_what_a_file_looks_like_counts() {
        let mut known = known(0..3);
        let (place, looks, digest) = record(1);
        let stamp = Stamp(7, 999_999_999);
        let (modified, changed, born) = (stamp, stamp, Stamp(5, 999_999_998));
        for other in [
            Looks { size: 5, ..looks },
            Looks { modified, ..looks },
            Looks { changed, ..looks },
            Looks { born, ..looks },
        ] {
            assert_eq!(known.recall(&place, &other), None);
        }
        for other in [
            Place {
                file_system: 2,
                ..place
            },
            Place { device: 2, ..place },
            Place { inode: 2, ..place },
            Place { offset: 3, ..place },
            Place { length: 4, ..place },
        ] {
            assert_eq!(known.recall(&other, &looks), None);
        }
        assert_eq!(known.recall(&place, &looks), Some(digest));
    }

    #[test]
    fn what_was_learned_last_counts_and_what_others_know_is_added() {
        let mut own = known(0..2);
        let (place, looks, _) = record(1);
        let (new, later) = (Digest::of(b"new"), Looks { size: 9, ..looks });
        own.learn(&place, &later, new);
        own.add(&known(1..4));
        assert_eq!(own.recall(&place, &later), Some(new));
        assert_eq!(own.recall(&place, &looks), None);
        let (place, looks, digest) = record(3);
        assert_eq!(own.recall(&place, &looks), Some(digest));
        let four = stored(&own, b"");
        assert_eq!(four.len(), 4 * RECORD + 32);
    }

    #[test]
    fn of_too_many_those_that_were_used_are_kept() {
        let most = u64::try_from(MOST).unwrap();
        let bytes = stored(&known(0..most), b"");
        let mut full = Known::parse(&bytes, b"").unwrap();
        let (place, looks, _) = record(most - 1);
        full.recall(&place, &looks).unwrap();
        let (new, looks, digest) = record(most);
        full.learn(&new, &looks, digest);
        let bytes = stored(&full, b"");
        assert!(bytes.len() <= MOST_BYTES);
        let mut kept = Known::parse(&bytes, b"").unwrap();
        let mut is_kept = |n| {
            let (place, looks, _) = record(n);
            kept.recall(&place, &looks).is_some()
        };
        let expected = [
            (0, true),
            (most - 3, true),
            (most - 2, false),
            (most - 1, true),
            (most, true),
        ];
        for (n, expected) in expected {
            assert_eq!(is_kept(n), expected, "{n}");
        }
    }
}
