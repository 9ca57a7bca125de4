//! Points in time as people write them.

use std::str::FromStr;

use jiff::{Span, Timestamp, civil::Date, tz::TimeZone};
use sealift_verifier::time::Time;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::error::{Code, Error, Result};

/// A point in time, or how long after another one: `2027-01-01T00:00:00Z`, `2027-01-01` (the start of that day in
/// UTC), `1y`, `6mo`, `2w`, `90d`, `12h`, and several of these together, such as `1y 6mo`.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    /// A point in time.
    At(Time),
    /// So long after another, by the calendar.
    After(Span),
}

/// Why a text is no [`Moment`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no time such as 2027-01-01T00:00:00Z or 2027-01-01, and no span such as 1y, 6mo, 2w, 90d or 12h"
)]
pub struct NoMoment;

impl Moment {
    /// The point in time, where spans begin at `start`; `subject` names it in errors.
    pub fn from(self, start: Time, subject: &str) -> Result<Time> {
        let span = match self {
            Self::At(time) => return Ok(time),
            Self::After(span) => span,
        };
        let late = |e: jiff::Error| Error::new(Code::Usage, subject, e.to_string());
        let start = Timestamp::from_second(start.unix()).map_err(late)?;
        let later = start.to_zoned(TimeZone::UTC).checked_add(span);
        let later = later.map_err(late)?.timestamp().as_second();
        Time::from_unix(later).map_err(|e| Error::new(Code::Usage, subject, e.to_string()))
    }
}

impl FromStr for Moment {
    type Err = NoMoment;

    fn from_str(text: &str) -> Result<Self, NoMoment> {
        if let Ok(time) = text.parse() {
            return Ok(Self::At(time));
        }
        if let Ok(date) = text.parse::<Date>()
            // jiff takes the date out of longer texts, too.
            && date.to_string() == text
        {
            let start = date.to_zoned(TimeZone::UTC).map_err(|_| NoMoment)?;
            let start = Time::from_unix(start.timestamp().as_second());
            return start.map(Self::At).map_err(|_| NoMoment);
        }
        // Minutes are left out, so that nobody who writes `6m` for months gets six of them.
        let long = |span: &Span| {
            let below = [
                span.get_minutes(),
                span.get_seconds(),
                span.get_milliseconds(),
                span.get_microseconds(),
                span.get_nanoseconds(),
            ];
            span.is_positive() && below == [0; 5]
        };
        // A time of day is no span, though jiff reads it as one.
        let span = Some(text).filter(|text| !text.contains(':'));
        let span = span.and_then(|text| text.parse().ok()).filter(long);
        span.map(Self::After).ok_or(NoMoment)
    }
}

/// A text, or one of TOML's own dates.
impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Date(toml::value::Datetime),
        }
        let text = match Written::deserialize(deserializer) {
            Ok(Written::Text(text)) => text,
            Ok(Written::Date(date)) => date.to_string(),
            Err(_) => return Err(D::Error::custom(NoMoment)),
        };
        text.parse()
            .map_err(|e: NoMoment| D::Error::custom(format_args!("{text:?} {e}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Option<String> {
        let start = "2028-02-29T12:00:00Z".parse().unwrap();
        let moment: Moment = text.parse().ok()?;
        Some(moment.from(start, "test").unwrap().to_string())
    }

    #[test]
    fn times_dates_and_spans_are_read() {
        for (text, expected) in [
            ("2027-01-01T10:00:00Z", "2027-01-01T10:00:00Z"),
            ("2027-01-01", "2027-01-01T00:00:00Z"),
            ("1y", "2029-02-28T12:00:00Z"),
            ("6mo", "2028-08-29T12:00:00Z"),
            ("1y 6mo", "2029-08-29T12:00:00Z"),
            ("2w", "2028-03-14T12:00:00Z"),
            ("90d", "2028-05-29T12:00:00Z"),
            ("36h", "2028-03-02T00:00:00Z"),
        ] {
            assert_eq!(moment(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [
            "",
            "tomorrow",
            "2027-13-01",
            "2027-01-01T10:00:00",
            "2027-01-01T10:00:00+01:00",
            "2027-01-01T10:00:00.5Z",
            "-1y",
            "1y ago",
            "0d",
            "6m",
            "30s",
            "1h 30m",
            "9999999999999y",
            "1",
            "10:00:00",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
        let far = "9000y".parse::<Moment>().unwrap();
        let start = "2026-01-01T00:00:00Z".parse().unwrap();
        let error = far.from(start, "--expires").unwrap_err();
        assert_eq!(error.kind(), Some(Code::Usage));
    }
}
