//! `key`: the site's own public key.

use std::path::PathBuf;

use serde_json::json;

use super::{Answer, Failed, Scene, write_new};
use crate::{
    error::{Code, Error},
    site_key,
};

/// Write the site's own public key (PEM), for those who are to trust what the site signs
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file to write instead of standard output; never overwritten
    #[arg(short = 'o', long = "out", visible_alias = "to", value_name = "FILE")]
    to: Option<PathBuf>,
}

pub(super) fn run(args: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let site = scene.site()?;
    let key = site_key::public(site.dir(), site.state().site_key.as_deref())?;
    let missing = || {
        let why = "has no key yet: an older program made this site, and the next change makes one";
        Error::new(Code::StateDamaged, site.path("").display().to_string(), why)
    };
    let key = key.ok_or_else(missing)?;
    let id = site_key::id(key)?;
    let pem = key
        .to_pem()
        .map_err(|e| Error::new(Code::StateDamaged, site_key::PUBLIC_FILE, e.to_string()))?;
    let json = json!({ "site": site.state().site, "key-id": id, "public-key": pem });
    let Some(to) = &args.to else {
        return Ok(Answer { text: pem, json });
    };
    write_new(to, pem.as_bytes(), scene.disk)?;
    let text = format!("key {id} written to {}\n", to.display());
    Ok(Answer { text, json })
}
