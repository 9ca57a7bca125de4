//! The house keeps its walls: which crate may use which, and what the trusted core may contain.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;

/// What each crate of ours may use of ours (architecture: "Arrows").
const ARROWS: [(&str, &[&str]); 4] = [
    ("sealift-verifier", &[]),
    ("sealift-keys", &["sealift-verifier"]),
    ("sealift-bundler", &["sealift-keys", "sealift-verifier"]),
    ("sealift-installer", &["sealift-keys", "sealift-verifier"]),
];

/// Never, anywhere: other people's TLS and crypto stacks that come in through default features.
const BANNED: [&str; 6] = [
    "aws-lc-rs",
    "aws-lc-sys",
    "openssl",
    "openssl-sys",
    "native-tls",
    "rustls",
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

/// The resolved packages: names, and which normal (not build, not test) dependencies each of them has.
struct Graph {
    normal: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn read() -> Self {
        let platform = ["--filter-platform", "x86_64-unknown-linux-gnu"];
        let text_form = cargo(&[&["metadata", "--format-version", "1"], &platform[..]].concat());
        let metadata: Value = serde_json::from_str(&text_form).unwrap();
        let names: BTreeMap<&str, &str> = list(&metadata["packages"])
            .map(|package| (text(&package["id"]), text(&package["name"])))
            .collect();
        let is_normal = |dep: &&Value| list(&dep["dep_kinds"]).any(|kind| kind["kind"].is_null());
        let normal = list(&metadata["resolve"]["nodes"])
            .map(|node| {
                let deps = list(&node["deps"]).filter(is_normal);
                let deps = deps
                    .map(|dep| names[text(&dep["pkg"])].to_owned())
                    .collect();
                (names[text(&node["id"])].to_owned(), deps)
            })
            .fold(
                BTreeMap::new(),
                |mut all: BTreeMap<_, BTreeSet<_>>, (name, deps)| {
                    // Two versions of one package are one name here.
                    all.entry(name).or_default().extend::<BTreeSet<_>>(deps);
                    all
                },
            );
        Self { normal }
    }
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
    let graph = Graph::read();
    for (package, allowed) in ARROWS {
        let ours = graph.normal[package]
            .iter()
            .filter(|name| name.starts_with("sealift-"));
        for dependency in ours {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{package} must not use {dependency}"
            );
        }
    }
}

#[test]
fn no_program_contains_what_is_banned() {
    let graph = Graph::read();
    for package in BANNED {
        assert!(
            !graph.normal.contains_key(package),
            "{package} came in through a dependency"
        );
    }
    let verifier = closure("sealift-verifier");
    for package in BANNED_IN_VERIFIER {
        assert!(
            !verifier.contains(package),
            "the verifier must not contain {package}"
        );
    }
    assert!(verifier.contains("ed25519-dalek"), "{verifier:?}");
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
