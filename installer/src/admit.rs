//! From a file to a release that may be installed here: verified against what the site trusts, then held
//! against the site's own rules, all of them, before a byte of payload is read.

use std::{collections::HashSet, fs::File};

use sealift_verifier::{
    Code as VerifierCode,
    bundle::{Authentic, Bundle, Trust},
    delivery::Delivery,
    digest::Digest,
    release::{BlobRef, Release},
    time::Time,
    tuf::{ED25519, TrustedSet, trusted::Origin},
};

use crate::{
    admission::{Case, Decision, Rules},
    error::{Code, Denial, Error, NotAdmitted, Result},
    facts, generation,
    site::{Context, Site},
};

/// A block of a file system: what the smallest file takes.
const BLOCK: u64 = 4096;
/// Room for the journal, the state and folders, in bytes.
const RESERVE: u64 = 1 << 20;
/// Room for folders, in files.
const RESERVED_FILES: u64 = 64;

/// A release that is authentic and may be installed at this site.
#[must_use]
pub struct Admitted {
    pub(crate) authentic: Authentic,
}

/// Opens a bundle and verifies it against what the site trusts. `name` stands for the file in errors.
pub fn verify(site: &Site, file: File, name: &str, ctx: &Context<'_>) -> Result<Authentic> {
    let now = site.state().judged_by(ctx.now)?;
    let trust = site.trust()?;
    let again = file.try_clone().map_err(|e| Error::io(name, e))?;
    let refusal = match Bundle::open(file, name)?.verify(&trust, now, &mut |_| {}) {
        Ok(authentic) => return Ok(authentic),
        Err(e) => e,
    };
    if refusal.kind() == VerifierCode::VersionRollback {
        // An older release of the right vendor is nothing forged. Verified on its own, it can be refused
        // by admission, together with everything else that speaks against it.
        let alone = Trust::from_root(trust.root);
        let authentic = Bundle::open(again, name)?.verify(&alone, now, &mut |_| {})?;
        let newest = site.state().trust.newest.as_ref();
        if newest.is_some_and(|newest| authentic.counter() < newest.counter) {
            return Ok(authentic);
        }
    }
    Err(refusal.into())
}

/// Whether the release of a bundle is the one that runs, so that there is nothing to do.
pub fn is_current(site: &Site, authentic: &Authentic) -> bool {
    let running = site.state().running();
    running.is_some_and(|g| {
        g.release == authentic.release_digest() && g.counter == authentic.counter()
    })
}

/// Lets an authentic release in if `decision` does; a refusal lists everything that speaks against it.
pub fn admit(authentic: Authentic, decision: &Decision) -> Result<Admitted> {
    let release = authentic.release();
    let what = format!("{} {}", release.product, release.version);
    let mut denials = decision.denials().into_iter();
    match denials.next() {
        None => Ok(Admitted { authentic }),
        Some(first) => Err(Error::NotAdmitted(NotAdmitted {
            what,
            first,
            others: denials.collect(),
        })),
    }
}

/// The names of the rules about what the site and its machine are, and what can break each of them.
const FACTS: [(&str, &[Code], &str); 8] = [
    (
        "product",
        &[Code::ProductMismatch],
        "the site takes releases of this product",
    ),
    (
        "security-floor",
        &[Code::BelowSecurityFloor],
        "not below the security floor",
    ),
    (
        "upgrade-from",
        &[Code::UpgradeFrom],
        "follows what runs here",
    ),
    ("mode", &[Code::ModeMismatch], "for this site's mode"),
    ("platform", &[Code::PlatformMismatch], "for this machine"),
    (
        "hardware",
        &[Code::HardwareInsufficient],
        "the machine has what it needs",
    ),
    ("pins", &[Code::Pinned], "as the site's pins want it"),
    (
        "counter",
        &[Code::CounterTooLow, Code::CounterReused],
        "newer than what the site had",
    ),
];

