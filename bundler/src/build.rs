//! `build`: from a plan to one bundle file.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use sealift_keys::signer::Signer;
use sealift_verifier::{
    bundle::{Authentic, Bundle, Trust},
    delivery::{Delivery, Pack},
    digest::{Digest, Hasher},
    release::{BlobRef, Release},
    tar,
    time::Time,
    tree::Tree,
    tuf::Target,
};

use crate::{
    cache::Cache,
    error::{Code, Error, Result},
    head::{self, Blank, Members, Room},
    metadata::{Roots, Statements},
    output::{NEW, beside, publish},
    pack::{Packed, WrittenPack, pack},
    plan::{Plan, PlannedContent, PlannedNode},
    provenance::envelope,
    sbom::Inventory,
};

/// What was built.
#[derive(Debug)]
pub struct Built {
    /// SHA-256 of the release manifest.
    pub release: Digest,
    /// Length of the bundle in bytes.
    pub bytes: u64,
    /// How many packs it has.
    pub packs: usize,
    /// How many blobs lie in packs and beside them.
    pub blobs: usize,
    /// How many of its bytes were copied from the cache.
    pub cached: u64,
    /// How many bytes of sources were not read, because the cache knows them.
    pub unread: u64,
    /// How many signatures are missing, and the file that their signers need.
    pub missing: Option<(u64, PathBuf)>,
}

/// How many threads to compress and hash with: one for each core.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What is under way, for progress bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Layers of images and files are looked through for packages.
    Scan,
    /// Sources are read and packed.
    Pack,
    /// The bundle is written anew with more signatures.
    Write,
    /// The bundle is read again and verified.
    Verify,
}

/// Hears of each stage and of bytes within it. Several stages may be under way at once.
pub trait Progress: Sync {
    /// A stage begins that takes so many bytes.
    fn begin(&self, stage: Stage, length: u64);
    /// So many bytes of it were done.
    fn bytes(&self, stage: Stage, count: u64);
}

/// Tells nobody.
impl Progress for () {
    fn begin(&self, _stage: Stage, _length: u64) {}
    fn bytes(&self, _stage: Stage, _count: u64) {}
}

/// What a bundle is built with: none of it decides about its bytes.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    /// What earlier builds found out.
    pub cache: &'a Cache,
    /// How many threads compress and hash.
    pub threads: usize,
    /// Hears how far it is.
    pub progress: &'a dyn Progress,
    /// Is asked about the release when its contents are known, before anybody signs it.
    pub accepts: &'a (dyn Fn(&Release) -> Result<()> + Sync),
}

impl Tools<'_> {
    /// So many bytes of sources are done.
    pub(crate) fn packed(&self, bytes: u64) {
        self.progress.bytes(Stage::Pack, bytes);
    }
}

/// What bills of materials may say of packages, in bytes, before room for their packs has to be found anew: some
/// 20,000 of them.
const PACKAGES_BYTES: u64 = 32 << 20;

/// Builds the bundle `out`, and packs contents while another thread still makes the `inventory`. An existing file is replaced,
/// at the very end and in one step. The bytes depend on
/// nothing but `plan`, the contents it names, `roots` and the keys. With fewer signatures than the root
/// demands, the bundle is complete but for them, and `<out>.tosign` is left for the others.
pub fn build(
    plan: &Plan,
    inventory: Inventory<'_>,
    roots: &Roots,
    signers: &[&dyn Signer],
    out: &Path,
    tools: Tools<'_>,
) -> Result<Built> {
    write(plan, inventory, roots, signers, out, tools).map_err(|e| {
        // What it made is worth keeping, within the bounds of the cache.
        tools.cache.save();
        match e {
            Error::Own(e) if e.subject() == NEW => e.about(out.display().to_string()).into(),
            e => e,
        }
    })
}

