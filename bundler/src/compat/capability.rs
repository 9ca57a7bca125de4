//! What changes with each capability.

use std::collections::{BTreeMap, BTreeSet};

use sealift_verifier::{
    path::Name,
    release::{Capability, Kind, Migration, Release, ReleaseType},
};
use serde_json::{Map, Value};

use super::{Change, Class, Side, What, rules::step, schema, short, side::Configured};
use crate::configuration::{Finding, Schema, below, readable};

/// What changes with all capabilities, in the order of their names.
pub(super) fn changes(old: &Side, new: &Side) -> Vec<Change> {
    let (had, has) = (by_name(old), by_name(new));
    let mut changes = Vec::new();
    for (name, before) in &had {
        match has.get(name) {
            Some(now) => changes.extend(both(before, now, old, new)),
            None => changes.push(gone(before, new)),
        }
    }
    for (name, now) in has.iter().filter(|(name, _)| !had.contains_key(*name)) {
        let message = format!("is new, in version {}", now.version);
        changes.push(Change::of(
            name,
            What::CapabilityAdded,
            Class::Feature,
            message,
        ));
        // No site goes back over it, whatever was there before.
        for migration in now.migrations.iter().filter(|m| !m.has_way_back()) {
            changes.push(Change::of(
                name,
                What::Migration,
                Class::Breaking,
                one_way(migration),
            ));
        }
    }
    if old.digest.is_some() && new.digest.is_some() {
        changes.extend(contents(&old.release, &new.release));
    }
    changes.sort_by(|a, b| a.capability.cmp(&b.capability));
    changes
}

fn by_name(side: &Side) -> BTreeMap<&Name, &Capability> {
    let capabilities = side.release.capabilities.iter();
    capabilities.map(|c| (&c.name, c)).collect()
}

fn gone(before: &Capability, new: &Side) -> Change {
    let name = &before.name;
    let left_out = new.release.resolution.left_out.iter();
    let substitute = left_out
        .filter(|l| l.name == *name)
        .find_map(|l| l.substitute.as_ref());
    if let (Some(other), Some(mode)) = (substitute, new.release.mode) {
        let message = format!("is replaced by {other} in mode {mode}");
        return Change::of(name, What::CapabilityReplaced, Class::Feature, message);
    }
    let message = format!("is removed, was in version {}", before.version);
    Change::of(name, What::CapabilityRemoved, Class::Breaking, message)
}

/// Capabilities that have other content in the same version, where contents are known on both sides.
pub(super) fn contents(old: &Release, new: &Release) -> Vec<Change> {
    let had: BTreeMap<&Name, &Capability> = old.capabilities.iter().map(|c| (&c.name, c)).collect();
    let both = new
        .capabilities
        .iter()
        .filter_map(|now| had.get(&now.name).map(|before| (*before, now)));
    both.filter(|(before, now)| {
        before.version.cmp_precedence(&now.version).is_eq() && before.artifacts != now.artifacts
    })
    .map(|(_, now)| {
        let message = format!("has other content in the same version, {}", now.version);
        Change::of(&now.name, What::CapabilityContent, Class::Breaking, message)
    })
    .collect()
}

fn both(before: &Capability, now: &Capability, old: &Side, new: &Side) -> Vec<Change> {
    let name = &now.name;
    let mut changes = Vec::new();
    let mut add = |what, class, message: String| {
        changes.push(Change::of(name, what, class, message));
    };
    let (was, is) = (&before.version, &now.version);
    if is.cmp_precedence(was).is_lt() {
        let message = format!("goes back from {was} to {is}");
        add(What::CapabilityDowngraded, Class::Breaking, message);
    } else if was != is {
        let class = match step(was, is) {
            ReleaseType::Patch => Class::Fix,
            ReleaseType::Minor => Class::Feature,
            ReleaseType::Major => Class::Breaking,
        };
        add(
            What::CapabilityVersion,
            class,
            format!("goes from {was} to {is}"),
        );
    }
    if before.kind != now.kind {
        let message = format!("its kind is {}, was {}", kind(now.kind), kind(before.kind));
        add(What::Kind, Class::Breaking, message);
    }
    migrations(before, now, &mut add);
    if before.health != now.health {
        add(
            What::Health,
            Class::Fix,
            "is checked otherwise after activation".into(),
        );
    }
    configuration(
        old.configurations.get(name),
        new.configurations.get(name),
        &mut add,
    );
    changes
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Service => "service",
        Kind::App => "app",
        Kind::Model => "model",
        Kind::Policy => "policy",
        Kind::Config => "config",
    }
}

fn one_way(migration: &Migration) -> String {
    let name = &migration.name;
    format!("its data is changed by {name}, which has no way back")
}

