//! `check`: is this release definition one that can be built?

use std::path::PathBuf;

use serde_json::json;

use super::{Answer, Surroundings};
use crate::{
    check,
    error::Result,
    plan::{Plan, PlannedContent},
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
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<Answer> {
    let plan = check::check(&args.definition, around.epoch()?)?;
    let (capabilities, artifacts) = count(&plan);
    let text = format!(
        "{} {}: {capabilities} capabilities, {artifacts} artifacts, no problem found\n",
        plan.product, plan.version
    );
    let json = json!({
        "product": plan.product,
        "version": plan.version,
        "counter": plan.counter,
        "published": plan.published,
        "expires": plan.expires,
        "capabilities": plan.capabilities.iter().map(|c| json!({
            "name": c.name,
            "version": c.version,
            "artifacts": c.artifacts.iter().map(|a| json!({ "name": a.name, "type": kind(&a.content) })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "problems": [],
    });
    Ok(Answer { text, json })
}

fn count(plan: &Plan) -> (usize, usize) {
    (
        plan.capabilities.len(),
        plan.capabilities.iter().map(|c| c.artifacts.len()).sum(),
    )
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
