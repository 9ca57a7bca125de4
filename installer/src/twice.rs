//! What is kept twice, because nothing at the site can be done without it: the state, and the metadata that is
//! trusted. Either file of two restores the other.
//!
//! | | first | second | what says whether it is intact |
//! |---|---|---|---|
//! | state | `state.json` | `state.copy.json` | its own checksum; of two that are intact, the one with the higher revision is the truth |
//! | metadata | `trust/` | `trust.copy/` | the digests in the state |
//!
//! Reading takes what is intact and says what is not. Whatever changes the site restores it first (`restore`).

use sealift_verifier::{
    digest::Digest,
    limits,
    time::Time,
    tuf::{ED25519, TrustedSet},
};

use crate::{
    disk::{Dir, ReplaceError, Writer},
    error::{Code, Error, Result},
    site::{Ready, STATE, STATE_COPY, TRUST, TRUST_COPY, root_file},
    state::{self, State, TrustState},
};

/// One of two files that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Damage {
    /// Which, below the state folder.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
    /// Whether the other one is intact, so that nothing is lost.
    pub restorable: bool,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, problem, .. } = self;
        let other = if self.restorable {
            "its copy is intact, and counts"
        } else {
            "and its copy is damaged too"
        };
        write!(f, "{path} {problem}; {other}")
    }
}

/// Reads the state from whichever file is intact, the newer one if both are, and says what is wrong with the other.
pub(crate) fn read_state(dir: &Dir) -> Result<(State, Vec<Damage>)> {
    let read = |name: &str| {
        let bytes = dir.read(name, state::LIMIT)?;
        let state = State::parse(&bytes, &dir.path().join(name).display().to_string())?;
        Ok((state, bytes))
    };
    let damage = |path: &str, problem: String| Damage {
        path: path.to_owned(),
        problem,
        restorable: true,
    };
    let newer = |e: &Error| e.kind() == Some(Code::StateFormat);
    match (read(STATE), read(STATE_COPY)) {
        // What a newer program wrote is never answered with an older state.
        (Err(e), _) | (_, Err(e)) if newer(&e) => Err(e),
        (Ok((first, bytes)), Ok((second, copy))) => {
            let found = if bytes == copy {
                Vec::new()
            } else if second.revision > first.revision {
                let problem = format!("is older: {} of {}", first.revision, second.revision);
                return Ok((second, vec![damage(STATE, problem)]));
            } else {
                let problem = format!("is older: {} of {}", second.revision, first.revision);
                vec![damage(STATE_COPY, problem)]
            };
            Ok((first, found))
        }
        (Ok((first, _)), Err(e)) => Ok((first, vec![damage(STATE_COPY, problem(&e))])),
        (Err(e), Ok((second, _))) => Ok((second, vec![damage(STATE, problem(&e))])),
        (Err(first), Err(second)) => {
            let both = [&first, &second];
            if both.iter().all(|e| e.kind() != Some(Code::StateDamaged)) {
                return Err(first);
            }
            let detail = format!("{}, and {STATE_COPY} {}", problem(&first), problem(&second));
            let subject = dir.path().join(STATE).display().to_string();
            Err(Error::new(Code::StateDamaged, subject, detail))
        }
    }
}

/// What is wrong with a file, without its name.
fn problem(error: &Error) -> String {
    if error.is_not_found() {
        return "is missing".into();
    }
    let told = error.to_string();
    let subject = match error {
        Error::Own(own) => own.subject(),
        _ => "",
    };
    // What a reader of JSON says names the file once more.
    told.trim_start_matches(&format!("{subject}: ")).to_owned()
}

/// Writes the state: the first file is the commit point, the second follows. A crash between the two leaves the
/// second one older, which is as good as a damaged one.
pub(crate) fn write_state(
    writer: Writer<'_>,
    dir: &Dir,
    state: &State,
) -> Result<(), ReplaceError> {
    let bytes = state.to_bytes().map_err(ReplaceError::Unchanged)?;
    writer
        .put(dir.at(STATE), &bytes)
        .map_err(ReplaceError::Unchanged)?;
    // One sync of the folder serves both: whichever of the names a power cut loses, the newest that is left is
    // the old state or the new one.
    writer
        .put(dir.at(STATE_COPY), &bytes)
        .and_then(|()| writer.sync_dir(dir))
        .map_err(ReplaceError::DurabilityUnknown)
}

