//! Changes that take something away, however they are written.

use std::os::unix::fs::symlink;

use sealift_tests::{args, sandbox::Sandbox, vendor::Vendor};
use serde_json::json;

use super::{Draft, check, compat, hold, new, old};

#[test]
fn a_mode_that_is_dropped_needs_a_major_release() {
    let for_modes = |draft: Draft, modes: &str| draft.field(&format!("modes = [{modes}]"));
    let two = || for_modes(old(), "\"edge\", \"on-prem\"");
    let rows = [
        (
            two(),
            for_modes(Draft::new("2.4.1", 2), "\"edge\""),
            "on-prem",
        ),
        (two(), for_modes(new(), "\"on-prem\""), "edge"),
        // What stays is another mode, or none of those before.
        (
            for_modes(old(), "\"edge\""),
            for_modes(new(), "\"saas\""),
            "edge",
        ),
        (old(), for_modes(new(), "\"edge\""), "saas"),
    ];
    for (old, new, gone) in rows {
        let problems = check(&old, new).expect_err("a mode is dropped");
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert_eq!(problems[0]["code"], "release-type-too-low");
        let message = problems[0]["message"].as_str().unwrap();
        let told = format!("mode {gone} is dropped (breaking)");
        assert!(message.contains(&told), "{told}: {message}");
    }
    for (old, new, kind) in [
        (
            two(),
            for_modes(Draft::new("3.0.0", 2), "\"edge\""),
            "major",
        ),
        (
            for_modes(old(), "\"edge\""),
            for_modes(new(), "\"edge\", \"saas\""),
            "minor",
        ),
        (two(), new(), "minor"),
    ] {
        let json = check(&old, new).expect("follows the rules");
        let releases = json["releases"].as_array().cloned().unwrap_or(vec![json]);
        assert!(releases.iter().all(|r| r["type"] == kind), "{releases:#?}");
    }
    // The first release for a mode is held to the rules of versions all the same.
    let patch = for_modes(Draft::new("2.4.1", 2), "\"edge\", \"saas\"");
    let problems = check(&for_modes(old(), "\"edge\""), patch).expect_err("a mode is added");
    assert!(
        problems.iter().all(|p| p["code"] == "release-type-too-low"),
        "{problems:#?}"
    );
    let again = for_modes(Draft::new("2.4.0", 1), "\"saas\"");
    let problems = check(&for_modes(old(), "\"edge\""), again).expect_err("the same version");
    let mut codes: Vec<_> = problems
        .iter()
        .map(|p| p["code"].as_str().unwrap())
        .collect();
    codes.sort_unstable();
    assert_eq!(codes, ["counter-not-higher", "version-not-higher"]);
}

/// Bundles say each of its own mode; all that are named count together.
#[test]
fn a_mode_that_only_a_bundle_before_had_is_dropped_too() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let before = old().field("modes = [\"edge\", \"on-prem\"]");
    let before = before.write(&sandbox, "old");
    let out = sandbox.join("old-{mode}.bundle");
    vendor.build_command(&before, &out).run().ok();
    let [edge, on_prem] =
        ["edge", "on-prem"].map(|mode| sandbox.join(format!("old-{mode}.bundle")));
    let check = |draft: Draft, name: &str, previous: &[&std::path::PathBuf]| {
        let definition = draft.write(&sandbox, name);
        let bundler = sandbox.program("sealift-bundler");
        let mut check = args![
            "check",
            definition,
            "--root",
            vendor.root(),
            "--output",
            "json"
        ]
        .to_vec();
        for previous in previous {
            check.extend(args!["--previous", previous]);
        }
        bundler.args(check).run()
    };
    let one = |version| Draft::new(version, 2).field("modes = [\"edge\"]");
    let both = [&edge, &on_prem];
    let said = check(one("2.5.0"), "minor", &both).fails_with("definition-invalid");
    let problems = said.json()["problems"].clone();
    assert_eq!(problems[0]["code"], "release-type-too-low", "{problems:#}");
    let message = problems[0]["message"].as_str().unwrap();
    assert!(
        message.contains("mode on-prem is dropped (breaking)"),
        "{message}"
    );
    check(one("3.0.0"), "major", &both).ok();
    check(one("2.4.1"), "patch", &both[..1]).ok();
    let two = Draft::new("2.4.1", 2).field("modes = [\"edge\", \"on-prem\"]");
    check(two, "same", &both).ok();
    // One bundle is missing, and nobody can tell.
    let two = Draft::new("2.4.1", 2).field("modes = [\"edge\", \"on-prem\"]");
    check(two, "missing", &both[..1]).fails_with("previous-mismatch");
}

