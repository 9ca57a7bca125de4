//! Writing the log. Its end is all that has to be known for it.

use std::io;

use sealift_verifier::time::Time;

use super::{
    checkpoint::{self, Checkpoint, Cut},
    entry::{Action, Entry, FORMAT, Line, Outcome, Phase, Position, Who},
    read::{self, Found, Lines},
    verify::{self, Against},
};
use crate::{
    disk::{Dir, Writer},
    error::{Code, Error, Result},
    site::Site,
    site_key,
    state::State,
};

/// The folder, in the state folder.
pub const FOLDER: &str = "audit";
/// The log, in [`FOLDER`].
pub const LOG: &str = "log.jsonl";
/// The checkpoints, in [`FOLDER`].
pub const CHECKPOINTS: &str = "checkpoints.jsonl";
/// What entries are called that were never completed, in [`FOLDER`], before the number that they would have had.
pub const TORN: &str = "torn-";

/// Where a log is and what it is to know of the site.
pub(crate) struct Place<'a> {
    /// The state folder.
    pub(crate) dir: &'a Dir,
    /// Changes the file system.
    pub(crate) writer: Writer<'a>,
    /// The site's id.
    pub(crate) site: &'a str,
    /// The id of the site's key, if the state names one.
    pub(crate) key: Option<&'a str>,
    /// What the state says that the log has at least.
    pub(crate) committed: Option<Position>,
    /// The signed lower bound of time.
    pub(crate) time_bound: Option<Time>,
    /// The time by the local clock.
    pub(crate) now: Time,
    /// Who runs the program.
    pub(crate) who: &'a Who,
}

/// The log as somebody writes to it who holds the site's lock.
#[derive(Default)]
pub(crate) struct Log {
    /// Nothing if it has to be looked at (again).
    end: Option<End>,
}

/// What is at the end of the log.
#[derive(Clone, Default)]
struct End {
    position: Option<Position>,
    open: Vec<u64>,
    checkpoint: Option<u64>,
}

/// Where an entry stands to what it records.
pub(crate) struct Mark {
    phase: Phase,
    intent: Option<u64>,
}

impl Mark {
    pub(crate) const INTENT: Self = Self::of(Phase::Intent, None);
    pub(super) const DECISION: Self = Self::of(Phase::Decision, None);
    pub(super) const LATE: Self = Self::of(Phase::Late, None);

    pub(crate) const fn outcome(intent: u64) -> Self {
        Self::of(Phase::Outcome, Some(intent))
    }

    const fn of(phase: Phase, intent: Option<u64>) -> Self {
        Self { phase, intent }
    }
}

impl Log {
    /// Where the log ends, as far as it has been looked at.
    pub(crate) fn position(&self) -> Option<Position> {
        self.end.as_ref().and_then(|end| end.position)
    }

    /// Writes an entry, durably, and returns its sequence number.
    pub(crate) fn append(&mut self, place: &Place<'_>, mark: &Mark, entry: Entry) -> Result<u64> {
        let end = self.end(place)?;
        self.write(place, end, mark, entry)
    }

    fn write(&mut self, place: &Place<'_>, mut end: End, mark: &Mark, entry: Entry) -> Result<u64> {
        let sequence = end.position.map_or(0, |p| p.sequence).saturating_add(1);
        match (mark.phase, mark.intent) {
            (Phase::Intent, _) => end.open.push(sequence),
            (_, Some(intent)) => end.open.retain(|open| *open != intent),
            _ => {}
        }
        let line = Line {
            format: FORMAT,
            site: place.site.to_owned(),
            sequence,
            previous: end.position.map(|p| p.digest),
            time: place.now,
            time_bound: place.time_bound,
            who: place.who.clone(),
            phase: mark.phase,
            intent: mark.intent,
            open: end.open.clone(),
            checkpoint: end.checkpoint,
            entry,
        }
        .bounded();
        let bytes = line
            .to_bytes()
            .map_err(|e| Error::new(Code::AuditUnwritable, LOG, format!("the entry {e}")))?;
        // Whatever fails from here on, what is there has to be looked at again.
        self.end = None;
        let folder = place.dir.dir(FOLDER)?;
        place.writer.append(folder.at(LOG), &bytes)?;
        end.position = Some(line.position(&bytes));
        self.end = Some(end);
        Ok(sequence)
    }

