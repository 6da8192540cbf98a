//! Is this request from the owner of this key, and is it fresh? A pure machine: the time is given, the answer is the venue's
//! error or nothing.
//!
//! What is signed is exactly the bytes that were sent: over HTTP the query string immediately followed by the body, the pair
//! `signature` taken out wherever it stands; in a frame all parameters but `signature`, sorted by name, as raw UTF-8.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signature;
use hmac::Mac as _;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use crate::domain::time::Timestamp;

use super::accounts::{Credential, Key, Keys, Permission};
use super::parameters::{self, Parameters};
use super::problem::Problem;

/// A request may be this far ahead of the exchange's clock.
const AHEAD_MAX: Duration = Duration::from_secs(1);
const RECV_WINDOW_DEFAULT: Duration = Duration::from_secs(5);
const RECV_WINDOW_MAX_MILLIS: u32 = 60_000;
/// An API key of this many letters and digits could be one; anything else is no key at all.
const KEY_LENGTH: usize = 64;

/// Finds the key and whether it may do this from there.
///
/// # Errors
/// -2014 for what cannot be a key, -2015 for a key that is unknown or may not.
pub fn admit<'k>(keys: &'k Keys, api_key: Option<&str>, permission: Permission, from: IpAddr) -> Result<&'k Arc<Key>, Problem> {
    let text = api_key.unwrap_or_default();
    match keys.find(text) {
        Some(key) if key.permissions.allow(permission, from) => Ok(key),
        Some(_) => Err(Problem::KEY_REFUSED),
        None if text.len() == KEY_LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) => Err(Problem::KEY_REFUSED),
        None => Err(Problem::KEY_FORMAT),
    }
}

/// When a request was made and how long it is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    pub timestamp: Timestamp,
    pub window: Duration,
}

impl Freshness {
    /// Reads `timestamp` and `recvWindow`.
    ///
    /// # Errors
    /// When one is missing or malformed, or the window too wide.
    pub fn read(parameters: &Parameters) -> Result<Self, Problem> {
        let timestamp = parameters.required_integer::<u64>("timestamp").map(parameters::timestamp)?;
        let window = match parameters.decimal("recvWindow")? {
            None => RECV_WINDOW_DEFAULT,
            Some(millis) if millis > Decimal::from(RECV_WINDOW_MAX_MILLIS) => return Err(Problem::RECV_WINDOW_TOO_LARGE),
            // Three places are microseconds; a negative window is none.
            Some(millis) => Duration::from_micros((millis * Decimal::ONE_THOUSAND).to_u64().unwrap_or(0)),
        };
        Ok(Self { timestamp, window })
    }

    /// Asked on arrival, and again before the engine gets it.
    ///
    /// # Errors
    /// -1021 in one of its two texts.
    pub fn check(&self, now: Timestamp) -> Result<(), Problem> {
        if self.timestamp >= now + AHEAD_MAX {
            return Err(Problem::AHEAD_OF_SERVER);
        }
        if now.since(self.timestamp) > self.window {
            return Err(Problem::OUTSIDE_RECV_WINDOW);
        }
        Ok(())
    }
}

/// Whether the signature is the key's. It takes the same time whatever is wrong with it.
///
/// # Errors
/// -1022.
pub fn verify(key: &Key, payload: &[&[u8]], signature: &str) -> Result<(), Problem> {
    let good = match &key.credential {
        Credential::Hmac(state) => hex::decode(signature).is_ok_and(|signature| {
            let mut mac = state.clone();
            payload.iter().for_each(|part| mac.update(part));
            mac.verify_slice(&signature).is_ok()
        }),
        Credential::Ed25519(public) => STANDARD
            .decode(signature)
            .ok()
            .and_then(|bytes| Signature::from_slice(&bytes).ok())
            .is_some_and(|signature| public.verify_strict(&payload.concat(), &signature).is_ok()),
    };
    if good { Ok(()) } else { Err(Problem::BAD_SIGNATURE) }
}

/// A query string or form body without its pair `signature`, each other byte as it was.
#[must_use]
pub fn unsigned(text: &[u8]) -> Cow<'_, [u8]> {
    let mut start = 0;
    for pair in text.split(|byte| *byte == b'&') {
        let end = start + pair.len();
        if pair.starts_with(b"signature=") {
            // One separator goes with it: the one before, or at the front the one behind.
            return match (start, end == text.len()) {
                (0, true) => Cow::Borrowed(&[]),
                (0, false) => Cow::Borrowed(&text[end + 1..]),
                (_, true) => Cow::Borrowed(&text[..start - 1]),
                (_, false) => Cow::Owned([&text[..start - 1], &text[end..]].concat()),
            };
        }
        start = end + 1;
    }
    Cow::Borrowed(text)
}

