//! The same over HTTP, with servers that are broken or hostile.

use sealift_tests::{
    http::{Mischief, Server},
    tuf::Repository,
};

#[test]
fn the_requests_are_those_of_the_specification_and_no_others() {
    let mut repository = Repository::new();
    let server = Server::new(&repository.folder());
    let client = repository.client().from(server.url());
    client.refresh().ok();
    let first = [
        "metadata/2.root.json",
        "metadata/timestamp.json",
        "metadata/1.snapshot.json",
        "metadata/1.targets.json",
    ];
    assert_eq!(server.requests(), first);

    // Nothing new: two requests. A new timestamp alone: the same two.
    client.refresh().ok();
    repository.publish(&["timestamp"]);
    client.refresh().ok();
    let again = ["metadata/2.root.json", "metadata/timestamp.json"];
    assert_eq!(server.requests()[4..], [again, again].concat());
}

#[test]
fn forbidden_means_absent_for_the_next_root() {
    let repository = Repository::new();
    let server = Server::new(&repository.folder());
    server.misbehave("root.json", Mischief::Forbidden);
    let client = repository.client().from(server.url());
    client.refresh().ok();
    client.trusts([1, 1, 1, 1]);
}

#[test]
fn a_server_that_fails_is_no_reason_to_believe_that_there_is_nothing_new() {
    for part in [
        "2.root.json",
        "timestamp.json",
        "snapshot.json",
        "targets.json",
    ] {
        let repository = Repository::new();
        let server = Server::new(&repository.folder());
        server.misbehave(part, Mischief::Broken);
        repository
            .client()
            .from(server.url())
            .refresh()
            .fails_with("io");
    }
    let repository = Repository::new();
    let client = repository.client().from("http://127.0.0.1:1");
    client.refresh().fails_with("io");
}

#[test]
fn endless_data_ends_at_the_limit() {
    for part in [
        "2.root.json",
        "timestamp.json",
        "1.snapshot.json",
        "1.targets.json",
    ] {
        let repository = Repository::new();
        let server = Server::new(&repository.folder());
        server.misbehave(part, Mischief::Endless);
        repository
            .client()
            .from(server.url())
            .refresh()
            .fails_with("limit-exceeded");
    }
    let mut repository = Repository::new();
    repository.target("file.txt", "content");
    repository.publish(&["targets", "snapshot", "timestamp"]);
    let server = Server::new(&repository.folder());
    server.misbehave("file.txt", Mischief::Endless);
    let client = repository.client().from(server.url());
    client.download("file.txt").fails_with("limit-exceeded");
    assert_eq!(client.downloaded(), [""; 0]);
}

#[test]
fn half_an_answer_is_an_error() {
    let repository = Repository::new();
    let server = Server::new(&repository.folder());
    server.misbehave("1.targets.json", Mischief::Torn);
    let client = repository.client().from(server.url());
    client.refresh().fails_with("io");
    client.trusts([1, 1, 1, 0]);
}
