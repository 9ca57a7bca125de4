//! PKCS#11 URIs (RFC 7512): which key, on which token, behind which module, and where the PIN is.
//!
//! What we do not know, we refuse: an attribute that is ignored could have told two keys apart.

use std::{
    fmt::{self, Write as _},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::parse;
use crate::error::{Code, Error, Result};

/// The scheme, with its colon.
pub const SCHEME: &str = "pkcs11:";
/// Longest URI in bytes.
pub const URI_BYTES: usize = 4096;

/// A PKCS#11 URI. Every attribute that is given has to match; one that is not matches everything.
///
/// It is shown without its `pin-value`.
///
/// ```
/// use sealift_keys::token::TokenUri;
/// let uri = TokenUri::parse(b"pkcs11:token=HSM;id=%01?pin-value=1234")?;
/// assert_eq!(uri.to_string(), "pkcs11:token=HSM;id=%01");
/// assert!(TokenUri::parse(b"pkcs11:tokn=HSM").is_err());
/// # Ok::<(), sealift_keys::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TokenUri {
    /// The label of the token.
    pub token: Option<String>,
    /// Who made the token.
    pub manufacturer: Option<String>,
    /// The serial number of the token.
    pub serial: Option<String>,
    /// The model of the token.
    pub model: Option<String>,
    /// Who made the module.
    pub library_manufacturer: Option<String>,
    /// What the module says of itself.
    pub library_description: Option<String>,
    /// The version of the module, major and minor.
    pub library_version: Option<(u8, u8)>,
    /// The label of the key.
    pub object: Option<String>,
    /// Which half of the key is meant.
    pub kind: Option<Kind>,
    /// The `CKA_ID` of the key.
    pub id: Option<Vec<u8>>,
    /// What the slot says of itself.
    pub slot_description: Option<String>,
    /// Who made the slot.
    pub slot_manufacturer: Option<String>,
    /// The number of the slot.
    pub slot_id: Option<u64>,
    /// Which module leads to the token.
    pub module: Option<Module>,
    /// Where the PIN is; a person is asked otherwise.
    pub pin: Option<Pin>,
}

/// The attribute `type`, as far as it concerns keys that sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The secret half.
    Private,
    /// The public half.
    Public,
}

/// Which module leads to the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Module {
    /// `module-path`: an absolute path.
    Path(PathBuf),
    /// `module-name`: a file in the folders where modules are.
    Name(String),
}

/// Where the PIN is.
#[derive(Clone, PartialEq, Eq)]
pub enum Pin {
    /// `pin-value`: the PIN itself.
    Value(Zeroizing<Vec<u8>>),
    /// `pin-source`: the first line of a file.
    Source(PathBuf),
}

impl TokenUri {
    /// Whether an argument is meant as a URI of this scheme (RFC 3986 3.1: whatever its case).
    pub fn is_meant(argument: &[u8]) -> bool {
        argument
            .get(..SCHEME.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(SCHEME.as_bytes()))
    }

    /// Reads a URI, and tells all that is wrong with it. No error shows what is in it: it may be a PIN
    /// in a wrong place.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        parse::read(bytes)
            .map_err(|problems| Error::new(Code::TokenUri, "the PKCS#11 URI", problems.join("; ")))
    }
}

impl fmt::Display for TokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut path = Vec::new();
        for (name, value) in [
            ("token", &self.token),
            ("manufacturer", &self.manufacturer),
            ("serial", &self.serial),
            ("model", &self.model),
            ("library-manufacturer", &self.library_manufacturer),
            ("library-description", &self.library_description),
            ("object", &self.object),
            ("slot-description", &self.slot_description),
            ("slot-manufacturer", &self.slot_manufacturer),
        ] {
            path.extend(
                value
                    .iter()
                    .map(|v| format!("{name}={}", encoded(v.as_bytes(), unreserved))),
            );
        }
        if let Some((major, minor)) = self.library_version {
            path.push(format!("library-version={major}.{minor}"));
        }
        if let Some(id) = &self.id {
            path.push(format!("id={}", encoded(id, |_| false)));
        }
        if let Some(id) = self.slot_id {
            path.push(format!("slot-id={id}"));
        }
        match self.kind {
            Some(Kind::Private) => path.push("type=private".into()),
            Some(Kind::Public) => path.push("type=public".into()),
            None => {}
        }
        let of_path = |path: &Path| {
            encoded(path.as_os_str().as_encoded_bytes(), |b| {
                unreserved(b) || b == b'/'
            })
        };
        let mut query = Vec::new();
        match &self.module {
            Some(Module::Path(path)) => query.push(format!("module-path={}", of_path(path))),
            Some(Module::Name(name)) => {
                query.push(format!(
                    "module-name={}",
                    encoded(name.as_bytes(), unreserved)
                ));
            }
            None => {}
        }
        if let Some(Pin::Source(path)) = &self.pin {
            query.push(format!("pin-source=file://{}", of_path(path)));
        }
        let mark = if query.is_empty() { "" } else { "?" };
        write!(f, "{SCHEME}{}{mark}{}", path.join(";"), query.join("&"))
    }
}

