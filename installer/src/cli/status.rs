//! `status`: what the site is and what it runs.

use std::fmt::Write as _;

use serde_json::json;

use super::{Answer, Failed, Scene, to_json};
use crate::state::ClockPolicy;

/// What is said wherever a root for development is trusted.
pub(super) const DEVELOPMENT: &str =
    "warning: this root has throw-away development keys; never use it in production\n";

/// Show what the site runs, keeps and trusts
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let site = scene.site()?;
    let state = site.state();
    let interrupted = site.interrupted()?.map(|phase| phase.describe());
    let folder = site.dir().path().display().to_string();
    let trust = &state.trust;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<16}{value}");
    };
    line("site", state.site.clone());
    line("folder", folder.clone());
    match (state.running(), &state.product) {
        (Some(running), Some(product)) => {
            line(
                "running",
                format!(
                    "{product} {}, generation {}",
                    running.version, running.number
                ),
            );
            line("release digest", running.release.to_string());
        }
        _ => line("running", "nothing".into()),
    }
    if let Some(previous) = state.previous() {
        line("rollback to", format!("generation {previous}"));
    }
    for generation in &state.generations {
        let current = if state.current == Some(generation.number) {
            ", current"
        } else {
            ""
        };
        line(
            "kept",
            format!(
                "generation {}, {}, committed {}{current}",
                generation.number, generation.version, generation.committed
            ),
        );
    }
    if let Some(floor) = &state.security_floor {
        line("security floor", floor.to_string());
    }
    line(
        "trusted root",
        format!("version {}, fingerprint {}", trust.root, trust.root_digest),
    );
    if let Some(newest) = &trust.newest {
        line("release counter", newest.counter.to_string());
    }
    if let Some(time) = trust.time {
        line("not before", format!("{time}, by signed data"));
    }
    line(
        "clock",
        match state.clock {
            ClockPolicy::Enforce => "enforced".into(),
            ClockPolicy::Ignore => "ignored".into(),
        },
    );
    if let Some(hook) = &state.activate_hook {
        line("activate hook", hook.clone());
    }
    if let Some(what) = &interrupted {
        line(
            "interrupted",
            format!("{what}; the next command recovers, or run `recover`"),
        );
    }
    if trust.development {
        text.push_str(DEVELOPMENT);
    }
    let json = json!({
        "site": state.site,
        "state-folder": folder,
        "product": state.product,
        "current": state.running().map(to_json),
        "previous": state.previous(),
        "generations": state.generations,
        "security-floor": state.security_floor,
        "root": { "version": trust.root, "fingerprint": trust.root_digest },
        "counter": trust.newest.as_ref().map(|newest| newest.counter),
        "time": trust.time,
        "clock": state.clock,
        "activate-hook": state.activate_hook,
        "development": trust.development,
        "interrupted": interrupted,
    });
    Ok(Answer { text, json })
}
