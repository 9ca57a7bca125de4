//! Random small catalogs: what is decided keeps to all that is said, and nothing that is possible is refused.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sealift_verifier::release::{Mode, Rule};

use super::*;
use crate::definition::{CapabilityDefinition, Document};

/// What is said of versions. They are told apart by their first number.
#[derive(Debug, Clone)]
enum Said {
    Exact(u64),
    /// From the lowest to the highest; `pre` if it names the pre-release of the lowest.
    Range {
        low: u64,
        high: u64,
        pre: bool,
    },
}

/// What is said of some of the others, by their numbers.
type Table = BTreeMap<usize, Said>;

/// A capability's version as the test makes it: what it requires and conflicts with, and where it may run.
#[derive(Debug, Clone)]
struct Made {
    version: u64,
    pre: bool,
    yanked: bool,
    requires: Table,
    conflicts: Table,
    only_saas: bool,
    substitute: Option<usize>,
}

#[derive(Debug, Clone)]
struct Case {
    /// The versions of each capability.
    made: Vec<Vec<Made>>,
    /// What each release of each suite lists.
    suites: Vec<Vec<Table>>,
    /// What the platform release says of suites, if one is pinned.
    platform: Option<Table>,
    /// What the release definition says of suites.
    asked_suites: Table,
    /// What the release definition says of capabilities.
    pins: Table,
}

/// A version of each capability, or none, and a release of each suite.
#[derive(Debug)]
struct Choice {
    versions: Vec<Option<u64>>,
    releases: Vec<u64>,
}

const NAMES: [&str; 4] = ["a/a", "b/b", "c/c", "d/d"];
const SUITES: [&str; 2] = ["one", "two"];

fn name(number: usize) -> Name {
    NAMES[number].parse().unwrap()
}

impl Said {
    /// As a definition says it of something whose versions are these.
    fn wanted(&self, exact: impl Fn(u64) -> Version) -> Wanted {
        match self {
            Self::Exact(version) => Wanted::Exact(exact(*version)),
            Self::Range { low, high, pre } => {
                let low = format!("{low}.0.0{}", if *pre { "-rc.1" } else { "" });
                Wanted::Range(format!(">={low}, <={high}").parse().unwrap())
            }
        }
    }

    /// By SemVer's order, and by the name of a pre-release.
    fn meets(&self, version: u64, is_pre: bool) -> bool {
        match self {
            Self::Exact(exact) => *exact == version,
            Self::Range { low, high, pre } => {
                version <= *high && (version > *low || version == *low && (*pre || !is_pre))
            }
        }
    }

    /// Whether it names a pre-release that meets it.
    fn names(&self, version: u64) -> bool {
        match self {
            Self::Exact(_) => true,
            Self::Range { low, pre, .. } => *pre && *low == version,
        }
    }
}

fn ranges(pre: bool) -> impl Strategy<Value = Said> {
    (1_u64..4, 0_u64..3, any::<bool>()).prop_map(move |(low, more, names)| Said::Range {
        low,
        high: low + more,
        pre: pre && names,
    })
}

fn said(versions: u64, pre: bool) -> impl Strategy<Value = Said> {
    prop_oneof![ranges(pre), (1..=versions).prop_map(Said::Exact)]
}

/// A table of at most so many of `count` others; nobody speaks of itself.
fn table(
    count: usize,
    most: usize,
    own: Option<usize>,
    said: impl Strategy<Value = Said>,
) -> impl Strategy<Value = Table> {
    proptest::collection::btree_map(0..count, said, 0..=most).prop_map(move |mut table| {
        table.retain(|other, _| Some(*other) != own);
        table
    })
}

fn made(number: usize, version: u64) -> impl Strategy<Value = Made> {
    let others = || table(NAMES.len(), 2, Some(number), ranges(true));
    let conflicts = prop_oneof![2 => Just(Table::new()), 1 => others()];
    let flags = (
        proptest::bool::weighted(0.2),
        proptest::bool::weighted(0.15),
        proptest::bool::weighted(0.25),
    );
    let substitute = proptest::option::of(0_usize..NAMES.len());
    (others(), conflicts, flags, substitute).prop_map(
        move |(requires, conflicts, (pre, yanked, only_saas), substitute)| Made {
            version,
            pre,
            yanked,
            requires,
            conflicts,
            only_saas,
            substitute: substitute.filter(|other| only_saas && *other != number),
        },
    )
}

