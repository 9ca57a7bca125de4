//! `init`: all keys of a vendor and the first root.

use std::{fmt::Write as _, path::PathBuf};

use sealift_verifier::time::Time;
use serde_json::json;

use super::{
    Report,
    shared::{ExpiresArgs, NewKeyArgs},
};
use crate::{
    ceremony::{self, Given, Plan},
    error::Result,
    passphrase::{PassphraseSource, Passphrases},
    root::role::KeyRole,
    signer::{self, KeyArgument},
};

/// Make all keys and the first root, in one folder
///
/// Writes root-1.pem …, release.pem (release-1.pem … if there are several), license.pem, the public half
/// of each as *.pub.pem, and root/1.root.json, signed by all root keys. Files that are there already are
/// never touched; on a failure nothing stays behind. At a prompt, each key gets a passphrase of its own;
/// a passphrase from a file or descriptor serves all.
///
/// A vendor needs no options. A customer with rules and signatures of its own makes a root of its own with
/// --policy-keys 1 --license-keys 0: its release keys countersign, its policy keys sign the policies of its sites.
///
/// Keys that are there already, for example in tokens, take part with --root-key, --release-key and
/// --license-key; then no key is made for that role, unless --root-keys, --release-keys or --license-keys asks
/// for some.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to; made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Number of root keys to make [default: 3, or none with --root-key]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    root_keys: Option<u8>,
    /// A secret root key that is there already, a file or pkcs11:… (RFC 7512); may be given several times
    #[arg(long = "root-key", value_name = "KEY")]
    given_root: Vec<KeyArgument>,
    /// How many root keys have to sign a root [default: 2, or 1 if there is one key]
    #[arg(long, value_name = "N")]
    root_threshold: Option<u64>,
    /// Number of release keys to make [default: 1, or none with --release-key]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    release_keys: Option<u8>,
    /// A public release key that is there already, a file or pkcs11:…; may be given several times
    #[arg(long = "release-key", value_name = "KEY.pub.pem|URI")]
    given_release: Vec<KeyArgument>,
    /// A public license key that is there already, a file or pkcs11:…; may be given several times
    #[arg(long = "license-key", value_name = "KEY.pub.pem|URI")]
    given_license: Vec<KeyArgument>,
    /// How many release keys have to sign a bundle
    #[arg(long, value_name = "N", default_value_t = 1)]
    release_threshold: u64,
    /// Number of license keys to make; a customer has none [default: 1, or none with --license-key]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=64))]
    license_keys: Option<u8>,
    /// How many license keys have to sign a license
    #[arg(long, value_name = "N", default_value_t = 1)]
    license_threshold: u64,
    /// Number of policy keys, for a customer
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=64))]
    policy_keys: u8,
    /// How many policy keys have to sign a policy
    #[arg(long, value_name = "N", default_value_t = 1)]
    policy_threshold: u64,
    #[command(flatten)]
    expires: ExpiresArgs,
    #[command(flatten)]
    new_key: NewKeyArgs,
}

impl Args {
    pub(super) fn run(self, now: Time) -> Result<Report> {
        let number = |asked: Option<u8>, usual: u8, given: &[KeyArgument]| -> usize {
            let usual = if given.is_empty() { usual } else { 0 };
            asked.unwrap_or(usual).into()
        };
        let root_keys = number(self.root_keys, 3, &self.given_root);
        let all_root_keys = root_keys.saturating_add(self.given_root.len());
        let plan = Plan {
            root_keys,
            root_threshold: self
                .root_threshold
                .unwrap_or(all_root_keys.clamp(1, 2) as u64),
            release_keys: number(self.release_keys, 1, &self.given_release),
            release_threshold: self.release_threshold,
            license_keys: number(self.license_keys, 1, &self.given_license),
            license_threshold: self.license_threshold,
            policy_keys: self.policy_keys.into(),
            policy_threshold: self.policy_threshold,
            development: self.new_key.dev,
            expires: self.expires.get(now)?,
        };
        let mut passphrases = self.new_key.passphrases()?;
        // Keys that are there already may have one even if new keys get none.
        let mut prompt = Passphrases::new(PassphraseSource::Prompt);
        let of_given = passphrases.as_mut().unwrap_or(&mut prompt);
        let public = |keys: &[KeyArgument]| -> Result<Vec<_>> {
            keys.iter().map(signer::read_public).collect()
        };
        let given = Given {
            root: self
                .given_root
                .iter()
                .map(|key| signer::open(key, of_given))
                .collect::<Result<_>>()?,
            release: public(&self.given_release)?,
            license: public(&self.given_license)?,
        };
        let mut taken = Vec::new();
        for (key, signer) in self.given_root.iter().zip(&given.root) {
            taken.push((
                KeyRole::Root,
                key,
                signer::public_key(signer.as_ref())?.id()?,
            ));
        }
        for (role, keys, public) in [
            (KeyRole::Release, &self.given_release, &given.release),
            (KeyRole::License, &self.given_license, &given.license),
        ] {
            for (key, public) in keys.iter().zip(public) {
                taken.push((role, key, public.id()?));
            }
        }
        let made = ceremony::init(&self.folder, &plan, &given, passphrases.as_mut())?;

        let mut text = String::new();
        let mut keys = Vec::new();
        for key in &made.keys {
            let role = key.role.map_or("", |role| role.name());
            let _ = writeln!(text, "{role:<8} {}  {}", key.keyid, key.secret.display());
            keys.push(json!({ "role": role, "keyid": key.keyid, "secret": key.secret, "public": key.public }));
        }
        for (role, key, keyid) in &taken {
            let _ = writeln!(text, "{:<8} {keyid}  {key}", role.name());
            keys.push(json!({ "role": role, "keyid": keyid, "given": key.to_string() }));
        }
        let _ = writeln!(text, "root file    {}", made.root.display());
        let _ = writeln!(text, "fingerprint  {}", made.fingerprint);
        let given = [&self.given_root, &self.given_release, &self.given_license].into_iter();
        let warnings: Vec<String> = given.flatten().filter_map(KeyArgument::warning).collect();
        let note = if plan.development {
            "these are throw-away keys, not encrypted: trust nothing that is signed with them"
        } else {
            "give each root key to another custodian, on a medium that stays offline; sites get the root \
             file, and its fingerprint on another way"
        };
        Ok(Report {
            text,
            json: json!({
                "keys": keys,
                "root": made.root,
                "fingerprint": made.fingerprint,
                "expires": plan.expires,
                "development": plan.development,
            }),
            notes: warnings.into_iter().chain([note.into()]).collect(),
        })
    }
}
