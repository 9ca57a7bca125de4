//! `sealift-verifier`: says who signed a bundle, shows what is in it, and takes it out. Reads bundles only;
//! writes nothing but what is asked for, and never over something that is there.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod cli;
mod extract;
mod report;

use std::{io, process::ExitCode, time::SystemTime};

fn main() -> ExitCode {
    #[expect(
        clippy::disallowed_methods,
        reason = "the only place that reads the clock"
    )]
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seconds = clock.map_or(0, |since| since.as_secs());
    cli::run(
        std::env::args_os(),
        seconds,
        &mut io::stdout().lock(),
        &mut io::stderr(),
    )
}
