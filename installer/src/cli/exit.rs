//! The one place where errors become exit codes, the same in all programs of Sealift.

use sealift_verifier::Code as VerifierCode;

use crate::error::{Code, Error};

/// It was done.
pub(super) const DONE: u8 = 0;
/// It failed.
const FAILED: u8 = 1;
/// The command line makes no sense.
pub(super) const USAGE: u8 = 2;
/// A bundle or root is not authentic.
const NOT_AUTHENTIC: u8 = 3;
/// A release is not admitted here.
const NOT_ADMITTED: u8 = 4;
/// It failed after activation, and the site went back by itself.
const WENT_BACK: u8 = 5;
/// It is active and committed, but may not survive a power cut.
const DURABILITY_UNKNOWN: u8 = 6;

/// The exit code of an error.
pub(super) fn code(error: &Error) -> u8 {
    match error {
        Error::Verifier(error) if error.kind() == VerifierCode::Usage => USAGE,
        Error::Verifier(error) if error.kind().is_not_authentic() => NOT_AUTHENTIC,
        Error::NotAdmitted(_) => NOT_ADMITTED,
        Error::WentBack { .. } => WENT_BACK,
        _ => match error.kind() {
            Some(Code::Usage | Code::ConfirmationMissing) => USAGE,
            Some(Code::FingerprintMismatch) => NOT_AUTHENTIC,
            Some(Code::DurabilityUnknown) => DURABILITY_UNKNOWN,
            _ => FAILED,
        },
    }
}
