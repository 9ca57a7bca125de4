//! The content-addressed store: each blob once, under its digest, and hard links to it everywhere else.
//!
//! `store/ab/<hex>` has mode 0444, `store/ab/<hex>.x` the same content with mode 0555. A blob is written
//! directly under its name. What makes that safe is the journal: it is durable before the first blob is
//! created, and while it is there, every blob that no kept generation refers to counts as unfinished.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsString,
    fs::File,
    io::{self, Read, Write as _},
    sync::OnceLock,
};

use sealift_verifier::{
    digest::{Digest, VerifyingReader},
    json::AuthenticBytes,
    limits,
    release::{BlobRef, TreeRef},
    tree::{Mode, Tree},
};

use crate::{
    disk::{At, Dir, Kind, Status, Writer},
    error::{Code, Error, Result},
    site::STORE,
};

/// How much is copied at once, in bytes.
const CHUNK: usize = 256 << 10;

/// Whether a stored file may be run; a file has one mode under all its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// Mode 0444.
    Plain,
    /// Mode 0555.
    Executable,
}

impl Form {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Executable];

    /// The permission bits.
    pub const fn mode(self) -> u32 {
        match self {
            Self::Plain => 0o444,
            Self::Executable => 0o555,
        }
    }

    const fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Executable => ".x",
        }
    }
}

impl From<Mode> for Form {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Plain => Self::Plain,
            Mode::Executable => Self::Executable,
        }
    }
}

/// In which forms a release needs a blob, and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Length in bytes.
    pub size: u64,
    /// Needed with mode 0444.
    pub plain: bool,
    /// Needed with mode 0555.
    pub executable: bool,
}

impl Need {
    /// The forms that are needed.
    pub fn forms(self) -> impl Iterator<Item = Form> {
        Form::ALL.into_iter().filter(move |form| self.has(*form))
    }

    /// Whether a form is needed.
    pub fn has(self, form: Form) -> bool {
        match form {
            Form::Plain => self.plain,
            Form::Executable => self.executable,
        }
    }
}

/// Blobs by digest, with what is needed of each.
pub type Needs = HashMap<Digest, Need>;

/// Says that a blob is needed in a form.
pub fn need(needs: &mut Needs, blob: BlobRef, form: Form) {
    let entry = needs.entry(blob.digest()).or_insert(Need {
        size: blob.size(),
        plain: false,
        executable: false,
    });
    match form {
        Form::Plain => entry.plain = true,
        Form::Executable => entry.executable = true,
    }
}

/// The name of a blob in its folder.
pub fn file_name(digest: Digest, form: Form) -> String {
    format!("{digest}{}", form.suffix())
}

/// The blob that a name in the store stands for; nothing for names that the store does not give.
pub fn parse_name(name: &std::ffi::OsStr) -> Option<(Digest, Form)> {
    let name = name.to_str()?;
    match name.strip_suffix(Form::Executable.suffix()) {
        Some(digest) => Some((digest.parse().ok()?, Form::Executable)),
        None => Some((name.parse().ok()?, Form::Plain)),
    }
}

/// The names of the 256 folders.
pub fn folders() -> impl Iterator<Item = String> {
    (0..=u8::MAX).map(|byte| format!("{byte:02x}"))
}

/// The open store of a site.
pub struct Store {
    root: Dir,
    folders: Vec<OnceLock<Dir>>,
}

impl Store {
    /// Opens the store of a state folder.
    pub fn open(site: &Dir) -> Result<Self> {
        Ok(Self {
            root: site.dir(STORE)?,
            folders: folders().map(|_| OnceLock::new()).collect(),
        })
    }

    fn numbered(&self, number: u8) -> Result<&Dir> {
        let slot = &self.folders[usize::from(number)];
        if let Some(dir) = slot.get() {
            return Ok(dir);
        }
        let dir = self.root.dir(format!("{number:02x}"))?;
        Ok(slot.get_or_init(|| dir))
    }

    /// The folder that a blob lies in.
    pub fn folder(&self, digest: Digest) -> Result<&Dir> {
        self.numbered(digest.as_bytes()[0])
    }

    /// What the file system says of a blob; nothing if it is not there.
    pub fn status(&self, digest: Digest, form: Form) -> Result<Option<Status>> {
        self.folder(digest)?
            .status(file_name(digest, form).as_ref())
    }

    /// Opens a blob, in whatever form it is there.
    pub fn file(&self, digest: Digest) -> Result<File> {
        let folder = self.folder(digest)?;
        match folder.file(file_name(digest, Form::Plain)) {
            Err(e) if e.is_not_found() => folder.file(file_name(digest, Form::Executable)),
            other => other,
        }
    }

