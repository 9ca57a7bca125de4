//! `report`: the compliance report.

use std::path::PathBuf;

use clap::ValueEnum;
use sealift_verifier::time::Time;
use serde_json::json;

use super::{Answer, Failed, Scene, audit::time, to_json, write_new};
use crate::{
    error::{Code, Error},
    report,
};

/// Make the compliance report: releases, approvals, exceptions, refusals, rollbacks, open advisories
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// From this time on, such as 2026-03-01 or 2026-03-01T12:00:00Z; from the beginning of the log otherwise
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Time>,
    /// Until before this time; until now otherwise
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Time>,
    /// The form of the file; with --output json, the same is written to standard output
    #[arg(long, value_enum, default_value_t = Format::Html)]
    format: Format,
    /// The file; never overwritten. Without it, the report goes to standard output
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One file for people, to read and to print.
    Html,
    /// For programs.
    Json,
}

pub(super) fn run(args: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from >= to
    {
        let why = format!("--from {from} is not before --to {to}");
        return Err(Error::new(Code::Usage, "report", why).into());
    }
    let report = report::of(&scene.site()?, args.from, args.to, &scene.context)?;
    let json = to_json(&report);
    let content = match args.format {
        Format::Html => report::render(&report)?,
        Format::Json => format!("{json}\n"),
    };
    let answer = match &args.out {
        None => Answer {
            text: content,
            json,
        },
        Some(path) => {
            write_new(path, content.as_bytes(), scene.disk)?;
            Answer {
                text: format!("report in {}\n", path.display()),
                json: json!({ "file": path, "report": json }),
            }
        }
    };
    match &report.log.problem {
        None => Ok(answer),
        // It was made, but nobody should take it for proof.
        Some(problem) => Err(Failed {
            error: Box::new(Error::new(
                Code::AuditDamaged,
                "the audit log",
                problem.clone(),
            )),
            answer: Some(Box::new(answer)),
        }),
    }
}
