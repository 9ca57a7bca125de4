//! One artifact of a capability: what it says it is, against what lies there.

use std::{
    fs::Metadata,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use sealift_verifier::release::Kind;

use super::{Collector, Content};
use crate::{
    definition::{ArtifactDefinition, ArtifactType},
    error::Code,
    image::{self, Wanted},
    plan::{PlannedArtifact, PlannedContent, PlannedFile, PlannedImage, PlannedNode, Source},
    problem::{Place, Problem},
    secrets,
};

impl Collector {
    /// Looks at an artifact of the capability in `folder`; what is wrong with it becomes problems.
    pub(super) fn artifact(
        &mut self,
        folder: &Path,
        artifact: &ArtifactDefinition,
        kind: Option<Kind>,
    ) -> Option<PlannedArtifact> {
        let at = &artifact.path.at;
        let text = artifact.path.value.as_str();
        if text.is_empty() || text.contains('\0') || text.starts_with('/') {
            self.report(
                at,
                Code::PathOutside,
                format!("{text:?} is no path relative to this file"),
            );
            return None;
        }
        let path = self.resolve(&folder.join(text), at)?;
        let metadata = match path.metadata() {
            Ok(metadata) => metadata,
            Err(e) => {
                self.problems.push(super::missing(at, &path, &e));
                return None;
            }
        };
        let source = self.below_catalog(&path);
        let content = match artifact.kind {
            ArtifactType::Image => PlannedContent::Image(self.image(&path, artifact)?),
            ArtifactType::Tree => self.folder(&path, &metadata, at, kind)?,
            ArtifactType::File => {
                let executable = artifact
                    .executable
                    .unwrap_or(metadata.permissions().mode() & 0o111 != 0);
                let file = self.file(path, &metadata, artifact)?;
                // What a capability of this kind carries is configuration, whatever it is called.
                if kind == Some(Kind::Config) {
                    self.search(&file.source, at);
                }
                PlannedContent::File(PlannedFile { executable, ..file })
            }
            ArtifactType::Config => {
                let file = self.file(path, &metadata, artifact)?;
                self.search(&file.source, at);
                PlannedContent::Config(file)
            }
            ArtifactType::Notice => PlannedContent::Notice(self.file(path, &metadata, artifact)?),
        };
        Some(PlannedArtifact {
            name: artifact.name.clone(),
            at: at.clone(),
            source,
            content,
        })
    }

    fn file(
        &mut self,
        path: PathBuf,
        metadata: &Metadata,
        artifact: &ArtifactDefinition,
    ) -> Option<PlannedFile> {
        let at = &artifact.path.at;
        if metadata.is_dir() {
            let problem = Problem::new(at, Code::ArtifactType, "is a folder, not a file");
            self.problems
                .push(problem.with_hint("write type = \"tree\" for a folder"));
            return None;
        }
        if !metadata.is_file() {
            self.report(at, Code::SpecialFile, "is no regular file");
            return None;
        }
        let subject = path.display().to_string();
        let source = Source::from(path);
        let expected = artifact.digest.as_ref().map(|d| d.value);
        let at = artifact.digest.as_ref().map_or(at, |d| &d.at).clone();
        let size = metadata.len();
        self.promise(|| Content {
            source: source.clone(),
            size,
            digest: expected,
            at,
            subject,
        });
        Some(PlannedFile {
            source,
            size,
            executable: false,
            expected,
        })
    }

    fn folder(
        &mut self,
        path: &Path,
        metadata: &Metadata,
        at: &Place,
        kind: Option<Kind>,
    ) -> Option<PlannedContent> {
        if !metadata.is_dir() {
            let problem = Problem::new(at, Code::ArtifactType, "is no folder");
            self.problems
                .push(problem.with_hint("write type = \"file\" for a single file"));
            return None;
        }
        let entries = self.tree(path, at)?;
        for entry in &entries {
            if let PlannedNode::File { size, source, .. } = &entry.node {
                self.promise(|| Content {
                    source: source.clone(),
                    size: *size,
                    digest: None,
                    at: at.clone(),
                    subject: source.subject(),
                });
                if kind == Some(Kind::Config) {
                    self.search(source, at);
                }
            }
        }
        Some(PlannedContent::Tree(entries))
    }

    fn image(&mut self, path: &Path, artifact: &ArtifactDefinition) -> Option<PlannedImage> {
        let at = &artifact.path.at;
        let wanted = Wanted {
            path,
            within: &self.catalog,
            reference: artifact.reference.as_ref().map(|r| r.value.as_str()),
            digest: artifact.digest.as_ref().map(|d| d.value),
            platforms: &self.platforms,
        };
        let image = match image::read(&wanted) {
            Ok(image) => image,
            Err(findings) => {
                for finding in findings {
                    let declared = artifact
                        .digest
                        .as_ref()
                        .filter(|_| finding.code == Code::DigestMismatch);
                    let reference = artifact
                        .reference
                        .as_ref()
                        .filter(|_| finding.code == Code::ImageAmbiguous);
                    let at = declared
                        .map(|d| &d.at)
                        .or(reference.map(|r| &r.at))
                        .unwrap_or(at);
                    self.report(at, finding.code, finding.message);
                }
                return None;
            }
        };
        for blob in &image.blobs {
            self.promise(|| Content {
                source: blob.source.clone(),
                size: blob.blob.size(),
                digest: Some(blob.blob.digest()),
                at: at.clone(),
                subject: format!("blobs/sha256/{}", blob.blob.digest()),
            });
        }
        Some(image)
    }

    /// Searches a configuration for secrets.
    fn search(&mut self, source: &Source, at: &Place) {
        match source.open().and_then(secrets::scan) {
            Ok(found) => {
                for secret in found {
                    let message = format!(
                        "{}:{} looks like {}",
                        source.subject(),
                        secret.line,
                        secret.what
                    );
                    self.report(at, Code::SecretFound, message);
                }
            }
            Err(e) => self.report(at, Code::Io, format!("{}: {e}", source.subject())),
        }
    }
}
