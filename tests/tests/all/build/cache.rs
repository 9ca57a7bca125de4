//! What a build takes from earlier ones, and that nothing makes it take what is not so.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use sealift_tests::{
    args,
    listing::Listing,
    program::Program,
    sandbox::{Sandbox, read, write},
    site::Site,
    vendor::Vendor,
};
use serde_json::Value;

use super::{
    NOBODY, as_nobody,
    cut::{killed_at_every_change, tidy},
    give, is_root,
};

/// Longer than the margin that a ctime has to lie behind the present.
const SETTLED: Duration = Duration::from_millis(2500);

/// A vendor whose release has small files for several packs, a large one, and a cache folder.
struct Cached {
    sandbox: Sandbox,
    vendor: Vendor,
    definition: PathBuf,
    content: PathBuf,
    cache: PathBuf,
    out: PathBuf,
}

impl Cached {
    /// The files are old enough to be remembered.
    fn new() -> Self {
        Self::with("")
    }

    /// The same, with a line more in the definition.
    fn with(line: &str) -> Self {
        let sandbox = Sandbox::new();
        let vendor = Vendor::new(&sandbox);
        let files: Vec<_> = (0..60)
            .map(|n| (format!("f{n:02}"), noise(n, 300_000)))
            .collect();
        let files: Vec<_> = files
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
            .collect();
        let definition = vendor
            .release("1.0.0", 1)
            .field(line)
            .capability("core/app", "service")
            .file("model", noise(99, 20_000_000))
            .tree("tree", &files)
            .define();
        let content = sandbox.join("vendor/catalog-1.0.0/capabilities/core/app/1.0.0/content");
        // One is looked through for packages of others.
        let program = fs::Permissions::from_mode(0o755);
        fs::set_permissions(content.join("tree/f05"), program).unwrap();
        std::thread::sleep(SETTLED);
        Self {
            content,
            cache: sandbox.join("cache"),
            out: sandbox.join("bundles/out.bundle"),
            sandbox,
            vendor,
            definition,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.content.join(name)
    }

    fn command(&self) -> Program {
        fs::create_dir_all(self.sandbox.join("bundles")).unwrap();
        self.vendor
            .build_command(&self.definition, &self.out)
            .args(["--output", "json"])
    }

    fn with_cache(&self) -> Program {
        self.command().args(args!["--cache", self.cache])
    }

    /// Builds with the cache; what was said, and the bundle.
    #[track_caller]
    fn build(&self) -> (Value, Vec<u8>) {
        let said = self.with_cache().run().ok().json();
        (said, read(&self.out))
    }

    /// What a build without a cache makes.
    #[track_caller]
    fn plain(&self) -> Vec<u8> {
        let said = self.command().args(["--no-cache"]).run().ok().json();
        assert_eq!(
            (number(&said, "cached-bytes"), number(&said, "unread-bytes")),
            (0, 0)
        );
        read(&self.out)
    }

    /// All entries of the cache.
    fn entries(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.cache.join("v1")).unwrap();
        let mut all: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        all.sort();
        all
    }
}

/// Bytes that hardly compress, other ones for each seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next)
        .flatten()
        .take(length)
        .collect()
}

fn number(said: &Value, key: &str) -> u64 {
    said[key]
        .as_u64()
        .unwrap_or_else(|| panic!("no {key} in {said}"))
}

/// The file system that tests run on; on others, files are always read.
fn remembers_files(path: &Path) -> bool {
    let kind = rustix::fs::statfs(path).unwrap().f_type;
    [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010].contains(&i128::from(kind))
}

