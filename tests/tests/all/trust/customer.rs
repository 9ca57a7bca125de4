//! A customer with keys of its own, beside the vendor's.

use std::{fs, path::PathBuf};

use sealift_tests::{
    args, program::Outcome, sandbox, sandbox::Sandbox, site::Site, vendor::Vendor,
};

use super::{Keys, digest, listing, release, update};

/// A vendor with two releases, a customer whose releases take two of three keys, and a site whose policy asks for them.
struct Scene {
    sandbox: Sandbox,
    customer: Keys,
    vendor: Vendor,
    bundles: [PathBuf; 2],
    site: Site,
}

impl Scene {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let vendor = Vendor::new(&sandbox);
        let more = ["--release-keys", "3", "--release-threshold", "2"];
        let customer = Keys::of_customer(&sandbox, "customer", &more);
        let root = customer.root(1).display().to_string();
        let fingerprint = customer.fingerprint(1);
        let site = Site::with(
            &sandbox,
            "site",
            &vendor.root(),
            &[
                "--customer-root",
                &root,
                "--customer-fingerprint",
                &fingerprint,
            ],
        );
        let bundles = [release(&vendor, "1.0.0", 1), release(&vendor, "1.1.0", 2)];
        let scene = Self {
            sandbox,
            customer,
            vendor,
            bundles,
            site,
        };
        scene
            .site
            .installer(args!["policy", "set", scene.policy(1, "policy")])
            .ok();
        scene
    }

    /// A policy that asks for the customer's signature, signed by one of its keys.
    fn policy(&self, version: u64, key: &str) -> PathBuf {
        let text = "format = 1\n[signatures]\ncustomer = true\n";
        let folder = self.sandbox.write("rules/policy.toml", text);
        let out = self.sandbox.join(format!("policy-{version}-{key}.json"));
        let key = self.customer.key(key);
        let version = version.to_string();
        self.customer
            .run(args![
                "policy",
                "sign",
                folder,
                "--version",
                version,
                "--key",
                key,
                "--out",
                out
            ])
            .ok();
        out
    }

    /// What these keys say of a release.
    fn sign(&self, name: &str, release: &str, keys: &[PathBuf]) -> PathBuf {
        let out = self.sandbox.join(format!("{name}.json"));
        let mut args = args![
            "countersign",
            "--product",
            "test",
            "--version",
            "1.0.0",
            "--release",
            release,
            "--out",
            out
        ]
        .to_vec();
        for key in keys {
            args.extend(args!["--key", key]);
        }
        self.customer.run(args).ok();
        out
    }
}

fn add(site: &Site, file: &std::path::Path) -> Outcome {
    site.installer(args!["countersignature", "add", file])
}

