//! A definition file in memory: bounded, UTF-8, with a place for each of its bytes.

use std::{cell::RefCell, fs::File, io::Read, ops::Range, path::Path, sync::Arc};

use sealift_verifier::digest::Digest;
use toml::de::{DeTable, DeValue};

use super::fields::Fields;
use crate::{
    error::Code,
    problem::{Place, Problem, shortened},
};

/// Length of a definition file, in bytes.
pub(crate) const DEFINITION_BYTES: u64 = 1 << 20;
/// Syntax errors that are reported of one file; what follows them is mostly noise.
const SYNTAX_ERRORS: usize = 20;

/// The text of a definition file, and what was found wrong with it so far.
pub(crate) struct Document {
    file: Arc<Path>,
    text: String,
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
    problems: RefCell<Vec<Problem>>,
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// The problem that keeps it from being read at all.
    pub(crate) fn read(file: &Path) -> Result<Self, Problem> {
        Self::read_up_to(file, DEFINITION_BYTES)
    }

    /// Reads a file of at most so many bytes.
    ///
    /// # Errors
    /// The problem that keeps it from being read at all.
    pub(crate) fn read_up_to(file: &Path, most: u64) -> Result<Self, Problem> {
        let whole = Place::of_file(file);
        let failed = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::NotFound => {
                Problem::new(&whole, Code::FileMissing, "there is no such file")
            }
            _ => Problem::new(&whole, Code::Io, e.to_string()),
        };
        // Opening a pipe would wait for a writer.
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(Problem::new(
                &whole,
                Code::ArtifactType,
                "is no regular file",
            ));
        }
        // Room for what comes at its end, too: otherwise a small file takes many small reads.
        let room = usize::try_from(metadata.len().min(most)).unwrap_or(0);
        let mut bytes = Vec::with_capacity(room + 64);
        File::open(file)
            .and_then(|f| f.take(most + 1).read_to_end(&mut bytes))
            .map_err(failed)?;
        if bytes.len() as u64 > most {
            let message = format!("is longer than {most} bytes");
            return Err(Problem::new(&whole, Code::DefinitionTooLarge, message));
        }
        Self::of_bytes(file, bytes)
    }

    /// Takes the content of a file.
    ///
    /// # Errors
    /// It is no UTF-8.
    pub(crate) fn of_bytes(file: &Path, bytes: Vec<u8>) -> Result<Self, Problem> {
        let text = String::from_utf8(bytes).map_err(|e| {
            let valid = e.utf8_error().valid_up_to();
            let line = e.as_bytes()[..valid].split(|b| *b == b'\n').count();
            let at = Place {
                line,
                column: 1,
                ..Place::of_file(file)
            };
            Problem::new(&at, Code::TomlInvalid, "is not UTF-8")
        })?;
        let starts = text
            .bytes()
            .enumerate()
            .filter(|(_, b)| *b == b'\n')
            .map(|(i, _)| i + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        Ok(Self {
            file: file.into(),
            text,
            lines,
            problems: RefCell::default(),
        })
    }

    /// The file itself.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// SHA-256 of the file.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }

    /// Interprets the table of the whole file with `read`, if the file is TOML at all, and returns that
    /// together with every problem found.
    pub(crate) fn interpret<T>(
        self,
        read: impl FnOnce(Fields<'_, '_>) -> Option<T>,
    ) -> (Option<T>, Vec<Problem>) {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        let table = table.into_inner();
        let mut sound = true;
        for error in errors.iter().take(SYNTAX_ERRORS) {
            let span = error.span().unwrap_or_default();
            // A duplicate key leaves a table that can be interpreted; other errors leave guesses.
            if error.message().contains("duplicate key") {
                self.duplicate(&table, span);
            } else {
                sound = false;
                // What goes too deep has no place.
                let at = match error.span() {
                    Some(span) => self.place(span, ""),
                    None => Place::of_file(&self.file),
                };
                self.report(&at, Code::TomlInvalid, error.message());
            }
        }
        let value = if sound {
            read(Fields::new(&self, &table))
        } else {
            None
        };
        (value, self.problems.into_inner())
    }

    fn duplicate(&self, table: &DeTable<'_>, span: Range<usize>) {
        let key = self.text.get(span.clone()).unwrap_or_default();
        let key = key.trim_matches(['"', '\'', ' ', '\t']);
        let capabilities = table
            .get("capabilities")
            .and_then(|v| v.get_ref().as_table());
        let is_capability = capabilities.is_some_and(|c| c.contains_key(key));
        let (code, message) = if is_capability {
            (Code::DuplicateCapability, format!("{key} is listed twice"))
        } else {
            (Code::DuplicateKey, format!("{key} is there twice"))
        };
        self.report(&self.place(span, &shortened(key)), code, message);
    }

    /// The place of a range of bytes, called `key`.
    pub(crate) fn place(&self, span: Range<usize>, key: &str) -> Place {
        let start = span.start.min(self.text.len());
        let line = self.lines.partition_point(|begin| *begin <= start);
        let begin = self
            .lines
            .get(line.saturating_sub(1))
            .copied()
            .unwrap_or_default();
        let before = self.text.as_bytes().get(begin..start).unwrap_or_default();
        // Characters, not bytes: a byte that continues a character does not count.
        let column = before.iter().filter(|b| **b & 0xC0 != 0x80).count() + 1;
        Place {
            file: self.file.clone(),
            line,
            column,
            key: key.to_owned(),
        }
    }

    /// The place of the value that a JSON Pointer (RFC 6901) leads to, called `key`.
    pub(crate) fn find(&self, pointer: &str, key: &str) -> Option<Place> {
        let (table, _) = DeTable::parse_recoverable(&self.text);
        let mut parts = pointer.split('/').skip(1);
        let unescape = |part: &str| part.replace("~1", "/").replace("~0", "~");
        let first = parts.next().map(unescape)?;
        let mut value = table.get_ref().get(first.as_str())?;
        for part in parts {
            let part = unescape(part);
            value = match value.get_ref() {
                DeValue::Table(table) => table.get(part.as_str())?,
                DeValue::Array(items) => items.get(part.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(self.place(value.span(), key))
    }

    /// Notes a problem.
    pub(crate) fn report(&self, at: &Place, code: Code, message: impl Into<String>) {
        self.note(Problem::new(at, code, message));
    }

    /// Notes a problem that was made elsewhere.
    pub(crate) fn note(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(bytes: &[u8]) -> Vec<Problem> {
        match Document::of_bytes(Path::new("x.toml"), bytes.to_vec()) {
            Ok(document) => document.interpret(|_| Some(())).1,
            Err(problem) => vec![problem],
        }
    }

    #[test]
    fn places_count_characters_from_one() {
        let text = "a = 1\nü = \"ß\" x\n";
        let document = Document::of_bytes(Path::new("x.toml"), text.into()).unwrap();
        let place = document.place(text.find('x').unwrap()..0, "k");
        assert_eq!((place.line, place.column), (2, 9));
        assert_eq!(place.to_string(), "x.toml:2:9: k");
        assert_eq!(document.place(0..1, "").line, 1);
        assert_eq!(document.place(9999..9999, "").line, 3);
    }

    #[test]
    fn hostile_text_is_a_problem_and_no_panic() {
        let deep = format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000));
        let dotted = format!("{}a = 1", "a.".repeat(100_000));
        let tables: Vec<String> = (0..2000)
            .map(|i| format!("[a{}]", ".b".repeat(i % 500)))
            .collect();
        for text in [
            &b"\xff\xfe"[..],
            b"a = \"\0\"",
            b"\0",
            deep.as_bytes(),
            dotted.as_bytes(),
            b"= =",
            b"a = 'x",
        ] {
            assert!(
                !problems(text).is_empty(),
                "{:?}",
                &text[..text.len().min(20)]
            );
        }
        let _ = problems(tables.join("\n").as_bytes());
        assert_eq!(problems(b"a = 1\n\xff")[0].at.line, 2);
    }

    #[test]
    fn a_key_twice_is_reported_with_its_place() {
        let found = problems(b"a = 1\na = 2\n[capabilities]\n\"x/y\" = \"1\"\n'x/y' = \"2\"\n");
        let found: Vec<_> = found.iter().map(|p| (p.code, p.at.line)).collect();
        assert_eq!(
            found,
            [(Code::DuplicateKey, 2), (Code::DuplicateCapability, 5)]
        );
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = problems(&bytes);
        }
    }
}
