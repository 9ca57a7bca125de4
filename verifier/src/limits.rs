//! Every limit of the format in one place. Each is checked before memory is taken.

/// Length of one metadata file, root, timestamp, snapshot or targets, in bytes.
pub const METADATA_BYTES: u64 = 16 << 20;
/// Length of all metadata of a bundle with its headers, in bytes: nobody has signed for it when it is read.
pub const HEAD_BYTES: u64 = 64 << 20;
/// New roots that are followed in one go (TUF 5.3.3).
pub const ROOT_ROTATIONS: u64 = 256;
/// Length of `release.json`, in bytes.
pub const RELEASE_BYTES: u64 = 16 << 20;
/// Length of `delivery.json`, in bytes: some 600,000 blobs.
pub const DELIVERY_BYTES: u64 = 48 << 20;
/// Length of `provenance.json` and of every other envelope, in bytes.
pub const ENVELOPE_BYTES: u64 = 16 << 20;
/// Signatures of one envelope: each costs work before anybody is believed.
pub const ENVELOPE_SIGNATURES: usize = 64;
/// Length of `index.json` and of `oci-layout`, in bytes.
pub const OCI_BYTES: u64 = 4 << 20;
/// Length of a tree, in bytes: some 400,000 files.
pub const TREE_BYTES: u64 = 64 << 20;
/// Entries of a tree: as many files as fit into [`TREE_BYTES`]; empty folders have shorter entries.
pub const TREE_ENTRIES: usize = 600_000;
/// Values in one JSON text of metadata: a value takes up to 30 times the memory of its text, and nobody has
/// signed for it yet. The targets of the largest `targets.json` have some 400,000.
pub const JSON_VALUES: usize = 1 << 20;
/// Depth of JSON.
pub const JSON_DEPTH: usize = 64;
/// Length of one path, in bytes.
pub const PATH_BYTES: usize = 1024;
/// Bytes of a pack's tar that one independent zstd frame holds; the last one may hold fewer.
pub const FRAME_BYTES: usize = 8 << 20;
/// Levels of zstd that a pack may be compressed with: higher ones take an exporting site more memory than a frame is worth.
pub const LEVELS: std::ops::RangeInclusive<i32> = 1..=19;
/// Stored bytes of one frame: zstd's bound for [`FRAME_BYTES`] is some 32 KiB more than that.
pub const STORED_FRAME_BYTES: usize = FRAME_BYTES + (64 << 10);
/// Interval, timeout and start period of a health check: a day, in milliseconds.
pub const HEALTH_MS: u64 = 24 * 60 * 60 * 1000;
/// How often a health check may fail in a row before it has.
pub const HEALTH_RETRIES: u32 = 1000;
/// Length of the facts of a site, in bytes: some 5,000 pins.
pub const FACTS_BYTES: u64 = 1 << 20;
