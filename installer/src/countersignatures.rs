//! The customer's own signatures of releases, beside the vendor's.
//!
//! People who sign at different places each bring an envelope of their own, or all sign one. What counts in the end
//! are the distinct release keys of the customer's root that have signed the release digest in any of them.

use sealift_verifier::{
    Code as VerifierCode,
    approval::Countersignature,
    digest::Digest,
    dsse::{self, Envelope},
    tuf::{KeyHolder, Role, RoleName, Root},
};

use crate::{
    audit::Entry,
    error::{Code, Error, Result},
    site::{Ready, Site},
    statements::{self, Kind},
};

/// A countersignature that is kept.
pub struct Held {
    /// Its file's digest.
    pub digest: Digest,
    /// What it says; whoever wrote it, see [`Held::signers`].
    pub said: Countersignature,
    /// How many release keys of the customer's root have signed it.
    pub signers: usize,
}

/// All that are kept, in the order of their digests.
pub fn held(site: &Site, root: &Root) -> Result<Vec<Held>> {
    let mut held = Vec::new();
    for kept in statements::list(site, Kind::Countersignature)? {
        let signers = by_some(root, &kept.envelope).map_or(0, |(_, signers)| signers.len());
        held.push(Held {
            digest: kept.digest,
            said: kept.envelope.claimed("countersignature")?,
            signers,
        });
    }
    Ok(held)
}

/// How many release keys of the customer have signed a release, and how many have to.
pub fn progress(site: &Site, root: &Root, release: Digest) -> Result<(usize, u64)> {
    let needed = root.role(RoleName::Targets)?.threshold;
    let kept = statements::list(site, Kind::Countersignature)?;
    let envelopes = kept.iter().map(|kept| &kept.envelope);
    let says = |said: &Countersignature| said.release == release;
    let any = with_any(root)?;
    let role = any.role(RoleName::Targets)?;
    let opened = dsse::open_together(envelopes, says, &any.keys, role, "countersignature");
    match opened {
        Ok(signers) => Ok((signers.len(), needed)),
        Err(e) if e.kind() == VerifierCode::ThresholdNotMet => Ok((0, needed)),
        Err(e) => Err(e.into()),
    }
}

/// A countersignature that may be taken.
pub struct Checked {
    said: Countersignature,
    /// The ids of the keys that have signed it.
    keys: Vec<String>,
}

impl Checked {
    /// What the audit log says of it.
    pub fn say(&self, entry: Entry) -> Entry {
        let said = &self.said;
        let entry = entry.release(&said.version, said.release);
        let keys = self.keys.iter();
        keys.fold(entry, |entry, key| entry.signed(key, "the customer"))
            .because(format!(
                "of {} {}, issued {}",
                said.product, said.version, said.issued
            ))
    }

    /// Takes it.
    pub fn keep(self, site: &Ready<'_>, bytes: &[u8]) -> Result<Held> {
        Ok(Held {
            digest: statements::keep(site, Kind::Countersignature, bytes)?,
            said: self.said,
            signers: self.keys.len(),
        })
    }
}

/// Whether a countersignature may be taken: at least one release key of the customer's root has signed it, and it is
/// about this site's product.
pub fn check(site: &Site, bytes: &[u8], name: &str) -> Result<Checked> {
    let root = customer_root(site)?;
    let (said, signers) = by_some(&root, &Envelope::parse(bytes, name)?)?;
    let product = site.state().product.as_ref();
    if let Some(product) = product.filter(|product| **product != said.product) {
        let detail = format!("is for {}, this site has {product}", said.product);
        return Err(Error::new(Code::CountersignatureUnusable, name, detail));
    }
    Ok(Checked {
        said,
        keys: signers.into_iter().map(|signer| signer.keyid).collect(),
    })
}

/// The customer's root, without which a countersignature is of no use.
pub fn customer_root(site: &Site) -> Result<Root> {
    site.customer_root()?.ok_or_else(|| {
        let why = "there is no root of the customer here to verify it by";
        Error::new(Code::CountersignatureUnusable, "countersignature", why)
    })
}

/// What an envelope says, if any release key of the customer has signed it.
fn by_some(root: &Root, envelope: &Envelope) -> Result<(Countersignature, Vec<KeyHolder>)> {
    let any = with_any(root)?;
    let role = any.role(RoleName::Targets)?;
    Ok(envelope.open(&any.keys, role, "countersignature")?)
}

/// The same root, content with any one release key: one envelope need not hold all signatures.
fn with_any(root: &Root) -> Result<Root> {
    let mut any = root.clone();
    let keyids = root.role(RoleName::Targets)?.keyids.clone();
    let role = Role {
        keyids,
        threshold: 1,
    };
    any.roles.insert(RoleName::Targets.name().into(), role);
    Ok(any)
}
