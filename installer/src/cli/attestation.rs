//! `attestation`: what other sites have said of their releases.

use std::path::PathBuf;

use sealift_verifier::{digest::Digest, promotion::Attestation};
use serde_json::json;

use super::{Answer, Failed, Scene, statement, to_json};
use crate::{
    attestation,
    audit::{self, Action, Entry},
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
        Command::Add { files } => {
            statement::add(files, "attestation", scene, |site, bytes, name| {
                let entry = Entry::new(Action::AttestationAdd).about(name);
                let by = audit::checked(
                    site,
                    entry,
                    &scene.context,
                    |site| attestation::check(site, bytes, name, &scene.context),
                    attestation::Checked::say,
                    |site, found| found.keep(site, bytes),
                )?;
                let line = format!("attestation of {by}");
                Ok((line, json!({ "attestation": Digest::of(bytes), "by": by })))
            })
        }
        Command::List => list(scene),
        Command::Remove { digest } => {
            let done = ("attestation", Action::AttestationRemove);
            statement::remove(*digest, &[Kind::Attestation], done, scene)
        }
    }
}

fn list(scene: &Scene<'_>) -> Result<Answer, Failed> {
    let site = scene.site()?;
    let rules = site.policy()?.rules;
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
        let json = json!({
            "digest": kept.digest,
            "by": peer.map(|peer| &peer.name),
            "statement": to_json(&said),
        });
        all.push((line, json));
    }
    Ok(statement::listed("attestations", all))
}
