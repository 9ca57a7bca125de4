//! Licenses: put together from what people write, renewed, and told.

pub mod show;

use std::collections::BTreeMap;

use sealift_verifier::{
    license::{Entitlements, Environment, FORMAT, Feature, License, Limits, sorted},
    path::Name,
    release::Mode,
    time::Time,
};
use serde::Deserialize;

use crate::{
    error::{Code, Error, Result},
    moment::Moment,
};

/// Length of a file with terms, in bytes.
pub const TERMS_BYTES: u64 = 1 << 20;

/// What a license is to say, as a TOML file and a command line write it: the fields of a license, with times as
/// [`Moment`]s, in any order.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Terms {
    /// The vendor's name for the license.
    pub id: Option<String>,
    /// Whom it is for.
    pub customer: Option<String>,
    /// The product.
    pub product: Option<Name>,
    /// From when on it counts, after the time of issue; then, if left out.
    pub valid_from: Option<Moment>,
    /// Until when it counts, after its beginning; for good, if left out.
    pub valid_until: Option<Moment>,
    /// Releases published from then on are not covered, after its beginning; all are, if left out.
    pub updates_until: Option<Moment>,
    /// Days after `valid-until` in which it still counts.
    pub grace_days: Option<u32>,
    /// What it grants.
    pub entitlements: Entitlements,
    /// How much of it.
    pub limits: Limits,
    /// The environments that it counts in; with none, all.
    pub environments: Vec<Environment>,
    /// The modes that it counts in; with none, all.
    pub modes: Vec<Mode>,
    /// The ids of the sites that it counts at; with none, everywhere.
    pub sites: Vec<String>,
}

impl Terms {
    /// Reads terms from TOML; `subject` names them in errors.
    pub fn parse(bytes: &[u8], subject: &str) -> Result<Self> {
        let invalid = |detail: String| Error::new(Code::StatementInvalid, subject, detail);
        let text = str::from_utf8(bytes).map_err(|e| invalid(e.to_string()))?;
        toml::from_str(text).map_err(|e| invalid(e.to_string().trim_end().to_owned()))
    }

    /// These terms, with all that `other` says in their place; features are replaced one by one.
    #[must_use]
    pub fn replaced_by(self, other: Self) -> Self {
        fn list<T>(had: Vec<T>, has: Vec<T>) -> Vec<T> {
            if has.is_empty() { had } else { has }
        }
        let (had, has) = (self.entitlements, other.entitlements);
        let mut features: BTreeMap<String, Feature> = had.features;
        features.extend(has.features);
        Self {
            id: other.id.or(self.id),
            customer: other.customer.or(self.customer),
            product: other.product.or(self.product),
            valid_from: other.valid_from.or(self.valid_from),
            valid_until: other.valid_until.or(self.valid_until),
            updates_until: other.updates_until.or(self.updates_until),
            grace_days: other.grace_days.or(self.grace_days),
            entitlements: Entitlements {
                all: had.all || has.all,
                suites: list(had.suites, has.suites),
                capabilities: list(had.capabilities, has.capabilities),
                features,
            },
            limits: Limits {
                nodes: other.limits.nodes.or(self.limits.nodes),
                deployments: other.limits.deployments.or(self.limits.deployments),
            },
            environments: list(self.environments, other.environments),
            modes: list(self.modes, other.modes),
            sites: list(self.sites, other.sites),
        }
    }

    /// The license that says this, issued at `now`. Everything that is missing is told at once.
    pub fn license(self, now: Time) -> Result<License> {
        let (Some(id), Some(customer), Some(product)) =
            (&self.id, &self.customer, self.product.clone())
        else {
            let missing: Vec<_> = [
                ("id", self.id.is_none()),
                ("customer", self.customer.is_none()),
                ("product", self.product.is_none()),
            ]
            .into_iter()
            .filter_map(|(what, missing)| missing.then_some(what))
            .collect();
            let detail = format!("does not say {}", missing.join(", "));
            return Err(Error::new(Code::StatementInvalid, "license", detail));
        };
        let at = |moment: Option<Moment>, start, subject| {
            moment.map(|moment| moment.from(start, subject)).transpose()
        };
        let valid_from = at(self.valid_from, now, "valid-from")?.unwrap_or(now);
        Ok(License {
            format: FORMAT,
            id: id.clone(),
            customer: customer.clone(),
            product,
            issued: now,
            valid_from,
            valid_until: at(self.valid_until, valid_from, "valid-until")?,
            updates_until: at(self.updates_until, valid_from, "updates-until")?,
            grace_days: self.grace_days.unwrap_or(0),
            entitlements: Entitlements {
                all: self.entitlements.all,
                suites: sorted(self.entitlements.suites),
                capabilities: sorted(self.entitlements.capabilities),
                features: self.entitlements.features,
            },
            limits: self.limits,
            environments: sorted(self.environments),
            modes: sorted(self.modes),
            sites: sorted(self.sites),
        })
    }
}

/// New dates for a license. Spans count from the end that the old one has.
#[derive(Debug, Clone, Copy, Default)]
pub struct Renewal {
    /// Until when it counts.
    pub valid_until: Option<Moment>,
    /// Releases published from then on are not covered.
    pub updates_until: Option<Moment>,
    /// Days after `valid-until` in which it still counts.
    pub grace_days: Option<u32>,
}

