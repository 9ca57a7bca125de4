//! Why a release has these versions: what the resolution decided, for people to read later.

use semver::{Version, VersionReq};
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
    /// [`Rule::Suite`] if this very version was pinned, [`Rule::Platform`] if the platform lists it, else
    /// [`Rule::Latest`].
    pub rule: Rule,
    /// What the release definition or the platform says instead of one version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
}

impl SuiteRef {
    /// What decided, in a few words for people.
    pub fn reason(&self) -> String {
        match (self.rule, &self.range) {
            (Rule::Suite, _) => "pinned".to_owned(),
            (Rule::Latest, Some(range)) if range.of == Rule::Platform => range.told("the platform"),
            (Rule::Latest, Some(range)) => range.told(RELEASE),
            (rule, _) => rule.name().to_owned(),
        }
    }
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
    /// The suite release that lists it, such as `core 1.2.0`, where that had a part in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// What the release definition or that suite release says instead of one version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// The capabilities that require it, such as `web/shop 1.2.0`. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_by: Vec<String>,
    /// The capabilities that it stands in for in the mode of the release. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub substitutes: Vec<Name>,
    /// Why the version was withdrawn, if a pin has it in the release all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yanked: Option<String>,
}

impl Decision {
    /// What decided, in a few words for people.
    pub fn reason(&self) -> String {
        match (self.rule, &self.suite, &self.range) {
            (Rule::Capability, ..) => match &self.yanked {
                Some(reason) => format!("pinned, although withdrawn: {reason}"),
                None => "pinned".to_owned(),
            },
            (Rule::Latest, Some(suite), Some(range)) => range.told(&format!("suite {suite}")),
            (Rule::Latest, None, Some(range)) => range.told(RELEASE),
            (rule, Some(suite), _) => format!("{} {suite}", rule.name()),
            (rule, None, _) => rule.name().to_owned(),
        }
    }
}

/// Who says what is asked for from the outside.
const RELEASE: &str = "the release definition";

/// What is said of a version where no single one is named: the latest that everything allows decides.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Range {
    /// What had decided, had it been a single version.
    pub of: Rule,
    /// The versions that it allows.
    pub allows: VersionReq,
}

impl Range {
    fn told(&self, who: &str) -> String {
        format!("latest that \"{}\" in {who} allows", self.allows)
    }
}

/// What decides a version: the closest pin does. Only a single version is a pin, never a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The release definition pins the capability.
    Capability,
    /// The release definition asks for the suite that lists this very version.
    Suite,
    /// The release definition pins the platform that comes with the suite that lists this very version.
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