fn case() -> impl Strategy<Value = Case> {
    let versions = |number| (1_u64..4).map(|v| made(number, v)).collect::<Vec<_>>();
    let all: Vec<_> = (0..NAMES.len()).map(versions).collect();
    let listing = || table(NAMES.len(), 3, None, said(3, true));
    let suites = proptest::collection::vec(proptest::collection::vec(listing(), 2), SUITES.len());
    let of_suites = || table(SUITES.len(), 2, None, said(2, false));
    let platform = proptest::option::of(of_suites());
    let pins = table(NAMES.len(), 2, None, said(3, true));
    (all, suites, platform, of_suites(), pins).prop_map(
        |(made, suites, platform, asked_suites, pins)| Case {
            made,
            suites,
            platform,
            asked_suites,
            pins,
        },
    )
}

impl Made {
    fn semver(&self) -> Version {
        let pre = if self.pre { "-rc.1" } else { "" };
        format!("{}.0.0{pre}", self.version).parse().unwrap()
    }

    fn runs(&self, mode: Option<Mode>) -> bool {
        !(self.only_saas && mode == Some(Mode::Edge))
    }

    fn text(&self, name: &str) -> String {
        let table = |title: &str, table: &Table| {
            let lines = table.iter().map(|(other, said)| {
                let wanted = said.wanted(|_| unreachable!("a requirement is a range"));
                format!("\"{}\" = \"{wanted}\"\n", NAMES[*other])
            });
            format!("[{title}]\n{}", lines.collect::<Vec<_>>().concat())
        };
        let modes = if self.only_saas {
            "modes = [\"saas\"]\n"
        } else {
            ""
        };
        let yanked = if self.yanked {
            "yanked = true\nyanked-reason = \"bad\"\n"
        } else {
            ""
        };
        let substitute = self.substitute.map_or(String::new(), |other| {
            format!("[substitutes]\nedge = \"{}\"\n", NAMES[other])
        });
        format!(
            "name = \"{name}\"\nversion = \"{}\"\nkind = \"service\"\n{modes}{yanked}{}{}{substitute}",
            self.semver(),
            table("requires", &self.requires),
            table("conflicts", &self.conflicts),
        )
    }
}

fn located(table: &Table, exact: impl Fn(usize, u64) -> Version) -> Vec<(usize, Located<Wanted>)> {
    let members = table.iter().map(|(other, said)| {
        let wanted = Located {
            value: said.wanted(|version| exact(*other, version)),
            at: Place::of_file(Path::new("x.toml")),
        };
        (*other, wanted)
    });
    members.collect()
}

/// A definition that lies in the file `x.toml`.
fn entry<T>(definition: T) -> Entry<T> {
    Entry {
        file: Path::new("x.toml").into(),
        digest: sealift_verifier::digest::Digest::of(b""),
        definition,
    }
}

impl Case {
    fn version(&self, number: usize, version: u64) -> Version {
        let mut made = self.made[number].iter();
        made.find(|made| made.version == version).unwrap().semver()
    }

    fn of_capabilities(&self, table: &Table) -> Vec<(Name, Located<Wanted>)> {
        let members = located(table, |number, version| self.version(number, version));
        let members = members.into_iter();
        members.map(|(n, wanted)| (name(n), wanted)).collect()
    }

    fn catalog(&self) -> Catalog {
        let mut catalog = Catalog::default();
        for (number, versions) in self.made.iter().enumerate() {
            let name = name(number);
            for made in versions {
                let version = made.semver();
                let file: std::sync::Arc<Path> = Path::new("capability.toml").into();
                let document = Document::of_bytes(&file, made.text(name.as_str()).into()).unwrap();
                let (definition, problems) = document
                    .interpret(|fields| Some(CapabilityDefinition::read(fields, &name, &version)));
                assert_eq!(problems, []);
                let versions = catalog.capabilities.entry(name.clone()).or_default();
                versions.insert(version, entry(definition.unwrap()));
            }
        }
        for (suite, releases) in SUITES.iter().zip(&self.suites) {
            let versions = catalog.suites.entry(suite.parse().unwrap()).or_default();
            for (release, listing) in (1..).zip(releases) {
                let members = self.of_capabilities(listing);
                versions.insert(Version::new(release, 0, 0), entry(Listing { members }));
            }
        }
        if let Some(platform) = &self.platform {
            let members = of_suites(platform);
            let versions = catalog.platforms.entry("acme".parse().unwrap());
            let versions = versions.or_default();
            versions.insert(Version::new(1, 0, 0), entry(Listing { members }));
        }
        catalog
    }

