//! One change, and how far it reaches.

use std::fmt;

use sealift_verifier::{error::printable, path::Name, release::ReleaseType};
use serde::Serialize;

/// How far a change reaches. Ordered: each reaches further than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Nothing behaves otherwise, but for what was wrong.
    Fix,
    /// Something new; whatever worked still does.
    Feature,
    /// Something that worked may not any more.
    Breaking,
}

impl Class {
    /// The least release type that may bring it.
    pub fn least_type(self) -> ReleaseType {
        match self {
            Self::Fix => ReleaseType::Patch,
            Self::Feature => ReleaseType::Minor,
            Self::Breaking => ReleaseType::Major,
        }
    }

    /// As reports write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fix => "fix",
            Self::Feature => "feature",
            Self::Breaking => "breaking",
        }
    }
}

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum What {
    /// The product itself.
    Product,
    /// The modes that the release is for.
    Mode,
    /// The platforms that images are built for.
    Platforms,
    /// What the release needs of the machine.
    Hardware,
    /// Whether it takes a license.
    License,
    /// What a license has to grant.
    Entitlement,
    /// The versions that may be upgraded.
    UpgradeFrom,
    /// The version that a site never goes below again.
    SecurityFloor,
    /// A capability that is only in the new release.
    CapabilityAdded,
    /// A capability that is only in the old release.
    CapabilityRemoved,
    /// A capability that another stands in for in the mode of the new release.
    CapabilityReplaced,
    /// The version of a capability.
    CapabilityVersion,
    /// A version of a capability that is lower than it was.
    CapabilityDowngraded,
    /// Other content of a capability in the same version.
    CapabilityContent,
    /// What a capability is.
    Kind,
    /// What may be configured.
    Configuration,
    /// A value that stands in where a site says nothing.
    Default,
    /// A change of data.
    Migration,
    /// What is asked after activation.
    Health,
}

/// One thing that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Change {
    /// The capability, unless it concerns the whole release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capability: Option<Name>,
    /// What it is about.
    pub what: What,
    /// How far it reaches.
    pub class: Class,
    /// A sentence for people.
    pub message: String,
}

impl Change {
    pub(super) fn of_release(what: What, class: Class, message: impl Into<String>) -> Self {
        Self {
            capability: None,
            what,
            class,
            // It may quote what a definition or a schema says.
            message: printable(&message.into()),
        }
    }

    pub(super) fn of(name: &Name, what: What, class: Class, message: impl Into<String>) -> Self {
        Self {
            capability: Some(name.clone()),
            ..Self::of_release(what, class, message)
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.capability {
            Some(name) => write!(f, "{name}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}