/// Without the PIN.
impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("Value(…)"),
            Self::Source(path) => write!(f, "Source({path:?})"),
        }
    }
}

/// Without the PIN.
impl fmt::Debug for TokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Percent-encoded (RFC 3986 2.1), but for the bytes that are `kept`.
fn encoded(bytes: &[u8], kept: fn(u8) -> bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if kept(*byte) {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// RFC 3986 2.3.
fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_error_and_no_form_shows_a_pin() {
        for uri in [
            "pkcs11:token=x?pin-value=geheim",
            "pkcs11:token=x;pin-value=geheim",
            "pkcs11:token=x?pin_value=geheim",
            "pkcs11:token=x?geheim",
            "pkcs11:token=x?pin-value=geheim%0a",
            "pkcs11:token=x?pin-value=geheim%",
            "pkcs11:token=x?pin-value=geheim&pin-value=geheim",
        ] {
            let said = match TokenUri::parse(uri.as_bytes()) {
                Ok(uri) => format!("{uri} {uri:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!said.contains("geheim"), "{said}");
        }
    }

    fn text() -> impl Strategy<Value = Option<String>> {
        prop::option::of(prop_oneof![any::<String>(), "[a-z ;&?=%/]{0,8}"])
    }

    fn path() -> impl Strategy<Value = PathBuf> {
        "/[^\0]{0,20}".prop_map(PathBuf::from)
    }

    prop_compose! {
        fn uri()(
            texts in prop::collection::vec(text(), 9),
            id in prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
            slot_id: Option<u64>,
            library_version: Option<(u8, u8)>,
            kind in prop::option::of(prop_oneof![Just(Kind::Private), Just(Kind::Public)]),
            module in prop::option::of(prop_oneof![
                path().prop_map(Module::Path),
                "[^/\0]{1,20}".prop_map(Module::Name),
            ]),
            pin in prop::option::of(path().prop_map(Pin::Source)),
        ) -> TokenUri {
            let mut texts = texts.into_iter();
            let mut next = || texts.next().flatten();
            TokenUri {
                token: next(),
                manufacturer: next(),
                serial: next(),
                model: next(),
                library_manufacturer: next(),
                library_description: next(),
                library_version,
                object: next(),
                kind,
                id,
                slot_description: next(),
                slot_manufacturer: next(),
                slot_id,
                module,
                pin,
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(uri in uri()) {
            let text = uri.to_string();
            prop_assume!(text.len() <= URI_BYTES);
            prop_assert_eq!(TokenUri::parse(text.as_bytes()).unwrap(), uri);
        }

        #[test]
        fn any_bytes_as_a_uri_never_panic(bytes: Vec<u8>, text in "pkcs11:[a-z=;&?%0-9/-]{0,60}") {
            let _ = TokenUri::parse(&bytes);
            let _ = TokenUri::parse(text.as_bytes());
            let _ = TokenUri::parse(&[SCHEME.as_bytes(), &bytes].concat());
        }

        #[test]
        fn a_pin_goes_in_and_never_comes_out(pin in "[A-Z]{12}", token in "[a-z]{0,8}") {
            let text = format!("pkcs11:token={token}?pin-value={pin}");
            let uri = TokenUri::parse(text.as_bytes()).unwrap();
            let same = uri.pin == Some(Pin::Value(Zeroizing::new(pin.clone().into_bytes())));
            prop_assert!(same);
            let shown = format!("{uri}{uri:?}");
            prop_assert!(!shown.contains(&pin));
        }
    }
}
