//! Building: the same bytes everywhere, several signers, bad input, and what is left when it ends early.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use sealift_tests::{
    args,
    listing::Listing,
    program::{Outcome, Program},
    sandbox::{Sandbox, read, write},
    vendor::Vendor,
};
use sealift_verifier::digest::Digest;

/// Nobody's user id on Debian.
const NOBODY: u32 = 65534;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn build_command(sandbox: &Sandbox, definition: &Path, keys: &Path, out: &Path) -> Program {
    let bundler = sandbox.program("sealift-bundler");
    bundler.args(args![
        "build",
        definition,
        "--key",
        keys.join("release.pem"),
        "--root",
        keys.join("root"),
        "--out",
        out
    ])
}

/// Copies a folder with its files in the reverse order, so that the file system lists them in another one.
fn copy_reversed(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut names: Vec<_> = fs::read_dir(from)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort_unstable();
    for name in names.iter().rev() {
        let (old, new) = (from.join(name), to.join(name));
        let kind = old.symlink_metadata().unwrap().file_type();
        if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&old).unwrap(), &new).unwrap();
        } else if kind.is_dir() {
            copy_reversed(&old, &new);
        } else {
            fs::copy(&old, &new).unwrap();
        }
    }
}

/// Gives everything below a folder to another user.
fn give(sandbox: &Sandbox, folder: &Path) {
    let owner = format!("{NOBODY}:{NOBODY}");
    sandbox
        .tool("chown")
        .args(args!["-R", "-h", owner, folder])
        .run()
        .ok();
}

/// Runs a program as nobody, who has no privileges.
fn as_nobody(program: Program) -> Program {
    let (user, group) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
    program.behind(&["setpriv", &user, &group, "--clear-groups"])
}

#[test]
fn the_same_bytes_come_out_on_any_machine() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let acme = vendor.acme(18_080);
    let first = read(&vendor.build(&acme.definition("2.5.0")));

    // Another folder, order of files and modification times; another clock, user, umask, locale, time
    // zone, home, and number of threads.
    let other = sandbox.join("quite/another folder");
    copy_reversed(acme.folder(), &other.join("acme"));
    copy_reversed(&vendor.keys_folder(), &other.join("keys"));
    let out = other.join("again.bundle");
    let definition = other.join("acme/acme-2.5.0.toml");
    let again = build_command(&sandbox, &definition, &other.join("keys"), &out)
        .env("LC_ALL", "C")
        .env("LANG", "tr_TR.UTF-8")
        .env("TZ", "Pacific/Kiritimati")
        .env("HOME", "/nonexistent")
        .env("USER", "nobody")
        .umask(0o077)
        .at("2001-02-03 04:05:06")
        .behind(&["taskset", "--cpu-list", "0"]);
    let again = if is_root() {
        give(&sandbox, &other);
        fs::set_permissions(sandbox.path(), fs::Permissions::from_mode(0o755)).unwrap();
        as_nobody(again)
    } else {
        again
    };
    again.run().ok();
    if is_root() {
        assert_eq!(fs::metadata(&out).unwrap().uid(), NOBODY);
    }
    assert!(read(&out) == first, "the bundles differ");
}

#[test]
fn only_source_date_epoch_overrides_when_a_release_was_published() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let definition = vendor
        .release("1.0.0", 1)
        .capability("core/app", "service")
        .file("data", "some data")
        .define();
    let published = |epoch: Option<&str>| {
        let out = sandbox.join("out.bundle");
        let command = vendor.build_command(&definition, &out);
        let command = match epoch {
            Some(epoch) => command.env("SOURCE_DATE_EPOCH", epoch),
            None => command,
        };
        command.run().ok();
        let inspect = sandbox.program("sealift-verifier").args(args![
            "inspect",
            out,
            "--root",
            vendor.root(),
            "--at",
            "2026-04-01T00:00:00Z",
            "--output",
            "json"
        ]);
        let said = inspect.run().ok().json();
        (find(&said, "published"), read(&out))
    };
    let (time, first) = published(None);
    assert_eq!(time, "2026-03-01T00:00:00Z");
    let (time, second) = published(Some("1767225600"));
    assert_eq!(time, "2026-01-01T00:00:00Z");
    assert!(first != second && published(Some("1767225600")).1 == second);

    let out = sandbox.join("no.bundle");
    let command = vendor.build_command(&definition, &out);
    command
        .env("SOURCE_DATE_EPOCH", "yesterday")
        .run()
        .fails_with("usage");
    assert!(!out.exists());
}

