//! The language that tests are written in: sandboxes, vendors, sites and repositories, and what has to
//! come of running the real programs in them.
//!
//! A test says what it does and what has to come of it; whatever else happens makes it panic, with the
//! command, its exit code and everything it wrote:
//!
//! ```no_run
//! use sealift_tests::{args, sandbox::Sandbox};
//!
//! let sandbox = Sandbox::new();
//! let verifier = sandbox.program("sealift-verifier");
//! verifier.args(args!["verify", "no.bundle", "--root", "root.json"]).run().fails_with("not-found");
//! ```
//!
//! The programs are those beside the test executable, in the folder of the same profile; `./test` builds
//! them. Environment, umask, home and time of what runs are fixed ([`program`]).
#![allow(clippy::missing_panics_doc, reason = "panicking is how a test fails")]

pub mod http;
pub mod listing;
pub mod program;
pub mod sandbox;
pub mod service;
pub mod site;
pub mod token;
pub mod tuf;
pub mod vendor;
