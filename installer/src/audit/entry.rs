//! What one line of the log says.

use sealift_verifier::{
    digest::Digest,
    error::{Failure as _, printable},
    json,
    release::Severity,
    time::Time,
};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The version of the log that this program reads and writes.
pub const FORMAT: u32 = 1;
/// Longest line in bytes, with its end.
pub const LINE_BYTES: usize = 128 << 10;

/// Characters of a reason that are kept.
const REASON: usize = 2000;
/// Characters of any other text that are kept.
const TEXT: usize = 500;
/// Characters of a name that are kept.
const NAME: usize = 100;
/// Rules that are listed.
const RULES: usize = 32;
/// Advisories that are listed.
const FIXES: usize = 256;
/// Signers that are listed.
const SIGNERS: usize = 16;

/// What was done or decided.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Deserialize,
    Serialize,
    clap::ValueEnum,
)]
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
    /// What was interrupted was finished or undone.
    Recover,
    /// Damaged content was replaced.
    FsckRepair,
    /// Something was refused; `of` says what.
    Refusal,
    /// A rule was overridden by those who may; `of` says for what.
    Override,
    /// Something was done against the channel because it is critical; `of` says what.
    Forced,
    /// A license was added.
    LicenseAdd,
    /// A license was taken away.
    LicenseRemove,
    /// A policy was set.
    PolicySet,
    /// Approvals were asked for.
    Request,
    /// A request, an approval or a withdrawal was added.
    ApprovalAdd,
    /// A request or an approval was removed.
    ApprovalRemove,
    /// An attestation was added.
    AttestationAdd,
    /// An attestation was taken away.
    AttestationRemove,
    /// The site attested something itself.
    Attest,
    /// What is trusted has changed without a release.
    TrustUpdate,
    /// The older part of this log was taken away.
    RetentionCut,
    /// An entry that was never completed was moved aside.
    TornEntry,
}

impl Action {
    /// The name that it has in the log.
    pub fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self)
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }
}

/// Where a line stands to what it records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Written before an effect: it may begin now.
    Intent,
    /// How it ended.
    Outcome,
    /// A decision that has no effect of its own.
    Decision,
    /// How something ended whose intent could not be written: going back waits for nothing.
    Late,
}

impl Phase {
    /// The name that it has in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Outcome => "outcome",
            Self::Decision => "decision",
            Self::Late => "late",
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As asked for.
    Done,
    /// It failed; what ran before still runs.
    Failed,
    /// It failed after activation, and what ran before was activated again.
    WentBack,
    /// It was not allowed.
    Refused,
    /// The program or the machine stopped before it could say how it ended.
    Interrupted,
}

impl Outcome {
    /// The name that it has in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::WentBack => "went-back",
            Self::Refused => "refused",
            Self::Interrupted => "interrupted",
        }
    }

    /// What a result means for something that was attempted.
    pub fn of<T>(result: &Result<T>) -> (Self, String) {
        match result {
            Ok(_) => (Self::Done, String::new()),
            Err(e) => (
                match e {
                    Error::WentBack { .. } => Self::WentBack,
                    e if e.kind() == Some(crate::Code::DurabilityUnknown) => Self::Done,
                    _ => Self::Failed,
                },
                format!("{}: {e}", e.code()),
            ),
        }
    }
}

/// Who ran the program, as `main` found it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Who {
    /// The number of the user.
    pub uid: u32,
    /// The user's name, if the machine knows one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Who logged in, whoever they became afterwards, if the kernel knows (`/proc/self/loginuid`).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub login: String,
}

/// A release that something is about.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReleaseName {
    /// The product's version.
    pub version: Version,
    /// The release digest.
    pub digest: Digest,
}

/// What one rule said.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RuleResult {
    /// The stable name of the rule, such as `pinned`.
    pub rule: String,
    /// What it said.
    pub result: Verdict,
    /// Why; empty if there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What a rule can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing against it.
    Pass,
    /// Nothing against it, but something to know.
    Warn,
    /// No.
    Deny,
    /// No, but those who may have said yes.
    Overridden,
}

/// Somebody whose signature a decision rests on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SignedBy {
    /// The id of the key.
    pub key: String,
    /// The person, as far as the site knows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub person: String,
}

/// What is to be recorded: made by whoever does or decides something.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[must_use]
pub struct Entry {
    /// What it is.
    pub action: Action,
    /// What was refused, overridden or forced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Action>,
    /// What it is about beside a release: a bundle, a pin, a license, a file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// The release that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseName>,
    /// The severity of the worst that the release corrects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Advisories that the release corrects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixes: Vec<String>,
    /// How many more advisories there are than a line has room for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fixes_left_out: u64,
    /// The digest of the plan that was decided about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Digest>,
    /// The generation that it leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The generation that ran before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// What the rules said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleResult>,
    /// How many more rules there were than a line has room for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rules_left_out: u64,
    /// Whose signatures it rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<SignedBy>,
    /// How it ended; an intent has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why, for people; empty if there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Entry {
    /// An entry that says no more than what is done.
    pub fn new(action: Action) -> Self {
        Self {
            action,
            of: None,
            subject: String::new(),
            release: None,
            severity: None,
            fixes: Vec::new(),
            fixes_left_out: 0,
            plan: None,
            generation: None,
            from: None,
            rules: Vec::new(),
            rules_left_out: 0,
            signed_by: Vec::new(),
            outcome: None,
            reason: String::new(),
        }
    }

