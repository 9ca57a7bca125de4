//! The rules of releases: what a release may claim to be, and what `compat` says of two of them.

mod at_site;
mod changes;

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use sealift_tests::{
    args,
    program::Said,
    sandbox::{self, Sandbox},
    vendor::Vendor,
};
use serde_json::{Value, json};

/// A release with a catalog of its own: `core/api` and `core/db`, both 1.0.0, and what a test says beside.
struct Draft {
    product: &'static str,
    version: &'static str,
    counter: u64,
    fields: String,
    capabilities: Vec<(&'static str, &'static str, String)>,
    files: Vec<(String, String)>,
}

impl Draft {
    fn new(version: &'static str, counter: u64) -> Self {
        let bare = |name| (name, "1.0.0", String::new());
        Self {
            product: "acme",
            version,
            counter,
            fields: String::new(),
            capabilities: vec![bare("core/api"), bare("core/db")],
            files: Vec::new(),
        }
    }

    fn field(mut self, line: &str) -> Self {
        self.fields.push_str(line);
        self.fields.push('\n');
        self
    }

    /// Another version and more lines of `core/api`.
    fn api(mut self, version: &'static str, lines: &str) -> Self {
        self.capabilities[0] = ("core/api", version, lines.to_owned());
        self
    }

    fn also(mut self, name: &'static str) -> Self {
        self.capabilities.push((name, "1.0.0", String::new()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.capabilities.retain(|(other, _, _)| *other != name);
        self
    }

    /// A schema of `core/api`, and defaults if there are any.
    fn configured(mut self, schema: &Value, defaults: &str) -> Self {
        let mut lines =
            "[[artifacts]]\nname = \"schema.json\"\ntype = \"config\"\npath = \"schema.json\"\n"
                .to_owned();
        let mut table = "[configuration]\nschema = \"schema.json\"\n".to_owned();
        if !defaults.is_empty() {
            lines.push_str("[[artifacts]]\nname = \"conf\"\ntype = \"tree\"\npath = \"conf\"\n");
            table.push_str("defaults = \"conf/defaults.toml\"\n");
        }
        let (_, version, other) = self.capabilities[0].clone();
        let home = format!("core/api/{version}");
        self.files
            .push((format!("{home}/schema.json"), schema.to_string()));
        self.files
            .push((format!("{home}/conf/defaults.toml"), defaults.to_owned()));
        self.api(version, &format!("{other}{lines}{table}"))
    }

    /// Writes it into the folder `name`, and gives its definition.
    fn write(&self, sandbox: &Sandbox, name: &str) -> PathBuf {
        let catalog = sandbox.join(name).join("catalog/capabilities");
        let mut pins = String::from("[capabilities]\n");
        for (capability, version, lines) in &self.capabilities {
            let home = catalog.join(capability).join(version);
            let text = format!(
                "name = \"{capability}\"\nversion = \"{version}\"\nkind = \"service\"\n{lines}"
            );
            sandbox::write(&home.join("capability.toml"), text);
            let _ = writeln!(pins, "\"{capability}\" = \"{version}\"");
        }
        for (path, content) in &self.files {
            sandbox::write(&catalog.join(path), content);
        }
        let Self {
            product,
            version,
            counter,
            fields,
            ..
        } = self;
        let text = format!(
            "product = \"{product}\"\nversion = \"{version}\"\ncounter = {counter}\npublished = \"2026-03-01T00:00:00Z\"\n{fields}{pins}"
        );
        sandbox.write(format!("{name}/release.toml"), text)
    }
}

fn old() -> Draft {
    Draft::new("2.4.0", 1)
}

fn new() -> Draft {
    Draft::new("2.5.0", 2)
}

/// What `compat` says of two definitions.
fn compat(old: &Draft, new: &Draft) -> Value {
    let sandbox = Sandbox::new();
    let (old, new) = (old.write(&sandbox, "old"), new.write(&sandbox, "new"));
    let bundler = sandbox.program("sealift-bundler");
    let said = bundler
        .args(args!["compat", old, new, "--output", "json"])
        .run();
    said.said().json()
}

/// A row: what it shows, both releases, the least type, and what the changes are about.
type Row = (
    &'static str,
    Draft,
    Draft,
    Option<&'static str>,
    &'static [&'static str],
);

fn hold(rows: Vec<Row>) {
    for (shows, old, new, least, about) in rows {
        let json = compat(&old, &new);
        assert_eq!(json["least-type"], json!(least), "{shows}: {json:#}");
        let changes = json["changes"].as_array().unwrap();
        let found: Vec<&str> = changes
            .iter()
            .map(|c| c["what"].as_str().unwrap())
            .collect();
        assert_eq!(found, about, "{shows}: {json:#}");
    }
}

#[test]
fn versions_of_capabilities_say_how_far_a_release_reaches() {
    let api = |version| old().api(version, "");
    let next = |version| new().api(version, "");
    hold(vec![
        ("nothing", old(), new(), None, &[]),
        (
            "removed",
            old(),
            new().without("core/db"),
            Some("major"),
            &["capability-removed"],
        ),
        (
            "added",
            old(),
            new().also("core/new"),
            Some("minor"),
            &["capability-added"],
        ),
        (
            "patch",
            api("1.0.0"),
            next("1.0.1"),
            Some("patch"),
            &["capability-version"],
        ),
        (
            "minor",
            api("1.0.0"),
            next("1.1.0"),
            Some("minor"),
            &["capability-version"],
        ),
        (
            "major",
            api("1.0.0"),
            next("2.0.0"),
            Some("major"),
            &["capability-version"],
        ),
        (
            "below one",
            api("0.4.0"),
            next("0.5.0"),
            Some("major"),
            &["capability-version"],
        ),
        (
            "lowered",
            api("1.1.0"),
            next("1.0.9"),
            Some("major"),
            &["capability-downgraded"],
        ),
    ]);
}

#[test]
fn what_is_asked_of_a_site_may_only_shrink() {
    let hardware = |amount| format!("[hardware]\nmemory = \"{amount}\"\n");
    let asking = |lines: &str| new().api("1.0.0", lines);
    hold(vec![
        (
            "hardware",
            old().api("1.0.0", &hardware("1 GiB")),
            asking(&hardware("2 GiB")),
            Some("major"),
            &["hardware"],
        ),
        (
            "less hardware",
            old().api("1.0.0", &hardware("2 GiB")),
            asking(&hardware("1 GiB")),
            None,
            &[],
        ),
        (
            "first hardware",
            old(),
            asking(&hardware("1 GiB")),
            Some("major"),
            &["hardware"],
        ),
        (
            "entitlement",
            old(),
            asking("entitlements = [\"gold\"]\n"),
            Some("major"),
            &["entitlement"],
        ),
        (
            "license",
            old(),
            new().field("licensed = true"),
            Some("major"),
            &["license"],
        ),
        (
            "no license any more",
            old().field("licensed = true"),
            new(),
            Some("minor"),
            &["license"],
        ),
        (
            "license and entitlement",
            old(),
            asking("entitlements = [\"gold\"]\n").field("licensed = true"),
            Some("major"),
            &["license", "entitlement"],
        ),
        (
            "upgrade-from",
            old(),
            new().field("upgrade-from = \">=2.3.0\""),
            Some("major"),
            &["upgrade-from"],
        ),
        (
            "wider upgrade-from",
            old().field("upgrade-from = \">=2.3.0\""),
            new().field("upgrade-from = \">=2.2.0\""),
            None,
            &[],
        ),
        (
            "platforms",
            old().field("platforms = [\"linux/amd64\", \"linux/arm64\"]"),
            new().field("platforms = [\"linux/amd64\"]"),
            Some("major"),
            &["platforms"],
        ),
        (
            "another platform",
            old().field("platforms = [\"linux/amd64\"]"),
            new().field("platforms = [\"linux/amd64\", \"linux/arm64\"]"),
            Some("minor"),
            &["platforms"],
        ),
        (
            "floor",
            old(),
            new().field("security-floor = \"2.5.0\""),
            Some("patch"),
            &["security-floor"],
        ),
        (
            "health",
            old(),
            asking("[[health]]\nname = \"up\"\ntcp = \"localhost:80\"\n"),
            Some("patch"),
            &["health"],
        ),
    ]);
}

#[test]
fn migrations_without_a_way_back_break() {
    let sql = "[[artifacts]]\nname = \"up.sql\"\ntype = \"config\"\npath = \"up.sql\"\n";
    let with = |more: &str| {
        let mut draft = new().api(
            "1.0.0",
            &format!("{sql}[[migrations]]\nname = \"0001\"\nup = \"up.sql\"\n{more}"),
        );
        draft
            .files
            .push(("core/api/1.0.0/up.sql".into(), "select 1;".into()));
        draft
    };
    hold(vec![
        ("one way", old(), with(""), Some("major"), &["migration"]),
        (
            "there and back",
            old(),
            with("down = \"up.sql\"\n"),
            Some("patch"),
            &["migration"],
        ),
        (
            "compatible",
            old(),
            with("compatible = true\n"),
            Some("patch"),
            &["migration"],
        ),
        ("made before", with(""), with(""), None, &[]),
        (
            "lost its way back",
            with("down = \"up.sql\"\n"),
            with(""),
            Some("major"),
            &["migration"],
        ),
    ]);
    let json = compat(&old(), &with(""));
    assert_eq!(json["back"]["possible"], false);
    assert_eq!(json["back"]["reasons"][0], "core/api: 0001 has no way back");
}

#[test]
fn configuration_may_only_grow() {
    let port = |maximum: u32| json!({ "properties": { "port": { "maximum": maximum } }, "additionalProperties": false });
    let two = json!({ "properties": { "port": { "maximum": 80 }, "host": {} }, "additionalProperties": false });
    let asked = json!({ "properties": { "port": { "maximum": 80 } }, "additionalProperties": false, "required": ["port"] });
    let (was, is) = (
        |s: &Value, d: &str| old().configured(s, d),
        |s: &Value, d: &str| new().configured(s, d),
    );
    hold(vec![
        (
            "narrower",
            was(&port(80), ""),
            is(&port(79), ""),
            Some("major"),
            &["configuration"],
        ),
        (
            "wider",
            was(&port(80), ""),
            is(&port(81), ""),
            Some("minor"),
            &["configuration"],
        ),
        (
            "the same",
            was(&port(80), "port = 1"),
            is(&port(80), "port = 1"),
            None,
            &[],
        ),
        (
            "new option",
            was(&port(80), ""),
            is(&two, ""),
            Some("minor"),
            &["configuration"],
        ),
        (
            "removed option",
            was(&two, ""),
            is(&port(80), ""),
            Some("major"),
            &["configuration"],
        ),
        (
            "required",
            was(&port(80), ""),
            is(&asked, "port = 1"),
            Some("minor"),
            &["default"],
        ),
        (
            "other default",
            was(&port(80), "port = 1"),
            is(&port(80), "port = 2"),
            Some("minor"),
            &["default"],
        ),
        (
            "first schema",
            old(),
            is(&port(80), ""),
            Some("minor"),
            &["configuration"],
        ),
        (
            "no schema",
            was(&port(80), ""),
            new(),
            Some("major"),
            &["configuration"],
        ),
    ]);
}

/// What `check` says of a release after another, which its definition names.
fn check(old: &Draft, new: Draft) -> Result<Value, Vec<Value>> {
    let sandbox = Sandbox::new();
    old.write(&sandbox, "old");
    let new = new
        .field("previous = \"../old/release.toml\"")
        .write(&sandbox, "new");
    let bundler = sandbox.program("sealift-bundler");
    let outcome = bundler.args(args!["check", new, "--output", "json"]).run();
    let code = outcome.code();
    let json = outcome.said().json();
    match code {
        Some(0) => Ok(json),
        _ => Err(json["problems"].as_array().cloned().unwrap_or_default()),
    }
}

#[test]
fn a_release_may_not_claim_to_be_less_than_it_is() {
    let breaking = |version, counter| {
        Draft::new(version, counter)
            .without("core/db")
            .api("1.1.0", "")
    };
    let rows: [(Draft, &[&str]); 10] = [
        (
            breaking("2.5.0", 2).field("type = \"minor\""),
            &["release-type-too-low"],
        ),
        (breaking("2.5.0", 2), &["release-type-too-low"]),
        (
            Draft::new("2.4.1", 2).api("1.1.0", ""),
            &["release-type-too-low"],
        ),
        (new().field("type = \"patch\""), &["release-type-mismatch"]),
        (new().field("type = \"major\""), &["release-type-mismatch"]),
        (Draft::new("2.4.0", 2), &["version-not-higher"]),
        (
            Draft::new("2.3.9", 1),
            &["counter-not-higher", "version-not-higher"],
        ),
        (
            Draft::new("3.0.0", 2).field("upgrade-from = \">=2.4.1\""),
            &["upgrade-from-excludes-previous"],
        ),
        (
            Draft {
                product: "other",
                ..new()
            },
            &["previous-mismatch"],
        ),
        (Draft::new("2.4.0+rebuilt", 2), &["version-not-higher"]),
    ];
    for (draft, expected) in rows {
        let what = (draft.version, draft.fields.clone());
        let problems = check(&old(), draft).expect_err("a rule is broken");
        let mut codes: Vec<&str> = problems
            .iter()
            .map(|p| p["code"].as_str().unwrap())
            .collect();
        codes.sort_unstable();
        assert_eq!(codes, expected, "{what:?}: {problems:#?}");
    }
    let problems = check(&old(), breaking("2.5.0", 2).field("type = \"minor\"")).unwrap_err();
    let (message, hint) = (
        problems[0]["message"].as_str().unwrap(),
        problems[0]["hint"].as_str().unwrap(),
    );
    assert!(
        message.contains("core/db: is removed, was in version 1.0.0 (breaking)"),
        "{message}"
    );
    assert!(
        !message.contains("core/api"),
        "only what asks for more: {message}"
    );
    assert!(hint.contains("3.0.0"), "{hint}");
    assert_eq!(
        (problems[0]["key"].as_str(), problems[0]["line"].as_u64()),
        (Some("type"), Some(5))
    );
}

#[test]
fn the_type_follows_from_the_version() {
    let rows = [
        (Draft::new("2.4.1", 2).api("1.0.1", ""), "patch"),
        (new().api("1.1.0", ""), "minor"),
        (new().api("1.1.0", "").field("type = \"minor\""), "minor"),
        (Draft::new("3.0.0", 2).without("core/db"), "major"),
    ];
    for (draft, expected) in rows {
        assert_eq!(
            check(&old(), draft).expect("follows the rules")["type"],
            expected
        );
    }
    let early = check(
        &Draft::new("0.4.0", 1),
        Draft::new("0.5.0", 2).without("core/db"),
    );
    assert_eq!(
        early.expect("below 1.0.0 the second number breaks")["type"],
        "major"
    );
}

#[test]
fn defaults_have_to_satisfy_their_schema() {
    let problems = |schema: &Value, defaults: &str| {
        let sandbox = Sandbox::new();
        let definition = old().configured(schema, defaults).write(&sandbox, "old");
        let bundler = sandbox.program("sealift-bundler");
        let said = bundler
            .args(args!["check", definition, "--output", "json"])
            .run()
            .fails_with("definition-invalid");
        said.json()["problems"].as_array().unwrap().clone()
    };
    let schema = json!({ "properties": { "server": { "properties": { "port": { "type": "integer" } } } }, "required": ["server"] });
    let found = problems(&schema, "a = 1\n[server]\n  port = \"x\"\n");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0]["code"], "defaults-invalid");
    assert!(
        found[0]["file"]
            .as_str()
            .unwrap()
            .ends_with("core/api/1.0.0/conf/defaults.toml")
    );
    assert_eq!(
        (&found[0]["key"], &found[0]["line"]),
        (&json!("server.port"), &json!(3))
    );
    for (schema, defaults, code) in [
        (&schema, "a = 1", "defaults-invalid"),
        (&schema, "a = ", "defaults-invalid"),
        (&schema, "server = inf", "defaults-invalid"),
        (&json!({ "type": "text" }), "a = 1", "schema-invalid"),
        (
            &json!({ "$ref": "https://example.org/s.json" }),
            "a = 1",
            "schema-invalid",
        ),
        (
            &json!({ "$ref": "file:///etc/hostname" }),
            "a = 1",
            "schema-invalid",
        ),
        (&json!({ "$ref": "#" }), "a = 1", "defaults-invalid"),
        (
            &json!({ "pattern": "((a{1,1000}){1,1000}){1,1000}" }),
            "a = 1",
            "schema-invalid",
        ),
    ] {
        let found = problems(schema, defaults);
        assert_eq!(found[0]["code"], code, "{schema}, {defaults}: {found:#?}");
    }
}

