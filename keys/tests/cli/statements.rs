//! Licenses, approvals, policies and countersignatures; and who would have signed them in whose place.

use sealift_keys::{
    Signer, approval,
    dsse::{seal, sign},
    passphrase::{PassphraseSource, Passphrases},
    signer::FileSigner,
};
use sealift_verifier::{
    approval::{Approval, Countersignature, Request, Withdrawal},
    digest::Digest,
    dsse::{Envelope, Statement as _},
    json,
    license::License,
    policy::Policy,
    tuf::{Root, Signed, metadata::Statement as _},
};
use serde_json::{Value, json};

use crate::support::Place;

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

fn signer(place: &Place, key: &str) -> FileSigner {
    let mut nobody = Passphrases::new(PassphraseSource::Prompt);
    FileSigner::open(&place.path(key), &mut nobody).unwrap()
}

fn envelope(place: &Place, file: &str) -> Envelope {
    Envelope::parse(&place.read(file), file).unwrap()
}

fn root(place: &Place, folder: &str) -> Root {
    let file = place.read(&format!("{folder}/root/1.root.json"));
    Root::from_signed(Signed::parse(&file, "root").unwrap().signed()).unwrap()
}

/// A request of a site, signed by `requester.pem`.
fn request(place: &Place, overrides: &[&str]) {
    place.keys("generate requester.pem --dev").ok();
    place.keys("generate anna.pem --dev").ok();
    let request = json!({
        "format": 1,
        "issued": "2026-01-01T09:00:00Z",
        "overrides": overrides,
        "subject": {
            "site": "harbour\u{202e}-1", "environment": "prod", "product": "acme", "version": "2.5.0",
            "release": Digest::of(b"release"), "plan": Digest::of(b"plan"),
        },
        "summary": ["core/api 1.1.0 to 1.2.0"],
    });
    let request = Request::parse(request.to_string().as_bytes(), "request").unwrap();
    let envelope = approval::request(&request, &signer(place, "requester.pem")).unwrap();
    place.write("request", envelope.to_bytes());
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
        let id = |key: [u8; 32]| sealift_verifier::tuf::Key::ed25519(&key).id().unwrap();
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
    written["payload"] = sealift_verifier::base64::encode(&more).into();
    show("edited", json::canonical(&written), "threshold-not-met");
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
    show("retyped", json::canonical(&written), "threshold-not-met");
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

#[test]
fn an_approval_is_of_what_was_requested() {
    let place = Place::new();
    request(&place, &["frozen", "window"]);
    let told = place
        .keys("approve request --key anna.pem --requester requester.pub.pem --override window --reason fits --yes -o A")
        .ok();
    let approval: Approval = envelope(&place, "A").claimed("A").unwrap();
    assert_eq!(told["approval"], serde_json::to_value(&approval).unwrap());
    assert_eq!(approval.request, envelope(&place, "request").digest());
    assert_eq!(approval.subject.release, Digest::of(b"release"));
    assert_eq!(
        approval.expires.unix() - approval.issued.unix(),
        7 * 24 * 60 * 60
    );
    assert_eq!(told["request-verified"], true);
    assert_eq!(told["approval"]["overrides"], json!(["window"]));
    let run = place.keys("approve request --key anna.pem --expires 3d --yes -o B");
    assert_eq!(run.ok()["request-verified"], false);
    for what in ["frozen", "window"] {
        assert!(
            run.stderr().contains(&format!("override {what}")),
            "{}",
            run.stderr()
        );
    }
    let run = place.keys("approve request --key requester.pem --yes -o C");
    run.ok();
    assert!(
        run.stderr().contains("separates duties"),
        "{}",
        run.stderr()
    );

    let text = place.shell("$KEYS approve request --key anna.pem --yes -o D");
    for line in [
        "harbour\\u{202e}-1",
        "acme 2.5.0",
        &Digest::of(b"plan").to_hex(),
        "OVERRIDES    frozen",
        "| core/api 1.1.0 to 1.2.0",
        "not verified",
    ] {
        assert!(text.text().contains(line), "{line} in {}", text.text());
    }
    for (arguments, code, exit) in [
        ("--yes -o A", "already-exists", 1),
        ("-o out", "confirmation-missing", 1),
        ("--yes --override clock -o out", "override-not-requested", 1),
        ("--yes --override all -o out", "usage", 2),
        ("--yes --expires 2020-01-01 -o out", "expiry-in-past", 1),
        (
            "--yes --requester anna.pub.pem -o out",
            "signature-invalid",
            3,
        ),
        ("--yes --requester anna.pem -o out", "secret-key-given", 1),
    ] {
        place
            .keys(&format!("approve request --key anna.pem {arguments}"))
            .fails(code, exit);
    }
    // An approval is no request, and neither is a license.
    place
        .keys("approve A --key anna.pem --yes -o out")
        .fails("bad-metadata", 3);
    place.keys("license show A").fails("bad-metadata", 3);
    assert!(!place.exists("out"));

    let told = place
        .keys("withdraw request --key anna.pem --reason late -o W")
        .ok();
    let withdrawal: Withdrawal = envelope(&place, "W").claimed("W").unwrap();
    assert_eq!(
        (withdrawal.request, withdrawal.reason.as_str()),
        (approval.request, "late")
    );
    assert_eq!(told["subject"]["site"], "harbour\u{202e}-1");
}

#[test]
fn a_person_types_the_version() {
    let place = Place::new();
    request(&place, &[]);
    // util-linux's script gives the program a terminal.
    let approve = |typed: &str| {
        place.shell(&format!(
            "printf '{typed}\\n' | script -qec \"$KEYS approve request --key anna.pem -o A\" /dev/null"
        ))
    };
    for typed in ["y", "yes", "2.5", ""] {
        approve(typed).fails_somehow();
        assert!(!place.exists("A"), "{typed}");
    }
    let run = approve("2.5.0");
    assert!(
        run.text().contains("Type the version, 2.5.0"),
        "{}",
        run.text()
    );
    envelope(&place, "A").claimed::<Approval>("A").unwrap();
}

#[test]
fn a_customer_has_a_root_and_a_policy_of_its_own() {
    let place = Place::new();
    place
        .keys("init c --dev --license-keys 0 --policy-keys 2 --policy-threshold 2")
        .ok();
    assert!(place.exists("c/policy-2.pem") && place.exists("c/release.pem"));
    assert!(!place.exists("c/license.pem"));
    let shown = place.keys("root show c/root/1.root.json").ok();
    assert_eq!(shown["roles"]["policy"]["threshold"], 2);
    assert_eq!(shown["roles"].get("license"), None);
    place
        .keys("init x --dev --policy-keys 1 --policy-threshold 2")
        .fails("threshold-unreachable", 1);

    place.write("policy.toml", "channel = \"manual\"\n");
    place.write(
        "rules.rego",
        "package rules\n\ndeny contains \"no\" if { false }\n",
    );
    place.copy("policy.toml", "p/policy.toml");
    place.copy("rules.rego", "p/more/rules.rego");
    place.copy("pass", "p/notes.txt");
    let both = "--key c/policy-1.pem --key c/policy-2.pem --root c/root";
    let run = place.keys(&format!("policy sign p --version 3 {both} -o site.policy"));
    let told = run.ok();
    assert_eq!(
        (&told["version"], &told["complete"]),
        (&json!(3), &json!(true))
    );
    assert_eq!(told["left-out"], json!(["p/notes.txt"]));
    assert!(run.stderr().contains("notes.txt is no part of it"));
    let root = root(&place, "c");
    let role = root.sealift.as_ref().unwrap().policy.as_ref().unwrap();
    let (policy, _): (Policy, _) = envelope(&place, "site.policy")
        .open(&root.keys, role, "policy")
        .unwrap();
    let names: Vec<_> = policy.files.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["more/rules.rego", "policy.toml"]);

    let shown = place
        .keys("policy show site.policy --root c/root --content more/rules.rego")
        .ok();
    assert_eq!(shown["verified"], true);
    assert!(
        shown["content"]
            .as_str()
            .unwrap()
            .starts_with("package rules")
    );
    assert_eq!(
        place.keys("policy show site.policy").ok()["verified"],
        false
    );
    place
        .keys("policy show site.policy --content x")
        .fails("not-found", 1);

    let one = "policy sign policy.toml --version 4 --key c/policy-1.pem";
    let run = place.keys(&format!("{one} --root c/root -o half.policy"));
    assert_eq!(run.ok()["complete"], false);
    place
        .keys("policy show half.policy --root c/root")
        .fails("threshold-not-met", 3);
    place.keys("init v --dev").ok();
    for (arguments, code, exit) in [
        (
            "--version 5 --key c/release.pem --root c/root",
            "key-not-listed",
            1,
        ),
        (
            "--version 5 --key c/policy-1.pem --root v/root",
            "key-not-listed",
            1,
        ),
        ("--version 0 --key c/policy-1.pem", "usage", 2),
    ] {
        place
            .keys(&format!("policy sign p {arguments} -o out"))
            .fails(code, exit);
    }
    place
        .keys("policy sign c --version 5 --key c/policy-1.pem -o out")
        .fails("policy-file-invalid", 1);
    place
        .keys("policy show site.policy --root v/root")
        .fails("key-not-listed", 1);
    assert!(!place.exists("out"));
}

