//! The JSON Schemas of definition files: published as the program writes them, and in step with what it reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use sealift_bundler::SchemaKind;
use sealift_tests::{args, program::Said, sandbox::Sandbox};
use serde_json::Value;

/// A definition file of each kind that has every key there is.
const FULL: [(SchemaKind, &str, &str); 5] = [
    (
        SchemaKind::Capability,
        "catalog/capabilities/core/api/1.0.0/capability.toml",
        CAPABILITY,
    ),
    (
        SchemaKind::Suite,
        "catalog/suites/core/1.0.0/suite.toml",
        SUITE,
    ),
    (
        SchemaKind::Platform,
        "catalog/platforms/acme/1.0.0/platform.toml",
        PLATFORM,
    ),
    (SchemaKind::Release, "RELEASE.toml", RELEASE),
    (SchemaKind::Licenses, "catalog/licenses.toml", LICENSES),
];

const CAPABILITY: &str = r#"
name = "core/api"
version = "1.0.0"
kind = "service"
description = "Answers"
license = "Apache-2.0"
vendor = "Acme"
yanked = false
modes = ["saas", "dedicated", "on-prem"]
entitlements = ["analytics"]
fixes = ["CVE-2026-1234"]
changes = ["New"]
[requires]
"core/store" = ">=1.0, <2"
[conflicts]
"core/old" = "<2"
[substitutes]
edge = "core/small"
[hardware]
cpu = 4
memory = "8 GiB"
disk = "20 GB"
gpu = 1
gpu-memory = "16GiB"
[configuration]
schema = "schema.json"
defaults = "defaults.toml"
[[migrations]]
name = "0001"
up = "up.sql"
down = "down.sql"
compatible = true
[[artifacts]]
name = "schema.json"
type = "config"
path = "schema.json"
[[artifacts]]
name = "defaults.toml"
type = "config"
path = "defaults.toml"
[[artifacts]]
name = "up.sql"
type = "file"
path = "up.sql"
executable = false
digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
[[artifacts]]
name = "down.sql"
type = "file"
path = "up.sql"
[[artifacts]]
name = "image"
type = "image"
path = "absent"
reference = "latest"
[[health]]
name = "answers"
exec = ["true"]
interval = "1s"
timeout = "500ms"
retries = 2
start-period = "1m"
[[health]]
name = "listens"
tcp = "127.0.0.1:80"
[[health]]
name = "is well"
http = "http://127.0.0.1/health"
"#;

const SUITE: &str = r#"
name = "core"
version = "1.0.0"
description = "The core"
[capabilities]
"core/api" = "1.0.0"
"core/store" = "^1"
"#;

const PLATFORM: &str = r#"
name = "acme"
version = "1.0.0"
description = "All of it"
[suites]
core = "1.0.0"
"#;

const RELEASE: &str = r#"
product = "acme"
version = "1.0.0"
counter = 1
published = "2026-03-01T00:00:00Z"
expires = "2036-03-01T00:00:00Z"
security-floor = "1.0.0"
platforms = ["linux/amd64"]
catalog = "catalog"
type = "major"
upgrade-from = ">=0.9"
severity = "critical"
licensed = true
maintenance-exempt = true
fixes = ["CVE-2026-1234"]
changes = ["New"]
modes = ["on-prem"]
platform = "1.0.0"
[suites]
core = "1.0.0"
[capabilities]
"core/api" = "*"
"#;

const LICENSES: &str = r#"
allowed = ["Apache-2.0", "MIT"]
forbidden = ["AGPL-3.0-only"]
unknown = "accept"
[exceptions]
"core/api" = ["GPL-2.0-only"]
"#;

