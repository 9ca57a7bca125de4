//! How many signatures a key makes in a second: `cargo run -p sealift-keys --example signing_speed -- KEY COUNT`.
//! The passphrase or PIN is asked for, unless it is in the URI.

use std::{error::Error, time::Instant};

use sealift_keys::{
    passphrase::{PassphraseSource, Passphrases},
    signer,
};

#[expect(clippy::print_stdout, reason = "this is a program")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let key = arguments.next().ok_or("which key?")?.into();
    let count: u32 = arguments
        .next()
        .ok_or("how often?")?
        .to_string_lossy()
        .parse()?;
    let begin = Instant::now();
    let signer = signer::open(&key, &mut Passphrases::new(PassphraseSource::Prompt))?;
    let opened = begin.elapsed();
    for length in [100, 10_000, 1_000_000] {
        let message = vec![7; length];
        let begin = Instant::now();
        for _ in 0..count {
            signer.sign(&message)?;
        }
        let rate = f64::from(count) / begin.elapsed().as_secs_f64();
        println!("{rate:.0} signatures a second of {length} bytes");
    }
    println!("opened in {} ms", opened.as_millis());
    Ok(())
}
