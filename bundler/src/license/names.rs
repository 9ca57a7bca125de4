//! License names as packages write them, turned into SPDX expressions where there is only one reading.
//!
//! A bare `BSD` or `GPL` stays unknown: it could be one of several, and a guess would pass a check that it
//! should not.

use spdx::identifiers::LICENSES;

use super::expression::is_expression;

/// Length of an expression that is looked at, in bytes.
const MOST: usize = 2000;

/// Ways to write a license that occur often and have one meaning. Lower case, no comma, single spaces.
const ALIASES: &[(&str, &str)] = &[
    ("apache 2", "Apache-2.0"),
    ("apache 2.0", "Apache-2.0"),
    ("apache license 2.0", "Apache-2.0"),
    ("apache license version 2.0", "Apache-2.0"),
    ("apache software license 2.0", "Apache-2.0"),
    ("apache-2", "Apache-2.0"),
    ("apache2", "Apache-2.0"),
    ("apache2.0", "Apache-2.0"),
    ("asl 2.0", "Apache-2.0"),
    ("bsd 2-clause", "BSD-2-Clause"),
    ("bsd 2-clause license", "BSD-2-Clause"),
    ("simplified bsd", "BSD-2-Clause"),
    ("simplified bsd license", "BSD-2-Clause"),
    ("3-clause bsd", "BSD-3-Clause"),
    ("3-clause bsd license", "BSD-3-Clause"),
    ("bsd 3-clause", "BSD-3-Clause"),
    ("bsd 3-clause license", "BSD-3-Clause"),
    ("modified bsd license", "BSD-3-Clause"),
    ("new bsd", "BSD-3-Clause"),
    ("new bsd license", "BSD-3-Clause"),
    ("boost software license 1.0", "BSL-1.0"),
    ("cc0", "CC0-1.0"),
    ("expat", "MIT"),
    ("expat license", "MIT"),
    ("isc license", "ISC"),
    ("mit license", "MIT"),
    ("the mit license", "MIT"),
    ("the mit license (mit)", "MIT"),
    ("mozilla public license 2.0", "MPL-2.0"),
    ("mozilla public license 2.0 (mpl 2.0)", "MPL-2.0"),
    ("mpl 2.0", "MPL-2.0"),
    ("mpl2", "MPL-2.0"),
    ("perl", "(Artistic-1.0-Perl OR GPL-1.0-or-later)"),
    ("psf license", "PSF-2.0"),
    ("python software foundation license", "PSF-2.0"),
    ("psf", "PSF-2.0"),
    ("the unlicense (unlicense)", "Unlicense"),
    ("zlib/libpng license", "Zlib"),
];

/// Identifiers that the SPDX license list has given up, with what it says to write instead. Lower case. GNU's
/// licenses without exceptions are not here.
const GIVEN_UP: &[(&str, &str)] = &[
    ("bsd-2-clause-freebsd", "BSD-2-Clause-Views"),
    ("bsd-2-clause-netbsd", "BSD-2-Clause"),
    ("bzip2-1.0.5", "bzip2-1.0.6"),
    ("ecos-2.0", "GPL-2.0-or-later WITH eCos-exception-2.0"),
    (
        "gpl-2.0-with-autoconf-exception",
        "GPL-2.0-only WITH Autoconf-exception-2.0",
    ),
    (
        "gpl-2.0-with-bison-exception",
        "GPL-2.0-only WITH Bison-exception-2.2",
    ),
    (
        "gpl-2.0-with-classpath-exception",
        "GPL-2.0-only WITH Classpath-exception-2.0",
    ),
    (
        "gpl-2.0-with-font-exception",
        "GPL-2.0-only WITH Font-exception-2.0",
    ),
    (
        "gpl-2.0-with-gcc-exception",
        "GPL-2.0-only WITH GCC-exception-2.0",
    ),
    (
        "gpl-3.0-with-autoconf-exception",
        "GPL-3.0-only WITH Autoconf-exception-3.0",
    ),
    (
        "gpl-3.0-with-gcc-exception",
        "GPL-3.0-only WITH GCC-exception-3.1",
    ),
    ("standardml-nj", "SMLNJ"),
    (
        "wxwindows",
        "LGPL-2.0-or-later WITH WxWindows-exception-3.1",
    ),
];

/// The SPDX expression that `text` means, if it is one or there is only one reading.
pub fn normalise(text: &str) -> Option<String> {
    normalise_or(text, |_| None)
}

/// The same, where a single name that is not known becomes what `otherwise` makes of it.
pub(crate) fn normalise_or(
    text: &str,
    otherwise: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || text.len() > MOST {
        return None;
    }
    if is_expression(text) && !has_lower_case_operator(text) {
        return Some(text.to_owned());
    }
    if let Some(whole) = single(text) {
        return Some(whole);
    }
    let mut words = Vec::new();
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    for word in spaced.split_whitespace() {
        words.push(match word.to_ascii_uppercase().as_str() {
            operator @ ("AND" | "OR" | "WITH") => operator.to_owned(),
            "(" | ")" => word.to_owned(),
            // What follows WITH is no license.
            _ if words.last().is_some_and(|last| last == "WITH") => word.to_owned(),
            _ => single(word).or_else(|| otherwise(word))?,
        });
    }
    let normal = words.join(" ").replace("( ", "(").replace(" )", ")");
    is_expression(&normal).then_some(normal)
}

