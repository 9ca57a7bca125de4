//! From what the solver decided to what is in the release and why, and what only shows in the whole: circles,
//! names inside each other, a release of nothing.

use std::collections::{BTreeMap, BTreeSet};

use sealift_verifier::{
    path::Name,
    release::{Decision, LeftOut, PlatformRef, Range, Resolution, Rule, SuiteRef},
};
use semver::{Version, VersionReq};

use super::{
    Doubt, Resolved, Solution,
    explain::nearest,
    requirement::meets,
    space::{Candidate, Demand, Package, Space, Verdict},
};
use crate::{
    catalog::Entry,
    definition::{Listing, Located, Wanted},
    error::Code,
    problem::{Place, Problem},
};

/// What was chosen, by name.
struct Chosen<'s, 'a> {
    space: &'s Space<'a>,
    suites: BTreeMap<&'a Name, (&'a Version, &'a Entry<Listing>)>,
    /// What runs in the mode of the release.
    running: BTreeMap<&'a Name, Candidate<'a>>,
    /// What does not, with what stands in for it.
    replaced: BTreeMap<&'a Name, (Candidate<'a>, &'a Located<Name>)>,
}

impl<'s, 'a> Chosen<'s, 'a> {
    fn of(space: &'s Space<'a>, solution: &Solution<'a>) -> Self {
        let mut chosen = Self {
            space,
            suites: BTreeMap::new(),
            running: BTreeMap::new(),
            replaced: BTreeMap::new(),
        };
        for (package, position) in solution.iter() {
            match *package {
                Package::Suite(name) => {
                    let releases = space.suites.get(name);
                    let release = releases.and_then(|r| r.get(*position as usize));
                    chosen
                        .suites
                        .extend(release.map(|release| (name, *release)));
                }
                Package::Capability(name) => {
                    let Some(candidate) = space.candidate(name, *position) else {
                        continue;
                    };
                    match space.stand_in(candidate.1) {
                        Some(other) => drop(chosen.replaced.insert(name, (candidate, other))),
                        None => drop(chosen.running.insert(name, candidate)),
                    }
                }
                _ => {}
            }
        }
        chosen
    }

    /// The suite releases that list a capability: those that the release definition asks for first, and of
    /// these, those that name one version.
    fn listers(&self, name: &Name) -> Vec<(&'a Name, &'a Version, &'a Located<Wanted>)> {
        let listers = self.suites.iter().filter_map(|(suite, (version, entry))| {
            let wanted = entry.definition.wanted(name)?;
            Some((*suite, *version, wanted))
        });
        let mut listers: Vec<_> = listers.collect();
        listers.sort_by_key(|(suite, _, wanted)| {
            (self.level(suite), matches!(wanted.value, Wanted::Range(_)))
        });
        listers
    }

    /// Where a suite is asked for.
    fn level(&self, suite: &Name) -> Rule {
        match self.space.asked_suites.get(suite) {
            Some(ask) if ask.pinned => Rule::Suite,
            _ => Rule::Platform,
        }
    }

