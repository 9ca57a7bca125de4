//! `capability.toml`: what one version of a capability is made of and how one sees that it runs.

use std::{collections::BTreeSet, str::FromStr};

use sealift_verifier::{
    digest::Digest,
    path::{EntryPath, Name},
    release::{Hardware, HealthCheck, Kind, Migration, Mode, Probe},
};
use semver::{Version, VersionReq};

use super::{
    fields::{Fields, Located},
    listing::read_identity,
    values::{Advisory, Conflict, Entitlement, HostPort, HttpUrl, Millis, Requirement, Size},
};
use crate::{
    error::Code,
    license::expression,
    problem::{Place, Problem},
};

/// What `capability.toml` says.
#[derive(Debug)]
pub(crate) struct CapabilityDefinition {
    pub(crate) kind: Option<Kind>,
    pub(crate) description: String,
    pub(crate) license: Option<Located<String>>,
    pub(crate) vendor: Option<String>,
    /// Why the version was withdrawn, if it was.
    pub(crate) yanked: Option<Located<String>>,
    /// Where it may run; sorted. Never empty.
    pub(crate) modes: Vec<Mode>,
    /// Sorted by name.
    pub(crate) requires: Vec<(Name, Located<VersionReq>)>,
    /// Sorted by name.
    pub(crate) conflicts: Vec<(Name, Located<VersionReq>)>,
    /// What stands in for it in modes where it may not run; sorted by mode.
    pub(crate) substitutes: Vec<(Mode, Located<Name>)>,
    /// Sorted, each once.
    pub(crate) entitlements: Vec<String>,
    pub(crate) hardware: Hardware,
    pub(crate) schema: Option<Located<EntryPath>>,
    pub(crate) defaults: Option<Located<EntryPath>>,
    /// In the order of the file; names are unique.
    pub(crate) migrations: Vec<Located<Migration>>,
    /// Sorted, each once.
    pub(crate) fixes: Vec<String>,
    pub(crate) changes: Vec<String>,
    /// In the order of the file; names are unique and none lies inside another.
    pub(crate) artifacts: Vec<ArtifactDefinition>,
    /// Each with its place.
    pub(crate) health: Vec<Located<HealthCheck>>,
}

/// One `[[artifacts]]`.
#[derive(Debug)]
pub(crate) struct ArtifactDefinition {
    pub(crate) name: EntryPath,
    pub(crate) kind: ArtifactType,
    /// Relative to the folder of `capability.toml`.
    pub(crate) path: Located<String>,
    pub(crate) reference: Option<Located<String>>,
    pub(crate) digest: Option<Located<Digest>>,
    pub(crate) executable: Option<bool>,
}

/// What an artifact is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArtifactType {
    Image,
    Tree,
    File,
    Config,
    Notice,
}

impl std::str::FromStr for ArtifactType {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "image" => Self::Image,
            "tree" => Self::Tree,
            "file" => Self::File,
            "config" => Self::Config,
            "notice" => Self::Notice,
            _ => return Err("is none of image, tree, file, config, notice"),
        })
    }
}

/// [`Kind`] as definitions write it.
struct KindText(Kind);

impl std::str::FromStr for KindText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(match text {
            "service" => Kind::Service,
            "app" => Kind::App,
            "model" => Kind::Model,
            "policy" => Kind::Policy,
            "config" => Kind::Config,
            _ => return Err("is none of service, app, model, policy, config"),
        }))
    }
}

