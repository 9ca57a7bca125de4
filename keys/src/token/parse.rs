//! Reading a PKCS#11 URI, and telling all that is wrong with it.

use std::{collections::BTreeSet, path::PathBuf};

use zeroize::Zeroizing;

use super::uri::{Kind, Module, Pin, SCHEME, TokenUri, URI_BYTES};
use crate::passphrase::PASSPHRASE_BYTES;

/// The attributes of the path, behind `pkcs11:`.
const PATH_ATTRIBUTES: [&str; 13] = [
    "token",
    "manufacturer",
    "serial",
    "model",
    "library-manufacturer",
    "library-description",
    "library-version",
    "object",
    "type",
    "id",
    "slot-description",
    "slot-manufacturer",
    "slot-id",
];
/// The attributes of the query, behind `?`.
const QUERY_ATTRIBUTES: [&str; 4] = ["pin-source", "pin-value", "module-name", "module-path"];

/// Reads a URI; an error lists all problems. None shows a value: it may be a PIN in a wrong place.
pub(super) fn read(bytes: &[u8]) -> Result<TokenUri, Vec<String>> {
    let mut reader = Reader::default();
    if bytes.len() > URI_BYTES {
        reader.wrong(format!("is longer than {URI_BYTES} bytes"));
    } else if TokenUri::is_meant(bytes) {
        reader.read(bytes, SCHEME.len());
    } else {
        reader.wrong(format!("does not begin with {SCHEME}"));
    }
    if reader.problems.is_empty() {
        Ok(reader.uri)
    } else {
        Err(reader.problems)
    }
}

/// Reads a URI and gathers what is wrong with it.
#[derive(Default)]
struct Reader {
    uri: TokenUri,
    problems: Vec<String>,
    seen: BTreeSet<&'static str>,
}

