//! Which versions a release has: pins, what suites and platforms list, and the latest that everything allows.
//!
//! A catalog and a [`Request`] become a [`space`] of packages and versions that the solver (`PubGrub`)
//! decides on. What it decided becomes a [`Resolved`] in [`outcome`]; why it could not becomes problems that
//! people can act on in [`explain`].

mod explain;
mod outcome;
mod positions;
mod requirement;
mod space;

use std::{collections::BTreeMap, path::Path};

use pubgrub::{PubGrubError, SelectedDependencies};
use sealift_verifier::{
    path::Name,
    release::{Decision, Mode, Resolution},
};
use semver::Version;

pub(crate) use self::requirement::meets;
use self::{
    explain::Explanation,
    positions::Position,
    space::{Package, Space},
};
use crate::{
    catalog::{Catalog, Entry},
    definition::{Listing, Located, Wanted},
    error::Code,
    problem::{Place, Problem},
};

/// Problems that are looked for before any is told.
const PROBLEMS: usize = 50;

/// What a release definition asks for.
pub(crate) struct Request<'a> {
    /// The release definition.
    pub(crate) definition: &'a Path,
    /// The product, which is what platforms are named after.
    pub(crate) product: Option<&'a Name>,
    /// The pin of the platform.
    pub(crate) platform: Option<&'a Located<Version>>,
    /// Pins of suites.
    pub(crate) suites: &'a [(Name, Located<Wanted>)],
    /// Pins of capabilities.
    pub(crate) capabilities: &'a [(Name, Located<Wanted>)],
    /// The mode; with none, nothing is left out and nothing stands in for another.
    pub(crate) mode: Option<Mode>,
    /// Versions that are taken where they are allowed, before any later ones.
    pub(crate) preferred: &'a Preferred,
}

impl<'a> Request<'a> {
    /// The platform release that is pinned, if the catalog has it.
    fn platform_of(&self, catalog: &'a Catalog) -> Option<&'a Entry<Listing>> {
        let (product, version) = self.product.zip(self.platform)?;
        catalog.platforms.get(product)?.get(&version.value)
    }
}

/// The versions of a lock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Preferred {
    pub(crate) suites: BTreeMap<Name, Version>,
    pub(crate) capabilities: BTreeMap<Name, Version>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// Platform, suites, and what was left out.
    pub(crate) resolution: Resolution,
    /// What is in the release.
    pub(crate) capabilities: BTreeMap<Name, (Version, Decision)>,
    /// What is not, because another capability stands in for it: in the version that says so.
    pub(crate) replaced: BTreeMap<Name, Version>,
}

/// What the solver decided: the position of each package's version.
type Solution<'a> = SelectedDependencies<Package<'a>, Position>;

/// Decides on versions.
///
/// # Errors
/// Every reason why there is no answer, with the places of pins and definitions that have a part in it. Two
/// reasons that nothing connects are found in one go.
pub(crate) fn resolve(catalog: &Catalog, request: &Request<'_>) -> Result<Resolved, Vec<Problem>> {
    let mut space = Space::new(catalog, request);
    let mut problems: Vec<Problem> = missing_platform(catalog, request).into_iter().collect();
    loop {
        space.rounds.set(0);
        match pubgrub::resolve(&space, Package::Root, 0_u32) {
            Ok(solution) if problems.is_empty() => {
                let unnamed = outcome::unnamed(&space, &solution);
                if unnamed.is_empty() {
                    return outcome::of(&space, &solution);
                }
                // Their suites were not chosen in the releases that name them.
                space.named.retain(|named| !unnamed.contains(named));
            }
            Ok(_) => return Err(problems),
            Err(PubGrubError::NoSolution(tree)) => {
                let explanation = Explanation::of(&space, &tree);
                let asks = explanation.asks();
                problems.push(explanation.problem());
                // What remains when everything that led here is gone may be impossible too.
                if asks.is_empty() || problems.len() == PROBLEMS {
                    return Err(problems);
                }
                space.ignored.extend(asks);
            }
            Err(error) => {
                let at = Place::of_file(request.definition);
                let problem = Problem::new(&at, Code::Unresolvable, error.to_string());
                problems.push(
                    problem
                        .with_hint("pin more capabilities, so that there is less to choose from"),
                );
                return Err(problems);
            }
        }
    }
}

/// A pin of a platform release that is not there.
fn missing_platform(catalog: &Catalog, request: &Request<'_>) -> Option<Problem> {
    let (product, pin) = request.product.zip(request.platform)?;
    if request.platform_of(catalog).is_some() {
        return None;
    }
    let Some(releases) = catalog.platforms.get(product) else {
        let message = format!("the catalog has no platform {product}");
        let problem = Problem::new(&pin.at, Code::PlatformUnknown, message);
        return Some(problem.with_hint(format!(
            "add platforms/{product}/{}/platform.toml to the catalog; platforms are named after the product",
            pin.value
        )));
    };
    let message = format!("platform {product} has no release {}", pin.value);
    let problem = Problem::new(&pin.at, Code::VersionMissing, message);
    Some(problem.with_hint(format!("there are {}", explain::newest(releases.keys()))))
}

#[cfg(test)]
mod tests;
