//! What people say of a release at a site: approvals and withdrawals of a request. `sealift-keys approve` and
//! `sealift-installer approve` both make them here.

use std::fmt;

use sealift_verifier::{
    approval::{Approval, FORMAT, Override, Request, Withdrawal},
    digest::Digest,
    dsse::{Envelope, Statement},
    error::printable,
    license::sorted,
    time::Time,
    tuf::{ED25519, threshold::verify_one},
};

use crate::{
    dsse,
    error::{Code, Error, Result},
    key_file::PublicKey,
    root::edit,
    signer::Signer,
};

/// How long an approval counts if nothing else is asked for, in days.
pub const DAYS: i64 = 7;

/// A request as it was read. It is what it says: approvals name it by its digest. Who wrote it is only claimed,
/// unless [`Asked::verify`] was asked.
#[derive(Debug)]
pub struct Asked {
    envelope: Envelope,
    request: Request,
    subject: String,
}

/// What somebody decides on a request.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Until when the approval counts.
    pub expires: Time,
    /// What may be overridden; nothing that was not requested.
    pub overrides: Vec<Override>,
    /// Why, for whoever reads it later; may be empty.
    pub reason: String,
}

impl Asked {
    /// Reads a request; `subject` names it in errors.
    pub fn parse(bytes: &[u8], subject: &str) -> Result<Self> {
        let envelope = Envelope::parse(bytes, subject)?;
        Ok(Self {
            request: envelope.claimed(subject)?,
            envelope,
            subject: subject.to_owned(),
        })
    }

    /// What is requested.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The digest that approvals name it by.
    pub fn digest(&self) -> Digest {
        self.envelope.digest()
    }

    /// The ids of the keys that are said to have signed it.
    pub fn requesters(&self) -> impl Iterator<Item = &str> {
        let signatures = self.envelope.signatures().iter();
        signatures.map(|signature| signature.keyid.as_str())
    }

    /// Refuses a request that `key` has not signed.
    pub fn verify(&self, key: &PublicKey) -> Result<()> {
        let (id, key) = (key.id()?, key.to_tuf());
        let message = self.envelope.message();
        let mut signatures = self.envelope.signatures().iter();
        let signed = signatures.any(|signature| {
            let bytes = signature.bytes().unwrap_or_default();
            signature.keyid == id && verify_one(&key, &message, &bytes, ED25519)
        });
        if signed {
            return Ok(());
        }
        let detail = format!("is not signed by the key {id}");
        Err(Error::new(Code::SignatureInvalid, &self.subject, detail))
    }

    /// The approval of this, issued at `now`, and its envelope, signed by `signer`.
    pub fn approve(
        &self,
        decision: Decision,
        now: Time,
        signer: &dyn Signer,
    ) -> Result<(Approval, Envelope)> {
        edit::check_expiry(decision.expires, now, "approval")?;
        let overrides = sorted(decision.overrides);
        let more = |o: &&Override| !self.request.overrides.contains(o);
        if let Some(more) = overrides.iter().find(more) {
            let detail = format!("to override {more} was not requested");
            return Err(Error::new(
                Code::OverrideNotRequested,
                &self.subject,
                detail,
            ));
        }
        let approval = Approval {
            format: FORMAT,
            request: self.digest(),
            subject: self.request.subject.clone(),
            issued: now,
            expires: decision.expires,
            overrides,
            reason: decision.reason,
        };
        let envelope = dsse::seal(&approval, &[signer], "approval")?;
        Ok((approval, envelope))
    }

    /// The statement that takes an approval of this back, issued at `now` and signed by `signer`.
    pub fn withdraw(&self, reason: String, now: Time, signer: &dyn Signer) -> Result<Envelope> {
        let withdrawal = Withdrawal {
            format: FORMAT,
            request: self.digest(),
            subject: self.request.subject.clone(),
            issued: now,
            reason,
        };
        dsse::seal(&withdrawal, &[signer], "withdrawal")
    }
}

/// Makes a request of what a site's plan says, signed by whoever wants it.
pub fn request(request: &Request, signer: &dyn Signer) -> Result<Envelope> {
    dsse::seal(request, &[signer], Request::TYPE)
}

