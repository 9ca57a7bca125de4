//! A clock that is wrong during one step: ten years behind, ten years ahead, or what a machine without a battery
//! begins with. What is refused then, what never is, and that nothing of it lasts.

use std::ffi::OsString;

use super::*;

const RIGHT: &str = "2026-06-15 12:00:00";
const LATER: &str = "2026-06-16 12:00:00";
const BACK: &str = "2016-06-15 12:00:00";
const FORWARD: &str = "2036-06-15 12:00:00";
const RESET: &str = "1970-01-01 00:00:07";

/// A site on 1.0.0 with 2.0.0 to come, everything that this takes, and who does it.
struct Stage {
    sandbox: Sandbox,
    site: Site,
    next: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let vendor = Vendor::new(&sandbox);
        let first = release(&vendor, "1.0.0", 1, &["severity = \"high\""]);
        let next = release(&vendor, "2.0.0", 2, &["severity = \"high\""]);
        let mut policy = "[deployment]\nenvironment = \"staging\"\nchannel = \"manual\"\n[approvals]\nrequired = 1\n".to_owned();
        for (name, roles) in [("ada", "\"operator\""), ("bo", "\"approver\"")] {
            policy += &with_key(&sandbox, name, roles).1;
        }
        let site = Site::with(&sandbox, "site", &vendor.root(), &[]);
        let key = vendor_key(&vendor, "license");
        sandbox.write("license", sign(&license(), &[&key]));
        sandbox.write("policy/policy.toml", format!("format = 1\n{policy}"));
        let stage = Self {
            sandbox,
            site,
            next,
        };
        for step in ["license", "policy"] {
            stage.at(&stage.site, RIGHT, step).ok();
        }
        for step in ["request", "approve", "approval", "apply"] {
            stage.step(&stage.site, RIGHT, step, &first, "first").ok();
        }
        stage
    }

    fn arguments(&self, step: &str, bundle: &Path, name: &str) -> Vec<OsString> {
        let file = |what: &str| self.sandbox.join(format!("{name}.{what}"));
        let key = |who: &str| self.sandbox.join(format!("{who}.pem"));
        match step {
            "license" => args!["license", "add", self.sandbox.join("license")].to_vec(),
            "policy" => args!["policy", "set", self.sandbox.join("policy")].to_vec(),
            "request" => args![
                "request",
                bundle,
                "--key",
                key("ada"),
                "-o",
                file("request")
            ]
            .to_vec(),
            "approve" => args![
                "approve",
                file("request"),
                "--key",
                key("bo"),
                "--yes",
                "-o",
                file("approval")
            ]
            .to_vec(),
            "approval" => args!["approval", "add", file("approval")].to_vec(),
            "plan" => args!["plan", bundle].to_vec(),
            "apply" => args!["apply", bundle, "--yes"].to_vec(),
            "attest" => args!["attest", "-o", file("attestation")].to_vec(),
            "audit" => args!["audit", "verify"].to_vec(),
            "audit export" => args!["audit", "export", "--format", "jsonl"].to_vec(),
            "report" => args!["report", "-o", file("report")].to_vec(),
            "sbom" => args!["sbom", "--format", "cyclonedx"].to_vec(),
            "export" => args!["export", "2", "-o", file("bundle")].to_vec(),
            "prune" => args!["prune", "--keep", "1"].to_vec(),
            other => args![other].to_vec(),
        }
    }

    fn step(&self, site: &Site, at: &str, step: &str, bundle: &Path, name: &str) -> Outcome {
        let command = site.command(self.arguments(step, bundle, name));
        command.at(at).run()
    }

    fn at(&self, site: &Site, at: &str, step: &str) -> Outcome {
        let name = site.state().parent().and_then(Path::file_name).unwrap();
        self.step(site, at, step, &self.next, name.to_str().unwrap())
    }
}

const CLOCKS: [(&str, &str); 3] = [("back", BACK), ("forward", FORWARD), ("reset", RESET)];

fn said(outcome: &Outcome) -> String {
    match outcome.code() {
        Some(0) => "ok".to_owned(),
        code => outcome
            .error()
            .map_or_else(|| format!("{code:?}"), ToOwned::to_owned),
    }
}

/// The steps of an upgrade, in order.
const UPGRADE: [&str; 5] = ["request", "approve", "approval", "plan", "apply"];

