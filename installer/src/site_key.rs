//! The site's own key: it signs what the site says of itself, first of all the checkpoints of its audit log.
//!
//! An Ed25519 key as PKCS#8 PEM, unencrypted, for its owner only, in [`FILE`]; its public half as SPKI PEM in
//! [`PUBLIC_FILE`] for everybody who only looks. Whoever is root at the site can use it, so what it signs
//! proves something against root only where it was carried elsewhere in time.

use std::io::Write as _;

use sealift_keys::key_file::{KEY_FILE_BYTES, KeyFile, PublicKey, SecretKey};
use zeroize::Zeroizing;

use crate::{
    disk::{Dir, Writer},
    error::{Code, Error, Result},
};

/// The secret key, in the state folder.
pub const FILE: &str = "site.key";
/// The public key beside it.
pub const PUBLIC_FILE: &str = "site.pub";
/// Mode of a file with a secret: for its owner only.
const SECRET_MODE: u32 = 0o600;

/// What a run that was cut leaves of a key that it was making.
pub const PARTIAL: [&str; 2] = [".site.key.partial", ".site.pub.partial"];

/// The site's key, made if there is none. `known` is the id of the key that the state names: a key that was
/// there once is never replaced by another one.
pub fn ensure(dir: &Dir, writer: Writer<'_>, known: Option<&str>) -> Result<SecretKey> {
    let key = match read(dir) {
        Ok(key) => key,
        Err(e) if e.is_not_found() && known.is_none() => make(dir, writer)?,
        Err(e) if e.is_not_found() => return Err(damaged(dir, FILE, "is missing")),
        Err(e) => return Err(e),
    };
    let public = key.public();
    if known.is_some_and(|known| public.id().map_or(true, |id| id != known)) {
        return Err(damaged(dir, FILE, "is another key than the site's"));
    }
    // Cut right after the secret half was made, only this is missing.
    if dir.status(PUBLIC_FILE.as_ref())?.is_none() {
        let pem = public.to_pem().map_err(|e| foreign(dir, PUBLIC_FILE, &e))?;
        writer.publish(dir.at(PUBLIC_FILE), 0o644, &mut |file| {
            file.write_all(pem.as_bytes())
        })?;
    }
    Ok(key)
}

/// The public half; nothing at a site that has no key yet. It has to be the one that the state names, if it
/// names one.
pub fn public(dir: &Dir, known: Option<&str>) -> Result<Option<PublicKey>> {
    let bytes = match dir.read(PUBLIC_FILE, KEY_FILE_BYTES) {
        Ok(bytes) => bytes,
        Err(e) if e.is_not_found() && known.is_none() => return Ok(None),
        Err(e) if e.is_not_found() => return Err(damaged(dir, PUBLIC_FILE, "is missing")),
        Err(e) => return Err(e),
    };
    let key = parse_public(&bytes, dir)?;
    match known {
        Some(known) if id(key)? != known => Err(damaged(
            dir,
            PUBLIC_FILE,
            "is another key than the one that the state names",
        )),
        _ => Ok(Some(key)),
    }
}

/// The id of the secret key that is there.
pub fn of_secret(dir: &Dir) -> Result<String> {
    id(read(dir)?.public())
}

/// The id of a key, as everywhere: the digest of its canonical JSON (TUF 4.2).
pub fn id(key: PublicKey) -> Result<String> {
    key.id()
        .map_err(|e| Error::new(Code::StateDamaged, PUBLIC_FILE, e.to_string()))
}

fn parse_public(bytes: &[u8], dir: &Dir) -> Result<PublicKey> {
    match KeyFile::parse(bytes, PUBLIC_FILE) {
        Ok(KeyFile::Public(key)) => Ok(key),
        Ok(_) => Err(damaged(dir, PUBLIC_FILE, "is no public key")),
        Err(e) => Err(foreign(dir, PUBLIC_FILE, &e)),
    }
}

fn read(dir: &Dir) -> Result<SecretKey> {
    let bytes = Zeroizing::new(dir.read(FILE, KEY_FILE_BYTES)?);
    match KeyFile::parse(&bytes, FILE) {
        Ok(KeyFile::Plain(key)) => Ok(key),
        Ok(_) => Err(damaged(dir, FILE, "is no unencrypted secret key")),
        Err(e) => Err(foreign(dir, FILE, &e)),
    }
}

fn make(dir: &Dir, writer: Writer<'_>) -> Result<SecretKey> {
    let key = SecretKey::generate().map_err(|e| foreign(dir, FILE, &e))?;
    let pem = key.to_pem(None).map_err(|e| foreign(dir, FILE, &e))?;
    // Left by a run that was cut; the next one has a key of its own.
    writer.remove_file(dir.at(PUBLIC_FILE))?;
    writer.publish(dir.at(FILE), SECRET_MODE, &mut |file| {
        file.write_all(pem.as_bytes())
    })?;
    Ok(key)
}

fn damaged(dir: &Dir, name: &str, why: &str) -> Error {
    let path = dir.path().join(name).display().to_string();
    Error::new(Code::StateDamaged, path, why)
}

fn foreign(dir: &Dir, name: &str, error: &sealift_keys::Error) -> Error {
    damaged(dir, name, &error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{
        RealDisk,
        faults::{Fault, FaultyDisk},
    };

    fn folder() -> (tempfile::TempDir, Dir) {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        (temp, dir)
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_only_and_read_again() {
        let (_temp, dir) = folder();
        let writer = Writer::new(&RealDisk);
        assert!(public(&dir, None).unwrap().is_none());
        let first = ensure(&dir, writer, None).unwrap().public();
        let name = id(first).unwrap();
        let again = ensure(&dir, writer, Some(&name)).unwrap().public();
        assert_eq!(first, again);
        assert_eq!(public(&dir, Some(&name)).unwrap(), Some(first));
        let mode = |name: &str| dir.status(name.as_ref()).unwrap().unwrap().mode;
        assert_eq!((mode(FILE), mode(PUBLIC_FILE)), (0o600, 0o644));
    }

    #[test]
    fn a_key_that_is_lost_or_another_is_never_replaced() {
        let (temp, dir) = folder();
        let writer = Writer::new(&RealDisk);
        let name = id(ensure(&dir, writer, None).unwrap().public()).unwrap();
        let code = |result: Result<SecretKey>| result.err().unwrap().kind();
        let wrong = "0".repeat(64);
        assert_eq!(
            code(ensure(&dir, writer, Some(&wrong))),
            Some(Code::StateDamaged)
        );
        assert!(public(&dir, Some(&wrong)).is_err());
        std::fs::remove_file(temp.path().join(FILE)).unwrap();
        assert_eq!(
            code(ensure(&dir, writer, Some(&name))),
            Some(Code::StateDamaged)
        );
    }

    #[test]
    fn a_failure_anywhere_leaves_no_key_or_a_whole_one() {
        for call in 1.. {
            let (_temp, dir) = folder();
            let disk = FaultyDisk::new(RealDisk, Fault::Fail(call, 5));
            let made = ensure(&dir, Writer::new(&disk), None);
            let key = ensure(&dir, Writer::new(&RealDisk), None).unwrap().public();
            assert_eq!(public(&dir, None).unwrap(), Some(key), "call {call}");
            if made.is_ok() {
                assert!(call > 5, "only {call} calls");
                break;
            }
        }
    }
}
