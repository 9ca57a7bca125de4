//! Licenses, and who would have signed them in whose place.

use sealift_keys::{
    Signer,
    dsse::{seal, sign},
};
use sealift_verifier::{
    approval::Approval, base64, dsse::Statement as _, json::canonical, license::License, tuf::Key,
};
use serde_json::{Value, json};

use crate::support::{Place, envelope, root, signer};

const ISSUE: &str = "license issue --root v/root --id L-1 --customer Harbour --product acme";

/// A vendor's folder `v` with two license keys, both of which have to sign, and one more that is not listed.
fn vendor() -> Place {
    let place = Place::new();
    place
        .keys("init v --dev --license-keys 2 --license-threshold 2")
        .ok();
    place.keys("generate stranger.pem --dev").ok();
    place
}

/// A vendor's folder `v` with one license key, and a license of it.
fn licensed() -> Place {
    let place = Place::new();
    place.keys("init v --dev").ok();
    let more = "--all --valid-until 2y --updates-until 1y --grace-days 30 -o L.license";
    place
        .keys(&format!("{ISSUE} --key v/license.pem {more}"))
        .ok();
    place
}

#[test]
fn a_license_says_what_was_asked_for() {
    let place = licensed();
    place.write(
        "terms.toml",
        "id = \"L-2\"\ncustomer = \"Harbour\"\nproduct = \"acme\"\nvalid-from = 2026-01-01\n\
         valid-until = \"1y 6mo\"\nsites = [\"b\", \"a\"]\n[entitlements]\nsuites = [\"core\"]\n\
         features = { seats = 5 }\n",
    );
    let run = place.keys(
        "license issue --root v/root/1.root.json --key v/license.pem --from terms.toml --id L-3 \
         --capability ai/model --feature tier=gold --feature seats=9 --nodes 3 --deployments 2 \
         --environment prod --environment dev --mode edge -o two",
    );
    let told = run.ok();
    assert!(run.stderr().contains("throw-away keys"), "{}", run.stderr());
    let license = &told["license"];
    for (key, expected) in [
        ("id", json!("L-3")),
        ("valid-from", json!("2026-01-01T00:00:00Z")),
        ("valid-until", json!("2027-07-01T00:00:00Z")),
        ("sites", json!(["a", "b"])),
        ("environments", json!(["dev", "prod"])),
        ("modes", json!(["edge"])),
        ("limits", json!({ "nodes": 3, "deployments": 2 })),
        (
            "entitlements",
            json!({
                "suites": ["core"], "capabilities": ["ai/model"], "features": { "seats": 9, "tier": "gold" }
            }),
        ),
    ] {
        assert_eq!(license[key], expected, "{key}");
    }
    assert_eq!(told["progress"], json!({ "signed": 1, "needed": 1 }));
    assert_eq!(
        (&told["complete"], &told["verified"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(place.mode("two"), 0o644);
    // What a site does with it.
    let (read, signers) = License::open(&place.read("two"), &root(&place, "v"), "two").unwrap();
    assert_eq!((read.id.as_str(), signers.len()), ("L-3", 1));
    place
        .keys(&format!("{ISSUE} --key v/license.pem --all -o two"))
        .fails("already-exists", 1);

    let shown = place.keys("license show two --root v/root").ok();
    assert_eq!(shown["license"], *license);
    assert_eq!(
        (&shown["verified"], &shown["root-version"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(shown["signatures"][0]["valid"], true);
    let text = place.shell("$KEYS license show two --root v/root");
    let text = text.text();
    for line in [
        "feature seats = 9",
        "valid until   2027-07-01T00:00:00Z",
        "sites         a, b",
        "VERIFIED by root 1: 1 of 1",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let shown = place.keys("license show two").ok();
    assert_eq!(
        (&shown["verified"], &shown["signatures"][0]["valid"]),
        (&json!(false), &Value::Null)
    );
    assert!(
        place
            .shell("$KEYS license show two")
            .text()
            .contains("NOT VERIFIED")
    );
}

#[test]
fn a_license_that_makes_no_sense_is_not_signed() {
    let place = Place::new();
    place.keys("init v --dev").ok();
    place
        .keys("init c --dev --license-keys 0 --policy-keys 1")
        .ok();
    place.write("bad.toml", "sesame = 1");
    place.write("deep.toml", "x = ".to_owned() + &"[".repeat(1 << 19));
    place.write("huge.toml", " ".repeat((1 << 20) + 1));
    for (arguments, code, exit) in [
        ("", "statement-invalid", 1),
        ("--feature x=1", "statement-invalid", 1),
        ("--all --valid-until 2001-01-01", "statement-invalid", 1),
        ("--all --grace-days 400", "statement-invalid", 1),
        ("--all --feature ä=1", "statement-invalid", 1),
        ("--all --from bad.toml", "statement-invalid", 1),
        ("--all --from deep.toml", "statement-invalid", 1),
        ("--all --from huge.toml", "file-too-large", 1),
        ("--all --from missing.toml", "not-found", 1),
        ("--all --valid-until 9999y", "usage", 2),
        ("--all --valid-until 6m", "usage", 2),
        ("--all --feature x", "usage", 2),
        ("--all --mode cloud", "usage", 2),
        ("--all --suite ../x", "usage", 2),
        ("--all --key v/license.pem", "usage", 2),
    ] {
        let run = place.keys(&format!("{ISSUE} --key v/license.pem {arguments} -o out"));
        run.fails(code, exit);
        assert!(!place.exists("out"), "{arguments}");
    }
    for key in ["v/release.pem", "v/root-1.pem", "c/policy.pem"] {
        place
            .keys(&format!("{ISSUE} --key {key} --all -o out"))
            .fails("key-not-listed", 1);
    }
    let of_customer = ISSUE.replace("v/root", "c/root");
    place
        .keys(&format!("{of_customer} --key v/license.pem --all -o out"))
        .fails("key-not-listed", 1);
    place
        .shell("$KEYS --output json license issue --root v/root --id \"$(printf 'a\\033[2J')\" --customer H --product acme --all --key v/license.pem -o out")
        .fails("statement-invalid", 1);
    assert!(!place.exists("out"));
}

#[test]
fn two_custodians_sign_a_license() {
    let place = vendor();
    let first = format!("{ISSUE} --all --key v/license-1.pem");
    let run = place.keys(&format!("{first} -o L.license"));
    let told = run.ok();
    assert_eq!(
        (&told["complete"], &told["verified"]),
        (&json!(false), &json!(false))
    );
    assert!(
        run.stderr().contains("more have to sign"),
        "{}",
        run.stderr()
    );
    place
        .keys("license show L.license --root v/root")
        .fails("threshold-not-met", 3);
    // The same key counts once, however often it signs.
    let sign = |key: &str| place.keys(&format!("license sign L.license --root v/root --key {key}"));
    let before = place.read("L.license");
    let run = sign("v/license-1.pem");
    assert_eq!(run.ok()["progress"], json!({ "signed": 1, "needed": 2 }));
    assert!(
        run.stderr().contains("had signed already"),
        "{}",
        run.stderr()
    );
    assert_eq!(place.read("L.license"), before);
    place
        .keys(&format!("{first} --key v/license-1.pem -o twice"))
        .fails("usage", 2);
    for key in ["stranger.pem", "v/release.pem", "v/root-1.pem"] {
        sign(key).fails("key-not-listed", 1);
    }
    assert_eq!(place.read("L.license"), before);
    let told = sign("v/license-2.pem").ok();
    assert_eq!(told["progress"], json!({ "signed": 2, "needed": 2 }));
    place.keys("license show L.license --root v/root").ok();
    place
        .keys(&format!("{first} --key v/license-2.pem -o both"))
        .ok();
    place.keys("license show both --root v/root").ok();
}

#[test]
fn a_license_is_renewed_with_new_dates_only() {
    let place = licensed();
    let old = place.keys("license show L.license --root v/root").ok();
    let renew = "license renew L.license --root v/root --key v/license.pem";
    // Times are whole seconds, and the new one has to be later.
    place.shell("sleep 1.1").text();
    let new = place
        .keys(&format!(
            "{renew} --valid-until 1y --grace-days 7 -o M.license"
        ))
        .ok();
    let (old, new) = (&old["license"], &new["license"]);
    for same in [
        "id",
        "customer",
        "product",
        "valid-from",
        "updates-until",
        "entitlements",
    ] {
        assert_eq!(old[same], new[same], "{same}");
    }
    assert_eq!(new["grace-days"], 7);
    let year = |license: &Value| -> u64 {
        license["valid-until"].as_str().unwrap()[..4]
            .parse()
            .unwrap()
    };
    assert_eq!(year(new), year(old) + 1);
    assert_ne!(old["issued"], new["issued"]);
    for (arguments, code, exit) in [
        ("-o out", "usage", 2),
        ("--grace-days 30 -o out", "usage", 2),
        ("--valid-until 1y -o M.license", "already-exists", 1),
    ] {
        place
            .keys(&format!("{renew} {arguments}"))
            .fails(code, exit);
    }
    // Nobody's old license gets a signature.
    place.keys("init w --dev").ok();
    place
        .keys("license renew L.license --root w/root --key w/license.pem --valid-until 1y -o out")
        .fails("threshold-not-met", 3);
    place
        .keys(&format!(
            "{} --valid-until 1y -o out",
            renew.replace("v/license.pem", "v/release.pem")
        ))
        .fails("key-not-listed", 1);
    assert!(!place.exists("out"));
}

#[test]
fn forged_licenses_are_refused() {
    let place = licensed();
    place.keys("init w --dev").ok();
    let license: License = envelope(&place, "L.license").claimed("x").unwrap();
    let show = |name: &str, bytes: Vec<u8>, code: &str| {
        place.write(name, bytes);
        place
            .keys(&format!("license show {name} --root v/root"))
            .fails(code, 3);
        place
            .keys(&format!(
                "license renew {name} --root v/root --key v/license.pem --valid-until 1y -o out"
            ))
            .fails(code, 3);
        assert!(!place.exists("out"), "{name}");
    };
    // By the release key, by a root key, and by the license key of another vendor.
    for key in ["v/release.pem", "v/root-1.pem", "w/license.pem"] {
        let by = signer(&place, key);
        let sealed = seal(&license, &[&by], "license").unwrap();
        show("forged", sealed.to_bytes(), "threshold-not-met");
        // Under the name of the key that should have signed.
        let ours = signer(&place, "v/license.pem").public_key();
        let theirs = by.public_key();
        let text = String::from_utf8(sealed.to_bytes()).unwrap();
        let id = |key: [u8; 32]| Key::ed25519(&key).id().unwrap();
        let text = text.replace(&id(theirs), &id(ours));
        show("renamed", text.clone().into_bytes(), "threshold-not-met");
        // What does not count is not signed beside.
        place.write("renamed", text);
        place
            .keys("license sign renamed --root v/root --key v/license.pem")
            .fails("signature-invalid", 3);
    }
    // Edited, under the old signature.
    let mut written = place.json("L.license");
    let more = License {
        valid_until: None,
        ..license.clone()
    };
    let more = serde_json::to_vec(&more).unwrap();
    written["payload"] = base64::encode(&more).into();
    show("edited", canonical(&written), "threshold-not-met");
    place
        .keys("license sign edited --root v/root --key v/license.pem")
        .fails("signature-invalid", 3);
    // Signed by the right key, but as something else.
    let by = signer(&place, "v/license.pem");
    let payload = serde_json::to_vec(&license).unwrap();
    let approval = sign(Approval::TYPE, payload.clone(), &[&by]).unwrap();
    show("approval", approval.to_bytes(), "bad-metadata");
    let mut written: Value = serde_json::from_slice(&approval.to_bytes()).unwrap();
    written["payloadType"] = License::TYPE.into();
    show("retyped", canonical(&written), "threshold-not-met");
    // Signed by the right key, but nothing that a license may be.
    for (payload, code) in [
        (
            payload.replacen("\"format\":1", "\"format\":2"),
            "unsupported-format",
        ),
        (
            payload.replacen("\"all\":true", "\"all\":true,\"root\":true"),
            "bad-metadata",
        ),
        (
            payload.replacen("\"id\":\"L-1\"", "\"id\":\"L-1\",\"id\":\"L-2\""),
            "bad-json",
        ),
        (payload.replacen("L-1", "L-1\\n"), "bad-metadata"),
        ("[".repeat(100_000).into_bytes(), "bad-json"),
    ] {
        let by = sign(License::TYPE, payload, &[&by]).unwrap();
        show("odd", by.to_bytes(), code);
    }
    let huge = vec![b' '; (16 << 20) + 1];
    place.write("huge", huge);
    place.keys("license show huge").fails("file-too-large", 1);
    for text in ["", "{}", "null", "[[[[", "{\"payload\":1}"] {
        place.write("odd", text);
        let run = place.shell("$KEYS license show odd");
        assert!(
            run.stderr().starts_with("error[bad-"),
            "{text}: {}",
            run.stderr()
        );
    }
    place
        .keys("license show v/root/1.root.json")
        .fails("bad-metadata", 3);
}

trait Replacen {
    fn replacen(&self, from: &str, to: &str) -> Vec<u8>;
}

impl Replacen for Vec<u8> {
    #[track_caller]
    fn replacen(&self, from: &str, to: &str) -> Vec<u8> {
        let text = str::from_utf8(self).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        text.replacen(from, to, 1).into_bytes()
    }
}

#[test]
fn what_is_shown_cannot_hide_anything() {
    let place = licensed();
    let mut license: License = envelope(&place, "L.license").claimed("x").unwrap();
    license.customer = "Harbour\u{202e}rebaH".into();
    license.sites = vec!["one\u{1b}[2Jtwo\nVERIFIED by root 1".into()];
    let by = signer(&place, "v/license.pem");
    place.write("odd", seal(&license, &[&by], "license").unwrap().to_bytes());
    let shown = place.shell("$KEYS license show odd");
    let text = shown.text();
    assert!(text.contains("Harbour\\u{202e}rebaH"), "{text}");
    assert!(text.contains("one\\u{1b}[2Jtwo\\nVERIFIED"), "{text}");
    assert!(
        !text.lines().any(|line| line.starts_with("VERIFIED")),
        "{text}"
    );
    // In errors, too.
    place.write(
        "odd",
        "{\"payload\u{1b}[2J\":1,\"payloadType\":\"x\",\"signatures\":[]}",
    );
    let run = place.shell("$KEYS license show odd");
    assert!(!run.stderr().contains('\u{1b}'), "{:?}", run.stderr());
}
