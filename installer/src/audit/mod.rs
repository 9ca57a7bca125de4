//! The audit log: everything that decides or changes at a site, on one line each, chained by digests, signed by the
//! site's key, and on the disk before the effect that it records.
//!
//! [`entry`] is what a line says, [`log`](self) how it gets to the disk: [`Ready::intend`] before an effect,
//! [`Ready::conclude`] after it, [`Ready::decided`] for what has no effect of its own, [`recorded`] and [`checked`] for
//! all that is done in one go. [`checkpoint`] is what the site's key signs, [`read`] reads a log of any length in the memory of a
//! line. The format is that of `docs/audit.md`.

pub mod checkpoint;
pub mod cut;
pub mod entry;
pub mod export;
pub(crate) mod log;
pub mod read;
pub mod show;
pub mod verify;

pub use entry::{
    Action, Entry, Line, Outcome, Phase, Position, ReleaseName, RuleResult, SignedBy, Verdict, Who,
};
pub use log::{CHECKPOINTS, FOLDER, LOG, TORN};

use crate::{
    error::{Code, Error, Result},
    site::{Context, Ready},
};
use log::{Mark, Place};

/// An effect that may begin, because the log says so. It has to be concluded, however it ends.
#[must_use]
pub struct Intent {
    /// Its sequence number; nothing if it could not be written and the effect waits for nothing.
    sequence: Option<u64>,
    entry: Entry,
}

impl Ready<'_> {
    /// Says, durably, what is about to be done. If that cannot be written (`audit-unwritable`), or the log is not
    /// what it was (`audit-damaged`), it must not be done.
    pub fn intend(&self, entry: Entry, ctx: &Context<'_>) -> Result<Intent> {
        let sequence = self.write_entry(&Mark::INTENT, entry.clone(), ctx)?;
        Ok(Intent {
            sequence: Some(sequence),
            entry,
        })
    }

    /// Like [`Ready::intend`], for the way back, which no full disk and no damaged log may close: what cannot be
    /// written before is told to whoever sits there, and written afterwards if it can be.
    pub fn intend_anyway(&self, entry: Entry, ctx: &Context<'_>) -> Intent {
        self.intend(entry.clone(), ctx).unwrap_or_else(|e| {
            ctx.progress
                .note(&format!("not in the audit log, but done nevertheless: {e}"));
            Intent {
                sequence: None,
                entry,
            }
        })
    }

    /// Says how it ended. It has happened, so what fails here can only be told; for an intent that is left
    /// open, the next command says how it ended.
    pub fn conclude(&self, intent: Intent, outcome: Outcome, reason: &str, ctx: &Context<'_>) {
        let (mark, mut entry) = match intent.sequence {
            Some(sequence) => (Mark::outcome(sequence), log::outcome_entry(&intent.entry)),
            None => (Mark::LATE, intent.entry),
        };
        entry.outcome = Some(outcome);
        reason.clone_into(&mut entry.reason);
        if let Err(e) = self.write_entry(&mark, entry, ctx) {
            ctx.progress
                .note(&format!("how it ended is not in the audit log yet: {e}"));
        }
    }

    /// Records, durably, a decision that has no effect of its own, and returns its sequence number.
    pub fn decided(&self, entry: Entry, ctx: &Context<'_>) -> Result<u64> {
        self.write_entry(&Mark::DECISION, entry, ctx)
    }

    /// Records that `of` was refused, and returns the refusal. `entry` says as much as is known of what it was.
    pub fn refused(&self, of: Action, entry: Entry, error: Error, ctx: &Context<'_>) -> Error {
        if let Err(e) = self.decided(entry.refusal(of, &error), ctx) {
            // Nothing is done, so nothing is hidden; the refusal is what has to be told first.
            ctx.progress
                .note(&format!("the refusal is not in the audit log: {e}"));
        }
        error
    }

    /// Writes what an earlier program left out: how its intents ended.
    pub(crate) fn settle(&self, ctx: &Context<'_>) -> Result<()> {
        let mut log = self.audit_log();
        log.settle(&self.place(ctx), self.state())
    }

    fn write_entry(&self, mark: &Mark, entry: Entry, ctx: &Context<'_>) -> Result<u64> {
        let place = self.place(ctx);
        let mut log = self.audit_log();
        let sequence = log
            .append(&place, mark, entry)
            .map_err(|e| match e.kind() {
                Some(Code::AuditDamaged | Code::AuditUnwritable) => e,
                _ => Error::new(
                    Code::AuditUnwritable,
                    self.path(FOLDER).display().to_string(),
                    e.to_string(),
                ),
            })?;
        if let Err(e) = log.checkpoint(&place) {
            // The chain is whole without it, and the next command writes one.
            ctx.progress
                .note(&format!("the audit log has no checkpoint yet: {e}"));
        }
        Ok(sequence)
    }

    fn place<'a>(&'a self, ctx: &Context<'a>) -> Place<'a> {
        let state = self.state();
        Place {
            dir: self.dir(),
            writer: self.writer(),
            site: &state.site,
            key: state.site_key.as_deref(),
            committed: state.audit,
            time_bound: state.trust.time,
            now: ctx.now,
            who: ctx.who,
        }
    }
}

/// Does something between its intent and its outcome.
pub fn recorded<'d, T>(
    site: &mut Ready<'d>,
    entry: Entry,
    ctx: &Context<'_>,
    effect: impl FnOnce(&mut Ready<'d>) -> Result<T>,
) -> Result<T> {
    let intent = site.intend(entry, ctx)?;
    let result = effect(site);
    let (outcome, reason) = Outcome::of(&result);
    site.conclude(intent, outcome, &reason, ctx);
    result
}

/// Does something whose intent says what a check has found out, in the words of `say`. What the check refuses is
/// recorded as a refusal.
pub fn checked<'d, C, T>(
    site: &mut Ready<'d>,
    entry: Entry,
    ctx: &Context<'_>,
    check: impl FnOnce(&Ready<'d>) -> Result<C>,
    say: impl FnOnce(&C, Entry) -> Entry,
    effect: impl FnOnce(&mut Ready<'d>, C) -> Result<T>,
) -> Result<T> {
    match check(site) {
        Ok(found) => {
            let entry = say(&found, entry);
            recorded(site, entry, ctx, |site| effect(site, found))
        }
        Err(e) => Err(site.refused(entry.action, entry, e, ctx)),
    }
}