impl CapabilityDefinition {
    /// Takes everything out of the table of the file that lies in the folder of `name` and `version`.
    pub(crate) fn read(mut fields: Fields<'_, '_>, name: &Name, version: &Version) -> Self {
        read_identity(&mut fields, name, version);
        let kind =
            fields.required::<KindText>("kind", Code::InvalidValue, "the kind of the capability");
        let description = fields.line("description", 500);
        let license_at = fields.place_of("license");
        let license = fields.line("license", 500);
        let license = license.zip(license_at).map(|(value, at)| Located {
            value: expression::canonical(&value),
            at,
        });
        let vendor = fields.line("vendor", 200);
        let yanked = read_yanked(&mut fields);
        let modes = read_modes(&mut fields);
        let requires = read_others(&mut fields, "requires", name, |r: Requirement| r.0);
        let conflicts = read_others(&mut fields, "conflicts", name, |c: Conflict| c.0);
        let substitutes = read_substitutes(&mut fields, name, &modes);
        let entitlements = fields.parsed_set::<Entitlement>("entitlements", Code::NameInvalid);
        let hardware = fields.table("hardware").map(read_hardware);
        let (schema, defaults) = match fields.table("configuration") {
            Some(table) => read_configuration(table),
            None => (None, None),
        };
        let migrations = read_migrations(&mut fields);
        let fixes = fields.parsed_set::<Advisory>("fixes", Code::InvalidValue);
        let changes = fields.lines("changes", 500);
        let tables = fields.tables("artifacts");
        let mut artifacts: Vec<(Place, ArtifactDefinition)> =
            tables.into_iter().filter_map(read_artifact).collect();
        drop_conflicts(&fields, &mut artifacts);
        let health = fields
            .tables("health")
            .into_iter()
            .filter_map(read_health)
            .collect();
        fields.finish();
        Self {
            kind: kind.map(|k| k.value.0),
            description: description.unwrap_or_default(),
            license,
            vendor,
            yanked,
            modes,
            requires,
            conflicts,
            substitutes,
            entitlements: entitlements.into_iter().map(|e| e.0).collect(),
            hardware: hardware.unwrap_or_default(),
            schema,
            defaults,
            migrations,
            fixes: fixes.into_iter().map(|f| f.0).collect(),
            changes,
            artifacts: artifacts
                .into_iter()
                .map(|(_, artifact)| artifact)
                .collect(),
            health,
        }
    }
}

fn read_yanked(fields: &mut Fields<'_, '_>) -> Option<Located<String>> {
    let yanked = fields.boolean("yanked");
    let reason_at = fields.place_of("yanked-reason");
    let reason = fields.line("yanked-reason", 500);
    match (yanked.filter(|yanked| yanked.value), reason_at) {
        (Some(yanked), None) => {
            let problem = Problem::new(&yanked.at, Code::MissingKey, "the reason is missing");
            fields.note(
                problem.with_hint("add `yanked-reason = …`: people who meet it want to know why"),
            );
            None
        }
        (None, Some(at)) => {
            let problem = Problem::new(
                &at,
                Code::InvalidValue,
                "makes sense only for yanked = true",
            );
            fields.note(problem.with_hint("remove it, or add `yanked = true`"));
            None
        }
        (Some(yanked), Some(_)) => reason.map(|value| Located {
            value,
            at: yanked.at,
        }),
        (None, None) => None,
    }
}

fn read_modes(fields: &mut Fields<'_, '_>) -> Vec<Mode> {
    let Some(at) = fields.place_of("modes") else {
        return Mode::ALL.to_vec();
    };
    let nowhere = fields.is_empty_list("modes");
    let modes = fields.parsed_set::<Mode>("modes", Code::InvalidValue);
    if nowhere {
        let problem = Problem::new(&at, Code::InvalidValue, "may run nowhere");
        fields.note(problem.with_hint("name modes, or leave it out for all of them"));
    }
    // What could not be read has a problem of its own.
    if modes.is_empty() {
        return Mode::ALL.to_vec();
    }
    modes
}

/// Versions of other capabilities.
fn read_others<T: FromStr<Err = String>>(
    fields: &mut Fields<'_, '_>,
    key: &'static str,
    name: &Name,
    requirement: impl Fn(T) -> VersionReq,
) -> Vec<(Name, Located<VersionReq>)> {
    let others = fields.parsed_map::<Name, T>(key, Code::NameInvalid, Code::RequirementInvalid);
    let others = others.into_iter().map(|(other, said)| {
        let Located { value, at } = said;
        let value = requirement(value);
        (other, Located { value, at })
    });
    let mut others: Vec<_> = others.collect();
    others.retain(|(other, requirement)| {
        let itself = other == name;
        if itself {
            let message = format!("{name} cannot speak of itself here");
            let problem = Problem::new(&requirement.at, Code::InvalidValue, message);
            fields.note(problem.with_hint("leave it out"));
        }
        !itself
    });
    others
}

