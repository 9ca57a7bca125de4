//! `release.json`, the release manifest: what is released, whatever way its bytes travel.
//!
//! [`Release`] and its [`Capability`]s here; how their versions were decided in [`Resolution`]; what they
//! ask of a site in [`Hardware`], [`Configuration`] and [`Migration`].

mod needs;
mod resolution;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

pub use needs::{Configuration, Hardware, Migration};
pub use resolution::{Decision, LeftOut, PlatformRef, Range, Resolution, Rule, SuiteRef};

use crate::{
    digest::Digest,
    error::{Code, Error, Result},
    json::AuthenticBytes,
    limits,
    path::{EntryPath, Name},
    time::Time,
};

/// The version of the release manifest that this program reads and writes.
pub const FORMAT: u32 = 1;

/// One resolved set of capabilities. It refers to content by digest only; the SHA-256 of its bytes is
/// the *release digest*.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Release {
    /// Always [`FORMAT`].
    pub format: u32,
    /// The product that this is a release of. A site takes releases of one product only.
    pub product: Name,
    /// The version of the product (SemVer 2.0).
    pub version: Version,
    /// When the vendor published it: signed, so a site's lower bound of time may rise to it.
    pub published: Time,
    /// Once this release is committed, the site never goes back to a release with a lower version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_floor: Option<Version>,
    /// Platforms that the images are built for, as `os/architecture[/variant]` (OCI image-spec 1.1, "platform").
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    /// The mode that the release was resolved for; with none, it is the same in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// How far the release may change what the one before did.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub release_type: Option<ReleaseType>,
    /// Installed versions that may be upgraded to this release; with none, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade_from: Option<VersionReq>,
    /// The severity of the worst that this release corrects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Whether it takes a license to install it. One that asks for entitlements always does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub licensed: bool,
    /// Whether licenses cover it even if it was published after their maintenance date: for critical corrections.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maintenance_exempt: bool,
    /// Advisories that the release corrects, such as `CVE-2026-1234`. Sorted, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixes: Vec<String>,
    /// What is new, a line each, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// What was decided beside the versions of the capabilities themselves.
    #[serde(default, skip_serializing_if = "Resolution::is_empty")]
    pub resolution: Resolution,
    /// Bills of materials of the whole release. Sorted by format, each format once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sbom: Vec<Sbom>,
    /// Sorted by name, each name once.
    pub capabilities: Vec<Capability>,
}

/// Where a product runs. What may run where is said by each capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// By the vendor, for many customers at once.
    Saas,
    /// By the vendor, for one customer.
    Dedicated,
    /// By the customer, with or without a network.
    OnPrem,
    /// By the customer, on a small machine in the field.
    Edge,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 4] = [Self::Saas, Self::Dedicated, Self::OnPrem, Self::Edge];

    /// As definitions and manifests write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Saas => "saas",
            Self::Dedicated => "dedicated",
            Self::OnPrem => "on-prem",
            Self::Edge => "edge",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|mode| mode.name() == text);
        found.ok_or("is none of saas, dedicated, on-prem, edge")
    }
}

/// How far a release may change what the one before did. Ordered: each allows all of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseType {
    /// Corrections; nothing behaves otherwise.
    Patch,
    /// New features; whatever worked still does.
    Minor,
    /// Something that worked may not any more.
    Major,
}

impl ReleaseType {
    /// As definitions and manifests write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        }
    }
}

impl fmt::Display for ReleaseType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ReleaseType {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Patch, Self::Minor, Self::Major];
        let found = all.into_iter().find(|found| found.name() == text);
        found.ok_or("is none of patch, minor, major")
    }
}

/// The worst that an advisory says of what a release corrects (CVSS 3.1, section 5: qualitative severity).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// CVSS below 4.0.
    Low,
    /// CVSS from 4.0.
    Medium,
    /// CVSS from 7.0.
    High,
    /// CVSS from 9.0.
    Critical,
}

impl Severity {
    /// As definitions and manifests write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Severity {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Low, Self::Medium, Self::High, Self::Critical];
        let found = all.into_iter().find(|found| found.name() == text);
        found.ok_or("is none of low, medium, high, critical")
    }
}

