//! `check`: is this release definition one that can be built?

use std::{fmt::Write as _, path::PathBuf};

use sealift_verifier::release::Mode;
use serde_json::json;

use super::{Answer, Surroundings, compat::follow, one_or_all, progress::Bars};
use crate::{
    build::threads, check, collect::Options, error::Result, plan::PlannedContent, sbom::Inventories,
};

/// Find every problem of a release definition and of what it names
///
/// Each problem comes with file, line, column, key and a hint. Contents are read: declared digests and the
/// blobs of images are compared, configurations are searched for secrets. Exits with 1 if anything is wrong.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The release definition
    #[arg(value_name = "RELEASE.toml")]
    definition: PathBuf,
    /// The release before this one, a bundle or a definition, that its type follows from; for each mode one of them.
    /// Goes before `previous` of the definition
    #[arg(long, value_name = "BUNDLE")]
    previous: Vec<PathBuf>,
    /// A trusted root, or the folder that holds 1.root.json; needed where the release before is a bundle
    #[arg(long = "root", value_name = "PATH")]
    roots: Vec<PathBuf>,
    /// A mode to check for; may be given several times. Without, those of the definition
    #[arg(long = "mode", value_name = "MODE")]
    modes: Vec<Mode>,
    /// Refuse if there is no lock
    #[arg(long)]
    locked: bool,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<Answer> {
    let options = Options {
        locked: args.locked,
        ..around.options()?
    };
    let mut text = String::new();
    let mut releases = Vec::new();
    let bars = Bars::new();
    let plans = check::check(&args.definition, &options, &args.modes)?;
    // What is checked is what lies there, not what a cache remembers.
    let inventories = Inventories::of(plans.len());
    inventories.find(&plans, &(), threads(), &bars);
    for (mut plan, packages) in plans.into_iter().zip(inventories.all()?) {
        let followed = follow(
            &mut plan,
            &args.definition,
            &args.previous,
            &args.roots,
            around,
        )?;
        let packages = || packages.values().flatten();
        let artifacts = plan.capabilities.iter().map(|c| c.artifacts.len()).sum();
        let mode = plan.release.mode;
        let _ = writeln!(
            text,
            "{} {}{}: {}, {}, no problem found",
            plan.release.product,
            plan.release.version,
            mode.map_or(String::new(), |mode| format!(" for {mode}")),
            counted(plan.capabilities.len(), "capability", "capabilities"),
            counted(artifacts, "artifact", "artifacts"),
        );
        releases.push(json!({
            "product": plan.release.product,
            "version": plan.release.version,
            "mode": mode,
            "counter": plan.counter,
            "published": plan.release.published,
            "expires": plan.expires,
            "capabilities": plan.capabilities.iter().map(|c| json!({
                "name": c.manifest.name,
                "version": c.manifest.version,
                "artifacts": c.artifacts.iter().map(|a| json!({ "name": a.name, "type": kind(&a.content) })).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "type": plan.release.release_type,
            "changes": followed.changes,
            "packages": packages().count(),
            "packages-without-license": packages().filter(|p| p.license.is_none()).count(),
            "problems": [],
        }));
    }
    Ok(Answer {
        text,
        json: one_or_all(releases),
    })
}

fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

fn kind(content: &PlannedContent) -> &'static str {
    match content {
        PlannedContent::Image(_) => "image",
        PlannedContent::Tree(_) => "tree",
        PlannedContent::File(_) => "file",
        PlannedContent::Config(_) => "config",
        PlannedContent::Notice(_) => "notice",
    }
}
