//! A program that is killed or fails anywhere: the chain holds, and nothing was done that no intent was written for.

use std::{ffi::OsString, fs, path::Path};

use sealift_tests::{args, site::Site, vendor::Vendor};
use serde_json::Value;

use super::{Scene, lines, log, pin, shown, sound};

/// Kills a command at each of its calls. What has changed has its intent in the log, whatever became of it, and the
/// next command says how it ended.
fn cut(scene: &Scene, command: &[OsString], action: &str) {
    let site = &scene.site;
    let entries = lines(site).len();
    let calls = site.copy("counted").mutating_calls(command);
    assert!(calls > 9, "only {calls} calls");
    let (mut interrupted, mut done, mut torn) = (0, 0, 0);
    for call in 1..=calls {
        let name = format!("cut{call}");
        let copy = site.copy(&name);
        let outside = |site: &Site| site.listing().without("lock").without("audit");
        let before = outside(&copy);
        copy.killed_at(call, command).killed();
        let changed = before.differences(&outside(&copy));
        let said = sound(&copy);
        torn += usize::from(said["torn"] != 0);
        let written = shown(&copy, &["--action", action]);
        let intended = written.iter().any(|entry| {
            entry["phase"] == "intent" && entry["sequence"].as_u64() > Some(entries as u64)
        });
        assert!(intended || changed.is_empty(), "call {call}: {changed:?}");

        copy.installer(args!["recover"]).ok();
        let said = sound(&copy);
        assert_eq!(
            (&said["torn"], &said["open"], &said["uncovered"]),
            (&0.into(), &Value::Array(vec![]), &0.into()),
            "call {call}"
        );
        if intended {
            let entry = shown(&copy, &["--action", action]).pop().unwrap();
            assert_eq!(entry["phase"], "outcome", "call {call}: {entry}");
            match entry["outcome"].as_str().unwrap() {
                "interrupted" => interrupted += 1,
                "done" => done += 1,
                other => panic!("call {call}: {other}"),
            }
        }
        copy.is_sound();
        fs::remove_dir_all(scene.sandbox.join(name)).unwrap();
    }
    assert!(
        interrupted > 0 && done > 0 && torn > 0,
        "{interrupted} {done} {torn}"
    );
}

/// A site with this many releases, and the bundle of the next one.
fn with_releases(number: u64) -> (Scene, std::path::PathBuf) {
    let scene = Scene::new(0);
    let sandbox = scene.sandbox.clone();
    let vendor = Vendor { sandbox };
    let bundle = |number: u64| {
        vendor
            .release(&format!("{number}.0.0"), number)
            .capability("a/b", "config")
            .file("f", number.to_string())
            .build()
    };
    for number in 1..=number {
        scene.site.apply(&bundle(number)).ok();
    }
    let next = bundle(number + 1);
    (scene, next)
}

#[test]
fn an_apply_has_its_intent_before_it() {
    let (scene, next) = with_releases(1);
    cut(&scene, &args!["apply", next, "--yes"], "apply");
}

#[test]
fn a_rollback_has_its_intent_before_it() {
    let (scene, _) = with_releases(2);
    cut(&scene, &args!["rollback"], "rollback");
}

#[test]
fn a_prune_has_its_intent_before_it() {
    let (scene, _) = with_releases(3);
    cut(&scene, &args!["prune", "--keep", "2"], "prune");
}

#[test]
fn a_pin_has_its_intent_before_it() {
    cut(
        &Scene::new(1),
        &args!["pin", "add", "suite", "x", "1.0.0"],
        "pin",
    );
}

#[test]
fn a_cut_of_the_log_is_done_or_not_and_leaves_a_whole_chain() {
    let scene = Scene::new(3);
    let command = args!["audit", "cut", "--before", "2090-01-01"];
    let calls = scene.site.copy("counted").mutating_calls(&command);
    let mut cut = 0;
    for call in 1..=calls {
        let copy = scene.site.copy(&format!("cut{call}"));
        copy.killed_at(call, &command).killed();
        sound(&copy);
        copy.installer(args!["recover"]).ok();
        let said = sound(&copy);
        let entry = shown(&copy, &["--action", "retention-cut"]).pop();
        let outcome = entry.map(|e| e["outcome"].as_str().unwrap().to_owned());
        let expected = if said["cut"].is_null() {
            "interrupted"
        } else {
            "done"
        };
        cut += usize::from(expected == "done");
        assert!(
            outcome.is_none_or(|outcome| outcome == expected),
            "call {call}"
        );
        copy.is_sound();
        pin(&copy, 9).ok();
        sound(&copy);
    }
    assert!(cut > 0 && (cut as u64) < calls, "{cut} of {calls}");
}

