//! Finding damage; changes nothing.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::Read as _,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use sealift_verifier::{
    digest::{Digest, Hasher},
    release::BlobRef,
};

use super::{Problem, Report};
use crate::{
    audit::{
        self,
        verify::{self, Against},
    },
    disk::{Dir, Kind, Status},
    error::{Error, Result},
    generation::{self, Contents, Item},
    site::{
        self, CURRENT, Context, GENERATIONS, KNOWN, Ready, STORE, TRASH, TRUST, TRUST_COPY,
        folder_name,
    },
    site_key,
    state::Generation,
    store::{Form, Needs, Store, file_name, parse_name},
    twice,
};

/// What a check found, with what a repair has to know.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) generations: u64,
    pub(super) blobs: u64,
    pub(super) bytes: u64,
    /// By path, so that each is told once.
    pub(super) problems: BTreeMap<String, String>,
    /// Blobs that are missing or damaged, with their length as far as it is known.
    pub(super) bad_blobs: HashMap<Digest, Vec<Form>>,
}

impl Findings {
    pub(super) fn report(&self) -> Report {
        let problem = |(path, problem): (&String, &String)| Problem {
            path: path.clone(),
            problem: problem.clone(),
        };
        Report {
            generations: self.generations,
            blobs: self.blobs,
            bytes: self.bytes,
            repaired: Vec::new(),
            problems: self.problems.iter().map(problem).collect(),
        }
    }

    fn add(&mut self, path: impl Into<String>, problem: impl Into<String>) {
        self.problems.entry(path.into()).or_insert(problem.into());
    }

