//! What a site's operator may ask for beside installing: pins, the way back, documents of a release.

use sealift_verifier::{
    facts::{Level, Pin, Wanted},
    release::{Migration, Sbom, SbomFormat},
};

use super::*;
use crate::{
    audit::{self, Entry},
    error::Denial,
    notices, pins, sbom,
    state::Action,
};

fn pin(level: Level, name: &str, version: &str) -> Pin {
    Pin {
        level,
        name: name.parse().unwrap(),
        version: version.parse().unwrap(),
        created: Some(now()),
        reason: "audit".into(),
    }
}

/// The reason why something was not admitted.
fn refused(result: Result<u64>) -> Vec<(Code, String)> {
    match result {
        Err(Error::NotAdmitted(refusal)) => {
            let pairs = refusal
                .denials()
                .map(|Denial { code, detail }| (*code, detail.clone()));
            pairs.collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pin_is_kept_replaced_and_taken_away() {
    let test = TestSite::new(&[1]);
    let mut site = test.ready(&RealDisk).unwrap();
    let first = pin(Level::Capability, "core/api", "1.1.0");
    let second = pin(Level::Capability, "core/api", "^1.1");
    let whole = pin(Level::Suite, "core", "*");
    for (pin, before) in [
        (&first, None),
        (&whole, None),
        (&second, Some(first.clone())),
    ] {
        assert_eq!(
            pins::add(&mut site, pin.clone(), &context()).unwrap(),
            before
        );
    }
    assert_eq!(test.state().pins, [whole.clone(), second.clone()]);
    let name = "core/api".parse().unwrap();
    let removed = pins::remove(&mut site, Level::Capability, &name, &context()).unwrap();
    assert_eq!(removed, second);
    let error = pins::remove(&mut site, Level::Capability, &name, &context()).unwrap_err();
    assert_eq!(error.kind(), Some(Code::NotPinned));
    drop(site);
    let state = test.state();
    assert_eq!(state.pins, [whole]);
    let actions: Vec<Action> = state.history.iter().map(|event| event.action).collect();
    assert_eq!(
        actions,
        [Action::Pin, Action::Pin, Action::Pin, Action::Unpin]
    );
    assert_eq!(state.history[3].reason, "capability core/api ^1.1 (audit)");
    test.assert_whole();
}

#[test]
fn what_makes_no_sense_is_not_pinned() {
    let test = TestSite::new(&[1]);
    let mut site = test.ready(&RealDisk).unwrap();
    let lines = Pin {
        reason: "two\nlines".into(),
        ..pin(Level::Suite, "core", "1.0.0")
    };
    let long = Pin {
        reason: "x".repeat(501),
        ..pin(Level::Suite, "core", "1.0.0")
    };
    for pin in [lines, long, pin(Level::Platform, "other", "1.0.0")] {
        let error = pins::add(&mut site, pin, &context()).unwrap_err();
        assert_eq!(error.kind(), Some(Code::Usage));
    }
    drop(site);
    test.change(|state| {
        let names = (0..1000).map(|number| format!("s{number:04}"));
        state.pins = names.map(|name| pin(Level::Suite, &name, "*")).collect();
    });
    let mut site = test.ready(&RealDisk).unwrap();
    let error = pins::add(&mut site, pin(Level::Suite, "t", "*"), &context()).unwrap_err();
    assert_eq!(error.kind(), Some(Code::Usage));
    let again = pin(Level::Suite, "s0001", "1.0.0");
    assert!(pins::add(&mut site, again, &context()).unwrap().is_some());
}

#[test]
fn a_pin_survives_the_failure_of_each_of_its_calls() {
    let wanted = || pin(Level::Capability, "core/api", "1.1.0");
    // With a log that was begun: what comes before the first entry is not about pins.
    let site = || {
        let test = TestSite::new(&[1]);
        let site = test.ready(&RealDisk).unwrap();
        site.decided(Entry::new(audit::Action::Attest), &context())
            .unwrap();
        drop(site);
        test
    };
    let test = site();
    let counting = FaultyDisk::new(RealDisk, Fault::Count);
    pins::add(&mut test.ready(&counting).unwrap(), wanted(), &context()).unwrap();
    // The intent, the state and its copy, the outcome, the checkpoint.
    assert_eq!(counting.calls(), 3 + 9 + 3 + 3);
    for call in 1..=counting.calls() {
        let test = site();
        let faulty = FaultyDisk::new(RealDisk, Fault::Fail(call, 5));
        let result = pins::add(&mut test.ready(&faulty).unwrap(), wanted(), &context());
        // The rename is the fourth of the state's; after it the pin is there, whether or not that is durable, and
        // whether or not the log can say so.
        let (code, pins) = match call {
            1..=3 => (Some(Code::AuditUnwritable), Vec::new()),
            4..=7 => (Some(Code::Io), Vec::new()),
            8..=12 => (Some(Code::DurabilityUnknown), vec![wanted()]),
            _ => (None, vec![wanted()]),
        };
        assert_eq!(result.err().and_then(|e| e.kind()), code, "call {call}");
        assert_eq!(test.state().pins, pins, "call {call}");
        test.assert_whole();
        pins::add(&mut test.ready(&RealDisk).unwrap(), wanted(), &context()).unwrap();
        assert_eq!(test.state().pins, [wanted()], "call {call}");
    }
}

#[test]
fn a_state_with_a_pin_twice_is_refused() {
    let test = TestSite::new(&[1]);
    let mut state = test.state();
    state.pins = vec![
        pin(Level::Suite, "core", "1.0.0"),
        pin(Level::Suite, "core", "2.0.0"),
    ];
    let error = State::parse(&state.to_bytes().unwrap(), "s").unwrap_err();
    assert_eq!(error.kind(), Some(Code::StateDamaged));
}

#[test]
fn a_pin_says_what_the_running_release_has() {
    let test = TestSite::new(&[1]);
    let site = Site::open(&test.path()).unwrap();
    let running = generation::running(&site).unwrap().unwrap();
    let pins = [
        pin(Level::Capability, "core/api", "1.1.0"),
        pin(Level::Capability, "core/api", "2.0.0"),
        pin(Level::Capability, "core/apy", "*"),
    ];
    let violated = pins::violated(&running, &pins);
    assert_eq!(
        violated,
        [
            "the capability core/api is pinned to 2.0.0 here (audit), the release has 1.1.0",
            "the capability core/apy is pinned to * here (audit), the release does not have it",
        ]
    );
}

/// A migration with this name; `down` and `compatible` as said.
fn migration(name: &str, down: bool, compatible: bool) -> Migration {
    Migration {
        name: name.into(),
        up: "tree/own".parse().unwrap(),
        down: down.then(|| "tree/own".parse().unwrap()),
        compatible,
    }
}

#[test]
fn nothing_goes_back_over_a_migration_that_nothing_takes_back() {
    // Generation 2 changes data for good, 4 and 5 in ways that can be gone back over.
    let test = TestSite::with(&[1, 2, 4, 5], |number, release| {
        let all = [
            (2, migration("final", false, false)),
            (4, migration("taken-back", true, false)),
            (5, migration("harmless", false, true)),
        ];
        let here = all.into_iter().filter(|(since, _)| *since <= number);
        release.capabilities[0].migrations = here.map(|(_, m)| m).collect();
    });
    let mut site = test.ready(&RealDisk).unwrap();
    let denials = refused(rollback::rollback(&mut site, Some(1), &context()));
    let detail = "migration final of core/api has no way back, it came with 1.2.0";
    assert_eq!(denials, [(Code::NoWayBack, detail.to_owned())]);
    assert_eq!(test.current().as_deref(), Some("generations/5"));
    // The floor and the migration are told together.
    drop(site);
    test.change(|state| state.security_floor = Some(Version::new(1, 2, 0)));
    let mut site = test.ready(&RealDisk).unwrap();
    let denials = refused(rollback::rollback(&mut site, Some(1), &context()));
    let codes: Vec<Code> = denials.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, [Code::BelowSecurityFloor, Code::NoWayBack]);
    // What the target has itself stays as it is, back and forth.
    for target in [2, 5, 4] {
        rollback::rollback(&mut site, Some(target), &context()).unwrap();
    }
    drop(site);
    test.assert_whole();
}

#[test]
fn what_ran_on_another_branch_is_in_nobodys_way() {
    // 2 and 4 both followed 1; 2 changed data, was gone back from, and 4 knows nothing of it.
    let more = |number: u64, release: &mut Release| {
        if number == 2 {
            release.capabilities[0].migrations = vec![migration("m", true, false)];
        }
        if number == 4 {
            release.capabilities[0].migrations = vec![migration("n", false, false)];
        }
    };
    let test = TestSite::with(&[1, 2, 4], more);
    test.change(|state| state.generations[2].before = Some(1));
    let mut site = test.ready(&RealDisk).unwrap();
    for target in [1, 2] {
        let denials = refused(rollback::rollback(&mut site, Some(target), &context()));
        let detail = "migration n of core/api has no way back, it came with 1.4.0";
        assert_eq!(denials, [(Code::NoWayBack, detail.to_owned())]);
    }
    // From 2 it is no way back to 4: what 4 changes is to come.
    drop(site);
    test.change(|state| state.current = Some(2));
    test.point(2);
    let mut site = test.ready(&RealDisk).unwrap();
    assert_eq!(
        rollback::rollback(&mut site, Some(4), &context()).unwrap(),
        4
    );
}

#[test]
fn a_release_that_fails_is_left_whatever_it_changed() {
    // Generation 3 never gets well: the way to it is taken back over its own migration.
    let test = TestSite::with(&[1, 3], |number, release| {
        if number == 3 {
            release.capabilities[0].migrations = vec![migration("final", false, false)];
        }
    });
    test.change(|state| state.current = Some(1));
    test.point(1);
    let mut site = test.ready(&RealDisk).unwrap();
    let error = rollback::rollback(&mut site, Some(3), &context()).unwrap_err();
    assert!(matches!(error, Error::WentBack { .. }), "{error}");
    assert_eq!(test.current().as_deref(), Some("generations/1"));
}

/// Bills of materials and a notice, all with the content [`DOCUMENT`].
fn documented(_: u64, release: &mut Release) {
    let file = FileRef {
        digest: Digest::of(DOCUMENT),
        size: DOCUMENT.len() as u64,
        executable: false,
    };
    release.sbom = [SbomFormat::CycloneDx, SbomFormat::Spdx3]
        .map(|format| Sbom {
            format,
            file: file.clone(),
        })
        .into();
    let artifacts = &mut release.capabilities[0].artifacts;
    for name in ["NOTICE", "licenses/MIT"] {
        artifacts.push(Artifact {
            name: name.parse().unwrap(),
            content: Content::Notice(file.clone()),
        });
    }
    artifacts.sort_by(|a, b| a.name.cmp(&b.name));
}

#[test]
fn bills_of_materials_are_kept_checked_repaired_and_pruned_as_all_else() {
    let test = TestSite::with(&[1, 2, 4], documented);
    test.assert_whole();
    let lies = |number: u64| {
        test.path()
            .join(format!("generations/{number}/sbom/bom.cdx.json"))
    };
    assert_eq!(fs::read(lies(4)).unwrap(), DOCUMENT);
    let store = Store::open(&Dir::open(&test.path()).unwrap()).unwrap();
    let stored = || store.status(Digest::of(DOCUMENT), Form::Plain).unwrap();
    let in_store = stored().unwrap();

    let site = Site::open(&test.path()).unwrap();
    let found = sbom::find(&site, None, None).unwrap();
    assert_eq!((found.generation, found.format), (4, SbomFormat::CycloneDx));
    assert_eq!(found.path, lies(4).canonicalize().unwrap());
    assert_eq!(found.read(&site).unwrap(), DOCUMENT);
    let other = sbom::find(&site, Some(1), Some(SbomFormat::Spdx3)).unwrap();
    assert!(other.path.ends_with("generations/1/sbom/bom.spdx3.json"));
    let error = sbom::find(&site, None, Some(SbomFormat::Spdx2)).unwrap_err();
    assert_eq!(error.kind(), Some(Code::NoSbom));
    let error = sbom::find(&site, Some(3), None).unwrap_err();
    assert_eq!(error.kind(), Some(Code::GenerationUnknown));

    fs::remove_file(lies(4)).unwrap();
    fs::File::create(lies(4)).unwrap();
    let error = found.read(&site).unwrap_err();
    assert_eq!(error.kind(), Some(Code::GenerationDamaged));
    let mut ready = test.ready(&RealDisk).unwrap();
    let report = fsck::fsck(&ready, None, &context()).unwrap();
    let paths: Vec<&str> = report.problems.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(paths, ["generations/4/sbom/bom.cdx.json"]);

    // What it is in stays as long as one generation needs it.
    fs::remove_file(lies(4)).unwrap();
    fs::hard_link(lies(2), lies(4)).unwrap();
    rollback::rollback(&mut ready, Some(2), &context()).unwrap();
    prune::prune(&mut ready, 1, &context()).unwrap();
    drop(ready);
    assert_eq!(stored().unwrap().inode, in_store.inode);
    test.assert_whole();
    test.change(|state| {
        state.current = None;
        state.generations.clear();
    });
    fs::remove_file(test.path().join("current")).unwrap();
    let site = test.ready(&RealDisk).unwrap();
    site.collect_garbage().unwrap();
    assert_eq!(stored(), None);
}

#[test]
fn equal_notices_are_told_once() {
    let test = TestSite::with(&[1], documented);
    let site = Site::open(&test.path()).unwrap();
    let name = "core/api".parse().unwrap();
    let notices = notices::read(&site, None, Some(&name)).unwrap();
    assert_eq!(notices, notices::read(&site, Some(1), None).unwrap());
    assert_eq!(notices.texts.len(), 1);
    assert_eq!(notices.texts[0].path, "files/core/api/NOTICE");
    assert_eq!(
        notices.texts[0].text.as_deref().unwrap().as_bytes(),
        DOCUMENT
    );
    let named = notices.capabilities[0].notices.iter();
    let named: Vec<_> = named.map(|n| (n.name.as_str(), n.text)).collect();
    assert_eq!(named, [("NOTICE", 0), ("licenses/MIT", 0)]);
    let error = notices::read(&site, None, Some(&"core/gone".parse().unwrap())).unwrap_err();
    assert_eq!(error.kind(), Some(Code::CapabilityUnknown));
}

#[test]
fn a_wish_does_not_close_the_way_back() {
    let test = TestSite::new(&[1, 2]);
    let mut site = test.ready(&RealDisk).unwrap();
    let wish = pin(Level::Capability, "core/api", "1.2.0");
    assert!(matches!(wish.version, Wanted::Exact(_)));
    pins::add(&mut site, wish, &context()).unwrap();
    assert_eq!(rollback::rollback(&mut site, None, &context()).unwrap(), 1);
}
