//! Whether what a capability says of its configuration holds: a schema that can be used, and defaults that
//! satisfy it.

use std::path::Path;

use sealift_verifier::path::EntryPath;
use serde_json::Value;

use crate::{
    configuration::{self, Finding, Schema, readable},
    definition::{CapabilityDefinition, Document, Located},
    error::Code,
    plan::PlannedArtifact,
    problem::{Place, Problem, printable},
};

/// Everything that is wrong with it. Files that are not delivered at all are told elsewhere.
pub(super) fn check(
    definition: &CapabilityDefinition,
    folder: &Path,
    artifacts: &[PlannedArtifact],
) -> Vec<Problem> {
    let files = Files {
        definition,
        folder,
        artifacts,
    };
    let mut problems = Vec::new();
    let mut told = |file: &Named<'_>, code, findings: Vec<Finding>| {
        problems.extend(findings.into_iter().map(|f| file.problem(code, &f)));
    };
    let schema = definition.schema.as_ref().and_then(|s| files.open(s));
    let schema = schema.and_then(|file| {
        let value = file.read(configuration::read_schema);
        value
            .map_err(|finding| told(&file, Code::SchemaInvalid, vec![finding]))
            .ok()
            .map(|value| (file, value))
    });
    let schema = schema.as_ref().and_then(|(file, value)| {
        Schema::new(value)
            .map_err(|findings| told(file, Code::SchemaInvalid, findings))
            .ok()
    });
    let Some(file) = definition.defaults.as_ref().and_then(|d| files.open(d)) else {
        return problems;
    };
    match file.read(|bytes| configuration::read_defaults(file.name, bytes)) {
        Err(finding) => told(&file, Code::DefaultsInvalid, vec![finding]),
        Ok(defaults) => {
            let findings = schema.map(|schema| schema.findings(&defaults));
            told(&file, Code::DefaultsInvalid, findings.unwrap_or_default());
        }
    }
    problems
}

struct Files<'c> {
    definition: &'c CapabilityDefinition,
    folder: &'c Path,
    artifacts: &'c [PlannedArtifact],
}

/// A file that a definition names.
struct Named<'c> {
    /// Its path at the site.
    name: &'c EntryPath,
    /// Where it is named.
    at: &'c Place,
    /// Where it lies, in the way the caller named the definition.
    path: std::path::PathBuf,
    bytes: Result<Vec<u8>, String>,
}

impl<'c> Files<'c> {
    fn open(&self, named: &'c Located<EntryPath>) -> Option<Named<'c>> {
        let source = configuration::source(&named.value, self.artifacts)?;
        let name = named.value.as_str();
        let path = self.definition.artifacts.iter().find_map(|artifact| {
            let rest = name.strip_prefix(artifact.name.as_str())?;
            let path = self.folder.join(&artifact.path.value);
            match rest.strip_prefix('/') {
                Some(rest) => Some(path.join(rest)),
                None => rest.is_empty().then_some(path),
            }
        })?;
        Some(Named {
            name: &named.value,
            at: &named.at,
            path,
            bytes: configuration::read(source),
        })
    }
}

impl Named<'_> {
    fn read(&self, parse: impl FnOnce(&[u8]) -> Result<Value, Finding>) -> Result<Value, Finding> {
        let bytes = self.bytes.as_ref().map_err(|why| Finding {
            pointer: String::new(),
            message: why.clone(),
        })?;
        parse(bytes)
    }

    fn problem(&self, code: Code, finding: &Finding) -> Problem {
        // A file that cannot be read has no place but where it is named.
        if let Err(why) = &self.bytes {
            return Problem::new(self.at, code, format!("{} {why}", self.path.display()));
        }
        let json = self.path.extension().is_some_and(|e| e == "json");
        let key = printable(&readable(&finding.pointer));
        let place = if json || finding.pointer.is_empty() {
            None
        } else {
            let document = Document::read(&self.path).ok();
            document.and_then(|document| document.find(&finding.pointer, &key))
        };
        let place = place.unwrap_or_else(|| Place {
            key,
            ..Place::of_file(&self.path)
        });
        Problem::new(&place, code, finding.message.clone())
    }
}
