//! `request`: asks people to approve a release.

use std::{fmt::Write as _, path::PathBuf};

use sealift_keys::{
    approval,
    cli::PassphraseArgs,
    signer::{self, KeyArgument},
};
use sealift_verifier::approval::{FORMAT, Override, Request, Subject};
use serde_json::json;

use super::{Answer, Failed, Scene, open_bundle, plan as plan_cli, write_new};
use crate::{
    approvals,
    audit::{self, Action, Entry},
    plan::{self, Plan, PlanDenial},
    statements::Kind,
};

/// Ask for the approvals that a release takes: writes a small file for those who approve, and keeps it
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The bundle
    bundle: PathBuf,
    /// Your key, a file or pkcs11:… (RFC 7512): one of an operator in the site's policy
    #[arg(long, value_name = "KEY")]
    key: KeyArgument,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// What has to be overridden for it: window, frozen or clock; may be given several times
    #[arg(long = "override", value_name = "RULE")]
    overrides: Vec<Override>,
    /// Why, for those who decide
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Where the request goes
    #[arg(short = 'o', long, value_name = "FILE")]
    out: PathBuf,
}

impl Args {
    pub(super) fn overrides(&self) -> Vec<Override> {
        self.overrides.clone()
    }
}

pub(super) fn run(args: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let (file, name) = open_bundle(&args.bundle)?;
    let mut site = scene.ready("request")?;
    let plan = plan::plan(&site, file, &name, &scene.context)?;
    let decision = &plan.decision;
    let mut overrides = args.overrides.clone();
    overrides.sort_unstable();
    overrides.dedup();
    let summary = plan_cli::text(&plan);
    let request = Request {
        format: FORMAT,
        subject: Subject {
            site: site.state().site.clone(),
            environment: decision.environment,
            product: plan.product.parse()?,
            version: plan.version.clone(),
            release: plan.release,
            plan: decision.plan_digest,
        },
        issued: scene.context.now,
        overrides,
        reason: args.reason.clone(),
        summary: summary.lines().map(ToOwned::to_owned).collect(),
    };
    let mut passphrases = args.passphrase.clone().passphrases();
    let signer = signer::open(&args.key, &mut passphrases).map_err(crate::Error::from)?;
    let envelope = approval::request(&request, signer.as_ref()).map_err(crate::Error::from)?;
    let bytes = envelope.to_bytes();
    let entry = Entry::new(Action::Request)
        .release(&plan.version, plan.release)
        .about(args.out.display().to_string())
        .decided(decision);
    let who = audit::checked(
        &mut site,
        entry,
        &scene.context,
        |site| approvals::check(site, Kind::Request, &bytes, "the request", &scene.context),
        approvals::Checked::say,
        |site, found| found.keep(site, &bytes),
    )?;
    write_new(&args.out, &bytes, scene.disk)?;
    let left = left(&plan, &request.overrides);
    let mut text = format!(
        "{who} requests {} {} in {}\nplan digest {}\nsend it to those who approve: sealift-installer approve {}, or sealift-keys approve\n",
        plan.product,
        plan.version,
        args.out.display(),
        decision.plan_digest,
        args.out.display()
    );
    for denial in &left {
        let _ = writeln!(
            text,
            "approvals alone do not help: {}: {}",
            denial.code, denial.message
        );
    }
    let json = json!({
        "request": envelope.digest(),
        "denials-left": left,
        "requested-by": who,
        "plan-digest": decision.plan_digest,
        "release": plan.release,
        "file": args.out,
    });
    Ok(Answer { text, json })
}

/// What would still speak against the release if everybody approved what is requested.
fn left<'a>(plan: &'a Plan, overrides: &[Override]) -> Vec<&'a PlanDenial> {
    let settled = |code: &str| match code {
        "approvals-missing" => true,
        "outside-window" => overrides.contains(&Override::Window),
        "channel-frozen" => overrides.contains(&Override::Frozen),
        "expired-by-clock" => overrides.contains(&Override::Clock),
        _ => false,
    };
    let denials = plan.denials.iter();
    denials.filter(|denial| !settled(denial.code)).collect()
}
