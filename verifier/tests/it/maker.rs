//! Makes bundles without the bundler: every piece can be changed before it is signed, or after.

use std::{collections::BTreeMap, fs::File, io::Write as _, os::fd::OwnedFd};

use ed25519_dalek::{Signer as _, SigningKey};
use sealift_verifier::{
    Code, Error,
    bundle::{Bundle, Trust},
    delivery::{Delivery, DeliveryKind, Pack},
    digest::{Digest, hex},
    dsse::Envelope,
    json, oci, pack,
    provenance::{MEMBER, PAYLOAD_TYPE},
    release::{
        Artifact, BlobRef, Capability, Content, FileRef, HealthCheck, Image, Kind, Probe, Release,
        TreeRef,
    },
    tar,
    time::Time,
    tree::{Entry, Mode, Node, Tree},
    tuf::{Key, Signature},
};
use serde_json::{Value, json};

/// Keys 1 to 3 are for roots, 11 and 12 for releases.
pub(crate) const RELEASE: u8 = 11;

pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

pub(crate) fn public(number: u8) -> Key {
    Key::ed25519(key(number).verifying_key().as_bytes())
}

pub(crate) fn keyid(number: u8) -> String {
    public(number).id().unwrap()
}

/// When tests take place.
pub(crate) fn now() -> Time {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

const EXPIRES: &str = "2031-03-01T00:00:00Z";

/// The signed part of a root: keys 1 to 3 with threshold 2, one release key.
pub(crate) fn root(version: u64) -> Value {
    root_of(version, &[1, 2, 3], 2, RELEASE)
}

pub(crate) fn root_of(version: u64, root: &[u8], threshold: u64, release: u8) -> Value {
    let keys: BTreeMap<_, _> = root
        .iter()
        .chain([&release])
        .map(|number| (keyid(*number), json!(public(*number))))
        .collect();
    let release = json!({ "keyids": [keyid(release)], "threshold": 1 });
    json!({
        "_type": "root",
        "consistent_snapshot": false,
        "expires": EXPIRES,
        "keys": keys,
        "roles": {
            "root": {
                "keyids": root.iter().map(|n| keyid(*n)).collect::<Vec<_>>(),
                "threshold": threshold,
            },
            "snapshot": release,
            "targets": release,
            "timestamp": release,
        },
        "spec_version": "1.0.34",
        "version": version,
    })
}

/// An envelope in canonical form, signed by the keys with these numbers.
pub(crate) fn sign(signed: &Value, keys: &[u8]) -> Vec<u8> {
    let message = json::canonical(signed);
    let mut signatures: Vec<(String, String)> = keys
        .iter()
        .map(|n| (keyid(*n), hex(&key(*n).sign(&message).to_bytes())))
        .collect();
    signatures.sort();
    envelope(signed, &signatures)
}

pub(crate) fn envelope(signed: &Value, signatures: &[(String, String)]) -> Vec<u8> {
    let signatures: Vec<_> = signatures
        .iter()
        .map(|(keyid, sig)| json!({ "keyid": keyid, "sig": sig }))
        .collect();
    json::canonical(&json!({ "signatures": signatures, "signed": signed }))
}

/// What is said of where the release with this digest comes from.
pub(crate) fn statement(release: Digest) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "pkg:generic/maker#build",
                "externalParameters": { "product": "acme" },
                "resolvedDependencies": [{
                    "digest": { "sha256": Digest::of(b"definition") }, "uri": "acme-2.5.0.toml",
                }],
            },
            "runDetails": {
                "builder": { "id": "pkg:generic/maker@1" },
                "metadata": { "finishedOn": "2026-03-01T00:00:00Z", "invocationId": "1" },
            },
        },
        "predicateType": "https://slsa.dev/provenance/v1",
        "subject": [{ "digest": { "sha256": release }, "name": "release.json" }],
    })
}

