//! The compliance report (ID-1 13.2): what was installed at a site over a time, who approved it, what was refused, which
//! rules were set aside, what went back, and which advisories are open. All of it is taken from the audit log, which is
//! verified first; a report about a damaged log says so in its first line.

mod html;

use std::collections::{BTreeMap, BTreeSet};

use sealift_verifier::{
    digest::Digest, license::Environment, path::Name, release::Severity, time::Time,
};
use semver::Version;
use serde::Serialize;

pub use html::render;

use crate::{
    admission,
    audit::{
        Action, Line, Outcome, Phase, SignedBy, Verdict,
        show::{Filter, Selection},
        verify::{self, Against},
    },
    error::Result,
    generation, licenses,
    site::{Context, Site},
};

/// Rows of one list. A report of more is no report that anybody reads; how many were left out is said.
const ROWS: usize = 5000;

/// A compliance report. The JSON form is stable: fields are added, never renamed or removed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The site's id.
    pub site: String,
    /// Its product.
    pub product: Option<Name>,
    /// What its deployment is for.
    pub environment: Option<Environment>,
    /// From when on.
    pub from: Option<Time>,
    /// Until when.
    pub to: Option<Time>,
    /// When the report was made, by the local clock.
    pub made: Time,
    /// What the log is.
    pub log: LogState,
    /// What runs when the report is made.
    pub running: Option<Running>,
    /// The numbers.
    pub summary: Summary,
    /// Releases that were installed, or should have been.
    pub releases: Vec<Deployment>,
    /// Rollbacks that people asked for.
    pub rollbacks: Vec<Deployment>,
    /// What people requested, approved and withdrew.
    pub approvals: Vec<Event>,
    /// What was refused.
    pub refusals: Vec<Event>,
    /// What came in against a rule.
    pub exceptions: Vec<Event>,
    /// Changes of the rules themselves: policies, licenses, pins, trust.
    pub changes: Vec<Event>,
    /// Advisories that releases seen here correct, and what runs does not.
    pub open_advisories: Vec<Advisory>,
    /// What ends soon.
    pub warnings: Vec<String>,
    /// Rows that the lists above have no room for.
    pub left_out: u64,
}

/// What the audit log is.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LogState {
    /// Whether nothing was found that somebody has changed.
    pub sound: bool,
    /// What is wrong.
    pub problem: Option<String>,
    /// How many entries it has.
    pub entries: u64,
    /// The digest of the last one: with it, this report can be held against the log later.
    pub last: Option<Digest>,
    /// When the first one was written; nothing if that was after the time of the report.
    pub begins: Option<Time>,
}

/// What runs.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Running {
    /// The version.
    pub version: Version,
    /// The release digest.
    pub release: Digest,
    /// The generation.
    pub generation: u64,
    /// Since when.
    pub committed: Time,
}

/// The numbers (ID-1 11.1).
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// Releases whose installation began.
    pub deployments: u64,
    /// Those that were committed.
    pub succeeded: u64,
    /// Those that failed after activation, so that the site went back by itself.
    pub went_back: u64,
    /// Those that failed before, or were interrupted.
    pub failed: u64,
    /// Committed ones, in percent of all; nothing without any.
    pub success_percent: Option<u64>,
    /// Seconds from the decision to the commit, in the mean of those that were committed.
    pub mean_seconds: Option<u64>,
    /// Rollbacks that people asked for and that were done.
    pub rollbacks: u64,
    /// Refusals.
    pub refusals: u64,
    /// Deployments that came in against a rule.
    pub exceptions: u64,
    /// Deployments that met every rule, in percent of all; nothing without any.
    pub compliance_percent: Option<u64>,
}

