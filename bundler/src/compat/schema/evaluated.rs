//! What the keywords of a schema have looked at, which decides what `unevaluatedProperties` and
//! `unevaluatedItems` speak of (2020-12 core, section 11).

use std::collections::{BTreeSet, HashSet};

use serde_json::{Map, Value};

use super::{Comparison, DEPTH, address, list, table};
use crate::configuration::Screen;

/// Keywords beside which other schemas look at the same value.
const APPLICATORS: [&str; 10] = [
    "$ref",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "contains",
];

/// Whether options and items are looked at by more than the schema's own keywords for them.
pub(super) fn is_shared(schema: &Map<String, Value>) -> bool {
    APPLICATORS.iter().any(|k| schema.contains_key(*k))
}

/// What is looked at in each value that satisfies a schema.
#[derive(Default)]
struct Evaluated<'v> {
    options: BTreeSet<&'v str>,
    patterns: BTreeSet<&'v str>,
    items: usize,
    /// Whether a part looks at all options, or at all items.
    all: (bool, bool),
    /// Keywords that look at more or less of it, as the value is; by schemas that they lie in.
    conditional: Vec<(&'static [&'static str], &'v Map<String, Value>)>,
}

/// Keywords whose evaluation depends on the value, those that belong together in one row.
const CONDITIONAL: [&[&str]; 5] = [
    &["anyOf"],
    &["oneOf"],
    &["if", "then", "else"],
    &["dependentSchemas"],
    &["contains"],
];

impl<'v> Comparison<'v> {
    /// Whether what is looked at in the old schema is in the new one too, for certain. What their own
    /// `additionalProperties`, `items` and `unevaluated…` look at is left out.
    pub(super) fn covers(
        &mut self,
        old: &'v Map<String, Value>,
        new: &'v Map<String, Value>,
    ) -> bool {
        let had = self.evaluated(self.old, old);
        let has = self.evaluated(self.new, new);
        let (Some(had), Some(has)) = (had, has) else {
            return false;
        };
        let named = had.options.is_subset(&has.options) && had.patterns.is_subset(&has.patterns);
        let some = |this: &mut Self, (keywords, before)| {
            has.conditional.iter().any(|(others, now)| {
                *others == keywords && this.are_identical(keywords, before, now)
            })
        };
        (has.all.0 || (named && !had.all.0))
            && (has.all.1 || (had.items <= has.items && !had.all.1))
            && had.conditional.iter().all(|before| some(self, *before))
    }

    /// The only options that a schema of the old document lets a site set, where it refuses all others.
    pub(super) fn only(&mut self, schema: &'v Value) -> Option<BTreeSet<&'v str>> {
        let Value::Object(schema) = schema else {
            return None;
        };
        let refuses = |keyword| schema.get(keyword) == Some(&Value::Bool(false));
        let alone = refuses("additionalProperties");
        if !alone
            && (schema.contains_key("additionalProperties") || !refuses("unevaluatedProperties"))
        {
            return None;
        }
        let found = self.evaluated(self.old, schema)?;
        let names = if alone {
            table(schema, "properties").into_keys().collect()
        } else {
            found.options
        };
        let more = !found.patterns.is_empty() || found.all.0 || !found.conditional.is_empty();
        (!more).then_some(names)
    }

    fn evaluated(
        &mut self,
        document: Screen<'v>,
        schema: &'v Map<String, Value>,
    ) -> Option<Evaluated<'v>> {
        let mut found = Evaluated::default();
        let mut seen = HashSet::new();
        let mut left = vec![schema];
        while let Some(part) = left.pop() {
            if !seen.insert(address(part)) {
                continue;
            }
            let names = |keyword: &str| {
                let table = part.get(keyword).and_then(Value::as_object);
                table.into_iter().flat_map(Map::keys).map(String::as_str)
            };
            found.options.extend(names("properties"));
            found.patterns.extend(names("patternProperties"));
            if !self.spend(1 + part.len() + found.options.len()) {
                return None;
            }
            found.items = found.items.max(list(part, "prefixItems").len());
            if !std::ptr::eq(part, schema) {
                let has = |keywords: [&str; 2]| keywords.iter().any(|k| part.contains_key(*k));
                found.all.0 |= has(["additionalProperties", "unevaluatedProperties"]);
                found.all.1 |= has(["items", "unevaluatedItems"]);
            }
            for keywords in CONDITIONAL {
                if part.contains_key(keywords[0]) {
                    found.conditional.push((keywords, part));
                }
            }
            left.extend(list(part, "allOf").iter().filter_map(Value::as_object));
            let reference = part.get("$ref").and_then(Value::as_str);
            let target = reference.and_then(|r| document.target(r));
            left.extend(target.and_then(Value::as_object));
        }
        Some(found)
    }

    fn are_identical(
        &mut self,
        keywords: &[&str],
        before: &'v Map<String, Value>,
        now: &'v Map<String, Value>,
    ) -> bool {
        keywords
            .iter()
            .all(|keyword| match (before.get(*keyword), now.get(*keyword)) {
                (Some(before), Some(now)) => self.is_identical(before, now),
                (before, now) => before.is_none() && now.is_none(),
            })
    }

    /// Whether a value of the old document is written as one of the new, with all that it refers to.
    pub(super) fn is_identical(&mut self, before: &'v Value, now: &'v Value) -> bool {
        self.identical(before, now, &mut HashSet::new(), 0)
    }

    fn identical(
        &mut self,
        before: &'v Value,
        now: &'v Value,
        seen: &mut HashSet<(usize, usize)>,
        depth: usize,
    ) -> bool {
        if depth > DEPTH || !self.spend(1) {
            return false;
        }
        match (before, now) {
            (Value::Object(a), Value::Object(b)) => {
                a.len() == b.len()
                    && a.iter().all(|(key, a)| {
                        let Some(b) = b.get(key) else {
                            return false;
                        };
                        self.identical(a, b, seen, depth + 1)
                            && (key != "$ref" || self.lead_to_identical(a, b, seen, depth))
                    })
            }
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .zip(b)
                        .all(|(a, b)| self.identical(a, b, seen, depth + 1))
            }
            (a, b) => a == b,
        }
    }

    fn lead_to_identical(
        &mut self,
        a: &'v Value,
        b: &'v Value,
        seen: &mut HashSet<(usize, usize)>,
        depth: usize,
    ) -> bool {
        let target = |document: Screen<'v>, reference: &Value| {
            reference.as_str().and_then(|r| document.target(r))
        };
        match (target(self.old, a), target(self.new, b)) {
            (Some(a), Some(b)) => {
                !seen.insert((address(a), address(b))) || self.identical(a, b, seen, depth + 1)
            }
            (a, b) => a.is_none() && b.is_none(),
        }
    }
}
