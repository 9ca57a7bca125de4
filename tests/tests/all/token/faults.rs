//! Tokens and modules that do not do what they should. Nothing panics, nothing changes, and a signature that is
//! none does not get out.

use std::path::{Path, PathBuf};

use sealift_tests::{
    args,
    listing::Listing,
    program::Outcome,
    sandbox::{Sandbox, read},
    token::{MODULE, PIN, Tokens},
    vendor::Vendor,
};

/// What a custodian is to sign, of a vendor who needs two signatures.
pub(crate) fn request(sandbox: &Sandbox) -> PathBuf {
    let vendor = Vendor::with_keys(
        sandbox,
        &["--release-keys", "2", "--release-threshold", "2"],
    );
    let definition = vendor
        .release("1.0.0", 1)
        .capability("core/app", "service")
        .file("data", "some data")
        .define();
    let out = sandbox.join("out.bundle");
    let (key, roots) = (vendor.key("release-1"), vendor.roots());
    let build = args![
        "build", definition, "--root", roots, "--key", key, "-o", out
    ];
    vendor.bundler(build).ok();
    sandbox.join("out.bundle.tosign")
}

/// A module in front of SoftHSM2 that fails as it is told.
fn faulty(sandbox: &Sandbox) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("pkcs11/faulty.c");
    let module = sandbox.join("faulty.so");
    let defines = [format!("-DMODULE=\"{MODULE}\""), format!("-DPIN=\"{PIN}\"")];
    let cc = sandbox.tool("cc").args(defines);
    let flags = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o"];
    cc.args(flags)
        .args(args![module, source, "-ldl"])
        .run()
        .ok();
    module
}

#[test]
fn a_token_that_fails_signs_nothing() {
    let sandbox = Sandbox::new();
    let tokens = Tokens::new(&sandbox, "T");
    tokens.key("T", "key", "01");
    let request = request(&sandbox);
    let module = faulty(&sandbox);
    let pin = sandbox.write("pin", PIN);
    let signature = sandbox.join("sig");
    let sign = |fault: &str| -> Outcome {
        let uri = format!("pkcs11:object=key?module-path={}", module.display());
        let sign = args!["sign", request, "--key", uri, "-o", signature];
        let keys = tokens.keys(sign).args(args!["--passphrase-file", pin]);
        keys.env("FAULT", fault).run()
    };
    for fault in ["none", "keypad", "last-try", "broken-reader", "raw-point"] {
        sign(fault).ok();
        std::fs::remove_file(&signature).unwrap();
    }
    for (fault, code, says) in [
        (
            "no-functions",
            "token-module",
            "C_GetFunctionList says GeneralError",
        ),
        (
            "no-beginning",
            "token-module",
            "C_Initialize says GeneralError",
        ),
        ("locked", "pin-locked", "has locked itself"),
        ("locked-before", "pin-locked", "has locked itself"),
        ("long-point", "key-type", "a point of 57 bytes"),
        ("no-point", "key-type", "a point of 0 bytes"),
        ("weak-point", "key-invalid", "no point of full order"),
        ("removed", "token-removed", "the token is gone"),
        ("small-memory", "token-failed", "bytes at once"),
        (
            "wrong-signature",
            "token-signature-invalid",
            "does not verify",
        ),
        (
            "short-signature",
            "token-signature-invalid",
            "does not verify",
        ),
    ] {
        let said = sign(fault).fails_with(code);
        assert!(said.stderr.contains(says), "{fault}: {}", said.stderr);
        assert!(!said.stderr.contains(PIN), "{fault}: {}", said.stderr);
        assert!(!signature.exists(), "{fault}");
    }
}

