//! Statements that somebody has made, changed or taken from elsewhere: none of them counts.

use super::*;

const POLICY: &str = "[deployment]\nchannel = \"manual\"\n[approvals]\nrequired = 1\noverrides = { window = 1, frozen = 2 }\n";

struct Stage {
    sandbox: Sandbox,
    vendor: Vendor,
    people: [Person; 3],
    site: Site,
    bundle: PathBuf,
    request: Request,
}

/// A site with everything but an approval.
fn stage() -> Stage {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let bundle = release(&vendor, "1.0.0", 1, &[]);
    let people = people();
    let all: String = people.iter().map(Person::toml).collect();
    let site = site(&sandbox, "site", &vendor, &format!("{POLICY}{all}"));
    let key = vendor_key(&vendor, "license");
    give(&site, &sandbox, "license", "l", &sign(&license(), &[&key])).ok();
    let subject = Decided::of(&site, &bundle, &[], None).subject("1.0.0");
    let request = request(&subject, "2026-11-01T00:00:00Z");
    give(
        &site,
        &sandbox,
        "approval",
        "request",
        &sign(&request, &[&people[0].key]),
    )
    .ok();
    Stage {
        sandbox,
        vendor,
        people,
        site,
        bundle,
        request,
    }
}

/// An approval that counts for ever, as far as the policy lets it.
fn lasting(request: &Request) -> Approval {
    Approval {
        expires: time("2099-01-01T00:00:00Z"),
        ..approval(request, &[])
    }
}

const SOON: &str = "2026-11-02 00:00:00";

impl Stage {
    fn add(&self, name: &str, bytes: &[u8]) -> Outcome {
        give(&self.site, &self.sandbox, "approval", name, bytes)
    }

    fn decided(&self) -> Decided {
        Decided::of(&self.site, &self.bundle, &[], Some(SOON))
    }

    fn bo(&self) -> &FileSigner {
        &self.people[1].key
    }
}

#[test]
fn an_approval_counts_and_one_that_was_withdrawn_does_not() {
    let stage = stage();
    assert_eq!(stage.decided().codes(), ["approvals-missing"]);
    let approval = lasting(&stage.request);
    stage.add("a", &sign(&approval, &[stage.bo()])).ok();
    assert!(stage.decided().codes().is_empty());
    // Nobody takes back what somebody else has said.
    let earlier = withdrawal(&approval, time("2026-10-01T00:00:00Z"));
    stage
        .add("w1", &sign(&earlier, &[&stage.people[2].key]))
        .ok();
    assert!(stage.decided().codes().is_empty());
    // By a clock that is behind that of the approval, too.
    stage.add("w2", &sign(&earlier, &[stage.bo()])).ok();
    let decided = stage.decided();
    assert_eq!(decided.codes(), ["approvals-missing"]);
    assert!(
        decided.detail("approvals").contains("withdrawn"),
        "{}",
        decided.detail("approvals")
    );
    stage.site.is_sound();
}

#[test]
fn an_approval_for_something_else_is_worth_nothing() {
    let stage = stage();
    let good = lasting(&stage.request);
    let other = |change: fn(&mut Approval)| {
        let mut approval = good.clone();
        change(&mut approval);
        approval
    };
    // Of another site: not even taken.
    let elsewhere = other(|a| a.subject.site = "another".into());
    stage
        .add("site", &sign(&elsewhere, &[stage.bo()]))
        .fails_with("approval-unusable");
    let changes: [fn(&mut Approval); 4] = [
        |a| a.subject.release = Digest::of(b"another"),
        |a| a.subject.plan = Digest::of(b"another"),
        |a| a.request = Digest::of(b"another"),
        |a| a.expires = "2026-11-01T00:00:01Z".parse().unwrap(),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let name = format!("other-{number}");
        stage.add(&name, &sign(&other(change), &[stage.bo()])).ok();
        assert_eq!(stage.decided().codes(), ["approvals-missing"], "{name}");
    }
    let told = stage.decided().detail("approvals");
    for why in ["another plan", "not here", "expired"] {
        assert!(told.contains(why), "{told}");
    }
    stage.add("good", &sign(&good, &[stage.bo()])).ok();
    assert!(stage.decided().codes().is_empty());
    // Longer than the policy lets any approval count, whatever it says itself.
    let late = Decided::of(&stage.site, &stage.bundle, &[], Some("2026-12-02 00:00:00"));
    assert_eq!(late.codes(), ["approvals-missing"]);
}

