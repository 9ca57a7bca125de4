//! `inspect`: what is in a bundle, as tables or as JSON.

use std::{collections::BTreeSet, path::PathBuf};

use clap::{Args, ValueEnum};
use sealift_verifier::{
    Result,
    bundle::Authentic,
    delivery::Pack,
    digest::Digest,
    path::Name,
    release::{Artifact, BlobRef, Capability, Content, FileRef, Release},
    time::Time,
    tree::{Mode, Node},
};
use serde_json::{Value, json};

use super::{
    Failed, TrustArguments, Ui, provenance,
    table::{bytes, facts, table},
    verify::{self, RoleFacts},
};

/// Arguments of `inspect`.
#[derive(Args)]
pub(super) struct Arguments {
    /// The bundle
    bundle: PathBuf,
    /// What is shown
    #[arg(value_enum, default_value_t = Section::Release)]
    section: Section,
    #[command(flatten)]
    trust: TrustArguments,
}

#[derive(Clone, Copy, ValueEnum)]
enum Section {
    /// The release and its capabilities
    Release,
    /// Container images
    Images,
    /// Every file as it will lie at a site
    Files,
    /// License texts of third-party software
    Notices,
    /// Bills of materials; `extract BUNDLE sbom` writes them
    Sbom,
    /// Who signed what, and until when it is valid
    Metadata,
    /// How the bytes travel: stored members and packs
    Delivery,
    /// Who built the release, and from which definitions and sources
    Provenance,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments, clock: Time, ui: &mut Ui<'_>) -> Result<(), Failed> {
    let bundle = verify::quietly(&arguments.bundle, &arguments.trust, clock, ui)?;
    let (text, json) = match arguments.section {
        Section::Release => release(&bundle),
        Section::Images => images(&bundle),
        Section::Files => files(&bundle)?,
        Section::Notices => notices(&bundle),
        Section::Sbom => sbom(&bundle),
        Section::Metadata => metadata(&bundle)?,
        Section::Delivery => delivery(&bundle),
        Section::Provenance => provenance::inspect(&bundle),
    };
    if ui.json {
        Ok(ui.print_json(&json)?)
    } else {
        Ok(ui.print(&text)?)
    }
}

fn release(bundle: &Authentic) -> (String, Value) {
    let release = bundle.release();
    let mut head = vec![
        ("product", release.product.to_string()),
        ("version", release.version.to_string()),
        ("counter", bundle.counter().to_string()),
        ("published", release.published.to_string()),
        ("release digest", bundle.release_digest().to_hex()),
    ];
    if let Some(floor) = &release.security_floor {
        head.push(("security floor", floor.to_string()));
    }
    if !release.platforms.is_empty() {
        head.push(("platforms", release.platforms.join(" ")));
    }
    head.extend(release.mode.map(|mode| ("mode", mode.to_string())));
    head.extend(release.release_type.map(|t| ("type", t.name().to_owned())));
    let from = release.upgrade_from.as_ref();
    head.extend(from.map(|from| ("upgrade from", from.to_string())));
    head.extend(release.severity.map(|s| ("severity", s.name().to_owned())));
    if release.is_licensed() {
        let capabilities = release.capabilities.iter();
        let features: BTreeSet<&str> = capabilities
            .flat_map(|capability| &capability.entitlements)
            .map(AsRef::as_ref)
            .collect();
        let mut what = "needed".to_owned();
        if !features.is_empty() {
            let features: Vec<_> = features.into_iter().collect();
            what = format!("{what}, with the features {}", features.join(", "));
        }
        if release.maintenance_exempt {
            what.push_str("; also one whose maintenance date is past");
        }
        head.push(("license", what));
    }
    if !release.fixes.is_empty() {
        head.push(("fixes", release.fixes.join(" ")));
    }
    let resolution = &release.resolution;
    let platform = resolution.platform.as_ref();
    head.extend(platform.map(|platform| ("platform release", platform.version.to_string())));
    let suites = resolution.suites.iter();
    head.extend(suites.map(|s| {
        (
            "suite",
            format!("{} {} ({})", s.name, s.version, s.reason()),
        )
    }));
    head.extend(resolution.left_out.iter().map(|out| {
        let other = out.substitute.as_ref();
        let other = other.map_or(String::new(), |other| format!(", {other} stands in for it"));
        ("left out", format!("{}{other}", out.name))
    }));
    let capabilities: Vec<_> = release
        .capabilities
        .iter()
        .map(|c| {
            [
                c.name.to_string(),
                c.version.to_string(),
                json!(c.kind).as_str().unwrap_or_default().to_owned(),
                c.license.clone().unwrap_or_default(),
                c.description.clone(),
            ]
        })
        .collect();
    let artifacts: Vec<_> = release
        .artifacts()
        .map(|(capability, artifact)| {
            let (kind, size) = kind_and_size(artifact);
            [
                format!("{}/{}", capability.name, artifact.name),
                kind.to_owned(),
                size.to_string(),
                content_digest(&artifact.content).to_hex(),
            ]
        })
        .collect();
    let text = format!(
        "{}\n{}\n{}{}",
        facts(&head),
        table(
            ["capability", "version", "kind", "license", "description"],
            &capabilities
        ),
        table(["artifact", "type", "bytes", "sha256"], &artifacts),
        decisions(release)
    );
    let json = json!({
        "counter": bundle.counter(),
        "release": release,
        "release-digest": bundle.release_digest(),
    });
    (text, json)
}