/// The first text with this key, wherever it is.
fn find(value: &serde_json::Value, key: &str) -> String {
    fn search<'v>(value: &'v serde_json::Value, key: &str) -> Option<&'v str> {
        match value {
            serde_json::Value::Object(map) => map
                .get(key)
                .and_then(serde_json::Value::as_str)
                .or_else(|| map.values().find_map(|v| search(v, key))),
            serde_json::Value::Array(all) => all.iter().find_map(|v| search(v, key)),
            _ => None,
        }
    }
    search(value, key).unwrap_or_default().to_owned()
}

/// Whoever changes the format, or what a definition leads to, finds out here. Another version of zstd may
/// change the packs too; `release.json` and with it the release digest never change for that.
#[test]
fn the_golden_bundle_stays_the_same() {
    let sandbox = Sandbox::new();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden");
    let folder = sandbox.join("golden");
    copy_reversed(&golden, &folder);
    // Longer than one frame of a pack, and not all the same.
    let mut state = 1_u32;
    let model: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 28) as u8
    })
    .take(9_000_000)
    .collect();
    write(
        &folder.join("catalog/capabilities/gold/all/1.2.3/model"),
        model,
    );
    // Modes of a checkout depend on the umask it was made with; this one is part of the release.
    let check = folder.join("catalog/capabilities/gold/all/1.2.3/check");
    fs::set_permissions(check, fs::Permissions::from_mode(0o755)).unwrap();
    let out = sandbox.join("golden.bundle");
    let definition = folder.join("golden-1.2.3.toml");
    let built = build_command(&sandbox, &definition, &folder, &out)
        .args(["--output", "json"])
        .run()
        .ok()
        .json();
    assert_eq!(
        built["release-digest"],
        "ff8e214a71ba4764f03fbd29dedad7a9b217bae223435c9a845a341547b31047"
    );
    assert_eq!(
        Digest::of(&read(&out)).to_hex(),
        "d22b66a3a5ad550d97cef75105396b4b11054b841a64822bd4e20b6e75225a20"
    );
}

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

    // It is the very bundle that comes of both keys in one place.
    let sealed = read(&joint.out);
    joint.build(&["release-2", "release-1"]);
    assert!(read(&joint.out) == sealed, "the bundles differ");
    assert!(!joint.request().exists());
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

    // After all that, the right one still completes it.
    joint.vendor.bundler(args!["seal", joint.out, second]).ok();
    joint.verify().ok();
}

/// Calls that change a file system.
const CHANGING: [&str; 12] = [
    "write",
    "pwrite64",
    "copy_file_range",
    "sendfile",
    "ftruncate",
    "fsync",
    "fdatasync",
    "linkat",
    "rename",
    "renameat2",
    "unlink",
    "unlinkat",
];

/// Runs a program again and again, each time killed before another one of its changing calls, the first `write`,
/// the second, and so on. `left` looks at what is there afterwards, and hears whether it came to its end.
/// Says how often it was killed.
fn killed_at_every_change(command: impl Fn() -> Program, left: impl Fn(bool)) -> u32 {
    let mut killed = 0;
    for name in CHANGING {
        for time in 1.. {
            let trace = format!("trace={name}");
            let inject = format!("inject={name}:signal=SIGKILL:when={time}");
            let strace = [
                "strace",
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                &trace,
                "-e",
                &inject,
            ];
            let outcome = command().behind(&strace).run();
            let ended = outcome.code() == Some(0);
            if !ended {
                outcome.killed();
            }
            left(ended);
            if ended {
                break;
            }
            killed += 1;
        }
    }
    killed
}

#[test]
fn a_build_that_is_killed_leaves_the_old_bundle_or_the_new_one() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let draft = vendor.release("1.0.0", 1).capability("core/app", "service");
    let definition = draft.file("data", "some data").define();
    let new = read(&vendor.build(&definition));
    let out = sandbox.join("bundles/out.bundle");
    let killed = killed_at_every_change(
        || {
            write(&out, "an old bundle");
            vendor.build_command(&definition, &out)
        },
        |ended| {
            let found = read(&out);
            assert!(found == new || !ended && found == b"an old bundle");
            tidy(&sandbox.join("bundles"));
        },
    );
    assert!(killed >= 8, "{killed}");
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

