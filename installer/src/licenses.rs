//! The licenses of a site.

use std::collections::BTreeMap;

use sealift_verifier::{
    license::{self, License, Question},
    release::Release,
    tuf::Root,
};

use crate::{
    error::{Code, Denial, Error, Result},
    policy::Rules,
    site::{Context, Ready, Site},
    statements::{self, Kind},
};

/// A license that is kept, and whether it is one.
pub struct Held {
    /// Its file's digest.
    pub digest: sealift_verifier::digest::Digest,
    /// What it grants; or why it grants nothing, whatever it says.
    pub license: Result<License>,
}

/// All licenses that the site keeps, verified by the keys that `root` lists for licenses. Of several with one id, the
/// one that was issued last.
pub fn held(site: &Site, root: &Root) -> Result<Vec<Held>> {
    let mut newest: BTreeMap<String, Held> = BTreeMap::new();
    for kept in statements::list(site, Kind::License)? {
        let subject = format!("license {}", kept.digest);
        let opened = License::open(&kept.envelope.to_bytes(), root, &subject);
        let (id, license) = match opened {
            Ok((license, _)) => (license.id.clone(), Ok(license)),
            Err(e) => (subject, Err(e.into())),
        };
        let held = Held {
            digest: kept.digest,
            license,
        };
        let issued = |held: &Held| held.license.as_ref().ok().map(|license| license.issued);
        if newest
            .get(&id)
            .is_none_or(|there| issued(there) < issued(&held))
        {
            newest.insert(id, held);
        }
    }
    Ok(newest.into_values().collect())
}

/// What of the site's licenses ends soon, or has ended, a sentence each.
pub fn expiring(site: &Site, ctx: &Context<'_>) -> Result<Vec<String>> {
    let at = site.state().judged_by(ctx.now)?;
    let held = held(site, &site.root()?)?.into_iter();
    let licenses = held.filter_map(|held| held.license.ok());
    Ok(licenses
        .flat_map(|license| license::expiring(&license, at))
        .collect())
}

/// Takes a license, if a license key has signed it, it is for this product, and it is not older than the one that it
/// replaces. Returns what it replaces.
pub fn add(site: &mut Ready<'_>, bytes: &[u8], name: &str) -> Result<(License, Option<License>)> {
    let root = site.root()?;
    let (license, _) = License::open(bytes, &root, name)?;
    let refuse = |detail: String| Err(Error::new(Code::LicenseUnusable, name, detail));
    if let Some(product) = site
        .state()
        .product
        .as_ref()
        .filter(|p| **p != license.product)
    {
        return refuse(format!(
            "is for {}, this site has {product}",
            license.product
        ));
    }
    let here = &site.state().site;
    if !license.sites.is_empty() && !license.sites.contains(here) {
        return refuse(format!("is bound to other sites than this one, {here}"));
    }
    let before = held(site, &root)?.into_iter().find_map(|held| {
        let license_there = held.license.ok()?;
        (license_there.id == license.id).then_some((held.digest, license_there))
    });
    if let Some((_, there)) = before
        .as_ref()
        .filter(|(_, there)| there.issued > license.issued)
    {
        return refuse(format!(
            "was issued {}, the one here {}",
            license.issued, there.issued
        ));
    }
    let digest = statements::keep(site, Kind::License, bytes)?;
    site.raise_time(license.issued)?;
    match before {
        Some((old, _)) if old == digest => Ok((license, None)),
        Some((old, there)) => {
            statements::remove(site, Kind::License, old)?;
            Ok((license, Some(there)))
        }
        None => Ok((license, None)),
    }
}

/// Takes a license away by its id, and returns it.
pub fn remove(site: &Ready<'_>, id: &str) -> Result<License> {
    let found = held(site, &site.root()?)?.into_iter().find_map(|held| {
        let license = held.license.ok()?;
        (license.id == id).then_some((held.digest, license))
    });
    let Some((digest, license)) = found else {
        let detail = "is not here".to_owned();
        return Err(Error::new(Code::NotFound, format!("license {id}"), detail));
    };
    statements::remove(site, Kind::License, digest)?;
    Ok(license)
}

/// What is asked of licenses at this site for a release, with dates judged at `at`.
fn question<'a>(site: &'a Site, rules: &Rules, at: sealift_verifier::time::Time) -> Question<'a> {
    Question {
        site: &site.state().site,
        mode: site.state().mode,
        environment: rules.deployment.environment,
        nodes: rules.deployment.nodes,
        // A state folder is one deployment.
        deployments: 1,
        at,
    }
}

/// How a site's licenses cover a release.
pub struct Covered {
    /// What speaks against it by all that is signed, and by the local clock as far as it counts.
    pub denials: Vec<Denial>,
    /// What speaks against it by the local clock alone, where people may decide.
    pub by_clock: Vec<Denial>,
    /// What ends soon, a sentence each.
    pub expiring: Vec<String>,
    /// The licenses that were looked at, by their ids.
    pub ids: Vec<String>,
}

/// Holds a release against the licenses of a site, as `root` verifies them. What the release says of its own time
/// counts: a clock that was set back does not make a license cover what was published after its end.
pub fn cover(
    site: &Site,
    rules: &Rules,
    release: &Release,
    root: &Root,
    ctx: &Context<'_>,
) -> Result<Covered> {
    let mut licenses = Vec::new();
    for held in held(site, root)? {
        // One that is not signed as it has to be grants nothing; `license list` says why.
        licenses.extend(held.license.ok());
    }
    let state = site.state();
    let judged = state.judged_by(ctx.now)?.max(release.published);
    let ask = |at| -> Vec<Denial> {
        let denials = license::check(&licenses, release, &question(site, rules, at));
        denials.into_iter().map(Into::into).collect()
    };
    let denials = ask(judged);
    let by_clock = if state.clock == crate::state::ClockPolicy::Approve && denials.is_empty() {
        ask(judged.max(ctx.now))
    } else {
        Vec::new()
    };
    let told = licenses.iter().filter(|l| l.product == release.product);
    let expiring = told.flat_map(|l| license::expiring(l, judged)).collect();
    let ids = licenses.into_iter().map(|license| license.id).collect();
    Ok(Covered {
        denials,
        by_clock,
        expiring,
        ids,
    })
}

impl From<license::Denial> for Denial {
    fn from(denial: license::Denial) -> Self {
        use license::Reason;
        Self {
            code: match denial.reason {
                Reason::LicenseMissing => Code::LicenseMissing,
                Reason::LicenseSite => Code::LicenseSite,
                Reason::LicenseMode => Code::LicenseMode,
                Reason::LicenseEnvironment => Code::LicenseEnvironment,
                Reason::LicenseNotYetValid => Code::LicenseNotYetValid,
                Reason::LicenseExpired => Code::LicenseExpired,
                Reason::MaintenanceOver => Code::MaintenanceOver,
                Reason::NotEntitled => Code::NotEntitled,
                Reason::LicenseLimit => Code::LicenseLimit,
            },
            detail: denial.detail,
        }
    }
}
