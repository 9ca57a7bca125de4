mod properties;

use serde_json::json;

use super::*;
use crate::configuration::Schema;

fn narrower(old: &Value, new: &Value) -> Vec<String> {
    let differences = compare(old, new, &json!({}));
    let narrower = differences.into_iter().filter(|d| d.narrower);
    narrower
        .map(|d| format!("{} {}", d.option, d.what))
        .collect()
}

/// An object with one option.
fn option(schema: &Value) -> Value {
    json!({ "type": "object", "properties": { "x": schema } })
}

/// Each row is narrower from left to right, and wider from right to left.
#[test]
#[expect(clippy::too_many_lines, reason = "a row for each keyword")]
fn each_keyword_that_asks_for_more_is_narrower() {
    let rows = [
        (json!({}), json!({ "type": "integer" })),
        (json!({ "type": "number" }), json!({ "type": "integer" })),
        (
            json!({ "type": ["string", "null"] }),
            json!({ "type": "string" }),
        ),
        (json!({ "enum": ["a", "b"] }), json!({ "enum": ["a"] })),
        (json!({ "enum": ["a", "b"] }), json!({ "const": "b" })),
        (
            json!({ "type": "string" }),
            json!({ "type": "string", "enum": ["a"] }),
        ),
        (json!({ "minimum": 1 }), json!({ "minimum": 2 })),
        (json!({ "minimum": 1 }), json!({ "exclusiveMinimum": 1 })),
        (json!({ "maximum": 9 }), json!({ "maximum": 8.5 })),
        (
            json!({ "maximum": 9_007_199_254_740_993_u64 }),
            json!({ "maximum": 9_007_199_254_740_992_u64 }),
        ),
        (
            json!({ "exclusiveMaximum": 9 }),
            json!({ "exclusiveMaximum": 8 }),
        ),
        (json!({ "multipleOf": 2 }), json!({ "multipleOf": 4 })),
        (json!({}), json!({ "minLength": 1 })),
        (json!({ "maxLength": 5 }), json!({ "maxLength": 4 })),
        (json!({}), json!({ "pattern": "^a" })),
        (json!({}), json!({ "format": "email" })),
        (json!({}), json!({ "uniqueItems": true })),
        (json!({ "maxItems": 5 }), json!({ "maxItems": 4 })),
        (json!({ "minItems": 1 }), json!({ "minItems": 2 })),
        (json!({}), json!({ "maxProperties": 4 })),
        (json!({}), json!({ "required": ["y"] })),
        (
            json!({ "required": ["y"] }),
            json!({ "required": ["y", "z"] }),
        ),
        (json!({}), json!({ "dependentRequired": { "y": ["z"] } })),
        (
            json!({}),
            json!({ "dependentSchemas": { "y": { "required": ["z"] } } }),
        ),
        (json!({}), json!({ "additionalProperties": false })),
        (json!({}), json!({ "unevaluatedProperties": false })),
        (
            json!({}),
            json!({ "additionalProperties": { "type": "string" } }),
        ),
        (json!({}), json!({ "propertyNames": { "maxLength": 9 } })),
        (
            json!({}),
            json!({ "patternProperties": { "^a": { "type": "string" } } }),
        ),
        (json!({}), json!({ "items": { "type": "string" } })),
        (
            json!({ "items": { "type": "number" } }),
            json!({ "items": { "type": "integer" } }),
        ),
        (
            json!({ "items": { "type": "number" } }),
            json!({ "prefixItems": [{ "type": "integer" }], "items": { "type": "number" } }),
        ),
        (json!({}), json!({ "contains": { "const": 1 } })),
        (
            json!({ "contains": { "const": 1 } }),
            json!({ "contains": { "const": 1 }, "minContains": 2 }),
        ),
        (json!({}), json!({ "allOf": [{ "minimum": 1 }] })),
        (
            json!({ "allOf": [{ "minimum": 1 }] }),
            json!({ "allOf": [{ "minimum": 2 }] }),
        ),
        (json!({}), json!({ "anyOf": [{ "minimum": 1 }] })),
        (
            json!({ "anyOf": [{ "type": "string" }, { "type": "null" }] }),
            json!({ "anyOf": [{ "type": "string" }] }),
        ),
        (json!({}), json!({ "oneOf": [{ "type": "string" }] })),
        (json!({}), json!({ "not": { "const": 1 } })),
        (
            json!({ "not": { "const": 1 } }),
            json!({ "not": { "enum": [1, 2] } }),
        ),
        (
            json!({}),
            json!({ "if": { "minimum": 1 }, "then": { "maximum": 9 } }),
        ),
        (json!({}), json!(false)),
        (json!(true), json!({ "type": "integer" })),
        (
            json!({ "properties": { "y": {} }, "additionalProperties": false }),
            json!({ "additionalProperties": false }),
        ),
        (json!({}), json!({ "x-acme": true })),
    ];
    for (wide, narrow) in rows {
        for (wide, narrow) in [
            (wide.clone(), narrow.clone()),
            (option(&wide), option(&narrow)),
        ] {
            assert!(!narrower(&wide, &narrow).is_empty(), "{wide} to {narrow}");
            assert_eq!(
                narrower(&narrow, &wide),
                Vec::<String>::new(),
                "{narrow} to {wide}"
            );
        }
    }
}

