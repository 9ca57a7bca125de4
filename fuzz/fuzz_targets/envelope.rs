//! Any bytes as an envelope, and as what `provenance.json` states: never a panic, and what is read stays the same when
//! it is written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealift_verifier::{
    base64,
    digest::Digest,
    dsse::Envelope,
    json::{self, AuthenticBytes},
    provenance::Statement,
};

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(base64::decode(&base64::encode(bytes)).as_deref(), Some(bytes));
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(decoded) = base64::decode(text)
    {
        assert_eq!(base64::encode(&decoded), text);
    }
    if let Ok(envelope) = Envelope::parse(bytes, "fuzz") {
        let again = envelope.to_bytes();
        if is_json(&again) {
            assert_eq!(Envelope::parse(&again, "fuzz").expect("an envelope stays one"), envelope);
        }
    }
    if let Some(statement) = read(bytes) {
        let again = json::to_canonical(&statement).expect("a value of ours can be written");
        if is_json(&again) {
            assert_eq!(read(&again).expect("a statement stays one"), statement);
        }
    }
});

/// Canonical JSON leaves control characters in strings as they are, which JSON does not read.
fn is_json(canonical: &[u8]) -> bool {
    !canonical.iter().any(u8::is_ascii_control)
}

fn read(bytes: &[u8]) -> Option<Statement> {
    // A digest of these very bytes: as if a vendor had signed them.
    let signed = AuthenticBytes::from_digest(bytes, Digest::of(bytes), "fuzz").ok()?;
    Statement::parse(&signed).ok()
}
