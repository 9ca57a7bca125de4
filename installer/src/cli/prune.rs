//! `prune`: removes old generations.

use super::{Answer, Failed, Scene, list, to_json};
use crate::prune;

/// Remove old generations, never the current one or the one that a rollback leads to
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How many of the newest generations stay
    #[arg(long, value_name = "NUMBER")]
    keep: usize,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    if args.dry_run {
        let pruned = prune::choose(&scene.site()?, args.keep);
        let text = format!(
            "would remove: {}; nothing was changed\n",
            list(&pruned.removed)
        );
        return Ok(Answer {
            text,
            json: to_json(&pruned),
        });
    }
    let mut site = scene.ready("prune")?;
    let pruned = prune::prune(&mut site, args.keep, &scene.context)?;
    let text = if pruned.removed.is_empty() {
        format!("nothing to remove; kept: {}\n", list(&pruned.kept))
    } else {
        format!(
            "removed: {}; kept: {}\n",
            list(&pruned.removed),
            list(&pruned.kept)
        )
    };
    let json = to_json(&pruned);
    Ok(Answer { text, json })
}
