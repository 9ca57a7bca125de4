//! Keys in PKCS#11 tokens, with SoftHSM2 as the token: what they sign is taken by everybody who knows nothing
//! of tokens, and whatever goes wrong with one is said and changes nothing.

mod attributes;
mod ceremony;
mod faults;
