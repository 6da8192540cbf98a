//! Who may use the exchange: API keys, the account that each is for, what each may do, and the secret or public key that its
//! signatures are checked with. Keys are given, or derived from a seed; nothing here is random. A secret is shown only where
//! the exchange's owner asks for it, and never by `Debug`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::VerifyingKey;
use hmac::{Hmac, KeyInit as _};
use sha2::Sha256;

use crate::domain::ids::{AccountId, NameError};
use crate::domain::time::Timestamp;

/// The venue's keys and secrets are this long.
const KEY_LENGTH: usize = 64;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// What stands before the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410).
const ED25519_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What a route asks of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    Reading,
    SpotTrading,
    Futures,
}

/// What a key may do, as `apiRestrictions` reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    pub reading: bool,
    pub spot_trading: bool,
    pub futures: bool,
    pub withdrawals: bool,
    pub transfers: bool,
    /// Empty: any address.
    pub addresses: Vec<IpAddr>,
}

/// A key that trades on both markets and can move no money out.
impl Default for Permissions {
    fn default() -> Self {
        Self { reading: true, spot_trading: true, futures: true, withdrawals: false, transfers: false, addresses: Vec::new() }
    }
}

impl Permissions {
    #[must_use]
    pub fn allow(&self, permission: Permission, from: IpAddr) -> bool {
        let granted = match permission {
            Permission::Reading => self.reading,
            Permission::SpotTrading => self.spot_trading,
            Permission::Futures => self.futures,
        };
        granted && (self.addresses.is_empty() || self.addresses.contains(&from.to_canonical()))
    }
}

/// What a signature is checked with.
#[derive(Clone)]
pub enum Credential {
    /// The state after the secret, which every signature begins from.
    Hmac(Hmac<Sha256>),
    Ed25519(VerifyingKey),
}

/// One API key.
pub struct Key {
    pub name: String,
    pub account: AccountId,
    pub api_key: String,
    /// As it was given: an HMAC secret, or an Ed25519 public key.
    pub secret: String,
    pub credential: Credential,
    pub permissions: Permissions,
    pub created_at: Timestamp,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("name", &self.name).field("account", &self.account).finish_non_exhaustive()
    }
}

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("a key expected NAME:KEY:SECRET, found {0} part(s); SECRET is an HMAC secret or an Ed25519 public key in PEM")]
    Parts(usize),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("the API key of {name} expected 1 to 128 letters, digits, '-' or '_', found {found:?}")]
    Format { name: String, found: String },
    #[error("the API key of {0} is another's already; give each its own")]
    Taken(String),
    #[error(
        "the secret of {0} expected an Ed25519 public key (PEM with BEGIN PUBLIC KEY, or ed25519: and its 32 bytes in base64), found something else; RSA keys are not taken"
    )]
    Pem(String),
}

impl Key {
    /// # Errors
    /// When the name, the key or the PEM is none.
    pub fn new(name: &str, api_key: &str, secret: &str) -> Result<Self, KeyError> {
        let account = AccountId::new(name)?;
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if api_key.is_empty() || api_key.len() > 2 * KEY_LENGTH || !api_key.bytes().all(legal) {
            return Err(KeyError::Format { name: name.to_owned(), found: api_key.to_owned() });
        }
        Ok(Self {
            name: name.to_owned(),
            account,
            api_key: api_key.to_owned(),
            secret: secret.to_owned(),
            credential: credential(name, secret)?,
            permissions: Permissions::default(),
            created_at: Timestamp::ZERO,
        })
    }

    /// `NAME:KEY:SECRET`, as the command line takes it. A backslash and an `n` in a PEM are a line's end.
    ///
    /// # Errors
    /// When it has not three parts, or one of them is wrong.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let parts: Vec<&str> = text.splitn(3, ':').collect();
        let [name, api_key, secret] = parts[..] else { return Err(KeyError::Parts(parts.len())) };
        Self::new(name, api_key, &secret.replace("\\n", "\n"))
    }

    /// A key that is the same for the same seed and name.
    ///
    /// # Errors
    /// When the name is none.
    pub fn derived(seed: &[u8; 32], name: &str) -> Result<Self, KeyError> {
        let text =
            |purpose: &str| letters(&mut blake3::Hasher::new_keyed(seed).update(format!("{purpose}/{name}").as_bytes()).finalize_xof());
        Self::new(name, &text("api key"), &text("secret"))
    }

    #[must_use]
    pub fn with_permissions(mut self, permissions: Permissions) -> Self {
        self.permissions = permissions;
        self
    }
}

/// Letters and digits, each as likely as any other: bytes that would favour some are passed over.
fn letters(source: &mut blake3::OutputReader) -> String {
    let mut text = String::with_capacity(KEY_LENGTH);
    let mut byte = [0];
    while text.len() < KEY_LENGTH {
        source.fill(&mut byte);
        let fair = 256 / ALPHABET.len() * ALPHABET.len();
        if usize::from(byte[0]) < fair {
            text.push(char::from(ALPHABET[usize::from(byte[0]) % ALPHABET.len()]));
        }
    }
    text
}

