//! Bills of materials of real things: the packages of this very machine, programs that others built, and what the
//! published schemas and the validators of others say of the documents.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use sealift_bundler::{
    diff::Side,
    plan::{PlannedArtifact, PlannedBlob, PlannedCapability, PlannedContent, PlannedImage, Source},
    problem::Place,
    sbom::{
        SbomInput, documents,
        packages::{Ecosystem, FoundPackage, Packages, find},
    },
};
use sealift_tests::{
    args,
    sandbox::{Sandbox, read, target_folder, write},
    vendor::Vendor,
};
use sealift_verifier::{
    digest::Digest,
    release::{BlobRef, Capability, Release, SbomFormat},
    tree::{Entry, Mode, Node, Tree},
};
use serde_json::{Value, json};

/// A tar that GNU tar makes of files below a folder.
fn layer(sandbox: &Sandbox, folder: &Path, files: &[String]) -> PathBuf {
    let number = fs::read_dir(sandbox.path()).unwrap().count();
    let tar = sandbox.join(format!("layer-{number}.tar"));
    let names = files.join("\n");
    let program = sandbox.tool("tar");
    let program = program.args(args!["-C", folder, "-cf", tar, "--no-recursion", "-T", "-"]);
    program.input(names).run().ok();
    tar
}

/// An image of these layers.
fn image(layers: &[&Path]) -> PlannedImage {
    let blob = |bytes: &[u8], source: Source| PlannedBlob {
        blob: BlobRef(Digest::of(bytes), bytes.len() as u64),
        compressible: false,
        source,
    };
    let config = blob(b"{}", Source::Bytes(b"{}".to_vec()));
    let mut blobs: Vec<PlannedBlob> = layers
        .iter()
        .map(|path| blob(&read(path), path.to_path_buf().into()))
        .collect();
    let descriptor = |blob: &PlannedBlob, media_type: &str| {
        let digest = format!("sha256:{}", blob.blob.digest());
        json!({ "mediaType": media_type, "digest": digest, "size": blob.blob.size() })
    };
    let layer_type = "application/vnd.oci.image.layer.v1.tar";
    let manifest = json!({
        "schemaVersion": 2,
        "config": descriptor(&config, "application/vnd.oci.image.config.v1+json"),
        "layers": blobs.iter().map(|b| descriptor(b, layer_type)).collect::<Vec<_>>(),
    });
    let manifest = manifest.to_string().into_bytes();
    let top = blob(&manifest, Source::Bytes(manifest.clone()));
    let digest = top.blob.digest();
    blobs.extend([config, top]);
    blobs.sort_by_key(|b| b.blob.digest());
    PlannedImage {
        digest,
        media_type: "application/vnd.oci.image.manifest.v1+json".into(),
        blobs,
    }
}

/// The packages of `core/api`, whose only artifact `server` is this.
fn packages(image: PlannedImage) -> Packages {
    let manifest: Capability = serde_json::from_value(
        json!({ "name": "core/api", "version": "2.1.0", "kind": "service", "artifacts": [] }),
    )
    .unwrap();
    let artifact = PlannedArtifact {
        name: "server".parse().unwrap(),
        at: Place::of_file(Path::new("capability.toml")),
        source: String::new(),
        content: PlannedContent::Image(image),
    };
    let capability = PlannedCapability {
        manifest,
        artifacts: vec![artifact],
    };
    let (found, broken) = find(&[capability], &(), 2, &());
    assert_eq!(broken, []);
    found
}

fn all(packages: Packages) -> Vec<FoundPackage> {
    packages.into_values().flatten().collect()
}

/// An image of what dpkg knows of this machine, with all copyright files.
fn this_machine(sandbox: &Sandbox) -> PlannedImage {
    let mut files = vec!["var/lib/dpkg/status".into(), "usr/lib/os-release".into()];
    for entry in fs::read_dir("/usr/share/doc").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let folder = format!("usr/share/doc/{name}");
        if Path::new("/").join(&folder).is_symlink() {
            files.push(folder);
        } else if Path::new("/").join(&folder).join("copyright").exists() {
            files.push(format!("{folder}/copyright"));
        }
    }
    image(&[&layer(sandbox, Path::new("/"), &files)])
}

