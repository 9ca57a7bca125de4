//! Attacks on who signed what, in which version, until when.

use ed25519_dalek::Signer as _;
use sealift_verifier::{digest::hex, json};
use serde_json::{Value, json};

use super::{
    forge::{
        Attack, Maker, NEXT, PRIOR, first, good, prior_sample, sample, signed, under, with_roles,
    },
    maker::{Parts, RELEASE, Roles, envelope, key, keyid, public, root, root_of, sign},
};

/// The release key that replaces a stolen one.
const NEW_RELEASE: u8 = 12;
/// A key of the attacker's own.
const OWN: u8 = 66;

pub(super) const ATTACKS: &[(&str, Maker)] = &[
    ("arbitrary-software", arbitrary_software),
    ("rollback", rollback),
    ("rollback-of-snapshot", rollback_of_snapshot),
    ("counter-reused", counter_reused),
    ("indefinite-freeze", indefinite_freeze),
    ("root-expired", root_expired),
    ("mix-and-match", mix_and_match),
    ("mix-and-match-same-version", mix_and_match_same_version),
    ("wrong-software", wrong_software),
    ("malicious-mirror", malicious_mirror),
    ("wrong-vendors-root", wrong_vendors_root),
    ("key-compromise", key_compromise),
    ("key-counted-twice", key_counted_twice),
    ("threshold-zero", threshold_zero),
    ("empty-digest", empty_digest),
    ("release-key-in-roots-place", release_key_in_roots_place),
    ("root-key-signs-release", root_key_signs_release),
    ("root-skipped", root_skipped),
    ("root-twice", root_twice),
    ("root-not-signed-by-old", root_not_signed_by_old),
    ("root-not-signed-by-new", root_not_signed_by_new),
    ("delegations", delegations),
    ("unsigned", unsigned),
    ("extra-invalid-signature", extra_invalid_signature),
    ("upper-case-signature", upper_case_signature),
    ("signature-twice", signature_twice),
    ("small-order-key", small_order_key),
    ("duplicate-keys-in-metadata", duplicate_keys),
    ("white-space-in-metadata", white_space),
    ("role-swapped", role_swapped),
];

fn arbitrary_software() -> Attack {
    let mut parts = good();
    // The layer of the image, stored as it is.
    let layer = parts
        .members
        .iter_mut()
        .find(|(_, content)| content.len() == 3000)
        .unwrap();
    layer.1.fill(b'x');
    parts.into()
}

fn rollback() -> Attack {
    Parts::sign(vec![first()], PRIOR - 1, sample().members()).into()
}

fn rollback_of_snapshot() -> Attack {
    let members = sample().members();
    let mut roles = Roles::new(NEXT, &members);
    roles.snapshot["version"] = json!(PRIOR - 1);
    roles.timestamp["meta"]["snapshot.json"]["version"] = json!(PRIOR - 1);
    Parts::with(vec![first()], &roles, &[RELEASE], members).into()
}

fn counter_reused() -> Attack {
    Parts::sign(vec![first()], PRIOR, sample().members()).into()
}

fn indefinite_freeze() -> Attack {
    // Before the day that the site has seen in the release it runs.
    with_roles(|roles| roles.timestamp["expires"] = json!("2026-02-01T00:00:00Z")).into()
}

fn root_expired() -> Attack {
    let mut second = root(2);
    second["expires"] = json!("2026-02-01T00:00:00Z");
    under(vec![first(), sign(&second, &[1, 2])]).into()
}

fn mix_and_match() -> Attack {
    let mut parts = good();
    let other = Parts::sign(vec![first()], NEXT + 1, prior_sample().members());
    parts.head[3] = other.head[3].clone();
    parts.into()
}

fn mix_and_match_same_version() -> Attack {
    // The vendor made two releases under one counter: metadata of one, content of the other.
    let mut parts = good();
    parts.head = signed(prior_sample().members()).head;
    parts.into()
}

fn wrong_software() -> Attack {
    let mut sample = sample();
    sample.release.product = "other".parse().unwrap();
    signed(sample.members()).into()
}

fn malicious_mirror() -> Attack {
    let members = sample().members();
    let roles = Roles::new(NEXT, &members);
    Parts::with(vec![first()], &roles, &[OWN], members).into()
}

fn wrong_vendors_root() -> Attack {
    let own = sign(&root_of(1, &[21, 22], 2, RELEASE), &[21, 22]);
    let parts = under(vec![own]);
    parts.into()
}

fn key_compromise() -> Attack {
    let second = sign(&root_of(2, &[1, 2, 3], 2, NEW_RELEASE), &[1, 2]);
    let roots = vec![first(), second];
    Attack {
        bundle: under(roots.clone()).bytes(),
        release: NEW_RELEASE,
        roots,
    }
}

fn signature(number: u8, signed: &Value) -> String {
    hex(&key(number).sign(&json::canonical(signed)).to_bytes())
}

