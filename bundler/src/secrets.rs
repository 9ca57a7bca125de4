//! Finds what looks like a secret in a configuration. Only shapes that hardly anything else has are
//! looked for, so that a finding is worth stopping a build: private keys, and tokens whose issuers gave
//! them a prefix for exactly this purpose.

use std::io::{self, Read};

/// How much is read at a time, in bytes.
const CHUNK: usize = 1 << 20;
/// How much of a chunk is looked at again together with the next one: more than any shape needs.
const OVERLAP: usize = 8192;
/// Findings of one file that are reported.
const MOST: usize = 10;

/// Something that looks like a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Secret {
    /// The line, from 1.
    pub(crate) line: usize,
    /// What it looks like. The secret itself is never repeated: messages end up in logs.
    pub(crate) what: &'static str,
}

/// A token: a prefix that is not in the middle of a word, then at least so many of certain characters.
struct Token {
    what: &'static str,
    prefix: &'static str,
    allowed: fn(u8) -> bool,
    least: usize,
    /// Exactly so many, not more.
    exact: bool,
}

fn upper(b: u8) -> bool {
    b.is_ascii_uppercase() || b.is_ascii_digit()
}
fn word(b: u8) -> bool {
    b.is_ascii_alphanumeric()
}
fn word_line(b: u8) -> bool {
    word(b) || b == b'_'
}
fn word_dash(b: u8) -> bool {
    word(b) || b == b'-' || b == b'_'
}
fn word_dots(b: u8) -> bool {
    word_dash(b) || b == b'.'
}

const fn token(
    what: &'static str,
    prefix: &'static str,
    allowed: fn(u8) -> bool,
    least: usize,
) -> Token {
    Token {
        what,
        prefix,
        allowed,
        least,
        exact: false,
    }
}

const fn exact(
    what: &'static str,
    prefix: &'static str,
    allowed: fn(u8) -> bool,
    least: usize,
) -> Token {
    Token {
        what,
        prefix,
        allowed,
        least,
        exact: true,
    }
}

/// The shapes, from what their issuers document.
const TOKENS: &[Token] = &[
    exact("an AWS access key", "AKIA", upper, 16),
    exact("a temporary AWS access key", "ASIA", upper, 16),
    exact("a GitHub token", "ghp_", word, 36),
    exact("a GitHub token", "gho_", word, 36),
    exact("a GitHub token", "ghu_", word, 36),
    token("a GitHub token", "ghs_", word, 36),
    token("a GitHub token", "ghr_", word, 36),
    token("a GitHub token", "github_pat_", word_line, 50),
    token("a GitLab token", "glpat-", word_dots, 20),
    token("a Slack token", "xoxb-", word_dash, 20),
    token("a Slack token", "xoxp-", word_dash, 20),
    token("a Slack token", "xoxa-", word_dash, 20),
    token("a Slack token", "xoxe-", word_dash, 20),
    token("a Slack token", "xoxr-", word_dash, 20),
    token("a Slack token", "xoxs-", word_dash, 20),
    token("a Slack token", "xapp-", word_dash, 20),
    exact("a Google API key", "AIza", word_dash, 35),
    token("a Stripe key", "sk_live_", word, 16),
    token("a Stripe key", "rk_live_", word, 16),
    exact("an npm token", "npm_", word, 36),
    token("a PyPI token", "pypi-AgE", word_dash, 50),
    token("a Docker token", "dckr_pat_", word_dash, 20),
    token("a Hugging Face token", "hf_", word, 30),
    token("a SendGrid key", "SG.", word_dots, 60),
    token("a Vault token", "hvs.", word_dash, 20),
    token("an age secret key", "AGE-SECRET-KEY-1", upper, 58),
    token(
        "a minisign secret key",
        "RWRTY0Iy",
        |b| word(b) || matches!(b, b'+' | b'/' | b'='),
        100,
    ),
];

/// What looks like a secret in the text that `reader` yields, in its order; a few of them if there are many.
pub(crate) fn scan(mut reader: impl Read) -> io::Result<Vec<Secret>> {
    let mut found: Vec<Secret> = Vec::new();
    let mut buffer: Vec<u8> = Vec::new();
    let mut line = 1;
    // What precedes the buffer, as far as a word's beginning depends on it.
    let mut before = b'\n';
    loop {
        let kept = buffer.len();
        let count = (&mut reader)
            .take((CHUNK - kept) as u64)
            .read_to_end(&mut buffer)?;
        let last = count == 0;
        let mut at = 0;
        // Near the end a shape may go on in the next chunk.
        let end = if last {
            buffer.len()
        } else {
            buffer.len().saturating_sub(OVERLAP)
        };
        while at < end {
            if buffer[at] == b'\n' {
                line += 1;
            } else if let Some(what) = shape(&buffer[at..], before) {
                found.push(Secret { line, what });
                if found.len() >= MOST {
                    return Ok(found);
                }
            }
            before = buffer[at];
            at += 1;
        }
        if last {
            return Ok(found);
        }
        buffer.drain(..at);
    }
}

