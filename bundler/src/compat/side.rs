//! One of two releases that are compared, with what it lets people configure.

use std::collections::BTreeMap;

use sealift_verifier::{
    bundle::Authentic,
    digest::Digest,
    path::{EntryPath, Name},
    release::{Capability, Configuration, Content, Release},
    tree::Node,
};
use serde_json::{Map, Value};

use crate::{
    configuration::{self, CONFIGURATION_BYTES, Finding, readable},
    error::{Code, Error, Result},
    plan::Plan,
};

/// Schemas and defaults of one release, in bytes: they are all in memory at once.
const ALL_BYTES: usize = 32 << 20;

/// A release, and the contents of its configuration schemas and defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// The release manifest; artifacts are not looked at.
    pub release: Release,
    /// The release counter.
    pub counter: u64,
    /// SHA-256 of the release manifest, of a release that was built.
    pub digest: Option<Digest>,
    /// What can be configured, by capability.
    pub configurations: BTreeMap<Name, Configured>,
}

/// What can be configured in a capability.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Configured {
    /// The schema.
    pub schema: Option<Value>,
    /// The defaults: a table, which is empty where there are none.
    pub defaults: Map<String, Value>,
    /// Why something of it cannot be read.
    pub unreadable: Vec<String>,
}

impl Side {
    /// The release that `plan` leads to. Contents are read only of schemas and defaults.
    ///
    /// # Errors
    /// What keeps one of these from being read.
    pub fn of_plan(plan: &Plan) -> Result<Self> {
        let release = Release {
            capabilities: plan
                .capabilities
                .iter()
                .map(|c| c.manifest.clone())
                .collect(),
            ..plan.release.clone()
        };
        let mut reader = Reader::default();
        for planned in &plan.capabilities {
            reader.capability(&planned.manifest, |path| {
                let source = configuration::source(path, &planned.artifacts);
                source.map_or(Ok(None), |source| {
                    let bytes = configuration::read(source);
                    bytes
                        .map(Some)
                        .map_err(|e| Error::new(Code::Io, source.subject(), e))
                })
            })?;
        }
        Ok(Self {
            release,
            counter: plan.counter,
            digest: None,
            configurations: reader.configurations,
        })
    }

    /// The release of a bundle.
    ///
    /// # Errors
    /// Content that is not what was signed, or cannot be read.
    pub fn of_bundle(bundle: &Authentic) -> Result<Self> {
        let mut reader = Reader::default();
        for capability in &bundle.release().capabilities {
            reader.capability(capability, |path| {
                let digest = blob(bundle, capability, path)?;
                let bytes = digest.map(|digest| bundle.blob(digest, CONFIGURATION_BYTES));
                Ok(bytes.transpose()?)
            })?;
        }
        Ok(Self {
            release: bundle.release().clone(),
            counter: bundle.counter(),
            digest: Some(bundle.release_digest()),
            configurations: reader.configurations,
        })
    }
}

/// Where the bytes of a file of a capability are in a bundle.
fn blob(bundle: &Authentic, capability: &Capability, path: &EntryPath) -> Result<Option<Digest>> {
    for artifact in &capability.artifacts {
        match &artifact.content {
            Content::File(file) | Content::Config(file) if artifact.name == *path => {
                return Ok(Some(file.digest));
            }
            Content::Tree(tree) => {
                let rest = path.as_str().strip_prefix(artifact.name.as_str());
                let Some(rest) = rest.and_then(|rest| rest.strip_prefix('/')) else {
                    continue;
                };
                let tree = bundle.tree(tree.digest)?;
                let entry = tree.entries.iter().find(|e| e.path.as_str() == rest);
                return Ok(match entry.map(|e| &e.node) {
                    Some(Node::File { digest, .. }) => Some(*digest),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    Ok(None)
}

/// Reads the configurations of one release.
#[derive(Default)]
struct Reader {
    configurations: BTreeMap<Name, Configured>,
    bytes: usize,
}

impl Reader {
    fn capability(
        &mut self,
        capability: &Capability,
        mut get: impl FnMut(&EntryPath) -> Result<Option<Vec<u8>>>,
    ) -> Result<()> {
        let Configuration { schema, defaults } = &capability.configuration;
        let mut configured = Configured::default();
        let mut take = |path: &EntryPath| -> Result<Option<Vec<u8>>> {
            let bytes = get(path)?;
            self.bytes += bytes.as_ref().map_or(0, Vec::len);
            if self.bytes > ALL_BYTES {
                let detail = format!("schemas and defaults are more than {ALL_BYTES} bytes in all");
                return Err(Error::new(
                    Code::InvalidValue,
                    capability.name.to_string(),
                    detail,
                ));
            }
            Ok(bytes)
        };
        if let Some(path) = schema {
            match read(path, take(path)?, configuration::read_schema) {
                Ok(value) => configured.schema = Some(value),
                Err(why) => configured.unreadable.push(why),
            }
        }
        if let Some(path) = defaults {
            let read = read(path, take(path)?, |bytes| {
                configuration::read_defaults(path, bytes)
            });
            match read {
                Ok(Value::Object(table)) => configured.defaults = table,
                // `read_defaults` gives nothing but tables.
                Ok(_) => {}
                Err(why) => configured.unreadable.push(why),
            }
        }
        if !capability.configuration.is_empty() {
            let name = capability.name.clone();
            self.configurations.insert(name, configured);
        }
        Ok(())
    }
}

fn read(
    path: &EntryPath,
    bytes: Option<Vec<u8>>,
    parse: impl FnOnce(&[u8]) -> Result<Value, Finding>,
) -> Result<Value, String> {
    let bytes = bytes.ok_or_else(|| format!("there is no file {path}"))?;
    parse(&bytes).map_err(|finding| match readable(&finding.pointer) {
        at if at.is_empty() => format!("{path} {}", finding.message),
        at => format!("{path}: {at} {}", finding.message),
    })
}