#[test]
fn a_build_with_a_cache_gives_the_same_bytes_and_reads_what_has_changed() {
    let cached = Cached::new();
    let plain = cached.plain();
    assert!(!cached.cache.exists());
    let (said, first) = cached.build();
    assert_eq!(number(&said, "cached-bytes"), 0);
    assert!(first == plain, "an empty cache changes the bundle");
    let (said, second) = cached.build();
    assert!(second == plain, "a full cache changes the bundle");
    // All but the head.
    assert!(number(&said, "cached-bytes") > 37_000_000, "{said}");
    if remembers_files(&cached.content) {
        assert_eq!(number(&said, "unread-bytes"), 38_000_000);
        // What is not read may be missing from the disk, as far as the build can tell: no content is opened.
        let trace = cached.sandbox.join("trace");
        let strace = [
            "strace",
            "-f",
            "-qq",
            "-o",
            trace.to_str().unwrap(),
            "-e",
            "trace=open,openat",
        ];
        cached.with_cache().behind(&strace).run().ok();
        let trace = String::from_utf8(read(&trace)).unwrap();
        assert!(
            trace.contains("capability.toml") && !trace.contains("/content/tree/f"),
            "{trace}"
        );
    }

    // One file in the middle costs its pack, not those behind it.
    write(&cached.file("tree/f30"), noise(1000, 300_000));
    let plain = cached.plain();
    let (said, changed) = cached.build();
    assert!(changed == plain && changed != first);
    assert!(number(&said, "cached-bytes") > 20_000_000, "{said}");
    // One more, and one less, moves all the others; packs end at the same places again.
    write(&cached.file("tree/f001"), noise(1001, 300_000));
    fs::remove_file(cached.file("tree/f55")).unwrap();
    let plain = cached.plain();
    let (said, changed) = cached.build();
    assert!(changed == plain);
    assert!(number(&said, "cached-bytes") > 20_000_000, "{said}");
    assert!(number(&said, "cached-bytes") < 38_000_000, "{said}");
}

/// So many files that a bill of materials does not fit into one frame.
#[test]
fn documents_with_packs_of_their_own_are_the_same_with_a_cache_and_after_an_export() {
    let cached = Cached::with("");
    let file = |n: usize| cached.file(&format!("tree/many/file-{n:05}"));
    fs::create_dir_all(cached.file("tree/many")).unwrap();
    (0..27_000).for_each(|n| write(&file(n), n.to_string()));
    std::thread::sleep(SETTLED);
    let plain = cached.plain();
    let (_, first) = cached.build();
    assert!(first == plain);
    let (said, again) = cached.build();
    assert!(again == plain);
    assert!(number(&said, "cached-bytes") > 38_000_000, "{said}");
    write(&file(13_000), "changed");
    let plain = cached.plain();
    let (_, changed) = cached.build();
    assert!(changed == plain && changed != first);

    let inspect = args![
        "inspect", cached.out, "delivery", "--output", "json", "--root"
    ];
    let verifier = cached.sandbox.program("sealift-verifier").args(inspect);
    let said = verifier.args([cached.vendor.root()]).run().ok().json();
    let packs = said["delivery"]["packs"].as_array().unwrap();
    let of_level = |level: u64| packs.iter().filter(move |pack| pack["level"] == level);
    assert_eq!(of_level(1).count() + of_level(3).count(), packs.len());
    assert!(of_level(1).all(|pack| pack["blobs"].as_array().unwrap().len() == 1));
    assert!(of_level(1).count() > 0);
    let site = Site::new(&cached.sandbox, &cached.vendor.root());
    site.apply(&cached.out).ok();
    let exported = cached.sandbox.join("exported.bundle");
    site.installer(args!["export", "1", "-o", exported]).ok();
    assert!(read(&exported) == changed);
}

