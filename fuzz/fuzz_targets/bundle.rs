//! Any bytes as a bundle: never a panic, and never authentic unless they are the seed.
//!
//! The seeds are real bundles with their first root as the trusted one; whatever libFuzzer makes of them has to
//! be refused, because not one byte of a bundle is free.
#![no_main]

use std::{io::Write, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use sealift_verifier::{
    bundle::{Bundle, Trust},
    time::Time,
};

/// `fuzz/run` puts the trusted root of the seeds here.
static ROOT: LazyLock<Vec<u8>> = LazyLock::new(|| std::fs::read("corpus/1.root.json").expect("run fuzz/run"));
static NOW: LazyLock<Time> = LazyLock::new(|| "2026-07-01T00:00:00Z".parse().expect("a time"));

fuzz_target!(|bytes: &[u8]| {
    let memory = rustix::fs::memfd_create("bundle", rustix::fs::MemfdFlags::CLOEXEC).expect("memfd");
    let mut file = std::fs::File::from(memory);
    file.write_all(bytes).expect("memory");
    let Ok(unverified) = Bundle::open(file, "fuzz") else { return };
    let Ok(authentic) = unverified.verify(&Trust::from_root(ROOT.clone()), *NOW, &mut |_| ()) else { return };
    let _ = authentic.required_blobs();
    let _ = authentic.verify_payload(1, &|_| ());
});
