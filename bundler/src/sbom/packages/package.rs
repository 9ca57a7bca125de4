//! A package of another project's making, and the URL that names it everywhere.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use packageurl::PackageUrl;
use sealift_verifier::digest::Digest;
use serde::{Deserialize, Serialize};

use super::python;

/// Length of a name, a version or an architecture, in bytes. Those of real packages have less than 200.
const TEXT_BYTES: usize = 400;

/// Whose package it is, which says how names and versions are to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ecosystem {
    /// dpkg's: Debian, Ubuntu, distroless.
    Debian,
    /// apk's: Alpine, Wolfi.
    Alpine,
    /// Wheels and eggs.
    Python,
    /// Folders in `node_modules`.
    Npm,
    /// Modules in Go's executables.
    Go,
    /// Crates in executables that `cargo auditable` built.
    Cargo,
}

impl fmt::Display for Ecosystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debian => "debian",
            Self::Alpine => "alpine",
            Self::Python => "python",
            Self::Npm => "npm",
            Self::Go => "go",
            Self::Cargo => "cargo",
        })
    }
}

/// A package as one file of a layer tells of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Package {
    pub(super) ecosystem: Ecosystem,
    pub(super) name: String,
    /// Empty where there is none, as of a Go program that was built from a working copy.
    pub(super) version: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) arch: String,
    /// An SPDX expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) license: Option<String>,
}

impl Package {
    /// A package; nothing if its name or version cannot be those of one.
    pub(super) fn new(ecosystem: Ecosystem, name: &str, version: &str) -> Option<Self> {
        let sane = |text: &str| {
            text.len() <= TEXT_BYTES && !text.chars().any(|c| c.is_control() || c == ' ')
        };
        let parts = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        (parts && sane(name) && sane(version)).then(|| Self {
            ecosystem,
            name: name.to_owned(),
            version: version.to_owned(),
            arch: String::new(),
            license: None,
        })
    }

    /// The package URL (<https://github.com/package-url/purl-spec>). `system` is where it is installed.
    pub(super) fn purl(&self, system: &System) -> Option<String> {
        let normal;
        let (kind, namespace, name) = match self.ecosystem {
            Ecosystem::Debian => ("deb", Some(system.or("debian")), self.name.as_str()),
            Ecosystem::Alpine => {
                normal = self.name.to_lowercase();
                ("apk", Some(system.or("alpine")), normal.as_str())
            }
            Ecosystem::Python => {
                normal = python::normal(&self.name);
                ("pypi", None, normal.as_str())
            }
            Ecosystem::Cargo => ("cargo", None, self.name.as_str()),
            Ecosystem::Npm | Ecosystem::Go => {
                let kind = if self.ecosystem == Ecosystem::Go {
                    "golang"
                } else {
                    "npm"
                };
                match self.name.rsplit_once('/') {
                    Some((namespace, name)) => (kind, Some(namespace), name),
                    None => (kind, None, self.name.as_str()),
                }
            }
        };
        let mut purl = PackageUrl::new(kind, name).ok()?;
        if let Some(namespace) = namespace {
            purl.with_namespace(namespace).ok()?;
        }
        if !self.version.is_empty() {
            purl.with_version(self.version.as_str()).ok()?;
        }
        if matches!(self.ecosystem, Ecosystem::Debian | Ecosystem::Alpine) {
            if !self.arch.is_empty() {
                purl.add_qualifier("arch", self.arch.as_str()).ok()?;
            }
            if let Some(distro) = system.distro() {
                purl.add_qualifier("distro", distro).ok()?;
            }
        }
        Some(canonical(&purl))
    }
}

/// The only way to write a package URL. `packageurl` leaves signs as they are that have to be encoded, such as `!` (purl-spec,
/// "Character encoding").
fn canonical(purl: &PackageUrl<'_>) -> String {
    let mut text = format!("pkg:{}/", purl.ty());
    let namespace = purl.namespace().into_iter();
    for part in namespace.flat_map(|namespace| namespace.split('/')) {
        encode(part, &mut text);
        text.push('/');
    }
    encode(purl.name(), &mut text);
    if let Some(version) = purl.version() {
        text.push('@');
        encode(version, &mut text);
    }
    let qualifiers: BTreeMap<_, _> = purl.qualifiers().iter().collect();
    for (at, (key, value)) in qualifiers.into_iter().enumerate() {
        text.push(if at == 0 { '?' } else { '&' });
        text.push_str(key);
        text.push('=');
        encode(value, &mut text);
    }
    text
}

/// Writes a component with all signs encoded but letters, digits, `.-_~`, and the colon.
fn encode(component: &str, text: &mut String) {
    for byte in component.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

/// The operating system of an image, as `os-release` names it; empty where it has none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct System {
    pub(super) id: String,
    pub(super) version: String,
}

impl System {
    /// Reads `os-release` (freedesktop.org, os-release(5)).
    pub(super) fn parse(text: &str) -> Self {
        let mut system = Self::default();
        for line in text.lines() {
            let Some((key, value)) = line.split_once('=') else {
                continue;
            };
            let value = value.trim().trim_matches(['"', '\'']);
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if value.len() > TEXT_BYTES || !value.chars().all(plain) {
                continue;
            }
            match key.trim() {
                "ID" => value.clone_into(&mut system.id),
                "VERSION_ID" => value.clone_into(&mut system.version),
                _ => {}
            }
        }
        system
    }

    fn or<'s>(&'s self, default: &'s str) -> &'s str {
        if self.id.is_empty() {
            default
        } else {
            &self.id
        }
    }

