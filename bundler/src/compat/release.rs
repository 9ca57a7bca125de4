//! What changes with a release as a whole, and the way from one to the other and back.

use std::{cmp::Ordering, collections::BTreeSet};

use sealift_verifier::{
    error::printable,
    facts::hardware_of,
    path::Name,
    release::{Hardware, Mode, Release, ReleaseType},
};
use semver::{Version, VersionReq};
use serde::Serialize;

use super::{Change, Class, Side, What, side::all_or};
use crate::diff::bytes;

/// The least release type that may bring all of `changes`; nothing if there are none.
pub fn least_type(changes: &[Change]) -> Option<ReleaseType> {
    let class = changes.iter().map(|change| change.class).max();
    class.map(Class::least_type)
}

/// Whether something is possible, and everything that speaks against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// Whether it is.
    pub possible: bool,
    /// Why it is not, a sentence each.
    pub reasons: Vec<String>,
}

impl Answer {
    fn of(reasons: Vec<String>) -> Self {
        Self {
            possible: reasons.is_empty(),
            reasons,
        }
    }

    /// Whether a site that runs `old` may be upgraded to `new`.
    pub fn upgrade(old: &Side, new: &Side) -> Self {
        let mut reasons = Vec::new();
        let (was, is) = (&old.release.version, &new.release.version);
        if old.release.product != new.release.product {
            reasons.push(format!(
                "{is} is a release of {}, {was} is one of {}: these are two products",
                new.release.product, old.release.product
            ));
            return Self::of(reasons);
        }
        match is.cmp_precedence(was) {
            Ordering::Greater => {}
            Ordering::Equal => reasons.push(format!("{is} is not above {was}")),
            Ordering::Less => reasons.push(format!(
                "{is} is not above {was}: the release that runs comes first, what it is upgraded to second"
            )),
        }
        if new.counter <= old.counter && (new.digest.is_none() || new.digest != old.digest) {
            reasons.push(format!(
                "the release counter of {is} is {}, which is not above {}, that of {was}",
                new.counter, old.counter
            ));
        }
        if let Some(from) = new
            .release
            .upgrade_from
            .as_ref()
            .filter(|from| !from.matches(was))
        {
            reasons.push(format!("{is} follows {from}, which {was} does not meet"));
        }
        Self::of(reasons)
    }

    /// Whether a site that went from `old` to `new` can go back, with all that was changed there meanwhile. The
    /// installer goes by the same.
    pub fn back(old: &Release, new: &Release) -> Self {
        let mut reasons = Vec::new();
        if let Some(floor) = &new.security_floor
            && old.version.cmp_precedence(floor).is_lt()
        {
            reasons.push(format!(
                "the security floor rises to {floor}, above {}",
                old.version
            ));
        }
        let made = |release: &Release| -> BTreeSet<(Name, String)> {
            let all = release.capabilities.iter();
            all.flat_map(|c| {
                c.migrations
                    .iter()
                    .map(|m| (c.name.clone(), m.name.clone()))
            })
            .collect()
        };
        let had = made(old);
        for capability in &new.capabilities {
            for migration in capability.migrations.iter().filter(|m| !m.has_way_back()) {
                if !had.contains(&(capability.name.clone(), migration.name.clone())) {
                    let (name, made) = (&capability.name, printable(&migration.name));
                    reasons.push(format!("{name}: {made} has no way back"));
                }
            }
        }
        Self::of(reasons)
    }
}

/// What changes with a release as a whole.
pub(super) fn changes(old: &Release, new: &Release) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut add = |what, class, message: String| {
        changes.push(Change::of_release(what, class, message));
    };
    if old.product != new.product {
        let message = format!("the product is {}, was {}", new.product, old.product);
        add(What::Product, Class::Breaking, message);
    }
    match (old.platforms.as_slice(), new.platforms.as_slice()) {
        ([], []) => {}
        ([], only) => {
            let message = format!("it is only for the platforms {} now", only.join(", "));
            add(What::Platforms, Class::Breaking, message);
        }
        (_, []) => {
            let message = "it is no longer bound to a platform".into();
            add(What::Platforms, Class::Feature, message);
        }
        (had, has) => dropped(had, has, |platform, class, what| {
            add(
                What::Platforms,
                class,
                format!("platform {platform} is {what}"),
            );
        }),
    }
    for message in raised(&hardware_of(old), &hardware_of(new)) {
        add(What::Hardware, Class::Breaking, message);
    }
    match (old.is_licensed(), new.is_licensed()) {
        // Entitlements, if it is these, are told one by one.
        (false, true) if new.licensed => {
            let message = "it takes a license to install it now".into();
            add(What::License, Class::Breaking, message);
        }
        (true, false) => {
            let message = "it takes no license to install it any more".into();
            add(What::License, Class::Feature, message);
        }
        _ => {}
    }
    let had: BTreeSet<&str> = entitlements(old).map(|(_, e)| e).collect();
    let mut asked = BTreeSet::new();
    for (name, entitlement) in entitlements(new) {
        if !had.contains(entitlement) && asked.insert(entitlement) {
            let message = format!("a license has to grant {entitlement} now, for {name}");
            add(What::Entitlement, Class::Breaking, message);
        }
    }
    if is_narrower(old.upgrade_from.as_ref(), new.upgrade_from.as_ref()) {
        let any = || "any version".to_owned();
        let shown = |from: &Option<VersionReq>| from.as_ref().map_or_else(any, ToString::to_string);
        let message = format!(
            "it can be upgraded to from {}, was from {}",
            shown(&new.upgrade_from),
            shown(&old.upgrade_from)
        );
        add(What::UpgradeFrom, Class::Breaking, message);
    }
    if let Some(floor) = &new.security_floor
        && old
            .security_floor
            .as_ref()
            .is_none_or(|had| had.cmp_precedence(floor).is_lt())
    {
        let message = format!("the security floor rises to {floor}: no site goes below it again");
        add(What::SecurityFloor, Class::Fix, message);
    }
    changes
}

