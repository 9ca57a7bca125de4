//! The compliance report says what the audit log says, and nothing that came with content can deceive in it.

use sealift_tests::{args, sandbox::Sandbox, site::Site, vendor::Vendor};
use serde_json::{Value, json};

fn release(vendor: &Vendor, version: &str, counter: u64, fix: &str) -> std::path::PathBuf {
    let fixes = format!("fixes = [\"{fix}\"]");
    vendor
        .release(version, counter)
        .field("severity = \"high\"")
        .field(&fixes)
        .capability("core/app", "service")
        .file("version", version)
        .build()
}

fn report(site: &Site, more: &[&str]) -> Value {
    let command = site.command(args!["report", "--output", "json"]);
    command.args(more).run().ok().json()
}

#[test]
fn a_report_counts_what_happened_and_names_what_is_open() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let site = Site::new(&sandbox, &vendor.root());
    let first = release(&vendor, "1.0.0", 1, "CVE-2026-1111");
    let second = release(&vendor, "1.1.0", 2, "CVE-2026-2222");
    let third = release(&vendor, "1.2.0", 3, "CVE-2026-3333");
    site.apply(&first).ok();
    site.apply(&second).ok();
    site.installer(args!["rollback"]).ok();
    let reason = "<script>alert(1)</script>";
    let pin = args![
        "pin",
        "add",
        "capability",
        "core/app",
        "<1.2",
        "--reason",
        reason
    ];
    site.installer(pin).ok();
    site.apply(&third).fails_with("pinned");

    let said = report(&site, &[]);
    let summary = &said["summary"];
    let expected = [
        ("deployments", 2),
        ("succeeded", 2),
        ("went-back", 0),
        ("failed", 0),
        ("success-percent", 100),
        ("compliance-percent", 100),
        ("rollbacks", 1),
        ("refusals", 1),
        ("exceptions", 0),
    ];
    for (name, number) in expected {
        assert_eq!(summary[name], json!(number), "{name}");
    }
    assert_eq!(said["running"]["version"], "1.0.0");
    assert_eq!(said["log"]["sound"], true);
    assert_eq!(said["releases"][1]["version"], "1.1.0");
    assert_eq!(said["releases"][1]["outcome"], "done");
    // 1.0.0 runs again: what 1.1.0 corrected is open, and so is what was refused.
    let open: Vec<_> = said["open-advisories"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| &a["id"])
        .collect();
    assert_eq!(open, ["CVE-2026-2222", "CVE-2026-3333"]);

    let file = sandbox.join("report.html");
    site.installer(args!["report", "-o", file]).ok();
    let html = String::from_utf8(std::fs::read(&file).unwrap()).unwrap();
    assert!(!html.contains("<script"), "{html}");
    assert!(
        html.contains("&lt;script") && html.contains("CVE-2026-3333"),
        "{html}"
    );
    site.installer(args!["report", "-o", file])
        .fails_with("already-exists");

    let before = report(&site, &["--to", "2020-01-01"]);
    assert_eq!(before["summary"]["deployments"], 0);
    assert_eq!(before["summary"]["success-percent"], Value::Null);
}

#[test]
fn a_report_about_a_log_that_was_changed_says_so() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let site = Site::new(&sandbox, &vendor.root());
    site.apply(&release(&vendor, "1.0.0", 1, "CVE-2026-1111"))
        .ok();
    let path = site.state().join("audit/log.jsonl");
    let log = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
    std::fs::write(&path, log.replace("\"1.0.0\"", "\"1.0.1\"")).unwrap();
    let said = site.installer(args!["report"]).fails_with("audit-damaged");
    assert!(said.text().contains("DAMAGED"), "{}", said.text());
}

#[test]
fn retention_is_what_the_policy_says() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let site = Site::new(&sandbox, &vendor.root());
    site.installer(args!["audit", "cut"]).fails_with("usage");
    sandbox.write(
        "policy/policy.toml",
        "format = 1\n[audit]\nkeep = \"30d\"\n",
    );
    site.installer(args!["policy", "set", sandbox.join("policy")])
        .ok();
    let removed = |outcome: sealift_tests::program::Outcome| outcome.ok().json()["removed"].clone();
    let file = sandbox.join("archive.jsonl");
    let cut = || site.command(args!["audit", "cut", "--out", file, "--output", "json"]);
    assert_eq!(removed(cut().run()), 0);
    assert!(!file.exists());
    // A clock that goes ahead puts away, and destroys nothing.
    let forward = "2036-01-01 00:00:00";
    let before = site.listing().without("lock");
    let unsaved = site.command(args!["audit", "cut"]).at(forward).run();
    unsaved.fails_with("usage");
    assert_eq!(site.listing().without("lock"), before);
    assert_ne!(removed(cut().at(forward).run()), 0);
    assert!(file.exists());
    site.installer(args!["audit", "verify"]).ok();
}
