//! Ceremonies in which a token takes part.

use std::path::{Path, PathBuf};

use sealift_tests::{
    args,
    program::Outcome,
    sandbox::{Sandbox, read},
    token::{PIN, Tokens, plain_uri},
    vendor::Vendor,
};

/// A vendor of whose keys for roots and for releases one each is in a token; both of them have to sign.
struct Mixed {
    sandbox: Sandbox,
    tokens: Tokens,
    vendor: Vendor,
    definition: PathBuf,
}

impl Mixed {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let tokens = Tokens::new(&sandbox, "Vendor HSM");
        tokens.key("Vendor HSM", "root", "01");
        tokens.key("Vendor HSM", "release", "02");
        let mixed = Self {
            vendor: Vendor {
                sandbox: sandbox.clone(),
            },
            definition: PathBuf::new(),
            tokens,
            sandbox,
        };
        let said = mixed.keys(args![
            "init",
            mixed.vendor.keys_folder(),
            "--dev",
            "--root-key",
            mixed.tokens.uri("object=root"),
            "--root-keys",
            "1",
            "--release-key",
            plain_uri("object=release"),
            "--release-keys",
            "1",
            "--release-threshold",
            "2"
        ]);
        let said = said.ok();
        assert!(
            said.text().contains("pkcs11:object=root?"),
            "{}",
            said.text()
        );
        let release = mixed.vendor.release("1.0.0", 1);
        let release = release.capability("core/app", "service");
        let definition = release.file("data", "some data").define();
        Self {
            definition,
            ..mixed
        }
    }

    fn keys(&self, args: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>) -> Outcome {
        self.tokens.keys(args).run()
    }

    fn build(&self, out: &Path, keys: &[&str]) -> Outcome {
        let roots = self.vendor.roots();
        let mut build = args!["build", self.definition, "--root", roots, "-o", out].to_vec();
        build.extend(keys.iter().flat_map(|key| args!["--key", key]));
        let bundler = self.tokens.with(self.sandbox.program("sealift-bundler"));
        bundler.args(build).run()
    }

    fn verify(&self, bundle: &Path, root: &Path) -> Outcome {
        let verifier = self.sandbox.program("sealift-verifier");
        verifier.args(args!["verify", bundle, "--root", root]).run()
    }
}

#[test]
fn a_bundle_signed_by_a_token_and_a_file_is_one_like_all_others() {
    let mixed = Mixed::new();
    let out = mixed.sandbox.join("out.bundle");
    let file = mixed.vendor.key("release");
    let file = file.to_str().unwrap();
    let token = mixed
        .tokens
        .uri("token=Vendor%20HSM;object=release;type=private");
    mixed.build(&out, &[file, &token]).ok();
    mixed.verify(&out, &mixed.vendor.root()).ok();

    // openssl verifies each signature, and python-tuf knows nothing of us.
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/verify-with-plain-tools.sh"
    );
    let bash = mixed.sandbox.tool("bash");
    let said = bash
        .args(args![script, out, mixed.vendor.root()])
        .run()
        .ok();
    assert!(
        said.text()
            .contains("targets.json: signed by 2 keys, 2 needed"),
        "{}",
        said.text()
    );
    assert!(
        said.text()
            .contains("root.json: signed by 2 keys, 2 needed"),
        "{}",
        said.text()
    );

    // Signatures of Ed25519 follow from key and message, in a token, too.
    let again = mixed.sandbox.join("again.bundle");
    mixed.build(&again, &[&token, file]).ok();
    assert!(
        read(&out) == read(&again),
        "the same keys and contents give the same bytes"
    );
}

#[test]
fn a_token_signs_what_travels_to_its_custodian() {
    let mixed = Mixed::new();
    let out = mixed.sandbox.join("out.bundle");
    let request = mixed.sandbox.join("out.bundle.tosign");
    let signature = mixed.sandbox.join("token.sig");
    let file = mixed.vendor.key("release");
    mixed.build(&out, &[file.to_str().unwrap()]).ok();
    mixed
        .verify(&out, &mixed.vendor.root())
        .fails_with("threshold-not-met");
    let token = mixed.tokens.uri("object=release");
    let sign = args!["sign", request, "--key", token, "-o", signature];
    let said = mixed.keys(sign).ok();
    assert!(said.text().contains("content "), "{}", said.text());
    mixed.vendor.bundler(args!["seal", out, signature]).ok();
    mixed.verify(&out, &mixed.vendor.root()).ok();
}

