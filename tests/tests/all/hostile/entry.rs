//! Giving a bundle to every entry point, and holding what comes of it against what is expected.

use std::{cell::RefCell, collections::HashMap, path::Path, rc::Rc};

use sealift_tests::{
    args,
    listing::Listing,
    program::{Outcome, Program},
    sandbox::{self, Sandbox},
    site::Site,
};
use sealift_verifier::digest::Digest;
use serde_json::Value;

use super::{fixtures, forge::Attack};

/// What auditors judge expiry by; the sites go by signed time only.
const AT: &str = "2026-06-01T00:00:00Z";

/// All that reads bundles. `contents` is `verify --contents`.
const ENTRY_POINTS: [&str; 6] = ["verify", "contents", "inspect", "extract", "plan", "apply"];

/// What has to come of an attack.
pub(super) struct Expected {
    /// Which of TUF's attacks this is.
    pub(super) tuf: Option<String>,
    table: toml::Table,
}

/// What has to come of an attack at one entry point.
struct Verdict {
    /// The error's code; nothing if it is accepted there.
    error: Option<String>,
    exit: i32,
    /// Whether the site's history tells of the attempt, which is then the one thing that changes.
    recorded: bool,
}

impl Verdict {
    /// Whether a line of what changed in the sandbox is as expected.
    fn allows(&self, entry: &str, line: &str) -> bool {
        match (entry, &self.error) {
            ("extract", None) => line.starts_with("+ ") && line.contains("/a/b/c/d/out"),
            ("apply", None) => line.contains(" site-"),
            _ => {
                let state = ["/state/state.json ", "/state/state.copy.json "];
                self.recorded && state.iter().any(|path| line.contains(path))
            }
        }
    }
}

impl Expected {
    /// Reads `expect.toml` of an attack.
    pub(super) fn read(name: &str) -> Self {
        let path = fixtures().join(name).join("expect.toml");
        let text = String::from_utf8(sandbox::read(&path)).unwrap();
        let table: toml::Table = text
            .parse()
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for (key, value) in &table {
            let known = match value {
                toml::Value::Table(_) => ENTRY_POINTS.contains(&key.as_str()),
                _ => ["attack", "tuf", "error", "exit", "recorded"].contains(&key.as_str()),
            };
            assert!(known, "{}: {key} means nothing", path.display());
        }
        let attack = table.get("attack").and_then(toml::Value::as_str);
        assert!(
            attack.is_some_and(|text| text.ends_with('.')),
            "{name} does not say in a sentence what the attack is"
        );
        let tuf = table.get("tuf").map(|tuf| tuf.as_str().unwrap().to_owned());
        Self { tuf, table }
    }

    /// Accepted everywhere.
    pub(super) fn accepted() -> Self {
        let table = "accepted = true".parse().unwrap();
        Self { tuf: None, table }
    }

    /// At one entry point: what its own table says, otherwise what is said for all.
    fn at(&self, entry: &str) -> Verdict {
        let own = self.table.get(entry).and_then(toml::Value::as_table);
        let find = |key: &str| {
            own.and_then(|own| own.get(key))
                .or_else(|| self.table.get(key))
        };
        let yes = |key: &str| find(key).and_then(toml::Value::as_bool).unwrap_or(false);
        if yes("accepted") {
            return Verdict {
                error: None,
                exit: 0,
                recorded: false,
            };
        }
        let error = find("error")
            .and_then(toml::Value::as_str)
            .expect("an error is expected");
        let exit = find("exit").and_then(toml::Value::as_integer).unwrap_or(3);
        Verdict {
            error: Some(error.to_owned()),
            exit: i32::try_from(exit).unwrap(),
            recorded: entry == "apply" && yes("recorded"),
        }
    }
}

/// Where attacks take place: sites that run an honest release already, one for each chain of roots.
pub(super) struct Ground {
    sandbox: Sandbox,
    sites: RefCell<HashMap<Digest, Rc<Site>>>,
}

impl Ground {
    pub(super) fn new() -> Self {
        let sites = RefCell::default();
        Self {
            sandbox: Sandbox::new(),
            sites,
        }
    }