/// Nothing but the bundle and what has to be signed lies in a folder. The file under way has no name until it
/// is finished; only between its getting one and its taking the place of the old one can it be left behind.
fn tidy(folder: &Path) {
    let mut finished = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with(".sealift-") {
            finished += 1;
            fs::remove_file(&path).unwrap();
        } else {
            assert!(
                name == "out.bundle" || name == "out.bundle.tosign",
                "{name}"
            );
        }
    }
    assert!(finished <= 1);
}

/// A vendor with a release of one file, `data`, and a folder `bundles` with an older file in it.
struct Single {
    sandbox: Sandbox,
    vendor: Vendor,
    definition: PathBuf,
    data: PathBuf,
    out: PathBuf,
}

impl Single {
    fn new() -> Self {
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
        write(&single.out, "an old bundle");
        assert!(single.data.exists());
        single
    }

    fn command(&self) -> Program {
        self.vendor.build_command(&self.definition, &self.out)
    }

    fn keys(&self) -> PathBuf {
        self.vendor.keys_folder()
    }

    /// Neither did the old file change, nor is anything beside it.
    #[track_caller]
    fn untouched(&self) {
        assert_eq!(read(&self.out), b"an old bundle");
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
fn has_open(folder: &Path, file: &Path) -> bool {
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
    let script = "mount -t tmpfs -o size=4m none \"$0\" && echo 'an old bundle' > \"$0/out.bundle\" \
        && { \"$@\"; code=$?; cat \"$0/out.bundle\"; ls -A \"$0\"; exit $code; }";
    let small = small.to_str().unwrap();
    let command = single.command().behind(&[
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
    assert!(
        said.stderr.contains("No space left on device"),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("free space"), "{}", said.stderr);
    assert_eq!(said.text(), "an old bundle\nout.bundle\n");
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
fn check_and_diff_judge_acme() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let acme = vendor.acme(18_080);
    let [old, new] = ["2.4.0", "2.5.0"].map(|version| acme.definition(version));
    let said = vendor.bundler(args!["check", new]).ok();
    assert!(said.text().contains("no problem found"), "{}", said.text());
    let json = vendor
        .bundler(args!["check", new, "--output", "json"])
        .ok()
        .json();
    assert_eq!(json["problems"], serde_json::json!([]));
    assert_eq!(json["capabilities"].as_array().unwrap().len(), 7);

    // The same whichever side is a bundle.
    let bundles = [vendor.build(&old), vendor.build(&new)];
    let diff = |a: &Path, b: &Path| {
        let args = args!["diff", a, b, "--root", vendor.root()];
        vendor.bundler(args).ok().text().to_owned()
    };
    let text = diff(&bundles[0], &bundles[1]);
    for (a, b) in [(&old, &new), (&old, &bundles[1]), (&bundles[0], &new)] {
        assert_eq!(diff(a, b), text);
    }
    assert!(text.contains("acme 2.4.0 -> 2.5.0"), "{text}");
    assert!(text.contains("~ core/api  2.0.3 -> 2.1.0"), "{text}");
    assert!(text.contains("~ web/shop  1.1.0 -> 1.2.0"), "{text}");
    assert!(!text.contains("ml/ranker"), "{text}");
    assert!(diff(&bundles[1], &new).ends_with("nothing changes\n"));
    // A bundle is verified before it is compared: not without a root, and not if it was changed.
    let bare = args!["diff", bundles[0], new];
    vendor.bundler(bare).fails_with("usage");
    let mut bytes = read(&bundles[0]);
    bytes[600] ^= 1;
    let changed = sandbox.write("changed.bundle", bytes);
    let args = args!["diff", changed, new, "--root", vendor.root()];
    vendor.bundler(args).exits(3);

    // Every problem at once, each with its place.
    let text = String::from_utf8(read(&new)).unwrap();
    let broken = text
        .replace("version = \"2.5.0\"", "version = \"2.5\"")
        .replace("\"web/shop\" = \"1.2.0\"", "\"web/shop\" = \"9.9.9\"");
    let broken = sandbox.write("vendor/broken.toml", format!("colour = \"red\"\n{broken}"));
    let said = vendor
        .bundler(args!["check", broken])
        .fails_with("definition-invalid");
    for code in ["unknown-key", "version-invalid", "file-missing"] {
        assert!(said.stderr.contains(code), "{}", said.stderr);
    }
    assert!(said.stderr.contains("broken.toml:1:1"), "{}", said.stderr);
}
