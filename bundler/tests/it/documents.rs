//! Documents that have to say what the code says.

use std::{fmt::Write as _, path::Path};

use sealift_bundler::Code;

/// The list of the bundler's codes in `docs/errors.md`, between its marks, is the one of the code. Run the
/// test with `UPDATE_DOCUMENTS=1` to write it.
#[test]
fn the_list_of_errors_is_complete() {
    let mut list = String::from("| code | exit | meaning | what to do |\n|---|---|---|---|\n");
    for code in Code::ALL {
        let status = if *code == Code::Usage { 2 } else { 1 };
        let (name, meaning, hint) = (code.name(), code.meaning().trim(), code.hint());
        writeln!(list, "| `{name}` | {status} | {meaning} | {hint} |").unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- bundler -->\n", "<!-- end of bundler -->");
    let (before, rest) = text.split_once(begin).unwrap();
    let (found, after) = rest.split_once(end).unwrap();
    if found == list {
        return;
    }
    #[expect(clippy::disallowed_methods, reason = "a test that writes a document")]
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::write(&path, format!("{before}{begin}{list}{end}{after}")).unwrap();
        return;
    }
    panic!("docs/errors.md is not up to date: run this test with UPDATE_DOCUMENTS=1");
}
