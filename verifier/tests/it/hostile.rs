//! Each way of changing a bundle, and the code it is refused with.

use std::{collections::BTreeSet, os::unix::fs::FileExt as _};

use ::tar as tar_crate;
use sealift_verifier::{
    Code,
    bundle::{Bundle, Trust},
    digest::Digest,
    json, limits,
    provenance::PAYLOAD_TYPE,
    tar::{self, BLOCK},
};
use serde_json::{Value, json};

use crate::maker::{
    Parts, RELEASE, Roles, Sample, attest, check, check_bytes, envelope, file_of, key, keyid,
    member, now, public, root, root_of, sign, statement,
};

fn trust() -> Trust {
    Trust::from_root(sign(&root(1), &[1, 2]))
}

/// Signs the minimal sample after `change` had its way with what is signed.
fn signed_after(change: impl FnOnce(&mut Roles)) -> Result<(), Code> {
    let members = Sample::minimal().members();
    let mut roles = Roles::new(5, &members);
    change(&mut roles);
    let roots = vec![sign(&root(1), &[1, 2])];
    check_bytes(&Parts::with(roots, &roles, &[RELEASE], members).bytes())
}

#[test]
fn what_nobody_changed_is_accepted() {
    assert_eq!(check_bytes(&Sample::minimal().parts().bytes()), Ok(()));
    assert_eq!(check_bytes(&Sample::rich().parts().bytes()), Ok(()));
}

#[test]
fn every_byte_counts() {
    let bytes = Sample::minimal().parts().bytes();
    let file = file_of(&bytes);
    let trust = trust();
    let mut codes = BTreeSet::new();
    for (position, byte) in bytes.iter().enumerate() {
        let bit = 1 << (position % 8);
        file.write_all_at(&[byte ^ bit], position as u64).unwrap();
        match check(&file, &trust) {
            Ok(()) => panic!("byte {position} of {} does not count", bytes.len()),
            Err(error) => codes.insert(error.kind().name()),
        };
        file.write_all_at(&[*byte], position as u64).unwrap();
    }
    // Damage has few names: what people see first says what to do.
    assert!(codes.contains("digest-mismatch") && codes.contains("not-canonical"));
    check(&file, &trust).unwrap();
}

#[test]
fn every_length_but_its_own_is_refused() {
    let bytes = Sample::minimal().parts().bytes();
    let file = file_of(&bytes);
    let trust = trust();
    for length in (0..bytes.len()).rev() {
        file.set_len(length as u64).unwrap();
        let code = check(&file, &trust).unwrap_err().kind();
        assert_eq!(code, Code::Truncated, "cut to {length} bytes");
    }
    for more in [&[0][..], &[0; 512], &[0; 10_240], b"x"] {
        assert_eq!(
            check_bytes(&[&bytes, more].concat()),
            Err(Code::TrailingBytes)
        );
    }
}

#[test]
fn members_have_their_place_and_name() {
    let good = Sample::rich().parts();
    for first in 0..good.members.len() {
        for second in first + 1..good.members.len() {
            let mut swapped = good.clone();
            swapped.members.swap(first, second);
            assert_eq!(check_bytes(&swapped.bytes()), Err(Code::NotCanonical));
        }
    }
    for index in 0..good.members.len() {
        let mut renamed = good.clone();
        renamed.members[index].0.push('x');
        assert_eq!(check_bytes(&renamed.bytes()), Err(Code::NotCanonical));

        let mut doubled = good.clone();
        doubled.members.insert(index, good.members[index].clone());
        assert!(check_bytes(&doubled.bytes()).is_err());

        let mut without = good.clone();
        without.members.remove(index);
        assert!(check_bytes(&without.bytes()).is_err());
    }
    let mut last = good.clone();
    last.members.push(good.members.last().unwrap().clone());
    assert_eq!(check_bytes(&last.bytes()), Err(Code::NotCanonical));
    for index in 0..good.head.len() {
        let mut without = good.clone();
        without.head.remove(index);
        let code = check_bytes(&without.bytes()).unwrap_err();
        let expected = if index == 0 {
            Code::NotABundle
        } else {
            Code::MemberUnexpected
        };
        assert_eq!(code, expected, "without {}", good.head[index].0);
    }
}

