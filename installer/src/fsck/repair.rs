//! Replacing what is damaged with what a verified bundle holds.
//!
//! New files are written in the trash and renamed into place, so that nothing is ever half repaired; the
//! journal says `repairing` meanwhile.

use std::{
    collections::HashMap,
    io::{self, Read, Write as _},
};

use sealift_verifier::{
    bundle::{Authentic, Sink},
    digest::Digest,
    release::BlobRef,
};

use super::check::{Findings, differences};
use crate::{
    disk::{At, Dir, Kind, Writer},
    error::{Error, Result},
    generation::{self, Item},
    journal::Phase,
    site::{self, BUNDLE, CURRENT, Context, GENERATIONS, Ready, TRASH, folder_name},
    state::{Generation, head_digest},
    store::{Form, Store, file_name},
};

/// Replaces what is damaged, as far as the bundle or what is whole at the site holds it.
pub(super) fn repair(
    site: &Ready<'_>,
    found: &Findings,
    authentic: &Authentic,
    ctx: &Context<'_>,
) -> Result<()> {
    site.begin(&Phase::Repairing)?;
    let store = site.store()?;
    let trash = site.dir().dir(TRASH)?;
    let writer = site.writer();
    let mut bad = found.bad_blobs.clone();
    // With a tree or a release manifest lost, what it refers to becomes known only when it is back.
    for generation in &site.state().generations {
        repair_head(site, generation, authentic)?;
    }
    repair_trust(site, authentic)?;
    loop {
        replace_blobs(&store, writer, &trash, &bad, authentic, ctx)?;
        let next = lost(site, &store)?;
        if next.is_empty() || next == bad {
            break;
        }
        bad = next;
    }
    for generation in &site.state().generations {
        let root = site.generation_dir(generation.number);
        let Ok(root) = root else { continue };
        let Ok(mut contents) = generation::load(&root, &store, generation) else {
            continue;
        };
        contents.head = generation::load_head(&root, generation).unwrap_or_default();
        let items = contents.items()?;
        let items: HashMap<&str, &Item<'_>> = items
            .iter()
            .map(|(path, item)| (path.as_str(), item))
            .collect();
        for path in differences(&store, &root, &contents)?.keys() {
            if let Some(item) = items.get(path.as_str()) {
                replace_item(&store, writer, &trash, &root, path, item)?;
            }
        }
    }
    point(site)?;
    writer.sync_fs(site.dir())?;
    site.empty_trash()?;
    site.collect_garbage()?;
    site.end()
}

/// Puts the small files of the bundle back, if it is the very bundle that the generation came in.
fn repair_head(site: &Ready<'_>, generation: &Generation, authentic: &Authentic) -> Result<()> {
    let head = authentic.head();
    let digest = head_digest(head.iter().map(|(p, b)| (p.as_str(), b.as_slice())));
    if digest != generation.head {
        return Ok(());
    }
    let generations = site.dir().dir(GENERATIONS)?;
    let root = folder(site.writer(), &generations, &folder_name(generation.number))?;
    if generation::load_head(&root, generation).is_ok() {
        return Ok(());
    }
    let trash = site.dir().dir(TRASH)?;
    for (path, bytes) in head {
        let item = Item::Bytes(bytes.as_slice().into());
        let path = format!("{BUNDLE}/{path}");
        replace_item(&site.store()?, site.writer(), &trash, &root, &path, &item)?;
    }
    Ok(())
}

/// Puts trusted metadata back that is the bundle's own.
fn repair_trust(site: &Ready<'_>, authentic: &Authentic) -> Result<()> {
    for (name, digest) in site.state().trust.files() {
        let found = authentic
            .head()
            .iter()
            .find(|(_, bytes)| Digest::of(bytes) == digest);
        if let Some((_, bytes)) = found {
            site.keep_trusted(&name, bytes)?;
        }
    }
    Ok(())
}

/// Needed blobs that are not there; those that are there but damaged were found by hashing.
fn lost(site: &Ready<'_>, store: &Store) -> Result<HashMap<Digest, Vec<Form>>> {
    let mut lost = HashMap::new();
    for generation in &site.state().generations {
        let needs = site
            .generation_dir(generation.number)
            .and_then(|root| generation::load(&root, store, generation))
            .and_then(|contents| contents.needs());
        if let Ok(needs) = needs {
            lost.extend(store.missing(&needs)?);
        }
    }
    Ok(lost)
}

