//! Authoring of roots: `N.root.json` says whose signatures a site believes (TUF 4.3).
//!
//! A new root begins as a *draft*, `N+1.root.draft.json`, beside the root it follows. [`edit`] changes
//! drafts, [`sign`] adds signatures to them, each on its own machine if need be, and publishes the root
//! once the old and the new root's thresholds are both met (TUF 5.3.4, 6.1). [`show`] tells what a root
//! says and who signed it.

pub mod edit;
pub mod folder;
pub mod role;
pub mod show;
pub mod sign;

use std::path::Path;

use sealift_verifier::{
    digest::Digest,
    error::Code as VerifierCode,
    limits,
    tuf::{
        ED25519, KeyHolder, Role, RoleName, Root, Signed, metadata::Statement, verify_threshold,
    },
};

use crate::{
    disk,
    error::{Code, Error, Result},
};

/// A root or a draft of one, as it was read. Nobody has vouched for it yet.
#[derive(Debug, Clone)]
pub struct RootFile {
    root: Root,
    signed: Signed,
    bytes: Vec<u8>,
    subject: String,
}

impl RootFile {
    /// Reads a root file.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(
            &disk::read(path, limits::METADATA_BYTES)?,
            &path.display().to_string(),
        )
    }

    /// Reads a root; `subject` names it in errors. A root with fields that this program does not know is
    /// refused: a signer would sign what nobody showed, and the next version would lose them.
    pub fn parse(bytes: &[u8], subject: &str) -> Result<Self> {
        let signed = Signed::parse(bytes, subject)?;
        let root = Root::from_signed(signed.signed())
            .map_err(|e| sealift_verifier::Error::new(e.kind(), subject, e.to_string()))?;
        let mut known = root.to_signed()?;
        if let Some(version) = signed.signed().get("spec_version") {
            known["spec_version"] = version.clone();
        }
        if known != *signed.signed() {
            return Err(Error::new(
                Code::UnsupportedFormat,
                subject,
                "has fields that this program does not know",
            ));
        }
        Ok(Self {
            root,
            signed,
            bytes: bytes.to_vec(),
            subject: subject.to_owned(),
        })
    }

    /// What it says.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Its envelope.
    pub fn envelope(&self) -> &Signed {
        &self.signed
    }

    /// The SHA-256 of the file, which people compare by voice or on paper.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// Who signed it validly, of those whom `by` lists for the role root.
    pub fn signers(&self, by: &Root) -> Result<Vec<KeyHolder>> {
        // Counting is left to the one function that does; a threshold of one makes it list everybody.
        let anybody = Role {
            threshold: 1,
            ..by.role(RoleName::Root)?.clone()
        };
        let (message, signatures) = (self.signed.message(), self.signed.signatures());
        match verify_threshold(
            &by.keys,
            &anybody,
            message,
            signatures,
            ED25519,
            &self.subject,
        ) {
            Err(e) if e.kind() == VerifierCode::ThresholdNotMet => Ok(Vec::new()),
            counted => Ok(counted?),
        }
    }

    /// Refuses a root that does not meet its own threshold.
    pub fn verify_by_itself(&self) -> Result<()> {
        verify_threshold(
            &self.root.keys,
            self.root.role(RoleName::Root)?,
            self.signed.message(),
            self.signed.signatures(),
            ED25519,
            &self.subject,
        )?;
        Ok(())
    }
}

/// The name of a published root.
pub fn file_name(version: u64) -> String {
    format!("{version}.root.json")
}

/// The name of the draft of a root.
pub fn draft_name(version: u64) -> String {
    format!("{version}.root.draft.json")
}
