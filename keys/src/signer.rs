//! What can sign. Everything here that makes signatures takes a [`Signer`], so that a token (PKCS#11) can
//! stand in for a key file: [`open`] gives either, as a [`KeyArgument`] says.

use std::{
    convert::Infallible,
    ffi::OsString,
    fmt,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
    str::FromStr,
};

use sealift_verifier::{
    digest::hex,
    tuf::{Key, Signature},
};

use zeroize::Zeroizing;

use crate::{
    disk,
    error::Result,
    key_file::{self, PublicKey, SecretKey},
    passphrase::Passphrases,
    token::{self, Pin, SCHEME, TokenUri},
};

/// Somebody or something that holds an Ed25519 secret key.
pub trait Signer: Send + Sync {
    /// The public half, 32 bytes as in RFC 8032.
    fn public_key(&self) -> [u8; 32];

    /// The Ed25519 signature of `message` (RFC 8032 5.1.6; the message itself, no digest of it).
    fn sign(&self, message: &[u8]) -> Result<[u8; 64]>;
}

/// Signs with a key that was read from a file.
pub struct FileSigner(SecretKey);

impl FileSigner {
    /// Reads a secret key; `passphrases` is asked only if the file is encrypted.
    pub fn open(path: &Path, passphrases: &mut Passphrases) -> Result<Self> {
        key_file::read_secret(path, passphrases).map(Self)
    }
}

impl From<SecretKey> for FileSigner {
    fn from(key: SecretKey) -> Self {
        Self(key)
    }
}

impl Signer for FileSigner {
    fn public_key(&self) -> [u8; 32] {
        self.0.public().to_bytes()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64]> {
        Ok(self.0.sign(message))
    }
}

/// A key as people name it, for example with `--key`: a file, or a PKCS#11 URI. Programs take it from their
/// command line as it is; only [`open`] says what is wrong with it, because clap would show a PIN in it.
#[derive(Clone)]
pub enum KeyArgument {
    /// A PEM file.
    File(PathBuf),
    /// What begins with `pkcs11:`. A file of such a name is meant by `./pkcs11:`…
    Token(Zeroizing<Vec<u8>>),
}

impl From<OsString> for KeyArgument {
    fn from(argument: OsString) -> Self {
        if TokenUri::is_meant(argument.as_encoded_bytes()) {
            Self::Token(Zeroizing::new(argument.into_vec()))
        } else {
            Self::File(argument.into())
        }
    }
}

impl FromStr for KeyArgument {
    type Err = Infallible;

    fn from_str(argument: &str) -> Result<Self, Infallible> {
        Ok(OsString::from(argument).into())
    }
}

/// Without the PIN, and without whatever else may be in a URI that cannot be read.
impl fmt::Display for KeyArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Token(uri) => match TokenUri::parse(uri) {
                Ok(uri) => uri.fmt(f),
                Err(_) => write!(f, "{SCHEME}…"),
            },
        }
    }
}

impl fmt::Debug for KeyArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl KeyArgument {
    /// What a person has to know who hands over a secret in this way, such as that others can read it.
    pub fn warning(&self) -> Option<String> {
        let exposed = |path: &Path| {
            disk::is_exposed(path).then(|| {
                format!(
                    "{0} can be read by others on this machine: chmod 600 {0}",
                    path.display()
                )
            })
        };
        match self {
            Self::File(path) => exposed(path),
            Self::Token(uri) => match TokenUri::parse(uri).ok()?.pin? {
                Pin::Source(path) => exposed(&path),
                Pin::Value(_) => Some(
                    "everybody on this machine can read the PIN in the arguments: write it to a file and give pin-source".into(),
                ),
            },
        }
    }
}

/// Opens a secret key to sign with: a file, whose passphrase is asked for if it is encrypted, or a key in a
/// token, whose PIN is asked for unless its URI has it.
///
/// ```
/// use sealift_keys::{ceremony, passphrase::{PassphraseSource, Passphrases}, signer::{self, KeyArgument}};
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("key.pem");
/// ceremony::generate(&path, None)?;
/// let mut passphrases = Passphrases::new(PassphraseSource::Prompt);
/// let signer = signer::open(&KeyArgument::File(path), &mut passphrases)?;
/// assert_eq!(signer.sign(b"message")?.len(), 64);
/// # Ok::<(), sealift_keys::Error>(())
/// ```
pub fn open(key: &KeyArgument, passphrases: &mut Passphrases) -> Result<Box<dyn Signer>> {
    match key {
        KeyArgument::File(path) => Ok(Box::new(FileSigner::open(path, passphrases)?)),
        KeyArgument::Token(uri) => token::open(&TokenUri::parse(uri)?, passphrases),
    }
}

/// The public key that an argument means: a file with a public key, or a key in a token.
pub fn read_public(key: &KeyArgument) -> Result<PublicKey> {
    match key {
        KeyArgument::File(path) => key_file::read_public(path),
        KeyArgument::Token(uri) => token::public_key(&TokenUri::parse(uri)?),
    }
}

/// The public half of a signer. A token that hands out an unusable key is refused.
pub fn public_key(signer: &dyn Signer) -> Result<PublicKey> {
    PublicKey::from_bytes(signer.public_key(), "signer")
}

/// The signature of `message` in the form of TUF metadata: key id and hexadecimal digits.
///
/// ```
/// use sealift_keys::{key_file::SecretKey, signer::{FileSigner, tuf_signature}};
/// let signer = FileSigner::from(SecretKey::generate()?);
/// let signature = tuf_signature(&signer, b"message")?;
/// assert_eq!(signature.sig.len(), 128);
/// # Ok::<(), sealift_keys::Error>(())
/// ```
pub fn tuf_signature(signer: &dyn Signer, message: &[u8]) -> Result<Signature> {
    Ok(Signature {
        keyid: Key::ed25519(&signer.public_key()).id()?,
        sig: hex(&signer.sign(message)?),
    })
}
