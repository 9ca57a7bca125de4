//! `root remove-key`.

use std::{ffi::OsString, path::PathBuf};

use sealift_verifier::time::Time;

use super::{Report, report_edit};
use crate::{
    cli::shared,
    error::Result,
    root::{edit, folder, role::KeyRole},
};

/// Remove a key from a role, in the draft of the next root
///
/// Refused if fewer keys would stay than the threshold asks for: lower that first, or add a key.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The folder with N.root.json
    #[arg(value_name = "ROOTDIR")]
    folder: PathBuf,
    /// What the key is no longer for
    #[arg(long, value_enum)]
    role: KeyRole,
    /// The id of the key, its first eight digits or more, a file with the public key, or pkcs11:…
    #[arg(value_name = "KEYID|KEY.pub.pem|URI")]
    key: OsString,
}

impl Args {
    pub(super) fn run(self, now: Time) -> Result<Report> {
        let id = shared::key_id(&self.key)?;
        let edited = folder::change(&self.folder, |root| {
            edit::remove_key(root, self.role, &id).map(drop)
        })?;
        Ok(report_edit(&edited, now))
    }
}
