//! Licenses: what a vendor grants a customer, as one signed payload, and whether licenses cover a release.
//!
//! Nothing of a license counts without the rest: entitlements, limits and dates are signed together, by the keys
//! that the root lists for licenses and for nothing else.

mod cover;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

pub use cover::{Denial, Question, Reason, check, expiring};

use crate::{
    dsse::{Envelope, Statement},
    error::{Code, Error, Result},
    path::Name,
    release::Mode,
    time::Time,
    tuf::{KeyHolder, Root},
};

/// The version of licenses that this program reads and writes.
pub const FORMAT: u32 = 1;
/// Characters of an id or of a customer's name.
const TEXT: usize = 200;
/// Longest grace, in days.
const GRACE_DAYS: u32 = 366;

/// A grant to use a product. Dates are inclusive at their beginning and exclusive at their end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct License {
    /// Always [`FORMAT`].
    pub format: u32,
    /// The vendor's name for it. A later one with the same id replaces it.
    pub id: String,
    /// Whom it is for, for people.
    pub customer: String,
    /// The product.
    pub product: Name,
    /// When it was issued: signed, so a site's lower bound of time may rise to it.
    pub issued: Time,
    /// From when on it counts.
    pub valid_from: Time,
    /// Until when it counts; with none, for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Time>,
    /// Releases published from then on are not covered (the maintenance date); with none, all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updates_until: Option<Time>,
    /// Days after `valid-until` in which it still counts, with a warning.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub grace_days: u32,
    /// What it grants.
    pub entitlements: Entitlements,
    /// How much of it.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// The environments that it counts in; with none, all. Sorted, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<Environment>,
    /// The modes that it counts in; with none, all. Sorted, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modes: Vec<Mode>,
    /// The ids of the sites that it counts at; with none, everywhere. Sorted, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<String>,
}

/// What a license grants. What is not named is not granted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Entitlements {
    /// Every suite and capability of the product, present and future.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Suites, with all capabilities in them. Sorted, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suites: Vec<Name>,
    /// Single capabilities. Sorted, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Name>,
    /// Features, which capabilities ask for as their `entitlements`, and programs may read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub features: BTreeMap<String, Feature>,
}

/// The value of a feature.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Feature {
    /// It is on or off.
    Flag(bool),
    /// How much of it.
    Number(i64),
    /// Which of it.
    Text(String),
}

impl Feature {
    /// Whether a capability that asks for the feature gets it: not if it is off, and not if there is none of it.
    pub fn is_granted(&self) -> bool {
        match self {
            Self::Flag(on) => *on,
            Self::Number(number) => *number > 0,
            Self::Text(text) => !text.is_empty(),
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(on) => on.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

impl FromStr for Feature {
    type Err = std::convert::Infallible;

    /// `true` and `false` are flags, whole numbers are numbers, everything else is a text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match (text.parse(), text.parse()) {
            (Ok(on), _) => Self::Flag(on),
            (_, Ok(number)) => Self::Number(number),
            _ => Self::Text(text.to_owned()),
        })
    }
}

/// How much a license grants; what is absent has no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Machines of one deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<u64>,
    /// Deployments of the product at one site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployments: Option<u64>,
}

impl Limits {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a deployment is for (EAIP 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Environment {
    /// Development.
    Dev,
    /// Tests.
    Qa,
    /// The last step before production.
    Staging,
    /// Production.
    Prod,
}

impl Environment {
    /// Every environment, in the order of promotion.
    pub const ALL: [Self; 4] = [Self::Dev, Self::Qa, Self::Staging, Self::Prod];

    /// As policies and licenses write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Qa => "qa",
            Self::Staging => "staging",
            Self::Prod => "prod",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Environment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|e| e.name() == text);
        found.ok_or("is none of dev, qa, staging, prod")
    }
}

impl Statement for License {
    const TYPE: &'static str = "application/vnd.sealift.license+json";
    const FORMAT: u32 = FORMAT;

    fn format(&self) -> u32 {
        self.format
    }

    fn check(&self) -> Result<(), String> {
        for (what, text) in [("id", &self.id), ("customer", &self.customer)] {
            if text.is_empty() || text.chars().count() > TEXT || text.chars().any(char::is_control)
            {
                return Err(format!(
                    "its {what} is not one line of 1 to {TEXT} characters"
                ));
            }
        }
        let after = |time: Option<Time>| time.is_none_or(|time| time > self.valid_from);
        if !after(self.valid_until) {
            return Err("it ends before it begins".into());
        }
        if self.grace_days > GRACE_DAYS {
            return Err(format!("its grace is longer than {GRACE_DAYS} days"));
        }
        let granted = &self.entitlements;
        if !granted.all && granted.suites.is_empty() && granted.capabilities.is_empty() {
            return Err("it grants no suite and no capability".into());
        }
        let sorted = granted.suites.is_sorted_by(|a, b| a < b)
            && granted.capabilities.is_sorted_by(|a, b| a < b)
            && self.environments.is_sorted_by(|a, b| a < b)
            && self.modes.is_sorted_by(|a, b| a < b)
            && self.sites.is_sorted_by(|a, b| a < b);
        if !sorted {
            return Err("one of its lists is not sorted, or has something twice".into());
        }
        Ok(())
    }
}

impl License {
    /// Reads an envelope with a license that the keys of `root` for licenses have signed, as many as it takes;
    /// `subject` names it in errors.
    pub fn open(bytes: &[u8], root: &Root, subject: &str) -> Result<(Self, Vec<KeyHolder>)> {
        let roles = root.sealift.as_ref();
        let role = roles
            .and_then(|roles| roles.license.as_ref())
            .ok_or_else(|| {
                let detail = format!("root {} lists no keys for licenses", root.version);
                Error::new(Code::KeyUnknown, subject, detail)
            })?;
        Envelope::parse(bytes, subject)?.open(&root.keys, role, subject)
    }

    /// The end of the grace after `valid-until`.
    pub fn grace_until(&self) -> Option<Time> {
        let seconds = i64::from(self.grace_days).saturating_mul(24 * 60 * 60);
        let until = self.valid_until?;
        Some(Time::from_unix(until.unix().saturating_add(seconds)).unwrap_or(until))
    }

    fn grants(&self, capability: &Name) -> bool {
        let granted = &self.entitlements;
        let below = |suite: &Name| {
            let rest = capability.as_str().strip_prefix(suite.as_str());
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        granted.all || granted.suites.iter().any(below) || granted.capabilities.contains(capability)
    }
}

/// Sorted, each once: the form that lists of a license have.
pub fn sorted<T: Ord>(list: impl IntoIterator<Item = T>) -> Vec<T> {
    list.into_iter()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands fields by reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests;
