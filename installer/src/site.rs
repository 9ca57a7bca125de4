//! A site: its state folder, opened to look ([`Site`]), locked ([`Locked`]), and ready to be changed
//! ([`Ready`]), which it only is after what an earlier crash left has been finished or undone.

use std::{
    cell::{RefCell, RefMut},
    ops::Deref,
    path::{Path, PathBuf},
};

use sealift_verifier::{
    approval::Override,
    bundle::Trust,
    digest::Digest,
    time::Time,
    tuf::{ED25519, Root, TrustedSet},
};

use crate::{
    audit::{self, log::Log},
    disk::{Dir, Disk, ReplaceError, Writer},
    error::{Code, Error, Result},
    journal::{self, Phase},
    lock::{self, Lock},
    policy::{self, SitePolicy},
    reserve, site_key,
    state::{CustomerRoot, Generation, State, TrustState},
    store::Store,
    twice::{self, Damage},
    watch,
};

/// Where a site is unless somebody says otherwise.
pub const DEFAULT: &str = "/var/lib/sealift";
/// The committed truth.
pub const STATE: &str = "state.json";
/// The same again, see [`crate::twice`].
pub const STATE_COPY: &str = "state.copy.json";
/// Trusted metadata.
pub const TRUST: &str = "trust";
/// The same again.
pub const TRUST_COPY: &str = "trust.copy";
/// The blobs.
pub const STORE: &str = "store";
/// The generations.
pub const GENERATIONS: &str = "generations";
/// Where generations go to be removed, so that a half removed one is never taken for a whole one.
pub const TRASH: &str = "trash";
/// The symbolic link to the generation that runs.
pub const CURRENT: &str = "current";
/// Artifacts, below a generation.
pub const FILES: &str = "files";
/// The OCI image layout, below a generation.
pub const IMAGES: &str = "images";
/// Bills of materials, below a generation.
pub const SBOM: &str = "sbom";
/// The small files of the bundle, below a generation.
pub const BUNDLE: &str = "bundle";

/// Signed statements: licenses, approvals and so on.
pub const STATEMENTS: &str = "statements";
/// The policy that holds.
pub const POLICY: &str = "policy";

/// Everything that may lie in a state folder.
pub const KNOWN: [&str; 17] = [
    STATE,
    STATE_COPY,
    TRUST_COPY,
    STATEMENTS,
    POLICY,
    TRUST,
    STORE,
    GENERATIONS,
    TRASH,
    CURRENT,
    journal::FILE,
    lock::FILE,
    audit::FOLDER,
    site_key::FILE,
    site_key::PUBLIC_FILE,
    watch::FILE,
    reserve::FILE,
];

/// A site as somebody looks at it.
pub struct Site {
    dir: Dir,
    state: State,
    damage: Vec<Damage>,
}

/// The circumstances of one run that are handed in and never taken.
pub struct Context<'a> {
    /// The time by the local clock.
    pub now: Time,
    /// How many threads read, hash and write.
    pub threads: usize,
    /// Who runs the program.
    pub who: &'a audit::Who,
    /// Hears how far it is.
    pub progress: &'a dyn Progress,
    /// What the operator wants to be overridden, as far as people have approved that.
    pub overrides: Vec<Override>,
    /// This very program: rules in Rego are evaluated by another process of it.
    pub program: &'a Path,
}

/// Hears how far an operation is.
pub trait Progress: Sync {
    /// A step begins that will take in this many bytes.
    fn begin(&self, step: &str, bytes: u64);
    /// This many bytes more are done.
    fn advance(&self, bytes: u64);
    /// The step has ended.
    fn end(&self);
    /// Something to tell at once.
    fn note(&self, text: &str);
}

/// Tells nobody.
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
    fn note(&self, _: &str) {}
}

/// The name of a generation's folder in [`GENERATIONS`].
pub fn folder_name(generation: u64) -> String {
    generation.to_string()
}

/// Where `current` leads for a generation.
pub fn current_target(generation: u64) -> String {
    format!("{GENERATIONS}/{generation}")
}

