//! Copyright files of Debian, which say the licenses of a package (DEP-5).

use std::collections::BTreeSet;

use spdx::identifiers::{EXCEPTIONS, LICENSES};

use super::debian::{Paragraph, lines, paragraphs};
use crate::license::{OF_DEBIAN, UNKNOWN_PART, expression, names};

/// Licenses of one package that are told apart. A package with more is a collection, whose license nobody
/// wants to read as one expression.
const MOST_LICENSES: usize = 60;
/// Length of the names of one field `License`, in bytes.
const FIELD_BYTES: usize = 2000;
/// Length of the name of one license that SPDX does not have, in bytes.
const NAME_BYTES: usize = 100;
/// What stands in names of GNU's licenses, however they are varied or misspelt.
const GNU: [&str; 5] = ["gpl", "lpgl", "fdl", "gnu", "affero"];
/// What says that there is a license, and not which.
const NO_NAMES: [&str; 8] = [
    "none",
    "noassertion",
    "other",
    "unknown",
    "later",
    "newer",
    "above",
    "version",
];

/// The license of a package by its copyright file, if that is machine-readable (Debian's copyright format
/// 1.0, DEP-5): all licenses of its files together. Files of the packaging itself do not count, no program has them. If some of it has
/// no reading, [`UNKNOWN_PART`] stands for that.
pub(super) fn license(text: &str) -> Option<String> {
    let paragraphs: Vec<_> = paragraphs(text).collect();
    let format = paragraphs.first()?.value("Format")?;
    if !format.contains("copyright-format/1.0") {
        return None;
    }
    let texts = texts(&paragraphs);
    let of_program = paragraphs.iter().filter(|p| p.is_of_program());
    let names: BTreeSet<Option<&str>> = of_program.flat_map(Paragraph::licenses).collect();
    let (mut licenses, mut partly) = (BTreeSet::new(), names.contains(&None));
    let names = names.into_iter().flatten();
    for part in names.flat_map(|name| parts(name, &texts)) {
        partly |= part.is_none();
        licenses.extend(part);
        if licenses.len() > MOST_LICENSES {
            return None;
        }
    }
    if licenses.is_empty() {
        return None;
    }
    let unknown = partly.then(|| UNKNOWN_PART.to_owned());
    Some(all_of(licenses.into_iter().chain(unknown).collect()))
}

/// The names, in lower case, that are given with a text: in the same field, or in a paragraph of its own (DEP-5, "License").
type Texts = BTreeSet<String>;