/// One installation or rollback.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Deployment {
    /// When it was decided.
    pub time: Time,
    /// The version.
    pub version: Option<Version>,
    /// The release digest.
    pub release: Option<Digest>,
    /// The severity of the worst that it corrects.
    pub severity: Option<Severity>,
    /// The generation.
    pub generation: Option<u64>,
    /// How it ended; nothing if the log does not say yet.
    pub outcome: Option<Outcome>,
    /// Seconds that it took.
    pub seconds: Option<u64>,
    /// Why it ended so.
    pub reason: String,
    /// Who ran the program.
    pub by: String,
    /// Who approved it.
    pub approved_by: Vec<SignedBy>,
    /// Rules that were set aside for it, and why.
    pub exceptions: Vec<String>,
}

/// Something else that happened.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// When.
    pub time: Time,
    /// What.
    pub action: Action,
    /// What it was about.
    pub subject: String,
    /// The version of the release that it was about.
    pub version: Option<Version>,
    /// Who ran the program.
    pub by: String,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// What rules said, or why it ended so.
    pub details: Vec<String>,
}

/// An advisory that a release seen here corrects, and what runs does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Advisory {
    /// Its id.
    pub id: String,
    /// The lowest version seen here that corrects it.
    pub corrected_in: Version,
    /// When that version was first seen.
    pub seen: Time,
}

/// Makes the report of a site.
pub fn of(site: &Site, from: Option<Time>, to: Option<Time>, ctx: &Context<'_>) -> Result<Report> {
    let state = site.state();
    let verified = verify::verify(site, &Against::default())?;
    let policy = site.policy()?;
    let mut report = Report {
        site: state.site.clone(),
        product: state.product.clone(),
        environment: policy.rules.deployment.environment,
        from,
        to,
        made: ctx.now,
        log: LogState {
            sound: verified.problem.is_none(),
            problem: verified.problem.map(|p| {
                format!(
                    "{}, line {}: {}, {}",
                    p.file,
                    p.line,
                    p.kind.name(),
                    p.detail
                )
            }),
            entries: verified.entries,
            last: verified.last.map(|last| last.digest),
            begins: None,
        },
        running: state.running().map(|running| Running {
            version: running.version.clone(),
            release: running.release,
            generation: running.number,
            committed: running.committed,
        }),
        summary: Summary::default(),
        releases: Vec::new(),
        rollbacks: Vec::new(),
        approvals: Vec::new(),
        refusals: Vec::new(),
        exceptions: Vec::new(),
        changes: Vec::new(),
        open_advisories: Vec::new(),
        warnings: Vec::new(),
        left_out: 0,
    };
    let mut collected = Collected::new(from, to);
    Selection::of(
        site,
        Filter {
            to,
            ..Filter::default()
        },
    )?
    .each(&mut |line, _| {
        report.log.begins.get_or_insert(line.time);
        collected.take(line, &mut report);
        Ok(())
    })?;
    report.open_advisories = collected.open(site)?;
    report.summary.close(&report.releases);
    report.warnings = licenses::expiring(site, ctx)?;
    Ok(report)
}

/// What is known while the log is read.
struct Collected {
    from: Option<Time>,
    to: Option<Time>,
    /// Where the deployment or event of an intent stands, by the intent's sequence number.
    open: BTreeMap<u64, Place>,
    /// Advisories, and the lowest version that corrects each, with the time at which it was first seen.
    advisories: BTreeMap<String, (Version, Time)>,
    /// Advisories that releases which were committed here correct, by their versions.
    committed: BTreeMap<Version, BTreeSet<String>>,
}

#[derive(Clone, Copy)]
enum Place {
    Release(usize),
    Rollback(usize),
    Approval(usize),
    Change(usize),
    /// Not in the report.
    None,
}

impl Collected {
    fn new(from: Option<Time>, to: Option<Time>) -> Self {
        Self {
            from,
            to,
            open: BTreeMap::new(),
            advisories: BTreeMap::new(),
            committed: BTreeMap::new(),
        }
    }

