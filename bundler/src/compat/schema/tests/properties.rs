//! Comparisons of generated schemas, with a validator as the judge.

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value, json};

use super::{Difference, compare, narrower};
use crate::configuration::Schema;

/// Schemas that the generated values below meet now and then.
/// `refers` if some of them may refer to `#/$defs/it`, see [`document`].
#[expect(clippy::too_many_lines, reason = "an entry for each keyword")]
fn schema(refers: bool) -> impl Strategy<Value = Value> {
    let numbers = -1..3_i64;
    let it = if refers {
        json!({ "$ref": "#/$defs/it" })
    } else {
        json!({ "minLength": 1 })
    };
    let named = it.clone();
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
        select(vec![json!(0), json!(1.0), json!("a")]).prop_map(|only| json!({ "const": only })),
        Just(json!({ "dependentRequired": { "a": ["b"] } })),
        Just(json!({ "propertyNames": { "maxLength": 0 } })),
        Just(json!({ "uniqueItems": true })),
        Just(it),
    ];
    leaf.prop_recursive(3, 12, 3, move |inner| {
        let named = named.clone();
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
            (inner.clone(), inner.clone(), any::<bool>()).prop_map(|(a, b, then)| {
                let branch = if then { "then" } else { "else" };
                json!({ "if": a, branch: b })
            }),
            (
                select(vec!["^a", "b", "."]),
                inner.clone(),
                proptest::option::of(inner.clone())
            )
                .prop_map(|(pattern, part, rest)| {
                    let mut schema = json!({ "patternProperties": { pattern: part } });
                    if let Some(rest) = rest {
                        schema["additionalProperties"] = rest;
                    }
                    schema
                }),
            (inner.clone(), inner.clone(), any::<bool>()).prop_map(|(part, rest, closed)| {
                let rest = if closed { json!(false) } else { rest };
                json!({ "allOf": [part], "unevaluatedProperties": rest, "unevaluatedItems": rest })
            }),
            (inner.clone(), 0..2_u8, proptest::option::of(0..2_u8)).prop_map(
                |(part, least, most)| {
                    let mut schema = json!({ "contains": part, "minContains": least });
                    if let Some(most) = most {
                        schema["maxContains"] = most.into();
                    }
                    schema
                }
            ),
            inner
                .clone()
                .prop_map(|part| json!({ "dependentSchemas": { "a": part } })),
            (inner.clone(), inner.clone()).prop_map(move |(part, other)| {
                let mut schema = named.clone();
                schema["allOf"] = json!([other]);
                schema["properties"] = json!({ "a": part });
                schema
            }),
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

/// A document whose schemas may refer to `it`.
fn document(schema: &Value, it: &Value) -> Value {
    let mut document = match schema {
        Value::Object(_) => schema.clone(),
        other => json!({ "allOf": [other] }),
    };
    document["$defs"] = json!({ "it": it });
    document
}

/// Whether it may accept nothing because of a `not`.
fn refuses(schema: &Value) -> bool {
    let parts = schema["allOf"].as_array();
    schema.get("not").is_some() || parts.is_some_and(|parts| parts.iter().any(refuses))
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
            ("properties" | "patternProperties" | "dependentSchemas", Value::Object(options)) => {
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
            (
                "items"
                | "not"
                | "if"
                | "then"
                | "else"
                | "contains"
                | "additionalProperties"
                | "unevaluatedProperties"
                | "unevaluatedItems",
                part,
            ) => replaced(part, other, at),
            _ => value.clone(),
        };
        (keyword.clone(), value)
    });
    Value::Object(keywords.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_schema_is_not_narrower_than_itself(schema in schema(true), it in schema(false)) {
        let document = document(&schema, &it);
        prop_assert_eq!(compare(&document, &document.clone(), &json!({})), []);
        // Nor if something else changes that restricts nothing, or if it is written otherwise.
        let mut titled = document.clone();
        titled["title"] = "another".into();
        prop_assert_eq!(narrower(&document, &titled), Vec::<String>::new());
        let named = json!({ "$defs": { "it": it, "whole": schema }, "$ref": "#/$defs/whole" });
        prop_assert_eq!(narrower(&document, &named), Vec::<String>::new());
    }

    #[test]
    fn narrowing_is_always_seen_and_widening_never(schema in schema(false), way in 0..7_usize) {
        // What accepts nothing cannot be narrowed: a part such as `{"not": {}}` already says what would be added.
        prop_assume!(!refuses(&schema));
        let narrow = narrow(&schema, way);
        prop_assert!(!narrower(&schema, &narrow).is_empty(), "{} to {}", schema, narrow);
        prop_assert_eq!(narrower(&narrow, &schema), Vec::<String>::new());
    }

    /// The judge is a validator: what satisfied the old schema and does not satisfy the new one.
    #[test]
    fn whatever_is_refused_now_was_said_to_be_narrower(
        old in schema(true),
        other in schema(true),
        at in 0..6_usize,
        its in (schema(false), schema(false), any::<bool>()),
        values in vec(value(), 8),
    ) {
        let mut at = at;
        let new = replaced(&old, &other, &mut at);
        let (it, other_it, changes) = &its;
        let (old, new) = (document(&old, it), document(&new, if *changes { other_it } else { it }));
        // Nothing described a new option before, so nobody was told to set it.
        let is_excused = |d: &Difference| d.narrower || d.what == "is new";
        if compare(&old, &new, &json!({})).iter().any(is_excused) {
            return Ok(());
        }
        let (before, now) = (Schema::new(&old), Schema::new(&new));
        let (Ok(before), Ok(now)) = (before, now) else {
            return Err(TestCaseError::fail(format!("{old} or {new} is no schema")));
        };
        for value in &values {
            let refused = before.findings(value).is_empty() && !now.findings(value).is_empty();
            prop_assert!(!refused, "{} to {}: {}", old, new, value);
        }
    }
}
