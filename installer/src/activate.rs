//! Moving `current`: the one rename that switches releases, the hook that restarts services, the checks
//! that decide, and the way back.

use std::{path::Path, time::Duration};

use sealift_verifier::{digest::Digest, release::Release};
use semver::Version;

use crate::{
    disk::ReplaceError,
    error::{Code, Error, Result},
    health,
    journal::{Kind, Phase},
    process,
    site::{self, CURRENT, Context, Ready},
    state::{Action, Event, Outcome, State, TrustState},
};

/// How long the activate hook may take.
const HOOK_LIMIT: Duration = Duration::from_mins(2);

/// A generation that is to be activated, and what is committed if it holds.
pub(crate) struct Step<'a> {
    /// Its number; its folder is complete and durable.
    pub(crate) generation: u64,
    /// What it is for.
    pub(crate) kind: Kind,
    /// What it runs.
    pub(crate) release: &'a Release,
    /// The release digest.
    pub(crate) digest: Digest,
    /// The state with it as the current generation, without the event.
    pub(crate) success: State,
    /// What is trusted even if it fails.
    pub(crate) trust_anyway: TrustState,
}

impl Step<'_> {
    fn event(
        &self,
        from: Option<u64>,
        outcome: Outcome,
        reason: String,
        ctx: &Context<'_>,
    ) -> Event {
        Event {
            time: ctx.now,
            action: action(self.kind),
            outcome,
            generation: Some(self.generation),
            from,
            version: Some(self.release.version.clone()),
            release: Some(self.digest),
            reason,
        }
    }
}

fn action(kind: Kind) -> Action {
    match kind {
        Kind::Apply => Action::Apply,
        Kind::Rollback => Action::Rollback,
    }
}

/// Says in the journal that a generation is being activated.
pub(crate) fn begin(site: &Ready<'_>, generation: u64, kind: Kind) -> Result<()> {
    site.begin(&Phase::Activating {
        generation,
        from: site.state().current,
        kind,
    })
}

/// Activates a generation, watches it, and commits it or goes back to what ran before. The journal says so
/// already, see [`begin`].
pub(crate) fn activate(site: &mut Ready<'_>, step: Step<'_>, ctx: &Context<'_>) -> Result<()> {
    let from = site.state().current;
    let cause = match try_out(site, &step, from, ctx).and_then(|()| commit(site, &step, from, ctx))
    {
        Ok(()) => return finish(site),
        // The state names it already, so there is no going back.
        Err(Failure::AfterCommit(e)) => return Err(durability_unknown(&e)),
        Err(Failure::BeforeCommit(e)) => e,
    };
    ctx.progress
        .note(&format!("{cause}; going back to what ran before"));
    let event = step.event(from, Outcome::WentBack, cause.to_string(), ctx);
    let hook = go_back(
        site,
        step.generation,
        step.kind,
        event,
        Some(step.trust_anyway),
        ctx,
    )?;
    let mut back = match from {
        Some(from) => format!("generation {from} is active again"),
        None => "nothing is active, as before".into(),
    };
    if let Err(e) = hook {
        back = format!("{back}, but its hook failed too ({e})");
    }
    let what = match step.kind {
        Kind::Apply => "apply",
        Kind::Rollback => "rollback",
    };
    Err(Error::WentBack {
        what: format!(
            "{what} of {} {}",
            step.release.product, step.release.version
        ),
        back,
        cause: Box::new(cause),
    })
}

/// Which side of the commit point something failed on.
enum Failure {
    BeforeCommit(Error),
    AfterCommit(Error),
}

fn try_out(
    site: &Ready<'_>,
    step: &Step<'_>,
    from: Option<u64>,
    ctx: &Context<'_>,
) -> Result<(), Failure> {
    let go = || -> Result<()> {
        point(site, Some(step.generation))?;
        run_hook(
            site,
            Some(step.generation),
            from,
            Some(&step.release.version),
        )?;
        let root = site.path(&site::current_target(step.generation));
        let checks: usize = step
            .release
            .capabilities
            .iter()
            .map(|c| c.health.len())
            .sum();
        if checks > 0 {
            ctx.progress
                .note(&format!("waiting for {checks} health checks"));
        }
        health::check(step.release, &root, step.generation)
    };
    go().map_err(Failure::BeforeCommit)
}

fn commit(
    site: &mut Ready<'_>,
    step: &Step<'_>,
    from: Option<u64>,
    ctx: &Context<'_>,
) -> Result<(), Failure> {
    let mut state = step.success.clone();
    state.record(step.event(from, Outcome::Done, String::new(), ctx));
    site.commit(state).map_err(|e| match e {
        ReplaceError::Unchanged(e) => Failure::BeforeCommit(e),
        ReplaceError::DurabilityUnknown(e) => Failure::AfterCommit(e),
    })
}