    fn bad_blob(&mut self, digest: Digest, form: Form, problem: &str) {
        self.add(store_path(digest, form), problem);
        let forms = self.bad_blobs.entry(digest).or_default();
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
}

fn store_path(digest: Digest, form: Form) -> String {
    let name = file_name(digest, form);
    format!("{STORE}/{}/{name}", &name[..2])
}

/// Checks everything.
pub(super) fn check(site: &Ready<'_>, ctx: &Context<'_>) -> Result<Findings> {
    let mut found = Findings::default();
    check_top(site, &mut found)?;
    let store = site.store()?;
    let mut needs = Needs::new();
    let mut kept = Vec::new();
    for generation in &site.state().generations {
        found.generations += 1;
        if let Some((root, contents)) = load(site, &store, generation, &mut found) {
            for (digest, need) in contents.needs()? {
                let entry = needs.entry(digest).or_insert(need);
                entry.plain |= need.plain;
                entry.executable |= need.executable;
            }
            kept.push((generation.number, root, contents));
        }
    }
    let whole = kept.len() == site.state().generations.len();
    check_store(&store, &needs, whole, &mut found, ctx)?;
    for (number, root, contents) in &kept {
        for (path, problem) in differences(&store, root, contents)? {
            found.add(format!("{GENERATIONS}/{number}/{path}"), problem);
        }
    }
    Ok(found)
}

/// The state folder itself: `current`, the trusted metadata, and nothing that does not belong there.
fn check_top(site: &Ready<'_>, found: &mut Findings) -> Result<()> {
    for (name, _) in site.dir().list()? {
        let name = name.to_string_lossy();
        if !KNOWN.contains(&&*name) {
            found.add(name, "does not belong here");
        }
    }
    let state = site.state();
    let expected = state.current.map(site::current_target);
    if site.dir().read_link(CURRENT)? != expected {
        let should = expected.map_or("not be there".into(), |to| format!("lead to {to}"));
        found.add(CURRENT, format!("should {should}"));
    }
    let key = site.state().site_key.as_deref();
    if let Some(known) = key {
        for name in [site_key::FILE, site_key::PUBLIC_FILE] {
            if site.dir().status(name.as_ref())?.is_none() {
                found.add(name, "is missing");
            }
        }
        if site_key::of_secret(site.dir()).is_ok_and(|id| id != known) {
            found.add(site_key::FILE, "is another key than the site's");
        }
    }
    let report = verify::verify(site, &Against::default())?;
    if let Some(problem) = report.problem {
        let what = format!(
            "line {}: {}: {}",
            problem.line,
            problem.kind.name(),
            problem.detail
        );
        found.add(problem.file, what);
    }
    for damage in twice::damaged_trust(site.dir(), &state.trust) {
        found.add(damage.path, damage.problem);
    }
    let list = |folder: &str| -> Result<Vec<String>> {
        let found = site.dir().dir(folder)?.list()?;
        Ok(found
            .into_iter()
            .map(|(n, _)| n.to_string_lossy().into_owned())
            .collect())
    };
    if site.dir().status(audit::FOLDER.as_ref())?.is_some() {
        for name in list(audit::FOLDER)? {
            let known = [audit::LOG, audit::CHECKPOINTS].contains(&name.as_str());
            if !known && !name.starts_with(audit::TORN) {
                found.add(format!("{}/{name}", audit::FOLDER), "does not belong here");
            }
        }
    }
    let kept = state
        .generations
        .iter()
        .map(|g| folder_name(g.number))
        .collect();
    let trusted: Vec<String> = state.trust.files().into_iter().map(|(n, _)| n).collect();
    for (folder, expected) in [
        (TRUST, trusted.clone()),
        (TRUST_COPY, trusted),
        (GENERATIONS, kept),
        (TRASH, Vec::new()),
    ] {
        let there = list(folder)?;
        for name in there.iter().filter(|name| !expected.contains(name)) {
            found.add(format!("{folder}/{name}"), "does not belong here");
        }
        for name in expected.iter().filter(|name| !there.contains(name)) {
            found.add(format!("{folder}/{name}"), "is missing");
        }
    }
    Ok(())
}

/// Loads what a generation should consist of, as far as that can be known.
fn load(
    site: &Ready<'_>,
    store: &Store,
    generation: &Generation,
    found: &mut Findings,
) -> Option<(Dir, Contents)> {
    let path = format!("{GENERATIONS}/{}", generation.number);
    // What is missing altogether was told already.
    let root = site.generation_dir(generation.number).ok()?;
    let release = match generation::load_release(&root, generation) {
        Ok(release) => release,
        Err(e) => {
            found.add(format!("{path}/bundle/release.json"), e.to_string());
            return None;
        }
    };
    let head = generation::load_head(&root, generation).unwrap_or_else(|e| {
        found.add(format!("{path}/bundle"), e.to_string());
        Vec::new()
    });
    // All trees are looked at, so that a repair gets all of them at once.
    let contents = Contents::new(release, head, |tree| {
        store.tree(tree)?.ok_or_else(|| {
            found.bad_blob(tree.digest, Form::Plain, "is missing or damaged");
            Error::new(
                crate::Code::GenerationDamaged,
                path.clone(),
                format!("the tree {} is missing or damaged", tree.digest),
            )
        })
    });
    contents.ok().map(|contents| (root, contents))
}

/// Hashes every blob that is needed, and tells what else is in the store. What is not needed can only be
/// told if what is needed is `whole`ly known.
fn check_store(
    store: &Store,
    needs: &Needs,
    whole: bool,
    found: &mut Findings,
    ctx: &Context<'_>,
) -> Result<()> {
    let mut there = HashMap::new();
    let mut work = Vec::new();
    for (dir, name, kind) in store.list()? {
        let key = parse_name(&name);
        let needed = key.is_some_and(|(d, f)| needs.get(&d).is_some_and(|need| need.has(f)));
        match key {
            Some(key) if needed => {
                there.insert(key, kind);
            }
            // Whether it is needed cannot be told yet, but whether it is what it is called can.
            Some((digest, form)) if !whole && kind == Kind::File => {
                let size = dir.status(&name)?.map_or(0, |status| status.size);
                work.push((BlobRef(digest, size), form));
            }
            _ => {
                let folder = dir.path().file_name().unwrap_or_default().to_string_lossy();
                let path = format!("{STORE}/{folder}/{}", name.to_string_lossy());
                found.add(path, "nothing refers to it");
            }
        }
    }
    for (digest, need) in needs {
        for form in need.forms() {
            match there.get(&(*digest, form)) {
                Some(Kind::File) => work.push((BlobRef(*digest, need.size), form)),
                Some(_) => found.bad_blob(*digest, form, "is no regular file"),
                None => found.bad_blob(*digest, form, "is missing"),
            }
        }
    }
    let total = work.iter().map(|(blob, _)| blob.size()).sum();
    ctx.progress.begin("checking", total);
    let bytes = AtomicU64::new(0);
    let bad = Mutex::new(Vec::new());
    let result = generation::in_shares(ctx.threads, &work, |share| {
        for (blob, form) in share {
            if let Some(problem) = check_blob(store, *blob, *form)?
                && let Ok(mut bad) = bad.lock()
            {
                bad.push((blob.digest(), *form, problem));
            }
            bytes.fetch_add(blob.size(), Ordering::Relaxed);
            ctx.progress.advance(blob.size());
        }
        Ok(())
    });
    ctx.progress.end();
    result?;
    for (digest, form, problem) in bad.into_inner().unwrap_or_default() {
        found.bad_blob(digest, form, &problem);
    }
    found.blobs = work.len() as u64;
    found.bytes = bytes.into_inner();
    Ok(())
}

fn check_blob(store: &Store, blob: BlobRef, form: Form) -> Result<Option<String>> {
    let folder = store.folder(blob.digest())?;
    let name = file_name(blob.digest(), form);
    let Some(status) = folder.status(name.as_ref())? else {
        return Ok(Some("is missing".into()));
    };
    Ok(check_file(folder, &name, &status, blob, form))
}

/// What is wrong with a file that should be a blob.
fn check_file(dir: &Dir, name: &str, status: &Status, blob: BlobRef, form: Form) -> Option<String> {
    if status.kind != Kind::File {
        return Some("is no regular file".into());
    }
    if status.size != blob.size() {
        return Some(format!("has {} bytes, not {}", status.size, blob.size()));
    }
    if status.mode != form.mode() {
        return Some(format!(
            "has mode {:04o}, not {:04o}",
            status.mode,
            form.mode()
        ));
    }
    let hash = || -> std::io::Result<Digest> {
        let mut file = dir.file(name).map_err(std::io::Error::other)?;
        let mut hasher = Hasher::default();
        let length = usize::try_from(blob.size()).unwrap_or(usize::MAX);
        let mut buffer = vec![0; length.clamp(1, 1 << 20)];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hasher.finish()),
                count => hasher.update(&buffer[..count]),
            }
        }
    };
    match hash() {
        Ok(found) if found == blob.digest() => None,
        Ok(found) => Some(format!("has the digest {found}")),
        Err(e) => Some(format!("cannot be read: {e}")),
    }
}

