//! What a site is, as far as it decides whether a release may go there: written by `sealift-installer facts`,
//! read by `sealift-bundler compat --site`, and the same check in both.

use std::{cmp::Ordering, fmt, str::FromStr};

use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    error::{Code, Error, Result, printable},
    json, limits,
    path::Name,
    release::{Hardware, Mode, Release},
    time::Time,
};

/// The version of the facts that this program reads and writes.
pub const FORMAT: u32 = 1;

/// The facts of a site. What is absent is not known, and nothing is held against it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Facts {
    /// Always [`FORMAT`].
    pub format: u32,
    /// The product of the site, once it has one.
    #[serde(default)]
    pub product: Option<Name>,
    /// The release that runs.
    #[serde(default)]
    pub installed: Option<Installed>,
    /// The release counter that the site has reached.
    #[serde(default)]
    pub counter: Option<u64>,
    /// The digest of the release that had this counter.
    #[serde(default)]
    pub counter_release: Option<Digest>,
    /// The version that the site never goes below.
    #[serde(default)]
    pub security_floor: Option<Version>,
    /// The mode that the site runs in.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// The machine, as `os/architecture[/variant]`.
    #[serde(default)]
    pub platform: Option<String>,
    /// What the machine has: all of its cores, memory and graphics processors, the memory of the smallest
    /// of these, and the bytes on disk that are free.
    #[serde(default)]
    pub hardware: Hardware,
    /// What the operator wishes.
    #[serde(default)]
    pub pins: Vec<Pin>,
}

/// The release that runs at a site.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Installed {
    /// Its version.
    pub version: Version,
    /// Its release digest.
    pub release_digest: Digest,
    /// Room on disk in bytes that was promised to it, for its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<u64>,
}

/// A version that the site's operator wants to keep, at one of the three levels.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pin {
    /// What is pinned.
    pub level: Level,
    /// Its name: the product for a platform.
    pub name: Name,
    /// The versions that are allowed.
    pub version: Wanted,
    /// When it was set, by the site's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Time>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The levels of a product, the widest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// A platform release.
    Platform,
    /// A suite release.
    Suite,
    /// A capability.
    Capability,
}

impl Level {
    /// As facts write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Suite => "suite",
            Self::Capability => "capability",
        }
    }
}

impl FromStr for Level {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Platform, Self::Suite, Self::Capability];
        let found = all.into_iter().find(|level| level.name() == text);
        found.ok_or("is none of platform, suite, capability")
    }
}

/// The versions that a pin allows: the very one if it is written in full, else all that meet a requirement.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Wanted {
    /// That very version; build metadata does not make another.
    Exact(Version),
    /// Whatever meets it, by the rules of Cargo: a pre-release only if the requirement names one.
    Range(VersionReq),
}

impl Wanted {
    /// Whether `version` is allowed.
    pub fn allows(&self, version: &Version) -> bool {
        match self {
            Self::Exact(exact) => exact.cmp_precedence(version).is_eq(),
            Self::Range(requirement) => requirement.matches(version),
        }
    }
}

impl FromStr for Wanted {
    type Err = semver::Error;

    fn from_str(text: &str) -> Result<Self, semver::Error> {
        match text.parse() {
            Ok(version) => Ok(Self::Exact(version)),
            Err(_) => text.parse().map(Self::Range),
        }
    }
}

impl TryFrom<String> for Wanted {
    type Error = semver::Error;
    fn try_from(text: String) -> Result<Self, semver::Error> {
        text.parse()
    }
}

impl From<Wanted> for String {
    fn from(wanted: Wanted) -> Self {
        wanted.to_string()
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(version) => version.fmt(f),
            Self::Range(requirement) => requirement.fmt(f),
        }
    }
}

/// One thing about a site that speaks against a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Denial {
    /// Which rule is broken.
    #[serde(rename = "code")]
    pub reason: Reason,
    /// How.
    pub detail: String,
}

