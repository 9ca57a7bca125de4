//! `init`: all keys of a vendor and the first root.

use std::{fmt::Write as _, path::PathBuf};

use sealift_verifier::time::Time;
use serde_json::json;

use super::{
    Report,
    shared::{ExpiresArgs, NewKeyArgs},
};
use crate::{
    ceremony::{self, Plan},
    error::Result,
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
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to; made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Number of root keys
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
    root_keys: u8,
    /// How many root keys have to sign a root [default: 2, or 1 if there is one key]
    #[arg(long, value_name = "N")]
    root_threshold: Option<u64>,
    /// Number of release keys
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    release_keys: u8,
    /// How many release keys have to sign a bundle
    #[arg(long, value_name = "N", default_value_t = 1)]
    release_threshold: u64,
    /// Number of license keys; a customer has none
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=64))]
    license_keys: u8,
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
        let plan = Plan {
            root_keys: self.root_keys.into(),
            root_threshold: self
                .root_threshold
                .unwrap_or(u64::from(self.root_keys.min(2))),
            release_keys: self.release_keys.into(),
            release_threshold: self.release_threshold,
            license_keys: self.license_keys.into(),
            license_threshold: self.license_threshold,
            policy_keys: self.policy_keys.into(),
            policy_threshold: self.policy_threshold,
            development: self.new_key.dev,
            expires: self.expires.get(now)?,
        };
        let mut passphrases = self.new_key.passphrases()?;
        let made = ceremony::init(&self.folder, &plan, passphrases.as_mut())?;

        let mut text = String::new();
        let mut keys = Vec::new();
        for key in &made.keys {
            let role = key.role.map_or("", |role| role.name());
            let _ = writeln!(text, "{role:<8} {}  {}", key.keyid, key.secret.display());
            keys.push(json!({ "role": role, "keyid": key.keyid, "secret": key.secret, "public": key.public }));
        }
        let _ = writeln!(text, "root file    {}", made.root.display());
        let _ = writeln!(text, "fingerprint  {}", made.fingerprint);
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
            notes: vec![note.into()],
        })
    }
}
