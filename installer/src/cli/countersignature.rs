//! `countersignature`: the customer's own signatures of releases.

use std::path::PathBuf;

use sealift_verifier::digest::Digest;
use serde_json::json;

use super::{
    Answer, Failed, Scene,
    statement::{self, Told},
};
use crate::{
    audit::{self, Action, Entry},
    countersignatures::{self, Held},
    error::Result,
    site::Site,
    statements::Kind,
};

/// Take and show the customer's own signatures of releases, beside the vendor's
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Take what `sealift-keys countersign` made; several of one release count together
    Add {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Show all that are here, and for which releases they suffice
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
            statement::add(files, "countersignature", scene, |site, bytes, name| {
                let entry =
                    Entry::new(Action::ApprovalAdd).about(format!("countersignature {name}"));
                let held = audit::checked(
                    site,
                    entry,
                    &scene.context,
                    |site| countersignatures::check(site, bytes, name),
                    countersignatures::Checked::say,
                    |site, found| found.keep(site, bytes),
                )?;
                describe(site, &held)
            })
        }
        Command::List => list(scene),
        Command::Remove { digest } => {
            let done = ("countersignature", Action::ApprovalRemove);
            statement::remove(*digest, &[Kind::Countersignature], done, scene)
        }
    }
}

fn list(scene: &Scene<'_>) -> Result<Answer, Failed> {
    let site = scene.site()?;
    let held = countersignatures::held(&site, &countersignatures::customer_root(&site)?)?;
    let all = held.iter().map(|held| describe(&site, held));
    let all = all.collect::<Result<_>>()?;
    Ok(statement::listed("countersignatures", all))
}

fn describe(site: &Site, held: &Held) -> Result<Told> {
    let root = countersignatures::customer_root(site)?;
    let (have, needed) = countersignatures::progress(site, &root, held.said.release)?;
    let said = &held.said;
    let line = format!(
        "{} {} {}, release digest {}, issued {}, signed by {}; all of this release: {have} of {needed}",
        held.digest, said.product, said.version, said.release, said.issued, held.signers
    );
    let json = json!({
        "digest": held.digest,
        "statement": said,
        "signers": held.signers,
        "have": have,
        "needed": needed,
    });
    Ok((line, json))
}
