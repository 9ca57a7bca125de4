//! The catalog folder: every definition in it, read in one go and on all cores.
//!
//! | folder | definition |
//! |---|---|
//! | `capabilities/<suite>/<name>/<version>/` | `capability.toml` |
//! | `suites/<suite>/<version>/` | `suite.toml` |
//! | `platforms/<product>/<version>/` | `platform.toml` |

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use sealift_verifier::{digest::Digest, path::Name};
use semver::Version;

use crate::{
    definition::{CapabilityDefinition, Document, Listing, is_near},
    error::Code,
    problem::{Place, Problem},
    resolve::Doubt,
};

/// Folders that one lies in below `capabilities`: a name has few parts, and links may lead in circles.
const DEPTH: usize = 8;
/// Definitions that a level of a catalog may have.
const DEFINITIONS: usize = 200_000;
/// Folders that it may have.
const FOLDERS: usize = 2 * DEFINITIONS;

/// Everything that a release can be resolved from.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) capabilities: Versions<CapabilityDefinition>,
    /// The members of a suite are capabilities.
    pub(crate) suites: Versions<Listing>,
    /// The members of a platform are suites.
    pub(crate) platforms: Versions<Listing>,
    /// What of it could not be read.
    pub(crate) doubt: Doubt,
}

/// Definitions by name and version.
pub(crate) type Versions<T> = BTreeMap<Name, BTreeMap<Version, Entry<T>>>;

/// A definition and the file that it stands in.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    /// In the way the caller named the catalog.
    pub(crate) file: Arc<Path>,
    /// SHA-256 of the file.
    pub(crate) digest: Digest,
    pub(crate) definition: T,
}

impl<T> Entry<T> {
    /// The file as a whole.
    pub(crate) fn place(&self) -> Place {
        Place::of_file(&self.file)
    }
}

impl Catalog {
    /// Reads all definitions below `folder` with so many threads. What is not there is not listed; what
    /// cannot be read is a problem, and not listed either.
    pub(crate) fn read(folder: &Path, threads: usize) -> (Self, Vec<Problem>) {
        let mut problems = misspelt(folder);
        let inside = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let mut found = |level: &str, file: &'static str| {
            let mut search = Search::new(&inside, file);
            search.folder(&folder.join(level), Path::new(""), 0);
            problems.append(&mut search.problems);
            search.found
        };
        let capabilities = found("capabilities", "capability.toml");
        let suites = found("suites", "suite.toml");
        let platforms = found("platforms", "platform.toml");
        let mut catalog = Self::default();
        let doubt = &mut catalog.doubt;
        doubt.names = !problems.is_empty();
        (catalog.capabilities, doubt.capabilities) =
            read_all(&capabilities, threads, &mut problems, |fields, found| {
                CapabilityDefinition::read(fields, &found.name, &found.version)
            });
        (catalog.suites, doubt.suites) =
            read_all(&suites, threads, &mut problems, |fields, found| {
                Listing::read(fields, &found.name, &found.version, "capabilities")
            });
        (catalog.platforms, doubt.platforms) =
            read_all(&platforms, threads, &mut problems, |fields, found| {
                Listing::read(fields, &found.name, &found.version, "suites")
            });
        (catalog, problems)
    }
}

/// Folders beside those of the levels that are probably meant to be one of them.
fn misspelt(folder: &Path) -> Vec<Problem> {
    let levels = ["capabilities", "suites", "platforms"];
    let mut problems = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let near = levels.iter().find(|level| is_near(&name, level));
        let Some(near) = near.filter(|_| !levels.contains(&&*name) && entry.path().is_dir()) else {
            continue;
        };
        let at = Place::of_file(&entry.path());
        let problem = Problem::new(
            &at,
            Code::NameInvalid,
            format!("{name} is no part of a catalog"),
        );
        problems.push(problem.with_hint(format!("did you mean {near}? Nothing in it is read")));
    }
    problems
}

/// A definition that was found, by the folder that it lies in.
struct Found {
    name: Name,
    version: Version,
    file: PathBuf,
}

struct Search {
    /// The catalog with all links resolved: nothing may lie outside of it.
    inside: PathBuf,
    /// What the definitions are called.
    definition: &'static str,
    found: Vec<Found>,
    problems: Vec<Problem>,
    /// Folders that were looked into.
    folders: usize,
}

impl Search {
    fn new(inside: &Path, definition: &'static str) -> Self {
        Self {
            inside: inside.to_owned(),
            definition,
            found: Vec::new(),
            problems: Vec::new(),
            folders: 0,
        }
    }

    fn report(&mut self, path: &Path, code: Code, message: impl Into<String>) {
        self.problems
            .push(Problem::new(&Place::of_file(path), code, message));
    }

