//! `license`: what a vendor grants its customers.

mod issue;
mod renew;
mod show;
mod sign;

use clap::Subcommand;
use sealift_verifier::{dsse::Envelope, license::License, time::Time, tuf::Root};

use super::{Report, statements};
use crate::{
    error::Result,
    license::show::{Description, State, describe},
    root::role::KeyRole,
};

/// Issue, show and renew licenses
///
/// A license is one signed payload: entitlements, limits and dates together. Only keys that the root lists for
/// licenses count. An end stops updates, never what runs.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Issue(Box<issue::Args>),
    Sign(sign::Args),
    Show(show::Args),
    Renew(renew::Args),
}

impl Command {
    pub(super) fn run(self, now: Time) -> Result<Report> {
        match self {
            Self::Issue(args) => args.run(now),
            Self::Sign(args) => args.run(now),
            Self::Show(args) => args.run(now),
            Self::Renew(args) => args.run(now),
        }
    }
}

/// What the three verbs that sign a license tell.
fn report(
    envelope: &Envelope,
    root: &Root,
    path: &std::path::Path,
    now: Time,
    mut notes: Vec<String>,
) -> Result<Report> {
    let subject = path.display().to_string();
    let description = describe(envelope, Some(root), now, &subject)?;
    let told = statements::progress::<License>(envelope, Some(root), KeyRole::License, path)?;
    notes.extend(told.notes);
    notes.extend(description.warnings.clone());
    notes.extend(later(&description));
    Ok(Report {
        text: format!("{description}file          {subject}\n"),
        json: statements::merged(statements::to_json(&description)?, told.json),
        notes,
    })
}

/// What is easily overlooked in dates.
fn later(description: &Description) -> Option<String> {
    let from = description.license.valid_from;
    (description.state == State::NotYetValid).then(|| format!("it does not count before {from}"))
}
