//! What people say of a release at a site: that they want it ([`Request`]), that it may be installed
//! ([`Approval`]), and that they take that back ([`Withdrawal`]); and what a customer says of it for all of its
//! sites ([`Countersignature`]).
//!
//! The first three name the site, the release digest and the plan digest, and are worth nothing for another.

use std::{fmt, str::FromStr};

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{digest::Digest, dsse::Statement, json, license::Environment, path::Name, time::Time};

/// The version of all three that this program reads and writes.
pub const FORMAT: u32 = 1;
/// Characters of a line for people.
const LINE: usize = 1000;
/// Lines for people.
const LINES: usize = 1000;

/// What exactly is requested and approved: a release at a site, in the place of what runs there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Subject {
    /// The id of the site.
    pub site: String,
    /// What the deployment is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// The product.
    pub product: Name,
    /// Its version, for people.
    pub version: Version,
    /// The release digest.
    pub release: Digest,
    /// The digest of the plan: of what [`Plan`] says.
    pub plan: Digest,
}

/// What of a plan is approved. Its digest is the plan digest: it changes when another release runs meanwhile, or
/// another policy holds, and then what was approved before counts nothing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plan {
    /// The id of the site.
    pub site: String,
    /// The digest of the release that would be installed.
    pub release: Digest,
    /// Its release counter.
    pub counter: u64,
    /// The digest of the release that runs.
    pub from: Option<Digest>,
    /// The number of the generation that it would become. It is used once: after going back, the same release becomes
    /// another generation, and has to be approved again.
    pub generation: u64,
    /// The digest of the site's policy.
    pub policy: Option<Digest>,
}

impl Plan {
    /// The plan digest.
    pub fn digest(&self) -> crate::Result<Digest> {
        Ok(Digest::of(&json::to_canonical(self)?))
    }
}

/// Somebody wants a release to be installed. The SHA-256 of the payload is the request's digest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Request {
    /// Always [`FORMAT`].
    pub format: u32,
    /// What is requested.
    pub subject: Subject,
    /// When.
    pub issued: Time,
    /// What has to be overridden for it. Sorted, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// Why, for those who decide.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What the plan says, a line each, for those who decide on a machine without the bundle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub summary: Vec<String>,
}

/// Somebody says that a release may be installed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Approval {
    /// Always [`FORMAT`].
    pub format: u32,
    /// The digest of the request.
    pub request: Digest,
    /// What is approved.
    pub subject: Subject,
    /// When.
    pub issued: Time,
    /// Until when it counts.
    pub expires: Time,
    /// What may be overridden for it. Sorted, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// Why, for whoever reads it later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Somebody takes back what they have approved.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Withdrawal {
    /// Always [`FORMAT`].
    pub format: u32,
    /// The digest of the request.
    pub request: Digest,
    /// What had been approved.
    pub subject: Subject,
    /// When.
    pub issued: Time,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A customer's own release keys say that a release may be installed at its sites, beside the vendor's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Countersignature {
    /// Always [`FORMAT`].
    pub format: u32,
    /// The product.
    pub product: Name,
    /// Its version, for people.
    pub version: Version,
    /// The release digest.
    pub release: Digest,
    /// When.
    pub issued: Time,
}

/// A rule of the site that people may set aside for one release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Override {
    /// Something has expired, but only by the local clock.
    Clock,
    /// The channel is frozen.
    Frozen,
    /// No maintenance window is open.
    Window,
}

impl Override {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Clock, Self::Frozen, Self::Window];

    /// As people and statements write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Frozen => "frozen",
            Self::Window => "window",
        }
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Override {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|o| o.name() == text);
        found.ok_or("is none of clock, frozen, window")
    }
}

impl Statement for Request {
    const TYPE: &'static str = "application/vnd.sealift.request+json";
    const FORMAT: u32 = FORMAT;

    fn format(&self) -> u32 {
        self.format
    }

    fn check(&self) -> Result<(), String> {
        lines(&self.summary)?;
        text(&self.reason, &self.overrides)
    }
}

impl Statement for Approval {
    const TYPE: &'static str = "application/vnd.sealift.approval+json";
    const FORMAT: u32 = FORMAT;

    fn format(&self) -> u32 {
        self.format
    }

    fn check(&self) -> Result<(), String> {
        if self.expires <= self.issued {
            return Err("it expires before it was issued".into());
        }
        text(&self.reason, &self.overrides)
    }
}

impl Statement for Withdrawal {
    const TYPE: &'static str = "application/vnd.sealift.withdrawal+json";
    const FORMAT: u32 = FORMAT;

    fn format(&self) -> u32 {
        self.format
    }

    fn check(&self) -> Result<(), String> {
        text(&self.reason, &[])
    }
}

impl Statement for Countersignature {
    const TYPE: &'static str = "application/vnd.sealift.countersignature+json";
    const FORMAT: u32 = FORMAT;

    fn format(&self) -> u32 {
        self.format
    }

    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

fn text(reason: &str, overrides: &[Override]) -> Result<(), String> {
    lines(std::slice::from_ref(&reason.to_owned()))?;
    if overrides.is_sorted_by(|a, b| a < b) {
        return Ok(());
    }
    Err("what is overridden is not sorted, or there twice".into())
}

fn lines(lines: &[String]) -> Result<(), String> {
    let long = |line: &String| line.chars().count() > LINE || line.chars().any(char::is_control);
    if lines.len() > LINES || lines.iter().any(long) {
        return Err(format!(
            "it has more than {LINES} lines for people, or one that is longer than {LINE} characters or no line"
        ));
    }
    Ok(())
}