/// A vendor's folder with a definition of each kind, `change` made to the one of `kind`.
fn check(sandbox: &Sandbox, kind: SchemaKind, change: impl Fn(&str) -> String) -> Said {
    for (each, path, text) in FULL {
        let path = sandbox.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = if each == kind {
            change(text)
        } else {
            text.to_owned()
        };
        fs::write(path, text).unwrap();
    }
    let store = sandbox.join("catalog/capabilities/core/store/1.0.0");
    fs::create_dir_all(&store).unwrap();
    fs::write(
        store.join("capability.toml"),
        "name = \"core/store\"\nversion = \"1.0.0\"\nkind = \"service\"\n",
    )
    .unwrap();
    let folder = sandbox.join("catalog/capabilities/core/api/1.0.0");
    fs::write(folder.join("schema.json"), "{}").unwrap();
    fs::write(folder.join("defaults.toml"), "").unwrap();
    fs::write(folder.join("up.sql"), "").unwrap();
    let program = sandbox.program("sealift-bundler");
    program
        .args(args![
            "check",
            sandbox.join("RELEASE.toml"),
            "--output",
            "json"
        ])
        .run()
        .said()
}

fn problems(said: &Said) -> Vec<Value> {
    said.json()["problems"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

fn schema(kind: SchemaKind) -> Value {
    kind.schema().to_value()
}

fn accepts(kind: SchemaKind, text: &str) -> bool {
    let value: toml::Value = toml::from_str(text).unwrap();
    jsonschema::validator_for(&schema(kind))
        .unwrap()
        .is_valid(&serde_json::to_value(value).unwrap())
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Run it with `UPDATE_DOCUMENTS=1` to write them.
#[test]
fn published_schemas_are_those_of_the_program() {
    let sandbox = Sandbox::new();
    for kind in SchemaKind::ALL {
        let name = kind.file_name().trim_end_matches(".schema.json");
        let program = sandbox.program("sealift-bundler");
        let said = program.args(["schema", name]).run().ok();
        let written = said.text();
        let path = repository().join("docs/schemas").join(kind.file_name());
        if fs::read_to_string(&path).is_ok_and(|found| found == written) {
            continue;
        }
        assert!(
            std::env::var_os("UPDATE_DOCUMENTS").is_some(),
            "{} is not up to date: run this test with UPDATE_DOCUMENTS=1",
            path.display()
        );
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, written).unwrap();
    }
}

/// A reader that meets a key it does not know says which it does.
#[test]
fn schemas_have_exactly_the_keys_that_are_read() {
    let tables = [
        (SchemaKind::Capability, None, ""),
        (SchemaKind::Capability, Some("Hardware"), "[hardware]\n"),
        (
            SchemaKind::Capability,
            Some("Configuration"),
            "[configuration]\n",
        ),
        (
            SchemaKind::Capability,
            Some("Migration"),
            "[[migrations]]\n",
        ),
        (SchemaKind::Capability, Some("Artifact"), "[[artifacts]]\n"),
        (SchemaKind::Capability, Some("Health"), "[[health]]\n"),
        (SchemaKind::Suite, None, ""),
        (SchemaKind::Platform, None, ""),
        (SchemaKind::Release, None, ""),
        (SchemaKind::Licenses, None, ""),
    ];
    for (kind, table, header) in tables {
        let sandbox = Sandbox::new();
        let said = check(&sandbox, kind, |text| match header {
            "" => format!("qqqqqqqqqq = 1\n{text}"),
            header => text.replacen(header, &format!("{header}qqqqqqqqqq = 1\n"), 1),
        });
        let found = problems(&said);
        let unknown = found.iter().find(|p| p["code"] == "unknown-key");
        let hint = unknown.unwrap_or_else(|| panic!("{kind:?} {table:?}: {found:?}"))["hint"]
            .as_str()
            .unwrap();
        let read: BTreeSet<&str> = hint
            .strip_prefix("known here are: ")
            .unwrap()
            .split(", ")
            .collect();
        let schema = schema(kind);
        let object = table.map_or(&schema, |table| &schema["$defs"][table]);
        let keys: BTreeSet<&str> = object["properties"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(keys, read, "{kind:?} {table:?}");
        assert_eq!(object["additionalProperties"], false, "{kind:?} {table:?}");
    }
}

/// What a table of `docs/definitions.md` or an object of a schema has: its keys, and which of them are required.
#[derive(Debug, Default, PartialEq, Eq)]
struct Described {
    keys: BTreeSet<String>,
    required: BTreeSet<String>,
}

/// The tables of keys below each heading, by the name of the table that they are in: none for the file itself.
fn described(document: &str) -> BTreeMap<(String, String), Described> {
    let mut tables: BTreeMap<(String, String), Described> = BTreeMap::new();
    let (mut heading, mut table, mut of_keys) = (String::new(), String::new(), false);
    let bare = |name: &str| name.trim_matches(['`', '[', ']']).to_owned();
    for line in document.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        match cells.as_slice() {
            [text] => {
                of_keys = false;
                if let Some(name) = text.strip_prefix("## ") {
                    name.clone_into(&mut heading);
                    table.clear();
                } else if text.starts_with("`[") {
                    table = bare(text.split(',').next().unwrap());
                    tables
                        .entry((heading.clone(), String::new()))
                        .or_default()
                        .keys
                        .insert(table.clone());
                }
            }
            ["", "key", "form", "says", ""] => of_keys = true,
            ["", name, _, says, ""] if of_keys && name.starts_with('`') => {
                let described = tables.entry((heading.clone(), table.clone())).or_default();
                let is_new = described.keys.insert(bare(name));
                assert!(is_new, "{heading}: {name} is there twice");
                if says.split("; ").any(|part| part == "required") {
                    described.required.insert(bare(name));
                }
            }
            _ => {}
        }
    }
    tables
}

/// The object that a key of a schema holds, or holds a list of, if it has keys of its own.
fn object<'s>(schema: &'s Value, value: &'s Value) -> Option<&'s Value> {
    let inner = value["anyOf"].as_array().into_iter().flatten();
    let mut values = inner.chain([value, &value["items"]]);
    values.find_map(|value| {
        let name = value["$ref"].as_str()?.strip_prefix("#/$defs/")?;
        let found = &schema["$defs"][name];
        found["properties"].is_object().then_some(found)
    })
}

fn keys(object: &Value) -> Described {
    let required = object["required"].as_array().into_iter().flatten();
    Described {
        keys: object["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect(),
        required: required
            .map(|key| key.as_str().unwrap().to_owned())
            .collect(),
    }
}

/// Every key of every definition is described, and nothing that is not one.
#[test]
fn definitions_are_described_with_all_their_keys() {
    let document = fs::read_to_string(repository().join("docs/definitions.md")).unwrap();
    let mut expected = BTreeMap::new();
    for (kind, heading) in [
        (SchemaKind::Capability, "capability.toml"),
        (SchemaKind::Suite, "suite.toml"),
        (SchemaKind::Platform, "platform.toml"),
        (SchemaKind::Release, "RELEASE.toml"),
        (SchemaKind::Licenses, "licenses.toml"),
    ] {
        let path = repository().join("docs/schemas").join(kind.file_name());
        let published: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let properties = published["properties"].as_object().unwrap();
        // The keys of substitutes are the modes, a form of values like others.
        for (key, value) in properties.iter().filter(|(key, _)| *key != "substitutes") {
            if let Some(object) = object(&published, value) {
                expected.insert((heading.to_owned(), key.clone()), keys(object));
            }
        }
        expected.insert((heading.to_owned(), String::new()), keys(&published));
    }
    assert_eq!(expected.len(), SchemaKind::ALL.len() + 5);
    let found = described(&document);
    for (table, keys) in &expected {
        assert_eq!(found.get(table), Some(keys), "{table:?}");
    }
    assert_eq!(found.len(), expected.len(), "{:?}", found.keys());
}

#[test]
fn full_definitions_are_accepted_by_both() {
    for (kind, path, text) in FULL {
        assert!(accepts(kind, text), "{path}");
    }
    let sandbox = Sandbox::new();
    let said = check(&sandbox, SchemaKind::Release, str::to_owned);
    // The image that is named is not there: what is wrong is no matter of form.
    let found = problems(&said);
    let codes: Vec<_> = found.iter().map(|p| p["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["file-missing"], "{found:?}");
}

/// What becomes bad in a full definition: what is written, and what is written in its place.
const BAD: &[(SchemaKind, &str, &str)] = &[
    (
        SchemaKind::Capability,
        "kind = \"service\"",
        "kind = \"thing\"",
    ),
    (
        SchemaKind::Capability,
        "\"saas\", \"dedicated\"",
        "\"cloud\", \"saas\"",
    ),
    (SchemaKind::Capability, "cpu = 4", "cpu = 0"),
    (SchemaKind::Capability, "cpu = 4", "cpu = \"4\""),
    (SchemaKind::Capability, "\"8 GiB\"", "\"8 gigs\""),
    (
        SchemaKind::Capability,
        "edge = \"core/small\"",
        "moon = \"core/small\"",
    ),
    (
        SchemaKind::Capability,
        "edge = \"core/small\"",
        "edge = \"Core/Small\"",
    ),
    (
        SchemaKind::Capability,
        "type = \"image\"",
        "type = \"picture\"",
    ),
    (
        SchemaKind::Capability,
        "interval = \"1s\"",
        "interval = \"1 second\"",
    ),
    (SchemaKind::Capability, "retries = 2", "retries = 0"),
    (SchemaKind::Capability, "exec = [\"true\"]", "exec = []"),
    (
        SchemaKind::Capability,
        "exec = [\"true\"]",
        "exec = [\"true\"]\ntcp = \"h:1\"",
    ),
    (
        SchemaKind::Capability,
        "[\"CVE-2026-1234\"]",
        "[\"nothing\"]",
    ),
    (
        SchemaKind::Capability,
        "\"analytics\"",
        "\"An Entitlement\"",
    ),
    (
        SchemaKind::Capability,
        "up = \"up.sql\"",
        "up = \"/up.sql\"",
    ),
    (SchemaKind::Capability, "yanked = false", "yanked = \"no\""),
    (
        SchemaKind::Suite,
        "\"core/api\" = \"1.0.0\"",
        "\"core/api\" = 1",
    ),
    (
        SchemaKind::Suite,
        "version = \"1.0.0\"",
        "version = \"1.0\"",
    ),
    (
        SchemaKind::Platform,
        "core = \"1.0.0\"",
        "\"Core\" = \"1.0.0\"",
    ),
    (SchemaKind::Release, "counter = 1", "counter = 0"),
    (
        SchemaKind::Release,
        "severity = \"critical\"",
        "severity = \"grave\"",
    ),
    (SchemaKind::Release, "licensed = true", "licensed = 1"),
    (
        SchemaKind::Release,
        "maintenance-exempt = true",
        "maintenance-exempt = \"yes\"",
    ),
    (SchemaKind::Release, "type = \"major\"", "type = \"huge\""),
    (SchemaKind::Release, "\"linux/amd64\"", "\"linux\""),
    (
        SchemaKind::Release,
        "platform = \"1.0.0\"",
        "platform = \"latest\"",
    ),
    (
        SchemaKind::Licenses,
        "unknown = \"accept\"",
        "unknown = \"perhaps\"",
    ),
    (
        SchemaKind::Licenses,
        "[\"AGPL-3.0-only\"]",
        "\"AGPL-3.0-only\"",
    ),
];

/// What a schema refuses, the reader refuses too: whoever sees no mark in the editor is not told off later for form.
#[test]
fn bad_values_are_refused_by_both() {
    for &(kind, from, to) in BAD {
        let full = FULL.iter().find(|(each, ..)| *each == kind).unwrap().2;
        assert!(full.contains(from), "{from}");
        assert!(!accepts(kind, &full.replacen(from, to, 1)), "{to}: schema");
        let sandbox = Sandbox::new();
        let said = check(&sandbox, kind, |text| text.replacen(from, to, 1));
        let found = problems(&said);
        let others = ["file-missing", "definition-invalid"];
        assert!(
            found
                .iter()
                .any(|p| !others.contains(&p["code"].as_str().unwrap())),
            "{to}: {found:?}"
        );
    }
}
