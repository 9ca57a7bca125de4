//! What the verbs share that make and show licenses, approvals, policies and countersignatures.

use std::{fmt::Write as _, path::Path};

use clap::Args;
use sealift_verifier::{
    dsse::{Envelope, Statement},
    error::printable,
    limits,
    time::Time,
    tuf::Root,
};
use serde_json::{Value, json};

use super::shared::PassphraseArgs;
use crate::{
    disk, dsse,
    error::{Code, Error, Result},
    passphrase::Passphrases,
    root::{RootFile, folder, role::KeyRole, sign::Count},
    signer::{self, KeyArgument, Signer},
};

/// The keys that sign.
#[derive(Debug, Args)]
pub(super) struct SignerArgs {
    /// A secret key to sign with, a file or pkcs11:… (RFC 7512); may be given several times, if several have to sign
    #[arg(long = "key", value_name = "KEY", required = true)]
    keys: Vec<KeyArgument>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// One key that signs.
#[derive(Debug, Clone, Args)]
pub(super) struct OneSignerArgs {
    /// The secret key to sign with: a file, or pkcs11:… for one in a token (RFC 7512)
    #[arg(long, value_name = "KEY")]
    key: KeyArgument,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Keys that were opened, and what has to be said of them.
#[derive(Default)]
pub(super) struct Signers {
    opened: Vec<Box<dyn Signer>>,
    pub(super) notes: Vec<String>,
}

impl SignerArgs {
    pub(super) fn open(self) -> Result<Signers> {
        let mut passphrases = self.passphrase.passphrases();
        let mut signers = Signers::default();
        for key in &self.keys {
            signers.add(key, &mut passphrases)?;
        }
        Ok(signers)
    }
}

impl OneSignerArgs {
    pub(super) fn open(self) -> Result<(Box<dyn Signer>, Vec<String>)> {
        let mut passphrases = self.passphrase.passphrases();
        let signer = signer::open(&self.key, &mut passphrases)?;
        Ok((signer, self.key.warning().into_iter().collect()))
    }
}

impl Signers {
    fn add(&mut self, key: &KeyArgument, passphrases: &mut Passphrases) -> Result<()> {
        self.opened.push(signer::open(key, passphrases)?);
        self.notes.extend(key.warning());
        Ok(())
    }

    pub(super) fn all(&self) -> Vec<&dyn Signer> {
        self.opened.iter().map(AsRef::as_ref).collect()
    }

    /// Refuses any that `root` does not list for `role`.
    pub(super) fn check_listed(&self, root: &Root, role: KeyRole) -> Result<()> {
        let mut all = self.opened.iter();
        all.try_for_each(|signer| dsse::check_listed(root, role, signer.as_ref()))
    }
}

/// The root in a file, or the newest one in a folder, and what has to be said of it. It has to meet its own
/// threshold; who names it here vouches for it.
pub(super) fn read_root(path: &Path, now: Time) -> Result<(Root, Vec<String>)> {
    let file = if path.is_dir() {
        folder::newest(path)?
    } else {
        let file = RootFile::read(path)?;
        file.verify_by_itself()?;
        file
    };
    let root = file.root();
    let mut notes = Vec::new();
    if root.expires <= now {
        notes.push(format!(
            "root {} has expired on {}",
            root.version, root.expires
        ));
    }
    if root.is_development() {
        notes.push(format!(
            "root {} has throw-away keys of a developer: trust nothing that is signed with them",
            root.version
        ));
    }
    Ok((root.clone(), notes))
}

/// The envelope in a file.
pub(super) fn read_envelope(path: &Path) -> Result<Envelope> {
    let bytes = disk::read(path, limits::ENVELOPE_BYTES)?;
    Ok(Envelope::parse(&bytes, &path.display().to_string())?)
}

/// What [`publish`] and [`progress`] tell: lines for people, an object for machines, and notes.
pub(super) struct Told {
    pub(super) text: String,
    pub(super) json: Value,
    pub(super) notes: Vec<String>,
}

/// Signs a statement of a customer and writes it to `path`. With a root, keys that it does not list for `role` are
/// refused.
pub(super) fn publish<S: Statement>(
    statement: &S,
    signers: &Signers,
    (root, role): (Option<&Path>, KeyRole),
    path: &Path,
    now: Time,
) -> Result<Told> {
    let mut notes = signers.notes.clone();
    let root = root.map(|path| read_root(path, now)).transpose()?;
    if let Some((root, said)) = &root {
        notes.extend(said.iter().cloned());
        signers.check_listed(root, role)?;
    } else {
        notes.push("whether a root lists these keys was not looked at: --root".into());
    }
    let envelope = dsse::seal(statement, &signers.all(), &format!("{role} statement"))?;
    disk::publish(path, &envelope.to_bytes())?;
    let root = root.as_ref().map(|(root, _)| root);
    let told = progress::<S>(&envelope, root, role, path)?;
    notes.extend(told.notes);
    Ok(Told { notes, ..told })
}

/// Where an envelope is, and how many have signed it by `root`, if there is one.
pub(super) fn progress<S: Statement>(
    envelope: &Envelope,
    root: Option<&Root>,
    role: KeyRole,
    path: &Path,
) -> Result<Told> {
    let subject = path.display().to_string();
    let count = root
        .map(|root| dsse::count::<S>(envelope, root, role, &subject))
        .transpose()?;
    let complete = count.map(|Count { signed, needed }| signed >= needed);
    let mut text = format!("file          {subject}\n");
    for id in key_ids(envelope) {
        let _ = writeln!(text, "signed by     {}", printable(id));
    }
    if let Some(Count { signed, needed }) = count {
        let _ = writeln!(text, "signatures    {signed} of {needed}");
    }
    let more = "more have to sign: before that, it counts nowhere";
    Ok(Told {
        text,
        json: json!({
            "file": path,
            "progress": count,
            "complete": complete,
            "keyids": key_ids(envelope),
        }),
        notes: (complete == Some(false))
            .then(|| more.into())
            .into_iter()
            .collect(),
    })
}

/// Whose signatures an envelope claims to have.
pub(super) fn key_ids(envelope: &Envelope) -> Vec<&str> {
    let signatures = envelope.signatures().iter();
    signatures
        .map(|signature| signature.keyid.as_str())
        .collect()
}

/// A value of ours for machines.
pub(super) fn to_json(value: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|e| Error::new(Code::Io, "output", e.to_string()))
}

/// One object with the keys of both.
pub(super) fn merged(mut value: Value, more: Value) -> Value {
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    value
}
