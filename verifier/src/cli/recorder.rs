//! Keeps and shows what was checked, one line a check.

use std::io::Write;

use sealift_verifier::{Error, Failure as _, bundle::Check, error::printable, tuf::KeyHolder};
use serde_json::{Value, json};

/// A check with its outcome.
pub(crate) struct Step {
    /// What was checked, and what was found.
    pub(crate) check: Check,
    /// Whether it was passed; the last step of a verification may be one that was not.
    pub(crate) passed: bool,
}

impl Step {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "detail": self.check.detail,
            "name": self.check.name,
            "signers": self.check.signers.iter().map(signer).collect::<Vec<_>>(),
            "status": self.status(),
            "threshold": (self.check.threshold > 0).then_some(self.check.threshold),
        })
    }

    pub(crate) fn status(&self) -> &'static str {
        if self.passed { "PASSED" } else { "FAILED" }
    }
}

pub(crate) fn signer(holder: &KeyHolder) -> Value {
    json!({ "keyid": holder.keyid, "public": holder.public })
}

/// Takes checks in, in the order in which they are made.
pub(crate) struct Recorder<'a> {
    order: &'static [&'static str],
    lines: Option<&'a mut dyn Write>,
    steps: Vec<Step>,
}

impl<'a> Recorder<'a> {
    /// `order` names all checks that will be made; each is written to `lines` when it was.
    pub(crate) fn new(order: &'static [&'static str], lines: Option<&'a mut dyn Write>) -> Self {
        Self {
            order,
            lines,
            steps: Vec::new(),
        }
    }

    /// A check was passed.
    pub(crate) fn passed(&mut self, check: Check) {
        self.take(Step {
            check,
            passed: true,
        });
    }

    /// A check that nobody signed was passed.
    pub(crate) fn found(&mut self, name: &'static str, detail: impl Into<String>) {
        self.passed(Check {
            name,
            detail: detail.into(),
            signers: Vec::new(),
            threshold: 0,
        });
    }

    /// The check after the last one that was passed has failed.
    pub(crate) fn failed(&mut self, error: &Error) {
        let last = self.steps.last().map(|step| step.check.name);
        let after = self
            .order
            .iter()
            .position(|name| Some(*name) == last)
            .map_or(0, |position| position.saturating_add(1));
        self.take(Step {
            check: Check {
                name: self.order.get(after).copied().unwrap_or("verification"),
                detail: format!("{}: {error}", error.code()),
                signers: Vec::new(),
                threshold: 0,
            },
            passed: false,
        });
    }

    /// All checks so far.
    pub(crate) fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    fn take(&mut self, step: Step) {
        let width = self.order.iter().map(|name| name.len()).max().unwrap_or(0);
        if let Some(lines) = &mut self.lines {
            let mut detail = printable(&step.check.detail);
            if step.check.threshold > 0 {
                let signers: Vec<String> = step
                    .check
                    .signers
                    .iter()
                    .map(|holder| printable(&holder.keyid).chars().take(8).collect())
                    .collect();
                let needed = step.check.threshold;
                let signers = signers.join(" ");
                detail = format!("{detail}, threshold {needed}, signed by {signers}");
            }
            // What is written last says whether the output could be written at all.
            let _ = writeln!(
                lines,
                "{:<width$}  {detail:<105}  status={}",
                step.check.name,
                step.status()
            );
        }
        self.steps.push(step);
    }
}
