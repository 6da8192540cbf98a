//! A request before it is signed: method, path, parameters in order, what it needs and what it costs. Plain data; `sign` makes the
//! bytes, the transport sends them.

use std::fmt::{Display, Write as _};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rust_decimal::Decimal;

use super::product::{Endpoint, Security};

/// Everything but letters, digits and `-_.~` is encoded (RFC 3986): what is signed is then the same text at both ends.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Longer than any order's parameters, so that one allocation does.
const QUERY_BYTES: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display)]
#[strum(serialize_all = "UPPERCASE")]
pub enum Method {
    Get,
    Post,
    Put,
    Delete,
}

/// Named texts in the order in which they are sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Display) -> Self {
        self.push(name, value);
        self
    }

    #[must_use]
    pub fn with_some(self, name: &'static str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// A number in plain notation: no exponent, no trailing zeros, no sign of a zero.
    #[must_use]
    pub fn with_decimal(self, name: &'static str, value: Decimal) -> Self {
        self.with(name, plain(value))
    }

    pub fn push(&mut self, name: &'static str, value: impl Display) {
        self.0.push((name, value.to_string()));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `name=value` pairs, percent-encoded: a query string or a form body.
    #[must_use]
    pub fn encoded(&self) -> String {
        let mut query = String::with_capacity(QUERY_BYTES);
        for (name, value) in self.iter() {
            let and = if query.is_empty() { "" } else { "&" };
            // Writing to a String cannot fail.
            let _ = write!(query, "{and}{name}={}", utf8_percent_encode(value, ENCODED));
        }
        query
    }

    /// The parameters of a WebSocket-API frame: whole numbers as numbers, everything else as text. Client order ids are text
    /// whatever they look like.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Map<String, serde_json::Value> {
        let value = |name: &str, text: &str| match text.parse::<i64>() {
            Ok(number) if WHOLE_NUMBERS.contains(&name) => number.into(),
            _ => text.into(),
        };
        self.iter().map(|(name, text)| (name.to_owned(), value(name, text))).collect()
    }
}

/// Parameters that a frame must carry as JSON integers; decimals are texts there.
const WHOLE_NUMBERS: &[&str] =
    &["orderId", "algoId", "fromId", "limit", "startTime", "endTime", "subscriptionId", "timestamp", "recvWindow", "countdownTime"];

/// A number as venues take it: `0.00000001`, never `1e-8`, and no zero with a sign.
#[must_use]
pub fn plain(value: Decimal) -> String {
    let normal = value.normalize();
    if normal.is_zero() { "0".to_owned() } else { normal.to_string() }
}

/// A value as it stands in a query string.
pub fn percent_encoded(value: &str) -> impl Iterator<Item = &str> {
    utf8_percent_encode(value, ENCODED)
}

/// One request of a venue's REST interface, unsigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    pub path: &'static str,
    pub parameters: Parameters,
    pub security: Security,
    /// What it costs of the host's request weight. A refused one may cost more (spot counts successful orders as nothing).
    pub weight: u32,
    /// What it counts towards the account's order limits.
    pub orders: u32,
    /// It may change something at the venue: an answer that says nothing definite leaves its outcome unknown.
    pub changes: bool,
}

impl Request {
    #[must_use]
    pub fn to(endpoint: Endpoint, parameters: Parameters) -> Self {
        let Endpoint { method, path, security, weight, orders, .. } = endpoint;
        Self { method, path, parameters, security, weight, orders, changes: method != Method::Get }
    }

    #[must_use]
    pub fn weighing(self, weight: u32) -> Self {
        Self { weight, ..self }
    }

    /// The path with the unsigned query: all there is to send of a request that needs no signature.
    #[must_use]
    pub fn unsigned_target(&self) -> String {
        if self.parameters.is_empty() { self.path.to_owned() } else { format!("{}?{}", self.path, self.parameters.encoded()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_plain_and_texts_percent_encoded() {
        for (number, expected) in
            [("0.00000001", "0.00000001"), ("100.00", "100"), ("-0.0", "0"), ("61800.10", "61800.1"), ("12e3", "12000")]
        {
            let number = Decimal::from_scientific(number).or_else(|_| number.parse()).unwrap();
            assert_eq!(plain(number), expected);
        }
        let parameters = Parameters::default().with("a", "x:/ ü&=").with_some("b", None::<u64>).with_decimal("c", Decimal::new(10, 9));
        assert_eq!(parameters.encoded(), "a=x%3A%2F%20%C3%BC%26%3D&c=0.00000001");
    }

    #[test]
    fn a_frame_has_whole_numbers_as_numbers_and_names_as_texts() {
        let parameters = Parameters::default().with("orderId", 7).with("newClientOrderId", 7).with("quantity", "1");
        let json = serde_json::Value::Object(parameters.to_json()).to_string();
        assert_eq!(json, r#"{"newClientOrderId":"7","orderId":7,"quantity":"1"}"#);
    }
}
