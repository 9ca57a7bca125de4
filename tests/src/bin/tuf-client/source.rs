//! Where a repository is: a folder, or HTTP. TUF needs no TLS: everything that matters is signed.

use std::{fmt::Write as _, io, path::PathBuf, time::Duration};

use sealift_verifier::{Code, Error, Result, path::EntryPath, tuf::client::Repository};
use ureq::Agent;

use crate::keeper;

/// A repository that does not answer in this time, or trickles bytes for longer, has failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// A base that names of files are put behind.
pub(crate) enum Source {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A server.
    Http {
        /// The client, with its limits.
        agent: Agent,
        /// The base, with a slash at its end.
        base: String,
    },
}

impl Source {
    /// `http://…`, `file://…` or the path of a folder.
    pub(crate) fn new(text: &str) -> Self {
        if !text.starts_with("http://") {
            return Self::Folder(text.strip_prefix("file://").unwrap_or(text).into());
        }
        let agent = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .into();
        let base = format!("{}/", text.trim_end_matches('/'));
        Self::Http { agent, base }
    }

    /// The file `name`, or nothing if there is none. More than `limit` bytes are an error.
    pub(crate) fn fetch(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name.parse::<EntryPath>()?.as_path());
                if !path.exists() {
                    return Ok(None);
                }
                keeper::read(&path, limit).map(Some)
            }
            Self::Http { agent, base } => {
                let url = format!("{base}{}", encoded(name, true));
                let failed = |e| Error::io(&url, io::Error::other(e));
                let answer = agent.get(&url).call().map_err(failed)?;
                match answer.status().as_u16() {
                    200 => {
                        keeper::read_all(answer.into_body().into_reader(), limit, &url).map(Some)
                    }
                    // Some stores answer 403 for what is not there (TUF 5.3.3 speaks of "not available").
                    403 | 404 => Ok(None),
                    status => Err(Error::new(Code::Io, &url, format!("answered {status}"))),
                }
            }
        }
    }
}

impl Repository for Source {
    fn metadata(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.fetch(name, limit)
    }
}

/// `name` with everything but unreserved characters as `%XX` (RFC 3986, 2.1), and with or without its
/// slashes as they are.
pub(crate) fn encoded(name: &str, slashes: bool) -> String {
    name.bytes().fold(String::new(), |mut text, byte| {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if plain || (slashes && byte == b'/') {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}
