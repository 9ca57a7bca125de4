//! Executables that say what they were linked from: Go's build information, and the list of crates that
//! `cargo auditable` leaves.

use std::io::Read;

use object::{Endianness, File, Object, ObjectSection, ObjectSegment};
use serde::Deserialize;

use super::package::{Ecosystem, Package};

/// How every ELF file begins.
pub(super) const MAGIC: [u8; 4] = *b"\x7fELF";
/// Length of an unpacked list of crates, in bytes. A thousand crates take some 100 KiB.
const CRATES_BYTES: u64 = 8 << 20;
/// How Go's build information begins (Go, `debug/buildinfo`), and what it is aligned to.
const GO_MAGIC: &[u8] = b"\xff Go buildinf:";
const GO_ALIGN: usize = 16;
/// Lines of Go's build information that are read; the largest programs have some 1,500.
const GO_LINES: usize = 50_000;

/// The packages that an executable was linked from; none where it says nothing.
pub(super) fn packages(bytes: &[u8]) -> Vec<Package> {
    let Ok(file) = File::parse(bytes) else {
        return Vec::new();
    };
    let section = |name| {
        file.section_by_name(name)
            .and_then(|found| found.data().ok())
    };
    let go = section(".go.buildinfo").and_then(|data| go_information(&file, data));
    let crates = section(".dep-v0").and_then(crates);
    let go = go.map(|(version, modules)| go_packages(&version, &modules));
    go.into_iter().chain(crates).flatten().collect()
}

/// The version of Go and the list of modules.
fn go_information(file: &File<'_>, section: &[u8]) -> Option<(String, String)> {
    let data = (0..section.len())
        .step_by(GO_ALIGN)
        .filter_map(|start| section.get(start..))
        .find(|data| data.starts_with(GO_MAGIC))?;
    let [size, flags] = *data.get(14..16)?.first_chunk()?;
    // Since Go 1.18 the texts follow; before, two pointers to strings did.
    let (version, modules) = if flags & 2 != 0 {
        let (version, rest) = counted(data.get(32..)?)?;
        (version, counted(rest)?.0)
    } else {
        let order = if flags & 1 != 0 {
            Endianness::Big
        } else {
            Endianness::Little
        };
        let width = usize::from(size);
        let string = |at: usize| {
            let pointer = number(data.get(at..at.checked_add(width)?)?, order)?;
            let header = at_address(file, pointer, 2 * u64::from(size))?;
            let (text, length) = header.split_at_checked(width)?;
            at_address(file, number(text, order)?, number(length, order)?)
        };
        (string(16)?, string(16 + width)?)
    };
    // The list stands between two markers of 16 bytes each.
    let modules = match modules.len().checked_sub(17).and_then(|at| modules.get(at)) {
        Some(b'\n') => modules.get(16..modules.len() - 16)?,
        _ => &[],
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((text(version), text(modules)))
}

/// Bytes behind their number, which is a varint as in protocol buffers; and what follows them.
fn counted(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0_usize;
    for (i, byte) in data.iter().take(5).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return data.get(i + 1..)?.split_at_checked(length);
        }
    }
    None
}

/// A number of 4 or 8 bytes.
fn number(bytes: &[u8], order: Endianness) -> Option<u64> {
    let big = order == Endianness::Big;
    match bytes.len() {
        4 => {
            let bytes = *bytes.first_chunk()?;
            Some(u64::from(if big {
                u32::from_be_bytes(bytes)
            } else {
                u32::from_le_bytes(bytes)
            }))
        }
        8 => {
            let bytes = *bytes.first_chunk()?;
            Some(if big {
                u64::from_be_bytes(bytes)
            } else {
                u64::from_le_bytes(bytes)
            })
        }
        _ => None,
    }
}

/// What the program would find at an address.
fn at_address<'d>(file: &File<'d>, address: u64, length: u64) -> Option<&'d [u8]> {
    file.segments()
        .find_map(|segment| segment.data_range(address, length).ok().flatten())
}

