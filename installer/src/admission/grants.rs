//! Whether the release may be had at all: revocations, licenses, signatures, vendors, and what was reviewed.

use std::collections::BTreeMap;

use sealift_verifier::{
    approval::Override,
    digest::Digest,
    json,
    release::{Configuration, Content},
    time::Time,
};
use serde::Serialize;

use super::{Case, Rules, schedule};
use crate::{
    countersignatures,
    error::{Code, Denial, Result},
    licenses, policy, revoked,
    state::ClockPolicy,
};

/// Nobody has taken the release back: neither the vendor's root nor the customer's.
pub(super) fn revoked(case: &Case<'_>, rules: &mut Rules) {
    let release = case.authentic.release_digest();
    let customer = case.policy.customer.as_ref();
    let revoked = revoked::by(case.authentic.root(), customer, release);
    let denials = revoked.into_iter().map(Into::into);
    rules.judge("revoked", denials.collect(), || {
        "nobody has revoked this release".into()
    });
}

/// Licenses cover it; and what has expired by the local clock alone was approved, where the site wants that. Returns the
/// ids of the licenses.
pub(super) fn license(case: &Case<'_>, rules: &mut Rules) -> Result<Vec<String>> {
    const RULE: &str = "license";
    const CLOCK: &str = "clock";
    let release = case.authentic.release();
    let root = case.authentic.root();
    let covered = licenses::cover(case.site, &case.policy.rules, release, root, case.ctx)?;
    let ids = covered.ids.join(", ");
    rules.judge(RULE, covered.denials, || {
        if release.is_licensed() {
            format!("covered by {ids}")
        } else {
            "this release asks for no license".into()
        }
    });
    for told in covered.expiring {
        rules.warn(RULE, told);
    }
    if case.site.state().clock == ClockPolicy::Approve {
        let mut expired: Vec<String> = covered.by_clock.into_iter().map(|d| d.detail).collect();
        expired.extend(expired_metadata(case));
        if expired.is_empty() {
            rules.pass(CLOCK, "nothing has expired by the local clock");
        } else {
            let why = format!("expired by the local clock: {}", expired.join("; "));
            schedule::overridden(
                case,
                rules,
                CLOCK,
                Override::Clock,
                Code::ExpiredByClock,
                &why,
            );
        }
    }
    Ok(covered.ids)
}

/// Metadata that has expired by the local clock. What has by signed time was refused when the bundle was verified.
fn expired_metadata(case: &Case<'_>) -> Vec<String> {
    let trusted = case.authentic.trusted();
    let ends: [(&str, Option<Time>); 4] = [
        ("root", Some(trusted.root().statement.expires)),
        (
            "timestamp",
            trusted.timestamp().map(|t| t.statement.expires),
        ),
        ("snapshot", trusted.snapshot().map(|s| s.statement.expires)),
        ("targets", trusted.targets().map(|t| t.statement.expires)),
    ];
    let past = ends.into_iter().filter_map(|(role, expires)| {
        let expires = expires.filter(|expires| *expires <= case.ctx.now)?;
        Some(format!("{role} expired {expires}"))
    });
    past.collect()
}

/// The policy that all of this follows is the customer's own, by the keys that count today.
pub(super) fn policy(case: &Case<'_>, rules: &mut Rules) -> Result<()> {
    match policy::outdated(case.site)? {
        Some(told) => rules.warn("policy", told),
        None => rules.pass("policy", "signed as this site asks for"),
    }
    Ok(())
}

/// As many release keys of the vendor as the policy wants, and the customer's beside them.
pub(super) fn signatures(case: &Case<'_>, rules: &mut Rules) -> Result<()> {
    const RULE: &str = "signatures";
    let wanted = &case.policy.rules.signatures;
    let signers = case
        .authentic
        .trusted()
        .targets()
        .map_or(0, |t| t.signers.len());
    if signers < wanted.vendor {
        let detail = format!(
            "{signers} release keys of the vendor have signed, the policy wants {}",
            wanted.vendor
        );
        rules.deny(RULE, Code::SignaturesMissing, detail);
    } else {
        rules.pass(
            RULE,
            format!("signed by {signers} release keys of the vendor"),
        );
    }
    if !wanted.customer {
        return Ok(());
    }
    let Some(root) = &case.policy.customer else {
        let detail = "the policy wants the customer's signature too, and the site has no root of the customer";
        rules.deny(RULE, Code::CountersignatureMissing, detail);
        return Ok(());
    };
    let release = case.authentic.release_digest();
    let (have, needed) = countersignatures::progress(case.site, root, release)?;
    if have as u64 >= needed {
        let detail = format!("countersigned by {have} release keys of the customer");
        rules.pass(RULE, detail);
    } else {
        let detail = format!(
            "{needed} release keys of the customer have to have signed it too, {have} have"
        );
        rules.deny(RULE, Code::CountersignatureMissing, detail);
    }
    Ok(())
}

/// Every capability comes from an allowed vendor. In regulated mode, each has to say which.
pub(super) fn vendors(case: &Case<'_>, rules: &mut Rules) {
    let policy = &case.policy.rules;
    let Some(allowed) = &policy.vendors.allowed else {
        return rules.pass("vendors", "capabilities of all vendors are allowed");
    };
    let mut denials = Vec::new();
    for capability in &case.authentic.release().capabilities {
        let name = &capability.name;
        let detail = match &capability.vendor {
            Some(vendor) if allowed.contains(vendor) => continue,
            Some(vendor) => format!("{name} is made by {vendor:?}, whom the policy does not allow"),
            None if policy.regulated.enabled => format!("{name} does not say who made it"),
            None => continue,
        };
        denials.push(Denial {
            code: Code::VendorNotAllowed,
            detail,
        });
    }
    let known = allowed.iter().cloned().collect::<Vec<_>>().join(", ");
    rules.judge("vendors", denials, || {
        format!("all capabilities are made by those allowed: {known}")
    });
}

/// What configures one capability.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Configured<'a> {
    files: BTreeMap<&'a str, Digest>,
    #[serde(skip_serializing_if = "Configuration::is_empty")]
    configuration: &'a Configuration,
}

/// In regulated mode, the configuration is one that was reviewed. Returns its digest: that of the canonical JSON of
/// an object with the name of each capability that is configured, its configuration files by name and digest, and
/// its schema and defaults.
pub(super) fn configuration(case: &Case<'_>, rules: &mut Rules) -> Result<Digest> {
    let mut configured = BTreeMap::new();
    for capability in &case.authentic.release().capabilities {
        let files: BTreeMap<&str, Digest> = capability
            .artifacts
            .iter()
            .filter_map(|artifact| match &artifact.content {
                Content::Config(file) => Some((artifact.name.as_str(), file.digest)),
                _ => None,
            })
            .collect();
        let configuration = &capability.configuration;
        if !files.is_empty() || !configuration.is_empty() {
            configured.insert(
                capability.name.as_str(),
                Configured {
                    files,
                    configuration,
                },
            );
        }
    }
    let digest = Digest::of(&json::to_canonical(&configured)?);
    let regulated = &case.policy.rules.regulated;
    if !regulated.enabled {
        rules.pass("configuration", "the site is not in regulated mode");
    } else if regulated.configurations.contains(&digest) {
        rules.pass(
            "configuration",
            format!("the configuration {digest} was reviewed"),
        );
    } else {
        let detail = format!("the configuration {digest} is none of those that were reviewed");
        rules.deny("configuration", Code::ConfigurationNotReviewed, detail);
    }
    Ok(digest)
}