#[test]
fn a_customer_signs_a_release_beside_its_vendor() {
    let place = Place::new();
    place
        .keys("init c --dev --license-keys 0 --policy-keys 1")
        .ok();
    let release = Digest::of(b"release").to_hex();
    let what = format!("countersign --product acme --version 2.5.0 --release {release}");
    let told = place
        .keys(&format!(
            "{what} --key c/release.pem --root c/root -o acme.countersigned"
        ))
        .ok();
    assert_eq!(told["complete"], true);
    let root = root(&place, "c");
    let role = root.role(sealift_verifier::tuf::RoleName::Targets).unwrap();
    let (said, _): (Countersignature, _) = envelope(&place, "acme.countersigned")
        .open(&root.keys, role, "x")
        .unwrap();
    assert_eq!(said.release, Digest::of(b"release"));
    place
        .keys(&format!("{what} --key c/policy.pem --root c/root -o out"))
        .fails("key-not-listed", 1);
    place
        .keys("countersign --product acme --version 2.5.0 --release 12 --key c/release.pem -o out")
        .fails("usage", 2);
    let run = place.keys(&format!("{what} --key c/policy.pem -o alone"));
    assert_eq!(run.ok()["progress"], Value::Null);
    assert!(run.stderr().contains("--root"), "{}", run.stderr());
}

