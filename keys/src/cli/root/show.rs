//! `root show`.

use std::path::PathBuf;

use sealift_verifier::time::Time;

use super::Report;
use crate::{
    error::{Code, Error, Result},
    root::{RootFile, show, sign},
};

/// Show what a root or a draft says, and who signed it
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// N.root.json or N.root.draft.json
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The root before this one; by default the one beside it, if there is one
    #[arg(long, value_name = "N.root.json")]
    previous: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self, now: Time) -> Result<Report> {
        let file = RootFile::read(&self.file)?;
        let previous = sign::previous(&self.file, file.root().version, self.previous.as_deref());
        let previous = match previous {
            Err(e) if e.kind() == Some(Code::PreviousMissing) && self.previous.is_none() => None,
            found => found?,
        };
        let description = show::describe(&file, previous.as_ref(), now)?;
        let json = serde_json::to_value(&description)
            .map_err(|e| Error::new(Code::Io, "output", e.to_string()))?;
        Ok(Report {
            text: description.to_string(),
            json,
            notes: Vec::new(),
        })
    }
}