/// Why a release cannot go to a site. The names are those of the codes that `sealift-installer` refuses with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The site has another product.
    ProductMismatch,
    /// The release counter is below that of the site.
    CounterTooLow,
    /// The release counter is that of another release that the site had.
    CounterReused,
    /// The version is below the site's security floor.
    BelowSecurityFloor,
    /// The release does not follow the one that runs.
    UpgradeFrom,
    /// The release was resolved for another mode.
    ModeMismatch,
    /// The release has no images for the machine.
    PlatformMismatch,
    /// The machine has too little of something.
    HardwareInsufficient,
    /// The operator wants another version.
    Pinned,
}

impl Reason {
    /// The stable kebab-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ProductMismatch => "product-mismatch",
            Self::CounterTooLow => "counter-too-low",
            Self::CounterReused => "counter-reused",
            Self::BelowSecurityFloor => "below-security-floor",
            Self::UpgradeFrom => "upgrade-from",
            Self::ModeMismatch => "mode-mismatch",
            Self::PlatformMismatch => "platform-mismatch",
            Self::HardwareInsufficient => "hardware-insufficient",
            Self::Pinned => "pinned",
        }
    }
}

impl Facts {
    /// Reads facts.
    ///
    /// # Errors
    /// [`Code::LimitExceeded`] above [`limits::FACTS_BYTES`], [`Code::UnsupportedFormat`] for a format that is not
    /// ours, [`Code::BadMetadata`] for everything else that is no such file.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() as u64 > limits::FACTS_BYTES {
            let detail = format!("is longer than {} bytes", limits::FACTS_BYTES);
            return Err(Error::new(Code::LimitExceeded, "facts", detail));
        }
        let facts: Self = json::from_slice(bytes)
            .map_err(|e| Error::new(Code::BadMetadata, "facts", printable(&explain(bytes, &e))))?;
        if facts.format != FORMAT {
            let detail = format!("has format {}, this program reads {FORMAT}", facts.format);
            return Err(Error::new(Code::UnsupportedFormat, "facts", detail));
        }
        if let Some(platform) = facts.platform.as_ref().filter(|p| !is_platform(p)) {
            let detail = format!("{platform:?} is not os/architecture[/variant]");
            return Err(Error::new(Code::BadMetadata, "facts", detail));
        }
        Ok(facts)
    }

    /// Everything about this site that speaks against `release`, in a fixed order. `running` is the release
    /// that runs there, where it is at hand: the room that its data was promised is not asked for again. Without it,
    /// that is what the facts say of it.
    ///
    /// A license, signatures and counters are no facts of this kind; see [`Facts::check_counter`].
    pub fn check(&self, release: &Release, running: Option<&Release>) -> Vec<Denial> {
        let mut denials = Vec::new();
        let mut deny = |reason, detail| denials.push(Denial { reason, detail });
        if let Some(product) = &self.product
            && *product != release.product
        {
            let detail = format!(
                "this site has {product}, the release is {}",
                release.product
            );
            deny(Reason::ProductMismatch, detail);
        }
        if let Some(floor) = &self.security_floor
            && release.version.cmp_precedence(floor).is_lt()
        {
            let detail = format!("{} is below the security floor {floor}", release.version);
            deny(Reason::BelowSecurityFloor, detail);
        }
        // The same version once more is no upgrade.
        if let (Some(installed), Some(from)) = (&self.installed, &release.upgrade_from)
            && installed.version != release.version
            && !from.matches(&installed.version)
        {
            let detail = format!("follows {from}, {} runs here", installed.version);
            deny(Reason::UpgradeFrom, detail);
        }
        if let (Some(here), Some(mode)) = (self.mode, release.mode)
            && here != mode
        {
            let detail = format!("this site runs {here}, the release is for {mode}");
            deny(Reason::ModeMismatch, detail);
        }
        if let Some(platform) = &self.platform
            && !release.platforms.is_empty()
            && !release.platforms.iter().any(|p| same_platform(p, platform))
        {
            let built = printable(&release.platforms.join(", "));
            let here = printable(platform);
            let detail = format!("this machine is {here}, the release is for {built}");
            deny(Reason::PlatformMismatch, detail);
        }
        let needed = self.needed(release, running);
        for lack in lacks(&needed, &self.hardware) {
            deny(Reason::HardwareInsufficient, lack);
        }
        for pin in &self.pins {
            if let Some(detail) = pin.violated_by(release) {
                deny(Reason::Pinned, detail);
            }
        }
        denials
    }

    /// What `release` needs of this machine, less the room on disk that the running release was promised: its data
    /// lies there already.
    fn needed(&self, release: &Release, running: Option<&Release>) -> Hardware {
        let needed = hardware_of(release);
        let said = self.installed.as_ref().and_then(|installed| installed.disk);
        let taken = running.map_or(said, |running| hardware_of(running).disk);
        Hardware {
            disk: needed.disk.map(|d| d.saturating_sub(taken.unwrap_or(0))),
            ..needed
        }
    }

    /// What `release` would be held against and is not known: keys of the facts, in their order. Floors and
    /// pins are not among them, since a site need not have any.
    pub fn missing(&self, release: &Release) -> Vec<&'static str> {
        let facts = [
            ("product", self.product.is_none()),
            (
                "installed",
                self.installed.is_none() && release.upgrade_from.is_some(),
            ),
            ("counter", self.counter.is_none()),
            ("mode", self.mode.is_none() && release.mode.is_some()),
            (
                "platform",
                self.platform.is_none() && !release.platforms.is_empty(),
            ),
        ];
        let needed = hardware_of(release);
        let hardware = hardware(&needed, &self.hardware);
        let hardware = hardware.map(|(key, _, needed, there)| {
            let is_missing = needed.is_some() && there.is_none();
            (key, is_missing)
        });
        let all = facts.into_iter().chain(hardware);
        all.filter(|(_, is_missing)| *is_missing)
            .map(|(key, _)| key)
            .collect()
    }

    /// Whether a release with this counter and version is older than what the site had, or another one than that. One that
    /// was not built has no digest yet; it is another one if its version says so.
    pub fn check_counter(
        &self,
        counter: u64,
        version: &Version,
        digest: Option<Digest>,
    ) -> Option<Denial> {
        let reached = self.counter?;
        match counter.cmp(&reached) {
            Ordering::Less => Some(Denial {
                reason: Reason::CounterTooLow,
                detail: format!(
                    "its release counter is {counter}, this site had {reached} already"
                ),
            }),
            Ordering::Equal => {
                let had = self.counter_release?;
                let installed = self.installed.as_ref();
                let known = installed.filter(|installed| installed.release_digest == had);
                let is_other = match digest {
                    Some(digest) => had != digest,
                    None => known.is_some_and(|installed| installed.version != *version),
                };
                is_other.then(|| Denial {
                    reason: Reason::CounterReused,
                    detail: format!("release counter {counter} stands for another release here"),
                })
            }
            Ordering::Greater => None,
        }
    }
}