/// An envelope around a payload of this type, signed by the keys with these numbers.
pub(crate) fn attest(payload_type: &str, payload: Vec<u8>, keys: &[u8]) -> Vec<u8> {
    let mut envelope = Envelope::new(payload_type, payload);
    let message = envelope.message();
    for number in keys {
        envelope.insert_signature(Signature {
            keyid: keyid(*number),
            sig: hex(&key(*number).sign(&message).to_bytes()),
        });
    }
    envelope.to_bytes()
}

/// The signed parts of the three roles that a release has, with the same version.
pub(crate) struct Roles {
    pub(crate) timestamp: Value,
    pub(crate) snapshot: Value,
    pub(crate) targets: Value,
}

impl Roles {
    pub(crate) fn new(version: u64, members: &[(String, Vec<u8>)]) -> Self {
        let role = |name: &str, key: &str, content: Value| {
            let mut role = json!({
                "_type": name,
                "expires": EXPIRES,
                "spec_version": "1.0.34",
                "version": version,
            });
            role[key] = content;
            role
        };
        let targets: BTreeMap<_, _> = members
            .iter()
            .map(|(path, bytes)| {
                let hashes = json!({ "sha256": Digest::of(bytes) });
                (path, json!({ "hashes": hashes, "length": bytes.len() }))
            })
            .collect();
        Self {
            timestamp: role(
                "timestamp",
                "meta",
                json!({ "snapshot.json": { "version": version } }),
            ),
            snapshot: role(
                "snapshot",
                "meta",
                json!({ "targets.json": { "version": version } }),
            ),
            targets: role("targets", "targets", json!(targets)),
        }
    }
}

/// A bundle in its pieces.
#[derive(Clone)]
pub(crate) struct Parts {
    /// Paths and contents, in order.
    pub(crate) head: Vec<(String, Vec<u8>)>,
    pub(crate) members: Vec<(String, Vec<u8>)>,
}

impl Parts {
    /// Signs `members` with the release key under these roots.
    pub(crate) fn sign(roots: Vec<Vec<u8>>, version: u64, members: Vec<(String, Vec<u8>)>) -> Self {
        let roles = Roles::new(version, &members);
        Self::with(roots, &roles, &[RELEASE], members)
    }

    pub(crate) fn with(
        roots: Vec<Vec<u8>>,
        roles: &Roles,
        keys: &[u8],
        members: Vec<(String, Vec<u8>)>,
    ) -> Self {
        let mut head: Vec<_> = roots
            .into_iter()
            .zip(1..)
            .map(|(root, n)| (format!("metadata/{n}.root.json"), root))
            .collect();
        for (name, role) in [
            ("timestamp", &roles.timestamp),
            ("snapshot", &roles.snapshot),
            ("targets", &roles.targets),
        ] {
            head.push((format!("metadata/{name}.json"), sign(role, keys)));
        }
        Self { head, members }
    }

    /// The file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let all = self.head.iter().chain(&self.members);
        let mut bytes: Vec<u8> = all
            .flat_map(|(path, content)| member(path, content))
            .collect();
        bytes.extend(tar::ZEROS);
        bytes
    }

    pub(crate) fn replace(&mut self, path: &str, content: Vec<u8>) {
        let mut all = self.head.iter_mut().chain(&mut self.members);
        all.find(|(p, _)| p == path).unwrap().1 = content;
    }
}

pub(crate) fn member(path: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = tar::header(path, content.len() as u64).to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len() + tar::padding(content.len() as u64) as usize, 0);
    bytes
}

/// The manifests of a release and the content it is made of.
pub(crate) struct Sample {
    pub(crate) release: Release,
    /// What goes into the one pack, in order.
    pub(crate) packed: Vec<Vec<u8>>,
    /// What is stored as it is.
    pub(crate) stored: Vec<Vec<u8>>,
}

fn file(content: &[u8], executable: bool) -> FileRef {
    FileRef {
        digest: Digest::of(content),
        size: content.len() as u64,
        executable,
    }
}