#[test]
fn what_cannot_be_judged_counts_as_narrower() {
    let rows = [
        (json!({ "pattern": "^a" }), json!({ "pattern": "^a?" })),
        (
            json!({ "format": "email" }),
            json!({ "format": "idn-email" }),
        ),
        (json!({ "x-acme": 1 }), json!({ "x-acme": 2 })),
        (
            json!({ "oneOf": [{ "type": "string" }] }),
            json!({ "oneOf": [{ "type": "string" }, { "minLength": 1 }] }),
        ),
    ];
    for (old, new) in rows {
        assert!(!narrower(&old, &new).is_empty(), "{old} to {new}");
        assert!(!narrower(&new, &old).is_empty(), "{new} to {old}");
    }
}

#[test]
fn a_default_stands_in_for_what_has_to_be_there() {
    let old = json!({ "properties": { "a": { "properties": { "b": {} } } } });
    let new = json!({ "required": ["a"], "properties": { "a": { "required": ["b"], "properties": { "b": {} } } } });
    let narrower = |defaults: Value| {
        let found = compare(&old, &new, &defaults);
        found
            .into_iter()
            .filter(|d| d.narrower)
            .map(|d| d.option)
            .collect::<Vec<_>>()
    };
    assert_eq!(narrower(json!({})), ["a", "a.b"]);
    assert_eq!(narrower(json!({ "a": {} })), ["a.b"]);
    assert_eq!(narrower(json!({ "a": { "b": 1 } })), Vec::<String>::new());
}

#[test]
fn new_options_and_those_that_go_are_told() {
    let closed = |names: &[&str]| {
        let options: Map<String, Value> = names.iter().map(|n| ((*n).into(), json!({}))).collect();
        json!({ "properties": options, "additionalProperties": false })
    };
    let found = compare(&closed(&["a"]), &closed(&["b"]), &json!({}));
    let found: Vec<_> = found
        .iter()
        .map(|d| (d.option.as_str(), d.narrower))
        .collect();
    assert_eq!(found, [("a", true), ("b", false)]);
}

