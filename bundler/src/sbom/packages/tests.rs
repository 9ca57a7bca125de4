//! Images that are made here, layer by layer.

use std::{io::Write, path::PathBuf, sync::Mutex};

use sealift_verifier::release::{BlobRef, Capability};
use serde_json::json;

use super::*;
use crate::{
    plan::{PlannedArtifact, PlannedCapability, PlannedEntry, PlannedFile},
    problem::Place,
};

mod kept;

/// What a layer has at a path.
#[derive(Clone, Copy)]
enum Has<'t> {
    File(&'t [u8]),
    Link(&'t str),
    Hard(&'t str),
    Folder,
}

fn tar_of(entries: &[(&str, Has<'_>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, has) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        match has {
            Has::File(content) => {
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, path, *content).unwrap();
            }
            Has::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                tar.append_link(&mut header, path, target).unwrap();
            }
            Has::Hard(target) => {
                header.set_entry_type(tar::EntryType::Link);
                header.set_size(0);
                tar.append_link(&mut header, path, target).unwrap();
            }
            Has::Folder => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_size(0);
                tar.append_data(&mut header, path, io::empty()).unwrap();
            }
        }
    }
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn blob(bytes: Vec<u8>) -> PlannedBlob {
    PlannedBlob {
        blob: BlobRef(Digest::of(&bytes), bytes.len() as u64),
        compressible: false,
        source: Source::Bytes(bytes),
    }
}

fn descriptor(blob: &PlannedBlob, media_type: &str) -> serde_json::Value {
    let digest = format!("sha256:{}", blob.blob.digest());
    json!({ "mediaType": media_type, "digest": digest, "size": blob.blob.size() })
}

/// A manifest with these layers, and all its blobs.
fn manifest(layers: &[Vec<u8>], media_type: &str) -> (PlannedBlob, Vec<PlannedBlob>) {
    manifest_of(b"{}".to_vec(), layers, media_type)
}

fn manifest_of(
    config: Vec<u8>,
    layers: &[Vec<u8>],
    media_type: &str,
) -> (PlannedBlob, Vec<PlannedBlob>) {
    let config = blob(config);
    let mut blobs: Vec<_> = layers.iter().map(|layer| blob(layer.clone())).collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor(&config, "application/vnd.oci.image.config.v1+json"),
        "layers": blobs.iter().map(|b| descriptor(b, media_type)).collect::<Vec<_>>(),
    });
    let manifest = blob(manifest.to_string().into_bytes());
    blobs.push(config);
    blobs.push(manifest.clone());
    (manifest, blobs)
}

fn image_of(top: &PlannedBlob, mut blobs: Vec<PlannedBlob>) -> PlannedContent {
    blobs.sort_by_key(|b| b.blob.digest());
    blobs.dedup_by_key(|b| b.blob.digest());
    PlannedContent::Image(PlannedImage {
        digest: top.blob.digest(),
        media_type: String::new(),
        blobs,
    })
}

const TAR: &str = "application/vnd.oci.image.layer.v1.tar";

fn image(layers: &[Vec<u8>]) -> PlannedContent {
    let (top, blobs) = manifest(layers, &format!("{TAR}+gzip"));
    image_of(&top, blobs)
}

/// One capability `core/app`, with one artifact `a`, `b`, … for each content.
fn plan(contents: Vec<PlannedContent>) -> Vec<PlannedCapability> {
    let manifest: Capability = serde_json::from_value(
        json!({ "name": "core/app", "version": "1.0.0", "kind": "service", "artifacts": [] }),
    )
    .unwrap();
    let artifacts = contents
        .into_iter()
        .zip('a'..)
        .map(|(content, name)| PlannedArtifact {
            name: name.to_string().parse().unwrap(),
            at: Place::of_file(std::path::Path::new("capability.toml")),
            source: String::new(),
            content,
        });
    vec![PlannedCapability {
        manifest,
        artifacts: artifacts.collect(),
    }]
}

/// All packages of contents that nothing is wrong with.
fn sound(plan: &[PlannedCapability], cache: &dyn FoundCache) -> Packages {
    let (found, broken) = find(plan, cache, 2, &());
    assert_eq!(broken, []);
    found
}

/// The package URLs of artifact `a`.
fn purls(contents: Vec<PlannedContent>) -> Vec<String> {
    let found = sound(&plan(contents), &());
    let owner = ("core/app".parse().unwrap(), "a".parse().unwrap());
    let all = found.get(&owner).cloned().unwrap_or_default();
    all.into_iter().map(|package| package.purl).collect()
}

