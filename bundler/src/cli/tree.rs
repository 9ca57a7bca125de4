//! `tree`: what a release is made of, from what was asked for down to what that requires.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use sealift_verifier::{
    path::Name,
    release::{Decision, Rule},
};
use serde_json::json;

use super::{
    Answer, Surroundings,
    decided::{Asked, Decided},
};
use crate::{
    collect::Definitions,
    error::Result,
    lock::{Locked, LockedCapability, LockedOut, Standing},
};

/// Show what a release is made of, and what requires what
///
/// Reads the lock if there is one, and says if it is stale.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    asked: Asked,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<Answer> {
    let Decided {
        definitions,
        locked,
        standing,
        ..
    } = args.asked.decide(around)?;
    let tree = Tree::of(&definitions, &locked);
    Ok(Answer {
        text: tree.text(standing),
        json: json!({
            "product": definitions.release.product,
            "version": definitions.release.version,
            "mode": locked.mode,
            "lock": standing,
            "platform": locked.platform.as_ref().map(|(version, _)| version),
            "suites": locked.suites.iter().map(|suite| &suite.release).collect::<Vec<_>>(),
            "capabilities": locked.capabilities.iter().map(|capability| {
                let mut json = capability.json();
                json["requires"] = json!(tree.requires.get(&capability.name));
                json
            }).collect::<Vec<_>>(),
            "left-out": locked.left_out.iter().map(LockedOut::json).collect::<Vec<_>>(),
        }),
    })
}

/// Whether the release definition asks for a capability itself.
fn is_asked(decision: &Decision) -> bool {
    let range = decision.range.as_ref();
    decision.rule == Rule::Capability || range.is_some_and(|range| range.of == Rule::Capability)
}

struct Tree<'a> {
    definitions: &'a Definitions,
    locked: &'a Locked,
    /// What each capability requires of those in the release, or what stands in for that.
    requires: BTreeMap<&'a Name, Vec<&'a Name>>,
}

impl<'a> Tree<'a> {
    fn of(definitions: &'a Definitions, locked: &'a Locked) -> Self {
        let replaced = |name: &'a Name| {
            let out = locked.left_out.iter().find(|out| out.name == *name);
            out.and_then(|out| out.substitute.as_ref()).unwrap_or(name)
        };
        let requires = locked.capabilities.iter().filter_map(|capability| {
            let versions = definitions.catalog.capabilities.get(&capability.name)?;
            let entry = versions.get(&capability.version)?;
            let others = entry
                .definition
                .requires
                .iter()
                .map(|(other, _)| replaced(other));
            Some((&capability.name, others.collect()))
        });
        Self {
            definitions,
            locked,
            requires: requires.collect(),
        }
    }

    fn text(&self, standing: Standing) -> String {
        let release = &self.definitions.release;
        let mut text = String::new();
        for (product, version) in release.product.iter().zip(&release.version) {
            let mode = self
                .locked
                .mode
                .map_or(String::new(), |mode| format!(" for {mode}"));
            let _ = writeln!(text, "{product} {version}{mode}");
        }
        let mut told = BTreeSet::new();
        if let Some((version, _)) = &self.locked.platform {
            let _ = writeln!(text, "platform {version}");
        }
        for suite in &self.locked.suites {
            let release = &suite.release;
            let listed = format!("{} {}", release.name, release.version);
            let range = release.range.as_ref();
            let range = range.map_or(String::new(), |_| format!(", {}", release.reason()));
            let _ = writeln!(text, "suite {listed}{range}");
            let members = self.locked.capabilities.iter();
            for member in members.filter(|c| c.decision.suite.as_ref() == Some(&listed)) {
                self.branch(&mut text, member, 1, &mut told);
            }
        }
        let asked = self
            .locked
            .capabilities
            .iter()
            .filter(|c| is_asked(&c.decision));
        for capability in asked {
            self.branch(&mut text, capability, 0, &mut told);
        }
        // What stands in for something else, and what only that requires.
        let others = self.locked.capabilities.iter();
        let mut others: Vec<_> = others.filter(|c| !told.contains(&c.name)).collect();
        others.sort_by_key(|c| c.decision.substitutes.is_empty());
        for capability in others {
            if !told.contains(&capability.name) {
                self.branch(&mut text, capability, 0, &mut told);
            }
        }
        for out in &self.locked.left_out {
            let _ = match &out.substitute {
                Some(other) => writeln!(text, "left out: {}, {other} stands in for it", out.name),
                None => writeln!(text, "left out: {}", out.name),
            };
        }
        text.push_str(standing.note());
        text
    }

    /// A capability with what it requires; what was shown before is not shown again.
    fn branch<'t>(
        &'t self,
        text: &mut String,
        root: &'t LockedCapability,
        depth: usize,
        told: &mut BTreeSet<&'t Name>,
    ) {
        let mut open = vec![(root, depth)];
        while let Some((capability, depth)) = open.pop() {
            let first = told.insert(&capability.name);
            let requires = self
                .requires
                .get(&capability.name)
                .map_or(&[][..], Vec::as_slice);
            let mark = if first || requires.is_empty() {
                ""
            } else {
                " (see above)"
            };
            let decision = &capability.decision;
            let is_told = decision.rule == Rule::Capability || decision.range.is_some();
            let reason = is_told.then(|| format!(", {}", decision.reason()));
            let reason = reason.unwrap_or_default();
            let indent = "  ".repeat(depth);
            let _ = writeln!(
                text,
                "{indent}{} {}{reason}{mark}",
                capability.name, capability.version
            );
            if first {
                let below = requires
                    .iter()
                    .rev()
                    .filter_map(|name| self.locked.capability(name));
                open.extend(below.map(|other| (other, depth + 1)));
            }
        }
    }
}
