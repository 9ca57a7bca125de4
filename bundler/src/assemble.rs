//! Writing the one file: payload first, then the head, whose length is known before its content is.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    path::Path,
};

use sealift_verifier::{
    delivery::Pack,
    digest::{Digest, Hasher},
    json, oci,
    release::BlobRef,
    tar,
    tuf::Target,
};
use tempfile::NamedTempFile;

use crate::{
    error::{Code, Error, Result},
    pack::{Packed, Segment},
    plan::PlannedBlob,
};

const CHUNK: usize = 1 << 20;

/// Signs the targets and returns the members of `metadata/`. Called twice: to measure, with digests that
/// are not known yet, and to write. The lengths have to be the same.
pub(crate) type MakeHead<'a> =
    dyn FnMut(BTreeMap<String, Target>) -> Result<Vec<(String, Vec<u8>)>> + 'a;

/// Writes a bundle to `out`, an empty file. `progress` hears of bytes that were written.
pub(crate) fn assemble(
    out: &mut File,
    packed: &mut Packed,
    head: &mut MakeHead<'_>,
    progress: &dyn Fn(u64),
) -> Result<()> {
    let fixed = [
        ("release.json", json::to_canonical(&packed.release)?),
        ("delivery.json", json::to_canonical(&packed.delivery)?),
        ("oci-layout", oci::LAYOUT.to_vec()),
        ("index.json", oci::index(&packed.release)?),
    ];
    let mut targets: BTreeMap<String, Target> = fixed
        .iter()
        .map(|(path, bytes)| {
            (
                (*path).to_owned(),
                Target::new(bytes.len() as u64, Digest::of(bytes)),
            )
        })
        .collect();
    for (number, pack) in packed.delivery.packs.iter().enumerate() {
        // A pack of one frame has the digest of that frame; of the others only the length is known yet.
        let first = pack
            .frames
            .first()
            .map_or_else(|| Digest::of(&[]), BlobRef::digest);
        targets.insert(Pack::path(number), Target::new(pack.stored_size(), first));
    }
    for blob in &packed.delivery.blobs {
        targets.insert(
            tar::blob_path(blob.digest()),
            Target::new(blob.size(), blob.digest()),
        );
    }
    let members = |head: Vec<(String, Vec<u8>)>| {
        let mut bytes = Vec::new();
        let fixed = fixed
            .iter()
            .map(|(path, content)| (*path, content.as_slice()));
        for (path, content) in head
            .iter()
            .map(|(path, content)| (path.as_str(), content.as_slice()))
            .chain(fixed)
        {
            write_member(&mut bytes, path, content);
        }
        bytes
    };
    let length = members(head(targets.clone())?).len() as u64;

    let to = |e| Error::io("the new bundle", e);
    out.seek(SeekFrom::Start(length)).map_err(to)?;
    for (number, (pack, segments)) in packed
        .delivery
        .packs
        .iter()
        .zip(&packed.segments)
        .enumerate()
    {
        let (path, size) = (Pack::path(number), pack.stored_size());
        out.write_all(&tar::header(&path, size)).map_err(to)?;
        let digest = copy_segments(&mut packed.spool, segments, out)?;
        pad(out, size)?;
        progress(size);
        if let Some(digest) = digest {
            targets.insert(path, Target::new(size, digest));
        }
    }
    for stored in &packed.stored {
        let size = stored.blob.size();
        out.write_all(&tar::header(&tar::blob_path(stored.blob.digest()), size))
            .map_err(to)?;
        copy_blob(stored, out)?;
        pad(out, size)?;
        progress(size);
    }
    out.write_all(&tar::ZEROS).map_err(to)?;

    let bytes = members(head(targets)?);
    if bytes.len() as u64 != length {
        return Err(Error::new(
            Code::Io,
            "the new bundle",
            "its head has another length than was measured",
        ));
    }
    out.write_all_at(&bytes, 0).map_err(to)
}

/// Adds a member with its header and padding.
pub(crate) fn write_member(bytes: &mut Vec<u8>, path: &str, content: &[u8]) {
    let size = content.len() as u64;
    bytes.extend(tar::header(path, size));
    bytes.extend(content);
    bytes.extend(tar::zeros_after(size));
}

fn pad(out: &mut File, size: u64) -> Result<()> {
    out.write_all(tar::zeros_after(size))
        .map_err(|e| Error::io("the new bundle", e))
}

/// Copies frames to where they belong. The digest of several frames together is computed here; that of a
/// single one is known, so the system may copy it without us.
fn copy_segments(spool: &mut File, segments: &[Segment], out: &mut File) -> Result<Option<Digest>> {
    let io = |e| Error::io("the spool file", e);
    if let [segment] = segments {
        spool.seek(SeekFrom::Start(segment.offset)).map_err(io)?;
        let copied =
            io::copy(&mut Read::by_ref(spool).take(segment.stored.size()), out).map_err(io)?;
        return if copied == segment.stored.size() {
            Ok(None)
        } else {
            Err(io(io::ErrorKind::UnexpectedEof.into()))
        };
    }
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; CHUNK];
    for segment in segments {
        let (mut position, mut left) = (segment.offset, segment.stored.size());
        while left > 0 {
            let count = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            spool
                .read_exact_at(&mut buffer[..count], position)
                .map_err(io)?;
            hasher.update(&buffer[..count]);
            out.write_all(&buffer[..count]).map_err(io)?;
            (position, left) = (position + count as u64, left - count as u64);
        }
    }
    Ok(Some(hasher.finish()))
}

/// Copies a blob as it is and holds it to its digest on the way.
fn copy_blob(stored: &PlannedBlob, out: &mut File) -> Result<()> {
    let subject = stored.source.subject();
    let mut reader = stored.source.open().map_err(|e| Error::io(&subject, e))?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; CHUNK];
    let mut left = stored.blob.size();
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let count = reader
            .read(&mut buffer[..most])
            .map_err(|e| Error::io(&subject, e))?;
        if count == 0 {
            return Err(Error::new(
                Code::LengthMismatch,
                subject,
                "is shorter than its descriptor says",
            ));
        }
        hasher.update(&buffer[..count]);
        out.write_all(&buffer[..count])
            .map_err(|e| Error::io("the new bundle", e))?;
        left -= count as u64;
    }
    let found = hasher.finish();
    if found == stored.blob.digest() {
        return Ok(());
    }
    Err(Error::new(
        Code::DigestMismatch,
        subject,
        format!(
            "has the digest {found}, its descriptor says {}",
            stored.blob.digest()
        ),
    ))
}

/// A new file beside `out`, so that it can take its place by a rename.
pub(crate) fn beside(out: &Path) -> Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder_of(out);
    tempfile::Builder::new()
        .prefix(".sealift-")
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(|e| Error::io(folder.display(), e))
}

/// Puts a finished file, synced already, in the place of `out` and syncs the folder.
pub(crate) fn publish(file: NamedTempFile, out: &Path) -> Result<()> {
    file.persist(out)
        .map_err(|e| Error::io(out.display(), e.error))?;
    let folder = folder_of(out);
    File::open(folder)
        .and_then(|f| f.sync_all())
        .map_err(|e| Error::io(folder.display(), e))
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}
