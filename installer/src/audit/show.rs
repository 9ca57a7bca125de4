//! Picking entries of a log to look at or to hand on.

use std::{
    fs::File,
    io::{self, Seek as _},
};

use sealift_verifier::{digest::Digest, time::Time};
use serde::Serialize;
use serde_json::Value;

use super::{
    entry::{Action, Line, Position},
    log::{CHECKPOINTS, FOLDER, LOG},
    read::{self, Found, Lines},
};
use crate::{
    error::{Code, Error, Result},
    site::Site,
};

/// Damaged lines that are named.
const DAMAGED: usize = 10;

/// Which entries.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Not before this time.
    pub from: Option<Time>,
    /// Before this time.
    pub to: Option<Time>,
    /// Of these actions; all if none is named.
    pub actions: Vec<Action>,
    /// No more than the newest of them.
    pub limit: Option<u64>,
}

impl Filter {
    fn takes(&self, line: &Line) -> bool {
        self.from.is_none_or(|from| line.time >= from)
            && self.to.is_none_or(|to| line.time < to)
            && (self.actions.is_empty() || self.actions.contains(&line.entry.action))
    }
}

/// A line that is no entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Damaged {
    /// The line, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: String,
}

/// An entry with its bytes, or a line that is none.
type Read<'a> = Result<(&'a Line, &'a [u8]), Damaged>;

/// The entries that a filter takes, in the order of the log. Nothing of them is kept in memory.
pub struct Selection {
    file: Option<File>,
    filter: Filter,
    count: u64,
    skipped: u64,
    /// Lines that are no entries, the first of them.
    pub damaged: Vec<Damaged>,
}

impl Selection {
    /// Reads the log of a site once, to know how many there are and whether all of it can be read.
    pub fn of(site: &Site, filter: Filter) -> Result<Self> {
        let mut selection = Self {
            file: open(site, LOG)?,
            filter,
            count: 0,
            skipped: 0,
            damaged: Vec::new(),
        };
        let (mut count, mut damaged) = (0_u64, Vec::new());
        selection.walk(&mut |line| {
            match line {
                Ok(_) => count += 1,
                Err(line) if damaged.len() < DAMAGED => damaged.push(line),
                Err(_) => {}
            }
            Ok(())
        })?;
        selection.skipped = count.saturating_sub(selection.filter.limit.unwrap_or(u64::MAX));
        selection.count = count;
        selection.damaged = damaged;
        Ok(selection)
    }

    /// How many it has.
    pub fn len(&self) -> u64 {
        self.count - self.skipped
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hands each entry on, with its bytes as they stand in the log, its end included.
    pub fn each(&mut self, each: &mut dyn FnMut(&Line, &[u8]) -> io::Result<()>) -> Result<()> {
        let (skipped, count) = (self.skipped, self.count);
        let mut number = 0;
        self.walk(&mut |line| {
            if let Ok((line, bytes)) = line {
                number += 1;
                // What was written since the first look is for the next one.
                if number > skipped && number <= count {
                    return each(line, bytes);
                }
            }
            Ok(())
        })
    }

    fn walk(&mut self, each: &mut dyn FnMut(Read<'_>) -> io::Result<()>) -> Result<()> {
        let error = |e| Error::io(format!("{FOLDER}/{LOG}"), e);
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.rewind().map_err(error)?;
        let mut lines = Lines::new(&*file);
        let mut number = 0;
        while let Some(found) = lines.read().map_err(error)? {
            number += 1;
            let bytes = match found {
                Found::Whole(bytes) => bytes,
                // Just being written, or never completed.
                Found::Torn(_) => break,
                Found::TooLong => {
                    let problem = "is longer than an entry can be".into();
                    let line = number;
                    each(Err(Damaged { line, problem })).map_err(error)?;
                    break;
                }
            };
            match Line::parse(bytes) {
                Ok(line) if self.filter.takes(&line) => each(Ok((&line, bytes))).map_err(error)?,
                Ok(_) => {}
                // Where an older part was taken away.
                Err(_) if number == 1 && bytes.starts_with(b"{\"payload\":") => {}
                Err(problem) => {
                    let line = number;
                    each(Err(Damaged { line, problem })).map_err(error)?;
                }
            }
        }
        Ok(())
    }
}

/// How far a log is, from a look at its end alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// The number of the last entry.
    pub sequence: u64,
    /// The digest of its line.
    pub digest: Digest,
    /// When it was written.
    pub time: Time,
    /// The newest checkpoint, an envelope that the site's key has signed: to be kept elsewhere.
    pub checkpoint: Option<Value>,
}

/// The end of the log; nothing at a site without one.
pub fn summary(site: &Site) -> Result<Option<Summary>> {
    let end = |name: &str| -> Result<Option<Vec<u8>>> {
        let Some(mut file) = open(site, name)? else {
            return Ok(None);
        };
        let end = read::end(&mut file).map_err(|e| Error::io(format!("{FOLDER}/{name}"), e))?;
        Ok(end.last)
    };
    let Some(last) = end(LOG)? else {
        return Ok(None);
    };
    let line = Line::parse(&last)
        .map_err(|e| Error::new(Code::AuditDamaged, "the last line of the audit log", e))?;
    let Position { sequence, digest } = line.position(&last);
    let checkpoint = end(CHECKPOINTS)?;
    Ok(Some(Summary {
        sequence,
        digest,
        time: line.time,
        checkpoint: checkpoint.and_then(|line| serde_json::from_slice(&line).ok()),
    }))
}

/// The newest checkpoint as it was signed; nothing if there is none.
pub fn newest_checkpoint(site: &Site) -> Result<Option<Vec<u8>>> {
    let Some(mut file) = open(site, CHECKPOINTS)? else {
        return Ok(None);
    };
    let end = read::end(&mut file).map_err(|e| Error::io(format!("{FOLDER}/{CHECKPOINTS}"), e))?;
    Ok(end.last)
}

fn open(site: &Site, name: &str) -> Result<Option<File>> {
    match site.dir().file(format!("{FOLDER}/{name}")) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.is_not_found() => Ok(None),
        Err(e) => Err(e),
    }
}
