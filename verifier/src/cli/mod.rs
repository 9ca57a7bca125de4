//! The command line: what may be asked for, and how answers and failures are written.

pub(crate) mod inspect;
pub(crate) mod provenance;
pub(crate) mod recorder;
mod repository;
mod table;
pub(crate) mod verify;

use std::{
    ffi::OsString,
    fs::File,
    io::{Read as _, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use sealift_verifier::{
    Code, Error, Result,
    bundle::Unverified,
    digest::Digest,
    error::{printable, render_json, render_text, usage},
    limits,
    time::Time,
};
use serde_json::{Map, Value};

use crate::extract;

/// Says who signed a Sealift bundle, shows what is in it, and takes it out.
///
/// Every command verifies the bundle first: all of its metadata, and the digest of all of its payload.
/// Exit status: 0 done, 1 failed, 2 wrong usage, 3 not authentic.
#[derive(Parser)]
#[command(name = "sealift-verifier", version, propagate_version = true)]
struct Cli {
    /// How results are written to standard output
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// One JSON object for programs.
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Verify a bundle, or a TUF repository in a folder, and say step by step what was checked
    Verify(verify::Arguments),
    /// Show what is in a bundle, after verifying it
    Inspect(inspect::Arguments),
    /// Take something out of a bundle, after verifying it
    Extract(ExtractArguments),
    /// Write a script that completes this program's arguments in a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages of this program into a folder
    Man {
        /// The folder; made if it is not there
        dir: PathBuf,
    },
}

/// What is trusted before anything is read.
#[derive(Args)]
pub(crate) struct TrustArguments {
    /// The root file that is trusted, such as 1.root.json; get it on another way than the bundle
    #[arg(long, value_name = "FILE", required_unless_present = "fingerprint")]
    root: Option<PathBuf>,
    /// The SHA-256 of the trusted root file; the file itself is then taken out of the bundle
    #[arg(long, value_name = "HEX", conflicts_with = "root")]
    fingerprint: Option<Digest>,
    /// Judge expiry by this time instead of the clock, such as 2026-03-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    at: Option<Time>,
}

impl TrustArguments {
    /// The trusted root file, or what `find` makes of its fingerprint.
    pub(crate) fn root(&self, find: impl FnOnce(Digest) -> Result<Vec<u8>>) -> Result<Vec<u8>> {
        match (&self.root, self.fingerprint) {
            (Some(path), _) if path.is_dir() => Err(Error::new(
                Code::Usage,
                path.display().to_string(),
                "is a folder: name the root file in it that is trusted, such as 1.root.json",
            )),
            (Some(path), _) => read_limited(path, limits::METADATA_BYTES),
            (None, Some(fingerprint)) => find(fingerprint),
            (None, None) => Err(Error::new(
                Code::Usage,
                "arguments",
                "say what is trusted with --root or --fingerprint",
            )),
        }
    }

    pub(crate) fn root_for(&self, bundle: &Unverified) -> Result<Vec<u8>> {
        self.root(|fingerprint| bundle.root_with_fingerprint(fingerprint))
    }
}

/// Arguments of `extract`.
#[derive(Args)]
struct ExtractArguments {
    /// The bundle
    bundle: PathBuf,
    /// What is taken out: a capability (core/api), an artifact (core/api/server), `images`, `notices`,
    /// `sbom`, `metadata` for sites that are to trust it without the payload, `release.json`, `provenance.json`,
    /// `sha256:HEX` for one blob, or `all`
    item: String,
    /// The folder that it is put into, under the names that it has at a site; made if it is not there.
    /// Nothing in it is overwritten
    #[arg(short = 'o', long = "out", visible_alias = "to", value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    trust: TrustArguments,
}

/// Why a command failed, and what else machines are told beside the error.
pub(crate) struct Failed {
    error: Error,
    facts: Map<String, Value>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self {
            error,
            facts: Map::new(),
        }
    }
}

/// Where results go and in which form.
pub(crate) struct Ui<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    json: bool,
}

