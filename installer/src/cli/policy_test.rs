//! `policy test`: whether a policy is sound, and its rules in Rego do what their tests say.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use sealift_verifier::policy::{FORMAT, Policy, RULES};
use serde::Serialize;

use sealift_keys::policy::gather;

use super::{Answer, Failed, Scene, to_json};
use crate::{
    error::{Code, Error, Result},
    policy::SitePolicy,
    rego::{Rego, Test},
};

/// What came out of all tests.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    passed: usize,
    failed: usize,
    tests: Vec<Tested>,
}

/// What came out of one.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Tested {
    #[serde(flatten)]
    test: Test,
    passed: bool,
    /// Why it could not be evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

pub(super) fn run(folder: &Path, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let subject = folder.display().to_string();
    let invalid = |why: String| Error::new(Code::PolicyInvalid, &subject, why);
    let gathered = gather(folder).map_err(crate::Error::from)?;
    let all: BTreeMap<String, String> = gathered
        .files
        .iter()
        .chain(&gathered.tests)
        .filter(|(name, _)| name.as_str() != RULES)
        .map(|(name, text)| (name.to_string(), text.clone()))
        .collect();
    let policy = Policy {
        format: FORMAT,
        version: 1,
        issued: scene.context.now,
        files: gathered.files,
    };
    sealift_verifier::dsse::Statement::check(&policy).map_err(&invalid)?;
    let policy = SitePolicy::of(policy, &subject)?;
    policy.check(&subject, &scene.context)?;
    let rego = Rego {
        files: &all,
        ..policy.rego(&scene.context)
    };
    let tests = if all.is_empty() {
        Vec::new()
    } else {
        rego.tests().map_err(invalid)?
    };
    answer(&subject, tests.into_iter().map(|test| tested(rego, test)))
}

/// Each test has the limits for itself: one that loops takes none of the others with it.
fn tested(rego: Rego<'_>, test: Test) -> Tested {
    let (passed, detail) = match rego.test(&test) {
        Ok(passed) => (passed, None),
        Err(why) => (false, Some(why)),
    };
    Tested {
        test,
        passed,
        detail,
    }
}

fn answer(subject: &str, tests: impl Iterator<Item = Tested>) -> Result<Answer, Failed> {
    let tests: Vec<Tested> = tests.collect();
    let passed = tests.iter().filter(|tested| tested.passed).count();
    let report = Report {
        passed,
        failed: tests.len() - passed,
        tests,
    };
    let mut text = String::new();
    for tested in &report.tests {
        let result = if tested.passed { "passed" } else { "failed" };
        let Test { package, name } = &tested.test;
        let _ = write!(text, "  {result:<8}{package}.{name}");
        if let Some(detail) = &tested.detail {
            let _ = write!(text, ": {detail}");
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{passed} tests passed, {} failed", report.failed);
    let answer = Answer {
        text,
        json: to_json(&report),
    };
    if report.failed == 0 {
        return Ok(answer);
    }
    let detail = format!("{} of {} tests failed", report.failed, report.tests.len());
    Err(Failed {
        error: Box::new(Error::new(Code::PolicyTestsFailed, subject, detail)),
        answer: Some(Box::new(answer)),
    })
}
