//! `release.json`, the release manifest: what is released, whatever way its bytes travel.

use std::collections::BTreeSet;

use semver::Version;
use serde::{Deserialize, Serialize};

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
    /// Sorted by name, each name once.
    pub capabilities: Vec<Capability>,
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

impl Release {
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
