//! Media without a payload, and what they change.

use std::fs;

use sealift_tests::{args, sandbox, sandbox::Sandbox, site::Site, vendor::Vendor};

use super::{Keys, digest, listing, release, release_by, stick, update};

#[test]
fn a_root_comes_by_a_bundle_and_by_every_kind_of_stick() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let keys = Keys::of(&vendor);
    let site = Site::new(&sandbox, &vendor.root());
    site.apply(&release(&vendor, "1.0.0", 1)).ok();
    keys.rotate(&[&["renew", "--expires", "2032-01-01T00:00:00Z"]]);
    let bundle = release(&vendor, "1.1.0", 2);
    let folder = stick(&vendor, &bundle, "stick");
    let tar = |name: &str, inside: &std::path::Path, what: &[&str]| {
        let path = sandbox.join(name);
        let tool = sandbox.tool("tar").args(args!["-cf", path, "-C", inside]);
        tool.args(what).run().ok();
        path
    };
    let whole = tar("stick.tar", &folder, &["metadata"]);
    let dotted = tar("dotted.tar", &folder, &["."]);
    let roots = tar("roots.tar", &keys.roots(), &["1.root.json", "2.root.json"]);
    let media = [
        (folder.clone(), 2),
        (folder.join("metadata"), 2),
        (whole, 2),
        (dotted, 2),
        (bundle.clone(), 2),
        (keys.roots(), 1),
        (roots, 1),
    ];
    for (number, (medium, counter)) in media.iter().enumerate() {
        let site = site.copy(&format!("site{number}"));
        let said = update(&site, medium).ok().json();
        assert_eq!(said["changed"], true, "{}", medium.display());
        assert_eq!(said["root"]["to"], 2, "{}", medium.display());
        assert_eq!(said["counter"]["to"], *counter, "{}", medium.display());
        let status = site.status();
        assert_eq!(status["root"]["version"], 2);
        assert_eq!(status["root"]["fingerprint"], keys.fingerprint(2).as_str());
        assert_eq!(
            status["current"]["version"], "1.0.0",
            "nothing is installed"
        );
        site.is_sound();
        // Once more, and in whatever form, it changes nothing.
        let before = listing(&site);
        for (medium, _) in media.iter().filter(|(_, of)| of <= counter) {
            assert_eq!(update(&site, medium).ok().json()["changed"], false);
        }
        assert_eq!(before.differences(&listing(&site)), [""; 0]);
        site.apply(&bundle).ok();
        site.is_sound();
    }
    let by_bundle = site.copy("by-bundle");
    by_bundle.apply(&bundle).ok();
    assert_eq!(by_bundle.status()["root"]["version"], 2);
    let show = by_bundle.installer(args!["trust", "show"]).ok();
    let text = show.text();
    assert!(
        text.contains("version 2") && text.contains("1 of 1 keys"),
        "{text}"
    );
    let history = by_bundle.installer(args!["history"]).ok();
    assert!(!history.text().contains("trust"), "{}", history.text());
}

#[test]
fn a_stick_moves_the_counter_that_bundles_may_not_fall_behind() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let [first, second, third] =
        [("1.0.0", 1), ("1.1.0", 2), ("1.2.0", 3)].map(|(v, n)| release(&vendor, v, n));
    let site = Site::new(&sandbox, &vendor.root());
    site.apply(&first).ok();
    let newest = stick(&vendor, &third, "newest");
    update(&site, &newest).ok();
    assert_eq!(site.status()["counter"], 3);
    let said = site.apply(&second);
    assert_eq!(said.code(), Some(4), "{said}");
    let _ = said.fails_with("counter-too-low");
    // An older stick neither helps it nor hurts.
    let before = listing(&site);
    let said = update(&site, &stick(&vendor, &second, "older")).ok().json();
    assert_eq!(said["changed"], false);
    assert!(
        said["warnings"][0].as_str().unwrap().contains("older"),
        "{said}"
    );
    assert_eq!(before.differences(&listing(&site)), [""; 0]);
    let _ = site.apply(&second).fails_with("counter-too-low");
    // The release itself that it told of comes in.
    site.apply(&third).ok();
    site.is_sound();
    let history = site.installer(args!["history"]).ok();
    assert!(
        history.text().contains("release counter 1 to 3"),
        "{}",
        history.text()
    );

    // It also holds at a site that never had anything.
    let empty = Site::with(&sandbox, "empty", &vendor.root(), &[]);
    update(&empty, &newest).ok();
    let _ = empty.apply(&first).fails_with("counter-too-low");
    empty.apply(&third).ok();
    empty.is_sound();
}

