//! Values with a form of their own: durations, platforms, where health checks ask.

use std::{fmt, str::FromStr};

use semver::{Version, VersionReq};

use crate::resolve::is;

/// The longest duration that a definition may ask for: a day, in milliseconds.
const LONGEST_MS: u64 = 24 * 60 * 60 * 1000;

/// A duration, written as an integer with `ms`, `s` or `m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Millis(pub(crate) u64);

impl FromStr for Millis {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            _ => return Err("is not an integer with ms, s or m"),
        };
        let number: u64 = number
            .parse()
            .map_err(|_| "is not an integer with ms, s or m")?;
        match number.checked_mul(unit) {
            Some(millis) if millis <= LONGEST_MS => Ok(Self(millis)),
            _ => Err("is longer than 24 hours"),
        }
    }
}

/// A platform as `os/architecture[/variant]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlatformText(pub(crate) String);

impl fmt::Display for PlatformText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PlatformText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        let plain = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.')
        };
        if (2..=3).contains(&parts.len()) && parts.iter().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err("is not of the form os/architecture, such as linux/amd64 or linux/arm/v7")
        }
    }
}

/// The identifier of an advisory, such as `CVE-2026-1234` or `GHSA-xxxx-xxxx-xxxx`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Advisory(pub(crate) String);

impl fmt::Display for Advisory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Advisory {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // CVE Program, "CVE ID syntax": four digits of the year, then at least four digits.
        let is_cve = |rest: &str| {
            let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
            rest.split_once('-').is_some_and(|(year, number)| {
                year.len() == 4
                    && digits(year)
                    && (4..=19).contains(&number.len())
                    && digits(number)
            })
        };
        if let Some(rest) = text.strip_prefix("CVE-") {
            let cve = is_cve(rest).then(|| Self(text.to_owned()));
            return cve.ok_or("is not of the form CVE-YEAR-NUMBER");
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':');
        if (4..=100).contains(&text.len()) && text.contains('-') && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err("is no identifier of an advisory, such as CVE-2026-1234")
        }
    }
}

/// The name of an entitlement, as licenses grant it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entitlement(pub(crate) String);

impl fmt::Display for Entitlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Entitlement {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_./".contains(&b);
        if (1..=100).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err("is no name of lower-case letters, digits and - _ . /")
        }
    }
}

/// A number of bytes, written as an integer and a unit: `20 GB` (powers of 1000) or `8 GiB` (of 1024).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = match unit.trim_start() {
            "kB" => 1000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            _ => return Err("is not an integer with kB, MB, GB, TB, KiB, MiB, GiB or TiB"),
        };
        let number: Option<u64> = number.parse().ok();
        match number.and_then(|number| number.checked_mul(unit)) {
            // Integers of manifests stay below 2^53, so that every JSON reader keeps them exact.
            Some(bytes) if bytes > 0 && bytes < 1 << 53 => Ok(Self(bytes)),
            _ => Err("is nothing, or more than any machine has"),
        }
    }
}

/// A requirement of versions, as `requires` writes it. A version without an operator stands for `^`, as in Cargo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Requirement(pub(crate) VersionReq);

impl FromStr for Requirement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('+') {
            return Err("build metadata makes no difference to requirements: leave it out".into());
        }
        text.parse()
            .map(Self)
            .map_err(|e: semver::Error| e.to_string())
    }
}

/// Versions that one does not work with, as `conflicts` writes them. Without an operator it would not be plain whether one
/// version is meant or all that are compatible with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict(pub(crate) VersionReq);

impl FromStr for Conflict {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Requirement(requirement) = text.parse()?;
        let says = |part: &str| part.trim().starts_with(['^', '~', '=', '<', '>', '*']);
        if text.contains('*') || text.split(',').all(says) {
            return Ok(Self(requirement));
        }
        Err(format!(
            "says no operator: write =1.2.3 for that version alone, ^1.2.3 for all that are compatible with it; here perhaps ={}",
            text.trim()
        ))
    }
}

/// A version that is taken exactly, or a requirement that several may meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// That very version: it was written in full.
    Exact(Version),
    /// Whatever meets it.
    Range(VersionReq),
}

impl Wanted {
    /// Whether it is this very version, written in full.
    pub(crate) fn is(&self, version: &Version) -> bool {
        matches!(self, Self::Exact(exact) if is(exact, version))
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(version) => version.fmt(f),
            Self::Range(requirement) => requirement.fmt(f),
        }
    }
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(version) = text.parse::<Version>() {
            // The version becomes an image's tag (OCI distribution-spec 1.1: at most 128 characters).
            return match text.len() {
                0..=128 => Ok(Self::Exact(version)),
                _ => Err("is longer than 128 characters".into()),
            };
        }
        let operator = text.starts_with(['^', '~', '=', '<', '>', '*']);
        match text.parse::<Requirement>() {
            // "3.1" is a slip of the pen more often than it is meant as ^3.1.
            Ok(Requirement(requirement)) if operator || text.contains(['*', ',']) => {
                Ok(Self::Range(requirement))
            }
            Ok(_) => Err(
                "is neither a full version nor a requirement with an operator, such as ^3.1 or *"
                    .into(),
            ),
            Err(e) => Err(e),
        }
    }
}

