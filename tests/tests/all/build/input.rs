//! What a build refuses, and that it then leaves everything as it was.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use sealift_tests::{
    args,
    listing::Listing,
    program::Program,
    sandbox::{Sandbox, read, write},
    vendor::Vendor,
};

use super::{as_nobody, give, is_root};

/// A vendor with a release of one file, `data`, and a folder `bundles` with an older file in it.
pub(super) struct Single {
    pub(super) sandbox: Sandbox,
    pub(super) vendor: Vendor,
    pub(super) definition: PathBuf,
    pub(super) data: PathBuf,
    pub(super) out: PathBuf,
}

impl Single {
    pub(super) fn new() -> Self {
        let sandbox = Sandbox::new();
        let vendor = Vendor::new(&sandbox);
        let definition = vendor
            .release("1.0.0", 1)
            .capability("core/app", "service")
            .file("data", "some data")
            .define();
        let single = Self {
            data: sandbox.join("vendor/catalog-1.0.0/capabilities/core/app/1.0.0/content/data"),
            out: sandbox.join("bundles/out.bundle"),
            sandbox,
            vendor,
            definition,
        };
        write(&single.out, "metadata/ of an old bundle");
        assert!(single.data.exists());
        single
    }

    pub(super) fn command(&self) -> Program {
        self.vendor.build_command(&self.definition, &self.out)
    }

    fn keys(&self) -> PathBuf {
        self.vendor.keys_folder()
    }

    /// Neither did the old file change, nor is anything beside it.
    #[track_caller]
    pub(super) fn untouched(&self) {
        assert_eq!(read(&self.out), b"metadata/ of an old bundle");
        let left = Listing::of(&self.sandbox.join("bundles"));
        assert_eq!(left.paths().collect::<Vec<_>>(), ["", "out.bundle"]);
    }

    /// A build has to fail with this code and leave nothing.
    #[track_caller]
    fn refuses(&self, command: Program, code: &str) -> String {
        let said = command.run().fails_with(code);
        assert!(said.stderr.contains("  hint: "), "{}", said.stderr);
        self.untouched();
        said.stderr
    }
}

#[test]
fn a_file_that_grows_or_shrinks_while_it_is_read_is_noticed() {
    let single = Single::new();
    let file = fs::File::create(&single.data).unwrap();
    file.set_len(400 << 20).unwrap();
    for length in [(400 << 20) + 1, 1 << 20] {
        file.set_len(400 << 20).unwrap();
        // Once it is open, its length is known; reading it takes longer than noticing that.
        let child = single.command().talk();
        let open = format!("/proc/{}/fd", child.id());
        while !has_open(Path::new(&open), &single.data) {
            assert!(Path::new(&open).exists(), "it ended early");
            std::thread::sleep(Duration::from_millis(1));
        }
        file.set_len(length).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("error[length-mismatch]: "), "{stderr}");
        assert!(stderr.contains("a moment ago"), "{stderr}");
        single.untouched();
    }
}

/// Whether a process, whose open files are in `folder`, has `file` open.
pub(super) fn has_open(folder: &Path, file: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else {
        return false;
    };
    let mut targets = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    targets.any(|target| target == file)
}

#[test]
fn content_that_cannot_be_delivered_is_refused() {
    let single = Single::new();
    fs::remove_file(&single.data).unwrap();
    let said = single.refuses(single.command(), "definition-invalid");
    assert!(said.contains("file-missing"), "{said}");
    // A pipe that nobody writes to would be waited for without end.
    single
        .sandbox
        .tool("mkfifo")
        .args(args![single.data])
        .run()
        .ok();
    let said = single.refuses(single.command(), "definition-invalid");
    assert!(said.contains("special-file"), "{said}");
    fs::remove_file(&single.data).unwrap();
    fs::create_dir(&single.data).unwrap();
    let said = single.refuses(single.command(), "definition-invalid");
    assert!(said.contains("artifact-type"), "{said}");
}

#[test]
fn what_may_not_be_read_or_written_is_refused() {
    let single = Single::new();
    let forbid = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    // Root may do everything.
    let command = || {
        if is_root() {
            as_nobody(single.command())
        } else {
            single.command()
        }
    };
    if is_root() {
        give(&single.sandbox, single.sandbox.path());
        forbid(single.sandbox.path(), 0o755);
    }
    forbid(&single.data, 0o000);
    let said = single.refuses(command(), "io");
    assert!(said.contains(&single.data.display().to_string()), "{said}");
    forbid(&single.data, 0o644);
    forbid(&single.vendor.key("release"), 0o000);
    single.refuses(command(), "io");
    forbid(&single.vendor.key("release"), 0o600);
    let bundles = single.sandbox.join("bundles");
    forbid(&bundles, 0o555);
    let said = single.refuses(command(), "io");
    assert!(said.contains(&bundles.display().to_string()), "{said}");
    forbid(&bundles, 0o755);
    command().run().ok();
}

