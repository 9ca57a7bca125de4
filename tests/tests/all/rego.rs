//! Rules in Rego: what they say counts beside the rules with types, and those that do harm, or nothing sensible, deny.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sealift_installer::{policy::rules::RegoLimits, rego::Rego};
use sealift_tests::{args, program::Said, sandbox::Sandbox, site::Site, vendor::Vendor};
use serde_json::{Value, json};

/// What rules may use up in these tests: the seconds, and enough memory to begin with.
const LIMITS: &str = "[rego]\nseconds = 2\nmemory-mib = 64\n";

struct Stage {
    sandbox: Sandbox,
    site: Site,
    bundle: PathBuf,
}

/// A site, and a release of severity high that it may have.
fn stage() -> Stage {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let bundle = vendor
        .release("2.0.0", 7)
        .field("severity = \"high\"")
        .capability("core/app", "service")
        .lines("license = \"GPL-3.0-only\"\nvendor = \"Acme\"\n")
        .file("version", "2.0.0")
        .build();
    let site = Site::new(&sandbox, &vendor.root());
    Stage {
        sandbox,
        site,
        bundle,
    }
}

impl Stage {
    /// Writes a policy and returns its folder.
    fn policy(&self, rules: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = self.sandbox.join("policy");
        let _ = std::fs::remove_dir_all(&folder);
        let limits = if rules.contains("[rego]") { "" } else { LIMITS };
        let text = format!("format = 1\n{rules}{limits}");
        self.sandbox.write("policy/policy.toml", text);
        for (name, text) in files {
            self.sandbox.write(format!("policy/{name}"), text);
        }
        folder
    }

    fn set(&self, rules: &str, files: &[(&str, &str)]) {
        let folder = self.policy(rules, files);
        self.site.installer(args!["policy", "set", folder]).ok();
    }

    fn explain(&self, code: i32) -> Said {
        let args = args!["policy", "explain", self.bundle, "--output", "json"];
        self.site.installer(args).exits(code)
    }
}

/// What the rules in Rego say: the results and details.
fn said(json: &Value) -> Vec<(&str, &str)> {
    let rules = json["rules"].as_array().unwrap().iter();
    rules
        .filter(|ruled| ruled["rule"] == "rego")
        .map(|ruled| {
            let text = |key: &str| ruled[key].as_str().unwrap();
            (text("result"), text("detail"))
        })
        .collect()
}

fn codes(json: &Value) -> Vec<&str> {
    let denials = json["error"]["denials"].as_array().unwrap().iter();
    denials.map(|d| d["code"].as_str().unwrap()).collect()
}

const PACKAGES: [(&str, &str); 3] = [
    (
        "b.rego",
        "package sealift.b\nimport data.sealift.lib\n\
         deny contains {\"msg\": \"high needs a ticket\", \"ticket\": null} if lib.high\n\
         warn contains sprintf(\"%s is under %s\", [c.name, c.license]) if some c in input.release.capabilities\n",
    ),
    (
        "a.rego",
        "package sealift.a\ndeny := [\"second\", \"first\", \"second\"]\n",
    ),
    (
        "lib.rego",
        "package sealift.lib\nhigh if input.release.severity == \"high\"\n",
    ),
];

#[test]
fn what_all_packages_say_counts_beside_the_rules_with_types() {
    let stage = stage();
    let explained = stage.explain(0).json();
    assert_eq!(
        said(&explained),
        [("passed", "the policy has no rules in Rego")]
    );
    stage.set("[deployment]\nchannel = \"frozen\"\n", &PACKAGES);
    let first = stage.explain(4);
    let json = first.json();
    assert_eq!(
        said(&json),
        [
            ("warned", "sealift.b: core/app is under GPL-3.0-only"),
            ("denied", "sealift.a: first"),
            ("denied", "sealift.a: second"),
            ("denied", "sealift.b: high needs a ticket"),
        ]
    );
    assert_eq!(
        codes(&json),
        [
            "channel-frozen",
            "policy-denied",
            "policy-denied",
            "policy-denied"
        ]
    );
    assert_eq!(stage.explain(4).text(), first.text(), "the same every time");

    let before = stage.site.listing().without("lock").without("audit");
    let applied = stage.site.apply(&stage.bundle).exits(4);
    assert!(
        applied.stderr.contains("sealift.a: second"),
        "{}",
        applied.stderr
    );
    assert_eq!(
        stage.site.listing().without("lock").without("audit"),
        before
    );

    let nothing = "package sealift.b\nwarn contains \"look\" if input.release.counter == 7\ndeny contains \"x\" if false\n";
    stage.set("", &[("b.rego", nothing)]);
    let plan = stage.site.installer(args!["plan", stage.bundle]).ok();
    assert!(
        plan.text().contains("warning: sealift.b: look"),
        "{}",
        plan.text()
    );
    stage.site.apply(&stage.bundle).ok();
}