impl Pin {
    /// What there is one pin for.
    pub fn place(&self) -> (Level, &Name) {
        (self.level, &self.name)
    }

    /// How `release` goes against it. What is pinned and is not in the release goes against it too.
    fn violated_by(&self, release: &Release) -> Option<String> {
        let resolution = &release.resolution;
        let version = match self.level {
            Level::Platform => resolution.platform.as_ref().map(|p| &p.version),
            Level::Suite => {
                let suite = resolution.suites.iter().find(|s| s.name == self.name);
                suite.map(|s| &s.version)
            }
            Level::Capability => {
                let capability = release.capabilities.iter().find(|c| c.name == self.name);
                capability.map(|c| &c.version)
            }
        };
        let found = match version {
            Some(version) if self.version.allows(version) => return None,
            Some(version) => format!("the release has {version}"),
            None => "the release does not have it".to_owned(),
        };
        let (level, name, wanted) = (self.level.name(), &self.name, &self.version);
        let reason = match self.reason.as_str() {
            "" => String::new(),
            reason => format!(" ({})", printable(reason)),
        };
        Some(format!(
            "the {level} {name} is pinned to {wanted} here{reason}, {found}"
        ))
    }
}

/// Everything that is wrong with facts that could not be read, by keys and pins; `error` if it is none of these.
fn explain(bytes: &[u8], error: &serde_json::Error) -> String {
    const TOLD: usize = 20;
    let Ok(serde_json::Value::Object(table)) = serde_json::from_slice(bytes) else {
        return error.to_string();
    };
    let mut wrong = Vec::new();
    for (key, value) in table {
        match (key.as_str(), value) {
            ("pins", serde_json::Value::Array(pins)) => {
                for (i, pin) in pins.into_iter().enumerate() {
                    let text = |key| {
                        pin.get(key)
                            .and_then(serde_json::Value::as_str)
                            .unwrap_or("?")
                    };
                    let named = format!("pins[{i}] ({} {})", text("level"), text("name"));
                    let read = json::from_value::<Pin>(pin);
                    wrong.extend(read.err().map(|e| format!("{named}: {e}")));
                }
            }
            (_, value) => {
                let alone = serde_json::Map::from_iter([
                    ("format".to_owned(), FORMAT.into()),
                    (key.clone(), value),
                ]);
                let read = json::from_value::<Facts>(alone.into());
                wrong.extend(read.err().map(|e| format!("{key}: {e}")));
            }
        }
    }
    match wrong.len() {
        0 => error.to_string(),
        more if more > TOLD => {
            wrong.truncate(TOLD);
            format!("{}; and more", wrong.join("; "))
        }
        _ => wrong.join("; "),
    }
}

