//! The lock: what it keeps, what lets it move, and when it is refused.

use std::fs;

use sealift_tests::{args, sandbox::read, vendor::Vendor};

use super::Catalog;

fn web_and_api() -> Catalog {
    let catalog = Catalog::new("[capabilities]\n\"core/web\" = \"*\"\n");
    catalog
        .versions("core/api", &["2.0.0", "2.1.0"])
        .capability(
            "core/web 1.2.0",
            "[requires]\n\"core/api\" = \">=2.0, <3\"\n",
        );
    catalog
}

#[test]
fn what_is_locked_stays_until_it_is_let_go() {
    let catalog = web_and_api();
    let said = catalog
        .run(&["check", "--locked", "acme-2.5.0.toml"])
        .fails_with("definition-invalid");
    assert!(said.stderr.contains("[lock-missing]"), "{}", said.stderr);
    catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    let first = read(&catalog.lock());
    catalog.run(&["check", "--locked", "acme-2.5.0.toml"]).ok();

    // Later versions do not make it stale, nor does resolving once more take them.
    catalog.versions("core/api", &["2.2.0"]);
    catalog.run(&["check", "--locked", "acme-2.5.0.toml"]).ok();
    let again = catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    assert!(
        again.text().ends_with("acme-2.5.0.lock stays as it is\n"),
        "{}",
        again.text()
    );
    assert_eq!(read(&catalog.lock()), first);
    let dry = catalog
        .run(&["update", "acme-2.5.0.toml", "core/web", "--dry-run"])
        .ok();
    assert!(!dry.text().contains("core/api"), "{}", dry.text());
    let dry = catalog
        .run(&["update", "acme-2.5.0.toml", "core/api", "--dry-run"])
        .ok();
    assert!(
        dry.text().contains("~ core/api  2.1.0 -> 2.2.0"),
        "{}",
        dry.text()
    );
    assert_eq!(read(&catalog.lock()), first);
    catalog.run(&["update", "acme-2.5.0.toml"]).ok();
    assert_ne!(read(&catalog.lock()), first);
    catalog.run(&["check", "--locked", "acme-2.5.0.toml"]).ok();
}

