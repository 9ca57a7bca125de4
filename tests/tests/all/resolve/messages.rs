//! What is said where there is no answer, word for word: these are read by people who have to act on it.

use super::Catalog;

impl Catalog {
    /// `check` has to fail, and to say exactly this of the problems.
    #[track_caller]
    fn says(&self, more: &[&str], expected: &str) {
        let args: Vec<&str> = ["check", "acme-2.5.0.toml"]
            .iter()
            .chain(more)
            .copied()
            .collect();
        let said = self.run(&args).fails_with("definition-invalid");
        let text = said
            .stderr
            .trim_start_matches("error[definition-invalid]: ");
        let (problems, _) = text.rsplit_once("\n  hint: correct the places").unwrap();
        let (problems, _) = problems.rsplit_once('\n').unwrap();
        assert_eq!(problems, expected.trim(), "\n{problems}\n");
    }
}

#[test]
fn pins_that_exclude_each_other() {
    let catalog =
        Catalog::new("[capabilities]\n\"core/api\" = \"1.9.0\"\n\"core/web\" = \"1.2.0\"\n");
    catalog
        .versions("core/api", &["1.9.0", "2.0.0"])
        .capability(
            "core/web 1.2.0",
            "[requires]\n\"core/api\" = \">=2.0, <3\"\n",
        );
    catalog.says(
        &[],
        "
acme-2.5.0.toml:6:1: capabilities.core/api: no version of core/api suits all that have a say in it [unresolvable]
  acme-2.5.0.toml:6:1: the release pins core/api to 1.9.0
  acme-2.5.0.toml:7:1: the release pins core/web to 1.2.0
  catalog/capabilities/core/web/1.2.0/capability.toml:5:1: core/web 1.2.0 requires core/api >=2.0, <3
  hint: relax one of these: core/api (acme-2.5.0.toml:6:1), core/web (acme-2.5.0.toml:7:1)",
    );
}

#[test]
fn everything_that_is_missing_in_one_run() {
    let catalog = Catalog::new(
        "platform = \"9.0.0\"\n[suites]\nkore = \"1.0.0\"\ncore = \"2.0.0\"\n\
         [capabilities]\n\"core/apo\" = \"1.9.0\"\n\"core/api\" = \"3.0.0\"\n\"core/web\" = \"*\"\n",
    );
    catalog
        .versions("core/api", &["1.0.0", "1.9.0"])
        .suite("core 1.0.0", "")
        .platform("2.5.0", "");
    for minor in 0..6 {
        let id = format!("core/web 1.{minor}.0");
        catalog.capability(&id, &format!("[requires]\n\"core/none\" = \">={minor}\"\n"));
    }
    catalog.says(
        &[],
        "
acme-2.5.0.toml:5:1: platform: platform acme has no release 9.0.0 [version-missing]
  hint: there are 2.5.0
acme-2.5.0.toml:7:1: suites.kore: the release pins suite kore to 1.0.0, but the catalog has no suite kore [suite-unknown]
  hint: did you mean core?
acme-2.5.0.toml:8:1: suites.core: the release pins suite core to 2.0.0, but of it there is only 1.0.0 [version-missing]
  hint: name one of these, or add suites/core/…/suite.toml to the catalog
acme-2.5.0.toml:10:1: capabilities.core/apo: the release pins core/apo to 1.9.0, but the catalog has no core/apo [capability-unknown]
  hint: did you mean core/api?
acme-2.5.0.toml:11:1: capabilities.core/api: the release pins core/api to 3.0.0, but of it there is only 1.9.0, 1.0.0 [version-missing]
  hint: name one of these, or add the version below capabilities/core/api of the catalog
catalog/capabilities/core/web/1.5.0/capability.toml:5:1: requires.core/none: core/web 1.5.0 requires core/none >=5, but the catalog has no core/none [capability-unknown]
  acme-2.5.0.toml:12:1: the release asks for core/web *
  catalog/capabilities/core/web/1.4.0/capability.toml:5:1: core/web 1.4.0 requires core/none >=4, but the catalog has no core/none
  catalog/capabilities/core/web/1.3.0/capability.toml:5:1: core/web 1.3.0 requires core/none >=3, but the catalog has no core/none
  catalog/capabilities/core/web/1.2.0/capability.toml:5:1: core/web 1.2.0 requires core/none >=2, but the catalog has no core/none
  and 2 other versions speak of core/none in ways that do not fit either
  hint: add capabilities/core/none/…/capability.toml to the catalog",
    );
}

