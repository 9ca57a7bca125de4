//! `why`: why a capability or a suite is in a release, why in this version, and why in none of the later ones.

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
    lock::{Level, Locked, LockedCapability, LockedSuite, Standing, differences, unknown},
    problem::Place,
    resolve::{Preferred, is, meets},
};

/// Lines that say what asks for something, up to what nobody else asks for.
const LINES: usize = 100;
/// Later versions of which it is tried whether they could be in the release.
const TRIED: usize = 20;
/// Others of which it is told that they would change.
const OTHERS: usize = 3;

/// Explain why a capability or a suite is in a release, and in this version
///
/// Shows which rule decided, who requires it, and which later versions there are and why they were not taken.
/// Reads the lock if there is one, and says if it is stale.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    asked: Asked,
    /// The capability or the suite
    #[arg(value_name = "NAME")]
    name: Name,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<Answer> {
    let decided = args.asked.decide(around)?;
    let why = Why {
        definitions: &decided.definitions,
        locked: &decided.locked,
        standing: decided.standing,
        preferred: &decided.preferred,
    };
    let Decided { locked, .. } = &decided;
    if let Some(capability) = locked.capability(&args.name) {
        return Ok(why.present(capability));
    }
    let mut suites = locked.suites.iter();
    match suites.find(|suite| suite.release.name == args.name) {
        Some(suite) => Ok(why.suite(suite)),
        None => why.absent(&args.name),
    }
}

struct Why<'a> {
    definitions: &'a Definitions,
    locked: &'a Locked,
    standing: Standing,
    preferred: &'a Preferred,
}

/// Something that speaks for a version, or against it.
struct Reason {
    text: String,
    at: Place,
    /// The capability that says so.
    by: Option<Name>,
    /// What it follows from, a line each.
    because: Vec<String>,
}

impl Reason {
    fn new(text: impl Into<String>, at: &Place) -> Self {
        Self {
            text: text.into(),
            at: at.clone(),
            by: None,
            because: Vec::new(),
        }
    }

    fn by(self, name: &Name) -> Self {
        let by = Some(name.clone());
        Self { by, ..self }
    }

    fn json(&self) -> Value {
        let mut json = json!({ "text": self.text, "at": self.at.spot(), "capability": self.by });
        if !self.because.is_empty() {
            json["because"] = json!(self.because);
        }
        json
    }
}

/// What a suite that is in the release lists of a capability.
struct Listed<'a> {
    /// The suite with its version.
    suite: String,
    wanted: &'a Located<Wanted>,
    /// Whether the release definition asks for the suite itself.
    asked: bool,
    /// What goes before it, if it has no say.
    replaced_by: Option<String>,
}

/// Later versions, with what speaks against each.
type Later<'a> = Vec<(&'a Version, Vec<Reason>)>;

fn allows(wanted: &Wanted, version: &Version) -> bool {
    match wanted {
        Wanted::Exact(exact) => is(exact, version),
        Wanted::Range(range) => meets(range, version),
    }
}

impl<'a> Why<'a> {
    fn present(&self, capability: &LockedCapability) -> Answer {
        let (name, version) = (&capability.name, &capability.version);
        let decided = capability.why();
        let mut text = format!("{name} {version}: {decided}\n");
        self.tell(&mut text, name);
        let versions = self.definitions.catalog.capabilities.get(name);
        let later = versions.into_iter().flatten();
        let later = later.filter(|(later, _)| *later > version);
        let mut later: Later<'a> = later
            .map(|(version, entry)| (version, self.against(name, version, entry)))
            .collect();
        // What others say against it, they may say only because the lock holds them.
        let held = self.held(Level::Capability, name);
        let of_held = later
            .iter_mut()
            .find(|(version, _)| held.as_ref() == Some(*version));
        if let Some((version, reasons)) = of_held
            && let Some(entry) = self.entry(name, version)
        {
            reasons.insert(0, Self::kept(name, &entry.place()));
        }
        let later = self.tried(Level::Capability, name, later, held.as_ref(), |version| {
            Some(versions?.get(version)?.place())
        });
        let mut json = capability.json();
        json["mode"] = json!(self.locked.mode);
        json["because"] = self.reasons(name).iter().map(Reason::json).collect();
        self.finish(text, json, &later)
    }