/// The bundle with other things where the member `release.json` has its header.
fn with_header(change: impl FnOnce(&mut tar_crate::Header)) -> Vec<u8> {
    let parts = Sample::minimal().parts();
    let before: usize = parts.head.iter().map(|(p, c)| member(p, c).len()).sum();
    let mut bytes = parts.bytes();
    let block = &mut bytes[before..before + BLOCK as usize];
    let mut header = tar_crate::Header::new_ustar();
    header.as_mut_bytes().copy_from_slice(block);
    change(&mut header);
    header.set_cksum();
    block.copy_from_slice(header.as_bytes());
    bytes
}

#[test]
fn headers_have_one_form() {
    type Change = fn(&mut tar_crate::Header);
    let changes: [Change; 9] = [
        |h| h.set_mode(0o755),
        |h| h.set_uid(1000),
        |h| h.set_gid(1000),
        |h| h.set_mtime(1),
        |h| h.set_entry_type(tar_crate::EntryType::Symlink),
        |h| h.set_entry_type(tar_crate::EntryType::Link),
        |h| h.set_entry_type(tar_crate::EntryType::XHeader),
        |h| h.set_entry_type(tar_crate::EntryType::GNULongName),
        |h| h.set_entry_type(tar_crate::EntryType::GNUSparse),
    ];
    assert_eq!(check_bytes(&with_header(|_| {})), Ok(()));
    for change in changes {
        assert_eq!(check_bytes(&with_header(change)), Err(Code::NotCanonical));
    }
}

#[test]
fn extension_headers_are_no_members() {
    let parts = Sample::minimal().parts();
    for kind in [
        tar_crate::EntryType::XHeader,
        tar_crate::EntryType::XGlobalHeader,
        tar_crate::EntryType::GNULongName,
        tar_crate::EntryType::GNULongLink,
        tar_crate::EntryType::Directory,
        tar_crate::EntryType::Symlink,
    ] {
        let record = b"22 path=metadata/evil\n";
        let mut header = tar_crate::Header::new_ustar();
        header.set_path("x").unwrap();
        header.set_size(record.len() as u64);
        header.set_entry_type(kind);
        header.set_cksum();
        let mut extension = header.as_bytes().to_vec();
        extension.extend(record);
        extension.resize(1024, 0);
        let bytes = parts.bytes();
        assert_eq!(
            check_bytes(&[&extension, &bytes[..]].concat()),
            Err(Code::NotABundle)
        );
        let behind: usize = parts.head.iter().map(|(p, c)| member(p, c).len()).sum();
        let (head, rest) = bytes.split_at(behind);
        assert_eq!(
            check_bytes(&[head, &extension, rest].concat()),
            Err(Code::NotCanonical)
        );
    }
}

