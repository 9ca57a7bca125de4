//! What the subcommands share that take, show and remove statements: `approval`, `attestation`, `countersignature`.

use std::path::PathBuf;

use sealift_verifier::{digest::Digest, error::printable};
use serde_json::{Value, json};

use super::{Answer, Failed, Scene, read_small};
use crate::{
    audit::{self, Action, Entry},
    error::{Code, Error, Result},
    site::Ready,
    statements::{self, Kind},
};

/// What is told of a statement: a line for people, which is escaped here, and a value for machines.
pub(super) type Told = (String, Value);

/// Takes files one after the other for the subcommand `verb`; `take` records each of them and says what it is.
pub(super) fn add(
    files: &[PathBuf],
    verb: &str,
    scene: &Scene<'_>,
    take: impl Fn(&mut Ready<'_>, &[u8], &str) -> Result<Told>,
) -> Result<Answer, Failed> {
    let mut site = scene.ready(verb)?;
    let mut added = Vec::new();
    for file in files {
        let (bytes, name) = read_small(file, statements::LIMIT)?;
        let (line, json) = take(&mut site, &bytes, &name)?;
        added.push((format!("added: {line}"), json));
    }
    Ok(listed("added", added))
}

/// All of them, under `name` for machines.
pub(super) fn listed(name: &str, all: Vec<Told>) -> Answer {
    let mut text = String::new();
    if all.is_empty() {
        text.push_str("there is nothing\n");
    }
    let mut values = Vec::new();
    for (line, json) in all {
        text.push_str(&printable(&line));
        text.push('\n');
        values.push(json);
    }
    Answer {
        text,
        json: json!({ name: values }),
    }
}

/// Removes the statement with this digest, which is of one of these kinds.
pub(super) fn remove(
    digest: Digest,
    kinds: &[Kind],
    (verb, action): (&str, Action),
    scene: &Scene<'_>,
) -> Result<Answer, Failed> {
    let mut site = scene.ready(verb)?;
    for kind in kinds {
        let there = statements::list(&site, *kind)?;
        if there.iter().any(|kept| kept.digest == digest) {
            let subject = format!("{} {digest}", kind.name());
            let entry = Entry::new(action).about(&subject);
            audit::recorded(&mut site, entry, &scene.context, |site| {
                statements::remove(site, *kind, digest)
            })?;
            return Ok(Answer {
                text: format!("removed: {subject}\n"),
                json: json!({ "removed": digest, "kind": kind.name() }),
            });
        }
    }
    Err(Error::new(Code::NotFound, digest.to_string(), "is not here").into())
}
