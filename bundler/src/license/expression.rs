//! SPDX license expressions as people write them into definitions: strict, with a hint for each mistake.

use spdx::{
    AdditionItem, Expression, LicenseItem,
    error::ParseError,
    flags::IS_DEPRECATED,
    identifiers::{EXCEPTIONS, LICENSES},
};

use super::names;

/// What is wrong with an expression, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// What exactly is wrong.
    pub message: String,
    /// One thing to do about it.
    pub hint: String,
}

/// What to do where no name comes near.
const NO_SUCH_LICENSE: &str = "take the identifier from https://spdx.org/licenses, or LicenseRef-NAME for a license of your own";

/// Reads an expression: identifiers of the SPDX license list and `LicenseRef-…`, with `AND`, `OR`, `WITH`.
///
/// # Errors
/// What is no expression, has an identifier that the list does not have or has given up, or is the
/// placeholder `NOASSERTION`.
pub fn parse(text: &str) -> Result<Expression, Wrong> {
    match Expression::parse(text) {
        Ok(expression) if is_placeholder(&expression) => Err(Wrong {
            message: format!("{text:?} names no license"),
            hint: "leave the key out if there is nothing to say".into(),
        }),
        Ok(expression) if has_empty_name(&expression) => Err(Wrong {
            message: format!("{text:?}: a reference has no name"),
            hint: NO_SUCH_LICENSE.into(),
        }),
        Ok(expression) => match deprecated_exception(&expression) {
            Some(name) => Err(Wrong {
                message: format!("{text:?}: the license list has given up the exception {name:?}"),
                hint: NO_SUCH_LICENSE.into(),
            }),
            None => Ok(expression),
        },
        Err(error) => Err(explain(text, &error)),
    }
}

/// The same expression with operators in upper case (SPDX 2.3, annex D.2; later versions leave the choice) and single spaces
/// between its parts. What is no expression stays as it is.
pub(crate) fn canonical(text: &str) -> String {
    if !is_expression(text) {
        return text.to_owned();
    }
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let words = spaced.split_whitespace().map(|word| match word {
        "and" | "or" | "with" => word.to_ascii_uppercase(),
        _ => word.to_owned(),
    });
    let words: Vec<String> = words.collect();
    words.join(" ").replace("( ", "(").replace(" )", ")")
}

/// An exception that the license list has given up.
fn deprecated_exception(expression: &Expression) -> Option<&'static str> {
    let mut additions = expression
        .requirements()
        .filter_map(|asked| match &asked.req.addition {
            Some(AdditionItem::Spdx(id)) => Some(*id),
            _ => None,
        });
    additions.find(|id| id.is_deprecated()).map(|id| id.name)
}

/// Whether [`parse`] would read it; without the work of an explanation.
pub(super) fn is_expression(text: &str) -> bool {
    Expression::parse(text).is_ok_and(|expression| {
        !is_placeholder(&expression)
            && !has_empty_name(&expression)
            && deprecated_exception(&expression).is_none()
    })
}

/// Whether nothing stands behind one of the prefixes: a name has at least one letter (SPDX 2.3, annex D.1, `idstring`).
fn has_empty_name(expression: &Expression) -> bool {
    expression.requirements().any(|asked| {
        let license = match &asked.req.license {
            LicenseItem::Other(own) => [own.doc_ref.as_deref(), Some(&*own.lic_ref)],
            LicenseItem::Spdx { .. } => [None; 2],
        };
        let addition = match &asked.req.addition {
            Some(AdditionItem::Other(own)) => [own.doc_ref.as_deref(), Some(&*own.add_ref)],
            _ => [None; 2],
        };
        let mut names = license.into_iter().chain(addition).flatten();
        names.any(str::is_empty)
    })
}

/// Whether a part of it says that nothing is said: the license list has an entry of that name.
fn is_placeholder(expression: &Expression) -> bool {
    expression.requirements().any(|asked| {
        let id = asked.req.license.id();
        id.is_some_and(|id| id.name == "NOASSERTION")
    })
}

fn explain(text: &str, error: &ParseError) -> Wrong {
    let term = text.get(error.span.clone()).unwrap_or_default().trim();
    // Cargo used to write alternatives so.
    let both = text.split_once('/').and_then(|(one, other)| {
        let (one, other) = (names::single(one)?, names::single(other)?);
        Some(format!("{one} OR {other}"))
    });
    let hint = match (names::normalise(text), both, names::single(term)) {
        (Some(normal), ..) => format!("write {normal:?}"),
        (None, Some(both), _) => format!("write {both:?} if one may choose"),
        (None, None, Some(id)) => format!("write {id} instead of {term}"),
        (None, None, None) => {
            let before = text.get(..error.span.start).unwrap_or_default();
            let last = before.split_whitespace().next_back();
            let is_exception = last.is_some_and(|word| word.eq_ignore_ascii_case("with"));
            did_you_mean(term, is_exception)
        }
    };
    let what = &error.reason;
    let message = if term.is_empty() || term == text {
        format!("{text:?}: {what}")
    } else {
        format!("{text:?}: {what}: {term:?}")
    };
    Wrong { message, hint }
}

