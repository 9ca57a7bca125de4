//! A release has to have run well elsewhere first: `attest`, `attestation`.

use sealift_verifier::{
    license::Environment,
    promotion::{Attestation, Check, FORMAT},
};

use super::*;

const NOW: &str = "2026-06-15 12:00:00";

/// A release that asks `ask`, which is content with `script`.
fn asked(vendor: &Vendor, version: &str, counter: u64, script: &str) -> PathBuf {
    let app = vendor.release(version, counter);
    let app = app.capability("core/app", "service");
    app.file("version", version)
        .program("bin/ask", script)
        .healthy_if("bin/ask")
        .build()
}

/// The rules of a site that wants the word of another one.
fn wants(id: &str, key: &str, more: &str) -> String {
    format!(
        "[deployment]\nenvironment = \"prod\"\n[[promotion]]\nenvironment = \"staging\"\n{more}\n[[sites]]\nid = \"{id}\"\nname = \"staging-1\"\nenvironment = \"staging\"\nkey = \"{key}\"\n"
    )
}

#[test]
fn what_runs_well_at_one_site_may_run_at_the_next() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let staging = site(&sandbox, "staging", &vendor, "");
    let word = sandbox.join("word.json");
    let attest = |site: &Site| site.installer(args!["attest", "-o", word]);
    attest(&staging).fails_with("environment-missing");
    set_policy(
        &staging,
        &sandbox,
        "staging",
        "[deployment]\nenvironment = \"staging\"\n",
    );
    attest(&staging).fails_with("generation-unknown");

    staging.apply(&asked(&vendor, "1.0.0", 1, "exit 0")).ok();
    // Nothing ran before, so there is no way back.
    let said = staging.installer(args![
        "--output",
        "json",
        "attest",
        "-o",
        sandbox.join("first.json")
    ]);
    let said = said.ok().json();
    assert_eq!(said["statement"]["rollback-ready"], false);
    let next = asked(&vendor, "1.1.0", 2, "exit 0");
    staging.apply(&next).ok();
    let checks = ["--check", "penetration test=passed"];
    let command = args!["--output", "json", "attest", "-o", word];
    let said = staging.command(command).args(checks).run().ok().json();
    assert_eq!(said["statement"]["rollback-to"], "1.0.0");
    assert_eq!(said["statement"]["checks"][0]["name"], "core/app: bin/ask");
    assert_eq!(said["failed"], serde_json::json!([]));

    let status = staging.status();
    let id = status["site"].as_str().unwrap();
    let key = status["site-key"]["public-key-hex"].as_str().unwrap();
    let policy = wants(
        id,
        key,
        "checks = [\"penetration test\", \"core/app: bin/ask\"]",
    );
    let prod = site(&sandbox, "prod", &vendor, &policy);
    prod.apply(&next).fails_with("promotion-missing");
    prod.installer(args!["attestation", "add", word]).ok();
    prod.apply(&next).ok();
    let kept = prod.installer(args!["--output", "json", "attestation", "list"]);
    let kept = kept.ok().json();
    let digest = kept["attestations"][0]["digest"].as_str().unwrap();
    assert_eq!(kept["attestations"][0]["by"], "staging-1");
    prod.installer(args!["attestation", "remove", digest]).ok();
    prod.installer(args!["attestation", "remove", digest])
        .fails_with("not-found");
}

#[test]
fn what_fails_or_has_no_way_back_is_said_so() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let policy = "[deployment]\nenvironment = \"staging\"\n";
    let site = site(&sandbox, "staging", &vendor, policy);
    let healthy = sandbox.write("healthy", "");
    let script = format!("test -e {}", healthy.display());
    site.apply(&asked(&vendor, "1.0.0", 1, &script)).ok();
    site.apply(&asked(&vendor, "1.1.0", 2, &script)).ok();
    let attest = |name: &str, more: &[&str]| {
        let out = sandbox.join(name);
        let command = args!["--output", "json", "attest", "-o", out];
        site.command(command).args(more).run()
    };
    attest("twice", &["--check", "core/app: bin/ask=passed"]).fails_with("usage");
    let own = attest("own", &["--check", "load test=failed"]);
    assert_eq!(own.code(), Some(1), "{own}");
    own.fails_with("check-failed");
    std::fs::remove_file(&healthy).unwrap();
    let said = attest("ill", &[]).fails_with("check-failed").json();
    assert_eq!(said["statement"]["checks"][0]["passed"], false);
    assert_eq!(said["statement"]["rollback-ready"], true);
    assert!(
        sandbox.join("ill").exists(),
        "it is worth knowing elsewhere"
    );

    sandbox.write("healthy", "");
    let kept = site.state().join("generations/1/files/core/app/version");
    std::fs::remove_file(kept).unwrap();
    let said = attest("lost", &[]).ok().json();
    assert_eq!(said["statement"]["rollback-ready"], false);
}

