//! `history`: what happened at the site.

use sealift_verifier::error::printable;
use serde_json::json;

use super::{Answer, Failed, Scene};
use crate::state::{Action, Event, Outcome};

/// Show what happened at the site, the oldest first
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let site = scene.site()?;
    let history = &site.state().history;
    let json = json!({ "history": history });
    let text = history.iter().map(line).collect();
    Ok(Answer { text, json })
}

fn line(event: &Event) -> String {
    let action = match event.action {
        Action::Init => "init",
        Action::Apply => "apply",
        Action::Rollback => "rollback",
        Action::Prune => "prune",
        Action::Pin => "pin",
        Action::Unpin => "unpin",
    };
    let outcome = match event.outcome {
        Outcome::Done => "done",
        Outcome::Failed => "failed",
        Outcome::WentBack => "went back",
        Outcome::Interrupted => "interrupted",
    };
    let mut what = Vec::new();
    what.extend(event.version.as_ref().map(ToString::to_string));
    what.extend(
        event
            .generation
            .map(|number| format!("generation {number}")),
    );
    what.extend(event.from.map(|number| format!("from {number}")));
    let mut parts = vec![what.join(" "), printable(&event.reason)];
    parts.retain(|part| !part.is_empty());
    let line = format!(
        "{}  {action:<9} {outcome:<12} {}",
        event.time,
        parts.join(": ")
    );
    format!("{}\n", line.trim_end())
}
