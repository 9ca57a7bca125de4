//! Modules: the libraries of tokens' makers. A module is code that runs in this process and gets the PIN, so
//! it comes from an absolute path that a person gave, or from the folders of the system.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11},
    error::{Error as Pkcs11Error, RvError},
};

use crate::{
    error::{Code, Error, Result},
    token::{Module, TokenUri},
};

/// The modules of this process. They stay loaded to its end: initialising is once for all signers, and not
/// every module survives to be unloaded.
static LOADED: Mutex<Vec<(PathBuf, Pkcs11)>> = Mutex::new(Vec::new());

/// Loads the module that `uri` means.
pub(super) fn load(uri: &TokenUri) -> Result<Pkcs11> {
    let path = path(uri)?;
    let refuse = |detail: String| Error::new(Code::TokenModule, path.display(), detail);
    // Loading would wait for somebody to write to a pipe.
    match std::fs::metadata(&path) {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return Err(refuse("is not a regular file".into())),
        Err(e) => return Err(refuse(e.to_string())),
    }
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, module)) = loaded.iter().find(|(known, _)| *known == path) {
        return Ok(module.clone());
    }
    let module = Pkcs11::new(&path).map_err(|e| match e {
        Pkcs11Error::LibraryLoading(e) => refuse(format!("cannot be loaded: {e}")),
        Pkcs11Error::MissingSymbol(name) => {
            refuse(format!("is no PKCS#11 module: it has no {name}"))
        }
        e => refuse(format!("cannot be used: {}", told(&e))),
    })?;
    let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
    match module.initialize(arguments) {
        // Under another path it may be the same library.
        Ok(()) | Err(Pkcs11Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(e) => return Err(refuse(format!("does not begin: {}", told(&e)))),
    }
    loaded.push((path, module.clone()));
    Ok(module)
}

/// Where the module lies.
fn path(uri: &TokenUri) -> Result<PathBuf> {
    let name = match &uri.module {
        Some(Module::Path(path)) => return Ok(path.clone()),
        Some(Module::Name(name)) => Some(name.as_str()),
        None => None,
    };
    let candidates = candidates(name);
    if let Some(found) = candidates.iter().find(|path| path.is_file()) {
        return Ok(found.clone());
    }
    let tried: Vec<_> = candidates.iter().map(|c| c.display().to_string()).collect();
    let what = name.map_or(
        "the URI has no module-path, and p11-kit is not there".into(),
        |name| format!("there is no module {name:?}"),
    );
    let detail = format!("{what}; tried\n  {}", tried.join("\n  "));
    Err(Error::new(Code::TokenModule, uri, detail))
}

/// Where a module of this name may be (RFC 7512 2.3 leaves it to the system). Without a name it is
/// p11-kit's, which leads to all modules that the system knows.
fn candidates(name: Option<&str>) -> Vec<PathBuf> {
    let own = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let mut found = Vec::new();
    for library in [&own, "/usr/lib64", "/usr/lib"].map(Path::new) {
        match name {
            None => found.push(library.join("p11-kit-proxy.so")),
            Some(name) => {
                let names = [
                    name.to_owned(),
                    format!("{name}.so"),
                    format!("lib{name}.so"),
                ];
                found.extend(names.map(|file| library.join("pkcs11").join(file)));
            }
        }
    }
    found
}

/// What a module answered, in the words of the standard. The crate's own message is a paragraph.
pub(super) fn told(error: &Pkcs11Error) -> impl fmt::Display {
    match error {
        Pkcs11Error::Pkcs11(value, function) => said(*value, *function),
        other => other.to_string(),
    }
}

fn said(value: RvError, function: Function) -> String {
    format!("C_{function:?} says {value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_looked_for_where_systems_keep_them() {
        let shown = |name| -> Vec<String> {
            let all = candidates(name).into_iter();
            all.map(|path| path.display().to_string()).collect()
        };
        let own = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        assert_eq!(shown(None)[0], format!("{own}/p11-kit-proxy.so"));
        let named = shown(Some("opensc-pkcs11"));
        assert_eq!(named[1], format!("{own}/pkcs11/opensc-pkcs11.so"));
        assert!(named.contains(&"/usr/lib64/pkcs11/libopensc-pkcs11.so".to_owned()));
    }
}
