//! A bundle whose metadata has been verified: its manifests, and its content as far as it proves itself.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Read},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    Check, Medium, Trust,
    head::Head,
    layout::{FIXED, Layout, Member},
    trust_after,
};
use crate::{
    delivery::{Delivery, Pack},
    digest::{Digest, Hasher, VerifyingReader},
    error::{Code, Error, Result, from_io},
    json::AuthenticBytes,
    limits, oci,
    pack::{self, Frames},
    provenance::Provenance,
    release::{BlobRef, Content, Release},
    tree::Tree,
    tuf::{RoleName, Root, TrustedSet},
};

/// How much is read at once.
const CHUNK: usize = 1 << 20;

/// Takes blobs in, from several threads at once.
pub trait Sink: Sync {
    /// Takes one blob. `content` fails at its end if it is not what was signed, so it has to be read to its
    /// end, and what was made of it is worth nothing if this fails.
    fn blob(&self, blob: BlobRef, content: &mut dyn Read) -> io::Result<()>;
}

/// A bundle that was signed by those whom the trusted root entitles. Its manifests may be read; its
/// payload proves itself while it is read.
#[must_use]
pub struct Authentic {
    file: Medium,
    head: Vec<(String, Vec<u8>)>,
    layout: Layout,
    trusted: TrustedSet,
    release: Release,
    release_digest: Digest,
    delivery: Delivery,
    provenance: Provenance,
    places: HashMap<Digest, Located>,
}

/// Where a blob is.
#[derive(Clone, Copy)]
struct Located {
    /// Counts the blobs of the bundle, from 0.
    number: usize,
    place: Place,
    size: u64,
}

#[derive(Clone, Copy)]
enum Place {
    Pack(usize),
    Stored(usize),
}

impl Authentic {
    pub(super) fn new(
        file: Medium,
        head: &Head,
        trusted: TrustedSet,
        observe: &mut dyn FnMut(Check),
    ) -> Result<Self> {
        let targets = trusted
            .targets()
            .ok_or_else(|| Error::new(Code::BadMetadata, "targets.json", "is missing"))?;
        let layout = Layout::new(&targets.statement, head.end)?;
        layout.compare(&file, head.end)?;
        observe(Check::new(
            "layout",
            format!(
                "{} bytes; every header and padding byte follows from the signed metadata",
                file.length
            ),
        ));

        let mut files = head.files();
        let limits = [
            limits::RELEASE_BYTES,
            limits::DELIVERY_BYTES,
            limits::ENVELOPE_BYTES,
            limits::OCI_BYTES,
            limits::OCI_BYTES,
        ];
        let mut fixed = Vec::with_capacity(FIXED.len());
        for (member, limit) in layout.members.iter().zip(limits) {
            let bytes = file.read_vec(member.start, member.size, limit, &member.path)?;
            fixed.push((member, bytes));
        }
        let mut authentic = Vec::with_capacity(FIXED.len());
        for (member, bytes) in &fixed {
            authentic.push(AuthenticBytes::from_digest(
                bytes,
                member.digest,
                &member.path,
            )?);
        }
        let [release_bytes, delivery_bytes, envelope, derived @ ..] = authentic.as_slice() else {
            return Err(Error::new(
                Code::MemberUnexpected,
                "bundle",
                "is incomplete",
            ));
        };
        let release_digest = Digest::of(release_bytes.as_bytes());
        let release = Release::parse(release_bytes)?;
        not_after_expiry(&trusted, &release)?;
        let delivery = Delivery::parse(delivery_bytes)?;
        let places = places(&delivery)?;
        if delivery.release != release_digest {
            return Err(Error::new(
                Code::BadMetadata,
                "delivery.json",
                "delivers another release than release.json",
            ));
        }
        layout.agree(&delivery)?;
        let expected = [oci::LAYOUT.to_vec(), oci::index(&release)?];
        for ((found, expected), path) in derived.iter().zip(expected).zip(FIXED.iter().skip(3)) {
            if found.as_bytes() != expected {
                let detail = "does not follow from release.json";
                return Err(Error::new(Code::BadMetadata, *path, detail));
            }
        }
        observe(Check::new(
            "release",
            format!(
                "{} {}, release digest {release_digest}",
                release.product, release.version
            ),
        ));
        let root = &trusted.root().statement;
        let provenance = Provenance::verify(envelope, root, release_digest)?;
        let predicate = &provenance.statement.predicate;
        observe(Check {
            name: "provenance",
            detail: format!(
                "built by {} from {} definitions and sources",
                predicate.run_details.builder.id,
                predicate.build_definition.resolved_dependencies.len()
            ),
            signers: provenance.signers.clone(),
            threshold: 1,
        });
        files.extend(
            fixed
                .into_iter()
                .map(|(member, bytes)| (member.path.clone(), bytes)),
        );

        Ok(Self {
            file,
            head: files,
            layout,
            trusted,
            release,
            release_digest,
            delivery,
            provenance,
            places,
        })
    }

