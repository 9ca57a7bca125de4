//! What a generation consists of, as it follows from the release: building its folder, reading one back,
//! and what of the store it refers to.
//!
//! ```text
//! files/<capability>/<artifact>…     hard links to the store
//! images/                            an OCI image layout, its blobs hard links to the store
//! sbom/                              bills of materials, hard links to the store
//! bundle/                            the small files of the bundle as they came
//! ```

use std::{
    collections::{BTreeSet, HashMap},
    io::Write as _,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use sealift_verifier::{
    digest::Digest,
    json::AuthenticBytes,
    limits, oci,
    release::{BlobRef, Content, FileRef, Release, TreeRef},
    tree::{Node, Tree},
};

use crate::{
    disk::{Dir, Writer},
    error::{Code, Error, Result},
    site::{BUNDLE, FILES, IMAGES, SBOM, Site},
    state::{Generation, head_digest},
    store::{Form, Needs, Store, need},
};

/// Items that a thread takes at once.
const SHARE: usize = 256;

/// A release with all that its generation is made of, except the bytes of blobs.
pub struct Contents {
    /// The release.
    pub release: Release,
    /// The small files of the bundle with their paths, in order.
    pub head: Vec<(String, Vec<u8>)>,
    trees: HashMap<Digest, Tree>,
}

/// One thing in a generation's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item<'a> {
    /// A hard link to a blob.
    Blob(BlobRef, Form),
    /// A symbolic link that stays inside.
    Symlink(&'a str),
    /// An empty folder.
    Folder,
    /// A small file of its own.
    Bytes(std::borrow::Cow<'a, [u8]>),
}

impl Contents {
    /// Takes a release and the head of its bundle, and gets its trees with `tree`.
    pub fn new(
        release: Release,
        head: Vec<(String, Vec<u8>)>,
        mut tree: impl FnMut(&TreeRef) -> Result<Tree>,
    ) -> Result<Self> {
        let mut trees = HashMap::new();
        for (_, artifact) in release.artifacts() {
            if let Content::Tree(reference) = &artifact.content
                && !trees.contains_key(&reference.digest)
            {
                trees.insert(reference.digest, tree(reference)?);
            }
        }
        Ok(Self {
            release,
            head,
            trees,
        })
    }

    /// Everything in the folder with its path, sorted by folder, then name.
    pub fn items(&self) -> Result<Vec<(String, Item<'_>)>> {
        let mut items = Vec::new();
        for (capability, artifact) in self.release.artifacts() {
            let base = format!("{FILES}/{}/{}", capability.name, artifact.name);
            match &artifact.content {
                Content::Image(_) => {}
                Content::File(file) | Content::Config(file) | Content::Notice(file) => {
                    items.push((base, Item::Blob(blob_of(file), form_of(file))));
                }
                Content::Tree(reference) => {
                    let tree = self.tree(reference.digest)?;
                    if tree.entries.is_empty() {
                        items.push((base.clone(), Item::Folder));
                    }
                    items.extend(tree.entries.iter().map(|entry| {
                        let item = match &entry.node {
                            Node::File { mode, size, digest } => {
                                Item::Blob(BlobRef(*digest, *size), (*mode).into())
                            }
                            Node::Symlink { target } => Item::Symlink(target),
                            Node::Dir => Item::Folder,
                        };
                        (format!("{base}/{}", entry.path), item)
                    }));
                }
            }
        }
        self.image_items(&mut items)?;
        items.extend(self.release.sbom.iter().map(|sbom| {
            let item = Item::Blob(blob_of(&sbom.file), form_of(&sbom.file));
            (format!("{SBOM}/{}", sbom.format.file_name()), item)
        }));
        items.extend(self.head.iter().map(|(path, bytes)| {
            (
                format!("{BUNDLE}/{path}"),
                Item::Bytes(bytes.as_slice().into()),
            )
        }));
        items.sort_by(|(a, _), (b, _)| split(a).cmp(&split(b)));
        Ok(items)
    }

    fn image_items(&self, items: &mut Vec<(String, Item<'_>)>) -> Result<()> {
        let blobs: BTreeSet<BlobRef> = self
            .release
            .images()
            .flat_map(|(_, image)| image.blobs.iter().copied())
            .collect();
        if blobs.is_empty() {
            return Ok(());
        }
        items.push((
            format!("{IMAGES}/oci-layout"),
            Item::Bytes(oci::LAYOUT.into()),
        ));
        items.push((
            format!("{IMAGES}/index.json"),
            Item::Bytes(oci::index(&self.release)?.into()),
        ));
        items.extend(blobs.into_iter().map(|blob| {
            (
                format!("{IMAGES}/blobs/sha256/{}", blob.digest()),
                Item::Blob(blob, Form::Plain),
            )
        }));
        Ok(())
    }

    /// The blobs that have to be in the store: all that are linked, and the trees themselves.
    pub fn needs(&self) -> Result<Needs> {
        let mut needs = Needs::new();
        for sbom in &self.release.sbom {
            need(&mut needs, blob_of(&sbom.file), form_of(&sbom.file));
        }
        for (_, artifact) in self.release.artifacts() {
            match &artifact.content {
                Content::Image(image) => {
                    for blob in &image.blobs {
                        need(&mut needs, *blob, Form::Plain);
                    }
                }
                Content::File(file) | Content::Config(file) | Content::Notice(file) => {
                    need(&mut needs, blob_of(file), form_of(file));
                }
                Content::Tree(reference) => {
                    let tree = BlobRef(reference.digest, reference.size);
                    need(&mut needs, tree, Form::Plain);
                    for (_, mode, size, digest) in self.tree(reference.digest)?.files() {
                        need(&mut needs, BlobRef(digest, size), mode.into());
                    }
                }
            }
        }
        Ok(needs)
    }

    /// The digest over the head, as the state keeps it.
    pub fn head_digest(&self) -> Digest {
        head_digest(self.head.iter().map(|(p, b)| (p.as_str(), b.as_slice())))
    }

    fn tree(&self, digest: Digest) -> Result<&Tree> {
        self.trees.get(&digest).ok_or_else(|| {
            Error::new(
                Code::GenerationDamaged,
                format!("tree {digest}"),
                "is not there",
            )
        })
    }
}

fn blob_of(file: &FileRef) -> BlobRef {
    BlobRef(file.digest, file.size)
}

fn form_of(file: &FileRef) -> Form {
    if file.executable {
        Form::Executable
    } else {
        Form::Plain
    }
}

/// Folder and name of a path; the folder is `.` at the top.
pub fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or((".", path))
}

/// The folders that `paths`, sorted as [`Contents::items`] are, lie in; each after the one it lies in.
pub fn folders<'a>(items: &'a [(String, Item<'_>)]) -> BTreeSet<&'a str> {
    let mut folders = BTreeSet::new();
    let mut insert = |mut folder: &'a str| {
        while folder != "." && folders.insert(folder) {
            folder = split(folder).0;
        }
    };
    for (path, item) in items {
        insert(split(path).0);
        if *item == Item::Folder {
            insert(path);
        }
    }
    folders
}

/// A folder that stays open while things in it are looked at one after the other.
pub struct Cursor<'a> {
    root: &'a Dir,
    open: Option<(String, Dir)>,
}

impl<'a> Cursor<'a> {
    /// Starts at `root`.
    pub fn new(root: &'a Dir) -> Self {
        Self { root, open: None }
    }

    /// The folder at a path below the root.
    pub fn enter(&mut self, path: &str) -> Result<&Dir> {
        if path == "." {
            return Ok(self.root);
        }
        if self.open.as_ref().is_none_or(|(open, _)| open != path) {
            self.open = Some((path.to_owned(), self.root.dir(path)?));
        }
        Ok(self.open.as_ref().map_or(self.root, |(_, dir)| dir))
    }
}

/// Builds a generation in the empty folder `root`. Every blob has to be in the store.
pub fn build(
    writer: Writer<'_>,
    store: &Store,
    root: &Dir,
    contents: &Contents,
    threads: usize,
) -> Result<()> {
    let items = contents.items()?;
    let mut cursor = Cursor::new(root);
    for folder in folders(&items) {
        let (parent, name) = split(folder);
        writer.mkdir(cursor.enter(parent)?.at(name))?;
    }
    in_shares(threads, &items, |share| {
        let mut cursor = Cursor::new(root);
        for (path, item) in share {
            let (parent, name) = split(path);
            let at = cursor.enter(parent)?.at(name);
            match item {
                Item::Blob(blob, form) => store.link(writer, *blob, *form, at)?,
                Item::Symlink(target) => writer.symlink(target, at)?,
                Item::Bytes(bytes) => {
                    writer.create(at, 0o444, &mut |file| file.write_all(bytes))?;
                }
                Item::Folder => {}
            }
        }
        Ok(())
    })
}

/// Does `work` on shares of `items` with `threads` threads; the first error ends all.
pub fn in_shares<T: Sync>(
    threads: usize,
    items: &[T],
    work: impl Fn(&[T]) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let run = || -> Result<()> {
        while !failed.load(Ordering::Relaxed) {
            let start = next.fetch_add(SHARE, Ordering::Relaxed);
            let Some(rest) = items.get(start..).filter(|rest| !rest.is_empty()) else {
                break;
            };
            work(&rest[..rest.len().min(SHARE)])
                .inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let own = run();
        others.into_iter().fold(own, |result, thread| {
            let other = thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            result.and(other)
        })
    })
}

/// The release that runs; nothing if nothing does.
pub fn running(site: &Site) -> Result<Option<Release>> {
    let running = site.state().running();
    running
        .map(|generation| release(site, generation))
        .transpose()
}

/// The release of a kept generation.
pub fn release(site: &Site, generation: &Generation) -> Result<Release> {
    let root = site.generation_dir(generation.number).map_err(|e| {
        Error::new(
            Code::GenerationDamaged,
            format!("generation {}", generation.number),
            e.to_string(),
        )
    })?;
    load_release(&root, generation)
}

/// The content of a file of a kept generation that the release names, held to its digest. The caller bounds
/// its length.
pub fn read(root: &Dir, path: &str, file: &FileRef) -> Result<Vec<u8>> {
    let subject = root.path().join(path).display().to_string();
    let damaged = |why: String| Error::new(Code::GenerationDamaged, &subject, why);
    let bytes = root
        .read(path, file.size)
        .map_err(|e| damaged(e.to_string()))?;
    match Digest::of(&bytes) {
        found if found == file.digest => Ok(bytes),
        found => Err(damaged(format!("has the digest {found}"))),
    }
}

/// Reads the release manifest of a kept generation and holds it to the digest in the state.
pub fn load_release(root: &Dir, generation: &Generation) -> Result<Release> {
    let damaged = |e: &dyn std::fmt::Display| {
        Error::new(
            Code::GenerationDamaged,
            format!("generation {}", generation.number),
            e.to_string(),
        )
    };
    let bytes = root
        .read(format!("{BUNDLE}/release.json"), limits::RELEASE_BYTES)
        .map_err(|e| damaged(&e))?;
    let bytes = AuthenticBytes::from_digest(&bytes, generation.release, "release.json")
        .map_err(|e| damaged(&e))?;
    Release::parse(&bytes).map_err(|e| damaged(&e))
}

/// Reads the head of the bundle that a kept generation came in and holds it to the digest in the state.
pub fn load_head(root: &Dir, generation: &Generation) -> Result<Vec<(String, Vec<u8>)>> {
    let damaged = |detail: String| {
        Error::new(
            Code::GenerationDamaged,
            format!("generation {}", generation.number),
            detail,
        )
    };
    let bundle = root.dir(BUNDLE).map_err(|e| damaged(e.to_string()))?;
    let metadata = bundle.dir("metadata").map_err(|e| damaged(e.to_string()))?;
    let roots = metadata
        .list()?
        .iter()
        .filter(|(name, _)| name.to_string_lossy().ends_with(".root.json"))
        .count();
    let mut names: Vec<String> = (1..=roots)
        .map(|n| format!("metadata/{n}.root.json"))
        .collect();
    names.extend(HEAD.map(Into::into));
    let mut head = Vec::with_capacity(names.len());
    for name in names {
        let bytes = bundle
            .read(&name, limits::DELIVERY_BYTES)
            .map_err(|e| damaged(e.to_string()))?;
        head.push((name, bytes));
    }
    let found = head_digest(head.iter().map(|(p, b)| (p.as_str(), b.as_slice())));
    if found != generation.head {
        return Err(damaged("the files in bundle/ were changed".into()));
    }
    Ok(head)
}

/// The small files of a bundle behind its roots, in order.
const HEAD: [&str; 8] = [
    "metadata/timestamp.json",
    "metadata/snapshot.json",
    "metadata/targets.json",
    "release.json",
    "delivery.json",
    "provenance.json",
    "oci-layout",
    "index.json",
];

/// Reads a kept generation back, from its folder and the store, without the head of its bundle.
pub fn load(root: &Dir, store: &Store, generation: &Generation) -> Result<Contents> {
    let release = load_release(root, generation)?;
    Contents::new(release, Vec::new(), |tree| {
        store.tree(tree)?.ok_or_else(|| {
            Error::new(
                Code::GenerationDamaged,
                format!("generation {}", generation.number),
                format!("the tree {} is missing or damaged", tree.digest),
            )
        })
    })
}
