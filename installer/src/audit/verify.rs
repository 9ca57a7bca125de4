//! Checking a log against itself, against what the site's key has signed, against the state, and against
//! checkpoints that were kept elsewhere. Reads only, and never more than a few lines at a time.

use std::{fs::File, io::Read};

use sealift_keys::key_file::PublicKey;
use sealift_verifier::digest::Digest;
use serde::Serialize;

use super::{
    checkpoint::{Checkpoint, Cut, Signatures},
    entry::{Line, Phase, Position},
    log::{CHECKPOINTS, FOLDER, LOG},
    read::{Found, Lines},
};
use crate::{
    disk::Dir,
    error::{Code, Error, Result},
    site::Site,
    site_key,
};

/// How often a log that changes while it is read is read again before it is called damaged.
const TRIES: u32 = 5;

/// What beside the site's own files a log is held against.
#[derive(Default)]
pub struct Against {
    /// Older parts of the log that were taken away, the oldest first, with their names.
    pub archives: Vec<(File, String)>,
    /// Lines of checkpoints that were kept elsewhere, with a name.
    pub checkpoints: Vec<(Vec<u8>, String)>,
    /// The site's public key, if it was kept elsewhere too.
    pub key: Option<PublicKey>,
}

/// What a log is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Entries that were read and found right, those in archives included.
    pub entries: u64,
    /// The first of them.
    pub first: Option<u64>,
    /// The last of them.
    pub last: Option<Position>,
    /// What was taken away before the first line of the log.
    pub cut: Option<Cut>,
    /// Checkpoints whose signatures were verified.
    pub checkpoints: u64,
    /// The newest checkpoint.
    pub checkpoint: Option<Checkpoint>,
    /// Entries after it.
    pub uncovered: u64,
    /// Intents that have no outcome (yet).
    pub open: Vec<u64>,
    /// Bytes at the end of an entry that was never completed, or is just being written.
    pub torn: u64,
    /// The first thing that is wrong.
    pub problem: Option<Problem>,
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Problem {
    /// The file, below the state folder, or the name of an archive.
    pub file: String,
    /// The line in it, counted from 1; 0 if no line is to blame.
    pub line: u64,
    /// What is wrong.
    pub kind: Kind,
    /// How it shows.
    pub detail: String,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The line is not the one that was written.
    Changed,
    /// Entries are missing before the line.
    Removed,
    /// The line is one too many.
    Added,
    /// The line is not where it was written.
    Moved,
    /// Entries are missing at the end.
    Truncated,
    /// The line is of the log of another site.
    OtherSite,
    /// An outcome without its intent, or the reverse.
    Unpaired,
    /// A checkpoint that the site's key did not sign, or not for this site.
    CheckpointSignature,
    /// A checkpoint that was there is not.
    CheckpointMissing,
    /// A cut that the site's key did not sign, or that what follows does not fit.
    Cut,
    /// The site's key is missing or another one.
    Key,
}

impl Kind {
    /// The name that it has in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Added => "added",
            Self::Moved => "moved",
            Self::Truncated => "truncated",
            Self::OtherSite => "other-site",
            Self::Unpaired => "unpaired",
            Self::CheckpointSignature => "checkpoint-signature",
            Self::CheckpointMissing => "checkpoint-missing",
            Self::Cut => "cut",
            Self::Key => "key",
        }
    }
}

/// Verifies the log of a site. Whatever is wrong with it is in the report; an error means that it could not be read.
pub fn verify(site: &Site, against: &Against) -> Result<Report> {
    let mut site = Site::open(site.dir().path())?;
    for _ in 1..TRIES {
        let before = Seen::of(&site)?;
        let report = once(&site, against)?;
        // Whoever only looks holds no lock, so somebody may have been writing.
        let after = Site::open(site.dir().path())?;
        if report.problem.is_none() || Seen::of(&after)? == before {
            return Ok(report);
        }
        site = after;
    }
    once(&site, against)
}

