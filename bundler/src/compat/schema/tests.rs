use proptest::{collection::vec, prelude::*, sample::select};
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

/// Schemas that the generated values below meet now and then.
fn schema() -> impl Strategy<Value = Value> {
    let numbers = -1..3_i64;
    let leaf = prop_oneof![
        Just(json!({})),
        Just(json!(true)),
        select(vec![
            "integer", "number", "string", "object", "array", "null"
        ])
        .prop_map(|t| json!({ "type": t })),
        vec(
            select(vec![json!(0), json!(1.0), json!("a"), json!(null)]),
            1..4
        )
        .prop_map(|values| json!({ "enum": values })),
        (numbers.clone(), 0..4_i64)
            .prop_map(|(low, more)| json!({ "minimum": low, "maximum": low + more })),
        numbers
            .clone()
            .prop_map(|low| json!({ "type": "integer", "exclusiveMinimum": low })),
        (0..3_u8).prop_map(|length| json!({ "type": "string", "maxLength": length })),
        Just(json!({ "type": "string", "pattern": "^a" })),
        Just(json!({ "multipleOf": 2 })),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let options = vec((select(vec!["a", "b"]), inner.clone()), 0..3).prop_map(|options| {
            options
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect::<Map<_, _>>()
        });
        let object = (
            options,
            vec(select(vec!["a", "b"]), 0..2),
            proptest::option::of(inner.clone()),
            any::<bool>(),
        );
        prop_oneof![
            object.prop_map(|(options, mut required, rest, closed)| {
                required.dedup();
                let mut schema =
                    json!({ "type": "object", "properties": options, "required": required });
                match rest {
                    Some(rest) => schema["additionalProperties"] = rest,
                    None if closed => schema["additionalProperties"] = false.into(),
                    None => {}
                }
                schema
            }),
            (inner.clone(), vec(inner.clone(), 0..2)).prop_map(|(items, mut first)| {
                if first.is_empty() {
                    return json!({ "items": items });
                }
                first.truncate(1);
                json!({ "prefixItems": first, "items": items })
            }),
            vec(inner.clone(), 1..3).prop_map(|parts| json!({ "allOf": parts })),
            vec(inner.clone(), 1..3).prop_map(|parts| json!({ "anyOf": parts })),
            vec(inner.clone(), 1..3).prop_map(|parts| json!({ "oneOf": parts })),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| json!({ "if": a, "then": b })),
            inner.prop_map(|part| json!({ "not": part })),
        ]
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = select(vec![
        json!(null),
        json!(-1),
        json!(0),
        json!(1),
        json!(1.5),
        json!(4),
        json!(""),
        json!("a"),
        json!("bbb"),
    ]);
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec((select(vec!["a", "b", "c"]), inner.clone()), 0..3).prop_map(|options| {
                Value::Object(
                    options
                        .into_iter()
                        .map(|(k, v)| (k.to_owned(), v))
                        .collect(),
                )
            }),
            vec(inner, 0..3).prop_map(Value::Array),
        ]
    })
}

/// Asks for more in one of several ways.
fn narrow(schema: &Value, way: usize) -> Value {
    let more = [
        json!({ "required": ["new"] }),
        json!({ "maxProperties": 0, "minProperties": 1 }),
        json!({ "pattern": "^new$" }),
        json!({ "minimum": 1000 }),
        json!({ "const": "new" }),
        json!({ "maxItems": 0, "minItems": 1 }),
        json!({ "not": { "type": ["string", "number"] } }),
    ];
    let parts = match schema {
        Value::Object(keywords) if keywords.contains_key("allOf") => {
            let mut schema = schema.clone();
            if let Some(parts) = schema["allOf"].as_array_mut() {
                parts.push(more[way % more.len()].clone());
            }
            return schema;
        }
        Value::Object(keywords) => keywords.clone(),
        _ => Map::new(),
    };
    let mut narrow = parts;
    narrow.insert("allOf".into(), json!([more[way % more.len()]]));
    Value::Object(narrow)
}

/// `schema` with one of the schemas inside of it replaced, or itself.
fn replaced(schema: &Value, other: &Value, at: &mut usize) -> Value {
    if *at == 0 {
        *at = usize::MAX;
        return other.clone();
    }
    *at = at.saturating_sub(usize::from(*at != usize::MAX));
    let Value::Object(keywords) = schema else {
        return schema.clone();
    };
    let keywords = keywords.iter().map(|(keyword, value)| {
        let value = match (keyword.as_str(), value) {
            ("properties", Value::Object(options)) => {
                let options = options.iter();
                Value::Object(
                    options
                        .map(|(k, v)| (k.clone(), replaced(v, other, at)))
                        .collect(),
                )
            }
            ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(parts)) => {
                Value::Array(parts.iter().map(|part| replaced(part, other, at)).collect())
            }
            ("items" | "not" | "if" | "then" | "additionalProperties", part) => {
                replaced(part, other, at)
            }
            _ => value.clone(),
        };
        (keyword.clone(), value)
    });
    Value::Object(keywords.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_schema_is_not_narrower_than_itself(schema in schema()) {
        prop_assert_eq!(compare(&schema, &schema.clone(), &json!({})), []);
        // Nor if it is written otherwise.
        let named = json!({ "$defs": { "it": schema }, "$ref": "#/$defs/it" });
        prop_assert_eq!(narrower(&schema, &named), Vec::<String>::new());
    }

    #[test]
    fn narrowing_is_always_seen_and_widening_never(schema in schema(), way in 0..7_usize) {
        // What accepts nothing cannot be narrowed: a part such as `{"not": {}}` already says what would be added.
        let parts = schema["allOf"].as_array();
        prop_assume!(!parts.is_some_and(|parts| parts.iter().any(|part| part.get("not").is_some())));
        let narrow = narrow(&schema, way);
        prop_assert!(!narrower(&schema, &narrow).is_empty(), "{} to {}", schema, narrow);
        prop_assert_eq!(narrower(&narrow, &schema), Vec::<String>::new());
    }

    /// The judge is a validator: what satisfied the old schema and does not satisfy the new one.
    #[test]
    fn whatever_is_refused_now_was_said_to_be_narrower(old in schema(), other in schema(), at in 0..6_usize, value in value()) {
        let mut at = at;
        let new = replaced(&old, &other, &mut at);
        let valid = |schema: &Value| Schema::new(schema).unwrap_or_else(|e| panic!("{e:?}")).findings(&value).is_empty();
        let differences = compare(&old, &new, &json!({}));
        // Nothing described a new option before, so nobody was told to set it.
        let judged = !differences.iter().any(|d| d.narrower || d.what == "is new");
        prop_assert!(!(judged && valid(&old) && !valid(&new)), "{} to {}: {}", old, new, value);
    }
}