    fn suite(&self, suite: &LockedSuite) -> Answer {
        let release = &suite.release;
        let (name, version) = (&release.name, &release.version);
        let mut text = format!("suite {name} {version}: {}\n", release.reason());
        let reason = self.suite_reason(name);
        if let Some(reason) = &reason {
            let _ = writeln!(text, "  {} ({})", reason.text, reason.at.spot());
        }
        let versions = self.definitions.catalog.suites.get(name);
        let later = versions.into_iter().flatten();
        let later = later.filter(|(later, _)| *later > version);
        let later: Later<'a> = later
            .map(|(version, _)| {
                let (_, wanted) = self.suite_ask(name).unzip();
                let against = wanted.filter(|wanted| !allows(&wanted.value, version));
                (
                    version,
                    against.and(self.suite_reason(name)).into_iter().collect(),
                )
            })
            .collect();
        let held = self.held(Level::Suite, name);
        let later = self.tried(Level::Suite, name, later, held.as_ref(), |version| {
            Some(versions?.get(version)?.place())
        });
        let json = json!({
            "suite": name,
            "version": version,
            "rule": release.rule,
            "range": release.range,
            "mode": self.locked.mode,
            "because": reason.iter().map(Reason::json).collect::<Vec<_>>(),
        });
        self.finish(text, json, &later)
    }

