//! What rules in Rego are told: one JSON document, described in `docs/policy-input.md` and by
//! `docs/schemas/policy-input.schema.json`. Keys are added, never renamed or removed. What is not known is left out.

#![expect(
    clippy::struct_field_names,
    reason = "the names are those of the document"
)]

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use sealift_verifier::{
    approval,
    digest::Digest,
    release::{self, Content, Kind},
    time::Time,
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    admission::{Case, Ruled},
    admit::{self, Space},
    error::{Error, Result},
    generation, plan,
    policy::values::Zone,
    way_back,
};

/// The version of this document.
pub const FORMAT: u32 = 1;

/// What rules in Rego are told.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(title = "Input of rules in Rego")]
pub struct Input {
    /// Always 1.
    format: u32,
    /// The site and its deployment.
    site: Site,
    /// The release that is asked about.
    release: Release,
    /// What an apply would change.
    plan: Plan,
    /// What the rules with types say, in the order in which they are asked.
    rules: Vec<Rule>,
    /// Who wants it.
    approvals: Approvals,
    /// The ids of the licenses at the site.
    licenses: Vec<String>,
    /// When it is asked.
    time: Now,
}

/// The site and its deployment.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Site {
    /// Its id.
    id: String,
    /// `dev`, `qa`, `staging` or `prod`.
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    /// `saas`, `dedicated`, `on-prem` or `edge`.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    /// `auto`, `manual` or `frozen`.
    channel: String,
    /// How many machines the deployment has.
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<u64>,
}

/// A release.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Release {
    /// The product.
    product: String,
    /// `SemVer` 2.0.
    version: String,
    /// The release digest.
    digest: String,
    /// The release counter.
    counter: u64,
    /// When the vendor published it, in UTC.
    published: String,
    /// `patch`, `minor` or `major`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    release_type: Option<String>,
    /// `low`, `medium`, `high` or `critical`: the worst that it corrects.
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<String>,
    /// Advisories that it corrects.
    fixes: Vec<String>,
    /// The mode that it was resolved for.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    /// Whether it was signed under a root for development.
    development: bool,
    /// The ids of the vendor's release keys that have signed it.
    signers: Vec<String>,
    /// The digest over all that configures it.
    configuration: String,
    /// Its capabilities.
    capabilities: Vec<Capability>,
}

/// A capability.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Capability {
    /// `suite/name`.
    name: String,
    /// `SemVer` 2.0.
    version: String,
    /// `service`, `app`, `model`, `policy` or `config`.
    kind: String,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    vendor: Option<String>,
    /// An SPDX license expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    license: Option<String>,
    /// What a license has to grant.
    entitlements: Vec<String>,
    /// What it needs of the machine: `cpu`, `memory`, `disk`, `gpu`, `gpu-memory`; bytes where they are sizes.
    hardware: BTreeMap<String, u64>,
    /// Advisories that this version corrects.
    fixes: Vec<String>,
    /// Its images.
    images: Vec<Image>,
}

/// An image.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Image {
    /// Its name in the capability.
    name: String,
    /// The digest of its manifest.
    digest: String,
}

/// What an apply would change.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Plan {
    /// The plan digest: what approvals are for.
    digest: String,
    /// The number that the generation gets.
    generation: u64,
    /// The generation that runs now.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<Current>,
    /// Whether this very release runs already.
    nothing_to_do: bool,
    /// Whether it may come in whatever the channel says.
    forced: bool,
    /// What happens to capabilities, by their names.
    capabilities: Changes,
    /// Bytes that have to be written, unpacked.
    bytes: u64,
    /// Free bytes that have to be there.
    space_needed: u64,
    /// Free bytes that are there.
    space_free: u64,
    /// What will stand between it and going back to what runs now, a sentence each.
    no_way_back: Vec<String>,
}

/// What runs.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Current {
    /// Its number.
    generation: u64,
    /// Its version.
    version: String,
    /// Its release digest.
    release: String,
}

/// What happens to capabilities: each name is in exactly one list.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Changes {
    /// New ones.
    added: Vec<String>,
    /// Those that get a higher version.
    upgraded: Vec<String>,
    /// Those that get a lower version.
    downgraded: Vec<String>,
    /// Those that differ in the same version.
    changed: Vec<String>,
    /// Those that go.
    removed: Vec<String>,
    /// Those that stay as they are.
    unchanged: Vec<String>,
}

/// What came out of a rule with types.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Rule {
    /// Its name.
    rule: String,
    /// `passed`, `warned` or `denied`.
    result: String,
    /// Why, for people.
    detail: String,
    /// The code of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

/// Who wants it, by the names that the policy gives people.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Approvals {
    /// Who requested it.
    requested_by: Vec<String>,
    /// Whose approval of this plan counts.
    approved_by: Vec<String>,
}

/// When it is asked. Rules have no clock of their own.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Now {
    /// By the local clock, in UTC.
    now: String,
    /// The same in seconds since 1970.
    unix: i64,
    /// The latest time that something signed proves: now is not before it, whatever the local clock says.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed: Option<String>,
    /// The time zone of the maintenance windows, in which the following are.
    zone: String,
    /// Such as `2026-11-20`.
    date: String,
    /// `monday` to `sunday`.
    weekday: String,
    /// 0 to 23.
    hour: i8,
    /// 0 to 59.
    minute: i8,
}

/// What else is known of a case.
pub(crate) struct Known<'a> {
    pub(crate) space: &'a Space,
    pub(crate) plan: &'a approval::Plan,
    pub(crate) configuration: Digest,
    pub(crate) forced: bool,
    pub(crate) licenses: Vec<String>,
    pub(crate) rules: &'a [Ruled],
}