/// What a release needs of a machine: the sum of what its capabilities ask for, since each asks for its own
/// beside all others; of the memory of a graphics processor, the most that any asks for.
pub fn hardware_of(release: &Release) -> Hardware {
    let sum = |of: fn(&Hardware) -> Option<u64>| {
        let asked = release.capabilities.iter().filter_map(|c| of(&c.hardware));
        asked.reduce(u64::saturating_add)
    };
    let memories = release.capabilities.iter();
    Hardware {
        cpu: sum(|h| h.cpu),
        memory: sum(|h| h.memory),
        disk: sum(|h| h.disk),
        gpu: sum(|h| h.gpu),
        gpu_memory: memories.filter_map(|c| c.hardware.gpu_memory).max(),
    }
}

/// What of a machine, as a key of the facts and for people; how much of it is needed, and how much is there.
type Row = (&'static str, &'static str, Option<u64>, Option<u64>);

fn hardware(needed: &Hardware, there: &Hardware) -> [Row; 5] {
    [
        ("hardware.cpu", "processor cores", needed.cpu, there.cpu),
        (
            "hardware.memory",
            "bytes of memory",
            needed.memory,
            there.memory,
        ),
        (
            "hardware.disk",
            "free bytes on disk",
            needed.disk,
            there.disk,
        ),
        ("hardware.gpu", "graphics processors", needed.gpu, there.gpu),
        (
            "hardware.gpu-memory",
            "bytes of memory on each graphics processor",
            needed.gpu_memory,
            there.gpu_memory,
        ),
    ]
}

/// What there is too little of.
fn lacks(needed: &Hardware, there: &Hardware) -> Vec<String> {
    let rows = hardware(needed, there);
    let lacking = rows.into_iter().filter_map(|(_, what, needed, there)| {
        let (needed, there) = (needed?, there?);
        (there < needed).then(|| format!("{needed} {what} are needed, there are {there}"))
    });
    lacking.collect()
}

fn is_platform(text: &str) -> bool {
    let parts = text.split('/');
    (2..=3).contains(&parts.clone().count()) && parts.clone().all(|part| !part.is_empty())
}

/// Whether images for `built` run on `here`. A variant counts only where both name one: tools leave out the
/// usual one (OCI image-spec 1.1, "Platform Variants").
fn same_platform(built: &str, here: &str) -> bool {
    let mut parts = built.split('/').zip(here.split('/'));
    parts.all(|(a, b)| a == b)
}

#[cfg(test)]
mod tests;
