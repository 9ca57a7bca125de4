//! JSON Schemas of the definition files, from which editors complete and check while one writes.
//!
//! The types say what the readers beside them take; tests hold both to each other. A schema may accept what a
//! reader refuses, because a reader knows more, such as whether a file exists; never the other way round.
#![expect(
    dead_code,
    reason = "the types are shapes: their fields are only looked at by the derive"
)]

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde_json::{Value, json};

/// The kinds of definition files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SchemaKind {
    /// capability.toml
    Capability,
    /// suite.toml
    Suite,
    /// platform.toml
    Platform,
    /// RELEASE.toml
    Release,
    /// licenses.toml
    Licenses,
}

impl SchemaKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Capability,
        Self::Suite,
        Self::Platform,
        Self::Release,
        Self::Licenses,
    ];

    /// The usual name of the schema's file.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Capability => "capability.schema.json",
            Self::Suite => "suite.schema.json",
            Self::Platform => "platform.schema.json",
            Self::Release => "release.schema.json",
            Self::Licenses => "licenses.schema.json",
        }
    }

    /// The schema (JSON Schema 2020-12).
    pub fn schema(self) -> Schema {
        let settings = SchemaSettings::draft2020_12();
        let generator = settings
            .with_transform(RecursiveTransform(as_in_toml))
            .into_generator();
        match self {
            Self::Capability => generator.into_root_schema_for::<Capability>(),
            Self::Suite => generator.into_root_schema_for::<Suite>(),
            Self::Platform => generator.into_root_schema_for::<Platform>(),
            Self::Release => generator.into_root_schema_for::<Release>(),
            Self::Licenses => generator.into_root_schema_for::<Licenses>(),
        }
    }
}

/// TOML has no null, what is optional is left out; and its integers have no formats.
fn as_in_toml(schema: &mut Schema) {
    schema.remove("format");
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".into(), only);
        }
    }
    let alternatives = schema.get("anyOf").and_then(Value::as_array);
    let null = json!({ "type": "null" });
    if let Some([one, other]) = alternatives.map(Vec::as_slice)
        && *other == null
        && let Some(one) = one.as_object().cloned()
    {
        schema.remove("anyOf");
        for (key, value) in one {
            schema.insert(key, value);
        }
    }
}