#[test]
fn an_approval_dies_with_the_plan_that_it_was_for() {
    let stage = stage();
    stage
        .add("a", &sign(&lasting(&stage.request), &[stage.bo()]))
        .ok();
    let urgent = release(&stage.vendor, "0.9.0", 2, &["severity = \"critical\""]);
    assert!(stage.decided().codes().is_empty());
    // Something else runs meanwhile.
    stage.site.apply(&urgent).ok();
    let decided = stage.decided();
    assert!(
        decided.codes().contains(&"approvals-missing".to_owned()),
        "{:?}",
        decided.codes()
    );
    assert!(decided.detail("approvals").contains("another plan"));
}

#[test]
fn another_policy_voids_what_was_approved_under_the_one_before() {
    let stage = stage();
    stage
        .add("a", &sign(&lasting(&stage.request), &[stage.bo()]))
        .ok();
    assert!(stage.decided().codes().is_empty());
    let all: String = stage.people.iter().map(Person::toml).collect();
    set_policy(
        &stage.site,
        &stage.sandbox,
        "site",
        &format!("{POLICY}{all}# reviewed\n"),
    );
    assert_eq!(stage.decided().codes(), ["approvals-missing"]);
}

#[test]
fn one_person_is_one_voice_and_strangers_have_none() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let bundle = release(&vendor, "1.0.0", 1, &[]);
    let [ada, bo, _] = people();
    let second: FileSigner = SecretKey::generate().unwrap().into();
    let keys = format!("\", \"{}\"]", hex(&second.public_key()));
    let policy = format!(
        "[approvals]\nrequired = 1\n{}{}[[people]]\nname = \"dee\"\nroles = [\"auditor\"]\nkeys = []\n",
        ada.toml(),
        bo.toml().replace("\"]\n", &format!("{keys}\n")).replacen(&format!("\"approver{keys}"), "\"approver\"]", 1),
    )
    .replace("required = 1", "required = 2");
    let site = site(&sandbox, "site", &vendor, &policy);
    let key = vendor_key(&vendor, "license");
    give(&site, &sandbox, "license", "l", &sign(&license(), &[&key])).ok();
    let decide = || Decided::of(&site, &bundle, &[], Some(SOON));
    let request = request(&decide().subject("1.0.0"), "2026-11-01T00:00:00Z");
    let add = |name: &str, bytes: &[u8]| give(&site, &sandbox, "approval", name, bytes);
    add("r", &sign(&request, &[&ada.key])).ok();
    let approval = lasting(&request);
    // Two keys of one person, apart and together.
    add("one", &sign(&approval, &[&bo.key])).ok();
    add("two", &sign(&approval, &[&second])).ok();
    add("both", &sign(&approval, &[&bo.key, &second])).ok();
    let told = decide().detail("approvals");
    assert!(told.starts_with("1 of 2 approvals, by bo"), "{told}");
    // Who requested it cannot approve it.
    add("ada", &sign(&approval, &[&ada.key])).ok();
    let told = decide().detail("approvals");
    assert!(
        told.contains("ada requested it") && told.starts_with("1 of 2"),
        "{told}"
    );
    // A stranger, the vendor's own keys, and a request in the place of an approval.
    let stranger: FileSigner = SecretKey::generate().unwrap().into();
    add("stranger", &sign(&approval, &[&stranger])).fails_with("approval-unusable");
    for name in ["release", "license", "root-1"] {
        add(name, &sign(&approval, &[&vendor_key(&vendor, name)])).fails_with("approval-unusable");
    }
    let mut envelope: Value = serde_json::from_slice(&sign(&approval, &[&bo.key])).unwrap();
    envelope["payloadType"] = Request::TYPE.into();
    add("type", envelope.to_string().as_bytes()).fails_with("approval-unusable");
}

