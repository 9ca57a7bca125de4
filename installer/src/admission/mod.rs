//! Every rule that a release is held against at a site, each with its result and why.
//!
//! All of them are asked, whatever the others say, so that a refusal tells everything at once and nobody comes back
//! with the next reason. [`decide`] has no effect.

mod grants;
mod promoted;
mod rego;
mod schedule;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use sealift_verifier::{
    approval,
    bundle::Authentic,
    digest::Digest,
    license::Environment,
    release::{Release, Severity},
    time::Time,
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    admit::{self, Space},
    approvals::{self, Voices},
    audit::{self, Action, Entry, RuleResult, SignedBy},
    error::{Code, Denial, Result},
    policy::{Channel, SitePolicy},
    rego::input::{self, Known},
    site::{Context, Site},
    state::ClockPolicy,
};

/// What came out of one rule. A rule that several things speak against has several of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ruled {
    /// The rule's stable name.
    pub rule: &'static str,
    /// What came out.
    pub result: Verdict,
    /// Why, for people.
    pub detail: String,
    /// The code of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing speaks against it.
    Passed,
    /// It may be installed, but somebody should know something.
    Warned,
    /// It could not be installed, but enough people have approved that the rule is overridden.
    Overridden,
    /// It may not be installed.
    Denied,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Warned => "warned",
            Self::Overridden => "overridden",
            Self::Denied => "denied",
        })
    }
}

/// What came out of all rules, and what they were asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Decision {
    /// The rules in a fixed order.
    pub rules: Vec<Ruled>,
    /// What of the plan is approved.
    pub plan: approval::Plan,
    /// The digest of that.
    pub plan_digest: Digest,
    /// The digest over all that configures the release: what regulated mode wants to be reviewed.
    pub configuration: Digest,
    /// The severity of the worst that the release corrects.
    pub severity: Option<Severity>,
    /// Advisories that the release and its capabilities correct.
    pub fixes: BTreeSet<String>,
    /// What the deployment is for.
    pub environment: Option<Environment>,
    /// How updates come in.
    pub channel: Channel,
    /// Whether it may be installed whatever the channel says.
    pub forced: bool,
    /// Who requested it.
    pub requested_by: Vec<String>,
    /// Who approves it, and the ids of the keys that they signed with.
    pub approved_by: BTreeMap<String, BTreeSet<String>>,
    /// What rules in Rego were told.
    #[serde(skip)]
    pub input: Value,
}

impl Decision {
    /// Everything that speaks against it; what cannot be helped at the site first, the same order every time.
    pub fn denials(&self) -> Vec<Denial> {
        let denied = self.rules.iter().filter_map(|ruled| {
            let code = ruled.code.filter(|_| ruled.result == Verdict::Denied)?;
            let detail = ruled.detail.clone();
            Some(Denial { code, detail })
        });
        let mut denials: Vec<Denial> = denied.collect();
        denials.sort_by_key(|denial| denial.code);
        denials
    }

    /// What somebody should know, a sentence each.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        let told = |ruled: &&Ruled| matches!(ruled.result, Verdict::Warned | Verdict::Overridden);
        self.rules
            .iter()
            .filter(told)
            .map(|ruled| ruled.detail.as_str())
    }

    /// What of it goes against a rule: that it is forced, that something is overridden.
    pub fn exceptions(&self) -> impl Iterator<Item = Action> {
        let overridden = self
            .rules
            .iter()
            .any(|ruled| ruled.result == Verdict::Overridden);
        let forced = self.forced.then_some(Action::Forced);
        forced
            .into_iter()
            .chain(overridden.then_some(Action::Override))
    }
}

impl Entry {
    /// What was decided, by which rules and on whose word.
    pub fn decided(mut self, decision: &Decision) -> Self {
        let result = |ruled: &Ruled| RuleResult {
            // A refusal is told by its code everywhere.
            rule: ruled.code.map_or(ruled.rule, Code::name).to_owned(),
            result: match ruled.result {
                Verdict::Passed => audit::Verdict::Pass,
                Verdict::Warned => audit::Verdict::Warn,
                Verdict::Overridden => audit::Verdict::Overridden,
                Verdict::Denied => audit::Verdict::Deny,
            },
            detail: match ruled.result {
                // That nothing speaks against it needs no words in a log that is kept for years.
                Verdict::Passed => String::new(),
                _ => ruled.detail.clone(),
            },
        };
        let voices = decision.approved_by.iter().flat_map(|(person, keys)| {
            keys.iter().map(|key| SignedBy {
                key: key.clone(),
                person: person.clone(),
            })
        });
        self.signed_by = voices.collect();
        self.severity = decision.severity;
        self.fixes = decision.fixes.iter().cloned().collect();
        self.plan = Some(decision.plan_digest);
        self.rules(decision.rules.iter().map(result).collect())
    }
}

