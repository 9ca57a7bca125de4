//! Signed statements that a site keeps: licenses, requests, approvals, withdrawals, attestations,
//! countersignatures. Each is a file of its own in `statements/`, named by its digest, and speaks for itself: what it
//! is worth is found out by verifying it whenever it counts.

use sealift_verifier::{
    approval::{Approval, Countersignature, Request, Withdrawal},
    digest::Digest,
    dsse::{Envelope, Statement},
    license::License,
    promotion::Attestation,
};

use crate::{
    disk::Dir,
    error::{Code, Error, Result},
    site::{Ready, STATEMENTS, Site},
};

/// Length of a statement in bytes.
pub const LIMIT: u64 = 4 << 20;
/// Statements of one kind that a site keeps.
const COUNT: usize = 1000;

/// What a statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Grants the use of a product.
    License,
    /// Asks for a release to be installed.
    Request,
    /// Says that it may be.
    Approval,
    /// Takes that back.
    Withdrawal,
    /// Says that a release ran well at another site.
    Attestation,
    /// The customer's own signature of a release.
    Countersignature,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::License,
        Self::Request,
        Self::Approval,
        Self::Withdrawal,
        Self::Attestation,
        Self::Countersignature,
    ];

    /// What it is called, and its folder in `statements/`.
    pub fn name(self) -> &'static str {
        match self {
            Self::License => "license",
            Self::Request => "request",
            Self::Approval => "approval",
            Self::Withdrawal => "withdrawal",
            Self::Attestation => "attestation",
            Self::Countersignature => "countersignature",
        }
    }

    fn payload_type(self) -> &'static str {
        match self {
            Self::License => License::TYPE,
            Self::Request => Request::TYPE,
            Self::Approval => Approval::TYPE,
            Self::Withdrawal => Withdrawal::TYPE,
            Self::Attestation => Attestation::TYPE,
            Self::Countersignature => Countersignature::TYPE,
        }
    }

    /// The kind of a payload, by its type.
    pub fn of(envelope: &Envelope) -> Option<Self> {
        let found = |kind: &Self| kind.payload_type() == envelope.payload_type();
        Self::ALL.into_iter().find(found)
    }
}

/// A statement that is kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The digest of its file.
    pub digest: Digest,
    /// What it holds. Nobody has verified it yet.
    pub envelope: Envelope,
}

/// All statements of a kind that the site keeps, in the order of their digests. One that cannot be read is an error:
/// it might be a withdrawal.
pub fn list(site: &Site, kind: Kind) -> Result<Vec<Kept>> {
    let Some(dir) = open(site, kind)? else {
        return Ok(Vec::new());
    };
    let mut kept = Vec::new();
    for (name, _) in dir.list()? {
        let name = name.to_string_lossy();
        let Some(digest) = name
            .strip_suffix(".json")
            .and_then(|text| text.parse().ok())
        else {
            // What a crash left of one that was never kept.
            continue;
        };
        let bytes = dir.read(&*name, LIMIT)?;
        let subject = dir.path().join(&*name).display().to_string();
        if Digest::of(&bytes) != digest {
            let detail = "has not the digest that it is named by";
            return Err(Error::new(Code::StateDamaged, subject, detail));
        }
        let envelope = Envelope::parse(&bytes, &subject)?;
        kept.push(Kept { digest, envelope });
    }
    Ok(kept)
}

/// Keeps a statement, durably. One that is there already stays as it is.
pub fn keep(site: &Ready<'_>, kind: Kind, bytes: &[u8]) -> Result<Digest> {
    let digest = Digest::of(bytes);
    let writer = site.writer();
    writer.mkdir(site.dir().at(STATEMENTS))?;
    let statements = site.dir().dir(STATEMENTS)?;
    writer.mkdir(statements.at(kind.name()))?;
    let dir = statements.dir(kind.name())?;
    let name = file_name(digest);
    let there = dir.list()?;
    if there.iter().any(|(there, _)| *there == *name.as_str()) {
        return Ok(digest);
    }
    if there.len() >= COUNT {
        let subject = dir.path().display().to_string();
        let detail = format!("holds {COUNT} already: remove some that are of no use any more");
        return Err(Error::new(Code::Usage, subject, detail));
    }
    writer.replace(dir.at(&name), bytes)?;
    writer.sync_dir(&statements)?;
    writer.sync_dir(site.dir())?;
    Ok(digest)
}

/// Removes a statement, durably. Says whether it was there.
pub fn remove(site: &Ready<'_>, kind: Kind, digest: Digest) -> Result<bool> {
    let Some(dir) = open(site, kind)? else {
        return Ok(false);
    };
    let removed = site.writer().remove_file(dir.at(&file_name(digest)))?;
    site.writer().sync_dir(&dir)?;
    Ok(removed)
}

fn open(site: &Site, kind: Kind) -> Result<Option<Dir>> {
    match site.dir().dir(format!("{STATEMENTS}/{}", kind.name())) {
        Ok(dir) => Ok(Some(dir)),
        Err(e) if e.is_not_found() => Ok(None),
        Err(e) => Err(e),
    }
}

fn file_name(digest: Digest) -> String {
    format!("{digest}.json")
}
