//! The license texts that a release carries for the third-party software in it.

use std::collections::HashMap;

use sealift_verifier::{digest::Digest, path::Name, release::Content};
use semver::Version;
use serde::Serialize;

use crate::{
    error::{Code, Error, Result},
    generation,
    site::{FILES, Site},
};

/// Bytes of texts that are shown together; of others it is only said where they lie.
const LIMIT: u64 = 64 << 20;

/// All notices of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Notices {
    /// The generation whose release they are of.
    pub generation: u64,
    /// The product.
    pub product: Name,
    /// Its version.
    pub version: Version,
    /// Its capabilities.
    pub capabilities: Vec<Licensed>,
    /// The texts, each once, in the order in which capabilities name them.
    pub texts: Vec<Text>,
}

/// How a capability is licensed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Licensed {
    /// The capability.
    pub name: Name,
    /// Its version.
    pub version: Version,
    /// An SPDX license expression.
    pub license: Option<String>,
    /// Its notices.
    pub notices: Vec<Notice>,
}

/// A notice of a capability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Notice {
    /// The artifact.
    pub name: String,
    /// Its text, by its place in [`Notices::texts`].
    pub text: usize,
}

/// A text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Text {
    /// SHA-256 of it.
    pub digest: Digest,
    /// Where it lies, below the folder of the generation.
    pub path: String,
    /// What it says; nothing if that is too long to show here.
    pub text: Option<String>,
}

/// Reads the notices of a kept generation, the current one if none is named: all, or those of one capability.
pub fn read(site: &Site, number: Option<u64>, only: Option<&Name>) -> Result<Notices> {
    let number = site.kept_or_current(number)?;
    let release = generation::release(site, site.kept(number)?)?;
    let root = site.generation_dir(number)?;
    let mut notices = Notices {
        generation: number,
        product: release.product,
        version: release.version,
        capabilities: Vec::new(),
        texts: Vec::new(),
    };
    let mut places: HashMap<Digest, usize> = HashMap::new();
    let mut left = LIMIT;
    for capability in release.capabilities {
        if only.is_some_and(|only| *only != capability.name) {
            continue;
        }
        let mut licensed = Licensed {
            name: capability.name,
            version: capability.version,
            license: capability.license,
            notices: Vec::new(),
        };
        for artifact in capability.artifacts {
            let Content::Notice(file) = artifact.content else {
                continue;
            };
            let text = *places.entry(file.digest).or_insert(notices.texts.len());
            if text == notices.texts.len() {
                let path = format!("{FILES}/{}/{}", licensed.name, artifact.name);
                let mut content = None;
                if let Some(rest) = left.checked_sub(file.size) {
                    left = rest;
                    let bytes = generation::read(&root, &path, &file)?;
                    content = Some(String::from_utf8_lossy(&bytes).into_owned());
                }
                notices.texts.push(Text {
                    digest: file.digest,
                    path,
                    text: content,
                });
            }
            licensed.notices.push(Notice {
                name: artifact.name.to_string(),
                text,
            });
        }
        notices.capabilities.push(licensed);
    }
    match only {
        Some(only) if notices.capabilities.is_empty() => Err(Error::new(
            Code::CapabilityUnknown,
            only.to_string(),
            format!("is not in {} {}", notices.product, notices.version),
        )),
        _ => Ok(notices),
    }
}
