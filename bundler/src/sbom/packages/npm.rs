//! npm: the `package.json` of each installed package.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

use super::package::{Ecosystem, Package};
use crate::license::names;

/// What is read of `package.json` (npm, "package.json").
#[derive(Default)]
struct Manifest {
    name: Value,
    version: Value,
    license: Value,
    /// The old way.
    licenses: Value,
}

impl<'de> Deserialize<'de> for Manifest {
    /// As npm reads it, where of two keys of one name the last one counts (ECMA-262, "JSON.parse"): with a derived reader, two
    /// of them would be a mistake that hides the package.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Manifest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Manifest, A::Error> {
                let mut manifest = Manifest::default();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    match &*key {
                        "name" => manifest.name = map.next_value()?,
                        "version" => manifest.version = map.next_value()?,
                        "license" => manifest.license = map.next_value()?,
                        "licenses" => manifest.licenses = map.next_value()?,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(manifest)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// Whether this is the manifest of an installed package: `node_modules/NAME/package.json`, or with a scope.
pub(super) fn is_manifest(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    if parts.next() != Some("package.json") || parts.next().is_none() {
        return false;
    }
    match parts.next() {
        Some("node_modules") => true,
        Some(scope) => scope.starts_with('@') && parts.next() == Some("node_modules"),
        None => false,
    }
}

/// The package of a manifest.
pub(super) fn package(bytes: &[u8]) -> Option<Package> {
    // npm passes over the mark of UTF-8 that some editors write.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let manifest: Manifest = serde_json::from_slice(bytes).ok()?;
    let (name, version) = (manifest.name.as_str()?, manifest.version.as_str());
    let version = clean(version.unwrap_or_default());
    let mut package = Package::new(Ecosystem::Npm, name.trim(), version)?;
    let said = if manifest.license.is_null() {
        &manifest.licenses
    } else {
        &manifest.license
    };
    package.license = license(said);
    Some(package)
}

/// A version without what npm passes over in it (node-semver, `clean`).
fn clean(version: &str) -> &str {
    let version = version.trim();
    let number = version.trim_start_matches(|c: char| matches!(c, '=' | 'v') || c.is_whitespace());
    if number.starts_with(|c: char| c.is_ascii_digit()) {
        number
    } else {
        version
    }
}

/// The license as a text, as an object with a `type`, or as a list of one of them.
fn license(said: &Value) -> Option<String> {
    let one = match said {
        Value::Array(list) => match list.as_slice() {
            [one] => one,
            // Whether all or any of them count was never said.
            _ => return None,
        },
        one => one,
    };
    names::normalise(one.get("type").unwrap_or(one).as_str()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_of_installed_packages() {
        for good in [
            "node_modules/a/package.json",
            "app/node_modules/@s/a/package.json",
            "app/node_modules/a/node_modules/b/package.json",
        ] {
            assert!(is_manifest(good), "{good}");
        }
        for bad in [
            "package.json",
            "a/package.json",
            "node_modules/package.json",
            "node_modules/a/lib/package.json",
            "node_modules/a/package.json/x",
            "node_modules/s/a/package.json",
        ] {
            assert!(!is_manifest(bad), "{bad}");
        }
    }

    #[test]
    fn licenses_in_old_and_new_form() {
        let license = |rest: &str| {
            let text = format!(r#"{{"name":"a","version":"1.0.0"{rest}}}"#);
            package(text.as_bytes()).unwrap().license
        };
        let mit = Some("MIT".to_owned());
        assert_eq!(license(r#","license":"MIT""#), mit);
        assert_eq!(license(r#","license":{"type":"MIT","url":"x"}"#), mit);
        assert_eq!(license(r#","licenses":[{"type":"MIT"}]"#), mit);
        assert_eq!(license(r#","licenses":["MIT"]"#), mit);
        assert_eq!(license(r#","licenses":["MIT","ISC"]"#), None);
        assert_eq!(license(r#","licenses":{"type":"MIT","url":"x"}"#), mit);
        assert_eq!(license(r#","licenses":"MIT""#), mit);
        assert_eq!(license(r#","license":["MIT"]"#), mit);
        assert_eq!(license(r#","license":["MIT","ISC"]"#), None);
        assert_eq!(license(r#","license":{"url":"x"}"#), None);
        assert_eq!(license(r#","license":17"#), None);
        assert_eq!(license(r#","license":"UNLICENSED""#), None);
        assert_eq!(license(""), None);
        for bad in [
            "",
            "[]",
            r#"{"version":"1"}"#,
            r#"{"name":1,"version":"1"}"#,
        ] {
            assert!(package(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(package("[".repeat(100_000).as_bytes()).is_none());
    }

    #[test]
    fn what_npm_reads_is_read() {
        let read = |text: &str| {
            let package = package(text.as_bytes())?;
            Some((package.name, package.version, package.license))
        };
        let text = str::to_owned;
        let expected = Some((text("a"), text("2.0.0"), Some(text("ISC"))));
        assert_eq!(
            read("\u{feff}{\"name\":\"a\",\"version\":\"2.0.0\",\"license\":\"ISC\"}"),
            expected
        );
        assert_eq!(
            read(
                r#"{"name":1,"version":"1.0.0","license":"MIT","name":"a","version":"2.0.0","license":"ISC","name2":"b"}"#
            ),
            expected
        );
        // Half of a character that has two, and depth without an end, where nobody looks.
        let odd = format!(
            r#"{{"x":"\ud83d","y":{}{},"name":"a","version":"2.0.0","license":"ISC"}}"#,
            "[".repeat(1000),
            "]".repeat(1000)
        );
        assert_eq!(read(&odd), expected);
        assert_eq!(read(r#"{"name":"a"}"#), Some((text("a"), text(""), None)));
        for (written, version) in [
            (" 1.0.0 ", "1.0.0"),
            ("v1.0.0", "1.0.0"),
            ("\\t= v1.0.0-rc.1\\n", "1.0.0-rc.1"),
            ("vendor", "vendor"),
            (" ", ""),
        ] {
            let manifest = format!(r#"{{"name":" a ","version":"{written}"}}"#);
            assert_eq!(read(&manifest), Some((text("a"), text(version), None)));
        }
    }
}
