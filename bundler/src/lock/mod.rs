//! `release.lock`: what was decided, so that it stays decided until somebody lets it move.
//!
//! For `RELEASE.toml` it is `release.lock`, for `acme-2.5.0.toml` it is `acme-2.5.0.lock`, beside it. It says
//! for each mode which versions were taken, why, and from which definitions.

mod read;
mod settle;
mod write;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use sealift_verifier::{
    digest::Digest,
    path::Name,
    release::{Decision, Mode, SuiteRef},
};
use semver::Version;
use serde_json::{Value, json};

pub(crate) use self::settle::{Keep, Settled, settle, unknown};
use crate::{
    collect::Definitions,
    resolve::{Preferred, Resolved},
};

/// The version of the lock that this program reads and writes.
pub(crate) const FORMAT: u64 = 1;

/// What a lock says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) product: Name,
    pub(crate) version: Version,
    /// One for each mode, sorted; or one without a mode.
    pub(crate) resolutions: Vec<Locked>,
}

/// A lock file that was read.
#[derive(Debug)]
pub(crate) struct LockFile {
    pub(crate) path: PathBuf,
    /// SHA-256 of the file.
    pub(crate) digest: Digest,
    pub(crate) lock: Lock,
}

/// What was decided for a mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Locked {
    pub(crate) mode: Option<Mode>,
    pub(crate) platform: Option<(Version, Digest)>,
    /// Sorted by name.
    pub(crate) suites: Vec<LockedSuite>,
    /// Sorted by name.
    pub(crate) capabilities: Vec<LockedCapability>,
    /// Sorted by name.
    pub(crate) left_out: Vec<LockedOut>,
}

/// A suite release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LockedSuite {
    pub(crate) release: SuiteRef,
    /// Of its definition.
    pub(crate) digest: Digest,
}

/// A capability in the release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LockedCapability {
    pub(crate) name: Name,
    pub(crate) version: Version,
    /// Of its definition.
    pub(crate) digest: Digest,
    pub(crate) decision: Decision,
}

/// A capability that is not in the release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LockedOut {
    pub(crate) name: Name,
    /// What stands in for it.
    pub(crate) substitute: Option<Name>,
    /// The version that names what stands in for it, with the digest of its definition.
    pub(crate) version: Option<(Version, Digest)>,
}

/// How a lock stands to the definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Standing {
    /// There is none.
    Missing,
    /// It says what they say.
    Current,
    /// It says something else.
    Stale,
}

impl Standing {
    /// What people have to know.
    pub(crate) fn note(self) -> &'static str {
        match self {
            Self::Current => "",
            Self::Missing => "there is no lock: `sealift-bundler resolve` writes it\n",
            Self::Stale => {
                "the lock is stale, this is what the definitions say: `sealift-bundler resolve` writes it anew\n"
            }
        }
    }
}

/// Where the lock of a release definition lies.
pub(crate) fn path_of(definition: &Path) -> PathBuf {
    let name = definition.file_name().unwrap_or_default();
    if name == "RELEASE.toml" {
        return definition.with_file_name("release.lock");
    }
    if definition.extension().is_some_and(|end| end == "toml") {
        return definition.with_extension("lock");
    }
    // What follows the last point of `acme-2.5.0` is a part of the version.
    let mut name = name.to_owned();
    name.push(".lock");
    definition.with_file_name(name)
}

impl Lock {
    /// What was decided for a mode.
    pub(crate) fn of(&self, mode: Option<Mode>) -> Option<&Locked> {
        self.resolutions.iter().find(|locked| locked.mode == mode)
    }
}