#[test]
fn thresholds_count_distinct_public_keys() {
    let members = Sample::minimal().members();
    let under = |root: Value, keys: &[u8]| {
        let root = sign(&root, keys);
        let parts = Parts::sign(vec![root.clone()], 5, members.clone());
        check(&file_of(&parts.bytes()), &Trust::from_root(root)).map_err(|e| e.kind())
    };
    assert_eq!(under(root(1), &[1, 2, 3]), Ok(()));
    assert_eq!(under(root(1), &[1]), Err(Code::ThresholdNotMet));
    assert_eq!(under(root(1), &[RELEASE]), Err(Code::ThresholdNotMet));
    for role in ["root", "targets", "snapshot", "timestamp"] {
        let mut zero = root(1);
        zero["roles"][role]["threshold"] = json!(0);
        assert_eq!(under(zero, &[1, 2]), Err(Code::ThresholdInvalid));
    }

    // One public key under two ids, also with other digits, is one vote.
    for shown in [
        public(1).keyval.public,
        public(1).keyval.public.to_uppercase(),
    ] {
        let mut twice = root_of(1, &[1, 2], 2, RELEASE);
        twice["keys"]["second"] = json!(public(1));
        twice["keys"]["second"]["keyval"]["public"] = json!(shown);
        twice["roles"]["root"]["keyids"] = json!([keyid(1), "second"]);
        let message = json::canonical(&twice);
        let sig = sealift_verifier::digest::hex(
            &ed25519_dalek::Signer::sign(&key(1), &message).to_bytes(),
        );
        let root = envelope(&twice, &[(keyid(1), sig.clone()), ("second".into(), sig)]);
        let parts = Parts::sign(vec![root.clone()], 5, members.clone());
        let code = check(&file_of(&parts.bytes()), &Trust::from_root(root)).unwrap_err();
        assert_eq!(code.kind(), Code::ThresholdNotMet);
    }
}

#[test]
fn every_signature_has_to_be_valid_and_entitled() {
    let sample = Sample::minimal();
    let members = sample.members();
    let roles = Roles::new(5, &members);
    let roots = || vec![sign(&root(1), &[1, 2])];
    // A root key signs for a release, alone and beside the release key.
    let alone = Parts::with(roots(), &roles, &[1], members.clone());
    assert_eq!(check_bytes(&alone.bytes()), Err(Code::KeyUnknown));
    let beside = Parts::with(roots(), &roles, &[1, RELEASE], members.clone());
    assert_eq!(check_bytes(&beside.bytes()), Err(Code::KeyUnknown));

    let mut forged = sample.parts();
    let sig = "00".repeat(64);
    forged.replace(
        "metadata/targets.json",
        envelope(&roles.targets, &[(keyid(RELEASE), sig)]),
    );
    assert_eq!(check_bytes(&forged.bytes()), Err(Code::SignatureInvalid));

    let mut unsigned = sample.parts();
    unsigned.replace("metadata/targets.json", envelope(&roles.targets, &[]));
    assert_eq!(check_bytes(&unsigned.bytes()), Err(Code::ThresholdNotMet));
}

#[test]
fn metadata_has_one_form() {
    let good = Sample::minimal().parts();
    for (path, content) in &good.head {
        let value: Value = serde_json::from_slice(content).unwrap();
        let mut spaced = good.clone();
        spaced.replace(path, serde_json::to_vec_pretty(&value).unwrap());
        assert_eq!(
            check_bytes(&spaced.bytes()),
            Err(Code::NotCanonical),
            "{path}"
        );
        let text = String::from_utf8(content.clone()).unwrap();
        let twice = text.replacen("\"signed\":{", "\"signed\":{},\"signed\":{", 1);
        let mut doubled = good.clone();
        doubled.replace(path, twice.into_bytes());
        assert_eq!(check_bytes(&doubled.bytes()), Err(Code::BadJson), "{path}");
        let mut extra = value;
        extra["more"] = json!(1);
        let mut more = good.clone();
        more.replace(path, json::canonical(&extra));
        assert_eq!(
            check_bytes(&more.bytes()),
            Err(Code::NotCanonical),
            "{path}"
        );
    }
}