fn migrations(before: &Capability, now: &Capability, add: &mut impl FnMut(What, Class, String)) {
    for migration in &now.migrations {
        let named = |m: &&Migration| m.name == migration.name;
        let known = before.migrations.iter().find(named);
        let name = &migration.name;
        match known {
            Some(known) if known.has_way_back() && !migration.has_way_back() => {
                let message = format!("its migration {name} has no way back any more");
                add(What::Migration, Class::Breaking, message);
            }
            Some(_) => {}
            None if migration.has_way_back() => {
                let message = format!("its data is changed by {name}, which can be taken back");
                add(What::Migration, Class::Fix, message);
            }
            None => add(What::Migration, Class::Breaking, one_way(migration)),
        }
    }
    for migration in &before.migrations {
        if !now.migrations.iter().any(|m| m.name == migration.name) {
            let message = format!("its migration {} is not there any more", migration.name);
            add(What::Migration, Class::Fix, message);
        }
    }
}

fn configuration(
    before: Option<&Configured>,
    now: Option<&Configured>,
    add: &mut impl FnMut(What, Class, String),
) {
    let nothing = Configured::default();
    let (before, now) = (before.unwrap_or(&nothing), now.unwrap_or(&nothing));
    if before == now {
        return;
    }
    let unreadable: BTreeSet<&String> = before
        .unreadable
        .keys()
        .chain(now.unreadable.keys())
        .collect();
    for why in unreadable {
        let message = format!("its configuration may be narrower: {why}");
        add(What::Configuration, Class::Breaking, message);
    }
    schemas(before, now, add);
    defaults(&before.defaults, &now.defaults, "", &mut |message| {
        add(What::Default, Class::Feature, message);
    });
}

fn schemas(before: &Configured, now: &Configured, add: &mut impl FnMut(What, Class, String)) {
    let defaults = Value::Object(now.defaults.clone());
    let told = |option: &str, what: &str| match option {
        "" => format!("its configuration {what}"),
        option => format!("its option {option} {what}"),
    };
    match (&before.schema, &now.schema) {
        (None, None) => {}
        // What cannot be read was told already.
        (None, _) | (_, None) if !before.unreadable.is_empty() || !now.unreadable.is_empty() => {}
        (Some(_), None) => {
            let message = "it cannot be configured any more".into();
            add(What::Configuration, Class::Breaking, message);
        }
        (None, Some(_)) if !before.defaults.is_empty() => {
            let message = "its configuration has a schema now: what a site has set may be refused";
            add(What::Configuration, Class::Breaking, message.into());
        }
        (None, Some(_)) => {
            let message = "it can be configured now".into();
            add(What::Configuration, Class::Feature, message);
        }
        (Some(old), Some(new)) => {
            let differences = schema::compare(old, new, &defaults);
            let wider = || {
                schema::compare(new, old, &defaults)
                    .iter()
                    .any(|d| d.narrower)
            };
            if differences.is_empty() && wider() {
                let message = told("", "allows more than before");
                add(What::Configuration, Class::Feature, message);
            }
            for difference in differences {
                let class = if difference.narrower {
                    Class::Breaking
                } else {
                    Class::Feature
                };
                let message = told(&difference.option, &difference.what);
                add(What::Configuration, class, message);
            }
        }
    }
    let Some(schema) = &now.schema else {
        return;
    };
    // A site that has to say something has said it already.
    let known: Vec<Finding> = before
        .schema
        .as_ref()
        .and_then(|schema| Schema::new(schema).ok())
        .map(|schema| schema.findings(&Value::Object(before.defaults.clone())))
        .unwrap_or_default();
    match Schema::new(schema) {
        Ok(schema) => {
            let findings = schema.findings(&defaults).into_iter();
            for finding in findings.filter(|finding| !known.contains(finding)) {
                let what = format!("does not suit its own schema: {}", finding.message);
                let message = told(&readable(&finding.pointer), &what);
                add(What::Default, Class::Breaking, message);
            }
        }
        Err(findings) => {
            for finding in findings {
                let message = format!(
                    "its configuration schema is unusable: {} {}",
                    finding.pointer, finding.message
                );
                add(What::Configuration, Class::Breaking, message);
            }
        }
    }
}

/// Tells each value that stands in where a site says nothing, and is another one now.
fn defaults(
    before: &Map<String, Value>,
    now: &Map<String, Value>,
    at: &str,
    tell: &mut impl FnMut(String),
) {
    for (key, was) in before {
        let pointer = below(at, key);
        match (was, now.get(key)) {
            (Value::Object(was), Some(Value::Object(is))) => defaults(was, is, &pointer, tell),
            (was, Some(is)) if was == is => {}
            (was, Some(is)) => {
                let option = readable(&pointer);
                tell(format!(
                    "its option {option} is {} by default, was {}",
                    short(is),
                    short(was)
                ));
            }
            (was, None) => {
                let option = readable(&pointer);
                tell(format!(
                    "its option {option} has no default any more, was {}",
                    short(was)
                ));
            }
        }
    }
    for (key, is) in now.iter().filter(|(key, _)| !before.contains_key(*key)) {
        let option = readable(&below(at, key));
        tell(format!(
            "its option {option} is {} by default now",
            short(is)
        ));
    }
}