/// Why each capability has its version; nothing where nothing was decided.
fn decisions(release: &Release) -> String {
    let row = |c: &Capability| {
        let decision = c.decision.as_ref()?;
        let names: Vec<&str> = decision.substitutes.iter().map(Name::as_str).collect();
        Some([
            c.name.to_string(),
            decision.reason(),
            decision.required_by.join(", "),
            names.join(", "),
        ])
    };
    let rows: Vec<_> = release.capabilities.iter().filter_map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let head = ["capability", "decided by", "required by", "stands in for"];
    format!("\n{}", table(head, &rows))
}

fn images(bundle: &Authentic) -> (String, Value) {
    let images: Vec<_> = bundle.release().images().collect();
    let rows: Vec<_> = images
        .iter()
        .map(|(reference, image)| {
            let size: u64 = image.blobs.iter().map(BlobRef::size).sum();
            [
                reference.clone(),
                image.blobs.len().to_string(),
                size.to_string(),
                format!("sha256:{}", image.digest),
            ]
        })
        .collect();
    let json = images
        .iter()
        .map(|(reference, image)| json!({ "image": image, "reference": reference }))
        .collect();
    (table(["image", "blobs", "bytes", "digest"], &rows), json)
}

fn files(bundle: &Authentic) -> Result<(String, Value)> {
    let mut rows = Vec::new();
    let mut list = Vec::new();
    for (capability, artifact) in bundle.release().artifacts() {
        let place = format!("files/{}/{}", capability.name, artifact.name);
        let mut add = |path: String, node: &Node| {
            let (mode, size, what) = match node {
                Node::File { mode, size, digest } => (
                    json!(mode).as_str().unwrap_or_default().to_owned(),
                    size.to_string(),
                    digest.to_hex(),
                ),
                Node::Symlink { target } => ("link".into(), String::new(), format!("-> {target}")),
                Node::Dir => ("folder".into(), String::new(), String::new()),
            };
            list.push(match node {
                Node::File { mode, size, digest } => {
                    json!({ "path": path, "mode": mode, "size": size, "digest": digest })
                }
                Node::Symlink { target } => json!({ "path": path, "link": target }),
                Node::Dir => json!({ "path": path }),
            });
            rows.push([path, mode, size, what]);
        };
        match &artifact.content {
            Content::Image(_) => {}
            Content::Tree(tree) => {
                for entry in bundle.tree(tree.digest)?.entries {
                    add(format!("{place}/{}", entry.path), &entry.node);
                }
            }
            Content::File(file) | Content::Config(file) | Content::Notice(file) => {
                add(place, &file_node(file));
            }
        }
    }
    let text = table(["path", "mode", "bytes", "sha256"], &rows);
    Ok((text, Value::Array(list)))
}

fn file_node(file: &FileRef) -> Node {
    Node::File {
        mode: if file.executable {
            Mode::Executable
        } else {
            Mode::Plain
        },
        size: file.size,
        digest: file.digest,
    }
}

fn notices(bundle: &Authentic) -> (String, Value) {
    let mut rows = Vec::new();
    let mut list = Vec::new();
    for (capability, artifact) in bundle.release().artifacts() {
        if let Content::Notice(file) = &artifact.content {
            list.push(json!({
                "artifact": artifact.name,
                "capability": capability.name,
                "digest": file.digest,
                "license": capability.license,
                "size": file.size,
            }));
            rows.push([
                format!("{}/{}", capability.name, artifact.name),
                file.size.to_string(),
                file.digest.to_hex(),
            ]);
        }
    }
    (
        table(["notice", "bytes", "sha256"], &rows),
        Value::Array(list),
    )
}

fn sbom(bundle: &Authentic) -> (String, Value) {
    let bills = bundle.release().sbom.iter();
    let (rows, list): (Vec<_>, Vec<_>) = bills
        .map(|sbom| {
            let (name, file) = (sbom.format.file_name(), &sbom.file);
            let row = [
                sbom.format.name().to_owned(),
                name.to_owned(),
                file.size.to_string(),
                file.digest.to_hex(),
            ];
            let json = json!({
                "digest": file.digest,
                "format": sbom.format,
                "name": name,
                "size": file.size,
            });
            (row, json)
        })
        .unzip();
    (
        table(["format", "name", "bytes", "sha256"], &rows),
        Value::Array(list),
    )
}

