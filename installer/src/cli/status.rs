//! `status`: what the site is and what it runs.

use std::{collections::BTreeMap, fmt::Write as _};

use sealift_keys::key_file::PublicKey;
use sealift_verifier::{digest::hex, error::printable, release::Release};
use serde_json::{Value, json};

use super::{Answer, Failed, Scene, pin, to_json};
use crate::{
    audit::show::{self, Summary},
    error::{Denial, Result},
    generation, licenses, policy,
    revoked::{Revocations, Revoked},
    rollback::{self, Way},
    site_key,
    state::{ClockPolicy, Generation, State},
    twice::Damage,
};

/// What is said wherever a root for development is trusted.
pub(super) const DEVELOPMENT: &str =
    "warning: this root has throw-away development keys; never use it in production\n";

/// Show what the site runs, keeps and trusts
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let site = scene.site()?;
    // Status is for bad days too: a damaged generation says nothing here, and `fsck` tells.
    let way = rollback::way(&site).unwrap_or_else(|_| Way {
        to: site.state().previous(),
        skipped: Vec::new(),
    });
    let closed = way
        .to
        .and_then(|number| rollback::denials(&site, number).ok());
    let revocations = Revocations::of_site(&site).ok();
    let revoked = |generation: &Generation| {
        let revoked = revocations.as_ref()?.of(generation.release);
        (!revoked.is_empty()).then_some((generation.number, revoked))
    };
    let known = Known {
        revoked: site
            .state()
            .generations
            .iter()
            .filter_map(revoked)
            .collect(),
        warning: policy::outdated(&site).unwrap_or_else(|e| Some(e.to_string())),
        expiring: licenses::expiring(&site, &scene.context).unwrap_or_default(),
        damage: site.damage(),
        way,
        folder: site.dir().path().display().to_string(),
        interrupted: site.interrupted()?.map(|phase| phase.describe()),
        release: generation::running(&site).ok().flatten(),
        closed: closed.unwrap_or_default(),
        key: site_key::public(site.dir(), site.state().site_key.as_deref())
            .ok()
            .flatten(),
        audit: show::summary(&site),
        state: site.state(),
    };
    Ok(Answer {
        text: text(&known),
        json: json(&known),
    })
}

/// What there is to show.
struct Known<'a> {
    state: &'a State,
    folder: String,
    interrupted: Option<String>,
    /// The site's own key.
    key: Option<PublicKey>,
    /// The end of the audit log.
    audit: Result<Option<Summary>>,
    /// What runs.
    release: Option<Release>,
    /// Where a rollback leads.
    way: Way,
    /// What speaks against a rollback.
    closed: Vec<Denial>,
    /// Kept generations whose release was taken back.
    revoked: BTreeMap<u64, Vec<Revoked>>,
    /// What is wrong with the policy.
    warning: Option<String>,
    /// What of the licenses ends soon, or has ended.
    expiring: Vec<String>,
    damage: &'a [Damage],
}

fn text(known: &Known<'_>) -> String {
    let state = known.state;
    let trust = &state.trust;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<16}{value}");
    };
    line("site", state.site.clone());
    line("folder", known.folder.clone());
    match (state.running(), &state.product) {
        (Some(running), Some(product)) => {
            line(
                "running",
                format!(
                    "{product} {}, generation {}",
                    running.version, running.number
                ),
            );
            line("release digest", running.release.to_string());
            for revoked in known.revoked.get(&running.number).into_iter().flatten() {
                line("revoked", printable(&revoked.to_string()));
            }
            if let Some(severity) = known.release.as_ref().and_then(|r| r.severity) {
                line("severity", severity.to_string());
            }
        }
        _ => line("running", "nothing".into()),
    }
    for (number, revoked) in &known.way.skipped {
        let revoked = printable(&revoked.to_string());
        line("no rollback to", format!("generation {number}: {revoked}"));
    }
    if let Some(previous) = known.way.to {
        line("rollback to", format!("generation {previous}"));
        for denial in &known.closed {
            line("", format!("refused: {}", printable(&denial.detail)));
        }
    }
    for generation in &state.generations {
        line("kept", kept(known, generation));
    }
    if let Some(floor) = &state.security_floor {
        line("security floor", floor.to_string());
    }
    if let Some(mode) = state.mode {
        line("mode", mode.to_string());
    }
    for pin in &state.pins {
        line("pinned", pin::line(pin));
    }
    line(
        "trusted root",
        format!("version {}, fingerprint {}", trust.root, trust.root_digest),
    );
    if let Some(customer) = &trust.customer {
        line(
            "customer's root",
            format!(
                "version {}, fingerprint {}",
                customer.version, customer.digest
            ),
        );
    }
    if let Some(newest) = &trust.newest {
        line("release counter", newest.counter.to_string());
    }
    if let Some(time) = trust.time {
        line("not before", format!("{time}, by signed data"));
    }
    line("clock", clock(state.clock).into());
    if let Some(hook) = &state.activate_hook {
        line("activate hook", hook.clone());
    }
    for (name, value) in watched(known) {
        line(name, value);
    }
    if trust.development {
        text.push_str(DEVELOPMENT);
    }
    text
}

