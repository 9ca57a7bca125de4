//! One key of one token.

mod find;
mod module;

use std::sync::{Mutex, PoisonError};

use cryptoki::{
    error::{Error as Pkcs11Error, RvError},
    mechanism::{
        Mechanism,
        eddsa::{EddsaParams, EddsaSignatureScheme},
    },
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::Session,
};
use sealift_verifier::{
    digest::hex,
    tuf::{ED25519, threshold::verify_one},
};

use self::find::{Token, failure, listed, read_pin};
use super::{Kind, TokenUri};
use crate::{
    error::{Code, Error, Result},
    key_file::PublicKey,
    passphrase::Passphrases,
    signer::Signer,
};

/// DER before the 32 bytes of a point: an OCTET STRING of that length.
const OCTETS_32: [u8; 2] = [0x04, 0x20];

/// Opens the secret key that `uri` means. The PIN comes from the URI, else from `passphrases`.
pub fn open(uri: &TokenUri, passphrases: &mut Passphrases) -> Result<Box<dyn Signer>> {
    if uri.kind == Some(Kind::Public) {
        let detail =
            "has type=public, and signing takes the secret half: write type=private, or nothing";
        return Err(Error::new(Code::TokenUri, uri, detail));
    }
    let token = Token::find(uri)?;
    let session = token.session()?;
    token.log_in(&session, &mut |token| match &uri.pin {
        Some(pin) => read_pin(pin).map(Some),
        None => token.ask(passphrases),
    })?;
    let found = token.keys(&session, ObjectClass::PRIVATE_KEY)?;
    let key = token.only(&session, ObjectClass::PRIVATE_KEY, found)?;
    token.check_type(&key)?;
    let each_time = attribute(&session, key.handle, AttributeType::AlwaysAuthenticate);
    if each_time == Some(Attribute::AlwaysAuthenticate(true)) {
        let detail =
            format!("key {key} asks for the PIN with every signature, which is not supported");
        return Err(Error::new(Code::TokenFailed, uri, detail));
    }
    let public = token.public_half(&session, &key)?;
    Ok(Box::new(TokenSigner {
        session: Mutex::new(session),
        key: key.handle,
        public,
        subject: uri.to_string(),
    }))
}

/// The public key that `uri` means. It is no secret: a PIN is used only if the URI brings one, for tokens
/// that hide public keys from strangers.
pub fn public_key(uri: &TokenUri) -> Result<PublicKey> {
    let token = Token::find(uri)?;
    let session = token.session()?;
    if let Some(pin) = &uri.pin {
        token.log_in(&session, &mut |_| read_pin(pin).map(Some))?;
    }
    let found = token.keys(&session, ObjectClass::PUBLIC_KEY)?;
    let key = token.only(&session, ObjectClass::PUBLIC_KEY, found)?;
    token.check_type(&key)?;
    token.point(&session, &key)
}

/// A token that signs with one of its keys.
struct TokenSigner {
    session: Mutex<Session>,
    key: ObjectHandle,
    public: PublicKey,
    subject: String,
}

impl Signer for TokenSigner {
    fn public_key(&self) -> [u8; 32] {
        self.public.to_bytes()
    }

    /// A signature is given out only if it is one: by this key, over this message.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64]> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let mechanism = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure));
        let signature = session
            .sign(&mechanism, self.key, message)
            .map_err(|e| match e {
                Pkcs11Error::Pkcs11(RvError::DataLenRange | RvError::HostMemory, _) => Error::new(
                    Code::TokenFailed,
                    &self.subject,
                    format!("the token does not sign {} bytes at once", message.len()),
                ),
                e => failure(&self.subject, &e),
            })?;
        match <[u8; 64]>::try_from(signature.as_slice()) {
            Ok(bytes) if verify_one(&self.public.to_tuf(), message, &bytes, ED25519) => Ok(bytes),
            _ => Err(Error::new(
                Code::TokenSignature,
                &self.subject,
                "the token made a signature that its public key does not verify",
            )),
        }
    }
}

/// A key on a token, as far as it describes itself.
struct Key {
    handle: ObjectHandle,
    label: String,
    id: Vec<u8>,
    kind: Option<KeyType>,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = hex(&self.id);
        write!(
            f,
            "object={:?} id={id} ({})",
            self.label,
            type_name(self.kind)
        )
    }
}

