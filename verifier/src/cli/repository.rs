//! A TUF repository in a folder: other people's, or a bundle that somebody has unpacked.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use sealift_verifier::{
    Code, Error, Result,
    bundle::Check,
    digest::{Digest, VerifyingReader},
    limits,
    path::EntryPath,
    time::Time,
    tuf::{
        ED25519, RoleName, TrustedSet,
        client::{self, Keeper, Repository},
    },
};

use super::{
    TrustArguments, read_limited,
    recorder::Recorder,
    verify::{RoleFacts, progress},
};

/// The checks of a repository in their order.
pub(super) const CHECKS: &[&str] = &[
    "trusted-root",
    "root-chain",
    "timestamp",
    "snapshot",
    "targets",
    "files",
];

/// Metadata in `DIR/metadata` or in `DIR` itself, targets in `DIR/targets` or in `DIR` itself.
struct Folder {
    metadata: PathBuf,
    targets: PathBuf,
}

impl Folder {
    fn new(path: &Path) -> Self {
        let inside = |name: &str| {
            let inside = path.join(name);
            if inside.is_dir() {
                inside
            } else {
                path.to_owned()
            }
        };
        Self {
            metadata: inside("metadata"),
            targets: inside("targets"),
        }
    }

    fn root_with_fingerprint(&self, fingerprint: Digest) -> Result<Vec<u8>> {
        for version in 1..=limits::ROOT_ROTATIONS {
            let name = format!("{version}.root.json");
            match self.metadata(&name, limits::METADATA_BYTES)? {
                Some(root) if Digest::of(&root) == fingerprint => return Ok(root),
                _ => {}
            }
        }
        Err(Error::new(
            Code::RootMismatch,
            self.metadata.display().to_string(),
            format!("holds no root with the fingerprint {fingerprint}"),
        ))
    }
}

impl Repository for Folder {
    fn metadata(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let path = self.metadata.join(name);
        match path.try_exists() {
            Ok(false) => Ok(None),
            _ => read_limited(&path, limit).map(Some),
        }
    }
}

/// Starts from the trusted root alone, and remembers which roles were accepted.
struct Once {
    root: Vec<u8>,
    accepted: Vec<RoleName>,
}

impl Keeper for Once {
    fn load(&self, role: RoleName) -> Result<Option<Vec<u8>>> {
        Ok((role == RoleName::Root).then(|| self.root.clone()))
    }

    fn keep(&mut self, role: RoleName, _: &[u8]) -> Result<()> {
        self.accepted.push(role);
        Ok(())
    }
}

/// Verifies the metadata (TUF 5.1 to 5.6) and every target (TUF 5.7).
pub(super) fn verify(
    path: &Path,
    trust: &TrustArguments,
    time: Time,
    recorder: &mut Recorder<'_>,
) -> Result<TrustedSet> {
    let folder = Folder::new(path);
    let root = trust.root(|fingerprint| folder.root_with_fingerprint(fingerprint))?;
    let pinned = TrustedSet::new(&root, ED25519, time)?
        .root()
        .statement
        .version;
    recorder.found(
        "trusted-root",
        format!("version {pinned}, fingerprint {}", Digest::of(&root)),
    );

    let mut keeper = Once {
        root,
        accepted: Vec::new(),
    };
    let trusted = client::refresh(&folder, &mut keeper, ED25519, time).inspect_err(|error| {
        // The check after the last accepted role is the one that failed.
        let accepted = |role| keeper.accepted.contains(&role);
        if !error.subject().contains("root") {
            recorder.found("root-chain", "accepted");
        }
        for (role, name) in [
            (RoleName::Timestamp, "timestamp"),
            (RoleName::Snapshot, "snapshot"),
            (RoleName::Targets, "targets"),
        ] {
            if accepted(role) {
                recorder.found(name, "accepted");
            }
        }
    })?;
    let names = ["root-chain", "timestamp", "snapshot", "targets"];
    for (role, name) in RoleFacts::all(&trusted)?.into_iter().zip(names) {
        recorder.passed(Check {
            name,
            detail: format!("version {}, valid until {}", role.version, role.expires),
            signers: role.signers,
            threshold: role.threshold,
        });
    }

    let targets = trusted.targets().map(|t| &t.statement.targets);
    let targets = targets.into_iter().flatten();
    let total: u64 = targets.clone().map(|(_, target)| target.length).sum();
    let bar = progress("verifying", total);
    let verified = targets.clone().try_for_each(|(name, target)| {
        verify_target(&folder, &trusted, name)?;
        bar.inc(target.length);
        Ok::<_, Error>(())
    });
    bar.finish_and_clear();
    verified?;
    recorder.found(
        "files",
        format!(
            "{} targets, {total} bytes, each with its signed length and digest",
            targets.count()
        ),
    );
    Ok(trusted)
}

fn verify_target(folder: &Folder, trusted: &TrustedSet, name: &str) -> Result<()> {
    let (target, served) = client::target(trusted, name)?;
    let digest = target.digest(name)?;
    // Names are signed, but are held to what names of files may be before anything is opened by them.
    let plain: EntryPath = name.parse()?;
    let served: EntryPath = served.parse()?;
    let mut path = folder.targets.join(served.as_path());
    if !path.exists() {
        // Consistent snapshots need not rename the targets themselves.
        path = folder.targets.join(plain.as_path());
    }
    if !path.is_file() {
        return Err(Error::new(
            Code::Incomplete,
            name,
            "is signed, but is no file in the folder",
        ));
    }
    let io = |e: io::Error| match e.downcast::<Error>() {
        Ok(error) => error,
        Err(e) => Error::io(path.display().to_string(), e),
    };
    let mut file = File::open(&path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    if length != target.length {
        return Err(Error::new(
            Code::LengthMismatch,
            name,
            format!("has {length} bytes, signed are {}", target.length),
        ));
    }
    let mut content = VerifyingReader::new(file.by_ref(), length, digest, name);
    io::copy(&mut content, &mut io::sink()).map_err(io)?;
    Ok(())
}