#[test]
fn keys_and_roots_that_do_not_fit_are_refused() {
    let single = Single::new();
    let with = |key: &Path, root: &Path| {
        let bundler = single.sandbox.program("sealift-bundler");
        bundler.args(args![
            "build",
            single.definition,
            "--key",
            key,
            "--root",
            root,
            "-o",
            single.out
        ])
    };
    let (key, roots) = (single.vendor.key("release"), single.vendor.roots());
    let nothing = single.sandbox.join("nothing");
    single.refuses(with(&nothing, &roots), "not-found");
    single.refuses(with(&single.definition, &roots), "pem-invalid");
    for other in ["root-1", "license"] {
        single.refuses(with(&single.vendor.key(other), &roots), "key-not-entitled");
    }
    // A public key signs nothing.
    let public = single.keys().join("release.pub.pem");
    single.refuses(with(&public, &roots), "public-key-given");

    single.refuses(with(&key, &nothing), "root-invalid");
    let empty = single.sandbox.join("empty");
    fs::create_dir(&empty).unwrap();
    single.refuses(with(&key, &empty), "root-invalid");
    // The second root without the first one, and one that is not signed by enough.
    let alone = single.sandbox.join("alone");
    fs::create_dir(&alone).unwrap();
    fs::copy(single.vendor.root(), alone.join("2.root.json")).unwrap();
    single.refuses(with(&key, &alone), "root-invalid");
    fs::copy(single.vendor.root(), alone.join("1.root.json")).unwrap();
    single.refuses(with(&key, &alone), "root-version");
    let mut unsigned: serde_json::Value =
        serde_json::from_slice(&read(&single.vendor.root())).unwrap();
    unsigned["signatures"].as_array_mut().unwrap().truncate(1);
    let canonical = sealift_verifier::json::to_canonical(&unsigned).unwrap();
    let weak = single.sandbox.write("weak/1.root.json", canonical);
    single.refuses(with(&key, weak.parent().unwrap()), "threshold-not-met");

    // A root that has expired when the release is published, in 2040, can sign nothing any more.
    let late = with(&key, &roots).env("SOURCE_DATE_EPOCH", "2208988800");
    single.refuses(late, "metadata-expired");
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    let single = Single::new();
    // It does not compress, so that the bundle needs it all.
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(20 << 17)
    .flatten()
    .collect();
    write(&single.data, noise);
    let small = single.sandbox.join("bundles");
    // A file system of its own, seen by these processes only; what is left in it is listed before it goes.
    let script = "mount -t tmpfs -o size=4m none \"$0\" && echo 'metadata/ of an old bundle' > \"$0/out.bundle\" \
        && { \"$@\"; code=$?; cat \"$0/out.bundle\"; ls -A \"$0\"; exit $code; }";
    let small = small.to_str().unwrap();
    let cache = single.sandbox.join("cache");
    let command = single.command();
    let command = command.args(args!["--cache", cache, "--cache-size", "1 MB"]);
    let command = command.behind(&[
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        script,
        small,
    ]);
    let said = command.run().fails_with("io");
    let told = "out.bundle: No space left on device";
    assert!(said.stderr.contains(told), "{}", said.stderr);
    // What did not become a bundle is kept within the same bounds.
    let kept = fs::read_dir(cache.join("v1")).unwrap();
    let kept: u64 = kept.map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(kept <= 1_000_000, "{kept}");
    assert!(said.stderr.contains("free space"), "{}", said.stderr);
    assert_eq!(said.text(), "metadata/ of an old bundle\nout.bundle\n");
}

#[test]
fn a_name_for_modes_is_none_where_there_are_no_modes() {
    let single = Single::new();
    let out = single.sandbox.join("bundles/x-{mode}.bundle");
    let said = single.vendor.build_command(&single.definition, &out).run();
    let said = said.fails_with("usage");
    assert!(
        said.stderr.contains("the release is for no mode"),
        "{}",
        said.stderr
    );
    single.untouched();
}

#[test]
fn a_folder_is_no_place_for_a_bundle() {
    let single = Single::new();
    let before = Listing::of(&single.sandbox.join("bundles"));
    let folder = single.sandbox.join("bundles/folder");
    fs::create_dir(&folder).unwrap();
    let build = |out: &Path| single.vendor.build_command(&single.definition, out).run();
    build(&folder).fails_with("io");
    build(&single.sandbox.join("no/such/folder/out.bundle")).fails_with("io");
    // Below something that is no folder.
    build(&single.out.join("deeper.bundle")).fails_with("io");
    fs::remove_dir(&folder).unwrap();
    let after = Listing::of(&single.sandbox.join("bundles"));
    assert_eq!(before.differences(&after), [""; 0]);
}

#[test]
fn nothing_but_a_bundle_is_replaced() {
    let single = Single::new();
    single.command().run().ok();
    single.command().run().ok();
    // A slip in a name costs nobody a file, and a trial says so, too.
    for (name, content) in [("notes.txt", "dear diary"), ("short", "meta")] {
        let out = single.sandbox.write(name, content);
        let build = || single.vendor.build_command(&single.definition, &out);
        build().run().fails_with("usage");
        build().args(["--dry-run"]).run().fails_with("usage");
        assert_eq!(read(&out), content.as_bytes());
    }
    // Where somebody made room for it, there is nothing to lose.
    let out = single.sandbox.write("empty", "");
    let build = single.vendor.build_command(&single.definition, &out);
    build.run().ok();
}

#[test]
fn a_wrong_command_line_is_told_to_machines_as_well() {
    let sandbox = Sandbox::new();
    for program in [
        "sealift-bundler",
        "sealift-verifier",
        "sealift-installer",
        "sealift-keys",
    ] {
        let wrong = sandbox
            .program(program)
            .args(["--output", "json", "no-such-verb"]);
        let said = wrong.run().exits(2).json();
        assert_eq!(said["error"]["code"], "usage", "{program}");
        let message = said["error"]["message"].as_str().unwrap();
        assert!(message.contains("no-such-verb"), "{program}: {message}");
    }
}
