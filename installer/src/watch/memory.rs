//! `watch.json`: what has to be remembered although nothing was installed yet. If it is lost, something is told twice
//! or a delay begins again; what was installed or failed stands in the state.

use std::collections::BTreeSet;

use sealift_verifier::{digest::Digest, json, time::Time};
use serde::{Deserialize, Serialize};

use crate::{
    disk::Dir,
    error::{Code, Error, Result},
    site::Ready,
};

/// The file's name.
pub const FILE: &str = "watch.json";
/// The version of the file that this program reads and writes.
const FORMAT: u32 = 1;
/// Length of the file in bytes.
const LIMIT: u64 = 4 << 20;
/// Releases that are remembered.
const RELEASES: usize = 1000;
/// Refusals that are remembered.
const TOLD: usize = 20_000;

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Memory {
    format: u32,
    /// Releases that are not installed yet.
    releases: Vec<Seen>,
    /// Refusals that are in the audit log, by file and reason.
    told: BTreeSet<Digest>,
}

/// A release that was seen here, and is not installed yet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Seen {
    release: Digest,
    /// When it was first seen, by the local clock: for people.
    pub(super) first: Time,
    /// When it was last, as far as is known.
    last: Time,
    /// The latest time that any look was at.
    latest: Time,
    /// Seconds that it has been here. Time that has passed counts, not the difference of two times: so a clock that
    /// is set back makes no delay longer.
    pub(super) waited: i64,
    /// How often its installation was begun and nobody lived to say how it ended.
    pub(super) begun: u32,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            format: FORMAT,
            releases: Vec::new(),
            told: BTreeSet::new(),
        }
    }
}

impl Memory {
    /// What is remembered at a site; nothing at one that nobody has watched for yet.
    pub(super) fn load(dir: &Dir) -> Result<Self> {
        let bytes = match dir.read(FILE, LIMIT) {
            Ok(bytes) => bytes,
            Err(e) if e.is_not_found() => return Ok(Self::default()),
            Err(e) => return Err(e),
        };
        let subject = dir.path().join(FILE).display().to_string();
        let bad = |detail: String| Error::new(Code::StateDamaged, &subject, detail);
        let value = json::parse(&bytes, FILE).map_err(|e| bad(e.to_string()))?;
        let memory: Self = json::from_value(value).map_err(|e| bad(e.to_string()))?;
        match memory.format {
            FORMAT => Ok(memory),
            other => Err(bad(format!(
                "has format {other}, this program reads {FORMAT}"
            ))),
        }
    }

    /// Remembers durably.
    pub(super) fn save(&self, site: &Ready<'_>) -> Result<()> {
        let bytes = json::to_canonical(self)?;
        Ok(site.writer().replace(site.dir().at(FILE), &bytes)?)
    }

    /// What is remembered of a release; from now on at least that it was seen.
    pub(super) fn seen(&mut self, release: Digest, now: Time) -> &mut Seen {
        let at = self
            .releases
            .iter()
            .position(|seen| seen.release == release);
        let at = at.unwrap_or_else(|| {
            let surplus = (self.releases.len() + 1).saturating_sub(RELEASES);
            self.releases.drain(..surplus);
            self.releases.push(Seen {
                release,
                first: now,
                last: now,
                latest: now,
                waited: 0,
                begun: 0,
            });
            self.releases.len() - 1
        });
        &mut self.releases[at]
    }

    /// How often the installation of a release was begun and not ended.
    pub(super) fn begun(&self, release: Digest) -> u32 {
        let mut seen = self.releases.iter();
        seen.find(|s| s.release == release).map_or(0, |s| s.begun)
    }

    /// Forgets a release: its installation has ended, and the state says how.
    pub(super) fn forget(&mut self, release: Digest) {
        self.releases.retain(|seen| seen.release != release);
    }

    /// Lets time pass: what the clock says of it, or `ran` seconds that this program has seen pass itself. A clock that
    /// was set back, and is set right again, has not run through all that lies between.
    pub(super) fn pass(&mut self, now: Time, ran: i64) {
        for seen in &mut self.releases {
            let from = if now >= seen.latest {
                seen.latest
            } else {
                seen.last
            };
            let by_clock = now.unix().saturating_sub(from.unix());
            seen.waited = seen.waited.saturating_add(by_clock.max(ran).max(0));
            seen.last = now;
            seen.latest = seen.latest.max(now);
        }
    }

    /// Whether a refusal is in the audit log.
    pub(super) fn was_told(&self, mark: Digest) -> bool {
        self.told.contains(&mark)
    }

    /// Says that a refusal is in the audit log now.
    pub(super) fn tell(&mut self, mark: Digest) {
        if self.told.len() >= TOLD {
            self.told.clear();
        }
        self.told.insert(mark);
    }

    /// Whether it differs by more than a little time from what was `saved`.
    pub(super) fn differs(&self, saved: &Self, seconds: i64) -> bool {
        let releases = self.releases.iter().zip(&saved.releases);
        self.told != saved.told
            || self.releases.len() != saved.releases.len()
            || releases.into_iter().any(|(now, then)| {
                now.release != then.release
                    || now.begun != then.begun
                    // Otherwise the next start would count from a time that has yet to come.
                    || now.last < then.last
                    || now.waited.saturating_sub(then.waited) >= seconds
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        text.parse().unwrap()
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_delay_longer() {
        let mut memory = Memory::default();
        let release = Digest::of(b"release");
        memory.seen(release, at("2026-06-01T00:00:00Z"));
        memory.pass(at("2026-06-01T10:00:00Z"), 0);
        // Ten years back: what has passed stays, and goes on from there.
        memory.pass(at("2016-06-01T10:00:00Z"), 30);
        memory.pass(at("2016-06-01T11:00:00Z"), 30);
        let seen = memory.seen(release, at("2016-06-01T11:00:00Z"));
        assert_eq!(seen.waited, 11 * 3600 + 30);
        // Set right again.
        memory.pass(at("2026-06-01T12:00:00Z"), 30);
        let seen = memory.seen(release, at("2026-06-01T12:00:00Z"));
        assert_eq!(seen.waited, 13 * 3600 + 30);
        assert_eq!(seen.first, at("2026-06-01T00:00:00Z"));
    }

    #[test]
    fn what_is_remembered_stays_small() {
        let mut memory = Memory::default();
        let now = at("2026-06-01T00:00:00Z");
        for number in 0..2 * TOLD {
            memory.tell(Digest::of(&number.to_le_bytes()));
            if number < 2 * RELEASES {
                memory.seen(Digest::of(&number.to_le_bytes()), now);
            }
        }
        assert_eq!(memory.releases.len(), RELEASES);
        let bytes = json::to_canonical(&memory).unwrap();
        assert!((bytes.len() as u64) < LIMIT, "{}", bytes.len());
    }
}