/// What is wrong with the one artifact.
fn wrong(content: PlannedContent) -> (Code, String) {
    let (_, mut broken) = find(&plan(vec![content]), &(), 2, &());
    assert_eq!(broken.len(), 1);
    broken.pop().map(|b| (b.code, b.message)).unwrap()
}

const STATUS: &[u8] =
    b"Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2\n\n\
    Package: libgcc-s1\nStatus: install ok installed\nArchitecture: amd64\nVersion: 12\n";
const BOOKWORM: &[u8] = b"ID=debian\nVERSION_ID=\"12\"\n";

#[test]
fn packages_of_all_kinds_with_licenses() {
    let base = tar_of(&[
        ("./", Has::Folder),
        ("./var/lib/dpkg/status", Has::File(STATUS)),
        ("usr/lib/os-release", Has::File(BOOKWORM)),
        ("etc/os-release", Has::Link("../usr/lib/os-release")),
        (
            "usr/share/doc/gcc-12-base/copyright",
            Has::File(b"Format: copyright-format/1.0\n\nFiles: *\nLicense: GPL-3+\n"),
        ),
        ("usr/share/doc/libgcc-s1", Has::Link("gcc-12-base")),
    ]);
    let above = tar_of(&[
        (
            "app/node_modules/@x/y/package.json",
            Has::File(br#"{"name":"@x/y","version":"1.0.0","license":"MIT"}"#),
        ),
        (
            "app/other/node_modules/@x/y/package.json",
            Has::File(br#"{"name":"@x/y","version":"1.0.0","license":"MIT"}"#),
        ),
        (
            "usr/lib/python3/dist-packages/foo-1.0.dist-info/METADATA",
            Has::File(b"Name: foo\nVersion: 1.0\nLicense: MIT\n"),
        ),
    ]);
    let layers = [gzip(&base), gzip(&above)];
    let found = sound(&plan(vec![image(&layers)]), &());
    let found: Vec<_> = found
        .into_values()
        .flatten()
        .map(|p| (p.purl, p.license.unwrap_or_default(), p.layer.unwrap()))
        .collect();
    let [lower, upper] = layers.map(|layer| Digest::of(&layer));
    let expected = [
        (
            "pkg:deb/debian/bash@5.2?arch=amd64&distro=debian-12",
            "",
            lower,
        ),
        (
            "pkg:deb/debian/libgcc-s1@12?arch=amd64&distro=debian-12",
            "GPL-3.0-or-later",
            lower,
        ),
        ("pkg:pypi/foo@1.0", "MIT", upper),
        ("pkg:npm/%40x/y@1.0.0", "MIT", upper),
    ];
    let expected =
        expected.map(|(purl, license, layer)| (purl.to_owned(), license.to_owned(), layer));
    assert_eq!(found, expected);
}

#[test]
fn a_license_that_is_known_in_part_says_so() {
    let copyright: &[u8] =
        b"Format: copyright-format/1.0\n\nFiles: *\nLicense: AGPL-3\n\nFiles: a\nLicense: BSD\n";
    let layer = tar_of(&[
        ("var/lib/dpkg/status", Has::File(STATUS)),
        ("usr/share/doc/bash/copyright", Has::File(copyright)),
    ]);
    let found = sound(&plan(vec![image(&[layer])]), &());
    let found: Vec<_> = found
        .into_values()
        .flatten()
        .map(|p| (p.name, p.license))
        .collect();
    let agpl = Some("AGPL-3.0-only AND LicenseRef-unknown".to_owned());
    let expected = [("bash", agpl), ("libgcc-s1", None)];
    assert_eq!(found, expected.map(|(name, l)| (name.to_owned(), l)));
}

#[test]
fn a_package_url_is_there_once_with_each_license() {
    let package = |name: &str, version: &str, license: &str| {
        format!("Name: {name}\nVersion: {version}\nLicense: {license}\n").into_bytes()
    };
    let files = [
        package("zope.interface", "5.0", "MIT"),
        package("zope.interface", "6.0", "MIT"),
        package("zope-interface", "5.0", "ISC"),
        package("zope_interface", "5.0", "MIT"),
        package("Zope_Interface", "5.0", "BSD"),
    ];
    let named: Vec<_> = (0..files.len())
        .map(|i| format!("lib/{i}.dist-info/METADATA"))
        .collect();
    let entries = named.iter().zip(&files);
    let entries: Vec<_> = entries.map(|(n, f)| (n.as_str(), Has::File(f))).collect();
    let found = sound(&plan(vec![image(&[tar_of(&entries)])]), &());
    let mut found: Vec<_> = found
        .into_values()
        .flatten()
        .map(|p| format!("{} {}", p.purl, p.license.unwrap_or_default()))
        .collect();
    found.sort();
    let expected = ["5.0 ", "5.0 ISC", "5.0 MIT", "6.0 MIT"];
    assert_eq!(
        found,
        expected.map(|rest| format!("pkg:pypi/zope-interface@{rest}"))
    );
}

#[test]
fn layers_in_any_compression_are_the_same() {
    let layer = tar_of(&[("lib/apk/db/installed", Has::File(b"P:musl\nV:1\nA:x\n"))]);
    let zstd = zstd::encode_all(layer.as_slice(), 3).unwrap();
    // As pzstd writes it: before each frame, how long it is in a frame that is skipped.
    let pzstd: Vec<u8> = layer
        .chunks(700)
        .flat_map(|chunk| {
            let frame = zstd::encode_all(chunk, 3).unwrap();
            let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
            [
                [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0].as_slice(),
                length.as_slice(),
                &*frame,
            ]
            .concat()
        })
        .collect();
    let empty = [&[0x5f, 0x2a, 0x4d, 0x18, 0, 0, 0, 0], zstd.as_slice()].concat();
    for layer in [gzip(&layer), zstd, pzstd, empty, layer] {
        assert_eq!(
            purls(vec![image(&[layer])]),
            ["pkg:apk/alpine/musl@1?arch=x"]
        );
    }
}

#[test]
fn upper_layers_cover_lower_ones() {
    let package = |name: &str| format!(r#"{{"name":"{name}","version":"1"}}"#).into_bytes();
    let (a, b) = (package("a"), package("b"));
    let lower = tar_of(&[
        ("app/node_modules/a/package.json", Has::File(&a)),
        ("node_modules/b/package.json", Has::File(&b)),
    ]);
    let seen = |upper: &[(&str, Has<'_>)]| {
        let names = purls(vec![image(&[lower.clone(), tar_of(upper)])]);
        names
            .iter()
            .map(|purl| purl["pkg:npm/".len()..].to_owned())
            .collect::<Vec<_>>()
    };
    let nothing: Has<'_> = Has::File(b"");
    assert_eq!(seen(&[]), ["a@1", "b@1"]);
    assert_eq!(seen(&[("app", Has::Folder)]), ["a@1", "b@1"]);
    // Replaced, with a package and without one.
    let c = package("c");
    assert_eq!(
        seen(&[("app/node_modules/a/package.json", Has::File(&c))]),
        ["b@1", "c@1"]
    );
    assert_eq!(
        seen(&[("app/node_modules/a/package.json", nothing)]),
        ["b@1"]
    );
    assert_eq!(seen(&[("app", Has::Link("elsewhere"))]), ["b@1"]);
    // Taken away: a file, a folder, the content of a folder, the content of the root.
    assert_eq!(
        seen(&[("app/node_modules/a/.wh.package.json", nothing)]),
        ["b@1"]
    );
    assert_eq!(seen(&[(".wh.app", nothing)]), ["b@1"]);
    assert_eq!(seen(&[("app/.wh..wh..opq", nothing)]), ["b@1"]);
    assert_eq!(seen(&[(".wh..wh..opq", nothing)]), Vec::<String>::new());
    // What only begins with the same letters stays, and so does what the same layer adds.
    assert_eq!(
        seen(&[(".wh.ap", nothing), (".wh.app2", nothing)]),
        ["a@1", "b@1"]
    );
    assert_eq!(
        seen(&[
            ("app/.wh..wh..opq", nothing),
            ("app/node_modules/c/package.json", Has::File(&c))
        ]),
        ["b@1", "c@1"]
    );
}

const MANIFEST: &[u8] = br#"{"name":"a","version":"1"}"#;

#[test]
fn a_file_tells_what_it_tells_by_any_of_its_names() {
    let apk = b"P:musl\nV:1\n";
    let python = b"Name: foo\nVersion: 1.0\n";
    let layer = tar_of(&[
        ("store/0", Has::File(STATUS)),
        ("var/lib/dpkg/status", Has::Hard("store/0")),
        // Links to links, to one that tells the same, and to what comes to lie there only later.
        ("store/1", Has::File(apk)),
        ("store/2", Has::Hard("store/1")),
        ("lib/apk/db/installed", Has::Hard("./store/2")),
        ("store/1", Has::File(b"P:other\nV:1\n")),
        ("cache/foo-1.0.dist-info/METADATA", Has::File(python)),
        (
            "lib/foo-1.0.dist-info/METADATA",
            Has::Hard("cache/foo-1.0.dist-info/METADATA"),
        ),
        ("store/3", Has::File(MANIFEST)),
        ("node_modules/a/package.json", Has::Hard("store/3")),
        ("node_modules/b/package.json", Has::Hard("store/3")),
        // What was there is no longer.
        ("gone/node_modules/c/package.json", Has::Hard("store/3")),
        ("gone/node_modules/c/package.json", Has::File(b"")),
        ("store/4", Has::Link("3")),
        ("node_modules/d/package.json", Has::Hard("store/4")),
        (
            "node_modules/e/package.json",
            Has::Hard("node_modules/e/package.json"),
        ),
    ]);
    let all = [
        "pkg:deb/debian/bash@5.2?arch=amd64",
        "pkg:deb/debian/libgcc-s1@12?arch=amd64",
        "pkg:apk/alpine/musl@1",
        "pkg:pypi/foo@1.0",
        "pkg:npm/a@1",
    ];
    for layer in [layer.clone(), gzip(&layer)] {
        assert_eq!(purls(vec![image(std::slice::from_ref(&layer))]), all);
        // A name stays where the other one is taken away.
        let upper = tar_of(&[
            (".wh.store", Has::File(b"")),
            (".wh.cache", Has::File(b"")),
            ("node_modules/.wh.a", Has::File(b"")),
        ]);
        assert_eq!(purls(vec![image(&[layer, upper])]), all);
    }
}

#[test]
fn a_program_is_one_by_any_of_its_names() {
    let program = elf::tests::program(r#"{"packages":[{"name":"serde","version":"1.0.0"}]}"#);
    let lower = tar_of(&[
        ("cache/p", Has::File(&program)),
        ("usr/bin/p", Has::Hard("cache/p")),
    ]);
    let upper = tar_of(&[("cache/.wh.p", Has::File(b""))]);
    assert_eq!(
        purls(vec![image(&[lower, upper])]),
        ["pkg:cargo/serde@1.0.0"]
    );
}

#[test]
fn a_link_may_lead_to_a_lower_layer() {
    let lower = tar_of(&[
        ("old/node_modules/a/package.json", Has::File(MANIFEST)),
        ("old/nothing.egg-info", Has::File(b"")),
        ("store/0", Has::File(MANIFEST)),
    ]);
    let seen = |upper: &[(&str, Has<'_>)]| purls(vec![image(&[lower.clone(), tar_of(upper)])]);
    let to = Has::Hard("old/node_modules/a/package.json");
    assert_eq!(
        seen(&[
            ("new/node_modules/a/package.json", to),
            (
                "newer/node_modules/a/package.json",
                Has::Hard("new/node_modules/a/package.json")
            ),
            ("new/nothing.egg-info", Has::Hard("old/nothing.egg-info")),
            ("new/program", Has::Hard("store/0")),
            (".wh.old", Has::File(b"")),
            ("new/.wh.node_modules", Has::File(b"")),
        ]),
        ["pkg:npm/a@1"]
    );
    let upper = tar_of(&[("x/node_modules/a/package.json", Has::Hard("store/0"))]);
    let (code, message) = wrong(image(&[lower.clone(), upper]));
    assert_eq!(code, Code::ImageInvalid);
    assert!(
        message
            .contains("x/node_modules/a/package.json is a hard link to store/0 of a lower layer"),
        "{message}"
    );
}

#[test]
fn names_that_are_no_text_stay_apart() {
    let layer = |paths: &[&[u8]]| {
        let mut tar = Vec::new();
        for path in paths {
            let content = if path.contains(&b'.') && !path.starts_with(b".wh.") {
                MANIFEST
            } else {
                b""
            };
            let mut header = tar::Header::new_gnu();
            header.as_old_mut().name[..path.len()].copy_from_slice(path);
            header.set_size(content.len() as u64);
            header.set_cksum();
            tar.extend(header.as_bytes());
            tar.extend(content);
            tar.resize(tar.len().next_multiple_of(512), 0);
        }
        tar.resize(tar.len() + 1024, 0);
        tar
    };
    let lower = layer(&[b"\xfe/node_modules/a/package.json"]);
    for (upper, seen) in [
        (b".wh.\xff".as_slice(), true),
        (b".wh.\xfe", false),
        (br".wh.\xfe", true),
        (b".wh.\xef\xbf\xbd", true),
    ] {
        let found = purls(vec![image(&[lower.clone(), layer(&[upper])])]);
        assert_eq!(!found.is_empty(), seen, "{upper:?}");
    }
    let found = sound(&plan(vec![image(&[lower])]), &());
    let path = &found.values().next().unwrap()[0].path;
    assert_eq!(path, r"\xfe/node_modules/a/package.json");
}

#[test]
fn a_package_is_told_with_each_of_its_licenses() {
    let manifest = |license: &str| {
        format!(r#"{{"name":"a","version":"1","license":"{license}"}}"#).into_bytes()
    };
    let (mit, agpl) = (manifest("MIT"), manifest("AGPL-3.0-only"));
    let layer = tar_of(&[
        ("0/node_modules/a/package.json", Has::File(&mit)),
        ("1/node_modules/a/package.json", Has::File(MANIFEST)),
        ("2/node_modules/a/package.json", Has::File(&agpl)),
        ("3/node_modules/a/package.json", Has::File(&mit)),
    ]);
    let found = sound(&plan(vec![image(&[layer])]), &());
    let found: Vec<_> = found
        .values()
        .flatten()
        .map(|p| (p.license.as_deref(), p.path.split('/').next().unwrap()))
        .collect();
    let expected = [
        (None, "1"),
        (Some("AGPL-3.0-only"), "2"),
        (Some("MIT"), "0"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_root_file_system_may_lie_anywhere() {
    const COPYRIGHT: &[u8] = b"Format: copyright-format/1.0\n\nFiles: *\nLicense: GPL-3+\n";
    let files: [(&str, &[u8]); 3] = [
        ("var/lib/dpkg/status", STATUS),
        ("etc/os-release", BOOKWORM),
        ("usr/share/doc/bash/copyright", COPYRIGHT),
    ];
    let expected = [
        (
            "pkg:deb/debian/bash@5.2?arch=amd64&distro=debian-12".to_owned(),
            Some("GPL-3.0-or-later".to_owned()),
        ),
        (
            "pkg:deb/debian/libgcc-s1@12?arch=amd64&distro=debian-12".to_owned(),
            Some("GPL-3.0-or-later".to_owned()),
        ),
    ];
    let entry = |path: String, node| PlannedEntry {
        path: path.parse().unwrap(),
        node,
    };
    for root in ["", "chroot/"] {
        let mut entries: Vec<_> = files
            .iter()
            .map(|(path, bytes)| {
                let source = Source::Bytes(bytes.to_vec());
                let (mode, size) = (Mode::Plain, bytes.len() as u64);
                entry(
                    format!("{root}{path}"),
                    PlannedNode::File { mode, size, source },
                )
            })
            .collect();
        let target = "bash".to_owned();
        let link = format!("{root}usr/share/doc/libgcc-s1");
        entries.push(entry(link.clone(), PlannedNode::Symlink { target }));
        let paths = files.map(|(path, bytes)| (format!("{root}{path}"), bytes));
        let mut layer: Vec<_> = paths
            .iter()
            .map(|(path, bytes)| (path.as_str(), Has::File(bytes)))
            .collect();
        layer.push((&link, Has::Link("bash")));
        for content in [PlannedContent::Tree(entries), image(&[tar_of(&layer)])] {
            let found = sound(&plan(vec![content]), &());
            let found: Vec<_> = found
                .into_values()
                .flatten()
                .map(|p| (p.purl, p.license))
                .collect();
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn a_layer_has_to_be_what_the_configuration_says_unpacked() {
    let tar = tar_of(&[("node_modules/a/package.json", Has::File(MANIFEST))]);
    let long = [tar.as_slice(), &[7; 5000]].concat();
    for (layer, unpacked) in [
        (tar.clone(), &tar),
        (gzip(&tar), &tar),
        (zstd::encode_all(tar.as_slice(), 3).unwrap(), &tar),
        (gzip(&long), &long),
    ] {
        let digest = Digest::of(&layer);
        let of = |diff_ids: serde_json::Value| {
            let config = json!({ "rootfs": { "type": "layers", "diff_ids": diff_ids } });
            let config = config.to_string().into_bytes();
            let (top, blobs) = manifest_of(config, std::slice::from_ref(&layer), TAR);
            image_of(&top, blobs)
        };
        let right = format!("sha256:{}", Digest::of(unpacked));
        assert_eq!(purls(vec![of(json!([right]))]), ["pkg:npm/a@1"]);
        let other = Digest::of(b"other");
        let (code, message) = wrong(of(json!([format!("sha256:{other}")])));
        assert_eq!(code, Code::DigestMismatch);
        for part in [digest, Digest::of(unpacked), other] {
            assert!(message.contains(&part.to_hex()), "{message}");
        }
        assert_eq!(wrong(of(json!([]))).0, Code::ImageInvalid);
    }
}

#[test]
fn all_of_a_compressed_layer_is_checked() {
    let tar = tar_of(&[("node_modules/a/package.json", Has::File(MANIFEST))]);
    let packed = gzip(&tar);
    let mut checksum = packed.clone();
    let at = checksum.len() - 8;
    checksum[at] ^= 1;
    let garbage = [packed.as_slice(), b"garbage"].concat();
    // Without its end, which only readers of the last byte notice.
    let short = packed[..packed.len() - 4].to_vec();
    for broken in [checksum, garbage, short] {
        let (code, message) = wrong(image(std::slice::from_ref(&broken)));
        assert_eq!(code, Code::ImageInvalid, "{message}");
        assert!(message.contains(&Digest::of(&broken).to_hex()), "{message}");
    }
    // Several parts are one layer, as tools write it that look into them.
    let (start, end) = tar.split_at(700);
    let parts = [gzip(start), gzip(end), gzip(b"")].concat();
    assert_eq!(purls(vec![image(&[parts])]), ["pkg:npm/a@1"]);
}

/// Taken for a file, it would cover what lies in it.
#[test]
fn a_folder_of_an_old_archive_is_one() {
    let lower = tar_of(&[("app/node_modules/a/package.json", Has::File(MANIFEST))]);
    for (kind, seen) in [(0, true), (b'0', false)] {
        let mut header = tar::Header::new_old();
        header.as_old_mut().name[..4].copy_from_slice(b"app/");
        header.as_old_mut().linkflag = [kind];
        header.set_size(0);
        header.set_cksum();
        let upper = [header.as_bytes().as_slice(), &[0; 1024]].concat();
        let found = purls(vec![image(&[lower.clone(), upper])]);
        assert_eq!(!found.is_empty(), seen, "{kind}");
    }
}

#[test]
fn all_platforms_of_an_index_and_no_attestations() {
    let apk = |arch: &str| {
        let database = format!("P:musl\nV:1\nA:{arch}\n");
        tar_of(&[("lib/apk/db/installed", Has::File(database.as_bytes()))])
    };
    let mut blobs = Vec::new();
    let mut manifests = Vec::new();
    for (layer, media_type) in [
        (apk("x86_64"), TAR),
        (apk("aarch64"), TAR),
        (b"{}  ".to_vec(), "application/vnd.in-toto+json"),
    ] {
        let (top, all) = manifest(&[layer], media_type);
        manifests.push(descriptor(
            &top,
            "application/vnd.oci.image.manifest.v1+json",
        ));
        blobs.extend(all);
    }
    let index = json!({ "schemaVersion": 2, "manifests": manifests });
    let index = blob(index.to_string().into_bytes());
    blobs.push(index.clone());
    assert_eq!(
        purls(vec![image_of(&index, blobs)]),
        [
            "pkg:apk/alpine/musl@1?arch=aarch64",
            "pkg:apk/alpine/musl@1?arch=x86_64"
        ]
    );
}

#[test]
fn broken_layers_are_told_apart() {
    let sound = tar_of(&[("etc/os-release", Has::File(&[b'#'; 5000]))]);
    assert_eq!(
        purls(vec![image(std::slice::from_ref(&sound))]),
        Vec::<String>::new()
    );
    for broken in [
        b"no tar at all, but some text".repeat(40),
        sound[..3000].to_vec(),
        gzip(&sound)[..60].to_vec(),
        zstd::encode_all(sound.as_slice(), 3).unwrap()[..50].to_vec(),
        b"\x1f\x8b\x08 and no gzip".to_vec(),
    ] {
        let (code, message) = wrong(image(std::slice::from_ref(&broken)));
        assert_eq!(code, Code::ImageInvalid, "{message}");
        assert!(message.contains(&Digest::of(&broken).to_hex()), "{message}");
    }
    // What was written over since the plan was made is not judged by what it is now.
    for (change, expected) in [(1, Code::DigestMismatch), (0, Code::LengthMismatch)] {
        let PlannedContent::Image(mut planned) = image(std::slice::from_ref(&sound)) else {
            unreachable!("it is an image");
        };
        let digest = Digest::of(&sound);
        let layer = planned
            .blobs
            .iter_mut()
            .find(|b| b.blob.digest() == digest)
            .unwrap();
        let mut other = sound.clone();
        other[3] ^= change;
        other.resize(sound.len() + 1 - usize::from(change), 0);
        layer.source = Source::Bytes(other);
        assert_eq!(wrong(PlannedContent::Image(planned)).0, expected);
    }
    let PlannedContent::Image(mut planned) = image(&[sound]) else {
        unreachable!("it is an image");
    };
    for blob in &mut planned.blobs {
        if blob.blob.size() > 3000 {
            blob.source = PathBuf::from("/nowhere").into();
        }
    }
    assert_eq!(wrong(PlannedContent::Image(planned)).0, Code::Io);
}

#[test]
fn what_unpacks_to_far_more_than_it_is_long_is_refused() {
    let huge = tar_of(&[("zeros", Has::File(&vec![0; 20 << 20]))]);
    for packed in [gzip(&huge), zstd::encode_all(huge.as_slice(), 3).unwrap()] {
        let (code, message) = wrong(image(&[packed]));
        assert_eq!(code, Code::ImageInvalid);
        assert!(
            message.contains("unpacks to more than 200 times"),
            "{message}"
        );
    }
    let mut long_name = tar::Header::new_gnu();
    long_name.set_entry_type(tar::EntryType::GNULongName);
    long_name.set_size(8 << 20);
    long_name.set_cksum();
    let bytes = [long_name.as_bytes().as_slice(), &vec![b'a'; 8 << 20]].concat();
    let (code, message) = wrong(image(&[bytes]));
    assert_eq!(code, Code::ImageInvalid);
    assert!(message.contains("too long a header"), "{message}");
}

#[test]
fn trees_and_programs_are_looked_through() {
    let file = |path: &str, bytes: &[u8]| PlannedEntry {
        path: path.parse().unwrap(),
        node: PlannedNode::File {
            mode: Mode::Plain,
            size: bytes.len() as u64,
            source: Source::Bytes(bytes.to_vec()),
        },
    };
    let tree = PlannedContent::Tree(vec![
        file(
            "node_modules/a/package.json",
            br#"{"name":"a","version":"1"}"#,
        ),
        file("package.json", br#"{"name":"own","version":"1"}"#),
    ]);
    assert_eq!(purls(vec![tree]), ["pkg:npm/a@1"]);
    let library = elf::tests::program(r#"{"packages":[{"name":"serde","version":"1.0.0"}]}"#);
    for (name, count) in [
        ("lib/liba.so", 1),
        ("lib/liba.so.1.2", 1),
        ("lib/a.node", 1),
        ("lib/a.solid", 0),
    ] {
        let tree = PlannedContent::Tree(vec![file(name, &library)]);
        assert_eq!(purls(vec![tree]).len(), count, "{name}");
    }
    let program = PlannedContent::File(PlannedFile {
        source: PathBuf::from("/nowhere").into(),
        size: 1000,
        executable: true,
        expected: None,
    });
    assert_eq!(wrong(program).0, Code::Io);
}

proptest::proptest! {
    #[test]
    fn no_layer_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2000)) {
        let _ = find(&plan(vec![image(&[bytes])]), &(), 1, &());
    }

    #[test]
    fn no_changed_layer_panics(at in 0_usize..3000, to in proptest::num::u8::ANY) {
        let mut layer = tar_of(&[
            ("a", Has::Link("b")),
            ("var/lib/dpkg/status", Has::File(STATUS)),
        ]);
        let at = at % layer.len();
        layer[at] = to;
        let _ = find(&plan(vec![image(&[layer])]), &(), 1, &());
    }
}
