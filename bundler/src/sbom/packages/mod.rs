//! The packages of others that a release carries: in the layers of its images, in its trees and programs.
//!
//! Each layer is read once, whatever the number of images that have it: `layer` unpacks it as a stream and asks
//! `probe` which files tell of packages; `image` puts the layers of an image over each other. The formats:
//! `debian`, `alpine`, `python`, `npm`, and `elf` for Go and Cargo.

mod alpine;
mod copyright;
mod debian;
mod elf;
mod image;
mod layer;
mod npm;
mod package;
mod probe;
mod python;
mod sparse;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use sealift_verifier::{
    digest::Digest,
    path::{EntryPath, Name},
    tree::Mode,
};

use self::{image::Layer, layer::Flaw, probe::Found};
pub use self::{
    layer::LayerPackages,
    package::{Ecosystem, FoundPackage},
};
use crate::{
    build::{Progress, Stage},
    cache::Watch,
    error::{Code, Error},
    plan::{PlannedBlob, PlannedCapability, PlannedContent, PlannedImage, PlannedNode, Source},
};

/// Grows whenever other packages are found in the same bytes: what a cache kept for another version is of
/// no use.
pub const VERSION: u32 = 3;

/// Keeps what was found in layers, by their digests, and in which programs nothing was found, as long as they look the same.
/// What it fails to keep or to find is read again.
pub trait FoundCache: Sync {
    /// What was found in the layer earlier, by this [`VERSION`].
    fn load(&self, layer: Digest) -> Option<LayerPackages>;
    /// Keeps what was found. The content had this digest when it was read.
    fn store(&self, layer: Digest, found: &LayerPackages);
    /// Whether a program of `size` bytes looks as it did when this [`VERSION`] found nothing in it.
    fn has_none(&self, program: &Source, size: u64) -> bool;
    /// Begins to watch the open `file` of a program that is about to be read; nothing if a change of it might not show.
    fn watch(&self, program: &Source, file: &File) -> Option<Watch>;
    /// Keeps that nothing was found, if the file is still as it was.
    fn store_none(&self, watch: Watch, file: &File);
}

/// Keeps nothing.
impl FoundCache for () {
    fn load(&self, _layer: Digest) -> Option<LayerPackages> {
        None
    }
    fn store(&self, _layer: Digest, _found: &LayerPackages) {}
    fn has_none(&self, _program: &Source, _size: u64) -> bool {
        false
    }
    fn watch(&self, _program: &Source, _file: &File) -> Option<Watch> {
        None
    }
    fn store_none(&self, _watch: Watch, _file: &File) {}
}

/// The packages of each artifact that has some, by capability and artifact: sorted, each package URL once with each license.
pub type Packages = BTreeMap<(Name, EntryPath), Vec<FoundPackage>>;

/// An artifact that cannot be looked through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The capability.
    pub capability: Name,
    /// Its artifact.
    pub artifact: EntryPath,
    /// What kind of problem it is.
    pub code: Code,
    /// What exactly is wrong.
    pub message: String,
}

impl From<Broken> for Error {
    fn from(broken: Broken) -> Self {
        let subject = format!("{}/{}", broken.capability, broken.artifact);
        Self::new(broken.code, subject, broken.message)
    }
}

/// Finds all packages of the capabilities of a plan, on so many threads. What `cache` knows is not read.
/// `progress` hears of it as of one stage. Comes back with all artifacts that cannot be looked through.
pub fn find(
    capabilities: &[PlannedCapability],
    cache: &dyn FoundCache,
    threads: usize,
    progress: &dyn Progress,
) -> (Packages, Vec<Broken>) {
    let mut work = Work::default();
    for capability in capabilities {
        for artifact in &capability.artifacts {
            let owner = (capability.manifest.name.clone(), artifact.name.clone());
            work.add(owner, &artifact.content);
        }
    }
    let done = work.run(cache, threads, progress);
    work.collect(&done)
}

/// What one thread does in one go.
enum Task<'p> {
    Layer(&'p PlannedBlob),
    File {
        path: &'p str,
        size: u64,
        source: &'p Source,
    },
}

