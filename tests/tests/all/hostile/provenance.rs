//! Attacks on what a release says of where it comes from. Its members are signed by the vendor, as everywhere; what is
//! not the vendor's is the envelope.

use ed25519_dalek::Signer as _;
use sealift_verifier::{
    digest::{Digest, hex},
    dsse::Envelope,
    json::canonical,
    provenance::PAYLOAD_TYPE,
    tuf::Signature,
};
use serde_json::{Value, json};

use super::{
    forge::{Attack, Maker, good, prior_sample, sample, signed},
    maker::{RELEASE, attest, key, keyid, statement},
};

/// A key of the attacker's own.
const OWN: u8 = 66;

pub(super) const ATTACKS: &[(&str, Maker)] = &[
    ("provenance-by-a-stranger", by_stranger),
    ("provenance-by-a-root-key", by_root_key),
    ("provenance-of-another-release", of_another_release),
    ("provenance-of-another-type", of_another_type),
    ("provenance-signed-without-its-type", without_type),
    ("provenance-unsigned", unsigned),
    ("provenance-of-many-values", many_values),
    ("provenance-spelled-as-list", envelope_list),
    ("provenance-statement-spelled-as-list", statement_list),
    ("provenance-missing", missing),
    ("provenance-duplicated", duplicated),
];

/// The honest statement about the sample.
fn honest() -> Vec<u8> {
    canonical(&statement(Digest::of(&sample().members()[0].1)))
}

/// The sample with this envelope.
fn with(envelope: Vec<u8>) -> Attack {
    let mut members = sample().members();
    members[2].1 = envelope;
    signed(members).into()
}

fn by_stranger() -> Attack {
    with(attest(PAYLOAD_TYPE, honest(), &[OWN]))
}

fn by_root_key() -> Attack {
    with(attest(PAYLOAD_TYPE, honest(), &[1]))
}

fn of_another_release() -> Attack {
    with(prior_sample().members()[2].1.clone())
}

fn of_another_type() -> Attack {
    with(attest(
        "application/vnd.example.license+json",
        honest(),
        &[RELEASE],
    ))
}

fn without_type() -> Attack {
    let mut envelope = Envelope::new(PAYLOAD_TYPE, honest());
    envelope.insert_signature(Signature {
        keyid: keyid(RELEASE),
        sig: hex(&key(RELEASE).sign(&honest()).to_bytes()),
    });
    with(envelope.to_bytes())
}

fn unsigned() -> Attack {
    with(attest(PAYLOAD_TYPE, honest(), &[]))
}

fn many_values() -> Attack {
    let mut payload = b"{\"subject\":[".to_vec();
    payload.extend(b"[],".repeat(4_000_000));
    payload.extend(b"0]}");
    with(attest(PAYLOAD_TYPE, payload, &[RELEASE]))
}

fn envelope_list() -> Attack {
    let envelope = attest(PAYLOAD_TYPE, honest(), &[RELEASE]);
    let envelope: Value = serde_json::from_slice(&envelope).unwrap();
    let fields = ["payload", "payloadType", "signatures"].map(|field| &envelope[field]);
    with(canonical(&json!(fields)))
}

fn statement_list() -> Attack {
    let mut statement = statement(Digest::of(&sample().members()[0].1));
    let subject = &mut statement["subject"][0];
    *subject = json!([subject["name"], null, subject["digest"], {}]);
    with(attest(PAYLOAD_TYPE, canonical(&statement), &[RELEASE]))
}

fn missing() -> Attack {
    let mut members = sample().members();
    members.remove(2);
    signed(members).into()
}

fn duplicated() -> Attack {
    let mut parts = good();
    let mut twice = parts.members[2].clone();
    twice.1 = attest(PAYLOAD_TYPE, honest(), &[OWN]);
    parts.members.insert(3, twice);
    parts.into()
}
