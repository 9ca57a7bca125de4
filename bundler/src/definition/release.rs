//! `RELEASE.toml`: what a release is to contain, and what is said of it.

use std::{collections::BTreeSet, path::PathBuf};

use sealift_verifier::{
    path::Name,
    release::{Mode, ReleaseType, Severity},
    time::Time,
};
use semver::{Version, VersionReq};

use super::{
    fields::{Fields, Located},
    values::{Advisory, PlatformText, Wanted},
};
use crate::{
    error::Code,
    problem::{Place, Problem},
    resolve::Doubt,
};

/// The largest counter: integers of metadata stay below 2^53, so that every JSON reader keeps them exact.
const HIGHEST_COUNTER: u64 = (1 << 53) - 1;
/// Years between `published` and `expires` where the definition does not say.
const DEFAULT_YEARS: i64 = 5;

/// What `RELEASE.toml` says. A field that could not be read is `None`, and a problem was noted.
pub(crate) struct ReleaseDefinition {
    pub(crate) product: Option<Name>,
    pub(crate) version: Option<Version>,
    pub(crate) counter: Option<u64>,
    pub(crate) published: Option<Time>,
    pub(crate) expires: Option<Time>,
    pub(crate) security_floor: Option<Version>,
    /// Sorted, each once.
    pub(crate) platforms: Vec<String>,
    /// The catalog folder, relative to the folder of `RELEASE.toml`.
    pub(crate) catalog: Located<PathBuf>,
    /// How far it may change what the one before did, where the definition says so.
    pub(crate) release_type: Option<Located<ReleaseType>>,
    pub(crate) upgrade_from: Option<VersionReq>,
    pub(crate) severity: Option<Severity>,
    /// Whether it takes a license to install it.
    pub(crate) licensed: bool,
    /// Whether licenses cover it even after their maintenance date.
    pub(crate) maintenance_exempt: bool,
    /// Sorted, each once.
    pub(crate) fixes: Vec<String>,
    pub(crate) changes: Vec<String>,
    /// The modes to resolve for; sorted. With none, nothing is left out and nothing stands in for another.
    pub(crate) modes: Vec<Mode>,
    /// The pin of the platform.
    pub(crate) platform: Option<Located<Version>>,
    /// Pins of suites; sorted by name.
    pub(crate) suites: Vec<(Name, Located<Wanted>)>,
    /// Pins of capabilities; sorted by name.
    pub(crate) capabilities: Vec<(Name, Located<Wanted>)>,
    /// Pins that could not be read.
    pub(crate) doubt: Doubt,
}

