//! A page that an auditor can file: one HTML file, no scripts, nothing fetched, made to be printed.

mod html;

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::Path,
};

use html::{BEGIN, Page};
use sealift_verifier::{
    Code, Error, Failure as _, Result,
    bundle::Authentic,
    release::{Content, Release},
};
use serde_json::json;

use crate::cli::{
    inspect::{content_digest, kind_and_size},
    provenance,
    recorder::Step,
    verify::{DEVELOPMENT, Findings, RoleFacts, Subject},
};

/// Writes the report to a new file, or over an old one if `overwrite` says so.
pub(crate) fn write(findings: &Findings, path: &Path, overwrite: bool) -> Result<()> {
    let name = path.display().to_string();
    let page = render(findings)?;
    let mut options = File::options();
    options.write(true);
    if overwrite && path.exists() {
        // What is replaced is a report, never a bundle whose name was given twice.
        let mut begin = Vec::new();
        File::open(path)
            .and_then(|file| file.take(BEGIN.len() as u64).read_to_end(&mut begin))
            .map_err(|e| Error::io(&name, e))?;
        if begin != BEGIN.as_bytes() {
            return Err(Error::new(Code::AlreadyExists, name, "is no report"));
        }
        options.truncate(true);
    } else {
        options.create_new(true);
    }
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(page.as_bytes()));
    written.map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => Error::new(Code::AlreadyExists, name, "is there already"),
        _ => Error::io(name, e),
    })
}

/// The whole page.
fn render(findings: &Findings) -> Result<String> {
    let title = match &findings.result {
        Ok(Subject::Bundle(bundle)) => {
            let release = bundle.release();
            format!("{} {}", release.product, release.version)
        }
        Ok(Subject::Repository(_)) => "TUF repository".into(),
        Err(_) => findings.path.clone(),
    };
    let mut page = Page::new(&format!("Verification of {title}"));
    verdict(&mut page, findings);
    if let Ok(subject) = &findings.result {
        if let Subject::Bundle(bundle) = subject {
            release_facts(&mut page, bundle);
            built(&mut page, bundle);
        }
        signatures(&mut page, &RoleFacts::all(subject.trusted())?);
    }
    checks(&mut page, &findings.steps);
    page.heading("What was not checked");
    page.list(&findings.not_checked());
    match &findings.result {
        Ok(Subject::Bundle(bundle)) => {
            capabilities(&mut page, bundle.release());
            artifacts(&mut page, bundle.release());
            sources(&mut page, bundle);
            members(&mut page, bundle);
        }
        Ok(Subject::Repository(trusted)) => {
            let targets = trusted.targets().map(|t| &t.statement.targets);
            let mut rows = Vec::new();
            for (name, target) in targets.into_iter().flatten() {
                let digest = target.digest(name)?.to_hex();
                rows.push([name.clone(), target.length.to_string(), digest]);
            }
            page.heading("Targets");
            page.table(["path", "bytes", "SHA-256"], &rows);
        }
        Err(_) => {}
    }
    Ok(page.finish(&format!(
        "Made by sealift-verifier {}.",
        env!("CARGO_PKG_VERSION")
    )))
}

fn verdict(page: &mut Page, findings: &Findings) {
    let by = if findings.by_clock {
        "the clock of the machine"
    } else {
        "request"
    };
    match &findings.result {
        Ok(subject) => {
            page.banner(
                "passed",
                "Authentic: signed by those whom the trusted root entitles",
            );
            if subject.trusted().root().statement.is_development() {
                page.banner("failed", DEVELOPMENT);
            }
        }
        Err(error) => {
            page.banner(
                "failed",
                &format!("NOT AUTHENTIC: {} ({})", error, error.code()),
            );
            page.paragraph(&format!(
                "What to do: {}. Nothing is said here of what it claims to contain.",
                error.hint()
            ));
        }
    }
    page.facts(&[
        ("File or folder", findings.path.clone()),
        (
            "Judged at",
            format!("{} (by {by}; all times are in UTC)", findings.time),
        ),
    ]);
}

