//! The Update Framework (TUF specification 1.0.x) without delegations: who may sign what, in which
//! version, until when. The same code serves bundles and repositories.
//!
//! [`signed`] reads an envelope, [`threshold`] counts its signatures, [`metadata`] says what each role
//! states, [`trusted`] is the client workflow as a state machine over bytes, and [`client`] drives it with
//! a repository.

pub mod client;
pub mod metadata;
pub mod signed;
pub mod threshold;
pub mod trusted;

pub use metadata::{
    Key, Keyval, MetaFile, RevokedRelease, Role, Root, SealiftRoles, Snapshot, Target, Targets,
    Timestamp,
};
pub use signed::{Signature, Signed};
pub use threshold::{ED25519, KeyHolder, Scheme, verify_threshold, verify_together};
pub use trusted::TrustedSet;

/// The four roles that every repository has (TUF 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RoleName {
    /// Who may sign for each role.
    Root,
    /// Which snapshot is the newest.
    Timestamp,
    /// Which versions belong together.
    Snapshot,
    /// Lengths and digests of files.
    Targets,
}

impl RoleName {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Root, Self::Timestamp, Self::Snapshot, Self::Targets];

    /// The name that metadata uses, also its `_type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Timestamp => "timestamp",
            Self::Snapshot => "snapshot",
            Self::Targets => "targets",
        }
    }
}

impl std::fmt::Display for RoleName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