/// A bill of materials.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sbom {
    /// Which kind of document it is.
    pub format: SbomFormat,
    /// Its bytes.
    pub file: FileRef,
}

/// The kinds of bills of materials, in the order of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub enum SbomFormat {
    /// CycloneDX 1.6 as JSON.
    #[serde(rename = "cyclonedx-1.6+json")]
    CycloneDx,
    /// SPDX 2.3 as JSON.
    #[serde(rename = "spdx-2.3+json")]
    Spdx2,
    /// SPDX 3.0.1 as JSON-LD.
    #[serde(rename = "spdx-3.0.1+json-ld")]
    Spdx3,
}

impl SbomFormat {
    /// Every format, in the order of their names.
    pub const ALL: [Self; 3] = [Self::CycloneDx, Self::Spdx2, Self::Spdx3];

    /// As manifests write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::CycloneDx => "cyclonedx-1.6+json",
            Self::Spdx2 => "spdx-2.3+json",
            Self::Spdx3 => "spdx-3.0.1+json-ld",
        }
    }

    /// The usual name of such a file.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::CycloneDx => "bom.cdx.json",
            Self::Spdx2 => "bom.spdx.json",
            Self::Spdx3 => "bom.spdx3.json",
        }
    }
}

/// The unit that is deployed, rolled back and configured on its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Capability {
    /// `suite/name`.
    pub name: Name,
    /// SemVer 2.0.
    pub version: Version,
    /// What it is.
    pub kind: Kind,
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// An SPDX license expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Why it is in this version; absent where nothing was resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// Other capabilities that it cannot do without, each with the versions it works with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requires: BTreeMap<Name, VersionReq>,
    /// Versions of other capabilities that it does not work beside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub conflicts: BTreeMap<Name, VersionReq>,
    /// What a license has to grant. Sorted, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entitlements: Vec<String>,
    /// What it needs of the machine.
    #[serde(default, skip_serializing_if = "Hardware::is_empty")]
    pub hardware: Hardware,
    /// What can be configured.
    #[serde(default, skip_serializing_if = "Configuration::is_empty")]
    pub configuration: Configuration,
    /// Changes of data, in the order in which they are made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub migrations: Vec<Migration>,
    /// Advisories that this version corrects, such as `CVE-2026-1234`. Sorted, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixes: Vec<String>,
    /// What is new in this version, a line each, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// Sorted by name, each name once.
    pub artifacts: Vec<Artifact>,
    /// What has to hold after activation, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<HealthCheck>,
}

/// What a capability is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A program that runs.
    Service,
    /// A program with a face for people, such as a web app.
    App,
    /// A machine-learning model.
    Model,
    /// Rules.
    Policy,
    /// Configuration.
    Config,
}

/// A named piece of a capability. At the site it lies at `files/<capability>/<artifact name>`; an image
/// lies in the OCI layout `images/` under the reference `<capability>/<artifact name>:<version>`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Artifact {
    /// The name of its file or folder at the site.
    pub name: EntryPath,
    /// What it is and where its bytes are.
    pub content: Content,
}

/// The bytes of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// An OCI image manifest or index with all it refers to.
    Image(Image),
    /// A folder.
    Tree(TreeRef),
    /// One file, such as a model or a program.
    File(FileRef),
    /// A configuration file.
    Config(FileRef),
    /// A license text of third-party software.
    Notice(FileRef),
}

/// An OCI image, bit for bit as it was built.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Image {
    /// Digest of the image manifest or index.
    pub digest: Digest,
    /// Media type of the image manifest or index.
    pub media_type: String,
    /// Every blob of the image, itself included, sorted by digest.
    pub blobs: Vec<BlobRef>,
}

impl Image {
    /// Whether the blobs are sorted, each once, and the manifest or index is one of them.
    fn is_well_formed(&self) -> bool {
        self.blobs.is_sorted_by(|a, b| a.digest() < b.digest())
            && self.blobs.iter().any(|b| b.digest() == self.digest)
    }
}

