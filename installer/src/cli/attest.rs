//! `attest`: says of the release that runs how it runs, for other sites.

use std::{fmt::Write as _, path::PathBuf, str::FromStr};

use sealift_verifier::{error::printable, promotion::Check};
use serde_json::json;

use super::{Answer, Failed, Scene, to_json, write_new};
use crate::{
    attestation::{self, Attested},
    audit::{self, Action, Entry},
    error::{Code, Error},
};

/// Say for other sites how the release that runs here does: asks its health checks, and signs what came out
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A check that was made in another way, and its result; may be given several times
    #[arg(long = "check", value_name = "NAME=passed|failed")]
    checks: Vec<Own>,
    /// Where the attestation goes
    #[arg(short = 'o', long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Clone)]
struct Own(Check);

impl FromStr for Own {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, passed) = match text.rsplit_once('=') {
            Some((name, "passed")) if !name.is_empty() => (name, true),
            Some((name, "failed")) if !name.is_empty() => (name, false),
            _ => return Err("is neither NAME=passed nor NAME=failed".into()),
        };
        Ok(Self(Check {
            name: name.to_owned(),
            passed,
        }))
    }
}

pub(super) fn run(args: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let mut site = scene.ready("attest")?;
    let own: Vec<Check> = args.checks.iter().map(|own| own.0.clone()).collect();
    let attested = attestation::attest(&site, &own, &scene.context)?;
    let said = &attested.attestation;
    let digest = attested.envelope.digest();
    let entry = Entry::new(Action::Attest)
        .release(&said.version, said.release)
        .about(format!("attestation {digest}, {}", result(&attested)));
    audit::recorded(&mut site, entry, &scene.context, |_| {
        write_new(&args.out, &attested.envelope.to_bytes(), scene.disk)
    })?;
    let answer = Answer {
        text: text(&attested, args),
        json: json!({
            "attestation": digest,
            "file": args.out,
            "statement": to_json(said),
            "failed": attested.failed.iter().map(|(name, reason)| json!({
                "name": name,
                "reason": reason,
            })).collect::<Vec<_>>(),
            "no-way-back": attested.no_way_back,
        }),
    };
    if attested.failed.is_empty() {
        return Ok(answer);
    }
    // It is written nevertheless: that a release does badly is worth knowing elsewhere.
    let failed = attested
        .failed
        .iter()
        .map(|(name, reason)| match &**reason {
            "" => name.clone(),
            reason => format!("{name}: {reason}"),
        });
    let detail = format!("failed {}", failed.collect::<Vec<_>>().join("; "));
    let subject = format!("{} {}", said.product, said.version);
    Err(Failed {
        error: Box::new(Error::new(Code::CheckFailed, subject, printable(&detail))),
        answer: Some(Box::new(answer)),
    })
}

fn result(attested: &Attested) -> String {
    let back = match &attested.attestation.rollback_to {
        Some(version) => format!("the way back leads to {version}"),
        None => "no way back".into(),
    };
    format!(
        "{} checks, {} failed, {back}",
        attested.attestation.checks.len(),
        attested.failed.len()
    )
}

fn text(attested: &Attested, args: &Args) -> String {
    let said = &attested.attestation;
    let mut text = format!(
        "{} {} in {}, since {}: {}\n",
        said.product,
        said.version,
        said.environment,
        said.committed,
        result(attested)
    );
    for check in &said.checks {
        let result = if check.passed { "passed" } else { "failed" };
        let _ = writeln!(text, "  {result}  {}", printable(&check.name));
    }
    for why in &attested.no_way_back {
        let _ = writeln!(text, "  no way back: {}", printable(why));
    }
    let _ = writeln!(text, "attestation written to {}", args.out.display());
    text
}
