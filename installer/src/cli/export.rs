//! `export`: writes a kept generation as a bundle again.

use std::path::PathBuf;

use serde_json::json;

use super::{Answer, Failed, Scene, size};
use crate::export;

/// Write a kept generation as a bundle again, byte for byte the one that came
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The generation; see `status` for those that are kept
    generation: u64,
    /// The bundle to write; never overwritten
    #[arg(short = 'o', long = "out", visible_alias = "to", value_name = "FILE")]
    to: PathBuf,
}

pub(super) fn run(args: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let site = scene.ready("export")?;
    let bytes = export::export(&site, args.generation, &args.to, &scene.context)?;
    let path = args.to.display().to_string();
    Ok(Answer {
        text: format!(
            "generation {} written to {path}, {}\n",
            args.generation,
            size(bytes)
        ),
        json: json!({ "generation": args.generation, "file": path, "bytes": bytes }),
    })
}