    /// Reads a tree; nothing if it is not there, or no longer what it was.
    pub fn tree(&self, tree: &TreeRef) -> Result<Option<Tree>> {
        let mut bytes = Vec::new();
        match self.file(tree.digest) {
            Ok(file) => file
                .take(tree.size.min(limits::TREE_BYTES).saturating_add(1))
                .read_to_end(&mut bytes)
                .map_err(|e| Error::io(format!("tree {}", tree.digest), e))?,
            Err(e) if e.is_not_found() => return Ok(None),
            Err(e) => return Err(e),
        };
        let subject = format!("tree {}", tree.digest);
        match AuthenticBytes::from_digest(&bytes, tree.digest, &subject) {
            Ok(bytes) => Ok(Some(Tree::parse(&bytes, &subject)?)),
            Err(_) => Ok(None),
        }
    }

    /// The blobs of which a file is there, without looking into them.
    pub fn present(&self) -> Result<HashSet<(Digest, Form)>> {
        let mut present = HashSet::new();
        for number in 0..=u8::MAX {
            let names = self.numbered(number)?.list()?;
            present.extend(names.iter().filter_map(|(name, _)| parse_name(name)));
        }
        Ok(present)
    }

    /// Everything in the store: the folder, the name in it, and what it is.
    pub fn list(&self) -> Result<Vec<(&Dir, OsString, Kind)>> {
        let mut found = Vec::new();
        for number in 0..=u8::MAX {
            let dir = self.numbered(number)?;
            found.extend(
                dir.list()?
                    .into_iter()
                    .map(|(name, kind)| (dir, name, kind)),
            );
        }
        Ok(found)
    }

    /// What of `needs` is missing: not there, or there with another length.
    pub fn missing(&self, needs: &Needs) -> Result<HashMap<Digest, Vec<Form>>> {
        let present = self.present()?;
        let mut missing: HashMap<Digest, Vec<Form>> = HashMap::new();
        for (digest, need) in needs {
            for form in need.forms() {
                let there = present.contains(&(*digest, form))
                    && self
                        .status(*digest, form)?
                        .is_some_and(|s| s.kind == Kind::File && s.size == need.size);
                if !there {
                    missing.entry(*digest).or_default().push(form);
                }
            }
        }
        Ok(missing)
    }

    /// Takes a blob in, in these forms. `content` has to fail at its end if it is not that blob.
    pub fn add(
        &self,
        writer: Writer<'_>,
        blob: BlobRef,
        forms: &[Form],
        content: &mut dyn Read,
    ) -> Result<()> {
        let Some((first, others)) = forms.split_first() else {
            return Ok(());
        };
        self.write(writer, blob, *first, content)?;
        others
            .iter()
            .try_for_each(|form| self.copy(writer, blob, *form))
    }

    /// Makes another form of a blob that is there.
    pub fn copy(&self, writer: Writer<'_>, blob: BlobRef, form: Form) -> Result<()> {
        let file = self.file(blob.digest())?;
        let subject = format!("blob {}", blob.digest());
        let mut content = VerifyingReader::new(file, blob.size(), blob.digest(), subject);
        self.write(writer, blob, form, &mut content)
    }

    fn write(
        &self,
        writer: Writer<'_>,
        blob: BlobRef,
        form: Form,
        content: &mut dyn Read,
    ) -> Result<()> {
        let folder = self.folder(blob.digest())?;
        let name = file_name(blob.digest(), form);
        let at = folder.at(&name);
        let fill = &mut |file: &mut File| copy(content, file, blob.size());
        match writer.disk().create(at, form.mode(), fill) {
            // One of another length, left by a damaged disk, is in the way; nothing was read yet.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                writer.remove_file(at)?;
                writer.create(at, form.mode(), fill)
            }
            other => other.map_err(|e| Error::io(at.path(), e)),
        }
    }

    /// Makes a second name for a blob, at `to`. Where the file system allows no more names for it, the
    /// name gets a copy.
    pub fn link(&self, writer: Writer<'_>, blob: BlobRef, form: Form, to: At<'_>) -> Result<()> {
        let folder = self.folder(blob.digest())?;
        let name = file_name(blob.digest(), form);
        let from = folder.at(&name);
        match writer.disk().link(from, to) {
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::MLINK.raw_os_error()) => {
                let mut file = self.file(blob.digest())?;
                writer.create(to, form.mode(), &mut |to| copy(&mut file, to, blob.size()))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(Error::new(
                Code::GenerationDamaged,
                from.path(),
                "is not there",
            )),
            other => other.map_err(|e| Error::io(to.path(), e)),
        }
    }

    /// Removes everything that is not `kept`, and returns how many bytes that were.
    pub fn collect(
        &self,
        writer: Writer<'_>,
        kept: impl Fn(Digest, Form, &Status) -> bool,
    ) -> Result<u64> {
        let mut freed = 0_u64;
        for (dir, name, kind) in self.list()? {
            let Some(status) = dir.status(&name)? else {
                continue;
            };
            if parse_name(&name).is_some_and(|(digest, form)| kept(digest, form, &status)) {
                continue;
            }
            if kind == Kind::Dir {
                writer.remove_tree(dir.at(&name))?;
            } else {
                writer.remove_file(dir.at(&name))?;
                freed = freed.saturating_add(status.size);
            }
        }
        Ok(freed)
    }
}

