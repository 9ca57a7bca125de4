//! What people have said of a release at this site: who requested it, who approved it, who took that back, and what
//! of it counts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use sealift_verifier::{
    approval::{Approval, Override, Request, Subject, Withdrawal},
    digest::Digest,
    dsse::{Envelope, Statement},
    time::Time,
};

use crate::{
    audit::Entry,
    error::{Code, Error, Result},
    policy::{
        PersonRole, Rules,
        rules::{self, Person},
    },
    site::{Context, Ready, Site},
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
pub fn voices(site: &Site, rules: &Rules, subject: &Subject, at: &At) -> Result<Voices> {
    let mut voices = Voices::default();
    let requests = requests(site, rules, subject)?;
    let requesters = requests.values().flat_map(|asked| &asked.by);
    voices.requested_by = requesters.cloned().collect();
    let withdrawn = withdrawn(site, rules)?;
    let mut found = Vec::new();
    for kept in statements::list(site, Kind::Approval)? {
        let claimed = kept.envelope.claimed::<Approval>("approval");
        // What is about something else needs no reason here.
        let about =
            |a: Approval| a.subject.site == subject.site && a.subject.release == subject.release;
        if claimed.is_ok_and(about) {
            found.push(kept);
        }
    }
    for kept in found {
        match judge(&kept, rules, subject, &requests, &withdrawn, at) {
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
    voices.void.dedup();
    Ok(voices)
}

/// Who approves what by one approval, or why it counts nothing.
fn judge(
    kept: &Kept,
    rules: &Rules,
    here: &Subject,
    requests: &BTreeMap<Digest, Requested>,
    withdrawn: &BTreeMap<(Digest, String), Time>,
    at: &At,
) -> Result<(Signer, BTreeSet<Override>), String> {
    let short: String = kept.digest.to_string().chars().take(12).collect();
    let subject = format!("the approval {short}");
    let (approval, signer): (Approval, _) = signed_by(&kept.envelope, rules, PersonRole::Approver)
        .ok_or_else(|| format!("{subject} is not signed by an approver"))?;
    let name = &signer.name;
    let subject = format!("the approval of {name}");
    if approval.subject.plan != here.plan {
        return Err(format!(
            "{subject} is of another plan: something else ran then, or another policy held"
        ));
    }
    if approval.subject != *here {
        return Err(format!(
            "{subject} says another release, version, product, environment or site"
        ));
    }
    let Some(requested) = requests.get(&approval.request) else {
        return Err(format!(
            "{subject} answers a request that is not here: add that too"
        ));
    };
    let longest = approval
        .issued
        .unix()
        .saturating_add(rules.approvals.valid_for.seconds());
    let until = approval.expires.unix().min(longest);
    // To say that the clock is wrong, an approval cannot be judged by that clock.
    let now = if approval.overrides.contains(&Override::Clock) {
        at.signed
    } else {
        at.clock
    };
    if now.unix() >= until {
        let until = Time::from_unix(until).map_or_else(|_| "long ago".into(), |t| t.to_string());
        return Err(format!("{subject} expired {until}"));
    }
    // Whichever says a later time: two machines have two clocks.
    if let Some(when) = withdrawn.get(&(approval.request, name.clone())) {
        return Err(format!(
            "{subject} was withdrawn {when}: it takes another request"
        ));
    }
    // An approval lets only what was requested (docs/statements.md).
    let overrides = approval.overrides.into_iter();
    let overrides = overrides.filter(|what| requested.overrides.contains(what));
    Ok((signer, overrides.collect()))
}

/// The points in time that approvals are judged by.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// By what is signed alone.
    pub signed: Time,
    /// By the local clock, as far as the site goes by it.
    pub clock: Time,
}

/// A request that counts.
#[derive(Debug, Default)]
struct Requested {
    /// Everybody who has signed it.
    by: BTreeSet<String>,
    overrides: Vec<Override>,
}

/// The requests that say the same of a plan as the site, by their digests.
fn requests(site: &Site, rules: &Rules, subject: &Subject) -> Result<BTreeMap<Digest, Requested>> {
    let mut requests: BTreeMap<Digest, Requested> = BTreeMap::new();
    let (everybody, any) = rules::keys(rules.people.iter().flat_map(|person| &person.keys));
    for kept in statements::list(site, Kind::Request)? {
        let operator = signed_by::<Request>(&kept.envelope, rules, PersonRole::Operator);
        let Some((request, _)) = operator.filter(|(request, _)| request.subject == *subject) else {
            continue;
        };
        // Whoever signs it with an operator requests it as well, whatever their role.
        let signed = kept.envelope.open::<Request>(&everybody, &any, "request");
        let holders = signed.map(|(_, holders)| holders).unwrap_or_default();
        let names = holders
            .iter()
            .filter_map(|holder| rules.owner(&holder.public));
        let requested = requests.entry(kept.envelope.digest()).or_default();
        requested.by.extend(names.map(|person| person.name.clone()));
        requested.overrides = request.overrides;
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

/// A request, an approval or a withdrawal that may be taken.
pub struct Checked {
    kind: Kind,
    /// The person who has signed it.
    pub by: String,
    key: String,
    subject: Subject,
    /// What else it says, for people.
    detail: String,
}

impl Checked {
    /// What the audit log says of it.
    pub fn say(&self, entry: Entry) -> Entry {
        let mut entry = entry
            .release(&self.subject.version, self.subject.release)
            .signed(&self.key, &self.by)
            .because(&self.detail);
        entry.plan = Some(self.subject.plan);
        entry
    }

    /// Takes it.
    pub fn keep(self, site: &Ready<'_>, bytes: &[u8]) -> Result<String> {
        statements::keep(site, self.kind, bytes)?;
        Ok(self.by)
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Subject {
            product, version, ..
        } = &self.subject;
        write!(f, "by {}, of {product} {version}, {}", self.by, self.detail)
    }
}

/// Whether a request, an approval or a withdrawal may be taken: one of the site's people has signed it, and it is about
/// this site.
pub fn check(
    site: &Site,
    kind: Kind,
    bytes: &[u8],
    name: &str,
    ctx: &Context<'_>,
) -> Result<Checked> {
    let rules = site.policy()?.rules;
    let envelope = Envelope::parse(bytes, name)?;
    let refuse = |detail: String| Error::new(Code::ApprovalUnusable, name, detail);
    let listed = |overrides: &[Override]| match overrides {
        [] => String::new(),
        all => {
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            format!(", overriding {}", all.join(" and "))
        }
    };
    let with = |reason: &str| match reason {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    let signed = match kind {
        Kind::Request => {
            let signed = signed_by::<Request>(&envelope, &rules, PersonRole::Operator);
            signed.map(|(s, who)| {
                let what = format!("request {}{}", envelope.digest(), listed(&s.overrides));
                (s.subject, s.issued, who, what + &with(&s.reason))
            })
        }
        Kind::Approval => {
            let signed = signed_by::<Approval>(&envelope, &rules, PersonRole::Approver);
            signed.map(|(s, who)| {
                let what = format!(
                    "until {}, of request {}{}",
                    s.expires,
                    s.request,
                    listed(&s.overrides)
                );
                (s.subject, s.issued, who, what + &with(&s.reason))
            })
        }
        Kind::Withdrawal => {
            let signed = signed_by::<Withdrawal>(&envelope, &rules, PersonRole::Approver);
            signed.map(|(s, who)| {
                let what = format!("of request {}", s.request);
                (s.subject, s.issued, who, what + &with(&s.reason))
            })
        }
        _ => None,
    };
    let (subject, issued, by, detail) = signed.ok_or_else(|| {
        let role = match kind {
            Kind::Request => PersonRole::Operator,
            _ => PersonRole::Approver,
        };
        refuse(format!(
            "is no {} by one of the {}s in the site's policy: {}",
            kind.name(),
            role.name(),
            signers(&envelope, &rules)
        ))
    })?;
    let here = &site.state().site;
    if subject.site != *here {
        return Err(refuse(format!(
            "is about another site than this one, {here}"
        )));
    }
    site.state().check_issued(issued, ctx.now).map_err(refuse)?;
    Ok(Checked {
        kind,
        by: by.name,
        key: by.key,
        subject,
        detail,
    })
}

/// Whose keys an envelope names, for people; whether they have signed it is another question.
fn signers(envelope: &Envelope, policy: &Rules) -> String {
    let named = envelope.signatures().iter().map(|signature| {
        let of = policy.people.iter().find(|person| {
            let (keys, _) = rules::keys(person.keys.iter());
            keys.contains_key(&signature.keyid)
        });
        let roles = |person: &Person| {
            let roles: Vec<_> = person.roles.iter().map(|role| role.name()).collect();
            roles.join(" and ")
        };
        match of {
            Some(person) => format!("{} is {}", person.name, roles(person)),
            None => format!("the key {} is nobody's", signature.keyid),
        }
    });
    named.collect::<Vec<_>>().join(", ")
}
