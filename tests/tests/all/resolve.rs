//! Deciding on versions: every branch of the order, both source systems' own examples, locks, and what is said
//! where there is no answer.

mod locks;
mod messages;
mod sources;
mod why;

use std::{fmt::Write as _, path::PathBuf};

use sealift_tests::{
    program::Outcome,
    sandbox::{Sandbox, write},
};
use serde_json::Value;

/// A release definition with a catalog.
pub(super) struct Catalog {
    pub(super) sandbox: Sandbox,
}

impl Catalog {
    /// `release` is what the definition says beside its name and date.
    pub(super) fn new(release: &str) -> Self {
        let catalog = Self {
            sandbox: Sandbox::new(),
        };
        catalog.release(release);
        std::fs::create_dir(catalog.sandbox.join("catalog")).unwrap();
        catalog
    }

    /// Writes the definition anew.
    pub(super) fn release(&self, release: &str) {
        let head = "product = \"acme\"\nversion = \"2.5.0\"\ncounter = 1\npublished = \"2026-03-01T00:00:00Z\"\n";
        write(&self.definition(), format!("{head}{release}"));
    }

    pub(super) fn definition(&self) -> PathBuf {
        self.sandbox.join("acme-2.5.0.toml")
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.sandbox.join("acme-2.5.0.lock")
    }

    /// A capability in a version, such as `core/api 2.1.0`, with what follows its kind.
    pub(super) fn capability(&self, id: &str, body: &str) -> &Self {
        let (name, version) = id.split_once(' ').unwrap();
        let text =
            format!("name = \"{name}\"\nversion = \"{version}\"\nkind = \"service\"\n{body}");
        let path = format!("catalog/capabilities/{name}/{version}/capability.toml");
        self.sandbox.write(path, text);
        self
    }

    /// The same in several versions that say nothing else.
    pub(super) fn versions(&self, name: &str, versions: &[&str]) -> &Self {
        for version in versions {
            self.capability(&format!("{name} {version}"), "");
        }
        self
    }

    pub(super) fn suite(&self, id: &str, members: &str) -> &Self {
        self.listing("suites", id, &format!("[capabilities]\n{members}"))
    }

    pub(super) fn platform(&self, version: &str, members: &str) -> &Self {
        let id = format!("acme {version}");
        self.listing("platforms", &id, &format!("[suites]\n{members}"))
    }

    fn listing(&self, level: &str, id: &str, body: &str) -> &Self {
        let (name, version) = id.split_once(' ').unwrap();
        let file = level.trim_end_matches('s');
        let text = format!("name = \"{name}\"\nversion = \"{version}\"\n{body}");
        self.sandbox.write(
            format!("catalog/{level}/{name}/{version}/{file}.toml"),
            text,
        );
        self
    }

    /// Runs the program where the definition lies.
    pub(super) fn run(&self, args: &[&str]) -> Outcome {
        let bundler = self.sandbox.program("sealift-bundler");
        bundler.args(args).within(self.sandbox.path()).run()
    }

    /// What `resolve` says to machines, without writing.
    #[track_caller]
    pub(super) fn resolved(&self, more: &[&str]) -> Value {
        let args = [
            "--output",
            "json",
            "resolve",
            "acme-2.5.0.toml",
            "--dry-run",
        ];
        let args: Vec<&str> = args.iter().chain(more).copied().collect();
        self.run(&args).ok().json()
    }

    /// Asserts what is in the release: `name version rule`.
    #[track_caller]
    pub(super) fn decides(&self, more: &[&str], expected: &[&str]) {
        let json = self.resolved(more);
        assert_eq!(capabilities(&json["resolutions"][0]), expected);
    }
}

