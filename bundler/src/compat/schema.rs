//! Whether every configuration that satisfied one schema still satisfies another (JSON Schema 2020-12).
//!
//! The two are compared keyword by keyword: where each keyword of the new schema asks for no more than the
//! same keyword of the old one did, everything that was allowed still is. The reverse does not hold, so
//! what cannot be judged is said to be narrower perhaps, and counts as if it were.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::LazyLock,
};

use serde_json::{Map, Value};

use crate::configuration::{Screen, below, readable};

/// Pairs of schemas that are compared before we say that it is too much.
const PAIRS: usize = 50_000;
/// Schemas inside of each other, beyond what a schema document may have.
const DEPTH: usize = 256;
/// Keywords that say something to people or about the document, and restrict nothing.
const ANNOTATIONS: [&str; 16] = [
    "title",
    "description",
    "$comment",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$schema",
    "$id",
    "$defs",
    "definitions",
    "$vocabulary",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
];
/// What allows everything.
static ANYTHING: LazyLock<Value> = LazyLock::new(|| Value::Object(Map::new()));

static ZERO: LazyLock<Value> = LazyLock::new(|| 0.into());
static ONE: LazyLock<Value> = LazyLock::new(|| 1.into());

/// A difference that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// The option, as people write it; empty for the configuration as a whole.
    pub(super) option: String,
    /// What is different with it, to follow its name.
    pub(super) what: String,
    /// Whether something that was allowed may not be any more.
    pub(super) narrower: bool,
}

/// What is different between two schemas. `defaults` is what stands in where a site says nothing: an
/// option that has to be there, and has a default, asks nothing of a site.
pub(super) fn compare(old: &Value, new: &Value, defaults: &Value) -> Vec<Difference> {
    if old == new {
        return Vec::new();
    }
    let mut comparison = Comparison {
        old: Screen::new(old),
        new: Screen::new(new),
        seen: HashSet::new(),
        left: PAIRS,
        depth: 0,
        found: Vec::new(),
    };
    comparison.pair(old, new, "", Some(defaults));
    if comparison.left == 0 {
        comparison.note("", "is too intricate to compare, and may be narrower");
    }
    comparison.found.dedup();
    comparison.found
}

/// Two schemas, by where they lie, and the default beside them.
type Pair = (usize, usize, Option<usize>);

struct Comparison<'v> {
    old: Screen<'v>,
    new: Screen<'v>,
    /// What was compared, or is being compared: it need not be again, and schemas that hold themselves end here.
    seen: HashSet<Pair>,
    left: usize,
    depth: usize,
    found: Vec<Difference>,
}

fn address<T>(value: &T) -> usize {
    std::ptr::from_ref(value).addr()
}

impl<'v> Comparison<'v> {
    fn note(&mut self, at: &str, what: impl Into<String>) {
        self.found.push(Difference {
            option: readable(at),
            what: what.into(),
            narrower: true,
        });
    }

    fn option(&mut self, at: &str, what: &str) {
        self.found.push(Difference {
            option: readable(at),
            what: what.into(),
            narrower: false,
        });
    }

    /// Compares the schemas of the same option, which is called `at`.
    fn pair(&mut self, old: &'v Value, new: &'v Value, at: &str, defaults: Option<&Value>) {
        let (old, new) = (follow(self.old, old), follow(self.new, new));
        if is_open(new) || *old == Value::Bool(false) {
            return;
        }
        if *new == Value::Bool(false) {
            return self.note(at, "is not allowed any more");
        }
        if !self
            .seen
            .insert((address(old), address(new), defaults.map(address)))
        {
            return;
        }
        if self.left == 0 || self.depth >= DEPTH {
            self.left = 0;
            return;
        }
        self.left -= 1;
        self.depth += 1;
        if let (Value::Object(old), Value::Object(new)) = (old, new) {
            self.keywords(old, new, at, defaults);
        }
        self.depth -= 1;
    }

    fn keywords(
        &mut self,
        old: &'v Map<String, Value>,
        new: &'v Map<String, Value>,
        at: &str,
        defaults: Option<&Value>,
    ) {
        self.values(old, new, at);
        self.required(old, new, at, defaults);
        self.properties(old, new, at, defaults);
        self.items(old, new, at);
        self.combined(old, new, at, defaults);
        for (keyword, value) in new {
            let judged = is_judged_by_value(keyword) || is_judged_by_structure(keyword);
            if !judged && old.get(keyword) != Some(value) {
                self.note(at, format!("may be narrower: its {keyword} changed"));
            }
        }
    }

