//! What a capability asks of the place where it runs.

use serde::{Deserialize, Serialize};

use crate::path::EntryPath;

/// What a capability needs of the machine, beside all others; nothing where nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Hardware {
    /// Processor cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u64>,
    /// Memory in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Room on disk in bytes, for its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<u64>,
    /// Graphics processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<u64>,
    /// Memory of each graphics processor in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_memory: Option<u64>,
}

impl Hardware {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What can be configured. Both name a file of the capability, as it lies at the site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Configuration {
    /// A JSON Schema (2020-12) of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<EntryPath>,
    /// The configuration where the site says nothing: TOML or JSON, by the end of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<EntryPath>,
}

impl Configuration {
    /// Whether nothing can be configured.
    pub fn is_empty(&self) -> bool {
        self.schema.is_none() && self.defaults.is_none()
    }
}

/// A change of data. Its files are files of the capability, as they lie at the site.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Migration {
    /// Its name, once in a capability and the same in all its versions.
    pub name: String,
    /// What makes the change.
    pub up: EntryPath,
    /// What takes it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<EntryPath>,
    /// Whether the version before runs on the changed data too, so that nothing has to be taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compatible: bool,
}

impl Migration {
    /// Whether a site can go back after it.
    pub fn has_way_back(&self) -> bool {
        self.down.is_some() || self.compatible
    }
}
