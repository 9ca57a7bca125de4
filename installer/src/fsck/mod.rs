//! The full check of a site, and its repair from a bundle.

mod check;
mod repair;

use std::fs::File;

use sealift_verifier::{
    bundle::{Bundle, Trust},
    time::Time,
};

use crate::{
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
    let mut found = check::check(site, ctx)?;
    let Some((file, name)) = from else {
        return Ok(found.report());
    };
    // A bundle of a kept generation may be older than the newest release, and expired by now. That does not
    // matter here: what is taken from it has to have the digests that the state already names.
    let trust = Trust::from_root(site.first_root()?);
    let authentic = Bundle::open(file, name)?.verify(&trust, Time::from_unix(0)?, &mut |_| {})?;
    let first = found.report();
    // Damage can hide behind damage: what a lost tree lists is known only when the tree is back.
    while !found.problems.is_empty() {
        repair::repair(site, &found, &authentic, ctx)?;
        let next = check::check(site, ctx)?;
        let same = next.problems == found.problems;
        found = next;
        if same {
            break;
        }
    }
    let mut report = found.report();
    report.repaired = first.problems;
    report
        .repaired
        .retain(|problem| !report.problems.contains(problem));
    Ok(report)
}