#[test]
fn a_release_comes_in_when_as_many_keys_of_the_customer_have_signed_as_its_root_asks_for() {
    let scene = Scene::new();
    let release = digest(&scene.site, &scene.bundles[0]);
    let other = digest(&scene.site, &scene.bundles[1]);
    let [one, two, three] = ["release-1", "release-2", "release-3"].map(|k| scene.customer.key(k));
    let vendors = scene.vendor.key("release");
    let both = scene.sign("both", &release, &[one.clone(), two.clone()]);
    let first = scene.sign("first", &release, std::slice::from_ref(&one));
    // A later word of the same person is still one voice.
    let again = scene.sign("again", &release, &[one.clone(), vendors.clone()]);
    let second = scene.sign("second", &release, &[three]);
    let elsewhere = scene.sign("elsewhere", &other, &[one, two]);
    let strangers = scene.sign("strangers", &release, &[vendors]);
    let mut forged: serde_json::Value = serde_json::from_slice(&sandbox::read(&elsewhere)).unwrap();
    let real: serde_json::Value = serde_json::from_slice(&sandbox::read(&both)).unwrap();
    forged["payload"] = real["payload"].clone();
    let forged = scene.sandbox.write("forged.json", forged.to_string());

    let denied = |site: &Site| {
        let said = site.apply(&scene.bundles[0]);
        assert_eq!(said.code(), Some(4), "{said}");
        said.fails_with("countersignature-missing").stderr
    };
    assert!(denied(&scene.site).contains("0 have"));
    for bad in [&strangers, &forged] {
        let _ = add(&scene.site, bad).fails_with("threshold-not-met");
    }
    add(&scene.site, &elsewhere).ok();
    assert!(denied(&scene.site).contains("0 have"));

    let at_once = scene.site.copy("at-once");
    add(&at_once, &both).ok();
    at_once.apply(&scene.bundles[0]).ok();

    let site = &scene.site;
    add(site, &first).ok();
    assert!(denied(site).contains("1 have"));
    add(site, &again).ok();
    assert!(denied(site).contains("1 have"));
    let list = site
        .installer(args!["countersignature", "list", "--output", "json"])
        .ok()
        .json();
    let list = list["countersignatures"].as_array().unwrap();
    assert_eq!(list.len(), 3);
    let mine = list
        .iter()
        .filter(|held| held["statement"]["release"] == release.as_str());
    assert!(
        mine.clone()
            .all(|held| held["have"] == 1 && held["needed"] == 2),
        "{list:?}"
    );
    let text = site.installer(args!["countersignature", "list"]).ok();
    assert!(
        text.text().contains("1 of 2") && text.text().contains("2 of 2"),
        "{}",
        text.text()
    );
    for held in mine.skip(1) {
        let digest = held["digest"].as_str().unwrap();
        site.installer(args!["countersignature", "remove", digest])
            .ok();
        let _ = site
            .installer(args!["countersignature", "remove", digest])
            .fails_with("not-found");
    }
    add(site, &second).ok();
    site.apply(&scene.bundles[0]).ok();
    site.is_sound();
}

#[test]
fn what_the_customers_key_said_counts_as_long_as_its_root_lists_the_key() {
    let scene = Scene::new();
    let release = digest(&scene.site, &scene.bundles[0]);
    let keys = ["release-1", "release-2"].map(|k| scene.customer.key(k));
    add(&scene.site, &scene.sign("both", &release, &keys)).ok();
    scene.site.copy("before").apply(&scene.bundles[0]).ok();
    scene.customer.replace("release", "release-2", "release-4");
    update(&scene.site, &scene.customer.roots()).ok();
    let said = scene
        .site
        .apply(&scene.bundles[0])
        .fails_with("countersignature-missing");
    assert!(said.stderr.contains("1 have"), "{}", said.stderr);
    let new = scene.sign("new", &release, &[scene.customer.key("release-4")]);
    add(&scene.site, &new).ok();
    scene.site.apply(&scene.bundles[0]).ok();
}