#[test]
fn debian_packages_are_those_that_dpkg_lists() {
    let sandbox = Sandbox::new();
    let found = all(packages(this_machine(&sandbox)));
    let format = "${db:Status-Status} ${Package} ${Version}\n";
    let query = sandbox.tool("dpkg-query").args(["-W", "-f", format]);
    let said = query.run().ok();
    let expected: BTreeSet<&str> = said
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("installed "))
        .collect();
    assert!(expected.len() > 100);
    let listed: Vec<_> = found
        .iter()
        .map(|p| format!("{} {}", p.name, p.version))
        .collect();
    assert_eq!(
        listed.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        expected
    );
    let named = |name: &str| found.iter().find(|p| p.name == name).unwrap();
    assert_eq!(named("tar").ecosystem, Ecosystem::Debian);
    let purl = &named("tar").purl;
    assert!(
        purl.starts_with("pkg:deb/debian/tar@") && purl.ends_with("distro=debian-12"),
        "{purl}"
    );
    assert_eq!(named("jq").layer, named("tar").layer);
    // Most packages of Debian 12 have machine-readable copyright files.
    let known = found.iter().filter(|p| p.license.is_some()).count();
    assert!(known * 3 > found.len(), "{known} of {}", found.len());
    // Its copyright file is a link to that of another package.
    assert_eq!(named("libgcc-s1").license, named("gcc-12-base").license);
}

#[test]
fn python_packages_are_those_that_python_lists() {
    let sandbox = Sandbox::new();
    let venv = target_folder().join("venv");
    let listing = "import importlib.metadata as m; print(*sorted(f'{d.name} {d.version}' for d in m.distributions()), sep='\\n')";
    let python = venv.join("bin/python3");
    let python = sandbox.tool(python.to_str().unwrap());
    let said = python.args(["-I", "-c", listing]).run().ok();
    let expected: BTreeSet<&str> = said.text().lines().collect();
    let said = sandbox
        .tool("find")
        .args(args![venv, "-path", "*-info/METADATA", "-printf", "%P\\n"])
        .run()
        .ok();
    let files: Vec<String> = said.text().lines().map(str::to_owned).collect();
    let found = all(packages(image(&[&layer(&sandbox, &venv, &files)])));
    let listed: Vec<_> = found
        .iter()
        .map(|p| format!("{} {}", p.name, p.version))
        .collect();
    assert_eq!(
        listed.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        expected
    );
    let tuf = found.iter().find(|p| p.name == "tuf").unwrap();
    assert!(tuf.purl.starts_with("pkg:pypi/tuf@"));
    assert!(
        tuf.license.as_ref().unwrap().contains("Apache-2.0"),
        "{tuf:?}"
    );
}

/// Programs that Go and `cargo auditable` built, as others distribute them.
fn programs(sandbox: &Sandbox) -> PlannedImage {
    let uv = target_folder().join("venv/bin/uv");
    let folder = sandbox.join("programs");
    write(&folder.join("usr/bin/uv"), read(&uv));
    write(
        &folder.join("usr/bin/umoci"),
        read(Path::new("/usr/bin/umoci")),
    );
    let files = ["usr/bin/uv", "usr/bin/umoci"].map(str::to_owned);
    image(&[&layer(sandbox, &folder, &files)])
}

#[test]
fn programs_say_what_they_were_linked_from() {
    let sandbox = Sandbox::new();
    let found = all(packages(programs(&sandbox)));
    let of = |path: &str| found.iter().filter(|p| p.path == path).collect::<Vec<_>>();
    let go = of("usr/bin/umoci");
    assert!(go.iter().all(|p| p.ecosystem == Ecosystem::Go));
    let library = go.iter().find(|p| p.name == "stdlib").unwrap();
    assert!(
        library.purl.starts_with("pkg:golang/stdlib@1."),
        "{library:?}"
    );
    let crates = of("usr/bin/uv");
    assert!(crates.len() > 200, "{}", crates.len());
    assert!(crates.iter().all(|p| p.ecosystem == Ecosystem::Cargo));
    for name in ["uv", "serde", "tokio"] {
        assert!(crates.iter().any(|p| p.name == name), "{name}");
    }
}