#[test]
fn a_license_is_what_the_license_key_has_signed_and_nothing_else() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let site = Site::new(&sandbox, &vendor.root());
    let key = vendor_key(&vendor, "license");
    let add = |name: &str, bytes: &[u8]| give(&site, &sandbox, "license", name, bytes);
    for name in ["release", "root-1", "root-2"] {
        add(name, &sign(&license(), &[&vendor_key(&vendor, name)])).fails_with("threshold-not-met");
    }
    // One word changed, and the entitlements of another license under this one's signature.
    let text = String::from_utf8(sign(&license(), &[&key])).unwrap();
    let richer = License {
        entitlements: Entitlements {
            all: true,
            ..Entitlements::default()
        },
        ..license()
    };
    let payload = |license: &License| {
        sealift_verifier::base64::encode(Envelope::of(license).unwrap().payload())
    };
    let forged = text.replace(&payload(&license()), &payload(&richer));
    assert_ne!(forged, text);
    add("forged", forged.as_bytes()).fails_with("threshold-not-met");
    // A license in the place of an approval, an approval in the place of a license, and no license at all.
    give(&site, &sandbox, "approval", "license", text.as_bytes()).fails_with("approval-unusable");
    for (name, bytes) in [
        ("empty", ""),
        ("null", "null"),
        ("half", &text[..text.len() / 2]),
    ] {
        add(name, bytes.as_bytes()).exits(3);
    }
    let other = License {
        sites: vec!["another".into()],
        ..license()
    };
    add("other", &sign(&other, &[&key])).fails_with("license-unusable");
    assert_eq!(
        site.installer(args!["license", "show", "--output", "json"])
            .ok()
            .json()["licenses"],
        Value::Array(vec![])
    );
    // The one with the same id that was issued later counts, and is not replaced by an older one.
    let newer = License {
        issued: time("2026-02-01T00:00:00Z"),
        ..license()
    };
    add("first", text.as_bytes()).ok();
    add("newer", &sign(&newer, &[&key])).ok();
    add("older", text.as_bytes()).fails_with("license-unusable");
    let shown = site
        .installer(args!["license", "show", "--output", "json"])
        .ok()
        .json();
    assert_eq!(shown["licenses"].as_array().unwrap().len(), 1);
    assert_eq!(
        shown["licenses"][0]["license"]["issued"],
        "2026-02-01T00:00:00Z"
    );
    site.installer(args!["license", "remove", "L-1"]).ok();
    site.installer(args!["license", "remove", "L-1"])
        .fails_with("not-found");
    site.is_sound();
}

#[test]
fn overriding_takes_people_who_approve_that_and_an_operator_who_asks() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let bundle = release(&vendor, "1.0.0", 1, &[]);
    let people = people();
    let all: String = people.iter().map(Person::toml).collect();
    let policy = format!(
        "[deployment]\nchannel = \"frozen\"\n[maintenance]\nwindows = [{{ opens = \"0 0 29 2 *\", duration = \"1h\" }}]\n\
         [approvals]\noverrides = {{ window = 1, frozen = 2 }}\n{all}"
    );
    let site = site(&sandbox, "site", &vendor, &policy);
    let key = vendor_key(&vendor, "license");
    give(&site, &sandbox, "license", "l", &sign(&license(), &[&key])).ok();
    let decide = |more: &[&str]| Decided::of(&site, &bundle, more, Some(SOON)).codes();
    let both = ["--override-window", "--override-frozen"];
    assert_eq!(decide(&[]), ["channel-frozen", "outside-window"]);
    assert_eq!(decide(&both), ["channel-frozen", "outside-window"]);
    let subject = Decided::of(&site, &bundle, &[], Some(SOON)).subject("1.0.0");
    let request = Request {
        overrides: vec![Override::Frozen, Override::Window],
        ..request(&subject, "2026-11-01T00:00:00Z")
    };
    let add = |name: &str, bytes: &[u8]| give(&site, &sandbox, "approval", name, bytes).ok();
    let [ada, bo, cy] = &people;
    add("r", &sign(&request, &[&ada.key]));
    // An approval overrides nothing but what it names.
    add("plain", &sign(&approval(&request, &[]), &[&bo.key]));
    assert_eq!(decide(&both), ["channel-frozen", "outside-window"]);
    add(
        "window",
        &sign(&approval(&request, &[Override::Window]), &[&bo.key]),
    );
    assert_eq!(decide(&both), ["channel-frozen"]);
    assert_eq!(decide(&[]), ["channel-frozen", "outside-window"]);
    for (name, person) in [("f1", bo), ("f2", cy)] {
        let approval = approval(&request, &[Override::Frozen, Override::Window]);
        add(name, &sign(&approval, &[&person.key]));
    }
    assert_eq!(decide(&both), Vec::<String>::new());
    let told = Decided::of(&site, &bundle, &both, Some(SOON)).detail("channel");
    assert!(told.contains("overridden by bo, cy"), "{told}");
}

