//! A request, what people say of it, and what comes of that, by the commands that people type.

use sealift_tests::program::Said;

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn people_approve_with_either_program_on_any_machine() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let release = |version, counter, severity: &str| {
        let draft = vendor.release(version, counter);
        let draft = draft.field(&format!("severity = \"{severity}\""));
        let app = draft.capability("core/app", "service");
        app.file("version", version).build()
    };
    let first = release("0.9.0", 1, "critical");
    let bundle = release("1.0.0", 2, "high");
    let (ada, operator) = with_key(&sandbox, "ada", "\"operator\"");
    let (bo, second) = with_key(&sandbox, "bo", "\"approver\"");
    let (cy, third) = with_key(&sandbox, "cy", "\"approver\"");
    let policy = format!("[approvals]\nrequired = 2\n{operator}{second}{third}");
    let site = site(&sandbox, "site", &vendor, &policy);
    // What is critical asks nobody.
    site.apply(&first).ok();
    let file = |name: &str| sandbox.join(name);
    let requested = args![
        "request",
        bundle,
        "--key",
        ada,
        "-o",
        file("request"),
        "--override",
        "window"
    ];
    site.installer(requested.clone()).ok();

    // Where they sit, there is no site.
    let elsewhere = |arguments: Vec<std::ffi::OsString>| {
        let installer = sandbox.program("sealift-installer");
        let nowhere = args!["--state", file("nowhere"), "--output", "json"];
        installer.args(nowhere).args(arguments).run()
    };
    let say = |verb: &str, key: &Path, out: &str| {
        args![verb, file("request"), "--key", key, "-o", file(out)].to_vec()
    };
    // Nobody approves by accident.
    elsewhere(say("approve", &bo, "bo.approval")).fails_with("confirmation-missing");
    assert!(!file("bo.approval").exists());
    let with = |mut arguments: Vec<std::ffi::OsString>, more: &[&str]| {
        arguments.extend(args!["--yes"]);
        arguments.extend(more.iter().map(Into::into));
        arguments
    };
    let forged = args!["--requester", file("cy.pub.pem")];
    let mut forged = [
        with(say("approve", &bo, "bo.approval"), &[]),
        forged.to_vec(),
    ]
    .concat();
    elsewhere(forged.clone()).fails_with("signature-invalid");
    forged.pop();
    forged.push(file("ada.pub.pem").into());
    let said: Said = elsewhere(forged).ok();
    assert_eq!(said.json()["request-verified"], true);
    // What was not approved is told.
    assert!(said.stderr.contains("--override window"), "{}", said.stderr);
    elsewhere(with(
        say("approve", &cy, "late.approval"),
        &["--override", "clock"],
    ))
    .fails_with("override-not-requested");
    let keys = sandbox.program("sealift-keys");
    keys.args(with(say("approve", &cy, "cy.approval"), &[]))
        .run()
        .ok();
    elsewhere(say("withdraw", &bo, "bo.withdrawal")).ok();

    site.apply(&bundle).fails_with("approvals-missing");
    let add = |name: &str| site.installer(args!["approval", "add", file(name)]).ok();
    add("bo.approval");
    site.apply(&bundle).fails_with("approvals-missing");
    add("cy.approval");
    let plan = args!["plan", bundle];
    site.installer(plan.clone()).ok();
    add("bo.withdrawal");
    site.installer(plan).fails_with("approvals-missing");
    // What was taken back stays so, whichever of two clocks says a later time: it takes another request.
    let again = with(
        say("approve", &bo, "again.approval"),
        &["--reason", "after all"],
    );
    elsewhere(again).ok();
    add("again.approval");
    let told = site.installer(args!["policy", "explain", bundle]);
    let told = told.fails_with("approvals-missing");
    assert!(told.text().contains("was withdrawn"), "{}", told.text());
    std::fs::remove_file(file("request")).unwrap();
    let reason = args!["--reason", "after all"];
    site.installer([&requested[..], &reason[..]].concat()).ok();
    for (who, key) in [("bo", &bo), ("cy", &cy)] {
        let word = format!("{who}.second");
        elsewhere(with(say("approve", key, &word), &[])).ok();
        add(&word);
    }
    let listed = site.installer(args!["approval", "list"]).ok();
    assert!(
        listed.text().contains("by bo, of test 1.0.0, until"),
        "{}",
        listed.text()
    );
    site.apply(&bundle).ok();

    // Who said what is in the log, before it counts.
    let said = site.installer(args!["audit", "export", "--format", "jsonl"]);
    let log = String::from_utf8(said.ok().stdout).unwrap();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let taken: Vec<_> = lines
        .filter(|line| line["action"] == "approval-add" && line["phase"] == "intent")
        .collect();
    assert_eq!(taken[0]["signed-by"][0]["person"], "bo");
    assert_eq!(taken[0]["release"]["version"], "1.0.0");
    assert!(taken[0]["reason"].as_str().unwrap().starts_with("until "));

    let shown = site.installer(args!["audit", "show", "--action", "approval-add"]);
    assert!(shown.ok().text().contains("; signed by bo"));

    // Used once: after going back, it takes approvals again.
    site.installer(["rollback"]).ok();
    site.apply(&bundle).fails_with("approvals-missing");
}