#[test]
fn roots_follow_each_other_one_by_one() {
    let members = Sample::minimal().members();
    let judge = |roots: Vec<Vec<u8>>, trusted: Vec<u8>| {
        let parts = Parts::sign(roots, 5, members.clone());
        check(&file_of(&parts.bytes()), &Trust::from_root(trusted)).map_err(|e| e.kind())
    };
    let first = sign(&root(1), &[1, 2]);
    // The second root exchanges all root keys: both sets have to sign.
    let second = |keys: &[u8]| sign(&root_of(2, &[4, 5, 6], 2, RELEASE), keys);
    let both = second(&[1, 2, 4, 5]);
    assert_eq!(
        judge(vec![first.clone(), both.clone()], first.clone()),
        Ok(())
    );
    assert_eq!(
        judge(vec![first.clone(), both.clone()], both.clone()),
        Ok(())
    );
    for (keys, code) in [
        (&[1, 2][..], Code::ThresholdNotMet),
        (&[4, 5], Code::ThresholdNotMet),
        (&[1, 4, 5], Code::ThresholdNotMet),
        (&[1, 2, 4, 5, 7], Code::KeyUnknown),
    ] {
        let roots = vec![first.clone(), second(keys)];
        assert_eq!(judge(roots, first.clone()), Err(code), "{keys:?}");
    }
    // One is left out; one comes twice.
    let third = sign(&root(3), &[1, 2]);
    for roots in [
        vec![first.clone(), third],
        vec![first.clone(), first.clone()],
    ] {
        assert_eq!(judge(roots, first.clone()), Err(Code::RootVersion));
    }
    let begins_later = vec![sign(&root(2), &[1, 2])];
    assert_eq!(
        judge(begins_later.clone(), begins_later[0].clone()),
        Err(Code::RootVersion)
    );
    assert_eq!(judge(begins_later, first.clone()), Err(Code::RootMismatch));
    // Another vendor's.
    let other = sign(&root_of(1, &[21, 22], 2, RELEASE), &[21, 22]);
    assert_eq!(judge(vec![first.clone()], other), Err(Code::RootMismatch));
    // A site that is further than the bundle, and whose root revoked the release key.
    let revoked = sign(&root_of(2, &[1, 2, 3], 2, 12), &[1, 2]);
    assert_eq!(judge(vec![first], revoked), Err(Code::KeyUnknown));
}

#[test]
fn roots_are_limited_before_memory_is_taken() {
    let mut parts = Sample::minimal().parts();
    let root = parts.head[0].1.clone();
    let more =
        (2..=limits::ROOT_ROTATIONS + 1).map(|n| (format!("metadata/{n}.root.json"), root.clone()));
    let rest = parts.head.split_off(1);
    parts.head.extend(more.chain(rest));
    assert_eq!(check_bytes(&parts.bytes()), Err(Code::LimitExceeded));
    // A header that promises more than metadata may have, and than the file holds.
    for (size, code) in [
        (limits::METADATA_BYTES + 512, Code::LimitExceeded),
        (8 << 20, Code::Truncated),
    ] {
        let header = tar::header("metadata/1.root.json", size);
        assert_eq!(check_bytes(&[&header[..], &[0; 512]].concat()), Err(code));
    }
}

#[test]
fn versions_and_dates_are_held() {
    assert_eq!(signed_after(|_| {}), Ok(()));
    for (change, code) in [
        (
            (|r| r.timestamp["expires"] = json!("2026-05-31T23:59:59Z")) as fn(&mut Roles),
            Code::Expired,
        ),
        (
            |r| r.snapshot["expires"] = json!("2026-06-01T00:00:00Z"),
            Code::Expired,
        ),
        (
            |r| r.targets["expires"] = json!("2026-01-01T00:00:00Z"),
            Code::Expired,
        ),
        (
            |r| r.targets["expires"] = json!("2031-03-01T00:00:00+00:00"),
            Code::BadMetadata,
        ),
        (|r| r.snapshot["version"] = json!(6), Code::VersionMismatch),
        (|r| r.targets["version"] = json!(4), Code::VersionMismatch),
        (|r| r.targets["version"] = json!(0), Code::BadMetadata),
        (|r| r.targets["version"] = json!("5"), Code::BadMetadata),
        (
            |r| r.targets["_type"] = json!("snapshot"),
            Code::BadMetadata,
        ),
        (
            |r| r.targets["spec_version"] = json!("2.0.0"),
            Code::UnsupportedFormat,
        ),
        (
            |r| r.targets["delegations"] = json!({ "keys": {}, "roles": [] }),
            Code::DelegationUnsupported,
        ),
        (|r| r.timestamp["meta"] = json!({}), Code::BadMetadata),
    ] {
        assert_eq!(signed_after(change), Err(code), "{code:?}");
    }
    let mut expired = root(1);
    expired["expires"] = json!("2026-05-01T00:00:00Z");
    let root = sign(&expired, &[1, 2]);
    let parts = Parts::sign(vec![root.clone()], 5, Sample::minimal().members());
    let error = check(&file_of(&parts.bytes()), &Trust::from_root(root)).unwrap_err();
    assert_eq!(error.kind(), Code::Expired);
}