    /// Signs and writes a checkpoint for the last line, if everything has an outcome.
    pub(crate) fn checkpoint(&mut self, place: &Place<'_>) -> Result<()> {
        let end = self.end(place)?;
        let Some(position) = end.position else {
            return Ok(());
        };
        if !end.open.is_empty() || end.checkpoint >= Some(position.sequence) {
            return Ok(());
        }
        let key = site_key::ensure(place.dir, place.writer, place.key)?;
        let checkpoint = Checkpoint {
            format: FORMAT,
            site: place.site.to_owned(),
            sequence: position.sequence,
            digest: position.digest,
            time: place.now,
        };
        let line = checkpoint::sign(&checkpoint, key)?;
        let folder = place.dir.dir(FOLDER)?;
        self.end = None;
        place.writer.append(folder.at(CHECKPOINTS), &line)?;
        self.end = Some(End {
            checkpoint: Some(position.sequence),
            ..end
        });
        Ok(())
    }

    /// Writes how the intents ended that an earlier program left open, as the state says it, and the checkpoint
    /// that it left out. To be called before this program writes an intent of its own.
    pub(super) fn settle(&mut self, place: &Place<'_>, state: &State) -> Result<()> {
        if place.dir.status(FOLDER.as_ref())?.is_none() && place.committed.is_none() {
            return Ok(());
        }
        let open = self.end(place)?.open;
        for intent in find(place.dir, &open)? {
            let (outcome, reason) = how_it_ended(&intent, state, place)?;
            let mark = Mark::outcome(intent.sequence);
            let mut entry = outcome_entry(&intent.entry);
            entry.outcome = Some(outcome);
            entry.reason = reason;
            self.append(place, &mark, entry)?;
        }
        self.checkpoint(place)
    }

    /// Forgets what it knows of the end, because the files are others now.
    pub(super) fn look_again(&mut self) {
        self.end = None;
    }

    /// What is at the end, after the files are there and nothing torn is left.
    fn end(&mut self, place: &Place<'_>) -> Result<End> {
        if let Some(end) = &self.end {
            return Ok(end.clone());
        }
        let folder = folder(place)?;
        // First, so that nothing is touched in a log that is not what it was.
        let end = look(place, &folder)?;
        let last = end.position.map(|position| position.sequence);
        if !end.open.is_empty() || end.checkpoint < last {
            // An earlier program was cut, or somebody wants it to look so: what is signed next has to be right.
            check_all(&folder, place)?;
        }
        let torn = move_torn(place, &folder, end.position)?;
        // Cut between the two, what was moved aside is recorded now.
        let next = end.position.map_or(0, |p| p.sequence).saturating_add(1);
        let aside = match torn {
            Some(name) => Some(name),
            None => folder
                .list()?
                .into_iter()
                .map(|(name, _)| name.to_string_lossy().into_owned())
                .find(|name| name.starts_with(&format!("{TORN}{next}-"))),
        };
        if let Some(name) = aside {
            let bytes = folder.read(&name, super::entry::LINE_BYTES as u64)?;
            let mut entry = Entry::new(Action::TornEntry).about(format!("{FOLDER}/{name}"));
            entry.outcome = Some(Outcome::Done);
            entry.reason = format!(
                "{} bytes with the digest {} of an entry that was never completed, so that nothing was done for it, were moved aside",
                bytes.len(),
                sealift_verifier::digest::Digest::of(&bytes)
            );
            self.write(place, end, &Mark::DECISION, entry)?;
        } else {
            self.end = Some(end);
        }
        self.end
            .clone()
            .ok_or_else(|| damaged(&folder, "has no end"))
    }
}

