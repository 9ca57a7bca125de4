//! What all bills of materials say, in one order: capabilities, their images with packages, their files.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use packageurl::PackageUrl;
use sealift_verifier::{
    digest::{Digest, Hasher},
    json,
    path::Name,
    release::{Artifact, Capability, Content, Image, Release},
    tree::Tree,
};
use serde::{Serialize, Serializer};

use super::{
    SbomInput,
    packages::FoundPackage,
    paper::{Form, Paper},
};
use crate::{error::Result, license::expression};

/// A release, taken apart.
pub(super) struct Model<'a> {
    pub(super) release: &'a Release,
    /// A UUID that follows from the content (RFC 9562, version 8).
    pub(super) uuid: String,
    pub(super) published: String,
    pub(super) parts: Vec<Part<'a>>,
}

/// A capability.
pub(super) struct Part<'a> {
    pub(super) capability: &'a Capability,
    pub(super) version: String,
    /// Its license, if that is an expression.
    pub(super) license: Option<&'a str>,
    /// Which other capabilities of the release it requires.
    pub(super) requires: Vec<Id>,
    pub(super) id: Id,
    pub(super) images: Vec<ImagePart<'a>>,
    pub(super) files: Vec<FilePart>,
    /// Packages that its trees and programs have.
    pub(super) packages: Vec<PackagePart<'a>>,
}

/// An image.
pub(super) struct ImagePart<'a> {
    pub(super) id: Id,
    /// As registries would name it, such as `core/api/server`.
    pub(super) name: String,
    /// Of its manifest or index.
    pub(super) sha256: Digest,
    pub(super) purl: String,
    pub(super) packages: Vec<PackagePart<'a>>,
}

/// A file as it lies at the site, below the folder of its capability. There may be very many of them.
pub(super) struct FilePart {
    pub(super) id: Id,
    /// Its path as JSON: in quotes, and escaped.
    pub(super) json_path: String,
    pub(super) sha256: Digest,
}

impl FilePart {
    /// The form of what `describe` says of each file, by its id, path and digest.
    pub(super) fn form<T: Serialize>(
        describe: impl FnOnce(Id, &'static str, Digest) -> T,
    ) -> serde_json::Result<Form<3>> {
        let (path, sha256) = ("<path>", Digest::from([0xff; 32]));
        let texts = [
            Id::ANY_FILE.to_string(),
            serde_json::to_string(path)?,
            sha256.to_hex(),
        ];
        Form::of(
            &describe(Id::ANY_FILE, path, sha256),
            texts.each_ref().map(String::as_str),
        )
    }

    /// Adds what is said of this one, in that form.
    pub(super) fn add(&self, form: &Form<3>, paper: &mut Paper<'_>) -> serde_json::Result<()> {
        paper.filled(form, [&self.id, &self.json_path, &self.sha256])
    }
}

/// A package of others.
pub(super) struct PackagePart<'a> {
    pub(super) id: Id,
    pub(super) package: &'a FoundPackage,
    /// The file that tells of it: below the root of its image, or as it lies at the site below the folder of its
    /// capability.
    pub(super) path: Cow<'a, str>,
}

impl PackagePart<'_> {
    /// Its version, if it has one.
    pub(super) fn version(&self) -> Option<&str> {
        Some(self.package.version.as_str()).filter(|version| !version.is_empty())
    }
}

/// What an element is called inside a document: a letter and a number, in the order of the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(char, usize);

impl Id {
    /// Stands in forms for that of a file.
    pub(super) const ANY_FILE: Self = Self('f', usize::MAX);

    /// The form of what `describe` says of each file by its id.
    pub(super) fn form<T: Serialize>(
        describe: impl FnOnce(Self) -> T,
    ) -> serde_json::Result<Form<1>> {
        Form::of(&describe(Self::ANY_FILE), [&Self::ANY_FILE.to_string()])
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0, self.1)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'a> Model<'a> {
    pub(super) fn new(input: &SbomInput<'a>) -> Result<Self> {
        let release = &input.side.release;
        let ids: BTreeMap<&Name, Id> = release
            .capabilities
            .iter()
            .enumerate()
            .map(|(number, capability)| (&capability.name, Id('c', number)))
            .collect();
        let mut numbers = Numbers::default();
        let parts = release.capabilities.iter().map(|capability| {
            let required = capability.requires.keys();
            let license = capability.license.as_deref();
            let mut part = Part {
                capability,
                version: capability.version.to_string(),
                license: license.filter(|text| expression::parse(text).is_ok()),
                requires: required.filter_map(|name| ids.get(name).copied()).collect(),
                id: ids.get(&capability.name).copied().unwrap_or(Id('c', 0)),
                images: Vec::new(),
                files: Vec::new(),
                packages: Vec::new(),
            };
            for artifact in &capability.artifacts {
                part.add(input, artifact, &mut numbers);
            }
            part
        });
        let parts = parts.collect();
        Ok(Self {
            release,
            uuid: uuid(input)?,
            published: release.published.to_string(),
            parts,
        })
    }

    /// Every package of others.
    pub(super) fn packages(&self) -> impl Iterator<Item = &PackagePart<'a>> {
        self.parts.iter().flat_map(|part| {
            let images = part.images.iter().flat_map(|image| &image.packages);
            images.chain(&part.packages)
        })
    }
}

