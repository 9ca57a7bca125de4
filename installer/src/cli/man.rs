//! `man`: the manual pages, made from the same words as `--help`.

use std::path::PathBuf;

use clap::CommandFactory as _;
use serde_json::json;

use super::{Answer, Cli, Failed};
use crate::error::Error;

/// Write the manual pages into a folder
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder; it is made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<Answer, Failed> {
    let failed = |e| Error::io(args.folder.display(), e);
    std::fs::create_dir_all(&args.folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &args.folder).map_err(failed)?;
    Ok(Answer {
        text: format!("manual pages written to {}\n", args.folder.display()),
        json: json!({ "folder": args.folder.display().to_string() }),
    })
}
