//! `build`: from a release definition to one signed bundle.

use std::{fmt::Write as _, path::PathBuf};

use indicatif::DecimalBytes;
use sealift_keys::{
    passphrase::{PassphraseSource, Passphrases},
    signer::{FileSigner, Signer},
};
use serde_json::json;

use super::{Answer, Surroundings, cache::CacheArgs, compat::follow, progress::Bars};
use crate::{
    build::{self, threads},
    check, collect,
    error::Result,
    metadata::Roots,
    plan::Plan,
};

/// Build a release definition into one signed bundle
///
/// The same definition, contents and keys give the same bytes on any machine. If the root asks for more
/// signatures than keys are given here, OUT is left without them, beside OUT.tosign for the other signers.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The release definition
    #[arg(value_name = "RELEASE.toml")]
    definition: PathBuf,
    /// A release key (PKCS#8 PEM); may be given several times
    #[arg(long = "key", value_name = "PEM", required = true)]
    keys: Vec<PathBuf>,
    /// The folder with 1.root.json and all that followed it
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// The bundle to write
    #[arg(short, long = "out", value_name = "OUT")]
    out: PathBuf,
    /// Read the passphrase of the keys from the first line of a file
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_fd")]
    passphrase_file: Option<PathBuf>,
    /// Read the passphrase of the keys from an open file descriptor
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<u32>,
    /// The release before this one, a bundle or a definition, that its type follows from; for each mode that is built
    /// one of them. Goes before `previous` of the definition
    #[arg(long, value_name = "BUNDLE")]
    previous: Vec<PathBuf>,
    /// Only say what would be built: read all definitions and contents, write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    cache: CacheArgs,
}

impl Args {
    fn follow(&self, plan: &mut Plan, around: &Surroundings) -> Result<()> {
        let roots = std::slice::from_ref(&self.root);
        follow(plan, &self.definition, &self.previous, roots, around).map(|_| ())
    }
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<Answer> {
    let options = around.options()?;
    if args.dry_run {
        let mut plan = check::check(&args.definition, &options)?;
        args.follow(&mut plan, around)?;
        return Ok(Answer {
            text: format!(
                "would build {} {} with {} capabilities, release counter {}; nothing was written\n",
                plan.release.product,
                plan.release.version,
                plan.capabilities.len(),
                plan.counter
            ),
            json: json!({
                "dry-run": true,
                "product": plan.release.product,
                "version": plan.release.version,
                "counter": plan.counter,
                "capabilities": plan.capabilities.len(),
            }),
        });
    }
    let mut plan = collect::plan(&args.definition, &options)?;
    args.follow(&mut plan, around)?;
    let roots = Roots::read(&args.root, plan.release.published)?;
    let source = match (&args.passphrase_file, args.passphrase_fd) {
        (Some(file), _) => PassphraseSource::File(file.clone()),
        (None, Some(number)) => PassphraseSource::Descriptor(number),
        (None, None) => PassphraseSource::Prompt,
    };
    let mut passphrases = Passphrases::new(source);
    let signers = args
        .keys
        .iter()
        .map(|path| FileSigner::open(path, &mut passphrases));
    let signers = signers.collect::<Result<Vec<_>, _>>()?;
    let signers: Vec<&dyn Signer> = signers.iter().map(|s| s as _).collect();
    let (cache, unusable) = args.cache.open(around)?;
    let built = build::build(
        &plan,
        &roots,
        &signers,
        &args.out,
        threads(),
        &cache,
        &Bars::new(),
    )?;

    let out = args.out.display();
    let size = DecimalBytes(built.bytes);
    let mut text = format!(
        "{out}: {} {}, release counter {}, {size}\nrelease digest {}\n",
        plan.release.product, plan.release.version, plan.counter, built.release
    );
    if built.cached > 0 {
        let (cached, unread) = (DecimalBytes(built.cached), DecimalBytes(built.unread));
        let _ = writeln!(
            text,
            "from the cache: {cached} of it; {unread} of content were not read"
        );
    }
    if let Some(reason) = &unusable {
        let _ = writeln!(text, "without a cache: {reason}");
    }
    if let Some((count, request)) = &built.missing {
        let request = request.display();
        let _ = write!(
            text,
            "not sealed yet: {count} more signatures are needed\n\
             next: `sealift-keys sign {request} --key …` by the other signers, then `sealift-bundler seal {out} SIGNATURE…`\n"
        );
    }
    Ok(Answer {
        text,
        json: json!({
            "bundle": args.out,
            "product": plan.release.product,
            "version": plan.release.version,
            "counter": plan.counter,
            "release-digest": built.release,
            "bytes": built.bytes,
            "packs": built.packs,
            "blobs": built.blobs,
            "cached-bytes": built.cached,
            "unread-bytes": built.unread,
            "cache-unusable": unusable,
            "sealed": built.missing.is_none(),
            "signatures-missing": built.missing.as_ref().map_or(0, |(count, _)| *count),
            "tosign": built.missing.as_ref().map(|(_, request)| request),
        }),
    })
}
