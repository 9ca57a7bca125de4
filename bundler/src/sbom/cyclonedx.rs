//! CycloneDX 1.6 as JSON (ECMA-424). What lies in something is nested in it; what needs something depends on it.

use sealift_verifier::{digest::Digest, release::Kind};
use serde::{Serialize, Serializer};

use super::{
    TOOL,
    model::{FilePart, Id, ImagePart, Model, PackagePart, Part},
    paper::Paper,
};

/// What lies in something, in a list of that.
const COMPONENTS: &str = "components";
const SCHEMA: &str = "http://cyclonedx.org/schema/bom-1.6.schema.json";

/// A bill but for its components and what they depend on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bill<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata<'a>,
}

/// What a component is called inside the document.
#[derive(Clone, Copy, Default)]
enum Ref {
    #[default]
    Release,
    Part(Id),
}

impl Serialize for Ref {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Release => serializer.serialize_str("release"),
            Self::Part(id) => id.serialize(serializer),
        }
    }
}

#[derive(Serialize)]
struct Metadata<'a> {
    timestamp: &'a str,
    tools: Tools,
    component: Component<'a>,
}

#[derive(Serialize)]
struct Tools {
    components: [Tool; 1],
}

#[derive(Serialize)]
struct Tool {
    r#type: &'static str,
    name: &'static str,
}

/// A component but for what lies in it.
#[derive(Serialize, Default)]
struct Component<'a> {
    r#type: &'static str,
    #[serde(rename = "bom-ref")]
    bom_ref: Ref,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<Supplier<'a>>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hashes: Option<[Hash; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    licenses: Option<[License<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property<'a>>,
}

#[derive(Serialize)]
struct Supplier<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Hash {
    alg: &'static str,
    content: Digest,
}

#[derive(Serialize)]
struct License<'a> {
    expression: &'a str,
}

#[derive(Serialize)]
struct Property<'a> {
    name: &'static str,
    value: std::borrow::Cow<'a, str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    r#ref: Ref,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<Id>,
}

pub(super) fn write<'a>(model: &'a Model<'a>, paper: &mut Paper<'_>) -> serde_json::Result<()> {
    let version = model.release.version.to_string();
    let bill = Bill {
        schema: SCHEMA,
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: format!("urn:uuid:{}", model.uuid),
        version: 1,
        metadata: Metadata {
            timestamp: &model.published,
            tools: Tools {
                components: [Tool {
                    r#type: "application",
                    name: TOOL,
                }],
            },
            component: Component {
                r#type: "application",
                bom_ref: Ref::Release,
                name: model.release.product.as_str(),
                version: Some(&version),
                ..Component::default()
            },
        },
    };
    let form = FilePart::form(file)?;
    paper.open(&bill, COMPONENTS)?;
    for part in &model.parts {
        if part.images.is_empty() && part.files.is_empty() && part.packages.is_empty() {
            paper.element(&capability(part))?;
            continue;
        }
        paper.open_element(&capability(part), COMPONENTS)?;
        for of_image in &part.images {
            if of_image.packages.is_empty() {
                paper.element(&image(of_image))?;
                continue;
            }
            paper.open_element(&image(of_image), COMPONENTS)?;
            paper.elements(of_image.packages.iter().map(package))?;
            paper.close()?;
        }
        for file in &part.files {
            file.add(&form, paper)?;
        }
        paper.elements(part.packages.iter().map(package))?;
        paper.close()?;
    }
    paper.another("dependencies")?;
    paper.element(&Dependency {
        r#ref: Ref::Release,
        depends_on: model.parts.iter().map(|part| part.id).collect(),
    })?;
    paper.elements(model.parts.iter().map(|part| Dependency {
        r#ref: Ref::Part(part.id),
        depends_on: part.requires.clone(),
    }))?;
    paper.close()
}

fn capability<'a>(part: &'a Part<'a>) -> Component<'a> {
    let vendor = part.capability.vendor.as_deref();
    Component {
        r#type: match part.capability.kind {
            Kind::Service | Kind::App => "application",
            Kind::Model => "machine-learning-model",
            Kind::Policy | Kind::Config => "data",
        },
        bom_ref: Ref::Part(part.id),
        supplier: vendor.map(|name| Supplier { name }),
        name: part.capability.name.as_str(),
        version: Some(&part.version),
        description: &part.capability.description,
        licenses: part.license.map(|expression| [License { expression }]),
        ..Component::default()
    }
}

fn image<'a>(image: &'a ImagePart<'a>) -> Component<'a> {
    Component {
        r#type: "container",
        bom_ref: Ref::Part(image.id),
        name: &image.name,
        hashes: Some(hash(image.sha256)),
        purl: Some(&image.purl),
        ..Component::default()
    }
}

fn file(id: Id, path: &str, sha256: Digest) -> Component<'_> {
    Component {
        r#type: "file",
        bom_ref: Ref::Part(id),
        name: path,
        hashes: Some(hash(sha256)),
        ..Component::default()
    }
}

fn package<'a>(part: &'a PackagePart<'_>) -> Component<'a> {
    let package = part.package;
    let mut properties = Vec::new();
    if let Some(layer) = package.layer {
        properties.push(Property {
            name: "sealift:layer",
            value: format!("sha256:{layer}").into(),
        });
    }
    properties.push(Property {
        name: "sealift:path",
        value: part.path.as_ref().into(),
    });
    let license = package.license.as_deref();
    Component {
        r#type: "library",
        bom_ref: Ref::Part(part.id),
        name: &package.name,
        version: part.version(),
        licenses: license.map(|expression| [License { expression }]),
        purl: Some(&package.purl),
        properties,
        ..Component::default()
    }
}

fn hash(sha256: Digest) -> [Hash; 1] {
    [Hash {
        alg: "SHA-256",
        content: sha256,
    }]
}
