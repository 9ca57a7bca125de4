//! What the site trusts, and how that changes without a release: the customer's root is pinned, and metadata without
//! a payload rotates roots, takes keys and releases back, and tells of newer releases.
//!
//! Nothing of a medium is believed before it is verified as a bundle's metadata is, and nothing is written before all
//! of it is. Then the files go first and the state last, so that a crash leaves what was trusted or what is.

mod stick;

use std::collections::BTreeMap;

use sealift_verifier::{
    Code as VerifierCode,
    digest::Digest,
    time::Time,
    tuf::{ED25519, Signed, TrustedSet, trusted::Origin},
};

pub use stick::{Files, Stick};

use crate::{
    disk::ReplaceError,
    error::{Code, Error, Result},
    policy,
    revoked::Revocations,
    site::{Context, Ready, Site, customer_root_file, root_file, snapshot_file, timestamp_file},
    state::{Action, CustomerRoot, Event, Generation, Newest, Outcome, State},
};

/// What a medium changed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Updated {
    /// Whether anything did.
    pub changed: bool,
    /// The version of the vendor's root, before and now.
    pub root: Step,
    /// The version of the customer's root, before and now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_root: Option<Step>,
    /// The release counter that nothing may fall behind, before and now.
    pub counter: Step,
    /// What somebody should know, a sentence each.
    pub warnings: Vec<String>,
}

/// A number that only grows, before and now; 0 where there was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    /// Before.
    pub from: u64,
    /// Now.
    pub to: u64,
}

/// Holds the customer's root to its fingerprint and to its own threshold. `vendor` is the digest of the vendor's:
/// one root cannot be both.
pub fn check_customer(
    bytes: &[u8],
    fingerprint: Digest,
    vendor: Digest,
    ctx: &Context<'_>,
) -> Result<CustomerRoot> {
    const SUBJECT: &str = "the customer's root file";
    let digest = Digest::of(bytes);
    if digest != fingerprint {
        let detail = format!("has the fingerprint {digest}, not {fingerprint}");
        return Err(Error::new(Code::FingerprintMismatch, SUBJECT, detail));
    }
    if digest == vendor {
        return Err(Error::new(Code::Usage, SUBJECT, "is the vendor's root"));
    }
    let root = TrustedSet::new(bytes, ED25519, ctx.now)?;
    Ok(CustomerRoot {
        version: root.root().statement.version,
        digest,
    })
}

/// Pins the root of the customer. It is pinned once; then it changes only as its own keys say. Says whether it was
/// not pinned already, and what somebody should know.
pub fn pin_customer(
    site: &mut Ready<'_>,
    bytes: &[u8],
    fingerprint: Digest,
    ctx: &Context<'_>,
) -> Result<(CustomerRoot, Vec<String>)> {
    let customer = check_customer(bytes, fingerprint, site.state().trust.root_digest, ctx)?;
    if let Some(there) = &site.state().trust.customer {
        if *there != customer {
            let detail = format!(
                "has another one already, version {}, fingerprint {}",
                there.version, there.digest
            );
            return Err(Error::new(Code::CustomerPinned, "this site", detail));
        }
    } else {
        site.keep_trusted(&customer_root_file(customer.version), bytes)?;
        let mut state = site.state().clone();
        state.trust.customer = Some(customer.clone());
        let told = format!(
            "root {} of the customer with the fingerprint {}",
            customer.version, customer.digest
        );
        commit(site, state, told, ctx)?;
    }
    Ok((customer, policy::outdated(site)?.into_iter().collect()))
}

