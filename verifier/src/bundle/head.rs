//! The first members of a bundle, `metadata/`: reading them within limits, and the TUF workflow over them.

use super::{Check, Medium, Trust, canonical};
use crate::{
    error::{Code, Error, Result},
    limits,
    tar::{self, BLOCK},
    time::Time,
    tuf::{
        ED25519, RoleName, Root, Signed, TrustedSet, metadata::Statement as _,
        threshold::verify_one, trusted::Origin,
    },
};

/// The metadata of a bundle, as its bytes.
pub(super) struct Head {
    /// `1.root.json` and so on.
    pub(super) roots: Vec<Vec<u8>>,
    pub(super) timestamp: Vec<u8>,
    pub(super) snapshot: Vec<u8>,
    pub(super) targets: Vec<u8>,
    /// Where the first member after them begins.
    pub(super) end: u64,
}

impl Head {
    /// Reads the members. Their lengths are all that is taken from headers, and the header that follows
    /// from path and length has to be exactly the one that is there.
    pub(super) fn read(file: &Medium) -> Result<Self> {
        let mut position = 0;
        let mut roots = Vec::new();
        loop {
            let name = format!("metadata/{}.root.json", roots.len().saturating_add(1));
            let Some(root) = member(file, &mut position, &name)? else {
                break;
            };
            roots.push(root);
            if roots.len() as u64 > limits::ROOT_ROTATIONS {
                return Err(Error::new(
                    Code::LimitExceeded,
                    &file.name,
                    "holds too many roots",
                ));
            }
        }
        if roots.is_empty() {
            return Err(Error::new(
                Code::NotABundle,
                &file.name,
                "does not begin with metadata/1.root.json",
            ));
        }
        let mut next = |role: RoleName| {
            let name = format!("metadata/{role}.json");
            member(file, &mut position, &name)?.ok_or_else(|| {
                Error::new(
                    Code::MemberUnexpected,
                    &file.name,
                    format!("has something else where {name} has to be"),
                )
            })
        };
        let (timestamp, snapshot, targets) = (
            next(RoleName::Timestamp)?,
            next(RoleName::Snapshot)?,
            next(RoleName::Targets)?,
        );
        Ok(Self {
            roots,
            timestamp,
            snapshot,
            targets,
            end: position,
        })
    }

    /// All files with their names in the bundle, in its order.
    pub(super) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let roots = self
            .roots
            .iter()
            .zip(1_u64..)
            .map(|(bytes, n)| (format!("metadata/{n}.root.json"), bytes.clone()));
        let others = [
            ("timestamp", &self.timestamp),
            ("snapshot", &self.snapshot),
            ("targets", &self.targets),
        ];
        roots
            .chain(others.map(|(role, bytes)| (format!("metadata/{role}.json"), bytes.clone())))
            .collect()
    }
}

/// The content of the member at `position` if it is called `name`, moving `position` behind it.
fn member(file: &Medium, position: &mut u64, name: &str) -> Result<Option<Vec<u8>>> {
    let mut block = [0; 512];
    file.read_at(&mut block, *position)?;
    // Eleven octal digits (POSIX ustar); metadata is far too small for any other form.
    let digits = std::str::from_utf8(block.get(124..135).unwrap_or_default()).unwrap_or_default();
    let Ok(size) = u64::from_str_radix(digits, 8) else {
        return Ok(None);
    };
    if block != tar::header(name, size) {
        return Ok(None);
    }
    let start = position.saturating_add(BLOCK);
    let padded = size.saturating_add(tar::padding(size));
    let limit = limits::METADATA_BYTES.min(limits::HEAD_BYTES.saturating_sub(start));
    let mut bytes = file.read_vec(start, padded, limit, name)?;
    let padding = bytes.split_off(usize::try_from(size).unwrap_or(usize::MAX));
    if padding.iter().any(|byte| *byte != 0) {
        return Err(Error::new(
            Code::NotCanonical,
            name,
            "is followed by bytes other than zero",
        ));
    }
    *position = start.saturating_add(padded);
    Ok(Some(bytes))
}