/// A release with this image, a tree and a vendor.
fn release(image: &PlannedImage) -> Side {
    let tree = Tree {
        entries: ["a \"b\".html", "ü.html"]
            .map(|path| Entry {
                path: path.parse().unwrap(),
                node: Node::File {
                    mode: Mode::Plain,
                    size: 3,
                    digest: Digest::of(path.as_bytes()),
                },
            })
            .to_vec(),
    };
    let of_tree = Digest::of(b"tree");
    let blobs: Vec<_> = image.blobs.iter().map(|b| b.blob).collect();
    let release: Value = json!({
        "format": 1, "product": "acme", "version": "2.5.0-rc.1+b", "published": "2026-03-01T00:00:00Z",
        "capabilities": [
            { "name": "core/api", "version": "2.1.0", "kind": "service", "license": "LicenseRef-Acme AND (MIT OR Apache-2.0)",
              "vendor": "Acme GmbH (Köln)", "description": "The API, in \"quotes\".",
              "artifacts": [{ "name": "server", "content": { "image": {
                  "digest": image.digest, "media-type": image.media_type, "blobs": blobs } } }] },
            { "name": "ml/model", "version": "1.0.0", "kind": "model", "artifacts": [] },
            { "name": "web/shop", "version": "1.0.0+7", "kind": "app", "license": "MIT",
              "requires": { "core/api": ">=2" },
              "artifacts": [
                { "name": "LICENSE", "content": { "notice": { "digest": Digest::of(b"l"), "size": 1 } } },
                { "name": "site", "content": { "tree": { "digest": of_tree, "size": 9, "files": 2, "bytes": 7 } } } ] },
        ],
    });
    let release: Release = serde_json::from_value(release).unwrap();
    Side {
        release,
        trees: BTreeMap::from([(of_tree, tree)]),
    }
}

/// The documents of [`release`], and the packages that they have to name.
fn documented(image: PlannedImage) -> (Vec<(SbomFormat, Vec<u8>)>, Packages) {
    let side = release(&image);
    let packages = packages(image);
    let input = SbomInput {
        side: &side,
        packages: &packages,
    };
    (documents(&input).unwrap(), packages)
}

#[test]
fn documents_are_what_their_specifications_ask_for() {
    let sandbox = Sandbox::new();
    for image in [this_machine(&sandbox), programs(&sandbox)] {
        let of_image = format!("pkg:oci/server@sha256:{}?tag=2.1.0", image.digest);
        let (documents, packages) = documented(image);
        let files: Vec<PathBuf> = documents
            .into_iter()
            .map(|(format, bytes)| sandbox.write(format.file_name(), bytes))
            .collect();
        let check = sandbox.python("check_sbom.py");
        let said = check.args(&files).run().ok();
        let mut expected: BTreeSet<String> = all(packages).into_iter().map(|p| p.purl).collect();
        expected.insert(of_image);
        let urls: BTreeSet<String> = said.text().lines().map(str::to_owned).collect();
        assert_eq!(urls, expected);
    }
}

/// What a bundle carries is what an officer takes out of it.
#[test]
fn a_bundle_carries_documents_that_the_validators_accept() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let acme = vendor.acme(18_080);
    let bundle = vendor.build(&acme.definition("2.5.0"));
    let verifier = |args: &[&str]| {
        let program = sandbox.program("sealift-verifier");
        let program = program.args(args).args(args!["--root", vendor.root()]);
        program.run().ok()
    };
    let shown = bundle.to_str().unwrap();
    let out = sandbox.join("out");
    let _ = verifier(&["extract", shown, "sbom", "--to", out.to_str().unwrap()]);
    let listed = verifier(&["inspect", shown, "sbom", "--output", "json"]).json();
    let names: Vec<PathBuf> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|sbom| out.join("sbom").join(sbom["name"].as_str().unwrap()))
        .collect();
    assert_eq!(names.len(), 3);
    let said = sandbox.python("check_sbom.py").args(&names).run().ok();
    let images = said
        .text()
        .lines()
        .filter(|url| url.starts_with("pkg:oci/"));
    assert_eq!(images.count(), 4, "{}", said.text());
}