impl Site {
    /// Opens the state folder to look at it.
    pub fn open(path: &Path) -> Result<Self> {
        let not_a_site = |e: Error| {
            if e.is_not_found() {
                Error::new(
                    Code::NotASite,
                    path.display().to_string(),
                    "there is no site here",
                )
            } else {
                e
            }
        };
        // Absolute, because the hook and exec probes are told where things are.
        let path = path
            .canonicalize()
            .map_err(|e| not_a_site(Error::io(path.display(), e)))?;
        let dir = Dir::open(&path)?;
        let (mut state, mut damage) = twice::read_state(&dir).map_err(not_a_site)?;
        twice::complete(&dir, &mut state.trust);
        damage.extend(twice::damaged_trust(&dir, &state.trust));
        Ok(Self { dir, state, damage })
    }

    /// What of that which is kept twice was found damaged when the site was opened.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// The committed truth.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The open state folder.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// The absolute path of something in the state folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What was interrupted and not yet finished or undone.
    pub fn interrupted(&self) -> Result<Option<Phase>> {
        Phase::load(&self.dir)
    }

    /// The folder of a kept generation.
    pub fn generation_dir(&self, generation: u64) -> Result<Dir> {
        self.dir.dir(format!("{GENERATIONS}/{generation}"))
    }

    /// A kept generation, or `generation-unknown`.
    pub fn kept(&self, number: u64) -> Result<&Generation> {
        self.state.generation(number).ok_or_else(|| {
            Error::new(
                Code::GenerationUnknown,
                format!("generation {number}"),
                "is not kept",
            )
        })
    }

    /// The number of a kept generation, the current one if none is named.
    pub fn kept_or_current(&self, number: Option<u64>) -> Result<u64> {
        match number.or(self.state.current) {
            Some(number) => self.kept(number).map(|kept| kept.number),
            None => Err(Error::new(
                Code::GenerationUnknown,
                "the current generation",
                "nothing runs here",
            )),
        }
    }

    /// The store.
    pub fn store(&self) -> Result<Store> {
        Store::open(&self.dir)
    }

    /// What a new bundle is verified against. The files in `trust/` are held to the digests in the state.
    pub fn trust(&self) -> Result<Trust> {
        let trust = &self.state.trust;
        let mut result = Trust::from_root(self.trusted(&root_file(trust.root), trust.root_digest)?);
        if let Some(newest) = &trust.newest {
            let (timestamp, snapshot) = (newest.timestamp, newest.snapshot);
            result.timestamp = Some(self.trusted(&timestamp_file(timestamp), timestamp)?);
            result.snapshot = Some(self.trusted(&snapshot_file(snapshot), snapshot)?);
        }
        Ok(result)
    }

    /// The trusted root of the vendor.
    pub fn root(&self) -> Result<Root> {
        let trust = &self.state.trust;
        read_root(&self.trusted(&root_file(trust.root), trust.root_digest)?)
    }

    /// The trusted root of the customer, where the site has one.
    pub fn customer_root(&self) -> Result<Option<Root>> {
        let bytes = self.customer_root_bytes()?;
        bytes.map(|bytes| read_root(&bytes)).transpose()
    }

    /// The policy that holds.
    pub fn policy(&self) -> Result<SitePolicy> {
        policy::load(self)
    }

    fn trusted(&self, name: &str, digest: Digest) -> Result<Vec<u8>> {
        twice::read_trusted(&self.dir, name, digest)
    }

    /// A root of the vendor that is or was trusted here, as the file it came in.
    pub fn trusted_root(&self, version: u64) -> Result<Vec<u8>> {
        let name = root_file(version);
        let found = self
            .state
            .trust
            .files()
            .into_iter()
            .find(|(n, _)| *n == name);
        let (_, digest) =
            found.ok_or_else(|| Error::new(Code::NotFound, &name, "was never trusted here"))?;
        self.trusted(&name, digest)
    }

    /// The trusted root of the customer, as the file it came in.
    pub fn customer_root_bytes(&self) -> Result<Option<Vec<u8>>> {
        let read = |c: &CustomerRoot| self.trusted(&customer_root_file(c.version), c.digest);
        self.state.trust.customer.as_ref().map(read).transpose()
    }

    /// The root that the site was made with, as the file it came in.
    pub fn first_root(&self) -> Result<Vec<u8>> {
        self.trusted_root(self.state.trust.first_root)
    }
}

/// A root that was trusted before, whether or not it has expired since: who signed what does not change by that.
fn read_root(bytes: &[u8]) -> Result<Root> {
    let trusted = TrustedSet::new(bytes, ED25519, Time::from_unix(0)?)?;
    Ok(trusted.root().statement.clone())
}

