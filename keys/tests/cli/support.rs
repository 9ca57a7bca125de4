//! A folder of its own for each test, and the programs run in it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use sealift_keys::{
    passphrase::{PassphraseSource, Passphrases},
    signer::FileSigner,
};
use sealift_verifier::{
    dsse::Envelope,
    tuf::{ED25519, Root, Signed, TrustedSet, metadata::Statement as _},
};
use serde_json::Value;
use tempfile::TempDir;

/// A folder that goes away with the test. Paths in arguments are relative to it.
pub(crate) struct Place(TempDir);

/// A program that ended.
pub(crate) struct Run(Output, String);

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("pass", "correct horse\nsecond line\n");
        place
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&self.read(name)).unwrap()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "material for a test need not be durable"
    )]
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn copy(&self, from: &str, to: &str) {
        fs::create_dir_all(self.path(to).parent().unwrap()).unwrap();
        fs::copy(self.path(from), self.path(to)).unwrap();
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Permission bits.
    pub(crate) fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o7777
    }

    /// Every file below a folder, sorted.
    pub(crate) fn files(&self, folder: &str) -> Vec<String> {
        fn walk(folder: &Path, below: &str, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let name = format!("{below}{}", entry.file_name().to_str().unwrap());
                if entry.path().is_dir() {
                    walk(&entry.path(), &format!("{name}/"), found);
                } else {
                    found.push(name);
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.path(folder), "", &mut found);
        found.sort();
        found
    }

    /// `sealift-keys` with these arguments, split at spaces, and machine output.
    pub(crate) fn keys(&self, arguments: &str) -> Run {
        self.run(&format!(
            "{} --output json {arguments}",
            env!("CARGO_BIN_EXE_sealift-keys")
        ))
    }

    /// `openssl` with these arguments.
    pub(crate) fn openssl(&self, arguments: &str) -> Run {
        self.run(&format!("openssl {arguments}"))
    }

    /// A shell command that may use `$KEYS`.
    pub(crate) fn shell(&self, script: &str) -> Run {
        let keys = env!("CARGO_BIN_EXE_sealift-keys");
        let output = self
            .command("sh")
            .args(["-c", script])
            .env("KEYS", keys)
            .output()
            .unwrap();
        Run(output, script.into())
    }

    fn run(&self, line: &str) -> Run {
        let mut words = line.split_whitespace();
        let output = self
            .command(words.next().unwrap())
            .args(words)
            .output()
            .unwrap();
        Run(output, line.into())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .stdin(std::process::Stdio::null());
        command
    }

    /// Whether a site that trusts one root takes the other.
    pub(crate) fn site_takes(&self, old: &str, new: &str) -> Result<(), sealift_verifier::Error> {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        TrustedSet::new(&self.read(old), ED25519, now)?.update_root(&self.read(new))
    }
}

impl Run {
    fn stdout(&self) -> &str {
        str::from_utf8(&self.0.stdout).unwrap()
    }

    pub(crate) fn stderr(&self) -> &str {
        str::from_utf8(&self.0.stderr).unwrap()
    }

    /// The output of a run that has to succeed.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        assert!(
            self.0.status.success(),
            "{}\n{}{}",
            self.1,
            self.stdout(),
            self.stderr()
        );
        self.stdout()
    }

    /// The machine output of a run that has to succeed.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        serde_json::from_str(self.text()).unwrap()
    }

    /// Asserts that the run failed with this code, on stdout and on stderr, with a hint, and this exit code.
    #[track_caller]
    pub(crate) fn fails(&self, code: &str, exit: i32) {
        let told = format!("{}\n{}{}", self.1, self.stdout(), self.stderr());
        assert_eq!(self.0.status.code(), Some(exit), "{told}");
        let output: Value = serde_json::from_str(self.stdout()).expect(&told);
        assert_eq!(output["error"]["code"], code, "{told}");
        assert!(
            !output["error"]["hint"].as_str().unwrap().is_empty(),
            "{told}"
        );
        assert!(self.stderr().contains(&format!("error[{code}]")), "{told}");
    }

    /// Asserts that the run, of a foreign program, failed.
    #[track_caller]
    pub(crate) fn fails_somehow(&self) {
        assert!(!self.0.status.success(), "{}", self.1);
    }
}

/// The key in a file without a passphrase.
pub(crate) fn signer(place: &Place, key: &str) -> FileSigner {
    let mut nobody = Passphrases::new(PassphraseSource::Prompt);
    FileSigner::open(&place.path(key), &mut nobody).unwrap()
}

/// The envelope in a file.
pub(crate) fn envelope(place: &Place, file: &str) -> Envelope {
    Envelope::parse(&place.read(file), file).unwrap()
}

/// The first root in a folder of `init`.
pub(crate) fn root(place: &Place, folder: &str) -> Root {
    let file = place.read(&format!("{folder}/root/1.root.json"));
    Root::from_signed(Signed::parse(&file, "root").unwrap().signed()).unwrap()
}
