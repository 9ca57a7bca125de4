//! `seal`: adds the signatures of others to a bundle that waits for them.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    path::Path,
};

use sealift_keys::travel::DetachedSignature;
use sealift_verifier::{
    bundle::{Bundle, Trust},
    digest::Digest,
    time::Time,
    tuf::{ED25519, Root, TrustedSet, threshold::verify_one},
};

use crate::{
    build::{Progress, Stage, check_payload, open, sync_and, tosign_path},
    error::{Code, Error, Result},
    head::write_member,
    metadata::Statements,
    output::{beside, publish},
};

/// Adds signatures that others made with `sealift-keys sign` to the bundle `out`, verifies it, and only then
/// puts it in the place of the old one. Refused as a whole if a signature is not valid or the threshold
/// is still not met.
pub fn seal(
    out: &Path,
    signatures: &[DetachedSignature],
    threads: usize,
    progress: &dyn Progress,
) -> Result<Digest> {
    let name = out.display().to_string();
    let mut old = File::open(out).map_err(|e| Error::io(&name, e))?;
    let unverified = Bundle::open(old.try_clone().map_err(|e| Error::io(&name, e))?, &name)?;
    let (members, end) = unverified.claimed_metadata();
    let root = newest_root(&members)?;
    let mut statements = Statements::parse(&members)?;
    for detached in signatures {
        add(&mut statements, detached, &root)?;
    }
    let missing = statements.missing(&root)?;
    if missing > 0 {
        return Err(Error::new(
            Code::SignaturesMissing,
            name,
            format!("{missing} more are needed; nothing was changed"),
        ));
    }

    let roots = members
        .iter()
        .take_while(|(path, _)| path.ends_with(".root.json"));
    let mut head = Vec::new();
    for (path, bytes) in roots.cloned().chain(statements.members()) {
        write_member(&mut head, &path, &bytes);
    }
    let mut file = beside(out)?;
    let to = |e| Error::io(&name, e);
    let length = old.metadata().map_err(to)?.len();
    progress.begin(Stage::Write, length);
    file.file().write_all(&head).map_err(to)?;
    old.seek(SeekFrom::Start(end)).map_err(to)?;
    io::copy(&mut old, file.file()).map_err(to)?;
    progress.bytes(Stage::Write, length);

    let first = members
        .first()
        .map(|(_, bytes)| bytes.clone())
        .unwrap_or_default();
    let trust = Trust::from_root(first);
    // Nothing has expired in 1970: how long a release is valid is for its readers to judge.
    let any_time = Time::from_unix(0)?;
    let mut release = None;
    let path = file.path();
    sync_and(file.file(), || {
        let authentic = open(&path, &trust, any_time)?;
        release = Some(authentic.release_digest());
        check_payload(&authentic, threads, progress)
    })?;
    publish(file, out)?;
    let request = tosign_path(out);
    match std::fs::remove_file(&request) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io(request.display(), e));
        }
        _ => {}
    }
    release.ok_or_else(|| Error::new(Code::Io, name, "was not verified"))
}

/// The newest of the roots in a bundle, which have to lead from the first to it.
fn newest_root(members: &[(String, Vec<u8>)]) -> Result<Root> {
    let mut trusted: Option<TrustedSet> = None;
    for (_, bytes) in members
        .iter()
        .take_while(|(path, _)| path.ends_with(".root.json"))
    {
        match &mut trusted {
            None => trusted = Some(TrustedSet::new(bytes, ED25519, Time::from_unix(0)?)?),
            Some(set) => set.update_root(bytes)?,
        }
    }
    let trusted =
        trusted.ok_or_else(|| Error::new(Code::RootInvalid, "bundle", "holds no root"))?;
    Ok(trusted.root().statement.clone())
}

fn add(statements: &mut Statements, detached: &DetachedSignature, root: &Root) -> Result<()> {
    let subject = format!("signature by {}", detached.keyid());
    for (role, signed) in statements.each() {
        let entitled = root
            .role(role)?
            .keyids
            .iter()
            .any(|id| id == detached.keyid());
        let key = root.keys.get(detached.keyid()).filter(|_| entitled);
        let key = key.ok_or_else(|| {
            Error::new(
                Code::KeyNotEntitled,
                &subject,
                format!(
                    "version {} of the root does not list it for {role}",
                    root.version
                ),
            )
        })?;
        let signature = detached.signature(role).filter(|signature| {
            signature
                .bytes()
                .is_some_and(|bytes| verify_one(key, signed.message(), &bytes, ED25519))
        });
        let signature = signature.ok_or_else(|| {
            Error::new(
                Code::SignatureInvalid,
                &subject,
                format!("is not over the {role} of this bundle"),
            )
        })?;
        signed.insert_signature(signature);
    }
    Ok(())
}
