//! What a root says and who signed it, for people and for machines.

use std::{collections::BTreeMap, fmt};

use sealift_verifier::{
    digest::Digest,
    error::printable,
    time::Time,
    tuf::{RevokedRelease, Root},
};
use serde::Serialize;

use super::{RootFile, edit, role::KeyRole, sign::Progress};
use crate::error::Result;

/// A root, told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Description {
    /// Its version.
    pub version: u64,
    /// Whether all have signed who have to, as far as the older root is at hand.
    pub complete: bool,
    /// The SHA-256 of the file, once it is complete: before, the next signature changes it.
    pub fingerprint: Option<Digest>,
    /// When it stops being valid.
    pub expires: Time,
    /// Whether it has expired.
    pub expired: bool,
    /// Throw-away keys of a developer.
    pub development: bool,
    /// Keys and threshold of each role.
    pub roles: BTreeMap<&'static str, RoleDescription>,
    /// Releases that must not be installed any more.
    pub revoked: Vec<RevokedRelease>,
    /// Who has signed.
    pub signatures: Vec<SignatureDescription>,
    /// How many have signed, of how many who have to.
    pub progress: Progress,
    /// What it changes against the root before it, if that is at hand.
    pub changes: Option<Vec<String>>,
}

/// The keys of a role.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RoleDescription {
    /// How many have to sign.
    pub threshold: u64,
    /// Public keys, in hexadecimal digits, by key id.
    pub keys: BTreeMap<String, String>,
}

/// A signature under a root.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SignatureDescription {
    /// By which key, as the signature claims.
    pub keyid: String,
    /// Whether it is a valid signature by a key that counts for this or the older root.
    pub valid: bool,
    /// Counts for the threshold of the root before.
    pub by_old: bool,
    /// Counts for the threshold of this root.
    pub by_new: bool,
}

/// Describes `file`; `previous` is the root before it, if it is at hand.
pub fn describe(file: &RootFile, previous: Option<&RootFile>, now: Time) -> Result<Description> {
    let root = file.root();
    let progress = Progress::of(file, previous)?;
    let new = file.signers(root)?;
    let old = previous
        .map(|p| file.signers(p.root()))
        .transpose()?
        .unwrap_or_default();
    let signatures = file.envelope().signatures().iter().map(|signature| {
        let by = |signers: &[sealift_verifier::tuf::KeyHolder]| {
            signers.iter().any(|signer| signer.keyid == signature.keyid)
        };
        let (by_old, by_new) = (by(&old), by(&new));
        SignatureDescription {
            keyid: signature.keyid.clone(),
            valid: by_old || by_new,
            by_old,
            by_new,
        }
    });
    let complete = progress.is_met();
    Ok(Description {
        version: root.version,
        complete,
        fingerprint: complete.then(|| file.fingerprint()),
        expires: root.expires,
        expired: root.expires <= now,
        development: root.is_development(),
        roles: KeyRole::ALL
            .into_iter()
            .filter_map(|role| Some((role.name(), keys(role, root)?)))
            .collect(),
        revoked: root
            .sealift
            .as_ref()
            .map_or_else(Vec::new, |sealift| sealift.revoked.clone()),
        signatures: signatures.collect(),
        progress,
        changes: previous.map(|previous| edit::changes(previous.root(), root)),
    })
}

fn keys(role: KeyRole, root: &Root) -> Option<RoleDescription> {
    let entry = role.entries(root).into_iter().next()?;
    let keys = entry
        .keyids
        .iter()
        .map(|id| {
            let public = root.keys.get(id).map(|key| key.keyval.public.clone());
            (id.clone(), public.unwrap_or_default())
        })
        .collect();
    Some(RoleDescription {
        threshold: entry.threshold,
        keys,
    })
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.complete {
            ""
        } else {
            ", not signed by all yet"
        };
        writeln!(f, "root version {}{state}", self.version)?;
        if let Some(fingerprint) = self.fingerprint {
            writeln!(f, "fingerprint  {fingerprint}")?;
        }
        let expired = if self.expired { "  EXPIRED" } else { "" };
        writeln!(f, "expires      {}{expired}", self.expires)?;
        if self.development {
            writeln!(
                f,
                "DEVELOPMENT  throw-away keys: trust nothing that is signed with them"
            )?;
        }
        for (name, role) in &self.roles {
            writeln!(f, "{name}: {} of {} keys", role.threshold, role.keys.len())?;
            for id in role.keys.keys() {
                writeln!(f, "  {id}")?;
            }
        }
        for RevokedRelease { release, reason } in &self.revoked {
            writeln!(f, "revoked: {release}\n  {}", printable(reason))?;
        }
        writeln!(f, "signatures: {}", self.progress)?;
        for signature in &self.signatures {
            let who = match (signature.by_old, signature.by_new) {
                (true, true) => "valid, counts for the old and the new root",
                (true, false) => "valid, counts for the old root",
                (false, true) => "valid, counts for the new root",
                (false, false) => "NOT VALID, or by a key that does not count",
            };
            writeln!(f, "  {} {who}", signature.keyid)?;
        }
        match &self.changes {
            Some(changes) => {
                writeln!(
                    f,
                    "changes against version {}:",
                    self.version.saturating_sub(1)
                )?;
                changes
                    .iter()
                    .try_for_each(|change| writeln!(f, "  {change}"))
            }
            None if self.version > 1 => {
                writeln!(
                    f,
                    "root {} is not at hand: its signatures were not counted",
                    self.version.saturating_sub(1)
                )
            }
            None => Ok(()),
        }
    }
}
