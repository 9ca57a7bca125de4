//! Requirements by SemVer's order. `semver` itself lets a pre-release meet only a requirement that names
//! one; a pre-release that is in a release because it was named has to be judged by all others too.

use std::ops::Bound;

use semver::{BuildMetadata, Comparator, Op, Prerelease, Version, VersionReq};

/// Whether a version lies within all bounds of a requirement, be it a pre-release or not.
pub(crate) fn meets(requirement: &VersionReq, version: &Version) -> bool {
    requirement.comparators.iter().all(|comparator| {
        let (low, high) = bounds(comparator);
        // Build metadata makes no difference to requirements (SemVer 2.0, 10).
        let low = match &low {
            Bound::Included(low) => version.cmp_precedence(low).is_ge(),
            Bound::Excluded(low) => version.cmp_precedence(low).is_gt(),
            Bound::Unbounded => true,
        };
        let high = match &high {
            Bound::Included(high) => version.cmp_precedence(high).is_le(),
            Bound::Excluded(high) => version.cmp_precedence(high).is_lt(),
            Bound::Unbounded => true,
        };
        low && high
    })
}

/// Whether `version` is the one that is written in full. Build metadata does not make another version (SemVer 2.0, 10), so
/// that it may be left out; whoever writes it means it.
pub(crate) fn is(exact: &Version, version: &Version) -> bool {
    exact.cmp_precedence(version).is_eq()
        && (exact.build.is_empty() || exact.build == version.build)
}

/// Whether a requirement names a pre-release with the numbers of this one. `semver` asks in addition that all other
/// bounds are met by its own rules, by which 2.0.0-rc.1 does not meet `<=2`.
pub(super) fn names(requirement: &VersionReq, version: &Version) -> bool {
    let numbers = (version.major, Some(version.minor), Some(version.patch));
    let mut comparators = requirement.comparators.iter();
    comparators.any(|c| !c.pre.is_empty() && (c.major, c.minor, c.patch) == numbers)
}

/// What lies between a comparator's bounds. An upper bound that names no pre-release lies below those of
/// its version: `<3` does not mean 3.0.0-rc.1.
fn bounds(comparator: &Comparator) -> (Bound<Version>, Bound<Version>) {
    let (major, minor, patch) = (comparator.major, comparator.minor, comparator.patch);
    let named = Version {
        major,
        minor: minor.unwrap_or(0),
        patch: patch.unwrap_or(0),
        pre: comparator.pre.clone(),
        build: BuildMetadata::EMPTY,
    };
    // The least version that has another major, minor or patch number; none above the highest number.
    let next =
        |major: Option<u64>, minor: Option<u64>, patch: Option<u64>| match (major, minor, patch) {
            (Some(major), Some(minor), Some(patch)) => Bound::Excluded(least(major, minor, patch)),
            _ => Bound::Unbounded,
        };
    let after_major = || next(major.checked_add(1), Some(0), Some(0));
    let after_minor = |minor: u64| match minor.checked_add(1) {
        Some(minor) => next(Some(major), Some(minor), Some(0)),
        None => after_major(),
    };
    let after_patch = |minor: u64, patch: u64| match patch.checked_add(1) {
        Some(patch) => next(Some(major), Some(minor), Some(patch)),
        None => after_minor(minor),
    };
    // What begins with the numbers that are given.
    let alike = || match (minor, patch) {
        (None, _) => after_major(),
        (Some(minor), None) => after_minor(minor),
        (Some(_), Some(_)) => Bound::Included(named.clone()),
    };
    let above = |bound: Bound<Version>| match bound {
        Bound::Excluded(mut version) => {
            version.pre = Prerelease::EMPTY;
            Bound::Included(version)
        }
        Bound::Included(version) => Bound::Excluded(version),
        // Nothing is above the highest number.
        Bound::Unbounded => Bound::Excluded(Version::new(u64::MAX, u64::MAX, u64::MAX)),
    };
    let from = Bound::Included(named.clone());
    match comparator.op {
        Op::Greater => (above(alike()), Bound::Unbounded),
        Op::GreaterEq => (from, Bound::Unbounded),
        Op::Less if named.pre.is_empty() => {
            let least = least(named.major, named.minor, named.patch);
            (Bound::Unbounded, Bound::Excluded(least))
        }
        Op::Less => (Bound::Unbounded, Bound::Excluded(named)),
        Op::LessEq => (Bound::Unbounded, alike()),
        Op::Tilde => match minor {
            Some(minor) => (from, after_minor(minor)),
            None => (from, after_major()),
        },
        Op::Caret => match (major, minor, patch) {
            (0, Some(0), Some(patch)) => (from, after_patch(0, patch)),
            (0, Some(minor), _) => (from, after_minor(minor)),
            _ => (from, after_major()),
        },
        // `=1.2`, `1.2.*`
        _ => (from, alike()),
    }
}

