//! The envelope of all TUF metadata: a signed part and the signatures over its canonical form (TUF 4.2.1).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    digest::unhex,
    error::{Code, Error, Result},
    json,
};

/// One signature: by which key, and its bytes as hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Signature {
    /// The id of the key, as the root lists it.
    pub keyid: String,
    /// Hexadecimal digits.
    pub sig: String,
}

impl Signature {
    /// The signature's bytes; nothing if these are no hexadecimal digits.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        unhex(&self.sig)
    }
}

/// An envelope as it was read. Nothing in its signed part may be believed before its signatures are counted.
#[derive(Debug, Clone)]
pub struct Signed {
    content: Value,
    message: Vec<u8>,
    signatures: Vec<Signature>,
}

impl Signed {
    /// Reads an envelope; `subject` names it in errors.
    pub fn parse(bytes: &[u8], subject: &str) -> Result<Self> {
        let bad = |detail: &str| Error::new(Code::BadMetadata, subject, detail);
        let Value::Object(mut envelope) = json::parse(bytes, subject)? else {
            return Err(bad("is no JSON object"));
        };
        let signed = envelope
            .remove("signed")
            .ok_or_else(|| bad("has no signed part"))?;
        let signatures = envelope
            .remove("signatures")
            .ok_or_else(|| bad("has no signatures"))?;
        let signatures: Vec<Signature> =
            json::from_value(signatures).map_err(|e| bad(&format!("signatures: {e}")))?;
        // "The keyid MUST be unique in the signatures array" (TUF 4.2.1).
        let mut seen = BTreeSet::new();
        if let Some(twice) = signatures.iter().find(|s| !seen.insert(&s.keyid)) {
            return Err(bad(&format!("has two signatures by {}", twice.keyid)));
        }
        Ok(Self::new(signed, signatures))
    }

    /// Puts an envelope together.
    pub fn new(signed: Value, signatures: Vec<Signature>) -> Self {
        let message = json::canonical(&signed);
        Self {
            content: signed,
            message,
            signatures,
        }
    }

    /// The signed part, not verified.
    pub fn signed(&self) -> &Value {
        &self.content
    }

    /// The bytes that signatures are made over: the signed part as canonical JSON.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The signatures, not verified.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Adds a signature, or replaces the one by the same key.
    pub fn insert_signature(&mut self, signature: Signature) {
        self.signatures.retain(|s| s.keyid != signature.keyid);
        self.signatures.push(signature);
        self.signatures.sort();
    }

    /// The only form in which an envelope may stand in a bundle: canonical JSON, signatures sorted by key
    /// id, each key once.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut signatures = self.signatures.clone();
        signatures.sort();
        signatures.dedup_by(|a, b| a.keyid == b.keyid);
        let signatures: Vec<Value> = signatures
            .into_iter()
            .map(|s| serde_json::json!({ "keyid": s.keyid, "sig": s.sig }))
            .collect();
        json::canonical(&serde_json::json!({ "signatures": signatures, "signed": self.content }))
    }
}
