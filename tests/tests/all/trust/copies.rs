//! State and trust are kept twice: what one of two files has lost, the other has.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sealift_installer::{Code, site::Site as Opened};
use sealift_tests::{args, sandbox, sandbox::Sandbox, site::Site, vendor::Vendor};

use super::{Keys, listing, release, update};

/// A site with two roots of the vendor, one of a customer, and a release.
fn scene() -> (Sandbox, Site, Vendor) {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let customer = Keys::of_customer(&sandbox, "customer", &[]);
    let root = customer.root(1).display().to_string();
    let fingerprint = customer.fingerprint(1);
    let more = [
        "--customer-root",
        &root,
        "--customer-fingerprint",
        &fingerprint,
    ];
    let site = Site::with(&sandbox, "site", &vendor.root(), &more);
    let keys = Keys::of(&vendor);
    keys.rotate(&[&["renew", "--expires", "2032-01-01T00:00:00Z"]]);
    site.apply(&release(&vendor, "1.0.0", 1)).ok();
    (sandbox, site, vendor)
}

/// Every file that is kept twice, below the state folder, with its copy.
fn pairs(site: &Site) -> Vec<[PathBuf; 2]> {
    let mut pairs = vec![["state.json".into(), "state.copy.json".into()]];
    for file in fs::read_dir(site.state().join("trust")).unwrap() {
        let name = file.unwrap().file_name();
        pairs.push(["trust", "trust.copy"].map(|folder| Path::new(folder).join(&name)));
    }
    pairs
}

fn touch(site: &Site) {
    site.installer(args!["pin", "add", "capability", "a/b", "1.0.0"])
        .ok();
}

#[test]
fn both_files_of_each_pair_are_the_same() {
    let (_sandbox, site, _vendor) = scene();
    let pairs = pairs(&site);
    assert_eq!(
        pairs.len(),
        6,
        "state, two roots, the customer's, timestamp, snapshot"
    );
    for pair in pairs {
        let [first, second] = pair.map(|path| sandbox::read(&site.state().join(path)));
        assert_eq!(first, second);
    }
}

#[test]
fn no_byte_of_either_file_changes_without_being_noticed_and_the_other_one_counts() {
    let (_sandbox, site, _vendor) = scene();
    let whole = Opened::open(site.state()).unwrap();
    assert_eq!(whole.damage(), []);
    let (state, trust) = (whole.state().clone(), whole.trust().unwrap());
    let (root, customer) = (
        whole.first_root().unwrap(),
        whole.customer_root_bytes().unwrap(),
    );
    let pairs = pairs(&site).into_iter();
    // Of the second ones, which have the same bytes, every seventh.
    for (path, step) in pairs.flat_map(|[first, second]| [(first, 1), (second, 7)]) {
        let file = site.state().join(&path);
        let bytes = sandbox::read(&file);
        for at in (0..bytes.len()).step_by(step) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&file, &flipped).unwrap();
            let opened = Opened::open(site.state()).unwrap();
            let found: Vec<_> = opened
                .damage()
                .iter()
                .map(|d| (Path::new(&d.path), d.restorable))
                .collect();
            assert_eq!(found, [(path.as_path(), true)], "byte {at}");
            assert_eq!(*opened.state(), state, "byte {at} of {}", path.display());
            // Reading is what costs; what is read is the same for every byte.
            if at % 97 == 0 {
                assert_eq!(opened.trust().unwrap(), trust);
                assert_eq!(opened.first_root().unwrap(), root);
                assert_eq!(opened.customer_root_bytes().unwrap(), customer);
            }
        }
        fs::write(&file, &bytes).unwrap();
    }
    site.is_sound();
}