/// The name of a root of the customer in [`TRUST`].
pub fn customer_root_file(version: u64) -> String {
    format!("customer-{version}.root.json")
}

/// The name of a trusted root in [`TRUST`].
pub fn root_file(version: u64) -> String {
    format!("{version}.root.json")
}

/// The name of an accepted timestamp in [`TRUST`]. By digest, because two with one version can exist
/// around a rotation of roots.
pub fn timestamp_file(digest: Digest) -> String {
    format!("timestamp-{digest}.json")
}

/// The name of an accepted snapshot in [`TRUST`].
pub fn snapshot_file(digest: Digest) -> String {
    format!("snapshot-{digest}.json")
}

impl TrustState {
    /// The names and digests of the files in [`TRUST`] that it refers to.
    pub fn files(&self) -> Vec<(String, Digest)> {
        let roots = self.older.iter().chain([&self.root_digest]);
        let roots = (self.first_root..)
            .zip(roots)
            .map(|(n, d)| (root_file(n), *d));
        let others = self.newest.iter().flat_map(|newest| {
            [
                (timestamp_file(newest.timestamp), newest.timestamp),
                (snapshot_file(newest.snapshot), newest.snapshot),
            ]
        });
        let customer = self.customer.iter();
        let customer = customer.map(|c| (customer_root_file(c.version), c.digest));
        roots.chain(others).chain(customer).collect()
    }
}

/// A site that nobody else works at. All it lets one do is to recover it, see [`crate::recover`].
#[must_use]
pub struct Locked<'d> {
    pub(crate) site: Site,
    pub(crate) writer: Writer<'d>,
    pub(crate) lock: Lock,
}

impl<'d> Locked<'d> {
    /// Takes the site's lock for `command`.
    pub fn take(path: &Path, disk: &'d dyn Disk, command: &str, now: Time) -> Result<Self> {
        // Once to see that it is a site at all; again under the lock, because it may have changed.
        let lock = lock::take(&Site::open(path)?.dir, command, now)?;
        Ok(Self {
            site: Site::open(path)?,
            writer: Writer::new(disk),
            lock,
        })
    }
}

/// A locked site with nothing left half done.
#[must_use]
pub struct Ready<'d> {
    site: Site,
    writer: Writer<'d>,
    audit: RefCell<Log>,
    _lock: Lock,
}

impl Deref for Ready<'_> {
    type Target = Site;
    fn deref(&self) -> &Site {
        &self.site
    }
}

impl<'d> Ready<'d> {
    pub(crate) fn new(locked: Locked<'d>) -> Self {
        Self {
            site: locked.site,
            writer: locked.writer,
            audit: RefCell::default(),
            _lock: locked.lock,
        }
    }