#[test]
fn licenses_that_the_vendor_does_not_accept_are_refused() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let acme = vendor.acme(18_080);
    let definition = acme.definition("2.5.0");
    let rules = definition.with_file_name("catalog").join("licenses.toml");
    write(&rules, "allowed = [\"Apache-2.0\", \"CC0-1.0\"]\n");
    let _ = vendor.bundler(args!["check", definition]).ok();
    write(&rules, "forbidden = [\"CC0-1.0\"]\n");
    let said = vendor
        .bundler(args!["check", definition])
        .fails_with("definition-invalid");
    assert!(said.stderr.contains("license-refused"), "{}", said.stderr);
    assert!(said.stderr.contains("ml/ranker"), "{}", said.stderr);
    write(&rules, "[exceptions]\n\"ml/ranker\" = [\"CC0-1.0\"]\n");
    let _ = vendor.bundler(args!["check", definition]).ok();
    // A list that cannot be read is not one that allows everything.
    fs::remove_file(&rules).unwrap();
    std::os::unix::fs::symlink(sandbox.join("nowhere"), &rules).unwrap();
    let said = vendor
        .bundler(args!["check", definition])
        .fails_with("definition-invalid");
    assert!(
        said.stderr
            .contains("licenses.toml: there is no such file [file-missing]"),
        "{}",
        said.stderr
    );
}

#[test]
fn the_validators_find_what_is_wrong() {
    let sandbox = Sandbox::new();
    let (good, _) = documented(programs(&sandbox));
    for (number, (from, to)) in [
        ("\"type\":\"container\"", "\"type\":\"vessel\""),
        (
            "\"SPDXRef-c0\",\"relationshipType\"",
            "\"SPDXRef-c9\",\"relationshipType\"",
        ),
        (
            "\"software_primaryPurpose\":\"container\"",
            "\"software_primaryPurpose\":\"vessel\"",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut files = Vec::new();
        for (at, (format, bytes)) in good.iter().enumerate() {
            let mut text = String::from_utf8(bytes.clone()).unwrap();
            if at == number {
                assert!(text.contains(from));
                text = text.replace(from, to);
            }
            files.push(sandbox.write(format.file_name(), text));
        }
        let check = sandbox.python("check_sbom.py");
        check.args(&files).run().exits(1);
    }
}

/// Room for bills of materials is kept before anybody knows what they say; this needs more of it than is kept at first.
#[test]
fn a_release_may_bring_more_packages_along_than_was_expected() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let version = format!("1.{}", "0".repeat(200));
    let mut status = String::new();
    for n in 0..60_000 {
        let package = format!("Package: p{n}\nStatus: install ok installed\nArchitecture: all\n");
        status.extend([&package, "Version: ", &version, "\n\n"]);
    }
    let definition = vendor
        .release("1.0.0", 1)
        .capability("core/app", "service")
        .file("data", "some data")
        .tree("root", &[("var/lib/dpkg/status", status.as_bytes())])
        .define();
    let bundle = vendor.build(&definition);
    let verifier = |args: &[std::ffi::OsString]| {
        let program = sandbox.program("sealift-verifier");
        program
            .args(args)
            .args(args!["--root", vendor.root()])
            .run()
            .ok()
    };
    let _ = verifier(&args!["verify", bundle]);
    let listed = verifier(&args!["inspect", bundle, "sbom", "--output", "json"]).json();
    let sizes = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|sbom| sbom["size"].as_u64().unwrap());
    assert!(sizes.max().unwrap() > 40 << 20, "{listed}");
    // However it is found out, the bytes are the same.
    let other = sandbox.join("other.bundle");
    let again = vendor.build_command(&definition, &other);
    again.args(["--no-cache"]).run().ok();
    assert!(read(&bundle) == read(&other));
}

/// The bundles of a run belong together: what is wrong in one mode is found while the first is packed already.
#[test]
fn no_mode_is_built_if_another_is_refused() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let package = br#"{"name": "copied", "version": "1.0.0", "license": "AGPL-3.0-only"}"#;
    let definition = vendor
        .release("1.0.0", 1)
        .field("modes = [\"saas\", \"edge\"]")
        .capability("core/full", "service")
        .lines("modes = [\"saas\"]\nsubstitutes = { edge = \"core/lite\" }\n")
        .file("data", "some data")
        .capability("core/lite", "service")
        .lines("modes = [\"edge\"]\n")
        .tree("site", &[("node_modules/copied/package.json", package)])
        .define();
    let text = String::from_utf8(read(&definition)).unwrap();
    write(&definition, text.replace("\"core/lite\" = \"1.0.0\"\n", ""));
    let rules = sandbox.join("vendor/catalog-1.0.0/licenses.toml");
    write(&rules, "forbidden = [\"AGPL-3.0-only\"]\n");
    let folder = sandbox.join("bundles");
    fs::create_dir(&folder).unwrap();
    let build = || {
        vendor
            .build_command(&definition, &folder.join("{mode}.bundle"))
            .run()
    };
    let said = build().fails_with("definition-invalid");
    assert!(
        said.stderr.contains("pkg:npm/copied@1.0.0"),
        "{}",
        said.stderr
    );
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    fs::remove_file(&rules).unwrap();
    build().ok();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
}