#[test]
fn withdrawn_and_unnamed_versions() {
    let catalog =
        Catalog::new("[suites]\ncore = \"1.0.0\"\n[capabilities]\n\"core/web\" = \"*\"\n");
    catalog
        .capability(
            "core/auth 1.0.0",
            "yanked = true\nyanked-reason = \"loses sessions\"\n",
        )
        .versions("core/web", &["1.0.0-rc.1"])
        .suite("core 1.0.0", "\"core/auth\" = \"1.0.0\"\n");
    catalog.says(
        &[],
        "
acme-2.5.0.toml:8:1: capabilities.core/web: the release asks for core/web *, but 1.0.0-rc.1 is a pre-release, which enters a release only by its name [version-missing]
  hint: pin it: \"core/web\" = \"1.0.0-rc.1\"
catalog/suites/core/1.0.0/suite.toml:4:1: capabilities.core/auth: suite core 1.0.0 lists core/auth 1.0.0, but 1.0.0 was withdrawn: loses sessions [yanked]
  acme-2.5.0.toml:6:1: the release pins suite core to 1.0.0
  hint: list another version; only the release definition can pin one that was withdrawn",
    );
}

/// A version that all would do with, and that is not to be had: without it the list below is no contradiction.
#[test]
fn what_would_have_suited_all() {
    let ends = "[capabilities]\n\"a/x\" = \"^1\"\n\"a/y\" = \"^1\"\n";
    let because = "
acme-2.5.0.toml:6:1: capabilities.a/x: no version of a/o suits all that have a say in it [unresolvable]
  acme-2.5.0.toml:6:1: the release asks for a/x ^1
  acme-2.5.0.toml:7:1: the release asks for a/y ^1
  catalog/capabilities/a/y/1.0.0/capability.toml:5:1: a/y 1.0.0 requires a/o <3
  catalog/capabilities/a/x/1.0.0/capability.toml:5:1: a/x 1.0.0 requires a/o >=2";
    let hint = "\n  hint: relax one of these: a/x (acme-2.5.0.toml:6:1), a/y (acme-2.5.0.toml:7:1)";
    for (version, body, mode, told) in [
        (
            "2.0.0",
            "yanked = true\nyanked-reason = \"CVE-2026-1\"\n",
            "saas",
            "/2.0.0/capability.toml:4:1: a/o 2.0.0 would suit all of them, but was withdrawn: CVE-2026-1",
        ),
        (
            "2.5.0-rc.1",
            "",
            "saas",
            "/2.5.0-rc.1/capability.toml: a/o 2.5.0-rc.1 would suit all of them, but is a pre-release, which enters a release only by its name",
        ),
        (
            "2.0.0",
            "modes = [\"saas\"]\n",
            "edge",
            "/2.0.0/capability.toml: a/o 2.0.0 would suit all of them, but may not run in edge, and nothing stands in for it",
        ),
    ] {
        let catalog = Catalog::new(ends);
        catalog
            .capability("a/x 1.0.0", "[requires]\n\"a/o\" = \">=2\"\n")
            .capability("a/y 1.0.0", "[requires]\n\"a/o\" = \"<3\"\n")
            .versions("a/o", &["1.0.0", "3.0.0"])
            .capability(&format!("a/o {version}"), body);
        let told = format!("{because}\n  catalog/capabilities/a/o{told}{hint}");
        catalog.says(&["--mode", mode], &told);
    }
    // A conflict leaves versions, too.
    let catalog = Catalog::new("[capabilities]\n\"a/o\" = \"*\"\n\"a/top\" = \"*\"\n");
    catalog
        .capability("a/top 1.0.0", "[conflicts]\n\"a/o\" = \"<2\"\n")
        .versions("a/o", &["1.0.0"])
        .capability("a/o 2.0.0", "yanked = true\nyanked-reason = \"bad\"\n");
    catalog.says(
        &[],
        "
acme-2.5.0.toml:6:1: capabilities.a/o: no version of a/o suits all that have a say in it [unresolvable]
  acme-2.5.0.toml:6:1: the release asks for a/o *
  acme-2.5.0.toml:7:1: the release asks for a/top *
  catalog/capabilities/a/top/1.0.0/capability.toml:5:1: a/top 1.0.0 does not work with a/o <2
  catalog/capabilities/a/o/2.0.0/capability.toml:4:1: a/o 2.0.0 would suit all of them, but was withdrawn: bad
  hint: relax one of these: a/o (acme-2.5.0.toml:6:1), a/top (acme-2.5.0.toml:7:1)",
    );
}

