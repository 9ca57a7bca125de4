//! `policy sign`.

use std::path::PathBuf;

use sealift_verifier::{
    policy::{FORMAT, Policy},
    time::Time,
};
use serde_json::json;

use super::Report;
use crate::{
    cli::statements::{self, SignerArgs},
    error::Result,
    policy,
    root::role::KeyRole,
};

/// Names that are told of files that are no part of a policy.
const TOLD: usize = 10;

/// Sign the files of a policy as one
///
/// Takes policy.toml and all *.rego of a folder and of the folders in it; everything else stays out, and is named.
/// `sealift-installer policy check` says whether a site understands them.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The folder, or a policy.toml alone
    #[arg(value_name = "DIR|FILE")]
    path: PathBuf,
    /// Counts up: a site takes no policy with a lower version than it has
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    version: u64,
    #[command(flatten)]
    signers: SignerArgs,
    /// The customer's root, or the folder of its roots: refuse keys that it does not list for policies
    #[arg(long, value_name = "ROOT")]
    root: Option<PathBuf>,
    /// Where the policy goes; a file that is there already is never touched
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: PathBuf,
}

impl Args {
    pub(super) fn run(self, now: Time) -> Result<Report> {
        let gathered = policy::gather(&self.path)?;
        let policy = Policy {
            format: FORMAT,
            version: self.version,
            issued: now,
            files: gathered.files,
        };
        let told = statements::publish(
            &policy,
            &self.signers.open()?,
            (self.root.as_deref(), KeyRole::Policy),
            &self.out,
            now,
        )?;
        let mut notes = told.notes;
        let left = &gathered.left_out;
        let named = left.iter().take(TOLD);
        notes.extend(named.map(|path| format!("{} is no part of it", path.display())));
        let more = left.len().saturating_sub(TOLD);
        if more > 0 {
            notes.push(format!("{more} more files are no part of it"));
        }
        let left_out = json!({ "left-out": left });
        Ok(Report {
            text: super::text(&policy) + &told.text,
            json: statements::merged(
                statements::merged(super::json(&policy), told.json),
                left_out,
            ),
            notes,
        })
    }
}