/// What is left to do after the commit. Whatever fails here is done by the next recovery.
pub(crate) fn finish(site: &Ready<'_>) -> Result<()> {
    site.sweep_trusted()
        .and_then(|()| site.end())
        .map_err(|e| durability_unknown(&e))
}

fn durability_unknown(cause: &Error) -> Error {
    Error::new(
        Code::DurabilityUnknown,
        "the new generation is active and committed",
        format!("but the disk failed afterwards: {cause}"),
    )
}

/// Makes what the state names run again, drops a generation that was never committed, and records what
/// happened. The journal is there until the end, so this can be cut anywhere and done again. Returns what
/// the hook said; everything else that fails is `going-back-failed`.
pub(crate) fn go_back(
    site: &mut Ready<'_>,
    generation: u64,
    kind: Kind,
    event: Event,
    trust: Option<TrustState>,
    ctx: &Context<'_>,
) -> Result<Result<()>> {
    let to = site.state().current;
    let version = site.state().running().map(|g| g.version.clone());
    let failed = |e: Error| {
        Error::new(
            Code::GoingBackFailed,
            match to {
                Some(to) => format!("going back to generation {to}"),
                None => "going back to nothing".into(),
            },
            e.to_string(),
        )
    };
    point(site, to).map_err(failed)?;
    let hook = run_hook(site, to, Some(generation), version.as_ref());
    if let Err(e) = &hook {
        ctx.progress.note(&format!("while going back: {e}"));
    }
    let clean = || -> Result<()> {
        if kind == Kind::Apply {
            site.discard(generation)?;
            site.collect_garbage()?;
        }
        let mut state = site.state().clone();
        if let Some(trust) = trust {
            state.trust = trust;
        }
        state.next = state.next.max(generation.saturating_add(1));
        // Cut after this was written, the same is found again; once in the history is enough.
        let known = state.history.last().is_some_and(|last| {
            last.generation == event.generation && last.outcome != Outcome::Done
        });
        if !known {
            state.record(event);
        }
        if state != *site.state() {
            site.commit(state)?;
        }
        site.sweep_trusted()?;
        site.end()
    };
    clean().map_err(failed)?;
    Ok(hook)
}

/// Finishes or undoes an activation that was cut.
pub(crate) fn recover(
    site: &mut Ready<'_>,
    generation: u64,
    kind: Kind,
    ctx: &Context<'_>,
) -> Result<()> {
    if site.state().current == Some(generation) {
        return finish(site);
    }
    let known = site.state().generation(generation);
    let event = Event {
        time: ctx.now,
        action: action(kind),
        outcome: Outcome::Interrupted,
        generation: Some(generation),
        from: site.state().current,
        version: known.map(|g| g.version.clone()),
        release: known.map(|g| g.release),
        reason: "the program or the machine stopped before the commit".into(),
    };
    // What its hook said is no reason to stop recovering; it was told already.
    let _hook = go_back(site, generation, kind, event, None, ctx)?;
    Ok(())
}

/// Points `current` at a generation, or at nothing, with one rename, durably.
fn point(site: &Ready<'_>, generation: Option<u64>) -> Result<()> {
    let dir = site.dir();
    match generation {
        Some(number) => {
            let target = site::current_target(number);
            if dir.read_link(CURRENT)?.as_deref() == Some(target.as_str()) {
                return Ok(());
            }
            site.writer().replace_link(dir.at(CURRENT), &target)
        }
        None if site.writer().remove_file(dir.at(CURRENT))? => site.writer().sync_dir(dir),
        None => Ok(()),
    }
}

/// Runs the site's activate hook, if it has one.
fn run_hook(
    site: &Ready<'_>,
    generation: Option<u64>,
    previous: Option<u64>,
    version: Option<&Version>,
) -> Result<()> {
    let Some(hook) = &site.state().activate_hook else {
        return Ok(());
    };
    let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
    let environment = [
        ("SEALIFT_CURRENT", site.path(CURRENT).display().to_string()),
        ("SEALIFT_GENERATION", number(generation)),
        ("SEALIFT_PREVIOUS", number(previous)),
        (
            "SEALIFT_VERSION",
            version.map(ToString::to_string).unwrap_or_default(),
        ),
    ];
    process::run(
        Path::new(hook),
        &[],
        // Not the site's folder: what it leaves beside itself would be damage there.
        Path::new("/"),
        &environment,
        HOOK_LIMIT,
    )
    .map_err(|e| Error::new(Code::ActivateHookFailed, "activate hook", e))
}
