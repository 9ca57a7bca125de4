//! What each role states, as types (TUF 4.3 to 4.6). Unknown fields are kept by their signatures and
//! ignored here, as the specification demands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest as _, Sha512};

use super::RoleName;
use crate::{
    digest::{Digest, hex},
    error::{Code, Error, Result},
    json,
    time::Time,
};

/// The version of the TUF specification that we write.
pub const SPEC_VERSION: &str = "1.0.34";

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Key {
    /// Kind of key; `ed25519` in bundles.
    pub keytype: String,
    /// Its value.
    pub keyval: Keyval,
    /// How it signs; `ed25519` in bundles.
    pub scheme: String,
}

/// The value of a public key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Keyval {
    /// 64 hexadecimal digits for Ed25519, PEM for others.
    pub public: String,
}

impl Key {
    /// An Ed25519 key.
    pub fn ed25519(public: &[u8; 32]) -> Self {
        let keyval = Keyval {
            public: hex(public),
        };
        Self {
            keytype: "ed25519".into(),
            keyval,
            scheme: "ed25519".into(),
        }
    }

    /// The SHA-256 of the key's canonical JSON, as the specification derives ids (TUF 4.2.1).
    pub fn id(&self) -> Result<String> {
        Ok(Digest::of(&json::to_canonical(self)?).to_hex())
    }

    /// What makes a key the same key, however it is written: two entries with one identity are one vote.
    pub(crate) fn identity(&self) -> String {
        self.keyval
            .public
            .split_whitespace()
            .collect::<String>()
            .to_ascii_lowercase()
    }
}

/// Which keys sign for a role, and how many of them have to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Role {
    /// Ids of keys.
    pub keyids: Vec<String>,
    /// How many distinct keys have to sign; at least 1.
    pub threshold: u64,
}

/// Who may sign for each role (TUF 4.3).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Root {
    /// Counts up by exactly one.
    pub version: u64,
    /// When it stops being valid.
    pub expires: Time,
    /// Whether file names of a repository carry versions and digests. Bundles do not.
    #[serde(default)]
    pub consistent_snapshot: bool,
    /// All keys by id.
    pub keys: BTreeMap<String, Key>,
    /// The four roles by name.
    pub roles: BTreeMap<String, Role>,
    /// What Sealift adds for things that TUF has no role for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealift: Option<SealiftRoles>,
}

/// The extra field of the root: roles for what is no software.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
pub struct SealiftRoles {
    /// Throw-away keys of a developer; programs say so wherever they show this root.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub development: bool,
    /// Who signs licenses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<Role>,
    /// Who signs the policies of sites, in the root of a customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Role>,
    /// Releases that must not be installed any more. Sorted by digest, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<RevokedRelease>,
}

/// A release that whoever signed it takes back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct RevokedRelease {
    /// Its release digest.
    pub release: Digest,
    /// Why, for people.
    pub reason: String,
}

/// Version and, if given, length and digest of another metadata file (TUF 4.4).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct MetaFile {
    /// Its version.
    pub version: u64,
    /// Its length in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Its digests by algorithm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<BTreeMap<String, String>>,
}

impl MetaFile {
    /// Holds `bytes` to the length and digest, if they are given.
    pub(super) fn check(&self, bytes: &[u8], subject: &str) -> Result<()> {
        if let Some(length) = self.length.filter(|length| *length != bytes.len() as u64) {
            return Err(Error::new(
                Code::LengthMismatch,
                subject,
                format!("has {} bytes, not {length}", bytes.len()),
            ));
        }
        match &self.hashes {
            Some(hashes) => check_digests(hashes, bytes, subject),
            None => Ok(()),
        }
    }
}

/// A file that may be downloaded (TUF 4.5).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Target {
    /// Its length in bytes.
    pub length: u64,
    /// Its digests by algorithm.
    pub hashes: BTreeMap<String, String>,
}

impl Target {
    /// A target with a SHA-256 digest.
    pub fn new(length: u64, digest: Digest) -> Self {
        Self {
            length,
            hashes: BTreeMap::from([("sha256".into(), digest.to_hex())]),
        }
    }

