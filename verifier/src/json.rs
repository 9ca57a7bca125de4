//! JSON as far as it may be trusted: strict reading, and the canonical form that TUF signs.

mod spelling;

use std::{fmt, io};

use serde::{
    Serialize,
    de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::{
    Map, Number, Value,
    ser::{CharEscape, Formatter, Serializer},
};

use self::spelling::Spelling;
use crate::{
    digest::Digest,
    error::{Code, Error, Result},
    limits,
};

/// Bytes whose digest or signatures have been verified: what may be interpreted. Only this crate makes it.
pub struct AuthenticBytes<'a>(&'a [u8]);

impl<'a> AuthenticBytes<'a> {
    /// `bytes` if they have the signed digest.
    pub fn from_digest(bytes: &'a [u8], digest: Digest, subject: &str) -> Result<Self> {
        let found = Digest::of(bytes);
        if found != digest {
            return Err(Error::new(
                Code::DigestMismatch,
                subject,
                format!("has the digest {found}, signed is {digest}"),
            ));
        }
        Ok(Self(bytes))
    }

    /// `bytes` whose signatures were counted: the payload of an envelope.
    pub(crate) fn from_signers(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Reads them as the JSON of a `T`.
    pub(crate) fn parse<T: DeserializeOwned>(&self, subject: &str) -> Result<T> {
        // Types of this crate refuse duplicate and unknown keys themselves, so no tree of values is built.
        from_slice(self.0).map_err(|e| Error::new(Code::BadMetadata, subject, e.to_string()))
    }
}

/// Reads JSON strictly: no key twice, integers only, at most [`limits::JSON_DEPTH`] deep and
/// [`limits::JSON_VALUES`] values, ASCII keys, nothing after the value. `subject` names it in errors.
pub fn parse(bytes: &[u8], subject: &str) -> Result<Value> {
    let error = |e: &dyn fmt::Display| Error::new(Code::BadJson, subject, e.to_string());
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let mut left = limits::JSON_VALUES;
    let value = Strict(&mut left)
        .deserialize(&mut reader)
        .map_err(|e| error(&e))?;
    reader.end().map_err(|e| error(&e))?;
    if depth(&value) > limits::JSON_DEPTH {
        return Err(error(&"is nested too deeply"));
    }
    Ok(value)
}

/// Reads a `T` that a [`Value`] holds, in the one spelling that its type has: structs from objects, never from lists.
pub fn from_value<T: DeserializeOwned>(value: Value) -> serde_json::Result<T> {
    T::deserialize(Spelling(value))
}

/// The same from bytes that nothing follows. Keys that come twice are for `T` to refuse.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = T::deserialize(Spelling(&mut reader))?;
    reader.end()?;
    Ok(value)
}

/// `value` as OLPC canonical JSON, the form that TUF signs (TUF 4.2): sorted keys, no white space, only
/// `"` and `\` escaped. Numbers other than integers are refused when JSON is read.
pub fn canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_canonical(value, &mut out);
    out
}

/// A value of ours as canonical JSON.
pub fn to_canonical<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let value = serde_json::to_value(value)
        .map_err(|e| Error::new(Code::BadMetadata, "value", e.to_string()))?;
    Ok(canonical(&value))
}

/// The same for a value whose fields are declared in the order of their names, at every level: the keys of long
/// lists are not sorted again. That they are is for the tests of its type to hold.
pub fn to_canonical_as_declared<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut out, Unescaped))
        .map_err(|e| Error::new(Code::BadMetadata, "value", e.to_string()))?;
    Ok(out)
}

/// Writes what JSON escapes and canonical JSON does not as it is.
struct Unescaped;

impl Formatter for Unescaped {
    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        match escape {
            CharEscape::Quote => out.write_all(br#"\""#),
            CharEscape::ReverseSolidus => out.write_all(br"\\"),
            CharEscape::Solidus => out.write_all(b"/"),
            CharEscape::Backspace => out.write_all(b"\x08"),
            CharEscape::FormFeed => out.write_all(b"\x0c"),
            CharEscape::LineFeed => out.write_all(b"\n"),
            CharEscape::CarriageReturn => out.write_all(b"\r"),
            CharEscape::Tab => out.write_all(b"\t"),
            CharEscape::AsciiControl(byte) => out.write_all(&[byte]),
        }
    }
}

fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend(b"null"),
        Value::Bool(true) => out.extend(b"true"),
        Value::Bool(false) => out.extend(b"false"),
        Value::Number(number) => out.extend(number.to_string().as_bytes()),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_canonical(item, out);
            }
            out.push(b']');
        }
        Value::Object(map) => {
            // `serde_json::Map` is sorted by code points unless a dependency turns that off; do not rely on it.
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by_key(|(key, _)| *key);
            out.push(b'{');
            for (i, (key, item)) in keys.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                write_canonical(item, out);
            }
            out.push(b'}');
        }
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    // Hardly any text has something to escape: it is copied as a whole.
    for part in text.split_inclusive(['"', '\\']) {
        match part.as_bytes() {
            [start @ .., last @ (b'"' | b'\\')] => {
                out.extend_from_slice(start);
                out.extend([b'\\', *last]);
            }
            whole => out.extend_from_slice(whole),
        }
    }
    out.push(b'"');
}

fn depth(value: &Value) -> usize {
    // serde_json itself stops at 128, so this recursion is bounded.
    match value {
        Value::Array(items) => items.iter().map(depth).max().unwrap_or(0).saturating_add(1),
        Value::Object(map) => map.values().map(depth).max().unwrap_or(0).saturating_add(1),
        _ => 0,
    }
}

/// Reads a [`Value`] with the rules of [`parse`], as long as so many values are left.
struct Strict<'a>(&'a mut usize);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        *self.0 = self
            .0
            .checked_sub(1)
            .ok_or_else(|| de::Error::custom("has too many values"))?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without fractions and duplicate keys")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(Number::from(value)))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(Number::from(value)))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Strict(self.0))? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if !key.is_ascii() {
                return Err(de::Error::custom(format!("key {key:?} is not ASCII")));
            }
            let value = map.next_value_seed(Strict(self.0))?;
            if entries.insert(key.clone(), value).is_some() {
                return Err(de::Error::custom(format!("key {key:?} appears twice")));
            }
        }
        Ok(Value::Object(entries))
    }
}
