//! Names that came with content: relative paths and names of things, checked once, when they are made.

use std::{fmt, path::Path, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Code, Error},
    limits,
};

/// A relative path below a folder that we choose: `/` between parts, no empty part, no `.` or `..`, no
/// backslash, no control characters, at most [`limits::PATH_BYTES`] bytes and 255 a part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct EntryPath(String);

impl EntryPath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path for the operating system; still relative.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// The parts between the slashes.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// This path with `tail` below it. It may be longer than what may come with content: each of its parts
    /// was within the limit.
    #[must_use]
    pub fn join(&self, tail: &Self) -> Self {
        Self(format!("{}/{}", self.0, tail.0))
    }

    /// The folder that this lies in, if it is one of ours.
    pub fn parent(&self) -> Option<Self> {
        let (parent, _) = self.0.rsplit_once('/')?;
        Some(Self(parent.to_owned()))
    }
}

impl FromStr for EntryPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for EntryPath {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let refuse = |why: &str| Err(Error::new(Code::PathInvalid, format!("path {text:?}"), why));
        if text.is_empty() || text.len() > limits::PATH_BYTES {
            return refuse("is empty or too long");
        }
        if text.chars().any(|c| c.is_control() || c == '\\') {
            return refuse("has a control character or a backslash");
        }
        if text
            .split('/')
            .any(|part| matches!(part, "" | "." | "..") || part.len() > 255)
        {
            return refuse("is absolute, or has an empty, `.`, `..` or overlong part");
        }
        Ok(Self(text))
    }
}

impl From<EntryPath> for String {
    fn from(path: EntryPath) -> Self {
        path.0
    }
}

impl fmt::Display for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a product, a capability (`suite/name`) or an artifact: lower-case ASCII letters, digits
/// and single `.`, `_`, `-` between them, in parts divided by `/`; at most 100 bytes. Such a name is a
/// valid folder and a valid OCI repository name (OCI distribution-spec 1.1, "Pulling manifests").
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct Name(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let mixed = |pair: &[u8]| {
            matches!(
                pair,
                [b'.', b'.' | b'_' | b'-'] | [b'_', b'.' | b'-'] | [b'-', b'.' | b'_']
            )
        };
        let part = |part: &str| {
            part.starts_with(plain)
                && part.ends_with(plain)
                && part
                    .chars()
                    .all(|c| plain(c) || matches!(c, '.' | '_' | '-'))
                && !part.as_bytes().windows(2).any(mixed)
                && !part.contains("___")
        };
        let why = match text.len() {
            0 => "is empty",
            101.. => "is longer than 100 characters",
            _ if text.split('/').all(part) => return Ok(Self(text.to_owned())),
            _ => "is not made of lower-case letters, digits and single `.`, `_`, `-` between them",
        };
        let start: String = text.chars().take(100).collect();
        Err(Error::new(
            Code::PathInvalid,
            format!("name {start:?}"),
            why,
        ))
    }
}

impl TryFrom<String> for Name {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_repositories() {
        for name in ["a", "0", "core/api", "a.b", "a_b", "a__b", "a-b", "a---b"] {
            assert!(name.parse::<Name>().is_ok(), "{name}");
        }
        for name in [
            "", "A", "a/", "/a", "a//b", ".a", "a.", "-a", "a_", "a..b", "a._b", "a_.b", "a.-b",
            "a-.b", "a_-b", "a-_b", "a___b", "a b", "ä",
        ] {
            assert!(name.parse::<Name>().is_err(), "{name}");
        }
        assert!("a".repeat(100).parse::<Name>().is_ok());
        assert!("a".repeat(101).parse::<Name>().is_err());
    }
}
