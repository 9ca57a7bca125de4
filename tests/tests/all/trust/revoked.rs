//! Releases that were taken back.

use sealift_tests::{args, sandbox::Sandbox, site::Site, vendor::Vendor};

use super::{Keys, digest, release, update};

#[test]
fn a_revoked_release_is_flagged_refused_and_no_way_back() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let keys = Keys::of(&vendor);
    let bundles = [("1.0.0", 1), ("1.1.0", 2), ("1.2.0", 3)].map(|(v, n)| release(&vendor, v, n));
    let site = Site::new(&sandbox, &vendor.root());
    let digests = bundles.each_ref().map(|bundle| digest(&site, bundle));
    let fresh = site.copy("fresh");
    for bundle in &bundles {
        site.apply(bundle).ok();
    }
    keys.revoke(&digests[1]);
    let told = update(&site, &keys.roots()).ok();
    let flagged = "generation 2, 1.1.0: the vendor has revoked this release: it loses data";
    assert!(told.text().contains(flagged), "{}", told.text());
    let shown = args!["audit", "show", "--action", "trust-update"];
    let shown = site.installer(shown).ok();
    assert!(shown.text().contains("root 1 to 2"), "{}", shown.text());

    let status = site.status();
    assert_eq!(status["previous"], 1);
    assert_eq!(status["skipped"][0]["generation"], 2);
    assert_eq!(status["skipped"][0]["by"], "vendor");
    assert_eq!(status["skipped"][0]["reason"], "it loses data");
    assert_eq!(
        status["generations"][1]["revoked"][0]["reason"],
        "it loses data"
    );
    assert!(status["generations"][0].get("revoked").is_none());
    let text = site.installer(args!["status"]).ok();
    let text = text.text();
    for part in [
        "no rollback to",
        "generation 2: the vendor has revoked",
        ", revoked",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let history = site
        .installer(args!["history", "--output", "json"])
        .ok()
        .json();
    let flagged: Vec<_> = history["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["revoked"] == true)
        .collect();
    assert_eq!(flagged, [false, false, true, false, false]);
    let show = site.installer(args!["trust", "show"]).ok();
    assert!(show.text().contains(&digests[1]), "{}", show.text());

    // Nobody goes back to it, and nothing but it stands in the way.
    let said = site.installer(args!["rollback", "--to", "2"]);
    assert_eq!(said.code(), Some(4), "{said}");
    let _ = said.fails_with("release-revoked");
    let said = site.installer(args!["rollback"]).ok();
    assert!(
        said.stderr.contains("generation 2 is skipped"),
        "{}",
        said.stderr
    );
    assert_eq!(site.file("a/b/f"), b"1.0.0");
    site.is_sound();

    // A bundle of it is refused, even if its own roots do not know yet.
    update(&fresh, &keys.roots()).ok();
    let _ = fresh.apply(&bundles[1]).fails_with("release-revoked");
    fresh.apply(&bundles[2]).ok();
}

#[test]
fn with_everything_revoked_there_is_no_rollback_and_what_runs_goes_on() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let keys = Keys::of(&vendor);
    let bundles = [("1.0.0", 1), ("1.1.0", 2)].map(|(v, n)| release(&vendor, v, n));
    let site = Site::new(&sandbox, &vendor.root());
    for bundle in &bundles {
        let digest = digest(&site, bundle);
        site.apply(bundle).ok();
        keys.revoke(&digest);
    }
    update(&site, &keys.roots()).ok();
    let status = site.status();
    assert_eq!(status["current"]["version"], "1.1.0");
    assert_eq!(status["current"]["revoked"][0]["by"], "vendor");
    assert!(status["previous"].is_null());
    let _ = site
        .installer(args!["rollback"])
        .fails_with("nothing-to-go-back-to");
    assert_eq!(site.file("a/b/f"), b"1.1.0");
    site.is_sound();
    // Pruning keeps what would be the way back.
    site.installer(args!["prune", "--keep", "1"]).ok();
    assert_eq!(site.status()["generations"].as_array().unwrap().len(), 2);
}

#[test]
fn an_upgrade_that_fails_goes_back_even_to_a_revoked_release() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let keys = Keys::of(&vendor);
    let first = release(&vendor, "1.0.0", 1);
    let site = Site::new(&sandbox, &vendor.root());
    let revoked = digest(&site, &first);
    site.apply(&first).ok();
    keys.revoke(&revoked);
    // It brings the root that takes back what runs, and then is not healthy.
    let bad = vendor
        .release("1.1.0", 2)
        .capability("a/b", "service")
        .file("f", "1.1.0")
        .program("bin/check", "exit 1")
        .healthy_if("bin/check")
        .build();
    site.apply(&bad).exits(5);
    let status = site.status();
    assert_eq!(status["current"]["version"], "1.0.0");
    assert_eq!(status["current"]["revoked"][0]["by"], "vendor");
    assert_eq!(status["root"]["version"], 2, "what was learnt stays");
    assert_eq!(site.file("a/b/f"), b"1.0.0");
    site.is_sound();

    // A cut in the middle of the same goes back too.
    let command = args!["apply", bad, "--yes"];
    let calls = site
        .copy("counted")
        .command(&command)
        .env("SEALIFT_FAULT", "count")
        .run();
    let calls: u64 = calls
        .said()
        .stderr
        .lines()
        .find_map(|l| l.strip_prefix("mutating calls: ")?.parse().ok())
        .unwrap();
    for call in (1..=calls).step_by(7) {
        let name = format!("cut{call}");
        let site = site.copy(&name);
        site.killed_at(call, &command).killed();
        site.is_sound();
        assert_eq!(site.status()["current"]["version"], "1.0.0", "call {call}");
    }
}

#[test]
fn a_license_key_that_was_replaced_grants_nothing_any_more() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let keys = Keys::of(&vendor);
    let site = Site::new(&sandbox, &vendor.root());
    let issue = |id: &str, key: &str| {
        let out = sandbox.join(format!("{id}.json"));
        let key = keys.key(key);
        keys.run(args![
            "license",
            "issue",
            "--key",
            key,
            "--root",
            keys.roots(),
            "--id",
            id,
            "--customer",
            "Harbour Hospital",
            "--product",
            "test",
            "--all",
            "--feature",
            "ward=true",
            "--valid-from",
            "2020-01-01T00:00:00Z",
            "--valid-until",
            "2099-01-01T00:00:00Z",
            "--out",
            out
        ])
        .ok();
        out
    };
    let old = issue("L-1", "license");
    site.installer(args!["license", "add", old]).ok();
    let licensed = |version: &str, counter| {
        let draft = vendor.release(version, counter);
        let draft = draft.capability("a/b", "config");
        let draft = draft.lines("entitlements = [\"ward\"]\n");
        draft.file("f", version).build()
    };
    let first = licensed("1.0.0", 1);
    site.apply(&first).ok();
    keys.replace("license", "license", "license-2");
    update(&site, &keys.roots()).ok();
    let second = licensed("1.1.0", 2);
    let _ = site.apply(&second).fails_with("license-missing");
    let show = site.installer(args!["license", "show"]).ok();
    assert!(show.text().contains("counts nothing"), "{}", show.text());
    let _ = site
        .installer(args!["license", "add", old])
        .fails_with("threshold-not-met");
    assert_eq!(site.file("a/b/f"), b"1.0.0", "what runs goes on");
    site.installer(args!["license", "add", issue("L-2", "license-2")])
        .ok();
    site.apply(&second).ok();
}
