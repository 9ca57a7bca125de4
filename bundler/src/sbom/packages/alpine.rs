//! apk: the database of installed packages.

use super::package::{Ecosystem, Package};
use crate::license::names;

/// The packages of `lib/apk/db/installed`: paragraphs of lines with a letter and a colon each (Alpine wiki,
/// "Apk spec", "Installed Database").
pub(super) fn packages(text: &str) -> Vec<Package> {
    text.split("\n\n")
        .filter_map(|paragraph| {
            let field = |key: &str| {
                let mut lines = paragraph.lines();
                lines.find_map(|line| line.strip_prefix(key))
            };
            let mut package = Package::new(Ecosystem::Alpine, field("P:")?, field("V:")?)?;
            let arch = field("A:").unwrap_or_default();
            if arch.len() < 40 {
                arch.clone_into(&mut package.arch);
            }
            package.license = field("L:").and_then(names::normalise);
            Some(package)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_with_versions_and_licenses() {
        let text = "C:Q1abc=\nP:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\nT:the musl c library\nF:lib\nR:ld-musl.so\n\n\
            P:busybox\nV:1.36\nA:x86_64\nL:GPL-2.0-only\n\nP:odd\nV:1\nL:custom\n\nP:\nV:1\n\nV:2\n";
        let found: Vec<_> = packages(text)
            .into_iter()
            .map(|p| (p.name, p.version, p.license))
            .collect();
        let text = str::to_owned;
        assert_eq!(
            found,
            [
                (text("musl"), text("1.2.4-r2"), Some(text("MIT"))),
                (text("busybox"), text("1.36"), Some(text("GPL-2.0-only"))),
                (text("odd"), text("1"), None),
            ]
        );
    }
}
