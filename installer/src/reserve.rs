//! `reserve`: space that is kept so that going back needs none. A site whose disk is full may be down, and the way back
//! writes a journal, a state and entries of the audit log.

use crate::{error::Result, site::Ready};

/// The file's name.
pub const FILE: &str = "reserve";
/// Its length in bytes: several times what a way back writes.
const BYTES: usize = 1 << 20;

/// Keeps it, if it is not there and there is room for much more. Whatever keeps it from being made keeps nothing else.
pub fn keep(site: &Ready<'_>) {
    let make = || -> Result<()> {
        let dir = site.dir();
        if dir.status(FILE.as_ref())?.is_some() || dir.free()?.0 < 8 * BYTES as u64 {
            return Ok(());
        }
        // Nothing that a file system could store in less space.
        let mut bytes = vec![0; BYTES];
        if getrandom::fill(&mut bytes).is_ok() {
            let fill = &mut |file: &mut std::fs::File| std::io::Write::write_all(file, &bytes);
            site.writer().create(dir.at(FILE), 0o600, fill)?;
        }
        Ok(())
    };
    let _ = make();
}

/// Gives it up, if there is hardly any other room.
pub fn give_up(site: &Ready<'_>) -> Result<()> {
    let dir = site.dir();
    if dir.free()?.0 < BYTES as u64 {
        site.writer().remove_file(dir.at(FILE))?;
        site.writer().sync_dir(dir)?;
    }
    Ok(())
}
