//! Installing a release: verify, admit, stage, activate, watch, commit; or go back.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    sync::Mutex,
};

use sealift_verifier::{
    bundle::{Authentic, Sink},
    digest::Digest,
    release::BlobRef,
};

use crate::{
    activate::{self, Step},
    admission::Decision,
    admit::{self, Admitted},
    audit::{self, Entry},
    disk::Writer,
    error::{Code, Error, Result},
    generation::{self, Contents},
    journal::{Kind, Phase},
    plan::{self, Plan},
    recover, reserve,
    site::{
        self, Context, GENERATIONS, Ready, folder_name, root_file, snapshot_file, staging_name,
        timestamp_file,
    },
    state::{Action, Event, Generation, Newest, Outcome, TrustState},
    store::{Form, Needs, Store},
};

/// How an apply ended well.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    tag = "outcome"
)]
pub enum Applied {
    /// The very release runs already; nothing was written.
    NothingToDo {
        /// Its generation.
        generation: u64,
    },
    /// It is committed.
    Committed {
        /// Its generation.
        generation: u64,
        /// The generation that ran before.
        from: Option<u64>,
        /// Blobs that were written.
        blobs_written: u64,
        /// Bytes of these blobs.
        bytes_written: u64,
    },
}

/// A generation that is complete, durable and active for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Committed {
    /// Its number.
    pub generation: u64,
}

/// Installs the release of a bundle. `confirm` sees what would change and may refuse (`declined`) or not
/// be able to ask; it is only called when something would change.
pub fn apply(
    site: &mut Ready<'_>,
    file: File,
    name: &str,
    confirm: &mut dyn FnMut(&Plan) -> Result<()>,
    ctx: &Context<'_>,
) -> Result<Applied> {
    let mut entry = Entry::new(audit::Action::Apply).about(name);
    let (admitted, decision) = match decide(site, file, name, &mut entry, confirm, ctx) {
        Ok(Some(admitted)) => admitted,
        Ok(None) => {
            let generation = site.state().current.unwrap_or_default();
            return Ok(Applied::NothingToDo { generation });
        }
        Err(e) if is_refusal(&e) => {
            return Err(site.refused(audit::Action::Apply, entry, e, ctx));
        }
        Err(e) => return Err(e),
    };
    // What came in against a rule is a line of its own, so that whoever looks for it finds it.
    for exception in decision.exceptions() {
        let mut entry = entry.clone();
        entry.of = Some(std::mem::replace(&mut entry.action, exception));
        let _ = site.decided(entry, ctx)?;
    }
    let intent = site.intend(entry, ctx)?;
    reserve::keep(site);
    let result = install(site, admitted, ctx);
    let (outcome, reason) = audit::Outcome::of(&result);
    site.conclude(intent, outcome, &reason, ctx);
    result
}

/// Verifies a bundle, holds it against the site's rules, and asks. Nothing if its release runs already. As much as
/// becomes known of it goes into `entry`.
fn decide(
    site: &Ready<'_>,
    file: File,
    name: &str,
    entry: &mut Entry,
    confirm: &mut dyn FnMut(&Plan) -> Result<()>,
    ctx: &Context<'_>,
) -> Result<Option<(Admitted, Decision)>> {
    let authentic = admit::verify(site, file, name, ctx)?;
    if admit::is_current(site, &authentic) {
        return Ok(None);
    }
    let plan = plan::of(site, &authentic, ctx)?;
    let known = std::mem::replace(entry, Entry::new(audit::Action::Apply));
    *entry = known
        .release(&plan.version, plan.release)
        .moves(site.state().current, plan.generation)
        .decided(&plan.decision);
    let admitted = admit::admit(authentic, &plan.decision)?;
    confirm(&plan)?;
    Ok(Some((admitted, plan.decision)))
}

/// Whether somebody or something said no, so that it has to be recorded; what could not be read is no decision.
fn is_refusal(error: &Error) -> bool {
    match error {
        Error::Verifier(error) => error.io_kind().is_none(),
        error => !matches!(
            error.kind(),
            Some(Code::Io | Code::ConfirmationMissing | Code::StateDamaged)
        ),
    }
}