/// What came of a [`Task`].
enum Outcome {
    Layer(LayerPackages),
    File(Option<probe::Found>),
    Failed(Flaw),
}

/// An artifact, and the tasks that its packages come from, by their numbers.
struct Share<'p> {
    owner: (Name, EntryPath),
    parts: Vec<Part<'p>>,
}

enum Part<'p> {
    /// An image for one platform: its layers, the lowest first.
    Image(Vec<(usize, Layer<'p>)>),
    /// Files, and what symbolic links beside them tell.
    Files(Vec<usize>, Vec<(&'p str, Found)>),
}

/// All there is to do. A layer that several images have is one task.
#[derive(Default)]
struct Work<'p> {
    tasks: Vec<Task<'p>>,
    layers: BTreeMap<Digest, usize>,
    shares: Vec<Share<'p>>,
    broken: Vec<Broken>,
}

impl<'p> Work<'p> {
    fn add(&mut self, owner: (Name, EntryPath), content: &'p PlannedContent) {
        let parts = match content {
            PlannedContent::Image(image) => match self.image(image) {
                Ok(parts) => parts,
                Err(message) => return self.fail(&owner, Code::ImageInvalid, &message),
            },
            PlannedContent::Tree(entries) => {
                let (mut files, mut links) = (Vec::new(), Vec::new());
                for entry in entries {
                    let path = entry.path.as_str();
                    match &entry.node {
                        PlannedNode::File { mode, size, source } => {
                            let telling = probe::is_telling(path) || probe::is_library(path);
                            if *mode == Mode::Executable || telling {
                                files.push(self.file(path, *size, source));
                            }
                        }
                        PlannedNode::Symlink { target } => {
                            links.extend(probe::link(path, target).map(|found| (path, found)));
                        }
                        PlannedNode::Dir => {}
                    }
                }
                vec![Part::Files(files, links)]
            }
            PlannedContent::File(file) if file.executable => {
                let program = self.file("", file.size, &file.source);
                vec![Part::Files(vec![program], Vec::new())]
            }
            PlannedContent::File(_) | PlannedContent::Config(_) | PlannedContent::Notice(_) => {
                return;
            }
        };
        self.shares.push(Share { owner, parts });
    }

    fn image(&mut self, image: &'p PlannedImage) -> Result<Vec<Part<'p>>, String> {
        let platforms = image::layers(image)?;
        let mut task = |layer: Layer<'p>| {
            let next = self.tasks.len();
            let digest = layer.blob.blob.digest();
            let number = *self.layers.entry(digest).or_insert(next);
            if number == next {
                self.tasks.push(Task::Layer(layer.blob));
            }
            (number, layer)
        };
        let parts = platforms
            .into_iter()
            .map(|layers| Part::Image(layers.into_iter().map(&mut task).collect()));
        Ok(parts.collect())
    }

    fn file(&mut self, path: &'p str, size: u64, source: &'p Source) -> usize {
        self.tasks.push(Task::File { path, size, source });
        self.tasks.len() - 1
    }

    fn fail(&mut self, owner: &(Name, EntryPath), code: Code, message: &str) {
        self.broken.push(Broken {
            capability: owner.0.clone(),
            artifact: owner.1.clone(),
            code,
            message: message.to_owned(),
        });
    }

    /// Does all tasks, the largest first, so that none is left over when all others are done.
    fn run(&self, cache: &dyn FoundCache, threads: usize, progress: &dyn Progress) -> Vec<Outcome> {
        let size = |task: &Task<'_>| match task {
            Task::Layer(layer) => layer.blob.size(),
            Task::File { size, .. } => *size,
        };
        progress.begin(Stage::Scan, self.tasks.iter().map(size).sum());
        let mut order: Vec<usize> = (0..self.tasks.len()).collect();
        order.sort_by_key(|at| std::cmp::Reverse(size(&self.tasks[*at])));
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::with_capacity(order.len()));
        let work = || {
            while let Some(at) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                let outcome =
                    self.tasks[*at].run(cache, &|count| progress.bytes(Stage::Scan, count));
                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                done.push((*at, outcome));
            }
        };
        let threads = threads.clamp(1, order.len().max(1));
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, outcome)| outcome).collect()
    }

    fn collect(mut self, done: &[Outcome]) -> (Packages, Vec<Broken>) {
        let mut packages = Packages::new();
        for Share { owner, parts } in std::mem::take(&mut self.shares) {
            let mut found = Vec::new();
            for part in parts {
                match self.part(part, done) {
                    Ok(all) => found.extend(all),
                    Err(flaws) => {
                        for flaw in flaws {
                            self.fail(&owner, flaw.code, &flaw.message);
                        }
                    }
                }
            }
            found.sort();
            // Spellings of one name need not be neighbours.
            let mut seen = BTreeSet::new();
            found.retain(|package| seen.insert((package.purl.clone(), package.license.clone())));
            if !found.is_empty() {
                packages.insert(owner, found);
            }
        }
        // Platforms may share the layer that is broken.
        self.broken.dedup();
        (packages, self.broken)
    }

    /// What can be seen of one part, or all that is wrong with it.
    fn part(&self, part: Part<'_>, done: &[Outcome]) -> Result<Vec<FoundPackage>, Vec<Flaw>> {
        let mut flaws = Vec::new();
        let mut layers = Vec::new();
        let mut tree = LayerPackages::default();
        match part {
            Part::Image(parts) => {
                for (at, Layer { blob, unpacked }) in parts {
                    let digest = blob.blob.digest();
                    match &done[at] {
                        Outcome::Layer(layer) => {
                            flaws.extend(layer.differs(digest, unpacked));
                            layers.push((Some(digest), layer));
                        }
                        Outcome::Failed(flaw) => flaws.push(flaw.clone()),
                        Outcome::File(_) => {}
                    }
                }
            }
            Part::Files(files, links) => {
                let links = links.into_iter().map(|(path, found)| (path.into(), found));
                tree.files.extend(links);
                for at in files {
                    match (&self.tasks[at], &done[at]) {
                        (Task::File { path, .. }, Outcome::File(Some(found))) => {
                            tree.files.insert((*path).to_owned(), found.clone());
                        }
                        (_, Outcome::Failed(flaw)) => flaws.push(flaw.clone()),
                        _ => {}
                    }
                }
                layers.push((None, &tree));
            }
        }
        if !flaws.is_empty() {
            return Err(flaws);
        }
        image::overlay(&layers).map_err(|message| vec![Flaw::invalid(message)])
    }
}

