//! `root revoke` and `root unrevoke`.

use std::path::PathBuf;

use sealift_verifier::{digest::Digest, time::Time};

use super::{Report, report_edit};
use crate::{
    error::Result,
    root::{edit, folder},
};

/// Say that a release must not be installed any more, in the draft of the next root
///
/// Sites that take this root refuse the release, do not go back to it, and show that it is revoked where it runs.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RevokeArgs {
    /// The folder with N.root.json
    #[arg(value_name = "ROOTDIR")]
    folder: PathBuf,
    /// The release digest: `sealift-verifier inspect BUNDLE release` shows it
    #[arg(value_name = "RELEASE-DIGEST")]
    release: Digest,
    /// Why, in one line, for the people at the sites
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Take back that a release is revoked, in the draft of the next root
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct UnrevokeArgs {
    /// The folder with N.root.json
    #[arg(value_name = "ROOTDIR")]
    folder: PathBuf,
    /// The release digest
    #[arg(value_name = "RELEASE-DIGEST")]
    release: Digest,
}

impl RevokeArgs {
    pub(super) fn run(self, now: Time) -> Result<Report> {
        let edited = folder::change(&self.folder, |root| {
            edit::revoke(root, self.release, &self.reason)
        })?;
        Ok(report_edit(&edited, now))
    }
}

impl UnrevokeArgs {
    pub(super) fn run(self, now: Time) -> Result<Report> {
        let edited = folder::change(&self.folder, |root| edit::unrevoke(root, self.release))?;
        Ok(report_edit(&edited, now))
    }
}