impl Ui<'_> {
    /// Writes to standard output.
    pub(crate) fn print(&mut self, text: &str) -> Result<()> {
        let written = self.out.write_all(text.as_bytes());
        written
            .and_then(|()| self.out.flush())
            .map_err(|e| Error::io("standard output", e))
    }

    /// Writes one JSON value to standard output.
    fn print_json(&mut self, value: &Value) -> Result<()> {
        self.print(&format!("{value:#}\n"))
    }

    /// Writes a message for people to standard error. That it cannot be written changes no result.
    fn note(&mut self, text: &str) {
        let _ = self.err.write_all(text.as_bytes());
    }
}

/// Runs the program. `clock` is the time in seconds since 1970.
pub(crate) fn run(
    arguments: impl Iterator<Item = OsString>,
    clock: u64,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            // clap says it in its own way, with the usage; machines get the same as from other failures.
            let _ = error.print();
            let json = arguments
                .iter()
                .any(|a| a == "json" || a == "--output=json");
            let wrong = Error::new(Code::Usage, "arguments", usage(&error.to_string()));
            if json {
                let _ = writeln!(out, "{:#}", error_object(&wrong, Map::new()));
            }
            return ExitCode::from(2);
        }
        Err(help) => return ExitCode::from(u8::from(help.print().is_err())),
    };
    let mut ui = Ui {
        out,
        err,
        json: cli.output == Output::Json,
    };
    let Err(Failed { error, facts }) = dispatch(cli.command, clock, &mut ui) else {
        return ExitCode::SUCCESS;
    };
    ui.note(&render_text(&error));
    if ui.json {
        // There is nowhere left to say that even this failed.
        let _ = ui.print_json(&error_object(&error, facts));
    }
    ExitCode::from(match error.kind() {
        Code::Usage => 2,
        code if code.is_not_authentic() => 3,
        _ => 1,
    })
}

fn error_object(error: &Error, mut facts: Map<String, Value>) -> Value {
    facts.insert("error".into(), render_json(error));
    Value::Object(facts)
}

fn dispatch(command: Command, clock: u64, ui: &mut Ui<'_>) -> Result<(), Failed> {
    let clock = Time::from_unix(i64::try_from(clock).unwrap_or(i64::MAX))?;
    match command {
        Command::Verify(arguments) => verify::run(&arguments, clock, ui),
        Command::Inspect(arguments) => inspect::run(&arguments, clock, ui),
        Command::Extract(arguments) => run_extract(&arguments, clock, ui),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "sealift-verifier", &mut script);
            Ok(ui.print(&String::from_utf8_lossy(&script))?)
        }
        Command::Man { dir } => {
            let named = |e| Error::io(dir.display().to_string(), e);
            std::fs::create_dir_all(&dir).map_err(named)?;
            Ok(clap_mangen::generate_to(Cli::command(), &dir).map_err(named)?)
        }
    }
}

fn run_extract(arguments: &ExtractArguments, clock: Time, ui: &mut Ui<'_>) -> Result<(), Failed> {
    let bundle = verify::quietly(&arguments.bundle, &arguments.trust, clock, ui)?;
    let plan = extract::Plan::new(&bundle, &arguments.item)?;
    let progress = verify::progress("extracting", plan.bytes());
    let written = extract::extract(
        &bundle,
        &plan,
        &arguments.dir,
        verify::threads(),
        &|bytes| {
            progress.inc(bytes);
        },
    );
    progress.finish_and_clear();
    written?;
    if ui.json {
        let value = serde_json::json!({
            "bytes": plan.bytes(),
            "extracted": plan.names().collect::<Vec<_>>(),
            "to": arguments.dir.display().to_string(),
        });
        return Ok(ui.print_json(&value)?);
    }
    let names = plan.names().map(|name| printable(name) + "\n");
    Ok(ui.print(&names.collect::<String>())?)
}

/// Reads a file that the user names, up to `limit` bytes.
fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|e| Error::io(&name, e))?;
    if bytes.len() as u64 > limit {
        return Err(Error::new(
            Code::LimitExceeded,
            name,
            format!("has more than {limit} bytes"),
        ));
    }
    Ok(bytes)
}
