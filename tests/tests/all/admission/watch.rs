//! Installing what appears in a folder: `watch`.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::fs::symlink,
    process::Child,
    time::{Duration, Instant},
};

use sealift_tests::sandbox::read;

use super::*;

const AUTO: &str = "[deployment]\nchannel = \"auto\"\n";
const MONDAY: &str = "2026-06-15 12:00:00";

/// A site with an inbox, and its vendor.
struct Stage {
    sandbox: Sandbox,
    vendor: Vendor,
    site: Site,
    inbox: PathBuf,
}

impl Stage {
    fn new(policy: &str) -> Self {
        let sandbox = Sandbox::new();
        let vendor = Vendor::new(&sandbox);
        let site = site(&sandbox, "site", &vendor, policy);
        let inbox = sandbox.join("inbox");
        std::fs::create_dir(&inbox).unwrap();
        Self {
            sandbox,
            vendor,
            site,
            inbox,
        }
    }

    /// A release of one file.
    fn release(&self, version: &str, counter: u64, fields: &[&str]) -> PathBuf {
        let draft = self.vendor.release(version, counter);
        let draft = fields.iter().fold(draft, |draft, field| draft.field(field));
        let app = draft.capability("core/app", "service");
        app.file("version", version).build()
    }

    fn put(&self, bundle: &Path, name: &str) -> PathBuf {
        let path = self.inbox.join(name);
        std::fs::copy(bundle, &path).unwrap();
        path
    }

    fn once(&self) -> sealift_tests::program::Program {
        let command = args!["--output", "json", "watch", "--once", self.inbox];
        self.site.command(command)
    }

    /// What of the site's audit log has this action.
    fn audited(&self, action: &str) -> Vec<Value> {
        let said = self
            .site
            .installer(args!["audit", "export", "--format", "jsonl"])
            .ok();
        let text = String::from_utf8(said.stdout).unwrap();
        let lines = text.lines().filter(|line| !line.is_empty());
        let all = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        all.filter(|line| line["action"] == action).collect()
    }
}

