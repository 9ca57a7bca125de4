//! Whole operations on a site made by hand, without bundles: going back, pruning, recovering, checking.
//! What needs bundles is tested through the programs, in the package `tests`.

mod rules;

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
};

use sealift_verifier::{
    digest::Digest,
    json,
    release::{
        Artifact, BlobRef, Capability, Content, FileRef, HealthCheck, Kind as CapabilityKind,
        Probe, Release, TreeRef,
    },
    time::Time,
    tree::{Entry, Mode, Node, Tree},
};
use semver::Version;

use crate::{
    audit::Who,
    disk::{
        Dir, Disk, RealDisk, Writer,
        faults::{Fault, FaultyDisk},
    },
    error::{Code, Error, Result},
    fsck,
    generation::{self, Contents},
    journal::{Kind, Phase},
    prune, rollback,
    site::{
        Context, GENERATIONS, Locked, Ready, STORE, Silent, Site, TRASH, TRUST, TRUST_COPY,
        root_file, snapshot_file, timestamp_file,
    },
    state::{ClockPolicy, FORMAT, Generation, Newest, Outcome, State, TrustState, head_digest},
    store::{self, Form, Store, need},
    twice,
};

/// The content of every license text and bill of materials.
const DOCUMENT: &[u8] = b"{\"what\": \"is in it\"}\n";

fn now() -> Time {
    Time::from_unix(1_800_000_000).unwrap()
}

static WHO: Who = Who {
    uid: 0,
    user: String::new(),
    login: String::new(),
};

fn context() -> Context<'static> {
    Context {
        now: now(),
        threads: 2,
        progress: &Silent,
        overrides: Vec::new(),
        who: &WHO,
        program: std::path::Path::new("/nonexistent"),
    }
}

/// A root that revokes nothing.
fn trusted_root() -> Vec<u8> {
    let temp = tempfile::tempdir().unwrap();
    let plan = sealift_keys::ceremony::Plan {
        root_keys: 1,
        root_threshold: 1,
        release_keys: 1,
        release_threshold: 1,
        license_keys: 1,
        license_threshold: 1,
        policy_keys: 0,
        policy_threshold: 1,
        development: true,
        expires: Time::from_unix(4_000_000_000).unwrap(),
    };
    let given = sealift_keys::ceremony::Given::default();
    let made =
        sealift_keys::ceremony::init(&temp.path().join("keys"), &plan, &given, None).unwrap();
    fs::read(made.root).unwrap()
}

/// A site in a temporary folder.
struct TestSite {
    temp: tempfile::TempDir,
    /// What the release of a generation has beside what all have.
    more: fn(u64, &mut Release),
}

impl TestSite {
    /// A site with these generations, the last one current. Generation 3 asks a health check that fails.
    fn new(numbers: &[u64]) -> Self {
        Self::with(numbers, |_, _| {})
    }

