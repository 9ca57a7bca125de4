use std::collections::BTreeMap;

use ed25519_dalek::{Signer as _, SigningKey};
use semver::Version;

use super::*;
use crate::{
    digest::hex,
    release::{Capability, Kind, Release, Severity},
    tuf::{Key, Role, SealiftRoles, Signature},
};

fn time(text: &str) -> Time {
    text.parse().unwrap()
}

fn license() -> License {
    License {
        format: FORMAT,
        id: "L-1".into(),
        customer: "Harbour Hospital".into(),
        product: "acme".parse().unwrap(),
        issued: time("2026-01-01T00:00:00Z"),
        valid_from: time("2026-01-01T00:00:00Z"),
        valid_until: Some(time("2027-01-01T00:00:00Z")),
        updates_until: Some(time("2026-12-01T00:00:00Z")),
        grace_days: 30,
        entitlements: Entitlements {
            suites: vec!["core".parse().unwrap()],
            capabilities: vec!["ai/model".parse().unwrap()],
            features: BTreeMap::from([
                ("analytics".into(), Feature::Flag(true)),
                ("seats".into(), Feature::Number(5)),
                ("off".into(), Feature::Flag(false)),
            ]),
            ..Entitlements::default()
        },
        limits: Limits {
            nodes: Some(3),
            deployments: Some(1),
        },
        environments: vec![Environment::Prod],
        modes: vec![Mode::OnPrem],
        sites: vec!["site-1".into()],
    }
}

fn release(capabilities: &[(&str, &[&str])]) -> Release {
    Release {
        licensed: true,
        capabilities: capabilities
            .iter()
            .map(|(name, entitlements)| Capability {
                entitlements: entitlements.iter().map(ToString::to_string).collect(),
                ..Capability::new(name.parse().unwrap(), Version::new(1, 0, 0), Kind::Service)
            })
            .collect(),
        ..Release::new(
            "acme".parse().unwrap(),
            Version::new(1, 0, 0),
            time("2026-06-01T00:00:00Z"),
        )
    }
}

fn question() -> Question<'static> {
    Question {
        site: "site-1",
        mode: Some(Mode::OnPrem),
        environment: Some(Environment::Prod),
        nodes: Some(3),
        deployments: 1,
        at: time("2026-06-02T00:00:00Z"),
    }
}

fn reasons(licenses: &[License], release: &Release, question: &Question<'_>) -> Vec<Reason> {
    let denials = check(licenses, release, question);
    denials.into_iter().map(|denial| denial.reason).collect()
}

#[test]
fn what_is_granted_may_be_installed_and_nothing_else() {
    let covered = release(&[("ai/model", &[]), ("core/api", &["analytics", "seats"])]);
    assert_eq!(reasons(&[license()], &covered, &question()), []);
    for other in [
        release(&[("ai/other", &[])]),
        release(&[("core", &[])]),
        release(&[("corex/api", &[])]),
        release(&[("core/api", &["off"])]),
        release(&[("core/api", &["unknown"])]),
    ] {
        assert_eq!(
            reasons(&[license()], &other, &question()),
            [Reason::NotEntitled]
        );
    }
    let all = License {
        entitlements: Entitlements {
            all: true,
            ..Entitlements::default()
        },
        ..license()
    };
    assert_eq!(
        reasons(&[all], &release(&[("ai/other", &[])]), &question()),
        []
    );
}

#[test]
fn a_release_that_asks_for_no_license_needs_none() {
    let mut free = release(&[("core/api", &[])]);
    assert_eq!(reasons(&[], &free, &question()), [Reason::LicenseMissing]);
    free.licensed = false;
    assert_eq!(reasons(&[], &free, &question()), []);
    let asking = Release {
        licensed: false,
        ..release(&[("core/api", &["analytics"])])
    };
    assert_eq!(reasons(&[], &asking, &question()), [Reason::LicenseMissing]);
}