#[test]
fn a_new_option_restricts_nothing_if_nothing_described_it() {
    let int_a = json!({ "properties": { "a": { "type": "integer" } } });
    let below = |name: &str, schema: &Value| json!({ "properties": { name: schema } });
    for (old, new) in [
        (json!({}), int_a.clone()),
        (json!({ "allOf": [{}] }), json!({ "allOf": [int_a] })),
        (below("x", &json!({})), below("x", &int_a)),
        (
            below("a", &json!({})),
            json!({ "properties": { "a": {}, "x": int_a } }),
        ),
        (json!({ "items": {} }), json!({ "items": int_a })),
        (
            json!({ "if": { "required": ["b"] } }),
            json!({ "if": { "required": ["b"] }, "then": int_a }),
        ),
    ] {
        let found = compare(&old, &new, &json!({}));
        assert!(
            found.iter().all(|d| !d.narrower) && found.iter().any(|d| d.what == "is new"),
            "{old} to {new}: {found:?}"
        );
    }
    let any_a = json!({ "properties": { "a": {} } });
    let node = |node: &Value| json!({ "$defs": { "node": node }, "$ref": "#/$defs/node" });
    for (old, new) in [
        // It was described beside, by a pattern, or by a schema that holds itself.
        (
            json!({ "allOf": [any_a] }),
            json!({ "allOf": [any_a], "properties": { "a": { "type": "integer" } } }),
        ),
        (
            json!({ "patternProperties": { "^a": {} } }),
            json!({ "patternProperties": { "^a": {} }, "properties": { "a": { "type": "integer" } } }),
        ),
        (
            json!({ "allOf": [{ "patternProperties": { "^a": {} } }] }),
            json!({ "allOf": [{ "patternProperties": { "^a": {} } }], "properties": { "a": { "type": "integer" } } }),
        ),
        (
            json!({ "properties": { "x": any_a } }),
            json!({ "properties": { "x": any_a }, "allOf": [{ "additionalProperties": int_a }] }),
        ),
        (
            node(
                &json!({ "properties": { "child": { "$ref": "#/$defs/node" } }, "allOf": [any_a] }),
            ),
            node(&json!({ "properties": { "child": int_a }, "allOf": [any_a] })),
        ),
        (
            node(&json!({ "properties": { "child": { "$ref": "#/$defs/node" } } })),
            node(
                &json!({ "properties": { "child": { "$ref": "#/$defs/node" }, "a": { "type": "integer" } } }),
            ),
        ),
        // Where less is asked of something, more is asked of the whole.
        (json!({ "not": int_a }), json!({ "not": {} })),
        (
            json!({ "contains": {}, "maxContains": 1 }),
            json!({ "contains": int_a, "maxContains": 1 }),
        ),
        (json!({ "contains": {} }), json!({ "contains": int_a })),
        (json!({ "anyOf": [{}] }), json!({ "anyOf": [int_a] })),
    ] {
        assert!(!narrower(&old, &new).is_empty(), "{old} to {new}");
    }
}

#[test]
fn references_are_followed_wherever_they_lead() {
    let named = |port: Value| json!({ "$defs": { "port": port, "list": { "properties": { "port": { "$ref": "#/$defs/port" }, "tail": { "$ref": "#/$defs/list" } } } }, "$ref": "#/$defs/list" });
    let inline = json!({ "properties": { "port": { "type": "integer" } } });
    let (wide, narrow) = (
        named(json!({ "type": "number" })),
        named(json!({ "type": "integer" })),
    );
    assert_eq!(
        narrower(&wide, &narrow),
        ["port may not be of type number any more"]
    );
    assert_eq!(narrower(&narrow, &wide), Vec::<String>::new());
    assert_eq!(narrower(&inline, &wide), Vec::<String>::new());
    // A definition that is used with a default and without one is looked at twice.
    let twice = |required: &Value| json!({ "$defs": { "s": { "required": required } }, "properties": { "a": { "$ref": "#/$defs/s" }, "b": { "$ref": "#/$defs/s" } } });
    let found = compare(
        &twice(&json!([])),
        &twice(&json!(["x"])),
        &json!({ "a": { "x": 1 } }),
    );
    let found: Vec<_> = found.into_iter().map(|d| d.option).collect();
    assert_eq!(found, ["b.x"]);
}