    fn with(numbers: &[u64], more: fn(u64, &mut Release)) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let site = Self { temp, more };
        fs::create_dir(site.path()).unwrap();
        let dir = Dir::open(&site.path()).unwrap();
        let writer = Writer::new(&RealDisk);
        for name in [TRUST, TRUST_COPY, STORE, GENERATIONS, TRASH] {
            writer.mkdir(dir.at(name)).unwrap();
        }
        let root = dir.dir(STORE).unwrap();
        store::folders().for_each(|name| writer.mkdir(root.at(&name)).unwrap());
        let digest = Digest::of(b"trusted");
        let trusted_root = trusted_root();
        for (name, bytes) in [
            (timestamp_file(digest), b"trusted".as_slice()),
            (snapshot_file(digest), b"trusted"),
            (root_file(1), &trusted_root),
        ] {
            twice::keep_trusted(writer, &dir, &name, bytes).unwrap();
        }
        let mut generations: Vec<Generation> = Vec::new();
        for number in numbers {
            let before = generations.last().map(|g| g.number);
            generations.push(site.add(*number, before));
        }
        let current = numbers.last().copied();
        let newest = Newest {
            counter: 9,
            release: digest,
            timestamp: digest,
            snapshot: digest,
        };
        site.write(&State {
            format: FORMAT,
            revision: 0,
            site: "test".into(),
            created: now(),
            clock: ClockPolicy::Enforce,
            activate_hook: None,
            product: Some("acme".parse().unwrap()),
            mode: None,
            pins: Vec::new(),
            policy: None,
            current,
            site_key: None,
            audit: None,
            next: numbers.last().unwrap_or(&0) + 1,
            trust: TrustState {
                first_root: 1,
                root: 1,
                root_digest: Digest::of(&trusted_root),
                older: Vec::new(),
                development: false,
                customer: None,
                newest: Some(newest),
                time: None,
            },
            security_floor: None,
            generations,
            history: Vec::new(),
        });
        if let Some(current) = current {
            site.point(current);
        }
        site
    }

    fn path(&self) -> PathBuf {
        self.temp.path().join("state")
    }

    fn point(&self, generation: u64) {
        let link = self.path().join("current");
        let _ = fs::remove_file(&link);
        symlink(format!("generations/{generation}"), link).unwrap();
    }

    fn write(&self, state: &State) {
        let dir = Dir::open(&self.path()).unwrap();
        twice::write_state(Writer::new(&RealDisk), &dir, state).unwrap();
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        self.write(&state);
    }

    fn state(&self) -> State {
        Site::open(&self.path()).unwrap().state().clone()
    }

    fn begin(&self, phase: &Phase) {
        let dir = Dir::open(&self.path()).unwrap();
        let bytes = phase.to_bytes().unwrap();
        Writer::new(&RealDisk)
            .replace(dir.at("journal.json"), &bytes)
            .unwrap();
    }

    /// Where `current` leads.
    fn current(&self) -> Option<String> {
        let target = fs::read_link(self.path().join("current")).ok()?;
        Some(target.display().to_string())
    }

    /// Puts a complete generation on disk: a tree with a shared file, one of its own and a link, and a file.
    fn add(&self, number: u64, before: Option<u64>) -> Generation {
        let dir = Dir::open(&self.path()).unwrap();
        let store = Store::open(&dir).unwrap();
        let own = format!("content of {number}").into_bytes();
        let shared = b"#!/bin/sh\nexit 0\n".to_vec();
        let blob = |bytes: &[u8]| BlobRef(Digest::of(bytes), bytes.len() as u64);
        let file = |path: &str, bytes: &[u8], mode| Entry {
            path: path.parse().unwrap(),
            node: Node::File {
                mode,
                size: bytes.len() as u64,
                digest: Digest::of(bytes),
            },
        };
        let link = Node::Symlink {
            target: "own".into(),
        };
        let tree = Tree {
            entries: vec![
                Entry {
                    path: "empty".parse().unwrap(),
                    node: Node::Dir,
                },
                Entry {
                    path: "link".parse().unwrap(),
                    node: link,
                },
                file("own", &own, Mode::Plain),
                file("sub/run", &shared, Mode::Executable),
            ],
        };
        let listed = json::to_canonical(&tree).unwrap();
        let mut release = release(number, &shared, &listed);
        (self.more)(number, &mut release);
        let bytes = json::to_canonical(&release).unwrap();
        let digest = Digest::of(&bytes);
        let mut head: Vec<(String, Vec<u8>)> = [
            "metadata/1.root.json",
            "metadata/timestamp.json",
            "metadata/snapshot.json",
            "metadata/targets.json",
            "release.json",
            "delivery.json",
            "provenance.json",
            "oci-layout",
            "index.json",
        ]
        .map(|name| (name.to_owned(), name.as_bytes().to_vec()))
        .into();
        head[4].1 = bytes;
        let contents = Contents::new(release.clone(), head, |_| Ok(tree.clone())).unwrap();
        let mut needs = contents.needs().unwrap();
        need(&mut needs, blob(&listed), Form::Plain);
        let document = DOCUMENT.to_vec();
        for bytes in [&own, &shared, &listed, &document] {
            let forms = needs.get(&Digest::of(bytes)).into_iter();
            let forms: Vec<Form> = forms.flat_map(|need| need.forms()).collect();
            let writer = Writer::new(&RealDisk);
            store
                .add(writer, blob(bytes), &forms, &mut &bytes[..])
                .unwrap();
        }
        let generations = dir.dir(GENERATIONS).unwrap();
        let (writer, name) = (Writer::new(&RealDisk), number.to_string());
        writer.mkdir(generations.at(&name)).unwrap();
        let root = generations.dir(&name).unwrap();
        generation::build(writer, &store, &root, &contents, 2).unwrap();
        let files = contents
            .head
            .iter()
            .map(|(p, b)| (p.as_str(), b.as_slice()));
        Generation {
            number,
            version: release.version,
            release: digest,
            head: head_digest(files),
            counter: number,
            committed: now(),
            before,
        }
    }

    fn locked<'d>(&self, disk: &'d dyn Disk) -> Result<Locked<'d>> {
        // Other tests of this process start programs, which have every lock until they are what they are.
        let mut tries = 100;
        loop {
            match Locked::take(&self.path(), disk, "test", now()) {
                Err(e) if e.kind() == Some(Code::SiteLocked) && tries > 0 => tries -= 1,
                other => return other,
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    fn ready<'d>(&self, disk: &'d dyn Disk) -> Result<Ready<'d>> {
        Ok(self.locked(disk)?.recover(&context())?.0)
    }

    /// Names the hook, which appends what it is told to `hook.log`.
    fn hook(&self, script: &str) {
        let path = self.temp.path().join("hook");
        let mut file = fs::File::create(&path).unwrap();
        std::io::Write::write_all(&mut file, script.as_bytes()).unwrap();
        drop(file);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self.change(|state| state.activate_hook = Some(path.display().to_string()));
    }

    /// Everything is as the state says, and nothing else is there.
    fn assert_whole(&self) {
        let site = self.ready(&RealDisk).unwrap();
        let report = fsck::fsck(&site, None, &context()).unwrap();
        // The trusted files of these tests are no metadata, and nobody reads them here.
        assert_eq!(report.problems, [], "{:?}", report.problems);
    }
}

