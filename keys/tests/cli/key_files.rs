//! Key files: made, read, refused; and OpenSSL's view of them.

use crate::support::Place;

#[test]
fn init_makes_all_keys_and_a_root_signed_by_all() {
    let place = Place::new();
    let made = place.keys("init v --passphrase-file pass").ok();
    assert_eq!(
        place.files("v"),
        [
            "license.pem",
            "license.pub.pem",
            "release.pem",
            "release.pub.pem",
            "root-1.pem",
            "root-1.pub.pem",
            "root-2.pem",
            "root-2.pub.pem",
            "root-3.pem",
            "root-3.pub.pem",
            "root/1.root.json",
        ]
    );
    assert_eq!(place.mode("v"), 0o700);
    for key in ["license", "release", "root-1", "root-2", "root-3"] {
        assert_eq!(place.mode(&format!("v/{key}.pem")), 0o600);
        assert_eq!(place.mode(&format!("v/{key}.pub.pem")), 0o644);
        let pem = String::from_utf8(place.read(&format!("v/{key}.pem"))).unwrap();
        assert!(
            pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"),
            "{pem}"
        );
    }
    let shown = place.keys("root show v/root/1.root.json").ok();
    assert_eq!(shown["version"], 1);
    assert_eq!(shown["complete"], true);
    assert_eq!(shown["development"], false);
    assert_eq!(
        shown["progress"]["new"],
        serde_json::json!({ "signed": 3, "needed": 2 })
    );
    assert_eq!(shown["fingerprint"], made["fingerprint"]);
    for verb in ["root fingerprint", "fingerprint"] {
        let told = place.keys(&format!("{verb} v/root/1.root.json")).ok();
        assert_eq!(told["fingerprint"], made["fingerprint"]);
    }
    let sum = place.shell("sha256sum v/root/1.root.json");
    assert!(
        sum.text()
            .starts_with(made["fingerprint"].as_str().unwrap())
    );
    let signed = &place.json("v/root/1.root.json")["signed"];
    assert_eq!(signed["sealift"]["license"]["threshold"], 1);
    assert_eq!(signed["sealift"].get("development"), None);
    assert_eq!(signed["roles"]["targets"], signed["roles"]["timestamp"]);
}

#[test]
fn several_release_keys_are_numbered_and_development_is_said() {
    let place = Place::new();
    let expires = "2999-01-01T00:00:00Z";
    let run = place.keys(&format!(
        "init v --dev --root-keys 1 --release-keys 3 --release-threshold 2 --expires {expires}"
    ));
    run.ok();
    assert!(run.stderr().contains("throw-away"));
    assert!(place.exists("v/root-1.pem") && place.exists("v/release-3.pem"));
    assert!(!place.exists("v/release.pem"));
    let signed = &place.json("v/root/1.root.json")["signed"];
    assert_eq!(signed["sealift"]["development"], true);
    assert_eq!(signed["roles"]["targets"]["threshold"], 2);
    assert_eq!(signed["roles"]["root"]["threshold"], 1);
    assert_eq!(signed["expires"], expires);
    place.openssl("pkey -in v/release-1.pem -noout").text();
    assert!(
        place
            .shell("$KEYS root show v/root/1.root.json")
            .text()
            .contains("DEVELOPMENT")
    );
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    let place = Place::new();
    for (umask, folder) in [("000", "a"), ("077", "b")] {
        place
            .shell(&format!("umask {umask} && $KEYS init {folder} --dev"))
            .text();
        assert_eq!(
            place.mode(&format!("{folder}/release.pem")),
            0o600,
            "{umask}"
        );
        assert_eq!(
            place.mode(&format!("{folder}/release.pub.pem")),
            0o644,
            "{umask}"
        );
        assert_eq!(
            place.mode(&format!("{folder}/root/1.root.json")),
            0o644,
            "{umask}"
        );
    }
}