/// What is required in one version only goes on with what requires it, whether the release definition names it or not.
#[test]
fn what_is_let_go_takes_with_it_what_has_to_follow() {
    let both_of = |catalog: &Catalog, version: &str| {
        let lib = format!("[requires]\n\"x/lib\" = \"={version}\"\n");
        catalog
            .capability(&format!("x/lib {version}"), "")
            .capability(&format!("x/app {version}"), &lib);
    };
    let catalog = Catalog::new("[capabilities]\n\"x/app\" = \"^1\"\n\"z/z\" = \"*\"\n");
    both_of(&catalog, "1.0.0");
    catalog.versions("z/z", &["1.0.0"]);
    catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    both_of(&catalog, "1.1.0");
    catalog.versions("z/z", &["1.1.0"]);
    let why = catalog.run(&["why", "acme-2.5.0.toml", "x/lib"]).ok();
    let told = "not 1.1.0:\n  the lock keeps what it has: `sealift-bundler update … x/lib` lets it move (catalog/capabilities/x/lib/1.1.0/capability.toml)\n  x/app 1.0.0 requires x/lib =1.0.0 (catalog";
    assert!(why.text().contains(told), "{}", why.text());
    let moved = catalog.run(&["update", "acme-2.5.0.toml", "x/lib"]).ok();
    for (told, is_told) in [
        ("~ x/app  1.0.0 -> 1.1.0", true),
        ("~ x/lib  1.0.0 -> 1.1.0", true),
        ("z/z", false),
    ] {
        assert_eq!(moved.text().contains(told), is_told, "{}", moved.text());
    }
    catalog.run(&["check", "--locked", "acme-2.5.0.toml"]).ok();

    // A suite follows, too.
    catalog.release("[suites]\nc = \"^1\"\n");
    catalog
        .versions("c/a", &["1.0.0"])
        .suite("c 1.0.0", "\"c/a\" = \"1.0.0\"\n");
    catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    catalog
        .versions("c/a", &["1.1.0", "1.2.0"])
        .suite("c 1.1.0", "\"c/a\" = \"1.1.0\"\n");
    let moved = catalog.run(&["update", "acme-2.5.0.toml", "c/a"]).ok();
    for told in ["~ suite c  1.0.0 -> 1.1.0", "~ c/a      1.0.0 -> 1.1.0"] {
        assert!(moved.text().contains(told), "{}", moved.text());
    }

    // Nobody who needs the later one could be in the release: neither is taken back for it, nor does it go.
    let catalog = Catalog::new("[capabilities]\n\"s/a\" = \"*\"\n");
    catalog
        .capability("s/a 1.0.0", "[requires]\n\"s/b\" = \">=1.1.0-rc.1\"\n")
        .capability("s/a 0.9.0", "[requires]\n\"s/b\" = \"^1\"\n")
        .capability("s/a 0.8.0", "")
        .versions("s/b", &["1.0.0", "1.1.0-rc.1"]);
    catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    catalog.decides(&[], &["s/a 1.0.0 latest", "s/b 1.1.0-rc.1 latest"]);
    let moved = catalog.run(&["update", "acme-2.5.0.toml", "s/b"]).ok();
    assert!(moved.text().contains("stays as it is"), "{}", moved.text());
    catalog.versions("s/b", &["1.1.0-rc.2", "2.0.0"]);
    let moved = catalog.run(&["update", "acme-2.5.0.toml", "s/b"]).ok();
    assert!(moved.text().contains("-> 2.0.0"), "{}", moved.text());

    // Of several, each goes as far as it can, whatever becomes of the others.
    let catalog = Catalog::new("[capabilities]\n\"s/a\" = \"*\"\n");
    catalog
        .capability("s/a 1.0.0", "[requires]\n\"s/b\" = \"*\"\n")
        .versions("s/b", &["1.0.0"]);
    catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    catalog.capability("s/a 2.0.0", "[conflicts]\n\"s/b\" = \"*\"\n");
    let both = ["update", "acme-2.5.0.toml", "s/a", "s/b"];
    let moved = catalog.run(&both).ok();
    assert!(
        moved.text().contains("~ s/a  1.0.0 -> 2.0.0"),
        "{}",
        moved.text()
    );
    assert!(moved.text().contains("- s/b  1.0.0"), "{}", moved.text());
    let catalog = Catalog::new(
        "modes = [\"edge\"]\n[suites]\nu = \"1.0.0\"\n[capabilities]\n\"s/a\" = \"*\"\n",
    );
    let one = |version: &str| {
        let requires = format!("[requires]\n\"s/b\" = \"={version}\"\n");
        catalog
            .capability(&format!("s/a {version}"), &requires)
            .versions("s/b", &[version]);
    };
    one("1.0.0");
    catalog
        .capability("s/c 1.0.0", "modes = [\"saas\"]\n")
        .suite("u 1.0.0", "\"s/c\" = \"1.0.0\"\n");
    catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    one("1.1.0");
    let both = ["update", "acme-2.5.0.toml", "s/b", "s/c"];
    let moved = catalog.run(&both).ok();
    assert!(
        moved.text().contains("~ s/b  1.0.0 -> 1.1.0"),
        "{}",
        moved.text()
    );

    // What nobody needs any more with it goes.
    let catalog = Catalog::new("[capabilities]\n\"x/app\" = \"^1\"\n");
    both_of(&catalog, "1.1.0");
    catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    catalog.capability("x/app 1.2.0", "");
    let moved = catalog.run(&["update", "acme-2.5.0.toml", "x/app"]).ok();
    assert!(moved.text().contains("- x/lib  1.1.0"), "{}", moved.text());
}

#[test]
fn whoever_reads_a_lock_says_the_same_of_it() {
    let catalog = web_and_api();
    catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    let text = fs::read_to_string(catalog.definition()).unwrap();
    fs::write(
        catalog.definition(),
        text.replace("version = \"2.5.0\"", "version = \"2.5.1\""),
    )
    .unwrap();
    let json = |command: &[&str]| {
        let args: Vec<&str> = ["--output", "json"]
            .iter()
            .chain(command)
            .copied()
            .collect();
        catalog.run(&args).ok().json()
    };
    assert_eq!(json(&["tree", "acme-2.5.0.toml"])["lock"], "stale");
    let why = json(&["why", "acme-2.5.0.toml", "core/api"]);
    assert_eq!(why["lock"], "stale");
    let said = catalog
        .run(&["check", "acme-2.5.0.toml"])
        .fails_with("definition-invalid");
    assert!(said.stderr.contains("[lock-stale]"), "{}", said.stderr);
    // A mode too many makes it stale as well.
    let modes = |modes: &str| format!("modes = [{modes}]\n[capabilities]\n\"core/web\" = \"*\"\n");
    catalog.release(&modes("\"edge\", \"saas\""));
    catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    assert_eq!(
        json(&["tree", "acme-2.5.0.toml", "--mode", "edge"])["lock"],
        "current"
    );
    catalog.release(&modes("\"edge\""));
    assert_eq!(json(&["tree", "acme-2.5.0.toml"])["lock"], "stale");
}