/// A folder as a [`crate::tree::Tree`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TreeRef {
    /// Digest of the tree's JSON.
    pub digest: Digest,
    /// Length of the tree's JSON in bytes.
    pub size: u64,
    /// How many files it lists.
    pub files: u64,
    /// The sum of the lengths of these files in bytes.
    pub bytes: u64,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FileRef {
    /// SHA-256 of the content.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
    /// Whether it may be run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

/// A blob and its length in bytes, written as a pair to keep long lists short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub struct BlobRef(pub Digest, pub u64);

impl BlobRef {
    /// SHA-256 of the content.
    pub fn digest(&self) -> Digest {
        self.0
    }
    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.1
    }
}

/// A question that has to be answered well after activation, or the site goes back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HealthCheck {
    /// For people, in messages.
    pub name: String,
    /// What is asked.
    pub probe: Probe,
    /// Milliseconds between two attempts.
    pub interval_ms: u64,
    /// Milliseconds after which an attempt has failed.
    pub timeout_ms: u64,
    /// How many attempts in a row may fail before the check has.
    pub retries: u32,
    /// Milliseconds after activation in which failures do not count.
    pub start_period_ms: u64,
}

/// The question of a health check. As in Kubernetes' probes: healthy is an exit status of 0, an HTTP
/// status from 200 to 399, or a TCP connection that opens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Probe {
    /// A command with its arguments. A program with a `/` in it is looked up below the capability's
    /// folder, any other in the usual folders of the system; it runs in the capability's folder.
    Exec(Vec<String>),
    /// An `http://` URL.
    Http(String),
    /// `host:port`.
    Tcp(String),
}

impl Capability {
    /// One that has nothing and asks for nothing.
    pub fn new(name: Name, version: Version, kind: Kind) -> Self {
        Self {
            name,
            version,
            kind,
            description: String::new(),
            license: None,
            vendor: None,
            decision: None,
            requires: BTreeMap::new(),
            conflicts: BTreeMap::new(),
            entitlements: Vec::new(),
            hardware: Hardware::default(),
            configuration: Configuration::default(),
            migrations: Vec::new(),
            fixes: Vec::new(),
            changes: Vec::new(),
            artifacts: Vec::new(),
            health: Vec::new(),
        }
    }

    /// Whether it is the same as another one, whatever the reasons why each of them is in its release.
    pub fn is_same(&self, other: &Self) -> bool {
        let here = Self {
            decision: other.decision.clone(),
            ..self.clone()
        };
        here == *other
    }
}

impl Release {
    /// One without capabilities, that says nothing else.
    pub fn new(product: Name, version: Version, published: Time) -> Self {
        Self {
            format: FORMAT,
            product,
            version,
            published,
            security_floor: None,
            platforms: Vec::new(),
            mode: None,
            release_type: None,
            upgrade_from: None,
            severity: None,
            licensed: false,
            maintenance_exempt: false,
            fixes: Vec::new(),
            changes: Vec::new(),
            resolution: Resolution::default(),
            sbom: Vec::new(),
            capabilities: Vec::new(),
        }
    }

    /// Reads a release manifest whose bytes have been verified.
    pub fn parse(bytes: &AuthenticBytes<'_>) -> Result<Self> {
        let release: Self = bytes.parse("release.json")?;
        if release.format != FORMAT {
            return Err(Error::new(
                Code::UnsupportedFormat,
                "release.json",
                format!("has format {}, this program reads {FORMAT}", release.format),
            ));
        }
        release.check()?;
        Ok(release)
    }

