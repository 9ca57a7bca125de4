//! `build`: from a release definition to one signed bundle.

use std::{
    fmt::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use indicatif::DecimalBytes;
use sealift_keys::{
    passphrase::{PassphraseSource, Passphrases},
    signer::{self, KeyArgument, Signer},
};
use sealift_verifier::{release::Mode, tuf::RoleName};
use serde_json::json;

use super::{
    Answer, Surroundings,
    cache::CacheArgs,
    compat::{Followed, follow},
    one_or_all,
    progress::Bars,
};
use crate::{
    build::{self, Built, Tools, threads},
    check,
    collect::{self, Options},
    compat,
    error::{Code, Error, Result},
    metadata::Roots,
    output::{beside, check_replaced},
    plan::Plan,
    sbom::Inventories,
};

/// What stands for the mode in the name of a bundle.
const MODE: &str = "{mode}";

/// Build a release definition into one signed bundle
///
/// The same definition, contents and keys give the same bytes on any machine. If the root asks for more
/// signatures than keys are given here, OUT is left without them, beside OUT.tosign for the other signers.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The release definition
    #[arg(value_name = "RELEASE.toml")]
    definition: PathBuf,
    /// A release key: a file (PKCS#8 PEM), or pkcs11:… for one in a token (RFC 7512); may be given several times
    #[arg(long = "key", value_name = "KEY", required = true)]
    keys: Vec<KeyArgument>,
    /// The folder with 1.root.json and all that followed it
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// The bundle to write; with several modes, a name with {mode} in it
    #[arg(short, long = "out", value_name = "OUT")]
    out: PathBuf,
    /// A mode to build for; may be given several times. Without, those of the definition
    #[arg(long = "mode", value_name = "MODE")]
    modes: Vec<Mode>,
    /// Refuse if there is no lock
    #[arg(long)]
    locked: bool,
    /// Read the passphrase or PIN of the keys from the first line of a file
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_fd")]
    passphrase_file: Option<PathBuf>,
    /// Read the passphrase or PIN of the keys from an open file descriptor
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<u32>,
    /// The release before this one, a bundle or a definition, that its type follows from; for each mode that is built
    /// one of them. Goes before `previous` of the definition
    #[arg(long, value_name = "BUNDLE")]
    previous: Vec<PathBuf>,
    /// Only say what would be built: read all definitions and contents, write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    cache: CacheArgs,
}

impl Args {
    fn follow(&self, plan: &mut Plan, around: &Surroundings) -> Result<Followed> {
        let roots = std::slice::from_ref(&self.root);
        follow(plan, &self.definition, &self.previous, roots, around)
    }

    /// The bundle for each plan.
    fn outs(&self, plans: &[Plan]) -> Result<Vec<PathBuf>> {
        let shown = self.out.display().to_string();
        if plans.len() > 1 && !shown.contains(MODE) {
            let detail = format!("is one name for {} modes: write {MODE} in it", plans.len());
            return Err(Error::new(Code::Usage, shown, detail));
        }
        if !shown.contains(MODE) {
            return Ok(vec![self.out.clone(); plans.len()]);
        }
        let out = |plan: &Plan| {
            let mode = plan.release.mode.ok_or_else(|| {
                let detail = format!("has {MODE} in it, but the release is for no mode");
                Error::new(Code::Usage, &shown, detail)
            })?;
            Ok(PathBuf::from(shown.replace(MODE, mode.name())))
        };
        plans.iter().map(out).collect()
    }

