//! Going back to a kept generation.

use sealift_verifier::release::Release;

use crate::{
    activate::{self, Step},
    audit::{Action, Entry, Outcome},
    error::{Code, Denial, Error, NotAdmitted, Result},
    generation,
    journal::Kind,
    pins, reserve,
    revoked::{Revocations, Revoked},
    site::{Context, Ready, Site},
    way_back,
};

/// Activates the generation `to`, or the one that ran before the current one, with the same health checks
/// as an apply. If they fail, the current one is made active again.
pub fn rollback(site: &mut Ready<'_>, to: Option<u64>, ctx: &Context<'_>) -> Result<u64> {
    let target = match to {
        Some(to) => to,
        None => nearest(site, ctx)?,
    };
    let generation = site.kept(target)?.clone();
    if site.state().current == Some(target) {
        return Ok(target);
    }
    let release = generation::release(site, &generation)?;
    let entry = Entry::new(Action::Rollback)
        .release(&generation.version, generation.release)
        .moves(site.state().current, target);
    if let Err(refusal) = admitted(site, target, &release) {
        return Err(site.refused(Action::Rollback, entry, refusal, ctx));
    }
    // A wish about what comes does not close the way back, but whoever goes it should know.
    for violation in pins::violated(&release, &site.state().pins) {
        ctx.progress.note(&violation);
    }
    check_there(site, target)?;
    reserve::give_up(site)?;
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
    let intent = site.intend_anyway(entry, ctx);
    let result = activate::begin(site, target, Kind::Rollback)
        .and_then(|()| activate::activate(site, step, ctx));
    let (outcome, reason) = Outcome::of(&result);
    site.conclude(intent, outcome, &reason, ctx);
    result.map(|()| target)
}

/// Where a rollback would lead, if nothing stands in the way.
pub fn check(site: &Site, to: Option<u64>, ctx: &Context<'_>) -> Result<u64> {
    let target = match to {
        Some(to) => to,
        None => nearest(site, ctx)?,
    };
    let release = generation::release(site, site.kept(target)?)?;
    admitted(site, target, &release)?;
    check_there(site, target)?;
    Ok(target)
}

/// Refuses a kept generation that something speaks against.
fn admitted(site: &Site, target: u64, release: &Release) -> Result<()> {
    let mut denials = denials(site, target)?.into_iter();
    denials.next().map_or(Ok(()), |first| {
        Err(Error::NotAdmitted(NotAdmitted {
            what: format!(
                "generation {target}, {} {}",
                release.product, release.version
            ),
            first,
            others: denials.collect(),
        }))
    })
}

/// Where a rollback leads unless somebody names a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The nearest generation before the current one whose release nobody has revoked.
    pub to: Option<u64>,
    /// The nearer ones whose release was revoked, and by whom: they are no choice.
    pub skipped: Vec<(u64, Revoked)>,
}

/// Looks for the way back. This is for people: when a release fails its health checks, the site goes back to what ran
/// before, whatever is said here; leaving what failed running would help nobody.
pub fn way(site: &Site) -> Result<Way> {
    let revocations = Revocations::of_site(site)?;
    let mut way = Way {
        to: None,
        skipped: Vec::new(),
    };
    let mut next = site.state().previous();
    while let Some(generation) = next.and_then(|number| site.state().generation(number)) {
        let mut revoked = revocations.of(generation.release).into_iter();
        let Some(first) = revoked.next() else {
            way.to = Some(generation.number);
            break;
        };
        way.skipped.push((generation.number, first));
        // Numbers only grow; a state that says otherwise leads in no circle.
        next = generation
            .before
            .filter(|before| *before < generation.number);
    }
    Ok(way)
}

fn nearest(site: &Site, ctx: &Context<'_>) -> Result<u64> {
    let way = way(site)?;
    for (number, revoked) in &way.skipped {
        ctx.progress
            .note(&format!("generation {number} is skipped: {revoked}"));
    }
    way.to.ok_or_else(|| {
        let why = match site.state().current {
            Some(_) if !way.skipped.is_empty() => {
                "every generation that is kept was revoked".into()
            }
            Some(current) => format!("no generation from before {current} is kept"),
            None => "nothing runs here".into(),
        };
        Error::new(Code::NothingToGoBackTo, "rollback", why)
    })
}

/// Everything that speaks against going back to the kept generation `target`.
pub fn denials(site: &Site, target: u64) -> Result<Vec<Denial>> {
    let kept = site.kept(target)?;
    let release = generation::release(site, kept)?;
    let revoked = Revocations::of_site(site)?.of(kept.release);
    let mut denials: Vec<Denial> = revoked.into_iter().map(Into::into).collect();
    if let Some(floor) = &site.state().security_floor
        && release.version.cmp_precedence(floor).is_lt()
    {
        denials.push(Denial {
            code: Code::BelowSecurityFloor,
            detail: format!("{} is below the security floor {floor}", release.version),
        });
    }
    denials.extend(way_back::denials(site, target, &release)?);
    Ok(denials)
}

/// A cheap look whether everything is where it should be; only `fsck` looks into it.
pub(crate) fn check_there(site: &Site, number: u64) -> Result<()> {
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
