//! Changes to what a root says, as pure functions, and the rules that each root has to keep.

use std::collections::{BTreeMap, BTreeSet};

use sealift_verifier::{
    digest::Digest,
    error::printable,
    time::Time,
    tuf::{RevokedRelease, Role, RoleName, Root, SealiftRoles},
};

use super::role::KeyRole;
use crate::{
    error::{Code, Error, Result},
    key_file::PublicKey,
};

/// Characters of the reason that a release is revoked for.
const REASON: usize = 500;

/// The keys and thresholds of a first root.
#[derive(Debug, Clone)]
pub struct FirstRoot<'a> {
    /// Keys for roots, and how many of them have to sign.
    pub root: (&'a [PublicKey], u64),
    /// Keys for releases, and how many of them have to sign.
    pub release: (&'a [PublicKey], u64),
    /// Keys for licenses, and how many of them have to sign; there may be none.
    pub license: (&'a [PublicKey], u64),
    /// Keys for the policies of sites, and how many of them have to sign; only customers have such.
    pub policy: (&'a [PublicKey], u64),
    /// Whether these are throw-away keys of a developer.
    pub development: bool,
    /// Until when sites accept what this root entitles.
    pub expires: Time,
}

/// Version 1 of a root. The rules of [`check`] hold for it.
pub fn first(plan: &FirstRoot<'_>) -> Result<Root> {
    let mut root = Root {
        version: 1,
        expires: plan.expires,
        // Names in a bundle carry no versions or digests.
        consistent_snapshot: false,
        keys: BTreeMap::new(),
        roles: RoleName::ALL
            .iter()
            .map(|role| {
                (
                    role.name().to_owned(),
                    Role {
                        keyids: Vec::new(),
                        threshold: 1,
                    },
                )
            })
            .collect(),
        sealift: Some(SealiftRoles {
            development: plan.development,
            ..SealiftRoles::default()
        }),
    };
    for (role, (keys, threshold)) in [
        (KeyRole::Root, plan.root),
        (KeyRole::Release, plan.release),
        (KeyRole::License, plan.license),
        (KeyRole::Policy, plan.policy),
    ] {
        // What TUF has a role for needs keys, whatever was asked for.
        if keys.is_empty() && matches!(role, KeyRole::License | KeyRole::Policy) {
            continue;
        }
        for key in keys {
            add_key(&mut root, role, *key)?;
        }
        set_threshold(&mut root, role, threshold)?;
    }
    check(&root, "root")?;
    Ok(root)
}

/// What follows `root`: the same, one version up.
pub fn next(root: &Root) -> Result<Root> {
    let version = root
        .version
        .checked_add(1)
        .ok_or_else(|| Error::new(Code::Usage, "root", "has the last version there is"))?;
    Ok(Root {
        version,
        ..root.clone()
    })
}

/// Lists one more key for a role. Its threshold stays.
pub fn add_key(root: &mut Root, role: KeyRole, key: PublicKey) -> Result<()> {
    let id = key.id()?;
    let subject = format!("key {id}");
    for other in KeyRole::ALL {
        if other.lists(root, &id) {
            let (code, again) = if other == role {
                (Code::KeyInRole, " already")
            } else {
                (Code::KeyInTwoRoles, "")
            };
            return Err(Error::new(
                code,
                subject,
                format!("is in the role {other}{again}"),
            ));
        }
    }
    for entry in role.entries_mut(root) {
        entry.keyids.push(id.clone());
        entry.keyids.sort();
    }
    root.keys.insert(id, key.to_tuf());
    Ok(())
}

/// Removes the key whose id is, or begins with, `keyid` from a role; returns its whole id. Refused are
/// ids that fit several keys, and a removal that leaves fewer keys than the threshold asks for.
pub fn remove_key(root: &mut Root, role: KeyRole, keyid: &str) -> Result<String> {
    let listed: BTreeSet<&String> = role
        .entries(root)
        .iter()
        .flat_map(|entry| &entry.keyids)
        .collect();
    let fitting: Vec<String> = listed
        .into_iter()
        .filter(|id| id.starts_with(keyid))
        .cloned()
        .collect();
    let id = match fitting.as_slice() {
        [id] => id.clone(),
        [] => {
            return Err(Error::new(
                Code::KeyNotInRole,
                format!("key {keyid}"),
                format!("is not in the role {role}"),
            ));
        }
        _ => {
            return Err(Error::new(
                Code::Usage,
                format!("key {keyid}"),
                "fits several keys: write more of it",
            ));
        }
    };
    for entry in role.entries_mut(root) {
        entry.keyids.retain(|listed| *listed != id);
    }
    check(root, &format!("root {}", root.version))?;
    if !KeyRole::ALL.iter().any(|role| role.lists(root, &id)) {
        root.keys.remove(&id);
    }
    Ok(id)
}

/// Sets how many keys of a role have to sign.
pub fn set_threshold(root: &mut Root, role: KeyRole, threshold: u64) -> Result<()> {
    for entry in role.entries_mut(root) {
        entry.threshold = threshold;
    }
    check_role(root, role, &format!("root {}", root.version))
}

/// Lists a release as one that must not be installed any more; `reason` is one line for people.
pub fn revoke(root: &mut Root, release: Digest, reason: &str) -> Result<()> {
    let revoked = &mut root.sealift.get_or_insert_default().revoked;
    match revoked.binary_search_by_key(&release, |revoked| revoked.release) {
        Ok(_) => {
            let subject = format!("release {release}");
            Err(Error::new(
                Code::ReleaseRevoked,
                subject,
                "is revoked already",
            ))
        }
        Err(at) => {
            let reason = reason.to_owned();
            revoked.insert(at, RevokedRelease { release, reason });
            check_reasons(root, "--reason")
        }
    }
}

/// Takes back that a release is revoked.
pub fn unrevoke(root: &mut Root, release: Digest) -> Result<()> {
    let revoked = &mut root.sealift.get_or_insert_default().revoked;
    let Ok(at) = revoked.binary_search_by_key(&release, |revoked| revoked.release) else {
        let subject = format!("release {release}");
        return Err(Error::new(
            Code::ReleaseNotRevoked,
            subject,
            "is not revoked",
        ));
    };
    revoked.remove(at);
    Ok(())
}

/// The releases that a root revokes, with the reasons.
fn revoked(root: &Root) -> BTreeMap<Digest, &str> {
    let revoked = root.sealift.iter().flat_map(|sealift| &sealift.revoked);
    revoked
        .map(|revoked| (revoked.release, revoked.reason.as_str()))
        .collect()
}

/// Reasons are lines for people: neither empty nor able to hide something from who signs.
fn check_reasons(root: &Root, subject: &str) -> Result<()> {
    let bad = |reason: &&str| {
        reason.trim().is_empty() || reason.chars().count() > REASON || printable(reason) != **reason
    };
    if revoked(root).into_values().any(|reason| bad(&reason)) {
        let detail = format!("is not one visible line of at most {REASON} characters");
        return Err(Error::new(Code::StatementInvalid, subject, detail));
    }
    Ok(())
}

/// Refuses a root whose thresholds cannot be met, that has one key in two roles, or that revokes a release for a
/// reason that is no line of text.
pub fn check(root: &Root, subject: &str) -> Result<()> {
    let mut roles: BTreeMap<&String, KeyRole> = BTreeMap::new();
    for role in KeyRole::ALL {
        check_role(root, role, subject)?;
        for id in role.entries(root).iter().flat_map(|entry| &entry.keyids) {
            let first = *roles.entry(id).or_insert(role);
            if first != role {
                return Err(Error::new(
                    Code::KeyInTwoRoles,
                    subject,
                    format!("has the key {id} in the roles {first} and {role}"),
                ));
            }
        }
    }
    check_reasons(root, subject)?;
    for (id, key) in &root.keys {
        if key.id()? != *id {
            return Err(Error::new(
                Code::KeyInvalid,
                subject,
                format!("lists a key under the wrong id {id}"),
            ));
        }
    }
    Ok(())
}

fn check_role(root: &Root, role: KeyRole, subject: &str) -> Result<()> {
    for entry in role.entries(root) {
        // Ids are digests of the keys, so distinct ids are distinct keys.
        let keys: BTreeSet<_> = entry
            .keyids
            .iter()
            .filter(|id| root.keys.contains_key(*id))
            .collect();
        if entry.threshold == 0 || entry.threshold > keys.len() as u64 {
            return Err(Error::new(
                Code::ThresholdUnreachable,
                subject,
                format!(
                    "asks for {} signatures of {} keys in the role {role}",
                    entry.threshold,
                    keys.len()
                ),
            ));
        }
    }
    Ok(())
}

/// Refuses an expiry that is past at `now`.
pub fn check_expiry(expires: Time, now: Time, subject: &str) -> Result<()> {
    if expires > now {
        return Ok(());
    }
    Err(Error::new(
        Code::ExpiryPast,
        subject,
        format!("expires on {expires}, and it is {now}"),
    ))
}

/// What changes from one root to the next, one line each, for the people who are to sign it.
pub fn changes(old: &Root, new: &Root) -> Vec<String> {
    let mut lines = Vec::new();
    for role in KeyRole::ALL {
        let ids = |root| -> BTreeSet<String> {
            let entries = role.entries(root);
            entries
                .iter()
                .flat_map(|entry| entry.keyids.iter().cloned())
                .collect()
        };
        let threshold = |root| {
            role.entries(root)
                .first()
                .map_or(0, |entry| entry.threshold)
        };
        let (before, after) = (ids(old), ids(new));
        lines.extend(
            after
                .difference(&before)
                .map(|id| format!("add the {role} key {id}")),
        );
        lines.extend(
            before
                .difference(&after)
                .map(|id| format!("remove the {role} key {id}")),
        );
        if threshold(old) != threshold(new) {
            lines.push(format!(
                "change the threshold of the role {role} from {} to {}",
                threshold(old),
                threshold(new)
            ));
        }
    }
    lines.extend(revocations(old, new));
    if old.expires != new.expires {
        lines.push(format!(
            "change the expiry from {} to {}",
            old.expires, new.expires
        ));
    }
    if old.is_development() != new.is_development() {
        lines.push(format!("set `development` to {}", new.is_development()));
    }
    if old.consistent_snapshot != new.consistent_snapshot {
        lines.push(format!(
            "set `consistent_snapshot` to {}",
            new.consistent_snapshot
        ));
    }
    lines
}

fn revocations(old: &Root, new: &Root) -> Vec<String> {
    let (before, after) = (revoked(old), revoked(new));
    let added = after.iter().filter_map(|(release, reason)| {
        let reason = printable(reason);
        match before.get(release) {
            None => Some(format!("revoke the release {release}: {reason}")),
            Some(was) if printable(was) != reason => Some(format!(
                "change the reason to revoke the release {release} to: {reason}"
            )),
            Some(_) => None,
        }
    });
    let gone = before
        .keys()
        .filter(|release| !after.contains_key(*release));
    let gone = gone.map(|release| format!("no longer revoke the release {release}"));
    added.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_file::SecretKey;

    fn keys(count: usize) -> Vec<PublicKey> {
        (0..count)
            .map(|_| SecretKey::generate().unwrap().public())
            .collect()
    }

    fn time(text: &str) -> Time {
        text.parse().unwrap()
    }

    fn root() -> Root {
        first(&FirstRoot {
            root: (&keys(3), 2),
            release: (&keys(1), 1),
            license: (&keys(1), 1),
            policy: (&[], 1),
            development: false,
            expires: time("2036-01-01T00:00:00Z"),
        })
        .unwrap()
    }

    fn code(result: Result<impl Sized>) -> Option<Code> {
        result.err().unwrap().kind()
    }

    #[test]
    fn the_first_root_lists_every_key_in_its_role() {
        let root = root();
        assert_eq!(root.keys.len(), 5);
        assert_eq!(root.role(RoleName::Root).unwrap().threshold, 2);
        for role in [RoleName::Targets, RoleName::Snapshot, RoleName::Timestamp] {
            assert_eq!(
                root.role(role).unwrap(),
                root.role(RoleName::Targets).unwrap()
            );
        }
        assert_eq!(
            root.sealift
                .as_ref()
                .unwrap()
                .license
                .as_ref()
                .unwrap()
                .keyids
                .len(),
            1
        );
    }

    #[test]
    fn thresholds_stay_reachable() {
        let mut root = root();
        for (role, threshold) in [
            (KeyRole::Root, 0),
            (KeyRole::Root, 4),
            (KeyRole::Release, 2),
            (KeyRole::License, 0),
        ] {
            assert_eq!(
                code(set_threshold(&mut root.clone(), role, threshold)),
                Some(Code::ThresholdUnreachable)
            );
        }
        set_threshold(&mut root, KeyRole::Root, 3).unwrap();
        let id = root.role(RoleName::Root).unwrap().keyids[0].clone();
        assert_eq!(
            code(remove_key(&mut root.clone(), KeyRole::Root, &id)),
            Some(Code::ThresholdUnreachable)
        );
        set_threshold(&mut root, KeyRole::Root, 2).unwrap();
        assert_eq!(remove_key(&mut root, KeyRole::Root, &id[..8]).unwrap(), id);
        assert!(!root.keys.contains_key(&id));
        assert_eq!(
            code(remove_key(&mut root, KeyRole::Root, &id)),
            Some(Code::KeyNotInRole)
        );
        assert_eq!(
            code(remove_key(&mut root, KeyRole::Root, "")),
            Some(Code::Usage)
        );
    }

    #[test]
    fn a_key_serves_one_role_once() {
        let (mut root, key) = (root(), keys(1)[0]);
        add_key(&mut root, KeyRole::Release, key).unwrap();
        assert_eq!(
            code(add_key(&mut root, KeyRole::Release, key)),
            Some(Code::KeyInRole)
        );
        assert_eq!(
            code(add_key(&mut root, KeyRole::License, key)),
            Some(Code::KeyInTwoRoles)
        );
        let id = key.id().unwrap();
        root.sealift
            .as_mut()
            .unwrap()
            .license
            .as_mut()
            .unwrap()
            .keyids
            .push(id);
        assert_eq!(code(check(&root, "root")), Some(Code::KeyInTwoRoles));
    }

    #[test]
    fn changes_are_told() {
        let old = root();
        let mut new = next(&old).unwrap();
        assert_eq!(changes(&old, &new), Vec::<String>::new());
        let key = keys(1)[0];
        add_key(&mut new, KeyRole::License, key).unwrap();
        set_threshold(&mut new, KeyRole::License, 2).unwrap();
        new.expires = time("2037-01-01T00:00:00Z");
        assert_eq!(
            changes(&old, &new),
            [
                format!("add the license key {}", key.id().unwrap()),
                "change the threshold of the role license from 1 to 2".into(),
                "change the expiry from 2036-01-01T00:00:00Z to 2037-01-01T00:00:00Z".into(),
            ]
        );
    }

    #[test]
    fn revocations_are_told_and_can_be_taken_back() {
        let old = root();
        let mut new = next(&old).unwrap();
        let [one, two] = [b"one", b"two"].map(|text| Digest::of(text));
        revoke(&mut new, one, "loses data").unwrap();
        revoke(&mut new, two, "CVE-2026-1234").unwrap();
        let revoked = &new.sealift.as_ref().unwrap().revoked;
        assert!(revoked.is_sorted_by(|a, b| a.release < b.release));
        assert_eq!(
            code(revoke(&mut new, one, "again")),
            Some(Code::ReleaseRevoked)
        );
        let mut told = vec![
            format!("revoke the release {one}: loses data"),
            format!("revoke the release {two}: CVE-2026-1234"),
        ];
        told.sort();
        assert_eq!(changes(&old, &new), told);
        let mut newer = next(&new).unwrap();
        unrevoke(&mut newer, one).unwrap();
        assert_eq!(
            code(unrevoke(&mut newer, one)),
            Some(Code::ReleaseNotRevoked)
        );
        newer.sealift.as_mut().unwrap().revoked[0].reason = "other".into();
        assert_eq!(
            changes(&new, &newer),
            [
                format!("change the reason to revoke the release {two} to: other"),
                format!("no longer revoke the release {one}"),
            ]
        );
    }

    #[test]
    fn a_reason_is_a_line_that_can_be_seen() {
        for reason in [
            "",
            " ",
            "one\ntwo",
            "\u{1b}[2J",
            "a\u{202e}b",
            &"x".repeat(REASON + 1),
        ] {
            let mut root = root();
            let refused = revoke(&mut root, Digest::of(b"one"), reason);
            assert_eq!(code(refused), Some(Code::StatementInvalid), "{reason:?}");
            assert_eq!(code(check(&root, "root")), Some(Code::StatementInvalid));
        }
    }
}
