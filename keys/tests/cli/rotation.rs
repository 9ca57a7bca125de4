//! Roots that several people change and sign on machines of their own.

use serde_json::{Value, json};

use crate::support::Place;

/// A vendor's folder `v` with three root keys, two of which have to sign.
fn vendor() -> Place {
    let place = Place::new();
    place.keys("init v --dev").ok();
    place
}

fn id(place: &Place, key: &str) -> String {
    place.keys(&format!("fingerprint {key}.pub.pem")).ok()["keyid"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn counts(signed: u64, needed: u64) -> Value {
    json!({ "signed": signed, "needed": needed })
}

#[test]
fn a_draft_travels_from_custodian_to_custodian() {
    let place = vendor();
    // Anna leaves, Dora comes; from now on all three have to sign. Dora makes her key on her own machine.
    place.keys("generate dora.pem --passphrase-file pass").ok();
    let (anna, dora) = (id(&place, "v/root-1"), id(&place, "dora"));
    let added = place
        .keys("root add-key v/root --role root dora.pub.pem")
        .ok();
    assert_eq!(added["version"], 2);
    assert_eq!(
        added["changes"],
        json!([format!("add the root key {dora}")])
    );
    let removed = place
        .keys("root remove-key v/root --role root v/root-1.pub.pem")
        .ok();
    assert_eq!(
        removed["changes"],
        json!([
            format!("add the root key {dora}"),
            format!("remove the root key {anna}")
        ])
    );
    place.keys("root threshold v/root --role root 3").ok();
    assert_eq!(place.files("v/root"), ["1.root.json", "2.root.draft.json"]);
    assert_eq!(
        place.json("v/root/2.root.draft.json")["signatures"],
        json!([])
    );

    // Bert's machine: the draft, and the root that he keeps elsewhere.
    place.copy("v/root/2.root.draft.json", "bert/2.root.draft.json");
    place.copy("v/root/1.root.json", "vault/1.root.json");
    let sign = |at: &str, key: &str, more: &str| {
        place.keys(&format!(
            "root sign {at}/2.root.draft.json --key {key} {more}"
        ))
    };
    sign("bert", "v/root-2.pem", "").fails("previous-root-missing", 1);
    let bert = sign("bert", "v/root-2.pem", "--previous vault/1.root.json").ok();
    assert_eq!(
        bert["progress"],
        json!({ "old": counts(1, 2), "new": counts(1, 3) })
    );
    assert_eq!(bert["changes"].as_array().unwrap().len(), 3);
    assert_eq!(bert["published"], Value::Null);
    // A second time is no second vote.
    let again = sign("bert", "v/root-2.pem", "--previous vault/1.root.json").ok();
    assert_eq!(
        (&again["repeated"], &again["progress"]),
        (&json!(true), &bert["progress"])
    );
    let shown = place.keys("root show bert/2.root.draft.json").ok();
    assert_eq!(
        (&shown["complete"], &shown["changes"]),
        (&json!(false), &Value::Null)
    );

    // Dora's machine: her key counts for the new root only.
    place.copy("bert/2.root.draft.json", "dora/2.root.draft.json");
    place.copy("v/root/1.root.json", "dora/1.root.json");
    let told = sign("dora", "dora.pem", "--passphrase-file pass").ok();
    assert_eq!(
        told["progress"],
        json!({ "old": counts(1, 2), "new": counts(2, 3) })
    );
    let shown = place
        .shell("$KEYS root show dora/2.root.draft.json")
        .text()
        .to_owned();
    assert!(
        shown.contains("1 of 2 by the old root, 2 of 3 by the new"),
        "{shown}"
    );
    assert!(
        shown.contains(&format!("{dora} valid, counts for the new root")),
        "{shown}"
    );

    // Carl is the third for the new root, and the second for the old one: with him it is published.
    let carl = sign("dora", "v/root-3.pem", "").ok();
    assert_eq!(
        carl["progress"],
        json!({ "old": counts(2, 2), "new": counts(3, 3) })
    );
    assert_eq!(carl["published"], "dora/2.root.json");
    assert_eq!(place.files("dora"), ["1.root.json", "2.root.json"]);
    place
        .site_takes("v/root/1.root.json", "dora/2.root.json")
        .unwrap();

    // Back in the folder, the next change starts from it; Anna can no longer sign.
    place.copy("dora/2.root.json", "v/root/2.root.json");
    place
        .keys("root renew v/root --expires 2999-01-01T00:00:00Z")
        .ok();
    place
        .keys("root sign v/root/3.root.draft.json --key v/root-1.pem")
        .fails("key-not-entitled", 1);
    // The old draft is of no use any more.
    place
        .keys("root sign v/root/2.root.draft.json --key v/root-2.pem")
        .ok();
    place
        .keys("root sign v/root/2.root.json --key v/root-2.pem")
        .fails("already-published", 1);
}

#[test]
fn the_release_and_license_keys_are_replaced() {
    let place = vendor();
    place.keys("generate release-2.pem --dev").ok();
    place.keys("generate license-2.pem --dev").ok();
    for role in ["release", "license"] {
        let old = id(&place, &format!("v/{role}"));
        place
            .keys(&format!("root remove-key v/root --role {role} {old}"))
            .fails("threshold-unreachable", 1);
        place
            .keys(&format!(
                "root add-key v/root --role {role} {role}-2.pub.pem"
            ))
            .ok();
        place
            .keys(&format!(
                "root remove-key v/root --role {role} {}",
                &old[..8]
            ))
            .ok();
    }
    place
        .keys("root sign v/root/2.root.draft.json --key v/root-1.pem")
        .ok();
    place
        .keys("root sign v/root/2.root.draft.json --key v/root-2.pem")
        .ok();
    place
        .site_takes("v/root/1.root.json", "v/root/2.root.json")
        .unwrap();
    let signed = &place.json("v/root/2.root.json")["signed"];
    for role in ["targets", "snapshot", "timestamp"] {
        assert_eq!(
            signed["roles"][role]["keyids"],
            json!([id(&place, "release-2")])
        );
    }
    assert_eq!(
        signed["sealift"]["license"]["keyids"],
        json!([id(&place, "license-2")])
    );
    assert_eq!(signed["sealift"]["development"], true);
    assert_eq!(signed["keys"].as_object().unwrap().len(), 5);
    // Everything is there and signed, and the file is in its one canonical form.
    let shown = place.keys("root show v/root/2.root.json").ok();
    assert_eq!(shown["complete"], true);
    assert_eq!(
        shown["fingerprint"],
        place.keys("fingerprint v/root/2.root.json").ok()["fingerprint"]
    );
}

#[test]
fn thresholds_that_cannot_be_met_are_refused() {
    let place = vendor();
    let key = id(&place, "v/root-1");
    for arguments in [
        "threshold v/root --role root 4",
        "threshold v/root --role root 0",
        "threshold v/root --role release 2",
        "threshold v/root --role license 2",
    ] {
        place
            .keys(&format!("root {arguments}"))
            .fails("threshold-unreachable", 1);
        assert_eq!(place.files("v/root"), ["1.root.json"], "{arguments}");
    }
    place
        .keys(&format!("root remove-key v/root --role root {key}"))
        .ok();
    let before = place.read("v/root/2.root.draft.json");
    let second = id(&place, "v/root-2");
    place
        .keys(&format!("root remove-key v/root --role root {second}"))
        .fails("threshold-unreachable", 1);
    place
        .keys(&format!("root remove-key v/root --role root {key}"))
        .fails("key-not-in-role", 1);
    place
        .keys("root threshold v/root --role root 3")
        .fails("threshold-unreachable", 1);
    assert_eq!(place.read("v/root/2.root.draft.json"), before);
}

#[test]
fn a_change_drops_signatures_and_says_so() {
    let place = vendor();
    place.keys("root renew v/root").ok();
    place
        .keys("root sign v/root/2.root.draft.json --key v/root-1.pem")
        .ok();
    let run = place.keys("root renew v/root --expires 2999-01-01T00:00:00Z");
    assert_eq!(run.ok()["dropped-signatures"], 1);
    assert!(run.stderr().contains("dropped"), "{}", run.stderr());
    assert_eq!(
        place.json("v/root/2.root.draft.json")["signatures"],
        json!([])
    );
    place
        .keys("root renew v/root --expires 2020-01-01T00:00:00Z")
        .fails("expiry-in-past", 1);
}

#[test]
fn a_draft_that_was_tampered_with_gets_no_further() {
    let place = vendor();
    place
        .keys("root renew v/root --expires 2998-01-01T00:00:00Z")
        .ok();
    place
        .keys("root sign v/root/2.root.draft.json --key v/root-1.pem")
        .ok();
    let draft = "v/root/2.root.draft.json";
    let text = String::from_utf8(place.read(draft)).unwrap();
    let (first, second) = (id(&place, "v/root-1"), id(&place, "v/root-2"));

    // Changed content: the first signature counts no more, and the next signer is told.
    place.write(draft, text.replace("2998-01", "2997-01"));
    let run = place.keys(&format!("root sign {draft} --key v/root-2.pem"));
    let told = run.ok();
    assert_eq!(
        (&told["dropped-signatures"], &told["published"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(told["progress"]["old"], counts(1, 2));
    // One signature under two ids is still one, and not even valid under the second.
    let mut copied: Value = serde_json::from_str(&text).unwrap();
    let mut twin = copied["signatures"][0].clone();
    twin["keyid"] = json!(second);
    copied["signatures"].as_array_mut().unwrap().push(twin);
    place.write(draft, copied.to_string());
    let shown = place.keys(&format!("root show {draft}")).ok();
    assert_eq!(shown["progress"]["old"], counts(1, 2));
    let told = place
        .keys(&format!("root sign {draft} --key v/root-1.pem"))
        .ok();
    assert_eq!(
        (&told["repeated"], &told["dropped-signatures"]),
        (&json!(true), &json!(1))
    );
    // The same key twice in the list of signatures.
    let mut twice: Value = serde_json::from_str(&text).unwrap();
    let same = twice["signatures"][0].clone();
    twice["signatures"].as_array_mut().unwrap().push(same);
    let twice = twice.to_string();

    for (change, code, exit) in [
        (
            text.replace("\"version\":2", "\"version\":3"),
            "previous-root-missing",
            1,
        ),
        (text.replace("2998-01", "2001-01"), "expiry-in-past", 1),
        (
            text.replace("\"sealift\":{", "\"sealift\":{\"approval\":1,"),
            "unsupported-format",
            1,
        ),
        (
            text.replace("\"threshold\":2", "\"threshold\":9"),
            "threshold-unreachable",
            1,
        ),
        (
            text.replace("\"threshold\":2", "\"threshold\":0"),
            "threshold-invalid",
            3,
        ),
        (
            text.replace("\"_type\":\"root\"", "\"_type\":\"targets\""),
            "bad-metadata",
            3,
        ),
        (
            text.replace("\"keytype\":\"ed25519\"", "\"keytype\":\"rsa\""),
            "key-invalid",
            1,
        ),
        (text[..text.len() - 1].to_owned(), "bad-json", 3),
        (format!("{text}{text}"), "bad-json", 3),
        (twice, "bad-metadata", 3),
    ] {
        place.write(draft, &change);
        place
            .keys(&format!("root sign {draft} --key v/root-2.pem"))
            .fails(code, exit);
        assert_eq!(String::from_utf8(place.read(draft)).unwrap(), change);
    }
    assert!(!first.is_empty() && !place.exists("v/root/2.root.json"));
}

#[test]
fn a_root_that_nobody_vouches_for_is_no_beginning() {
    let place = vendor();
    place.keys("root renew w").fails("not-found", 1);
    place.copy("pass", "w/pass");
    place.keys("root renew w").fails("root-missing", 1);
    // A root under another number, and one that was changed after it was signed.
    place.copy("v/root/1.root.json", "w/7.root.json");
    place.keys("root renew w").fails("root-version", 3);
    let text = String::from_utf8(place.read("v/root/1.root.json")).unwrap();
    place.write(
        "w/7.root.json",
        text.replace("\"version\":1", "\"version\":7"),
    );
    place.keys("root renew w").fails("threshold-not-met", 3);
    place
        .keys("fingerprint w/7.root.json")
        .fails("threshold-not-met", 3);
    // Another vendor's root is not what this draft follows.
    place.keys("init other --dev").ok();
    place.keys("root renew v/root").ok();
    place
        .keys("root sign v/root/2.root.draft.json --key v/root-1.pem --previous other/root/1.root.json")
        .ok();
    let shown = place
        .keys("root show v/root/2.root.draft.json --previous other/root/1.root.json")
        .ok();
    assert_eq!(shown["progress"]["old"], counts(0, 2));
}

#[test]
fn a_published_root_is_never_replaced() {
    let place = vendor();
    place
        .keys("root renew v/root --expires 2998-01-01T00:00:00Z")
        .ok();
    place.copy("v/root/2.root.draft.json", "copy");
    place
        .keys("root sign v/root/2.root.draft.json --key v/root-1.pem")
        .ok();
    place
        .keys("root sign v/root/2.root.draft.json --key v/root-2.pem")
        .ok();
    let published = place.read("v/root/2.root.json");
    // The same draft, signed by others: another file for the same version.
    place.copy("copy", "v/root/2.root.draft.json");
    place
        .keys("root sign v/root/2.root.draft.json --key v/root-1.pem")
        .ok();
    place
        .keys("root sign v/root/2.root.draft.json --key v/root-3.pem")
        .fails("already-exists", 1);
    assert_eq!(place.read("v/root/2.root.json"), published);
    // Interrupted between publishing and removing the draft: signing again just finishes.
    place.copy("copy", "v/root/2.root.draft.json");
    place
        .keys("root sign v/root/2.root.draft.json --key v/root-1.pem")
        .ok();
    place
        .keys("root sign v/root/2.root.draft.json --key v/root-2.pem")
        .ok();
    assert_eq!(place.read("v/root/2.root.json"), published);
    assert_eq!(place.files("v/root"), ["1.root.json", "2.root.json"]);
}
