//! What `compat --site` says is what the site says itself.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use sealift_tests::{args, sandbox::Sandbox, site::Site, vendor::Vendor};
use serde_json::{Value, json};

/// What only the site can say, by the codes that it refuses with.
const LEFT: [(&str, &str); 2] = [("license-missing", "license"), ("no-space", "space")];

/// A release with `core/app`, which has these lines.
fn release(vendor: &Vendor, version: &str, counter: u64, fields: &str, lines: &str) -> PathBuf {
    let draft = vendor.release(version, counter).field(fields);
    let draft = draft.capability("core/app", "service");
    draft.file("version", version).lines(lines).build()
}

fn codes(denials: &Value) -> Vec<&str> {
    let denials = denials.as_array().unwrap().iter();
    let mut codes: Vec<&str> = denials.map(|d| d["code"].as_str().unwrap()).collect();
    codes.sort_unstable();
    codes
}

/// A definition has no digest that its counter could be held to, but its version may show that it is another release.
#[test]
fn a_definition_with_a_counter_that_the_site_has_used() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let define = |version: &str, counter: u64| {
        let draft = vendor.release(version, counter);
        let draft = draft.capability("core/app", "service");
        draft.file("version", version).define()
    };
    let (old, new) = (define("1.0.0", 1), define("1.0.1", 2));
    let [here, other] = ["1", "2"].map(|digit| digit.repeat(64));
    let facts = sandbox.join("FACTS.json");
    let ask = |installed: &str, had: &str| {
        let known = json!({
            "format": 1,
            "product": "test",
            "counter": 2,
            "counter-release": had,
            "installed": { "version": installed, "release-digest": here },
        });
        sealift_tests::sandbox::write(&facts, known.to_string());
        let bundler = sandbox.program("sealift-bundler");
        let compat = args!["compat", old, new, "--site", facts, "--output", "json"];
        bundler.args(compat).run().said().json()["site"].clone()
    };
    let site = ask("1.0.0", &here);
    assert!(
        codes(&site["denials"]).contains(&"counter-reused"),
        "{site}"
    );
    // It may be the very release that was taken back there.
    for (installed, had) in [("1.0.0", &other), ("1.0.1", &here)] {
        let site = ask(installed, had);
        assert!(
            !codes(&site["denials"]).contains(&"counter-reused"),
            "{site}"
        );
        let left = site["left-to-site"].as_array().unwrap();
        assert!(left.contains(&json!("counter")), "{site}");
    }
}

