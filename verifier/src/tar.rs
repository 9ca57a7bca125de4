//! The one form of tar that bundles and packs have: every header follows from a path and a length.
//!
//! A ustar header (POSIX.1-1988) with mode 0644, ids 0, mtime 0, no user or group name, of a regular file;
//! lengths from 8 GiB up as base-256. A reader never parses it: it makes the header that has to be there
//! and compares.

use crate::release::BlobRef;

/// Length of a header and unit of padding, in bytes.
pub const BLOCK: u64 = 512;
/// Length of what ends an archive, in bytes.
pub const END: u64 = 2 * BLOCK;
/// What ends an archive: two blocks of zeros.
pub const ZEROS: [u8; 1024] = [0; 1024];

/// The header of the member at `path` (at most 100 bytes of ASCII) with `size` bytes of content.
pub fn header(path: &str, size: u64) -> [u8; 512] {
    let mut header = tar::Header::new_ustar();
    // Never fails for the paths that a bundle has; a path that did not fit would leave an empty name,
    // which compares unequal to everything.
    let _ = header.set_path(path);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size);
    header.set_cksum();
    *header.as_bytes()
}

/// How many zeros follow `size` bytes of content.
pub fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK
}

/// The zeros that follow `size` bytes of content.
pub fn zeros_after(size: u64) -> &'static [u8] {
    let count = usize::try_from(padding(size)).unwrap_or(0);
    ZEROS.get(..count).unwrap_or_default()
}

/// Length of a member: header, content and padding; nothing if that does not fit 64 bits.
pub fn member_size(size: u64) -> Option<u64> {
    size.checked_next_multiple_of(BLOCK)?.checked_add(BLOCK)
}

/// The path of a blob in a bundle and in a pack.
pub fn blob_path(digest: crate::digest::Digest) -> String {
    format!("blobs/sha256/{digest}")
}

/// Length of a pack's tar with these blobs; nothing if that does not fit 64 bits.
pub fn stream_size(blobs: &[BlobRef]) -> Option<u64> {
    blobs
        .iter()
        .try_fold(END, |sum, blob| sum.checked_add(member_size(blob.size())?))
}
