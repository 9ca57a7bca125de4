//! Tables for people.

use sealift_verifier::error::printable;

/// A table with a heading and aligned columns; nothing in a cell can leave it.
pub(crate) fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = std::iter::once(heading.map(str::to_owned))
        .chain(rows.iter().map(|row| row.clone().map(|c| printable(&c))))
        .collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Facts with their names, one a line.
pub(crate) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| format!("{name:<width$}  {}\n", printable(value));
    facts.iter().map(line).collect::<Vec<_>>().concat()
}

/// A number of bytes for people, and exactly.
pub(crate) fn bytes(count: u64) -> String {
    if count < 1000 {
        format!("{count} bytes")
    } else {
        format!("{} ({count} bytes)", indicatif::DecimalBytes(count))
    }
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn content_cannot_leave_its_cell() {
        let hostile = "a\nforged  status=PASSED\u{1b}[2K\u{202e}".to_owned();
        let text = table(["name", "size"], &[[hostile, "1".into()]]);
        assert_eq!(text.lines().count(), 2);
        assert!(text.is_ascii() && !text.contains('\u{1b}'), "{text:?}");
    }
}
