//! `state.json`: the one committed truth of a site, as types.

use sealift_verifier::{digest::Digest, facts::Pin, json, path::Name, release::Mode, time::Time};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{
    audit::Position,
    error::{Code, Error, Result},
    policy::PolicyState,
};

/// The version of the state that this program writes. It reads version 1 too, which had no checksum and was kept
/// once only.
pub const FORMAT: u32 = 2;
/// The field with the SHA-256 of canonical JSON of all others; of no version but the first can it be left out.
const CHECKSUM: &str = "checksum";
/// Length of `state.json` in bytes: some 100,000 events.
pub const LIMIT: u64 = 64 << 20;
/// Events that are kept; the oldest are dropped beyond that.
const EVENTS: usize = 10_000;
/// Characters of a reason that are kept.
const REASON: usize = 2000;

/// What the site is, what it runs, what it trusts, and what happened to it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct State {
    /// Always [`FORMAT`].
    pub format: u32,
    /// Grows with every commit: of the two files that hold the state, the one with the higher number is the truth.
    #[serde(default)]
    pub revision: u64,
    /// A random id, for support and for reports.
    pub site: String,
    /// When the site was made, by the local clock.
    pub created: Time,
    /// How much the local clock counts.
    pub clock: ClockPolicy,
    /// The absolute path of the program that restarts services after `current` moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activate_hook: Option<String>,
    /// What the vendor's releases have to be of; set by the first that was committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<Name>,
    /// The mode that the site runs in; with none, releases for every mode are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// What the operator wants to stay, sorted by level, then name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<Pin>,
    /// The policy that holds; with none, the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyState>,
    /// The generation that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<u64>,
    /// The id of the site's own key; a site made by an older program has none until it needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_key: Option<String>,
    /// How far the audit log was when this was committed: it is never shorter than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Position>,
    /// The number of the next generation; numbers are never used twice.
    pub next: u64,
    /// What is trusted.
    pub trust: TrustState,
    /// No release below this version is ever activated again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_floor: Option<Version>,
    /// The generations that are kept, sorted by number.
    pub generations: Vec<Generation>,
    /// What happened, the oldest first.
    pub history: Vec<Event>,
}

/// How the local clock counts when expiry is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockPolicy {
    /// Expired is what expired by the signed lower bound of time or by the local clock.
    Enforce,
    /// What expired by the local clock alone needs people who approve it.
    Approve,
    /// Only the signed lower bound counts: for machines whose clock is known to be wrong.
    Ignore,
}

/// What is trusted. The files lie in `trust/`; the digests here say which of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrustState {
    /// Version of the root that the site was made with.
    pub first_root: u64,
    /// Version of the trusted root, in `trust/N.root.json`.
    pub root: u64,
    /// The digest of that file.
    pub root_digest: Digest,
    /// The digests of the roots from the first one to the one before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub older: Vec<Digest>,
    /// Whether that root is one for development.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub development: bool,
    /// The root of the customer, whose keys sign the site's policy and count beside the vendor's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerRoot>,
    /// The newest release that was committed, or that metadata without a payload told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Newest>,
    /// The lower bound of time: the latest point in time that accepted, signed data names as past.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
}

/// The trusted root of the customer, in `trust/customer-N.root.json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CustomerRoot {
    /// Its version.
    pub version: u64,
    /// The digest of that file.
    pub digest: Digest,
}

/// What no later bundle may fall behind.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Newest {
    /// The release counter.
    pub counter: u64,
    /// The release digest that the counter stands for.
    pub release: Digest,
    /// The digest of the accepted `timestamp.json`, kept in `trust/`.
    pub timestamp: Digest,
    /// The digest of the accepted `snapshot.json`, kept in `trust/`.
    pub snapshot: Digest,
}

/// A committed generation that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Generation {
    /// Its number and the name of its folder.
    pub number: u64,
    /// The product's version.
    pub version: Version,
    /// The release digest.
    pub release: Digest,
    /// The digest over the head of the bundle, see [`head_digest`].
    pub head: Digest,
    /// The release counter.
    pub counter: u64,
    /// When it was committed.
    pub committed: Time,
    /// The kept generation that ran before it: where a rollback leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Event {
    /// When, by the local clock.
    pub time: Time,
    /// What was tried.
    pub action: Action,
    /// How it ended.
    pub outcome: Outcome,
    /// The generation that it led or should have led to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The generation that ran before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The version of the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// The release digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Digest>,
    /// Why it ended so; empty if there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The site was made.
    Init,
    /// A release from a bundle.
    Apply,
    /// A kept release again.
    Rollback,
    /// Old generations were removed.
    Prune,
    /// A pin was set.
    Pin,
    /// A pin was taken away.
    Unpin,
    /// What is trusted changed without a release.
    Trust,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As asked for.
    Done,
    /// It failed before anything was activated.
    Failed,
    /// It failed after activation, and what ran before was activated again.
    WentBack,
    /// The program or the machine stopped in the middle; what ran before was activated again.
    Interrupted,
}

