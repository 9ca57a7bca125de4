//! `root threshold`.

use std::path::PathBuf;

use sealift_verifier::time::Time;

use super::{Report, report_edit};
use crate::{
    error::Result,
    root::{edit, folder, role::KeyRole},
};

/// Set how many keys of a role have to sign, in the draft of the next root
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The folder with N.root.json
    #[arg(value_name = "ROOTDIR")]
    folder: PathBuf,
    /// Whose threshold
    #[arg(long, value_enum)]
    role: KeyRole,
    /// At least 1, and at most the number of keys in the role
    #[arg(value_name = "N")]
    threshold: u64,
}

impl Args {
    pub(super) fn run(self, now: Time) -> Result<Report> {
        let edited = folder::change(&self.folder, |root| {
            edit::set_threshold(root, self.role, self.threshold)
        })?;
        Ok(report_edit(&edited, now))
    }
}