    fn distro(&self) -> Option<String> {
        match (self.id.as_str(), self.version.as_str()) {
            ("", _) => None,
            (id, "") => Some(id.to_owned()),
            (id, version) => Some(format!("{id}-{version}")),
        }
    }
}

/// A package in an artifact of a release. Sorted by ecosystem, name, version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FoundPackage {
    /// Whose package it is.
    pub ecosystem: Ecosystem,
    /// Its name there; of npm and Go with what stands before it, such as `@babel/core`.
    pub name: String,
    /// Its version there; may be empty.
    pub version: String,
    /// The package URL, once in an artifact.
    pub purl: String,
    /// An SPDX license expression, where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// The file that tells of it, below the root of the image or tree; empty if that is the artifact itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The layer of the image that has this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<Digest>,
}

impl FoundPackage {
    /// What `package` is in an artifact with this system.
    pub(super) fn new(
        package: &Package,
        system: &System,
        path: &str,
        layer: Option<Digest>,
    ) -> Option<Self> {
        Some(Self {
            ecosystem: package.ecosystem,
            name: package.name.clone(),
            version: package.version.clone(),
            purl: package.purl(system)?,
            license: package.license.clone(),
            path: path.to_owned(),
            layer,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls() {
        let bookworm = System::parse("ID=debian\nVERSION_ID=\"12\"\nNAME='x y'\n");
        let nothing = System::default();
        let purl = |ecosystem, name: &str, version: &str, arch: &str, system: &System| {
            let mut package = Package::new(ecosystem, name, version).unwrap();
            arch.clone_into(&mut package.arch);
            package.purl(system).unwrap()
        };
        let debian = |system| {
            purl(
                Ecosystem::Debian,
                "libc++1",
                "1:14.0~rc+1-2",
                "amd64",
                system,
            )
        };
        assert_eq!(
            debian(&bookworm),
            "pkg:deb/debian/libc%2B%2B1@1:14.0~rc%2B1-2?arch=amd64&distro=debian-12"
        );
        assert_eq!(
            debian(&nothing),
            "pkg:deb/debian/libc%2B%2B1@1:14.0~rc%2B1-2?arch=amd64"
        );
        for (ecosystem, name, version, expected) in [
            (
                Ecosystem::Alpine,
                "musl",
                "1.2.4-r2",
                "pkg:apk/debian/musl@1.2.4-r2?distro=debian-12",
            ),
            (
                Ecosystem::Python,
                "Ruamel_Yaml.Clib",
                "0.1",
                "pkg:pypi/ruamel-yaml-clib@0.1",
            ),
            (
                Ecosystem::Npm,
                "@babel/core",
                "7.0.0",
                "pkg:npm/%40babel/core@7.0.0",
            ),
            (
                Ecosystem::Npm,
                "left-pad",
                "1.3.0",
                "pkg:npm/left-pad@1.3.0",
            ),
            (
                Ecosystem::Go,
                "github.com/Masterminds/semver/v3",
                "v3.2.1+incompatible",
                "pkg:golang/github.com/masterminds/semver/v3@v3.2.1%2Bincompatible",
            ),
            (
                Ecosystem::Go,
                "stdlib",
                "1.21.0",
                "pkg:golang/stdlib@1.21.0",
            ),
            (
                Ecosystem::Go,
                "example.org/x",
                "",
                "pkg:golang/example.org/x",
            ),
            (Ecosystem::Cargo, "serde", "1.0.0", "pkg:cargo/serde@1.0.0"),
        ] {
            assert_eq!(purl(ecosystem, name, version, "", &bookworm), expected);
        }
    }

    #[test]
    fn package_urls_are_canonical() {
        let purl = |ecosystem, name: &str, version: &str| {
            let mut package = Package::new(ecosystem, name, version).unwrap();
            package.arch = "a!b".to_owned();
            package.purl(&System::default()).unwrap()
        };
        let signs = "!\"#$%&'()*+,/;<=>?@[\\]^`{|}";
        let encoded =
            "%21%22%23%24%25%26%27%28%29%2A%2B%2C%2F%3B%3C%3D%3E%3F%40%5B%5C%5D%5E%60%7B%7C%7D";
        for (ecosystem, name, version, expected) in [
            (
                Ecosystem::Python,
                "q",
                "1!2.0+abc",
                "pkg:pypi/q@1%212.0%2Babc",
            ),
            (
                Ecosystem::Npm,
                "@x!/y'z",
                "1~2:3_4",
                "pkg:npm/%40x%21/y%27z@1~2:3_4",
            ),
            (
                Ecosystem::Alpine,
                "R",
                "1-r0",
                "pkg:apk/alpine/r@1-r0?arch=a%21b",
            ),
            (
                Ecosystem::Cargo,
                "\u{fc}",
                signs,
                &format!("pkg:cargo/%C3%BC@{encoded}"),
            ),
        ] {
            let found = purl(ecosystem, name, version);
            assert_eq!(found, expected);
            let read: PackageUrl<'_> = found.parse().unwrap();
            assert_eq!(canonical(&read), found);
            assert_eq!(read.version(), Some(version));
        }
    }

    #[test]
    fn what_cannot_be_a_package_is_none() {
        for (name, version) in [
            ("", "1"),
            ("a b", "1"),
            ("a\n", "1"),
            ("a", "1 2"),
            ("../a", "1"),
            ("a//b", "1"),
            (&*"a".repeat(401), "1"),
            ("a", &*"1".repeat(401)),
        ] {
            assert!(
                Package::new(Ecosystem::Npm, name, version).is_none(),
                "{name:?}"
            );
        }
    }
}
