//! Releases that whoever signed them has taken back: the vendor in its root, or the customer in its own.

use std::fmt;

use sealift_verifier::{digest::Digest, tuf::Root};

use crate::{
    error::{Code, Denial, Result},
    site::Site,
};

/// Who has taken a release back, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Revoked {
    /// `vendor` or `customer`.
    pub by: &'static str,
    /// Why, for people.
    pub reason: String,
}

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the {} has revoked this release: {}",
            self.by, self.reason
        )
    }
}

impl From<Revoked> for Denial {
    fn from(revoked: Revoked) -> Self {
        Self {
            code: Code::ReleaseRevoked,
            detail: revoked.to_string(),
        }
    }
}

/// Everybody who has taken a release back.
pub fn by(vendor: &Root, customer: Option<&Root>, release: Digest) -> Vec<Revoked> {
    let roots = [("vendor", Some(vendor)), ("customer", customer)];
    let found = roots.into_iter().filter_map(|(by, root)| {
        let revoked = root?.revoked(release)?;
        Some(Revoked {
            by,
            reason: revoked.reason.clone(),
        })
    });
    found.collect()
}

/// What the roots that a site trusts have taken back.
pub struct Revocations {
    vendor: Root,
    customer: Option<Root>,
}

impl Revocations {
    /// Reads the trusted roots.
    pub fn of_site(site: &Site) -> Result<Self> {
        Ok(Self {
            vendor: site.root()?,
            customer: site.customer_root()?,
        })
    }

    /// Everybody who has taken a release back.
    pub fn of(&self, release: Digest) -> Vec<Revoked> {
        by(&self.vendor, self.customer.as_ref(), release)
    }
}
