//! Which files tell of packages, by their names and first bytes.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use super::{
    alpine, debian, elf, npm,
    package::{Package, System},
    python,
};

/// Length of a database of packages, in bytes. That of a desktop with 5,000 packages has 6 MB.
const DATABASE_BYTES: u64 = 32 << 20;
/// Length of a file about one package, in bytes. One that is longer was not written by a package manager.
const METADATA_BYTES: u64 = 1 << 20;
/// Length of an executable that is looked into, in bytes: its list of sections stands at its end.
const PROGRAM_BYTES: u64 = 256 << 20;
/// The shortest executable that can tell of anything: a header alone has 52 bytes.
const SHORTEST_PROGRAM: u64 = 512;

/// What a file tells.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Found {
    /// Packages; may be none, where a database is empty.
    Packages(Vec<Package>),
    /// The license of the Debian package that its path names.
    License(String),
    /// A link that leads to where such a license is: the name of the other package.
    SameLicenseAs(String),
    /// The operating system.
    System(System),
}

impl Found {
    /// How much memory it takes, in bytes and roughly.
    pub(super) fn weight(&self) -> usize {
        let packages = match self {
            Self::Packages(packages) => packages.as_slice(),
            _ => &[],
        };
        let texts = |p: &Package| {
            let license = p.license.as_ref().map_or(0, String::len);
            p.name.len() + p.version.len() + p.arch.len() + license
        };
        let weight = |p| size_of::<Package>() + texts(p);
        size_of::<Self>() + packages.iter().map(weight).sum::<usize>()
    }
}

/// What a file is by its path.
enum Kind {
    Dpkg,
    Copyright,
    Apk,
    Python,
    Npm,
    System,
}

impl Kind {
    fn of(path: &str) -> Option<Self> {
        if path == "var/lib/dpkg/status" {
            return Some(Self::Dpkg);
        }
        if let Some(name) = path.strip_prefix("var/lib/dpkg/status.d/") {
            let is_one = !name.contains('/') && !name.ends_with(".md5sums");
            return is_one.then_some(Self::Dpkg);
        }
        if matches!(path, "lib/apk/db/installed" | "usr/lib/apk/db/installed") {
            return Some(Self::Apk);
        }
        if matches!(path, "etc/os-release" | "usr/lib/os-release") {
            return Some(Self::System);
        }
        if let Some(name) = path.strip_prefix(DOC) {
            let package = name.strip_suffix("/copyright");
            return package
                .filter(|p| !p.contains('/'))
                .map(|_| Self::Copyright);
        }
        if path.ends_with(".dist-info/METADATA")
            || path.ends_with(".egg-info/PKG-INFO")
            || path.ends_with(".egg-info")
        {
            return Some(Self::Python);
        }
        npm::is_manifest(path).then_some(Self::Npm)
    }

    /// How long such a file may be, in bytes.
    fn most(&self) -> u64 {
        match self {
            Self::Dpkg | Self::Apk => DATABASE_BYTES,
            _ => METADATA_BYTES,
        }
    }
}

/// Where Debian keeps what it says of each package (Debian Policy 12.5).
const DOC: &str = "usr/share/doc/";

/// Whether the path alone says that the file may tell something.
pub(super) fn is_telling(path: &str) -> bool {
    Kind::of(path).is_some()
}

/// What a symbolic link tells.
pub(super) fn link(path: &str, target: &str) -> Option<Found> {
    let name = path.strip_prefix(DOC)?;
    // Either the folder of the package is a link, or its copyright file.
    let (other, inside) = match name.strip_suffix("/copyright") {
        Some(_) => (
            target.strip_prefix("../")?.strip_suffix("/copyright")?,
            true,
        ),
        None => (target.trim_end_matches('/'), false),
    };
    let plain = |name: &str| !name.contains('/') && !name.is_empty() && name.len() < 200;
    let is_folder = inside || plain(name);
    (is_folder && plain(other) && other != "..").then(|| Found::SameLicenseAs(other.to_owned()))
}