/// Two bundles, and what a site says to the second one.
struct Bundles {
    vendor: Vendor,
    old: PathBuf,
    new: PathBuf,
}

impl Bundles {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let vendor = Vendor::new(&sandbox);
        let old = vendor.build(
            &old()
                .api("1.0.0", "[hardware]\ndisk = \"2 GB\"\n")
                .write(&sandbox, "old"),
        );
        let new = new()
            .api("1.1.0", "[hardware]\ndisk = \"2 GB\"\n")
            .field("security-floor = \"2.5.0\"\nseverity = \"high\"\nfixes = [\"CVE-2026-1234\"]")
            .write(&sandbox, "new");
        let out = new.with_extension("bundle");
        let build = vendor.build_command(&new, &out);
        build.args(args!["--previous", old]).run().ok();
        Self {
            vendor,
            old,
            new: out,
        }
    }

    fn compat(&self, root: &Path, facts: Option<&Value>) -> sealift_tests::program::Outcome {
        let bundler = self.vendor.sandbox.program("sealift-bundler");
        let bundler = bundler.args(args![
            "compat", self.old, self.new, "--root", root, "--output", "json"
        ]);
        let Some(facts) = facts else {
            return bundler.run();
        };
        let file = self.vendor.sandbox.write("facts.json", facts.to_string());
        bundler.args(args!["--site", file]).run()
    }

    fn at(&self, facts: &Value, code: i32) -> Said {
        self.compat(&self.vendor.root(), Some(facts)).exits(code)
    }
}

