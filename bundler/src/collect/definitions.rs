//! A release definition with the catalog that it is resolved from.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sealift_verifier::{digest::Digest, path::Name, release::Mode};
use semver::Version;

use super::missing;
use crate::{
    build::threads,
    catalog::{Catalog, Versions},
    definition::{Document, Located, ReleaseDefinition, Wanted},
    error::Code,
    license::LicenseRules,
    lock::{self, Difference, Level, Lock, LockFile, Locked, Standing},
    plan::DefinitionDigest,
    problem::{Place, Problem},
    resolve::{Doubt, Preferred, Request, Resolved, resolve},
};

/// Differences of a lock that are told one by one.
const DIFFERENCES: usize = 20;

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
    /// Which licenses the vendor accepts.
    pub(crate) licenses: LicenseRules,
    /// What is wrong with the definitions, each by itself.
    pub(crate) problems: Vec<Problem>,
    /// What of them could not be read.
    doubt: Doubt,
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
        let (licenses, wrong) = LicenseRules::read(&folder);
        problems.extend(wrong);
        let mut doubt = release.doubt.clone();
        doubt.extend(&catalog.doubt);
        Ok(Self {
            doubt,
            file: release_toml.to_owned(),
            digest,
            release,
            folder,
            catalog,
            licenses: licenses.unwrap_or_default(),
            problems,
        })
    }

    /// The release definition's file name.
    pub(crate) fn file_name(&self) -> String {
        file_name(&self.file)
    }

    /// The modes to resolve for: those asked for, else those of the definition, else none.
    ///
    /// # Errors
    /// The definition has modes, and others are asked for.
    pub(crate) fn modes(&self, asked: &[Mode]) -> Result<Vec<Option<Mode>>, Vec<Problem>> {
        let strange: Vec<_> = asked
            .iter()
            .filter_map(|mode| self.strange(*mode))
            .collect();
        if !strange.is_empty() {
            return Err(strange);
        }
        let modes = match asked {
            [] => &self.release.modes,
            asked => asked,
        };
        let mut modes: Vec<_> = modes.iter().copied().map(Some).collect();
        modes.sort();
        modes.dedup();
        if modes.is_empty() {
            modes.push(None);
        }
        Ok(modes)
    }

    /// Whether the release may be resolved for a mode.
    pub(crate) fn is_for(&self, mode: Option<Mode>) -> bool {
        match self.release.modes.as_slice() {
            [] => true,
            modes => mode.is_some_and(|mode| modes.contains(&mode)),
        }
    }

    /// What is wrong with a mode that the definition does not have among its modes.
    fn strange(&self, asked: Mode) -> Option<Problem> {
        let modes = self.release.modes.as_slice();
        if modes.is_empty() || modes.contains(&asked) {
            return None;
        }
        let message = format!("the release is for {}, not for {asked}", names(modes));
        let problem = Problem::new(&self.at_modes(), Code::ModeUnavailable, message);
        Some(problem.with_hint("ask for one of these, or add it to `modes`"))
    }

    fn at_modes(&self) -> Place {
        Place {
            key: "modes".into(),
            ..Place::of_file(&self.file)
        }
    }

    /// The one mode to resolve for.
    ///
    /// # Errors
    /// None is asked for, and the definition has several; or it has others than the one that is asked for.
    pub(crate) fn mode(&self, asked: Option<Mode>) -> Result<Option<Mode>, Problem> {
        match (asked, self.release.modes.as_slice()) {
            (Some(mode), _) => self.strange(mode).map_or(Ok(Some(mode)), Err),
            (None, []) => Ok(None),
            (None, [one]) => Ok(Some(*one)),
            (None, several) => {
                let message = format!("the release is for several: {}", names(several));
                Err(Problem::new(&self.at_modes(), Code::ModeAmbiguous, message))
            }
        }
    }

    /// The lock beside the release definition, if there is one.
    ///
    /// # Errors
    /// It cannot be read, is of another release, or there is none although one is `demanded`.
    pub(crate) fn lock(&self, demanded: bool) -> Result<Option<LockFile>, Vec<Problem>> {
        let path = lock::path_of(&self.file);
        let at = Place::of_file(&path);
        let Some(found) = LockFile::read(&path)? else {
            if demanded {
                let problem = Problem::new(&at, Code::LockMissing, "there is no lock");
                return Err(vec![problem.with_hint(self.resolve_hint())]);
            }
            return Ok(None);
        };
        if let Some(message) = self.is_foreign(&found.lock) {
            let problem = Problem::new(&at, Code::LockStale, message);
            return Err(vec![problem.with_hint(self.resolve_hint())]);
        }
        Ok(Some(found))
    }

    /// What shows that a lock was made for something else, whatever it says of single modes.
    fn is_foreign(&self, lock: &Lock) -> Option<String> {
        let release = &self.release;
        let ours = release.product.as_ref().zip(release.version.as_ref());
        if ours.is_some_and(|ours| ours != (&lock.product, &lock.version)) {
            return Some(format!("is the lock of {} {}", lock.product, lock.version));
        }
        let mut modes = lock.resolutions.iter().map(|locked| locked.mode);
        let mode = modes.find(|mode| !self.is_for(*mode))?;
        let shown = mode.map_or("no mode", Mode::name);
        Some(format!(
            "has a resolution for {shown}, which the release is not for"
        ))
    }

    /// What is decided for a mode, how the lock stands to that, and which of its versions were preferred.
    ///
    /// # Errors
    /// Why there is no answer, or what is wrong with definitions or the lock.
    pub(crate) fn decided(
        &self,
        mode: Option<Mode>,
    ) -> Result<(Locked, Standing, Preferred), Vec<Problem>> {
        let mode = self.mode(mode).map_err(|problem| vec![problem])?;
        let file = LockFile::read(&lock::path_of(&self.file))?;
        let locked = file.as_ref().and_then(|file| file.lock.of(mode));
        let preferred = locked.map_or_else(Preferred::default, Locked::preferred);
        let resolved = self.resolve(mode, &preferred);
        if !self.problems.is_empty() {
            let mut problems = resolved.err().unwrap_or_default();
            problems.extend(self.problems.iter().cloned());
            return Err(problems);
        }
        let resolved = resolved?;
        let now = Locked::new(self, mode, &resolved);
        let standing = match (&file, locked) {
            (None, _) => Standing::Missing,
            (Some(file), Some(locked))
                if *locked == now && self.is_foreign(&file.lock).is_none() =>
            {
                Standing::Current
            }
            (Some(_), _) => Standing::Stale,
        };
        Ok((now, standing, preferred))
    }

    fn resolve_hint(&self) -> String {
        format!(
            "run `sealift-bundler resolve {}`, look at what it changes, and commit the lock",
            self.file.display()
        )
    }

    /// What a lock says for a mode, held against the definitions; without a lock, what they say.
    ///
    /// # Errors
    /// Why there is no answer, or how it differs from the lock.
    pub(crate) fn locked(
        &self,
        mode: Option<Mode>,
        file: Option<&LockFile>,
    ) -> Result<Resolved, Vec<Problem>> {
        let Some(file) = file else {
            return self.resolve(mode, &Preferred::default());
        };
        let at = Place::of_file(&file.path);
        let shown = mode.map_or("no mode", Mode::name);
        let Some(locked) = file.lock.of(mode) else {
            // What is wrong with the definitions matters all the same.
            self.resolve(mode, &Preferred::default())?;
            let problem = Problem::new(
                &at,
                Code::LockStale,
                format!("has no resolution for {shown}"),
            );
            let asked = mode.map_or(String::new(), |mode| format!(" --mode {mode}"));
            let file = self.file.display();
            let hint = format!("run `sealift-bundler resolve {file}{asked}` and commit the lock");
            return Err(vec![problem.with_hint(hint)]);
        };
        let answer = self.resolve(mode, &locked.preferred())?;
        let now = Locked::new(self, mode, &answer);
        let differences = lock::differences(Some(locked), &now);
        if differences.is_empty() {
            return Ok(answer);
        }
        let message = match mode {
            Some(mode) => format!("is not what the definitions say for {mode}"),
            None => "is not what the definitions say".to_owned(),
        };
        let others = differences.len().saturating_sub(DIFFERENCES);
        let mut told: Vec<String> = differences
            .iter()
            .take(DIFFERENCES)
            .map(|difference| self.told(difference))
            .collect();
        if others > 0 {
            told.push(format!("and {others} more"));
        }
        let problem = Problem::new(&at, Code::LockStale, message);
        let problem = problem.with_hint(self.resolve_hint());
        Err(vec![problem.because(told)])
    }

    /// A difference in a sentence, with why the version of the lock is not taken again, if that is because it was withdrawn.
    fn told(&self, difference: &Difference) -> String {
        let sentence = difference.sentence();
        let withdrawn = || {
            let name = difference.name.parse::<Name>().ok()?;
            let versions = self.catalog.capabilities.get(&name)?;
            let from = difference.from.as_ref()?;
            let reason = versions.get(from)?.definition.yanked.as_ref()?;
            Some(format!(
                "{sentence}; {from} was withdrawn: {}",
                reason.value
            ))
        };
        let is_capability = difference.level == Level::Capability && difference.moves();
        let told = is_capability.then(withdrawn).flatten();
        told.unwrap_or(sentence)
    }

    /// The capabilities that the release definition pins to one version.
    pub(crate) fn exact_pins(&self) -> impl Iterator<Item = (&Name, &Version)> {
        let pins = self.release.capabilities.iter();
        pins.filter_map(|(name, wanted)| match &wanted.value {
            Wanted::Exact(version) => Some((name, version)),
            Wanted::Range(_) => None,
        })
    }

    /// The definitions that an answer follows from, the lock among them, sorted by path.
    pub(crate) fn used(
        &self,
        resolved: &Resolved,
        lock: Option<&LockFile>,
    ) -> Vec<DefinitionDigest> {
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
        for (name, version) in &resolved.replaced {
            add(&mut used, folder, &catalog.capabilities, name, version);
        }
        used.extend(lock.map(|lock| DefinitionDigest {
            path: file_name(&lock.path),
            digest: lock.digest,
        }));
        used.sort();
        used
    }

    /// Decides on versions for a mode. `preferred` are taken where they are allowed.
    ///
    /// # Errors
    /// Why there is no answer. That may be nothing, if all of it may follow from what is wrong with the definitions.
    pub(crate) fn resolve(
        &self,
        mode: Option<Mode>,
        preferred: &Preferred,
    ) -> Result<Resolved, Vec<Problem>> {
        let release = &self.release;
        self.resolve_pins(mode, preferred, &release.suites, &release.capabilities)
    }

    /// The same, as if the release definition pinned a suite or a capability to a version. `at` stands for the place of that.
    ///
    /// # Errors
    /// Why there would be no answer.
    pub(crate) fn resolve_with(
        &self,
        mode: Option<Mode>,
        preferred: &Preferred,
        (level, name, version): (Level, &Name, &Version),
        at: &Place,
    ) -> Result<Resolved, Vec<Problem>> {
        let pin = Located {
            value: Wanted::Exact(version.clone()),
            at: at.clone(),
        };
        let with = |pins: &[(Name, Located<Wanted>)]| {
            let others = pins.iter().filter(|(other, _)| other != name).cloned();
            let mut pins: Vec<_> = others.chain([(name.clone(), pin.clone())]).collect();
            pins.sort_by(|(a, _), (b, _)| a.cmp(b));
            pins
        };
        let release = &self.release;
        if level == Level::Suite {
            let suites = with(&release.suites);
            self.resolve_pins(mode, preferred, &suites, &release.capabilities)
        } else {
            let capabilities = with(&release.capabilities);
            self.resolve_pins(mode, preferred, &release.suites, &capabilities)
        }
    }

    fn resolve_pins(
        &self,
        mode: Option<Mode>,
        preferred: &Preferred,
        suites: &[(Name, Located<Wanted>)],
        capabilities: &[(Name, Located<Wanted>)],
    ) -> Result<Resolved, Vec<Problem>> {
        let request = Request {
            definition: &self.file,
            product: self.release.product.as_ref(),
            platform: self.release.platform.as_ref(),
            suites,
            capabilities,
            mode,
            preferred,
            doubt: &self.doubt,
        };
        resolve(&self.catalog, &request)
    }
}

/// The problems of several modes, out of so many that were asked for: those of all of them once, the others with the modes
/// that they are of.
pub(crate) fn in_modes(of: Vec<(Option<Mode>, Vec<Problem>)>, modes: usize) -> Vec<Problem> {
    let mut all: BTreeMap<Problem, Vec<Mode>> = BTreeMap::new();
    for (mode, problems) in of {
        for problem in problems {
            all.entry(problem).or_default().extend(mode);
        }
    }
    let told = all.into_iter().map(|(mut problem, here)| {
        if (1..modes).contains(&here.len()) {
            problem.message = format!("{} (in {})", problem.message, names(&here));
        }
        problem
    });
    told.collect()
}

/// A file's name without its folder.
fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn names(modes: &[Mode]) -> String {
    let names: Vec<&str> = modes.iter().map(|mode| mode.name()).collect();
    names.join(", ")
}
