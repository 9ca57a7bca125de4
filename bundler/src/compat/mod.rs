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

use serde_json::Value;

pub use self::{
    change::{Change, Class, What},
    release::{Answer, least_type},
    rules::{Claims, follow, hold_contents},
    side::{Configured, Offered, Side},
};

/// What changes from `old` to `new`, what concerns the whole release first, then capability by capability.
pub fn compare(old: &Side, new: &Side) -> Vec<Change> {
    let mut changes = release::changes(&old.release, &new.release);
    if old.release.product != new.release.product {
        // All else would be noise.
        changes.retain(|change| change.what == What::Product);
        return changes;
    }
    changes.extend(release::modes(old, new));
    changes.extend(capability::changes(old, new));
    changes
}

/// A value, as far as it fits into a sentence.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
