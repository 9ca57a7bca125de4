//! The truth table: channel × severity × window × approvals × license and maintenance date × clock.

use std::fmt;

use super::*;

/// Monday, a time at which everything is as it should be.
const RIGHT: &str = "2026-06-15 12:00:00";
const BACK: &str = "2016-06-15 12:00:00";
const FORWARD: &str = "2036-06-15 12:00:00";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Channel {
    Auto,
    Manual,
    Frozen,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Severity {
    High,
    Critical,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Window {
    Open,
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Licensed {
    /// Until long after the clock that went forward.
    ForGood,
    /// Until after the right time, and before the one that the clock went forward to.
    ToNextYear,
    /// Until before the release was published.
    Ended,
    /// For good, but for releases from before this one was published.
    WithoutMaintenance,
    /// Not at all.
    Never,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Clock {
    Right,
    Back,
    Forward,
}

#[derive(Clone, Copy)]
struct Row {
    channel: Channel,
    severity: Severity,
    window: Window,
    approved: bool,
    licensed: Licensed,
    clock: Clock,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            channel,
            severity,
            window,
            approved,
            licensed,
            clock,
        } = self;
        let approved = if *approved {
            "approved"
        } else {
            "not approved"
        };
        write!(
            f,
            "{channel:?}, {severity:?}, {window:?}, {approved}, {licensed:?}, clock {clock:?}"
        )
    }
}

impl Row {
    /// What has to speak against it: written as the rules are told to people, not as the programs find it.
    fn expected(self) -> Vec<String> {
        let mut codes = Vec::new();
        // A license that ended by the clock alone has ended: the site enforces its clock.
        let license = match (self.licensed, self.clock) {
            (Licensed::Never, _) => Some("license-missing"),
            (Licensed::Ended, _) | (Licensed::ToNextYear, Clock::Forward) => {
                Some("license-expired")
            }
            (Licensed::WithoutMaintenance, _) => Some("maintenance-over"),
            (Licensed::ForGood | Licensed::ToNextYear, _) => None,
        };
        codes.extend(license);
        // Approvals count for thirty days; a clock that was set back makes none older or younger than the release.
        let approved = self.approved && self.clock != Clock::Forward;
        let critical = self.severity == Severity::Critical;
        match self.channel {
            Channel::Manual if !critical && !approved => codes.push("approvals-missing"),
            Channel::Frozen if !critical => codes.push("channel-frozen"),
            _ => {}
        }
        // Behind what is signed, nobody knows whether a window is open.
        if self.window == Window::Closed || self.clock == Clock::Back {
            codes.push("outside-window");
        }
        codes.sort_unstable();
        codes.into_iter().map(Into::into).collect()
    }
}

fn licenses(licensed: Licensed) -> Option<License> {
    let all = license();
    match licensed {
        Licensed::Never => None,
        Licensed::ForGood => Some(all),
        Licensed::ToNextYear => Some(License {
            valid_until: Some(time("2027-06-01T00:00:00Z")),
            ..all
        }),
        Licensed::Ended => Some(License {
            valid_until: Some(time("2026-02-01T00:00:00Z")),
            ..all
        }),
        Licensed::WithoutMaintenance => Some(License {
            updates_until: Some(time("2026-02-01T00:00:00Z")),
            ..all
        }),
    }
}

fn policy(channel: Channel, window: Window, people: &[Person]) -> String {
    let channel = format!("{channel:?}").to_lowercase();
    let opens = match window {
        Window::Open => "0 0 * * *",
        // The next one is in 2028, and in 2040 after the clock that went forward.
        Window::Closed => "0 0 29 2 *",
    };
    let people: String = people.iter().map(Person::toml).collect();
    format!(
        "[deployment]\nchannel = \"{channel}\"\n[maintenance]\nwindows = [{{ opens = \"{opens}\", duration = \"1d\" }}]\n\
         [approvals]\nrequired = 2\n{people}"
    )
}

#[test]
fn every_row_of_the_truth_table_is_decided_as_it_is_told() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::with_keys(&sandbox, &["--expires", "2046-01-01T00:00:00Z"]);
    let lasting = "expires = \"2046-01-01T00:00:00Z\"";
    let bundles = [
        (
            Severity::High,
            release(&vendor, "1.0.0", 1, &[lasting, "severity = \"high\""]),
        ),
        (
            Severity::Critical,
            release(&vendor, "1.0.1", 2, &[lasting, "severity = \"critical\""]),
        ),
    ];
    let key = vendor_key(&vendor, "license");
    let people = people();
    let mut rows = 0;
    let mut wrong = Vec::new();
    for channel in [Channel::Auto, Channel::Manual, Channel::Frozen] {
        for window in [Window::Open, Window::Closed] {
            for licensed in [
                Licensed::ForGood,
                Licensed::ToNextYear,
                Licensed::Ended,
                Licensed::WithoutMaintenance,
                Licensed::Never,
            ] {
                let name = format!("{channel:?}-{window:?}-{licensed:?}");
                let site = site(&sandbox, &name, &vendor, &policy(channel, window, &people));
                if let Some(license) = licenses(licensed) {
                    give(&site, &sandbox, "license", &name, &sign(&license, &[&key])).ok();
                }
                for approved in [false, true] {
                    if approved {
                        for (_, bundle) in &bundles {
                            approve(&site, &sandbox, bundle, &people);
                        }
                    }
                    for (severity, bundle) in &bundles {
                        for (clock, at) in [
                            (Clock::Right, RIGHT),
                            (Clock::Back, BACK),
                            (Clock::Forward, FORWARD),
                        ] {
                            let row = Row {
                                channel,
                                severity: *severity,
                                window,
                                approved,
                                licensed,
                                clock,
                            };
                            let found = Decided::of(&site, bundle, &[], Some(at)).codes();
                            if found != row.expected() {
                                wrong.push(format!("{row}: {found:?}, not {:?}", row.expected()));
                            }
                            rows += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {rows} rows:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert_eq!(rows, 3 * 2 * 2 * 2 * 5 * 3);
}

/// Ada requests it, the other two approve it.
fn approve(site: &Site, sandbox: &Sandbox, bundle: &Path, people: &[Person; 3]) {
    let subject = Decided::of(site, bundle, &[], Some(RIGHT)).subject("1.0.0");
    let request = request(&subject, "2026-06-14T00:00:00Z");
    let [ada, bo, cy] = people;
    give(
        site,
        sandbox,
        "approval",
        "request",
        &sign(&request, &[&ada.key]),
    )
    .ok();
    for person in [bo, cy] {
        let approval = approval(&request, &[]);
        give(
            site,
            sandbox,
            "approval",
            person.name,
            &sign(&approval, &[&person.key]),
        )
        .ok();
    }
}

#[test]
fn what_is_admitted_is_installed_and_what_is_not_changes_nothing() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let bundle = release(&vendor, "1.0.0", 1, &["severity = \"high\""]);
    let people = people();
    let site = site(
        &sandbox,
        "site",
        &vendor,
        &policy(Channel::Manual, Window::Open, &people),
    );
    let before = site.listing().without("lock").without("audit");
    let said = site.apply(&bundle).exits(4);
    assert!(
        said.stderr.contains("license-missing") && said.stderr.contains("approvals-missing"),
        "{}",
        said.stderr
    );
    assert_eq!(site.listing().without("lock").without("audit"), before);
    let key = vendor_key(&vendor, "license");
    give(&site, &sandbox, "license", "l", &sign(&license(), &[&key])).ok();
    let [ada, bo, cy] = &people;
    let subject = Decided::of(&site, &bundle, &[], None).subject("1.0.0");
    let now = Time::from_unix(now()).unwrap().to_string();
    let request = request(&subject, &now);
    give(
        &site,
        &sandbox,
        "approval",
        "r",
        &sign(&request, &[&ada.key]),
    )
    .ok();
    give(
        &site,
        &sandbox,
        "approval",
        "bo",
        &sign(&approval(&request, &[]), &[&bo.key]),
    )
    .ok();
    site.apply(&bundle).fails_with("approvals-missing");
    give(
        &site,
        &sandbox,
        "approval",
        "cy",
        &sign(&approval(&request, &[]), &[&cy.key]),
    )
    .ok();
    let explained = site.installer(args!["policy", "explain", bundle]).ok();
    assert!(
        explained.text().contains("2 of 2 approvals, by bo, cy"),
        "{}",
        explained.text()
    );
    site.apply(&bundle).ok();
    // The very same runs now: nothing to approve, nothing to do.
    site.apply(&bundle).ok();
    site.is_sound();
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_secs()).unwrap()
}
