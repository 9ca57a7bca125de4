//! `sealift-verifier` as people and scripts use it.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use sealift_verifier::{digest::Digest, release::Severity};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::maker::{Parts, RELEASE, Roles, Sample, root, sign};

/// A folder with a bundle and its root, and the program.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        desk.put("acme.bundle", &Sample::rich().parts().bytes());
        desk.put("1.root.json", &sign(&root(1), &[1, 2]));
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    #[expect(clippy::disallowed_methods, reason = "a test makes its files")]
    fn put(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Puts a bundle there whose last member has one byte changed.
    fn put_damaged(&self) {
        let mut parts = Sample::rich().parts();
        parts.members.last_mut().unwrap().1[0] ^= 1;
        self.put("damaged.bundle", &parts.bytes());
    }

    /// Runs the program in the folder.
    fn run(&self, arguments: &[&str]) -> Answer {
        let output = Command::new(env!("CARGO_BIN_EXE_sealift-verifier"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .output()
            .unwrap();
        Answer(output)
    }

    /// The same with the root and a time at which the bundle is valid.
    fn trusting(&self, arguments: &[&str]) -> Answer {
        let more = ["--root", "1.root.json", "--at", "2026-06-01T00:00:00Z"];
        self.run(&[arguments, &more].concat())
    }
}

struct Answer(Output);

impl Answer {
    #[track_caller]
    fn ends(self, status: i32) -> Self {
        assert_eq!(
            self.0.status.code(),
            Some(status),
            "{}\n{}",
            self.out(),
            self.err()
        );
        self
    }
    fn out(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }
    fn err(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }
    fn json(&self) -> Value {
        serde_json::from_str(&self.out()).unwrap_or_else(|e| panic!("{e}: {}", self.out()))
    }
    #[track_caller]
    fn fails(self, status: i32, code: &str) -> Self {
        let answer = self.ends(status);
        let err = answer.err();
        assert!(err.contains(&format!("error[{code}]: ")), "{err}");
        assert!(err.contains("\n  hint: "), "{err}");
        answer
    }
}

#[test]
fn verify_says_what_it_checked() {
    let desk = Desk::new();
    let answer = desk
        .trusting(&["verify", "acme.bundle", "--contents"])
        .ends(0);
    let out = answer.out();
    for check in [
        "bundle",
        "trusted-root",
        "root-chain",
        "timestamp",
        "snapshot",
        "targets",
        "layout",
        "release",
        "provenance",
        "payload",
        "completeness",
        "contents",
    ] {
        let line = out.lines().find(|l| l.starts_with(&format!("{check} ")));
        assert!(line.unwrap().ends_with("  status=PASSED"), "{out}");
    }
    assert!(out.ends_with("\nauthentic\n"), "{out}");
    assert!(out.contains(", threshold 2, signed by "), "{out}");
    assert!(!out.contains("FAILED"));

    let fingerprint = Digest::of(&sign(&root(1), &[1, 2])).to_hex();
    let at = "2026-06-01T00:00:00Z";
    let json = desk
        .run(&[
            "--output",
            "json",
            "verify",
            "acme.bundle",
            "--fingerprint",
            &fingerprint,
            "--at",
            at,
        ])
        .ends(0)
        .json();
    assert_eq!(json["authentic"], json!(true));
    assert_eq!(json["bundle"]["product"], json!("acme"));
    assert_eq!(json["bundle"]["counter"], json!(5));
    assert_eq!(json["roles"][0]["signers"].as_array().unwrap().len(), 2);
    assert_eq!(json["checks"].as_array().unwrap().len(), 11);
}

#[test]
fn the_check_that_failed_is_named() {
    let desk = Desk::new();
    desk.put_damaged();
    let answer = desk
        .trusting(&["verify", "damaged.bundle"])
        .fails(3, "digest-mismatch");
    let out = answer.out();
    let last = out.lines().last().unwrap();
    assert!(
        last.starts_with("payload ") && last.ends_with("status=FAILED"),
        "{out}"
    );
    assert!(!out.contains("\nauthentic"));

    let json = desk
        .trusting(&["verify", "damaged.bundle", "--output", "json"])
        .ends(3)
        .json();
    assert_eq!(json["error"]["code"], json!("digest-mismatch"));
    assert_eq!(json["authentic"], json!(false));
    assert_eq!(json["checks"][9]["status"], json!("FAILED"));
    for command in [
        &["inspect", "damaged.bundle"][..],
        &["extract", "damaged.bundle", "all", "-o", "out"],
    ] {
        desk.trusting(command).fails(3, "digest-mismatch");
    }
    assert!(!desk.path("out").exists());
}

#[test]
fn failures_have_their_exit_status() {
    let desk = Desk::new();
    let root = ["--root", "1.root.json"];
    desk.run(&["verify", "acme.bundle"]).ends(2);
    desk.run(&["verify", "acme.bundle", "--fingerprint", "12"])
        .ends(2);
    let json = desk.run(&["verify", "--output", "json"]).ends(2).json();
    assert_eq!(json["error"]["code"], json!("usage"));
    desk.run(&[&["verify", "nothing.bundle"][..], &root].concat())
        .fails(1, "io");
    desk.run(&["verify", "acme.bundle", "--root", "nothing.json"])
        .fails(1, "io");
    desk.run(&["verify", "acme.bundle", "--root", "acme.bundle"])
        .fails(3, "bad-json");
    let zeros = "0".repeat(64);
    desk.run(&["verify", "acme.bundle", "--fingerprint", &zeros])
        .fails(3, "root-mismatch");
    desk.run(
        &[
            &["verify", "acme.bundle", "--at", "2040-01-01T00:00:00Z"][..],
            &root,
        ]
        .concat(),
    )
    .fails(3, "metadata-expired");
    desk.run(&[&["inspect", "."][..], &root].concat())
        .fails(1, "not-a-regular-file");
    let answer = desk.run(
        &[
            &["verify", "acme.bundle", "--at", "2040-01-01T00:00:00Z"][..],
            &root,
        ]
        .concat(),
    );
    let last = answer.out().lines().last().unwrap().to_owned();
    assert!(
        last.starts_with("root-chain ") && last.ends_with("status=FAILED"),
        "{last}"
    );
    let pipe = desk.path("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    for command in ["verify", "inspect"] {
        desk.run(&[&[command, "pipe"][..], &root].concat())
            .fails(1, "not-a-regular-file");
    }
}

#[test]
fn a_development_root_is_no_secret() {
    let desk = Desk::new();
    let mut development = root(1);
    development["sealift"] = json!({ "development": true });
    let development = sign(&development, &[1, 2]);
    let parts = Parts::sign(vec![development.clone()], 1, Sample::minimal().members());
    desk.put("dev.bundle", &parts.bytes());
    desk.put("1.root.json", &development);
    let out = desk.trusting(&["verify", "dev.bundle"]).ends(0).out();
    assert!(out.contains("DEVELOPMENT KEYS"), "{out}");
    let answer = desk.trusting(&["inspect", "dev.bundle"]).ends(0);
    assert!(answer.err().contains("DEVELOPMENT KEYS"));
}

#[test]
fn a_release_says_whether_it_takes_a_license() {
    let desk = Desk::new();
    let root = sign(&root(1), &[1, 2]);
    let inspect = |licensed: bool, exempt: bool| {
        let mut sample = Sample::minimal();
        sample.release.licensed = licensed;
        sample.release.maintenance_exempt = exempt;
        sample.release.severity = exempt.then_some(Severity::Critical);
        let parts = Parts::sign(vec![root.clone()], 1, sample.members());
        desk.put("licensed.bundle", &parts.bytes());
        let show = ["inspect", "licensed.bundle", "release"];
        desk.trusting(&show).ends(0).out()
    };
    assert!(!inspect(false, false).contains("needed"));
    assert!(inspect(true, false).contains("needed\n"));
    assert!(inspect(true, true).contains("whose maintenance date is past"));
    let mut sample = Sample::rich();
    sample.release.capabilities[0].entitlements = vec!["reports".into(), "seats".into()];
    let parts = Parts::sign(vec![root.clone()], 1, sample.members());
    desk.put("features.bundle", &parts.bytes());
    let show = ["inspect", "features.bundle", "release"];
    let said = desk.trusting(&show).ends(0).out();
    assert!(
        said.contains("needed, with the features reports, seats\n"),
        "{said}"
    );
}

#[test]
fn a_report_can_be_filed() {
    let desk = Desk::new();
    desk.put_damaged();
    let verify = ["verify", "acme.bundle", "--report", "report.html"];
    desk.trusting(&verify).ends(0);
    let report = fs::read_to_string(desk.path("report.html")).unwrap();
    let release = Digest::of(&Sample::rich().members()[0].1).to_hex();
    for text in [
        &*release,
        "core/api/server",
        "2 of 3",
        "What was not checked",
        "pkg:generic/maker@1",
        "acme-2.5.0.toml",
        "PASSED",
        "Answers &lt;b&gt;\\u{202e}",
    ] {
        assert!(report.contains(text), "{text} is missing");
    }
    for text in ["<script", "src=", "href=", "FAILED", "NOT AUTHENTIC"] {
        assert!(!report.contains(text), "{text} is there");
    }
    desk.trusting(&verify).fails(1, "already-exists");
    desk.trusting(&[&verify[..], &["--overwrite", "--contents"]].concat())
        .ends(0);

    let itself = ["verify", "acme.bundle", "--report", "acme.bundle"];
    desk.trusting(&[&itself[..], &["--overwrite"]].concat())
        .fails(1, "already-exists");
    desk.trusting(&["verify", "acme.bundle"]).ends(0);

    desk.trusting(&["verify", "damaged.bundle", "--report", "bad.html"])
        .fails(3, "digest-mismatch");
    let report = fs::read_to_string(desk.path("bad.html")).unwrap();
    assert!(report.contains("NOT AUTHENTIC") && report.contains("FAILED"));
    assert!(!report.contains("core/api") && !report.contains("Authentic:"));
    desk.trusting(&["verify", "nothing", "--report", "none.html"])
        .fails(1, "io");
    assert!(!desk.path("none.html").exists());
}

#[test]
fn inspect_shows_each_section() {
    let desk = Desk::new();
    for (section, text, pointer, value) in [
        (
            "release",
            "core/api/server",
            "/release/product",
            json!("acme"),
        ),
        (
            "images",
            "core/api/server:1.0.0",
            "/0/reference",
            json!("core/api/server:1.0.0"),
        ),
        (
            "files",
            "files/web/shop/pages/sub/link",
            "/1/path",
            json!("files/core/api/site.toml"),
        ),
        (
            "notices",
            "core/api/license.txt",
            "/0/capability",
            json!("core/api"),
        ),
        ("metadata", "2 of 3", "/roles/3/version", json!(5)),
        (
            "delivery",
            "packs/0000.tar.zst",
            "/delivery/kind",
            json!("full"),
        ),
        (
            "provenance",
            "acme-2.5.0.toml",
            "/statement/predicate/runDetails/builder/id",
            json!("pkg:generic/maker@1"),
        ),
    ] {
        let out = desk
            .trusting(&["inspect", "acme.bundle", section])
            .ends(0)
            .out();
        assert!(out.contains(text), "{section}: {out}");
        let json = desk
            .trusting(&["inspect", "acme.bundle", section, "--output", "json"])
            .ends(0)
            .json();
        assert_eq!(json.pointer(pointer), Some(&value), "{section}: {json:#}");
    }
    let default = desk.trusting(&["inspect", "acme.bundle"]).ends(0).out();
    assert!(default.contains("release digest") && default.contains("<b>\\u{202e}"));
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn extract_makes_what_a_site_would_have() {
    let desk = Desk::new();
    let all = ["extract", "acme.bundle", "all", "-o", "out"];
    let out = desk.trusting(&all).ends(0).out();
    assert!(out.contains("web/shop/pages\n"), "{out}");
    let pages = desk.path("out/files/web/shop/pages");
    assert_eq!(mode(&pages.join("bin/check")), 0o755);
    assert_eq!(mode(&pages.join("bin/check2")), 0o644);
    assert_eq!(mode(&pages.join("bin")), 0o755);
    assert!(pages.join("empty").is_dir());
    let (one, other) = (pages.join("bin/check"), pages.join("bin/check2"));
    assert_ne!(
        one.metadata().unwrap().ino(),
        other.metadata().unwrap().ino()
    );
    assert_eq!(fs::read(one).unwrap(), fs::read(other).unwrap());
    assert_eq!(
        fs::read_link(pages.join("sub/link")).unwrap(),
        Path::new("../index.html")
    );
    assert_eq!(
        fs::read(desk.path("out/files/core/api/site.toml")).unwrap(),
        b"port = 8080\n"
    );
    let manifest = Digest::of(&Sample::rich().stored[0]);
    assert!(
        desk.path(&format!("out/images/blobs/sha256/{manifest}"))
            .exists()
    );
    assert!(desk.path("out/images/oci-layout").exists());
    let index: Value =
        serde_json::from_slice(&fs::read(desk.path("out/images/index.json")).unwrap()).unwrap();
    assert_eq!(
        index["manifests"][0]["digest"],
        json!(format!("sha256:{manifest}"))
    );
    for (path, content) in Sample::rich().parts().head {
        assert_eq!(
            fs::read(desk.path(&format!("out/bundle/{path}"))).unwrap(),
            content
        );
    }
    assert_eq!(
        fs::read_dir(desk.path("out")).unwrap().count(),
        3,
        "nothing is left over"
    );

    // Never over anything.
    desk.trusting(&all).fails(1, "already-exists");
    assert_eq!(fs::read_dir(desk.path("out")).unwrap().count(), 3);
}

#[test]
fn extract_takes_single_things() {
    let desk = Desk::new();
    let tree = |name: &str| -> Vec<String> {
        let mut found = Vec::new();
        let mut left = vec![desk.path(name)];
        while let Some(dir) = left.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    left.push(path);
                } else {
                    let base = desk.path(name);
                    found.push(path.strip_prefix(base).unwrap().display().to_string());
                }
            }
        }
        found.sort();
        found
    };
    let blob = Digest::of(b"port = 8080\n");
    for (number, (item, expected)) in [
        ("release.json", vec!["release.json".to_owned()]),
        ("provenance", vec!["provenance.json".to_owned()]),
        ("notices", vec!["files/core/api/license.txt".into()]),
        (
            "core/api/site.toml",
            vec!["files/core/api/site.toml".into()],
        ),
        (&*format!("sha256:{blob}"), vec![blob.to_hex()]),
    ]
    .into_iter()
    .enumerate()
    {
        let to = format!("out{number}");
        desk.trusting(&["extract", "acme.bundle", item, "-o", &to])
            .ends(0);
        assert_eq!(tree(&to), expected);
    }
    desk.trusting(&["extract", "acme.bundle", "core/api", "-o", "api"])
        .ends(0);
    assert_eq!(tree("api").len(), 2 + 3 + 2);
    for (item, status, code) in [
        ("core", 1, "not-found"),
        ("../etc", 1, "not-found"),
        (&*format!("sha256:{}", "0".repeat(64)), 1, "not-found"),
        ("sha256:12", 2, "usage"),
    ] {
        desk.trusting(&["extract", "acme.bundle", item, "-o", "no"])
            .fails(status, code);
        assert!(!desk.path("no").exists());
    }
}