/// What tells whether somebody wrote meanwhile.
#[derive(PartialEq, Eq)]
struct Seen {
    files: Vec<Option<(u64, u64)>>,
    committed: Option<Position>,
}

impl Seen {
    fn of(site: &Site) -> Result<Self> {
        let folder = match site.dir().dir(FOLDER) {
            Ok(folder) => Some(folder),
            Err(e) if e.is_not_found() => None,
            Err(e) => return Err(e),
        };
        let mut files = Vec::new();
        for name in [LOG, CHECKPOINTS] {
            let status = folder
                .as_ref()
                .map(|f| f.status(name.as_ref()))
                .transpose()?;
            files.push(status.flatten().map(|status| (status.inode, status.size)));
        }
        Ok(Self {
            files,
            committed: site.state().audit,
        })
    }
}

fn once(site: &Site, against: &Against) -> Result<Report> {
    let state = site.state();
    let mut walk = Walk {
        site: state.site.clone(),
        signatures: None,
        committed: state.audit,
        kept: Vec::new(),
        checkpoints: None,
        next: None,
        before: None,
        report: Report::default(),
    };
    if let Err(stop) = walk.all(site, against) {
        match stop {
            Stop::Problem(problem) => walk.report.problem = Some(*problem),
            Stop::Error(e) => return Err(e),
        }
    }
    let covered = walk.report.checkpoint.as_ref().map_or(0, |c| c.sequence);
    let last = walk.report.last.map_or(0, |last| last.sequence);
    walk.report.uncovered =
        last.saturating_sub(covered.max(walk.report.cut.as_ref().map_or(0, |cut| cut.sequence)));
    Ok(walk.report)
}

/// Why no more is read.
enum Stop {
    Problem(Box<Problem>),
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

fn problem<T>(
    file: &str,
    line: u64,
    kind: Kind,
    detail: impl Into<String>,
) -> std::result::Result<T, Stop> {
    Err(Stop::Problem(Box::new(Problem {
        file: file.to_owned(),
        line,
        kind,
        detail: detail.into(),
    })))
}

type Step<T = ()> = std::result::Result<T, Stop>;

/// A walk through all of it.
struct Walk {
    site: String,
    /// Nothing at a site that never signed anything.
    signatures: Option<Signatures>,
    committed: Option<Position>,
    /// Checkpoints that were kept elsewhere.
    kept: Vec<(Checkpoint, String)>,
    checkpoints: Option<Lines<File>>,
    /// The next checkpoint, with its line.
    next: Option<(Checkpoint, u64)>,
    /// The line before: its entry and where it stands.
    before: Option<Before>,
    report: Report,
}

/// What is known of the line before.
struct Before {
    position: Position,
    number: u64,
    open: Vec<u64>,
}

fn log_path() -> String {
    format!("{FOLDER}/{LOG}")
}

fn checkpoints_path() -> String {
    format!("{FOLDER}/{CHECKPOINTS}")
}

impl Walk {
    fn all(&mut self, site: &Site, against: &Against) -> Step {
        self.keys(site, against)?;
        for (file, name) in &against.archives {
            let file = || file.try_clone().map_err(|e| Error::io(name, e));
            self.file(&file, name)?;
        }
        let folder = match site.dir().dir(FOLDER) {
            Ok(folder) => folder,
            Err(e) if e.is_not_found() => return self.at_end(),
            Err(e) => return Err(e.into()),
        };
        if there(&folder, CHECKPOINTS)? {
            self.checkpoints = Some(Lines::new(folder.file(CHECKPOINTS)?));
            self.advance()?;
        }
        if there(&folder, LOG)? {
            self.file(&|| folder.file(LOG), &log_path())?;
        }
        self.at_end()
    }

