//! `sealift-keys`: keys, signatures and trust roots of a vendor.

use std::{
    io::{self, IsTerminal as _, Write},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::Parser;
use sealift_keys::{
    Error, Result,
    cli::{self, Cli, Output, Report, exit},
};
use sealift_verifier::time::Time;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() {
                exit::USAGE
            } else {
                exit::DONE
            };
            return write(&cli::report_usage(&error, asked_for()), code);
        }
    };
    let output = cli.output();
    let ask = |question: &str| {
        io::stderr().write_all(question.as_bytes())?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map(|_| answer)
    };
    let person = io::stdin().is_terminal() && io::stderr().is_terminal();
    let ask = person.then_some(&ask as cli::Ask<'_>);
    match now().and_then(|now| cli::run(cli, now, ask)) {
        Ok(report) => write(&told(&report, output), exit::DONE),
        Err(error) => write(&cli::report_error(&error, output), exit::code(&error)),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "only a program's main reads the clock"
)]
fn now() -> Result<Time> {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    Time::from_unix(seconds).map_err(Error::from)
}

/// The form of output in arguments that could not be parsed as a whole.
fn asked_for() -> Output {
    let arguments: Vec<String> = std::env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let json = arguments
        .windows(2)
        .any(|pair| pair == ["--output", "json"])
        || arguments.iter().any(|argument| argument == "--output=json");
    if json { Output::Json } else { Output::Text }
}

fn told(report: &Report, output: Output) -> (String, String) {
    (report.stdout(output), report.stderr())
}

/// Writes to stdout and stderr. A reader that went away does not change what was done.
fn write((stdout, stderr): &(String, String), code: u8) -> ExitCode {
    let _ = io::stdout().write_all(stdout.as_bytes());
    let _ = io::stderr().write_all(stderr.as_bytes());
    ExitCode::from(code)
}
