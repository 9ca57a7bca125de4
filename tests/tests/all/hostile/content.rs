//! What a vendor's key may sign, and no reader may follow all the same.

use sealift_verifier::{
    delivery::Pack,
    digest::Digest,
    limits,
    release::{BlobRef, Content},
    tar,
};
use serde_json::{Value, json};

use super::{
    forge::{
        Attack, Maker, NEXT, entry, pack_tar, sample, signed, with_delivery, with_frame, with_pack,
        with_release, with_roles, with_tree, with_tree_bytes,
    },
    maker::{RELEASE, Roles, sign},
};

pub(super) const ATTACKS: &[(&str, Maker)] = &[
    ("extraneous-dependencies", extraneous_dependencies),
    ("missing-dependency", missing_dependency),
    ("signed-wrong-digest", signed_wrong_digest),
    ("signed-path-climbs", signed_path_climbs),
    ("signed-length-of-64-bits", signed_length),
    ("delivery-lies-about-frames", delivery_frames),
    ("delivery-lies-about-lengths", delivery_lengths),
    ("delivery-of-another-release", delivery_of_another_release),
    ("delivery-lists-a-blob-twice", delivery_twice),
    ("index-lies", index_lies),
    ("pack-with-other-names", pack_with_other_names),
    ("pack-with-other-content", pack_with_other_content),
    ("zstd-bomb", zstd_bomb),
    ("zstd-garbage", zstd_garbage),
    ("release-with-unknown-field", unknown_field),
    ("release-spelled-as-list", release_list),
    ("release-of-another-format", another_format),
    ("release-lies-about-lengths", release_lengths),
    ("release-lies-about-tree", release_tree),
    ("release-lies-about-files", release_files),
    ("published-in-the-far-future", far_future),
    ("capability-nested", capability_nested),
    ("capability-climbs", capability_climbs),
    ("artifact-climbs", artifact_climbs),
    ("artifact-inside-another", artifact_inside),
    ("tree-climbs", tree_climbs),
    ("tree-absolute", tree_absolute),
    ("tree-link-leads-out", tree_link),
    ("tree-link-absolute", tree_link_absolute),
    ("tree-link-leads-out-at-the-end", tree_link_late),
    ("tree-inside-a-link", tree_inside_link),
    ("tree-path-twice", tree_twice),
    ("tree-name-with-line-break", tree_line_break),
    ("tree-name-too-long", tree_too_long),
    ("tree-of-many-entries", tree_of_many_entries),
    ("tree-too-large", tree_too_large),
    ("tree-with-device", tree_device),
    ("tree-spelled-as-list", tree_list),
];

fn extraneous_dependencies() -> Attack {
    with_roles(|roles| {
        let one = roles.targets["targets"]["release.json"].clone();
        roles.targets["targets"]["plugins/more.tar"] = one;
    })
    .into()
}

fn missing_dependency() -> Attack {
    with_release(|release| {
        let config = release
            .pointer_mut("/capabilities/0/artifacts/2/content/config")
            .unwrap();
        config["digest"] = json!("f".repeat(64));
    })
    .into()
}

fn signed_wrong_digest() -> Attack {
    // Twice: the delivery manifest says the same of the only frame.
    let wrong = Digest::of(b"another");
    let mut parts = with_delivery(|delivery| delivery.packs[0].frames[0].0 = wrong);
    let mut roles = Roles::new(NEXT, &parts.members);
    roles.targets["targets"]["packs/0000.tar.zst"]["hashes"]["sha256"] = json!(wrong);
    parts.replace("metadata/targets.json", sign(&roles.targets, &[RELEASE]));
    parts.into()
}

fn signed_path_climbs() -> Attack {
    with_roles(|roles| {
        let one = roles.targets["targets"]["release.json"].clone();
        roles.targets["targets"]["blobs/sha256/../../../../etc/cron.d/evil"] = one;
    })
    .into()
}