    /// The release manifest.
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// SHA-256 of `release.json`: what people approve.
    pub fn release_digest(&self) -> Digest {
        self.release_digest
    }

    /// The delivery manifest.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Who built the release, and from what.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// The release counter: the version of `targets.json`.
    pub fn counter(&self) -> u64 {
        self.trusted.targets().map_or(0, |t| t.statement.version)
    }

    /// The newest root that this bundle leads to.
    pub fn root(&self) -> &Root {
        &self.trusted.root().statement
    }

    /// All metadata of this bundle that was accepted, with who signed it.
    pub fn trusted(&self) -> &TrustedSet {
        &self.trusted
    }

    /// What to trust from now on, once this bundle was accepted.
    pub fn trust(&self) -> Trust {
        trust_after(&self.trusted)
    }

    /// The small files as they came, with their paths and in the order of the bundle: `metadata/`,
    /// `release.json`, `delivery.json`, `provenance.json`, `oci-layout`, `index.json`. With the blobs, all that
    /// is needed to make the bundle again.
    pub fn head(&self) -> &[(String, Vec<u8>)] {
        &self.head
    }

    /// Length of the whole bundle in bytes.
    pub fn length(&self) -> u64 {
        self.file.length
    }

    /// Path, length and digest of each stored member behind the metadata, in order.
    pub fn members(&self) -> impl Iterator<Item = (&str, u64, Digest)> {
        self.layout
            .members
            .iter()
            .map(|m| (m.path.as_str(), m.size, m.digest))
    }

    /// Length and threshold facts for reports: a role's threshold and how many keys it has.
    pub fn role(&self, role: RoleName) -> Result<(u64, usize)> {
        let role = self.root().role(role)?;
        Ok((role.threshold, role.keyids.len()))
    }

    /// Refuses a full delivery that lacks a blob that the release needs, or has it in another length: files, what trees
    /// list, the trees themselves, and all of its images. Says how many there are.
    pub fn required_blobs(&self) -> Result<usize> {
        self.required_blobs_of(&BTreeMap::new())
    }

    /// The same for whoever has some of the trees already, by their digests: these are not read.
    pub fn required_blobs_of(&self, trees: &BTreeMap<Digest, Tree>) -> Result<usize> {
        let mut required = vec![false; self.places.len()];
        let mut need = |digest: Digest, size: u64| {
            let blob = || format!("blob {digest}");
            let Some(located) = self.places.get(&digest) else {
                let detail = "is needed by the release, but not in the bundle";
                return Err(Error::new(Code::Incomplete, blob(), detail));
            };
            if located.size != size {
                let detail = format!("has {} bytes, the release says {size}", located.size);
                return Err(Error::new(Code::LengthMismatch, blob(), detail));
            }
            if let Some(required) = required.get_mut(located.number) {
                *required = true;
            }
            Ok(())
        };
        for sbom in &self.release.sbom {
            need(sbom.file.digest, sbom.file.size)?;
        }
        for (_, artifact) in self.release.artifacts() {
            match &artifact.content {
                Content::Image(image) => image
                    .blobs
                    .iter()
                    .try_for_each(|b| need(b.digest(), b.size()))?,
                Content::File(file) | Content::Config(file) | Content::Notice(file) => {
                    need(file.digest, file.size)?;
                }
                Content::Tree(tree) => {
                    need(tree.digest, tree.size)?;
                    let (mut files, mut bytes) = (0_u64, 0_u64);
                    let read;
                    let listed = if let Some(known) = trees.get(&tree.digest) {
                        known
                    } else {
                        read = self.tree(tree.digest)?;
                        &read
                    };
                    for (_, _, size, digest) in listed.files() {
                        need(digest, size)?;
                        files = files.saturating_add(1);
                        bytes = bytes.saturating_add(size);
                    }
                    if (files, bytes) != (tree.files, tree.bytes) {
                        return Err(Error::new(
                            Code::LengthMismatch,
                            format!("tree {}", tree.digest),
                            format!(
                                "lists {files} files of {bytes} bytes, the release says otherwise"
                            ),
                        ));
                    }
                }
            }
        }
        Ok(required.into_iter().filter(|required| *required).count())
    }