/// The modules of Go's build information (Go, `runtime/debug`, `BuildInfo.String`): lines of a word, a path
/// and a version with tabs between them; `=>` replaces the module before it.
fn go_packages(version: &str, modules: &str) -> Vec<Package> {
    let mut found: Vec<Option<Package>> = Vec::new();
    for line in modules.lines().take(GO_LINES) {
        let mut words = line.split('\t');
        let (word, path) = (words.next(), words.next());
        let version = words.next().filter(|version| *version != "(devel)");
        let module = || Package::new(Ecosystem::Go, path?, version.unwrap_or_default());
        match word {
            Some("mod" | "dep") => found.push(module()),
            // A replacement by a folder has no version, and is still what was meant.
            Some("=>") if version.is_some() => {
                found.pop();
                found.push(module());
            }
            _ => {}
        }
    }
    let release = version.strip_prefix("go").unwrap_or(version);
    let release = release.split(' ').next().unwrap_or_default();
    found.push(Package::new(Ecosystem::Go, "stdlib", release));
    found.into_iter().flatten().collect()
}

/// What `cargo auditable` writes: zlib around JSON (cargo-auditable, PARSING.md).
#[derive(Deserialize)]
struct Crates {
    packages: Vec<Crate>,
}

#[derive(Deserialize)]
struct Crate {
    name: String,
    version: String,
    /// `build` for what only ran while it was compiled.
    #[serde(default)]
    kind: String,
}

fn crates(section: &[u8]) -> Option<Vec<Package>> {
    let mut json = Vec::new();
    let unpacked = flate2::read::ZlibDecoder::new(section);
    unpacked.take(CRATES_BYTES).read_to_end(&mut json).ok()?;
    let list: Crates = serde_json::from_slice(&json).ok()?;
    let linked = list.packages.iter().filter(|found| found.kind != "build");
    Some(
        linked
            .filter_map(|found| Package::new(Ecosystem::Cargo, &found.name, &found.version))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(packages: Vec<Package>) -> Vec<String> {
        packages
            .into_iter()
            .map(|p| format!("{}@{}", p.name, p.version))
            .collect()
    }

    #[test]
    fn modules_of_go() {
        let modules = "path\texample.org/app\nmod\texample.org/app\t(devel)\t\ndep\tgithub.com/a/b\tv1.2.3\th1:x=\n\
            dep\tgithub.com/c/d\tv1.0.0\n=>\tgithub.com/e/d\tv1.0.1\th1:y=\ndep\tgithub.com/f/g\tv2.0.0\n=>\t./g\nbuild\tCGO_ENABLED=0\n";
        assert_eq!(
            names(go_packages("go1.21.3 X:boringcrypto", modules)),
            [
                "example.org/app@",
                "github.com/a/b@v1.2.3",
                "github.com/e/d@v1.0.1",
                "github.com/f/g@v2.0.0",
                "stdlib@1.21.3"
            ]
        );
    }

    #[test]
    fn crates_that_are_linked() {
        let json = r#"{"packages":[{"name":"app","version":"0.1.0","source":"local","root":true,"dependencies":[1]},
            {"name":"serde","version":"1.0.0","source":"crates.io"},
            {"name":"cc","version":"1.0.0","source":"crates.io","kind":"build"}]}"#;
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        zlib.write_all(json.as_bytes()).unwrap();
        let packed = zlib.finish().unwrap();
        assert_eq!(
            names(crates(&packed).unwrap()),
            ["app@0.1.0", "serde@1.0.0"]
        );
        assert!(crates(&packed[..packed.len() / 2]).is_none());
        assert!(crates(b"").is_none());
    }

    #[test]
    fn a_list_that_unpacks_to_more_than_a_list_can_be_is_none() {
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        zlib.write_all(br#"{"packages":["#).unwrap();
        zlib.write_all(&vec![b' '; 9 << 20]).unwrap();
        zlib.write_all(b"]}").unwrap();
        assert!(crates(&zlib.finish().unwrap()).is_none());
    }

    #[test]
    fn counted_texts() {
        assert_eq!(counted(b"\x02abc"), Some((&b"ab"[..], &b"c"[..])));
        assert_eq!(counted(b"\x05ab"), None);
        assert_eq!(counted(b"\xff\xff\xff\xff\xff\xff\x01"), None);
        assert_eq!(counted(b""), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = packages(&[&MAGIC, bytes.as_slice()].concat());
            let _ = crates(&bytes);
        }

        #[test]
        fn no_changed_program_panics(at in 0_usize..4096, to in proptest::num::u8::ANY) {
            let mut bytes = Vec::new();
            let own = std::fs::File::open("/proc/self/exe").unwrap();
            own.take(1 << 16).read_to_end(&mut bytes).unwrap();
            bytes[at] = to;
            let _ = packages(&bytes);
        }
    }
}
