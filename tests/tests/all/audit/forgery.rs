//! Whatever is done to a log that was written: it is found, and the line is named.

use std::fs;

use sealift_installer::audit::Line;
use sealift_tests::{args, site::Site};
use sealift_verifier::digest::Digest;

use super::{Scene, checkpoints, found, lines, log, make_old, pin, place, sound};

const LOG: &str = "audit/log.jsonl";
const CHECKPOINTS: &str = "audit/checkpoints.jsonl";

/// The site with other lines in its log: what is found, then all is as it was.
#[track_caller]
fn with(site: &Site, changed: &[String]) -> (String, u64, String) {
    let before = fs::read(log(site)).unwrap();
    fs::write(log(site), changed.concat()).unwrap();
    let found = found(site);
    // The check of the whole site says so too, and nothing is done on such a log.
    site.installer(args!["fsck"]).exits(1);
    fs::write(log(site), before).unwrap();
    found
}

fn is(found: &(String, u64, String), file: &str, line: usize, kind: &str) {
    assert_eq!(*found, (file.to_owned(), line as u64, kind.to_owned()));
}

#[test]
fn any_one_line_changed_is_named() {
    let scene = Scene::new(3);
    let good = lines(&scene.site);
    assert_eq!(good.len(), 8);
    for at in 0..good.len() {
        for (from, to) in [
            ("\"uid\":", "\"uid\":1"),
            ("\"time\":\"20", "\"time\":\"19"),
            ("{", " {"),
            ("\"format\":1", "\"format\":2"),
            ("\n", "\r\n"),
            ("\"sequence\":", "\"sequence\":1"),
        ] {
            let mut changed = good.clone();
            changed[at] = changed[at].replacen(from, to, 1);
            is(&with(&scene.site, &changed), LOG, at + 1, "changed");
        }
        let mut changed = good.clone();
        changed[at] = changed[at].replacen("\"site\":\"", "\"site\":\"f", 1);
        is(&with(&scene.site, &changed), LOG, at + 1, "other-site");
        changed[at] = "\n".into();
        is(&with(&scene.site, &changed), LOG, at + 1, "changed");
        changed[at] = format!("{}\n", "x".repeat(300 << 10));
        is(&with(&scene.site, &changed), LOG, at + 1, "changed");
    }
    sound(&scene.site);
}

#[test]
fn any_one_line_removed_added_or_moved_is_named() {
    let scene = Scene::new(3);
    let good = lines(&scene.site);
    let last = good.len() - 1;
    for at in 0..good.len() {
        let mut removed = good.clone();
        removed.remove(at);
        let (line, kind) = if at == last {
            (at, "truncated")
        } else {
            (at + 1, "removed")
        };
        is(&with(&scene.site, &removed), LOG, line, kind);

        for copy in 0..good.len() {
            let mut added = good.clone();
            added.insert(at, good[copy].clone());
            let (_, line, kind) = with(&scene.site, &added);
            // Of two equal lines that follow each other, the second is one too many.
            let line = usize::try_from(line).unwrap() - 1;
            assert_eq!(kind, "added", "{copy} at {at}");
            assert!(
                line == at || copy == at && line == at + 1,
                "{copy} at {at}: {line}"
            );
        }
        for to in (0..good.len()).filter(|to| *to != at) {
            let mut moved = good.clone();
            let line = moved.remove(at);
            moved.insert(to, line);
            is(&with(&scene.site, &moved), LOG, at.min(to) + 1, "moved");
        }
    }
    // Several at once.
    let gap: Vec<_> = [&good[..2], &good[5..]].concat();
    is(&with(&scene.site, &gap), LOG, 3, "removed");
    for length in 0..last {
        is(
            &with(&scene.site, &good[..length]),
            LOG,
            length,
            "truncated",
        );
    }
    sound(&scene.site);
}