#[test]
fn extract_follows_no_link_and_leaves_nothing_half() {
    let desk = Desk::new();
    fs::create_dir_all(desk.path("to")).unwrap();
    std::os::unix::fs::symlink(desk.path("elsewhere"), desk.path("to/files")).unwrap();
    fs::create_dir(desk.path("elsewhere")).unwrap();
    desk.trusting(&["extract", "acme.bundle", "web/shop", "-o", "to"])
        .fails(1, "already-exists");
    assert_eq!(fs::read_dir(desk.path("elsewhere")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(desk.path("to")).unwrap().count(), 1);
}

#[test]
fn a_folder_can_be_a_repository() {
    for (consistent, split) in [(false, true), (true, true), (false, false)] {
        let desk = Desk::new();
        let members = Sample::rich().members();
        let mut first = root(1);
        first["consistent_snapshot"] = json!(consistent);
        let first = sign(&first, &[1, 2]);
        let roles = Roles::new(7, &members);
        desk.put("1.root.json", &first);
        desk.put("repo/metadata/1.root.json", &first);
        let named = |name: &str, role: &Value, prefix: bool| {
            let prefix = if prefix { "7." } else { "" };
            desk.put(
                &format!("repo/metadata/{prefix}{name}.json"),
                &sign(role, &[RELEASE]),
            );
        };
        named("timestamp", &roles.timestamp, false);
        named("snapshot", &roles.snapshot, consistent);
        named("targets", &roles.targets, consistent);
        let targets = if split { "repo/targets" } else { "repo" };
        let served = |path: &str, content: &[u8]| match path.rsplit_once('/') {
            _ if !consistent => format!("{targets}/{path}"),
            Some((dir, name)) => format!("{targets}/{dir}/{}.{name}", Digest::of(content)),
            None => format!("{targets}/{}.{path}", Digest::of(content)),
        };
        for (path, content) in &members {
            desk.put(&served(path, content), content);
        }
        let out = desk
            .trusting(&["verify", "repo", "--report", "r.html"])
            .ends(0)
            .out();
        assert!(
            out.contains("files ") && out.ends_with("\nauthentic\n"),
            "{out}"
        );

        let (path, content) = &members[0];
        desk.put(&served(path, content), b"other");
        let answer = desk
            .trusting(&["verify", "repo"])
            .fails(3, "length-mismatch");
        assert!(answer.out().lines().last().unwrap().starts_with("files "));
        let mut changed = content.clone();
        changed[0] ^= 1;
        desk.put(&served(path, content), &changed);
        desk.trusting(&["verify", "repo"])
            .fails(3, "digest-mismatch");
        fs::remove_file(desk.path(&served(path, content))).unwrap();
        desk.trusting(&["verify", "repo"]).fails(3, "incomplete");

        named("snapshot", &Roles::new(8, &members).snapshot, consistent);
        let answer = desk.trusting(&["verify", "repo"]).ends(3);
        let last = answer.out().lines().last().unwrap().to_owned();
        assert!(
            last.starts_with("snapshot ") && last.ends_with("FAILED"),
            "{last}"
        );
    }
}

#[test]
fn documents_of_the_program_can_be_made() {
    let desk = Desk::new();
    assert!(
        desk.run(&["completions", "bash"])
            .ends(0)
            .out()
            .contains("sealift-verifier")
    );
    desk.run(&["man", "pages"]).ends(0);
    assert!(desk.path("pages/sealift-verifier-verify.1").exists());
}
