//! The one error of this crate: what failed, on what, why, and what to do about it.

use std::{fmt, io, path::Path};

use sealift_verifier::error::{Failure, Refusal};

sealift_verifier::codes! {
    /// The operating system refused to read or write something.
    Io = "io", "check the path, its permissions and the free space";
    /// The command line asks for something that makes no sense.
    Usage = "usage", "see --help";
    /// A file or folder that has to be there is not.
    NotFound = "not-found", "check the path";
    /// Not a regular file: a pipe, a device or a directory.
    NotAFile = "not-a-regular-file", "give the path of a file";
    /// A file far larger than what it should hold.
    TooLarge = "file-too-large", "no key, root or signature is this large: is it the right path?";
    /// Something is there already and is never overwritten.
    AlreadyExists = "already-exists", "nothing is ever overwritten: choose another place, or move the old file away";
    /// The operating system gave no random numbers.
    NoRandomness = "no-randomness", "the system's random number generator failed; restart the machine and try again";
    /// No PEM, or a damaged one.
    PemInvalid = "pem-invalid", "the file is damaged, cut off or no key at all; copy it again from its backup";
    /// A PEM that holds no usable key.
    KeyInvalid = "key-invalid", "the key in this file is damaged; copy it again from its backup";
    /// A key that is not Ed25519.
    KeyType = "key-type", "Sealift signs with Ed25519 only: make a key with `sealift-keys generate`";
    /// A PEM in another form than PKCS#8 and SPKI.
    KeyFormat = "key-format", "convert it to PKCS#8 with `openssl pkcs8 -topk8`, or make a key with `sealift-keys generate`";
    /// A public key in place of a secret one.
    PublicKeyGiven = "public-key-given", "give the secret key: the file without `.pub` in its name";
    /// A secret key in place of a public one.
    SecretKeyGiven = "secret-key-given", "give the public key, `.pub.pem`: the secret one stays with its custodian";
    /// A key encrypted in a way that cannot be read.
    EncryptionUnsupported = "encryption-unsupported", "encrypt it anew with `openssl pkcs8 -topk8 -scrypt`";
    /// The passphrase does not open the key.
    PassphraseWrong = "passphrase-wrong", "try again; nobody can recover a lost passphrase";
    /// A passphrase without a character.
    PassphraseEmpty = "passphrase-empty", "the first line has to hold a passphrase; throw-away keys are made with --dev";
    /// A passphrase longer than any that a person would choose.
    PassphraseTooLong = "passphrase-too-long", "only the first line is read, of at most 1024 bytes: is it the right file?";
    /// The passphrase was not typed twice in the same way.
    PassphraseMismatch = "passphrase-mismatch", "type the same passphrase twice";
    /// A passphrase is needed and there is nobody to ask.
    PassphraseUnavailable = "passphrase-unavailable", "without a terminal, use --passphrase-file or --passphrase-fd";
    /// A threshold that the keys of a role can never meet, or zero.
    ThresholdUnreachable = "threshold-unreachable", "a threshold lies between 1 and the number of keys: add a key or lower the threshold first";
    /// The key is in the role already.
    KeyInRole = "key-already-in-role", "nothing to do: see `sealift-keys root show`";
    /// The key is not in the role.
    KeyNotInRole = "key-not-in-role", "see the key ids with `sealift-keys root show`";
    /// A key that would serve two roles.
    KeyInTwoRoles = "key-in-two-roles", "make a key of its own for each role: a stolen one then costs one role only";
    /// A key that neither the old nor the new root names for the role root.
    KeyNotEntitled = "key-not-entitled", "sign with a key that the old or the new root lists for the role root";
    /// An expiry that lies in the past.
    ExpiryPast = "expiry-in-past", "give a later --expires, or correct this machine's clock";
    /// A folder without a root file.
    RootMissing = "root-missing", "give the folder that holds N.root.json, as `sealift-keys init` makes it";
    /// The root before a draft is needed to count signatures.
    PreviousMissing = "previous-root-missing", "lay the older N.root.json beside the draft, or give it with --previous";
    /// The root after a draft is published already.
    AlreadyPublished = "already-published", "a published root never changes: make a draft of the next one, for example with `root renew`";
    /// A root with fields that this program does not know and would lose.
    UnsupportedFormat = "unsupported-format", "a newer Sealift made this file: use it to go on";
    /// A key that the root does not list for what it is to sign.
    KeyNotListed = "key-not-listed", "sign with a key that this root lists for it: see `sealift-keys root show`";
    /// Something that is to be signed does not say what it has to, or more than it may.
    StatementInvalid = "statement-invalid", "correct it; `docs/statements.md` says what it may hold";
    /// A file that cannot be part of a policy.
    PolicyFile = "policy-file-invalid", "a policy is made of regular files: policy.toml and *.rego, with names in ASCII";
    /// An approval of more than was asked for.
    OverrideNotRequested = "override-not-requested", "approve what is requested only, or have it requested anew";
    /// Nobody is there to confirm what is to be signed.
    ConfirmationMissing = "confirmation-missing", "read what is requested, and give --yes where there is no terminal";
    /// A person did not confirm.
    Declined = "declined", "nothing was signed";
    /// A release that is revoked already.
    ReleaseRevoked = "release-already-revoked", "nothing to do: see `sealift-keys root show`";
    /// A release that is not revoked.
    ReleaseNotRevoked = "release-not-revoked", "see the revoked releases with `sealift-keys root show`";
    /// A file to sign that does not hold together.
    ToSignInvalid = "tosign-invalid", "do not sign it: get the file again from who built the bundle";
    /// A signature that is not what it claims.
    SignatureInvalid = "signature-invalid", "the signature belongs to other content or was damaged: sign again";
    /// A PKCS#11 URI that does not say clearly what it means.
    TokenUri = "token-uri-invalid", "write it as RFC 7512 has it: pkcs11:token=LABEL;object=KEY?module-path=/PATH/OF/MODULE.so, with %20 for a blank";
    /// A build of this program that cannot load PKCS#11 modules.
    TokenUnsupported = "token-unsupported", "static programs load no modules: use the one built for glibc, with the feature pkcs11";
    /// A PKCS#11 module that is not there, is none, or does not begin.
    TokenModule = "token-module", "give the module of the token's maker as module-path: an absolute path, of the same architecture; `pkcs11-tool --module PATH -L` tries it";
    /// No token is as the URI says.
    TokenNotFound = "token-not-found", "is it plugged in? Compare with what is listed, or with `pkcs11-tool --module PATH -L`";
    /// Several tokens are as the URI says.
    TokenAmbiguous = "token-ambiguous", "add `serial` to the URI, so that it means one token";
    /// No key on the token is as the URI says.
    TokenKeyNotFound = "token-key-not-found", "compare with what is listed, or with `pkcs11-tool --module PATH -l -O`";
    /// Several keys on the token are as the URI says.
    TokenKeyAmbiguous = "token-key-ambiguous", "add `id` or `object` to the URI, so that it means one key";
    /// The token does not take the PIN.
    PinWrong = "pin-wrong", "do not try too often: tokens lock themselves after a few wrong PINs";
    /// The token has locked itself.
    PinLocked = "pin-locked", "its security officer has to set a new PIN";
    /// The token is gone.
    TokenRemoved = "token-removed", "plug it in and begin again; nothing was signed by it";
    /// The token did not do what was asked of it.
    TokenFailed = "token-failed", "try the same with `pkcs11-tool --module PATH -l --sign -m EDDSA`, and see the manual of the token";
    /// A token signed something else, or with another key than it says.
    TokenSignature = "token-signature-invalid", "it was not given out: do not use this token before its maker has explained it";
}

