//! Going back to a kept generation.

use crate::{
    activate::{self, Step},
    error::{Code, Denial, Error, NotAdmitted, Result},
    generation,
    journal::Kind,
    site::{Context, Ready},
};

/// Activates the generation `to`, or the one that ran before the current one, with the same health checks
/// as an apply. If they fail, the current one is made active again.
pub fn rollback(site: &mut Ready<'_>, to: Option<u64>, ctx: &Context<'_>) -> Result<u64> {
    let target = to.or(site.state().previous()).ok_or_else(|| {
        let why = match site.state().current {
            Some(current) => format!("no generation from before {current} is kept"),
            None => "nothing runs here".into(),
        };
        Error::new(Code::NothingToGoBackTo, "rollback", why)
    })?;
    let generation = site.kept(target)?.clone();
    if site.state().current == Some(target) {
        return Ok(target);
    }
    let dir = site.generation_dir(target).map_err(|e| {
        Error::new(
            Code::GenerationDamaged,
            format!("generation {target}"),
            e.to_string(),
        )
    })?;
    let release = generation::load_release(&dir, &generation)?;
    if let Some(floor) = &site.state().security_floor
        && release.version.cmp_precedence(floor).is_lt()
    {
        let denial = Denial {
            code: Code::BelowSecurityFloor,
            detail: format!("{} is below the security floor {floor}", release.version),
        };
        let what = format!(
            "generation {target}, {} {}",
            release.product, release.version
        );
        return Err(Error::NotAdmitted(NotAdmitted {
            what,
            first: denial,
            others: Vec::new(),
        }));
    }
    check_there(site, target)?;
    let mut success = site.state().clone();
    success.current = Some(target);
    let step = Step {
        generation: target,
        kind: Kind::Rollback,
        release: &release,
        digest: generation.release,
        success,
        trust_anyway: site.state().trust.clone(),
    };
    activate::begin(site, target, Kind::Rollback)?;
    activate::activate(site, step, ctx)?;
    Ok(target)
}

/// A cheap look whether everything is where it should be; only `fsck` looks into it.
fn check_there(site: &Ready<'_>, number: u64) -> Result<()> {
    let damaged = |what: &str| {
        Error::new(
            Code::GenerationDamaged,
            format!("generation {number}"),
            format!("{what} is missing"),
        )
    };
    let dir = site.generation_dir(number)?;
    let contents = generation::load(&dir, &site.store()?, site.kept(number)?)?;
    let mut cursor = generation::Cursor::new(&dir);
    for (path, _) in contents.items()? {
        let (parent, name) = generation::split(&path);
        let there = cursor
            .enter(parent)
            .map_err(|_| damaged(&path))?
            .status(name.as_ref())?;
        there.ok_or_else(|| damaged(&path))?;
    }
    Ok(())
}
