//! The audit log: what is written, before what, and that nothing can be taken from it or put into it unseen.

mod cuts;
mod forgery;
mod forms;
mod retention;

use std::{fs, path::PathBuf};

use sealift_tests::{args, program::Said, sandbox::Sandbox, site::Site, vendor::Vendor};
use serde_json::Value;

/// A site with pins for a history: no release is needed for that.
struct Scene {
    sandbox: Sandbox,
    site: Site,
}

impl Scene {
    /// With this many pins, two entries each after the two of `init`.
    fn new(pins: usize) -> Self {
        let sandbox = Sandbox::new();
        let vendor = Vendor::new(&sandbox);
        let site = Site::new(&sandbox, &vendor.root());
        for number in 0..pins {
            pin(&site, number).ok();
        }
        Self { sandbox, site }
    }
}

fn pin(site: &Site, number: usize) -> sealift_tests::program::Outcome {
    let name = format!("s{number}");
    site.installer(args!["pin", "add", "suite", name, "1.0.0"])
}

fn log(site: &Site) -> PathBuf {
    site.state().join("audit/log.jsonl")
}

fn checkpoints(site: &Site) -> PathBuf {
    site.state().join("audit/checkpoints.jsonl")
}

/// The lines of the log, with their ends.
fn lines(site: &Site) -> Vec<String> {
    let text = fs::read_to_string(log(site)).unwrap_or_default();
    text.split_inclusive('\n').map(str::to_owned).collect()
}

/// What `audit verify` says of a log that is sound.
#[track_caller]
fn sound(site: &Site) -> Value {
    site.installer(args!["audit", "verify", "--output", "json"])
        .ok()
        .json()
}

/// File, line and kind of the first thing that `audit verify` finds.
#[track_caller]
fn found(site: &Site) -> (String, u64, String) {
    let said = site
        .installer(args!["audit", "verify", "--output", "json"])
        .fails_with("audit-damaged");
    place(&said)
}

fn place(said: &Said) -> (String, u64, String) {
    let problem = &said.json()["problem"];
    (
        problem["file"].as_str().unwrap().to_owned(),
        problem["line"].as_u64().unwrap(),
        problem["kind"].as_str().unwrap().to_owned(),
    )
}

/// The entries that `audit show` shows with these arguments.
#[track_caller]
fn shown(site: &Site, more: &[&str]) -> Vec<Value> {
    let command = site.command(args!["audit", "show", "--output", "json"]);
    let said = command.args(more).run().ok().json();
    assert_eq!(said["damaged"], serde_json::json!([]));
    said["entries"].as_array().unwrap().clone()
}