    fn resolve(&self, mode: Option<Mode>, preferred: &Preferred) -> Result<Resolved, Vec<Problem>> {
        let catalog = self.catalog();
        let platform = self.platform.as_ref().map(|_| Located {
            value: Version::new(1, 0, 0),
            at: Place::of_file(Path::new("RELEASE.toml")),
        });
        let request = Request {
            definition: Path::new("RELEASE.toml"),
            product: Some(&"acme".parse().unwrap()),
            platform: platform.as_ref(),
            suites: &of_suites(&self.asked_suites),
            capabilities: &self.of_capabilities(&self.pins),
            mode,
            preferred,
            doubt: &Doubt::default(),
        };
        resolve(&catalog, &request)
    }

    /// The suites that have a part in the release, and whether its definition asks for them itself.
    fn suites(&self) -> BTreeMap<usize, (&Said, bool)> {
        let listed = self
            .platform
            .iter()
            .flatten()
            .map(|(n, s)| (*n, (s, false)));
        let asked = self.asked_suites.iter().map(|(n, s)| (*n, (s, true)));
        listed.chain(asked).collect()
    }

    /// What the closest that speak of a capability say of it, with the rule that holds for a single version.
    fn closest(&self, number: usize, releases: &[u64]) -> Vec<(Rule, &Said)> {
        if let Some(pin) = self.pins.get(&number) {
            return vec![(Rule::Capability, pin)];
        }
        let suites = self.suites();
        let of = |asked: bool| {
            let suites = suites
                .iter()
                .filter(move |(_, (_, itself))| *itself == asked);
            let listings = suites.filter_map(move |(suite, _)| self.listing(*suite, releases));
            let rule = if asked { Rule::Suite } else { Rule::Platform };
            let said = listings.filter_map(move |listing| listing.get(&number));
            said.map(move |said| (rule, said)).collect::<Vec<_>>()
        };
        match of(true) {
            none if none.is_empty() => of(false),
            some => some,
        }
    }

    fn listing(&self, suite: usize, releases: &[u64]) -> Option<&Table> {
        let number = usize::try_from(releases[suite]).ok()?.checked_sub(1)?;
        self.suites[suite].get(number)
    }

    /// Whether the release definition pins this very version.
    fn is_pinned(&self, number: usize, version: u64) -> bool {
        matches!(self.pins.get(&number), Some(Said::Exact(exact)) if *exact == version)
    }

    /// Whether a version may be taken where this is said of it, or nothing. `lenient` lets in pre-releases that
    /// any chosen suite names, whoever asks.
    fn is_usable(
        &self,
        (number, made): (usize, &Made),
        said: Option<&Said>,
        choice: &Choice,
        lenient: bool,
    ) -> bool {
        let (version, pinned) = (made.version, self.is_pinned(number, made.version));
        let in_suite = || {
            let suites = self.suites();
            let mut listings = suites
                .keys()
                .filter_map(|suite| self.listing(*suite, &choice.releases));
            listings.any(
                |listing| matches!(listing.get(&number), Some(Said::Exact(v)) if *v == version),
            )
        };
        let named = || said.is_some_and(|said| said.names(version)) || lenient && in_suite();
        said.is_none_or(|said| said.meets(version, made.pre))
            && (pinned || !made.yanked)
            && (pinned || !made.pre || named())
    }

    /// Whether a choice keeps to all that is said.
    fn allows(&self, choice: &Choice, mode: Option<Mode>, lenient: bool) -> bool {
        let chosen = |number: usize| {
            let version = choice.versions[number]?;
            let mut versions = self.made[number].iter();
            versions.find(|made| made.version == version)
        };
        let there = |number: usize| chosen(number).filter(|other| other.runs(mode));
        let met = |number: usize, said: Option<&Said>| {
            chosen(number).is_some_and(|made| self.is_usable((number, made), said, choice, lenient))
        };
        let suites = self.suites();
        let releases = suites
            .iter()
            .all(|(suite, (said, _))| said.meets(choice.releases[*suite], false));
        let asked = (0..NAMES.len()).all(|number| {
            let mut said = self.closest(number, &choice.releases).into_iter();
            said.all(|(_, said)| {
                let meant = self.made[number]
                    .iter()
                    .filter(|made| self.is_usable((number, made), Some(said), choice, lenient));
                let mut meant = meant.peekable();
                let is_there = meant.peek().is_some();
                if is_there && !meant.any(|made| made.runs(mode) || made.substitute.is_some()) {
                    // It may not run in the mode, and is left out, whatever might stand in for another version of it.
                    chosen(number).is_none()
                } else {
                    met(number, Some(said))
                }
            })
        });
        let each = (0..NAMES.len()).filter_map(chosen).all(|one| {
            if !one.runs(mode) {
                return one.substitute.is_some_and(|other| met(other, None));
            }
            let in_conflict = |(other, said): (&usize, &Said)| {
                there(*other).is_some_and(|made| said.meets(made.version, made.pre))
            };
            let mut requires = one.requires.iter();
            requires.all(|(other, said)| met(*other, Some(said)))
                && !one.conflicts.iter().any(in_conflict)
        });
        releases && asked && each
    }

