//! One of two releases that are compared, with what it lets people configure.

use std::collections::BTreeMap;

use sealift_verifier::{
    bundle::Authentic,
    digest::Digest,
    path::{EntryPath, Name},
    release::{Capability, Configuration, Content, Mode, Release},
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
    /// The modes that the product is offered for.
    pub offered: Offered,
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
    /// Why something of it cannot be read, with the digest of what is there.
    pub unreadable: BTreeMap<String, Option<Digest>>,
}

impl Side {
    /// The release that `plan` leads to, of a definition for `modes`. Contents are read only of schemas and defaults.
    ///
    /// # Errors
    /// What keeps one of these from being read.
    pub fn of_plan(plan: &Plan, modes: &[Mode]) -> Result<Self> {
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
            offered: Offered {
                modes: match modes {
                    [] => Mode::ALL.to_vec(),
                    modes => modes.to_vec(),
                },
                is_all: true,
            },
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
            offered: Offered::at_least(bundle.release().mode),
            configurations: reader.configurations,
        })
    }
}

/// The modes that a product is offered for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// Those that are known.
    pub modes: Vec<Mode>,
    /// Whether there are no others. A definition names all of them, a bundle is for its own.
    pub is_all: bool,
}

impl Offered {
    /// What a bundle for `mode` says.
    pub fn at_least(mode: Option<Mode>) -> Self {
        Self {
            modes: all_or(mode),
            is_all: false,
        }
    }
}

/// The mode of a release; without one it is the same in all.
pub(super) fn all_or(mode: Option<Mode>) -> Vec<Mode> {
    mode.map_or_else(|| Mode::ALL.to_vec(), |mode| vec![mode])
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
                let find = |path: &str| tree.entries.iter().find(|e| e.path.as_str() == path);
                let led = configuration::follow_links(rest, |path| match &find(path)?.node {
                    Node::Symlink { target } => Some(target.as_str()),
                    _ => None,
                });
                return Ok(match led.and_then(|led| find(&led)).map(|e| &e.node) {
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
            let bytes = take(path)?;
            match read(path, bytes.as_deref(), configuration::read_schema) {
                Ok(value) => configured.schema = Some(value),
                Err(why) => drop(
                    configured
                        .unreadable
                        .insert(why, bytes.as_deref().map(Digest::of)),
                ),
            }
        }
        if let Some(path) = defaults {
            let bytes = take(path)?;
            let parse = |bytes: &[u8]| configuration::read_defaults(path, bytes);
            match read(path, bytes.as_deref(), parse) {
                Ok(Value::Object(table)) => configured.defaults = table,
                // `read_defaults` gives nothing but tables.
                Ok(_) => {}
                Err(why) => drop(
                    configured
                        .unreadable
                        .insert(why, bytes.as_deref().map(Digest::of)),
                ),
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
    bytes: Option<&[u8]>,
    parse: impl FnOnce(&[u8]) -> Result<Value, Finding>,
) -> Result<Value, String> {
    let bytes = bytes.ok_or_else(|| format!("there is no file {path}"))?;
    parse(bytes).map_err(|finding| match readable(&finding.pointer) {
        at if at.is_empty() => format!("{path} {}", finding.message),
        at => format!("{path}: {at} {}", finding.message),
    })
}
