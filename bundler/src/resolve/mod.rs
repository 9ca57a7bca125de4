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

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use pubgrub::{PubGrubError, SelectedDependencies};
use sealift_verifier::{
    path::Name,
    release::{Decision, Mode, Resolution},
};
use semver::Version;

pub(crate) use self::requirement::{is, meets};
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
    /// What could not be read.
    pub(crate) doubt: &'a Doubt,
}

/// What definitions say that could not be read, and has problems of its own: what seems to follow from its not being there
/// is not told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Doubt {
    /// Capabilities of which not all is known.
    pub(crate) capabilities: BTreeSet<Name>,
    /// Suites of which not all is known.
    pub(crate) suites: BTreeSet<Name>,
    /// Platforms of which not all is known.
    pub(crate) platforms: BTreeSet<Name>,
    /// Whether something is asked for that is not known.
    pub(crate) asks: bool,
    /// Whether something may be there under any name.
    pub(crate) names: bool,
}

impl Doubt {
    /// Adds what others could not read.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.capabilities.extend(other.capabilities.iter().cloned());
        self.suites.extend(other.suites.iter().cloned());
        self.platforms.extend(other.platforms.iter().cloned());
        self.asks |= other.asks;
        self.names |= other.names;
    }

    /// Whether not all is known of a capability.
    fn is_of(&self, capability: &Name) -> bool {
        self.names || self.capabilities.contains(capability)
    }
}

impl<'a> Request<'a> {
    /// The platform release that is pinned, if the catalog has it.
    fn platform_of(&self, catalog: &'a Catalog) -> Option<(&'a Version, &'a Entry<Listing>)> {
        let (product, pin) = self.product.zip(self.platform)?;
        let mut releases = catalog.platforms.get(product)?.iter();
        releases.find(|(version, _)| is(&pin.value, version))
    }
}

/// The versions of a lock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Preferred {
    pub(crate) suites: BTreeMap<Name, Version>,
    pub(crate) capabilities: BTreeMap<Name, Version>,
    /// Suites and capabilities of the lock that somebody wants to move: they are decided first, and others follow.
    pub(crate) free: BTreeSet<Name>,
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

impl Resolved {
    /// The version of a capability that is in the release, or that another one stands in for.
    pub(crate) fn version(&self, name: &Name) -> Option<&Version> {
        let running = self.capabilities.get(name).map(|(version, _)| version);
        running.or_else(|| self.replaced.get(name))
    }

    /// All versions, to be taken again where they are allowed.
    fn versions(&self) -> Preferred {
        let suites = self.resolution.suites.iter();
        let running = self.capabilities.iter();
        let running = running.map(|(name, (version, _))| (name, version));
        Preferred {
            suites: suites
                .map(|suite| (suite.name.clone(), suite.version.clone()))
                .collect(),
            capabilities: running
                .chain(&self.replaced)
                .map(|(name, version)| (name.clone(), version.clone()))
                .collect(),
            free: BTreeSet::new(),
        }
    }
}

/// What the solver decided: the position of each package's version.
type Solution<'a> = SelectedDependencies<Package<'a>, Position>;

/// Decides on versions.
///
/// # Errors
/// Every reason why there is no answer, with the places of pins and definitions that have a part in it. Two
/// reasons that nothing connects are found in one go.
pub(crate) fn resolve(catalog: &Catalog, request: &Request<'_>) -> Result<Resolved, Vec<Problem>> {
    let mut answer = decide(Space::new(catalog, request), catalog)?;
    for name in &request.preferred.free {
        if let Some(moved) = moved(catalog, request, &answer, name) {
            answer = moved;
        }
    }
    Ok(answer)
}

/// The answer with a later version of a capability that is to move, where others follow. What requires it in the version that
/// it has is decided before it, and holds it; so each later version is asked for by itself, as the release definition
/// would. Then it is not asked for any more: it has to stay because somebody needs it.
fn moved(
    catalog: &Catalog,
    request: &Request<'_>,
    answer: &Resolved,
    name: &Name,
) -> Option<Resolved> {
    let now = answer.version(name)?;
    if request
        .capabilities
        .iter()
        .any(|(pinned, _)| pinned == name)
    {
        // It was decided first already.
        return None;
    }
    let again = |preferred: Preferred, asked: Option<&Version>| {
        let request = Request {
            preferred: &preferred,
            ..*request
        };
        let space = Space::new(catalog, &request);
        decide(
            space.with_asked(asked.map(|version| (name, version))),
            catalog,
        )
        .ok()
    };
    let later = catalog.capabilities.get(name)?.iter().rev();
    let later = later.take_while(|(version, _)| *version > now);
    let mut later = later.filter(|(_, entry)| entry.definition.yanked.is_none());
    later.find_map(|(version, _)| {
        let mut preferred = answer.versions();
        preferred.free.insert(name.clone());
        preferred.capabilities.remove(name);
        let asked = again(preferred, Some(version))?;
        let moved = again(asked.versions(), None)?;
        let mut others = request.preferred.free.iter();
        let fine = others.all(|other| moved.version(other) >= answer.version(other));
        (fine && moved.version(name) == Some(version)).then_some(moved)
    })
}

fn decide(mut space: Space<'_>, catalog: &Catalog) -> Result<Resolved, Vec<Problem>> {
    let request = space.request;
    let mut problems: Vec<Problem> = missing_platform(catalog, request).into_iter().collect();
    let mut found = problems.len();
    loop {
        space.rounds.set(0);
        match pubgrub::resolve(&space, Package::Root, 0_u32) {
            Ok(solution) if found == 0 => {
                let unnamed = outcome::unnamed(&space, &solution);
                if unnamed.is_empty() {
                    return outcome::of(&space, &solution);
                }
                // Their suites were not chosen in the releases that name them.
                space.named.retain(|named| !unnamed.contains(named));
            }
            Ok(solution) => {
                problems.extend(outcome::wrong(&space, &solution));
                return Err(problems);
            }
            Err(PubGrubError::NoSolution(tree)) => {
                let explanation = Explanation::of(&space, &tree);
                let asks = explanation.asks();
                if !explanation.is_in_doubt() {
                    problems.push(explanation.problem());
                }
                found += 1;
                // What remains when everything that led here is gone may be impossible too.
                if asks.is_empty() {
                    return Err(problems);
                }
                if found == PROBLEMS {
                    let at = Place::of_file(request.definition);
                    let message =
                        format!("there may be more: {PROBLEMS} are looked for in one run");
                    problems.push(Problem::new(&at, Code::Unresolvable, message));
                    return Err(problems);
                }
                space.ignored.extend(asks);
            }
            Err(_) => {
                let at = Place::of_file(request.definition);
                let problem = Problem::new(&at, Code::Unresolvable, space::TooHard.to_string());
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
    let doubt = request.doubt;
    if request.platform_of(catalog).is_some() || doubt.names || doubt.platforms.contains(product) {
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