/// The smallest pre-release of a version.
fn least(major: u64, minor: u64, patch: u64) -> Version {
    let mut version = Version::new(major, minor, patch);
    version.pre = Prerelease::new("0").unwrap_or_default();
    version
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fits(requirement: &str, version: &str) -> bool {
        meets(&requirement.parse().unwrap(), &version.parse().unwrap())
    }

    #[test]
    fn pre_releases_lie_where_the_order_says() {
        for (requirement, inside, outside) in [
            (">=2.0, <3", "2.1.0-rc.1", "3.0.0-rc.1"),
            (">=2.0, <3", "2.0.1-0", "2.0.0-rc.1"),
            ("^2.1", "2.2.0-rc.1", "2.1.0-rc.1"),
            ("^0.1", "0.1.1-rc.1", "0.2.0-0"),
            ("^0.0.3", "0.0.3", "0.0.4-rc.1"),
            ("~2.1", "2.1.1-rc.1", "2.2.0-rc.1"),
            ("~2", "2.9.0-rc.1", "3.0.0-rc.1"),
            ("=2.1", "2.1.1-rc.1", "2.1.0-rc.1"),
            ("2.1.*", "2.1.1-rc.1", "2.2.0-0"),
            ("<=2.1", "2.1.9-rc.1", "2.2.0-rc.1"),
            ("<=2.1.0", "2.1.0-rc.1", "2.1.1-rc.1"),
            ("<2.1.0-rc.2", "2.1.0-rc.1", "2.1.0-rc.2"),
            (">2.1.0", "2.1.1-rc.1", "2.1.0-rc.1"),
            (">2", "3.0.1-rc.1", "3.0.0-rc.1"),
            ("*", "0.0.0-0", ""),
            ("=1.0.0", "1.0.0+build", "1.0.0-rc.1+build"),
        ] {
            assert!(fits(requirement, inside), "{requirement} {inside}");
            assert!(
                outside.is_empty() || !fits(requirement, outside),
                "{requirement} {outside}"
            );
        }
        assert!(!fits(">18446744073709551615", "18446744073709551615.1.0"));
        assert!(fits("^18446744073709551615", "18446744073709551615.1.0"));
    }

    proptest! {
        #[test]
        fn of_what_is_no_pre_release_semver_says_the_same(
            parts in proptest::collection::vec(("[=<>~^]|<=|>=", 0_u64..3, proptest::option::of((0_u64..3, proptest::option::of(0_u64..3)))), 1..3),
            version in (0_u64..4, 0_u64..4, 0_u64..4),
        ) {
            let text: Vec<String> = parts.iter().map(|(op, major, rest)| match rest {
                None => format!("{op}{major}"),
                Some((minor, None)) => format!("{op}{major}.{minor}"),
                Some((minor, Some(patch))) => format!("{op}{major}.{minor}.{patch}"),
            }).collect();
            let requirement: VersionReq = text.join(", ").parse().unwrap();
            let version = Version::new(version.0, version.1, version.2);
            prop_assert_eq!(meets(&requirement, &version), requirement.matches(&version), "{} {}", requirement, version);
        }
    }
}
