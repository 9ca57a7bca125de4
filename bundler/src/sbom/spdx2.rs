//! SPDX 2.3 as JSON (ISO/IEC 5962 describes 2.2.1).
//!
//! Files are packages with the purpose `FILE`: what 2.3 calls a file needs a SHA-1 (8.4), and nothing here is
//! held to SHA-1.

use std::collections::BTreeSet;

use sealift_verifier::{digest::Digest, release::Kind};
use serde::{Serialize, Serializer};

use super::{
    TOOL,
    model::{FilePart, Id, ImagePart, Model, PackagePart, Part, references},
    paper::Paper,
};

const UNSAID: &str = "NOASSERTION";

/// A document but for its lists.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Root<'a> {
    #[serde(rename = "SPDXID")]
    id: Ref,
    spdx_version: &'static str,
    data_license: &'static str,
    name: String,
    document_namespace: String,
    creation_info: CreationInfo<'a>,
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
fn packages(model: &Model<'_>, paper: &mut Paper<'_>) -> serde_json::Result<()> {
    let form = FilePart::form(file)?;
    for part in &model.parts {
        paper.element(&capability(part))?;
        for of_image in &part.images {
            paper.element(&image(of_image))?;
            paper.elements(of_image.packages.iter().map(package))?;
        }
        for file in &part.files {
            file.add(&form, paper)?;
        }
        paper.elements(part.packages.iter().map(package))?;
    }
    Ok(())
}

/// What lies in what, and what needs what.
fn relationships(model: &Model<'_>, paper: &mut Paper<'_>) -> serde_json::Result<()> {
    let contains = |from, id| relation(from, "CONTAINS", Ref::Part(id));
    for part in &model.parts {
        let own = Ref::Part(part.id);
        paper.element(&contains(Ref::Release, part.id))?;
        let required = part.requires.iter();
        paper.elements(required.map(|id| relation(own, "DEPENDS_ON", Ref::Part(*id))))?;
        for image in &part.images {
            paper.element(&contains(own, image.id))?;
            let packages = image.packages.iter();
            paper.elements(packages.map(|inner| contains(Ref::Part(image.id), inner.id)))?;
        }
        let form = Id::form(|id| contains(own, id))?;
        for file in &part.files {
            paper.filled(&form, [&file.id])?;
        }
        paper.elements(
            part.packages
                .iter()
                .map(|package| contains(own, package.id)),
        )?;
    }
    Ok(())
}

fn relation(from: Ref, kind: &'static str, to: Ref) -> Relationship {
    Relationship { from, kind, to }
}

pub(super) fn write(model: &Model<'_>, paper: &mut Paper<'_>) -> serde_json::Result<()> {
    let version = model.release.version.to_string();
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
    };
    paper.open(&root, "packages")?;
    paper.element(&Package {
        version_info: Some(&version),
        ..Package::new(Ref::Release, model.release.product.as_str(), "APPLICATION")
    })?;
    packages(model, paper)?;
    let extracted = extracted(model);
    if !extracted.is_empty() {
        paper.another("hasExtractedLicensingInfos")?;
        paper.elements(extracted)?;
    }
    paper.another("relationships")?;
    paper.element(&relation(Ref::Document, "DESCRIBES", Ref::Release))?;
    relationships(model, paper)?;
    paper.close()
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

fn file(id: Id, path: &str, sha256: Digest) -> Package<'_> {
    Package {
        checksums: Some(checksum(sha256)),
        ..Package::new(Ref::Part(id), path, "FILE")
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
