//! No byte of a bundle is without meaning: each one changed, and each length but the right one, is a refusal.
//!
//! All positions go through the libraries, as `plan` goes through them: metadata, layout, manifests, payload,
//! completeness. A sample of them goes through every program.

use std::{fs::File, io::Read, ops::Range, os::unix::fs::FileExt as _};

use sealift_installer::{
    Code, Error,
    apply::{Applied, apply},
    audit::Who,
    disk::RealDisk,
    plan::plan,
    site::{Context, Locked, Silent, Site as Opened},
};
use sealift_tests::{args, listing::Listing, sandbox::Sandbox, site::Site};
use sealift_verifier::{
    Code as Refused,
    bundle::{Bundle, Sink, Trust},
    release::BlobRef,
};

use super::{
    forge::{Attack, good},
    maker::{file_of, now},
};

/// A sandbox with a site that runs an honest older release, and the bundle that arrives there.
fn scene() -> (Sandbox, Site, Vec<u8>) {
    let sandbox = Sandbox::new();
    let attack = Attack::from(good());
    let root = sandbox.write("root.json", attack.trusted());
    let site = Site::with(&sandbox, "site", &root, &["--clock", "ignore"]);
    site.apply(&sandbox.write("prior.bundle", attack.prior()))
        .ok();
    (sandbox, site, attack.bundle)
}

static WHO: Who = Who {
    uid: 0,
    user: String::new(),
    login: String::new(),
};

fn context() -> Context<'static> {
    Context {
        now: now(),
        threads: 1,
        who: &WHO,
        progress: &Silent,
        overrides: Vec::new(),
        program: std::path::Path::new("/nonexistent"),
    }
}

/// Reads blobs to their ends.
struct Drain;

impl Sink for Drain {
    fn blob(&self, _: BlobRef, content: &mut dyn Read) -> std::io::Result<()> {
        std::io::copy(content, &mut std::io::sink()).map(|_| ())
    }
}

/// What `verify --contents` does.
fn verify(file: &File, trust: &Trust) -> Result<(), Refused> {
    let all = || {
        let bundle = Bundle::open(file.try_clone().unwrap(), "x.bundle")?;
        let bundle = bundle.verify(trust, now(), &mut |_| {})?;
        bundle.verify_payload(1, &|_| {})?;
        bundle.required_blobs()?;
        bundle.read_blobs(&|_| true, &Drain, 1, &|_| {})
    };
    all().map_err(|e: sealift_verifier::Error| e.kind())
}

/// Does `work` on every part of `0..length`, with a thread for each.
fn in_parts(length: usize, work: impl Fn(Range<usize>) + Sync) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = length.div_ceil(threads);
    std::thread::scope(|scope| {
        for start in (0..length).step_by(share) {
            let work = &work;
            scope.spawn(move || work(start..(start + share).min(length)));
        }
    });
}

#[test]
fn each_changed_byte_is_refused_before_anything_is_planned() {
    let (_sandbox, site, bundle) = scene();
    let before = site.listing();
    in_parts(bundle.len(), |positions| {
        let opened = Opened::open(site.state()).unwrap();
        let file = file_of(&bundle);
        for position in positions {
            let byte = bundle[position];
            file.write_all_at(&[byte ^ (1 << (position % 8))], position as u64)
                .unwrap();
            match plan(&opened, file.try_clone().unwrap(), "x.bundle", &context()) {
                Err(Error::Verifier(e)) if e.kind().is_not_authentic() => {}
                Err(e) => panic!("byte {position}: {e}"),
                Ok(_) => panic!("byte {position} of {} does not count", bundle.len()),
            }
            file.write_all_at(&[byte], position as u64).unwrap();
        }
        plan(&opened, file, "x.bundle", &context()).unwrap();
    });
    assert_eq!(before.differences(&site.listing()), [""; 0]);
}

#[test]
fn each_wrong_length_is_refused_as_truncated() {
    let (_sandbox, site, bundle) = scene();
    let trust = Trust::from_root(super::forge::first());
    in_parts(bundle.len(), |lengths| {
        let opened = Opened::open(site.state()).unwrap();
        let file = file_of(&bundle);
        for length in lengths.rev() {
            file.set_len(length as u64).unwrap();
            assert_eq!(
                verify(&file, &trust),
                Err(Refused::Truncated),
                "{length} bytes"
            );
            // Both walk the same way; every seventh length is enough to see it.
            if length % 7 == 0 {
                let planned = plan(&opened, file.try_clone().unwrap(), "x.bundle", &context());
                let Err(Error::Verifier(e)) = planned else {
                    panic!("cut to {length} bytes")
                };
                assert_eq!(e.kind(), Refused::Truncated, "{length} bytes");
            }
        }
    });
}

#[test]
fn an_apply_asks_nobody_about_a_bundle_whose_head_was_changed() {
    let (_sandbox, site, bundle) = scene();
    let before = site.listing().without("lock").without("audit");
    let locked = Locked::take(site.state(), &RealDisk, "apply", now()).unwrap();
    let mut ready = locked.recover(&context()).unwrap().0;
    let file = file_of(&bundle);
    let mut declined = |_: &_| Err(Error::new(Code::Declined, "apply", "this is a test"));
    let mut apply = |file: &File| -> Result<Applied, Error> {
        apply(
            &mut ready,
            file.try_clone().unwrap(),
            "x.bundle",
            &mut declined,
            &context(),
        )
    };
    // The payload is read when it is copied, after somebody agreed: the programs below do that.
    let head = super::forge::position(&good(), "packs/0000.tar.zst") + 512;
    for position in (0..head).step_by(5) {
        let byte = bundle[position];
        file.write_all_at(&[byte ^ 0x20], position as u64).unwrap();
        let Err(Error::Verifier(e)) = apply(&file) else {
            panic!("byte {position} does not count")
        };
        assert!(e.kind().is_not_authentic(), "byte {position}: {e}");
        file.write_all_at(&[byte], position as u64).unwrap();
    }
    assert_eq!(apply(&file).unwrap_err().kind(), Some(Code::Declined));
    assert_eq!(
        before.differences(&site.listing().without("lock").without("audit")),
        [""; 0]
    );
}

#[test]
fn a_sample_of_changed_bytes_is_refused_by_every_program() {
    let (sandbox, site, mut bundle) = scene();
    let kept = |listing: Listing| {
        listing
            .without("lock")
            .without("audit")
            .without("state.json")
            .without("state.copy.json")
    };
    let before = kept(site.listing());
    let path = sandbox.join("x.bundle");
    let out = sandbox.join("out");
    // Prime, so that all fields of headers have their turn.
    for position in (0..bundle.len()).step_by(499) {
        bundle[position] ^= 0x01;
        sandbox.write("x.bundle", &bundle);
        bundle[position] ^= 0x01;
        let verifier = |command: &str| {
            let program = sandbox.program("sealift-verifier");
            let root = sandbox.join("root.json");
            program.args(args![
                command,
                path,
                "--root",
                root,
                "--at",
                "2026-06-01T00:00:00Z"
            ])
        };
        let _ = verifier("verify").run().exits(3);
        let _ = verifier("extract")
            .args(args!["all", "--to", out])
            .run()
            .exits(3);
        let _ = site.installer(args!["plan", path]).exits(3);
        let _ = site.apply(&path).exits(3);
        assert!(!out.exists(), "byte {position}");
    }
    assert_eq!(before.differences(&kept(site.listing())), [""; 0]);
    // The bundle itself is what it was all the time.
    sandbox.write("x.bundle", &bundle);
    site.apply(&path).ok();
    site.is_sound();
}