/// The shape that `text` begins with, if any; `before` is the byte in front of it.
fn shape(text: &[u8], before: u8) -> Option<&'static str> {
    match text.first()? {
        b'-' => private_key(text),
        b'e' if !word_dots(before) => service_token(text),
        b'A' | b'S' | b'R' | b'a'..=b'z' if !word_line(before) => {
            TOKENS.iter().find(|t| t.fits(text)).map(|t| t.what)
        }
        _ => None,
    }
}

impl Token {
    fn fits(&self, text: &[u8]) -> bool {
        text.strip_prefix(self.prefix.as_bytes())
            .is_some_and(|rest| {
                let most = if self.exact {
                    self.least + 1
                } else {
                    self.least
                };
                rest.iter()
                    .take(most)
                    .take_while(|b| (self.allowed)(**b))
                    .count()
                    == self.least
            })
    }
}

/// RFC 7468: `-----BEGIN`, a label, `-----`. Every private key's label ends in these words, PGP's in `BLOCK`.
fn private_key(text: &[u8]) -> Option<&'static str> {
    let label = text.strip_prefix(b"-----BEGIN ")?;
    let length = label.iter().take(64).position(|b| *b == b'-')?;
    let label = &label[..length];
    let private = label.ends_with(b"PRIVATE KEY")
        || label.ends_with(b"PRIVATE KEY BLOCK")
        || label.ends_with(b"SECRET KEY");
    (private && text[11 + length..].starts_with(b"-----")).then_some("a private key")
}

/// RFC 7519: two base64url objects, which begin with `{"`, and a signature.
fn service_token(text: &[u8]) -> Option<&'static str> {
    let part = |text: &[u8]| {
        text.iter()
            .take(2048)
            .take_while(|b| word_dash(**b))
            .count()
    };
    let header = part(text);
    let claims = text.get(header..)?.strip_prefix(b".")?;
    let length = part(claims);
    let signature = claims.get(length..)?.strip_prefix(b".")?;
    let fits = text.starts_with(b"eyJ") && claims.starts_with(b"eyJ");
    (fits && header >= 16 && length >= 16 && part(signature) >= 20)
        .then_some("a signed service token (JWT)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(usize, &'static str)> {
        scan(text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|s| (s.line, s.what))
            .collect()
    }

    // The samples are put together here so that no scanner takes this file for a leak.
    #[test]
    fn well_known_shapes_are_found() {
        let many = |text: &str, count: usize| text.repeat(count);
        for (text, what) in [
            (
                format!("-----BEGIN {}PRIVATE KEY-----\nMIIE", ""),
                "a private key",
            ),
            (
                format!("  -----BEGIN {} PRIVATE KEY-----", "RSA"),
                "a private key",
            ),
            (
                format!("-----BEGIN {} PRIVATE KEY-----", "OPENSSH"),
                "a private key",
            ),
            (
                format!("-----BEGIN PGP {} KEY BLOCK-----", "PRIVATE"),
                "a private key",
            ),
            (
                format!("key = \"AKIA{}\"", many("Q7", 8)),
                "an AWS access key",
            ),
            (format!("GITHUB=ghp_{}", many("aB3", 12)), "a GitHub token"),
            (format!("github_pat_{}", many("a_B3", 20)), "a GitHub token"),
            (format!("xoxb-{}", many("12-", 10)), "a Slack token"),
            (format!("AIza{}", many("x-_y7", 7)), "a Google API key"),
            (
                format!("AGE-SECRET-KEY-1{}", many("QZ", 29)),
                "an age secret key",
            ),
            (
                format!(
                    "Bearer eyJ{}.eyJ{}.{}",
                    many("hb", 10),
                    many("zd", 10),
                    many("Qx", 20)
                ),
                "a signed service token (JWT)",
            ),
        ] {
            assert_eq!(found(&format!("a = 1\n{text}\n")), [(2, what)], "{text}");
        }
    }

    #[test]
    fn ordinary_configuration_is_left_alone() {
        for text in [
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            "-----BEGIN PUBLIC KEY-----",
            "-----BEGIN PRIVATE KEY",
            "region = \"AKIA\"",
            "key = AKIAqqqqqqqqqqqqqqqq",
            "the ghp_ prefix",
            "password_file = /run/secrets/db",
            "eyJhbGciOi.not-a-token",
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
        // Longer than the shape is: not that shape.
        assert_eq!(found(&format!("AKIA{}", "Q".repeat(17))), []);
        assert_eq!(found(&format!("xAKIA{}", "Q".repeat(16))), []);
    }

    #[test]
    fn a_secret_across_chunks_is_found_once() {
        let token = format!("ghp_{}", "aB3".repeat(12));
        for shift in (0..50).step_by(7) {
            let mut text = "x".repeat(CHUNK - OVERLAP - 25 + shift);
            text.push('\n');
            text.push_str(&token);
            text.push('\n');
            text.push_str(&"y".repeat(CHUNK));
            assert_eq!(found(&text), [(2, "a GitHub token")], "{shift}");
        }
    }

    #[test]
    fn many_findings_are_cut_off_and_any_bytes_are_read() {
        assert_eq!(
            found(&format!("ghp_{}\n", "aB3".repeat(12)).repeat(100)).len(),
            MOST
        );
        assert!(scan(&[0xff, 0, b'-', b'e', b'A'][..]).unwrap().is_empty());
    }
}