    /// Searches a folder; `name` is its path below the level of the catalog.
    fn folder(&mut self, folder: &Path, name: &Path, depth: usize) {
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            // A catalog without suites or platforms is one.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && depth == 0 => return,
            Err(e) => return self.report(folder, Code::Io, e.to_string()),
        };
        self.folders += 1;
        if self.folders == FOLDERS {
            let message = format!("has more than {FOLDERS} folders, or links that lead in circles");
            self.report(folder, Code::DefinitionTooLarge, message);
        }
        if self.folders >= FOLDERS {
            return;
        }
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => {}
                Ok(kind) if kind.is_symlink() && self.leads_to_folder(&path) => {}
                Ok(_) => continue,
                Err(e) => {
                    self.report(&path, Code::Io, e.to_string());
                    continue;
                }
            }
            let here = entry.file_name();
            match here.to_str().map(str::parse::<Version>) {
                Some(Ok(version)) => self.version(name, version, &path),
                _ if depth == DEPTH => self.report(&path, Code::NameInvalid, "lies too deep"),
                _ => {
                    // A folder that is no version is a part of a name, unless it holds a definition.
                    let definition = path.join(self.definition);
                    if definition.exists() {
                        let message = format!("{} is no version", here.display());
                        self.report(&definition, Code::VersionInvalid, message);
                    }
                    self.folder(&path, &name.join(&here), depth + 1);
                }
            }
        }
    }

    /// Whether a link leads to a folder of the catalog.
    fn leads_to_folder(&mut self, link: &Path) -> bool {
        match link.metadata() {
            Ok(target) => target.is_dir() && self.is_inside(link) && self.is_way_down(link),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                self.report(link, Code::FileMissing, "leads nowhere");
                false
            }
            Err(e) => {
                self.report(link, Code::Io, e.to_string());
                false
            }
        }
    }

    /// Whether a link leads to anything but a folder that it lies in itself.
    fn is_way_down(&mut self, link: &Path) -> bool {
        let resolved = link.canonicalize();
        let folder = link.parent().map(Path::canonicalize);
        if let (Ok(target), Some(Ok(folder))) = (resolved, folder)
            && folder.starts_with(target)
        {
            let at = Place::of_file(link);
            let problem = Problem::new(&at, Code::PathInvalid, "leads in a circle");
            self.problems
                .push(problem.with_hint("remove the link: a folder cannot lie in itself"));
            return false;
        }
        true
    }

    /// Whether something lies in the catalog when all links are resolved.
    fn is_inside(&mut self, path: &Path) -> bool {
        match path.canonicalize() {
            Ok(resolved) if resolved.starts_with(&self.inside) => return true,
            Ok(resolved) => {
                let message = format!("leads outside of the catalog, to {}", resolved.display());
                self.report(path, Code::PathOutside, message);
            }
            Err(e) => self.report(path, Code::Io, e.to_string()),
        }
        false
    }

    fn version(&mut self, name: &Path, version: Version, folder: &Path) {
        let file = folder.join(self.definition);
        if name.as_os_str().is_empty() {
            let message = format!(
                "{version} lies below no name: NAME/VERSION/{}",
                self.definition
            );
            return self.report(folder, Code::NameInvalid, message);
        }
        let name = match name.to_str().unwrap_or_default().parse::<Name>() {
            Ok(name) => name,
            Err(e) => return self.report(&file, Code::NameInvalid, e.to_string()),
        };
        // The version becomes an image's tag (OCI distribution-spec 1.1: at most 128 characters).
        if version.to_string().len() > 128 {
            return self.report(&file, Code::VersionInvalid, "is longer than 128 characters");
        }
        if self.found.len() == DEFINITIONS {
            let message = format!("has more than {DEFINITIONS} definitions");
            return self.report(folder, Code::DefinitionTooLarge, message);
        }
        if file.is_symlink() && !self.is_inside(&file) {
            return;
        }
        // Build metadata says nothing of what is newer (SemVer 2.0, 10), so that none of the two would be the
        // latest. Folders are sorted, so such versions need not be neighbours.
        let same = self
            .found
            .iter()
            .rev()
            .take_while(|other| other.name == name);
        let same = same.map(|other| &other.version);
        if let Some(other) = same
            .into_iter()
            .find(|o| o.cmp_precedence(&version).is_eq())
        {
            let message = format!("{version} and {other} are the same version of {name}");
            return self.report(&file, Code::DuplicateDefinition, message);
        }
        self.found.push(Found {
            name,
            version,
            file,
        });
    }
}

/// Reads definitions on several cores; the result does not depend on which core was faster. With it go the names of which
/// not everything could be read.
fn read_all<T: Send>(
    found: &[Found],
    threads: usize,
    problems: &mut Vec<Problem>,
    read: impl Fn(crate::definition::Fields<'_, '_>, &Found) -> T + Sync,
) -> (Versions<T>, BTreeSet<Name>) {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(found) = found.get(number) else {
                return done;
            };
            done.push((number, read_one(found, &read)));
        }
    };
    let mut done: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for thread in threads {
            match thread.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(number, _)| *number);
    let mut versions = Versions::new();
    let mut doubtful = BTreeSet::new();
    for (number, (entry, mut found_wrong)) in done {
        let Some(found) = found.get(number) else {
            continue;
        };
        if !found_wrong.is_empty() {
            doubtful.insert(found.name.clone());
        }
        problems.append(&mut found_wrong);
        if let Some(entry) = entry {
            versions
                .entry(found.name.clone())
                .or_default()
                .insert(found.version.clone(), entry);
        }
    }
    (versions, doubtful)
}

fn read_one<T>(
    found: &Found,
    read: &impl Fn(crate::definition::Fields<'_, '_>, &Found) -> T,
) -> (Option<Entry<T>>, Vec<Problem>) {
    let document = match Document::read(&found.file) {
        Ok(document) => document,
        Err(problem) => return (None, vec![problem]),
    };
    let digest = document.digest();
    let (definition, problems) = document.interpret(|fields| Some(read(fields, found)));
    let entry = definition.map(|definition| Entry {
        file: found.file.as_path().into(),
        digest,
        definition,
    });
    (entry, problems)
}