    /// Keywords whose values alone say what they allow.
    fn values(&mut self, old: &'v Map<String, Value>, new: &'v Map<String, Value>, at: &str) {
        match (types(old), types(new)) {
            (_, None) => {}
            (None, Some(has)) => {
                let has = Vec::from_iter(has).join(" or ");
                self.note(at, format!("has to be of type {has} now"));
            }
            (Some(had), Some(has)) => {
                let kept = |t: &str| has.contains(t) || (t == "integer" && has.contains("number"));
                for lost in had.into_iter().filter(|t| !kept(t)) {
                    self.note(at, format!("may not be of type {lost} any more"));
                }
            }
        }
        self.listed(old, new, at);
        for (low, keyword, exclusive) in [
            (true, "minimum", "exclusiveMinimum"),
            (false, "maximum", "exclusiveMaximum"),
        ] {
            let bound = |s| bound(s, low, keyword, exclusive);
            if is_tighter(bound(old), bound(new), low) {
                let side = if low { "low" } else { "high" };
                self.note(at, format!("may not be as {side} as before"));
            }
        }
        for (keyword, low, what) in [
            ("minLength", true, "has to be longer"),
            ("maxLength", false, "has to be shorter"),
            ("minItems", true, "has to have more items"),
            ("maxItems", false, "has to have fewer items"),
            ("minProperties", true, "has to have more options"),
            ("maxProperties", false, "has to have fewer options"),
        ] {
            let bound = |s: &'v Map<String, Value>| s.get(keyword).map(|b| (b, false));
            // No length and no count is below zero.
            let before = bound(old).or(low.then_some((&ZERO, false)));
            if is_tighter(before, bound(new), low) {
                self.note(at, what);
            }
        }
        if let Some(step) = new.get("multipleOf")
            && !old
                .get("multipleOf")
                .is_some_and(|had| is_multiple(had, step))
        {
            self.note(at, format!("has to be a multiple of {step} now"));
        }
        for keyword in ["pattern", "format"] {
            if let Some(asked) = new.get(keyword)
                && old.get(keyword) != Some(asked)
            {
                self.note(at, format!("has to have another {keyword}: {asked}"));
            }
        }
        let unique = |s: &Map<String, Value>| s.get("uniqueItems") == Some(&Value::Bool(true));
        if unique(new) && !unique(old) {
            self.note(at, "may not have the same item twice any more");
        }
        self.dependent(old, new, at);
    }

    /// `enum` and `const`: lists of what is allowed.
    fn listed(&mut self, old: &Map<String, Value>, new: &Map<String, Value>, at: &str) {
        let lists = |s: &Map<String, Value>| {
            let list = s.get("enum").and_then(Value::as_array).cloned();
            let only = s.get("const").map(|only| vec![only.clone()]);
            [list, only].into_iter().flatten().collect::<Vec<_>>()
        };
        let had = lists(old);
        for allowed in lists(new) {
            // What each list of the old schema allows is more than what all of them do.
            let lost = had.iter().map(|had| {
                let lost = had
                    .iter()
                    .filter(|v| !allowed.iter().any(|a| is_same(a, v)));
                lost.collect::<Vec<_>>()
            });
            match lost.min_by_key(Vec::len) {
                None => self.note(at, "is one of a list now"),
                Some(lost) => {
                    for value in lost {
                        self.note(at, format!("may not be {value} any more"));
                    }
                }
            }
        }
    }

    fn dependent(&mut self, old: &Map<String, Value>, new: &Map<String, Value>, at: &str) {
        let table = |s: &Map<String, Value>| match s.get("dependentRequired") {
            Some(Value::Object(table)) => table.clone(),
            _ => Map::new(),
        };
        let had = table(old);
        for (option, asked) in table(new) {
            let before = texts(had.get(&option));
            for other in texts(Some(&asked)).difference(&before) {
                self.note(
                    &below(at, &option),
                    format!("asks for {other} beside it now"),
                );
            }
        }
    }

