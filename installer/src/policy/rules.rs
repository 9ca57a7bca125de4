//! `policy.toml`: the rules of a site that have types.

use std::collections::{BTreeMap, BTreeSet};

use sealift_verifier::{
    approval::Override,
    digest::Digest,
    license::Environment,
    release::Severity,
    tuf::{Key, Role},
};
use serde::Deserialize;

use super::{
    values::{Period, PublicKey},
    windows::Maintenance,
};
use crate::error::{Code, Error, Result};

/// The version of the rules that this program reads.
pub const FORMAT: u32 = 1;

/// The rules of a site. What is not there has the default that each field names; a site without a policy has all
/// of these.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rules {
    /// Always [`FORMAT`].
    pub format: u32,
    /// What the deployment is.
    #[serde(default)]
    pub deployment: Deployment,
    /// What is done about critical corrections.
    #[serde(default)]
    pub critical: Critical,
    /// When something may be installed.
    #[serde(default)]
    pub maintenance: Maintenance,
    /// How many people have to agree.
    #[serde(default)]
    pub approvals: Approvals,
    /// What is otherwise for releases that correct something this bad.
    #[serde(default)]
    pub severity: BTreeMap<Severity, BySeverity>,
    /// Who may request and approve.
    #[serde(default)]
    pub people: Vec<Person>,
    /// Whose capabilities may be installed.
    #[serde(default)]
    pub vendors: Vendors,
    /// How many signatures a release needs, beyond what the roots ask for.
    #[serde(default)]
    pub signatures: Signatures,
    /// Regulated mode.
    #[serde(default)]
    pub regulated: Regulated,
    /// What other sites have to have said of a release.
    #[serde(default)]
    pub promotion: Vec<Promotion>,
    /// The sites whose word counts.
    #[serde(default)]
    pub sites: Vec<Peer>,
    /// What rules in Rego may use up.
    #[serde(default)]
    pub rego: RegoLimits,
    /// How long the audit log is kept.
    #[serde(default)]
    pub audit: Audit,
}

/// The unit that history, configuration and policy belong to.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Deployment {
    /// What it is for.
    pub environment: Option<Environment>,
    /// How updates come in; `manual` by default.
    #[serde(default)]
    pub channel: Channel,
    /// How many machines it has: what a license limits.
    pub nodes: Option<u64>,
}

/// How updates come in (ID-1 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// What is admitted is installed without a question.
    Auto,
    /// Somebody installs it, with the approvals that it takes.
    #[default]
    Manual,
    /// Nothing is installed.
    Frozen,
}

impl Channel {
    /// As policies write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Manual => "manual",
            Self::Frozen => "frozen",
        }
    }
}

/// What is done about releases of severity critical, whatever the channel (ID-1 4.3).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Critical {
    /// How long after it was first seen such a release is not yet forced; not at all by default.
    #[serde(default)]
    pub delay: Period,
}

/// How many people have to agree.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Approvals {
    /// Distinct people who have to approve in the channel `manual`; nobody by default.
    pub required: usize,
    /// How long an approval counts at most, whatever it says itself; 30 days by default.
    pub valid_for: Period,
    /// Whether somebody who requested something may not approve it; so by default.
    pub separation_of_duties: bool,
    /// Distinct people who have to approve that something is overridden.
    pub overrides: Overrides,
}

impl Default for Approvals {
    fn default() -> Self {
        Self {
            required: 0,
            valid_for: Period::days(30),
            separation_of_duties: true,
            overrides: Overrides::default(),
        }
    }
}

/// Distinct people who have to approve that something is overridden. What is not there cannot be.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Overrides {
    /// That something has expired, if only by the local clock.
    pub clock: Option<usize>,
    /// That the channel is frozen.
    pub frozen: Option<usize>,
    /// That no window is open.
    pub window: Option<usize>,
}

impl Overrides {
    /// How many people one of them takes.
    pub fn needed(&self, what: Override) -> Option<usize> {
        match what {
            Override::Clock => self.clock,
            Override::Frozen => self.frozen,
            Override::Window => self.window,
        }
    }
}

