//! `root fingerprint`.

use std::path::PathBuf;

use super::Report;
use crate::{cli::fingerprint, error::Result};

/// Show the fingerprint of a root: the SHA-256 of its file
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// N.root.json
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Args {
    pub(super) fn run(self) -> Result<Report> {
        fingerprint::of_root(&self.file)
    }
}
