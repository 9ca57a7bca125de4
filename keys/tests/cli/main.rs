//! `sealift-keys` as people use it: every test goes through the program itself.
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, and says where"
)]

mod key_files;
mod licenses;
mod rotation;
mod signing;
mod statements;
mod support;