/// The license that takes the place of `old`: the same, with new dates, issued at `now`.
pub fn renew(old: &License, renewal: &Renewal, now: Time) -> Result<License> {
    if now <= old.issued {
        let detail = format!(
            "was issued {}, and it is {now}: sites would keep the old one",
            old.issued
        );
        return Err(Error::new(Code::StatementInvalid, &old.id, detail));
    }
    let end = |moment: Option<Moment>, old: Option<Time>, subject: &str| match (moment, old) {
        (None, old) => Ok(old),
        (Some(Moment::After(_)), None) => {
            let detail = "has no end in the old license that a span could begin at";
            Err(Error::new(Code::Usage, subject, detail))
        }
        (Some(moment), old) => moment.from(old.unwrap_or(now), subject).map(Some),
    };
    let new = License {
        issued: now,
        valid_until: end(renewal.valid_until, old.valid_until, "--valid-until")?,
        updates_until: end(renewal.updates_until, old.updates_until, "--updates-until")?,
        grace_days: renewal.grace_days.unwrap_or(old.grace_days),
        ..old.clone()
    };
    if (new.valid_until, new.updates_until, new.grace_days)
        == (old.valid_until, old.updates_until, old.grace_days)
    {
        let detail = "no date changes: give --valid-until, --updates-until or --grace-days";
        return Err(Error::new(Code::Usage, "renewal", detail));
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Time {
        text.parse().unwrap()
    }

    const NOW: &str = "2026-03-01T10:00:00Z";

    const FILE: &str = r#"
        id = "L-1"
        customer = "Harbour Hospital"
        product = "acme"
        valid-from = 2026-04-01
        valid-until = "1y"
        updates-until = 2027-01-01T00:00:00Z
        grace-days = 30
        modes = ["on-prem", "edge"]
        sites = ["b", "a", "b"]
        [entitlements]
        suites = ["core", "ai"]
        features = { seats = 5, analytics = true, tier = "gold" }
        [limits]
        nodes = 3
    "#;

    #[test]
    fn a_file_says_what_a_license_says() {
        let terms = Terms::parse(FILE.as_bytes(), "terms.toml").unwrap();
        let license = terms.license(time(NOW)).unwrap();
        assert_eq!(license.issued, time(NOW));
        assert_eq!(license.valid_from, time("2026-04-01T00:00:00Z"));
        assert_eq!(license.valid_until, Some(time("2027-04-01T00:00:00Z")));
        assert_eq!(license.updates_until, Some(time("2027-01-01T00:00:00Z")));
        assert_eq!(license.sites, ["a", "b"]);
        assert_eq!(license.modes, [Mode::OnPrem, Mode::Edge]);
        let suites: Vec<_> = license
            .entitlements
            .suites
            .iter()
            .map(Name::as_str)
            .collect();
        assert_eq!(suites, ["ai", "core"]);
        let features = &license.entitlements.features;
        assert_eq!(features["seats"], Feature::Number(5));
        assert_eq!(features["tier"], Feature::Text("gold".into()));
        assert_eq!(license.limits.nodes, Some(3));
    }

    #[test]
    fn the_command_line_goes_before_the_file() {
        let file = Terms::parse(FILE.as_bytes(), "terms.toml").unwrap();
        let line = Terms {
            id: Some("L-2".into()),
            sites: vec!["c".into()],
            entitlements: Entitlements {
                features: BTreeMap::from([("seats".into(), Feature::Number(9))]),
                ..Entitlements::default()
            },
            ..Terms::default()
        };
        let license = file.replaced_by(line).license(time(NOW)).unwrap();
        assert_eq!(
            (license.id.as_str(), license.customer.as_str()),
            ("L-2", "Harbour Hospital")
        );
        assert_eq!(license.sites, ["c"]);
        let features = &license.entitlements.features;
        assert_eq!(
            (&features["seats"], features.len()),
            (&Feature::Number(9), 3)
        );
    }

    #[test]
    fn terms_that_make_no_sense_are_refused() {
        for text in [
            "sesame = 1",
            "id = 7",
            "valid-until = 2027-01-01T00:00:00+01:00",
            "valid-until = \"soon\"",
            "valid-until = 10:00:00",
            "grace-days = -1",
            "product = \"../acme\"",
            "modes = [\"cloud\"]",
            "[entitlements]\nfeatures = { x = 1.5 }",
            "[entitlements]\nfeature = {}",
            "id = \"a\"\nid = \"b\"",
            "x = [[[[",
        ] {
            let error = Terms::parse(text.as_bytes(), "terms.toml").unwrap_err();
            assert_eq!(error.kind(), Some(Code::StatementInvalid), "{text}");
        }
        assert!(Terms::parse(b"id = \"\xff\"", "terms.toml").is_err());
        let deep = format!("x = {}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(Terms::parse(deep.as_bytes(), "terms.toml").is_err());
        let error = Terms::default().license(time(NOW)).unwrap_err();
        assert!(
            error.to_string().contains("id, customer, product"),
            "{error}"
        );
    }

    #[test]
    fn a_renewal_counts_from_the_old_end() {
        let old = Terms::parse(FILE.as_bytes(), "terms.toml").unwrap();
        let old = old.license(time(NOW)).unwrap();
        let year = Renewal {
            valid_until: Some("1y".parse().unwrap()),
            ..Renewal::default()
        };
        let later = time("2027-06-01T00:00:00Z");
        let new = renew(&old, &year, later).unwrap();
        assert_eq!(new.valid_until, Some(time("2028-04-01T00:00:00Z")));
        assert_eq!(
            (new.issued, &new.id, new.updates_until),
            (later, &old.id, old.updates_until)
        );
        let code = |old: &License, renewal: &Renewal, now: Time| {
            renew(old, renewal, now).unwrap_err().kind().unwrap()
        };
        assert_eq!(code(&old, &Renewal::default(), later), Code::Usage);
        assert_eq!(code(&old, &year, time(NOW)), Code::StatementInvalid);
        let endless = License {
            valid_until: None,
            ..old
        };
        assert_eq!(code(&endless, &year, later), Code::Usage);
    }
}
