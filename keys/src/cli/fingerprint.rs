//! `fingerprint`: what people compare by voice or on paper.

use std::path::PathBuf;

use serde_json::json;

use super::{
    Report,
    shared::{self, PassphraseArgs},
};
use crate::{disk, error::Result, key_file::KEY_FILE_BYTES, root::RootFile};

/// Show the fingerprint of a root file, or the id of a key
///
/// A root's fingerprint is the SHA-256 of its file, so `sha256sum` shows the same. A key's id is the
/// SHA-256 of its entry in TUF metadata.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// N.root.json, or a PEM file with a public or a secret key
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl Args {
    pub(super) fn run(self) -> Result<Report> {
        // A root is JSON, and a PEM never begins with a brace. A file too large for a key is no key.
        let is_root = disk::read(&self.file, KEY_FILE_BYTES).map_or(true, |bytes| {
            bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{')
        });
        if is_root {
            return of_root(&self.file);
        }
        let id = shared::key_id_of_file(&self.file, &mut self.passphrase.passphrases())?;
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
