//! Updating from a TUF repository: the order of TUF 5.3 to 5.7 over any transport.

use super::{
    RoleName,
    metadata::{ALGORITHMS, Target},
    threshold::Scheme,
    trusted::{Origin, TrustedSet},
};
use crate::{
    digest::unhex,
    error::{Code, Error, Result},
    limits,
    time::Time,
};

/// Where metadata is fetched from. The core has no network: a folder or HTTP is behind this.
pub trait Repository {
    /// The file `name`, such as `3.root.json`, or nothing if there is none. More than `limit` bytes are
    /// an error, not a shorter file.
    fn metadata(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>>;
}

/// Where trusted metadata is kept between updates.
pub trait Keeper {
    /// What was kept for a role.
    fn load(&self, role: RoleName) -> Result<Option<Vec<u8>>>;
    /// Keeps what has passed every check.
    fn keep(&mut self, role: RoleName, bytes: &[u8]) -> Result<()>;
}

/// Brings trusted metadata up to date (TUF 5.1 to 5.6). What was accepted before a failure stays kept.
pub fn refresh(
    repository: &dyn Repository,
    keeper: &mut dyn Keeper,
    schemes: &'static [Scheme],
    now: Time,
) -> Result<TrustedSet> {
    let root = keeper.load(RoleName::Root)?.ok_or_else(|| {
        Error::new(
            Code::NotFound,
            "root.json",
            "there is no trusted root to start from",
        )
    })?;
    let mut trusted = TrustedSet::new(&root, schemes, now)?;
    // After so many rotations the update goes on with what it has (TUF 5.3.3); the next one follows further.
    for _ in 0..limits::ROOT_ROTATIONS {
        let next = trusted.root().statement.version.saturating_add(1);
        let Some(bytes) =
            repository.metadata(&format!("{next}.root.json"), limits::METADATA_BYTES)?
        else {
            break;
        };
        trusted.update_root(&bytes)?;
        keeper.keep(RoleName::Root, &bytes)?;
    }
    trusted.check_expiry(&trusted.root().statement)?;

    // Kept metadata that the newest root does not back any more is as good as none (TUF 5.3.11).
    if let Some(bytes) = keeper.load(RoleName::Timestamp)? {
        let _ = trusted.update_timestamp(&bytes, Origin::Kept);
        if let Some(bytes) = keeper.load(RoleName::Snapshot)? {
            let _ = trusted.update_snapshot(&bytes, Origin::Kept);
        }
    }
    let bytes = required(repository, "timestamp.json", limits::METADATA_BYTES)?;
    let before = trusted.timestamp().map(|t| t.statement.version);
    trusted.update_timestamp(&bytes, Origin::New)?;
    let timestamp = trusted.timestamp().map(|t| &t.statement);
    if timestamp.map(|t| t.version) != before {
        keeper.keep(RoleName::Timestamp, &bytes)?;
    }

    let consistent = trusted.root().statement.consistent_snapshot;
    let name = |role: RoleName, version: u64| {
        if consistent {
            format!("{version}.{role}.json")
        } else {
            format!("{role}.json")
        }
    };
    if !trusted.snapshot_is_current() {
        let meta = timestamp.map(|t| t.snapshot().cloned()).transpose()?;
        let meta =
            meta.ok_or_else(|| Error::new(Code::BadMetadata, "timestamp.json", "is missing"))?;
        let limit = meta
            .length
            .unwrap_or(limits::METADATA_BYTES)
            .min(limits::METADATA_BYTES);
        let bytes = required(repository, &name(RoleName::Snapshot, meta.version), limit)?;
        trusted.update_snapshot(&bytes, Origin::New)?;
        keeper.keep(RoleName::Snapshot, &bytes)?;
    }
    let kept = keeper
        .load(RoleName::Targets)?
        .is_some_and(|bytes| trusted.update_targets(&bytes).is_ok());
    if !kept {
        let meta = trusted
            .snapshot()
            .map(|s| s.statement.targets().cloned())
            .transpose()?;
        let meta =
            meta.ok_or_else(|| Error::new(Code::BadMetadata, "snapshot.json", "is missing"))?;
        let limit = meta
            .length
            .unwrap_or(limits::METADATA_BYTES)
            .min(limits::METADATA_BYTES);
        let bytes = required(repository, &name(RoleName::Targets, meta.version), limit)?;
        trusted.update_targets(&bytes)?;
        keeper.keep(RoleName::Targets, &bytes)?;
    }
    Ok(trusted)
}

/// What the trusted targets say of `path`, and the name that the repository serves it under, which has
/// a digest before the file name if snapshots are consistent (TUF 5.7, 6.2).
pub fn target<'a>(trusted: &'a TrustedSet, path: &str) -> Result<(&'a Target, String)> {
    let found = trusted
        .targets()
        .and_then(|t| t.statement.targets.get(path));
    let target =
        found.ok_or_else(|| Error::new(Code::NotFound, path, "is not among the signed targets"))?;
    if !trusted.root().statement.consistent_snapshot {
        return Ok((target, path.to_owned()));
    }
    let digest = ALGORITHMS.iter().find_map(|name| target.hashes.get(*name));
    let digest = digest.filter(|text| unhex(text).is_some()).ok_or_else(|| {
        Error::new(
            Code::BadMetadata,
            path,
            "has no digest of a known algorithm",
        )
    })?;
    let served = match path.rsplit_once('/') {
        Some((folder, file)) => format!("{folder}/{digest}.{file}"),
        None => format!("{digest}.{path}"),
    };
    Ok((target, served))
}

fn required(repository: &dyn Repository, name: &str, limit: u64) -> Result<Vec<u8>> {
    let found = repository.metadata(name, limit)?;
    found.ok_or_else(|| Error::new(Code::NotFound, name, "is not in the repository"))
}
