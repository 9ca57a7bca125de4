//! Input that is signed and well formed, and hostile all the same: texts that play with terminals, numbers
//! and counts without measure, media that change while they are read, and what vendors' build machines meet.

use std::{
    cell::Cell,
    fs::File,
    os::unix::fs::{FileExt as _, symlink},
    path::Path,
};

use sealift_installer::{
    apply::apply,
    audit::Who,
    disk::RealDisk,
    site::{Context, Locked, Silent},
};
use sealift_tests::{
    args,
    program::{Outcome, Program},
    sandbox::{self, Sandbox},
    site::Site,
    vendor::Vendor,
};
use sealift_verifier::{
    digest::Digest,
    json::canonical,
    limits,
    provenance::PAYLOAD_TYPE,
    release::{Capability, Content, HealthCheck, Probe, TreeRef},
};
use serde_json::{Value, json};

use super::{
    forge::{Attack, entry, first, good, position, sample, signed, with_release},
    maker::{RELEASE, attest, now, statement},
};

/// A sandbox with this bundle as `x.bundle`, and a site that trusts its root and has nothing yet.
fn arrives(bundle: Vec<u8>) -> (Sandbox, Site) {
    let sandbox = Sandbox::new();
    let root = sandbox.write("root.json", first());
    let site = Site::with(&sandbox, "site", &root, &["--clock", "ignore"]);
    sandbox.write("x.bundle", bundle);
    (sandbox, site)
}

fn verifier(sandbox: &Sandbox, command: &str) -> Program {
    let (bundle, root) = (sandbox.join("x.bundle"), sandbox.join("root.json"));
    let program = sandbox.program("sealift-verifier");
    program.args(args![
        command,
        bundle,
        "--root",
        root,
        "--at",
        "2026-06-01T00:00:00Z"
    ])
}

/// Whatever a program writes for people, content must not move the cursor, begin lines or hide text.
#[track_caller]
fn is_plain(outcome: Outcome) {
    let said = outcome.said();
    for text in [String::from_utf8(said.stdout).unwrap(), said.stderr] {
        let hidden = |c: char| {
            c != '\n' && (c.is_control() || "\u{202e}\u{2066}\u{200b}\u{2028}".contains(c))
        };
        let found: Vec<&str> = text.lines().filter(|line| line.contains(hidden)).collect();
        assert!(found.is_empty(), "{found:#?}");
        assert!(!text.lines().any(|line| line.starts_with("EVIL")), "{text}");
    }
}

/// Text that moves the cursor, begins lines, and hides what follows.
const TRICKS: &str = "\u{1b}[2J\u{1b}]0;x\u{7}\r\nEVIL\u{202e}\u{2066}\u{200b}\u{2028}EVIL\u{9b}2J";

/// A bundle of a release that was changed, with [`TRICKS`] wherever it then says `EVIL`.
fn with_tricks(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut parts = with_release(change);
    // Canonical JSON has no way to write these characters, but JSON has.
    let escaped = serde_json::to_string(TRICKS).unwrap();
    let release = String::from_utf8(parts.members[0].1.clone()).unwrap();
    let release = release.replace("\"EVIL\"", &escaped).into_bytes();
    let delivery = String::from_utf8(parts.members[1].1.clone()).unwrap();
    let [old, new] = [&parts.members[0].1, &release].map(|r| Digest::of(r));
    parts.members[1].1 = delivery.replace(&old.to_hex(), &new.to_hex()).into_bytes();
    parts.members[0].1 = release;
    let provenance = statement(new).to_string();
    let provenance = ["acme", "pkg:generic/maker@1", "acme-2.5.0.toml"]
        .iter()
        .fold(provenance, |text, value| {
            text.replace(&format!("\"{value}\""), &escaped)
        });
    parts.members[2].1 = attest(PAYLOAD_TYPE, provenance.into_bytes(), &[RELEASE]);
    signed(parts.members).bytes()
}

