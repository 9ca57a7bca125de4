//! `sealift-bundler check`: what it says of everything that can be wrong with definitions.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::support::{CAPABILITY, FOLDER, RELEASE, Vendor};

/// [`CAPABILITY`] with more lines at its end.
fn capability(more: &str) -> String {
    format!("{CAPABILITY}{more}")
}

#[test]
fn a_sound_release_has_no_problems() {
    let vendor = Vendor::new();
    let ran = vendor.run(&["check", "RELEASE.toml"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(
        ran.stdout,
        "acme 2.5.0: 1 capability, 1 artifact, no problem found\n"
    );
    let ran = vendor.run(&["--output", "json", "check", "RELEASE.toml"]);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["problems"], serde_json::json!([]));
    assert_eq!(json["expires"], "2031-03-01T00:00:00Z");
    assert_eq!(json["capabilities"][0]["artifacts"][0]["name"], "model.bin");
}

#[test]
fn every_problem_is_found_at_once_with_its_place_and_a_hint() {
    let vendor = Vendor::new();
    vendor.write(
        "RELEASE.toml",
        "product = \"Acme\"\nverison = \"2.5.0\"\ncounter = \"two\"\nplatforms = [\"linux\", \"linux/amd64\"]\n\
         [capabilities]\n\"core/api\" = \"2.1.0\"\n\"web/shop\" = \"1.2\"\n\"web/none\" = \"1.0.0\"\n",
    );
    vendor.capability(
        "name = \"core/apo\"\nversion = \"2.1.0\"\nkind = \"servise\"\n\
         [[artifacts]]\nname = \"a\"\ntype = \"file\"\npath = \"missing.bin\"\n\
         [[health]]\nname = \"h\"\ninterval = \"10\"\n",
    );
    let ran = vendor.run(&["check", "RELEASE.toml"]);
    assert_eq!(ran.code, 1);
    let expected = format!(
        r#"error[definition-invalid]: RELEASE.toml: published: the date of the release is missing [published-missing]
  hint: add `published` or set SOURCE_DATE_EPOCH: the clock is never read, so that a build can be repeated
RELEASE.toml: version: the release's version is missing [missing-key]
  hint: add `version = …`
RELEASE.toml:1:1: product: name "Acme": is not made of lower-case letters, digits and single `.`, `_`, `-` between them [name-invalid]
  hint: use lower-case letters, digits and single `.`, `_`, `-` between them
RELEASE.toml:2:1: verison: unknown key `verison` [unknown-key]
  hint: did you mean `version`?
RELEASE.toml:3:1: counter: has to be an integer, is a string [wrong-type]
  hint: write the value in the type that is asked for
RELEASE.toml:4:14: platforms[0]: "linux": is not of the form os/architecture, such as linux/amd64 or linux/arm/v7 [invalid-value]
  hint: docs/definitions.md says what each key may hold
RELEASE.toml:7:1: capabilities.web/shop: "1.2": is neither a full version nor a requirement with an operator, such as ^3.1 or * [version-invalid]
  hint: write MAJOR.MINOR.PATCH, such as 2.5.0 (https://semver.org)
RELEASE.toml:8:1: capabilities.web/none: the release pins web/none to 1.0.0, but the catalog has no web/none [capability-unknown]
  hint: add capabilities/web/none/…/capability.toml to the catalog
{FOLDER}/capability.toml:1:1: name: says core/apo, its folder says core/api [definition-mismatch]
  hint: name and version have to be those of the folder below `capabilities`
{FOLDER}/capability.toml:3:1: kind: "servise": is none of service, app, model, policy, config [invalid-value]
  hint: docs/definitions.md says what each key may hold
{FOLDER}/capability.toml:7:1: artifacts[0].path: there is no {FOLDER}/missing.bin [file-missing]
  hint: paths are relative to the file that names them; is it built, and is its name right?
{FOLDER}/capability.toml:8:1: health[0]: asks nothing [health-invalid]
  hint: give each check exactly one of exec, http and tcp
{FOLDER}/capability.toml:10:1: health[0].interval: "10": is not an integer with ms, s or m [duration-invalid]
  hint: write an integer and ms, s or m, such as "10s"; at most 24 hours
13 problems found
  hint: correct the places listed, then run the command again
"#
    );
    assert_eq!(ran.stderr, expected);
}

#[test]
fn problems_for_machines() {
    let vendor = Vendor::new();
    vendor.write(
        "RELEASE.toml",
        RELEASE.replace("counter = 2", "counter = 0"),
    );
    let ran = vendor.run(&["check", "RELEASE.toml", "--output", "json"]);
    assert_eq!(ran.code, 1);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["error"]["code"], "definition-invalid");
    let problem = &json["problems"][0];
    assert_eq!(
        (problem["file"].as_str(), problem["line"].as_u64()),
        (Some("RELEASE.toml"), Some(3))
    );
    assert_eq!(
        (problem["code"].as_str(), problem["key"].as_str()),
        (Some("invalid-value"), Some("counter"))
    );
    assert!(problem["hint"].is_string());
}

#[test]
fn source_date_epoch_stands_in_for_the_date() {
    let vendor = Vendor::new();
    vendor.write("RELEASE.toml", RELEASE.replace("published", "# published"));
    vendor.has_problems(&[
        "RELEASE.toml: published: the date of the release is missing [published-missing]",
    ]);
    let ran = vendor.run_at(
        &["--output", "json", "check", "RELEASE.toml"],
        Some("1772323200"),
    );
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["published"], "2026-03-01T00:00:00Z");
    assert_eq!(
        vendor
            .run_at(&["check", "RELEASE.toml"], Some("yesterday"))
            .code,
        2
    );
    assert_eq!(
        vendor
            .run_at(&["check", "RELEASE.toml"], Some("999999999999999"))
            .code,
        1
    );
}

