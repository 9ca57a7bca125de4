//! The one error of this crate: what was wrong, with what, and what to do about it.

use std::{error, fmt, io};

/// What every error of the four programs can say of itself, beside its message.
pub trait Failure: error::Error {
    /// A stable kebab-case name, for scripts and for tests.
    fn code(&self) -> &'static str;
    /// One thing to do about it; empty when there is nothing a person can do.
    fn hint(&self) -> &'static str;
}

/// Declares the `Code` of a crate, with the name and the hint of each of its values in one place. One of them has
/// to be `Io`.
#[macro_export]
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $hint:literal;)+) => {
        /// Why something was refused. The names are stable; `docs/errors.md` lists them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code { $($(#[doc = $doc])+ $variant,)+ }

        impl Code {
            /// Every code, for documentation and tests.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)+];

            /// The stable kebab-case name.
            pub const fn name(self) -> &'static str {
                match self { $(Code::$variant => $name,)+ }
            }

            /// What it means, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Code::$variant => concat!($($doc),+),)+ }
            }

            /// One thing to do about it.
            pub const fn hint(self) -> &'static str {
                match self { $(Code::$variant => $hint,)+ }
            }
        }

        impl $crate::error::ErrorCode for Code {
            const IO: Self = Self::Io;
            fn name(self) -> &'static str {
                self.name()
            }
            fn hint(self) -> &'static str {
                self.hint()
            }
        }
    };
}

codes! {
    /// The operating system refused to read something.
    Io = "io", "check the medium, the path and its permissions";
    /// Not a regular file: a pipe, a device or a directory.
    NotAFile = "not-a-regular-file", "copy the bundle to a file first: it is read at many places at once";
    /// The file does not begin as a bundle does.
    NotABundle = "not-a-bundle", "this file is no Sealift bundle, or its first bytes are damaged; copy it again";
    /// The file ends before what the signed metadata promises.
    Truncated = "truncated", "the copy is incomplete: compare its size with the original and copy it again";
    /// The file goes on after what the signed metadata promises.
    TrailingBytes = "trailing-bytes", "something was appended to the bundle; copy it again from its source";
    /// A header, a padding byte or an order that signed metadata does not lead to.
    NotCanonical = "not-canonical", "the bundle was changed or damaged; copy it again from its source";
    /// A member is present that must not be there, or one is missing.
    MemberUnexpected = "member-unexpected", "the bundle was changed or put together by other means; get it again from the vendor";
    /// A count, a length or a depth above the limit of the format.
    LimitExceeded = "limit-exceeded", "no honest bundle is this large here; get it again from the vendor";
    /// JSON that cannot be read, or that has a key twice.
    BadJson = "bad-json", "the file is damaged or no metadata at all; get it again";
    /// JSON that can be read but does not say what it has to.
    BadMetadata = "bad-metadata", "the file does not follow the format; get it again from who made it";
    /// A format or specification version that this program does not know.
    UnsupportedFormat = "unsupported-format", "a newer Sealift is needed to read this";
    /// Fewer valid signatures by distinct keys than the role asks for.
    ThresholdNotMet = "threshold-not-met", "the signatures do not suffice: is this the right root file, and was the bundle sealed by everybody?";
    /// A threshold of zero, or one that its keys can never meet.
    ThresholdInvalid = "threshold-invalid", "the root file is unusable; ask the vendor for a correct one";
    /// A signature that is not valid, in a bundle, where each one has to be.
    SignatureInvalid = "signature-invalid", "the bundle was changed after it was signed; get it again from the vendor";
    /// A signature by a key that the root does not name for this role.
    KeyUnknown = "key-unknown", "the signing key is not (or no longer) entitled: is this the right root file? If the vendor has replaced the key since, ask for the release signed anew";
    /// Provenance that no release key has signed, or that is about another release.
    ProvenanceInvalid = "provenance-invalid", "the release does not say where it comes from as it has to; get the bundle again from the vendor";
    /// The bundle's roots do not contain or continue the trusted one.
    RootMismatch = "root-mismatch", "this bundle is from another vendor or another root; compare the fingerprints";
    /// A root whose version is not exactly one above its predecessor.
    RootVersion = "root-version", "root versions must follow each other one by one; get the missing root files";
    /// More new roots than are followed in one go.
    RootRotations = "root-rotations", "too many new roots at once; update in several steps";
    /// Metadata older than what was trusted before.
    VersionRollback = "version-rollback", "this is older than what was accepted before; use `rollback` to go back to a kept release";
    /// A version other than the one that the metadata above it names.
    VersionMismatch = "version-mismatch", "files of different releases were mixed; get the bundle again";
    /// Metadata that has expired.
    Expired = "metadata-expired", "ask the vendor for a newer bundle; if this machine's clock is wrong, set it";
    /// Bytes whose SHA-256 is not the signed one.
    DigestMismatch = "digest-mismatch", "the content was changed or damaged on its way; copy it again";
    /// A length other than the signed one.
    LengthMismatch = "length-mismatch", "the content was changed or damaged on its way; copy it again";
    /// Delegated targets, which Sealift does not use.
    DelegationUnsupported = "delegation-unsupported", "sign targets with the release key itself";
    /// A path that is absolute, climbs, or has characters that no file should have.
    PathInvalid = "path-invalid", "paths are relative, without `..`, backslashes or control characters";
    /// The release needs a blob that its bundle does not hold.
    Incomplete = "incomplete", "the bundle was made without some of its content; ask the vendor for a correct one";
    /// A blob, item or target that is not there.
    NotFound = "not-found", "list what is there with `sealift-verifier inspect`";
    /// Something is there already and is never overwritten.
    AlreadyExists = "already-exists", "nothing is ever overwritten: choose an empty folder";
    /// The command line asks for something that makes no sense.
    Usage = "usage", "see --help";
}

