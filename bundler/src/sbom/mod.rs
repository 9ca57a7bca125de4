//! Bills of materials.

pub mod packages;
