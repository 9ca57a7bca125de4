//! Sealift at the site: installs releases from bundles, upgrades, survives bad ones and goes back.

pub mod disk;
pub mod error;
pub mod generation;
pub mod health;
pub mod journal;
pub mod lock;
pub mod process;
pub mod site;
pub mod state;
pub mod store;

pub use error::{Code, Error, Result};
