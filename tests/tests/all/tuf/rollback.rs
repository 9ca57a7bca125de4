//! Older metadata than what was trusted before.

use sealift_tests::tuf::Repository;
use serde_json::json;

#[test]
fn an_older_timestamp_is_refused() {
    let mut repository = Repository::new();
    let client = repository.client();
    repository.publish(&["timestamp"]);
    client.refresh().ok();
    repository.version("timestamp", 1);
    repository.publish(&["timestamp"]);
    client.refresh().fails_with("version-rollback");
    client.trusts([1, 2, 1, 1]);
}

#[test]
fn an_older_snapshot_is_refused_with_digests_and_without() {
    for hashes in [false, true] {
        let mut repository = Repository::new();
        let client = repository.client();
        repository.tell("options", json!({ "hashes_in_meta": hashes }));
        repository.publish(&["snapshot", "timestamp"]);
        client.refresh().ok();
        repository.version("snapshot", 1);
        repository.publish(&["snapshot", "timestamp"]);
        client.refresh().fails_with("version-rollback");
        client.trusts([1, 2, 2, 1]);
    }
}

#[test]
fn older_targets_are_refused_with_digests_and_without() {
    for hashes in [false, true] {
        let mut repository = Repository::new();
        let client = repository.client();
        repository.tell("options", json!({ "hashes_in_meta": hashes }));
        repository.publish(&["targets", "snapshot", "timestamp"]);
        client.refresh().ok();
        repository.version("targets", 1);
        repository.publish(&["targets", "snapshot", "timestamp"]);
        client.refresh().fails_with("version-rollback");
        client.trusts([1, 3, 2, 2]);
    }
}

#[test]
fn a_snapshot_may_not_forget_what_it_listed() {
    let mut repository = Repository::new();
    let client = repository.client();
    repository.tell("delegate", json!({ "name": "role", "paths": ["*"] }));
    repository.publish(&["role", "targets", "snapshot", "timestamp"]);
    client.refresh().ok();
    // A new repository of the same keys would list the delegated role no more; here it counts down.
    repository.tell(
        "meta",
        json!({ "role": "snapshot", "file": "role.json", "version": 0 }),
    );
    repository.publish(&["snapshot", "timestamp"]);
    client.refresh().fails_with("version-rollback");
    client.trusts([1, 3, 2, 2]);
}

#[test]
fn a_timestamp_of_the_same_version_changes_nothing() {
    let mut repository = Repository::new();
    let client = repository.client();
    client.refresh().ok();
    let before = client.kept("timestamp");
    repository.tell(
        "meta",
        json!({ "role": "timestamp", "file": "snapshot.json", "version": 100 }),
    );
    repository.publish_again(&["timestamp"]);
    client.refresh().ok();
    assert_eq!(client.kept("timestamp"), before);
}

#[test]
fn what_the_timestamp_does_not_name_is_not_looked_at() {
    let mut repository = Repository::new();
    let client = repository.client();
    client.refresh().ok();
    repository.publish(&["targets"]);
    client.refresh().ok();
    repository.publish(&["snapshot"]);
    client.refresh().ok();
    client.trusts([1, 1, 1, 1]);
}
