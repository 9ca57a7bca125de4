//! A vendor: keys, and releases of a product.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::{
    args,
    program::{Outcome, Program},
    sandbox::{self, Sandbox},
};

/// Keys and definitions in a sandbox: `keys/`, `vendor/`, and bundles beside them.
pub struct Vendor {
    /// Where everything is.
    pub sandbox: Sandbox,
}

impl Vendor {
    /// One with throw-away keys: three root keys, threshold 2, one release key.
    #[track_caller]
    pub fn new(sandbox: &Sandbox) -> Self {
        Self::with_keys(sandbox, &[])
    }

    /// One whose keys are made with more arguments for `sealift-keys init`.
    #[track_caller]
    pub fn with_keys(sandbox: &Sandbox, more: &[&str]) -> Self {
        let vendor = Self {
            sandbox: sandbox.clone(),
        };
        let init = vendor.sandbox.program("sealift-keys");
        init.args(args!["init", vendor.keys_folder(), "--dev"])
            .args(more)
            .run()
            .ok();
        vendor
    }

    /// `sealift-keys`
    pub fn keys(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outcome {
        self.sandbox.program("sealift-keys").args(args).run()
    }

    /// `sealift-bundler`
    pub fn bundler(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outcome {
        self.sandbox.program("sealift-bundler").args(args).run()
    }

    /// The folder with all keys.
    pub fn keys_folder(&self) -> PathBuf {
        self.sandbox.join("keys")
    }

    /// A secret key, such as `release` or `root-1`.
    pub fn key(&self, name: &str) -> PathBuf {
        self.keys_folder().join(format!("{name}.pem"))
    }

    /// The folder with all roots.
    pub fn roots(&self) -> PathBuf {
        self.keys_folder().join("root")
    }

    /// The first root: what sites and officers get on another way.
    pub fn root(&self) -> PathBuf {
        self.roots().join("1.root.json")
    }

    /// Writes Acme, the real small product, with its service on `port` and a model of 64 KiB. Gives the
    /// definitions of its releases: 2.4.0, 2.5.0, 2.5.1, and 2.6.0 whose health check fails.
    #[track_caller]
    pub fn acme(&self, port: u16) -> Acme {
        let folder = self.sandbox.join("vendor");
        let port = port.to_string();
        let generator = self.sandbox.program("sealift-fixtures");
        generator
            .args(args![folder, "--port", port, "--model-bytes", "65536"])
            .run()
            .ok();
        Acme { folder }
    }

    /// The command that builds a definition to OUT with the release key.
    pub fn build_command(&self, definition: &Path, out: &Path) -> Program {
        let bundler = self.sandbox.program("sealift-bundler");
        bundler.args(args![
            "build",
            definition,
            "--key",
            self.key("release"),
            "--root",
            self.roots(),
            "--out",
            out
        ])
    }

    /// Builds a definition to a bundle beside it.
    #[track_caller]
    pub fn build(&self, definition: &Path) -> PathBuf {
        let out = definition.with_extension("bundle");
        self.build_command(definition, &out).run().ok();
        out
    }

    /// Begins a release of a product that has exactly what the test gives it.
    pub fn release(&self, version: &str, counter: u64) -> Draft<'_> {
        Draft {
            vendor: self,
            version: version.to_owned(),
            fields: format!("version = \"{version}\"\ncounter = {counter}\n"),
            folder: self
                .sandbox
                .join("vendor")
                .join(format!("catalog-{version}")),
            capabilities: Vec::new(),
        }
    }
}

/// The sources of Acme.
pub struct Acme {
    folder: PathBuf,
}

impl Acme {
    /// The folder with the definitions and the catalog.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The definition of a release, such as `2.4.0`.
    pub fn definition(&self, version: &str) -> PathBuf {
        self.folder.join(format!("acme-{version}.toml"))
    }
}

/// A release that is being put together, with a catalog of its own.
#[must_use]
pub struct Draft<'a> {
    vendor: &'a Vendor,
    version: String,
    fields: String,
    folder: PathBuf,
    capabilities: Vec<(String, String)>,
}

impl Draft<'_> {
    /// A line of `RELEASE.toml`, such as `security-floor = "1.0.0"`.
    pub fn field(mut self, line: &str) -> Self {
        let _ = writeln!(self.fields, "{line}");
        self
    }

    /// Begins a capability; what follows goes into it.
    pub fn capability(mut self, name: &str, kind: &str) -> Self {
        let text = format!(
            "name = \"{name}\"\nversion = \"{}\"\nkind = \"{kind}\"\n",
            self.version
        );
        self.capabilities.push((name.to_owned(), text));
        self
    }

    /// A file.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = format!("content/{name}");
        self.put(&path, content);
        self.artifact(name, "file", &path)
    }

    /// A file that can be run.
    pub fn program(self, name: &str, script: &str) -> Self {
        let path = format!("content/{name}");
        let file = self.put(&path, format!("#!/bin/sh\n{script}\n"));
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(file, mode).expect("the file is ours");
        self.artifact(name, "file", &path)
    }

    /// A tree of files.
    pub fn tree(self, name: &str, files: &[(&str, &[u8])]) -> Self {
        let path = format!("content/{name}");
        for (file, content) in files {
            self.put(&format!("{path}/{file}"), content);
        }
        self.artifact(name, "tree", &path)
    }

    /// Something that is there already, such as an image layout; `kind` as in `capability.toml`.
    pub fn artifact(self, name: &str, kind: &str, path: &str) -> Self {
        self.lines(&format!(
            "[[artifacts]]\nname = \"{name}\"\ntype = \"{kind}\"\npath = \"{path}\"\n"
        ))
    }

    /// A health check that runs a program of the capability, twice at most.
    pub fn healthy_if(self, program: &str) -> Self {
        self.lines(&format!(
            "[[health]]\nname = \"{program}\"\nexec = [\"{program}\"]\ninterval = \"10ms\"\ntimeout = \"5s\"\nretries = 2\n"
        ))
    }

    /// Lines for `capability.toml` of the capability that was begun last.
    pub fn lines(mut self, lines: &str) -> Self {
        self.last().1.push_str(lines);
        self
    }

    /// Writes everything and gives the definition.
    pub fn define(self) -> PathBuf {
        let catalog = self
            .folder
            .file_name()
            .expect("it has a name")
            .to_string_lossy();
        let mut text = format!(
            "product = \"test\"\n{}published = \"2026-03-01T00:00:00Z\"\ncatalog = \"{catalog}\"\n[capabilities]\n",
            self.fields
        );
        for (name, lines) in &self.capabilities {
            let _ = writeln!(text, "\"{name}\" = \"{}\"", self.version);
            sandbox::write(&self.home(name).join("capability.toml"), lines);
        }
        let definition = self
            .folder
            .with_file_name(format!("test-{}.toml", self.version));
        sandbox::write(&definition, text);
        definition
    }

    /// Writes everything, builds it, and gives the bundle.
    #[track_caller]
    pub fn build(self) -> PathBuf {
        let vendor = self.vendor;
        vendor.build(&self.define())
    }

    fn put(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let (name, _) = self.capabilities.last().expect("a capability was begun");
        let path = self.home(name).join(path);
        sandbox::write(&path, content);
        path
    }

    fn home(&self, capability: &str) -> PathBuf {
        self.folder
            .join("capabilities")
            .join(capability)
            .join(&self.version)
    }

    fn last(&mut self) -> &mut (String, String) {
        self.capabilities
            .last_mut()
            .expect("a capability was begun")
    }
}
