//! `trust`: whom the site trusts, and what changes that without a release.

use std::{fmt::Write as _, path::PathBuf};

use sealift_verifier::{
    digest::Digest,
    error::printable,
    limits,
    tuf::{Role, Root},
};
use serde_json::{Value, json};

use super::{Answer, Failed, Scene, read_small, status, to_json};
use crate::{
    audit::{self, Action, Entry, Outcome},
    error::Result,
    state::CustomerRoot,
    trust::{self, Stick, Updated},
};

/// Show and change whom the site trusts
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show the trusted roots, their keys, what they revoke, and what bundles may not fall behind
    Show,
    /// Pin the customer's own root, whose keys sign the site's policy and count beside the vendor's
    Customer {
        /// The customer's root file, such as 1.root.json
        file: PathBuf,
        /// The SHA-256 of it, as the customer's custodians told it
        #[arg(long, value_name = "HEX")]
        fingerprint: Digest,
    },
    /// Take newer roots, revocations and release counters from a medium, without installing anything
    Update {
        /// A folder or a tar with metadata/ or customer/ in it, a folder of roots, or a bundle
        path: PathBuf,
    },
}

pub(super) fn run(args: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    match &args.command {
        Command::Show => show(scene),
        Command::Customer { file, fingerprint } => {
            let (bytes, name) = read_small(file, limits::METADATA_BYTES)?;
            let mut site = scene.ready("trust")?;
            let entry = Entry::new(Action::TrustUpdate).about(name);
            let (root, warnings) = audit::recorded(&mut site, entry, &scene.context, |site| {
                trust::pin_customer(site, &bytes, *fingerprint, &scene.context)
            })?;
            let mut text = format!(
                "the customer's root is trusted: version {}, fingerprint {}\n",
                root.version, root.digest
            );
            warn(&mut text, &warnings);
            let json = json!({ "customer-root": root_json(&root), "warnings": warnings });
            Ok(Answer { text, json })
        }
        Command::Update { path } => {
            let stick = Stick::read(path)?;
            let mut site = scene.ready("trust")?;
            let entry = Entry::new(Action::TrustUpdate).about(path.display().to_string());
            let ctx = &scene.context;
            let intent = site.intend(entry, ctx)?;
            let result = trust::update(&mut site, &stick, ctx);
            let (outcome, reason) = Outcome::of(&result);
            let reason = result.as_ref().map_or(reason, Updated::describe);
            site.conclude(intent, outcome, &reason, ctx);
            let updated = result?;
            let mut text = if updated.changed {
                format!("taken: {}\n", updated.describe())
            } else {
                "nothing new: nothing was changed\n".into()
            };
            warn(&mut text, &updated.warnings);
            Ok(Answer {
                text,
                json: to_json(&updated),
            })
        }
    }
}

fn warn(text: &mut String, warnings: &[String]) {
    for warning in warnings {
        let _ = writeln!(text, "warning: {}", printable(warning));
    }
}

/// The customer's root as machines read it.
pub(super) fn root_json(root: &CustomerRoot) -> Value {
    json!({ "version": root.version, "fingerprint": root.digest })
}

fn show(scene: &Scene<'_>) -> Result<Answer, Failed> {
    let site = scene.site()?;
    let trust = &site.state().trust;
    let mut text = String::new();
    let vendor = describe("vendor's root", &site.root()?, trust.root_digest, &mut text);
    let customer = match (&trust.customer, site.customer_root()?) {
        (Some(state), Some(root)) => {
            Some(describe("customer's root", &root, state.digest, &mut text))
        }
        _ => None,
    };
    let counter = trust.newest.as_ref();
    if let Some(newest) = counter {
        let _ = writeln!(text, "release counter  {}", newest.counter);
        let _ = writeln!(text, "  release        {}", newest.release);
    }
    if let Some(time) = trust.time {
        let _ = writeln!(text, "not before       {time}, by signed data");
    }
    if trust.development {
        text.push_str(status::DEVELOPMENT);
    }
    let json = json!({
        "root": vendor,
        "first-root": trust.first_root,
        "customer-root": customer,
        "newest": counter.map(|newest| json!({
            "counter": newest.counter,
            "release": newest.release,
        })),
        "time": trust.time,
        "development": trust.development,
    });
    Ok(Answer { text, json })
}

/// A root for people, added to `text`, and for machines.
fn describe(what: &str, root: &Root, fingerprint: Digest, text: &mut String) -> Value {
    let _ = writeln!(
        text,
        "{what:<17}version {}, valid until {}",
        root.version, root.expires
    );
    let _ = writeln!(text, "  fingerprint    {fingerprint}");
    let more = root.sealift.iter().flat_map(|sealift| {
        let license = sealift.license.as_ref().map(|role| ("license", role));
        let policy = sealift.policy.as_ref().map(|role| ("policy", role));
        license.into_iter().chain(policy)
    });
    let roles = root.roles.iter().map(|(name, role)| (name.as_str(), role));
    let roles: Vec<(&str, &Role)> = roles.chain(more).collect();
    for (name, role) in &roles {
        let _ = writeln!(
            text,
            "  {name:<15}{} of {} keys: {}",
            role.threshold,
            role.keyids.len(),
            printable(&role.keyids.join(", "))
        );
    }
    let revoked = root.sealift.iter().flat_map(|sealift| &sealift.revoked);
    for revoked in revoked.clone() {
        let _ = writeln!(
            text,
            "  revoked        {}: {}",
            revoked.release,
            printable(&revoked.reason)
        );
    }
    let roles: serde_json::Map<String, Value> = roles
        .into_iter()
        .map(|(name, role)| (name.to_owned(), to_json(role)))
        .collect();
    json!({
        "version": root.version,
        "fingerprint": fingerprint,
        "expires": root.expires,
        "roles": roles,
        "revoked": revoked.collect::<Vec<_>>(),
    })
}