/// What the rules are asked about.
pub(crate) struct Case<'a> {
    pub(crate) site: &'a Site,
    pub(crate) authentic: &'a Authentic,
    pub(crate) policy: &'a SitePolicy,
    pub(crate) voices: &'a Voices,
    pub(crate) ctx: &'a Context<'a>,
    /// The point in time that ages and ends are judged by. What the release says of its own time counts.
    pub(crate) at: Time,
}

/// Holds an authentic release against every rule of a site.
pub fn decide(
    site: &Site,
    authentic: &Authentic,
    space: &Space,
    ctx: &Context<'_>,
) -> Result<Decision> {
    let policy = site.policy()?;
    let state = site.state();
    let plan = approval::Plan {
        site: state.site.clone(),
        release: authentic.release_digest(),
        counter: authentic.counter(),
        from: state.running().map(|running| running.release),
        generation: state.next,
        policy: policy.digest,
    };
    // An approval may not outlive its end by a clock that was set back behind what is signed.
    let release = authentic.release();
    let at = state.judged_by(ctx.now)?.max(release.published);
    let subject = approval::Subject {
        site: state.site.clone(),
        environment: policy.rules.deployment.environment,
        product: release.product.clone(),
        version: release.version.clone(),
        release: plan.release,
        plan: plan.digest()?,
    };
    let clock = match state.clock {
        ClockPolicy::Approve => at.max(ctx.now),
        ClockPolicy::Enforce | ClockPolicy::Ignore => at,
    };
    let times = approvals::At { signed: at, clock };
    let voices = approvals::voices(site, &policy.rules, &subject, &times)?;
    let case = Case {
        site,
        authentic,
        policy: &policy,
        voices: &voices,
        ctx,
        at,
    };
    let mut rules = Rules::default();
    admit::facts(&case, space, &mut rules)?;
    grants::revoked(&case, &mut rules);
    let licenses = grants::license(&case, &mut rules)?;
    grants::signatures(&case, &mut rules)?;
    grants::vendors(&case, &mut rules);
    grants::policy(&case, &mut rules)?;
    let configuration = grants::configuration(&case, &mut rules)?;
    promoted::promotion(&case, &mut rules)?;
    let forced = schedule::channel(&case, &mut rules);
    schedule::window(&case, &mut rules);
    let known = Known {
        space,
        plan: &plan,
        configuration,
        forced,
        licenses,
        rules: &rules.0,
    };
    let input = input::of(&case, known)?;
    rego::ask(&case, &input, &mut rules);
    Ok(Decision {
        rules: rules.0,
        plan_digest: plan.digest()?,
        plan,
        configuration,
        severity: authentic.release().severity,
        fixes: fixes(authentic.release()),
        environment: policy.rules.deployment.environment,
        channel: policy.rules.deployment.channel,
        forced,
        requested_by: voices.requested_by.iter().cloned().collect(),
        approved_by: voices
            .approved_by
            .iter()
            .map(|(name, voice)| (name.clone(), voice.keys.clone()))
            .collect(),
        input,
    })
}

/// Advisories that a release and its capabilities correct.
pub fn fixes(release: &Release) -> BTreeSet<String> {
    let capabilities = release.capabilities.iter().flat_map(|c| &c.fixes);
    release.fixes.iter().chain(capabilities).cloned().collect()
}

/// Takes what comes out of rules.
#[derive(Default)]
pub(crate) struct Rules(Vec<Ruled>);

impl Rules {
    pub(crate) fn pass(&mut self, rule: &'static str, detail: impl Into<String>) {
        self.0.push(Ruled {
            rule,
            result: Verdict::Passed,
            detail: detail.into(),
            code: None,
        });
    }

    pub(crate) fn warn(&mut self, rule: &'static str, detail: impl Into<String>) {
        self.0.push(Ruled {
            rule,
            result: Verdict::Warned,
            detail: detail.into(),
            code: None,
        });
    }

    pub(crate) fn overridden(&mut self, rule: &'static str, detail: impl Into<String>) {
        self.0.push(Ruled {
            rule,
            result: Verdict::Overridden,
            detail: detail.into(),
            code: None,
        });
    }

    pub(crate) fn deny(&mut self, rule: &'static str, code: Code, detail: impl Into<String>) {
        self.0.push(Ruled {
            rule,
            result: Verdict::Denied,
            detail: detail.into(),
            code: Some(code),
        });
    }

    /// Says of a rule that it is denied by all of `denials`, or passed if there are none.
    pub(crate) fn judge(
        &mut self,
        rule: &'static str,
        denials: Vec<Denial>,
        passed: impl FnOnce() -> String,
    ) {
        if denials.is_empty() {
            self.pass(rule, passed());
        }
        for denial in denials {
            self.deny(rule, denial.code, denial.detail);
        }
    }
}
