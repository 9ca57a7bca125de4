//! Rules in Rego, evaluated by another process of this very program ([`work`]) that can do nothing but compute, for as
//! long and with as much memory as the policy lets it.
//!
//! Whatever is not a well-formed answer of that process is an error, and an error denies: see
//! `docs/decisions/0012-rego.md`.

pub mod input;
mod names;
mod worker;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs::File,
    io::{self, Seek as _, Write as _},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::{
    fs::{MemfdFlags, memfd_create},
    process::Signal,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{policy::rules::RegoLimits, process};

pub use worker::work;

/// The argument that makes this program a worker. It is for the program itself, and in no list of its commands.
pub const WORKER: &str = "rego-worker";
/// The package that all packages of a policy lie below.
const ROOT: &str = "sealift";
/// The rules that are asked, and what they mean.
const ASKED: [(&str, Kind); 2] = [("deny", Kind::Deny), ("warn", Kind::Warn)];
/// What the name of a test begins with.
const TEST: &str = "test_";
/// Length of an answer in bytes.
const LIMIT: usize = 1 << 20;
/// What the rules of a policy may say at once.
const MESSAGES: usize = 1000;
/// Characters that are kept of a message.
const MESSAGE: usize = 1000;
/// How long the machine may take beyond the processor time that the policy allows.
const GRACE: Duration = Duration::from_secs(1);

/// Something that the rules say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Message {
    /// The package of the rule.
    pub package: String,
    /// Whether it denies.
    pub kind: Kind,
    /// What it says.
    pub text: String,
}

/// What is done about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The release may not be installed.
    Deny,
    /// Somebody should know it.
    Warn,
}

/// A test: a rule whose name begins with `test_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Test {
    /// Its package.
    pub package: String,
    /// Its name.
    pub name: String,
}

/// What a worker is asked.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Request<'a> {
    task: Task,
    files: Cow<'a, BTreeMap<String, String>>,
    input: Cow<'a, Value>,
}

/// What a worker does with the files.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Task {
    /// Reads them.
    Check,
    /// Asks all rules.
    Ask,
    /// Lists the tests.
    List,
    /// Evaluates one test.
    Test(Test),
}

/// What a worker answers.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    /// They can be read.
    Sound,
    /// What the rules say: sorted, each once.
    Said(Vec<Message>),
    /// The tests: sorted, each once.
    Tests(Vec<Test>),
    /// Whether the test holds.
    Holds(bool),
    /// Why there is no answer, for people.
    Failed(String),
}

/// The rules in Rego of a policy.
#[derive(Debug, Clone, Copy)]
pub struct Rego<'a> {
    /// This very program.
    pub program: &'a Path,
    /// What evaluating may use up.
    pub limits: &'a RegoLimits,
    /// The files by name.
    pub files: &'a BTreeMap<String, String>,
}

impl Rego<'_> {
    /// Whether the files can be read, and are what a policy is made of. An error says all that is wrong, for people.
    pub fn check(&self) -> Result<(), String> {
        match self.request(Task::Check, &Value::Null)? {
            Answer::Sound => Ok(()),
            _ => Err(other()),
        }
    }

    /// Everything that the rules say of `input`: sorted, each once, shortened and fit to be shown.
    pub fn ask(&self, input: &Value) -> Result<Vec<Message>, String> {
        match self.request(Task::Ask, input)? {
            Answer::Said(messages) => Ok(messages.into_iter().map(Message::shown).collect()),
            _ => Err(other()),
        }
    }

    /// All tests, sorted.
    pub fn tests(&self) -> Result<Vec<Test>, String> {
        match self.request(Task::List, &Value::Null)? {
            Answer::Tests(tests) => Ok(tests),
            _ => Err(other()),
        }
    }

    /// Whether a test holds. An error says why it could not be evaluated.
    pub fn test(&self, test: &Test) -> Result<bool, String> {
        match self.request(Task::Test(test.clone()), &Value::Null)? {
            Answer::Holds(holds) => Ok(holds),
            _ => Err(other()),
        }
    }

    fn request(&self, task: Task, input: &Value) -> Result<Answer, String> {
        let request = Request {
            task,
            files: Cow::Borrowed(self.files),
            input: Cow::Borrowed(input),
        };
        let request = serde_json::to_vec(&request).map_err(|e| e.to_string())?;
        let (status, output) = self
            .run(&request)
            .map_err(|e| format!("{}: {e}", self.program.display()))?;
        match status {
            Some(status) if status.success() && output.len() <= LIMIT => {}
            Some(status) if status.success() => return Err(too_long()),
            ended => return Err(shown(&self.ending(ended))),
        }
        match serde_json::from_slice(&output) {
            Ok(Answer::Failed(why)) => Err(shown(&why)),
            Ok(answer) => Ok(answer),
            Err(_) => Err(other()),
        }
    }

    /// Gives a worker its request in a file that no folder has, so that nobody has to wait until it is read.
    fn run(&self, request: &[u8]) -> io::Result<(Option<ExitStatus>, Vec<u8>)> {
        let mut file = File::from(memfd_create("rego", MemfdFlags::CLOEXEC)?);
        file.write_all(request)?;
        file.rewind()?;
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new(self.program);
        command
            .arg(WORKER)
            .arg(self.limits.seconds.to_string())
            .arg(self.limits.memory_mib.to_string())
            .current_dir("/")
            .env_clear()
            .stdin(file)
            .stdout(writer)
            .stderr(Stdio::null())
            .process_group(0);
        let mut child = command.spawn()?;
        // It holds our end of the pipe for writing; without it the pipe ends when the worker does.
        drop(command);
        let mut output = Vec::new();
        let limit = self.patience();
        let status = process::wait(&mut child, reader, &mut output, LIMIT + 1, limit)?;
        Ok((status, output))
    }

    /// How long a worker is waited for.
    fn patience(&self) -> Duration {
        Duration::from_secs(self.limits.seconds).saturating_add(GRACE)
    }

    /// How a worker ended that gave no answer.
    fn ending(&self, status: Option<ExitStatus>) -> String {
        let RegoLimits {
            seconds,
            memory_mib,
        } = self.limits;
        let is = |signal: Signal| {
            let ended = status.and_then(|status| status.signal());
            ended == Some(signal.as_raw())
        };
        match status {
            _ if is(Signal::XCPU) => {
                format!("took more than {seconds} s of processor time")
            }
            None => format!("took more than {} s", self.patience().as_secs()),
            // Memory that is not given, or a stack that cannot grow.
            _ if is(Signal::ABORT) || is(Signal::SEGV) || is(Signal::BUS) => {
                format!(
                    "took more than {memory_mib} MiB of memory, or called itself without an end"
                )
            }
            Some(status) => format!(
                "could not be evaluated: the worker {}",
                process::ending(status)
            ),
        }
    }
}

impl Message {
    fn shown(self) -> Self {
        Self {
            text: shown(&self.text),
            ..self
        }
    }
}

/// As much of a text as is kept, fit to be shown.
fn shown(text: &str) -> String {
    let kept: String = text.chars().take(MESSAGE).collect();
    let cut = if kept.len() < text.len() { " …" } else { "" };
    sealift_verifier::error::printable(&kept) + cut
}

fn too_long() -> String {
    format!("says more than {MESSAGES} things, or more than {LIMIT} bytes")
}

fn other() -> String {
    "the worker answered something else than was asked".into()
}