/// Refuses a log that is not sound from its first line to its last.
fn check_all(folder: &Dir, place: &Place<'_>) -> Result<()> {
    let site = Site::open(place.dir.path())?;
    match verify::verify(&site, &Against::default())?.problem {
        Some(problem) => Err(damaged(
            folder,
            &format!(
                "{} line {}: {}: {}",
                problem.file,
                problem.line,
                problem.kind.name(),
                problem.detail
            ),
        )),
        None => Ok(()),
    }
}

/// The folder with both files in it.
fn folder(place: &Place<'_>) -> Result<Dir> {
    let (dir, writer) = (place.dir, place.writer);
    if dir.status(FOLDER.as_ref())?.is_none() {
        // Before the first entry, so that the next commit of the state names it.
        site_key::ensure(dir, writer, place.key)?;
        writer.mkdir(dir.at(FOLDER))?;
        writer.sync_dir(dir)?;
    }
    let folder = dir.dir(FOLDER)?;
    for name in [LOG, CHECKPOINTS] {
        if folder.status(name.as_ref())?.is_none() {
            writer.create(folder.at(name), 0o644, &mut |_| Ok(()))?;
            writer.sync_dir(&folder)?;
        }
    }
    Ok(folder)
}

/// Moves aside what a crash in the middle of an append left, and returns its new name. It was never acknowledged,
/// so that nothing was done for it.
fn move_torn(place: &Place<'_>, folder: &Dir, last: Option<Position>) -> Result<Option<String>> {
    let writer = place.writer;
    let checkpoints = read_end(folder, CHECKPOINTS)?;
    if !checkpoints.torn.is_empty() {
        // A checkpoint is only ever about what is in the log: it is written again.
        writer.truncate(folder.at(CHECKPOINTS), checkpoints.whole)?;
    }
    let end = read_end(folder, LOG)?;
    if end.torn.is_empty() {
        return Ok(None);
    }
    let next = last.map_or(0, |p| p.sequence).saturating_add(1);
    let digest = sealift_verifier::digest::Digest::of(&end.torn).to_hex();
    let name = format!("{TORN}{next}-{}", &digest[..16]);
    writer.replace(folder.at(&name), &end.torn)?;
    writer.truncate(folder.at(LOG), end.whole)?;
    Ok(Some(name))
}

fn read_end(folder: &Dir, name: &str) -> Result<read::End> {
    let path = folder.path().join(name);
    read::end(&mut folder.file(name)?).map_err(|e| match e.kind() {
        io::ErrorKind::InvalidData => damaged(folder, &format!("{name} {e}")),
        _ => Error::io(path.display(), e),
    })
}

/// The position that the last line of a log stands for.
fn last_position(folder: &Dir, last: Option<&[u8]>) -> Result<Option<Position>> {
    let Some(bytes) = last else {
        return Ok(None);
    };
    match Line::parse(bytes) {
        Ok(line) => Ok(Some(line.position(bytes))),
        // Right after a cut of everything, it is the cut itself. Its signature is checked by whoever verifies.
        Err(e) => cut_position(bytes)
            .map(Some)
            .ok_or_else(|| damaged(folder, &format!("the last line of {LOG} is no entry: {e}"))),
    }
}

/// The position that a cut names. Its signature is not looked at: what follows it is chained to it.
fn cut_position(bytes: &[u8]) -> Option<Position> {
    checkpoint::unverified::<Cut>(bytes).map(|cut| Position {
        sequence: cut.sequence,
        digest: cut.digest,
    })
}

/// Looks at the ends of both files and holds the log against what the state says of it.
fn look(place: &Place<'_>, folder: &Dir) -> Result<End> {
    let log = read_end(folder, LOG)?;
    let mut end = End {
        position: last_position(folder, log.last.as_deref())?,
        ..End::default()
    };
    if let Some(Ok(line)) = log.last.as_deref().map(Line::parse) {
        if line.site != place.site {
            let why = format!("is the log of the site {}", line.site);
            return Err(damaged(folder, &why));
        }
        end.open = line.open;
    }
    check_reaches(folder, place.committed, end.position)?;
    if let Some(last) = read_end(folder, CHECKPOINTS)?.last {
        let key = site_key::public(place.dir, place.key)?
            .ok_or_else(|| damaged(folder, "has checkpoints, but the site has no key"))?;
        let signatures = checkpoint::Signatures::new(place.site, key)?;
        let checkpoint = signatures
            .checkpoint(&last, CHECKPOINTS)
            .map_err(|e| damaged(folder, &format!("the last checkpoint: {e}")))?;
        check_reaches(folder, Some(checkpoint.position()), end.position)?;
        end.checkpoint = Some(checkpoint.sequence);
    }
    Ok(end)
}

