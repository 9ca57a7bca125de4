//! Targets: what is downloaded, under which name, and what is refused.

use sealift_tests::{http::Server, tuf::Repository};
use serde_json::json;

#[test]
fn targets_come_with_digests_in_their_names_and_without() {
    for (consistent, path) in [
        (true, "file.txt"),
        (true, "path/to/a/file.txt"),
        (false, "file.txt"),
        (false, "path/to/a/file.txt"),
        (true, "with space & unicode%20.txt"),
        (false, "with space & unicode%20.txt"),
    ] {
        let mut repository = Repository::unpublished();
        repository.tell("options", json!({ "consistent": consistent }));
        repository.target(path, "content");
        repository.publish(&["root", "targets", "snapshot", "timestamp"]);
        repository.client().download(path).ok();
        let server = Server::new(&repository.folder());
        let client = repository.client().from(server.url());
        assert_eq!(client.downloaded(), ["content"]);
        std::fs::remove_dir_all(repository.sandbox.join("client/targets")).unwrap();
        client.download(path).ok();
        assert_eq!(client.downloaded(), ["content"]);
    }
}

#[test]
fn a_download_refreshes_first() {
    let mut repository = Repository::new();
    let client = repository.client();
    client.download("nothing.txt").fails_with("not-found");
    client.trusts([1, 1, 1, 1]);
    repository.target("file.txt", "new");
    repository.publish(&["targets", "snapshot", "timestamp"]);
    client.download("file.txt").ok();
    client.trusts([1, 2, 2, 2]);
}

#[test]
fn what_is_there_already_is_not_fetched_again() {
    let mut repository = Repository::new();
    repository.target("file.txt", "first");
    repository.publish(&["targets", "snapshot", "timestamp"]);
    let server = Server::new(&repository.folder());
    let client = repository.client().from(server.url());
    let fetched = || {
        server
            .requests()
            .iter()
            .filter(|r| r.starts_with("targets/"))
            .count()
    };
    client.download("file.txt").ok();
    client.download("file.txt").ok();
    assert_eq!(fetched(), 1);

    // New content replaces the old file; a damaged file is fetched again.
    repository.target("file.txt", "second");
    repository.publish(&["targets", "snapshot", "timestamp"]);
    client.download("file.txt").ok();
    assert_eq!(client.downloaded(), ["second"]);
    repository
        .sandbox
        .write("client/targets/file.txt", "damaged");
    client.download("file.txt").ok();
    assert_eq!(client.downloaded(), ["second"]);
    assert_eq!(fetched(), 3);
}

#[test]
fn other_bytes_than_the_signed_ones_are_refused() {
    for (served, code) in [
        ("CONTENT", "digest-mismatch"),
        ("conten", "length-mismatch"),
        ("content and more", "limit-exceeded"),
        ("", "length-mismatch"),
    ] {
        let mut repository = Repository::new();
        let client = repository.client();
        repository.tell(
            "target",
            json!({ "path": "file.txt", "content": "content", "served": served }),
        );
        repository.publish(&["targets", "snapshot", "timestamp"]);
        client.download("file.txt").fails_with(code);
        assert_eq!(client.downloaded(), [""; 0]);
    }
}

#[test]
fn known_digests_are_sha256_and_sha512() {
    for hashes in [
        ["sha256"].as_slice(),
        &["sha512"],
        &["sha256", "sha512"],
        &["sha512", "md5"],
    ] {
        let mut repository = Repository::new();
        let client = repository.client();
        repository.tell(
            "target",
            json!({ "path": "file.txt", "content": "content", "hashes": hashes }),
        );
        repository.publish(&["targets", "snapshot", "timestamp"]);
        client.download("file.txt").ok();
    }
    let mut repository = Repository::new();
    let client = repository.client();
    repository.target("file.txt", "content");
    repository.tell(
        "rename_hash",
        json!({ "path": "file.txt", "old": "sha256", "new": "sha1" }),
    );
    repository.publish(&["targets", "snapshot", "timestamp"]);
    client.download("file.txt").fails_with("bad-metadata");
    assert_eq!(client.downloaded(), [""; 0]);
}

#[test]
fn one_wrong_digest_among_right_ones_is_enough_to_refuse() {
    let mut repository = Repository::new();
    let client = repository.client();
    let hashes = ["sha256", "md5"];
    repository.tell(
        "target",
        json!({ "path": "file.txt", "content": "content", "hashes": hashes }),
    );
    // The digest of MD5 stands where that of SHA-512 would.
    repository.tell(
        "rename_hash",
        json!({ "path": "file.txt", "old": "md5", "new": "sha512" }),
    );
    repository.publish(&["targets", "snapshot", "timestamp"]);
    client.download("file.txt").fails_with("digest-mismatch");
}

#[test]
fn paths_that_climb_stay_in_the_folder_of_targets() {
    for consistent in [true, false] {
        let mut repository = Repository::new();
        repository.tell("options", json!({ "consistent": consistent }));
        repository.publish(&["root"]);
        let client = repository.client();
        repository.target("../escaped.txt", "content");
        repository.publish(&["targets", "snapshot", "timestamp"]);
        client.download("../escaped.txt").fails_with("path-invalid");
        let server = Server::new(&repository.folder());
        // Over HTTP the server decides what the path means; it is stored under a harmless name.
        repository
            .client()
            .from(server.url())
            .download("../escaped.txt")
            .said();
        assert!(!repository.sandbox.join("client/escaped.txt").exists());
    }
}
