//! Large things: lengths beyond 32 bits and beyond what tar writes in octal, and memory that does not grow with
//! them. What takes minutes is only run by `./test large`.

use std::{
    fs,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use sealift_tests::{
    args,
    program::{Program, Said},
    sandbox::{Sandbox, write},
    site::Site,
    vendor::Vendor,
};
use sealift_verifier::digest::{Digest, Hasher};
use serde_json::json;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The most that any of the programs may have in memory, in KiB.
const MOST: u64 = 200 << 10;

/// Runs a program, says how much memory it had at most, and ends as it did.
const MEASURE: &str = "\
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print('peak KiB:', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)";

/// Runs a program that has to succeed within the memory that it may have.
#[track_caller]
fn within_memory(program: Program) -> Said {
    let said = program.behind(&["python3", "-c", MEASURE]).run().ok();
    let lines = said.stderr.lines();
    let peak = lines
        .filter_map(|line| line.strip_prefix("peak KiB: "))
        .next_back();
    let peak: u64 = peak.and_then(|kib| kib.parse().ok()).unwrap();
    assert!(
        peak <= MOST,
        "{peak} KiB, at most {MOST} are allowed\n{}",
        said.stderr
    );
    said
}

/// A file of `length` bytes that needs little of the disk: zeros, but for 12 MiB that do not compress at the
/// beginning of every 64 MiB.
fn large_file(path: &Path, length: u64) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(12 << 17)
    .flatten()
    .collect();
    write(path, "");
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(length).unwrap();
    let mut position = 0;
    while position + noise.len() as u64 <= length {
        file.seek(SeekFrom::Start(position)).unwrap();
        file.write_all(&noise).unwrap();
        position += 64 * MIB;
    }
}

/// The digest of a file, read piece by piece.
fn digest(path: &Path) -> Digest {
    let mut file = fs::File::open(path).unwrap();
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return hasher.finish(),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// An OCI layout with one image whose only layer, compressed already as its media type says, has `length` bytes:
/// a tar with one file. Gives the digest of the layer.
fn image(folder: &Path, length: u64) -> Digest {
    let blobs = folder.join("blobs/sha256");
    let layer = blobs.join("layer");
    large_file(&layer, length);
    let mut header = tar::Header::new_gnu();
    header.set_path("large").unwrap();
    header.set_mode(0o644);
    let content = (length - 512 - 1024) / 512 * 512;
    header.set_size(content);
    header.set_cksum();
    let file = fs::OpenOptions::new().write(true).open(&layer).unwrap();
    file.write_all_at(header.as_bytes(), 0).unwrap();
    let end = vec![0; usize::try_from(length - 512 - content).unwrap()];
    file.write_all_at(&end, 512 + content).unwrap();
    let layer_digest = digest(&layer);
    fs::rename(&layer, blobs.join(layer_digest.to_hex())).unwrap();
    let put = |content: &serde_json::Value| {
        let bytes = content.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        write(&blobs.join(digest.to_hex()), &bytes);
        (format!("sha256:{digest}"), bytes.len())
    };
    let (config, config_size) = put(&json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer_digest}")] },
    }));
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let (manifest, manifest_size) = put(&json!({
        "schemaVersion": 2,
        "mediaType": kind,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config,
            "size": config_size,
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": format!("sha256:{layer_digest}"),
            "size": length,
        }],
    }));
    let index = json!({
        "schemaVersion": 2,
        "manifests": [{ "mediaType": kind, "digest": manifest, "size": manifest_size }],
    });
    write(&folder.join("index.json"), index.to_string());
    write(
        &folder.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    );
    layer_digest
}

/// A release of a model and of an image with a layer, each of the given length, or without.
struct Large {
    sandbox: Sandbox,
    vendor: Vendor,
    definition: PathBuf,
    bundle: PathBuf,
    model: PathBuf,
    layer: Option<Digest>,
}

impl Large {
    fn new(model: u64, layer: u64) -> Self {
        let sandbox = Sandbox::new();
        let vendor = Vendor::new(&sandbox);
        let mut draft = vendor.release("1.0.0", 1).capability("ml/large", "model");
        if model > 0 {
            draft = draft.artifact("model", "file", "model");
        }
        if layer > 0 {
            draft = draft.artifact("image", "image", "image");
        }
        let definition = draft.define();
        let home = sandbox.join("vendor/catalog-1.0.0/capabilities/ml/large/1.0.0");
        if model > 0 {
            large_file(&home.join("model"), model);
        }
        Self {
            bundle: sandbox.join("large.bundle"),
            model: home.join("model"),
            layer: (layer > 0).then(|| image(&home.join("image"), layer)),
            sandbox,
            vendor,
            definition,
        }
    }

