//! `rollback`: goes back to a kept generation.

use serde_json::json;

use super::{Answer, Failed, Scene};
use crate::rollback;

/// Go back to the generation that ran before, or to another kept one
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The generation to go to; see `status` for those that are kept
    #[arg(long, value_name = "GENERATION")]
    to: Option<u64>,
    /// Only say where it would lead, and what stands in the way
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    if args.dry_run {
        let site = scene.site()?;
        let target = rollback::check(&site, args.to, &scene.context)?;
        let version = &site.kept(target)?.version;
        return Ok(Answer {
            text: format!("would go back to generation {target}, {version}; nothing was changed\n"),
            json: json!({ "dry-run": true, "generation": target, "from": site.state().current, "version": version }),
        });
    }
    let mut site = scene.ready("rollback")?;
    let from = site.state().current;
    let generation = rollback::rollback(&mut site, args.to, &scene.context)?;
    let version = site.kept(generation)?.version.clone();
    let text = if from == Some(generation) {
        format!("generation {generation}, {version}, runs already: nothing to do\n")
    } else {
        format!("generation {generation}, {version}, is active again\n")
    };
    let json = json!({ "generation": generation, "from": from, "version": version });
    Ok(Answer { text, json })
}