impl Reader {
    fn wrong(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    /// Reads path and query, which begin at `start`.
    fn read(&mut self, bytes: &[u8], start: usize) {
        let end = bytes.iter().position(|b| *b == b'?').unwrap_or(bytes.len());
        for (at, attribute) in parts(bytes, start, end, b';') {
            self.attribute(attribute, at, &PATH_ATTRIBUTES, b"&");
        }
        if end < bytes.len() {
            for (at, attribute) in parts(bytes, end.saturating_add(1), bytes.len(), b'&') {
                self.attribute(attribute, at, &QUERY_ATTRIBUTES, b"/?|");
            }
        }
        for (one, other) in [("pin-value", "pin-source"), ("module-path", "module-name")] {
            if self.seen.contains(one) && self.seen.contains(other) {
                self.wrong(format!(
                    "has {one} and {other}, and only one of them can be meant"
                ));
            }
        }
    }

    /// One `name=value`, `at` bytes into the URI. `more` is what its part of the URI allows beyond what
    /// both do.
    fn attribute(&mut self, bytes: &[u8], at: usize, known: &[&'static str], more: &[u8]) {
        let Some(equals) = bytes.iter().position(|b| *b == b'=') else {
            return self.wrong(format!("has no `name=value` at byte {at}"));
        };
        let (name, value) = bytes.split_at(equals);
        let value = value.get(1..).unwrap_or_default();
        let Some(name) = known.iter().copied().find(|n| n.as_bytes() == name) else {
            return self.wrong(unknown(name, at));
        };
        if !self.seen.insert(name) {
            return self.wrong(format!("has {name} twice"));
        }
        match decoded(value, more) {
            Ok(value) => {
                if let Err(problem) = self.set(name, value) {
                    self.wrong(format!("{name} {problem}"));
                }
            }
            Err(problem) => self.wrong(format!("{name} {problem}")),
        }
    }

    fn set(&mut self, name: &'static str, mut value: Zeroizing<Vec<u8>>) -> Result<(), String> {
        let uri = &mut self.uri;
        if name == "pin-value" {
            let fits = (1..=PASSPHRASE_BYTES).contains(&value.len());
            if !fits || value.iter().any(u8::is_ascii_control) {
                return Err("is empty, too long or has control characters".into());
            }
            uri.pin = Some(Pin::Value(value));
            return Ok(());
        }
        if name == "id" {
            uri.id = Some(std::mem::take(&mut *value));
            return Ok(());
        }
        let text = str::from_utf8(&value).map_err(|_| "is no UTF-8")?;
        if let Some(slot) = text_mut(uri, name) {
            *slot = Some(text.to_owned());
            return Ok(());
        }
        match name {
            "library-version" => uri.library_version = Some(version(text)?),
            "slot-id" => {
                let digits = text.bytes().all(|b| b.is_ascii_digit());
                let id = text.parse().ok().filter(|_| digits);
                uri.slot_id = Some(id.ok_or("is no number")?);
            }
            "type" => {
                uri.kind = Some(match text {
                    "private" => Kind::Private,
                    "public" => Kind::Public,
                    "cert" | "data" | "secret-key" => return Err("is no key that can sign".into()),
                    _ => return Err("is neither private nor public".into()),
                });
            }
            "module-path" => uri.module = Some(Module::Path(absolute(text)?)),
            "module-name" if text.is_empty() || text.contains(['/', '\0']) => {
                return Err("is no name of a file: use module-path for a path".into());
            }
            "module-name" => uri.module = Some(Module::Name(text.to_owned())),
            "pin-source" => {
                if text.starts_with('|') {
                    return Err("names a program, and none is started for a PIN: write it to a file or pipe".into());
                }
                let path = match text.strip_prefix("file:") {
                    Some(path) => path.strip_prefix("//").unwrap_or(path),
                    None => text,
                };
                uri.pin = Some(Pin::Source(absolute(path)?));
            }
            _ => return Err("is not known".into()),
        }
        Ok(())
    }
}

/// The parts of `bytes[start..end]` between separators, each with its place in `bytes`. An empty path or
/// query has none.
fn parts(bytes: &[u8], start: usize, end: usize, separator: u8) -> Vec<(usize, &[u8])> {
    let whole = bytes.get(start..end).unwrap_or_default();
    let mut at = start;
    let mut found = Vec::new();
    if whole.is_empty() {
        return found;
    }
    for part in whole.split(|b| *b == separator) {
        found.push((at, part));
        at = at.saturating_add(part.len()).saturating_add(1);
    }
    found
}

fn unknown(name: &[u8], at: usize) -> String {
    for (known, place) in [
        (
            &PATH_ATTRIBUTES[..],
            "before the `?`, and `;` is between the attributes there",
        ),
        (
            &QUERY_ATTRIBUTES[..],
            "behind the `?`, and `&` is between the attributes there",
        ),
    ] {
        if let Some(known) = known.iter().find(|n| n.as_bytes() == name) {
            return format!("has {known} in a wrong place: it belongs {place}");
        }
    }
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    match str::from_utf8(name) {
        Ok(name) if !name.is_empty() && name.bytes().all(|b| is_name(&b)) => format!(
            "has an unknown attribute {name:?}; known are {}, {}",
            PATH_ATTRIBUTES.join(", "),
            QUERY_ATTRIBUTES.join(", ")
        ),
        _ => format!("has no name of an attribute at byte {at}"),
    }
}

/// Takes percent encoding away. Unencoded may be what RFC 7512 2.3 allows in both parts, and `more`.
fn decoded(bytes: &[u8], more: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
    // As long as it can become, so that no copy is left where it grew.
    let mut value = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let mut rest = bytes;
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        match first {
            b'%' => {
                let digits = rest
                    .get(..2)
                    .and_then(|d| Some((digit(d[0])?, digit(d[1])?)));
                let (high, low) =
                    digits.ok_or("has a % without two hexadecimal digits behind it")?;
                value.push(high << 4 | low);
                rest = rest.get(2..).unwrap_or_default();
            }
            b if b.is_ascii_alphanumeric()
                || b"-._~:[]@!$'()*+,=".contains(b)
                || more.contains(b) =>
            {
                value.push(*b);
            }
            _ => {
                return Err(
                    "has a character that has to be written as % and two hexadecimal digits".into(),
                );
            }
        }
    }
    Ok(value)
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

/// `3` or `3.2` (RFC 7512 2.3).
fn version(text: &str) -> Result<(u8, u8), String> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    number(major)
        .zip(number(minor))
        .ok_or_else(|| "is no version such as 2.6".into())
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    if text.starts_with('/') && !text.contains('\0') {
        return Ok(text.into());
    }
    Err("is no absolute path".into())
}

/// The attributes that are text and nothing else.
fn text_mut<'a>(uri: &'a mut TokenUri, name: &str) -> Option<&'a mut Option<String>> {
    Some(match name {
        "token" => &mut uri.token,
        "manufacturer" => &mut uri.manufacturer,
        "serial" => &mut uri.serial,
        "model" => &mut uri.model,
        "library-manufacturer" => &mut uri.library_manufacturer,
        "library-description" => &mut uri.library_description,
        "object" => &mut uri.object,
        "slot-description" => &mut uri.slot_description,
        "slot-manufacturer" => &mut uri.slot_manufacturer,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn wrong(uri: &str) -> String {
        let error = TokenUri::parse(uri.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), Some(Code::TokenUri), "{uri}");
        error.to_string()
    }

    #[test]
    fn examples_of_the_rfc_are_read() {
        let parse = |text: &str| TokenUri::parse(text.as_bytes()).unwrap();
        assert_eq!(parse("pkcs11:"), TokenUri::default());
        assert_eq!(parse("PKCS11:object=x").object.as_deref(), Some("x"));
        let uri = parse(
            "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;\
             model=1.0;object=my-key;type=private;id=%69%95%3E;serial=;slot-id=327;\
             library-version=3.1;slot-description=a&b?module-path=/mnt/libbin/libpkcs11.so&\
             pin-source=file:/etc/token_pin",
        );
        assert_eq!(uri.token.as_deref(), Some("The Software PKCS#11 Softtoken"));
        assert_eq!(uri.manufacturer.as_deref(), Some("Snake Oil, Inc."));
        assert_eq!(uri.id.as_deref(), Some(&[0x69, 0x95, 0x3e][..]));
        assert_eq!(uri.serial.as_deref(), Some(""));
        assert_eq!(
            (uri.slot_id, uri.library_version),
            (Some(327), Some((3, 1)))
        );
        assert_eq!(uri.slot_description.as_deref(), Some("a&b"));
        assert_eq!(uri.kind, Some(Kind::Private));
        assert_eq!(
            uri.module,
            Some(Module::Path("/mnt/libbin/libpkcs11.so".into()))
        );
        assert_eq!(uri.pin, Some(Pin::Source("/etc/token_pin".into())));
        for source in ["/p", "file:///p", "file:/p"] {
            let uri = parse(&format!("pkcs11:?pin-source={source}&module-name=softhsm2"));
            assert_eq!(uri.pin, Some(Pin::Source("/p".into())));
            assert_eq!(uri.module, Some(Module::Name("softhsm2".into())));
        }
        assert_eq!(
            parse("pkcs11:library-version=3").library_version,
            Some((3, 0))
        );
        // The label of a key may hold whatever a URI may not.
        assert_eq!(
            parse("pkcs11:object=a%2Fb%3Bc%C3%A4").object.as_deref(),
            Some("a/b;cä")
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_place() {
        for (uri, problem) in [
            ("pkcs12:token=x", "does not begin with pkcs11:"),
            ("pkcs11:token", "has no `name=value` at byte 7"),
            ("pkcs11:token=x;", "has no `name=value` at byte 15"),
            ("pkcs11:token=x;;id=%01", "has no `name=value` at byte 15"),
            ("pkcs11:token=x?&", "has no `name=value` at byte 15"),
            ("pkcs11:=x", "has no name of an attribute at byte 7"),
            ("pkcs11:to ken=x", "has no name of an attribute at byte 7"),
            ("pkcs11:x-vendor=1", "unknown attribute \"x-vendor\""),
            ("pkcs11:?x-vendor=1", "unknown attribute \"x-vendor\""),
            ("pkcs11:Token=x", "unknown attribute \"Token\""),
            ("pkcs11:token=x;token=x", "has token twice"),
            (
                "pkcs11:?pin-source=/x&pin-source=/x",
                "has pin-source twice",
            ),
            (
                "pkcs11:?pin-source=/x&pin-value=1",
                "has pin-value and pin-source",
            ),
            (
                "pkcs11:?module-name=x&module-path=/x",
                "has module-path and module-name",
            ),
            (
                "pkcs11:module-path=/x",
                "module-path in a wrong place: it belongs behind the `?`",
            ),
            (
                "pkcs11:?token=x",
                "token in a wrong place: it belongs before the `?`",
            ),
            ("pkcs11:token=a/b", "token has a character"),
            ("pkcs11:token=a b", "token has a character"),
            ("pkcs11:token=ä", "token has a character"),
            ("pkcs11:token=%", "token has a % without"),
            ("pkcs11:token=%4", "token has a % without"),
            ("pkcs11:token=%4g", "token has a % without"),
            ("pkcs11:token=%+1", "token has a % without"),
            ("pkcs11:token=%ff", "token is no UTF-8"),
            ("pkcs11:type=cert", "type is no key that can sign"),
            ("pkcs11:type=Private", "type is neither"),
            ("pkcs11:slot-id=+1", "slot-id is no number"),
            ("pkcs11:slot-id=", "slot-id is no number"),
            (
                "pkcs11:slot-id=99999999999999999999",
                "slot-id is no number",
            ),
            ("pkcs11:library-version=3.", "library-version is no version"),
            (
                "pkcs11:library-version=300",
                "library-version is no version",
            ),
            (
                "pkcs11:?module-path=x.so",
                "module-path is no absolute path",
            ),
            (
                "pkcs11:?module-path=/x%00",
                "module-path is no absolute path",
            ),
            ("pkcs11:?module-name=../x", "module-name is no name"),
            ("pkcs11:?module-name=", "module-name is no name"),
            (
                "pkcs11:?pin-source=%7C/bin/pin",
                "pin-source names a program",
            ),
            ("pkcs11:?pin-source=|/bin/pin", "pin-source names a program"),
            (
                "pkcs11:?pin-source=file://host/pin",
                "pin-source is no absolute path",
            ),
            ("pkcs11:?pin-source=pin", "pin-source is no absolute path"),
            ("pkcs11:?pin-value=", "pin-value is empty"),
            (
                "pkcs11:?pin-value=a%0Ab",
                "pin-value is empty, too long or has control",
            ),
        ] {
            let said = wrong(uri);
            assert!(said.contains(problem), "{uri}: {said}");
        }
        let long = format!("pkcs11:token={}", "x".repeat(URI_BYTES));
        assert!(wrong(&long).contains("is longer than 4096 bytes"));
        // All of it in one go.
        let said = wrong("pkcs11:x=1;token=%?pin-value=");
        assert!(
            said.contains("\"x\"") && said.contains("token has") && said.contains("pin-value is")
        );
    }
}
