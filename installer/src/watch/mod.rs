//! Serves the channel `auto`: bundles that appear in a folder are looked at, and the newest one that may be installed
//! is, without a question. In the other channels only what is critical comes in by itself, after the delay that the
//! policy allows (ID-1 4.2, 4.3); everything else is left to an operator.
//!
//! What came out of a look is remembered until the file, the site or the time gives a reason for another one. The
//! site is only locked while something is installed or recorded.

mod inbox;
mod memory;

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sealift_verifier::{
    Code as VerifierCode, bundle::Authentic, digest::Digest, error::Failure as _, time::Time,
};
use semver::Version;
use serde::Serialize;

use crate::{
    admit,
    apply::{self, Applied},
    audit::{Action, Entry},
    disk::Disk,
    error::{Code, Error, Result},
    plan::{self, Plan, PlanDenial},
    policy::{Channel, Rules, windows::Standing},
    site::{Context, Locked, Ready, STATEMENTS, Site},
    state::{self, Outcome},
    statements::Kind,
};
use inbox::{Found, Identity};
use memory::Memory;

pub use memory::FILE;

/// After this time everything is looked at again: licenses begin and end, and space becomes free.
const AGAIN: Duration = Duration::from_hours(1);
/// How long a file has to stay as it is before it is looked at.
pub const SETTLED: Duration = Duration::from_secs(1);
/// Seconds after which the time that a release has waited is written down.
const NOTED: i64 = 600;
/// Marks a file whose content turned out to be damaged while it was installed.
const DAMAGED: &str = "damaged";
/// How often an installation is begun that nobody lives to end.
const TRIES: u32 = 3;

/// Something that was seen or done, as it is told. The JSON form is stable: fields are added, never renamed or removed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// When, by the local clock.
    pub time: Time,
    /// What it is.
    pub event: What,
    /// The folder or file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// The version of the release, once it is known to be authentic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Its release digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Digest>,
    /// The generation that it became.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Until when it waits at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Whether it came in although the channel takes nothing by itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
    /// The code of what went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// Everything that speaks against it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denials: Vec<PlanDenial>,
    /// For people.
    pub detail: String,
}

/// What an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A folder is not there or cannot be read.
    Missing,
    /// A folder has more files than are looked at.
    TooMany,
    /// A bundle that ends too early: most likely it is still being copied.
    Incomplete,
    /// A file that cannot be read.
    Unreadable,
    /// A bundle that may not be installed.
    Refused,
    /// A release that waits for its time.
    Waiting,
    /// A release that only an operator installs.
    Left,
    /// A release that runs, ran or failed already, or is older than what runs.
    Known,
    /// A release was installed.
    Applied,
    /// A release failed, and what ran before runs again.
    WentBack,
    /// An installation failed before anything was activated.
    Failed,
    /// The site itself cannot be worked with.
    Trouble,
    /// The program ends, because it was told to.
    Stopped,
}

impl Event {
    /// That the program ends, because it was told to.
    pub fn stopped(now: Time) -> Self {
        event(now, What::Stopped, "", "told to end")
    }
}

impl What {
    /// The name that it has in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::TooMany => "too-many",
            Self::Incomplete => "incomplete",
            Self::Unreadable => "unreadable",
            Self::Refused => "refused",
            Self::Waiting => "waiting",
            Self::Left => "left",
            Self::Known => "known",
            Self::Applied => "applied",
            Self::WentBack => "went-back",
            Self::Failed => "failed",
            Self::Trouble => "trouble",
            Self::Stopped => "stopped",
        }
    }
}

/// Hears what is seen and done.
pub type Tell<'a> = &'a mut dyn FnMut(Event);

/// What a round works with.
pub struct Place<'a> {
    /// The state folder.
    pub state: &'a Path,
    /// What changes the file system.
    pub disk: &'a dyn Disk,
    /// The circumstances, with the time of this round.
    pub ctx: &'a Context<'a>,
}

