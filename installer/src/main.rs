//! `sealift-installer`: installs releases at a site, upgrades, survives bad ones and goes back.

use std::{
    cell::OnceCell,
    io::{self, IsTerminal as _, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::ExitCode,
    sync::Mutex,
    time::{Duration, Instant, SystemTime},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use sealift_installer::{
    audit::Who,
    cli::{self, World},
    rego,
};
use sealift_verifier::time::Time;
use signal_hook::consts::{SIGINT, SIGTERM};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == rego::WORKER) {
        let code = rego::work(arguments, &mut io::stdin().lock(), &mut io::stdout().lock());
        return ExitCode::from(code);
    }
    // Services run as other users and have to be able to read what is installed, whoever calls this.
    rustix::process::umask(rustix::fs::Mode::from(0o022));
    let err: Mutex<Box<dyn Write + Send>> = Mutex::new(Box::new(io::stderr()));
    let say = |text: &str| match err.lock() {
        Ok(mut err) => err.write_all(text.as_bytes()),
        Err(_) => Ok(()),
    };
    let Ok(now) = clock() else {
        let _ = say("error[usage]: the clock is out of all bounds\n");
        return ExitCode::from(2);
    };
    let signals = OnceCell::new();
    let ask = |question: &str| {
        say(question)?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map(|_| answer)
    };
    let person = io::stdin().is_terminal() && io::stderr().is_terminal();
    #[cfg(feature = "fault-points")]
    let disk = match faults::disk() {
        Ok(disk) => disk,
        Err(text) => {
            let _ = say(&format!(
                "error[usage]: SEALIFT_FAULT: {text:?} is no fault\n"
            ));
            return ExitCode::from(2);
        }
    };
    #[cfg(not(feature = "fault-points"))]
    let disk = sealift_installer::disk::RealDisk;
    let code = cli::run(
        std::env::args_os(),
        &mut World {
            out: &mut io::stdout().lock(),
            err: &err,
            ask: person.then_some(&ask),
            now,
            // A clock that was set out of all bounds meanwhile says nothing new.
            clock: &|| clock().unwrap_or(now),
            pause: &|time| pause(&signals, time),
            who: who(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            disk: &disk,
            // Not its path: another program may lie there by now.
            program: Path::new("/proc/self/exe"),
        },
    );
    #[cfg(feature = "fault-points")]
    if disk.fault() == sealift_installer::disk::faults::Fault::Count {
        let _ = say(&format!("mutating calls: {}\n", disk.calls()));
    }
    ExitCode::from(code)
}

fn clock() -> Result<Time, sealift_verifier::Error> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the only place that reads the clock"
    )]
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seconds = clock.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    });
    Time::from_unix(seconds)
}

/// Waits, and says whether somebody has asked the program to end. The first call takes these signals over: from then
/// on, they are only heard here.
fn pause(signals: &OnceCell<UnixStream>, time: Duration) -> io::Result<bool> {
    let stream = if let Some(stream) = signals.get() {
        stream
    } else {
        let (read, write) = UnixStream::pair()?;
        for signal in [SIGTERM, SIGINT] {
            signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
        }
        signals.get_or_init(|| read)
    };
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut asked = [PollFd::new(stream, PollFlags::IN)];
        match poll(&mut asked, Some(&timeout)) {
            // What has come is left there: it is said again to whoever asks again.
            Ok(heard) => return Ok(heard > 0),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Who runs this, for the audit log: the user that we are, and the one who logged in before becoming it.
fn who() -> Who {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = |uid: u32| {
        // name:password:UID:…
        let mut rows = users.lines().map(|row| row.split(':'));
        let row = rows.find(|row| row.clone().nth(2) == Some(uid.to_string().as_str()));
        row.and_then(|mut row| row.next().map(str::to_owned))
    };
    let uid = rustix::process::getuid().as_raw();
    let login = std::fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    // The kernel writes -1 for a program that nobody logged in for.
    let login = login.trim().parse().ok().filter(|uid| *uid != u32::MAX);
    Who {
        uid,
        user: name(uid).unwrap_or_default(),
        login: login.map_or_else(String::new, |uid| {
            name(uid).unwrap_or_else(|| uid.to_string())
        }),
    }
}

#[cfg(feature = "fault-points")]
mod faults {
    use sealift_installer::disk::{
        RealDisk,
        faults::{Fault, FaultyDisk},
    };

    /// The disk with the fault that `SEALIFT_FAULT` names, or the text that names none.
    pub(super) fn disk() -> Result<FaultyDisk<RealDisk>, String> {
        #[expect(
            clippy::disallowed_methods,
            reason = "only a program's main reads the environment"
        )]
        let fault = match std::env::var("SEALIFT_FAULT") {
            Ok(text) => Fault::parse(&text).ok_or(text)?,
            Err(_) => Fault::None,
        };
        Ok(FaultyDisk::new(RealDisk, fault))
    }
}
