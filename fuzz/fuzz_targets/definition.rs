//! Any bytes as the definitions of a release and of a capability: never a panic, always a plan or problems.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealift_bundler::check::check;

fuzz_target!(|bytes: &[u8]| {
    // Two definitions in one input, so that each can refer to the other.
    let middle = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let (release, capability) = bytes.split_at(middle);
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("catalog/capabilities/a/b/1.0.0");
    std::fs::create_dir_all(&place).expect("a folder");
    std::fs::write(folder.path().join("release.toml"), release).expect("a file");
    std::fs::write(place.join("capability.toml"), capability.get(1..).unwrap_or_default()).expect("a file");
    let _ = check(&folder.path().join("release.toml"), None);
});
