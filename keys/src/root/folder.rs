//! The folder that roots and their drafts lie in.

use std::path::{Path, PathBuf};

use sealift_verifier::tuf::{Root, Signed, metadata::Statement};

use super::{RootFile, draft_name, edit, file_name};
use crate::{
    disk,
    error::{Code, Error, Result},
};

/// A draft after a change.
#[derive(Debug)]
pub struct Edited {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says now.
    pub root: Root,
    /// How many signatures were lost by the change: they were made over what it said before.
    pub dropped: usize,
    /// All that it changes against the root before it.
    pub changes: Vec<String>,
}

/// The newest published root in `folder`. It has to meet its own threshold.
pub fn newest(folder: &Path) -> Result<RootFile> {
    let mut newest = 0;
    for entry in folder.read_dir().map_err(|e| Error::io(folder, e))? {
        let name = entry.map_err(|e| Error::io(folder, e))?.file_name();
        let version = name
            .to_str()
            .and_then(|name| name.strip_suffix(".root.json"))
            .and_then(|version| version.parse::<u64>().ok())
            // `01.root.json` is a number, too, but not a name that we give.
            .filter(|version| name.to_str() == Some(&file_name(*version)));
        newest = newest.max(version.unwrap_or(0));
    }
    if newest == 0 {
        return Err(Error::new(
            Code::RootMissing,
            folder.display(),
            "holds no N.root.json",
        ));
    }
    let path = folder.join(file_name(newest));
    let file = RootFile::read(&path)?;
    if file.root().version != newest {
        return Err(sealift_verifier::Error::new(
            sealift_verifier::Code::RootVersion,
            path.display().to_string(),
            format!("has version {} inside", file.root().version),
        )
        .into());
    }
    file.verify_by_itself()?;
    Ok(file)
}

/// Changes the draft of the next root in `folder`, or starts it. The draft loses its signatures. Nothing
/// is written if `change` or the rules of [`edit::check`] refuse.
pub fn change(folder: &Path, change: impl FnOnce(&mut Root) -> Result<()>) -> Result<Edited> {
    let newest = newest(folder)?;
    let mut root = edit::next(newest.root())?;
    let path = folder.join(draft_name(root.version));
    let mut dropped = 0;
    match RootFile::read(&path) {
        Ok(draft) if draft.root().version == root.version => {
            dropped = draft.envelope().signatures().len();
            root = draft.root().clone();
        }
        Ok(draft) => {
            return Err(sealift_verifier::Error::new(
                sealift_verifier::Code::RootVersion,
                path.display().to_string(),
                format!("has version {} inside", draft.root().version),
            )
            .into());
        }
        Err(e) if e.kind() == Some(Code::NotFound) => {}
        Err(e) => return Err(e),
    }
    change(&mut root)?;
    edit::check(&root, &path.display().to_string())?;
    disk::replace(
        &path,
        &Signed::new(root.to_signed()?, Vec::new()).to_bytes(),
    )?;
    let changes = edit::changes(newest.root(), &root);
    Ok(Edited {
        path,
        root,
        dropped,
        changes,
    })
}
