//! What travels when a bundle needs several signers: a small file with all that is to be signed goes out
//! ([`ToSign`]), one small file with signatures from each signer comes back ([`DetachedSignature`]).

use std::collections::BTreeMap;

use sealift_verifier::{
    digest::{Digest, hex, unhex},
    json, limits,
    path::Name,
    time::Time,
    tuf::{
        ED25519, Key, RoleName, Signature, Snapshot, Targets, Timestamp, metadata::Statement,
        threshold::verify_one,
    },
};
use semver::Version;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    error::{Code, Error, Result},
    signer::Signer,
};

/// The version of both files that this program reads and writes.
pub const FORMAT: u32 = 1;
/// Longest [`ToSign`] file in bytes: three metadata files.
pub const TO_SIGN_BYTES: u64 = 3 * limits::METADATA_BYTES;
/// Longest [`DetachedSignature`] file in bytes.
pub const SIGNATURE_BYTES: u64 = 16 << 10;

const TO_SIGN_KIND: &str = "sealift-tosign";
const SIGNATURE_KIND: &str = "sealift-signature";
/// The target whose digest is the release digest.
const RELEASE: &str = "release.json";

/// The roles that a release key signs, in the order of the client workflow (TUF 5.4 to 5.6).
pub const ROLES: [RoleName; 3] = [RoleName::Timestamp, RoleName::Snapshot, RoleName::Targets];

/// All that a release key is to sign. It holds together by construction: what it says of itself is what
/// its signed parts say, and those have no field that this program would sign unseen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToSign {
    format: u32,
    kind: String,
    product: Name,
    version: Version,
    release: Digest,
    counter: u64,
    signed: SignedParts,
    #[serde(skip)]
    statements: Statements,
}

/// The signed parts of the three metadata files, as they are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SignedParts {
    targets: Value,
    snapshot: Value,
    timestamp: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Statements {
    targets: Targets,
    snapshot: Snapshot,
    timestamp: Timestamp,
}

/// The same file before anything in it was checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    format: u32,
    kind: String,
    product: Name,
    version: Version,
    release: Digest,
    counter: u64,
    signed: SignedParts,
}

impl ToSign {
    /// Puts together what is to be signed. Product and version are for people: what is signed is the
    /// digest of the release manifest that holds them.
    pub fn new(
        product: Name,
        version: Version,
        targets: &Targets,
        snapshot: &Snapshot,
        timestamp: &Timestamp,
    ) -> Result<Self> {
        const SUBJECT: &str = "tosign";
        let unchecked = Unchecked {
            format: FORMAT,
            kind: TO_SIGN_KIND.into(),
            product,
            version,
            release: release_digest(targets, SUBJECT)?,
            counter: targets.version,
            signed: SignedParts {
                targets: targets.to_signed()?,
                snapshot: snapshot.to_signed()?,
                timestamp: timestamp.to_signed()?,
            },
        };
        Self::check(unchecked, SUBJECT)
    }

    /// Reads the file; `subject` names it in errors.
    pub fn parse(bytes: &[u8], subject: &str) -> Result<Self> {
        Self::check(
            parse(bytes, subject, TO_SIGN_KIND, Code::ToSignInvalid)?,
            subject,
        )
    }

    fn check(file: Unchecked, subject: &str) -> Result<Self> {
        let refuse = |detail: String| Err(Error::new(Code::ToSignInvalid, subject, detail));
        let statements = Statements {
            targets: statement(&file.signed.targets, subject)?,
            snapshot: statement(&file.signed.snapshot, subject)?,
            timestamp: statement(&file.signed.timestamp, subject)?,
        };
        let Statements {
            targets,
            snapshot,
            timestamp,
        } = &statements;
        let release = release_digest(targets, subject)?;
        if release != file.release {
            return refuse(format!(
                "claims the release digest {}, but would sign {release}",
                file.release
            ));
        }
        if targets.delegations.is_some() {
            return refuse("would delegate to other signers".into());
        }
        let versions = [
            targets.version,
            snapshot.version,
            timestamp.version,
            snapshot.targets()?.version,
            timestamp.snapshot()?.version,
        ];
        if versions.iter().any(|version| *version != file.counter) {
            return refuse(format!(
                "claims the counter {}, but its parts say {versions:?}",
                file.counter
            ));
        }
        if snapshot.meta.len() != 1 || timestamp.meta.len() != 1 {
            return refuse("names other metadata than a bundle has".into());
        }
        Ok(Self {
            format: file.format,
            kind: file.kind,
            product: file.product,
            version: file.version,
            release,
            counter: file.counter,
            signed: file.signed,
            statements,
        })
    }

