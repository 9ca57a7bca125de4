//! A client of TUF repositories over the trusted core, for tests only: it speaks the command protocol of
//! the public conformance suite (theupdateframework/tuf-conformance, CLIENT-CLI.md).
//!
//! Exit code 0 if everything was done, 1 otherwise. Nothing that the programs of Sealift are made of
//! knows HTTP or other signature schemes than Ed25519; both live here.
#![expect(clippy::print_stderr, reason = "says why it refuses")]

mod keeper;
mod schemes;
mod source;
mod store;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use keeper::Folder;
use sealift_verifier::{
    Code, Error, Failure, Result, limits,
    time::Time,
    tuf::{TrustedSet, client},
};
use source::Source;

/// Test client of TUF repositories
#[derive(Parser)]
#[command(name = "tuf-client", version)]
struct Arguments {
    /// Folder with the trusted metadata
    #[arg(long)]
    metadata_dir: PathBuf,
    /// Where the repository's metadata is: a URL or a folder
    #[arg(long)]
    metadata_url: Option<String>,
    /// The target to download
    #[arg(long)]
    target_name: Option<String>,
    /// Where the repository's targets are: a URL or a folder
    #[arg(long)]
    target_base_url: Option<String>,
    /// Folder for downloaded targets
    #[arg(long)]
    target_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts to trust a root
    Init {
        /// The root
        trusted_root: PathBuf,
    },
    /// Brings the trusted metadata up to date
    Refresh,
    /// Brings the trusted metadata up to date and downloads one target
    Download,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error[{}]: {error}", error.code());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let mut folder = Folder::new(&arguments.metadata_dir);
    match &arguments.command {
        Command::Init { trusted_root } => {
            let root = keeper::read(trusted_root, limits::METADATA_BYTES)?;
            // The root is checked before it is kept, so that a wrong one is noticed right here.
            TrustedSet::new(&root, schemes::ALL, now()?)?;
            folder.start(&root)
        }
        Command::Refresh => refresh(arguments, &mut folder).map(|_| ()),
        Command::Download => {
            let name = given(arguments.target_name.as_ref(), "--target-name")?;
            let base = given(arguments.target_base_url.as_ref(), "--target-base-url")?;
            let store = given(arguments.target_dir.as_ref(), "--target-dir")?;
            let trusted = refresh(arguments, &mut folder)?;
            let (target, served) = client::target(&trusted, name)?;
            store::download(store, name, target, &served, &Source::new(base))
        }
    }
}

fn refresh(arguments: &Arguments, folder: &mut Folder) -> Result<TrustedSet> {
    let url = given(arguments.metadata_url.as_ref(), "--metadata-url")?;
    client::refresh(&Source::new(url), folder, schemes::ALL, now()?)
}

fn given<'a, T>(option: Option<&'a T>, name: &str) -> Result<&'a T> {
    option.ok_or_else(|| Error::new(Code::Usage, name, "has to be given for this"))
}

/// The clock of this machine, so that `faketime` works.
#[expect(
    clippy::disallowed_methods,
    reason = "the program's own look at the clock"
)]
fn now() -> Result<Time> {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_err(|e| Error::new(Code::Io, "clock", e.to_string()))?;
    Time::from_unix(since.as_secs().try_into().unwrap_or(i64::MAX))
}