    /// What has to be there, and was not asked for.
    fn required(
        &mut self,
        old: &Map<String, Value>,
        new: &Map<String, Value>,
        at: &str,
        defaults: Option<&Value>,
    ) {
        let before = texts(old.get("required"));
        for option in texts(new.get("required")).difference(&before) {
            if defaults.and_then(|d| d.get(option)).is_none() {
                self.note(
                    &below(at, option),
                    "has to be there now, and has no default",
                );
            }
        }
    }

    fn properties(
        &mut self,
        old: &'v Map<String, Value>,
        new: &'v Map<String, Value>,
        at: &str,
        defaults: Option<&Value>,
    ) {
        let (had, has) = (table(old, "properties"), table(new, "properties"));
        let (old_patterns, new_patterns) = (
            table(old, "patternProperties"),
            table(new, "patternProperties"),
        );
        let (old_rest, new_rest) = (rest(old), rest(new));
        for (option, schema) in &had {
            let at = below(at, option);
            let defaults = defaults.and_then(|d| d.get(option));
            match has.get(option) {
                Some(now) => self.pair(schema, now, &at, defaults),
                None if *new_rest == Value::Bool(false) && new_patterns.is_empty() => {
                    self.note(&at, "is removed, and refused where a site sets it");
                }
                None => {
                    self.option(&at, "is not described any more");
                    self.pair(schema, new_rest, &at, None);
                }
            }
        }
        for (option, schema) in has.iter().filter(|(option, _)| !had.contains_key(*option)) {
            let at = below(at, option);
            self.option(&at, "is new");
            // Where anything was allowed, nothing described this option, so nobody was told to set it.
            if !is_open(old_rest) {
                self.pair(old_rest, schema, &at, defaults.and_then(|d| d.get(option)));
            }
        }
        for (pattern, schema) in &new_patterns {
            match old_patterns.get(pattern) {
                Some(before) => self.pair(before, schema, &below(at, pattern), None),
                None if is_open(schema) => {}
                None => self.note(
                    at,
                    format!("may be narrower: options that match {pattern} are restricted now"),
                ),
            }
        }
        for (pattern, schema) in &old_patterns {
            if !new_patterns.contains_key(pattern) {
                self.pair(schema, new_rest, &below(at, pattern), None);
            }
        }
        if *new_rest == Value::Bool(false) && *old_rest != Value::Bool(false) {
            self.note(at, "may not have options that are not described any more");
        } else {
            self.pair(old_rest, new_rest, &below(at, "*"), None);
        }
        let names = |s: &'v Map<String, Value>| s.get("propertyNames").unwrap_or(&ANYTHING);
        self.pair(names(old), names(new), &below(at, "*"), None);
    }

