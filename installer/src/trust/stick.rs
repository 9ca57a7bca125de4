//! Metadata without a payload, as it lies on a medium: a folder, a tar, or the beginning of a bundle.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

use sealift_verifier::limits;

use crate::{
    disk::{Dir, Kind},
    error::{Code, Error, Result},
};

/// The folder with the vendor's metadata, as in a bundle.
const METADATA: &str = "metadata";
/// The folder with the customer's roots.
const CUSTOMER: &str = "customer";

/// What a medium holds. Nobody has verified any of it.
#[derive(Debug, Default)]
pub struct Stick {
    /// What it is called in errors.
    pub name: String,
    /// The files of `metadata/`, or those that lie in no folder.
    pub metadata: Files,
    /// The files of `customer/`.
    pub customer: Files,
    bytes: u64,
}

/// The metadata files of one folder.
#[derive(Debug, Default)]
pub struct Files {
    /// `N.root.json` by N.
    pub roots: BTreeMap<u64, Vec<u8>>,
    /// `timestamp.json`
    pub timestamp: Option<Vec<u8>>,
    /// `snapshot.json`
    pub snapshot: Option<Vec<u8>>,
    /// `targets.json`
    pub targets: Option<Vec<u8>>,
}

/// Where a file belongs.
#[derive(Clone, Copy)]
enum Place {
    Root(u64),
    Timestamp,
    Snapshot,
    Targets,
}

impl Place {
    /// By the name in its folder; other files are none of ours.
    fn of(name: &str) -> Option<Self> {
        match name {
            "timestamp.json" => Some(Self::Timestamp),
            "snapshot.json" => Some(Self::Snapshot),
            "targets.json" => Some(Self::Targets),
            _ => {
                let number = name.strip_suffix(".root.json")?;
                let version: u64 = number.parse().ok()?;
                // `01` and `+1` would be second names of one root.
                (version > 0 && version.to_string() == number).then_some(Self::Root(version))
            }
        }
    }
}

impl Stick {
    /// Reads what is at `path`: a folder or a tar with `metadata/`, `customer/` or both; one with metadata files
    /// themselves; or a bundle, of which nothing but the beginning is read.
    pub fn read(path: &Path) -> Result<Self> {
        let mut stick = Self {
            name: path.display().to_string(),
            ..Self::default()
        };
        if path.is_dir() {
            stick.folder(&Dir::open(path)?)?;
        } else {
            let flags = rustix::fs::OFlags::RDONLY
                | rustix::fs::OFlags::NONBLOCK
                | rustix::fs::OFlags::CLOEXEC;
            let file = rustix::fs::open(path, flags, rustix::fs::Mode::empty())
                .map_err(|e| Error::io(&stick.name, e.into()))?;
            stick.archive(&File::from(file))?;
        }
        if stick.metadata.is_empty() && stick.customer.is_empty() {
            return Err(stick.bad("holds none"));
        }
        Ok(stick)
    }

    fn folder(&mut self, dir: &Dir) -> Result<()> {
        let inside = |name: &str| match dir.dir(name) {
            Ok(dir) => Ok(Some(dir)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        };
        let (metadata, customer) = (inside(METADATA)?, inside(CUSTOMER)?);
        if let Some(customer) = &customer {
            self.files(customer, true)?;
        }
        match &metadata {
            Some(metadata) => self.files(metadata, false),
            None if customer.is_some() => Ok(()),
            None => self.files(dir, false),
        }
    }

    fn files(&mut self, dir: &Dir, customer: bool) -> Result<()> {
        for (name, kind) in dir.list()? {
            let place = name.to_str().and_then(Place::of);
            if let (Kind::File, Some(place)) = (kind, place) {
                let bytes = dir.read(&name, limits::METADATA_BYTES)?;
                self.take(customer, place, bytes)?;
            }
        }
        Ok(())
    }

    fn archive(&mut self, file: &File) -> Result<()> {
        let metadata = file.metadata().map_err(|e| Error::io(&self.name, e))?;
        if !metadata.is_file() {
            return Err(self.bad("is neither a folder nor a regular file"));
        }
        // Whatever headers claim, no more than this is ever read, or kept in memory.
        let mut archive = tar::Archive::new(file.take(limits::HEAD_BYTES));
        let broken = |e: io::Error| Error::io_as(Code::NoMetadata, &self.name, e);
        let mut found = Vec::new();
        // Extensions of tar that rename what follows are not interpreted: our names need none.
        for entry in archive.entries().map_err(broken)?.raw(true) {
            let mut entry = entry.map_err(broken)?;
            let kind = entry.header().entry_type();
            if !kind.is_file() {
                if kind.is_dir()
                    || kind.is_pax_global_extensions()
                    || kind.is_pax_local_extensions()
                {
                    continue;
                }
                return Err(self.bad("holds something else than files and folders"));
            }
            let path = entry.path_bytes().into_owned();
            let path = std::str::from_utf8(&path).unwrap_or_default();
            let path = path.strip_prefix("./").unwrap_or(path);
            let (customer, name) = match path.split_once('/') {
                None => (false, path),
                Some((METADATA, name)) => (false, name),
                Some((CUSTOMER, name)) => (true, name),
                Some(_) => (false, ""),
            };
            // In a bundle, the payload begins here.
            if path == "release.json" {
                break;
            }
            let Some(place) = Place::of(name) else {
                continue;
            };
            let mut bytes = Vec::new();
            entry
                .by_ref()
                .take(limits::METADATA_BYTES.saturating_add(1))
                .read_to_end(&mut bytes)
                .map_err(broken)?;
            if bytes.len() as u64 > limits::METADATA_BYTES {
                return Err(self.bad("holds a file that is too long for metadata"));
            }
            found.push((customer, place, bytes));
        }
        for (customer, place, bytes) in found {
            self.take(customer, place, bytes)?;
        }
        Ok(())
    }

    fn take(&mut self, customer: bool, place: Place, bytes: Vec<u8>) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        let files = if customer {
            &mut self.customer
        } else {
            &mut self.metadata
        };
        let before = match place {
            Place::Root(version) => files.roots.insert(version, bytes),
            Place::Timestamp => files.timestamp.replace(bytes),
            Place::Snapshot => files.snapshot.replace(bytes),
            Place::Targets => files.targets.replace(bytes),
        };
        let many = files.roots.len() as u64 > limits::ROOT_ROTATIONS;
        if before.is_some() {
            return Err(self.bad("holds a file twice"));
        }
        if many || self.bytes > limits::HEAD_BYTES {
            return Err(self.bad("holds more than metadata can be"));
        }
        Ok(())
    }

    /// That it is no medium with metadata.
    pub(super) fn bad(&self, why: &str) -> Error {
        Error::new(Code::NoMetadata, &self.name, why)
    }
}

impl Files {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
            && [&self.timestamp, &self.snapshot, &self.targets]
                .iter()
                .all(|file| file.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_has_one_name() {
        let version = |name| match Place::of(name) {
            Some(Place::Root(version)) => Some(version),
            _ => None,
        };
        assert_eq!(version("1.root.json"), Some(1));
        assert_eq!(version("12.root.json"), Some(12));
        for name in [
            "0.root.json",
            "01.root.json",
            "+1.root.json",
            "root.json",
            "2.root.draft.json",
        ] {
            assert_eq!(version(name), None, "{name}");
        }
        assert!(matches!(Place::of("targets.json"), Some(Place::Targets)));
    }
}
