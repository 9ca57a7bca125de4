//! Signing a draft, and publishing it as soon as everybody has signed whose signature is needed.

use std::path::{Path, PathBuf};

use sealift_verifier::{
    time::Time,
    tuf::{ED25519, RoleName, Root, Signature, Signed, TrustedSet, threshold::verify_one},
};
use serde::Serialize;

use super::{RootFile, edit, file_name, role::KeyRole};
use crate::{
    disk,
    error::{Code, Error, Result},
    signer::{self, Signer},
};

/// How many have signed, of how many who have to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Valid signatures by distinct keys.
    pub signed: u64,
    /// The threshold.
    pub needed: u64,
}

/// How far a root has come. It is complete when both counts are (TUF 5.3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// By the root before it; nothing if there is none (version 1) or it is not at hand.
    pub old: Option<Count>,
    /// By the root itself.
    pub new: Count,
}

impl Count {
    fn of(file: &RootFile, by: &Root) -> Result<Self> {
        Ok(Self {
            signed: file.signers(by)?.len() as u64,
            needed: by.role(RoleName::Root)?.threshold,
        })
    }

    fn is_met(self) -> bool {
        self.signed >= self.needed
    }
}

impl Progress {
    /// Counts the signatures of `file` by its own keys and by those of the root before it.
    pub fn of(file: &RootFile, previous: Option<&RootFile>) -> Result<Self> {
        Ok(Self {
            old: previous
                .map(|previous| Count::of(file, previous.root()))
                .transpose()?,
            new: Count::of(file, file.root())?,
        })
    }

    /// Whether all have signed who have to, as far as the older root is known.
    pub fn is_met(self) -> bool {
        self.new.is_met() && self.old.is_none_or(Count::is_met)
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { old, new } = self;
        match old {
            Some(old) => write!(
                f,
                "{} of {} by the old root, {} of {} by the new",
                old.signed, old.needed, new.signed, new.needed
            ),
            None => write!(f, "{} of {} by its own keys", new.signed, new.needed),
        }
    }
}

/// What [`sign`] did.
#[derive(Debug)]
pub struct Outcome {
    /// The version of the root.
    pub version: u64,
    /// The id of the key that signed.
    pub keyid: String,
    /// Whether this key had signed before, so that nothing was added.
    pub repeated: bool,
    /// Signatures that were removed, because they are not valid or count for neither root.
    pub dropped: usize,
    /// Who has signed now.
    pub progress: Progress,
    /// What the root changes against the one before it.
    pub changes: Vec<String>,
    /// Where the root was published, if this was the last signature needed.
    pub published: Option<PathBuf>,
}

/// The root before the one in `file`: `given`, or the one that lies beside it. Version 1 has none.
pub fn previous(file: &Path, version: u64, given: Option<&Path>) -> Result<Option<RootFile>> {
    let older = version.saturating_sub(1);
    if older == 0 {
        return Ok(None);
    }
    let path = given.map_or_else(|| file.with_file_name(file_name(older)), Path::to_owned);
    let previous = RootFile::read(&path).map_err(|e| match e.kind() {
        Some(Code::NotFound) => Error::new(
            Code::PreviousMissing,
            path.display(),
            format!("is not there, and it is what root {version} follows"),
        ),
        _ => e,
    })?;
    if previous.root().version != older {
        return Err(sealift_verifier::Error::new(
            sealift_verifier::Code::RootVersion,
            path.display().to_string(),
            format!(
                "has version {}, and {older} is what root {version} follows",
                previous.root().version
            ),
        )
        .into());
    }
    previous.verify_by_itself()?;
    Ok(Some(previous))
}

/// Signs the draft at `path`, which may lie anywhere. `given` is the root before it, if that does not lie
/// beside the draft. Once both thresholds are met, the root appears beside the draft, in one step, and
/// the draft is removed.
pub fn sign(path: &Path, given: Option<&Path>, signer: &dyn Signer, now: Time) -> Result<Outcome> {
    let subject = path.display().to_string();
    let mut draft = RootFile::read(path)?;
    let root = draft.root().clone();
    let target = path.with_file_name(file_name(root.version));
    if target.exists()
        && RootFile::read(&target)?.envelope().message() != draft.envelope().message()
        || path.file_name() == target.file_name()
    {
        return Err(Error::new(
            Code::AlreadyPublished,
            target.display(),
            "is published",
        ));
    }
    edit::check(&root, &subject)?;
    edit::check_expiry(root.expires, now, &subject)?;
    let previous = previous(path, root.version, given)?;
    let keyid = signer::public_key(signer)?.id()?;
    let entitling: Vec<&Root> = previous.iter().map(RootFile::root).chain([&root]).collect();
    if !entitling.iter().any(|by| KeyRole::Root.lists(by, &keyid)) {
        return Err(Error::new(
            Code::KeyNotEntitled,
            format!("key {keyid}"),
            format!(
                "is in the role root neither of version {} nor of the one before",
                root.version
            ),
        ));
    }

    let message = draft.envelope().message();
    let before = draft.envelope().signatures();
    let mut kept: Vec<Signature> = before
        .iter()
        .filter(|signature| entitling.iter().any(|by| counts(by, message, signature)))
        .cloned()
        .collect();
    let dropped = before.len().saturating_sub(kept.len());
    let repeated = kept.iter().any(|signature| signature.keyid == keyid);
    if !repeated {
        let signature = signer::tuf_signature(signer, message)?;
        if !entitling.iter().any(|by| counts(by, message, &signature)) {
            return Err(Error::new(
                Code::SignatureInvalid,
                format!("key {keyid}"),
                "made a signature that is not valid",
            ));
        }
        kept.push(signature);
    }
    let envelope = Signed::new(draft.envelope().signed().clone(), kept);
    draft = RootFile::parse(&envelope.to_bytes(), &subject)?;

    let progress = Progress::of(&draft, previous.as_ref())?;
    let published = progress.is_met().then_some(target);
    match &published {
        Some(target) => publish(&draft, previous.as_ref(), target, path, now)?,
        None => disk::replace(path, &envelope.to_bytes())?,
    }
    let changes = previous.map_or_else(Vec::new, |previous| edit::changes(previous.root(), &root));
    Ok(Outcome {
        version: root.version,
        keyid,
        repeated,
        dropped,
        progress,
        changes,
        published,
    })
}

fn counts(by: &Root, message: &[u8], signature: &Signature) -> bool {
    KeyRole::Root.lists(by, &signature.keyid)
        && by
            .keys
            .get(&signature.keyid)
            .zip(signature.bytes())
            .is_some_and(|(key, bytes)| verify_one(key, message, &bytes, ED25519))
}

/// Publishes after the very check that sites will make.
fn publish(
    draft: &RootFile,
    previous: Option<&RootFile>,
    target: &Path,
    path: &Path,
    now: Time,
) -> Result<()> {
    match previous {
        Some(previous) => {
            TrustedSet::new(&previous.bytes, ED25519, now)?.update_root(&draft.bytes)?;
        }
        None => drop(TrustedSet::new(&draft.bytes, ED25519, now)?),
    }
    disk::publish(target, &draft.bytes)?;
    disk::remove(path)
}
