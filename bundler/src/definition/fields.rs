//! The keys of one TOML table, taken out one by one. What is of the wrong type is a problem with its
//! place; so is what nobody took. All problems of a file are found in one go, which deserialising into a
//! struct cannot do: it stops at the first.

use std::{collections::BTreeMap, fmt::Display, ops::RangeInclusive, str::FromStr};

use strsim::levenshtein;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::document::Document;
use crate::{
    error::Code,
    problem::{Place, Problem, shortened},
};

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Located<T> {
    /// The value.
    pub(crate) value: T,
    /// Where it stands.
    pub(crate) at: Place,
}

impl<T> Located<T> {
    fn with<U>(self, value: U) -> Located<U> {
        Located { value, at: self.at }
    }
}

type Value<'t> = &'t Spanned<DeValue<'t>>;

/// The keys of a table that were not taken yet.
pub(crate) struct Fields<'d, 't> {
    document: &'d Document,
    /// The table itself: where a missing key is reported.
    at: Place,
    left: BTreeMap<&'t str, (Place, Value<'t>)>,
    known: Vec<&'static str>,
}

impl<'d, 't> Fields<'d, 't> {
    /// The table of a whole file.
    pub(crate) fn new(document: &'d Document, table: &'t DeTable<'t>) -> Self {
        Self::of(document, Place::of_file(document.file()), table)
    }

    fn of(document: &'d Document, at: Place, table: &'t DeTable<'t>) -> Self {
        let left = table.iter().map(|(key, value)| {
            let name = key.get_ref().as_ref();
            let shown = shortened(name);
            let path = if at.key.is_empty() {
                shown
            } else {
                format!("{}.{shown}", at.key)
            };
            (name, (document.place(key.span(), &path), value))
        });
        let left = left.collect();
        Self {
            document,
            at,
            left,
            known: Vec::new(),
        }
    }

    /// The place of the table.
    pub(crate) fn at(&self) -> &Place {
        &self.at
    }

    /// Notes a problem.
    pub(crate) fn report(&self, at: &Place, code: Code, message: impl Into<String>) {
        self.document.report(at, code, message);
    }

    /// Notes a problem that was made elsewhere.
    pub(crate) fn note(&self, problem: Problem) {
        self.document.note(problem);
    }

    /// Where a key of this table stands, if it is there.
    pub(crate) fn place_of(&self, key: &str) -> Option<Place> {
        self.left.get(key).map(|(at, _)| at.clone())
    }

