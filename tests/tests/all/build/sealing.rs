//! Several people sign one release.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sealift_tests::{
    args,
    listing::Listing,
    program::Outcome,
    sandbox::{Sandbox, read, write},
    vendor::Vendor,
};

use super::cut::{killed_at_every_change, tidy};

/// A vendor with two release keys who both have to sign, and a bundle that the first has signed.
struct Joint {
    sandbox: Sandbox,
    vendor: Vendor,
    definition: PathBuf,
    out: PathBuf,
}

impl Joint {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let keys = ["--release-keys", "3", "--release-threshold", "2"];
        let vendor = Vendor::with_keys(&sandbox, &keys);
        let definition = vendor
            .release("1.0.0", 1)
            .capability("core/app", "service")
            .file("data", "some data")
            .define();
        let joint = Self {
            out: sandbox.join("bundles/out.bundle"),
            sandbox,
            vendor,
            definition,
        };
        fs::create_dir(joint.sandbox.join("bundles")).unwrap();
        joint.build(&["release-1"]);
        joint
    }

    /// Builds with some of the release keys.
    fn build(&self, keys: &[&str]) {
        self.build_to(&self.definition, &self.out, keys).ok();
    }

    fn build_to(&self, definition: &Path, out: &Path, keys: &[&str]) -> Outcome {
        let mut command = args![
            "build",
            definition,
            "--root",
            self.vendor.roots(),
            "-o",
            out
        ]
        .to_vec();
        for key in keys {
            command.extend(args!["--key", self.vendor.key(key)]);
        }
        self.vendor.bundler(command)
    }

    fn request(&self) -> PathBuf {
        self.sandbox.join("bundles/out.bundle.tosign")
    }

    /// Signs with a key, which may be anybody's.
    fn sign(&self, request: &Path, key: &Path, name: &str) -> PathBuf {
        let signature = self.sandbox.join(name);
        self.vendor
            .keys(args!["sign", request, "--key", key, "-o", signature])
            .ok();
        signature
    }

    fn verify(&self) -> Outcome {
        let verifier = self.sandbox.program("sealift-verifier");
        verifier
            .args(args!["verify", self.out, "--root", self.vendor.root()])
            .run()
    }

    /// `seal` has to refuse, and to leave everything as it was.
    #[track_caller]
    fn refuses(&self, signatures: &[&Path], code: &str) {
        let before = Listing::of(&self.sandbox.join("bundles"));
        let mut command = args!["seal", self.out].to_vec();
        command.extend(signatures.iter().map(|s| s.as_os_str().to_owned()));
        self.vendor.bundler(command).fails_with(code);
        let after = Listing::of(&self.sandbox.join("bundles"));
        assert_eq!(before.differences(&after), [""; 0]);
    }
}

#[test]
fn two_people_sign_a_release_one_after_the_other() {
    let joint = Joint::new();
    joint.verify().fails_with("threshold-not-met");
    let second = joint.sign(&joint.request(), &joint.vendor.key("release-2"), "2.sig");
    joint.vendor.bundler(args!["seal", joint.out, second]).ok();
    let said = joint.verify().ok();
    assert!(said.text().contains("status=PASSED"), "{}", said.text());
    assert!(!joint.request().exists(), "nobody has to sign any more");
    let names = Listing::of(&joint.sandbox.join("bundles"));
    assert_eq!(names.paths().collect::<Vec<_>>(), ["", "out.bundle"]);

    // It is the release that comes of both keys in one place, but for who built it, and for the spaces behind
    // delivery.json that fill the room for the head.
    let said = || {
        let verifier = joint.sandbox.program("sealift-verifier");
        let args = args!["inspect", joint.out, "delivery", "--output", "json"];
        let said = verifier
            .args(args)
            .args(args!["--root", joint.vendor.root()]);
        let mut said = said.run().ok().json();
        let members = said["members"].as_array_mut().unwrap();
        members.retain(|member| {
            member["path"] != "provenance.json" && member["path"] != "delivery.json"
        });
        assert!(members.len() > 3);
        (
            said["members"].take(),
            said["packs"].take(),
            said["blobs"].take(),
        )
    };
    let (sealed, before) = (read(&joint.out), said());
    joint.build(&["release-2", "release-1"]);
    assert_eq!(said(), before);
    assert!(!joint.request().exists());
    // Whichever key comes first, and however often.
    let both = read(&joint.out);
    joint.build(&["release-1", "release-2"]);
    assert!(read(&joint.out) == both && both != sealed);
}

