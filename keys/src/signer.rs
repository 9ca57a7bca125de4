//! What can sign. Everything here that makes signatures takes a [`Signer`], so that a token (PKCS#11) can
//! stand in for a key file.

use std::path::Path;

use sealift_verifier::{
    digest::hex,
    tuf::{Key, Signature},
};

use crate::{
    error::Result,
    key_file::{self, PublicKey, SecretKey},
    passphrase::Passphrases,
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
