//! Whether it is time: the channel with its approvals, and the maintenance windows.

use sealift_verifier::{approval::Override, release::Severity};

use super::{Case, Rules};
use crate::{
    error::Code,
    policy::{Channel, windows::Standing},
    state::ClockPolicy,
};

const CHANNEL: &str = "channel";
const WINDOW: &str = "window";

/// The channel: critical corrections may come in whatever it says, everything else follows it (ID-1 4.2, 4.3).
/// Returns whether it did not follow.
pub(super) fn channel(case: &Case<'_>, rules: &mut Rules) -> bool {
    let channel = case.policy.rules.deployment.channel;
    let critical = case.authentic.release().severity == Some(Severity::Critical);
    match channel {
        Channel::Auto => rules.pass(CHANNEL, "auto: whatever the other rules allow is installed"),
        _ if critical => {
            let name = channel.name();
            rules.warn(
                CHANNEL,
                format!("{name}, but severity critical is installed whatever the channel"),
            );
        }
        Channel::Manual => approvals(case, rules),
        Channel::Frozen => overridden(
            case,
            rules,
            CHANNEL,
            Override::Frozen,
            Code::ChannelFrozen,
            "the channel is frozen",
        ),
    }
    critical && channel != Channel::Auto
}

/// How many people have to approve a release of this severity in the channel `manual`.
fn needed(case: &Case<'_>) -> usize {
    let rules = &case.policy.rules;
    let severity = case.authentic.release().severity;
    let by_severity = severity.and_then(|severity| rules.severity.get(&severity)?.approvals);
    by_severity.unwrap_or(rules.approvals.required)
}

fn approvals(case: &Case<'_>, rules: &mut Rules) {
    const RULE: &str = "approvals";
    rules.pass(
        CHANNEL,
        "manual: it takes the approvals that the policy asks for",
    );
    let needed = needed(case);
    let there = case.voices.approving();
    let mut detail = format!("{} of {needed} approvals", there.len());
    if !there.is_empty() {
        detail = format!("{detail}, by {}", there.join(", "));
    }
    if there.len() >= needed {
        rules.pass(RULE, detail);
        return;
    }
    if !case.voices.void.is_empty() {
        detail = format!("{detail}; {}", case.voices.void.join("; "));
    }
    rules.deny(RULE, Code::ApprovalsMissing, detail);
}

/// A rule that would deny, unless the operator asks for it to be overridden and enough people approve that.
pub(super) fn overridden(
    case: &Case<'_>,
    rules: &mut Rules,
    rule: &'static str,
    what: Override,
    code: Code,
    why: &str,
) {
    let asked = case.ctx.overrides.contains(&what);
    let Some(needed) = case.policy.rules.approvals.overrides.needed(what) else {
        let detail = if asked {
            format!("{why}, and the policy lets nobody override that")
        } else {
            why.to_owned()
        };
        return rules.deny(rule, code, detail);
    };
    let there = case.voices.overriding(what);
    if asked && there.len() >= needed {
        return rules.overridden(rule, format!("{why}; overridden by {}", there.join(", ")));
    }
    let mut detail = format!(
        "{why}; {} of {needed} people approve that it is overridden",
        there.len()
    );
    if there.len() >= needed {
        detail = format!("{detail}, and --override-{what} was not given");
    } else if !case.voices.void.is_empty() {
        detail = format!("{detail}; {}", case.voices.void.join("; "));
    }
    rules.deny(rule, code, detail);
}

/// The maintenance windows. Blackouts do not hold up what is critical; what is otherwise by severity is in the policy.
pub(super) fn window(case: &Case<'_>, rules: &mut Rules) {
    let policy = &case.policy.rules;
    let severity = case.authentic.release().severity;
    let any_time = severity
        .and_then(|s| policy.severity.get(&s))
        .is_some_and(|s| s.any_time);
    if any_time {
        return rules.pass(WINDOW, "the policy lets this severity in at any time");
    }
    let critical = severity == Some(Severity::Critical);
    let state = case.site.state();
    let published = case.authentic.release().published;
    let time = state
        .trust
        .time
        .map_or(published, |time| time.max(published));
    if time > case.ctx.now && state.clock != ClockPolicy::Ignore && !policy.maintenance.is_empty() {
        let why = format!(
            "the clock is behind {time}, what is signed, so that nobody knows whether a maintenance window is open"
        );
        let (what, code) = (Override::Window, Code::OutsideWindow);
        return overridden(case, rules, WINDOW, what, code, &why);
    }
    match policy.maintenance.standing(case.ctx.now, !critical) {
        Standing::Always => rules.pass(WINDOW, "there are no maintenance windows"),
        Standing::Open { until } => rules.pass(
            WINDOW,
            format!("a maintenance window is open until {until}"),
        ),
        Standing::Closed { next, blackout } => {
            let mut why = blackout.unwrap_or_else(|| "no maintenance window is open".into());
            why = match next {
                Some(next) => format!("{why}; the next one opens {next}"),
                None => format!("{why}, and none ever opens"),
            };
            overridden(
                case,
                rules,
                WINDOW,
                Override::Window,
                Code::OutsideWindow,
                &why,
            );
        }
    }
}
