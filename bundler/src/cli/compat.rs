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
    time::Time,
};
use serde_json::json;

use super::{Answer, Surroundings, diff::read_root, exit};
use crate::{
    collect::{self, Options},
    compat::{self, Answer as Way, Change, Claims, Offered, Side, least_type},
    error::{Code, Error, Result},
    plan::Plan,
    problem::{Problem, Problems},
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
    let old = side(&args.from, &args.roots, &options, authentic_at_all()?)?;
    let new = side(&args.to, &args.roots, &options, around.now)?;
    let report = Report {
        changes: compat::compare(&old, &new),
        upgrade: Way::upgrade(&old, &new),
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

fn is_definition(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "toml")
}

/// The time that a release is verified at of which only matters who signed it: what it is compared with may have
/// expired long ago, and no clock decides about a build.
fn authentic_at_all() -> Result<Time> {
    Ok(Time::from_unix(0)?)
}

/// A bundle, as it is at a time, or a definition.
fn side(path: &Path, roots: &[PathBuf], options: &Options, at: Time) -> Result<Side> {
    if is_definition(path) {
        let modes = Claims::read(path).modes;
        return Side::of_plan(&collect::plan(path, options)?, &modes);
    }
    let mut refusal = None;
    for root in roots {
        let trust = Trust::from_root(read_root(root)?);
        match Bundle::open_path(path)?.verify(&trust, at, &mut |_| ()) {
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

/// A release and those before it.
pub(super) struct Followed {
    /// What the definition says.
    pub(super) claims: Claims,
    /// What it was held against; empty if nothing is known.
    pub(super) before: Vec<Side>,
    /// What changes.
    pub(super) changes: Vec<Change>,
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
) -> Result<Followed> {
    let claims = Claims::read(definition);
    let named = if previous.is_empty() {
        claims.previous.as_slice()
    } else {
        previous
    };
    if let Some(lost) = named.iter().find(|path| !path.exists())
        && previous.is_empty()
    {
        let message = format!("there is no {}", lost.display());
        let problem = Problem::new(&claims.at("previous"), Code::FileMissing, message);
        return Err(Problems::some(vec![problem], definition).into());
    }
    let mode = plan.release.mode;
    let mut sides = Vec::new();
    for path in named {
        for of in resolved_for(path, mode) {
            let options = Options {
                mode: of,
                ..around.options()?
            };
            sides.push((path, side(path, roots, &options, authentic_at_all()?)?));
        }
    }
    let offered = Offered {
        modes: (sides.iter())
            .flat_map(|(_, side)| side.offered.modes.iter().copied())
            .collect(),
        is_all: sides.iter().any(|(_, side)| side.offered.is_all),
    };
    // A definition that is not for the mode says so: this is the first release for it.
    let first = !sides.is_empty() && sides.iter().all(|(_, side)| side.offered.is_all);
    let suits = |side: &Side| {
        let was = side.release.mode;
        first || was == mode || was.is_none() || mode.is_none()
    };
    let others: Vec<String> = sides
        .iter()
        .map(|(path, side)| format!("{} is for {}", path.display(), shown(side.release.mode)))
        .collect();
    sides.retain(|(_, side)| suits(side));
    if sides.is_empty() && !others.is_empty() {
        let detail = format!(
            "none of the releases before is for {}: {}",
            shown(mode),
            others.join(", ")
        );
        return Err(Error::new(
            Code::PreviousMismatch,
            definition.display().to_string(),
            detail,
        ));
    }
    let before: Vec<Side> = sides
        .into_iter()
        .map(|(_, side)| Side {
            offered: offered.clone(),
            ..side
        })
        .collect();
    let changes = compat::follow(plan, &claims, &before)?;
    Ok(Followed {
        claims,
        before,
        changes,
    })
}

/// The modes that a release before is looked at in, for one in `mode`: in that one if it has it, in the first of its
/// own if not, and in all where the new release makes no difference between them.
fn resolved_for(path: &Path, mode: Option<Mode>) -> Vec<Option<Mode>> {
    let modes = if is_definition(path) {
        Claims::read(path).modes
    } else {
        Vec::new()
    };
    match mode {
        _ if modes.is_empty() => vec![mode],
        Some(mode) if modes.contains(&mode) => vec![Some(mode)],
        Some(_) => modes
            .first()
            .map(|first| vec![Some(*first)])
            .unwrap_or_default(),
        None => modes.into_iter().map(Some).collect(),
    }
}

fn shown(mode: Option<Mode>) -> &'static str {
    mode.map_or("all modes", Mode::name)
}

/// What a site says to it.
struct At {
    /// What runs there, if it is not the old release of the comparison.
    other: Option<String>,
    denials: Vec<Denial>,
    /// Keys of facts that the release would be held against and that are not there.
    unchecked: Vec<&'static str>,
    /// What only the site itself can say.
    left_to_site: Vec<LeftToSite>,
}

/// Rules that a site holds a release against, and that no facts tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
enum LeftToSite {
    /// Whether the site has a license that covers the release.
    License,
    /// Whether there is room for the release itself, beside that for its data.
    Space,
    /// Whether its release counter, which the site had already, stands there for this very release: a definition has no
    /// digest yet.
    Counter,
    /// What the site's own policy asks for: approvals, windows, signatures, other sites, rules in Rego.
    Policy,
}

impl LeftToSite {
    fn told(self) -> &'static str {
        match self {
            Self::License => "whether a license there covers it",
            Self::Space => "whether there is room for the release itself",
            Self::Counter => "whether its release counter stands for this very release there",
            Self::Policy => "what the policy of the site asks for",
        }
    }
}

impl At {
    fn new(facts: &Facts, old: &Side, new: &Side) -> Self {
        let installed = facts.installed.as_ref();
        let runs = |side: &Side| {
            installed.is_some_and(|installed| {
                installed.version == side.release.version
                    && side
                        .digest
                        .is_none_or(|digest| digest == installed.release_digest)
            })
        };
        let running = runs(old).then_some(&old.release);
        // Of a release that runs there already, a site asks nothing again.
        let is_there = new.digest.is_some() && runs(new) && facts.counter == Some(new.counter);
        let mut denials = Vec::new();
        let mut counter = None;
        if !is_there {
            denials = facts.check(&new.release, running);
            let denial = facts.check_counter(new.counter, &new.release.version, new.digest);
            let is_open = new.digest.is_none() && facts.counter == Some(new.counter);
            counter = (is_open && denial.is_none()).then_some(LeftToSite::Counter);
            denials.extend(denial);
        }
        let other = match installed {
            Some(_) if running.is_some() => None,
            Some(installed) if installed.version == old.release.version => {
                Some(format!("another release {}", installed.version))
            }
            Some(installed) => Some(installed.version.to_string()),
            None => Some("nothing yet".into()),
        };
        let licensed = new.release.is_licensed().then_some(LeftToSite::License);
        let always = [LeftToSite::Space, LeftToSite::Policy];
        Self {
            other,
            denials,
            unchecked: facts.missing(&new.release),
            left_to_site: licensed.into_iter().chain(counter).chain(always).collect(),
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
                "left-to-site": site.left_to_site,
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
        let other = if old.product == new.product {
            String::new()
        } else {
            format!("{} ", new.product)
        };
        let mut text = format!(
            "{} {} -> {other}{}\n",
            old.product, old.version, new.version
        );
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
            for rule in &site.left_to_site {
                let _ = writeln!(
                    text,
                    "this site: not checked, says `plan` there: {}",
                    rule.told()
                );
            }
        }
        text
    }
}