impl ReleaseDefinition {
    /// Takes everything out of the table. `source_date_epoch`, in seconds since 1970, goes before
    /// `published` (reproducible-builds.org, "`SOURCE_DATE_EPOCH`").
    pub(crate) fn read(mut fields: Fields<'_, '_>, source_date_epoch: Option<i64>) -> Self {
        let product = fields.required::<Name>("product", Code::NameInvalid, "the product's name");
        let version =
            fields.required::<Version>("version", Code::VersionInvalid, "the release's version");
        if !fields.has("counter") {
            fields.missing(
                "counter",
                "the release counter, which grows with every release published,",
            );
        }
        let counter = fields.integer("counter", 1..=HIGHEST_COUNTER);
        let published = read_published(&mut fields, source_date_epoch);
        let expires = read_expires(&mut fields, published);
        let floor = fields.parsed::<Version>("security-floor", Code::VersionInvalid);
        if let (Some(floor), Some(version)) = (&floor, &version)
            && floor.value > version.value
        {
            let message = format!(
                "{} is above the release's own version {}",
                floor.value, version.value
            );
            let problem = Problem::new(&floor.at, Code::InvalidValue, message);
            fields.note(problem.with_hint("the floor is at most the release's own version"));
        }
        let platforms = fields.parsed_set::<PlatformText>("platforms", Code::InvalidValue);
        let platforms = platforms.into_iter().map(|platform| platform.0).collect();
        let catalog = read_catalog(&mut fields);
        // Where it leads to is the business of the rules that compare with it (`compat::Claims`).
        if let Some(previous) = fields.text("previous") {
            read_path(&fields, previous);
        }
        let release_type = fields.parsed::<ReleaseType>("type", Code::InvalidValue);
        let upgrade_from = fields.parsed::<VersionReq>("upgrade-from", Code::RequirementInvalid);
        let severity = fields.parsed::<Severity>("severity", Code::InvalidValue);
        let licensed = fields.boolean("licensed");
        let exempt = read_exempt(&mut fields, severity.as_ref());
        let fixes = fields.parsed_set::<Advisory>("fixes", Code::InvalidValue);
        let changes = fields.lines("changes", 500);
        let modes = fields.parsed_set::<Mode>("modes", Code::InvalidValue);
        // What is there, but cannot be read, has a problem of its own.
        let given = ["platform", "suites", "capabilities"].map(|key| fields.has(key));
        let platform = fields.parsed::<Version>("platform", Code::VersionInvalid);
        let mut doubt = Doubt {
            asks: given == [false; 3] || given[0] && (platform.is_none() || product.is_none()),
            ..Doubt::default()
        };
        let (suites, capabilities) = (
            read_pins(&mut fields, "suites", &mut doubt.suites, &mut doubt.asks),
            read_pins(
                &mut fields,
                "capabilities",
                &mut doubt.capabilities,
                &mut doubt.asks,
            ),
        );
        if given == [false; 3] {
            let at = Place {
                key: "capabilities".into(),
                ..fields.at().clone()
            };
            let problem = Problem::new(
                &at,
                Code::MissingKey,
                "a release without capabilities carries nothing",
            );
            fields.note(
                problem.with_hint("add `platform = …`, or a table [suites] or [capabilities]"),
            );
        }
        fields.finish();
        Self {
            product: product.map(|p| p.value),
            version: version.map(|v| v.value),
            counter: counter.map(|c| c.value),
            published,
            expires,
            security_floor: floor.map(|f| f.value),
            platforms,
            catalog,
            release_type,
            upgrade_from: upgrade_from.map(|u| u.value),
            severity: severity.map(|s| s.value),
            licensed: licensed.is_some_and(|l| l.value),
            maintenance_exempt: exempt,
            fixes: fixes.into_iter().map(|f| f.0).collect(),
            changes,
            modes,
            platform,
            suites,
            capabilities,
            doubt,
        }
    }
}

/// Pins by name. Of those that cannot be read, the names go to `unread`, and that there are some to `asks`.
fn read_pins(
    fields: &mut Fields<'_, '_>,
    key: &'static str,
    unread: &mut BTreeSet<Name>,
    asks: &mut bool,
) -> Vec<(Name, Located<Wanted>)> {
    let given = fields.has(key);
    let keys = fields.keys_of(key);
    let pins = fields.parsed_map::<Name, Wanted>(key, Code::NameInvalid, Code::VersionInvalid);
    let is_lost = |key: &&&str| !pins.iter().any(|(name, _)| name.as_str() == **key);
    let lost: Vec<_> = keys.iter().flatten().filter(is_lost).collect();
    *asks |= given && keys.is_none() || !lost.is_empty();
    unread.extend(lost.into_iter().filter_map(|key| key.parse().ok()));
    pins
}

/// Only what is critical may be given to those whose maintenance is over.
fn read_exempt(fields: &mut Fields<'_, '_>, severity: Option<&Located<Severity>>) -> bool {
    let Some(exempt) = fields.boolean("maintenance-exempt").filter(|e| e.value) else {
        return false;
    };
    // A severity that could not be read has a problem of its own.
    let known = severity.is_some() || !fields.has("severity");
    if known && severity.is_none_or(|s| s.value != Severity::Critical) {
        let message = "makes sense only for severity = \"critical\"";
        let problem = Problem::new(&exempt.at, Code::InvalidValue, message);
        fields.note(problem.with_hint(
            "remove it: only critical corrections are for those whose maintenance is over",
        ));
    }
    true
}

