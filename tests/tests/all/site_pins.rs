//! What a site's operator says and asks beside installing: pins, the facts of the site, whether there is a way
//! back, and the licenses of what runs.

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf};

use sealift_tests::{
    args,
    sandbox::{Sandbox, read},
    site::Site,
    vendor::Vendor,
};
use sealift_verifier::digest::Digest;
use serde_json::{Value, json};

/// A release whose one capability, `core/app`, has the release's version and these lines.
fn release(vendor: &Vendor, version: &str, counter: u64, fields: &[&str], lines: &str) -> PathBuf {
    let mut draft = vendor.release(version, counter);
    for field in fields {
        draft = draft.field(field);
    }
    draft
        .capability("core/app", "service")
        .file("version", version)
        .program("bin/check", "exit 0")
        .healthy_if("bin/check")
        .lines(lines)
        .build()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn codes(json: &Value) -> Vec<&str> {
    let denials = json.as_array().unwrap().iter();
    denials.map(|d| d["code"].as_str().unwrap()).collect()
}

#[test]
fn a_pin_refuses_what_goes_against_it_until_it_is_taken_away() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let first = release(&vendor, "1.0.0", 1, &[], "");
    let second = release(&vendor, "2.0.0", 2, &[], "");
    let site = Site::new(&sandbox, &vendor.root());
    let add = args![
        "pin",
        "add",
        "capability",
        "core/app",
        "^1",
        "--reason",
        "audit until May"
    ];
    site.installer(&add).ok();
    site.installer(args!["pin", "add", "suite", "other", "1.0.0"])
        .ok();
    let said = site.apply(&first).exits(4);
    assert!(
        said.stderr.contains("error[pinned]") && said.stderr.contains("other"),
        "{}",
        said.stderr
    );
    site.installer(args!["pin", "remove", "suite", "other"])
        .ok();
    site.installer(args!["pin", "remove", "suite", "other"])
        .fails_with("not-pinned");
    site.apply(&first).ok();

    let plan = site
        .installer(args!["plan", second, "--output", "json"])
        .exits(4)
        .json();
    assert_eq!(codes(&plan["denials"]), ["pinned"]);
    assert_eq!(
        plan["denials"][0]["message"],
        "the capability core/app is pinned to ^1 here (audit until May), the release has 2.0.0"
    );
    let before = site.listing().without("lock").without("audit");
    let said = site.apply(&second).exits(4);
    assert!(said.stderr.contains("audit until May"), "{}", said.stderr);
    assert_eq!(
        site.listing().without("lock").without("audit"),
        before,
        "a refusal changes nothing"
    );
    let pins = &site.status()["pins"];
    assert_eq!(pins[0]["version"], "^1");
    assert_eq!(pins[0]["reason"], "audit until May");
    let listed = site
        .installer(args!["pin", "list", "--output", "json"])
        .ok()
        .json();
    assert_eq!(listed["pins"], *pins);

    let add = args![
        "pin",
        "add",
        "capability",
        "core/app",
        "2.0.0",
        "--output",
        "json"
    ];
    let said = site.installer(add).ok().json();
    assert_eq!(
        (&said["before"]["version"], &said["violated"]),
        (&json!("^1"), &json!(true))
    );
    site.apply(&second).ok();
    site.installer(args!["pin", "add", "module", "core/app", "2.0.0"])
        .exits(2);
    site.installer(args!["pin", "add", "suite", "core", "newest"])
        .exits(2);
    site.is_sound();
}

#[test]
fn a_pin_that_is_cut_is_there_or_not() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let site = Site::new(&sandbox, &vendor.root());
    let command = args!["pin", "add", "suite", "core", "1.0.0"];
    let calls = site.copy("counted").mutating_calls(&command);
    assert!(calls > 3, "only {calls} calls");
    for call in 1..=calls {
        let name = format!("cut{call}");
        let copy = site.copy(&name);
        copy.killed_at(call, &command).killed();
        let pins = copy.status()["pins"].as_array().unwrap().len();
        assert!(pins <= 1, "call {call}");
        copy.is_sound();
        copy.installer(&command).ok();
        assert_eq!(
            copy.status()["pins"].as_array().unwrap().len(),
            1,
            "call {call}"
        );
        copy.is_sound();
    }
}

