//! Any bytes as TUF metadata and as files of keys that travel: never a panic, and what is read is written again
//! as the same canonical bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealift_keys::travel::{DetachedSignature, ToSign};
use sealift_verifier::{
    json,
    tuf::{
        ED25519, Root, Signed, Snapshot, Targets, Timestamp, TrustedSet, metadata::Statement as _,
    },
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = json::parse(bytes, "fuzz") {
        let canonical = json::canonical(&value);
        // Canonical JSON leaves control characters in strings as they are, which JSON does not read.
        if !canonical.iter().any(u8::is_ascii_control) {
            assert_eq!(json::parse(&canonical, "fuzz").expect("canonical JSON is JSON"), value);
        }
    }
    if let Ok(signed) = Signed::parse(bytes, "fuzz") {
        let _ = Root::from_signed(signed.signed());
        let _ = Timestamp::from_signed(signed.signed());
        let _ = Snapshot::from_signed(signed.signed());
        let _ = Targets::from_signed(signed.signed());
        let _ = TrustedSet::new(bytes, ED25519, "2026-07-01T00:00:00Z".parse().expect("a time"));
    }
    let _ = ToSign::parse(bytes, "fuzz");
    let _ = DetachedSignature::parse(bytes, "fuzz");
});