/// A word of `staging-1` for a release, as good as it can be.
fn word(site: &str, release: Digest) -> Attestation {
    Attestation {
        format: FORMAT,
        site: site.into(),
        environment: Environment::Staging,
        product: "test".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        release,
        committed: time("2026-06-10T12:00:00Z"),
        issued: time("2026-06-14T12:00:00Z"),
        checks: vec![Check {
            name: "load test".into(),
            passed: true,
        }],
        rollback_ready: true,
        rollback_to: None,
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one case after the other")]
fn a_word_that_does_not_suffice_is_told_why() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let bundle = asked(&vendor, "1.0.0", 1, "exit 0");
    let key: FileSigner = SecretKey::generate().unwrap().into();
    let stranger: FileSigner = SecretKey::generate().unwrap().into();
    let more = "max-age = \"7d\"\nmin-duration = \"72h\"\nchecks = [\"load test\"]";
    let policy = wants("site-1", &hex(&key.public_key()), more);
    let prod = site(&sandbox, "prod", &vendor, &policy);
    let release = Decided::of(&prod, &bundle, &[], Some(NOW))
        .subject("1.0.0")
        .release;
    let good = word("site-1", release);

    // What is of no use here is not even taken.
    let mut edited = sign(&good, &[&key]);
    let at = edited.windows(9).position(|w| w == b"\"payload\"").unwrap();
    edited[at + 20] = if edited[at + 20] == b'A' { b'B' } else { b'A' };
    let elsewhere = Attestation {
        environment: Environment::Qa,
        ..good.clone()
    };
    for (name, bytes, why) in [
        ("unknown", sign(&good, &[&stranger]), "is signed by no site"),
        ("edited", edited, ""),
        ("environment", sign(&elsewhere, &[&key]), "is in qa"),
        (
            "another",
            sign(&word("site-2", release), &[&key]),
            "is about the site site-2",
        ),
        ("approval", b"{}".to_vec(), ""),
    ] {
        let outcome = give(&prod, &sandbox, "attestation", name, &bytes);
        assert_ne!(outcome.code(), Some(0), "{name}: {outcome}");
        let said = outcome.said().stderr;
        assert!(said.contains(why), "{name}: {said}");
    }

    // What does not suffice is taken, and does not suffice.
    let checks = |passed| {
        vec![Check {
            name: "load test".into(),
            passed,
        }]
    };
    let rows = [
        (
            "too old",
            Attestation {
                committed: time("2026-05-01T00:00:00Z"),
                issued: time("2026-06-01T00:00:00Z"),
                ..good.clone()
            },
            "longer ago than 7d",
        ),
        (
            "too short",
            Attestation {
                committed: time("2026-06-13T12:00:00Z"),
                ..good.clone()
            },
            "ran for less than 3d",
        ),
        (
            "failed",
            Attestation {
                checks: checks(false),
                ..good.clone()
            },
            "failed load test",
        ),
        (
            "not checked",
            Attestation {
                checks: Vec::new(),
                ..good.clone()
            },
            "did not check load test",
        ),
        (
            "no way back",
            Attestation {
                rollback_ready: false,
                ..good.clone()
            },
            "had no way back",
        ),
        (
            "another release",
            word("site-1", Digest::of(b"another")),
            "0 of 1 sites in staging",
        ),
    ];
    for (number, (name, said, why)) in rows.into_iter().enumerate() {
        let site = prod.copy(&format!("row-{number}"));
        give(
            &site,
            &sandbox,
            "attestation",
            &format!("row-{number}"),
            &sign(&said, &[&key]),
        )
        .ok();
        let decided = Decided::of(&site, &bundle, &[], Some(NOW));
        assert_eq!(decided.codes(), ["promotion-missing"], "{name}");
        let detail = decided.detail("promotion");
        assert!(detail.contains(why), "{name}: {detail}");
    }
    give(
        &prod,
        &sandbox,
        "attestation",
        "good",
        &sign(&good, &[&key]),
    )
    .ok();
    let decided = Decided::of(&prod, &bundle, &[], Some(NOW));
    assert_eq!(decided.codes(), [""; 0]);
    // The last word counts: what ran well does so no more. And nobody speaks from the future.
    let (worse, future) = (
        Attestation {
            issued: time("2026-06-14T18:00:00Z"),
            checks: checks(false),
            ..good.clone()
        },
        Attestation {
            issued: time("2046-01-01T00:00:00Z"),
            ..good
        },
    );
    let add = |name: &str, said: &Attestation| {
        give(&prod, &sandbox, "attestation", name, &sign(said, &[&key]))
    };
    add("worse", &worse).ok();
    add("future", &future).fails_with("attestation-unusable");
    let decided = Decided::of(&prod, &bundle, &[], Some(NOW));
    assert_eq!(decided.codes(), ["promotion-missing"]);
}