fn texts(entries: &[Value], key: &str) -> Vec<String> {
    let text = |entry: &Value| entry[key].as_str().unwrap_or_default().to_owned();
    entries.iter().map(text).collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, step by step")]
fn everything_that_decides_or_changes_is_in_the_log() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let release = |version: &str, counter, check: &str| {
        vendor
            .release(version, counter)
            .capability("a/b", "service")
            .file("f", version)
            .program("bin/check", check)
            .healthy_if("bin/check")
            .build()
    };
    let [one, two, bad] = [
        release("1.0.0", 1, "exit 0"),
        release("1.1.0", 2, "exit 0"),
        release("1.2.0", 3, "exit 1"),
    ];
    let site = Site::new(&sandbox, &vendor.root());
    site.installer(args!["pin", "add", "capability", "a/b", "2.0.0"])
        .ok();
    site.apply(&one).fails_with("pinned");
    site.installer(args!["pin", "remove", "capability", "a/b"])
        .ok();
    let forged = sandbox.write("forged \u{1b}[2J|=]\"\\\n.bundle", "no bundle at all");
    let _ = site.apply(&forged).said();
    site.apply(&one).ok();
    site.apply(&one).ok();
    site.apply(&two).ok();
    site.apply(&bad).exits(5);
    site.installer(args!["rollback"]).ok();
    site.apply(&bad).exits(5);
    let file = site.state().join("current/files/a/b/f");
    fs::remove_file(&file).unwrap();
    site.installer(args!["fsck", "--from", one]).ok();
    site.installer(args!["prune", "--keep", "1"]).ok();
    site.installer(args!["recover"]).ok();

    let entries = shown(&site, &[]);
    let said: Vec<_> = entries
        .iter()
        .map(|entry| {
            let text = |key: &str| entry[key].as_str().unwrap_or("-").to_owned();
            format!("{} {} {}", text("action"), text("phase"), text("outcome"))
        })
        .collect();
    let mut expected = vec![
        "init intent -",
        "init outcome done",
        "pin intent -",
        "pin outcome done",
        "refusal decision refused",
        "unpin intent -",
        "unpin outcome done",
        "refusal decision refused",
        "apply intent -",
        "apply outcome done",
        "apply intent -",
        "apply outcome done",
        "apply intent -",
        "apply outcome went-back",
        "rollback intent -",
        "rollback outcome done",
        "apply intent -",
        "apply outcome went-back",
        "fsck-repair intent -",
        "fsck-repair outcome done",
    ];
    let pruned = &said[expected.len()..];
    if !pruned.is_empty() {
        expected.extend(["prune intent -", "prune outcome done"]);
    }
    assert_eq!(said, expected);

    // Who, which release, which rules, and why.
    let refusal = &entries[4];
    assert_eq!(refusal["of"], "apply");
    assert_eq!(refusal["release"]["version"], "1.0.0");
    assert_eq!(refusal["rules"][0]["rule"], "pinned");
    assert_eq!(refusal["rules"][0]["result"], "deny");
    assert!(refusal["rules"].as_array().unwrap().len() > 5, "{refusal}");
    let intent = &entries[8];
    assert!(
        intent["rules"]
            .as_array()
            .unwrap()
            .iter()
            .all(|r| r["result"] == "pass")
    );
    assert_eq!(intent["generation"], 1);
    assert_eq!(intent["who"]["uid"], rustix::process::getuid().as_raw());
    assert_eq!(entries[9]["intent"], intent["sequence"]);
    let reason = entries[13]["reason"].as_str().unwrap();
    assert!(reason.contains("health-check-failed"), "{reason}");
    let state: Value =
        serde_json::from_slice(&fs::read(site.state().join("state.json")).unwrap()).unwrap();
    assert_eq!(
        intent["release"]["digest"],
        state["generations"][0]["release"]
    );

    // A name that could break a line or a terminal does neither.
    let forged = entries[7]["subject"].as_str().unwrap();
    assert!(forged.contains("\\u{1b}[2J|=]\"\\"), "{forged}");
    let text = site.installer(args!["audit", "show"]).ok();
    assert!(!text.text().contains('\u{1b}'));
    assert_eq!(text.text().lines().count(), entries.len());
    assert_eq!(sound(&site)["entries"], entries.len());
    site.is_sound();
}

#[test]
fn looking_needs_no_lock_and_writes_nothing() {
    let scene = Scene::new(2);
    let before = scene.site.listing();
    for command in [
        args!["audit", "show"].to_vec(),
        args!["audit", "verify"].to_vec(),
        args!["audit", "export", "--format", "jsonl"].to_vec(),
        args!["audit", "export", "--format", "checkpoint"].to_vec(),
        args!["key"].to_vec(),
        args!["status"].to_vec(),
    ] {
        assert_eq!(scene.site.mutating_calls(&command), 0);
    }
    assert_eq!(before.differences(&scene.site.listing()), [""; 0]);
}

#[test]
fn entries_are_picked_by_time_action_and_number() {
    let scene = Scene::new(2);
    let site = &scene.site;
    site.command(args!["pin", "add", "suite", "later", "1.0.0"])
        .at("2031-04-01 12:00:00")
        .run()
        .ok();
    let sequences = |more: &[&str]| -> Vec<u64> {
        let entries = shown(site, more);
        entries
            .iter()
            .map(|e| e["sequence"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(sequences(&[]), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(sequences(&["--limit", "3"]), [6, 7, 8]);
    assert_eq!(sequences(&["--action", "init"]), [1, 2]);
    assert_eq!(
        sequences(&["--action", "init", "--action", "pin", "--limit", "7"]),
        [2, 3, 4, 5, 6, 7, 8]
    );
    assert_eq!(sequences(&["--from", "2031-04-01"]), [7, 8]);
    assert_eq!(sequences(&["--from", "2031-04-01T12:00:00Z"]), [7, 8]);
    assert_eq!(
        sequences(&["--to", "2031-04-01T12:00:00Z"]),
        [1, 2, 3, 4, 5, 6]
    );
    assert_eq!(sequences(&["--from", "2031-04-02"]), [0; 0]);
    site.installer(args!["audit", "show", "--from", "yesterday"])
        .exits(2);
}

#[test]
fn two_programs_at_once_make_one_chain() {
    let scene = Scene::new(0);
    let site = &scene.site;
    let done: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                scope.spawn(move || {
                    let added = (0..6).filter(|turn| {
                        let said = pin(site, worker * 100 + turn);
                        assert!(matches!(said.error(), None | Some("site-locked")), "{said}");
                        said.code() == Some(0)
                    });
                    added.count()
                })
            })
            .collect();
        // Whoever looks meanwhile finds nothing wrong.
        for _ in 0..6 {
            sound(site);
            shown(site, &["--limit", "2"]);
        }
        workers.into_iter().map(|w| w.join().unwrap()).sum()
    });
    assert!(done > 0);
    assert_eq!(sound(site)["entries"], 2 + 2 * done);
    assert_eq!(site.status()["pins"].as_array().unwrap().len(), done);
}

