//! What changes from one release to another for those who run them: what may break, what is new, what is
//! corrected, and the least release type that follows. Pure: both sides are given, nothing is read.
//!
//! Which change is of which class, and why, is written down in `docs/decisions/0008-release-rules.md`.

mod capability;
mod change;
mod release;
mod rules;
mod schema;
mod side;

pub use self::{
    change::{Change, Class, What},
    release::{Answer, least_type},
    rules::{Claims, follow},
    side::{Configured, Side},
};

/// What changes from `old` to `new`, what concerns the whole release first, then capability by capability.
pub fn compare(old: &Side, new: &Side) -> Vec<Change> {
    let mut changes = release::changes(&old.release, &new.release);
    changes.extend(capability::changes(old, new));
    changes
}

#[cfg(test)]
mod tests;