/// What changes with the modes that a product is offered for. Where one side does not say all of them, only what
/// the other is for itself has to be among those that it says.
pub(super) fn modes(old: &Side, new: &Side) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut tell = |mode: &Mode, class, what| {
        let message = format!("mode {mode} is {what}");
        changes.push(Change::of_release(What::Mode, class, message));
    };
    let said = |side: &Side, other: &Side| {
        if other.offered.is_all {
            side.offered.modes.clone()
        } else {
            all_or(side.release.mode)
        }
    };
    for gone in said(old, new) {
        if !new.offered.modes.contains(&gone) {
            tell(&gone, Class::Breaking, "dropped");
        }
    }
    for added in said(new, old) {
        if !old.offered.modes.contains(&added) {
            tell(&added, Class::Feature, "added");
        }
    }
    changes
}

/// Tells what is in one of two lists only.
fn dropped<T: PartialEq>(had: &[T], has: &[T], mut tell: impl FnMut(&T, Class, &str)) {
    for gone in had.iter().filter(|t| !has.contains(t)) {
        tell(gone, Class::Breaking, "dropped");
    }
    for added in has.iter().filter(|t| !had.contains(t)) {
        tell(added, Class::Feature, "added");
    }
}

fn entitlements(release: &Release) -> impl Iterator<Item = (&Name, &str)> {
    release
        .capabilities
        .iter()
        .flat_map(|c| c.entitlements.iter().map(|e| (&c.name, e.as_str())))
}

/// What of `new` is more than `old` had.
fn raised(old: &Hardware, new: &Hardware) -> Vec<String> {
    let count: fn(u64) -> String = |number| number.to_string();
    let size: fn(u64) -> String = bytes;
    let rows = [
        ("processor cores", old.cpu, new.cpu, count),
        ("memory", old.memory, new.memory, size),
        ("room on disk", old.disk, new.disk, size),
        ("graphics processors", old.gpu, new.gpu, count),
        (
            "memory on each graphics processor",
            old.gpu_memory,
            new.gpu_memory,
            size,
        ),
    ];
    let raised = rows.into_iter().filter_map(|(what, had, has, show)| {
        let (had, has) = (had.unwrap_or(0), has.unwrap_or(0));
        (has > had).then(|| format!("all of it needs {} of {what}, was {}", show(has), show(had)))
    });
    raised.collect()
}

/// Whether a version may be upgraded under the old requirement and not under the new one.
///
/// Both are ranges, so if there is such a version, there is one right at an end of one of them. Pre-releases are
/// outside of all ranges that do not name them, and are left out here.
fn is_narrower(old: Option<&VersionReq>, new: Option<&VersionReq>) -> bool {
    let Some(new) = new else {
        return false;
    };
    let allowed = |version: &Version| old.is_none_or(|old| old.matches(version));
    let mut ends = vec![
        Version::new(0, 0, 0),
        Version::new(u64::MAX, u64::MAX, u64::MAX),
    ];
    for comparator in old.into_iter().chain([new]).flat_map(|r| &r.comparators) {
        let (major, minor, patch) = (
            comparator.major,
            comparator.minor.unwrap_or(0),
            comparator.patch.unwrap_or(0),
        );
        let up = u64::saturating_add;
        for (major, minor, patch) in [
            (major, minor, patch),
            (major, minor, up(patch, 1)),
            (major, up(minor, 1), 0),
            (up(major, 1), 0, 0),
        ] {
            ends.push(Version::new(major, minor, patch));
            ends.extend(before(major, minor, patch));
        }
    }
    ends.iter()
        .any(|version| allowed(version) && !new.matches(version))
}

/// The last version before another.
fn before(major: u64, minor: u64, patch: u64) -> Option<Version> {
    Some(match (major, minor, patch) {
        (0, 0, 0) => return None,
        (major, 0, 0) => Version::new(major - 1, u64::MAX, u64::MAX),
        (major, minor, 0) => Version::new(major, minor - 1, u64::MAX),
        (major, minor, patch) => Version::new(major, minor, patch - 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_narrower_if_any_version_falls_out() {
        let req = |text: &str| (text != "-").then(|| text.parse::<VersionReq>().unwrap());
        for (old, new, expected) in [
            ("-", "-", false),
            ("-", "*", false),
            ("-", ">=0.0.0", false),
            ("-", ">=2.3.0", true),
            (">=2.3.0", "-", false),
            (">=2.3.0", ">=2.3.0", false),
            (">=2.3.0", ">=2.2.0", false),
            (">=2.3.0", ">=2.3.1", true),
            (">=2.3.0", ">2.3.0", true),
            (">=2.3.0", "^2.3", true),
            ("^2.3", ">=2.3.0", false),
            ("~2.3", "^2.3", false),
            ("^2.3", "~2.3", true),
            ("2.*", ">=2.0, <3", false),
            (">=2.0, <3", "2.*", false),
            ("^0.3", ">=0.3.0, <0.4.0", false),
            (">=2.0.0, <=2.5.0", ">=2.0.0, <2.5.0", true),
        ] {
            let found = is_narrower(req(old).as_ref(), req(new).as_ref());
            assert_eq!(found, expected, "{old} to {new}");
        }
    }
}
