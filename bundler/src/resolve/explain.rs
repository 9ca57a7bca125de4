//! Why there is no answer: the solver's derivation as sentences that name files, lines and what to do.

use std::collections::{BTreeMap, BTreeSet};

use pubgrub::{DerivationTree, Derived, External, Term, VersionSet};
use sealift_verifier::{path::Name, release::Mode};
use semver::{Version, VersionReq};

use super::{
    positions::{Position, Positions},
    requirement::meets,
    space::{Ask, Candidate, Demand, Package, Space, Verdict},
};
use crate::{
    definition::{Wanted, is_near},
    error::Code,
    problem::{Place, Problem},
};

/// Versions that a sentence lists before it counts the others.
const LISTED: usize = 5;
/// Different sentences about versions of one capability before the others are counted.
const ALIKE: usize = 3;
/// Lines of one explanation.
const LINES: usize = 30;

type Tree<'a> = DerivationTree<Package<'a>, Positions, &'static str>;
type Step<'a> = Derived<Package<'a>, Positions, &'static str>;

/// One thing that a definition says.
struct Fact<'a> {
    at: Place,
    text: String,
    ask: Option<Ask<'a>>,
    /// Why nothing can meet it, if it is impossible by itself.
    impossible: Option<Impossible>,
    /// What it says something about.
    about: &'a Name,
    /// Which versions of that it leaves.
    leaves: Leaves<'a>,
}

/// Which versions of a capability something leaves to choose from, if they are usable.
#[derive(Clone, Copy)]
enum Leaves<'a> {
    /// None.
    None,
    /// Those that are demanded.
    Demanded(Demand<'a>),
    /// All others.
    AllBut(&'a VersionReq),
}

/// Why nothing meets a demand.
struct Impossible {
    code: Code,
    text: String,
    hint: Option<String>,
}

/// A line of an explanation.
enum Line<'a> {
    /// What all versions of a package say of another.
    Facts(Package<'a>, Package<'a>),
    /// What follows from the lines before.
    So(String),
}

/// Why the solver found no answer.
pub(super) struct Explanation<'s, 'a> {
    space: &'s Space<'a>,
    lines: Vec<Line<'a>>,
    facts: BTreeMap<(Package<'a>, Package<'a>), Vec<Fact<'a>>>,
}

impl<'s, 'a> Explanation<'s, 'a> {
    pub(super) fn of(space: &'s Space<'a>, tree: &Tree<'a>) -> Self {
        let (lines, versions) = walk(space, tree);
        let facts = versions.into_iter().map(|((from, to), positions)| {
            let facts = facts(space, from, to, &positions);
            ((from, to), facts)
        });
        Self {
            space,
            lines,
            facts: facts.collect(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Fact<'a>> {
        self.facts.values().flatten()
    }

    /// Whether something has a part in this that could not be read.
    pub(super) fn is_in_doubt(&self) -> bool {
        let doubt = self.space.request.doubt;
        let touched = self.facts.keys().flat_map(|(from, to)| [from, to]);
        touched.into_iter().any(|package| match package {
            Package::Root => false,
            Package::Suite(suite) => doubt.suites.contains(*suite),
            Package::Listed {
                suite, capability, ..
            } => doubt.suites.contains(*suite) || doubt.is_of(capability),
            Package::Capability(name) | Package::Presence(name) => doubt.is_of(name),
        }) || doubt.names && self.all().any(|fact| fact.impossible.is_some())
    }

    /// What was asked for that led here: of capabilities, or if there are none, of suites. If something is needed that
    /// nothing can be, only that.
    pub(super) fn asks(&self) -> BTreeSet<Ask<'a>> {
        let needed = self.impossible().and_then(|fact| {
            let mut facts = self.facts.iter();
            let (between, _) = facts.find(|(_, facts)| facts.iter().any(|f| f.at == fact.at))?;
            match between {
                (Package::Capability(from), Package::Capability(to)) => Some(Ask::Needed(from, to)),
                _ => None,
            }
        });
        if let Some(needed) = needed {
            return BTreeSet::from([needed]);
        }
        let asks: BTreeSet<Ask<'a>> = self.all().filter_map(|fact| fact.ask).collect();
        let is_suite = |ask: &Ask<'_>| matches!(ask, Ask::Suite(_));
        if asks.iter().all(is_suite) {
            return asks;
        }
        asks.into_iter().filter(|ask| !is_suite(ask)).collect()
    }

    /// The problem, with all that led to it.
    pub(super) fn problem(&self) -> Problem {
        match self.impossible() {
            Some(fact) => self.of_impossible(fact),
            None => self.of_contradiction(),
        }
    }

    /// The fact that is impossible by itself, if it is what all others lead to.
    fn impossible(&self) -> Option<&Fact<'a>> {
        let mut about = BTreeMap::<&Name, BTreeSet<Package<'a>>>::new();
        for (from, to) in self.facts.keys() {
            if let Package::Suite(name) | Package::Capability(name) | Package::Presence(name) = to {
                about.entry(name).or_default().insert(*from);
            }
        }
        if about.values().any(|from| from.len() > 1) {
            return None;
        }
        self.all().find(|fact| fact.impossible.is_some())
    }