/// What both say of `new`, at a site that should run `old`; the codes of all that speaks against it.
fn ask(vendor: &Vendor, site: &Site, old: &Path, new: &Path) -> BTreeSet<String> {
    let facts = vendor.sandbox.join("FACTS.json");
    let _ = std::fs::remove_file(&facts);
    site.installer(args!["facts", "--out", facts]).ok();
    let bundler = vendor.sandbox.program("sealift-bundler");
    let compat = bundler
        .args(args!["compat", old, new, "--root", vendor.root()])
        .args(args!["--site", facts, "--output", "json"])
        .run();
    let code = compat.code();
    let compat = compat.said().json();
    let plan = site.installer(args!["plan", new, "--output", "json"]);
    let plan = plan.said().json();

    let shown = new.file_name().unwrap().display();
    let said = codes(&compat["site"]["denials"]);
    let left = compat["site"]["left-to-site"].as_array().unwrap();
    let denied = codes(&plan["denials"]);
    let (others, denied): (Vec<&str>, Vec<&str>) = denied
        .into_iter()
        .partition(|code| LEFT.iter().any(|(left, _)| left == code));
    assert_eq!(said, denied, "{shown}: {compat:#} {plan:#}");
    for code in &others {
        let (_, rule) = LEFT.iter().find(|(left, _)| left == code).unwrap();
        assert!(left.contains(&json!(rule)), "{shown}: {code}: {left:?}");
    }
    let possible = said.is_empty();
    assert_eq!(compat["site"]["possible"], possible, "{shown}");
    assert!(possible || code == Some(4), "{shown}: {code:?}");
    // The ways back are the same, but for a floor, which the plan tells on its own.
    let reasons = compat["back"]["reasons"].as_array().unwrap();
    let migrations = reasons
        .iter()
        .filter(|r| r.as_str().unwrap().ends_with("has no way back"));
    let obstacles = plan["no-way-back"].as_array().map_or(0, Vec::len);
    if compat["site"]["runs-other"].is_null() {
        assert_eq!(
            migrations.count(),
            obstacles,
            "{shown}: {compat:#} {plan:#}"
        );
    }
    let told = said.into_iter().chain(others);
    told.map(str::to_owned).collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a row for each rule")]
fn a_vendor_is_told_what_the_site_would_say() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let disk = "[hardware]\ndisk = \"1 MB\"\n";
    let one_way = "[[migrations]]\nname = \"0001\"\nup = \"version\"\n";
    let first = release(&vendor, "1.0.0", 2, "security-floor = \"1.0.0\"", disk);
    let site = Site::with(&sandbox, "site", &vendor.root(), &["--mode", "on-prem"]);
    // Before anything runs.
    assert_eq!(ask(&vendor, &site, &first, &first), BTreeSet::new());
    site.apply(&first).ok();

    let build = |version, counter, fields, lines| release(&vendor, version, counter, fields, lines);
    let later = [
        (build("2.0.0", 3, "", disk), &[][..]),
        (
            build("2.0.1", 4, "modes = [\"edge\"]", ""),
            &["mode-mismatch"],
        ),
        (
            build("2.0.2", 5, "platforms = [\"linux/s390x\"]", ""),
            &["platform-mismatch"],
        ),
        (
            build(
                "2.0.3",
                6,
                "",
                "[hardware]\ncpu = 1000000\ndisk = \"900 TB\"\n",
            ),
            &["hardware-insufficient"],
        ),
        (
            build("2.0.4", 7, "upgrade-from = \">=1.5\"", ""),
            &["upgrade-from"],
        ),
        (
            build("2.0.5", 8, "licensed = true", ""),
            &["license-missing"],
        ),
        (build("2.0.6", 9, "", one_way), &[]),
        (build("0.9.0", 10, "", ""), &["below-security-floor"]),
        (build("1.0.1", 2, "", ""), &["counter-reused"]),
        (build("1.0.2", 1, "", ""), &["counter-too-low"]),
        (
            build(
                "2.0.7",
                11,
                "modes = [\"edge\"]\nplatforms = [\"linux/s390x\"]\nupgrade-from = \">=1.5\"",
                "[hardware]\nmemory = \"900 TB\"\n",
            ),
            &[
                "hardware-insufficient",
                "mode-mismatch",
                "platform-mismatch",
                "upgrade-from",
            ],
        ),
        (
            vendor
                .release("2.0.8", 12)
                .capability("core/app", "service")
                .file("version", "2.0.8")
                .capability("core/new", "service")
                .file("version", "2.0.8")
                .lines(one_way)
                .build(),
            &[],
        ),
        // What runs there already is nothing to speak against.
        (first.clone(), &[]),
    ];
    for (new, expected) in &later {
        let expected = expected.iter().map(|code| (*code).to_owned()).collect();
        assert_eq!(
            ask(&vendor, &site, &first, new),
            expected,
            "{}",
            new.display()
        );
    }

    for pin in [
        args!["pin", "add", "capability", "core/app", "^1"],
        args!["pin", "add", "suite", "other", "1.0.0"],
    ] {
        site.installer(pin).ok();
    }
    for (new, expected) in &later {
        let mut expected: BTreeSet<String> = expected.iter().map(|c| (*c).to_owned()).collect();
        // A pin does not speak against what runs.
        if *new != first {
            expected.insert("pinned".into());
        }
        assert_eq!(
            ask(&vendor, &site, &first, new),
            expected,
            "{}",
            new.display()
        );
    }
    for (level, name) in [("capability", "core/app"), ("suite", "other")] {
        site.installer(args!["pin", "remove", level, name]).ok();
    }

    // The site has gone on: what it is compared with is not what runs there.
    let (second, _) = &later[0];
    site.apply(second).ok();
    for (new, expected) in &later[1..] {
        let mut expected: BTreeSet<String> = expected.iter().map(|c| (*c).to_owned()).collect();
        // 2.0.0 runs now, so that requirements of it are met, and counters up to 3 are used.
        expected.remove("upgrade-from");
        if expected.remove("counter-reused") || *new == first {
            expected.insert("counter-too-low".into());
        }
        assert_eq!(
            ask(&vendor, &site, &first, new),
            expected,
            "{}",
            new.display()
        );
    }
    assert_eq!(ask(&vendor, &site, &first, second), BTreeSet::new());
}