/// Walks the roots, then verifies timestamp, snapshot and targets (TUF 5.3 to 5.6).
pub(super) fn verify(
    head: &Head,
    trust: &Trust,
    now: Time,
    observe: &mut dyn FnMut(Check),
) -> Result<TrustedSet> {
    let anchor = TrustedSet::new(&trust.root, ED25519, now)?;
    let pinned = anchor.root().statement.version;
    observe(Check::new(
        "trusted-root",
        format!(
            "version {pinned}, fingerprint {}",
            crate::digest::Digest::of(&trust.root)
        ),
    ));

    let mut trusted = walk_roots(head, &anchor, trust, now)?;
    let root = trusted.root().clone();
    trusted.check_expiry(&root.statement)?;
    observe(Check {
        name: "root-chain",
        detail: format!(
            "version {pinned} leads to version {}, valid until {}",
            root.statement.version, root.statement.expires
        ),
        threshold: root.statement.role(RoleName::Root)?.threshold,
        signers: root.signers,
    });

    // Kept metadata that the newest root does not back any more is as good as none (TUF 5.3.11).
    if let Some(bytes) = &trust.timestamp {
        let _ = trusted.update_timestamp(bytes, Origin::Kept);
        if let Some(bytes) = &trust.snapshot {
            let _ = trusted.update_snapshot(bytes, Origin::Kept);
        }
    }
    let mut passed = |trusted: &TrustedSet,
                      role: RoleName,
                      name: &'static str,
                      version: u64,
                      expires: Time,
                      signers|
     -> Result<()> {
        let threshold = trusted.root().statement.role(role)?.threshold;
        observe(Check {
            name,
            detail: format!("version {version}, valid until {expires}"),
            signers,
            threshold,
        });
        Ok(())
    };
    strict(&head.timestamp, RoleName::Timestamp, &trusted)?;
    trusted.update_timestamp(&head.timestamp, Origin::New)?;
    if let Some(t) = trusted.timestamp().cloned() {
        passed(
            &trusted,
            RoleName::Timestamp,
            "timestamp",
            t.statement.version,
            t.statement.expires,
            t.signers,
        )?;
    }
    strict(&head.snapshot, RoleName::Snapshot, &trusted)?;
    trusted.update_snapshot(&head.snapshot, Origin::New)?;
    if let Some(s) = trusted.snapshot().cloned() {
        passed(
            &trusted,
            RoleName::Snapshot,
            "snapshot",
            s.statement.version,
            s.statement.expires,
            s.signers,
        )?;
    }
    strict(&head.targets, RoleName::Targets, &trusted)?;
    trusted.update_targets(&head.targets)?;
    if let Some(t) = trusted.targets() {
        if t.statement.delegations.is_some() {
            return Err(Error::new(
                Code::DelegationUnsupported,
                "targets.json",
                "delegates to other roles",
            ));
        }
        let (version, expires, signers) =
            (t.statement.version, t.statement.expires, t.signers.clone());
        passed(
            &trusted,
            RoleName::Targets,
            "targets",
            version,
            expires,
            signers,
        )?;
    }
    Ok(trusted)
}

/// Follows the bundle's roots from the first one to the newest and demands that the trusted root is one of
/// them. A bundle whose newest root is older than the trusted one is judged by the trusted one.
fn walk_roots(head: &Head, anchor: &TrustedSet, trust: &Trust, now: Time) -> Result<TrustedSet> {
    let pinned = anchor.root().statement.version;
    let mut chain: Option<TrustedSet> = None;
    let mut previous: Option<Root> = None;
    for (bytes, version) in head.roots.iter().zip(1_u64..) {
        let name = format!("metadata/{version}.root.json");
        let signed = canonical(bytes, &name)?;
        let root = Root::from_signed(signed.signed())?;
        // The root that is trusted, whatever signatures the two copies carry; said before anything else,
        // because a stranger's root explains every failure that follows from it.
        if version == pinned
            && signed.message() != Signed::parse(&trust.root, "the trusted root")?.message()
        {
            return Err(Error::new(
                Code::RootMismatch,
                name,
                "is another root than the trusted one of this version",
            ));
        }
        let next = match chain.take() {
            None if root.version != 1 => {
                return Err(Error::new(
                    Code::RootVersion,
                    name,
                    format!("has version {} inside", root.version),
                ));
            }
            None => TrustedSet::new(bytes, ED25519, now)?,
            Some(mut set) => {
                set.update_root(bytes)?;
                set
            }
        };
        every_signature(
            &signed,
            [Some(&root), previous.as_ref()],
            RoleName::Root,
            &name,
        )?;
        previous = Some(root);
        chain = Some(next);
    }
    match chain {
        Some(set) if set.root().statement.version >= pinned => Ok(set),
        _ => Ok(anchor.clone()),
    }
}

/// What bundles demand of a metadata file beyond TUF: the one canonical form, and no signature that is not
/// valid, so that not one byte of it can be changed.
fn strict(bytes: &[u8], role: RoleName, trusted: &TrustedSet) -> Result<()> {
    let name = format!("metadata/{role}.json");
    let signed = canonical(bytes, &name)?;
    every_signature(
        &signed,
        [Some(&trusted.root().statement), None],
        role,
        &name,
    )
}

fn every_signature(
    signed: &Signed,
    roots: [Option<&Root>; 2],
    role: RoleName,
    subject: &str,
) -> Result<()> {
    for signature in signed.signatures() {
        let keys: Vec<_> = roots
            .iter()
            .flatten()
            .filter(|root| {
                root.role(role)
                    .is_ok_and(|role| role.keyids.contains(&signature.keyid))
            })
            .filter_map(|root| root.keys.get(&signature.keyid))
            .collect();
        if keys.is_empty() {
            return Err(Error::new(
                Code::KeyUnknown,
                subject,
                format!(
                    "is signed by {}, which the root does not entitle",
                    signature.keyid
                ),
            ));
        }
        let bytes = signature.bytes().unwrap_or_default();
        // Upper-case digits would be a second way to write the same signature.
        let lower = !signature.sig.bytes().any(|b| b.is_ascii_uppercase());
        if !lower
            || !keys
                .iter()
                .any(|key| verify_one(key, signed.message(), &bytes, ED25519))
        {
            return Err(Error::new(
                Code::SignatureInvalid,
                subject,
                format!("the signature by {} is not valid", signature.keyid),
            ));
        }
    }
    Ok(())
}