/// Each row has a value that was allowed and is refused now; a validator is the judge.
#[test]
#[expect(clippy::too_many_lines, reason = "a row for each way")]
fn what_other_keywords_said_of_a_value_counts() {
    let with = |base: &Value, more: Value| {
        let mut schema = base.clone();
        let (Some(schema_table), Value::Object(more)) = (schema.as_object_mut(), more) else {
            panic!("schemas are tables");
        };
        schema_table.extend(more);
        schema
    };
    let a = json!({ "properties": { "a": { "type": "string" } } });
    let int_a = json!({ "properties": { "a": { "type": "integer" } } });
    let only_a = json!({ "allOf": [a], "unevaluatedProperties": false });
    let conditional = json!({ "properties": { "a": {} }, "if": { "required": ["b"] } });
    let either = json!({ "anyOf": [{ "properties": { "a": {} }, "required": ["a"] }, { "properties": { "b": {} } }], "unevaluatedProperties": false });
    let named = |definition: Value| json!({ "$ref": "#/$defs/it", "$defs": { "it": definition }, "unevaluatedProperties": false });
    let rows = [
        // What unevaluated… speaks of is decided by everything beside it.
        (
            &only_a,
            json!({ "allOf": [{}], "unevaluatedProperties": false }),
            json!({ "a": "x" }),
        ),
        (
            &only_a,
            json!({ "allOf": [a], "additionalProperties": false }),
            json!({ "a": "x" }),
        ),
        (
            &json!({ "unevaluatedProperties": { "type": "string" }, "allOf": [int_a] }),
            json!({ "additionalProperties": { "type": "string" }, "allOf": [int_a] }),
            json!({ "a": 1 }),
        ),
        (
            &either,
            json!({ "anyOf": [{ "required": ["a"] }, { "properties": { "b": {} } }], "unevaluatedProperties": false }),
            json!({ "a": 1, "b": 1 }),
        ),
        (&named(a.clone()), named(json!({})), json!({ "a": "x" })),
        (
            &a,
            with(
                &json!({ "allOf": [a] }),
                json!({ "unevaluatedProperties": false }),
            ),
            json!({ "b": 1 }),
        ),
        (
            &json!({ "prefixItems": [{}], "unevaluatedItems": { "type": "string" } }),
            json!({ "allOf": [{ "prefixItems": [{}] }], "unevaluatedItems": false }),
            json!([1, "x"]),
        ),
        (
            &json!({ "allOf": [{ "prefixItems": [{}, {}] }], "unevaluatedItems": false }),
            json!({ "allOf": [{ "prefixItems": [{}] }], "unevaluatedItems": false }),
            json!([1, 2]),
        ),
        (
            &json!({ "contains": { "type": "string" }, "unevaluatedItems": { "type": "null" } }),
            json!({ "contains": { "const": "x" }, "minContains": 0, "unevaluatedItems": { "type": "null" } }),
            json!(["y"]),
        ),
        (
            &json!({ "items": { "type": "string" } }),
            json!({ "prefixItems": [{}], "allOf": [{}], "unevaluatedItems": { "const": "x" } }),
            json!(["y", "y"]),
        ),
        // A named option is held to what was said of it in other places.
        (
            &json!({ "properties": { "a": {} } }),
            int_a.clone(),
            json!({ "a": "x" }),
        ),
        (
            &json!({ "patternProperties": { "^a": { "type": "string" } } }),
            with(&int_a, json!({ "patternProperties": { "^a": {} } })),
            json!({ "a": "x" }),
        ),
        (
            &json!({ "patternProperties": { "^a": { "type": "string" } }, "additionalProperties": false }),
            with(&int_a, json!({ "additionalProperties": false })),
            json!({ "a": "x" }),
        ),
        (
            &json!({ "properties": { "a": {} }, "additionalProperties": false }),
            json!({ "properties": { "a": {} }, "patternProperties": { "a": { "type": "integer" } }, "additionalProperties": false }),
            json!({ "a": "x" }),
        ),
        (
            &json!({ "allOf": [a] }),
            json!({ "allOf": [a], "properties": { "a": { "const": "y" } } }),
            json!({ "a": "x" }),
        ),
        (
            &json!({ "allOf": [{}, a] }),
            json!({ "allOf": [{ "properties": { "a": { "const": "y" } } }, a] }),
            json!({ "a": "x" }),
        ),
        (
            &json!({ "$defs": { "it": a }, "$ref": "#/$defs/it" }),
            json!({ "$defs": { "it": a }, "$ref": "#/$defs/it", "properties": { "a": { "const": "y" } } }),
            json!({ "a": "x" }),
        ),
        (
            &json!({ "$defs": { "it": a, "other": int_a }, "$ref": "#/$defs/it" }),
            json!({ "$defs": { "it": a, "other": int_a }, "$ref": "#/$defs/other" }),
            json!({ "a": "x" }),
        ),
        (
            &json!({ "$defs": { "it": a }, "$ref": "#/$defs/it" }),
            json!({ "$defs": { "it": int_a }, "$ref": "#/$defs/it" }),
            json!({ "a": "x" }),
        ),
        // Conditions and dependencies ask for more of what is there.
        (
            &conditional,
            with(&conditional, json!({ "then": int_a })),
            json!({ "a": "x", "b": 1 }),
        ),
        (
            &conditional,
            with(&conditional, json!({ "else": int_a })),
            json!({ "a": "x" }),
        ),
        (
            &json!({ "if": { "required": ["b"] }, "then": int_a }),
            json!({ "if": {}, "then": int_a }),
            json!({ "a": "x" }),
        ),
        (
            &json!({ "properties": { "a": {} } }),
            json!({ "properties": { "a": {} }, "dependentSchemas": { "b": int_a } }),
            json!({ "a": "x", "b": 1 }),
        ),
        (
            &json!({}),
            json!({ "dependentRequired": { "b": ["a"] } }),
            json!({ "b": 1 }),
        ),
        (
            &json!({}),
            json!({ "dependencies": { "b": ["a"] } }),
            json!({ "b": 1 }),
        ),
        (
            &json!({ "dependencies": { "b": { "$ref": "#/$defs/it" } }, "$defs": { "it": a } }),
            json!({ "dependencies": { "b": { "$ref": "#/$defs/it" } }, "$defs": { "it": int_a } }),
            json!({ "a": "x", "b": 1 }),
        ),
        (
            &json!({ "not": int_a }),
            json!({ "not": {} }),
            json!({ "a": "x" }),
        ),
        (
            &json!({ "not": { "required": ["a", "b"] } }),
            json!({ "not": { "required": ["a"] } }),
            json!({ "a": 1 }),
        ),
        // Counting.
        (
            &json!({ "contains": { "type": "integer" } }),
            json!({ "contains": { "const": 1 } }),
            json!([2]),
        ),
        (
            &json!({ "contains": { "const": 1 }, "maxContains": 1 }),
            json!({ "contains": { "type": "integer" }, "maxContains": 1 }),
            json!([1, 2]),
        ),
        (
            &json!({ "contains": { "const": 1 }, "minContains": 0 }),
            json!({ "contains": { "const": 1 } }),
            json!([]),
        ),
        (
            &json!({}),
            json!({ "contains": { "const": 1 }, "minContains": 0, "maxContains": 1 }),
            json!([1, 1]),
        ),
        (
            &json!({ "contains": { "$ref": "#/$defs/it" }, "maxContains": 1, "$defs": { "it": { "const": 1 } } }),
            json!({ "contains": { "$ref": "#/$defs/it" }, "maxContains": 1, "$defs": { "it": { "enum": [1, 2] } } }),
            json!([1, 2]),
        ),
        // Numbers, however they are written.
        (
            &json!({ "type": "number" }),
            json!({ "type": "integer" }),
            json!(1.5),
        ),
        (
            &json!({ "enum": [1.0, 1.5] }),
            json!({ "type": "integer" }),
            json!(1.5),
        ),
        (
            &json!({ "enum": [1.0, 2] }),
            json!({ "enum": [1] }),
            json!(2),
        ),
        (
            &json!({ "maximum": 9_007_199_254_740_993_u64 }),
            json!({ "maximum": 9_007_199_254_740_992.0 }),
            json!(9_007_199_254_740_993_u64),
        ),
        (
            &json!({ "maximum": 2 }),
            json!({ "maximum": 1.5 }),
            json!(2),
        ),
        (
            &json!({ "minimum": -2 }),
            json!({ "minimum": -1.5 }),
            json!(-2),
        ),
        (
            &json!({ "multipleOf": 2 }),
            json!({ "multipleOf": 4.0 }),
            json!(2),
        ),
        (
            &json!({ "type": "integer" }),
            json!({ "multipleOf": 2 }),
            json!(1),
        ),
        (
            &json!({ "const": { "a": [1] } }),
            json!({ "const": { "a": [2] } }),
            json!({ "a": [1] }),
        ),
        (
            &json!({ "format": "ipv4" }),
            json!({ "format": "ipv6" }),
            json!("10.0.0.1"),
        ),
        (
            &json!({ "pattern": "a" }),
            json!({ "pattern": "^a" }),
            json!("ba"),
        ),
    ];
    for (old, new, value) in rows {
        let valid = |schema: &Value| {
            Schema::new(schema)
                .unwrap_or_else(|e| panic!("{schema}: {e:?}"))
                .findings(&value)
                .is_empty()
        };
        assert!(
            valid(old) && !valid(&new),
            "the row shows nothing: {old} to {new}"
        );
        assert!(!narrower(old, &new).is_empty(), "{old} to {new}");
    }
}