#[test]
fn everything_that_speaks_against_a_release_is_told_at_once() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let first = release(&vendor, "1.0.0", 1, &["upgrade-from = \">=0.9\""], "");
    let second = release(
        &vendor,
        "2.0.0",
        2,
        &[
            "upgrade-from = \">=1.5\"",
            "severity = \"high\"",
            "fixes = [\"CVE-2026-1234\"]",
            "changes = [\"better\"]",
        ],
        "[hardware]\ncpu = 1000000\nmemory = \"900 TiB\"\n",
    );
    let site = Site::new(&sandbox, &vendor.root());
    // Nothing is upgraded by the first release.
    site.apply(&first).ok();
    site.installer(args!["pin", "add", "capability", "core/app", "<2"])
        .ok();
    let said = site
        .installer(args!["plan", second, "--output", "json"])
        .exits(4)
        .json();
    let expected = [
        "upgrade-from",
        "hardware-insufficient",
        "hardware-insufficient",
        "pinned",
    ];
    assert_eq!(codes(&said["denials"]), expected);
    assert_eq!(codes(&said["error"]["denials"]), expected);
    assert_eq!(said["severity"], "high");
    assert_eq!(said["fixes"], json!(["CVE-2026-1234"]));
    assert_eq!(said["changes"], json!(["better"]));
    site.apply(&second).fails_with("upgrade-from");
    assert_eq!(site.current(), Some(1));
}

#[test]
fn a_release_for_another_mode_or_machine_is_refused() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let edge = release(&vendor, "1.0.0", 1, &["modes = [\"edge\"]"], "");
    let mainframe = release(&vendor, "1.1.0", 2, &["platforms = [\"linux/s390x\"]"], "");
    let both = release(
        &vendor,
        "1.2.0",
        3,
        &[
            "modes = [\"edge\"]",
            "platforms = [\"linux/s390x\", \"linux/riscv64\"]",
        ],
        "",
    );
    let site = Site::with(&sandbox, "site", &vendor.root(), &["--mode", "on-prem"]);
    let before = site.listing().without("lock").without("audit");
    let mode = (
        "mode-mismatch",
        "this site runs on-prem, the release is for edge",
    );
    let machine = |platforms: &str| {
        let here = text(&site.installer(args!["facts"]).ok().json()["platform"]);
        let detail = format!("this machine is {here}, the release is for {platforms}");
        ("platform-mismatch", detail)
    };
    let (one, several) = (
        machine("linux/s390x"),
        machine("linux/riscv64, linux/s390x"),
    );
    for (bundle, denials) in [
        (&edge, vec![mode]),
        (&mainframe, vec![(one.0, &*one.1)]),
        (&both, vec![mode, (several.0, &*several.1)]),
    ] {
        let plan = args!["plan", bundle, "--output", "json"];
        let said = site.installer(plan).exits(4).json();
        let told = said["denials"].as_array().unwrap().iter();
        let told: Vec<_> = told
            .map(|denial| (text(&denial["code"]), text(&denial["message"])))
            .collect();
        let expected: Vec<_> = denials
            .iter()
            .map(|(code, detail)| ((*code).to_owned(), (*detail).to_owned()))
            .collect();
        assert_eq!(told, expected);
        let said = site.apply(bundle).exits(4);
        let [(code, _), others @ ..] = &denials[..] else {
            unreachable!("each is refused")
        };
        let begin = format!("error[{code}]: ");
        assert!(said.stderr.contains(&begin), "{}", said.stderr);
        for (code, detail) in others {
            let told = format!("also, {code}: {detail}");
            assert!(said.stderr.contains(&told), "{told}: {}", said.stderr);
        }
        assert_eq!(
            site.listing().without("lock").without("audit"),
            before,
            "a refusal changes nothing"
        );
    }
    // It is the site that does not suit, not the bundle; one that says no mode takes any.
    for (name, more) in [("edge", &["--mode", "edge"][..]), ("any", &[])] {
        let other = Site::with(&sandbox, name, &vendor.root(), more);
        other.apply(&edge).ok();
        other.apply(&both).fails_with("platform-mismatch");
    }
}

