//! Who may install what, and when: licenses, channels, windows and approvals, through the real programs.

mod clock;
mod forgeries;
mod promotion;
mod regulated;
mod requests;
mod rules;
mod slips;
mod table;
mod watch;

use std::path::{Path, PathBuf};

use sealift_keys::{
    dsse,
    key_file::SecretKey,
    passphrase::{PassphraseSource, Passphrases},
    signer::{FileSigner, Signer},
};
use sealift_tests::{args, program::Outcome, sandbox::Sandbox, site::Site, vendor::Vendor};
use sealift_verifier::{
    approval::{self, Approval, Override, Request, Subject, Withdrawal},
    digest::{Digest, hex},
    dsse::{Envelope, Statement},
    license::{Entitlements, License, Limits},
    time::Time,
};
use serde_json::Value;

fn time(text: &str) -> Time {
    text.parse().unwrap()
}

/// A statement, signed.
fn sign<S: Statement>(statement: &S, signers: &[&FileSigner]) -> Vec<u8> {
    let signers: Vec<&dyn Signer> = signers.iter().map(|s| *s as &dyn Signer).collect();
    let payload = Envelope::of(statement).unwrap().payload().to_vec();
    dsse::sign(S::TYPE, payload, &signers).unwrap().to_bytes()
}

/// One of the vendor's own keys.
fn vendor_key(vendor: &Vendor, name: &str) -> FileSigner {
    let mut none = Passphrases::new(PassphraseSource::Prompt);
    FileSigner::open(&vendor.key(name), &mut none).unwrap()
}

/// Somebody with a key.
struct Person {
    name: &'static str,
    roles: &'static str,
    key: FileSigner,
}

impl Person {
    fn new(name: &'static str, roles: &'static str) -> Self {
        Self {
            name,
            roles,
            key: SecretKey::generate().unwrap().into(),
        }
    }

    /// As a policy lists them.
    fn toml(&self) -> String {
        let Self { name, roles, key } = self;
        let key = hex(&key.public_key());
        format!("[[people]]\nname = \"{name}\"\nroles = [{roles}]\nkeys = [\"{key}\"]\n")
    }
}

/// A key that `sealift-keys` made, and somebody with these roles in the policy.
fn with_key(sandbox: &Sandbox, name: &str, roles: &str) -> (PathBuf, String) {
    let key = sandbox.join(format!("{name}.pem"));
    let keys = sandbox.program("sealift-keys");
    keys.args(args!["generate", key, "--dev"]).run().ok();
    let public = std::fs::read_to_string(sandbox.join(format!("{name}.pub.pem"))).unwrap();
    let toml = format!(
        "[[people]]\nname = \"{name}\"\nroles = [{roles}]\nkeys = [\"\"\"{public}\"\"\"]\n"
    );
    (key, toml)
}

/// One who requests, and two who approve.
fn people() -> [Person; 3] {
    [
        Person::new("ada", "\"operator\", \"approver\""),
        Person::new("bo", "\"approver\""),
        Person::new("cy", "\"approver\", \"operator\""),
    ]
}

/// A license for the product of tests that covers everything.
fn license() -> License {
    License {
        format: sealift_verifier::license::FORMAT,
        id: "L-1".into(),
        customer: "Harbour Hospital".into(),
        product: "test".parse().unwrap(),
        issued: time("2026-01-01T00:00:00Z"),
        valid_from: time("2026-01-01T00:00:00Z"),
        valid_until: None,
        updates_until: None,
        grace_days: 0,
        entitlements: Entitlements {
            suites: vec!["core".parse().unwrap()],
            features: [(
                "reports".to_owned(),
                sealift_verifier::license::Feature::Flag(true),
            )]
            .into(),
            ..Entitlements::default()
        },
        limits: Limits::default(),
        environments: Vec::new(),
        modes: Vec::new(),
        sites: Vec::new(),
    }
}