    /// What is in the release for a capability: itself, or what stands in for it in the end. Nothing, if
    /// substitutes go round in a circle.
    fn in_release(&self, name: &'a Name) -> Option<&'a Name> {
        let mut name = name;
        for _ in 0..=self.replaced.len() {
            match self.replaced.get(name) {
                Some((_, other)) => name = &other.value,
                None => return Some(name),
            }
        }
        None
    }

    fn decision(&self, name: &Name) -> Decision {
        let (said, suite) = if let Some(pin) = self.space.pins.get(name) {
            (Some((Rule::Capability, *pin)), None)
        } else if let Some((suite, version, wanted)) = self.listers(name).first() {
            let of = self.level(suite);
            (Some((of, *wanted)), Some(format!("{suite} {version}")))
        } else {
            (None, None)
        };
        let (rule, range) = said.map_or((Rule::Latest, None), |(of, said)| decides(of, said));
        let requirers = self.running.iter().filter(|(_, (_, entry))| {
            let mut requires = entry.definition.requires.iter();
            requires.any(|(other, _)| other == name)
        });
        let replaced = self.replaced.keys();
        let replaced = replaced.filter(|other| self.in_release(other) == Some(name));
        Decision {
            rule,
            suite,
            range,
            required_by: requirers
                .map(|(other, (version, _))| format!("{other} {version}"))
                .collect(),
            substitutes: replaced.map(|other| (*other).clone()).collect(),
            yanked: self.candidate(name).and_then(|(_, entry)| {
                let reason = entry.definition.yanked.as_ref();
                reason.map(|reason| reason.value.clone())
            }),
        }
    }

    /// What was asked for and is not in the release.
    fn left_out(&self) -> Vec<LeftOut> {
        let pinned = self.space.pins.keys().copied();
        let listed = self
            .suites
            .values()
            .flat_map(|(_, entry)| &entry.definition.members);
        let asked: BTreeSet<&Name> = pinned
            .chain(listed.map(|(name, _)| name))
            .chain(self.replaced.keys().copied())
            .filter(|name| !self.running.contains_key(name))
            .collect();
        let left_out = asked.into_iter().map(|name| LeftOut {
            name: name.clone(),
            substitute: self
                .in_release(name)
                .filter(|other| *other != name)
                .cloned(),
        });
        left_out.collect()
    }

    fn resolution(&self) -> Resolution {
        let platform = self.space.platform.map(|version| PlatformRef {
            version: version.clone(),
        });
        let suites = self.suites.iter().map(|(name, (version, _))| {
            let ask = self.space.asked_suites.get(name);
            let (rule, range) = ask.map_or((Rule::Latest, None), |ask| {
                decides(self.level(name), ask.wanted)
            });
            SuiteRef {
                name: (*name).clone(),
                version: (*version).clone(),
                rule,
                range,
            }
        });
        Resolution {
            platform,
            suites: suites.collect(),
            left_out: self.left_out(),
        }
    }

    /// The capabilities that one needs in the release, with the place that says so.
    fn needs(&self, name: &Name) -> Vec<(&'a Name, &'a Place)> {
        let needs = self
            .candidate(name)
            .map(|(_, entry)| self.space.needs(entry));
        let needs = needs.into_iter().flatten();
        needs.map(|(other, at, _)| (other, at)).collect()
    }

    fn candidate(&self, name: &Name) -> Option<Candidate<'a>> {
        let replaced = self.replaced.get(name).map(|(candidate, _)| candidate);
        self.running.get(name).or(replaced).copied()
    }

