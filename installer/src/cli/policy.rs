//! `policy`: the site's own rules, and what they say of a release.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use sealift_verifier::{
    approval::Override,
    error::printable,
    policy::{FORMAT, Policy},
};
use serde_json::{Value, json};

use super::{
    Answer, Failed, OverrideArgs, Scene, open_bundle, plan as plan_cli, policy_test, read_small,
    to_json,
};
use crate::{
    audit::{self, Action, Entry},
    error::Result,
    plan,
    policy::{self, PolicyState, Rules, Source},
    rego,
};

/// Show and set the site's rules, and see what they say of a release
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a policy hold: a signed one, or a folder with policy.toml where the site has no root of the customer
    Set {
        /// The file that `sealift-keys policy sign` made; or a folder, or its policy.toml alone
        policy: PathBuf,
        /// Only say whether it could be set, and who is listed in it
        #[arg(long)]
        dry_run: bool,
    },
    /// Show the policy that holds
    Show,
    /// Print a policy to begin with, that has the defaults
    Default {
        /// Print rules in Rego to begin with instead
        #[arg(long)]
        rego: bool,
    },
    /// Check a folder with a policy, and run the tests in its *_test.rego files
    Test {
        /// The folder
        folder: PathBuf,
    },
    /// Print what rules in Rego are told of the release of a bundle
    Input(Check),
    /// Print the JSON Schema of what rules in Rego are told
    Schema,
    /// Say whether the release of a bundle may be installed now, and everything that speaks against it
    Check(Check),
    /// Show every rule, what it says of the release of a bundle, and why
    Explain(Check),
}

#[derive(Debug, clap::Args)]
struct Check {
    /// The bundle
    bundle: PathBuf,
    #[command(flatten)]
    overrides: OverrideArgs,
}

impl Args {
    pub(super) fn overrides(&self) -> Vec<Override> {
        match &self.command {
            Command::Check(check) | Command::Explain(check) | Command::Input(check) => {
                check.overrides.list()
            }
            _ => Vec::new(),
        }
    }
}

pub(super) fn run(args: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    match &args.command {
        Command::Set { policy, dry_run } => set(policy, *dry_run, scene),
        Command::Show => show(scene),
        Command::Default { rego } => {
            let text = if *rego { DEFAULT_REGO } else { DEFAULT };
            Ok(Answer {
                text: text.to_owned(),
                json: json!({ "policy": text }),
            })
        }
        Command::Test { folder } => policy_test::run(folder, scene),
        Command::Input(args) => {
            let (file, name) = open_bundle(&args.bundle)?;
            let plan = plan::plan(&scene.site()?, file, &name, &scene.context)?;
            Ok(document(plan.decision.input))
        }
        Command::Schema => Ok(document(rego::input::schema())),
        Command::Check(args) => check(args, false, scene),
        Command::Explain(args) => check(args, true, scene),
    }
}

/// The policy to begin with.
const DEFAULT: &str = include_str!("../policy/default.toml");
/// Rules in Rego to begin with.
const DEFAULT_REGO: &str = include_str!("../policy/default.rego");

/// A document that is the whole answer.
fn document(json: Value) -> Answer {
    let text = format!("{json:#}\n");
    Answer { text, json }
}

fn set(path: &Path, dry_run: bool, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let name = path.display().to_string();
    let unsigned = path.is_dir() || path.extension().is_some_and(|ending| ending == "toml");
    let source = if unsigned {
        Source::Unsigned(folder(path, scene)?)
    } else {
        Source::Signed(read_small(path, policy::LIMIT)?.0)
    };
    if dry_run {
        let site = scene.site()?;
        let found = policy::check(&site, source, &name, &scene.context)?;
        return Ok(told(found.state(), &keys(found.rules()), "would hold"));
    }
    let mut site = scene.ready("policy")?;
    let entry = Entry::new(Action::PolicySet).about(&name);
    let mut people = Vec::new();
    let set = audit::checked(
        &mut site,
        entry,
        &scene.context,
        |site| policy::check(site, source, &name, &scene.context),
        |found, entry| {
            people = keys(found.rules());
            found.say(entry)
        },
        |site, found| found.hold(site),
    )?;
    Ok(told(&set, &people, "holds"))
}

