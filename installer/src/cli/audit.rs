//! `audit`: looking at the audit log, checking it, handing it on, taking its older part away.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, BufWriter, Read as _, Write},
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use sealift_keys::key_file;
use sealift_verifier::{error::printable, time::Time};
use serde_json::{Value, json};

use super::{Answer, Failed, Output, Scene, to_json};
use crate::{
    audit::{
        Action, Line, cut, export,
        show::{Filter, Selection, newest_checkpoint},
        verify::{self, Against, Report},
    },
    disk::{Dir, Writer},
    error::{Code, Error, Result},
};

/// Longest file of checkpoints that is read: some 100,000.
const CHECKPOINTS: u64 = 64 << 20;

/// Look at the audit log, check it, export it, or take its older part away
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show entries, the newest last
    Show(ShowArgs),
    /// Check that no entry was changed, removed, added or moved
    Verify(VerifyArgs),
    /// Write entries in the form that another system takes, or the newest checkpoint
    Export(ExportArgs),
    /// Take the older part of the log away; what is left says so, signed by the site's key
    Cut(CutArgs),
}

#[derive(Debug, clap::Args)]
struct Range {
    /// Entries that are not from before this time, such as 2026-03-01 or 2026-03-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Time>,
    /// Entries from before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Time>,
    /// Entries of this kind only; can be repeated
    #[arg(long, value_name = "ACTION", hide_possible_values = true)]
    action: Vec<Action>,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    #[command(flatten)]
    range: Range,
    /// No more than the newest of them
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,
}

