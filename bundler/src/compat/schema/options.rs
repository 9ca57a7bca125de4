//! The options that a schema describes by name, wherever it does.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{DEPTH, address};
use crate::configuration::{Screen, below};

/// Schemas that are looked at.
const SCHEMAS: usize = 50_000;
/// Length of all names together, in bytes.
const BYTES: usize = 8 << 20;

/// JSON Pointers to options; `*` stands for whatever has no name of its own, such as the items of a list.
#[derive(Default)]
pub(super) struct Options {
    names: BTreeSet<String>,
    /// Where others may be described as well: what a pattern speaks of, and what a schema that holds itself says again.
    others: BTreeSet<String>,
    schemas: usize,
    bytes: usize,
    /// The schemas that lie around the one that is looked at, with the lengths of their pointers: one that holds itself
    /// says nothing new.
    around: Vec<(usize, usize)>,
}

impl Options {
    /// Those of a document; nothing if there are too many of them.
    pub(super) fn of(document: Screen<'_>) -> Option<Self> {
        let mut options = Self::default();
        options.add(document, document.root(), "")?;
        Some(options)
    }

    /// Options that are not in `other`, without those inside of one that is not either.
    pub(super) fn not_in<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a str> {
        let missing = |name: &str| self.names.contains(name) && !other.names.contains(name);
        let names = self.names.iter().map(String::as_str);
        names.filter(move |name| {
            let inside = |name: &str| above(name).any(missing);
            missing(name) && !inside(name)
        })
    }

    /// Whether one of them may lie at `pointer`.
    pub(super) fn has(&self, pointer: &str) -> bool {
        let same = |a: &str, b: &str| a == b || a == "*" || b == "*";
        let parts: Vec<&str> = pointer.split('/').collect();
        let starts = |name: &str| {
            let mut parts = parts.iter();
            name.split('/')
                .all(|part| parts.next().is_some_and(|other| same(part, other)))
        };
        let is_whole = |name: &str| name.split('/').count() == parts.len();
        let mut names = self.names.iter();
        names.any(|name| is_whole(name) && starts(name)) || self.others.iter().any(|at| starts(at))
    }

    /// How many there are to look through.
    pub(super) fn len(&self) -> usize {
        self.names.len() + self.others.len()
    }

    fn add<'v>(&mut self, document: Screen<'v>, schema: &'v Value, at: &str) -> Option<()> {
        let Value::Object(keywords) = schema else {
            return Some(());
        };
        let mut around = self.around.iter();
        if let Some((_, end)) = around.find(|(other, _)| *other == address(schema)) {
            self.others.insert(at[..*end].to_owned());
            return Some(());
        }
        self.schemas += 1;
        self.bytes += at.len();
        if self.schemas > SCHEMAS || self.bytes > BYTES || self.around.len() > DEPTH {
            return None;
        }
        self.around.push((address(schema), at.len()));
        let done = self.inside(document, keywords, at);
        self.around.pop();
        done
    }

    fn inside<'v>(
        &mut self,
        document: Screen<'v>,
        schema: &'v Map<String, Value>,
        at: &str,
    ) -> Option<()> {
        let reference = schema.get("$ref").and_then(Value::as_str);
        if let Some(target) = reference.and_then(|r| document.target(r)) {
            self.add(document, target, at)?;
        }
        for (keyword, value) in schema {
            match (keyword.as_str(), value) {
                ("properties", Value::Object(options)) => {
                    for (option, schema) in options {
                        // What may not be set is no option.
                        if *schema != Value::Bool(false) {
                            let at = below(at, option);
                            self.add(document, schema, &at)?;
                            self.bytes += at.len();
                            self.names.insert(at);
                        }
                    }
                }
                ("allOf" | "anyOf" | "oneOf", Value::Array(parts)) => {
                    for part in parts {
                        self.add(document, part, at)?;
                    }
                }
                ("then" | "else", part) => self.add(document, part, at)?,
                ("dependentSchemas", Value::Object(parts)) => {
                    for part in parts.values() {
                        self.add(document, part, at)?;
                    }
                }
                ("patternProperties", Value::Object(parts)) => {
                    for part in parts.values() {
                        self.add(document, part, &below(at, "*"))?;
                    }
                    if !parts.is_empty() {
                        self.others.insert(below(at, "*"));
                    }
                }
                ("prefixItems", Value::Array(parts)) => {
                    for part in parts {
                        self.add(document, part, &below(at, "*"))?;
                    }
                }
                (
                    "additionalProperties" | "unevaluatedProperties" | "items" | "unevaluatedItems",
                    part,
                ) => self.add(document, part, &below(at, "*"))?,
                _ => {}
            }
        }
        Some(())
    }
}

/// The pointers to what a pointer leads through.
fn above(pointer: &str) -> impl Iterator<Item = &str> {
    let ends = pointer.match_indices('/').skip(1);
    ends.map(|(end, _)| &pointer[..end])
}
