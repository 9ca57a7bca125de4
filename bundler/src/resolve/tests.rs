//! Random small catalogs: what is decided keeps to all that is said, and nothing that is possible is refused.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sealift_verifier::release::Mode;

use super::*;
use crate::definition::{CapabilityDefinition, Document};

/// A capability's version as the test makes it: what it requires and conflicts with, and where it may run.
#[derive(Debug, Clone)]
struct Made {
    version: u64,
    requires: Vec<(usize, u64, u64)>,
    conflicts: Vec<(usize, u64, u64)>,
    only_saas: bool,
    substitute: Option<usize>,
}

#[derive(Debug, Clone)]
struct Case {
    /// The versions of each capability.
    made: Vec<Vec<Made>>,
    pins: Vec<(usize, u64, u64)>,
}

const NAMES: [&str; 4] = ["a/a", "b/b", "c/c", "d/d"];

fn range((_, low, high): &(usize, u64, u64)) -> String {
    format!(">={low}, <={high}")
}

fn inside((_, low, high): &(usize, u64, u64), version: u64) -> bool {
    (*low..=*high).contains(&version)
}

fn others(number: usize) -> impl Strategy<Value = Vec<(usize, u64, u64)>> {
    let bounds = (0_usize..NAMES.len(), 1_u64..4, 0_u64..3);
    proptest::collection::vec(bounds, 0..3).prop_map(move |list| {
        let list = list.into_iter().filter(|(other, ..)| *other != number);
        let unique: BTreeMap<usize, (u64, u64)> =
            list.map(|(o, low, more)| (o, (low, low + more))).collect();
        unique
            .into_iter()
            .map(|(o, (low, high))| (o, low, high))
            .collect()
    })
}