#[test]
fn two_releases_under_one_counter_are_told_apart() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let site = Site::new(&sandbox, &vendor.root());
    site.apply(&release(&vendor, "1.0.0", 1)).ok();
    let other = stick(&vendor, &release(&vendor, "1.0.1", 1), "other");
    let before = listing(&site);
    let _ = update(&site, &other).fails_with("counter-reused");
    assert_eq!(before.differences(&listing(&site)), [""; 0]);
}

#[test]
fn a_stick_that_does_not_follow_is_refused_and_nothing_of_it_is_taken() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let keys = Keys::of(&vendor);
    let site = Site::new(&sandbox, &vendor.root());
    let first = release(&vendor, "1.0.0", 1);
    site.apply(&first).ok();
    for _ in 0..2 {
        keys.rotate(&[&["renew", "--expires", "2032-01-01T00:00:00Z"]]);
    }
    let bundle = release(&vendor, "1.1.0", 2);
    let good = stick(&vendor, &bundle, "good");
    let stranger = Sandbox::new();
    let other = Vendor::new(&stranger);
    let strangers = stick(&other, &release(&other, "9.0.0", 9), "stick");
    let change = |name: &str, change: &dyn Fn(&std::path::Path)| {
        let folder = sandbox.join(name);
        sandbox
            .tool("cp")
            .args(args!["-a", good, folder])
            .run()
            .ok();
        change(&folder.join("metadata"));
        folder
    };
    let remove = |name: &'static str| {
        change(name, &move |folder| {
            fs::remove_file(folder.join(name)).unwrap();
        })
    };
    let replace = |name: &str, to: &str, by: std::path::PathBuf| {
        let to = to.to_owned();
        change(name, &move |folder| {
            fs::write(folder.join(&to), sandbox::read(&by)).unwrap();
        })
    };
    let theirs = strangers.join("metadata");
    let refused = [
        (remove("2.root.json"), "root-version"),
        (remove("snapshot.json"), "no-metadata"),
        (strangers.clone(), "root-mismatch"),
        (other.roots(), "root-mismatch"),
        (
            replace("forged", "3.root.json", theirs.join("1.root.json")),
            "threshold-not-met",
        ),
        (
            replace("again", "3.root.json", keys.root(2)),
            "root-version",
        ),
        (
            replace("mixed", "targets.json", theirs.join("targets.json")),
            "threshold-not-met",
        ),
        (
            replace(
                "behind",
                "targets.json",
                stick(&vendor, &first, "old").join("metadata/targets.json"),
            ),
            "version-mismatch",
        ),
        (
            replace(
                "cut",
                "timestamp.json",
                sandbox.write("cut.json", "{\"signed\":"),
            ),
            "bad-json",
        ),
        (
            sandbox.write("no.tar", "nothing of that kind"),
            "no-metadata",
        ),
        (sandbox.write("zeros.tar", [0; 10240]), "no-metadata"),
        (sandbox.join("vendor"), "no-metadata"),
        (sandbox.join("absent"), "io"),
    ];
    let before = listing(&site);
    for (medium, code) in &refused {
        let what = medium.display();
        let said = update(&site, medium);
        assert_eq!(said.error(), Some(*code), "{what}: {said}");
        assert_eq!(before.differences(&listing(&site)), [""; 0], "{what}");
    }
    // What leads out of the folder is not followed.
    let linked = change("linked", &|folder| {
        fs::remove_file(folder.join("1.root.json")).unwrap();
        std::os::unix::fs::symlink(other.root(), folder.join("1.root.json")).unwrap();
    });
    update(&site, &linked).ok();
    update(&site.copy("good-site"), &good).ok();
}