    /// Whether any choice does, by looking at each.
    fn is_possible(&self, mode: Option<Mode>) -> bool {
        let digit = |number: u64, place: u32, base: u64| number / base.pow(place) % base;
        let mut choices = (0..4_u64.pow(4)).flat_map(|versions| {
            (0..4).map(move |releases| Choice {
                versions: (0..4)
                    .map(|place| Some(digit(versions, place, 4)).filter(|v| *v > 0))
                    .collect(),
                releases: (0..2).map(|place| digit(releases, place, 2) + 1).collect(),
            })
        });
        choices.any(|choice| self.allows(&choice, mode, false))
    }

    /// What the decision on a capability has to say.
    fn rule(&self, number: usize, choice: &Choice) -> (Rule, Option<Rule>) {
        let closest = self.closest(number, &choice.releases);
        let exact = closest.iter().find(|(_, s)| matches!(s, Said::Exact(_)));
        match (exact, closest.first()) {
            (Some((rule, _)), _) => (*rule, None),
            (None, Some((rule, _))) => (Rule::Latest, Some(*rule)),
            (None, None) => (Rule::Latest, None),
        }
    }
}

fn of_suites(table: &Table) -> Vec<(Name, Located<Wanted>)> {
    let members = located(table, |_, version| Version::new(version, 0, 0)).into_iter();
    members
        .map(|(n, wanted)| (SUITES[n].parse().unwrap(), wanted))
        .collect()
}

/// What is a problem only of the whole, once versions are decided.
fn is_of_the_whole(problem: &Problem) -> bool {
    matches!(problem.code, Code::RequirementCycle | Code::SubstituteCycle)
        || problem.message.contains("nothing of this release")
        || problem.message.contains("carries nothing")
}

fn chosen(resolved: &Resolved) -> Choice {
    let version = |number: usize| {
        let name = name(number);
        let there = resolved.capabilities.get(&name).map(|(version, _)| version);
        there
            .or_else(|| resolved.replaced.get(&name))
            .map(|v| v.major)
    };
    let release = |name: &str| {
        let mut suites = resolved.resolution.suites.iter();
        suites
            .find(|suite| suite.name.as_str() == name)
            .map_or(0, |suite| suite.version.major)
    };
    Choice {
        versions: (0..NAMES.len()).map(version).collect(),
        releases: SUITES.map(release).to_vec(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn what_is_decided_is_allowed_and_what_is_possible_is_decided(case in case(), edge in any::<bool>()) {
        // In a mode, whether something is left out depends on what there is to choose from: a suite that names a
        // pre-release would have a say in that only once it is chosen.
        let names_pre = case.suites.iter().flatten().flatten().any(|(number, said)| {
            matches!(said, Said::Exact(v) if !case.version(*number, *v).pre.is_empty())
        });
        let mode = (edge && !names_pre).then_some(Mode::Edge);
        match case.resolve(mode, &Preferred::default()) {
            Ok(resolved) => {
                let choice = chosen(&resolved);
                prop_assert!(case.allows(&choice, mode, true), "{:?}", choice);
                for (number, name) in (0..NAMES.len()).map(|n| (n, name(n))) {
                    if let Some((_, decision)) = resolved.capabilities.get(&name) {
                        let of = decision.range.as_ref().map(|range| range.of);
                        prop_assert_eq!((decision.rule, of), case.rule(number, &choice), "{}", name);
                    }
                }
                // The same again, and with itself as a lock.
                let versions = resolved.capabilities.iter().map(|(n, (v, _))| (n.clone(), v.clone()));
                let suites = resolved.resolution.suites.iter();
                let lock = Preferred {
                    capabilities: versions.chain(resolved.replaced.clone()).collect(),
                    suites: suites.map(|s| (s.name.clone(), s.version.clone())).collect(),
                    free: BTreeSet::new(),
                };
                prop_assert_eq!(case.resolve(mode, &lock), Ok(resolved.clone()));
                prop_assert_eq!(case.resolve(mode, &Preferred::default()), Ok(resolved));
            }
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                if !problems.iter().any(is_of_the_whole) {
                    prop_assert!(!case.is_possible(mode), "{:?}", problems);
                }
            }
        }
    }
}
