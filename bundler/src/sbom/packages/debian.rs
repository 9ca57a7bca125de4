//! dpkg: the database of installed packages, and the copyright files that say their licenses.

use std::collections::BTreeSet;

use super::package::{Ecosystem, Package};
use crate::license::names;

/// Licenses of one package that are told apart. A package with more is a collection, whose license nobody
/// wants to read as one expression.
const LICENSES: usize = 60;

/// The packages of `var/lib/dpkg/status` that have files in place, whether or not their installation came to its end (dpkg(1),
/// "Package states"), or of a file of `status.d`, where all have and nothing says so.
pub(super) fn packages(text: &str) -> Vec<Package> {
    paragraphs(text)
        .filter_map(|paragraph| {
            let field = |name| paragraph.value(name);
            let state = field("Status").and_then(|status| status.split_whitespace().nth(2));
            let gone = matches!(state, Some("not-installed" | "config-files"));
            let version = field("Version").filter(|_| !gone)?;
            let mut package = Package::new(Ecosystem::Debian, field("Package")?, version)?;
            let arch = field("Architecture").unwrap_or_default();
            if arch.len() < 40 {
                arch.clone_into(&mut package.arch);
            }
            Some(package)
        })
        .collect()
}

/// The license of a package by its copyright file, if that is machine-readable (Debian's copyright format
/// 1.0, DEP-5): all licenses of its files together. Files of the packaging itself do not count, no program has them.
pub(super) fn license(text: &str) -> Option<String> {
    let mut paragraphs = paragraphs(text);
    let header = paragraphs.next()?;
    if !header.value("Format")?.contains("copyright-format/1.0") {
        return None;
    }
    let mut licenses = BTreeSet::new();
    for paragraph in std::iter::once(header).chain(paragraphs) {
        let packaging = paragraph
            .value("Files")
            .is_some_and(|files| files.split_whitespace().all(|f| f.starts_with("debian/")));
        let is_text = paragraph.value("Files").is_none() && paragraph.value("Format").is_none();
        let Some(name) = paragraph.value("License").filter(|name| !name.is_empty()) else {
            continue;
        };
        if packaging || is_text {
            continue;
        }
        licenses.insert(expression(name)?);
        if licenses.len() > LICENSES {
            return None;
        }
    }
    let several = licenses.len() > 1;
    let parts: Vec<String> = licenses
        .into_iter()
        .map(|license| {
            if several && license.contains(" OR ") {
                format!("({license})")
            } else {
                license
            }
        })
        .collect();
    (!parts.is_empty()).then(|| parts.join(" AND "))
}

/// A license of DEP-5 as an SPDX expression. What SPDX has no name for becomes a reference of our own.
fn expression(name: &str) -> Option<String> {
    // A comma binds weaker than any operator: `A or B, and C`.
    let parts: Option<Vec<String>> = name
        .split(", and ")
        .map(|part| {
            // Exceptions have no names that SPDX knows.
            let part = part.trim().trim_end_matches(',');
            if part.contains(" with ") || part.contains(',') {
                return reference(part);
            }
            names::normalise_or(part, reference)
        })
        .collect();
    let parts = parts?;
    Some(match parts.as_slice() {
        [one] => one.clone(),
        several => several
            .iter()
            .map(|part| format!("({part})"))
            .collect::<Vec<_>>()
            .join(" AND "),
    })
}

/// `LicenseRef-…` with the letters that such a name may have (SPDX 2.3, annex D.1).
fn reference(name: &str) -> Option<String> {
    let plain: String = name
        .replace('+', "-or-later")
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .collect();
    let plain = plain.trim_matches('-');
    (!plain.is_empty() && plain.len() <= 100).then(|| format!("LicenseRef-debian-{plain}"))
}

/// A paragraph of a control file.
struct Paragraph<'t>(Vec<(&'t str, &'t str)>);

impl<'t> Paragraph<'t> {
    /// The first line of a field's value. Names of fields have no case (deb-control(5)).
    fn value(&self, name: &str) -> Option<&'t str> {
        self.0
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }
}