impl<'a> Place<'a> {
    fn lock(&self) -> Result<Ready<'a>> {
        let locked = Locked::take(self.state, self.disk, "watch", self.ctx.now)?;
        Ok(locked.recover(self.ctx)?.0)
    }
}

/// Folders that are watched for a site.
pub struct Watch {
    folders: Vec<PathBuf>,
    files: HashMap<PathBuf, Known>,
    memory: Memory,
    saved: Memory,
    /// When the last round was, by a clock that nobody sets.
    last: Option<Instant>,
    /// What of folders and of the site was told, so that it is told once.
    told: HashMap<PathBuf, What>,
    trouble: Option<String>,
    /// The first installation that failed.
    failure: Option<Error>,
}

/// What is known of a file.
struct Known {
    identity: Identity,
    /// Since when it is as it is.
    since: Instant,
    /// When its installation failed.
    failed: Option<Instant>,
    /// When it was looked at, and what the site was then.
    looked: Option<(Instant, Digest)>,
    /// What was told of it.
    told: String,
}

/// What came out of a look at a file.
struct Look {
    event: Event,
    /// Stands for all that would be told again if it changed.
    told: String,
    then: Then,
}

/// What follows from a look.
enum Then {
    /// Nothing before something changes.
    Nothing,
    /// Another look in the next round.
    Again,
    /// A refusal that belongs in the audit log.
    Record(Box<(Entry, Error)>),
    /// It may be installed.
    Install(Offer),
}

/// A release that may be installed.
struct Offer {
    counter: u64,
    release: Digest,
    version: Version,
    forced: bool,
}

