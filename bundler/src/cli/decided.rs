//! What is decided for a release: what `tree` and `why` begin with.

use std::path::PathBuf;

use sealift_verifier::release::Mode;

use super::Surroundings;
use crate::{
    collect::Definitions,
    error::Result,
    lock::{Locked, Standing},
    problem::Problems,
    resolve::Preferred,
};

/// A release that is asked about.
#[derive(Debug, clap::Args)]
pub(super) struct Asked {
    /// The release definition
    #[arg(value_name = "RELEASE.toml")]
    definition: PathBuf,
    /// The mode, if the release is for several
    #[arg(long)]
    mode: Option<Mode>,
}

/// What is decided for it, and how its lock stands to that.
pub(super) struct Decided {
    pub(super) definitions: Definitions,
    pub(super) locked: Locked,
    pub(super) standing: Standing,
    /// The versions of the lock, which were taken where they are allowed.
    pub(super) preferred: Preferred,
}

impl Asked {
    /// Reads the definitions and the lock.
    ///
    /// # Errors
    /// What is wrong with them, or why there is no answer.
    pub(super) fn decide(&self, around: &Surroundings) -> Result<Decided> {
        let failed = |problems| Problems::some(problems, &self.definition);
        let definitions = Definitions::read(&self.definition, around.epoch()?).map_err(failed)?;
        let (locked, standing, preferred) = definitions.decided(self.mode).map_err(failed)?;
        Ok(Decided {
            definitions,
            locked,
            standing,
            preferred,
        })
    }
}
