//! `facts`: what this site is, for the vendor.

use std::path::PathBuf;

use serde_json::json;

use super::{Answer, Failed, Scene, to_json, write_new};
use crate::{facts, generation};

/// Write what decides whether a release may go to this site, as JSON, for the vendor's `compat --site`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file to write instead of standard output; never overwritten
    #[arg(short = 'o', long = "out", visible_alias = "to", value_name = "FILE")]
    to: Option<PathBuf>,
}

pub(super) fn run(args: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let site = scene.site()?;
    let running = generation::running(&site)?;
    let facts = to_json(&facts::of(&site, running.as_ref())?);
    let text = format!("{facts:#}\n");
    let Some(to) = &args.to else {
        return Ok(Answer { text, json: facts });
    };
    write_new(to, text.as_bytes(), scene.disk)?;
    let path = to.display().to_string();
    Ok(Answer {
        text: format!("facts written to {path}\n"),
        json: json!({ "file": path, "facts": facts }),
    })
}
