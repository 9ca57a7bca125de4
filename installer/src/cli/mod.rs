//! The command line: one file for each subcommand, and how answers and failures are written. Nothing here
//! reaches outside by itself: [`run`] is handed a [`World`].

mod apply;
mod approval;
mod approve;
mod attest;
mod attestation;
mod audit;
mod completions;
mod countersignature;
pub mod exit;
mod export;
mod facts;
mod fsck;
mod history;
mod init;
mod key;
mod license;
mod man;
mod notices;
mod pin;
mod plan;
mod policy;
mod policy_test;
mod progress;
mod prune;
mod recover;
mod report;
mod request;
mod rollback;
mod sbom;
mod statement;
mod status;
mod trust;
mod watch;

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use clap::{Parser, Subcommand, ValueEnum};
use sealift_keys::cli::{ApproveArgs, WithdrawArgs};
use sealift_verifier::{
    approval::Override,
    error::{render_json, render_text, usage},
    time::Time,
};
use serde_json::{Map, Value, json};

use crate::{
    audit::Who,
    disk::{Dir, Disk, Writer},
    error::{Code, Error, Result},
    site::{Context, DEFAULT, Locked, Ready, Site},
};
use progress::Bars;

/// Installs, upgrades and takes back releases at a site, from files, with no network.
///
/// Exit status: 0 done, 1 failed, 2 wrong usage, 3 not authentic, 4 not admitted, 5 rolled back by itself,
/// 6 active, but whether it survives a power cut is unknown.
#[derive(Debug, Parser)]
#[command(name = "sealift-installer", version, propagate_version = true)]
struct Cli {
    /// The folder that the site lives in
    #[arg(long, global = true, value_name = "DIR", default_value = DEFAULT)]
    state: PathBuf,
    /// How results and errors are written to standard output
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// One JSON object for programs.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Plan(plan::Args),
    Apply(apply::Args),
    Rollback(rollback::Args),
    Status(status::Args),
    History(history::Args),
    Pin(pin::Args),
    Facts(facts::Args),
    License(license::Args),
    Policy(policy::Args),
    Request(request::Args),
    Approve(ApproveArgs),
    Withdraw(WithdrawArgs),
    Approval(approval::Args),
    Attest(attest::Args),
    Attestation(attestation::Args),
    Key(key::Args),
    Audit(audit::Args),
    Report(report::Args),
    Countersignature(countersignature::Args),
    Trust(trust::Args),
    Sbom(sbom::Args),
    Notices(notices::Args),
    Fsck(fsck::Args),
    Prune(prune::Args),
    Export(export::Args),
    Recover(recover::Args),
    Watch(watch::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Command {
    /// What the operator wants to be overridden.
    fn overrides(&self) -> Vec<Override> {
        match self {
            Self::Plan(args) => args.overrides.list(),
            Self::Apply(args) => args.overrides.list(),
            Self::Policy(args) => args.overrides(),
            Self::Request(args) => args.overrides(),
            _ => Vec::new(),
        }
    }
}

/// What is to be overridden.
#[derive(Debug, clap::Args)]
struct OverrideArgs {
    /// Install although no maintenance window is open, if enough people have approved that
    #[arg(long)]
    override_window: bool,
    /// Install although the channel is frozen, if enough people have approved that
    #[arg(long)]
    override_frozen: bool,
    /// Install what has expired by the local clock alone, if enough people have approved that
    #[arg(long)]
    override_clock: bool,
    /// The same, as requests and approvals name it: window, frozen or clock; may be given several times
    #[arg(long = "override", value_name = "WHAT")]
    overrides: Vec<Override>,
}

impl OverrideArgs {
    fn list(&self) -> Vec<Override> {
        let asked = |what: &Override| {
            self.overrides.contains(what)
                || match what {
                    Override::Clock => self.override_clock,
                    Override::Frozen => self.override_frozen,
                    Override::Window => self.override_window,
                }
        };
        Override::ALL.into_iter().filter(asked).collect()
    }
}

/// Asks a person a question and returns what was typed.
pub type Ask<'a> = &'a dyn Fn(&str) -> io::Result<String>;

/// Waits for some time, and says whether the program is to end. From the first call on, it is not ended in the middle
/// of anything any more.
pub type Pause<'a> = &'a dyn Fn(Duration) -> io::Result<bool>;

/// What a program knows from outside and writes to, handed in by its `main`.
pub struct World<'a> {
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub err: &'a Mutex<Box<dyn Write + Send>>,
    /// Asks whoever sits at the terminal, if somebody does.
    pub ask: Option<Ask<'a>>,
    /// The time by the local clock.
    pub now: Time,
    /// The same, later.
    pub clock: &'a dyn Fn() -> Time,
    /// Waits.
    pub pause: Pause<'a>,
    /// Who runs the program.
    pub who: Who,
    /// How many threads read, hash and write.
    pub threads: usize,
    /// What changes the file system.
    pub disk: &'a dyn Disk,
    /// This very program, to be started again.
    pub program: &'a Path,
}

/// What a subcommand found or did, in both forms.
struct Answer {
    text: String,
    json: Value,
}

/// Why a subcommand failed, and what it has to say nevertheless.
struct Failed {
    error: Box<Error>,
    answer: Option<Box<Answer>>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self {
            error: Box::new(error),
            answer: None,
        }
    }
}

