//! The licenses of a site.

use std::collections::BTreeMap;

use sealift_verifier::{
    digest::Digest,
    license::{self, License, Question},
    release::Release,
    tuf::Root,
};

use crate::{
    audit::Entry,
    error::{Code, Denial, Error, Result},
    policy::Rules,
    site::{Context, Ready, Site},
    statements::{self, Kind},
};

/// A license that is kept, and whether it is one.
pub struct Held {
    /// Its file's digest.
    pub digest: Digest,
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

/// A license that may be taken.
pub struct Checked {
    license: License,
    /// The ids of the keys that have signed it.
    keys: Vec<String>,
    /// What it replaces.
    before: Option<(Digest, License)>,
}

impl Checked {
    /// What the audit log says of it.
    pub fn say(&self, entry: Entry) -> Entry {
        let License {
            id,
            customer,
            issued,
            ..
        } = &self.license;
        let keys = self.keys.iter();
        keys.fold(entry, |entry, key| entry.signed(key, ""))
            .because(format!("license {id} for {customer}, issued {issued}"))
    }

    /// Takes it, and returns it with what it replaces.
    pub fn keep(self, site: &mut Ready<'_>, bytes: &[u8]) -> Result<(License, Option<License>)> {
        let digest = statements::keep(site, Kind::License, bytes)?;
        site.raise_time(self.license.issued)?;
        let before = self.before.filter(|(old, _)| *old != digest);
        if let Some((old, _)) = &before {
            statements::remove(site, Kind::License, *old)?;
        }
        Ok((self.license, before.map(|(_, license)| license)))
    }
}

/// Whether a license may be taken: a license key has signed it, it is for this product, and it is not older than the one
/// that it replaces.
pub fn check(site: &Site, bytes: &[u8], name: &str, ctx: &Context<'_>) -> Result<Checked> {
    let root = site.root()?;
    let (license, holders) = License::open(bytes, &root, name)?;
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
    // The site learns from it what time it is at least.
    if let Err(why) = site.state().check_issued(license.issued, ctx.now) {
        return refuse(why);
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
            "was issued {}, and a newer one with this id is here, issued {}",
            license.issued, there.issued
        ));
    }
    Ok(Checked {
        license,
        keys: holders.into_iter().map(|holder| holder.keyid).collect(),
        before,
    })
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
