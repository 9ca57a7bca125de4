//! A token for keys: SoftHSM2, with keys that OpenSC's `pkcs11-tool` makes in it.

use std::{ffi::OsStr, path::PathBuf};

use crate::{
    args,
    program::Program,
    sandbox::{Sandbox, read},
};

/// The module of SoftHSM2.
pub const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
/// The PIN of each token here.
pub const PIN: &str = "40417261";

/// The tokens of one test, in a folder of its own.
pub struct Tokens {
    sandbox: Sandbox,
    config: PathBuf,
}

impl Tokens {
    /// One token.
    #[track_caller]
    pub fn new(sandbox: &Sandbox, label: &str) -> Self {
        let folder = sandbox.join("tokens");
        std::fs::create_dir_all(&folder).expect("the sandbox is ours");
        let config = format!("directories.tokendir = {}\n", folder.display());
        let tokens = Self {
            sandbox: sandbox.clone(),
            config: sandbox.write("softhsm2.conf", config),
        };
        tokens.plug_in(label);
        tokens
    }

    /// One more token.
    #[track_caller]
    pub fn plug_in(&self, label: &str) {
        let tool = self.with(self.sandbox.tool("softhsm2-util"));
        tool.args(["--init-token", "--free", "--label", label])
            .args(["--pin", PIN, "--so-pin", "87654321"])
            .run()
            .ok();
    }

    /// A program that can reach the tokens.
    pub fn with(&self, program: Program) -> Program {
        program.env("SOFTHSM2_CONF", &self.config)
    }

    /// `sealift-keys`, with the tokens in reach.
    pub fn keys(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Program {
        self.with(self.sandbox.program("sealift-keys")).args(args)
    }

    /// `pkcs11-tool`, logged in to the token `label`.
    pub fn tool(&self, label: &str, args: &[&str]) -> Program {
        let tool = self.with(self.sandbox.tool("pkcs11-tool"));
        tool.args(["--module", MODULE, "--login", "--pin", PIN])
            .args(["--token-label", label])
            .args(args)
    }

    /// Makes an Ed25519 key in the token `label`. `id` is hexadecimal.
    #[track_caller]
    pub fn key(&self, label: &str, name: &str, id: &str) {
        let kind = ["--keypairgen", "--key-type", "EC:edwards25519"];
        self.tool(label, &kind)
            .args(["--label", name, "--id", id])
            .run()
            .ok();
    }

    /// The URI of a key, with the PIN in a file.
    pub fn uri(&self, attributes: &str) -> String {
        let pin = self.sandbox.write("pin", format!("{PIN}\n"));
        format!("{}&pin-source={}", plain_uri(attributes), pin.display())
    }

    /// The public key of a key in a token, as PEM.
    #[track_caller]
    pub fn public(&self, uri: &str, name: &str) -> PathBuf {
        let path = self.sandbox.join(name);
        self.keys(args!["public", uri, "--out", path]).run().ok();
        let pem = String::from_utf8(read(&path)).expect("a PEM is text");
        assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{pem}");
        path
    }
}

/// The URI of a key, without a PIN.
pub fn plain_uri(attributes: &str) -> String {
    format!("pkcs11:{attributes}?module-path={MODULE}")
}
