//! `history`: what happened at the site.

use std::fmt::Write as _;

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
    };
    let outcome = match event.outcome {
        Outcome::Done => "done",
        Outcome::Failed => "failed",
        Outcome::WentBack => "went back",
        Outcome::Interrupted => "interrupted",
    };
    let mut text = format!("{}  {action:<9} {outcome:<12}", event.time);
    if let Some(version) = &event.version {
        let _ = write!(text, " {version}");
    }
    if let Some(generation) = event.generation {
        let _ = write!(text, " generation {generation}");
    }
    if let Some(from) = event.from {
        let _ = write!(text, " from {from}");
    }
    if !event.reason.is_empty() {
        let _ = write!(text, ": {}", printable(&event.reason));
    }
    text.push('\n');
    text
}
