//! Where a release comes from: what a bundle says of it, who has to have signed that, and that other people's
//! tools read it.

use std::path::{Path, PathBuf};

use sealift_tests::{
    args,
    program::Outcome,
    sandbox::{Sandbox, read, write},
    vendor::{Acme, Vendor},
};
use sealift_verifier::{
    Code,
    digest::Digest,
    dsse::Envelope,
    json::canonical,
    tuf::{Key, Keyval, Role, Root},
};
use serde_json::{Value, json};

use crate::resolve::Catalog;

/// `provenance.json` out of a bundle.
fn envelope(vendor: &Vendor, bundle: &Path, to: &str) -> PathBuf {
    let folder = vendor.sandbox.join(to);
    let verifier = vendor.sandbox.program("sealift-verifier");
    let args = args!["extract", bundle, "provenance.json", "-o", folder];
    verifier
        .args(args)
        .args(args!["--root", vendor.root()])
        .run()
        .ok();
    folder.join("provenance.json")
}

/// What securesystemslib says of an envelope, by so many of the keys that this root lists for targets.
fn securesystemslib(sandbox: &Sandbox, envelope: &Path, root: &Path, threshold: u32) -> Outcome {
    let python = sandbox.python("dsse.py");
    let threshold = threshold.to_string();
    python
        .args(args!["verify", envelope, root, threshold])
        .run()
}

