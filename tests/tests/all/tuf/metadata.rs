//! What metadata may look like, and what it is held to.

use sealift_tests::tuf::Repository;
use serde_json::json;

#[test]
fn a_refresh_takes_all_four_roles_byte_for_byte() {
    let repository = Repository::new();
    let client = repository.client();
    client.refresh().ok();
    client.trusts([1, 1, 1, 1]);
    for (role, file) in [
        ("root", "1.root.json"),
        ("timestamp", "timestamp.json"),
        ("snapshot", "1.snapshot.json"),
        ("targets", "1.targets.json"),
    ] {
        let served = sealift_tests::sandbox::read(&repository.folder().join("metadata").join(file));
        assert_eq!(client.kept(role), served, "{role}");
    }
}

#[test]
fn names_without_versions_are_read_without_consistent_snapshots() {
    let mut repository = Repository::unpublished();
    repository.tell("options", json!({ "consistent": false }));
    repository.publish(&["root", "targets", "snapshot", "timestamp"]);
    assert!(repository.folder().join("metadata/snapshot.json").exists());
    let client = repository.client();
    client.refresh().ok();
    repository.publish(&["targets", "snapshot", "timestamp"]);
    client.refresh().ok();
    client.trusts([1, 2, 2, 2]);
}

#[test]
fn a_repository_may_change_to_consistent_snapshots_and_back() {
    let mut repository = Repository::new();
    let client = repository.client();
    for consistent in [false, true] {
        repository.tell("options", json!({ "consistent": consistent }));
        repository.publish(&["root", "targets", "snapshot", "timestamp"]);
        client.refresh().ok();
    }
    client.trusts([3, 3, 3, 3]);
}

#[test]
fn unknown_fields_are_covered_by_signatures_and_otherwise_ignored() {
    let mut repository = Repository::new();
    let client = repository.client();
    for role in ["root", "targets", "snapshot", "timestamp"] {
        let value = json!({ "text": "\"\\ü\n", "list": [1, -2, null, true] });
        repository.tell(
            "field",
            json!({ "role": role, "name": "extra", "value": value }),
        );
    }
    let value = json!(["md5"]);
    repository.tell(
        "key_field",
        json!({ "key": "snapshot", "name": "keyid_hash_algorithms", "value": value }),
    );
    repository.publish(&["root", "targets", "snapshot", "timestamp"]);
    client.refresh().ok();
    client.trusts([2, 2, 2, 2]);

    repository.publish(&["timestamp"]);
    repository.edit("timestamp.json", |file| {
        file["signed"]["extra"]["text"] = json!("changed");
    });
    client.refresh().fails_with("threshold-not-met");
}

#[test]
fn metadata_is_held_to_its_signed_digest_and_length() {
    let mut repository = Repository::new();
    let client = repository.client();
    repository.tell("options", json!({ "hashes_in_meta": true }));
    repository.publish(&["targets", "snapshot", "timestamp"]);
    client.refresh().ok();

    repository.publish(&["targets"]);
    let digest = "46419349341cfb2d95f6ae3d4cd5c3d3dd7f4673985dad42a45130be5e0531a0";
    repository.tell(
        "meta",
        json!({ "role": "snapshot", "file": "targets.json", "sha256": digest }),
    );
    repository.publish(&["snapshot", "timestamp"]);
    client.refresh().fails_with("digest-mismatch");
    client.trusts([1, 3, 3, 2]);

    // One byte fewer is promised: the file is too long. One byte more: it is too short.
    for (difference, code) in [(-1, "limit-exceeded"), (1, "length-mismatch")] {
        repository.publish(&["targets", "snapshot"]);
        let path = repository.folder().join("metadata");
        let newest = (1..20)
            .rev()
            .map(|v| path.join(format!("{v}.snapshot.json")));
        let newest = newest.into_iter().find(|p| p.exists()).unwrap();
        let length = i64::try_from(newest.metadata().unwrap().len()).unwrap() + difference;
        repository.tell(
            "meta",
            json!({ "role": "timestamp", "file": "snapshot.json", "length": length }),
        );
        repository.publish(&["timestamp"]);
        client.refresh().fails_with(code);
    }
}