    /// Looks at where bundles and the cache would lie.
    fn check_places(&self, outs: &[PathBuf], plans: &[Plan], around: &Surroundings) -> Result<()> {
        for out in outs {
            check_replaced(out)?;
            check_outside(out, "the bundle", plans)?;
        }
        match self.cache.folder(around) {
            Some(cache) => check_outside(cache, "the cache", plans),
            None => Ok(()),
        }
    }
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<Answer> {
    let options = Options {
        locked: args.locked,
        ..around.options()?
    };
    let bars = Bars::new();
    if args.dry_run {
        return dry_run(args, &options, around, &bars);
    }
    // What earlier builds left is read while folders are listed. Nothing is made before it is known where it would lie.
    let is_there = args.cache.is_there(around);
    let (plans, cache) = std::thread::scope(|scope| {
        let cache = is_there.then(|| scope.spawn(|| args.cache.open(around)));
        let plans = collect::plans(&args.definition, &options, &args.modes);
        (plans, cache.map(std::thread::ScopedJoinHandle::join))
    });
    let mut plans = plans?;
    let outs = args.outs(&plans)?;
    args.check_places(&outs, &plans, around)?;
    let cache = cache.unwrap_or_else(|| Ok(args.cache.open(around)));
    let followed = plans.iter_mut().map(|plan| args.follow(plan, around));
    let followed = followed.collect::<Result<Vec<_>>>()?;
    let source = match (&args.passphrase_file, args.passphrase_fd) {
        (Some(file), _) => PassphraseSource::File(file.clone()),
        (None, Some(number)) => PassphraseSource::Descriptor(number),
        (None, None) => PassphraseSource::Prompt,
    };
    let roots = plans
        .first()
        .map(|plan| Roots::read(&args.root, plan.release.published));
    let roots = roots.transpose()?;
    let mut passphrases = Passphrases::new(source);
    let signers = args
        .keys
        .iter()
        .map(|key| signer::open(key, &mut passphrases));
    let signers = signers.collect::<Result<Vec<_>, _>>()?;
    let signers: Vec<&dyn Signer> = signers.iter().map(AsRef::as_ref).collect();
    let early = |_| {
        Err(Error::new(
            Code::Io,
            "the cache",
            "the reading thread ended early",
        ))
    };
    let (cache, unusable) = cache.unwrap_or_else(early)?;
    let inventories = Inventories::of(plans.len());
    let (mut text, releases) = std::thread::scope(|scope| {
        scope.spawn(|| inventories.find(&plans, &cache, threads(), &bars));
        let mut text = String::new();
        let mut releases = Vec::new();
        let numbers = (0..).map_while(|number| inventories.number(number));
        let plans = plans.iter().zip(&followed).zip(numbers).zip(&outs);
        for ((((plan, followed), inventory), out), roots) in plans.zip(roots.iter().cycle()) {
            let tools = Tools {
                cache: &cache,
                threads: threads(),
                progress: &bars,
                accepts: &|release| {
                    compat::hold_contents(&followed.claims, &followed.before, release)
                },
            };
            let built = build::build(plan, inventory, roots, &signers, out, tools)?;
            let answer = told(plan, out, &built, unusable.as_deref());
            text.push_str(&answer.text);
            releases.push(answer.json);
        }
        Ok::<_, Error>((text, releases))
    })?;
    for warning in args.keys.iter().filter_map(KeyArgument::warning) {
        let _ = writeln!(text, "warning: {warning}");
    }
    let json = one_or_all(releases);
    // All memory is given back at once when the program ends, and not name by name.
    std::mem::forget((plans, cache));
    Ok(Answer { text, json })
}

/// Refuses what a build writes if it lies in a folder that the release carries: the next build would carry it, too.
fn check_outside(path: &Path, what: &str, plans: &[Plan]) -> Result<()> {
    // What is not there yet will be where its folder is.
    let mut there = path
        .ancestors()
        .filter(|folder| !folder.as_os_str().is_empty());
    let there = there.find_map(|folder| folder.canonicalize().ok());
    let there = there.or_else(|| Path::new(".").canonicalize().ok());
    let identity = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
    // A folder may be mounted in several places.
    let above: Vec<_> = there
        .iter()
        .flat_map(|there| there.ancestors())
        .filter_map(identity)
        .collect();
    let mut carried = plans.iter().flat_map(Plan::folders);
    let inside = carried.any(|folder| identity(&folder).is_some_and(|id| above.contains(&id)));
    if inside {
        let detail = format!(
            "lies in a folder of the release, which would carry {what}: choose a place outside of it"
        );
        return Err(Error::new(Code::Usage, path.display().to_string(), detail));
    }
    Ok(())
}

/// Says what would be built.
fn dry_run(args: &Args, options: &Options, around: &Surroundings, bars: &Bars) -> Result<Answer> {
    let mut text = String::new();
    let mut releases = Vec::new();
    let mut plans = check::check(&args.definition, options, &args.modes)?;
    let outs = args.outs(&plans)?;
    args.check_places(&outs, &plans, around)?;
    for out in outs {
        drop(beside(&out)?);
    }
    let inventories = Inventories::of(plans.len());
    inventories.find(&plans, &(), threads(), bars);
    inventories.all()?;
    for plan in &mut plans {
        args.follow(plan, around)?;
        let roots = Roots::read(&args.root, plan.release.published)?;
        let needed = roots.newest().role(RoleName::Targets)?.threshold;
        let _ = writeln!(
            text,
            "would build {} {}{} with {} capabilities, release counter {}, for {needed} signatures; \
             nothing was written",
            plan.release.product,
            plan.release.version,
            for_mode(plan),
            plan.capabilities.len(),
            plan.counter
        );
        releases.push(json!({
            "dry-run": true,
            "product": plan.release.product,
            "version": plan.release.version,
            "mode": plan.release.mode,
            "counter": plan.counter,
            "capabilities": plan.capabilities.len(),
            "signatures-needed": needed,
        }));
    }
    let json = one_or_all(releases);
    Ok(Answer { text, json })
}

fn for_mode(plan: &Plan) -> String {
    let mode = plan.release.mode;
    mode.map_or(String::new(), |mode| format!(" for {mode}"))
}

/// What was built.
fn told(plan: &Plan, path: &Path, built: &Built, unusable: Option<&str>) -> Answer {
    let out = path.display();
    let size = DecimalBytes(built.bytes);
    let mut text = format!(
        "{out}: {} {}{}, release counter {}, {size}\nrelease digest {}\n",
        plan.release.product,
        plan.release.version,
        for_mode(plan),
        plan.counter,
        built.release
    );
    if built.cached > 0 {
        let (cached, unread) = (DecimalBytes(built.cached), DecimalBytes(built.unread));
        let _ = writeln!(
            text,
            "from the cache: {cached} of it; {unread} of content were not read"
        );
    }
    if let Some(reason) = unusable {
        let _ = writeln!(text, "without a cache: {reason}");
    }
    if let Some((count, request)) = &built.missing {
        let request = request.display();
        let _ = write!(
            text,
            "not sealed yet: {count} more signatures are needed\n\
             next: `sealift-keys sign {request} --key …` by the other signers, then `sealift-bundler seal {out} SIGNATURE…`\n"
        );
    }
    Answer {
        text,
        json: json!({
            "bundle": path,
            "product": plan.release.product,
            "version": plan.release.version,
            "mode": plan.release.mode,
            "counter": plan.counter,
            "release-digest": built.release,
            "bytes": built.bytes,
            "packs": built.packs,
            "blobs": built.blobs,
            "cached-bytes": built.cached,
            "unread-bytes": built.unread,
            "cache-unusable": unusable,
            "sealed": built.missing.is_none(),
            "signatures-missing": built.missing.as_ref().map_or(0, |(count, _)| *count),
            "tosign": built.missing.as_ref().map(|(_, request)| request),
        }),
    }
}
