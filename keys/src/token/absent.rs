//! What a program says of tokens that was built without them.

use super::TokenUri;
use crate::{
    error::{Code, Error, Result},
    key_file::PublicKey,
    passphrase::Passphrases,
    signer::Signer,
};

/// Refuses: see [`crate::token`].
pub fn open(uri: &TokenUri, _passphrases: &mut Passphrases) -> Result<Box<dyn Signer>> {
    Err(refusal(uri))
}

/// Refuses: see [`crate::token`].
pub fn public_key(uri: &TokenUri) -> Result<PublicKey> {
    Err(refusal(uri))
}

fn refusal(uri: &TokenUri) -> Error {
    let detail = "this program was built without PKCS#11";
    Error::new(Code::TokenUnsupported, uri, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passphrase::PassphraseSource;

    #[test]
    fn a_token_is_refused_with_a_code_of_its_own() {
        let uri = TokenUri::parse(b"pkcs11:token=x?pin-value=geheim").unwrap();
        let mut passphrases = Passphrases::new(PassphraseSource::Prompt);
        for error in [open(&uri, &mut passphrases).err(), public_key(&uri).err()] {
            let error = error.unwrap();
            assert_eq!(error.kind(), Some(Code::TokenUnsupported));
            assert!(!error.to_string().contains("geheim"), "{error}");
        }
    }
}