fn capability(name: &str, artifacts: Vec<(&str, Content)>) -> Capability {
    let (name, version) = (name.parse().unwrap(), "1.0.0".parse().unwrap());
    Capability {
        description: "Answers <b>\u{202e}".into(),
        license: Some("Apache-2.0".into()),
        artifacts: artifacts
            .into_iter()
            .map(|(name, content)| Artifact {
                name: name.parse().unwrap(),
                content,
            })
            .collect(),
        health: vec![HealthCheck {
            name: "answers".into(),
            probe: Probe::Tcp("127.0.0.1:8080".into()),
            interval_ms: 1000,
            timeout_ms: 1000,
            retries: 1,
            start_period_ms: 0,
        }],
        ..Capability::new(name, version, Kind::Service)
    }
}

impl Sample {
    /// One file of one capability.
    pub(crate) fn minimal() -> Self {
        let content = b"port = 8080\n".to_vec();
        let capability = capability(
            "core/api",
            vec![("site.toml", Content::Config(file(&content, false)))],
        );
        Self::of(vec![capability], vec![content], Vec::new())
    }

    /// Something of every kind.
    pub(crate) fn rich() -> Self {
        let [config, notice, page, program] = [
            &b"port = 8080\n"[..],
            b"Permission is hereby granted\n",
            b"<!doctype html>\n",
            b"#!/bin/sh\nexit 0\n",
        ]
        .map(<[u8]>::to_vec);
        let entry = |path: &str, node| Entry {
            path: path.parse().unwrap(),
            node,
        };
        let node = |content: &[u8], mode| Node::File {
            mode,
            size: content.len() as u64,
            digest: Digest::of(content),
        };
        let tree = Tree {
            entries: vec![
                entry("bin/check", node(&program, Mode::Executable)),
                entry("bin/check2", node(&program, Mode::Plain)),
                entry("empty", Node::Dir),
                entry("index.html", node(&page, Mode::Plain)),
                entry(
                    "sub/link",
                    Node::Symlink {
                        target: "../index.html".into(),
                    },
                ),
            ],
        };
        let tree = json::to_canonical(&tree).unwrap();
        let layer = vec![7; 3000];
        let image_config = b"{}".to_vec();
        let descriptor = |content: &[u8], media: &str| {
            json!({
                "digest": format!("sha256:{}", Digest::of(content)),
                "mediaType": format!("application/vnd.oci.image.{media}"),
                "size": content.len(),
            })
        };
        let manifest = json::canonical(&json!({
            "config": descriptor(&image_config, "config.v1+json"),
            "layers": [descriptor(&layer, "layer.v1.tar")],
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "schemaVersion": 2,
        }));
        let mut blobs: Vec<_> = [&manifest, &image_config, &layer]
            .map(|c| BlobRef(Digest::of(c), c.len() as u64))
            .to_vec();
        blobs.sort();
        let image = Image {
            digest: Digest::of(&manifest),
            media_type: "application/vnd.oci.image.manifest.v1+json".into(),
            blobs,
        };
        let tree_ref = TreeRef {
            digest: Digest::of(&tree),
            size: tree.len() as u64,
            files: 3,
            bytes: (2 * program.len() + page.len()) as u64,
        };
        let capabilities = vec![
            capability(
                "core/api",
                vec![
                    ("license.txt", Content::Notice(file(&notice, false))),
                    ("server", Content::Image(image)),
                    ("site.toml", Content::Config(file(&config, false))),
                ],
            ),
            capability("web/shop", vec![("pages", Content::Tree(tree_ref))]),
        ];
        Self::of(
            capabilities,
            vec![tree, config, notice, page, program],
            vec![manifest, image_config, layer],
        )
    }

    fn of(capabilities: Vec<Capability>, packed: Vec<Vec<u8>>, stored: Vec<Vec<u8>>) -> Self {
        let release = Release {
            platforms: vec!["linux/amd64".into()],
            capabilities,
            ..Release::new(
                "acme".parse().unwrap(),
                "2.5.0".parse().unwrap(),
                "2026-03-01T00:00:00Z".parse().unwrap(),
            )
        };
        Self {
            release,
            packed,
            stored,
        }
    }

