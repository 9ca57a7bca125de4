//! Whether licenses cover a release at a site.
//!
//! Several licenses combine so: each counts as a whole or not at all; of those that count, what they grant is put
//! together, and their limits are added up.

use serde::Serialize;

use super::{Environment, License, Limits};
use crate::{
    release::{Capability, Mode, Release, Severity},
    time::Time,
};

/// Seconds before an end from which on it is told: eight weeks.
const TOLD_BEFORE: i64 = 8 * 7 * 24 * 60 * 60;

/// The circumstances that licenses are held against.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The id of the site.
    pub site: &'a str,
    /// The mode that it runs in, if it has one.
    pub mode: Option<Mode>,
    /// What the deployment is for, if somebody said so.
    pub environment: Option<Environment>,
    /// How many machines the deployment has, if somebody said so.
    pub nodes: Option<u64>,
    /// How many deployments of the product the site has, with this one.
    pub deployments: u64,
    /// The point in time that dates are judged by.
    pub at: Time,
}

/// One reason why licenses do not cover a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Denial {
    /// Which rule is broken.
    #[serde(rename = "code")]
    pub reason: Reason,
    /// How.
    pub detail: String,
}

/// Why licenses do not cover a release. The names are those of the codes that `sealift-installer` refuses with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// There is none for the product.
    LicenseMissing,
    /// It is for other sites.
    LicenseSite,
    /// It is for other modes.
    LicenseMode,
    /// It is for other environments, or nobody said which this is.
    LicenseEnvironment,
    /// It does not count yet.
    LicenseNotYetValid,
    /// It does not count any more.
    LicenseExpired,
    /// The release was published after the maintenance date.
    MaintenanceOver,
    /// Something of the release is not granted.
    NotEntitled,
    /// The site has more than is granted.
    LicenseLimit,
}

/// Everything that speaks against `release` by the site's licenses; nothing if they cover it, or if the release
/// asks for no license.
pub fn check(licenses: &[License], release: &Release, question: &Question<'_>) -> Vec<Denial> {
    if !release.is_licensed() {
        return Vec::new();
    }
    let of_product = || licenses.iter().filter(|l| l.product == release.product);
    if of_product().next().is_none() {
        let product = &release.product;
        return vec![deny(
            Reason::LicenseMissing,
            format!("there is no license for {product} here"),
        )];
    }
    let mut counting = Vec::new();
    let mut refused: Vec<(&License, Denial)> = Vec::new();
    for license in of_product() {
        match refuse(license, release, question) {
            None => counting.push(license),
            Some(denial) => refused.push((license, denial)),
        }
    }
    if counting.is_empty() {
        return refused.into_iter().map(|(_, denial)| denial).collect();
    }
    let mut denials = Vec::new();
    for capability in &release.capabilities {
        for missing in missing(capability, &counting) {
            // Where a license would grant it if it counted, why it does not is what has to be told.
            let why = refused.iter().find(|(l, _)| missing.is_granted_by(l));
            denials.push(match why {
                Some((_, denial)) => denial.clone(),
                None => deny(Reason::NotEntitled, missing.tell(capability)),
            });
        }
    }
    denials.extend(exceeded(&counting, question));
    denials.sort_by(|a, b| (a.reason, &a.detail).cmp(&(b.reason, &b.detail)));
    denials.dedup();
    denials
}

/// What ends within eight weeks of `at`, or has ended, a sentence each: nothing of it stops what runs.
pub fn expiring(license: &License, at: Time) -> Vec<String> {
    let id = &license.id;
    let soon = |time: Time| at.unix() >= time.unix().saturating_sub(TOLD_BEFORE);
    let mut told = Vec::new();
    if let (Some(until), Some(grace)) = (license.valid_until, license.grace_until()) {
        if at >= grace {
            told.push(format!(
                "license {id} ended {until}: what runs goes on, updates are refused"
            ));
        } else if at >= until {
            told.push(format!(
                "license {id} ended {until}: updates are refused from {grace} on"
            ));
        } else if soon(until) {
            told.push(format!(
                "license {id} ends {until}: updates are refused from {grace} on"
            ));
        }
    }
    if let Some(until) = license.updates_until {
        if at >= until {
            told.push(format!(
                "license {id} covers releases published before {until}: newer ones are refused"
            ));
        } else if soon(until) {
            told.push(format!(
                "license {id} does not cover releases published from {until} on"
            ));
        }
    }
    told
}

fn deny(reason: Reason, detail: String) -> Denial {
    Denial { reason, detail }
}

