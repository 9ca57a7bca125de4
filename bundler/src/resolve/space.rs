//! The catalog and what is asked of it, as packages, versions and dependencies for the solver.

use std::{
    cell::Cell,
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use pubgrub::{Dependencies, DependencyProvider, PackageResolutionStatistics, VersionSet};
use sealift_verifier::{path::Name, release::Mode};
use semver::{Version, VersionReq};

use super::{
    Request,
    positions::{Position, Positions},
    requirement::{is, meets, names},
};
use crate::{
    catalog::{Catalog, Entry},
    definition::{CapabilityDefinition, Listing, Located, Wanted},
    problem::Place,
};

/// Times that the solver may go back before it gives up, some seconds: each takes longer than the one before, and no catalog
/// that people keep needs as many.
const DETOURS: u32 = 10_000;

/// Of the presence of a capability: nobody asks for it, or it is left out.
const ABSENT: Position = 0;
/// Of the presence of a capability: another one stands in for it.
const REPLACED: Position = 1;
/// Of the presence of a capability: its first version.
const PRESENT: Position = 2;

/// What the solver decides on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Package<'a> {
    /// The release itself; has one version.
    Root,
    /// A suite.
    Suite(&'a Name),
    /// Whether a suite release of the platform decides on a capability that a pinned suite may list too:
    /// position 0, or the number of the pinned suite that does.
    Listed {
        suite: &'a Name,
        release: Position,
        capability: &'a Name,
    },
    /// A capability.
    Capability(&'a Name),
    /// Whether a capability is in the release: [`ABSENT`], [`REPLACED`], or its version, counted from [`PRESENT`]. Others
    /// can speak of it without asking for it.
    Presence(&'a Name),
}

impl fmt::Display for Package<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Something that is asked for, by a definition that is in the release whatever is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ask<'a> {
    /// A suite, by a pin or by the platform.
    Suite(&'a Name),
    /// A capability, by the release definition.
    Capability(&'a Name),
    /// A capability, by a suite.
    Listed(&'a Name, &'a Name),
    /// A capability, by another one that requires it or that it stands in for.
    Needed(&'a Name, &'a Name),
}

/// A suite that has a part in the release.
pub(super) struct SuiteAsk<'a> {
    pub(super) wanted: &'a Located<Wanted>,
    /// Whether the release definition asks, and not the platform.
    pub(super) pinned: bool,
}

/// Which versions are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Demand<'a> {
    Exact(&'a Version),
    Range(&'a VersionReq),
    Any,
}

impl<'a> From<&'a Wanted> for Demand<'a> {
    fn from(wanted: &'a Wanted) -> Self {
        match wanted {
            Wanted::Exact(version) => Self::Exact(version),
            Wanted::Range(requirement) => Self::Range(requirement),
        }
    }
}

/// What becomes of a version that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict<'a> {
    Usable,
    /// It was withdrawn, for this reason, and the release definition does not pin it.
    Yanked(&'a str),
    /// It is a pre-release that was not named.
    PreRelease,
    /// It may not run in the mode, and nothing may stand in for it.
    Mode,
}

/// A version of a capability.
pub(super) type Candidate<'a> = (&'a Version, &'a Entry<CapabilityDefinition>);

/// All that can be decided on.
pub(super) struct Space<'a> {
    pub(super) request: &'a Request<'a>,
    /// The version of the platform release that is pinned, if it is there.
    pub(super) platform: Option<&'a Version>,
    pub(super) capabilities: BTreeMap<&'a Name, Vec<Candidate<'a>>>,
    pub(super) suites: BTreeMap<&'a Name, Vec<(&'a Version, &'a Entry<Listing>)>>,
    pub(super) asked_suites: BTreeMap<&'a Name, SuiteAsk<'a>>,
    pub(super) pins: BTreeMap<&'a Name, &'a Located<Wanted>>,
    /// What is not asked for any more, so that the next problem can be found.
    pub(super) ignored: BTreeSet<Ask<'a>>,
    /// Pre-releases that a suite release names, by which they are known to all requirements.
    pub(super) named: BTreeSet<(&'a Name, &'a Version)>,
    /// Capabilities of which it matters to others whether they are there.
    watched: BTreeSet<&'a Name>,
    /// Capabilities that the release definition or a suite asks for.
    asked: BTreeSet<&'a Name>,
    /// A version that is asked for beside what definitions ask for.
    extra: Option<(&'a Name, Position)>,
    /// How often the solver went round.
    pub(super) rounds: Cell<u32>,
    /// How often it may: each package once, and so many more.
    most: u32,
}

impl<'a> Space<'a> {
    pub(super) fn new(catalog: &'a Catalog, request: &'a Request<'a>) -> Self {
        let platform = request.platform_of(catalog);
        let listed = platform
            .iter()
            .flat_map(|(_, entry)| &entry.definition.members);
        let listed = listed.map(|(name, wanted)| (name, wanted, false));
        let pinned = request
            .suites
            .iter()
            .map(|(name, wanted)| (name, wanted, true));
        // Pins come last, so that they replace what the platform lists.
        let asked_suites = listed
            .chain(pinned)
            .map(|(name, wanted, pinned)| (name, SuiteAsk { wanted, pinned }));
        let mut space = Self {
            request,
            platform: platform.map(|(version, _)| version),
            capabilities: catalog
                .capabilities
                .iter()
                .map(|(name, versions)| (name, versions.iter().collect()))
                .collect(),
            suites: catalog
                .suites
                .iter()
                .map(|(name, versions)| (name, versions.iter().collect()))
                .collect(),
            asked_suites: asked_suites.collect(),
            pins: request.capabilities.iter().map(|(n, w)| (n, w)).collect(),
            ignored: BTreeSet::new(),
            named: BTreeSet::new(),
            watched: BTreeSet::new(),
            asked: BTreeSet::new(),
            extra: None,
            rounds: Cell::default(),
            most: 0,
        };
        let named = space.listings().filter_map(|(name, wanted)| match wanted {
            Wanted::Exact(version) if !version.pre.is_empty() => Some((name, version)),
            _ => None,
        });
        space.named = named.collect();
        // A capability is two packages, and what a suite lists may be one more.
        let packages = space.suites.len() + 2 * space.capabilities.len() + space.listings().count();
        space.most = u32::try_from(packages)
            .unwrap_or(u32::MAX)
            .saturating_add(DETOURS);
        space.watched = space.watch();
        let listed = space.listings().map(|(name, _)| name);
        space.asked = listed.chain(space.pins.keys().copied()).collect();
        space
    }

    /// The same, as if the release definition asked for this version of a capability too, whatever else is said of it.
    pub(super) fn with_asked(mut self, asked: Option<(&'a Name, &Version)>) -> Self {
        self.extra = asked.and_then(|(name, version)| {
            let mut candidates = self.candidates(name).iter();
            let position = candidates.position(|(other, _)| *other == version)?;
            Some((name, Position::try_from(position).ok()?))
        });
        self
    }

    /// What the suite releases that are in question list, and nothing closer replaces whatever is decided.
    fn listings(&self) -> impl Iterator<Item = (&'a Name, &'a Wanted)> {
        let suites = self.asked_suites.iter();
        suites.flat_map(|(suite, ask)| {
            let members = self
                .releases(suite)
                .into_iter()
                .flat_map(|(_, entry)| &entry.definition.members);
            let says = members.filter(|(name, _)| {
                !self.pins.contains_key(name) && (ask.pinned || !self.is_always_listed(name))
            });
            says.map(|(name, wanted)| (name, &wanted.value))
        })
    }

    /// Whether a suite that the release definition pins lists a capability in each release that may be taken.
    fn is_always_listed(&self, capability: &Name) -> bool {
        let mut pinned = self.asked_suites.iter().filter(|(_, ask)| ask.pinned);
        pinned.any(|(suite, _)| {
            let releases = self.releases(suite);
            let lists =
                |(_, entry): &(_, &Entry<Listing>)| entry.definition.wanted(capability).is_some();
            !releases.is_empty() && releases.iter().all(lists)
        })
    }

    fn watch(&self) -> BTreeSet<&'a Name> {
        let candidates = self.capabilities.values().flatten();
        let conflicts = candidates.flat_map(|(_, entry)| &entry.definition.conflicts);
        let mut watched: BTreeSet<&Name> = conflicts.map(|(name, _)| name).collect();
        let pinned = self.pins.iter().map(|(name, pin)| (*name, &pin.value));
        let dropped = pinned
            .chain(self.listings())
            .filter(|(name, wanted)| self.is_dropped(name, wanted));
        watched.extend(dropped.map(|(name, _)| name));
        watched
    }

    pub(super) fn candidates(&self, name: &Name) -> &[Candidate<'a>] {
        self.capabilities.get(name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn candidate(&self, name: &Name, position: Position) -> Option<Candidate<'a>> {
        self.candidates(name).get(position as usize).copied()
    }

    /// The releases of a suite that its pin, or the platform, leaves to choose from.
    pub(super) fn releases(&self, suite: &Name) -> Vec<(&'a Version, &'a Entry<Listing>)> {
        let all = self.suites.get(suite).into_iter().flatten().copied();
        let Some(ask) = self.asked_suites.get(suite) else {
            return Vec::new();
        };
        all.filter(|(version, _)| suits(&ask.wanted.value, version))
            .collect()
    }

    /// What becomes of a version if it is demanded; nothing if the demand is for others.
    pub(super) fn judge(
        &self,
        name: &Name,
        (version, entry): Candidate<'a>,
        demand: Demand<'_>,
    ) -> Option<Verdict<'a>> {
        let meant = match demand {
            Demand::Exact(exact) => is(exact, version),
            Demand::Range(requirement) => meets(requirement, version),
            Demand::Any => true,
        };
        if !meant {
            return None;
        }
        let definition = &entry.definition;
        let pinned = self.pins.get(name);
        let pinned = pinned.is_some_and(|pin| pin.value.is(version));
        if let Some(reason) = &definition.yanked
            && !pinned
        {
            return Some(Verdict::Yanked(&reason.value));
        }
        let named = match demand {
            Demand::Exact(_) => true,
            Demand::Range(requirement) => names(requirement, version),
            Demand::Any => false,
        };
        if !(version.pre.is_empty() || pinned || named || self.named.contains(&(name, version))) {
            return Some(Verdict::PreRelease);
        }
        match self.request.mode {
            Some(mode) if !definition.modes.contains(&mode) && stand_in(entry, mode).is_none() => {
                Some(Verdict::Mode)
            }
            _ => Some(Verdict::Usable),
        }
    }

    /// The versions that a demand leaves to choose from.
    pub(super) fn usable(&self, name: &Name, demand: Demand<'_>) -> Positions {
        let candidates = (0..).zip(self.candidates(name));
        candidates
            .filter(|(_, candidate)| self.judge(name, **candidate, demand) == Some(Verdict::Usable))
            .map(|(position, _)| position)
            .collect()
    }

    /// Whether a definition lists what may not run in the mode: a mode has the subset that may.
    pub(super) fn is_dropped(&self, name: &Name, wanted: &Wanted) -> bool {
        let judge = |candidate: &Candidate<'a>| self.judge(name, *candidate, wanted.into());
        let verdicts: Vec<_> = self.candidates(name).iter().filter_map(judge).collect();
        verdicts.contains(&Verdict::Mode) && !verdicts.contains(&Verdict::Usable)
    }

    /// What stands in for a version in the mode of the release.
    pub(super) fn stand_in(
        &self,
        entry: &'a Entry<CapabilityDefinition>,
    ) -> Option<&'a Located<Name>> {
        let mode = self.request.mode?;
        let runs = entry.definition.modes.contains(&mode);
        stand_in(entry, mode).filter(|_| !runs)
    }

    /// What a version needs in the mode of the release, where it says so, and how.
    pub(super) fn needs(
        &self,
        entry: &'a Entry<CapabilityDefinition>,
    ) -> impl Iterator<Item = (&'a Name, &'a Place, &'static str)> {
        let stand_in = self.stand_in(entry);
        let requires = entry.definition.requires.iter();
        let requires = requires.filter(move |_| stand_in.is_none());
        let requires = requires.map(|(other, range)| (other, &range.at, "requires"));
        let replaced = stand_in.map(|other| (&other.value, &other.at, "is replaced by"));
        requires.chain(replaced)
    }

    /// The suites that the release definition pins and that may list a capability, with the releases that do.
    pub(super) fn pinned_listers(&self, capability: &Name) -> Vec<(&'a Name, Positions)> {
        let pinned = self.asked_suites.iter().filter(|(_, ask)| ask.pinned);
        let listers = pinned.map(|(suite, ask)| {
            let releases = (0..).zip(self.suites.get(suite).into_iter().flatten());
            let listing = releases.filter(|(_, (version, entry))| {
                suits(&ask.wanted.value, version) && entry.definition.wanted(capability).is_some()
            });
            (*suite, listing.map(|(position, _)| position).collect())
        });
        listers
            .filter(|(_, releases): &(_, Positions)| !releases.is_empty())
            .collect()
    }

    /// Asks for a capability, or, if it may not run in the mode, for its absence.
    fn ask(&self, name: &'a Name, wanted: &Wanted) -> (Package<'a>, Positions) {
        if self.is_dropped(name, wanted) {
            (Package::Presence(name), Positions::singleton(ABSENT))
        } else {
            (Package::Capability(name), self.usable(name, wanted.into()))
        }
    }

    fn of_root(&self) -> Vec<(Package<'a>, Positions)> {
        let suites = self
            .asked_suites
            .iter()
            .filter(|(suite, _)| !self.ignored.contains(&Ask::Suite(suite)));
        let suites = suites.map(|(suite, ask)| {
            let all = (0..).zip(self.suites.get(suite).into_iter().flatten());
            let suiting = all.filter(|(_, (version, _))| suits(&ask.wanted.value, version));
            let positions = suiting.map(|(position, _)| position).collect();
            (Package::Suite(suite), positions)
        });
        let pins = self
            .pins
            .iter()
            .filter(|(name, _)| !self.ignored.contains(&Ask::Capability(name)));
        let mut all: Vec<_> = suites
            .chain(pins.map(|(name, pin)| self.ask(name, &pin.value)))
            .collect();
        if let Some((name, position)) = self.extra {
            // The solver takes each package once.
            let (package, extra) = (Package::Capability(name), Positions::singleton(position));
            match all.iter_mut().find(|(other, _)| *other == package) {
                Some((_, asked)) => *asked = asked.intersection(&extra),
                None => all.push((package, extra)),
            }
        }
        all
    }

    fn of_suite(&self, suite: &'a Name, release: Position) -> Vec<(Package<'a>, Positions)> {
        let Some((_, entry)) = self.suites.get(suite).and_then(|r| r.get(release as usize)) else {
            return Vec::new();
        };
        let pinned = self.asked_suites.get(suite).is_some_and(|ask| ask.pinned);
        let members = entry.definition.members.iter().filter(|(name, _)| {
            // The closest pin replaces what is listed.
            !self.pins.contains_key(name) && !self.ignored.contains(&Ask::Listed(suite, name))
        });
        let asks = members.map(|(name, wanted)| {
            let others = if pinned {
                0
            } else {
                self.pinned_listers(name).len()
            };
            if others == 0 {
                return self.ask(name, &wanted.value);
            }
            let listed = Package::Listed {
                suite,
                release,
                capability: name,
            };
            (
                listed,
                (0..=Position::try_from(others).unwrap_or(0)).collect(),
            )
        });
        asks.collect()
    }

    fn of_listed(
        &self,
        (suite, release, capability): (&'a Name, Position, &'a Name),
        choice: Position,
    ) -> Vec<(Package<'a>, Positions)> {
        let mut others = self.pinned_listers(capability).into_iter();
        if let Some(number) = choice.checked_sub(1) {
            let other = others.nth(number as usize);
            return other
                .map(|(other, releases)| (Package::Suite(other), releases))
                .into_iter()
                .collect();
        }
        let entry = self.suites.get(suite).and_then(|r| r.get(release as usize));
        let wanted = entry.and_then(|(_, entry)| entry.definition.wanted(capability));
        wanted
            .map(|wanted| self.ask(capability, &wanted.value))
            .into_iter()
            .collect()
    }

    fn of_capability(&self, name: &'a Name, position: Position) -> Vec<(Package<'a>, Positions)> {
        let Some((_, entry)) = self.candidate(name, position) else {
            return Vec::new();
        };
        let is_told = |other| self.ignored.contains(&Ask::Needed(name, other));
        let here = |presence| {
            let watched = self.watched.contains(name);
            watched.then(|| (Package::Presence(name), Positions::singleton(presence)))
        };
        if let Some(other) = self.stand_in(entry) {
            let usable = self.usable(&other.value, Demand::Any);
            let needed = Some((Package::Capability(&other.value), usable));
            let needed = needed.filter(|_| !is_told(&other.value));
            return needed.into_iter().chain(here(REPLACED)).collect();
        }
        let definition = &entry.definition;
        let requires = definition.requires.iter();
        let requires = requires.filter(|(other, _)| !is_told(other));
        let requires = requires.map(|(other, requirement)| {
            let usable = self.usable(other, Demand::Range(&requirement.value));
            (Package::Capability(other), usable)
        });
        let conflicts = definition.conflicts.iter().map(|(other, conflict)| {
            let candidates = (PRESENT..).zip(self.candidates(other));
            let fine = candidates.filter(|(_, (version, _))| !meets(&conflict.value, version));
            let fine = fine.map(|(position, _)| position);
            let fine = [ABSENT, REPLACED].into_iter().chain(fine);
            (Package::Presence(other), fine.collect())
        });
        requires
            .chain(conflicts)
            .chain(here(PRESENT.saturating_add(position)))
            .collect()
    }

    /// How many versions a package has.
    fn length(&self, package: Package<'_>) -> usize {
        match package {
            Package::Root => 1,
            Package::Suite(name) => self.suites.get(name).map_or(0, Vec::len),
            Package::Listed { capability, .. } => self.pinned_listers(capability).len() + 1,
            Package::Capability(name) => self.candidates(name).len(),
            Package::Presence(name) => self.candidates(name).len() + PRESENT as usize,
        }
    }

    /// Where the version stands that a lock prefers.
    fn preferred(&self, package: Package<'_>) -> Option<Position> {
        let preferred = self.request.preferred;
        let position = match package {
            Package::Suite(name) => {
                let version = preferred.suites.get(name)?;
                let releases = self.suites.get(name)?;
                releases.iter().position(|(other, _)| *other == version)
            }
            Package::Capability(name) => {
                let version = preferred.capabilities.get(name)?;
                let candidates = self.candidates(name);
                candidates.iter().position(|(other, _)| *other == version)
            }
            _ => None,
        };
        position.and_then(|position| position.try_into().ok())
    }
}

/// Whether a suite release is one that is wanted.
pub(super) fn suits(wanted: &Wanted, version: &Version) -> bool {
    match wanted {
        Wanted::Exact(exact) => is(exact, version),
        Wanted::Range(requirement) => requirement.matches(version),
    }
}

fn stand_in(entry: &Entry<CapabilityDefinition>, mode: Mode) -> Option<&Located<Name>> {
    let mut substitutes = entry.definition.substitutes.iter();
    substitutes
        .find(|(other, _)| *other == mode)
        .map(|(_, name)| name)
}

/// The solver has to go back too often.
#[derive(Debug, thiserror::Error)]
#[error("what is asked for is not decided after {DETOURS} ways that led nowhere")]
pub(super) struct TooHard;

impl<'a> DependencyProvider for Space<'a> {
    type P = Package<'a>;
    type V = Position;
    type VS = Positions;
    type Priority = (u8, bool, u32, bool, Reverse<Package<'a>>);
    type M = &'static str;
    type Err = TooHard;

    fn prioritize(
        &self,
        package: &Package<'a>,
        range: &Positions,
        statistics: &PackageResolutionStatistics,
    ) -> Self::Priority {
        // What is free to move is what somebody wants to move; what has one version left is decided already. What is asked
        // for goes before what is only required, then names decide: how many older versions there are does not.
        let (free, asked) = match package {
            Package::Suite(name) => (self.request.preferred.free.contains(*name), true),
            Package::Capability(name) => (
                self.request.preferred.free.contains(*name),
                self.asked.contains(name),
            ),
            _ => (false, true),
        };
        // Suites say what is asked for, so they come first; whether something is there shows at the end.
        let class = match package {
            Package::Root => 7,
            Package::Suite(_) if free => 6,
            Package::Capability(_) if free => 5,
            Package::Suite(_) => 4,
            Package::Listed { .. } => 3,
            Package::Capability(_) => 2,
            Package::Presence(_) => 1,
        };
        let forced = range.below(self.length(*package)).nth(1).is_none();
        let conflicts = statistics.conflict_count();
        (class, forced, conflicts, asked, Reverse(*package))
    }

    fn choose_version(
        &self,
        package: &Package<'a>,
        range: &Positions,
    ) -> Result<Option<Position>, TooHard> {
        let length = self.length(*package);
        if let Package::Presence(_) = package {
            return Ok(range.first(length));
        }
        let preferred = self.preferred(*package);
        let preferred = preferred.filter(|position| range.contains(position));
        Ok(preferred.or_else(|| range.below(length).next_back()))
    }

    fn get_dependencies(
        &self,
        package: &Package<'a>,
        position: &Position,
    ) -> Result<Dependencies<Package<'a>, Positions, &'static str>, TooHard> {
        let dependencies = match *package {
            Package::Root => self.of_root(),
            Package::Suite(name) => self.of_suite(name, *position),
            Package::Listed {
                suite,
                release,
                capability,
            } => self.of_listed((suite, release, capability), *position),
            Package::Capability(name) => self.of_capability(name, *position),
            Package::Presence(_) => Vec::new(),
        };
        Ok(Dependencies::Available(dependencies.into_iter().collect()))
    }

    fn should_cancel(&self) -> Result<(), TooHard> {
        self.rounds.set(self.rounds.get() + 1);
        if self.rounds.get() > self.most {
            return Err(TooHard);
        }
        Ok(())
    }
}