/// The paragraphs of a control file. Of values with several lines the first counts, and if that is empty
/// the second.
fn paragraphs(text: &str) -> impl Iterator<Item = Paragraph<'_>> {
    let mut lines = text.lines().peekable();
    std::iter::from_fn(move || {
        while lines.next_if(|line| line.trim().is_empty()).is_some() {}
        let mut fields = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.trim().is_empty()) {
            if line.starts_with([' ', '\t', '#']) {
                match fields.last_mut() {
                    Some((_, value @ "")) if !line.starts_with('#') => *value = line.trim(),
                    _ => {}
                }
            } else if let Some((key, value)) = line.split_once(':') {
                fields.push((key, value.trim()));
            }
        }
        (!fields.is_empty()).then_some(Paragraph(fields))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_with_files_only() {
        let status = "Package: base-files\nStatus: install ok installed\nArchitecture: amd64\nVersion: 12.4\n\
            Description: a\n Package: not this\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
            \nPackage: half\nStatus: install ok unpacked\nVersion: 1\n\nPackage: never\nStatus: unknown ok not-installed\nVersion: 1\n\n\
            Package: waits\nStatus: install ok triggers-awaited\nVersion: 1\n\npackage: held\nstatus: hold ok installed\nversion: 2:3\n";
        let found: Vec<_> = packages(status)
            .into_iter()
            .map(|p| (p.name, p.version, p.arch))
            .collect();
        let text = str::to_owned;
        assert_eq!(
            found,
            [
                (text("base-files"), text("12.4"), text("amd64")),
                (text("half"), text("1"), text("")),
                (text("waits"), text("1"), text("")),
                (text("held"), text("2:3"), text(""))
            ]
        );
        let distroless = "Package: tzdata\nVersion: 2024a\nArchitecture: all\n";
        assert_eq!(packages(distroless).len(), 1);
        assert!(packages("nonsense\n\n:\n\nPackage:\nVersion:\n").is_empty());
    }

    #[test]
    fn licenses_of_copyright_files() {
        let format = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n";
        let license_of = |rest: &str| license(&format!("{format}{rest}"));
        assert_eq!(
            license_of(
                "\nFiles: *\nCopyright: x\nLicense: GPL-2+\n text\n\nFiles: debian/*\nLicense: GPL-3\n\n\
                 Files: a\n b\nLicense: Expat or Apache-2.0\n\nLicense: GPL-2+\n The text\n"
            )
            .as_deref(),
            Some("GPL-2.0-or-later AND (MIT OR Apache-2.0)")
        );
        assert_eq!(
            license_of("License: public-domain\n").as_deref(),
            Some("LicenseRef-debian-public-domain")
        );
        assert_eq!(
            license_of("\nFiles:\n *\nLicense: GPL-2+ with OpenSSL exception\n").as_deref(),
            Some("LicenseRef-debian-GPL-2-or-later-with-OpenSSL-exception")
        );
        assert_eq!(
            license_of("\nFiles: *\nLicense: GPL-1+ or Artistic-2.0, and BSD-3-clause\n")
                .as_deref(),
            Some("(GPL-1.0-or-later OR Artistic-2.0) AND (BSD-3-Clause)")
        );
        assert_eq!(license("This is free software.\nLicense: MIT\n"), None);
        assert_eq!(license(""), None);
        for (n, most) in [(LICENSES, true), (LICENSES + 1, false)] {
            let files: Vec<_> = (0..n)
                .map(|i| format!("\nFiles: *\nLicense: own-{i}\n"))
                .collect();
            let many = files.concat();
            assert_eq!(license_of(&many).is_some(), most);
        }
    }

    proptest::proptest! {
        #[test]
        fn licenses_are_expressions(names in proptest::collection::vec("[A-Za-z0-9+., ()-]{1,20}", 1..4)) {
            let files = names.iter().map(|name| format!("\nFiles: *\nLicense: {name}\n"));
            let text = format!("Format: copyright-format/1.0\n{}", files.collect::<String>());
            if let Some(found) = license(&text) {
                proptest::prop_assert!(crate::license::expression::parse(&found).is_ok(), "{}", found);
            }
        }
    }
}