/// One version of a capability: catalog/capabilities/SUITE/NAME/VERSION/capability.toml
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
struct Capability {
    /// `suite/name`, as the folders above say it
    name: Name,
    /// Its version, as the folder says it
    version: FullVersion,
    /// What it is
    kind: Kind,
    /// One sentence for people
    description: Option<Line>,
    /// An SPDX license expression, such as "Apache-2.0 OR MIT"
    license: Option<Line>,
    /// Who made it
    vendor: Option<ShortLine>,
    /// Withdrawn: the version never enters a release by itself any more
    yanked: Option<bool>,
    /// Why it was withdrawn
    yanked_reason: Option<Line>,
    /// Where it may run; everywhere if left out
    modes: Option<Modes>,
    /// Other capabilities that it cannot do without, with the versions it works with
    requires: Option<BTreeMap<Name, Requirement>>,
    /// Versions of other capabilities that it does not work beside
    conflicts: Option<BTreeMap<Name, Conflict>>,
    /// What stands in for it in a mode where it may not run
    substitutes: Option<Substitutes>,
    /// What a license has to grant
    #[schemars(inner(regex(pattern = r"^[a-z0-9._/-]{1,100}$")))]
    entitlements: Option<Vec<String>>,
    /// What it needs of the machine
    hardware: Option<Hardware>,
    /// What can be configured
    configuration: Option<Configuration>,
    /// Changes of data, in the order in which they are made
    migrations: Option<Vec<Migration>>,
    /// Advisories that this version corrects
    fixes: Option<Vec<Advisory>>,
    /// What is new, a line each
    changes: Option<Vec<Line>>,
    /// What it is made of
    artifacts: Option<Vec<Artifact>>,
    /// What has to hold after activation
    health: Option<Vec<Health>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum Kind {
    /// A program that runs
    Service,
    /// A program with a face for people, such as a web app
    App,
    /// A machine-learning model
    Model,
    /// Rules
    Policy,
    /// Configuration
    Config,
}

#[derive(JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[schemars(rename_all = "kebab-case")]
enum Mode {
    /// By the vendor, for many customers at once
    Saas,
    /// By the vendor, for one customer
    Dedicated,
    /// By the customer
    OnPrem,
    /// By the customer, on a small machine in the field
    Edge,
}

#[derive(JsonSchema)]
#[schemars(transparent)]
struct Modes(#[schemars(length(min = 1), extend("uniqueItems" = true))] Vec<Mode>);

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
struct Substitutes {
    saas: Option<Name>,
    dedicated: Option<Name>,
    on_prem: Option<Name>,
    edge: Option<Name>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
struct Hardware {
    /// Processor cores
    cpu: Option<Count>,
    /// Memory, such as "8 GiB"
    memory: Option<Size>,
    /// Room on disk for its data, such as "20 GB"
    disk: Option<Size>,
    /// Graphics processors
    gpu: Option<Count>,
    /// Memory of each graphics processor
    gpu_memory: Option<Size>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
struct Configuration {
    /// The file with a JSON Schema of the configuration, as it lies at the site
    schema: Option<Path>,
    /// The file with the configuration where a site says nothing: TOML or JSON
    defaults: Option<Path>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
struct Migration {
    /// Its name, once in a capability and the same in all its versions
    name: ShortLine,
    /// The file that makes the change, as it lies at the site
    up: Path,
    /// The file that takes it back
    down: Option<Path>,
    /// The version before runs on the changed data too
    compatible: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
struct Artifact {
    /// The name of its file or folder at the site
    name: Path,
    /// What it is
    r#type: ArtifactType,
    /// Where it lies, relative to this file
    #[schemars(length(min = 1))]
    path: String,
    /// Which of several images
    reference: Option<String>,
    /// SHA-256 of the file, or of the image's manifest or index
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    digest: Option<String>,
    /// Whether the file may be run; its x bit if left out
    executable: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum ArtifactType {
    /// An OCI layout, or an oci-archive or docker-archive file
    Image,
    /// A folder
    Tree,
    /// One file
    File,
    /// A configuration file; it is searched for secrets
    Config,
    /// A license text of third-party software
    Notice,
}

/// Exactly one of exec, http and tcp
#[derive(JsonSchema)]
#[schemars(
    rename_all = "kebab-case",
    deny_unknown_fields,
    extend("oneOf" = [{ "required": ["exec"] }, { "required": ["http"] }, { "required": ["tcp"] }])
)]
struct Health {
    /// For people, in messages
    name: ShortLine,
    /// A command: healthy if it ends with 0
    #[schemars(length(min = 1))]
    exec: Option<Vec<String>>,
    /// An http:// URL: healthy with a status from 200 to 399
    #[schemars(regex(pattern = r"^http://"))]
    http: Option<String>,
    /// host:port: healthy if it takes a connection
    tcp: Option<String>,
    /// Between two attempts; 10s if left out
    interval: Option<Duration>,
    /// Of one attempt; 5s if left out
    timeout: Option<Duration>,
    /// So many failures in a row are a failure; 3 if left out
    #[schemars(range(min = 1, max = 1000))]
    retries: Option<u64>,
    /// Failures do not count so long; 0s if left out
    start_period: Option<Duration>,
}

/// A release of a suite: catalog/suites/NAME/VERSION/suite.toml
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
struct Suite {
    /// The suite, as the folder says it
    name: Name,
    /// Its version, as the folder says it
    version: FullVersion,
    /// One sentence for people
    description: Option<Line>,
    /// Its capabilities: a full version is that very version, anything else a requirement
    capabilities: BTreeMap<Name, Wanted>,
}

/// A release of a platform: catalog/platforms/PRODUCT/VERSION/platform.toml
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
struct Platform {
    /// The product, as the folder says it
    name: Name,
    /// Its version, as the folder says it
    version: FullVersion,
    /// One sentence for people
    description: Option<Line>,
    /// Its suites: a full version is that very version, anything else a requirement
    suites: BTreeMap<Name, Wanted>,
}

/// What a release is to contain, and what is said of it
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
struct Release {
    /// The product
    product: Name,
    /// Its version
    version: FullVersion,
    /// The release counter: grows with every release published, whatever its version
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_u64))]
    counter: u64,
    /// When it was published; the variable `SOURCE_DATE_EPOCH` goes before it
    published: Option<Date>,
    /// When sites stop accepting the bundle; five years after `published` if left out
    expires: Option<Date>,
    /// Sites that have this release never go back below this version
    security_floor: Option<FullVersion>,
    /// What every image has to offer, such as linux/amd64
    #[schemars(inner(regex(pattern = r"^[a-z0-9.]+/[a-z0-9.]+(/[a-z0-9.]+)?$")))]
    platforms: Option<Vec<String>>,
    /// The catalog folder, relative to this file; "catalog" if left out
    #[schemars(length(min = 1))]
    catalog: Option<String>,
    /// The definition of the release before, relative to this file
    #[schemars(length(min = 1))]
    previous: Option<String>,
    /// How far it may change what the release before did; follows from the versions if left out
    r#type: Option<ReleaseType>,
    /// Installed versions that may be upgraded to this one, such as ">=2.3"
    upgrade_from: Option<Requirement>,
    /// The worst that it corrects
    severity: Option<Severity>,
    /// Whether it takes a license to install it; if entitlements are asked for, it always does
    licensed: Option<bool>,
    /// Whether licenses cover it even if it is published after their maintenance date; only with severity = "critical"
    maintenance_exempt: Option<bool>,
    /// Advisories that it corrects
    fixes: Option<Vec<Advisory>>,
    /// What is new, a line each
    changes: Option<Vec<Line>>,
    /// The modes that it is resolved for, each with a bundle of its own
    modes: Option<Vec<Mode>>,
    /// Pins the platform release
    platform: Option<FullVersion>,
    /// Pins suites: a full version is that very version, anything else a requirement
    suites: Option<BTreeMap<Name, Wanted>>,
    /// Pins capabilities: a full version is that very version, anything else a requirement
    capabilities: Option<BTreeMap<Name, Wanted>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum ReleaseType {
    /// Corrections; nothing behaves otherwise
    Patch,
    /// New features; whatever worked still does
    Minor,
    /// Something that worked may not any more
    Major,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum Severity {
    /// CVSS below 4.0
    Low,
    /// CVSS from 4.0
    Medium,
    /// CVSS from 7.0
    High,
    /// CVSS from 9.0
    Critical,
}

/// Which licenses a vendor accepts: catalog/licenses.toml
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
struct Licenses {
    /// SPDX license identifiers; if it is there, all others are refused
    allowed: Option<Vec<String>>,
    /// SPDX license identifiers that are refused
    forbidden: Option<Vec<String>>,
    /// SPDX license identifiers accepted for one capability or package all the same
    exceptions: Option<BTreeMap<String, Vec<String>>>,
    /// What becomes of packages whose license is not known, and of capabilities without one; "accept" if left out
    unknown: Option<Unknown>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum Unknown {
    /// They are listed as unknown
    Accept,
    /// They are refused
    Refuse,
}

/// Lower-case letters, digits and single `.`, `_`, `-` between them, in parts divided by `/`
#[derive(JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[schemars(transparent)]
struct Name(
    #[schemars(
        length(min = 1, max = 100),
        regex(pattern = r"^[a-z0-9]([a-z0-9._-]*[a-z0-9])?(/[a-z0-9]([a-z0-9._-]*[a-z0-9])?)*$")
    )]
    String,
);

/// A full version (SemVer 2.0), such as 2.5.0
#[derive(JsonSchema)]
#[schemars(transparent)]
struct FullVersion(
    #[schemars(
        length(max = 128),
        regex(
            pattern = r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$"
        )
    )]
    String,
);

/// Versions, such as ">=2.0, <3", "^1.2" or "*"; without an operator, ^ is meant
#[derive(JsonSchema)]
#[schemars(transparent)]
struct Requirement(#[schemars(regex(pattern = r"^[^+]+$"))] String);

/// Versions with operators, such as "=1.5.0", "<2" or "*"
#[derive(JsonSchema)]
#[schemars(transparent)]
struct Conflict(#[schemars(regex(pattern = r"^[^+]*[\^~=<>*][^+]*$"))] String);

/// A full version for that very version, or a requirement with an operator
#[derive(JsonSchema)]
#[schemars(transparent)]
struct Wanted(#[schemars(length(min = 1))] String);

/// A path below the capability: no empty, `.` or `..` part
#[derive(JsonSchema)]
#[schemars(transparent)]
struct Path(
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^[^/\\]+(/[^/\\]+)*$"))] String,
);

/// One line
#[derive(JsonSchema)]
#[schemars(transparent)]
struct Line(#[schemars(length(min = 1, max = 500))] String);

/// One short line
#[derive(JsonSchema)]
#[schemars(transparent)]
struct ShortLine(#[schemars(length(min = 1, max = 200))] String);

/// A number of things
#[derive(JsonSchema)]
#[schemars(transparent)]
struct Count(#[schemars(range(min = 1, max = 1_048_576))] u64);

/// A number of bytes: an integer and kB, MB, GB, TB, KiB, MiB, GiB or TiB
#[derive(JsonSchema)]
#[schemars(transparent)]
struct Size(#[schemars(regex(pattern = r"^[0-9]+\s*(k|M|G|T|Ki|Mi|Gi|Ti)B$"))] String);

/// An integer and ms, s or m; at most 24 hours
#[derive(JsonSchema)]
#[schemars(transparent)]
struct Duration(#[schemars(regex(pattern = r"^[0-9]+(ms|s|m)$"))] String);

/// In UTC with whole seconds, such as 2026-03-01T12:00:00Z
#[derive(JsonSchema)]
#[schemars(transparent)]
struct Date(#[schemars(regex(pattern = r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}[Zz]$"))] String);

/// The identifier of an advisory, such as CVE-2026-1234
#[derive(JsonSchema)]
#[schemars(transparent)]
struct Advisory(#[schemars(regex(pattern = r"^[A-Za-z0-9.:]+-[A-Za-z0-9.:-]+$"))] String);
