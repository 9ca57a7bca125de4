//! The policy of a site: rules with types ([`rules`]) and rules in Rego, as its owner has put them together.
//!
//! A policy is one statement with all of its files ([`sealift_verifier::policy`]). It lies in `policy/` under its
//! digest, and the state names it: the site has the one or the other, never something between.

pub mod rules;
pub mod values;
pub mod windows;

use std::collections::BTreeMap;

use sealift_verifier::{
    digest::Digest,
    dsse::{Envelope, Statement as _},
    policy::{Policy, RULES, TESTS},
    time::Time,
    tuf::Root,
};
use serde::{Deserialize, Serialize};

pub use rules::{Channel, PersonRole, Rules};

use crate::{
    audit::Entry,
    error::{Code, Error, Result},
    rego::Rego,
    site::{Context, POLICY, Ready, Site},
};

/// Length of a policy in bytes, as it is kept.
pub const LIMIT: u64 = 16 << 20;

/// Which policy holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PolicyState {
    /// The digest of its file.
    pub digest: Digest,
    /// Its version.
    pub version: u64,
    /// Whether the customer's policy keys have signed it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signed: bool,
}

/// The policy that holds at a site, read.
#[derive(Debug, Default)]
pub struct SitePolicy {
    /// The rules with types.
    pub rules: Rules,
    /// The files with rules in Rego, by name.
    pub rego: BTreeMap<String, String>,
    /// The digest of its file; nothing where the defaults hold.
    pub digest: Option<Digest>,
    /// The customer's root, where the site has one.
    pub customer: Option<Root>,
}

impl SitePolicy {
    /// Reads the files of a policy.
    pub fn of(policy: Policy, subject: &str) -> Result<Self> {
        let mut rules = None;
        let mut rego = BTreeMap::new();
        for (name, text) in policy.files {
            if name.as_str() == RULES {
                rules = Some(Rules::parse(&text, &format!("{subject}: {RULES}"))?);
            } else if !name.as_str().ends_with(TESTS) {
                rego.insert(name.to_string(), text);
            }
        }
        Ok(Self {
            rules: rules.unwrap_or_default(),
            rego,
            ..Self::default()
        })
    }

    /// Its rules in Rego.
    pub fn rego<'a>(&'a self, ctx: &Context<'a>) -> Rego<'a> {
        Rego {
            program: ctx.program,
            limits: &self.rules.rego,
            files: &self.rego,
        }
    }

    /// Whether its rules in Rego can be read.
    pub fn check(&self, subject: &str, ctx: &Context<'_>) -> Result<()> {
        if self.rego.is_empty() {
            return Ok(());
        }
        let read = self.rego(ctx).check();
        read.map_err(|why| Error::new(Code::PolicyInvalid, subject, why))
    }
}

/// The files of the policy that holds, by name; none where the defaults do.
pub fn files(site: &Site) -> Result<BTreeMap<String, String>> {
    let files = held(site)?.map(|policy| policy.files).unwrap_or_default();
    Ok(files
        .into_iter()
        .map(|(name, text)| (name.to_string(), text))
        .collect())
}

/// The policy that holds at a site. One that cannot be read is an error: nothing may be decided without it.
pub fn load(site: &Site) -> Result<SitePolicy> {
    let read = match held(site)? {
        Some(policy) => SitePolicy::of(policy, POLICY)?,
        None => SitePolicy::default(),
    };
    Ok(SitePolicy {
        digest: site.state().policy.as_ref().map(|policy| policy.digest),
        customer: site.customer_root()?,
        ..read
    })
}

fn held(site: &Site) -> Result<Option<Policy>> {
    let Some(state) = &site.state().policy else {
        return Ok(None);
    };
    let name = file_name(state.digest);
    let subject = site.path(&format!("{POLICY}/{name}")).display().to_string();
    let damaged = |why: String| Error::new(Code::StateDamaged, subject.clone(), why);
    let bytes = site
        .dir()
        .read(format!("{POLICY}/{name}"), LIMIT)
        .map_err(|e| damaged(e.to_string()))?;
    if Digest::of(&bytes) != state.digest {
        return Err(damaged("is not the policy that was set".into()));
    }
    // Its signatures were counted when it was set, and its digest is what it was then.
    let policy = if state.signed {
        Envelope::parse(&bytes, &subject)?.claimed(&subject)
    } else {
        Policy::parse(&bytes, &subject)
    };
    Ok(Some(policy?))
}

/// Where a policy comes from.
pub enum Source {
    /// An envelope that the customer's policy keys have signed.
    Signed(Vec<u8>),
    /// Files as they lie in a folder: only at a site without a root of the customer.
    Unsigned(Policy),
}

/// A policy that may be set.
pub struct Checked {
    bytes: Vec<u8>,
    issued: Time,
    rules: Rules,
    /// The ids of the keys that have signed it.
    keys: Vec<String>,
    state: PolicyState,
}

impl Checked {
    /// What the audit log says of it.
    pub fn say(&self, entry: Entry) -> Entry {
        let PolicyState {
            digest, version, ..
        } = &self.state;
        let keys = self.keys.iter();
        keys.fold(entry, |entry, key| entry.signed(key, "the customer"))
            .because(format!("policy {version} with the digest {digest}"))
    }

