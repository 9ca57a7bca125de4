//! Whom a site trusts over the years: roots and keys that rotate, by bundles and by media without a payload; releases
//! that are taken back; customers with keys of their own; and what is kept twice.

mod copies;
mod customer;
mod revoked;
mod sticks;

use std::path::{Path, PathBuf};

use sealift_tests::{
    args,
    program::Outcome,
    sandbox::{self, Sandbox},
    site::Site,
    vendor::Vendor,
};

/// Somebody with a folder of keys and roots: a vendor, or a customer.
struct Keys {
    sandbox: Sandbox,
    folder: PathBuf,
}

impl Keys {
    fn of(vendor: &Vendor) -> Self {
        Self {
            sandbox: vendor.sandbox.clone(),
            folder: vendor.keys_folder(),
        }
    }

    /// A customer, with more arguments for `sealift-keys init`.
    fn of_customer(sandbox: &Sandbox, name: &str, more: &[&str]) -> Self {
        let keys = Self {
            sandbox: sandbox.clone(),
            folder: sandbox.join(name),
        };
        let mut args = args!["init", keys.folder, "--dev", "--license-keys", "0"].to_vec();
        args.extend(args!["--policy-keys", "1"]);
        args.extend(more.iter().map(Into::into));
        keys.run(args).ok();
        keys
    }

    fn run(&self, args: impl IntoIterator<Item = std::ffi::OsString>) -> Outcome {
        self.sandbox.program("sealift-keys").args(args).run()
    }

    fn key(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pem"))
    }

    fn roots(&self) -> PathBuf {
        self.folder.join("root")
    }

    fn root(&self, version: u64) -> PathBuf {
        self.roots().join(format!("{version}.root.json"))
    }

    fn fingerprint(&self, version: u64) -> String {
        digest_of(&self.root(version))
    }

    /// Makes the next root with these changes: a verb of `root`, its option, and what it is about.
    #[track_caller]
    fn rotate(&self, changes: &[&[&str]]) -> u64 {
        let next = (1..100).find(|n| !self.root(*n).exists()).unwrap();
        let roots = self.roots();
        for change in changes {
            let (verb, rest) = change.split_first().unwrap();
            let rest = rest.iter().map(Into::into);
            self.run(args!["root", verb, roots].into_iter().chain(rest))
                .ok();
        }
        let draft = roots.join(format!("{next}.root.draft.json"));
        for key in ["root-1", "root-2"] {
            self.run(args!["root", "sign", draft, "--key", self.key(key)])
                .ok();
        }
        assert!(self.root(next).exists());
        next
    }

    /// A new key in the place of the one called `old` in a role.
    #[track_caller]
    fn replace(&self, role: &str, old: &str, new: &str) -> u64 {
        self.run(args!["generate", self.key(new), "--dev"]).ok();
        let public = |name: &str| self.folder.join(format!("{name}.pub.pem"));
        let (old, new) = (public(old), public(new));
        let (old, new) = (old.to_str().unwrap(), new.to_str().unwrap());
        self.rotate(&[
            &["add-key", "--role", role, new],
            &["remove-key", "--role", role, old],
        ])
    }

    #[track_caller]
    fn revoke(&self, release: &str) -> u64 {
        self.rotate(&[&["revoke", release, "--reason", "it loses data"]])
    }
}

fn digest_of(path: &Path) -> String {
    sealift_verifier::digest::Digest::of(&sandbox::read(path)).to_string()
}

/// Builds a release with one file, signed by `key`.
#[track_caller]
fn release_by(vendor: &Vendor, key: &str, version: &str, counter: u64) -> PathBuf {
    let definition = draft(vendor, version, counter).define();
    let out = definition.with_extension("bundle");
    let bundler = vendor.bundler(args![
        "build",
        definition,
        "--key",
        vendor.key(key),
        "--root",
        vendor.roots(),
        "--out",
        out
    ]);
    bundler.ok();
    out
}

#[track_caller]
fn release(vendor: &Vendor, version: &str, counter: u64) -> PathBuf {
    release_by(vendor, "release", version, counter)
}

fn draft<'a>(vendor: &'a Vendor, version: &str, counter: u64) -> sealift_tests::vendor::Draft<'a> {
    let draft = vendor.release(version, counter);
    draft.capability("a/b", "config").file("f", version)
}

/// The release digest of a bundle.
#[track_caller]
fn digest(site: &Site, bundle: &Path) -> String {
    let said = site.installer(args!["plan", bundle, "--output", "json"]);
    said.said().json()["release"].as_str().unwrap().to_owned()
}

/// The metadata of a bundle, without its payload.
#[track_caller]
fn stick(vendor: &Vendor, bundle: &Path, name: &str) -> PathBuf {
    let folder = vendor.sandbox.join(name);
    let verifier = vendor.sandbox.program("sealift-verifier");
    verifier
        .args(args![
            "extract",
            bundle,
            "metadata",
            "-o",
            folder,
            "--root",
            vendor.root()
        ])
        .run()
        .ok();
    folder
}

fn update(site: &Site, path: &Path) -> Outcome {
    site.installer(args!["trust", "update", path, "--output", "json"])
}

/// Everything in the state folder, but what every look at it changes.
fn listing(site: &Site) -> sealift_tests::listing::Listing {
    site.listing().without("lock").without("audit")
}
