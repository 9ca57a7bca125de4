//! Tests of the bundler through its program; one binary, so that it links once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod check;
mod diff;
mod support;
