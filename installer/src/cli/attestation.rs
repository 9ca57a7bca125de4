//! `attestation`: what other sites have said of their releases.

use std::{fmt::Write as _, path::PathBuf};

use sealift_verifier::{digest::Digest, error::printable, promotion::Attestation};
use serde_json::json;

use super::{Answer, Failed, Scene, read_small, to_json};
use crate::{
    attestation,
    audit::{self, Action, Entry},
    error::{Code, Error},
    statements::{self, Kind},
};

/// Take and show what other sites have attested
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Take attestations that sites in the policy have signed
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

pub(super) fn run(args: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    match &args.command {
        Command::Add { files } => add(files, scene),
        Command::List => list(scene),
        Command::Remove { digest } => remove(*digest, scene),
    }
}

fn add(files: &[PathBuf], scene: &Scene<'_>) -> Result<Answer, Failed> {
    let mut site = scene.ready("attestation")?;
    let mut text = String::new();
    let mut added = Vec::new();
    for file in files {
        let (bytes, name) = read_small(file, statements::LIMIT)?;
        let entry = Entry::new(Action::AttestationAdd).about(&name);
        let by = audit::recorded(&mut site, entry, &scene.context, |site| {
            attestation::add(site, &bytes, &name)
        })?;
        let _ = writeln!(text, "added: attestation of {}", printable(&by));
        added.push(json!({ "attestation": Digest::of(&bytes), "by": by }));
    }
    let json = json!({ "added": added });
    Ok(Answer { text, json })
}

fn list(scene: &Scene<'_>) -> Result<Answer, Failed> {
    let site = scene.site()?;
    let rules = site.policy()?.rules;
    let mut text = String::new();
    let mut all = Vec::new();
    for kept in statements::list(&site, Kind::Attestation)? {
        // Verified when it was taken, and again whenever it counts.
        let said: Attestation = kept.envelope.claimed("attestation")?;
        let peer = rules.sites.iter().find(|peer| peer.id == said.site);
        let by = peer.map_or("a site that the policy does not list any more", |p| &p.name);
        let failed = said.checks.iter().filter(|check| !check.passed).count();
        let line = format!(
            "{} {} {} in {}, by {by}, issued {}: {} checks, {failed} failed",
            kept.digest,
            said.product,
            said.version,
            said.environment,
            said.issued,
            said.checks.len()
        );
        let _ = writeln!(text, "{}", printable(&line));
        all.push(json!({
            "digest": kept.digest,
            "by": peer.map(|peer| &peer.name),
            "statement": to_json(&said),
        }));
    }
    if all.is_empty() {
        text.push_str("there is nothing\n");
    }
    let json = json!({ "attestations": all });
    Ok(Answer { text, json })
}

fn remove(digest: Digest, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let mut site = scene.ready("attestation")?;
    let there = statements::list(&site, Kind::Attestation)?;
    if !there.iter().any(|kept| kept.digest == digest) {
        return Err(Error::new(Code::NotFound, digest.to_string(), "is not here").into());
    }
    let entry = Entry::new(Action::AttestationRemove).about(format!("attestation {digest}"));
    audit::recorded(&mut site, entry, &scene.context, |site| {
        statements::remove(site, Kind::Attestation, digest)
    })?;
    Ok(Answer {
        text: format!("removed: attestation {digest}\n"),
        json: json!({ "removed": digest }),
    })
}
