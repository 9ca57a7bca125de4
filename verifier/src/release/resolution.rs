//! Why a release has these versions: what the resolution decided, for people to read later.

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::path::Name;

/// What a release was resolved from, beside its capabilities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Resolution {
    /// The platform release that was pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformRef>,
    /// The suite releases that were used. Sorted by name, each name once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suites: Vec<SuiteRef>,
    /// What was listed, but may not run in the mode of the release. Sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

impl Resolution {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A platform release.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PlatformRef {
    /// Its version.
    pub version: Version,
}

/// A suite release.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SuiteRef {
    /// The suite.
    pub name: Name,
    /// Its version.
    pub version: Version,
    /// [`Rule::Suite`] if the suite was pinned, [`Rule::Platform`] if the platform lists it, else
    /// [`Rule::Latest`].
    pub rule: Rule,
}

/// A capability that is not in the release.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LeftOut {
    /// The capability.
    pub name: Name,
    /// The capability that stands in for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub substitute: Option<Name>,
}

/// Why a capability is in the release, and in this version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Decision {
    /// What decided the version.
    pub rule: Rule,
    /// The suite release that lists it, such as `core 1.2.0`, for [`Rule::Suite`] and [`Rule::Platform`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// The capabilities that require it, such as `web/shop 1.2.0`. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_by: Vec<String>,
    /// The capabilities that it stands in for in the mode of the release. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub substitutes: Vec<Name>,
}

/// What decides a version: the closest pin does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The release definition pins the capability.
    Capability,
    /// The release definition pins the suite that lists it.
    Suite,
    /// The release definition pins the platform that lists its suite.
    Platform,
    /// It is the latest that everything allows.
    Latest,
}

impl Rule {
    /// As locks and manifests write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Capability => "capability",
            Self::Suite => "suite",
            Self::Platform => "platform",
            Self::Latest => "latest",
        }
    }
}