/// Rules that can be read, and what is told of each when it is evaluated.
const HARMFUL: &[(&str, &str)] = &[
    (
        "deny contains \"x\" if { some i in numbers.range(1, 10000); some j in numbers.range(1, 10000); i * j == -1 }",
        "took more than",
    ),
    (
        "deny contains \"x\" if numbers.range(1, 1000000000)[_] < 0",
        "took more than",
    ),
    (
        "r := numbers.range(1, 100000)\ndeny contains \"x\" if count([[i, r] | some i in r; some j in r; j > 0]) < 0",
        "took more than",
    ),
    ("deny contains \"x\" if p\np if q\nq if p", "recursion"),
    ("f(x) := f(x + 1)\ndeny contains \"x\" if f(1)", ""),
    (
        "deny contains s if some s in [sprintf(\"%d\", [n]) | some n in numbers.range(1, 5000)]",
        "says more than",
    ),
    ("deny if true", "is a boolean"),
    ("deny := {\"a\": 1} if true", "is an object"),
    ("deny := \"no\" if true", "is a string"),
    ("deny contains 7 if true", "has a number"),
    (
        "deny contains {\"why\": \"x\"} if true",
        "has an object without msg",
    ),
    (
        "deny contains {\"msg\": 7} if true",
        "has a msg that is a number",
    ),
    ("warn contains null if true", "has null"),
    (
        "deny contains \"x\" if 1 / (input.release.counter - 7) > 0",
        "divide by zero",
    ),
    (
        "deny contains \"x\" if to_number(input.release.product) > 0",
        "",
    ),
    ("deny := 1 if true\ndeny := 2 if true", ""),
];

#[test]
fn rules_that_cannot_be_evaluated_deny_in_bounded_time() {
    let stage = stage();
    for (number, (rules, told)) in HARMFUL.iter().enumerate() {
        let text = format!("package sealift.harm\n{rules}\n");
        stage.set("", &[("harm.rego", &text)]);
        let before = stage.site.listing().without("lock").without("audit");
        let start = Instant::now();
        let explained = stage.explain(4).json();
        // Two seconds of processor time, one of grace, and a machine that does other things too.
        assert!(start.elapsed() < Duration::from_secs(20), "{rules}");
        assert_eq!(codes(&explained), ["policy-failed"], "{number}: {rules}");
        let said = said(&explained);
        assert!(said[0].1.contains(told), "{rules}: {said:?}");
        if number % 5 == 0 {
            let refused = stage.site.apply(&stage.bundle).exits(4);
            assert!(
                refused.stderr.contains("policy-failed"),
                "{}",
                refused.stderr
            );
        }
        assert_eq!(
            stage.site.listing().without("lock").without("audit"),
            before,
            "{rules}"
        );
    }
}

#[test]
fn memory_is_what_the_policy_allows() {
    let stage = stage();
    let doubled = (1..30).map(|n| format!("s{n} := concat(\"\", [s{0}, s{0}])\n", n - 1));
    let doubled = doubled.collect::<Vec<_>>().concat();
    let strings =
        format!("package sealift.harm\ns0 := \"0123456789abcdef0123456789abcdef\"\n{doubled}");
    // 32 bytes, doubled: 8 MiB are less than 64, 16 GiB are more.
    for (level, fails) in [(18, false), (29, true)] {
        let text = format!("{strings}warn contains \"long\" if count(s{level}) > 0\n");
        stage.set(
            "[rego]\nseconds = 20\nmemory-mib = 64\n",
            &[("harm.rego", &text)],
        );
        let explained = stage.explain(if fails { 4 } else { 0 }).json();
        let said = said(&explained);
        let expected = if fails { "MiB of memory" } else { "long" };
        assert!(said[0].1.contains(expected), "{level}: {said:?}");
    }
}