#[test]
fn texts_of_content_cannot_play_with_a_terminal() {
    let bundle = with_tricks(|release| {
        for capability in release["capabilities"].as_array_mut().unwrap() {
            capability["description"] = json!("EVIL");
            capability["license"] = json!("EVIL");
            capability["health"] = json!([{
                "name": "EVIL", "probe": { "exec": ["EVIL", "EVIL"] },
                "interval-ms": 1, "timeout-ms": 1000, "retries": 1, "start-period-ms": 0,
            }]);
        }
        for capability in release["capabilities"].as_array_mut().unwrap() {
            capability["vendor"] = json!("EVIL");
            capability["changes"] = json!(["EVIL"]);
            capability["fixes"] = json!(["EVIL"]);
            capability["entitlements"] = json!(["EVIL"]);
            capability["decision"] =
                json!({ "rule": "suite", "suite": "EVIL", "required-by": ["EVIL"] });
            capability["migrations"] = json!([{ "name": "EVIL", "up": "up" }]);
        }
        release["platforms"] = json!(["EVIL", "linux/amd64"]);
        release["changes"] = json!(["EVIL"]);
        release["fixes"] = json!(["EVIL"]);
    });
    let (sandbox, site) = arrives(bundle);

    is_plain(verifier(&sandbox, "verify").run());
    for section in [
        "release",
        "images",
        "files",
        "notices",
        "metadata",
        "delivery",
        "provenance",
    ] {
        is_plain(verifier(&sandbox, "inspect").args([section]).run());
    }
    let bundle = sandbox.join("x.bundle");
    is_plain(site.installer(args!["plan", bundle]));
    // The health check names no program, so the site goes back, and says why.
    is_plain(site.apply(&bundle));
    for command in ["status", "history", "fsck"] {
        is_plain(site.installer(args![command]));
    }
}

/// What a release says of the machines it is for is shown where this machine is none of them.
#[test]
fn a_refusal_shows_hostile_platforms_escaped() {
    let bundle = with_tricks(|release| release["platforms"] = json!(["EVIL", "EVIL/arm64"]));
    let (sandbox, site) = arrives(bundle);
    let bundle = sandbox.join("x.bundle");
    for command in [
        args!["plan", bundle].to_vec(),
        args!["apply", bundle, "--yes"].to_vec(),
    ] {
        let refused = site.installer(&command);
        assert_eq!(refused.code(), Some(4), "{refused}");
        let said = site.installer(&command).exits(4);
        assert!(
            said.stderr
                .contains("the release is for \\u{1b}[2J\\u{1b}]0;x\\u{7}\\r\\nEVIL\\u{202e}"),
            "{}",
            said.stderr
        );
        is_plain(refused);
    }
    assert_eq!(site.current(), None);
    // The vendor's tool says the same of the same facts.
    let facts = sandbox.join("facts.json");
    site.installer(args!["facts", "-o", facts]).ok();
    let root = sandbox.join("root.json");
    let bundler = sandbox.program("sealift-bundler");
    let compared = bundler
        .args(args![
            "compat", bundle, bundle, "--root", root, "--site", facts
        ])
        .run();
    assert!(
        compared.to_string().contains("[platform-mismatch]"),
        "{compared}"
    );
    is_plain(compared);
}

/// The sample with this health check for its first capability.
fn with_health(probe: Probe, numbers: [u64; 3], retries: u32) -> Vec<u8> {
    let mut sample = sample();
    sample.release.capabilities[0].health = vec![HealthCheck {
        name: "n".into(),
        probe,
        interval_ms: numbers[0],
        timeout_ms: numbers[1],
        retries,
        start_period_ms: numbers[2],
    }];
    signed(sample.members()).bytes()
}

#[test]
fn numbers_without_measure_break_nothing() {
    // A check that succeeds, and one that fails at once, each with all the time there is.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for (probe, exit) in [
        (Probe::Exec(vec!["true".into()]), 0),
        (Probe::Exec(vec!["false".into()]), 5),
        (Probe::Exec(Vec::new()), 5),
        (Probe::Exec(vec!["bin/../../../../../../no/such".into()]), 5),
        (Probe::Tcp(closed.to_string()), 5),
        (Probe::Tcp("x".repeat(100_000)), 5),
        (Probe::Http(format!("http://{closed}/")), 5),
        (Probe::Http("http://[::1]:99999999/ X: y".into()), 5),
    ] {
        let most = [limits::HEALTH_MS, limits::HEALTH_MS, 0];
        let (sandbox, site) = arrives(with_health(probe.clone(), most, 1));
        let outcome = site.apply(&sandbox.join("x.bundle"));
        assert_eq!(outcome.code(), Some(exit), "{probe:?}: {outcome}");
        site.is_sound();
        for (numbers, retries) in [([u64::MAX, 1, 1], 1), ([1, 1, u64::MAX], 1), ([1, 1, 1], 0)] {
            let (sandbox, site) = arrives(with_health(probe.clone(), numbers, retries));
            let _ = site
                .apply(&sandbox.join("x.bundle"))
                .fails_with("bad-metadata");
        }
    }
}

#[test]
fn many_capabilities_take_their_time_and_no_more() {
    let mut sample = sample();
    let one = sample.release.capabilities[1].clone();
    let capability = |n: u32| Capability {
        name: format!("web/n{n:06}").parse().unwrap(),
        ..one.clone()
    };
    sample.release.capabilities = (0..30_000).map(capability).collect();
    let (sandbox, site) = arrives(signed(sample.members()).bytes());
    let bounded = |program: Program| program.behind(&["prlimit", "--data=536870912", "--cpu=30"]);
    let _ = bounded(verifier(&sandbox, "verify")).run().exits(0);
    let _ = bounded(site.command(args!["plan", sandbox.join("x.bundle")]))
        .run()
        .exits(0);
}

