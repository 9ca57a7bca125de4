//! `sealift-bundler`: reads arguments, environment and clock, and says what the library answers.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::UNIX_EPOCH,
};

use clap::Parser;
use sealift_bundler::cli::{self, Cli, Surroundings};
use sealift_verifier::time::Time;

#[expect(
    clippy::disallowed_methods,
    reason = "a program's main reads the environment and the clock"
)]
fn surroundings() -> Result<Surroundings, Box<dyn std::error::Error>> {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(Surroundings {
        // What is no text is no number either, and is refused as such.
        source_date_epoch: std::env::var_os("SOURCE_DATE_EPOCH")
            .map(|text| text.to_string_lossy().into_owned()),
        cache: cache(),
        now: Time::from_unix(i64::try_from(since.as_secs())?)?,
    })
}

/// `sealift` in the user's folder for caches (XDG base directories 0.8): relative paths are not followed.
#[expect(
    clippy::disallowed_methods,
    reason = "a program's main reads the environment"
)]
fn cache() -> Option<PathBuf> {
    let given = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let absolute = |path: &PathBuf| path.is_absolute();
    let folder = given.filter(absolute).or_else(home).filter(absolute)?;
    Some(folder.join("sealift"))
}

/// What the parser of the command line says: people get it with the usage, machines as any other failure.
fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    if !error.use_stderr() {
        return ExitCode::from(u8::from(printed.is_err()));
    }
    let mut arguments = std::env::args_os();
    if arguments.any(|a| a == "json" || a == "--output=json") {
        let _ = io::stdout().write_all(cli::usage(&error.to_string()).as_bytes());
    }
    ExitCode::from(cli::exit::USAGE)
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let reply = match surroundings() {
        Ok(around) => cli::run(&cli, &around),
        Err(e) => cli::Reply {
            stdout: String::new(),
            stderr: format!("error[io]: the clock cannot be used: {e}\n  hint: set the clock\n"),
            code: cli::exit::FAILED,
        },
    };
    let _ = io::stderr().write_all(reply.stderr.as_bytes());
    let mut stdout = io::stdout();
    match stdout
        .write_all(reply.stdout.as_bytes())
        .and_then(|()| stdout.flush())
    {
        // Whoever closed the other end, as `head` does, has read all they want.
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => ExitCode::from(cli::exit::FAILED),
        _ => ExitCode::from(reply.code),
    }
}
