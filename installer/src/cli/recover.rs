//! `recover`: finishes or undoes what was interrupted.

use serde_json::json;

use super::{Answer, Failed, Scene};
use crate::site::Locked;

/// Finish or undo what was interrupted; every other command that changes the site does it too
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let locked = Locked::take(&scene.state, scene.disk, "recover", scene.context.now)?;
    let (site, phase) = locked.recover(&scene.context)?;
    let what = phase.map(|phase| phase.describe());
    let current = site.state().current;
    let text = match &what {
        Some(what) => format!("recovered from {what}\n"),
        None => "nothing was interrupted\n".into(),
    };
    let json = json!({ "recovered": what, "current": current });
    Ok(Answer { text, json })
}
