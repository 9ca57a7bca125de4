//! `countersign`: a customer's own signature beside the vendor's.

use std::path::PathBuf;

use sealift_verifier::{
    approval::{Countersignature, FORMAT},
    digest::Digest,
    path::Name,
    time::Time,
};
use semver::Version;
use serde_json::json;

use super::{
    Report,
    statements::{self, SignerArgs},
};
use crate::{error::Result, root::role::KeyRole};

/// Sign a release for your own sites, beside its vendor
///
/// For customers with a root of their own: a site may ask for the signature of its own release keys beside those of
/// the vendor. Take the release digest from a bundle that you have verified: `sealift-verifier verify`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The product
    #[arg(long, value_name = "NAME")]
    product: Name,
    /// Its version, for people
    #[arg(long, value_name = "VERSION")]
    version: Version,
    /// The release digest
    #[arg(long, value_name = "DIGEST")]
    release: Digest,
    #[command(flatten)]
    signers: SignerArgs,
    /// Your own root, or the folder of your roots: refuse keys that it does not list for releases
    #[arg(long, value_name = "ROOT")]
    root: Option<PathBuf>,
    /// Where the countersignature goes; a file that is there already is never touched
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: PathBuf,
}

impl Args {
    pub(super) fn run(self, now: Time) -> Result<Report> {
        let statement = Countersignature {
            format: FORMAT,
            product: self.product,
            version: self.version,
            release: self.release,
            issued: now,
        };
        let told = statements::publish(
            &statement,
            &self.signers.open()?,
            (self.root.as_deref(), KeyRole::Release),
            &self.out,
            now,
        )?;
        let text = format!(
            "release       {} {}\n  digest      {}\nissued        {now}\n{}",
            statement.product, statement.version, statement.release, told.text
        );
        let json = json!({ "countersignature": statements::to_json(&statement)? });
        Ok(Report {
            text,
            json: statements::merged(json, told.json),
            notes: told.notes,
        })
    }
}