    fn take(&mut self, line: &Line, report: &mut Report) {
        self.learn(line);
        // What a line had no room for is in nobody's report.
        report.left_out = report.left_out.saturating_add(line.entry.fixes_left_out);
        match (line.phase, line.intent) {
            (Phase::Outcome, Some(intent)) => {
                if let Some(place) = self.open.remove(&intent) {
                    close(place, line, report);
                }
            }
            _ if self.from.is_none_or(|from| line.time >= from)
                && self.to.is_none_or(|to| line.time < to) =>
            {
                let place = open(line, report);
                if line.phase == Phase::Intent {
                    self.open.insert(line.sequence, place);
                }
            }
            _ => {}
        }
    }

    /// What an entry says of advisories, whenever it was written.
    fn learn(&mut self, line: &Line) {
        let Some(release) = &line.entry.release else {
            return;
        };
        for id in &line.entry.fixes {
            let seen = (release.version.clone(), line.time);
            let first = self
                .advisories
                .entry(id.clone())
                .or_insert_with(|| seen.clone());
            if seen.0.cmp_precedence(&first.0).is_lt() {
                *first = seen;
            }
        }
        let done = line.phase == Phase::Outcome && line.entry.outcome == Some(Outcome::Done);
        if done && line.entry.action == Action::Apply {
            let fixes = self.committed.entry(release.version.clone()).or_default();
            fixes.extend(line.entry.fixes.iter().cloned());
        }
    }

    /// Advisories that what runs does not correct: neither itself, nor a release before it that was committed here.
    fn open(self, site: &Site) -> Result<Vec<Advisory>> {
        let Some(running) = generation::running(site)? else {
            return Ok(Vec::new());
        };
        let mut corrected = admission::fixes(&running);
        let before = self.committed.into_iter();
        for (_, fixes) in before.filter(|(v, _)| v.cmp_precedence(&running.version).is_le()) {
            corrected.extend(fixes);
        }
        let open = self.advisories.into_iter().filter(|(id, (version, _))| {
            !corrected.contains(id) && version.cmp_precedence(&running.version).is_gt()
        });
        Ok(open
            .map(|(id, (corrected_in, seen))| Advisory {
                id,
                corrected_in,
                seen,
            })
            .collect())
    }
}

/// Puts an entry where it belongs, and says where that is.
fn open(line: &Line, report: &mut Report) -> Place {
    let entry = &line.entry;
    match (entry.action, line.phase) {
        (Action::Apply, Phase::Intent | Phase::Late) => {
            let at = push(&mut report.releases, deployment(line), &mut report.left_out);
            at.map_or(Place::None, Place::Release)
        }
        (Action::Rollback, Phase::Intent | Phase::Late) => {
            let at = push(
                &mut report.rollbacks,
                deployment(line),
                &mut report.left_out,
            );
            at.map_or(Place::None, Place::Rollback)
        }
        (Action::Refusal, _) => {
            report.summary.refusals += 1;
            push(&mut report.refusals, event(line), &mut report.left_out);
            Place::None
        }
        (Action::Forced | Action::Override, _) => {
            push(&mut report.exceptions, event(line), &mut report.left_out);
            Place::None
        }
        (
            Action::Request
            | Action::ApprovalAdd
            | Action::ApprovalRemove
            | Action::AttestationAdd
            | Action::AttestationRemove,
            _,
        ) => {
            let at = push(&mut report.approvals, event(line), &mut report.left_out);
            at.map_or(Place::None, Place::Approval)
        }
        (
            Action::Apply | Action::Rollback | Action::Prune | Action::Attest | Action::TornEntry,
            _,
        ) => Place::None,
        _ => {
            let at = push(&mut report.changes, event(line), &mut report.left_out);
            at.map_or(Place::None, Place::Change)
        }
    }
}

