//! Where a release comes from, as tables for people.

use sealift_verifier::{
    bundle::Authentic,
    provenance::{Provenance, Resource},
};
use serde_json::{Map, Value, json};

use super::{
    recorder::signer,
    table::{facts, table},
};

/// The provenance of a bundle as text and as JSON.
pub(super) fn inspect(bundle: &Authentic) -> (String, Value) {
    let provenance = bundle.provenance();
    let signers = provenance.signers.iter();
    let signers: Vec<_> = signers
        .map(|signer| [signer.keyid.clone(), signer.public.clone()])
        .collect();
    let text = format!(
        "{}\n{}\n{}\n{}\n{}",
        facts(&builder(provenance)),
        table(["parameter", "value"], &parameters(provenance)),
        table(["subject", "sha256"], &subjects(provenance)),
        table(
            ["source", "artifact", "type", "sha256"],
            &sources(provenance)
        ),
        table(["signed by", "public key (Ed25519)"], &signers),
    );
    let json = json!({
        "signers": provenance.signers.iter().map(signer).collect::<Vec<_>>(),
        "statement": provenance.statement,
    });
    (text, json)
}

/// Who built, and which run it was.
pub(crate) fn builder(provenance: &Provenance) -> [(&'static str, String); 4] {
    let predicate = &provenance.statement.predicate;
    let run = &predicate.run_details;
    [
        ("builder", run.builder.id.clone()),
        ("build type", predicate.build_definition.build_type.clone()),
        ("invocation", run.metadata.invocation_id.clone()),
        ("finished", run.metadata.finished_on.to_string()),
    ]
}

/// What was asked for, and what the builder added. A list of nothing says nothing and is left out.
pub(crate) fn parameters(provenance: &Provenance) -> Vec<[String; 2]> {
    let build = &provenance.statement.predicate.build_definition;
    let rows = |parameters: &Map<String, Value>| {
        let said = |value: &&Value| value.as_array().is_none_or(|list| !list.is_empty());
        let rows = parameters.iter().filter(|(_, value)| said(value));
        rows.map(|(name, value)| [name.clone(), shown(value)])
            .collect::<Vec<_>>()
    };
    [
        rows(&build.external_parameters),
        rows(&build.internal_parameters),
    ]
    .concat()
}

/// A text as it is, several side by side, anything else as JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let list: Vec<String> = list.iter().map(shown).collect();
            list.join(" ")
        }
        other => other.to_string(),
    }
}

fn subjects(provenance: &Provenance) -> Vec<[String; 2]> {
    let subjects = provenance.statement.subject.iter();
    subjects
        .map(|subject| {
            let name = subject.name.clone().unwrap_or_default();
            [name, subject.digest.sha256.to_hex()]
        })
        .collect()
}

/// Definitions and the sources of artifacts: where, what for, of which type, and the digest.
pub(crate) fn sources(provenance: &Provenance) -> Vec<[String; 4]> {
    let build = &provenance.statement.predicate.build_definition;
    let row = |source: &Resource| {
        let kind = source.annotations.get("type");
        [
            source.uri.clone().unwrap_or_default(),
            source.name.clone().unwrap_or_default(),
            kind.map_or("definition", String::as_str).to_owned(),
            source.digest.sha256.to_hex(),
        ]
    };
    build.resolved_dependencies.iter().map(row).collect()
}
