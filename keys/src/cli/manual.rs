//! `completions` and `man`: what packagers install beside the program.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Report};
use crate::error::{Code, Error, Result};

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
        text(&bytes)
    }
}

/// Write a manual page (roff) to stdout
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Of which verb, such as `root sign`; none for the program itself
    verb: Vec<String>,
}

impl ManArgs {
    pub(super) fn run(&self) -> Result<Report> {
        let mut command = Cli::command();
        command.build();
        for verb in &self.verb {
            let found = command
                .find_subcommand(verb)
                .ok_or_else(|| Error::new(Code::Usage, format!("verb {verb:?}"), "is not there"))?;
            command = found.clone();
        }
        let mut bytes = Vec::new();
        clap_mangen::Man::new(command)
            .render(&mut bytes)
            .map_err(|e| Error::io("man".as_ref(), e))?;
        Ok(text(&bytes))
    }
}

fn text(bytes: &[u8]) -> Report {
    let text = String::from_utf8_lossy(bytes).into_owned();
    Report {
        json: text.clone().into(),
        text,
        notes: Vec::new(),
    }
}
