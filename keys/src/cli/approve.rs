//! `approve` and `withdraw`: what people say of a request of a site.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use sealift_verifier::{
    approval::{Override, Request},
    dsse::Envelope,
    limits,
    time::Time,
};
use serde_json::{Value, json};

use super::{
    Ask, Report,
    statements::{self, OneSignerArgs},
};
use crate::{
    approval::{Asked, DAYS, Decision},
    disk,
    error::{Code, Error, Result},
    moment::Moment,
    signer::{self, KeyArgument},
};

/// Approve what a site requests
///
/// Shows the request and asks for a confirmation: approved is exactly this release and this plan at this site, and
/// of what has to be overridden only what --override names. The approval travels back as a small file.
#[derive(Debug, Clone, clap::Args)]
pub struct ApproveArgs {
    /// The request, as `sealift-installer request` makes it
    #[arg(value_name = "REQUEST")]
    request: PathBuf,
    #[command(flatten)]
    signer: OneSignerArgs,
    /// The public key of who requests, a file or pkcs11:…: a request that it has not signed is refused
    #[arg(long, value_name = "KEY.pub.pem|URI")]
    requester: Option<KeyArgument>,
    /// Until when the approval counts, a time or a span such as 3d [default: 7d]
    #[arg(long, value_name = "TIME|SPAN")]
    expires: Option<Moment>,
    /// Let this be overridden, as requested: window, frozen or clock; may be given several times
    #[arg(long = "override", value_name = "WHAT")]
    overrides: Vec<Override>,
    /// Why, for whoever reads it later
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    reason: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Where the approval goes; a file that is there already is never touched
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: PathBuf,
}

/// Take back what you have approved
#[derive(Debug, Clone, clap::Args)]
pub struct WithdrawArgs {
    /// The request that was approved
    #[arg(value_name = "REQUEST")]
    request: PathBuf,
    #[command(flatten)]
    signer: OneSignerArgs,
    /// Why, for whoever reads it later
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    reason: String,
    /// Where the withdrawal goes; a file that is there already is never touched
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: PathBuf,
}

fn read(path: &Path) -> Result<Asked> {
    let bytes = disk::read(path, limits::ENVELOPE_BYTES)?;
    Asked::parse(&bytes, &path.display().to_string())
}

impl ApproveArgs {
    /// Shows the request, asks whoever sits there, unless told not to, and writes the approval.
    pub fn run(self, now: Time, ask: Option<Ask<'_>>) -> Result<Report> {
        let asked = read(&self.request)?;
        if let Some(key) = &self.requester {
            asked.verify(&signer::read_public(key)?)?;
        }
        let expires = match self.expires {
            Some(moment) => moment.from(now, "--expires")?,
            None => days_later(now, DAYS)?,
        };
        let mut shown = asked.to_string();
        if self.requester.is_none() {
            shown.push_str("  who requested it is not verified; whatever it says, approved is this very request\n");
        }
        let _ = writeln!(shown, "approved until {expires}");
        for what in &self.overrides {
            let _ = writeln!(shown, "approved, too: to override {what}");
        }
        if !self.yes {
            confirm(&shown, asked.request(), ask)?;
        }
        let (signer, mut notes) = self.signer.open()?;
        let keyid = signer::public_key(signer.as_ref())?.id()?;
        notes.extend(doubts(&asked, &self.overrides, &keyid, now));
        let decision = Decision {
            expires,
            overrides: self.overrides,
            reason: self.reason,
        };
        let (approval, envelope) = asked.approve(decision, now, signer.as_ref())?;
        disk::publish(&self.out, &envelope.to_bytes())?;
        Ok(Report {
            text: format!(
                "{shown}key id       {keyid}\napproval     {}\n",
                self.out.display()
            ),
            json: json!({
                "approval": statements::to_json(&approval)?,
                "request-verified": self.requester.is_some(),
                "requested-by": asked.requesters().collect::<Vec<_>>(),
                "keyid": keyid,
                "file": self.out,
            }),
            notes,
        })
    }
}

/// What the approver should know, and a site may refuse.
fn doubts(asked: &Asked, overrides: &[Override], keyid: &str, now: Time) -> Vec<String> {
    let mut notes = Vec::new();
    let request = asked.request();
    for left in request.overrides.iter().filter(|o| !overrides.contains(o)) {
        notes.push(format!(
            "the request needs to override {left}, and this approval does not let it: --override {left}"
        ));
    }
    if asked.requesters().any(|id| id == keyid) {
        notes.push(
            "this key requested it, too: a site that separates duties does not count it".into(),
        );
    }
    if request.issued > now {
        notes.push(format!(
            "it was requested {}, and by this machine's clock it is {now}",
            request.issued
        ));
    }
    notes
}

fn confirm(shown: &str, request: &Request, ask: Option<Ask<'_>>) -> Result<()> {
    let Some(ask) = ask else {
        let why = "nobody sits at a terminal to be asked, and --yes is missing";
        return Err(Error::new(Code::ConfirmationMissing, "approve", why));
    };
    // More than a `y`: whoever types the version has looked at what is approved.
    let version = request.subject.version.to_string();
    let question = format!("{shown}Type the version, {version}, to approve it: ");
    let answer = ask(&question).map_err(|e| Error::io(Path::new("the terminal"), e))?;
    if answer.trim() == version {
        return Ok(());
    }
    Err(Error::new(Code::Declined, "approve", "was not confirmed"))
}

fn days_later(now: Time, days: i64) -> Result<Time> {
    let seconds = days.saturating_mul(24 * 60 * 60);
    Ok(Time::from_unix(now.unix().saturating_add(seconds))?)
}

impl WithdrawArgs {
    /// Writes the withdrawal.
    pub fn run(self, now: Time) -> Result<Report> {
        let asked = read(&self.request)?;
        let (signer, notes) = self.signer.open()?;
        let envelope = asked.withdraw(self.reason, now, signer.as_ref())?;
        disk::publish(&self.out, &envelope.to_bytes())?;
        let keyid = signer::public_key(signer.as_ref())?.id()?;
        Ok(Report {
            text: format!(
                "{asked}key id       {keyid}\nwithdrawal   {}\n",
                self.out.display()
            ),
            json: withdrawn(&asked, &envelope, &self.out)?,
            notes,
        })
    }
}

fn withdrawn(asked: &Asked, envelope: &Envelope, out: &Path) -> Result<Value> {
    Ok(json!({
        "request": asked.digest(),
        "subject": statements::to_json(&asked.request().subject)?,
        "keyids": statements::key_ids(envelope),
        "file": out,
    }))
}
