//! The three kinds of keys that people deal with, and where a root lists them.

use std::fmt;

use sealift_verifier::tuf::{Role, RoleName, Root};
use serde::Serialize;

/// What a key is for. A key serves one of these only, so that a stolen one costs no more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum KeyRole {
    /// Signs roots; kept offline.
    Root,
    /// Signs releases: TUF's targets, snapshot and timestamp, all three.
    Release,
    /// Signs licenses.
    License,
    /// Signs the policies of sites, in the root of a customer.
    Policy,
}

impl KeyRole {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Root, Self::Release, Self::License, Self::Policy];

    /// The name that people write.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Release => "release",
            Self::License => "license",
            Self::Policy => "policy",
        }
    }

    /// TUF's roles behind it; none for licenses and policies, which TUF has no role for.
    const fn tuf(self) -> &'static [RoleName] {
        match self {
            Self::Root => &[RoleName::Root],
            Self::Release => &[RoleName::Targets, RoleName::Snapshot, RoleName::Timestamp],
            Self::License | Self::Policy => &[],
        }
    }

    /// The entries of `root` for this role: one, for releases three, or none.
    pub fn entries(self, root: &Root) -> Vec<&Role> {
        let extra = root.sealift.as_ref();
        match self {
            Self::License => extra.and_then(|s| s.license.as_ref()).into_iter().collect(),
            Self::Policy => extra.and_then(|s| s.policy.as_ref()).into_iter().collect(),
            Self::Root | Self::Release => self
                .tuf()
                .iter()
                .filter_map(|role| root.role(*role).ok())
                .collect(),
        }
    }

    /// The same, to change them. A root without keys for what TUF has no role for gets an empty entry for it.
    pub(super) fn entries_mut(self, root: &mut Root) -> Vec<&mut Role> {
        let extra = match self {
            Self::License => Some(&mut root.sealift.get_or_insert_default().license),
            Self::Policy => Some(&mut root.sealift.get_or_insert_default().policy),
            Self::Root | Self::Release => None,
        };
        if let Some(extra) = extra {
            return vec![extra.get_or_insert_with(|| Role {
                keyids: Vec::new(),
                threshold: 1,
            })];
        }
        let names = self.tuf();
        let entries = root.roles.iter_mut();
        entries
            .filter(|(name, _)| names.iter().any(|role| role.name() == name.as_str()))
            .map(|(_, role)| role)
            .collect()
    }

    /// Whether `root` lists the key for this role.
    pub fn lists(self, root: &Root, keyid: &str) -> bool {
        self.entries(root)
            .iter()
            .any(|role| role.keyids.iter().any(|id| id == keyid))
    }
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
