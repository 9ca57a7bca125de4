//! Python: the metadata of installed distributions.

use super::package::{Ecosystem, Package};
use crate::license::names;

/// Trove classifiers that mean one license each (PyPI, "Classifiers"). Others, such as `BSD License`, do not.
const CLASSIFIERS: &[(&str, &str)] = &[
    ("Apache Software License", "Apache-2.0"),
    ("Boost Software License 1.0 (BSL-1.0)", "BSL-1.0"),
    ("GNU Affero General Public License v3", "AGPL-3.0-only"),
    (
        "GNU Affero General Public License v3 or later (AGPLv3+)",
        "AGPL-3.0-or-later",
    ),
    ("GNU General Public License v2 (GPLv2)", "GPL-2.0-only"),
    (
        "GNU General Public License v2 or later (GPLv2+)",
        "GPL-2.0-or-later",
    ),
    ("GNU General Public License v3 (GPLv3)", "GPL-3.0-only"),
    (
        "GNU General Public License v3 or later (GPLv3+)",
        "GPL-3.0-or-later",
    ),
    (
        "GNU Lesser General Public License v2 or later (LGPLv2+)",
        "LGPL-2.0-or-later",
    ),
    (
        "GNU Lesser General Public License v3 (LGPLv3)",
        "LGPL-3.0-only",
    ),
    (
        "GNU Lesser General Public License v3 or later (LGPLv3+)",
        "LGPL-3.0-or-later",
    ),
    ("ISC License (ISCL)", "ISC"),
    ("MIT License", "MIT"),
    ("MIT No Attribution License (MIT-0)", "MIT-0"),
    ("Mozilla Public License 1.1 (MPL 1.1)", "MPL-1.1"),
    ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
    ("Python Software Foundation License", "PSF-2.0"),
    ("The Unlicense (Unlicense)", "Unlicense"),
    ("zlib/libpng License", "Zlib"),
];

/// Whether this is the metadata of an installed distribution: of a wheel, or of an egg in one of its three forms.
pub(super) fn is_metadata(path: &str) -> bool {
    let ends = [
        ".dist-info/METADATA",
        ".egg-info/PKG-INFO",
        ".egg-info",
        ".egg/EGG-INFO/PKG-INFO",
    ];
    ends.iter().any(|end| path.ends_with(end))
}

/// The name that all spellings of a name have in common (Python Packaging User Guide, "Name normalization").
pub(super) fn normal(name: &str) -> String {
    let words = name.split(['-', '_', '.']).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

/// The headers of a mail (RFC 5322, section 2.2): a line that begins with a space goes on with the one before it, and
/// the first empty one is the last.
fn headers(text: &str) -> Vec<(&str, String)> {
    let mut headers: Vec<(&str, String)> = Vec::new();
    for line in text.lines().take_while(|line| !line.is_empty()) {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = headers.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((key, value)) = line.split_once(':') {
            headers.push((key, value.to_owned()));
        }
    }
    headers
}

/// The distribution of `METADATA` or `PKG-INFO` (PyPI, "Core metadata specifications"): headers as in a mail,
/// then an empty line and a description.
pub(super) fn package(text: &str) -> Option<Package> {
    let headers = headers(text);
    let values = |name: &'static str| {
        let all = headers.iter();
        let all = all.filter(move |(key, _)| key.eq_ignore_ascii_case(name));
        all.map(|(_, value)| value.trim())
    };
    let field = |name| values(name).next();
    let mut package = Package::new(Ecosystem::Python, field("Name")?, field("Version")?)?;
    let classified = || {
        // `OSI Approved` alone says nothing that another one does not say.
        let licenses: Vec<&str> = values("Classifier")
            .filter_map(|value| value.strip_prefix("License :: "))
            .filter(|license| *license != "OSI Approved")
            .collect();
        match licenses.as_slice() {
            [one] => {
                let name = one.strip_prefix("OSI Approved :: ")?;
                let known = CLASSIFIERS.iter().find(|(known, _)| *known == name);
                known.map(|(_, id)| (*id).to_owned())
            }
            // With several it is not said whether all or any of them count.
            _ => None,
        }
    };
    package.license = field("License-Expression")
        .and_then(names::normalise)
        .or_else(|| field("License").and_then(names::normalise))
        .or_else(classified);
    Some(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_word_on_the_license_counts() {
        let license = |headers: &str| {
            let text = format!(
                "Metadata-Version: 2.1\nName: Foo.Bar\nVersion: 1.0\n{headers}\n\nLicense: GPL-3\n"
            );
            let package = package(&text).unwrap();
            assert_eq!(
                (package.name.as_str(), package.version.as_str()),
                ("Foo.Bar", "1.0")
            );
            package.license
        };
        let mit = Some("MIT".to_owned());
        assert_eq!(license("License-Expression: MIT\nLicense: BSD"), mit);
        assert_eq!(license("License: MIT License"), mit);
        assert_eq!(
            license("License: see below\nClassifier: License :: OSI Approved :: MIT License"),
            mit
        );
        assert_eq!(
            license("Classifier: License :: OSI Approved :: BSD License"),
            None
        );
        assert_eq!(
            license(
                "Classifier: License :: OSI Approved :: MIT License\nClassifier: License :: OSI Approved :: Apache Software License"
            ),
            None
        );
        assert_eq!(
            license(
                "Classifier: License :: OSI Approved\nClassifier: License :: OSI Approved :: MIT License"
            ),
            mit
        );
        assert_eq!(
            license(
                "Classifier: License :: OSI Approved :: MIT License\nClassifier: License :: Other/Proprietary License"
            ),
            None
        );
        assert_eq!(license(""), None);
    }

    #[test]
    fn a_value_may_go_on_in_the_next_line() {
        let text = "Metadata-Version:2.1\r\nName:\r\n foo\r\nVersion:1.0\r\nLicense: MIT\r\n\tOR GPL-3.0\r\n        \r\n";
        let license = |rest: &str| package(&format!("{text}{rest}")).unwrap().license;
        assert_eq!(license("").as_deref(), Some("MIT OR GPL-3.0-only"));
        // What looks like an empty line goes on as well.
        let expression = license("License-Expression:\r\n  Apache-2.0\r\n\r\nLicense: ISC\r\n");
        assert_eq!(expression.as_deref(), Some("Apache-2.0"));
        // A whole text is no name, whatever its title is.
        let text = "Name: a\nVersion: 1\nLicense: MIT License\n        \n        Copyright (c) X. All rights reserved.\n";
        assert_eq!(package(text).unwrap().license, None);
    }

    #[test]
    fn all_spellings_of_a_name_are_one() {
        for name in [
            "Friendly-Bard",
            "friendly.bard",
            "friendly_bard",
            "FrIeNdLy-._.-bArD",
        ] {
            assert_eq!(normal(name), "friendly-bard");
        }
    }

    #[test]
    fn what_has_no_name_or_version_is_none() {
        for text in [
            "",
            "Name: a\n",
            "Version: 1\n",
            "\nName: a\nVersion: 1\n",
            "Name: a b\nVersion: 1\n",
        ] {
            assert!(package(text).is_none(), "{text:?}");
        }
    }
}