    /// Reads a tree of this release.
    pub fn tree(&self, digest: Digest) -> Result<Tree> {
        let bytes = self.blob(digest, limits::TREE_BYTES)?;
        let subject = format!("tree {digest}");
        Tree::parse(
            &AuthenticBytes::from_digest(&bytes, digest, &subject)?,
            &subject,
        )
    }

    /// Reads one blob of at most `limit` bytes into memory.
    pub fn blob(&self, digest: Digest, limit: u64) -> Result<Vec<u8>> {
        let found = Mutex::new(Vec::new());
        let take = |blob: BlobRef, content: &mut dyn Read| {
            if blob.size() > limit {
                return Err(crate::error::into_io(Error::new(
                    Code::LimitExceeded,
                    format!("blob {digest}"),
                    format!("has {} bytes, allowed are {limit}", blob.size()),
                )));
            }
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            if let Ok(mut found) = found.lock() {
                *found = bytes;
            }
            Ok(())
        };
        let located = self.places.get(&digest).ok_or_else(|| {
            Error::new(
                Code::NotFound,
                format!("blob {digest}"),
                "is not in the bundle",
            )
        })?;
        self.read_place(located.place, &|d| d == digest, &mut { take })?;
        Ok(found.into_inner().unwrap_or_default())
    }

    /// Hashes the payload with `threads` threads and compares it with what was signed. `progress` hears of
    /// bytes that were read.
    pub fn verify_payload(&self, threads: usize, progress: &(dyn Fn(u64) + Sync)) -> Result<()> {
        let mut members: Vec<&Member> = self.layout.payload().iter().collect();
        // The longest first, so that no thread begins with it when the others are done.
        members.sort_by_key(|m| std::cmp::Reverse(m.size));
        in_parallel(threads, members, |member| {
            let mut hasher = Hasher::default();
            let mut buffer = vec![0; CHUNK];
            let mut position = member.start;
            let end = member.start.saturating_add(member.size);
            while position < end {
                let count = usize::try_from(end.saturating_sub(position))
                    .unwrap_or(CHUNK)
                    .min(CHUNK);
                let chunk = buffer.get_mut(..count).unwrap_or_default();
                self.file.read_at(chunk, position)?;
                hasher.update(chunk);
                progress(count as u64);
                position = position.saturating_add(count as u64);
            }
            let found = hasher.finish();
            if found == member.digest {
                return Ok(());
            }
            Err(Error::new(
                Code::DigestMismatch,
                &member.path,
                format!("has the digest {found}, signed is {}", member.digest),
            ))
        })
    }

