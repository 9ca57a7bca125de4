//! SPDX 3.0.1 as JSON-LD: a graph of elements and of relations between them.

use std::{collections::BTreeMap, fmt};

use sealift_verifier::{digest::Digest, release::Kind};
use serde::{Serialize, Serializer};

use super::{
    TOOL,
    model::{FilePart, Id, Model, PackagePart, Part},
    paper::{Form, Paper},
};

const CONTEXT: &str = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld";
/// What the creation information is called: all elements share it.
const CREATION: &str = "_:creation";

/// A document but for its graph.
#[derive(Serialize)]
struct Document {
    #[serde(rename = "@context")]
    context: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Creation<'a> {
    r#type: &'static str,
    #[serde(rename = "@id")]
    id: &'static str,
    created: &'a str,
    created_by: [Iri<'a>; 1],
    spec_version: &'static str,
}

/// An element of any class, but for where a relation leads; each uses some of the properties.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Element<'a> {
    r#type: &'static str,
    spdx_id: Iri<'a>,
    creation_info: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    #[serde(
        rename = "software_packageVersion",
        skip_serializing_if = "Option::is_none"
    )]
    version: Option<&'a str>,
    #[serde(
        rename = "software_packageUrl",
        skip_serializing_if = "Option::is_none"
    )]
    purl: Option<&'a str>,
    #[serde(
        rename = "software_primaryPurpose",
        skip_serializing_if = "Option::is_none"
    )]
    purpose: Option<&'static str>,
    #[serde(rename = "software_sbomType", skip_serializing_if = "Option::is_none")]
    sbom_type: Option<[&'static str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplied_by: Option<Iri<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_using: Option<[Hash; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile_conformance: Option<[&'static str; 3]>,
    #[serde(rename = "rootElement", skip_serializing_if = "Option::is_none")]
    roots: Option<[Iri<'a>; 1]>,
    #[serde(
        rename = "simplelicensing_licenseExpression",
        skip_serializing_if = "Option::is_none"
    )]
    expression: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    relationship_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Iri<'a>>,
}

#[derive(Serialize)]
struct Hash {
    r#type: &'static str,
    algorithm: &'static str,
    #[serde(rename = "hashValue")]
    value: Digest,
}

/// What an element is called: the UUID of the document, and a name in it.
#[derive(Clone, Copy)]
struct Iri<'a> {
    uuid: &'a str,
    name: Local,
}

#[derive(Clone, Copy)]
enum Local {
    Fixed(&'static str),
    Part(Id),
    /// A supplier, a license or a relation, by its number.
    Other(&'static str, usize),
}

impl fmt::Display for Iri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "urn:uuid:{}#", self.uuid)?;
        match self.name {
            Local::Fixed(name) => f.write_str(name),
            Local::Part(id) => id.fmt(f),
            Local::Other(kind, number) => write!(f, "{kind}{number}"),
        }
    }
}

impl Serialize for Iri<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The graph, while it grows: each node is written when it is known.
struct Graph<'a, 'p, 't> {
    uuid: &'a str,
    paper: &'p mut Paper<'t>,
    relations: usize,
    suppliers: BTreeMap<&'a str, Iri<'a>>,
    licenses: BTreeMap<&'a str, Iri<'a>>,
}

pub(super) fn write(model: &Model<'_>, paper: &mut Paper<'_>) -> serde_json::Result<()> {
    let version = model.release.version.to_string();
    let mut graph = Graph {
        uuid: &model.uuid,
        paper,
        relations: 0,
        suppliers: BTreeMap::new(),
        licenses: BTreeMap::new(),
    };
    graph.paper.open(&Document { context: CONTEXT }, "@graph")?;
    let name = |name| Iri {
        uuid: &model.uuid,
        name: Local::Fixed(name),
    };
    let (agent, sbom, release) = (name("tool"), name("sbom"), name("release"));
    let creation = Creation {
        r#type: "CreationInfo",
        id: CREATION,
        created: &model.published,
        created_by: [agent],
        spec_version: "3.0.1",
    };
    graph.paper.element(&creation)?;
    graph.add(&Element {
        name: Some(TOOL),
        ..Element::new("SoftwareAgent", agent)
    })?;
    graph.add(&Element {
        profile_conformance: Some(["core", "software", "simpleLicensing"]),
        roots: Some([sbom]),
        ..Element::new("SpdxDocument", name("document"))
    })?;
    graph.add(&Element {
        sbom_type: Some(["build"]),
        roots: Some([release]),
        ..Element::new("software_Sbom", sbom)
    })?;
    graph.add(&Element {
        name: Some(model.release.product.as_str()),
        version: Some(&version),
        purpose: Some("application"),
        ..Element::new("software_Package", release)
    })?;
    let parts = model.parts.iter().map(|part| part.id);
    graph.relate(release, "contains", parts)?;
    let forms = Forms {
        file: FilePart::form(|id, path, sha256| Element {
            name: Some(path),
            verified_using: Some(hash(sha256)),
            ..Element::new("software_File", graph.part(id))
        })?,
        id: Id::form(|id| graph.part(id))?,
    };
    for part in &model.parts {
        graph.capability(part, &forms)?;
    }
    graph.paper.close()
}

/// What is said of files.
struct Forms {
    /// That one is there.
    file: Form<3>,
    /// What it is called.
    id: Form<1>,
}

