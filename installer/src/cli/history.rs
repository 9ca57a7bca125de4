//! `history`: what happened at the site.

use sealift_verifier::error::printable;
use serde_json::json;

use super::{Answer, Failed, Scene, to_json};
use crate::{
    revoked::Revocations,
    state::{Action, Event, Outcome},
};

/// Show what happened at the site, the oldest first
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let site = scene.site()?;
    // What happened can be told without the roots that say what was revoked since.
    let revocations = Revocations::of_site(&site).ok();
    let revoked = |event: &Event| {
        let known = revocations.as_ref().zip(event.release);
        known.is_some_and(|(revocations, release)| !revocations.of(release).is_empty())
    };
    let history = &site.state().history;
    let events = history.iter().map(|event| {
        let mut json = to_json(event);
        if revoked(event) {
            json["revoked"] = true.into();
        }
        json
    });
    let json = json!({ "history": events.collect::<Vec<_>>() });
    let text = history
        .iter()
        .map(|event| line(event, revoked(event)))
        .collect();
    Ok(Answer { text, json })
}

fn line(event: &Event, revoked: bool) -> String {
    let action = match event.action {
        Action::Init => "init",
        Action::Apply => "apply",
        Action::Rollback => "rollback",
        Action::Prune => "prune",
        Action::Pin => "pin",
        Action::Unpin => "unpin",
        Action::Trust => "trust",
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
    what.extend(revoked.then(|| "(revoked since)".to_owned()));
    let mut parts = vec![what.join(" "), printable(&event.reason)];
    parts.retain(|part| !part.is_empty());
    let line = format!(
        "{}  {action:<9} {outcome:<12} {}",
        event.time,
        parts.join(": ")
    );
    format!("{}\n", line.trim_end())
}