    /// Adds the later versions, and how the lock stands.
    fn finish(&self, mut text: String, mut json: Value, later: &Later<'_>) -> Answer {
        for (version, reasons) in later.iter().rev() {
            let _ = writeln!(text, "not {version}:");
            for reason in reasons {
                let _ = writeln!(text, "  {} ({})", reason.text, reason.at.spot());
                for line in &reason.because {
                    let _ = writeln!(text, "    {line}");
                }
            }
        }
        text.push_str(self.standing.note());
        let later = later.iter().rev().map(|(version, reasons)| {
            let reasons: Vec<_> = reasons.iter().map(Reason::json).collect();
            json!({ "version": version, "reasons": reasons })
        });
        json["lock"] = json!(self.standing);
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
            let _ = writeln!(text, "  {} ({})", reason.text, reason.at.spot());
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
    fn tell(&self, text: &mut String, name: &Name) {
        let mut told = BTreeSet::from([name.clone()]);
        let mut lines = 0;
        let reasons = |name: &Name, depth: usize| {
            let reasons = self.reasons(name).into_iter().rev();
            reasons.map(move |reason| (reason, depth))
        };
        let mut open: Vec<(Reason, usize)> = reasons(name, 1).collect();
        while let Some((reason, depth)) = open.pop() {
            lines += 1;
            if lines > LINES {
                text.push_str("  and more, which `tree` shows\n");
                return;
            }
            let indent = "  ".repeat(depth);
            let _ = writeln!(text, "{indent}{} ({})", reason.text, reason.at.spot());
            if let Some(by) = reason.by
                && told.insert(by.clone())
            {
                open.extend(reasons(&by, depth + 1));
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

    /// What suites list of a capability.
    fn listings(&self, name: &Name) -> Vec<Listed<'a>> {
        let release = &self.definitions.release;
        let suites = self.locked.suites.iter().filter_map(|suite| {
            let suite = &suite.release;
            let versions = self.definitions.catalog.suites.get(&suite.name)?;
            let wanted = versions.get(&suite.version)?.definition.wanted(name)?;
            Some(Listed {
                suite: format!("suite {} {}", suite.name, suite.version),
                wanted,
                asked: release.suites.iter().any(|(name, _)| *name == suite.name),
                replaced_by: None,
            })
        });
        let mut listings: Vec<_> = suites.collect();
        // The closest pin replaces the listing below it (ID-1 5.2).
        let pinned = self.pin(name).map(|_| "the release definition".to_owned());
        let asked = listings.iter().find(|listed| listed.asked);
        let asked = asked.map(|listed| listed.suite.clone());
        for listed in &mut listings {
            let asked = asked.clone().filter(|_| !listed.asked);
            listed.replaced_by = pinned.clone().or(asked);
        }
        listings
    }

    /// What the release definition says of a capability.
    fn pin(&self, name: &Name) -> Option<&'a Located<Wanted>> {
        let mut pins = self.definitions.release.capabilities.iter();
        pins.find(|(pinned, _)| pinned == name).map(|(_, pin)| pin)
    }

    /// Who asks for a suite: the release definition, or the platform.
    fn suite_ask(&self, name: &Name) -> Option<(String, &'a Located<Wanted>)> {
        let release = &self.definitions.release;
        let mut pins = release.suites.iter();
        if let Some((_, pin)) = pins.find(|(pinned, _)| pinned == name) {
            return Some(("the release definition asks for".to_owned(), pin));
        }
        let (product, (version, _)) = release
            .product
            .as_ref()
            .zip(self.locked.platform.as_ref())?;
        let releases = self.definitions.catalog.platforms.get(product)?;
        let wanted = releases.get(version)?.definition.wanted(name)?;
        Some((format!("platform {product} {version} lists"), wanted))
    }

    fn suite_reason(&self, name: &Name) -> Option<Reason> {
        let (who, wanted) = self.suite_ask(name)?;
        let text = format!("{who} suite {name} {}", wanted.value);
        Some(Reason::new(text, &wanted.at))
    }

    /// What asks for a capability.
    fn reasons(&self, name: &Name) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if let Some(pin) = self.pin(name) {
            let text = format!("the release definition asks for {name} {}", pin.value);
            reasons.push(Reason::new(text, &pin.at));
        }
        for Listed {
            suite,
            wanted,
            asked,
            replaced_by,
        } in self.listings(name)
        {
            let lists = match (replaced_by, asked) {
                (Some(closer), _) => format!(" lists, and {closer} replaces,"),
                (None, true) => ", which the release definition asks for, lists".to_owned(),
                (None, false) => ", which the platform lists, lists".to_owned(),
            };
            let text = format!("{suite}{lists} {name} {}", wanted.value);
            reasons.push(Reason::new(text, &wanted.at));
        }
        for (other, version, definition) in self.running() {
            let mut requires = definition.requires.iter();
            if let Some((_, range)) = requires.find(|(required, _)| required == name) {
                let text = format!("{other} {version} requires {name} {}", range.value);
                reasons.push(Reason::new(text, &range.at).by(other));
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
            reasons.extend(here.map(|(mode, other)| {
                let text = format!(
                    "{} {version} may not run in {mode}: {name} stands in for it",
                    out.name
                );
                Reason::new(text, &other.at).by(&out.name)
            }));
        }
        reasons
    }

    /// What definitions say against a later version.
    fn against(
        &self,
        name: &Name,
        version: &Version,
        entry: &'a Entry<CapabilityDefinition>,
    ) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let definition = &entry.definition;
        if let Some(reason) = &definition.yanked {
            let text = format!("it was withdrawn: {}", reason.value);
            reasons.push(Reason::new(text, &reason.at));
        }
        let mut runs = true;
        if let Some(mode) = self.locked.mode
            && !definition.modes.contains(&mode)
        {
            runs = false;
            let mut substitutes = definition.substitutes.iter();
            // What stands in for it is asked for by it, and does not speak against it.
            if !substitutes.any(|(of, _)| *of == mode) {
                let text = format!("it may not run in {mode}");
                reasons.push(Reason::new(text, &entry.place()));
            }
        }
        if let Some(pin) = self.pin(name)
            && !allows(&pin.value, version)
        {
            let text = format!("the release definition asks for {name} {}", pin.value);
            reasons.push(Reason::new(text, &pin.at));
        }
        for listed in self.listings(name) {
            if listed.replaced_by.is_none() && !allows(&listed.wanted.value, version) {
                let text = format!("{} lists {name} {}", listed.suite, listed.wanted.value);
                reasons.push(Reason::new(text, &listed.wanted.at));
            }
        }
        self.between((name, version), definition, runs, &mut reasons);
        if reasons.is_empty() && !version.pre.is_empty() {
            let text = "it is a pre-release, which enters a release only by its name";
            reasons.push(Reason::new(text, &entry.place()));
        }
        reasons
    }

    /// What the others in the release say against a version, and what it says against them.
    fn between(
        &self,
        (name, version): (&Name, &Version),
        definition: &CapabilityDefinition,
        runs: bool,
        reasons: &mut Vec<Reason>,
    ) {
        for (other, with, theirs) in self.running().filter(|(other, ..)| *other != name) {
            let named = |pairs: &'_ [(Name, _)], whom: &Name| {
                let mut pairs = pairs.iter().filter(move |(other, _)| other == whom);
                pairs
                    .next()
                    .map(|(_, range): &(Name, Located<_>)| range.clone())
            };
            if let Some(range) = named(&theirs.requires, name)
                && !meets(&range.value, version)
            {
                let text = format!("{other} {with} requires {name} {}", range.value);
                reasons.push(Reason::new(text, &range.at).by(other));
            }
            // Of what another one stands in for, only who requires it is heard.
            if !runs {
                continue;
            }
            if let Some(range) = named(&theirs.conflicts, name)
                && meets(&range.value, version)
            {
                let text = format!("{other} {with} does not work with {name} {}", range.value);
                reasons.push(Reason::new(text, &range.at).by(other));
            }
            let here = format!("which is here in {with}");
            if let Some(range) = named(&definition.requires, other)
                && !meets(&range.value, with)
            {
                let text = format!("it requires {other} {}, {here}", range.value);
                reasons.push(Reason::new(text, &range.at));
            }
            if let Some(range) = named(&definition.conflicts, other)
                && meets(&range.value, with)
            {
                let text = format!("it does not work with {other} {}, {here}", range.value);
                reasons.push(Reason::new(text, &range.at));
            }
        }
    }

