//! Takes content out of a verified bundle.
//!
//! Everything is made in a fresh folder inside of the one that the user names, through a handle of it and
//! without following a single link, and appears under its names only when all of it is there. Whatever goes
//! wrong before that leaves nothing behind.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Mutex,
};

use rustix::fs::{Mode, OFlags, RenameFlags, ResolveFlags};
use sealift_verifier::{
    Code, Error, Result,
    bundle::{Authentic, Sink},
    digest::Digest,
    oci,
    path::EntryPath,
    provenance,
    release::{Artifact, BlobRef, Capability, Content, Release},
    tree::{self, Node},
};

/// How much is copied at once.
const CHUNK: usize = 256 << 10;

/// A file that is made of a blob.
struct Place {
    path: EntryPath,
    executable: bool,
}

/// What will be made.
#[derive(Default)]
pub(crate) struct Plan {
    /// What the user asked for, resolved.
    names: BTreeSet<String>,
    /// Where each blob goes.
    blobs: HashMap<Digest, Vec<Place>>,
    /// Files whose content is small and known already.
    files: BTreeMap<EntryPath, Vec<u8>>,
    links: BTreeMap<EntryPath, String>,
    dirs: BTreeSet<EntryPath>,
    bytes: u64,
}

impl Plan {
    /// Finds `item` in the bundle and plans where its content goes.
    pub(crate) fn new(bundle: &Authentic, item: &str) -> Result<Self> {
        let mut plan = Self::default();
        if let Some(hex) = item.strip_prefix("sha256:") {
            plan.blob_by_digest(bundle, hex)?;
            return Ok(plan);
        }
        // As `inspect` calls it, too.
        let item = match item {
            "provenance" => provenance::MEMBER,
            other => other,
        };
        if ["release.json", provenance::MEMBER].contains(&item) {
            plan.head(bundle, "", |path| path == item)?;
            return Ok(plan);
        }
        if item == "metadata" {
            plan.head(bundle, "", |path| path.starts_with("metadata/"))?;
            return Ok(plan);
        }
        if item == "sbom" {
            plan.bills(bundle.release())?;
            let none = || Error::new(Code::NotFound, item, "this release has none");
            return (!plan.names.is_empty()).then_some(plan).ok_or_else(none);
        }
        // What is taken out of a release is what a smaller release would hold.
        let mut chosen = bundle.release().clone();
        for capability in &mut chosen.capabilities {
            let whole = capability.clone();
            capability
                .artifacts
                .retain(|artifact| is_chosen(item, &whole, artifact));
        }
        chosen.capabilities.retain(|c| !c.artifacts.is_empty());
        if item == "all" {
            plan.head(bundle, "bundle/", |_| true)?;
            plan.bills(bundle.release())?;
        } else if chosen.capabilities.is_empty() {
            return Err(Error::new(
                Code::NotFound,
                item,
                "is no capability and no artifact of this release",
            ));
        }
        plan.release(bundle, &chosen)?;
        Ok(plan)
    }