#[test]
fn a_release_key_that_was_replaced_signs_nothing_any_more() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let keys = Keys::of(&vendor);
    let site = Site::new(&sandbox, &vendor.root());
    let kept = release(&vendor, "1.0.0", 1);
    site.apply(&kept).ok();
    // What a thief signs while the key still counts.
    let theft = release(&vendor, "1.1.0", 900);
    let far = stick(&vendor, &theft, "far");
    keys.replace("release", "release", "release-2");
    update(&site, &keys.roots()).ok();
    let _ = site.apply(&theft).fails_with("key-unknown");
    let _ = update(&site, &far).fails_with("threshold-not-met");
    assert_eq!(site.status()["counter"], 1);
    // And with the new roots in front of it, by the old key.
    let stolen = sandbox.join("stolen");
    sandbox.tool("cp").args(args!["-a", far, stolen]).run().ok();
    let second = stolen.join("metadata/2.root.json");
    fs::write(second, sandbox::read(&keys.root(2))).unwrap();
    let _ = update(&site, &stolen).fails_with("threshold-not-met");
    let honest = release_by(&vendor, "release-2", "1.2.0", 2);
    site.apply(&honest).ok();
    site.is_sound();
    // The bundle from before still serves to repair what it brought.
    site.installer(args!["fsck", "--from", kept]).ok();
}

#[test]
fn a_new_release_key_forgets_how_far_a_thief_counted() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let keys = Keys::of(&vendor);
    let site = Site::new(&sandbox, &vendor.root());
    site.apply(&release(&vendor, "1.0.0", 1)).ok();
    update(
        &site,
        &stick(&vendor, &release(&vendor, "1.1.0", 900), "far"),
    )
    .ok();
    assert_eq!(site.status()["counter"], 900);
    keys.replace("release", "release", "release-2");
    let honest = release_by(&vendor, "release-2", "1.2.0", 2);
    let said = update(&site, &stick(&vendor, &honest, "rescue"))
        .ok()
        .json();
    assert_eq!(said["counter"]["to"], 2, "{said}");
    site.apply(&honest).ok();
    site.is_sound();
}

#[test]
fn a_root_with_one_more_signature_is_still_the_trusted_one() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let keys = Keys::of(&vendor);
    // The site is made with what two of three have signed; then the third signs too.
    let draft = |value: &mut serde_json::Value| {
        value["signatures"].as_array_mut().unwrap().pop();
    };
    let mut root: serde_json::Value =
        serde_json::from_slice(&sandbox::read(&keys.root(1))).unwrap();
    draft(&mut root);
    let early = sandbox.write("early.json", root.to_string());
    let site = Site::new(&sandbox, &early);
    site.apply(&release(&vendor, "1.0.0", 1)).ok();
    site.apply(&release(&vendor, "1.1.0", 2)).ok();
    site.is_sound();
    assert_eq!(digest(&site, &release(&vendor, "1.2.0", 3)).len(), 64);
}

#[test]
fn a_stick_that_is_cut_is_taken_or_not() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let keys = Keys::of(&vendor);
    let site = Site::new(&sandbox, &vendor.root());
    site.apply(&release(&vendor, "1.0.0", 1)).ok();
    keys.rotate(&[&["renew", "--expires", "2032-01-01T00:00:00Z"]]);
    keys.rotate(&[&["renew", "--expires", "2033-01-01T00:00:00Z"]]);
    let bundle = release(&vendor, "1.1.0", 2);
    let medium = stick(&vendor, &bundle, "stick");
    let command = args!["trust", "update", medium];
    let calls = site.copy("counted").mutating_calls(&command);
    assert!(calls > 20, "only {calls} calls");
    for call in 1..=calls {
        let name = format!("cut{call}");
        let site = site.copy(&name);
        site.killed_at(call, &command).killed();
        // Root and counter belong together.
        let status = site.status();
        let (root, counter) = (&status["root"]["version"], &status["counter"]);
        let old = *root == 1 && *counter == 1;
        assert!(
            old || *root == 3 && *counter == 2,
            "call {call}: {root} {counter}"
        );
        site.is_sound();
        update(&site, &medium).ok();
        assert_eq!(site.status()["root"]["version"], 3, "call {call}");
        site.is_sound();
        fs::remove_dir_all(sandbox.join(name)).unwrap();
    }
    site.apply(&bundle).ok();
}
