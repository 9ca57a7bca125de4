//! Maintenance windows: recurring, in a time zone, with dates on which none of them opens.
//!
//! Where clocks go forward, a window that would open within the hour that is left out opens when it is over; where
//! they go back, it opens once.

use jiff::{Timestamp, ToSpan as _, Zoned, tz::TimeZone};
use sealift_verifier::time::Time;
use serde::Deserialize;

use super::values::{Day, Pattern, Period, Zone};

/// Longest that a window is open: a week.
const LONGEST: i64 = 7 * 24 * 60 * 60;
/// How many openings are looked at for the next one that no blackout covers.
const TRIES: usize = 1000;

/// When something may be installed. Without windows always, but for the blackouts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Maintenance {
    /// What the times of windows and the dates of blackouts mean.
    #[serde(default)]
    pub time_zone: Zone,
    /// The windows.
    #[serde(default)]
    pub windows: Vec<Window>,
    /// When none is open.
    #[serde(default)]
    pub blackouts: Vec<Blackout>,
}

/// A recurring time in which something may be installed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Window {
    /// When it opens.
    pub opens: Pattern,
    /// How long it is open.
    pub duration: Period,
}

/// Days on which nothing is installed, the first and the last included.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Blackout {
    /// The first day.
    pub from: Day,
    /// The last day.
    pub until: Day,
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
}

/// Whether something may be installed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// There are no windows and no blackout today.
    Always,
    /// A window is open, until then.
    Open {
        /// When it closes.
        until: Time,
    },
    /// None is open.
    Closed {
        /// When the next one opens, if one does within some years.
        next: Option<Time>,
        /// Why a window that is open counts nothing.
        blackout: Option<String>,
    },
}

impl Maintenance {
    /// What is wrong, a sentence each.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for window in &self.windows {
            let seconds = window.duration.seconds();
            if !(60..=LONGEST).contains(&seconds) {
                problems.push(format!(
                    "a window is open for one minute to seven days, not for {}",
                    window.duration
                ));
            }
        }
        for blackout in &self.blackouts {
            if blackout.until < blackout.from {
                problems.push(format!(
                    "a blackout ends on {}, before it begins on {}",
                    blackout.until, blackout.from
                ));
            }
        }
        problems
    }

    /// Whether it holds nothing up, ever.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty() && self.blackouts.is_empty()
    }

    /// Whether something may be installed at `now`. `blackouts` says whether these count.
    pub fn standing(&self, now: Time, blackouts: bool) -> Standing {
        let Ok(instant) = Timestamp::from_second(now.unix()) else {
            return Standing::Closed {
                next: None,
                blackout: None,
            };
        };
        let now = instant.to_zoned(self.time_zone.0.clone());
        let covered = if blackouts { self.covering(&now) } else { None };
        let open = self
            .windows
            .iter()
            .filter_map(|window| window.open_until(&now))
            .max();
        match (covered, open) {
            (None, None) if self.windows.is_empty() => Standing::Always,
            (None, Some(until)) => match time(&until) {
                Some(until) => Standing::Open { until },
                None => Standing::Closed {
                    next: None,
                    blackout: None,
                },
            },
            (covered, _) => Standing::Closed {
                next: self.next(&now, blackouts).as_ref().and_then(time),
                blackout: covered.map(Blackout::tell),
            },
        }
    }

    fn covering(&self, at: &Zoned) -> Option<&Blackout> {
        let covers = |b: &&Blackout| (b.from.0..=b.until.0).contains(&at.date());
        self.blackouts.iter().find(covers)
    }

    /// The first moment from `now` on at which something may be installed.
    fn next(&self, now: &Zoned, blackouts: bool) -> Option<Zoned> {
        if self.windows.is_empty() {
            return self.uncovered(now.clone(), blackouts);
        }
        let next = |window: &Window| {
            let mut at = match window.open_until(now) {
                // The rest of a window that is open counts, once the blackout is over.
                Some(until) => {
                    let rest = self.uncovered(now.clone(), blackouts)?;
                    if rest < until {
                        return Some(rest);
                    }
                    until
                }
                None => now.clone(),
            };
            for _ in 0..TRIES {
                let opens = window.opens.0.find_next_occurrence(&at, false).ok()?;
                let from = self.uncovered(opens.clone(), blackouts)?;
                if from < window.closes(&opens)? {
                    return Some(from);
                }
                // What opens within the same blackout needs no look.
                at = opens.max(from.checked_sub(window.duration.span()).ok()?);
            }
            None
        };
        self.windows.iter().filter_map(next).min()
    }

    /// The first moment from `at` on that no blackout covers.
    fn uncovered(&self, mut at: Zoned, blackouts: bool) -> Option<Zoned> {
        if !blackouts {
            return Some(at);
        }
        // Each blackout can hold it up once: afterwards it lies behind.
        for _ in 0..=self.blackouts.len() {
            let Some(blackout) = self.covering(&at) else {
                return Some(at);
            };
            let after = blackout.until.0.tomorrow().ok()?;
            at = after.to_zoned(at.time_zone().clone()).ok()?;
        }
        None
    }
}

