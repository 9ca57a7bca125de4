//! Values with a form of their own: durations, platforms, where health checks ask.

use std::str::FromStr;

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