/// An `http://` URL that a health check asks.
pub(crate) struct HttpUrl(pub(crate) String);

impl FromStr for HttpUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text
            .strip_prefix("http://")
            .ok_or("does not begin with http://")?;
        if !rest.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("has white space or characters that a URL cannot have");
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err("has a user or a password in it");
        }
        match authority.rsplit_once(':') {
            // The colons of an IPv6 address are inside brackets.
            Some((_, port)) if !port.ends_with(']') => HostPort::from_str(authority).map(|_| ())?,
            _ if authority.is_empty() => return Err("has no host"),
            _ => {}
        }
        Ok(Self(text.to_owned()))
    }
}

/// `host:port`, with an IPv6 address in brackets.
pub(crate) struct HostPort(pub(crate) String);

impl FromStr for HostPort {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text
            .rsplit_once(':')
            .ok_or("is not of the form host:port")?;
        let bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if host.is_empty() || !(bracketed || host.bytes().all(plain)) {
            return Err("has no host, or one with characters that no host has");
        }
        match port.parse::<u16>() {
            Ok(1..) if port.bytes().all(|b| b.is_ascii_digit()) => Ok(Self(text.to_owned())),
            _ => Err("has no port from 1 to 65535"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let millis = |text: &str| text.parse::<Millis>().ok().map(|m| m.0);
        assert_eq!(millis("250ms"), Some(250));
        assert_eq!(millis("5s"), Some(5000));
        assert_eq!(millis("2m"), Some(120_000));
        assert_eq!(millis("0s"), Some(0));
        for bad in [
            "",
            "s",
            "5",
            "-1s",
            "+1s",
            "1.5s",
            "1h",
            " 1s",
            "1s ",
            "1441m",
            "99999999999999999999s",
        ] {
            assert_eq!(millis(bad), None, "{bad:?}");
        }
        assert_eq!(millis("18446744073709551615m"), None);
    }

    #[test]
    fn sizes() {
        let size = |text: &str| text.parse::<Size>().ok().map(|s| s.0);
        assert_eq!(size("8 GiB"), Some(8 << 30));
        assert_eq!(size("20GB"), Some(20_000_000_000));
        for bad in [
            "",
            "8",
            "0 GB",
            "8 gb",
            "1.5 GB",
            "-1 GB",
            "99999999999999999999 TB",
            "9007200 TB",
        ] {
            assert_eq!(size(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_full_version_is_exact_and_anything_else_needs_an_operator() {
        let wanted = |text: &str| text.parse::<Wanted>();
        assert_eq!(wanted("3.1.0"), Ok(Wanted::Exact(Version::new(3, 1, 0))));
        for range in ["^3.1", "~3", ">=2.0, <3", "*", "=1.2", "1.*"] {
            assert!(matches!(wanted(range), Ok(Wanted::Range(_))), "{range}");
        }
        for bad in ["3.1", "3", "", "latest", ">", "1.2.3.4"] {
            assert!(wanted(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn advisories() {
        for good in [
            "CVE-2026-1234",
            "CVE-1999-0001",
            "GHSA-33p5-h82x-39pq",
            "RUSTSEC-2026-0067",
        ] {
            assert!(good.parse::<Advisory>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "CVE-26-1234",
            "CVE-2026-1",
            "CVE-2026-x",
            "nothing",
            "A-\n-b",
        ] {
            assert!(bad.parse::<Advisory>().is_err(), "{bad}");
        }
    }

    #[test]
    fn platforms() {
        for good in ["linux/amd64", "linux/arm/v7", "linux/arm64"] {
            assert!(good.parse::<PlatformText>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "linux",
            "linux/",
            "/amd64",
            "linux/arm/v7/x",
            "Linux/amd64",
            "linux/amd 64",
        ] {
            assert!(bad.parse::<PlatformText>().is_err(), "{bad}");
        }
    }

    #[test]
    fn where_checks_ask() {
        for good in [
            "http://127.0.0.1:8080/health",
            "http://localhost",
            "http://[::1]:80/x",
            "http://[::1]/",
        ] {
            assert!(good.parse::<HttpUrl>().is_ok(), "{good}");
        }
        for bad in [
            "https://x/",
            "http://",
            "http:///x",
            "http://a b/",
            "http://u:p@h/",
            "http://h:0/",
            "http://h:x/",
            "",
        ] {
            assert!(bad.parse::<HttpUrl>().is_err(), "{bad}");
        }
        for good in ["127.0.0.1:8080", "[::1]:1", "db:5432"] {
            assert!(good.parse::<HostPort>().is_ok(), "{good}");
        }
        for bad in [
            "", "x", ":80", "x:", "x:0", "x:65536", "x:+1", "::1:80x", "a/b:80",
        ] {
            assert!(bad.parse::<HostPort>().is_err(), "{bad}");
        }
    }
}
