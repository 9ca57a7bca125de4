//! Taking the older part of a log away, on purpose and by name: what is left begins with a line that the site's key
//! has signed, which says where the log was cut, and how many entries went.

use std::{
    fs::File,
    io::{self, Read, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use sealift_verifier::{
    digest::{Digest, Hasher},
    time::Time,
};

use super::{
    Action, Entry, Outcome,
    checkpoint::{self, Cut},
    entry::{FORMAT, Line, Position},
    log::{CHECKPOINTS, FOLDER, LOG},
    read::{Found, Lines},
    verify::{self, Against},
};
use crate::{
    disk::{Dir, Writer},
    error::{Code, Error, Result},
    policy::values::Period,
    site::{Context, Ready},
    site_key,
};

/// What a cut took away.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Removed {
    /// How many entries.
    pub removed: u64,
    /// The last of them; nothing if none was old enough.
    pub last: Option<Position>,
    /// The digest of all of them as they stood in the log, and of the file that they were written to.
    pub archive: Option<Digest>,
}

/// Where a log can be cut.
struct Place {
    position: Position,
    removed: u64,
    length: u64,
    archive: Digest,
}

/// What the intent of a cut after this line is about.
pub(super) fn subject(sequence: u64) -> String {
    format!("entries up to {sequence}")
}

/// The point in time from which entries are kept, for a retention of `keep`.
pub fn kept_since(keep: Period, now: Time) -> Result<Time> {
    Ok(Time::from_unix(
        now.unix().saturating_sub(keep.seconds()).max(0),
    )?)
}

/// Takes the entries away that were written before `before`, as far as nothing in between is newer, and after
/// writing them to a new file if `to` names one. A log that is not sound (`audit-damaged`) is left as it is.
pub fn cut(
    site: &Ready<'_>,
    before: Time,
    to: Option<&Path>,
    ctx: &Context<'_>,
) -> Result<Removed> {
    if let Some(problem) = verify::verify(site, &Against::default())?.problem {
        return Err(Error::new(
            Code::AuditDamaged,
            format!("{} line {}", problem.file, problem.line),
            problem.detail,
        ));
    }
    let nothing = Removed {
        removed: 0,
        last: None,
        archive: None,
    };
    let folder = match site.dir().dir(FOLDER) {
        Err(e) if e.is_not_found() => return Ok(nothing),
        folder => folder?,
    };
    let Some(place) = find(&folder, before)? else {
        return Ok(nothing);
    };
    let entry = Entry::new(Action::RetentionCut).about(subject(place.position.sequence));
    let entry = Entry {
        reason: format!(
            "{} entries from before {before}, together with the digest {}, the last with the digest {}",
            place.removed, place.archive, place.position.digest
        ),
        ..entry
    };
    let intent = site.intend(entry, ctx)?;
    let result = take_away(site, &folder, &place, to, ctx);
    let (outcome, reason) = Outcome::of(&result);
    site.conclude(intent, outcome, &reason, ctx);
    result?;
    Ok(Removed {
        removed: place.removed,
        last: Some(place.position),
        archive: Some(place.archive),
    })
}

/// The last line that can go: all up to it were written before `before`, and all of them have their outcomes.
fn find(folder: &Dir, before: Time) -> Result<Option<Place>> {
    let error = |e| Error::io(folder.path().join(LOG).display(), e);
    let mut lines = Lines::new(folder.file(LOG)?);
    let mut hasher = Hasher::default();
    let mut entries = 0;
    let mut place = None;
    while let Some(Found::Whole(bytes)) = lines.read().map_err(error)? {
        hasher.update(bytes);
        // The signed line of an earlier cut goes with what it was before.
        let Ok(line) = Line::parse(bytes) else {
            continue;
        };
        if line.time >= before {
            break;
        }
        entries += 1;
        if line.open.is_empty() {
            place = Some(Place {
                position: line.position(bytes),
                removed: entries,
                length: lines.offset,
                archive: hasher.clone().finish(),
            });
        }
    }
    Ok(place)
}

/// Writes the archive, then replaces the log with what is left of it, in one rename.
fn take_away(
    site: &Ready<'_>,
    folder: &Dir,
    place: &Place,
    to: Option<&Path>,
    ctx: &Context<'_>,
) -> Result<()> {
    let writer = site.writer();
    if let Some(to) = to {
        let mut part = folder.file(LOG)?.take(place.length);
        archive(writer, to, &mut part)?;
    }
    let key = site_key::ensure(site.dir(), writer, site.state().site_key.as_deref())?;
    let cut = Cut {
        format: FORMAT,
        site: site.state().site.clone(),
        sequence: place.position.sequence,
        digest: place.position.digest,
        removed: place.removed,
        archive: place.archive,
        time: ctx.now,
        damaged: String::new(),
    };
    let first = checkpoint::sign(&cut, key)?;
    let mut rest = folder.file(LOG)?;
    rest.seek(SeekFrom::Start(place.length))
        .map_err(|e| Error::io(folder.path().join(LOG).display(), e))?;
    replace(writer, folder, LOG, &first, &mut rest)?;
    drop_checkpoints(writer, folder, place.position.sequence)
}

/// Puts a log away that is damaged, whole, into the new file `to`, and begins one that says so. The numbers go on
/// from what is known to have been there.
pub fn put_away(site: &Ready<'_>, to: &Path, ctx: &Context<'_>) -> Result<Removed> {
    let report = verify::verify(site, &Against::default())?;
    let Some(problem) = report.problem else {
        let why = "is not damaged: take its older part away with --before";
        return Err(Error::new(Code::Usage, "the audit log", why));
    };
    let (dir, writer) = (site.dir(), site.writer());
    writer.mkdir(dir.at(FOLDER))?;
    let folder = dir.dir(FOLDER)?;
    if folder.status(LOG.as_ref())?.is_none() {
        writer.create(folder.at(LOG), 0o644, &mut |_| Ok(()))?;
    }
    let known = report.last.into_iter().chain(site.state().audit);
    let last = known.map(|p| p.sequence).max().unwrap_or(0);
    let (digest, lines) = digest_of(&mut folder.file(LOG)?)
        .map_err(|e| Error::io(folder.path().join(LOG).display(), e))?;
    archive(writer, to, &mut folder.file(LOG)?)?;
    let why = format!(
        "{} line {}: {}: {}",
        problem.file,
        problem.line,
        problem.kind.name(),
        problem.detail
    );
    let position = Position {
        // Nobody can say what was written after what is known; no number is to stand for two entries.
        sequence: last.max(lines).saturating_add(1),
        digest,
    };
    let key = site_key::ensure(dir, writer, site.state().site_key.as_deref())?;
    let cut = Cut {
        format: FORMAT,
        site: site.state().site.clone(),
        sequence: position.sequence,
        digest,
        removed: lines,
        archive: digest,
        time: ctx.now,
        damaged: why.clone(),
    };
    let first = checkpoint::sign(&cut, key)?;
    // Without checkpoints first: they name entries of a log that is not believed any more.
    replace(writer, &folder, CHECKPOINTS, b"", &mut io::empty())?;
    replace(writer, &folder, LOG, &first, &mut io::empty())?;
    site.audit_log().look_again();
    let mut entry = Entry::new(Action::RetentionCut).about(subject(position.sequence));
    entry.outcome = Some(Outcome::Done);
    entry.reason = format!("put away because it was damaged: {why}");
    site.decided(entry, ctx)?;
    Ok(Removed {
        removed: lines,
        last: Some(position),
        archive: Some(digest),
    })
}

fn digest_of(file: &mut File) -> io::Result<(Digest, u64)> {
    let mut hasher = Hasher::default();
    let mut lines = 0;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut buffer)?;
        let part = buffer.get(..read).unwrap_or_default();
        if part.is_empty() {
            return Ok((hasher.finish(), lines));
        }
        hasher.update(part);
        lines += part.split(|b| *b == b'\n').skip(1).count() as u64;
    }
}

