//! `why`: why a capability is in a release, why in this version, and why in none of the later ones.

use std::{collections::BTreeSet, fmt::Write as _};

use sealift_verifier::{path::Name, release::Mode};
use semver::Version;
use serde_json::{Value, json};

use super::{
    Answer, Surroundings,
    decided::{Asked, Decided},
};
use crate::{
    catalog::Entry,
    collect::Definitions,
    definition::{CapabilityDefinition, Located, Wanted},
    error::Result,
    lock::{Locked, LockedCapability, Standing, unknown},
    problem::Place,
    resolve::meets,
};

/// Explain why a capability is in a release, and in this version
///
/// Shows which rule decided, who requires it, and which later versions there are and why they were not taken.
/// Reads the lock if there is one, and says if it is stale.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    asked: Asked,
    /// The capability
    #[arg(value_name = "CAPABILITY")]
    name: Name,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<Answer> {
    let Decided {
        definitions,
        locked,
        standing,
    } = args.asked.decide(around)?;
    let why = Why {
        definitions: &definitions,
        locked: &locked,
        standing,
    };
    match locked.capability(&args.name) {
        Some(capability) => Ok(why.present(capability)),
        None => why.absent(&args.name),
    }
}

struct Why<'a> {
    definitions: &'a Definitions,
    locked: &'a Locked,
    standing: Standing,
}

/// Something that speaks for a version, or against it.
struct Reason {
    text: String,
    at: Place,
    /// The capability that says so.
    by: Option<Name>,
}

impl Reason {
    fn json(&self) -> Value {
        json!({ "text": self.text, "at": spot(&self.at), "capability": self.by })
    }
}

fn spot(at: &Place) -> String {
    match at.line {
        0 => at.file.display().to_string(),
        line => format!("{}:{line}:{}", at.file.display(), at.column),
    }
}

fn allows(wanted: &Wanted, version: &Version) -> bool {
    match wanted {
        Wanted::Exact(exact) => exact == version,
        Wanted::Range(range) => meets(range, version),
    }
}

impl<'a> Why<'a> {
    fn present(&self, capability: &LockedCapability) -> Answer {
        let (name, version) = (&capability.name, &capability.version);
        let decided = capability.why();
        let mut text = format!("{name} {version}: {decided}\n");
        self.tell(&mut text, name, 1, &mut BTreeSet::new());
        if let Some(reason) = &capability.yanked {
            let _ = writeln!(text, "  withdrawn, and pinned all the same: {reason}");
        }
        let later = self.later(name, version);
        for (version, reasons) in &later {
            let _ = writeln!(text, "not {version}:");
            for reason in reasons {
                let _ = writeln!(text, "  {} ({})", reason.text, spot(&reason.at));
            }
        }
        text.push_str(self.standing.note());
        let reasons: Vec<_> = self.reasons(name).iter().map(Reason::json).collect();
        let later = later.iter().map(|(version, reasons)| {
            let reasons: Vec<_> = reasons.iter().map(Reason::json).collect();
            json!({ "version": version, "reasons": reasons })
        });
        let mut json = capability.json();
        json["mode"] = json!(self.locked.mode);
        json["lock"] = json!(self.standing);
        json["because"] = json!(reasons);
        json["later"] = later.collect();
        Answer { text, json }
    }

    fn absent(&self, name: &Name) -> Result<Answer> {
        let out = self.locked.left_out.iter().find(|out| out.name == *name);
        let Some(out) = out else {
            let here = std::slice::from_ref(self.locked);
            return Err(unknown(self.definitions, here, std::slice::from_ref(name)));
        };
        let mode = self.locked.mode.map_or("this mode", Mode::name);
        let mut text = match &out.substitute {
            Some(other) => format!(
                "{name} is not in the release: it may not run in {mode}, {other} stands in for it\n"
            ),
            None => format!(
                "{name} is not in the release: it may not run in {mode}, and nothing stands in for it\n"
            ),
        };
        let reasons = self.reasons(name);
        for reason in &reasons {
            let _ = writeln!(text, "  {} ({})", reason.text, spot(&reason.at));
        }
        text.push_str(self.standing.note());
        let json = json!({
            "name": name,
            "version": null,
            "mode": self.locked.mode,
            "lock": self.standing,
            "substitute": out.substitute,
            "because": reasons.iter().map(Reason::json).collect::<Vec<_>>(),
        });
        Ok(Answer { text, json })
    }

