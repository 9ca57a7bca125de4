//! The head of a bundle: metadata, manifests and the OCI index. It comes first in the file and is known last.
//!
//! Room is kept for it by making it once with everything that could be as long as it can get: no content
//! a duplicate of another, every frame as long as a frame may be. What the real head needs less is filled with
//! spaces behind the JSON of `delivery.json`, which mean nothing there.

use std::collections::BTreeMap;

use sealift_keys::signer::Signer;
use sealift_verifier::{
    delivery::{Delivery, Pack},
    digest::Digest,
    json,
    limits::STORED_FRAME_BYTES,
    oci, pack,
    provenance::MEMBER as PROVENANCE,
    release::{BlobRef, Release},
    tar::{self, BLOCK},
    tuf::Target,
};

use crate::{
    error::{Code, Error, Result},
    manifest::{Bills, Contents, release_with},
    pack::{Shortest, delivery_of, is_small},
    plan::{Plan, PlannedBlob, Source},
};

/// Members of a bundle with their paths, in its order.
pub(crate) type Members = Vec<(String, Vec<u8>)>;

/// Signs the targets and returns the members of `metadata/`, whose length must depend on no digest.
pub(crate) type Sign<'a> = dyn FnMut(BTreeMap<String, Target>) -> Result<Members> + 'a;

/// Signs where the release with this digest comes from and returns `provenance.json`, whose length must not depend
/// on digests.
pub(crate) type Attest<'a> = dyn Fn(&Release, Digest) -> Result<Vec<u8>> + 'a;

/// Stands for a signer where only lengths matter, so that nothing is signed that is not so.
pub(crate) struct Blank([u8; 32]);

impl Blank {
    pub(crate) fn new(signer: &dyn Signer) -> Self {
        Self(signer.public_key())
    }
}

impl Signer for Blank {
    fn public_key(&self) -> [u8; 32] {
        self.0
    }

    fn sign(&self, _message: &[u8]) -> sealift_keys::error::Result<[u8; 64]> {
        Ok([0; 64])
    }
}

/// The room that is kept for a head.
pub(crate) struct Room {
    /// How many bytes it needs at most, a multiple of [`BLOCK`].
    pub(crate) bytes: u64,
    /// How long each bill of materials may be for that.
    pub(crate) bill: u64,
}

/// The room for the head of `plan`'s bundle, in which a bill of materials may say so much of packages, with `sign` and
/// `attest` by [`Blank`] signers.
pub(crate) fn room(
    plan: &Plan,
    packages: u64,
    attest: &Attest<'_>,
    sign: &mut Sign<'_>,
) -> Result<Room> {
    let mut longest = Longest {
        packs: Vec::new(),
        open: Shortest::default(),
        next: 0,
    };
    let release = release_with(plan, &Bills::AtMost(packages), &mut longest)?.release;
    let bills = release.sbom.iter().map(|bill| bill.file.size);
    let bill = bills.max().unwrap_or(0);
    let delivery = delivery_of(plan, &release, longest.packs)?;
    let digests = vec![Digest::of(&[]); delivery.packs.len()];
    let head = Head::new(&release, &delivery, &digests, attest)?;
    let bytes = head.length(0, sign)?;
    Ok(Room { bytes, bill })
}

/// The head, exactly `room` bytes long. `digests` are those of the packs; what `measure` signs, with [`Blank`] signers, is
/// as long as what `sign` does.
pub(crate) fn head(
    release: &Release,
    delivery: &Delivery,
    digests: &[Digest],
    room: u64,
    attest: &Attest<'_>,
    measure: &mut Sign<'_>,
    sign: &mut Sign<'_>,
) -> Result<Vec<u8>> {
    let head = Head::new(release, delivery, digests, attest)?;
    let missing = room.checked_sub(head.length(0, measure)?);
    let missing = missing.ok_or_else(|| no_fit("needs more room than was kept"))?;
    // Up to the end of its last block, then whole blocks. The longer delivery.json may have a length with one
    // more digit and so push targets.json over a block; then it is a block less, or a digit less in the same block.
    let fill = tar::padding(head.delivery.len() as u64) + missing;
    for less in [0, BLOCK - 1, BLOCK, 2 * BLOCK - 1] {
        let Some(fill) = fill.checked_sub(less) else {
            continue;
        };
        if head.length(fill, measure)? == room {
            return head.bytes(fill, sign);
        }
    }
    Err(no_fit("cannot be made as long as the room that was kept"))
}

