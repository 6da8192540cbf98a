//! Small readers that every answer and event needs: exact numbers out of texts, names that may be strange, fields that are missing,
//! empty or null. Unknown fields are tolerated everywhere; a float where a text belongs is not, because it has lost digits.

use std::borrow::Cow;
use std::fmt;

use rust_decimal::Decimal;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use crate::domain::ids::{Asset, ClientOrderId, Symbol};
use crate::domain::money::parse_decimal;

/// A hundred million millions: no venue has a price, a quantity or a balance near it, and the product of two below it is still a
/// number here.
const NUMBER_END: Decimal = Decimal::from_parts(276_447_232, 23_283, 0, false, 0);

/// A number in quotes, read exactly. Whole JSON numbers are taken too; some interfaces write them so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Number(pub Decimal);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match MaybeNumber::deserialize(deserializer)? {
            MaybeNumber(Some(number)) => Ok(Self(number)),
            MaybeNumber(None) => Err(D::Error::custom("expected a number in quotes, found nothing in them")),
        }
    }
}

/// A number that may be null, an empty text or the text `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MaybeNumber(pub Option<Decimal>);

impl MaybeNumber {
    #[must_use]
    pub fn or_zero(self) -> Decimal {
        self.0.unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for MaybeNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = MaybeNumber;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number in quotes")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<MaybeNumber, E> {
                if matches!(text, "" | "None") {
                    return Ok(MaybeNumber(None));
                }
                parse_decimal("number", text).map_err(E::custom).and_then(bounded)
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<MaybeNumber, E> {
                bounded(number.into())
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<MaybeNumber, E> {
                bounded(number.into())
            }
            fn visit_unit<E: Error>(self) -> Result<MaybeNumber, E> {
                Ok(MaybeNumber(None))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

fn bounded<E: Error>(number: Decimal) -> Result<MaybeNumber, E> {
    if number.abs() < NUMBER_END {
        return Ok(MaybeNumber(Some(number)));
    }
    Err(E::custom(format!("expected a number below {NUMBER_END}, found {number}")))
}

/// An id that is a number, a text of one, or not there: null, negative or an empty text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MaybeId(pub Option<u64>);

impl<'de> Deserialize<'de> for MaybeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Id;
        impl Visitor<'_> for Id {
            type Value = MaybeId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<MaybeId, E> {
                Ok(MaybeId(text.parse().ok()))
            }
            fn visit_u64<E: Error>(self, id: u64) -> Result<MaybeId, E> {
                Ok(MaybeId(Some(id)))
            }
            fn visit_i64<E: Error>(self, id: i64) -> Result<MaybeId, E> {
                Ok(MaybeId(u64::try_from(id).ok()))
            }
            fn visit_unit<E: Error>(self) -> Result<MaybeId, E> {
                Ok(MaybeId(None))
            }
        }
        deserializer.deserialize_any(Id)
    }
}

/// A text, borrowed from the message where it has no escapes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl Text<'_> {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `None` for a symbol whose letters ours cannot have: nothing is traded there.
    #[must_use]
    pub fn symbol(&self) -> Option<Symbol> {
        Symbol::new(&self.0).ok()
    }

    #[must_use]
    pub fn asset(&self) -> Option<Asset> {
        Asset::new(&self.0).ok()
    }
}

/// The id that somebody gave an order. One that cannot be an id of ours is named after the venue's: it is nobody's here.
#[must_use]
pub fn client_order_id(text: &str, venue_order_id: u64) -> ClientOrderId {
    let named = ClientOrderId::new(text).or_else(|_| ClientOrderId::new(&format!("venue-{venue_order_id}")));
    // Invariant: "venue-" and at most twenty digits are an id.
    named.unwrap_or_else(|error| unreachable!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_exactly_or_not_at_all() {
        let read = |text: &str| serde_json::from_str::<Number>(text).map(|number| number.0.to_string()).map_err(|error| error.to_string());
        assert_eq!(read("\"0.10000000\"").unwrap(), "0.10000000");
        assert_eq!(read("12").unwrap(), "12");
        assert_eq!(read("-3").unwrap(), "-3");
        assert_eq!(read("\"99999999999999.99\"").unwrap(), "99999999999999.99");
        for bad in [
            "0.1",
            "\"1e-8\"",
            "\"\"",
            "null",
            "\"NaN\"",
            "[]",
            "\"99999999999999999999999999999999\"",
            "\"100000000000000\"",
            "\"-100000000000000\"",
            "\"0.00000000000000000000000000001\"",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(serde_json::from_str::<MaybeNumber>("\"\"").unwrap(), MaybeNumber(None));
        assert_eq!(serde_json::from_str::<MaybeId>("-1").unwrap(), MaybeId(None));
        assert_eq!(serde_json::from_str::<MaybeId>("\"77\"").unwrap(), MaybeId(Some(77)));
    }

    #[test]
    fn an_id_that_cannot_be_ours_is_named_after_the_venues() {
        assert_eq!(client_order_id("web_1", 7).as_str(), "web_1");
        assert_eq!(client_order_id("币安", u64::MAX).as_str(), "venue-18446744073709551615");
        assert_eq!(client_order_id("", 7).as_str(), "venue-7");
    }
}