    fn of_impossible(&self, fact: &Fact<'a>) -> Problem {
        let Some(impossible) = &fact.impossible else {
            return self.of_contradiction();
        };
        let message = format!("{}, {}", fact.text, impossible.text);
        let problem = Problem::new(&fact.at, impossible.code, message);
        let problem = match &impossible.hint {
            Some(hint) => problem.with_hint(hint.clone()),
            None => problem,
        };
        problem.because(self.because(Some(&fact.at)))
    }

    fn of_contradiction(&self) -> Problem {
        let mut times = BTreeMap::<&Name, usize>::new();
        for fact in self.all() {
            *times.entry(fact.about).or_default() += 1;
        }
        let pinned = |name: &Name| self.space.pins.contains_key(name);
        let contested = times
            .into_iter()
            .filter(|(_, times)| *times > 1)
            .max_by_key(|(name, times)| (pinned(name), *times));
        let message = match contested {
            Some((name, _)) => format!("no version of {name} suits all that have a say in it"),
            None => "what is asked for excludes each other".to_owned(),
        };
        let asks = self.pins();
        let asked = asks.first().copied();
        let asked = asked.or_else(|| self.all().find(|fact| fact.ask.is_some()));
        let at = asked.map_or_else(
            || Place::of_file(self.space.request.definition),
            |fact| fact.at.clone(),
        );
        let problem = Problem::new(&at, Code::Unresolvable, message);
        let pins: Vec<String> = asks
            .iter()
            .map(|fact| format!("{} ({})", fact.about, fact.at.spot()))
            .collect();
        let listed = contested.filter(|(name, _)| !pinned(name) && self.is_listed(name));
        let hint = match (listed, pins.as_slice()) {
            (Some((name, _)), _) => format!(
                "pin {name} in the release definition: that goes before what a suite lists"
            ),
            (None, []) => "pin one of them otherwise in the release definition, or add a version to the catalog that suits all".to_owned(),
            (None, [one]) => format!("relax {one}, or add a version to the catalog that suits all"),
            (None, several) => format!("relax one of these: {}", several.join(", ")),
        };
        let mut because = self.because(None);
        because.extend(self.unusable());
        problem.with_hint(hint).because(because)
    }

    /// Versions that all who speak of a capability would do with, and that are not to be had for another reason.
    fn unusable(&self) -> Vec<String> {
        let mut said = BTreeMap::<&'a Name, Vec<&Vec<Fact<'a>>>>::new();
        for ((_, to), facts) in &self.facts {
            if let Package::Capability(name) | Package::Presence(name) = to
                && !facts.is_empty()
            {
                said.entry(name).or_default().push(facts);
            }
        }
        let contested = said.iter().filter(|(_, said)| said.len() > 1);
        let told = contested.flat_map(|(name, said)| {
            let candidates = self.space.candidates(name).iter().rev();
            let told = candidates.filter_map(|candidate| self.of_unusable(name, *candidate, said));
            told.take(ALIKE)
        });
        told.collect()
    }