/// What somebody should keep an eye on.
fn watched(known: &Known<'_>) -> Vec<(&'static str, String)> {
    let state = known.state;
    let mut lines = Vec::new();
    if let Some(policy) = &state.policy {
        let signed = if policy.signed { ", signed" } else { "" };
        lines.push((
            "policy",
            format!(
                "version {}{signed}, digest {}",
                policy.version, policy.digest
            ),
        ));
    }
    if let Some((key, id)) = known
        .key
        .and_then(|key| Some((key, site_key::id(key).ok()?)))
    {
        lines.push(("site key", id));
        lines.push(("public key", hex(&key.to_bytes())));
    }
    match &known.audit {
        Ok(None) => {}
        Ok(Some(end)) => lines.push((
            "audit log",
            format!(
                "{} entries, the last with the digest {}",
                end.sequence, end.digest
            ),
        )),
        Err(e) => lines.push(("audit log", printable(&e.to_string()))),
    }
    let told = known.warning.iter().chain(&known.expiring);
    lines.extend(told.map(|warning| ("warning", printable(warning))));
    let damage = known.damage.iter();
    lines.extend(damage.map(|damage| ("damaged", printable(&damage.to_string()))));
    let interrupted = known.interrupted.as_ref();
    lines.extend(interrupted.map(|what| {
        let text = format!("{what}; the next command recovers, or run `recover`");
        ("interrupted", text)
    }));
    lines
}

fn kept(known: &Known<'_>, generation: &Generation) -> String {
    let mut text = format!(
        "generation {}, {}, committed {}",
        generation.number, generation.version, generation.committed
    );
    if known.state.current == Some(generation.number) {
        text.push_str(", current");
    }
    if known.revoked.contains_key(&generation.number) {
        text.push_str(", revoked");
    }
    text
}

fn clock(policy: ClockPolicy) -> &'static str {
    match policy {
        ClockPolicy::Enforce => "enforced",
        ClockPolicy::Approve => "needs approval",
        ClockPolicy::Ignore => "ignored",
    }
}

fn json(known: &Known<'_>) -> Value {
    let state = known.state;
    let trust = &state.trust;
    let generation = |generation: &Generation| {
        let mut json = to_json(generation);
        if let Some(revoked) = known.revoked.get(&generation.number) {
            json["revoked"] = to_json(revoked);
        }
        json
    };
    json!({
        "site": state.site,
        "state-folder": known.folder,
        "product": state.product,
        "current": state.running().map(generation),
        "release": known.release.as_ref().map(|release| json!({
            "type": release.release_type,
            "mode": release.mode,
            "severity": release.severity,
            "fixes": release.fixes,
            "changes": release.changes,
        })),
        "previous": known.way.to,
        "skipped": known.way.skipped.iter().map(|(number, revoked)| json!({
            "generation": number,
            "by": revoked.by,
            "reason": revoked.reason,
        })).collect::<Vec<_>>(),
        "previous-denials": known.closed.iter().map(|denial| json!({
            "code": denial.code.name(),
            "message": denial.detail,
        })).collect::<Vec<_>>(),
        "generations": state.generations.iter().map(generation).collect::<Vec<_>>(),
        "security-floor": state.security_floor,
        "mode": state.mode,
        "pins": state.pins,
        "root": { "version": trust.root, "fingerprint": trust.root_digest },
        "customer-root": trust.customer.as_ref().map(super::trust::root_json),
        "policy-warning": known.warning,
        "damage": known.damage,
        "counter": trust.newest.as_ref().map(|newest| newest.counter),
        "time": trust.time,
        "clock": state.clock,
        "activate-hook": state.activate_hook,
        "site-key": known.key.map(|key| json!({
            "id": site_key::id(key).ok(),
            "public-key": key.to_pem().ok(),
            "public-key-hex": hex(&key.to_bytes()),
        })),
        "audit": match &known.audit {
            Ok(end) => to_json(end),
            Err(e) => json!({ "problem": e.to_string() }),
        },
        "development": trust.development,
        "policy": state.policy,
        "license-warnings": known.expiring,
        "interrupted": known.interrupted,
    })
}
