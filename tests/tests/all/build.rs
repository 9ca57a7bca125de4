//! Building: the same bytes everywhere, several signers, bad input, and what is left when it ends early.

mod cache;
mod cut;
mod input;
mod sealing;

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use sealift_tests::{
    args,
    program::Program,
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
        "a4d0438accadfabc30b6087c15253f4c1112da27a5ee03934e0c96d52948e48f"
    );
    assert_eq!(
        Digest::of(&read(&out)).to_hex(),
        "2e78d4f8c08d43da22ba2ca70530616a7614cb5128577de3d5abf6ec26642392"
    );
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
    for code in ["unknown-key", "version-invalid", "version-missing"] {
        assert!(said.stderr.contains(code), "{}", said.stderr);
    }
    assert!(said.stderr.contains("broken.toml:1:1"), "{}", said.stderr);
}
