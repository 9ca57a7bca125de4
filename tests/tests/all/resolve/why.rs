//! Why a version is in a release, and above all why a later one is not: each answer has to be true.

use super::Catalog;

impl Catalog {
    /// What `why` says.
    #[track_caller]
    fn why(&self, name: &str, more: &[&str]) -> String {
        let args: Vec<&str> = ["why", "acme-2.5.0.toml", name]
            .iter()
            .chain(more)
            .copied()
            .collect();
        self.run(&args).ok().text().to_owned()
    }
}

#[test]
fn what_a_lock_keeps_and_what_cannot_be_are_told_apart() {
    let catalog = Catalog::new("[capabilities]\n\"a/x\" = \"^1\"\n\"a/z\" = \"1.0.0\"\n");
    catalog
        .versions("a/x", &["1.0.0"])
        .versions("a/z", &["1.0.0", "2.0.0"]);
    catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    catalog
        .capability("a/y 2.0.0", "[requires]\n\"a/z\" = \"^2\"\n")
        .capability("a/x 1.1.0", "[requires]\n\"a/y\" = \"^2\"\n");
    let said = catalog.why("a/x", &[]);
    // The cause lies two steps away.
    for told in [
        "not 1.1.0:\n  with it, no version of a/z suits all that have a say in it",
        "    acme-2.5.0.toml:7:1: the release pins a/z to 1.0.0\n",
        "    catalog/capabilities/a/y/2.0.0/capability.toml:5:1: a/y 2.0.0 requires a/z ^2\n",
    ] {
        assert!(said.contains(told), "{told} in {said}");
    }
    assert!(!said.contains("the lock keeps"), "{said}");
    let moved = catalog.run(&["update", "acme-2.5.0.toml", "a/x"]).ok();
    assert!(moved.text().contains("stays as it is"), "{}", moved.text());

    catalog.versions("a/x", &["1.0.1"]);
    let said = catalog.why("a/x", &[]);
    assert!(
        said.contains(
            "not 1.0.1:\n  the lock keeps what it has: `sealift-bundler update … a/x` lets it move"
        ),
        "{said}"
    );
    let moved = catalog.run(&["update", "acme-2.5.0.toml", "a/x"]).ok();
    assert!(moved.text().contains("1.0.0 -> 1.0.1"), "{}", moved.text());

    // Something that it needs does not exist at all.
    catalog.capability("a/x 1.2.0", "[requires]\n\"b/gone\" = \"^1\"\n");
    let said = catalog.why("a/x", &[]);
    assert!(said.contains("but the catalog has no b/gone"), "{said}");
}

#[test]
fn a_choice_between_two_is_told_as_one() {
    let catalog = Catalog::new("[capabilities]\n\"a/y\" = \"*\"\n\"a/z\" = \"*\"\n");
    catalog
        .versions("a/y", &["1.0.0"])
        .versions("a/z", &["1.0.0", "2.0.0"])
        .capability("a/y 2.0.0", "[requires]\n\"a/w\" = \"*\"\n")
        .capability("a/w 1.0.0", "[requires]\n\"a/z\" = \"<2\"\n");
    let said = catalog.why("a/z", &[]);
    assert!(
        said.contains("not 2.0.0:\n  a/w 1.0.0 requires a/z <2"),
        "{said}"
    );
    catalog
        .versions("b/b", &["1.0.0", "2.0.0"])
        .capability("a/y 3.0.0", "[requires]\n\"b/b\" = \"^1\"\n")
        .capability("c/c 2.0.0", "[requires]\n\"b/b\" = \"^2\"\n")
        .versions("c/c", &["1.0.0"]);
    catalog.release("[capabilities]\n\"a/y\" = \"*\"\n\"c/c\" = \"*\"\n");
    let said = catalog.why("c/c", &[]);
    let told = "not 2.0.0:\n  it requires b/b ^2, which is here in 1.0.0";
    assert!(said.contains(told), "{said}");
}

