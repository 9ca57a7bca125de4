//! Everything on the vendor's side: from release definitions to one signed bundle.
//!
//! The way of the data: [`definition`](mod@collect) files are read and artifacts looked at ([`collect`]), which gives
//! a pure, sorted [`plan`] or every problem at once ([`problem`]); [`check`](mod@check) reads contents as
//! well. [`mod@build`] packs and signs what [`metadata`] states. [`manifest`] and [`diff`](mod@diff) compare releases without building anything. [`cli`] is the
//! program around these; it prints nothing itself.

mod assemble;
pub mod build;
pub mod check;
pub mod cli;
pub mod collect;
mod definition;
pub mod diff;
pub mod error;
mod image;
pub mod manifest;
pub mod metadata;
mod pack;
pub mod plan;
pub mod problem;
mod secrets;

pub use error::{Code, Error, Result};
