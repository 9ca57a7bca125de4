//! Typed rules of a policy that no other story needs: by severity, signatures, limits, and a clock that people vouch for.

use super::*;

const SHUT: &str = "[maintenance]\nwindows = [{ opens = \"0 0 29 2 *\", duration = \"1h\" }]\n";

fn plain(vendor: &Vendor, version: &str, counter: u64, severity: &str) -> PathBuf {
    let draft = vendor.release(version, counter);
    let draft = draft.field(&format!("severity = \"{severity}\""));
    let app = draft.capability("core/app", "service");
    app.file("version", version).build()
}

#[test]
fn a_severity_has_approvals_and_times_of_its_own() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let [low, high] = [("1.0.0", 1, "low"), ("1.1.0", 2, "high")]
        .map(|(version, counter, severity)| plain(&vendor, version, counter, severity));
    let people: String = people().iter().map(Person::toml).collect();
    let policy = |rules: &str| {
        format!(
            "[deployment]\nchannel = \"manual\"\n{SHUT}[approvals]\nrequired = 1\n{rules}{people}"
        )
    };
    let site = site(&sandbox, "site", &vendor, &policy(""));
    let codes =
        |bundle: &Path| Decided::of(&site, bundle, &[], Some("2026-11-02 12:00:00")).codes();
    let both = ["approvals-missing", "outside-window"];
    assert_eq!(codes(&low), both);
    assert_eq!(codes(&high), both);
    let set = |rules: &str| set_policy(&site, &sandbox, "site", &policy(rules));
    set("[severity.high]\nany-time = true\n");
    assert_eq!(codes(&high), ["approvals-missing"]);
    assert_eq!(codes(&low), both);
    set("[severity.high]\napprovals = 0\n[severity.low]\napprovals = 2\n");
    assert_eq!(codes(&high), ["outside-window"]);
    let told = Decided::of(&site, &low, &[], Some("2026-11-02 12:00:00"));
    assert!(told.detail("approvals").starts_with("0 of 2 approvals"));
}

#[test]
fn a_site_may_want_more_signatures_of_the_vendor_than_its_root() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let bundle = plain(&vendor, "1.0.0", 1, "high");
    let auto = "[deployment]\nchannel = \"auto\"\n";
    let site = site(
        &sandbox,
        "site",
        &vendor,
        &format!("{auto}[signatures]\nvendor = 2\n"),
    );
    site.apply(&bundle).fails_with("signatures-missing");
    set_policy(
        &site,
        &sandbox,
        "site",
        &format!("{auto}[signatures]\nvendor = 1\n"),
    );
    site.apply(&bundle).ok();
}

#[test]
fn a_license_is_for_so_many_machines() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let bundle = release(&vendor, "1.0.0", 1, &[]);
    let nodes = |nodes: u32| format!("[deployment]\nchannel = \"auto\"\nnodes = {nodes}\n");
    let site = site(&sandbox, "site", &vendor, &nodes(3));
    let limited = License {
        limits: Limits {
            nodes: Some(2),
            ..Limits::default()
        },
        ..license()
    };
    let key = vendor_key(&vendor, "license");
    give(&site, &sandbox, "license", "l", &sign(&limited, &[&key])).ok();
    site.apply(&bundle).fails_with("license-limit");
    set_policy(&site, &sandbox, "site", &nodes(2));
    site.apply(&bundle).ok();
}

#[test]
fn people_decide_on_what_has_expired_by_the_clock_alone() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let bundle = plain(&vendor, "1.0.0", 1, "high");
    let [ada, bo, cy] = &people();
    let people = [ada.toml(), bo.toml(), cy.toml()].concat();
    let policy = format!(
        "[deployment]\nchannel = \"auto\"\n[approvals]\noverrides = {{ clock = 1 }}\n{people}"
    );
    let ahead = "2040-06-15 12:00:00";
    let site = Site::with(&sandbox, "site", &vendor.root(), &["--clock", "approve"]);
    set_policy(&site, &sandbox, "site", &policy);
    let enforced = Site::with(&sandbox, "enforced", &vendor.root(), &[]);
    set_policy(&enforced, &sandbox, "site", &policy);
    let decide = |more: &[&str]| Decided::of(&site, &bundle, more, Some(ahead)).codes();
    let flag = ["--override-clock"];
    assert_eq!(decide(&[]), ["expired-by-clock"]);
    assert_eq!(decide(&flag), ["expired-by-clock"]);
    let subject = Decided::of(&site, &bundle, &[], Some(ahead)).subject("1.0.0");
    let request = Request {
        overrides: vec![Override::Clock],
        ..request(&subject, "2026-11-01T00:00:00Z")
    };
    let add = |name: &str, bytes: &[u8]| give(&site, &sandbox, "approval", name, bytes).ok();
    add("r", &sign(&request, &[&ada.key]));
    add("plain", &sign(&approval(&request, &[]), &[&cy.key]));
    assert_eq!(decide(&flag), ["expired-by-clock"]);
    add(
        "clock",
        &sign(&approval(&request, &[Override::Clock]), &[&bo.key]),
    );
    assert_eq!(decide(&flag), [""; 0]);
    // Only if the operator asks for it, and at no site that goes by its clock.
    assert_eq!(decide(&[]), ["expired-by-clock"]);
    let held = Decided::of(&enforced, &bundle, &flag, Some(ahead)).codes();
    assert_eq!(held, ["metadata-expired"]);
    let apply = args!["apply", bundle, "--yes", "--override-clock"];
    site.command(apply).at(ahead).run().ok();
    assert_eq!(site.file("core/app/version"), b"1.0.0");
}
