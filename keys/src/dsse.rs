//! Signing what is no TUF metadata: envelopes (DSSE v1), which [`sealift_verifier::dsse`] verifies.
//!
//! [`seal`] makes an envelope around a statement, [`cosign`] adds the signature of somebody else, and [`count`] tells
//! how many of those have signed who have to by a root.

use std::collections::BTreeSet;

use sealift_verifier::{
    Code as VerifierCode,
    dsse::{Envelope, Statement},
    tuf::{ED25519, KeyHolder, Role, Root, threshold::verify_one},
};

use crate::{
    error::{Code, Error, Result},
    root::{role::KeyRole, sign::Count},
    signer::{self, Signer, tuf_signature},
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
    signed(Envelope::new(payload_type, payload), signers)
}

/// An envelope around `statement`, signed by all of `signers`; `subject` names it in errors. What nobody would accept
/// is refused, and so is one key that signs twice.
pub fn seal<S: Statement>(
    statement: &S,
    signers: &[&dyn Signer],
    subject: &str,
) -> Result<Envelope> {
    let invalid = |detail: String| Error::new(Code::StatementInvalid, subject, detail);
    statement.check().map_err(invalid)?;
    let mut seen = BTreeSet::new();
    for signer in signers {
        if !seen.insert(signer.public_key()) {
            let id = signer::public_key(*signer)?.id()?;
            let detail = "is given twice, and counts once";
            return Err(Error::new(Code::Usage, format!("key {id}"), detail));
        }
    }
    let envelope = signed(Envelope::of(statement)?, signers)?;
    // Readers are stricter than types: they take no key that is not ASCII, for example.
    Envelope::parse(&envelope.to_bytes(), subject)
        .and_then(|again| again.claimed::<S>(subject))
        .map_err(|e| invalid(e.to_string()))?;
    Ok(envelope)
}

fn signed(mut envelope: Envelope, signers: &[&dyn Signer]) -> Result<Envelope> {
    let message = envelope.message();
    for signer in signers {
        envelope.insert_signature(tuf_signature(*signer, &message)?);
    }
    Ok(envelope)
}

/// The keys of `root` for `role`, and how many of them have to sign.
pub fn listed(root: &Root, role: KeyRole) -> Result<&Role> {
    role.entries(root).into_iter().next().ok_or_else(|| {
        let detail = format!("lists no keys for the role {role}");
        Error::new(Code::KeyNotListed, format!("root {}", root.version), detail)
    })
}

/// Refuses a signer that `root` does not list for `role`.
pub fn check_listed(root: &Root, role: KeyRole, signer: &dyn Signer) -> Result<()> {
    let id = signer::public_key(signer)?.id()?;
    if listed(root, role)?.keyids.contains(&id) {
        return Ok(());
    }
    let detail = format!("is not in the role {role} of root {}", root.version);
    Err(Error::new(Code::KeyNotListed, format!("key {id}"), detail))
}

/// Who of those that `root` lists for `role` has signed validly, whether or not these are enough.
pub fn signers<S: Statement>(
    envelope: &Envelope,
    root: &Root,
    role: KeyRole,
    subject: &str,
) -> Result<Vec<KeyHolder>> {
    // Counting is left to the one function that does; a threshold of one makes it list everybody.
    let anybody = Role {
        threshold: 1,
        ..listed(root, role)?.clone()
    };
    match envelope.verify(S::TYPE, &root.keys, &anybody, subject) {
        Err(e) if e.kind() == VerifierCode::ThresholdNotMet => Ok(Vec::new()),
        Err(e) => Err(e.into()),
        Ok((_, signers)) => Ok(signers),
    }
}

/// How many of those that `root` lists for `role` have signed, of how many who have to.
pub fn count<S: Statement>(
    envelope: &Envelope,
    root: &Root,
    role: KeyRole,
    subject: &str,
) -> Result<Count> {
    Ok(Count {
        signed: signers::<S>(envelope, root, role, subject)?.len() as u64,
        needed: listed(root, role)?.threshold,
    })
}

/// Adds the signature of somebody whom `root` lists for `role`; says whether it is new. An envelope with a signature
/// that does not count is refused: what is signed beside it may not be what its first signer saw.
pub fn cosign<S: Statement>(
    envelope: &mut Envelope,
    root: &Root,
    role: KeyRole,
    signer: &dyn Signer,
    subject: &str,
) -> Result<bool> {
    envelope.claimed::<S>(subject)?;
    check_listed(root, role, signer)?;
    let entry = listed(root, role)?;
    let message = envelope.message();
    for signature in envelope.signatures() {
        let key = root.keys.get(&signature.keyid);
        let key = key.filter(|_| entry.keyids.contains(&signature.keyid));
        let counts = key
            .zip(signature.bytes())
            .is_some_and(|(key, bytes)| verify_one(key, &message, &bytes, ED25519));
        if !counts {
            let detail = format!(
                "has a signature as if by {} that does not count by root {}",
                signature.keyid, root.version
            );
            return Err(Error::new(Code::SignatureInvalid, subject, detail));
        }
    }
    let before = envelope.signatures().len();
    envelope.insert_signature(tuf_signature(signer, &message)?);
    Ok(envelope.signatures().len() > before)
}