    /// What the site would remember of it.
    pub fn state(&self) -> &PolicyState {
        &self.state
    }

    /// What it asks for.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Makes it hold, durably.
    pub fn hold(self, site: &mut Ready<'_>) -> Result<PolicyState> {
        let state = self.state;
        if site.state().policy.as_ref() == Some(&state) {
            return Ok(state);
        }
        let writer = site.writer();
        writer.mkdir(site.dir().at(POLICY))?;
        let dir = site.dir().dir(POLICY)?;
        writer.replace(dir.at(&file_name(state.digest)), &self.bytes)?;
        writer.sync_dir(site.dir())?;
        let mut next = site.state().clone();
        next.policy = Some(state.clone());
        if state.signed {
            next.trust.time = next.trust.time.max(Some(self.issued));
        }
        site.commit(next)?;
        sweep(site)?;
        Ok(state)
    }
}

/// Whether a policy may be set. Refused are those that are not signed as they have to be, that are older than the one
/// that holds, or that cannot be read.
pub fn check(site: &Site, source: Source, name: &str, ctx: &Context<'_>) -> Result<Checked> {
    let customer = site.customer_root()?;
    let refuse = |detail: String| Error::new(Code::PolicyInvalid, name, detail);
    let (policy, bytes, signers) = match (source, &customer) {
        (Source::Signed(bytes), Some(root)) => {
            let roles = root.sealift.as_ref();
            let role = roles
                .and_then(|roles| roles.policy.as_ref())
                .ok_or_else(|| {
                    refuse(format!(
                        "the customer's root {} lists no keys for policies",
                        root.version
                    ))
                })?;
            let (policy, signers) =
                Envelope::parse(&bytes, name)?.open::<Policy>(&root.keys, role, name)?;
            (policy, bytes, Some(signers))
        }
        (Source::Signed(_), None) => {
            let why = "is signed, and this site has no root of the customer to verify it by: see `trust customer`";
            return Err(refuse(why.into()));
        }
        (Source::Unsigned(_), Some(_)) => {
            let why = "is not signed, and this site takes policies that the customer's keys have signed only";
            return Err(refuse(why.into()));
        }
        (Source::Unsigned(policy), None) => {
            policy.check().map_err(&refuse)?;
            let bytes = serde_json::to_vec(&policy).map_err(|e| refuse(e.to_string()))?;
            (policy, bytes, None)
        }
    };
    let state = PolicyState {
        digest: Digest::of(&bytes),
        version: policy.version,
        signed: signers.is_some(),
    };
    if let Some(there) = &site.state().policy
        && there.digest != state.digest
        && there.version >= state.version
    {
        return Err(refuse(format!(
            "has version {}, the policy here has {}: give the new one a higher version",
            state.version, there.version
        )));
    }
    let issued = policy.issued;
    if state.signed {
        // The site learns from it what time it is at least.
        site.state().check_issued(issued, ctx.now).map_err(refuse)?;
    }
    let policy = SitePolicy::of(policy, name)?;
    policy.check(name, ctx)?;
    let signers = signers.into_iter().flatten();
    Ok(Checked {
        bytes,
        issued,
        rules: policy.rules,
        keys: signers.map(|signer| signer.keyid).collect(),
        state,
    })
}

/// Why the policy that holds is not the customer's by the root that is trusted now; nothing if it is, or if there is
/// none of either. It goes on to hold: without it, the site would be without its owner's rules.
pub fn outdated(site: &Site) -> Result<Option<String>> {
    let (Some(state), Some(root)) = (&site.state().policy, site.customer_root()?) else {
        return Ok(None);
    };
    let version = state.version;
    if !state.signed {
        return Ok(Some(format!(
            "policy {version} is not signed, and the site has a root of the customer: set a signed one"
        )));
    }
    let bytes = site
        .dir()
        .read(format!("{POLICY}/{}", file_name(state.digest)), LIMIT)?;
    let role = root
        .sealift
        .as_ref()
        .and_then(|roles| roles.policy.as_ref());
    let counts = role.is_some_and(|role| {
        let envelope = Envelope::parse(&bytes, POLICY);
        envelope.is_ok_and(|e| e.open::<Policy>(&root.keys, role, POLICY).is_ok())
    });
    Ok((!counts).then(|| {
        format!(
            "policy {version} is signed by keys that root {} of the customer does not list: it goes on to hold, set one that is signed anew",
            root.version
        )
    }))
}

/// Removes policies that do not hold.
fn sweep(site: &Ready<'_>) -> Result<()> {
    let dir = site.dir().dir(POLICY)?;
    let holds = site
        .state()
        .policy
        .as_ref()
        .map(|policy| file_name(policy.digest));
    for (name, _) in dir.list()? {
        if holds.as_deref().is_none_or(|holds| *name != *holds) {
            site.writer().remove_file(dir.at(&name))?;
        }
    }
    Ok(())
}

fn file_name(digest: Digest) -> String {
    format!("{digest}.json")
}
