//! `resolve`: decide on versions and write them down.

use std::{fmt::Write as _, path::PathBuf};

use sealift_verifier::release::Mode;
use serde_json::json;

use super::{Answer, Surroundings};
use crate::{
    error::Result,
    lock::{Change, Keep, LockedCapability, LockedOut, Settled, settle},
};

/// Decide on the versions of a release and write the lock
///
/// The lock lies beside the definition: release.lock for RELEASE.toml, acme-2.5.0.lock for acme-2.5.0.toml.
/// Versions that are locked stay where they are still allowed; `update` lets them move.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The release definition
    #[arg(value_name = "RELEASE.toml")]
    definition: PathBuf,
    /// A mode to decide for; may be given several times. Without, those of the definition
    #[arg(long = "mode", value_name = "MODE")]
    modes: Vec<Mode>,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<Answer> {
    let epoch = around.epoch()?;
    let settled = settle(&args.definition, epoch, &args.modes, Keep::All)?;
    finish(&settled, args.dry_run)
}

/// Writes a lock, unless that is not wanted or not needed, and tells what changes.
pub(super) fn finish(settled: &Settled, dry_run: bool) -> Result<Answer> {
    let (lock, path) = (&settled.lock, settled.path.display());
    let written = settled.is_new && !dry_run;
    if written {
        lock.write(&settled.path)?;
    }
    let mut text = String::new();
    let mut resolutions = Vec::new();
    for (mode, changes) in &settled.changes {
        let locked = lock.of(*mode);
        let count = locked.map_or(0, |locked| locked.capabilities.len());
        let shown = mode.map_or(String::new(), |mode| format!(" for {mode}"));
        let plural = if count == 1 {
            "capability"
        } else {
            "capabilities"
        };
        let _ = writeln!(
            text,
            "{} {}{shown}: {count} {plural}",
            lock.product, lock.version
        );
        let rows: Vec<_> = changes.iter().map(crate::lock::Difference::row).collect();
        let width = |column: usize| {
            let widths = rows.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or(0)
        };
        let (names, versions) = (width(1), width(2));
        for [sign, name, version, why] in &rows {
            let line = format!("  {sign} {name:names$}  {version:versions$}  {why}");
            let _ = writeln!(text, "{}", line.trim_end());
        }
        resolutions.push(json!({
            "mode": mode,
            "changes": changes,
            "capabilities": locked.map(|locked| {
                let capabilities = locked.capabilities.iter().map(LockedCapability::json);
                capabilities.collect::<Vec<_>>()
            }),
            "left-out": locked.map(|locked| {
                locked.left_out.iter().map(LockedOut::json).collect::<Vec<_>>()
            }),
        }));
    }
    for mode in &settled.dropped {
        let shown = mode.map_or("no mode", Mode::name);
        let _ = writeln!(
            text,
            "the resolution for {shown} is gone: the release is not for it"
        );
    }
    let moved = settled.changes.iter().flat_map(|(_, changes)| changes);
    let moved = moved
        .filter(|difference| difference.change != Change::Reason)
        .count();
    let end = match (settled.is_new, dry_run) {
        (true, true) => format!("{path} would change; nothing was written"),
        (true, false) => format!("{path} written"),
        (false, _) => format!("{path} stays as it is"),
    };
    let _ = writeln!(text, "{end}");
    Ok(Answer {
        text,
        json: json!({
            "product": lock.product,
            "version": lock.version,
            "lock": settled.path,
            "changed": settled.is_new,
            "moved": moved,
            "written": written,
            "dry-run": dry_run,
            "dropped": settled.dropped,
            "resolutions": resolutions,
        }),
    })
}