    /// Changes the file system.
    pub fn writer(&self) -> Writer<'d> {
        self.writer
    }

    /// Says, durably, what is under way from now on.
    pub fn begin(&self, phase: &Phase) -> Result<()> {
        let at = self.site.dir.at(journal::FILE);
        Ok(self.writer.replace(at, &phase.to_bytes()?)?)
    }

    /// Says that nothing is under way any more.
    pub fn end(&self) -> Result<()> {
        self.writer.remove_file(self.site.dir.at(journal::FILE))?;
        self.writer.sync_dir(&self.site.dir)
    }

    /// The log of what is done here, for [`crate::audit`].
    pub(crate) fn audit_log(&self) -> RefMut<'_, Log> {
        self.audit.borrow_mut()
    }

    /// The one commit point: replaces the state.
    pub fn commit(&mut self, mut state: State) -> Result<(), ReplaceError> {
        if let Some(position) = self.audit.get_mut().position() {
            state.audit = Some(position);
        }
        if state.site_key.is_none() {
            let key = site_key::public(&self.site.dir, None)
                .and_then(|k| k.map(site_key::id).transpose());
            state.site_key = key.map_err(ReplaceError::Unchanged)?;
        }
        state.revision = self.site.state.revision.saturating_add(1);
        let result = twice::write_state(self.writer, &self.site.dir, &state);
        if !matches!(result, Err(ReplaceError::Unchanged(_))) {
            self.site.state = state;
        }
        result
    }

    /// Raises the lower bound of time to what accepted, signed data names as past.
    pub fn raise_time(&mut self, time: Time) -> Result<()> {
        if self.state().trust.time.is_some_and(|bound| bound >= time) {
            return Ok(());
        }
        let mut state = self.state().clone();
        state.trust.time = Some(time);
        Ok(self.commit(state)?)
    }

    /// Puts a file into `trust/` and beside it, durably, before the state refers to it.
    pub fn keep_trusted(&self, name: &str, bytes: &[u8]) -> Result<()> {
        twice::keep_trusted(self.writer, &self.site.dir, name, bytes)
    }

    /// Removes what is in `trust/` and nothing refers to. The roots that led to the trusted one stay.
    pub fn sweep_trusted(&self) -> Result<()> {
        let kept = self.site.state.trust.files();
        for folder in [TRUST, TRUST_COPY] {
            let dir = match self.site.dir.dir(folder) {
                Ok(dir) => dir,
                // Lost; it is made anew when what is kept twice is restored.
                Err(e) if e.is_not_found() => continue,
                Err(e) => return Err(e),
            };
            for (name, _) in dir.list()? {
                if !kept.iter().any(|(kept, _)| name == kept.as_str()) {
                    self.writer.remove_file(dir.at(&name))?;
                }
            }
        }
        Ok(())
    }

    /// Removes what a crash left beside files that are replaced as a whole, and restores what is kept twice.
    pub fn tidy(&self) -> Result<()> {
        for name in [STATE, STATE_COPY, CURRENT, journal::FILE, watch::FILE] {
            self.writer
                .remove_file(self.site.dir.at(&format!("{name}.tmp")))?;
        }
        for name in site_key::PARTIAL {
            self.writer.remove_file(self.site.dir.at(name))?;
        }
        if self.site.dir.status(audit::FOLDER.as_ref())?.is_some() {
            let folder = self.site.dir.dir(audit::FOLDER)?;
            for name in folder.list()? {
                if name.0.to_string_lossy().ends_with(".tmp") {
                    self.writer.remove_file(folder.at(&name.0))?;
                }
            }
        }
        twice::restore(self)?;
        self.sweep_trusted()
    }

    /// Removes a generation's folder, finished or not, if it is there.
    pub fn discard(&self, generation: u64) -> Result<()> {
        let generations = self.site.dir.dir(GENERATIONS)?;
        let trash = self.site.dir.dir(TRASH)?;
        for name in [folder_name(generation), staging_name(generation)] {
            if generations.status(name.as_ref())?.is_some() {
                if trash.status(name.as_ref())?.is_some() {
                    self.writer.remove_tree(trash.at(&name))?;
                }
                self.writer.rename(generations.at(&name), trash.at(&name))?;
            }
        }
        self.empty_trash()
    }

    /// Removes what is in the trash.
    pub fn empty_trash(&self) -> Result<()> {
        let trash = self.site.dir.dir(TRASH)?;
        for (name, kind) in trash.list()? {
            if kind == crate::disk::Kind::Dir {
                self.writer.remove_tree(trash.at(&name))?;
            } else {
                self.writer.remove_file(trash.at(&name))?;
            }
        }
        Ok(())
    }

    /// Removes every blob that no kept generation refers to, derived from what is on disk, and returns how
    /// many bytes that were.
    pub fn collect_garbage(&self) -> Result<u64> {
        let store = self.site.store()?;
        let mut needs = crate::store::Needs::new();
        let mut unsure = false;
        for generation in &self.site.state.generations {
            let contents = self
                .site
                .generation_dir(generation.number)
                .and_then(|dir| crate::generation::load(&dir, &store, generation));
            match contents.and_then(|c| c.needs()) {
                Ok(found) => found.into_iter().for_each(|(digest, need)| {
                    let entry = needs.entry(digest).or_insert(need);
                    entry.plain |= need.plain;
                    entry.executable |= need.executable;
                }),
                // A damaged generation must not lose what is left of it.
                Err(_) => unsure = true,
            }
        }
        store.collect(self.writer, |digest, form, status| {
            needs.get(&digest).is_some_and(|need| need.has(form)) || unsure && status.links > 1
        })
    }
}

/// The name of a generation's folder while it is put together.
pub fn staging_name(generation: u64) -> String {
    format!("{generation}.tmp")
}
