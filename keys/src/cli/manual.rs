//! `completions` and `man`: what packagers install beside the program.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::Shell;
use serde_json::json;

use super::{Cli, Report};
use crate::error::{Error, Result};

/// Write completions for a shell to stdout
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

impl CompletionsArgs {
    pub(super) fn run(&self) -> Report {
        let mut bytes = Vec::new();
        let mut command = Cli::command();
        let name = command.get_name().to_owned();
        clap_complete::generate(self.shell, &mut command, name, &mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Report {
            json: json!({ "script": text }),
            text,
            notes: Vec::new(),
        }
    }
}

/// Write the manual pages into a folder
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// The folder; it is made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl ManArgs {
    pub(super) fn run(&self) -> Result<Report> {
        let failed = |e| Error::io(&self.folder, e);
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        clap_mangen::generate_to(Cli::command(), &self.folder).map_err(failed)?;
        let folder = self.folder.display().to_string();
        Ok(Report {
            text: format!("manual pages written to {folder}\n"),
            json: json!({ "folder": folder }),
            notes: Vec::new(),
        })
    }
}