/// The log has to be as long as it is known to have been.
fn check_reaches(folder: &Dir, known: Option<Position>, end: Option<Position>) -> Result<()> {
    let Some(known) = known else {
        return Ok(());
    };
    let why = match end {
        Some(end) if end.sequence > known.sequence || end == known => return Ok(()),
        Some(end) if end.sequence == known.sequence => {
            format!("entry {} is not the one that was written", end.sequence)
        }
        Some(end) => format!(
            "ends with entry {}, but had {} entries",
            end.sequence, known.sequence
        ),
        None => format!("is empty, but had {} entries", known.sequence),
    };
    Err(damaged(folder, &why))
}

/// The intents with these sequence numbers. Only after a crash there are any to look for.
fn find(dir: &Dir, sequences: &[u64]) -> Result<Vec<Line>> {
    let mut found = Vec::new();
    if sequences.is_empty() {
        return Ok(found);
    }
    let folder = dir.dir(FOLDER)?;
    let mut lines = Lines::new(folder.file(LOG)?);
    while let Some(next) = lines
        .read()
        .map_err(|e| Error::io(folder.path().join(LOG).display(), e))?
    {
        if let Found::Whole(bytes) = next
            && let Ok(line) = Line::parse(bytes)
            && sequences.contains(&line.sequence)
        {
            found.push(line);
        }
    }
    if found.len() == sequences.len() {
        Ok(found)
    } else {
        Err(damaged(&folder, "an intent that has no outcome is gone"))
    }
}

/// What an outcome repeats of its intent, so that each can be read alone.
pub(super) fn outcome_entry(intent: &Entry) -> Entry {
    Entry {
        rules: Vec::new(),
        rules_left_out: 0,
        signed_by: Vec::new(),
        reason: String::new(),
        ..intent.clone()
    }
}

/// How something ended that nobody lived to say. The state knows: it names the generation that runs, and how far
/// the log was when it was last committed.
fn how_it_ended(intent: &Line, state: &State, place: &Place<'_>) -> Result<(Outcome, String)> {
    let committed = match intent.entry.action {
        Action::Apply | Action::Rollback | Action::Forced => {
            intent.entry.generation.is_some() && intent.entry.generation == state.current
        }
        // Nothing of it is in the state; the log itself begins with the cut.
        Action::RetentionCut => {
            let folder = place.dir.dir(FOLDER)?;
            let mut lines = Lines::new(folder.file(LOG)?);
            let first = lines
                .read()
                .map_err(|e| Error::io(folder.path().join(LOG).display(), e))?;
            let cut = match first {
                Some(Found::Whole(bytes)) => cut_position(bytes),
                _ => None,
            };
            cut.is_some_and(|cut| intent.entry.subject == super::cut::subject(cut.sequence))
        }
        _ => state
            .audit
            .is_some_and(|audit| audit.sequence >= intent.sequence),
    };
    let runs = match state.current {
        Some(current) => format!("generation {current} runs"),
        None => "nothing runs".into(),
    };
    Ok(if committed {
        (
            Outcome::Done,
            format!(
                "recorded by a later program: the one that did it stopped before it could; {runs}"
            ),
        )
    } else {
        (
            Outcome::Interrupted,
            format!("the program or the machine stopped before it was done; {runs}"),
        )
    })
}

fn damaged(folder: &Dir, why: &str) -> Error {
    Error::new(Code::AuditDamaged, folder.path().display().to_string(), why)
}