impl Locked {
    /// What a resolution decided, with the digests of the definitions that it follows from.
    pub(crate) fn new(definitions: &Definitions, mode: Option<Mode>, resolved: &Resolved) -> Self {
        let catalog = &definitions.catalog;
        let resolution = &resolved.resolution;
        let product = definitions.release.product.as_ref();
        let platform = resolution.platform.as_ref().zip(product);
        let platform = platform.and_then(|(platform, product)| {
            let entry = catalog.platforms.get(product)?.get(&platform.version)?;
            Some((platform.version.clone(), entry.digest))
        });
        let suites = resolution.suites.iter().filter_map(|suite| {
            let entry = catalog.suites.get(&suite.name)?.get(&suite.version)?;
            Some(LockedSuite {
                release: suite.clone(),
                digest: entry.digest,
            })
        });
        let entry = |name: &Name, version: &Version| catalog.capabilities.get(name)?.get(version);
        let capabilities = resolved.capabilities.iter();
        let capabilities = capabilities.filter_map(|(name, (version, decision))| {
            let entry = entry(name, version)?;
            Some(LockedCapability {
                name: name.clone(),
                version: version.clone(),
                digest: entry.digest,
                decision: decision.clone(),
            })
        });
        let left_out = resolution.left_out.iter().map(|out| {
            let version = resolved.replaced.get(&out.name).and_then(|version| {
                let entry = entry(&out.name, version)?;
                Some((version.clone(), entry.digest))
            });
            LockedOut {
                name: out.name.clone(),
                substitute: out.substitute.clone(),
                version,
            }
        });
        Self {
            mode,
            platform,
            suites: suites.collect(),
            capabilities: capabilities.collect(),
            left_out: left_out.collect(),
        }
    }

    /// The versions, to be taken again where they are allowed.
    pub(crate) fn preferred(&self) -> Preferred {
        let suites = self.suites.iter();
        let capabilities = self
            .capabilities
            .iter()
            .map(|c| (c.name.clone(), c.version.clone()));
        let replaced = self.left_out.iter().filter_map(|out| {
            let (version, _) = out.version.as_ref()?;
            Some((out.name.clone(), version.clone()))
        });
        Preferred {
            suites: suites
                .map(|s| (s.release.name.clone(), s.release.version.clone()))
                .collect(),
            capabilities: capabilities.chain(replaced).collect(),
            free: BTreeSet::new(),
        }
    }

    /// A capability in the release.
    pub(crate) fn capability(&self, name: &Name) -> Option<&LockedCapability> {
        self.capabilities.iter().find(|c| c.name == *name)
    }

    /// Everything that is decided on, with what is said of it.
    fn entries(&self) -> Vec<Entry<'_>> {
        let platform = self.platform.iter().map(|(version, digest)| Entry {
            level: Level::Platform,
            name: "",
            version: Some(version),
            digest: Some(*digest),
            rule: String::new(),
            why: "pinned".to_owned(),
        });
        let suites = self.suites.iter().map(|suite| Entry {
            level: Level::Suite,
            name: suite.release.name.as_str(),
            version: Some(&suite.release.version),
            digest: Some(suite.digest),
            rule: format!("{:?} {:?}", suite.release.rule, suite.release.range),
            why: suite.release.reason(),
        });
        let capabilities = self.capabilities.iter().map(|capability| Entry {
            level: Level::Capability,
            name: capability.name.as_str(),
            version: Some(&capability.version),
            digest: Some(capability.digest),
            rule: format!("{:?}", capability.decision),
            why: capability.why(),
        });
        let left_out = self.left_out.iter().map(|out| Entry {
            level: Level::LeftOut,
            name: out.name.as_str(),
            version: out.version.as_ref().map(|(version, _)| version),
            digest: out.version.as_ref().map(|(_, digest)| *digest),
            rule: String::new(),
            why: match &out.substitute {
                Some(other) => format!("{other} stands in for it"),
                None => "it may not run in the mode".to_owned(),
            },
        });
        platform
            .chain(suites)
            .chain(capabilities)
            .chain(left_out)
            .collect()
    }
}

impl LockedCapability {
    /// Why it is in the release, in a few words.
    pub(crate) fn why(&self) -> String {
        let decision = &self.decision;
        let mut why = vec![decision.reason()];
        if !decision.required_by.is_empty() {
            why.push(format!("required by {}", decision.required_by.join(", ")));
        }
        if !decision.substitutes.is_empty() {
            let names: Vec<&str> = decision.substitutes.iter().map(Name::as_str).collect();
            why.push(format!("stands in for {}", names.join(", ")));
        }
        why.join("; ")
    }

    /// What machines are told of it.
    pub(crate) fn json(&self) -> Value {
        let decision = &self.decision;
        json!({
            "name": self.name,
            "version": self.version,
            "rule": decision.rule,
            "range": decision.range,
            "suite": decision.suite,
            "required-by": decision.required_by,
            "substitutes": decision.substitutes,
            "yanked": decision.yanked,
        })
    }
}

