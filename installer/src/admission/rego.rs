//! The rules that the site's owner has written in Rego.

use serde_json::Value;

use super::{Case, Rules};
use crate::{
    error::{Code, Denial},
    rego::Kind,
};

const RULE: &str = "rego";

/// All of them, at once. What cannot be evaluated denies.
pub(super) fn ask(case: &Case<'_>, input: &Value, rules: &mut Rules) {
    let policy = case.policy;
    if policy.rego.is_empty() {
        return rules.pass(RULE, "the policy has no rules in Rego");
    }
    let said = match policy.rego(case.ctx).ask(input) {
        Ok(said) => said,
        Err(why) => return rules.deny(RULE, Code::PolicyFailed, why),
    };
    let mut denials = Vec::new();
    for message in said {
        let detail = format!("{}: {}", message.package, message.text);
        match message.kind {
            Kind::Warn => rules.warn(RULE, detail),
            Kind::Deny => denials.push(Denial {
                code: Code::PolicyDenied,
                detail,
            }),
        }
    }
    rules.judge(RULE, denials, || "no rule in Rego speaks against it".into());
}
