//! `license`: what the vendor has granted.

use std::{fmt::Write as _, path::PathBuf};

use sealift_verifier::{
    error::printable,
    license::{self, License},
};
use serde_json::{Value, json};

use super::{Answer, Failed, Scene, open_bundle, plan as plan_cli, read_small, to_json};
use crate::{
    audit::{self, Action, Entry},
    licenses, plan, statements,
};

/// Show, add and take away licenses, and see what they cover
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Take a license; it replaces one with the same id, unless that is newer
    Add {
        /// The license, as the vendor sent it
        file: PathBuf,
    },
    /// Show the licenses, what they grant, and what ends when
    Show,
    /// Say whether the licenses cover the release of a bundle; fails too if another rule speaks against it
    Check {
        /// The bundle
        bundle: PathBuf,
    },
    /// Take a license away
    Remove {
        /// Its id
        id: String,
    },
}

pub(super) fn run(args: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    match &args.command {
        Command::Add { file } => {
            let (bytes, name) = read_small(file, statements::LIMIT)?;
            let mut site = scene.ready("license")?;
            let entry = Entry::new(Action::LicenseAdd).about(&name);
            let (license, before) = audit::checked(
                &mut site,
                entry,
                &scene.context,
                |site| licenses::check(site, &bytes, &name, &scene.context),
                licenses::Checked::say,
                |site, found| found.keep(site, &bytes),
            )?;
            let mut text = String::from("added: ");
            describe(&license, &mut text);
            if let Some(before) = &before {
                let _ = writeln!(text, "it replaces the one issued {}", before.issued);
            }
            let json = json!({ "license": license, "before": before });
            Ok(Answer { text, json })
        }
        Command::Show => show(scene),
        Command::Check { bundle } => check(bundle, scene),
        Command::Remove { id } => {
            let mut site = scene.ready("license")?;
            let entry = Entry::new(Action::LicenseRemove).about(id);
            let license = audit::recorded(&mut site, entry, &scene.context, |site| {
                licenses::remove(site, id)
            })?;
            Ok(Answer {
                text: format!("removed: license {}\n", printable(&license.id)),
                json: json!({ "removed": license }),
            })
        }
    }
}

fn show(scene: &Scene<'_>) -> Result<Answer, Failed> {
    let site = scene.site()?;
    let at = site.state().judged_by(scene.context.now)?;
    let mut text = String::new();
    let mut list = Vec::new();
    for held in licenses::held(&site, &site.root()?)? {
        match &held.license {
            Ok(license) => {
                describe(license, &mut text);
                let expiring = license::expiring(license, at);
                for told in &expiring {
                    let _ = writeln!(text, "  warning: {}", printable(told));
                }
                list.push(json!({ "license": license, "warnings": expiring }));
            }
            Err(error) => {
                let _ = writeln!(
                    text,
                    "license {} counts nothing: {}",
                    held.digest,
                    printable(&error.to_string())
                );
                list.push(json!({ "digest": held.digest, "error": error.to_string() }));
            }
        }
    }
    if list.is_empty() {
        text.push_str("there are no licenses here\n");
    }
    Ok(Answer {
        text,
        json: json!({ "licenses": list }),
    })
}

fn check(bundle: &std::path::Path, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let (file, name) = open_bundle(bundle)?;
    let plan = plan::plan(&scene.site()?, file, &name, &scene.context)?;
    let rules = plan
        .decision
        .rules
        .iter()
        .filter(|ruled| ruled.rule == "license");
    let mut text = String::new();
    for ruled in rules.clone() {
        let _ = writeln!(text, "{}: {}", ruled.result, printable(&ruled.detail));
    }
    let answer = Answer {
        text,
        json: json!({ "rules": rules.map(to_json).collect::<Vec<Value>>() }),
    };
    plan_cli::refused(&plan, answer)
}

fn describe(license: &License, text: &mut String) {
    let granted = &license.entitlements;
    let names = |names: &[sealift_verifier::path::Name]| {
        names
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let _ = writeln!(
        text,
        "license {}, for {}: {}",
        printable(&license.id),
        printable(&license.customer),
        license.product
    );
    let mut line = |what: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {what:<14}{}", printable(&value));
        }
    };
    line("issued", license.issued.to_string());
    let until = license
        .valid_until
        .map_or_else(|| "for good".into(), |until| format!("until {until}"));
    line("valid", format!("from {} {until}", license.valid_from));
    if license.grace_days > 0 {
        line("grace", format!("{} days", license.grace_days));
    }
    line(
        "updates until",
        license
            .updates_until
            .map(|t| t.to_string())
            .unwrap_or_default(),
    );
    if granted.all {
        line("grants", "every suite and capability".into());
    }
    line("suites", names(&granted.suites));
    line("capabilities", names(&granted.capabilities));
    let features = granted
        .features
        .iter()
        .map(|(name, value)| format!("{name} = {value}"));
    line("features", features.collect::<Vec<_>>().join(", "));
    line(
        "nodes",
        license
            .limits
            .nodes
            .map(|n| n.to_string())
            .unwrap_or_default(),
    );
    line(
        "deployments",
        license
            .limits
            .deployments
            .map(|n| n.to_string())
            .unwrap_or_default(),
    );
    let list = |list: Vec<String>| list.join(", ");
    line(
        "environments",
        list(
            license
                .environments
                .iter()
                .map(ToString::to_string)
                .collect(),
        ),
    );
    line(
        "modes",
        list(license.modes.iter().map(ToString::to_string).collect()),
    );
    line("sites", list(license.sites.clone()));
}
