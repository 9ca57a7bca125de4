//! `fingerprint`: what people compare by voice or on paper.

use serde_json::json;

use super::{
    Report,
    shared::{self, PassphraseArgs},
};
use crate::{disk, error::Result, key_file::KEY_FILE_BYTES, root::RootFile, signer::KeyArgument};

/// Show the fingerprint of a root file, or the id of a key
///
/// A root's fingerprint is the SHA-256 of its file, so `sha256sum` shows the same. A key's id is the
/// SHA-256 of its entry in TUF metadata.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// N.root.json, a PEM file with a public or a secret key, or pkcs11:… for a key in a token (RFC 7512)
    #[arg(value_name = "FILE|URI")]
    file: KeyArgument,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl Args {
    pub(super) fn run(self) -> Result<Report> {
        if let KeyArgument::File(path) = &self.file {
            // A root is JSON, and a PEM never begins with a brace. A file too large for a key is no key.
            let is_root = disk::read(path, KEY_FILE_BYTES).map_or(true, |bytes| {
                bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{')
            });
            if is_root {
                return of_root(path);
            }
        }
        let id = shared::public_half(&self.file, &mut self.passphrase.passphrases())?.id()?;
        Ok(Report {
            text: format!("{id}\n"),
            json: json!({ "kind": "key", "keyid": id }),
            notes: Vec::new(),
        })
    }
}

/// The report on a root file, which `root fingerprint` gives, too.
pub(super) fn of_root(path: &std::path::Path) -> Result<Report> {
    let file = RootFile::read(path)?;
    // The next signature would change it.
    file.verify_by_itself()?;
    let (fingerprint, version) = (file.fingerprint(), file.root().version);
    Ok(Report {
        text: format!("{fingerprint}\n"),
        json: json!({ "kind": "root", "version": version, "fingerprint": fingerprint }),
        notes: Vec::new(),
    })
}
