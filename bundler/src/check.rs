//! `check`: everything that is wrong with definitions, contents included.

use std::{collections::HashMap, io, path::Path};

use sealift_verifier::{digest::Digest, release::Mode};

use crate::{
    collect::{Content, Options, Promises, collect},
    error::Code,
    plan::{Plan, Source},
    problem::{Problem, Problems},
};

/// Does what [`crate::collect::plans`] does, and reads contents too: declared digests and all blobs of
/// images are compared, and every other file is opened.
///
/// # Errors
/// All problems at once.
pub fn check(
    release_toml: &Path,
    options: &Options,
    modes: &[Mode],
) -> Result<Vec<Plan>, Problems> {
    let collected = collect(release_toml, options, Some(modes), Promises::Kept);
    let mut problems = collected.problems;
    let mut known = HashMap::new();
    for content in &collected.contents {
        problems.extend(compare(content, &mut known).err());
    }
    match Problems::of(problems) {
        None if collected.plans.is_empty() => Err(Problems::unexplained(release_toml)),
        None => Ok(collected.plans),
        Some(problems) => Err(problems),
    }
}

/// Reads one content as far as its promise asks for. Layers that images share lie in one place; `known`
/// holds what was read of it before.
fn compare<'c>(
    content: &'c Content,
    known: &mut HashMap<&'c Source, (Digest, u64)>,
) -> Result<(), Problem> {
    let failed =
        |e: io::Error| Problem::new(&content.at, Code::Io, format!("{}: {e}", content.subject));
    let Some(expected) = content.digest else {
        return content.source.open().map(|_| ()).map_err(failed);
    };
    let (found, length) = match known.get(&content.source) {
        Some(read) => *read,
        None => *known
            .entry(&content.source)
            .or_insert(content.source.digest().map_err(failed)?),
    };
    if length != content.size {
        let message = format!(
            "{} has {length} bytes, not {}",
            content.subject, content.size
        );
        return Err(Problem::new(&content.at, Code::LengthMismatch, message));
    }
    if found != expected {
        let message = format!("{} has the digest {found}, not {expected}", content.subject);
        return Err(Problem::new(&content.at, Code::DigestMismatch, message));
    }
    Ok(())
}