    /// The members behind the metadata.
    pub(crate) fn members(&self) -> Vec<(String, Vec<u8>)> {
        let release = json::to_canonical(&self.release).unwrap();
        self.members_with(release, |_| {})
    }

    /// The same, if the release was built with this key.
    pub(crate) fn members_by(&self, key: u8) -> Vec<(String, Vec<u8>)> {
        let mut members = self.members();
        let release = statement(Digest::of(&members[0].1));
        members[2].1 = attest(PAYLOAD_TYPE, json::canonical(&release), &[key]);
        members
    }

    pub(crate) fn members_with(
        &self,
        release: Vec<u8>,
        change: impl FnOnce(&mut Delivery),
    ) -> Vec<(String, Vec<u8>)> {
        let blob = |content: &Vec<u8>| BlobRef(Digest::of(content), content.len() as u64);
        let mut tar: Vec<u8> = self
            .packed
            .iter()
            .flat_map(|content| member(&tar::blob_path(Digest::of(content)), content))
            .collect();
        tar.extend(tar::ZEROS);
        let frame = pack::Compressor::new(1)
            .compress(tar, pack::LEVEL)
            .wait()
            .unwrap()
            .bytes;
        let mut stored = self.stored.clone();
        stored.sort_by_key(|content| Digest::of(content));
        let mut delivery = Delivery {
            format: 1,
            kind: DeliveryKind::Full,
            release: Digest::of(&release),
            compression: pack::compression(),
            packs: vec![Pack {
                frames: vec![blob(&frame)],
                blobs: self.packed.iter().map(blob).collect(),
                level: pack::LEVEL,
            }],
            blobs: stored.iter().map(blob).collect(),
        };
        change(&mut delivery);
        let provenance = json::canonical(&statement(Digest::of(&release)));
        let provenance = attest(PAYLOAD_TYPE, provenance, &[RELEASE]);
        let mut members = vec![
            ("release.json".to_owned(), release),
            (
                "delivery.json".into(),
                json::to_canonical(&delivery).unwrap(),
            ),
            (MEMBER.into(), provenance),
            ("oci-layout".into(), oci::LAYOUT.to_vec()),
            ("index.json".into(), oci::index(&self.release).unwrap()),
            (Pack::path(0), frame),
        ];
        members.extend(
            stored
                .into_iter()
                .map(|content| (tar::blob_path(Digest::of(&content)), content)),
        );
        members
    }

    /// A bundle with one root.
    pub(crate) fn parts(&self) -> Parts {
        Parts::sign(vec![sign(&root(1), &[1, 2])], 5, self.members())
    }
}

/// A file that only this process has.
pub(crate) fn file_of(bytes: &[u8]) -> File {
    let file: OwnedFd =
        rustix::fs::memfd_create("bundle", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let mut file = File::from(file);
    file.write_all(bytes).unwrap();
    file
}

/// What every program does before it uses anything of a bundle.
pub(crate) fn check(file: &File, trust: &Trust) -> Result<(), Error> {
    let bundle = Bundle::open(file.try_clone().unwrap(), "test.bundle")?;
    let bundle = bundle.verify(trust, now(), &mut |_| {})?;
    bundle.verify_payload(1, &|_| {})?;
    bundle.required_blobs()?;
    bundle.read_blobs(&|_| true, &Drain, 1, &|_| {})
}

/// The same, with the first root of [`root`] as what is trusted.
pub(crate) fn check_bytes(bytes: &[u8]) -> Result<(), Code> {
    let trust = Trust::from_root(sign(&root(1), &[1, 2]));
    check(&file_of(bytes), &trust).map_err(|e| e.kind())
}

struct Drain;

impl sealift_verifier::bundle::Sink for Drain {
    fn blob(&self, _: BlobRef, content: &mut dyn std::io::Read) -> std::io::Result<()> {
        std::io::copy(content, &mut std::io::sink()).map(|_| ())
    }
}
