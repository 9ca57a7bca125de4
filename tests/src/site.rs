//! A site: what the installer keeps in its state folder, and how it gets there.

use std::{
    ffi::OsStr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    args,
    listing::Listing,
    program::{Outcome, Program},
    sandbox::{self, Sandbox},
};

/// A site in a sandbox.
pub struct Site {
    sandbox: Sandbox,
    state: PathBuf,
}

impl Site {
    /// One that trusts `root`, in the folder `site/state`.
    #[track_caller]
    pub fn new(sandbox: &Sandbox, root: &Path) -> Self {
        Self::with(sandbox, "site", root, &[])
    }

    /// One in the folder `name/state`, made with more arguments for `sealift-installer init`.
    #[track_caller]
    pub fn with(sandbox: &Sandbox, name: &str, root: &Path, more: &[&str]) -> Self {
        let site = Self {
            sandbox: sandbox.clone(),
            state: sandbox.join(name).join("state"),
        };
        std::fs::create_dir_all(sandbox.join(name)).expect("a sandbox can be written");
        site.command(args!["init", "--root-file", root])
            .args(more)
            .run()
            .ok();
        site
    }

    /// One whose services a script starts and ends, as the hook of `fixtures/acme/activate` does.
    #[track_caller]
    pub fn with_hook(sandbox: &Sandbox, root: &Path, script: impl AsRef<[u8]>) -> Self {
        let hook = sandbox.write("site/activate", script);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&hook, mode).expect("the hook is ours");
        let hook = hook.display().to_string();
        Self::with(sandbox, "site", root, &["--activate-hook", &hook])
    }

    /// `sealift-installer --state …`
    pub fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Program {
        let installer = self.sandbox.program("sealift-installer");
        installer.args(args!["--state", self.state]).args(args)
    }

    /// Runs `sealift-installer --state …`
    pub fn installer(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outcome {
        self.command(args).run()
    }

    /// `apply BUNDLE --yes`
    pub fn apply(&self, bundle: &Path) -> Outcome {
        self.installer(args!["apply", bundle, "--yes"])
    }

    /// `status --output json`
    #[track_caller]
    pub fn status(&self) -> Value {
        self.installer(args!["status", "--output", "json"])
            .ok()
            .json()
    }

    /// `fsck` has to be content.
    #[track_caller]
    pub fn is_sound(&self) {
        self.installer(args!["fsck"]).ok();
    }

    /// The folder of its state.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The number of the generation that `current` points to.
    pub fn current(&self) -> Option<u64> {
        let target = std::fs::read_link(self.state.join("current")).ok()?;
        target.file_name()?.to_str()?.parse().ok()
    }

    /// A file of the current generation: `files/CAPABILITY/ARTIFACT/…`.
    #[track_caller]
    pub fn file(&self, path: &str) -> Vec<u8> {
        sandbox::read(&self.state.join("current/files").join(path))
    }

    /// What is in the state folder, to be compared with what is there later.
    pub fn listing(&self) -> Listing {
        Listing::of(&self.state)
    }

    /// How many calls that change the file system a command makes; it has to succeed.
    #[track_caller]
    pub fn mutating_calls(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> u64 {
        let said = self.command(args).env("SEALIFT_FAULT", "count").run().ok();
        let line = said
            .stderr
            .lines()
            .find_map(|l| l.strip_prefix("mutating calls: "));
        line.and_then(|n| n.parse().ok()).expect(
            "the installer counts; it was built without `--features sealift-installer/fault-points`",
        )
    }

    /// Runs a command that is killed right before its `call`th call that changes the file system, counted
    /// from 1.
    pub fn killed_at(
        &self,
        call: u64,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Outcome {
        self.command(args)
            .env("SEALIFT_FAULT", format!("kill:{call}"))
            .run()
    }

    /// Runs a command whose `call`th such call fails with this error number.
    pub fn failing_at(
        &self,
        call: u64,
        errno: i32,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Outcome {
        self.command(args)
            .env("SEALIFT_FAULT", format!("fail:{call}:{errno}"))
            .run()
    }

    /// A copy of the whole site as it is now, hard links included, in the folder `name` of the sandbox.
    #[must_use]
    #[track_caller]
    pub fn copy(&self, name: &str) -> Self {
        let home = self
            .state
            .parent()
            .expect("the state is in the site's folder");
        let copy = self.sandbox.join(name);
        self.sandbox
            .tool("cp")
            .args(args!["-a", home, copy])
            .run()
            .ok();
        Self {
            sandbox: self.sandbox.clone(),
            state: copy.join("state"),
        }
    }
}