    /// Holds `bytes` to the length and to the digests.
    pub fn check(&self, bytes: &[u8], subject: &str) -> Result<()> {
        if self.length != bytes.len() as u64 {
            return Err(Error::new(
                Code::LengthMismatch,
                subject,
                format!("has {} bytes, not {}", bytes.len(), self.length),
            ));
        }
        check_digests(&self.hashes, bytes, subject)
    }

    /// Its SHA-256 digest; a target without one is refused.
    pub fn digest(&self, subject: &str) -> Result<Digest> {
        self.hashes
            .get("sha256")
            .ok_or_else(|| Error::new(Code::BadMetadata, subject, "has no SHA-256 digest"))?
            .parse()
            .map_err(|e: Error| Error::new(Code::BadMetadata, subject, e.to_string()))
    }
}

/// The digest algorithms of other people's repositories. Bundles have SHA-256 only ([`Target::digest`]).
pub(super) const ALGORITHMS: [&str; 2] = ["sha256", "sha512"];

/// Holds `bytes` to every digest of an algorithm that is known here; none of them is a refusal.
fn check_digests(hashes: &BTreeMap<String, String>, bytes: &[u8], subject: &str) -> Result<()> {
    let mut checked = false;
    for algorithm in ALGORITHMS {
        let Some(signed) = hashes.get(algorithm) else {
            continue;
        };
        let found = match algorithm {
            "sha512" => hex(&Sha512::digest(bytes)),
            _ => Digest::of(bytes).to_hex(),
        };
        if *signed != found {
            return Err(Error::new(
                Code::DigestMismatch,
                subject,
                format!("has the {algorithm} digest {found}, signed is {signed}"),
            ));
        }
        checked = true;
    }
    if checked {
        return Ok(());
    }
    Err(Error::new(
        Code::BadMetadata,
        subject,
        "has no digest of a known algorithm",
    ))
}

/// Which snapshot is the newest (TUF 4.6).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Timestamp {
    /// Never counts down.
    pub version: u64,
    /// When it stops being valid.
    pub expires: Time,
    /// Exactly `snapshot.json`.
    pub meta: BTreeMap<String, MetaFile>,
}

/// Which versions belong together (TUF 4.4).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Snapshot {
    /// Never counts down.
    pub version: u64,
    /// When it stops being valid.
    pub expires: Time,
    /// `targets.json` and, in other people's repositories, delegated roles.
    pub meta: BTreeMap<String, MetaFile>,
}

/// Lengths and digests of files (TUF 4.5).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Targets {
    /// In bundles, the release counter.
    pub version: u64,
    /// When it stops being valid.
    pub expires: Time,
    /// All files by path.
    pub targets: BTreeMap<String, Target>,
    /// Present in repositories that delegate; never in bundles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations: Option<Value>,
}

/// A statement of one of the four roles.
pub trait Statement: DeserializeOwned + Serialize {
    /// Which role it is of.
    const ROLE: RoleName;

    /// Its version.
    fn version(&self) -> u64;

    /// When it stops being valid.
    fn expires(&self) -> Time;

    /// Rules that the types do not hold by themselves.
    fn check(&self) -> Result<()>;

    /// The signed part of an envelope with this statement.
    fn to_signed(&self) -> Result<Value> {
        let mut value = serde_json::to_value(self)
            .map_err(|e| Error::new(Code::BadMetadata, Self::ROLE.name(), e.to_string()))?;
        if let Value::Object(map) = &mut value {
            map.insert("_type".into(), Self::ROLE.name().into());
            map.insert("spec_version".into(), SPEC_VERSION.into());
        }
        Ok(value)
    }