    /// Where nothing speaks against a later version by itself, tries what would become of the release with it.
    fn tried(
        &self,
        level: Level,
        name: &Name,
        mut later: Later<'a>,
        held: Option<&Version>,
        place: impl Fn(&Version) -> Option<Place>,
    ) -> Later<'a> {
        let untold = later.iter_mut().rev().filter(|(_, why)| why.is_empty());
        for (number, (version, reasons)) in untold.enumerate() {
            let Some(at) = place(version) else { continue };
            if number >= TRIED {
                reasons.push(Reason::new("it was not tried", &at));
                continue;
            }
            reasons.push(if held == Some(*version) {
                Self::kept(name, &at)
            } else {
                self.attempt((level, name, version), held, &at)
            });
        }
        later
    }

    /// What is preferred if this may move.
    fn freed(&self, name: &Name) -> Preferred {
        let mut free = self.preferred.clone();
        free.capabilities.remove(name);
        free.suites.remove(name);
        free.free.insert(name.clone());
        free
    }

    /// The version that `update` would move this to.
    fn held(&self, level: Level, name: &Name) -> Option<Version> {
        if self.standing == Standing::Missing {
            return None;
        }
        let moved = self
            .definitions
            .resolve(self.locked.mode, &self.freed(name));
        let moved = moved.ok()?;
        if level == Level::Suite {
            let mut suites = moved.resolution.suites.into_iter();
            return suites.find(|suite| suite.name == *name).map(|s| s.version);
        }
        moved.version(name).cloned()
    }

    fn kept(name: &Name, at: &Place) -> Reason {
        let text =
            format!("the lock keeps what it has: `sealift-bundler update … {name}` lets it move");
        Reason::new(text, at)
    }

    /// Why a version that nothing speaks against by itself was not taken.
    fn attempt(
        &self,
        what: (Level, &Name, &Version),
        held: Option<&Version>,
        at: &Place,
    ) -> Reason {
        let mode = self.locked.mode;
        let (_, name, version) = what;
        let free = self.freed(name);
        let resolved = match self.definitions.resolve_with(mode, &free, what, at) {
            Ok(resolved) => resolved,
            Err(problems) => {
                let Some(problem) = problems.first() else {
                    return Reason::new("it does not go with what is asked for", at);
                };
                // All but the pin that was only tried.
                let tried = format!("{}: the release pins ", at.spot());
                let because = problem.because.iter();
                let because = because.filter(|line| !line.starts_with(&tried));
                return Reason {
                    because: because.cloned().collect(),
                    ..Reason::new(format!("with it, {}", problem.message), &problem.at)
                };
            }
        };
        let with = Locked::new(self.definitions, mode, &resolved);
        let others = differences(Some(self.locked), &with);
        let others: Vec<String> = others
            .iter()
            .filter(|difference| difference.name != name.as_str() && difference.moves())
            .map(crate::lock::Difference::sentence)
            .collect();
        let rest = others.len().saturating_sub(OTHERS);
        let mut because: Vec<String> = others.into_iter().take(OTHERS).collect();
        if rest > 0 {
            because.push(format!("and {rest} more"));
        }
        match held {
            Some(later) if because.is_empty() && later > version => {
                Reason::new(format!("{later} goes before it"), at)
            }
            // A pin goes before what suites list: what they say against it does not show here.
            _ => Reason {
                because,
                ..Reason::new("pinned, it would take others in other versions", at)
            },
        }
    }
}
