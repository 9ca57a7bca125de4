//! Signing what is no TUF metadata: envelopes (DSSE v1), which [`sealift_verifier::dsse`] verifies.

use sealift_verifier::dsse::Envelope;

use crate::{
    error::Result,
    signer::{Signer, tuf_signature},
};

/// An envelope around `payload`, signed by all of `signers` as something of the type `payload_type`.
///
/// ```
/// use sealift_keys::{dsse, key_file::SecretKey, signer::FileSigner};
/// let signer = FileSigner::from(SecretKey::generate()?);
/// let envelope = dsse::sign("text/plain", b"hello".to_vec(), &[&signer])?;
/// let text = String::from_utf8(envelope.to_bytes()).unwrap_or_default();
/// assert!(text.starts_with(r#"{"payload":"aGVsbG8=","payloadType":"text/plain","signatures":[{"keyid":"#));
/// # Ok::<(), sealift_keys::Error>(())
/// ```
pub fn sign(payload_type: &str, payload: Vec<u8>, signers: &[&dyn Signer]) -> Result<Envelope> {
    let mut envelope = Envelope::new(payload_type, payload);
    let message = envelope.message();
    for signer in signers {
        envelope.insert_signature(tuf_signature(*signer, &message)?);
    }
    Ok(envelope)
}
