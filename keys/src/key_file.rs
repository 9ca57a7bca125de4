//! Key files: secret keys as PKCS#8 PEM (RFC 5958, RFC 8410), encrypted unless they are throw-away keys,
//! and public keys as SPKI PEM (RFC 8410). OpenSSL reads what is written here, and the reverse.

use std::path::Path;

use ed25519_dalek::{
    Signer as _, SigningKey, VerifyingKey,
    pkcs8::{KeypairBytes, PublicKeyBytes},
};
use pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey,
    EncryptedPrivateKeyInfoRef, LineEnding, ObjectIdentifier, PrivateKeyInfoRef, SecretDocument,
    SubjectPublicKeyInfoRef,
    der::{Decode, ErrorKind, Tag, pem::PemLabel},
    pkcs5::{
        self, EncryptionScheme,
        pbes2::{Kdf, Parameters, ScryptParams},
        scrypt,
    },
};
use sealift_verifier::tuf::Key;
use zeroize::Zeroizing;

use crate::{
    disk,
    error::{Code, Error, Result},
    passphrase::{Passphrase, Passphrases},
};

/// Longest key file in bytes. One of ours has some 400.
pub const KEY_FILE_BYTES: u64 = 16 << 10;

/// log2 of scrypt's N for the files that we write.
///
/// N = 2^15, r = 7, p = 5 is the most that OpenSSL 3 reads: it refuses to use more than 32 MiB, and takes
/// 28 MiB for this. The work, N·r·p, is that of the usual recommendation for scrypt (2^17, 8, 1).
const SCRYPT_LOG_N: u8 = 15;
const SCRYPT_R: u32 = 7;
const SCRYPT_P: u32 = 5;

/// Most memory that a key file may make us take for its key derivation, in bytes.
const KDF_MEMORY: u64 = 256 << 20;
/// Most work of scrypt, N·r·p, that a key file may ask for: some ten times the usual recommendation.
const SCRYPT_WORK: u64 = 16 << 20;
/// Most iterations of PBKDF2 that a key file may ask for: some seconds.
const PBKDF2_ITERATIONS: u32 = 10_000_000;

/// An Ed25519 secret key. Its bytes are wiped when it is dropped, and never shown.
pub struct SecretKey(SigningKey);

/// An Ed25519 public key that verification will accept: a point of full order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl SecretKey {
    /// A new key from the random numbers of the operating system.
    pub fn generate() -> Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        disk::fill_random(&mut *seed)?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// The Ed25519 signature of `message` (RFC 8032 5.1.6).
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// The key as PKCS#8 PEM, encrypted with scrypt and AES-256-CBC if there is a passphrase.
    pub fn to_pem(&self, passphrase: Option<&Passphrase>) -> Result<Zeroizing<String>> {
        // Without the public half this is version 1 of PKCS#8, the only one that OpenSSL 3.0 reads.
        let pair = KeypairBytes {
            secret_key: self.0.to_bytes(),
            public_key: None,
        };
        let pem = match passphrase {
            None => pair.to_pkcs8_pem(LineEnding::LF),
            Some(passphrase) => encrypt(&pair, passphrase),
        };
        pem.map_err(|e| Error::new(Code::KeyInvalid, "new key", e.to_string()))
    }
}

fn encrypt(pair: &KeypairBytes, passphrase: &Passphrase) -> pkcs8::Result<Zeroizing<String>> {
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    disk::fill_random(&mut salt).map_err(|_| pkcs5::Error::Rng)?;
    disk::fill_random(&mut iv).map_err(|_| pkcs5::Error::Rng)?;
    let cost = scrypt::Params::new(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P)
        .map_err(|_| pkcs5::Error::EncryptFailed)?;
    let parameters = Parameters::generate_scrypt_aes256cbc(cost, &salt, iv)?;
    let plain = pair.to_pkcs8_der()?;
    let encrypted = parameters.encrypt(passphrase.as_bytes(), plain.as_bytes())?;
    let info = pkcs8::EncryptedPrivateKeyInfo {
        encryption_algorithm: EncryptionScheme::Pbes2(parameters),
        encrypted_data: pkcs8::der::asn1::OctetStringRef::new(&encrypted)?,
    };
    Ok(SecretDocument::try_from(info)?
        .to_pem(EncryptedPrivateKeyInfoRef::PEM_LABEL, LineEnding::LF)?)
}