    /// The file: canonical JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        Ok(json::to_canonical(self)?)
    }

    /// The product, as the file claims; signed is only the digest of the manifest that names it.
    pub fn product(&self) -> &Name {
        &self.product
    }

    /// The version of the product, as the file claims.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The release digest, taken from what is to be signed.
    pub fn release(&self) -> Digest {
        self.release
    }

    /// The release counter: the version of all three signed parts.
    pub fn counter(&self) -> u64 {
        self.counter
    }

    /// What would be signed for targets.
    pub fn targets(&self) -> &Targets {
        &self.statements.targets
    }

    /// What would be signed for the snapshot.
    pub fn snapshot(&self) -> &Snapshot {
        &self.statements.snapshot
    }

    /// What would be signed for the timestamp.
    pub fn timestamp(&self) -> &Timestamp {
        &self.statements.timestamp
    }

    /// When the first of the three parts stops being valid.
    pub fn expires(&self) -> Time {
        let Statements {
            targets,
            snapshot,
            timestamp,
        } = &self.statements;
        targets.expires.min(snapshot.expires).min(timestamp.expires)
    }

    /// The signed part of one role's metadata; nothing for the root.
    pub fn signed(&self, role: RoleName) -> Option<&Value> {
        match role {
            RoleName::Root => None,
            RoleName::Timestamp => Some(&self.signed.timestamp),
            RoleName::Snapshot => Some(&self.signed.snapshot),
            RoleName::Targets => Some(&self.signed.targets),
        }
    }

    /// What a key signs for each role: the canonical JSON of the signed part (TUF 4.2.1).
    fn messages(&self) -> impl Iterator<Item = (RoleName, Vec<u8>)> {
        ROLES
            .into_iter()
            .filter_map(|role| Some((role, json::canonical(self.signed(role)?))))
    }
}

/// The signatures of one key over all three parts of a [`ToSign`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DetachedSignature {
    format: u32,
    kind: String,
    keyid: String,
    signatures: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UncheckedSignature {
    format: u32,
    kind: String,
    keyid: Digest,
    signatures: Signatures,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signatures {
    targets: String,
    snapshot: String,
    timestamp: String,
}

impl DetachedSignature {
    /// Signs all three parts.
    pub fn make(to_sign: &ToSign, signer: &dyn Signer) -> Result<Self> {
        let key = Key::ed25519(&signer.public_key());
        let signatures = to_sign
            .messages()
            .map(|(role, message)| Ok((role.name().to_owned(), hex(&signer.sign(&message)?))))
            .collect::<Result<_>>()?;
        let made = Self {
            format: FORMAT,
            kind: SIGNATURE_KIND.into(),
            keyid: key.id()?,
            signatures,
        };
        // A token that is broken, or lies about its key, is noticed here and not at a site.
        made.verify(to_sign, &key)?;
        Ok(made)
    }

    /// Reads the file; `subject` names it in errors. Whether the signatures are valid is another
    /// question: [`DetachedSignature::verify`].
    pub fn parse(bytes: &[u8], subject: &str) -> Result<Self> {
        let file: UncheckedSignature =
            parse(bytes, subject, SIGNATURE_KIND, Code::SignatureInvalid)?;
        let Signatures {
            targets,
            snapshot,
            timestamp,
        } = file.signatures;
        let signatures = BTreeMap::from([
            (RoleName::Targets.name().to_owned(), targets),
            (RoleName::Snapshot.name().to_owned(), snapshot),
            (RoleName::Timestamp.name().to_owned(), timestamp),
        ]);
        // One spelling only, so that the same signatures make the same bundle.
        let spelled =
            |sig: &String| unhex(sig).is_some_and(|bytes| bytes.len() == 64 && hex(&bytes) == *sig);
        if !signatures.values().all(spelled) {
            return Err(Error::new(
                Code::SignatureInvalid,
                subject,
                "has signatures that are not 128 lower-case hexadecimal digits",
            ));
        }
        Ok(Self {
            format: file.format,
            kind: file.kind,
            keyid: file.keyid.to_hex(),
            signatures,
        })
    }

    /// The file: canonical JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        Ok(json::to_canonical(self)?)
    }

    /// The id of the key that signed, as the file claims.
    pub fn keyid(&self) -> &str {
        &self.keyid
    }

    /// The signature for one role in the form of TUF metadata; nothing for the root.
    pub fn signature(&self, role: RoleName) -> Option<Signature> {
        let sig = self.signatures.get(role.name())?.clone();
        Some(Signature {
            keyid: self.keyid.clone(),
            sig,
        })
    }

    /// Refuses unless all three signatures over `to_sign` are by `key`, whose id has to be the one claimed.
    pub fn verify(&self, to_sign: &ToSign, key: &Key) -> Result<()> {
        let refuse = |detail: String| {
            Err(Error::new(
                Code::SignatureInvalid,
                format!("key {}", self.keyid),
                detail,
            ))
        };
        if key.id()? != self.keyid {
            return refuse(format!("is not the key {}", key.id()?));
        }
        for (role, message) in to_sign.messages() {
            let signature = self.signature(role).and_then(|signature| signature.bytes());
            if !signature.is_some_and(|bytes| verify_one(key, &message, &bytes, ED25519)) {
                return refuse(format!("has no valid signature for {role}"));
            }
        }
        Ok(())
    }
}

