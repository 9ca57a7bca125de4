//! `license issue`.

use std::{collections::BTreeMap, path::PathBuf};

use sealift_verifier::{
    license::{Entitlements, Environment, Feature, Limits},
    path::Name,
    release::Mode,
    time::Time,
};

use super::Report;
use crate::{
    cli::statements::{self, SignerArgs},
    disk, dsse,
    error::Result,
    license::{TERMS_BYTES, Terms},
    moment::Moment,
    root::role::KeyRole,
};

/// Issue a license
///
/// What it says comes from a TOML file (--from), from the other options, or from both: options go before the file.
/// Times are such as 2027-01-01T00:00:00Z, 2027-01-01 (the start of that day in UTC), or spans: 1y, 6mo, 2w, 90d.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The vendor's root, or the folder of its roots: its keys for licenses have to sign
    #[arg(long, value_name = "ROOT")]
    root: PathBuf,
    #[command(flatten)]
    signers: SignerArgs,
    /// Read what the license says from this file
    #[arg(long, value_name = "FILE.toml")]
    from: Option<PathBuf>,
    /// Your name for the license; a later one with the same id replaces it at sites
    #[arg(long)]
    id: Option<String>,
    /// Whom it is for
    #[arg(long, value_name = "NAME")]
    customer: Option<String>,
    /// The product
    #[arg(long, value_name = "NAME")]
    product: Option<Name>,
    /// Grant everything of the product, also what is yet to come
    #[arg(long)]
    all: bool,
    /// Grant a suite with all capabilities in it; may be given several times
    #[arg(long = "suite", value_name = "NAME")]
    suites: Vec<Name>,
    /// Grant a capability; may be given several times
    #[arg(long = "capability", value_name = "SUITE/NAME")]
    capabilities: Vec<Name>,
    /// Grant a feature: true, false, a whole number, or a text; may be given several times
    #[arg(long = "feature", value_name = "NAME=VALUE", value_parser = feature)]
    features: Vec<(String, Feature)>,
    /// Machines of one deployment
    #[arg(long, value_name = "N")]
    nodes: Option<u64>,
    /// Deployments at one site
    #[arg(long, value_name = "N")]
    deployments: Option<u64>,
    /// Only for this environment: dev, qa, staging or prod; may be given several times
    #[arg(long = "environment", value_name = "ENVIRONMENT")]
    environments: Vec<Environment>,
    /// Only for this mode: saas, dedicated, on-prem or edge; may be given several times
    #[arg(long = "mode", value_name = "MODE")]
    modes: Vec<Mode>,
    /// Only for the site with this id; may be given several times
    #[arg(long = "site", value_name = "ID")]
    sites: Vec<String>,
    /// From when on it counts [default: now]
    #[arg(long, value_name = "TIME|SPAN")]
    valid_from: Option<Moment>,
    /// Until when it counts; spans begin where it does [default: for good]
    #[arg(long, value_name = "TIME|SPAN")]
    valid_until: Option<Moment>,
    /// Releases published from then on are not covered; spans begin where it does [default: all are covered]
    #[arg(long, value_name = "TIME|SPAN")]
    updates_until: Option<Moment>,
    /// Days after its end in which it still counts, with a warning [default: 0]
    #[arg(long, value_name = "DAYS")]
    grace_days: Option<u32>,
    /// Where the license goes; a file that is there already is never touched
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: PathBuf,
}

fn feature(text: &str) -> Result<(String, Feature), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("is not of the form NAME=VALUE")?;
    let Ok(value) = value.parse();
    Ok((name.to_owned(), value))
}

impl Args {
    pub(super) fn run(self: Box<Self>, now: Time) -> Result<Report> {
        let (root, mut notes) = statements::read_root(&self.root, now)?;
        dsse::listed(&root, KeyRole::License)?;
        let file = match &self.from {
            Some(path) => {
                let bytes = disk::read(path, TERMS_BYTES)?;
                Terms::parse(&bytes, &path.display().to_string())?
            }
            None => Terms::default(),
        };
        let line = Terms {
            id: self.id,
            customer: self.customer,
            product: self.product,
            valid_from: self.valid_from,
            valid_until: self.valid_until,
            updates_until: self.updates_until,
            grace_days: self.grace_days,
            entitlements: Entitlements {
                all: self.all,
                suites: self.suites,
                capabilities: self.capabilities,
                features: BTreeMap::from_iter(self.features),
            },
            limits: Limits {
                nodes: self.nodes,
                deployments: self.deployments,
            },
            environments: self.environments,
            modes: self.modes,
            sites: self.sites,
        };
        let license = file.replaced_by(line).license(now)?;
        let signers = self.signers.open()?;
        signers.check_listed(&root, KeyRole::License)?;
        notes.extend(signers.notes.iter().cloned());
        let envelope = dsse::seal(&license, &signers.all(), "license")?;
        disk::publish(&self.out, &envelope.to_bytes())?;
        super::report(&envelope, &root, &self.out, now, notes)
    }
}
