//! `plan`: what an apply would change.

use std::{fmt::Write as _, path::PathBuf};

use sealift_verifier::error::printable;

use super::{Answer, Failed, OverrideArgs, Scene, open_bundle, size, to_json};
use crate::plan::{self, Plan};

/// Verify a bundle completely and say what `apply` would change; changes nothing
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The bundle
    bundle: PathBuf,
    #[command(flatten)]
    pub(super) overrides: OverrideArgs,
}

pub(super) fn run(args: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let site = scene.site()?;
    let (file, name) = open_bundle(&args.bundle)?;
    answer(&plan::plan(&site, file, &name, &scene.context)?)
}

/// The plan as an answer; one that an apply would refuse is a failure with the plan beside it.
pub(super) fn answer(plan: &Plan) -> Result<Answer, Failed> {
    let answer = Answer {
        text: text(plan),
        json: to_json(plan),
    };
    refused(plan, answer)
}

/// An answer about a plan, as a failure if an apply would refuse it.
pub(super) fn refused(plan: &Plan, answer: Answer) -> Result<Answer, Failed> {
    match plan.refusal() {
        None => Ok(answer),
        Some(error) => Err(Failed {
            error: Box::new(error),
            answer: Some(Box::new(answer)),
        }),
    }
}

/// The plan for people.
pub(super) fn text(plan: &Plan) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        // Names and versions come with content, though signed.
        text.push_str(&printable(&line));
        text.push('\n');
    };
    let now = match &plan.current {
        Some(running) => format!("generation {}, {}", running.generation, running.version),
        None => "nothing".into(),
    };
    line(format!(
        "{} {}, published {}",
        plan.product, plan.version, plan.published
    ));
    line(format!(
        "release digest {}, counter {}",
        plan.release, plan.counter
    ));
    for (what, value) in about(plan) {
        line(format!("{what}: {value}"));
    }
    for change in &plan.changes {
        line(format!("  * {change}"));
    }
    line(format!("running now: {now}"));
    if plan.development {
        line("signed with throw-away development keys".into());
    }
    if plan.nothing_to_do {
        line("this very release runs already: nothing to do".into());
        return text;
    }
    line(format!("would become generation {}", plan.generation));
    let capabilities = &plan.capabilities;
    for (sign, list) in [('+', &capabilities.added), ('~', &capabilities.changed)] {
        for named in list {
            line(format!("  {sign} {} {}", named.name, named.version));
        }
    }
    for (sign, list) in [
        ('^', &capabilities.upgraded),
        ('v', &capabilities.downgraded),
    ] {
        for moved in list {
            line(format!(
                "  {sign} {} {} -> {}",
                moved.name, moved.from, moved.to
            ));
            if !moved.fixes.is_empty() {
                line(format!("      fixes {}", moved.fixes.join(", ")));
            }
            for change in &moved.changes {
                line(format!("      * {change}"));
            }
        }
    }
    for named in &capabilities.removed {
        line(format!("  - {} {}", named.name, named.version));
    }
    line(format!(
        "  {} capabilities unchanged",
        capabilities.unchanged.len()
    ));
    for (sign, list) in [('+', &plan.images.added), ('-', &plan.images.removed)] {
        for reference in list {
            line(format!("  {sign} image {reference}"));
        }
    }
    line(format!(
        "  {} images unchanged",
        plan.images.unchanged.len()
    ));
    line(format!(
        "{} files, {} health checks",
        plan.files, plan.health_checks
    ));
    let mut last = String::new();
    let _ = write!(
        last,
        "{} in {} blobs to write; {} of free space needed, {} there",
        size(plan.bytes_to_write),
        plan.blobs_to_write,
        size(plan.space_needed),
        size(plan.space_free)
    );
    line(last);
    for line_of in afterwards(plan) {
        line(line_of);
    }
    text
}

/// What is otherwise once it is installed, and what somebody should know before.
fn afterwards(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(floor) = &plan.security_floor {
        lines.push(format!(
            "afterwards, nothing below {floor} can be activated"
        ));
    }
    if let Some(running) = &plan.current {
        let number = running.generation;
        let obstacles = plan.no_way_back.iter();
        lines.extend(
            obstacles.map(|o| format!("afterwards, no rollback to generation {number}: {o}")),
        );
    }
    let warnings = plan.decision.warnings();
    lines.extend(warnings.map(|warning| format!("warning: {warning}")));
    lines.push(format!("plan digest {}", plan.decision.plan_digest));
    lines
}

/// What the vendor says of the release as a whole.
fn about(plan: &Plan) -> Vec<(&'static str, String)> {
    let mut about = Vec::new();
    about.extend(plan.release_type.map(|t| ("type", t.to_string())));
    about.extend(plan.mode.map(|mode| ("mode", mode.to_string())));
    about.extend(plan.severity.map(|s| ("severity", s.to_string())));
    if !plan.fixes.is_empty() {
        about.push(("fixes", plan.fixes.join(", ")));
    }
    if let Some(from) = &plan.upgrade_from {
        about.push(("upgrades from", from.to_string()));
    }
    about
}
