//! Every test that crosses crates, in one binary so that it links once.
#![allow(clippy::unwrap_used, reason = "panicking is how a test fails")]
#![allow(
    clippy::disallowed_methods,
    reason = "files of tests need not survive anything"
)]

mod admission;
mod audit;
mod build;
mod compat;
mod cuts;
mod docs;
mod errors;
mod hostile;
mod interop;
mod others;
mod provenance;
mod rego;
mod report;
mod resolve;
mod sbom;
mod schemas;
mod site;
mod site_pins;
mod size;
mod story;
mod token;
mod trust;
mod tuf;
mod workspace;
