//! SPDX 2.3 as JSON (ISO/IEC 5962 describes 2.2.1).
//!
//! Files are packages with the purpose `FILE`: what 2.3 calls a file needs a SHA-1 (8.4), and nothing here is
//! held to SHA-1.

use std::{collections::BTreeSet, iter::once};

use sealift_verifier::{digest::Digest, release::Kind};
use serde::{Serialize, Serializer};

use super::{
    Each, TOOL,
    model::{FilePart, Id, ImagePart, Model, PackagePart, Part, references},
    to_json,
};
use crate::error::Result;

const UNSAID: &str = "NOASSERTION";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Root<'a, P: Serialize, R: Serialize> {
    #[serde(rename = "SPDXID")]
    id: Ref,
    spdx_version: &'static str,
    data_license: &'static str,
    name: String,
    document_namespace: String,
    creation_info: CreationInfo<'a>,
    packages: P,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    has_extracted_licensing_infos: Vec<Extracted<'a>>,
    relationships: R,
}

#[derive(Serialize)]
struct CreationInfo<'a> {
    created: &'a str,
    creators: [String; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Package<'a> {
    #[serde(rename = "SPDXID")]
    id: Ref,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_info: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    download_location: &'static str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    license_declared: Option<&'a str>,
    primary_package_purpose: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    checksums: Option<[Checksum; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_refs: Option<[ExternalRef<'a>; 1]>,
}

impl<'a> Package<'a> {
    fn new(id: Ref, name: &'a str, purpose: &'static str) -> Self {
        Self {
            id,
            name,
            version_info: None,
            supplier: None,
            description: "",
            download_location: UNSAID,
            files_analyzed: false,
            license_declared: None,
            primary_package_purpose: purpose,
            checksums: None,
            external_refs: None,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: Digest,
}

#[derive(Serialize)]
struct ExternalRef<'a> {
    #[serde(rename = "referenceCategory")]
    category: &'static str,
    #[serde(rename = "referenceType")]
    kind: &'static str,
    #[serde(rename = "referenceLocator")]
    locator: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Extracted<'a> {
    license_id: &'a str,
    extracted_text: &'static str,
}

#[derive(Serialize)]
struct Relationship {
    #[serde(rename = "spdxElementId")]
    from: Ref,
    #[serde(rename = "relationshipType")]
    kind: &'static str,
    #[serde(rename = "relatedSpdxElement")]
    to: Ref,
}

/// What an element is called inside the document.
#[derive(Clone, Copy)]
enum Ref {
    Document,
    Release,
    Part(Id),
}

impl Serialize for Ref {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Document => serializer.serialize_str("SPDXRef-DOCUMENT"),
            Self::Release => serializer.serialize_str("SPDXRef-release"),
            Self::Part(id) => serializer.collect_str(&format_args!("SPDXRef-{id}")),
        }
    }
}

/// Everything of a release that is a package, in its order.
fn packages<'a>(model: &'a Model<'_>) -> impl Iterator<Item = Package<'a>> {
    model.parts.iter().flat_map(|part| {
        let images = part.images.iter();
        let images = images.flat_map(|image_part| {
            once(image(image_part)).chain(image_part.packages.iter().map(package))
        });
        let files = part.files.iter().map(file);
        once(capability(part))
            .chain(images)
            .chain(files)
            .chain(part.packages.iter().map(package))
    })
}

/// What lies in what, and what needs what.
fn relationships(model: &Model<'_>) -> impl Iterator<Item = Relationship> {
    let contains = |from, id| relation(from, "CONTAINS", Ref::Part(id));
    model.parts.iter().flat_map(move |part| {
        let own = Ref::Part(part.id);
        let required = part.requires.iter();
        let required = required.map(move |id| relation(own, "DEPENDS_ON", Ref::Part(*id)));
        let images = part.images.iter().flat_map(move |image| {
            let packages = image.packages.iter();
            let packages = packages.map(move |inner| contains(Ref::Part(image.id), inner.id));
            once(contains(own, image.id)).chain(packages)
        });
        let files = part.files.iter().map(|file| file.id);
        let packages = part.packages.iter().map(|package| package.id);
        once(contains(Ref::Release, part.id))
            .chain(required)
            .chain(images)
            .chain(files.chain(packages).map(move |id| contains(own, id)))
    })
}

fn relation(from: Ref, kind: &'static str, to: Ref) -> Relationship {
    Relationship { from, kind, to }
}

pub(super) fn write(model: &Model<'_>) -> Result<Vec<u8>> {
    let version = model.release.version.to_string();
    let release = || Package {
        version_info: Some(&version),
        ..Package::new(Ref::Release, model.release.product.as_str(), "APPLICATION")
    };
    let describes = || relation(Ref::Document, "DESCRIBES", Ref::Release);
    let root = Root {
        id: Ref::Document,
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        name: format!("{}-{version}", model.release.product),
        document_namespace: format!("urn:uuid:{}", model.uuid),
        creation_info: CreationInfo {
            created: &model.published,
            creators: [format!("Tool: {TOOL}")],
        },
        packages: Each(|| once(release()).chain(packages(model))),
        has_extracted_licensing_infos: extracted(model),
        relationships: Each(|| once(describes()).chain(relationships(model))),
    };
    to_json(model, &root)
}

fn capability<'a>(part: &'a Part<'_>) -> Package<'a> {
    let purpose = match part.capability.kind {
        Kind::Service | Kind::App => "APPLICATION",
        Kind::Model | Kind::Policy | Kind::Config => "OTHER",
    };
    let vendor = part.capability.vendor.as_deref();
    Package {
        version_info: Some(&part.version),
        supplier: vendor.map(supplier),
        description: &part.capability.description,
        license_declared: part.license.map(known_to_2_3),
        ..Package::new(Ref::Part(part.id), part.capability.name.as_str(), purpose)
    }
}

/// What stands in brackets last is an address of mail (7.5), so a name with brackets gets empty ones.
fn supplier(name: &str) -> String {
    let mail = if name.contains('(') { " ()" } else { "" };
    format!("Organization: {name}{mail}")
}

fn image<'a>(part: &'a ImagePart<'_>) -> Package<'a> {
    Package {
        checksums: Some(checksum(part.sha256)),
        external_refs: Some(purl(&part.purl)),
        ..Package::new(Ref::Part(part.id), &part.name, "CONTAINER")
    }
}

fn file(part: &FilePart) -> Package<'_> {
    Package {
        checksums: Some(checksum(part.sha256)),
        ..Package::new(Ref::Part(part.id), &part.path, "FILE")
    }
}

