//! What this site is, as far as it decides whether a release may go here: what admission looks at, and what
//! the customer hands to the vendor.

use std::path::Path;

use sealift_verifier::{
    facts::{self, FORMAT, Facts, Installed, Reason, hardware_of},
    release::{Hardware, Release},
};

use crate::{
    error::{Code, Denial, Result},
    machine::Machine,
    site::Site,
};

/// The facts of a site and of the machine that this runs on. `release` is the one that runs there.
pub fn of(site: &Site, release: Option<&Release>) -> Result<Facts> {
    let state = site.state();
    let machine = Machine::read(Path::new("/"));
    let (free, _) = site.dir().free()?;
    Ok(Facts {
        product: state.product.clone(),
        installed: state.running().map(|running| Installed {
            version: running.version.clone(),
            release_digest: running.release,
            disk: release.and_then(|release| hardware_of(release).disk),
        }),
        counter: state.trust.newest.as_ref().map(|newest| newest.counter),
        counter_release: state.trust.newest.as_ref().map(|newest| newest.release),
        security_floor: state.security_floor.clone(),
        mode: state.mode,
        platform: machine.platform,
        hardware: Hardware {
            disk: Some(free),
            ..machine.hardware
        },
        pins: state.pins.clone(),
        ..unknown()
    })
}

/// The facts of a site of which nothing is known.
pub(crate) fn unknown() -> Facts {
    Facts {
        format: FORMAT,
        product: None,
        installed: None,
        counter: None,
        counter_release: None,
        security_floor: None,
        mode: None,
        platform: None,
        hardware: Hardware::default(),
        pins: Vec::new(),
    }
}

impl From<facts::Denial> for Denial {
    fn from(denial: facts::Denial) -> Self {
        Self {
            code: match denial.reason {
                Reason::ProductMismatch => Code::ProductMismatch,
                Reason::CounterTooLow => Code::CounterTooLow,
                Reason::CounterReused => Code::CounterReused,
                Reason::BelowSecurityFloor => Code::BelowSecurityFloor,
                Reason::UpgradeFrom => Code::UpgradeFrom,
                Reason::ModeMismatch => Code::ModeMismatch,
                Reason::PlatformMismatch => Code::PlatformMismatch,
                Reason::HardwareInsufficient => Code::HardwareInsufficient,
                Reason::Pinned => Code::Pinned,
            },
            detail: denial.detail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_vendor_is_told_has_the_names_that_the_site_refuses_with() {
        for reason in [
            Reason::ProductMismatch,
            Reason::CounterTooLow,
            Reason::CounterReused,
            Reason::BelowSecurityFloor,
            Reason::UpgradeFrom,
            Reason::ModeMismatch,
            Reason::PlatformMismatch,
            Reason::HardwareInsufficient,
            Reason::Pinned,
        ] {
            let denial = Denial::from(facts::Denial {
                reason,
                detail: String::new(),
            });
            assert_eq!(denial.code.name(), reason.name());
        }
    }
}
