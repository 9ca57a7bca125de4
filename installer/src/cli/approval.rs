//! `approval`: what people have said of releases at this site.

use std::{fmt::Write as _, path::PathBuf};

use sealift_verifier::{
    approval::{Approval, Request, Withdrawal},
    digest::Digest,
    dsse::{Envelope, Statement},
    error::printable,
};
use serde_json::{Value, json};

use super::{Answer, Failed, Scene, read_small, to_json};
use crate::{
    approvals,
    audit::{self, Action, Entry},
    error::{Code, Error, Result},
    statements::{self, Kept, Kind},
};

/// Take and show requests, approvals and withdrawals
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Take requests, approvals or withdrawals
    Add {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Show all that are here; whether one counts for a release, `policy explain BUNDLE` says
    List,
    /// Remove one that is of no use any more
    Remove {
        /// The digest that `list` shows
        digest: Digest,
    },
}

const KINDS: [Kind; 3] = [Kind::Request, Kind::Approval, Kind::Withdrawal];

pub(super) fn run(args: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    match &args.command {
        Command::Add { files } => add(files, scene),
        Command::List => list(scene),
        Command::Remove { digest } => {
            let mut site = scene.ready("approval")?;
            for kind in [Kind::Request, Kind::Approval] {
                let there = statements::list(&site, kind)?;
                if there.iter().any(|kept| kept.digest == *digest) {
                    let subject = format!("{} {digest}", kind.name());
                    let entry = Entry::new(Action::ApprovalRemove).about(subject);
                    audit::recorded(&mut site, entry, &scene.context, |site| {
                        statements::remove(site, kind, *digest)
                    })?;
                    return Ok(Answer {
                        text: format!("removed: {} {digest}\n", kind.name()),
                        json: json!({ "removed": digest, "kind": kind.name() }),
                    });
                }
            }
            // Without a withdrawal, what it took back would count again.
            let kept = statements::list(&site, Kind::Withdrawal)?;
            let why = if kept.iter().any(|kept| kept.digest == *digest) {
                "is a withdrawal, and stays"
            } else {
                "is not here"
            };
            Err(Error::new(Code::NotFound, digest.to_string(), why).into())
        }
    }
}

fn add(files: &[PathBuf], scene: &Scene<'_>) -> Result<Answer, Failed> {
    let mut site = scene.ready("approval")?;
    let mut text = String::new();
    let mut added = Vec::new();
    for file in files {
        let (bytes, name) = read_small(file, statements::LIMIT)?;
        let envelope = Envelope::parse(&bytes, &name)?;
        let kind = Kind::of(&envelope)
            .filter(|kind| KINDS.contains(kind))
            .ok_or_else(|| {
                let detail = format!(
                    "is no request, approval or withdrawal, but {:?}",
                    envelope.payload_type()
                );
                Error::new(Code::ApprovalUnusable, &name, detail)
            })?;
        let subject = format!("{} {name}", kind.name());
        let entry = Entry::new(Action::ApprovalAdd).about(subject);
        let who = audit::recorded(&mut site, entry, &scene.context, |site| {
            approvals::add(site, kind, &bytes, &name)
        })?;
        let _ = writeln!(text, "added: {} of {}", kind.name(), printable(&who));
        added.push(json!({ "kind": kind.name(), "by": who }));
    }
    Ok(Answer {
        text,
        json: json!({ "added": added }),
    })
}

fn list(scene: &Scene<'_>) -> Result<Answer, Failed> {
    let site = scene.site()?;
    let mut text = String::new();
    let mut all = Vec::new();
    for kind in KINDS {
        for kept in statements::list(&site, kind)? {
            let (line, json) = match kind {
                Kind::Request => claimed::<Request>(&kept, |r| (&r.subject, r.issued))?,
                Kind::Withdrawal => claimed::<Withdrawal>(&kept, |w| (&w.subject, w.issued))?,
                _ => claimed::<Approval>(&kept, |a| (&a.subject, a.issued))?,
            };
            let _ = writeln!(text, "{:<12}{line}", kind.name());
            all.push(json!({ "kind": kind.name(), "digest": kept.digest, "statement": json }));
        }
    }
    if all.is_empty() {
        text.push_str("there is nothing\n");
    }
    Ok(Answer {
        text,
        json: json!({ "statements": all }),
    })
}

type About<'a> = (
    &'a sealift_verifier::approval::Subject,
    sealift_verifier::time::Time,
);

/// A statement that was verified when it was taken, for people and for machines.
fn claimed<S: Statement>(kept: &Kept, about: impl Fn(&S) -> About<'_>) -> Result<(String, Value)> {
    let statement: S = kept.envelope.claimed("statement")?;
    let (subject, issued) = about(&statement);
    let line = format!(
        "{} {} {}, issued {issued}",
        kept.digest, subject.product, subject.version
    );
    Ok((printable(&line), to_json(&statement)))
}