/// What the site and its machine are.
pub(crate) fn facts(case: &Case<'_>, space: &Space, rules: &mut Rules) -> Result<()> {
    let (site, authentic) = (case.site, case.authentic);
    let running = generation::running(site)?;
    let mut facts = facts::of(site, running.as_ref())?;
    // Data can only take what the release itself leaves.
    facts.hardware.disk = Some(space.free.saturating_sub(space.needed));
    let found = facts.check(authentic.release(), running.as_ref());
    let mut denials: Vec<Denial> = found.into_iter().map(Into::into).collect();
    if counter_holds(site, authentic)? {
        let version = &authentic.release().version;
        let digest = Some(authentic.release_digest());
        let denial = facts.check_counter(authentic.counter(), version, digest);
        denials.extend(denial.map(Denial::from));
    }
    for (rule, codes, passed) in FACTS {
        let of_rule = denials
            .extract_if(.., |denial| codes.contains(&denial.code))
            .collect();
        rules.judge(rule, of_rule, || passed.to_owned());
    }
    let mut lacking = Vec::new();
    if space.needed > space.free {
        lacking.push(format!(
            "{} bytes are needed, {} are free",
            space.needed, space.free
        ));
    }
    if let Some(free) = space.files_free.filter(|free| *free < space.files) {
        lacking.push(format!(
            "{} new files are needed, {free} are free",
            space.files
        ));
    }
    let deny = |detail| Denial {
        code: Code::NoSpace,
        detail,
    };
    rules.judge("space", lacking.into_iter().map(deny).collect(), || {
        "there is room for it".into()
    });
    Ok(())
}

/// Whether the counter of the newest release still counts under the root that a bundle leads to. It does not
/// once a root has replaced the keys that signed it (TUF 5.3.11): a thief may have counted up to where no
/// honest release ever comes. That root may also be the site's own already, from a release that failed.
fn counter_holds(site: &Site, authentic: &Authentic) -> Result<bool> {
    let Some(timestamp) = site.trust()?.timestamp else {
        return Ok(true);
    };
    // Whether anything has expired meanwhile does not matter for who signed it.
    let mut newer = TrustedSet::new(&authentic.trust().root, ED25519, Time::from_unix(0)?)?;
    Ok(newer.update_timestamp(&timestamp, Origin::Kept).is_ok())
}

/// What an installation would write, and what there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes of the blobs that the site lacks.
    pub bytes: u64,
    /// How many blobs it lacks.
    pub blobs: u64,
    /// Free bytes that have to be there, with room for blocks and folders.
    pub needed: u64,
    /// Free bytes that are there.
    pub free: u64,
    /// New files that have to be possible.
    pub files: u64,
    /// New files that are possible; nothing if the file system does not count them.
    pub files_free: Option<u64>,
}

impl Space {
    /// From the delivery manifest and the names in the store: nothing of the payload is read for it.
    pub fn of(site: &Site, authentic: &Authentic) -> Result<Self> {
        let present: HashSet<Digest> = site
            .store()?
            .present()?
            .into_iter()
            .map(|(digest, _)| digest)
            .collect();
        let lacking =
            || blobs(authentic.delivery()).filter(|blob| !present.contains(&blob.digest()));
        let sum = |sizes: &mut dyn Iterator<Item = u64>| sizes.fold(0, u64::saturating_add);
        let head = authentic.head();
        let rounded = |size: u64| size.next_multiple_of(BLOCK);
        let small = sum(&mut head.iter().map(|(_, bytes)| rounded(bytes.len() as u64)));
        let (free, files_free) = site.dir().free()?;
        let count = lacking().count() as u64;
        Ok(Self {
            bytes: sum(&mut lacking().map(|blob| blob.size())),
            blobs: count,
            needed: sum(&mut lacking().map(|blob| rounded(blob.size())))
                .saturating_add(small)
                .saturating_add(names(authentic.release()))
                .saturating_add(RESERVE),
            free,
            files: count
                .saturating_add(head.len() as u64)
                .saturating_add(RESERVED_FILES),
            files_free,
        })
    }
}

/// Every blob that a delivery holds.
pub fn blobs(delivery: &Delivery) -> impl Iterator<Item = BlobRef> {
    let packed = delivery.packs.iter().flat_map(|pack| &pack.blobs);
    packed.chain(&delivery.blobs).copied()
}

/// Bytes that the names of a generation take in their folders, about.
fn names(release: &Release) -> u64 {
    crate::plan::file_count(release).saturating_mul(64)
}
