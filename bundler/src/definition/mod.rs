//! What the vendor's people write: `RELEASE.toml`, and the definitions of the catalog.
//!
//! [`Document`] holds a file and its places, [`Fields`] takes keys out of its tables, [`release`],
//! [`capability`] and [`listing`] say what the kinds of file contain. Nothing here looks at the artifacts themselves.

mod capability;
mod document;
mod fields;
mod listing;
mod release;
mod schema;
mod values;

pub(crate) use capability::{ArtifactDefinition, ArtifactType, CapabilityDefinition};
pub(crate) use document::Document;
pub(crate) use fields::{Fields, Located, is_near};
pub(crate) use listing::Listing;
pub(crate) use release::ReleaseDefinition;
pub use schema::SchemaKind;
pub(crate) use values::{Size, Wanted};
