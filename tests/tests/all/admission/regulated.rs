//! Regulated mode: approved vendors only, and a configuration that was reviewed (Deployment Strategy).

use super::*;

/// A release with a configuration, by a vendor if one is named.
fn configured(vendor: &Vendor, version: &str, counter: u64, by: &str, config: &str) -> PathBuf {
    let app = vendor.release(version, counter);
    let app = app.capability("core/app", "service").lines(by);
    app.file("app.toml", config)
        .artifact("site.toml", "config", "content/app.toml")
        .build()
}

#[test]
fn regulated_sites_take_approved_vendors_and_reviewed_configurations() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let acme = "vendor = \"Acme\"\n";
    let reviewed = configured(&vendor, "1.0.0", 1, acme, "port = 1\n");
    let same = configured(&vendor, "1.1.0", 2, acme, "port = 1\n");
    let changed = configured(&vendor, "1.2.0", 3, acme, "port = 2\n");
    let other = configured(&vendor, "1.3.0", 4, "vendor = \"Else\"\n", "port = 1\n");
    let silent = configured(&vendor, "1.4.0", 5, "", "port = 1\n");
    let auto = "[deployment]\nchannel = \"auto\"\n";
    let site = site(&sandbox, "site", &vendor, auto);
    let plan = args!["plan", reviewed, "--output", "json"];
    let digest = site.installer(plan).ok().json()["decision"]["configuration"].clone();
    let digest = digest.as_str().unwrap();
    let allowed = "[vendors]\nallowed = [\"Acme\"]\n";
    // Open to everybody, who does not say may come in; regulated, nobody who is not known.
    set_policy(&site, &sandbox, "site", &format!("{auto}{allowed}"));
    assert_eq!(Decided::of(&site, &silent, &[], None).codes(), [""; 0]);
    let regulated = |digests: &str| {
        format!("{auto}{allowed}[regulated]\nenabled = true\nconfigurations = [{digests}]\n")
    };
    set_policy(&site, &sandbox, "site", &regulated(""));
    let codes = |bundle: &Path| Decided::of(&site, bundle, &[], None).codes();
    assert_eq!(codes(&reviewed), ["configuration-not-reviewed"]);
    set_policy(
        &site,
        &sandbox,
        "site",
        &regulated(&format!("\"{digest}\"")),
    );
    assert_eq!(codes(&reviewed), [""; 0]);
    assert_eq!(codes(&same), [""; 0]);
    assert_eq!(codes(&changed), ["configuration-not-reviewed"]);
    assert_eq!(codes(&other), ["vendor-not-allowed"]);
    assert_eq!(codes(&silent), ["vendor-not-allowed"]);
    site.apply(&reviewed).ok();
    site.apply(&changed)
        .fails_with("configuration-not-reviewed");
    assert_eq!(site.current(), Some(1));
}

#[test]
fn a_regulated_site_says_whom_it_approves() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let site = Site::new(&sandbox, &vendor.root());
    sandbox.write(
        "bad/policy.toml",
        "format = 1\n[regulated]\nenabled = true\n",
    );
    let said = site.installer(args!["policy", "set", sandbox.join("bad")]);
    let said = said.fails_with("policy-invalid").stderr;
    assert!(said.contains("vendors.allowed"), "{said}");
}