    /// What is taken out, by the names of the release.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// How many bytes will be written.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn blob_by_digest(&mut self, bundle: &Authentic, hex: &str) -> Result<()> {
        let digest: Digest = hex
            .parse()
            .map_err(|e: Error| Error::new(Code::Usage, hex, e.to_string()))?;
        let delivery = bundle.delivery();
        let mut blobs = delivery.packs.iter().flat_map(|pack| &pack.blobs);
        let blob = blobs
            .find(|blob| blob.digest() == digest)
            .or_else(|| delivery.blobs.iter().find(|blob| blob.digest() == digest))
            .ok_or_else(|| Error::new(Code::NotFound, hex, "is no blob of this bundle"))?;
        self.names.insert(format!("sha256:{digest}"));
        self.put(digest, blob.size(), digest.to_hex().parse()?, false);
        Ok(())
    }

    /// The small files at the beginning of the bundle.
    fn head(
        &mut self,
        bundle: &Authentic,
        below: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<()> {
        for (path, bytes) in bundle.head().iter().filter(|(path, _)| wanted(path)) {
            self.names.insert(path.clone());
            self.bytes = self.bytes.saturating_add(bytes.len() as u64);
            self.files
                .insert(format!("{below}{path}").parse()?, bytes.clone());
        }
        Ok(())
    }

    /// The bills of materials.
    fn bills(&mut self, release: &Release) -> Result<()> {
        for sbom in &release.sbom {
            let path = format!("sbom/{}", sbom.format.file_name());
            self.names.insert(path.clone());
            self.put(sbom.file.digest, sbom.file.size, path.parse()?, false);
        }
        Ok(())
    }

    fn release(&mut self, bundle: &Authentic, release: &Release) -> Result<()> {
        // Images share blobs, and lie in one layout.
        let mut layers = BTreeSet::new();
        for (capability, artifact) in release.artifacts() {
            let name = format!("{}/{}", capability.name, artifact.name);
            let place = "files"
                .parse::<EntryPath>()?
                .join(&capability.name.as_str().parse()?)
                .join(&artifact.name);
            self.names.insert(name);
            match &artifact.content {
                Content::Image(image) => {
                    for blob in image.blobs.iter().filter(|b| layers.insert(b.digest())) {
                        let path = format!("images/blobs/sha256/{}", blob.digest()).parse()?;
                        self.put(blob.digest(), blob.size(), path, false);
                    }
                }
                Content::File(file) | Content::Config(file) | Content::Notice(file) => {
                    self.put(file.digest, file.size, place, file.executable);
                }
                Content::Tree(reference) => {
                    self.dirs.insert(place.clone());
                    for entry in bundle.tree(reference.digest)?.entries {
                        let path = place.join(&entry.path);
                        match entry.node {
                            Node::File { mode, size, digest } => {
                                self.put(digest, size, path, mode == tree::Mode::Executable);
                            }
                            Node::Symlink { target } => {
                                self.links.insert(path, target);
                            }
                            Node::Dir => {
                                self.dirs.insert(path);
                            }
                        }
                    }
                }
            }
        }
        if release.images().next().is_some() {
            let index = oci::index(release)?;
            self.files.insert("images/index.json".parse()?, index);
            self.files
                .insert("images/oci-layout".parse()?, oci::LAYOUT.to_vec());
        }
        Ok(())
    }

    fn put(&mut self, digest: Digest, size: u64, path: EntryPath, executable: bool) {
        let places = self.blobs.entry(digest).or_default();
        places.push(Place { path, executable });
        self.bytes = self.bytes.saturating_add(size);
    }

    /// All folders that are needed, each after the one it lies in.
    fn all_dirs(&self) -> BTreeSet<EntryPath> {
        let files = self.blobs.values().flatten().map(|place| &place.path);
        let inside = files.chain(self.files.keys()).chain(self.links.keys());
        let mut dirs = BTreeSet::new();
        for (path, itself) in inside
            .map(|path| (path, false))
            .chain(self.dirs.iter().map(|path| (path, true)))
        {
            let mut next = if itself {
                Some(path.clone())
            } else {
                path.parent()
            };
            while let Some(dir) = next.take_if(|dir| !dirs.contains(dir)) {
                next = dir.parent();
                dirs.insert(dir);
            }
        }
        dirs
    }
}

fn is_chosen(item: &str, capability: &Capability, artifact: &Artifact) -> bool {
    match item {
        "all" => true,
        "images" => matches!(artifact.content, Content::Image(_)),
        "notices" => matches!(artifact.content, Content::Notice(_)),
        _ => {
            item == capability.name.as_str()
                || item == format!("{}/{}", capability.name, artifact.name)
        }
    }
}

/// Makes all of `plan` in the folder `to`, or nothing. `progress` hears of bytes that were written.
pub(crate) fn extract(
    bundle: &Authentic,
    plan: &Plan,
    to: &Path,
    threads: usize,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    let was_there = to.exists();
    make_in(bundle, plan, to, threads, progress).inspect_err(|_| {
        if !was_there {
            // Goes only if it is empty.
            let _ = std::fs::remove_dir(to);
        }
    })
}

fn make_in(
    bundle: &Authentic,
    plan: &Plan,
    to: &Path,
    threads: usize,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    let named = |e: io::Error| Error::io(to.display().to_string(), e);
    std::fs::create_dir_all(to).map_err(named)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let target = rustix::fs::open(to, flags, Mode::empty()).map_err(|e| named(e.into()))?;

    let dirs = plan.all_dirs();
    let top: BTreeSet<&str> = dirs
        .iter()
        .chain(plan.files.keys())
        .chain(plan.blobs.values().flatten().map(|place| &place.path))
        .filter_map(|path| path.parts().next())
        .collect();
    for name in &top {
        if rustix::fs::statat(&target, *name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Err(exists(to, name));
        }
    }
    let fresh = Fresh::new(&target, to)?;
    fresh.make(bundle, plan, &dirs, threads, progress)?;
    let mut moved = Vec::new();
    for name in top {
        let renamed =
            rustix::fs::renameat_with(&fresh.handle, name, &target, name, RenameFlags::NOREPLACE);
        if let Err(e) = renamed {
            // Somebody made the name meanwhile: what was moved goes back, to be removed with the rest.
            for name in moved {
                let _ = rustix::fs::renameat(&target, name, &fresh.handle, name);
            }
            return Err(match e {
                rustix::io::Errno::EXIST => exists(to, name),
                e => Error::io(to.join(name).display().to_string(), e.into()),
            });
        }
        moved.push(name);
    }
    Ok(())
}

fn exists(to: &Path, name: &str) -> Error {
    Error::new(
        Code::AlreadyExists,
        to.join(name).display().to_string(),
        "is there already",
    )
}

/// A folder that did not exist before and is removed in the end, with what is still in it.
struct Fresh {
    handle: OwnedFd,
    path: PathBuf,
}

impl Drop for Fresh {
    fn drop(&mut self) {
        #[expect(
            clippy::disallowed_methods,
            reason = "removes the folder that this program has just made, and never follows links"
        )]
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