fn key_counted_twice() -> Attack {
    // The vendor listed one key under two ids by mistake; whoever stole it seems to be two.
    let listed = |version, keys: Value| {
        let mut root = root_of(version, &[1, 2], 2, RELEASE);
        root["keys"]["second"] = json!(public(1));
        root["roles"]["root"]["keyids"] = keys;
        root
    };
    let honest = sign(&listed(1, json!([keyid(1), keyid(2), "second"])), &[1, 2]);
    let forged = listed(2, json!([keyid(1), "second"]));
    let sig = signature(1, &forged);
    let forged = envelope(&forged, &[(keyid(1), sig.clone()), ("second".into(), sig)]);
    Attack {
        bundle: under(vec![honest.clone(), forged]).bytes(),
        roots: vec![honest],
        release: RELEASE,
    }
}

fn threshold_zero() -> Attack {
    let mut second = root(2);
    second["roles"]["targets"]["threshold"] = json!(0);
    under(vec![first(), sign(&second, &[1, 2])]).into()
}

fn empty_digest() -> Attack {
    with_roles(|roles| {
        roles.targets["targets"]["release.json"]["hashes"]["sha256"] = json!("");
    })
    .into()
}

fn release_key_in_roots_place() -> Attack {
    under(vec![
        first(),
        sign(&root_of(2, &[OWN], 1, OWN), &[RELEASE, OWN]),
    ])
    .into()
}

fn root_key_signs_release() -> Attack {
    let members = sample().members();
    let roles = Roles::new(NEXT, &members);
    Parts::with(vec![first()], &roles, &[1], members).into()
}

fn root_skipped() -> Attack {
    under(vec![first(), sign(&root(3), &[1, 2])]).into()
}

fn root_twice() -> Attack {
    under(vec![first(), first()]).into()
}

fn root_not_signed_by_old() -> Attack {
    under(vec![
        first(),
        sign(&root_of(2, &[4, 5], 2, RELEASE), &[1, 4, 5]),
    ])
    .into()
}

fn root_not_signed_by_new() -> Attack {
    under(vec![
        first(),
        sign(&root_of(2, &[4, 5], 2, RELEASE), &[1, 2, 4]),
    ])
    .into()
}

fn delegations() -> Attack {
    with_roles(|roles| {
        let keys = json!({ keyid(OWN): public(OWN) });
        let role = json!({
            "keyids": [keyid(OWN)], "name": "mine", "paths": ["*"], "terminating": true, "threshold": 1,
        });
        roles.targets["delegations"] = json!({ "keys": keys, "roles": [role] });
    })
    .into()
}

/// The honest bundle with other signatures of `targets.json`.
fn signatures(change: impl FnOnce(&mut Vec<(String, String)>, &Value)) -> Attack {
    let mut parts = good();
    let targets = Roles::new(NEXT, &parts.members).targets;
    let mut signatures = vec![(keyid(RELEASE), signature(RELEASE, &targets))];
    change(&mut signatures, &targets);
    parts.replace("metadata/targets.json", envelope(&targets, &signatures));
    parts.into()
}

fn unsigned() -> Attack {
    signatures(|signatures, _| signatures.clear())
}

fn extra_invalid_signature() -> Attack {
    // By a key that nobody counts, behind one that suffices: room for bytes that nobody signed.
    signatures(|signatures, targets| {
        signatures.push((keyid(OWN), signature(OWN, targets)));
        signatures.sort();
    })
}

fn upper_case_signature() -> Attack {
    signatures(|signatures, _| signatures[0].1 = signatures[0].1.to_uppercase())
}

fn signature_twice() -> Attack {
    signatures(|signatures, _| signatures.push(signatures[0].clone()))
}

fn small_order_key() -> Attack {
    // The neutral point as a key: with lax verification, one signature is valid for every message.
    let neutral = json!({
        "keytype": "ed25519", "scheme": "ed25519", "keyval": { "public": format!("01{}", "0".repeat(62)) },
    });
    let mut second = root(2);
    second["keys"]["weak"] = neutral;
    second["roles"]["targets"] = json!({ "keyids": ["weak"], "threshold": 1 });
    let mut parts = under(vec![first(), sign(&second, &[1, 2])]);
    let targets = Roles::new(NEXT, &parts.members).targets;
    let valid_for_all = format!("01{}", "0".repeat(126));
    let forged = envelope(&targets, &[("weak".into(), valid_for_all)]);
    parts.replace("metadata/targets.json", forged);
    parts.into()
}

fn duplicate_keys() -> Attack {
    let mut parts = good();
    let text = String::from_utf8(parts.head[3].1.clone()).unwrap();
    let twice = text.replacen("\"signed\":{", "\"signed\":{},\"signed\":{", 1);
    parts.replace("metadata/targets.json", twice.into_bytes());
    parts.into()
}

fn white_space() -> Attack {
    let mut parts = good();
    let targets: Value = serde_json::from_slice(&parts.head[3].1).unwrap();
    let spaced = serde_json::to_vec_pretty(&targets).unwrap();
    parts.replace("metadata/targets.json", spaced);
    parts.into()
}

fn role_swapped() -> Attack {
    // All three roles have the same key: a snapshot in the timestamp's place.
    let mut parts = good();
    let snapshot = parts.head[2].1.clone();
    parts.replace("metadata/timestamp.json", snapshot);
    parts.into()
}