    /// What is told of a version if each of those who speak of it leaves it, and it is not usable.
    fn of_unusable(
        &self,
        name: &Name,
        candidate: Candidate<'a>,
        said: &[&Vec<Fact<'a>>],
    ) -> Option<String> {
        let (version, entry) = candidate;
        let judged = |fact: &Fact<'a>| match fact.leaves {
            Leaves::None => None,
            Leaves::Demanded(demand) => self.space.judge(name, candidate, demand),
            Leaves::AllBut(range) => (!meets(range, version)).then_some(Verdict::Usable),
        };
        let mut unusable = None;
        // What several versions of another capability say are ways to go, of which one is enough.
        for facts in said {
            let mut verdicts = facts.iter().filter_map(judged).peekable();
            let first = *verdicts.peek()?;
            if verdicts.all(|verdict| verdict != Verdict::Usable) {
                unusable = Some(first);
            }
        }
        let yanked = entry.definition.yanked.as_ref();
        let at = yanked.map_or_else(|| entry.place(), |reason| reason.at.clone());
        let why = verdict_text(unusable?, self.space);
        Some(format!(
            "{}: {name} {version} would suit all of them, but {why}",
            at.spot()
        ))
    }

    /// Whether a suite has a part in this with what it lists of a capability.
    fn is_listed(&self, name: &Name) -> bool {
        let mut facts = self.facts.iter();
        facts.any(|((from, _), facts)| {
            matches!(from, Package::Suite(_)) && facts.iter().any(|fact| fact.about == name)
        })
    }

    /// What the release definition itself says.
    fn pins(&self) -> Vec<&Fact<'a>> {
        let definition = self.space.request.definition;
        let pins = self.all().filter(|fact| *fact.at.file == *definition);
        let mut pins: Vec<_> = pins.collect();
        pins.sort_by(|a, b| a.at.cmp(&b.at));
        pins
    }

    /// All lines but the one that is told already.
    fn because(&self, told: Option<&Place>) -> Vec<String> {
        let mut pairs: Vec<&Line<'a>> = self.lines.iter().collect();
        if !pairs.iter().any(|line| matches!(line, Line::So(_))) {
            // Nothing refers to what stands before it: from what is asked for to what that leads to.
            pairs.sort_by_key(|line| match line {
                Line::Facts(Package::Root, _) => 0,
                Line::Facts(Package::Suite(_) | Package::Listed { .. }, _) => 1,
                _ => 2,
            });
        }
        let mut lines = Vec::new();
        for line in pairs {
            match line {
                Line::So(text) => lines.push(text.clone()),
                Line::Facts(from, to) => {
                    let facts = self.facts.get(&(*from, *to)).into_iter().flatten();
                    let facts: Vec<_> = facts.filter(|fact| Some(&fact.at) != told).collect();
                    for fact in facts.iter().take(ALIKE) {
                        let why = fact.impossible.as_ref();
                        let why = why.map_or(String::new(), |why| format!(", {}", why.text));
                        lines.push(format!("{}: {}{why}", fact.at.spot(), fact.text));
                    }
                    let others = facts.len().saturating_sub(ALIKE);
                    if let Some(fact) = facts.last().filter(|_| others > 0) {
                        lines.push(format!(
                            "and {others} other versions speak of {} in ways that do not fit either",
                            fact.about
                        ));
                    }
                }
            }
        }
        let more = lines.len().saturating_sub(LINES);
        if more > 0 {
            lines.truncate(LINES);
            lines.push(format!("and {more} more of this kind"));
        }
        lines
    }
}

/// Which versions of a package say something of another.
type Sayings<'a> = BTreeMap<(Package<'a>, Package<'a>), Positions>;

