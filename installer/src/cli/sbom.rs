//! `sbom`: a bill of materials of a kept release.

use std::path::PathBuf;

use clap::ValueEnum;
use sealift_verifier::release::SbomFormat;

use super::{Answer, Failed, Scene, to_json, write_new};
use crate::sbom;

/// Write a release's bill of materials to standard output, or to a file, as the vendor signed it
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The generation; the current one otherwise
    #[arg(long, value_name = "NUMBER")]
    generation: Option<u64>,
    /// Which of those that the release has; the first otherwise
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The file to write instead of standard output; never overwritten
    #[arg(short = 'o', long = "out", visible_alias = "to", value_name = "FILE")]
    to: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// `CycloneDX` 1.6 as JSON.
    Cyclonedx,
    /// SPDX 2.3 as JSON.
    Spdx,
    /// SPDX 3.0.1 as JSON-LD.
    Spdx3,
}

impl From<Format> for SbomFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Cyclonedx => Self::CycloneDx,
            Format::Spdx => Self::Spdx2,
            Format::Spdx3 => Self::Spdx3,
        }
    }
}

pub(super) fn run(args: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let site = scene.site()?;
    let found = sbom::find(&site, args.generation, args.format.map(Into::into))?;
    let bytes = found.read(&site)?;
    let mut json = to_json(&found);
    let text = match &args.to {
        None => String::from_utf8_lossy(&bytes).into_owned(),
        Some(to) => {
            write_new(to, &bytes, scene.disk)?;
            let path = to.display().to_string();
            let text = format!("{} written to {path}\n", found.format.name());
            json["file"] = path.into();
            text
        }
    };
    Ok(Answer { text, json })
}
