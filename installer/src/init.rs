//! Making a site.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use sealift_verifier::{
    digest::{Digest, hex},
    release::Mode,
    tuf::{ED25519, TrustedSet},
};

use crate::{
    audit::{
        self, Entry,
        log::{Log, Mark, Place},
    },
    disk::{Dir, Disk, Writer},
    error::{Code, Error, Result},
    journal, lock,
    site::{
        Context, GENERATIONS, KNOWN, STATE, STATE_COPY, STORE, Site, TRASH, TRUST, TRUST_COPY,
        customer_root_file, root_file,
    },
    site_key,
    state::{Action, ClockPolicy, Event, FORMAT, Outcome, State, TrustState},
    store, trust, twice,
};

/// What a site is made with.
pub struct Options {
    /// The vendor's root, as the file it came in.
    pub root: Vec<u8>,
    /// What the vendor says the SHA-256 of that file is.
    pub fingerprint: Option<Digest>,
    /// The customer's root, as the file it came in, and what the customer says the SHA-256 of that file is.
    pub customer: Option<(Vec<u8>, Digest)>,
    /// How much the local clock counts.
    pub clock: ClockPolicy,
    /// The mode that the site runs in.
    pub mode: Option<Mode>,
    /// The absolute path of the activate hook.
    pub activate_hook: Option<PathBuf>,
}

/// Makes a site in a new or empty folder. The root has to meet its own threshold and, if a fingerprint is
/// given, to have it.
#[expect(
    clippy::too_many_lines,
    reason = "one step after the other, in the order that a power cut may end them"
)]
pub fn init(path: &Path, disk: &dyn Disk, options: &Options, ctx: &Context<'_>) -> Result<Site> {
    let digest = Digest::of(&options.root);
    if let Some(expected) = options.fingerprint.filter(|expected| *expected != digest) {
        return Err(Error::new(
            Code::FingerprintMismatch,
            "the root file",
            format!("has the fingerprint {digest}, not {expected}"),
        ));
    }
    let trusted = TrustedSet::new(&options.root, ED25519, ctx.now)?;
    let root = &trusted.root().statement;
    let customer = options.customer.as_ref();
    let customer = customer
        .map(|(bytes, fingerprint)| trust::check_customer(bytes, *fingerprint, digest, ctx))
        .transpose()?;
    let hook = options
        .activate_hook
        .as_deref()
        .map(check_hook)
        .transpose()?;

    let writer = Writer::new(disk);
    // Absolute, so that going up through its parents ends.
    let path = std::path::absolute(path).map_err(|e| Error::io(path.display(), e))?;
    writer.mkdir_all(&path)?;
    let dir = Dir::open(&path)?;
    check_empty(&dir)?;
    let _lock = lock::take(&dir, "init", ctx.now)?;
    // Again, under the lock: somebody may have been quicker.
    check_empty(&dir)?;

    for name in [TRUST, TRUST_COPY, STORE, GENERATIONS, TRASH] {
        writer.mkdir(dir.at(name))?;
    }
    let folder = dir.dir(STORE)?;
    for name in store::folders() {
        writer.mkdir(folder.at(&name))?;
    }
    twice::keep_trusted(writer, &dir, &root_file(root.version), &options.root)?;
    if let Some((customer, bytes)) = customer.as_ref().zip(options.customer.as_ref()) {
        let name = customer_root_file(customer.version);
        twice::keep_trusted(writer, &dir, &name, &bytes.0)?;
    }
    writer.sync_fs(&dir)?;

    let site = random_id()?;
    // What an interrupted `init` left is of a site that never was.
    if dir.status(audit::FOLDER.as_ref())?.is_some() {
        writer.remove_tree(dir.at(audit::FOLDER))?;
    }
    let key = site_key::id(site_key::ensure(&dir, writer, None)?.public())?;
    let mut log = Log::default();
    let place = Place {
        dir: &dir,
        writer,
        site: &site,
        key: Some(&key),
        committed: None,
        time_bound: None,
        now: ctx.now,
        who: ctx.who,
    };
    let made = format!("root {} with the fingerprint {digest}", root.version);
    let entry = Entry::new(audit::Action::Init).about(&made);
    let intent = log.append(&place, &Mark::INTENT, entry.clone())?;

    let mut state = State {
        format: FORMAT,
        revision: 0,
        site: site.clone(),
        created: ctx.now,
        clock: options.clock,
        activate_hook: hook,
        product: None,
        mode: options.mode,
        pins: Vec::new(),
        policy: None,
        current: None,
        site_key: Some(key.clone()),
        audit: log.position(),
        next: 1,
        trust: TrustState {
            first_root: root.version,
            root: root.version,
            root_digest: digest,
            older: Vec::new(),
            development: root.is_development(),
            customer,
            newest: None,
            time: None,
        },
        security_floor: None,
        generations: Vec::new(),
        history: Vec::new(),
    };
    state.record(Event {
        time: ctx.now,
        action: Action::Init,
        outcome: Outcome::Done,
        generation: None,
        from: None,
        version: None,
        release: None,
        reason: made,
    });
    twice::write_state(writer, &dir, &state)?;
    let outcome = Entry {
        outcome: Some(audit::Outcome::Done),
        ..entry
    };
    let said = log.append(&place, &Mark::outcome(intent), outcome);
    if let Err(e) = said.and_then(|_| log.checkpoint(&place)) {
        ctx.progress.note(&format!(
            "the audit log says later that the site was made: {e}"
        ));
    }
    Site::open(&path)
}

/// What is there must be nothing, or what an interrupted `init` left.
fn check_empty(dir: &Dir) -> Result<()> {
    let found = dir.list()?;
    let subject = dir.path().display().to_string();
    if found
        .iter()
        .any(|(name, _)| name == STATE || name == STATE_COPY || name == journal::FILE)
    {
        return Err(Error::new(
            Code::AlreadyASite,
            subject,
            "there is a site here",
        ));
    }
    let left = |name: &str| {
        KNOWN.contains(&name) || site_key::PARTIAL.contains(&name) || name == format!("{STATE}.tmp")
    };
    match found
        .iter()
        .find(|(name, _)| !left(&name.to_string_lossy()))
    {
        None => Ok(()),
        Some((name, _)) => {
            let detail = format!("holds {:?} and maybe more", name.to_string_lossy());
            Err(Error::new(Code::NotEmpty, subject, detail))
        }
    }
}

/// The hook has to be an absolute path to a file: it is run long after anybody remembers from where.
fn check_hook(hook: &Path) -> Result<String> {
    let bad = |why: &str| Err(Error::new(Code::Usage, hook.display().to_string(), why));
    if !hook.is_absolute() {
        return bad("the activate hook needs an absolute path");
    }
    match std::fs::metadata(hook) {
        Ok(found) if !found.is_file() => return bad("the activate hook is no file"),
        Ok(found) if found.mode() & 0o111 == 0 => {
            return bad("the activate hook is not executable: chmod +x");
        }
        Ok(_) => {}
        Err(e) => return bad(&format!("the activate hook cannot be used: {e}")),
    }
    match hook.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => bad("the path of the activate hook is no UTF-8"),
    }
}

/// A random UUID (RFC 9562, version 4).
fn random_id() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::new(Code::Io, "random numbers", e.to_string()))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex(&bytes);
    let parts = [
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..],
    ];
    Ok(parts.join("-"))
}
