//! From definitions to a [`Plan`]: reads `RELEASE.toml`, the `capability.toml` of each capability, and
//! looks at every artifact. Everything that is wrong is collected before anything is said.

mod artifact;
mod health;
mod tree;

use std::path::{Path, PathBuf};

use sealift_verifier::{digest::Digest, path::Name};
use semver::Version;

use crate::{
    definition::{CapabilityDefinition, Document, Located, ReleaseDefinition},
    error::Code,
    plan::{Plan, PlannedCapability, Source},
    problem::{Place, Problem, Problems},
};

/// Makes the plan of the release that `release_toml` defines.
///
/// `source_date_epoch`, in seconds since 1970-01-01T00:00:00Z, goes before `published` of the definition.
/// Contents are read only where the plan depends on them: definitions, image manifests and
/// configurations, and configuration files, which are searched for secrets.
///
/// # Errors
/// All problems of all definitions and artifacts at once, sorted by place.
pub fn plan(release_toml: &Path, source_date_epoch: Option<i64>) -> Result<Plan, Problems> {
    let collected = collect(release_toml, source_date_epoch);
    match (Problems::of(collected.problems), collected.plan) {
        (None, Some(plan)) => Ok(plan),
        (Some(problems), _) => Err(problems),
        (None, None) => Err(Problems::unexplained(release_toml)),
    }
}

/// Everything that could be learned from definitions, whether or not a release can be built from them.
pub(crate) struct Collected {
    /// The plan, if there is no problem.
    pub(crate) plan: Option<Plan>,
    pub(crate) problems: Vec<Problem>,
    /// What remains to be compared when contents are read.
    pub(crate) contents: Vec<Content>,
}

/// Content whose length, and perhaps digest, has been promised.
pub(crate) struct Content {
    pub(crate) source: Source,
    pub(crate) size: u64,
    /// With none, it only has to be readable.
    pub(crate) digest: Option<Digest>,
    /// Who promised: where a mismatch is reported.
    pub(crate) at: Place,
    /// What to call it.
    pub(crate) subject: String,
}

/// What the parts of the collection share.
struct Collector {
    /// The catalog folder with all symbolic links resolved: nothing may lie outside of it.
    catalog: PathBuf,
    platforms: Vec<String>,
    problems: Vec<Problem>,
    contents: Vec<Content>,
}

impl Collector {
    fn report(&mut self, at: &Place, code: Code, message: impl Into<String>) {
        self.problems.push(Problem::new(at, code, message));
    }
}

/// Reads definitions and looks at artifacts; never stops at a problem that leaves something to look at.
pub(crate) fn collect(release_toml: &Path, source_date_epoch: Option<i64>) -> Collected {
    let nothing = |problems| Collected {
        plan: None,
        problems,
        contents: Vec::new(),
    };
    let document = match Document::read(release_toml) {
        Ok(document) => document,
        Err(problem) => return nothing(vec![problem]),
    };
    let (release, mut problems) =
        document.interpret(|fields| Some(ReleaseDefinition::read(fields, source_date_epoch)));
    let Some(release) = release else {
        return nothing(problems);
    };
    let folder = release_toml
        .parent()
        .unwrap_or(Path::new(""))
        .join(&release.catalog.value);
    let catalog = match folder.canonicalize() {
        Ok(catalog) if catalog.is_dir() => catalog,
        Ok(_) => {
            let message = format!("{} is no folder", folder.display());
            problems.push(Problem::new(
                &release.catalog.at,
                Code::ArtifactType,
                message,
            ));
            return nothing(problems);
        }
        Err(e) => {
            problems.push(missing(&release.catalog.at, &folder, &e));
            return nothing(problems);
        }
    };
    let mut collector = Collector {
        catalog,
        platforms: release.platforms.clone(),
        problems,
        contents: Vec::new(),
    };
    let mut capabilities = Vec::new();
    for (name, version) in &release.capabilities {
        capabilities.extend(collector.capability(&folder, name, version));
    }
    let Collector {
        problems, contents, ..
    } = collector;
    let plan = if problems.is_empty() {
        assemble(release, capabilities)
    } else {
        None
    };
    Collected {
        plan,
        problems,
        contents,
    }
}

fn assemble(release: ReleaseDefinition, mut capabilities: Vec<PlannedCapability>) -> Option<Plan> {
    capabilities.sort_by(|a, b| a.name.cmp(&b.name));
    Some(Plan {
        product: release.product?,
        version: release.version?,
        counter: release.counter?,
        published: release.published?,
        expires: release.expires?,
        security_floor: release.security_floor,
        platforms: release.platforms,
        capabilities,
    })
}

impl Collector {
    fn capability(
        &mut self,
        catalog: &Path,
        name: &Name,
        version: &Located<Version>,
    ) -> Option<PlannedCapability> {
        let folder = catalog
            .join("capabilities")
            .join(name.as_str())
            .join(version.value.to_string());
        let file = folder.join("capability.toml");
        if !file.exists() {
            let message = format!("there is no {}", file.display());
            self.report(&version.at, Code::FileMissing, message);
            return None;
        }
        self.resolve(&file, &version.at)?;
        let document = match Document::read(&file) {
            Ok(document) => document,
            Err(problem) => {
                self.problems.push(problem);
                return None;
            }
        };
        let (definition, problems) = document
            .interpret(|fields| Some(CapabilityDefinition::read(fields, name, &version.value)));
        self.problems.extend(problems);
        let definition = definition?;
        let mut artifacts = Vec::new();
        for artifact in &definition.artifacts {
            artifacts.extend(self.artifact(&folder, artifact, definition.kind));
        }
        artifacts.sort_by(|a, b| a.name.cmp(&b.name));
        // With artifacts missing, a check might ask for one of them.
        if artifacts.len() == definition.artifacts.len() {
            let problems = definition
                .health
                .iter()
                .filter_map(|check| health::check(check, &artifacts));
            self.problems.extend(problems);
        }
        Some(PlannedCapability {
            name: name.clone(),
            version: version.value.clone(),
            kind: definition.kind?,
            description: definition.description,
            license: definition.license,
            health: definition
                .health
                .into_iter()
                .map(|check| check.value)
                .collect(),
            artifacts,
        })
    }

    /// The path with its symbolic links resolved, if it exists and lies inside the catalog.
    fn resolve(&mut self, path: &Path, at: &Place) -> Option<PathBuf> {
        match path.canonicalize() {
            Ok(resolved) if resolved.starts_with(&self.catalog) => Some(resolved),
            Ok(resolved) => {
                let message = format!("leads outside of the catalog, to {}", resolved.display());
                self.report(at, Code::PathOutside, message);
                None
            }
            Err(e) => {
                self.problems.push(missing(at, path, &e));
                None
            }
        }
    }
}

/// A path that cannot be opened.
fn missing(at: &Place, path: &Path, error: &std::io::Error) -> Problem {
    match error.kind() {
        std::io::ErrorKind::NotFound => Problem::new(
            at,
            Code::FileMissing,
            format!("there is no {}", path.display()),
        ),
        _ => Problem::new(at, Code::Io, format!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests;
