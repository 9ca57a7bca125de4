//! Sealift at the site: installs releases from bundles, upgrades, survives bad ones and goes back.
//!
//! The way of a release: [`admit::verify`] makes a file an authentic bundle, [`admit::admit`] holds it
//! against the site's rules, [`apply::stage`] puts its generation together beside what runs, and
//! [`apply::Staged::activate`] makes it current, watches it, and commits it or goes back. [`site`] is where
//! all of that happens, [`disk`] the only module that changes the file system, [`recover`] what makes a
//! site whole again after a crash anywhere.

mod activate;
pub mod admission;
pub mod admit;
pub mod apply;
pub mod approvals;
pub mod attestation;
pub mod audit;
pub mod cli;
pub mod countersignatures;
pub mod disk;
pub mod error;
pub mod export;
pub mod facts;
pub mod fsck;
pub mod generation;
pub mod health;
pub mod init;
pub mod journal;
pub mod licenses;
pub mod lock;
pub mod machine;
pub mod notices;
pub mod pins;
pub mod plan;
pub mod policy;
pub mod process;
pub mod prune;
pub mod recover;
pub mod rego;
pub mod report;
pub mod reserve;
pub mod revoked;
pub mod rollback;
pub mod sbom;
pub mod site;
pub mod site_key;
pub mod state;
pub mod statements;
pub mod store;
#[cfg(test)]
mod tests;
pub mod trust;
pub mod twice;
pub mod watch;
pub mod way_back;

pub use error::{Code, Error, Result};