/// Stages and activates an admitted release.
fn install(site: &mut Ready<'_>, admitted: Admitted, ctx: &Context<'_>) -> Result<Applied> {
    let from = site.state().current;
    let release = admitted.authentic.release();
    let mut failed = Event {
        time: ctx.now,
        action: Action::Apply,
        outcome: Outcome::Failed,
        generation: Some(site.state().next),
        from,
        version: Some(release.version.clone()),
        release: Some(admitted.authentic.release_digest()),
        reason: String::new(),
    };
    let mut written = (0, 0);
    let result = stage(site, admitted, ctx).and_then(|staged| {
        written = staged.written;
        staged.activate(ctx)
    });
    match result {
        Ok(committed) => Ok(Applied::Committed {
            generation: committed.generation,
            from,
            blobs_written: written.0,
            bytes_written: written.1,
        }),
        Err(e) => {
            // Activation keeps its own record; and where something is left to recover, that does.
            if !matches!(e, Error::WentBack { .. }) && site.interrupted()?.is_none() {
                let mut state = site.state().clone();
                failed.reason = e.to_string();
                state.record(failed);
                // What went wrong first has to be told; a full disk may refuse the history as well.
                let _ = site.commit(state);
            }
            Err(e)
        }
    }
}

/// A generation that is complete and durable, but not active. Dropping it discards it.
#[must_use]
pub struct Staged<'s, 'd> {
    site: &'s mut Ready<'d>,
    authentic: Authentic,
    number: u64,
    head: Digest,
    written: (u64, u64),
    given_on: bool,
}

/// Puts the generation together beside what runs: blobs that the site lacks, then the folder.
pub fn stage<'s, 'd>(
    site: &'s mut Ready<'d>,
    admitted: Admitted,
    ctx: &Context<'_>,
) -> Result<Staged<'s, 'd>> {
    let authentic = admitted.authentic;
    // Whatever the release claims of lengths is what is delivered from here on.
    authentic.required_blobs()?;
    let store = site.store()?;
    let contents = Contents::new(
        authentic.release().clone(),
        authentic.head().to_vec(),
        |tree| match store.tree(tree)? {
            Some(tree) => Ok(tree),
            None => Ok(authentic.tree(tree.digest)?),
        },
    )?;
    let number = site.state().next;
    site.begin(&Phase::Staging { generation: number })?;
    // From here on, whatever fails, dropping this removes what was begun.
    let mut staged = Staged {
        head: contents.head_digest(),
        site,
        authentic,
        number,
        written: (0, 0),
        given_on: false,
    };
    staged.written = staged.take_blobs(&store, &contents.needs()?, ctx)?;
    staged.build(&store, &contents, ctx)?;
    Ok(staged)
}

impl Staged<'_, '_> {
    /// Writes the blobs that the store lacks, and says how many and how many bytes.
    fn take_blobs(&self, store: &Store, needs: &Needs, ctx: &Context<'_>) -> Result<(u64, u64)> {
        let writer = self.site.writer();
        let mut missing = store.missing(needs)?;
        let mut written = (0, 0);
        // A form that can be made of the other one is not read from the bundle.
        for (digest, forms) in &mut missing {
            let need = needs[digest];
            if need.forms().count() > forms.len() {
                let blob = BlobRef(*digest, need.size);
                for form in forms.drain(..) {
                    store.copy(writer, blob, form)?;
                    written = (written.0 + 1, written.1 + blob.size());
                }
            }
        }
        missing.retain(|_, forms| !forms.is_empty());
        let stored: u64 = missing.keys().map(|d| needs[d].size).sum();
        written.0 += missing.len() as u64;
        written.1 += stored;
        let sink = StoreSink {
            store,
            writer,
            needs,
            progress: ctx.progress,
            missing: Mutex::new(missing.clone()),
        };
        ctx.progress.begin("unpacking", stored);
        let read = self.authentic.read_blobs(
            &|digest| missing.contains_key(&digest),
            &sink,
            ctx.threads,
            &|_| {},
        );
        ctx.progress.end();
        read?;
        match sink
            .missing
            .into_inner()
            .ok()
            .and_then(|m| m.into_keys().next())
        {
            None => Ok(written),
            Some(digest) => Err(sealift_verifier::Error::new(
                sealift_verifier::Code::Incomplete,
                format!("blob {digest}"),
                "is needed by the release, but not in the bundle",
            )
            .into()),
        }
    }

    /// Builds the folder, waits until all of it is on the medium, and gives it its name.
    fn build(&self, store: &Store, contents: &Contents, ctx: &Context<'_>) -> Result<()> {
        let writer = self.site.writer();
        let generations = self.site.dir().dir(GENERATIONS)?;
        let (staging, name) = (staging_name(self.number), folder_name(self.number));
        writer.mkdir(generations.at(&staging))?;
        let root = generations.dir(&staging)?;
        generation::build(writer, store, &root, contents, ctx.threads)?;
        ctx.progress.begin("waiting for the disk", 0);
        let synced = writer.sync_fs(&generations);
        ctx.progress.end();
        synced?;
        writer.rename_new(generations.at(&staging), generations.at(&name))?;
        writer.sync_dir(&generations)
    }

