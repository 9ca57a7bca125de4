//! `policy`: the rules of a customer's sites, as one signed file.

mod show;
mod sign;

use std::fmt::Write as _;

use clap::Subcommand;
use sealift_verifier::{digest::Digest, error::printable, policy::Policy, time::Time};
use serde_json::{Value, json};

use super::Report;
use crate::error::Result;

/// Sign and show the policies of sites
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Sign(sign::Args),
    Show(show::Args),
}

impl Command {
    pub(super) fn run(self, now: Time) -> Result<Report> {
        match self {
            Self::Sign(args) => args.run(now),
            Self::Show(args) => args.run(now),
        }
    }
}

/// What a policy holds, for people.
fn text(policy: &Policy) -> String {
    let mut text = format!(
        "version       {}\nissued        {}\n",
        policy.version, policy.issued
    );
    for (name, content) in &policy.files {
        let digest = Digest::of(content.as_bytes());
        let name = printable(name.as_str());
        let bytes = content.len();
        let _ = writeln!(
            text,
            "holds         {name}  {bytes} bytes\n  sha256      {digest}"
        );
    }
    text
}

/// The same for machines.
fn json(policy: &Policy) -> Value {
    let files = policy.files.iter().map(|(name, content)| {
        json!({
            "name": name.as_str(),
            "size": content.len(),
            "sha256": Digest::of(content.as_bytes()),
        })
    });
    json!({
        "version": policy.version,
        "issued": policy.issued,
        "files": files.collect::<Vec<_>>(),
    })
}