    fn items(&mut self, old: &'v Map<String, Value>, new: &'v Map<String, Value>, at: &str) {
        let first = |s: &'v Map<String, Value>| match s.get("prefixItems") {
            Some(Value::Array(items)) => items.as_slice(),
            _ => &[],
        };
        let others = |s: &'v Map<String, Value>| {
            let items = s.get("items").or_else(|| s.get("unevaluatedItems"));
            items.unwrap_or(&ANYTHING)
        };
        let (had, has) = (first(old), first(new));
        for i in 0..had.len().max(has.len()) {
            let before = had.get(i).unwrap_or(others(old));
            let now = has.get(i).unwrap_or(others(new));
            self.pair(before, now, &below(at, &i.to_string()), None);
        }
        self.pair(others(old), others(new), &below(at, "*"), None);
        self.contains(old, new, at);
    }

    fn contains(&mut self, old: &'v Map<String, Value>, new: &'v Map<String, Value>, at: &str) {
        let Some(now) = new.get("contains") else {
            return;
        };
        let Some(before) = old.get("contains") else {
            return self.note(at, "has to contain certain items now");
        };
        let bound = |s: &'v Map<String, Value>, keyword| s.get(keyword).map(|b| (b, false));
        let least = |s| bound(s, "minContains").or(Some((&ONE, false)));
        if is_tighter(least(old), least(new), true)
            || is_tighter(bound(old, "maxContains"), bound(new, "maxContains"), false)
        {
            self.note(at, "has to contain another number of certain items");
        }
        // With an upper bound, other items that count can be too many.
        if new.contains_key("maxContains") && !self.is_wider(now, before) {
            self.note(at, "may be narrower: other items count for maxContains");
        }
        self.pair(before, now, &below(at, "*"), None);
    }

    /// Keywords that combine schemas of the same value.
    fn combined(
        &mut self,
        old: &'v Map<String, Value>,
        new: &'v Map<String, Value>,
        at: &str,
        defaults: Option<&Value>,
    ) {
        if let Some(Value::String(reference)) = new.get("$ref") {
            let target = |screen: Screen<'v>, reference: &str| screen.target(reference);
            let before = old.get("$ref").and_then(Value::as_str);
            let before = before.and_then(|before| target(self.old, before));
            match before.zip(target(self.new, reference)) {
                Some((before, now)) => self.pair(before, now, at, defaults),
                None => self.note(at, "may be narrower: it refers to another schema now"),
            }
        }
        let (had, has) = (list(old, "allOf"), list(new, "allOf"));
        for (i, now) in has.iter().enumerate() {
            // The one at the same place says best what changed.
            let wider = had.iter().any(|before| self.is_wider(before, now));
            match had.get(i) {
                _ if wider => {}
                Some(before) => self.pair(before, now, at, defaults),
                None => self.note(at, "may be narrower: allOf has another part"),
            }
        }
        if new.contains_key("anyOf") {
            let (had, has) = (list(old, "anyOf"), list(new, "anyOf"));
            let kept = |this: &mut Self, before| has.iter().any(|now| this.is_wider(before, now));
            if had.is_empty() || !had.iter().all(|before| kept(self, before)) {
                self.note(
                    at,
                    "may be narrower: an alternative of anyOf changed or is gone",
                );
            }
        }
        if new.contains_key("oneOf") {
            let (had, has) = (list(old, "oneOf"), list(new, "oneOf"));
            // One more alternative, or a wider one, can make two of them match.
            let same = had.len() == has.len()
                && had
                    .iter()
                    .zip(has)
                    .all(|(a, b)| self.is_wider(a, b) && self.is_wider_back(b, a));
            if !same {
                self.note(
                    at,
                    "may be narrower: exactly one of other alternatives has to match",
                );
            }
        }
        if let Some(now) = new.get("not") {
            let wider = old
                .get("not")
                .is_some_and(|before| self.is_wider_back(now, before));
            if !wider {
                self.note(at, "may be narrower: its `not` changed");
            }
        }
        if let Some(asked) = new.get("if") {
            let same = old.get("if").is_some_and(|before| {
                self.is_wider(before, asked) && self.is_wider_back(asked, before)
            });
            for branch in ["then", "else"] {
                let (before, now) = (old.get(branch), new.get(branch));
                match now.unwrap_or(&ANYTHING) {
                    now if is_open(now) => {}
                    now if same => self.pair(before.unwrap_or(&ANYTHING), now, at, None),
                    _ => self.note(at, format!("may be narrower: its if or {branch} changed")),
                }
            }
        }
        let had = table(old, "dependentSchemas");
        for (option, now) in table(new, "dependentSchemas") {
            self.pair(
                had.get(option).copied().unwrap_or(&ANYTHING),
                now,
                at,
                defaults,
            );
        }
    }

    /// Whether all that `before` of the old document allows is allowed by `now` of the new one, for certain.
    fn is_wider(&mut self, before: &'v Value, now: &'v Value) -> bool {
        self.apart(self.old, self.new, before, now)
    }

    /// The same for a schema of the new document and one of the old.
    fn is_wider_back(&mut self, now: &'v Value, before: &'v Value) -> bool {
        self.apart(self.new, self.old, now, before)
    }

    /// A comparison that notes nothing here, and has a part in the bound of this one.
    fn apart(&mut self, old: Screen<'v>, new: Screen<'v>, a: &'v Value, b: &'v Value) -> bool {
        let mut other = Comparison {
            old,
            new,
            seen: HashSet::new(),
            left: self.left,
            depth: self.depth,
            found: Vec::new(),
        };
        other.pair(a, b, "", None);
        self.left = other.left;
        other.left > 0 && !other.found.iter().any(|d| d.narrower || d.what == "is new")
    }
}

/// What a schema that only refers stands for.
fn follow<'v>(document: Screen<'v>, mut schema: &'v Value) -> &'v Value {
    for _ in 0..DEPTH {
        let Value::Object(keywords) = schema else {
            let open = *schema == Value::Bool(true);
            return if open { &ANYTHING } else { schema };
        };
        let others = keywords
            .keys()
            .filter(|k| !ANNOTATIONS.contains(&k.as_str()));
        let reference = keywords.get("$ref").and_then(Value::as_str);
        match reference.and_then(|reference| document.target(reference)) {
            Some(target) if others.count() == 1 => schema = target,
            _ => break,
        }
    }
    schema
}