fn signed_length() -> Attack {
    with_roles(|roles| {
        roles.targets["targets"]["packs/0000.tar.zst"]["length"] = json!(u64::MAX - 600);
    })
    .into()
}

fn delivery_frames() -> Attack {
    with_delivery(|delivery| {
        let BlobRef(digest, size) = delivery.packs[0].frames[0];
        delivery.packs[0].frames = vec![BlobRef(digest, 100), BlobRef(digest, size - 100)];
    })
    .into()
}

fn delivery_lengths() -> Attack {
    // One frame that is said to hold 4 EiB: room for its content must not be taken, nor for a list of how
    // it is cut.
    with_delivery(|delivery| {
        let frames = delivery.packs[0].frames.clone();
        delivery.packs[0] = Pack {
            frames,
            blobs: vec![BlobRef(Digest::of(b"x"), 1 << 62)],
            level: 3,
        };
    })
    .into()
}

fn delivery_of_another_release() -> Attack {
    with_delivery(|delivery| delivery.release = Digest::of(b"another")).into()
}

fn delivery_twice() -> Attack {
    with_delivery(|delivery| {
        let again = delivery.packs[0].blobs[0];
        delivery.packs[0].blobs.push(again);
    })
    .into()
}

fn index_lies() -> Attack {
    let mut members = sample().members();
    members[4].1 = b"{\"manifests\":[],\"schemaVersion\":2}".to_vec();
    signed(members).into()
}

fn pack_with_other_names() -> Attack {
    with_pack(pack_tar(|_| {
        "../../../../../../../../etc/cron.d/evil".to_owned()
    }))
    .into()
}

fn pack_with_other_content() -> Attack {
    // The right names and lengths, and other bytes.
    let mut tar = pack_tar(|content| tar::blob_path(Digest::of(content)));
    let start = tar.windows(9).position(|w| w == b"#!/bin/sh").unwrap();
    tar[start + 2..start + 9].copy_from_slice(b"/tmp/sh");
    with_pack(tar).into()
}

fn zstd_bomb() -> Attack {
    let bomb = vec![0; 1 << 30];
    with_frame(zstd::bulk::compress(&bomb, 1).unwrap()).into()
}

fn zstd_garbage() -> Attack {
    let mut frame = b"\x28\xb5\x2f\xfd".to_vec();
    frame.extend((0..200_u8).map(|n| n.wrapping_mul(151)));
    with_frame(frame).into()
}

fn unknown_field() -> Attack {
    with_release(|release| release["run-before"] = json!("/bin/sh")).into()
}

fn release_list() -> Attack {
    // Readers that know fields by their names find none here.
    with_release(|release| {
        let path = "/capabilities/0/artifacts/2/content/config";
        let config = release.pointer_mut(path).unwrap();
        *config = json!([config["digest"], config["size"]]);
    })
    .into()
}

fn another_format() -> Attack {
    with_release(|release| release["format"] = json!(2)).into()
}

fn release_lengths() -> Attack {
    // Two files of 16 EiB each, of which a few bytes are delivered: their sum does not fit 64 bits.
    with_release(|release| {
        for artifact in ["0/content/notice", "2/content/config"] {
            let path = format!("/capabilities/0/artifacts/{artifact}");
            release.pointer_mut(&path).unwrap()["size"] = json!(u64::MAX);
        }
    })
    .into()
}

fn release_tree() -> Attack {
    with_release(|release| {
        let tree = release
            .pointer_mut("/capabilities/1/artifacts/0/content/tree")
            .unwrap();
        tree["size"] = json!(1);
    })
    .into()
}

fn release_files() -> Attack {
    with_release(|release| {
        let tree = release
            .pointer_mut("/capabilities/1/artifacts/0/content/tree")
            .unwrap();
        tree["files"] = json!(4);
    })
    .into()
}