#[test]
fn dates_versions_and_floors() {
    let vendor = Vendor::new();
    let release = RELEASE.replace(
        "[capabilities]",
        "expires = \"2025-01-01T00:00:00Z\"\nsecurity-floor = \"3.0.0\"\n[capabilities]",
    );
    vendor.write("RELEASE.toml", release.replace("\"2.5.0\"", "\"2.5\""));
    vendor.has_problems(&[
        "RELEASE.toml:2:1: version: \"2.5\": unexpected end of input while parsing minor version number [version-invalid]",
        "RELEASE.toml:6:1: expires: 2025-01-01T00:00:00Z is not after 2026-03-01T00:00:00Z, when the release is published [date-invalid]",
    ]);
    vendor.write("RELEASE.toml", release.replace("2025-01-01", "2027-01-01"));
    vendor.has_problems(&[
        "RELEASE.toml:7:1: security-floor: 3.0.0 is above the release's own version 2.5.0 [invalid-value]",
    ]);
    vendor.write(
        "RELEASE.toml",
        RELEASE.replace("2026-03-01T00:00:00Z", "2026-03-01T00:00:00+01:00"),
    );
    assert!(vendor.problems()[0].ends_with("[date-invalid]"));
    // A date without quotes is one too.
    vendor.write(
        "RELEASE.toml",
        RELEASE.replace("\"2026-03-01T00:00:00Z\"", "2026-03-01T00:00:00Z"),
    );
    assert_eq!(vendor.run(&["check", "RELEASE.toml"]).code, 0);
}

#[test]
fn only_what_is_critical_is_for_those_without_maintenance() {
    let vendor = Vendor::new();
    let release =
        |more: &str| RELEASE.replace("[capabilities]", &format!("{more}\n[capabilities]"));
    let exempt = "licensed = true\nmaintenance-exempt = true";
    let problem = "RELEASE.toml:7:1: maintenance-exempt: makes sense only for severity = \"critical\" [invalid-value]";
    vendor.write("RELEASE.toml", release(exempt));
    vendor.has_problems(&[problem]);
    vendor.write(
        "RELEASE.toml",
        release(&format!("{exempt}\nseverity = \"high\"")),
    );
    vendor.has_problems(&[problem]);
    vendor.write("RELEASE.toml", release("licensed = \"yes\""));
    assert!(vendor.problems()[0].starts_with("RELEASE.toml:6:"));
    for more in [
        &*format!("{exempt}\nseverity = \"critical\""),
        "maintenance-exempt = false",
    ] {
        vendor.write("RELEASE.toml", release(more));
        assert_eq!(vendor.run(&["check", "RELEASE.toml"]).code, 0, "{more}");
    }
}