#[test]
fn modes_that_are_built_in_one_run_share_packs_without_a_cache() {
    let cached = Cached::with("modes = [\"saas\", \"edge\"]");
    let bundle = |name: &str| cached.sandbox.join(format!("bundles/{name}.bundle"));
    fs::create_dir_all(cached.sandbox.join("bundles")).unwrap();
    let build = |name: &str, more: &[&str]| {
        let build = cached
            .vendor
            .build_command(&cached.definition, &bundle(name));
        let build = build.args(["--output", "json", "--no-cache"]).args(more);
        build.run().ok().json()
    };
    let said = build("{mode}", &[]);
    let [saas, edge] = [0, 1].map(|at| &said["releases"][at]);
    assert_eq!(
        (saas["mode"].as_str(), edge["mode"].as_str()),
        (Some("saas"), Some("edge"))
    );
    let taken = |said| (number(said, "cached-bytes"), number(said, "unread-bytes"));
    assert_eq!(taken(saas), (0, 0));
    // All but the last pack of small files, which has bills of materials too: they name the mode.
    assert!(taken(edge).0 > 30_000_000, "{said}");
    if remembers_files(&cached.content) {
        assert_eq!(taken(edge).1, 38_000_000);
    }
    let alone = build("alone", &["--mode", "edge"]);
    assert_eq!(taken(&alone), (0, 0));
    assert!(read(&bundle("alone")) == read(&bundle("edge")));
    assert!(read(&bundle("saas")) != read(&bundle("edge")));
}

#[test]
fn neither_times_nor_names_hide_a_change() {
    let cached = Cached::new();
    let file = cached.file("tree/f07");
    let (_, first) = cached.build();
    let touch = |time: &Path| {
        cached
            .sandbox
            .tool("touch")
            .args(args!["-r", time, file])
            .run()
            .ok()
    };
    let kept = cached.sandbox.write("kept", "");

    // Touched, but the same.
    for time in ["1999-01-01", "2030-01-01"] {
        cached
            .sandbox
            .tool("touch")
            .args(args!["-d", time, file])
            .run()
            .ok();
        assert!(cached.build().1 == first, "{time}");
    }
    // The same length and times, another content: written in place, by the faked clock of ten years ago, and renamed over.
    let inode = fs::metadata(&file).unwrap().ino();
    cached
        .sandbox
        .tool("touch")
        .args(args!["-r", file, kept])
        .run()
        .ok();
    let mut before = first;
    for round in 0..3_u64 {
        std::thread::sleep(SETTLED);
        // Known again, as it is now.
        assert!(cached.build().1 == before);
        let mut bytes = read(&file);
        bytes[1000] ^= 1;
        let new = cached.sandbox.write("new", &bytes);
        let by = |tool: &str| cached.sandbox.tool(tool).args(args![new, file]);
        match round {
            0 => by("cp").run().ok(),
            1 => by("cp").at("2016-11-21 12:00:00").run().ok(),
            _ => by("mv").run().ok(),
        };
        touch(&kept);
        let metadata = fs::metadata(&file).unwrap();
        assert_eq!(
            metadata.modified().unwrap(),
            fs::metadata(&kept).unwrap().modified().unwrap()
        );
        assert_eq!(
            (metadata.len(), metadata.ino() == inode),
            (300_000, round < 2)
        );
        let faked = cached.with_cache().at("2016-11-21 12:00:00");
        if round == 1 {
            faked
        } else {
            cached.with_cache()
        }
        .run()
        .ok();
        let after = read(&cached.out);
        assert!(after != before, "a change was not seen, round {round}");
        assert!(after == cached.plain(), "round {round}");
        before = after;
    }
    // Through another name of the same file.
    let other = cached.sandbox.join("other name");
    fs::hard_link(&file, &other).unwrap();
    std::thread::sleep(SETTLED);
    assert!(cached.build().1 == before);
    let mut bytes = read(&file);
    bytes[5] ^= 1;
    write(&other, bytes);
    touch(&kept);
    assert!(cached.build().1 != before);
    assert!(cached.build().1 == cached.plain());
}

