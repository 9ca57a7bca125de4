//! Key types, thresholds, and who may sign.

use sealift_tests::tuf::Repository;
use serde_json::json;

const SCHEMES: [&str; 4] = [
    "ed25519",
    "ecdsa-sha2-nistp256",
    "rsassa-pss-sha256",
    "rsa-pkcs1v15-sha256",
];

#[test]
fn every_scheme_of_the_specification_verifies_and_refuses() {
    for scheme in SCHEMES {
        let mut repository = Repository::new();
        let client = repository.client();
        repository.keys(&["other"], scheme);
        repository.role("root", &["root", "other"], 2);
        repository.role("timestamp", &["other"], 1);
        repository.publish(&["root", "timestamp"]);
        client.refresh().ok();
        client.trusts([2, 2, 1, 1]);

        // A signature of the same form over other bytes.
        repository.publish(&["timestamp"]);
        repository.edit("timestamp.json", |file| {
            file["signed"]["version"] = json!(4);
        });
        client.refresh().fails_with("threshold-not-met");
        client.trusts([2, 2, 1, 1]);
    }
}

#[test]
fn a_scheme_that_does_not_fit_the_key_counts_nothing() {
    for (scheme, kind) in [
        ("ecdsa-sha2-nistp256", json!({ "keytype": "rsa" })),
        (
            "ecdsa-sha2-nistp256",
            json!({ "keytype": "rsa", "scheme": "rsassa-pss-sha256" }),
        ),
        (
            "ed25519",
            json!({ "keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256" }),
        ),
        ("ed25519", json!({ "scheme": "ed448" })),
        (
            "rsassa-pss-sha256",
            json!({ "scheme": "rsa-pkcs1v15-sha256" }),
        ),
    ] {
        let mut repository = Repository::new();
        let client = repository.client();
        repository.keys(&["other"], scheme);
        let mut arguments = kind.clone();
        arguments["key"] = json!("other");
        repository.tell("kind", arguments);
        repository.role("timestamp", &["other"], 1);
        repository.publish(&["root", "timestamp"]);
        client.refresh().fails_with("threshold-not-met");
        client.trusts([2, 0, 0, 0]);
    }
}

#[test]
fn below_the_threshold_nothing_is_taken() {
    for role in ["timestamp", "snapshot", "targets"] {
        let mut repository = Repository::new();
        let client = repository.client();
        repository.keys(&["a", "b", "c"], "ed25519");
        repository.role(role, &["a", "b", "c"], 3);
        repository.publish(&["root", "targets", "snapshot", "timestamp"]);
        client.refresh().ok();
        client.trusts([2, 2, 2, 2]);

        repository.sign(role, &["a", "c"]);
        repository.publish(&["targets", "snapshot", "timestamp"]);
        client.refresh().fails_with("threshold-not-met");
        client.trusts(match role {
            "timestamp" => [2, 2, 2, 2],
            "snapshot" => [2, 3, 2, 2],
            _ => [2, 3, 3, 2],
        });
    }
}

#[test]
fn any_keys_that_meet_the_threshold_will_do() {
    let mut repository = Repository::new();
    let client = repository.client();
    repository.keys(&["a", "b", "c", "stranger"], "ed25519");
    for role in ["timestamp", "snapshot", "targets"] {
        repository.role(role, &["a", "b", "c"], 2);
    }
    repository.publish(&["root"]);
    for (version, signers) in [["a", "b"], ["b", "c"], ["c", "a"]].iter().enumerate() {
        for role in ["timestamp", "snapshot", "targets"] {
            // A stranger's signature beside them is ignored.
            repository.sign(role, &[signers[0], "stranger", signers[1]]);
        }
        repository.publish(&["targets", "snapshot", "timestamp"]);
        client.refresh().ok();
        let version = version as u64 + 2;
        client.trusts([2, version, version, version]);
    }
}

#[test]
fn one_key_under_several_ids_is_one_vote() {
    let mut repository = Repository::new();
    let client = repository.client();
    for twin in ["twin1", "twin2"] {
        repository.tell("key", json!({ "name": twin, "same_as": "snapshot" }));
    }
    repository.role("snapshot", &["snapshot", "twin1", "twin2"], 2);
    repository.publish(&["root", "snapshot", "timestamp"]);
    client.refresh().fails_with("threshold-not-met");
    client.trusts([2, 2, 0, 0]);
}

#[test]
fn one_signature_written_several_times_is_refused() {
    let repository = Repository::new();
    let client = repository.client();
    repository.edit("1.snapshot.json", |file| {
        let signature = file["signatures"][0].clone();
        file["signatures"].as_array_mut().unwrap().push(signature);
    });
    client.refresh().fails_with("bad-metadata");
    client.trusts([1, 1, 0, 0]);
}

#[test]
fn an_invalid_signature_beside_a_valid_one_does_not_matter() {
    let mut repository = Repository::new();
    let client = repository.client();
    repository.keys(&["second"], "ed25519");
    repository.role("timestamp", &["timestamp", "second"], 1);
    repository.publish(&["root"]);
    for (version, sig) in ["", "00", "no digits", &"ab".repeat(64)].iter().enumerate() {
        repository.publish(&["timestamp"]);
        repository.edit("timestamp.json", |file| {
            file["signatures"][0]["sig"] = json!(sig);
        });
        client.refresh().ok();
        client.trusts([2, version as u64 + 2, 1, 1]);
    }
}

#[test]
fn thresholds_that_nobody_can_meet_or_miss_are_refused() {
    let mut repository = Repository::new();
    let client = repository.client();
    repository.role("snapshot", &["snapshot"], 2);
    repository.publish(&["root", "snapshot", "timestamp"]);
    client.refresh().fails_with("threshold-not-met");
    client.trusts([2, 2, 0, 0]);

    let mut repository = Repository::new();
    let client = repository.client();
    repository.tell(
        "role",
        json!({ "role": "timestamp", "keys": ["timestamp"], "threshold": 0 }),
    );
    repository.sign("timestamp", &[]);
    repository.publish(&["root", "timestamp"]);
    client.refresh().fails_with("threshold-invalid");
    client.trusts([1, 0, 0, 0]);
}