fn read_substitutes(
    fields: &mut Fields<'_, '_>,
    name: &Name,
    modes: &[Mode],
) -> Vec<(Mode, Located<Name>)> {
    let mut substitutes =
        fields.parsed_map::<Mode, Name>("substitutes", Code::InvalidValue, Code::NameInvalid);
    substitutes.retain(|(mode, other)| {
        let wrong = if other.value == *name {
            format!("{name} cannot stand in for itself")
        } else if modes.contains(mode) {
            format!("{name} may run in {mode} itself")
        } else {
            return true;
        };
        let problem = Problem::new(&other.at, Code::InvalidValue, wrong);
        fields.note(problem.with_hint("name another capability for a mode that is not in `modes`"));
        false
    });
    substitutes.sort_by_key(|(mode, _)| *mode);
    substitutes
}

fn read_hardware(mut fields: Fields<'_, '_>) -> Hardware {
    let mut count = |key| fields.integer(key, 1..=1 << 20).map(|found| found.value);
    let (cpu, gpu) = (count("cpu"), count("gpu"));
    let mut size = |key| {
        fields
            .parsed::<Size>(key, Code::InvalidValue)
            .map(|found| found.value.0)
    };
    let (memory, disk, gpu_memory) = (size("memory"), size("disk"), size("gpu-memory"));
    if gpu_memory.is_some() && gpu.is_none() {
        fields.report(
            fields.at(),
            Code::InvalidValue,
            "has gpu-memory, but no gpu",
        );
    }
    fields.finish();
    Hardware {
        cpu,
        memory,
        disk,
        gpu,
        gpu_memory,
    }
}

fn read_configuration(
    mut fields: Fields<'_, '_>,
) -> (Option<Located<EntryPath>>, Option<Located<EntryPath>>) {
    let schema = fields.parsed::<EntryPath>("schema", Code::PathInvalid);
    let defaults = fields.parsed::<EntryPath>("defaults", Code::PathInvalid);
    fields.finish();
    (schema, defaults)
}

fn read_migrations(fields: &mut Fields<'_, '_>) -> Vec<Located<Migration>> {
    let mut migrations: Vec<Located<Migration>> = Vec::new();
    for mut table in fields.tables("migrations") {
        let at = table.at().clone();
        if !table.has("name") {
            table.missing("name", "the migration's name");
        }
        let name = table.line("name", 200);
        let up = table.required::<EntryPath>("up", Code::PathInvalid, "what makes the change");
        let down = table.parsed::<EntryPath>("down", Code::PathInvalid);
        let compatible = table.boolean("compatible");
        table.finish();
        let (Some(name), Some(up)) = (name, up) else {
            continue;
        };
        if migrations.iter().any(|other| other.value.name == name) {
            fields.report(&at, Code::DuplicateKey, format!("{name} is there twice"));
            continue;
        }
        let migration = Migration {
            name,
            up: up.value,
            down: down.map(|d| d.value),
            compatible: compatible.is_some_and(|c| c.value),
        };
        migrations.push(Located {
            value: migration,
            at,
        });
    }
    migrations
}

fn read_artifact(mut fields: Fields<'_, '_>) -> Option<(Place, ArtifactDefinition)> {
    let name = fields.required::<EntryPath>("name", Code::PathInvalid, "the artifact's name");
    let kind = fields.required::<ArtifactType>("type", Code::InvalidValue, "the artifact's type");
    let path = fields.required_text("path", "where the artifact lies");
    let reference = fields.text("reference");
    let digest = fields.parsed::<Digest>("digest", Code::InvalidValue);
    let executable_at = fields.place_of("executable");
    let executable = fields.boolean("executable");
    let misplaced = |at: &Place, only: &str| {
        let problem = Problem::new(
            at,
            Code::InvalidValue,
            format!("makes sense only for {only}"),
        );
        fields.note(problem.with_hint("remove it, or correct `type`"));
    };
    if let Some(kind) = &kind {
        if kind.value != ArtifactType::Image
            && let Some(reference) = &reference
        {
            misplaced(&reference.at, "type = \"image\"");
        }
        if kind.value == ArtifactType::Tree
            && let Some(digest) = &digest
        {
            misplaced(&digest.at, "images and single files");
        }
        if kind.value != ArtifactType::File
            && let Some(at) = &executable_at
        {
            misplaced(at, "type = \"file\"");
        }
        // An image's name is the last part of the name that registries know it by.
        if kind.value == ArtifactType::Image
            && let Some(name) = &name
            && let Err(e) = name.value.as_str().parse::<Name>()
        {
            fields.report(&name.at, Code::NameInvalid, e.to_string());
        }
    }
    fields.finish();
    let name = name?;
    let at = name.at.clone();
    let artifact = ArtifactDefinition {
        name: name.value,
        kind: kind?.value,
        path: path?,
        reference,
        digest,
        executable: executable.map(|e| e.value),
    };
    Some((at, artifact))
}