#[test]
fn targets_have_their_digests_and_their_places() {
    let path = "release.json";
    for (change, code) in [
        (
            (|r, p| r.targets["targets"][p]["hashes"]["sha256"] = json!(""))
                as fn(&mut Roles, &str),
            Code::BadMetadata,
        ),
        (
            |r, p| r.targets["targets"][p]["hashes"] = json!({}),
            Code::BadMetadata,
        ),
        (
            |r, p| r.targets["targets"][p]["hashes"]["sha256"] = json!("0".repeat(64)),
            Code::DigestMismatch,
        ),
        (
            |r, p| r.targets["targets"][p]["length"] = json!(0),
            Code::NotCanonical,
        ),
        (
            |r, p| r.targets["targets"][p]["length"] = json!(u64::MAX),
            Code::LimitExceeded,
        ),
        (
            |r, p| r.targets["targets"][p]["length"] = json!(-1),
            Code::BadMetadata,
        ),
        (
            |r, _| {
                let one = r.targets["targets"]["release.json"].clone();
                r.targets["targets"]["../../etc/passwd"] = one;
            },
            Code::MemberUnexpected,
        ),
        (
            |r, _| {
                let one = r.targets["targets"]["release.json"].clone();
                r.targets["targets"]["blobs/sha256/../../x"] = one;
            },
            Code::MemberUnexpected,
        ),
        (
            |r, _| {
                let one = r.targets["targets"]["release.json"].clone();
                r.targets["targets"]["packs/9999.tar.zst"] = one;
            },
            Code::MemberUnexpected,
        ),
    ] {
        assert_eq!(signed_after(|r| change(r, path)), Err(code), "{code:?}");
    }
}

#[test]
fn two_releases_cannot_be_mixed() {
    let one = Sample::minimal().parts();
    let rich = Sample::rich();
    let two = Parts::sign(vec![sign(&root(1), &[1, 2])], 6, rich.members());
    for path in [
        "metadata/timestamp.json",
        "metadata/snapshot.json",
        "metadata/targets.json",
    ] {
        let mut mixed = one.clone();
        let other = two.head.iter().find(|(p, _)| p == path).unwrap();
        mixed.replace(path, other.1.clone());
        let code = check_bytes(&mixed.bytes()).unwrap_err();
        assert!(
            matches!(code, Code::VersionMismatch | Code::NotCanonical),
            "{path}: {code:?}"
        );
    }
    // Of one version and thus not told apart by versions: then by what the targets name.
    let same = Parts::sign(vec![sign(&root(1), &[1, 2])], 5, rich.members());
    let mut mixed = one.clone();
    mixed.head.clone_from(&same.head);
    assert!(check_bytes(&mixed.bytes()).is_err());
    // A delivery manifest that the vendor did sign, but for another release.
    let mut members = one.members.clone();
    members[1].1.clone_from(&rich.members()[1].1);
    let parts = Parts::sign(vec![sign(&root(1), &[1, 2])], 5, members);
    assert_eq!(check_bytes(&parts.bytes()), Err(Code::BadMetadata));
}

