//! Which versions a release has: pins, what suites and platforms list, and the latest that everything allows.

use std::{collections::BTreeMap, path::Path};

use sealift_verifier::{
    path::Name,
    release::{Decision, Mode, Resolution},
};
use semver::Version;

use crate::{
    catalog::Catalog,
    definition::{Located, Wanted},
    problem::Problem,
};

/// What a release definition asks for.
pub(crate) struct Request<'a> {
    /// The release definition.
    pub(crate) definition: &'a Path,
    /// The product, which is what platforms are named after.
    pub(crate) product: &'a Name,
    /// The pin of the platform.
    pub(crate) platform: Option<&'a Located<Version>>,
    /// Pins of suites.
    pub(crate) suites: &'a [(Name, Located<Wanted>)],
    /// Pins of capabilities.
    pub(crate) capabilities: &'a [(Name, Located<Wanted>)],
    /// The mode; with none, nothing is left out and nothing stands in for another.
    pub(crate) mode: Option<Mode>,
    /// Versions that are taken where they are allowed, before any later ones: those of a lock.
    pub(crate) preferred: &'a BTreeMap<Name, Version>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// Platform, suites, and what was left out.
    pub(crate) resolution: Resolution,
    /// What is in the release.
    pub(crate) capabilities: BTreeMap<Name, (Version, Decision)>,
}

/// Decides on versions.
///
/// # Errors
/// Every reason why there is no answer, with the places of pins and definitions that have a part in it.
pub(crate) fn resolve(catalog: &Catalog, request: &Request<'_>) -> Result<Resolved, Vec<Problem>> {
    let _ = (catalog, request);
    Err(Vec::new())
}