/// Reads one of the two files: first its format and kind, so that a newer one is named as such.
fn parse<T: DeserializeOwned>(bytes: &[u8], subject: &str, kind: &str, code: Code) -> Result<T> {
    let value = json::parse(bytes, subject)?;
    if value.get("kind").and_then(Value::as_str) != Some(kind) {
        return Err(Error::new(code, subject, format!("is no {kind} file")));
    }
    match value.get("format").and_then(Value::as_u64) {
        Some(format) if format == u64::from(FORMAT) => {}
        Some(format) => {
            return Err(Error::new(
                Code::UnsupportedFormat,
                subject,
                format!("has format {format}, known is {FORMAT}"),
            ));
        }
        None => return Err(Error::new(code, subject, "has no format")),
    }
    json::from_value(value).map_err(|e| Error::new(code, subject, e.to_string()))
}

/// Reads a signed part, and refuses what it would not write the same way: nothing is signed unseen.
fn statement<T: Statement>(signed: &Value, subject: &str) -> Result<T> {
    let statement = T::from_signed(signed)?;
    if statement.to_signed()? == *signed {
        return Ok(statement);
    }
    Err(Error::new(
        Code::ToSignInvalid,
        subject,
        format!("has fields for {} that this program does not know", T::ROLE),
    ))
}

