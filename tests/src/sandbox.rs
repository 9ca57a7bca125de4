//! A temporary folder, and programs that know nothing but it.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use tempfile::TempDir;

use crate::program::Program;

/// A temporary folder that is removed at the end of the test; clones are the same one. Whatever runs in it has this folder as its
/// home, no other variables of the environment, and the umask 022.
#[derive(Clone)]
pub struct Sandbox {
    folder: Arc<TempDir>,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Sandbox {
    /// An empty one, on the disk that the programs are built on: hard links and real file systems matter.
    pub fn new() -> Self {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        let below = target_folder().join("tmp");
        std::fs::create_dir_all(&below).expect("the target folder can be written");
        let folder = tempfile::Builder::new()
            .prefix("test-")
            .tempdir_in(below)
            .expect("the target folder can be written");
        Self {
            folder: Arc::new(folder),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file in the folder, and the folders above it.
    pub fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(path);
        write(&path, content);
        path
    }

    /// One of our own programs, such as `sealift-verifier`.
    pub fn program(&self, name: &str) -> Program {
        Program::new(binary(name).as_os_str(), self.path())
    }

    /// A program of the machine, such as `skopeo`.
    pub fn tool(&self, name: &str) -> Program {
        Program::new(OsStr::new(name), self.path())
    }

    /// Python with the packages of `tests/requirements.txt`.
    pub fn python(&self, script: &str) -> Program {
        let python = target_folder().join("venv/bin/python3");
        assert!(
            python.exists(),
            "{} is missing: run tests/setup",
            python.display()
        );
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("python")
            .join(script);
        Program::new(python.as_os_str(), self.path()).args([script])
    }
}

/// Writes a file, and the folders above it.
#[expect(
    clippy::disallowed_methods,
    reason = "files of tests need not survive anything"
)]
pub fn write(path: &Path, content: impl AsRef<[u8]>) {
    let result = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(path, content));
    result.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// Reads a file.
#[track_caller]
pub fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The built program `name`: beside this test, in the folder of the same profile.
pub fn binary(name: &str) -> PathBuf {
    let path = profile_folder().join(name);
    assert!(
        path.exists(),
        "{} is not built: run ./test, or `cargo build --workspace --features sealift-installer/fault-points`",
        path.display()
    );
    path
}

/// `target/debug` or the like: test executables are in its `deps`.
fn profile_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let own = std::env::current_exe().expect("a test knows where it is");
        let folder = own
            .ancestors()
            .find(|f| f.ends_with("deps"))
            .and_then(Path::parent);
        folder
            .unwrap_or_else(|| panic!("{} is not below deps", own.display()))
            .to_owned()
    })
}

/// `target`, wherever it is.
pub fn target_folder() -> &'static Path {
    profile_folder()
        .parent()
        .expect("a profile's folder is in the target folder")
}