#[test]
fn nothing_is_overwritten_and_nothing_half_made_stays() {
    let place = Place::new();
    place.keys("init v --dev").ok();
    let before = place.read("v/release.pem");
    place.keys("init v --dev").fails("already-exists", 1);
    place
        .keys("generate v/release.pem --dev")
        .fails("already-exists", 1);
    assert_eq!(place.read("v/release.pem"), before);

    // One file of the eleven is there already, another is not ours: both stay as they are.
    place.copy("v/license.pub.pem", "w/license.pub.pem");
    place.copy("pass", "w/notes");
    place.keys("init w --dev").fails("already-exists", 1);
    assert_eq!(place.files("w"), ["license.pub.pem", "notes"]);
    // A file stands where a folder has to be.
    place.copy("pass", "x/root");
    place.keys("init x --dev").fails("already-exists", 1);
    assert_eq!(place.files("x"), ["root"]);

    for (arguments, code, exit) in [
        ("--dev --root-threshold 4", "threshold-unreachable", 1),
        ("--dev --root-threshold 0", "threshold-unreachable", 1),
        ("--dev --release-threshold 2", "threshold-unreachable", 1),
        ("--dev --root-keys 0", "usage", 2),
        ("--dev --passphrase-file pass", "usage", 2),
        ("--dev --expires 2020-01-01T00:00:00Z", "expiry-in-past", 1),
        ("--dev --expires tomorrow", "usage", 2),
        ("--passphrase-file missing", "not-found", 1),
        ("--passphrase-file pass --passphrase-fd 3", "usage", 2),
    ] {
        place.keys(&format!("init n {arguments}")).fails(code, exit);
        assert!(!place.exists("n"), "{arguments}");
    }
    assert_eq!(
        place.files("."),
        place
            .files(".")
            .into_iter()
            .filter(|f| !f.starts_with('.'))
            .collect::<Vec<_>>()
    );
    // A folder that is there, with other things in it, is fine.
    place.copy("pass", "y/notes");
    place.keys("init y --dev").ok();
    assert_eq!(place.files("y").len(), 12);
}

#[test]
fn a_read_only_folder_stays_empty() {
    let place = Place::new();
    // Root may write anywhere, so a file system that refuses is needed: /proc has no folders to make.
    place.keys("init /proc/sealift --dev").fails("not-found", 1);
    place.keys("init missing/v --dev").fails("not-found", 1);
    assert!(!place.exists("missing"));
}

#[test]
fn openssl_reads_our_keys() {
    let place = Place::new();
    place.keys("generate k.pem --passphrase-file pass").ok();
    let public = place
        .openssl("pkey -in k.pem -passin file:pass -pubout")
        .text()
        .to_owned();
    assert_eq!(public.as_bytes(), place.read("k.pub.pem"));
    place.write("wrong", "correct hors");
    place
        .openssl("pkey -in k.pem -passin file:wrong -noout")
        .fails_somehow();
    assert!(
        place
            .openssl("asn1parse -in k.pem")
            .text()
            .contains("scrypt")
    );

    place.keys("generate plain.pem --dev").ok();
    let public = place
        .openssl("pkey -in plain.pem -pubout")
        .text()
        .to_owned();
    assert_eq!(public.as_bytes(), place.read("plain.pub.pem"));
    // Signing by either is the same: Ed25519 is deterministic. The id of the key is, too.
    let id = place.keys("fingerprint plain.pem").ok();
    assert_eq!(id, place.keys("fingerprint plain.pub.pem").ok());
}

#[test]
fn we_read_openssl_keys() {
    let place = Place::new();
    place
        .openssl("genpkey -algorithm ed25519 -out k.pem")
        .text();
    place
        .openssl("pkey -in k.pem -pubout -out k.pub.pem")
        .text();
    let id = place.keys("fingerprint k.pub.pem").ok();
    assert_eq!(place.keys("fingerprint k.pem").ok(), id);
    for way in [
        "-v2 aes-256-cbc",
        "-v2 aes-128-cbc",
        "-v2 aes-192-cbc",
        "-v2 aes-256-cbc -v2prf hmacWithSHA512",
        "-v2 aes-256-cbc -iter 600000",
        "-scrypt",
        "-scrypt -scrypt_N 32768 -scrypt_r 7 -scrypt_p 5",
    ] {
        place
            .openssl(&format!(
                "pkcs8 -topk8 -in k.pem -out e.pem -passout file:pass {way}"
            ))
            .text();
        assert_eq!(
            place.keys("fingerprint e.pem --passphrase-file pass").ok(),
            id,
            "{way}"
        );
    }
    for way in [
        "-v1 PBE-SHA1-3DES",
        "-v2 des3",
        "-v2 aes-256-cbc -v2prf hmacWithSHA1",
    ] {
        place
            .openssl(&format!(
                "pkcs8 -topk8 -in k.pem -out e.pem -passout file:pass {way}"
            ))
            .text();
        place
            .keys("fingerprint e.pem --passphrase-file pass")
            .fails("encryption-unsupported", 1);
    }
}

