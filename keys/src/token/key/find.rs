//! The one token that a URI means: finding it, and logging in.

use cryptoki::{
    context::Pkcs11,
    error::{Error as Pkcs11Error, RvError},
    session::{Session, SessionState, UserType},
    slot::{Slot, SlotInfo, TokenInfo},
    types::RawAuthPin,
};

use super::module::{self, told};
use crate::{
    error::{Code, Error, Result},
    passphrase::{self, Passphrases},
    token::{Pin, TokenUri},
};

/// Most tokens or keys that an error lists.
const LISTED: usize = 20;

/// The one token that a URI means.
pub(super) struct Token<'a> {
    pub(super) uri: &'a TokenUri,
    module: Pkcs11,
    slot: Slot,
    pub(super) info: TokenInfo,
}

impl<'a> Token<'a> {
    pub(super) fn find(uri: &'a TokenUri) -> Result<Self> {
        let module = module::load(uri)?;
        let failed = |e| failure(&uri.to_string(), &e);
        let library = module.get_library_info().map_err(failed)?;
        let version = library.library_version();
        if !is(uri.library_manufacturer.as_ref(), library.manufacturer_id())
            || !is(
                uri.library_description.as_ref(),
                library.library_description(),
            )
            || uri
                .library_version
                .is_some_and(|v| v != (version.major(), version.minor()))
        {
            let detail = format!(
                "the module is another one: library-manufacturer={:?} library-description={:?} library-version={}.{}",
                library.manufacturer_id(),
                library.library_description(),
                version.major(),
                version.minor()
            );
            return Err(Error::new(Code::TokenNotFound, uri, detail));
        }
        let (mut fitting, mut seen) = (Vec::new(), Vec::new());
        for slot in module.get_slots_with_token().map_err(failed)? {
            // A broken reader beside the right one is no reason to fail.
            let infos = module
                .get_slot_info(slot)
                .and_then(|s| Ok((s, module.get_token_info(slot)?)));
            match infos {
                Ok((at, info)) if info.token_initialized() => {
                    seen.push(described(slot, &info));
                    if fits(uri, slot, &at, &info) {
                        fitting.push((slot, info));
                    }
                }
                Ok(_) => {}
                Err(e) => seen.push(format!("slot-id={}: {}", slot.id(), told(&e))),
            }
        }
        let slots: Vec<String> = fitting
            .iter()
            .map(|(slot, info)| described(*slot, info))
            .collect();
        let mut fitting = fitting.into_iter();
        match (fitting.next(), fitting.next()) {
            (Some((slot, info)), None) => Ok(Self {
                uri,
                module,
                slot,
                info,
            }),
            (None, _) => Err(Error::new(
                Code::TokenNotFound,
                uri,
                listed("no token fits", &seen),
            )),
            (Some(_), Some(_)) => {
                let detail = listed("several tokens fit", &slots);
                Err(Error::new(Code::TokenAmbiguous, uri, detail))
            }
        }
    }

    pub(super) fn failed(&self, error: &Pkcs11Error) -> Error {
        failure(&self.uri.to_string(), error)
    }

    pub(super) fn session(&self) -> Result<Session> {
        self.module
            .open_ro_session(self.slot)
            .map_err(|e| self.failed(&e))
    }

