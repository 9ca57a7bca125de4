//! Health checks: what decides, after activation, whether the new generation stays.

use std::{
    net::{TcpStream, ToSocketAddrs as _},
    path::Path,
    sync::mpsc,
    time::{Duration, Instant},
};

use sealift_verifier::{
    error::printable,
    release::{Capability, HealthCheck, Probe, Release},
};

use crate::{
    error::{Code, Error, Result},
    process,
    site::FILES,
};

/// Asks every health check of a release, in its order, until each is answered well or one has failed.
/// `root` is the folder of the generation.
pub fn check(release: &Release, root: &Path, generation: u64) -> Result<()> {
    results(release, root, generation).try_for_each(|(capability, check, result)| {
        result.map_err(|reason| {
            let subject = format!("{}, health check {:?}", capability.name, check.name);
            Error::new(Code::HealthCheckFailed, subject, reason)
        })
    })
}

/// Asks the health checks of a release one after the other, as [`check`] does, and gives what each of them says;
/// why it failed is fit to be shown.
pub fn results<'a>(
    release: &'a Release,
    root: &'a Path,
    generation: u64,
) -> impl Iterator<Item = (&'a Capability, &'a HealthCheck, Result<(), String>)> {
    let begin = Instant::now();
    let capabilities = release.capabilities.iter();
    let checks = capabilities.flat_map(|c| c.health.iter().map(move |check| (c, check)));
    checks.map(move |(capability, check)| {
        let result = watch(check, begin, || ask(capability, check, root, generation));
        // Names and outputs come with the release; no line of ours may begin in them.
        (
            capability,
            check,
            result.map_err(|reason| printable(&reason)),
        )
    })
}

/// Attempts until one succeeds, or as many in a row have failed as the check allows; failures before the
/// end of the start period do not count.
fn watch(
    check: &HealthCheck,
    begin: Instant,
    mut attempt: impl FnMut() -> Result<(), String>,
) -> Result<(), String> {
    let start_period = Duration::from_millis(check.start_period_ms);
    let mut failures = 0;
    loop {
        let reason = match attempt() {
            Ok(()) => return Ok(()),
            Err(reason) => reason,
        };
        if begin.elapsed() >= start_period {
            failures += 1;
        }
        if failures >= check.retries.max(1) {
            return Err(format!(
                "{failures} attempts failed, the last one: {reason}"
            ));
        }
        std::thread::sleep(Duration::from_millis(check.interval_ms));
    }
}

fn ask(
    capability: &Capability,
    check: &HealthCheck,
    root: &Path,
    generation: u64,
) -> Result<(), String> {
    let limit = Duration::from_millis(check.timeout_ms.max(1));
    match &check.probe {
        Probe::Exec(command) => {
            let folder = root.join(FILES).join(capability.name.as_str());
            let (program, arguments) = command.split_first().ok_or("names no program")?;
            let program = if program.contains('/') {
                folder.join(program)
            } else {
                program.into()
            };
            let environment = [("SEALIFT_GENERATION", generation.to_string())];
            process::run(&program, arguments, &folder, &environment, limit)
        }
        Probe::Http(url) => http(url, limit),
        Probe::Tcp(address) => tcp(address, limit),
    }
}

fn http(url: &str, limit: Duration) -> Result<(), String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(limit))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        // The service is asked, not a proxy that happens to be in the environment.
        .proxy(None)
        .user_agent("sealift-installer")
        .build()
        .into();
    // Only the status is looked at; the body is never read.
    let status = agent
        .get(url)
        .call()
        .map_err(|e| format!("{url}: {e}"))?
        .status()
        .as_u16();
    match status {
        200..=399 => Ok(()),
        _ => Err(format!("{url} answered with status {status}")),
    }
}

