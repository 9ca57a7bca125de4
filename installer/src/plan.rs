//! What an apply would change, with no effect.

use std::{collections::BTreeMap, fs::File};

use sealift_verifier::{
    bundle::Authentic,
    digest::Digest,
    release::{Capability, Content, Mode, Release, ReleaseType, Severity},
    time::Time,
};
use semver::{Version, VersionReq};
use serde::Serialize;

use crate::{
    admission::{self, Decision},
    admit::{self, Space},
    error::{Error, NotAdmitted, Result},
    generation,
    site::{Context, Site},
    way_back::{self, Obstacle},
};

/// What an apply would change. The JSON form is stable: fields are added, never renamed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// The product.
    pub product: String,
    /// Its new version.
    pub version: Version,
    /// The release digest.
    pub release: Digest,
    /// The release counter.
    pub counter: u64,
    /// When the vendor published it.
    pub published: Time,
    /// How far it may change what the one before did.
    #[serde(rename = "type")]
    pub release_type: Option<ReleaseType>,
    /// The mode that it was resolved for.
    pub mode: Option<Mode>,
    /// Installed versions that may be upgraded to it.
    pub upgrade_from: Option<VersionReq>,
    /// The severity of the worst that it corrects.
    pub severity: Option<Severity>,
    /// Advisories that it corrects.
    pub fixes: Vec<String>,
    /// What is new, a line each.
    pub changes: Vec<String>,
    /// Whether it was signed under a root for development.
    pub development: bool,
    /// The number that its generation gets.
    pub generation: u64,
    /// The generation that runs now.
    pub current: Option<Running>,
    /// Whether the very release runs already.
    pub nothing_to_do: bool,
    /// Capabilities.
    pub capabilities: CapabilityChanges,
    /// Images.
    pub images: ImageChanges,
    /// How many files the generation has, apart from images.
    pub files: u64,
    /// How many health checks decide whether it stays.
    pub health_checks: u64,
    /// Bytes that have to be written, unpacked.
    pub bytes_to_write: u64,
    /// Blobs that have to be written.
    pub blobs_to_write: u64,
    /// Free bytes that have to be there.
    pub space_needed: u64,
    /// Free bytes that are there.
    pub space_free: u64,
    /// The security floor that the site has once this is committed.
    pub security_floor: Option<Version>,
    /// What will stand between it and going back to the generation that runs now.
    pub no_way_back: Vec<Obstacle>,
    /// What speaks against it.
    pub denials: Vec<PlanDenial>,
    /// Every rule with its result, and what of the plan is approved.
    pub decision: Decision,
}

/// The generation that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Running {
    /// Its number.
    pub generation: u64,
    /// Its version.
    pub version: Version,
}

/// One thing that speaks against a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanDenial {
    /// The stable code of the rule.
    pub code: &'static str,
    /// How it is broken.
    pub message: String,
    /// What to do about it.
    pub hint: &'static str,
}

/// What happens to capabilities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CapabilityChanges {
    /// New ones.
    pub added: Vec<Named>,
    /// Those that get a higher version.
    pub upgraded: Vec<Moved>,
    /// Those that get a lower version.
    pub downgraded: Vec<Moved>,
    /// Those that differ in the same version.
    pub changed: Vec<Named>,
    /// Those that go.
    pub removed: Vec<Named>,
    /// Those that stay as they are.
    pub unchanged: Vec<Named>,
}

/// A capability in a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// `suite/name`.
    pub name: String,
    /// Its version.
    pub version: Version,
}

/// A capability that gets another version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// `suite/name`.
    pub name: String,
    /// The version that runs.
    pub from: Version,
    /// The version that would.
    pub to: Version,
    /// Advisories that the version corrects.
    pub fixes: Vec<String>,
    /// What is new in the version, a line each.
    pub changes: Vec<String>,
}

/// What happens to images, by their references.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImageChanges {
    /// New ones.
    pub added: Vec<String>,
    /// Those that go.
    pub removed: Vec<String>,
    /// Those that stay as they are.
    pub unchanged: Vec<String>,
}

impl Plan {
    /// The refusal that an apply would end with, if anything speaks against the release.
    pub fn refusal(&self) -> Option<Error> {
        if self.nothing_to_do {
            return None;
        }
        let mut denials = self.decision.denials().into_iter();
        let first = denials.next()?;
        Some(Error::NotAdmitted(NotAdmitted {
            what: format!("{} {}", self.product, self.version),
            first,
            others: denials.collect(),
        }))
    }
}

/// Verifies a bundle completely, payload included, and says what an apply would change.
pub fn plan(site: &Site, file: File, name: &str, ctx: &Context<'_>) -> Result<Plan> {
    let authentic = admit::verify(site, file, name, ctx)?;
    ctx.progress.begin("verifying", authentic.length());
    let verified = authentic.verify_payload(ctx.threads, &|bytes| ctx.progress.advance(bytes));
    ctx.progress.end();
    verified?;
    // Also finds a release that needs what its bundle does not hold.
    authentic.required_blobs()?;
    of(site, &authentic, ctx)
}