    fn version(&self, name: &Name) -> Option<&'a Version> {
        self.candidate(name).map(|(version, _)| version)
    }

    /// Circles of capabilities that need each other: none of them can be started first.
    fn circles(&self) -> Vec<Problem> {
        let mut done: BTreeSet<&Name> = BTreeSet::new();
        let mut problems = Vec::new();
        for start in self.running.keys().chain(self.replaced.keys()) {
            // Depth first; the path holds what is left to look at of each capability on it.
            let mut path = vec![(*start, self.needs(start))];
            while let Some((name, needs)) = path.last_mut() {
                let name = *name;
                if done.contains(name) {
                    path.pop();
                    continue;
                }
                let Some((next, _)) = needs.pop() else {
                    done.insert(name);
                    path.pop();
                    continue;
                };
                match path.iter().position(|(other, _)| *other == next) {
                    Some(begin) => {
                        let circle: Vec<&Name> =
                            path[begin..].iter().map(|(name, _)| *name).collect();
                        problems.extend(self.circle(&circle));
                    }
                    None => path.push((next, self.needs(next))),
                }
            }
        }
        problems
    }

    fn circle(&self, circle: &[&'a Name]) -> Option<Problem> {
        // The same circle begins anywhere.
        let first = (0..circle.len()).min_by_key(|number| circle[*number])?;
        let round: Vec<&Name> = (0..circle.len())
            .map(|i| circle[(first + i) % circle.len()])
            .collect();
        let mut because = Vec::new();
        let mut at = None;
        for (number, name) in round.iter().enumerate() {
            let next = round[(number + 1) % round.len()];
            let needs = self.needs(name);
            let (_, place) = needs.iter().find(|(other, _)| *other == next)?;
            let version = self.version(name)?;
            let verb = if self.replaced.contains_key(name) {
                "is replaced by"
            } else {
                "requires"
            };
            because.push(format!("{place}: {name} {version} {verb} {next}"));
            at.get_or_insert_with(|| (*place).clone());
        }
        let all_replaced = round.iter().all(|name| self.replaced.contains_key(name));
        let (code, what) = if all_replaced {
            (Code::SubstituteCycle, "stand in for each other in a circle")
        } else {
            (Code::RequirementCycle, "require each other in a circle")
        };
        let names: Vec<&str> = round.iter().map(|name| name.as_str()).collect();
        let problem = Problem::new(&at?, code, format!("{} {what}", names.join(", ")));
        Some(problem.because(because))
    }

    /// Names of which one lies inside the other: at the site, so would their folders.
    fn nested(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (name, (_, entry)) in &self.running {
            let above = name
                .as_str()
                .rmatch_indices('/')
                .map(|(end, _)| &name.as_str()[..end]);
            let outer =
                above.filter_map(|outer| self.running.get_key_value(&outer.parse::<Name>().ok()?));
            for (outer, (_, other)) in outer {
                let message = format!("{name} lies inside the capability {outer}");
                let at = self
                    .space
                    .pins
                    .get(name)
                    .map_or(entry.place(), |pin| pin.at.clone());
                let problem = Problem::new(&at, Code::CapabilityConflict, message);
                problems.push(problem.because(vec![
                    format!("{}: {name}", entry.place()),
                    format!("{}: {outer}", other.place()),
                ]));
            }
        }
        problems
    }

    /// Later versions that would have been taken, if what they need were in the catalog under that name at all: with a slip
    /// of the pen in the newest version, an older one would be shipped without a word.
    fn passed_over(&self) -> Vec<Problem> {
        let chosen = self.running.keys().chain(self.replaced.keys());
        chosen.flat_map(|name| self.passed_over_of(name)).collect()
    }

    fn passed_over_of(&self, name: &'a Name) -> Vec<Problem> {
        let space = self.space;
        let Some(chosen) = self.version(name) else {
            return Vec::new();
        };
        if space.request.preferred.capabilities.get(name) == Some(chosen) {
            return Vec::new();
        }
        let later = space.candidates(name).iter().rev();
        let later = later.take_while(|(version, _)| *version > chosen);
        let wanted = later.filter(|candidate| self.is_wanted(name, **candidate));
        let problems = wanted.flat_map(|(version, entry)| {
            let unknown = space.needs(entry);
            let unknown = unknown.filter(|(other, ..)| {
                space.candidates(other).is_empty() && !space.request.doubt.is_of(other)
            });
            unknown.map(move |(other, at, verb)| {
                let message = format!(
                    "{name} {version} {verb} {other}, but the catalog has no {other}: {chosen} would be taken in its place"
                );
                let problem = Problem::new(at, Code::CapabilityUnknown, message);
                problem.with_hint(nearest(other, space.capabilities.keys()).unwrap_or_else(|| {
                    format!("correct the name, add {other} to the catalog, or withdraw {name} {version}")
                }))
            })
        });
        problems.collect()
    }

    /// Whether a version is one that all others in the release would do with.
    fn is_wanted(&self, name: &Name, candidate: Candidate<'a>) -> bool {
        let listers = self.listers(name);
        let said = match self.space.pins.get(name) {
            Some(pin) => Some(&pin.value),
            None => listers.first().map(|(_, _, wanted)| &wanted.value),
        };
        let demand = said.map_or(Demand::Any, Demand::from);
        if self.space.judge(name, candidate, demand) != Some(Verdict::Usable) {
            return false;
        }
        let (version, entry) = candidate;
        let runs = self.space.stand_in(entry).is_none();
        let mut others = self.running.iter().filter(|(other, _)| **other != name);
        others.all(|(other, (with, theirs))| {
            let (ours, theirs) = (&entry.definition, &theirs.definition);
            said_of(&theirs.requires, name).all(|range| meets(range, version))
                && !(runs && said_of(&theirs.conflicts, name).any(|range| meets(range, version)))
                && !(runs && said_of(&ours.conflicts, other).any(|range| meets(range, with)))
        })
    }

    /// A release of nothing.
    fn empty(&self) -> Option<Problem> {
        if !self.running.is_empty() || *self.space.request.doubt != Doubt::default() {
            return None;
        }
        let at = Place::of_file(self.space.request.definition);
        let problem = match self.space.request.mode {
            Some(mode) => {
                let message = format!("nothing of this release may run in {mode}");
                Problem::new(&at, Code::ModeUnavailable, message)
            }
            None => Problem::new(
                &at,
                Code::Unresolvable,
                "a release without capabilities carries nothing",
            )
            .with_hint("add a table [capabilities], or list capabilities in its suites"),
        };
        Some(problem)
    }
}