impl State {
    /// Reads and checks a state.
    pub fn parse(bytes: &[u8], subject: &str) -> Result<Self> {
        let bad = |detail: String| Error::new(Code::StateDamaged, subject, detail);
        let mut value = json::parse(bytes, subject).map_err(|e| bad(e.to_string()))?;
        let format = value.get("format").and_then(serde_json::Value::as_u64);
        let format = format.ok_or_else(|| bad("has no format".into()))?;
        if format == 1 {
            value["format"] = FORMAT.into();
        } else {
            if let Some(fields) = value.as_object_mut() {
                fields.remove(CHECKSUM);
            }
            // Whatever a newer program writes, this part of it stays: a flipped bit makes no newer format.
            if with_checksum(value.clone()) != bytes {
                return Err(bad("is not what its checksum says".into()));
            }
            if format != u64::from(FORMAT) {
                let detail = format!("has format {format}, this program reads up to {FORMAT}");
                return Err(Error::new(Code::StateFormat, subject, detail));
            }
        }
        let state: Self = json::from_value(value).map_err(|e| bad(e.to_string()))?;
        state.check().map_err(bad)?;
        Ok(state)
    }

    /// The bytes of `state.json`: canonical JSON with a checksum, and a line end.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let value = serde_json::to_value(self)
            .map_err(|e| Error::new(Code::StateDamaged, "state", e.to_string()))?;
        Ok(with_checksum(value))
    }

    fn check(&self) -> Result<(), String> {
        let sorted = self.generations.is_sorted_by(|a, b| a.number < b.number);
        if !sorted {
            return Err("generations are not sorted, each once".into());
        }
        if self
            .generations
            .iter()
            .any(|g| g.number >= self.next || g.number == 0)
        {
            return Err("a generation has a number that was not given yet".into());
        }
        if !self.pins.is_sorted_by(|a, b| a.place() < b.place()) {
            return Err("pins are not sorted, each once".into());
        }
        let kept = |number: Option<u64>| number.is_none_or(|n| self.generation(n).is_some());
        if !kept(self.current) || !self.generations.iter().all(|g| kept(g.before)) {
            return Err("a generation is named that is not kept".into());
        }
        if self.current.is_some() && (self.product.is_none() || self.trust.newest.is_none()) {
            return Err("something runs, but not of which product".into());
        }
        Ok(())
    }

    /// A kept generation.
    pub fn generation(&self, number: u64) -> Option<&Generation> {
        self.generations.iter().find(|g| g.number == number)
    }

    /// The generation that runs.
    pub fn running(&self) -> Option<&Generation> {
        self.current.and_then(|number| self.generation(number))
    }

    /// Where a rollback leads.
    pub fn previous(&self) -> Option<u64> {
        self.running().and_then(|g| g.before)
    }

    /// Forgets generations. What one of them said about the one before it goes on to those after it.
    pub fn forget(&mut self, numbers: &[u64]) {
        for number in numbers {
            let before = self.generation(*number).and_then(|g| g.before);
            self.generations.retain(|g| g.number != *number);
            for generation in &mut self.generations {
                if generation.before == Some(*number) {
                    generation.before = before;
                }
            }
        }
    }

    /// Takes an event into the history.
    pub fn record(&mut self, mut event: Event) {
        // Canonical JSON has no way to write control characters, and what a program printed may have any.
        event.reason = event
            .reason
            .chars()
            .take(REASON)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        self.history.push(event);
        let surplus = self.history.len().saturating_sub(EVENTS);
        self.history.drain(..surplus);
    }

    /// Refuses what says that it was made later than it can be here: it would count for longer than it may, or say that
    /// it is later than it is. Two clocks may differ by a day. A site that does not go by its clock cannot tell.
    pub fn check_issued(&self, issued: Time, now: Time) -> Result<(), String> {
        const DAY: i64 = 24 * 60 * 60;
        let now = self.trust.time.map_or(now, |time| time.max(now));
        if self.clock == ClockPolicy::Ignore || issued.unix() <= now.unix().saturating_add(DAY) {
            return Ok(());
        }
        Err(format!(
            "was made {issued}, and here it is {now}: one of the two clocks is wrong"
        ))
    }

    /// The point in time that expiry is judged by.
    pub fn judged_by(&self, now: Time) -> Result<Time> {
        Ok(match (self.clock, self.trust.time) {
            (ClockPolicy::Enforce, Some(time)) => now.max(time),
            (ClockPolicy::Enforce, None) => now,
            (ClockPolicy::Approve | ClockPolicy::Ignore, Some(time)) => time,
            (ClockPolicy::Approve | ClockPolicy::Ignore, None) => Time::from_unix(0)?,
        })
    }
}

impl TrustState {
    /// Trusts newer roots by their digests; each follows the one before.
    pub fn rotate(&mut self, newer: impl IntoIterator<Item = Digest>) {
        for digest in newer {
            self.older.push(self.root_digest);
            self.root = self.root.saturating_add(1);
            self.root_digest = digest;
        }
    }
}

