//! `approval`: what people have said of releases at this site.

use std::path::PathBuf;

use sealift_verifier::{
    approval::{Approval, Request, Withdrawal},
    digest::Digest,
    dsse::{Envelope, Statement},
};
use serde_json::json;

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
    let who = audit::recorded(site, entry, &scene.context, |site| {
        approvals::add(site, kind, bytes, name)
    })?;
    let line = format!("{} of {who}", kind.name());
    Ok((line, json!({ "kind": kind.name(), "by": who })))
}

fn list(scene: &Scene<'_>) -> Result<Answer, Failed> {
    let site = scene.site()?;
    let mut all = Vec::new();
    for kind in KINDS {
        for kept in statements::list(&site, kind)? {
            let (line, json) = match kind {
                Kind::Request => claimed::<Request>(&kept, |r| (&r.subject, r.issued))?,
                Kind::Withdrawal => claimed::<Withdrawal>(&kept, |w| (&w.subject, w.issued))?,
                _ => claimed::<Approval>(&kept, |a| (&a.subject, a.issued))?,
            };
            let json = json!({ "kind": kind.name(), "digest": kept.digest, "statement": json });
            all.push((format!("{:<12}{line}", kind.name()), json));
        }
    }
    Ok(statement::listed("statements", all))
}

type About<'a> = (
    &'a sealift_verifier::approval::Subject,
    sealift_verifier::time::Time,
);

/// A statement that was verified when it was taken, for people and for machines.
fn claimed<S: Statement>(kept: &Kept, about: impl Fn(&S) -> About<'_>) -> Result<Told> {
    let statement: S = kept.envelope.claimed("statement")?;
    let (subject, issued) = about(&statement);
    let line = format!(
        "{} {} {}, issued {issued}",
        kept.digest, subject.product, subject.version
    );
    Ok((line, to_json(&statement)))
}
