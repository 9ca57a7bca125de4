//! Arguments that several verbs share.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use sealift_verifier::time::Time;

use crate::{
    disk,
    error::{Code, Error, Result},
    key_file::{self, KeyFile},
    passphrase::{PassphraseSource, Passphrases},
    root::edit,
    signer::FileSigner,
};

/// How long a root lives, in years, if nothing else is asked for.
const ROOT_YEARS: i32 = 10;

/// Where the passphrase of a key comes from. The other programs that sign take the same arguments.
#[derive(Debug, Clone, Args)]
pub struct PassphraseArgs {
    /// Read the passphrase from this open file descriptor, such as a pipe (its first line)
    #[arg(long, value_name = "N", conflicts_with = "passphrase_file")]
    passphrase_fd: Option<u32>,
    /// Read the passphrase from this file (its first line)
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    /// Asks for, or reads, nothing yet.
    pub fn passphrases(self) -> Passphrases {
        Passphrases::new(match (self.passphrase_fd, self.passphrase_file) {
            (Some(number), _) => PassphraseSource::Descriptor(number),
            (_, Some(path)) => PassphraseSource::File(path),
            _ => PassphraseSource::Prompt,
        })
    }

    pub(super) fn are_given(&self) -> bool {
        self.passphrase_fd.is_some() || self.passphrase_file.is_some()
    }
}

/// How a new secret key is protected.
#[derive(Debug, Args)]
pub(super) struct NewKeyArgs {
    /// Throw-away keys for development: not encrypted, no passphrase
    #[arg(long)]
    pub(super) dev: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl NewKeyArgs {
    /// Where passphrases come from; nothing for keys that get none.
    pub(super) fn passphrases(self) -> Result<Option<Passphrases>> {
        if !self.dev {
            return Ok(Some(self.passphrase.passphrases()));
        }
        if self.passphrase.are_given() {
            return Err(Error::new(
                Code::Usage,
                "--dev",
                "makes keys without a passphrase, and one is given",
            ));
        }
        Ok(None)
    }
}

#[derive(Debug, Args)]
pub(super) struct ExpiresArgs {
    /// When the root stops being valid, such as 2036-01-01T00:00:00Z [default: in ten years]
    #[arg(long, value_name = "TIME")]
    expires: Option<Time>,
}

impl ExpiresArgs {
    pub(super) fn get(&self, now: Time) -> Result<Time> {
        let expires = match self.expires {
            Some(expires) => expires,
            None => in_years(now, ROOT_YEARS)?,
        };
        edit::check_expiry(expires, now, "root")?;
        Ok(expires)
    }
}

/// The same date and time of day, `years` later.
fn in_years(now: Time, years: i32) -> Result<Time> {
    let late = |e: jiff::Error| Error::new(Code::Usage, "--expires", e.to_string());
    let now = Timestamp::from_second(now.unix()).map_err(late)?;
    let later = now
        .to_zoned(TimeZone::UTC)
        .checked_add(years.years())
        .map_err(late)?;
    Ok(Time::from_unix(later.timestamp().as_second())?)
}

/// A secret key to sign with, and a note if others can read its file.
pub(super) fn open_signer(
    path: &Path,
    passphrases: &mut Passphrases,
) -> Result<(FileSigner, Option<String>)> {
    let signer = FileSigner::open(path, passphrases)?;
    let note = disk::is_exposed(path).then(|| {
        format!(
            "{0} can be read by others on this machine: chmod 600 {0}",
            path.display()
        )
    });
    Ok((signer, note))
}

/// The id that an argument stands for: an id, its beginning, or a file with the public key.
pub(super) fn key_id(argument: &str) -> Result<String> {
    let is_id = (8..=64).contains(&argument.len())
        && argument
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
    if is_id && !Path::new(argument).exists() {
        return Ok(argument.to_owned());
    }
    key_file::read_public(Path::new(argument))?.id()
}

/// The id of the key in a PEM file, secret or public.
pub(super) fn key_id_of_file(path: &Path, passphrases: &mut Passphrases) -> Result<String> {
    match KeyFile::read(path)? {
        KeyFile::Public(key) => key.id(),
        KeyFile::Plain(key) => key.public().id(),
        KeyFile::Encrypted(key) => key.unlock(&passphrases.open(path)?)?.public().id(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leap_day_has_no_twin_in_ten_years() {
        let time = |text: &str| text.parse::<Time>().unwrap();
        assert_eq!(
            in_years(time("2026-11-21T10:20:30Z"), 10).unwrap(),
            time("2036-11-21T10:20:30Z")
        );
        assert_eq!(
            in_years(time("2028-02-29T00:00:00Z"), 10).unwrap(),
            time("2038-02-28T00:00:00Z")
        );
        assert_eq!(
            in_years(time("9995-01-01T00:00:00Z"), 10)
                .unwrap_err()
                .kind(),
            Some(Code::Usage)
        );
    }
}