/// The document for a case.
pub(crate) fn of(case: &Case<'_>, known: Known<'_>) -> Result<Value> {
    let deployment = &case.policy.rules.deployment;
    let state = case.site.state();
    let input = Input {
        format: FORMAT,
        site: Site {
            id: state.site.clone(),
            environment: deployment.environment.map(|e| e.to_string()),
            mode: state.mode.map(|mode| mode.to_string()),
            channel: deployment.channel.name().to_owned(),
            nodes: deployment.nodes,
        },
        release: release(case, known.configuration.to_string()),
        plan: plan(case, known.space, known.plan, known.forced)?,
        rules: known.rules.iter().map(rule).collect(),
        approvals: Approvals {
            requested_by: case.voices.requested_by.iter().cloned().collect(),
            approved_by: case.voices.approved_by.keys().cloned().collect(),
        },
        licenses: known.licenses,
        time: now(
            case.ctx.now,
            state.trust.time,
            &case.policy.rules.maintenance.time_zone,
        )?,
    };
    serde_json::to_value(input).map_err(|e| Error::io("the input of rules", e.into()))
}

/// The JSON Schema (2020-12) of the document.
pub fn schema() -> Value {
    schemars::schema_for!(Input).to_value()
}

fn release(case: &Case<'_>, configuration: String) -> Release {
    let release = case.authentic.release();
    let targets = case.authentic.trusted().targets();
    let signers = targets.into_iter().flat_map(|targets| &targets.signers);
    Release {
        product: release.product.to_string(),
        version: release.version.to_string(),
        digest: case.authentic.release_digest().to_string(),
        counter: case.authentic.counter(),
        published: release.published.to_string(),
        release_type: release.release_type.map(|t| t.to_string()),
        severity: release.severity.map(|s| s.to_string()),
        fixes: release.fixes.clone(),
        mode: release.mode.map(|mode| mode.to_string()),
        development: case.authentic.root().is_development(),
        signers: signers.map(|signer| signer.keyid.clone()).collect(),
        configuration,
        capabilities: release.capabilities.iter().map(capability).collect(),
    }
}

fn capability(capability: &release::Capability) -> Capability {
    let hardware = &capability.hardware;
    let needs = [
        ("cpu", hardware.cpu),
        ("memory", hardware.memory),
        ("disk", hardware.disk),
        ("gpu", hardware.gpu),
        ("gpu-memory", hardware.gpu_memory),
    ];
    let images = capability.artifacts.iter().filter_map(|artifact| {
        let Content::Image(image) = &artifact.content else {
            return None;
        };
        Some(Image {
            name: artifact.name.to_string(),
            digest: image.digest.to_string(),
        })
    });
    Capability {
        name: capability.name.to_string(),
        version: capability.version.to_string(),
        kind: kind(capability.kind).to_owned(),
        vendor: capability.vendor.clone(),
        license: capability.license.clone(),
        entitlements: capability.entitlements.clone(),
        hardware: needs
            .into_iter()
            .filter_map(|(name, need)| Some((name.to_owned(), need?)))
            .collect(),
        fixes: capability.fixes.clone(),
        images: images.collect(),
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Service => "service",
        Kind::App => "app",
        Kind::Model => "model",
        Kind::Policy => "policy",
        Kind::Config => "config",
    }
}

fn plan(case: &Case<'_>, space: &Space, plan: &approval::Plan, forced: bool) -> Result<Plan> {
    let release = case.authentic.release();
    let running = generation::running(case.site)?;
    let changes = plan::capability_changes(running.as_ref(), release);
    let named = |list: Vec<plan::Named>| list.into_iter().map(|c| c.name).collect();
    let moved = |list: Vec<plan::Moved>| list.into_iter().map(|c| c.name).collect();
    let obstacles = running.map(|running| way_back::obstacles(release, &running));
    Ok(Plan {
        digest: plan.digest()?.to_string(),
        generation: case.site.state().next,
        current: case.site.state().running().map(|running| Current {
            generation: running.number,
            version: running.version.to_string(),
            release: running.release.to_string(),
        }),
        nothing_to_do: admit::is_current(case.site, case.authentic),
        forced,
        capabilities: Changes {
            added: named(changes.added),
            upgraded: moved(changes.upgraded),
            downgraded: moved(changes.downgraded),
            changed: named(changes.changed),
            removed: named(changes.removed),
            unchanged: named(changes.unchanged),
        },
        bytes: space.bytes,
        space_needed: space.needed,
        space_free: space.free,
        no_way_back: obstacles
            .iter()
            .flatten()
            .map(ToString::to_string)
            .collect(),
    })
}

fn rule(ruled: &Ruled) -> Rule {
    Rule {
        rule: ruled.rule.to_owned(),
        result: ruled.result.to_string(),
        detail: ruled.detail.clone(),
        code: ruled.code.map(|code| code.name().to_owned()),
    }
}

fn now(now: Time, signed: Option<Time>, zone: &Zone) -> Result<Now> {
    let instant = Timestamp::from_second(now.unix())
        .map_err(|e| Error::io("the clock", std::io::Error::other(e)))?;
    let local = instant.to_zoned(zone.0.clone());
    Ok(Now {
        now: now.to_string(),
        unix: now.unix(),
        signed: signed.map(|time| time.to_string()),
        zone: zone.0.iana_name().unwrap_or("UTC").to_owned(),
        date: local.date().to_string(),
        weekday: local.strftime("%A").to_string().to_lowercase(),
        hour: local.hour(),
        minute: local.minute(),
    })
}