/// Reports artifacts that share a name or lie inside another, and keeps the first of them.
fn drop_conflicts(fields: &Fields<'_, '_>, artifacts: &mut Vec<(Place, ArtifactDefinition)>) {
    let mut seen: BTreeSet<EntryPath> = BTreeSet::new();
    artifacts.retain(|(at, artifact)| {
        let name = artifact.name.as_str();
        let inside = |inner: &str, outer: &str| {
            inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        let conflict = seen.iter().find(|other| {
            let other = other.as_str();
            other == name || inside(name, other) || inside(other, name)
        });
        match conflict {
            Some(other) if other.as_str() == name => {
                fields.report(at, Code::ArtifactConflict, format!("{name} is there twice"));
                false
            }
            Some(other) => {
                fields.report(
                    at,
                    Code::ArtifactConflict,
                    format!("{name} and {other} lie inside each other"),
                );
                false
            }
            None => {
                seen.insert(artifact.name.clone());
                true
            }
        }
    });
}

fn read_health(mut fields: Fields<'_, '_>) -> Option<Located<HealthCheck>> {
    let at = fields.at().clone();
    if !fields.has("name") {
        fields.missing("name", "the check's name");
    }
    let name = fields.line("name", 200);
    let probe = read_probe(&mut fields, &at);
    let mut millis = |key: &'static str, default: u64, least: u64| -> Option<u64> {
        if !fields.has(key) {
            return Some(default);
        }
        let found = fields.parsed::<Millis>(key, Code::DurationInvalid)?;
        if found.value.0 < least {
            fields.report(
                &found.at,
                Code::DurationInvalid,
                "has to be longer than nothing",
            );
            return None;
        }
        Some(found.value.0)
    };
    let interval_ms = millis("interval", 10_000, 1);
    let timeout_ms = millis("timeout", 5_000, 1);
    let start_period_ms = millis("start-period", 0, 0);
    let retries = if fields.has("retries") {
        fields
            .integer("retries", 1..=1000)
            .and_then(|r| u32::try_from(r.value).ok())
    } else {
        Some(3)
    };
    fields.finish();
    let check = HealthCheck {
        name: name?,
        probe: probe?,
        interval_ms: interval_ms?,
        timeout_ms: timeout_ms?,
        retries: retries?,
        start_period_ms: start_period_ms?,
    };
    Some(Located { value: check, at })
}

fn read_probe(fields: &mut Fields<'_, '_>, at: &Place) -> Option<Probe> {
    let given: Vec<&str> = ["exec", "http", "tcp"]
        .into_iter()
        .filter(|key| fields.has(key))
        .collect();
    if given.len() != 1 {
        let message = match given.as_slice() {
            [] => "asks nothing".to_owned(),
            several => format!("asks in several ways: {}", several.join(", ")),
        };
        fields.report(at, Code::HealthInvalid, message);
    }
    let exec = fields.texts("exec");
    let http = fields.parsed::<HttpUrl>("http", Code::HealthInvalid);
    let tcp = fields.parsed::<HostPort>("tcp", Code::HealthInvalid);
    let exec = exec.and_then(|exec| {
        let words: Vec<String> = exec.value.into_iter().map(|word| word.value).collect();
        let program = words.first().map(String::as_str).unwrap_or_default();
        let wrong = if program.is_empty() {
            Some("names no program".to_owned())
        } else if words.iter().any(|word| word.contains('\0')) {
            Some("has a zero byte".to_owned())
        } else if program.contains('/') {
            program.parse::<EntryPath>().err().map(|e| e.to_string())
        } else {
            None
        };
        if let Some(wrong) = wrong {
            let problem = Problem::new(&exec.at, Code::HealthInvalid, wrong);
            fields.note(problem.with_hint(
                "name a program of the capability by its path, such as bin/check, or one of the system by its name alone",
            ));
            return None;
        }
        Some(Probe::Exec(words))
    });
    let http = http.map(|url| Probe::Http(url.value.0));
    exec.or(http)
        .or(tcp.map(|address| Probe::Tcp(address.value.0)))
}
