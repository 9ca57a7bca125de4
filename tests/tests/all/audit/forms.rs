//! The forms that other systems take, as other people's parsers read them.

use std::fs;

use sealift_tests::{args, sandbox::Sandbox, site::Site, vendor::Vendor};
use serde_json::Value;

use super::{lines, shown, texts};

/// A site whose log has every kind of text that could end a field.
fn scene() -> (Sandbox, Site) {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let bundle = vendor
        .release("1.0.0", 1)
        .capability("a/b", "config")
        .file("f", "1")
        .build();
    let site = Site::new(&sandbox, &vendor.root());
    let reason = "a=b | c\\d \"e\" ]f[ \\n =| ünï\u{2028}";
    site.installer(args![
        "pin", "add", "suite", "x", "1.0.0", "--reason", reason
    ])
    .ok();
    site.apply(&bundle).fails_with("pinned");
    site.installer(args!["pin", "remove", "suite", "x"]).ok();
    site.apply(&bundle).ok();
    let hostile = sandbox.write("CEF:0|a=b] \"\\ <34>1.bundle", "none");
    let _ = site.apply(&hostile).said();
    (sandbox, site)
}

fn parsed(sandbox: &Sandbox, site: &Site, format: &str) -> Vec<Value> {
    let out = sandbox.join(format);
    site.installer(args!["audit", "export", "--format", format, "-o", out])
        .ok();
    // What goes to standard output is the same, octet for octet.
    let said = site
        .installer(args!["audit", "export", "--format", format])
        .ok();
    assert_eq!(said.stdout, fs::read(&out).unwrap());
    let json = site
        .installer(args![
            "audit", "export", "--format", format, "--output", "json"
        ])
        .ok()
        .json();
    let lines = json["lines"].as_array().unwrap().iter();
    let lines: Vec<&str> = lines.map(|line| line.as_str().unwrap()).collect();
    assert_eq!(format!("{}\n", lines.join("\n")).as_bytes(), said.stdout);
    let python = sandbox.python("read_exports.py").args(args![format, out]);
    python.run().ok().json().as_array().unwrap().clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn cef_says_what_the_log_says() {
    let (sandbox, site) = scene();
    let entries = shown(&site, &[]);
    let parsed = parsed(&sandbox, &site, "cef");
    assert_eq!(parsed.len(), entries.len());
    for (entry, cef) in entries.iter().zip(&parsed) {
        assert_eq!(text(&cef["DeviceEventClassID"]), text(&entry["action"]));
        assert_eq!(text(&cef["externalId"]), entry["sequence"].to_string());
        assert_eq!(text(&cef["deviceExternalId"]), text(&entry["site"]));
        assert_eq!(text(&cef["suid"]), entry["who"]["uid"].to_string());
        assert_eq!(text(&cef["reason"]), text(&entry["reason"]));
        assert_eq!(text(&cef["outcome"]), text(&entry["outcome"]));
        assert_eq!(text(&cef["release"]), text(&entry["release"]["digest"]));
        assert_eq!(text(&cef["previous"]), text(&entry["previous"]));
        assert!(text(&cef["msg"]).contains(text(&entry["subject"])), "{cef}");
        // Milliseconds since 1970.
        let time: sealift_verifier::time::Time = text(&entry["time"]).parse().unwrap();
        assert_eq!(text(&cef["rt"]), (time.unix() * 1000).to_string());
    }
    assert!(
        texts(&parsed, "rules")
            .iter()
            .any(|r| r.contains("pinned deny"))
    );
}

#[test]
fn syslog_says_what_the_log_says() {
    let (sandbox, site) = scene();
    let entries = shown(&site, &[]);
    let parsed = parsed(&sandbox, &site, "syslog");
    assert_eq!(parsed.len(), entries.len());
    for (entry, message) in entries.iter().zip(&parsed) {
        assert_eq!(message["facility"], "audit");
        assert_eq!(message["timestamp"], entry["time"]);
        assert_eq!(message["msgid"], entry["action"]);
        assert_eq!(message["appname"], "sealift-installer");
        let data = &message["sd"]["audit@32473"];
        assert_eq!(text(&data["sequence"]), entry["sequence"].to_string());
        assert_eq!(text(&data["subject"]), text(&entry["subject"]));
        assert_eq!(text(&data["release"]), text(&entry["release"]["digest"]));
        assert_eq!(text(&data["phase"]), text(&entry["phase"]));
        assert!(
            text(&message["msg"]).starts_with('\u{feff}'),
            "UTF-8 is said (RFC 5424 6.4)"
        );
        assert!(
            text(&message["msg"]).contains(text(&entry["subject"])),
            "{message}"
        );
    }
}

#[test]
fn json_lines_are_the_lines_of_the_log() {
    let (sandbox, site) = scene();
    let out = sandbox.join("out");
    site.installer(args!["audit", "export", "--format", "jsonl", "-o", out])
        .ok();
    assert_eq!(fs::read_to_string(&out).unwrap(), lines(&site).concat());
    site.installer(args!["audit", "export", "--format", "jsonl", "-o", out])
        .fails_with("already-exists");
    let json = site
        .installer(args![
            "audit", "export", "--format", "jsonl", "--output", "json"
        ])
        .ok()
        .json();
    assert_eq!(json["lines"].as_array().unwrap(), &shown(&site, &[]));
}
