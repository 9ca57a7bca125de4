//! Freezing: metadata that has expired.

use sealift_tests::tuf::Repository;

#[test]
fn an_expired_role_ends_the_update_at_its_place() {
    for (role, versions) in [
        ("root", [2, 1, 1, 1]),
        ("timestamp", [1, 1, 1, 1]),
        ("snapshot", [1, 2, 1, 1]),
        ("targets", [1, 2, 2, 1]),
    ] {
        let mut repository = Repository::new();
        let client = repository.client();
        client.refresh().ok();
        repository.expire(role, -1);
        repository.publish(&match role {
            "root" => vec!["root", "timestamp"],
            _ => vec!["targets", "snapshot", "timestamp"],
        });
        client.refresh().fails_with("metadata-expired");
        client.trusts(versions);
    }
}

#[test]
fn a_root_on_the_way_may_have_expired() {
    let mut repository = Repository::new();
    let client = repository.client();
    repository.expire("root", -1);
    repository.publish(&["root"]);
    repository.expire("root", 30);
    repository.publish(&["root"]);
    client.refresh().ok();
    client.trusts([3, 1, 1, 1]);
}

#[test]
fn what_is_kept_may_have_expired_when_something_newer_comes() {
    for role in ["root", "timestamp", "snapshot", "targets"] {
        let mut repository = Repository::unpublished();
        repository.expire(role, 7);
        repository.publish(&["root", "targets", "snapshot", "timestamp"]);
        let client = repository.client();
        client.refresh().ok();
        repository.expire(role, 21);
        repository.publish(&["root", "targets", "snapshot", "timestamp"]);
        let client = client.days_later(18);
        client.refresh().ok();
        client.trusts([2, 2, 2, 2]);
    }
}

#[test]
fn what_is_kept_and_has_expired_is_not_enough() {
    for role in ["root", "timestamp", "snapshot", "targets"] {
        let mut repository = Repository::unpublished();
        repository.expire(role, 7);
        repository.publish(&["root", "targets", "snapshot", "timestamp"]);
        let client = repository.client();
        client.refresh().ok();
        client
            .days_later(8)
            .refresh()
            .fails_with("metadata-expired");
    }
}
