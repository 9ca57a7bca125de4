//! Other people's tools read what Sealift makes, and Sealift reads what they make.

use std::path::{Path, PathBuf};

use sealift_tests::{args, sandbox::Sandbox, tuf::Repository, vendor::Vendor};
use sealift_verifier::digest::Digest;
use serde_json::{Value, json};

/// Acme 2.4.0 as a bundle, and unpacked by `tar`.
struct Carried {
    sandbox: Sandbox,
    vendor: Vendor,
    bundle: PathBuf,
    folder: PathBuf,
}

fn carried(prepare: impl FnOnce(&Vendor)) -> Carried {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    prepare(&vendor);
    let bundle = vendor.build(&vendor.acme(18_080).definition("2.4.0"));
    let folder = sandbox.join("unpacked");
    std::fs::create_dir(&folder).unwrap();
    sandbox
        .tool("tar")
        .args(args!["-xf", bundle, "-C", folder])
        .run()
        .ok();
    Carried {
        sandbox,
        vendor,
        bundle,
        folder,
    }
}

/// The images of a bundle: their references and digests.
fn images(carried: &Carried) -> Vec<(String, String)> {
    let verifier = carried.sandbox.program("sealift-verifier");
    let root = carried.vendor.root();
    let said = verifier
        .args(args![
            "inspect",
            carried.bundle,
            "images",
            "--root",
            root,
            "--output",
            "json"
        ])
        .run()
        .ok();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let one = |image: &Value| (text(&image["reference"]), text(&image["image"]["digest"]));
    said.json().as_array().unwrap().iter().map(one).collect()
}

#[test]
fn python_tuf_walks_the_roots_of_a_bundle_and_verifies_every_target() {
    let carried = carried(|vendor| {
        // A second root, with one root key out and another expiry.
        let roots = vendor.roots();
        let expires = "2033-01-01T00:00:00Z";
        vendor
            .keys(args!["root", "renew", roots, "--expires", expires])
            .ok();
        for key in ["root-1", "root-3"] {
            let draft = roots.join("2.root.draft.json");
            vendor
                .keys(args!["root", "sign", draft, "--key", vendor.key(key)])
                .ok();
        }
        assert!(roots.join("2.root.json").exists());
    });
    let python = || carried.sandbox.python("read_bundle.py");
    let said = python()
        .args(args![carried.folder, carried.vendor.root()])
        .run()
        .ok();
    let mut lines = said.text().lines();
    assert_eq!(lines.next(), Some("root 2"));
    let targets: Vec<&str> = lines
        .filter_map(|line| line.strip_prefix("target "))
        .collect();
    assert!(targets.contains(&"release.json") && targets.contains(&"packs/0000.tar.zst"));
    // Everything in the bundle but its metadata is a target.
    let files = sealift_tests::listing::Listing::of(&carried.folder).without("metadata");
    let is_file = |path: &&str| carried.folder.join(path).is_file();
    let files: Vec<&str> = files.paths().filter(is_file).collect();
    assert_eq!(files, targets);

    // And it notices a changed byte as well as we do.
    let release = carried.folder.join("release.json");
    let changed = String::from_utf8(sealift_tests::sandbox::read(&release)).unwrap();
    sealift_tests::sandbox::write(&release, changed.replace("acme", "acne"));
    python()
        .args(args![carried.folder, carried.vendor.root()])
        .run()
        .exits(1);
}

#[test]
fn the_verifier_accepts_a_repository_that_python_tuf_made() {
    let mut repository = Repository::unpublished();
    repository.tell("options", json!({ "consistent": false }));
    repository.publish(&["root"]);
    repository.target("release/notes.txt", "notes");
    repository.publish(&["root", "targets", "snapshot", "timestamp"]);
    let root = repository.folder().join("trusted_root.json");
    let verify = || {
        let verifier = repository.sandbox.program("sealift-verifier");
        verifier
            .args(args!["verify", repository.folder(), "--root", root])
            .run()
    };
    let said = verify().ok();
    assert!(said.text().contains("status=PASSED"), "{}", said.text());

    repository.edit("targets.json", |file| file["signed"]["version"] = json!(2));
    verify().exits(3);
}

#[test]
fn skopeo_inspects_every_image_straight_out_of_a_bundle() {
    let carried = carried(|_| ());
    let found = images(&carried);
    assert!(found.len() >= 4, "{found:?}");
    for (reference, digest) in found {
        let source = format!("oci-archive:{}:{reference}", carried.bundle.display());
        assert_eq!(raw_digest(&carried, &source), digest, "{reference}");
    }
}