#[test]
fn what_a_request_says_is_what_the_site_says_and_whoever_signs_it_requests_it() {
    let stage = stage();
    let [ada, bo, cy] = &stage.people;
    let decide = || Decided::of(&stage.site, &stage.bundle, &[], Some(SOON));
    let lies: [fn(&mut Subject); 3] = [
        |subject| subject.version = "9.0.0".parse().unwrap(),
        |subject| subject.product = "harmless".parse().unwrap(),
        |subject| subject.environment = Some("dev".parse().unwrap()),
    ];
    for (number, lie) in lies.iter().enumerate() {
        let mut request = stage.request.clone();
        lie(&mut request.subject);
        stage
            .add(&format!("lie{number}"), &sign(&request, &[&ada.key]))
            .ok();
        let word = sign(&lasting(&request), &[&bo.key]);
        stage.add(&format!("word{number}"), &word).ok();
        assert_eq!(decide().codes(), ["approvals-missing"], "lie {number}");
    }
    // Cy is operator, too, and signs a request of their own together with ada.
    let request = Request {
        reason: "together".into(),
        ..stage.request.clone()
    };
    stage
        .add("both", &sign(&request, &[&ada.key, &cy.key]))
        .ok();
    stage.add("cy", &sign(&lasting(&request), &[&cy.key])).ok();
    let told = decide().detail("approvals");
    assert!(told.contains("cy requested it"), "{told}");
    assert_eq!(decide().codes(), ["approvals-missing"]);
}

#[test]
fn an_approval_is_neither_from_the_future_nor_for_more_than_was_requested() {
    let stage = stage();
    let [_, bo, cy] = &stage.people;
    let future = Approval {
        issued: time("2046-01-01T00:00:00Z"),
        ..lasting(&stage.request)
    };
    stage
        .add("future", &sign(&future, &[&bo.key]))
        .fails_with("approval-unusable");
    // The request asks for no override.
    let more = Approval {
        overrides: vec![Override::Frozen, Override::Window],
        ..lasting(&stage.request)
    };
    stage.add("more", &sign(&more, &[&bo.key])).ok();
    stage.add("too", &sign(&more, &[&cy.key])).ok();
    set_policy(&stage.site, &stage.sandbox, "site", &{
        let all: String = stage.people.iter().map(Person::toml).collect();
        format!("{}{all}", POLICY.replace("manual", "frozen"))
    });
    let flags = ["--override", "frozen", "--override", "window"];
    let decided = Decided::of(&stage.site, &stage.bundle, &flags, Some(SOON));
    assert_eq!(decided.codes(), ["channel-frozen"]);
    // A withdrawal counts although a faster clock made the approval.
    let license = License {
        issued: time("2046-01-01T00:00:00Z"),
        ..license()
    };
    let key = vendor_key(&stage.vendor, "license");
    give(
        &stage.site,
        &stage.sandbox,
        "license",
        "future",
        &sign(&license, &[&key]),
    )
    .fails_with("license-unusable");
}

#[test]
fn a_secret_key_in_a_policy_is_never_repeated() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let site = Site::new(&sandbox, &vendor.root());
    let (key, _) = with_key(&sandbox, "ada", "\"operator\"");
    let secret = std::fs::read_to_string(key).unwrap();
    let words: String = secret.lines().nth(1).unwrap().into();
    for text in [
        secret.clone(),
        secret.lines().take(2).collect::<Vec<_>>().join("\n"),
    ] {
        let policy = format!(
            "format = 1\n[[people]]\nname = \"ada\"\nroles = [\"operator\"]\nkeys = [\"\"\"{text}\n\"\"\"]\n"
        );
        sandbox.write("bad/policy.toml", policy);
        let said = site.installer(args!["policy", "set", sandbox.join("bad")]);
        let said = said.fails_with("policy-invalid");
        let log = std::fs::read_to_string(site.state().join("audit/log.jsonl")).unwrap();
        for place in [said.stderr.as_str(), said.text(), &log] {
            assert!(!place.contains(&words), "{place}");
        }
    }
}
