//! The installer is killed right before each of its calls that change the file system, one after the
//! other. Afterwards the site is exactly what it was or what it was to become, and goes on.

use std::{ffi::OsString, path::PathBuf};

use sealift_tests::{args, sandbox::Sandbox, site::Site, vendor::Vendor};

/// Three releases that share content, and a site of them.
struct Scene {
    sandbox: Sandbox,
    bundles: [PathBuf; 3],
    site: Site,
}

impl Scene {
    /// With the first `applied` releases installed.
    fn new(applied: usize) -> Self {
        let sandbox = Sandbox::new();
        let vendor = Vendor::new(&sandbox);
        let bundles = [1, 2, 3].map(|number| {
            let version = format!("{number}.0.0");
            vendor
                .release(&version, number)
                .capability("core/app", "service")
                .file("version", &version)
                .file("shared", "the same in all releases")
                .program("bin/check", "exit 0")
                .tree(
                    "site",
                    &[("index.html", version.as_bytes()), ("a/b", b"deep")],
                )
                .healthy_if("bin/check")
                .build()
        });
        let site = Site::new(&sandbox, &vendor.root());
        for bundle in &bundles[..applied] {
            site.apply(bundle).ok();
        }
        Self {
            sandbox,
            bundles,
            site,
        }
    }

    /// Kills `command` at each of its calls, every time on a fresh copy of the site. Afterwards the site
    /// runs one of `allowed`, and holds together.
    fn cut(&self, command: &[OsString], allowed: [&str; 2]) {
        let calls = self.site.copy("counted").mutating_calls(command);
        assert!(calls > 3, "only {calls} calls");
        for call in 1..=calls {
            let name = format!("cut{call}");
            let site = self.site.copy(&name);
            site.killed_at(call, command).killed();
            let what = format!("killed at call {call} of {calls}");

            // Whoever only looks, or uses the files, sees one of the two releases as a whole.
            let running = site.file("core/app/version");
            let running = String::from_utf8(running).unwrap();
            assert!(allowed.contains(&running.as_str()), "{what}: {running}");
            assert_eq!(
                site.file("core/app/site/index.html"),
                running.as_bytes(),
                "{what}"
            );

            // What a command makes of it: recovered, sound, and the same release in state and files.
            site.is_sound();
            let said = site.status()["current"]["version"].clone();
            assert!(
                allowed.iter().any(|version| said == *version),
                "{what}: {said}"
            );
            assert_eq!(
                site.file("core/app/version"),
                said.as_str().unwrap().as_bytes(),
                "{what}"
            );

            // And it goes on: the same command, where it makes sense, then the next release.
            let again = site.installer(command);
            assert!(matches!(again.code(), Some(0 | 1)), "{what}: {again}");
            site.apply(&self.bundles[2]).ok();
            assert_eq!(site.file("core/app/version"), b"3.0.0", "{what}");
            site.is_sound();
            assert_eq!(
                site.status()["interrupted"],
                serde_json::Value::Null,
                "{what}"
            );
            assert!(!site.state().join("journal.json").exists(), "{what}");
            std::fs::remove_dir_all(self.sandbox.join(name)).unwrap();
        }
    }
}

#[test]
fn a_first_apply_that_is_cut_leaves_nothing_or_all() {
    let scene = Scene::new(0);
    let command = args!["apply", scene.bundles[0], "--yes"];
    let calls = scene.site.copy("counted").mutating_calls(&command);
    for call in 1..=calls {
        let name = format!("cut{call}");
        let site = scene.site.copy(&name);
        site.killed_at(call, &command).killed();
        site.is_sound();
        let running = site.status()["current"]["version"].clone();
        assert!(
            running.is_null() || running == "1.0.0",
            "call {call}: {running}"
        );
        assert_eq!(site.current().is_some(), running == "1.0.0", "call {call}");
        site.apply(&scene.bundles[0]).ok();
        assert_eq!(site.file("core/app/version"), b"1.0.0", "call {call}");
        site.is_sound();
        std::fs::remove_dir_all(scene.sandbox.join(name)).unwrap();
    }
}

#[test]
fn an_upgrade_that_is_cut_leaves_the_old_release_or_the_new_one() {
    let scene = Scene::new(1);
    let command = args!["apply", scene.bundles[1], "--yes"];
    scene.cut(&command, ["1.0.0", "2.0.0"]);
}

#[test]
fn a_rollback_that_is_cut_leaves_one_of_the_two_releases() {
    let scene = Scene::new(2);
    scene.cut(&args!["rollback"], ["2.0.0", "1.0.0"]);
}

#[test]
fn a_prune_that_is_cut_removes_all_of_a_generation_or_none_of_it() {
    let scene = Scene::new(3);
    let command = args!["prune", "--keep", "2"];
    let calls = scene.site.copy("counted").mutating_calls(&command);
    assert!(calls > 3, "only {calls} calls");
    for call in 1..=calls {
        let name = format!("cut{call}");
        let site = scene.site.copy(&name);
        site.killed_at(call, &command).killed();
        assert_eq!(site.file("core/app/version"), b"3.0.0", "call {call}");
        site.is_sound();
        site.installer(&command).ok();
        site.is_sound();
        // The one before is still whole.
        site.installer(args!["rollback"]).ok();
        assert_eq!(site.file("core/app/version"), b"2.0.0", "call {call}");
        site.apply(&scene.bundles[2]).ok();
        std::fs::remove_dir_all(scene.sandbox.join(name)).unwrap();
    }
}
