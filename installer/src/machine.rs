//! What machine this is, as the kernel tells it below `/proc` and `/sys`. What it does not tell, or tells in a
//! way that nobody knows, is not known: nothing is refused for it.

use std::{fs::File, io::Read as _, path::Path};

use sealift_verifier::release::Hardware;

/// Length of what the kernel tells in one file, in bytes.
const TEXT: u64 = 64 << 10;
/// Makers of graphics processors, by their PCI vendor ids. Only they count among VGA controllers: servers and
/// virtual machines have others, which draw a console and compute nothing.
const MAKERS: [u64; 3] = [
    0x1002, // AMD
    0x10de, // NVIDIA
    0x8086, // Intel
];

/// A machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// `os/architecture[/variant]`, in the words of OCI image-spec 1.1.
    pub platform: Option<String>,
    /// All it has; of the disk nothing, because a machine has several.
    pub hardware: Hardware,
}

impl Machine {
    /// This machine, with its `/proc` and `/sys` below `root`.
    pub fn read(root: &Path) -> Self {
        let system = rustix::system::uname();
        let words = system
            .sysname()
            .to_str()
            .ok()
            .zip(system.machine().to_str().ok());
        let cards = graphics(root);
        Self {
            platform: words.and_then(|(system, machine)| platform(system, machine)),
            hardware: Hardware {
                cpu: cores(root),
                memory: memory(root),
                disk: None,
                gpu: cards.as_ref().map(|cards| cards.len() as u64),
                gpu_memory: cards.and_then(|cards| {
                    // Only a number that holds for each of them means anything.
                    let all: Option<Vec<u64>> = cards.into_iter().collect();
                    all.map(|all| all.into_iter().min().unwrap_or(0))
                }),
            },
        }
    }
}

/// The OCI name (Go's GOOS and GOARCH) of what `uname` says.
fn platform(system: &str, machine: &str) -> Option<String> {
    let architecture = match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "i386" | "i486" | "i586" | "i686" => "386",
        "armv6l" => "arm/v6",
        "armv7l" | "armv8l" => "arm/v7",
        "loongarch64" => "loong64",
        "ppc64le" | "riscv64" | "s390x" => machine,
        _ => return None,
    };
    Some(format!("{}/{architecture}", system.to_ascii_lowercase()))
}

/// Logical processors that are switched on, whatever of them this program may use.
fn cores(root: &Path) -> Option<u64> {
    let ranges = text(&root.join("sys/devices/system/cpu/online"))?;
    // Such as `0-3,8`.
    ranges.trim().split(',').try_fold(0_u64, |sum, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        sum.checked_add(last.checked_sub(first)?)?.checked_add(1)
    })
}

/// Bytes of memory: what is built in, as `lsmem` adds it up, since a release that asks for 8 GiB means that.
/// Where the kernel does not tell, what it has left after its own share.
fn memory(root: &Path) -> Option<u64> {
    built_in_memory(root).or_else(|| {
        let all = text(&root.join("proc/meminfo"))?;
        let rest = all.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
        let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kib.checked_mul(1024)
    })
}

fn built_in_memory(root: &Path) -> Option<u64> {
    let folder = root.join("sys/devices/system/memory");
    let size = hexadecimal(&text(&folder.join("block_size_bytes"))?)?;
    let blocks = std::fs::read_dir(folder).ok()?;
    let online = blocks.flatten().filter(|entry| {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("memory"));
        number.is_some_and(|n| n.parse::<u64>().is_ok())
            && text(&entry.path().join("online")).is_some_and(|on| on.trim() == "1")
    });
    let bytes = size.checked_mul(online.count() as u64)?;
    (bytes > 0).then_some(bytes)
}

/// The bytes of memory of each graphics processor on PCI, as far as its driver tells; nothing at all where
/// there is no PCI.
fn graphics(root: &Path) -> Option<Vec<Option<u64>>> {
    let devices = std::fs::read_dir(root.join("sys/bus/pci/devices")).ok()?;
    let cards = devices.flatten().filter_map(|entry| {
        let device = entry.path();
        let number = |name: &str| hexadecimal(&text(&device.join(name))?);
        let counts = match number("class")? >> 8 {
            // 3D controller, and display controller of another kind: nothing else than graphics processors.
            0x0302 | 0x0380 => true,
            0x0300 => MAKERS.contains(&number("vendor")?),
            _ => false,
        };
        counts.then(|| {
            text(&device.join("mem_info_vram_total"))?
                .trim()
                .parse()
                .ok()
        })
    });
    Some(cards.collect())
}

