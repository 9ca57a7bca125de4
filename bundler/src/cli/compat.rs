//! `compat`: may a site go from one release to another, and what does it meet there?

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use sealift_verifier::{
    bundle::{Bundle, Trust},
    facts::{Denial, Facts},
    limits,
    path::Name,
    release::Mode,
};
use serde_json::json;

use super::{Answer, Surroundings, diff::read_root, exit};
use crate::{
    collect::{self, Options},
    compat::{self, Answer as Way, Change, Claims, Side, least_type},
    error::{Code, Error, Result},
    plan::Plan,
};

/// Say whether a site may go from one release to another, what changes for it, and whether it can go back
///
/// Each side is a bundle or a release definition (a file whose name ends in .toml). Bundles are verified
/// before anything is read from them. Exits with 4 if the upgrade is not possible, or not at this site.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The release that runs
    #[arg(value_name = "OLD")]
    from: PathBuf,
    /// The release to upgrade to
    #[arg(value_name = "NEW")]
    to: PathBuf,
    /// A trusted root, or the folder that holds 1.root.json; needed where one side is a bundle. May be given several
    /// times, for bundles that are signed under different roots
    #[arg(long = "root", value_name = "PATH")]
    roots: Vec<PathBuf>,
    /// What the site is, as `sealift-installer facts` writes it
    #[arg(long, value_name = "FACTS.json")]
    site: Option<PathBuf>,
    /// The mode that definitions are resolved for
    #[arg(long)]
    mode: Option<Mode>,
}

pub(super) fn run(args: &Args, around: &Surroundings) -> Result<(Answer, u8)> {
    let facts = args.site.as_deref().map(read_facts).transpose()?;
    let options = Options {
        mode: args.mode,
        ..around.options()?
    };
    let old = side(&args.from, &args.roots, &options, around)?;
    let new = side(&args.to, &args.roots, &options, around)?;
    let report = Report {
        changes: compat::compare(&old, &new),
        upgrade: Way::upgrade(&old.release, &new.release),
        back: Way::back(&old.release, &new.release),
        site: facts.map(|facts| At::new(&facts, &old, &new)),
        old,
        new,
    };
    let code = if report.is_possible() {
        exit::DONE
    } else {
        exit::NOT_ADMITTED
    };
    Ok((report.answer(), code))
}

/// A bundle or a definition.
fn side(path: &Path, roots: &[PathBuf], options: &Options, around: &Surroundings) -> Result<Side> {
    if path.extension().is_some_and(|e| e == "toml") {
        return Side::of_plan(&collect::plan(path, options)?);
    }
    let mut refusal = None;
    for root in roots {
        let trust = Trust::from_root(read_root(root)?);
        match Bundle::open_path(path)?.verify(&trust, around.now, &mut |_| ()) {
            Ok(bundle) => return Side::of_bundle(&bundle),
            // What the first root says of it is what people asked for.
            Err(e) => refusal = refusal.or(Some(e)),
        }
    }
    Err(refusal.map_or_else(
        || {
            let detail = "is compared only after it was verified: add --root";
            Error::new(Code::Usage, path.display().to_string(), detail)
        },
        Error::from,
    ))
}

fn read_facts(path: &Path) -> Result<Facts> {
    let shown = path.display().to_string();
    let failed = |e| Error::io(&shown, e);
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(
        &mut std::io::Read::take(file, limits::FACTS_BYTES + 1),
        &mut bytes,
    )
    .map_err(failed)?;
    Facts::parse(&bytes).map_err(|e| Error::new(Code::FactsInvalid, shown, e.to_string()))
}

/// Holds a release to the rules, if one before it is known, and says in its manifest which type it is of.
///
/// `previous` are the bundles or definitions that were named; with none, the definition may name one.
pub(super) fn follow(
    plan: &mut Plan,
    definition: &Path,
    previous: &[PathBuf],
    roots: &[PathBuf],
    around: &Surroundings,
) -> Result<Vec<Change>> {
    let claims = Claims::read(definition);
    let mode = plan.release.mode;
    let options = Options {
        mode,
        ..around.options()?
    };
    let named = if previous.is_empty() {
        claims.previous.as_slice()
    } else {
        previous
    };
    let mut others = Vec::new();
    for path in named {
        let is_definition = path.extension().is_some_and(|e| e == "toml");
        if is_definition && !is_for(&Claims::read(path), mode) {
            continue;
        }
        let side = side(path, roots, &options, around)?;
        if side.release.mode == mode {
            return compat::follow(plan, &claims, &side);
        }
        others.push(format!(
            "{} is for {}",
            path.display(),
            shown(side.release.mode)
        ));
    }
    if others.is_empty() {
        return Ok(Vec::new());
    }
    let detail = format!(
        "none of the releases before is for {}: {}",
        shown(mode),
        others.join(", ")
    );
    Err(Error::new(
        Code::PreviousMismatch,
        definition.display().to_string(),
        detail,
    ))
}