/// What is requested, for whoever decides; everything in it is escaped.
impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Request {
            subject,
            issued,
            overrides,
            reason,
            summary,
            ..
        } = &self.request;
        writeln!(f, "site         {}", printable(&subject.site))?;
        if let Some(environment) = subject.environment {
            writeln!(f, "environment  {environment}")?;
        }
        writeln!(f, "release      {} {}", subject.product, subject.version)?;
        writeln!(f, "  digest     {}", subject.release)?;
        writeln!(f, "plan         {}", subject.plan)?;
        writeln!(f, "requested    {issued}")?;
        for id in self.requesters() {
            writeln!(f, "  by key     {}", printable(id))?;
        }
        for o in overrides {
            writeln!(f, "OVERRIDES    {o}: {}", meaning(*o))?;
        }
        if !reason.is_empty() {
            writeln!(f, "reason       {}", printable(reason))?;
        }
        for line in summary {
            writeln!(f, "  | {}", printable(line))?;
        }
        writeln!(f, "request      {}", self.digest())
    }
}

fn meaning(what: Override) -> &'static str {
    match what {
        Override::Clock => "something has expired by the clock of the site",
        Override::Frozen => "the channel is frozen",
        Override::Window => "no maintenance window is open",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{key_file::SecretKey, signer::FileSigner};

    const NOW: &str = "2026-03-01T10:00:00Z";

    fn time(text: &str) -> Time {
        text.parse().unwrap()
    }

    fn key() -> (FileSigner, PublicKey) {
        let key = SecretKey::generate().unwrap();
        let public = key.public();
        (FileSigner::from(key), public)
    }

    fn wanted() -> Request {
        serde_json::from_value(serde_json::json!({
            "format": 1,
            "issued": "2026-03-01T09:00:00Z",
            "overrides": ["window"],
            "reason": "the disk \u{202e}is full",
            "subject": {
                "site": "harbour\u{200b}-1", "environment": "prod", "product": "acme", "version": "2.5.0",
                "release": Digest::of(b"release"), "plan": Digest::of(b"plan"),
            },
            "summary": ["core/api 1.1.0 -> 1.2.0"],
        }))
        .unwrap()
    }

    fn decision() -> Decision {
        Decision {
            expires: time("2026-03-08T10:00:00Z"),
            overrides: vec![Override::Window],
            reason: String::new(),
        }
    }

    #[test]
    fn an_approval_names_what_was_requested_and_no_more() {
        let (anna, anna_public) = key();
        let (bert, bert_public) = key();
        let bytes = request(&wanted(), &anna).unwrap().to_bytes();
        let asked = Asked::parse(&bytes, "request").unwrap();
        asked.verify(&anna_public).unwrap();
        let error = asked.verify(&bert_public).unwrap_err();
        assert_eq!(error.kind(), Some(Code::SignatureInvalid));
        let (approval, envelope) = asked.approve(decision(), time(NOW), &bert).unwrap();
        assert_eq!(approval.subject, wanted().subject);
        assert_eq!(approval.request, asked.digest());
        assert_eq!(envelope.claimed::<Approval>("x").unwrap(), approval);
        // An approval is no request, and no withdrawal.
        assert!(Asked::parse(&envelope.to_bytes(), "x").is_err());
        assert!(envelope.claimed::<Withdrawal>("x").is_err());
        let frozen = Decision {
            overrides: vec![Override::Frozen],
            ..decision()
        };
        let error = asked.approve(frozen, time(NOW), &bert).unwrap_err();
        assert_eq!(error.kind(), Some(Code::OverrideNotRequested));
        let past = Decision {
            expires: time(NOW),
            ..decision()
        };
        let error = asked.approve(past, time(NOW), &bert).unwrap_err();
        assert_eq!(error.kind(), Some(Code::ExpiryPast));
        let lines = Decision {
            reason: "one\ntwo".into(),
            ..decision()
        };
        let error = asked.approve(lines, time(NOW), &bert).unwrap_err();
        assert_eq!(error.kind(), Some(Code::StatementInvalid));
    }

    #[test]
    fn what_is_shown_cannot_hide_anything() {
        let (anna, _) = key();
        let bytes = request(&wanted(), &anna).unwrap().to_bytes();
        let shown = Asked::parse(&bytes, "request").unwrap().to_string();
        assert!(shown.contains("harbour\\u{200b}-1"), "{shown}");
        assert!(shown.contains("\\u{202e}"), "{shown}");
        assert!(shown.contains("OVERRIDES    window"), "{shown}");
        assert!(shown.contains(&Digest::of(b"plan").to_hex()), "{shown}");
    }
}