/// Goes through a derivation, causes before what follows from them. Not by recursion: a derivation is as deep
/// as the solver's search was long.
fn walk<'a>(space: &Space<'a>, tree: &Tree<'a>) -> (Vec<Line<'a>>, Sayings<'a>) {
    enum Todo<'t, 'a> {
        Visit(&'t Tree<'a>),
        Conclude(&'t Step<'a>),
    }
    let mut lines = Vec::new();
    let mut sayings = Sayings::new();
    let mut seen = BTreeSet::new();
    let mut todo = vec![Todo::Visit(tree)];
    while let Some(next) = todo.pop() {
        match next {
            Todo::Visit(DerivationTree::External(External::FromDependencyOf(from, set, to, _))) => {
                let versions = sayings.entry((*from, *to)).or_insert_with(|| {
                    lines.push(Line::Facts(*from, *to));
                    Positions::empty()
                });
                *versions = versions.union(set);
            }
            // That the release is to be made, and that there are no more versions, goes without saying.
            Todo::Visit(DerivationTree::External(_)) => {}
            Todo::Visit(DerivationTree::Derived(step)) => {
                if step.shared_id.is_some_and(|id| !seen.insert(id)) {
                    continue;
                }
                let (one, other) = (&*step.cause1, &*step.cause2);
                match (one, other) {
                    (DerivationTree::Derived(first), DerivationTree::Derived(_)) => {
                        todo.push(Todo::Visit(other));
                        todo.push(Todo::Conclude(first));
                        todo.push(Todo::Visit(one));
                    }
                    (DerivationTree::External(_), DerivationTree::Derived(_)) => {
                        todo.push(Todo::Visit(one));
                        todo.push(Todo::Visit(other));
                    }
                    _ => {
                        todo.push(Todo::Visit(other));
                        todo.push(Todo::Visit(one));
                    }
                }
            }
            Todo::Conclude(step) => {
                let text = conclusion(space, step).map(Line::So);
                let told =
                    |line: &Line<'_>, text: &str| matches!(line, Line::So(other) if other == text);
                lines.extend(text.filter(|line| {
                    let Line::So(text) = line else { return true };
                    !lines.iter().any(|line| told(line, text))
                }));
            }
        }
    }
    (lines, sayings)
}

/// What an intermediate step says, unless it speaks of what only the solver knows.
fn conclusion(space: &Space<'_>, step: &Step<'_>) -> Option<String> {
    let mut excluded = Vec::new();
    let mut needed = Vec::new();
    for (package, term) in &step.terms {
        let (set, list) = match term {
            Term::Positive(set) => (set, &mut excluded),
            Term::Negative(set) => (set, &mut needed),
        };
        match package {
            Package::Root => {}
            Package::Suite(name) => {
                let releases = space.suites.get(name)?;
                let named = set
                    .below(releases.len())
                    .filter_map(|i| releases.get(i as usize));
                list.push(named_versions(
                    &format!("suite {name}"),
                    named.map(|(v, _)| *v),
                ));
            }
            Package::Capability(name) => {
                let candidates = space.candidates(name);
                let named = set
                    .below(candidates.len())
                    .filter_map(|i| candidates.get(i as usize));
                list.push(named_versions(name.as_str(), named.map(|(v, _)| *v)));
            }
            Package::Listed { .. } | Package::Presence(_) => return None,
        }
    }
    excluded.sort();
    needed.sort();
    match (excluded.as_slice(), needed.as_slice()) {
        ([], []) => None,
        ([], needed) => Some(format!("so the release needs {}", needed.join(" or "))),
        ([one], []) => Some(format!("so {one} cannot be used")),
        (several, []) => Some(format!("so {} exclude each other", several.join(" and "))),
        (several, needed) => Some(format!(
            "so {} needs {}",
            several.join(" with "),
            needed.join(" or ")
        )),
    }
}

/// A name with versions, in ascending order.
fn named_versions<'v>(name: &str, versions: impl Iterator<Item = &'v Version>) -> String {
    let versions: Vec<String> = versions.map(ToString::to_string).collect();
    match versions.as_slice() {
        [] => name.to_owned(),
        [one] => format!("{name} {one}"),
        [one, other] => format!("{name} {one} and {other}"),
        [first, .., last] => format!("{name} {first} to {last} ({} versions)", versions.len()),
    }
}

