//! Whether the release has run well where it had to first (EAIP 6.2).

use std::collections::BTreeSet;

use sealift_verifier::promotion::Attestation;

use super::{Case, Rules};
use crate::{
    error::{Code, Result},
    policy::rules::{self, Peer, Promotion},
    statements::{self, Kind},
};

const RULE: &str = "promotion";

/// Other sites have said of the release what the policy wants.
pub(super) fn promotion(case: &Case<'_>, rules: &mut Rules) -> Result<()> {
    let policy = &case.policy.rules;
    if policy.promotion.is_empty() {
        rules.pass(RULE, "no word of other sites is asked for");
        return Ok(());
    }
    let said = attestations(case)?;
    for wanted in &policy.promotion {
        judge(wanted, &said, case, rules);
    }
    Ok(())
}

/// What known sites have said of this release, each by whom.
fn attestations<'a>(case: &Case<'a>) -> Result<Vec<(&'a Peer, Attestation)>> {
    let release = case.authentic.release_digest();
    let mut said = Vec::new();
    for kept in statements::list(case.site, Kind::Attestation)? {
        for peer in &case.policy.rules.sites {
            let (keys, role) = rules::keys(std::iter::once(&peer.key));
            let opened = kept
                .envelope
                .open::<Attestation>(&keys, &role, "attestation");
            // A site speaks for itself only, in the environment that the policy knows it in.
            let counts = opened.ok().filter(|(said, _)| {
                said.release == release
                    && said.site == peer.id
                    && said.environment == peer.environment
            });
            said.extend(counts.map(|(attestation, _)| (peer, attestation)));
        }
    }
    // The last word of a site counts: what ran well may do so no more.
    said.sort_by_key(|(peer, attestation)| {
        (peer.name.as_str(), std::cmp::Reverse(attestation.issued))
    });
    said.dedup_by_key(|(peer, _)| peer.name.as_str());
    Ok(said)
}

fn judge(wanted: &Promotion, said: &[(&Peer, Attestation)], case: &Case<'_>, rules: &mut Rules) {
    let environment = wanted.environment;
    let mut counting = BTreeSet::new();
    let mut short = Vec::new();
    for (peer, attestation) in said
        .iter()
        .filter(|(peer, _)| peer.environment == environment)
    {
        match lacking(wanted, attestation, case) {
            None => drop(counting.insert(peer.name.as_str())),
            Some(why) => short.push(format!("{}: {why}", peer.name)),
        }
    }
    let names: Vec<&str> = counting.iter().copied().collect();
    if counting.len() >= wanted.sites {
        return rules.pass(
            RULE,
            format!("ran well in {environment}, at {}", names.join(", ")),
        );
    }
    let mut detail = format!(
        "{} of {} sites in {environment} have attested that it runs well there",
        counting.len(),
        wanted.sites
    );
    if !short.is_empty() {
        detail = format!("{detail}; {}", short.join("; "));
    }
    rules.deny(RULE, Code::PromotionMissing, detail);
}

/// What an attestation lacks of what is wanted.
fn lacking(wanted: &Promotion, said: &Attestation, case: &Case<'_>) -> Option<String> {
    let age = case.at.unix().saturating_sub(said.issued.unix());
    let ran = i64::try_from(said.duration()).unwrap_or(i64::MAX);
    let failed: Vec<&str> = said
        .checks
        .iter()
        .filter(|c| !c.passed)
        .map(|c| c.name.as_str())
        .collect();
    let passed = |name: &String| said.checks.iter().any(|c| c.passed && c.name == *name);
    let missing: Vec<&str> = wanted
        .checks
        .iter()
        .filter(|name| !passed(name))
        .map(String::as_str)
        .collect();
    if age > wanted.max_age.seconds() {
        Some(format!(
            "said {}, longer ago than {}",
            said.issued, wanted.max_age
        ))
    } else if ran < wanted.min_duration.seconds() {
        Some(format!("ran for less than {}", wanted.min_duration))
    } else if !failed.is_empty() {
        Some(format!("failed {}", failed.join(", ")))
    } else if !missing.is_empty() {
        Some(format!("did not check {}", missing.join(", ")))
    } else if wanted.rollback_ready && !said.rollback_ready {
        Some("had no way back".into())
    } else {
        None
    }
}
