//! `provenance.json`: who built a release, from what, as an in-toto statement with SLSA v1 provenance that a
//! release key has signed.
//!
//! Nothing is decided by what it says but one thing: it has to be about the release that it came with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    digest::Digest,
    dsse::Envelope,
    error::{Code, Error, Result},
    json::{self, AuthenticBytes},
    time::Time,
    tuf::{KeyHolder, Role, RoleName, Root},
};

/// Its name in a bundle.
pub const MEMBER: &str = "provenance.json";
/// The type of the envelope's payload (in-toto attestation framework v1, envelope layer).
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// The type of the statement (in-toto attestation framework v1, statement layer).
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The type of what it says of its subjects (SLSA v1.0, provenance).
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// The subject that stands for the release: its digest is the release digest.
pub const RELEASE: &str = "release.json";

/// Provenance that a release key has signed, and that is about the release it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// What it says.
    pub statement: Statement,
    /// The release keys that signed it: those who built.
    pub signers: Vec<KeyHolder>,
}

/// What is said of what. As in-toto asks of readers, fields that are not known here are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    /// Always [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// What was built: `release.json` with the release digest, and every image.
    pub subject: Vec<Resource>,
    /// Always [`PREDICATE_TYPE`].
    pub predicate_type: String,
    /// How it was built.
    pub predicate: Predicate,
}

/// Something with a digest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Resource {
    /// What it is called in the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it came from: a path in the catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Its digest.
    pub digest: Sha256,
    /// What else is said of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The digests of something, of which one is of interest here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub struct Sha256 {
    /// SHA-256.
    pub sha256: Digest,
}

/// SLSA provenance.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Predicate {
    /// What went in.
    pub build_definition: BuildDefinition,
    /// What happened.
    pub run_details: RunDetails,
}

/// The input of a build.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildDefinition {
    /// What the parameters mean.
    pub build_type: String,
    /// What was asked for.
    pub external_parameters: Map<String, Value>,
    /// What the builder added.
    #[serde(default)]
    pub internal_parameters: Map<String, Value>,
    /// Definitions, and the sources of artifacts.
    #[serde(default)]
    pub resolved_dependencies: Vec<Resource>,
}

/// One run of a builder.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct RunDetails {
    /// Who built.
    pub builder: Builder,
    /// Which run it was.
    pub metadata: BuildMetadata,
}

/// What built.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Builder {
    /// A URI with the version of the program.
    pub id: String,
}

/// One run among others.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildMetadata {
    /// Follows from what was built: the same again is the same run.
    pub invocation_id: String,
    /// When the release was published; a build asks no clock.
    pub finished_on: Time,
}

impl Provenance {
    /// Reads the envelope. One of the keys that sign targets has to have signed it: with a threshold above one,
    /// the others sign `targets.json`, which names its digest.
    pub(crate) fn verify(bytes: &AuthenticBytes<'_>, root: &Root, release: Digest) -> Result<Self> {
        let invalid = |e: Error| e.recode(Code::ProvenanceInvalid);
        let role = Role {
            keyids: root.role(RoleName::Targets)?.keyids.clone(),
            threshold: 1,
        };
        let envelope = Envelope::parse(bytes.as_bytes(), MEMBER).map_err(invalid)?;
        let (payload, signers) = envelope
            .verify(PAYLOAD_TYPE, &root.keys, &role, MEMBER)
            .map_err(invalid)?;
        let statement = Statement::parse(&payload)?;
        let about = |subject: &Resource| {
            subject.name.as_deref() == Some(RELEASE) && subject.digest.sha256 == release
        };
        if !statement.subject.iter().any(about) {
            return Err(Error::new(
                Code::ProvenanceInvalid,
                MEMBER,
                format!("is not about the release {release}"),
            ));
        }
        Ok(Self { statement, signers })
    }
}

impl Statement {
    /// Reads a statement that was signed.
    pub fn parse(payload: &AuthenticBytes<'_>) -> Result<Self> {
        let invalid = |detail: String| Error::new(Code::ProvenanceInvalid, MEMBER, detail);
        let value = json::parse(payload.as_bytes(), MEMBER)
            .map_err(|e| e.recode(Code::ProvenanceInvalid))?;
        let statement: Self =
            json::from_value(value).map_err(|e| invalid(format!("is no SLSA provenance: {e}")))?;
        let types = [
            (&statement.statement_type, STATEMENT_TYPE),
            (&statement.predicate_type, PREDICATE_TYPE),
        ];
        match types.iter().find(|(found, expected)| found != expected) {
            Some((found, expected)) => Err(invalid(format!("says {found:?}, not {expected:?}"))),
            None => Ok(statement),
        }
    }
}
