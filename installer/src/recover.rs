//! Finishing or undoing what a crash left. Everything is derived from what is on disk.
//!
//! | journal | the state names it | what is done |
//! |---|---|---|
//! | none | | nothing |
//! | staging | no | the unfinished generation and its blobs are removed |
//! | activating | yes | the commit happened: only the journal is left to remove |
//! | activating | no | `current` goes back, the hook runs, an uncommitted generation is removed |
//! | pruning | | removing goes on |
//! | repairing | | what was not put in place is removed |

use crate::{
    activate,
    audit::{Action, Entry, Outcome},
    error::Result,
    journal::Phase,
    prune,
    site::{Context, Locked, Ready},
};

impl<'d> Locked<'d> {
    /// Finishes or undoes what was interrupted, and says what that was. Every command that changes a site
    /// begins with this.
    pub fn recover(self, ctx: &Context<'_>) -> Result<(Ready<'d>, Option<Phase>)> {
        let phase = self.site.interrupted()?;
        let mut site = Ready::new(self);
        // Waits for nothing: a site that is half way must come out of it, whatever state its log is in.
        let intent = phase.as_ref().map(|phase| {
            let what = Entry::new(Action::Recover).about(phase.describe());
            site.intend_anyway(what, ctx)
        });
        match &phase {
            None => {}
            Some(Phase::Staging { generation }) => unstage(&site, *generation)?,
            Some(Phase::Activating {
                generation, kind, ..
            }) => activate::recover(&mut site, *generation, *kind, ctx)?,
            Some(Phase::Pruning { generations }) => prune::finish(&mut site, generations, ctx)?,
            Some(Phase::Repairing) => {
                site.empty_trash()?;
                site.collect_garbage()?;
                site.end()?;
            }
        }
        for damage in site.damage() {
            ctx.progress.note(&damage.to_string());
        }
        site.tidy()?;
        if let Some(intent) = intent {
            site.conclude(intent, Outcome::Done, "", ctx);
        }
        if let Err(e) = site.settle(ctx) {
            ctx.progress.note(&format!("the audit log: {e}"));
        }
        if let Some(phase) = &phase {
            ctx.progress.note(&format!(
                "recovered from {}, which was interrupted",
                phase.describe()
            ));
        }
        Ok((site, phase))
    }
}

/// Removes a generation that was being put together, with the blobs that only it needed.
pub(crate) fn unstage(site: &Ready<'_>, generation: u64) -> Result<()> {
    site.discard(generation)?;
    site.collect_garbage()?;
    site.end()
}