/// What a frame's signature is made over.
#[must_use]
pub fn frame_payload(parameters: &Parameters) -> String {
    let mut pairs: Vec<(&str, &str)> = parameters.iter().filter(|(name, _)| *name != "signature").collect();
    pairs.sort_unstable();
    let mut payload = String::new();
    for (name, value) in pairs {
        if !payload.is_empty() {
            payload.push('&');
        }
        payload.push_str(name);
        payload.push('=');
        payload.push_str(value);
    }
    payload
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use ed25519_dalek::{Signer as _, SigningKey};

    use super::super::accounts::Permissions;
    use super::super::parameters::Manners;
    use super::*;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    /// The example of Binance's own page.
    const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";
    const PAYLOAD: &str = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559";
    const SIGNATURE: &str = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71";

    fn key(text: &str) -> Key {
        Key::parse(text).unwrap()
    }

    fn given(query: &str) -> Parameters {
        Parameters::parse(Manners::Strict, query.as_bytes(), b"").unwrap()
    }

    #[test]
    fn the_venues_own_example_verifies_in_either_case_and_split_anywhere() {
        let key = key(&format!("a:k:{SECRET}"));
        assert_eq!(verify(&key, &[PAYLOAD.as_bytes()], SIGNATURE), Ok(()));
        assert_eq!(verify(&key, &[PAYLOAD.as_bytes()], &SIGNATURE.to_uppercase()), Ok(()));
        // Query and body are signed as one, with nothing between.
        let (query, body) = PAYLOAD.split_at(20);
        assert_eq!(verify(&key, &[query.as_bytes(), body.as_bytes()], SIGNATURE), Ok(()));
        for wrong in ["", "zz", "00", &SIGNATURE[..62], &SIGNATURE.replace('c', "d")] {
            assert_eq!(verify(&key, &[PAYLOAD.as_bytes()], wrong).unwrap_err().code, -1022, "{wrong}");
        }
        assert!(verify(&key, &[b"symbol=LTCBTC"], SIGNATURE).is_err());
    }

    #[test]
    fn an_ed25519_signature_verifies_and_an_altered_one_does_not() {
        let signer = SigningKey::from_bytes(&[7; 32]);
        let mut der = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        der.extend_from_slice(signer.verifying_key().as_bytes());
        let key = key(&format!("a:k:-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", STANDARD.encode(der)));
        let signature = STANDARD.encode(signer.sign(PAYLOAD.as_bytes()).to_bytes());
        assert_eq!(verify(&key, &[PAYLOAD.as_bytes()], &signature), Ok(()));
        assert!(verify(&key, &[b"other"], &signature).is_err());
        assert!(verify(&key, &[PAYLOAD.as_bytes()], SIGNATURE).is_err());
        assert!(verify(&key, &[PAYLOAD.as_bytes()], &signature.to_lowercase()).is_err());
    }

    #[test]
    fn the_signature_is_taken_out_wherever_it_stands_and_nothing_else_is() {
        let cases = [
            ("a=1&signature=x", "a=1"),
            ("signature=x&a=1", "a=1"),
            ("a=1&signature=x&b=2", "a=1&b=2"),
            ("signature=x", ""),
            ("a=1&&b=%20&signatures=2", "a=1&&b=%20&signatures=2"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(unsigned(text.as_bytes()).as_ref(), expected.as_bytes(), "{text}");
        }
    }

    #[test]
    fn a_frame_is_signed_over_its_sorted_parameters() {
        let raw = r#"{"timestamp":1,"signature":"x","symbol":"１２３","apiKey":"k","price":"0.10"}"#;
        let object = serde_json::value::RawValue::from_string(raw.to_owned()).unwrap();
        let parameters = Parameters::of_object(Manners::Strict, &object).unwrap();
        assert_eq!(frame_payload(&parameters), "apiKey=k&price=0.10&symbol=１２３&timestamp=1");
    }

    #[test]
    fn freshness_has_the_venues_bounds_to_the_microsecond() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let check = |query: &str| Freshness::read(&given(query)).and_then(|freshness| freshness.check(now));
        assert_eq!(check("timestamp=1700000000000"), Ok(()));
        assert_eq!(check("timestamp=1699999995000"), Ok(()));
        assert_eq!(check("timestamp=1699999994999"), Err(Problem::OUTSIDE_RECV_WINDOW));
        assert_eq!(check("timestamp=1699999994999&recvWindow=5001"), Ok(()));
        assert_eq!(check("timestamp=1700000000999"), Ok(()));
        assert_eq!(check("timestamp=1700000001000"), Err(Problem::AHEAD_OF_SERVER));
        assert_eq!(check("timestamp=1699999999999500&recvWindow=0.5"), Ok(()));
        assert_eq!(check("timestamp=1699999999999499&recvWindow=0.5"), Err(Problem::OUTSIDE_RECV_WINDOW));
        assert_eq!(check("timestamp=1700000000000&recvWindow=60001"), Err(Problem::RECV_WINDOW_TOO_LARGE));
        assert_eq!(check("timestamp=1700000000000&recvWindow=60000"), Ok(()));
        assert_eq!(check(""), Err(Problem::missing("timestamp")));
        assert_eq!(check("timestamp=abc").unwrap_err().code, -1100);
        assert_eq!(check("timestamp=").unwrap_err().code, -1105);
        assert_eq!(check("timestamp=1700000000000&recvWindow=x").unwrap_err().code, -1100);
    }

    #[test]
    fn a_key_is_admitted_for_what_it_may_do_and_from_where() {
        let addresses = vec![HOME];
        let bound = key("b:bound:s").with_permissions(Permissions { futures: false, addresses, ..Permissions::default() });
        let keys = Keys::new([key("a:open:s"), bound]).unwrap();
        let code = |api_key, permission, from| admit(&keys, api_key, permission, from).err().map_or(0, |problem| problem.code);
        let away = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(code(Some("open"), Permission::Futures, away), 0);
        assert_eq!(code(Some("bound"), Permission::Reading, HOME), 0);
        assert_eq!(code(Some("bound"), Permission::Futures, HOME), -2015);
        assert_eq!(code(Some("bound"), Permission::Reading, away), -2015);
        assert_eq!(code(None, Permission::Reading, HOME), -2014);
        assert_eq!(code(Some("short"), Permission::Reading, HOME), -2014);
        assert_eq!(code(Some(&"x".repeat(64)), Permission::Reading, HOME), -2015);
    }
}