fn no_fit(how: &str) -> Error {
    Error::new(Code::Io, "the head of the new bundle", how)
}

/// The member whose JSON is filled with spaces.
const DELIVERY: &str = "delivery.json";

/// Everything of a head but its signatures and its filling.
struct Head {
    release: Vec<u8>,
    delivery: Vec<u8>,
    provenance: Vec<u8>,
    index: Vec<u8>,
    /// Packs and blobs.
    payload: Vec<(String, Target)>,
}

impl Head {
    fn new(
        release: &Release,
        delivery: &Delivery,
        digests: &[Digest],
        attest: &Attest<'_>,
    ) -> Result<Self> {
        let packs = delivery.packs.iter().zip(digests).enumerate();
        let packs = packs
            .map(|(n, (pack, digest))| (Pack::path(n), Target::new(pack.stored_size(), *digest)));
        let blobs = delivery.blobs.iter();
        let blobs = blobs.map(|blob| {
            (
                tar::blob_path(blob.digest()),
                Target::new(blob.size(), blob.digest()),
            )
        });
        Ok(Self {
            release: json::to_canonical(release)?,
            delivery: delivery.to_bytes()?,
            provenance: attest(release, delivery.release)?,
            index: oci::index(release)?,
            payload: packs.chain(blobs).collect(),
        })
    }

    /// The members behind the metadata and their content; that of `delivery.json` as it is before it is filled.
    fn fixed(&self) -> [(&'static str, &[u8]); 5] {
        [
            ("release.json", &self.release),
            (DELIVERY, &self.delivery),
            (PROVENANCE, &self.provenance),
            ("oci-layout", oci::LAYOUT),
            ("index.json", &self.index),
        ]
    }

    /// The members of `metadata/` that sign the payload and these other members.
    fn metadata<'t>(
        &self,
        others: impl Iterator<Item = (&'t str, Target)>,
        sign: &mut Sign<'_>,
    ) -> Result<Members> {
        let mut targets: BTreeMap<_, _> = self.payload.iter().cloned().collect();
        targets.extend(others.map(|(path, target)| (path.to_owned(), target)));
        sign(targets)
    }

    /// How long [`Head::bytes`] is.
    fn length(&self, fill: u64, sign: &mut Sign<'_>) -> Result<u64> {
        let fixed = self.fixed().map(|(path, content)| {
            let fill = if path == DELIVERY { fill } else { 0 };
            (path, content.len() as u64 + fill)
        });
        let some = Digest::of(&[]);
        let targets = fixed.map(|(path, size)| (path, Target::new(size, some)));
        let metadata = self.metadata(targets.into_iter(), sign)?;
        let metadata = metadata.iter().map(|(_, content)| content.len() as u64);
        let sizes = metadata.chain(fixed.map(|(_, size)| size));
        Ok(sizes
            .map(|size| BLOCK + size + tar::padding(size))
            .sum::<u64>())
    }

    /// The members with their headers and padding, `delivery.json` with `fill` spaces behind it.
    fn bytes(mut self, fill: u64, sign: &mut Sign<'_>) -> Result<Vec<u8>> {
        let filled = self.delivery.len() + usize::try_from(fill).unwrap_or(0);
        self.delivery.resize(filled, b' ');
        let fixed = self.fixed();
        let targets = fixed
            .map(|(path, content)| (path, Target::new(content.len() as u64, Digest::of(content))));
        let metadata = self.metadata(targets.into_iter(), sign)?;
        let metadata = metadata
            .iter()
            .map(|(path, content)| (path.as_str(), content.as_slice()));
        let mut bytes = Vec::new();
        for (path, content) in metadata.chain(fixed) {
            write_member(&mut bytes, path, content);
        }
        Ok(bytes)
    }
}

/// Adds a member with its header and padding.
pub(crate) fn write_member(bytes: &mut Vec<u8>, path: &str, content: &[u8]) {
    let size = content.len() as u64;
    bytes.extend(tar::header(path, size));
    bytes.extend(content);
    bytes.extend(tar::zeros_after(size));
}

/// Packs that are at least as many and as long as the real ones: each of small files ends as early as it could.
/// However late a real one ends, and whatever is left out of it as a duplicate, none of these ends behind it.
struct Longest {
    packs: Vec<Pack>,
    /// The open pack of small files, which is the last one that has a single frame.
    open: Shortest,
    next: u64,
}

impl Longest {
    fn add(&mut self, size: u64) -> Digest {
        // Different for each content, so that none looks like a duplicate.
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&self.next.to_le_bytes());
        let digest = Digest::from(digest);
        self.next += 1;
        let frame = BlobRef(digest, STORED_FRAME_BYTES as u64);
        let blob = BlobRef(digest, size);
        if !is_small(size) {
            let mut pack = Pack {
                frames: Vec::new(),
                blobs: vec![blob],
                level: pack::LEVEL,
            };
            let frames = pack.frame_lengths().map_or(0, |lengths| lengths.len());
            pack.frames = vec![frame; frames];
            self.packs.push(pack);
        } else if self.open.begins(size) {
            self.packs.push(Pack {
                frames: vec![frame],
                blobs: vec![blob],
                level: pack::LEVEL,
            });
        } else {
            let open = self.packs.iter_mut().rfind(|pack| pack.frames.len() == 1);
            if let Some(pack) = open {
                pack.blobs.push(blob);
            }
        }
        digest
    }
}