#[test]
fn a_lock_that_says_something_else_is_refused_with_the_difference() {
    let catalog = web_and_api();
    catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    let stale = |catalog: &Catalog, what: &str| {
        let said = catalog
            .run(&["check", "acme-2.5.0.toml"])
            .fails_with("definition-invalid");
        assert!(said.stderr.contains("[lock-stale]"), "{}", said.stderr);
        assert!(said.stderr.contains(what), "{}", said.stderr);
    };
    catalog.capability("core/api 2.1.0", "description = \"new\"\n");
    stale(&catalog, "core/api 2.1.0: its definition has changed");
    catalog.capability("core/api 2.1.0", "yanked = true\nyanked-reason = \"bad\"\n");
    stale(
        &catalog,
        "core/api 2.1.0 becomes 2.0.0: latest; required by core/web 1.2.0; 2.1.0 was withdrawn: bad\n",
    );
    catalog.capability("core/api 2.1.0", "");
    catalog.run(&["check", "acme-2.5.0.toml"]).ok();
    catalog.release("[capabilities]\n\"core/web\" = \"*\"\n\"core/api\" = \"2.1.0\"\n");
    let said = catalog
        .run(&["resolve", "acme-2.5.0.toml", "--dry-run"])
        .ok();
    assert!(
        said.text().contains(
            "  ~ core/api  2.1.0  only the reason changes: pinned; required by core/web 1.2.0\n"
        ),
        "{}",
        said.text()
    );
    stale(
        &catalog,
        "core/api 2.1.0 is there for another reason: pinned; required by core/web 1.2.0",
    );
    let said = catalog
        .run(&["check", "acme-2.5.0.toml", "--mode", "edge"])
        .fails_with("definition-invalid");
    assert!(
        said.stderr
            .contains("has no resolution for edge [lock-stale]"),
        "{}",
        said.stderr
    );
}

#[test]
fn locks_that_were_edited_are_refused_with_every_place() {
    let catalog = web_and_api();
    catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    let lock = String::from_utf8(read(&catalog.lock())).unwrap();
    let deep = format!("a = {}{}", "[".repeat(50_000), "]".repeat(50_000));
    let twice = format!("{lock}{}", &lock[lock.find("\n[[resolution]]").unwrap()..]);
    for (text, message) in [
        (
            lock.replace("format = 1", "format = 2"),
            "format: is 2, this program reads 1 [lock-invalid]",
        ),
        (lock.replace("2.1.0", "2.1"), "version: \"2.1\": "),
        (
            lock.replace("core/web", "core/aaa"),
            "is not sorted by name, each name once [lock-invalid]",
        ),
        (
            lock.replace("rule = \"latest\"", "rule = \"luck\""),
            "is none of capability, suite, platform, latest",
        ),
        (
            lock.replace("allows = \"*\"", "allows = \"some\""),
            "resolution[0].capability[1].range.allows: \"some\": ",
        ),
        (
            lock.replace("range = {", "range = 3 # {"),
            "has to be written as [range]",
        ),
        (
            lock.replace("digest =", "digset ="),
            "unknown key `digset` [lock-invalid]",
        ),
        (twice, "the same mode is there twice [lock-invalid]"),
        (
            lock.replace("acme", "other"),
            "is the lock of other 2.5.0 [lock-stale]",
        ),
        ("\u{0}".to_owned(), "[lock-invalid]"),
        (
            String::new(),
            "the version of the format is missing [lock-invalid]",
        ),
        (deep, "[lock-invalid]"),
        (
            "resolution = 3\nproduct = []\n".to_owned(),
            "has to be written as [[resolution]]",
        ),
    ] {
        fs::write(catalog.lock(), text).unwrap();
        let said = catalog
            .run(&["check", "acme-2.5.0.toml"])
            .fails_with("definition-invalid");
        assert!(said.stderr.contains(message), "{message}: {}", said.stderr);
        assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    }
}

