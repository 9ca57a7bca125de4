//! `pin`: versions that this site keeps to.

use std::fmt::Write as _;

use sealift_verifier::{
    error::printable,
    facts::{Level, Pin, Wanted},
    path::Name,
};
use serde_json::json;

use super::{Answer, Failed, Scene, to_json};
use crate::{generation, pins};

/// Say which versions this site keeps to: a release with others is refused
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Keep to a version, or to versions that meet a requirement; replaces the pin that is there
    Add(AddArgs),
    /// Show the pins
    List,
    /// Take a pin away
    Remove(Place),
}

#[derive(Debug, clap::Args)]
struct Place {
    /// platform, suite or capability
    level: Level,
    /// The product, the suite such as `core`, or the capability such as `core/api`
    name: Name,
}

#[derive(Debug, clap::Args)]
struct AddArgs {
    #[command(flatten)]
    place: Place,
    /// A full version, which is that very version, or a requirement such as `^2.1` or `>=2, <3`
    #[arg(value_name = "VERSION")]
    versions: Wanted,
    /// Why, for colleagues
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

pub(super) fn run(args: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    match &args.command {
        Command::Add(args) => add(args, scene),
        Command::List => list(scene),
        Command::Remove(place) => remove(place, scene),
    }
}

fn add(args: &AddArgs, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let mut site = scene.ready("pin")?;
    let pin = Pin {
        level: args.place.level,
        name: args.place.name.clone(),
        version: args.versions.clone(),
        created: Some(scene.context.now),
        reason: args.reason.clone(),
    };
    let before = pins::add(&mut site, pin.clone(), &scene.context)?;
    let mut text = format!("pinned: {}\n", line(&pin));
    if let Some(before) = &before {
        let _ = writeln!(text, "before: {}", line(before));
    }
    // A misspelt pin would refuse every release; said now, it is found now.
    let violated = match generation::running(&site)? {
        Some(running) => pins::violated(&running, std::slice::from_ref(&pin)),
        None => Vec::new(),
    };
    for violation in &violated {
        let _ = writeln!(text, "what runs now goes against it: {violation}");
    }
    let json = json!({ "pin": pin, "before": before, "violated": !violated.is_empty() });
    Ok(Answer { text, json })
}

fn list(scene: &Scene<'_>) -> Result<Answer, Failed> {
    let site = scene.site()?;
    let pins = &site.state().pins;
    let mut text = String::new();
    for pin in pins {
        let _ = writeln!(text, "{}", line(pin));
    }
    if pins.is_empty() {
        text.push_str("nothing is pinned\n");
    }
    let json = json!({ "pins": to_json(pins) });
    Ok(Answer { text, json })
}

fn remove(place: &Place, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let mut site = scene.ready("pin")?;
    let pin = pins::remove(&mut site, place.level, &place.name, &scene.context)?;
    Ok(Answer {
        text: format!("no longer pinned: {}\n", line(&pin)),
        json: json!({ "removed": pin }),
    })
}

/// A pin for people.
pub(super) fn line(pin: &Pin) -> String {
    let level = pin.level.name();
    let mut line = format!("{level} {} {}", pin.name, pin.version);
    if let Some(created) = pin.created {
        let _ = write!(line, ", since {created}");
    }
    if !pin.reason.is_empty() {
        let _ = write!(line, ": {}", printable(&pin.reason));
    }
    line
}