impl Contents for Longest {
    fn file(&mut self, _source: &Source, size: u64) -> Result<Digest> {
        Ok(self.add(size))
    }

    fn is_known(&self) -> bool {
        false
    }

    fn image_blob(&mut self, blob: &PlannedBlob) -> Result<()> {
        if blob.compressible {
            self.add(blob.blob.size());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealift_verifier::{
        delivery::{DeliveryKind, FORMAT},
        limits::FRAME_BYTES,
    };

    /// Every length of delivery.json around a power of ten, where its length takes one digit more.
    #[test]
    fn a_head_fills_any_room_exactly() {
        let release: Release = serde_json::from_str(
            r#"{"format":1,"product":"p","version":"1.0.0","published":"2026-01-01T00:00:00Z","capabilities":[]}"#,
        )
        .unwrap();
        for library in 0..2000 {
            let delivery = Delivery {
                format: FORMAT,
                kind: DeliveryKind::Full,
                release: Digest::of(b""),
                compression: sealift_verifier::delivery::Compression {
                    library: "z".repeat(8000 + library),
                    frame: FRAME_BYTES as u64,
                },
                packs: Vec::new(),
                blobs: Vec::new(),
            };
            // A signed part whose length grows with the digits of its lengths, as that of targets.json does.
            let mut sign = |targets: BTreeMap<String, Target>| {
                Ok(vec![(
                    "metadata/targets.json".to_owned(),
                    json::to_canonical(&targets)?,
                )])
            };
            let attest = |_: &Release, _| Ok(b"{}".to_vec());
            let new = || Head::new(&release, &delivery, &[], &attest).unwrap();
            let least = new().length(0, &mut sign.clone()).unwrap();
            assert_eq!(new().bytes(0, &mut sign).unwrap().len() as u64, least);
            for blocks in 0..6 {
                let room = least + blocks * BLOCK;
                let head = head(
                    &release,
                    &delivery,
                    &[],
                    room,
                    &attest,
                    &mut sign.clone(),
                    &mut sign,
                );
                assert_eq!(head.unwrap().len() as u64, room);
            }
        }
    }
}