    /// Why something is there, and whatever asks for it, up to what nobody else asks for.
    fn tell(&self, text: &mut String, name: &Name, depth: usize, told: &mut BTreeSet<Name>) {
        let mut open: Vec<(Reason, usize)> = Vec::new();
        told.insert(name.clone());
        open.extend(
            self.reasons(name)
                .into_iter()
                .rev()
                .map(|reason| (reason, depth)),
        );
        while let Some((reason, depth)) = open.pop() {
            let _ = writeln!(
                text,
                "{}{} ({})",
                "  ".repeat(depth),
                reason.text,
                spot(&reason.at)
            );
            if let Some(by) = reason.by
                && told.insert(by.clone())
            {
                let more = self.reasons(&by).into_iter().rev();
                open.extend(more.map(|reason| (reason, depth + 1)));
            }
        }
    }

    fn entry(&self, name: &Name, version: &Version) -> Option<&'a Entry<CapabilityDefinition>> {
        self.definitions
            .catalog
            .capabilities
            .get(name)?
            .get(version)
    }

    /// What each capability in the release says of others.
    fn running(&self) -> impl Iterator<Item = (&'a Name, &'a Version, &'a CapabilityDefinition)> {
        let capabilities = self.locked.capabilities.iter();
        capabilities.filter_map(|c| {
            Some((
                &c.name,
                &c.version,
                &self.entry(&c.name, &c.version)?.definition,
            ))
        })
    }

    /// What suites list of a capability, and whether the release definition asks for the suite itself.
    fn listings(&self, name: &Name) -> Vec<(String, &'a Located<Wanted>, bool)> {
        let release = &self.definitions.release;
        let suites = self.locked.suites.iter().filter_map(|suite| {
            let suite = &suite.release;
            let versions = self.definitions.catalog.suites.get(&suite.name)?;
            let wanted = versions.get(&suite.version)?.definition.wanted(name)?;
            let asked = release.suites.iter().any(|(name, _)| *name == suite.name);
            let shown = format!("suite {} {}", suite.name, suite.version);
            Some((shown, wanted, asked))
        });
        suites.collect()
    }

    /// What asks for a capability.
    fn reasons(&self, name: &Name) -> Vec<Reason> {
        let release = &self.definitions.release;
        let mut reasons = Vec::new();
        let pin = release
            .capabilities
            .iter()
            .find(|(pinned, _)| pinned == name);
        if let Some((_, pin)) = pin {
            reasons.push(Reason {
                text: format!("the release definition asks for {name} {}", pin.value),
                at: pin.at.clone(),
                by: None,
            });
        }
        for (suite, wanted, asked) in self.listings(name) {
            let lists = match (pin, asked) {
                (Some(_), _) => " lists, and the release definition replaces,",
                (None, true) => ", which the release definition asks for, lists",
                (None, false) => ", which the platform lists, lists",
            };
            reasons.push(Reason {
                text: format!("{suite}{lists} {name} {}", wanted.value),
                at: wanted.at.clone(),
                by: None,
            });
        }
        for (other, version, definition) in self.running() {
            let mut requires = definition.requires.iter();
            if let Some((_, range)) = requires.find(|(required, _)| required == name) {
                reasons.push(Reason {
                    text: format!("{other} {version} requires {name} {}", range.value),
                    at: range.at.clone(),
                    by: Some(other.clone()),
                });
            }
        }
        for out in &self.locked.left_out {
            let Some((version, _)) = &out.version else {
                continue;
            };
            let entry = self.entry(&out.name, version);
            let substitutes = entry
                .into_iter()
                .flat_map(|entry| &entry.definition.substitutes);
            let here = substitutes
                .filter(|(mode, other)| Some(*mode) == self.locked.mode && other.value == *name);
            reasons.extend(here.map(|(mode, other)| Reason {
                text: format!(
                    "{} {version} may not run in {mode}: {name} stands in for it",
                    out.name
                ),
                at: other.at.clone(),
                by: Some(out.name.clone()),
            }));
        }
        reasons
    }

    /// Later versions, with what speaks against each.
    fn later(&self, name: &Name, chosen: &Version) -> Vec<(&'a Version, Vec<Reason>)> {
        let versions = self.definitions.catalog.capabilities.get(name);
        let later = versions
            .into_iter()
            .flatten()
            .filter(|(version, _)| *version > chosen);
        later
            .map(|(version, entry)| (version, self.against(name, version, entry)))
            .rev()
            .collect()
    }

    fn against(
        &self,
        name: &Name,
        version: &Version,
        entry: &'a Entry<CapabilityDefinition>,
    ) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let mut say = |text: String, at: &Place, by: Option<&Name>| {
            let (at, by) = (at.clone(), by.cloned());
            reasons.push(Reason { text, at, by });
        };
        let definition = &entry.definition;
        if let Some(reason) = &definition.yanked {
            say(
                format!("it was withdrawn: {}", reason.value),
                &reason.at,
                None,
            );
        }
        if let Some(mode) = self.locked.mode
            && !definition.modes.contains(&mode)
        {
            say(format!("it may not run in {mode}"), &entry.place(), None);
        }
        let release = &self.definitions.release;
        let pin = release
            .capabilities
            .iter()
            .find(|(pinned, _)| pinned == name);
        if let Some((_, pin)) = pin.filter(|(_, pin)| !allows(&pin.value, version)) {
            say(
                format!("the release definition asks for {name} {}", pin.value),
                &pin.at,
                None,
            );
        }
        if pin.is_none() {
            for (suite, wanted, _) in self.listings(name) {
                if !allows(&wanted.value, version) {
                    say(
                        format!("{suite} lists {name} {}", wanted.value),
                        &wanted.at,
                        None,
                    );
                }
            }
        }
        self.between(name, version, definition, &mut say);
        if reasons.is_empty() && !version.pre.is_empty() {
            let text = "it is a pre-release, which enters a release only by its name".to_owned();
            reasons.push(Reason {
                text,
                at: entry.place(),
                by: None,
            });
        } else if reasons.is_empty() && self.standing != Standing::Missing {
            let text = format!(
                "the lock keeps what it has: `sealift-bundler update … {name}` lets it move"
            );
            reasons.push(Reason {
                text,
                at: entry.place(),
                by: None,
            });
        } else if reasons.is_empty() {
            let text = "what it requires does not go with the others".to_owned();
            reasons.push(Reason {
                text,
                at: entry.place(),
                by: None,
            });
        }
        reasons
    }

    /// What the others in the release say against a version, and what it says against them.
    fn between(
        &self,
        name: &Name,
        version: &Version,
        definition: &CapabilityDefinition,
        say: &mut impl FnMut(String, &Place, Option<&Name>),
    ) {
        for (other, with, theirs) in self.running().filter(|(other, ..)| *other != name) {
            for (_, range) in theirs
                .requires
                .iter()
                .filter(|(required, _)| required == name)
            {
                if !meets(&range.value, version) {
                    say(
                        format!("{other} {with} requires {name} {}", range.value),
                        &range.at,
                        Some(other),
                    );
                }
            }
            for (_, range) in theirs.conflicts.iter().filter(|(named, _)| named == name) {
                if meets(&range.value, version) {
                    say(
                        format!("{other} {with} does not work with {name} {}", range.value),
                        &range.at,
                        Some(other),
                    );
                }
            }
            for (_, range) in definition
                .requires
                .iter()
                .filter(|(required, _)| required == other)
            {
                if !meets(&range.value, with) {
                    say(
                        format!(
                            "it requires {other} {}, which is here in {with}",
                            range.value
                        ),
                        &range.at,
                        None,
                    );
                }
            }
            for (_, range) in definition
                .conflicts
                .iter()
                .filter(|(named, _)| named == other)
            {
                if meets(&range.value, with) {
                    say(
                        format!(
                            "it does not work with {other} {}, which is here in {with}",
                            range.value
                        ),
                        &range.at,
                        None,
                    );
                }
            }
        }
    }
}
