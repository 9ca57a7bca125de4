//! The command line: one file for each subcommand, and what they have in common. Nothing here prints:
//! [`run`] returns what the program has to say and the code it has to end with.

mod build;
mod cache;
mod check;
mod compat;
mod completions;
mod decided;
mod diff;
pub mod exit;
mod man;
mod progress;
mod resolve;
mod schema;
mod seal;
mod tree;
mod update;
mod why;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use sealift_verifier::{Failure, time::Time};
use serde_json::{Value, json};

use crate::{
    collect::Options,
    error::{Code, Error, Result},
};

/// Turns release definitions into signed bundles.
#[derive(Debug, Parser)]
#[command(name = "sealift-bundler", version, propagate_version = true)]
pub struct Cli {
    /// How results and errors are written to standard output: for people or for machines
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::Args),
    Seal(seal::Args),
    Check(check::Args),
    Diff(diff::Args),
    Resolve(resolve::Args),
    Update(update::Args),
    Why(why::Args),
    Tree(tree::Args),
    Compat(compat::Args),
    Schema(schema::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// What a program knows from outside, read once by its `main`.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The variable `SOURCE_DATE_EPOCH`, if it is set.
    pub source_date_epoch: Option<String>,
    /// The folder that programs of this user keep caches in, if there is one.
    pub cache: Option<PathBuf>,
    /// What the clock says. Only the expiry of metadata is judged by it, never anything that is built.
    pub now: Time,
}

/// What the program writes and how it ends.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// For standard output.
    pub stdout: String,
    /// For standard error.
    pub stderr: String,
    /// The exit code.
    pub code: u8,
}

/// What a subcommand found or did, in both forms.
struct Answer {
    text: String,
    json: Value,
}

/// Does what the command line asks for.
pub fn run(cli: &Cli, around: &Surroundings) -> Reply {
    let mut code = exit::DONE;
    let answer = match &cli.command {
        Command::Build(args) => build::run(args, around),
        Command::Seal(args) => seal::run(args, around),
        Command::Check(args) => check::run(args, around),
        Command::Diff(args) => diff::run(args, around),
        Command::Compat(args) => compat::run(args, around).map(|(answer, status)| {
            code = status;
            answer
        }),
        Command::Resolve(args) => resolve::run(args, around),
        Command::Update(args) => update::run(args, around),
        Command::Why(args) => why::run(args, around),
        Command::Tree(args) => tree::run(args, around),
        Command::Schema(args) => Ok(schema::run(args)),
        Command::Completions(args) => Ok(completions::run(args)),
        Command::Man(args) => man::run(args),
    };
    let line = |json: &Value| format!("{json}\n");
    match (answer, cli.output) {
        (Ok(answer), Output::Text) => Reply {
            stdout: answer.text,
            stderr: String::new(),
            code,
        },
        (Ok(answer), Output::Json) => Reply {
            stdout: line(&answer.json),
            stderr: String::new(),
            code,
        },
        (Err(error), output) => {
            let stdout = if output == Output::Json {
                line(&error_json(&error))
            } else {
                String::new()
            };
            Reply {
                stdout,
                stderr: error_text(&error),
                code: exit::code(&error),
            }
        }
    }
}

impl Surroundings {
    /// How definitions are read: no mode, and the date of the environment.
    fn options(&self) -> Result<Options> {
        Ok(Options {
            source_date_epoch: self.epoch()?,
            mode: None,
            locked: false,
        })
    }

    /// `SOURCE_DATE_EPOCH` as seconds.
    fn epoch(&self) -> Result<Option<i64>> {
        let Some(text) = self
            .source_date_epoch
            .as_deref()
            .filter(|text| !text.is_empty())
        else {
            return Ok(None);
        };
        let parsed = text.parse().map_err(|_| {
            Error::new(
                Code::Usage,
                "SOURCE_DATE_EPOCH",
                format!("{text:?} is no number of seconds since 1970"),
            )
        });
        parsed.map(Some)
    }
}

/// What was found for one mode as it is, for several as `{"releases": […]}`.
fn one_or_all(mut releases: Vec<Value>) -> Value {
    match (releases.pop(), releases.is_empty()) {
        (Some(one), true) => one,
        (last, _) => {
            releases.extend(last);
            json!({ "releases": releases })
        }
    }
}

/// What is wrong with a command line, for machines; `said` is what the parser says to people.
pub fn usage(said: &str) -> String {
    let wrong = Error::new(
        Code::Usage,
        "arguments",
        sealift_verifier::error::usage(said),
    );
    format!("{}\n", error_json(&wrong))
}

fn error_text(error: &Error) -> String {
    format!(
        "error[{}]: {error}\n  hint: {}\n",
        error.code(),
        error.hint()
    )
}

fn error_json(error: &Error) -> Value {
    let message = match error {
        // Each of them follows as an object of its own.
        Error::Problems(problems) => problems.count(),
        other => other.to_string(),
    };
    let mut json =
        json!({ "error": { "code": error.code(), "message": message, "hint": error.hint() } });
    if let Error::Problems(problems) = error {
        json["problems"] = json!(problems.all());
    }
    json
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_epoch_is_a_number_or_nothing() {
        let around = |text: Option<&str>| Surroundings {
            source_date_epoch: text.map(Into::into),
            cache: None,
            now: Time::from_unix(0).unwrap(),
        };
        assert_eq!(around(None).epoch().unwrap(), None);
        assert_eq!(around(Some("")).epoch().unwrap(), None);
        assert_eq!(
            around(Some("1772323200")).epoch().unwrap(),
            Some(1_772_323_200)
        );
        assert_eq!(
            around(Some("now")).epoch().unwrap_err().kind(),
            Some(Code::Usage)
        );
    }
}