/// The newest versions, and how many others there are.
pub(super) fn newest<'v>(
    versions: impl DoubleEndedIterator<Item = &'v Version> + ExactSizeIterator,
) -> String {
    let others = versions.len().saturating_sub(LISTED);
    let newest: Vec<String> = versions
        .rev()
        .take(LISTED)
        .map(ToString::to_string)
        .collect();
    match others {
        0 => newest.join(", "),
        others => format!("{} and {others} older", newest.join(", ")),
    }
}

/// What versions of a package say of another one.
fn facts<'a>(
    space: &Space<'a>,
    from: Package<'a>,
    to: Package<'a>,
    positions: &Positions,
) -> Vec<Fact<'a>> {
    match (from, to) {
        (Package::Root, Package::Suite(name)) => suite_ask(space, name).into_iter().collect(),
        (Package::Root, Package::Capability(name) | Package::Presence(name)) => {
            pin(space, name).into_iter().collect()
        }
        (Package::Suite(suite), Package::Capability(name) | Package::Presence(name)) => {
            let releases = space.suites.get(suite).map_or(0, Vec::len);
            let releases = positions.below(releases).rev();
            releases
                .filter_map(|release| listed(space, suite, release, name))
                .collect()
        }
        (
            Package::Listed { suite, release, .. },
            Package::Capability(name) | Package::Presence(name),
        ) => listed(space, suite, release, name).into_iter().collect(),
        (
            Package::Listed {
                suite,
                release,
                capability,
            },
            Package::Suite(other),
        ) => replaces(space, (suite, release), capability, other)
            .into_iter()
            .collect(),
        (Package::Capability(name), Package::Capability(other)) => {
            sayings(space, name, positions, |candidate| {
                requirement(space, candidate, other)
            })
        }
        (Package::Capability(name), Package::Presence(other)) if name != other => {
            sayings(space, name, positions, |candidate| {
                conflict(candidate, other)
            })
        }
        _ => Vec::new(),
    }
}

/// What the release definition, or the platform, says of a suite.
fn suite_ask<'a>(space: &Space<'a>, name: &'a Name) -> Option<Fact<'a>> {
    let ask = space.asked_suites.get(name)?;
    let wanted = &ask.wanted.value;
    let text = match (
        ask.pinned,
        space.request.product.zip(space.request.platform),
        wanted,
    ) {
        (false, Some((product, platform)), wanted) => {
            format!(
                "platform {product} {} lists suite {name} {wanted}",
                platform.value
            )
        }
        (_, _, Wanted::Exact(version)) => format!("the release pins suite {name} to {version}"),
        (_, _, Wanted::Range(range)) => format!("the release asks for suite {name} {range}"),
    };
    let releases = space.suites.get(name);
    let impossible = match releases {
        None => Some(Impossible {
            code: Code::SuiteUnknown,
            text: format!("but the catalog has no suite {name}"),
            hint: nearest(name, space.suites.keys()),
        }),
        Some(releases) if space.releases(name).is_empty() => Some(Impossible {
            code: Code::VersionMissing,
            text: format!(
                "but of it there is only {}",
                newest(releases.iter().map(|(v, _)| *v))
            ),
            hint: Some(format!(
                "name one of these, or add suites/{name}/…/suite.toml to the catalog"
            )),
        }),
        Some(_) => None,
    };
    Some(Fact {
        at: ask.wanted.at.clone(),
        text,
        ask: Some(Ask::Suite(name)),
        impossible,
        about: name,
        leaves: Leaves::None,
    })
}