impl Fresh {
    fn new(parent: &OwnedFd, path: &Path) -> Result<Self> {
        let name = format!(".sealift-extract-{}", std::process::id());
        let path = path.join(&name);
        let error = |e: rustix::io::Errno| Error::io(path.display().to_string(), e.into());
        rustix::fs::mkdirat(parent, &name, Mode::RWXU).map_err(error)?;
        let handle = open_below(
            parent,
            &name,
            OFlags::RDONLY | OFlags::DIRECTORY,
            Mode::empty(),
        )
        .map_err(|e| Error::io(path.display().to_string(), e))?;
        Ok(Self { handle, path })
    }

    fn make(
        &self,
        bundle: &Authentic,
        plan: &Plan,
        dirs: &BTreeSet<EntryPath>,
        threads: usize,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<()> {
        for dir in dirs {
            self.in_parent(dir, |handle, name| {
                rustix::fs::mkdirat(handle, name, Mode::RWXU)
            })?;
        }
        for (path, bytes) in &plan.files {
            self.create(path)
                .and_then(|mut file| {
                    file.write_all(bytes)?;
                    finish(&file, false)
                })
                .map_err(|e| self.error(path, e))?;
            progress(bytes.len() as u64);
        }
        let sink = Writer {
            fresh: self,
            plan,
            progress,
            missing: Mutex::new(plan.blobs.keys().copied().collect()),
        };
        let wanted = |digest| plan.blobs.contains_key(&digest);
        bundle.read_blobs(&wanted, &sink, threads, &|_| {})?;
        let missing = sink.missing.into_inner().unwrap_or_default();
        if let Some(digest) = missing.iter().next() {
            return Err(Error::new(
                Code::Incomplete,
                format!("blob {digest}"),
                "is needed, but not in the bundle",
            ));
        }
        // After all files, so that none of them could be written through a link.
        for (path, link) in &plan.links {
            self.in_parent(path, |handle, name| {
                rustix::fs::symlinkat(link.as_str(), handle, name)
            })?;
        }
        // The umask has no say in what the vendor released.
        for dir in dirs {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            open_below(&self.handle, dir.as_str(), flags, Mode::empty())
                .and_then(|handle| Ok(rustix::fs::fchmod(handle, Mode::from_raw_mode(0o755))?))
                .map_err(|e| self.error(dir, e))?;
        }
        Ok(())
    }

    /// Makes a new file that only we can read until it is complete.
    fn create(&self, path: &EntryPath) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        open_below(&self.handle, path.as_str(), flags, Mode::RUSR | Mode::WUSR).map(File::from)
    }

    /// Does something with the last part of `path` in the folder that it lies in.
    fn in_parent(
        &self,
        path: &EntryPath,
        act: impl FnOnce(&OwnedFd, &str) -> rustix::io::Result<()>,
    ) -> Result<()> {
        let (folder, name) = path
            .as_str()
            .rsplit_once('/')
            .unwrap_or((".", path.as_str()));
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        open_below(&self.handle, folder, flags, Mode::empty())
            .and_then(|handle| Ok(act(&handle, name)?))
            .map_err(|e| self.error(path, e))
    }

    fn error(&self, path: &EntryPath, error: io::Error) -> Error {
        match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) => Error::io(self.path.join(path.as_path()).display().to_string(), error),
        }
    }
}

/// Opens `path` below `folder`: no `..`, no link and no mount leads out of it.
fn open_below(folder: impl AsFd, path: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(
        folder,
        path,
        flags | OFlags::CLOEXEC,
        mode,
        resolve,
    )?)
}

fn finish(file: &File, executable: bool) -> io::Result<()> {
    let mode = if executable { 0o755 } else { 0o644 };
    Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?)
}

/// Writes blobs to their places as they come.
struct Writer<'a> {
    fresh: &'a Fresh,
    plan: &'a Plan,
    progress: &'a (dyn Fn(u64) + Sync),
    missing: Mutex<BTreeSet<Digest>>,
}

impl Sink for Writer<'_> {
    fn blob(&self, blob: BlobRef, content: &mut dyn Read) -> io::Result<()> {
        let places = self.plan.blobs.get(&blob.digest());
        let mut first: Option<File> = None;
        for place in places.into_iter().flatten() {
            let named = |e| io::Error::other(self.fresh.error(&place.path, e));
            let mut file = self.fresh.create(&place.path).map_err(named)?;
            if let Some(first) = &mut first {
                // The bytes were verified on their way into the first file, which nobody else can open.
                io::Seek::rewind(first).map_err(named)?;
                self.copy(first, &mut file).map_err(named)?;
            } else {
                self.copy(content, &mut file).map_err(named)?;
            }
            finish(&file, place.executable).map_err(named)?;
            first.get_or_insert(file);
        }
        if let Ok(mut missing) = self.missing.lock() {
            missing.remove(&blob.digest());
        }
        Ok(())
    }
}

impl Writer<'_> {
    fn copy(&self, from: &mut dyn Read, to: &mut File) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = from.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            to.write_all(buffer.get(..count).unwrap_or_default())?;
            (self.progress)(count as u64);
        }
    }
}
