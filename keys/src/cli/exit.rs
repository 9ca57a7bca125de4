//! The one place where errors become exit codes, the same in all four programs.

use sealift_verifier::Code as VerifierCode;

use crate::error::{Code, Error};

/// The exit codes, for `--help`.
pub(super) const HELP: &str = "Exit codes: 0 done, 1 failed, 2 usage, 3 not authentic";

/// Done.
pub const DONE: u8 = 0;
/// Failed.
pub const FAILED: u8 = 1;
/// The command line makes no sense.
pub const USAGE: u8 = 2;
/// Something signed is not what it claims.
pub const NOT_AUTHENTIC: u8 = 3;

/// The exit code of an error.
pub fn code(error: &Error) -> u8 {
    match error {
        Error::Own(_) => match error.kind() {
            Some(Code::Usage) => USAGE,
            Some(Code::SignatureInvalid | Code::ToSignInvalid) => NOT_AUTHENTIC,
            _ => FAILED,
        },
        Error::Verifier(error) => match error.kind() {
            VerifierCode::Usage => USAGE,
            VerifierCode::Io
            | VerifierCode::NotAFile
            | VerifierCode::AlreadyExists
            | VerifierCode::NotFound
            | VerifierCode::PathInvalid => FAILED,
            _ => NOT_AUTHENTIC,
        },
    }
}