/// The same said otherwise, or more allowed than before.
#[test]
fn what_is_only_written_otherwise_is_not_narrower() {
    let port = json!({ "type": "integer", "maximum": 80 });
    let a = json!({ "properties": { "a": port } });
    let tree = |name: &str, leaf: &str| {
        let reference = format!("#/$defs/{name}");
        json!({ "$ref": reference, "$defs": { name: { "anyOf": [{ "type": leaf }, { "type": "array", "items": { "$ref": reference } }] } } })
    };
    for (old, new) in [
        (json!({ "type": "integer" }), json!({ "type": "number" })),
        (json!({ "type": "integer" }), json!({ "multipleOf": 1.0 })),
        (
            json!({ "enum": [1.0, 2] }),
            json!({ "type": "integer", "enum": [1, 2, 3] }),
        ),
        (json!({ "maximum": 1 }), json!({ "maximum": 1.5 })),
        (
            json!({ "type": "string" }),
            json!({ "anyOf": [{ "type": "string" }, { "type": "null" }] }),
        ),
        // A definition that is renamed, or written where it is used.
        (tree("node", "string"), tree("tree", "string")),
        (tree("node", "integer"), tree("node", "number")),
        (
            json!({ "allOf": [a, { "maxProperties": 3 }] }),
            json!({ "$ref": "#/$defs/a", "maxProperties": 3, "$defs": { "a": a } }),
        ),
        (
            json!({ "$ref": "#/$defs/a", "maxProperties": 3, "$defs": { "a": a } }),
            a.clone(),
        ),
        (
            json!({ "$ref": "#/$defs/a", "unevaluatedProperties": false, "$defs": { "a": a } }),
            json!({ "$ref": "#/$defs/b", "unevaluatedProperties": false, "$defs": { "b": { "properties": { "a": port, "b": port } } } }),
        ),
        (
            json!({ "properties": { "a": port }, "additionalProperties": false }),
            json!({ "properties": { "a": port }, "patternProperties": { "^x-": { "type": "string" } }, "additionalProperties": false }),
        ),
        (
            json!({ "patternProperties": { "^a": port }, "additionalProperties": false }),
            json!({ "properties": { "a": port }, "patternProperties": { "^a": {} }, "additionalProperties": false }),
        ),
        (
            json!({}),
            json!({ "contains": { "const": 1 }, "minContains": 0 }),
        ),
    ] {
        assert_eq!(narrower(&old, &new), Vec::<String>::new(), "{old} to {new}");
    }
}

