//! The first ceremony: all keys of a vendor and the first root, in one folder.

use std::path::{Path, PathBuf};

use sealift_verifier::{
    digest::Digest,
    time::Time,
    tuf::{Signed, metadata::Statement},
};
use zeroize::Zeroizing;

use crate::{
    disk::{self, NewFile, PUBLIC, SECRET},
    error::Result,
    key_file::{PublicKey, SecretKey},
    passphrase::{Passphrase, Passphrases},
    root::{
        edit::{self, FirstRoot},
        file_name,
        role::KeyRole,
    },
    signer::{self, FileSigner, Signer, tuf_signature},
};

/// What [`init`] is to make.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Number of keys to make for roots.
    pub root_keys: usize,
    /// How many of them have to sign.
    pub root_threshold: u64,
    /// Number of keys to make for releases.
    pub release_keys: usize,
    /// How many of them have to sign.
    pub release_threshold: u64,
    /// Number of keys for licenses; vendors have some.
    pub license_keys: usize,
    /// How many of them have to sign.
    pub license_threshold: u64,
    /// Number of keys for the policies of sites; customers have some.
    pub policy_keys: usize,
    /// How many of them have to sign.
    pub policy_threshold: u64,
    /// Throw-away keys of a developer; the root says so.
    pub development: bool,
    /// When the root stops being valid.
    pub expires: Time,
}

/// Keys that are there already, for example in tokens, and take part in [`init`].
#[derive(Default)]
pub struct Given {
    /// For roots; they sign the first one.
    pub root: Vec<Box<dyn Signer>>,
    /// For releases.
    pub release: Vec<PublicKey>,
    /// For licenses; where there is one, none is made.
    pub license: Vec<PublicKey>,
}

/// A key that was made.
#[derive(Debug, Clone)]
pub struct MadeKey {
    /// What it is for; nothing is known of a key on its own.
    pub role: Option<KeyRole>,
    /// Its id.
    pub keyid: String,
    /// The file with the secret key.
    pub secret: PathBuf,
    /// The file with the public key.
    pub public: PathBuf,
}

/// What [`init`] made.
#[derive(Debug)]
pub struct Made {
    /// All keys.
    pub keys: Vec<MadeKey>,
    /// The first root.
    pub root: PathBuf,
    /// The SHA-256 of its file, for sites to compare.
    pub fingerprint: Digest,
}

struct NewKey {
    role: Option<KeyRole>,
    name: PathBuf,
    key: SecretKey,
}

impl NewKey {
    fn new(role: Option<KeyRole>, name: PathBuf) -> Result<Self> {
        Ok(Self {
            role,
            name,
            key: SecretKey::generate()?,
        })
    }

    fn files(&self, passphrase: Option<&Passphrase>) -> Result<[NewFile; 2]> {
        let mut secret = self.key.to_pem(passphrase)?;
        Ok([
            NewFile {
                path: self.name.clone(),
                bytes: Zeroizing::new(std::mem::take(&mut *secret).into_bytes()),
                mode: SECRET,
            },
            NewFile {
                path: public_path(&self.name),
                bytes: Zeroizing::new(self.key.public().to_pem()?.into_bytes()),
                mode: PUBLIC,
            },
        ])
    }

    fn made(&self, folder: &Path) -> Result<MadeKey> {
        let secret = folder.join(&self.name);
        Ok(MadeKey {
            role: self.role,
            keyid: self.key.public().id()?,
            public: public_path(&secret),
            secret,
        })
    }
}

/// Where the public key of a secret key's file lies: `release.pub.pem` beside `release.pem`.
pub fn public_path(secret: &Path) -> PathBuf {
    secret.with_extension("pub.pem")
}