#[test]
fn capabilities_twice_or_inside_each_other() {
    let vendor = Vendor::new();
    vendor.write("RELEASE.toml", format!("{RELEASE}'core/api' = \"2.1.0\"\n"));
    vendor.has_problems(&[
        "RELEASE.toml:8:1: core/api: core/api is listed twice [duplicate-capability]",
    ]);
    vendor.write("RELEASE.toml", format!("{RELEASE}\"core\" = \"1.0.0\"\n"));
    let core = "name = \"core\"\nversion = \"1.0.0\"\nkind = \"service\"\n";
    vendor.write("catalog/capabilities/core/1.0.0/capability.toml", core);
    vendor.has_problems(&[
        "RELEASE.toml:7:1: capabilities.core/api: core/api lies inside the capability core [capability-conflict]",
    ]);
}

#[test]
fn digests_are_compared_with_contents() {
    let vendor = Vendor::new();
    let digest = "f".repeat(64);
    vendor.capability(&capability(&format!("digest = \"{digest}\"\n")));
    vendor.has_problems(&[&format!(
        "{FOLDER}/capability.toml:9:1: artifacts[0].digest: {FOLDER}/model.bin has the digest \
         9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4, not {digest} [digest-mismatch]"
    )]);
    vendor.capability(&capability(
        "digest = \"9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4\"\n",
    ));
    assert_eq!(vendor.run(&["check", "RELEASE.toml"]).code, 0);
    vendor.capability(&capability("digest = \"sha256:00\"\n"));
    assert!(vendor.problems()[0].ends_with("[invalid-value]"));
}

#[test]
fn secrets_in_configurations() {
    let vendor = Vendor::new();
    vendor.artifact(
        "app.conf",
        format!("a = 1\ntoken = \"ghp_{}\"\n", "aB3".repeat(12)),
    );
    vendor.artifact(
        "tls.pem",
        format!("-----BEGIN {} KEY-----\nMIIE\n", "PRIVATE"),
    );
    let config = |name: &str| {
        format!("[[artifacts]]\nname = \"{name}\"\ntype = \"config\"\npath = \"{name}\"\n")
    };
    vendor.capability(&capability(&(config("app.conf") + &config("tls.pem"))));
    let found = vendor.problems();
    assert_eq!(
        found,
        [
            format!(
                "{FOLDER}/capability.toml:12:1: artifacts[1].path: {FOLDER}/app.conf:2 looks like a GitHub token [secret-found]"
            ),
            format!(
                "{FOLDER}/capability.toml:16:1: artifacts[2].path: {FOLDER}/tls.pem:1 looks like a private key [secret-found]"
            ),
        ]
    );
    assert!(
        !vendor
            .run(&["check", "RELEASE.toml"])
            .stderr
            .contains("aB3"),
        "a secret never shows in messages"
    );
    // A capability of kind config is configuration as a whole.
    vendor.artifact("conf.d/x.conf", format!("ghp_{}", "aB3".repeat(12)));
    let tree = "[[artifacts]]\nname = \"conf.d\"\ntype = \"tree\"\npath = \"conf.d\"\n";
    vendor.capability(&capability(tree).replace("\"service\"", "\"config\""));
    assert!(vendor.problems()[0].ends_with("looks like a GitHub token [secret-found]"));
}

#[test]
fn artifacts_stay_inside_the_catalog() {
    let vendor = Vendor::new();
    vendor.write("outside.bin", "x");
    vendor.write("catalog/shared.bin", "x");
    for path in [
        "../../../../../outside.bin",
        "/etc/hostname",
        "../../../../../../../../../../../etc/hostname",
    ] {
        vendor
            .capability(&CAPABILITY.replace("path = \"model.bin\"", &format!("path = \"{path}\"")));
        assert!(vendor.problems()[0].ends_with("[path-outside]"), "{path}");
    }
    symlink(
        vendor.path("outside.bin"),
        vendor.path(&format!("{FOLDER}/link.bin")),
    )
    .unwrap();
    vendor.capability(&CAPABILITY.replace("path = \"model.bin\"", "path = \"link.bin\""));
    vendor.has_problems(&[&format!(
        "{FOLDER}/capability.toml:8:1: artifacts[0].path: leads outside of the catalog, to outside.bin [path-outside]"
    )]);
    vendor.capability(
        &CAPABILITY.replace("path = \"model.bin\"", "path = \"../../../../shared.bin\""),
    );
    assert_eq!(vendor.run(&["check", "RELEASE.toml"]).code, 0);
}

