//! The client workflow (TUF 5.3 to 5.6) as a state machine over bytes: it fetches nothing, stores nothing
//! and takes no time of its own. Whatever a method refuses leaves the set as it was.

use super::{
    RoleName,
    metadata::{Root, Snapshot, Statement, Targets, Timestamp},
    signed::Signed,
    threshold::{KeyHolder, Scheme, verify_threshold},
};
use crate::{
    error::{Code, Error, Result},
    limits,
    time::Time,
};

/// A statement that was accepted, with who signed it.
#[derive(Debug, Clone)]
pub struct Accepted<T> {
    /// What it states.
    pub statement: T,
    /// Who signed it.
    pub signers: Vec<KeyHolder>,
    /// The bytes that it came in.
    pub bytes: Vec<u8>,
}

/// Where metadata comes from, which decides what is demanded of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Kept from an earlier update: it was checked then, may have expired, and is what newer metadata
    /// must not fall behind.
    Kept,
    /// New: everything is demanded.
    New,
}

/// What is trusted so far.
#[derive(Clone)]
pub struct TrustedSet {
    schemes: &'static [Scheme],
    now: Time,
    root: Accepted<Root>,
    timestamp: Option<Accepted<Timestamp>>,
    snapshot: Option<Accepted<Snapshot>>,
    targets: Option<Accepted<Targets>>,
    rotations: u64,
}

impl TrustedSet {
    /// Starts from a root that is trusted for reasons outside of TUF. It has to meet its own threshold.
    /// `now` is the time that expiry is judged by, fixed for the whole update (TUF 5.1).
    pub fn new(root: &[u8], schemes: &'static [Scheme], now: Time) -> Result<Self> {
        let signed = Signed::parse(root, "root.json")?;
        let statement = Root::from_signed(signed.signed())?;
        let signers = count(
            &statement,
            RoleName::Root,
            &signed,
            schemes,
            &subject(RoleName::Root, statement.version),
        )?;
        let root = Accepted {
            statement,
            signers,
            bytes: root.to_vec(),
        };
        Ok(Self {
            schemes,
            now,
            root,
            timestamp: None,
            snapshot: None,
            targets: None,
            rotations: 0,
        })
    }

    /// The newest trusted root.
    pub fn root(&self) -> &Accepted<Root> {
        &self.root
    }

    /// The trusted timestamp.
    pub fn timestamp(&self) -> Option<&Accepted<Timestamp>> {
        self.timestamp.as_ref()
    }

    /// The trusted snapshot.
    pub fn snapshot(&self) -> Option<&Accepted<Snapshot>> {
        self.snapshot.as_ref()
    }

    /// The trusted targets.
    pub fn targets(&self) -> Option<&Accepted<Targets>> {
        self.targets.as_ref()
    }

    /// Follows one root rotation: exactly the next version, signed as the old *and* as the new root
    /// demand (TUF 5.3.4, 5.3.5). Expiry of roots on the way does not matter (TUF 5.3.10).
    pub fn update_root(&mut self, bytes: &[u8]) -> Result<()> {
        let old = &self.root.statement;
        let next = old.version.saturating_add(1);
        let name = subject(RoleName::Root, next);
        if self.rotations >= limits::ROOT_ROTATIONS {
            return Err(Error::new(
                Code::RootRotations,
                name,
                format!("is more than {} rotations away", limits::ROOT_ROTATIONS),
            ));
        }
        let signed = Signed::parse(bytes, &name)?;
        count(
            old,
            RoleName::Root,
            &signed,
            self.schemes,
            &format!("{name}, by the keys of version {}", old.version),
        )?;
        let statement = Root::from_signed(signed.signed())?;
        if statement.version != next {
            return Err(Error::new(
                Code::RootVersion,
                name,
                format!("has version {} inside", statement.version),
            ));
        }
        let signers = count(
            &statement,
            RoleName::Root,
            &signed,
            self.schemes,
            &format!("{name}, by its own keys"),
        )?;
        self.root = Accepted {
            statement,
            signers,
            bytes: bytes.to_vec(),
        };
        self.rotations = self.rotations.saturating_add(1);
        // What was accepted under older keys has to be accepted anew: that is how a site recovers from a
        // stolen key that counted far ahead (TUF 5.3.11).
        (self.timestamp, self.snapshot, self.targets) = (None, None, None);
        Ok(())
    }

    /// Takes the timestamp in (TUF 5.4). An equal version is ignored and the trusted one kept.
    pub fn update_timestamp(&mut self, bytes: &[u8], origin: Origin) -> Result<()> {
        self.check_expiry(&self.root.statement)?;
        let new: Accepted<Timestamp> = self.accept(bytes)?;
        if let Some(old) = &self.timestamp {
            not_below(
                RoleName::Timestamp,
                new.statement.version,
                old.statement.version,
            )?;
            if new.statement.version == old.statement.version {
                return self.check_expiry(&old.statement);
            }
            not_below(
                RoleName::Snapshot,
                new.statement.snapshot()?.version,
                old.statement.snapshot()?.version,
            )?;
        }
        if origin == Origin::New {
            self.check_expiry(&new.statement)?;
        }
        self.timestamp = Some(new);
        Ok(())
    }

