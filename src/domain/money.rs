//! Prices, quantities and money as exact decimals, each its own type so that they cannot be mixed up. At every boundary
//! they are strings; a JSON or TOML float is refused, because it has lost digits before we see it. No `f64` here.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Neg, Sub, SubAssign};
use std::str::FromStr;

use rust_decimal::Decimal;

/// Why a text is not an exact decimal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} expected a decimal number in quotes such as \"0.25\", found {found:?}")]
pub struct DecimalError {
    pub kind: &'static str,
    pub found: String,
}

/// Reads a plain decimal: digits, optional sign and point. Exponents, blanks and lost digits are refused.
pub fn parse_decimal(kind: &'static str, text: &str) -> Result<Decimal, DecimalError> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-'));
    match Decimal::from_str_exact(text) {
        Ok(value) if plain => Ok(value),
        _ => Err(DecimalError { kind, found: text.to_owned() }),
    }
}

macro_rules! decimal {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub Decimal);

        impl $name {
            pub const ZERO: Self = Self(Decimal::ZERO);

            #[must_use]
            pub fn is_zero(self) -> bool {
                self.0.is_zero()
            }

            #[must_use]
            pub fn is_positive(self) -> bool {
                self.0 > Decimal::ZERO
            }

            #[must_use]
            pub fn is_negative(self) -> bool {
                self.0 < Decimal::ZERO
            }

            #[must_use]
            pub fn abs(self) -> Self {
                Self(self.0.abs())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // Normalised: the same value always has the same text, so that hashes and reports agree.
                fmt::Display::fmt(&self.0.normalize(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = DecimalError;
            fn from_str(text: &str) -> Result<Self, DecimalError> {
                parse_decimal($kind, text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!($kind, ": a decimal number in quotes such as \"0.25\""))
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, rhs: Self) -> Self {
                Self(self.0 + rhs.0)
            }
        }
        impl AddAssign for $name {
            fn add_assign(&mut self, rhs: Self) {
                self.0 += rhs.0;
            }
        }
        impl Sub for $name {
            type Output = Self;
            fn sub(self, rhs: Self) -> Self {
                Self(self.0 - rhs.0)
            }
        }
        impl SubAssign for $name {
            fn sub_assign(&mut self, rhs: Self) {
                self.0 -= rhs.0;
            }
        }
        impl Neg for $name {
            type Output = Self;
            fn neg(self) -> Self {
                Self(-self.0)
            }
        }
        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
                iter.fold(Self::ZERO, Add::add)
            }
        }
    };
}

decimal!(
    /// Quote currency for one unit of base: `61800.1`.
    Price, "price"
);
decimal!(
    /// Units of base (spot) or of contract base (linear perpetuals). Positions use it signed: short is negative.
    Quantity, "quantity"
);
decimal!(
    /// An amount of the quote or settlement currency; on USD-M, USDT, which the limits call USD.
    Money, "amount"
);
decimal!(
    /// A share of one: `0.0004` is 4 basis points.
    Ratio, "ratio"
);

impl Mul<Quantity> for Price {
    type Output = Money;
    fn mul(self, rhs: Quantity) -> Money {
        Money(self.0 * rhs.0)
    }
}

impl Mul<Ratio> for Money {
    type Output = Money;
    fn mul(self, rhs: Ratio) -> Money {
        Money(self.0 * rhs.0)
    }
}

impl Mul<Ratio> for Price {
    type Output = Price;
    fn mul(self, rhs: Ratio) -> Price {
        Price(self.0 * rhs.0)
    }
}

impl Money {
    /// How many units this amount buys, `None` at a price of zero or less.
    #[must_use]
    pub fn units_at(self, price: Price) -> Option<Quantity> {
        if price.is_positive() { self.0.checked_div(price.0).map(Quantity) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_a_string_and_a_float_is_refused() {
        assert_eq!(serde_json::to_string(&Price(Decimal::new(6_180_010, 2))).unwrap(), "\"61800.1\"");
        assert!(serde_json::from_str::<Price>("61800.1").is_err());
        assert!(serde_json::from_str::<Price>("\"1e5\"").is_err());
        assert_eq!(serde_json::from_str::<Quantity>("\"0.003\"").unwrap(), Quantity(Decimal::new(3, 3)));
    }
}