/// What is otherwise for releases of a severity.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BySeverity {
    /// Approvals that are required in the channel `manual`, in the place of `approvals.required`.
    pub approvals: Option<usize>,
    /// Whether it may be installed at any time.
    #[serde(default)]
    pub any_time: bool,
}

/// Somebody with keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Person {
    /// A name, each once.
    pub name: String,
    /// What they may do.
    pub roles: BTreeSet<PersonRole>,
    /// Their keys. Several keys of one person are one voice.
    pub keys: Vec<PublicKey>,
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PersonRole {
    /// Requests that something is installed.
    Operator,
    /// Approves it.
    Approver,
    /// Reads what happened, and approves nothing.
    Auditor,
}

impl PersonRole {
    /// As policies write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Auditor => "auditor",
        }
    }
}

/// Whose capabilities may be installed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Vendors {
    /// The names of vendors, as capabilities state them; everybody's by default.
    pub allowed: Option<BTreeSet<String>>,
}

/// How many signatures a release needs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Signatures {
    /// Distinct release keys of the vendor.
    pub vendor: usize,
    /// Whether the customer's own release keys have to have signed too, as many as the customer's root asks for.
    pub customer: bool,
}

/// Regulated mode (Deployment Strategy, "Regulated Deployment Considerations"): each capability states an allowed
/// vendor, and the configuration is one that was reviewed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Regulated {
    /// Whether it is on.
    pub enabled: bool,
    /// The configuration digests that were reviewed; `plan` shows that of a release.
    pub configurations: BTreeSet<Digest>,
}

/// What other sites have to have said of a release.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Promotion {
    /// In which environment it has to have run.
    pub environment: Environment,
    /// At how many sites.
    #[serde(default = "one")]
    pub sites: usize,
    /// How old their word may be.
    #[serde(default = "month")]
    pub max_age: Period,
    /// How long it has to have run there.
    #[serde(default)]
    pub min_duration: Period,
    /// What has to have been checked there, beside what was.
    #[serde(default)]
    pub checks: BTreeSet<String>,
    /// Whether they have to have had a way back; so by default.
    #[serde(default = "yes")]
    pub rollback_ready: bool,
}

/// A site whose word counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Peer {
    /// Its id, as its `status` shows it.
    pub id: String,
    /// A name for people.
    pub name: String,
    /// What its deployment is for.
    pub environment: Environment,
    /// Its public key, as its `status` shows it.
    pub key: PublicKey,
}

/// What rules in Rego may use up.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RegoLimits {
    /// Seconds of processor time; 5 by default.
    pub seconds: u64,
    /// Mebibytes of memory; 256 by default.
    pub memory_mib: u64,
}

impl Default for RegoLimits {
    fn default() -> Self {
        Self {
            seconds: 5,
            memory_mib: 256,
        }
    }
}

/// How long the audit log is kept.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Audit {
    /// Entries older than this may be cut off; none by default.
    pub keep: Option<Period>,
}

impl Rules {
    /// Reads rules; `subject` names them in errors.
    pub fn parse(text: &str, subject: &str) -> Result<Self> {
        let bad = |detail: String| Error::new(Code::PolicyInvalid, subject, detail);
        // What toml says has several lines, the last of which says what is wrong.
        let rules: Self = toml::from_str(text).map_err(|e| bad(tell(text, &e)))?;
        if rules.format != FORMAT {
            let detail = format!("has format {}, this program reads {FORMAT}", rules.format);
            return Err(bad(detail));
        }
        let problems = rules.problems();
        if problems.is_empty() {
            return Ok(rules);
        }
        Err(bad(problems.join("; also, ")))
    }

