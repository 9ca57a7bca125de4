//! SHA-256 digests as a type without an empty value, and readers that compute them.

use std::{fmt, io, str::FromStr};

use serde::{Deserialize, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use crate::error::{Code, Error, into_io};

/// A SHA-256 digest (FIPS 180-4). Written as 64 lower-case hexadecimal digits; there is no empty or
/// partial value, so that "no digest" can never compare equal to anything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hexadecimal digits.
    pub fn to_hex(self) -> String {
        self.with_hex(str::to_owned)
    }

    /// What `take` makes of the digits, which are nowhere but on the stack.
    fn with_hex<T>(self, take: impl FnOnce(&str) -> T) -> T {
        let mut text = [0; 64];
        let (pairs, _) = text.as_chunks_mut();
        for (pair, byte) in pairs.iter_mut().zip(self.0) {
            *pair = digits(byte);
        }
        // They are ASCII.
        take(str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_hex(|text| f.write_str(text))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_hex(|text| f.write_str(text))
    }
}

impl From<[u8; 32]> for Digest {
    /// A digest that was computed elsewhere.
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_hex()
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_hex(|text| serializer.serialize_str(text))
    }
}

impl FromStr for Digest {
    type Err = Error;

    /// Reads exactly 64 lower-case hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::new(Code::BadMetadata, "digest", NOT_HEX);
        let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| wrong())?;
        let (pairs, _) = digits.as_chunks();
        let mut bytes = [0; 32];
        // No branch for each digit: whether one was none shows at the end.
        let mut all = 0;
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let (high, low) = (value(*high), value(*low));
            all |= high | low;
            *byte = high << 4 | low & 15;
        }
        if all > 15 {
            return Err(wrong());
        }
        Ok(Self(bytes))
    }
}

/// What a lower-case hexadecimal digit stands for; more than 15 if it is none.
fn value(digit: u8) -> u8 {
    let decimal = digit.wrapping_sub(b'0');
    let letter = digit.wrapping_sub(b'a');
    if decimal < 10 {
        decimal
    } else if letter < 6 {
        letter.wrapping_add(10)
    } else {
        0xff
    }
}

const NOT_HEX: &str = "is not 64 lower-case hexadecimal digits";

/// Reads the digits where they stand: a manifest may hold some 100,000 digests.
impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;

        impl de::Visitor<'_> for Digits {
            type Value = Digest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("64 lower-case hexadecimal digits")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Digest, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Digits)
    }
}

/// Lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| digits(*byte));
    digits.map(char::from).collect()
}

/// The two digits of a byte, without a branch: a manifest may hold some 100,000 digests.
fn digits(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|value| {
        let letter = u8::from(value > 9).wrapping_mul(b'a'.wrapping_sub(b'9').wrapping_sub(1));
        b'0'.wrapping_add(value).wrapping_add(letter)
    })
}

/// The bytes behind hexadecimal digits of either case; nothing if there are other characters or an odd number.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let nibble = |c: u8| {
        char::from(c)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| Some(nibble(*pair.first()?)? << 4 | nibble(*pair.last()?)?))
        .collect()
}

/// A digest that is being computed while bytes pass.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Takes more bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes so far.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// Passes on exactly `length` bytes with the digest `expected`; the last read fails if they are not that.
/// A reader that was read to its end without an error has therefore been verified.
pub struct VerifyingReader<R> {
    inner: R,
    left: u64,
    hasher: Option<Hasher>,
    expected: Digest,
    subject: String,
}

impl<R: io::Read> VerifyingReader<R> {
    /// `subject` names the content in errors.
    pub fn new(inner: R, length: u64, expected: Digest, subject: impl Into<String>) -> Self {
        Self {
            inner,
            left: length,
            hasher: Some(Hasher::default()),
            expected,
            subject: subject.into(),
        }
    }
}

impl<R: io::Read> io::Read for VerifyingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let buffer = buffer.get_mut(..most).unwrap_or_default();
        let count = if most == 0 {
            0
        } else {
            self.inner.read(buffer)?
        };
        if let Some(hasher) = &mut self.hasher {
            hasher.update(buffer.get(..count).unwrap_or_default());
        }
        self.left = self.left.saturating_sub(count as u64);
        if count == 0 && self.left > 0 {
            return Err(into_io(Error::new(
                Code::Truncated,
                &self.subject,
                format!("{} bytes are missing", self.left),
            )));
        }
        if self.left == 0
            && let Some(hasher) = self.hasher.take()
        {
            let found = hasher.finish();
            if found != self.expected {
                return Err(into_io(Error::new(
                    Code::DigestMismatch,
                    &self.subject,
                    format!("has the digest {found}, signed is {}", self.expected),
                )));
            }
        }
        Ok(count)
    }
}