fn with_checksum(mut fields: serde_json::Value) -> Vec<u8> {
    fields[CHECKSUM] = Digest::of(&json::canonical(&fields)).to_hex().into();
    let mut bytes = json::canonical(&fields);
    bytes.push(b'\n');
    bytes
}

/// The digest over the small files of a bundle: of each, in order, its path, a zero byte, its length in
/// decimal, a zero byte, and its content.
pub fn head_digest<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>) -> Digest {
    let mut hasher = sealift_verifier::digest::Hasher::default();
    for (path, bytes) in files {
        hasher.update(path.as_bytes());
        hasher.update(format!("\0{}\0", bytes.len()).as_bytes());
        hasher.update(bytes);
    }
    hasher.finish()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample() -> State {
        let digest = Digest::of(b"");
        let generation = |number, before| Generation {
            number,
            version: Version::new(1, number, 0),
            release: digest,
            head: digest,
            counter: number,
            committed: Time::from_unix(0).unwrap(),
            before,
        };
        State {
            format: FORMAT,
            revision: 7,
            site: "s".into(),
            created: Time::from_unix(0).unwrap(),
            clock: ClockPolicy::Enforce,
            activate_hook: None,
            product: Some("acme".parse().unwrap()),
            mode: None,
            pins: Vec::new(),
            policy: None,
            current: Some(4),
            site_key: None,
            audit: None,
            next: 5,
            trust: TrustState {
                first_root: 1,
                root: 1,
                root_digest: digest,
                older: Vec::new(),
                development: false,
                customer: None,
                newest: Some(Newest {
                    counter: 4,
                    release: digest,
                    timestamp: digest,
                    snapshot: digest,
                }),
                time: Some(Time::from_unix(1000).unwrap()),
            },
            security_floor: None,
            generations: vec![
                generation(1, None),
                generation(2, Some(1)),
                generation(4, Some(2)),
            ],
            history: Vec::new(),
        }
    }

    #[test]
    fn what_was_written_is_read_again_whatever_a_program_printed() {
        let mut state = sample();
        state.record(Event {
            time: Time::from_unix(0).unwrap(),
            action: Action::Apply,
            outcome: Outcome::WentBack,
            generation: Some(3),
            from: Some(2),
            version: None,
            release: None,
            reason: "said \"no\"\n\u{1b}[0m\0".into(),
        });
        let bytes = state.to_bytes().unwrap();
        assert_eq!(State::parse(&bytes, "s").unwrap(), state);
    }

    #[test]
    fn a_state_that_does_not_hold_together_is_refused() {
        let changes: [fn(&mut State); 5] = [
            |s| s.current = Some(3),
            |s| s.next = 4,
            |s| s.generations.reverse(),
            |s| s.product = None,
            |s| s.generations.retain(|g| g.number != 1),
        ];
        for change in changes {
            let mut state = sample();
            change(&mut state);
            let error = State::parse(&state.to_bytes().unwrap(), "s").unwrap_err();
            assert_eq!(error.kind(), Some(Code::StateDamaged));
        }
        let mut state = sample();
        state.format = 3;
        let error = State::parse(&state.to_bytes().unwrap(), "s").unwrap_err();
        assert_eq!(error.kind(), Some(Code::StateFormat));
    }

    #[test]
    fn no_byte_of_a_state_changes_without_being_noticed() {
        let bytes = sample().to_bytes().unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                let error = State::parse(&flipped, "s").unwrap_err();
                assert_eq!(error.kind(), Some(Code::StateDamaged), "{at} {bit}");
            }
            assert!(State::parse(&bytes[..at], "s").is_err());
        }
        let spaced = [b" ", bytes.as_slice()].concat();
        assert!(State::parse(&spaced, "s").is_err());
    }

    #[test]
    fn the_first_format_is_read_and_written_as_the_newest() {
        let mut value = serde_json::to_value(sample()).unwrap();
        value["format"] = 1.into();
        value.as_object_mut().unwrap().remove("revision");
        let read = State::parse(value.to_string().as_bytes(), "s").unwrap();
        let expected = State {
            revision: 0,
            ..sample()
        };
        assert_eq!(read, expected);
        assert_eq!(State::parse(&read.to_bytes().unwrap(), "s").unwrap(), read);
    }

    #[test]
    fn forgetting_a_generation_keeps_the_way_back() {
        let mut state = sample();
        state.forget(&[2]);
        assert_eq!(state.previous(), Some(1));
        state.forget(&[1]);
        assert_eq!(state.previous(), None);
    }

    #[test]
    fn a_wrong_clock_never_makes_old_things_valid_again() {
        let mut state = sample();
        let at = |seconds| Time::from_unix(seconds).unwrap();
        assert_eq!(state.judged_by(at(10)).unwrap(), at(1000));
        assert_eq!(state.judged_by(at(2000)).unwrap(), at(2000));
        state.clock = ClockPolicy::Ignore;
        assert_eq!(state.judged_by(at(2000)).unwrap(), at(1000));
    }
}