#[test]
fn a_site_never_goes_back() {
    let bundle = |version| {
        let parts = Parts::sign(
            vec![sign(&root(1), &[1, 2])],
            version,
            Sample::minimal().members(),
        );
        file_of(&parts.bytes())
    };
    let open = |version, trust: &Trust| {
        Bundle::open(bundle(version), "test.bundle")?.verify(trust, now(), &mut |_| {})
    };
    let site = open(5, &trust()).unwrap().trust();
    assert!(open(5, &site).is_ok(), "the same again");
    let newer = open(6, &site).unwrap().trust();
    for trust in [&newer, &site] {
        let code = open(4, trust).err().unwrap().kind();
        assert_eq!(code, Code::VersionRollback);
    }
    assert!(open(5, &newer).is_err());
}

#[test]
fn a_vendor_cannot_sign_what_does_not_fit() {
    let sample = Sample::rich();
    let sign_members = |members| {
        let parts = Parts::sign(vec![sign(&root(1), &[1, 2])], 5, members);
        check_bytes(&parts.bytes())
    };
    let release = json::to_canonical(&sample.release).unwrap();
    let delivery = |change: fn(&mut sealift_verifier::delivery::Delivery)| {
        sign_members(sample.members_with(release.clone(), change))
    };
    assert_eq!(delivery(|_| {}), Ok(()));
    assert_eq!(delivery(|d| d.format = 2), Err(Code::UnsupportedFormat));
    assert_eq!(
        delivery(|d| d.compression.frame = 1),
        Err(Code::BadMetadata)
    );
    for level in [i32::MIN, 0, 20, i32::MAX] {
        let with = sample.members_with(release.clone(), |d| d.packs[0].level = level);
        assert_eq!(sign_members(with), Err(Code::BadMetadata), "{level}");
    }
    assert_eq!(
        delivery(|d| d.packs[0].frames.clear()),
        Err(Code::BadMetadata)
    );
    assert_eq!(
        delivery(|d| d.packs[0].blobs.reverse()),
        Err(Code::NotCanonical)
    );
    assert_eq!(
        delivery(|d| {
            let one = d.packs[0].blobs[0];
            d.packs[0].blobs.push(one);
        }),
        Err(Code::BadMetadata)
    );
    assert_eq!(delivery(|d| d.blobs.clear()), Err(Code::BadMetadata));
    assert_eq!(
        delivery(|d| d.packs[0].blobs[1].0 = Digest::of(b"another")),
        Err(Code::Incomplete)
    );

    let changed = |change: &dyn Fn(&mut Value)| {
        let mut value = serde_json::to_value(&sample.release).unwrap();
        change(&mut value);
        sign_members(sample.members_with(json::canonical(&value), |_| {}))
    };
    assert_eq!(changed(&|_| {}), Ok(()));
    assert_eq!(
        changed(&|r| r["format"] = json!(2)),
        Err(Code::UnsupportedFormat)
    );
    assert_eq!(
        changed(&|r| r["new-field"] = json!(2)),
        Err(Code::BadMetadata)
    );
    assert_eq!(
        changed(&|r| r["capabilities"].as_array_mut().unwrap().reverse()),
        Err(Code::BadMetadata)
    );
    assert_eq!(
        changed(&|r| r["capabilities"][0]["name"] = json!("../core")),
        Err(Code::BadMetadata)
    );
    assert_eq!(
        changed(&|r| r["capabilities"][0]["artifacts"][1]["name"] = json!("a/../b")),
        Err(Code::BadMetadata)
    );
    let config = "/capabilities/0/artifacts/2/content/config";
    assert_eq!(
        changed(&|r| r.pointer_mut(config).unwrap()["digest"] = json!("f".repeat(64))),
        Err(Code::Incomplete)
    );

    let mut index = sample.members();
    index[4].1 = b"{}".to_vec();
    assert_eq!(sign_members(index), Err(Code::BadMetadata));
}

