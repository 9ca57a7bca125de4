//! Which token and which key a URI means: exactly one of each, or an error that lists what is there.

use sealift_tests::{
    args,
    sandbox::Sandbox,
    token::{MODULE, Tokens, plain_uri},
};
use serde_json::Value;

#[test]
fn every_attribute_has_to_match() {
    let sandbox = Sandbox::new();
    let tokens = Tokens::new(&sandbox, "The Token");
    tokens.key("The Token", "a/b", "0102");
    let ask = |attributes: &str| tokens.keys(args!["public", plain_uri(attributes)]).run();
    // What SoftHSM2 says of itself, as OpenSC reads it.
    let tool = |args: &[&str]| {
        let tool = tokens.with(sandbox.tool("pkcs11-tool"));
        let said = tool.args(["--module", MODULE]).args(args).run().ok();
        said.text().to_owned()
    };
    let field = |text: &str, name: &str| -> String {
        let value = text
            .lines()
            .find_map(|line| line.trim_start().strip_prefix(name));
        let value = value.unwrap_or_else(|| panic!("{name}: {text}"));
        value.trim_start_matches([' ', ':']).replace(' ', "%20")
    };
    let slots = tool(&["-L"]);
    let library = field(&tool(&["-I"]), "Library");
    let (library, version) = library.split_once("%20(ver%20").unwrap();
    let slot = field(&slots, "Slot 0 (0x");
    let (slot, description) = slot.split_once("):%20").unwrap();
    let slot = u64::from_str_radix(slot, 16).unwrap().to_string();
    for (attribute, right) in [
        ("token", "The%20Token".into()),
        ("manufacturer", field(&slots, "token manufacturer")),
        ("model", field(&slots, "token model")),
        ("serial", field(&slots, "serial num")),
        (
            "library-manufacturer",
            field(&tool(&["-I"]), "Manufacturer"),
        ),
        ("library-description", library.to_owned()),
        ("library-version", version.trim_end_matches(')').to_owned()),
        ("slot-description", description.to_owned()),
        ("slot-manufacturer", field(&slots, "token manufacturer")),
        ("slot-id", slot),
    ] {
        ask(&format!("{attribute}={right}")).ok();
        let wrong = if matches!(attribute, "library-version" | "slot-id") {
            "7"
        } else {
            "other"
        };
        let said = ask(&format!("{attribute}={wrong}")).fails_with("token-not-found");
        let there = if attribute.starts_with("library") {
            "library-version="
        } else {
            "token=\"The Token\""
        };
        assert!(said.stderr.contains(there), "{attribute}: {}", said.stderr);
    }
    for (attribute, right, wrong) in [
        ("object", "a%2Fb", "a"),
        ("id", "%01%02", "%01"),
        ("id", "%01%02", ""),
    ] {
        ask(&format!("{attribute}={right}")).ok();
        let said = ask(&format!("{attribute}={wrong}")).fails_with("token-key-not-found");
        let there = "object=\"a/b\" id=0102 (Edwards curve)";
        assert!(said.stderr.contains(there), "{}", said.stderr);
    }
    // Whichever half is meant, the public one is asked for.
    ask("type=public").ok();
    ask("type=private").ok();
}

#[test]
fn several_tokens_or_keys_are_none() {
    let sandbox = Sandbox::new();
    let tokens = Tokens::new(&sandbox, "T");
    tokens.plug_in("T");
    let said = tokens.keys(args!["public", plain_uri("token=T")]).run();
    let said = said.fails_with("token-ambiguous");
    let serials: Vec<&str> = said
        .stderr
        .split("serial=\"")
        .skip(1)
        .map(|s| s.split('"').next().unwrap())
        .collect();
    assert_eq!(serials.len(), 2, "{}", said.stderr);
    // With a serial number it is one, which has no keys yet.
    let uri = plain_uri(&format!("token=T;serial={}", serials[0]));
    let said = tokens
        .keys(args!["public", uri])
        .run()
        .fails_with("token-key-not-found");
    assert!(said.stderr.contains("there is none"), "{}", said.stderr);

    let tokens = Tokens::new(&Sandbox::new(), "U");
    tokens.key("U", "key", "01");
    tokens.key("U", "key", "02");
    let said = tokens.keys(args!["public", plain_uri("object=key")]).run();
    let said = said.fails_with("token-key-ambiguous");
    assert!(
        said.stderr.contains("id=01") && said.stderr.contains("id=02"),
        "{}",
        said.stderr
    );
    let id = |id: &str| -> Value {
        let public = args!["public", plain_uri(&format!("id={id}")), "--output", "json"];
        tokens.keys(public).run().ok().json()["keyid"].take()
    };
    assert_ne!(id("%01"), id("%02"));
}

#[test]
fn only_keys_for_ed25519_sign() {
    let sandbox = Sandbox::new();
    let tokens = Tokens::new(&sandbox, "T");
    let request = super::faults::request(&sandbox);
    for (kind, name, more) in [
        ("rsa:2048", "rsa", &[][..]),
        ("EC:prime256v1", "p256", &[]),
        ("EC:edwards25519", "each time", &["--always-auth"]),
    ] {
        let make = ["--keypairgen", "--key-type", kind, "--label", name];
        tokens.tool("T", &make).args(more).run().ok();
    }
    tokens.key("T", "lonely", "77");
    let delete = ["--delete-object", "--type", "pubkey", "--id", "77"];
    tokens.tool("T", &delete).run().ok();
    for (object, code, says) in [
        ("rsa", "key-type", "(RSA) is not Ed25519"),
        ("p256", "key-type", "(ECDSA) is not Ed25519"),
        (
            "each%20time",
            "token-failed",
            "asks for the PIN with every signature",
        ),
        (
            "lonely",
            "token-key-not-found",
            "has no public key beside the secret key object=\"lonely\" id=77",
        ),
        ("lonely;type=public", "token-uri-invalid", "has type=public"),
    ] {
        let uri = tokens.uri(&format!("object={object}"));
        let said = tokens
            .keys(args!["sign", request, "--key", uri])
            .run()
            .fails_with(code);
        assert!(said.stderr.contains(says), "{object}: {}", said.stderr);
    }
    for (object, code) in [("rsa", "key-type"), ("lonely", "token-key-not-found")] {
        let uri = plain_uri(&format!("object={object}"));
        tokens.keys(args!["public", uri]).run().fails_with(code);
    }
}