impl PublicKey {
    /// From the 32 bytes of RFC 8032. Refused are bytes that are no point, points of small order, for
    /// which a signature says nothing, and points in other than their canonical form, because one key
    /// in two forms would count as two.
    pub fn from_bytes(bytes: [u8; 32], subject: &str) -> Result<Self> {
        match VerifyingKey::from_bytes(&bytes) {
            Ok(key) if !key.is_weak() && key.to_edwards().compress().0 == bytes => Ok(Self(bytes)),
            _ => Err(Error::new(
                Code::KeyInvalid,
                subject,
                "is no point of full order in canonical form on Ed25519's curve",
            )),
        }
    }

    /// The 32 bytes of RFC 8032.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// The key as TUF metadata lists it.
    pub fn to_tuf(self) -> Key {
        Key::ed25519(&self.0)
    }

    /// Its id: the SHA-256 of the canonical JSON of [`PublicKey::to_tuf`], in hexadecimal digits.
    pub fn id(self) -> Result<String> {
        Ok(self.to_tuf().id()?)
    }

    /// The key as SPKI PEM.
    pub fn to_pem(self) -> Result<String> {
        PublicKeyBytes(self.0)
            .to_public_key_pem(LineEnding::LF)
            .map_err(|e| Error::new(Code::KeyInvalid, "public key", e.to_string()))
    }
}

/// What a PEM file holds.
pub enum KeyFile {
    /// A public key.
    Public(PublicKey),
    /// An unencrypted secret key.
    Plain(SecretKey),
    /// An encrypted secret key.
    Encrypted(EncryptedKey),
}

/// A secret key that needs its passphrase.
pub struct EncryptedKey {
    document: SecretDocument,
    subject: String,
}

impl KeyFile {
    /// Reads a key file of at most [`KEY_FILE_BYTES`].
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(
            &disk::read(path, KEY_FILE_BYTES)?,
            &path.display().to_string(),
        )
    }

    /// Reads one PEM; `subject` names it in errors.
    pub fn parse(bytes: &[u8], subject: &str) -> Result<Self> {
        let damaged = |detail: String| Error::new(Code::PemInvalid, subject, detail);
        let text = str::from_utf8(bytes).map_err(|_| damaged("is no text".into()))?;
        let Some(label) = label(text) else {
            return Err(damaged("does not hold a PEM block (-----BEGIN …)".into()));
        };
        let format = |what: &str| Err(Error::new(Code::KeyFormat, subject, format!("is {what}")));
        match label {
            "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" | "PUBLIC KEY" => {}
            "RSA PRIVATE KEY" | "RSA PUBLIC KEY" => return Err(wrong_type(subject, "an RSA key")),
            "EC PRIVATE KEY" => return Err(wrong_type(subject, "an elliptic-curve (ECDSA) key")),
            "DSA PRIVATE KEY" => return Err(wrong_type(subject, "a DSA key")),
            "OPENSSH PRIVATE KEY" => return format("a key in OpenSSH's own form"),
            "CERTIFICATE" => return format("a certificate, no key"),
            other => return format(&format!("a PEM of kind {other:?}")),
        }
        let (_, document) = SecretDocument::from_pem(text).map_err(|e| damaged(e.to_string()))?;
        match label {
            "PUBLIC KEY" => parse_public(document.as_bytes(), subject).map(Self::Public),
            "PRIVATE KEY" => parse_secret(document.as_bytes(), subject).map(Self::Plain),
            _ => {
                let subject = subject.to_owned();
                Ok(Self::Encrypted(EncryptedKey { document, subject }))
            }
        }
    }
}