fn credential(name: &str, secret: &str) -> Result<Credential, KeyError> {
    if let Some(bytes) = secret.strip_prefix("ed25519:") {
        let bytes = STANDARD.decode(bytes).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let key = bytes.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
        return key.map(Credential::Ed25519).ok_or_else(|| KeyError::Pem(name.to_owned()));
    }
    if secret.contains("-----BEGIN") {
        let wrong = || KeyError::Pem(name.to_owned());
        return ed25519(secret).map(Credential::Ed25519).ok_or_else(wrong);
    }
    // Invariant: HMAC takes a key of any length.
    let state = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("invariant: HMAC takes a key of any length");
    Ok(Credential::Hmac(state))
}

fn ed25519(pem: &str) -> Option<VerifyingKey> {
    let body = pem.split("-----BEGIN PUBLIC KEY-----").nth(1)?.split("-----END").next()?;
    let text: String = body.chars().filter(|character| !character.is_whitespace()).collect();
    let der = STANDARD.decode(text).ok()?;
    let bytes: &[u8; 32] = der.strip_prefix(&ED25519_PREFIX)?.try_into().ok()?;
    VerifyingKey::from_bytes(bytes).ok()
}

/// All keys of an exchange. Several may be for one account.
#[derive(Debug, Default)]
pub struct Keys {
    by_key: BTreeMap<String, Arc<Key>>,
    /// In the order in which they were added.
    order: Vec<Arc<Key>>,
}

impl Keys {
    /// # Errors
    /// When two have the same API key.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Result<Self, KeyError> {
        let mut all = Self::default();
        for key in keys {
            let key = Arc::new(key);
            if all.by_key.insert(key.api_key.clone(), Arc::clone(&key)).is_some() {
                return Err(KeyError::Taken(key.name.clone()));
            }
            all.order.push(key);
        }
        Ok(all)
    }

    #[must_use]
    pub fn find(&self, api_key: &str) -> Option<&Arc<Key>> {
        self.by_key.get(api_key)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.order.iter()
    }

    /// Every account once, in the order of its first key.
    #[must_use]
    pub fn accounts(&self) -> Vec<AccountId> {
        let mut accounts = Vec::new();
        for key in &self.order {
            if !accounts.contains(&key.account) {
                accounts.push(key.account);
            }
        }
        accounts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str =
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

    #[test]
    fn a_seed_gives_the_same_keys_again_and_each_name_its_own() {
        let key = |seed: u8, name| Key::derived(&[seed; 32], name).unwrap();
        assert_eq!((key(1, "a").api_key, key(1, "a").secret), (key(1, "a").api_key, key(1, "a").secret));
        assert_eq!(key(1, "a").api_key.len(), KEY_LENGTH);
        assert_ne!(key(1, "a").api_key, key(1, "b").api_key);
        assert_ne!(key(1, "a").api_key, key(2, "a").api_key);
        assert_ne!(key(1, "a").api_key, key(1, "a").secret);
    }

    #[test]
    fn a_key_is_read_from_the_command_line_with_a_secret_or_a_public_key() {
        let key = Key::parse("alpha:abc:se:cret").unwrap();
        assert_eq!((key.name.as_str(), key.api_key.as_str(), key.secret.as_str()), ("alpha", "abc", "se:cret"));
        assert!(matches!(Key::parse(&format!("alpha:abc:{PEM}")).unwrap().credential, Credential::Ed25519(_)));
        let one_line = PEM.replace('\n', "\\n");
        assert!(matches!(Key::parse(&format!("alpha:abc:{one_line}")).unwrap().credential, Credential::Ed25519(_)));
        let bytes = "alpha:abc:ed25519:Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
        assert!(matches!(Key::parse(bytes).unwrap().credential, Credential::Ed25519(_)));
        assert_eq!(Key::parse("alpha:abc").unwrap_err(), KeyError::Parts(2));
        assert!(matches!(Key::parse("alpha:a b:c"), Err(KeyError::Format { .. })));
        assert!(matches!(Key::parse("alpha:k:-----BEGIN RSA PUBLIC KEY-----"), Err(KeyError::Pem(_))));
    }

    #[test]
    fn no_secret_is_shown_by_debug() {
        let text = format!("{:?}", Key::parse("alpha:abc:hidden").unwrap());
        assert!(!text.contains("hidden") && !text.contains("abc"), "{text}");
    }

    #[test]
    fn one_api_key_is_one_owners() {
        let key = |text| Key::parse(text).unwrap();
        assert_eq!(Keys::new([key("a:k:1"), key("b:k:2")]).unwrap_err(), KeyError::Taken("b".to_owned()));
        let keys = Keys::new([key("b:k:1"), key("a:l:2"), key("b:m:3")]).unwrap();
        assert_eq!(keys.accounts().iter().map(|account| account.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    }
}
