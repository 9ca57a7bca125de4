//! `generate`: one key.

use std::path::PathBuf;

use serde_json::json;

use super::{Report, shared::NewKeyArgs};
use crate::{ceremony, error::Result};

/// Make one key, to be added to a root
///
/// Writes the secret key and, beside it, the public one as *.pub.pem. Files that are there already are
/// never touched.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the secret key goes, such as root-4.pem
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    new_key: NewKeyArgs,
}

impl Args {
    pub(super) fn run(self) -> Result<Report> {
        let mut passphrases = self.new_key.passphrases()?;
        let made = ceremony::generate(&self.file, passphrases.as_mut())?;
        Ok(Report {
            text: format!(
                "secret key  {}\npublic key  {}\nkey id      {}\n",
                made.secret.display(),
                made.public.display(),
                made.keyid
            ),
            json: json!({ "keyid": made.keyid, "secret": made.secret, "public": made.public }),
            notes: Vec::new(),
        })
    }
}
