//! What people have said of a release at this site: who requested it, who approved it, who took that back, and what
//! of it counts.

use std::collections::{BTreeMap, BTreeSet};

use sealift_verifier::{
    approval::{Approval, Override, Plan, Request, Withdrawal},
    digest::Digest,
    dsse::{Envelope, Statement},
    time::Time,
};

use crate::{
    error::{Code, Error, Result},
    policy::{PersonRole, Rules},
    site::{Ready, Site},
    statements::{self, Kept, Kind},
};

/// What of all that people have said counts for a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Voices {
    /// Who requested it.
    pub requested_by: BTreeSet<String>,
    /// Who approves it.
    pub approved_by: BTreeMap<String, Voice>,
    /// Why other approvals of it count nothing, a sentence each.
    pub void: Vec<String>,
}

/// What one person says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Voice {
    /// What they let be overridden.
    pub overrides: BTreeSet<Override>,
    /// The ids of the keys that they signed with.
    pub keys: BTreeSet<String>,
}

impl Voices {
    /// Those who approve that `what` is overridden.
    pub fn overriding(&self, what: Override) -> Vec<&str> {
        let approving = self.approved_by.iter();
        approving
            .filter(|(_, voice)| voice.overrides.contains(&what))
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// Those who approve it.
    pub fn approving(&self) -> Vec<&str> {
        self.approved_by.keys().map(String::as_str).collect()
    }
}

/// Counts the voices for a plan at `at`: distinct people with the role approver, by whom an approval of this very
/// plan is there that has not expired and was not withdrawn. An approval counts only together with the request that
/// it answers.
pub fn voices(site: &Site, rules: &Rules, plan: &Plan, at: Time) -> Result<Voices> {
    let mut voices = Voices::default();
    let digest = plan.digest()?;
    let requests = requests(site, rules, plan, digest)?;
    voices.requested_by = requests.values().flatten().cloned().collect();
    let withdrawn = withdrawn(site, rules)?;
    let mut found = Vec::new();
    for kept in statements::list(site, Kind::Approval)? {
        let claimed = kept.envelope.claimed::<Approval>("approval");
        // What is about something else needs no reason here.
        if claimed.is_ok_and(|a| a.subject.site == plan.site && a.subject.release == plan.release) {
            found.push(kept);
        }
    }
    for kept in found {
        match judge(&kept, rules, plan, digest, &requests, &withdrawn, at) {
            Ok((signer, overrides)) => {
                let voice = voices.approved_by.entry(signer.name).or_default();
                voice.overrides.extend(overrides);
                voice.keys.insert(signer.key);
            }
            Err(why) => voices.void.push(why),
        }
    }
    if rules.approvals.separation_of_duties {
        for name in &voices.requested_by {
            if voices.approved_by.remove(name).is_some() {
                voices
                    .void
                    .push(format!("{name} requested it, and cannot approve it too"));
            }
        }
    }
    voices.void.sort();
    Ok(voices)
}

/// Who approves what by one approval, or why it counts nothing.
fn judge(
    kept: &Kept,
    rules: &Rules,
    plan: &Plan,
    digest: Digest,
    requests: &BTreeMap<Digest, Vec<String>>,
    withdrawn: &BTreeMap<(Digest, String), Time>,
    at: Time,
) -> Result<(Signer, Vec<Override>), String> {
    let short: String = kept.digest.to_string().chars().take(12).collect();
    let subject = format!("the approval {short}");
    let (approval, signer): (Approval, _) = signed_by(&kept.envelope, rules, PersonRole::Approver)
        .ok_or_else(|| format!("{subject} is not signed by an approver"))?;
    let name = &signer.name;
    let subject = format!("the approval of {name}");
    if approval.subject.plan != digest {
        return Err(format!(
            "{subject} is of another plan: something else runs now, or another policy holds"
        ));
    }
    if approval.subject.release != plan.release || approval.subject.site != plan.site {
        return Err(format!("{subject} is of another release or site"));
    }
    if !requests.contains_key(&approval.request) {
        return Err(format!(
            "{subject} answers a request that is not here: add that too"
        ));
    }
    let longest = approval
        .issued
        .unix()
        .saturating_add(rules.approvals.valid_for.seconds());
    let until = approval.expires.unix().min(longest);
    if at.unix() >= until {
        let until = Time::from_unix(until).map_or_else(|_| "long ago".into(), |t| t.to_string());
        return Err(format!("{subject} expired {until}"));
    }
    let taken_back = withdrawn.get(&(approval.request, name.clone()));
    if let Some(when) = taken_back.filter(|when| **when >= approval.issued) {
        return Err(format!("{subject} was withdrawn {when}"));
    }
    Ok((signer, approval.overrides))
}

/// The requests for a plan by their digests, and who has signed each of them.
fn requests(
    site: &Site,
    rules: &Rules,
    plan: &Plan,
    digest: Digest,
) -> Result<BTreeMap<Digest, Vec<String>>> {
    let mut requests = BTreeMap::new();
    for kept in statements::list(site, Kind::Request)? {
        let Some((request, signer)) =
            signed_by::<Request>(&kept.envelope, rules, PersonRole::Operator)
        else {
            continue;
        };
        let about = &request.subject;
        if about.site == plan.site && about.release == plan.release && about.plan == digest {
            let by: &mut Vec<String> = requests.entry(kept.envelope.digest()).or_default();
            by.push(signer.name);
        }
    }
    Ok(requests)
}

/// When who has withdrawn what they said to which request, the last time.
fn withdrawn(site: &Site, rules: &Rules) -> Result<BTreeMap<(Digest, String), Time>> {
    let mut withdrawn = BTreeMap::new();
    for kept in statements::list(site, Kind::Withdrawal)? {
        // Whoever may have approved may take it back, even after having lost the role.
        let all = [
            PersonRole::Approver,
            PersonRole::Operator,
            PersonRole::Auditor,
        ];
        let signed = all
            .into_iter()
            .find_map(|role| signed_by::<Withdrawal>(&kept.envelope, rules, role));
        if let Some((withdrawal, signer)) = signed {
            let when = withdrawn
                .entry((withdrawal.request, signer.name))
                .or_insert(withdrawal.issued);
            *when = (*when).max(withdrawal.issued);
        }
    }
    Ok(withdrawn)
}

/// Who has signed something.
struct Signer {
    name: String,
    /// The id of the key.
    key: String,
}

/// What an envelope says, and which person with `role` has signed it. The first by name, if several have.
fn signed_by<S: Statement>(
    envelope: &Envelope,
    rules: &Rules,
    role: PersonRole,
) -> Option<(S, Signer)> {
    let (keys, needed) = rules.keys_of(role);
    let (statement, holders) = envelope.open::<S>(&keys, &needed, "statement").ok()?;
    let signers = holders.into_iter().filter_map(|holder| {
        let name = rules.owner(&holder.public)?.name.clone();
        let key = holder.keyid;
        Some(Signer { name, key })
    });
    Some((statement, signers.min_by(|a, b| a.name.cmp(&b.name))?))
}

/// Takes a request, an approval or a withdrawal that one of the site's people has signed and that is about this site.
/// Returns who that is.
pub fn add(site: &mut Ready<'_>, kind: Kind, bytes: &[u8], name: &str) -> Result<String> {
    let rules = site.policy()?.rules;
    let envelope = Envelope::parse(bytes, name)?;
    let refuse = |detail: String| Error::new(Code::ApprovalUnusable, name, detail);
    let signed = match kind {
        Kind::Request => {
            let signed = signed_by::<Request>(&envelope, &rules, PersonRole::Operator);
            signed.map(|(s, who)| (s.subject.site, who))
        }
        Kind::Approval => {
            let signed = signed_by::<Approval>(&envelope, &rules, PersonRole::Approver);
            signed.map(|(s, who)| (s.subject.site, who))
        }
        Kind::Withdrawal => {
            let signed = signed_by::<Withdrawal>(&envelope, &rules, PersonRole::Approver);
            signed.map(|(s, who)| (s.subject.site, who))
        }
        _ => None,
    };
    let (site_id, who) = signed.ok_or_else(|| {
        let kind = kind.name();
        refuse(format!(
            "is no {kind} that one of the people in the site's policy may make"
        ))
    })?;
    let here = &site.state().site;
    if site_id != *here {
        return Err(refuse(format!(
            "is about another site than this one, {here}"
        )));
    }
    statements::keep(site, kind, bytes)?;
    Ok(who.name)
}
