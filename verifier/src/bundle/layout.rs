//! Where everything lies in a bundle: it follows from the signed targets, so it is compared, not parsed.

use std::collections::HashSet;

use super::Medium;
use crate::{
    delivery::{Delivery, Pack},
    digest::Digest,
    error::{Code, Error, Result},
    provenance,
    tar::{self, BLOCK},
    tuf::Targets,
};

/// A member behind the metadata.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) path: String,
    /// Where its content begins.
    pub(super) start: u64,
    pub(super) size: u64,
    pub(super) digest: Digest,
}

/// The fixed members, in their order.
pub(super) const FIXED: [&str; 5] = [
    "release.json",
    "delivery.json",
    provenance::MEMBER,
    "oci-layout",
    "index.json",
];

/// All members behind the metadata, in their order.
pub(super) struct Layout {
    pub(super) members: Vec<Member>,
    pub(super) packs: usize,
}

impl Layout {
    /// Computes the layout from the signed targets; `start` is where the metadata ends.
    pub(super) fn new(targets: &Targets, start: u64) -> Result<Self> {
        let unexpected = |path: &str, why: &str| Err(Error::new(Code::MemberUnexpected, path, why));
        let packs = targets
            .targets
            .keys()
            .filter(|path| path.starts_with("packs/"))
            .count();
        let mut paths: Vec<String> = FIXED.iter().map(ToString::to_string).collect();
        paths.extend((0..packs).map(Pack::path));
        paths.extend(
            targets
                .targets
                .keys()
                .filter(|path| path.starts_with("blobs/"))
                .cloned(),
        );
        if paths.len() != targets.targets.len() {
            let known: HashSet<&String> = paths.iter().collect();
            let other = targets
                .targets
                .keys()
                .find(|path| !known.contains(path))
                .map_or("targets.json", String::as_str);
            return unexpected(other, "is signed, but has no place in a bundle");
        }
        let mut members = Vec::with_capacity(paths.len());
        let mut position = start;
        for path in paths {
            let Some(target) = targets.targets.get(&path) else {
                return unexpected(&path, "is not signed, but no bundle goes without it");
            };
            let digest = target.digest(&path)?;
            if path.starts_with("blobs/") && path != tar::blob_path(digest) {
                return unexpected(&path, "is not called by its digest");
            }
            let member = Member {
                path,
                start: position.saturating_add(BLOCK),
                size: target.length,
                digest,
            };
            position = tar::member_size(member.size)
                .and_then(|size| position.checked_add(size))
                .ok_or_else(|| {
                    Error::new(
                        Code::LimitExceeded,
                        &member.path,
                        "is larger than 64 bits can say",
                    )
                })?;
            members.push(member);
        }
        Ok(Self { members, packs })
    }

    /// Compares every byte of the file that is neither metadata nor content of a member: headers, padding
    /// and the end, and the length of the file.
    pub(super) fn compare(&self, file: &Medium, start: u64) -> Result<()> {
        let mut position = start;
        // What comes between the content of two members, read at once: padding, then a header.
        let mut between = Vec::new();
        for member in &self.members {
            between.extend(tar::header(&member.path, member.size));
            compare_at(file, position, &between, &member.path)?;
            position = member.start.saturating_add(member.size);
            between.clear();
            between.resize(usize::try_from(tar::padding(member.size)).unwrap_or(0), 0);
        }
        between.extend(tar::ZEROS);
        compare_at(file, position, &between, "the end of the archive")?;
        let end = position.saturating_add(between.len() as u64);
        if file.length > end {
            return Err(Error::new(
                Code::TrailingBytes,
                &file.name,
                format!(
                    "has {} bytes, the signed content ends after {end}",
                    file.length
                ),
            ));
        }
        Ok(())
    }

    /// The members of packs and blobs have to be those that the delivery manifest lists.
    pub(super) fn agree(&self, delivery: &Delivery) -> Result<()> {
        let disagree = |path: &str| {
            Err(Error::new(
                Code::BadMetadata,
                path,
                "is signed otherwise than delivery.json says",
            ))
        };
        let (packs, blobs) = self
            .payload()
            .split_at_checked(self.packs)
            .unwrap_or_default();
        if packs.len() != delivery.packs.len() || blobs.len() != delivery.blobs.len() {
            return disagree("delivery.json");
        }
        for (member, pack) in packs.iter().zip(&delivery.packs) {
            let single = match pack.frames.as_slice() {
                [frame] => frame.digest() == member.digest,
                _ => true,
            };
            if pack.stored_size() != member.size || !single {
                return disagree(&member.path);
            }
        }
        for (member, blob) in blobs.iter().zip(&delivery.blobs) {
            if (member.digest, member.size) != (blob.digest(), blob.size()) {
                return disagree(&member.path);
            }
        }
        Ok(())
    }

    /// Packs and blobs.
    pub(super) fn payload(&self) -> &[Member] {
        self.members.get(FIXED.len()..).unwrap_or_default()
    }
}

fn compare_at(file: &Medium, position: u64, expected: &[u8], subject: &str) -> Result<()> {
    let mut found = vec![0; expected.len()];
    file.read_at(&mut found, position)?;
    if found == expected {
        return Ok(());
    }
    Err(Error::new(
        Code::NotCanonical,
        subject,
        format!(
            "what lies before it, at byte {position}, is not what the signed metadata leads to"
        ),
    ))
}
