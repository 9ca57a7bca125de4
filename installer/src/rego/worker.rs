//! The process that evaluates. It gives up what it could harm with, reads one request, and writes one answer.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fmt::Display,
    io::{self, Read, Write},
};

use regorus::{
    Engine, Value as Rego,
    unstable::{Rule, RuleHead},
};
use rustix::process::{Resource, Rlimit, Signal};
use serde_json::Value;

use super::{
    ASKED, Answer, LIMIT, MESSAGES, Message, ROOT, Request, TEST, Task, Test, names::Names,
    too_long,
};

/// Bytes of stack, at most: rules call rules.
const STACK: u64 = 64 << 20;

/// Does what the request in `input` asks for, within the seconds and the mebibytes that `arguments` name. Returns the exit
/// code: without a limit that could be set, nothing is read.
pub fn work(
    arguments: impl Iterator<Item = OsString>,
    input: &mut dyn Read,
    out: &mut dyn Write,
) -> u8 {
    let limits: Option<Vec<u64>> = arguments.map(|a| a.to_str()?.parse().ok()).collect();
    let Some([seconds, memory]) = limits.as_deref() else {
        return 2;
    };
    let answered = confine(*seconds, memory.saturating_mul(1 << 20)).and_then(|()| {
        let mut request = Vec::new();
        input.read_to_end(&mut request)?;
        let answer = match serde_json::from_slice(&request) {
            Ok(request) => answer(&request).unwrap_or_else(Answer::Failed),
            Err(e) => Answer::Failed(e.to_string()),
        };
        let mut answer = serde_json::to_vec(&answer)?;
        if answer.len() > LIMIT {
            answer = serde_json::to_vec(&Answer::Failed(too_long()))?;
        }
        out.write_all(&answer)?;
        out.flush()
    });
    u8::from(answered.is_err())
}

/// From here on: no more time and memory than that, no file or socket that is not open, no file that grows, no other
/// process, no rights that are not there, no copy of the memory on disk, no life after that of whoever asked.
fn confine(seconds: u64, memory: u64) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::thread::set_no_new_privs(true)?;
    let there = address_space()?;
    limit(Resource::As, there.saturating_add(memory))?;
    limit(Resource::Stack, STACK.min(memory / 2))?;
    let after = seconds.saturating_add(1);
    // A signal that says why, before the one that says nothing.
    limits(Resource::Cpu, seconds, after)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    limit(Resource::Nproc, 0)?;
    // Standard input, output and error.
    limit(Resource::Nofile, 3)
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    limits(resource, most, most)
}

fn limits(resource: Resource, current: u64, maximum: u64) -> io::Result<()> {
    let there = rustix::process::getrlimit(resource).maximum;
    let least = |most: u64| Some(there.map_or(most, |there| there.min(most)));
    let limit = Rlimit {
        current: least(current),
        maximum: least(maximum),
    };
    Ok(rustix::process::setrlimit(resource, limit)?)
}

/// Bytes that the program itself takes: the limit of the policy is for what comes on top.
fn address_space() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let size = status.lines().find_map(|line| {
        let kib = line.strip_prefix("VmSize:")?.trim().strip_suffix("kB")?;
        kib.trim().parse::<u64>().ok()?.checked_mul(1024)
    });
    size.ok_or_else(|| io::Error::other("/proc/self/status tells no VmSize"))
}

fn answer(request: &Request<'_>) -> Result<Answer, String> {
    let (mut engine, packages) = load(request)?;
    match &request.task {
        Task::Check => Ok(Answer::Sound),
        Task::Ask => {
            let input = serde_json::to_string(&request.input).map_err(|e| e.to_string())?;
            engine.set_input_json(&input).map_err(|e| tell(&e))?;
            ask(&mut engine, &packages).map(Answer::Said)
        }
        Task::List => Ok(Answer::Tests(tests(&mut engine))),
        Task::Test(Test { package, name }) => {
            let value = query(&mut engine, &format!("{package}.{name}"))?;
            Ok(Answer::Holds(value == Some(Value::Bool(true))))
        }
    }
}