fn inspect(vendor: &Vendor, bundle: &Path, section: &str) -> Value {
    let verifier = vendor.sandbox.program("sealift-verifier");
    let args = args!["inspect", bundle, section, "--output", "json", "--root"];
    verifier.args(args).args([vendor.root()]).run().ok().json()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Every definition, and every artifact, with a digest that anybody can compute who has the catalog.
fn sources_lie_in_the_catalog(build: &Value, acme: &Acme, capabilities: &Value) {
    let sources = build["resolvedDependencies"].as_array().unwrap();
    let (mut definitions, mut artifacts) = (Vec::new(), Vec::new());
    for source in sources {
        let uri = text(&source["uri"]);
        let folder = if uri.contains('/') {
            acme.folder().join("catalog")
        } else {
            acme.folder().to_owned()
        };
        let path = folder.join(&uri);
        assert!(path.exists(), "{source:#}");
        match &source["annotations"]["type"] {
            Value::Null => definitions.push(uri),
            kind => artifacts.push((text(&source["name"]), text(kind))),
        }
        if path.is_file() && source["annotations"]["type"] != "image" {
            let digest = Digest::of(&read(&path)).to_hex();
            assert_eq!(source["digest"]["sha256"], digest, "{source:#}");
        }
    }
    let capabilities = capabilities.as_array().unwrap();
    let mut expected: Vec<String> = capabilities
        .iter()
        .map(|c| {
            let (name, version) = (text(&c["name"]), text(&c["version"]));
            format!("capabilities/{name}/{version}/capability.toml")
        })
        .collect();
    expected.insert(0, "acme-2.5.0.toml".into());
    assert_eq!(definitions, expected);
    let expected: Vec<(String, String)> = capabilities
        .iter()
        .flat_map(|c| {
            c["artifacts"]
                .as_array()
                .unwrap()
                .iter()
                .map(move |a| (c, a))
        })
        .map(|(c, a)| {
            let kind = a["content"].as_object().unwrap().keys().next();
            let name = format!("{}/{}", text(&c["name"]), text(&a["name"]));
            (name, kind.unwrap().clone())
        })
        .collect();
    assert_eq!(artifacts, expected);
}

#[test]
fn securesystemslib_verifies_where_acme_comes_from() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let acme = vendor.acme(18_080);
    let bundle = vendor.build(&acme.definition("2.5.0"));
    let envelope = envelope(&vendor, &bundle, "out");
    let said = securesystemslib(&sandbox, &envelope, &vendor.root(), 1)
        .ok()
        .json();
    assert_eq!(said["payloadType"], "application/vnd.in-toto+json");
    assert_eq!(said["signers"].as_array().unwrap().len(), 1);
    let statement = &said["payload"];

    // It is about this release and its images.
    let release = inspect(&vendor, &bundle, "release");
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let mut subjects = vec![json!({
        "digest": { "sha256": release["release-digest"] }, "name": "release.json",
    })];
    for image in inspect(&vendor, &bundle, "images").as_array().unwrap() {
        subjects.push(json!({
            "digest": { "sha256": image["image"]["digest"] }, "name": image["reference"],
        }));
    }
    assert!(subjects.len() > 1, "Acme has images");
    assert_eq!(statement["subject"], json!(subjects));

    // It says what was asked for, of whom, and when.
    let build = &statement["predicate"]["buildDefinition"];
    let asked = json!({
        "counter": 2, "definition": "acme-2.5.0.toml", "product": "acme", "version": "2.5.0",
    });
    assert_eq!(build["externalParameters"], asked);
    let published = &release["release"]["published"];
    assert_eq!(build["internalParameters"]["published"], *published);
    let run = &statement["predicate"]["runDetails"];
    assert_eq!(run["metadata"]["finishedOn"], *published);
    let builder = concat!("pkg:generic/sealift-bundler@", env!("CARGO_PKG_VERSION"));
    assert_eq!(run["builder"]["id"], builder);

    sources_lie_in_the_catalog(build, &acme, &release["release"]["capabilities"]);

    // Our own reader says the same, for people and for programs.
    let ours = inspect(&vendor, &bundle, "provenance");
    assert_eq!(ours["statement"], *statement);
    assert_eq!(ours["signers"][0]["keyid"], said["signers"][0]);
    let report = sandbox.join("report.html");
    let verifier = sandbox.program("sealift-verifier");
    let args = args![
        "verify",
        bundle,
        "--root",
        vendor.root(),
        "--report",
        report
    ];
    verifier.args(args).run().ok();
    let report = String::from_utf8(read(&report)).unwrap();
    for text in [
        builder,
        "acme-2.5.0.toml",
        "capabilities/core/api/2.1.0/capability.toml",
    ] {
        assert!(report.contains(text), "{text} is missing in the report");
    }

    // One changed letter of what it says, and the keys of somebody else.
    let good = read(&envelope);
    let mut envelope_value: Value = serde_json::from_slice(&good).unwrap();
    let payload = text(&envelope_value["payload"]);
    let changed = match payload.strip_prefix("eyJf") {
        Some(rest) => format!("eyJg{rest}"),
        None => panic!("the payload begins with {{\"_: {payload}"),
    };
    envelope_value["payload"] = changed.into();
    write(&envelope, canonical(&envelope_value));
    let refused = securesystemslib(&sandbox, &envelope, &vendor.root(), 1).exits(1);
    assert!(
        refused.stderr.contains("VerificationError"),
        "{}",
        refused.stderr
    );
    write(&envelope, good);
    let stranger = Vendor::new(&Sandbox::new());
    securesystemslib(&sandbox, &envelope, &stranger.root(), 1).exits(1);
}

#[test]
fn envelopes_of_securesystemslib_are_read_and_verified() {
    let sandbox = Sandbox::new();
    for (payload_type, payload) in [
        (
            "application/vnd.in-toto+json",
            &b"{\"a\": \"\xc3\xa4\"}"[..],
        ),
        ("text/plain", b""),
        ("x", b"\0\xff DSSEv1 1 x 0 "),
    ] {
        let python = sandbox.python("dsse.py").args(["sign", payload_type]);
        let made = python.input(payload).run().ok().json();
        let text = |key: &str| made[key].as_str().unwrap().to_owned();
        let key = Key {
            keytype: "ed25519".into(),
            keyval: Keyval {
                public: text("public"),
            },
            scheme: "ed25519".into(),
        };
        let root = Root {
            version: 1,
            expires: "2031-01-01T00:00:00Z".parse().unwrap(),
            consistent_snapshot: false,
            keys: [(text("keyid"), key)].into(),
            roles: [].into(),
            sealift: None,
        };
        let role = Role {
            keyids: vec![text("keyid")],
            threshold: 1,
        };
        let envelope = Envelope::parse(text("envelope").as_bytes(), "theirs").unwrap();
        let (found, signers) = envelope
            .verify(payload_type, &root.keys, &role, "theirs")
            .unwrap();
        assert_eq!((found.as_bytes(), signers.len()), (payload, 1));
        let other = envelope.verify("text/html", &root.keys, &role, "theirs");
        assert_eq!(other.err().map(|e| e.kind()), Some(Code::BadMetadata));
    }
}

