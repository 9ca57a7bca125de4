//! The signature schemes that TUF names (TUF 4.2.1), as a table for the core. The core itself has Ed25519
//! only; the others are verified by `ring`.

use pkcs8::{
    Document, ObjectIdentifier,
    spki::{DecodePublicKey as _, SubjectPublicKeyInfoRef},
};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    UnparsedPublicKey, VerificationAlgorithm,
};
use sealift_verifier::tuf::{ED25519, Scheme};

/// Every scheme. `ecdsa-sha2-nistp256` as a key type is what older repositories write.
pub(crate) const ALL: &[Scheme] = &[
    ED25519[0],
    Scheme {
        keytype: "ecdsa",
        scheme: "ecdsa-sha2-nistp256",
        verify: verify_ecdsa,
    },
    Scheme {
        keytype: "ecdsa-sha2-nistp256",
        scheme: "ecdsa-sha2-nistp256",
        verify: verify_ecdsa,
    },
    Scheme {
        keytype: "rsa",
        scheme: "rsassa-pss-sha256",
        verify: verify_rsa_pss,
    },
    Scheme {
        keytype: "rsa",
        scheme: "rsa-pkcs1v15-sha256",
        verify: verify_rsa_pkcs1,
    },
];

/// id-ecPublicKey and prime256v1 (RFC 5480, 2.1.1).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// rsaEncryption (RFC 8017, A.1).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

fn verify_ecdsa(public: &str, message: &[u8], signature: &[u8]) -> bool {
    verify(
        public,
        EC,
        Some(P256),
        &ECDSA_P256_SHA256_ASN1,
        message,
        signature,
    )
}

fn verify_rsa_pss(public: &str, message: &[u8], signature: &[u8]) -> bool {
    verify(
        public,
        RSA,
        None,
        &RSA_PSS_2048_8192_SHA256,
        message,
        signature,
    )
}

fn verify_rsa_pkcs1(public: &str, message: &[u8], signature: &[u8]) -> bool {
    verify(
        public,
        RSA,
        None,
        &RSA_PKCS1_2048_8192_SHA256,
        message,
        signature,
    )
}

/// Takes the bare key out of a PEM text, if it is of the right kind, and verifies with it.
fn verify(
    pem: &str,
    kind: ObjectIdentifier,
    curve: Option<ObjectIdentifier>,
    algorithm: &'static dyn VerificationAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let Ok(document) = Document::from_public_key_pem(pem) else {
        return false;
    };
    let Ok(info) = SubjectPublicKeyInfoRef::try_from(document.as_bytes()) else {
        return false;
    };
    let right = info.algorithm.oid == kind
        && curve.is_none_or(|curve| info.algorithm.parameters_oid() == Ok(curve));
    let Some(key) = info.subject_public_key.as_bytes().filter(|_| right) else {
        return false;
    };
    UnparsedPublicKey::new(algorithm, key)
        .verify(message, signature)
        .is_ok()
}
