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
}

impl KeyRole {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Root, Self::Release, Self::License];

    /// The name that people write.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Release => "release",
            Self::License => "license",
        }
    }

    /// TUF's roles behind it; none for licenses, which TUF has no role for.
    const fn tuf(self) -> &'static [RoleName] {
        match self {
            Self::Root => &[RoleName::Root],
            Self::Release => &[RoleName::Targets, RoleName::Snapshot, RoleName::Timestamp],
            Self::License => &[],
        }
    }

    /// The entries of `root` for this role: one, for releases three, or none.
    pub fn entries(self, root: &Root) -> Vec<&Role> {
        let license = root.sealift.as_ref().and_then(|s| s.license.as_ref());
        match self {
            Self::License => license.into_iter().collect(),
            _ => self
                .tuf()
                .iter()
                .filter_map(|role| root.role(*role).ok())
                .collect(),
        }
    }

    /// The same, to change them. A root without keys for licenses gets an empty entry for them.
    pub(super) fn entries_mut(self, root: &mut Root) -> Vec<&mut Role> {
        if self == Self::License {
            let license = &mut root.sealift.get_or_insert_default().license;
            return vec![license.get_or_insert_with(|| Role {
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
