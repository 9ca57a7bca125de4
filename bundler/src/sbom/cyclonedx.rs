//! CycloneDX 1.6 as JSON (ECMA-424). What lies in something is nested in it; what needs something depends on it.

use sealift_verifier::{digest::Digest, release::Kind};
use serde::{Serialize, Serializer};

use super::{
    TOOL,
    model::{FilePart, Id, ImagePart, Model, PackagePart, Part},
    to_json,
};
use crate::error::Result;

const SCHEMA: &str = "http://cyclonedx.org/schema/bom-1.6.schema.json";

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
    components: Vec<Component<'a>>,
    dependencies: Vec<Dependency>,
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
    #[serde(skip_serializing_if = "Inside::is_empty")]
    components: Inside<'a>,
}

/// What lies in a component.
#[derive(Default)]
enum Inside<'a> {
    #[default]
    Nothing,
    Capability(&'a Part<'a>),
    Image(&'a ImagePart<'a>),
}

impl Inside<'_> {
    fn is_empty(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Capability(part) => {
                part.images.is_empty() && part.files.is_empty() && part.packages.is_empty()
            }
            Self::Image(image) => image.packages.is_empty(),
        }
    }
}

impl Serialize for Inside<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nothing => serializer.collect_seq([(); 0]),
            Self::Capability(part) => {
                let images = part.images.iter().map(image);
                let files = part.files.iter().map(file);
                let packages = part.packages.iter().map(package);
                serializer.collect_seq(images.chain(files).chain(packages))
            }
            Self::Image(image) => serializer.collect_seq(image.packages.iter().map(package)),
        }
    }
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

pub(super) fn write<'a>(model: &'a Model<'a>) -> Result<Vec<u8>> {
    let version = model.release.version.to_string();
    let mut dependencies = vec![Dependency {
        r#ref: Ref::Release,
        depends_on: model.parts.iter().map(|part| part.id).collect(),
    }];
    dependencies.extend(model.parts.iter().map(|part| Dependency {
        r#ref: Ref::Part(part.id),
        depends_on: part.requires.clone(),
    }));
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
        components: model.parts.iter().map(capability).collect(),
        dependencies,
    };
    to_json(model, &bill)
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
        components: Inside::Capability(part),
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
        components: Inside::Image(image),
        ..Component::default()
    }
}

fn file(file: &FilePart) -> Component<'_> {
    Component {
        r#type: "file",
        bom_ref: Ref::Part(file.id),
        name: &file.path,
        hashes: Some(hash(file.sha256)),
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
