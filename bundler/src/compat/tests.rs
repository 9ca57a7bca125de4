use proptest::{collection::vec, prelude::*, sample::select};
use sealift_verifier::{
    release::{Capability, Hardware, Kind, LeftOut, Migration, Mode, Release, ReleaseType},
    time::Time,
};
use serde_json::{Value, json};

use super::*;

fn migration() -> impl Strategy<Value = Migration> {
    (0..3_u8, any::<bool>(), any::<bool>()).prop_map(|(number, back, compatible)| Migration {
        name: format!("000{number}"),
        up: "up.sql".parse().unwrap(),
        down: back.then(|| "down.sql".parse().unwrap()),
        compatible,
    })
}

fn capability() -> impl Strategy<Value = (Capability, Configured)> {
    let schema = select(vec![
        None,
        Some(json!({ "type": "object" })),
        Some(json!({ "properties": { "a": { "type": "integer" } }, "required": ["a"] })),
        Some(json!({ "type": "nonsense" })),
    ]);
    let parts = (
        select(vec!["1.0.0", "1.1.0", "2.0.0-rc.1"]),
        vec(migration(), 0..3),
        proptest::option::of(0..9_u64),
        vec(select(vec!["gold", "silver"]), 0..2),
        schema,
        any::<bool>(),
    );
    parts.prop_map(
        |(version, mut migrations, cpu, entitlements, schema, readable)| {
            migrations.dedup_by(|a, b| a.name == b.name);
            let capability = Capability {
                migrations,
                hardware: Hardware {
                    cpu,
                    ..Hardware::default()
                },
                entitlements: entitlements.into_iter().map(Into::into).collect(),
                ..Capability::new(
                    "core/any".parse().unwrap(),
                    version.parse().unwrap(),
                    Kind::Service,
                )
            };
            let mut configured = Configured {
                schema,
                ..Configured::default()
            };
            if let Value::Object(defaults) = json!({ "a": 1 }) {
                configured.defaults = defaults;
            }
            if !readable {
                configured
                    .unreadable
                    .insert("schema.json is no JSON".into(), None);
            }
            (capability, configured)
        },
    )
}

fn side() -> impl Strategy<Value = Side> {
    let platforms = vec(
        select(vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()]),
        0..2,
    );
    let from = select(vec![None, Some(">=1.0.0"), Some("^2")]);
    let floor = select(vec![None, Some("1.0.0")]);
    let parts = (vec(capability(), 0..3), platforms, from, floor);
    parts.prop_map(|(capabilities, platforms, from, floor)| {
        let mut release = Release::new(
            "acme".parse().unwrap(),
            "2.4.0".parse().unwrap(),
            Time::from_unix(0).unwrap(),
        );
        release.platforms = platforms;
        release.upgrade_from = from.map(|from| from.parse().unwrap());
        release.security_floor = floor.map(|floor| floor.parse().unwrap());
        let mut side = Side {
            release,
            counter: 1,
            digest: None,
            offered: Offered::at_least(None),
            configurations: std::collections::BTreeMap::new(),
        };
        for (i, (mut capability, configured)) in capabilities.into_iter().enumerate() {
            capability.name = format!("core/c{i}").parse().unwrap();
            side.configurations
                .insert(capability.name.clone(), configured);
            side.release.capabilities.push(capability);
        }
        side
    })
}

fn bare(mode: Option<Mode>) -> Side {
    let mut release = Release::new(
        "acme".parse().unwrap(),
        "2.4.0".parse().unwrap(),
        Time::from_unix(0).unwrap(),
    );
    release.mode = mode;
    Side {
        release,
        counter: 1,
        digest: None,
        offered: Offered::at_least(mode),
        configurations: std::collections::BTreeMap::new(),
    }
}

#[test]
fn a_mode_that_is_dropped_breaks_and_one_that_is_added_does_not() {
    let found = |old, new| {
        let changes = compare(&bare(old), &bare(new));
        assert!(changes.iter().all(|c| c.what == What::Mode));
        (changes.len(), least_type(&changes))
    };
    assert_eq!(found(None, Some(Mode::Edge)), (3, Some(ReleaseType::Major)));
    assert_eq!(found(Some(Mode::Edge), None), (3, Some(ReleaseType::Minor)));
    assert_eq!(
        found(Some(Mode::Edge), Some(Mode::Saas)),
        (2, Some(ReleaseType::Major))
    );
    assert_eq!(found(Some(Mode::Edge), Some(Mode::Edge)), (0, None));
}

/// A definition says of all modes whether they are offered, a bundle of its own only.
#[test]
fn a_mode_is_dropped_where_all_are_known() {
    let side = |mode, modes: &[Mode], is_all| Side {
        offered: Offered {
            modes: modes.to_vec(),
            is_all,
        },
        ..bare(Some(mode))
    };
    let (edge, saas) = (Mode::Edge, Mode::Saas);
    let found = |old: Side, new: Side| least_type(&compare(&old, &new));
    let bundle = || side(edge, &[edge], false);
    let one = || side(edge, &[edge], true);
    let two = || side(edge, &[edge, saas], true);
    assert_eq!(found(two(), one()), Some(ReleaseType::Major));
    assert_eq!(found(one(), two()), Some(ReleaseType::Minor));
    assert_eq!(found(two(), bundle()), None);
    assert_eq!(found(bundle(), two()), None);
    // Bundles for several modes, one of which the next definition is not for.
    assert_eq!(
        found(side(edge, &[edge, saas], false), one()),
        Some(ReleaseType::Major)
    );
}

#[test]
fn a_capability_that_another_stands_in_for_is_not_removed() {
    let (mut old, mut new) = (bare(Some(Mode::Edge)), bare(Some(Mode::Edge)));
    let capability = |name: &str| {
        Capability::new(
            name.parse().unwrap(),
            "1.0.0".parse().unwrap(),
            Kind::Service,
        )
    };
    old.release.capabilities = vec![capability("storage/postgresql")];
    new.release.capabilities = vec![capability("storage/sqlite")];
    assert_eq!(least_type(&compare(&old, &new)), Some(ReleaseType::Major));
    let mut left_out = LeftOut {
        name: "storage/postgresql".parse().unwrap(),
        substitute: None,
    };
    new.release.resolution.left_out = vec![left_out.clone()];
    assert_eq!(least_type(&compare(&old, &new)), Some(ReleaseType::Major));
    left_out.substitute = Some("storage/sqlite".parse().unwrap());
    new.release.resolution.left_out = vec![left_out];
    let changes = compare(&old, &new);
    assert_eq!(least_type(&changes), Some(ReleaseType::Minor));
    assert!(changes.iter().any(|c| c.what == What::CapabilityReplaced));
}

proptest! {
    #[test]
    fn nothing_changes_from_a_release_to_itself(side in side()) {
        prop_assert_eq!(compare(&side, &side.clone()), []);
        prop_assert_eq!(least_type(&[]), None);
    }

    /// Whatever is taken away on one way is added on the other: one of the two is told.
    #[test]
    fn two_releases_are_the_same_both_ways_or_neither(old in side(), new in side()) {
        let (there, back) = (compare(&old, &new), compare(&new, &old));
        prop_assert_eq!(old == new, there.is_empty() && back.is_empty());
    }
}
