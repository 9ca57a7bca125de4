//! `suite.toml` and `platform.toml`: what a release of a suite or of a platform is made of.

use sealift_verifier::path::Name;
use semver::Version;

use super::{
    fields::{Fields, Located},
    values::Wanted,
};
use crate::error::Code;

/// A suite with its capabilities, or a platform with its suites.
#[derive(Debug)]
pub(crate) struct Listing {
    /// What is listed; sorted by name, each name once.
    pub(crate) members: Vec<(Name, Located<Wanted>)>,
}

impl Listing {
    /// Takes everything out of the table of the file that lies in the folder of `name` and `version`;
    /// `members` is the table with what is listed.
    pub(crate) fn read(
        mut fields: Fields<'_, '_>,
        name: &Name,
        version: &Version,
        members: &'static str,
    ) -> Self {
        read_identity(&mut fields, name, version);
        let _description = fields.line("description", 500);
        if !fields.has(members) {
            fields.missing(members, "what it is made of");
        }
        let members =
            fields.parsed_map::<Name, Wanted>(members, Code::NameInvalid, Code::VersionInvalid);
        fields.finish();
        Self { members }
    }

    /// What it asks of a member, if it lists it.
    pub(crate) fn wanted(&self, name: &Name) -> Option<&Located<Wanted>> {
        let found = self.members.binary_search_by_key(&name, |(name, _)| name);
        found.ok().map(|number| &self.members[number].1)
    }
}

/// Takes `name` and `version`, which have to be those of the folder that the definition lies in.
pub(super) fn read_identity(fields: &mut Fields<'_, '_>, name: &Name, version: &Version) {
    let said = fields.required::<Name>("name", Code::NameInvalid, "the name");
    if let Some(said) = said
        && said.value != *name
    {
        let message = format!("says {}, its folder says {name}", said.value);
        fields.report(&said.at, Code::DefinitionMismatch, message);
    }
    let said = fields.required::<Version>("version", Code::VersionInvalid, "the version");
    if let Some(said) = said
        && said.value != *version
    {
        let message = format!("says {}, its folder says {version}", said.value);
        fields.report(&said.at, Code::DefinitionMismatch, message);
    }
}
