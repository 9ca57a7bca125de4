//! npm: the `package.json` of each installed package.

use serde::Deserialize;

use super::package::{Ecosystem, Package};
use crate::license::names;

/// What is read of `package.json` (npm, "package.json").
#[derive(Deserialize)]
struct Manifest {
    name: String,
    version: String,
    #[serde(default)]
    license: Option<License>,
    /// The old way; whether all or any of them count was never said.
    #[serde(default)]
    licenses: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum License {
    Expression(String),
    Object {
        #[serde(rename = "type")]
        kind: String,
    },
    Other(serde::de::IgnoredAny),
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
    let manifest: Manifest = serde_json::from_slice(bytes).ok()?;
    let mut package = Package::new(Ecosystem::Npm, &manifest.name, &manifest.version)?;
    package.license = match (manifest.license, manifest.licenses) {
        (Some(License::Expression(text) | License::Object { kind: text }), _) => {
            names::normalise(&text)
        }
        (None, Some(serde_json::Value::Array(list))) => match list.as_slice() {
            [one] => one
                .get("type")
                .unwrap_or(one)
                .as_str()
                .and_then(names::normalise),
            _ => None,
        },
        _ => None,
    };
    Some(package)
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
        assert_eq!(license(r#","license":17"#), None);
        assert_eq!(license(r#","license":"UNLICENSED""#), None);
        assert_eq!(license(""), None);
        for bad in ["", "[]", r#"{"name":"a"}"#, r#"{"name":1,"version":"1"}"#] {
            assert!(package(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(package("[".repeat(100_000).as_bytes()).is_none());
    }
}
