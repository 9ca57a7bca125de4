//! Values of a policy with rules of their own.

use std::{fmt, str::FromStr};

use croner::Cron;
use jiff::{Span, SpanRelativeTo, civil::Date, tz::TimeZone};
use sealift_keys::key_file::{self, KeyFile};
use sealift_verifier::{
    digest::{hex, unhex},
    tuf::Key,
};
use serde::Deserialize;

/// Longest period, in seconds: ten years.
const LONGEST: i64 = 10 * 366 * 24 * 60 * 60;

/// How long something takes or counts, such as `72h`, `14d` or `1h 30m`; a day has 24 hours. Never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct Period(i64);

impl Period {
    /// Whole days.
    pub const fn days(days: u32) -> Self {
        Self(days as i64 * 24 * 60 * 60)
    }

    /// In seconds.
    pub const fn seconds(self) -> i64 {
        self.0
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |why: String| format!("{text:?} is no period such as 72h, 14d or 1h 30m: {why}");
        let span: Span = text.parse().map_err(|e: jiff::Error| bad(e.to_string()))?;
        let duration = span
            .to_duration(SpanRelativeTo::days_are_24_hours())
            .map_err(|e| bad(e.to_string()))?;
        match duration.as_secs() {
            seconds @ 0..=LONGEST if duration.subsec_nanos() == 0 => Ok(Self(seconds)),
            _ => Err(bad(
                "is negative, longer than ten years, or has parts of a second".into(),
            )),
        }
    }
}

impl TryFrom<String> for Period {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PARTS: [(i64, &str); 4] = [(86400, "d"), (3600, "h"), (60, "m"), (1, "s")];
        let mut left = self.0;
        let mut texts = Vec::new();
        for (seconds, unit) in PARTS {
            if left >= seconds {
                texts.push(format!("{}{unit}", left / seconds));
                left %= seconds;
            }
        }
        f.write_str(&if texts.is_empty() {
            "0s".into()
        } else {
            texts.join(" ")
        })
    }
}

/// When a window opens: a pattern of cron with five fields, such as `0 22 * * SAT`, in the policy's time zone.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(pub(super) Cron);

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("{text:?} is no pattern such as \"0 22 * * SAT\": {why}");
        if text.split_whitespace().count() != 5 {
            return Err(bad(
                "has not five fields: minute, hour, day of month, month, day of week",
            ));
        }
        text.parse()
            .map(Self)
            .map_err(|e: croner::errors::CronError| bad(&e.to_string()))
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A time zone by its name in the IANA database, such as `Europe/Berlin`. The database is part of the program.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Zone(pub(crate) TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl TryFrom<String> for Zone {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        let found = jiff::tz::TimeZoneDatabase::bundled().get(&name);
        found
            .map(Self)
            .map_err(|e| format!("{name:?} is no time zone such as Europe/Berlin: {e}"))
    }
}

/// A date without a time, such as `2026-12-24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Day(pub(super) Date);

impl TryFrom<String> for Day {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let date = text
            .parse()
            .ok()
            .filter(|date: &Date| date.to_string() == text);
        date.map(Self)
            .ok_or_else(|| format!("{text:?} is no date such as 2026-12-24"))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A public Ed25519 key: 64 hexadecimal digits, or the PEM of a `*.pub.pem` file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key as lists of keys have it.
    pub fn to_tuf(&self) -> Key {
        Key::ed25519(&self.0)
    }
}

impl fmt::Display for PublicKey {
    /// Its 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl TryFrom<String> for PublicKey {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text.trim_start().starts_with("-----") {
            // Whatever somebody has put there by mistake, it is not repeated: messages are kept in logs.
            let bad = |_| "is no public Ed25519 key as PEM, whole from BEGIN to END".to_owned();
            return match KeyFile::parse(text.as_bytes(), "key").map_err(bad)? {
                KeyFile::Public(key) => Ok(Self(key.to_bytes())),
                _ => Err("a policy lists public keys, and this is a secret one".into()),
            };
        }
        let bad = |why: String| {
            format!(
                "is no public Ed25519 key: {why}; `sealift-keys public` writes one as PEM, and an id of a key is none"
            )
        };
        let bytes = unhex(&text).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let bytes = bytes.ok_or_else(|| bad("it has not 64 hexadecimal digits".into()))?;
        let usable = key_file::PublicKey::from_bytes(bytes, "key");
        usable
            .map(|key| Self(key.to_bytes()))
            .map_err(|e| bad(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_read_as_people_write_them() {
        let seconds = |text: &str| text.parse::<Period>().map(Period::seconds).ok();
        assert_eq!(seconds("72h"), Some(259_200));
        assert_eq!(seconds("14d"), Some(1_209_600));
        assert_eq!(seconds("1h 30m"), Some(5400));
        assert_eq!(seconds("0s"), Some(0));
        for bad in ["", "-1h", "7", "h", "1mo", "1y", "99999d", "1ms", "1 h x"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
        assert_eq!(
            "90061s".parse::<Period>().unwrap().to_string(),
            "1d 1h 1m 1s"
        );
        assert_eq!(Period::default().to_string(), "0s");
    }

    #[test]
    fn what_is_no_pattern_zone_day_or_key_is_refused() {
        for bad in [
            "",
            "* * * *",
            "* * * * * *",
            "61 * * * *",
            "0 22 * * NODAY",
            "@daily",
        ] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
        assert!("0 22 * * SAT#1".parse::<Pattern>().is_ok());
        assert!(Zone::try_from("Europe/Berlin".to_owned()).is_ok());
        assert!(Zone::try_from("Europe/Nowhere".to_owned()).is_err());
        assert!(Day::try_from("2026-12-24".to_owned()).is_ok());
        assert!(Day::try_from("2026-13-24".to_owned()).is_err());
        assert!(Day::try_from("20261224".to_owned()).is_err());
        assert!(PublicKey::try_from("00".repeat(32)).is_err());
        assert!(PublicKey::try_from("zz".to_owned()).is_err());
    }
}