/// Policies that are refused when they are set: nobody waits for the night of the installation to learn it.
const UNREADABLE: &[(&str, &str)] = &[
    ("package sealift.x\ndeny contains \"x\" if {", "x.rego:2:"),
    ("deny contains \"x\" if true", "x.rego:1:"),
    (
        "package sealift.x\ndeny(x) := {\"a\"} if x == 1",
        "deny is a function",
    ),
    (
        "package other\ndeny contains \"x\" if true",
        "package other",
    ),
    (
        "package sealift\ndeny contains \"x\" if true",
        "package sealift",
    ),
    ("package sealift.x\nallow if true", "no package has a rule"),
    (
        "package sealift.x\ndeny[msg] { msg := \"v0\" }",
        "x.rego:2:",
    ),
    (
        "package sealift.x\ndeny contains \"x\" if http.send({\"method\": \"get\", \"url\": \"http://127.0.0.1\"})",
        "http.send is a function that there is not",
    ),
    (
        "package sealift.x\ndeny contains \"x\" if opa.runtime().env",
        "opa.runtime is",
    ),
    (
        "package sealift.x\ndeny contains \"x\" if time.now_ns() > 0",
        "time.now_ns is",
    ),
    (
        "package sealift.x\ndeny contains \"x\" if rand.intn(\"x\", 3) == 1",
        "rand.intn is",
    ),
    (
        "package sealift.x\ndeny contains \"x\" if fridays(3)",
        "fridays is",
    ),
    (
        "package sealift.x\ndeny contains \"x\" if data.secrets.key",
        "data.secrets.key is nothing",
    ),
    (
        "package sealift.x\nimport data.sealift.y\ndeny contains \"x\" if y.z",
        "data.sealift.y is nothing",
    ),
    (
        "package sealift.x\ndeny contains \"x\" if data.sealift.x.slip",
        "data.sealift.x.slip is nothing",
    ),
    (
        "package sealift.x\ndeny contains \"x\" if data",
        "data is nothing",
    ),
];

#[test]
fn rules_that_cannot_be_read_are_never_set() {
    let stage = stage();
    stage.set(
        "",
        &[(
            "x.rego",
            "package sealift.x\nwarn contains \"old\" if true\n",
        )],
    );
    let before = stage.site.listing().without("lock").without("audit");
    let deep = format!(
        "package sealift.x\ndeny contains \"x\" if {}1{}",
        "(".repeat(20_000),
        ")".repeat(20_000)
    );
    let all = UNREADABLE
        .iter()
        .copied()
        .chain([(deep.as_str(), "x.rego")]);
    for (text, told) in all {
        let folder = stage.policy("", &[("x.rego", text)]);
        let refused = stage
            .site
            .installer(args!["policy", "set", folder])
            .fails_with("policy-invalid");
        assert!(refused.stderr.contains(told), "{told}: {}", refused.stderr);
        assert_eq!(
            stage.site.listing().without("lock").without("audit"),
            before,
            "{told}"
        );
    }
    let explained = stage.explain(0).json();
    assert_eq!(
        said(&explained),
        [
            ("warned", "sealift.x: old"),
            ("passed", "no rule in Rego speaks against it")
        ]
    );
}

#[test]
fn a_rule_cannot_move_the_terminal_or_print() {
    let stage = stage();
    let text =
        "package sealift.x\nwarn contains \"\\u001b[2J\\nerror: \\u202e\" if print(\"noise\")\n";
    stage.set("", &[("x.rego", text)]);
    let explained = stage.explain(0).json();
    assert_eq!(
        said(&explained)[0].1,
        "sealift.x: \\u{1b}[2J\\nerror: \\u{202e}"
    );
}