/// Reads trusted metadata from whichever file has the digest that was trusted.
pub(crate) fn read_trusted(dir: &Dir, name: &str, digest: Digest) -> Result<Vec<u8>> {
    let first = match intact(dir, TRUST, name, digest) {
        Ok(bytes) => return Ok(bytes),
        Err(why) => why,
    };
    // Nothing may be decided without the trusted metadata, so this fails closed.
    intact(dir, TRUST_COPY, name, digest).map_err(|second| {
        let subject = dir.path().join(TRUST).join(name).display().to_string();
        let detail = format!("{first}, and so the copy in {TRUST_COPY}: {second}");
        Error::new(Code::StateDamaged, subject, detail)
    })
}

fn intact(dir: &Dir, folder: &str, name: &str, digest: Digest) -> Result<Vec<u8>, String> {
    let bytes = dir
        .read(format!("{folder}/{name}"), limits::METADATA_BYTES)
        .map_err(|e| problem(&e))?;
    if Digest::of(&bytes) != digest {
        return Err("is not the file that was trusted".into());
    }
    Ok(bytes)
}

/// Which of the files with trusted metadata are damaged.
pub(crate) fn damaged_trust(dir: &Dir, trust: &TrustState) -> Vec<Damage> {
    let mut found = Vec::new();
    for (name, digest) in trust.files() {
        let both = [TRUST, TRUST_COPY].map(|folder| (folder, intact(dir, folder, &name, digest)));
        let restorable = both.iter().any(|(_, read)| read.is_ok());
        found.extend(both.into_iter().filter_map(|(folder, read)| {
            Some(Damage {
                path: format!("{folder}/{name}"),
                problem: read.err()?,
                restorable,
            })
        }));
    }
    found
}

/// Puts trusted metadata into both folders, durably, before the state refers to it. What is there with other content
/// was left by a crash or is damaged.
pub(crate) fn keep_trusted(writer: Writer<'_>, dir: &Dir, name: &str, bytes: &[u8]) -> Result<()> {
    for folder in [TRUST, TRUST_COPY] {
        if intact(dir, folder, name, Digest::of(bytes)).is_err() {
            let folder = dir.dir(folder)?;
            writer.replace(folder.at(name), bytes)?;
        }
    }
    Ok(())
}

/// Makes both files of each pair the same again, as far as one of them is intact.
pub(crate) fn restore(site: &Ready<'_>) -> Result<()> {
    let (dir, writer) = (site.dir(), site.writer());
    let bytes = site.state().to_bytes()?;
    for name in [STATE, STATE_COPY] {
        if !dir
            .read(name, state::LIMIT)
            .is_ok_and(|there| there == bytes)
        {
            writer.replace(dir.at(name), &bytes)?;
        }
    }
    for name in [TRUST, TRUST_COPY] {
        if dir.status(name.as_ref())?.is_none() {
            writer.mkdir(dir.at(name))?;
            writer.sync_dir(dir)?;
        }
    }
    for (name, digest) in site.state().trust.files() {
        if let Ok(bytes) = read_trusted(dir, &name, digest) {
            keep_trusted(writer, dir, &name, &bytes)?;
        }
    }
    Ok(())
}

/// Fills in the digests of older roots, which states of the first format do not have. Roots that do not lead to the
/// trusted one are given up: then bundles from before it cannot serve to repair the site.
pub(crate) fn complete(dir: &Dir, trust: &mut TrustState) {
    if trust.older.len() as u64 == trust.root.saturating_sub(trust.first_root) {
        return;
    }
    let read = |version| {
        let name = format!("{TRUST}/{}", root_file(version));
        dir.read(name, limits::METADATA_BYTES)
    };
    let chain = || -> Result<Vec<Digest>> {
        let first = read(trust.first_root)?;
        let mut set = TrustedSet::new(&first, ED25519, Time::from_unix(0)?)?;
        let mut digests = vec![Digest::of(&first)];
        for version in trust.first_root.saturating_add(1)..=trust.root {
            let bytes = read(version)?;
            set.update_root(&bytes)?;
            digests.push(Digest::of(&bytes));
        }
        Ok(digests)
    };
    let mut digests = chain().unwrap_or_default();
    match digests.pop() {
        Some(last) if last == trust.root_digest => trust.older = digests,
        _ => {
            trust.first_root = trust.root;
            trust.older.clear();
        }
    }
}
