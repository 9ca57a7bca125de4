//! What a definition says of its own files: configuration and migrations name them as they lie at the site.

use sealift_verifier::path::EntryPath;

use super::health::{Lies, look};
use crate::{
    configuration,
    definition::CapabilityDefinition,
    error::Code,
    plan::PlannedArtifact,
    problem::{Place, Problem},
};

/// Every file that is named and not delivered.
pub(super) fn check(
    definition: &CapabilityDefinition,
    artifacts: &[PlannedArtifact],
) -> Vec<Problem> {
    // What is configured is read here, so that a link has to lead to it; of the rest, where it leads is seen at the site.
    let configuration = [&definition.schema, &definition.defaults];
    let unreadable = configuration
        .into_iter()
        .flatten()
        .filter(|named| configuration::source(&named.value, artifacts).is_none())
        .map(|named| (&named.at, &named.value));
    let migrations = definition.migrations.iter().flat_map(|migration| {
        let files = std::iter::once(&migration.value.up).chain(&migration.value.down);
        files.map(|file| (&migration.at, file))
    });
    let absent = migrations.filter(|(_, path)| matches!(look(path, artifacts), Lies::Nothing));
    let problem = |(at, path): (&Place, &EntryPath)| {
        let problem = Problem::new(
            at,
            Code::FileMissing,
            format!("no artifact has the file {path}"),
        );
        problem.with_hint(
            "name a file as it lies at the site: an artifact of type file or config, or a file inside of a tree; \
             links have to lead to one of the same tree",
        )
    };
    unreadable.chain(absent).map(problem).collect()
}