fn write(
    plan: &Plan,
    inventory: Inventory<'_>,
    roots: &Roots,
    signers: &[&dyn Signer],
    out: &Path,
    tools: Tools<'_>,
) -> Result<Built> {
    let cache = tools.cache;
    let signing = Signing::new(plan, roots, signers);
    let mut file = beside(out)?;
    cache.set_present(file.file());
    let unread = cache.unread();
    let path = file.path();
    let once = |packages_bytes, file: &File| {
        let room = signing.room(packages_bytes)?;
        tools.progress.begin(Stage::Pack, source_bytes(plan));
        pack(plan, inventory, file, room.bytes, &tools, |packed| {
            (tools.accepts)(&packed.release)?;
            let bills = packed.release.sbom.iter().map(|bill| bill.file.size);
            let missing = bills.max().unwrap_or(0).saturating_sub(room.bill);
            if missing > 0 {
                return Ok(Attempt::NeedsRoom(missing));
            }
            let (digests, mut statements) = std::thread::scope(|scope| {
                // What was learned of files is true whatever becomes of the bundle.
                scope.spawn(|| cache.save_files());
                let digests = pack_digests(file, &packed, &tools)?;
                let (statements, head) = signing.head(&packed, &digests, room.bytes)?;
                file.write_all_at(&head, 0).map_err(|e| Error::io(NEW, e))?;
                Ok::<_, Error>((digests, statements))
            })?;
            let members = written(&packed, &digests);
            let missing = signing.check(&path, &mut statements, &packed.trees, &members)?;
            Ok(Attempt::Written(Box::new(Written {
                packed,
                members,
                statements,
                missing,
            })))
        })
    };
    let mut packages_bytes = PACKAGES_BYTES;
    let mut distrusted = cache.is_distrusted();
    let written = loop {
        match once(packages_bytes, file.file()) {
            Ok(Attempt::Written(written)) => break *written,
            // Room depends on how long bills are, and never the other way round: the same is kept in each build.
            Ok(Attempt::NeedsRoom(missing)) => {
                let needed = packages_bytes + missing;
                while packages_bytes < needed {
                    packages_bytes *= 2;
                }
            }
            // What the cache held was not so. With nothing taken from it, the bytes are those of a build without it.
            Err(_) if cache.is_distrusted() && !distrusted => distrusted = true,
            Err(e) => {
                // What is wrong with a layer is told with the place that asks for it.
                inventory.accepted()?;
                return Err(e);
            }
        }
        file.file().set_len(0).map_err(|e| Error::io(NEW, e))?;
    };
    let Written {
        packed,
        members,
        statements,
        missing,
    } = written;
    sync_and(file.file(), || {
        cache.save();
        Ok(())
    })?;
    inventory.accepted()?;
    let length = file
        .file()
        .metadata()
        .map_err(|e| Error::io(out.display(), e))?
        .len();
    let request = tosign_path(out);
    if missing > 0 {
        leave(&statements.to_sign(plan)?.to_bytes()?, &request)?;
    }
    let kept = file.file().try_clone();
    publish(file, out)?;
    if let Ok(kept) = kept
        && inventory.others_follow()
    {
        let packs = packed.delivery.packs.iter().cloned().zip(&members);
        cache.remember(
            kept,
            packs.map(|(pack, (start, stored))| (pack, *start, stored.digest())),
        );
    }
    Ok(Built {
        release: packed.delivery.release,
        bytes: length,
        packs: packed.delivery.packs.len(),
        blobs: blobs(&packed.delivery),
        cached: packed.cached,
        unread: if cache.is_distrusted() {
            0
        } else {
            cache.unread() - unread
        },
        missing: (missing > 0).then_some((missing, request)),
    })
}

/// What came of writing a bundle.
enum Attempt {
    Written(Box<Written>),
    /// Bills of materials are longer by so many bytes than they might be for the room that the head was given.
    NeedsRoom(u64),
}

/// A bundle that is written.
struct Written {
    packed: Packed,
    /// Where each member of the payload lies, and what was hashed when it was written.
    members: Vec<(u64, BlobRef)>,
    statements: Statements,
    /// How many signatures are missing.
    missing: u64,
}

/// Who signs what of a release.
struct Signing<'a> {
    plan: &'a Plan,
    roots: &'a Roots,
    signers: &'a [&'a dyn Signer],
    /// They stand for the signers where only lengths matter.
    blanks: Vec<Blank>,
}