/// What is pinned and may not run in a mode is left out; another version is not taken for it, not even to be replaced.
#[test]
fn a_pin_that_is_left_out_keeps_others_out() {
    let catalog = Catalog::new("[capabilities]\n\"app/x\" = \"^1\"\n\"st/pg\" = \"15.0.0\"\n");
    catalog
        .capability(
            "st/pg 14.0.0",
            "modes = [\"saas\"]\n[substitutes]\nedge = \"st/lite\"\n",
        )
        .capability("st/pg 15.0.0", "modes = [\"saas\"]\n")
        .capability("st/lite 1.0.0", "modes = [\"edge\"]\n")
        .capability("app/x 1.0.0", "[requires]\n\"st/pg\" = \">=14\"\n");
    catalog.says(
        &["--mode", "edge"],
        "
acme-2.5.0.toml:6:1: capabilities.app/x: no version of st/pg suits all that have a say in it [unresolvable]
  acme-2.5.0.toml:6:1: the release asks for app/x ^1
  acme-2.5.0.toml:7:1: the release pins st/pg to 15.0.0, which may not run in edge and is left out
  catalog/capabilities/app/x/1.0.0/capability.toml:5:1: app/x 1.0.0 requires st/pg >=14
  hint: relax one of these: app/x (acme-2.5.0.toml:6:1), st/pg (acme-2.5.0.toml:7:1)",
    );
    catalog.release("[capabilities]\n\"app/x\" = \"^1\"\n\"st/pg\" = \"14.0.0\"\n");
    catalog.decides(
        &["--mode", "edge"],
        &["app/x 1.0.0 latest", "st/lite 1.0.0 latest"],
    );
}

/// What goes wrong without end is not told without end, and that is told.
#[test]
fn there_may_be_more_problems_than_are_told() {
    let pins: Vec<_> = (0..60)
        .map(|i| format!("\"a/x{i:02}\" = \"1.0.0\"\n"))
        .collect();
    let pins = pins.concat();
    let catalog = Catalog::new(&format!("[capabilities]\n{pins}"));
    catalog.versions("b/b", &["1.0.0"]);
    let said = catalog
        .run(&["resolve", "acme-2.5.0.toml"])
        .fails_with("definition-invalid");
    let told = "acme-2.5.0.toml: there may be more: 50 are looked for in one run [unresolvable]\n";
    assert!(said.stderr.contains(told), "{}", said.stderr);
    assert_eq!(said.stderr.matches("[capability-unknown]").count(), 50);
}

#[test]
fn a_declared_conflict() {
    let catalog = Catalog::new("[capabilities]\n\"core/api\" = \"^1\"\n\"core/new\" = \"*\"\n");
    catalog
        .versions("core/api", &["1.9.0", "2.0.0"])
        .capability("core/new 1.0.0", "[conflicts]\n\"core/api\" = \"<2\"\n");
    catalog.says(
        &[],
        "
acme-2.5.0.toml:6:1: capabilities.core/api: no version of core/api suits all that have a say in it [unresolvable]
  acme-2.5.0.toml:6:1: the release asks for core/api ^1
  acme-2.5.0.toml:7:1: the release asks for core/new *
  catalog/capabilities/core/new/1.0.0/capability.toml:5:1: core/new 1.0.0 does not work with core/api <2
  hint: relax one of these: core/api (acme-2.5.0.toml:6:1), core/new (acme-2.5.0.toml:7:1)",
    );
}