    /// Whether a key is there, of whatever type.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.left.contains_key(key)
    }

    /// Whether a list stands under a key, and nothing in it.
    pub(crate) fn is_empty_list(&self, key: &str) -> bool {
        let list = self.left.get(key).map(|(_, value)| value.get_ref());
        list.and_then(DeValue::as_array)
            .is_some_and(|items| items.is_empty())
    }

    /// The keys of the table under a key, if it is one.
    pub(crate) fn keys_of(&self, key: &str) -> Option<Vec<&'t str>> {
        let (_, value) = self.left.get(key)?;
        let table = value.get_ref().as_table()?;
        Some(
            table
                .iter()
                .map(|(key, _)| key.get_ref().as_ref())
                .collect(),
        )
    }

    fn take(&mut self, key: &'static str) -> Option<Located<Value<'t>>> {
        self.known.push(key);
        self.left
            .remove(key)
            .map(|(at, value)| Located { value, at })
    }

    fn wrong_type(&self, at: &Place, asked: &str, value: Value<'_>) {
        let message = format!("has to be {asked}, is {}", type_name(value.get_ref()));
        self.report(at, Code::WrongType, message);
    }

    /// Notes that a key is missing; `what` says what it is for.
    pub(crate) fn missing(&self, key: &str, what: &str) {
        let path = if self.at.key.is_empty() {
            key.into()
        } else {
            format!("{}.{key}", self.at.key)
        };
        let at = Place {
            key: path,
            ..self.at.clone()
        };
        let problem = Problem::new(&at, Code::MissingKey, format!("{what} is missing"));
        self.note(problem.with_hint(format!("add `{key} = …`")));
    }

    /// A string, if the key is there. A date that is written without quotes is taken as one.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<Located<String>> {
        let found = self.take(key)?;
        match found.value.get_ref() {
            DeValue::String(text) => Some(found.clone().with(text.to_string())),
            DeValue::Datetime(date) => Some(found.clone().with(date.to_string())),
            _ => {
                self.wrong_type(&found.at, "a string", found.value);
                None
            }
        }
    }

    /// A string that has to be there.
    pub(crate) fn required_text(
        &mut self,
        key: &'static str,
        what: &str,
    ) -> Option<Located<String>> {
        if !self.has(key) {
            self.missing(key, what);
        }
        self.text(key)
    }

    /// A string that is read as a `T`.
    pub(crate) fn parsed<T>(&mut self, key: &'static str, code: Code) -> Option<Located<T>>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.text(key)?;
        self.parse(text, code)
    }

    /// A string that has to be there and is read as a `T`.
    pub(crate) fn required<T>(
        &mut self,
        key: &'static str,
        code: Code,
        what: &str,
    ) -> Option<Located<T>>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.required_text(key, what)?;
        self.parse(text, code)
    }

    /// Reads a string as a `T`.
    pub(crate) fn parse<T>(&self, text: Located<String>, code: Code) -> Option<Located<T>>
    where
        T: FromStr,
        T::Err: Display,
    {
        match text.value.parse() {
            Ok(value) => Some(text.with(value)),
            Err(e) => {
                let error = e.to_string();
                let quoted = format!("{:?}", text.value);
                let message = if error.contains(&quoted) {
                    error
                } else {
                    format!("{quoted}: {error}")
                };
                self.report(&text.at, code, message);
                None
            }
        }
    }

    /// An integer within bounds.
    pub(crate) fn integer(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<u64>,
    ) -> Option<Located<u64>> {
        let found = self.take(key)?;
        let Some(integer) = found.value.get_ref().as_integer() else {
            self.wrong_type(&found.at, "an integer", found.value);
            return None;
        };
        match u64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(value) if bounds.contains(&value) => Some(found.with(value)),
            _ => {
                let (low, high) = bounds.into_inner();
                let message = format!("has to be from {low} to {high}, is {integer}");
                let problem = Problem::new(&found.at, Code::InvalidValue, message);
                self.note(problem.with_hint(format!("write a number from {low} to {high}")));
                None
            }
        }
    }

    /// A boolean.
    pub(crate) fn boolean(&mut self, key: &'static str) -> Option<Located<bool>> {
        let found = self.take(key)?;
        let value = found.value.get_ref().as_bool();
        if value.is_none() {
            self.wrong_type(&found.at, "true or false", found.value);
        }
        value.map(|value| found.with(value))
    }

    /// A list of strings, if the key is there.
    pub(crate) fn texts(&mut self, key: &'static str) -> Option<Located<Vec<Located<String>>>> {
        let found = self.take(key)?;
        self.texts_in(found)
    }

    /// A table whose keys are not known beforehand: its lists of strings by their keys.
    pub(crate) fn text_lists(
        &mut self,
        key: &'static str,
    ) -> BTreeMap<String, Located<Vec<Located<String>>>> {
        let lists = self.table(key).map(|table| table.left).unwrap_or_default();
        let list = |(name, (at, value)): (&str, _)| {
            let list = self.texts_in(Located { value, at })?;
            Some((name.to_owned(), list))
        };
        lists.into_iter().filter_map(list).collect()
    }

    fn texts_in(&self, found: Located<Value<'t>>) -> Option<Located<Vec<Located<String>>>> {
        let Some(items) = found.value.get_ref().as_array() else {
            self.wrong_type(&found.at, "a list of strings", found.value);
            return None;
        };
        let mut texts = Vec::new();
        for (i, item) in items.iter().enumerate() {
            let at = self
                .document
                .place(item.span(), &format!("{}[{i}]", found.at.key));
            match item.get_ref().as_str() {
                Some(text) => texts.push(Located {
                    value: text.to_owned(),
                    at,
                }),
                None => self.wrong_type(&at, "a string", item),
            }
        }
        Some(found.with(texts))
    }

    /// The tables of an array of tables (`[[key]]`); none if the key is not there.
    pub(crate) fn tables(&mut self, key: &'static str) -> Vec<Fields<'d, 't>> {
        let Some(found) = self.take(key) else {
            return Vec::new();
        };
        let Some(items) = found.value.get_ref().as_array() else {
            self.wrong_type(&found.at, &format!("written as [[{key}]]"), found.value);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (i, item) in items.iter().enumerate() {
            let at = self
                .document
                .place(item.span(), &format!("{}[{i}]", found.at.key));
            match item.get_ref().as_table() {
                Some(table) => tables.push(Fields::of(self.document, at, table)),
                None => self.wrong_type(&at, "a table", item),
            }
        }
        tables
    }

    /// A table, if the key is there.
    pub(crate) fn table(&mut self, key: &'static str) -> Option<Fields<'d, 't>> {
        let found = self.take(key)?;
        let Some(table) = found.value.get_ref().as_table() else {
            self.wrong_type(&found.at, &format!("written as [{key}]"), found.value);
            return None;
        };
        Some(Self::of(self.document, found.at, table))
    }

    /// A table whose keys and strings are read as `K` and `V`: sorted by keys, without those that cannot be
    /// read. A key that cannot be has the first code, a string the second.
    pub(crate) fn parsed_map<K, V>(
        &mut self,
        key: &'static str,
        of_key: Code,
        code: Code,
    ) -> Vec<(K, Located<V>)>
    where
        K: FromStr,
        K::Err: Display,
        V: FromStr,
        V::Err: Display,
    {
        let mut pairs = Vec::new();
        for (name, value) in self.map(key).unwrap_or_default() {
            let name = Located {
                value: name,
                at: value.at.clone(),
            };
            let name = self.parse::<K>(name, of_key);
            let value = self.parse::<V>(value, code);
            if let (Some(name), Some(value)) = (name, value) {
                pairs.push((name.value, value));
            }
        }
        pairs
    }

    /// A list of strings that are read as `T`: sorted, each once.
    pub(crate) fn parsed_set<T>(&mut self, key: &'static str, code: Code) -> Vec<T>
    where
        T: FromStr + Ord + Display,
        T::Err: Display,
    {
        let mut set = Vec::new();
        for text in self.texts(key).map(|t| t.value).unwrap_or_default() {
            let Some(item) = self.parse::<T>(text, code) else {
                continue;
            };
            if set.contains(&item.value) {
                let message = format!("{} is listed twice", item.value);
                let problem = Problem::new(&item.at, Code::InvalidValue, message);
                self.note(problem.with_hint("list it once"));
            } else {
                set.push(item.value);
            }
        }
        set.sort();
        set
    }

    /// A list of texts for people, each of one line with at most `most` bytes.
    pub(crate) fn lines(&mut self, key: &'static str, most: usize) -> Vec<String> {
        let texts = self.texts(key).map(|t| t.value).unwrap_or_default();
        let lines = texts
            .into_iter()
            .filter_map(|text| self.one_line(text, most));
        lines.collect()
    }

    /// A text for people of one line with at most `most` bytes.
    pub(crate) fn line(&mut self, key: &'static str, most: usize) -> Option<String> {
        let text = self.text(key)?;
        self.one_line(text, most)
    }

    fn one_line(&self, text: Located<String>, most: usize) -> Option<String> {
        if text.value.chars().any(char::is_control)
            || text.value.len() > most
            || text.value.trim().is_empty()
        {
            let message = format!("has to be one line of 1 to {most} bytes");
            self.report(&text.at, Code::InvalidValue, message);
            return None;
        }
        Some(text.value)
    }

    /// A table whose keys are not known beforehand: its strings by their keys.
    pub(crate) fn map(&mut self, key: &'static str) -> Option<BTreeMap<String, Located<String>>> {
        let found = self.take(key)?;
        let Some(table) = found.value.get_ref().as_table() else {
            self.wrong_type(&found.at, "a table", found.value);
            return None;
        };
        let mut map = BTreeMap::new();
        for (name, (at, value)) in Self::of(self.document, found.at, table).left {
            match value.get_ref().as_str() {
                Some(text) => {
                    map.insert(
                        name.to_owned(),
                        Located {
                            value: text.to_owned(),
                            at,
                        },
                    );
                }
                None => self.wrong_type(&at, "a string", value),
            }
        }
        Some(map)
    }

    /// Reports every key that nobody asked for.
    pub(crate) fn finish(self) {
        for (name, (at, _)) in &self.left {
            let near = self.known.iter().filter(|known| is_near(name, known));
            let hint = match near.min_by_key(|known| levenshtein(name, known)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here are: {}", self.known.join(", ")),
            };
            let problem = Problem::new(at, Code::UnknownKey, format!("unknown key `{name}`"));
            self.note(problem.with_hint(hint));
        }
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Whether `a` is probably a misspelt `b`: at most two letters were added, left out or exchanged.
pub(crate) fn is_near(a: &str, b: &str) -> bool {
    let length = b.chars().count();
    // What is much longer has not to be compared.
    a.len() <= 4 * (length + 2) && levenshtein(a, b) <= 2.min(length.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::is_near;

    #[test]
    fn misspelt_keys_are_recognised() {
        assert!(is_near("verison", "version"));
        assert!(is_near("descripton", "description"));
        assert!(!is_near("name", "version"));
        assert!(!is_near("a", "b"));
        assert!(!is_near("", "ab"));
    }
}
