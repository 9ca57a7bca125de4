//! The reader of images, on layouts and archives put together here in the forms that tools write.

use std::{collections::BTreeMap, fs, io::Read, path::PathBuf};

use sealift_verifier::digest::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::plan::Source;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const GZIP: [u8; 6] = [0x1f, 0x8b, 8, 0, 0, 0];

/// The files of an image by their names.
#[derive(Clone, Default)]
struct Files(BTreeMap<String, Vec<u8>>);

impl Files {
    fn layout() -> Self {
        let mut files = Self::default();
        files.0.insert(
            "oci-layout".into(),
            br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
        );
        files
    }

    fn blob(&mut self, media_type: &str, content: impl Into<Vec<u8>>) -> Value {
        let content = content.into();
        let digest = Digest::of(&content);
        let size = content.len();
        self.0.insert(format!("blobs/sha256/{digest}"), content);
        json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size })
    }

    fn manifest(&mut self, architecture: &str, layers: &[Value]) -> Value {
        let config = json!({ "os": "linux", "architecture": architecture, "rootfs": { "type": "layers", "diff_ids": [] } });
        let config = self.blob(CONFIG, config.to_string());
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
        self.blob(MANIFEST, manifest.to_string())
    }

    fn index(&mut self, manifests: &[Value]) -> Value {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
        self.blob(INDEX, index.to_string())
    }

    /// Writes `index.json` with these images.
    fn top(&mut self, images: &[Value]) {
        let index = json!({ "schemaVersion": 2, "manifests": images });
        self.0.insert("index.json".into(), index.to_string().into());
    }

    /// An image of one platform with two layers.
    fn small() -> Self {
        let mut files = Self::layout();
        let layers = [
            files.blob(LAYER, "plain layer"),
            files.blob(&format!("{LAYER}+gzip"), "packed layer"),
        ];
        let manifest = files.manifest("amd64", &layers);
        files.top(&[manifest]);
        files
    }
}

fn named(mut descriptor: Value, name: &str) -> Value {
    descriptor["annotations"] = json!({ REF_NAME: name });
    descriptor
}

fn digest_of(descriptor: &Value) -> Digest {
    descriptor["digest"]
        .as_str()
        .unwrap()
        .trim_start_matches("sha256:")
        .parse()
        .unwrap()
}

struct Place {
    folder: TempDir,
    path: PathBuf,
}

impl Place {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join(name);
        Self { folder, path }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a test's own files need not last"
    )]
    fn folder(files: &Files) -> Self {
        let place = Self::new("layout");
        for (name, content) in &files.0 {
            let path = place.path.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        place
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a test's own files need not last"
    )]
    fn file(content: &[u8]) -> Self {
        let place = Self::new("image.tar");
        fs::write(&place.path, content).unwrap();
        place
    }

    fn archive(files: &Files) -> Self {
        Self::file(&tar(files, &[]))
    }

    fn read(
        &self,
        reference: Option<&str>,
        platforms: &[&str],
    ) -> Result<PlannedImage, Vec<Finding>> {
        let platforms: Vec<String> = platforms.iter().map(|p| (*p).to_owned()).collect();
        let within = self.folder.path().canonicalize().unwrap();
        read(&Wanted {
            path: &self.path,
            within: &within,
            reference,
            digest: None,
            platforms: &platforms,
        })
    }

    /// The codes and messages of what is wrong.
    fn refused(&self, reference: Option<&str>, platforms: &[&str]) -> String {
        let findings = self.read(reference, platforms).unwrap_err();
        findings
            .iter()
            .map(|f| format!("{}: {}", f.code.name(), f.message))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// A tar of files, then of symbolic links.
fn tar(files: &Files, links: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in &files.0 {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_slice())
            .unwrap();
    }
    for (name, target) in links {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, name, target).unwrap();
    }
    tar.into_inner().unwrap()
}

/// The content of every blob, which has to be what its digest says.
fn contents(image: &PlannedImage) -> BTreeMap<Digest, Vec<u8>> {
    let content = |blob: &crate::plan::PlannedBlob| {
        let mut bytes = Vec::new();
        blob.source.open().unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(
            (Digest::of(&bytes), bytes.len() as u64),
            (blob.blob.digest(), blob.blob.size())
        );
        (blob.blob.digest(), bytes)
    };
    image.blobs.iter().map(content).collect()
}

