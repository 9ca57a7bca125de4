//! Keys in PKCS#11 tokens (HSMs, smart cards): the secret key never leaves the token, it signs itself.
//!
//! [`TokenUri`] says which key. Everything that talks to a token needs the feature `pkcs11` and a program that
//! is linked dynamically, because a module is a library of the token's maker that is loaded while the program
//! runs; other builds refuse with a code of its own. See docs/decisions/0010-pkcs11.md.

#[cfg(not(all(
    feature = "pkcs11",
    not(any(target_env = "musl", target_feature = "crt-static"))
)))]
mod absent;
#[cfg(all(
    feature = "pkcs11",
    not(any(target_env = "musl", target_feature = "crt-static"))
))]
mod key;
mod parse;
mod uri;

#[cfg(not(all(
    feature = "pkcs11",
    not(any(target_env = "musl", target_feature = "crt-static"))
)))]
pub use self::absent::{open, public_key};
#[cfg(all(
    feature = "pkcs11",
    not(any(target_env = "musl", target_feature = "crt-static"))
))]
pub use self::key::{open, public_key};
pub use self::uri::{Kind, Module, Pin, SCHEME, TokenUri, URI_BYTES};
