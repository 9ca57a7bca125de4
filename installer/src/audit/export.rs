//! The log in the forms that other systems take: CEF and syslog. What is exported is for looking and alarms; what
//! proves something is the log itself, as JSON lines, with its checkpoints.

use std::fmt::Write as _;

use sealift_verifier::digest::Digest;

use super::entry::{Entry, Line, Outcome, Phase, RuleResult, Verdict};

/// Characters that a field of CEF may have at least (`ArcSight`, "CEF Implementation Standard", extension dictionary).
const CEF_TEXT: usize = 1023;
/// The same for fields that sites may use for their own (`cs1` and so on).
const CEF_OWN: usize = 4000;
/// Characters of a list in structured data: receivers of syslog have to take 2048 bytes, and most take 8192.
const SYSLOG_TEXT: usize = 1000;
/// The facility "log audit" (RFC 5424 6.2.1).
const LOG_AUDIT: u8 = 13;
/// Nobody has registered a number for us; this one is for examples and stands for nobody (RFC 5612).
const ENTERPRISE: &str = "32473";

/// The fields that CEF leaves to others, for what it has no name for: our name, the field, its label.
const LABELS: [(&str, &str, &str); 9] = [
    ("version", "cs1", "cs1Label"),
    ("release", "cs2", "cs2Label"),
    ("plan", "cs3", "cs3Label"),
    ("rules", "cs4", "cs4Label"),
    ("signedBy", "cs5", "cs5Label"),
    ("previous", "cs6", "cs6Label"),
    ("generation", "cn1", "cn1Label"),
    ("from", "cn2", "cn2Label"),
    ("intent", "cn3", "cn3Label"),
];

const PROGRAM: &str = "sealift-installer";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How bad it is, as CEF counts from 0 to 10.
fn severity(entry: &Entry) -> u8 {
    match entry.outcome {
        _ if entry.rules.iter().any(|r| r.result == Verdict::Overridden) => 7,
        Some(Outcome::Failed | Outcome::WentBack | Outcome::Interrupted) => 7,
        Some(Outcome::Refused) => 5,
        Some(Outcome::Done) | None => 3,
    }
}

/// How bad it is, as syslog counts: 4 is a warning, 5 a notice, 6 information (RFC 5424 6.2.1).
fn priority(entry: &Entry) -> u8 {
    let severity = match severity(entry) {
        7.. => 4,
        5..7 => 5,
        _ => 6,
    };
    LOG_AUDIT * 8 + severity
}

/// A sentence for people.
pub fn sentence(line: &Line) -> String {
    let entry = &line.entry;
    let mut text = entry.action.name();
    if let Some(of) = entry.of {
        let _ = write!(text, " of {}", of.name());
    }
    match (entry.outcome, line.phase) {
        (Some(outcome), Phase::Late) => {
            let _ = write!(text, " {} (recorded afterwards)", outcome.name());
        }
        (Some(outcome), _) => {
            let _ = write!(text, " {}", outcome.name());
        }
        (None, phase) => {
            let _ = write!(text, " {}", phase.name());
        }
    }
    if let Some(release) = &entry.release {
        let _ = write!(text, ", {}", release.version);
    }
    if let Some(generation) = entry.generation {
        let _ = write!(text, ", generation {generation}");
    }
    for part in [&entry.subject, &entry.reason] {
        if !part.is_empty() {
            let _ = write!(text, ": {part}");
        }
    }
    for rule in entry.rules.iter().filter(|r| r.result != Verdict::Pass) {
        let _ = write!(text, "; {}", said(rule));
    }
    let people = entry.signed_by.iter().map(|signer| signer.person.as_str());
    let people: Vec<&str> = people.filter(|person| !person.is_empty()).collect();
    if !people.is_empty() {
        let _ = write!(text, "; signed by {}", people.join(", "));
    }
    text
}

fn said(rule: &RuleResult) -> String {
    let result = match rule.result {
        Verdict::Pass => "pass",
        Verdict::Warn => "warn",
        Verdict::Deny => "deny",
        Verdict::Overridden => "overridden",
    };
    match rule.detail.as_str() {
        "" => format!("{} {result}", rule.rule),
        detail => format!("{} {result} ({detail})", rule.rule),
    }
}

/// What there is to say beside the sentence, by a name, the same in both forms.
fn details(line: &Line) -> Vec<(&'static str, String)> {
    let entry = &line.entry;
    let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
    let rules: Vec<_> = entry.rules.iter().map(said).collect();
    let signed: Vec<_> = entry
        .signed_by
        .iter()
        .map(|s| format!("{} {}", s.key, s.person).trim_end().to_owned())
        .collect();
    let release = entry.release.as_ref();
    let mut all = vec![
        (
            "version",
            release.map(|r| r.version.to_string()).unwrap_or_default(),
        ),
        (
            "release",
            release.map(|r| r.digest.to_hex()).unwrap_or_default(),
        ),
        ("plan", entry.plan.map(Digest::to_hex).unwrap_or_default()),
        ("rules", rules.join("; ")),
        ("signedBy", signed.join("; ")),
        (
            "previous",
            line.previous.map(Digest::to_hex).unwrap_or_default(),
        ),
        ("generation", number(entry.generation)),
        ("from", number(entry.from)),
        ("intent", number(line.intent)),
    ];
    all.retain(|(_, value)| !value.is_empty());
    all
}