impl From<sealift_verifier::Error> for Failed {
    fn from(error: sealift_verifier::Error) -> Self {
        Error::from(error).into()
    }
}

/// What subcommands work with.
struct Scene<'a> {
    state: PathBuf,
    disk: &'a dyn Disk,
    context: Context<'a>,
    ask: Option<Ask<'a>>,
    clock: &'a dyn Fn() -> Time,
    pause: Pause<'a>,
}

impl<'a> Scene<'a> {
    fn site(&self) -> Result<Site> {
        let site = Site::open(&self.state)?;
        for damage in site.damage() {
            let note = &self.context.progress;
            note.note(&format!("{damage}: see `fsck`"));
        }
        Ok(site)
    }

    /// Locks the site for `command` and finishes or undoes what was interrupted.
    fn ready(&self, command: &str) -> Result<Ready<'a>> {
        let locked = Locked::take(&self.state, self.disk, command, self.context.now)?;
        Ok(locked.recover(&self.context)?.0)
    }
}

/// Does what the arguments ask for and returns the exit code.
pub fn run(arguments: impl Iterator<Item = OsString>, world: &mut World<'_>) -> u8 {
    let arguments: Vec<OsString> = arguments.collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            // clap says it in its own way, with the usage; machines get what other failures give.
            let _ = error.print();
            if arguments
                .iter()
                .any(|a| a == "json" || a == "--output=json")
            {
                let wrong = Error::new(Code::Usage, "arguments", usage(&error.to_string()));
                let _ = writeln!(world.out, "{}", error_object(&wrong, Map::new()));
            }
            return exit::USAGE;
        }
        Err(help) => return u8::from(help.print().is_err()),
    };
    let bars = Bars::new(world.err);
    let scene = Scene {
        state: cli.state,
        disk: world.disk,
        context: Context {
            now: world.now,
            threads: world.threads.max(1),
            who: &world.who,
            progress: &bars,
            overrides: cli.command.overrides(),
            program: world.program,
        },
        ask: world.ask,
        clock: world.clock,
        pause: world.pause,
    };
    let result = match &cli.command {
        Command::Init(args) => init::run(args, &scene),
        Command::Plan(args) => plan::run(args, &scene),
        Command::Apply(args) => apply::run(args, &scene),
        Command::Rollback(args) => rollback::run(args, &scene),
        Command::Status(args) => status::run(args, &scene),
        Command::History(args) => history::run(args, &scene),
        Command::Pin(args) => pin::run(args, &scene),
        Command::Facts(args) => facts::run(args, &scene),
        Command::License(args) => license::run(args, &scene),
        Command::Policy(args) => policy::run(args, &scene),
        Command::Request(args) => request::run(args, &scene),
        Command::Approve(args) => approve::approve(args, &scene),
        Command::Withdraw(args) => approve::withdraw(args, &scene),
        Command::Approval(args) => approval::run(args, &scene),
        Command::Attest(args) => attest::run(args, &scene),
        Command::Attestation(args) => attestation::run(args, &scene),
        Command::Key(args) => key::run(args, &scene),
        Command::Report(args) => report::run(args, &scene),
        Command::Audit(args) => audit::run(args, &scene, cli.output, world.out),
        Command::Countersignature(args) => countersignature::run(args, &scene),
        Command::Trust(args) => trust::run(args, &scene),
        Command::Sbom(args) => sbom::run(args, &scene),
        Command::Notices(args) => notices::run(args, &scene),
        Command::Fsck(args) => fsck::run(args, &scene),
        Command::Prune(args) => prune::run(args, &scene),
        Command::Export(args) => export::run(args, &scene),
        Command::Recover(args) => recover::run(args, &scene),
        Command::Watch(args) => watch::run(args, &scene, cli.output, world.out),
        Command::Completions(args) => Ok(completions::run(args)),
        Command::Man(args) => man::run(args),
    };
    finish(result, cli.output, world.out, world.err)
}