#[test]
fn what_is_lost_is_told_and_comes_back_with_the_next_change() {
    let (sandbox, site, vendor) = scene();
    let bundle = release(&vendor, "1.1.0", 2);
    let whole = site.copy("whole");
    touch(&whole);
    let whole = whole.listing();
    let other = |path: &Path| {
        // Another file of the same folder, or of the other folder: intact, but not this one.
        let name = path.file_name().unwrap();
        let by = if name == "1.root.json" {
            "2.root.json"
        } else {
            "1.root.json"
        };
        sandbox::read(&site.state().join("trust").join(by))
    };
    let kinds = ["truncated", "empty", "removed", "swapped", "a folder"];
    for (number, path) in pairs(&site).into_iter().flatten().enumerate() {
        for kind in kinds {
            let name = format!("{kind}{number}");
            let site = site.copy(&name);
            let file = site.state().join(&path);
            let bytes = sandbox::read(&file);
            fs::remove_file(&file).unwrap();
            match kind {
                "truncated" => fs::write(&file, &bytes[..bytes.len() / 2]).unwrap(),
                "empty" => fs::write(&file, "").unwrap(),
                "swapped" => fs::write(&file, other(&path)).unwrap(),
                "a folder" => fs::create_dir(&file).unwrap(),
                _ => {}
            }
            let what = format!("{} {kind}", path.display());
            let damaged = listing(&site);
            let said = site.installer(args!["status", "--output", "json"]).ok();
            assert!(
                said.stderr.contains(&path.display().to_string()),
                "{what}: {}",
                said.stderr
            );
            let status = said.json();
            assert_eq!(status["damage"][0]["restorable"], true, "{what}: {status}");
            assert_eq!(status["root"]["version"], 2, "{what}");
            assert_eq!(status["current"]["version"], "1.0.0", "{what}");
            // What only looks decides as ever, and repairs nothing.
            site.installer(args!["plan", bundle]).ok();
            assert_eq!(damaged.differences(&listing(&site)), [""; 0], "{what}");
            if kind == "a folder" {
                fs::remove_dir(&file).unwrap();
            }
            touch(&site);
            assert_eq!(
                site.status()["damage"].as_array().unwrap().len(),
                0,
                "{what}"
            );
            let after = site.listing();
            let skip = |listing: &sealift_tests::listing::Listing| {
                let listing = listing.clone().without("lock").without("state.json");
                listing.without("state.copy.json").without("audit")
            };
            assert_eq!(skip(&whole).differences(&skip(&after)), [""; 0], "{what}");
            site.is_sound();
            fs::remove_dir_all(sandbox.join(&name)).unwrap();
        }
    }
    for folder in ["trust", "trust.copy"] {
        let site = site.copy(folder);
        fs::remove_dir_all(site.state().join(folder)).unwrap();
        assert_eq!(site.status()["damage"].as_array().unwrap().len(), 5);
        site.apply(&bundle).ok();
        site.is_sound();
    }
}

#[test]
fn with_both_damaged_nothing_is_decided() {
    let (sandbox, site, vendor) = scene();
    let bundle = release(&vendor, "1.1.0", 2);
    for (number, pair) in pairs(&site).into_iter().enumerate() {
        let name = format!("site{number}");
        let site = site.copy(&name);
        for path in &pair {
            let file = site.state().join(path);
            let mut bytes = sandbox::read(&file);
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
            fs::write(&file, bytes).unwrap();
        }
        let before = listing(&site);
        let customer = pair[0].to_string_lossy().contains("customer");
        let older = pair[0].ends_with("1.root.json") && !customer;
        // An older root decides nothing; it only serves repairs.
        if !older {
            for command in [
                args!["plan", bundle].to_vec(),
                args!["apply", bundle, "--yes"].to_vec(),
            ] {
                let said = site.installer(command);
                assert_eq!(
                    said.error(),
                    Some("state-damaged"),
                    "{}: {said}",
                    pair[0].display()
                );
            }
            assert_eq!(
                before.differences(&listing(&site)),
                [""; 0],
                "{}",
                pair[0].display()
            );
        }
        if number == 0 {
            let _ = site.installer(args!["status"]).fails_with("state-damaged");
            continue;
        }
        // The rest of the site can still be looked at, and a bundle brings back what it holds.
        assert_eq!(site.status()["damage"][0]["restorable"], false);
        let _ = site.installer(args!["fsck"]).fails_with("damage-found");
        if !customer {
            let kept = sandbox.join("vendor/test-1.0.0.bundle");
            site.installer(args!["fsck", "--from", kept]).ok();
            site.is_sound();
            site.apply(&bundle).ok();
        }
    }
}