/// Copies all of `content`, which should have `size` bytes, into a file.
fn copy(content: &mut dyn Read, file: &mut File, size: u64) -> io::Result<()> {
    // One byte more than needed, so that a small blob and its end come with as few reads as possible.
    let most = usize::try_from(size).unwrap_or(CHUNK).saturating_add(1);
    let mut buffer = vec![0; most.min(CHUNK)];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => file.write_all(&buffer[..count])?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::disk::RealDisk;

    pub(crate) fn empty_store() -> (tempfile::TempDir, Dir, Store) {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let writer = Writer::new(&RealDisk);
        writer.mkdir(dir.at(STORE)).unwrap();
        let root = dir.dir(STORE).unwrap();
        folders().for_each(|name| writer.mkdir(root.at(&name)).unwrap());
        let store = Store::open(&dir).unwrap();
        (temp, dir, store)
    }

    pub(crate) fn put(store: &Store, content: &[u8], forms: &[Form]) -> BlobRef {
        let blob = BlobRef(Digest::of(content), content.len() as u64);
        let writer = Writer::new(&RealDisk);
        store.add(writer, blob, forms, &mut &content[..]).unwrap();
        blob
    }

    #[test]
    fn a_blob_is_there_in_the_forms_asked_for() {
        let (_temp, dir, store) = empty_store();
        let blob = put(&store, b"content", &Form::ALL);
        for form in Form::ALL {
            let status = store.status(blob.digest(), form).unwrap().unwrap();
            assert_eq!((status.mode, status.size), (form.mode(), 7));
        }
        let writer = Writer::new(&RealDisk);
        store
            .link(writer, blob, Form::Executable, dir.at("program"))
            .unwrap();
        let of_store = store
            .status(blob.digest(), Form::Executable)
            .unwrap()
            .unwrap();
        let of_link = dir.status("program".as_ref()).unwrap().unwrap();
        assert_eq!(of_store.inode, of_link.inode);
    }

    #[test]
    fn missing_is_what_has_another_length_or_form() {
        let (_temp, _dir, store) = empty_store();
        let mut needs = Needs::new();
        let blobs = [
            put(&store, b"plain", &[Form::Plain]),
            put(&store, b"both", &Form::ALL),
            BlobRef(Digest::of(b"absent"), 6),
        ];
        for blob in blobs {
            for form in Form::ALL {
                need(&mut needs, blob, form);
            }
        }
        let short = put(&store, b"short", &[Form::Plain]);
        need(&mut needs, BlobRef(short.digest(), 6), Form::Plain);
        let missing = store.missing(&needs).unwrap();
        assert_eq!(missing[&blobs[0].digest()], [Form::Executable]);
        assert_eq!(missing[&blobs[2].digest()], Form::ALL);
        assert_eq!(missing[&short.digest()], [Form::Plain]);
        assert_eq!(missing.len(), 3);
    }

    #[test]
    fn collecting_removes_what_is_not_kept_and_what_has_no_name_of_ours() {
        let (_temp, _dir, store) = empty_store();
        let kept = put(&store, b"kept", &Form::ALL);
        let writer = Writer::new(&RealDisk);
        put(&store, b"dropped", &Form::ALL);
        let folder = store.folder(kept.digest()).unwrap();
        writer.create_with(folder.at("leftover.tmp"), b"x").unwrap();
        let keep = |digest, form, _: &Status| digest == kept.digest() && form == Form::Plain;
        store.collect(writer, keep).unwrap();
        let present = store.present().unwrap();
        assert_eq!(present, HashSet::from([(kept.digest(), Form::Plain)]));
        assert_eq!(store.list().unwrap().len(), 1);
    }
}