#[test]
fn a_long_way_to_a_contradiction() {
    let catalog = Catalog::new("[capabilities]\n\"a/a\" = \"*\"\n\"b/b\" = \"*\"\n");
    catalog
        .capability("a/a 1.0.0", "[requires]\n\"s/s\" = \"^1\"\n")
        .capability("a/a 2.0.0", "[requires]\n\"t/t\" = \"^1\"\n")
        .capability("t/t 1.0.0", "[requires]\n\"s/s\" = \"^1\"\n")
        .capability("b/b 1.0.0", "[requires]\n\"s/s\" = \"^2\"\n")
        .capability("b/b 2.0.0", "[requires]\n\"u/u\" = \"^1\"\n")
        .capability("u/u 1.0.0", "[requires]\n\"s/s\" = \"^3\"\n")
        .versions("s/s", &["1.0.0", "2.0.0", "3.0.0"]);
    catalog.says(
        &[],
        "
acme-2.5.0.toml:6:1: capabilities.a/a: no version of s/s suits all that have a say in it [unresolvable]
  catalog/capabilities/u/u/1.0.0/capability.toml:5:1: u/u 1.0.0 requires s/s ^3
  catalog/capabilities/b/b/2.0.0/capability.toml:5:1: b/b 2.0.0 requires u/u ^1
  catalog/capabilities/b/b/1.0.0/capability.toml:5:1: b/b 1.0.0 requires s/s ^2
  catalog/capabilities/a/a/1.0.0/capability.toml:5:1: a/a 1.0.0 requires s/s ^1
  so a/a 1.0.0 and b/b 1.0.0 and 2.0.0 exclude each other
  catalog/capabilities/t/t/1.0.0/capability.toml:5:1: t/t 1.0.0 requires s/s ^1
  catalog/capabilities/a/a/2.0.0/capability.toml:5:1: a/a 2.0.0 requires t/t ^1
  acme-2.5.0.toml:6:1: the release asks for a/a *
  acme-2.5.0.toml:7:1: the release asks for b/b *
  hint: relax one of these: a/a (acme-2.5.0.toml:6:1), b/b (acme-2.5.0.toml:7:1)",
    );
}

#[test]
fn what_may_not_run_in_a_mode() {
    let catalog = Catalog::new("[capabilities]\n\"core/web\" = \"*\"\n\"core/bill\" = \"1.0.0\"\n");
    catalog
        .capability("core/web 1.0.0", "[requires]\n\"core/bill\" = \"*\"\n")
        .capability("core/bill 1.0.0", "modes = [\"saas\"]\n")
        // It may, but it is not the one that is pinned.
        .versions("core/bill", &["1.1.0"]);
    catalog.decides(
        &["--mode", "saas"],
        &["core/bill 1.0.0 capability", "core/web 1.0.0 latest"],
    );
    catalog.says(
        &["--mode", "edge"],
        "
acme-2.5.0.toml:6:1: capabilities.core/web: no version of core/bill suits all that have a say in it [unresolvable]
  acme-2.5.0.toml:7:1: the release pins core/bill to 1.0.0, which may not run in edge and is left out
  acme-2.5.0.toml:6:1: the release asks for core/web *
  catalog/capabilities/core/web/1.0.0/capability.toml:5:1: core/web 1.0.0 requires core/bill *
  hint: relax one of these: core/web (acme-2.5.0.toml:6:1), core/bill (acme-2.5.0.toml:7:1)",
    );
    catalog.release("[capabilities]\n\"core/bill\" = \"1.0.0\"\n");
    catalog.says(
        &["--mode", "edge"],
        "
acme-2.5.0.toml: nothing of this release may run in edge [mode-unavailable]
  hint: add the mode to `modes`, or name a capability in [substitutes]",
    );
    // A substitute that may not run there either.
    catalog
        .capability(
            "core/bill 1.0.0",
            "modes = [\"saas\"]\n[substitutes]\nedge = \"core/cash\"\n",
        )
        .capability("core/cash 1.0.0", "modes = [\"saas\"]\n");
    catalog.says(
        &["--mode", "edge"],
        "
catalog/capabilities/core/bill/1.0.0/capability.toml:6:1: substitutes.edge: core/bill 1.0.0 may not run in edge, where core/cash stands in for it, but 1.0.0 may not run in edge, and nothing stands in for it [mode-unavailable]
  acme-2.5.0.toml:6:1: the release pins core/bill to 1.0.0
  hint: add the mode to `modes`, or name a capability in [substitutes]",
    );
}