#[test]
fn several_modes_are_built_in_one_run() {
    let catalog =
        Catalog::new("modes = [\"saas\", \"edge\"]\n[capabilities]\n\"db/big\" = \"*\"\n");
    catalog
        .capability(
            "db/big 1.0.0",
            "modes = [\"saas\"]\n[substitutes]\nedge = \"db/small\"\n",
        )
        .versions("db/small", &["1.0.0"]);
    let vendor = Vendor::new(&catalog.sandbox);
    let build = |out: &str| {
        vendor
            .build_command(&catalog.definition(), &catalog.sandbox.join(out))
            .run()
    };
    build("acme.bundle").fails_with("usage");
    // A mode that is misspelt, or meant for another release, gets no lock and no bundle.
    for command in ["resolve", "update", "check", "tree"] {
        let said = catalog
            .run(&[command, "acme-2.5.0.toml", "--mode", "dedicated"])
            .fails_with("definition-invalid");
        let message = "the release is for saas, edge, not for dedicated [mode-unavailable]";
        assert!(said.stderr.contains(message), "{}", said.stderr);
    }
    assert!(!catalog.lock().exists());
    // Which one is meant is for the command line to say, not for the definition.
    let ask: [&[&str]; 4] = [
        &["tree", "acme-2.5.0.toml"],
        &["why", "acme-2.5.0.toml", "db/big"],
        &["diff", "acme-2.5.0.toml", "acme-2.5.0.toml"],
        &["compat", "acme-2.5.0.toml", "acme-2.5.0.toml"],
    ];
    for command in ask {
        let said = catalog.run(command).exits(2);
        assert_eq!(
            said.stderr,
            "error[mode-ambiguous]: acme-2.5.0.toml: modes: the release is for several: saas, edge\n  \
             hint: choose one with --mode\n"
        );
        let said = catalog.run(&[command, &["--mode", "edge"]].concat()).said();
        assert_eq!(said.stderr, "");
        assert!(said.text().contains("acme 2.5.0") || said.text().contains("db/"));
    }
    catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    build("acme-{mode}.bundle").ok();
    for (mode, capability) in [("saas", "db/big"), ("edge", "db/small")] {
        let bundle = catalog.sandbox.join(format!("acme-{mode}.bundle"));
        let verifier = catalog.sandbox.program("sealift-verifier");
        let inspect = args![
            "--output",
            "json",
            "inspect",
            bundle,
            "release",
            "--root",
            vendor.root()
        ];
        let json = verifier.args(inspect).run().ok().json();
        assert_eq!(json["release"]["mode"], mode);
        assert_eq!(json["release"]["capabilities"][0]["name"], capability);
        let verifier = catalog.sandbox.program("sealift-verifier");
        let text = verifier
            .args(args!["inspect", bundle, "release", "--root", vendor.root()])
            .run()
            .ok();
        let decided = match mode {
            "saas" => "db/big      latest that \"*\" in the release definition allows",
            _ => "db/small    latest                   db/big",
        };
        assert!(text.text().contains(decided), "{}", text.text());
    }
}

#[test]
fn a_release_is_explained() {
    let catalog = web_and_api();
    catalog.versions("core/api", &["3.0.0", "3.0.0-rc.1"]);
    let said = catalog.run(&["why", "acme-2.5.0.toml", "core/api"]).ok();
    let web = "catalog/capabilities/core/web/1.2.0/capability.toml:5:1";
    assert_eq!(
        said.text(),
        format!(
            "core/api 2.1.0: latest; required by core/web 1.2.0\n\
             \x20 core/web 1.2.0 requires core/api >=2.0, <3 ({web})\n\
             \x20   the release definition asks for core/web * (acme-2.5.0.toml:6:1)\n\
             not 3.0.0:\n\
             \x20 core/web 1.2.0 requires core/api >=2.0, <3 ({web})\n\
             not 3.0.0-rc.1:\n\
             \x20 core/web 1.2.0 requires core/api >=2.0, <3 ({web})\n\
             there is no lock: `sealift-bundler resolve` writes it\n"
        )
    );
    let said = catalog.run(&["tree", "acme-2.5.0.toml"]).ok();
    assert_eq!(
        said.text(),
        "acme 2.5.0\n\
         core/web 1.2.0, latest that \"*\" in the release definition allows\n\
         \x20 core/api 2.1.0\n\
         there is no lock: `sealift-bundler resolve` writes it\n"
    );
    // Whatever is asked, what is not there is told in the same words.
    for (name, told) in [
        ("core/none", "core/none is not in the catalog\n"),
        (
            "core/apo",
            "core/apo is not in the catalog; did you mean core/api?\n",
        ),
        (
            "core/old",
            "core/old is not in this release: nothing asks for it\n",
        ),
    ] {
        catalog.versions("core/old", &["1.0.0"]);
        for command in ["why", "update"] {
            let said = catalog
                .run(&[command, "acme-2.5.0.toml", name])
                .fails_with("capability-unknown");
            let line = format!("error[capability-unknown]: acme-2.5.0.toml: {told}");
            assert!(said.stderr.starts_with(&line), "{}", said.stderr);
        }
    }
    assert!(!catalog.lock().exists());
}