    /// Takes the snapshot in (TUF 5.5).
    pub fn update_snapshot(&mut self, bytes: &[u8], origin: Origin) -> Result<()> {
        let timestamp = &self
            .timestamp
            .as_ref()
            .ok_or_else(|| out_of_order(RoleName::Snapshot))?
            .statement;
        let named = timestamp.snapshot()?;
        if origin == Origin::New {
            self.check_expiry(timestamp)?;
            named.check(bytes, "snapshot.json")?;
        }
        let new: Accepted<Snapshot> = self.accept(bytes)?;
        if let Some(old) = &self.snapshot {
            for (file, old) in &old.statement.meta {
                let new = new.statement.meta.get(file).map_or(0, |meta| meta.version);
                if new < old.version {
                    return Err(Error::new(
                        Code::VersionRollback,
                        "snapshot.json",
                        format!("lists version {new} of {file}, trusted is {}", old.version),
                    ));
                }
            }
        }
        if origin == Origin::New {
            same_version(RoleName::Snapshot, new.statement.version, named.version)?;
            self.check_expiry(&new.statement)?;
        }
        self.snapshot = Some(new);
        Ok(())
    }

    /// Whether the trusted snapshot is the one that the timestamp names, so that no other is needed.
    pub fn snapshot_is_current(&self) -> bool {
        match (&self.timestamp, &self.snapshot) {
            (Some(timestamp), Some(snapshot)) => {
                self.check_expiry(&snapshot.statement).is_ok()
                    && timestamp.statement.snapshot().is_ok_and(|meta| {
                        meta.version == snapshot.statement.version
                            && meta.check(&snapshot.bytes, "snapshot.json").is_ok()
                    })
            }
            _ => false,
        }
    }

    /// Takes the targets in (TUF 5.6).
    pub fn update_targets(&mut self, bytes: &[u8]) -> Result<()> {
        if !self.snapshot_is_current() {
            return Err(out_of_order(RoleName::Targets));
        }
        let snapshot = &self
            .snapshot
            .as_ref()
            .ok_or_else(|| out_of_order(RoleName::Targets))?
            .statement;
        let named = snapshot.targets()?;
        named.check(bytes, "targets.json")?;
        let new: Accepted<Targets> = self.accept(bytes)?;
        same_version(RoleName::Targets, new.statement.version, named.version)?;
        self.check_expiry(&new.statement)?;
        self.targets = Some(new);
        Ok(())
    }

    /// Refuses what has expired by the time of this update.
    pub fn check_expiry<T: Statement>(&self, statement: &T) -> Result<()> {
        if statement.expires() > self.now {
            return Ok(());
        }
        Err(Error::new(
            Code::Expired,
            subject(T::ROLE, statement.version()),
            format!("expired on {}, and it is {}", statement.expires(), self.now),
        ))
    }

    fn accept<T: Statement>(&self, bytes: &[u8]) -> Result<Accepted<T>> {
        let name = format!("{}.json", T::ROLE);
        let signed = Signed::parse(bytes, &name)?;
        let signers = count(&self.root.statement, T::ROLE, &signed, self.schemes, &name)?;
        let statement = T::from_signed(signed.signed())?;
        Ok(Accepted {
            statement,
            signers,
            bytes: bytes.to_vec(),
        })
    }
}

fn count(
    root: &Root,
    role: RoleName,
    signed: &Signed,
    schemes: &[Scheme],
    subject: &str,
) -> Result<Vec<KeyHolder>> {
    verify_threshold(
        &root.keys,
        root.role(role)?,
        signed.message(),
        signed.signatures(),
        schemes,
        subject,
    )
}

fn subject(role: RoleName, version: u64) -> String {
    format!("{version}.{role}.json")
}

fn out_of_order(role: RoleName) -> Error {
    Error::new(
        Code::BadMetadata,
        role.name(),
        "comes before the metadata that names it",
    )
}

fn not_below(role: RoleName, new: u64, old: u64) -> Result<()> {
    if new >= old {
        return Ok(());
    }
    Err(Error::new(
        Code::VersionRollback,
        format!("{role}.json"),
        format!("has version {new}, trusted is {old}"),
    ))
}

fn same_version(role: RoleName, found: u64, named: u64) -> Result<()> {
    if found == named {
        return Ok(());
    }
    Err(Error::new(
        Code::VersionMismatch,
        format!("{role}.json"),
        format!("has version {found}, signed is {named}"),
    ))
}