/// Whether a definition is for a mode at all: the first release for a new mode has none before it.
fn is_for(claims: &Claims, mode: Option<Mode>) -> bool {
    claims.modes.is_empty() || mode.is_none_or(|mode| claims.modes.contains(&mode))
}

fn shown(mode: Option<Mode>) -> &'static str {
    mode.map_or("all modes", Mode::name)
}

/// What a site says to it.
struct At {
    /// The version that runs there, if it is not the old one of the comparison.
    other: Option<String>,
    denials: Vec<Denial>,
    /// Keys of facts that the release would be held against and that are not there.
    unchecked: Vec<&'static str>,
}

impl At {
    fn new(facts: &Facts, old: &Side, new: &Side) -> Self {
        let installed = facts.installed.as_ref();
        let runs_old = installed.is_some_and(|installed| {
            installed.version == old.release.version
                && old
                    .digest
                    .is_none_or(|digest| digest == installed.release_digest)
        });
        let running = runs_old.then_some(&old.release);
        let mut denials = facts.check(&new.release, running);
        denials.extend(facts.check_counter(new.counter));
        let other = match installed {
            Some(_) if runs_old => None,
            Some(installed) if installed.version == old.release.version => {
                Some(format!("another release {}", installed.version))
            }
            Some(installed) => Some(installed.version.to_string()),
            None => Some("nothing yet".into()),
        };
        Self {
            other,
            denials,
            unchecked: facts.missing(&new.release),
        }
    }
}

/// Everything there is to say.
struct Report {
    old: Side,
    new: Side,
    changes: Vec<Change>,
    upgrade: Way,
    back: Way,
    site: Option<At>,
}

impl Report {
    fn is_possible(&self) -> bool {
        let denied = self
            .site
            .as_ref()
            .is_some_and(|site| !site.denials.is_empty());
        self.upgrade.possible && !denied
    }

    fn answer(&self) -> Answer {
        let (old, new) = (&self.old.release, &self.new.release);
        let site = self.site.as_ref().map(|site| {
            json!({
                "possible": site.denials.is_empty(),
                "runs-other": site.other,
                "denials": site.denials,
                "unchecked": site.unchecked,
            })
        });
        Answer {
            text: self.text(),
            json: json!({
                "product": new.product,
                "from": old.version,
                "to": new.version,
                "compatible": self.is_possible(),
                "type": new.release_type,
                "least-type": least_type(&self.changes),
                "changes": self.changes,
                "upgrade": self.upgrade,
                "back": self.back,
                "site": site,
            }),
        }
    }

    fn text(&self) -> String {
        let (old, new) = (&self.old.release, &self.new.release);
        let mut text = format!("{} {} -> {}\n", new.product, old.version, new.version);
        // Each capability has a heading of its own; what concerns all comes first.
        let mut groups: BTreeMap<Option<&Name>, Vec<&Change>> = BTreeMap::new();
        for change in &self.changes {
            groups
                .entry(change.capability.as_ref())
                .or_default()
                .push(change);
        }
        for (capability, changes) in groups {
            let heading = capability.map_or("the release", Name::as_str);
            let _ = writeln!(text, "{heading}:");
            for change in changes {
                let _ = writeln!(text, "  {:<8}  {}", change.class.name(), change.message);
            }
        }
        let least = match least_type(&self.changes) {
            Some(least) => format!("at least a {least} release"),
            None => "nothing changes".to_owned(),
        };
        let _ = writeln!(text, "{least}");
        let mut way = |what: &str, way: &Way| {
            if way.possible {
                let _ = writeln!(text, "{what}: possible");
            }
            for reason in &way.reasons {
                let _ = writeln!(text, "{what}: not possible: {reason}");
            }
        };
        way("upgrade", &self.upgrade);
        way("going back afterwards", &self.back);
        if let Some(site) = &self.site {
            if let Some(other) = &site.other {
                let _ = writeln!(text, "this site: runs {other}, not {}", old.version);
            }
            if site.denials.is_empty() {
                let _ = writeln!(text, "this site: can take {}", new.version);
            }
            for denial in &site.denials {
                let (code, detail) = (denial.reason.name(), &denial.detail);
                let _ = writeln!(text, "this site: cannot take it [{code}]: {detail}");
            }
            if !site.unchecked.is_empty() {
                let keys = site.unchecked.join(", ");
                let _ = writeln!(text, "this site: not checked, its facts do not say: {keys}");
            }
        }
        text
    }
}