#[test]
fn trees_hold_files_folders_and_links_that_stay_inside() {
    let vendor = Vendor::new();
    let tree = "[[artifacts]]\nname = \"www\"\ntype = \"tree\"\npath = \"www\"\n";
    vendor.capability(&capability(tree));
    vendor.artifact("www/a/index.html", "x");
    let www = vendor.path(&format!("{FOLDER}/www"));
    symlink("./a//index.html", www.join("start")).unwrap();
    assert_eq!(vendor.run(&["check", "RELEASE.toml"]).code, 0);

    vendor.artifact("www/back\\slash", "x");
    symlink("/etc/passwd", www.join("absolute")).unwrap();
    symlink("../../x", www.join("a/up")).unwrap();
    let pipe = www.join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    let bad = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"bad\xff");
    std::fs::File::create(www.join(bad)).unwrap();
    let codes: Vec<String> = vendor
        .problems()
        .iter()
        .filter_map(|p| p.rsplit_once('['))
        .map(|(_, code)| code.to_owned())
        .collect();
    assert_eq!(
        codes,
        [
            "path-invalid]",
            "path-invalid]",
            "link-outside]",
            "link-outside]",
            "special-file]"
        ]
    );
    // A pipe in a file's place is not waited for.
    vendor.capability(&CAPABILITY.replace("path = \"model.bin\"", "path = \"www/pipe\""));
    assert!(vendor.problems()[0].ends_with("[special-file]"));
}

#[test]
fn artifact_names_types_and_keys_that_do_not_fit() {
    let vendor = Vendor::new();
    let more = "executable = true\nreference = \"x\"\n\
        [[artifacts]]\nname = \"model.bin\"\ntype = \"notice\"\npath = \"model.bin\"\n\
        [[artifacts]]\nname = \"model.bin/x\"\ntype = \"tree\"\npath = \"model.bin\"\n\
        [[artifacts]]\nname = \"API\"\ntype = \"image\"\npath = \"model.bin\"\nexecutable = false\n\
        [[artifacts]]\nname = \"../x\"\ntype = \"blob\"\n";
    vendor.capability(&capability(more));
    let file = format!("{FOLDER}/capability.toml");
    vendor.has_problems(&[
        &format!("{file}:10:1: artifacts[0].reference: makes sense only for type = \"image\" [invalid-value]"),
        &format!("{file}:12:1: artifacts[1].name: model.bin is there twice [artifact-conflict]"),
        &format!("{file}:16:1: artifacts[2].name: model.bin/x and model.bin lie inside each other [artifact-conflict]"),
        &format!("{file}:20:1: artifacts[3].name: name \"API\": is not made of lower-case letters, digits and single `.`, `_`, `-` between them [name-invalid]"),
        &format!("{file}:22:1: artifacts[3].path: the archive: cannot be read as a tar: failed to read entire block [image-invalid]"),
        &format!("{file}:23:1: artifacts[3].executable: makes sense only for type = \"file\" [invalid-value]"),
        &format!("{file}:24:1: artifacts[4].path: where the artifact lies is missing [missing-key]"),
        &format!("{file}:25:1: artifacts[4].name: path \"../x\": is absolute, or has an empty, `.`, `..` or overlong part [path-invalid]"),
        &format!("{file}:26:1: artifacts[4].type: \"blob\": is none of image, tree, file, config, notice [invalid-value]"),
    ]);
    vendor.capability(&CAPABILITY.replace("\"file\"", "\"tree\""));
    assert!(vendor.problems()[0].ends_with("is no folder [artifact-type]"));
}

