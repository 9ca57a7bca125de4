//! After an attack that succeeded, because a key was stolen: the way back, and what the thief cannot spoil.

use sealift_tests::{sandbox::Sandbox, site::Site};

use super::{
    forge::{Attack, NEXT, first, good, sample},
    maker::{Parts, RELEASE, Roles, root, root_of, sign},
};

/// The release key that replaces the stolen one.
const NEW_RELEASE: u8 = 12;

/// A site that runs an honest release.
fn site(sandbox: &Sandbox) -> Site {
    let attack = Attack::from(good());
    let root = sandbox.write("root.json", attack.trusted());
    let site = Site::with(sandbox, "site", &root, &["--clock", "ignore"]);
    site.apply(&sandbox.write("prior.bundle", attack.prior()))
        .ok();
    site
}

/// A release under these roots, signed by this key.
fn release(roots: Vec<Vec<u8>>, key: u8, counter: u64, published: &str) -> Vec<u8> {
    let mut sample = sample();
    sample.release.published = published.parse().unwrap();
    let members = sample.members_by(key);
    let roles = Roles::new(counter, &members);
    Parts::with(roots, &roles, &[key], members).bytes()
}

fn replaced() -> Vec<u8> {
    sign(&root_of(2, &[1, 2, 3], 2, NEW_RELEASE), &[1, 2])
}

#[test]
fn a_new_root_forgets_how_far_a_thief_counted() {
    let sandbox = Sandbox::new();
    let site = site(&sandbox);
    // As far as numbers go, and as far into the future as the root allows.
    let theft = release(vec![first()], RELEASE, 1 << 60, "2031-02-28T23:59:59Z");
    site.apply(&sandbox.write("theft.bundle", theft)).ok();

    // Under the same root, nothing honest comes through any more.
    let honest = release(vec![first()], RELEASE, NEXT, "2026-04-01T00:00:00Z");
    site.apply(&sandbox.write("honest.bundle", honest)).exits(4);

    // With a new root it does, and the thief's key signs for nothing.
    let roots = vec![first(), replaced()];
    let theft = release(roots.clone(), RELEASE, NEXT + 1, "2026-04-01T00:00:00Z");
    site.apply(&sandbox.write("again.bundle", theft))
        .fails_with("key-unknown");
    let honest = release(roots, NEW_RELEASE, NEXT, "2026-04-02T00:00:00Z");
    site.apply(&sandbox.write("rescue.bundle", honest)).ok();
    assert_eq!(site.status()["current"]["counter"], NEXT);
    site.is_sound();
}

#[test]
fn a_new_root_that_keeps_the_release_key_forgets_nothing() {
    let sandbox = Sandbox::new();
    let site = site(&sandbox);
    let next = release(vec![first()], RELEASE, NEXT + 1, "2026-04-01T00:00:00Z");
    site.apply(&sandbox.write("next.bundle", next)).ok();
    let roots = vec![first(), sign(&root(2), &[1, 2])];
    let older = release(roots, RELEASE, NEXT, "2026-04-01T00:00:00Z");
    site.apply(&sandbox.write("older.bundle", older))
        .fails_with("counter-too-low");
}

#[test]
fn a_release_that_was_taken_back_leaves_the_counter_as_it_was() {
    let sandbox = Sandbox::new();
    let site = site(&sandbox);
    let state = site.listing().without("lock").without("audit");
    let theft = release(vec![first()], 66, 1 << 60, "2026-04-01T00:00:00Z");
    site.apply(&sandbox.write("theft.bundle", theft))
        .fails_with("key-unknown");
    assert_eq!(
        state.differences(&site.listing().without("lock").without("audit")),
        [""; 0]
    );
}