/// Reads all files; an error has all that is wrong with any of them.
fn load(request: &Request<'_>) -> Result<(Engine, BTreeSet<String>), String> {
    let mut engine = Engine::new();
    // Else a rule that divides by zero would be one that has nothing to say.
    engine.set_strict_builtin_errors(true);
    let mut names = Names::default();
    let mut problems = Vec::new();
    let mut asked = false;
    for (name, text) in request.files.iter() {
        match engine.add_policy(name.clone(), text.clone()) {
            Ok(package) => {
                let package = package.strip_prefix("data.").unwrap_or(&package).to_owned();
                if !is_package(&package) {
                    problems.push(format!(
                        "{name}: the package {package} is not {ROOT}.NAME, in letters, digits and _"
                    ));
                }
                for (rule, _) in ASKED {
                    asked |= engine
                        .has_declared_rule_rooted_at(name, rule)
                        .is_ok_and(|there| there);
                }
                names.packages.insert(package);
            }
            Err(e) => problems.push(tell(&e)),
        }
    }
    for module in engine.get_modules() {
        for rule in &module.policy {
            let name = name_of(rule);
            let is_function = matches!(
                &**rule,
                Rule::Spec {
                    head: RuleHead::Func { .. },
                    ..
                }
            );
            if is_function && ASKED.iter().any(|(asked, _)| name == *asked) {
                problems.push(format!(
                    "{name} is a function, which nobody calls: it has to be a set, as `contains` makes one"
                ));
            }
            names.rules.insert(name);
        }
    }
    if problems.is_empty() {
        let files = request.files.iter();
        problems.extend(files.flat_map(|(name, text)| names.problems(name, text)));
    }
    if problems.is_empty() && !asked && !request.files.is_empty() {
        problems.push("no package has a rule `deny` or `warn`".into());
    }
    if problems.is_empty() {
        Ok((engine, names.packages))
    } else {
        Err(problems.join("; also, "))
    }
}

fn is_package(package: &str) -> bool {
    let mut parts = package.split('.');
    let is_word = |part: &str| {
        let mut bytes = part.bytes();
        bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
            && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    parts.next() == Some(ROOT) && parts.clone().next().is_some() && parts.all(is_word)
}

fn ask(engine: &mut Engine, packages: &BTreeSet<String>) -> Result<Vec<Message>, String> {
    let mut said = BTreeSet::new();
    for package in packages {
        for (rule, kind) in ASKED {
            let rule = format!("{package}.{rule}");
            let values = match query(engine, &rule)? {
                None => continue,
                Some(Value::Array(values)) => values,
                Some(other) => {
                    return Err(format!(
                        "{rule} is {}: it has to be a set, as `contains` makes one",
                        what(&other)
                    ));
                }
            };
            for value in values {
                let text = match value {
                    Value::String(text) => text,
                    Value::Object(mut object) => match object.remove("msg") {
                        Some(Value::String(text)) => text,
                        Some(other) => {
                            return Err(format!("{rule} has a msg that is {}", what(&other)));
                        }
                        None => return Err(format!("{rule} has an object without msg")),
                    },
                    other => {
                        return Err(format!(
                            "{rule} has {}: it has to be a string, or an object with msg",
                            what(&other)
                        ));
                    }
                };
                said.insert(Message {
                    package: package.clone(),
                    kind,
                    text,
                });
                if said.len() > MESSAGES {
                    return Err(too_long());
                }
            }
        }
    }
    Ok(said.into_iter().collect())
}

/// The value of a rule, sets as arrays; nothing where it is undefined or not there.
fn query(engine: &mut Engine, rule: &str) -> Result<Option<Value>, String> {
    let found = engine
        .eval_query(format!("data.{rule}"), false)
        .map_err(|e| tell(&e))?;
    let value = found.result.first().and_then(|r| r.expressions.first());
    match value.map(|expression| &expression.value) {
        None | Some(Rego::Undefined) => Ok(None),
        Some(value) => serde_json::to_value(value).map(Some).map_err(|e| tell(&e)),
    }
}

fn what(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a set or an array",
        Value::Object(_) => "an object",
    }
}

fn tests(engine: &mut Engine) -> Vec<Test> {
    let mut tests = BTreeSet::new();
    for module in engine.get_modules() {
        let package = module.package.refr.span().text();
        for rule in &module.policy {
            let name = name_of(rule);
            if name.starts_with(TEST) {
                let package = package.to_owned();
                tests.insert(Test { package, name });
            }
        }
    }
    tests.into_iter().collect()
}

/// The name of a rule in its package.
fn name_of(rule: &Rule) -> String {
    let (Rule::Default { refr, .. }
    | Rule::Spec {
        head:
            RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. },
        ..
    }) = rule;
    let text = refr.span().text();
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    text[..end.unwrap_or(text.len())].to_owned()
}

/// What went wrong, in one line, with the place in front: the evaluator shows the line of the file around it.
fn tell(error: &dyn Display) -> String {
    let text = error.to_string();
    let lines = || text.lines().map(str::trim);
    let place = lines().find_map(|line| line.strip_prefix("--> "));
    let error = lines().find_map(|line| line.strip_prefix("error: "));
    match (place, error) {
        (Some(place), Some(error)) => format!("{place}: {error}"),
        _ => lines()
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join(" "),
    }
}
