//! `countersignature`: the customer's own signatures of releases.

use std::{fmt::Write as _, path::PathBuf};

use sealift_verifier::{digest::Digest, error::printable};
use serde_json::{Value, json};

use super::{Answer, Failed, Scene, read_small};
use crate::{
    audit::{self, Action, Entry},
    countersignatures::{self, Held},
    error::{Code, Error, Result},
    site::Site,
    statements::{self, Kind},
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
        Command::Add { files } => add(files, scene),
        Command::List => list(scene),
        Command::Remove { digest } => {
            let mut site = scene.ready("countersignature")?;
            let subject = format!("countersignature {digest}");
            let entry = Entry::new(Action::ApprovalRemove).about(&subject);
            audit::recorded(&mut site, entry, &scene.context, |site| {
                if statements::remove(site, Kind::Countersignature, *digest)? {
                    return Ok(());
                }
                Err(Error::new(Code::NotFound, &subject, "is not here"))
            })?;
            Ok(Answer {
                text: format!("removed: countersignature {digest}\n"),
                json: json!({ "removed": digest }),
            })
        }
    }
}

fn add(files: &[PathBuf], scene: &Scene<'_>) -> Result<Answer, Failed> {
    let mut site = scene.ready("countersignature")?;
    let mut text = String::new();
    let mut added = Vec::new();
    for file in files {
        let (bytes, name) = read_small(file, statements::LIMIT)?;
        let entry = Entry::new(Action::ApprovalAdd).about(format!("countersignature {name}"));
        let held = audit::recorded(&mut site, entry, &scene.context, |site| {
            countersignatures::add(site, &bytes, &name)
        })?;
        let (line, json) = describe(&site, &held)?;
        let _ = writeln!(text, "added: {line}");
        added.push(json);
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
    for held in countersignatures::held(&site, &countersignatures::customer_root(&site)?)? {
        let (line, json) = describe(&site, &held)?;
        let _ = writeln!(text, "{line}");
        all.push(json);
    }
    if all.is_empty() {
        text.push_str("there is nothing\n");
    }
    Ok(Answer {
        text,
        json: json!({ "countersignatures": all }),
    })
}

fn describe(site: &Site, held: &Held) -> Result<(String, Value)> {
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
    Ok((printable(&line), json))
}
