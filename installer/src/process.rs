//! Running a program with a time limit and bounded output: the activate hook and exec probes.

use std::{
    io::{self, PipeReader, Read as _},
    os::{
        fd::AsFd,
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open},
};

/// Bytes of output that are kept.
const OUTPUT: usize = 2000;
/// Where programs are looked for; nothing of our own environment is passed on.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs `program` with no input, only `PATH` and `environment`, and at most for `limit`. An error says what
/// went wrong, for people, with the end of what the program printed. When the time is over, the program is
/// killed with its whole process group.
///
/// A program that goes on in the background has to redirect its output: ours is closed behind it.
pub fn run(
    program: &Path,
    arguments: &[String],
    folder: &Path,
    environment: &[(&str, String)],
    limit: Duration,
) -> Result<(), String> {
    let name = program.display();
    let failed = |e: io::Error| format!("{name}: {e}");
    let (reader, writer) = io::pipe().map_err(failed)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", PATH)
        .envs(environment.iter().map(|(k, v)| (k, v)))
        .stdin(Stdio::null())
        .stdout(writer.try_clone().map_err(failed)?)
        .stderr(writer)
        .process_group(0);
    let mut child = command.spawn().map_err(failed)?;
    // It holds our ends of the pipe for writing; without them the pipe ends when the program does.
    drop(command);
    let mut output = Vec::new();
    match wait(&mut child, reader, &mut output, OUTPUT, limit) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(format!("{name} {}{}", ending(status), said(&output))),
        Ok(None) => Err(format!(
            "{name} did not end within {} ms{}",
            limit.as_millis(),
            said(&output)
        )),
        Err(e) => Err(failed(e)),
    }
}

/// Waits for the end of the child, which is in a process group of its own, or kills it; then there is no status. Of what
/// it says, the last `keep` bytes are kept.
pub(crate) fn wait(
    child: &mut Child,
    reader: PipeReader,
    output: &mut Vec<u8>,
    keep: usize,
    limit: Duration,
) -> io::Result<Option<ExitStatus>> {
    let pid = Pid::from_child(child);
    let result = watch(child, pid, reader, output, keep, limit);
    if !matches!(result, Ok(Some(_))) {
        // Gone already is as good as killed.
        let _ = kill_process_group(pid, Signal::KILL);
        child.wait()?;
    }
    result
}

fn watch(
    child: &mut Child,
    pid: Pid,
    mut reader: PipeReader,
    output: &mut Vec<u8>,
    keep: usize,
    limit: Duration,
) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    let ended = pidfd_open(pid, PidfdFlags::empty())?;
    let mut open = true;
    loop {
        let left = limit.saturating_sub(start.elapsed());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut fds = vec![PollFd::new(&ended, PollFlags::IN)];
        if open {
            fds.push(PollFd::from_borrowed_fd(reader.as_fd(), PollFlags::IN));
        }
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(e) => return Err(e.into()),
        }
        let is_over = !fds[0].revents().is_empty();
        let readable = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
        if readable {
            let mut chunk = [0; 4096];
            let count = reader.read(&mut chunk)?;
            open = count > 0;
            output.extend(&chunk[..count]);
            // The end of what it said tells more than the beginning.
            let surplus = output.len().saturating_sub(keep);
            output.drain(..surplus);
        } else if is_over {
            return child.wait().map(Some);
        }
    }
}

/// How a program ended, for people.
pub(crate) fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".into(),
    }
}

fn said(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    match text.trim() {
        "" => String::new(),
        text => format!(" and said: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: u64) -> Result<(), String> {
        run(
            Path::new("/bin/sh"),
            &["-c".into(), script.into()],
            Path::new("/"),
            &[("SEALIFT_GENERATION", "7".into())],
            Duration::from_millis(limit),
        )
    }

    #[test]
    fn status_output_and_environment() {
        shell(
            "test \"$SEALIFT_GENERATION\" = 7 && test -z \"$HOME\" && test $(pwd) = /",
            5000,
        )
        .unwrap();
        let error = shell("echo out; echo err >&2; exit 3", 5000).unwrap_err();
        assert!(error.contains("status 3 and said: out\nerr"), "{error}");
        assert!(shell("kill -9 $$", 5000).unwrap_err().contains("signal 9"));
        let absent = run(
            Path::new("/absent"),
            &[],
            Path::new("/"),
            &[],
            Duration::from_secs(1),
        );
        assert!(absent.unwrap_err().starts_with("/absent: "));
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_its_children() {
        let start = Instant::now();
        let error = shell("sleep 60 & sleep 60", 200).unwrap_err();
        assert!(error.contains("did not end within 200 ms"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn endless_output_is_bounded_and_a_background_program_is_not_waited_for() {
        let error = shell("yes | head -c 50000000; exit 1", 20_000).unwrap_err();
        assert!(error.len() < 3000);
        let start = Instant::now();
        shell("sleep 5 & exit 0", 20_000).unwrap();
        assert!(start.elapsed() < Duration::from_secs(3));
    }
}