    fn keys(&mut self, site: &Site, against: &Against) -> Step {
        let key = match site_key::public(site.dir(), site.state().site_key.as_deref()) {
            Ok(key) => key,
            Err(e) => return problem(site_key::PUBLIC_FILE, 0, Kind::Key, e.to_string()),
        };
        if let Some(kept) = against.key
            && key != Some(kept)
        {
            let why = "is not the key that was kept elsewhere";
            return problem(site_key::PUBLIC_FILE, 0, Kind::Key, why);
        }
        self.signatures = match key {
            Some(key) => Some(Signatures::new(&self.site, key)?),
            None => None,
        };
        for (bytes, name) in &against.checkpoints {
            let mut lines = Lines::new(bytes.as_slice());
            while let Some(found) = lines.read().map_err(|e| Error::io(name, e))? {
                let (Found::Whole(bytes) | Found::Torn(bytes)) = found else {
                    return problem(name, 1, Kind::CheckpointSignature, "is no checkpoint");
                };
                match open(self.signatures.as_ref(), bytes, name) {
                    Ok(checkpoint) => self.kept.push((checkpoint, name.clone())),
                    Err(e) => return problem(name, lines.number, Kind::CheckpointSignature, e),
                }
            }
        }
        Ok(())
    }

    /// Walks through one file of lines.
    fn file(&mut self, file: &dyn Fn() -> Result<File>, name: &str) -> Step {
        let mut lines = Lines::new(file()?);
        let mut read = || Item::read(&mut lines).map_err(|e| Error::io(name, e));
        let mut number = 0;
        let mut current = read()?;
        while let Some(item) = current {
            number += 1;
            let next = read()?;
            match item {
                Item::Entry(line, digest) => {
                    let here = Here {
                        name,
                        number,
                        digest,
                        next: next.as_ref().and_then(Item::entry),
                    };
                    let early = line.sequence;
                    if let Err(stop) = self.line(&line, &here) {
                        return Err(match stop {
                            // Whether entries were moved or removed shows in the rest of the file only.
                            Stop::Problem(problem) if problem.kind == Kind::Removed => {
                                let missing = self.expected();
                                let found = look_for(*problem, early, missing, next, read)?;
                                Stop::Problem(Box::new(found))
                            }
                            stop => stop,
                        });
                    }
                }
                Item::Other(bytes, _) if number == 1 && bytes.starts_with(b"{\"payload\":") => {
                    self.cut(&bytes, name)?;
                }
                Item::Other(_, why) => {
                    return problem(name, number, Kind::Changed, format!("is no entry: {why}"));
                }
                Item::Torn(length) => self.report.torn = length,
            }
            current = next;
        }
        Ok(())
    }

    fn expected(&self) -> u64 {
        let before = self.before.as_ref().map_or(0, |b| b.position.sequence);
        before.saturating_add(1)
    }

    /// The first line of what is left after a cut.
    fn cut(&mut self, bytes: &[u8], name: &str) -> Step {
        let cut: Cut = match &self.signatures {
            Some(signatures) => signatures.open(bytes, name),
            None => Err("the site has no key".into()),
        }
        .or_else(|e| problem(name, 1, Kind::Cut, e))?;
        let position = Position {
            sequence: cut.sequence,
            digest: cut.digest,
        };
        if let Some(before) = &self.before
            && before.position != position
            && cut.damaged.is_empty()
        {
            let detail = format!(
                "follows entry {}, but the archive before it ends with another entry {}",
                cut.sequence, before.position.sequence
            );
            return problem(name, 1, Kind::Cut, detail);
        }
        let mut kept = self.kept.iter();
        if let Some((_, other)) =
            kept.find(|(c, _)| c.sequence == position.sequence && c.position() != position)
        {
            let why = format!(
                "names another entry {} than the checkpoint in {other}",
                cut.sequence
            );
            return problem(name, 1, Kind::Cut, why);
        }
        self.before = Some(Before {
            position,
            number: 1,
            open: Vec::new(),
        });
        self.report.cut = Some(cut);
        Ok(())
    }