impl<'a> Element<'a> {
    fn new(class: &'static str, id: Iri<'a>) -> Self {
        Self {
            r#type: class,
            spdx_id: id,
            creation_info: CREATION,
            name: None,
            description: "",
            version: None,
            purl: None,
            purpose: None,
            sbom_type: None,
            supplied_by: None,
            verified_using: None,
            profile_conformance: None,
            roots: None,
            expression: None,
            relationship_type: None,
            from: None,
        }
    }
}

impl<'a> Graph<'a, '_, '_> {
    fn add(&mut self, element: &Element<'a>) -> serde_json::Result<()> {
        self.paper.element(element)
    }

    fn part(&self, id: Id) -> Iri<'a> {
        Iri {
            uuid: self.uuid,
            name: Local::Part(id),
        }
    }

    /// A relation to all of `to`; without them there is none.
    fn relate(
        &mut self,
        from: Iri<'a>,
        kind: &'static str,
        to: impl Iterator<Item = Id>,
    ) -> serde_json::Result<()> {
        let mut to = to.peekable();
        if to.peek().is_none() {
            return Ok(());
        }
        self.begin_relation(from, kind)?;
        for id in to {
            self.paper.element(&self.part(id))?;
        }
        self.paper.close()
    }

    /// Begins a relation; what it leads to follows.
    fn begin_relation(&mut self, from: Iri<'a>, kind: &'static str) -> serde_json::Result<()> {
        self.relations += 1;
        let id = Iri {
            uuid: self.uuid,
            name: Local::Other("r", self.relations),
        };
        let relation = Element {
            relationship_type: Some(kind),
            from: Some(from),
            ..Element::new("Relationship", id)
        };
        self.paper.open_element(&relation, "to")
    }

    fn capability(&mut self, part: &'a Part<'_>, forms: &Forms) -> serde_json::Result<()> {
        let own = self.part(part.id);
        let vendor = part.capability.vendor.as_deref();
        let supplied_by = vendor.map(|name| self.supplier(name)).transpose()?;
        self.add(&Element {
            name: Some(part.capability.name.as_str()),
            description: &part.capability.description,
            version: Some(&part.version),
            purpose: Some(match part.capability.kind {
                Kind::Service | Kind::App => "application",
                Kind::Model => "model",
                Kind::Policy => "data",
                Kind::Config => "configuration",
            }),
            supplied_by,
            ..Element::new("software_Package", own)
        })?;
        self.license(own, part.license)?;
        self.relate(own, "dependsOn", part.requires.iter().copied())?;
        for image in &part.images {
            let id = self.part(image.id);
            self.add(&Element {
                name: Some(&image.name),
                purl: Some(&image.purl),
                purpose: Some("container"),
                verified_using: Some(hash(image.sha256)),
                ..Element::new("software_Package", id)
            })?;
            self.packages(&image.packages)?;
            self.relate(id, "contains", image.packages.iter().map(|inner| inner.id))?;
        }
        for file in &part.files {
            file.add(&forms.file, self.paper)?;
        }
        self.packages(&part.packages)?;
        if part.images.is_empty() && part.files.is_empty() && part.packages.is_empty() {
            return Ok(());
        }
        self.begin_relation(own, "contains")?;
        for image in &part.images {
            self.paper.element(&self.part(image.id))?;
        }
        for file in &part.files {
            self.paper.filled(&forms.id, [&file.id])?;
        }
        for package in &part.packages {
            self.paper.element(&self.part(package.id))?;
        }
        self.paper.close()
    }

    fn packages(&mut self, packages: &'a [PackagePart<'_>]) -> serde_json::Result<()> {
        for part in packages {
            let id = self.part(part.id);
            self.add(&Element {
                name: Some(&part.package.name),
                version: part.version(),
                purl: Some(&part.package.purl),
                purpose: Some("library"),
                ..Element::new("software_Package", id)
            })?;
            self.license(id, part.package.license.as_deref())?;
        }
        Ok(())
    }

    /// The element of a supplier, which is there once.
    fn supplier(&mut self, name: &'a str) -> serde_json::Result<Iri<'a>> {
        let number = self.suppliers.len() + 1;
        if let Some(known) = self.suppliers.get(name) {
            return Ok(*known);
        }
        let id = Iri {
            uuid: self.uuid,
            name: Local::Other("s", number),
        };
        self.suppliers.insert(name, id);
        self.add(&Element {
            name: Some(name),
            ..Element::new("Organization", id)
        })?;
        Ok(id)
    }

    /// Says that an element has a license. Each expression is there once.
    fn license(&mut self, of: Iri<'a>, expression: Option<&'a str>) -> serde_json::Result<()> {
        let Some(expression) = expression else {
            return Ok(());
        };
        let id = if let Some(known) = self.licenses.get(expression) {
            *known
        } else {
            let id = Iri {
                uuid: self.uuid,
                name: Local::Other("l", self.licenses.len() + 1),
            };
            self.licenses.insert(expression, id);
            self.add(&Element {
                expression: Some(expression),
                ..Element::new("simplelicensing_LicenseExpression", id)
            })?;
            id
        };
        self.begin_relation(of, "hasDeclaredLicense")?;
        self.paper.element(&id)?;
        self.paper.close()
    }
}

fn hash(sha256: Digest) -> [Hash; 1] {
    [Hash {
        r#type: "Hash",
        algorithm: "sha256",
        value: sha256,
    }]
}