#[test]
fn a_release_is_revoked_and_that_is_taken_back() {
    let place = Place::new();
    place.keys("init v --dev --root-keys 1").ok();
    let (one, two) = (Digest::of(b"one").to_hex(), Digest::of(b"two").to_hex());
    let publish = |version: u64| {
        place
            .keys(&format!(
                "root sign v/root/{version}.root.draft.json --key v/root-1.pem"
            ))
            .ok()
    };
    place
        .shell(&format!(
            "$KEYS root revoke v/root {one} --reason 'loses data'"
        ))
        .text();
    let told = place
        .keys(&format!("root revoke v/root {two} --reason broken"))
        .ok();
    let mut changes = [
        format!("revoke the release {one}: loses data"),
        format!("revoke the release {two}: broken"),
    ];
    changes.sort();
    assert_eq!(told["changes"], json!(changes));
    assert_eq!(publish(2)["changes"], json!(changes));
    place
        .site_takes("v/root/1.root.json", "v/root/2.root.json")
        .unwrap();
    let shown = place.keys("root show v/root/2.root.json").ok();
    assert_eq!(shown["revoked"].as_array().unwrap().len(), 2);
    let text = place.shell("$KEYS root show v/root/2.root.json");
    assert!(
        text.text()
            .contains(&format!("revoked: {one}\n  loses data")),
        "{}",
        text.text()
    );
    place
        .keys(&format!("root revoke v/root {one} --reason again"))
        .fails("release-already-revoked", 1);
    place
        .keys("root revoke v/root 1234 --reason x")
        .fails("usage", 2);
    place
        .shell(&format!(
            "$KEYS --output json root revoke v/root {} --reason \"$(printf 'a\\nb')\"",
            Digest::of(b"three")
        ))
        .fails("statement-invalid", 1);
    place.keys(&format!("root unrevoke v/root {one}")).ok();
    place
        .keys(&format!("root unrevoke v/root {one}"))
        .fails("release-not-revoked", 1);
    assert_eq!(
        publish(3)["changes"],
        json!([format!("no longer revoke the release {one}")])
    );
    // What this program does not know, nobody signs.
    place.keys("root renew v/root").ok();
    let mut draft = place.json("v/root/4.root.draft.json");
    draft["signed"]["sealift"]["revoked"][0]["until"] = "2027-01-01".into();
    place.write("v/root/4.root.draft.json", draft.to_string());
    place
        .keys("root sign v/root/4.root.draft.json --key v/root-1.pem")
        .fails("unsupported-format", 1);
}
