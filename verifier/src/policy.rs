//! The policy of a site as it travels: its files in one signed statement.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{dsse::Statement, path::EntryPath, time::Time};

/// The version of policies that this program reads and writes.
pub const FORMAT: u32 = 1;
/// The file with the rules that have types.
pub const RULES: &str = "policy.toml";
/// The ending of files with rules in Rego.
pub const REGO: &str = ".rego";
/// The ending of files with tests of rules in Rego: they lie beside a policy, and are no part of it.
pub const TESTS: &str = "_test.rego";
/// Files of a policy.
pub const FILES: usize = 200;
/// Length of all of them, in bytes.
pub const BYTES: usize = 4 << 20;

/// All files of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    /// Always [`FORMAT`].
    pub format: u32,
    /// Counts up: a site takes none that is older than the one it has.
    pub version: u64,
    /// When it was put together: signed, so a site's lower bound of time may rise to it.
    pub issued: Time,
    /// The files by their names: [`RULES`], and others that end with [`REGO`].
    pub files: BTreeMap<EntryPath, String>,
}

impl Statement for Policy {
    const TYPE: &'static str = "application/vnd.sealift.policy+json";
    const FORMAT: u32 = FORMAT;

    fn format(&self) -> u32 {
        self.format
    }

    fn check(&self) -> Result<(), String> {
        if !self.files.keys().any(|name| name.as_str() == RULES) {
            return Err(format!("it has no {RULES}"));
        }
        let other = |name: &&EntryPath| name.as_str() != RULES && !name.as_str().ends_with(REGO);
        if let Some(name) = self.files.keys().find(other) {
            return Err(format!(
                "it has the file {name}, which is neither {RULES} nor *{REGO}"
            ));
        }
        let bytes = self
            .files
            .values()
            .map(String::len)
            .fold(0, usize::saturating_add);
        if self.files.len() > FILES || bytes > BYTES {
            return Err(format!(
                "it has more than {FILES} files, or more than {BYTES} bytes"
            ));
        }
        Ok(())
    }
}