/// Takes metadata from a medium. What is older than what the site trusts changes nothing; what does not follow from
/// it is refused, and then nothing of the medium is taken.
pub fn update(site: &mut Ready<'_>, stick: &Stick, ctx: &Context<'_>) -> Result<Updated> {
    let now = site.state().judged_by(ctx.now)?;
    let (vendor, customer) = sort(site, stick, now)?;
    let mut state = site.state().clone();
    let mut warnings = Vec::new();
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    if let Some(mut vendor) = vendor {
        state
            .trust
            .rotate(vendor.new.iter().map(|(_, bytes)| Digest::of(bytes)));
        state.trust.development = vendor.trusted.root().statement.is_development();
        let new = vendor.new.iter();
        files.extend(new.map(|(version, bytes)| (root_file(*version), bytes.to_vec())));
        match freshness(site, &mut vendor.trusted, &stick.metadata, stick)? {
            Freshness::Newer(newest, timestamp, snapshot) => {
                files.push((timestamp_file(newest.timestamp), timestamp));
                files.push((snapshot_file(newest.snapshot), snapshot));
                state.trust.newest = Some(newest);
            }
            Freshness::Older(told) => warnings.push(told),
            Freshness::Nothing => {}
        }
    }
    let mut customer_root = None;
    if let (Some(customer), Some(there)) = (customer, &site.state().trust.customer) {
        let version = customer.trusted.root().statement.version;
        if let Some((_, bytes)) = customer.new.last() {
            files.push((customer_root_file(version), bytes.to_vec()));
            state.trust.customer = Some(CustomerRoot {
                version,
                digest: Digest::of(bytes),
            });
        }
        customer_root = Some(Step {
            from: there.version,
            to: version,
        });
    }
    let counter = |state: &State| {
        state
            .trust
            .newest
            .as_ref()
            .map_or(0, |newest| newest.counter)
    };
    let before = &site.state().trust;
    let mut updated = Updated {
        changed: state.trust != *before,
        root: Step {
            from: before.root,
            to: state.trust.root,
        },
        customer_root,
        counter: Step {
            from: counter(site.state()),
            to: counter(&state),
        },
        warnings,
    };
    if updated.changed {
        for (name, bytes) in files {
            site.keep_trusted(&name, &bytes)?;
        }
        let told = updated.describe();
        commit(site, state, told, ctx)?;
    }
    let is_step = |step: Step| step.from != step.to;
    if is_step(updated.root) || updated.customer_root.is_some_and(is_step) {
        let revocations = Revocations::of_site(site)?;
        for Generation {
            number,
            version,
            release,
            ..
        } in &site.state().generations
        {
            let revoked = revocations.of(*release).into_iter();
            let told = revoked.map(|revoked| format!("generation {number}, {version}: {revoked}"));
            updated.warnings.extend(told);
        }
    }
    updated.warnings.extend(policy::outdated(site)?);
    Ok(updated)
}

impl Updated {
    /// What changed, in one line.
    pub fn describe(&self) -> String {
        let step = |what: &str, step: Step| {
            let Step { from, to } = step;
            (from != to).then(|| format!("{what} {from} to {to}"))
        };
        let customer = self.customer_root;
        let parts = [
            step("root", self.root),
            customer.and_then(|customer| step("root of the customer", customer)),
            step("release counter", self.counter),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() && self.changed {
            return "the same release counter, signed anew".into();
        }
        parts.join(", ")
    }
}

/// Roots that lead on from a trusted one.
struct Followed<'s> {
    trusted: TrustedSet,
    /// Those that are new, by their versions.
    new: Vec<(u64, &'s [u8])>,
}

/// Which roots of a medium are the vendor's and which the customer's. What lies in `customer/` has to be the
/// customer's; the rest may be either's, and whose it is, its signatures say.
fn sort<'s>(
    site: &Site,
    stick: &'s Stick,
    now: Time,
) -> Result<(Option<Followed<'s>>, Option<Followed<'s>>)> {
    let pinned = site.customer_root_bytes()?;
    let of_customer = |roots: &'s BTreeMap<u64, Vec<u8>>| -> Result<Option<Followed<'s>>> {
        let Some(pinned) = &pinned else {
            let why = "holds roots of a customer, and this site has none: see `trust customer`";
            return Err(unknown(stick, why.into()));
        };
        follow(pinned, &|_| None, roots, stick, now).map(Some)
    };
    let customer = if stick.customer.is_empty() {
        None
    } else {
        of_customer(&stick.customer.roots)?
    };
    if stick.metadata.is_empty() {
        return Ok((None, customer));
    }
    let root = site.trusted_root(site.state().trust.root)?;
    let older = |version| site.trusted_root(version).ok();
    match follow(&root, &older, &stick.metadata.roots, stick, now) {
        Ok(vendor) => Ok((Some(vendor), customer)),
        Err(refusal) if customer.is_none() && pinned.is_some() => {
            // Whoever is neither is refused as what most of them are.
            of_customer(&stick.metadata.roots)
                .map(|customer| (None, customer))
                .map_err(|_| refusal)
        }
        Err(refusal) => Err(refusal),
    }
}

/// Follows roots from the trusted one, each exactly one version on, signed as the old and as the new one demand (TUF
/// 5.3.4, 5.3.5). `older` are those that were trusted before it. Roots that have nothing to do with any of these are
/// refused, even if they are too old to change anything.
fn follow<'s>(
    pinned: &[u8],
    older: &dyn Fn(u64) -> Option<Vec<u8>>,
    roots: &'s BTreeMap<u64, Vec<u8>>,
    stick: &Stick,
    now: Time,
) -> Result<Followed<'s>> {
    let mut trusted = TrustedSet::new(pinned, ED25519, now)?;
    let version = trusted.root().statement.version;
    let mut known = roots.is_empty();
    for (number, bytes) in roots.range(..=version) {
        let mine = if *number == version {
            Some(pinned.to_vec())
        } else {
            older(*number)
        };
        let Some(mine) = mine else { continue };
        let message = |bytes: &[u8]| Signed::parse(bytes, &format!("{number}.root.json"));
        if message(bytes)?.message() != message(&mine)?.message() {
            let why = format!("root {number} is another one than was trusted here in this version");
            return Err(unknown(stick, why));
        }
        known = true;
    }
    let mut new = Vec::new();
    for (number, bytes) in roots.range(version.saturating_add(1)..) {
        let next = trusted.root().statement.version.saturating_add(1);
        if *number != next {
            let why = format!("root {next} is missing, which comes before root {number}");
            let code = VerifierCode::RootVersion;
            return Err(sealift_verifier::Error::new(code, &stick.name, why).into());
        }
        trusted.update_root(bytes)?;
        new.push((*number, bytes.as_slice()));
    }
    if !known && new.is_empty() {
        let why = format!("none of its roots is known here: trusted is root {version}");
        return Err(unknown(stick, why));
    }
    if !new.is_empty() {
        trusted.check_expiry(&trusted.root().statement)?;
    }
    Ok(Followed { trusted, new })
}

