//! The one error of this crate: what failed, on what, why, and what to do about it.

use std::{fmt, io};

use sealift_verifier::error::{Failure, Refusal};

sealift_verifier::codes! {
    /// The operating system refused to read or write something.
    Io = "io", "check the path, its permissions and the free space";
    /// The command line asks for something that makes no sense.
    Usage = "usage", "see --help";
    /// Nobody can be asked, and `--yes` was not given.
    ConfirmationMissing = "confirmation-missing", "look at `plan BUNDLE`, then repeat with --yes";
    /// The person at the terminal said no.
    Declined = "declined", "nothing was changed";
    /// The folder is a site already.
    AlreadyASite = "already-a-site", "a site is made once: choose another --state folder, or go on with this one";
    /// The folder holds other things.
    NotEmpty = "not-empty", "choose a new or empty folder for --state";
    /// The folder is no site.
    NotASite = "not-a-site", "give the right --state folder, or make a site with `init`";
    /// A file of the site that cannot be what this program wrote.
    StateDamaged = "state-damaged", "run `fsck`; if the state itself is lost, bring the state folder back from a backup";
    /// State written by a newer program.
    StateFormat = "state-format", "use the newer program that wrote it";
    /// Another program is working at this site.
    SiteLocked = "site-locked", "wait until it is done";
    /// The root file is another one than the fingerprint says.
    FingerprintMismatch = "fingerprint-mismatch", "do not use this root file: ask the vendor for the right file or fingerprint, on another way";
    /// A bundle of another product than the site has.
    ProductMismatch = "product-mismatch", "a site takes releases of one product: make another site with another --state folder";
    /// A release older than one that the site had.
    CounterTooLow = "counter-too-low", "to go back, use `rollback` and a release that the site keeps";
    /// Another release with the counter of one that the site had.
    CounterReused = "counter-reused", "the vendor published two releases under one counter: ask which is right, and for a new bundle";
    /// A version below what a committed release allows.
    BelowSecurityFloor = "below-security-floor", "releases below the security floor stay closed: take a newer one";
    /// A release that does not follow the one that runs.
    UpgradeFrom = "upgrade-from", "first install a release between the two: the message says which versions this one follows";
    /// A release that was resolved for another mode than the site's.
    ModeMismatch = "mode-mismatch", "ask the vendor for the bundle of the same release for this site's mode";
    /// A release whose images are built for other machines.
    PlatformMismatch = "platform-mismatch", "ask the vendor for a bundle for this machine";
    /// The machine has less than the release needs.
    HardwareInsufficient = "hardware-insufficient", "give the machine what it lacks, or ask the vendor for a release that needs less";
    /// A release with other versions than the site's pins allow.
    Pinned = "pinned", "if a pin has served its purpose, take it away with `pin remove`";
    /// A release that whoever signed it has taken back.
    ReleaseRevoked = "release-revoked", "take a newer release; the reason is in the message";
    /// The product takes a license, and there is none here.
    LicenseMissing = "license-missing", "ask the vendor for a license, then add it with `license add FILE`";
    /// A license that is bound to other sites.
    LicenseSite = "license-site", "give the vendor this site's id (see `status`), and ask for a license that names it";
    /// A license for other modes.
    LicenseMode = "license-mode", "ask the vendor for a license for this site's mode";
    /// A license for other environments.
    LicenseEnvironment = "license-environment", "say in the policy what the deployment is for, or ask the vendor for a license for it";
    /// A license that does not count yet.
    LicenseNotYetValid = "license-not-yet-valid", "wait until it counts; if this machine's clock is wrong, set it";
    /// A license that does not count any more.
    LicenseExpired = "license-expired", "what runs goes on; for updates, ask the vendor for a renewed license";
    /// A release that was published after the maintenance date of the license.
    MaintenanceOver = "maintenance-over", "ask the vendor to renew the maintenance; releases from before its end are covered";
    /// Something of the release is not licensed.
    NotEntitled = "not-entitled", "ask the vendor for a license that grants what the message names";
    /// The site has more than is licensed.
    LicenseLimit = "license-limit", "ask the vendor for a license for more, or correct what the policy says of the deployment";
    /// Something has expired, but only by the local clock.
    ExpiredByClock = "expired-by-clock", "if the clock is wrong, set it; else request and approve with `--override clock`";
    /// Fewer release keys of the vendor have signed than the site's policy wants.
    SignaturesMissing = "signatures-missing", "ask the vendor for a bundle that more of its release keys have signed";
    /// The customer's own release keys have not signed.
    CountersignatureMissing = "countersignature-missing", "have it signed with `sealift-keys countersign`, then add that with `countersignature add FILE`";
    /// A countersignature that is of no use here.
    CountersignatureUnusable = "countersignature-unusable", "have the release of this site's product signed by the release keys that the customer's root lists";
    /// The site has another root of the customer already.
    CustomerPinned = "customer-pinned", "a customer's root changes only as its own keys say: bring the newer ones with `trust update`";
    /// A medium without metadata that could be taken.
    NoMetadata = "no-metadata", "give a folder or a tar with metadata/ or customer/ in it, a folder of roots, or a bundle";
    /// A capability of a vendor whom the site's policy does not allow.
    VendorNotAllowed = "vendor-not-allowed", "if the vendor was reviewed, add it to vendors.allowed in the policy";
    /// Regulated mode, and a configuration that was not reviewed.
    ConfigurationNotReviewed = "configuration-not-reviewed", "review the configuration, then add its digest to regulated.configurations in the policy";
    /// The release has not run where the site's policy wants it to have run first.
    PromotionMissing = "promotion-missing", "have the sites that the message names run `attest`, then add that with `attestation add FILE`";
    /// The deployment takes no updates.
    ChannelFrozen = "channel-frozen", "change the channel in the policy, or request and approve with `--override frozen`";
    /// Not enough people have approved it.
    ApprovalsMissing = "approvals-missing", "make a request with `request BUNDLE`, have it approved, then add the approvals with `approval add FILE`";
    /// No maintenance window is open.
    OutsideWindow = "outside-window", "wait until the window opens, or request and approve with `--override window`";
    /// A rule of the site's own, in Rego, speaks against it.
    PolicyDenied = "policy-denied", "the message is the rule's own; `policy explain BUNDLE` shows every rule";
    /// A rule of the site's own, in Rego, could not be evaluated.
    PolicyFailed = "policy-failed", "correct the policy: until then nothing is installed";
    /// Not enough free space or files.
    NoSpace = "no-space", "free space on the file system of the state folder, for example with `prune --keep 2`";
    /// There is no generation to go back to.
    NothingToGoBackTo = "nothing-to-go-back-to", "see `status` for the generations that are kept";
    /// Going back to a release that cannot run on the data that newer ones have changed.
    NoWayBack = "no-way-back", "go forward instead: ask the vendor for a release that corrects what is wrong";
    /// A generation that is not kept.
    GenerationUnknown = "generation-unknown", "see `status` for the generations that are kept";
    /// A kept generation whose files are not what they should be.
    GenerationDamaged = "generation-damaged", "repair it with `fsck --from BUNDLE`";
    /// A health check of the activated release failed.
    HealthCheckFailed = "health-check-failed", "the release that ran before is active again; send the reason to the vendor";
    /// The site's activate hook failed.
    ActivateHookFailed = "activate-hook-failed", "correct the hook that `init --activate-hook` named, then try again";
    /// Going back after a failure failed itself.
    GoingBackFailed = "going-back-failed", "remove the cause, then run `recover`";
    /// Everything was done, but whether it survives a power cut is unknown.
    DurabilityUnknown = "durability-unknown", "check the disk and its cables, then run `fsck`";
    /// The check of the site found damage.
    DamageFound = "damage-found", "repair it with `fsck --from BUNDLE`, with the bundle of the damaged generation";
    /// A policy that cannot be read, or that may not hold here.
    PolicyInvalid = "policy-invalid", "correct what the message names; `policy default` prints a policy to begin with";
    /// Tests of rules in Rego that do not hold.
    PolicyTestsFailed = "policy-tests-failed", "correct the rules or the tests that the list names";
    /// A license that is of no use here.
    LicenseUnusable = "license-unusable", "ask the vendor for a license for this site and product, unless a newer one is here already";
    /// A request, approval or withdrawal that is of no use here.
    ApprovalUnusable = "approval-unusable", "see the people and their keys in `policy show`, and the site's id in `status`";
    /// An attestation that is of no use here.
    AttestationUnusable = "attestation-unusable", "see the sites and their keys in `policy show`; the other site's `status` shows its id and key";
    /// Nobody has said what the deployment is for.
    EnvironmentMissing = "environment-missing", "say in the policy what the deployment is for: `environment` in `[deployment]`";
    /// A check of what runs was not passed.
    CheckFailed = "check-failed", "the attestation says so too, and no site takes the release by it: correct what failed, then attest again";
    /// Something that is not there.
    NotFound = "not-found", "see the list of what is there";
    /// The audit log cannot be written, so that nothing may be done.
    AuditUnwritable = "audit-unwritable", "free space on the file system of the state folder, or correct what the message names; going back is possible nevertheless";
    /// The audit log is not what was written.
    AuditDamaged = "audit-damaged", "see `audit verify` for what is wrong; find out who did it before `audit cut --damaged` puts the log away";
    /// A pin that is not there.
    NotPinned = "not-pinned", "see `pin list` for the pins of the site";
    /// A capability that the release does not have.
    CapabilityUnknown = "capability-unknown", "see `notices` for the capabilities of the release";
    /// A bill of materials that the release does not have.
    NoSbom = "no-sbom", "take one that the message names, or ask the vendor for it";
    /// The output is there already and is never overwritten.
    AlreadyExists = "already-exists", "nothing is ever overwritten: choose another name";
}