/// The events that it wrote.
fn events(outcome: Outcome) -> Vec<Value> {
    let stdout = outcome.said().stdout;
    let text = String::from_utf8(stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What happened to which version, or to which file where no version is known.
fn told(events: &[Value]) -> Vec<String> {
    let told = events
        .iter()
        .filter(|e| !e["event"].is_null())
        .map(|event| {
            let file = event["file"].as_str().unwrap_or_default();
            let file = file.rsplit('/').next().unwrap();
            let about = event["version"].as_str().unwrap_or(file);
            format!("{} {about}", event["event"].as_str().unwrap())
        });
    told.collect()
}

#[test]
fn the_channel_auto_installs_step_by_step_what_lies_there() {
    let stage = Stage::new(AUTO);
    let first = stage.release("1.0.0", 1, &[]);
    let second = stage.release("2.0.0", 2, &["upgrade-from = \">=1.0.0\""]);
    let third = stage.release("3.0.0", 3, &["upgrade-from = \">=2.0.0\""]);
    stage.site.apply(&first).ok();
    stage.put(&first, "1.bundle");
    stage.put(&second, "2.bundle");
    stage.put(&third, "3.bundle");
    // A broken one, one that is not complete yet, and what is no file at all.
    let mut forged = read(&third);
    let name = b"core/app";
    let signed = forged.windows(name.len()).position(|w| w == name).unwrap();
    forged[signed] ^= 1;
    stage.sandbox.write("inbox/broken.bundle", &forged);
    stage.sandbox.write("inbox/half.bundle", &forged[..4096]);
    symlink(&third, stage.inbox.join("link.bundle")).unwrap();
    let before = sealift_tests::listing::Listing::of(&stage.inbox);
    let pipe = stage.inbox.join("pipe.bundle");
    stage.sandbox.tool("mkfifo").args(args![pipe]).run().ok();

    let said = events(stage.once().run());
    let mut installed = told(&said);
    installed.retain(|line| line.starts_with("applied"));
    assert_eq!(installed, ["applied 2.0.0", "applied 3.0.0"]);
    let mut others = told(&said);
    others.retain(|line| !line.starts_with("applied"));
    others.sort();
    assert_eq!(
        others,
        [
            "incomplete half.bundle",
            "known 1.0.0",
            "known 2.0.0",
            "known 3.0.0",
            "refused broken.bundle"
        ]
    );
    assert_eq!(stage.site.file("core/app/version"), b"3.0.0");
    stage.site.is_sound();
    // Refused once, however often it is looked at.
    assert_eq!(told(&events(stage.once().run())).len(), 5);
    assert_eq!(stage.audited("refusal").len(), 1);
    std::fs::remove_file(pipe).unwrap();
    assert_eq!(sealift_tests::listing::Listing::of(&stage.inbox), before);
}

#[test]
fn nothing_comes_in_by_itself_in_the_channel_manual() {
    let stage = Stage::new("");
    let bundle = stage.release("1.0.0", 1, &["severity = \"high\""]);
    stage.put(&bundle, "1.bundle");
    let said = events(stage.once().run());
    assert_eq!(told(&said), ["left 1.0.0"]);
    assert_eq!(stage.site.current(), None);
    // An operator may.
    stage.site.apply(&bundle).ok();
}

#[test]
fn what_is_critical_is_forced_after_the_delay() {
    let policy = "[deployment]\nchannel = \"frozen\"\n[critical]\ndelay = \"48h\"\n[maintenance]\nblackouts = [{ from = \"2026-06-01\", until = \"2026-06-30\" }]\n";
    let stage = Stage::new(policy);
    let bundle = stage.release("1.0.0", 1, &["severity = \"critical\""]);
    let other = stage.release("1.1.0", 2, &["severity = \"high\""]);
    stage.put(&bundle, "1.bundle");
    stage.put(&other, "2.bundle");
    let look = |at: &str| {
        let said = events(stage.once().at(at).run());
        let mut said = told(&said);
        said.sort();
        said
    };
    for early in ["2026-06-15 12:00:00", "2026-06-17 11:50:00"] {
        assert_eq!(look(early), ["left 1.1.0", "waiting 1.0.0"]);
    }
    assert_eq!(
        look("2026-06-17 12:10:00"),
        ["applied 1.0.0", "known 1.0.0", "left 1.1.0"]
    );
    assert_eq!(stage.site.file("core/app/version"), b"1.0.0");
    let forced = stage.audited("forced");
    assert_eq!(forced.len(), 1, "{forced:?}");
    assert_eq!(forced[0]["release"]["version"], "1.0.0");
}

#[test]
fn a_clock_that_is_set_back_does_not_keep_out_what_is_critical() {
    let stage = Stage::new("[critical]\ndelay = \"48h\"\n");
    let bundle = stage.release("1.0.0", 1, &["severity = \"critical\""]);
    stage.put(&bundle, "1.bundle");
    // Waited a day; what is left is a day, whatever the date.
    for (at, event) in [
        ("2026-06-15 12:00:00", "waiting"),
        ("2026-06-16 12:00:00", "waiting"),
        ("2016-06-15 12:00:00", "waiting"),
        ("2016-06-16 11:50:00", "waiting"),
        ("2016-06-16 12:10:00", "applied"),
    ] {
        let said = events(stage.once().at(at).run());
        assert_eq!(said[0]["event"], event, "at {at}: {said:?}");
    }
}

#[test]
fn a_release_waits_for_the_window() {
    let policy = format!(
        "{AUTO}[maintenance]\nwindows = [{{ opens = \"0 22 * * SAT\", duration = \"4h\" }}]\n"
    );
    let stage = Stage::new(&policy);
    let bundle = stage.release("1.0.0", 1, &[]);
    stage.put(&bundle, "1.bundle");
    let said = events(stage.once().at(MONDAY).run());
    assert_eq!(told(&said), ["waiting 1.0.0"]);
    assert_eq!(said[0]["until"], "2026-06-20T22:00:00Z");
    assert_eq!(stage.audited("refusal").len(), 0);
    let said = events(stage.once().at("2026-06-20 22:30:00").run());
    assert_eq!(told(&said), ["applied 1.0.0", "known 1.0.0"]);
}

#[test]
fn what_failed_or_was_left_is_only_installed_by_an_operator() {
    let stage = Stage::new(AUTO);
    let good = stage.release("1.0.0", 1, &[]);
    let bad = stage.vendor.release("2.0.0", 2);
    let bad = bad
        .capability("core/app", "service")
        .program("ask", "exit 1");
    let bad = bad.healthy_if("ask").build();
    let better = stage.release("3.0.0", 3, &[]);
    stage.put(&good, "1.bundle");
    stage.put(&bad, "2.bundle");
    let outcome = stage.once().run();
    assert_eq!(outcome.code(), Some(5), "{outcome}");
    let said = told(&events(outcome));
    assert_eq!(said[0], "went-back 2.0.0");
    assert!(said.contains(&"applied 1.0.0".to_owned()), "{said:?}");
    let again = told(&events(stage.once().run()));
    assert_eq!(again, ["known 1.0.0", "known 2.0.0"]);
    stage.site.apply(&bad).exits(5);

    // Somebody went back from it: it does not come again by itself either.
    stage.put(&better, "3.bundle");
    let said = told(&events(stage.once().run()));
    assert!(said.contains(&"applied 3.0.0".to_owned()), "{said:?}");
    stage.site.installer(["rollback"]).ok();
    let said = events(stage.once().run());
    assert!(
        !told(&said).iter().any(|line| line.starts_with("applied")),
        "{said:?}"
    );
    assert_eq!(stage.site.file("core/app/version"), b"1.0.0");
}

#[test]
fn damaged_content_is_not_installed_again_and_again() {
    let stage = Stage::new(AUTO);
    let bundle = stage.release("1.0.0", 1, &[]);
    let mut bytes = read(&bundle);
    let name = b"packs/0000.tar.zst\0";
    let pack = bytes.windows(name.len()).position(|w| w == name).unwrap();
    bytes[pack + 512 + 20] ^= 1;
    stage.sandbox.write("inbox/1.bundle", &bytes);
    let outcome = stage.once().run();
    assert_eq!(outcome.code(), Some(3), "{outcome}");
    assert_eq!(told(&events(outcome))[0], "failed 1.0.0");
    assert_eq!(told(&events(stage.once().run())), ["known 1.bundle"]);
    // A good copy of the same name, length and time is another file.
    let there = stage.inbox.join("1.bundle");
    let tool = |name: &str, arguments: &[&std::ffi::OsStr]| {
        stage.sandbox.tool(name).args(arguments).run().ok();
    };
    tool("touch", &["-r".as_ref(), there.as_ref(), bundle.as_ref()]);
    std::fs::remove_file(&there).unwrap();
    tool("cp", &["-p".as_ref(), bundle.as_ref(), there.as_ref()]);
    assert_eq!(told(&events(stage.once().run()))[0], "applied 1.0.0");
}

#[test]
fn killed_anywhere_it_goes_on_where_it_was() {
    let stage = Stage::new(AUTO);
    let first = stage.release("1.0.0", 1, &[]);
    let second = stage.release("2.0.0", 2, &[]);
    stage.site.apply(&first).ok();
    stage.put(&second, "2.bundle");
    let command = args!["--output", "json", "watch", "--once", stage.inbox];
    let counted = stage.site.copy("counted");
    let calls = counted.mutating_calls(command.clone());
    for part in 1..8 {
        let site = stage.site.copy(&format!("cut-{part}"));
        site.killed_at(calls * part / 8, command.clone()).killed();
        let runs = site.file("core/app/version");
        assert!(runs == b"1.0.0" || runs == b"2.0.0", "{runs:?}");
        site.installer(command.clone()).ok();
        assert_eq!(site.file("core/app/version"), b"2.0.0", "part {part}");
        site.is_sound();
    }
    // What kills the machine every time is left alone in the end.
    let site = stage.site.copy("killed");
    for _ in 0..3 {
        site.killed_at(calls / 2, command.clone()).killed();
    }
    let said = events(site.installer(command));
    assert_eq!(told(&said), ["known 2.0.0"]);
    assert_eq!(site.file("core/app/version"), b"1.0.0");
    site.apply(&second).ok();
}

#[test]
fn thousands_of_files_hide_nothing() {
    let stage = Stage::new(AUTO);
    let bundle = stage.release("1.0.0", 1, &[]);
    stage.put(&bundle, "z.bundle");
    for number in 0..5000 {
        std::fs::write(stage.inbox.join(format!("{number}.bundle")), "").unwrap();
    }
    let said = told(&events(stage.once().run()));
    assert!(said.contains(&"applied 1.0.0".to_owned()));
    assert_eq!(said.len(), 5002);
}

/// The next event of a watch that goes on.
fn next(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> String {
    let line = lines.next().expect("it goes on").unwrap();
    told(&[serde_json::from_str(&line).unwrap()]).remove(0)
}

fn terminate(child: &Child) {
    let process = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
}

#[test]
fn it_waits_for_folders_and_copies_and_ends_when_told_to() {
    let stage = Stage::new(AUTO);
    let bundle = stage.release("1.0.0", 1, &[]);
    let stick = stage.sandbox.join("stick");
    let command = args![
        "--output",
        "json",
        "watch",
        "--interval",
        "1s",
        stage.inbox,
        stick
    ];
    let mut child = stage.site.command(command).talk();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(next(&mut lines), "missing stick");
    // Nobody else has to wait for a watch that has nothing to do.
    stage.site.installer(["recover"]).ok();
    // Half of it, then all of it.
    let bytes = read(&bundle);
    std::fs::create_dir(&stick).unwrap();
    let half = stage
        .sandbox
        .write("stick/1.bundle", &bytes[..bytes.len() / 2]);
    assert_eq!(next(&mut lines), "incomplete 1.bundle");
    std::fs::write(half, &bytes).unwrap();
    assert_eq!(next(&mut lines), "applied 1.0.0");
    assert_eq!(next(&mut lines), "known 1.0.0");
    // The medium goes and comes back.
    std::fs::rename(&stick, stage.sandbox.join("gone")).unwrap();
    assert_eq!(next(&mut lines), "missing stick");
    let begin = Instant::now();
    terminate(&child);
    assert_eq!(next(&mut lines), "stopped ");
    assert!(child.wait().unwrap().success());
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn the_units_for_systemd_hold_together() {
    let sandbox = Sandbox::new();
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../installer/systemd");
    let program = sealift_tests::sandbox::binary("sealift-installer");
    let mut copies = Vec::new();
    for unit in [
        "sealift-watch.service",
        "sealift-watch.path",
        "sealift-watch.timer",
        "sealift-retention.service",
        "sealift-retention.timer",
    ] {
        let text = String::from_utf8(read(&units.join(unit))).unwrap();
        let program = program.display().to_string();
        let text = text.replace("/usr/bin/sealift-installer", &program);
        copies.push(sandbox.write(format!("units/{unit}"), text));
    }
    let verify = sandbox.tool("systemd-analyze");
    let said = verify.args(["verify", "--man=no"]).args(copies).run().ok();
    assert_eq!(said.stderr, "");
}
