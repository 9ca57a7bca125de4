//! Whether the program that a health check runs is part of the capability.

use sealift_verifier::{
    path::EntryPath,
    release::{HealthCheck, Probe},
    tree::Mode,
};

use crate::{
    definition::Located,
    error::Code,
    plan::{PlannedArtifact, PlannedContent, PlannedNode},
    problem::Problem,
};

/// What lies at a path of the capability's folder.
pub(super) enum Lies {
    Program,
    NotExecutable,
    Nothing,
}

/// The problem of a check whose program would not be there, or could not be run, at the site.
pub(super) fn check(
    check: &Located<HealthCheck>,
    artifacts: &[PlannedArtifact],
) -> Option<Problem> {
    let Probe::Exec(words) = &check.value.probe else {
        return None;
    };
    let program = words.first().filter(|program| program.contains('/'))?;
    let path: EntryPath = program.parse().ok()?;
    let (what, hint) = match look(&path, artifacts) {
        Lies::Program => return None,
        Lies::NotExecutable => ("cannot be run", "set its x bit, or executable = true"),
        Lies::Nothing => (
            "is no file of this capability",
            "add it as an artifact, or correct the path",
        ),
    };
    let problem = Problem::new(&check.at, Code::HealthInvalid, format!("{program} {what}"));
    Some(problem.with_hint(hint))
}

/// Looks for a file of the capability.
pub(super) fn look(path: &EntryPath, artifacts: &[PlannedArtifact]) -> Lies {
    for artifact in artifacts {
        match &artifact.content {
            PlannedContent::File(file) if artifact.name == *path => {
                return if file.executable {
                    Lies::Program
                } else {
                    Lies::NotExecutable
                };
            }
            PlannedContent::Config(_) | PlannedContent::Notice(_) if artifact.name == *path => {
                return Lies::NotExecutable;
            }
            PlannedContent::Tree(entries) => {
                let below = path.as_str().strip_prefix(artifact.name.as_str());
                let Some(below) = below.and_then(|rest| rest.strip_prefix('/')) else {
                    continue;
                };
                let entry = entries.iter().find(|entry| {
                    // A link to a folder may lie on the way; where it leads is seen at the site.
                    let link = matches!(entry.node, PlannedNode::Symlink { .. });
                    let rest = below.strip_prefix(entry.path.as_str());
                    rest.is_some_and(|rest| rest.is_empty() || (link && rest.starts_with('/')))
                });
                return match entry.map(|entry| &entry.node) {
                    Some(
                        PlannedNode::File {
                            mode: Mode::Executable,
                            ..
                        }
                        | PlannedNode::Symlink { .. },
                    ) => Lies::Program,
                    Some(
                        PlannedNode::File {
                            mode: Mode::Plain, ..
                        }
                        | PlannedNode::Dir,
                    ) => Lies::NotExecutable,
                    None => Lies::Nothing,
                };
            }
            _ => {}
        }
    }
    Lies::Nothing
}
