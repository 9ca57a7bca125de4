//! From definitions to a [`Plan`]: reads `RELEASE.toml` and the catalog, decides on versions, and looks at
//! every artifact. Everything that is wrong is collected before anything is said.

mod artifact;
mod configuration;
mod definitions;
mod health;
mod listing;
mod named;
mod tree;

use std::path::{Path, PathBuf};

use sealift_verifier::{
    digest::Digest,
    path::Name,
    release::{Capability, Configuration, Mode, Release},
};
use semver::{Version, VersionReq};

pub(crate) use self::definitions::{Definitions, in_modes};
use crate::{
    catalog::Entry,
    definition::{CapabilityDefinition, Located},
    error::Code,
    license::LicenseRules,
    lock::LockFile,
    plan::{Plan, PlannedCapability, Source},
    problem::{Place, Problem, Problems},
    resolve::Resolved,
};

/// How a definition is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Seconds since 1970-01-01T00:00:00Z, which go before `published` of the definition.
    pub source_date_epoch: Option<i64>,
    /// The mode that versions are resolved for. With none, the one of the definition.
    pub mode: Option<Mode>,
    /// Whether there has to be a lock.
    pub locked: bool,
}

/// Makes the plan of the release that `release_toml` defines.
///
/// Contents are read only where the plan depends on them: definitions, image manifests and
/// configurations, and configuration files, which are searched for secrets.
///
/// # Errors
/// All problems of all definitions and artifacts at once, sorted by place.
pub fn plan(release_toml: &Path, options: &Options) -> Result<Plan, Problems> {
    let mut collected = collect(release_toml, options, None, Promises::Dropped);
    match (Problems::of(collected.problems), collected.plans.pop()) {
        (None, Some(plan)) => Ok(plan),
        (Some(problems), _) => Err(problems),
        (None, None) => Err(Problems::unexplained(release_toml)),
    }
}

/// The same for several modes, with definitions read once. Without modes it is for those of the definition.
///
/// # Errors
/// All problems in all modes at once.
pub fn plans(
    release_toml: &Path,
    options: &Options,
    modes: &[Mode],
) -> Result<Vec<Plan>, Problems> {
    let collected = collect(release_toml, options, Some(modes), Promises::Dropped);
    match Problems::of(collected.problems) {
        None if collected.plans.is_empty() => Err(Problems::unexplained(release_toml)),
        None => Ok(collected.plans),
        Some(problems) => Err(problems),
    }
}

/// Everything that could be learned from definitions, whether or not a release can be built from them.
pub(crate) struct Collected {
    /// The plan for each mode, if there is no problem.
    pub(crate) plans: Vec<Plan>,
    pub(crate) problems: Vec<Problem>,
    /// What remains to be compared when contents are read.
    pub(crate) contents: Vec<Content>,
}

impl Collected {
    fn nothing(problems: Vec<Problem>) -> Self {
        Self {
            plans: Vec::new(),
            problems,
            contents: Vec::new(),
        }
    }
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

/// Whether somebody is going to read contents when all is collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promises {
    Kept,
    Dropped,
}

/// What the parts of the collection share.
struct Collector {
    /// The catalog folder with all symbolic links resolved: nothing may lie outside of it.
    catalog: PathBuf,
    platforms: Vec<String>,
    problems: Vec<Problem>,
    /// Licenses of capabilities that the vendor does not accept: told with those of packages, unless there is something
    /// wrong before these can be known.
    refused: Vec<Problem>,
    /// Modes in which there is no answer, and why.
    undecided: Vec<(Option<Mode>, Vec<Problem>)>,
    promises: Promises,
    contents: Vec<Content>,
}

impl Collector {
    /// Notes what remains to be compared, if somebody is going to.
    fn promise(&mut self, content: impl FnOnce() -> Content) {
        if self.promises == Promises::Kept {
            self.contents.push(content());
        }
    }

    fn report(&mut self, at: &Place, code: Code, message: impl Into<String>) {
        self.problems.push(Problem::new(at, code, message));
    }
}

/// Reads definitions, decides on versions and looks at artifacts; never stops at a problem that leaves
/// something to look at. It is for one mode, or for the modes that are named, or those of the definition.
pub(crate) fn collect(
    release_toml: &Path,
    options: &Options,
    modes: Option<&[Mode]>,
    promises: Promises,
) -> Collected {
    let definitions = match Definitions::read(release_toml, options.source_date_epoch) {
        Ok(definitions) => definitions,
        Err(problems) => return Collected::nothing(problems),
    };
    let Definitions {
        release,
        folder,
        problems,
        ..
    } = &definitions;
    let canonical = match folder.canonicalize() {
        Ok(canonical) => canonical,
        Err(e) => return Collected::nothing(vec![missing(&release.catalog.at, folder, &e)]),
    };
    let mut collector = Collector {
        catalog: canonical,
        platforms: release.platforms.clone(),
        problems: problems.clone(),
        refused: Vec::new(),
        undecided: Vec::new(),
        promises,
        contents: Vec::new(),
    };
    let modes = match modes {
        Some(asked) => definitions.modes(asked),
        None => (definitions.mode(options.mode))
            .map(|mode| vec![mode])
            .map_err(|problem| vec![problem]),
    };
    let lock = definitions.lock(options.locked);
    let (modes, lock) = match (modes, lock) {
        (Ok(modes), Ok(lock)) => (modes, lock),
        (modes, lock) => {
            collector.problems.extend(modes.err().unwrap_or_default());
            collector.problems.extend(lock.err().unwrap_or_default());
            return Collected::nothing(collector.problems);
        }
    };
    let mut plans = Vec::new();
    for mode in &modes {
        plans.extend(collector.release(&definitions, lock.as_ref(), *mode));
    }
    let Collector {
        mut problems,
        contents,
        undecided,
        ..
    } = collector;
    problems.extend(in_modes(undecided, modes.len()));
    if !problems.is_empty() {
        problems.extend(plans.drain(..).flat_map(|plan| plan.refused));
    }
    Collected {
        plans,
        problems,
        contents,
    }
}