#[derive(Debug, clap::Args)]
struct VerifyArgs {
    /// A file that `audit cut` wrote, which the log goes on from; the oldest first
    #[arg(long, value_name = "FILE")]
    archive: Vec<PathBuf>,
    /// Checkpoints that were kept elsewhere
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// The site's public key, if it was kept elsewhere
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct ExportArgs {
    #[command(flatten)]
    range: Range,
    /// The form
    #[arg(long, value_enum)]
    format: Format,
    /// The file to write instead of standard output; never overwritten
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The entries as they stand in the log: JSON lines
    Jsonl,
    /// Common Event Format, version 0
    Cef,
    /// Syslog messages (RFC 5424), one on each line
    Syslog,
    /// The newest checkpoint, to be kept elsewhere for `audit verify --checkpoint`
    Checkpoint,
}

#[derive(Debug, clap::Args)]
struct CutArgs {
    /// Take away what was written before this time [default: what `audit.keep` of the policy says, into --out]
    #[arg(long, value_name = "TIME", value_parser = time)]
    before: Option<Time>,
    /// Put away a log that `audit verify` finds damaged, and begin a new one
    #[arg(long, requires = "out", conflicts_with = "before")]
    damaged: bool,
    /// The file that what is taken away is written to first; never overwritten
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A time, or the first moment of a day.
pub(super) fn time(text: &str) -> Result<Time, String> {
    let whole = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        _ => text.to_owned(),
    };
    whole
        .parse()
        .map_err(|_| "write a time as 2026-03-01 or 2026-03-01T12:00:00Z".to_owned())
}

pub(super) fn run(
    args: &Args,
    scene: &Scene<'_>,
    output: Output,
    out: &mut dyn Write,
) -> Result<Answer, Failed> {
    match &args.command {
        Command::Show(args) => show(args, scene, output, out),
        Command::Verify(args) => verify(args, scene),
        Command::Export(args) => export(args, scene, output, out),
        Command::Cut(args) => cut(args, scene),
    }
}

impl Range {
    fn filter(&self, limit: Option<u64>) -> Filter {
        Filter {
            from: self.from,
            to: self.to,
            actions: self.action.clone(),
            limit,
        }
    }
}

/// What was written to standard output already.
fn written() -> Answer {
    Answer {
        text: String::new(),
        json: Value::Null,
    }
}

fn show(
    args: &ShowArgs,
    scene: &Scene<'_>,
    output: Output,
    out: &mut dyn Write,
) -> Result<Answer, Failed> {
    let mut selection = Selection::of(&scene.site()?, args.range.filter(args.limit))?;
    let damaged = std::mem::take(&mut selection.damaged);
    let mut out = BufWriter::new(out);
    if output == Output::Json {
        let rest = format!(",\"damaged\":{}}}\n", to_json(&damaged));
        list(
            &mut out,
            "{\"entries\":[",
            &rest,
            &mut selection,
            &|_, bytes| bytes.trim_ascii_end().to_vec(),
        )?;
    } else {
        list(&mut out, "", "", &mut selection, &|line, _| {
            text(line).into_bytes()
        })?;
        for line in damaged {
            let said = format!(
                "line {} is no entry: {}; see `audit verify`\n",
                line.line,
                printable(&line.problem)
            );
            out.write_all(said.as_bytes()).map_err(standard_output)?;
        }
    }
    out.flush().map_err(standard_output)?;
    Ok(written())
}

fn standard_output(error: io::Error) -> Error {
    Error::io("standard output", error)
}

/// Writes what `form` makes of each entry: the elements of a JSON list after `begin`, or, without it, just so.
fn list(
    out: &mut dyn Write,
    begin: &str,
    end: &str,
    selection: &mut Selection,
    form: &dyn Fn(&Line, &[u8]) -> Vec<u8>,
) -> Result<()> {
    out.write_all(begin.as_bytes()).map_err(standard_output)?;
    let mut first = true;
    selection.each(&mut |line, bytes| {
        if !begin.is_empty() && !std::mem::take(&mut first) {
            out.write_all(b",")?;
        }
        out.write_all(&form(line, bytes))
    })?;
    if !begin.is_empty() {
        out.write_all(b"]").map_err(standard_output)?;
    }
    out.write_all(end.as_bytes()).map_err(standard_output)
}

/// An entry for people.
fn text(line: &Line) -> String {
    let who = match (line.who.user.as_str(), line.who.login.as_str()) {
        ("", _) => format!("user {}", line.who.uid),
        (user, login) if login.is_empty() || login == user => user.to_owned(),
        (user, login) => format!("{user} (logged in as {login})"),
    };
    let said = format!(
        "{:>6}  {}  {who}: {}",
        line.sequence,
        line.time,
        export::sentence(line)
    );
    format!("{}\n", printable(&said))
}

/// What holds nothing proves nothing.
fn empty(name: String) -> Error {
    Error::new(Code::Usage, name, "is empty: it is no evidence of anything")
}

fn verify(args: &VerifyArgs, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let site = scene.site()?;
    let mut against = Against::default();
    for path in &args.archive {
        let (file, name) = super::open_bundle(path)?;
        let length = file.metadata().map_err(|e| Error::io(&name, e))?.len();
        if length == 0 {
            return Err(empty(name).into());
        }
        against.archives.push((file, name));
    }
    for path in &args.checkpoint {
        let (file, name) = super::open_bundle(path)?;
        let mut bytes = Vec::new();
        file.take(CHECKPOINTS)
            .read_to_end(&mut bytes)
            .map_err(|e| Error::io(&name, e))?;
        if bytes.is_empty() {
            return Err(empty(name).into());
        }
        against.checkpoints.push((bytes, name));
    }
    if let Some(path) = &args.key {
        let key = key_file::read_public(path)
            .map_err(|e| Error::new(Code::Usage, path.display().to_string(), e.to_string()))?;
        against.key = Some(key);
    }
    let report = verify::verify(&site, &against)?;
    let answer = Answer {
        text: report_text(&report),
        json: to_json(&report),
    };
    let Some(problem) = report.problem else {
        return Ok(answer);
    };
    let place = match problem.line {
        0 => problem.file,
        line => format!("{} line {line}", problem.file),
    };
    Err(Failed {
        error: Box::new(Error::new(
            Code::AuditDamaged,
            place,
            format!("{}: {}", problem.kind.name(), problem.detail),
        )),
        answer: Some(Box::new(answer)),
    })
}

fn report_text(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |said: String| {
        let _ = writeln!(text, "{}", printable(&said));
    };
    if let Some(cut) = &report.cut {
        let why = match cut.damaged.as_str() {
            "" => "taken away".to_owned(),
            damaged => format!("put away, because the log was damaged ({damaged})"),
        };
        line(format!(
            "{} entries up to {} were {why} at {}",
            cut.removed, cut.sequence, cut.time
        ));
    }
    match (report.first, report.last) {
        (Some(first), Some(last)) => line(format!(
            "{} entries are sound, {first} to {}, the last with the digest {}",
            report.entries, last.sequence, last.digest
        )),
        _ => line("no entries".into()),
    }
    if let Some(checkpoint) = &report.checkpoint {
        line(format!(
            "{} checkpoints, the newest for entry {}, signed at {}",
            report.checkpoints, checkpoint.sequence, checkpoint.time
        ));
    }
    if report.uncovered > 0 {
        line(format!(
            "{} entries after the newest checkpoint",
            report.uncovered
        ));
    }
    for intent in &report.open {
        line(format!(
            "entry {intent} has no outcome yet: a program is at work, or was interrupted"
        ));
    }
    if report.torn > 0 {
        line(format!(
            "{} bytes at the end are an entry that is being written, or was never completed",
            report.torn
        ));
    }
    text
}

fn export(
    args: &ExportArgs,
    scene: &Scene<'_>,
    output: Output,
    out: &mut dyn Write,
) -> Result<Answer, Failed> {
    let site = scene.site()?;
    if args.format == Format::Checkpoint {
        let none = || Error::new(Code::Usage, "the audit log", "has no checkpoint yet");
        let checkpoint = newest_checkpoint(&site)?.ok_or_else(none)?;
        let mut json = json!({ "format": "checkpoint" });
        json["checkpoint"] = serde_json::from_slice(&checkpoint).unwrap_or_default();
        let text = match &args.out {
            None => String::from_utf8_lossy(&checkpoint).into_owned(),
            Some(path) => {
                super::write_new(path, &checkpoint, scene.disk)?;
                format!("checkpoint written to {}\n", path.display())
            }
        };
        return Ok(Answer { text, json });
    }
    let mut selection = Selection::of(&site, args.range.filter(None))?;
    if let Some(damaged) = selection.damaged.first() {
        let place = format!("audit/log.jsonl line {}", damaged.line);
        return Err(Error::new(Code::AuditDamaged, place, &damaged.problem).into());
    }
    let form = |line: &Line, bytes: &[u8]| match args.format {
        Format::Cef => export::cef(line).into_bytes(),
        Format::Syslog => export::syslog(line).into_bytes(),
        Format::Jsonl | Format::Checkpoint => bytes.trim_ascii_end().to_vec(),
    };
    let lines = |line: &Line, bytes: &[u8]| [&form(line, bytes)[..], b"\n"].concat();
    if let Some(path) = &args.out {
        let count = selection.len();
        write_file(path, scene, &mut |file| {
            list(file, "", "", &mut selection, &lines)
        })?;
        let path = path.display().to_string();
        return Ok(Answer {
            text: format!("{count} entries written to {path}\n"),
            json: json!({ "file": path, "entries": count }),
        });
    }
    let mut out = BufWriter::new(out);
    if output == Output::Json {
        let element = |line: &Line, bytes: &[u8]| match args.format {
            Format::Jsonl => form(line, bytes),
            _ => Value::from(String::from_utf8_lossy(&form(line, bytes)))
                .to_string()
                .into_bytes(),
        };
        list(&mut out, "{\"lines\":[", "}\n", &mut selection, &element)?;
    } else {
        list(&mut out, "", "", &mut selection, &lines)?;
    }
    out.flush().map_err(standard_output)?;
    Ok(written())
}

/// Writes a new file somewhere outside the site, piece by piece.
fn write_file(
    path: &Path,
    scene: &Scene<'_>,
    fill: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let (dir, name) = Dir::of_file(path)?;
    let mut failed = None;
    let write = &mut |file: &mut File| {
        let mut buffered = BufWriter::new(file);
        fill(&mut buffered).map_err(|e| {
            let text = e.to_string();
            failed = Some(e);
            io::Error::other(text)
        })?;
        buffered.flush()
    };
    let written = Writer::new(scene.disk).publish(dir.at(name), 0o644, write);
    match failed {
        Some(first) => Err(first),
        None => written,
    }
}

/// Nobody has said how long entries are kept.
fn unlimited() -> Error {
    let why = "without --before, the policy has to say how long entries are kept, as audit.keep";
    Error::new(Code::Usage, "audit cut", why)
}

/// What goes by the clock alone has to go somewhere: a clock that is set forward must not destroy a log.
fn without_archive() -> Error {
    let why = "what the policy does not keep goes by the clock, which may be wrong: name a file for it with --out, or say --before";
    Error::new(Code::Usage, "audit cut", why)
}

fn cut(args: &CutArgs, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let site = scene.ready("audit cut")?;
    let ctx = &scene.context;
    let removed = match (&args.out, args.damaged) {
        (Some(to), true) => cut::put_away(&site, to, ctx)?,
        (to, _) => {
            let keep = || site.policy().map(|policy| policy.rules.audit.keep);
            let before = if let Some(before) = args.before {
                before
            } else {
                let since = cut::kept_since(keep()?.ok_or_else(unlimited)?, ctx.now)?;
                to.as_ref().ok_or_else(without_archive)?;
                since
            };
            cut::cut(&site, before, to.as_deref(), ctx)?
        }
    };
    let text = match removed.last {
        None => "nothing to take away\n".to_owned(),
        Some(last) => format!(
            "{} entries up to {} were taken away\n",
            removed.removed, last.sequence
        ),
    };
    let json = to_json(&removed);
    Ok(Answer { text, json })
}
