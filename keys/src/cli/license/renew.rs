//! `license renew`.

use std::path::PathBuf;

use sealift_verifier::{license::License, time::Time};

use super::Report;
use crate::{
    cli::statements::{self, SignerArgs},
    disk, dsse,
    error::Result,
    license::{Renewal, renew},
    moment::Moment,
    root::role::KeyRole,
};

/// Issue a license again, with new dates
///
/// Id and content stay; at sites, the new one takes the place of the old. The old one has to be signed as the root
/// asks for. Spans such as 1y begin at the end that the old one has.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The old license
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The vendor's root, or the folder of its roots
    #[arg(long, value_name = "ROOT")]
    root: PathBuf,
    #[command(flatten)]
    signers: SignerArgs,
    /// Until when it counts
    #[arg(long, value_name = "TIME|SPAN")]
    valid_until: Option<Moment>,
    /// Releases published from then on are not covered
    #[arg(long, value_name = "TIME|SPAN")]
    updates_until: Option<Moment>,
    /// Days after its end in which it still counts, with a warning
    #[arg(long, value_name = "DAYS")]
    grace_days: Option<u32>,
    /// Where the new license goes; a file that is there already is never touched
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: PathBuf,
}

impl Args {
    pub(super) fn run(self, now: Time) -> Result<Report> {
        let (root, mut notes) = statements::read_root(&self.root, now)?;
        let old = statements::read_envelope(&self.old)?;
        let subject = self.old.display().to_string();
        let (old, _) = License::open(&old.to_bytes(), &root, &subject)?;
        let renewal = Renewal {
            valid_until: self.valid_until,
            updates_until: self.updates_until,
            grace_days: self.grace_days,
        };
        let license = renew(&old, &renewal, now)?;
        let signers = self.signers.open()?;
        signers.check_listed(&root, KeyRole::License)?;
        notes.extend(signers.notes.iter().cloned());
        let envelope = dsse::seal(&license, &signers.all(), "license")?;
        disk::publish(&self.out, &envelope.to_bytes())?;
        super::report(&envelope, &root, &self.out, now, notes)
    }
}