/// Writes a new file outside of the site.
fn archive(writer: Writer<'_>, to: &Path, content: &mut dyn Read) -> Result<()> {
    let (dir, name) = Dir::of_file(to)?;
    writer.publish(dir.at(name), 0o644, &mut |file| {
        io::copy(content, file).map(|_| ())
    })
}

/// Replaces a file of any length with `first` and `rest`, durably: afterwards there is the old or the new one.
fn replace(
    writer: Writer<'_>,
    folder: &Dir,
    name: &str,
    first: &[u8],
    rest: &mut dyn Read,
) -> Result<()> {
    let temporary = format!("{name}.tmp");
    let beside = folder.at(&temporary);
    writer.remove_file(beside)?;
    writer.create(beside, 0o644, &mut |file| {
        file.write_all(first)?;
        io::copy(rest, file).map(|_| ())
    })?;
    writer.sync_file(beside)?;
    writer.rename(beside, folder.at(name))?;
    writer.sync_dir(folder)
}

/// Forgets checkpoints for entries that are gone; the signed cut stands for them.
fn drop_checkpoints(writer: Writer<'_>, folder: &Dir, up_to: u64) -> Result<()> {
    let error = |e| Error::io(folder.path().join(CHECKPOINTS).display(), e);
    let mut lines = Lines::new(folder.file(CHECKPOINTS)?);
    let mut keep_from = 0;
    while let Some(Found::Whole(bytes)) = lines.read().map_err(error)? {
        match checkpoint::unverified::<checkpoint::Checkpoint>(bytes) {
            Some(checkpoint) if checkpoint.sequence <= up_to => keep_from = lines.offset,
            _ => break,
        }
    }
    let mut rest = folder.file(CHECKPOINTS)?;
    rest.seek(SeekFrom::Start(keep_from)).map_err(error)?;
    replace(writer, folder, CHECKPOINTS, b"", &mut rest)
}
