//! What a license says, who signed it and what ends when, for people and for machines.

use std::fmt;

use sealift_verifier::{
    Code as VerifierCode,
    dsse::Envelope,
    error::printable,
    license::{License, expiring},
    time::Time,
    tuf::Root,
};
use serde::Serialize;

use crate::{
    dsse,
    error::Result,
    root::{role::KeyRole, sign::Count},
};

/// A license, told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Description {
    /// What it says.
    pub license: License,
    /// Whether the signatures suffice by a root that was given.
    pub verified: bool,
    /// The version of that root.
    pub root_version: Option<u64>,
    /// How many have signed, of how many who have to, by that root.
    pub progress: Option<Count>,
    /// Who has signed.
    pub signatures: Vec<Signature>,
    /// Whether it counts at the time of asking, as far as dates go.
    pub state: State,
    /// The end of the grace after `valid-until`.
    pub grace_until: Option<Time>,
    /// What ends within eight weeks, or has ended.
    pub warnings: Vec<String>,
}

/// A signature under a license.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Signature {
    /// By which key, as the signature claims.
    pub keyid: String,
    /// Whether it is a valid signature by a key for licenses of the root that was given; nothing without one.
    pub valid: Option<bool>,
}

/// Whether a license counts, by its dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Not yet.
    NotYetValid,
    /// It does.
    Valid,
    /// It does, though it has ended.
    Grace,
    /// Not any more.
    Ended,
}

impl State {
    fn of(license: &License, now: Time) -> Self {
        let over = |end: Option<Time>| end.is_some_and(|end| now >= end);
        if now < license.valid_from {
            Self::NotYetValid
        } else if over(license.grace_until()) {
            Self::Ended
        } else if over(license.valid_until) {
            Self::Grace
        } else {
            Self::Valid
        }
    }
}

/// Describes the license in `envelope`, whoever signed it; the keys of `root` say whose signatures are valid.
pub fn describe(
    envelope: &Envelope,
    root: Option<&Root>,
    now: Time,
    subject: &str,
) -> Result<Description> {
    let license: License = envelope.claimed(subject)?;
    let signers = root
        .map(|root| dsse::signers::<License>(envelope, root, KeyRole::License, subject))
        .transpose()?;
    let progress = root
        .map(|root| dsse::count::<License>(envelope, root, KeyRole::License, subject))
        .transpose()?;
    let valid = |id: &str| Some(signers.as_ref()?.iter().any(|signer| signer.keyid == id));
    let signatures = envelope.signatures().iter().map(|signature| Signature {
        keyid: signature.keyid.clone(),
        valid: valid(&signature.keyid),
    });
    // The one function that decides: what is shown as verified is what a site takes.
    let opened = root.map(|root| License::open(&envelope.to_bytes(), root, subject));
    let verified = match opened {
        Some(Err(e)) if e.kind() == VerifierCode::ThresholdNotMet => false,
        Some(opened) => opened.map(|_| true)?,
        None => false,
    };
    Ok(Description {
        verified,
        root_version: root.map(|root| root.version),
        progress,
        signatures: signatures.collect(),
        state: State::of(&license, now),
        grace_until: license.grace_until(),
        warnings: expiring(&license, now),
        license,
    })
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let license = &self.license;
        writeln!(f, "license       {}", printable(&license.id))?;
        writeln!(f, "customer      {}", printable(&license.customer))?;
        writeln!(f, "product       {}", license.product)?;
        writeln!(f, "issued        {}", license.issued)?;
        writeln!(f, "valid from    {}", license.valid_from)?;
        match (license.valid_until, self.grace_until) {
            (Some(until), Some(grace)) if grace > until => writeln!(
                f,
                "valid until   {until}, with {} days of grace until {grace}",
                license.grace_days
            )?,
            (Some(until), _) => writeln!(f, "valid until   {until}")?,
            (None, _) => writeln!(f, "valid until   for good")?,
        }
        match license.updates_until {
            Some(until) => writeln!(f, "updates       releases published before {until}")?,
            None => writeln!(f, "updates       all releases")?,
        }
        grants(f, license)?;
        limits(f, license)?;
        list(f, "environments", &license.environments)?;
        list(f, "modes       ", &license.modes)?;
        list(f, "sites       ", &license.sites)?;
        for Signature { keyid, valid } in &self.signatures {
            let valid = match valid {
                Some(true) => "  valid",
                Some(false) => "  NOT VALID, or by a key that is not for licenses",
                None => "",
            };
            writeln!(f, "signed by     {}{valid}", printable(keyid))?;
        }
        let state = match self.state {
            State::NotYetValid => "does not count yet",
            State::Valid => "counts",
            State::Grace => "has ended, and counts until its grace ends",
            State::Ended => "has ended",
        };
        match (self.root_version, self.progress) {
            (Some(version), Some(count)) => {
                let not = if self.verified { "" } else { "NOT " };
                let Count { signed, needed } = count;
                writeln!(
                    f,
                    "{not}VERIFIED by root {version}: {signed} of {needed} signatures; by its dates, it {state}"
                )
            }
            _ => writeln!(
                f,
                "NOT VERIFIED: anybody may have written this; give --root. By its dates, it {state}"
            ),
        }
    }
}

fn grants(f: &mut fmt::Formatter<'_>, license: &License) -> fmt::Result {
    let granted = &license.entitlements;
    if granted.all {
        writeln!(f, "grants        everything of the product")?;
    }
    for suite in &granted.suites {
        writeln!(f, "grants        suite {suite}")?;
    }
    for capability in &granted.capabilities {
        writeln!(f, "grants        capability {capability}")?;
    }
    for (name, feature) in &granted.features {
        let line = format!("feature {name} = {feature}");
        writeln!(f, "grants        {}", printable(&line))?;
    }
    Ok(())
}

fn limits(f: &mut fmt::Formatter<'_>, license: &License) -> fmt::Result {
    let limits = [
        ("nodes of a deployment", license.limits.nodes),
        ("deployments at a site", license.limits.deployments),
    ];
    let limits = limits.into_iter().filter_map(|(what, n)| Some((what, n?)));
    let mut any = false;
    for (what, limit) in limits {
        any = true;
        writeln!(f, "limit         {limit} {what}")?;
    }
    if !any {
        writeln!(f, "limit         none")?;
    }
    Ok(())
}

fn list<T: ToString>(f: &mut fmt::Formatter<'_>, what: &str, items: &[T]) -> fmt::Result {
    let items: Vec<_> = items
        .iter()
        .map(|item| printable(&item.to_string()))
        .collect();
    let items = if items.is_empty() {
        "all".to_owned()
    } else {
        items.join(", ")
    };
    writeln!(f, "{what}  {items}")
}
