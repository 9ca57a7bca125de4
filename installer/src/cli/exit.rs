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
        // Whatever the cause was.
        Error::WentBack { .. } => WENT_BACK,
        _ => error.kind().map_or(FAILED, of),
    }
}

/// The exit code that a failure with this code ends with.
fn of(code: Code) -> u8 {
    match code {
        Code::Usage | Code::ConfirmationMissing => USAGE,
        Code::FingerprintMismatch => NOT_AUTHENTIC,
        Code::ProductMismatch
        | Code::CounterTooLow
        | Code::CounterReused
        | Code::BelowSecurityFloor
        | Code::NoSpace => NOT_ADMITTED,
        Code::HealthCheckFailed | Code::ActivateHookFailed => WENT_BACK,
        Code::DurabilityUnknown => DURABILITY_UNKNOWN,
        _ => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, path::Path};

    use super::*;

    /// The list of the installer's codes in `docs/errors.md`, between its marks, is the one of the code. Run
    /// the test with `UPDATE_DOCUMENTS=1` to write it.
    #[test]
    fn the_list_of_codes_is_up_to_date() {
        let mut list = String::from("| code | exit | meaning | what to do |\n|---|---|---|---|\n");
        for code in Code::ALL {
            let (name, meaning) = (code.name(), code.meaning().trim());
            writeln!(
                list,
                "| `{name}` | {} | {meaning} | {} |",
                of(*code),
                code.hint()
            )
            .unwrap();
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
        let document = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = document.split_once("<!-- installer -->\n").unwrap();
        let (found, after) = rest.split_once("<!-- end of installer -->").unwrap();
        if found == list {
            return;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a test that updates a document when asked to"
        )]
        if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
            let text =
                format!("{before}<!-- installer -->\n{list}<!-- end of installer -->{after}");
            std::fs::write(path, text).unwrap();
            return;
        }
        panic!("docs/errors.md is not up to date: run this test with UPDATE_DOCUMENTS=1");
    }

    #[test]
    fn what_went_back_ends_with_five_whatever_the_cause_was() {
        let cause = Error::io("x", std::io::ErrorKind::StorageFull.into());
        assert_eq!(code(&cause), FAILED);
        let back = Error::WentBack {
            what: "apply".into(),
            back: "as before".into(),
            cause: Box::new(cause),
        };
        assert_eq!(code(&back), WENT_BACK);
    }
}