fn replace_blobs(
    store: &Store,
    writer: Writer<'_>,
    trash: &Dir,
    bad: &HashMap<Digest, Vec<Form>>,
    authentic: &Authentic,
    ctx: &Context<'_>,
) -> Result<()> {
    let sink = Replacement {
        store,
        writer,
        trash,
        bad,
    };
    let wanted = |digest: Digest| bad.contains_key(&digest);
    Ok(authentic.read_blobs(&wanted, &sink, ctx.threads, &|_| {})?)
}

struct Replacement<'a> {
    store: &'a Store,
    writer: Writer<'a>,
    trash: &'a Dir,
    bad: &'a HashMap<Digest, Vec<Form>>,
}

impl Replacement<'_> {
    fn put(&self, blob: BlobRef, form: Form, content: &mut dyn Read) -> Result<()> {
        let name = file_name(blob.digest(), form);
        let (writer, beside) = (self.writer, self.trash.at(&name));
        writer.remove_file(beside)?;
        writer.create(beside, form.mode(), &mut |file| {
            io::copy(content, file).map(|_| ())
        })?;
        writer.sync_file(beside)?;
        let folder = self.store.folder(blob.digest())?;
        let place = folder.at(&name);
        make_way(writer, place)?;
        writer.rename(beside, place)?;
        writer.sync_dir(folder)
    }
}

impl Sink for Replacement<'_> {
    fn blob(&self, blob: BlobRef, content: &mut dyn Read) -> io::Result<()> {
        let forms = self.bad.get(&blob.digest());
        let mut forms = forms.into_iter().flatten();
        let fail = |e: Error| match e {
            Error::Verifier(inner) => io::Error::other(inner),
            other => io::Error::other(other),
        };
        let Some(first) = forms.next() else {
            return Ok(());
        };
        self.put(blob, *first, content).map_err(fail)?;
        for form in forms {
            let folder = self.store.folder(blob.digest()).map_err(fail)?;
            let source = folder
                .file(file_name(blob.digest(), *first))
                .map_err(fail)?;
            let mut whole = sealift_verifier::digest::VerifyingReader::new(
                source,
                blob.size(),
                blob.digest(),
                format!("blob {}", blob.digest()),
            );
            self.put(blob, *form, &mut whole).map_err(fail)?;
        }
        Ok(())
    }
}

/// Puts one thing of a generation in its place.
fn replace_item(
    store: &Store,
    writer: Writer<'_>,
    trash: &Dir,
    root: &Dir,
    path: &str,
    item: &Item<'_>,
) -> Result<()> {
    let (parent, name) = generation::split(path);
    let dir = folder(writer, root, parent)?;
    let place = dir.at(name);
    let beside = trash.at("item");
    writer.remove_file(beside)?;
    match item {
        Item::Folder => {
            make_way(writer, place)?;
            return writer.mkdir(place);
        }
        Item::Symlink(target) => writer.symlink(target, beside)?,
        Item::Bytes(bytes) => {
            writer.create(beside, 0o444, &mut |file| file.write_all(bytes))?;
        }
        Item::Blob(blob, form) => {
            if store.status(blob.digest(), *form)?.is_none() {
                return Ok(());
            }
            store.link(writer, *blob, *form, beside)?;
        }
    }
    make_way(writer, place)?;
    writer.rename(beside, place)
}

/// A folder stands in the way of a file; everything else is replaced by the rename.
fn make_way(writer: Writer<'_>, place: At<'_>) -> Result<()> {
    match place.dir.status(place.name)? {
        Some(status) if status.kind == Kind::Dir => writer.remove_tree(place),
        _ => Ok(()),
    }
}

/// Opens a folder below `root`, and makes it and those above it where they are missing.
fn folder(writer: Writer<'_>, root: &Dir, path: &str) -> Result<Dir> {
    let mut dir = root.dir(".")?;
    for part in path.split('/').filter(|part| *part != ".") {
        let there = dir.status(part.as_ref())?;
        if there.is_some_and(|status| status.kind != Kind::Dir) {
            writer.remove_file(dir.at(part))?;
        }
        writer.mkdir(dir.at(part))?;
        dir = dir.dir(part)?;
    }
    Ok(dir)
}

/// Points `current` where the state says.
fn point(site: &Ready<'_>) -> Result<()> {
    let dir = site.dir();
    let expected = site.state().current.map(site::current_target);
    if dir.read_link(CURRENT)? == expected {
        return Ok(());
    }
    match expected {
        Some(target) => site.writer().replace_link(dir.at(CURRENT), &target),
        None => site.writer().remove_file(dir.at(CURRENT)).map(|_| ()),
    }
}