/// Why a license for the product does not count here and now for this release.
fn refuse(license: &License, release: &Release, question: &Question<'_>) -> Option<Denial> {
    let id = &license.id;
    let at = question.at;
    if !license.sites.is_empty() && !license.sites.iter().any(|site| site == question.site) {
        let detail = format!(
            "license {id} is bound to other sites than {}",
            question.site
        );
        return Some(deny(Reason::LicenseSite, detail));
    }
    if !license.modes.is_empty() && !question.mode.is_some_and(|m| license.modes.contains(&m)) {
        let here = question.mode.map_or("no mode", Mode::name);
        let detail = format!(
            "license {id} is for {}, this site has {here}",
            list(&license.modes)
        );
        return Some(deny(Reason::LicenseMode, detail));
    }
    let environment = question.environment;
    if !license.environments.is_empty()
        && !environment.is_some_and(|e| license.environments.contains(&e))
    {
        let here = environment.map_or("no environment", Environment::name);
        let detail = format!(
            "license {id} is for {}, this deployment has {here}",
            list(&license.environments)
        );
        return Some(deny(Reason::LicenseEnvironment, detail));
    }
    if at < license.valid_from {
        let detail = format!(
            "license {id} counts from {} on, it is {at}",
            license.valid_from
        );
        return Some(deny(Reason::LicenseNotYetValid, detail));
    }
    if let Some(grace) = license.grace_until().filter(|grace| at >= *grace) {
        let detail = format!("license {id} ended {grace}, grace included, it is {at}");
        return Some(deny(Reason::LicenseExpired, detail));
    }
    let exempt = release.maintenance_exempt && release.severity == Some(Severity::Critical);
    if let Some(until) = license.updates_until
        && release.published >= until
        && !exempt
    {
        let published = release.published;
        let detail = format!(
            "license {id} covers releases published before {until}, this one was {published}"
        );
        return Some(deny(Reason::MaintenanceOver, detail));
    }
    None
}

/// Something that a capability needs and no license grants.
enum Missing<'a> {
    Capability(&'a Capability),
    Feature(&'a str),
}

impl Missing<'_> {
    fn is_granted_by(&self, license: &License) -> bool {
        match self {
            Self::Capability(capability) => license.grants(&capability.name),
            Self::Feature(name) => has_feature(license, name),
        }
    }

    fn tell(&self, capability: &Capability) -> String {
        let name = &capability.name;
        match self {
            Self::Capability(_) => format!("no license grants {name}"),
            Self::Feature(feature) => {
                format!("no license grants the feature {feature}, which {name} needs")
            }
        }
    }
}

fn has_feature(license: &License, name: &str) -> bool {
    let feature = license.entitlements.features.get(name);
    feature.is_some_and(super::Feature::is_granted)
}

fn missing<'a>(capability: &'a Capability, counting: &[&License]) -> Vec<Missing<'a>> {
    let mut missing = Vec::new();
    if !counting
        .iter()
        .any(|license| license.grants(&capability.name))
    {
        missing.push(Missing::Capability(capability));
    }
    let features = capability.entitlements.iter();
    missing.extend(
        features
            .filter(|feature| !counting.iter().any(|license| has_feature(license, feature)))
            .map(|feature| Missing::Feature(feature)),
    );
    missing
}

/// How the site has more than the licenses that count grant together. One without a limit leaves none.
fn exceeded(counting: &[&License], question: &Question<'_>) -> Vec<Denial> {
    let sum = |limit: fn(&Limits) -> Option<u64>| {
        counting.iter().try_fold(0_u64, |sum, license| {
            Some(sum.saturating_add(limit(&license.limits)?))
        })
    };
    let mut denials = Vec::new();
    if let Some(limit) = sum(|limits| limits.nodes) {
        match question.nodes {
            Some(nodes) if nodes > limit => denials.push(deny(
                Reason::LicenseLimit,
                format!("{limit} nodes are licensed, this deployment has {nodes}"),
            )),
            Some(_) => {}
            // A limit that nobody can be held to would be none.
            None => denials.push(deny(
                Reason::LicenseLimit,
                format!("{limit} nodes are licensed, and the site's policy does not say how many there are"),
            )),
        }
    }
    if let Some(limit) = sum(|limits| limits.deployments)
        && question.deployments > limit
    {
        let detail = format!(
            "{limit} deployments are licensed, this site has {}",
            question.deployments
        );
        denials.push(deny(Reason::LicenseLimit, detail));
    }
    denials
}

fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}