#[test]
fn a_remark_in_a_definition_changes_the_provenance_and_not_the_release() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let release = vendor.release("1.0.0", 1).capability("core/app", "service");
    let definition = release.file("data", "some data").define();
    let built = || {
        let bundle = vendor.build(&definition);
        let provenance = inspect(&vendor, &bundle, "provenance");
        let release = inspect(&vendor, &bundle, "release")["release-digest"].clone();
        (release, provenance, read(&bundle))
    };
    let (release, provenance, bytes) = built();
    assert!(built().2 == bytes, "the same again is the same run");
    let text = String::from_utf8(read(&definition)).unwrap();
    write(&definition, format!("# For the spring.\n{text}"));
    let (again, changed, _) = built();
    assert_eq!(again, release);
    let digest = "/statement/predicate/buildDefinition/resolvedDependencies/1/digest/sha256";
    let app = "/statement/predicate/buildDefinition/resolvedDependencies/0/digest/sha256";
    assert_ne!(changed.pointer(digest), provenance.pointer(digest));
    assert_eq!(changed.pointer(app), provenance.pointer(app));
    assert!(changed.pointer(app).is_some());
}

/// Everything that a decision follows from, and nothing else of the catalog.
#[test]
fn platforms_suites_and_the_lock_are_among_the_definitions() {
    let catalog = Catalog::new(
        "modes = [\"edge\"]\nplatform = \"2.5.0\"\n[suites]\nextra = \"^1\"\n[capabilities]\n\"db/big\" = \"*\"\n",
    );
    catalog
        .versions("core/api", &["1.0.0", "1.1.0"])
        .versions("extra/map", &["1.0.0"])
        .versions("db/small", &["1.0.0"])
        .capability(
            "db/big 1.0.0",
            "modes = [\"saas\"]\n[substitutes]\nedge = \"db/small\"\n",
        )
        .suite("core 1.0.0", "\"core/api\" = \"1.0.0\"\n")
        .suite("core 1.1.0", "\"core/api\" = \"1.1.0\"\n")
        .suite("extra 1.0.0", "\"extra/map\" = \"*\"\n")
        .platform("2.4.0", "core = \"1.0.0\"\n")
        .platform("2.5.0", "core = \"1.0.0\"\n");
    let vendor = Vendor::new(&catalog.sandbox);
    let definitions = |bundle: &Path| {
        let provenance = inspect(&vendor, bundle, "provenance");
        let sources = provenance
            .pointer("/statement/predicate/buildDefinition/resolvedDependencies")
            .and_then(Value::as_array)
            .unwrap();
        for source in sources {
            let uri = text(&source["uri"]);
            let folder = if uri.contains('/') { "catalog" } else { "" };
            let path = catalog.sandbox.join(folder).join(&uri);
            let digest = Digest::of(&read(&path)).to_hex();
            assert_eq!(source["digest"]["sha256"], digest, "{source:#}");
        }
        sources.iter().map(|s| text(&s["uri"])).collect::<Vec<_>>()
    };
    let used = [
        "acme-2.5.0.toml",
        "capabilities/core/api/1.0.0/capability.toml",
        "capabilities/db/big/1.0.0/capability.toml",
        "capabilities/db/small/1.0.0/capability.toml",
        "capabilities/extra/map/1.0.0/capability.toml",
        "platforms/acme/2.5.0/platform.toml",
        "suites/core/1.0.0/suite.toml",
        "suites/extra/1.0.0/suite.toml",
    ];
    assert_eq!(definitions(&vendor.build(&catalog.definition())), used);
    catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    let locked = definitions(&vendor.build(&catalog.definition()));
    assert_eq!(locked[0], "acme-2.5.0.lock");
    assert_eq!(locked[1..], used);
}