/// Says how it ended.
fn close(place: Place, line: &Line, report: &mut Report) {
    let outcome = line.entry.outcome;
    let finish = |deployment: &mut Deployment| {
        let seconds = line.time.unix().saturating_sub(deployment.time.unix());
        deployment.outcome = outcome;
        deployment.seconds = u64::try_from(seconds).ok();
        deployment.reason.clone_from(&line.entry.reason);
    };
    let (list, at) = match place {
        Place::Release(at) => return report.releases.get_mut(at).map_or((), finish),
        Place::Rollback(at) => {
            report.summary.rollbacks += u64::from(outcome == Some(Outcome::Done));
            return report.rollbacks.get_mut(at).map_or((), finish);
        }
        Place::Approval(at) => (&mut report.approvals, at),
        Place::Change(at) => (&mut report.changes, at),
        Place::None => return,
    };
    if let Some(event) = list.get_mut(at) {
        event.outcome = outcome;
        if !line.entry.reason.is_empty() {
            event.details.push(line.entry.reason.clone());
        }
    }
}

fn push<T>(list: &mut Vec<T>, row: T, left_out: &mut u64) -> Option<usize> {
    if list.len() >= ROWS {
        *left_out = left_out.saturating_add(1);
        return None;
    }
    list.push(row);
    Some(list.len() - 1)
}

fn who(line: &Line) -> String {
    let who = &line.who;
    let name = [&who.login, &who.user]
        .into_iter()
        .find(|name| !name.is_empty());
    name.map_or_else(|| format!("uid {}", who.uid), Clone::clone)
}

fn deployment(line: &Line) -> Deployment {
    let entry = &line.entry;
    let aside = entry
        .rules
        .iter()
        .filter(|rule| rule.result == Verdict::Overridden);
    Deployment {
        time: line.time,
        version: entry
            .release
            .as_ref()
            .map(|release| release.version.clone()),
        release: entry.release.as_ref().map(|release| release.digest),
        severity: entry.severity,
        generation: entry.generation,
        outcome: entry.outcome,
        seconds: None,
        reason: entry.reason.clone(),
        by: who(line),
        approved_by: entry.signed_by.clone(),
        exceptions: aside
            .map(|rule| format!("{}: {}", rule.rule, rule.detail))
            .collect(),
    }
}

fn event(line: &Line) -> Event {
    let entry = &line.entry;
    let told = entry
        .rules
        .iter()
        .filter(|rule| rule.result != Verdict::Pass);
    let mut details: Vec<String> = told
        .map(|rule| format!("{}: {}", rule.rule, rule.detail))
        .collect();
    let signers: Vec<&str> = entry
        .signed_by
        .iter()
        .map(|signer| match signer.person.as_str() {
            "" => signer.key.as_str(),
            person => person,
        })
        .collect();
    if !signers.is_empty() {
        details.push(format!("signed by {}", signers.join(", ")));
    }
    if !entry.reason.is_empty() {
        details.push(entry.reason.clone());
    }
    Event {
        time: line.time,
        action: entry.action,
        subject: entry.subject.clone(),
        version: entry
            .release
            .as_ref()
            .map(|release| release.version.clone()),
        by: who(line),
        outcome: entry.outcome,
        details,
    }
}

impl Summary {
    /// The numbers that follow from the list of releases.
    fn close(&mut self, releases: &[Deployment]) {
        let count = |outcome| {
            releases
                .iter()
                .filter(|d| d.outcome == Some(outcome))
                .count() as u64
        };
        self.deployments = releases.len() as u64;
        self.succeeded = count(Outcome::Done);
        self.went_back = count(Outcome::WentBack);
        self.failed = count(Outcome::Failed) + count(Outcome::Interrupted);
        self.exceptions = releases.iter().filter(|d| !d.exceptions.is_empty()).count() as u64;
        let percent = |part: u64| (part * 100).checked_div(self.deployments);
        self.success_percent = percent(self.succeeded);
        self.compliance_percent = percent(self.deployments - self.exceptions);
        let done = releases.iter().filter(|d| d.outcome == Some(Outcome::Done));
        let seconds: Vec<u64> = done.filter_map(|d| d.seconds).collect();
        self.mean_seconds = seconds
            .iter()
            .sum::<u64>()
            .checked_div(seconds.len() as u64);
    }
}
