//! `seal`: adds the signatures of others to a bundle.

use std::path::PathBuf;

use sealift_keys::{
    disk,
    travel::{DetachedSignature, SIGNATURE_BYTES},
};
use serde_json::json;

use super::{Answer, Surroundings, progress::Bars};
use crate::{build::threads, error::Result, seal::seal};

/// Complete a bundle with signatures that others made with `sealift-keys sign`
///
/// The bundle is verified with the new signatures before it takes the place of the old file.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The bundle that `build` left unsealed
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// Files that `sealift-keys sign OUT.tosign` made
    #[arg(value_name = "SIGNATURE", required = true)]
    signatures: Vec<PathBuf>,
}

pub(super) fn run(args: &Args, _around: &Surroundings) -> Result<Answer> {
    let read = |path: &PathBuf| {
        let bytes = disk::read(path, SIGNATURE_BYTES)?;
        DetachedSignature::parse(&bytes, &path.display().to_string())
    };
    let signatures = args
        .signatures
        .iter()
        .map(read)
        .collect::<Result<Vec<_>, _>>()?;
    let release = seal(&args.out, &signatures, threads(), &Bars::new())?;
    Ok(Answer {
        text: format!(
            "{}: sealed and verified\nrelease digest {release}\n",
            args.out.display()
        ),
        json: json!({ "bundle": args.out, "sealed": true, "release-digest": release }),
    })
}
