//! What can be configured: the JSON Schema of a capability, and whether its defaults satisfy it.
//!
//! A schema is text from outside that decides how much work there is. So it stands alone (it refers to
//! nothing but itself), its patterns take linear time, and the steps of a validation are counted before
//! it is done.

mod screen;

use std::{fmt::Write as _, io::Read as _};

use jsonschema::{Draft, PatternOptions, Validator, error::ValidationErrorKind};
use sealift_verifier::path::EntryPath;
use serde_json::{Map, Value};

pub(crate) use self::screen::Screen;
use crate::plan::{PlannedArtifact, PlannedContent, PlannedNode, Source};

/// Length of a schema and of defaults, in bytes.
pub(crate) const CONFIGURATION_BYTES: u64 = 1 << 20;
/// Findings in one file that are told; what follows is mostly more of the same.
const FINDINGS: usize = 20;
/// Memory that one pattern may take when it is compiled, in bytes.
const PATTERN_BYTES: usize = 1 << 20;
/// Symbolic links on the way to a file: as many as Linux follows (`path_resolution(7)`).
const LINKS: usize = 40;
/// The dialect that schemas are written in.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Something that is wrong at a place of a JSON value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Where, as a JSON Pointer (RFC 6901).
    pub(crate) pointer: String,
    /// What.
    pub(crate) message: String,
}

impl Finding {
    fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            message: message.into(),
        }
    }

    fn whole(message: impl Into<String>) -> Self {
        Self::new("", message)
    }
}

/// A schema that can be used.
pub(crate) struct Schema<'v> {
    value: &'v Value,
    validator: Validator,
}

impl<'v> Schema<'v> {
    /// Holds `value` against what a schema may be.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn new(value: &'v Value) -> Result<Self, Vec<Finding>> {
        let mut findings = Screen::new(value).structure();
        if findings.is_empty() {
            let meta = jsonschema::draft202012::meta::validator();
            findings = told(meta.iter_errors(value));
        }
        if !findings.is_empty() {
            return Err(findings);
        }
        match build(value) {
            Ok(validator) => Ok(Self { value, validator }),
            Err(error) => Err(vec![finding(&error)]),
        }
    }

    /// Everything in `configuration` that goes against the schema; the first [`FINDINGS`] of it.
    pub(crate) fn findings(&self, configuration: &Value) -> Vec<Finding> {
        if let Err(why) = Screen::new(self.value).work(configuration) {
            return vec![Finding::whole(why)];
        }
        let mut findings = told(self.validator.iter_errors(configuration));
        findings.sort();
        findings
    }
}

fn build(schema: &Value) -> Result<Validator, jsonschema::ValidationError<'_>> {
    let patterns = PatternOptions::regex()
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES);
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .with_pattern_options(patterns)
        .build(schema)
}

/// A pattern of `patternProperties`, as a validation understands it.
pub(crate) struct Pattern(Validator);

impl Pattern {
    /// Compiles it; nothing if it is no pattern.
    pub(crate) fn new(pattern: &str) -> Option<Self> {
        let schema = serde_json::json!({ "pattern": pattern });
        build(&schema).ok().map(Self)
    }

    /// Whether it matches the name of an option.
    pub(crate) fn matches(&self, option: &str) -> bool {
        self.0.is_valid(&Value::from(option))
    }
}

fn told<'e>(errors: impl Iterator<Item = jsonschema::ValidationError<'e>>) -> Vec<Finding> {
    errors.take(FINDINGS).map(|error| finding(&error)).collect()
}

fn finding(error: &jsonschema::ValidationError<'_>) -> Finding {
    // The value itself may be long, and stands in the file.
    let message = match error.kind() {
        ValidationErrorKind::Format { format } if format == "regex" => {
            "it is no regular expression without look-around and back references, which are not supported".to_owned()
        }
        _ => error.masked_with("it").to_string(),
    };
    Finding::new(error.instance_path().as_str(), message)
}

/// Reads a schema.
///
/// # Errors
/// What keeps it from being JSON.
pub(crate) fn read_schema(bytes: &[u8]) -> Result<Value, Finding> {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|e| Finding::whole(format!("is no JSON: {e}")))?;
    let dialect = value.get("$schema").and_then(Value::as_str);
    match dialect.map(|d| d.trim_end_matches('#')) {
        None | Some(DIALECT) => Ok(value),
        Some(other) => Err(Finding::new(
            "/$schema",
            format!("is {other}, schemas are written in {DIALECT}"),
        )),
    }
}