    fn build(&self) {
        within_memory(self.vendor.build_command(&self.definition, &self.bundle));
    }

    /// `sealift-verifier COMMAND BUNDLE --root …`
    fn verifier(&self, command: &str) -> Program {
        let verifier = self.sandbox.program("sealift-verifier");
        verifier.args(args![command, self.bundle, "--root", self.vendor.root()])
    }

    fn verify(&self) {
        let said = within_memory(self.verifier("verify").args(["--contents"]));
        assert!(said.text().contains("status=PASSED"), "{}", said.text());
    }

    /// Extracts everything and compares it with what it was made of.
    fn extract(&self) {
        let out = self.sandbox.join("out");
        within_memory(self.verifier("extract").args(args!["all", "--to", out]));
        if self.model.exists() {
            same(&out.join("files/ml/large/model"), &self.model);
        }
        if let Some(layer) = self.layer {
            let path = out.join("images/blobs/sha256").join(layer.to_hex());
            assert_eq!(digest(&path), layer);
        }
        fs::remove_dir_all(out).unwrap();
    }

    fn install(&self) {
        let site = Site::new(&self.sandbox, &self.vendor.root());
        within_memory(site.command(args!["apply", self.bundle, "--yes"]));
        if self.model.exists() {
            same(
                &site.state().join("current/files/ml/large/model"),
                &self.model,
            );
        }
        within_memory(site.command(args!["fsck"]));
    }
}

#[track_caller]
fn same(one: &Path, other: &Path) {
    let length = |path: &Path| fs::metadata(path).unwrap().len();
    assert_eq!(length(one), length(other));
    assert_eq!(digest(one), digest(other));
}

#[test]
fn memory_does_not_grow_with_what_is_carried() {
    let large = Large::new(500 * MIB, 300 * MIB);
    large.build();
    large.verify();
    large.install();
    large.extract();
}

#[test]
fn memory_does_not_grow_with_the_number_of_files() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let definition = vendor
        .release("1.0.0", 1)
        .capability("web/many", "app")
        .artifact("site", "tree", "site")
        .define();
    let site = sandbox.join("vendor/catalog-1.0.0/capabilities/web/many/1.0.0/site");
    for number in 0..12_000_u32 {
        let path = site.join(format!("{:02}/{:02}/{number}", number % 50, number % 47));
        write(&path, number.to_string());
    }
    let bundle = definition.with_extension("bundle");
    within_memory(vendor.build_command(&definition, &bundle));
    let verifier = sandbox.program("sealift-verifier");
    within_memory(verifier.args(args!["verify", bundle, "--root", vendor.root()]));
    let site = Site::new(&sandbox, &vendor.root());
    within_memory(site.command(args!["apply", bundle, "--yes"]));
    assert_eq!(site.file("web/many/site/49/38/10049"), b"10049");
}

#[test]
fn four_gibibytes_stay_below_200_mib_of_memory() {
    let large = Large::new(3 * GIB, GIB);
    large.build();
    large.verify();
    large.install();
}

#[test]
#[ignore = "takes minutes: run ./test large"]
fn a_model_over_8_gib_is_carried() {
    let large = Large::new(9 * GIB + 1, 0);
    large.build();
    large.verify();
    large.extract();
    large.install();
}

#[test]
#[ignore = "takes minutes: run ./test large"]
fn an_image_layer_over_8_gib_is_carried_as_it_is() {
    let large = Large::new(0, 8 * GIB + 1);
    large.build();
    let layer = large.layer.unwrap();
    // Its header has the length in base 256 (GNU tar), which other readers know.
    assert!(fs::metadata(&large.bundle).unwrap().len() > 8 * GIB);
    let said = large
        .sandbox
        .tool("tar")
        .args(args!["-tvf", large.bundle])
        .run()
        .ok();
    let line = said
        .text()
        .lines()
        .find(|line| line.contains(&layer.to_hex()));
    assert!(line.unwrap().contains(&(8 * GIB + 1).to_string()));
    large.verify();
    large.install();
    // The last byte counts as much as the first.
    let mut file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&large.bundle)
        .unwrap();
    for place in [SeekFrom::Start(5 * GIB), SeekFrom::End(-1025)] {
        let position = file.seek(place).unwrap();
        let mut byte = [0];
        file.read_exact(&mut byte).unwrap();
        file.seek(SeekFrom::Start(position)).unwrap();
        file.write_all(&[byte[0] ^ 1]).unwrap();
        large.verifier("verify").run().exits(3);
        file.seek(SeekFrom::Start(position)).unwrap();
        file.write_all(&byte).unwrap();
    }
}
