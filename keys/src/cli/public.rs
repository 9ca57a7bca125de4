//! `public`: the half of a key that everybody may have.

use std::path::PathBuf;

use serde_json::json;

use super::{
    Report,
    shared::{self, PassphraseArgs},
};
use crate::{
    disk::{self, PUBLIC},
    error::Result,
    signer::KeyArgument,
};

/// Write the public half of a key, in a file or in a token, as PEM
///
/// Of a key in a token, the PIN is not needed, and used only if it is in the URI.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A PEM file, or pkcs11:… for a key in a token (RFC 7512)
    #[arg(value_name = "KEY")]
    key: KeyArgument,
    /// Where to; stdout otherwise. A file that is there already is never touched
    #[arg(short, long, value_name = "KEY.pub.pem")]
    out: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl Args {
    pub(super) fn run(self) -> Result<Report> {
        let key = shared::public_half(&self.key, &mut self.passphrase.passphrases())?;
        let (id, pem) = (key.id()?, key.to_pem()?);
        let text = match &self.out {
            Some(path) => {
                disk::create(path, pem.as_bytes(), PUBLIC)?;
                format!("public key  {}\nkey id      {id}\n", path.display())
            }
            None => pem.clone(),
        };
        Ok(Report {
            text,
            json: json!({ "keyid": id, "pem": pem, "public": self.out }),
            notes: self.key.warning().into_iter().collect(),
        })
    }
}