#[test]
fn the_customers_root_is_pinned_once_and_then_follows_its_own_keys() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let customer = Keys::of_customer(&sandbox, "customer", &[]);
    let other = Keys::of_customer(&sandbox, "other", &[]);
    let site = Site::new(&sandbox, &vendor.root());
    let pin = |root: &std::path::Path, fingerprint: &str| {
        site.installer(args![
            "trust",
            "customer",
            root,
            "--fingerprint",
            fingerprint
        ])
    };
    let of_site = listing(&site);
    let said = pin(&customer.root(1), &other.fingerprint(1));
    assert_eq!(said.code(), Some(3), "{said}");
    let _ = said.fails_with("fingerprint-mismatch");
    let vendors = Keys::of(&vendor);
    let _ = pin(&vendor.root(), &vendors.fingerprint(1)).fails_with("usage");
    // One whose signatures do not suffice.
    let mut weak: serde_json::Value =
        serde_json::from_slice(&sandbox::read(&customer.root(1))).unwrap();
    weak["signatures"].as_array_mut().unwrap().truncate(1);
    let weak = sandbox.write("weak.json", weak.to_string());
    let _ = pin(&weak, &super::digest_of(&weak)).fails_with("threshold-not-met");
    let _ = update(&site, &customer.roots()).fails_with("root-mismatch");
    assert_eq!(of_site.differences(&listing(&site)), [""; 0]);

    pin(&customer.root(1), &customer.fingerprint(1)).ok();
    let once = listing(&site);
    pin(&customer.root(1), &customer.fingerprint(1)).ok();
    let _ = pin(&other.root(1), &other.fingerprint(1)).fails_with("customer-pinned");
    let _ = update(&site, &other.roots()).fails_with("root-mismatch");
    assert_eq!(once.differences(&listing(&site)), [""; 0]);
    site.is_sound();

    // Its roots come in a folder of their own beside the vendor's, or alone.
    customer.rotate(&[&["renew", "--expires", "2032-01-01T00:00:00Z"]]);
    vendors.rotate(&[&["renew", "--expires", "2032-01-01T00:00:00Z"]]);
    let medium = sandbox.join("medium");
    fs::create_dir(&medium).unwrap();
    for (from, to) in [(vendor.roots(), "metadata"), (customer.roots(), "customer")] {
        sandbox
            .tool("cp")
            .args(args!["-a", from, medium.join(to)])
            .run()
            .ok();
    }
    let tar = sandbox.join("medium.tar");
    sandbox
        .tool("tar")
        .args(args!["-cf", tar, "-C", medium, "metadata", "customer"])
        .run()
        .ok();
    for (number, medium) in [&medium, &tar].into_iter().enumerate() {
        let site = site.copy(&format!("site{number}"));
        let said = update(&site, medium).ok().json();
        assert_eq!(
            (&said["root"]["to"], &said["customer-root"]["to"]),
            (&2.into(), &2.into())
        );
        assert_eq!(
            site.status()["customer-root"]["fingerprint"],
            customer.fingerprint(2).as_str()
        );
        site.is_sound();
    }
    let alone = site.copy("alone");
    let said = update(&alone, &customer.roots()).ok().json();
    assert_eq!(
        (&said["root"]["to"], &said["customer-root"]["to"]),
        (&1.into(), &2.into())
    );
    alone.is_sound();
    // Both or nothing: the vendor's are good here, the customer's are not.
    fs::write(
        medium.join("customer/2.root.json"),
        sandbox::read(&other.root(1)),
    )
    .unwrap();
    let before = listing(&site);
    let _ = update(&site, &medium).fails_with("threshold-not-met");
    assert_eq!(before.differences(&listing(&site)), [""; 0]);
}

#[test]
fn a_policy_holds_on_when_its_key_is_replaced_and_says_so() {
    let scene = Scene::new();
    let Scene { site, customer, .. } = &scene;
    assert!(site.status()["policy-warning"].is_null());
    customer.replace("policy", "policy", "policy-2");
    let said = update(site, &customer.roots()).ok().json();
    let warning = said["warnings"][0].as_str().unwrap();
    assert!(warning.contains("policy 1 is signed by keys"), "{said}");
    assert_eq!(site.status()["policy-warning"], warning);
    let text = site.installer(args!["status"]).ok();
    assert!(text.text().contains("does not list"), "{}", text.text());
    // Its rules still rule.
    let said = site
        .apply(&scene.bundles[0])
        .fails_with("countersignature-missing");
    assert!(said.stderr.contains("0 have"), "{}", said.stderr);
    let explain = site.installer(args!["policy", "explain", scene.bundles[0]]);
    let explain = explain.exits(4);
    assert!(
        explain.text().contains("does not list"),
        "{}",
        explain.text()
    );
    // The old key sets no policy any more, the new one does.
    let old = scene.policy(2, "policy");
    let _ = site
        .installer(args!["policy", "set", old])
        .fails_with("threshold-not-met");
    site.installer(args!["policy", "set", scene.policy(2, "policy-2")])
        .ok();
    assert!(site.status()["policy-warning"].is_null());
    site.is_sound();
}

#[test]
fn the_customer_revokes_releases_too() {
    let scene = Scene::new();
    let Scene { site, customer, .. } = &scene;
    let release = digest(site, &scene.bundles[0]);
    let keys = ["release-1", "release-2"].map(|k| customer.key(k));
    add(site, &scene.sign("both", &release, &keys)).ok();
    customer.revoke(&release);
    update(site, &customer.roots()).ok();
    let said = site.apply(&scene.bundles[0]).fails_with("release-revoked");
    assert!(
        said.stderr
            .contains("the customer has revoked this release: it loses data"),
        "{}",
        said.stderr
    );
}
