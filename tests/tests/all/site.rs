//! What an operator meets at a site beside the straight way: a colleague at the same time, media of all
//! kinds, a bad sector, a release that is too old.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::symlink,
    process::{Child, Command},
    time::{Duration, Instant},
};

use sealift_tests::{args, sandbox::Sandbox, site::Site, vendor::Vendor};

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(
            begin.elapsed() < Duration::from_mins(1),
            "waited too long until {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn ends_well(mut child: Child) {
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_second_of_two_installers_says_who_holds_the_lock() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let bundle = vendor
        .release("1.0.0", 1)
        .capability("a/b", "config")
        .file("f", "1")
        .build();
    let other = vendor
        .release("1.1.0", 2)
        .capability("a/b", "config")
        .file("f", "2")
        .build();
    let hook = "#!/bin/sh\ncd \"${SEALIFT_CURRENT%/*}\"\ntouch started\nwhile [ ! -e go ]; do sleep 0.05; done\n";
    let site = Site::with_hook(&sandbox, &vendor.root(), hook);

    let first = site.command(args!["apply", bundle, "--yes"]).spawn();
    wait_until("the hook runs", || site.state().join("started").exists());
    let holder = format!("process {}", first.id());
    for command in [
        args!["apply", other, "--yes"].to_vec(),
        args!["rollback"].to_vec(),
        args!["prune", "--keep", "1"].to_vec(),
        args!["recover"].to_vec(),
    ] {
        let said = site.installer(command).fails_with("site-locked");
        assert!(
            said.stderr.contains(&first.id().to_string()),
            "{holder}: {}",
            said.stderr
        );
        assert!(said.stderr.contains("apply"), "{}", said.stderr);
    }
    // Looking is always allowed.
    site.installer(args!["status"]).ok();
    site.installer(args!["plan", other]).ok();

    fs::write(site.state().join("go"), "").unwrap();
    ends_well(first);
    assert_eq!(site.current(), Some(1));
}

/// A small file system of its own that is unmounted at the end.
struct Medium(std::path::PathBuf);

impl Medium {
    fn new(sandbox: &Sandbox) -> Self {
        let folder = sandbox.join("medium");
        fs::create_dir(&folder).unwrap();
        let medium = Self(folder);
        medium.mount(&["-t", "tmpfs", "-o", "size=16m", "medium"]);
        medium
    }

    fn mount(&self, options: &[&str]) {
        let status = Command::new("mount")
            .args(options)
            .arg(&self.0)
            .status()
            .unwrap();
        assert!(status.success(), "mount needs root");
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_bundle_comes_from_a_read_only_medium_and_through_a_link_but_from_no_pipe() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let bundle = vendor
        .release("1.0.0", 1)
        .capability("a/b", "config")
        .file("f", "1")
        .build();
    let site = Site::new(&sandbox, &vendor.root());

    let medium = Medium::new(&sandbox);
    fs::copy(&bundle, medium.0.join("x.bundle")).unwrap();
    medium.mount(&["-o", "remount,ro"]);
    let link = sandbox.join("link.bundle");
    symlink(medium.0.join("x.bundle"), &link).unwrap();
    site.installer(args!["plan", link]).ok();
    site.apply(&link).ok();
    assert_eq!(site.file("a/b/f"), b"1");

    let pipe = sandbox.join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    for path in [pipe, "/dev/zero".into(), medium.0.clone()] {
        let _ = site.apply(&path).fails_with("not-a-regular-file");
    }
    site.is_sound();
}

#[test]
fn a_full_disk_does_not_close_the_way_back() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let bundle = |version, counter| {
        let draft = vendor.release(version, counter);
        let app = draft.capability("a/b", "config");
        app.file("f", version).build()
    };
    let medium = Medium::new(&sandbox);
    let site = Site::with(&sandbox, "medium/site", &vendor.root(), &[]);
    site.apply(&bundle("1.0.0", 1)).ok();
    site.apply(&bundle("2.0.0", 2)).ok();
    let mut fill = fs::File::create(medium.0.join("fill")).unwrap();
    while fill.write_all(&[0; 512]).is_ok() {}
    let next = bundle("3.0.0", 3);
    let said = site.apply(&next);
    assert!(matches!(said.code(), Some(1 | 4)), "{said}");
    site.installer(args!["rollback"]).ok();
    assert_eq!(site.file("a/b/f"), b"1.0.0");
    // And it is in the log, like everything else.
    let said = site.installer(args!["audit", "verify", "--output", "json"]);
    assert_eq!(said.ok().json()["open"], serde_json::json!([]));
    let shown = site.installer(args!["audit", "show", "--action", "rollback"]);
    assert!(shown.ok().text().contains("rollback done"));
    drop(fill);
    fs::remove_file(medium.0.join("fill")).unwrap();
    site.is_sound();
    site.apply(&next).ok();
    assert!(site.state().join("reserve").exists());
}

#[test]
fn a_bad_sector_is_found_named_and_repaired_from_the_bundle() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let content = "what the release is about";
    let bundle = vendor
        .release("1.0.0", 1)
        .capability("a/b", "config")
        .file("f", content)
        .build();
    let site = Site::new(&sandbox, &vendor.root());
    site.apply(&bundle).ok();

    let file = site.state().join("current/files/a/b/f");
    let mut bytes = fs::read(&file).unwrap();
    bytes[3] ^= 1;
    // The same file, as a disk damages it: not a new one in its place.
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    fs::write(&file, &bytes).unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o444)).unwrap();

    let said = site.installer(args!["fsck"]).exits(1);
    assert!(said.text().contains("store/"), "{}", said.text());
    assert_eq!(site.file("a/b/f"), bytes, "looking repairs nothing");
    site.installer(args!["fsck", "--from", bundle]).ok();
    assert_eq!(site.file("a/b/f"), content.as_bytes());
    site.is_sound();
}

#[test]
fn nothing_goes_back_below_the_security_floor() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let release = |version: &str, counter| {
        vendor
            .release(version, counter)
            .capability("a/b", "config")
            .file("f", version)
    };
    let [old, fixed, newer] = [
        release("1.0.0", 1).build(),
        release("1.1.0", 2)
            .field("security-floor = \"1.1.0\"")
            .build(),
        release("1.2.0", 3).build(),
    ];
    let site = Site::new(&sandbox, &vendor.root());
    for bundle in [&old, &fixed, &newer] {
        site.apply(bundle).ok();
    }
    site.installer(args!["rollback"]).ok();
    assert_eq!(site.file("a/b/f"), b"1.1.0");
    let said = site.installer(args!["rollback", "--to", "1"]);
    assert_eq!(said.code(), Some(4), "{said}");
    let _ = said.fails_with("below-security-floor");
    // Nor does the bundle of the old release come in again.
    let said = site.apply(&old);
    assert_eq!(said.code(), Some(4), "{said}");
    let _ = said.fails_with("counter-too-low");
    assert_eq!(site.file("a/b/f"), b"1.1.0");
}