impl Task<'_> {
    fn run(&self, cache: &dyn FoundCache, progress: &dyn Fn(u64)) -> Outcome {
        match self {
            Self::Layer(blob) => {
                let digest = blob.blob.digest();
                if let Some(found) = cache.load(digest) {
                    progress(blob.blob.size());
                    return Outcome::Layer(found);
                }
                match layer::read(blob, progress) {
                    Ok(found) => {
                        cache.store(digest, &found);
                        Outcome::Layer(found)
                    }
                    Err(flaw) => Outcome::Failed(flaw),
                }
            }
            Self::File { path, size, source } => {
                progress(*size);
                // By its name, a file may tell something else with the same content.
                let is_program = !probe::is_telling(path);
                if is_program && cache.has_none(source, *size) {
                    return Outcome::File(None);
                }
                let read = || -> io::Result<_> {
                    let mut reader = source.open()?;
                    let file = reader.file().filter(|_| is_program);
                    let watch = file.and_then(|file| cache.watch(source, file));
                    let found = probe::file(path, *size, &mut reader, &mut Vec::new())?;
                    if let (None, Some(watch), Some(file)) = (&found, watch, reader.file()) {
                        cache.store_none(watch, file);
                    }
                    Ok(found)
                };
                match read() {
                    Ok(found) => Outcome::File(found),
                    Err(e) => Outcome::Failed(Flaw {
                        code: Code::Io,
                        message: format!("{}: {e}", source.subject()),
                    }),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
