//! What a release may claim to be, held against what it changes since the one before.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sealift_verifier::release::{Mode, Release, ReleaseType};
use semver::Version;

use super::{Change, Side, capability::contents, compare, least_type, release::modes};
use crate::{
    definition::Document,
    error::Code,
    plan::Plan,
    problem::{Place, Problem, Problems},
};

/// What a release definition says that the rules speak of.
pub struct Claims {
    file: PathBuf,
    places: BTreeMap<&'static str, Place>,
    /// The release definition that this one comes after, where it names one.
    pub previous: Option<PathBuf>,
    /// The modes that it is for; all if it names none.
    pub modes: Vec<Mode>,
}

impl Claims {
    /// Reads them. What is wrong with the definition is not told here: whoever makes a plan of it does.
    pub fn read(release_toml: &Path) -> Self {
        let mut claims = Self {
            file: release_toml.to_owned(),
            places: BTreeMap::new(),
            previous: None,
            modes: Vec::new(),
        };
        let Ok(document) = Document::read(release_toml) else {
            return claims;
        };
        document.interpret(|mut fields| {
            for key in [
                "product",
                "version",
                "counter",
                "type",
                "upgrade-from",
                "previous",
            ] {
                claims
                    .places
                    .extend(fields.place_of(key).map(|at| (key, at)));
            }
            let folder = release_toml.parent().unwrap_or(Path::new(""));
            claims.previous = fields.text("previous").map(|text| folder.join(text.value));
            claims.modes = fields.parsed_set::<Mode>("modes", Code::InvalidValue);
            Some(())
        });
        claims
    }

    /// Where a key stands that has a part in the rules, or the file.
    pub(crate) fn at(&self, key: &'static str) -> Place {
        self.places.get(key).cloned().unwrap_or_else(|| Place {
            key: key.into(),
            ..Place::of_file(&self.file)
        })
    }
}

/// Holds a release against the one before, and says in its manifest which type it is of. `previous` is that release,
/// in each of the modes that it was resolved for and that this one replaces; with none, nothing is held. Where it was for another mode,
/// there is nothing to compare but the modes themselves.
///
/// # Errors
/// Everything that goes against the rules of `docs/decisions/0008-release-rules.md`, with its place in the release
/// definition, or that a schema or defaults cannot be read.
pub fn follow(
    plan: &mut Plan,
    claims: &Claims,
    previous: &[Side],
) -> crate::error::Result<Vec<Change>> {
    let newest = previous
        .iter()
        .max_by(|a, b| a.release.version.cmp_precedence(&b.release.version));
    let Some(newest) = newest else {
        return Ok(Vec::new());
    };
    let new = Side::of_plan(plan, &claims.modes)?;
    let mut changes: Vec<Change> = Vec::new();
    for old in previous {
        let (was, is) = (old.release.mode, new.release.mode);
        let found = if was.is_none() || is.is_none() || was == is {
            compare(old, &new)
        } else {
            modes(old, &new)
        };
        for change in found {
            if !changes.contains(&change) {
                changes.push(change);
            }
        }
    }
    let problems = problems(plan, claims, newest, &changes);
    if let Some(problems) = Problems::of(problems) {
        return Err(problems.into());
    }
    let by_number = most_by_number(&newest.release.version, &plan.release.version);
    plan.release.release_type.get_or_insert(by_number);
    Ok(changes)
}

/// Holds the contents of a release, now that they are known, against what `previous` had of them in the same versions.
///
/// # Errors
/// A version of a capability that has other content now, unless the release is a major one: no number says how far
/// that reaches.
pub fn hold_contents(
    claims: &Claims,
    previous: &[Side],
    new: &Release,
) -> crate::error::Result<()> {
    if new.release_type == Some(ReleaseType::Major) {
        return Ok(());
    }
    let known = previous.iter().filter(|old| old.digest.is_some());
    let changes = known.flat_map(|old| contents(&old.release, new));
    let problem = |change: Change| {
        Problem::new(
            &claims.at("version"),
            Code::ReleaseTypeTooLow,
            change.to_string(),
        )
        .with_hint(
            "give the capability a new version: who sees the same one expects the same content",
        )
    };
    match Problems::of(changes.map(problem).collect()) {
        Some(problems) => Err(problems.into()),
        None => Ok(()),
    }
}

