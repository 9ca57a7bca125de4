use serde_json::{Value, json};

use super::*;
use crate::{
    release::{Capability, Kind, PlatformRef, Rule, SuiteRef},
    time::Time,
};

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// `acme 2.5.0` with `core/api 2.1.0`, which needs two of everything, and `core/db 3.0.0`, which needs one.
fn release() -> Release {
    let capability = |name: &str, found: &str, each: u64| Capability {
        hardware: Hardware {
            cpu: Some(each),
            memory: Some(each),
            disk: Some(each),
            gpu: Some(each),
            gpu_memory: Some(each),
        },
        ..Capability::new(name.parse().unwrap(), version(found), Kind::Service)
    };
    let mut release = Release::new(
        "acme".parse().unwrap(),
        version("2.5.0"),
        Time::from_unix(0).unwrap(),
    );
    release.platforms = vec!["linux/amd64".into(), "linux/arm64/v8".into()];
    release.mode = Some(Mode::Edge);
    release.upgrade_from = Some(">=2.3.0".parse().unwrap());
    release.resolution.platform = Some(PlatformRef {
        version: version("2.5.0"),
    });
    release.resolution.suites = vec![SuiteRef {
        name: "core".parse().unwrap(),
        version: version("1.2.0"),
        rule: Rule::Platform,
        range: None,
    }];
    release.capabilities = vec![
        capability("core/api", "2.1.0", 2),
        capability("core/db", "3.0.0", 1),
    ];
    release
}

/// What a site says that has `change` beside what suits [`release`].
fn facts(change: Value) -> Facts {
    let mut json = json!({
        "format": 1,
        "product": "acme",
        "installed": { "version": "2.4.0", "release-digest": "0".repeat(64) },
        "counter": 3,
        "security-floor": "2.4.0",
        "mode": "edge",
        "platform": "linux/amd64",
        "hardware": { "cpu": 3, "memory": 3, "disk": 3, "gpu": 3, "gpu-memory": 2 },
        "pins": [],
    });
    let Value::Object(change) = change else {
        panic!("a change is an object")
    };
    json.as_object_mut().unwrap().extend(change);
    Facts::parse(json.to_string().as_bytes()).unwrap()
}

fn reasons(change: Value) -> Vec<&'static str> {
    let denials = facts(change).check(&release(), None);
    denials.iter().map(|denial| denial.reason.name()).collect()
}

#[test]
fn each_fact_is_held_against_a_release() {
    let pin = |level: &str, name: &str, version: &str| json!({ "pins": [{ "level": level, "name": name, "version": version }] });
    let rows = [
        (json!({}), None),
        (json!({ "product": "other" }), Some("product-mismatch")),
        (json!({ "security-floor": "2.5.0" }), None),
        (
            json!({ "security-floor": "2.5.1" }),
            Some("below-security-floor"),
        ),
        (
            json!({ "installed": { "version": "2.2.9", "release-digest": "0".repeat(64) } }),
            Some("upgrade-from"),
        ),
        (json!({ "installed": null }), None),
        (json!({ "mode": "saas" }), Some("mode-mismatch")),
        (json!({ "platform": "linux/arm64" }), None),
        (
            json!({ "platform": "linux/arm64/v7" }),
            Some("platform-mismatch"),
        ),
        (
            json!({ "platform": "linux/riscv64" }),
            Some("platform-mismatch"),
        ),
        (
            json!({ "hardware": { "cpu": 2 } }),
            Some("hardware-insufficient"),
        ),
        (
            json!({ "hardware": { "memory": 2 } }),
            Some("hardware-insufficient"),
        ),
        (
            json!({ "hardware": { "disk": 2 } }),
            Some("hardware-insufficient"),
        ),
        (
            json!({ "hardware": { "gpu": 2 } }),
            Some("hardware-insufficient"),
        ),
        (
            json!({ "hardware": { "gpu-memory": 1 } }),
            Some("hardware-insufficient"),
        ),
        (json!({ "hardware": {} }), None),
        (pin("platform", "acme", "2.5.0"), None),
        (pin("platform", "acme", "2.4.0"), Some("pinned")),
        (pin("suite", "core", "~1.2"), None),
        (pin("suite", "core", "<1.2"), Some("pinned")),
        (pin("suite", "other", "*"), Some("pinned")),
        (pin("capability", "core/api", "2.1.0+rebuilt"), None),
        (pin("capability", "core/api", "2.0.0"), Some("pinned")),
        (pin("capability", "core/gone", "*"), Some("pinned")),
    ];
    for (change, expected) in rows {
        assert_eq!(
            reasons(change.clone()),
            Vec::from_iter(expected),
            "{change}"
        );
    }
}

