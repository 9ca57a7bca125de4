//! Taking the older part of a log away.

/// What the intent of a cut after this line is about.
pub(super) fn subject(sequence: u64) -> String {
    format!("entries up to {sequence}")
}