/// Why an operation of this crate failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What the verification of metadata refused.
    #[error(transparent)]
    Verifier(#[from] sealift_verifier::Error),
    /// Everything else.
    #[error(transparent)]
    Own(#[from] OwnError),
}

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What failed ([`Code`]), on what, and why.
pub type OwnError = Refusal<Code>;

impl Error {
    /// An error about `subject`, a path or a name, with what exactly is wrong.
    pub fn new(code: Code, subject: impl fmt::Display, detail: impl Into<String>) -> Self {
        Self::Own(OwnError::new(code, subject.to_string(), detail))
    }

    /// What the operating system said of `path`.
    pub fn io(path: &Path, source: io::Error) -> Self {
        let code = match source.kind() {
            io::ErrorKind::NotFound => Code::NotFound,
            io::ErrorKind::AlreadyExists => Code::AlreadyExists,
            _ => Code::Io,
        };
        Self::Own(OwnError::io_as(code, path.display().to_string(), source))
    }

    /// The code, where it is one of this crate.
    pub fn kind(&self) -> Option<Code> {
        match self {
            Self::Own(error) => Some(error.kind()),
            Self::Verifier(_) => None,
        }
    }
}

impl Failure for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Verifier(error) => error.code(),
            Self::Own(error) => error.code(),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Verifier(error) => error.hint(),
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
        assert!(
            names
                .iter()
                .all(|n| n.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
        );
        assert!(Code::ALL.iter().all(|c| !c.hint().is_empty()));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }
}
