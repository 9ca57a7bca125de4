//! The inventory of a plan: which packages of others its content brings along, and whether the vendor accepts
//! their licenses.

use sealift_verifier::{
    digest::Digest,
    path::{EntryPath, Name},
};

use super::packages::{self, LayerCache, LayerPackages};
use crate::{
    build::Progress,
    cache::Cache,
    license::PackageReport,
    plan::Plan,
    problem::{Place, Problem, Problems},
};

/// Finds the packages in the content of a plan and notes them in it. Layers that `cache` knows are not read.
///
/// # Errors
/// All artifacts that cannot be looked through, and all packages whose license the vendor does not accept.
pub fn inventory(
    plan: &mut Plan,
    cache: &dyn LayerCache,
    threads: usize,
    progress: &dyn Progress,
) -> Result<PackageReport, Problems> {
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
    let found = packages::find(&plan.capabilities, cache, threads, progress).map_err(|broken| {
        let problem = |b: packages::Broken| {
            Problem::new(&place(&b.capability, &b.artifact), b.code, b.message)
        };
        broken.into_iter().map(problem).collect::<Vec<_>>()
    });
    let report = match &found {
        Ok(found) => plan.licenses.check_packages(found, place),
        Err(problems) => PackageReport {
            problems: problems.clone(),
            ..PackageReport::default()
        },
    };
    if let Some(problems) = Problems::of(report.problems.clone()) {
        return Err(problems);
    }
    plan.packages = found.ok();
    Ok(report)
}

impl LayerCache for Cache {
    fn load(&self, layer: Digest) -> Option<LayerPackages> {
        serde_json::from_slice(&self.get(&kind(), layer)?).ok()
    }

    fn store(&self, layer: Digest, found: &LayerPackages) {
        if let Ok(bytes) = serde_json::to_vec(found) {
            self.put(&kind(), layer, &bytes);
        }
    }
}

fn kind() -> String {
    format!("packages-{}", packages::VERSION)
}