    /// Activates it, watches it and commits it, or goes back to what ran before.
    pub fn activate(mut self, ctx: &Context<'_>) -> Result<Committed> {
        let state = self.site.state();
        let release = self.authentic.release().clone();
        let accepted = self.keep_trust()?;
        let newest = Newest {
            counter: self.authentic.counter(),
            release: self.authentic.release_digest(),
            timestamp: accepted.timestamp,
            snapshot: accepted.snapshot,
        };
        let mut success = state.clone();
        success.product = Some(release.product.clone());
        success.current = Some(self.number);
        success.next = self.number.saturating_add(1);
        success.trust = accepted.trust.clone();
        success.trust.newest = Some(newest);
        let floor = success.security_floor.iter().chain(&release.security_floor);
        success.security_floor = floor.max_by(|a, b| a.cmp_precedence(b)).cloned();
        success.generations.push(Generation {
            number: self.number,
            version: release.version.clone(),
            release: self.authentic.release_digest(),
            head: self.head,
            counter: self.authentic.counter(),
            committed: ctx.now,
            before: state.current,
        });
        let step = Step {
            generation: self.number,
            kind: Kind::Apply,
            release: &release,
            digest: self.authentic.release_digest(),
            success,
            trust_anyway: accepted.trust,
        };
        activate::begin(self.site, self.number, Kind::Apply)?;
        // From here on, going back is activation's own.
        self.given_on = true;
        let generation = self.number;
        activate::activate(self.site, step, ctx)?;
        Ok(Committed { generation })
    }

    /// Puts what the site will trust into `trust/`, durably, before the state can refer to it.
    fn keep_trust(&self) -> Result<Accepted> {
        let site = &self.site;
        let old = &site.state().trust;
        let trust = self.authentic.trust();
        let root = self.authentic.root();
        let mut next = old.clone();
        for (number, (_, bytes)) in (1_u64..).zip(self.authentic.head()) {
            // Roots come first in the head, numbered from 1. The trusted one stays the file that it is, whoever
            // else has signed the one in the bundle.
            if number > old.root && number <= root.version {
                site.keep_trusted(&root_file(number), bytes)?;
                next.rotate([Digest::of(bytes)]);
            }
        }
        let missing = || {
            Error::new(
                Code::StateDamaged,
                "the verified bundle",
                "left no timestamp or snapshot to trust",
            )
        };
        let timestamp = trust.timestamp.ok_or_else(missing)?;
        let snapshot = trust.snapshot.ok_or_else(missing)?;
        let accepted = Accepted {
            trust: TrustState {
                development: root.is_development(),
                time: old.time.max(Some(self.authentic.release().published)),
                ..next
            },
            timestamp: Digest::of(&timestamp),
            snapshot: Digest::of(&snapshot),
        };
        site.keep_trusted(&timestamp_file(accepted.timestamp), &timestamp)?;
        site.keep_trusted(&snapshot_file(accepted.snapshot), &snapshot)?;
        Ok(accepted)
    }
}

impl Drop for Staged<'_, '_> {
    fn drop(&mut self) {
        if !self.given_on {
            // What cannot be removed now stays in the journal for the next recovery.
            let _ = recover::unstage(self.site, self.number);
        }
    }
}

/// What a bundle taught the site.
struct Accepted {
    /// Newer roots and the bound of time, but not the counter: true whether or not the release holds.
    trust: TrustState,
    timestamp: Digest,
    snapshot: Digest,
}

/// Takes the missing blobs into the store.
struct StoreSink<'a> {
    store: &'a Store,
    writer: Writer<'a>,
    needs: &'a Needs,
    progress: &'a dyn site::Progress,
    missing: Mutex<HashMap<Digest, Vec<Form>>>,
}

impl Sink for StoreSink<'_> {
    fn blob(&self, blob: BlobRef, content: &mut dyn Read) -> io::Result<()> {
        let forms = match self.missing.lock() {
            Ok(mut missing) => missing.remove(&blob.digest()).unwrap_or_default(),
            Err(_) => return Err(io::Error::other("another thread failed")),
        };
        let need = self.needs.get(&blob.digest()).map(|need| need.size);
        if need != Some(blob.size()) {
            return Err(io::Error::other(sealift_verifier::Error::new(
                sealift_verifier::Code::LengthMismatch,
                format!("blob {}", blob.digest()),
                format!("has {} bytes, the release says {need:?}", blob.size()),
            )));
        }
        self.store
            .add(self.writer, blob, &forms, content)
            .map_err(|e| match e {
                Error::Verifier(inner) => io::Error::other(inner),
                other => io::Error::other(other),
            })?;
        self.progress.advance(blob.size());
        Ok(())
    }
}