fn release_facts(page: &mut Page, bundle: &Authentic) {
    let release = bundle.release();
    page.heading("Release");
    let mut facts = vec![
        ("Product", release.product.to_string()),
        ("Version", release.version.to_string()),
        ("Release counter", bundle.counter().to_string()),
        ("Published", release.published.to_string()),
        ("Release digest", bundle.release_digest().to_hex()),
        ("Length of the bundle", format!("{} bytes", bundle.length())),
    ];
    if let Some(floor) = &release.security_floor {
        facts.push(("Security floor", floor.to_string()));
    }
    if !release.platforms.is_empty() {
        facts.push(("Platforms", release.platforms.join(", ")));
    }
    page.facts(&facts);
}

fn built(page: &mut Page, bundle: &Authentic) {
    page.heading("Provenance");
    page.paragraph("What those who built the release say of how they did, under a release key.");
    let provenance = bundle.provenance();
    let mut facts = provenance::builder(provenance).to_vec();
    facts.extend(
        provenance
            .signers
            .iter()
            .map(|signer| ("signed by", signer.keyid.clone())),
    );
    page.facts(&facts);
    let parameters = provenance::parameters(provenance);
    page.table(["parameter", "value"], &parameters);
}

fn sources(page: &mut Page, bundle: &Authentic) {
    page.heading("Sources");
    page.paragraph(
        "The definitions and sources that the release was built from, by its provenance.",
    );
    let sources = provenance::sources(bundle.provenance());
    page.table(["source", "artifact", "type", "SHA-256"], &sources);
}

fn signatures(page: &mut Page, roles: &[RoleFacts]) {
    page.heading("Signatures");
    let mut rows = Vec::new();
    for role in roles {
        for (number, signer) in role.signers.iter().enumerate() {
            let once = |text: String| {
                if number == 0 { text } else { String::new() }
            };
            rows.push([
                once(role.role.to_string()),
                once(role.version.to_string()),
                once(role.expires.to_string()),
                once(format!("{} of {}", role.threshold, role.keys)),
                signer.keyid.clone(),
                signer.public.clone(),
            ]);
        }
    }
    page.table(
        [
            "role",
            "version",
            "valid until",
            "threshold",
            "signed by key",
            "public key (Ed25519)",
        ],
        &rows,
    );
}

fn checks(page: &mut Page, steps: &[Step]) {
    page.heading("Checks");
    let rows: Vec<_> = steps
        .iter()
        .map(|step| {
            [
                step.check.name.to_owned(),
                step.check.detail.clone(),
                step.status().to_owned(),
            ]
        })
        .collect();
    page.table(["check", "what was found", "status"], &rows);
}

fn capabilities(page: &mut Page, release: &Release) {
    page.heading("Capabilities");
    let rows: Vec<_> = release
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
    page.table(["name", "version", "kind", "license", "description"], &rows);
}

fn artifacts(page: &mut Page, release: &Release) {
    let list = |page: &mut Page, heading: &str, wanted: &dyn Fn(&Content) -> bool| {
        let rows: Vec<_> = release
            .artifacts()
            .filter(|(_, artifact)| wanted(&artifact.content))
            .map(|(capability, artifact)| {
                let (kind, size) = kind_and_size(artifact);
                let kind = match &artifact.content {
                    Content::Tree(tree) => format!("tree of {} files", tree.files),
                    _ => kind.to_owned(),
                };
                [
                    format!("{}/{}", capability.name, artifact.name),
                    kind,
                    size.to_string(),
                    content_digest(&artifact.content).to_hex(),
                ]
            })
            .collect();
        if !rows.is_empty() {
            page.heading(heading);
            page.table(["name", "type", "bytes", "SHA-256"], &rows);
        }
    };
    list(page, "Images", &|c| matches!(c, Content::Image(_)));
    list(page, "Files", &|c| {
        matches!(c, Content::Tree(_) | Content::File(_) | Content::Config(_))
    });
    page.paragraph(
        "The digest of an image is that of its manifest or index, the digest of a tree that of the list \
         of its files with their digests.",
    );
    list(page, "Notices", &|c| matches!(c, Content::Notice(_)));
}

fn members(page: &mut Page, bundle: &Authentic) {
    page.heading("Stored members");
    page.paragraph(
        "What the bundle consists of behind its metadata. Each digest is signed, and each was compared.",
    );
    let rows: Vec<_> = bundle
        .members()
        .map(|(path, size, digest)| [path.to_owned(), size.to_string(), digest.to_hex()])
        .collect();
    page.table(["path", "bytes", "SHA-256"], &rows);
}
