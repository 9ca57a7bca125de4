//! Signatures over metadata that travels to a second signer.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt};

use sealift_keys::travel::{DetachedSignature, ToSign};
use sealift_verifier::{
    digest::{Digest, unhex},
    json,
    tuf::{
        MetaFile, RoleName, Root, Signed, Snapshot, Target, Targets, Timestamp, metadata::Statement,
    },
};
use semver::Version;

use crate::support::Place;

fn to_sign(expires: &str) -> ToSign {
    let expires = expires.parse().unwrap();
    let meta = |file: &str| {
        BTreeMap::from([(
            file.to_owned(),
            MetaFile {
                version: 4,
                length: None,
                hashes: None,
            },
        )])
    };
    let targets = Targets {
        version: 4,
        expires,
        targets: BTreeMap::from([
            (
                "release.json".to_owned(),
                Target::new(11, Digest::of(b"the release")),
            ),
            (
                "delivery.json".to_owned(),
                Target::new(12, Digest::of(b"the delivery")),
            ),
        ]),
        delegations: None,
    };
    let snapshot = Snapshot {
        version: 4,
        expires,
        meta: meta("targets.json"),
    };
    let timestamp = Timestamp {
        version: 4,
        expires,
        meta: meta("snapshot.json"),
    };
    let (product, version) = ("acme".parse().unwrap(), Version::new(2, 5, 0));
    ToSign::new(product, version, &targets, &snapshot, &timestamp).unwrap()
}

fn place() -> Place {
    let place = Place::new();
    place
        .keys("init v --dev --release-keys 2 --release-threshold 2")
        .ok();
    place.write(
        "acme.tosign",
        to_sign("2999-01-01T00:00:00Z").to_bytes().unwrap(),
    );
    place
}

#[test]
fn a_second_signer_signs_all_three_parts() {
    let place = place();
    let told = place.keys("sign acme.tosign --key v/release-2.pem").ok();
    assert_eq!(told["counter"], 4);
    assert_eq!(told["release"], Digest::of(b"the release").to_hex());
    assert_eq!((&told["files"], &told["bytes"]), (&2.into(), &23.into()));
    let keyid = told["keyid"].as_str().unwrap();
    let name = format!("acme.tosign.{}.sig", &keyid[..8]);
    assert_eq!(told["signature"], name.as_str());
    let shown = place
        .shell("$KEYS sign acme.tosign --key v/release-2.pem")
        .text()
        .to_owned();
    assert!(shown.contains("acme 2.5.0"), "{shown}");

    // What the bundler does with it.
    let file = to_sign("2999-01-01T00:00:00Z");
    let signature = DetachedSignature::parse(&place.read(&name), &name).unwrap();
    let root = Signed::parse(&place.read("v/root/1.root.json"), "root").unwrap();
    let root = Root::from_signed(root.signed()).unwrap();
    assert!(
        root.role(RoleName::Targets)
            .unwrap()
            .keyids
            .contains(&keyid.to_owned())
    );
    signature.verify(&file, &root.keys[keyid]).unwrap();

    // And what OpenSSL says of it.
    for role in ["targets", "snapshot", "timestamp"] {
        let value = place.json("acme.tosign")["signed"][role].clone();
        place.write("message", json::canonical(&value));
        let sig = place.json(&name)["signatures"][role]
            .as_str()
            .unwrap()
            .to_owned();
        place.write("sig", unhex(&sig).unwrap());
        place
            .openssl(
                "pkeyutl -verify -rawin -pubin -inkey v/release-2.pub.pem -in message -sigfile sig",
            )
            .text();
    }
}

#[test]
fn signatures_are_repeatable_and_never_overwrite() {
    let place = place();
    place
        .keys("sign acme.tosign --key v/release-1.pem -o one.sig")
        .ok();
    let before = place.read("one.sig");
    place
        .keys("sign acme.tosign --key v/release-1.pem -o one.sig")
        .ok();
    place
        .keys("sign acme.tosign --key v/release-2.pem -o one.sig")
        .fails("already-exists", 1);
    place
        .keys("sign acme.tosign --key v/release-1.pem --signature pass")
        .fails("already-exists", 1);
    assert_eq!(place.read("one.sig"), before);
    assert_eq!(place.mode("one.sig"), 0o644);
}

#[test]
fn what_does_not_hold_together_is_not_signed() {
    let place = place();
    let text = String::from_utf8(place.read("acme.tosign")).unwrap();
    let other = Digest::of(b"another release").to_hex();
    let release = Digest::of(b"the release").to_hex();
    for (change, code, exit) in [
        (
            text.replacen(
                &format!("\"release\":\"{release}\""),
                &format!("\"release\":\"{other}\""),
                1,
            ),
            "tosign-invalid",
            3,
        ),
        (
            text.replace("\"counter\":4", "\"counter\":5"),
            "tosign-invalid",
            3,
        ),
        (
            text.replace("\"kind\":\"sealift-tosign\"", "\"kind\":\"x\""),
            "tosign-invalid",
            3,
        ),
        (
            text.replace("\"format\":1", "\"format\":2"),
            "unsupported-format",
            1,
        ),
        (
            text.replace("\"spec_version\":\"1", "\"spec_version\":\"2"),
            "unsupported-format",
            3,
        ),
        (text.replace("2999", "2020"), "expiry-in-past", 1),
        (text[1..].to_owned(), "bad-json", 3),
        (String::new(), "bad-json", 3),
    ] {
        assert_ne!(change, text);
        place.write("bad.tosign", &change);
        place
            .keys("sign bad.tosign --key v/release-1.pem")
            .fails(code, exit);
    }
    place
        .keys("sign v/root/1.root.json --key v/release-1.pem")
        .fails("tosign-invalid", 3);
    place
        .keys("sign missing --key v/release-1.pem")
        .fails("not-found", 1);
    assert!(
        !place
            .files(".")
            .iter()
            .any(|file| file.starts_with("bad.tosign."))
    );
}

#[test]
fn a_key_that_others_can_read_is_mentioned() {
    let place = place();
    let key = place.path("v/release-1.pem");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let run = place.keys("sign acme.tosign --key v/release-1.pem");
    run.ok();
    assert!(run.stderr().contains("chmod 600"), "{}", run.stderr());
}