fn has_lower_case_operator(text: &str) -> bool {
    text.split_whitespace()
        .any(|word| matches!(word, "and" | "or" | "with"))
}

/// The identifier of a single license, however it is spelt.
pub(crate) fn single(name: &str) -> Option<String> {
    let plain = name.to_ascii_lowercase().replace(',', "");
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut known = ALIASES.iter().chain(GIVEN_UP);
    if let Some((_, id)) = known.find(|(alias, _)| *alias == plain) {
        return Some((*id).to_owned());
    }
    if let Some(id) = gnu(&plain) {
        return Some(id);
    }
    let is_one = !name.contains(|c: char| c.is_whitespace() || matches!(c, '(' | ')'));
    if is_one && name.starts_with("LicenseRef-") && is_expression(name) {
        return Some(name.to_owned());
    }
    let (base, later) = match name.strip_suffix('+') {
        Some(base) => (base, "+"),
        None => (name, ""),
    };
    let known = LICENSES
        .iter()
        .find(|known| known.name.eq_ignore_ascii_case(base))?;
    let id = format!("{}{later}", known.name);
    is_expression(&id).then_some(id)
}

/// GNU's licenses in all their spellings: `GPL2`, `GPL-2+`, `GPLv3+`, `LGPL-2.1`, `gpl-3.0-or-later`. One
/// without `+` is that version only, as the deprecated SPDX identifiers were (SPDX license list 3.0).
fn gnu(name: &str) -> Option<String> {
    let (family, rest) = ["agpl", "lgpl", "gpl", "gfdl"]
        .iter()
        .find_map(|family| Some((*family, name.strip_prefix(family)?)))?;
    let rest = rest.trim_start_matches(['-', ' ', 'v']);
    let (rest, later) = [
        ("+", "or-later"),
        ("-or-later", "or-later"),
        (" or later", "or-later"),
        ("-only", "only"),
        ("", "only"),
    ]
    .iter()
    .find_map(|(end, later)| Some((rest.strip_suffix(end)?, later)))?;
    let version = match rest.split_once('.') {
        Some((major, minor)) => (major, minor),
        None => (rest, "0"),
    };
    let id = format!(
        "{}-{}.{}-{later}",
        family.to_ascii_uppercase(),
        version.0,
        version.1
    );
    spdx::license_id(&id).map(|_| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_many_spellings() {
        for (text, normal) in [
            ("MIT", "MIT"),
            ("mit", "MIT"),
            ("MIT License", "MIT"),
            ("Expat", "MIT"),
            ("Apache License, Version 2.0", "Apache-2.0"),
            ("Apache 2.0", "Apache-2.0"),
            ("GPL-2", "GPL-2.0-only"),
            ("GPL-2.0", "GPL-2.0-only"),
            ("GPL-2+", "GPL-2.0-or-later"),
            ("GPL-2.0+", "GPL-2.0-or-later"),
            ("GPLv3+", "GPL-3.0-or-later"),
            ("GPLv3 or later", "GPL-3.0-or-later"),
            ("LGPL-2.1-or-later", "LGPL-2.1-or-later"),
            ("lgpl2.1", "LGPL-2.1-only"),
            ("GFDL-1.3+", "GFDL-1.3-or-later"),
            ("(MIT OR Apache-2.0)", "(MIT OR Apache-2.0)"),
            ("MIT or Apache2", "MIT OR Apache-2.0"),
            ("MPL-1.1+", "MPL-1.1+"),
            (
                "GPL-2.0+ WITH Classpath-exception-2.0 and ( bsd-3-clause or zlib )",
                "GPL-2.0-or-later WITH Classpath-exception-2.0 AND (BSD-3-Clause OR Zlib)",
            ),
            ("LicenseRef-Acme AND mit", "LicenseRef-Acme AND MIT"),
            (
                "MIT or GPL-2.0-with-classpath-exception",
                "MIT OR GPL-2.0-only WITH Classpath-exception-2.0",
            ),
            ("DocumentRef-a:LicenseRef-b", "DocumentRef-a:LicenseRef-b"),
        ] {
            assert_eq!(normalise(text).as_deref(), Some(normal), "{text}");
        }
    }

    #[test]
    fn what_was_given_up_is_an_expression_now() {
        for (old, new) in GIVEN_UP {
            assert!(is_expression(new), "{new}");
            let known = LICENSES.iter().find(|l| l.name.eq_ignore_ascii_case(old));
            assert!(
                known.is_some_and(|known| !is_expression(known.name)),
                "{old}"
            );
        }
    }

    #[test]
    fn what_has_several_readings_or_none_is_unknown() {
        for text in [
            "",
            " ",
            "BSD",
            "GPL",
            "LGPL",
            "GPL-9",
            "Dual License",
            "SEE LICENSE IN LICENSE.txt",
            "UNLICENSED",
            "UNKNOWN",
            "NOASSERTION",
            "LicenseRef-",
            "MIT AND LicenseRef-",
            "MIT OR",
            "(MIT",
            "MIT MIT",
            "GPL-2 WITH mere-hope",
            "AND",
            "gplé",
            &"(".repeat(5000),
            &"(".repeat(1000),
        ] {
            assert_eq!(normalise(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_out_is_an_expression(text in "[A-Za-z0-9+.() -]{0,40}") {
            if let Some(normal) = normalise(&text) {
                proptest::prop_assert!(is_expression(&normal));
                proptest::prop_assert_eq!(normalise(&normal), Some(normal.clone()));
            }
        }
    }
}
