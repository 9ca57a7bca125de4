//! Passphrases and where they come from: a prompt, a file descriptor or a file. Never an argument and
//! never the environment, because others can read both.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use zeroize::{Zeroize, Zeroizing};

use crate::error::{Code, Error, Result};

/// Longest passphrase in bytes.
pub const PASSPHRASE_BYTES: usize = 1024;

/// A passphrase, wiped when it is dropped.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Takes the first line of `bytes`, as OpenSSL does with `-passin file:`. `subject` names the source
    /// in errors.
    pub fn from_first_line(mut bytes: Zeroizing<Vec<u8>>, subject: &str) -> Result<Self> {
        let end = bytes
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(bytes.len());
        bytes.truncate(end);
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        if bytes.is_empty() {
            return Err(Error::new(
                Code::PassphraseEmpty,
                subject,
                "holds no passphrase",
            ));
        }
        if bytes.len() > PASSPHRASE_BYTES {
            return Err(Error::new(
                Code::PassphraseTooLong,
                subject,
                format!("has a first line of more than {PASSPHRASE_BYTES} bytes"),
            ));
        }
        Ok(Self(bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Where a passphrase comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PassphraseSource {
    /// A person at the terminal is asked.
    #[default]
    Prompt,
    /// An open file descriptor of this process, such as a pipe.
    Descriptor(u32),
    /// The first line of a file.
    File(PathBuf),
}

/// Gives the passphrases of one run. A file or descriptor is read once and serves every key of that run.
pub struct Passphrases {
    source: PassphraseSource,
    kept: Option<Passphrase>,
}

impl Passphrases {
    /// Reads nothing yet: an unencrypted key needs no passphrase.
    pub fn new(source: PassphraseSource) -> Self {
        Self { source, kept: None }
    }

    /// The passphrase of the key file at `path`, which is there already.
    pub fn open(&mut self, path: &Path) -> Result<Passphrase> {
        self.get(&format!("Passphrase of {}: ", path.display()), None)
    }

    /// The PIN of a token; `token` says which one, and what has to be known before it is typed.
    pub fn pin(&mut self, token: &str) -> Result<Passphrase> {
        self.get(&format!("PIN of {token}: "), None)
    }

    /// The passphrase for a key file that is to be made; a person has to type it twice.
    pub fn choose(&mut self, path: &Path) -> Result<Passphrase> {
        let path = path.display();
        self.get(
            &format!("New passphrase for {path}: "),
            Some(&format!("Once more, for {path}: ")),
        )
    }

    fn get(&mut self, prompt: &str, again: Option<&str>) -> Result<Passphrase> {
        let path = match &self.source {
            PassphraseSource::Prompt => return ask(prompt, again),
            PassphraseSource::File(path) => path.clone(),
            // Opening it by this name needs no unsafe code, and works for files and pipes alike.
            PassphraseSource::Descriptor(number) => format!("/proc/self/fd/{number}").into(),
        };
        let kept = match self.kept.take() {
            Some(kept) => kept,
            None => read(&path)?,
        };
        let copy = Passphrase(kept.0.clone());
        self.kept = Some(kept);
        Ok(copy)
    }
}

/// Reads a passphrase from a file or a pipe, and no more than a passphrase may be long.
pub(crate) fn read(path: &Path) -> Result<Passphrase> {
    let error = |e| Error::io(path, e);
    let most = PASSPHRASE_BYTES + 2;
    let mut bytes = Zeroizing::new(Vec::with_capacity(most + 64));
    File::open(path)
        .map_err(error)?
        .take(most as u64)
        .read_to_end(&mut bytes)
        .map_err(error)?;
    Passphrase::from_first_line(bytes, &path.display().to_string())
}

fn ask(prompt: &str, again: Option<&str>) -> Result<Passphrase> {
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt)
            .map(|text| Zeroizing::new(text.into_bytes()))
            .map_err(|e| Error::new(Code::PassphraseUnavailable, "terminal", e.to_string()))
    };
    let first = ask(prompt)?;
    if let Some(again) = again {
        let mut second = ask(again)?;
        let same = *first == *second;
        second.zeroize();
        if !same {
            return Err(Error::new(
                Code::PassphraseMismatch,
                "passphrase",
                "was not typed twice in the same way",
            ));
        }
    }
    Passphrase::from_first_line(first, "terminal")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bytes: &[u8]) -> Result<Vec<u8>> {
        let passphrase = Passphrase::from_first_line(Zeroizing::new(bytes.to_vec()), "test")?;
        Ok(passphrase.as_bytes().to_vec())
    }

    #[test]
    fn the_first_line_counts() {
        assert_eq!(line(b"secret").unwrap(), b"secret");
        assert_eq!(line(b"secret\nmore\n").unwrap(), b"secret");
        assert_eq!(line(b"with space \r\n").unwrap(), b"with space ");
        assert_eq!(
            line(b"\nx").unwrap_err().kind(),
            Some(Code::PassphraseEmpty)
        );
        assert_eq!(line(&[b'a'; 1024]).unwrap().len(), 1024);
        assert_eq!(
            line(&[b'a'; 1025]).unwrap_err().kind(),
            Some(Code::PassphraseTooLong)
        );
    }

    #[test]
    fn an_endless_source_is_not_read_to_its_end() {
        let mut zero = Passphrases::new(PassphraseSource::File("/dev/zero".into()));
        let error = zero.open(Path::new("key")).err().unwrap();
        assert_eq!(error.kind(), Some(Code::PassphraseTooLong));
        let mut missing = Passphrases::new(PassphraseSource::Descriptor(999));
        assert_eq!(
            missing.open(Path::new("key")).err().unwrap().kind(),
            Some(Code::NotFound)
        );
    }
}
