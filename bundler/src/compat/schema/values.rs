//! Keywords whose values alone say what they allow.

use std::{
    cmp::Ordering,
    collections::{BTreeSet, HashSet},
    sync::LazyLock,
};

use serde_json::{Map, Value};

use super::{Comparison, list};
use crate::compat::short;

static ZERO: LazyLock<Value> = LazyLock::new(|| 0.into());

/// Whether a keyword is one of these.
pub(super) fn is_judged(keyword: &str) -> bool {
    matches!(
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
    )
}

impl<'v> Comparison<'v> {
    pub(super) fn values(
        &mut self,
        old: &'v Map<String, Value>,
        new: &'v Map<String, Value>,
        at: &str,
    ) {
        self.types(old, new, at);
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
        if let Some(step) = new.get("multipleOf") {
            let one = Value::from(1);
            let whole = types(old).is_some_and(|types| types.iter().all(|t| *t == "integer"));
            let had = old.get("multipleOf").or(whole.then_some(&one));
            if !had.is_some_and(|had| is_multiple(had, step)) {
                self.note(at, format!("has to be a multiple of {step} now"));
            }
        }
        for keyword in ["pattern", "format"] {
            if let Some(asked) = new.get(keyword)
                && old.get(keyword) != Some(asked)
            {
                let what = format!("has to have another {keyword}: {}", short(asked));
                self.note(at, what);
            }
        }
        let unique = |s: &Map<String, Value>| s.get("uniqueItems") == Some(&Value::Bool(true));
        if unique(new) && !unique(old) {
            self.note(at, "may not have the same item twice any more");
        }
    }

    fn types(&mut self, old: &Map<String, Value>, new: &Map<String, Value>, at: &str) {
        let Some(has) = types(new) else {
            return;
        };
        let Some(had) = types(old).or_else(|| types_of_values(old)) else {
            let has = Vec::from_iter(has).join(" or ");
            return self.note(at, format!("has to be of type {has} now"));
        };
        // Each integer is a number.
        let kept = |t: &str| has.contains(t) || (t == "integer" && has.contains("number"));
        for lost in had.into_iter().filter(|t| !kept(t)) {
            self.note(at, format!("may not be of type {lost} any more"));
        }
    }

    /// `enum` and `const`: lists of what is allowed.
    fn listed(&mut self, old: &'v Map<String, Value>, new: &'v Map<String, Value>, at: &str) {
        let had = lists(old);
        for allowed in lists(new) {
            let before = had.iter().flatten();
            if !self.spend(allowed.iter().chain(before).map(|v| size(v)).sum()) {
                return;
            }
            let allowed: HashSet<String> = allowed.into_iter().map(canonical).collect();
            // What each list of the old schema allows is more than what all of them do.
            let lost = had.iter().map(|had| {
                let lost = had.iter().filter(|v| !allowed.contains(&canonical(v)));
                lost.collect::<Vec<_>>()
            });
            match lost.min_by_key(Vec::len) {
                None => self.note(at, "is one of a list now"),
                Some(lost) => {
                    for value in lost {
                        self.note(at, format!("may not be {} any more", short(value)));
                    }
                }
            }
        }
    }
}

/// The lists of values that a schema allows.
fn lists(schema: &Map<String, Value>) -> Vec<Vec<&Value>> {
    let several = schema.contains_key("enum");
    let several = several.then(|| list(schema, "enum").iter().collect());
    let one = schema.get("const").map(|only| vec![only]);
    [several, one].into_iter().flatten().collect()
}

/// The types that a schema allows, where it says so.
fn types(schema: &Map<String, Value>) -> Option<BTreeSet<&str>> {
    match schema.get("type")? {
        Value::String(one) => Some([one.as_str()].into()),
        Value::Array(several) => Some(several.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

/// The types of the values that a schema lists.
fn types_of_values(schema: &Map<String, Value>) -> Option<BTreeSet<&str>> {
    let list = lists(schema).into_iter().next()?;
    let types = list.into_iter().map(|value| match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        // A number without a fraction is an integer, however it is written (2020-12 validation, section 6.1.1).
        number @ Value::Number(_) => match Number::of(number) {
            Some(Number::Whole(_)) => "integer",
            _ => "number",
        },
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    });
    Some(types.collect())
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
pub(super) fn is_tighter(old: Bound<'_>, new: Bound<'_>, low: bool) -> bool {
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

/// A number without loss.
#[derive(Clone, Copy)]
enum Number {
    /// One without a fraction, however it is written.
    Whole(i128),
    /// One with a fraction, or too large for one without.
    Float(f64),
}

impl Number {
    /// Beyond this, 2^100, every float has no fraction and no digits that matter to anybody.
    const LARGE: f64 = 1.267_650_600_228_229_4e30;

    fn of(value: &Value) -> Option<Self> {
        let whole = value.as_i64().map(i128::from);
        if let Some(whole) = whole.or_else(|| value.as_u64().map(i128::from)) {
            return Some(Self::Whole(whole));
        }
        let float = value.as_f64()?;
        Some(if float.fract() == 0.0 && float.abs() < Self::LARGE {
            Self::Whole(floor(float))
        } else {
            Self::Float(float)
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "below 2^100, which i128 holds"
)]
fn floor(float: f64) -> i128 {
    float.floor() as i128
}

/// The order of two numbers.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    let beside = |whole: i128, float: f64| match float {
        float if float >= Number::LARGE => Ordering::Less,
        float if float <= -Number::LARGE => Ordering::Greater,
        // It has a fraction, so it is above its floor.
        float => whole.cmp(&floor(float)).then(Ordering::Less),
    };
    Some(match (Number::of(a)?, Number::of(b)?) {
        (Number::Whole(a), Number::Whole(b)) => a.cmp(&b),
        (Number::Float(a), Number::Float(b)) => return a.partial_cmp(&b),
        (Number::Whole(a), Number::Float(b)) => beside(a, b),
        (Number::Float(a), Number::Whole(b)) => beside(b, a).reverse(),
    })
}

/// Whether all multiples of `had` are multiples of `step`.
fn is_multiple(had: &Value, step: &Value) -> bool {
    match (Number::of(had), Number::of(step)) {
        (Some(Number::Whole(had)), Some(Number::Whole(step))) => step > 0 && had % step == 0,
        _ => had == step,
    }
}

/// How much there is to look at in a value.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(table) => table.iter().map(|(k, v)| k.len() / 16 + size(v)).sum(),
        Value::String(text) => text.len() / 16,
        _ => 0,
    }
}

/// A text that is the same for values that are equal as JSON Schema has it: 1 is 1.0 (2020-12 core, section 4.2.2).
fn canonical(value: &Value) -> String {
    match value {
        Value::Number(_) => match Number::of(value) {
            Some(Number::Whole(whole)) => whole.to_string(),
            _ => value.to_string(),
        },
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(table) => {
            let mut entries: Vec<String> = table
                .iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)))
                .collect();
            entries.sort_unstable();
            format!("{{{}}}", entries.join(","))
        }
        other => other.to_string(),
    }
}