impl serde::Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation of this crate failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What the reading of a bundle or of signed content refused.
    #[error(transparent)]
    Verifier(#[from] sealift_verifier::Error),
    /// What the reading or using of a key refused.
    #[error(transparent)]
    Keys(#[from] sealift_keys::Error),
    /// A release that may not be installed here, with everything that speaks against it.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// Activation failed, and what ran before is active again.
    #[error("{what} failed, {back}: {cause}")]
    WentBack {
        /// Which step forward or back was tried, such as `apply of acme 2.6.0`.
        what: String,
        /// What is active now.
        back: String,
        /// What failed first.
        cause: Box<Error>,
    },
    /// Everything else.
    #[error(transparent)]
    Own(#[from] OwnError),
}

/// What failed ([`Code`]), on what, and why.
pub type OwnError = Refusal<Code>;

/// One reason why a release may not be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Which rule it breaks.
    pub code: Code,
    /// How.
    pub detail: String,
}

/// Everything that speaks against a release at this site; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAdmitted {
    /// What was not admitted, such as `acme 2.4.0`.
    pub what: String,
    /// The first reason.
    pub first: Denial,
    /// All others.
    pub others: Vec<Denial>,
}

impl NotAdmitted {
    /// All reasons.
    pub fn denials(&self) -> impl Iterator<Item = &Denial> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl fmt::Display for NotAdmitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not admitted: {}", self.what, self.first.detail)?;
        self.others
            .iter()
            .try_for_each(|d| write!(f, "; also, {}: {}", d.code.name(), d.detail))
    }
}