/// How many pieces of files with `part` in their path a build reads to hash them, and how many only to copy them: these
/// are longer.
fn read_and_copied(sandbox: &Sandbox, build: Program, part: &str) -> (usize, usize) {
    let folder = sandbox.join("traces");
    fs::create_dir_all(&folder).unwrap();
    // A file for each thread, so that no call is told in two lines.
    let path = folder.join("trace");
    let to = ["-qq", "-y", "-o", path.to_str().unwrap()];
    let strace = ["strace", "-ff", "-e", "trace=pread64"];
    build.behind(&[&strace[..], &to].concat()).run().ok();
    let (mut hashed, mut copied) = (0, 0);
    for trace in fs::read_dir(&folder).unwrap() {
        let text = read(&trace.unwrap().path());
        for line in String::from_utf8_lossy(&text).lines() {
            let (call, _) = line.rsplit_once(") = ").unwrap_or_default();
            let length = call.rsplit(", ").nth(1).and_then(|n| n.parse().ok());
            match length.filter(|_: &u64| call.contains(part)) {
                Some(262_144) => hashed += 1,
                Some(262_145..) => copied += 1,
                _ => {}
            }
        }
    }
    fs::remove_dir_all(folder).unwrap();
    (hashed, copied)
}

#[test]
fn packs_that_have_not_changed_are_not_hashed_again() {
    let cached = Cached::new();
    let expected = cached.plain();
    if !remembers_files(&cached.content) {
        return;
    }
    cached.build();
    let build = || read_and_copied(&cached.sandbox, cached.with_cache(), "/v1/pack-");
    for round in 0..3 {
        let (read, copied) = build();
        assert!(read == 0 && copied > 5, "round {round}: {read}, {copied}");
    }
    assert!(read(&cached.out) == expected);
    // Touched, one of them is read again, and known from then on.
    let packs = cached.entries();
    let pack = packs
        .iter()
        .find(|path| path.to_string_lossy().contains("/pack-"))
        .unwrap();
    let touch = |from: &Path, to: &Path| {
        let tool = cached.sandbox.tool("touch");
        tool.args(args!["-r", from, to]).run().ok();
    };
    touch(&cached.sandbox.write("kept", ""), pack);
    assert!(build().0 > 0);
    assert_eq!(build().0, 0);
    // Changed, with the same times, it is made anew.
    let kept = cached.sandbox.write("kept", "");
    touch(pack, &kept);
    let mut bytes = read(pack);
    bytes[1000] ^= 1;
    write(pack, bytes);
    touch(&kept, pack);
    assert!(cached.build().1 == expected);
    // Across a start of the machine nothing of this is believed: what a power cut takes from a file need not show.
    if is_root() {
        assert_eq!(build().0, 0);
        let boot = cached.sandbox.write("boot", "another\n");
        let script = "mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\"";
        let started = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            script,
            boot.to_str().unwrap(),
        ];
        let started = || cached.with_cache().behind(&started);
        assert!(read_and_copied(&cached.sandbox, started(), "/v1/pack-").0 > 30);
        assert_eq!(
            read_and_copied(&cached.sandbox, started(), "/v1/pack-").0,
            0
        );
        assert!(read(&cached.out) == expected);
    }
}

