//! The signed metadata of a bundle: which roots there are, what has to be signed, and who signs it.

use std::{collections::BTreeMap, path::Path};

use sealift_keys::{signer::Signer, travel::ToSign};
use sealift_verifier::{
    digest::hex,
    limits,
    time::Time,
    tuf::{
        ED25519, Key, MetaFile, RoleName, Root, Signature, Signed, Snapshot, Target, Targets,
        Timestamp, TrustedSet, metadata::Statement as _,
    },
};

use crate::{
    error::{Code, Error, Result},
    plan::Plan,
};

/// All roots so far, `1.root.json` first, each verified to follow from the one before.
#[derive(Debug)]
pub struct Roots {
    files: Vec<Vec<u8>>,
    newest: Root,
}

impl Roots {
    /// Reads `1.root.json` and all that follow it from a folder. `published` is when the release is: a
    /// root that has expired by then can sign nothing any more.
    pub fn read(folder: &Path, published: Time) -> Result<Self> {
        if folder.is_file() {
            let why = "is a file: name the folder that holds 1.root.json and all that follow it";
            return Err(Error::new(Code::Usage, folder.display().to_string(), why));
        }
        let mut files = Vec::new();
        let mut trusted: Option<TrustedSet> = None;
        for version in 1_u64.. {
            let path = folder.join(format!("{version}.root.json"));
            let bytes = match std::fs::metadata(&path) {
                Ok(found) if found.len() > limits::METADATA_BYTES => {
                    return Err(Error::new(
                        Code::RootInvalid,
                        path.display().to_string(),
                        "is too large for a root",
                    ));
                }
                Ok(_) => std::fs::read(&path).map_err(|e| Error::io(path.display(), e))?,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => break,
                Err(e) => return Err(Error::io(path.display(), e)),
            };
            let signed = Signed::parse(&bytes, &path.display().to_string())?;
            if signed.to_bytes() != bytes {
                return Err(Error::new(
                    Code::RootInvalid,
                    path.display().to_string(),
                    "is not written in canonical form",
                ));
            }
            match &mut trusted {
                None => trusted = Some(TrustedSet::new(&bytes, ED25519, published)?),
                Some(set) => set.update_root(&bytes)?,
            }
            files.push(bytes);
        }
        let missing = || {
            Error::new(
                Code::RootInvalid,
                folder.display().to_string(),
                "holds no 1.root.json",
            )
        };
        let trusted = trusted.ok_or_else(missing)?;
        let newest = trusted.root().statement.clone();
        trusted.check_expiry(&newest)?;
        Ok(Self { files, newest })
    }

    /// The newest root.
    pub fn newest(&self) -> &Root {
        &self.newest
    }

    /// The first root, as its file.
    pub fn first(&self) -> &[u8] {
        self.files.first().map_or(&[], Vec::as_slice)
    }

    /// The roots with their paths in a bundle, in its order.
    pub(crate) fn members(&self) -> Vec<(String, Vec<u8>)> {
        (1_u64..)
            .zip(&self.files)
            .map(|(n, bytes)| (format!("metadata/{n}.root.json"), bytes.clone()))
            .collect()
    }
}

/// The three statements that a release is published with. All have the release counter as their version,
/// and name each other by version only, so that several people can sign all three at once (TUF 4.4 makes
/// lengths and digests of metadata optional).
#[derive(Debug)]
pub struct Statements {
    timestamp: Signed,
    snapshot: Signed,
    targets: Signed,
}

impl Statements {
    /// Says what `plan` publishes.
    pub fn new(plan: &Plan, targets: BTreeMap<String, Target>) -> Result<Self> {
        let (version, expires) = (plan.counter, plan.expires);
        let meta = |file: &str| {
            BTreeMap::from([(
                file.to_owned(),
                MetaFile {
                    version,
                    length: None,
                    hashes: None,
                },
            )])
        };
        let unsigned = |signed| Signed::new(signed, Vec::new());
        Ok(Self {
            timestamp: unsigned(
                Timestamp {
                    version,
                    expires,
                    meta: meta("snapshot.json"),
                }
                .to_signed()?,
            ),
            snapshot: unsigned(
                Snapshot {
                    version,
                    expires,
                    meta: meta("targets.json"),
                }
                .to_signed()?,
            ),
            targets: unsigned(
                Targets {
                    version,
                    expires,
                    targets,
                    delegations: None,
                }
                .to_signed()?,
            ),
        })
    }

    /// Takes the statements of an existing bundle, with the signatures they have.
    pub(crate) fn parse(members: &[(String, Vec<u8>)]) -> Result<Self> {
        let find = |role: RoleName| {
            let path = format!("metadata/{role}.json");
            let bytes = members
                .iter()
                .find(|(name, _)| *name == path)
                .map_or(&[][..], |(_, bytes)| bytes);
            Signed::parse(bytes, &path)
        };
        Ok(Self {
            timestamp: find(RoleName::Timestamp)?,
            snapshot: find(RoleName::Snapshot)?,
            targets: find(RoleName::Targets)?,
        })
    }

    /// The statements with their roles, in the order of a bundle.
    pub(crate) fn each(&mut self) -> [(RoleName, &mut Signed); 3] {
        [
            (RoleName::Timestamp, &mut self.timestamp),
            (RoleName::Snapshot, &mut self.snapshot),
            (RoleName::Targets, &mut self.targets),
        ]
    }

    /// Signs all three with a key, which the root has to entitle for each of them.
    pub fn sign(&mut self, signer: &dyn Signer, root: &Root) -> Result<()> {
        let keyid = Key::ed25519(&signer.public_key()).id()?;
        for (role, signed) in self.each() {
            if !root.role(role)?.keyids.contains(&keyid) {
                return Err(Error::new(
                    Code::KeyNotEntitled,
                    format!("key {keyid}"),
                    format!(
                        "version {} of the root does not list it for {role}",
                        root.version
                    ),
                ));
            }
            let sig = hex(&signer.sign(signed.message())?);
            signed.insert_signature(Signature {
                keyid: keyid.clone(),
                sig,
            });
        }
        Ok(())
    }

    /// How many signatures are still missing, by the role that misses most.
    pub fn missing(&mut self, root: &Root) -> Result<u64> {
        let mut most = 0;
        for (role, signed) in self.each() {
            most = most.max(
                root.role(role)?
                    .threshold
                    .saturating_sub(signed.signatures().len() as u64),
            );
        }
        Ok(most)
    }

    /// What another person has to sign.
    pub fn to_sign(&self, plan: &Plan) -> Result<ToSign> {
        Ok(ToSign::new(
            plan.release.product.clone(),
            plan.release.version.clone(),
            &Targets::from_signed(self.targets.signed())?,
            &Snapshot::from_signed(self.snapshot.signed())?,
            &Timestamp::from_signed(self.timestamp.signed())?,
        )?)
    }

    /// The three files with their paths in a bundle, in its order.
    pub(crate) fn members(&self) -> [(String, Vec<u8>); 3] {
        let member =
            |role: RoleName, signed: &Signed| (format!("metadata/{role}.json"), signed.to_bytes());
        [
            member(RoleName::Timestamp, &self.timestamp),
            member(RoleName::Snapshot, &self.snapshot),
            member(RoleName::Targets, &self.targets),
        ]
    }
}
