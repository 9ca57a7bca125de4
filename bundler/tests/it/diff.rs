//! `sealift-bundler diff`, between two definitions and with its arguments wrong.

use sealift_keys::ceremony;

use super::support::{CAPABILITY, RELEASE, Vendor};

/// A vendor with a second release: a new version of the one capability, with another file.
fn two_releases() -> Vendor {
    let vendor = Vendor::new();
    let next = RELEASE.replace("2.5.0", "2.6.0").replace("2.1.0", "2.2.0");
    vendor.write("NEXT.toml", next.replace("counter = 2", "counter = 3"));
    let folder = "catalog/capabilities/core/api/2.2.0";
    let more = "[[artifacts]]\nname = \"etc\"\ntype = \"tree\"\npath = \"etc\"\n";
    let capability = CAPABILITY.replace("2.1.0", "2.2.0") + more;
    vendor.write(&format!("{folder}/capability.toml"), capability);
    vendor.write(&format!("{folder}/model.bin"), "a larger model");
    vendor.write(&format!("{folder}/etc/a.conf"), "a = 1\n");
    vendor
}

#[test]
fn two_definitions_are_compared_file_by_file() {
    let vendor = two_releases();
    let ran = vendor.run(&["diff", "RELEASE.toml", "NEXT.toml"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(
        ran.stdout,
        "acme 2.5.0 -> 2.6.0\n\
         capabilities:\n  ~ core/api  2.1.0 -> 2.2.0\n\
         files:\n  + core/api/etc/a.conf  6 B\n  ~ core/api/model.bin  5 B -> 14 B\n\
         new content: 20 B\n"
    );
    let ran = vendor.run(&["--output", "json", "diff", "NEXT.toml", "RELEASE.toml"]);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (json["from"].as_str(), json["to"].as_str()),
        (Some("2.6.0"), Some("2.5.0"))
    );
    assert_eq!(
        json["files"][0],
        serde_json::json!({ "name": "core/api/etc/a.conf", "change": "removed", "from": 6 })
    );
    assert_eq!(json["new-bytes"], 5);
    assert!(
        vendor
            .run(&["diff", "NEXT.toml", "NEXT.toml"])
            .stdout
            .ends_with("nothing changes\n")
    );
}

#[test]
fn a_bundle_is_compared_with_a_definition_after_it_was_verified() {
    let vendor = two_releases();
    let keys = |name: &str| {
        let plan = ceremony::Plan {
            root_keys: 1,
            root_threshold: 1,
            release_keys: 1,
            release_threshold: 1,
            license_keys: 1,
            license_threshold: 1,
            policy_keys: 0,
            policy_threshold: 1,
            development: true,
            expires: "2040-01-01T00:00:00Z".parse().unwrap(),
        };
        ceremony::init(&vendor.path(name), &plan, &ceremony::Given::default(), None).unwrap();
    };
    keys("keys");
    keys("others");
    let build = [
        "build",
        "NEXT.toml",
        "--key",
        "keys/release.pem",
        "--root",
        "keys/root",
        "-o",
        "next.bundle",
    ];
    let ran = vendor.run(&build);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = vendor.run(&["diff", "next.bundle", "NEXT.toml", "--root", "keys/root"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, "acme 2.6.0 -> 2.6.0\nnothing changes\n"),
        "{}",
        ran.stderr
    );
    let definitions = vendor.run(&["diff", "RELEASE.toml", "NEXT.toml"]);
    let bundle = vendor.run(&[
        "diff",
        "RELEASE.toml",
        "next.bundle",
        "--root",
        "keys/root/1.root.json",
    ]);
    assert_eq!(bundle.stdout, definitions.stdout);
    let ran = vendor.run(&[
        "diff",
        "RELEASE.toml",
        "next.bundle",
        "--root",
        "others/root",
    ]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
}

#[test]
fn what_cannot_be_compared_is_said() {
    let vendor = two_releases();
    vendor.write("x.bundle", "no bundle".repeat(200));
    let ran = vendor.run(&["diff", "RELEASE.toml", "x.bundle"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.starts_with("error[usage]: x.bundle: "),
        "{}",
        ran.stderr
    );
    vendor.write("root/1.root.json", "{}");
    let ran = vendor.run(&["diff", "RELEASE.toml", "x.bundle", "--root", "root"]);
    assert_eq!(ran.code, 3);
    assert!(
        ran.stderr.starts_with("error[not-a-bundle]: "),
        "{}",
        ran.stderr
    );
    let ran = vendor.run(&["diff", "RELEASE.toml", "x.bundle", "--root", "nowhere"]);
    assert_eq!(ran.code, 1);
    vendor.write("NEXT.toml", "");
    assert_eq!(vendor.run(&["diff", "RELEASE.toml", "NEXT.toml"]).code, 1);
    assert_eq!(vendor.run(&["diff", "RELEASE.toml"]).code, 2);
}

#[test]
fn completions_and_manual_pages_are_written() {
    let vendor = Vendor::new();
    assert!(
        vendor
            .run(&["completions", "bash"])
            .stdout
            .contains("sealift-bundler")
    );
    assert_eq!(vendor.run(&["man", "man"]).code, 0);
    let page = std::fs::read_to_string(vendor.path("man/sealift-bundler-check.1")).unwrap();
    assert!(page.contains("RELEASE.toml"));
}
