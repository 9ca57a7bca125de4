//! What need not be read again: layers by their digests, and programs as long as they look the same.

use super::*;
use crate::cache::{Cache, CacheFolder};

#[test]
fn a_program_without_packages_is_read_once_and_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program");
    let auditable = elf::tests::program(r#"{"packages":[{"name":"serde","version":"1.0.0"}]}"#);
    let plain = vec![b'#'; auditable.len()];
    let write = |bytes: &[u8]| File::create(&path).unwrap().write_all(bytes).unwrap();
    write(&plain);
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    let settled = || std::thread::sleep(std::time::Duration::from_millis(2500));
    settled();
    let source = Source::from(path.clone());
    let size = plain.len() as u64;
    let entry = |path: &str| PlannedEntry {
        path: path.parse().unwrap(),
        node: PlannedNode::File {
            mode: Mode::Executable,
            size,
            source: source.clone(),
        },
    };
    let found = |path: &str| {
        let (cache, problem) = Cache::open(CacheFolder {
            path: &folder.path().join("cache"),
            limit: 1 << 20,
        })
        .unwrap();
        assert_eq!(problem, None);
        let known = cache.has_none(&source, size);
        let packages = sound(&plan(vec![PlannedContent::Tree(vec![entry(path)])]), &cache);
        cache.save();
        (known, packages.values().map(Vec::len).sum::<usize>())
    };
    assert_eq!(found("bin/program"), (false, 0));
    let remembers = found("bin/program").0;
    // Of ext4 it is certain that its times can be trusted.
    let kind = rustix::fs::statfs(folder.path()).unwrap().f_type;
    assert!(remembers || kind != 0xef53);
    // The same length and times.
    write(&auditable);
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(modified).unwrap();
    assert_eq!(found("bin/program"), (false, 1));
    settled();
    assert_eq!(found("bin/program"), (false, 1));
    // Nothing is kept of what a name may tell.
    write(br#"{"name":"a","version":"1"}"#);
    settled();
    assert_eq!(found("other/package.json"), (false, 0));
    assert_eq!(found("node_modules/a/package.json"), (false, 1));
}

#[test]
fn a_layer_is_read_once_and_kept_by_its_digest() {
    #[derive(Default)]
    struct Memory(Mutex<Vec<(Digest, LayerPackages)>>);
    impl FoundCache for Memory {
        fn load(&self, layer: Digest) -> Option<LayerPackages> {
            let kept = self.0.lock().unwrap();
            kept.iter()
                .find(|(digest, _)| *digest == layer)
                .map(|(_, found)| found.clone())
        }
        fn store(&self, layer: Digest, found: &LayerPackages) {
            self.0.lock().unwrap().push((layer, found.clone()));
        }
        fn has_none(&self, _program: &Source, _size: u64) -> bool {
            false
        }
        fn watch(&self, _program: &Source, _file: &File) -> Option<Watch> {
            None
        }
        fn store_none(&self, _watch: Watch, _file: &File) {}
    }
    let layer = |name: &str| {
        let package = format!(r#"{{"name":"{name}","version":"1"}}"#);
        tar_of(&[(
            &format!("node_modules/{name}/package.json"),
            Has::File(package.as_bytes()),
        )])
    };
    let (base, a, b) = (layer("base"), layer("a"), layer("b"));
    let images = || {
        vec![
            image(&[base.clone(), a.clone()]),
            image(&[base.clone(), b.clone()]),
        ]
    };
    let memory = Memory::default();
    let first = sound(&plan(images()), &memory);
    assert_eq!(memory.0.lock().unwrap().len(), 3);
    // Nothing can be read any more, and nothing is.
    let mut gone = plan(images());
    for artifact in &mut gone[0].artifacts {
        let PlannedContent::Image(image) = &mut artifact.content else {
            continue;
        };
        let kept = memory.0.lock().unwrap();
        for blob in &mut image.blobs {
            if kept.iter().any(|(digest, _)| *digest == blob.blob.digest()) {
                blob.source = PathBuf::from("/nowhere").into();
            }
        }
    }
    assert_eq!(sound(&gone, &memory), first);
    assert_eq!(memory.0.lock().unwrap().len(), 3);
    // What is kept survives being written down.
    for (_, found) in &*memory.0.lock().unwrap() {
        let text = serde_json::to_string(found).unwrap();
        assert_eq!(
            serde_json::from_str::<LayerPackages>(&text).unwrap(),
            *found
        );
    }
    // A layer that is broken is not kept.
    let before = memory.0.lock().unwrap().len();
    let broken = vec![image(&[b"broken".repeat(200)])];
    assert_eq!(find(&plan(broken), &memory, 1, &()).1.len(), 1);
    assert_eq!(memory.0.lock().unwrap().len(), before);
}
