//! `update`: let locked versions move.

use std::path::PathBuf;

use sealift_verifier::{path::Name, release::Mode};

use super::{Answer, Surroundings, resolve::finish};
use crate::{
    error::Result,
    lock::{Keep, settle},
};

/// Let locked versions move to the latest that everything allows
///
/// Without names, all of them may. With names, only these capabilities and suites, and whatever has to follow.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The release definition
    #[arg(value_name = "RELEASE.toml")]
    definition: PathBuf,
    /// What may move
    #[arg(value_name = "CAPABILITY")]
    names: Vec<Name>,
    /// A mode to decide for; may be given several times. Without, those of the definition
    #[arg(long = "mode", value_name = "MODE")]
    modes: Vec<Mode>,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<Answer> {
    let keep = match args.names.as_slice() {
        [] => Keep::Nothing,
        names => Keep::AllBut(names),
    };
    let settled = settle(&args.definition, around.epoch()?, &args.modes, keep)?;
    finish(&settled, args.dry_run)
}