#[test]
fn seal_refuses_signatures_that_do_not_complete_this_bundle() {
    let joint = Joint::new();
    // Too few: the first signer once more.
    let first = joint.sign(&joint.request(), &joint.vendor.key("release-1"), "1.sig");
    joint.refuses(&[&first], "signatures-missing");
    // Somebody whom the root does not list: of this vendor, and of another one.
    let root = joint.sign(&joint.request(), &joint.vendor.key("root-1"), "root.sig");
    joint.refuses(&[&root], "key-not-entitled");
    let key = joint.sandbox.join("stranger.pem");
    joint.vendor.keys(args!["generate", key, "--dev"]).ok();
    let stranger = joint.sign(&joint.request(), &key, "stranger.sig");
    joint.refuses(&[&stranger], "key-not-entitled");
    // A good one does not help a bad one.
    let second = joint.sign(&joint.request(), &joint.vendor.key("release-2"), "2.sig");
    joint.refuses(&[&second, &stranger], "key-not-entitled");
    // Of another bundle.
    let definition = joint
        .vendor
        .release("1.0.1", 2)
        .capability("core/app", "service")
        .file("data", "other data")
        .define();
    let other = joint.sandbox.join("other.bundle");
    joint.build_to(&definition, &other, &["release-1"]).ok();
    let request = joint.sandbox.join("other.bundle.tosign");
    let foreign = joint.sign(&request, &joint.vendor.key("release-2"), "foreign.sig");
    joint.refuses(&[&foreign], "signature-invalid");
    // One that was damaged on its way, and one that is none.
    let text = String::from_utf8(read(&second)).unwrap();
    let at = text.find("\"sig\"").map_or(text.len() / 2, |at| at + 10);
    let mut damaged = text.into_bytes();
    damaged[at] = if damaged[at] == b'0' { b'1' } else { b'0' };
    let damaged = joint.sandbox.write("damaged.sig", damaged);
    joint.refuses(&[&damaged], "signature-invalid");
    let none = joint.sandbox.write("none.sig", "hello");
    joint.refuses(&[&none], "bad-json");

    // Of this bundle, but its content was changed since.
    let good = read(&joint.out);
    let mut bad = good.clone();
    let place = good.windows(13).position(|w| w == b"release.json\0");
    bad[place.unwrap() + 600] ^= 1;
    write(&joint.out, &bad);
    joint.refuses(&[&second], "digest-mismatch");
    write(&joint.out, &good[..good.len() - 512]);
    joint.refuses(&[&second], "truncated");
    write(&joint.out, &good);

    // After all that, the right one still completes it.
    joint.vendor.bundler(args!["seal", joint.out, second]).ok();
    joint.verify().ok();
}

#[test]
fn a_seal_that_is_killed_leaves_the_old_bundle_or_the_new_one() {
    let joint = Joint::new();
    let second = joint.sign(&joint.request(), &joint.vendor.key("release-2"), "2.sig");
    let (old, request) = (read(&joint.out), read(&joint.request()));
    let killed = killed_at_every_change(
        || {
            write(&joint.out, &old);
            write(&joint.request(), &request);
            let bundler = joint.sandbox.program("sealift-bundler");
            bundler.args(args!["seal", joint.out, second])
        },
        |ended| {
            if !ended && read(&joint.out) == old {
                assert_eq!(read(&joint.request()), request);
            } else {
                joint.verify().ok();
            }
            tidy(&joint.sandbox.join("bundles"));
        },
    );
    assert!(killed >= 6, "{killed}");
}