fn release_digest(targets: &Targets, subject: &str) -> Result<Digest> {
    match targets.targets.get(RELEASE) {
        Some(target) => Ok(target.digest(RELEASE)?),
        None => Err(Error::new(
            Code::ToSignInvalid,
            subject,
            format!("has no {RELEASE} among its targets"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sealift_verifier::{
        Failure,
        tuf::{MetaFile, Target},
    };
    use serde_json::json;

    use super::*;
    use crate::{key_file::SecretKey, signer::FileSigner};

    fn to_sign() -> ToSign {
        let expires: Time = "2031-03-01T00:00:00Z".parse().unwrap();
        let meta = |file: &str| {
            BTreeMap::from([(
                file.to_owned(),
                MetaFile {
                    version: 7,
                    length: None,
                    hashes: None,
                },
            )])
        };
        let release = Target::new(3, Digest::of(b"abc"));
        let targets = Targets {
            version: 7,
            expires,
            targets: BTreeMap::from([(RELEASE.to_owned(), release)]),
            delegations: None,
        };
        let snapshot = Snapshot {
            version: 7,
            expires,
            meta: meta("targets.json"),
        };
        let timestamp = Timestamp {
            version: 7,
            expires,
            meta: meta("snapshot.json"),
        };
        let (product, version) = ("acme".parse().unwrap(), Version::new(2, 5, 0));
        ToSign::new(product, version, &targets, &snapshot, &timestamp).unwrap()
    }

    fn signer() -> FileSigner {
        SecretKey::generate().unwrap().into()
    }

    /// The file with one thing changed.
    fn with(change: impl FnOnce(&mut Value)) -> Result<ToSign> {
        let mut value: Value = serde_json::from_slice(&to_sign().to_bytes().unwrap()).unwrap();
        change(&mut value);
        ToSign::parse(&json::canonical(&value), "test")
    }

    #[test]
    fn both_files_come_back_as_they_were() {
        let (file, signer) = (to_sign(), signer());
        let read = ToSign::parse(&file.to_bytes().unwrap(), "test").unwrap();
        assert_eq!(read, file);
        assert_eq!((read.counter(), read.release()), (7, Digest::of(b"abc")));
        let signature = DetachedSignature::make(&file, &signer).unwrap();
        let read = DetachedSignature::parse(&signature.to_bytes().unwrap(), "test").unwrap();
        assert_eq!(read, signature);
        read.verify(&file, &Key::ed25519(&signer.public_key()))
            .unwrap();
        assert_eq!(read.signature(RoleName::Root), None);
    }

    #[test]
    fn a_file_that_does_not_hold_together_is_not_signed() {
        for (why, changed) in [
            (
                "release",
                with(|v| v["release"] = Digest::of(b"x").to_hex().into()),
            ),
            ("counter", with(|v| v["counter"] = 8.into())),
            (
                "targets",
                with(|v| v["signed"]["targets"]["version"] = 8.into()),
            ),
            (
                "snapshot",
                with(|v| v["signed"]["snapshot"]["meta"]["targets.json"]["version"] = 8.into()),
            ),
            (
                "timestamp",
                with(|v| v["signed"]["timestamp"]["meta"]["snapshot.json"]["version"] = 6.into()),
            ),
            (
                "more",
                with(|v| v["signed"]["snapshot"]["meta"]["x.json"] = json!({ "version": 7 })),
            ),
            (
                "unseen",
                with(|v| v["signed"]["targets"]["note"] = "x".into()),
            ),
            (
                "custom",
                with(|v| v["signed"]["targets"]["targets"][RELEASE]["custom"] = json!({})),
            ),
            (
                "delegation",
                with(|v| v["signed"]["targets"]["delegations"] = json!({})),
            ),
            (
                "no release",
                with(|v| v["signed"]["targets"]["targets"] = json!({})),
            ),
            ("field", with(|v| v["more"] = 1.into())),
            ("kind", with(|v| v["kind"] = SIGNATURE_KIND.into())),
        ] {
            assert_eq!(changed.unwrap_err().code(), "tosign-invalid", "{why}");
        }
        let newer = with(|v| v["format"] = 2.into()).unwrap_err();
        assert_eq!(newer.kind(), Some(Code::UnsupportedFormat));
        let swapped = with(|v| v["signed"]["targets"] = v["signed"]["snapshot"].clone());
        assert_eq!(swapped.unwrap_err().code(), "bad-metadata");
    }

    #[test]
    fn a_signature_of_other_content_or_by_another_key_is_refused() {
        let (signer, other) = (signer(), signer());
        let key = Key::ed25519(&signer.public_key());
        let file = to_sign();
        let signature = DetachedSignature::make(&file, &signer).unwrap();
        let refused = Some(Code::SignatureInvalid);
        let by_other = signature.verify(&file, &Key::ed25519(&other.public_key()));
        assert_eq!(by_other.unwrap_err().kind(), refused);
        let renamed = with(|v| {
            for role in ["targets", "snapshot", "timestamp"] {
                v["signed"][role]["expires"] = "2032-03-01T00:00:00Z".into();
            }
        });
        assert_eq!(
            signature
                .verify(&renamed.unwrap(), &key)
                .unwrap_err()
                .kind(),
            refused
        );
        let text = String::from_utf8(signature.to_bytes().unwrap()).unwrap();
        for bad in [
            text.replace(signature.keyid(), &signature.keyid().to_uppercase()),
            text.replacen("\"timestamp\":\"", "\"timestamp\":\"00", 1),
            text.replace("\"snapshot\":", "\"snap\":"),
        ] {
            assert_eq!(
                DetachedSignature::parse(bad.as_bytes(), "test")
                    .unwrap_err()
                    .kind(),
                refused
            );
        }
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic(at in 0usize..4000, byte: u8) {
            let mut bytes = to_sign().to_bytes().unwrap();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = ToSign::parse(&bytes, "test");
            let _ = DetachedSignature::parse(&bytes, "test");
        }
    }
}
