//! Whether every configuration that satisfied one schema still satisfies another (JSON Schema 2020-12).
//!
//! The two are compared keyword by keyword: where each keyword of the new schema asks for no more than the
//! same keyword of the old one did, everything that was allowed still is. The reverse does not hold, so
//! what cannot be judged is said to be narrower perhaps, and counts as if it were.
//!
//! A schema is the conjunction of its own keywords, of what `$ref` leads to, and of the parts of `allOf`
//! ([`Comparison::conjuncts`]). Each conjunct of the new schema has to follow from one of the old one.

mod evaluated;
mod options;
mod values;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    rc::Rc,
    sync::LazyLock,
};

use serde_json::{Map, Value};

use self::{options::Options, values::is_tighter};
use crate::configuration::{Pattern, Screen, below, readable};

/// What a comparison may cost before we say that it is too much: keywords and list items that are looked at.
const STEPS: usize = 1_000_000;
/// What a pair of schemas costs beside its keywords.
const PAIR: usize = 16;
/// What it costs to compile a pattern.
const COMPILE: usize = 1000;
/// Schemas inside of each other, beyond what a schema document may have.
const DEPTH: usize = 256;
/// Differences that are told of one configuration; what follows is mostly more of the same.
const TOLD: usize = 200;
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

/// A difference that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// The option, as people write it; empty for the configuration as a whole.
    pub(super) option: String,
    /// What is different with it, to follow its name.
    pub(super) what: String,
    /// Whether something that was allowed may not be any more, or has no effect any more.
    pub(super) narrower: bool,
}

/// What is different between two schemas. `defaults` is what stands in where a site says nothing: an
/// option that has to be there, and has a default, asks nothing of a site.
pub(super) fn compare(old: &Value, new: &Value, defaults: &Value) -> Vec<Difference> {
    if old == new {
        return Vec::new();
    }
    let (old_document, new_document) = (Screen::new(old), Screen::new(new));
    let mut comparison = Comparison::new(old_document, new_document, STEPS);
    let had = Options::of(old_document).map(Rc::new);
    comparison.described.clone_from(&had);
    comparison.pair(old, new, "", Some(defaults));
    match had.zip(Options::of(new_document)) {
        Some((had, has)) => comparison.named(&had, &has),
        None => comparison.left = 0,
    }
    if comparison.left == 0 {
        comparison.note("", "is too intricate to compare, and may be narrower");
    }
    let mut told = HashSet::new();
    let mut found = comparison.found;
    found.retain(|d| told.insert((d.option.clone(), d.what.clone())));
    found
}

/// What is known of a value beside the two schemas that are compared.
#[derive(Clone, Copy)]
struct Context<'a, 'v> {
    /// What stands in where a site says nothing.
    defaults: Option<&'a Value>,
    /// The only options that the old schema let a site set, if there are such.
    only: Option<&'a BTreeSet<&'v str>>,
}

/// Two schemas, by where they lie, and the default beside them.
type Pair = (usize, usize, Option<usize>);

struct Comparison<'v> {
    old: Screen<'v>,
    new: Screen<'v>,
    /// What was compared, or is being compared: it need not be again.
    seen: HashSet<Pair>,
    /// What is being compared, also by those that this comparison is a part of: schemas that hold themselves end here.
    around: Vec<Pair>,
    /// Compiled patterns of the names of options.
    patterns: HashMap<&'v str, Option<Rc<Pattern>>>,
    /// The options of the old document, where others are new rather than restricted. Nothing where the place of what is
    /// compared is not known, or where less may mean that more is allowed.
    described: Option<Rc<Options>>,
    /// How many options were new.
    excused: usize,
    left: usize,
    found: Vec<Difference>,
}

fn address<T>(value: &T) -> usize {
    std::ptr::from_ref(value).addr()
}

impl<'v> Comparison<'v> {
    fn new(old: Screen<'v>, new: Screen<'v>, left: usize) -> Self {
        Self {
            old,
            new,
            seen: HashSet::new(),
            around: Vec::new(),
            patterns: HashMap::new(),
            described: None,
            excused: 0,
            left,
            found: Vec::new(),
        }
    }

