//! `docs/errors.md` lists every code of every program, as the code has them.

use std::{fmt::Write as _, path::Path};

use sealift_verifier::error::ErrorCode;

/// The rows of one crate. `status` gives the exit code of a failure with a code.
fn rows<C: ErrorCode>(
    all: &[C],
    meaning: fn(C) -> &'static str,
    status: impl Fn(C) -> u8,
) -> String {
    let mut rows = String::from("| code | exit | meaning | what to do |\n|---|---|---|---|\n");
    for code in all {
        let (name, meaning, hint) = (code.name(), meaning(*code).trim(), code.hint());
        writeln!(
            rows,
            "| `{name}` | {} | {meaning} | {hint} |",
            status(*code)
        )
        .unwrap();
    }
    rows
}

/// Run it with `UPDATE_DOCUMENTS=1` to write the lists.
#[test]
fn the_list_of_errors_is_that_of_the_code() {
    let lists = [
        (
            "verifier",
            rows(
                sealift_verifier::Code::ALL,
                sealift_verifier::Code::meaning,
                |code| {
                    let error = sealift_verifier::Error::new(code, "x", "x");
                    sealift_installer::cli::exit::code(&error.into())
                },
            ),
        ),
        (
            "keys",
            rows(
                sealift_keys::Code::ALL,
                sealift_keys::Code::meaning,
                |code| sealift_keys::cli::exit::code(&sealift_keys::Error::new(code, "x", "x")),
            ),
        ),
        (
            "bundler",
            rows(
                sealift_bundler::Code::ALL,
                sealift_bundler::Code::meaning,
                |code| {
                    sealift_bundler::cli::exit::code(&sealift_bundler::Error::new(code, "x", "x"))
                },
            ),
        ),
        (
            "installer",
            rows(
                sealift_installer::Code::ALL,
                sealift_installer::Code::meaning,
                |code| {
                    sealift_installer::cli::exit::code(&sealift_installer::Error::new(
                        code, "x", "x",
                    ))
                },
            ),
        ),
    ];
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    let found = std::fs::read_to_string(&path).unwrap();
    let mut expected = found.clone();
    for (crate_name, list) in lists {
        let (begin, end) = (
            format!("<!-- {crate_name} -->\n"),
            format!("<!-- end of {crate_name} -->"),
        );
        let (before, rest) = expected.split_once(&begin).unwrap();
        let (_, after) = rest.split_once(&end).unwrap();
        expected = format!("{before}{begin}{list}{end}{after}");
    }
    if found == expected {
        return;
    }
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::write(&path, expected).unwrap();
        return;
    }
    panic!("docs/errors.md is not up to date: run this test with UPDATE_DOCUMENTS=1");
}
