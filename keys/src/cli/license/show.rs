//! `license show`.

use std::path::PathBuf;

use sealift_verifier::{license::License, time::Time};

use super::Report;
use crate::{cli::statements, error::Result, license::show::describe};

/// Show what a license says, who signed it, and what ends when
///
/// With --root, a license that its keys have not signed is refused. Without, nothing is verified, and that is said.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The license
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The vendor's root, or the folder of its roots
    #[arg(long, value_name = "ROOT")]
    root: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self, now: Time) -> Result<Report> {
        let subject = self.file.display().to_string();
        let envelope = statements::read_envelope(&self.file)?;
        let mut notes = Vec::new();
        let root = match &self.root {
            Some(path) => {
                let (root, said) = statements::read_root(path, now)?;
                License::open(&envelope.to_bytes(), &root, &subject)?;
                notes = said;
                Some(root)
            }
            None => None,
        };
        let description = describe(&envelope, root.as_ref(), now, &subject)?;
        notes.extend(description.warnings.clone());
        Ok(Report {
            text: description.to_string(),
            json: statements::to_json(&description)?,
            notes,
        })
    }
}