    /// Holds one entry against everything that is known.
    fn line(&mut self, line: &Line, here: &Here<'_>) -> Step {
        let wrong = |kind, detail: String| problem(here.name, here.number, kind, detail);
        if line.site != self.site {
            return wrong(Kind::OtherSite, format!("is of the site {}", line.site));
        }
        self.chained(line, here)?;
        let position = Position {
            sequence: line.sequence,
            digest: here.digest,
        };
        self.paired(line)
            .or_else(|why| wrong(Kind::Unpaired, why))?;
        self.signed(line, position, here)?;
        if let Some(committed) = self.committed
            && committed.sequence == position.sequence
            && committed != position
        {
            let why =
                "is not the entry that the state names: it or one shortly before it was changed";
            return wrong(Kind::Changed, why.into());
        }
        let mut kept = self.kept.iter();
        if let Some((_, name)) =
            kept.find(|(c, _)| c.sequence == position.sequence && c.position() != position)
        {
            let why = format!(
                "is not the entry that the checkpoint in {name} names: it or one before it was changed"
            );
            return wrong(Kind::Changed, why);
        }
        self.before = Some(Before {
            position,
            number: here.number,
            open: line.open.clone(),
        });
        self.report.entries += 1;
        self.report.first.get_or_insert(line.sequence);
        self.report.last = Some(position);
        self.report.open.clone_from(&line.open);
        Ok(())
    }

    /// That it comes after the line before, and which of the two is to blame if not.
    fn chained(&self, line: &Line, here: &Here<'_>) -> Step {
        let wrong = |kind, detail: String| problem(here.name, here.number, kind, detail);
        let expected = self.expected();
        let follows = here
            .next
            .is_some_and(|next| next.previous == Some(here.digest));
        let before = self.before.as_ref();
        if line.sequence != expected && line.previous == before.map(|b| b.position.digest) {
            // It is where it was written, with another number.
            let why = format!(
                "has the number {} in the place of {expected}",
                line.sequence
            );
            return wrong(Kind::Changed, why);
        }
        if line.sequence > expected {
            let missing = match line.sequence.saturating_sub(1) {
                last if last == expected => format!("entry {expected} is missing before it"),
                last => format!("entries {expected} to {last} are missing before it"),
            };
            return wrong(Kind::Removed, missing);
        }
        if line.sequence < expected {
            return match &self.before {
                // Two lines with one number: the chain goes on from the one that was there first.
                Some(before)
                    if before.position.sequence == line.sequence
                        && follows
                        && before.position.digest != here.digest =>
                {
                    problem(
                        here.name,
                        before.number,
                        Kind::Added,
                        format!(
                            "has the number {} as the line after it, which the chain goes on from",
                            line.sequence
                        ),
                    )
                }
                _ => wrong(
                    Kind::Added,
                    format!(
                        "has the number {}, which was before it already",
                        line.sequence
                    ),
                ),
            };
        }
        let Some(before) = &self.before else {
            return match line.previous {
                None => Ok(()),
                Some(_) => wrong(
                    Kind::Changed,
                    "is the first, and names one before it".into(),
                ),
            };
        };
        if line.previous == Some(before.position.digest) {
            return Ok(());
        }
        // If the chain goes on from this line, it is the one before that is not what it was.
        let known = self.known(line.sequence).is_some_and(|d| d == here.digest);
        if here.number > 1 && before.number < here.number && (follows || known) {
            return problem(
                here.name,
                before.number,
                Kind::Changed,
                "has not the digest that the next line names",
            );
        }
        wrong(
            Kind::Changed,
            "names another digest than the line before it has".into(),
        )
    }

    /// The digest that a line has by what was signed or committed.
    fn known(&self, sequence: u64) -> Option<Digest> {
        let committed = self.committed.filter(|c| c.sequence == sequence);
        let signed = self.next.as_ref().map(|(c, _)| c.position());
        let signed = signed.filter(|c| c.sequence == sequence);
        committed.or(signed).map(|position| position.digest)
    }