/// What the release definition says of a capability.
fn pin<'a>(space: &Space<'a>, name: &'a Name) -> Option<Fact<'a>> {
    let pin = space.pins.get(name)?;
    let text = match &pin.value {
        Wanted::Exact(version) => format!("the release pins {name} to {version}"),
        Wanted::Range(range) => format!("the release asks for {name} {range}"),
    };
    Some(asked(
        space,
        name,
        &pin.value,
        pin.at.clone(),
        text,
        Ask::Capability(name),
    ))
}

/// What a suite release says of a capability.
fn listed<'a>(
    space: &Space<'a>,
    suite: &'a Name,
    release: Position,
    name: &'a Name,
) -> Option<Fact<'a>> {
    let (version, entry) = space.suites.get(suite)?.get(release as usize)?;
    let wanted = entry.definition.wanted(name)?;
    let text = format!("suite {suite} {version} lists {name} {}", wanted.value);
    let ask = Ask::Listed(suite, name);
    Some(asked(
        space,
        name,
        &wanted.value,
        wanted.at.clone(),
        text,
        ask,
    ))
}

/// That a suite of the release definition goes before one of the platform.
fn replaces<'a>(
    space: &Space<'a>,
    (suite, release): (&'a Name, Position),
    capability: &'a Name,
    other: &'a Name,
) -> Option<Fact<'a>> {
    let (version, _) = space.suites.get(suite)?.get(release as usize)?;
    let ask = space.asked_suites.get(other)?;
    let wanted = &ask.wanted.value;
    Some(Fact {
        at: ask.wanted.at.clone(),
        text: format!(
            "the release asks for suite {other} {wanted}, which goes before what suite {suite} {version} lists of {capability}"
        ),
        ask: Some(Ask::Suite(other)),
        impossible: None,
        about: other,
        leaves: Leaves::None,
    })
}

fn asked<'a>(
    space: &Space<'a>,
    name: &'a Name,
    wanted: &'a Wanted,
    at: Place,
    text: String,
    ask: Ask<'a>,
) -> Fact<'a> {
    let dropped = space
        .request
        .mode
        .filter(|_| space.is_dropped(name, wanted));
    let (text, impossible, leaves) = match dropped {
        Some(mode) => (
            format!("{text}, which may not run in {mode} and is left out"),
            None,
            Leaves::None,
        ),
        None => (
            text,
            impossible(
                space,
                name,
                wanted.into(),
                matches!(ask, Ask::Capability(_)),
            ),
            Leaves::Demanded(wanted.into()),
        ),
    };
    Fact {
        at,
        text,
        ask: Some(ask),
        impossible,
        about: name,
        leaves,
    }
}

/// What each of several versions says, newest first; those that say the same are told as one.
fn sayings<'a>(
    space: &Space<'a>,
    name: &'a Name,
    positions: &Positions,
    say: impl Fn(Candidate<'a>) -> Option<(String, Fact<'a>)>,
) -> Vec<Fact<'a>> {
    let candidates = space.candidates(name);
    let mut told: Vec<(String, Vec<&Version>, Fact<'a>)> = Vec::new();
    for position in positions.below(candidates.len()).rev() {
        let Some(candidate) = candidates.get(position as usize) else {
            continue;
        };
        let Some((what, fact)) = say(*candidate) else {
            continue;
        };
        match told.iter_mut().find(|(other, ..)| *other == what) {
            Some((_, versions, _)) => versions.push(candidate.0),
            None => told.push((what, vec![candidate.0], fact)),
        }
    }
    let facts = told.into_iter().map(|(what, versions, fact)| Fact {
        text: format!(
            "{} {what}",
            named_versions(name.as_str(), versions.into_iter().rev())
        ),
        ..fact
    });
    facts.collect()
}

