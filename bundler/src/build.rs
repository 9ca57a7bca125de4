//! `build`: from a plan to one bundle file, and `seal`, which adds the signatures of others to it.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use sealift_keys::{signer::Signer, travel::DetachedSignature};
use sealift_verifier::{
    bundle::{Authentic, Bundle, Trust},
    delivery::Pack,
    digest::Digest,
    release::BlobRef,
    time::Time,
    tuf::{ED25519, Root, TrustedSet, threshold::verify_one},
};

use crate::{
    assemble::{assemble, beside, publish, write_member},
    error::{Code, Error, Result},
    metadata::{Roots, Statements},
    pack::pack,
    plan::{Plan, PlannedContent, PlannedNode},
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
    /// How many signatures are missing, and the file that their signers need.
    pub missing: Option<(u64, PathBuf)>,
}

/// How many threads to compress and hash with: one for each core.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What is under way, for progress bars: a name and how many bytes it will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Sources are read and packed.
    Pack(u64),
    /// The bundle is put together.
    Assemble(u64),
    /// The bundle is read again and verified.
    Verify(u64),
}

/// Hears of each stage and of bytes within it.
pub trait Progress: Sync {
    /// A stage begins.
    fn stage(&self, stage: Stage);
    /// So many bytes were done.
    fn bytes(&self, count: u64);
}

/// Builds the bundle `out`. An existing file is replaced, at the very end and in one step. The bytes depend on
/// nothing but `plan`, the contents it names, `roots` and the keys. With fewer signatures than the root
/// demands, the bundle is complete but for them, and `<out>.tosign` is left for the others.
pub fn build(
    plan: &Plan,
    roots: &Roots,
    signers: &[&dyn Signer],
    out: &Path,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Built> {
    let bytes = |count| progress.bytes(count);
    progress.stage(Stage::Pack(source_bytes(plan)));
    let spool = beside(out)?;
    let mut packed = pack(
        plan,
        spool.reopen().map_err(|e| Error::io("the spool file", e))?,
        threads,
        &bytes,
    )?;

    let mut file = beside(out)?;
    let release = packed.delivery.release;
    let stored: u64 = packed
        .delivery
        .packs
        .iter()
        .map(Pack::stored_size)
        .sum::<u64>()
        + packed.delivery.blobs.iter().map(BlobRef::size).sum::<u64>();
    progress.stage(Stage::Assemble(stored));
    let mut statements = None;
    assemble(
        file.as_file_mut(),
        &mut packed,
        &mut |targets| {
            let mut new = Statements::new(plan, targets)?;
            signers
                .iter()
                .try_for_each(|signer| new.sign(*signer, roots.newest()))?;
            let mut members = roots.members();
            members.extend(new.members());
            statements = Some(new);
            Ok(members)
        },
        &bytes,
    )?;
    drop(spool);
    let mut statements =
        statements.ok_or_else(|| Error::new(Code::Io, "the new bundle", "was not written"))?;
    let missing = statements.missing(roots.newest())?;
    let trust = Trust::from_root(roots.first().to_vec());
    sync_and(file.as_file(), || match missing {
        // A release that nobody may sign yet cannot be verified; `seal` does that.
        0 => check_payload(
            &open(file.path(), &trust, plan.published)?,
            threads,
            progress,
        ),
        _ => Ok(()),
    })?;
    let length = file
        .as_file()
        .metadata()
        .map_err(|e| Error::io(out.display(), e))?
        .len();
    let request = tosign_path(out);
    if missing > 0 {
        let mut note = beside(&request)?;
        let text = statements.to_sign(plan)?.to_bytes()?;
        note.write_all(&text)
            .and_then(|()| note.as_file().sync_all())
            .map_err(|e| Error::io(request.display(), e))?;
        publish(note, &request)?;
    }
    publish(file, out)?;
    Ok(Built {
        release,
        bytes: length,
        packs: packed.delivery.packs.len(),
        blobs: packed
            .delivery
            .packs
            .iter()
            .map(|p| p.blobs.len())
            .sum::<usize>()
            + packed.delivery.blobs.len(),
        missing: (missing > 0).then_some((missing, request)),
    })
}

/// How many bytes packing will read.
fn source_bytes(plan: &Plan) -> u64 {
    let artifacts = plan.capabilities.iter().flat_map(|c| &c.artifacts);
    let size = |content: &PlannedContent| match content {
        PlannedContent::Image(image) => image
            .blobs
            .iter()
            .filter(|b| b.compressible)
            .map(|b| b.blob.size())
            .sum(),
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

/// Adds signatures that others made with `sealift-keys sign` to the bundle `out`, verifies it, and only then
/// puts it in the place of the old one. Refused as a whole if a signature is not valid or the threshold
/// is still not met.
pub fn seal(
    out: &Path,
    signatures: &[DetachedSignature],
    threads: usize,
    progress: &dyn Progress,
) -> Result<Digest> {
    let name = out.display().to_string();
    let mut old = File::open(out).map_err(|e| Error::io(&name, e))?;
    let unverified = Bundle::open(old.try_clone().map_err(|e| Error::io(&name, e))?, &name)?;
    let (members, end) = unverified.claimed_metadata();
    let root = newest_root(&members)?;
    let mut statements = Statements::parse(&members)?;
    for detached in signatures {
        add(&mut statements, detached, &root)?;
    }
    let missing = statements.missing(&root)?;
    if missing > 0 {
        return Err(Error::new(
            Code::SignaturesMissing,
            name,
            format!("{missing} more are needed; nothing was changed"),
        ));
    }

    let roots = members
        .iter()
        .take_while(|(path, _)| path.ends_with(".root.json"));
    let mut head = Vec::new();
    for (path, bytes) in roots.cloned().chain(statements.members()) {
        write_member(&mut head, &path, &bytes);
    }
    let mut file = beside(out)?;
    let to = |e| Error::io(&name, e);
    let length = old.metadata().map_err(to)?.len();
    progress.stage(Stage::Assemble(length));
    file.write_all(&head).map_err(to)?;
    old.seek(SeekFrom::Start(end)).map_err(to)?;
    io::copy(&mut old, file.as_file_mut()).map_err(to)?;
    progress.bytes(length);

    let first = members
        .first()
        .map(|(_, bytes)| bytes.clone())
        .unwrap_or_default();
    let trust = Trust::from_root(first);
    // Nothing has expired in 1970: how long a release is valid is for its readers to judge.
    let any_time = Time::from_unix(0)?;
    let mut release = None;
    sync_and(file.as_file(), || {
        let authentic = open(file.path(), &trust, any_time)?;
        release = Some(authentic.release_digest());
        check_payload(&authentic, threads, progress)
    })?;
    publish(file, out)?;
    let request = tosign_path(out);
    match std::fs::remove_file(&request) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io(request.display(), e));
        }
        _ => {}
    }
    release.ok_or_else(|| Error::new(Code::Io, name, "was not verified"))
}