    /// Order and uniqueness, which make a manifest the only one for what it says.
    fn check(&self) -> Result<()> {
        let bad = |detail: String| Err(Error::new(Code::BadMetadata, "release.json", detail));
        if !self.capabilities.is_sorted_by(|a, b| a.name < b.name) {
            return bad("capabilities are not sorted by name, each name once".into());
        }
        // A capability called `a/b` would lie inside one called `a`.
        let names: BTreeSet<&str> = self.capabilities.iter().map(|c| c.name.as_str()).collect();
        for inner in &names {
            if let Some(outer) = above(inner).find(|outer| names.contains(outer)) {
                return bad(format!("{inner} lies inside {outer}"));
            }
        }
        if self.maintenance_exempt && self.severity != Some(Severity::Critical) {
            return bad("is for those without maintenance, and not critical".into());
        }
        let once = |list: &[String]| list.is_sorted_by(|a, b| a < b);
        let resolution = &self.resolution;
        if !self.sbom.is_sorted_by(|a, b| a.format < b.format)
            || !once(&self.fixes)
            || !resolution.suites.is_sorted_by(|a, b| a.name < b.name)
            || !resolution.left_out.is_sorted_by(|a, b| a.name < b.name)
        {
            let what = "bills of materials, fixes, suites or what was left out";
            return bad(format!("{what}: not sorted, or something is there twice"));
        }
        for capability in &self.capabilities {
            let bounded = |check: &HealthCheck| {
                let times = [check.interval_ms, check.timeout_ms, check.start_period_ms];
                times.iter().all(|ms| *ms <= limits::HEALTH_MS)
                    && (1..=limits::HEALTH_RETRIES).contains(&check.retries)
            };
            if !capability.health.iter().all(bounded) {
                let detail =
                    "a health check that waits more than a day or tries more than 1000 times";
                return bad(format!("{}: {detail}", capability.name));
            }
            let decision = capability.decision.as_ref();
            let sorted =
                |d: &Decision| once(&d.required_by) && d.substitutes.is_sorted_by(|a, b| a < b);
            let migrations: BTreeSet<_> = capability.migrations.iter().map(|m| &m.name).collect();
            if !once(&capability.entitlements)
                || !once(&capability.fixes)
                || !decision.is_none_or(sorted)
                || migrations.len() != capability.migrations.len()
            {
                let what = "entitlements, fixes, reasons or migrations";
                let name = &capability.name;
                return bad(format!(
                    "{name}: {what}: not sorted, or something is there twice"
                ));
            }
            if !capability.artifacts.is_sorted_by(|a, b| a.name < b.name) {
                return bad(format!(
                    "{}: artifacts are not sorted by name, each name once",
                    capability.name
                ));
            }
            let names: BTreeSet<&str> = capability
                .artifacts
                .iter()
                .map(|a| a.name.as_str())
                .collect();
            for artifact in &capability.artifacts {
                if let Content::Image(image) = &artifact.content
                    && !image.is_well_formed()
                {
                    return bad(format!(
                        "{}: the blobs of image {} are not sorted, or lack the image itself",
                        capability.name, artifact.name
                    ));
                }
                if let Some(outer) = above(artifact.name.as_str()).find(|n| names.contains(n)) {
                    return bad(format!(
                        "{}: artifact {} lies inside {outer}",
                        capability.name, artifact.name
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether it takes a license to install it.
    pub fn is_licensed(&self) -> bool {
        self.licensed || self.capabilities.iter().any(|c| !c.entitlements.is_empty())
    }

    /// All artifacts with their capabilities, in the order of the manifest.
    pub fn artifacts(&self) -> impl Iterator<Item = (&Capability, &Artifact)> {
        self.capabilities
            .iter()
            .flat_map(|c| c.artifacts.iter().map(move |a| (c, a)))
    }

    /// All images with their references (`org.opencontainers.image.ref.name`), in the order of the manifest.
    pub fn images(&self) -> impl Iterator<Item = (String, &Image)> {
        self.artifacts()
            .filter_map(|(capability, artifact)| match &artifact.content {
                Content::Image(image) => Some((image_reference(capability, artifact), image)),
                _ => None,
            })
    }
}

/// The folders that `name` lies in, the innermost first.
fn above(name: &str) -> impl Iterator<Item = &str> {
    name.rmatch_indices('/')
        .filter_map(|(end, _)| name.get(..end))
}

/// The name that other tools know an image of a release by.
pub fn image_reference(capability: &Capability, artifact: &Artifact) -> String {
    // `+` of build metadata is not allowed in an OCI tag (distribution-spec 1.1).
    let tag = capability.version.to_string().replace('+', "_");
    format!("{}/{}:{tag}", capability.name, artifact.name)
}