#[test]
fn health_checks_ask_one_thing_that_can_be_asked() {
    let vendor = Vendor::new();
    vendor.capability(&capability(
        "[[health]]\nname = \"two\"\nexec = [\"true\"]\ntcp = \"127.0.0.1:80\"\n\
         [[health]]\nname = \"none\"\n\
         [[health]]\nname = \"where\"\nexec = [\"bin/check\"]\n\
         [[health]]\nname = \"how\"\nexec = [\"model.bin\", 1]\ntimeout = \"0s\"\nretries = 0\n\
         [[health]]\nhttp = \"https://example.org\"\nperiod = \"1s\"\n",
    ));
    let file = format!("{FOLDER}/capability.toml");
    let found = vendor.problems();
    let expected = [
        "9:1: health[0]: asks in several ways: exec, tcp [health-invalid]",
        "13:1: health[1]: asks nothing [health-invalid]",
        "15:1: health[2]: bin/check is no file of this capability [health-invalid]",
        "20:22: health[3].exec[1]: has to be a string, is an integer [wrong-type]",
        "21:1: health[3].timeout: has to be longer than nothing [duration-invalid]",
        "22:1: health[3].retries: has to be from 1 to 1000, is 0 [invalid-value]",
        "23:1: health[4].name: the check's name is missing [missing-key]",
        "24:1: health[4].http: \"https://example.org\": does not begin with http:// [health-invalid]",
        "25:1: health[4].period: unknown key `period` [unknown-key]",
    ];
    assert_eq!(found, expected.map(|line| format!("{file}:{line}")));
}

#[test]
fn a_program_of_a_health_check_has_to_be_executable() {
    let vendor = Vendor::new();
    let more = "[[artifacts]]\nname = \"bin\"\ntype = \"tree\"\npath = \"bin\"\n[[health]]\nname = \"h\"\nexec = [\"bin/check\"]\n";
    vendor.capability(&capability(more));
    vendor.artifact("bin/check", "#!/bin/sh\n");
    assert!(vendor.problems()[0].ends_with("bin/check cannot be run [health-invalid]"));
    let check = vendor.path(&format!("{FOLDER}/bin/check"));
    std::fs::set_permissions(check, std::fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(vendor.run(&["check", "RELEASE.toml"]).code, 0);
}

#[test]
fn hostile_definitions_are_refused_without_a_panic() {
    let deep = format!("a = {}{}", "[".repeat(50_000), "]".repeat(50_000));
    let huge = "# x\n".repeat(300_000);
    let tables = "[a]\n".repeat(100_000);
    let cases: [(&[u8], &str); 8] = [
        (b"\xff\xfe\x00", "[toml-invalid]"),
        (b"product = \"a\0b\"", "[toml-invalid]"),
        (deep.as_bytes(), "[toml-invalid]"),
        (huge.as_bytes(), "[definition-too-large]"),
        (tables.as_bytes(), "[duplicate-key]"),
        (b"", "[missing-key]"),
        (b"capabilities = 1", "[wrong-type]"),
        (b"[[capabilities]]", "[wrong-type]"),
    ];
    for (text, code) in cases {
        let vendor = Vendor::new();
        vendor.write("RELEASE.toml", text);
        let found = vendor.problems();
        assert!(
            found.iter().any(|line| line.ends_with(code)),
            "{code}: {found:?}"
        );
        assert!(found.len() <= 30, "{code}: {} problems", found.len());
        // The same as a capability's definition.
        vendor.write("RELEASE.toml", RELEASE);
        vendor.write(&format!("{FOLDER}/capability.toml"), text);
        assert!(!vendor.problems().is_empty());
    }
}

#[test]
fn files_that_are_not_there_or_are_no_files() {
    let vendor = Vendor::new();
    let ran = vendor.run(&["check", "NOTHING.toml"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr
            .contains("NOTHING.toml: there is no such file [file-missing]"),
        "{}",
        ran.stderr
    );
    assert!(
        vendor
            .run(&["check", "catalog"])
            .stderr
            .contains("is no regular file [artifact-type]")
    );
    vendor.write(
        "RELEASE.toml",
        RELEASE.replace("counter", "catalog = \"elsewhere\"\ncounter"),
    );
    vendor.has_problems(&["RELEASE.toml:3:1: catalog: there is no elsewhere [file-missing]"]);
    vendor.write(
        "RELEASE.toml",
        RELEASE.replace("counter", "catalog = \"/\"\ncounter"),
    );
    assert!(vendor.problems()[0].ends_with("is no relative path [invalid-value]"));
}
