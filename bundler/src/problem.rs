//! What is wrong with definitions: all of it at once, each thing with its place.

use std::{fmt, path::Path, sync::Arc};

use sealift_verifier::Failure;
pub(crate) use sealift_verifier::error::printable;
use serde::Serialize;

use crate::error::Code;

/// A place in a definition file. Line and column count from 1, columns in characters; both are 0 where
/// a problem belongs to a file as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, in the way the caller named it.
    pub file: Arc<Path>,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// The key with the tables that it lies in, such as `artifacts[1].path`; empty for the file itself.
    pub key: String,
}

impl Place {
    /// The file as a whole.
    pub fn of_file(file: &Path) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            key: String::new(),
        }
    }
}

/// Characters of a text that are shown, of which the last stand behind what is left out.
const SHOWN: (usize, usize) = (800, 200);

/// A text as people can read it: printable, and without the middle if it is long.
pub(crate) fn shortened(text: &str) -> String {
    let (most, behind) = SHOWN;
    let length = text.chars().count();
    if length <= most {
        return printable(text);
    }
    let start: String = text.chars().take(most - behind).collect();
    let end: String = text.chars().skip(length - behind).collect();
    let left_out = length - most;
    format!(
        "{} … {left_out} characters … {}",
        printable(&start),
        printable(&end)
    )
}

impl Place {
    /// File, line and column, without the key.
    pub(crate) fn spot(&self) -> String {
        // Names of files come from outside, as texts do.
        let file = printable(&self.file.display().to_string());
        match self.line {
            0 => file,
            line => format!("{file}:{line}:{}", self.column),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spot())?;
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        Ok(())
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it was asked for.
    pub at: Place,
    /// What kind of problem it is.
    pub code: Code,
    /// What exactly is wrong.
    pub message: String,
    /// What that follows from, a line each, where it is not plain from the place itself.
    pub because: Box<[String]>,
    /// One thing to do about it.
    pub hint: Box<str>,
}

impl Problem {
    /// A problem at a place, with the hint that its code has.
    pub fn new(at: &Place, code: Code, message: impl Into<String>) -> Self {
        Self {
            at: at.clone(),
            code,
            message: shortened(&message.into()),
            because: Box::default(),
            hint: code.hint().into(),
        }
    }

    /// The same with a hint that fits better than the general one.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into().into_boxed_str();
        self
    }

    /// The same with what it follows from.
    #[must_use]
    pub(crate) fn because(mut self, lines: Vec<String>) -> Self {
        self.because = lines.into_iter().map(|line| shortened(&line)).collect();
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.name();
        write!(f, "{}: {} [{code}]", self.at, self.message)?;
        for line in &self.because {
            write!(f, "\n  {line}")?;
        }
        write!(f, "\n  hint: {}", self.hint)
    }
}

/// A problem as machines read it.
#[derive(Serialize)]
struct ProblemJson<'a> {
    code: &'a str,
    file: String,
    #[serde(skip_serializing_if = "is_zero")]
    line: usize,
    #[serde(skip_serializing_if = "is_zero")]
    column: usize,
    #[serde(skip_serializing_if = "str::is_empty")]
    key: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    because: &'a [String],
    hint: &'a str,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json = ProblemJson {
            code: self.code.name(),
            file: self.at.file.display().to_string(),
            line: self.at.line,
            column: self.at.column,
            key: &self.at.key,
            message: &self.message,
            because: &self.because,
            hint: &self.hint,
        };
        json.serialize(serializer)
    }
}

/// Problems that are told one by one; nobody reads more at once.
const TOLD: usize = 1000;

/// All problems of a definition, sorted by place; never empty. So many at most are kept as a person may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    told: Vec<Problem>,
    /// How many there are beside them.
    more: usize,
}

impl Problems {
    /// The problems in the order of their places, each once; nothing if there are none.
    pub fn of(mut problems: Vec<Problem>) -> Option<Self> {
        problems.sort();
        problems.dedup();
        let more = problems.len().saturating_sub(TOLD);
        problems.truncate(TOLD);
        (!problems.is_empty()).then_some(Self {
            told: problems,
            more,
        })
    }

    /// The problems, or, if there are none, that nothing explains why there is no answer.
    pub(crate) fn some(problems: Vec<Problem>, file: &Path) -> Self {
        Self::of(problems).unwrap_or_else(|| Self::unexplained(file))
    }

    /// What to say where nothing else explains why there is no plan.
    pub(crate) fn unexplained(file: &Path) -> Self {
        let at = Place::of_file(file);
        let told = vec![Problem::new(&at, Code::DefinitionInvalid, "is incomplete")];
        Self { told, more: 0 }
    }

    /// How many there are, in words.
    pub fn count(&self) -> String {
        let count = self.told.len() + self.more;
        format!("{count} problem{} found", if count == 1 { "" } else { "s" })
    }

    /// The problems, as far as they are told one by one.
    pub fn all(&self) -> &[Problem] {
        &self.told
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.told {
            writeln!(f, "{problem}")?;
        }
        if self.more > 0 {
            writeln!(f, "and {} more", self.more)?;
        }
        f.write_str(&self.count())
    }
}

impl std::error::Error for Problems {}

impl Failure for Problems {
    fn code(&self) -> &'static str {
        Code::DefinitionInvalid.name()
    }
    fn hint(&self) -> &'static str {
        Code::DefinitionInvalid.hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_never_reach_a_terminal() {
        let place = Place::of_file(Path::new("x.toml"));
        let problem = Problem::new(&place, Code::PathInvalid, "a\u{1b}[31m\nb ä");
        assert_eq!(problem.message, "a\\u{1b}[31m\\nb ä");
    }

    #[test]
    fn problems_are_sorted_by_place_each_once() {
        let at = |line| Place {
            line,
            column: 1,
            ..Place::of_file(Path::new("x.toml"))
        };
        let problem = |line| Problem::new(&at(line), Code::InvalidValue, "m");
        let problems = Problems::of(vec![problem(10), problem(9), problem(10)]).unwrap();
        assert_eq!(problems.all(), [problem(9), problem(10)]);
        assert!(problems.to_string().ends_with("2 problems found"));
        assert!(Problems::of(Vec::new()).is_none());
    }
}
