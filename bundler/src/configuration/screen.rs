//! A look at a schema before anything is done with it.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{Finding, below};

/// How deep schemas may be nested, and how many of them may apply inside each other.
const DEPTH: usize = 64;
/// How many times a schema may be applied to a value in one validation.
const STEPS: usize = 200_000;
/// Keywords that lead out of a schema, or to where only a validation finds out (2020-12 core, section 8.2).
const FORBIDDEN: [&str; 4] = ["$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$anchor"];

/// How a keyword applies the schemas that it holds (2020-12 core, sections 10 and 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Applies {
    /// To the value itself.
    Here,
    /// To what lies below this key of it.
    To,
    /// To everything that lies below it.
    Below,
    /// To nothing, unless it is referred to.
    Never,
}

/// What a keyword holds: one schema, a list, or a table of them.
enum Holds {
    One,
    List,
    Table,
}

/// Keywords that hold schemas.
fn applicator(keyword: &str) -> Option<(Holds, Applies)> {
    Some(match keyword {
        "allOf" | "anyOf" | "oneOf" => (Holds::List, Applies::Here),
        "not" | "if" | "then" | "else" => (Holds::One, Applies::Here),
        "dependentSchemas" => (Holds::Table, Applies::Here),
        "properties" => (Holds::Table, Applies::To),
        "patternProperties" => (Holds::Table, Applies::Below),
        "prefixItems" => (Holds::List, Applies::Below),
        "additionalProperties"
        | "unevaluatedProperties"
        | "propertyNames"
        | "items"
        | "contains"
        | "unevaluatedItems"
        | "contentSchema" => (Holds::One, Applies::Below),
        "$defs" | "definitions" => (Holds::Table, Applies::Never),
        _ => return None,
    })
}

/// A schema inside of another.
struct Subschema<'v> {
    /// How it applies.
    applies: Applies,
    /// The key of the table that it lies in; empty in lists.
    key: &'v str,
    /// Its JSON Pointer from the schema that it lies in.
    pointer: String,
    /// The schema.
    value: &'v Value,
}

/// The schemas that lie directly inside of `schema`.
fn subschemas(schema: &Map<String, Value>) -> Vec<Subschema<'_>> {
    let mut found = Vec::new();
    for (keyword, value) in schema {
        let Some((holds, applies)) = applicator(keyword) else {
            continue;
        };
        let pointer = below("", keyword);
        let mut add = |key, pointer, value| {
            found.push(Subschema {
                applies,
                key,
                pointer,
                value,
            });
        };
        match (holds, value) {
            (Holds::List, Value::Array(items)) => {
                for (i, item) in items.iter().enumerate() {
                    add("", format!("{pointer}/{i}"), item);
                }
            }
            (Holds::Table, Value::Object(table)) => {
                for (key, value) in table {
                    add(key, below(&pointer, key), value);
                }
            }
            (Holds::One, value) => add("", pointer, value),
            // Of the wrong type, which validation against the meta-schema tells.
            (Holds::List | Holds::Table, _) => {}
        }
    }
    found
}

/// A schema document that is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Screen<'v> {
    root: &'v Value,
}

impl<'v> Screen<'v> {
    pub(crate) fn new(root: &'v Value) -> Self {
        Self { root }
    }

    /// The whole document.
    pub(crate) fn root(self) -> &'v Value {
        self.root
    }

    /// What a `$ref` refers to: `#` or `#/…`, a JSON Pointer into the same document. Escapes of URIs are not
    /// read: two readers could take them for different keys.
    pub(crate) fn target(self, reference: &str) -> Option<&'v Value> {
        let pointer = reference.strip_prefix('#')?;
        let plain = Some(pointer).filter(|pointer| !pointer.contains('%'));
        self.root.pointer(plain?)
    }

    /// Everything that makes it more than a schema that stands alone.
    pub(super) fn structure(self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut seen = HashSet::new();
        let mut left = vec![(String::new(), self.root, 0)];
        while let Some((pointer, schema, depth)) = left.pop() {
            let Value::Object(keywords) = schema else {
                continue;
            };
            if !seen.insert(std::ptr::from_ref(schema).addr()) {
                continue;
            }
            if depth > DEPTH {
                findings.push(Finding::new(pointer, "is nested too deeply"));
                continue;
            }
            let mut wrong = |keyword: &str, message: String| {
                findings.push(Finding::new(below(&pointer, keyword), message));
            };
            for keyword in FORBIDDEN {
                if keywords.contains_key(keyword) {
                    wrong(
                        keyword,
                        "is not supported: refer with $ref to #/$defs/…".into(),
                    );
                }
            }
            if !std::ptr::eq(schema, self.root) {
                for keyword in ["$id", "$schema"] {
                    if keywords.contains_key(keyword) {
                        wrong(keyword, "may only stand at the top".into());
                    }
                }
            }
            if let Some(Value::String(reference)) = keywords.get("$ref") {
                match self.target(reference) {
                    Some(target) => {
                        left.push((reference.trim_start_matches('#').into(), target, 0));
                    }
                    None if reference.starts_with('#') => {
                        wrong("$ref", format!("{reference} leads nowhere"));
                    }
                    None => wrong(
                        "$ref",
                        format!("{reference} leads out of the file: nothing is ever fetched"),
                    ),
                }
            }
            for inner in subschemas(keywords) {
                let pointer = format!("{pointer}{}", inner.pointer);
                left.push((pointer, inner.value, depth + 1));
            }
        }
        findings.sort();
        findings
    }

    /// Whether `instance` can be validated in a bounded number of steps.
    ///
    /// # Errors
    /// Why it cannot.
    pub(super) fn work(self, instance: &Value) -> Result<(), String> {
        let mut steps = STEPS;
        self.visit(self.root, instance, 0, &mut steps)
    }

    /// Walks as a validation does that finds nothing wrong and tries everything.
    fn visit(
        self,
        schema: &Value,
        instance: &Value,
        depth: usize,
        steps: &mut usize,
    ) -> Result<(), String> {
        let Value::Object(keywords) = schema else {
            return Ok(());
        };
        if depth > DEPTH {
            return Err("the schema applies to itself without end, or too deeply".into());
        }
        *steps = steps
            .checked_sub(1)
            .ok_or("the schema takes too many steps to validate")?;
        let reference = keywords.get("$ref").and_then(Value::as_str);
        if let Some(target) = reference.and_then(|reference| self.target(reference)) {
            self.visit(target, instance, depth + 1, steps)?;
        }
        // To know what is not evaluated yet, a validator goes through the same schemas once more.
        let again = ["unevaluatedProperties", "unevaluatedItems"];
        let rounds = if again.iter().any(|k| keywords.contains_key(*k)) {
            2
        } else {
            1
        };
        for inner in subschemas(keywords) {
            match inner.applies {
                Applies::Here => {
                    for _ in 0..rounds {
                        self.visit(inner.value, instance, depth + 1, steps)?;
                    }
                }
                Applies::To => {
                    if let Some(value) = instance.get(inner.key) {
                        self.visit(inner.value, value, depth + 1, steps)?;
                    }
                }
                Applies::Below => {
                    for value in contained(instance) {
                        self.visit(inner.value, value, depth + 1, steps)?;
                    }
                }
                Applies::Never => {}
            }
        }
        Ok(())
    }
}

/// What lies directly below a value.
fn contained(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(table) => Box::new(table.values()),
        _ => Box::new(std::iter::empty()),
    }
}