#[test]
fn the_input_is_as_its_schema_says_and_holds_no_more() {
    let stage = stage();
    stage.set(
        "[deployment]\nenvironment = \"prod\"\n[maintenance]\ntime-zone = \"Asia/Kolkata\"\n",
        &[],
    );
    let print = |args: &[&str]| {
        let command = stage.site.command(["policy"]).args(args);
        command.at("2030-11-22 20:45:00").run().ok().json()
    };
    let schema = print(&["schema"]);
    let input = print(&["input", stage.bundle.to_str().unwrap()]);
    let validator = jsonschema::validator_for(&schema).unwrap();
    let wrong: Vec<String> = validator
        .iter_errors(&input)
        .map(|e| e.to_string())
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    for (path, value) in [
        ("/format", json!(1)),
        ("/site/environment", json!("prod")),
        ("/site/channel", json!("manual")),
        ("/release/version", json!("2.0.0")),
        ("/release/counter", json!(7)),
        ("/release/severity", json!("high")),
        ("/release/capabilities/0/license", json!("GPL-3.0-only")),
        ("/release/capabilities/0/kind", json!("service")),
        ("/plan/generation", json!(1)),
        ("/plan/capabilities/added", json!(["core/app"])),
        ("/approvals/approved-by", json!([])),
        ("/licenses", json!([])),
        ("/time/now", json!("2030-11-22T20:45:00Z")),
        ("/time/zone", json!("Asia/Kolkata")),
        ("/time/date", json!("2030-11-23")),
        ("/time/weekday", json!("saturday")),
        ("/time/hour", json!(2)),
        ("/time/minute", json!(15)),
    ] {
        assert_eq!(input.pointer(path), Some(&value), "{path}");
    }
    let rules = input["rules"].as_array().unwrap();
    assert!(rules.iter().any(|ruled| ruled["rule"] == "license"));
}

/// Run it with `UPDATE_DOCUMENTS=1` to write it.
#[test]
fn the_published_schema_of_the_input_is_that_of_the_program() {
    let sandbox = Sandbox::new();
    let program = sandbox.program("sealift-installer");
    let written = program
        .args(["policy", "schema"])
        .run()
        .ok()
        .text()
        .to_owned();
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas/policy-input.schema.json");
    if std::fs::read_to_string(&path).is_ok_and(|found| found == written) {
        return;
    }
    assert!(
        std::env::var_os("UPDATE_DOCUMENTS").is_some(),
        "{} is not up to date: run this test with UPDATE_DOCUMENTS=1",
        path.display()
    );
    std::fs::write(path, written).unwrap();
}

/// The rules to begin with, and their tests, in the folder `policy`.
fn defaults(stage: &Stage) -> PathBuf {
    let print = |more: &[&str]| {
        let command = stage.site.command(["policy", "default"]).args(more);
        command.run().ok().text().to_owned()
    };
    stage.sandbox.write("policy/policy.toml", print(&[]));
    stage.sandbox.write("policy/site.rego", print(&["--rego"]));
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/policy/site_test.rego");
    let tests = std::fs::read(tests).unwrap();
    stage.sandbox.write("policy/site_test.rego", tests);
    stage.sandbox.join("policy")
}

#[test]
fn the_rules_to_begin_with_do_what_their_tests_say() {
    let stage = stage();
    let folder = defaults(&stage);
    let test = || {
        let args = args!["policy", "test", folder, "--output", "json"];
        stage.site.installer(args)
    };
    let report = test().ok().json();
    assert_eq!(
        (&report["passed"], &report["failed"]),
        (&json!(7), &json!(0))
    );

    // Tests are no part of what holds.
    stage.site.installer(args!["policy", "set", folder]).ok();
    let files = stage
        .site
        .installer(args!["policy", "show", "--output", "json"])
        .ok()
        .json();
    let names: Vec<&String> = files["files"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["policy.toml", "site.rego"]);

    // A slip is found by the test that names it.
    let rules = std::fs::read_to_string(folder.join("site.rego")).unwrap();
    stage
        .sandbox
        .write("policy/site.rego", rules.replace(">= 15", "> 15"));
    let report = test().exits(1).json();
    assert_eq!(report["error"]["code"], "policy-tests-failed");
    let failed: Vec<&Value> = report["tests"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|t| t["passed"] == false)
        .collect();
    assert_eq!(
        failed,
        [
            &json!({"package": "sealift.site_test", "name": "test_friday_afternoon_is_refused", "passed": false})
        ]
    );
}