#[test]
fn circles_and_names_inside_each_other() {
    let catalog = Catalog::new("[capabilities]\n\"a/a\" = \"*\"\n\"x/y\" = \"*\"\n\"x\" = \"*\"\n");
    catalog
        .capability("a/a 1.0.0", "[requires]\n\"b/b\" = \"*\"\n")
        .capability("b/b 1.0.0", "[requires]\n\"c/c\" = \"*\"\n")
        .capability("c/c 1.0.0", "[requires]\n\"a/a\" = \"*\"\n")
        .versions("x/y", &["1.0.0"])
        .versions("x", &["1.0.0"]);
    catalog.says(
        &[],
        "
acme-2.5.0.toml:7:1: capabilities.x/y: x/y lies inside the capability x [capability-conflict]
  catalog/capabilities/x/y/1.0.0/capability.toml: x/y
  catalog/capabilities/x/1.0.0/capability.toml: x
  hint: name capabilities `suite/name`, none a folder of another
catalog/capabilities/a/a/1.0.0/capability.toml:5:1: requires.b/b: a/a, b/b, c/c require each other in a circle [requirement-cycle]
  catalog/capabilities/a/a/1.0.0/capability.toml:5:1: requires.b/b: a/a 1.0.0 requires b/b
  catalog/capabilities/b/b/1.0.0/capability.toml:5:1: requires.c/c: b/b 1.0.0 requires c/c
  catalog/capabilities/c/c/1.0.0/capability.toml:5:1: requires.a/a: c/c 1.0.0 requires a/a
  hint: remove one of these requirements: none of the circle could be started first",
    );
    catalog
        .capability(
            "a/a 1.0.0",
            "modes = [\"saas\"]\n[substitutes]\nedge = \"b/b\"\n",
        )
        .capability(
            "b/b 1.0.0",
            "modes = [\"saas\"]\n[substitutes]\nedge = \"a/a\"\n",
        );
    catalog.release("[capabilities]\n\"a/a\" = \"*\"\n");
    catalog.says(
        &["--mode", "edge"],
        "
catalog/capabilities/a/a/1.0.0/capability.toml:6:1: substitutes.edge: a/a, b/b stand in for each other in a circle [substitute-cycle]
  catalog/capabilities/a/a/1.0.0/capability.toml:6:1: substitutes.edge: a/a 1.0.0 is replaced by b/b
  catalog/capabilities/b/b/1.0.0/capability.toml:6:1: substitutes.edge: b/b 1.0.0 is replaced by a/a
  hint: name a capability as substitute that may run in the mode itself",
    );
}

#[test]
fn hostile_catalogs_are_refused_in_one_run() {
    let catalog = Catalog::new("[capabilities]\n\"core/api\" = \"*\"\n");
    let deep = format!("a = {}{}", "[".repeat(50_000), "]".repeat(50_000));
    catalog
        .versions("core/api", &["1.0.0+a", "1.0.0+b"])
        .capability("core/deep 1.0.0", &deep)
        .capability("core/huge 1.0.0", &"# x\n".repeat(300_000))
        .capability("core/type 1.0.0", "requires = 3\nmodes = \"edge\"\n")
        .capability("core/key 1.0.0", "require = {}\n");
    catalog.sandbox.write(
        "catalog/capabilities/core/lie/1.0.0/capability.toml",
        "name = \"core/lies\"\nversion = \"1.0.1\"\nkind = \"service\"\n",
    );
    let said = catalog
        .run(&["check", "acme-2.5.0.toml"])
        .fails_with("definition-invalid");
    for code in [
        "[duplicate-definition]",
        "[toml-invalid]",
        "[definition-too-large]",
        "[wrong-type]",
        "[unknown-key]",
        "[definition-mismatch]",
    ] {
        assert!(said.stderr.contains(code), "{code}: {}", said.stderr);
    }
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
}

/// The lines of all problems that begin with a place.
fn problems(stderr: &str) -> Vec<&str> {
    let lines = stderr.lines().filter(|line| !line.starts_with("  "));
    lines.filter(|line| line.ends_with(']')).collect()
}

/// Broken definitions, what is not there, and circles: each is told in the same run, and nothing that only seems to follow
/// from the others.
#[test]
fn problems_of_all_kinds_are_told_at_once() {
    let catalog = Catalog::new(
        "[capabilities]\n\"a/x\" = \"*\"\n\"b/ok\" = \"7.0.0\"\n\"c/bad\" = \"3.0\"\n\"d/d\" = \"^1\"\n\"z/z\" = \"2.0.0\"\n",
    );
    catalog
        .capability("a/x 1.0.0", "[requires]\n\"a/y\" = \"*\"\n")
        .capability("a/y 1.0.0", "[requires]\n\"a/x\" = \"*\"\n")
        .versions("b/ok", &["1.0.0"])
        .versions("c/bad", &["1.0.0"])
        .capability(
            "d/d 1.0.0",
            "[requires]\n\"b/gone\" = \"*\"\n\"b/lost\" = \"*\"\n\"b/ok\" = \"^9\"\n\"c/bad\" = \"^5\"\n",
        )
        .capability("z/z 1.0.0", "]\n");
    let said = catalog.run(&["check", "acme-2.5.0.toml"]);
    let said = said.fails_with("definition-invalid");
    let told = problems(&said.stderr);
    for (place, code) in [
        (
            "acme-2.5.0.toml:7:1: capabilities.b/ok: ",
            "[version-missing]",
        ),
        (
            "acme-2.5.0.toml:8:1: capabilities.c/bad: ",
            "[version-invalid]",
        ),
        ("requires.a/y: a/x, a/y require", "[requirement-cycle]"),
        ("requires.b/gone: ", "[capability-unknown]"),
        ("requires.b/lost: ", "[capability-unknown]"),
        ("requires.b/ok: ", "[version-missing]"),
        ("z/z/1.0.0/capability.toml:4:1: ", "[toml-invalid]"),
    ] {
        let found = told
            .iter()
            .any(|line| line.contains(place) && line.ends_with(code));
        assert!(found, "{place} {code} in {}", said.stderr);
    }
    // What is said of c/bad and z/z may be right or wrong: not all of them could be read.
    assert_eq!(told.len(), 7, "{}", said.stderr);
}