/// A policy that holds, or would, and who is listed in it.
fn told(set: &PolicyState, people: &[Listed], holds: &str) -> Answer {
    let signed = if set.signed { "signed" } else { "not signed" };
    let mut text = format!(
        "policy {} {holds}, {signed}, digest {}\n",
        set.version, set.digest
    );
    for (name, roles, key) in people {
        let (name, roles) = (printable(name), roles.join(", "));
        let _ = writeln!(text, "  {name} ({roles}) has the key {key}");
    }
    let people = people.iter();
    let people =
        people.map(|(name, roles, key)| json!({ "name": name, "roles": roles, "key": key }));
    let people: Vec<Value> = people.collect();
    let json = json!({ "policy": set, "people": people });
    Answer { text, json }
}

/// A person, their roles, and the id of a key of theirs.
type Listed = (String, Vec<&'static str>, String);

/// Who is listed, with their roles and the id of each key, as `sealift-keys` shows it.
fn keys(policy: &Rules) -> Vec<Listed> {
    let people = policy.people.iter().flat_map(|person| {
        let roles: Vec<_> = person.roles.iter().map(|role| role.name()).collect();
        let ids = person.keys.iter().filter_map(|key| key.to_tuf().id().ok());
        ids.map(move |id| (person.name.clone(), roles.clone(), id))
    });
    people.collect()
}

/// A policy from a folder. It has no version of its own: it is the next one.
fn folder(path: &Path, scene: &Scene<'_>) -> Result<Policy> {
    let site = scene.site()?;
    let there = site.state().policy.as_ref();
    Ok(Policy {
        format: FORMAT,
        version: there.map_or(1, |there| there.version.saturating_add(1)),
        issued: scene.context.now,
        files: sealift_keys::policy::gather(path)?.files,
    })
}

fn show(scene: &Scene<'_>) -> Result<Answer, Failed> {
    let site = scene.site()?;
    let held = policy::files(&site)?;
    let mut text = String::new();
    let state = site.state().policy.as_ref();
    match state {
        Some(state) => {
            let signed = if state.signed {
                "signed by the customer"
            } else {
                "not signed"
            };
            let _ = writeln!(
                text,
                "# policy {}, {signed}, digest {}",
                state.version, state.digest
            );
        }
        None => text.push_str("# no policy was set: these are the defaults\n"),
    }
    for (name, content) in &held {
        let _ = writeln!(text, "# {name}");
        let lines: Vec<String> = content.lines().map(printable).collect();
        let _ = writeln!(text, "{}", lines.join("\n"));
    }
    if state.is_none() {
        text.push_str(DEFAULT);
    }
    let json = json!({ "policy": state, "files": held });
    Ok(Answer { text, json })
}

fn check(args: &Check, explain: bool, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let (file, name) = open_bundle(&args.bundle)?;
    let plan = plan::plan(&scene.site()?, file, &name, &scene.context)?;
    let decision = &plan.decision;
    let mut text = format!(
        "{} {}, release digest {}\n",
        plan.product, plan.version, plan.release
    );
    for ruled in &decision.rules {
        if explain {
            let _ = writeln!(
                text,
                "  {:<8}{:<16}{}",
                ruled.result.to_string(),
                ruled.rule,
                printable(&ruled.detail)
            );
        }
    }
    for warning in decision.warnings().filter(|_| !explain) {
        let _ = writeln!(text, "warning: {}", printable(warning));
    }
    if plan.nothing_to_do {
        text.push_str("this very release runs already: nothing to do\n");
    } else if decision.denials().is_empty() {
        text.push_str("it may be installed now\n");
    } else {
        let _ = writeln!(
            text,
            "it may not be installed now, for {} reasons",
            decision.denials().len()
        );
    }
    let json = to_json(decision);
    plan_cli::refused(&plan, Answer { text, json })
}