fn release(number: u64, shared: &[u8], tree: &[u8]) -> Release {
    let probe = if number == 3 {
        "tree/absent"
    } else {
        "tree/sub/run"
    };
    let version = Version::new(1, number, 0);
    Release {
        capabilities: vec![Capability {
            artifacts: vec![
                Artifact {
                    name: "file".parse().unwrap(),
                    content: Content::File(FileRef {
                        digest: Digest::of(shared),
                        size: shared.len() as u64,
                        executable: false,
                    }),
                },
                Artifact {
                    name: "tree".parse().unwrap(),
                    content: Content::Tree(TreeRef {
                        digest: Digest::of(tree),
                        size: tree.len() as u64,
                        files: 2,
                        bytes: (shared.len() + format!("content of {number}").len()) as u64,
                    }),
                },
            ],
            health: vec![HealthCheck {
                name: "runs".into(),
                probe: Probe::Exec(vec![probe.into()]),
                interval_ms: 1,
                timeout_ms: 10_000,
                retries: 2,
                start_period_ms: 0,
            }],
            ..Capability::new(
                "core/api".parse().unwrap(),
                version.clone(),
                CapabilityKind::Service,
            )
        }],
        ..Release::new("acme".parse().unwrap(), version, now())
    }
}

#[test]
fn a_rollback_leads_to_what_ran_before_and_further_back() {
    let test = TestSite::new(&[1, 2, 4]);
    test.assert_whole();
    for (target, before) in [(2, Some(1)), (1, None)] {
        let mut site = test.ready(&RealDisk).unwrap();
        assert_eq!(
            rollback::rollback(&mut site, None, &context()).unwrap(),
            target
        );
        assert_eq!(test.current(), Some(format!("generations/{target}")));
        assert_eq!(test.state().previous(), before);
    }
    let mut site = test.ready(&RealDisk).unwrap();
    let error = rollback::rollback(&mut site, None, &context()).unwrap_err();
    assert_eq!(error.kind(), Some(Code::NothingToGoBackTo));
    assert_eq!(
        rollback::rollback(&mut site, Some(4), &context()).unwrap(),
        4
    );
    let error = rollback::rollback(&mut site, Some(7), &context()).unwrap_err();
    assert_eq!(error.kind(), Some(Code::GenerationUnknown));
    drop(site);
    test.assert_whole();
    assert_eq!(test.state().history.len(), 3);
}