impl<'a> Part<'a> {
    fn add(&mut self, input: &SbomInput<'a>, artifact: &'a Artifact, numbers: &mut Numbers) {
        let name = &self.capability.name;
        let owner = (name.clone(), artifact.name.clone());
        let found = input.packages.get(&owner).map_or(&[][..], Vec::as_slice);
        let packages: Vec<_> = found
            .iter()
            .map(|package| PackagePart {
                id: numbers.package(),
                package,
                path: match (&artifact.content, package.path.as_str()) {
                    (Content::Image(_), path) => path.into(),
                    (_, "") => artifact.name.as_str().into(),
                    (_, path) => format!("{}/{path}", artifact.name).into(),
                },
            })
            .collect();
        match &artifact.content {
            Content::Image(image) => {
                let image = self.image(image, artifact, packages, numbers);
                self.images.push(image);
                return;
            }
            Content::File(file) | Content::Config(file) | Content::Notice(file) => {
                self.files.push(FilePart {
                    id: numbers.file(),
                    json_path: json_string(artifact.name.as_str()),
                    sha256: file.digest,
                });
            }
            Content::Tree(tree) => {
                let entries = input.side.trees.get(&tree.digest);
                let files = entries.into_iter().flat_map(Tree::files);
                let folder = artifact.name.as_str();
                self.files
                    .extend(files.map(|(path, _, _, digest)| FilePart {
                        id: numbers.file(),
                        json_path: json_string(&[folder, "/", path.as_str()].concat()),
                        sha256: digest,
                    }));
            }
        }
        self.packages.extend(packages);
    }

    fn image(
        &self,
        image: &Image,
        artifact: &Artifact,
        packages: Vec<PackagePart<'a>>,
        numbers: &mut Numbers,
    ) -> ImagePart<'a> {
        let sha256 = image.digest;
        // Names and versions of ours have nothing in them that a package URL refuses.
        let last = artifact
            .name
            .as_str()
            .rsplit('/')
            .next()
            .unwrap_or_default();
        let purl = PackageUrl::new("oci", last.to_ascii_lowercase())
            .and_then(|mut purl| {
                purl.with_version(format!("sha256:{sha256}"))?
                    .add_qualifier("tag", self.version.replace('+', "_"))?;
                Ok(purl.to_string())
            })
            .unwrap_or_default();
        ImagePart {
            id: numbers.image(),
            name: format!("{}/{}", self.capability.name, artifact.name),
            sha256,
            purl,
            packages,
        }
    }
}

fn json_string(text: &str) -> String {
    // Of a text, this cannot fail.
    serde_json::to_string(text).unwrap_or_default()
}

/// The next number of each kind.
#[derive(Default)]
struct Numbers {
    images: usize,
    files: usize,
    packages: usize,
}

impl Numbers {
    fn image(&mut self) -> Id {
        self.images += 1;
        Id('i', self.images)
    }

    fn file(&mut self) -> Id {
        self.files += 1;
        Id('f', self.files)
    }

    fn package(&mut self) -> Id {
        self.packages += 1;
        Id('p', self.packages)
    }
}

/// The licenses that the SPDX list does not have and that must be told where they are used: `LicenseRef-…`.
pub(super) fn references(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split([' ', '(', ')', '+']);
    words.filter(|word| word.starts_with("LicenseRef-"))
}

/// A UUID that says what the documents say: the release, without its bills of materials, and the packages.
fn uuid(input: &SbomInput<'_>) -> Result<String> {
    let release = Release {
        sbom: Vec::new(),
        ..input.side.release.clone()
    };
    let mut hasher = Hasher::default();
    hasher.update(&json::to_canonical(&release)?);
    for ((capability, artifact), packages) in input.packages {
        for package in packages {
            let license = package.license.as_deref().unwrap_or_default();
            let line = format!(
                "\n{capability}/{artifact} {} {license}\n{}",
                package.purl, package.path
            );
            hasher.update(line.as_bytes());
        }
    }
    let mut bytes = *hasher.finish().as_bytes();
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = sealift_verifier::digest::hex(&bytes[..16]);
    Ok(format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    ))
}
