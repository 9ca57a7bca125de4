//! The one place where errors become exit codes, the same in all programs of Sealift.

use sealift_verifier::Failure;

use crate::error::{Code, Error};

/// It was done.
pub const DONE: u8 = 0;
/// It failed.
pub const FAILED: u8 = 1;
/// The command line makes no sense.
pub const USAGE: u8 = 2;
/// A bundle is not authentic.
pub const NOT_AUTHENTIC: u8 = 3;
/// A site cannot take a release.
pub const NOT_ADMITTED: u8 = 4;

/// The exit code of an error.
pub fn code(error: &Error) -> u8 {
    match error {
        Error::Verifier(error) if error.kind().is_not_authentic() => NOT_AUTHENTIC,
        _ if error.code() == Code::Usage.name() => USAGE,
        _ if error.kind() == Some(Code::ModeAmbiguous) => USAGE,
        _ => FAILED,
    }
}