fn metadata(bundle: &Authentic) -> Result<(String, Value)> {
    let roles = RoleFacts::all(bundle.trusted())?;
    let rows: Vec<_> = roles
        .iter()
        .map(|role| {
            [
                role.role.to_string(),
                role.version.to_string(),
                role.expires.to_string(),
                format!("{} of {}", role.threshold, role.keys),
            ]
        })
        .collect();
    let root = bundle.root();
    let mut keys = Vec::new();
    for (id, key) in &root.keys {
        let entitled = |list: &[String]| list.iter().any(|entitled| entitled == id);
        let license = root.sealift.as_ref().and_then(|s| s.license.as_ref());
        let mut may: Vec<&str> = root
            .roles
            .iter()
            .filter(|(_, role)| entitled(&role.keyids))
            .map(|(name, _)| name.as_str())
            .collect();
        may.extend(
            license
                .filter(|role| entitled(&role.keyids))
                .map(|_| "license"),
        );
        let signed: Vec<&str> = roles
            .iter()
            .filter(|role| role.signers.iter().any(|s| s.keyid == *id))
            .map(|role| role.role.name())
            .collect();
        keys.push((id, key, may, signed));
    }
    let key_rows: Vec<_> = keys
        .iter()
        .map(|(id, _, may, signed)| [(*id).clone(), may.join(" "), signed.join(" ")])
        .collect();
    let roots: Vec<_> = bundle
        .head()
        .iter()
        .filter(|(path, _)| path.ends_with(".root.json"))
        .map(|(path, bytes)| [path.clone(), Digest::of(bytes).to_hex()])
        .collect();
    let mut text = format!(
        "{}\n{}\n{}",
        table(["role", "version", "valid until", "threshold"], &rows),
        table(["key", "may sign", "signed"], &key_rows),
        table(["root", "fingerprint"], &roots)
    );
    if root.is_development() {
        text.extend(["\n", verify::DEVELOPMENT, "\n"]);
    }
    let json = json!({
        "development": root.is_development(),
        "keys": keys
            .iter()
            .map(|(id, key, may, signed)| json!({
                "keyid": id, "may-sign": may, "public": key.keyval.public, "signed": signed,
            }))
            .collect::<Vec<_>>(),
        "roles": roles.iter().map(RoleFacts::to_json).collect::<Vec<_>>(),
        "roots": roots
            .iter()
            .map(|[path, fingerprint]| json!({ "fingerprint": fingerprint, "path": path }))
            .collect::<Vec<_>>(),
    });
    Ok((text, json))
}

fn delivery(bundle: &Authentic) -> (String, Value) {
    let delivery = bundle.delivery();
    let head = [
        (
            "kind",
            json!(delivery.kind).as_str().unwrap_or_default().to_owned(),
        ),
        (
            "compression",
            format!(
                "{}, frames of {} bytes",
                delivery.compression.library, delivery.compression.frame
            ),
        ),
        ("bundle", bytes(bundle.length())),
    ];
    let members: Vec<_> = bundle
        .members()
        .map(|(path, size, digest)| [path.to_owned(), size.to_string(), digest.to_hex()])
        .collect();
    let packs: Vec<_> = delivery
        .packs
        .iter()
        .enumerate()
        .map(|(number, pack)| {
            let content: u64 = pack.blobs.iter().map(BlobRef::size).sum();
            [
                Pack::path(number),
                pack.blobs.len().to_string(),
                content.to_string(),
                pack.frames.len().to_string(),
                pack.level.to_string(),
                pack.stored_size().to_string(),
            ]
        })
        .collect();
    let text = format!(
        "{}\n{}\n{}",
        facts(&head),
        table(["member", "bytes", "sha256"], &members),
        table(
            ["pack", "blobs", "bytes", "frames", "level", "stored"],
            &packs
        )
    );
    let json = json!({
        "delivery": delivery,
        "length": bundle.length(),
        "members": members
            .iter()
            .zip(bundle.members())
            .map(|([path, _, digest], (_, size, _))| json!({
                "digest": digest, "path": path, "size": size,
            }))
            .collect::<Vec<_>>(),
    });
    (text, json)
}

/// What an artifact is called in tables, and its length in bytes.
pub(crate) fn kind_and_size(artifact: &Artifact) -> (&'static str, u64) {
    match &artifact.content {
        Content::Image(image) => ("image", image.blobs.iter().map(BlobRef::size).sum()),
        Content::Tree(tree) => ("tree", tree.bytes),
        Content::File(file) => ("file", file.size),
        Content::Config(file) => ("config", file.size),
        Content::Notice(file) => ("notice", file.size),
    }
}

/// The digest that the release manifest names an artifact by.
pub(crate) fn content_digest(content: &Content) -> Digest {
    match content {
        Content::Image(image) => image.digest,
        Content::Tree(tree) => tree.digest,
        Content::File(file) | Content::Config(file) | Content::Notice(file) => file.digest,
    }
}
