//! TUF repositories made by python-tuf, and our client of them.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout},
};

use serde_json::{Value, json};

use crate::{args, program::Outcome, sandbox, sandbox::Sandbox};

/// A repository that python-tuf makes, step by step (`tests/python/tuf_repository.py`).
pub struct Repository {
    /// Where everything of the test is.
    pub sandbox: Sandbox,
    python: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Default for Repository {
    fn default() -> Self {
        Self::new()
    }
}

impl Repository {
    /// One with all four roles published in version 1, each with an Ed25519 key of its own.
    pub fn new() -> Self {
        let mut repository = Self::unpublished();
        repository.publish(&["root", "targets", "snapshot", "timestamp"]);
        repository
    }

    /// One with nothing published: for another first root.
    pub fn unpublished() -> Self {
        let sandbox = Sandbox::new();
        let mut python = sandbox
            .python("tuf_repository.py")
            .args([sandbox.join("repository")])
            .talk();
        let input = python.stdin.take().expect("it is piped");
        let output = BufReader::new(python.stdout.take().expect("it is piped"));
        Self {
            sandbox,
            python,
            input,
            output,
        }
    }

    /// One operation of the script, with its arguments.
    #[track_caller]
    pub fn tell(&mut self, op: &str, mut arguments: Value) {
        arguments["op"] = op.into();
        writeln!(self.input, "{arguments}").expect("the script reads");
        let mut answer = String::new();
        self.output
            .read_line(&mut answer)
            .expect("the script answers");
        assert_eq!(answer.trim(), "ok", "{arguments}");
    }

    /// Signs and publishes new versions of these roles, in this order.
    #[track_caller]
    pub fn publish(&mut self, roles: &[&str]) {
        self.tell("publish", json!({ "roles": roles }));
    }

    /// Signs and publishes these roles again without a new version.
    #[track_caller]
    pub fn publish_again(&mut self, roles: &[&str]) {
        self.tell("publish", json!({ "roles": roles, "bump": false }));
    }

    /// Makes keys of a scheme.
    #[track_caller]
    pub fn keys(&mut self, names: &[&str], scheme: &str) {
        for name in names {
            self.tell("key", json!({ "name": name, "scheme": scheme }));
        }
    }

    /// The next root gives `role` these keys and this threshold; all of them sign.
    #[track_caller]
    pub fn role(&mut self, role: &str, keys: &[&str], threshold: u64) {
        self.tell(
            "role",
            json!({ "role": role, "keys": keys, "threshold": threshold }),
        );
    }

    /// Only these keys sign `role` from now on.
    #[track_caller]
    pub fn sign(&mut self, role: &str, keys: &[&str]) {
        self.tell("sign", json!({ "role": role, "keys": keys }));
    }

    /// `role` expires so many days from now, when it is published next.
    #[track_caller]
    pub fn expire(&mut self, role: &str, days: i64) {
        self.tell("expire", json!({ "role": role, "days": days }));
    }

    /// The version that `role` is published in next.
    #[track_caller]
    pub fn version(&mut self, role: &str, version: u64) {
        self.tell("version", json!({ "role": role, "version": version }));
    }

    /// Signs and serves a target.
    #[track_caller]
    pub fn target(&mut self, path: &str, content: &str) {
        self.tell("target", json!({ "path": path, "content": content }));
    }

    /// The folder that holds `metadata` and `targets`.
    pub fn folder(&self) -> PathBuf {
        self.sandbox.join("repository")
    }

    /// Changes a published metadata file as JSON, without signing it again.
    #[track_caller]
    pub fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let path = self.folder().join("metadata").join(name);
        let mut value = serde_json::from_slice(&sandbox::read(&path)).expect("metadata is JSON");
        change(&mut value);
        sandbox::write(&path, value.to_string());
    }

    /// A client that trusts the first root and reads from the folder.
    #[track_caller]
    pub fn client(&self) -> Client {
        let client = Client {
            sandbox: self.sandbox.clone(),
            base: self.folder().display().to_string(),
            metadata: self.sandbox.join("client/metadata"),
            targets: self.sandbox.join("client/targets"),
            time: None,
        };
        client.init(&self.folder().join("trusted_root.json")).ok();
        client
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        let _ = self.python.kill();
        let _ = self.python.wait();
    }
}

/// `tuf-client`, with what it trusts and what it downloaded.
pub struct Client {
    sandbox: Sandbox,
    base: String,
    metadata: PathBuf,
    targets: PathBuf,
    time: Option<String>,
}

impl Client {
    /// The same client, with the repository at another place.
    #[must_use]
    pub fn from(self, base: &str) -> Self {
        Self {
            base: base.to_owned(),
            ..self
        }
    }

    /// The same client, so many days later.
    #[must_use]
    pub fn days_later(self, days: u64) -> Self {
        Self {
            time: Some(format!("+{days}d")),
            ..self
        }
    }

    /// `init`
    pub fn init(&self, root: &Path) -> Outcome {
        self.run(&args!["init", root])
    }

    /// `refresh`
    pub fn refresh(&self) -> Outcome {
        self.run(&args!["--metadata-url", self.at("metadata"), "refresh"])
    }

    /// `download`
    pub fn download(&self, target: &str) -> Outcome {
        self.run(&args![
            "--metadata-url",
            self.at("metadata"),
            "--target-base-url",
            self.at("targets"),
            "--target-dir",
            self.targets,
            "--target-name",
            target,
            "download"
        ])
    }

    /// The versions that it trusts: root, timestamp, snapshot, targets; 0 for what it does not have.
    #[track_caller]
    pub fn trusts(&self, versions: [u64; 4]) {
        let roles = ["root", "timestamp", "snapshot", "targets"];
        assert_eq!(
            roles.map(|role| self.version(role)),
            versions,
            "versions of {roles:?}"
        );
    }

    /// The version that it trusts of a role; 0 if there is none.
    #[track_caller]
    pub fn version(&self, role: &str) -> u64 {
        let path = self.metadata.join(format!("{role}.json"));
        std::fs::read(path).map_or(0, |bytes| {
            let value: Value = serde_json::from_slice(&bytes).expect("metadata is JSON");
            value["signed"]["version"]
                .as_u64()
                .expect("metadata has a version")
        })
    }

    /// The bytes that it keeps for a role.
    #[track_caller]
    pub fn kept(&self, role: &str) -> Vec<u8> {
        sandbox::read(&self.metadata.join(format!("{role}.json")))
    }

    /// The contents of all downloaded targets, sorted.
    pub fn downloaded(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(&self.targets) else {
            return Vec::new();
        };
        let mut contents: Vec<_> = entries
            .map(|entry| sandbox::read(&entry.expect("the folder can be read").path()))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect();
        contents.sort();
        contents
    }

    fn at(&self, part: &str) -> String {
        format!("{}/{part}", self.base)
    }

    fn run(&self, args: &[std::ffi::OsString]) -> Outcome {
        let program = self.sandbox.program("tuf-client");
        let program = program
            .args(args!["--metadata-dir", self.metadata])
            .args(args);
        match &self.time {
            Some(time) => program.behind(&["faketime", "-f", time]).run(),
            None => program.run(),
        }
    }
}