/// What in a generation's folder is not as it should be, by path.
pub(super) fn differences(
    store: &Store,
    root: &Dir,
    contents: &Contents,
) -> Result<BTreeMap<String, String>> {
    let items = contents.items()?;
    let folders = generation::folders(&items);
    let mut expected: HashMap<&str, &Item<'_>> = items
        .iter()
        .map(|(path, item)| (path.as_str(), item))
        .collect();
    let mut found = BTreeMap::new();
    let mut seen: HashSet<String> = HashSet::new();
    let mut open = vec![String::new()];
    while let Some(folder) = open.pop() {
        let dir = root.dir(if folder.is_empty() { "." } else { &folder })?;
        for (name, kind) in dir.list()? {
            let text = name.to_string_lossy();
            let path = if folder.is_empty() {
                text.to_string()
            } else {
                format!("{folder}/{text}")
            };
            let is_folder = folders.contains(path.as_str());
            if kind == Kind::Dir && is_folder {
                expected.remove(path.as_str());
                seen.insert(path.clone());
                open.push(path);
                continue;
            }
            let problem = match expected.remove(path.as_str()) {
                // Without the head, what lies in bundle/ cannot be told from what does not belong there.
                None if contents.head.is_empty() && is_bundle(&path) => None,
                None if is_folder => Some("is no folder".into()),
                None => Some("does not belong here".into()),
                Some(item) => check_item(store, &dir, &text, kind, item)?,
            };
            if let Some(problem) = problem {
                found.insert(path, problem);
            }
        }
    }
    for path in expected.keys() {
        found.insert((*path).to_owned(), "is missing".into());
    }
    for path in folders {
        if !seen.contains(path) {
            found.entry(path.to_owned()).or_insert("is missing".into());
        }
    }
    Ok(found)
}

fn is_bundle(path: &str) -> bool {
    path == site::BUNDLE || path.starts_with(&format!("{}/", site::BUNDLE))
}

fn check_item(
    store: &Store,
    dir: &Dir,
    name: &str,
    kind: Kind,
    item: &Item<'_>,
) -> Result<Option<String>> {
    Ok(match item {
        Item::Folder => Some("is no folder".into()),
        Item::Symlink(target) => {
            let found = dir.read_link(name)?;
            (found.as_deref() != Some(*target)).then(|| format!("does not lead to {target}"))
        }
        Item::Bytes(bytes) => {
            let there = kind == Kind::File
                && dir
                    .read(name, bytes.len() as u64)
                    .is_ok_and(|there| there == **bytes);
            (!there).then(|| "was changed".into())
        }
        Item::Blob(blob, form) => match dir.status(name.as_ref())? {
            None => Some("is missing".into()),
            // One file with the one in the store, which is hashed there.
            Some(status)
                if store
                    .status(blob.digest(), *form)?
                    .is_some_and(|s| s.inode == status.inode) =>
            {
                None
            }
            Some(status) => check_file(dir, name, &status, *blob, *form),
        },
    })
}
