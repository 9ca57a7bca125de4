//! `RELEASE.toml`: which capabilities a release has, in which exact versions.

use std::path::PathBuf;

use sealift_verifier::{path::Name, time::Time};
use semver::Version;

use super::{
    fields::{Fields, Located},
    values::PlatformText,
};
use crate::{
    error::Code,
    problem::{Place, Problem},
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
    /// Sorted by name.
    pub(crate) capabilities: Vec<(Name, Located<Version>)>,
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
        let platforms = read_platforms(&mut fields);
        let catalog = read_catalog(&mut fields);
        let capabilities = read_capabilities(&mut fields);
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
            capabilities,
        }
    }
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

fn read_platforms(fields: &mut Fields<'_, '_>) -> Vec<String> {
    let mut platforms = Vec::new();
    let Some(texts) = fields.texts("platforms") else {
        return platforms;
    };
    for text in texts.value {
        let Some(platform) = fields.parse::<PlatformText>(text, Code::InvalidValue) else {
            continue;
        };
        if platforms.contains(&platform.value.0) {
            fields.report(
                &platform.at,
                Code::InvalidValue,
                format!("{} is listed twice", platform.value.0),
            );
        } else {
            platforms.push(platform.value.0);
        }
    }
    platforms.sort();
    platforms
}

fn read_catalog(fields: &mut Fields<'_, '_>) -> Located<PathBuf> {
    let default = || Place {
        key: "catalog".into(),
        ..fields.at().clone()
    };
    let at = fields.place_of("catalog").unwrap_or_else(default);
    let text = fields
        .text("catalog")
        .map_or_else(|| "catalog".into(), |c| c.value);
    let path = PathBuf::from(&text);
    if path.is_absolute() || text.is_empty() || text.contains('\0') {
        let problem = Problem::new(
            &at,
            Code::InvalidValue,
            format!("{text:?} is no relative path"),
        );
        fields.note(problem.with_hint(
            "name the folder relative to RELEASE.toml, so that it is the same on every machine",
        ));
    }
    Located { value: path, at }
}

fn read_capabilities(fields: &mut Fields<'_, '_>) -> Vec<(Name, Located<Version>)> {
    let mut capabilities: Vec<(Name, Located<Version>)> = Vec::new();
    if !fields.has("capabilities") {
        fields.missing("capabilities", "the table of capabilities");
    }
    let Some(map) = fields.map("capabilities") else {
        return capabilities;
    };
    if map.is_empty() {
        let at = Place {
            key: "capabilities".into(),
            ..fields.at().clone()
        };
        fields.report(
            &at,
            Code::InvalidValue,
            "a release without capabilities carries nothing",
        );
    }
    for (name, version) in map {
        let at = version.at.clone();
        let name = fields.parse::<Name>(
            Located {
                value: name,
                at: at.clone(),
            },
            Code::NameInvalid,
        );
        let version = fields.parse::<Version>(version, Code::VersionInvalid);
        let (Some(name), Some(version)) = (name, version) else {
            continue;
        };
        // The version becomes an image's tag (OCI distribution-spec 1.1: at most 128 characters).
        if version.value.to_string().len() > 128 {
            fields.report(&at, Code::VersionInvalid, "is longer than 128 characters");
            continue;
        }
        capabilities.push((name.value, version));
    }
    for (inner, located) in &capabilities {
        let outer = capabilities.iter().find(|(outer, _)| {
            inner
                .as_str()
                .strip_prefix(outer.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        });
        if let Some((outer, _)) = outer {
            let message = format!("{inner} lies inside the capability {outer}");
            fields.report(&located.at, Code::CapabilityConflict, message);
        }
    }
    capabilities
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