#[test]
fn a_damaged_log_that_is_put_away_is_never_lost() {
    let scene = Scene::new(3);
    let damaged = fs::read_to_string(log(&scene.site)).unwrap();
    let damaged = damaged.replace("pin", "win");
    fs::write(log(&scene.site), &damaged).unwrap();
    let (there, again) = (scene.sandbox.join("there"), scene.sandbox.join("again"));
    let command = args!["audit", "cut", "--damaged", "-o", there];
    let calls = scene.site.copy("counted").mutating_calls(&command);
    let mut done = 0;
    for call in 1..=calls {
        let _ = fs::remove_file(&there);
        let _ = fs::remove_file(&again);
        let copy = scene.site.copy(&format!("cut{call}"));
        copy.killed_at(call, &command).killed();
        let holds = |path: &Path| fs::read(path).is_ok_and(|bytes| bytes == damaged.as_bytes());
        assert!(holds(&there) || holds(&log(&copy)), "call {call}");
        if copy.installer(args!["audit", "verify"]).code() == Some(0) {
            done += 1;
        } else {
            copy.installer(args!["audit", "cut", "--damaged", "-o", again])
                .ok();
        }
        let said = sound(&copy);
        assert!(!said["cut"]["damaged"].is_null(), "call {call}: {said}");
        pin(&copy, 9).ok();
        sound(&copy);
        copy.is_sound();
    }
    assert!(done > 0 && done < calls, "{done} of {calls}");
}

#[test]
fn an_init_that_was_cut_leaves_no_site_or_one_with_its_log() {
    let scene = Scene::new(0);
    let root = Vendor {
        sandbox: scene.sandbox.clone(),
    }
    .root();
    let command = |name: &str| {
        let program = scene.sandbox.program("sealift-installer");
        program.args(args![
            "--state",
            scene.sandbox.join(name),
            "init",
            "--root-file",
            root
        ])
    };
    let counted = command("counted").env("SEALIFT_FAULT", "count").run().ok();
    let calls = counted.stderr.trim().rsplit(' ').next().unwrap();
    let calls: u64 = calls.parse().unwrap();
    // The folders of the store come before; the key and the log are in the last ones.
    for call in calls - 45..=calls {
        let name = format!("new{call}");
        command(&name)
            .env("SEALIFT_FAULT", format!("kill:{call}"))
            .run()
            .killed();
        if !scene.sandbox.join(&name).join("state.json").exists() {
            command(&name).run().ok();
        }
        let installer = |args: &[&str]| {
            let program = scene.sandbox.program("sealift-installer");
            program
                .args(args!["--state", scene.sandbox.join(&name)])
                .args(args)
                .run()
                .ok()
        };
        installer(&["recover"]);
        installer(&["fsck"]);
        let report = installer(&["audit", "verify", "--output", "json"]).json();
        assert_eq!(report["open"], Value::Array(vec![]), "call {call}");
        // The third says that one was torn.
        let entries = report["entries"].as_u64();
        assert!(matches!(entries, Some(2 | 3)), "call {call}: {report}");
    }
}

/// No space left on device.
const ENOSPC: i32 = 28;

#[test]
fn without_room_for_the_log_nothing_is_done_but_going_back() {
    let (scene, next) = with_releases(2);
    let apply = args!["apply", next, "--yes"];
    for call in 1..=3 {
        let copy = scene.site.copy(&format!("full{call}"));
        let before = copy.listing().without("lock").without("audit");
        let said = copy
            .failing_at(call, ENOSPC, &apply)
            .fails_with("audit-unwritable");
        assert!(said.stderr.contains("No space left"), "{}", said.stderr);
        assert_eq!(
            before.differences(&copy.listing().without("lock").without("audit")),
            [""; 0]
        );
        sound(&copy);
        copy.apply(&next).ok();
        sound(&copy);
        copy.is_sound();

        let copy = scene.site.copy(&format!("back{call}"));
        let said = copy.failing_at(call, ENOSPC, args!["rollback"]).ok();
        assert!(
            said.stderr.contains("not in the audit log"),
            "{}",
            said.stderr
        );
        assert_eq!(copy.current(), Some(1));
        let entry = shown(&copy, &["--action", "rollback"]).pop().unwrap();
        assert_eq!(
            (&entry["phase"], &entry["outcome"]),
            (&"late".into(), &"done".into())
        );
        copy.installer(args!["recover"]).ok();
        sound(&copy);
        copy.is_sound();
    }
    // A log that is damaged closes no way back either.
    let good = lines(&scene.site);
    fs::write(log(&scene.site), good[..2].concat()).unwrap();
    scene.site.apply(&next).fails_with("audit-damaged");
    let said = scene.site.installer(args!["rollback"]).ok();
    assert!(
        said.stderr.contains("not in the audit log"),
        "{}",
        said.stderr
    );
    assert_eq!(scene.site.current(), Some(1));
}