#[test]
fn a_customer_learns_from_two_bundles_what_an_upgrade_means() {
    let bundles = Bundles::new();
    let json = bundles.compat(&bundles.vendor.root(), None).ok().json();
    assert_eq!(
        (&json["from"], &json["to"], &json["type"]),
        (&json!("2.4.0"), &json!("2.5.0"), &json!("minor"))
    );
    assert_eq!(
        (&json["compatible"], &json["upgrade"]["possible"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(
        json["back"]["possible"], false,
        "the floor rises above 2.4.0"
    );
    assert_eq!(json["site"], Value::Null);

    let digest = "0".repeat(64);
    let facts = |change: Value| {
        let mut facts = json!({
            "format": 1, "product": "acme", "counter": 1, "security-floor": null, "mode": null, "platform": "linux/amd64",
            "installed": { "version": "2.4.0", "release-digest": digest },
            "hardware": { "cpu": 4, "memory": 8_589_934_592_u64, "disk": 3_000_000_000_u64, "gpu": 0 },
        });
        facts
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        facts
    };
    let json = bundles.at(&facts(json!({})), 0).json();
    assert_eq!(json["site"]["possible"], true);
    assert_eq!(json["site"]["runs-other"], "another release 2.4.0");
    assert_eq!(json["site"]["unchecked"], json!([]));
    // What a site does not say is not held against anything, and that is told.
    let silent = json!({ "product": null, "counter": null, "platform": null, "hardware": {} });
    let json = bundles.at(&facts(silent), 0).json();
    assert_eq!(
        json["site"]["unchecked"],
        json!(["product", "counter", "hardware.disk"])
    );
    for (change, code) in [
        (json!({ "product": "other" }), "product-mismatch"),
        (json!({ "counter": 3 }), "counter-too-low"),
        (json!({ "security-floor": "2.6.0" }), "below-security-floor"),
        (
            json!({ "hardware": { "disk": 1 } }),
            "hardware-insufficient",
        ),
        (
            json!({ "pins": [{ "level": "capability", "name": "core/api", "version": "1.0.0", "reason": "audit" }] }),
            "pinned",
        ),
    ] {
        let json = bundles.at(&facts(change.clone()), 4).json();
        assert_eq!(json["site"]["denials"][0]["code"], code, "{change}");
        assert_eq!(json["compatible"], false);
    }
    bundles.at(&facts(json!({ "more": 1 })), 1);
    bundles
        .compat(&bundles.vendor.root(), Some(&json!({ "format": 2 })))
        .fails_with("facts-invalid");

    let stranger = Vendor::new(&Sandbox::new());
    bundles.compat(&stranger.root(), None).exits(3);
}

#[test]
fn an_upgrade_that_is_excluded_ends_with_4() {
    let sandbox = Sandbox::new();
    let from = old().write(&sandbox, "old");
    let to = Draft::new("3.0.0", 2)
        .field("upgrade-from = \">=2.5.0\"")
        .write(&sandbox, "new");
    let bundler = sandbox.program("sealift-bundler");
    let said = bundler.args(args!["compat", from, to]).run().exits(4);
    assert_eq!(
        said.text(),
        "acme 2.4.0 -> 3.0.0\n\
         the release:\n  breaking  it can be upgraded to from >=2.5.0, was from any version\n\
         at least a major release\n\
         upgrade: not possible: 3.0.0 follows >=2.5.0, which 2.4.0 does not meet\n\
         going back afterwards: possible\n"
    );
}