/// What is named moves, and others follow, whatever else there is to choose from.
#[test]
fn what_is_let_go_moves_first() {
    let catalog = Catalog::new("[capabilities]\n\"a/y\" = \"*\"\n\"a/z\" = \"*\"\n");
    catalog
        .versions("a/y", &["0.0.1", "0.1.0", "0.2.0", "1.0.0"])
        .versions("a/z", &["1.0.0"]);
    catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    catalog
        .versions("a/z", &["1.1.0"])
        .capability("a/y 1.2.0", "[requires]\n\"a/z\" = \">=1.1\"\n");
    let said = catalog
        .run(&["update", "acme-2.5.0.toml", "a/y", "--dry-run"])
        .ok();
    for moved in ["a/y  1.0.0 -> 1.2.0", "a/z  1.0.0 -> 1.1.0"] {
        assert!(said.text().contains(moved), "{}", said.text());
    }
}

#[test]
fn a_mode_that_was_asked_for_once_stays_in_the_lock() {
    let catalog = Catalog::new("[capabilities]\n\"a/x\" = \"^1\"\n");
    catalog.versions("a/x", &["1.0.0"]);
    catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    let edge = ["check", "acme-2.5.0.toml", "--mode", "edge", "--locked"];
    let said = catalog.run(&edge).fails_with("definition-invalid");
    assert!(
        said.stderr
            .contains("run `sealift-bundler resolve acme-2.5.0.toml --mode edge`"),
        "{}",
        said.stderr
    );
    catalog
        .run(&["resolve", "acme-2.5.0.toml", "--mode", "edge"])
        .ok();
    catalog.run(&edge).ok();
    catalog.run(&["check", "acme-2.5.0.toml", "--locked"]).ok();
    // Neither moves before somebody says so, then both do.
    catalog.versions("a/x", &["1.1.0"]);
    let said = catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    assert!(said.text().contains("stays as it is"), "{}", said.text());
    let said = catalog.run(&["update", "acme-2.5.0.toml"]).ok();
    assert_eq!(
        said.text().matches("1.0.0 -> 1.1.0").count(),
        2,
        "{}",
        said.text()
    );
    // A mode that the release is not for is refused, and told when it goes.
    catalog.release("modes = [\"saas\"]\n[capabilities]\n\"a/x\" = \"^1\"\n");
    let said = catalog.run(&["check", "acme-2.5.0.toml", "--locked"]);
    let said = said.fails_with("definition-invalid");
    assert!(
        said.stderr
            .contains("has a resolution for no mode, which the release is not for [lock-stale]"),
        "{}",
        said.stderr
    );
    let said = catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    for gone in ["no mode", "edge"] {
        let told = format!("the resolution for {gone} is gone: the release is not for it\n");
        assert!(said.text().contains(&told), "{}", said.text());
    }
    catalog.run(&["check", "acme-2.5.0.toml", "--locked"]).ok();
}

#[test]
fn every_field_of_a_lock_counts() {
    let catalog = Catalog::new("platform = \"1.0.0\"\n");
    catalog
        .platform("1.0.0", "core = \"^1\"\n")
        .suite("core 1.0.0", "\"core/api\" = \"^1\"\n")
        .versions("core/api", &["1.0.0"]);
    catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    let lock = String::from_utf8(read(&catalog.lock())).unwrap();
    for (from, to) in [
        ("of = \"platform\"", "of = \"suite\""),
        ("allows = \"^1\"", "allows = \"^1.0\""),
        ("suite = \"core 1.0.0\"", "suite = \"core 1.0.1\""),
    ] {
        assert!(lock.contains(from), "{from} in {lock}");
        fs::write(catalog.lock(), lock.replace(from, to)).unwrap();
        let said = catalog.run(&["check", "acme-2.5.0.toml", "--locked"]);
        let said = said.fails_with("definition-invalid");
        assert!(said.stderr.contains("[lock-stale]"), "{}", said.stderr);
    }
}

#[test]
fn each_definition_has_a_lock_of_its_own() {
    let catalog = Catalog::new("[capabilities]\n\"a/x\" = \"*\"\n");
    catalog.versions("a/x", &["1.0.0"]);
    let text = read(&catalog.definition());
    for name in ["acme-2.5.0", "acme-2.5.1"] {
        fs::write(catalog.sandbox.join(name), &text).unwrap();
        catalog.run(&["resolve", name]).ok();
        assert!(catalog.sandbox.join(format!("{name}.lock")).exists());
    }
    assert!(!catalog.sandbox.join("acme-2.5.lock").exists());
}
