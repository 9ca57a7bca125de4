//! A vendor's folder for a test, and the program run in it with nothing of the surroundings let in.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// What the program wrote and how it ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A vendor's folder.
pub(crate) struct Vendor {
    folder: TempDir,
}

/// A release of one capability with one file, `model.bin`.
pub(crate) const RELEASE: &str = r#"product = "acme"
version = "2.5.0"
counter = 2
published = "2026-03-01T00:00:00Z"

[capabilities]
"core/api" = "2.1.0"
"#;

/// The capability that [`RELEASE`] lists.
pub(crate) const CAPABILITY: &str = r#"name = "core/api"
version = "2.1.0"
kind = "service"

[[artifacts]]
name = "model.bin"
type = "file"
path = "model.bin"
"#;

/// The folder of that capability.
pub(crate) const FOLDER: &str = "catalog/capabilities/core/api/2.1.0";

impl Vendor {
    /// A vendor with [`RELEASE`], nothing wrong with it.
    pub(crate) fn new() -> Self {
        let vendor = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        vendor.write("RELEASE.toml", RELEASE);
        vendor.capability(CAPABILITY);
        vendor.write(&format!("{FOLDER}/model.bin"), "model");
        vendor
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a test's own files need not last"
    )]
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new(""))).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Writes `capability.toml` of the one capability.
    pub(crate) fn capability(&self, text: &str) {
        self.write(&format!("{FOLDER}/capability.toml"), text);
    }

    /// A file beside `capability.toml`.
    pub(crate) fn artifact(&self, name: &str, content: impl AsRef<[u8]>) {
        self.write(&format!("{FOLDER}/{name}"), content);
    }

    /// Runs the program in the vendor's folder.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_at(args, None)
    }

    /// The same with `SOURCE_DATE_EPOCH`.
    pub(crate) fn run_at(&self, args: &[&str], epoch: Option<&str>) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealift-bundler"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_clear();
        command.envs(epoch.map(|epoch| ("SOURCE_DATE_EPOCH", epoch)));
        let output = command.output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: self.normal(&String::from_utf8(output.stderr).unwrap()),
        }
    }

    /// Text without the name of the temporary folder.
    fn normal(&self, text: &str) -> String {
        let folder = self.folder.path();
        let real = folder.canonicalize().unwrap();
        text.replace(&format!("{}/", real.display()), "")
            .replace(&format!("{}/", folder.display()), "")
    }

    /// What `check` says of each problem: `file:line:column: key: message [code]`.
    pub(crate) fn problems(&self) -> Vec<String> {
        let ran = self.run(&["check", "RELEASE.toml"]);
        assert_eq!(ran.code, 1, "{}", ran.stdout);
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        assert_eq!(ran.stdout, "");
        let text = ran.stderr.trim_start_matches("error[definition-invalid]: ");
        text.lines()
            .filter(|line| line.ends_with(']'))
            .map(str::to_owned)
            .collect()
    }

    /// Asserts that the definitions have exactly these problems.
    pub(crate) fn has_problems(&self, expected: &[&str]) {
        assert_eq!(self.problems(), expected);
    }
}
