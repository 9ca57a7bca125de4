//! The files of a site's policy, gathered from a folder.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use sealift_verifier::{
    path::EntryPath,
    policy::{BYTES, FILES, REGO, RULES, TESTS},
};

use crate::{
    disk,
    error::{Code, Error, Result},
};

/// Entries of a folder that are looked at, so that a wrong folder is found to be one.
const ENTRIES: usize = 10_000;

/// What is in a folder.
#[derive(Debug, Default)]
pub struct Gathered {
    /// The files of the policy by their names.
    pub files: BTreeMap<EntryPath, String>,
    /// Tests of its rules in Rego, which are no part of it.
    pub tests: BTreeMap<EntryPath, String>,
    /// What is there beside them: other files, and what is hidden. Sorted.
    pub left_out: Vec<PathBuf>,
}

/// Gathers the files of a policy: `policy.toml` and `*.rego` in `path` and in folders below it; or `path` itself, if
/// it is a file, as `policy.toml`. Whatever is called so has to be a regular file, whose links are not followed, of
/// UTF-8; there is at most [`FILES`] of them and [`BYTES`] bytes. `policy.toml` has to be TOML.
pub fn gather(path: &Path) -> Result<Gathered> {
    let mut gathered = Gathered::default();
    let meta = fs::symlink_metadata(path).map_err(|e| Error::io(path, e))?;
    if meta.is_dir() {
        let mut entries = 0;
        gathered.folder(path, "", &mut entries)?;
        gathered.left_out.sort();
    } else {
        gathered.file(path, RULES, &meta)?;
    }
    let rules = gathered
        .files
        .iter()
        .find(|(name, _)| name.as_str() == RULES);
    let Some((_, rules)) = rules else {
        let detail = format!("has no {RULES}");
        return Err(Error::new(Code::PolicyFile, path.display(), detail));
    };
    if let Err(e) = rules.parse::<toml::Table>() {
        let detail = e.to_string().trim_end().to_owned();
        return Err(Error::new(Code::PolicyFile, RULES, detail));
    }
    Ok(gathered)
}

impl Gathered {
    fn folder(&mut self, folder: &Path, below: &str, entries: &mut usize) -> Result<()> {
        for entry in folder.read_dir().map_err(|e| Error::io(folder, e))? {
            let entry = entry.map_err(|e| Error::io(folder, e))?;
            let path = entry.path();
            *entries = entries.saturating_add(1);
            if *entries > ENTRIES {
                let detail = format!("holds more than {ENTRIES} files: is it the right folder?");
                return Err(Error::new(Code::PolicyFile, folder.display(), detail));
            }
            let meta = entry.metadata().map_err(|e| Error::io(&path, e))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let whole = format!("{below}{name}");
            if name.starts_with('.') {
                self.left_out.push(path);
            } else if whole == RULES || name.ends_with(REGO) {
                self.file(&path, &whole, &meta)?;
            } else if meta.is_dir() {
                // A path that is longer than any of a policy is refused before the stack is exhausted.
                whole.parse::<EntryPath>().map_err(|e| named(&path, &e))?;
                self.folder(&path, &format!("{whole}/"), entries)?;
            } else {
                self.left_out.push(path);
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: &str, meta: &fs::Metadata) -> Result<()> {
        let refuse = |detail: String| Err(Error::new(Code::PolicyFile, path.display(), detail));
        if !meta.is_file() {
            return refuse("is no regular file; links are not followed".into());
        }
        let entry: EntryPath = name.parse().map_err(|e| named(path, &e))?;
        if !name.is_ascii() {
            return refuse("has a name that is not ASCII".into());
        }
        let bytes = disk::read(path, BYTES as u64)?;
        let Ok(text) = str::from_utf8(&bytes) else {
            return refuse("is no text in UTF-8".into());
        };
        let list = if name.ends_with(TESTS) {
            &mut self.tests
        } else {
            &mut self.files
        };
        list.insert(entry, text.to_owned());
        let all = || self.files.values().chain(self.tests.values());
        if all().count() > FILES || all().map(String::len).sum::<usize>() > BYTES {
            return refuse(format!(
                "is too much: at most {FILES} files and {BYTES} bytes"
            ));
        }
        Ok(())
    }
}

fn named(path: &Path, e: &sealift_verifier::Error) -> Error {
    Error::new(Code::PolicyFile, path.display(), e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "material for a test need not be durable"
    )]
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn refused(folder: &Path) -> String {
        let error = gather(folder).unwrap_err();
        assert_eq!(error.kind(), Some(Code::PolicyFile), "{error}");
        error.to_string()
    }

    #[test]
    fn rules_are_taken_and_nothing_else() {
        let folder = folder(&[
            (RULES, "channel = \"manual\"\n"),
            ("a.rego", "package a\n"),
            ("more/b.rego", "package b\n"),
            ("more/policy.toml", ""),
            ("README.md", ""),
            (".git/c.rego", ""),
        ]);
        let gathered = gather(folder.path()).unwrap();
        let names: Vec<_> = gathered.files.keys().map(EntryPath::as_str).collect();
        assert_eq!(names, ["a.rego", "more/b.rego", RULES]);
        let left: Vec<_> = gathered
            .left_out
            .iter()
            .map(|path| path.strip_prefix(folder.path()).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(left, [".git", "README.md", "more/policy.toml"]);
        let alone = gather(&folder.path().join(RULES)).unwrap();
        assert_eq!(alone.files.len(), 1);
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        assert!(refused(folder(&[("a.rego", "")]).path()).contains("has no policy.toml"));
        refused(folder(&[(RULES, "= 1")]).path());
        refused(folder(&[(RULES, ""), ("ä.rego", "")]).path());
        refused(folder(&[(RULES, ""), ("a\nb.rego", "")]).path());
        refused(folder(&[(RULES, ""), ("x.rego/y", "")]).path());
        let link = folder(&[(RULES, "")]);
        std::os::unix::fs::symlink("/etc/passwd", link.path().join("x.rego")).unwrap();
        assert!(refused(link.path()).contains("links are not followed"));
        std::os::unix::fs::symlink(RULES, link.path().join("alone.toml")).unwrap();
        refused(&link.path().join("alone.toml"));
        let many: Vec<_> = (0..FILES).map(|n| (format!("{n}.rego"), "")).collect();
        let mut many: Vec<_> = many.iter().map(|(n, t)| (n.as_str(), *t)).collect();
        many.push((RULES, ""));
        assert!(refused(folder(&many).path()).contains("too much"));
        let half = "#".repeat(BYTES / 2 + 1);
        let large = folder(&[(RULES, ""), ("a.rego", &half), ("b.rego", &half)]);
        assert!(refused(large.path()).contains("too much"));
    }
}
