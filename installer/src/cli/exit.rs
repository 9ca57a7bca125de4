//! The one place where errors become exit codes, the same in all programs of Sealift.

use sealift_verifier::Code as VerifierCode;

use crate::error::{Code, Error};

/// It was done.
pub const DONE: u8 = 0;
/// It failed.
pub const FAILED: u8 = 1;
/// The command line makes no sense.
pub const USAGE: u8 = 2;
/// A bundle or root is not authentic.
pub const NOT_AUTHENTIC: u8 = 3;
/// A release is not admitted here.
pub const NOT_ADMITTED: u8 = 4;
/// It failed after activation, and the site went back by itself.
pub const WENT_BACK: u8 = 5;
/// It is active and committed, but may not survive a power cut.
pub const DURABILITY_UNKNOWN: u8 = 6;

/// The exit code of an error.
pub fn code(error: &Error) -> u8 {
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
        | Code::UpgradeFrom
        | Code::ModeMismatch
        | Code::PlatformMismatch
        | Code::HardwareInsufficient
        | Code::Pinned
        | Code::ReleaseRevoked
        | Code::LicenseMissing
        | Code::LicenseSite
        | Code::LicenseMode
        | Code::LicenseEnvironment
        | Code::LicenseNotYetValid
        | Code::LicenseExpired
        | Code::MaintenanceOver
        | Code::NotEntitled
        | Code::LicenseLimit
        | Code::ExpiredByClock
        | Code::SignaturesMissing
        | Code::CountersignatureMissing
        | Code::VendorNotAllowed
        | Code::ConfigurationNotReviewed
        | Code::PromotionMissing
        | Code::ChannelFrozen
        | Code::ApprovalsMissing
        | Code::OutsideWindow
        | Code::PolicyDenied
        | Code::PolicyFailed
        | Code::NoSpace
        | Code::NoWayBack => NOT_ADMITTED,
        Code::HealthCheckFailed | Code::ActivateHookFailed => WENT_BACK,
        Code::DurabilityUnknown => DURABILITY_UNKNOWN,
        _ => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