#[test]
fn an_upgrade_with_a_wrong_clock_during_one_step() {
    // What each step says if the clock is wrong during this one, and in the end `apply` with the right clock.
    let expected = |clock: &str, wrong: &str| match (clock, wrong) {
        // By then the release has expired, and what was not asked for is not approved.
        ("forward", "request") => [
            "metadata-expired",
            "not-found",
            "io",
            "approvals-missing",
            "approvals-missing",
            "approvals-missing",
        ],
        ("forward", "plan") => ["ok", "ok", "ok", "metadata-expired", "ok", "ok"],
        ("forward", "apply") => ["ok", "ok", "ok", "ok", "metadata-expired", "ok"],
        // What an approver's clock says was given in ten years is not taken, and what a site's clock says is to come.
        ("forward", "approve") | ("back" | "reset", "approval") => [
            "ok",
            "ok",
            "approval-unusable",
            "approvals-missing",
            "approvals-missing",
            "approvals-missing",
        ],
        // It ended long ago: seven days after it was given.
        ("back" | "reset", "approve") => [
            "ok",
            "ok",
            "ok",
            "approvals-missing",
            "approvals-missing",
            "approvals-missing",
        ],
        _ => ["ok"; 6],
    };
    let stage = Stage::new();
    for (clock, time) in CLOCKS {
        for wrong in UPGRADE {
            let site = stage.site.copy(&format!("{clock}-{wrong}"));
            let at = |step| if step == wrong { time } else { LATER };
            let steps = UPGRADE.map(|step| said(&stage.at(&site, at(step), step)));
            let last = said(&stage.at(&site, LATER, "apply"));
            let found: Vec<_> = steps.iter().chain([&last]).collect();
            let expected = expected(clock, wrong);
            assert_eq!(found, expected, "clock {clock} during {wrong}");
            let version = if last == "ok" { "2.0.0" } else { "1.0.0" };
            assert_eq!(site.file("core/app/version"), version.as_bytes());
        }
    }
}

#[test]
fn what_runs_is_never_held_up_by_a_clock() {
    let stage = Stage::new();
    for step in UPGRADE {
        let done = stage.step(&stage.site, LATER, step, &stage.next, "second");
        done.ok();
    }
    for (clock, time) in CLOCKS {
        for step in [
            "rollback",
            "recover",
            "fsck",
            "prune",
            "status",
            "history",
            "audit",
            "audit export",
            "report",
            "attest",
            "facts",
            "sbom",
            "export",
            "license",
            "policy",
        ] {
            let name = format!("{clock}-{}", step.replace(' ', "-"));
            let site = stage.site.copy(&name);
            let found = stage.at(&site, time, step);
            assert_eq!(said(&found), "ok", "clock {clock} during {step}: {found}");
            // Nothing of it lasts.
            let after = |step| said(&stage.at(&site, LATER, step));
            assert_eq!(after("audit"), "ok", "clock {clock} during {step}");
            assert_eq!(after("fsck"), "ok", "clock {clock} during {step}");
            let again = if matches!(step, "rollback" | "prune") {
                continue;
            } else {
                after("rollback")
            };
            assert_eq!(again, "ok", "clock {clock} during {step}");
        }
    }
}

#[test]
fn a_power_cut_that_resets_the_clock_leaves_the_old_release_or_the_new() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let bundle = |version, counter| {
        let draft = vendor.release(version, counter);
        let app = draft.capability("core/app", "service");
        app.file("version", version).build()
    };
    let (first, next) = (bundle("1.0.0", 1), bundle("2.0.0", 2));
    let site = Site::with(&sandbox, "site", &vendor.root(), &[]);
    site.apply(&first).ok();
    let command = args!["apply", next, "--yes"];
    let calls = site.copy("counted").mutating_calls(command.clone());
    for part in 1..6 {
        for (clock, time) in CLOCKS {
            let site = site.copy(&format!("{clock}-{part}"));
            site.killed_at(calls * part / 6, command.clone()).killed();
            site.command(args!["recover"]).at(time).run().ok();
            let runs = site.file("core/app/version");
            assert!(runs == b"1.0.0" || runs == b"2.0.0", "{runs:?}");
            site.command(args!["fsck"]).at(time).run().ok();
            site.apply(&next).ok();
            assert_eq!(site.file("core/app/version"), b"2.0.0");
        }
    }
}
