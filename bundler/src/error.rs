//! The one error of this crate: what failed, on what, why, and what to do about it.

use std::{fmt, io};

use sealift_verifier::error::{Failure, Refusal};

use crate::problem::Problems;

sealift_verifier::codes! {
    /// The operating system refused to read or write something.
    Io = "io", "check the path, its permissions and the free space";
    /// A cache folder that somebody other than the user who builds could fill.
    CacheUnsafe = "cache-unsafe", "name a folder with `--cache` that belongs to you and that only you can write to (mode 0700)";
    /// The command line asks for something that makes no sense.
    Usage = "usage", "see --help";
    /// A definition has problems; each of them is listed.
    DefinitionInvalid = "definition-invalid", "correct the places listed, then run the command again";
    /// A file or folder that a definition names is not there.
    FileMissing = "file-missing", "paths are relative to the file that names them; is it built, and is its name right?";
    /// A definition file is larger than 1 MiB.
    DefinitionTooLarge = "definition-too-large", "a definition is a small text; content belongs into artifacts";
    /// A definition that is no TOML, or no UTF-8.
    TomlInvalid = "toml-invalid", "correct the TOML at this place (https://toml.io)";
    /// The same key twice in one table.
    DuplicateKey = "duplicate-key", "keep one of the two";
    /// The same capability twice.
    DuplicateCapability = "duplicate-capability", "a release has one version of each capability: keep one of the two";
    /// The same version of a capability, suite or platform twice.
    DuplicateDefinition = "duplicate-definition", "keep one of the two: build metadata does not make another version";
    /// Two artifacts with one name, or one lying inside another.
    ArtifactConflict = "artifact-conflict", "give each artifact of a capability a name of its own, none inside another";
    /// One capability's name lies inside another's.
    CapabilityConflict = "capability-conflict", "name capabilities `suite/name`, none a folder of another";
    /// A key that definitions do not have.
    UnknownKey = "unknown-key", "remove it, or correct its spelling";
    /// A key that has to be there is not.
    MissingKey = "missing-key", "add it";
    /// A value of another type than asked for.
    WrongType = "wrong-type", "write the value in the type that is asked for";
    /// A value of the right type that makes no sense.
    InvalidValue = "invalid-value", "docs/definitions.md says what each key may hold";
    /// A name that folders or registries cannot have.
    NameInvalid = "name-invalid", "use lower-case letters, digits and single `.`, `_`, `-` between them";
    /// A version that is not SemVer.
    VersionInvalid = "version-invalid", "write MAJOR.MINOR.PATCH, such as 2.5.0 (https://semver.org)";
    /// A requirement of versions that cannot be read.
    RequirementInvalid = "requirement-invalid", "write versions with operators, such as \">=2.0, <3\", \"^1.2\" or \"*\"";
    /// A date that cannot be read.
    DateInvalid = "date-invalid", "write dates in UTC with whole seconds, such as 2026-03-01T12:00:00Z";
    /// Neither the definition nor the environment says when the release was published.
    PublishedMissing = "published-missing", "add `published` or set SOURCE_DATE_EPOCH: the clock is never read, so that a build can be repeated";
    /// A duration that cannot be read, or is out of bounds.
    DurationInvalid = "duration-invalid", "write an integer and ms, s or m, such as \"10s\"; at most 24 hours";
    /// A health check with no probe, with several, or with one that cannot work.
    HealthInvalid = "health-invalid", "give each check exactly one of exec, http and tcp";
    /// A `capability.toml` that says another name or version than the folder it lies in.
    DefinitionMismatch = "definition-mismatch", "name and version have to be those of the folder below `capabilities`";
    /// Versions that exclude each other.
    Unresolvable = "unresolvable", "relax a pin, or add versions to the catalog that fit";
    /// A version that the catalog does not have, or that does not enter by itself.
    VersionMissing = "version-missing", "name a version that is there, or add it to the catalog";
    /// A capability that the catalog does not have.
    CapabilityUnknown = "capability-unknown", "`sealift-bundler tree` shows what a release has; correct the name, or add the capability to the catalog";
    /// A suite that the catalog does not have.
    SuiteUnknown = "suite-unknown", "correct the name, or add the suite to the catalog";
    /// A platform that the catalog does not have.
    PlatformUnknown = "platform-unknown", "platforms are named after the product: add one, or remove the pin";
    /// Capabilities that require each other.
    RequirementCycle = "requirement-cycle", "remove one of these requirements: none of the circle could be started first";
    /// Capabilities that stand in for each other.
    SubstituteCycle = "substitute-cycle", "name a capability as substitute that may run in the mode itself";
    /// A version that was withdrawn.
    Yanked = "yanked", "list another version; only the release definition can pin one that was withdrawn";
    /// Something that may not run in the mode, and for which nothing stands in.
    ModeUnavailable = "mode-unavailable", "add the mode to `modes`, or name a capability in [substitutes]";
    /// A lock that says something else than the definitions do now.
    LockStale = "lock-stale", "run `sealift-bundler resolve`, look at what it changes, and commit the lock";
    /// No lock where one is asked for.
    LockMissing = "lock-missing", "run `sealift-bundler resolve` and commit the lock";
    /// A lock that cannot be read.
    LockInvalid = "lock-invalid", "restore it, or remove it and run `sealift-bundler resolve`";
    /// Several modes where one is asked for.
    ModeAmbiguous = "mode-ambiguous", "choose one with --mode";
    /// A configuration schema that is no JSON Schema 2020-12 that stands alone.
    SchemaInvalid = "schema-invalid", "write it in JSON Schema 2020-12, and refer to nothing but #/$defs/… of the same file";
    /// Defaults that do not satisfy the configuration schema.
    DefaultsInvalid = "defaults-invalid", "correct the defaults or the schema: a site that says nothing runs with these defaults";
    /// A release below what its changes ask for: they break or add something.
    ReleaseTypeTooLow = "release-type-too-low", "raise the version as far as the changes ask for, or take them back";
    /// A release type that its version says otherwise.
    ReleaseTypeMismatch = "release-type-mismatch", "correct `type` or `version`, or leave `type` out: it follows from the version";
    /// A version that is not above that of the release before.
    VersionNotHigher = "version-not-higher", "each release has a higher version than the one before";
    /// A counter that is not above that of the release before.
    CounterNotHigher = "counter-not-higher", "the counter grows with every release published: sites refuse a lower one";
    /// An `upgrade-from` that leaves out the release before.
    UpgradeFromExcludes = "upgrade-from-excludes-previous", "admit the release before: nobody could ever upgrade from it";
    /// A release before that is of another product, or for another mode.
    PreviousMismatch = "previous-mismatch", "name the release that this one comes after, for the same mode";
    /// Facts of a site that cannot be read.
    FactsInvalid = "facts-invalid", "take the file as `sealift-installer facts` writes it at the site";
    /// A path that leaves the catalog.
    PathOutside = "path-outside", "keep everything that a release is made of inside the catalog folder";
    /// A path or a name of a file that cannot be delivered.
    PathInvalid = "path-invalid", "rename it: UTF-8, no backslash, no control characters, at most 255 bytes a part and 1024 in all";
    /// A symbolic link that can lead out of its tree.
    LinkOutside = "link-outside", "make it relative and keep it inside the tree, `..` only at its beginning";
    /// A socket, a device or a pipe in a tree.
    SpecialFile = "special-file", "remove it: only files, folders and symbolic links can be delivered";
    /// Something other than what the artifact's type asks for, such as a folder for a file.
    ArtifactType = "artifact-type", "correct `type` or `path`";
    /// A folder with more files than a tree can list.
    TreeTooLarge = "tree-too-large", "divide the folder into several artifacts";
    /// Content whose SHA-256 is not the declared one.
    DigestMismatch = "digest-mismatch", "the content is not what the digest was taken from: build it again, or correct the digest";
    /// Content whose length is not the declared one.
    LengthMismatch = "length-mismatch", "the content is cut off or was changed: build it again";
    /// An image layout or archive that does not hold together.
    ImageInvalid = "image-invalid", "write the image again, for example with `skopeo copy … oci:FOLDER:NAME`";
    /// Several images where one is asked for, or none with the name asked for.
    ImageAmbiguous = "image-ambiguous", "add `reference` with one of the names";
    /// An image that lacks a platform asked for, or is for none of them.
    ImagePlatform = "image-platform", "build the image for it, or correct `platforms` in RELEASE.toml";
    /// Something that looks like a secret in a configuration.
    SecretFound = "secret-found", "remove it and revoke it: secrets belong to the site, never into a bundle";
    /// A license expression that is none.
    LicenseInvalid = "license-invalid", "write an SPDX license expression, such as MIT OR Apache-2.0 (https://spdx.org/licenses)";
    /// A license that the vendor's list does not accept.
    LicenseRefused = "license-refused", "replace what has this license, or accept it in `[exceptions]` of licenses.toml";
    /// A package whose license nobody knows, or a capability without one, where the vendor's list asks for one.
    LicenseUnknown = "license-unknown", "find out, then accept the package with \"NOASSERTION\" in `[exceptions]` of licenses.toml";
    /// A folder of roots that cannot be used.
    RootInvalid = "root-invalid", "name the folder that holds 1.root.json and all its successors, as sealift-keys writes them";
    /// A key that the root does not name for releases.
    KeyNotEntitled = "key-not-entitled", "sign with a key that the newest root names for releases";
    /// A signature that is not one of what was to be signed.
    SignatureInvalid = "signature-invalid", "sign the .tosign file that belongs to this very bundle";
    /// Fewer signatures than the root asks for.
    SignaturesMissing = "signatures-missing", "have the .tosign file signed by more people, then run `sealift-bundler seal`";
}

