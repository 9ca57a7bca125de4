//! `verify`: the checks one by one, and what they found.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use sealift_verifier::{
    Code, Error, Result,
    bundle::{Authentic, Bundle, Sink, Trust},
    error::printable,
    release::BlobRef,
    time::Time,
    tuf::{KeyHolder, RoleName, Root, TrustedSet, metadata::Statement, trusted::Accepted},
};
use serde_json::{Map, Value, json};

use super::{
    Failed, TrustArguments, Ui,
    recorder::{Recorder, Step, signer},
    repository,
    table::{bytes, facts},
};
use crate::report;

/// Arguments of `verify`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The bundle, or a folder with a TUF repository
    bundle: PathBuf,
    #[command(flatten)]
    trust: TrustArguments,
    /// Also unpack every pack in memory and check the digest of each blob in it
    #[arg(long)]
    contents: bool,
    /// Write a page for the files of an auditor
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Replace the report if there is one
    #[arg(long, requires = "report")]
    overwrite: bool,
}

/// The checks of a bundle in their order.
const CHECKS: &[&str] = &[
    "bundle",
    "trusted-root",
    "root-chain",
    "timestamp",
    "snapshot",
    "targets",
    "layout",
    "release",
    "provenance",
    "payload",
    "completeness",
    "contents",
];

/// What was verified.
pub(crate) enum Subject {
    /// A bundle, with its whole payload.
    Bundle(Box<Authentic>),
    /// A repository, with all of its targets.
    Repository(Box<TrustedSet>),
}

impl Subject {
    /// All metadata that was accepted.
    pub(crate) fn trusted(&self) -> &TrustedSet {
        match self {
            Self::Bundle(bundle) => bundle.trusted(),
            Self::Repository(trusted) => trusted,
        }
    }
}

/// All that a verification leaves behind.
pub(crate) struct Findings {
    /// The path, as it was given.
    pub(crate) path: String,
    /// What expiry was judged by.
    pub(crate) time: Time,
    /// Whether that was the clock of this machine.
    pub(crate) by_clock: bool,
    /// Whether packs were unpacked.
    pub(crate) contents: bool,
    /// Every check that was made.
    pub(crate) steps: Vec<Step>,
    /// What was verified, or why it was refused.
    pub(crate) result: Result<Subject>,
}

impl Findings {
    /// What was not checked, so that nobody believes it was.
    pub(crate) fn not_checked(&self) -> Vec<String> {
        let mut list = vec![
            "Whether the trusted root is really the vendor's: compare its fingerprint on another way."
                .to_owned(),
            "Whether there is something newer, or whether this was revoked since: that takes newer media."
                .into(),
            "What any site has accepted before: whether this is older than what a site runs is for the \
             installer to say."
                .into(),
            "What the software does, and whether the vendor's descriptions of it are true.".into(),
        ];
        list.push(if self.by_clock {
            format!(
                "Whether this machine's clock is right: expiry was judged by it, {}.",
                self.time
            )
        } else {
            format!(
                "What time it is: expiry was judged by the time that was asked for, {}.",
                self.time
            )
        });
        if matches!(self.result, Ok(Subject::Bundle(_))) {
            list.push(
                "Whether images refer to other blobs than the release manifest lists for them."
                    .into(),
            );
            if !self.contents {
                list.push(
                    "The digest of each blob inside the packs (--contents does): the packs themselves \
                     are what was signed, and whoever takes a blob out checks it."
                        .into(),
                );
            }
        }
        list
    }
}

/// What a role states and who signed it.
pub(crate) struct RoleFacts {
    pub(crate) role: RoleName,
    pub(crate) version: u64,
    pub(crate) expires: Time,
    pub(crate) threshold: u64,
    pub(crate) keys: usize,
    pub(crate) signers: Vec<KeyHolder>,
}

impl RoleFacts {
    /// The four roles of what was accepted.
    pub(crate) fn all(trusted: &TrustedSet) -> Result<Vec<Self>> {
        let root = &trusted.root().statement;
        let missing = || Error::new(Code::BadMetadata, "metadata", "is incomplete");
        Ok(vec![
            Self::of(root, trusted.root())?,
            Self::of(root, trusted.timestamp().ok_or_else(missing)?)?,
            Self::of(root, trusted.snapshot().ok_or_else(missing)?)?,
            Self::of(root, trusted.targets().ok_or_else(missing)?)?,
        ])
    }

