use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

fn invalid(schema: &Value) -> Vec<Finding> {
    match Schema::new(schema) {
        Ok(_) => Vec::new(),
        Err(findings) => findings,
    }
}

fn findings(schema: &Value, configuration: &Value) -> Vec<Finding> {
    Schema::new(schema)
        .unwrap_or_else(|findings| panic!("{schema}: {findings:?}"))
        .findings(configuration)
}

#[test]
fn what_is_wrong_has_its_place() {
    let schema = json!({
        "type": "object", "additionalProperties": false,
        "properties": { "server": { "type": "object", "properties": { "port": { "type": "integer", "maximum": 65535 } } } },
    });
    let found = findings(&schema, &json!({ "server": { "port": 70000 }, "extra": 1 }));
    let pointers: Vec<_> = found.iter().map(|f| f.pointer.as_str()).collect();
    assert_eq!(pointers, ["", "/server/port"]);
    assert!(!found[1].message.contains("70000"), "{}", found[1].message);
    assert_eq!(findings(&schema, &json!({ "server": { "port": 80 } })), []);
}

#[test]
fn a_schema_is_of_its_dialect_and_stands_alone() {
    for (bad, at) in [
        (json!({ "type": "text" }), "/type"),
        (json!({ "minimum": "1" }), "/minimum"),
        (json!({ "properties": [] }), "/properties"),
        (json!({ "pattern": "(" }), "/pattern"),
        (
            json!({ "$ref": "https://example.org/schema.json" }),
            "/$ref",
        ),
        (json!({ "$ref": "other.json" }), "/$ref"),
        (json!({ "$ref": "file:///etc/passwd" }), "/$ref"),
        (json!({ "$ref": "#/$defs/gone" }), "/$ref"),
        (json!({ "items": { "$ref": "#name" } }), "/items/$ref"),
        (
            json!({ "items": { "$id": "https://example.org/" } }),
            "/items/$id",
        ),
        (json!({ "$dynamicRef": "#x" }), "/$dynamicRef"),
        (json!([]), ""),
    ] {
        let found = invalid(&bad);
        assert!(found.iter().any(|f| f.pointer == at), "{bad}: {found:?}");
    }
    let good = json!({
        "$schema": DIALECT, "$id": "https://example.org/acme",
        "$defs": { "port": { "type": "integer" } },
        "properties": { "$ref": { "$ref": "#/$defs/port" }, "x": true },
        "default": { "$ref": "https://example.org/" },
    });
    assert_eq!(invalid(&good), []);
    assert_eq!(invalid(&json!(true)), []);
    assert!(read_schema(br#"{"$schema":"http://json-schema.org/draft-07/schema#"}"#).is_err());
    assert!(read_schema(b"{").is_err());
    assert!(read_schema("[".repeat(1000).as_bytes()).is_err());
}

/// Schemas that would take years, or the whole stack, are refused or done at once.
#[test]
fn no_schema_takes_long() {
    let chain = |keyword: &str, links: usize| {
        let defs = (0..links).map(|i| {
            let next = json!({ "$ref": format!("#/$defs/d{}", i + 1) });
            (format!("d{i}"), json!({ keyword: [next, next] }))
        });
        let mut defs: Map<_, _> = defs.collect();
        defs.insert(format!("d{links}"), json!({ "type": "object" }));
        json!({ "$ref": "#/$defs/d0", "$defs": defs })
    };
    let mut deep = json!({});
    for _ in 0..100 {
        deep = json!({ "not": deep });
    }
    let mut value = json!({});
    for _ in 0..100 {
        value = json!({ "a": value });
    }
    let twice = json!({ "$ref": "#" });
    let begin = Instant::now();
    for schema in [
        json!({ "$ref": "#" }),
        json!({ "allOf": [{ "$ref": "#" }] }),
        json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } }),
        json!({ "properties": { "a": { "allOf": [twice, twice] } } }),
        chain("allOf", 25),
        chain("anyOf", 25),
        chain("oneOf", 60),
        deep,
    ] {
        let refused = match Schema::new(&schema) {
            Ok(schema) => !schema.findings(&value).is_empty(),
            Err(_) => true,
        };
        assert!(refused, "{schema}");
    }
    let huge = json!({ "pattern": "((a{1,1000}){1,1000}){1,1000}" });
    assert!(!invalid(&huge).is_empty());
    let bomb = json!({ "properties": { "a": { "type": "string", "pattern": "^(a+)+$" } } });
    let text = format!("{}b", "a".repeat(50_000));
    assert_eq!(findings(&bomb, &json!({ "a": text })).len(), 1);
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn defaults_are_toml_or_json() {
    let name = |text: &str| text.parse::<EntryPath>().unwrap();
    let toml = b"port = 80\nsince = 2026-03-01\n[list]\nof = [1.5, true, \"x\"]\n";
    assert_eq!(
        read_defaults(&name("conf/defaults.toml"), toml).unwrap(),
        json!({ "port": 80, "since": "2026-03-01", "list": { "of": [1.5, true, "x"] } })
    );
    assert_eq!(
        read_defaults(&name("defaults.json"), br#"{"port":80}"#).unwrap(),
        json!({ "port": 80 })
    );
    let bad = read_defaults(&name("d.toml"), b"[a]\nb = [1.0, inf]").unwrap_err();
    assert_eq!(bad.pointer, "/a/b/1");
    for (file, bytes) in [
        ("d.json", &b"[]"[..]),
        ("d.json", b"1"),
        ("d.toml", b"\xff"),
        ("d.toml", b"a = "),
        ("d.json", b"{"),
    ] {
        assert!(read_defaults(&name(file), bytes).is_err(), "{file}");
    }
}

#[test]
fn pointers_are_readable() {
    assert_eq!(readable("/server/hosts/1/na~1me"), "server.hosts[1].na/me");
    assert_eq!(readable(""), "");
    assert_eq!(below("/a", "b/c~"), "/a/b~1c~0");
}

#[test]
fn links_are_followed_as_a_site_does() {
    let links = |path: &str| {
        Some(match path {
            "schema.json" => "real/schema.json",
            "now" => "versions/../versions/2",
            "versions/2" => "./1",
            "back" => "..",
            "out" => "../etc",
            "root" => "/etc",
            "a" => "b",
            "b" => "a",
            _ => return None,
        })
    };
    for (path, led) in [
        ("plain.json", Some("plain.json")),
        ("schema.json", Some("real/schema.json")),
        ("now/schema.json", Some("versions/1/schema.json")),
        ("back/x", None),
        ("out/passwd", None),
        ("root/passwd", None),
        ("a/x", None),
    ] {
        assert_eq!(follow_links(path, links).as_deref(), led, "{path}");
    }
}