fn assemble(
    definitions: &Definitions,
    lock: Option<&LockFile>,
    mode: Option<Mode>,
    resolved: Resolved,
    capabilities: Vec<PlannedCapability>,
) -> Option<Plan> {
    let release = &definitions.release;
    let digests = definitions.used(&resolved, lock);
    let manifest = Release {
        security_floor: release.security_floor.clone(),
        platforms: release.platforms.clone(),
        mode,
        release_type: release.release_type.as_ref().map(|t| t.value),
        upgrade_from: release.upgrade_from.clone(),
        severity: release.severity,
        licensed: release.licensed,
        maintenance_exempt: release.maintenance_exempt,
        fixes: release.fixes.clone(),
        changes: release.changes.clone(),
        resolution: resolved.resolution,
        ..Release::new(
            release.product.clone()?,
            release.version.clone()?,
            release.published?,
        )
    };
    Some(Plan {
        release: manifest,
        counter: release.counter?,
        expires: release.expires?,
        definition: definitions.file_name(),
        definitions: digests,
        licenses: definitions.licenses.clone(),
        refused: Vec::new(),
        capabilities,
    })
}

impl Collector {
    /// What a release is made of in a mode.
    fn release(
        &mut self,
        definitions: &Definitions,
        lock: Option<&LockFile>,
        mode: Option<Mode>,
    ) -> Option<Plan> {
        let catalog = &definitions.catalog;
        let resolved = match definitions.locked(mode, lock) {
            Ok(resolved) => resolved,
            Err(problems) => {
                // What is pinned would be looked at in any case.
                for (name, version) in definitions.exact_pins() {
                    let entry = catalog.capabilities.get(name).and_then(|c| c.get(version));
                    entry.and_then(|entry| {
                        self.capability(name, version, entry, &definitions.licenses)
                    });
                }
                self.undecided.push((mode, problems));
                self.problems.append(&mut self.refused);
                return None;
            }
        };
        let mut capabilities = Vec::new();
        for (name, (version, decision)) in &resolved.capabilities {
            let entry = catalog.capabilities.get(name).and_then(|c| c.get(version));
            let capability = entry
                .and_then(|entry| self.capability(name, version, entry, &definitions.licenses));
            capabilities.extend(capability.map(|mut capability| {
                capability.manifest.decision = Some(decision.clone());
                capability
            }));
        }
        let refused = std::mem::take(&mut self.refused);
        if !self.problems.is_empty() {
            self.problems.extend(refused);
            return None;
        }
        let plan = assemble(definitions, lock, mode, resolved, capabilities)?;
        Some(Plan { refused, ..plan })
    }

    fn capability(
        &mut self,
        name: &Name,
        version: &Version,
        entry: &Entry<CapabilityDefinition>,
        licenses: &LicenseRules,
    ) -> Option<PlannedCapability> {
        let definition = &entry.definition;
        let problem = match &definition.license {
            Some(license) => licenses.check(name, Some(&license.value), &license.at),
            None => licenses.check(name, None, &entry.place()),
        };
        match problem {
            Some(problem) if problem.code == Code::LicenseInvalid => self.problems.push(problem),
            other => self.refused.extend(other),
        }
        self.resolve(&entry.file, &entry.place())?;
        let folder = entry.file.parent()?;
        let mut artifacts = Vec::new();
        for artifact in &definition.artifacts {
            artifacts.extend(self.artifact(folder, artifact, definition.kind));
        }
        artifacts.sort_by(|a, b| a.name.cmp(&b.name));
        // With artifacts missing, something else might ask for one of them.
        if artifacts.len() == definition.artifacts.len() {
            let checks = definition.health.iter();
            let problems = checks.filter_map(|check| health::check(check, &artifacts));
            self.problems.extend(problems);
            self.problems.extend(named::check(definition, &artifacts));
            let problems = configuration::check(definition, folder, &artifacts);
            self.problems.extend(problems);
        }
        let requirements = |pairs: &[(Name, Located<VersionReq>)]| {
            let pairs = pairs
                .iter()
                .map(|(name, r)| (name.clone(), r.value.clone()));
            pairs.collect()
        };
        let manifest = Capability {
            description: definition.description.clone(),
            license: definition.license.as_ref().map(|l| l.value.clone()),
            vendor: definition.vendor.clone(),
            requires: requirements(&definition.requires),
            conflicts: requirements(&definition.conflicts),
            entitlements: definition.entitlements.clone(),
            hardware: definition.hardware,
            configuration: Configuration {
                schema: definition.schema.as_ref().map(|s| s.value.clone()),
                defaults: definition.defaults.as_ref().map(|d| d.value.clone()),
            },
            migrations: definition
                .migrations
                .iter()
                .map(|m| m.value.clone())
                .collect(),
            fixes: definition.fixes.clone(),
            changes: definition.changes.clone(),
            health: definition
                .health
                .iter()
                .map(|check| check.value.clone())
                .collect(),
            ..Capability::new(name.clone(), version.clone(), definition.kind?)
        };
        Some(PlannedCapability {
            manifest,
            artifacts,
        })
    }

    /// A resolved path, relative to the catalog.
    fn below_catalog(&self, path: &Path) -> String {
        let below = path.strip_prefix(&self.catalog).unwrap_or(path);
        below.display().to_string()
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
