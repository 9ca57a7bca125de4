//! What people get wrong: told at once, and before it costs anything.

use super::*;

fn plain(vendor: &Vendor, version: &str, counter: u64) -> PathBuf {
    let draft = vendor.release(version, counter);
    let app = draft.capability("core/app", "service");
    app.file("version", version).build()
}

#[test]
fn a_policy_with_approvals_that_nobody_would_ask_for_is_refused() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let site = Site::new(&sandbox, &vendor.root());
    let people: String = people().iter().map(Person::toml).collect();
    let policy = format!("format = 1\n[severity.critical]\napprovals = 2\n{people}");
    sandbox.write("bad/policy.toml", policy);
    let said = site.installer(args!["policy", "set", sandbox.join("bad")]);
    let said = said.fails_with("policy-invalid").stderr;
    assert!(said.contains("severity.critical.approvals"), "{said}");
}

#[test]
fn a_hook_that_cannot_run_makes_no_site() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let hook = sandbox.write("hook", "#!/bin/sh\n");
    let init = || {
        let state = sandbox.join("state");
        let installer = sandbox.program("sealift-installer");
        let root = vendor.root();
        let init = args![
            "--state",
            state,
            "init",
            "--root-file",
            root,
            "--activate-hook",
            hook
        ];
        installer.args(init).run()
    };
    let said = init().exits(2).stderr;
    assert!(said.contains("chmod +x"), "{said}");
    assert!(!sandbox.join("state").exists());
    sandbox.tool("chmod").args(args!["+x", hook]).run().ok();
    init().ok();
}

#[test]
fn a_request_says_what_approvals_will_not_change() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let bundle = plain(&vendor, "1.0.0", 1);
    let (ada, operator) = with_key(&sandbox, "ada", "\"operator\"");
    let (_, approver) = with_key(&sandbox, "bo", "\"approver\"");
    let policy = format!(
        "[maintenance]\nwindows = [{{ opens = \"0 0 29 2 *\", duration = \"1h\" }}]\n\
         [approvals]\nrequired = 1\noverrides = {{ window = 1 }}\n{operator}{approver}"
    );
    let site = site(&sandbox, "site", &vendor, &policy);
    let request = |out: &str, more: &[&str]| {
        let out = sandbox.join(out);
        let command = args![
            "--output", "json", "request", bundle, "--key", ada, "-o", out
        ];
        let said = site.command(command).args(more).run().ok().json();
        said["denials-left"].as_array().unwrap().len()
    };
    assert_eq!(request("first", &[]), 1);
    assert_eq!(request("second", &["--override", "window"]), 0);
}

#[test]
fn a_bundle_of_another_product_is_refused_and_not_called_known() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let site = site(
        &sandbox,
        "site",
        &vendor,
        "[deployment]\nchannel = \"auto\"\n",
    );
    site.apply(&plain(&vendor, "2.0.0", 2)).ok();
    let draft = vendor.release("1.0.0", 1);
    let definition = draft
        .capability("core/app", "service")
        .file("f", "1")
        .define();
    let text = std::fs::read_to_string(&definition).unwrap();
    std::fs::write(&definition, text.replace("\"test\"", "\"other\"")).unwrap();
    let bundle = vendor.build(&definition);
    std::fs::create_dir(sandbox.join("inbox")).unwrap();
    std::fs::copy(bundle, sandbox.join("inbox/other.bundle")).unwrap();
    let command = args!["--output", "json", "watch", "--once", sandbox.join("inbox")];
    let said = site.installer(command).said().stdout;
    let said = String::from_utf8(said).unwrap();
    let event: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!(event["event"], "refused", "{said}");
    let codes = event["denials"].as_array().unwrap();
    assert!(
        codes
            .iter()
            .any(|denial| denial["code"] == "product-mismatch"),
        "{said}"
    );
}

#[test]
fn a_trial_says_what_would_be_and_changes_nothing() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let site = Site::new(&sandbox, &vendor.root());
    let first = plain(&vendor, "1.0.0", 1);
    site.apply(&first).ok();
    let nowhere = args!["rollback", "--dry-run"];
    site.installer(nowhere.clone())
        .fails_with("nothing-to-go-back-to");
    for (version, counter) in [("1.1.0", 2), ("1.2.0", 3)] {
        site.apply(&plain(&vendor, version, counter)).ok();
    }
    let (_, operator) = with_key(&sandbox, "ada", "\"operator\"");
    sandbox.write("policy/policy.toml", format!("format = 1\n{operator}"));
    sandbox.write("bad/policy.toml", "format = 1\n[nonsense]\n");
    let before = site.listing();
    let said = site.installer(nowhere).ok();
    assert!(
        said.text().contains("generation 2, 1.1.0"),
        "{}",
        said.text()
    );
    let prune = args!["prune", "--keep", "1", "--dry-run", "--output", "json"];
    assert_eq!(
        site.installer(prune).ok().json()["removed"],
        serde_json::json!([1])
    );
    let policy = |name: &str| args!["policy", "set", sandbox.join(name), "--dry-run"];
    let said = site.installer(policy("policy")).ok();
    assert!(
        said.text().contains("policy 1 would hold"),
        "{}",
        said.text()
    );
    assert!(
        said.text().contains("ada (operator) has the key"),
        "{}",
        said.text()
    );
    site.installer(policy("bad")).fails_with("policy-invalid");
    let wrong = args!["report", "--from", "2027-01-01", "--to", "2026-01-01"];
    site.installer(wrong).fails_with("usage");
    assert_eq!(site.listing(), before);
}

#[test]
fn a_hook_runs_where_it_can_leave_nothing() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let told = sandbox.join("told");
    let hook = format!("#!/bin/sh\npwd >{}\n", told.display());
    let site = Site::with_hook(&sandbox, &vendor.root(), hook);
    site.apply(&plain(&vendor, "1.0.0", 1)).ok();
    assert_eq!(std::fs::read_to_string(told).unwrap(), "/\n");
    site.is_sound();
}

#[test]
fn the_log_says_what_a_license_and_a_policy_are_before_they_hold() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let site = site(&sandbox, "site", &vendor, "");
    let key = vendor_key(&vendor, "license");
    give(&site, &sandbox, "license", "l", &sign(&license(), &[&key])).ok();
    let said = site
        .installer(args!["audit", "export", "--format", "jsonl"])
        .ok();
    let log = String::from_utf8(said.stdout).unwrap();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let intent = |action: &str| {
        let of = |line: &&Value| line["action"] == action && line["phase"] == "intent";
        lines.iter().find(of).unwrap().clone()
    };
    let license = intent("license-add");
    let reason = license["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("license L-1 for Harbour Hospital"),
        "{reason}"
    );
    assert!(!license["signed-by"][0]["key"].as_str().unwrap().is_empty());
    let policy = intent("policy-set");
    let reason = policy["reason"].as_str().unwrap();
    assert!(reason.starts_with("policy 1 with the digest "), "{reason}");
}