#[test]
fn a_rollback_that_fails_goes_forward_again() {
    let test = TestSite::new(&[3, 4]);
    let mut site = test.ready(&RealDisk).unwrap();
    let error = rollback::rollback(&mut site, None, &context()).unwrap_err();
    assert!(matches!(error, Error::WentBack { .. }), "{error}");
    assert_eq!(error.kind(), Some(Code::HealthCheckFailed));
    drop(site);
    assert_eq!(test.current().as_deref(), Some("generations/4"));
    let state = test.state();
    assert_eq!((state.current, state.generations.len()), (Some(4), 2));
    assert_eq!(state.history.last().unwrap().outcome, Outcome::WentBack);
    test.assert_whole();
}

#[test]
fn the_security_floor_closes_old_generations() {
    let test = TestSite::new(&[1, 2]);
    test.change(|state| state.security_floor = Some(Version::new(1, 2, 0)));
    let mut site = test.ready(&RealDisk).unwrap();
    let error = rollback::rollback(&mut site, None, &context()).unwrap_err();
    assert_eq!(error.kind(), Some(Code::BelowSecurityFloor));
    assert_eq!(test.current().as_deref(), Some("generations/2"));
}

#[test]
fn the_hook_is_told_what_moved_and_its_failure_goes_back() {
    let test = TestSite::new(&[1, 2]);
    let log = test.temp.path().join("log");
    let script = format!(
        "#!/bin/sh\necho \"$SEALIFT_GENERATION $SEALIFT_PREVIOUS $SEALIFT_VERSION $(readlink $SEALIFT_CURRENT)\" >>{}\ntest \"$SEALIFT_GENERATION\" != 1\n",
        log.display()
    );
    test.hook(&script);
    let mut site = test.ready(&RealDisk).unwrap();
    let error = rollback::rollback(&mut site, None, &context()).unwrap_err();
    assert_eq!(error.kind(), Some(Code::ActivateHookFailed));
    let told = fs::read_to_string(&log).unwrap();
    assert_eq!(told, "1 2 1.1.0 generations/1\n2 1 1.2.0 generations/2\n");
    drop(site);
    assert_eq!(test.state().current, Some(2));
    test.change(|state| state.activate_hook = None);
    test.assert_whole();
}

#[test]
fn a_missing_file_is_found_before_anything_is_moved() {
    let test = TestSite::new(&[1, 2]);
    fs::remove_file(test.path().join("generations/1/files/core/api/file")).unwrap();
    let mut site = test.ready(&RealDisk).unwrap();
    let error = rollback::rollback(&mut site, None, &context()).unwrap_err();
    assert_eq!(error.kind(), Some(Code::GenerationDamaged));
    assert_eq!(test.current().as_deref(), Some("generations/2"));
    assert!(site.interrupted().unwrap().is_none());
}

#[test]
fn pruning_spares_the_current_generation_and_the_way_back() {
    let test = TestSite::new(&[1, 2, 4, 5]);
    let mut site = test.ready(&RealDisk).unwrap();
    rollback::rollback(&mut site, Some(2), &context()).unwrap();
    let pruned = prune::prune(&mut site, 1, &context()).unwrap();
    assert_eq!((pruned.removed, pruned.kept), (vec![4], vec![1, 2, 5]));
    let again = prune::prune(&mut site, 1, &context()).unwrap();
    assert!(again.removed.is_empty());
    // What generation 5 would have gone back to is gone; what that would have gone back to is not.
    assert_eq!(site.state().generation(5).unwrap().before, Some(2));
    drop(site);
    test.assert_whole();
}

