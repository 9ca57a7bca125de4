//! `capability.toml`: what one version of a capability is made of and how one sees that it runs.

use std::collections::BTreeSet;

use sealift_verifier::{
    digest::Digest,
    path::{EntryPath, Name},
    release::{HealthCheck, Kind, Probe},
};
use semver::Version;

use super::{
    fields::{Fields, Located},
    values::{HostPort, HttpUrl, Millis},
};
use crate::{
    error::Code,
    problem::{Place, Problem},
};

/// What `capability.toml` says.
pub(crate) struct CapabilityDefinition {
    pub(crate) kind: Option<Kind>,
    pub(crate) description: String,
    pub(crate) license: Option<String>,
    /// In the order of the file; names are unique and none lies inside another.
    pub(crate) artifacts: Vec<ArtifactDefinition>,
    /// Each with its place.
    pub(crate) health: Vec<Located<HealthCheck>>,
}

/// One `[[artifacts]]`.
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
        let said = fields.required::<Name>("name", Code::NameInvalid, "the capability's name");
        if let Some(said) = said
            && said.value != *name
        {
            let message = format!("says {}, its folder says {name}", said.value);
            fields.report(&said.at, Code::DefinitionMismatch, message);
        }
        let said =
            fields.required::<Version>("version", Code::VersionInvalid, "the capability's version");
        if let Some(said) = said
            && said.value != *version
        {
            let message = format!("says {}, its folder says {version}", said.value);
            fields.report(&said.at, Code::DefinitionMismatch, message);
        }
        let kind =
            fields.required::<KindText>("kind", Code::InvalidValue, "what the capability is");
        let description = read_line(&mut fields, "description", 500);
        let license = read_line(&mut fields, "license", 500);
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
            artifacts: artifacts
                .into_iter()
                .map(|(_, artifact)| artifact)
                .collect(),
            health,
        }
    }
}

/// A text of one line for people.
fn read_line(fields: &mut Fields<'_, '_>, key: &'static str, most: usize) -> Option<String> {
    let text = fields.text(key)?;
    if text.value.chars().any(char::is_control)
        || text.value.len() > most
        || text.value.trim().is_empty()
    {
        let message = format!("has to be one line of 1 to {most} bytes");
        fields.report(&text.at, Code::InvalidValue, message);
        return None;
    }
    Some(text.value)
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
    let name = read_line(&mut fields, "name", 200);
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