#[test]
fn nothing_seems_to_be_missing_that_could_not_be_read() {
    for release in [
        "[capabilities]\n\"a/x\" = \"3.0\"\n",
        "platform = \"1.0\"\n",
        "[capabilities]\n\"A/X\" = \"3.0.0\"\n",
        "[suites]\ncore = \"1.0\"\n",
        "capabilities = 7\n",
        "",
    ] {
        let catalog = Catalog::new(release);
        catalog.versions("a/x", &["1.0.0"]);
        let said = catalog.run(&["check", "acme-2.5.0.toml"]);
        let said = said.fails_with("definition-invalid");
        assert_eq!(
            problems(&said.stderr).len(),
            1,
            "{release}: {}",
            said.stderr
        );
    }
    let catalog = Catalog::new("[capabilities]\n\"a/x\" = \"*\"\n");
    catalog.capability(
        "a/x 1.0.0",
        "modes = [\"saas\"]\n[substitutes]\nEdge = \"a/lite\"\n",
    );
    let said = catalog.run(&["check", "acme-2.5.0.toml", "--mode", "edge"]);
    let said = said.fails_with("definition-invalid");
    assert_eq!(problems(&said.stderr).len(), 1, "{}", said.stderr);
}

/// Each hint fits what is wrong, and nothing is told twice.
#[test]
fn hints_say_what_to_do() {
    let long = ">=1,".repeat(100_000);
    for (body, told) in [
        (
            "modes = \"edge\"\n",
            "modes: has to be a list of strings, is a string [wrong-type]",
        ),
        (
            "modes = []\n",
            "modes: may run nowhere [invalid-value]\n  hint: name modes",
        ),
        (
            "[substitutes]\nmars = \"x/y\"\n",
            "[invalid-value]\n  hint: docs/definitions.md says",
        ),
        ("[hardware]\ngpuu = 1\n", "hint: did you mean `gpu`?"),
        (
            "modes = [\"edge\", \"edge\"]\n",
            "edge is listed twice [invalid-value]\n  hint: list it once",
        ),
        (
            "[requires]\n\"a/x\" = \"*\"\n",
            "a/x cannot speak of itself here [invalid-value]\n  hint: leave it out",
        ),
        (&format!("[requires]\n\"b/b\" = \"{long}\"\n"), " … 399"),
        (
            &format!("[requires]\n{}a = \"1\"\n", "a.".repeat(100_000)),
            "capability.toml: recursion limit",
        ),
    ] {
        let catalog = Catalog::new("[capabilities]\n\"a/x\" = \"*\"\n");
        catalog.capability("a/x 1.0.0", body);
        let said = catalog.run(&["check", "acme-2.5.0.toml"]);
        let said = said.fails_with("definition-invalid");
        assert!(said.stderr.contains(told), "{}", said.stderr);
        assert!(said.stderr.len() < 2500, "{}", said.stderr);
        assert_eq!(said.stderr.matches("hint: ").count(), 2, "{}", said.stderr);
    }
    let catalog =
        Catalog::new("previous = \"nosuch.toml\"\n[capabilities]\n\"a/x\" = \"=1.0.0\"\n");
    catalog.versions("a/x", &["1.0.0"]);
    let said = catalog.run(&["check", "acme-2.5.0.toml"]);
    let said = said.fails_with("definition-invalid");
    let told = "acme-2.5.0.toml:5:1: previous: there is no nosuch.toml [file-missing]";
    assert!(said.stderr.contains(told), "{}", said.stderr);
    catalog.release("[capabilities]\n\"a/x\" = \"=1.0.0\"\n");
    catalog.capability("a/x 1.0.0", "yanked = true\nyanked-reason = \"bad\"\n");
    catalog.says(
        &[],
        "
acme-2.5.0.toml:6:1: capabilities.a/x: the release asks for a/x =1.0.0, but 1.0.0 was withdrawn: bad [yanked]
  hint: ask for another version; if it has to be this one, pin it: \"a/x\" = \"1.0.0\"",
    );
}

