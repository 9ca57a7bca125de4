//! The inventory of a plan: which packages of others its content brings along, and whether the vendor accepts
//! their licenses.

use std::{fs::File, sync::OnceLock};

use sealift_verifier::{
    digest::Digest,
    path::{EntryPath, Name},
};

use super::packages::{self, FoundCache, LayerPackages, Packages};
use crate::{
    build::Progress,
    cache::{Cache, Watch},
    error::Result,
    plan::{Plan, Source},
    problem::{Place, Problem, Problems},
};

/// Finds the packages in the content of a plan. What `cache` knows is not read.
///
/// # Errors
/// All artifacts that cannot be looked through, and all licenses of packages and capabilities that the vendor does not accept.
fn inventory(
    plan: &Plan,
    cache: &dyn FoundCache,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Packages, Problems> {
    let place = |capability: &Name, artifact: &EntryPath| -> Place {
        let mut all = plan
            .capabilities
            .iter()
            .filter(|c| c.manifest.name == *capability);
        let artifacts = all
            .next()
            .map(|c| c.artifacts.as_slice())
            .unwrap_or_default();
        let found = artifacts.iter().find(|a| a.name == *artifact);
        found.map_or_else(
            || Place::of_file(plan.definition.as_ref()),
            |a| a.at.clone(),
        )
    };
    let (found, broken) = packages::find(&plan.capabilities, cache, threads, progress);
    let mut problems = plan.refused.clone();
    problems.extend(plan.licenses.check_packages(&found, place));
    let broken = broken
        .into_iter()
        .map(|b| Problem::new(&place(&b.capability, &b.artifact), b.code, b.message));
    problems.extend(broken);
    match Problems::of(problems) {
        Some(problems) => Err(problems),
        None => Ok(found),
    }
}

/// The inventories of all plans of a run, made one after the other while the first of them is packed already.
#[derive(Debug)]
pub struct Inventories(Vec<OnceLock<Result<Packages, Problems>>>);

impl Inventories {
    /// Those of so many plans. Whoever asks for one waits until [`Inventories::find`] has made it.
    pub fn of(plans: usize) -> Self {
        Self((0..plans).map(|_| OnceLock::new()).collect())
    }

    /// Finds the packages of each plan, and all that is wrong with them.
    pub fn find(
        &self,
        plans: &[Plan],
        cache: &dyn FoundCache,
        threads: usize,
        progress: &dyn Progress,
    ) {
        /// Leaves nobody waiting, whatever ends the thread that this is done in.
        struct Ended<'i>(&'i Inventories);
        impl Drop for Ended<'_> {
            fn drop(&mut self) {
                for one in &self.0.0 {
                    let _ = one.set(Err(Problems::unexplained("the release".as_ref())));
                }
            }
        }
        let _ended = Ended(self);
        for (one, plan) in self.0.iter().zip(plans) {
            let _ = one.set(inventory(plan, cache, threads, progress));
        }
    }

    /// All of them, found by now.
    ///
    /// # Errors
    /// What is wrong in any of the plans.
    pub fn all(&self) -> Result<Vec<&Packages>> {
        if let Some(first) = self.number(0) {
            first.accepted()?;
        }
        let all = self.0.iter();
        all.map(|one| Ok(one.wait().as_ref().map_err(Problems::clone)?))
            .collect()
    }

    /// That of the plan with this number, counted from 0.
    pub fn number(&self, number: usize) -> Option<Inventory<'_>> {
        let (own, rest) = self.0.get(number..)?.split_first()?;
        Some(Inventory {
            own,
            rest,
            all: &self.0,
        })
    }
}

/// The inventory of one plan of a run.
#[derive(Debug, Clone, Copy)]
pub struct Inventory<'i> {
    own: &'i OnceLock<Result<Packages, Problems>>,
    rest: &'i [OnceLock<Result<Packages, Problems>>],
    all: &'i [OnceLock<Result<Packages, Problems>>],
}

impl<'i> Inventory<'i> {
    /// Waits for the packages of this plan.
    pub fn packages(&self) -> Result<&'i Packages> {
        Ok(self.own.wait().as_ref().map_err(Problems::clone)?)
    }

    /// Whether this is not the last plan of the run.
    pub fn others_follow(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Waits until all plans of the run were looked through: of releases that belong together, none is to appear if
    /// one is refused.
    pub fn accepted(&self) -> Result<()> {
        let problems = self.all.iter().filter_map(|one| one.wait().as_ref().err());
        let problems = problems.flat_map(Problems::all).cloned().collect();
        match Problems::of(problems) {
            Some(problems) => Err(problems.into()),
            None => Ok(()),
        }
    }
}

impl FoundCache for Cache {
    fn load(&self, layer: Digest) -> Option<LayerPackages> {
        serde_json::from_slice(&self.get(&kind(), layer)?).ok()
    }

    fn store(&self, layer: Digest, found: &LayerPackages) {
        if let Ok(bytes) = serde_json::to_vec(found) {
            self.put(&kind(), layer, &bytes);
        }
    }

    fn has_none(&self, program: &Source, size: u64) -> bool {
        self.has_no_packages(program, size, packages::VERSION)
    }

    fn watch(&self, program: &Source, file: &File) -> Option<Watch> {
        Self::watch(self, program, Some(file))
    }

    fn store_none(&self, watch: Watch, file: &File) {
        self.learn_no_packages(watch, file, packages::VERSION);
    }
}

fn kind() -> String {
    format!("packages-{}", packages::VERSION)
}
