//! Sealift and the tools of others, where something was changed: rotated roots, tampered repositories, and
//! what plain tools say of a real bundle. `others` has the rest.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sealift_tests::{
    args,
    program::Outcome,
    sandbox::{Sandbox, read, write},
    tuf::Repository,
    vendor::Vendor,
};
use serde_json::json;

/// Publishes the next root after `change`, signed by two of its keys.
fn next_root(vendor: &Vendor, version: u64, change: &[&str], keys: &[&str]) {
    vendor.keys([&["root"], change].concat()).ok();
    let draft = vendor.roots().join(format!("{version}.root.draft.json"));
    for key in keys {
        let key = vendor.key(key);
        vendor.keys(args!["root", "sign", draft, "--key", key]).ok();
    }
    assert!(vendor.roots().join(format!("{version}.root.json")).exists());
}

/// A vendor with three roots: the second one lists another root key, the third one drops an old one.
fn rotated(sandbox: &Sandbox) -> Vendor {
    let vendor = Vendor::new(sandbox);
    let roots = vendor.roots().display().to_string();
    let key = vendor.key("root-4");
    vendor.keys(args!["generate", key, "--dev"]).ok();
    let public = vendor.keys_folder().join("root-4.pub.pem");
    let public = public.display().to_string();
    let add = ["add-key", &roots, "--role", "root", &public];
    next_root(&vendor, 2, &add, &["root-1", "root-2"]);
    let old = vendor.keys_folder().join("root-1.pub.pem");
    let old = old.display().to_string();
    let remove = ["remove-key", &roots, "--role", "root", &old];
    next_root(&vendor, 3, &remove, &["root-2", "root-4"]);
    vendor
}

/// A release with both kinds of packs, of small files and of a large one.
fn bundle_of(vendor: &Vendor) -> PathBuf {
    let large: Vec<u8> = (0..9_000_000_u32).map(|n| (n % 251) as u8).collect();
    vendor
        .release("1.0.0", 1)
        .capability("core/app", "service")
        .file("model", large)
        .file("data", "some data")
        .tree("site", &[("index.html", b"<p>"), ("deep/er/file", b"")])
        .build()
}

fn unpack(sandbox: &Sandbox, bundle: &Path) -> PathBuf {
    let folder = sandbox.join("unpacked");
    fs::create_dir(&folder).unwrap();
    let tar = sandbox.tool("tar");
    tar.args(args!["-xf", bundle, "-C", folder]).run().ok();
    folder
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(path);
        }
    }
    all.sort();
    all
}

#[test]
fn python_tuf_walks_two_rotations_and_refuses_every_changed_file() {
    let sandbox = Sandbox::new();
    let vendor = rotated(&sandbox);
    let folder = unpack(&sandbox, &bundle_of(&vendor));
    let read_from = |root: &Path| {
        let python = sandbox.python("read_bundle.py");
        python.args(args![folder, root]).run()
    };
    for version in 1..=3 {
        let root = vendor.roots().join(format!("{version}.root.json"));
        let said = read_from(&root).ok();
        assert_eq!(said.text().lines().next(), Some("root 3"));
        assert!(
            said.text().contains("target packs/0001.tar.zst"),
            "{}",
            said.text()
        );
    }
    for path in files(&folder) {
        // The trusted root is given; its copy in the bundle is not asked for.
        if path.ends_with("metadata/1.root.json") {
            continue;
        }
        let good = read(&path);
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        write(&path, bad);
        read_from(&vendor.root()).exits(1);
        write(&path, good);
    }
    read_from(&vendor.root()).ok();
}

#[test]
fn repositories_of_python_tuf_are_accepted_until_something_changes() {
    for consistent in [false, true] {
        let mut repository = Repository::unpublished();
        repository.tell("options", json!({ "consistent": consistent }));
        repository.publish(&["root"]);
        repository.keys(&["second"], "ed25519");
        repository.role("targets", &["targets", "second"], 2);
        repository.publish(&["root"]);
        repository.target("release/notes.txt", "notes");
        repository.target("data.bin", "0123456789");
        repository.publish(&["targets", "snapshot", "timestamp"]);
        let root = repository.folder().join("trusted_root.json");
        let verify = || -> Outcome {
            let verifier = repository.sandbox.program("sealift-verifier");
            let args = args!["verify", repository.folder(), "--root", root];
            verifier.args(args).run()
        };
        let said = verify().ok();
        assert!(said.text().contains("status=PASSED"), "{}", said.text());
        let all = files(&repository.folder());
        assert!(all.len() >= 8, "{all:?}");
        for path in all {
            // What is trusted is given, not looked for.
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name == "trusted_root.json" || name == "1.root.json" {
                continue;
            }
            let good = read(&path);
            let mut bad = good.clone();
            let middle = bad.len() / 2;
            bad[middle] ^= 1;
            write(&path, &bad);
            let outcome = verify();
            assert_eq!(
                outcome.code(),
                Some(3),
                "consistent {consistent}, {name}\n{outcome}"
            );
            // Too long, and gone. A root more or less than there is only ends the chain.
            if !name.ends_with(".root.json") {
                write(&path, [&good[..], b" "].concat());
                let outcome = verify();
                // White space behind JSON means nothing, and python-tuf names no lengths of metadata here.
                let metadata = path.parent().unwrap().ends_with("metadata");
                assert_eq!(outcome.code() == Some(0), metadata, "{name}\n{outcome}");
                fs::remove_file(&path).unwrap();
                let outcome = verify();
                assert_ne!(outcome.code(), Some(0), "{name}\n{outcome}");
            }
            write(&path, good);
        }
        verify().ok();
        // Signed by one of two only.
        repository.sign("targets", &["second"]);
        repository.publish(&["targets", "snapshot", "timestamp"]);
        let root = repository.folder().join("trusted_root.json");
        let verifier = repository.sandbox.program("sealift-verifier");
        let args = args!["verify", repository.folder(), "--root", root];
        verifier.args(args).run().fails_with("threshold-not-met");
    }
}

