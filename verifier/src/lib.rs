//! The trusted core of Sealift: what a bundle is, and who signed it.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod approval;
pub mod base64;
pub mod bundle;
pub mod delivery;
pub mod digest;
pub mod dsse;
pub mod error;
pub mod facts;
pub mod json;
pub mod license;
pub mod limits;
pub mod oci;
pub mod pack;
pub mod path;
pub mod policy;
pub mod promotion;
pub mod provenance;
pub mod release;
pub mod tar;
pub mod time;
pub mod tree;
pub mod tuf;

pub use error::{Code, Error, Failure, Result};
