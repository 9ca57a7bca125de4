//! Names in rules that stand for nothing. In Rego, a rule that reads what is not there has nothing to say, and a function
//! that is not there is missed only when it is called: a slip of the pen would let releases in. Here both are errors,
//! found in the text before anything is evaluated.

use std::collections::BTreeSet;

use regorus::{
    Source,
    unstable::{BUILTINS, Lexer, TokenKind},
};

/// Words that may stand before a parenthesis, and what the evaluator itself knows.
const WORDS: [&str; 14] = [
    "as", "contains", "default", "else", "every", "false", "if", "in", "not", "print", "set",
    "some", "true", "with",
];

/// What the files of a policy have.
#[derive(Default)]
pub(super) struct Names {
    pub(super) packages: BTreeSet<String>,
    /// Of rules and functions, whatever their package.
    pub(super) rules: BTreeSet<String>,
}

impl Names {
    /// What a file reads or calls that is not there.
    pub(super) fn problems(&self, file: &str, text: &str) -> Vec<String> {
        let source = Source::from_contents(file.to_owned(), text.to_owned());
        // What cannot be taken apart was refused by the parser already.
        let tokens = source.ok().and_then(|s| tokens(&s)).unwrap_or_default();
        let text = |at: usize| tokens.get(at).map(|token| token.text.as_str());
        let mut problems = Vec::new();
        for (first, token) in tokens.iter().enumerate() {
            let is_inside = first.checked_sub(1).is_some_and(|at| text(at) == Some("."));
            if !token.is_name || is_inside {
                continue;
            }
            let mut path = vec![token.text.as_str()];
            let mut next = first + 1;
            while text(next) == Some(".")
                && let Some(part) = tokens.get(next + 1).filter(|part| part.is_name)
            {
                path.push(&part.text);
                next += 2;
            }
            let name = path.join(".");
            let what = if path.first() == Some(&"data") && !self.has(&path) {
                "is nothing of this policy"
            } else if text(next) == Some("(") && !self.can_call(&path) {
                "is a function that there is not"
            } else {
                continue;
            };
            problems.push(format!(
                "{file}:{}:{}: {name} {what}",
                token.line, token.column
            ));
        }
        problems
    }

    /// Whether a path below `data` leads to a package, to what is above one, or to a rule in one.
    fn has(&self, path: &[&str]) -> bool {
        let path = path.get(1..).unwrap_or_default();
        self.packages.iter().any(|package| {
            let package: Vec<&str> = package.split('.').collect();
            match path.strip_prefix(package.as_slice()) {
                Some([]) => true,
                Some([rule, ..]) => self.rules.contains(*rule),
                None => path.len() > 1 && package.starts_with(path),
            }
        })
    }

    fn can_call(&self, path: &[&str]) -> bool {
        let is_word = path.len() == 1 && WORDS.contains(&path.concat().as_str());
        is_word
            || BUILTINS.contains_key(path.join(".").as_str())
            || path.last().is_some_and(|last| self.rules.contains(*last))
    }
}

struct Token {
    is_name: bool,
    text: String,
    line: u32,
    column: u32,
}

fn tokens(source: &Source) -> Option<Vec<Token>> {
    let mut lexer = Lexer::new(source);
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next_token().ok()?;
        if token.0 == TokenKind::Eof {
            return Some(tokens);
        }
        tokens.push(Token {
            is_name: token.0 == TokenKind::Ident,
            text: token.1.text().to_owned(),
            line: token.1.line,
            column: token.1.col,
        });
    }
}
