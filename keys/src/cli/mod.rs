//! The command line: each verb parses its arguments in a file of its own and calls what does the work.

mod approve;
mod countersign;
pub mod exit;
mod fingerprint;
mod generate;
mod init;
mod license;
mod manual;
mod policy;
mod public;
mod root;
mod shared;
mod sign;
mod statements;

use std::io;

use clap::{Parser, Subcommand, ValueEnum};
use sealift_verifier::{Failure, error::printable, time::Time};
use serde_json::{Value, json};

pub use self::{
    approve::{ApproveArgs, WithdrawArgs},
    shared::PassphraseArgs,
};
use crate::error::{Error, Result};

/// Keys, signatures and trust roots of a vendor.
///
/// Made for ceremonies on machines without a network: every file is small, nothing is ever overwritten,
/// and passphrases come from a prompt, a file or a file descriptor only.
#[derive(Debug, Parser)]
#[command(
    name = "sealift-keys",
    version,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(after_help = exit::HELP)]
pub struct Cli {
    /// What stdout is for: people, or programs. Messages and errors go to stderr in both cases.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM")]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

/// Form of what is written to stdout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Generate(generate::Args),
    Public(public::Args),
    #[command(subcommand)]
    Root(root::Command),
    Sign(sign::Args),
    #[command(subcommand)]
    License(license::Command),
    Approve(approve::ApproveArgs),
    Withdraw(approve::WithdrawArgs),
    Countersign(countersign::Args),
    #[command(subcommand)]
    Policy(policy::Command),
    Fingerprint(fingerprint::Args),
    Completions(manual::CompletionsArgs),
    Man(manual::ManArgs),
}

/// What a verb has to tell.
#[derive(Debug, Default)]
pub struct Report {
    /// For people, on stdout.
    pub text: String,
    /// For programs, on stdout.
    pub json: Value,
    /// For people, on stderr, whatever the form of the output.
    pub notes: Vec<String>,
}

impl Report {
    /// What to write to stdout.
    pub fn stdout(&self, output: Output) -> String {
        match output {
            Output::Text => self.text.clone(),
            Output::Json => format!("{}\n", self.json),
        }
    }

    /// What to write to stderr.
    pub fn stderr(&self) -> String {
        let line = |text: String, note: &String| text + "note: " + note + "\n";
        self.notes.iter().fold(String::new(), line)
    }
}

impl Cli {
    /// The form of the output.
    pub fn output(&self) -> Output {
        self.output
    }
}

/// Puts a question to the person at the terminal and gets the answer.
pub type Ask<'a> = &'a dyn Fn(&str) -> io::Result<String>;

/// Does what the command line asks for. `now` is the time that expiry is judged and set by; `ask` is there if a
/// person is.
pub fn run(cli: Cli, now: Time, ask: Option<Ask<'_>>) -> Result<Report> {
    match cli.command {
        Command::Init(args) => args.run(now),
        Command::Generate(args) => args.run(),
        Command::Public(args) => args.run(),
        Command::Root(command) => command.run(now),
        Command::Sign(args) => args.run(now),
        Command::License(command) => command.run(now),
        Command::Approve(args) => args.run(now, ask),
        Command::Withdraw(args) => args.run(now),
        Command::Countersign(args) => args.run(now),
        Command::Policy(command) => command.run(now),
        Command::Fingerprint(args) => args.run(),
        Command::Completions(args) => Ok(args.run()),
        Command::Man(args) => args.run(),
    }
}

/// An error, as `(stdout, stderr)`.
pub fn report_error(error: &Error, output: Output) -> (String, String) {
    report_failure(error.code(), &error.to_string(), error.hint(), output)
}

/// What the parser of the command line said, as `(stdout, stderr)`. As the arguments could not be parsed,
/// the caller says what form of output they ask for.
pub fn report_usage(error: &clap::Error, output: Output) -> (String, String) {
    if !error.use_stderr() {
        return (error.to_string(), String::new());
    }
    match output {
        Output::Text => (String::new(), error.to_string()),
        Output::Json => {
            let message = error.to_string();
            let message = message.trim_start_matches("error: ").trim_end();
            report_failure("usage", message, "see --help", output)
        }
    }
}

fn report_failure(code: &str, message: &str, hint: &str, output: Output) -> (String, String) {
    let stdout = match output {
        Output::Text => String::new(),
        Output::Json => {
            let error = json!({ "error": { "code": code, "message": message, "hint": hint } });
            format!("{error}\n")
        }
    };
    let message: Vec<String> = message.lines().map(printable).collect();
    let message = message.join("\n");
    (
        stdout,
        format!("error[{code}]: {message}\n  hint: {hint}\n"),
    )
}