#[test]
fn openssl_verifies_what_a_token_signed() {
    let mixed = Mixed::new();
    let public = mixed
        .tokens
        .public(&plain_uri("object=root"), "root.pub.pem");
    let id = mixed
        .keys(args!["fingerprint", plain_uri("object=root")])
        .ok();
    let of_file = mixed.keys(args!["fingerprint", public]).ok();
    assert_eq!(id.text(), of_file.text());
    let root: serde_json::Value = serde_json::from_slice(&read(&mixed.vendor.root())).unwrap();
    // What is signed has ASCII keys and integers only: its canonical form is that of jq -cS.
    let jq = mixed.sandbox.tool("jq");
    let message = jq
        .args(args!["-cSj", ".signed", mixed.vendor.root()])
        .run()
        .ok();
    mixed.sandbox.write("message", &message.stdout);
    let signatures = root["signatures"].as_array().unwrap();
    let mine = signatures
        .iter()
        .find(|s| s["keyid"] == id.text().trim())
        .unwrap();
    let hex = mine["sig"].as_str().unwrap();
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap())
        .collect();
    mixed.sandbox.write("signature", bytes);
    let verify = [
        "pkeyutl",
        "-verify",
        "-rawin",
        "-pubin",
        "-inkey",
        "root.pub.pem",
    ];
    let files = ["-in", "message", "-sigfile", "signature"];
    let openssl = |message: &str| {
        mixed.sandbox.write("message", message);
        let openssl = mixed.sandbox.tool("openssl");
        openssl.args(verify).args(files).run()
    };
    let said = message.text().to_owned();
    openssl(&said).ok();
    openssl(&said.replace("root", "rood")).exits(1);
}

#[test]
fn a_root_key_moves_from_a_file_into_a_token() {
    let mixed = Mixed::new();
    mixed.tokens.key("Vendor HSM", "new root", "03");
    let (roots, old) = (mixed.vendor.roots(), mixed.vendor.key("root-1"));
    let draft = roots.join("2.root.draft.json");
    let in_token = plain_uri("object=new%20root");
    // The public half is taken from the token, or travels as a file.
    let public = mixed.tokens.public(&in_token, "new.pub.pem");
    mixed
        .keys(args!["root", "add-key", roots, "--role", "root", in_token])
        .ok();
    let again = args!["root", "add-key", roots, "--role", "root", public];
    mixed.keys(again).fails_with("key-already-in-role");
    mixed
        .keys(args![
            "root",
            "remove-key",
            roots,
            "--role",
            "root",
            in_token
        ])
        .ok();
    mixed
        .keys(args!["root", "add-key", roots, "--role", "root", public])
        .ok();
    let id = mixed.keys(args!["fingerprint", old]).ok();
    let remove = args![
        "root",
        "remove-key",
        roots,
        "--role",
        "root",
        id.text().trim()
    ];
    mixed.keys(remove).ok();

    for key in ["object=root", "object=new%20root"] {
        let sign = args!["root", "sign", draft, "--key", mixed.tokens.uri(key)];
        let said = mixed.keys(sign).ok();
        assert!(
            said.text().contains("more signatures are needed"),
            "{}",
            said.text()
        );
    }
    let said = mixed.keys(args!["root", "sign", draft, "--key", old]).ok();
    assert!(said.text().contains("published as"), "{}", said.text());

    let out = mixed.sandbox.join("out.bundle");
    let file = mixed.vendor.key("release");
    mixed
        .build(
            &out,
            &[file.to_str().unwrap(), &mixed.tokens.uri("object=release")],
        )
        .ok();
    mixed.verify(&out, &roots.join("1.root.json")).ok();
}