#[test]
fn a_test_that_loops_takes_no_other_with_it() {
    let stage = stage();
    let rules = "package sealift.x\ndeny contains \"x\" if input.release.counter > 8\n";
    let tests = "package sealift.x_test\nimport data.sealift.x\n\
        test_fine if count(x.deny) == 1 with input as {\"release\": {\"counter\": 9}}\n\
        test_loops if { some i in numbers.range(1, 10000); some j in numbers.range(1, 10000); i * j == -1 }\n\
        test_says_no if count(x.deny) == 1 with input as {\"release\": {\"counter\": 8}}\n";
    let folder = stage.policy("", &[("x.rego", rules), ("x_test.rego", tests)]);
    let report = stage
        .site
        .installer(args!["policy", "test", folder])
        .fails_with("policy-tests-failed");
    let text = report.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "  passed  sealift.x_test.test_fine");
    assert!(
        lines[1].starts_with("  failed  sealift.x_test.test_loops: took more than"),
        "{lines:?}"
    );
    assert_eq!(lines[2], "  failed  sealift.x_test.test_says_no");
    assert_eq!(lines[3], "1 tests passed, 2 failed");
}

#[test]
fn the_worker_is_in_no_list_and_does_nothing_without_limits() {
    let sandbox = Sandbox::new();
    let help = sandbox
        .program("sealift-installer")
        .args(["--help"])
        .run()
        .ok();
    assert!(!help.text().contains("rego-worker"));
    let worker = |args: &[&str]| {
        sandbox
            .program("sealift-installer")
            .args(["rego-worker"])
            .args(args)
            .input("{")
            .run()
    };
    for wrong in [&[][..], &["5"], &["5", "x"], &["5", "64", "1"]] {
        assert_eq!(worker(wrong).exits(2).text(), "");
    }
    let answer = worker(&["5", "64"]).ok().json();
    assert!(answer["failed"].is_string());
}

/// Whatever is in the files, whoever asks gets an answer and no more than two seconds of the machine.
#[test]
fn any_text_is_answered() {
    let program = sealift_tests::sandbox::binary("sealift-installer");
    let limits = RegoLimits {
        seconds: 2,
        memory_mib: 64,
    };
    let mut state = 7_u64;
    let mut next = |below: usize| {
        // Knuth's MMIX: the same texts every time.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let words = [
        "package sealift.x\n",
        "deny ",
        "contains ",
        "if ",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        ":=",
        "==",
        "\n",
        "\"",
        "`",
        ",",
        "data.",
        "input.",
        "some ",
        "in ",
        "every ",
        "not ",
        "with ",
        "as ",
        "x ",
        "1e999999 ",
        "-",
        ".",
        "|",
        "\u{0}",
        "\u{202e}",
        "import ",
        "default ",
        "else ",
    ];
    let sound = PACKAGES[0].1;
    for _ in 0..150 {
        let text = if next(2) == 0 {
            let count = next(60);
            (0..count).map(|_| words[next(words.len())]).collect()
        } else {
            let mut text: Vec<char> = sound.chars().collect();
            for _ in 0..=next(4) {
                let at = next(text.len());
                text[at] = words[next(words.len())].chars().next().unwrap();
            }
            text.into_iter().collect::<String>()
        };
        let files = [("x.rego".to_owned(), text)].into();
        let rego = Rego {
            program: &program,
            limits: &limits,
            files: &files,
        };
        let checked = rego.check();
        let asked = rego.ask(&json!({"release": {"severity": "high", "capabilities": []}}));
        assert!(checked.is_ok() || asked.is_err(), "{files:?}");
        for text in [checked.err(), asked.err()].into_iter().flatten() {
            assert!(
                !text.is_empty() && !text.chars().any(char::is_control),
                "{text:?}"
            );
        }
    }
}