#[test]
fn a_site_tells_its_vendor_what_it_is() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let bundle = release(&vendor, "1.0.0", 1, &["security-floor = \"1.0.0\""], "");
    let site = Site::with(&sandbox, "site", &vendor.root(), &["--mode", "edge"]);
    let fresh = site.installer(args!["facts"]).ok().json();
    assert_eq!(
        (&fresh["product"], &fresh["installed"]),
        (&Value::Null, &Value::Null)
    );
    site.apply(&bundle).ok();
    site.installer(args!["pin", "add", "suite", "core", "1.0.0"])
        .ok();
    let file = sandbox.join("FACTS.json");
    site.installer(args!["facts", "-o", file]).ok();
    site.installer(args!["facts", "-o", file])
        .fails_with("already-exists");
    let facts: Value = serde_json::from_slice(&sealift_tests::sandbox::read(&file)).unwrap();
    for (key, value) in [
        ("format", json!(1)),
        ("product", json!("test")),
        ("counter", json!(1)),
        ("security-floor", json!("1.0.0")),
        ("mode", json!("edge")),
        ("pins", site.status()["pins"].clone()),
    ] {
        assert_eq!(facts[key], value, "{key}");
    }
    let digest = &site.status()["current"]["release"];
    assert_eq!(facts["installed"]["release-digest"], *digest);
    assert!(facts["hardware"]["cpu"].as_u64().unwrap() > 0);
    assert!(facts["hardware"]["memory"].as_u64().unwrap() > 0);
    assert!(facts["platform"].as_str().unwrap().starts_with("linux/"));
}

#[test]
fn nothing_goes_back_over_a_change_of_data_but_a_release_that_fails() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let migration = "[[migrations]]\nname = \"0001\"\nup = \"version\"\n";
    let first = release(&vendor, "1.0.0", 1, &[], "");
    let second = release(&vendor, "2.0.0", 2, &[], migration);
    let broken = vendor
        .release("3.0.0", 3)
        .capability("core/app", "service")
        .file("version", "3.0.0")
        .program("bin/check", "exit 1")
        .healthy_if("bin/check")
        .lines(migration)
        .lines("[[migrations]]\nname = \"0002\"\nup = \"version\"\n")
        .build();
    let site = Site::new(&sandbox, &vendor.root());
    site.apply(&first).ok();
    let plan = site
        .installer(args!["plan", second, "--output", "json"])
        .ok()
        .json();
    assert_eq!(
        plan["no-way-back"],
        json!([{ "capability": "core/app", "migration": "0001" }])
    );
    site.apply(&second).ok();
    assert_eq!(codes(&site.status()["previous-denials"]), ["no-way-back"]);
    let said = site.installer(args!["rollback"]).exits(4);
    assert!(
        said.stderr.contains("error[no-way-back]"),
        "{}",
        said.stderr
    );
    assert_eq!(site.current(), Some(2));
    // What fails is left, whatever it says of its data.
    site.apply(&broken).exits(5);
    assert_eq!(site.current(), Some(2));
    site.is_sound();
}

#[test]
fn license_texts_are_shown_once_with_all_who_carry_them() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let mut draft = vendor.release("1.0.0", 1);
    for name in ["core/a", "core/b"] {
        draft = draft
            .capability(name, "config")
            .lines("license = \"MIT\"\n")
            .file("LICENSE", "The very text\u{1b}[2J\n");
    }
    let definition = draft.define();
    for name in ["core/a", "core/b"] {
        let folder = definition
            .with_file_name("catalog-1.0.0/capabilities")
            .join(name);
        let path = folder.join("1.0.0/capability.toml");
        let text = String::from_utf8(sealift_tests::sandbox::read(&path)).unwrap();
        std::fs::write(path, text.replace("type = \"file\"", "type = \"notice\"")).unwrap();
    }
    let site = Site::new(&sandbox, &vendor.root());
    site.apply(&vendor.build(&definition)).ok();
    let said = site.installer(args!["notices"]).ok();
    let text = said.text();
    assert_eq!(text.matches("The very text").count(), 1, "{text}");
    assert!(
        text.contains("text 1: core/a LICENSE, core/b LICENSE"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "a terminal is not moved");
    let json = site
        .installer(args!["notices", "core/b", "--output", "json"])
        .ok()
        .json();
    assert_eq!(json["capabilities"].as_array().unwrap().len(), 1);
    assert_eq!(json["capabilities"][0]["license"], "MIT");
    assert_eq!(json["texts"][0]["text"], "The very text\u{1b}[2J\n");
    site.installer(args!["notices", "core/c"])
        .fails_with("capability-unknown");
}

