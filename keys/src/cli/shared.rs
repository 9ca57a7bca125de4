//! Arguments that several verbs share.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use clap::Args;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use sealift_verifier::time::Time;

use crate::{
    error::{Code, Error, Result},
    key_file::{KeyFile, PublicKey},
    passphrase::{PassphraseSource, Passphrases},
    root::edit,
    signer::{self, KeyArgument},
};

/// How long a root lives, in years, if nothing else is asked for.
const ROOT_YEARS: i32 = 10;

/// Where the passphrase of a key comes from. The other programs that sign take the same arguments.
#[derive(Debug, Clone, Args)]
pub struct PassphraseArgs {
    /// Read the passphrase or PIN from this open file descriptor, such as a pipe (its first line)
    #[arg(long, value_name = "N", conflicts_with = "passphrase_file")]
    passphrase_fd: Option<u32>,
    /// Read the passphrase or PIN from this file (its first line)
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

/// The id that an argument stands for: an id, its beginning, a file with the public key, or one in a token.
pub(super) fn key_id(argument: &OsStr) -> Result<String> {
    let text = argument.to_str().unwrap_or_default();
    let is_id = (8..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
    if is_id && !Path::new(argument).exists() {
        return Ok(text.to_owned());
    }
    signer::read_public(&argument.to_owned().into())?.id()
}

/// The public half of a key in a PEM file, secret or public, or in a token.
pub(super) fn public_half(key: &KeyArgument, passphrases: &mut Passphrases) -> Result<PublicKey> {
    let KeyArgument::File(path) = key else {
        return signer::read_public(key);
    };
    match KeyFile::read(path)? {
        KeyFile::Public(key) => Ok(key),
        KeyFile::Plain(key) => Ok(key.public()),
        KeyFile::Encrypted(key) => Ok(key.unlock(&passphrases.open(path)?)?.public()),
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
