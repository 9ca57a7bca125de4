//! Running programs, and saying what has to come of it.

use std::{
    ffi::OsStr,
    fmt,
    io::Write as _,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use serde_json::Value;

/// The arguments of a program, text and paths mixed: `args!["apply", &bundle]`.
#[macro_export]
macro_rules! args {
    ($($arg:expr),* $(,)?) => {
        [$(::std::ffi::OsString::from(::std::convert::AsRef::<::std::ffi::OsStr>::as_ref(&$arg))),*]
    };
}

/// A program about to run, in an environment that holds nothing of the machine's own.
#[must_use]
pub struct Program {
    command: Command,
    input: Option<Vec<u8>>,
}

impl Program {
    /// `program` in the folder `home`, with a cleared environment.
    pub(crate) fn new(program: &OsStr, home: &Path) -> Self {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", home)
            .env("TMPDIR", home)
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .current_dir(home);
        Self {
            command,
            input: None,
        }
    }

    /// More arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// An environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// The folder to run in.
    pub fn within(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// What the program reads from standard input; nothing otherwise.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Another umask than 022.
    pub fn umask(self, umask: u32) -> Self {
        let script = format!("umask {umask:03o} && exec \"$@\"");
        self.behind(&["sh", "-c", &script, "sh"])
    }

    /// Another time, such as `2031-04-01 12:00:00`, by `faketime`.
    pub fn at(self, time: &str) -> Self {
        self.behind(&["faketime", time])
    }

    /// The same program, run by another one, such as `prlimit`.
    pub fn behind(self, wrapper: &[&str]) -> Self {
        let (first, rest) = wrapper.split_first().expect("a wrapper is a program");
        let mut command = Command::new(first);
        command
            .args(rest)
            .arg(self.command.get_program())
            .args(self.command.get_args())
            .env_clear();
        for (name, value) in self.command.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        if let Some(folder) = self.command.get_current_dir() {
            command.current_dir(folder);
        }
        Self { command, ..self }
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Outcome {
        let shown = self.shown();
        let input = self.input.take();
        let mut child = self.start(input.is_some());
        // Written by a thread of its own: a program may fill its output before it reads its input.
        let writer = child.stdin.take().zip(input).map(|(mut pipe, bytes)| {
            std::thread::spawn(move || {
                // A program that refuses early does not read to the end.
                let _ = pipe.write_all(&bytes);
            })
        });
        let output = child
            .wait_with_output()
            .unwrap_or_else(|e| panic!("{shown}: {e}"));
        if let Some(writer) = writer {
            writer.join().expect("the writing thread does not panic");
        }
        Outcome {
            shown,
            status: output.status,
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts it and lets it run; its output is dropped.
    pub fn spawn(mut self) -> Child {
        let shown = self.shown();
        self.command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{shown}: {e}"))
    }

    /// Starts it with both of its ends in the hands of the test.
    pub fn talk(mut self) -> Child {
        self.start(true)
    }

    fn start(&mut self, with_input: bool) -> Child {
        let shown = self.shown();
        self.command
            .stdin(if with_input {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{shown}: {e}; `tests/setup` installs what tests need"))
    }

    fn shown(&self) -> String {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
        words.join(" ")
    }
}

/// How a program ended. A test has to say what it expects.
#[must_use = "say whether it should be ok() or fails_with(...)"]
pub struct Outcome {
    shown: String,
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: String,
}

impl Outcome {
    /// It has to end with 0.
    #[track_caller]
    pub fn ok(self) -> Said {
        self.exits(0)
    }

    /// It has to end with this exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Said {
        assert!(
            self.status.code() == Some(code),
            "expected exit code {code}\n{self}"
        );
        self.said()
    }

    /// It has to refuse with this error code, and with a hint.
    #[track_caller]
    pub fn fails_with(self, code: &str) -> Said {
        assert!(!self.status.success(), "expected error[{code}]\n{self}");
        assert!(
            self.status.code().is_some(),
            "expected error[{code}], not a signal\n{self}"
        );
        assert!(
            self.stderr.contains(&format!("error[{code}]: ")),
            "expected error[{code}]\n{self}"
        );
        self.said()
    }

    /// It has to be killed by SIGKILL.
    #[track_caller]
    pub fn killed(self) -> Said {
        assert!(self.status.signal() == Some(9), "expected SIGKILL\n{self}");
        self.said()
    }

    /// The exit code, for tests that allow several.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The code of the error that it refused with.
    pub fn error(&self) -> Option<&str> {
        let (_, rest) = self.stderr.split_once("error[")?;
        rest.split_once("]:").map(|(code, _)| code)
    }

    /// What it wrote, whatever became of it.
    pub fn said(self) -> Said {
        Said {
            stdout: self.stdout,
            stderr: self.stderr,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stdout = String::from_utf8_lossy(&self.stdout);
        let Self {
            shown,
            status,
            stderr,
            ..
        } = self;
        write!(
            f,
            "$ {shown}\n{status}\n--- stdout\n{stdout}--- stderr\n{stderr}"
        )
    }
}

/// What a program wrote.
pub struct Said {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
}

impl Said {
    /// Standard output as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("standard output is UTF-8")
    }

    /// Standard output as the one JSON value of `--output json`.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|e| panic!("{e}, in {:?}", String::from_utf8_lossy(&self.stdout)))
    }
}