impl<'a> Signing<'a> {
    fn new(plan: &'a Plan, roots: &'a Roots, signers: &'a [&'a dyn Signer]) -> Self {
        let blanks = signers.iter().map(|signer| Blank::new(*signer)).collect();
        Self {
            plan,
            roots,
            signers,
            blanks,
        }
    }

    fn blanks(&self) -> Vec<&dyn Signer> {
        self.blanks.iter().map(|blank| blank as _).collect()
    }

    /// The room for the head, as [`head::room`] gives it.
    fn room(&self, packages_bytes: u64) -> Result<Room> {
        let blanks = self.blanks();
        let attest = |release: &Release, digest| envelope(self.plan, release, digest, &blanks);
        let mut measure = |targets| Ok(self.members(&blanks, targets)?.1);
        head::room(self.plan, packages_bytes, &attest, &mut measure)
    }

    /// The head, exactly as long as its room, and what is signed in it.
    fn head(
        &self,
        packed: &Packed,
        digests: &[Digest],
        room: u64,
    ) -> Result<(Statements, Vec<u8>)> {
        let blanks = self.blanks();
        let attest = |release: &Release, digest| envelope(self.plan, release, digest, self.signers);
        let mut measure = |targets| Ok(self.members(&blanks, targets)?.1);
        let mut statements = None;
        let mut sign = |targets| {
            let (new, members) = self.members(self.signers, targets)?;
            statements = Some(new);
            Ok(members)
        };
        let head = head::head(
            &packed.release,
            &packed.delivery,
            digests,
            room,
            &attest,
            &mut measure,
            &mut sign,
        )?;
        let unsigned = || Error::new(Code::Io, NEW, "was not written");
        Ok((statements.ok_or_else(unsigned)?, head))
    }

    /// How many signatures are missing. With all of them the new bundle is opened, as a reader would, and held to what was
    /// `written`: contents may still be on their way.
    fn check(
        &self,
        path: &Path,
        statements: &mut Statements,
        trees: &BTreeMap<Digest, Tree>,
        written: &[(u64, BlobRef)],
    ) -> Result<u64> {
        let missing = statements.missing(self.roots.newest())?;
        // A release that nobody may sign yet cannot be verified; `seal` does that.
        if missing == 0 {
            let trust = Trust::from_root(self.roots.first().to_vec());
            let authentic = open(path, &trust, self.plan.release.published)?;
            check_written(&authentic, trees, written)?;
        }
        Ok(missing)
    }

    /// What is signed of a release with these targets, and all members of `metadata/`.
    fn members(
        &self,
        signers: &[&dyn Signer],
        targets: BTreeMap<String, Target>,
    ) -> Result<(Statements, Members)> {
        let mut new = Statements::new(self.plan, targets)?;
        signers
            .iter()
            .try_for_each(|signer| new.sign(*signer, self.roots.newest()))?;
        let mut members = self.roots.members();
        members.extend(new.members());
        Ok((new, members))
    }
}

/// How many blobs a bundle has, in packs and beside them.
fn blobs(delivery: &Delivery) -> usize {
    let packed = delivery.packs.iter().map(|pack| pack.blobs.len());
    packed.sum::<usize>() + delivery.blobs.len()
}

/// Leaves a small file for others.
fn leave(text: &[u8], path: &Path) -> Result<()> {
    let mut note = beside(path)?;
    note.file()
        .write_all(text)
        .and_then(|()| note.file().sync_all())
        .map_err(|e| Error::io(path.display(), e))?;
    publish(note, path)
}

/// Where each member of the payload lies, and what was hashed when it was written.
fn written(packed: &Packed, digests: &[Digest]) -> Vec<(u64, BlobRef)> {
    let packs = packed.packs.iter().zip(&packed.delivery.packs).zip(digests);
    let packs =
        packs.map(|((place, pack), digest)| (place.start, BlobRef(*digest, pack.stored_size())));
    let blobs = packed
        .blobs
        .iter()
        .copied()
        .zip(packed.delivery.blobs.iter().copied());
    packs.chain(blobs).collect()
}

/// Holds what the verified metadata says of the payload to what was `written`. Every header and every byte between was
/// compared when the bundle was opened; the content was hashed as it was written.
fn check_written(
    authentic: &Authentic,
    trees: &BTreeMap<Digest, Tree>,
    written: &[(u64, BlobRef)],
) -> Result<()> {
    authentic.required_blobs_of(trees)?;
    let is_payload = |path: &str| path.starts_with("packs/") || path.starts_with("blobs/");
    let members: Vec<_> = authentic
        .members()
        .filter(|(path, ..)| is_payload(path))
        .collect();
    // The payload is all that follows the manifests, so that its places are known from the end.
    let mut end = authentic.length().saturating_sub(tar::END);
    let mut places = written.iter().rev();
    for (path, size, digest) in members.iter().rev() {
        let start = end.saturating_sub(size + tar::padding(*size));
        if places.next() != Some(&(start, BlobRef(*digest, *size))) {
            return Err(Error::new(
                Code::Io,
                *path,
                "is not what was written to the new bundle",
            ));
        }
        end = start.saturating_sub(tar::BLOCK);
    }
    match places.next() {
        None => Ok(()),
        Some(_) => Err(Error::new(
            Code::Io,
            NEW,
            "lacks something that was written",
        )),
    }
}

