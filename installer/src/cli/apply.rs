//! `apply`: installs the release of a bundle.

use std::path::PathBuf;

use super::{
    Answer, Ask, Failed, OverrideArgs, Scene, open_bundle, plan as plan_cli, size, to_json,
};
use crate::{
    apply::{self, Applied},
    error::{Code, Error, Result},
    plan::{self, Plan},
};

/// Verify a bundle, install its release and watch it; goes back by itself if it fails
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The bundle
    bundle: PathBuf,
    #[command(flatten)]
    pub(super) overrides: OverrideArgs,
    /// Only say what would change, as `plan` does
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn run(args: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let (file, name) = open_bundle(&args.bundle)?;
    if args.dry_run {
        let plan = plan::plan(&scene.site()?, file, &name, &scene.context)?;
        return plan_cli::answer(&plan);
    }
    let mut site = scene.ready("apply")?;
    let mut confirm = |plan: &Plan| {
        if args.yes {
            Ok(())
        } else {
            confirm(plan, scene.ask)
        }
    };
    let applied = apply::apply(&mut site, file, &name, &mut confirm, &scene.context)?;
    let state = site.state();
    let what = match (state.running(), &state.product) {
        (Some(running), Some(product)) => format!("{product} {}", running.version),
        _ => String::new(),
    };
    let text = match &applied {
        Applied::NothingToDo { generation } => {
            format!("{what} runs already as generation {generation}: nothing to do\n")
        }
        Applied::Committed {
            generation,
            blobs_written,
            bytes_written,
            ..
        } => format!(
            "{what} is active as generation {generation}; {} in {blobs_written} blobs were written\n",
            size(*bytes_written)
        ),
    };
    let json = to_json(&applied);
    Ok(Answer { text, json })
}

fn confirm(plan: &Plan, ask: Option<Ask<'_>>) -> Result<()> {
    let Some(ask) = ask else {
        let why = "nobody sits at a terminal to be asked, and --yes is missing";
        return Err(Error::new(Code::ConfirmationMissing, "apply", why));
    };
    let question = format!("{}Install it? [y/N] ", plan_cli::text(plan));
    let answer = ask(&question).map_err(|e| Error::io("the terminal", e))?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::new(Code::Declined, "apply", "was not confirmed")),
    }
}