fn problems(plan: &Plan, claims: &Claims, previous: &Side, changes: &[Change]) -> Vec<Problem> {
    let (old, new) = (&previous.release, &plan.release);
    let mut problems = Vec::new();
    if old.product != new.product {
        let message = format!(
            "is {}, the release before was of {}",
            new.product, old.product
        );
        let problem = Problem::new(&claims.at("product"), Code::PreviousMismatch, message);
        problems.push(problem);
        return problems;
    }
    let (was, is) = (&old.version, &new.version);
    if is.cmp_precedence(was).is_le() {
        let message = format!("{is} is not above {was}, the release before");
        problems.push(Problem::new(
            &claims.at("version"),
            Code::VersionNotHigher,
            message,
        ));
    }
    if plan.counter <= previous.counter {
        let message = format!(
            "{} is not above {}, that of {was}",
            plan.counter, previous.counter
        );
        problems.push(Problem::new(
            &claims.at("counter"),
            Code::CounterNotHigher,
            message,
        ));
    }
    if let Some(from) = new.upgrade_from.as_ref().filter(|from| !from.matches(was)) {
        let message = format!("{from} leaves out {was}, the release before");
        let at = claims.at("upgrade-from");
        problems.push(Problem::new(&at, Code::UpgradeFromExcludes, message));
    }
    // Without a step forward there is no type to speak of.
    if problems.iter().any(|p| p.code == Code::VersionNotHigher) {
        return problems;
    }
    let most = most_by_number(was, is);
    let agrees = |claimed| {
        claimed == most
            || (is.major == 0 && most == ReleaseType::Major && claimed == ReleaseType::Minor)
    };
    let claimed = new.release_type;
    if let Some(claimed) = claimed.filter(|claimed| !agrees(*claimed)) {
        let message = format!("is {claimed}, but from {was} to {is} is a {most} release");
        problems.push(Problem::new(
            &claims.at("type"),
            Code::ReleaseTypeMismatch,
            message,
        ));
    }
    let may = claimed.unwrap_or(most).min(most);
    let least = least_type(changes);
    if let Some(least) = least.filter(|least| *least > may) {
        let at = claims.at(if claimed.is_some() { "type" } else { "version" });
        let reasons: Vec<String> = changes
            .iter()
            .filter(|change| change.class.least_type() > may)
            .map(|change| format!("{} ({})", change, change.class.name()))
            .collect();
        let message = format!(
            "from {was} to {is} is a {may} release, the changes ask for {least}: {}",
            reasons.join("; ")
        );
        let hint = format!(
            "publish it as {}, or take these changes back; `sealift-bundler compat` lists all of them",
            next(was, least)
        );
        problems.push(Problem::new(&at, Code::ReleaseTypeTooLow, message).with_hint(hint));
    }
    problems
}

/// How far the numbers of two versions are apart. Below 1.0.0 the second number counts as the first does later
/// (SemVer 2.0, item 4, as Cargo reads it).
pub(super) fn step(was: &Version, is: &Version) -> ReleaseType {
    if was.major != is.major || (is.major == 0 && was.minor != is.minor) {
        ReleaseType::Major
    } else if was.minor != is.minor {
        ReleaseType::Minor
    } else {
        ReleaseType::Patch
    }
}

/// The type that a version's numbers say a release is of. After a pre-release of the same numbers that is the type
/// of these numbers: a pre-release promises nothing.
fn most_by_number(was: &Version, is: &Version) -> ReleaseType {
    let numbers = |v: &Version| (v.major, v.minor, v.patch);
    if was.pre.is_empty() || numbers(was) != numbers(is) {
        return step(was, is);
    }
    match numbers(is) {
        (0, _, 0) | (_, 0, 0) => ReleaseType::Major,
        (_, _, 0) => ReleaseType::Minor,
        _ => ReleaseType::Patch,
    }
}

/// The version after `was` in a release of a type.
fn next(was: &Version, least: ReleaseType) -> Version {
    match least {
        ReleaseType::Major if was.major > 0 => Version::new(was.major.saturating_add(1), 0, 0),
        ReleaseType::Major | ReleaseType::Minor => {
            Version::new(was.major, was.minor.saturating_add(1), 0)
        }
        ReleaseType::Patch => Version::new(was.major, was.minor, was.patch.saturating_add(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_say_how_far_a_release_may_go() {
        let rows = [
            ("2.4.0", "2.4.1", "patch"),
            ("2.4.0", "2.5.0", "minor"),
            ("2.4.7", "3.0.0", "major"),
            ("0.4.0", "0.4.1", "patch"),
            ("0.4.0", "0.5.0", "major"),
            ("0.4.0", "1.0.0", "major"),
            ("2.4.0", "2.5.0-rc.1", "minor"),
            ("2.5.0-rc.1", "2.5.0-rc.2", "minor"),
            ("2.5.0-rc.1", "2.5.0", "minor"),
            ("3.0.0-rc.1", "3.0.0", "major"),
            ("2.5.1-rc.1", "2.5.1", "patch"),
            ("2.5.0-rc.1", "2.5.1", "patch"),
            ("0.5.0-rc.1", "0.5.0", "major"),
        ];
        for (was, is, expected) in rows {
            let found = most_by_number(&was.parse().unwrap(), &is.parse().unwrap());
            assert_eq!(found.name(), expected, "{was} to {is}");
        }
    }
}