/// A bundle with a tree of these entries, which all have the content of [`entry`].
fn with_files(entries: &[Value]) -> Vec<u8> {
    let length = sample().packed[1].len();
    let tree = canonical(&json!({ "entries": entries }));
    let mut sample = sample();
    let Content::Tree(reference) = &mut sample.release.capabilities[1].artifacts[0].content else {
        panic!("the second capability of the sample is a tree");
    };
    *reference = TreeRef {
        digest: Digest::of(&tree),
        size: tree.len() as u64,
        files: entries.len() as u64,
        bytes: (entries.len() * length) as u64,
    };
    sample.packed.remove(0);
    sample.stored.push(tree);
    signed(sample.members()).bytes()
}

#[test]
fn what_lies_as_deep_as_names_go_is_installed_and_taken_out() {
    let deep = "a/".repeat(510) + "file";
    let (sandbox, site) = arrives(with_files(&[entry(&deep)]));
    site.apply(&sandbox.join("x.bundle")).ok();
    site.is_sound();
    let path = format!("web/shop/pages/{deep}");
    assert_eq!(site.file(&path), sample().packed[1]);
    let out = sandbox.join("out");
    let extract = verifier(&sandbox, "extract");
    extract.args(args!["web/shop", "--to", out]).run().ok();
    assert_eq!(
        sandbox::read(&out.join("files").join(path)),
        sample().packed[1]
    );
}

#[test]
fn a_file_has_more_names_than_a_file_system_gives_to_one() {
    // ext4 gives 65,000.
    let mut entries = vec![entry("file"); 65_100];
    for (number, entry) in entries.iter_mut().enumerate() {
        entry["path"] = json!(format!("{number:05}"));
    }
    let (sandbox, site) = arrives(with_files(&entries));
    site.apply(&sandbox.join("x.bundle")).ok();
    assert_eq!(site.file("web/shop/pages/65099"), sample().packed[1]);
}

#[test]
fn a_medium_that_changes_after_it_was_verified_is_found_out() {
    let parts = good();
    let bytes = parts.bytes();
    let head = position(&parts, "packs/0000.tar.zst");
    let (sandbox, site) = arrives(bytes.clone());
    let path = sandbox.join("x.bundle");
    let locked = Locked::take(site.state(), &RealDisk, "apply", now()).unwrap();
    let context = Context {
        now: now(),
        threads: 2,
        who: &Who::default(),
        progress: &Silent,
        overrides: Vec::new(),
        program: Path::new("/nonexistent"),
    };
    let mut ready = locked.recover(&context).unwrap().0;
    let writer = File::options().write(true).open(&path).unwrap();
    // Who answers the question has seen an honest plan; meanwhile the file becomes another.
    let asked = Cell::new(0);
    let mut apply = |from: usize| {
        writer.write_all_at(&bytes, 0).unwrap();
        let mut confirm = |_: &_| {
            asked.set(asked.get() + 1);
            writer
                .write_all_at(&vec![b'x'; bytes.len() - from], from as u64)
                .unwrap();
            Ok(())
        };
        let file = File::open(&path).unwrap();
        apply(&mut ready, file, "x.bundle", &mut confirm, &context)
    };
    let error = apply(head).unwrap_err();
    assert_eq!(sealift_verifier::Failure::code(&error), "digest-mismatch");
    // A change that does no harm: nothing of the file is used any more, or none of it counts.
    let all = apply(bytes.len() - 1024).unwrap();
    assert!(matches!(
        all,
        sealift_installer::apply::Applied::Committed { .. }
    ));
    assert_eq!(asked.get(), 2);
    drop(ready);
    site.is_sound();
    let out = sandbox.join("out.bundle");
    site.installer(args![
        "export",
        site.current().unwrap().to_string(),
        "-o",
        out
    ])
    .ok();
    assert!(
        sandbox::read(&out) == bytes,
        "what was verified is what is kept"
    );
}

#[test]
fn extraction_does_not_follow_what_others_put_there() {
    let (sandbox, _site) = arrives(good().bytes());
    let victim = sandbox.write("victim/files/keep", "mine");
    let out = sandbox.join("out");
    std::fs::create_dir(&out).unwrap();
    for name in ["files", "images", "bundle"] {
        symlink(sandbox.join("victim").join(name), out.join(name)).unwrap();
    }
    let before = sealift_tests::listing::Listing::of(sandbox.path());
    let to = |dir| {
        verifier(&sandbox, "extract")
            .args(args!["all", "--to", dir])
            .run()
    };
    to(&out).fails_with("already-exists");
    // The folder itself is the choice of whoever names it, also by a link to it; not a link to nowhere.
    let link = sandbox.join("link");
    symlink("nowhere", &link).unwrap();
    let _ = to(&link).exits(1);
    std::fs::remove_file(&link).unwrap();
    let after = sealift_tests::listing::Listing::of(sandbox.path());
    assert_eq!(before.differences(&after), [""; 0]);
    assert_eq!(sandbox::read(&victim), b"mine");
}