impl EncryptedKey {
    /// Decrypts the key. What its file demands of the key derivation is bounded before it is done.
    pub fn unlock(&self, passphrase: &Passphrase) -> Result<SecretKey> {
        let subject = &self.subject;
        let info = EncryptedPrivateKeyInfoRef::try_from(self.document.as_bytes()).map_err(|e| {
            let code = match e {
                pkcs8::Error::Asn1(e) if is_unknown_algorithm(e.kind()) => {
                    Code::EncryptionUnsupported
                }
                _ => Code::PemInvalid,
            };
            Error::new(code, subject, e.to_string())
        })?;
        check_derivation(&info.encryption_algorithm, subject)?;
        let wrong = || {
            Error::new(
                Code::PassphraseWrong,
                subject,
                "the passphrase does not open this key",
            )
        };
        let plain = info.decrypt(passphrase.as_bytes()).map_err(|e| match e {
            pkcs8::Error::EncryptedPrivateKey(
                pkcs5::Error::UnsupportedAlgorithm { .. }
                | pkcs5::Error::AlgorithmParametersInvalid { .. },
            ) => Error::new(Code::EncryptionUnsupported, subject, e.to_string()),
            _ => wrong(),
        })?;
        // By chance, one wrong passphrase in 256 leaves padding that looks right, and nonsense before it.
        if PrivateKeyInfoRef::try_from(plain.as_bytes()).is_err() {
            return Err(wrong());
        }
        parse_secret(plain.as_bytes(), subject)
    }
}

/// Reads a secret key and asks for its passphrase where it has one.
pub fn read_secret(path: &Path, passphrases: &mut Passphrases) -> Result<SecretKey> {
    match KeyFile::read(path)? {
        KeyFile::Plain(key) => Ok(key),
        KeyFile::Encrypted(key) => key.unlock(&passphrases.open(path)?),
        KeyFile::Public(_) => Err(Error::new(
            Code::PublicKeyGiven,
            path.display(),
            "is a public key, and nothing can be signed with it",
        )),
    }
}

/// Reads a public key.
pub fn read_public(path: &Path) -> Result<PublicKey> {
    match KeyFile::read(path)? {
        KeyFile::Public(key) => Ok(key),
        _ => Err(Error::new(
            Code::SecretKeyGiven,
            path.display(),
            "is a secret key, and a public one is asked for",
        )),
    }
}

/// The label of the first PEM block, whatever stands before it.
fn label(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, _) = rest.split_once("-----")?;
    Some(label).filter(|label| !label.contains('\n'))
}

fn wrong_type(subject: &str, what: &str) -> Error {
    Error::new(Code::KeyType, subject, format!("is {what}, not Ed25519"))
}

fn check_algorithm(oid: ObjectIdentifier, subject: &str) -> Result<()> {
    const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
    const ECDSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
    const X25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.110");
    const ED448: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.113");
    match oid {
        ed25519_dalek::pkcs8::ALGORITHM_OID => Ok(()),
        RSA => Err(wrong_type(subject, "an RSA key")),
        ECDSA => Err(wrong_type(subject, "an elliptic-curve (ECDSA) key")),
        X25519 => Err(wrong_type(subject, "an X25519 key, which cannot sign")),
        ED448 => Err(wrong_type(subject, "an Ed448 key")),
        other => Err(wrong_type(subject, &format!("a key of type {other}"))),
    }
}

fn parse_secret(der: &[u8], subject: &str) -> Result<SecretKey> {
    let damaged = |e: &dyn std::fmt::Display| Error::new(Code::KeyInvalid, subject, e.to_string());
    let info = PrivateKeyInfoRef::try_from(der).map_err(|e| damaged(&e))?;
    check_algorithm(info.algorithm.oid, subject)?;
    // Where the file carries the public half, too, it is held to the secret one.
    SigningKey::from_pkcs8_der(der)
        .map(SecretKey)
        .map_err(|e| damaged(&e))
}

fn parse_public(der: &[u8], subject: &str) -> Result<PublicKey> {
    let damaged = |e: &dyn std::fmt::Display| Error::new(Code::KeyInvalid, subject, e.to_string());
    let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|e| damaged(&e))?;
    check_algorithm(info.algorithm.oid, subject)?;
    let bytes = PublicKeyBytes::from_public_key_der(der).map_err(|e| damaged(&e))?;
    PublicKey::from_bytes(bytes.to_bytes(), subject)
}

/// Whether DER could not be read because it names a way of encryption that the library does not know.
fn is_unknown_algorithm(kind: ErrorKind) -> bool {
    let oid = Tag::ObjectIdentifier;
    matches!(kind, ErrorKind::OidUnknown { .. }) || kind == ErrorKind::Value { tag: oid }
}

