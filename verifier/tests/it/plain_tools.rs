//! `docs/verify-with-plain-tools.sh` judges as this program does.

use std::{path::Path, process::Command};

use sealift_verifier::{digest::Digest, json::canonical, provenance::PAYLOAD_TYPE};
use serde_json::{Value, json};

use crate::maker::{Parts, RELEASE, Roles, Sample, attest, root, root_of, sign, statement};

/// Whether the script accepts a bundle; what it said if not.
#[expect(clippy::disallowed_methods, reason = "a test makes its files")]
fn judge(bundle: &[u8], trusted: &[u8]) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let (file, root) = (
        folder.path().join("x.bundle"),
        folder.path().join("root.json"),
    );
    std::fs::write(&file, bundle).unwrap();
    std::fs::write(&root, trusted).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/verify-with-plain-tools.sh");
    let output = Command::new("bash")
        .arg(script)
        .args([&file, &root])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let accepted = output.status.success() && said.ends_with("AUTHENTIC\n");
    if accepted { Ok(()) } else { Err(said) }
}

fn first() -> Vec<u8> {
    sign(&root(1), &[1, 2])
}

#[track_caller]
fn refused(bundle: &[u8], trusted: &[u8], why: &str) {
    let said = judge(bundle, trusted).unwrap_err();
    assert!(said.contains(why), "{said}");
}

#[test]
fn accepts_what_is_authentic() {
    judge(&Sample::rich().parts().bytes(), &first()).unwrap();
    let second = sign(&root_of(2, &[4, 5, 6], 2, RELEASE), &[1, 2, 4, 5]);
    let roots = vec![first(), second.clone()];
    let bundle = Parts::sign(roots, 9, Sample::minimal().members()).bytes();
    judge(&bundle, &first()).unwrap();
    judge(&bundle, &second).unwrap();
}

#[test]
fn refuses_what_is_not() {
    let sample = Sample::rich();
    let good = sample.parts();
    // Every member with one byte changed.
    for index in 0..good.head.len() + good.members.len() {
        let mut parts = good.clone();
        let mut all = parts.head.iter_mut().chain(&mut parts.members);
        let (path, content) = all.nth(index).unwrap();
        let (path, middle) = (path.clone(), content.len() / 2);
        content[middle] ^= 1;
        assert!(judge(&parts.bytes(), &first()).is_err(), "{path}");
    }
    let bytes = good.bytes();
    refused(&[&bytes[..], &[0; 512]].concat(), &first(), "end");
    let mut link = tar::Header::new_ustar();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_path("blobs").unwrap();
    link.set_link_name("/tmp").unwrap();
    link.set_cksum();
    let bundle = [&link.as_bytes()[..], &bytes].concat();
    refused(&bundle, &first(), "something else than files");
    let members = sample.members();
    let with = |change: fn(&mut Roles), keys: &[u8]| {
        let mut roles = Roles::new(5, &members);
        change(&mut roles);
        Parts::with(vec![first()], &roles, keys, members.clone()).bytes()
    };
    let expired = |r: &mut Roles| r.targets["expires"] = json!("2020-01-01T00:00:00Z");
    refused(&with(expired, &[RELEASE]), &first(), "expired");
    let mixed = |r: &mut Roles| r.targets["version"] = json!(6);
    refused(&with(mixed, &[RELEASE]), &first(), "version");
    refused(&with(|_| {}, &[12]), &first(), "signatures");
    refused(&with(|_| {}, &[1]), &first(), "signatures");
    let unsigned = |r: &mut Roles| {
        let targets: &mut Value = &mut r.targets["targets"];
        targets.as_object_mut().unwrap().remove("index.json");
    };
    assert!(judge(&with(unsigned, &[RELEASE]), &first()).is_err());
    let release = Digest::of(&members[0].1);
    for (release, key, why) in [
        (release, 66, "no release key"),
        (Digest::of(b"another"), RELEASE, "another release"),
    ] {
        let mut members = members.clone();
        members[2].1 = attest(PAYLOAD_TYPE, canonical(&statement(release)), &[key]);
        let bundle = Parts::sign(vec![first()], 5, members).bytes();
        refused(&bundle, &first(), why);
    }

    for (roots, trusted) in [
        (vec![sign(&root(1), &[1])], sign(&root(1), &[1])),
        (
            vec![first()],
            sign(&root_of(1, &[21, 22], 2, RELEASE), &[21, 22]),
        ),
        (
            vec![first(), sign(&root_of(2, &[4, 5, 6], 2, RELEASE), &[1, 2])],
            first(),
        ),
        (
            vec![first(), sign(&root_of(2, &[4, 5, 6], 2, RELEASE), &[4, 5])],
            first(),
        ),
        (vec![first(), sign(&root(3), &[1, 2])], first()),
    ] {
        let bundle = Parts::sign(roots, 5, members.clone()).bytes();
        assert!(judge(&bundle, &trusted).is_err());
    }
    // One key under two ids.
    let mut twice = root_of(1, &[1, 2], 2, RELEASE);
    twice["keys"]["second"] = json!(crate::maker::public(1));
    twice["roles"]["root"]["keyids"] = json!([crate::maker::keyid(1), "second"]);
    let message = sealift_verifier::json::canonical(&twice);
    let signature = ed25519_dalek::Signer::sign(&crate::maker::key(1), &message).to_bytes();
    let sig = sealift_verifier::digest::hex(&signature);
    let ids = [
        (crate::maker::keyid(1), sig.clone()),
        ("second".into(), sig),
    ];
    let root = crate::maker::envelope(&twice, &ids);
    let bundle = Parts::sign(vec![root.clone()], 5, members).bytes();
    refused(&bundle, &root, "signatures");
}
