//! `journal.json`: what is under way. It is there, durably, before the first thing is changed, and goes
//! when the last thing is done; whoever finds it finishes or undoes what it says.

use sealift_verifier::json;
use serde::{Deserialize, Serialize};

use crate::{
    disk::Dir,
    error::{Code, Error, Result},
};

/// The file's name.
pub const FILE: &str = "journal.json";
/// The version of the journal that this program reads and writes.
const FORMAT: u32 = 1;
const LIMIT: u64 = 1 << 20;

/// What is under way.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Phase {
    /// A generation is being put together. Nothing of what runs is touched.
    Staging {
        /// Its number.
        generation: u64,
    },
    /// `current` moves, or has moved, and the state does not say so yet.
    Activating {
        /// Where to.
        generation: u64,
        /// From where; nothing if nothing ran.
        from: Option<u64>,
        /// What for.
        kind: Kind,
    },
    /// Generations are being removed.
    Pruning {
        /// Their numbers.
        generations: Vec<u64>,
    },
    /// Damaged content is being replaced.
    Repairing,
}

/// Why a generation is activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It is new; if it fails, it is dropped.
    Apply,
    /// It is a kept one; if it fails, it stays.
    Rollback,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Journal {
    format: u32,
    phase: Phase,
}

impl Phase {
    /// What was interrupted, for people.
    pub fn describe(&self) -> String {
        match self {
            Self::Staging { generation } => {
                format!("an apply, while generation {generation} was being put together")
            }
            Self::Activating {
                generation, kind, ..
            } => {
                let what = match kind {
                    Kind::Apply => "an apply",
                    Kind::Rollback => "a rollback",
                };
                format!("{what}, while generation {generation} was being activated")
            }
            Self::Pruning { .. } => "a prune, while generations were being removed".into(),
            Self::Repairing => "an fsck, while damaged content was being replaced".into(),
        }
    }

    /// The bytes of the journal.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let journal = Journal {
            format: FORMAT,
            phase: self.clone(),
        };
        Ok(json::to_canonical(&journal)?)
    }

    /// Reads the journal of a state folder, if there is one.
    pub fn load(dir: &Dir) -> Result<Option<Self>> {
        let bytes = match dir.read(FILE, LIMIT) {
            Ok(bytes) => bytes,
            Err(e) if e.is_not_found() => return Ok(None),
            Err(e) => return Err(e),
        };
        let bad = |detail: String| Error::new(Code::StateDamaged, FILE, detail);
        let value = json::parse(&bytes, FILE).map_err(|e| bad(e.to_string()))?;
        let journal: Journal = json::from_value(value).map_err(|e| bad(e.to_string()))?;
        if journal.format != FORMAT {
            let detail = format!("has format {}, this program reads {FORMAT}", journal.format);
            return Err(Error::new(Code::StateFormat, FILE, detail));
        }
        Ok(Some(journal.phase))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{RealDisk, Writer};

    #[test]
    fn every_phase_is_read_as_it_was_written() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        assert_eq!(Phase::load(&dir).unwrap(), None);
        let phases = [
            Phase::Staging { generation: 3 },
            Phase::Activating {
                generation: 3,
                from: None,
                kind: Kind::Apply,
            },
            Phase::Pruning {
                generations: vec![1, 2],
            },
            Phase::Repairing,
        ];
        for phase in phases {
            let bytes = phase.to_bytes().unwrap();
            Writer::new(&RealDisk)
                .replace(dir.at(FILE), &bytes)
                .unwrap();
            assert_eq!(Phase::load(&dir).unwrap(), Some(phase));
        }
        Writer::new(&RealDisk).replace(dir.at(FILE), b"{}").unwrap();
        assert_eq!(
            Phase::load(&dir).unwrap_err().kind(),
            Some(Code::StateDamaged)
        );
    }
}
