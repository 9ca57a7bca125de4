//! A release definition with the catalog that it is resolved from.

use std::path::{Path, PathBuf};

use sealift_verifier::{digest::Digest, path::Name, release::Mode};
use semver::Version;

use super::missing;
use crate::{
    build::threads,
    catalog::{Catalog, Versions},
    definition::{Document, ReleaseDefinition, Wanted},
    error::Code,
    plan::DefinitionDigest,
    problem::Problem,
    resolve::{Preferred, Request, Resolved, resolve},
};

/// All definitions that have a part in a release.
pub(crate) struct Definitions {
    /// The release definition, as it was named.
    pub(crate) file: PathBuf,
    /// SHA-256 of the release definition.
    pub(crate) digest: Digest,
    pub(crate) release: ReleaseDefinition,
    /// The catalog folder, in the way the caller named the definition.
    pub(crate) folder: PathBuf,
    pub(crate) catalog: Catalog,
    /// What is wrong with the definitions, each by itself.
    pub(crate) problems: Vec<Problem>,
}

impl Definitions {
    /// Reads a release definition and all of its catalog.
    ///
    /// # Errors
    /// All problems, if nothing can be resolved with them: a release definition that is no TOML, a
    /// catalog that is not there.
    pub(crate) fn read(
        release_toml: &Path,
        source_date_epoch: Option<i64>,
    ) -> Result<Self, Vec<Problem>> {
        let document = Document::read(release_toml).map_err(|problem| vec![problem])?;
        let digest = document.digest();
        let (release, mut problems) =
            document.interpret(|fields| Some(ReleaseDefinition::read(fields, source_date_epoch)));
        let Some(release) = release else {
            return Err(problems);
        };
        let folder = release_toml
            .parent()
            .unwrap_or(Path::new(""))
            .join(&release.catalog.value);
        let at = &release.catalog.at;
        match folder.metadata() {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                let message = format!("{} is no folder", folder.display());
                problems.push(Problem::new(at, Code::ArtifactType, message));
                return Err(problems);
            }
            Err(e) => {
                problems.push(missing(at, &folder, &e));
                return Err(problems);
            }
        }
        let (catalog, wrong) = Catalog::read(&folder, threads());
        problems.extend(wrong);
        Ok(Self {
            file: release_toml.to_owned(),
            digest,
            release,
            folder,
            catalog,
            problems,
        })
    }

    /// The release definition's file name.
    pub(crate) fn file_name(&self) -> String {
        let name = self.file.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The capabilities that the release definition pins to one version.
    pub(crate) fn exact_pins(&self) -> impl Iterator<Item = (&Name, &Version)> {
        let pins = self.release.capabilities.iter();
        pins.filter_map(|(name, wanted)| match &wanted.value {
            Wanted::Exact(version) => Some((name, version)),
            Wanted::Range(_) => None,
        })
    }

    /// The definitions that an answer follows from, sorted by path.
    pub(crate) fn used(&self, resolved: &Resolved) -> Vec<DefinitionDigest> {
        fn add<T>(
            used: &mut Vec<DefinitionDigest>,
            folder: &Path,
            versions: &Versions<T>,
            name: &Name,
            version: &Version,
        ) {
            let entry = versions
                .get(name)
                .and_then(|versions| versions.get(version));
            used.extend(entry.map(|entry| {
                let path = entry.file.strip_prefix(folder).unwrap_or(&entry.file);
                DefinitionDigest {
                    path: path.display().to_string(),
                    digest: entry.digest,
                }
            }));
        }
        let mut used = vec![DefinitionDigest {
            path: self.file_name(),
            digest: self.digest,
        }];
        let (folder, catalog) = (&self.folder, &self.catalog);
        let platform = resolved.resolution.platform.as_ref();
        if let Some((platform, product)) = platform.zip(self.release.product.as_ref()) {
            add(
                &mut used,
                folder,
                &catalog.platforms,
                product,
                &platform.version,
            );
        }
        for suite in &resolved.resolution.suites {
            add(
                &mut used,
                folder,
                &catalog.suites,
                &suite.name,
                &suite.version,
            );
        }
        for (name, (version, _)) in &resolved.capabilities {
            add(&mut used, folder, &catalog.capabilities, name, version);
        }
        used.sort();
        used
    }

    /// Decides on versions for a mode. `preferred` are taken where they are allowed.
    ///
    /// # Errors
    /// All problems of the definitions, and why there is no answer.
    pub(crate) fn resolve(
        &self,
        mode: Option<Mode>,
        preferred: &Preferred,
    ) -> Result<Resolved, Vec<Problem>> {
        let request = Request {
            definition: &self.file,
            product: self.release.product.as_ref(),
            platform: self.release.platform.as_ref(),
            suites: &self.release.suites,
            capabilities: &self.release.capabilities,
            mode,
            preferred,
        };
        resolve(&self.catalog, &request).map_err(|mut problems| {
            if self.catalog.incomplete {
                // They follow from what could not be read, or seem to.
                problems.clear();
            }
            problems.extend(self.problems.iter().cloned());
            problems
        })
    }
}
