//! New roots: the old threshold and the new one both, version by version.

use sealift_tests::tuf::Repository;

/// Keys of the root, its threshold, and who signs it.
type Step<'a> = (&'a [&'a str], u64, &'a [&'a str]);

/// Publishes one root for each step, the first one being the trusted one.
fn rotated(steps: &[Step<'_>]) -> Repository {
    let mut repository = Repository::unpublished();
    repository.keys(
        &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        "ed25519",
    );
    for (keys, threshold, signers) in steps {
        repository.role("root", keys, *threshold);
        repository.sign("root", signers);
        repository.publish(&["root"]);
    }
    repository.publish(&["targets", "snapshot", "timestamp"]);
    repository
}

#[test]
fn a_chain_is_followed_to_its_end() {
    let five = ["0", "1", "2", "3", "4"].as_slice();
    let later = ["0", "1", "3", "4", "5"].as_slice();
    let new = ["5", "6", "7", "8", "9"].as_slice();
    let chains: [&[Step<'_>]; 8] = [
        &[
            (&["1"], 1, &["1"]),
            (&["2"], 1, &["2", "1"]),
            (&["2"], 1, &["2"]),
        ],
        // Signatures by strangers are ignored.
        &[
            (&["1"], 1, &["3", "1", "4"]),
            (&["2"], 1, &["3", "2", "1", "4"]),
        ],
        &[
            (five, 3, &["0", "2", "4"]),
            (five, 3, &["0", "4", "1"]),
            (five, 3, &["0", "1", "3"]),
        ],
        &[(five, 3, &["0", "2", "4"]), (later, 3, &["0", "4", "1"])],
        &[
            (five, 3, &["0", "2", "4"]),
            (later, 3, &["0", "2", "4", "5"]),
            (later, 3, &["0", "4", "5"]),
        ],
        &[
            (five, 3, &["0", "2", "4"]),
            (new, 3, &["0", "2", "4", "5", "6", "7"]),
            (new, 3, &["5", "6", "7"]),
        ],
        &[
            (&["1", "2", "3"], 1, &["1"]),
            (&["1", "2", "3"], 2, &["1", "2"]),
        ],
        &[
            (&["1", "2"], 2, &["1", "2"]),
            (&["1", "2"], 1, &["1", "2"]),
            (&["1", "2"], 1, &["1"]),
        ],
    ];
    for steps in chains {
        let repository = rotated(steps);
        let client = repository.client();
        client.refresh().ok();
        client.trusts([steps.len() as u64, 1, 1, 1]);
    }
}

#[test]
fn a_root_needs_its_own_threshold_and_that_of_the_one_before() {
    let five = ["0", "1", "2", "3", "4"].as_slice();
    let later = ["0", "1", "3", "4", "5"].as_slice();
    let chains: [&[Step<'_>]; 6] = [
        // Not signed by the old key; not by the new one.
        &[(&["1"], 1, &["1"]), (&["2"], 1, &["2", "3", "4"])],
        &[(&["1"], 1, &["1"]), (&["2"], 1, &["1", "3", "4"])],
        &[(five, 3, &["0", "2", "4"]), (later, 3, &["0", "2", "4"])],
        &[(five, 3, &["0", "2", "4"]), (later, 3, &["0", "4", "5"])],
        &[(&["1", "2", "3"], 1, &["1"]), (&["1", "2", "3"], 2, &["2"])],
        &[
            (&["1", "2", "3"], 2, &["1", "2"]),
            (&["1", "2", "3"], 1, &["1"]),
        ],
    ];
    for steps in chains {
        let repository = rotated(steps);
        let client = repository.client();
        client.refresh().fails_with("threshold-not-met");
        client.trusts([1, 0, 0, 0]);
    }
}

#[test]
fn what_was_followed_before_a_bad_root_stays_trusted() {
    let repository = rotated(&[
        (&["1"], 1, &["1"]),
        (&["2"], 1, &["1", "2"]),
        (&["3"], 1, &["3"]),
    ]);
    let client = repository.client();
    client.refresh().fails_with("threshold-not-met");
    client.trusts([2, 0, 0, 0]);
}

#[test]
fn other_roles_rotate_with_the_root() {
    let mut repository = Repository::new();
    let client = repository.client();
    client.refresh().ok();
    repository.keys(&["a", "b", "c"], "ed25519");
    for (version, (role, key)) in [("timestamp", "a"), ("snapshot", "b"), ("targets", "c")]
        .into_iter()
        .enumerate()
    {
        repository.role(role, &[key], 1);
        repository.publish(&["root", "targets", "snapshot", "timestamp"]);
        client.refresh().ok();
        client.trusts([version as u64 + 2; 4]);
    }
    // The old keys are worth nothing any more.
    repository.sign("targets", &["targets"]);
    repository.publish(&["targets", "snapshot", "timestamp"]);
    client.refresh().fails_with("threshold-not-met");
    client.trusts([4, 5, 5, 4]);
}

#[test]
fn a_key_rotation_recovers_from_versions_that_ran_ahead() {
    for role in ["timestamp", "snapshot", "targets"] {
        let mut repository = Repository::new();
        let client = repository.client();
        repository.version(role, 1000);
        repository.publish(&match role {
            "targets" => vec!["targets", "snapshot", "timestamp"],
            "snapshot" => vec!["snapshot", "timestamp"],
            _ => vec!["timestamp"],
        });
        client.refresh().ok();

        repository.keys(&["new", "newer"], "ed25519");
        let rotate = match role {
            "targets" => ["snapshot"].as_slice(),
            "snapshot" => &["snapshot", "timestamp"],
            _ => &["timestamp"],
        };
        for (role, key) in rotate.iter().zip(["new", "newer"]) {
            repository.role(role, &[key], 1);
        }
        repository.version(role, 2);
        repository.publish(&["root", "targets", "snapshot", "timestamp"]);
        client.refresh().ok();
        assert_eq!(client.version(role), 2, "{role}");
    }
}

#[test]
fn an_update_follows_256_roots_and_the_next_one_goes_on() {
    let mut repository = Repository::new();
    let client = repository.client();
    for _ in 0..258 {
        repository.publish(&["root"]);
    }
    client.refresh().ok();
    client.trusts([257, 1, 1, 1]);
    client.refresh().ok();
    client.trusts([259, 1, 1, 1]);
}