#[test]
fn layers_of_images_are_copied_unread_until_they_change() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let acme = vendor.acme(8080);
    let (cache, out) = (sandbox.join("cache"), sandbox.join("acme.bundle"));
    std::thread::sleep(SETTLED);
    let build = || {
        vendor
            .build_command(&acme.definition("2.4.0"), &out)
            .args(args!["--cache", cache])
    };
    build().run().ok();
    let bundle = read(&out);
    let blobs = walkdir::WalkDir::new(acme.folder()).into_iter().flatten();
    let blobs: Vec<_> = blobs
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.to_string_lossy().contains("/blobs/sha256/"))
        .collect();
    let length = |path: &&PathBuf| fs::metadata(path).unwrap().len();
    let name = blobs.iter().max_by_key(length).unwrap().file_name();
    let shown = name.unwrap().to_str().unwrap();
    if remembers_files(acme.folder()) {
        assert_eq!(read_and_copied(&sandbox, build(), shown), (0, 1));
    }
    build().run().ok();
    assert!(read(&out) == bundle);

    // Several images have it.
    for layer in blobs.iter().filter(|path| path.file_name() == name) {
        let kept = sandbox.write("kept", "");
        let touch = |from: &Path, to: &Path| {
            let tool = sandbox.tool("touch");
            tool.args(args!["-r", from, to]).run().ok();
        };
        touch(layer, &kept);
        let mut bytes = read(layer);
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        write(layer, bytes);
        touch(&kept, layer);
    }
    build().run().fails_with("digest-mismatch");
    // Looked through while it is copied, it is told with the place that asks for it, whoever notices first.
    let plain = vendor.build_command(&acme.definition("2.4.0"), &out);
    let said = plain
        .args(["--no-cache"])
        .run()
        .fails_with("definition-invalid");
    let told = said
        .stderr
        .lines()
        .find(|line| line.contains(shown))
        .unwrap();
    assert!(
        told.contains("capability.toml:") && told.contains("[digest-mismatch]"),
        "{told}"
    );
    assert!(read(&out) == bundle);
}

/// A file that has just been written could change once more within the same tick of the clock.
#[test]
fn what_has_just_changed_is_not_remembered() {
    let cached = Cached::new();
    let known = |said: &Value| number(said, "unread-bytes");
    write(&cached.file("model"), noise(98, 20_000_000));
    cached.build();
    assert!(known(&cached.build().0) <= 18_000_000);
    std::thread::sleep(SETTLED);
    cached.build();
    if remembers_files(&cached.content) {
        assert_eq!(known(&cached.build().0), 38_000_000);
    }
}

/// Makes something else of the bytes of an entry.
type Damage = fn(&[u8]) -> Vec<u8>;

#[test]
fn damage_in_the_cache_costs_time_only() {
    let cached = Cached::new();
    let expected = cached.plain();
    cached.build();
    let all = cached.entries();
    assert!(all.len() > 4, "{all:?}");
    let damages: [(&str, Damage); 5] = [
        ("the first bytes changed", |bytes| {
            [&[bytes[0] ^ 1], &bytes[1..]].concat()
        }),
        ("one byte in the middle changed", |bytes| {
            let mut bytes = bytes.to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
            bytes
        }),
        ("the last byte changed", |bytes| {
            [&bytes[..bytes.len() - 1], &[!bytes[bytes.len() - 1]]].concat()
        }),
        ("cut off", |bytes| bytes[..bytes.len() / 2].to_vec()),
        ("empty", |_| Vec::new()),
    ];
    for (how, damage) in damages {
        for path in &all {
            let bytes = read(path);
            write(path, damage(&bytes));
        }
        let (said, found) = cached.build();
        assert!(found == expected, "{how}");
        assert_eq!(number(&said, "cached-bytes"), 0, "{how}");
        // And it is whole again.
        let (said, found) = cached.build();
        assert!(
            found == expected && number(&said, "cached-bytes") > 37_000_000,
            "{how}: {said}"
        );
    }
    // One pack that stands in another's place.
    let packs: Vec<_> = all
        .iter()
        .filter(|path| path.to_string_lossy().contains("/pack-"))
        .collect();
    let bytes = read(packs[0]);
    write(packs[1], bytes);
    assert!(cached.build().1 == expected);
    // Folders and pipes where entries were.
    for path in &all {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    }
    assert!(cached.build().1 == expected);
}

/// The records of a copied folder belong to the machine that they were made on.
#[test]
fn a_copied_cache_knows_packs_but_no_files() {
    let cached = Cached::new();
    let expected = cached.build().1;
    let copy = cached.sandbox.join("copy");
    cached
        .sandbox
        .tool("cp")
        .args(args!["-a", cached.cache, copy])
        .run()
        .ok();
    let said = cached
        .command()
        .args(args!["--cache", copy])
        .run()
        .ok()
        .json();
    assert!(read(&cached.out) == expected);
    assert_eq!(number(&said, "unread-bytes"), 0);
    assert!(number(&said, "cached-bytes") > 15_000_000, "{said}");
}