    /// That outcomes belong to intents.
    fn paired(&self, line: &Line) -> std::result::Result<(), String> {
        let mut open = self
            .before
            .as_ref()
            .map(|b| b.open.clone())
            .unwrap_or_default();
        match (line.phase, line.intent) {
            (Phase::Intent, None) => open.push(line.sequence),
            (Phase::Outcome, Some(intent)) if open.contains(&intent) => {
                open.retain(|o| *o != intent);
            }
            (Phase::Decision | Phase::Late, None) => {}
            (phase, intent) => {
                let of = intent.map_or("none".into(), |i| i.to_string());
                return Err(format!(
                    "is an entry of the kind {} of intent {of}, which is not open",
                    phase.name()
                ));
            }
        }
        if open == line.open {
            Ok(())
        } else {
            Err(format!("says that {:?} are open, not {open:?}", line.open))
        }
    }

    /// That the checkpoints are there that an entry names, and say what it is.
    fn signed(&mut self, line: &Line, position: Position, here: &Here<'_>) -> Step {
        let cut = self.report.cut.as_ref().map_or(0, |cut| cut.sequence);
        // Archives have lost their checkpoints; the cut after them is signed.
        if here.name != log_path() {
            return Ok(());
        }
        while let Some((next, _)) = &self.next
            && next.sequence < position.sequence
        {
            self.report.checkpoint = Some(next.clone());
            self.advance()?;
        }
        let newest = self.report.checkpoint.as_ref().map(|c| c.sequence);
        if line.checkpoint > Some(cut) && line.checkpoint != newest {
            let detail = format!(
                "the checkpoint that entry {} names, for entry {}, is missing",
                line.sequence,
                line.checkpoint.unwrap_or_default()
            );
            return problem(&checkpoints_path(), 0, Kind::CheckpointMissing, detail);
        }
        let Some((next, number)) = &self.next else {
            return Ok(());
        };
        if next.sequence != position.sequence {
            return Ok(());
        }
        if next.digest != position.digest {
            let since = newest.unwrap_or(cut);
            let detail = format!(
                "is not the entry that the checkpoint in line {number} names: it or one after entry {since} was changed"
            );
            return problem(here.name, here.number, Kind::Changed, detail);
        }
        self.report.checkpoint = Some(next.clone());
        self.advance()
    }

    /// Reads the next checkpoint.
    fn advance(&mut self) -> Step {
        let Some(lines) = &mut self.checkpoints else {
            return Ok(());
        };
        let path = checkpoints_path();
        let bytes = match lines.read().map_err(|e| Error::io(&path, e))? {
            Some(Found::Whole(bytes)) => bytes,
            // A torn one was never acknowledged, and is written again.
            None | Some(Found::Torn(_)) => {
                self.next = None;
                return Ok(());
            }
            Some(Found::TooLong) => {
                return problem(
                    &path,
                    lines.number,
                    Kind::CheckpointSignature,
                    "is no checkpoint",
                );
            }
        };
        let read = open(self.signatures.as_ref(), bytes, &path);
        let number = lines.number;
        let checkpoint = match read {
            Ok(checkpoint) => checkpoint,
            Err(e) => return problem(&path, number, Kind::CheckpointSignature, e),
        };
        if let Some((before, _)) = &self.next
            && before.sequence >= checkpoint.sequence
        {
            let detail = format!(
                "is for entry {}, after one for entry {}",
                checkpoint.sequence, before.sequence
            );
            return problem(&path, number, Kind::Moved, detail);
        }
        self.report.checkpoints += 1;
        self.next = Some((checkpoint, number));
        Ok(())
    }

