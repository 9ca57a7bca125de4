//! Approvals, policies, countersignatures and revocations.

use sealift_keys::approval;
use sealift_verifier::{
    approval::{Approval, Countersignature, Request, Withdrawal},
    digest::Digest,
    dsse::Statement as _,
    path::EntryPath,
    policy::Policy,
    tuf::RoleName,
};
use serde_json::{Value, json};

use crate::support::{Place, envelope, root, signer};

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
    let names: Vec<_> = policy.files.keys().map(EntryPath::as_str).collect();
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
    let role = root.role(RoleName::Targets).unwrap();
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
