//! `root renew`.

use std::path::PathBuf;

use sealift_verifier::time::Time;

use super::{Report, report_edit};
use crate::{cli::shared::ExpiresArgs, error::Result, root::folder};

/// Set a new expiry, in the draft of the next root
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The folder with N.root.json
    #[arg(value_name = "ROOTDIR")]
    folder: PathBuf,
    #[command(flatten)]
    expires: ExpiresArgs,
}

impl Args {
    pub(super) fn run(self, now: Time) -> Result<Report> {
        let expires = self.expires.get(now)?;
        let edited = folder::change(&self.folder, |root| {
            root.expires = expires;
            Ok(())
        })?;
        Ok(report_edit(&edited, now))
    }
}