    /// Reads the signed part of an envelope. Whoever calls this has counted its signatures, or is a root
    /// that has to be read to know whose signatures count.
    fn from_signed(signed: &Value) -> Result<Self> {
        let bad = |detail: String| Error::new(Code::BadMetadata, Self::ROLE.name(), detail);
        let text = |key: &str| signed.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("_type") != Self::ROLE.name() {
            return Err(bad(format!("is of type {:?}", text("_type"))));
        }
        if text("spec_version").split('.').next() != Some("1") {
            return Err(Error::new(
                Code::UnsupportedFormat,
                Self::ROLE.name(),
                format!(
                    "follows TUF {:?}, this program reads 1.x",
                    text("spec_version")
                ),
            ));
        }
        let statement: Self = json::from_value(signed.clone()).map_err(|e| bad(e.to_string()))?;
        if statement.version() == 0 {
            return Err(bad("has version 0".into()));
        }
        statement.check()?;
        Ok(statement)
    }
}

impl Root {
    /// The keys and threshold of a role.
    pub fn role(&self, role: RoleName) -> Result<&Role> {
        self.roles
            .get(role.name())
            .ok_or_else(|| Error::new(Code::BadMetadata, "root", format!("has no role {role}")))
    }

    /// Why a release must not be installed any more, if it is so.
    pub fn revoked(&self, release: Digest) -> Option<&RevokedRelease> {
        let revoked = self.sealift.iter().flat_map(|sealift| &sealift.revoked);
        revoked
            .into_iter()
            .find(|revoked| revoked.release == release)
    }

    /// Whether it holds throw-away keys of a developer.
    pub fn is_development(&self) -> bool {
        self.sealift.as_ref().is_some_and(|s| s.development)
    }
}

impl Statement for Root {
    const ROLE: RoleName = RoleName::Root;
    fn version(&self) -> u64 {
        self.version
    }
    fn expires(&self) -> Time {
        self.expires
    }
    fn check(&self) -> Result<()> {
        let revoked = self.sealift.as_ref().map(|sealift| &sealift.revoked);
        if revoked.is_some_and(|list| !list.is_sorted_by(|a, b| a.release < b.release)) {
            let detail = "revoked releases are not sorted, each once";
            return Err(Error::new(Code::BadMetadata, "root", detail));
        }
        RoleName::ALL
            .iter()
            .try_for_each(|role| match self.role(*role)?.threshold {
                0 => Err(Error::new(
                    Code::ThresholdInvalid,
                    "root",
                    format!("gives {role} a threshold of zero"),
                )),
                _ => Ok(()),
            })
    }
}

impl Statement for Timestamp {
    const ROLE: RoleName = RoleName::Timestamp;
    fn version(&self) -> u64 {
        self.version
    }
    fn expires(&self) -> Time {
        self.expires
    }
    fn check(&self) -> Result<()> {
        self.snapshot().map(|_| ())
    }
}

impl Timestamp {
    /// What it says of `snapshot.json`.
    pub fn snapshot(&self) -> Result<&MetaFile> {
        meta(&self.meta, "snapshot.json", RoleName::Timestamp)
    }
}

impl Statement for Snapshot {
    const ROLE: RoleName = RoleName::Snapshot;
    fn version(&self) -> u64 {
        self.version
    }
    fn expires(&self) -> Time {
        self.expires
    }
    fn check(&self) -> Result<()> {
        self.targets().map(|_| ())
    }
}

impl Snapshot {
    /// What it says of `targets.json`.
    pub fn targets(&self) -> Result<&MetaFile> {
        meta(&self.meta, "targets.json", RoleName::Snapshot)
    }
}

impl Statement for Targets {
    const ROLE: RoleName = RoleName::Targets;
    fn version(&self) -> u64 {
        self.version
    }
    fn expires(&self) -> Time {
        self.expires
    }
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

fn meta<'a>(
    meta: &'a BTreeMap<String, MetaFile>,
    file: &str,
    role: RoleName,
) -> Result<&'a MetaFile> {
    let found = meta.get(file).ok_or_else(|| {
        Error::new(
            Code::BadMetadata,
            role.name(),
            format!("does not name {file}"),
        )
    })?;
    if found.version == 0 {
        return Err(Error::new(
            Code::BadMetadata,
            role.name(),
            format!("names version 0 of {file}"),
        ));
    }
    Ok(found)
}