/// A release whose one capability takes a license.
fn release(vendor: &Vendor, version: &str, counter: u64, fields: &[&str]) -> PathBuf {
    let mut draft = vendor.release(version, counter);
    for field in fields {
        draft = draft.field(field);
    }
    draft
        .capability("core/app", "service")
        .lines("entitlements = [\"reports\"]\n")
        .file("version", version)
        .build()
}

/// What a site says of a release.
struct Decided(Value);

impl Decided {
    /// By `policy check`, at another time if one is given.
    fn of(site: &Site, bundle: &Path, more: &[&str], at: Option<&str>) -> Self {
        let command = site
            .command(args!["--output", "json", "policy", "check", bundle])
            .args(more);
        let outcome = match at {
            Some(at) => command.at(at).run(),
            None => command.run(),
        };
        let code = outcome.code();
        assert!(matches!(code, Some(0 | 3 | 4)), "{outcome}");
        Self(outcome.said().json())
    }

    /// The codes of everything that speaks against it, sorted.
    fn codes(&self) -> Vec<String> {
        let error = &self.0["error"];
        let mut codes: Vec<String> = match error["denials"].as_array() {
            Some(denials) => denials
                .iter()
                .map(|d| d["code"].as_str().unwrap().into())
                .collect(),
            None => error["code"].as_str().map(Into::into).into_iter().collect(),
        };
        codes.sort_unstable();
        codes
    }

    fn detail(&self, rule: &str) -> String {
        let rules = self.0["rules"].as_array().unwrap().iter();
        let of_rule = rules.filter(|ruled| ruled["rule"] == rule);
        let details: Vec<&str> = of_rule
            .map(|ruled| ruled["detail"].as_str().unwrap())
            .collect();
        details.join("\n")
    }

    /// What is approved of it.
    fn subject(&self, version: &str) -> Subject {
        let plan = &self.0["plan"];
        let digest = |value: &Value| value.as_str().unwrap().parse::<Digest>().unwrap();
        Subject {
            site: plan["site"].as_str().unwrap().into(),
            environment: None,
            product: "test".parse().unwrap(),
            version: version.parse().unwrap(),
            release: digest(&plan["release"]),
            plan: digest(&self.0["plan-digest"]),
        }
    }
}

/// A request for what a subject says.
fn request(subject: &Subject, issued: &str) -> Request {
    Request {
        format: approval::FORMAT,
        subject: subject.clone(),
        issued: time(issued),
        overrides: Vec::new(),
        reason: String::new(),
        summary: Vec::new(),
    }
}

/// An answer to a request, for thirty days.
fn approval(request: &Request, overrides: &[Override]) -> Approval {
    let issued = request.issued;
    Approval {
        format: approval::FORMAT,
        request: digest_of(request),
        subject: request.subject.clone(),
        issued,
        expires: Time::from_unix(issued.unix() + 30 * 86400).unwrap(),
        overrides: overrides.to_vec(),
        reason: String::new(),
    }
}

/// The same answer, taken back.
fn withdrawal(approval: &Approval, issued: Time) -> Withdrawal {
    Withdrawal {
        format: approval::FORMAT,
        request: approval.request,
        subject: approval.subject.clone(),
        issued,
        reason: String::new(),
    }
}

fn digest_of(request: &Request) -> Digest {
    Envelope::of(request).unwrap().digest()
}

/// Gives statements to a site.
fn give(site: &Site, sandbox: &Sandbox, command: &str, name: &str, bytes: &[u8]) -> Outcome {
    let file = sandbox.write(format!("statements/{name}.json"), bytes);
    site.installer(args![command, "add", file])
}

/// A site with a policy.
fn site(sandbox: &Sandbox, name: &str, vendor: &Vendor, policy: &str) -> Site {
    let site = Site::with(sandbox, name, &vendor.root(), &[]);
    set_policy(&site, sandbox, name, policy);
    site
}

fn set_policy(site: &Site, sandbox: &Sandbox, name: &str, policy: &str) {
    sandbox.write(
        format!("policies/{name}/policy.toml"),
        format!("format = 1\n{policy}"),
    );
    site.installer(args![
        "policy",
        "set",
        sandbox.join(format!("policies/{name}"))
    ])
    .ok();
}
