//! Bundles made by hand, byte by byte, and what becomes of them when somebody changes them.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::needless_pass_by_value,
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "tests may panic, and tables of cases are long"
)]

mod hostile;
mod maker;
mod plain_tools;
mod program;
mod properties;
