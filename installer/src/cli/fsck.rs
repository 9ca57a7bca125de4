//! `fsck`: checks the site completely, and repairs it.

use std::{fmt::Write as _, path::PathBuf};

use sealift_verifier::error::printable;

use super::{Answer, Failed, Scene, open_bundle, size, to_json};
use crate::{
    error::{Code, Error},
    fsck,
};

/// Re-hash everything the site keeps and compare it with what it should be
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Replace what is damaged with what this bundle holds
    #[arg(long, value_name = "BUNDLE")]
    from: Option<PathBuf>,
}

pub(super) fn run(args: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let bundle = args.from.as_deref().map(open_bundle).transpose()?;
    let site = scene.ready("fsck")?;
    let from = bundle
        .as_ref()
        .map(|(_, name)| name.clone())
        .unwrap_or_default();
    let from = bundle.map(|(file, _)| (file, from.as_str()));
    let report = fsck::fsck(&site, from, &scene.context)?;
    let mut text = String::new();
    for problem in &report.repaired {
        let _ = writeln!(
            text,
            "repaired: {} {}",
            printable(&problem.path),
            printable(&problem.problem)
        );
    }
    for problem in &report.problems {
        let _ = writeln!(
            text,
            "damaged: {} {}",
            printable(&problem.path),
            printable(&problem.problem)
        );
    }
    let _ = writeln!(
        text,
        "{} generations and {} blobs with {} checked, {} problems",
        report.generations,
        report.blobs,
        size(report.bytes),
        report.problems.len()
    );
    let json = to_json(&report);
    let answer = Answer { text, json };
    match report.problems.len() {
        0 => Ok(answer),
        count => Err(Failed {
            error: Box::new(Error::new(
                Code::DamageFound,
                site.dir().path().display().to_string(),
                format!("has {count} problems"),
            )),
            answer: Some(Box::new(answer)),
        }),
    }
}
