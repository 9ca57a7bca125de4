//! `approval`: what people have said of releases at this site.

use std::path::PathBuf;

use sealift_verifier::{
    approval::{Approval, Request, Withdrawal},
    digest::Digest,
    dsse::{Envelope, Statement},
};
use serde_json::{Value, json};

use super::{
    Answer, Failed, Scene,
    statement::{self, Told},
    to_json,
};
use crate::{
    approvals,
    audit::{self, Action, Entry},
    error::{Code, Error, Result},
    site::Ready,
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
        Command::Add { files } => statement::add(files, "approval", scene, |site, bytes, name| {
            add(site, bytes, name, scene)
        }),
        Command::List => list(scene),
        Command::Remove { digest } => {
            // Without a withdrawal, what it took back would count again.
            let kept = statements::list(&scene.site()?, Kind::Withdrawal)?;
            if kept.iter().any(|kept| kept.digest == *digest) {
                let why = "is a withdrawal, and stays";
                return Err(Error::new(Code::NotFound, digest.to_string(), why).into());
            }
            let kinds = [Kind::Request, Kind::Approval];
            let done = ("approval", Action::ApprovalRemove);
            statement::remove(*digest, &kinds, done, scene)
        }
    }
}

fn add(site: &mut Ready<'_>, bytes: &[u8], name: &str, scene: &Scene<'_>) -> Result<Told> {
    let envelope = Envelope::parse(bytes, name)?;
    let kind = Kind::of(&envelope).filter(|kind| KINDS.contains(kind));
    let kind = kind.ok_or_else(|| {
        let detail = format!(
            "is no request, approval or withdrawal, but {:?}",
            envelope.payload_type()
        );
        Error::new(Code::ApprovalUnusable, name, detail)
    })?;
    let entry = Entry::new(Action::ApprovalAdd).about(format!("{} {name}", kind.name()));
    let who = audit::checked(
        site,
        entry,
        &scene.context,
        |site| approvals::check(site, kind, bytes, name, &scene.context),
        approvals::Checked::say,
        |site, found| found.keep(site, bytes),
    )?;
    let line = format!("{} of {who}", kind.name());
    Ok((line, json!({ "kind": kind.name(), "by": who })))
}

fn list(scene: &Scene<'_>) -> Result<Answer, Failed> {
    let site = scene.site()?;
    let mut all = Vec::new();
    for kind in KINDS {
        for kept in statements::list(&site, kind)? {
            let json = match kind {
                Kind::Request => claimed::<Request>(&kept)?,
                Kind::Withdrawal => claimed::<Withdrawal>(&kept)?,
                _ => claimed::<Approval>(&kept)?,
            };
            let found = approvals::check(
                &site,
                kind,
                &kept.envelope.to_bytes(),
                "statement",
                &scene.context,
            );
            let said = match &found {
                Ok(found) => found.to_string(),
                Err(e) => format!("counts nothing: {e}"),
            };
            all.push((
                format!("{:<12}{} {said}", kind.name(), kept.digest),
                json!({
                    "kind": kind.name(),
                    "digest": kept.digest,
                    "by": found.as_ref().ok().map(|found| &found.by),
                    "statement": json,
                }),
            ));
        }
    }
    Ok(statement::listed("statements", all))
}

/// A statement that was verified when it was taken, for machines.
fn claimed<S: Statement>(kept: &Kept) -> Result<Value> {
    let statement: S = kept.envelope.claimed("statement")?;
    Ok(to_json(&statement))
}
