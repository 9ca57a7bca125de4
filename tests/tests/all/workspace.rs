//! The house keeps its walls: which crate may use which, and what the trusted core may contain.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

/// What each crate of ours may use of ours (architecture: "Arrows").
const ARROWS: [(&str, &[&str]); 4] = [
    ("sealift-verifier", &[]),
    ("sealift-keys", &["sealift-verifier"]),
    ("sealift-bundler", &["sealift-keys", "sealift-verifier"]),
    ("sealift-installer", &["sealift-keys", "sealift-verifier"]),
];

/// Never in the verifier: network, databases, processes, randomness, archives unpacked by their own names.
const BANNED_IN_VERIFIER: [&str; 16] = [
    "getrandom",
    "hyper",
    "mio",
    "rand",
    "rand_core",
    "redb",
    "reqwest",
    "ring",
    "rusqlite",
    "rustls",
    "socket2",
    "subprocess",
    "tempfile",
    "tokio",
    "ureq",
    "walkdir",
];

/// Everything that `cargo metadata` says of the programs' platform.
fn metadata() -> Value {
    let platform = ["--filter-platform", "x86_64-unknown-linux-gnu"];
    let output = cargo(&[&["metadata", "--format-version", "1"], &platform[..]].concat());
    serde_json::from_str(&output).unwrap()
}

/// Everything that ends up in `package` when it is built alone, so that no other crate's features count.
fn closure(package: &str) -> BTreeSet<String> {
    let args = [
        "tree",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--package",
        package,
    ];
    let tree = cargo(&args);
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

fn cargo(args: &[&str]) -> String {
    let output = Command::new(option_env!("CARGO").unwrap_or("cargo"))
        .args(args)
        .args(["--locked", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap().iter()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn arrows_between_crates_point_where_they_should() {
    let metadata = metadata();
    for (package, allowed) in ARROWS {
        let found = list(&metadata["packages"]).find(|p| p["name"] == package);
        let dependencies = list(&found.unwrap()["dependencies"]);
        // A null kind is a normal dependency; tests and build scripts may use more.
        for dependency in dependencies.filter(|d| d["kind"].is_null()) {
            let name = text(&dependency["name"]);
            let ours = name.starts_with("sealift-");
            assert!(
                !ours || allowed.contains(&name),
                "{package} must not use {name}"
            );
        }
    }
}

#[test]
fn the_verifier_contains_nothing_that_reaches_out() {
    let verifier = closure("sealift-verifier");
    assert!(verifier.contains("ed25519-dalek"), "{verifier:?}");
    for package in BANNED_IN_VERIFIER {
        assert!(
            !verifier.contains(package),
            "the verifier must not contain {package}"
        );
    }
}

#[test]
fn dependencies_keep_the_rules_of_deny_toml() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deny.toml");
    let rules: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    let strings = |value: &toml::Value| -> BTreeSet<String> {
        let items = value.as_array().unwrap().iter();
        items
            .map(|item| {
                item.get("crate")
                    .unwrap_or(item)
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    };
    let banned = strings(&rules["bans"]["deny"]);
    let allowed = strings(&rules["licenses"]["allow"]);
    let registries = strings(&rules["sources"]["allow-registry"]);
    for package in list(&metadata()["packages"]) {
        let name = text(&package["name"]);
        assert!(!banned.contains(name), "{name} is banned");
        let license = package["license"].as_str().unwrap_or("none");
        assert!(
            is_allowed(license, &allowed),
            "{name} has the license {license}"
        );
        if let Some(source) = package["source"].as_str() {
            let registry = source.trim_start_matches("registry+");
            assert!(registries.contains(registry), "{name} comes from {source}");
        }
    }
}

/// Whether an SPDX expression can be met with `allowed` licenses alone. `/` is the old way to write OR.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.replace('/', " OR ");
    // AND binds stronger than OR; parentheses occur around OR only, beside an AND.
    if let Some((before, rest)) = expression.split_once('(') {
        let (inner, after) = rest.split_once(')').unwrap();
        let others = [before, after].map(|part| part.replace(" AND ", ""));
        let others = others.iter().filter(|part| !part.trim().is_empty());
        return is_allowed(inner, allowed) && others.into_iter().all(|p| is_allowed(p, allowed));
    }
    let all = |part: &str| {
        part.split(" AND ")
            .all(|license| allowed.contains(license.trim()))
    };
    expression.split(" OR ").any(all)
}

#[test]
fn licenses_are_read_as_spdx_means_them() {
    let allowed = ["MIT", "ISC"].map(str::to_owned).into();
    for (expression, verdict) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("GPL-3.0-only OR MIT", true),
        ("GPL-3.0-only/MIT", true),
        ("MIT AND ISC", true),
        ("MIT AND GPL-3.0-only", false),
        ("GPL-3.0-only OR MIT AND ISC", true),
        ("(MIT OR GPL-3.0-only) AND ISC", true),
        ("(MIT OR ISC) AND GPL-3.0-only", false),
        ("none", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), verdict, "{expression}");
    }
}

#[test]
fn the_verifier_neither_signs_nor_spawns_nor_connects() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../verifier/src");
    let mut seen = 0;
    let mut open = vec![std::path::PathBuf::from(folder)];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        // A file of tests is compiled for tests only, as what follows `#[cfg(test)]` in others.
        if path.ends_with("tests.rs") {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap();
        for word in [
            "SigningKey",
            "SecretKey",
            "std::net",
            "Command::new",
            "std::process::Command",
        ] {
            assert!(!source.contains(word), "{} names {word}", path.display());
        }
        seen += 1;
    }
    assert!(seen > 10, "only {seen} files were looked at");
}