impl Window {
    /// When it closes, if it is open.
    fn open_until(&self, now: &Zoned) -> Option<Zoned> {
        // The last opening that could still be open: the one after which it would be too late.
        let mut from = now.checked_sub(self.duration.span()).ok()?;
        let mut last = None;
        for _ in 0..TRIES {
            match self.opens.0.find_next_occurrence(&from, false) {
                Ok(opens) if opens <= *now => {
                    last = Some(opens.clone());
                    from = opens;
                }
                _ => break,
            }
        }
        self.closes(&last?)
    }

    fn closes(&self, opens: &Zoned) -> Option<Zoned> {
        opens.checked_add(self.duration.span()).ok()
    }
}

impl Blackout {
    fn tell(&self) -> String {
        match self.reason.as_str() {
            "" => format!("nothing is installed from {} to {}", self.from, self.until),
            reason => format!(
                "nothing is installed from {} to {}: {reason}",
                self.from, self.until
            ),
        }
    }
}

impl Period {
    /// Exact time, whatever clocks on walls do meanwhile.
    fn span(self) -> jiff::Span {
        self.seconds().seconds()
    }
}

fn time(zoned: &Zoned) -> Option<Time> {
    Time::from_unix(zoned.with_time_zone(TimeZone::UTC).timestamp().as_second()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maintenance(text: &str) -> Maintenance {
        toml::from_str(text).unwrap()
    }

    fn at(text: &str) -> Time {
        text.parse().unwrap()
    }

    fn weekend() -> Maintenance {
        maintenance(
            r#"
            time-zone = "Europe/Berlin"
            windows = [{ opens = "0 22 * * SAT", duration = "4h" }]
            blackouts = [{ from = "2026-12-19", until = "2027-01-06", reason = "year end" }]
            "#,
        )
    }

    fn next(maintenance: &Maintenance, now: &str, blackouts: bool) -> String {
        match maintenance.standing(at(now), blackouts) {
            Standing::Closed { next, .. } => next.map_or("never".into(), |t| t.to_string()),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_window_is_open_from_its_first_second_to_before_its_last() {
        let weekend = weekend();
        // In winter, 22:00 in Berlin is 21:00 in UTC.
        let until = at("2026-11-22T01:00:00Z");
        for now in ["2026-11-21T21:00:00Z", "2026-11-22T00:59:59Z"] {
            assert_eq!(weekend.standing(at(now), true), Standing::Open { until });
        }
        assert_eq!(
            next(&weekend, "2026-11-21T20:59:59Z", true),
            "2026-11-21T21:00:00Z"
        );
        assert_eq!(
            next(&weekend, "2026-11-22T01:00:00Z", true),
            "2026-11-28T21:00:00Z"
        );
        // In summer it is 20:00.
        assert_eq!(
            next(&weekend, "2026-07-01T00:00:00Z", true),
            "2026-07-04T20:00:00Z"
        );
    }

    #[test]
    fn a_blackout_holds_everything_but_what_is_critical() {
        let weekend = weekend();
        let now = "2026-12-19T21:30:00Z";
        assert_eq!(next(&weekend, now, true), "2027-01-09T21:00:00Z");
        assert!(matches!(
            weekend.standing(at(now), false),
            Standing::Open { .. }
        ));
        match weekend.standing(at(now), true) {
            Standing::Closed {
                blackout: Some(why),
                ..
            } => assert!(why.contains("year end")),
            other => panic!("{other:?}"),
        }
        // A window that reaches into the time after a blackout opens late.
        let late = maintenance(
            r#"
            windows = [{ opens = "0 22 * * *", duration = "4h" }]
            blackouts = [{ from = "2026-12-19", until = "2026-12-19" }]
            "#,
        );
        assert_eq!(
            next(&late, "2026-12-19T12:00:00Z", true),
            "2026-12-20T00:00:00Z"
        );
        assert_eq!(
            next(&late, "2026-12-19T23:00:00Z", true),
            "2026-12-20T00:00:00Z"
        );
    }

    #[test]
    fn without_windows_only_blackouts_count() {
        let none = Maintenance::default();
        assert_eq!(
            none.standing(at("2026-12-24T00:00:00Z"), true),
            Standing::Always
        );
        let only = maintenance("blackouts = [{ from = \"2026-12-24\", until = \"2026-12-26\" }]");
        assert_eq!(
            next(&only, "2026-12-24T00:00:00Z", true),
            "2026-12-27T00:00:00Z"
        );
        assert_eq!(
            only.standing(at("2026-12-27T00:00:00Z"), true),
            Standing::Always
        );
    }

    #[test]
    fn clocks_that_go_forward_or_back_neither_lose_nor_double_a_window() {
        let night = maintenance(
            r#"
            time-zone = "Europe/Berlin"
            windows = [{ opens = "30 2 * * *", duration = "2h" }]
            "#,
        );
        // 2026-03-29: 02:00 to 03:00 is left out; 03:00 in summer time is 01:00 in UTC.
        assert_eq!(
            next(&night, "2026-03-28T23:00:00Z", true),
            "2026-03-29T01:00:00Z"
        );
        // 2026-10-25: 02:30 is there twice, at 00:30 and 01:30 in UTC; it opens at the first.
        assert_eq!(
            next(&night, "2026-10-24T23:00:00Z", true),
            "2026-10-25T00:30:00Z"
        );
        assert_eq!(
            night.standing(at("2026-10-25T01:45:00Z"), true),
            Standing::Open {
                until: at("2026-10-25T02:30:00Z")
            }
        );
        assert_eq!(
            next(&night, "2026-10-25T02:30:00Z", true),
            "2026-10-26T01:30:00Z"
        );
    }

    #[test]
    fn a_pattern_that_never_comes_opens_never() {
        let never = maintenance("windows = [{ opens = \"0 0 30 2 *\", duration = \"1h\" }]");
        assert_eq!(next(&never, "2026-01-01T00:00:00Z", true), "never");
        let first = maintenance("windows = [{ opens = \"0 0 * * SUN#1\", duration = \"1h\" }]");
        assert_eq!(
            next(&first, "2026-11-21T00:00:00Z", true),
            "2026-12-06T00:00:00Z"
        );
    }

    #[test]
    fn a_blackout_that_covers_everything_ends_the_search() {
        let long = maintenance(
            r#"
            windows = [{ opens = "* * * * *", duration = "1m" }]
            blackouts = [{ from = "2000-01-01", until = "2999-12-31" }]
            "#,
        );
        assert_eq!(
            next(&long, "2026-01-01T00:00:00Z", true),
            "3000-01-01T00:00:00Z"
        );
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let bad = maintenance(
            r#"
            windows = [{ opens = "0 0 * * *", duration = "0s" }, { opens = "0 0 * * *", duration = "8d" }]
            blackouts = [{ from = "2026-01-02", until = "2026-01-01" }]
            "#,
        );
        assert_eq!(bad.problems().len(), 3);
    }
}
