//! Licenses: whether an expression is one, whether the vendor accepts it, and what is meant by the many ways
//! in which packages write theirs.
//!
//! [`expression`] reads SPDX license expressions (SPDX 2.3, annex D), [`names`] recognises other spellings,
//! [`LicenseRules`] is what `licenses.toml` says.

pub mod expression;
pub mod names;
mod rules;

pub use rules::{LicenseRules, Unknown};