/// With a slip of the pen in the newest version, an older one must not be shipped without a word.
#[test]
fn a_version_that_needs_what_nobody_has_is_not_passed_over_in_silence() {
    let catalog = Catalog::new("[capabilities]\n\"a/x\" = \"^1\"\n");
    catalog
        .versions("a/x", &["1.0.0"])
        .versions("b/good", &["1.0.0"])
        .capability("a/x 1.1.0", "[requires]\n\"b/godo\" = \"^1\"\n");
    catalog.says(
        &[],
        "
catalog/capabilities/a/x/1.1.0/capability.toml:5:1: requires.b/godo: a/x 1.1.0 requires b/godo, but the catalog has no b/godo: 1.0.0 would be taken in its place [capability-unknown]
  hint: did you mean b/good?",
    );
    // Withdrawn, it is out of the question; and what is locked stays.
    catalog.capability(
        "a/x 1.1.0",
        "yanked = true\nyanked-reason = \"bad\"\n[requires]\n\"b/godo\" = \"^1\"\n",
    );
    catalog.run(&["resolve", "acme-2.5.0.toml"]).ok();
    catalog.capability("a/x 1.1.0", "[requires]\n\"b/godo\" = \"^1\"\n");
    catalog.run(&["check", "acme-2.5.0.toml"]).ok();
    // What it does not work with is in the release: it could not be taken anyway.
    let conflict = Catalog::new("[capabilities]\n\"a/x\" = \"^1\"\n\"a/c\" = \"1.0.0\"\n");
    conflict
        .versions("a/x", &["1.0.0"])
        .versions("a/c", &["1.0.0"])
        .capability(
            "a/x 1.1.0",
            "[requires]\n\"b/godo\" = \"^1\"\n[conflicts]\n\"a/c\" = \"*\"\n",
        );
    conflict.decides(&[], &["a/c 1.0.0 capability", "a/x 1.0.0 latest"]);
    let said = catalog.run(&["update", "acme-2.5.0.toml"]);
    let said = said.fails_with("definition-invalid");
    assert!(
        said.stderr.contains("[capability-unknown]"),
        "{}",
        said.stderr
    );
}

#[test]
fn modes_are_named_where_not_all_have_a_problem() {
    let catalog = Catalog::new(
        "modes = [\"edge\", \"saas\"]\n[capabilities]\n\"a/q\" = \"*\"\n\"a/r\" = \"*\"\n",
    );
    catalog
        .capability(
            "a/q 1.0.0",
            "modes = [\"edge\"]\n[requires]\n\"a/lite\" = \"^1\"\n",
        )
        .capability("a/r 1.0.0", "[requires]\n\"a/lite\" = \"^2\"\n")
        .versions("a/lite", &["1.0.0", "2.0.0"]);
    let said = catalog.run(&["check", "acme-2.5.0.toml"]);
    let said = said.fails_with("definition-invalid");
    let told = "have a say in it (in edge) [unresolvable]";
    assert!(said.stderr.contains(told), "{}", said.stderr);
    catalog.capability("a/q 1.0.0", "[requires]\n\"a/lite\" = \"^1\"\n");
    let said = catalog.run(&["check", "acme-2.5.0.toml"]);
    let said = said.fails_with("definition-invalid");
    assert!(!said.stderr.contains("(in "), "{}", said.stderr);
    assert_eq!(problems(&said.stderr).len(), 1, "{}", said.stderr);
}