#[test]
fn all_keys_of_a_vendor_may_be_in_tokens() {
    let sandbox = Sandbox::new();
    let tokens = Tokens::new(&sandbox, "A");
    tokens.plug_in("B");
    for (token, key, id) in [
        ("A", "root", "01"),
        ("B", "root", "01"),
        ("A", "release", "02"),
        ("B", "license", "03"),
    ] {
        tokens.key(token, key, id);
    }
    let (folder, uri) = (sandbox.join("keys"), |attributes: &str| {
        tokens.uri(attributes)
    });
    let init = |more: &[&str]| {
        let first = args![
            "init",
            folder,
            "--root-key",
            uri("token=A;object=root"),
            "--output",
            "json"
        ];
        let rest = [
            "--release-key",
            &plain_uri("token=A;object=release"),
            "--license-key",
            &plain_uri("token=B;object=license"),
        ];
        tokens.keys(first).args(rest).args(more).run()
    };
    init(&["--root-key", &uri("token=A;id=%01")]).fails_with("key-already-in-role");
    init(&["--root-key", &uri("token=A;object=release")]).fails_with("key-in-two-roles");
    assert!(!folder.exists());
    let said = init(&["--root-key", &uri("token=B;object=root")]).ok();
    let told = said.json();
    let keys = told["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 4, "{told}");
    assert!(keys.iter().all(|key| key["secret"].is_null()), "{told}");
    let shown = tokens
        .keys(args!["root", "show", folder.join("root/1.root.json")])
        .run()
        .ok();
    assert!(
        shown.text().contains("root: 2 of 2 keys"),
        "{}",
        shown.text()
    );
    let files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|f| f.unwrap().file_name())
        .collect();
    assert_eq!(files, ["root"], "no secret key is in a file");
}

#[test]
fn a_pin_comes_from_wherever_a_passphrase_may() {
    let sandbox = Sandbox::new();
    let tokens = Tokens::new(&sandbox, "T");
    tokens.key("T", "key", "01");
    let request = crate::token::faults::request(&sandbox);
    let sign = |uri: &str, more: &[&str]| {
        let sign = args!["sign", request, "--key", uri, "-o", sandbox.join("sig")];
        tokens.keys(sign).args(more)
    };
    let bare = plain_uri("object=key");
    let silent = |outcome: Outcome, code: &str| {
        let said = outcome.fails_with(code);
        assert!(
            !said.stderr.contains(PIN) && !said.text().contains(PIN),
            "{}",
            said.stderr
        );
    };
    let pin = sandbox.write("pin", format!("{PIN}\nmore\n"));
    let others = sandbox.write("others", "11111111\n");
    let (pin, others) = (pin.to_str().unwrap(), others.to_str().unwrap());
    sign(&bare, &["--passphrase-file", pin]).run().ok();
    sign(&bare, &["--passphrase-fd", "0"])
        .input(format!("{PIN}\n"))
        .run()
        .ok();
    sign(&format!("{bare}&pin-source=file:{pin}"), &[])
        .run()
        .ok();
    // What the URI says goes before.
    sign(
        &format!("{bare}&pin-source={pin}"),
        &["--passphrase-file", others],
    )
    .run()
    .ok();
    let said = sign(&format!("{bare}&pin-value={PIN}"), &[]).run().ok();
    assert!(
        said.stderr
            .contains("everybody on this machine can read the PIN"),
        "{}",
        said.stderr
    );
    assert!(!said.stderr.contains(PIN));
    let said = sign(&format!("{bare}&pin-source={pin}"), &[]).run().ok();
    assert!(
        said.stderr.contains("can be read by others"),
        "{}",
        said.stderr
    );

    silent(sign(&bare, &[]).run(), "passphrase-unavailable");
    silent(
        sign(&bare, &["--passphrase-file", others]).run(),
        "pin-wrong",
    );
    silent(
        sign(&bare, &["--passphrase-file", "/dev/null"]).run(),
        "passphrase-empty",
    );
    silent(
        sign(&bare, &["--passphrase-file", "missing"]).run(),
        "not-found",
    );
    silent(
        sign(&format!("{bare}&pin-source=/missing"), &[]).run(),
        "not-found",
    );
    silent(
        sign(&format!("{bare}&pin-value={PIN}0"), &[]).run(),
        "pin-wrong",
    );
    silent(
        sign(&format!("{bare}&pin-value={PIN}&pin-source={pin}"), &[]).run(),
        "token-uri-invalid",
    );
    silent(
        sign(&format!("pkcs11:object=key;pin-value={PIN}"), &[]).run(),
        "token-uri-invalid",
    );
    silent(
        sign(&format!("{bare}&pin_value={PIN}"), &[]).run(),
        "token-uri-invalid",
    );
    silent(
        sign(&format!("{bare}&{PIN}"), &[]).run(),
        "token-uri-invalid",
    );
    let said = sign(&format!("{bare}&pin-value={PIN}"), &["--nonsense"]);
    let said = said.run().exits(2);
    assert!(!said.stderr.contains(PIN), "{}", said.stderr);
}