/// The newest of the roots in a bundle, which have to lead from the first to it.
fn newest_root(members: &[(String, Vec<u8>)]) -> Result<Root> {
    let mut trusted: Option<TrustedSet> = None;
    for (_, bytes) in members
        .iter()
        .take_while(|(path, _)| path.ends_with(".root.json"))
    {
        match &mut trusted {
            None => trusted = Some(TrustedSet::new(bytes, ED25519, Time::from_unix(0)?)?),
            Some(set) => set.update_root(bytes)?,
        }
    }
    let trusted =
        trusted.ok_or_else(|| Error::new(Code::RootInvalid, "bundle", "holds no root"))?;
    Ok(trusted.root().statement.clone())
}

fn add(statements: &mut Statements, detached: &DetachedSignature, root: &Root) -> Result<()> {
    let subject = format!("signature by {}", detached.keyid());
    for (role, signed) in statements.each() {
        let entitled = root
            .role(role)?
            .keyids
            .iter()
            .any(|id| id == detached.keyid());
        let key = root.keys.get(detached.keyid()).filter(|_| entitled);
        let key = key.ok_or_else(|| {
            Error::new(
                Code::KeyNotEntitled,
                &subject,
                format!(
                    "version {} of the root does not list it for {role}",
                    root.version
                ),
            )
        })?;
        let signature = detached.signature(role).filter(|signature| {
            signature
                .bytes()
                .is_some_and(|bytes| verify_one(key, signed.message(), &bytes, ED25519))
        });
        let signature = signature.ok_or_else(|| {
            Error::new(
                Code::SignatureInvalid,
                &subject,
                format!("is not over the {role} of this bundle"),
            )
        })?;
        signed.insert_signature(signature);
    }
    Ok(())
}

/// Syncs `file` while `work` is done: the one waits for the disk, the other computes.
fn sync_and(file: &File, work: impl FnOnce() -> Result<()>) -> Result<()> {
    std::thread::scope(|scope| {
        let sync = scope.spawn(|| file.sync_all());
        work()?;
        match sync.join() {
            Ok(result) => result.map_err(|e| Error::io("the new bundle", e)),
            Err(_) => Err(Error::new(
                Code::Io,
                "the new bundle",
                "could not be synced",
            )),
        }
    })
}

fn open(path: &Path, trust: &Trust, now: Time) -> Result<Authentic> {
    let file = File::open(path).map_err(|e| Error::io(path.display(), e))?;
    Ok(Bundle::open(file, "the new bundle")?.verify(trust, now, &mut |_| ())?)
}

/// Reads the new bundle as a site would.
fn check_payload(authentic: &Authentic, threads: usize, progress: &dyn Progress) -> Result<()> {
    authentic.required_blobs()?;
    progress.stage(Stage::Verify(authentic.length()));
    Ok(authentic.verify_payload(threads, &|count| progress.bytes(count))?)
}