#[test]
fn builds_at_once_share_a_cache() {
    let cached = Cached::new();
    let expected = cached.plain();
    let outs: Vec<_> = (0..3)
        .map(|n| cached.sandbox.join(format!("bundles/{n}.bundle")))
        .collect();
    for _ in 0..2 {
        let command = |out: &PathBuf| {
            cached
                .vendor
                .build_command(&cached.definition, out)
                .args(args!["--cache", cached.cache])
        };
        let children: Vec<_> = outs.iter().map(|out| command(out).spawn()).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        assert!(outs.iter().all(|out| read(out) == expected));
    }
    assert!(number(&cached.build().0, "cached-bytes") > 37_000_000);
}

#[test]
fn a_cache_that_others_could_fill_is_refused() {
    let cached = Cached::new();
    fs::create_dir(&cached.cache).unwrap();
    let mode = |mode| fs::set_permissions(&cached.cache, fs::Permissions::from_mode(mode)).unwrap();
    for open in [0o777, 0o1777, 0o770, 0o702] {
        mode(open);
        let said = cached.with_cache().run().fails_with("cache-unsafe");
        assert!(said.stderr.contains("others may write"), "{}", said.stderr);
        assert!(!cached.out.exists());
    }
    mode(0o755);
    cached.build();
    let inner = cached.cache.join("v1");
    fs::set_permissions(&inner, fs::Permissions::from_mode(0o777)).unwrap();
    cached.with_cache().run().fails_with("cache-unsafe");
    fs::set_permissions(&inner, fs::Permissions::from_mode(0o700)).unwrap();
    if is_root() {
        give(&cached.sandbox, &cached.cache);
        let said = cached.with_cache().run().fails_with("cache-unsafe");
        assert!(
            said.stderr.contains(&format!("belongs to user {NOBODY}")),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn a_cache_that_cannot_be_used_is_done_without() {
    let cached = Cached::new();
    let expected = cached.plain();
    let file = cached.sandbox.write("a file", "");
    let said = cached
        .command()
        .args(args!["--cache", file])
        .run()
        .ok()
        .json();
    assert!(
        said["cache-unusable"].as_str().unwrap().contains("a file"),
        "{said}"
    );
    assert!(read(&cached.out) == expected);

    // Of a folder that may not be written to, nothing is used either.
    fs::create_dir(&cached.cache).unwrap();
    fs::set_permissions(&cached.cache, fs::Permissions::from_mode(0o555)).unwrap();
    let command = if is_root() {
        give(&cached.sandbox, cached.sandbox.path());
        fs::set_permissions(cached.sandbox.path(), fs::Permissions::from_mode(0o755)).unwrap();
        as_nobody(cached.with_cache())
    } else {
        cached.with_cache()
    };
    let said = command.run().ok().json();
    assert!(said["cache-unusable"].is_string(), "{said}");
    assert!(read(&cached.out) == expected);
}

/// Without options, the cache lies where the user's caches lie.
#[test]
fn the_cache_folder_is_the_users() {
    let cached = Cached::new();
    cached.command().run().ok();
    let folder = cached.sandbox.join(".cache/sealift");
    assert_eq!(
        fs::metadata(&folder).unwrap().permissions().mode() & 0o777,
        0o700
    );
    assert!(
        read(&folder.join("CACHEDIR.TAG"))
            .starts_with(b"Signature: 8a477f597d28d172789f06886806bc55")
    );
    let other = cached.sandbox.join("xdg");
    cached.command().env("XDG_CACHE_HOME", &other).run().ok();
    assert!(other.join("sealift/v1").is_dir());
    cached
        .command()
        .args(["--no-cache", "--cache", "x"])
        .run()
        .exits(2);
}

#[test]
fn a_cache_stays_as_small_as_it_should() {
    let cached = Cached::new();
    let length = |path: &PathBuf| fs::metadata(path).unwrap().len();
    let expected = cached.plain();
    cached
        .with_cache()
        .args(["--cache-size", "30 MB"])
        .run()
        .ok();
    let left = cached.entries();
    assert!(
        left.iter().map(length).sum::<u64>() <= 30_000_000,
        "{left:?}"
    );
    assert!(left.len() > 1, "{left:?}");
    let (said, found) = cached.build();
    assert!(found == expected);
    assert!(
        (1..30_000_000).contains(&number(&said, "cached-bytes")),
        "{said}"
    );
    cached
        .with_cache()
        .args(["--cache-size", "much"])
        .run()
        .exits(2);
}

/// In a folder of the release, the next build would carry what this one writes.
#[test]
fn what_a_build_writes_lies_outside_of_what_it_carries() {
    use std::os::unix::fs::DirBuilderExt as _;
    let cached = Cached::new();
    let tree = Listing::of(&cached.file("tree"));
    let link = cached.sandbox.join("link");
    std::os::unix::fs::symlink(cached.file("tree"), &link).unwrap();
    let beside = cached.file("tree").join("../tree/cache");
    for inside in [&cached.file("tree"), &link.join("cache"), &beside] {
        for more in [None, Some("--dry-run")] {
            let build = cached.command().args(args!["--cache", inside]);
            let said = build.args(more).run().fails_with("usage");
            assert!(
                said.stderr.contains("would carry the cache"),
                "{}",
                said.stderr
            );
            // Neither is one made there.
            assert_eq!(Listing::of(&cached.file("tree")), tree);
        }
    }
    let inside = cached.file("tree/.cache");
    fs::DirBuilder::new().mode(0o700).create(&inside).unwrap();
    write(&inside.join("v1/pack"), "of an earlier build");
    let said = cached.command().args(args!["--cache", inside]).run();
    let _ = said.fails_with("usage");
    fs::remove_dir_all(&inside).unwrap();
    cached.command().args(args!["--no-cache"]).run().ok();
    let bundle = cached.file("tree/new.bundle");
    let build = |out: &Path| {
        let build = cached.vendor.build_command(&cached.definition, out);
        build.args(args!["--no-cache"]).run()
    };
    let said = build(&bundle).fails_with("usage");
    assert!(
        said.stderr.contains("would carry the bundle"),
        "{}",
        said.stderr
    );
    assert!(!bundle.exists());
    // What lies beside it, and begins with the same letters, is no part of it, nor is what it lies in.
    build(&cached.file("tree.bundle")).ok();
    let around = cached.command().args(args!["--cache", cached.content]);
    around.run().ok();
}

/// Whatever a killed build leaves in the cache, the next one makes the same bundle.
#[test]
fn a_killed_build_leaves_no_cache_that_fools() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let draft = vendor.release("1.0.0", 1).capability("core/app", "service");
    let definition = draft
        .file("data", "some data")
        .file("model", noise(3, 9_000_000))
        .define();
    std::thread::sleep(SETTLED);
    let (out, cache) = (sandbox.join("bundles/out.bundle"), sandbox.join("cache"));
    fs::create_dir(sandbox.join("bundles")).unwrap();
    let plain = vendor.build_command(&definition, &out).args(["--no-cache"]);
    plain.run().ok();
    let expected = read(&out);
    let build = || {
        vendor
            .build_command(&definition, &out)
            .args(args!["--cache", cache])
    };
    let killed = killed_at_every_change(
        || {
            sandbox.tool("rm").args(args!["-rf", cache]).run().ok();
            write(&out, "metadata/ of an old bundle");
            build()
        },
        |_| {
            build().run().ok();
            assert!(read(&out) == expected);
            tidy(&sandbox.join("bundles"));
        },
    );
    assert!(killed >= 15, "{killed}");
}