fn far_future() -> Attack {
    // The site's bound of time never goes back: after this, everything would have expired for ever.
    with_release(|release| release["published"] = json!("9999-12-31T23:59:59Z")).into()
}

fn capability_nested() -> Attack {
    let mut sample = sample();
    let mut inner = sample.release.capabilities[0].clone();
    inner.name = "core/api/files".parse().unwrap();
    inner
        .artifacts
        .retain(|a| !matches!(a.content, Content::Image(_)));
    sample.release.capabilities.insert(1, inner);
    signed(sample.members()).into()
}

fn capability_climbs() -> Attack {
    with_release(|release| release["capabilities"][0]["name"] = json!("../../core")).into()
}

fn artifact_climbs() -> Attack {
    with_release(|release| {
        let artifacts = &mut release["capabilities"][0]["artifacts"];
        artifacts[0]["name"] = json!("../../../../etc/cron.d/evil");
    })
    .into()
}

fn artifact_inside() -> Attack {
    let mut sample = sample();
    let artifacts = &mut sample.release.capabilities[0].artifacts;
    let mut inner = artifacts[0].clone();
    inner.name = "license.txt/evil".parse().unwrap();
    artifacts.insert(1, inner);
    signed(sample.members()).into()
}

/// A tree with these entries.
fn entries(entries: &[Value]) -> Attack {
    with_tree(&json!({ "entries": entries })).into()
}

fn tree_climbs() -> Attack {
    entries(&[entry("../../../../../etc/cron.d/evil")])
}

fn tree_absolute() -> Attack {
    entries(&[entry("/etc/cron.d/evil")])
}

fn tree_link() -> Attack {
    entries(&[json!({ "link": "../../../../../../etc", "path": "sub/link" })])
}

fn tree_link_absolute() -> Attack {
    entries(&[json!({ "link": "/etc", "path": "link" })])
}

fn tree_link_late() -> Attack {
    entries(&[
        entry("a/b/file"),
        json!({ "link": "b/../../../../../../etc", "path": "a/link" }),
    ])
}

fn tree_inside_link() -> Attack {
    entries(&[json!({ "link": "sub", "path": "link" }), entry("link/evil")])
}

fn tree_twice() -> Attack {
    entries(&[entry("file"), entry("file")])
}

fn tree_line_break() -> Attack {
    entries(&[entry("harmless\nerror[none]: all is well")])
}

fn tree_too_long() -> Attack {
    let path = "deep/".repeat(limits::PATH_BYTES / 5) + "files";
    entries(&[entry(&path)])
}

fn tree_of_many_entries() -> Attack {
    with_folders(63 << 20)
}

fn tree_too_large() -> Attack {
    with_folders(65 << 20)
}

/// The sample with a tree of empty folders, of about so many bytes.
fn with_folders(bytes: usize) -> Attack {
    let mut tree = b"{\"entries\":[".to_vec();
    let mut number = 0_u32;
    while tree.len() < bytes {
        tree.extend(format!("{{\"path\":\"{number:08}\"}},").bytes());
        number += 1;
    }
    tree.pop();
    tree.extend(b"]}");
    let mut sample = sample();
    let Content::Tree(reference) = &mut sample.release.capabilities[1].artifacts[0].content else {
        panic!("the second capability of the sample is a tree");
    };
    (reference.digest, reference.size) = (Digest::of(&tree), tree.len() as u64);
    // Too large for the one frame of the pack.
    sample.packed.remove(0);
    sample.stored.push(tree);
    signed(sample.members()).into()
}

fn tree_device() -> Attack {
    let mut device = entry("console");
    device["mode"] = json!("c5:1");
    with_tree_bytes(serde_json::to_vec(&json!({ "entries": [device] })).unwrap()).into()
}

fn tree_list() -> Attack {
    let file = entry("file");
    let fields = ["digest", "link", "mode", "path", "size"].map(|field| &file[field]);
    with_tree(&json!({ "entries": [fields] })).into()
}
