//! Licenses: whether an expression is one, whether the vendor accepts it, and what is meant by the many ways
//! in which packages write theirs.
//!
//! [`expression`] reads SPDX license expressions (SPDX 2.3, annex D), [`names`] recognises other spellings,
//! [`LicenseRules`] is what `licenses.toml` says.

pub mod expression;
pub mod names;
mod rules;

/// Stands in the license of a package for what of it has no reading, where the rest has one: what is known is held to the
/// vendor's list, and that not all is known as well.
pub(crate) const UNKNOWN_PART: &str = "LicenseRef-unknown";

/// Before names that copyright files of Debian give to licenses that SPDX does not have: they say no more than that there is one.
pub(crate) const OF_DEBIAN: &str = "LicenseRef-debian-";

pub use rules::{LicenseRules, Unknown};
