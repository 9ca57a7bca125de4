//! Whether a release still runs on the data of newer ones: only if every change of data that they made can be
//! taken back, or does not have to be (EAIP: migrations are reversible or forward-compatible).
//!
//! This rules the `rollback` that a person asks for. When a release fails its health checks, the site goes
//! back whatever is said here: leaving what failed running would help nobody.
//!
//! Nothing at a site runs migrations by itself; what a release says of them is what is judged.

use std::{collections::HashSet, fmt};

use sealift_verifier::{
    path::Name,
    release::{Migration, Release},
};
use serde::Serialize;

use crate::{
    error::{Code, Denial, Result},
    generation,
    site::Site,
    state::State,
};

/// A change of data that nothing takes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// The capability that it is of.
    pub capability: Name,
    /// Its name in the capability.
    pub migration: String,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            capability,
            migration,
        } = self;
        write!(f, "migration {migration} of {capability} has no way back")
    }
}

/// What stands between `newer` and going back from it to `target`. What `target` has itself stays as it is.
pub fn obstacles(newer: &Release, target: &Release) -> Vec<Obstacle> {
    let there: HashSet<(&Name, &str)> = migrations(target)
        .map(|(name, migration)| (name, migration.name.as_str()))
        .collect();
    migrations(newer)
        .filter(|(name, migration)| {
            !migration.has_way_back() && !there.contains(&(*name, migration.name.as_str()))
        })
        .map(|(name, migration)| Obstacle {
            capability: name.clone(),
            migration: migration.name.clone(),
        })
        .collect()
}

fn migrations(release: &Release) -> impl Iterator<Item = (&Name, &Migration)> {
    let capabilities = release.capabilities.iter();
    capabilities.flat_map(|c| c.migrations.iter().map(move |m| (&c.name, m)))
}

/// Everything that speaks against going back to the kept generation `target`, which runs `release`.
pub(crate) fn denials(site: &Site, target: u64, release: &Release) -> Result<Vec<Denial>> {
    let mut denials = Vec::new();
    let mut seen = Vec::new();
    // The oldest first: a migration is in every release since the one that it came with.
    for number in left_behind(site.state(), target).into_iter().rev() {
        let newer = generation::release(site, site.kept(number)?)?;
        for obstacle in obstacles(&newer, release) {
            if seen.contains(&obstacle) {
                continue;
            }
            denials.push(Denial {
                code: Code::NoWayBack,
                detail: format!("{obstacle}, it came with {}", newer.version),
            });
            seen.push(obstacle);
        }
    }
    Ok(denials)
}

/// The generations whose changes of data are not in `target`: those that ran since the way to the current one
/// parted from the way to `target`. The newest first.
fn left_behind(state: &State, target: u64) -> Vec<u64> {
    let way = |from: Option<u64>| {
        std::iter::successors(from, |number| {
            let before = state.generation(*number)?.before;
            // Numbers only grow; a state that says otherwise leads in no circle.
            before.filter(|before| before < number)
        })
    };
    let to_target: HashSet<u64> = way(Some(target)).collect();
    way(state.current)
        .take_while(|number| !to_target.contains(number))
        .collect()
}