#[test]
fn a_chain_that_was_made_anew_is_found_by_what_was_signed() {
    let scene = Scene::new(3);
    let good = lines(&scene.site);
    for at in 0..good.len() {
        let mut forged = good.clone();
        for index in at..good.len() {
            let mut line = Line::parse(good[index].as_bytes()).unwrap();
            if index == at {
                line.who.user = "somebody else".into();
            } else {
                line.previous = Some(Digest::of(forged[index - 1].as_bytes()));
            }
            forged[index] = String::from_utf8(line.to_bytes().unwrap()).unwrap();
        }
        // A checkpoint is for every second line, the outcome, and the state names the last intent.
        let line = if at == 6 { 7 } else { at / 2 * 2 + 2 };
        is(&with(&scene.site, &forged), LOG, line, "changed");
    }
}

#[test]
fn a_last_line_that_was_cut_short_is_found_and_one_that_was_never_completed_is_told() {
    let scene = Scene::new(2);
    let site = &scene.site;
    let good = lines(site);
    let whole = good.concat();
    let last = good.last().unwrap();
    for missing in [1, 2, last.len() / 2, last.len() - 1] {
        let mut changed = good.clone();
        let keep = last.len() - missing;
        changed.last_mut().unwrap().truncate(keep);
        is(&with(site, &changed), LOG, good.len() - 1, "truncated");
    }
    // Bytes after the last line were never acknowledged: nothing is lost, and it is said.
    fs::write(log(site), format!("{whole}{}", &last[..40])).unwrap();
    assert_eq!(sound(site)["torn"], 40);
    pin(site, 9).ok();
    let said = sound(site);
    assert_eq!((&said["torn"], &said["entries"]), (&0.into(), &9.into()));
    let entries = super::shown(site, &["--action", "torn-entry"]);
    let aside = entries[0]["subject"].as_str().unwrap();
    assert_eq!(
        fs::read(site.state().join(aside)).unwrap(),
        &last.as_bytes()[..40]
    );
    site.is_sound();
}

#[test]
fn checkpoints_that_were_changed_or_taken_away_are_found() {
    let scene = Scene::new(3);
    let site = &scene.site;
    let good = fs::read_to_string(checkpoints(site)).unwrap();
    let lines: Vec<_> = good.split_inclusive('\n').map(str::to_owned).collect();
    assert_eq!(lines.len(), 4);
    let with = |changed: &[String]| {
        fs::write(checkpoints(site), changed.concat()).unwrap();
        let found = found(site);
        fs::write(checkpoints(site), &good).unwrap();
        found
    };
    for at in 0..lines.len() {
        let mut changed = lines.clone();
        let payload = changed[at].find("\"payload\":\"").unwrap() + 30;
        let other = if &changed[at][payload..=payload] == "A" {
            "B"
        } else {
            "A"
        };
        changed[at].replace_range(payload..=payload, other);
        is(&with(&changed), CHECKPOINTS, at + 1, "checkpoint-signature");
        changed[at] = "{}\n".into();
        is(&with(&changed), CHECKPOINTS, at + 1, "checkpoint-signature");
        if at < lines.len() - 1 {
            let mut removed = lines.clone();
            removed.remove(at);
            assert_eq!(with(&removed).2, "checkpoint-missing");
            let mut swapped = lines.clone();
            swapped.swap(at, at + 1);
            assert_ne!(with(&swapped).2, "", "{at}");
        }
    }
    for length in 0..lines.len() - 1 {
        assert_eq!(with(&lines[..length]).2, "checkpoint-missing");
    }
    // Without the newest one nothing is lost as long as its entry is there; it is told, and signed again.
    fs::write(checkpoints(site), lines[..3].concat()).unwrap();
    assert_eq!(sound(site)["uncovered"], 2);
    site.installer(args!["recover"]).ok();
    assert_eq!(sound(site)["uncovered"], 0);
}