fn package<'a>(part: &'a PackagePart<'_>) -> Package<'a> {
    Package {
        version_info: part.version(),
        license_declared: part.package.license.as_deref().map(known_to_2_3),
        external_refs: Some(purl(&part.package.purl)),
        ..Package::new(Ref::Part(part.id), &part.package.name, "LIBRARY")
    }
}

fn checksum(sha256: Digest) -> [Checksum; 1] {
    [Checksum {
        algorithm: "SHA256",
        checksum_value: sha256,
    }]
}

fn purl(purl: &str) -> [ExternalRef<'_>; 1] {
    [ExternalRef {
        category: "PACKAGE-MANAGER",
        kind: "purl",
        locator: purl,
    }]
}

/// An expression, unless it refers to other documents or to additions, which 2.3 does not have.
fn known_to_2_3(expression: &str) -> &str {
    if expression.contains("DocumentRef-") || expression.contains("AdditionRef-") {
        UNSAID
    } else {
        expression
    }
}

/// Every license that the list does not have has to be told (10.1); the texts are with the capabilities.
fn extracted<'a>(model: &'a Model<'_>) -> Vec<Extracted<'a>> {
    let capabilities = model.parts.iter().filter_map(|part| part.license);
    let packages = model.packages();
    let packages = packages.filter_map(|part| part.package.license.as_deref());
    let names: BTreeSet<&str> = capabilities
        .chain(packages)
        .map(known_to_2_3)
        .flat_map(references)
        .collect();
    names
        .into_iter()
        .map(|license_id| Extracted {
            license_id,
            extracted_text: "The text is part of what has this license.",
        })
        .collect()
}