    /// About this, beside a release.
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    /// About this release.
    pub fn release(mut self, version: &Version, digest: Digest) -> Self {
        self.release = Some(ReleaseName {
            version: version.clone(),
            digest,
        });
        self
    }

    /// From one generation to another.
    pub fn moves(mut self, from: Option<u64>, to: u64) -> Self {
        self.from = from;
        self.generation = Some(to);
        self
    }

    /// Resting on the signature of this key, of this person or site as far as one is known.
    pub fn signed(mut self, key: impl Into<String>, person: impl Into<String>) -> Self {
        self.signed_by.push(SignedBy {
            key: key.into(),
            person: person.into(),
        });
        self
    }

    /// For this reason, or with these details: for people.
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// What the rules said.
    pub fn rules(mut self, rules: Vec<RuleResult>) -> Self {
        self.rules = rules;
        self
    }

    /// That `of` was refused, and why: every denial is a rule that said no.
    pub fn refusal(mut self, of: Action, error: &Error) -> Self {
        self.action = Action::Refusal;
        self.of = Some(of);
        self.outcome = Some(Outcome::Refused);
        let deny = |rule: &str, detail: &str| RuleResult {
            rule: rule.to_owned(),
            result: Verdict::Deny,
            detail: detail.to_owned(),
        };
        match error {
            Error::NotAdmitted(refusal) => {
                let said: Vec<_> = refusal
                    .denials()
                    .map(|denial| deny(denial.code.name(), &denial.detail))
                    .collect();
                // Of a rule that said no nothing else counts.
                self.rules
                    .retain(|rule| said.iter().all(|denial| denial.rule != rule.rule));
                self.rules.splice(..0, said);
                self.reason = format!("{} is not admitted", refusal.what);
            }
            other => self.rules.insert(0, deny(other.code(), &other.to_string())),
        }
        self
    }

    /// With its texts short, on one line, and with nothing in them that could deceive a terminal. Canonical JSON
    /// has no way to write control characters, and what comes from a file or a program may have any.
    fn bounded(mut self) -> Self {
        self.subject = text(&self.subject, TEXT);
        self.reason = text(&self.reason, REASON);
        let surplus = self.rules.len().saturating_sub(RULES);
        self.rules.truncate(RULES);
        self.rules_left_out = self.rules_left_out.saturating_add(surplus as u64);
        for rule in &mut self.rules {
            rule.rule = text(&rule.rule, NAME);
            rule.detail = text(&rule.detail, TEXT / 2);
        }
        let surplus = self.fixes.len().saturating_sub(FIXES);
        self.fixes_left_out = self.fixes_left_out.saturating_add(surplus as u64);
        self.fixes.truncate(FIXES);
        for fix in &mut self.fixes {
            *fix = text(fix, NAME);
        }
        self.signed_by.truncate(SIGNERS);
        for signer in &mut self.signed_by {
            signer.key = text(&signer.key, NAME);
            signer.person = text(&signer.person, NAME);
        }
        self
    }
}

fn text(text: &str, limit: usize) -> String {
    printable(text).chars().take(limit).collect()
}

/// A point of the log: everything up to it follows from its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Position {
    /// The sequence number of a line.
    pub sequence: u64,
    /// The digest of this line, with its end.
    pub digest: Digest,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Line {
    /// Always [`FORMAT`].
    pub format: u32,
    /// The site's id.
    pub site: String,
    /// Counts from 1, one for each line.
    pub sequence: u64,
    /// The digest of the line before, with its end; only the very first line has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// When, by the local clock.
    pub time: Time,
    /// The signed lower bound of time then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_bound: Option<Time>,
    /// Who ran the program.
    pub who: Who,
    /// Where it stands to what it records.
    pub phase: Phase,
    /// The line of the intent that an outcome belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<u64>,
    /// Intents that have no outcome after this line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<u64>,
    /// The newest line that a checkpoint was written for, before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<u64>,
    /// What it records.
    #[serde(flatten)]
    pub entry: Entry,
}

impl Line {
    /// Makes everything that came from outside fit for a line.
    pub(super) fn bounded(mut self) -> Self {
        self.who.user = text(&self.who.user, NAME);
        self.who.login = text(&self.who.login, NAME);
        self.entry = self.entry.bounded();
        self
    }