/// What a file tells. Reads what it has to of `content`, into `buffer`.
///
/// # Errors
/// What the reader says; a database that is longer than any is.
pub(super) fn file(
    path: &str,
    size: u64,
    content: &mut impl Read,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<Found>> {
    buffer.clear();
    let Some(kind) = Kind::of(path) else {
        if (SHORTEST_PROGRAM..=PROGRAM_BYTES).contains(&size) {
            return program(content, buffer);
        }
        return Ok(None);
    };
    if size > kind.most() {
        return match kind {
            Kind::Dpkg | Kind::Apk => Err(io::Error::other(format!(
                "{path} is longer than {DATABASE_BYTES} bytes"
            ))),
            _ => Ok(None),
        };
    }
    content.take(kind.most()).read_to_end(buffer)?;
    let text = String::from_utf8_lossy(buffer);
    Ok(match kind {
        Kind::Dpkg => Some(Found::Packages(debian::packages(&text))),
        Kind::Apk => Some(Found::Packages(alpine::packages(&text))),
        Kind::Copyright => debian::license(&text).map(Found::License),
        Kind::Python => python::package(&text).map(|package| Found::Packages(vec![package])),
        Kind::Npm => npm::package(buffer).map(|package| Found::Packages(vec![package])),
        Kind::System => Some(Found::System(System::parse(&text))),
    })
}

/// What an executable tells, if it is one.
fn program(content: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Option<Found>> {
    content.take(elf::MAGIC.len() as u64).read_to_end(buffer)?;
    if *buffer != elf::MAGIC {
        return Ok(None);
    }
    content.take(PROGRAM_BYTES).read_to_end(buffer)?;
    let packages = elf::packages(buffer);
    Ok((!packages.is_empty()).then_some(Found::Packages(packages)))
}

/// The package whose license a path tells.
pub(super) fn documented(path: &str) -> Option<&str> {
    let name = path.strip_prefix(DOC)?;
    Some(name.strip_suffix("/copyright").unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_tell() {
        for path in [
            "var/lib/dpkg/status",
            "var/lib/dpkg/status.d/base",
            "usr/lib/apk/db/installed",
            "etc/os-release",
            "usr/share/doc/bash/copyright",
            "usr/lib/python3/dist-packages/a-1.dist-info/METADATA",
            "usr/lib/python3/dist-packages/a.egg-info",
            "app/node_modules/a/package.json",
        ] {
            assert!(is_telling(path), "{path}");
        }
        for path in [
            "var/lib/dpkg/status-old",
            "var/lib/dpkg/status.d/base.md5sums",
            "app/var/lib/dpkg/status",
            "usr/share/doc/bash/a/copyright",
            "app/package.json",
        ] {
            assert!(!is_telling(path), "{path}");
        }
    }

    #[test]
    fn links_to_licenses() {
        let other = |path, target| match link(path, target) {
            Some(Found::SameLicenseAs(name)) => Some(name),
            _ => None,
        };
        let gcc = Some("gcc-12-base".to_owned());
        assert_eq!(other("usr/share/doc/libgcc-s1", "gcc-12-base"), gcc);
        assert_eq!(
            other("usr/share/doc/x/copyright", "../gcc-12-base/copyright"),
            gcc
        );
        for (path, target) in [
            ("usr/share/doc/x", "../../etc"),
            ("usr/share/doc/x", ".."),
            ("usr/share/doc/x/changelog", "y"),
            ("usr/share/doc/x/copyright", "/etc/passwd"),
            ("usr/bin/x", "y"),
        ] {
            assert_eq!(other(path, target), None, "{path} {target}");
        }
    }

    #[test]
    fn a_database_that_is_too_long_is_an_error_and_other_files_tell_nothing() {
        let read = |path, size| file(path, size, &mut io::empty(), &mut Vec::new());
        assert!(read("var/lib/dpkg/status", DATABASE_BYTES + 1).is_err());
        assert!(
            read("etc/os-release", METADATA_BYTES + 1)
                .unwrap()
                .is_none()
        );
        assert!(read("usr/bin/x", PROGRAM_BYTES + 1).unwrap().is_none());
        assert!(read("usr/bin/x", SHORTEST_PROGRAM).unwrap().is_none());
    }
}