    fn of<T: Statement>(root: &Root, accepted: &Accepted<T>) -> Result<Self> {
        let role = root.role(T::ROLE)?;
        Ok(Self {
            role: T::ROLE,
            version: accepted.statement.version(),
            expires: accepted.statement.expires(),
            threshold: role.threshold,
            keys: role.keyids.len(),
            signers: accepted.signers.clone(),
        })
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "expires": self.expires,
            "keys": self.keys,
            "role": self.role.name(),
            "signers": self.signers.iter().map(signer).collect::<Vec<_>>(),
            "threshold": self.threshold,
            "version": self.version,
        })
    }
}

/// What a development root is called wherever it is shown.
pub(crate) const DEVELOPMENT: &str = "DEVELOPMENT KEYS: this root says of itself that its keys are throw-away keys. Trust nothing it signs.";

/// Runs the command.
pub(super) fn run(arguments: &Arguments, clock: Time, ui: &mut Ui<'_>) -> Result<(), Failed> {
    if let Some(report) = &arguments.report
        && !arguments.overwrite
        && report.symlink_metadata().is_ok()
    {
        // Said before the work, not after it.
        let name = report.display().to_string();
        return Err(Error::new(Code::AlreadyExists, name, "is there already").into());
    }
    let folder = arguments.bundle.is_dir();
    let order = if folder { repository::CHECKS } else { CHECKS };
    let lines: Option<&mut dyn Write> = if ui.json { None } else { Some(ui.out) };
    let mut recorder = Recorder::new(order, lines);
    let time = arguments.trust.at.unwrap_or(clock);
    let result = if folder {
        repository::verify(&arguments.bundle, &arguments.trust, time, &mut recorder)
            .map(|trusted| Subject::Repository(Box::new(trusted)))
    } else {
        verify(
            &arguments.bundle,
            &arguments.trust,
            time,
            arguments.contents,
            &mut recorder,
        )
        .map(|bundle| Subject::Bundle(Box::new(bundle)))
    };
    if let Err(error) = &result {
        recorder.failed(error);
    }
    let findings = Findings {
        path: arguments.bundle.display().to_string(),
        time,
        by_clock: arguments.trust.at.is_none(),
        contents: arguments.contents,
        steps: recorder.into_steps(),
        result,
    };
    // A medium that cannot be read says nothing of what is on it, so there is nothing to file.
    let outcome = findings.result.as_ref().err().map(Error::kind);
    if let Some(path) = &arguments.report
        && outcome.is_none_or(Code::is_not_authentic)
    {
        report::write(&findings, path, arguments.overwrite)?;
    }
    let mut value = Map::new();
    value.insert("authentic".into(), findings.result.is_ok().into());
    let steps = findings.steps.iter().map(Step::to_json);
    value.insert("checks".into(), steps.collect());
    value.insert("judged-at".into(), json!(findings.time));
    let not_checked = findings.not_checked();
    match findings.result {
        Err(error) => Err(Failed {
            error,
            facts: value,
        }),
        Ok(subject) if ui.json => {
            value.insert("not-checked".into(), json!(not_checked));
            value.append(&mut summary_json(&subject)?);
            Ok(ui.print_json(&Value::Object(value))?)
        }
        Ok(subject) => Ok(ui.print(&summary_text(&subject, &not_checked)?)?),
    }
}

/// Verifies the bundle for a command that goes on with it, without a line for each check.
pub(super) fn quietly(
    path: &Path,
    trust: &TrustArguments,
    clock: Time,
    ui: &mut Ui<'_>,
) -> Result<Authentic> {
    let time = trust.at.unwrap_or(clock);
    let bundle = verify(path, trust, time, false, &mut Recorder::new(CHECKS, None))?;
    if bundle.root().is_development() {
        ui.note(&format!("{DEVELOPMENT}\n"));
    }
    Ok(bundle)
}

