//! `completions`: a script that teaches a shell this program's arguments.

use clap::CommandFactory as _;
use serde_json::json;

use super::{Answer, Cli};

/// Write a completion script for a shell to standard output
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &Args) -> Answer {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut Cli::command(),
        "sealift-installer",
        &mut script,
    );
    let text = String::from_utf8_lossy(&script).into_owned();
    Answer {
        json: json!({ "script": text }),
        text,
    }
}