/// Whether everything is allowed.
fn is_open(schema: &Value) -> bool {
    match schema {
        Value::Bool(open) => *open,
        Value::Object(keywords) => keywords.keys().all(|k| ANNOTATIONS.contains(&k.as_str())),
        _ => false,
    }
}

fn is_judged_by_value(keyword: &str) -> bool {
    ANNOTATIONS.contains(&keyword)
        || matches!(
            keyword,
            "type"
                | "enum"
                | "const"
                | "minimum"
                | "exclusiveMinimum"
                | "maximum"
                | "exclusiveMaximum"
                | "multipleOf"
                | "minLength"
                | "maxLength"
                | "pattern"
                | "format"
                | "minItems"
                | "maxItems"
                | "uniqueItems"
                | "minProperties"
                | "maxProperties"
                | "dependentRequired"
        )
}

fn is_judged_by_structure(keyword: &str) -> bool {
    matches!(
        keyword,
        "required"
            | "properties"
            | "patternProperties"
            | "additionalProperties"
            | "unevaluatedProperties"
            | "propertyNames"
            | "prefixItems"
            | "items"
            | "unevaluatedItems"
            | "contains"
            | "minContains"
            | "maxContains"
            | "$ref"
            | "allOf"
            | "anyOf"
            | "oneOf"
            | "not"
            | "if"
            | "then"
            | "else"
            | "dependentSchemas"
    )
}

/// The types that a schema allows, where it says so.
fn types(schema: &Map<String, Value>) -> Option<BTreeSet<&str>> {
    match schema.get("type")? {
        Value::String(one) => Some([one.as_str()].into()),
        Value::Array(several) => Some(several.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

fn texts(list: Option<&Value>) -> BTreeSet<&str> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).collect()
}

fn table<'v>(schema: &'v Map<String, Value>, keyword: &str) -> BTreeMap<&'v str, &'v Value> {
    let entries = schema
        .get(keyword)
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    entries.map(|(key, value)| (key.as_str(), value)).collect()
}

fn list<'v>(schema: &'v Map<String, Value>, keyword: &str) -> &'v [Value] {
    schema
        .get(keyword)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// What options that nothing else describes have to be.
fn rest(schema: &Map<String, Value>) -> &Value {
    let given = schema.get("additionalProperties");
    given
        .or_else(|| schema.get("unevaluatedProperties"))
        .unwrap_or(&ANYTHING)
}

/// A bound, and whether the bound itself is outside.
type Bound<'v> = Option<(&'v Value, bool)>;

/// The bound of a number.
fn bound<'v>(
    schema: &'v Map<String, Value>,
    low: bool,
    keyword: &str,
    exclusive: &str,
) -> Bound<'v> {
    let with = schema.get(keyword).map(|b| (b, false));
    let without = schema.get(exclusive).map(|b| (b, true));
    if is_tighter(with, without, low) {
        without
    } else {
        with
    }
}

/// Whether the new bound leaves out something that the old one did not.
fn is_tighter(old: Bound<'_>, new: Bound<'_>, low: bool) -> bool {
    let Some((now, now_outside)) = new else {
        return false;
    };
    let Some((before, before_outside)) = old else {
        return true;
    };
    match order(now, before) {
        Some(Ordering::Greater) => low,
        Some(Ordering::Less) => !low,
        Some(Ordering::Equal) => now_outside && !before_outside,
        None => true,
    }
}

/// The order of two numbers, whole ones exactly.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    let whole = |v: &Value| v.as_i64().map(i128::from).or(v.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// Whether all multiples of `had` are multiples of `step`.
fn is_multiple(had: &Value, step: &Value) -> bool {
    match (had.as_u64(), step.as_u64()) {
        (Some(had), Some(step)) => step > 0 && had % step == 0,
        _ => had == step,
    }
}

/// Whether two values are equal as JSON Schema has it: 1 is 1.0 (2020-12 core, section 4.2.2).
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(_), Value::Number(_)) => order(a, b) == Some(Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| is_same(a, b)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests;