#[test]
fn provenance_is_by_a_release_key_and_about_this_release() {
    let sample = Sample::minimal();
    let release = Digest::of(&sample.members()[0].1);
    let judge = |members| {
        let parts = Parts::sign(vec![sign(&root(1), &[1, 2])], 5, members);
        check_bytes(&parts.bytes())
    };
    let with = |envelope: Vec<u8>| {
        let mut members = sample.members();
        members[2].1 = envelope;
        judge(members)
    };
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut statement = statement(release);
        change(&mut statement);
        let payload = json::canonical(&statement);
        with(attest(PAYLOAD_TYPE, payload, &[RELEASE]))
    };
    assert_eq!(changed(&|_| {}), Ok(()));
    // What is not known of it is ignored, as in-toto asks.
    let more = |s: &mut Value| s["predicate"]["runDetails"]["byproducts"] = json!([]);
    assert_eq!(changed(&more), Ok(()));
    let beside = |s: &mut Value| {
        let image = json!({ "digest": { "sha256": Digest::of(b"image") }, "name": "image" });
        s["subject"].as_array_mut().unwrap().insert(0, image);
    };
    assert_eq!(changed(&beside), Ok(()));

    let invalid = Err(Code::ProvenanceInvalid);
    let paths = [
        ("/_type", json!("https://in-toto.io/Statement/v0.1")),
        ("/predicateType", json!("https://slsa.dev/provenance/v0.2")),
        ("/predicate", json!({})),
        ("/predicate/runDetails/builder", json!({})),
        ("/predicate/runDetails/metadata/finishedOn", json!("today")),
        ("/subject", json!([])),
        ("/subject/0/digest/sha256", json!(Digest::of(b"another"))),
        ("/subject/0/digest/sha256", json!("")),
        ("/subject/0/digest", json!({})),
        ("/subject/0/name", json!("delivery.json")),
    ];
    for (path, value) in paths {
        let code = changed(&|s| *s.pointer_mut(path).unwrap() = value.clone());
        assert_eq!(code, invalid, "{path}");
    }
    let good = json::canonical(&statement(release));
    for (envelope, why) in [
        (attest(PAYLOAD_TYPE, good.clone(), &[]), "signed by nobody"),
        (attest(PAYLOAD_TYPE, good.clone(), &[1]), "by a root key"),
        (attest(PAYLOAD_TYPE, good.clone(), &[66]), "by a stranger"),
        (
            attest("application/json", good.clone(), &[RELEASE]),
            "another type",
        ),
        (good.clone(), "no envelope"),
        (
            attest(PAYLOAD_TYPE, [&good[..], b"{}"].concat(), &[RELEASE]),
            "two values",
        ),
        (attest(PAYLOAD_TYPE, b"1".to_vec(), &[RELEASE]), "a number"),
        (b"".to_vec(), "nothing"),
    ] {
        assert_eq!(with(envelope), invalid, "{why}");
    }
    // With a stranger's beside it, the release key's counts.
    let two = attest(PAYLOAD_TYPE, good, &[RELEASE, 66]);
    assert_eq!(with(two), Ok(()));
    assert_eq!(judge(sample.members_by(12)), invalid);
}

#[test]
fn a_frame_bomb_is_refused() {
    // A frame that is signed, but unpacks to more than the pack's list of blobs leads to.
    let sample = Sample::minimal();
    let bomb = sealift_verifier::pack::Compressor::new(1)
        .compress(vec![0; limits::FRAME_BYTES], sealift_verifier::pack::LEVEL)
        .wait()
        .unwrap();
    let frame = sealift_verifier::release::BlobRef(bomb.digest, bomb.bytes.len() as u64);
    let release = json::to_canonical(&sample.release).unwrap();
    let mut members = sample.members_with(release, |d| d.packs[0].frames = vec![frame]);
    members[5].1 = bomb.bytes;
    let parts = Parts::sign(vec![sign(&root(1), &[1, 2])], 5, members);
    assert_eq!(check_bytes(&parts.bytes()), Err(Code::BadMetadata));
}
