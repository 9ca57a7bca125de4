//! What a bundle says of where it comes from: an in-toto statement with SLSA v1 provenance, signed by those who
//! build. `docs/format.md` says what each field means.

use std::fmt::Write as _;

use sealift_keys::{dsse, signer::Signer};
use sealift_verifier::{
    digest::Digest,
    json,
    provenance::{
        BuildDefinition, BuildMetadata, Builder, PAYLOAD_TYPE, PREDICATE_TYPE, Predicate, RELEASE,
        Resource, RunDetails, STATEMENT_TYPE, Sha256, Statement,
    },
    release::{Content, Release},
};
use serde_json::{Map, Value};

use crate::{error::Result, plan::Plan};

/// What the parameters of our builds mean; `docs/format.md` describes them.
const BUILD_TYPE: &str = "pkg:generic/sealift-bundler#build/v1";
/// This program, as a package URL.
const BUILDER: &str = concat!("pkg:generic/sealift-bundler@", env!("CARGO_PKG_VERSION"));

/// `provenance.json` of `release`, which `plan` led to and whose release digest is `digest`. Its length depends
/// on no digest.
pub(crate) fn envelope(
    plan: &Plan,
    release: &Release,
    digest: Digest,
    signers: &[&dyn Signer],
) -> Result<Vec<u8>> {
    let statement = json::to_canonical(&statement(plan, release, digest))?;
    Ok(dsse::sign(PAYLOAD_TYPE, statement, signers)?.to_bytes())
}

fn statement(plan: &Plan, release: &Release, digest: Digest) -> Statement {
    let images = release
        .images()
        .map(|(reference, image)| resource(image.digest, Some(reference), None));
    let definitions = plan
        .definitions
        .iter()
        .map(|found| resource(found.digest, None, Some(uri(&found.path))));
    let planned = plan.capabilities.iter().flat_map(|c| &c.artifacts);
    let sources = release
        .artifacts()
        .zip(planned)
        .map(|((capability, artifact), planned)| {
            let (kind, digest) = kind_and_digest(&artifact.content);
            let name = format!("{}/{}", capability.name, artifact.name);
            Resource {
                annotations: [("type".to_owned(), kind.to_owned())].into(),
                ..resource(digest, Some(name), Some(uri(&planned.source)))
            }
        });
    let mut asked = parameters([
        ("counter", plan.counter.into()),
        ("definition", uri(&plan.definition).into()),
        ("product", release.product.to_string().into()),
        ("version", release.version.to_string().into()),
    ]);
    asked.extend(
        release
            .mode
            .map(|mode| ("mode".to_owned(), mode.name().into())),
    );
    let added = [
        ("expires", plan.expires.to_string().into()),
        ("platforms", release.platforms.clone().into()),
        ("published", release.published.to_string().into()),
    ];
    Statement {
        statement_type: STATEMENT_TYPE.into(),
        subject: std::iter::once(resource(digest, Some(RELEASE.into()), None))
            .chain(images)
            .collect(),
        predicate_type: PREDICATE_TYPE.into(),
        predicate: Predicate {
            build_definition: BuildDefinition {
                build_type: BUILD_TYPE.into(),
                external_parameters: asked,
                internal_parameters: parameters(added),
                resolved_dependencies: definitions.chain(sources).collect(),
            },
            run_details: RunDetails {
                builder: Builder { id: BUILDER.into() },
                metadata: BuildMetadata {
                    invocation_id: format!("{}/{}", plan.counter, digest),
                    finished_on: release.published,
                },
            },
        },
    }
}

fn resource(digest: Digest, name: Option<String>, uri: Option<String>) -> Resource {
    Resource {
        name,
        uri,
        digest: Sha256 { sha256: digest },
        annotations: [].into(),
    }
}

fn parameters<const N: usize>(list: [(&str, Value); N]) -> Map<String, Value> {
    list.map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}

fn kind_and_digest(content: &Content) -> (&'static str, Digest) {
    match content {
        Content::Image(image) => ("image", image.digest),
        Content::Tree(tree) => ("tree", tree.digest),
        Content::File(file) => ("file", file.digest),
        Content::Config(file) => ("config", file.digest),
        Content::Notice(file) => ("notice", file.digest),
    }
}

/// A path as a relative reference (RFC 3986, section 4.2): everything but unreserved characters and `/` as `%XX`.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    #[test]
    fn any_path_is_a_relative_reference() {
        assert_eq!(super::uri("a/b-1.0_~.toml"), "a/b-1.0_~.toml");
        assert_eq!(
            super::uri("a b/\u{fc}?#:%\n"),
            "a%20b/%C3%BC%3F%23%3A%25%0A"
        );
    }
}
