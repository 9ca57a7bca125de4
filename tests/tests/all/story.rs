//! The whole way of a release, through the real programs: built, carried, verified, installed, upgraded,
//! survived, taken back.

use sealift_tests::{
    args,
    sandbox::{Sandbox, read},
    service::{self, EndService},
    site::Site,
    vendor::Vendor,
};

#[test]
fn acme_goes_over_the_gap_and_survives_a_bad_release() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let port = service::free_port();
    let acme = vendor.acme(port);
    let [first, second, patch, bad] =
        ["2.4.0", "2.5.0", "2.5.1", "2.6.0"].map(|version| vendor.build(&acme.definition(version)));

    let site = Site::with_hook(&sandbox, &vendor.root(), service::hook());
    let _end = EndService::of(&site);
    let version = || service::ask(port, "/version").map(|text| text.trim().to_owned());
    let runs = || site.status()["current"]["version"].clone();

    site.apply(&first).ok();
    assert_eq!((runs(), site.current()), ("2.4.0".into(), Some(1)));
    let old = version();
    site.apply(&second).ok();
    assert_eq!((runs(), site.current()), ("2.5.0".into(), Some(2)));
    let new = version();
    assert!(
        old.is_some() && new.is_some() && old != new,
        "{old:?} {new:?}"
    );

    // The bad release goes back by itself, to the very service that ran before.
    site.apply(&bad).exits(5);
    assert_eq!(
        (runs(), site.current(), version()),
        ("2.5.0".into(), Some(2), new.clone())
    );
    site.is_sound();

    site.apply(&patch).ok();
    assert_eq!(runs(), "2.5.1");
    site.installer(args!["rollback"]).ok();
    assert_eq!(
        (runs(), site.current(), version()),
        ("2.5.0".into(), Some(2), new)
    );
    site.is_sound();
}

#[test]
fn what_was_installed_is_exactly_what_the_vendor_had() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let bundle = vendor
        .release("1.0.0", 1)
        .capability("core/app", "service")
        .file("data", "some data")
        .program("bin/check", "exit 0")
        .tree("site", &[("index.html", b"<p>"), ("deep/er/file", b"")])
        .healthy_if("bin/check")
        .build();
    let site = Site::new(&sandbox, &vendor.root());
    site.apply(&bundle).ok();
    assert_eq!(site.file("core/app/data"), b"some data");
    assert_eq!(site.file("core/app/bin/check"), b"#!/bin/sh\nexit 0\n");
    assert_eq!(site.file("core/app/site/index.html"), b"<p>");
    assert_eq!(site.file("core/app/site/deep/er/file"), b"");
    site.is_sound();

    let out = sandbox.join("exported.bundle");
    site.installer(args!["export", "1", "-o", out]).ok();
    assert_eq!(read(&out), read(&bundle));
}

#[test]
fn the_same_release_again_writes_nothing() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let release = vendor.release("1.0.0", 1).capability("core/app", "service");
    let bundle = release.file("data", "some data").build();
    let site = Site::new(&sandbox, &vendor.root());
    site.apply(&bundle).ok();
    let before = site.listing().without("lock");
    site.apply(&bundle).ok();
    let after = site.listing().without("lock");
    assert_eq!(before.differences(&after), [""; 0]);
    assert_eq!(before.rewritten(&after), [""; 0]);
    assert_eq!(site.mutating_calls(args!["apply", bundle, "--yes"]), 0);
}