impl Watch {
    /// Watches folders; nothing is done yet.
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self {
            folders,
            files: HashMap::new(),
            memory: Memory::default(),
            saved: Memory::default(),
            last: None,
            told: HashMap::new(),
            trouble: None,
            failure: None,
        }
    }

    /// Sees what is there, so that the next round knows what is still being written.
    pub fn glance(&mut self, now: Time, tell: Tell<'_>) {
        self.list(now, tell);
    }

    /// The first installation that failed, if one did.
    pub fn into_failure(self) -> Option<Error> {
        self.failure
    }

    /// Looks at everything that there is a reason to look at, and installs the newest release that may be. Says whether
    /// there was one: then another round finds what follows it. What keeps the site from being worked with is an error;
    /// the next round may do better.
    pub fn round(&mut self, place: &Place<'_>, tell: Tell<'_>) -> Result<bool> {
        let result = self.try_round(place, tell);
        let trouble = result.as_ref().err().map(ToString::to_string);
        if let Err(e) = &result
            && trouble != self.trouble
        {
            tell(Event {
                code: Some(e.code()),
                ..event(place.ctx.now, What::Trouble, "", &e.to_string())
            });
        }
        self.trouble = trouble;
        result
    }

    fn try_round(&mut self, place: &Place<'_>, tell: Tell<'_>) -> Result<bool> {
        if Site::open(place.state)?.interrupted()?.is_some() {
            drop(place.lock()?);
        }
        let site = Site::open(place.state)?;
        self.remember(&site, place.ctx);
        let rules = site.policy()?.rules;
        let world = fingerprint(&site, &rules, place.ctx.now)?;
        let mut best: Option<(Found, Offer)> = None;
        let mut refused = Vec::new();
        for file in self.list(place.ctx.now, tell) {
            if !self.is_due(&file, world) {
                continue;
            }
            let look = self.look(&site, &rules, &file, place.ctx)?;
            match look.then {
                Then::Install(offer) => {
                    if best.as_ref().is_none_or(|(_, b)| offer.counter > b.counter) {
                        best = Some((file, offer));
                    }
                    continue;
                }
                Then::Record(refusal) => {
                    // Told when nothing else comes in any more: what is refused now may follow what does.
                    refused.push((file, look.event, look.told, *refusal));
                    continue;
                }
                Then::Again => self.looked(&file, None),
                Then::Nothing => self.looked(&file, Some(world)),
            }
            self.tell_once(&file, look.event, look.told, tell);
        }
        if let Some((file, offer)) = best {
            self.install(&file, &offer, place, tell)?;
            return Ok(true);
        }
        self.record(refused, world, place, tell)?;
        self.note(place, NOTED)?;
        Ok(false)
    }

    /// Writes down what would be lost with this program.
    pub fn finish(&mut self, place: &Place<'_>) -> Result<()> {
        if self.last.is_some() {
            self.remember(&Site::open(place.state)?, place.ctx);
        }
        self.note(place, 1)
    }

    /// Lets the time since the last round pass.
    fn remember(&mut self, site: &Site, ctx: &Context<'_>) {
        let last = self.last.replace(Instant::now());
        if last.is_none() {
            self.memory = Memory::load(site.dir()).unwrap_or_else(|e| {
                // A critical release must not stay outside because of it.
                let note = format!("{e}; delays begin again, and refusals are told again");
                ctx.progress.note(&note);
                Memory::default()
            });
            self.saved = self.memory.clone();
        }
        let ran = last.map_or(0, |last| last.elapsed().as_secs());
        let ran = i64::try_from(ran).unwrap_or(i64::MAX);
        self.memory.pass(ctx.now, ran);
    }

    /// Saves the memory if it has changed by more than `seconds` of time.
    fn note(&mut self, place: &Place<'_>, seconds: i64) -> Result<()> {
        if self.memory.differs(&self.saved, seconds) {
            self.save(&place.lock()?)?;
        }
        Ok(())
    }

    fn save(&mut self, site: &Ready<'_>) -> Result<()> {
        self.memory.save(site)?;
        self.saved = self.memory.clone();
        Ok(())
    }

    /// The files that have not changed since they were last listed.
    fn list(&mut self, now: Time, tell: Tell<'_>) -> Vec<Found> {
        let mut all = Vec::new();
        let mut paths = HashSet::new();
        for folder in self.folders.clone() {
            let said = match inbox::list(&folder) {
                Ok((found, more)) => {
                    all.extend(found);
                    more.then(|| {
                        let detail = format!("only {} bundles are looked at", inbox::BUNDLES);
                        (What::TooMany, detail)
                    })
                }
                Err(e) => Some((What::Missing, e.to_string())),
            };
            let before = match &said {
                Some((what, _)) => self.told.insert(folder.clone(), *what),
                None => self.told.remove(&folder),
            };
            if let Some((what, detail)) = said.filter(|(what, _)| before != Some(*what)) {
                tell(event(now, what, &folder.display().to_string(), &detail));
            }
        }
        all.retain(|file| paths.insert(file.path.clone()));
        // What went with its medium is new when it comes back.
        self.files.retain(|path, _| paths.contains(path));
        all.retain(|file| {
            let known = self.files.get(&file.path);
            if let Some(known) = known.filter(|known| known.identity == file.identity) {
                return known.since.elapsed() >= SETTLED;
            }
            let known = Known {
                identity: file.identity,
                since: Instant::now(),
                failed: None,
                looked: None,
                told: String::new(),
            };
            self.files.insert(file.path.clone(), known);
            false
        });
        all
    }

    fn is_due(&self, file: &Found, world: Digest) -> bool {
        let Some(known) = self.files.get(&file.path) else {
            return true;
        };
        let over = |when: Instant| when.elapsed() >= AGAIN;
        let looked = known.looked;
        known.failed.is_none_or(over)
            && looked.is_none_or(|(when, then)| then != world || over(when))
    }

    fn looked(&mut self, file: &Found, world: Option<Digest>) {
        if let Some(known) = self.files.get_mut(&file.path) {
            known.looked = world.map(|world| (Instant::now(), world));
        }
    }

    fn tell_once(&mut self, file: &Found, event: Event, told: String, tell: Tell<'_>) {
        if let Some(known) = self.files.get_mut(&file.path)
            && known.told != told
        {
            known.told = told;
            tell(event);
        }
    }

    /// What is to become of a file. An error is one of the site, not of the file.
    fn look(
        &mut self,
        site: &Site,
        rules: &Rules,
        file: &Found,
        ctx: &Context<'_>,
    ) -> Result<Look> {
        let say = |what, detail: &str| event(ctx.now, what, &file.name, detail);
        if self.memory.was_told(file.exact_mark(DAMAGED)) {
            let why = "was begun, and has content that is not what was signed";
            return Ok(Look::new(say(What::Known, why), Then::Nothing));
        }
        let opened = match file.open() {
            Ok(Some(opened)) => opened,
            Ok(None) => return Ok(Look::new(say(What::Incomplete, "changes"), Then::Again)),
            Err(e) => {
                return Ok(Look::new(
                    say(What::Unreadable, &e.to_string()),
                    Then::Again,
                ));
            }
        };
        let judged = admit::verify(site, opened, &file.name, ctx)
            .and_then(|authentic| self.judge(site, rules, &authentic, file, ctx));
        let Err(Error::Verifier(e)) = judged else {
            return judged;
        };
        let (code, text) = (e.kind(), e.to_string());
        Ok(if code == VerifierCode::Truncated {
            Look::new(say(What::Incomplete, &text), Then::Nothing)
        } else if code.is_not_authentic() {
            let entry = Entry::new(Action::Apply).about(&file.name);
            Look::refused(say(What::Refused, ""), entry, e.into())
        } else {
            Look::new(say(What::Unreadable, &text), Then::Again)
        })
    }

    /// What is to become of an authentic release.
    fn judge(
        &mut self,
        site: &Site,
        rules: &Rules,
        authentic: &Authentic,
        file: &Found,
        ctx: &Context<'_>,
    ) -> Result<Look> {
        let release = authentic.release_digest();
        let say = |what, detail: &str| Event {
            version: Some(authentic.release().version.clone()),
            release: Some(release),
            ..event(ctx.now, what, &file.name, detail)
        };
        let known = if admit::is_current(site, authentic) {
            Some("runs already".to_owned())
        } else {
            self.not_again(site, release)
        };
        if let Some(why) = known {
            return Ok(Look::new(say(What::Known, &why), Then::Nothing));
        }
        let plan = plan::of(site, authentic, ctx)?;
        let denied = |code: Code| plan.denials.iter().any(|d| d.code == code.name());
        if denied(Code::CounterTooLow) && !denied(Code::ProductMismatch) {
            let why = "is older than what was installed here already";
            return Ok(Look::new(say(What::Known, why), Then::Nothing));
        }
        let forced = plan.decision.forced;
        if !by_itself(&plan) {
            let why = format!(
                "the channel is {}: an operator installs it with `apply`",
                plan.decision.channel.name()
            );
            return Ok(Look::new(say(What::Left, &why), Then::Nothing));
        }
        if forced && let Some((until, why)) = self.delayed(rules, release, ctx) {
            let event = Event {
                until,
                ..say(What::Waiting, &why)
            };
            return Ok(Look::new(event, Then::Again));
        }
        let Some(refusal) = plan.refusal() else {
            let event = say(What::Applied, "");
            return Ok(Look::new(event, Then::Install(Offer::of(plan))));
        };
        if plan.denials.len() == 1 && denied(Code::OutsideWindow) {
            let until = match rules.maintenance.standing(ctx.now, !forced) {
                Standing::Closed { next, .. } => next,
                _ => None,
            };
            let why = plan.denials.first().map_or("", |denial| &denial.message);
            let event = Event {
                until,
                ..say(What::Waiting, why)
            };
            return Ok(Look::new(event, Then::Nothing));
        }
        let entry = Entry::new(Action::Apply)
            .about(&file.name)
            .release(&plan.version, release)
            .moves(site.state().current, plan.generation)
            .decided(&plan.decision);
        let event = Event {
            forced,
            denials: plan.denials,
            ..say(What::Refused, "")
        };
        Ok(Look::refused(event, entry, refusal))
    }

    /// Until when a critical release is not forced yet, and why.
    fn delayed(
        &mut self,
        rules: &Rules,
        release: Digest,
        ctx: &Context<'_>,
    ) -> Option<(Option<Time>, String)> {
        let delay = rules.critical.delay;
        if delay.seconds() == 0 {
            return None;
        }
        let seen = self.memory.seen(release, ctx.now);
        let left = delay.seconds().saturating_sub(seen.waited);
        let until = Time::from_unix(ctx.now.unix().saturating_add(left)).ok();
        (left > 0).then(|| {
            let first = seen.first;
            let why = format!("is critical, and not forced before it has been here for {delay}");
            (until, format!("{why}; first seen {first}"))
        })
    }

    /// Why a release is not installed by itself, whatever the rules say: it was here before, and did not stay.
    fn not_again(&self, site: &Site, release: Digest) -> Option<String> {
        let mut history = site.state().history.iter().rev();
        let ended = history.find(|event| {
            event.release == Some(release)
                && event.action == state::Action::Apply
                && matches!(event.outcome, Outcome::Done | Outcome::WentBack)
        });
        let begun = self.memory.begun(release);
        let why = match ended.map(|event| (event.outcome, event.time)) {
            Some((Outcome::Done, when)) => {
                format!("was installed {when}, and somebody went back from it")
            }
            Some((_, when)) => format!("failed {when}, and the site went back from it"),
            None if begun >= TRIES => {
                format!("its installation was begun {begun} times, and nobody lived to end it")
            }
            None => return None,
        };
        Some(format!("{why}: only an operator installs it again"))
    }

    fn install(
        &mut self,
        file: &Found,
        offer: &Offer,
        place: &Place<'_>,
        tell: Tell<'_>,
    ) -> Result<()> {
        let ctx = place.ctx;
        let mut site = place.lock()?;
        // What comes over what runs has to be found again, wherever this is cut.
        self.memory.seen(offer.release, ctx.now).begun += 1;
        self.save(&site)?;
        let mut confirm = |plan: &Plan| {
            if plan.release == offer.release && by_itself(plan) {
                Ok(())
            } else {
                let why = "the file or the policy has changed since it was looked at";
                Err(Error::new(Code::Declined, &file.name, why))
            }
        };
        let result = match file.open() {
            Ok(Some(opened)) => apply::apply(&mut site, opened, &file.name, &mut confirm, ctx),
            Ok(None) => Err(Error::new(Code::NotFound, &file.name, "has changed")),
            Err(e) => Err(Error::io(&file.name, e)),
        };
        if site.interrupted()?.is_none() {
            self.memory.seen(offer.release, ctx.now).begun = 0;
        }
        if matches!(&result, Err(Error::Verifier(e)) if e.kind().is_not_authentic()) {
            self.memory.tell(file.exact_mark(DAMAGED));
        }
        if matches!(result, Ok(_) | Err(Error::WentBack { .. })) {
            self.memory.forget(offer.release);
        }
        if let Err(e) = self.save(&site) {
            // What was installed is installed; the next round saves it.
            ctx.progress.note(&e.to_string());
        }
        let told = Event {
            version: Some(offer.version.clone()),
            release: Some(offer.release),
            forced: offer.forced,
            ..event(ctx.now, What::Applied, &file.name, "")
        };
        match result {
            Ok(Applied::NothingToDo { .. }) => {}
            Ok(Applied::Committed { generation, .. }) => tell(Event {
                generation: Some(generation),
                detail: format!("is active as generation {generation}"),
                ..told
            }),
            Err(e) => {
                let what = match &e {
                    Error::WentBack { .. } => What::WentBack,
                    e if e.kind() == Some(Code::DurabilityUnknown) => What::Applied,
                    _ => What::Failed,
                };
                // What was decided otherwise at the last moment is decided again.
                let decided =
                    matches!(e.kind(), Some(Code::Declined)) || matches!(e, Error::NotAdmitted(_));
                if what == What::Failed
                    && !decided
                    && let Some(known) = self.files.get_mut(&file.path)
                {
                    known.failed = Some(Instant::now());
                }
                tell(Event {
                    event: what,
                    code: Some(e.code()),
                    detail: e.to_string(),
                    ..told
                });
                self.failure.get_or_insert(e);
            }
        }
        Ok(())
    }

    /// Tells what was refused, and records what is not in the audit log yet.
    fn record(
        &mut self,
        refused: Vec<(Found, Event, String, (Entry, Error))>,
        world: Digest,
        place: &Place<'_>,
        tell: Tell<'_>,
    ) -> Result<()> {
        let mut locked = None;
        for (file, event, told, (entry, error)) in refused {
            let mark = file.mark(&told);
            if !self.memory.was_told(mark) {
                let site = match &locked {
                    Some(site) => site,
                    None => locked.insert(place.lock()?),
                };
                // Whoever runs this is told even if the log cannot be written.
                let _ = site.refused(Action::Apply, entry, error, place.ctx);
                self.memory.tell(mark);
            }
            self.looked(&file, Some(world));
            self.tell_once(&file, event, told, tell);
        }
        locked.map_or(Ok(()), |site| self.save(&site))
    }
}