#[test]
fn options_of_open_schemas_are_promises_too() {
    let open = |port: serde_json::Value| json!({ "properties": { "port": port, "host": {} } });
    let asked = json!({ "properties": { "port": {}, "host": {} }, "required": ["port"] });
    let without = json!({ "properties": { "host": {} } });
    let (was, is) = (
        |s: &serde_json::Value, d: &str| old().configured(s, d),
        |s: &serde_json::Value, d: &str| new().configured(s, d),
    );
    let any = open(json!({}));
    let number = open(json!({ "type": "integer" }));
    hold(vec![
        (
            "removed",
            was(&any, ""),
            is(&without, ""),
            Some("major"),
            &["configuration"],
        ),
        (
            "added, any value",
            was(&without, ""),
            is(&any, ""),
            Some("minor"),
            &["configuration"],
        ),
        (
            "added, some values",
            was(&without, ""),
            is(&number, ""),
            Some("minor"),
            &["configuration"],
        ),
        (
            "given a type",
            was(&any, ""),
            is(&number, ""),
            Some("major"),
            &["configuration"],
        ),
        (
            "type taken away",
            was(&number, ""),
            is(&any, ""),
            Some("minor"),
            &["configuration"],
        ),
        (
            "required",
            was(&any, "host = 1"),
            is(&asked, "port = 1\nhost = 1"),
            Some("minor"),
            &["default"],
        ),
        (
            "need not be given any more",
            was(&asked, ""),
            is(&open(json!({})), ""),
            Some("minor"),
            &["configuration"],
        ),
        (
            "described now",
            old().configured(&json!({}), "port = 1"),
            is(&any, "port = 1"),
            Some("minor"),
            &["configuration", "configuration"],
        ),
    ]);
    let json = compat(&was(&any, ""), &is(&asked, ""));
    assert_eq!(json["least-type"], "major", "{json:#}");
}

#[test]
fn a_new_capability_may_not_close_the_way_back_either() {
    let one_way = |more: &str| {
        let sql = "[[artifacts]]\nname = \"up.sql\"\ntype = \"config\"\npath = \"up.sql\"\n";
        let lines = format!("{sql}[[migrations]]\nname = \"0001\"\nup = \"up.sql\"\n{more}");
        let mut draft = new().also("core/new");
        draft.capabilities[2].2 = lines;
        draft
            .files
            .push(("core/new/1.0.0/up.sql".into(), "select 1;".into()));
        draft
    };
    hold(vec![
        (
            "one way",
            old(),
            one_way(""),
            Some("major"),
            &["capability-added", "migration"],
        ),
        (
            "compatible",
            old(),
            one_way("compatible = true\n"),
            Some("minor"),
            &["capability-added"],
        ),
    ]);
    let json = compat(&old(), &one_way(""));
    assert_eq!(
        json["back"]["reasons"],
        json!(["core/new: 0001 has no way back"])
    );
}