    /// Logs in with what `pin` gives; with nothing, the token has a keypad of its own. Once is enough for
    /// all sessions of a process (PKCS#11 2.40, 5.6).
    pub(super) fn log_in(
        &self,
        session: &Session,
        pin: &mut dyn FnMut(&Self) -> Result<Option<RawAuthPin>>,
    ) -> Result<()> {
        if !self.info.login_required() {
            return Ok(());
        }
        let state = session
            .get_session_info()
            .map_err(|e| self.failed(&e))?
            .session_state();
        if matches!(state, SessionState::RoUser | SessionState::RwUser) {
            return Ok(());
        }
        if self.info.user_pin_locked() {
            return Err(Error::new(
                Code::PinLocked,
                self.uri,
                "the token has locked itself",
            ));
        }
        let done = match pin(self)? {
            Some(pin) => session.login_with_raw(UserType::User, &pin),
            None => session.login(UserType::User, None),
        };
        match done {
            Ok(()) | Err(Pkcs11Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(Pkcs11Error::Pkcs11(
                RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
                _,
            )) => Err(Error::new(Code::PinWrong, self.uri, self.after_wrong_pin())),
            Err(e) => Err(self.failed(&e)),
        }
    }

    fn after_wrong_pin(&self) -> &'static str {
        match self.module.get_token_info(self.slot) {
            Ok(info) if info.user_pin_locked() => {
                "the token does not take this PIN, and is locked now"
            }
            Ok(info) if info.user_pin_final_try() => {
                "the token does not take this PIN; one more wrong one locks it"
            }
            _ => "the token does not take this PIN",
        }
    }

    /// The PIN by the same way as passphrases, if it is not typed into the token itself.
    pub(super) fn ask(&self, passphrases: &mut Passphrases) -> Result<Option<RawAuthPin>> {
        if self.info.protected_authentication_path() {
            return Ok(None);
        }
        let last = if self.info.user_pin_final_try() {
            ", the last try before it locks itself"
        } else {
            ""
        };
        let name = format!("token {:?}{last}", self.info.label());
        passphrases.pin(&name).map(|pin| Some(raw(pin.as_bytes())))
    }
}

/// Whether an attribute of the URI, if there is one, is what was found.
fn is(wanted: Option<&String>, found: &str) -> bool {
    wanted.is_none_or(|wanted| wanted == found)
}

fn fits(uri: &TokenUri, slot: Slot, at: &SlotInfo, token: &TokenInfo) -> bool {
    is(uri.token.as_ref(), token.label())
        && is(uri.manufacturer.as_ref(), token.manufacturer_id())
        && is(uri.model.as_ref(), token.model())
        && is(uri.serial.as_ref(), token.serial_number())
        && is(uri.slot_description.as_ref(), at.slot_description())
        && is(uri.slot_manufacturer.as_ref(), at.manufacturer_id())
        && uri.slot_id.is_none_or(|id| id == slot.id())
}

fn described(slot: Slot, info: &TokenInfo) -> String {
    format!(
        "token={:?} serial={:?} model={:?} manufacturer={:?} slot-id={}",
        info.label(),
        info.serial_number(),
        info.model(),
        info.manufacturer_id(),
        slot.id()
    )
}

pub(super) fn listed(what: &str, items: &[String]) -> String {
    if items.is_empty() {
        return format!("{what}: there is none");
    }
    let mut text = format!("{what}; there is");
    for item in items.iter().take(LISTED) {
        text.push_str("\n  ");
        text.push_str(item);
    }
    if items.len() > LISTED {
        text.push_str("\n  and more");
    }
    text
}

pub(super) fn read_pin(pin: &Pin) -> Result<RawAuthPin> {
    match pin {
        Pin::Value(value) => Ok(raw(value)),
        Pin::Source(path) => Ok(raw(passphrase::read(path)?.as_bytes())),
    }
}

/// A copy that is wiped, too.
fn raw(pin: &[u8]) -> RawAuthPin {
    RawAuthPin::new(Box::new(pin.to_vec()))
}

pub(super) fn failure(subject: &str, error: &Pkcs11Error) -> Error {
    let (code, detail) = match error {
        Pkcs11Error::Pkcs11(RvError::PinLocked, _) => {
            (Code::PinLocked, "the token has locked itself".into())
        }
        Pkcs11Error::Pkcs11(
            RvError::DeviceRemoved
            | RvError::TokenNotPresent
            | RvError::SessionHandleInvalid
            | RvError::SessionClosed,
            _,
        ) => (
            Code::TokenRemoved,
            format!("the token is gone: {}", told(error)),
        ),
        _ => (Code::TokenFailed, told(error).to_string()),
    };
    Error::new(code, subject, detail)
}
