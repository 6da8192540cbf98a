//! Signing as Binance wants it: HMAC-SHA256 in hexadecimal, or Ed25519 in base64. Pure: what is signed and when is given, bytes
//! come out. A secret is never shown, copied into an error or kept unwiped.
//!
//! Over HTTP the payload is the query string immediately followed by the body, exactly as sent; here everything stands in the
//! query, or everything in the body, which comes to the same bytes. In a WebSocket-API frame it is every parameter but the
//! signature, sorted by name, raw UTF-8 and not percent-encoded.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::codec::request::Parameters;

/// What stands before the 32 bytes of an Ed25519 key in PKCS#8 (RFC 8410).
const PKCS8_PREFIX: [u8; 16] = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Why a text is no private key. The text itself is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("a private key expected a PEM block \"-----BEGIN PRIVATE KEY-----\" with base64 inside, found something else")]
    NotPem,
    #[error(
        "a private key expected Ed25519 in PKCS#8 (48 bytes), found {found} bytes of another kind; make one with: openssl genpkey -algorithm ed25519"
    )]
    NotEd25519 { found: usize },
}

/// An API key and the secret that signs for it.
pub struct Credentials {
    api_key: String,
    secret: Secret,
}

enum Secret {
    Hmac(SecretString),
    /// Wipes itself when dropped.
    Ed25519(Box<SigningKey>),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key too names an account and is nobody's business in a log.
        f.write_str("Credentials(..)")
    }
}

impl Credentials {
    #[must_use]
    pub fn hmac(api_key: impl Into<String>, secret: SecretString) -> Self {
        Self { api_key: api_key.into(), secret: Secret::Hmac(secret) }
    }

    /// `pem` is the private key as OpenSSL writes it.
    ///
    /// # Errors
    /// When it is no Ed25519 key in PKCS#8.
    pub fn ed25519(api_key: impl Into<String>, pem: &SecretString) -> Result<Self, KeyError> {
        Ok(Self { api_key: api_key.into(), secret: Secret::Ed25519(Box::new(ed25519_key(pem)?)) })
    }

    /// A PEM block is an Ed25519 key, everything else an HMAC secret.
    ///
    /// # Errors
    /// When it is a PEM block of another kind of key.
    pub fn of(api_key: impl Into<String>, secret: SecretString) -> Result<Self, KeyError> {
        if secret.expose_secret().trim_start().starts_with("-----BEGIN") {
            return Self::ed25519(api_key, &secret);
        }
        Ok(Self::hmac(api_key, secret))
    }

    /// What goes into the header `X-MBX-APIKEY`.
    #[must_use]
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// The signature of exactly these bytes: lower-case hexadecimal, or base64 that is still to be percent-encoded in a query.
    #[must_use]
    pub fn sign(&self, payload: &[u8]) -> String {
        match &self.secret {
            Secret::Hmac(secret) => hex::encode(hmac_sha256(secret, payload)),
            Secret::Ed25519(key) => STANDARD.encode(key.sign(payload).to_bytes()),
        }
    }

    /// The query string to send: the parameters, `recvWindow`, `timestamp` and the signature of everything before it, last.
    #[must_use]
    pub fn signed_query(&self, parameters: &Parameters, timing: Timing) -> String {
        let mut query = parameters.encoded();
        let and = if query.is_empty() { "" } else { "&" };
        query.push_str(&format!("{and}recvWindow={}&timestamp={}", timing.window_millis, timing.at_millis));
        let signature = self.sign(query.as_bytes());
        query.push_str("&signature=");
        query.extend(super::codec::request::percent_encoded(&signature));
        query
    }

    /// The `params` of a WebSocket-API frame, signed; every value is the text that was signed, numbers of time apart.
    #[must_use]
    pub fn signed_frame(&self, parameters: &Parameters, timing: Timing) -> serde_json::Map<String, serde_json::Value> {
        let mut signed = parameters.to_json();
        signed.insert("apiKey".to_owned(), self.api_key.clone().into());
        signed.insert("recvWindow".to_owned(), timing.window_millis.into());
        signed.insert("timestamp".to_owned(), timing.at_millis.into());
        let signature = self.sign(frame_payload(&signed).as_bytes());
        signed.insert("signature".to_owned(), signature.into());
        signed
    }
}

/// When a request is made, by the venue's clock, and for how long it is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    pub at_millis: i64,
    pub window_millis: u32,
}

/// `name=value` pairs sorted by name, as `serde_json`'s map keeps them.
fn frame_payload(params: &serde_json::Map<String, serde_json::Value>) -> String {
    let mut pairs: Vec<(&String, &serde_json::Value)> = params.iter().collect();
    pairs.sort_unstable_by_key(|(name, _)| *name);
    let mut payload = String::with_capacity(256);
    for (name, value) in pairs {
        if !payload.is_empty() {
            payload.push('&');
        }
        payload.push_str(name);
        payload.push('=');
        match value {
            serde_json::Value::String(text) => payload.push_str(text),
            other => payload.push_str(&other.to_string()),
        }
    }
    payload
}

fn hmac_sha256(secret: &SecretString, payload: &[u8]) -> [u8; 32] {
    // Invariant: HMAC takes a key of any length, so that no key is refused.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else { return [0; 32] };
    mac.update(payload);
    mac.finalize().into_bytes().into()
}

fn ed25519_key(pem: &SecretString) -> Result<SigningKey, KeyError> {
    let inside = pem.expose_secret().trim().strip_prefix("-----BEGIN PRIVATE KEY-----");
    let inside = inside.and_then(|rest| rest.strip_suffix("-----END PRIVATE KEY-----")).ok_or(KeyError::NotPem)?;
    let text: Zeroizing<String> = Zeroizing::new(inside.split_whitespace().collect());
    let der = Zeroizing::new(STANDARD.decode(text.as_bytes()).map_err(|_| KeyError::NotPem)?);
    let key = der.strip_prefix(&PKCS8_PREFIX).and_then(|key| <&[u8; 32]>::try_from(key).ok());
    Ok(SigningKey::from_bytes(key.ok_or(KeyError::NotEd25519 { found: der.len() })?))
}

#[cfg(test)]
#[path = "sign_tests.rs"]
mod tests;