#[test]
fn names_of_any_kind_are_references_in_it() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let release = vendor.release("1.0.0", 1).capability("core/app", "service");
    let definition = release.file("a b\u{fc}#?%.txt", "some data").define();
    let odd = definition.with_file_name("odd \u{202e}\nname.toml");
    write(&odd, read(&definition));
    let bundle = vendor.build(&odd);
    let build =
        inspect(&vendor, &bundle, "provenance")["statement"]["predicate"]["buildDefinition"].take();
    assert_eq!(
        build["externalParameters"]["definition"],
        "odd%20%E2%80%AE%0Aname.toml"
    );
    let artifact = &build["resolvedDependencies"][2];
    assert_eq!(artifact["name"], "core/app/a b\u{fc}#?%.txt");
    assert_eq!(
        artifact["uri"],
        "capabilities/core/app/1.0.0/content/a%20b%C3%BC%23%3F%25.txt"
    );
}

#[test]
fn those_who_build_sign_it_and_the_others_name_its_digest() {
    let sandbox = Sandbox::new();
    let keys = ["--release-keys", "2", "--release-threshold", "2"];
    let vendor = Vendor::with_keys(&sandbox, &keys);
    let release = vendor.release("1.0.0", 1).capability("core/app", "service");
    let definition = release.file("data", "some data").define();
    let out = sandbox.join("out.bundle");
    let build = |keys: &[&str]| {
        let mut command = args!["build", definition, "--root", vendor.roots(), "-o", out].to_vec();
        for key in keys {
            command.extend(args!["--key", vendor.key(key)]);
        }
        vendor.bundler(command).ok();
    };
    build(&["release-1"]);
    let request = sandbox.join("out.bundle.tosign");
    let signature = sandbox.join("2.sig");
    let key = vendor.key("release-2");
    vendor
        .keys(args!["sign", request, "--key", key, "-o", signature])
        .ok();
    vendor.bundler(args!["seal", out, signature]).ok();
    let one = envelope(&vendor, &out, "one");
    let root = vendor.root();
    securesystemslib(&sandbox, &one, &root, 1).ok();
    securesystemslib(&sandbox, &one, &root, 2).exits(1);
    // With both keys in one place, both have built it.
    build(&["release-2", "release-1"]);
    let both = envelope(&vendor, &out, "both");
    let said = securesystemslib(&sandbox, &both, &root, 2).ok().json();
    assert_eq!(said["signers"].as_array().unwrap().len(), 2);
    let ours = inspect(&vendor, &out, "provenance");
    assert_eq!(ours["signers"].as_array().unwrap().len(), 2);
}

#[test]
fn people_read_lists_of_platforms_and_no_empty_ones() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let shown = |version: &str, fields: &[&str]| {
        let mut release = vendor.release(version, 1);
        for field in fields {
            release = release.field(field);
        }
        let release = release.capability("core/app", "service");
        let bundle = release.file("data", "some data").build();
        let verifier = sandbox.program("sealift-verifier");
        let args = args!["inspect", bundle, "provenance", "--root", vendor.root()];
        verifier.args(args).run().ok().text().to_owned()
    };
    let none = shown("1.0.0", &[]);
    assert!(none.contains("\npublished "), "{none}");
    assert!(!none.contains("platforms"), "{none}");
    let two = shown(
        "2.0.0",
        &["platforms = [\"linux/amd64\", \"linux/arm/v7\"]"],
    );
    assert!(
        two.contains("\nplatforms   linux/amd64 linux/arm/v7\n"),
        "{two}"
    );
}
