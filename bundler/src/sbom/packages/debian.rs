//! dpkg: the database of installed packages, and the form that its files have.

use super::package::{Ecosystem, Package};

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

/// A paragraph of a control file: names of fields, and all lines of their values.
pub(super) struct Paragraph<'t>(Vec<(&'t str, &'t str)>);

impl<'t> Paragraph<'t> {
    /// The values of all fields of a name. Names of fields have no case (deb-control(5)).
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &'t str> {
        let named = self
            .0
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name));
        named.map(|(_, value)| *value)
    }

    /// The lines of a field's value that are not empty, without comments.
    pub(super) fn lines(&self, name: &str) -> impl Iterator<Item = &'t str> {
        self.values(name).flat_map(lines)
    }

    /// The first line of a field's value, where that is empty the next one.
    pub(super) fn value(&self, name: &str) -> Option<&'t str> {
        let value = self.values(name).next()?;
        Some(lines(value).next().unwrap_or_default())
    }
}

/// The lines of a value that are not empty, without comments.
pub(super) fn lines(value: &str) -> impl Iterator<Item = &str> {
    let lines = value.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::trim).filter(|line| !line.is_empty())
}

/// The paragraphs of a control file that have fields.
pub(super) fn paragraphs(text: &str) -> impl Iterator<Item = Paragraph<'_>> {
    let is_empty = |line: &str| line.trim().is_empty();
    let mut rest = text;
    let paragraphs = std::iter::from_fn(move || {
        let (_, text) = lines_until(rest, |line| !is_empty(line));
        let (paragraph, after) = lines_until(text, is_empty);
        rest = after;
        (!paragraph.is_empty()).then(|| Paragraph(fields(paragraph)))
    });
    paragraphs.filter(|paragraph| !paragraph.0.is_empty())
}

/// The names of fields, and their values with all lines that go on with them, comments among them.
fn fields(paragraph: &str) -> Vec<(&str, &str)> {
    let begins = |line: &str| !line.starts_with([' ', '\t', '#']);
    let (_, mut rest) = lines_until(paragraph, begins);
    let mut fields = Vec::new();
    while let Some(line) = rest.split_inclusive('\n').next() {
        let (_, after) = rest.split_at(line.len());
        let (more, after) = lines_until(after, begins);
        let (field, _) = rest.split_at(line.len() + more.len());
        if line.contains(':') {
            fields.extend(
                field
                    .split_once(':')
                    .map(|(name, value)| (name.trim(), value)),
            );
        }
        rest = after;
    }
    fields
}

/// The lines before the first of a kind, and those from there.
fn lines_until(text: &str, is_end: impl Fn(&str) -> bool) -> (&str, &str) {
    let lines = text.split_inclusive('\n').take_while(|line| !is_end(line));
    text.split_at(lines.map(str::len).sum())
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
}