#[test]
fn versions_have_to_be_those_that_were_asked_for() {
    for (role, versions) in [
        ("root", [1, 0, 0, 0]),
        ("snapshot", [2, 2, 0, 0]),
        ("targets", [2, 2, 2, 0]),
    ] {
        let mut repository = Repository::new();
        let client = repository.client();
        repository.publish(&["root", "targets", "snapshot", "timestamp"]);
        // Version 3, signed, under the name of version 2.
        let folder = repository.folder().join("metadata");
        repository.publish(&[role]);
        let newer = folder.join(format!("3.{role}.json"));
        std::fs::copy(&newer, folder.join(format!("2.{role}.json"))).unwrap();
        let code = if role == "root" {
            "root-version"
        } else {
            "version-mismatch"
        };
        client.refresh().fails_with(code);
        client.trusts(versions);
    }
}

#[test]
fn metadata_that_is_not_there_ends_the_update() {
    let mut repository = Repository::new();
    let client = repository.client();
    client.refresh().ok();
    repository.tell(
        "meta",
        json!({ "role": "snapshot", "file": "targets.json", "version": 2 }),
    );
    repository.publish(&["snapshot", "timestamp"]);
    client.refresh().fails_with("not-found");
    client.trusts([1, 2, 2, 1]);

    repository.tell(
        "meta",
        json!({ "role": "timestamp", "file": "snapshot.json", "version": 7 }),
    );
    repository.publish(&["timestamp"]);
    client.refresh().fails_with("not-found");
    client.trusts([1, 3, 2, 1]);

    std::fs::remove_file(repository.folder().join("metadata/timestamp.json")).unwrap();
    client.refresh().fails_with("not-found");
}

#[test]
fn a_statement_of_another_role_is_refused_however_well_it_is_signed() {
    let mut repository = Repository::new();
    let client = repository.client();
    // The timestamp's key signs snapshots, too, and this snapshot would do as a timestamp.
    repository.role("snapshot", &["snapshot", "timestamp"], 1);
    repository.publish(&["root"]);
    repository.publish(&["snapshot"]);
    let folder = repository.folder().join("metadata");
    repository.publish(&["timestamp"]);
    std::fs::copy(
        folder.join("2.snapshot.json"),
        folder.join("timestamp.json"),
    )
    .unwrap();
    client.refresh().fails_with("bad-metadata");
    client.trusts([2, 0, 0, 0]);
}

#[test]
fn what_is_no_metadata_is_refused() {
    for (content, code) in [
        ("", "bad-json"),
        ("no json", "bad-json"),
        ("[]", "bad-metadata"),
        ("{\"signed\":{},\"signatures\":[]}", "threshold-not-met"),
        (
            "{\"signed\":{},\"signed\":{},\"signatures\":[]}",
            "bad-json",
        ),
        (
            "{\"signed\":{\"version\":1.5},\"signatures\":[]}",
            "bad-json",
        ),
        ("{\"signatures\":[]}", "bad-metadata"),
    ] {
        let repository = Repository::new();
        let client = repository.client();
        repository
            .sandbox
            .write("repository/metadata/timestamp.json", content);
        client.refresh().fails_with(code);
        client.trusts([1, 0, 0, 0]);
    }
    let repository = Repository::new();
    let client = repository.client();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    repository
        .sandbox
        .write("repository/metadata/timestamp.json", deep);
    client.refresh().fails_with("bad-json");
}

#[test]
fn a_first_root_that_is_wrong_is_not_taken() {
    let repository = Repository::new();
    let client = repository.client();
    let root = repository.folder().join("trusted_root.json");
    let text = String::from_utf8(sealift_tests::sandbox::read(&root)).unwrap();
    let changed = text
        .replace("\"version\": 1", "\"version\": 2")
        .replace("\"version\":1", "\"version\":2");
    assert_ne!(text, changed);
    let changed = repository.sandbox.write("wrong.json", changed);
    client.init(&changed).fails_with("threshold-not-met");
    client
        .init(&repository.sandbox.join("none.json"))
        .fails_with("not-found");
}

#[test]
fn a_repository_that_delegates_serves_what_its_own_targets_sign() {
    let mut repository = Repository::new();
    let client = repository.client();
    repository.target("own.txt", "own");
    repository.tell("delegate", json!({ "name": "role", "paths": ["theirs/*"] }));
    repository.publish(&["role", "targets", "snapshot", "timestamp"]);
    client.refresh().ok();
    client.download("own.txt").ok();
    client.download("theirs/file.txt").fails_with("not-found");
}