impl Token<'_> {
    /// All keys of a class that fit the URI.
    fn keys(&self, session: &Session, class: ObjectClass) -> Result<Vec<Key>> {
        let mut template = vec![Attribute::Class(class)];
        template.extend(
            self.uri
                .object
                .iter()
                .map(|label| Attribute::Label(label.clone().into())),
        );
        template.extend(self.uri.id.iter().map(|id| Attribute::Id(id.clone())));
        self.search(session, &template)
    }

    fn search(&self, session: &Session, template: &[Attribute]) -> Result<Vec<Key>> {
        let handles = session
            .find_objects(template)
            .map_err(|e| self.failed(&e))?;
        Ok(handles
            .into_iter()
            .map(|handle| Key::read(session, handle))
            .collect())
    }

    /// The only one of the keys that were found; an error lists what is there.
    fn only(&self, session: &Session, class: ObjectClass, found: Vec<Key>) -> Result<Key> {
        let half = if class == ObjectClass::PUBLIC_KEY {
            "public"
        } else {
            "secret"
        };
        let list = |what: &str, keys: &[Key]| {
            let keys: Vec<String> = keys.iter().map(Key::to_string).collect();
            listed(&format!("{what} on token {:?}", self.info.label()), &keys)
        };
        if found.len() > 1 {
            let detail = list(&format!("several {half} keys fit"), &found);
            return Err(Error::new(Code::TokenKeyAmbiguous, self.uri, detail));
        }
        if let Some(key) = found.into_iter().next() {
            return Ok(key);
        }
        let all = self.search(session, &[Attribute::Class(class)])?;
        let detail = list(&format!("no {half} key fits"), &all);
        Err(Error::new(Code::TokenKeyNotFound, self.uri, detail))
    }

    fn check_type(&self, key: &Key) -> Result<()> {
        if key.kind == Some(KeyType::EC_EDWARDS) {
            return Ok(());
        }
        let detail = format!("key {key} is not Ed25519");
        Err(Error::new(Code::KeyType, self.uri, detail))
    }

    /// The public key that belongs to a secret one: the object with the same id, as PKCS#11 has it; where
    /// keys have no id, the one with the same label.
    fn public_half(&self, session: &Session, key: &Key) -> Result<PublicKey> {
        let same = if key.id.is_empty() {
            Attribute::Label(key.label.clone().into())
        } else {
            Attribute::Id(key.id.clone())
        };
        let class = Attribute::Class(ObjectClass::PUBLIC_KEY);
        let halves = self.search(session, &[class, same])?;
        let mut points = Vec::new();
        for half in &halves {
            points.push(self.point(session, half)?);
        }
        points.dedup();
        match points[..] {
            [point] => Ok(point),
            [] => Err(Error::new(
                Code::TokenKeyNotFound,
                self.uri,
                format!("the token has no public key beside the secret key {key}"),
            )),
            _ => Err(Error::new(
                Code::TokenKeyAmbiguous,
                self.uri,
                format!("the token has several public keys beside the secret key {key}"),
            )),
        }
    }

    /// The point of a public key. Tokens give it raw, or as an OCTET STRING around it (PKCS#11 3.0 and what
    /// was before it differ).
    fn point(&self, session: &Session, key: &Key) -> Result<PublicKey> {
        let bytes = match attribute(session, key.handle, AttributeType::EcPoint) {
            Some(Attribute::EcPoint(bytes)) => bytes,
            _ => Vec::new(),
        };
        let raw = match bytes.strip_prefix(&OCTETS_32) {
            Some(raw) if raw.len() == 32 => raw,
            _ => &bytes,
        };
        let point = <[u8; 32]>::try_from(raw).map_err(|_| {
            let detail = format!(
                "key {key} has a point of {} bytes: it is not Ed25519",
                bytes.len()
            );
            Error::new(Code::KeyType, self.uri, detail)
        })?;
        PublicKey::from_bytes(point, &self.uri.to_string())
    }
}

impl Key {
    /// What a key does not tell stays empty: it is for people, and for finding its other half.
    fn read(session: &Session, handle: ObjectHandle) -> Self {
        let label = match attribute(session, handle, AttributeType::Label) {
            Some(Attribute::Label(label)) => String::from_utf8_lossy(&label).into_owned(),
            _ => String::new(),
        };
        let id = match attribute(session, handle, AttributeType::Id) {
            Some(Attribute::Id(id)) => id,
            _ => Vec::new(),
        };
        let kind = match attribute(session, handle, AttributeType::KeyType) {
            Some(Attribute::KeyType(key_type)) => Some(key_type),
            _ => None,
        };
        Self {
            handle,
            label,
            id,
            kind,
        }
    }
}

/// One attribute, if the token gives it in a form that the standard knows.
fn attribute(session: &Session, handle: ObjectHandle, kind: AttributeType) -> Option<Attribute> {
    session
        .get_attributes(handle, &[kind])
        .ok()?
        .into_iter()
        .next()
}

fn type_name(kind: Option<KeyType>) -> String {
    match kind {
        Some(KeyType::EC_EDWARDS) => "Edwards curve".into(),
        Some(KeyType::RSA) => "RSA".into(),
        Some(KeyType::EC) => "ECDSA".into(),
        Some(KeyType::EC_MONTGOMERY) => "X25519 or X448".into(),
        Some(other) => other.to_string(),
        None => "of unknown type".into(),
    }
}