#[test]
fn a_site_shows_bills_of_materials_and_gives_its_bundles_back() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let bundles = ["1.0.0", "2.0.0"].map(|version| {
        let counter = u64::from(version == "2.0.0") + 1;
        release(&vendor, version, counter, &[], "")
    });
    let site = Site::new(&sandbox, &vendor.root());
    site.installer(args!["sbom"])
        .fails_with("generation-unknown");
    for bundle in &bundles {
        site.apply(bundle).ok();
    }
    // What a site shows is, byte for byte, what an officer takes out of the bundle.
    for (number, bundle) in (1..).zip(&bundles) {
        let out = sandbox.join(format!("out-{number}"));
        let verifier = sandbox.program("sealift-verifier");
        let root = vendor.root();
        let extract = args!["extract", bundle, "sbom", "--to", out, "--root", root];
        verifier.args(extract).run().ok();
        let number = number.to_string();
        for (format, name, found) in [
            ("cyclonedx", "bom.cdx.json", "cyclonedx-1.6+json"),
            ("spdx", "bom.spdx.json", "spdx-2.3+json"),
            ("spdx3", "bom.spdx3.json", "spdx-3.0.1+json-ld"),
        ] {
            let expected = read(&out.join("sbom").join(name));
            let ask = args!["sbom", "--generation", number, "--format", format];
            let said = site.installer(&ask).ok();
            assert!(said.stdout == expected, "{number} {format}");
            let file = sandbox.join(format!("{number}-{name}"));
            let ask = [&ask[..], &args!["-o", file, "--output", "json"][..]].concat();
            let json = site.installer(&ask).ok().json();
            assert_eq!(json["format"], found);
            assert_eq!(json["generation"].to_string(), number);
            assert_eq!(json["digest"], Digest::of(&expected).to_hex());
            assert_eq!(json["size"], expected.len());
            assert!(read(&file) == expected);
            site.installer(&ask).fails_with("already-exists");
        }
        let again = sandbox.join(format!("again-{number}.bundle"));
        let export = args!["export", number, "-o", again];
        site.installer(&export).ok();
        assert!(read(&again) == read(bundle), "generation {number}");
        site.installer(&export).fails_with("already-exists");
    }
    // Without a question, it is the current one in the first format.
    let said = site.installer(args!["sbom"]).ok();
    assert!(said.stdout == read(&sandbox.join("2-bom.cdx.json")));
    for command in [
        args!["sbom", "--generation", "9"].to_vec(),
        args!["export", "9", "-o", sandbox.join("none")].to_vec(),
    ] {
        site.installer(command).fails_with("generation-unknown");
    }

    // A bill that was changed on the disk is neither shown nor given on.
    let bill = site.state().join("current/sbom/bom.cdx.json");
    let mut bytes = read(&bill);
    bytes[9] ^= 1;
    std::fs::set_permissions(&bill, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&bill, bytes).unwrap();
    let _ = site.installer(args!["sbom"]).exits(1);
    site.installer(args!["sbom", "--format", "spdx"]).ok();
    let out = sandbox.join("bad.bundle");
    site.installer(args!["export", "2", "-o", out])
        .fails_with("digest-mismatch");
    assert!(!out.exists());
    site.installer(args!["fsck"]).exits(1);
    site.installer(args!["fsck", "--from", bundles[1]]).ok();
    let said = site.installer(args!["sbom"]).ok();
    assert!(said.stdout == read(&sandbox.join("2-bom.cdx.json")));
    site.is_sound();
}
