//! The packages of others that a release carries: in the layers of its images, in its trees and programs.
//!
//! Each layer is read once, whatever the number of images that have it: `layer` unpacks it as a stream and asks
//! `probe` which files tell of packages; `image` puts the layers of an image over each other. The formats:
//! `debian`, `alpine`, `python`, `npm`, and `elf` for Go and Cargo.

mod alpine;
mod debian;
mod elf;
mod image;
mod layer;
mod npm;
mod package;
mod probe;
mod python;

use std::{
    collections::BTreeMap,
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

use self::package::System;
pub use self::{
    layer::LayerPackages,
    package::{Ecosystem, FoundPackage},
};
use crate::{
    build::{Progress, Stage},
    error::{Code, Error},
    plan::{PlannedBlob, PlannedCapability, PlannedContent, PlannedImage, PlannedNode, Source},
};

/// Grows whenever other packages are found in the same bytes: what a cache kept for another version is of
/// no use.
pub const VERSION: u32 = 1;

/// Keeps what was found in layers, by their digests. What it fails to keep or to find is read again.
pub trait LayerCache: Sync {
    /// What was found in the layer earlier, by this [`VERSION`].
    fn load(&self, layer: Digest) -> Option<LayerPackages>;
    /// Keeps what was found. The content had this digest when it was read.
    fn store(&self, layer: Digest, found: &LayerPackages);
}

/// Keeps nothing.
impl LayerCache for () {
    fn load(&self, _layer: Digest) -> Option<LayerPackages> {
        None
    }
    fn store(&self, _layer: Digest, _found: &LayerPackages) {}
}

/// The packages of each artifact that has some, by capability and artifact: sorted, each package URL once.
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

/// Finds all packages of the capabilities of a plan, on so many threads. Layers that `cache` knows are not read.
/// `progress` hears of it as of one stage.
///
/// # Errors
/// All artifacts that cannot be looked through.
pub fn find(
    capabilities: &[PlannedCapability],
    cache: &dyn LayerCache,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Packages, Vec<Broken>> {
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
    Failed(Code, String),
}

/// An artifact, and the tasks that its packages come from.
struct Share {
    owner: (Name, EntryPath),
    /// For images: the layers of each platform, the lowest first. For others: one list of files.
    tasks: Vec<Vec<usize>>,
}

/// All there is to do. A layer that several images have is one task.
#[derive(Default)]
struct Work<'p> {
    tasks: Vec<Task<'p>>,
    layers: BTreeMap<Digest, usize>,
    shares: Vec<Share>,
    broken: Vec<Broken>,
}

impl<'p> Work<'p> {
    fn add(&mut self, owner: (Name, EntryPath), content: &'p PlannedContent) {
        let tasks = match content {
            PlannedContent::Image(image) => match self.image(image) {
                Ok(tasks) => tasks,
                Err(message) => return self.fail(&owner, Code::ImageInvalid, &message),
            },
            PlannedContent::Tree(entries) => {
                let telling = entries.iter().filter_map(|entry| match &entry.node {
                    PlannedNode::File { mode, size, source } => {
                        let path = entry.path.as_str();
                        let looked_at = *mode == Mode::Executable || probe::is_telling(path);
                        looked_at.then_some((path, *size, source))
                    }
                    PlannedNode::Symlink { .. } | PlannedNode::Dir => None,
                });
                vec![
                    telling
                        .map(|(path, size, source)| self.file(path, size, source))
                        .collect(),
                ]
            }
            PlannedContent::File(file) if file.executable => {
                vec![vec![self.file("", file.size, &file.source)]]
            }
            PlannedContent::File(_) | PlannedContent::Config(_) | PlannedContent::Notice(_) => {
                return;
            }
        };
        self.shares.push(Share { owner, tasks });
    }

    fn image(&mut self, image: &'p PlannedImage) -> Result<Vec<Vec<usize>>, String> {
        let platforms = image::layers(image)?;
        let task = |layer: &'p PlannedBlob| {
            let next = self.tasks.len();
            let number = *self.layers.entry(layer.blob.digest()).or_insert(next);
            if number == next {
                self.tasks.push(Task::Layer(layer));
            }
            number
        };
        let mut task = task;
        let tasks = platforms
            .into_iter()
            .map(|layers| layers.into_iter().map(&mut task).collect());
        Ok(tasks.collect())
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
    fn run(&self, cache: &dyn LayerCache, threads: usize, progress: &dyn Progress) -> Vec<Outcome> {
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

    fn collect(mut self, done: &[Outcome]) -> Result<Packages, Vec<Broken>> {
        let mut packages = Packages::new();
        for share in std::mem::take(&mut self.shares) {
            let mut found = Vec::new();
            for platform in &share.tasks {
                let mut layers = Vec::new();
                for at in platform {
                    match (&self.tasks[*at], &done[*at]) {
                        (Task::Layer(blob), Outcome::Layer(layer)) => {
                            layers.push((blob.blob.digest(), layer));
                        }
                        (
                            Task::File { path, .. },
                            Outcome::File(Some(probe::Found::Packages(all))),
                        ) => {
                            let system = System::default();
                            let all = all.iter();
                            found.extend(
                                all.filter_map(|p| FoundPackage::new(p, &system, path, None)),
                            );
                        }
                        (_, Outcome::Failed(code, message)) => {
                            self.fail(&share.owner, *code, message);
                        }
                        _ => {}
                    }
                }
                found.extend(image::overlay(&layers));
            }
            found.sort();
            let mut seen = std::collections::BTreeSet::new();
            found.retain(|package| seen.insert(package.purl.clone()));
            if !found.is_empty() {
                packages.insert(share.owner, found);
            }
        }
        if self.broken.is_empty() {
            return Ok(packages);
        }
        // Platforms may share the layer that is broken.
        self.broken.dedup();
        Err(self.broken)
    }
}

impl Task<'_> {
    fn run(&self, cache: &dyn LayerCache, progress: &dyn Fn(u64)) -> Outcome {
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
                    Err(flaw) => Outcome::Failed(flaw.code, flaw.message),
                }
            }
            Self::File { path, size, source } => {
                let read = || -> io::Result<_> {
                    probe::file(path, *size, &mut source.open()?, &mut Vec::new())
                };
                progress(*size);
                match read() {
                    Ok(found) => Outcome::File(found),
                    Err(e) => Outcome::Failed(Code::Io, format!("{}: {e}", source.subject())),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