#[test]
fn a_suite_that_replaces_a_listing_is_named() {
    let catalog = Catalog::new(
        "platform = \"1.0.0\"\n[suites]\nb = \"*\"\n[capabilities]\n\"c/y\" = \"*\"\n",
    );
    catalog
        .platform("1.0.0", "a = \"1.0.0\"\n")
        .suite("a 1.0.0", "\"a/x\" = \"1.0.0\"\n")
        .suite("b 1.0.0", "\"a/x\" = \"2.0.0\"\n")
        .suite("b 2.0.0", "")
        .versions("a/x", &["1.0.0", "2.0.0", "3.0.0"])
        .capability("c/y 1.0.0", "[requires]\n\"a/x\" = \"^3\"\n");
    let said = catalog.run(&["check", "acme-2.5.0.toml"]);
    let said = said.fails_with("definition-invalid");
    let told = "acme-2.5.0.toml:7:1: the release asks for suite b *, which goes before what suite a 1.0.0 lists of a/x\n";
    assert!(said.stderr.contains(told), "{}", said.stderr);
}

/// Names of files come from outside, and must not move the cursor of a terminal or begin a line of their own.
#[test]
fn names_of_folders_do_not_reach_the_terminal() {
    let catalog = Catalog::new("[capabilities]\n\"a/x\" = \"*\"\n");
    for name in ["\u{1b}[31mred", "b\nerror: x"] {
        let path = format!("catalog/capabilities/{name}/y/1.0.0/capability.toml");
        catalog.sandbox.write(path, "");
    }
    let said = catalog.run(&["check", "acme-2.5.0.toml"]);
    let said = said.fails_with("definition-invalid");
    let text = &said.stderr;
    assert!(
        !text.contains('\u{1b}') && !text.contains("\nerror: x"),
        "{text}"
    );
    assert!(
        text.contains("\\u{1b}[31mred") && text.contains("b\\nerror: x"),
        "{text}"
    );
}

#[test]
fn what_lies_in_the_wrong_place_of_a_catalog_is_told() {
    let catalog = Catalog::new("[capabilities]\n\"a/x\" = \"*\"\n");
    catalog.versions("a/x", &["1.0.0"]);
    let text = "name = \"a/x\"\nversion = \"2.0.0\"\nkind = \"service\"\n";
    let at = |path: &str| format!("catalog/{path}");
    for path in [
        "capabilities/a/x/capability.toml",
        "capabilities/1.0.0/capability.toml",
        "suite/core/1.0.0/suite.toml",
    ] {
        catalog.sandbox.write(at(path), text);
    }
    catalog.sandbox.write("elsewhere/capability.toml", text);
    let link = |target: &str, path: &str| {
        std::os::unix::fs::symlink(target, catalog.sandbox.join(at(path))).unwrap();
    };
    link("nowhere", "capabilities/a/x/3.0.0");
    link("../../../../elsewhere", "capabilities/a/x/2.0.0");
    for name in ["p", "q", "r", "s"] {
        link(".", &format!("capabilities/{name}"));
    }
    link("..", "capabilities/a/back");
    let said = catalog.run(&["check", "acme-2.5.0.toml"]);
    let said = said.fails_with("definition-invalid");
    for told in [
        "catalog/capabilities/a/x/capability.toml: x is no version [version-invalid]",
        "catalog/capabilities/1.0.0: 1.0.0 lies below no name: NAME/VERSION/capability.toml [name-invalid]",
        "catalog/suite: suite is no part of a catalog [name-invalid]",
        "catalog/capabilities/a/x/3.0.0: leads nowhere [file-missing]",
        "catalog/capabilities/a/x/2.0.0: leads outside of the catalog, to ",
        "catalog/capabilities/a/back: leads in a circle [path-invalid]",
        "catalog/capabilities/s: leads in a circle [path-invalid]",
    ] {
        assert!(said.stderr.contains(told), "{told} in {}", said.stderr);
    }
}

#[test]
fn conflicts_say_which_versions_they_mean() {
    let catalog = Catalog::new("[capabilities]\n\"a/x\" = \"*\"\n\"b/y\" = \"*\"\n");
    catalog
        .versions("a/x", &["1.4.0", "1.5.0", "1.6.0"])
        .capability("b/y 1.0.0", "[conflicts]\n\"a/x\" = \"1.5.0\"\n");
    let said = catalog.run(&["check", "acme-2.5.0.toml"]);
    let said = said.fails_with("definition-invalid");
    assert!(
        said.stderr.contains("here perhaps =1.5.0"),
        "{}",
        said.stderr
    );
    catalog.capability("b/y 1.0.0", "[conflicts]\n\"a/x\" = \"=1.6.0\"\n");
    catalog.decides(&[], &["a/x 1.5.0 latest", "b/y 1.0.0 latest"]);
}