#[test]
fn what_is_not_known_is_not_held_against_a_release() {
    let nothing = Facts::parse(br#"{"format":1}"#).unwrap();
    assert_eq!(nothing.check(&release(), None), []);
    assert_eq!(nothing.check_counter(0, &release().version, None), None);
}

#[test]
fn all_denials_are_told_together_and_a_pin_says_why() {
    let facts = facts(json!({
        "product": "other",
        "security-floor": "3.0.0",
        "mode": "saas",
        "pins": [{ "level": "capability", "name": "core/db", "version": "2.0.0", "reason": "audit" }],
    }));
    let denials = facts.check(&release(), None);
    assert_eq!(denials.len(), 4);
    assert_eq!(
        denials.last().unwrap().detail,
        "the capability core/db is pinned to 2.0.0 here (audit), the release has 3.0.0"
    );
}

#[test]
fn room_that_was_promised_is_not_asked_for_again() {
    let mut running = release();
    running.capabilities.first_mut().unwrap().hardware.disk = Some(1);
    let facts = facts(json!({ "hardware": { "disk": 1 } }));
    assert_eq!(facts.check(&release(), Some(&running)), []);
    assert_eq!(facts.check(&release(), None).len(), 1);
    // The facts say it of what runs there, whatever that is.
    let installed = json!({ "version": "2.4.0", "release-digest": "0".repeat(64), "disk": 2 });
    let mut told = facts.clone();
    told.installed = serde_json::from_value(installed).unwrap();
    assert_eq!(told.check(&release(), None), []);
    assert_eq!(told.check(&release(), Some(&running)), []);
}

#[test]
fn a_counter_only_grows() {
    let version = &release().version;
    assert_eq!(facts(json!({})).check_counter(3, version, None), None);
    let denial = facts(json!({})).check_counter(2, version, None).unwrap();
    assert_eq!(denial.reason, Reason::CounterTooLow);
    let [here, other] = ["1", "2"].map(|digit| digit.repeat(64).parse::<Digest>().unwrap());
    let known = facts(json!({ "counter-release": here }));
    assert_eq!(known.check_counter(3, version, Some(here)), None);
    assert_eq!(known.check_counter(4, version, Some(other)), None);
    let denial = known.check_counter(3, version, Some(other)).unwrap();
    assert_eq!(denial.reason, Reason::CounterReused);
    // A definition has no digest yet.
    assert_eq!(known.check_counter(3, version, None), None);
    let installed = |version: &Version, digest: Digest| {
        let installed = json!({ "version": version, "release-digest": digest });
        facts(json!({ "counter-release": here, "installed": installed }))
    };
    let older = Version::new(0, 0, 1);
    let same = installed(version, here);
    assert_eq!(same.check_counter(3, version, None), None);
    let another = installed(&older, here);
    let denial = another.check_counter(3, version, None).unwrap();
    assert_eq!(denial.reason, Reason::CounterReused);
    // What had the counter is not what runs now.
    let gone_back = installed(&older, other);
    assert_eq!(gone_back.check_counter(3, version, None), None);
}

#[test]
fn everything_that_is_wrong_with_facts_is_told_by_its_key() {
    let text = r#"{"format":1,"mode":"ship","more":1,"hardware":{"cpu":-1},"pins":[
        {"level":"suite","name":"core","version":"1.0.0"},
        {"level":"suite","name":"core","version":"latest"},
        {"level":"module","name":"core/a","version":"1.0.0"},
        7]}"#;
    let told = Facts::parse(text.as_bytes()).unwrap_err().to_string();
    for part in [
        "mode: unknown variant `ship`",
        "more: unknown field `more`",
        "hardware: invalid value: integer `-1`",
        "pins[1] (suite core): ",
        "pins[2] (module core/a): unknown variant `module`",
        "pins[3] (? ?): invalid type",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("pins[0]"), "{told}");
    let told = Facts::parse(br#"{"format":1,"a\u001b[2J":1}"#).unwrap_err();
    assert!(
        told.to_string().contains("a\\u{1b}[2J: unknown field"),
        "{told}"
    );
    let many = format!(r#"{{"format":1,"pins":[{}]}}"#, ["7"; 100].join(","));
    let told = Facts::parse(many.as_bytes()).unwrap_err().to_string();
    assert!(told.ends_with("; and more") && told.len() < 5000, "{told}");
}

#[test]
fn facts_are_read_strictly() {
    let rows = [
        ("", Code::BadMetadata),
        ("{}", Code::BadMetadata),
        (r#"{"format":2}"#, Code::UnsupportedFormat),
        (r#"{"format":1,"more":1}"#, Code::BadMetadata),
        (r#"{"format":1,"format":1}"#, Code::BadMetadata),
        (r#"{"format":1,"mode":"ship"}"#, Code::BadMetadata),
        (r#"{"format":1,"platform":"linux"}"#, Code::BadMetadata),
        (r#"{"format":1,"hardware":{"cpu":-1}}"#, Code::BadMetadata),
        (
            r#"{"format":1,"pins":[{"level":"suite","name":"core","version":"latest"}]}"#,
            Code::BadMetadata,
        ),
    ];
    for (text, code) in rows {
        assert_eq!(
            Facts::parse(text.as_bytes()).unwrap_err().kind(),
            code,
            "{text}"
        );
    }
    let long = format!(r#"{{"format":1{}}}"#, " ".repeat(1 << 20));
    assert_eq!(
        Facts::parse(long.as_bytes()).unwrap_err().kind(),
        Code::LimitExceeded
    );
}

#[test]
fn facts_are_written_as_they_are_read() {
    let all = facts(json!({
        "pins": [{ "level": "suite", "name": "core", "version": ">=1.0, <2", "reason": "audit" }],
    }));
    let written = serde_json::to_vec(&all).unwrap();
    assert_eq!(Facts::parse(&written).unwrap(), all);
}

/// Facts come from outside too: their texts must not play with the terminal of whoever compares.
#[test]
fn texts_of_facts_are_shown_escaped() {
    let facts = facts(json!({
        "platform": "\u{1b}[2J/\r\n",
        "pins": [{ "level": "capability", "name": "core/db", "version": "*", "reason": "\n\u{202e}" }],
    }));
    let mut without = release();
    without.capabilities.truncate(1);
    let denials = facts.check(&without, None);
    let told: Vec<&str> = denials.iter().map(|d| d.detail.as_str()).collect();
    assert_eq!(
        told,
        [
            "this machine is \\u{1b}[2J/\\r\\n, the release is for linux/amd64, linux/arm64/v8",
            "the capability core/db is pinned to * here (\\n\\u{202e}), the release does not have it",
        ]
    );
}

#[test]
fn what_facts_do_not_say_is_named_where_a_release_asks_for_it() {
    let all = [
        "product",
        "installed",
        "counter",
        "mode",
        "platform",
        "hardware.cpu",
        "hardware.memory",
        "hardware.disk",
        "hardware.gpu",
        "hardware.gpu-memory",
    ];
    let nothing = Facts::parse(br#"{"format":1}"#).unwrap();
    assert_eq!(nothing.missing(&release()), all);
    assert_eq!(facts(json!({})).missing(&release()), [""; 0]);
    let release = release();
    let plain = Release::new(release.product, release.version, release.published);
    assert_eq!(nothing.missing(&plain), ["product", "counter"]);
}