/// What an apply of a verified release would change.
pub fn of(site: &Site, authentic: &Authentic, ctx: &Context<'_>) -> Result<Plan> {
    let release = authentic.release();
    let state = site.state();
    let space = Space::of(site, authentic)?;
    let nothing_to_do = admit::is_current(site, authentic);
    let decision = admission::decide(site, authentic, &space, ctx)?;
    let refusal = if nothing_to_do {
        Vec::new()
    } else {
        decision.denials()
    };
    let running = generation::running(site)?;
    let floor = state.security_floor.iter().chain(&release.security_floor);
    Ok(Plan {
        product: release.product.to_string(),
        version: release.version.clone(),
        release: authentic.release_digest(),
        counter: authentic.counter(),
        published: release.published,
        release_type: release.release_type,
        mode: release.mode,
        upgrade_from: release.upgrade_from.clone(),
        severity: release.severity,
        fixes: release.fixes.clone(),
        changes: release.changes.clone(),
        development: authentic.root().is_development(),
        generation: state.next,
        current: state.running().map(|g| Running {
            generation: g.number,
            version: g.version.clone(),
        }),
        nothing_to_do,
        capabilities: capability_changes(running.as_ref(), release),
        images: image_changes(running.as_ref(), release),
        files: file_count(release),
        health_checks: release
            .capabilities
            .iter()
            .map(|c| c.health.len() as u64)
            .sum(),
        bytes_to_write: space.bytes,
        blobs_to_write: space.blobs,
        space_needed: space.needed,
        space_free: space.free,
        security_floor: floor.max_by(|a, b| a.cmp_precedence(b)).cloned(),
        no_way_back: running
            .map(|running| way_back::obstacles(release, &running))
            .unwrap_or_default(),
        denials: refusal
            .iter()
            .map(|denial| PlanDenial {
                code: denial.code.name(),
                message: denial.detail.clone(),
                hint: denial.code.hint(),
            })
            .collect(),
        decision,
    })
}

/// How many files a generation of this release has, apart from images.
pub(crate) fn file_count(release: &Release) -> u64 {
    release
        .artifacts()
        .map(|(_, artifact)| match &artifact.content {
            Content::Image(_) => 0,
            Content::Tree(tree) => tree.files,
            Content::File(_) | Content::Config(_) | Content::Notice(_) => 1,
        })
        .fold(0, u64::saturating_add)
}

/// What happens to capabilities where `new` follows `old`.
pub(crate) fn capability_changes(old: Option<&Release>, new: &Release) -> CapabilityChanges {
    let by_name = |release: &Release| -> BTreeMap<String, Capability> {
        let capabilities = release.capabilities.iter();
        capabilities
            .map(|c| (c.name.to_string(), c.clone()))
            .collect()
    };
    let mut old = old.map(by_name).unwrap_or_default();
    let mut changes = CapabilityChanges::default();
    for (name, new) in by_name(new) {
        let Some(old) = old.remove(&name) else {
            changes.added.push(Named {
                name,
                version: new.version,
            });
            continue;
        };
        let same = old.is_same(&new);
        let moved = |new: Capability| Moved {
            name: name.clone(),
            from: old.version.clone(),
            to: new.version,
            fixes: new.fixes,
            changes: new.changes,
        };
        match new.version.cmp_precedence(&old.version) {
            std::cmp::Ordering::Greater => changes.upgraded.push(moved(new)),
            std::cmp::Ordering::Less => changes.downgraded.push(moved(new)),
            std::cmp::Ordering::Equal => {
                let list = if same {
                    &mut changes.unchanged
                } else {
                    &mut changes.changed
                };
                list.push(Named {
                    name,
                    version: new.version,
                });
            }
        }
    }
    changes.removed = old
        .into_iter()
        .map(|(name, c)| Named {
            name,
            version: c.version,
        })
        .collect();
    changes
}

fn image_changes(old: Option<&Release>, new: &Release) -> ImageChanges {
    let by_reference = |release: &Release| -> BTreeMap<String, Digest> {
        release.images().map(|(r, i)| (r, i.digest)).collect()
    };
    let mut old = old.map(by_reference).unwrap_or_default();
    let mut changes = ImageChanges::default();
    for (reference, digest) in by_reference(new) {
        match old.get(&reference) {
            Some(there) if *there == digest => {
                old.remove(&reference);
                changes.unchanged.push(reference);
            }
            _ => changes.added.push(reference),
        }
    }
    changes.removed = old.into_keys().collect();
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(capabilities: &[(&str, &str, &str)]) -> Release {
        let capability = |(name, version, description): &(&str, &str, &str)| Capability {
            description: (*description).to_owned(),
            ..Capability::new(
                name.parse().unwrap(),
                version.parse().unwrap(),
                sealift_verifier::release::Kind::Service,
            )
        };
        Release {
            capabilities: capabilities.iter().map(capability).collect(),
            ..Release::new(
                "acme".parse().unwrap(),
                Version::new(1, 0, 0),
                Time::from_unix(0).unwrap(),
            )
        }
    }

    #[test]
    fn every_capability_is_in_exactly_one_list() {
        let old = release(&[
            ("a/down", "2.0.0", ""),
            ("a/gone", "1.0.0", ""),
            ("a/other", "1.0.0", "x"),
            ("a/same", "1.0.0", ""),
            ("a/up", "1.9.0", ""),
        ]);
        let new = release(&[
            ("a/down", "1.0.0", ""),
            ("a/new", "1.0.0", ""),
            ("a/other", "1.0.0", "y"),
            ("a/same", "1.0.0", ""),
            ("a/up", "1.10.0", ""),
        ]);
        let changes = capability_changes(Some(&old), &new);
        let names = |list: &[Named]| list.iter().map(|n| n.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&changes.added), ["a/new"]);
        assert_eq!(names(&changes.changed), ["a/other"]);
        assert_eq!(names(&changes.removed), ["a/gone"]);
        assert_eq!(names(&changes.unchanged), ["a/same"]);
        assert_eq!(changes.upgraded[0].name, "a/up");
        assert_eq!(changes.downgraded[0].name, "a/down");
        assert_eq!(capability_changes(None, &new).added.len(), 5);
    }
}
