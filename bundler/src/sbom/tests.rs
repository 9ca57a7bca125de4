//! One small release in all documents. That they are what the specifications ask for is tested with their
//! published schemas, through the real programs.

use std::collections::BTreeMap;

use sealift_verifier::{
    digest::Digest,
    tree::{Entry, Mode, Node, Tree},
};
use serde_json::{Value, json};

use super::{
    packages::{Ecosystem, FoundPackage},
    *,
};

fn digest(salt: &str, text: &str) -> Digest {
    Digest::of(format!("{salt}{text}").as_bytes())
}

/// A release with an image, a tree and a file; `salt` makes all digests others.
fn side(salt: &str) -> Side {
    let tree = Tree {
        entries: [("a.html", "aaa"), ("b/c.html", "c")]
            .map(|(path, text)| Entry {
                path: path.parse().unwrap(),
                node: Node::File {
                    mode: Mode::Plain,
                    size: 3,
                    digest: digest(salt, text),
                },
            })
            .to_vec(),
    };
    let of_tree = digest(salt, "tree");
    let of_image = digest(salt, "image");
    let release = json!({
        "format": 1, "product": "acme", "version": "2.5.0", "published": "2026-03-01T00:00:00Z",
        "capabilities": [
            { "name": "core/api", "version": "2.1.0", "kind": "service", "license": "LicenseRef-Acme OR MIT",
              "vendor": "Acme GmbH", "description": "The \"API\".",
              "artifacts": [
                { "name": "LICENSE", "content": { "notice": { "digest": digest(salt, "n"), "size": 1 } } },
                { "name": "server", "content": { "image": { "digest": of_image, "media-type": "m", "blobs": [[of_image, 10]] } } },
            ] },
            { "name": "web/shop", "version": "1.0.0+7", "kind": "app", "vendor": "Acme GmbH", "license": "no license",
              "requires": { "core/api": ">=2", "core/gone": "*" },
              "artifacts": [
                { "name": "site", "content": { "tree": { "digest": of_tree, "size": 9, "files": 2, "bytes": 7 } } },
            ] },
        ],
    });
    Side {
        release: serde_json::from_value(release).unwrap(),
        trees: BTreeMap::from([(of_tree, tree)]),
    }
}

fn packages(salt: &str) -> Packages {
    let package = |name: &str, version: &str, license: Option<&str>| FoundPackage {
        ecosystem: Ecosystem::Debian,
        name: name.into(),
        version: version.into(),
        purl: format!("pkg:deb/debian/{name}@{version}"),
        license: license.map(str::to_owned),
        path: "var/lib/dpkg/status".into(),
        layer: Some(digest(salt, "layer")),
    };
    let owner =
        |capability: &str, artifact: &str| (capability.parse().unwrap(), artifact.parse().unwrap());
    BTreeMap::from([
        (
            owner("core/api", "server"),
            vec![
                package("bash", "5.2", Some("GPL-3.0-or-later")),
                package("zlib1g", "1.2", None),
            ],
        ),
        (
            owner("web/shop", "site"),
            vec![package("left", "", Some("LicenseRef-debian-own"))],
        ),
    ])
}

fn all(salt: &str) -> Vec<(SbomFormat, Vec<u8>)> {
    let (side, packages) = (side(salt), packages(salt));
    let input = SbomInput {
        side: &side,
        packages: &packages,
    };
    let all = documents(&input).unwrap();
    let most = most(&side).unwrap();
    assert!(all.iter().all(|(_, bytes)| (bytes.len() as u64) < most));
    let alone = [cyclonedx(&input), spdx2(&input), spdx3(&input)];
    for ((_, document), alone) in all.iter().zip(alone) {
        assert_eq!(*document, alone.unwrap());
    }
    all
}