    /// Gives the bundle to every entry point and returns what went otherwise than expected.
    pub(super) fn judge(&self, name: &str, attack: &Attack, expected: &Expected) -> Vec<String> {
        let site = self.site(attack);
        let case = self.sandbox.join(name);
        let bundle = self
            .sandbox
            .write(format!("{name}/x.bundle"), &attack.bundle);
        let root = self
            .sandbox
            .write(format!("{name}/root.json"), attack.trusted());
        // Deep enough that names with `..` stay where the comparison looks.
        let out = case.join("a/b/c/d/out");
        std::fs::create_dir_all(case.join("a/b/c/d")).unwrap();
        let mut before = Listing::of(self.sandbox.path());
        let mut wrong = Vec::new();
        for entry in ENTRY_POINTS {
            let verdict = expected.at(entry);
            let command = self.command(entry, &site, &bundle, &root, &out);
            let outcome = limited(command.args(["--output", "json"])).run();
            let after = Listing::of(self.sandbox.path());
            // The lock says who held it last.
            let mut changed = before.differences(&after);
            let noise =
                |line: &String| line.contains("/state/lock ") || line.contains("/state/audit");
            changed.retain(|line| !noise(line) && !verdict.allows(entry, line));
            before = after;
            if !changed.is_empty() {
                wrong.push(format!("{name}: {entry} changed {changed:#?}"));
            }
            wrong.extend(compare(&verdict, outcome).map(|what| format!("{name}: {entry} {what}")));
        }
        std::fs::remove_dir_all(case).unwrap();
        wrong
    }

    /// A site that trusts what the attack is aimed at, and runs an honest release.
    fn site(&self, attack: &Attack) -> Rc<Site> {
        let mut sites = self.sites.borrow_mut();
        let key = Digest::of(&attack.roots.concat());
        if let Some(site) = sites.get(&key) {
            return Rc::clone(site);
        }
        let name = format!("site-{}", sites.len());
        let root = self.sandbox.write(format!("{name}.json"), attack.trusted());
        // Signed time only: these bundles must be judged alike in every year.
        let site = Site::with(&self.sandbox, &name, &root, &["--clock", "ignore"]);
        let honest = self.sandbox.write(format!("{name}.bundle"), attack.prior());
        site.apply(&honest).ok();
        let site = Rc::new(site);
        sites.insert(key, Rc::clone(&site));
        site
    }

    fn command(&self, entry: &str, site: &Site, bundle: &Path, root: &Path, out: &Path) -> Program {
        let verifier = |command: &str| {
            let verifier = self.sandbox.program("sealift-verifier");
            verifier.args(args![command, bundle, "--root", root, "--at", AT])
        };
        match entry {
            "verify" | "inspect" => verifier(entry),
            "contents" => verifier("verify").args(["--contents"]),
            "extract" => verifier(entry).args(args!["all", "--to", out]),
            "plan" => site.command(args!["plan", bundle]),
            _ => site.command(args!["apply", bundle, "--yes"]),
        }
    }
}

/// With a bound for memory (256 MiB) and for time (30 s of a processor): no input may need more.
fn limited(program: Program) -> Program {
    program.behind(&["prlimit", "--data=268435456", "--cpu=30", "--core=0"])
}

/// What is wrong with an outcome.
fn compare(verdict: &Verdict, outcome: Outcome) -> Option<String> {
    let text = outcome.to_string();
    let (exit, error) = (outcome.code(), outcome.error().map(str::to_owned));
    let said = outcome.said();
    let machine = serde_json::from_slice::<Value>(&said.stdout)
        .ok()
        .and_then(|v| Some(v.get("error")?.get("code")?.as_str()?.to_owned()));
    let as_expected = exit == Some(verdict.exit)
        && error == verdict.error
        && machine == verdict.error
        && (error.is_none() || said.stderr.contains("\n  hint: "))
        && !said.stderr.contains("panicked");
    (!as_expected).then(|| {
        let expected = verdict.error.as_deref().unwrap_or("acceptance");
        format!(
            "should have ended with {expected} and {}\n{text}",
            verdict.exit
        )
    })
}