fn tcp(address: &str, limit: Duration) -> Result<(), String> {
    let begin = Instant::now();
    let (sender, receiver) = mpsc::channel();
    let name = address.to_owned();
    // Looking a name up knows no time limit, so it gets a thread that nobody has to wait for.
    std::thread::spawn(move || {
        let found = name.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        // Nobody listens any more if the time is over.
        let _ = sender.send(found);
    });
    let addresses = receiver
        .recv_timeout(limit)
        .map_err(|_| format!("{address}: the name was not found in time"))?
        .map_err(|e| format!("{address}: {e}"))?;
    let mut reason = "has no address".to_owned();
    for socket in addresses {
        let left = limit.saturating_sub(begin.elapsed());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&socket, left) {
            Ok(_) => return Ok(()),
            Err(e) => reason = e.to_string(),
        }
    }
    Err(format!("{address}: {reason}"))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
    };

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    /// Answers each connection with this text; nothing is closed before the test ends.
    fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 1024];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(answer.as_bytes());
                if answer.is_empty() {
                    std::thread::sleep(Duration::from_mins(1));
                }
            }
        });
        address
    }

    #[test]
    fn http_is_judged_by_its_status_alone() {
        let ask = |answer| http(&format!("http://{}/health", server(answer)), LIMIT);
        ask("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        // A redirect is healthy and not followed.
        ask("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
        let error = ask("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").unwrap_err();
        assert!(error.contains("status 503"), "{error}");
        ask("not HTTP at all\r\n\r\n").unwrap_err();
        http("https://127.0.0.1:1/", LIMIT).unwrap_err();
    }

    #[test]
    fn a_service_that_says_nothing_has_failed_in_time() {
        let begin = Instant::now();
        http(
            &format!("http://{}/", server("")),
            Duration::from_millis(300),
        )
        .unwrap_err();
        assert!(begin.elapsed() < Duration::from_secs(3));
    }

    #[test]
    fn tcp_is_healthy_when_a_connection_opens() {
        tcp(&server("x"), LIMIT).unwrap();
        let closed = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        tcp(&closed.to_string(), LIMIT).unwrap_err();
        tcp("no address", LIMIT).unwrap_err();
    }

    fn check(retries: u32, start_period_ms: u64) -> HealthCheck {
        HealthCheck {
            name: "n".into(),
            probe: Probe::Exec(vec!["true".into()]),
            interval_ms: 10,
            timeout_ms: 1000,
            retries,
            start_period_ms,
        }
    }

    #[test]
    fn retries_and_start_period() {
        let run = |check: &HealthCheck, succeeds_at: u32| {
            let mut attempts = 0;
            let result = watch(check, Instant::now(), || {
                attempts += 1;
                if attempts >= succeeds_at {
                    Ok(())
                } else {
                    Err("no".into())
                }
            });
            (result.is_ok(), attempts)
        };
        assert_eq!(run(&check(3, 0), 3), (true, 3));
        assert_eq!(run(&check(3, 0), 4), (false, 3));
        assert_eq!(run(&check(0, 0), 2), (false, 1));
        let (healthy, attempts) = run(&check(1, 200), 5);
        assert!(healthy && attempts == 5);
    }

    #[test]
    fn an_exec_probe_runs_in_the_folder_of_its_capability() {
        use std::os::unix::fs::PermissionsExt as _;
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("files/core/api/bin");
        std::fs::create_dir_all(&folder).unwrap();
        let script =
            "#!/bin/sh\ntest \"$1\" = --x && test -f bin/ask && test \"$SEALIFT_GENERATION\" = 9\n";
        let mut file = std::fs::File::create(folder.join("ask")).unwrap();
        file.write_all(script.as_bytes()).unwrap();
        file.set_permissions(std::fs::Permissions::from_mode(0o755))
            .unwrap();
        drop(file);
        let capability = Capability::new(
            "core/api".parse().unwrap(),
            semver::Version::new(1, 0, 0),
            sealift_verifier::release::Kind::Service,
        );
        let mut check = check(1, 0);
        check.probe = Probe::Exec(vec!["bin/ask".into(), "--x".into()]);
        ask(&capability, &check, temp.path(), 9).unwrap();
        check.probe = Probe::Exec(vec!["bin/ask".into()]);
        ask(&capability, &check, temp.path(), 9).unwrap_err();
        check.probe = Probe::Exec(vec!["true".into()]);
        ask(&capability, &check, temp.path(), 9).unwrap();
    }
}
