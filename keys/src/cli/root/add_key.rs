//! `root add-key`.

use std::path::PathBuf;

use sealift_verifier::time::Time;

use super::{Report, report_edit};
use crate::{
    error::Result,
    root::{edit, folder, role::KeyRole},
    signer::{self, KeyArgument},
};

/// List one more key for a role, in the draft of the next root
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The folder with N.root.json
    #[arg(value_name = "ROOTDIR")]
    folder: PathBuf,
    /// What the key is for
    #[arg(long, value_enum)]
    role: KeyRole,
    /// The public key: a file, or pkcs11:… for a key in a token (RFC 7512)
    #[arg(value_name = "KEY.pub.pem|URI")]
    key: KeyArgument,
}

impl Args {
    pub(super) fn run(self, now: Time) -> Result<Report> {
        let key = signer::read_public(&self.key)?;
        let edited = folder::change(&self.folder, |root| edit::add_key(root, self.role, key))?;
        Ok(report_edit(&edited, now))
    }
}