impl Code {
    /// Whether this says that something is not what the trusted keys signed, or not as the format demands.
    /// Programs end with 3 then; with 2 for [`Code::Usage`]; and with 1 if the fault may lie elsewhere.
    pub const fn is_not_authentic(self) -> bool {
        !matches!(
            self,
            Self::Io | Self::NotAFile | Self::NotFound | Self::AlreadyExists | Self::Usage
        )
    }
}

/// A failure as people read it on standard error: `error[code]: message`, and a hint if there is one. All
/// programs write their errors with this, so that they look alike.
///
/// ```
/// use sealift_verifier::{Code, Error, error::render_text};
/// let text = render_text(&Error::new(Code::Truncated, "acme.bundle", "ends within targets.json"));
/// assert!(text.starts_with("error[truncated]: acme.bundle: ends within targets.json\n  hint: the copy"));
/// ```
pub fn render_text(failure: &dyn Failure) -> String {
    let message = failure.to_string();
    let lines: Vec<String> = message.lines().map(printable).collect();
    let mut text = format!("error[{}]: {}\n", failure.code(), lines.join("\n"));
    if !failure.hint().is_empty() {
        text.push_str("  hint: ");
        text.push_str(failure.hint());
        text.push('\n');
    }
    text
}

/// A failure as machines read it: `{"code", "message", "hint"}`, the value of the key `error` of what a
/// program writes to standard output with `--output json`.
pub fn render_json(failure: &dyn Failure) -> serde_json::Value {
    serde_json::json!({
        "code": failure.code(),
        "hint": failure.hint(),
        "message": failure.to_string(),
    })
}

/// What the parser of a command line says was wrong, in one line without the usage that follows.
pub fn usage(said: &str) -> String {
    let said = said.trim_start_matches("error: ");
    let what = said.split("\n\n").next().unwrap_or_default();
    what.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `text` with everything escaped that could move a terminal's cursor, begin a line, hide other text or
/// turn its direction: names and texts that came with content are shown with this.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let invisible = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || invisible {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// What the `Code` of each crate has, so that one type of error serves all of them.
pub trait ErrorCode: Copy + fmt::Debug {
    /// The code for what the operating system refused.
    const IO: Self;
    /// The stable kebab-case name.
    fn name(self) -> &'static str;
    /// One thing to do about it.
    fn hint(self) -> &'static str;
}

/// What was refused or failed (its code), with what (`subject`: a path, a member, a role) and why.
#[derive(Debug)]
pub struct Refusal<C> {
    code: C,
    subject: String,
    detail: String,
    source: Option<io::Error>,
}

/// Why this crate refused something.
pub type Error = Refusal<Code>;

/// The result of everything here that can be refused.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl<C: ErrorCode> Refusal<C> {
    /// An error about `subject` with what exactly is wrong.
    pub fn new(code: C, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            code,
            subject: subject.into(),
            detail: detail.into(),
            source: None,
        }
    }

    /// What the operating system said of `subject`.
    pub fn io(subject: impl Into<String>, source: io::Error) -> Self {
        Self::io_as(C::IO, subject, source)
    }

    /// Like [`Refusal::io`], with another code.
    pub fn io_as(code: C, subject: impl Into<String>, source: io::Error) -> Self {
        Self {
            code,
            subject: subject.into(),
            detail: source.to_string(),
            source: Some(source),
        }
    }

    /// The same failure, told by the code of what it means to whoever asked.
    pub(crate) fn recode(self, code: C) -> Self {
        Self { code, ..self }
    }

    /// The same failure of what whoever asked knows by this name.
    #[must_use]
    pub fn about(self, subject: impl Into<String>) -> Self {
        let subject = subject.into();
        Self { subject, ..self }
    }

    /// Why it was refused.
    pub fn kind(&self) -> C {
        self.code
    }

    /// With what: a path, a member or a role.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The kind of what the operating system said, if it was the operating system.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        self.source.as_ref().map(io::Error::kind)
    }
}

impl<C> fmt::Display for Refusal<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A path or a name, which comes from outside as a rule.
        write!(f, "{}: {}", printable(&self.subject), self.detail)
    }
}

impl<C: fmt::Debug> error::Error for Refusal<C> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_ref().map(|e| e as _)
    }
}

impl<C: ErrorCode> Failure for Refusal<C> {
    fn code(&self) -> &'static str {
        self.code.name()
    }
    fn hint(&self) -> &'static str {
        self.code.hint()
    }
}

/// Carries an [`Error`] through an interface that only knows [`io::Error`]; [`from_io`] takes it out.
pub(crate) fn into_io(error: Error) -> io::Error {
    io::Error::other(error)
}

/// An [`io::Error`] as an [`Error`] about `subject`, or the very error that [`into_io`] put in.
pub(crate) fn from_io(subject: &str, error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(inner) => inner,
        Err(error) => Error::io(subject, error),
    }
}