    /// The bytes of the line, with its end.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let mut bytes = json::to_canonical(self).map_err(|e| e.to_string())?;
        bytes.push(b'\n');
        if bytes.len() > LINE_BYTES {
            return Err(format!("has more than {LINE_BYTES} bytes"));
        }
        Ok(bytes)
    }

    /// Reads a line, with its end. It has to be exactly what this program would write: one text for each
    /// meaning, no key twice, none unknown.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let line: Self = json::from_slice(bytes).map_err(|e| e.to_string())?;
        if line.format != FORMAT {
            return Err(format!(
                "has format {}, this program reads {FORMAT}",
                line.format
            ));
        }
        if line.to_bytes()? != bytes {
            return Err("is not written as this program writes entries".into());
        }
        Ok(line)
    }

    /// Where it stands.
    pub fn position(&self, bytes: &[u8]) -> Position {
        Position {
            sequence: self.sequence,
            digest: Digest::of(bytes),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::{Code, Denial, NotAdmitted};

    pub(in crate::audit) fn line(entry: Entry) -> Line {
        Line {
            format: FORMAT,
            site: "s".into(),
            sequence: 7,
            previous: Some(Digest::of(b"before")),
            time: Time::from_unix(1_800_000_000).unwrap(),
            time_bound: Some(Time::from_unix(1_700_000_000).unwrap()),
            who: Who {
                uid: 0,
                user: "root".into(),
                login: "alice".into(),
            },
            phase: Phase::Decision,
            intent: None,
            open: Vec::new(),
            checkpoint: Some(6),
            entry,
        }
    }

    fn denial(code: Code, detail: impl Into<String>) -> Denial {
        Denial {
            code,
            detail: detail.into(),
        }
    }

    #[test]
    fn the_largest_entry_fits_into_a_line() {
        // Four bytes in UTF-8 each, or two that are escaped with a backslash: nothing is longer.
        for c in ["\u{1f600}", "\"", "\\", "\0", "a"] {
            let long = c.repeat(10_000);
            let refusal = Error::NotAdmitted(NotAdmitted {
                what: long.clone(),
                first: denial(Code::Pinned, long.clone()),
                others: vec![denial(Code::NoSpace, long.clone()); 1000],
            });
            let mut entry = Entry::new(Action::Apply)
                .about(long.clone())
                .release(&Version::new(1, 0, 0), Digest::of(b"r"))
                .moves(Some(u64::MAX), u64::MAX)
                .refusal(Action::Apply, &refusal);
            entry.plan = Some(Digest::of(b"p"));
            entry.signed_by = vec![
                SignedBy {
                    key: long.clone(),
                    person: long.clone()
                };
                1000
            ];
            let mut line = line(entry);
            line.who.user = long.clone();
            line.open = vec![u64::MAX; 8];
            let line = line.bounded();
            assert_eq!(line.entry.rules_left_out, 1001 - RULES as u64);
            let bytes = line.to_bytes().unwrap();
            assert_eq!(Line::parse(&bytes).unwrap(), line);
        }
    }

    #[test]
    fn a_line_has_one_text() {
        let bytes = line(Entry::new(Action::Init)).to_bytes().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        Line::parse(text.as_bytes()).unwrap();
        for (from, to) in [
            ("\"action\"", " \"action\""),
            (
                "\"action\":\"init\"",
                "\"action\":\"init\",\"action\":\"init\"",
            ),
            ("\"action\":\"init\"", "\"action\":\"\\u0069nit\""),
            ("{", "{\"added\":1,"),
            ("\n", ""),
            ("\n", " \n"),
            ("\"format\":1", "\"format\":2"),
            ("\"init\"", "\"unknown\""),
            ("\"sequence\":7", "\"sequence\":7.0"),
        ] {
            assert!(text.contains(from), "{from}");
            Line::parse(text.replacen(from, to, 1).as_bytes()).unwrap_err();
        }
    }

    #[test]
    fn a_refusal_names_every_rule_once() {
        let rule = |code: Code| RuleResult {
            rule: code.name().into(),
            result: Verdict::Pass,
            detail: String::new(),
        };
        let refusal = Error::NotAdmitted(NotAdmitted {
            what: "acme 1.0.0".into(),
            first: denial(Code::Pinned, "to 2"),
            others: vec![denial(Code::NoSpace, "at all")],
        });
        let entry = Entry::new(Action::Apply)
            .rules(vec![rule(Code::Pinned), rule(Code::CounterTooLow)])
            .refusal(Action::Apply, &refusal);
        let rules: Vec<_> = entry
            .rules
            .iter()
            .map(|r| (r.rule.as_str(), r.result))
            .collect();
        assert_eq!(
            rules,
            [
                ("pinned", Verdict::Deny),
                ("no-space", Verdict::Deny),
                ("counter-too-low", Verdict::Pass)
            ]
        );
    }

    proptest! {
        #[test]
        fn whatever_a_text_holds_stays_in_its_line(text in ".*", name in "\\PC*") {
            let mut entry = Entry::new(Action::Pin).about(&text);
            entry.reason = format!("a\n\r\u{1b}[2J\u{202e}{text}\u{2028}");
            entry.signed_by.push(SignedBy { key: name.clone(), person: name });
            let bytes = line(entry).bounded().to_bytes().unwrap();
            prop_assert_eq!(bytes.iter().filter(|b| b.is_ascii_control()).count(), 1);
            Line::parse(&bytes).unwrap();
        }
    }
}