/// `name version rule` of all that is in a resolution.
pub(super) fn capabilities(resolution: &Value) -> Vec<String> {
    let all = resolution["capabilities"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.iter()
        .map(|c| {
            format!(
                "{} {} {}",
                text(&c["name"]),
                text(&c["version"]),
                text(&c["rule"])
            )
        })
        .collect()
}

/// What ID-1 5.2 asks for, from the closest pin to the latest available.
#[test]
fn the_closest_pin_decides() {
    let catalog = Catalog::new("[capabilities]\n\"core/api\" = \"*\"\n");
    catalog
        .versions("core/api", &["1.0.0", "1.1.0", "1.2.0", "1.3.0"])
        .suite("core 1.0.0", "\"core/api\" = \"1.0.0\"\n")
        .suite("core 1.1.0", "\"core/api\" = \"1.1.0\"\n")
        .platform("2.5.0", "core = \"1.0.0\"\n");
    catalog.decides(&[], &["core/api 1.3.0 latest"]);
    catalog.release("platform = \"2.5.0\"\n");
    catalog.decides(&[], &["core/api 1.0.0 platform"]);
    catalog.release("platform = \"2.5.0\"\n[suites]\ncore = \"1.1.0\"\n");
    catalog.decides(&[], &["core/api 1.1.0 suite"]);
    let pin = "[capabilities]\n\"core/api\" = \"1.2.0\"\n";
    catalog.release(&format!(
        "platform = \"2.5.0\"\n[suites]\ncore = \"1.1.0\"\n{pin}"
    ));
    catalog.decides(&[], &["core/api 1.2.0 capability"]);
    // Without a pin, the latest suite release of a range, and what only others require.
    catalog.capability("core/web 1.0.0", "[requires]\n\"core/api\" = \"<1.3\"\n");
    catalog.release("[suites]\ncore = \"^1\"\n");
    catalog.decides(&[], &["core/api 1.1.0 suite"]);
    catalog.release("[capabilities]\n\"core/web\" = \"1.0.0\"\n");
    catalog.decides(&[], &["core/api 1.2.0 latest", "core/web 1.0.0 capability"]);
}

#[test]
fn the_suite_that_is_pinned_goes_before_one_of_the_platform() {
    let catalog = Catalog::new("platform = \"2.5.0\"\n[suites]\nextra = \"1.0.0\"\n");
    catalog
        .versions("core/api", &["1.0.0", "1.1.0"])
        .suite("core 1.0.0", "\"core/api\" = \"1.0.0\"\n")
        .suite("extra 1.0.0", "\"core/api\" = \"1.1.0\"\n")
        .platform("2.5.0", "core = \"1.0.0\"\n");
    catalog.decides(&[], &["core/api 1.1.0 suite"]);
}

/// A range fixes nothing, wherever it is written: the latest that it allows decides, and that is what is told.
#[test]
fn a_range_is_no_pin() {
    let catalog = Catalog::new("platform = \"2.5.0\"\n[suites]\nextra = \"^1\"\n");
    catalog
        .versions("core/api", &["2.0.0", "2.1.0", "3.0.0"])
        .versions("core/auth", &["1.0.0", "1.1.0"])
        .versions("extra/map", &["1.0.0", "1.1.0"])
        .versions("extra/pin", &["1.0.0", "1.1.0"])
        .suite("core 1.0.0", "\"core/api\" = \"^2\"\n")
        .suite(
            "core 1.1.0",
            "\"core/api\" = \"^2\"\n\"core/auth\" = \"1.0.0\"\n",
        )
        .suite(
            "extra 1.0.0",
            "\"extra/map\" = \"<1.1\"\n\"extra/pin\" = \"1.0.0\"\n",
        )
        .platform("2.5.0", "core = \"~1.1\"\n");
    catalog.decides(
        &[],
        &[
            "core/api 2.1.0 latest",
            "core/auth 1.0.0 platform",
            "extra/map 1.0.0 latest",
            "extra/pin 1.0.0 suite",
        ],
    );
    let said = catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    assert_eq!(
        said.text(),
        "acme 2.5.0: 4 capabilities\n\
         \x20 + platform     2.5.0  pinned\n\
         \x20 + suite core   1.1.0  latest that \"~1.1\" in the platform allows\n\
         \x20 + suite extra  1.0.0  latest that \"^1\" in the release definition allows\n\
         \x20 + core/api     2.1.0  latest that \"^2\" in suite core 1.1.0 allows\n\
         \x20 + core/auth    1.0.0  platform core 1.1.0\n\
         \x20 + extra/map    1.0.0  latest that \"<1.1\" in suite extra 1.0.0 allows\n\
         \x20 + extra/pin    1.0.0  suite extra 1.0.0\n\
         acme-2.5.0.lock written\n"
    );
    // The lock keeps it, word for word.
    let lock = std::fs::read_to_string(catalog.lock()).unwrap();
    for line in [
        "rule = \"latest\"\nrange = { of = \"suite\", allows = \"<1.1\" }\nsuite = \"extra 1.0.0\"\n",
        "range = { of = \"platform\", allows = \"~1.1\" }\n",
    ] {
        assert!(lock.contains(line), "{line}: {lock}");
    }
    catalog.run(&["check", "--locked", "acme-2.5.0.toml"]).ok();
    let said = catalog.run(&["tree", "acme-2.5.0.toml"]).ok();
    assert_eq!(
        said.text(),
        "acme 2.5.0\n\
         platform 2.5.0\n\
         suite core 1.1.0, latest that \"~1.1\" in the platform allows\n\
         \x20 core/api 2.1.0, latest that \"^2\" in suite core 1.1.0 allows\n\
         \x20 core/auth 1.0.0\n\
         suite extra 1.0.0, latest that \"^1\" in the release definition allows\n\
         \x20 extra/map 1.0.0, latest that \"<1.1\" in suite extra 1.0.0 allows\n\
         \x20 extra/pin 1.0.0\n"
    );
    // Of two suites that both have a say, the one that names a version has the last word.
    catalog
        .suite("more 1.0.0", "\"extra/map\" = \"1.0.0\"\n")
        .release("[suites]\nextra = \"1.0.0\"\nmore = \"1.0.0\"\n");
    catalog.decides(&[], &["extra/map 1.0.0 suite", "extra/pin 1.0.0 suite"]);
    // What the release definition says goes before both, be it a range.
    catalog.release("[suites]\nextra = \"1.0.0\"\n[capabilities]\n\"extra/map\" = \">1.0\"\n");
    let said = catalog
        .run(&["--output", "json", "why", "acme-2.5.0.toml", "extra/map"])
        .ok()
        .json();
    assert_eq!(said["version"], "1.1.0");
    assert_eq!(said["rule"], "latest");
    assert_eq!(
        said["range"],
        serde_json::json!({ "of": "capability", "allows": ">1.0" })
    );
    assert_eq!(
        said["because"][1]["text"],
        "suite extra 1.0.0 lists, and the release definition replaces, extra/map <1.1"
    );
}

#[test]
fn pre_releases_and_withdrawn_versions_enter_only_by_their_names() {
    let catalog = Catalog::new("[capabilities]\n\"core/api\" = \">=1\"\n");
    catalog
        .versions("core/api", &["1.0.0", "2.1.0-rc.1"])
        .capability(
            "core/api 2.0.0",
            "yanked = true\nyanked-reason = \"loses data\"\n",
        )
        .capability(
            "core/web 1.0.0",
            "[requires]\n\"core/api\" = \">=2.0, <3\"\n",
        )
        .capability(
            "core/new 1.0.0",
            "[requires]\n\"core/api\" = \">=2.1.0-rc.1\"\n",
        );
    catalog.decides(&[], &["core/api 1.0.0 latest"]);
    // A pin is judged by its order.
    catalog.release("[capabilities]\n\"core/api\" = \"2.1.0-rc.1\"\n\"core/web\" = \"*\"\n");
    catalog.decides(
        &[],
        &["core/api 2.1.0-rc.1 capability", "core/web 1.0.0 latest"],
    );
    for upper in ["", ", <=2.1", ", <3"] {
        let requires = format!("[requires]\n\"core/api\" = \">=2.1.0-rc.1{upper}\"\n");
        catalog.capability("core/new 1.0.0", &requires);
        catalog.release("[capabilities]\n\"core/new\" = \"*\"\n");
        catalog.decides(
            &[],
            &["core/api 2.1.0-rc.1 latest", "core/new 1.0.0 latest"],
        );
    }
    catalog.release("[capabilities]\n\"core/api\" = \"2.0.0\"\n\"core/web\" = \"*\"\n");
    let json = catalog.resolved(&[]);
    let api = &json["resolutions"][0]["capabilities"][0];
    assert_eq!(
        (api["version"].as_str(), api["yanked"].as_str()),
        (Some("2.0.0"), Some("loses data"))
    );
}

#[test]
fn conflicts_turn_the_choice_to_an_older_version() {
    let catalog = Catalog::new("[capabilities]\n\"core/api\" = \"*\"\n\"core/web\" = \"*\"\n");
    catalog
        .versions("core/api", &["1.0.0", "2.0.0"])
        .versions("core/web", &["1.0.0"])
        .capability("core/web 2.0.0", "[conflicts]\n\"core/api\" = \"*\"\n")
        // Nothing asks for it, so it may be spoken of.
        .capability("core/web 1.0.0", "[conflicts]\n\"core/old\" = \"*\"\n")
        .versions("core/old", &["1.0.0"]);
    catalog.decides(&[], &["core/api 2.0.0 latest", "core/web 1.0.0 latest"]);
}

/// The order in which a file system lists its files says nothing: here it is that in which they were made.
#[test]
fn the_order_of_files_changes_nothing() {
    let names = ["core/api", "core/store", "web/shop", "ml/ranker"];
    let make = |order: &mut dyn Iterator<Item = usize>| {
        let catalog = Catalog::new("[capabilities]\n\"web/shop\" = \"*\"\n");
        for number in order {
            let (name, minor) = (names[number % 4], number / 4);
            let other = names[(number + 1) % 4];
            let requires = match number % 4 {
                3 => String::new(),
                _ => format!("[requires]\n\"{other}\" = \"<1.{}\"\n", minor + 1),
            };
            catalog.capability(&format!("{name} 1.{minor}.0"), &requires);
        }
        let _ = catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
        std::fs::read_to_string(catalog.lock()).unwrap()
    };
    let lock = make(&mut (0..40));
    assert_eq!(make(&mut (0..40).rev()), lock);
    assert_eq!(make(&mut (0..40).map(|n| n * 7 % 40)), lock);
}

#[test]
fn ten_thousand_definitions_are_read_and_every_bad_one_is_told() {
    let catalog = Catalog::new("[capabilities]\n\"s0/c0\" = \"*\"\n");
    for number in 0..10_000 {
        let (name, minor) = (number / 20, number % 20);
        let requires = match name {
            499 => String::new(),
            _ => format!("[requires]\n\"s{0}/c{0}\" = \"*\"\n", name + 1),
        };
        catalog.capability(&format!("s{name}/c{name} 1.{minor}.0"), &requires);
    }
    let said = catalog.resolved(&[]);
    let found = capabilities(&said["resolutions"][0]);
    assert_eq!(found.len(), 500);
    assert_eq!(found[1], "s1/c1 1.19.0 latest");

    for number in 0..50 {
        catalog.capability(&format!("s{number}/c{number} 1.3.0"), "colour = 1\n");
    }
    let said = catalog
        .run(&["resolve", "acme-2.5.0.toml"])
        .fails_with("definition-invalid");
    assert_eq!(said.stderr.matches("unknown-key").count(), 50);
}

/// What decides does not depend on how many versions there are that nobody takes.
#[test]
fn older_versions_decide_nothing() {
    let catalog = Catalog::new("[capabilities]\n\"a/y\" = \"*\"\n\"a/z\" = \"*\"\n");
    catalog
        .versions("a/y", &["1.0.0"])
        .versions("a/z", &["1.0.0", "2.0.0"])
        .capability("a/y 2.0.0", "[requires]\n\"a/z\" = \"<2\"\n");
    let expected = ["a/y 2.0.0 latest", "a/z 1.0.0 latest"];
    catalog.decides(&[], &expected);
    catalog.versions("a/y", &["0.0.1", "0.0.2", "0.0.3"]);
    catalog.decides(&[], &expected);
    // What is asked for goes before what is only required.
    catalog.release("[capabilities]\n\"b/b\" = \"*\"\n\"c/c\" = \"*\"\n");
    catalog
        .versions("a/a", &["1.0.0", "2.0.0"])
        .capability("c/c 1.0.0", "")
        .capability("c/c 2.0.0", "[requires]\n\"a/a\" = \"<2\"\n")
        .capability("b/b 1.0.0", "[requires]\n\"a/a\" = \"*\"\n");
    let expected = ["a/a 1.0.0 latest", "b/b 1.0.0 latest", "c/c 2.0.0 latest"];
    catalog.decides(&[], &expected);
}

/// A pre-release enters by the name that a listing gives it, if that listing has a say.
#[test]
fn a_listing_that_is_replaced_names_no_pre_release() {
    let catalog = Catalog::new("[suites]\na = \"1.0.0\"\n[capabilities]\n\"a/x\" = \">=2\"\n");
    catalog
        .versions("a/x", &["2.0.0", "3.0.0-rc.1"])
        .suite("a 1.0.0", "\"a/x\" = \"3.0.0-rc.1\"\n");
    catalog.decides(&[], &["a/x 2.0.0 latest"]);
    catalog.release("[suites]\na = \"1.0.0\"\n");
    catalog.decides(&[], &["a/x 3.0.0-rc.1 suite"]);
    catalog.release("platform = \"1.0.0\"\n[suites]\nb = \"1.0.0\"\n");
    catalog
        .platform("1.0.0", "a = \"1.0.0\"\n")
        .suite("b 1.0.0", "\"a/x\" = \">=2\"\n");
    catalog.decides(&[], &["a/x 2.0.0 latest"]);
}

#[test]
fn build_metadata_does_not_make_another_version() {
    let catalog = Catalog::new("platform = \"1.0.0\"\n[capabilities]\n\"a/x\" = \"1.0.0\"\n");
    catalog
        .versions("a/x", &["1.0.0+build.5"])
        .platform("1.0.0+p", "a = \"1.0.0\"\n")
        .suite("a 1.0.0+s", "\"a/x\" = \"1.0.0\"\n");
    catalog.decides(&[], &["a/x 1.0.0+build.5 capability"]);
    catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    catalog.run(&["check", "--locked", "acme-2.5.0.toml"]).ok();
    catalog.release("[capabilities]\n\"a/x\" = \"1.0.0+build.6\"\n");
    let said = catalog.run(&["resolve", "acme-2.5.0.toml"]);
    let said = said.fails_with("definition-invalid");
    assert!(
        said.stderr.contains("only 1.0.0+build.5"),
        "{}",
        said.stderr
    );
    for wanted in ["=1.0.0+build.6", "^1.0.0+b"] {
        catalog.release(&format!("[capabilities]\n\"a/x\" = \"{wanted}\"\n"));
        let said = catalog.run(&["resolve", "acme-2.5.0.toml"]);
        let said = said.fails_with("definition-invalid");
        assert!(said.stderr.contains("leave it out"), "{}", said.stderr);
    }
}

/// A version that is withdrawn, and pinned all the same, says so wherever it is told, up to the release manifest.
#[test]
fn what_is_withdrawn_and_pinned_says_so() {
    let sandbox = Sandbox::new();
    let vendor = sealift_tests::vendor::Vendor::new(&sandbox);
    let definition = vendor
        .release("1.0.0", 1)
        .capability("core/app", "service")
        .lines("yanked = true\nyanked-reason = \"loses data\"\n")
        .file("data", "some data")
        .define();
    let told = "pinned, although withdrawn: loses data";
    for verb in ["resolve", "tree"] {
        let said = vendor.bundler(sealift_tests::args![verb, definition]).ok();
        assert!(said.text().contains(told), "{}", said.text());
    }
    let bundle = vendor.build(&definition);
    let verifier = sandbox.program("sealift-verifier");
    let args = sealift_tests::args!["inspect", bundle, "release", "--root", vendor.root()];
    let said = verifier.args(args).run().ok();
    assert!(said.text().contains(told), "{}", said.text());
}

/// It takes as long as there is hope, and some seconds more.
#[test]
fn a_riddle_ends() {
    let catalog = Catalog::new("");
    let names: [String; 10] = std::array::from_fn(|n| format!("p/c{n}"));
    for name in &names {
        for version in 0..9 {
            let others = names.iter().filter(|other| *other != name);
            let mut conflicts = String::new();
            for other in others {
                let _ = writeln!(conflicts, "\"{other}\" = \"=1.{version}.0\"");
            }
            let id = format!("{name} 1.{version}.0");
            catalog.capability(&id, &format!("[conflicts]\n{conflicts}"));
        }
    }
    let pins = names.map(|name| format!("\"{name}\" = \"*\"\n")).concat();
    catalog.release(&format!("[capabilities]\n{pins}"));
    let said = catalog.run(&["resolve", "acme-2.5.0.toml"]);
    let said = said.fails_with("definition-invalid");
    let told = "acme-2.5.0.toml: what is asked for is not decided after";
    assert!(said.stderr.contains(told), "{}", said.stderr);
}
