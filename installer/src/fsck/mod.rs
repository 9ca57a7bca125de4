//! The full check of a site, and its repair from a bundle.

mod check;
mod repair;

use std::fs::File;

use sealift_verifier::{
    bundle::{Authentic, Bundle, Trust},
    time::Time,
};

use check::Findings;

use crate::{
    audit::{Action, Entry, Outcome},
    error::Result,
    site::{Context, Ready},
};

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Generations that were checked.
    pub generations: u64,
    /// Files of blobs that were hashed.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What was found damaged and is not any more.
    pub repaired: Vec<Problem>,
    /// What is damaged.
    pub problems: Vec<Problem>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Problem {
    /// Where, below the state folder.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Re-hashes all blobs and compares every generation, `current` and the trusted metadata with what the
/// state says. With a bundle, given with its name for errors, what is damaged and in it is replaced.
pub fn fsck(site: &Ready<'_>, from: Option<(File, &str)>, ctx: &Context<'_>) -> Result<Report> {
    let found = check::check(site, ctx)?;
    let Some((file, name)) = from else {
        return Ok(found.report());
    };
    // A bundle of a kept generation may be older than the newest release, and expired by now. That does not
    // matter here: what is taken from it has to have the digests that the state already names.
    // So the first root is asked; where it is lost, the newest one does for bundles since.
    let newest = site.state().trust.root;
    let root = site.first_root().or_else(|_| site.trusted_root(newest))?;
    let trust = Trust::from_root(root);
    let authentic = Bundle::open(file, name)?.verify(&trust, Time::from_unix(0)?, &mut |_| {})?;
    let first = found.report();
    if found.problems.is_empty() {
        return Ok(first);
    }
    let list: Vec<_> = first.problems.iter().map(|p| p.path.as_str()).collect();
    let entry = Entry::new(Action::FsckRepair)
        .about(name)
        .release(&authentic.release().version, authentic.release_digest());
    let what = format!("damaged: {}", list.join(", "));
    let intent = site.intend(
        Entry {
            reason: what,
            ..entry
        },
        ctx,
    )?;
    let result = mend(site, found, &authentic, ctx);
    let (outcome, reason) = Outcome::of(&result);
    site.conclude(intent, outcome, &reason, ctx);
    let mut report = result?.report();
    report.repaired = first.problems;
    report
        .repaired
        .retain(|problem| !report.problems.contains(problem));
    Ok(report)
}

/// Repairs until nothing more can be.
fn mend(
    site: &Ready<'_>,
    mut found: Findings,
    authentic: &Authentic,
    ctx: &Context<'_>,
) -> Result<Findings> {
    // Damage can hide behind damage: what a lost tree lists is known only when the tree is back.
    while !found.problems.is_empty() {
        repair::repair(site, &found, authentic, ctx)?;
        let next = check::check(site, ctx)?;
        let same = next.problems == found.problems;
        found = next;
        if same {
            break;
        }
    }
    Ok(found)
}
