//! Executables that say what they were linked from: Go's build information, and the list of crates that
//! `cargo auditable` leaves.

use std::io::Read;

use object::{
    Endianness,
    elf::{FileHeader32, FileHeader64},
    read::elf::{FileHeader, ProgramHeader, SectionHeader},
};
use serde::Deserialize;

use super::package::{Ecosystem, Package};

/// How every ELF file begins.
pub(super) const MAGIC: [u8; 4] = *b"\x7fELF";
/// Where an ELF file says whether its addresses have 32 bits or 64 (ELF, "ELF Identification", `EI_CLASS`).
const CLASS: usize = 4;
/// Length of an unpacked list of crates, in bytes. A thousand crates take some 100 KiB.
const CRATES_BYTES: u64 = 8 << 20;
/// How Go's build information begins (Go, `debug/buildinfo`), and what it is aligned to.
const GO_MAGIC: &[u8] = b"\xff Go buildinf:";
const GO_ALIGN: usize = 16;
/// Length of a text of Go's build information, in bytes. That of the largest programs has some 200 KiB.
const GO_BYTES: usize = 8 << 20;
/// Lines of Go's build information that are read; the largest programs have some 1,500.
const GO_LINES: usize = 50_000;

/// The packages that an executable was linked from; none where it says nothing.
pub(super) fn packages(bytes: &[u8]) -> Vec<Package> {
    let found = match bytes.get(CLASS) {
        Some(1) => Program::<FileHeader32<Endianness>>::parse(bytes).map(|p| p.packages()),
        Some(2) => Program::<FileHeader64<Endianness>>::parse(bytes).map(|p| p.packages()),
        _ => None,
    };
    found.unwrap_or_default()
}

/// The tables of an executable. Whoever made the file chose their lengths: each is gone through a fixed number of times.
struct Program<'d, Elf: FileHeader> {
    bytes: &'d [u8],
    endian: Elf::Endian,
    sections: &'d [Elf::SectionHeader],
    /// The names of all sections, each with a zero behind it.
    names: &'d [u8],
    segments: &'d [Elf::ProgramHeader],
}

impl<'d, Elf: FileHeader<Endian = Endianness>> Program<'d, Elf> {
    fn parse(bytes: &'d [u8]) -> Option<Self> {
        let header = Elf::parse(bytes).ok()?;
        let endian = header.endian().ok()?;
        let sections = header.section_headers(endian, bytes).ok()?;
        let names = header.section_strings_index(endian, bytes).ok()?;
        Some(Self {
            bytes,
            endian,
            sections,
            names: sections.get(names.0)?.data(endian, bytes).ok()?,
            segments: header.program_headers(endian, bytes).unwrap_or_default(),
        })
    }

    fn packages(&self) -> Vec<Package> {
        let go = self
            .section(b".go.buildinfo")
            .and_then(|data| self.go_information(data));
        let go = go.map(|(version, modules)| go_packages(&version, &modules));
        let crates = self.section(b".dep-v0").and_then(crates);
        go.into_iter().chain(crates).flatten().collect()
    }

    fn section(&self, name: &[u8]) -> Option<&'d [u8]> {
        // Asking each section for its name would look for the end of each, in a table without any maybe.
        let found = self.sections.iter().find(|section| {
            let at = usize::try_from(section.sh_name(self.endian)).ok();
            let rest = at.and_then(|at| self.names.get(at..)?.strip_prefix(name));
            rest.is_some_and(|rest| rest.first() == Some(&0))
        });
        found?.data(self.endian, self.bytes).ok()
    }

    /// What the program would find at an address.
    fn at_address(&self, address: u64, length: u64) -> Option<&'d [u8]> {
        self.segments.iter().find_map(|segment| {
            let data = segment.data_range(self.endian, self.bytes, address, length);
            data.ok().flatten()
        })
    }

    /// The version of Go and the list of modules.
    fn go_information(&self, section: &[u8]) -> Option<(String, String)> {
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
                let header = self.at_address(pointer, 2 * u64::from(size))?;
                let (text, length) = header.split_at_checked(width)?;
                self.at_address(number(text, order)?, number(length, order)?)
            };
            (string(16)?, string(16 + width)?)
        };
        // The list stands between two markers of 16 bytes each.
        let modules = match modules.len().checked_sub(17).and_then(|at| modules.get(at)) {
            Some(b'\n') => modules.get(16..modules.len() - 16)?,
            _ => &[],
        };
        if version.len() > GO_BYTES || modules.len() > GO_BYTES {
            return None;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some((text(version), text(modules)))
    }
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
pub(super) mod tests {
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
        let packed = packed(json);
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

    /// An ELF file for x86-64 with these sections behind an empty one and one with `names`.
    fn elf(names: &[u8], sections: &[(u32, &[u8])]) -> Vec<u8> {
        let number = u16::try_from(sections.len() + 2).unwrap();
        let mut file = vec![0_u8; 64];
        file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        file[16..24].copy_from_slice(&[2, 0, 62, 0, 1, 0, 0, 0]);
        file[52..54].copy_from_slice(&64_u16.to_le_bytes());
        file[58..60].copy_from_slice(&64_u16.to_le_bytes());
        file[60..62].copy_from_slice(&number.to_le_bytes());
        file[62..64].copy_from_slice(&1_u16.to_le_bytes());
        let mut headers = vec![0_u8; 64];
        for (name, data) in [(0, names)].iter().chain(sections) {
            let mut header = [0_u8; 64];
            header[..4].copy_from_slice(&name.to_le_bytes());
            header[4] = 1;
            header[24..32].copy_from_slice(&(file.len() as u64).to_le_bytes());
            header[32..40].copy_from_slice(&(data.len() as u64).to_le_bytes());
            headers.extend(header);
            file.extend(*data);
        }
        file.resize(file.len().next_multiple_of(8), 0);
        let at = file.len() as u64;
        file[40..48].copy_from_slice(&at.to_le_bytes());
        [file, headers].concat()
    }

    fn packed(json: &str) -> Vec<u8> {
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        zlib.write_all(json.as_bytes()).unwrap();
        zlib.finish().unwrap()
    }

    /// A program that `cargo auditable` built from these crates.
    pub(in super::super) fn program(crates: &str) -> Vec<u8> {
        let filler = [0; 500];
        elf(b"\0.dep-v0\0", &[(1, &packed(crates)), (0, &filler)])
    }

    #[test]
    fn sections_are_found_by_their_whole_names() {
        let list = packed(r#"{"packages":[{"name":"serde","version":"1.0.0"}]}"#);
        let table = b"\0.dep-v01\0.dep-v0\0";
        assert_eq!(
            names(packages(&elf(table, &[(1, b"other"), (10, &list)]))),
            ["serde@1.0.0"]
        );
        assert_eq!(packages(&elf(table, &[(1, &list)])), []);
        assert_eq!(packages(&elf(b"\0.dep-v0", &[(1, &list)])), []);
        assert_eq!(packages(&elf(table, &[(u32::MAX, &list)])), []);
    }

    #[test]
    fn the_time_grows_with_the_length_of_a_file_only() {
        let table = vec![b'n'; 16 << 20];
        let sections = vec![(0_u32, &b""[..]); 65_000];
        let file = elf(&table, &sections);
        let since = std::time::Instant::now();
        assert_eq!(packages(&file), []);
        let passed = since.elapsed();
        assert!(passed.as_secs() < 5, "{passed:?}");
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