#[test]
fn the_passphrase_comes_from_a_descriptor_or_a_file() {
    let place = Place::new();
    place
        .shell("$KEYS generate k.pem --passphrase-fd 3 3<pass")
        .text();
    let id = place.shell("$KEYS fingerprint k.pub.pem").text().to_owned();
    let piped = "printf 'correct horse' | $KEYS fingerprint k.pem --passphrase-fd 0";
    assert_eq!(place.shell(piped).text(), id);
    // A pipe can be read once only, and serves all five keys.
    place
        .shell("cat pass | $KEYS init v --passphrase-fd 0")
        .text();
    place
        .openssl("pkey -in v/license.pem -passin file:pass -noout")
        .text();

    place
        .keys("fingerprint k.pem --passphrase-fd 9")
        .fails("not-found", 1);
    place
        .keys("fingerprint k.pem --passphrase-file .")
        .fails("io", 1);
    place
        .keys("fingerprint k.pem --passphrase-file /dev/null")
        .fails("passphrase-empty", 1);
    place
        .keys("fingerprint k.pem --passphrase-file /dev/zero")
        .fails("passphrase-too-long", 1);
    for (content, code) in [
        ("wrong", "passphrase-wrong"),
        ("correct horse ", "passphrase-wrong"),
        ("\n", "passphrase-empty"),
    ] {
        place.write("other", content);
        place
            .keys("fingerprint k.pem --passphrase-file other")
            .fails(code, 1);
    }
    // Nobody to ask.
    let nobody = place.shell("setsid -w $KEYS --output json fingerprint k.pem");
    nobody.fails("passphrase-unavailable", 1);
}

#[test]
fn what_is_no_key_of_ours_is_named() {
    let place = Place::new();
    place.keys("init v --dev").ok();
    place.openssl("genpkey -algorithm rsa -out rsa.pem").text();
    place
        .openssl("rsa -in rsa.pem -traditional -out rsa-old.pem")
        .text();
    place
        .openssl("rsa -in rsa.pem -pubout -out rsa.pub.pem")
        .text();
    place
        .openssl("ecparam -name prime256v1 -genkey -noout -out ec.pem")
        .text();
    place
        .openssl("genpkey -algorithm x25519 -out x25519.pem")
        .text();
    place
        .openssl("genpkey -algorithm ed448 -out ed448.pem")
        .text();
    place
        .openssl("pkcs8 -topk8 -in rsa.pem -out rsa-enc.pem -passout file:pass")
        .text();
    let pem = place.read("v/root-1.pem");
    place.write("cut.pem", &pem[..pem.len() / 2]);
    place.write("empty.pem", "");
    place.write("big.pem", vec![b'a'; 20 << 10]);
    place.shell("mkfifo pipe.pem").text();
    place.keys("root renew v/root").ok();
    for (key, code) in [
        ("rsa.pem", "key-type"),
        ("rsa-old.pem", "key-type"),
        ("rsa-enc.pem", "key-type"),
        ("ec.pem", "key-type"),
        ("x25519.pem", "key-type"),
        ("ed448.pem", "key-type"),
        ("cut.pem", "pem-invalid"),
        ("empty.pem", "pem-invalid"),
        ("v/root/1.root.json", "pem-invalid"),
        ("big.pem", "file-too-large"),
        ("v", "not-a-regular-file"),
        ("pipe.pem", "not-a-regular-file"),
        ("missing.pem", "not-found"),
        ("v/root-1.pub.pem", "public-key-given"),
        ("v/release.pem", "key-not-entitled"),
    ] {
        let arguments =
            format!("root sign v/root/2.root.draft.json --passphrase-file pass --key {key}");
        place.keys(&arguments).fails(code, 1);
    }
    for (key, code) in [
        ("rsa.pub.pem", "key-type"),
        ("v/root-1.pem", "secret-key-given"),
        ("cut.pem", "pem-invalid"),
        ("v/root-1.pub.pem", "key-already-in-role"),
        ("v/license.pub.pem", "key-in-two-roles"),
    ] {
        place
            .keys(&format!("root add-key v/root --role root {key}"))
            .fails(code, 1);
    }
}

#[test]
fn completions_and_manual_pages_are_there() {
    let place = Place::new();
    assert!(
        place
            .shell("$KEYS completions bash")
            .text()
            .contains("sealift-keys")
    );
    let page = |name: &str| place.shell(&format!("$KEYS man pages && cat pages/{name}"));
    assert!(page("sealift-keys.1").text().contains(".TH sealift-keys 1"));
    assert!(
        page("sealift-keys-root-sign.1")
            .text()
            .contains(".TH sealift-keys-root-sign 1")
    );
    place.keys("man").fails("usage", 2);
    place.keys("fly").fails("usage", 2);
    assert!(place.shell("$KEYS --help").text().contains("Exit codes"));
    // A passphrase has no place on the command line or in the environment.
    place.keys("init v --passphrase secret").fails("usage", 2);
}
