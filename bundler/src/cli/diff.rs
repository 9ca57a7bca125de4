//! `diff`: what changes between two releases, each a bundle or a definition.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
};

use sealift_verifier::{
    bundle::{Bundle, Trust},
    limits,
    release::{Content, Mode},
};
use serde_json::json;

use super::{Answer, Surroundings};
use crate::{
    collect::{self, Options},
    diff::{Side, diff},
    error::{Code, Error, Result},
    manifest,
};

/// Show what changes between two releases: capabilities, images, files, sizes
///
/// Each side is a bundle or a release definition (a file whose name ends in .toml). Bundles are verified
/// before anything is read from them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The release to start from
    #[arg(value_name = "A")]
    from: PathBuf,
    /// The release to compare with it
    #[arg(value_name = "B")]
    to: PathBuf,
    /// A trusted root, or the folder that holds 1.root.json; needed where one side is a bundle
    #[arg(long, value_name = "PATH")]
    root: Option<PathBuf>,
    /// The mode that definitions are resolved for
    #[arg(long)]
    mode: Option<Mode>,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<Answer> {
    let from = side(&args.from, args, around)?;
    let to = side(&args.to, args, around)?;
    let changes = diff(&from, &to);
    Ok(Answer {
        text: changes.to_string(),
        json: json!(changes),
    })
}

fn side(path: &Path, args: &Args, around: &Surroundings) -> Result<Side> {
    if path.extension().is_some_and(|e| e == "toml") {
        let options = Options {
            mode: args.mode,
            ..around.options()?
        };
        return manifest::release_of(&collect::plan(path, &options)?);
    }
    let Some(root) = &args.root else {
        let detail = "is compared only after it was verified: add --root";
        return Err(Error::new(Code::Usage, path.display().to_string(), detail));
    };
    let trust = Trust::from_root(read_root(root)?);
    let bundle = Bundle::open_path(path)?.verify(&trust, around.now, &mut |_| ())?;
    let release = bundle.release().clone();
    let mut trees = BTreeMap::new();
    for (_, artifact) in release.artifacts() {
        if let Content::Tree(tree) = &artifact.content
            && !trees.contains_key(&tree.digest)
        {
            trees.insert(tree.digest, bundle.tree(tree.digest)?);
        }
    }
    Ok(Side { release, trees })
}

pub(super) fn read_root(path: &Path) -> Result<Vec<u8>> {
    let file = if path.is_dir() {
        path.join("1.root.json")
    } else {
        path.into()
    };
    let failed = |e| Error::io(file.display(), e);
    let mut bytes = Vec::new();
    let reader = std::fs::File::open(&file).map_err(failed)?;
    reader
        .take(limits::METADATA_BYTES)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}