#[test]
fn an_older_file_never_wins_over_an_intact_newer_one() {
    let (_sandbox, site, vendor) = scene();
    for name in ["state.json", "state.copy.json"] {
        let site = site.copy(name);
        let file = site.state().join(name);
        let old = sandbox::read(&file);
        site.apply(&release(
            &vendor,
            if name == "state.json" {
                "1.1.0"
            } else {
                "1.2.0"
            },
            2,
        ))
        .ok();
        let newest = site.status();
        fs::write(&file, old).unwrap();
        let said = site.installer(args!["status", "--output", "json"]).ok();
        assert!(said.stderr.contains("is older"), "{}", said.stderr);
        let status = said.json();
        assert_eq!(status["current"], newest["current"]);
        assert_eq!(status["counter"], 2);
        touch(&site);
        assert_eq!(site.status()["counter"], 2);
        assert_eq!(site.status()["damage"].as_array().unwrap().len(), 0);
        site.is_sound();
    }
}

#[test]
fn what_a_newer_program_wrote_is_not_answered_with_an_older_copy() {
    let (_sandbox, site, _vendor) = scene();
    let state = Opened::open(site.state()).unwrap().state().clone();
    let newer = sealift_installer::state::State { format: 3, ..state };
    fs::write(site.state().join("state.json"), newer.to_bytes().unwrap()).unwrap();
    let _ = site.installer(args!["status"]).fails_with("state-format");
    let _ = site.installer(args!["recover"]).fails_with("state-format");
    assert_eq!(
        Opened::open(site.state()).err().unwrap().kind(),
        Some(Code::StateFormat)
    );
}

#[test]
fn a_site_of_the_first_format_is_read_and_upgraded() {
    let (sandbox, site, vendor) = scene();
    let file = site.state().join("state.json");
    let mut state: serde_json::Value = serde_json::from_slice(&sandbox::read(&file)).unwrap();
    let fields = state.as_object_mut().unwrap();
    fields.insert("format".into(), 1.into());
    assert!(fields.remove("checksum").is_some() && fields.remove("revision").is_some());
    assert!(
        fields["trust"]
            .as_object_mut()
            .unwrap()
            .remove("older")
            .is_some()
    );
    fs::write(&file, state.to_string()).unwrap();
    fs::remove_file(site.state().join("state.copy.json")).unwrap();
    fs::remove_dir_all(site.state().join("trust.copy")).unwrap();
    let cut = site.copy("cut");
    assert_eq!(site.status()["root"]["version"], 2);
    site.apply(&release(&vendor, "1.1.0", 2)).ok();
    site.is_sound();
    assert_eq!(site.status()["damage"].as_array().unwrap().len(), 0);
    assert_eq!(pairs(&site).len(), 6, "the first root is still there");

    // Killed anywhere in the upgrade, it is one or the other.
    let command = args!["recover"];
    let calls = cut.copy("counted").mutating_calls(&command);
    assert!(calls > 20, "only {calls} calls");
    for call in 1..=calls {
        let name = format!("cut{call}");
        let site = cut.copy(&name);
        site.killed_at(call, &command).killed();
        assert_eq!(site.status()["root"]["version"], 2, "call {call}");
        site.is_sound();
        assert_eq!(pairs(&site).len(), 6, "call {call}");
        fs::remove_dir_all(sandbox.join(name)).unwrap();
    }
}

#[test]
fn a_restoration_that_is_cut_loses_nothing() {
    let (sandbox, site, vendor) = scene();
    let roots = Keys::of(&vendor);
    roots.rotate(&[&["renew", "--expires", "2033-01-01T00:00:00Z"]]);
    for (number, path) in ["state.json", "trust.copy/2.root.json"].iter().enumerate() {
        let site = site.copy(&format!("damaged{number}"));
        fs::write(site.state().join(path), "rotten").unwrap();
        let command = args!["trust", "update", roots.roots()];
        let calls = site
            .copy(&format!("counted{number}"))
            .mutating_calls(&command);
        for call in 1..=calls {
            let name = format!("cut{number}-{call}");
            let site = site.copy(&name);
            site.killed_at(call, &command).killed();
            let version = site.status()["root"]["version"].clone();
            assert!(
                version == 2 || version == 3,
                "{path}, call {call}: {version}"
            );
            site.is_sound();
            update(&site, &roots.roots()).ok();
            assert_eq!(site.status()["root"]["version"], 3, "{path}, call {call}");
            fs::remove_dir_all(sandbox.join(name)).unwrap();
        }
    }
}
