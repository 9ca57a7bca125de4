//! The real service of Acme at a site, as its activate hook starts it.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
};

use crate::{sandbox, site::Site};

/// The hook that comes with Acme.
pub fn hook() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/acme/activate");
    sandbox::read(path.as_ref())
}

/// A port that nobody listens on right now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener
        .local_addr()
        .expect("a listener has an address")
        .port()
}

/// What the service answers to a GET, or nothing if nobody answers.
pub fn ask(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some(body.to_owned())
}

/// Ends the service of a site at the end of the test, whatever becomes of the test.
pub struct EndService(PathBuf);

impl EndService {
    /// For the site whose hook is [`hook`].
    pub fn of(site: &Site) -> Self {
        Self(site.state().with_file_name("acme.pid"))
    }
}

impl Drop for EndService {
    fn drop(&mut self) {
        let pid = std::fs::read_to_string(&self.0).unwrap_or_default();
        if let Ok(pid) = pid.trim().parse().map(rustix::process::Pid::from_raw)
            && let Some(pid) = pid
        {
            // It may have gone already.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}