fn parsed(format: SbomFormat) -> Value {
    let all = all("");
    let (_, bytes) = all.iter().find(|(found, _)| *found == format).unwrap();
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn the_length_does_not_depend_on_the_values_of_digests() {
    for ((_, one), (_, other)) in all("one").iter().zip(all("other")) {
        assert_ne!(*one, other);
        assert_eq!(one.len(), other.len());
    }
    assert_eq!(all("one"), all("one"));
}

#[test]
fn what_the_manifest_says_of_bills_of_materials_does_not_matter() {
    let mut side = side("");
    let packages = packages("");
    let documents = |side: &Side| {
        documents(&SbomInput {
            side,
            packages: &packages,
        })
        .unwrap()
    };
    let before = documents(&side);
    side.release.sbom = serde_json::from_value(json!([
        { "format": "spdx-2.3+json", "file": { "digest": digest("", "x"), "size": 1 } }
    ]))
    .unwrap();
    assert_eq!(documents(&side), before);
}

#[test]
fn cyclonedx_nests_what_lies_in_something() {
    let bom = parsed(SbomFormat::CycloneDx);
    assert_eq!(bom["metadata"]["component"]["version"], "2.5.0");
    assert_eq!(bom["metadata"]["timestamp"], "2026-03-01T00:00:00Z");
    let api = &bom["components"][0];
    assert_eq!(api["supplier"]["name"], "Acme GmbH");
    assert_eq!(api["licenses"][0]["expression"], "LicenseRef-Acme OR MIT");
    let image = &api["components"][0];
    assert_eq!(image["name"], "core/api/server");
    let sha256 = digest("", "image");
    assert_eq!(
        image["purl"],
        format!("pkg:oci/server@sha256:{sha256}?tag=2.1.0")
    );
    assert_eq!(image["components"][0]["name"], "bash");
    assert_eq!(image["components"][1]["licenses"], Value::Null);
    assert_eq!(
        image["components"][0]["properties"][0]["value"],
        format!("sha256:{}", digest("", "layer"))
    );
    let shop = &bom["components"][1];
    assert_eq!(shop["licenses"], Value::Null);
    assert_eq!(shop["components"][1]["name"], "site/b/c.html");
    assert_eq!(
        shop["components"][1]["hashes"][0]["content"],
        digest("", "c").to_hex()
    );
    assert_eq!(shop["components"][2]["version"], Value::Null);
    assert_eq!(
        bom["dependencies"],
        json!([
            { "ref": "release", "dependsOn": ["c0", "c1"] },
            { "ref": "c0" },
            { "ref": "c1", "dependsOn": ["c0"] },
        ])
    );
}

#[test]
fn spdx2_relates_everything_to_the_release() {
    let document = parsed(SbomFormat::Spdx2);
    let related = |from: &str, kind: &str, to: &str| {
        document["relationships"]
            .as_array()
            .unwrap()
            .contains(&json!({
                "spdxElementId": format!("SPDXRef-{from}"),
                "relationshipType": kind,
                "relatedSpdxElement": format!("SPDXRef-{to}"),
            }))
    };
    assert!(related("DOCUMENT", "DESCRIBES", "release"));
    assert!(related("release", "CONTAINS", "c1"));
    assert!(related("c1", "DEPENDS_ON", "c0"));
    assert!(related("c0", "CONTAINS", "i1"));
    assert!(related("i1", "CONTAINS", "p1"));
    assert!(related("c1", "CONTAINS", "f3"));
    assert!(related("c1", "CONTAINS", "p3"));
    let licenses = document["hasExtractedLicensingInfos"].as_array().unwrap();
    let names: Vec<_> = licenses.iter().map(|l| l["licenseId"].clone()).collect();
    assert_eq!(names, ["LicenseRef-Acme", "LicenseRef-debian-own"]);
}

#[test]
fn spdx3_has_every_element_once() {
    let document = parsed(SbomFormat::Spdx3);
    let graph = document["@graph"].as_array().unwrap();
    let ids: Vec<_> = graph
        .iter()
        .filter_map(|node| node["spdxId"].as_str())
        .collect();
    let unique: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(ids.len(), unique.len());
    let of = |class: &str| graph.iter().filter(|node| node["type"] == class).count();
    assert_eq!(
        (
            of("Organization"),
            of("software_File"),
            of("software_Package")
        ),
        (1, 3, 7)
    );
    for node in graph {
        for to in node["to"].as_array().into_iter().flatten() {
            assert!(unique.contains(&to.as_str().unwrap()), "{to}");
        }
    }
}

/// 70,000 files in all documents; `--ignored` because a debug build says nothing about time.
#[test]
#[ignore = "a measurement: cargo test --release -p sealift-bundler -- --ignored --nocapture many_files"]
fn many_files() {
    let mut side = side("");
    let tree = side.trees.values_mut().next().unwrap();
    tree.entries = (0..70_000)
        .map(|n| Entry {
            path: format!("folder/{:02}/file-{n:06}.txt", n % 100)
                .parse()
                .unwrap(),
            node: Node::File {
                mode: Mode::Plain,
                size: 3,
                digest: digest("", &n.to_string()),
            },
        })
        .collect();
    let packages = packages("");
    let input = SbomInput {
        side: &side,
        packages: &packages,
    };
    let begin = std::time::Instant::now();
    let documents = documents(&input).unwrap();
    let most = most(&side).unwrap();
    assert!(
        documents
            .iter()
            .all(|(_, bytes)| (bytes.len() as u64) < most)
    );
    let taken = begin.elapsed();
    let lengths: Vec<_> = documents.iter().map(|(_, bytes)| bytes.len()).collect();
    assert!(taken.as_millis() < 300, "{taken:?} for {lengths:?} bytes");
}
