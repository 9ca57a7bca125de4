//! `init`: makes a site.

use std::{fmt::Write as _, fs::File, io::Read as _, path::PathBuf};

use clap::ValueEnum;
use sealift_verifier::{digest::Digest, limits, release::Mode};
use serde_json::json;

use super::{Answer, Failed, Scene, read_small};
use crate::{
    error::Error,
    init::{self, Options},
    state::ClockPolicy,
};

/// Make a site in a new or empty folder (--state)
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The vendor's root file, such as 1.root.json; get it on another way than the bundles
    #[arg(long, value_name = "FILE")]
    root_file: PathBuf,
    /// The SHA-256 of the root file, as the vendor told it
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<Digest>,
    /// The customer's own root file, whose keys sign the site's policy and count beside the vendor's
    #[arg(long, value_name = "FILE", requires = "customer_fingerprint")]
    customer_root: Option<PathBuf>,
    /// The SHA-256 of the customer's root file
    #[arg(long, value_name = "HEX", requires = "customer_root")]
    customer_fingerprint: Option<Digest>,
    /// Whether what is expired by the local clock is refused, or only what is by signed times
    #[arg(long, value_enum, default_value_t = Clock::Enforce)]
    clock: Clock,
    /// Where the site is: saas, dedicated, on-prem or edge; releases for another mode are refused
    #[arg(long)]
    mode: Option<Mode>,
    /// A program that restarts services; run after every move of `current` with `SEALIFT_CURRENT`,
    /// `SEALIFT_GENERATION`, `SEALIFT_PREVIOUS` and `SEALIFT_VERSION`, for at most 120 seconds
    #[arg(long, value_name = "PATH")]
    activate_hook: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Clock {
    /// The local clock counts.
    Enforce,
    /// What has expired by the local clock alone needs people who approve it.
    Approve,
    /// Only signed times count: for machines whose clock is known to be wrong.
    Ignore,
}

pub(super) fn run(args: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let named = |e| Error::io(args.root_file.display(), e);
    let mut root = Vec::new();
    File::open(&args.root_file)
        .and_then(|file| file.take(limits::METADATA_BYTES).read_to_end(&mut root))
        .map_err(named)?;
    let customer = args.customer_root.as_ref().zip(args.customer_fingerprint);
    let customer = customer
        .map(|(path, fingerprint)| {
            let (bytes, _) = read_small(path, limits::METADATA_BYTES)?;
            Ok::<_, Error>((bytes, fingerprint))
        })
        .transpose()?;
    let hook = args.activate_hook.as_ref().map(std::path::absolute);
    let options = Options {
        root,
        fingerprint: args.fingerprint,
        customer,
        clock: match args.clock {
            Clock::Enforce => ClockPolicy::Enforce,
            Clock::Approve => ClockPolicy::Approve,
            Clock::Ignore => ClockPolicy::Ignore,
        },
        mode: args.mode,
        activate_hook: hook
            .transpose()
            .map_err(|e| Error::io("activate hook", e))?,
    };
    let site = init::init(&scene.state, scene.disk, &options, &scene.context)?;
    let state = site.state();
    let folder = site.dir().path().display().to_string();
    let fingerprint = state.trust.root_digest;
    let mut text = format!(
        "site {} made in {folder}\ntrusted root: version {}, fingerprint {fingerprint}\n",
        state.site, state.trust.root
    );
    if let Some(customer) = &state.trust.customer {
        let _ = writeln!(
            text,
            "customer's root: version {}, fingerprint {}",
            customer.version, customer.digest
        );
    }
    if state.trust.development {
        text.push_str(super::status::DEVELOPMENT);
    }
    let json = json!({
        "site": state.site,
        "state-folder": folder,
        "root": { "version": state.trust.root, "fingerprint": fingerprint },
        "customer-root": state.trust.customer.as_ref().map(super::trust::root_json),
        "mode": state.mode,
        "development": state.trust.development,
    });
    Ok(Answer { text, json })
}