fn hexadecimal(text: &str) -> Option<u64> {
    let text = text.trim();
    u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

fn text(path: &Path) -> Option<String> {
    let mut text = String::new();
    let file = File::open(path).ok()?;
    file.take(TEXT).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root folder with these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut file = File::create(path).unwrap();
            std::io::Write::write_all(&mut file, content.as_bytes()).unwrap();
        }
        root
    }

    fn hardware(files: &[(&str, &str)]) -> Hardware {
        Machine::read(root(files).path()).hardware
    }

    #[test]
    fn this_machine_is_known() {
        let here = Machine::read(Path::new("/"));
        assert!(here.platform.unwrap().starts_with("linux/"));
        assert!(here.hardware.cpu.unwrap() >= 1);
        assert!(here.hardware.memory.unwrap() > 64 << 20);
    }

    #[test]
    fn platforms_have_the_names_that_images_have() {
        assert_eq!(platform("Linux", "x86_64").unwrap(), "linux/amd64");
        assert_eq!(platform("Linux", "armv7l").unwrap(), "linux/arm/v7");
        assert_eq!(platform("Linux", "s390x").unwrap(), "linux/s390x");
        assert_eq!(platform("Linux", "vax"), None);
    }

    #[test]
    fn cores_are_all_that_are_switched_on() {
        let cpu = |list| hardware(&[("sys/devices/system/cpu/online", list)]).cpu;
        assert_eq!(cpu("0\n"), Some(1));
        assert_eq!(cpu("0-3,8,10-11\n"), Some(7));
        for bad in ["", "x", "3-1", "0-18446744073709551615", "1-2-3"] {
            assert_eq!(cpu(bad), None, "{bad}");
        }
    }

    #[test]
    fn memory_is_what_is_built_in_or_else_what_the_kernel_left() {
        let blocks = [
            ("sys/devices/system/memory/block_size_bytes", "8000000\n"),
            ("sys/devices/system/memory/memory0/online", "1\n"),
            ("sys/devices/system/memory/memory1/online", "1\n"),
            ("sys/devices/system/memory/memory2/online", "0\n"),
            ("sys/devices/system/memory/probe/online", "1\n"),
        ];
        let left = ("proc/meminfo", "MemFree:  1 kB\nMemTotal:       2048 kB\n");
        assert_eq!(hardware(&blocks).memory, Some(256 << 20));
        assert_eq!(hardware(&[left]).memory, Some(2 << 20));
        assert_eq!(hardware(&[left, blocks[0]]).memory, Some(2 << 20));
        let odd = ("proc/meminfo", "MemTotal: 1 MB\n");
        assert_eq!(hardware(&[odd]).memory, None);
        let huge = ("proc/meminfo", "MemTotal: 18446744073709551615 kB\n");
        assert_eq!(hardware(&[huge]).memory, None);
    }

    #[test]
    fn graphics_processors_are_told_from_consoles() {
        let device = |number: u8, class: &str, vendor: &str| {
            let folder = format!("sys/bus/pci/devices/0000:00:{number:02x}.0");
            [
                (format!("{folder}/class"), class.to_owned()),
                (format!("{folder}/vendor"), vendor.to_owned()),
            ]
        };
        let of = |devices: &[[(String, String); 2]], memory: &[(&str, &str)]| {
            let files = devices.iter().flatten();
            let mut files: Vec<_> = files.map(|(a, b)| (a.as_str(), b.as_str())).collect();
            files.extend(memory);
            let found = hardware(&files);
            (found.gpu, found.gpu_memory)
        };
        let console = device(1, "0x030000\n", "0x1a03\n");
        let card = device(2, "0x030200\n", "0x10de\n");
        let other = device(3, "0x030000\n", "0x1002\n");
        let disk = device(4, "0x010802\n", "0x144d\n");
        let broken = device(5, "display\n", "0x10de\n");
        assert_eq!(of(&[], &[]), (None, None));
        assert_eq!(
            of(&[console.clone(), disk, broken], &[]),
            (Some(0), Some(0))
        );
        assert_eq!(
            of(&[console, card.clone(), other.clone()], &[]),
            (Some(2), None)
        );
        let memories = [
            (
                "sys/bus/pci/devices/0000:00:02.0/mem_info_vram_total",
                "64\n",
            ),
            (
                "sys/bus/pci/devices/0000:00:03.0/mem_info_vram_total",
                "32\n",
            ),
        ];
        assert_eq!(
            of(&[card.clone(), other.clone()], &memories),
            (Some(2), Some(32))
        );
        assert_eq!(of(&[card, other], &memories[..1]), (Some(2), None));
    }
}
