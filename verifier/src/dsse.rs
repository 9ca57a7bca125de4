//! Envelopes for everything that is signed and is no TUF metadata (DSSE v1): a payload, what type it is of, and
//! signatures over both.
//!
//! The type is signed with the payload, so that nothing that was signed for one purpose serves another: whoever
//! verifies says which type it expects.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;

use crate::{
    base64,
    digest::{Digest, hex, unhex},
    error::{Code, Error, Result},
    json::{self, AuthenticBytes},
    limits,
    tuf::{ED25519, Key, KeyHolder, Role, Signature, verify_threshold, verify_together},
};

/// An envelope as it was read. Its payload is to be had only by verifying it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<Signature>,
}

/// What an envelope of one type holds.
pub trait Statement: DeserializeOwned + Serialize {
    /// The type of the payload, a media type.
    const TYPE: &'static str;
    /// The version that this program reads and writes.
    const FORMAT: u32;

    /// The version that it has.
    fn format(&self) -> u32;

    /// Rules that the types do not hold by themselves; a refusal says what is wrong, of `it`.
    fn check(&self) -> Result<(), String>;

    /// Reads a payload; `subject` names it in errors.
    fn parse(payload: &[u8], subject: &str) -> Result<Self> {
        let bad = |detail: String| Error::new(Code::BadMetadata, subject, detail);
        let value = json::parse(payload, subject)?;
        let format = value.get("format").and_then(serde_json::Value::as_u64);
        if let Some(format) = format.filter(|format| *format != u64::from(Self::FORMAT)) {
            let detail = format!("has format {format}, this program reads {}", Self::FORMAT);
            return Err(Error::new(Code::UnsupportedFormat, subject, detail));
        }
        let statement: Self = json::from_value(value).map_err(|e| bad(e.to_string()))?;
        statement.check().map_err(bad)?;
        Ok(statement)
    }
}

/// How an envelope is written. DSSE leaves key ids to taste; here each signature says whose it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Written {
    payload: String,
    payload_type: String,
    signatures: Vec<WrittenSignature>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSignature {
    keyid: String,
    sig: String,
}

impl Envelope {
    /// A payload that nobody has signed yet.
    pub fn new(payload_type: &str, payload: Vec<u8>) -> Self {
        Self {
            payload_type: payload_type.to_owned(),
            payload,
            signatures: Vec::new(),
        }
    }

    /// A statement that nobody has signed yet. It is checked: nobody should sign what nobody would accept.
    pub fn of<S: Statement>(statement: &S) -> Result<Self> {
        let bad = |detail: String| Error::new(Code::BadMetadata, "statement", detail);
        statement.check().map_err(bad)?;
        // Not canonical JSON, which has no form for texts of several lines; the bytes are signed as they are.
        let payload = serde_json::to_vec(statement).map_err(|e| bad(e.to_string()))?;
        Ok(Self::new(S::TYPE, payload))
    }

    /// Reads an envelope of at most [`limits::ENVELOPE_BYTES`] and [`limits::ENVELOPE_SIGNATURES`]; `subject`
    /// names it in errors. Base64 is read in its standard form only.
    pub fn parse(bytes: &[u8], subject: &str) -> Result<Self> {
        let bad = |detail: String| Error::new(Code::BadMetadata, subject, detail);
        if bytes.len() as u64 > limits::ENVELOPE_BYTES {
            let detail = format!(
                "has {} bytes, allowed are {}",
                bytes.len(),
                limits::ENVELOPE_BYTES
            );
            return Err(Error::new(Code::LimitExceeded, subject, detail));
        }
        let written: Written = json::from_value(json::parse(bytes, subject)?)
            .map_err(|e| bad(format!("is no envelope: {e}")))?;
        if written.signatures.len() > limits::ENVELOPE_SIGNATURES {
            let detail = format!("has {} signatures", written.signatures.len());
            return Err(Error::new(Code::LimitExceeded, subject, detail));
        }
        let payload = base64::decode(&written.payload)
            .ok_or_else(|| bad("its payload is not written in base64".into()))?;
        let mut seen = BTreeSet::new();
        let mut signatures = Vec::with_capacity(written.signatures.len());
        for WrittenSignature { keyid, sig } in written.signatures {
            let sig = base64::decode(&sig)
                .ok_or_else(|| bad(format!("the signature by {keyid} is not base64")))?;
            if !seen.insert(keyid.clone()) {
                return Err(bad(format!("has two signatures by {keyid}")));
            }
            signatures.push(Signature {
                keyid,
                sig: hex(&sig),
            });
        }
        signatures.sort();
        Ok(Self {
            payload_type: written.payload_type,
            payload,
            signatures,
        })
    }

