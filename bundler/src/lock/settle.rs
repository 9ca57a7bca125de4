//! Making a lock: what is to stay is preferred, everything else is decided anew.

use std::path::{Path, PathBuf};

use sealift_verifier::{path::Name, release::Mode};

use super::{Difference, Lock, LockFile, Locked, differences, path_of};
use crate::{
    collect::{Definitions, in_modes},
    definition::is_near,
    error::{Code, Error, Result},
    problem::{Problem, Problems},
    resolve::Preferred,
};

/// What may become of the versions that are locked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keep<'a> {
    /// They stay where they are allowed.
    All,
    /// These may move, suites or capabilities; the others stay where they are allowed.
    AllBut(&'a [Name]),
    /// All may move.
    Nothing,
}

/// A lock that was made and not written yet.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) path: PathBuf,
    pub(crate) lock: Lock,
    /// For each mode that was decided, what the old lock says otherwise.
    pub(crate) changes: Vec<(Option<Mode>, Vec<Difference>)>,
    /// Modes of the old lock that the release is not for any more.
    pub(crate) dropped: Vec<Option<Mode>>,
    /// Whether the file has to be written.
    pub(crate) is_new: bool,
}

/// Decides on the versions of a release definition for some modes, or for its own.
///
/// # Errors
/// All problems at once: of definitions, of the old lock, and why there is no answer. Else, with
/// [`Code::CapabilityUnknown`], what may move and is not in the release.
pub(crate) fn settle(
    definition: &Path,
    source_date_epoch: Option<i64>,
    modes: &[Mode],
    keep: Keep<'_>,
) -> Result<Settled> {
    let failed = |problems| Problems::some(problems, definition);
    let definitions = Definitions::read(definition, source_date_epoch).map_err(failed)?;
    let (settled, free) = settle_all(&definitions, modes, keep).map_err(failed)?;
    match free.as_slice() {
        [] => Ok(settled),
        names => Err(unknown(&definitions, &settled.lock.resolutions, names)),
    }
}

/// The new lock, and what may move and is in no release.
fn settle_all(
    definitions: &Definitions,
    modes: &[Mode],
    keep: Keep<'_>,
) -> Result<(Settled, Vec<Name>), Vec<Problem>> {
    let path = path_of(&definitions.file);
    let old = LockFile::read(&path)?.map(|file| file.lock);
    let release = &definitions.release;
    let (product, version) = (release.product.clone(), release.version.clone());
    // Those of another release say nothing of this one, but their versions may stay.
    let known = old.as_ref();
    let mut undecided = Vec::new();
    let mut resolutions = Vec::new();
    let mut changes = Vec::new();
    let mut free = match keep {
        Keep::AllBut(names) => names.to_vec(),
        Keep::All | Keep::Nothing => Vec::new(),
    };
    let mut asked = definitions.modes(modes)?;
    if modes.is_empty() {
        // Those that somebody asked for once are brought up to date with the rest.
        let more = known.iter().flat_map(|lock| &lock.resolutions);
        asked.extend(
            more.map(|l| l.mode)
                .filter(|mode| definitions.is_for(*mode)),
        );
        asked.sort();
        asked.dedup();
    }
    for mode in &asked {
        let mode = *mode;
        let before = known.and_then(|lock| lock.of(mode));
        let preferred = before.map_or_else(Preferred::default, |locked| preferred(locked, keep));
        match definitions.resolve(mode, &preferred) {
            Ok(resolved) => {
                let locked = Locked::new(definitions, mode, &resolved);
                free.retain(|name| {
                    !locked.speaks_of(name) && !before.is_some_and(|l| l.speaks_of(name))
                });
                changes.push((mode, differences(before, &locked)));
                resolutions.push(locked);
            }
            Err(problems) => undecided.push((mode, problems)),
        }
    }
    let mut problems = in_modes(undecided, asked.len());
    problems.extend(definitions.problems.iter().cloned());
    let (Some(product), Some(version), true) = (product, version, problems.is_empty()) else {
        return Err(problems);
    };
    // Modes that were not asked for stay as they are.
    let others = old.iter().flat_map(|old| &old.resolutions);
    let others = others.filter(|locked| !asked.contains(&locked.mode));
    let (kept, dropped): (Vec<_>, Vec<_>) =
        others.partition(|locked| definitions.is_for(locked.mode));
    resolutions.extend(kept.into_iter().cloned());
    resolutions.sort_by_key(|locked| locked.mode);
    let lock = Lock {
        product,
        version,
        resolutions,
    };
    let settled = Settled {
        is_new: old.as_ref() != Some(&lock),
        path,
        lock,
        changes,
        dropped: dropped.into_iter().map(|locked| locked.mode).collect(),
    };
    Ok((settled, free))
}

fn preferred(locked: &Locked, keep: Keep<'_>) -> Preferred {
    let mut preferred = locked.preferred();
    match keep {
        Keep::All => {}
        Keep::AllBut(names) => {
            preferred
                .capabilities
                .retain(|name, _| !names.contains(name));
            preferred.suites.retain(|name, _| !names.contains(name));
            let free = names.iter().filter(|name| locked.speaks_of(name));
            preferred.free = free.cloned().collect();
        }
        Keep::Nothing => preferred = Preferred::default(),
    }
    preferred
}

/// What a person names that is not in the release.
pub(crate) fn unknown(definitions: &Definitions, resolutions: &[Locked], names: &[Name]) -> Error {
    let catalog = &definitions.catalog;
    let there = || resolutions.iter().flat_map(|locked| &locked.capabilities);
    let told = names.iter().map(|name| {
        if catalog.capabilities.contains_key(name) || catalog.suites.contains_key(name) {
            return format!("{name} is not in this release: nothing asks for it");
        }
        let near = there().find(|other| is_near(name.as_str(), other.name.as_str()));
        match near {
            Some(near) => {
                let near = &near.name;
                format!("{name} is not in the catalog; did you mean {near}?")
            }
            None => format!("{name} is not in the catalog"),
        }
    });
    let told: Vec<String> = told.collect();
    let subject = definitions.file.display().to_string();
    Error::new(Code::CapabilityUnknown, subject, told.join("; "))
}

impl Locked {
    /// Whether something was decided about a suite or a capability.
    fn speaks_of(&self, name: &Name) -> bool {
        self.suites.iter().any(|suite| suite.release.name == *name)
            || self
                .capabilities
                .iter()
                .any(|capability| capability.name == *name)
            || self.left_out.iter().any(|out| out.name == *name)
    }
}