#[test]
fn an_option_that_goes_is_told_even_if_nothing_refuses_it() {
    let described = |options: &[&str]| {
        let options: Map<String, Value> = options
            .iter()
            .map(|name| ((*name).into(), json!({ "properties": { "in": {} } })))
            .collect();
        json!({ "properties": options })
    };
    let removed = ": what a site sets there has no effect any more";
    assert_eq!(
        narrower(&described(&["a", "b"]), &described(&["a"])),
        [format!("b is removed{removed}")],
        "what lies inside of it goes without saying"
    );
    assert_eq!(
        narrower(&described(&["a"]), &json!({})),
        [format!("a is removed{removed}")]
    );
    let inside = json!({ "properties": { "a": {} } });
    assert_eq!(
        narrower(&described(&["a"]), &inside),
        [format!("a.in is removed{removed}")]
    );
    // What is described in another place is still there.
    let moved = json!({ "$ref": "#/$defs/it", "$defs": { "it": described(&["a", "b"]) } });
    assert_eq!(
        narrower(&described(&["a", "b"]), &moved),
        Vec::<String>::new()
    );
    let list = |items: Value| json!({ "items": items });
    assert_eq!(
        narrower(&list(described(&["a"])), &list(json!({}))),
        [format!("*.a is removed{removed}")]
    );
}