#[test]
fn what_a_customer_gives_is_answered_with_a_sentence() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let old = release(&vendor, "1.0.0", 1, "", "");
    let new = release(&vendor, "1.1.0", 2, "", "");
    let compat = |old: &Path, new: &Path, facts: Option<&Path>| {
        let bundler = vendor.sandbox.program("sealift-bundler");
        let bundler = bundler.args(args!["compat", old, new, "--root", vendor.root()]);
        match facts {
            Some(facts) => bundler.args(args!["--site", facts]).run(),
            None => bundler.run(),
        }
    };
    let said = compat(&new, &old, None).exits(4);
    for told in [
        "upgrade: not possible: 1.0.0 is not above 1.1.0: the release that runs comes first, what it is upgraded to second\n",
        "upgrade: not possible: the release counter of 1.0.0 is 1, which is not above 2, that of 1.1.0\n",
    ] {
        assert!(said.text().contains(told), "{told}: {}", said.text());
    }
    let other = sandbox.write(
        "vendor/other.toml",
        "product = \"other\"\nversion = \"3.0.0\"\ncounter = 9\npublished = \"2026-03-01T00:00:00Z\"\n\
         catalog = \"catalog-1.0.0\"\n[capabilities]\n\"core/app\" = \"1.0.0\"\n",
    );
    assert_eq!(
        compat(&old, &other, None).exits(4).text(),
        "test 1.0.0 -> other 3.0.0\n\
         the release:\n  breaking  the product is other, was test\n\
         at least a major release\n\
         upgrade: not possible: 3.0.0 is a release of other, 1.0.0 is one of test: these are two products\n\
         going back afterwards: possible\n"
    );

    // What is no release, or no facts.
    let text = sandbox.write("old.bundle", "no bundle");
    compat(&text, &new, None).exits(3);
    let said = compat(&sandbox.join("vendor"), &new, None).exits(1);
    assert!(
        said.stderr.contains("error[not-a-regular-file]"),
        "{}",
        said.stderr
    );
    let folder = sandbox.join("folder.toml");
    std::fs::create_dir(&folder).unwrap();
    compat(&folder, &new, None).fails_with("definition-invalid");
    compat(&sandbox.join("none.bundle"), &new, None).fails_with("io");
    let facts = |text: &str| {
        let file = sandbox.write("facts.json", text);
        let said = compat(&old, &new, Some(&file)).fails_with("facts-invalid");
        assert!(said.stderr.contains("facts.json"), "{}", said.stderr);
        assert_eq!(said.stderr.matches("hint:").count(), 1, "{}", said.stderr);
        said.stderr
    };
    let pin = |level: &str, version: &str| json!({ "level": level, "name": "core/app", "version": version, "reason": "" });
    let told = facts(
        &json!({ "format": 1, "counter": "2", "size": 1, "pins": [pin("suite", "1.0.0"), pin("suite", "newest")] })
            .to_string(),
    );
    for part in [
        "counter: ",
        "size: unknown field",
        "pins[1] (suite core/app): ",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("pins[0]"), "{told}");
    for text in [
        "",
        "[]",
        "{}",
        "{\"format\":1",
        "\u{0}",
        "{\"format\":1,\"format\":1}",
    ] {
        facts(text);
    }
    let deep = format!("{{\"format\":1,\"pins\":{}", "[".repeat(100_000));
    facts(&deep);
    let told = facts(&format!("{{\"format\":1{}}}", " ".repeat(2 << 20)));
    assert!(told.contains("longer than"), "{told}");
    compat(&old, &new, Some(&sandbox.join("vendor"))).exits(1);
}
