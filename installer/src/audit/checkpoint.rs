//! What the site key signs: that the log stood somewhere (a checkpoint), or was cut off somewhere (a cut).

use std::collections::BTreeMap;

use sealift_keys::{
    FileSigner,
    key_file::{PublicKey, SecretKey},
};
use sealift_verifier::{
    base64,
    digest::Digest,
    dsse::Envelope,
    json,
    time::Time,
    tuf::{Key, Role},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::entry::{FORMAT, Position};
use crate::{
    error::{Code, Error, Result},
    site_key,
};

/// The type of a signed checkpoint.
pub const TYPE: &str = "application/vnd.sealift.audit-checkpoint+json";
/// The type of a signed cut.
pub const CUT_TYPE: &str = "application/vnd.sealift.audit-cut+json";

/// That the log of a site had this line, and so all before it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Checkpoint {
    /// Always [`FORMAT`].
    pub format: u32,
    /// The site's id.
    pub site: String,
    /// The sequence number of the line.
    pub sequence: u64,
    /// The digest of the line, with its end.
    pub digest: Digest,
    /// When it was signed, by the local clock.
    pub time: Time,
}

impl Checkpoint {
    /// What it is about.
    pub fn position(&self) -> Position {
        Position {
            sequence: self.sequence,
            digest: self.digest,
        }
    }
}

/// That the older part of a log was taken away on purpose. It is the first line of what is left.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cut {
    /// Always [`FORMAT`].
    pub format: u32,
    /// The site's id.
    pub site: String,
    /// The sequence number of the last line that was taken away.
    pub sequence: u64,
    /// The digest of that line, with its end.
    pub digest: Digest,
    /// How many entries this cut took away.
    pub removed: u64,
    /// The digest of everything that it took away: of the file that it was written to, if it was.
    pub archive: Digest,
    /// When, by the local clock.
    pub time: Time,
    /// Why, if what was taken away was damaged; its chain then ends with it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub damaged: String,
}

/// What is signed as one of these types.
pub(super) trait Signed: Serialize + DeserializeOwned {
    /// The payload type.
    const TYPE: &'static str;
    /// Its format and the site that it is of.
    fn origin(&self) -> (u32, &str);
}

impl Signed for Checkpoint {
    const TYPE: &'static str = TYPE;
    fn origin(&self) -> (u32, &str) {
        (self.format, &self.site)
    }
}

impl Signed for Cut {
    const TYPE: &'static str = CUT_TYPE;
    fn origin(&self) -> (u32, &str) {
        (self.format, &self.site)
    }
}

/// Signs, and returns the envelope as a line.
pub(super) fn sign<T: Signed>(value: &T, key: SecretKey) -> Result<Vec<u8>> {
    let signer = FileSigner::from(key);
    let payload = json::to_canonical(value)?;
    let envelope = sealift_keys::dsse::sign(T::TYPE, payload, &[&signer])
        .map_err(|e| Error::new(Code::StateDamaged, site_key::FILE, e.to_string()))?;
    let mut line = envelope.to_bytes();
    line.push(b'\n');
    Ok(line)
}

/// What a line of ours says, without a look at its signature.
pub(super) fn unverified<T: Signed>(line: &[u8]) -> Option<T> {
    #[derive(Deserialize)]
    struct Written {
        payload: String,
    }
    let written: Written = json::from_slice(line).ok()?;
    json::from_slice(&base64::decode(&written.payload)?).ok()
}

/// Verifies what the site signs.
pub struct Signatures {
    site: String,
    keys: BTreeMap<String, Key>,
    role: Role,
}

impl Signatures {
    /// Those of `site` by `key`.
    pub fn new(site: &str, key: PublicKey) -> Result<Self> {
        let id = site_key::id(key)?;
        Ok(Self {
            site: site.to_owned(),
            keys: BTreeMap::from([(id.clone(), key.to_tuf())]),
            role: Role {
                keyids: vec![id],
                threshold: 1,
            },
        })
    }

    /// What a line of ours says, if the site's key has signed it, for this site; or what is wrong with it.
    pub(super) fn open<T: Signed>(&self, line: &[u8], subject: &str) -> Result<T, String> {
        let envelope = Envelope::parse(line.strip_suffix(b"\n").unwrap_or(line), subject)
            .map_err(|e| e.to_string())?;
        let (payload, _) = envelope
            .verify(T::TYPE, &self.keys, &self.role, subject)
            .map_err(|e| e.to_string())?;
        let value = json::parse(payload.as_bytes(), subject).map_err(|e| e.to_string())?;
        let value: T = json::from_value(value).map_err(|e| e.to_string())?;
        match value.origin() {
            (FORMAT, site) if site == self.site => Ok(value),
            (FORMAT, site) => Err(format!("is of the site {site}")),
            (format, _) => Err(format!("has format {format}, this program reads {FORMAT}")),
        }
    }

    /// A checkpoint from a file that was kept elsewhere.
    pub fn checkpoint(&self, line: &[u8], subject: &str) -> Result<Checkpoint, String> {
        self.open(line, subject)
    }
}