/// The digests of packs. Those whose first frame was written last are read again, from memory as a rule, and on that
/// occasion kept in the cache if they may be needed again.
fn pack_digests(file: &File, packed: &Packed, tools: &Tools<'_>) -> Result<Vec<Digest>> {
    let packs: Vec<_> = packed.delivery.packs.iter().zip(&packed.packs).collect();
    let next = AtomicUsize::new(0);
    let cache = tools.cache;
    let work = || -> Result<Vec<(usize, Digest)>> {
        let mut found = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some((pack, written)) = packs.get(number) else {
                return Ok(found);
            };
            let digest = match written.digest {
                Some(digest) => digest,
                None => read_pack(file, written, pack, cache)?,
            };
            found.push((number, digest));
        }
    };
    let mut found = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..tools.threads.max(1))
            .map(|_| scope.spawn(work))
            .collect();
        let mut all = Vec::new();
        for thread in threads {
            let early = |_| Err(Error::new(Code::Io, NEW, "a hashing thread ended early"));
            all.extend(thread.join().unwrap_or_else(early)?);
        }
        Ok::<_, Error>(all)
    })?;
    found.sort_unstable_by_key(|(number, _)| *number);
    Ok(found.into_iter().map(|(_, digest)| digest).collect())
}

fn read_pack(file: &File, written: &WrittenPack, pack: &Pack, cache: &Cache) -> Result<Digest> {
    let (mut position, mut left) = (written.start, pack.stored_size());
    let mut buffer = vec![0; 1 << 20];
    let mut hasher = Hasher::default();
    let begin = || cache.begin_pack(&pack.blobs, pack.level);
    let mut entry = written.kept.then(begin).flatten();
    while left > 0 {
        let count = usize::try_from(left)
            .unwrap_or(buffer.len())
            .min(buffer.len());
        let read = file.read_exact_at(&mut buffer[..count], position);
        read.map_err(|e| Error::io(NEW, e))?;
        hasher.update(&buffer[..count]);
        if let Some(entry) = &mut entry {
            entry.write(&buffer[..count]);
        }
        (position, left) = (position + count as u64, left - count as u64);
    }
    let digest = hasher.finish();
    if let Some(entry) = entry {
        entry.finish(cache, pack, digest);
    }
    Ok(digest)
}

/// How many bytes packing will read.
fn source_bytes(plan: &Plan) -> u64 {
    let artifacts = plan.capabilities.iter().flat_map(|c| &c.artifacts);
    let size = |content: &PlannedContent| match content {
        PlannedContent::Image(image) => image.blobs.iter().map(|b| b.blob.size()).sum(),
        PlannedContent::Tree(entries) => entries
            .iter()
            .map(|entry| match entry.node {
                PlannedNode::File { size, .. } => size,
                _ => 0,
            })
            .sum(),
        PlannedContent::File(file)
        | PlannedContent::Config(file)
        | PlannedContent::Notice(file) => file.size,
    };
    artifacts
        .map(|artifact| size(&artifact.content))
        .sum::<u64>()
}

/// `OUT.tosign`, beside the bundle.
pub fn tosign_path(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".tosign");
    name.into()
}

/// Syncs `file` while `work` is done: the one waits for the disk, the other computes.
pub(crate) fn sync_and(file: &File, work: impl FnOnce() -> Result<()>) -> Result<()> {
    std::thread::scope(|scope| {
        let sync = scope.spawn(|| file.sync_all());
        work()?;
        match sync.join() {
            Ok(result) => result.map_err(|e| Error::io(NEW, e)),
            Err(_) => Err(Error::new(Code::Io, NEW, "could not be synced")),
        }
    })
}

pub(crate) fn open(path: &Path, trust: &Trust, now: Time) -> Result<Authentic> {
    let file = File::open(path).map_err(|e| Error::io(path.display(), e))?;
    Ok(Bundle::open(file, NEW)?.verify(trust, now, &mut |_| ())?)
}

/// Reads the new bundle as a site would.
pub(crate) fn check_payload(
    authentic: &Authentic,
    threads: usize,
    progress: &dyn Progress,
) -> Result<()> {
    authentic.required_blobs()?;
    progress.begin(Stage::Verify, authentic.length());
    let bytes = |count| progress.bytes(Stage::Verify, count);
    Ok(authentic.verify_payload(threads, &bytes)?)
}