#[test]
fn the_files_of_another_site_and_another_key_are_found() {
    let scene = Scene::new(1);
    let other = Scene::new(1);
    let copy = |name: &str| {
        let from = other.site.state().join(name);
        fs::copy(from, scene.site.state().join(name)).unwrap();
    };
    let good = fs::read(log(&scene.site)).unwrap();
    copy("audit/log.jsonl");
    is(&found(&scene.site), LOG, 1, "other-site");
    fs::write(log(&scene.site), good).unwrap();
    let good = fs::read(checkpoints(&scene.site)).unwrap();
    copy("audit/checkpoints.jsonl");
    is(&found(&scene.site), CHECKPOINTS, 1, "checkpoint-signature");
    fs::write(checkpoints(&scene.site), good).unwrap();
    sound(&scene.site);
    copy("site.pub");
    is(&found(&scene.site), "site.pub", 0, "key");
    copy("site.key");
    pin(&scene.site, 5).fails_with("audit-unwritable");
    scene.site.installer(args!["fsck"]).exits(1);
}

#[test]
fn a_log_that_root_made_anew_is_found_by_a_checkpoint_kept_elsewhere() {
    let scene = Scene::new(2);
    let site = &scene.site;
    let kept = scene.sandbox.join("kept.json");
    let key = scene.sandbox.join("kept.pem");
    site.installer(args![
        "audit",
        "export",
        "--format",
        "checkpoint",
        "-o",
        kept
    ])
    .ok();
    site.installer(args!["key", "-o", key]).ok();
    let verify = args![
        "audit",
        "verify",
        "--checkpoint",
        kept,
        "--key",
        key,
        "--output",
        "json"
    ];
    site.installer(&verify).ok();
    pin(site, 7).ok();
    site.installer(&verify).ok();

    // With the key at hand, another history is made: nothing at the site itself can tell.
    fs::remove_dir_all(site.state().join("audit")).unwrap();
    make_old(site, &["audit"]);
    pin(site, 8).ok();
    sound(site);
    let said = site.installer(&verify).fails_with("audit-damaged");
    assert_eq!(place(&said).2, "truncated");
    for number in 9..14 {
        pin(site, number).ok();
    }
    sound(site);
    let said = site.installer(&verify).fails_with("audit-damaged");
    assert_eq!(place(&said), (LOG.into(), 6, "changed".into()));

    let other = Scene::new(1);
    let foreign = other.sandbox.join("foreign.json");
    let export = args!["audit", "export", "--format", "checkpoint", "-o", foreign];
    other.site.installer(export).ok();
    let said = site
        .installer(args![
            "audit",
            "verify",
            "--checkpoint",
            foreign,
            "--output",
            "json"
        ])
        .fails_with("audit-damaged");
    assert_eq!(place(&said).2, "checkpoint-signature");
}

#[test]
fn nothing_is_done_on_a_log_that_was_cut_short_until_it_is_put_away() {
    let scene = Scene::new(2);
    let site = &scene.site;
    let good = lines(site);
    fs::write(log(site), good[..2].concat()).unwrap();
    pin(site, 5).fails_with("audit-damaged");
    assert_eq!(site.status()["pins"].as_array().unwrap().len(), 2);
    let old = scene.sandbox.join("damaged.jsonl");
    site.installer(args!["audit", "cut", "--before", "2090-01-01"])
        .fails_with("audit-damaged");
    site.installer(args!["audit", "cut", "--damaged", "-o", old])
        .ok();
    assert_eq!(fs::read_to_string(&old).unwrap(), good[..2].concat());
    let said = sound(site);
    assert!(
        said["cut"]["damaged"]
            .as_str()
            .unwrap()
            .contains("truncated"),
        "{said}"
    );
    pin(site, 5).ok();
    assert_eq!(sound(site)["entries"], 3);
    site.is_sound();
    site.installer(args![
        "audit",
        "cut",
        "--damaged",
        "-o",
        scene.sandbox.join("again")
    ])
    .exits(2);
}