/// Reads defaults: JSON if `name` ends so, else TOML.
///
/// # Errors
/// What keeps them from being a table of values that JSON has too.
pub(crate) fn read_defaults(name: &EntryPath, bytes: &[u8]) -> Result<Value, Finding> {
    let json = name.as_path().extension().is_some_and(|e| e == "json");
    let value = if json {
        serde_json::from_slice(bytes).map_err(|e| Finding::whole(format!("is no JSON: {e}")))?
    } else {
        let text =
            std::str::from_utf8(bytes).map_err(|e| Finding::whole(format!("is no TOML: {e}")))?;
        let table: toml::Table = text
            .parse()
            .map_err(|e: toml::de::Error| Finding::whole(format!("is no TOML: {}", e.message())))?;
        of_toml(toml::Value::Table(table), "")?
    };
    match value {
        Value::Object(_) => Ok(value),
        _ => Err(Finding::whole("is no table of options")),
    }
}

/// The same in JSON. Dates become text; infinity and NaN are nothing that JSON has (RFC 8259, section 6).
fn of_toml(value: toml::Value, pointer: &str) -> Result<Value, Finding> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => serde_json::Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| Finding::new(pointer, format!("{number} is no number in JSON")))?,
        toml::Value::Boolean(found) => found.into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(items) => {
            let items = items.into_iter().enumerate();
            let items = items.map(|(i, item)| of_toml(item, &format!("{pointer}/{i}")));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        toml::Value::Table(table) => {
            let entries = table.into_iter().map(|(key, value)| {
                let value = of_toml(value, &below(pointer, &key))?;
                Ok((key, value))
            });
            Value::Object(entries.collect::<Result<Map<_, _>, _>>()?)
        }
    })
}

/// The JSON Pointer of `key` below `pointer` (RFC 6901, section 3).
pub(crate) fn below(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// A pointer as people write keys: `server.port`, `hosts[1]`.
pub(crate) fn readable(pointer: &str) -> String {
    let mut keys = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) {
            let _ = write!(keys, "[{part}]");
            continue;
        }
        if !keys.is_empty() {
            keys.push('.');
        }
        keys.push_str(&part);
    }
    keys
}

/// Where the bytes of a file of a capability lie, by its path at the site.
pub(crate) fn source<'p>(path: &EntryPath, artifacts: &'p [PlannedArtifact]) -> Option<&'p Source> {
    artifacts
        .iter()
        .find_map(|artifact| match &artifact.content {
            PlannedContent::File(file) | PlannedContent::Config(file) => {
                (artifact.name == *path).then_some(&file.source)
            }
            PlannedContent::Tree(entries) => {
                let rest = path.as_str().strip_prefix(artifact.name.as_str())?;
                let rest = rest.strip_prefix('/')?;
                let find = |path: &str| entries.iter().find(|e| e.path.as_str() == path);
                let led = follow_links(rest, |path| match &find(path)?.node {
                    PlannedNode::Symlink { target } => Some(target.as_str()),
                    PlannedNode::File { .. } | PlannedNode::Dir => None,
                })?;
                match &find(&led)?.node {
                    PlannedNode::File { source, .. } => Some(source),
                    PlannedNode::Symlink { .. } | PlannedNode::Dir => None,
                }
            }
            PlannedContent::Image(_) | PlannedContent::Notice(_) => None,
        })
}

/// Where a path of a tree leads when all symbolic links on it are followed, as a program at the site does. `link`
/// gives the target of what is one. Nothing if it leads out of the tree, or in a circle.
pub(crate) fn follow_links<'t>(
    path: &'t str,
    link: impl Fn(&str) -> Option<&'t str>,
) -> Option<String> {
    let mut done: Vec<&str> = Vec::new();
    let mut left: Vec<&str> = path.rsplit('/').collect();
    let mut links = 0;
    while let Some(part) = left.pop() {
        match part {
            "" | "." => continue,
            ".." => {
                done.pop()?;
                continue;
            }
            part => done.push(part),
        }
        if let Some(target) = link(&done.join("/")) {
            links += 1;
            if links > LINKS || target.starts_with('/') {
                return None;
            }
            done.pop();
            left.extend(target.rsplit('/'));
        }
    }
    Some(done.join("/"))
}

/// All of a source, up to [`CONFIGURATION_BYTES`].
///
/// # Errors
/// What the operating system says, or that there is more.
pub(crate) fn read(source: &Source) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let reader = source.open().map_err(|e| e.to_string())?;
    reader
        .take(CONFIGURATION_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    if bytes.len() as u64 > CONFIGURATION_BYTES {
        return Err(format!("is longer than {CONFIGURATION_BYTES} bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
