//! Points in time as signed metadata writes them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error};

/// A point in time with whole seconds in UTC, written `2026-03-01T12:00:00Z`: the only form that TUF
/// (4.2, "EXPIRES") and this format allow, so that texts are equal exactly when the times are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time(jiff::Timestamp);

impl Time {
    /// From seconds since 1970-01-01T00:00:00Z.
    pub fn from_unix(seconds: i64) -> Result<Self, Error> {
        let time = jiff::Timestamp::from_second(seconds)
            .map_err(|e| Error::new(Code::BadMetadata, format!("time {seconds}"), e.to_string()))?;
        // Years of four digits only: anything else has no RFC 3339 form.
        time.to_string().parse()
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub fn unix(self) -> i64 {
        self.0.as_second()
    }
}

impl FromStr for Time {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || {
            Error::new(
                Code::BadMetadata,
                format!("time {text:?}"),
                "is not of the form 2026-03-01T12:00:00Z",
            )
        };
        let time: jiff::Timestamp = text.parse().map_err(|_| invalid())?;
        if time.to_string() != text || text.len() != 20 {
            return Err(invalid());
        }
        Ok(Self(time))
    }
}

impl TryFrom<String> for Time {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        time.to_string()
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
