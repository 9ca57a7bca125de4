//! What the vendor's people write: `RELEASE.toml` and each capability's `capability.toml`.
//!
//! [`Document`] holds a file and its places, [`Fields`] takes keys out of its tables, [`release`] and
//! [`capability`] say what the two kinds of file contain. Nothing here looks at the artifacts themselves.

mod capability;
mod document;
mod fields;
mod release;
mod values;

pub(crate) use capability::{ArtifactDefinition, ArtifactType, CapabilityDefinition};
pub(crate) use document::Document;
pub(crate) use fields::Located;
pub(crate) use release::ReleaseDefinition;