#[test]
fn a_token_that_is_pulled_out_leaves_no_bundle_and_no_root() {
    let sandbox = Sandbox::new();
    let tokens = Tokens::new(&sandbox, "T");
    tokens.key("T", "release", "01");
    tokens.key("T", "root", "02");
    let module = faulty(&sandbox);
    let pin = sandbox.write("pin", PIN);
    let uri = |object: &str| {
        let (module, pin) = (module.display(), pin.display());
        format!("pkcs11:object={object}?module-path={module}&pin-source={pin}")
    };
    let vendor = Vendor {
        sandbox: sandbox.clone(),
    };
    let init = args![
        "init",
        vendor.keys_folder(),
        "--dev",
        "--release-key",
        uri("release")
    ];
    let with_root = |fault: &str| {
        let keys = tokens.keys(&init).args(["--root-key", &uri("root")]);
        keys.env("FAULT", fault).run()
    };
    with_root("removed").fails_with("token-removed");
    assert!(!vendor.keys_folder().exists());
    with_root("none").ok();
    let definition = vendor
        .release("1.0.0", 1)
        .capability("core/app", "service")
        .file("data", "some data")
        .define();
    std::fs::create_dir(sandbox.join("out")).unwrap();
    let out = sandbox.join("out/out.bundle");
    let build = |fault: &str| {
        let bundler = tokens.with(sandbox.program("sealift-bundler"));
        let build = args!["build", definition, "--root", vendor.roots(), "-o", out];
        let bundler = bundler.args(build).args(["--key", &uri("release")]);
        bundler.env("FAULT", fault).run()
    };
    for (fault, code) in [
        ("removed", "token-removed"),
        ("wrong-signature", "token-signature-invalid"),
    ] {
        build(fault).fails_with(code);
        assert_eq!(
            Listing::of(&sandbox.join("out"))
                .paths()
                .collect::<Vec<_>>(),
            [""],
            "{fault}"
        );
    }
    build("none").ok();
    assert!(out.exists());
}

#[test]
fn what_is_no_module_is_refused() {
    let sandbox = Sandbox::new();
    let tokens = Tokens::new(&sandbox, "T");
    let of = |query: &str| {
        tokens
            .keys(args!["public", format!("pkcs11:object=x{query}")])
            .run()
    };
    let library = "/usr/lib/x86_64-linux-gnu/libm.so.6";
    let mut foreign = read(Path::new(MODULE));
    // The machine in the ELF header: now a 68000.
    foreign[18] = 4;
    let foreign = sandbox.write("foreign.so", foreign);
    let empty = sandbox.write("empty.so", "");
    let pipe = sandbox.join("pipe.so");
    sandbox.tool("mkfifo").args(args![pipe]).run().ok();
    for (path, says) in [
        (sandbox.join("missing.so"), "No such file"),
        (sandbox.path().to_owned(), "is not a regular file"),
        (pipe, "is not a regular file"),
        ("/dev/zero".into(), "is not a regular file"),
        ("/etc/passwd".into(), "cannot be loaded"),
        (empty, "cannot be loaded"),
        (foreign, "cannot be loaded"),
        (
            sealift_tests::sandbox::binary("sealift-keys"),
            "cannot be loaded",
        ),
        (
            library.into(),
            "is no PKCS#11 module: it has no C_GetFunctionList",
        ),
    ] {
        let said = of(&format!("?module-path={}", path.display())).fails_with("token-module");
        assert!(
            said.stderr.contains(says),
            "{}: {}",
            path.display(),
            said.stderr
        );
    }
    let said = of("?module-name=no-such-module").fails_with("token-module");
    assert!(
        said.stderr.contains("/pkcs11/libno-such-module.so"),
        "{}",
        said.stderr
    );
    // OpenSC's module is in the usual folder. There is no reader for cards here.
    let said = of("?module-name=opensc-pkcs11").fails_with("token-not-found");
    assert!(
        said.stderr.contains("no token fits: there is none"),
        "{}",
        said.stderr
    );
    // Its own configuration is missing: it says so itself.
    let keys = sandbox
        .program("sealift-keys")
        .env("SOFTHSM2_CONF", "/missing");
    let uri = format!("pkcs11:?module-path={MODULE}");
    keys.args(args!["public", uri])
        .run()
        .fails_with("token-module");
}