    /// What is signed: the pre-authentication encoding of type and payload (DSSE v1, `protocol.md`).
    pub fn message(&self) -> Vec<u8> {
        let mut message = format!(
            "DSSEv1 {} {} {} ",
            self.payload_type.len(),
            self.payload_type,
            self.payload.len()
        )
        .into_bytes();
        message.extend(&self.payload);
        message
    }

    /// Adds a signature over [`Envelope::message`], or replaces the one by the same key.
    pub fn insert_signature(&mut self, signature: Signature) {
        self.signatures.retain(|s| s.keyid != signature.keyid);
        self.signatures.push(signature);
        self.signatures.sort();
    }

    /// The envelope as canonical JSON, its signatures sorted by key id.
    pub fn to_bytes(&self) -> Vec<u8> {
        let signatures: Vec<_> = self
            .signatures
            .iter()
            .map(|s| {
                let sig = base64::encode(&unhex(&s.sig).unwrap_or_default());
                json!({ "keyid": s.keyid, "sig": sig })
            })
            .collect();
        json::canonical(&json!({
            "payload": base64::encode(&self.payload),
            "payloadType": self.payload_type,
            "signatures": signatures,
        }))
    }

    /// The payload, and who signed it, if it is of the type `expected` and as many keys of `role` have signed it
    /// as the role demands. Signatures by others count nothing.
    pub fn verify(
        &self,
        expected: &str,
        keys: &BTreeMap<String, Key>,
        role: &Role,
        subject: &str,
    ) -> Result<(AuthenticBytes<'_>, Vec<KeyHolder>)> {
        self.expect_type(expected, subject)?;
        let signers = verify_threshold(
            keys,
            role,
            &self.message(),
            &self.signatures,
            ED25519,
            subject,
        )?;
        Ok((AuthenticBytes::from_signers(&self.payload), signers))
    }

    /// The statement that it holds, and who signed it; see [`Envelope::verify`].
    pub fn open<S: Statement>(
        &self,
        keys: &BTreeMap<String, Key>,
        role: &Role,
        subject: &str,
    ) -> Result<(S, Vec<KeyHolder>)> {
        let (payload, signers) = self.verify(S::TYPE, keys, role, subject)?;
        Ok((S::parse(payload.as_bytes(), subject)?, signers))
    }

    /// The statement that it claims to hold, whoever signed it: to show it, never to decide by it.
    pub fn claimed<S: Statement>(&self, subject: &str) -> Result<S> {
        self.expect_type(S::TYPE, subject)?;
        S::parse(&self.payload, subject)
    }

    /// The SHA-256 of the payload, which other statements name it by.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.payload)
    }

    /// The signatures, not verified: whose they are is what they claim.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The payload as it came, whoever signed it: to sign it or to show it, never to decide by it.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// What type the payload is said to be of.
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    fn expect_type(&self, expected: &str, subject: &str) -> Result<()> {
        if self.payload_type == expected {
            return Ok(());
        }
        let detail = format!("is of the type {:?}, not {expected:?}", self.payload_type);
        Err(Error::new(Code::BadMetadata, subject, detail))
    }
}