fn cut(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

/// An entry as a line of the Common Event Format, version 0, without its end.
pub fn cef(line: &Line) -> String {
    let entry = &line.entry;
    let header = |text: &str| text.replace('\\', "\\\\").replace('|', "\\|");
    let value = |text: &str| {
        text.replace('\\', "\\\\")
            .replace('=', "\\=")
            .replace('\n', "\\n")
            .replace('\r', "\\r")
    };
    let action = entry.action.name();
    let name = match entry.of {
        Some(of) => format!("{action} of {}", of.name()),
        None => action.clone(),
    };
    let mut text = format!(
        "CEF:0|Sealift|{PROGRAM}|{}|{}|{}|{}|",
        header(VERSION),
        header(&action),
        header(&name),
        severity(entry)
    );
    let outcome = entry.outcome.map_or("", Outcome::name);
    let mut fields = vec![
        ("rt", (line.time.unix().saturating_mul(1000)).to_string()),
        ("externalId", line.sequence.to_string()),
        ("deviceExternalId", cut(&line.site, 255)),
        ("cat", line.phase.name().to_owned()),
        ("suid", line.who.uid.to_string()),
        ("suser", cut(&line.who.user, CEF_TEXT)),
        ("outcome", outcome.to_owned()),
        ("reason", cut(&entry.reason, CEF_TEXT)),
        ("msg", cut(&sentence(line), CEF_TEXT)),
    ];
    for (name, detail) in details(line) {
        if let Some((name, field, label)) = LABELS.iter().find(|(n, _, _)| *n == name) {
            fields.push((label, (*name).to_owned()));
            fields.push((field, cut(&detail, CEF_OWN)));
        }
    }
    fields.retain(|(_, value)| !value.is_empty());
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, text)| format!("{name}={}", value(text)))
        .collect();
    text.push_str(&fields.join(" "));
    text
}

/// An entry as a message of RFC 5424, without a line end.
pub fn syslog(line: &Line) -> String {
    // Section 6.3.3: these three, and nothing else, are escaped.
    let value = |text: &str| {
        text.replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace(']', "\\]")
    };
    let entry = &line.entry;
    let mut parameters = vec![
        ("sequence", line.sequence.to_string()),
        ("site", line.site.clone()),
        ("phase", line.phase.name().to_owned()),
        ("uid", line.who.uid.to_string()),
        ("user", line.who.user.clone()),
        ("login", line.who.login.clone()),
        ("of", entry.of.map(super::Action::name).unwrap_or_default()),
        (
            "outcome",
            entry.outcome.map_or("", Outcome::name).to_owned(),
        ),
        ("subject", entry.subject.clone()),
        (
            "timeBound",
            line.time_bound.map(|t| t.to_string()).unwrap_or_default(),
        ),
    ];
    parameters.extend(details(line));
    parameters.retain(|(_, text)| !text.is_empty());
    let mut data = String::new();
    for (name, text) in parameters {
        let _ = write!(data, " {name}=\"{}\"", value(&cut(&text, SYSLOG_TEXT)));
    }
    format!(
        "<{}>1 {} - {PROGRAM} - {} [origin software=\"{PROGRAM}\" swVersion=\"{VERSION}\"][audit@{ENTERPRISE}{data}] \u{feff}{}",
        priority(entry),
        line.time,
        entry.action.name(),
        cut(&sentence(line), SYSLOG_TEXT)
    )
}

#[cfg(test)]
mod tests {
    use super::{super::entry::tests::line, *};
    use crate::audit::Action;

    fn hostile() -> Line {
        let mut entry = Entry::new(Action::Refusal).about(r#"a|b\c="d"]e"#);
        entry.of = Some(Action::Apply);
        entry.outcome = Some(Outcome::Refused);
        entry.reason = "x=1 y=2 | \\n".into();
        line(entry).bounded()
    }

    #[test]
    fn cef_escapes_what_ends_a_field() {
        assert_eq!(
            cef(&hostile()),
            concat!(
                r"CEF:0|Sealift|sealift-installer|",
                env!("CARGO_PKG_VERSION"),
                r"|refusal|refusal of apply|5|",
                r"rt=1800000000000 externalId=7 deviceExternalId=s cat=decision suid=0 suser=root outcome=refused ",
                r"reason=x\=1 y\=2 | \\n ",
                r#"msg=refusal of apply refused: a|b\\c\="d"]e: x\=1 y\=2 | \\n "#,
                "cs6Label=previous cs6=6db7d803e74f1ffa7d8f5adc0bf95b3e15bf4c8373fffadf546227cc6c6742cb"
            )
        );
    }

    #[test]
    fn syslog_escapes_what_ends_a_value() {
        assert_eq!(
            syslog(&hostile()),
            concat!(
                "<109>1 2027-01-15T08:00:00Z - sealift-installer - refusal ",
                r#"[origin software="sealift-installer" swVersion=""#,
                env!("CARGO_PKG_VERSION"),
                r#""]"#,
                r#"[audit@32473 sequence="7" site="s" phase="decision" uid="0" user="root" login="alice" of="apply" "#,
                r#"outcome="refused" subject="a|b\\c=\"d\"\]e" timeBound="2023-11-14T22:13:20Z" previous=""#,
                "6db7d803e74f1ffa7d8f5adc0bf95b3e15bf4c8373fffadf546227cc6c6742cb",
                "\"] \u{feff}refusal of apply refused: a|b\\c=\"d\"]e: x=1 y=2 | \\n"
            )
        );
    }
}