fn read_published(fields: &mut Fields<'_, '_>, source_date_epoch: Option<i64>) -> Option<Time> {
    let there = fields.has("published");
    let published = fields
        .parsed::<Time>("published", Code::DateInvalid)
        .map(|p| p.value);
    match source_date_epoch.map(Time::from_unix) {
        Some(Ok(time)) => return Some(time),
        Some(Err(e)) => {
            let problem = Problem::new(
                fields.at(),
                Code::DateInvalid,
                format!("SOURCE_DATE_EPOCH: {e}"),
            );
            fields.note(problem.with_hint("set it to seconds since 1970-01-01T00:00:00Z"));
        }
        None if !there => {
            let at = Place {
                key: "published".into(),
                ..fields.at().clone()
            };
            fields.report(
                &at,
                Code::PublishedMissing,
                "the date of the release is missing",
            );
        }
        None => {}
    }
    published
}

fn read_expires(fields: &mut Fields<'_, '_>, published: Option<Time>) -> Option<Time> {
    if !fields.has("expires") {
        let default = published.and_then(years_later);
        if published.is_some() && default.is_none() {
            let at = Place {
                key: "expires".into(),
                ..fields.at().clone()
            };
            fields.report(
                &at,
                Code::DateInvalid,
                "five years after `published` cannot be written",
            );
        }
        return default;
    }
    let expires = fields.parsed::<Time>("expires", Code::DateInvalid)?;
    if let Some(published) = published
        && expires.value <= published
    {
        let message = format!(
            "{} is not after {published}, when the release is published",
            expires.value
        );
        fields.note(
            Problem::new(&expires.at, Code::DateInvalid, message)
                .with_hint("choose a later date, or leave it out for five years"),
        );
    }
    Some(expires.value)
}

/// The same day of the calendar [`DEFAULT_YEARS`] later.
fn years_later(time: Time) -> Option<Time> {
    let start = jiff::Timestamp::from_second(time.unix())
        .ok()?
        .to_zoned(jiff::tz::TimeZone::UTC);
    let later = start
        .checked_add(jiff::Span::new().try_years(DEFAULT_YEARS).ok()?)
        .ok()?;
    Time::from_unix(later.timestamp().as_second()).ok()
}

fn read_catalog(fields: &mut Fields<'_, '_>) -> Located<PathBuf> {
    let given = fields.text("catalog");
    let default = || Located {
        value: PathBuf::from("catalog"),
        at: Place {
            key: "catalog".into(),
            ..fields.at().clone()
        },
    };
    given
        .and_then(|text| read_path(fields, text))
        .unwrap_or_else(default)
}

/// A path relative to the folder of the definition.
fn read_path(fields: &Fields<'_, '_>, text: Located<String>) -> Option<Located<PathBuf>> {
    let path = PathBuf::from(&text.value);
    if path.is_absolute() || text.value.is_empty() || text.value.contains('\0') {
        let message = format!("{:?} is no relative path", text.value);
        let problem = Problem::new(&text.at, Code::InvalidValue, message);
        fields.note(problem.with_hint(
            "name it relative to RELEASE.toml, so that it is the same on every machine",
        ));
        return None;
    }
    Some(Located {
        value: path,
        at: text.at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_years_by_the_calendar() {
        let later = |text: &str| years_later(text.parse().unwrap()).map(|t| t.to_string());
        assert_eq!(
            later("2026-03-01T00:00:00Z").as_deref(),
            Some("2031-03-01T00:00:00Z")
        );
        assert_eq!(
            later("2024-02-29T12:00:00Z").as_deref(),
            Some("2029-02-28T12:00:00Z")
        );
        assert_eq!(later("9998-01-01T00:00:00Z"), None);
    }
}