#[test]
fn skopeo_copies_images_and_their_digests_stay() {
    let carried = carried(|_| ());
    // Layers that are compressed already are stored as they are: such images need no unpacking. Others
    // have layers in packs, so those are unpacked first, to where the OCI layout expects its blobs.
    let archive = format!("oci-archive:{}", carried.bundle.display());
    let layout = format!("oci:{}", carried.folder.display());
    copy(&carried, &archive, "core/api/", "compressed");
    for pack in std::fs::read_dir(carried.folder.join("packs")).unwrap() {
        let tar = carried.sandbox.tool("tar").within(&carried.folder);
        tar.args(args!["--zstd", "-xf", pack.unwrap().path()])
            .run()
            .ok();
    }
    copy(&carried, &layout, "ops/probe/", "packed");
    copy(&carried, &layout, "web/pages/", "index");
}

/// Copies the image whose reference begins with `prefix`, and compares digests.
fn copy(carried: &Carried, source: &str, prefix: &str, name: &str) {
    let found = images(carried);
    let (reference, digest) = found.iter().find(|(r, _)| r.starts_with(prefix)).unwrap();
    let source = format!("{source}:{reference}");
    let copy = format!("oci:{}:copy", carried.sandbox.join(name).display());
    let skopeo = carried.sandbox.tool("skopeo");
    skopeo
        .args(args![
            "copy",
            "--quiet",
            "--all",
            "--preserve-digests",
            "--insecure-policy",
            source,
            copy
        ])
        .run()
        .ok();
    assert_eq!(
        raw_digest(carried, &copy),
        *digest,
        "the copy of {reference}"
    );
}

fn raw_digest(carried: &Carried, image: &str) -> String {
    let skopeo = carried.sandbox.tool("skopeo");
    let said = skopeo.args(args!["inspect", "--raw", image]).run().ok();
    Digest::of(&said.stdout).to_hex()
}

#[test]
fn umoci_unpacks_an_image_of_an_unpacked_bundle() {
    let carried = carried(|_| ());
    let found = images(&carried);
    let (reference, _) = found
        .iter()
        .find(|(name, _)| name.starts_with("core/api/"))
        .unwrap();
    // umoci takes names of tags without slashes only, so the image gets one by skopeo.
    let source = format!("oci:{}:{reference}", carried.folder.display());
    let layout = carried.sandbox.join("layout");
    let target = format!("oci:{}:api", layout.display());
    let skopeo = carried.sandbox.tool("skopeo");
    skopeo
        .args(args![
            "copy",
            "--quiet",
            "--insecure-policy",
            source,
            target
        ])
        .run()
        .ok();
    let image = format!("{}:api", layout.display());
    let out = carried.sandbox.join("image");
    let umoci = carried.sandbox.tool("umoci");
    umoci
        .args(args!["unpack", "--rootless", "--image", image, out])
        .run()
        .ok();
    assert!(
        service_of(&out.join("rootfs")).is_some(),
        "no acme-api in the image"
    );
}

#[test]
fn podman_takes_an_image_out_of_a_bundle() {
    let carried = carried(|_| ());
    let store = carried.sandbox.join("podman");
    let podman = || {
        let config = concat!(env!("CARGO_MANIFEST_DIR"), "/containers.conf");
        let [root, run] = ["root", "run"].map(|name| store.join(name));
        let podman = carried
            .sandbox
            .tool("podman")
            .env("CONTAINERS_CONF", config);
        podman.args(args![
            "--root",
            root,
            "--runroot",
            run,
            "--storage-driver",
            "vfs"
        ])
    };
    let found = images(&carried);
    let (reference, _) = found
        .iter()
        .find(|(name, _)| name.starts_with("core/api/"))
        .unwrap();
    let source = format!("oci-archive:{}:{reference}", carried.bundle.display());
    let policy = carried.sandbox.write(
        "policy.json",
        r#"{"default":[{"type":"insecureAcceptAnything"}]}"#,
    );
    let pull = podman()
        .args(args![
            "pull",
            "--quiet",
            "--signature-policy",
            policy,
            source
        ])
        .run()
        .ok();
    let id = pull.text().trim().to_owned();
    let said = podman().args(args!["image", "inspect", id]).run().ok();
    assert_eq!(said.json()[0]["Architecture"], "amd64");
    // Its layers are removed by podman itself, which knows their mounts.
    podman().args(args!["rmi", "--force", id]).run().ok();
}

/// The service somewhere below `folder`.
fn service_of(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    for entry in entries {
        let path = entry.ok()?.path();
        if path.file_name()? == "acme-api" {
            return Some(path);
        }
        if path.is_dir()
            && !path.is_symlink()
            && let Some(found) = service_of(&path)
        {
            return Some(found);
        }
    }
    None
}