#[test]
fn a_layout_is_the_same_as_a_folder_and_as_an_archive() {
    let files = Files::small();
    let (folder, archive) = (Place::folder(&files), Place::archive(&files));
    let image = folder.read(None, &["linux/amd64"]).unwrap();
    let archived = archive.read(None, &["linux/amd64"]).unwrap();
    assert_eq!(contents(&image), contents(&archived));
    assert_eq!(image.media_type, MANIFEST);
    assert_eq!(image.blobs.len(), 4);
    assert!(image.blobs.is_sorted_by(|a, b| a.blob < b.blob));
    let packed: Vec<u64> = image
        .blobs
        .iter()
        .filter(|b| b.compressible)
        .map(|b| b.blob.size())
        .collect();
    assert_eq!(packed, [11], "only the uncompressed layer");
    assert!(
        archived
            .blobs
            .iter()
            .all(|b| matches!(b.source, Source::Slice { .. }))
    );
}

#[test]
fn an_index_offers_the_platforms_of_its_manifests() {
    let mut files = Files::layout();
    let shared = files.blob(LAYER, "shared");
    let (amd, arm) = (
        files.manifest("amd64", std::slice::from_ref(&shared)),
        files.manifest("arm64", &[shared]),
    );
    let attestation = files.manifest("unknown", &[]);
    let mut attestation = attestation;
    attestation["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
    let index = files.index(&[amd, arm, attestation]);
    files.top(std::slice::from_ref(&index));
    let place = Place::folder(&files);
    let image = place.read(None, &["linux/amd64", "linux/arm64"]).unwrap();
    assert_eq!(
        (image.digest, image.media_type.as_str()),
        (digest_of(&index), INDEX)
    );
    assert_eq!(contents(&image).len(), 8);
    let refused = place.refused(None, &["linux/amd64", "linux/s390x"]);
    assert!(
        refused.starts_with("image-platform: the image is for "),
        "{refused}"
    );
    assert!(refused.ends_with("not for linux/s390x"), "{refused}");
}

#[test]
fn a_manifest_that_is_a_layer_elsewhere_is_followed_all_the_same() {
    let mut files = Files::layout();
    let layer = files.blob(LAYER, "below");
    let inner = files.manifest("arm64", &[layer]);
    let mut carried = inner.clone();
    carried["mediaType"] = "application/octet-stream".into();
    let outer = files.manifest("amd64", &[carried]);
    let index = files.index(&[outer, inner]);
    files.top(&[index]);
    let place = Place::folder(&files);
    let image = place.read(None, &["linux/amd64", "linux/arm64"]).unwrap();
    // An index, two manifests with a configuration each, and the layer.
    assert_eq!(contents(&image).len(), 6);
    assert_eq!(image.blobs.iter().filter(|b| b.compressible).count(), 1);
}

#[test]
fn one_of_several_images_is_chosen_by_name_or_digest() {
    let mut files = Files::layout();
    let (one, two) = (files.manifest("amd64", &[]), files.manifest("arm64", &[]));
    files.top(&[
        named(one.clone(), "one"),
        named(two.clone(), "two"),
        named(two.clone(), "latest"),
    ]);
    let place = Place::archive(&files);
    assert_eq!(
        place.read(Some("one"), &[]).unwrap().digest,
        digest_of(&one)
    );
    assert_eq!(
        place.read(Some("latest"), &[]).unwrap().digest,
        digest_of(&two)
    );
    assert_eq!(
        place.refused(None, &[]),
        "image-ambiguous: holds 2 images; there are: latest, one, two"
    );
    assert_eq!(
        place.refused(Some("three"), &[]),
        "image-ambiguous: holds no image named \"three\"; there are: latest, one, two"
    );
    let within = place.folder.path().canonicalize().unwrap();
    let wanted = Wanted {
        path: &place.path,
        within: &within,
        reference: None,
        digest: Some(digest_of(&one)),
        platforms: &[],
    };
    assert_eq!(read(&wanted).unwrap().digest, digest_of(&one));
    let wanted = Wanted {
        reference: Some("two"),
        ..wanted
    };
    assert_eq!(read(&wanted).unwrap_err()[0].code, Code::DigestMismatch);
}

#[test]
fn layouts_that_do_not_hold_together_are_refused() {
    let refused = |change: &dyn Fn(&mut Files)| {
        let mut files = Files::small();
        change(&mut files);
        let (folder, archive) = (
            Place::folder(&files).refused(None, &[]),
            Place::archive(&files).refused(None, &[]),
        );
        assert_eq!(folder, archive);
        folder
    };
    let blob = |files: &Files, content: &str| {
        files
            .0
            .iter()
            .find(|(_, c)| c.as_slice() == content.as_bytes())
            .unwrap()
            .0
            .clone()
    };
    let layer = refused(&|files| {
        let name = blob(files, "plain layer");
        files.0.remove(&name);
        let name = blob(files, "packed layer");
        files.0.insert(name, b"longer than it was".to_vec());
    });
    assert!(
        layer.contains("is missing\nlength-mismatch: "),
        "both are told: {layer}"
    );
    let manifest = refused(&|files| {
        let name = files
            .0
            .iter()
            .find(|(_, c)| c.windows(6).any(|w| w == b"layers") && c.starts_with(b"{\"config"))
            .unwrap()
            .0
            .clone();
        let content = files.0.get_mut(&name).unwrap();
        let last = content.len() - 1;
        content[last] = b' ';
    });
    assert!(
        manifest.starts_with("digest-mismatch: blobs/sha256/"),
        "{manifest}"
    );
    assert!(refused(&|files| files.top(&[])).ends_with("names no image"));
    let version = refused(&|files| {
        files.0.insert(
            "oci-layout".into(),
            br#"{"imageLayoutVersion":"2.0.0"}"#.to_vec(),
        );
    });
    assert!(
        version.contains("has version \"2.0.0\", known is 1.0.0"),
        "{version}"
    );
    let nothing = refused(&|files| {
        files.0.remove("oci-layout");
    });
    assert!(nothing.contains("neither an OCI image layout"), "{nothing}");
    for garbage in [
        "",
        "[]",
        "{\"schemaVersion\":2}",
        "{\"schemaVersion\":2,\"manifests\":[{}]}",
        "\0",
    ] {
        let index = refused(&|files| {
            files.0.insert("index.json".into(), garbage.into());
        });
        assert!(index.starts_with("image-invalid: index.json: "), "{index}");
    }
}

#[test]
fn documents_that_are_not_what_they_are_said_to_be_are_refused() {
    let with = |make: &dyn Fn(&mut Files) -> Value| {
        let mut files = Files::layout();
        let top = make(&mut files);
        files.top(&[top]);
        Place::archive(&files).refused(None, &[])
    };
    let confused = with(&|files| {
        let manifest = files.manifest("amd64", &[]);
        let both =
            json!({ "schemaVersion": 2, "manifests": [manifest], "config": {}, "layers": [] });
        files.blob(INDEX, both.to_string())
    });
    assert!(
        confused
            .contains("is not the application/vnd.oci.image.index.v1+json that it is said to be"),
        "{confused}"
    );
    let disguised = with(&|files| {
        let mut index = files.index(&[]);
        index["mediaType"] = MANIFEST.into();
        index
    });
    assert!(disguised.contains("that it is said to be"), "{disguised}");
    let schema1 =
        with(&|files| files.blob("application/vnd.docker.distribution.manifest.v1+json", "{}"));
    assert!(schema1.contains("which is no image's"), "{schema1}");
    let deep = with(&|files| {
        let manifest = files.manifest("amd64", &[]);
        (0..6).fold(manifest, |below, _| files.index(&[below]))
    });
    assert!(deep.contains("lies more than 4 indexes deep"), "{deep}");
    let sha512 = with(&|files| {
        let mut manifest = files.manifest("amd64", &[]);
        manifest["digest"] = format!("sha512:{}", "a".repeat(128)).into();
        manifest
    });
    assert!(sha512.contains("is no SHA-256 digest"), "{sha512}");
    let climbing = with(&|files| {
        let mut manifest = files.manifest("amd64", &[]);
        manifest["digest"] = "sha256:../../../../etc/passwd".into();
        manifest
    });
    assert!(climbing.starts_with("image-invalid: "), "{climbing}");
    let huge = with(&|files| {
        let mut manifest = files.manifest("amd64", &[]);
        manifest["size"] = u64::MAX.into();
        manifest
    });
    assert!(huge.starts_with("length-mismatch: "), "{huge}");
}

#[test]
fn blobs_do_not_lead_out_of_the_catalog() {
    let mut files = Files::small();
    let name = files
        .0
        .iter()
        .find(|(_, c)| c.as_slice() == b"plain layer")
        .unwrap()
        .0
        .clone();
    files.0.remove(&name);
    let place = Place::folder(&files);
    let outside = Place::file(b"plain layer");
    std::os::unix::fs::symlink(&outside.path, place.path.join(&name)).unwrap();
    assert!(place.refused(None, &[]).starts_with("path-outside: "));
}

/// What `podman save` writes: layers beside the configuration, and links for readers of old.
fn docker(layers: &[&[u8]], tags: &[&str]) -> Files {
    let mut files = Files::default();
    let diff_ids: Vec<String> = layers
        .iter()
        .map(|l| format!("sha256:{}", Digest::of(l)))
        .collect();
    let config = json!({ "os": "linux", "architecture": "amd64", "rootfs": { "type": "layers", "diff_ids": diff_ids } }).to_string();
    let config_name = format!("{}.json", Digest::of(config.as_bytes()));
    let names: Vec<String> = layers
        .iter()
        .map(|l| format!("{}.tar", Digest::of(l)))
        .collect();
    for (name, layer) in names.iter().zip(layers) {
        files.0.insert(name.clone(), layer.to_vec());
    }
    files.0.insert(config_name.clone(), config.into());
    let manifest = json!([{ "Config": config_name, "RepoTags": tags, "Layers": names }]);
    files
        .0
        .insert("manifest.json".into(), manifest.to_string().into());
    files
}

#[test]
fn a_docker_archive_gets_a_manifest_that_depends_on_its_content_only() {
    let files = docker(&[b"layer one", b"layer two"], &["docker.io/acme/api:1"]);
    let place = Place::archive(&files);
    let image = place.read(Some("acme/api:1"), &["linux/amd64"]).unwrap();
    let contents = contents(&image);
    assert_eq!(contents.len(), 4);
    let manifest: Value = serde_json::from_slice(&contents[&image.digest]).unwrap();
    assert_eq!(
        manifest["layers"][0]["digest"],
        format!("sha256:{}", Digest::of(b"layer one"))
    );
    assert_eq!(manifest["layers"][1]["mediaType"], LAYER);
    assert_eq!(
        contents[&digest_of(&manifest["config"])],
        *files
            .0
            .iter()
            .find(|(n, _)| n
                .strip_suffix(".json")
                .is_some_and(|stem| stem != "manifest"))
            .unwrap()
            .1
    );
    // As `docker save` wrote it before: folders, and links between layers. The same image comes of it.
    let (one, two) = (
        format!("{}.tar", Digest::of(b"layer one")),
        format!("{}.tar", Digest::of(b"layer two")),
    );
    let mut old = files.clone();
    let manifest = String::from_utf8(old.0.remove("manifest.json").unwrap()).unwrap();
    let manifest = manifest
        .replace(&one, "aa/layer.tar")
        .replace(&two, "bb/layer.tar");
    old.0.insert("./manifest.json".into(), manifest.into());
    let links = [
        ("aa/layer.tar", format!("../{one}")),
        ("bb/layer.tar", format!("../{two}")),
    ];
    let links: Vec<(&str, &str)> = links.iter().map(|(a, b)| (*a, b.as_str())).collect();
    let linked = Place::file(&tar(&old, &links)).read(None, &[]).unwrap();
    assert_eq!(linked.digest, image.digest);
}

#[test]
fn compressed_layers_of_a_docker_archive_are_taken_as_they_are() {
    let mut files = docker(&[b"layer"], &[]);
    let name = format!("{}.tar", Digest::of(b"layer"));
    files.0.insert(name, GZIP.to_vec());
    let place = Place::archive(&files);
    let image = place.read(None, &[]).unwrap();
    let manifest: Value = serde_json::from_slice(&contents(&image)[&image.digest]).unwrap();
    assert_eq!(manifest["layers"][0]["mediaType"], format!("{LAYER}+gzip"));
    assert_eq!(
        manifest["layers"][0]["digest"],
        format!("sha256:{}", Digest::of(&GZIP))
    );
    assert!(image.blobs.iter().all(|b| !b.compressible));
}

#[test]
fn docker_archives_that_do_not_hold_together_are_refused() {
    let refused = |change: &dyn Fn(&mut Files)| {
        let mut files = docker(&[b"layer"], &["acme/api:1"]);
        change(&mut files);
        Place::archive(&files).refused(None, &[])
    };
    let config = |files: &Files| {
        files
            .0
            .keys()
            .find(|n| {
                n.strip_suffix(".json")
                    .is_some_and(|stem| stem != "manifest")
            })
            .unwrap()
            .clone()
    };
    assert!(refused(&|f| drop(f.0.remove(&config(f)))).ends_with("is missing"));
    assert!(
        refused(&|f| drop(f.0.insert(config(f), b"{}".to_vec()))).starts_with("digest-mismatch: ")
    );
    assert!(
        refused(&|f| drop(f.0.remove(&format!("{}.tar", Digest::of(b"layer")))))
            .ends_with("is missing")
    );
    for (key, value) in [("Layers", json!([])), ("Layers", json!(["a", "b"]))] {
        let counted = refused(&|f| {
            let mut manifest: Value = serde_json::from_slice(&f.0["manifest.json"]).unwrap();
            manifest[0][key] = value.clone();
            f.0.insert("manifest.json".into(), manifest.to_string().into());
        });
        assert!(
            counted.contains("names 1 layers, the archive has "),
            "{counted}"
        );
    }
    let several = refused(&|f| {
        let manifest: Value = serde_json::from_slice(&f.0["manifest.json"]).unwrap();
        let twice = json!([manifest[0], manifest[0]]);
        f.0.insert("manifest.json".into(), twice.to_string().into());
    });
    assert_eq!(
        several,
        "image-ambiguous: holds 2 images; there are: acme/api:1"
    );
    assert!(
        refused(&|f| drop(f.0.insert("manifest.json".into(), b"{}".to_vec())))
            .starts_with("image-invalid: manifest.json")
    );
    let place = Place::folder(&docker(&[b"layer"], &[]));
    assert!(place.refused(None, &[]).contains("has to be one tar file"));
}

#[test]
fn archives_are_cut_off_compressed_or_doubled() {
    let files = Files::small();
    let whole = tar(&files, &[]);
    for length in 0..whole.len() {
        // Cut within the zeros that fill the last block and end the archive, it still holds everything.
        let place = Place::file(&whole[..length]);
        if let Ok(image) = place.read(None, &[]) {
            assert_eq!(contents(&image).len(), 4, "{length}");
            assert!(length + 1024 + 512 > whole.len(), "{length}");
        }
    }
    assert!(
        Place::file(&GZIP)
            .refused(None, &[])
            .contains("is compressed with gzip; unpack that first")
    );
    let mut twice = whole[..whole.len() - 1024].to_vec();
    twice.extend(&whole);
    assert!(
        Place::file(&twice)
            .refused(None, &[])
            .ends_with("is there twice")
    );
    // Links in a circle.
    let mut circle = Files::small();
    circle.0.remove("index.json");
    let circle = tar(&circle, &[("index.json", "x"), ("x", "index.json")]);
    assert!(
        Place::file(&circle)
            .refused(None, &[])
            .contains("index.json: is missing")
    );
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Fifo);
    header.set_size(0);
    let mut special = tar::Builder::new(Vec::new());
    special
        .append_data(&mut header, "pipe", std::io::empty())
        .unwrap();
    let special = special.into_inner().unwrap();
    assert!(
        Place::file(&special)
            .refused(None, &[])
            .contains("neither a file, a folder nor a link")
    );
}

#[test]
fn claims_of_huge_names_take_no_memory() {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_path("././@LongLink").unwrap();
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.resize(4096, b'x');
    assert!(
        Place::file(&bytes)
            .refused(None, &[])
            .starts_with("image-invalid: ")
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn a_changed_byte_never_panics(position in 0_usize..8192, value in proptest::num::u8::ANY) {
        let mut bytes = tar(&Files::small(), &[]);
        let length = bytes.len();
        bytes[position % length] = value;
        let _ = Place::file(&bytes).read(None, &[]);
    }
}
