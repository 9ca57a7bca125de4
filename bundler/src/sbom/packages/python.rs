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

/// The distribution of `METADATA` or `PKG-INFO` (PyPI, "Core metadata specifications"): headers as in a mail,
/// then an empty line and a description.
pub(super) fn package(text: &str) -> Option<Package> {
    let headers = || {
        let lines = text.lines().take_while(|line| !line.trim().is_empty());
        lines.filter_map(|line| line.split_once(": "))
    };
    let field = |name: &str| {
        let found = headers().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    };
    let mut package = Package::new(Ecosystem::Python, field("Name")?, field("Version")?)?;
    let classified = || {
        let all = headers().filter(|(key, _)| key.eq_ignore_ascii_case("Classifier"));
        let licenses: Vec<&str> = all
            .filter_map(|(_, value)| value.trim().strip_prefix("License :: OSI Approved :: "))
            .collect();
        let known = |name: &&str| {
            CLASSIFIERS
                .iter()
                .find(|(classifier, _)| classifier == name)
        };
        match licenses.as_slice() {
            // With several it is not said whether all or any of them count.
            [one] => known(one).map(|(_, id)| (*id).to_owned()),
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
        assert_eq!(license(""), None);
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