#[test]
fn definitions_that_are_hostile_are_refused_with_a_reason() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let head = "product = \"test\"\nversion = \"1.0.0\"\ncounter = 1\npublished = \"2026-03-01T00:00:00Z\"\n";
    let deep = 100_000;
    for (name, text) in [
        ("brackets", format!("{head}x = {}", "[".repeat(deep))),
        ("tables", format!("{head}x = {}", "{a=".repeat(deep))),
        ("dots", format!("{head}{} = 1", vec!["a"; deep].join("."))),
        ("header", format!("{head}[{}]", vec!["a"; deep].join("."))),
        ("many", format!("{head}{}", "[[x]]\n".repeat(deep))),
        ("long", format!("{head}x = \"{}\"", "y".repeat(10_000_000))),
        ("nul", format!("{head}x = \"\0\"")),
        (
            "climbs",
            format!(
                "{head}catalog = \"../../../../..\"\n[capabilities]\n\"../../etc\" = \"1.0.0\""
            ),
        ),
        (
            "esc",
            format!("{head}\"\\u001b[2J\\rEVIL\" = 1\n[capabilities]\n\"\\u001b[2J\" = \"1.0.0\""),
        ),
    ] {
        let file = sandbox.write(format!("vendor/{name}.toml"), text);
        for command in ["check", "build"] {
            let out = sandbox.join("out.bundle");
            let program = match command {
                "check" => sandbox
                    .program("sealift-bundler")
                    .args(args!["check", file]),
                _ => vendor.build_command(&file, &out),
            };
            let outcome = program
                .behind(&["prlimit", "--data=536870912", "--cpu=20", "--core=0"])
                .run();
            assert_eq!(outcome.code(), Some(1), "{name}: {outcome}");
            assert!(outcome.error().is_some(), "{name}: {outcome}");
            assert!(!out.exists(), "{name}");
            is_plain(outcome);
        }
    }
}

/// Puts something at a place in the catalog, given a file outside of it.
type Place = fn(&Path, &Path);

#[test]
fn artifacts_that_never_end_or_never_begin_are_refused() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let secret = sandbox.write("secret", "not for the bundle");
    let places: [(&str, Place); 4] = [
        ("pipe", |at, _| {
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, at, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        }),
        ("device", |at, _| symlink("/dev/zero", at).unwrap()),
        ("outside", |at, secret| symlink(secret, at).unwrap()),
        ("loop", |at, _| symlink(at, at).unwrap()),
    ];
    for (number, (name, place)) in (1..).zip(places) {
        for kind in ["file", "config", "notice", "tree", "image"] {
            let version = format!("{number}.0.0-{kind}");
            let draft = vendor
                .release(&version, number)
                .capability("core/app", "service");
            let definition = draft.artifact("data", kind, "content/data").define();
            let capability = sandbox.join(format!(
                "vendor/catalog-{version}/capabilities/core/app/{version}/content"
            ));
            std::fs::create_dir_all(&capability).unwrap();
            let at = match kind {
                "tree" => {
                    std::fs::create_dir(capability.join("data")).unwrap();
                    capability.join("data/inside")
                }
                _ => capability.join("data"),
            };
            place(&at, &secret);
            let out = definition.with_extension("bundle");
            let build = vendor.build_command(&definition, &out);
            let outcome = build
                .behind(&["timeout", "20", "prlimit", "--cpu=10"])
                .run();
            assert_eq!(outcome.code(), Some(1), "{name} as {kind}: {outcome}");
            assert!(outcome.error().is_some(), "{name} as {kind}: {outcome}");
            assert!(!out.exists(), "{name} as {kind}");
        }
    }
}

#[test]
fn a_site_is_not_made_with_a_root_that_is_none() {
    let sandbox = Sandbox::new();
    let attack = Attack::from(good());
    let state = sandbox.join("site");
    for root in [
        Vec::new(),
        b"{}".to_vec(),
        b"[".repeat(1 << 20),
        vec![0; 17 << 20],
        attack.prior(),
    ] {
        let file = sandbox.write("root.json", root);
        let init = sandbox.program("sealift-installer");
        let outcome = init
            .args(args!["--state", state, "init", "--root-file", file])
            .run();
        assert_eq!(outcome.code(), Some(3), "{outcome}");
        let left = state.read_dir().map_or(0, Iterator::count);
        assert_eq!(left, 0, "init left something behind");
    }
}
