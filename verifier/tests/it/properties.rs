//! What holds for any bytes at all.

use proptest::prelude::*;
use sealift_verifier::{
    delivery::{Compression, Delivery, DeliveryKind, Pack},
    digest::Digest,
    json,
    path::EntryPath,
    release::BlobRef,
    tree::{self, Entry, Mode, Node, Tree},
};
use serde_json::Value;

use crate::maker::{Sample, check_bytes};

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map("[ -~]{0,8}", inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Canonical JSON writes control characters as they are, which no JSON reader takes: texts without them.
fn plain(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.chars().any(|c| c < ' '),
        Value::Array(items) => items.iter().all(plain),
        Value::Object(map) => map.values().all(plain),
        _ => true,
    }
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from)
}

fn blobs() -> impl Strategy<Value = Vec<BlobRef>> {
    let blob = (digest(), any::<u64>()).prop_map(|(digest, size)| BlobRef(digest, size));
    prop::collection::vec(blob, 0..4)
}

fn entry() -> impl Strategy<Value = Entry> {
    let mode = prop_oneof![Just(Mode::Plain), Just(Mode::Executable)];
    let file = (mode, any::<u64>(), digest());
    let node = prop_oneof![
        file.prop_map(|(mode, size, digest)| Node::File { mode, size, digest }),
        any::<String>().prop_map(|target| Node::Symlink { target }),
        Just(Node::Dir),
    ];
    let path = any::<String>().prop_filter_map("no path", |text| text.parse().ok());
    (path, node).prop_map(|(path, node)| Entry { path, node })
}

fn delivery() -> impl Strategy<Value = Delivery> {
    let pack = (blobs(), blobs(), any::<i32>()).prop_map(|(blobs, frames, level)| Pack {
        blobs,
        frames,
        level,
    });
    let packs = prop::collection::vec(pack, 0..4);
    let compression = (any::<u64>(), any::<String>());
    (blobs(), compression, any::<u32>(), packs, digest()).prop_map(
        |(blobs, (frame, library), format, packs, release)| Delivery {
            blobs,
            compression: Compression { frame, library },
            format,
            kind: DeliveryKind::Full,
            packs,
            release,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        prop_assert!(check_bytes(&bytes).is_err());
    }

    #[test]
    fn a_bundle_with_any_bytes_in_it_is_refused(
        at in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 1..600),
    ) {
        let mut bytes = Sample::minimal().parts().bytes();
        let start = at.index(bytes.len());
        let end = bytes.len().min(start + noise.len());
        let before = bytes[start..end].to_vec();
        bytes[start..end].copy_from_slice(&noise[..end - start]);
        prop_assert_eq!(check_bytes(&bytes).is_ok(), before == noise[..end - start]);
    }

    #[test]
    fn canonical_json_says_the_same(value in value().prop_filter("control characters", plain)) {
        let bytes = json::canonical(&value);
        let again = json::parse(&bytes, "value").unwrap();
        prop_assert_eq!(&again, &value);
        prop_assert_eq!(json::canonical(&again), bytes);
    }

    #[test]
    fn what_is_written_as_declared_is_canonical(
        value in value(),
        entries in prop::collection::vec(entry(), 0..4),
        delivery in delivery(),
    ) {
        prop_assert_eq!(json::to_canonical_as_declared(&value).unwrap(), json::canonical(&value));
        let tree = Tree { entries };
        prop_assert_eq!(tree.to_bytes().unwrap(), json::to_canonical(&tree).unwrap());
        prop_assert_eq!(delivery.to_bytes().unwrap(), json::to_canonical(&delivery).unwrap());
    }

    #[test]
    fn any_text_is_json_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = json::parse(&bytes, "value");
    }

    #[test]
    fn a_path_never_climbs(text in "[a./\\\\\u{0}-\u{7f}]{0,24}") {
        if let Ok(path) = text.parse::<EntryPath>() {
            prop_assert!(path.parts().all(|p| !matches!(p, "" | "." | "..")));
            prop_assert!(path.as_path().is_relative());
        }
    }

    #[test]
    fn a_link_never_leads_out(path in "[ab]{1,2}(/[ab]{1,2}){0,3}", target in "[ab./]{0,12}") {
        let path: EntryPath = path.parse().unwrap();
        if tree::stays_inside(&path, &target) {
            let mut depth = path.parts().count() as i64 - 1;
            for part in target.split('/') {
                depth += if part == ".." { -1 } else { 1 };
                prop_assert!(depth >= 0 && !target.starts_with('/'), "{path} -> {target}");
            }
        }
    }
}