    /// Everything that does not hold together, a sentence each.
    fn problems(&self) -> Vec<String> {
        let mut problems = self.maintenance.problems();
        let mut names = BTreeSet::new();
        let mut keys = BTreeMap::new();
        for person in &self.people {
            if person.name.is_empty() || person.name.chars().any(char::is_control) {
                problems.push(format!("{:?} is no name of a person", person.name));
            }
            if !names.insert(&person.name) {
                problems.push(format!("{} is there twice", person.name));
            }
            for key in &person.keys {
                if let Some(other) = keys.insert(key, &person.name) {
                    let name = &person.name;
                    problems.push(format!("{other} and {name} have one key, {key}"));
                }
            }
        }
        let mut ids = BTreeSet::new();
        for site in &self.sites {
            if !ids.insert(&site.id) {
                problems.push(format!("the site {} is there twice", site.id));
            }
            if let Some(other) = keys.insert(&site.key, &site.name) {
                problems.push(format!("{other} and {} have one key", site.name));
            }
        }
        problems.extend(self.unreachable());
        if self.regulated.enabled && self.vendors.allowed.is_none() {
            let why = "regulated mode takes approved vendors only, and vendors.allowed does not say who they are";
            problems.push(why.into());
        }
        let critical = self.severity.get(&Severity::Critical);
        if critical.is_some_and(|by| by.approvals.is_some_and(|needed| needed > 0)) {
            let why = "severity.critical.approvals has no effect: what is critical is forced, and takes no approvals";
            problems.push(why.into());
        }
        for promotion in &self.promotion {
            let environment = promotion.environment;
            let known = self
                .sites
                .iter()
                .filter(|s| s.environment == environment)
                .count();
            if promotion.sites == 0 || promotion.sites > known {
                problems.push(format!(
                    "promotion from {environment} needs the word of {} sites, {known} are listed",
                    promotion.sites
                ));
            }
        }
        if self.regulated.enabled && self.vendors.allowed.is_none() {
            problems.push("regulated mode needs vendors.allowed".into());
        }
        if self.rego.seconds == 0 || self.rego.memory_mib < 16 {
            problems.push("rego needs at least 1 second and 16 MiB".into());
        }
        problems
    }

    /// Numbers of approvals that can never be reached.
    fn unreachable(&self) -> Vec<String> {
        let approvers = |p: &&Person| p.roles.contains(&PersonRole::Approver) && !p.keys.is_empty();
        let there = self.people.iter().filter(approvers).count();
        let overrides = Override::ALL.into_iter().filter_map(|what| {
            let needed = self.approvals.overrides.needed(what)?;
            Some((format!("approvals.overrides.{what}"), needed))
        });
        let severities = self.severity.iter().filter_map(|(severity, by)| {
            Some((format!("severity.{severity}.approvals"), by.approvals?))
        });
        let mut unreachable: Vec<String> =
            [("approvals.required".to_owned(), self.approvals.required)]
                .into_iter()
                .chain(overrides.clone())
                .chain(severities)
                .filter(|(_, needed)| *needed > there)
                .map(|(what, needed)| {
                    format!("{what} is {needed}, and there are {there} approvers with keys")
                })
                .collect();
        unreachable.extend(
            overrides
                .filter(|(_, needed)| *needed == 0)
                .map(|(what, _)| format!("{what} is 0: an override takes at least one person")),
        );
        unreachable
    }

    /// The keys of everybody with any of `roles`, as signatures are counted by, and a role of all of them.
    pub fn keys_of(&self, role: PersonRole) -> (BTreeMap<String, Key>, Role) {
        let people = self.people.iter().filter(|p| p.roles.contains(&role));
        keys(people.flat_map(|person| &person.keys))
    }

    /// Whose key it is, by its 64 digits.
    pub fn owner(&self, public: &str) -> Option<&Person> {
        let has = |person: &&Person| person.keys.iter().any(|key| key.to_string() == public);
        self.people.iter().find(has)
    }
}

/// Public keys, and a role that any one of them meets.
pub fn keys<'a>(public: impl Iterator<Item = &'a PublicKey>) -> (BTreeMap<String, Key>, Role) {
    let keys: BTreeMap<String, Key> = public
        .map(PublicKey::to_tuf)
        .filter_map(|key| Some((key.id().ok()?, key)))
        .collect();
    let role = Role {
        keyids: keys.keys().cloned().collect(),
        threshold: 1,
    };
    (keys, role)
}

/// What is wrong, with the place in front: `3:7: unknown field`.
fn tell(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().trim_end();
    let Some(span) = error.span() else {
        return message.to_owned();
    };
    let before = text.get(..span.start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    format!("{line}:{column}: {message}")
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

fn month() -> Period {
    Period::days(30)
}