/// That the roots of a medium are a stranger's.
fn unknown(stick: &Stick, why: String) -> Error {
    sealift_verifier::Error::new(VerifierCode::RootMismatch, &stick.name, why).into()
}

/// What timestamp, snapshot and targets of a medium say of the newest release.
enum Freshness {
    /// There are none.
    Nothing,
    /// They are older than what the site knows.
    Older(String),
    /// They count from now on, with the timestamp and snapshot to keep.
    Newer(Newest, Vec<u8>, Vec<u8>),
}

/// Verifies timestamp, snapshot and targets (TUF 5.4 to 5.6), as those of a bundle are.
fn freshness(
    site: &Site,
    trusted: &mut TrustedSet,
    files: &Files,
    stick: &Stick,
) -> Result<Freshness> {
    let (timestamp, snapshot, targets) = match (&files.timestamp, &files.snapshot, &files.targets) {
        (None, None, None) => return Ok(Freshness::Nothing),
        (Some(timestamp), Some(snapshot), Some(targets)) => (timestamp, snapshot, targets),
        _ => return Err(stick.bad("has not all of timestamp.json, snapshot.json and targets.json")),
    };
    let kept = site.trust()?;
    // Kept metadata that the newest root does not back any more is as good as none (TUF 5.3.11).
    if let Some(bytes) = &kept.timestamp {
        let _ = trusted.update_timestamp(bytes, Origin::Kept);
        if let Some(bytes) = &kept.snapshot {
            let _ = trusted.update_snapshot(bytes, Origin::Kept);
        }
    }
    let backed = trusted.timestamp().is_some();
    let mut take = || {
        trusted.update_timestamp(timestamp, Origin::New)?;
        trusted.update_snapshot(snapshot, Origin::New)?;
        trusted.update_targets(targets)
    };
    let older = |counter: u64| {
        let newest = site.state().trust.newest.as_ref();
        let known = newest.map_or(0, |newest| newest.counter);
        let than = if counter == 0 {
            String::new()
        } else {
            format!(" (release counter {counter})")
        };
        Freshness::Older(format!(
            "its timestamp, snapshot and targets{than} are older than what this site knows, release counter {known}: not taken"
        ))
    };
    match take() {
        Err(e) if e.kind() == VerifierCode::VersionRollback => return Ok(older(0)),
        other => other?,
    }
    let lost = || stick.bad("has no targets");
    let accepted = trusted.targets().ok_or_else(lost)?;
    let release = accepted.statement.targets.get("release.json");
    let release = release.ok_or_else(|| stick.bad("its targets have no release.json"))?;
    let (counter, release) = (accepted.statement.version, release.digest("release.json")?);
    if let Some(newest) = site.state().trust.newest.as_ref().filter(|_| backed) {
        if counter < newest.counter {
            return Ok(older(counter));
        }
        if counter == newest.counter && release != newest.release {
            let why = format!("its release counter {counter} stands for another release here");
            return Err(Error::new(Code::CounterReused, &stick.name, why));
        }
        if counter == newest.counter {
            return Ok(Freshness::Nothing);
        }
    }
    let bytes = |accepted: Option<Vec<u8>>| accepted.ok_or_else(lost);
    let timestamp = bytes(trusted.timestamp().map(|t| t.bytes.clone()))?;
    let snapshot = bytes(trusted.snapshot().map(|s| s.bytes.clone()))?;
    let newest = Newest {
        counter,
        release,
        timestamp: Digest::of(&timestamp),
        snapshot: Digest::of(&snapshot),
    };
    Ok(Freshness::Newer(newest, timestamp, snapshot))
}

/// Makes the change hold, and removes what nothing refers to any more.
fn commit(site: &mut Ready<'_>, mut state: State, reason: String, ctx: &Context<'_>) -> Result<()> {
    state.record(Event {
        time: ctx.now,
        action: Action::Trust,
        outcome: Outcome::Done,
        generation: None,
        from: None,
        version: None,
        release: None,
        reason,
    });
    site.commit(state).map_err(|e| match e {
        ReplaceError::Unchanged(e) => e,
        ReplaceError::DurabilityUnknown(e) => Error::new(
            Code::DurabilityUnknown,
            "what is trusted has changed",
            format!("but the disk failed afterwards: {e}"),
        ),
    })?;
    site.sweep_trusted()
}