fn made(number: usize, version: u64) -> impl Strategy<Value = Made> {
    let mode = prop_oneof![3 => Just(false), 1 => Just(true)];
    let substitute = proptest::option::of(0_usize..NAMES.len());
    let conflicts = prop_oneof![2 => Just(Vec::new()), 1 => others(number)];
    (others(number), conflicts, mode, substitute).prop_map(
        move |(requires, conflicts, only_saas, substitute)| Made {
            version,
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
    (all, others(NAMES.len())).prop_map(|(made, pins)| Case { made, pins })
}

impl Made {
    fn runs(&self, mode: Option<Mode>) -> bool {
        !(self.only_saas && mode == Some(Mode::Edge))
    }

    fn is_usable(&self, mode: Option<Mode>) -> bool {
        self.runs(mode) || self.substitute.is_some()
    }

    fn text(&self, name: &str) -> String {
        let table = |title: &str, list: &[(usize, u64, u64)]| {
            let lines = list
                .iter()
                .map(|item| format!("\"{}\" = \"{}\"\n", NAMES[item.0], range(item)));
            format!("[{title}]\n{}", lines.collect::<Vec<_>>().concat())
        };
        let modes = if self.only_saas {
            "modes = [\"saas\"]\n"
        } else {
            ""
        };
        let substitute = self.substitute.map_or(String::new(), |other| {
            format!("[substitutes]\nedge = \"{}\"\n", NAMES[other])
        });
        format!(
            "name = \"{name}\"\nversion = \"{}.0.0\"\nkind = \"service\"\n{modes}{}{}{substitute}",
            self.version,
            table("requires", &self.requires),
            table("conflicts", &self.conflicts),
        )
    }
}

impl Case {
    fn catalog(&self) -> Catalog {
        let mut catalog = Catalog::default();
        for (name, versions) in NAMES.iter().zip(&self.made) {
            let name: Name = name.parse().unwrap();
            for made in versions {
                let version = Version::new(made.version, 0, 0);
                let file: std::sync::Arc<Path> = Path::new("capability.toml").into();
                let document = Document::of_bytes(&file, made.text(name.as_str()).into()).unwrap();
                let digest = document.digest();
                let (definition, problems) = document
                    .interpret(|fields| Some(CapabilityDefinition::read(fields, &name, &version)));
                assert_eq!(problems, []);
                let definition = definition.unwrap();
                let entry = Entry {
                    file,
                    digest,
                    definition,
                };
                let versions = catalog.capabilities.entry(name.clone()).or_default();
                versions.insert(version, entry);
            }
        }
        catalog
    }

    fn pins(&self) -> Vec<(Name, Located<Wanted>)> {
        let pins = self.pins.iter().map(|pin| {
            let wanted = Located {
                value: Wanted::Range(range(pin).parse().unwrap()),
                at: Place::of_file(Path::new("RELEASE.toml")),
            };
            (NAMES[pin.0].parse().unwrap(), wanted)
        });
        pins.collect()
    }

    fn resolve(&self, mode: Option<Mode>, preferred: &Preferred) -> Result<Resolved, Vec<Problem>> {
        let (catalog, pins) = (self.catalog(), self.pins());
        let request = Request {
            definition: Path::new("RELEASE.toml"),
            product: None,
            platform: None,
            suites: &[],
            capabilities: &pins,
            mode,
            preferred,
        };
        resolve(&catalog, &request)
    }

    fn is_dropped(&self, pin: &(usize, u64, u64), mode: Option<Mode>) -> bool {
        let mut meant = self.made[pin.0]
            .iter()
            .filter(|candidate| inside(pin, candidate.version))
            .peekable();
        meant.peek().is_some() && !meant.any(|candidate| candidate.is_usable(mode))
    }

    /// Whether a choice of a version, or none, of each capability keeps to all that is said.
    fn allows(&self, choice: &[Option<u64>], mode: Option<Mode>) -> bool {
        let chosen = |number: usize| {
            let version = choice[number]?;
            self.made[number]
                .iter()
                .find(|candidate| candidate.version == version)
        };
        let there = |number: usize| chosen(number).filter(|other| other.runs(mode));
        let met = |item: &(usize, u64, u64)| {
            chosen(item.0).is_some_and(|other| inside(item, other.version))
        };
        let pins = self.pins.iter().all(|pin| {
            if self.is_dropped(pin, mode) {
                there(pin.0).is_none()
            } else {
                met(pin)
            }
        });
        let all = (0..NAMES.len()).filter_map(chosen).all(|one| {
            if !one.runs(mode) {
                return one.substitute.is_some_and(|other| chosen(other).is_some());
            }
            let conflict =
                |item: &(usize, u64, u64)| there(item.0).is_some_and(|o| inside(item, o.version));
            one.requires.iter().all(met) && !one.conflicts.iter().any(conflict)
        });
        pins && all
    }

    /// Whether any choice does, by looking at each.
    fn is_possible(&self, mode: Option<Mode>) -> bool {
        let choices: Vec<Option<u64>> = vec![None, Some(1), Some(2), Some(3)];
        (0..4_usize.pow(4)).any(|number| {
            let choice: Vec<_> = (0..4)
                .map(|i| choices[number / 4_usize.pow(i) % 4])
                .collect();
            self.allows(&choice, mode)
        })
    }
}

/// What is a problem only of the whole, once versions are decided.
fn is_of_the_whole(problem: &Problem) -> bool {
    matches!(problem.code, Code::RequirementCycle | Code::SubstituteCycle)
        || problem.message.contains("nothing of this release")
        || problem.message.contains("carries nothing")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn what_is_decided_is_allowed_and_what_is_possible_is_decided(case in case(), edge in any::<bool>()) {
        let mode = edge.then_some(Mode::Edge);
        match case.resolve(mode, &Preferred::default()) {
            Ok(resolved) => {
                let choice: Vec<Option<u64>> = NAMES.iter().map(|name| {
                    let name: Name = name.parse().unwrap();
                    let there = resolved.capabilities.get(&name).map(|(version, _)| version.major);
                    there.or_else(|| resolved.replaced.get(&name).map(|version| version.major))
                }).collect();
                prop_assert!(case.allows(&choice, mode), "{:?}", choice);
                // The same again, and with itself as a lock.
                let versions = resolved.capabilities.iter().map(|(n, (v, _))| (n.clone(), v.clone()));
                let lock = Preferred {
                    capabilities: versions.chain(resolved.replaced.clone()).collect(),
                    ..Preferred::default()
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
