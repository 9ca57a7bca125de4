//! What a site says of a release that ran well there, so that the next environment may take it (EAIP 6.2).

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{digest::Digest, dsse::Statement, license::Environment, path::Name, time::Time};

/// The version of attestations that this program reads and writes.
pub const FORMAT: u32 = 1;
/// Checks of one attestation.
const CHECKS: usize = 10_000;
/// Characters of a check's name.
const NAME: usize = 200;

/// A site attests that a release was committed there, how long it has run, what was checked, and whether there is
/// a way back from it. Signed by the site's key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Attestation {
    /// Always [`FORMAT`].
    pub format: u32,
    /// The id of the site.
    pub site: String,
    /// What its deployment is for.
    pub environment: Environment,
    /// The product.
    pub product: Name,
    /// Its version, for people.
    pub version: Version,
    /// The release digest.
    pub release: Digest,
    /// When the release was committed there, by that site's clock.
    pub committed: Time,
    /// When this was said, by that site's clock.
    pub issued: Time,
    /// What was checked at that time. Sorted by name, each once.
    pub checks: Vec<Check>,
    /// Whether the site could have gone back to the release before.
    pub rollback_ready: bool,
    /// The release that it would have gone back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_to: Option<Version>,
}

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Check {
    /// What it is called: `CAPABILITY: NAME` for a health check of the release.
    pub name: String,
    /// Whether it was passed.
    pub passed: bool,
}

impl Attestation {
    /// Seconds between the commit and this statement.
    pub fn duration(&self) -> u64 {
        let seconds = self.issued.unix().saturating_sub(self.committed.unix());
        u64::try_from(seconds).unwrap_or(0)
    }
}

impl Statement for Attestation {
    const TYPE: &'static str = "application/vnd.sealift.promotion+json";
    const FORMAT: u32 = FORMAT;

    fn format(&self) -> u32 {
        self.format
    }

    fn check(&self) -> Result<(), String> {
        let bad = |check: &Check| {
            check.name.chars().count() > NAME || check.name.chars().any(char::is_control)
        };
        if self.checks.len() > CHECKS || self.checks.iter().any(bad) {
            return Err(format!(
                "it has more than {CHECKS} checks, or one with a name that is no name"
            ));
        }
        if !self.checks.is_sorted_by(|a, b| a.name < b.name) {
            return Err("its checks are not sorted by name, each once".into());
        }
        if self.issued < self.committed {
            return Err("it was issued before the release was committed".into());
        }
        Ok(())
    }
}
