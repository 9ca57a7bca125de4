//! A bundle, from a file nobody has looked into to content that may be used.
//!
//! [`Bundle::open`] gives an [`Unverified`]; [`Unverified::verify`] consumes it and gives an [`Authentic`],
//! the only place that a release manifest can be had from. The file is opened once and read at positions;
//! its path is never used again.

mod authentic;
mod head;
mod layout;

use std::{fs::File, os::unix::fs::FileExt, path::Path};

pub use authentic::{Authentic, Sink};
use head::Head;
use rustix::fs::{Mode, OFlags};

use crate::{
    digest::Digest,
    error::{Code, Error, Result},
    time::Time,
    tuf::{KeyHolder, Signed, TrustedSet},
};

/// What a site or an auditor trusts before it reads a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The trusted root, as the file it came in.
    pub root: Vec<u8>,
    /// The newest timestamp that was accepted, as the file it came in; older ones are refused.
    pub timestamp: Option<Vec<u8>>,
    /// The newest snapshot that was accepted, as the file it came in; older versions are refused.
    pub snapshot: Option<Vec<u8>>,
}

impl Trust {
    /// Trusts a root and knows of no release yet.
    pub fn from_root(root: Vec<u8>) -> Self {
        Self {
            root,
            timestamp: None,
            snapshot: None,
        }
    }
}

/// One thing that was checked, for the people who have to answer for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// A stable kebab-case name.
    pub name: &'static str,
    /// What was found.
    pub detail: String,
    /// Who signed, if it is a signature that was checked.
    pub signers: Vec<KeyHolder>,
    /// How many signatures were needed, if it is a signature that was checked.
    pub threshold: u64,
}

impl Check {
    fn new(name: &'static str, detail: String) -> Self {
        Self {
            name,
            detail,
            signers: Vec::new(),
            threshold: 0,
        }
    }
}

/// How bundles are opened.
pub struct Bundle;

impl Bundle {
    /// Opens the file at `path`, this one time, and goes on as [`Bundle::open`] does.
    pub fn open_path(path: &Path) -> Result<Unverified> {
        let name = path.display().to_string();
        // Without `NONBLOCK`, opening a pipe would wait until somebody writes to it.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file =
            rustix::fs::open(path, flags, Mode::empty()).map_err(|e| Error::io(&name, e.into()))?;
        Self::open(file.into(), &name)
    }

    /// Takes a file that should hold a bundle and reads its first part, the metadata, without believing
    /// any of it. `name` stands for the file in errors. Pipes and devices are refused: a bundle is read at
    /// many places at once.
    pub fn open(file: File, name: &str) -> Result<Unverified> {
        let metadata = file.metadata().map_err(|e| Error::io(name, e))?;
        if !metadata.is_file() {
            return Err(Error::new(Code::NotAFile, name, "is not a regular file"));
        }
        let file = Medium {
            file,
            length: metadata.len(),
            name: name.to_owned(),
        };
        let head = Head::read(&file)?;
        Ok(Unverified { file, head })
    }
}

/// The open file.
struct Medium {
    file: File,
    length: u64,
    name: String,
}

impl Medium {
    /// Fills `buffer` from `position`; an end of the file before that is `truncated`.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<()> {
        self.file
            .read_exact_at(buffer, position)
            .map_err(|e| match e.kind() {
                std::io::ErrorKind::UnexpectedEof => Error::new(
                    Code::Truncated,
                    &self.name,
                    format!(
                        "ends before byte {}",
                        position.saturating_add(buffer.len() as u64)
                    ),
                ),
                _ => Error::io(&self.name, e),
            })
    }

    fn read_vec(&self, position: u64, length: u64, limit: u64, subject: &str) -> Result<Vec<u8>> {
        if length > limit {
            return Err(Error::new(
                Code::LimitExceeded,
                subject,
                format!("has {length} bytes, allowed are {limit}"),
            ));
        }
        // Bytes that are not there must not make us take memory for them.
        if position
            .checked_add(length)
            .is_none_or(|end| end > self.length)
        {
            return Err(Error::new(
                Code::Truncated,
                &self.name,
                format!("ends within {subject}"),
            ));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.read_at(&mut bytes, position)?;
        Ok(bytes)
    }
}

/// A bundle that nobody has verified. All it offers is to be verified.
#[must_use]
pub struct Unverified {
    file: Medium,
    head: Head,
}

impl Unverified {
    /// The root in this bundle whose file has the SHA-256 `fingerprint`: for people who were told a
    /// fingerprint instead of being given the file.
    pub fn root_with_fingerprint(&self, fingerprint: Digest) -> Result<Vec<u8>> {
        let found = self
            .head
            .roots
            .iter()
            .find(|root| Digest::of(root) == fingerprint);
        found.cloned().ok_or_else(|| {
            Error::new(
                Code::RootMismatch,
                &self.file.name,
                format!("holds no root with the fingerprint {fingerprint}"),
            )
        })
    }

    /// The files of `metadata/` as they came, with their paths and in order, not verified, and where in the
    /// bundle they end: what adding a signature starts from.
    pub fn claimed_metadata(&self) -> (Vec<(String, Vec<u8>)>, u64) {
        (self.head.files(), self.head.end)
    }

    /// Verifies everything but the payload, and every header, padding and length of the whole file.
    /// Expiry is judged by `now`. `observe` hears of each check that was passed, in order.
    pub fn verify(
        self,
        trust: &Trust,
        now: Time,
        observe: &mut dyn FnMut(Check),
    ) -> Result<Authentic> {
        let trusted = head::verify(&self.head, trust, now, observe)?;
        Authentic::new(self.file, &self.head, trusted, observe)
    }
}

/// Holds the bytes of one metadata file of a bundle to the only form they may have.
fn canonical(bytes: &[u8], subject: &str) -> Result<Signed> {
    let signed = Signed::parse(bytes, subject)?;
    if signed.to_bytes() != bytes {
        return Err(Error::new(
            Code::NotCanonical,
            subject,
            "is not canonical JSON with its signatures sorted by key",
        ));
    }
    Ok(signed)
}

/// What is trusted after a bundle was accepted.
fn trust_after(trusted: &TrustedSet) -> Trust {
    Trust {
        root: trusted.root().bytes.clone(),
        timestamp: trusted.timestamp().map(|t| t.bytes.clone()),
        snapshot: trusted.snapshot().map(|s| s.bytes.clone()),
    }
}