#[test]
fn an_unfinished_generation_is_removed_with_its_blobs() {
    let test = TestSite::new(&[1]);
    let before = test.state();
    test.add(2, None);
    let generations = test.path().join(GENERATIONS);
    let dir = Dir::open(&generations).unwrap();
    Writer::new(&RealDisk)
        .rename(dir.at("2"), dir.at("2.tmp"))
        .unwrap();
    test.begin(&Phase::Staging { generation: 2 });
    let (_, phase) = test.locked(&RealDisk).unwrap().recover(&context()).unwrap();
    assert_eq!(phase, Some(Phase::Staging { generation: 2 }));
    assert_eq!(test.state(), before);
    test.assert_whole();
}

#[test]
fn an_activation_that_was_cut_is_finished_or_undone() {
    let activating = |kind| Phase::Activating {
        generation: 2,
        from: Some(1),
        kind,
    };
    // Not committed: an apply is dropped, a rollback only taken back.
    for kind in [Kind::Apply, Kind::Rollback] {
        let test = TestSite::new(&[1, 2]);
        test.change(|state| {
            state.current = Some(1);
            if kind == Kind::Apply {
                state.generations.truncate(1);
                state.next = 2;
            }
        });
        test.begin(&activating(kind));
        drop(test.ready(&RealDisk).unwrap());
        assert_eq!(test.current().as_deref(), Some("generations/1"));
        let state = test.state();
        assert_eq!((state.current, state.next), (Some(1), 3));
        assert_eq!(state.history.last().unwrap().outcome, Outcome::Interrupted);
        test.assert_whole();
    }
    // Committed.
    let test = TestSite::new(&[1, 2]);
    let before = test.state();
    test.begin(&activating(Kind::Apply));
    drop(test.ready(&RealDisk).unwrap());
    assert_eq!(test.state(), before);
    test.assert_whole();
}

#[test]
fn the_first_apply_that_was_cut_leaves_nothing_running() {
    let test = TestSite::new(&[1]);
    test.change(|state| {
        state.current = None;
        state.generations.clear();
    });
    test.begin(&Phase::Activating {
        generation: 1,
        from: None,
        kind: Kind::Apply,
    });
    drop(test.ready(&RealDisk).unwrap());
    assert_eq!(test.current(), None);
    test.assert_whole();
}

/// Fails each call of an operation, one after the other. Whatever it ends with, the site is one of the two
/// states, whole, and the operation works afterwards.
fn fail_each(numbers: &[u64], operation: impl Fn(&mut Ready<'_>) -> Result<()>) {
    let ended = |test: &TestSite| {
        let state = test.state();
        let kept: Vec<u64> = state.generations.iter().map(|g| g.number).collect();
        (state.current, kept)
    };
    let old = ended(&TestSite::new(numbers));
    let whole = TestSite::new(numbers);
    let counting = FaultyDisk::new(RealDisk, Fault::Count);
    operation(&mut whole.ready(&counting).unwrap()).unwrap();
    let new = ended(&whole);
    assert_ne!(old, new);
    for call in 1..=counting.calls() {
        let test = TestSite::new(numbers);
        let faulty = FaultyDisk::new(RealDisk, Fault::Fail(call, 5));
        let result = operation(&mut test.ready(&faulty).unwrap());
        test.assert_whole();
        let found = ended(&test);
        assert!(found == old || found == new, "call {call}: {found:?}");
        if result.is_ok() {
            assert_eq!(found, new, "call {call}");
        }
        operation(&mut test.ready(&RealDisk).unwrap()).unwrap();
        assert_eq!(ended(&test), new, "call {call}");
    }
}

#[test]
fn a_rollback_survives_the_failure_of_each_of_its_calls() {
    fail_each(&[1, 2], |site| {
        rollback::rollback(site, Some(1), &context()).map(|_| ())
    });
}

#[test]
fn a_prune_survives_the_failure_of_each_of_its_calls() {
    fail_each(&[1, 2, 4], |site| {
        prune::prune(site, 1, &context()).map(|_| ())
    });
}
