//! Any bytes as manifests and trees that somebody signed: never a panic, and what is accepted stays accepted
//! when it is written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealift_verifier::{
    delivery::Delivery,
    digest::Digest,
    json::{self, AuthenticBytes},
    oci,
    release::Release,
    tree::Tree,
};

fuzz_target!(|bytes: &[u8]| {
    // A digest of these very bytes: as if a vendor had signed them.
    let Ok(signed) = AuthenticBytes::from_digest(bytes, Digest::of(bytes), "fuzz") else { return };
    if let Ok(release) = Release::parse(&signed) {
        let _ = oci::index(&release);
        again(&release, |bytes| Release::parse(bytes).expect("a release stays one"));
    }
    if let Ok(delivery) = Delivery::parse(&signed) {
        again(&delivery, |bytes| Delivery::parse(bytes).expect("a delivery stays one"));
    }
    if let Ok(tree) = Tree::parse(&signed, "fuzz") {
        again(&tree, |bytes| Tree::parse(bytes, "fuzz").expect("a tree stays one"));
    }
});

fn again<T>(value: &T, parse: impl FnOnce(&AuthenticBytes<'_>) -> T)
where
    T: serde::Serialize + PartialEq + std::fmt::Debug,
{
    let bytes = json::to_canonical(value).expect("a value of ours can be written");
    let signed = AuthenticBytes::from_digest(&bytes, Digest::of(&bytes), "fuzz").expect("its own digest");
    assert_eq!(&parse(&signed), value);
}