/// The known name that `term` probably means: at most a third of its letters differ.
fn did_you_mean(term: &str, is_exception: bool) -> String {
    // npm says so of what nobody has a license for; the license of nearly that name says the opposite.
    if term.eq_ignore_ascii_case("UNLICENSED") {
        return NO_SUCH_LICENSE.into();
    }
    let licenses = LICENSES.iter().map(|known| (known.name, known.flags));
    let exceptions = EXCEPTIONS.iter().map(|known| (known.name, known.flags));
    let known = licenses
        .filter(|_| !is_exception)
        .chain(exceptions.filter(|_| is_exception));
    let known = known.filter(|(_, flags)| flags & IS_DEPRECATED == 0);
    let known = known.map(|(name, _)| name);
    // One of several that begin so: which one is for people to say.
    let begins = |name: &&str| {
        let (start, rest) = name.split_at_checked(term.len()).unwrap_or_default();
        start.eq_ignore_ascii_case(term) && rest.starts_with('-')
    };
    let family: Vec<&str> = known.clone().filter(begins).take(3).collect();
    let is_word = !term.is_empty() && term.chars().all(char::is_alphanumeric);
    if is_word && let [_, _, ..] = family.as_slice() {
        return format!("say which: {}, or another one", family.join(", "));
    }
    let lower = term.to_ascii_lowercase();
    let distance = |name: &str| strsim::osa_distance(&lower, &name.to_ascii_lowercase());
    match known.map(|name| (distance(name), name)).min() {
        Some((distance, name)) if distance * 3 < term.len() => format!("did you mean {name}?"),
        _ => NO_SUCH_LICENSE.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_the_specification() {
        for good in [
            "MIT",
            "MIT OR Apache-2.0",
            "GPL-2.0-or-later WITH Classpath-exception-2.0",
            "(LGPL-2.1-only OR MIT) AND BSD-3-Clause",
            "LicenseRef-Acme-Commercial",
            "DocumentRef-a:LicenseRef-b",
            "MPL-1.1+",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn each_mistake_has_a_hint_that_helps() {
        for (text, hint) in [
            ("Apache 2", "write \"Apache-2.0\""),
            ("mit", "write \"MIT\""),
            ("GPL-2.0", "write \"GPL-2.0-only\""),
            ("GPL-3.0+ OR mit", "write \"GPL-3.0-or-later OR MIT\""),
            ("Apache-2", "write \"Apache-2.0\""),
            ("BSD-3-Claus", "did you mean BSD-3-Clause?"),
            ("MIT AND Apahce-2.0", "did you mean Apache-2.0?"),
            (
                "GPL-2.0-only WITH Classpath-exception",
                "did you mean Classpath-exception-2.0?",
            ),
            ("Acme proprietary", NO_SUCH_LICENSE),
            (
                "NOASSERTION",
                "leave the key out if there is nothing to say",
            ),
            ("", NO_SUCH_LICENSE),
            ("MIT OR", NO_SUCH_LICENSE),
            ("LicenseRef-", NO_SUCH_LICENSE),
            ("MIT AND LicenseRef-", NO_SUCH_LICENSE),
            ("DocumentRef-:LicenseRef-a", NO_SUCH_LICENSE),
            ("DocumentRef-a:LicenseRef-", NO_SUCH_LICENSE),
            ("MIT WITH AdditionRef-", NO_SUCH_LICENSE),
            (
                "GPL-2.0-with-classpath-exception",
                "write \"GPL-2.0-only WITH Classpath-exception-2.0\"",
            ),
            ("ü ö", NO_SUCH_LICENSE),
            ("UNLICENSED", NO_SUCH_LICENSE),
            (
                "LGPL",
                "say which: LGPL-2.0-only, LGPL-2.0-or-later, LGPL-2.1-only, or another one",
            ),
            ("Nunit", NO_SUCH_LICENSE),
            ("Classpath-exception-2.0", NO_SUCH_LICENSE),
            ("GPL-2.0-only WITH Nokia-Qt-exception-1.1", NO_SUCH_LICENSE),
            (
                "MIT/Apache-2.0",
                "write \"MIT OR Apache-2.0\" if one may choose",
            ),
        ] {
            let found = parse(text).map(|_| ()).unwrap_err();
            assert_eq!(found.hint, hint, "{text}: {}", found.message);
            assert!(found.message.contains(&format!("{text:?}")), "{text}");
        }
    }

    #[test]
    fn operators_are_written_in_upper_case() {
        for (text, canonical) in [
            ("MIT and ISC", "MIT AND ISC"),
            (
                "(MIT or LicenseRef-or)  and Apache-2.0 with LLVM-exception",
                "(MIT OR LicenseRef-or) AND Apache-2.0 WITH LLVM-exception",
            ),
            ("MIT ", "MIT"),
            ("Apache 2", "Apache 2"),
        ] {
            assert_eq!(super::canonical(text), canonical);
        }
    }

    #[test]
    fn the_part_that_is_wrong_is_named() {
        let found = parse("MIT AND Apahce-2.0").map(|_| ()).unwrap_err();
        assert_eq!(
            found.message,
            "\"MIT AND Apahce-2.0\": unknown term: \"Apahce-2.0\""
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[ -~äß]{0,60}") {
            let _ = parse(&text);
        }
    }
}
