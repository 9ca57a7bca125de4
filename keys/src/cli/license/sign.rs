//! `license sign`.

use std::path::PathBuf;

use sealift_verifier::{license::License, time::Time};

use super::Report;
use crate::{
    cli::statements::{self, OneSignerArgs},
    disk, dsse,
    error::Result,
    root::role::KeyRole,
};

/// Add a signature to a license that several have to sign
///
/// The file is small and may travel from custodian to custodian. Read what is shown before you pass it on: it is
/// what you signed.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The license; the signature is added to this file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The vendor's root, or the folder of its roots
    #[arg(long, value_name = "ROOT")]
    root: PathBuf,
    #[command(flatten)]
    signer: OneSignerArgs,
}

impl Args {
    pub(super) fn run(self, now: Time) -> Result<Report> {
        let (root, mut notes) = statements::read_root(&self.root, now)?;
        let subject = self.file.display().to_string();
        let mut envelope = statements::read_envelope(&self.file)?;
        envelope.claimed::<License>(&subject)?;
        let (signer, exposed) = self.signer.open()?;
        notes.extend(exposed);
        let role = KeyRole::License;
        if dsse::cosign::<License>(&mut envelope, &root, role, signer.as_ref(), &subject)? {
            disk::replace(&self.file, &envelope.to_bytes())?;
        } else {
            notes.push("this key had signed already: nothing was added".into());
        }
        super::report(&envelope, &root, &self.file, now, notes)
    }
}