#[test]
fn plain_tools_verify_a_real_bundle() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/verify-with-plain-tools.sh");
    let lines = String::from_utf8(read(&script)).unwrap().lines().count();
    assert!(
        lines <= 60,
        "{lines} lines are more than a person reads at once"
    );

    let sandbox = Sandbox::new();
    let vendor = rotated(&sandbox);
    let judge = |bundle: &Path, root: &Path| {
        let bash = sandbox.tool("bash");
        bash.args(args![script, bundle, root]).run()
    };
    let bundle = bundle_of(&vendor);
    for version in [1, 3] {
        let root = vendor.roots().join(format!("{version}.root.json"));
        let said = judge(&bundle, &root).ok();
        assert!(said.text().ends_with("AUTHENTIC\n"), "{}", said.text());
    }
    // Of Acme, with its images, it says the same as the verifier.
    let acme = vendor.build(&vendor.acme(18_080).definition("2.5.0"));
    let said = judge(&acme, &vendor.root()).ok();
    let verifier = sandbox.program("sealift-verifier");
    let args = args!["verify", acme, "--root", vendor.root(), "--output", "json"];
    let ours = verifier.args(args).run().ok();
    let mut lines = said.text().lines();
    let digest = lines.find_map(|line| line.strip_prefix("release digest "));
    assert!(ours.text().contains(digest.unwrap()), "{}", ours.text());

    // One byte: in the metadata, in a manifest, in a header, in a pack.
    let good = read(&bundle);
    let place = |name: &[u8]| good.windows(name.len()).position(|w| w == name).unwrap();
    for position in [
        place(b"metadata/timestamp.json\0") + 512 + 50,
        place(b"release.json\0") + 512 + 20,
        place(b"delivery.json\0") + 105,
        place(b"packs/0000.tar.zst\0") + 512 + 100,
    ] {
        let mut bad = good.clone();
        bad[position] ^= 1;
        let bad = sandbox.write("bad.bundle", bad);
        let said = judge(&bad, &vendor.root()).exits(1);
        assert!(said.text().contains("NOT AUTHENTIC"), "{}", said.text());
    }
    let cut = sandbox.write("bad.bundle", &good[..good.len() - 512]);
    judge(&cut, &vendor.root()).exits(1);
    // The root of somebody else.
    let stranger = Sandbox::new();
    let stranger = Vendor::new(&stranger);
    let said = judge(&bundle, &stranger.root()).exits(1);
    assert!(said.text().contains("NOT AUTHENTIC"), "{}", said.text());

    // A signature too few: two have to sign, one did.
    let sandbox = Sandbox::new();
    let joint = Vendor::with_keys(
        &sandbox,
        &["--release-keys", "2", "--release-threshold", "2"],
    );
    let release = joint.release("1.0.0", 1).capability("core/app", "service");
    let definition = release.file("data", "some data").define();
    let out = sandbox.join("out.bundle");
    joint
        .bundler(args![
            "build",
            definition,
            "--key",
            joint.key("release-1"),
            "--root",
            joint.roots(),
            "-o",
            out
        ])
        .ok();
    let judge = || {
        let bash = sandbox.tool("bash");
        bash.args(args![script, out, joint.root()]).run()
    };
    let said = judge().exits(1);
    assert!(
        said.text().contains("1 valid signatures"),
        "{}",
        said.text()
    );
    let request = sandbox.join("out.bundle.tosign");
    let signature = sandbox.join("2.sig");
    let key = joint.key("release-2");
    joint
        .keys(args!["sign", request, "--key", key, "-o", signature])
        .ok();
    joint.bundler(args!["seal", out, signature]).ok();
    judge().ok();
}