    /// That nothing is missing at the end.
    fn at_end(&mut self) -> Step {
        let end = self.before.as_ref().map_or(0, |b| b.position.sequence);
        let number = self.before.as_ref().map_or(0, |b| b.number);
        let mut known: Vec<(u64, String)> = Vec::new();
        known.extend(self.committed.map(|c| (c.sequence, "the state".to_owned())));
        while let Some((next, line)) = &self.next {
            known.push((next.sequence, format!("the checkpoint in line {line}")));
            known.sort();
            known.drain(..known.len().saturating_sub(1));
            self.advance()?;
        }
        known.extend(
            self.kept
                .iter()
                .map(|(c, name)| (c.sequence, format!("the checkpoint in {name}"))),
        );
        if let Some((sequence, who)) = known.into_iter().max()
            && sequence > end
        {
            let detail = format!("the log ends with entry {end}, but {who} names entry {sequence}");
            return problem(&log_path(), number, Kind::Truncated, detail);
        }
        let first = self.report.first.unwrap_or(1);
        let cut = self.report.cut.as_ref().map(|cut| cut.sequence);
        let mut kept = self.kept.iter();
        if let Some((checkpoint, name)) =
            kept.find(|(c, _)| c.sequence < first && Some(c.sequence) != cut)
        {
            let why = format!(
                "is about entry {}, which was taken away: give the file that it was put into with --archive",
                checkpoint.sequence
            );
            return Err(Error::new(Code::Usage, name, why).into());
        }
        Ok(())
    }
}

/// One line, as far as more than its entry counts.
struct Here<'a> {
    name: &'a str,
    number: u64,
    digest: Digest,
    next: Option<&'a Line>,
}

fn there(folder: &Dir, name: &str) -> Result<bool> {
    Ok(folder.status(name.as_ref())?.is_some())
}

fn open(
    signatures: Option<&Signatures>,
    line: &[u8],
    name: &str,
) -> std::result::Result<Checkpoint, String> {
    match signatures {
        Some(signatures) => signatures.checkpoint(line, name),
        None => Err("the site has no key".into()),
    }
}

/// A line as it was read.
enum Item {
    /// An entry, and the digest of its line.
    Entry(Box<Line>, Digest),
    /// Something else, and why it is no entry.
    Other(Vec<u8>, String),
    /// Bytes at the end that no line end follows.
    Torn(u64),
}

impl Item {
    fn read<R: Read>(lines: &mut Lines<R>) -> std::io::Result<Option<Self>> {
        Ok(lines.read()?.map(|found| match found {
            Found::Whole(bytes) => match Line::parse(bytes) {
                Ok(line) => Self::Entry(Box::new(line), Digest::of(bytes)),
                Err(why) => Self::Other(bytes.to_vec(), why),
            },
            Found::Torn(bytes) => Self::Torn(bytes.len() as u64),
            Found::TooLong => Self::Other(Vec::new(), "is longer than an entry can be".into()),
        }))
    }

    fn entry(&self) -> Option<&Line> {
        match self {
            Self::Entry(line, _) => Some(line),
            _ => None,
        }
    }
}

/// Tells lines that were moved or added from lines that were removed: the rest of the file has the missing entry, or
/// the one that came too early a second time.
fn look_for(
    mut found: Problem,
    early: u64,
    missing: u64,
    mut next: Option<Item>,
    mut read: impl FnMut() -> Result<Option<Item>>,
) -> Result<Problem> {
    let mut number = found.line;
    while let Some(item) = next {
        number += 1;
        match item.entry().map(|line| line.sequence) {
            Some(sequence) if sequence == early => {
                found.kind = Kind::Added;
                found.detail = format!("has the number {early}, as line {number} has");
                break;
            }
            Some(sequence) if sequence == missing => {
                found.kind = Kind::Moved;
                found.detail = format!(
                    "is entry {early}, but entry {missing} comes next, which is in line {number}"
                );
            }
            _ => {}
        }
        next = read()?;
    }
    Ok(found)
}
