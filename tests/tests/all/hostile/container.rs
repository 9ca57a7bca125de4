//! Attacks on the file that carries a release: members, headers, lengths, order.

use ::tar::EntryType;
use sealift_verifier::tar;

use super::{
    forge::{Attack, Maker, good, position, with_header, with_member},
    maker::member,
};

pub(super) const ATTACKS: &[(&str, Maker)] = &[
    ("endless-data", endless_data),
    ("endless-metadata", endless_metadata),
    ("metadata-of-many-values", metadata_of_many_values),
    ("metadata-nested-deeply", metadata_nested_deeply),
    ("many-roots", many_roots),
    ("slow-retrieval", slow_retrieval),
    ("empty-file", empty_file),
    ("padding-not-zero", padding_not_zero),
    ("padding-of-metadata-not-zero", padding_of_metadata_not_zero),
    ("base-256-below-8-gib", base_256),
    ("pax-header", pax_header),
    ("pax-header-first", pax_header_first),
    ("gnu-long-name", gnu_long_name),
    ("hard-link", hard_link),
    ("symlink", symlink),
    ("directory", directory),
    ("member-of-metadata-is-symlink", metadata_symlink),
    ("members-swapped", members_swapped),
    ("member-renamed", member_renamed),
    ("member-duplicated", member_duplicated),
    ("member-missing", member_missing),
    ("unknown-member-unsigned", unknown_member),
    ("mode-changed", mode_changed),
    ("delivery-after-payload", delivery_after_payload),
];

fn endless_data() -> Attack {
    let mut bytes = good().bytes();
    bytes.resize(bytes.len() + (1 << 20), 0);
    bytes.into()
}

fn endless_metadata() -> Attack {
    let mut bytes = tar::header("metadata/1.root.json", 1 << 30).to_vec();
    bytes.resize(20 << 20, b' ');
    bytes.into()
}

/// A bundle whose first root is this.
fn with_first_root(root: &[u8]) -> Attack {
    let mut parts = good();
    parts.head[0].1 = root.to_vec();
    parts.into()
}

fn metadata_of_many_values() -> Attack {
    // As long as metadata may be, and each two bytes are one value: memory is taken before anything is
    // verified.
    let mut root = b"{\"signatures\":[],\"signed\":[".to_vec();
    root.resize(15 << 20, b'0');
    for comma in root[28..].iter_mut().step_by(2) {
        *comma = b',';
    }
    root.extend(if root.ends_with(b",") {
        &b"0]}"[..]
    } else {
        b"]}"
    });
    with_first_root(&root)
}

fn metadata_nested_deeply() -> Attack {
    with_first_root(&b"[".repeat(15 << 20))
}

fn many_roots() -> Attack {
    let mut parts = good();
    let root = parts.head.remove(0).1;
    let roots = (1..=300).map(|n| (format!("metadata/{n}.root.json"), root.clone()));
    parts.head.splice(0..0, roots.collect::<Vec<_>>());
    parts.into()
}

fn slow_retrieval() -> Attack {
    let mut bytes = good().bytes();
    bytes.truncate(bytes.len() - 2000);
    bytes.into()
}

fn empty_file() -> Attack {
    Vec::new().into()
}

/// The honest bundle with another last byte of padding behind `path`.
fn padding(path: &str) -> Attack {
    let parts = good();
    let mut all = parts.head.iter().chain(&parts.members);
    let content = &all.find(|(p, _)| p == path).unwrap().1;
    let end = position(&parts, path) + member(path, content).len();
    assert!(content.len() % 512 != 0, "{path} has no padding");
    let mut bytes = parts.bytes();
    bytes[end - 1] = 1;
    bytes.into()
}

fn padding_not_zero() -> Attack {
    padding("release.json")
}

fn padding_of_metadata_not_zero() -> Attack {
    padding("metadata/timestamp.json")
}

fn base_256() -> Attack {
    with_header("release.json", |header| {
        let size = header.size().unwrap();
        let field = &mut header.as_old_mut().size;
        field.fill(0);
        field[0] = 0x80;
        field[4..].copy_from_slice(&size.to_be_bytes());
    })
    .into()
}

fn pax_header() -> Attack {
    with_member(
        "release.json",
        EntryType::XHeader,
        b"22 path=metadata/evil\n",
    )
    .into()
}

fn pax_header_first() -> Attack {
    let path = "metadata/1.root.json";
    with_member(path, EntryType::XGlobalHeader, b"22 path=metadata/evil\n").into()
}

fn gnu_long_name() -> Attack {
    with_member(
        "release.json",
        EntryType::GNULongName,
        b"../../etc/cron.d/evil\0",
    )
    .into()
}

fn hard_link() -> Attack {
    with_member("release.json", EntryType::Link, b"").into()
}

fn symlink() -> Attack {
    with_header("oci-layout", |header| {
        header.set_entry_type(EntryType::Symlink);
        header.set_link_name("/etc/passwd").unwrap();
    })
    .into()
}

fn directory() -> Attack {
    with_member("release.json", EntryType::Directory, b"").into()
}

fn metadata_symlink() -> Attack {
    with_header("metadata/targets.json", |h| {
        h.set_entry_type(EntryType::Symlink);
    })
    .into()
}

fn members_swapped() -> Attack {
    let mut parts = good();
    let last = parts.members.len() - 1;
    parts.members.swap(last - 1, last);
    parts.into()
}

fn member_renamed() -> Attack {
    let mut parts = good();
    "../../etc/cron.d/evil".clone_into(&mut parts.members.last_mut().unwrap().0);
    parts.into()
}

fn member_duplicated() -> Attack {
    // Readers that take the last member of a name see another release than those that take the first.
    let mut parts = good();
    let mut twice = parts.members[0].clone();
    twice.1.fill(b' ');
    parts.members.insert(1, twice);
    parts.into()
}

fn member_missing() -> Attack {
    let mut parts = good();
    parts.members.pop();
    parts.into()
}

fn unknown_member() -> Attack {
    let mut parts = good();
    let evil = ("install.sh".to_owned(), b"#!/bin/sh\n".to_vec());
    parts.members.push(evil);
    parts.into()
}

fn mode_changed() -> Attack {
    with_header("release.json", |header| header.set_mode(0o4755)).into()
}

fn delivery_after_payload() -> Attack {
    let mut parts = good();
    let delivery = parts.members.remove(1);
    parts.members.push(delivery);
    parts.into()
}
