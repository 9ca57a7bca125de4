//! What this site says of the release that it runs, and what other sites have said of theirs (EAIP 6.2).

use std::collections::BTreeMap;

use sealift_keys::{dsse, signer::FileSigner};
use sealift_verifier::{
    dsse::{Envelope, Statement as _},
    promotion::{Attestation, Check, FORMAT},
    release::Release,
    time::Time,
};

use crate::{
    audit::Entry,
    error::{Code, Error, Result},
    generation, health,
    policy::rules,
    rollback,
    site::{self, Context, Ready, Site},
    site_key,
    state::{Action, Generation, Outcome, State},
    statements::{self, Kind},
};

/// An attestation of what runs here, signed by the site's key, and why what failed did.
pub struct Attested {
    /// What it says.
    pub attestation: Attestation,
    /// The same, signed.
    pub envelope: Envelope,
    /// Each check that failed, with the reason where one is known.
    pub failed: Vec<(String, String)>,
    /// Why there is no way back; empty if there is one.
    pub no_way_back: Vec<String>,
}

/// Asks the health checks of what runs, looks at the way back, and says what came out. `own` are checks that somebody
/// made in another way.
pub fn attest(site: &Ready<'_>, own: &[Check], ctx: &Context<'_>) -> Result<Attested> {
    let environment = site.policy()?.rules.deployment.environment.ok_or_else(|| {
        let why = "does not say what the deployment is for, so nobody could count its word";
        Error::new(Code::EnvironmentMissing, "the policy of this site", why)
    })?;
    let number = site.kept_or_current(None)?;
    let running = site.kept(number)?;
    let release = generation::release(site, running)?;
    let (checks, failed) = checks(site, &release, number, own)?;
    let no_way_back = no_way_back(site);
    let previous = site
        .state()
        .previous()
        .and_then(|n| site.state().generation(n));
    let (committed, issued) = ran(site.state(), running, release.published, ctx.now);
    let attestation = Attestation {
        format: FORMAT,
        site: site.state().site.clone(),
        environment,
        product: release.product.clone(),
        version: release.version.clone(),
        release: running.release,
        committed,
        issued,
        checks,
        rollback_ready: no_way_back.is_empty(),
        rollback_to: previous
            .filter(|_| no_way_back.is_empty())
            .map(|generation| generation.version.clone()),
    };
    let known = site.state().site_key.as_deref();
    let signer: FileSigner = site_key::ensure(site.dir(), site.writer(), known)?.into();
    let envelope = dsse::seal(&attestation, &[&signer], "the attestation")?;
    Ok(Attested {
        attestation,
        envelope,
        failed,
        no_way_back,
    })
}

type Results = (Vec<Check>, Vec<(String, String)>);

/// All checks, sorted by name, and those that failed.
fn checks(site: &Site, release: &Release, number: u64, own: &[Check]) -> Result<Results> {
    let root = site.path(&site::current_target(number));
    let mut found = BTreeMap::new();
    let mut failed = Vec::new();
    for (capability, check, result) in health::results(release, &root, number) {
        let name = format!("{}: {}", capability.name, check.name);
        // Several of one name are passed together or not at all.
        *found.entry(name.clone()).or_insert(true) &= result.is_ok();
        failed.extend(result.err().map(|reason| (name, reason)));
    }
    for check in own {
        if found.insert(check.name.clone(), check.passed).is_some() {
            let why = "is there already: each check has one result";
            return Err(Error::new(
                Code::Usage,
                format!("--check {}", check.name),
                why,
            ));
        }
        if !check.passed {
            failed.push((check.name.clone(), String::new()));
        }
    }
    let checks = found
        .into_iter()
        .map(|(name, passed)| Check { name, passed })
        .collect();
    Ok((checks, failed))
}

/// Everything that speaks against going back to the generation before.
fn no_way_back(site: &Site) -> Vec<String> {
    let Some(previous) = site.state().previous() else {
        return vec!["no generation from before is kept".into()];
    };
    match rollback::denials(site, previous) {
        Ok(denials) if denials.is_empty() => {
            let there = rollback::check_there(site, previous);
            there.err().map(|e| e.to_string()).into_iter().collect()
        }
        Ok(denials) => denials.into_iter().map(|denial| denial.detail).collect(),
        Err(e) => vec![e.to_string()],
    }
}

/// Since when the release has run without a break, and the time of saying so. A release that was left and made active
/// again has only run since. Where a clock was wrong, the time between is too short, never too long.
fn ran(state: &State, running: &Generation, published: Time, now: Time) -> (Time, Time) {
    let activated = state.history.iter().rev().find(|event| {
        event.outcome == Outcome::Done && matches!(event.action, Action::Apply | Action::Rollback)
    });
    let activated = activated.filter(|event| event.generation == Some(running.number));
    let since = activated.map_or(running.committed, |event| event.time);
    let issued = now.max(since).max(published);
    // Committed before it was published is what only a wrong clock says: nobody knows how long it has run.
    let since = if since < published { issued } else { since };
    (since, issued)
}

/// An attestation that may be taken.
pub struct Checked {
    /// The site that made it.
    by: String,
    key: String,
    said: Attestation,
}

impl Checked {
    /// What the audit log says of it.
    pub fn say(&self, entry: Entry) -> Entry {
        let said = &self.said;
        let failed = said.checks.iter().filter(|check| !check.passed).count();
        entry
            .release(&said.version, said.release)
            .signed(&self.key, &self.by)
            .because(format!(
                "{} in {}, issued {}: {} checks, {failed} failed",
                self.by,
                said.environment,
                said.issued,
                said.checks.len()
            ))
    }

    /// Takes it, and says whose it is.
    pub fn keep(self, site: &Ready<'_>, bytes: &[u8]) -> Result<String> {
        statements::keep(site, Kind::Attestation, bytes)?;
        Ok(self.by)
    }
}

/// Takes what another site has said. It has to be signed by a site that the policy lists, about itself. Returns the
/// name of that site.
pub fn check(site: &Site, bytes: &[u8], name: &str, ctx: &Context<'_>) -> Result<Checked> {
    let rules = site.policy()?.rules;
    let envelope = Envelope::parse(bytes, name)?;
    let refuse = |detail: String| Error::new(Code::AttestationUnusable, name, detail);
    if envelope.payload_type() != Attestation::TYPE {
        let kind = envelope.payload_type();
        return Err(refuse(format!("is no attestation, but {kind:?}")));
    }
    let signed = rules.sites.iter().find_map(|peer| {
        let (keys, role) = rules::keys(std::iter::once(&peer.key));
        let opened = envelope.open::<Attestation>(&keys, &role, name).ok()?;
        let (said, holders) = opened;
        let key = holders.into_iter().next()?.keyid;
        Some((peer, said, key))
    });
    let (peer, said, key) =
        signed.ok_or_else(|| refuse("is signed by no site that the policy lists".into()))?;
    if said.site != peer.id {
        return Err(refuse(format!(
            "is about the site {}, but {} has signed it",
            said.site, peer.name
        )));
    }
    if said.environment != peer.environment {
        return Err(refuse(format!(
            "says that {} is in {}, the policy knows it in {}",
            peer.name, said.environment, peer.environment
        )));
    }
    site.state()
        .check_issued(said.issued, ctx.now)
        .map_err(refuse)?;
    Ok(Checked {
        by: peer.name.clone(),
        key,
        said,
    })
}