    /// Gives every blob that is `wanted` to `sink`, with `threads` threads. Stored parts without a wanted
    /// blob are not read. `progress` hears of stored bytes that were read.
    pub fn read_blobs(
        &self,
        wanted: &(dyn Fn(Digest) -> bool + Sync),
        sink: &dyn Sink,
        threads: usize,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<()> {
        let stored = self
            .delivery
            .blobs
            .iter()
            .enumerate()
            .filter(|(_, b)| wanted(b.digest()));
        let packs = self
            .delivery
            .packs
            .iter()
            .enumerate()
            .filter(|(_, p)| p.blobs.iter().any(|b| wanted(b.digest())));
        let mut places: Vec<(u64, Place)> =
            stored.map(|(n, b)| (b.size(), Place::Stored(n))).collect();
        places.extend(packs.map(|(n, p)| (p.stored_size(), Place::Pack(n))));
        places.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
        in_parallel(threads, places, |(size, place)| {
            self.read_place(place, wanted, &mut |blob, content| sink.blob(blob, content))?;
            progress(size);
            Ok(())
        })
    }

    fn read_place(
        &self,
        place: Place,
        wanted: &dyn Fn(Digest) -> bool,
        take: &mut dyn FnMut(BlobRef, &mut dyn Read) -> io::Result<()>,
    ) -> Result<()> {
        let missing = || {
            Error::new(
                Code::NotFound,
                "delivery.json",
                "does not list what it should",
            )
        };
        match place {
            Place::Pack(number) => {
                let pack = self.delivery.packs.get(number).ok_or_else(missing)?;
                let member = self.layout.payload().get(number).ok_or_else(missing)?;
                let frames = PackOnMedium {
                    file: &self.file,
                    member,
                    pack,
                };
                pack::unpack(pack, &member.path, &frames, wanted, take)
            }
            Place::Stored(number) => {
                let blob = self.delivery.blobs.get(number).ok_or_else(missing)?;
                let index = self.layout.packs.saturating_add(number);
                let member = self.layout.payload().get(index).ok_or_else(missing)?;
                let source = AtPosition {
                    file: &self.file,
                    position: member.start,
                };
                let mut content =
                    VerifyingReader::new(source, member.size, member.digest, &member.path);
                take(*blob, &mut content).map_err(|e| from_io(&member.path, e))?;
                io::copy(&mut content, &mut io::sink())
                    .map_err(|e| from_io(&member.path, e))
                    .map(|_| ())
            }
        }
    }
}

/// Where each blob is.
fn places(delivery: &Delivery) -> Result<HashMap<Digest, Located>> {
    let packs = delivery.packs.iter().enumerate();
    let packed = packs.flat_map(|(n, pack)| pack.blobs.iter().map(move |b| (*b, Place::Pack(n))));
    let stored = delivery.blobs.iter().enumerate();
    let stored = stored.map(|(n, blob)| (*blob, Place::Stored(n)));
    let blobs = delivery.packs.iter().map(|pack| pack.blobs.len());
    let blobs = blobs.fold(delivery.blobs.len(), usize::saturating_add);
    let mut places = HashMap::with_capacity(blobs);
    for (number, (blob, place)) in packed.chain(stored).enumerate() {
        let located = Located {
            number,
            place,
            size: blob.size(),
        };
        if places.insert(blob.digest(), located).is_some() {
            let detail = format!("blob {} is stored twice", blob.digest());
            return Err(Error::new(Code::BadMetadata, "delivery.json", detail));
        }
    }
    Ok(places)
}

/// Refuses a release that says it was published when its own metadata, or the root, had expired. Sites take
/// `published` as a lower bound of time: a stolen release key could otherwise move it to where everything has
/// expired for ever, and no new root could help.
fn not_after_expiry(trusted: &TrustedSet, release: &Release) -> Result<()> {
    let dates = [
        Some(trusted.root().statement.expires),
        trusted.timestamp().map(|t| t.statement.expires),
        trusted.snapshot().map(|s| s.statement.expires),
        trusted.targets().map(|t| t.statement.expires),
    ];
    match dates.into_iter().flatten().min() {
        Some(expires) if release.published >= expires => Err(Error::new(
            Code::BadMetadata,
            "release.json",
            format!(
                "was published on {}, when its metadata had expired on {expires}",
                release.published
            ),
        )),
        _ => Ok(()),
    }
}

/// Does `work` on each item with `threads` threads and returns the first error; others then stop early.
fn in_parallel<T: Send>(
    threads: usize,
    items: Vec<T>,
    work: impl Fn(T) -> Result<()> + Sync,
) -> Result<()> {
    let queue = Mutex::new(items.into_iter());
    let failed = AtomicBool::new(false);
    let run = || -> Result<()> {
        while !failed.load(Ordering::Relaxed) {
            let Some(item) = queue.lock().ok().and_then(|mut queue| queue.next()) else {
                break;
            };
            work(item).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(run)).collect();
        let results = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| {
                Err(Error::new(
                    Code::Io,
                    "bundle",
                    "a reading thread ended early",
                ))
            })
        });
        results.collect::<Vec<_>>().into_iter().collect()
    })
}

/// Frames of a pack, read where they lie in the file.
struct PackOnMedium<'a> {
    file: &'a Medium,
    member: &'a Member,
    pack: &'a Pack,
}

impl Frames for PackOnMedium<'_> {
    fn stored(&self, number: usize) -> Result<Vec<u8>> {
        let before = self
            .pack
            .frames
            .iter()
            .take(number)
            .map(BlobRef::size)
            .fold(0, u64::saturating_add);
        let size = self.pack.frames.get(number).map_or(0, BlobRef::size);
        let start = self.member.start.saturating_add(before);
        self.file.read_vec(
            start,
            size,
            limits::STORED_FRAME_BYTES as u64,
            &self.member.path,
        )
    }
}

/// The file from a position on.
struct AtPosition<'a> {
    file: &'a Medium,
    position: u64,
}

impl Read for AtPosition<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt as _;
        let count = self.file.file.read_at(buffer, self.position)?;
        self.position = self.position.saturating_add(count as u64);
        Ok(count)
    }
}