/// Gives a site the state of a program that wrote format 1, once, without these fields.
fn make_old(site: &Site, without: &[&str]) {
    let path = site.state().join("state.json");
    let mut state: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let fields = state.as_object_mut().unwrap();
    fields.retain(|key, _| {
        !without.contains(&key.as_str()) && !["checksum", "revision"].contains(&key.as_str())
    });
    fields.insert("format".into(), 1.into());
    fs::write(&path, format!("{state}\n")).unwrap();
    fs::remove_file(site.state().join("state.copy.json")).unwrap();
}

#[test]
fn a_site_of_an_older_program_begins_its_log_when_it_is_needed() {
    let scene = Scene::new(0);
    let site = &scene.site;
    // What such a site has: neither key nor log, and a state that knows of neither.
    fs::remove_dir_all(site.state().join("audit")).unwrap();
    for name in ["site.key", "site.pub"] {
        fs::remove_file(site.state().join(name)).unwrap();
    }
    let path = site.state().join("state.json");
    make_old(site, &["audit", "site-key"]);
    site.is_sound();
    assert_eq!(sound(site)["entries"], 0);
    site.installer(args!["key"]).fails_with("state-damaged");
    pin(site, 1).ok();
    assert_eq!(sound(site)["entries"], 2);
    site.is_sound();
    let state: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(state["site-key"], site.status()["site-key"]["id"]);
}

/// Measured with the real program: see `docs/audit.md`.
#[test]
fn a_long_log_is_read_in_the_memory_of_a_line() {
    use sealift_installer::audit::{Action, Entry, Line};
    use sealift_verifier::digest::Digest;

    let scene = Scene::new(1);
    let site = &scene.site;
    let last = lines(site).pop().unwrap();
    let mut line = Line::parse(last.as_bytes()).unwrap();
    let mut previous = Digest::of(last.as_bytes());
    let mut bytes = fs::read(log(site)).unwrap();
    line.phase = sealift_installer::audit::Phase::Decision;
    line.intent = None;
    line.checkpoint = Some(4);
    for number in 5..=50_000_u64 {
        line.sequence = number;
        line.previous = Some(previous);
        line.entry = Entry::new(Action::Attest).about(format!("check {number}"));
        line.entry.reason = "all is well ".repeat(20);
        let next = line.to_bytes().unwrap();
        previous = Digest::of(&next);
        bytes.extend(next);
    }
    fs::write(log(site), &bytes).unwrap();
    pin(site, 2).ok();

    // The file alone has more than that.
    let memory = 24 << 20;
    assert!(bytes.len() > memory, "{} bytes", bytes.len());
    let limit = format!("--data={memory}");
    for command in [
        args!["audit", "verify"].to_vec(),
        args!["audit", "show"].to_vec(),
        args!["audit", "show", "--limit", "40000", "--output", "json"].to_vec(),
        args!["audit", "export", "--format", "syslog"].to_vec(),
        args![
            "audit",
            "export",
            "--format",
            "cef",
            "-o",
            scene.sandbox.join("out")
        ]
        .to_vec(),
        args![
            "audit",
            "cut",
            "--before",
            "2090-01-01",
            "-o",
            scene.sandbox.join("old")
        ]
        .to_vec(),
    ] {
        site.command(&command)
            .behind(&["prlimit", &limit])
            .run()
            .ok();
    }
    assert_eq!(sound(site)["entries"], 2);
}