/// Who has signed any of `envelopes`, if together they are as many keys of `role` as the role demands: for people who
/// each signed a statement of their own. Counted are the envelopes whose statement `says` what is asked for; whoever
/// has signed something else counts nothing.
pub fn open_together<'e, S: Statement>(
    envelopes: impl IntoIterator<Item = &'e Envelope>,
    says: impl Fn(&S) -> bool,
    keys: &BTreeMap<String, Key>,
    role: &Role,
    subject: &str,
) -> Result<Vec<KeyHolder>> {
    let that = |envelope: &&Envelope| {
        envelope
            .claimed(subject)
            .is_ok_and(|claimed| says(&claimed))
    };
    let envelopes: Vec<(Vec<u8>, &[Signature])> = envelopes
        .into_iter()
        .filter(that)
        .map(|envelope| (envelope.message(), envelope.signatures.as_slice()))
        .collect();
    let signed: Vec<_> = envelopes
        .iter()
        .map(|(message, signatures)| (message.as_slice(), *signatures))
        .collect();
    verify_together(keys, role, &signed, ED25519, subject)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;

    const TYPE: &str = "text/plain";

    fn key(number: u8) -> SigningKey {
        SigningKey::from_bytes(&[number; 32])
    }

    fn public(number: u8) -> Key {
        Key::ed25519(key(number).verifying_key().as_bytes())
    }

    fn id(number: u8) -> String {
        public(number).id().unwrap()
    }

    /// Keys 1 and 2, the first of them under a second name too.
    fn keys() -> BTreeMap<String, Key> {
        let mut keys: BTreeMap<_, _> = [1, 2].map(|n| (id(n), public(n))).into();
        keys.insert("again".into(), public(1));
        keys
    }

    fn role(threshold: u64) -> Role {
        Role {
            keyids: vec![id(1), id(2), "again".into()],
            threshold,
        }
    }

    fn signed(payload: &[u8], keys: &[(u8, String)]) -> Envelope {
        let mut envelope = Envelope::new(TYPE, payload.to_vec());
        let message = envelope.message();
        for (number, keyid) in keys {
            envelope.insert_signature(Signature {
                keyid: keyid.clone(),
                sig: hex(&key(*number).sign(&message).to_bytes()),
            });
        }
        envelope
    }

    fn code(envelope: &Envelope, expected: &str, threshold: u64) -> Result<usize, Code> {
        let again = Envelope::parse(&envelope.to_bytes(), "x").unwrap();
        assert_eq!(again, *envelope);
        again
            .verify(expected, &keys(), &role(threshold), "x")
            .map(|(_, signers)| signers.len())
            .map_err(|e| e.kind())
    }

    #[test]
    fn the_message_is_that_of_the_published_vector() {
        let envelope = Envelope::new("http://example.com/HelloWorld", b"hello world".to_vec());
        assert_eq!(
            envelope.message(),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn a_payload_is_had_from_those_only_who_may_sign_it() {
        let both = signed(b"hello", &[(1, id(1)), (2, id(2))]);
        let (payload, signers) = both.verify(TYPE, &keys(), &role(2), "x").unwrap();
        assert_eq!((payload.as_bytes(), signers.len()), (&b"hello"[..], 2));
        assert_eq!(code(&both, TYPE, 2), Ok(2));
        assert_eq!(code(&both, "text/html", 1), Err(Code::BadMetadata));
        assert_eq!(code(&both, TYPE, 0), Err(Code::ThresholdInvalid));
        assert_eq!(code(&both, TYPE, 3), Err(Code::ThresholdNotMet));
        // One key under two names is one vote, and a stranger's counts nothing.
        let twice = signed(b"hello", &[(1, id(1)), (1, "again".into())]);
        assert_eq!(code(&twice, TYPE, 2), Err(Code::ThresholdNotMet));
        assert_eq!(code(&twice, TYPE, 1), Ok(1));
        let stranger = signed(b"hello", &[(3, id(3)), (3, id(1))]);
        assert_eq!(code(&stranger, TYPE, 1), Err(Code::ThresholdNotMet));
        // What was signed as another type, and another payload under the same signatures.
        let mut other = both.clone();
        other.payload_type = "text/html".into();
        assert_eq!(code(&other, "text/html", 1), Err(Code::ThresholdNotMet));
        other = both;
        other.payload = b"hell!".to_vec();
        assert_eq!(code(&other, TYPE, 1), Err(Code::ThresholdNotMet));
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        let good = signed(b"hello", &[(1, id(1))]).to_bytes();
        let good = String::from_utf8(good).unwrap();
        let read = |text: String| Envelope::parse(text.as_bytes(), "x").map_err(|e| e.kind());
        assert!(read(good.clone()).is_ok());
        for (old, new) in [
            ("aGVsbG8=", "aGVsbG8"),
            ("aGVsbG8=", "aGVsbG9="),
            ("\"sig\":\"", "\"sig\":\"-"),
            ("\"payloadType\":\"text/plain\",", ""),
            ("\"keyid\"", "\"key\""),
            ("\"payload\"", "\"more\":1,\"payload\""),
            ("\"signatures\":[", "\"signatures\":[7,"),
        ] {
            assert_eq!(
                read(good.replace(old, new)),
                Err(Code::BadMetadata),
                "{new}"
            );
        }
        let one = good.split_once('[').unwrap().1.trim_end_matches("]}");
        let twice = good.replace(one, &format!("{one},{one}"));
        assert_eq!(read(twice), Err(Code::BadMetadata));
        let many: Vec<String> = (0..=limits::ENVELOPE_SIGNATURES)
            .map(|n| one.replace(&id(1), &n.to_string()))
            .collect();
        let many = good.replace(one, &many.join(","));
        assert_eq!(read(many), Err(Code::LimitExceeded));
        let twice = good.replacen('{', "{\"payload\":\"\",", 1);
        assert_eq!(read(twice), Err(Code::BadJson));
        for text in ["", "7", "[]", "{}", "null", "{\"payload\":"] {
            assert!(read(text.into()).is_err(), "{text}");
        }
        let long = usize::try_from(limits::ENVELOPE_BYTES).unwrap() + 1;
        let long = vec![b' '; long];
        let error = Envelope::parse(&long, "x").unwrap_err();
        assert_eq!(error.kind(), Code::LimitExceeded);
    }
}