impl LockedOut {
    /// What machines are told of it.
    pub(crate) fn json(&self) -> Value {
        json!({ "name": self.name, "substitute": self.substitute })
    }
}

/// What is decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Level {
    Platform,
    Suite,
    Capability,
    LeftOut,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Suite => "suite ",
            Self::Capability => "",
            Self::LeftOut => "left out: ",
        }
    }
}

struct Entry<'l> {
    level: Level,
    name: &'l str,
    version: Option<&'l Version>,
    digest: Option<Digest>,
    /// All that was decided about it: two things may be told in the same words.
    rule: String,
    why: String,
}

/// One difference between two resolutions.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Difference {
    pub(crate) level: Level,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    pub(crate) change: Change,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<Version>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<Version>,
    /// Why it is there now, or was.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) why: String,
}

/// What kind of difference it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Change {
    Added,
    Removed,
    /// Another version.
    Moved,
    /// The same version, its definition says something else.
    Changed,
    /// The same version for another reason.
    Reason,
}

impl Difference {
    /// Whether there is another version, or none.
    pub(crate) fn moves(&self) -> bool {
        matches!(self.change, Change::Added | Change::Removed | Change::Moved)
    }

    /// What is different, in a sentence.
    pub(crate) fn sentence(&self) -> String {
        let what = format!("{}{}", self.level.word(), self.name);
        let version =
            |version: &Option<Version>| version.as_ref().map_or(String::new(), |v| format!(" {v}"));
        let (from, to) = (version(&self.from), version(&self.to));
        match self.change {
            Change::Added => format!("{what}{to} is new: {}", self.why),
            Change::Removed => format!("{what}{from} is gone"),
            Change::Moved => format!("{what}{from} becomes{to}: {}", self.why),
            Change::Changed => format!("{what}{to}: its definition has changed"),
            Change::Reason => format!("{what}{to} is there for another reason: {}", self.why),
        }
    }

    /// What is different, as a line of a table.
    pub(crate) fn row(&self) -> [String; 4] {
        let sign = match self.change {
            Change::Added => "+",
            Change::Removed => "-",
            Change::Moved | Change::Changed | Change::Reason => "~",
        };
        let version = |version: &Option<Version>| version.as_ref().map(ToString::to_string);
        let versions = match (version(&self.from), version(&self.to)) {
            (Some(from), Some(to)) if from != to => format!("{from} -> {to}"),
            (from, to) => to.or(from).unwrap_or_default(),
        };
        let why = match self.change {
            Change::Changed => "its definition has changed".to_owned(),
            Change::Removed => String::new(),
            Change::Reason => format!("only the reason changes: {}", self.why),
            Change::Added | Change::Moved => self.why.clone(),
        };
        let name = format!("{}{}", self.level.word(), self.name);
        [sign.to_owned(), name, versions, why]
    }
}

/// What is different in `new`.
pub(crate) fn differences(old: Option<&Locked>, new: &Locked) -> Vec<Difference> {
    let old = old.map(Locked::entries).unwrap_or_default();
    let new = new.entries();
    let same = |a: &Entry<'_>, b: &Entry<'_>| (a.level, a.name) == (b.level, b.name);
    let mut differences = Vec::new();
    for now in &new {
        let before = old.iter().find(|before| same(before, now));
        let change = match before {
            None => Change::Added,
            Some(before) if before.version != now.version => Change::Moved,
            Some(before) if before.digest != now.digest => Change::Changed,
            Some(before) if (&before.rule, &before.why) != (&now.rule, &now.why) => Change::Reason,
            Some(_) => continue,
        };
        differences.push(Difference {
            level: now.level,
            name: now.name.to_owned(),
            change,
            from: before.and_then(|before| before.version.cloned()),
            to: now.version.cloned(),
            why: now.why.clone(),
        });
    }
    let gone = old
        .iter()
        .filter(|before| !new.iter().any(|now| same(before, now)));
    differences.extend(gone.map(|before| Difference {
        level: before.level,
        name: before.name.to_owned(),
        change: Change::Removed,
        from: before.version.cloned(),
        to: None,
        why: before.why.clone(),
    }));
    differences.sort_by(|a, b| (a.level, &a.name).cmp(&(b.level, &b.name)));
    differences
}