impl std::error::Error for NotAdmitted {}

impl Error {
    /// An error about `subject`, a path or a name, with what exactly is wrong.
    pub fn new(code: Code, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Own(OwnError::new(code, subject, detail))
    }

    /// What the operating system said of `subject`, or the error that an [`io::Error`] carries.
    pub fn io(subject: impl fmt::Display, source: io::Error) -> Self {
        Self::io_as(Code::Io, subject, source)
    }

    /// Like [`Error::io`], with another code than `io`.
    pub fn io_as(code: Code, subject: impl fmt::Display, source: io::Error) -> Self {
        match source.downcast::<sealift_verifier::Error>() {
            Ok(error) => Self::Verifier(error),
            Err(source) => Self::Own(OwnError::io_as(code, subject.to_string(), source)),
        }
    }

    /// The kind of what the operating system said, if it was the operating system.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Own(error) => error.io_kind(),
            _ => None,
        }
    }

    /// Whether it only says that something is not there.
    pub fn is_not_found(&self) -> bool {
        self.io_kind() == Some(io::ErrorKind::NotFound)
    }

    /// The code, where it is one of this crate.
    pub fn kind(&self) -> Option<Code> {
        match self {
            Self::Own(error) => Some(error.kind()),
            Self::NotAdmitted(refusal) => Some(refusal.first.code),
            Self::WentBack { cause, .. } => cause.kind(),
            Self::Verifier(_) | Self::Keys(_) => None,
        }
    }
}

impl Failure for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Verifier(error) => error.code(),
            Self::Keys(error) => error.code(),
            Self::NotAdmitted(refusal) => refusal.first.code.name(),
            Self::WentBack { cause, .. } => cause.code(),
            Self::Own(error) => error.code(),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Verifier(error) => error.hint(),
            Self::Keys(error) => error.hint(),
            Self::NotAdmitted(refusal) => refusal.first.code.hint(),
            Self::WentBack { cause, .. } => cause.hint(),
            Self::Own(error) => error.hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_kebab_case_unique_and_have_hints() {
        let mut names: Vec<_> = Code::ALL.iter().map(|c| c.name()).collect();
        let kebab = |name: &&str| name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        assert!(names.iter().all(kebab));
        assert!(Code::ALL.iter().all(|c| !c.hint().is_empty()));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn what_a_reader_found_is_not_hidden_behind_an_io_error() {
        let inner = sealift_verifier::Error::new(
            sealift_verifier::Code::DigestMismatch,
            "blob",
            "is another",
        );
        assert_eq!(
            Error::io("x", io::Error::other(inner)).code(),
            "digest-mismatch"
        );
        let gone = Error::io("x", io::ErrorKind::NotFound.into());
        assert!(gone.is_not_found());
    }
}