    fn tell(&mut self, at: &str, what: impl Into<String>, narrower: bool) {
        match self.found.len() {
            0..TOLD => self.found.push(Difference {
                option: readable(at),
                what: what.into(),
                narrower,
            }),
            // Whatever it is, the whole counts as narrower.
            TOLD => self.found.push(Difference {
                option: String::new(),
                what: "differs in more than is told here, and may be narrower".into(),
                narrower: true,
            }),
            _ => {}
        }
    }

    fn note(&mut self, at: &str, what: impl Into<String>) {
        self.tell(at, what, true);
    }

    /// Takes steps, and says whether there were enough of them.
    fn spend(&mut self, steps: usize) -> bool {
        self.left = self.left.saturating_sub(steps);
        self.left > 0
    }

    /// Compares the schemas of the same option, which is called `at`.
    fn pair(&mut self, old: &'v Value, new: &'v Value, at: &str, defaults: Option<&Value>) {
        if !self.spend(PAIR) {
            return;
        }
        if is_open(new) || *old == Value::Bool(false) {
            return;
        }
        if *new == Value::Bool(false) {
            return self.note(at, "is not allowed any more");
        }
        let seen = (address(old), address(new), defaults.map(address));
        if self.around.contains(&seen) || !self.seen.insert(seen) {
            return;
        }
        if self.around.len() >= DEPTH {
            self.left = 0;
            return;
        }
        let excused = self.excused;
        self.around.push(seen);
        self.conjunctions(old, new, at, defaults);
        self.around.pop();
        if self.excused != excused {
            // What is new here may not be elsewhere.
            self.seen.remove(&seen);
        }
    }

    fn conjunctions(&mut self, old: &'v Value, new: &'v Value, at: &str, defaults: Option<&Value>) {
        let (Some(had), Some(has)) = (self.conjuncts(self.old, old), self.conjuncts(self.new, new))
        else {
            return;
        };
        let is_false = |(_, part): &(String, &Value)| **part == Value::Bool(false);
        if had.iter().any(is_false) {
            return;
        }
        let only = had.iter().find_map(|(_, part)| self.only(part));
        let context = Context {
            defaults,
            only: only.as_ref(),
        };
        for (place, now) in &has {
            if is_open(now) {
                continue;
            }
            if **now == Value::Bool(false) {
                self.note(at, "is not allowed any more");
                continue;
            }
            // What lies at the same place says best what changed.
            let same = had.iter().find(|(other, _)| other == place);
            let before = same.or(had.first()).map_or(&*ANYTHING, |(_, part)| *part);
            let follows = |this: &mut Self, part| {
                this.apart(this.old, this.new, |other| {
                    other.keywords(part, now, "", context);
                })
            };
            let alone = had.len() == 1;
            if alone || !had.iter().any(|(_, part)| follows(self, part)) {
                self.keywords(before, now, at, context);
            }
        }
    }

    /// The schemas that all have to hold where `schema` does, each with where it lies: the schema itself, what
    /// its `$ref` leads to, the parts of its `allOf`, and theirs. Nothing if there are too many.
    fn conjuncts(
        &mut self,
        document: Screen<'v>,
        schema: &'v Value,
    ) -> Option<Vec<(String, &'v Value)>> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        let mut left = vec![(String::new(), schema)];
        while let Some((place, schema)) = left.pop() {
            if !self.spend(PAIR) {
                return None;
            }
            if !seen.insert(address(schema)) {
                continue;
            }
            if let Value::Object(keywords) = schema {
                for (i, part) in list(keywords, "allOf").iter().enumerate().rev() {
                    left.push((format!("{place}/{i}"), part));
                }
                let reference = keywords.get("$ref").and_then(Value::as_str);
                if let Some(target) = reference.and_then(|r| document.target(r)) {
                    left.push((format!("{place}/$ref"), target));
                }
            }
            found.push((place, schema));
        }
        // What only refers says nothing itself.
        let says = |schema: &Value| match schema {
            Value::Object(keywords) => keywords.iter().any(|(keyword, value)| {
                let refers = keyword == "$ref" && value.is_string();
                !refers && keyword != "allOf" && !ANNOTATIONS.contains(&keyword.as_str())
            }),
            _ => *schema != Value::Bool(true),
        };
        found.retain(|(_, schema)| says(schema));
        if let [(place, _)] = found.as_mut_slice() {
            place.clear();
        }
        Some(found)
    }