/// A schema behind a link is read where a site reads it, from definitions and from bundles.
#[test]
fn a_schema_behind_a_link_is_compared() {
    let lines = "[[artifacts]]\nname = \"conf\"\ntype = \"tree\"\npath = \"conf\"\n\
                 [configuration]\nschema = \"conf/current/schema.json\"\n";
    let port = |maximum: u32| {
        json!({ "properties": { "port": { "maximum": maximum } }, "additionalProperties": false })
            .to_string()
    };
    let sandbox = Sandbox::new();
    let write = |draft: Draft, name: &str, schema: String, target: &str| {
        let mut draft = draft.api("1.0.0", lines);
        let file = "core/api/1.0.0/conf/v1/real.json";
        draft.files.push((file.into(), schema));
        let definition = draft.write(&sandbox, name);
        let folder = sandbox
            .join(name)
            .join("catalog/capabilities/core/api/1.0.0/conf");
        symlink("v1", folder.join("current")).unwrap();
        symlink(target, folder.join("v1/schema.json")).unwrap();
        definition
    };
    let before = write(old(), "old", port(80), "real.json");
    let after = write(new(), "new", port(79), "../v1/real.json");
    let vendor = Vendor::new(&sandbox);
    let (old_bundle, new_bundle) = (vendor.build(&before), vendor.build(&after));
    for (before, after) in [(&before, &after), (&old_bundle, &new_bundle)] {
        let bundler = vendor.sandbox.program("sealift-bundler");
        let compat = args![
            "compat",
            before,
            after,
            "--root",
            vendor.root(),
            "--output",
            "json"
        ];
        let json = bundler.args(compat).run().ok().json();
        let changes = json["changes"].as_array().unwrap().iter();
        let told: Vec<_> = changes
            .filter(|change| change["what"] == "configuration")
            .map(|change| change["message"].as_str().unwrap())
            .collect();
        assert_eq!(
            told,
            ["its option port may not be as high as before"],
            "{json:#}"
        );
    }
    // What is wrong with it is found behind the link too, and a link may not lead nowhere.
    let check = |name, schema: String, target| {
        let definition = write(new(), name, schema, target);
        let bundler = vendor.sandbox.program("sealift-bundler");
        let check = args!["check", definition, "--output", "json"];
        let said = bundler.args(check).run().fails_with("definition-invalid");
        said.json()["problems"].clone()
    };
    let wrong = check("wrong", "{\"type\":\"text\"}".into(), "real.json");
    assert_eq!(wrong[0]["code"], "schema-invalid", "{wrong:#}");
    let nowhere = check("nowhere", port(80), "gone.json");
    assert_eq!(nowhere[0]["code"], "file-missing", "{nowhere:#}");
}

/// What a release is compared with may have expired long ago, and no clock decides about a build.
#[test]
fn the_clock_does_not_decide_what_is_compared() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let before = old()
        .field("expires = \"2026-03-02T00:00:00Z\"")
        .write(&sandbox, "old");
    let before = vendor.build(&before);
    let after = new().api("1.1.0", "").write(&sandbox, "new");
    let mut built = Vec::new();
    for (i, time) in [
        "2026-03-01 12:00:00",
        "2026-09-01 12:00:00",
        "2099-01-01 12:00:00",
    ]
    .iter()
    .enumerate()
    {
        let out = sandbox.join(format!("new-{i}.bundle"));
        let following = args!["--previous", before];
        let command = vendor.build_command(&after, &out).args(following);
        command.at(time).run().ok();
        built.push(sealift_tests::sandbox::read(&out));
        let bundler = sandbox.program("sealift-bundler");
        let compat = args!["compat", before, after, "--root", vendor.root()];
        bundler.args(compat).at(time).run().ok();
    }
    assert!(built.iter().all(|bytes| *bytes == built[0]));
}

/// Who sees the same version of a capability expects the same content.
#[test]
fn a_version_of_a_capability_stands_for_one_content() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let with = |draft: Draft, name: &str, content: &str| {
        let lines = "[[artifacts]]\nname = \"data\"\ntype = \"file\"\npath = \"data\"\n";
        let mut draft = draft.api("1.0.0", lines);
        draft
            .files
            .push(("core/api/1.0.0/data".into(), content.into()));
        draft.write(&sandbox, name)
    };
    let before = vendor.build(&with(old(), "old", "one"));
    let build = |definition: &std::path::Path| {
        let out = definition.with_extension("bundle");
        let build = vendor.build_command(definition, &out);
        let build = build.args(args!["--previous", before, "--output", "json"]);
        (out, build.run())
    };
    let (same, said) = build(&with(Draft::new("2.4.1", 2), "same", "one"));
    said.ok();
    let (other, said) = build(&with(new(), "other", "two"));
    let problems = said.fails_with("definition-invalid").json()["problems"].clone();
    assert_eq!(problems[0]["code"], "release-type-too-low");
    assert_eq!(
        problems[0]["message"],
        "core/api: has other content in the same version, 1.0.0"
    );
    assert!(!other.exists());
    let (major, said) = build(&with(Draft::new("3.0.0", 2), "major", "two"));
    said.ok();
    for (bundle, least) in [(&same, json!(null)), (&major, json!("major"))] {
        let bundler = sandbox.program("sealift-bundler");
        let compat = args![
            "compat",
            before,
            bundle,
            "--root",
            vendor.root(),
            "--output",
            "json"
        ];
        assert_eq!(bundler.args(compat).run().ok().json()["least-type"], least);
    }
}
