//! `sign`: a further signature for a bundle that needs several.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use sealift_verifier::time::Time;
use serde_json::json;

use super::{Report, shared::PassphraseArgs};
use crate::{
    disk,
    error::{Code, Error, Result},
    root::edit,
    signer::{self, KeyArgument},
    travel::{DetachedSignature, TO_SIGN_BYTES, ToSign},
};

/// Sign what `sealift-bundler build` left as OUT.tosign
///
/// Shows what is signed, and writes a small file for `sealift-bundler seal`. What is shown is taken from
/// the content itself; a file that does not hold together is refused.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The .tosign file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The secret release key: a file, or pkcs11:… for one in a token (RFC 7512)
    #[arg(long, value_name = "KEY")]
    key: KeyArgument,
    /// Where the signature goes [default: FILE.KEYID.sig, with the first eight digits of the key id]
    #[arg(
        short = 'o',
        long = "out",
        visible_alias = "signature",
        value_name = "SIG"
    )]
    signature: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl Args {
    pub(super) fn run(self, now: Time) -> Result<Report> {
        let subject = self.file.display().to_string();
        let to_sign = ToSign::parse(&disk::read(&self.file, TO_SIGN_BYTES)?, &subject)?;
        edit::check_expiry(to_sign.expires(), now, &subject)?;
        let signer = signer::open(&self.key, &mut self.passphrase.passphrases())?;
        let signature = DetachedSignature::make(&to_sign, signer.as_ref())?;
        let path = match self.signature {
            Some(path) => path,
            None => default_path(&self.file, signature.keyid())?,
        };
        disk::publish(&path, &signature.to_bytes()?)?;

        let targets = &to_sign.targets().targets;
        let bytes = targets
            .values()
            .fold(0, |sum: u64, target| sum.saturating_add(target.length));
        let text = format!(
            "product    {} {} (as the file says; signed is the release digest)\n\
             release    {}\n\
             counter    {}\n\
             expires    {}\n\
             content    {} files, {bytes} bytes\n\
             key id     {}\n\
             signature  {}\n",
            to_sign.product(),
            to_sign.version(),
            to_sign.release(),
            to_sign.counter(),
            to_sign.expires(),
            targets.len(),
            signature.keyid(),
            path.display(),
        );
        Ok(Report {
            text,
            json: json!({
                "product": to_sign.product(),
                "version": to_sign.version(),
                "release": to_sign.release(),
                "counter": to_sign.counter(),
                "expires": to_sign.expires(),
                "files": targets.len(),
                "bytes": bytes,
                "keyid": signature.keyid(),
                "signature": path,
            }),
            notes: self.key.warning().into_iter().collect(),
        })
    }
}

fn default_path(file: &Path, keyid: &str) -> Result<PathBuf> {
    let name = file
        .file_name()
        .ok_or_else(|| Error::new(Code::Usage, file.display(), "names no file"))?;
    let mut signature = OsString::from(name);
    signature.push(format!(".{}.sig", keyid.get(..8).unwrap_or(keyid)));
    Ok(file.with_file_name(signature))
}
