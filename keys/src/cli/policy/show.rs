//! `policy show`.

use std::{fmt::Write as _, path::PathBuf};

use sealift_verifier::{error::printable, path::EntryPath, policy::Policy, time::Time};
use serde_json::{Value, json};

use super::Report;
use crate::{
    cli::statements,
    dsse,
    error::{Code, Error, Result},
    root::role::KeyRole,
};

/// Show what a signed policy holds and who signed it
///
/// With --root, a policy that its keys have not signed is refused. Without, nothing is verified, and that is said.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The signed policy
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The customer's root, or the folder of its roots
    #[arg(long, value_name = "ROOT")]
    root: Option<PathBuf>,
    /// Show the content of this file of it, too
    #[arg(long, value_name = "NAME")]
    content: Option<EntryPath>,
}

impl Args {
    pub(super) fn run(self, now: Time) -> Result<Report> {
        let subject = self.file.display().to_string();
        let envelope = statements::read_envelope(&self.file)?;
        let mut notes = Vec::new();
        let (policy, verdict): (Policy, _) = match &self.root {
            Some(path) => {
                let (root, said) = statements::read_root(path, now)?;
                notes = said;
                let role = dsse::listed(&root, KeyRole::Policy)?;
                let (policy, _) = envelope.open(&root.keys, role, &subject)?;
                (policy, format!("VERIFIED by root {}\n", root.version))
            }
            None => (
                envelope.claimed(&subject)?,
                "NOT VERIFIED: anybody may have written this; give --root\n".to_owned(),
            ),
        };
        let mut text = super::text(&policy);
        for id in statements::key_ids(&envelope) {
            let _ = writeln!(text, "signed by     {}", printable(id));
        }
        text.push_str(&verdict);
        let mut content = Value::Null;
        if let Some(name) = &self.content {
            let Some(file) = policy.files.get(name) else {
                let detail = format!("holds no file {name}");
                return Err(Error::new(Code::NotFound, subject, detail));
            };
            text.push('\n');
            for line in file.lines() {
                text.push_str(&printable(line).replace("\\t", "\t"));
                text.push('\n');
            }
            content = file.as_str().into();
        }
        let json = json!({
            "verified": self.root.is_some(),
            "keyids": statements::key_ids(&envelope),
            "content": content,
        });
        Ok(Report {
            text,
            json: statements::merged(super::json(&policy), json),
            notes,
        })
    }
}