#[test]
fn listings_that_are_replaced_speak_against_nothing() {
    let catalog = Catalog::new("platform = \"1.0.0\"\n[suites]\nb = \"1.0.0\"\n");
    catalog
        .platform("1.0.0", "a = \"1.0.0\"\n")
        .suite("a 1.0.0", "\"a/x\" = \"1.0.0\"\n")
        .suite("b 1.0.0", "\"a/x\" = \"2.0.0\"\n")
        .versions("a/x", &["1.0.0", "2.0.0", "3.0.0"]);
    let said = catalog.why("a/x", &[]);
    assert!(
        said.contains("suite a 1.0.0 lists, and suite b 1.0.0 replaces, a/x 1.0.0"),
        "{said}"
    );
    assert!(
        said.contains("not 3.0.0:\n  suite b 1.0.0 lists a/x 2.0.0"),
        "{said}"
    );
    assert!(!said.contains("  suite a 1.0.0 lists a/x"), "{said}");
}

#[test]
fn suites_have_reasons_too() {
    let catalog = Catalog::new("platform = \"1.0.0\"\n[suites]\nvoice = \"*\"\n");
    catalog
        .platform("1.0.0", "core = \"1.0.0\"\n")
        .suite("core 1.0.0", "\"a/x\" = \"1.0.0\"\n")
        .suite("core 1.1.0", "\"a/x\" = \"1.0.0\"\n")
        .suite("voice 1.0.0", "\"v/v\" = \"1.0.0\"\n")
        .suite("voice 2.0.0", "\"v/v\" = \"2.0.0\"\n")
        .versions("a/x", &["1.0.0"])
        .versions("v/v", &["1.0.0"]);
    let said = catalog.why("voice", &[]);
    for told in [
        "suite voice 1.0.0: latest that \"*\" in the release definition allows\n",
        "  the release definition asks for suite voice * (acme-2.5.0.toml:7:1)\n",
        "not 2.0.0:\n  with it, suite voice 2.0.0 lists v/v 2.0.0, but of it there is only 1.0.0",
    ] {
        assert!(said.contains(told), "{told} in {said}");
    }
    let said = catalog.why("core", &[]);
    for told in [
        "suite core 1.0.0: platform\n  platform acme 1.0.0 lists suite core 1.0.0",
        "not 1.1.0:\n  platform acme 1.0.0 lists suite core 1.0.0",
    ] {
        assert!(said.contains(told), "{told} in {said}");
    }
    let json = catalog.run(&["--output", "json", "why", "acme-2.5.0.toml", "voice"]);
    let json = json.ok().json();
    assert_eq!(json["suite"], "voice");
    assert_eq!(json["later"][0]["version"], "2.0.0");
}

/// A lock that is several versions behind, and a version that another capability stands in for.
#[test]
fn what_goes_before_a_version_is_named() {
    let catalog = Catalog::new("[capabilities]\n\"s/a\" = \"*\"\n");
    catalog.versions("s/a", &["1.0.0"]);
    catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    catalog.versions("s/a", &["1.1.0", "1.2.0"]);
    let said = catalog.why("s/a", &[]);
    for told in [
        "not 1.2.0:\n  the lock keeps what it has",
        "not 1.1.0:\n  1.2.0 goes before it (catalog/capabilities/s/a/1.1.0/capability.toml)\n",
    ] {
        assert!(said.contains(told), "{said}");
    }
    let catalog = Catalog::new("modes = [\"edge\"]\n[capabilities]\n\"s/a\" = \"*\"\n");
    catalog
        .versions("s/a", &["1.0.0"])
        .versions("s/b", &["1.0.0"]);
    catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    catalog.capability(
        "s/a 1.1.0",
        "modes = [\"saas\"]\n[conflicts]\n\"s/b\" = \"*\"\n[substitutes]\nedge = \"s/b\"\n",
    );
    let said = catalog.why("s/a", &[]);
    assert!(
        said.contains("not 1.1.0:\n  the lock keeps what it has"),
        "{said}"
    );
    assert!(!said.contains("may not run"), "{said}");
    let moved = catalog.run(&["update", "acme-2.5.0.toml", "s/a"]).ok();
    assert!(moved.text().contains("+ s/b"), "{}", moved.text());
}
