//! Reading a lock. People edit files and merge them, so everything in it is doubted.

use std::path::Path;

use sealift_verifier::{
    digest::Digest,
    path::Name,
    release::{Decision, Mode, Range, Rule, SuiteRef},
};
use semver::{Version, VersionReq};

use super::{FORMAT, Lock, LockFile, Locked, LockedCapability, LockedOut, LockedSuite};
use crate::{
    definition::{Document, Fields},
    error::Code,
    problem::Problem,
};

/// Length of a lock, in bytes: ten times what 10,000 capabilities in four modes take.
const LOCK_BYTES: u64 = 128 << 20;

impl LockFile {
    /// Reads a lock, if it is there.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Vec<Problem>> {
        let invalid = |problem: Problem| Problem {
            code: Code::LockInvalid,
            hint: Code::LockInvalid.hint().into(),
            ..problem
        };
        let document = match Document::read_up_to(path, LOCK_BYTES) {
            Ok(document) => document,
            Err(problem) if problem.code == Code::FileMissing => return Ok(None),
            Err(problem) => return Err(vec![invalid(problem)]),
        };
        let digest = document.digest();
        let (lock, problems) = document.interpret(read);
        match lock {
            Some(lock) if problems.is_empty() => Ok(Some(Self {
                path: path.to_owned(),
                digest,
                lock,
            })),
            _ => Err(problems.into_iter().map(invalid).collect()),
        }
    }
}

/// [`Rule`] as locks write it.
struct RuleText(Rule);

impl std::str::FromStr for RuleText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rules = [Rule::Capability, Rule::Suite, Rule::Platform, Rule::Latest];
        let found = rules.into_iter().find(|rule| rule.name() == text);
        found
            .map(Self)
            .ok_or("is none of capability, suite, platform, latest")
    }
}

fn read(mut fields: Fields<'_, '_>) -> Option<Lock> {
    if !fields.has("format") {
        fields.missing("format", "the version of the format");
    }
    let format = fields.integer("format", 1..=u64::MAX);
    if let Some(format) = &format
        && format.value != FORMAT
    {
        let message = format!("is {}, this program reads {FORMAT}", format.value);
        let problem = Problem::new(&format.at, Code::LockInvalid, message);
        let hint = "use the version of this program that wrote it, or write it anew with `sealift-bundler resolve`";
        fields.note(problem.with_hint(hint));
        return None;
    }
    let product = fields.required::<Name>("product", Code::LockInvalid, "the product");
    let version = fields.required::<Version>("version", Code::LockInvalid, "the version");
    let mut resolutions: Vec<Locked> = Vec::new();
    for table in fields.tables("resolution") {
        let at = table.at().clone();
        let Some(locked) = resolution(table) else {
            continue;
        };
        if resolutions.iter().any(|other| other.mode == locked.mode) {
            fields.report(&at, Code::LockInvalid, "the same mode is there twice");
            continue;
        }
        resolutions.push(locked);
    }
    fields.finish();
    Some(Lock {
        product: product?.value,
        version: version?.value,
        resolutions,
    })
}

fn resolution(mut fields: Fields<'_, '_>) -> Option<Locked> {
    let has_mode = fields.has("mode");
    let mode = fields.parsed::<Mode>("mode", Code::LockInvalid);
    let platform = fields.table("platform").map(|mut table| {
        let found = versioned(&mut table);
        table.finish();
        found
    });
    let suites = entries(&mut fields, "suite", |table, name| {
        let found = versioned(table);
        let rule = rule(table, "rule");
        let range = range(table);
        let (version, digest) = found?;
        let release = SuiteRef {
            name,
            version,
            rule: rule?,
            range,
        };
        Some(LockedSuite { release, digest })
    });
    let capabilities = entries(&mut fields, "capability", |table, name| {
        let found = versioned(table);
        let rule = rule(table, "rule");
        let range = range(table);
        let suite = table.line("suite", 300);
        let required_by = table.lines("required-by", 300);
        let substitutes = table.parsed_set::<Name>("substitutes", Code::LockInvalid);
        let yanked = table.line("yanked", 500);
        let (version, digest) = found?;
        Some(LockedCapability {
            name,
            version,
            digest,
            decision: Decision {
                rule: rule?,
                suite,
                range,
                required_by,
                substitutes,
                yanked,
            },
        })
    });
    let left_out = entries(&mut fields, "left-out", |table, name| {
        let substitute = table.parsed::<Name>("substitute", Code::LockInvalid);
        let versioned = (table.has("version") || table.has("digest")).then(|| versioned(table));
        Some(LockedOut {
            name,
            substitute: substitute.map(|s| s.value),
            version: match versioned {
                Some(found) => Some(found?),
                None => None,
            },
        })
    });
    fields.finish();
    if has_mode && mode.is_none() {
        return None;
    }
    Some(Locked {
        mode: mode.map(|mode| mode.value),
        platform: match platform {
            Some(found) => Some(found?),
            None => None,
        },
        suites,
        capabilities,
        left_out,
    })
}

fn versioned(fields: &mut Fields<'_, '_>) -> Option<(Version, Digest)> {
    let version = fields.required::<Version>("version", Code::LockInvalid, "the version");
    let digest =
        fields.required::<Digest>("digest", Code::LockInvalid, "the digest of the definition");
    Some((version?.value, digest?.value))
}

fn rule(fields: &mut Fields<'_, '_>, key: &'static str) -> Option<Rule> {
    let rule = fields.required::<RuleText>(key, Code::LockInvalid, "what decided the version");
    rule.map(|rule| rule.value.0)
}

fn range(fields: &mut Fields<'_, '_>) -> Option<Range> {
    let mut table = fields.table("range")?;
    let of = rule(&mut table, "of");
    let allows = table.required::<VersionReq>("allows", Code::LockInvalid, "the versions");
    table.finish();
    Some(Range {
        of: of?,
        allows: allows?.value,
    })
}

/// The tables of one kind, which have to be sorted by name, each name once.
fn entries<T>(
    fields: &mut Fields<'_, '_>,
    key: &'static str,
    mut read: impl FnMut(&mut Fields<'_, '_>, Name) -> Option<T>,
) -> Vec<T> {
    let mut entries = Vec::new();
    let mut last: Option<Name> = None;
    for mut table in fields.tables(key) {
        let name = table.required::<Name>("name", Code::LockInvalid, "the name");
        let Some(name) = name else {
            continue;
        };
        if last.as_ref().is_some_and(|last| *last >= name.value) {
            table.report(
                &name.at,
                Code::LockInvalid,
                "is not sorted by name, each name once",
            );
        }
        last = Some(name.value.clone());
        entries.extend(read(&mut table, name.value));
        table.finish();
    }
    entries
}