/// Schemas as large as a file may be, and made to take long.
#[test]
fn no_comparison_takes_long() {
    let numbers = |from: u64| (from..from + 100_000).map(Value::from).collect::<Vec<_>>();
    let many = |schema: Value| json!({ "allOf": vec![schema; 50_000] });
    let named = |n: usize| {
        let names = (0..n).map(|i| (format!("option{i}"), json!({ "type": "string" })));
        json!({ "properties": names.collect::<Map<_, _>>() })
    };
    let chain = |leaf: &str| {
        let defs = (0..40).map(|i| {
            let next = json!({ "$ref": format!("#/$defs/d{}", i + 1) });
            (
                format!("d{i}"),
                json!({ "properties": { "a": next, "b": next } }),
            )
        });
        let mut defs: Map<_, _> = defs.collect();
        defs.insert("d40".into(), json!({ "type": leaf }));
        json!({ "$ref": "#/$defs/d0", "$defs": defs })
    };
    let mut deep = json!({ "type": "string" });
    for i in 0..60 {
        deep = json!({ "properties": { "a": deep }, "not": { "required": [i.to_string()] } });
    }
    let patterns = |n: usize| {
        let patterns = (0..n).map(|i| (format!("^x{i}(a|b)*$"), json!({ "type": "string" })));
        json!({ "patternProperties": patterns.collect::<Map<_, _>>() })
    };
    let itself = json!({ "allOf": [{ "$ref": "#" }, { "not": { "$ref": "#" } }], "anyOf": [{ "$ref": "#" }] });
    let begin = std::time::Instant::now();
    for (old, new) in [
        (
            json!({ "enum": numbers(0) }),
            json!({ "enum": numbers(50_000) }),
        ),
        (many(json!(true)), many(json!(false))),
        (many(json!({ "minimum": 1 })), many(json!({ "minimum": 2 }))),
        (named(20_000), named(19_999)),
        (chain("string"), chain("integer")),
        (deep.clone(), json!({ "properties": { "a": deep } })),
        (named(5000), patterns(5000)),
        (
            itself.clone(),
            json!({ "allOf": [itself.clone()], "maximum": 1 }),
        ),
    ] {
        let found = narrower(&old, &new);
        assert!(
            !found.is_empty() && found.len() <= TOLD + 2,
            "{}",
            found.len()
        );
    }
    assert!(
        begin.elapsed() < std::time::Duration::from_secs(30),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn what_is_too_intricate_is_said_to_be_narrower() {
    let nested = |leaf: &str| {
        let mut schema = json!({ "type": leaf });
        for i in 0..12 {
            schema = json!({ "anyOf": [{ "allOf": [schema, { "minLength": i }] }, { "allOf": [schema, { "maxLength": i }] }] });
        }
        schema
    };
    let begin = std::time::Instant::now();
    let found = narrower(&nested("string"), &nested("number"));
    assert!(!found.is_empty());
    assert!(begin.elapsed() < std::time::Duration::from_secs(10));
}