/// What a version requires, or what stands in for it.
fn requirement<'a>(
    space: &Space<'a>,
    (_, entry): Candidate<'a>,
    other: &'a Name,
) -> Option<(String, Fact<'a>)> {
    let stand_in = space.stand_in(entry).zip(space.request.mode);
    let (at, text, demand) = if let Some((stand_in, mode)) = stand_in {
        let text = format!("may not run in {mode}, where {other} stands in for it");
        (stand_in.at.clone(), text, Demand::Any)
    } else {
        let mut requires = entry.definition.requires.iter();
        let (_, range) = requires.find(|(required, _)| required == other)?;
        let text = format!("requires {other} {}", range.value);
        (range.at.clone(), text, Demand::Range(&range.value))
    };
    let fact = Fact {
        at,
        text: String::new(),
        ask: None,
        impossible: impossible(space, other, demand, false),
        about: other,
        leaves: Leaves::Demanded(demand),
    };
    Some((text, fact))
}

/// What a version does not work with.
fn conflict<'a>((_, entry): Candidate<'a>, other: &'a Name) -> Option<(String, Fact<'a>)> {
    let mut conflicts = entry.definition.conflicts.iter();
    let (_, range) = conflicts.find(|(named, _)| named == other)?;
    let fact = Fact {
        at: range.at.clone(),
        text: String::new(),
        ask: None,
        impossible: None,
        about: other,
        leaves: Leaves::AllBut(&range.value),
    };
    Some((format!("does not work with {other} {}", range.value), fact))
}

/// Why nothing meets a demand, if nothing does. What the release definition itself demands, it can pin.
fn impossible(
    space: &Space<'_>,
    name: &Name,
    demand: Demand<'_>,
    of_release: bool,
) -> Option<Impossible> {
    if !space.usable(name, demand).is_empty() {
        return None;
    }
    let candidates = space.candidates(name);
    if candidates.is_empty() {
        let hint = nearest(name, space.capabilities.keys());
        return Some(Impossible {
            code: Code::CapabilityUnknown,
            text: format!("but the catalog has no {name}"),
            hint: hint.or_else(|| {
                Some(format!(
                    "add capabilities/{name}/…/capability.toml to the catalog"
                ))
            }),
        });
    }
    let judged = candidates.iter().filter_map(|candidate| {
        let verdict = space.judge(name, *candidate, demand)?;
        Some((candidate.0, verdict))
    });
    let judged: Vec<(&Version, Verdict<'_>)> = judged.collect();
    let Some((version, verdict)) = judged.last() else {
        let versions = candidates.iter().map(|(version, _)| *version);
        return Some(Impossible {
            code: Code::VersionMissing,
            text: format!("but of it there is only {}", newest(versions)),
            hint: Some(format!(
                "name one of these, or add the version below capabilities/{name} of the catalog"
            )),
        });
    };
    let code = match verdict {
        Verdict::Yanked(_) => Code::Yanked,
        Verdict::PreRelease => Code::VersionMissing,
        Verdict::Mode | Verdict::Usable => Code::ModeUnavailable,
    };
    let text = format!("but {version} {}", verdict_text(*verdict, space));
    let hint = match verdict {
        Verdict::PreRelease => Some(format!("pin it: \"{name}\" = \"{version}\"")),
        Verdict::Yanked(_) if of_release => Some(format!(
            "ask for another version; if it has to be this one, pin it: \"{name}\" = \"{version}\""
        )),
        _ => None,
    };
    Some(Impossible { code, text, hint })
}

/// Why a version is not usable.
fn verdict_text(verdict: Verdict<'_>, space: &Space<'_>) -> String {
    match verdict {
        Verdict::Yanked(reason) => format!("was withdrawn: {reason}"),
        Verdict::PreRelease => {
            "is a pre-release, which enters a release only by its name".to_owned()
        }
        Verdict::Mode | Verdict::Usable => {
            let mode = space.request.mode.map(Mode::name).unwrap_or_default();
            format!("may not run in {mode}, and nothing stands in for it")
        }
    }
}

/// Names that may be meant.
pub(super) fn nearest<'n>(
    name: &Name,
    names: impl Iterator<Item = &'n &'n Name>,
) -> Option<String> {
    let near: Vec<&str> = names
        .map(|other| other.as_str())
        .filter(|other| is_near(name.as_str(), other))
        .take(3)
        .collect();
    (!near.is_empty()).then(|| format!("did you mean {}?", near.join(" or ")))
}
