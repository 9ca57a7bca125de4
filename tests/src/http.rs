//! A small HTTP server on loopback that serves a folder, and misbehaves when asked to.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

/// What the server does instead of answering properly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mischief {
    /// 403 in place of 404, as object stores do.
    Forbidden,
    /// A body without end.
    Endless,
    /// A body that stops in its middle.
    Torn,
    /// An error of the server.
    Broken,
}

/// The server. It ends when it is dropped.
pub struct Server {
    url: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    folder: PathBuf,
    end: AtomicBool,
    requests: Mutex<Vec<String>>,
    mischief: Mutex<Option<(String, Mischief)>>,
}

impl Server {
    /// Serves `folder` on a free port of 127.0.0.1.
    pub fn new(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            end: AtomicBool::new(false),
            requests: Mutex::default(),
            mischief: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if own.end.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(stream) = stream {
                    // A client that goes away is its own affair.
                    let _ = own.answer(&stream);
                    let _ = stream.shutdown(Shutdown::Both);
                }
            }
        });
        Self {
            url: format!("http://{address}"),
            shared,
            thread: Some(thread),
        }
    }

    /// Its base URL, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The paths that were asked for so far.
    pub fn requests(&self) -> Vec<String> {
        self.shared
            .requests
            .lock()
            .expect("no thread panicked")
            .clone()
    }

    /// Misbehaves from now on whenever a path contains `part`.
    pub fn misbehave(&self, part: &str, how: Mischief) {
        *self.shared.mischief.lock().expect("no thread panicked") = Some((part.to_owned(), how));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::SeqCst);
        // Wakes the thread up.
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn answer(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        while lines
            .next()
            .transpose()?
            .is_some_and(|line| !line.is_empty())
        {}
        let path = first
            .split(' ')
            .nth(1)
            .unwrap_or_default()
            .trim_start_matches('/')
            .to_owned();
        self.requests
            .lock()
            .expect("no thread panicked")
            .push(path.clone());

        let mischief = self.mischief.lock().expect("no thread panicked").clone();
        let mischief = mischief
            .filter(|(part, _)| path.contains(part))
            .map(|(_, how)| how);
        let body = std::fs::read(self.folder.join(decoded(&path)));
        match (mischief, body) {
            (Some(Mischief::Forbidden), Err(_)) => head(stream, "403 Forbidden", 0),
            (Some(Mischief::Broken), _) => head(stream, "500 Internal Server Error", 0),
            (Some(Mischief::Endless), _) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
                loop {
                    stream.write_all(&[b' '; 1 << 13])?;
                }
            }
            (Some(Mischief::Torn), Ok(body)) => {
                head(stream, "200 OK", body.len())?;
                stream.write_all(body.get(..body.len() / 2).unwrap_or_default())
            }
            (_, Ok(body)) => {
                head(stream, "200 OK", body.len())?;
                stream.write_all(&body)
            }
            (_, Err(_)) => head(stream, "404 Not Found", 0),
        }
    }
}

fn head(mut stream: &TcpStream, status: &str, length: usize) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}

/// `%XX` as the byte that it stands for.
fn decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend(before.bytes());
        let (digits, tail) = after.split_at_checked(2).unwrap_or(("", after));
        bytes.extend(u8::from_str_radix(digits, 16));
        rest = tail;
    }
    bytes.extend(rest.bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}
