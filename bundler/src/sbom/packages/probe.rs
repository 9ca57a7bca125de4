//! Which files tell of packages, by their names and first bytes.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use super::{
    alpine, copyright, debian, elf, npm,
    package::{Package, System},
    python,
};

/// Length of a database of packages, in bytes. That of a desktop with 5,000 packages has 6 MB.
const DATABASE_BYTES: u64 = 32 << 20;
/// Length of the longest file that tells something by its name, in bytes.
pub(super) const NAMED_BYTES: u64 = DATABASE_BYTES;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// A database of dpkg's, or a part of one.
    Dpkg,
    /// The copyright file of a Debian package.
    Copyright,
    /// A database of apk's.
    Apk,
    /// The metadata of a Python distribution.
    Python,
    /// The manifest of an npm package.
    Npm,
    /// `os-release`.
    System,
    /// Anything else, which only tells something if it is an executable.
    Other,
}

impl Kind {
    pub(super) fn of(path: &str) -> Self {
        match placed(path) {
            Some((kind, _)) => kind,
            // Systems that are images themselves have their databases elsewhere, and a link where they were.
            None if path.ends_with("/dpkg/status") => Self::Dpkg,
            None if path.ends_with("/apk/db/installed") => Self::Apk,
            None if python::is_metadata(path) => Self::Python,
            None if npm::is_manifest(path) => Self::Npm,
            None => Self::Other,
        }
    }

    /// How long such a file may be, in bytes.
    fn most(self) -> u64 {
        match self {
            Self::Dpkg | Self::Apk => DATABASE_BYTES,
            Self::Copyright | Self::Python | Self::Npm | Self::System => METADATA_BYTES,
            Self::Other => PROGRAM_BYTES,
        }
    }
}

/// Where Debian keeps what it says of each package (Debian Policy 12.5).
const DOC: &str = "usr/share/doc/";
/// The places of a root file system that everybody knows.
const PLACES: [(&str, Kind); 5] = [
    ("var/lib/dpkg/status", Kind::Dpkg),
    ("usr/lib/apk/db/installed", Kind::Apk),
    ("lib/apk/db/installed", Kind::Apk),
    ("etc/os-release", Kind::System),
    ("usr/lib/os-release", Kind::System),
];

/// What a file of a root file system is by its path, and the folder that is the root: empty, or with a `/` at its end. An
/// image or a tree may have several, one inside another.
fn placed(path: &str) -> Option<(Kind, &str)> {
    let is_root = |root: &&str| root.is_empty() || root.ends_with('/');
    let known = PLACES.iter().find_map(|(place, kind)| {
        let root = path.strip_suffix(place).filter(is_root)?;
        Some((*kind, root))
    });
    known.or_else(|| {
        let (folder, name) = path.rsplit_once('/')?;
        let parts = folder.strip_suffix("var/lib/dpkg/status.d");
        match parts.filter(is_root) {
            Some(root) => (!name.ends_with(".md5sums")).then_some((Kind::Dpkg, root)),
            None if name == "copyright" => Some((Kind::Copyright, documents(folder)?.0)),
            None => None,
        }
    })
}

/// The root before a folder with the documents of a Debian package, and the name of the package.
fn documents(folder: &str) -> Option<(&str, &str)> {
    let package = folder.rsplit('/').next()?;
    let root = folder.strip_suffix(package)?.strip_suffix(DOC)?;
    (root.is_empty() || root.ends_with('/')).then_some((root, package))
}

/// The root of the file system that a file belongs to, by its path: empty, or with a `/` at its end.
pub(super) fn root(path: &str) -> &str {
    placed(path).map_or("", |(_, root)| root)
}

/// The package whose license a path tells, with the root before it.
pub(super) fn documented(path: &str) -> Option<(&str, &str)> {
    documents(path.strip_suffix("/copyright").unwrap_or(path))
}

/// Whether the path alone says that the file may tell something.
pub(super) fn is_telling(path: &str) -> bool {
    Kind::of(path) != Kind::Other
}

/// Whether the path is that of a shared library, which needs no x bit to be linked from packages.
pub(super) fn is_library(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let end = name.rsplit_once('.').map(|(_, end)| end);
    matches!(end, Some("so" | "node")) || name.contains(".so.")
}

/// What a symbolic link tells.
pub(super) fn link(path: &str, target: &str) -> Option<Found> {
    // Either the folder of the package is a link, or its copyright file.
    let other = if Kind::of(path) == Kind::Copyright {
        target.strip_prefix("../")?.strip_suffix("/copyright")?
    } else {
        documents(path).map(|_| target.trim_end_matches('/'))?
    };
    let plain = !other.is_empty() && !other.contains('/') && other != ".." && other.len() < 200;
    plain.then(|| Found::SameLicenseAs(other.to_owned()))
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
    let kind = Kind::of(path);
    if size > kind.most() {
        return match kind {
            Kind::Dpkg | Kind::Apk => Err(io::Error::other(format!(
                "{path} is longer than {DATABASE_BYTES} bytes"
            ))),
            _ => Ok(None),
        };
    }
    if kind == Kind::Other {
        return if size < SHORTEST_PROGRAM {
            Ok(None)
        } else {
            program(content, buffer)
        };
    }
    content.take(kind.most()).read_to_end(buffer)?;
    let text = String::from_utf8_lossy(buffer);
    Ok(match kind {
        Kind::Dpkg => Some(Found::Packages(debian::packages(&text))),
        Kind::Apk => Some(Found::Packages(alpine::packages(&text))),
        Kind::Copyright => copyright::license(&text).map(Found::License),
        Kind::Python => python::package(&text).map(|package| Found::Packages(vec![package])),
        Kind::Npm => npm::package(buffer).map(|package| Found::Packages(vec![package])),
        Kind::System => Some(Found::System(System::parse(&text))),
        Kind::Other => None,
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
            "usr/lib/python3/dist-packages/a-1-py3.11.egg/EGG-INFO/PKG-INFO",
            "app/node_modules/a/package.json",
            "app/var/lib/dpkg/status",
            "chroot/usr/share/doc/bash/copyright",
            "usr/lib/sysimage/dpkg/status",
        ] {
            assert!(is_telling(path), "{path}");
        }
        for path in [
            "var/lib/dpkg/status-old",
            "var/lib/dpkg/status.d/base.md5sums",
            "var/lib/dpkg/status.d/a/b",
            "myvar/lib/dpkg/status.d/a",
            "my-dpkg/status",
            "usr/share/doc/bash/a/copyright",
            "usr/share/doc/copyright",
            "app/package.json",
        ] {
            assert!(!is_telling(path), "{path}");
        }
    }

    #[test]
    fn roots() {
        for (path, expected) in [
            ("var/lib/dpkg/status", ""),
            ("a/b/var/lib/dpkg/status", "a/b/"),
            ("a/var/lib/dpkg/status.d/x", "a/"),
            (
                "var/lib/machines/m/var/lib/dpkg/status",
                "var/lib/machines/m/",
            ),
            ("a/usr/lib/apk/db/installed", "a/"),
            ("a/lib/apk/db/installed", "a/"),
            ("a/etc/os-release", "a/"),
            ("usr/lib/sysimage/dpkg/status", ""),
            ("a/x/package.json", ""),
        ] {
            assert_eq!(root(path), expected, "{path}");
        }
        for (path, expected) in [
            ("usr/share/doc/x/copyright", Some(("", "x"))),
            ("a/usr/share/doc/x", Some(("a/", "x"))),
            ("ausr/share/doc/x", None),
        ] {
            assert_eq!(documented(path), expected, "{path}");
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