    /// Compares two schemas but for their `$ref` and `allOf`.
    fn keywords(&mut self, old: &'v Value, new: &'v Value, at: &str, context: Context<'_, 'v>) {
        let defaults = context.defaults;
        let (Value::Object(had), Value::Object(has)) = (old, new) else {
            return;
        };
        if !self.spend(had.len() + has.len()) {
            return;
        }
        self.values(had, has, at);
        self.required(had, has, at, defaults);
        self.properties(had, has, at, context);
        self.items(had, has, at);
        self.alternatives(old, has, at);
        self.conditions(had, has, at, defaults);
        for (keyword, value) in has {
            let judged = is_judged(keyword) || ANNOTATIONS.contains(&keyword.as_str());
            let same = |this: &mut Self, before| this.is_identical(before, value);
            if !judged && !had.get(keyword).is_some_and(|before| same(self, before)) {
                self.note(at, format!("may be narrower: its {keyword} changed"));
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
        if !self.spend(list(old, "required").len() + list(new, "required").len()) {
            return;
        }
        let before = texts(old.get("required"));
        for option in texts(new.get("required")).difference(&before) {
            if defaults.and_then(|d| d.get(option)).is_none() {
                self.note(
                    &below(at, option),
                    "has to be there now, and has no default",
                );
            }
        }
        let table = |s| table(s, "dependentRequired");
        let had = table(old);
        for (option, asked) in table(new) {
            let before = texts(had.get(option).copied());
            for other in texts(Some(asked)).difference(&before) {
                self.spend(1);
                self.note(
                    &below(at, option),
                    format!("asks for {other} beside it now"),
                );
            }
        }
    }

    fn properties(
        &mut self,
        old: &'v Map<String, Value>,
        new: &'v Map<String, Value>,
        at: &str,
        Context { defaults, only }: Context<'_, 'v>,
    ) {
        let (had, has) = (table(old, "properties"), table(new, "properties"));
        let old_patterns = table(old, "patternProperties");
        let new_patterns = table(new, "patternProperties");
        let (old_rest, new_rest) = (rest(old), rest(new));
        let closes = *new_rest == Value::Bool(false);
        for (option, schema) in &had {
            let at = below(at, option);
            match has.get(option) {
                Some(now) => self.pair(schema, now, &at, defaults.and_then(|d| d.get(option))),
                None if **schema == Value::Bool(false) => {}
                None if closes && new_patterns.is_empty() => {
                    self.note(&at, "is removed, and refused where a site sets it");
                }
                None => self.pair(schema, new_rest, &at, None),
            }
        }
        let refused = |option: &str| only.is_some_and(|only| !only.contains(option));
        let new_ones = has.iter().filter(|(option, _)| !had.contains_key(*option));
        for (option, schema) in new_ones.filter(|(option, _)| !refused(option)) {
            let at = below(at, option);
            let described = old_patterns.iter().find(|(p, _)| self.matches(p, option));
            let (before, defaults) = match described {
                Some((_, before)) => (*before, None),
                None => (old_rest, defaults.and_then(|d| d.get(option))),
            };
            if !is_open(before) {
                self.pair(before, schema, &at, defaults);
            } else if !self.is_new(&at) && !self.is_wider(&ANYTHING, schema) {
                self.note(&at, "may be narrower: it could have any value here");
            }
        }
        for (pattern, schema) in &new_patterns {
            match old_patterns.get(pattern) {
                Some(before) => self.strictly(|this| {
                    this.pair(before, schema, &below(at, pattern), None);
                }),
                None => self.new_pattern(pattern, schema, at, (&had, &old_patterns, old_rest)),
            }
        }
        for (pattern, schema) in &old_patterns {
            if !new_patterns.contains_key(pattern) {
                self.strictly(|this| this.pair(schema, new_rest, &below(at, pattern), None));
            }
        }
        if closes && *old_rest != Value::Bool(false) {
            self.note(at, "may not have options that are not described any more");
        } else {
            self.pair(old_rest, new_rest, &below(at, "*"), None);
        }
        let names = |s: &'v Map<String, Value>| s.get("propertyNames").unwrap_or(&ANYTHING);
        self.pair(names(old), names(new), &below(at, "*"), None);
        self.unevaluated(
            old,
            new,
            at,
            "unevaluatedProperties",
            "additionalProperties",
        );
    }

    /// Options that match a pattern that nothing was said of before.
    fn new_pattern(
        &mut self,
        pattern: &'v str,
        schema: &'v Value,
        at: &str,
        (had, old_patterns, old_rest): (&Table<'v>, &Table<'v>, &'v Value),
    ) {
        for (option, before) in had {
            if self.matches(pattern, option) {
                self.pair(before, schema, &below(at, option), None);
            }
        }
        let mut others = old_patterns.values().chain([&old_rest]);
        if !others.all(|before| self.is_wider(before, schema)) {
            let what = format!("may be narrower: options that match {pattern} are restricted now");
            self.note(at, what);
        }
    }

    /// Whether a pattern matches the name of an option; also if nobody can tell.
    fn matches(&mut self, pattern: &'v str, option: &str) -> bool {
        self.spend(1 + option.len() / 64);
        let compiled = if let Some(known) = self.patterns.get(pattern) {
            known.clone()
        } else {
            let compiled = self.spend(COMPILE).then(|| Pattern::new(pattern));
            let compiled = compiled.flatten().map(Rc::new);
            self.patterns.insert(pattern, compiled.clone());
            compiled
        };
        compiled.is_none_or(|pattern| pattern.matches(option))
    }

    fn items(&mut self, old: &'v Map<String, Value>, new: &'v Map<String, Value>, at: &str) {
        let (had, has) = (list(old, "prefixItems"), list(new, "prefixItems"));
        let (old_others, new_others) = (others(old), others(new));
        for i in 0..had.len().max(has.len()) {
            let before = had.get(i).unwrap_or(old_others);
            let now = has.get(i).unwrap_or(new_others);
            self.pair(before, now, &below(at, &i.to_string()), None);
        }
        self.pair(old_others, new_others, &below(at, "*"), None);
        self.contains(old, new, at);
        self.unevaluated(old, new, at, "unevaluatedItems", "items");
    }

    /// `unevaluatedProperties` and `unevaluatedItems`, which ask what all other keywords have looked at.
    /// `others` is the keyword that leaves nothing to ask.
    fn unevaluated(
        &mut self,
        old: &'v Map<String, Value>,
        new: &'v Map<String, Value>,
        at: &str,
        keyword: &str,
        others: &str,
    ) {
        // Where nothing else looks at options or items, it was compared already.
        let asked = new.get(keyword).filter(|now| !is_open(now));
        let Some(now) = asked.filter(|_| !new.contains_key(others) && evaluated::is_shared(new))
        else {
            return;
        };
        let covered = self.covers(old, new);
        match old.get(others).or_else(|| old.get(keyword)) {
            Some(before) if covered => self.pair(before, now, &below(at, "*"), None),
            _ => self.note(
                at,
                format!("may be narrower: what {keyword} speaks of changed"),
            ),
        }
    }

    fn contains(&mut self, old: &'v Map<String, Value>, new: &'v Map<String, Value>, at: &str) {
        static ZERO: LazyLock<Value> = LazyLock::new(|| 0.into());
        static ONE: LazyLock<Value> = LazyLock::new(|| 1.into());
        let Some(now) = new.get("contains") else {
            return;
        };
        let bound = |s: &'v Map<String, Value>, keyword| s.get(keyword).map(|b| (b, false));
        let least = |s| bound(s, "minContains").unwrap_or((&ONE, false));
        let (some, most) = (
            is_tighter(Some((&ZERO, false)), Some(least(new)), true),
            bound(new, "maxContains"),
        );
        if !some && most.is_none() {
            return;
        }
        let Some(before) = old.get("contains") else {
            return self.note(at, "has to contain certain items now");
        };
        if is_tighter(Some(least(old)), Some(least(new)), true)
            || is_tighter(bound(old, "maxContains"), most, false)
        {
            self.note(at, "has to contain another number of certain items");
        }
        // With an upper bound, other items that count can be too many.
        if most.is_some() && !self.is_wider_back(now, before) {
            self.note(at, "may be narrower: other items count for maxContains");
        }
        if some {
            self.strictly(|this| this.pair(before, now, &below(at, "*"), None));
        }
    }

    /// `anyOf`, `oneOf` and `not`.
    fn alternatives(&mut self, whole: &'v Value, new: &'v Map<String, Value>, at: &str) {
        let Value::Object(old) = whole else {
            return;
        };
        if new.contains_key("anyOf") {
            let (had, has) = (list(old, "anyOf"), list(new, "anyOf"));
            let kept = |this: &mut Self, before| has.iter().any(|now| this.is_wider(before, now));
            let every = !had.is_empty() && had.iter().all(|before| kept(self, before));
            // What was no choice may have become one of several.
            if !every && !kept(self, whole) {
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
    }

    /// `if`, `then`, `else` and `dependentSchemas`.
    fn conditions(
        &mut self,
        old: &'v Map<String, Value>,
        new: &'v Map<String, Value>,
        at: &str,
        defaults: Option<&Value>,
    ) {
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
            let before = had.get(option).copied().unwrap_or(&ANYTHING);
            self.pair(before, now, at, defaults);
        }
    }

    /// Options that are described by one of the documents only.
    fn named(&mut self, had: &Options, has: &Options) {
        for gone in had.not_in(has) {
            let option = readable(gone);
            let told = self.found.iter().any(|d| d.narrower && d.option == option);
            if !told {
                self.note(
                    gone,
                    "is removed: what a site sets there has no effect any more",
                );
            }
        }
        for new in has.not_in(had) {
            self.tell(new, "is new", false);
        }
    }

    /// Whether nothing of the old document has described an option: no site was told that it could be set.
    fn is_new(&mut self, at: &str) -> bool {
        let Some(described) = self.described.clone() else {
            return false;
        };
        let is_new = self.spend(1 + described.len() / 16) && !described.has(at);
        self.excused += usize::from(is_new);
        is_new
    }

    /// Compares what lies at a place that cannot be named: every option may be known there.
    fn strictly(&mut self, compare: impl FnOnce(&mut Self)) {
        let described = self.described.take();
        compare(self);
        self.described = described;
    }

    /// Whether all that `before` of the old document allows is allowed by `now` of the new one, for certain.
    fn is_wider(&mut self, before: &'v Value, now: &'v Value) -> bool {
        self.apart(self.old, self.new, |other| {
            other.pair(before, now, "", None);
        })
    }

    /// The same for a schema of the new document and one of the old.
    fn is_wider_back(&mut self, now: &'v Value, before: &'v Value) -> bool {
        self.apart(self.new, self.old, |other| {
            other.pair(now, before, "", None);
        })
    }

    /// Whether a comparison finds nothing narrower. It notes nothing here, and has a part in the bound of this one.
    fn apart(&mut self, old: Screen<'v>, new: Screen<'v>, compare: impl FnOnce(&mut Self)) -> bool {
        let mut other = Self::new(old, new, self.left);
        std::mem::swap(&mut other.patterns, &mut self.patterns);
        std::mem::swap(&mut other.around, &mut self.around);
        compare(&mut other);
        self.patterns = other.patterns;
        self.around = other.around;
        self.left = other.left;
        other.left > 0 && !other.found.iter().any(|d| d.narrower)
    }
}

/// Whether everything is allowed.
fn is_open(schema: &Value) -> bool {
    match schema {
        Value::Bool(open) => *open,
        Value::Object(keywords) => keywords.keys().all(|k| ANNOTATIONS.contains(&k.as_str())),
        _ => false,
    }
}

/// Whether a comparison knows what a keyword means.
fn is_judged(keyword: &str) -> bool {
    values::is_judged(keyword)
        || matches!(
            keyword,
            "required"
                | "dependentRequired"
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

fn texts(list: Option<&Value>) -> BTreeSet<&str> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).collect()
}

/// Schemas by name or pattern.
type Table<'v> = BTreeMap<&'v str, &'v Value>;

fn table<'v>(schema: &'v Map<String, Value>, keyword: &str) -> Table<'v> {
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

/// What options that the schema itself does not name have to be. What `unevaluatedProperties` speaks of
/// is the same only where nothing beside it describes options.
fn rest(schema: &Map<String, Value>) -> &Value {
    let given = schema.get("additionalProperties");
    let alone = || schema.get("unevaluatedProperties");
    given
        .or_else(|| alone().filter(|_| !evaluated::is_shared(schema)))
        .unwrap_or(&ANYTHING)
}

/// The same for items beyond the first ones.
fn others(schema: &Map<String, Value>) -> &Value {
    let given = schema.get("items");
    let alone = || schema.get("unevaluatedItems");
    given
        .or_else(|| alone().filter(|_| !evaluated::is_shared(schema)))
        .unwrap_or(&ANYTHING)
}

#[cfg(test)]
mod tests;