/// Definitions are read before contents: what is refused in both is told at once all the same.
#[test]
fn all_licenses_that_are_refused_are_told_in_one_run() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let package = |name: &str, license: &str| {
        format!(r#"{{"name":"{name}","version":"1.0.0","license":"{license}"}}"#)
    };
    let (agpl, isc) = (package("agpl", "AGPL-3.0-only"), package("isc", "ISC"));
    let again = package("agpl", "MIT");
    let definition = vendor
        .release("1.0.0", 1)
        .field("modes = [\"saas\", \"edge\"]")
        .capability("core/full", "service")
        .lines("modes = [\"saas\"]\nsubstitutes = { edge = \"core/lite\" }\nlicense = \"GPL-2.0-only\"\n")
        .tree("a", &[("node_modules/isc/package.json", isc.as_bytes())])
        .capability("core/lite", "service")
        .lines("modes = [\"edge\"]\n")
        .tree("a", &[("0/node_modules/agpl/package.json", again.as_bytes())])
        .tree("b", &[("node_modules/agpl/package.json", agpl.as_bytes())])
        .define();
    let text = String::from_utf8(read(&definition)).unwrap();
    write(&definition, text.replace("\"core/lite\" = \"1.0.0\"\n", ""));
    let rules = sandbox.join("vendor/catalog-1.0.0/licenses.toml");
    write(&rules, "allowed = [\"MIT\"]\nunknown = \"refuse\"\n");
    let out = sandbox.join("{mode}.bundle");
    let check = sandbox.program("sealift-bundler");
    for program in [
        check.args(args!["check", definition]),
        vendor.build_command(&definition, &out),
        vendor.build_command(&definition, &out).args(["--dry-run"]),
    ] {
        let said = program.run().fails_with("definition-invalid");
        for part in [
            "core/full has the license GPL-2.0-only",
            "pkg:npm/isc@1.0.0 in node_modules/isc/package.json has the license ISC",
            "core/lite has no license",
            "pkg:npm/agpl@1.0.0 in node_modules/agpl/package.json has the license AGPL-3.0-only",
            "4 problems found",
        ] {
            assert!(said.stderr.contains(part), "{part}: {}", said.stderr);
        }
    }
}

/// GNU tar writes files with holes in four ways, one of which puts them into a folder of its own.
#[test]
fn files_with_holes_tell_what_they_would_without() {
    let sandbox = Sandbox::new();
    let folder = sandbox.join("root");
    let metadata = folder.join("lib/foo-1.0.dist-info/METADATA");
    write(&metadata, "Name: foo\nVersion: 1.0\n\n");
    let program = folder.join("bin/uv");
    write(&program, read(&target_folder().join("venv/bin/uv")));
    let image_file = folder.join("disk.img");
    write(&image_file, "");
    let grow = |path: &Path, size: u64| {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_len(size).unwrap();
    };
    grow(&metadata, 1 << 20);
    grow(&program, program.metadata().unwrap().len() + (1 << 20));
    // More than any layer may unpack to.
    grow(&image_file, 1 << 40);
    for format in [
        &["--format=gnu"][..],
        &["--format=posix", "--sparse-version=0.0"],
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix", "--sparse-version=1.0"],
    ] {
        let tar = sandbox.join("layer.tar");
        let program = sandbox.tool("tar").args(format);
        let program = program.args(args!["--sparse", "-C", folder, "-cf", tar, "."]);
        program.run().ok();
        assert!(
            tar.metadata().unwrap().len() < read(&folder.join("bin/uv")).len() as u64 + (1 << 19)
        );
        let found = all(packages(image(&[&tar])));
        let at = |path: &str| found.iter().filter(|p| p.path == path).count();
        assert_eq!(at("lib/foo-1.0.dist-info/METADATA"), 1, "{format:?}");
        assert!(at("bin/uv") > 200, "{format:?}");
    }
}