/// Refuses a key derivation that would take minutes or gigabytes, before any of it is done.
fn check_derivation(scheme: &EncryptionScheme, subject: &str) -> Result<()> {
    let refuse = |detail: &str| Err(Error::new(Code::EncryptionUnsupported, subject, detail));
    let EncryptionScheme::Pbes2(parameters) = scheme else {
        return refuse("is encrypted in the outdated way of PKCS#5 version 1");
    };
    match &parameters.kdf {
        Kdf::Scrypt(scrypt) if scrypt_fits(scrypt) => Ok(()),
        Kdf::Scrypt(_) => refuse("demands more memory or work of scrypt than a key file may"),
        Kdf::Pbkdf2(pbkdf2) if (1..=PBKDF2_ITERATIONS).contains(&pbkdf2.iteration_count) => Ok(()),
        Kdf::Pbkdf2(_) => refuse("demands more iterations of PBKDF2 than a key file may, or none"),
        _ => refuse("has an unknown key derivation"),
    }
}

fn scrypt_fits(scrypt: &ScryptParams) -> bool {
    let n = scrypt.cost_parameter;
    let (r, p) = (
        u64::from(scrypt.block_size),
        u64::from(scrypt.parallelization),
    );
    let memory = n.saturating_add(p).saturating_mul(r).saturating_mul(128);
    let work = n.saturating_mul(r).saturating_mul(p);
    n.is_power_of_two() && n > 1 && memory <= KDF_MEMORY && (1..=SCRYPT_WORK).contains(&work)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::from_first_line(Zeroizing::new(text.into()), "test").unwrap()
    }

    fn code(result: Result<impl Sized>) -> Option<Code> {
        result.err().unwrap().kind()
    }

    fn unlock(pem: &str, text: &str) -> Result<SecretKey> {
        match KeyFile::parse(pem.as_bytes(), "test")? {
            KeyFile::Encrypted(key) => key.unlock(&passphrase(text)),
            _ => panic!("not encrypted"),
        }
    }

    /// An encrypted key file with other demands of scrypt than ours.
    fn with_scrypt(n: u64, r: u16, p: u16) -> Result<SecretKey> {
        let kdf = Kdf::Scrypt(ScryptParams {
            salt: [7; 16].as_slice().try_into().unwrap(),
            cost_parameter: n,
            block_size: r,
            parallelization: p,
            key_length: None,
        });
        let encryption = pkcs5::pbes2::EncryptionScheme::Aes256Cbc { iv: [0; 16] };
        let info = pkcs8::EncryptedPrivateKeyInfo {
            encryption_algorithm: EncryptionScheme::Pbes2(Parameters { kdf, encryption }),
            encrypted_data: pkcs8::der::asn1::OctetStringRef::new(&[0; 48]).unwrap(),
        };
        let document = SecretDocument::try_from(info).unwrap();
        unlock(
            &document
                .to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF)
                .unwrap(),
            "x",
        )
    }

    #[test]
    fn keys_come_back_and_only_with_their_passphrase() {
        let key = SecretKey::generate().unwrap();
        let plain = key.to_pem(None).unwrap();
        let KeyFile::Plain(read) = KeyFile::parse(plain.as_bytes(), "test").unwrap() else {
            panic!("not plain");
        };
        assert_eq!(read.public(), key.public());
        assert_eq!(read.sign(b"x"), key.sign(b"x"));
        let encrypted = key.to_pem(Some(&passphrase("correct horse"))).unwrap();
        assert_eq!(
            unlock(&encrypted, "correct horse").unwrap().public(),
            key.public()
        );
        for wrong in ["correct hors", "x", "Correct horse"] {
            assert_eq!(code(unlock(&encrypted, wrong)), Some(Code::PassphraseWrong));
        }
        let public = key.public().to_pem().unwrap();
        let KeyFile::Public(read) = KeyFile::parse(public.as_bytes(), "test").unwrap() else {
            panic!("not public");
        };
        assert_eq!(read, key.public());
    }

    #[test]
    fn what_is_no_usable_key_is_refused_with_its_reason() {
        let parse = |text: &str| code(KeyFile::parse(text.as_bytes(), "test"));
        assert_eq!(parse(""), Some(Code::PemInvalid));
        assert_eq!(
            code(KeyFile::parse(&[0xff, 0xfe], "test")),
            Some(Code::PemInvalid)
        );
        let pem = SecretKey::generate().unwrap().to_pem(None).unwrap();
        for end in 0..pem.len() - 1 {
            assert_eq!(
                parse(&pem[..end]),
                Some(Code::PemInvalid),
                "cut off after {end}"
            );
        }
        let block = |label: &str| {
            parse(&format!(
                "-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n"
            ))
        };
        assert_eq!(block("RSA PRIVATE KEY"), Some(Code::KeyType));
        assert_eq!(block("OPENSSH PRIVATE KEY"), Some(Code::KeyFormat));
        assert_eq!(block("CERTIFICATE"), Some(Code::KeyFormat));
        assert_eq!(block("SOMETHING ELSE"), Some(Code::KeyFormat));
        assert_eq!(block("PRIVATE KEY"), Some(Code::PemInvalid));
        // The neutral element: every signature by it would be valid.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(
            code(PublicKey::from_bytes(neutral, "test")),
            Some(Code::KeyInvalid)
        );
        assert_eq!(
            code(PublicKey::from_bytes([0xff; 32], "test")),
            Some(Code::KeyInvalid)
        );
    }

    #[test]
    fn a_key_file_cannot_demand_gigabytes_or_hours() {
        let refused = Some(Code::EncryptionUnsupported);
        for (n, r, p) in [
            (0, 8, 1),
            (1, 8, 1),
            (3, 8, 1),
            (1 << 40, 8, 1),
            (1 << 63, u16::MAX, u16::MAX),
            (1 << 14, 8, u16::MAX),
            (1 << 14, u16::MAX, 1),
            (1 << 14, 0, 1),
            (1 << 14, 8, 0),
        ] {
            assert_eq!(code(with_scrypt(n, r, p)), refused, "{n} {r} {p}");
        }
        assert_eq!(
            code(with_scrypt(1 << 14, 8, 1)),
            Some(Code::PassphraseWrong)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn any_bytes_as_a_key_file_never_panic(bytes: Vec<u8>) {
            let _ = KeyFile::parse(&bytes, "test");
        }

        #[test]
        fn any_der_in_a_pem_never_panics(
            der in prop::collection::vec(any::<u8>(), 0..200),
            label in prop::sample::select(vec!["PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PUBLIC KEY"]),
        ) {
            let mut framed = vec![0x30, 0x81, u8::try_from(der.len()).unwrap()];
            framed.extend(der);
            if let Ok(document) = SecretDocument::try_from(framed) {
                let pem = document.to_pem(label, LineEnding::LF).unwrap();
                if let Ok(KeyFile::Encrypted(key)) = KeyFile::parse(pem.as_bytes(), "test") {
                    let _ = key.unlock(&passphrase("x"));
                }
            }
        }

        #[test]
        fn a_damaged_key_file_never_panics(at in 0usize..1000, byte: u8) {
            let key = SecretKey(SigningKey::from_bytes(&[9; 32]));
            let pem = key.public().to_pem().unwrap() + key.to_pem(None).unwrap().as_str();
            let start = if at % 2 == 0 { 0 } else { pem.find("-----BEGIN PRIVATE").unwrap() };
            let mut pem = pem.as_bytes()[start..].to_vec();
            let at = at % pem.len();
            pem[at] = byte;
            if let Ok(KeyFile::Encrypted(key)) = KeyFile::parse(&pem, "test") {
                let _ = key.unlock(&passphrase("x"));
            }
        }

        #[test]
        fn a_damaged_encrypted_key_never_panics(at in 0usize..1000, byte: u8) {
            // Made by OpenSSL with little work, so that many can be tried.
            let mut pem = CHEAP.as_bytes().to_vec();
            let at = at % pem.len();
            pem[at] = byte;
            if let Ok(KeyFile::Encrypted(key)) = KeyFile::parse(&pem, "test") {
                let _ = key.unlock(&passphrase("secret"));
            }
        }
    }

    const CHEAP: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----\n\
MIGSME4GCSqGSIb3DQEFDTBBMCAGCSsGAQQB2kcECzATBAj5sX0jiXZGKQIBAgIB\n\
AQIBATAdBglghkgBZQMEASoEEGXYs31D1M0JOFJtqI68hOcEQPy8uorLAlA+fkSt\n\
YJAnpXIHfUr5lvQnWWv7Hi0pSiBvq4Po6gwjxZi4ukJSckQ5qljSRmB5hKDf0sDY\n\
UBWwf2A=\n\
-----END ENCRYPTED PRIVATE KEY-----\n";
}