fn texts(paragraphs: &[Paragraph<'_>]) -> Texts {
    let mut names = Texts::new();
    for paragraph in paragraphs {
        let mut lines = paragraph.lines("License");
        if let (Some(name), Some(_)) = (lines.next(), lines.next()) {
            let name = name.to_ascii_lowercase().replace(',', " , ");
            let words = words(&name);
            let names_in = words.split(|word| matches!(word.as_str(), "," | "and" | "or"));
            names.extend(names_in.map(|words| words.join(" ")));
        }
    }
    names
}

/// A license, or several with operators between them, as an SPDX expression; nothing where it has no reading.
type Part = Option<String>;

/// The licenses of the first line of `License`, all of which hold: `and` before `or`, unless a comma stands before it
/// (DEP-5, "Syntax"). A comma alone is not in that syntax, and taken for the stricter of the two.
fn parts(name: &str, texts: &Texts) -> Vec<Part> {
    if name.is_empty() || name.len() > FIELD_BYTES {
        return vec![None];
    }
    if let Some(one) = names::single(name) {
        return vec![Some(one)];
    }
    if name.contains(['(', ')']) {
        return in_brackets(name, texts);
    }
    let mut any = vec![Vec::new()];
    for segment in name.split(',') {
        let words = words(segment);
        let words = match words.split_first() {
            Some((first, rest)) if is("or", first) => {
                any.push(Vec::new());
                rest
            }
            Some((first, rest)) if is("and", first) => rest,
            _ => &words,
        };
        if let Some(all) = any.last_mut() {
            all.extend(segment_parts(words, texts));
        }
    }
    any_of(any)
}

/// The same of what has brackets, which DEP-5 does not know: as an expression, or what stands outside of them by itself.
fn in_brackets(name: &str, texts: &Texts) -> Vec<Part> {
    // SPDX has no commas.
    let read = |text: &str| names::normalise(text).filter(|_| !text.contains(','));
    if let Some(whole) = read(name) {
        return vec![Some(whole)];
    }
    let spaced = name.replace('(', " ( ").replace(')', " ) ");
    let mut depth = 0_usize;
    let mut all = vec![Vec::new()];
    for word in spaced.split_whitespace() {
        match word {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            word if depth == 0 && is("or", word) => return vec![None],
            word if depth == 0 && is("and", word) => {
                all.push(Vec::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = all.last_mut() {
            last.push(word);
        }
    }
    let parts = all.into_iter().flat_map(|words| {
        let text = words.join(" ");
        // All hold, with or without a comma before the next one.
        let text = text.trim_end_matches(',').to_owned();
        if text.contains(['(', ')', ',']) {
            vec![read(&text)]
        } else {
            segment_parts(&self::words(&text), texts)
        }
    });
    parts.collect()
}

/// The words of a text. Where later versions are permitted in words, it is the sign for that which stands behind the license.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut rest = text.split_whitespace().peekable();
    while let Some(word) = rest.next() {
        let mut ahead = rest.clone();
        let any = ahead.next_if(|word| is("any", word)).is_some();
        let later = ["later", "newer", "above"];
        let is_later = |word: &&str| later.iter().any(|later| is(later, word));
        match words.last_mut() {
            Some(license) if is("or", word) && ahead.next_if(is_later).is_some() => {
                if !license.ends_with('+') {
                    license.push('+');
                }
                ahead.next_if(|word| is("version", word) || any && is("versions", word));
                rest = ahead;
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// The same of what has no comma.
fn segment_parts(words: &[String], texts: &Texts) -> Vec<Part> {
    let any = words.split(|word| is("or", word));
    let all = |words: &[String]| {
        let all = words.split(|word| is("and", word));
        all.map(|words| term(words, texts)).collect()
    };
    any_of(any.map(all).collect())
}

fn is(operator: &str, word: &str) -> bool {
    word.eq_ignore_ascii_case(operator)
}

/// Alternatives as parts that all hold: if there are several, that is one.
fn any_of(alternatives: Vec<Vec<Part>>) -> Vec<Part> {
    if alternatives.len() == 1 {
        return alternatives.into_iter().flatten().collect();
    }
    let known = alternatives.into_iter().map(|all| {
        let all: Option<Vec<String>> = all.into_iter().collect();
        all.map(all_of).filter(|all| !all.is_empty())
    });
    let known: Option<Vec<String>> = known.collect();
    vec![known.map(|known| known.join(" OR "))]
}

fn all_of(licenses: Vec<String>) -> String {
    let several = licenses.len() > 1;
    let licenses = licenses.into_iter().map(|license| {
        if several && license.contains(" OR ") && !has_brackets(&license) {
            format!("({license})")
        } else {
            license
        }
    });
    licenses.collect::<Vec<_>>().join(" AND ")
}

/// Whether there is one pair of brackets, around all of it.
fn has_brackets(license: &str) -> bool {
    let inner = license.strip_prefix('(').and_then(|l| l.strip_suffix(')'));
    inner.is_some_and(|inner| !inner.contains(['(', ')']))
}

/// A license, with or without an exception.
fn term(words: &[String], texts: &Texts) -> Part {
    let mut sides = words.splitn(2, |word| is("with", word));
    let (words, exception) = (sides.next()?, sides.next());
    let name = words.join(" ");
    let license = names::single(&name).or_else(|| standard(&name));
    match exception {
        None => license.or_else(|| reference(&name, texts)),
        Some(exception) => with(license?, exception),
    }
}

/// A license with an exception. One that SPDX does not know is left out: exceptions only permit more, and whoever has the
/// program may take it without them (DEP-5, "Short name" and "Syntax").
fn with(license: String, exception: &[String]) -> Part {
    let keywords = match exception.split_last()? {
        (last, keywords) if is("exception", last) || is("exceptions", last) => keywords,
        _ => exception,
    };
    let known = spdx_exception(&keywords.join("-").to_ascii_lowercase());
    // Restrictions are written in the same way by mistake, but not called so.
    let is_exception = known.is_some() || keywords.len() < exception.len();
    let whole = known.map(|id| format!("{license} WITH {id}"));
    let whole = whole.filter(|whole| expression::parse(whole).is_ok());
    is_exception.then(|| whole.unwrap_or(license))
}

/// The only exception of SPDX with this name: as it is there, or without its version.
fn spdx_exception(keywords: &str) -> Option<&'static str> {
    let stem = |id: &str| id.to_ascii_lowercase().replace("-exception", "");
    let asked = stem(keywords);
    let is_version = |stem: String| {
        let version = stem.strip_prefix(&*asked);
        let version = version.and_then(|rest| rest.strip_prefix('-'));
        version.is_some_and(|v| v.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
    };
    let same = EXCEPTIONS.iter().find(|known| stem(known.name) == asked);
    let mut others = EXCEPTIONS.iter().filter(|e| is_version(stem(e.name)));
    match (same, others.next(), others.next()) {
        (Some(same), _, _) => Some(same.name),
        (None, Some(only), None) => Some(only.name),
        _ => None,
    }
}

/// What DEP-5 names in a way of its own ("Short name"). Without a version, its names mean the lowest one; people write that
/// of the Artistic license, and of others where they know none.
fn standard(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    if matches!(name.as_str(), "artistic" | "artistic-1") {
        return Some("Artistic-1.0".to_owned());
    }
    let version = name.strip_prefix("gfdl-niv-")?;
    let (version, later) = match version.strip_suffix('+') {
        Some(version) => (version, "or-later"),
        None => (version, "only"),
    };
    let id = format!("GFDL-{version}-no-invariants-{later}");
    spdx::license_id(&id).map(|_| id)
}

/// `LicenseRef-…` for a license that SPDX has no name for (SPDX 2.3, annex D.1): one name of its own, which the copyright file
/// gives the text of. What may be a license of the list stays unknown, it would pass where that one is forbidden.
fn reference(name: &str, texts: &Texts) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    let (base, later) = match name.strip_suffix('+') {
        Some(base) => (base, "-or-later"),
        None => (name, ""),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let own = base.chars().all(plain)
        && base.contains(|c: char| c.is_ascii_alphanumeric())
        && base.len() <= NAME_BYTES
        && !NO_NAMES.contains(&lower.as_str())
        && !GNU.iter().any(|family| lower.contains(family))
        && !begins_a_license(base);
    let base = base.replace('_', "-");
    (own && texts.contains(&lower)).then(|| format!("{OF_DEBIAN}{base}{later}"))
}

/// Whether SPDX has licenses whose names go on from this one: those of a family, such as `Apache`, or of a version, such as
/// `MPL-2`.
fn begins_a_license(name: &str) -> bool {
    LICENSES.iter().any(|known| {
        let (start, end) = known.name.split_at_checked(name.len()).unwrap_or_default();
        start.eq_ignore_ascii_case(name) && end.starts_with(['-', '.'])
    })
}

impl<'t> Paragraph<'t> {
    /// What it says of licenses; nothing where it has to say something, or in a way that nobody can read.
    fn licenses(&self) -> Vec<Option<&'t str>> {
        let all: Vec<_> = self.values("License").map(synopsis).collect();
        if all.is_empty() { vec![None] } else { all }
    }

    /// Whether it is of files that are not only the packaging's, or of all of them: not a text by itself. `Files` is a list
    /// with white space between patterns, over as many lines as it takes (DEP-5, "Whitespace-separated lists").
    fn is_of_program(&self) -> bool {
        let has = |name| self.values(name).next().is_some();
        if !has("Files") {
            // A paragraph with a text has nobody who holds rights; one that has is of files, however that is written.
            return has("License") && (has("Format") || has("Copyright"));
        }
        let mut files = self.lines("Files").flat_map(str::split_whitespace);
        let of_packaging =
            |file: &str| file.starts_with("debian/") && !file.contains(',') && !file.contains("..");
        let packaging = files.next().is_some_and(of_packaging) && files.all(of_packaging);
        // Without a license, it is not known where it ends.
        !packaging || !has("License")
    }
}

/// The names in a field `License`: its first line, or the only other one. What goes on behind that is no text.
fn synopsis(value: &str) -> Option<&str> {
    let own = value.lines().next().unwrap_or_default().trim();
    let mut others = lines(value).skip(usize::from(!own.is_empty()));
    let (first, second) = (others.next(), others.next());
    if own.is_empty() {
        return first.filter(|_| second.is_none());
    }
    let goes_on = first
        .and_then(|line| line.split_whitespace().next())
        .is_some_and(|word| is("and", word) || is("or", word));
    (!goes_on).then_some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: &str =
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n";

    /// What a copyright file with these paragraphs states; with ` …` where that is a part only.
    fn stated(rest: &str) -> String {
        let license = license(&format!("{FORMAT}{rest}")).unwrap_or_default();
        license.replace(" AND LicenseRef-unknown", " …")
    }

    /// The same of one license that is given with a text.
    fn stated_by(name: &str) -> String {
        stated(&format!("\nFiles: *\nLicense: {name}\n The text\n"))
    }

    #[test]
    fn licenses_of_copyright_files() {
        assert_eq!(
            stated(
                "\nFiles: *\nCopyright: x\nLicense: GPL-2+\n text\n\nFiles: debian/*\nLicense: GPL-3\n\n\
                 Files: a\n b\nLicense: Expat or Apache-2.0\n\nLicense: GPL-2+\n The text\n\nLicense: ISC\n Unused\n"
            ),
            "GPL-2.0-or-later AND (MIT OR Apache-2.0)"
        );
        assert_eq!(stated("License: GPL-2+\n"), "GPL-2.0-or-later");
        assert_eq!(stated("\n# comment\n\nFiles: x\nLicense:\n ISC\n"), "ISC");
        assert_eq!(license("This is free software.\nLicense: MIT\n"), None);
        assert_eq!(license(""), None);
        for (n, most) in [(MOST_LICENSES, true), (MOST_LICENSES + 1, false)] {
            let files: Vec<_> = (0..n)
                .map(|i| format!("\nFiles: *\nLicense: own-{i}\n text\n"))
                .collect();
            let many = files.concat();
            assert_eq!(!stated(&many).is_empty(), most);
        }
    }

    #[test]
    fn files_are_packaging_if_all_patterns_are() {
        let main = "\nFiles: *\nLicense: Expat\n\n";
        for files in [
            "Files: debian/*\n       src/agpl/*",
            "Files: debian/*\n\tsrc/agpl/*",
            "Files:\n debian/*\n src/*",
            "Files:\n# comment\n src/*\n debian/*",
            "Files: debian/* src/*",
            "files: src/*\r\n debian/*\r",
            "Files: debian*",
            "Files:",
        ] {
            let text = format!("{main}{files}\nLicense: AGPL-3\n");
            assert_eq!(stated(&text), "AGPL-3.0-only AND MIT", "{files:?}");
        }
        for files in [
            "Files: debian/*",
            "Files:\n debian/rules\n debian/a debian/b",
        ] {
            let text = format!("{main}{files}\nLicense: AGPL-3\n");
            assert_eq!(stated(&text), "MIT", "{files:?}");
        }
    }

    #[test]
    fn and_comes_before_or_unless_behind_a_comma() {
        for (name, expected) in [
            ("GPL-1+ or Artistic", "GPL-1.0-or-later OR Artistic-1.0"),
            ("GPL-1+ and Artistic", "Artistic-1.0 AND GPL-1.0-or-later"),
            ("Expat or ISC and Zlib", "MIT OR ISC AND Zlib"),
            (
                "GPL-1+ or Artistic-2.0, and BSD-3-clause",
                "BSD-3-Clause AND (GPL-1.0-or-later OR Artistic-2.0)",
            ),
            ("Expat, or ISC and Zlib", "MIT OR ISC AND Zlib"),
            (
                "Expat or ISC, and Zlib, or Apache-2.0",
                "(MIT OR ISC) AND Zlib OR Apache-2.0",
            ),
            ("Expat, GPL-3+", "GPL-3.0-or-later AND MIT"),
            (
                "libpng OR Apache-2.0 AND isc",
                "Libpng OR Apache-2.0 AND ISC",
            ),
            (
                "(GPL-3+ or MIT) and ISC",
                "(GPL-3.0-or-later OR MIT) AND ISC",
            ),
            ("GPL-2 or later", "GPL-2.0-or-later"),
            ("AGPL-3 or later, and MIT", "AGPL-3.0-or-later AND MIT"),
            (
                "AGPLv3 or any later version and MIT",
                "AGPL-3.0-or-later AND MIT",
            ),
            ("MIT or GPL-2 or newer", "MIT OR GPL-2.0-or-later"),
            (
                "(LicenseRef-a or MIT) and AGPL-3",
                "(LicenseRef-a OR MIT) AND AGPL-3.0-only",
            ),
            ("LicenseRef-a or MIT", "LicenseRef-a OR MIT"),
            ("Apache License, Version 2.0", "Apache-2.0"),
            (
                "GFDL-NIV-1.3+ and GFDL-1.2",
                "GFDL-1.2-only AND GFDL-1.3-no-invariants-or-later",
            ),
        ] {
            assert_eq!(stated_by(name), expected, "{name}");
        }
    }

    #[test]
    fn what_has_no_reading_hides_nothing_that_has_one() {
        for (name, expected) in [
            ("AGPL-3 and BSD", "AGPL-3.0-only …"),
            ("GPL, and AGPL-3", "AGPL-3.0-only …"),
            (
                "AGPL-3 and Expat with advertising clause",
                "AGPL-3.0-only …",
            ),
            ("AGPL-3 and", "AGPL-3.0-only …"),
            ("AGPL-3+ and (BSD or Custom)", "AGPL-3.0-or-later …"),
            (
                "(BSD or Custom) and AGPL-3, and MIT",
                "AGPL-3.0-only AND MIT …",
            ),
            ("AGPL-3 or (BSD and MIT)", ""),
            ("AGPL-3, or later", "AGPL-3.0-or-later"),
            // Whoever has the program may choose what nobody knows.
            ("AGPL-3 or BSD", ""),
            ("BSD and Expat, or ISC", ""),
        ] {
            assert_eq!(stated_by(name), expected, "{name}");
        }
        let text = "\nFiles: *\nLicense: AGPL-3\n\nFiles: a\nLicense: GPL\n";
        assert_eq!(stated(text), "AGPL-3.0-only …");
        // What is not written as it should be.
        for (rest, expected) in [
            ("Files: a\nCopyright: x\n\nLicense: AGPL-3\n", "MIT …"),
            ("Files: debian/*\n\n a\nLicense: AGPL-3\n", "MIT …"),
            ("Files: a\nLicence: AGPL-3\n", "MIT …"),
            ("Files: a\nLicense: ISC\n and AGPL-3\n", "MIT …"),
            ("Files: a\nLicense:\n ISC\n AGPL-3\n", "MIT …"),
            (
                "Files: a\nLicense: ISC\nFiles: b\nLicense: AGPL-3\n",
                "AGPL-3.0-only AND ISC AND MIT",
            ),
            ("Files : a\nLicense : AGPL-3\n", "AGPL-3.0-only AND MIT"),
            (
                "File: a\nCopyright: x\nLicense: AGPL-3\n",
                "AGPL-3.0-only AND MIT",
            ),
            (
                "Files: debian/*,a\nLicense: AGPL-3\n",
                "AGPL-3.0-only AND MIT",
            ),
            (
                "Files: debian/../a\nLicense: AGPL-3\n",
                "AGPL-3.0-only AND MIT",
            ),
        ] {
            let text = format!("\nFiles: *\nLicense: Expat\n\n{rest}");
            assert_eq!(stated(&text), expected, "{rest}");
        }
    }

    #[test]
    fn exceptions_are_those_of_spdx_or_left_out() {
        for (name, expected) in [
            (
                "GPL-2+ with Classpath-exception-2.0",
                "GPL-2.0-or-later WITH Classpath-exception-2.0",
            ),
            (
                "GPL-2 with classpath exception or MIT",
                "GPL-2.0-only WITH Classpath-exception-2.0 OR MIT",
            ),
            (
                "Apache-2.0 with LLVM-exception",
                "Apache-2.0 WITH LLVM-exception",
            ),
            (
                "GPL-3+ with Bison-2.2 exception",
                "GPL-3.0-or-later WITH Bison-exception-2.2",
            ),
            (
                "GPL-2+ with Font exception",
                "GPL-2.0-or-later WITH Font-exception-2.0",
            ),
            (
                "GPL-2 with Linux-syscall-note exception",
                "GPL-2.0-only WITH Linux-syscall-note",
            ),
            // SPDX has several of these.
            ("GPL-2+ with OpenSSL exception", "GPL-2.0-or-later"),
            (
                "GPL-3 and GPL-2+ with Autoconf exception",
                "GPL-2.0-or-later AND GPL-3.0-only",
            ),
            ("AGPL-3 or MIT with X exception", "AGPL-3.0-only OR MIT"),
            (
                "Perl with Font exception",
                "(Artistic-1.0-Perl OR GPL-1.0-or-later)",
            ),
            ("GPL with Classpath exception", ""),
            ("own with Font exception", ""),
            ("Expat with military clause", ""),
            ("Expat with", ""),
        ] {
            assert_eq!(stated_by(name), expected, "{name}");
        }
    }

    #[test]
    fn a_name_of_its_own_is_one_with_a_text_that_no_other_license_has() {
        for (name, expected) in [
            ("public-domain", "LicenseRef-debian-public-domain"),
            ("Custom-pg_dump", "LicenseRef-debian-Custom-pg-dump"),
            (
                "BSD-3-clause-Google",
                "LicenseRef-debian-BSD-3-clause-Google",
            ),
            ("own-1+", "LicenseRef-debian-own-1-or-later"),
        ] {
            assert_eq!(stated_by(name), expected, "{name}");
        }
        for name in [
            "GPL",
            "LGPL",
            "gpl",
            "BSD",
            "UNKNOWN",
            "none",
            "other",
            "NOASSERTION",
            "Apache",
            "MPL-2",
            "BSD-4",
            "ISC+IBM",
            "MIT/X11",
            "GPL-2+ | MIT",
            "GPL-2+ / MIT",
            "GPL-3+ and/or MIT",
            "OWN-GPL",
            "LPGL-2.1+",
            "GNU-FDL-1.2",
            "Affero-3",
            "later",
            "GPL-2+-libtool-exception",
            "GPL-3.0+~OpenSSL",
            "two words",
            "ü",
            "+",
            "-",
            ",",
            "with",
            &"a".repeat(101),
            &"a ".repeat(1001),
        ] {
            assert_eq!(stated_by(name), "", "{name}");
        }
        // The text is in a paragraph of its own, or nowhere.
        let files = "\nFiles: *\nLicense: Own and Other-Own\n";
        assert_eq!(stated(files), "");
        assert_eq!(
            stated(&format!("{files}\nLicense: own\n The text\n")),
            "LicenseRef-debian-Own …"
        );
        assert_eq!(
            stated(&format!("{files}\nLicense: own, other-own\n Texts\n")),
            "LicenseRef-debian-Other-Own AND LicenseRef-debian-Own"
        );
    }

    proptest::proptest! {
        #[test]
        fn licenses_are_expressions(
            names in proptest::collection::vec("([A-Za-z0-9+., ()-]{1,20}|(MIT|GPL-2\\+|own|,|and|or|with|Font|exception|\\(|\\)| ){1,9})", 1..4)
        ) {
            let files = names.iter().map(|name| format!("\nFiles: *\nLicense: {name}\n text\n"));
            let text = format!("Format: copyright-format/1.0\n{}", files.collect::<String>());
            if let Some(found) = license(&text) {
                proptest::prop_assert!(expression::parse(&found).is_ok(), "{}", found);
            }
        }
    }
}
