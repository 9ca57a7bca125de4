//! What a definition says of its own files: configuration and migrations name them as they lie at the site.

use sealift_verifier::path::EntryPath;

use super::health::{Lies, look};
use crate::{
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
    let mut named: Vec<(&Place, &EntryPath)> = Vec::new();
    let configuration = [&definition.schema, &definition.defaults];
    named.extend(
        configuration
            .into_iter()
            .flatten()
            .map(|f| (&f.at, &f.value)),
    );
    for migration in &definition.migrations {
        named.push((&migration.at, &migration.value.up));
        named.extend(
            migration
                .value
                .down
                .iter()
                .map(|down| (&migration.at, down)),
        );
    }
    let absent = named
        .into_iter()
        .filter(|(_, path)| matches!(look(path, artifacts), Lies::Nothing));
    let problem = |(at, path): (&Place, &EntryPath)| {
        let problem = Problem::new(
            at,
            Code::FileMissing,
            format!("no artifact has the file {path}"),
        );
        problem.with_hint(
            "name a file as it lies at the site: an artifact of type file or config, or a file inside of a tree",
        )
    };
    absent.map(problem).collect()
}
