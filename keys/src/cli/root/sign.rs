//! `root sign`.

use std::{fmt::Write as _, path::PathBuf};

use sealift_verifier::time::Time;
use serde_json::json;

use super::Report;
use crate::{
    cli::shared::PassphraseArgs,
    error::Result,
    root::sign,
    signer::{self, KeyArgument},
};

/// Add a signature to the draft of a root; with the last one needed, publish the root
///
/// The draft is a small file that may lie anywhere, so it can travel from custodian to custodian. The
/// root before it has to lie beside it, or is given with --previous. Read what is shown before you pass
/// the file on: it is what you signed.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// N.root.draft.json
    #[arg(value_name = "DRAFT")]
    draft: PathBuf,
    /// A secret root key, of the root before or of this one: a file, or pkcs11:… for one in a token (RFC 7512)
    #[arg(long, value_name = "KEY")]
    key: KeyArgument,
    /// The root before this one, if it does not lie beside the draft
    #[arg(long, value_name = "N.root.json")]
    previous: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl Args {
    pub(super) fn run(self, now: Time) -> Result<Report> {
        let signer = signer::open(&self.key, &mut self.passphrase.passphrases())?;
        let outcome = sign::sign(&self.draft, self.previous.as_deref(), signer.as_ref(), now)?;

        let mut text = format!("root {}: {}\n", outcome.version, outcome.progress);
        for change in &outcome.changes {
            let _ = writeln!(text, "  {change}");
        }
        match &outcome.published {
            Some(path) => {
                let _ = writeln!(text, "published as {}", path.display());
            }
            None => text.push_str("more signatures are needed\n"),
        }
        let mut notes: Vec<String> = self.key.warning().into_iter().collect();
        if outcome.repeated {
            notes.push(format!(
                "key {} had signed already: nothing was added",
                outcome.keyid
            ));
        }
        if outcome.dropped > 0 {
            notes.push(format!(
                "{} signatures that do not count were removed",
                outcome.dropped
            ));
        }
        Ok(Report {
            text,
            json: json!({
                "version": outcome.version,
                "keyid": outcome.keyid,
                "repeated": outcome.repeated,
                "dropped-signatures": outcome.dropped,
                "progress": outcome.progress,
                "changes": outcome.changes,
                "published": outcome.published,
            }),
            notes,
        })
    }
}
