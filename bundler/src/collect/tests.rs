//! Plans of definitions on disk: sorted, complete, and the same whatever the file system does.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use sealift_verifier::{digest::Digest, release::Probe, tree::Mode};
use tempfile::TempDir;

use super::*;
use crate::{
    manifest::release_of,
    plan::{PlannedContent, PlannedNode},
};

#[expect(
    clippy::disallowed_methods,
    reason = "a test's own files need not last"
)]
fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

const FILES: [(&str, &str); 4] = [
    ("b/z", "1"),
    ("b-a", "2"),
    ("a/deep/er/x", "3"),
    ("bin/run", "#!/bin/sh\n"),
];

/// A release of two capabilities, its files made in the order that `order` says.
fn vendor(order: impl Iterator<Item = usize>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(
        root,
        "RELEASE.toml",
        "product = \"acme\"\nversion = \"1.0.0\"\ncounter = 1\npublished = \"2026-03-01T00:00:00Z\"\n\
         [capabilities]\n\"web/shop\" = \"1.0.0\"\n\"core/api\" = \"1.0.0-rc.1+b\"\n",
    );
    write(
        root,
        "catalog/capabilities/web/shop/1.0.0/capability.toml",
        "name = \"web/shop\"\nversion = \"1.0.0\"\nkind = \"app\"\n\
         [[artifacts]]\nname = \"site\"\ntype = \"tree\"\npath = \"site\"\n\
         [[artifacts]]\nname = \"LICENSE\"\ntype = \"notice\"\npath = \"../../../core/api/1.0.0-rc.1+b/LICENSE\"\n",
    );
    write(
        root,
        "catalog/capabilities/core/api/1.0.0-rc.1+b/capability.toml",
        "name = \"core/api\"\nversion = \"1.0.0-rc.1+b\"\nkind = \"service\"\ndescription = \"Answers.\"\nlicense = \"MIT OR Apache-2.0\"\n\
         [[artifacts]]\nname = \"LICENSE\"\ntype = \"notice\"\npath = \"LICENSE\"\n\
         [[health]]\nname = \"up\"\ntcp = \"127.0.0.1:80\"\ninterval = \"250ms\"\n",
    );
    write(
        root,
        "catalog/capabilities/core/api/1.0.0-rc.1+b/LICENSE",
        "text",
    );
    let site = root.join("catalog/capabilities/web/shop/1.0.0/site");
    for i in order {
        let (name, text) = FILES[i];
        write(&site, name, text);
    }
    fs::create_dir(site.join("empty")).unwrap();
    symlink("../b-a", site.join("b/link")).unwrap();
    // Set-user-id and group bits do not travel; that it may be run does.
    fs::set_permissions(site.join("bin/run"), fs::Permissions::from_mode(0o4710)).unwrap();
    fs::set_permissions(site.join("b-a"), fs::Permissions::from_mode(0o666)).unwrap();
    folder
}

fn plan_of(folder: &TempDir) -> Plan {
    plan(&folder.path().join("RELEASE.toml"), &Options::default()).unwrap()
}

#[test]
fn a_plan_is_sorted_and_complete() {
    let folder = vendor(0..FILES.len());
    let plan = plan_of(&folder);
    let names: Vec<&str> = plan
        .capabilities
        .iter()
        .map(|c| c.manifest.name.as_str())
        .collect();
    assert_eq!(names, ["core/api", "web/shop"]);
    let api = &plan.capabilities[0];
    assert_eq!(
        (
            api.manifest.description.as_str(),
            api.manifest.license.as_deref()
        ),
        ("Answers.", Some("MIT OR Apache-2.0"))
    );
    assert_eq!(
        api.manifest.health[0].probe,
        Probe::Tcp("127.0.0.1:80".into())
    );
    let health = &api.manifest.health[0];
    assert_eq!(
        (
            health.interval_ms,
            health.timeout_ms,
            health.retries,
            health.start_period_ms
        ),
        (250, 5000, 3, 0)
    );
    let shop: Vec<&str> = plan.capabilities[1]
        .artifacts
        .iter()
        .map(|a| a.name.as_str())
        .collect();
    assert_eq!(shop, ["LICENSE", "site"]);
    let PlannedContent::Tree(entries) = &plan.capabilities[1].artifacts[1].content else {
        panic!("no tree")
    };
    let entries: Vec<(&str, &str)> = entries
        .iter()
        .map(|entry| {
            let node = match &entry.node {
                PlannedNode::File {
                    mode: Mode::Executable,
                    ..
                } => "program",
                PlannedNode::File {
                    mode: Mode::Plain, ..
                } => "file",
                PlannedNode::Symlink { target } => target,
                PlannedNode::Dir => "folder",
            };
            (entry.path.as_str(), node)
        })
        .collect();
    let sorted = [
        ("a/deep/er/x", "file"),
        ("b-a", "file"),
        ("b/link", "../b-a"),
        ("b/z", "file"),
        ("bin/run", "program"),
        ("empty", "folder"),
    ];
    assert_eq!(
        entries, sorted,
        "`-` comes before `/`: by the bytes of the whole path"
    );
}

#[test]
fn the_release_does_not_depend_on_the_folder_or_the_order_of_files() {
    let (one, two) = (vendor(0..FILES.len()), vendor((0..FILES.len()).rev()));
    let (one, two) = (
        release_of(&plan_of(&one)).unwrap(),
        release_of(&plan_of(&two)).unwrap(),
    );
    assert_eq!(one.release, two.release);
    assert_eq!(one.trees, two.trees);
    for (digest, tree) in &one.trees {
        tree.check("tree").unwrap();
        assert_eq!(
            Digest::of(&sealift_verifier::json::to_canonical(tree).unwrap()),
            *digest
        );
    }
}

#[test]
fn content_that_changes_under_the_plan_is_noticed() {
    let folder = vendor(0..FILES.len());
    let plan = plan_of(&folder);
    write(
        folder.path(),
        "catalog/capabilities/core/api/1.0.0-rc.1+b/LICENSE",
        "longer text",
    );
    let error = release_of(&plan).unwrap_err();
    assert_eq!(error.kind(), Some(Code::LengthMismatch));
}