/// Makes all keys and `root/1.root.json`, signed by all root keys, in `folder`; or nothing at all. The
/// folder may be there, but none of the files. Without `passphrases` the keys are not encrypted.
pub fn init(
    folder: &Path,
    plan: &Plan,
    given: &Given,
    mut passphrases: Option<&mut Passphrases>,
) -> Result<Made> {
    let root_path = Path::new("root").join(file_name(1));
    let names: Vec<(KeyRole, String)> = [
        (KeyRole::Root, plan.root_keys),
        (KeyRole::Release, plan.release_keys),
        (KeyRole::License, plan.license_keys),
        (KeyRole::Policy, plan.policy_keys),
    ]
    .into_iter()
    .flat_map(|(role, count)| {
        (1..=count).map(move |n| match (role, count) {
            (KeyRole::Root, _) | (_, 2..) => (role, format!("{role}-{n}.pem")),
            _ => (role, format!("{role}.pem")),
        })
    })
    .collect();
    // Before anybody is asked for five passphrases.
    let secret = names.iter().map(|(_, name)| PathBuf::from(name));
    let public = names.iter().map(|(_, name)| public_path(Path::new(name)));
    disk::refuse_present(folder, secret.chain(public).chain([root_path.clone()]))?;

    let keys = names
        .into_iter()
        .map(|(role, name)| NewKey::new(Some(role), name.into()))
        .collect::<Result<Vec<_>>>()?;
    let public = |role, given: &[PublicKey]| -> Vec<PublicKey> {
        let made = keys.iter().filter(|key| key.role == Some(role));
        made.map(|key| key.key.public())
            .chain(given.iter().copied())
            .collect()
    };
    let given_root = given
        .root
        .iter()
        .map(|key| signer::public_key(key.as_ref()));
    let given_root = given_root.collect::<Result<Vec<_>>>()?;
    let root = edit::first(&FirstRoot {
        root: (&public(KeyRole::Root, &given_root), plan.root_threshold),
        release: (
            &public(KeyRole::Release, &given.release),
            plan.release_threshold,
        ),
        license: (
            &public(KeyRole::License, &given.license),
            plan.license_threshold,
        ),
        policy: (&public(KeyRole::Policy, &[]), plan.policy_threshold),
        development: plan.development,
        expires: plan.expires,
    })?;

    let mut files = Vec::new();
    let mut made = Vec::new();
    let mut envelope = Signed::new(root.to_signed()?, Vec::new());
    for key in keys {
        let passphrase = passphrases
            .as_mut()
            .map(|passphrases| passphrases.choose(&folder.join(&key.name)))
            .transpose()?;
        files.extend(key.files(passphrase.as_ref())?);
        made.push(key.made(folder)?);
        if key.role == Some(KeyRole::Root) {
            let signature = tuf_signature(&FileSigner::from(key.key), envelope.message())?;
            envelope.insert_signature(signature);
        }
    }
    for key in &given.root {
        let signature = tuf_signature(key.as_ref(), envelope.message())?;
        envelope.insert_signature(signature);
    }
    let bytes = envelope.to_bytes();
    let fingerprint = Digest::of(&bytes);
    // The root comes last: where it is, all keys are.
    files.push(NewFile {
        path: root_path.clone(),
        bytes: Zeroizing::new(bytes),
        mode: PUBLIC,
    });
    disk::create_all(folder, &files)?;
    Ok(Made {
        keys: made,
        root: folder.join(root_path),
        fingerprint,
    })
}

/// Makes one key, for example to add it to a root later: `path` and its public half beside it.
pub fn generate(path: &Path, passphrases: Option<&mut Passphrases>) -> Result<MadeKey> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    disk::refuse_present(Path::new(""), [path.to_owned(), public_path(path)])?;
    let name = path.file_name().map(PathBuf::from).unwrap_or_default();
    let key = NewKey::new(None, name)?;
    let passphrase = passphrases
        .map(|passphrases| passphrases.choose(path))
        .transpose()?;
    disk::create_all(folder, &key.files(passphrase.as_ref())?)?;
    let mut made = key.made(folder)?;
    (made.secret, made.public) = (path.to_owned(), public_path(path));
    Ok(made)
}
