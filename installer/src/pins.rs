//! What a site's operator wants to stay as it is, whatever the vendor publishes (ID-1 8.3: level, name,
//! version, when, and why). A pin never changes what a release holds: it refuses releases that go against it.

use sealift_verifier::{
    facts::{Facts, Level, Pin},
    path::Name,
    release::Release,
};

use crate::{
    audit,
    disk::ReplaceError,
    error::{Code, Error, Result},
    site::{Context, Ready, Site},
    state::{Action, Event, Outcome, State},
};

/// Pins of one site.
const PINS: usize = 1000;
/// Characters of a reason.
const REASON: usize = 500;

/// Sets a pin, durably, and returns the one that it replaces.
pub fn add(site: &mut Ready<'_>, pin: Pin, ctx: &Context<'_>) -> Result<Option<Pin>> {
    check(site, &pin)?;
    let mut state = site.state().clone();
    let before = take(&mut state, pin.level, &pin.name);
    if state.pins.len() >= PINS {
        return Err(Error::new(
            Code::Usage,
            describe(&pin),
            format!("a site has at most {PINS} pins"),
        ));
    }
    state.record(event(Action::Pin, &pin, ctx));
    let subject = describe(&pin);
    state.pins.push(pin);
    state.pins.sort_by(|a, b| a.place().cmp(&b.place()));
    commit(site, audit::Action::Pin, subject, state, ctx)?;
    Ok(before)
}

/// Takes a pin away, durably, and returns it.
pub fn remove(site: &mut Ready<'_>, level: Level, name: &Name, ctx: &Context<'_>) -> Result<Pin> {
    let mut state = site.state().clone();
    let pin = take(&mut state, level, name).ok_or_else(|| {
        let subject = format!("{} {name}", level.name());
        Error::new(Code::NotPinned, subject, "is not pinned")
    })?;
    state.record(event(Action::Unpin, &pin, ctx));
    commit(site, audit::Action::Unpin, describe(&pin), state, ctx)?;
    Ok(pin)
}

/// How a release goes against pins, a sentence each.
pub fn violated(release: &Release, pins: &[Pin]) -> Vec<String> {
    let denials = Facts {
        pins: pins.to_vec(),
        ..crate::facts::unknown()
    }
    .check(release, None);
    denials.into_iter().map(|denial| denial.detail).collect()
}

fn describe(pin: &Pin) -> String {
    let reason = match pin.reason.as_str() {
        "" => String::new(),
        reason => format!(" ({reason})"),
    };
    format!("{} {} {}{reason}", pin.level.name(), pin.name, pin.version)
}

fn check(site: &Site, pin: &Pin) -> Result<()> {
    let bad = |why: String| Err(Error::new(Code::Usage, describe(pin), why));
    if pin.reason.chars().count() > REASON || pin.reason.chars().any(char::is_control) {
        return bad(format!("a reason is one line of up to {REASON} characters"));
    }
    match &site.state().product {
        Some(product) if pin.level == Level::Platform && *product != pin.name => {
            bad(format!("the platform of this site is {product}"))
        }
        _ => Ok(()),
    }
}

fn take(state: &mut State, level: Level, name: &Name) -> Option<Pin> {
    let at = state.pins.iter().position(|p| p.place() == (level, name))?;
    Some(state.pins.remove(at))
}

fn event(action: Action, pin: &Pin, ctx: &Context<'_>) -> Event {
    Event {
        time: ctx.now,
        action,
        outcome: Outcome::Done,
        generation: None,
        from: None,
        version: None,
        release: None,
        reason: describe(pin),
    }
}

fn commit(
    site: &mut Ready<'_>,
    action: audit::Action,
    pin: String,
    state: State,
    ctx: &Context<'_>,
) -> Result<()> {
    let entry = audit::Entry::new(action).about(pin);
    audit::recorded(site, entry, ctx, |site| {
        site.commit(state).map_err(|e| match e {
            ReplaceError::Unchanged(e) => e,
            ReplaceError::DurabilityUnknown(e) => Error::new(
                Code::DurabilityUnknown,
                "the pins are changed",
                format!("but the disk failed afterwards: {e}"),
            ),
        })
    })
}
