//! Every attack of `fixtures/hostile/`, made with throw-away keys and given to every entry point of the real
//! programs: each has to refuse it with the expected code and without any effect.
//!
//! A folder there says what an attacker does and what has to come of it; the function of the same name here
//! makes the bundle.

mod bytes;
mod container;
mod content;
mod entry;
mod forge;
mod inputs;
#[allow(
    dead_code,
    clippy::cast_possible_truncation,
    clippy::needless_pass_by_value,
    reason = "it is shared with the tests of the verifier, which use all of it and allow the same"
)]
#[path = "../../../verifier/tests/it/maker.rs"]
mod maker;
mod provenance;
mod recovery;
mod signatures;

use std::{collections::BTreeSet, path::PathBuf};

use self::forge::Maker;

/// All attacks by name, in groups that run beside each other.
const GROUPS: [&[(&str, Maker)]; 4] = [
    signatures::ATTACKS,
    container::ATTACKS,
    content::ATTACKS,
    provenance::ATTACKS,
];

/// The attacks that TUF's threat model lists (TUF 1.5.2), adapted to bundles.
const TUF: [&str; 10] = [
    "arbitrary software",
    "rollback",
    "indefinite freeze",
    "endless data",
    "slow retrieval",
    "extraneous dependencies",
    "mix and match",
    "wrong software",
    "malicious mirrors",
    "key compromise",
];

fn fixtures() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/hostile"))
}

#[test]
fn every_folder_has_a_maker_and_every_maker_a_folder() {
    let folders: BTreeSet<String> = std::fs::read_dir(fixtures())
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let makers: Vec<&str> = GROUPS
        .iter()
        .flat_map(|g| g.iter().map(|(n, _)| *n))
        .collect();
    let names: BTreeSet<String> = makers.iter().map(ToString::to_string).collect();
    assert_eq!(names.len(), makers.len(), "a maker has the name of another");
    assert_eq!(folders, names);
}

#[test]
fn each_of_the_ten_attacks_of_tuf_is_there() {
    let names = GROUPS.iter().flat_map(|g| g.iter().map(|(name, _)| *name));
    let found: BTreeSet<String> = names
        .filter_map(|name| entry::Expected::read(name).tuf)
        .collect();
    assert_eq!(found, TUF.map(str::to_owned).into());
}

#[test]
fn what_nobody_attacked_is_accepted_by_every_entry_point() {
    let attack = forge::Attack::from(forge::good());
    let ground = entry::Ground::new();
    let accepted = entry::Expected::accepted();
    assert_eq!(ground.judge("nothing", &attack, &accepted), [""; 0]);
}

#[test]
fn attacks_on_signatures_are_refused_everywhere() {
    refused(signatures::ATTACKS);
}

#[test]
fn attacks_on_the_container_are_refused_everywhere() {
    refused(container::ATTACKS);
}

#[test]
fn attacks_by_content_are_refused_everywhere() {
    refused(content::ATTACKS);
}

#[test]
fn attacks_on_provenance_are_refused_everywhere() {
    refused(provenance::ATTACKS);
}

/// Runs all attacks of a group, so that a failing test tells of each that was not refused as expected.
fn refused(attacks: &[(&str, Maker)]) {
    let ground = entry::Ground::new();
    let wrong: Vec<String> = attacks
        .iter()
        .flat_map(|(name, make)| ground.judge(name, &make(), &entry::Expected::read(name)))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
