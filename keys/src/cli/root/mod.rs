//! `root`: the roots that sites trust.

mod add_key;
mod fingerprint;
mod remove_key;
mod renew;
mod revoke;
mod show;
mod sign;
mod threshold;

use std::fmt::Write as _;

use clap::Subcommand;
use sealift_verifier::time::Time;
use serde_json::json;

use super::Report;
use crate::{error::Result, root::folder::Edited};

/// Change, sign and show the roots that sites trust
///
/// A change makes N+1.root.draft.json beside the newest N.root.json. Custodians add their signatures to
/// that small file with `root sign`, each on a machine of their own if they like. With the last signature
/// needed, N+1.root.json appears beside it.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    AddKey(add_key::Args),
    RemoveKey(remove_key::Args),
    Threshold(threshold::Args),
    Renew(renew::Args),
    Revoke(revoke::RevokeArgs),
    Unrevoke(revoke::UnrevokeArgs),
    Sign(sign::Args),
    Show(show::Args),
    Fingerprint(fingerprint::Args),
}

impl Command {
    pub(super) fn run(self, now: Time) -> Result<Report> {
        match self {
            Self::AddKey(args) => args.run(now),
            Self::RemoveKey(args) => args.run(now),
            Self::Threshold(args) => args.run(now),
            Self::Renew(args) => args.run(now),
            Self::Revoke(args) => args.run(now),
            Self::Unrevoke(args) => args.run(now),
            Self::Sign(args) => args.run(now),
            Self::Show(args) => args.run(now),
            Self::Fingerprint(args) => args.run(),
        }
    }
}

/// What the verbs that change a draft tell.
fn report_edit(edited: &Edited, now: Time) -> Report {
    let root = &edited.root;
    let mut text = format!(
        "draft    {}\nexpires  {}\nchanges against version {}:\n",
        edited.path.display(),
        root.expires,
        root.version.saturating_sub(1)
    );
    for change in &edited.changes {
        let _ = writeln!(text, "  {change}");
    }
    if edited.changes.is_empty() {
        text.push_str("  none but the version\n");
    }
    let mut notes = Vec::new();
    if edited.dropped > 0 {
        notes.push(format!(
            "{} signatures were made over what the draft said before; they are dropped and have to be made again",
            edited.dropped
        ));
    }
    if root.expires <= now {
        notes.push(format!(
            "it expires on {}, which is past: `sealift-keys root renew`",
            root.expires
        ));
    }
    Report {
        text,
        json: json!({
            "draft": edited.path,
            "version": root.version,
            "expires": root.expires,
            "changes": edited.changes,
            "dropped-signatures": edited.dropped,
        }),
        notes,
    }
}