impl Offer {
    fn of(plan: Plan) -> Self {
        Self {
            counter: plan.counter,
            release: plan.release,
            version: plan.version,
            forced: plan.decision.forced,
        }
    }
}

impl Look {
    fn new(event: Event, then: Then) -> Self {
        Self {
            told: event.event.name().to_owned(),
            event,
            then,
        }
    }

    fn refused(event: Event, entry: Entry, error: Error) -> Self {
        let mut codes: Vec<&str> = event.denials.iter().map(|d| d.code).collect();
        codes.push(error.code());
        codes.sort_unstable();
        codes.dedup();
        Self {
            told: format!("{} {}", What::Refused.name(), codes.join(" ")),
            event: Event {
                code: Some(error.code()),
                detail: error.to_string(),
                ..event
            },
            then: Then::Record(Box::new((entry, error))),
        }
    }
}

/// Whether a release comes in without anybody at the terminal.
fn by_itself(plan: &Plan) -> bool {
    plan.decision.channel == Channel::Auto || plan.decision.forced
}

fn event(time: Time, what: What, file: &str, detail: &str) -> Event {
    Event {
        time,
        event: what,
        file: file.to_owned(),
        version: None,
        release: None,
        generation: None,
        until: None,
        forced: false,
        code: None,
        denials: Vec::new(),
        detail: detail.to_owned(),
    }
}

/// Stands for all of a site that decisions follow from, apart from the time: its state, what people and sites have
/// said, and whether a window is open.
fn fingerprint(site: &Site, rules: &Rules, now: Time) -> Result<Digest> {
    let mut bytes = site.state().to_bytes()?;
    for kind in Kind::ALL {
        match site.dir().dir(format!("{STATEMENTS}/{}", kind.name())) {
            Ok(dir) => {
                for (name, _) in dir.list()? {
                    bytes.extend_from_slice(name.as_encoded_bytes());
                    bytes.push(0);
                }
            }
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e),
        }
    }
    for blackouts in [true, false] {
        let standing = rules.maintenance.standing(now, blackouts);
        bytes.push(u8::from(matches!(standing, Standing::Closed { .. })));
    }
    Ok(Digest::of(&bytes))
}