/// Verifies everything: metadata, layout, manifests, payload, and that nothing is missing.
fn verify(
    path: &Path,
    trust: &TrustArguments,
    time: Time,
    contents: bool,
    recorder: &mut Recorder<'_>,
) -> Result<Authentic> {
    let unverified = Bundle::open_path(path)?;
    let root = trust.root_for(&unverified)?;
    recorder.found("bundle", printable(&path.display().to_string()));
    let bundle = unverified.verify(&Trust::from_root(root), time, &mut |check| {
        recorder.passed(check);
    })?;

    let stored: u64 = bundle.members().map(|(_, size, _)| size).sum();
    let bar = progress("verifying", stored);
    // Trees are read beside the hashing: reading many small entries keeps one core busy for a while.
    let (verified, required) = std::thread::scope(|scope| {
        let required = scope.spawn(|| bundle.required_blobs());
        let verified = bundle.verify_payload(threads(), &|bytes| bar.inc(bytes));
        (verified, required.join())
    });
    bar.finish_and_clear();
    verified?;
    recorder.found(
        "payload",
        format!(
            "{} members, {} bytes, each with its signed digest",
            bundle.members().count(),
            stored
        ),
    );

    let ended_early = |_| {
        Err(Error::new(
            Code::Io,
            "bundle",
            "a reading thread ended early",
        ))
    };
    let required = required.unwrap_or_else(ended_early)?;
    recorder.found(
        "completeness",
        format!("all {required} blobs of the release are there"),
    );

    if contents {
        let bar = progress("unpacking", stored);
        let unpacked = bundle.read_blobs(&|_| true, &Drain, threads(), &|bytes| bar.inc(bytes));
        bar.finish_and_clear();
        unpacked?;
        recorder.found(
            "contents",
            "every blob of every pack was unpacked and has its digest",
        );
    }
    Ok(bundle)
}

/// Reads blobs to their ends, which verifies them, and keeps nothing.
struct Drain;

impl Sink for Drain {
    fn blob(&self, _: BlobRef, content: &mut dyn Read) -> io::Result<()> {
        io::copy(content, &mut io::sink()).map(|_| ())
    }
}

/// How many threads read at once.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get().min(8))
}

/// A bar on standard error that shows how far `total` bytes are, if that is a terminal.
pub(super) fn progress(what: &'static str, total: u64) -> ProgressBar {
    let template = "{msg} [{wide_bar}] {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style).with_message(what)
}

fn summary_text(subject: &Subject, not_checked: &[String]) -> Result<String> {
    let trusted = subject.trusted();
    let mut list = Vec::new();
    if let Subject::Bundle(bundle) = subject {
        let release = bundle.release();
        list.extend([
            ("product", release.product.to_string()),
            ("version", release.version.to_string()),
            ("counter", bundle.counter().to_string()),
            ("published", release.published.to_string()),
            ("release digest", bundle.release_digest().to_hex()),
            ("bundle", bytes(bundle.length())),
        ]);
    }
    for role in RoleFacts::all(trusted)? {
        list.push((
            role.role.name(),
            format!(
                "version {}, valid until {}, threshold {} of {} keys, signed by",
                role.version, role.expires, role.threshold, role.keys
            ),
        ));
        list.extend(role.signers.iter().map(|s| ("", s.keyid.clone())));
    }
    let mut text = format!("\n{}\nNot checked:\n", facts(&list));
    for line in not_checked {
        text.extend(["- ", line, "\n"]);
    }
    if trusted.root().statement.is_development() {
        text.extend(["\n", DEVELOPMENT, "\n"]);
    }
    text.push_str("\nauthentic\n");
    Ok(text)
}

fn summary_json(subject: &Subject) -> Result<Map<String, Value>> {
    let trusted = subject.trusted();
    let roles = RoleFacts::all(trusted)?;
    let mut facts = Map::new();
    facts.insert(
        "development".into(),
        trusted.root().statement.is_development().into(),
    );
    let roles = roles.iter().map(RoleFacts::to_json);
    facts.insert("roles".into(), roles.collect());
    if let Subject::Bundle(bundle) = subject {
        let release = bundle.release();
        facts.insert(
            "bundle".into(),
            json!({
                "counter": bundle.counter(),
                "length": bundle.length(),
                "product": release.product,
                "published": release.published,
                "release-digest": bundle.release_digest(),
                "version": release.version,
            }),
        );
    }
    Ok(facts)
}
