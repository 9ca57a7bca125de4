//! Taking the older part away, and proving that what is left goes on from it.

use std::fs;

use sealift_tests::args;

use super::{Scene, lines, log, pin, place, shown, sound};

#[test]
fn what_was_taken_away_and_what_is_left_are_one_chain() {
    let scene = Scene::new(2);
    let site = &scene.site;
    let later = |time: &str, number: usize| {
        site.command(args![
            "pin",
            "add",
            "suite",
            format!("later{number}"),
            "1.0.0"
        ])
        .at(time)
        .run()
        .ok();
    };
    let kept = scene.sandbox.join("kept.json");
    site.installer(args![
        "audit",
        "export",
        "--format",
        "checkpoint",
        "-o",
        kept
    ])
    .ok();
    later("2031-01-01 00:00:00", 1);
    later("2032-01-01 00:00:00", 2);
    let whole = lines(site);
    let [first, second] = ["first", "second"].map(|name| scene.sandbox.join(name));

    let cut = |before: &str, out| {
        args![
            "audit", "cut", "--before", before, "-o", out, "--output", "json"
        ]
    };
    let said = site.installer(cut("2031-01-01", &first)).ok().json();
    assert_eq!(
        (&said["removed"], &said["last"]["sequence"]),
        (&6.into(), &6.into())
    );
    assert_eq!(fs::read_to_string(&first).unwrap(), whole[..6].concat());
    assert_eq!(lines(site)[1..5], whole[6..], "the rest is not touched");
    let said = sound(site);
    assert_eq!(
        (&said["first"], &said["last"]["sequence"]),
        (&7.into(), &12.into())
    );
    assert_eq!(said["cut"]["sequence"], 6);
    assert_eq!(shown(site, &[]).len(), 6);
    site.is_sound();

    // A second one takes the signed line of the first with it. The cuts themselves are of today.
    let said = site.installer(cut("2031-06-01", &second)).ok().json();
    assert_eq!(said["removed"], 2);
    assert_eq!(sound(site)["first"], 9);
    let archives = |order: [&std::path::Path; 2]| {
        let command = args![
            "audit",
            "verify",
            "--output",
            "json",
            "--archive",
            order[0],
            "--archive",
            order[1]
        ];
        site.installer(command)
    };
    let said = archives([&first, &second]).ok().json();
    assert_eq!((&said["first"], &said["entries"]), (&1.into(), &14.into()));
    assert_eq!(
        place(&archives([&second, &first]).fails_with("audit-damaged")).1,
        1
    );

    // An archive that was changed, even at its end, is not what was signed.
    let mut forged = fs::read_to_string(&first).unwrap();
    forged = forged.replacen("\"uid\":", "\"uid\":9", 1);
    fs::write(&first, forged).unwrap();
    let (file, line, kind) = place(&archives([&first, &second]).fails_with("audit-damaged"));
    assert_eq!(
        (file, line, kind.as_str()),
        (first.display().to_string(), 1, "changed")
    );
    fs::write(&first, whole[..5].concat()).unwrap();
    let (file, line, kind) = place(&archives([&first, &second]).fails_with("audit-damaged"));
    assert_eq!(
        (file, line, kind.as_str()),
        (second.display().to_string(), 1, "cut")
    );

    // A checkpoint for what was taken away needs the archive.
    let with = args!["audit", "verify", "--checkpoint", kept];
    site.installer(&with).exits(2);
    fs::write(&first, whole[..6].concat()).unwrap();
    site.command(&with)
        .args(args!["--archive", first, "--archive", second])
        .run()
        .ok();
}

#[test]
fn a_cut_that_the_key_did_not_sign_is_found() {
    let scene = Scene::new(3);
    let site = &scene.site;
    let good = lines(site);
    // Without a cut, the first line has to be the first.
    fs::write(log(site), good[2..].concat()).unwrap();
    assert_eq!(
        super::found(site),
        ("audit/log.jsonl".into(), 1, "removed".into())
    );
    fs::write(log(site), good.concat()).unwrap();

    let other = Scene::new(3);
    for scene in [&scene, &other] {
        scene
            .site
            .installer(args!["audit", "cut", "--before", "2090-01-01"])
            .ok();
        pin(&scene.site, 8).ok();
    }
    let cut = lines(site);
    let mut forged = cut.clone();
    forged[0].clone_from(&lines(&other.site)[0]);
    fs::write(log(site), forged.concat()).unwrap();
    assert_eq!(
        super::found(site),
        ("audit/log.jsonl".into(), 1, "cut".into())
    );
    let mut forged = cut.clone();
    forged.remove(1);
    fs::write(log(site), forged.concat()).unwrap();
    assert_eq!(
        super::found(site),
        ("audit/log.jsonl".into(), 2, "removed".into())
    );
    fs::write(log(site), cut.concat()).unwrap();
    sound(site);
}

#[test]
fn nothing_that_is_old_enough_leaves_all_as_it_was() {
    let scene = Scene::new(1);
    let before = scene.site.listing().without("lock");
    let said = scene
        .site
        .installer(args!["audit", "cut", "--before", "2020-01-01"])
        .ok();
    assert_eq!(said.text(), "nothing to take away\n");
    assert_eq!(
        before.differences(&scene.site.listing().without("lock")),
        [""; 0]
    );
    // An archive is never overwritten, and then nothing is taken away.
    let there = scene.sandbox.write("there", "already");
    let cut = args!["audit", "cut", "--before", "2090-01-01", "-o", there];
    scene.site.installer(cut).fails_with("already-exists");
    assert!(sound(&scene.site)["cut"].is_null());
}

#[test]
fn what_is_empty_is_no_evidence() {
    let scene = Scene::new(3);
    let empty = scene.sandbox.write("empty", "");
    for option in ["--archive", "--checkpoint"] {
        let said = scene
            .site
            .installer(args!["audit", "verify", option, empty]);
        said.fails_with("usage");
    }
}