/// What a definition says of another capability in one of its tables.
fn said_of<'d>(
    table: &'d [(Name, Located<VersionReq>)],
    name: &Name,
) -> impl Iterator<Item = &'d VersionReq> {
    let said = table.iter().filter(move |(other, _)| other == name);
    said.map(|(_, range)| &range.value)
}

/// What decides where a level says this: the level itself if it names one version, else the latest.
fn decides(of: Rule, said: &Located<Wanted>) -> (Rule, Option<Range>) {
    match &said.value {
        Wanted::Exact(_) => (of, None),
        Wanted::Range(allows) => {
            let allows = allows.clone();
            (Rule::Latest, Some(Range { of, allows }))
        }
    }
}

/// Pre-releases that are in the solution only because a suite release names them that is not.
pub(super) fn unnamed<'a>(
    space: &Space<'a>,
    solution: &Solution<'a>,
) -> BTreeSet<(&'a Name, &'a Version)> {
    let chosen = Chosen::of(space, solution);
    let all = chosen
        .running
        .iter()
        .map(|(name, (version, _))| (*name, *version));
    let all = all.chain(
        chosen
            .replaced
            .iter()
            .map(|(name, ((version, _), _))| (*name, *version)),
    );
    let named = |name: &Name, version: &Version| {
        let mut listers = chosen.listers(name).into_iter();
        let level = listers
            .clone()
            .next()
            .map(|(suite, ..)| chosen.level(suite));
        listers.any(|(suite, _, wanted)| {
            Some(chosen.level(suite)) == level && wanted.value.is(version)
        })
    };
    all.filter(|(name, version)| space.named.contains(&(*name, *version)) && !named(name, version))
        .collect()
}

/// What is wrong with a part of the answer, where there is no whole one.
pub(super) fn wrong(space: &Space<'_>, solution: &Solution<'_>) -> Vec<Problem> {
    let chosen = Chosen::of(space, solution);
    let mut problems = chosen.circles();
    problems.extend(chosen.nested());
    problems.extend(chosen.passed_over());
    problems
}

/// The answer, if the whole makes sense.
pub(super) fn of(space: &Space<'_>, solution: &Solution<'_>) -> Result<Resolved, Vec<Problem>> {
    let mut problems = wrong(space, solution);
    let chosen = Chosen::of(space, solution);
    if problems.is_empty() {
        problems.extend(chosen.empty());
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let capabilities = chosen.running.iter().map(|(name, (version, _))| {
        let answer = ((*version).clone(), chosen.decision(name));
        ((*name).clone(), answer)
    });
    let replaced = chosen
        .replaced
        .iter()
        .map(|(name, ((version, _), _))| ((*name).clone(), (*version).clone()));
    Ok(Resolved {
        resolution: chosen.resolution(),
        capabilities: capabilities.collect(),
        replaced: replaced.collect(),
    })
}
