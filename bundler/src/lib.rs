//! Everything on the vendor's side: from release definitions to one signed bundle.
//!
//! The way of the data: [`collect`] reads definitions and looks at artifacts, which gives a pure, sorted
//! [`plan`] or every [`problem`] at once; [`mod@check`] reads contents as well. [`mod@build`] packs what
//! is planned and has [`metadata`] signed. [`manifest`] and [`mod@diff`] compare releases without building
//! anything. [`cli`] is the program around these; it prints nothing itself.

pub mod build;
pub mod cache;
mod catalog;
pub mod check;
pub mod cli;
pub mod collect;
pub mod compat;
mod configuration;
mod definition;
pub mod diff;
pub mod error;
mod head;
mod image;
pub mod license;
mod lock;
pub mod manifest;
pub mod metadata;
mod output;
mod pack;
mod payload;
pub mod plan;
pub mod problem;
mod provenance;
mod resolve;
pub mod sbom;
pub mod seal;
mod secrets;

pub use definition::SchemaKind;
pub use error::{Code, Error, Result};