#[test]
fn a_license_counts_where_when_and_for_what_it_says() {
    let covered = release(&[("core/api", &[])]);
    let cases: [(Question<'_>, &[Reason]); 11] = [
        (
            Question {
                site: "site-2",
                ..question()
            },
            &[Reason::LicenseSite],
        ),
        (
            Question {
                mode: None,
                ..question()
            },
            &[Reason::LicenseMode],
        ),
        (
            Question {
                mode: Some(Mode::Edge),
                ..question()
            },
            &[Reason::LicenseMode],
        ),
        (
            Question {
                environment: None,
                ..question()
            },
            &[Reason::LicenseEnvironment],
        ),
        (
            Question {
                environment: Some(Environment::Dev),
                ..question()
            },
            &[Reason::LicenseEnvironment],
        ),
        (
            Question {
                at: time("2025-12-31T23:59:59Z"),
                ..question()
            },
            &[Reason::LicenseNotYetValid],
        ),
        (
            Question {
                at: time("2027-01-30T23:59:59Z"),
                ..question()
            },
            &[],
        ),
        (
            Question {
                at: time("2027-01-31T00:00:00Z"),
                ..question()
            },
            &[Reason::LicenseExpired],
        ),
        (
            Question {
                nodes: Some(4),
                ..question()
            },
            &[Reason::LicenseLimit],
        ),
        (
            Question {
                nodes: None,
                ..question()
            },
            &[Reason::LicenseLimit],
        ),
        (
            Question {
                deployments: 2,
                ..question()
            },
            &[Reason::LicenseLimit],
        ),
    ];
    for (question, expected) in cases {
        assert_eq!(
            reasons(&[license()], &covered, &question),
            expected,
            "{question:?}"
        );
    }
    let other = License {
        product: "other".parse().unwrap(),
        ..license()
    };
    assert_eq!(
        reasons(&[other], &covered, &question()),
        [Reason::LicenseMissing]
    );
}

#[test]
fn the_maintenance_date_is_about_when_a_release_was_published() {
    let mut late = release(&[("core/api", &[])]);
    late.published = time("2026-12-01T00:00:00Z");
    assert_eq!(
        reasons(&[license()], &late, &question()),
        [Reason::MaintenanceOver]
    );
    late.published = time("2026-11-30T23:59:59Z");
    let much_later = Question {
        at: time("2026-12-31T00:00:00Z"),
        ..question()
    };
    assert_eq!(reasons(&[license()], &late, &much_later), []);
    // What the vendor gives to those without maintenance too; that it is critical is held here once more.
    late.published = time("2026-12-15T00:00:00Z");
    late.maintenance_exempt = true;
    assert_eq!(
        reasons(&[license()], &late, &question()),
        [Reason::MaintenanceOver]
    );
    late.severity = Some(Severity::Critical);
    assert_eq!(reasons(&[license()], &late, &question()), []);
}

#[test]
fn licenses_add_up_but_one_that_does_not_count_adds_nothing() {
    let both = release(&[("core/api", &["reports"]), ("maps/tiles", &[])]);
    let more = License {
        id: "L-2".into(),
        entitlements: Entitlements {
            suites: vec!["maps".parse().unwrap()],
            features: BTreeMap::from([("reports".into(), Feature::Text("gold".into()))]),
            ..Entitlements::default()
        },
        limits: Limits {
            nodes: Some(2),
            deployments: None,
        },
        ..license()
    };
    assert_eq!(
        reasons(&[license()], &both, &question()),
        [Reason::NotEntitled, Reason::NotEntitled]
    );
    let five = Question {
        nodes: Some(5),
        deployments: 9,
        ..question()
    };
    assert_eq!(reasons(&[license(), more.clone()], &both, &five), []);
    let six = Question {
        nodes: Some(6),
        ..question()
    };
    assert_eq!(
        reasons(&[license(), more.clone()], &both, &six),
        [Reason::LicenseLimit]
    );
    // The one that would grant it has ended: that is what is told, once.
    let ended = License {
        valid_until: Some(time("2026-02-01T00:00:00Z")),
        ..more
    };
    assert_eq!(
        reasons(&[license(), ended], &both, &question()),
        [Reason::LicenseExpired]
    );
}

#[test]
fn ends_are_told_weeks_before() {
    let told = |at: &str| expiring(&license(), time(at)).len();
    assert_eq!(told("2026-09-01T00:00:00Z"), 0);
    assert_eq!(told("2026-10-06T00:00:00Z"), 1);
    assert_eq!(told("2026-11-06T00:00:00Z"), 2);
    let first = |at: &str| expiring(&license(), time(at)).swap_remove(0);
    assert!(first("2027-01-02T00:00:00Z").contains("2027-01-31"));
    assert!(first("2027-03-01T00:00:00Z").contains("what runs goes on"));
}

/// A root that lists key 1 for licenses and key 2 for nothing.
fn root() -> Root {
    let id = public(1).id().unwrap();
    Root {
        version: 1,
        expires: time("2031-01-01T00:00:00Z"),
        consistent_snapshot: false,
        keys: [1, 2].map(|n| (public(n).id().unwrap(), public(n))).into(),
        roles: BTreeMap::new(),
        sealift: Some(SealiftRoles {
            license: Some(Role {
                keyids: vec![id],
                threshold: 1,
            }),
            ..SealiftRoles::default()
        }),
    }
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn public(number: u8) -> Key {
    Key::ed25519(key(number).verifying_key().as_bytes())
}

fn signed(license: &License, number: u8) -> Vec<u8> {
    let payload = serde_json::to_vec(license).unwrap();
    let mut envelope = Envelope::new(License::TYPE, payload);
    let sig = key(number).sign(&envelope.message());
    envelope.insert_signature(Signature {
        keyid: public(number).id().unwrap(),
        sig: hex(&sig.to_bytes()),
    });
    envelope.to_bytes()
}

#[test]
fn a_license_is_what_a_license_key_has_signed() {
    let open = |bytes: &[u8]| License::open(bytes, &root(), "l").map_err(|e| e.kind());
    let (read, signers) = open(&signed(&license(), 1)).unwrap();
    assert_eq!((read, signers.len()), (license(), 1));
    assert_eq!(
        open(&signed(&license(), 2)).unwrap_err(),
        Code::ThresholdNotMet
    );
    let mut none = root();
    none.sealift = None;
    let error = License::open(&signed(&license(), 1), &none, "l").unwrap_err();
    assert_eq!(error.kind(), Code::KeyUnknown);
    // One word of it changed, under the same signature.
    let text = String::from_utf8(signed(&license(), 1)).unwrap();
    let richer = License {
        limits: Limits::default(),
        ..license()
    };
    let payload = |license: &License| crate::base64::encode(&serde_json::to_vec(license).unwrap());
    let forged = text.replace(&payload(&license()), &payload(&richer));
    assert_ne!(forged, text);
    assert_eq!(open(forged.as_bytes()).unwrap_err(), Code::ThresholdNotMet);
}

#[test]
fn a_license_that_makes_no_sense_is_refused_though_it_is_signed() {
    let changes: [fn(&mut License); 9] = [
        |l| l.format = 2,
        |l| l.id = String::new(),
        |l| l.customer = "a\u{1}b".into(),
        |l| l.valid_until = Some(l.valid_from),
        |l| l.grace_days = 1000,
        |l| l.entitlements = Entitlements::default(),
        |l| l.environments = vec![Environment::Prod, Environment::Dev],
        |l| l.modes = vec![Mode::Edge, Mode::Edge],
        |l| l.sites = vec!["b".into(), "a".into()],
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut license = license();
        change(&mut license);
        let error = License::open(&signed(&license, 1), &root(), "l").unwrap_err();
        let expected = if number == 0 {
            Code::UnsupportedFormat
        } else {
            Code::BadMetadata
        };
        assert_eq!(error.kind(), expected, "{number}: {error}");
        assert!(Envelope::of(&license).is_err() || number == 0, "{number}");
    }
}

#[test]
fn values_of_features_are_read_as_people_write_them() {
    let parse = |text: &str| text.parse::<Feature>().unwrap();
    assert_eq!(parse("true"), Feature::Flag(true));
    assert_eq!(parse("-7"), Feature::Number(-7));
    assert_eq!(parse("gold"), Feature::Text("gold".into()));
    let granted = ["true", "1", "gold"].map(|text| parse(text).is_granted());
    assert_eq!(granted, [true; 3]);
    let refused = ["false", "0", "-1", ""].map(|text| parse(text).is_granted());
    assert_eq!(refused, [false; 4]);
}
