//! Removing old generations.

use crate::{
    audit::{self, Action, Entry},
    error::Result,
    journal::Phase,
    rollback,
    site::{Context, Ready, Site},
    state::{self, Event, Outcome},
};

/// What a prune removed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pruned {
    /// The generations that are gone.
    pub removed: Vec<u64>,
    /// The generations that are still kept.
    pub kept: Vec<u64>,
}

/// Removes all but the `keep` newest generations. The current one and the one that a rollback leads to
/// always stay.
pub fn prune(site: &mut Ready<'_>, keep: usize, ctx: &Context<'_>) -> Result<Pruned> {
    let Pruned { removed, .. } = choose(site, keep);
    if !removed.is_empty() {
        let entry = Entry::new(Action::Prune).about(describe(&removed));
        audit::recorded(site, entry, ctx, |site| {
            site.begin(&Phase::Pruning {
                generations: removed.clone(),
            })?;
            finish(site, &removed, ctx)
        })?;
    }
    let kept = site.state().generations.iter().map(|g| g.number).collect();
    Ok(Pruned { removed, kept })
}

/// What would be removed to keep so many, and what would be kept.
pub fn choose(site: &Site, keep: usize) -> Pruned {
    let state = site.state();
    let numbers: Vec<u64> = state.generations.iter().map(|g| g.number).collect();
    let old = numbers.len().saturating_sub(keep);
    // What cannot be known now must not remove anything that may be wanted later.
    let way = rollback::way(site).ok().and_then(|way| way.to);
    let needed = [state.current, state.previous(), way];
    let (mut removed, mut kept) = (Vec::new(), Vec::new());
    for (at, number) in numbers.into_iter().enumerate() {
        if at < old && !needed.contains(&Some(number)) {
            removed.push(number);
        } else {
            kept.push(number);
        }
    }
    Pruned { removed, kept }
}

/// Removes generations that the journal names; can be cut anywhere and done again. The state forgets them
/// first, so that nobody goes back to one that is half gone.
pub(crate) fn finish(site: &mut Ready<'_>, generations: &[u64], ctx: &Context<'_>) -> Result<()> {
    let mut state = site.state().clone();
    if generations.iter().any(|n| state.generation(*n).is_some()) {
        state.forget(generations);
        state.record(Event {
            time: ctx.now,
            action: state::Action::Prune,
            outcome: Outcome::Done,
            generation: None,
            from: None,
            version: None,
            release: None,
            reason: format!("removed {}", describe(generations)),
        });
        site.commit(state)?;
    }
    for generation in generations {
        site.discard(*generation)?;
    }
    site.empty_trash()?;
    site.collect_garbage()?;
    site.end()
}

fn describe(generations: &[u64]) -> String {
    let list: Vec<_> = generations.iter().map(ToString::to_string).collect();
    format!("generations {}", list.join(", "))
}