/// Why an operation of this crate failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Definitions that cannot be built from, with all that is wrong with them.
    #[error(transparent)]
    Problems(Problems),
    /// What the reading of a bundle refused.
    #[error(transparent)]
    Verifier(#[from] sealift_verifier::Error),
    /// What the reading or use of a key refused.
    #[error(transparent)]
    Keys(#[from] sealift_keys::Error),
    /// Everything else.
    #[error(transparent)]
    Own(#[from] OwnError),
}

/// The result of everything here that can fail as a whole.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What failed ([`Code`]), on what, and why.
pub type OwnError = Refusal<Code>;

impl From<Problems> for Error {
    /// What only the command line leaves open is no fault of the definitions, and is told as a failure of its own.
    fn from(problems: Problems) -> Self {
        match problems.all() {
            [one] if one.code == Code::ModeAmbiguous => {
                Self::new(one.code, one.at.to_string(), one.message.as_str())
            }
            _ => Self::Problems(problems),
        }
    }
}

impl Error {
    /// An error about `subject`, a path or a name, with what exactly is wrong.
    pub fn new(code: Code, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Own(OwnError::new(code, subject, detail))
    }

    /// What the operating system said of `subject`.
    pub fn io(subject: impl fmt::Display, source: io::Error) -> Self {
        Self::Own(OwnError::io(subject.to_string(), source))
    }
}

impl Failure for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Problems(_) => Code::DefinitionInvalid.name(),
            Self::Verifier(error) => error.code(),
            Self::Keys(error) => error.code(),
            Self::Own(error) => error.code(),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Problems(_) => Code::DefinitionInvalid.hint(),
            Self::Verifier(error) => error.hint(),
            Self::Keys(error) => error.hint(),
            Self::Own(error) => error.hint(),
        }
    }
}

impl Error {
    /// The code, where it is one of this crate.
    pub fn kind(&self) -> Option<Code> {
        match self {
            Self::Problems(_) => Some(Code::DefinitionInvalid),
            Self::Own(error) => Some(error.kind()),
            Self::Verifier(_) | Self::Keys(_) => None,
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