fn finish(
    result: Result<Answer, Failed>,
    output: Output,
    out: &mut dyn Write,
    err: &Mutex<Box<dyn Write + Send>>,
) -> u8 {
    let (answer, error) = match result {
        Ok(answer) => (Some(Box::new(answer)), None),
        Err(failed) => (failed.answer, Some(*failed.error)),
    };
    let text = match (output, &error) {
        (Output::Text, _) => answer.map(|a| a.text).unwrap_or_default(),
        (Output::Json, None) => match answer {
            // What is too long for memory was written piece by piece.
            Some(answer) if answer.json.is_null() => answer.text,
            answer => answer.map(|a| format!("{}\n", a.json)).unwrap_or_default(),
        },
        (Output::Json, Some(error)) => {
            let facts = match answer.map(|a| a.json) {
                Some(Value::Object(facts)) => facts,
                _ => Map::new(),
            };
            format!("{}\n", error_object(error, facts))
        }
    };
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    let error = error.or(written.err().map(|e| Error::io("standard output", e)));
    let Some(error) = error else {
        return exit::DONE;
    };
    if let Ok(mut err) = err.lock() {
        // There is nowhere left to say that even this failed.
        let _ = err.write_all(render_text(&error).as_bytes());
    }
    exit::code(&error)
}

fn error_object(error: &Error, mut facts: Map<String, Value>) -> Value {
    let mut object = render_json(error);
    if let Error::NotAdmitted(refusal) = error {
        let denials = refusal.denials().map(|denial| {
            json!({
                "code": denial.code.name(),
                "message": denial.detail,
                "hint": denial.code.hint(),
            })
        });
        object["denials"] = denials.collect();
    }
    facts.insert("error".into(), object);
    Value::Object(facts)
}

/// Opens a bundle, following symbolic links, without waiting for the writer of a pipe. Returns the name
/// that it has in errors.
fn open_bundle(path: &Path) -> Result<(File, String)> {
    let name = path.display().to_string();
    let flags =
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, rustix::fs::Mode::empty())
        .map_err(|e| Error::io(&name, e.into()))?;
    Ok((File::from(fd), name))
}

/// Reads a small file that somebody names, and returns the name that it has in errors too.
fn read_small(path: &Path, limit: u64) -> Result<(Vec<u8>, String)> {
    let (file, name) = open_bundle(path)?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io(&name, e))?;
    if bytes.len() as u64 > limit {
        let detail = format!("is longer than {}", size(limit));
        return Err(Error::new(Code::Usage, name, detail));
    }
    Ok((bytes, name))
}

/// Writes a new file somewhere outside the site.
fn write_new(path: &Path, bytes: &[u8], disk: &dyn Disk) -> Result<()> {
    let (dir, name) = Dir::of_file(path)?;
    Writer::new(disk).publish(dir.at(name), 0o644, &mut |file| file.write_all(bytes))
}

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    indicatif::DecimalBytes(bytes).to_string()
}

/// Numbers in a list for people.
fn list(numbers: &[u64]) -> String {
    let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    numbers.join(", ")
}

/// A value of ours as JSON; ours always can be.
fn to_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
