//! How one value is read: its type, the words for what was expected, and the remedy for the usual mistakes. Values from the
//! environment are text and are read as the type that the key wants; values from a file must have that type already.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::ids::{AccountId, OwnerId, StrategyId, Symbol, VenueId};
use crate::domain::instrument::InstrumentKind;
use crate::domain::money::{Money, Price, Quantity, Ratio};

use super::layers::{Node, Value, excerpt};
use super::origin::Origin;

/// Why a value was not taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// More exact than `Setting::expected`, where there is more to say.
    pub expected: Option<String>,
    pub help: Option<String>,
}

impl Mismatch {
    fn because(expected: impl Into<String>) -> Self {
        Self { expected: Some(expected.into()), help: None }
    }
}

/// A type that a key can have.
pub trait Setting: Sized {
    fn expected() -> String;

    /// # Errors
    /// When the node is of another type or its text does not read as one.
    fn read(key: &str, node: &Node) -> Result<Self, Mismatch>;

    /// The same text for the same value.
    fn canonical(&self) -> String;
}

/// What a node is, in words, for `found`.
pub fn describe(node: &Node) -> String {
    let written = match &node.origin {
        Origin::Text { source, span } => excerpt(&source.text, span),
        _ => match &node.value {
            Value::Text(text) => format!("{text:?}"),
            _ => String::new(),
        },
    };
    match &node.value {
        Value::Boolean(_) => format!("the boolean {written}"),
        Value::Integer(_) => format!("the number {written}"),
        Value::Float(_) => format!("the float {written}"),
        Value::Text(_) if matches!(node.origin, Origin::Environment { .. }) => written,
        Value::Text(_) => format!("the text {written}"),
        Value::List(_) if written.is_empty() => "a list".to_owned(),
        Value::List(_) => format!("the list {written}"),
        Value::Table(_) => "a table".to_owned(),
        Value::Other => format!("the value {written}"),
    }
}

fn from_environment(node: &Node) -> bool {
    matches!(node.origin, Origin::Environment { .. })
}

/// The text of a node that is text, wherever it is from.
fn text(node: &Node) -> Result<&str, Mismatch> {
    match &node.value {
        Value::Text(text) => Ok(text),
        _ => Err(Mismatch::default()),
    }
}

/// The remedy for a bare number where a quoted one is due.
fn quoted(key: &str, node: &Node) -> Mismatch {
    let help = match (&node.value, &node.origin) {
        (Value::Integer(_) | Value::Float(_), Origin::Text { source, span }) => {
            let digits = source.text.get(span.clone()).unwrap_or("0.25");
            Some(format!("write it in quotes, which keeps every digit: {key} = \"{digits}\""))
        }
        _ => None,
    };
    Mismatch { expected: None, help }
}

impl Setting for String {
    fn expected() -> String {
        "text in quotes".to_owned()
    }
    fn read(_key: &str, node: &Node) -> Result<Self, Mismatch> {
        text(node).map(str::to_owned)
    }
    fn canonical(&self) -> String {
        self.clone()
    }
}

impl Setting for PathBuf {
    fn expected() -> String {
        "a path in quotes".to_owned()
    }
    fn read(_key: &str, node: &Node) -> Result<Self, Mismatch> {
        match text(node)? {
            "" => Err(Mismatch::because("a path of at least one character")),
            path => Ok(Self::from(path)),
        }
    }
    fn canonical(&self) -> String {
        self.display().to_string()
    }
}

impl Setting for bool {
    fn expected() -> String {
        "true or false".to_owned()
    }
    fn read(_key: &str, node: &Node) -> Result<Self, Mismatch> {
        match &node.value {
            Value::Boolean(truth) => Ok(*truth),
            Value::Text(text) if from_environment(node) => text.trim().to_lowercase().parse().map_err(|_| Mismatch::default()),
            Value::Text(text) if matches!(text.as_str(), "true" | "false") => {
                Err(Mismatch { expected: None, help: Some("take the quotes away".to_owned()) })
            }
            _ => Err(Mismatch::default()),
        }
    }
    fn canonical(&self) -> String {
        self.to_string()
    }
}

impl Setting for SocketAddr {
    fn expected() -> String {
        "an address and a port such as \"127.0.0.1:8080\"".to_owned()
    }
    fn read(_key: &str, node: &Node) -> Result<Self, Mismatch> {
        text(node)?.parse().map_err(|_| Mismatch::default())
    }
    fn canonical(&self) -> String {
        self.to_string()
    }
}

macro_rules! whole_number {
    ($($type:ty),*) => {$(
        impl Setting for $type {
            fn expected() -> String {
                format!("a whole number from {} to {}", <$type>::MIN, <$type>::MAX)
            }
            fn read(_key: &str, node: &Node) -> Result<Self, Mismatch> {
                match &node.value {
                    Value::Integer(number) => Self::try_from(*number).map_err(|_| Mismatch::default()),
                    Value::Text(text) if from_environment(node) => text.trim().parse().map_err(|_| Mismatch::default()),
                    Value::Text(text) if text.parse::<Self>().is_ok() => {
                        Err(Mismatch { expected: None, help: Some("take the quotes away".to_owned()) })
                    }
                    _ => Err(Mismatch::default()),
                }
            }
            fn canonical(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
whole_number!(u8, u32, u64);

macro_rules! exact_decimal {
    ($($type:ty => $words:literal),*) => {$(
        impl Setting for $type {
            fn expected() -> String {
                concat!($words, " as a decimal number in quotes such as \"0.25\"").to_owned()
            }
            fn read(key: &str, node: &Node) -> Result<Self, Mismatch> {
                text(node).map_err(|_| quoted(key, node))?.parse().map_err(|_| Mismatch::default())
            }
            fn canonical(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
exact_decimal!(Money => "an amount", Price => "a price", Quantity => "a quantity", Ratio => "a ratio");

macro_rules! name {
    ($($type:ty => $words:literal),*) => {$(
        impl Setting for $type {
            fn expected() -> String {
                concat!($words, " in quotes").to_owned()
            }
            fn read(_key: &str, node: &Node) -> Result<Self, Mismatch> {
                <$type>::new(text(node)?).map_err(|error| {
                    let rule = error.to_string();
                    let rule = rule.split(", found").next().unwrap_or_default().replacen(" expected", " of", 1);
                    Mismatch::because(format!("{} {rule}", if rule.starts_with('a') { "an" } else { "a" }))
                })
            }
            fn canonical(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
name!(AccountId => "an account id", OwnerId => "an owner id", StrategyId => "a strategy id", Symbol => "a symbol", VenueId => "a venue id");

impl Setting for Duration {
    fn expected() -> String {
        "a time such as \"500ms\", \"15s\", \"1m\" or \"1h\"".to_owned()
    }
    fn read(key: &str, node: &Node) -> Result<Self, Mismatch> {
        let bare = || match node.value {
            Value::Integer(number) => Mismatch { expected: None, help: Some(format!("name the unit: {key} = \"{number}s\"")) },
            _ => Mismatch::default(),
        };
        parse_duration(text(node).map_err(|_| bare())?).ok_or_else(Mismatch::default)
    }
    fn canonical(&self) -> String {
        show_duration(*self)
    }
}

/// Units from the largest; `show_duration` takes the first that leaves no rest.
const UNITS: [(&str, u64); 6] =
    [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)];

/// A whole number and a unit, as the settings have it.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at(digits);
    let (_, micros) = UNITS.iter().find(|(name, _)| *name == unit)?;
    count.parse::<u64>().ok()?.checked_mul(*micros).map(Duration::from_micros)
}

/// `90s`, `500ms`, `1h`: in the largest unit that is exact.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    if micros == 0 {
        return "0s".to_owned();
    }
    // Invariant: every number is a multiple of the last unit, 1.
    let (unit, size) = UNITS.iter().find(|(_, size)| micros.is_multiple_of(*size)).unwrap_or(&("us", 1));
    format!("{}{unit}", micros / size)
}

/// One of a few words: an enumeration with `EnumString`, `VariantNames` and `Display` of strum.
macro_rules! choice {
    ($($type:ty),*) => {$(
        impl Setting for $type {
            fn expected() -> String {
                let names: Vec<String> = <$type as strum::VariantNames>::VARIANTS.iter().map(|name| format!("{name:?}")).collect();
                format!("{}{}", if names.len() > 1 { "one of " } else { "" }, names.join(", "))
            }
            fn read(_key: &str, node: &Node) -> Result<Self, Mismatch> {
                text(node)?.parse().map_err(|_| Mismatch::default())
            }
            fn canonical(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
choice!(super::shape::OpenOrders, super::shape::LogFormat, super::shape::MarketSource, super::shape::OnKill, super::shape::MarginType);
choice!(super::hard::DrawdownHalts);
choice!(super::shape::HeldTo, super::venues::VenueKind, super::venues::Environment);

impl Setting for InstrumentKind {
    fn expected() -> String {
        "one of \"spot\", \"perpetual\"".to_owned()
    }
    fn read(_key: &str, node: &Node) -> Result<Self, Mismatch> {
        match text(node)? {
            "spot" => Ok(Self::Spot),
            "perpetual" => Ok(Self::Perpetual),
            _ => Err(Mismatch::default()),
        }
    }
    fn canonical(&self) -> String {
        match self {
            Self::Spot => "spot",
            Self::Perpetual => "perpetual",
        }
        .to_owned()
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn expected() -> String {
        format!("a list, each entry {}", T::expected())
    }
    fn read(key: &str, node: &Node) -> Result<Self, Mismatch> {
        match &node.value {
            Value::List(items) => items.iter().map(|item| T::read(key, item)).collect(),
            Value::Text(text) if from_environment(node) => {
                let item = |part: &str| Node { value: Value::Text(part.trim().to_owned()), ..node.clone() };
                text.split(',').filter(|part| !part.trim().is_empty()).map(|part| T::read(key, &item(part))).collect()
            }
            _ => Err(Mismatch::default()),
        }
    }
    fn canonical(&self) -> String {
        let items: Vec<String> = self.iter().map(Setting::canonical).collect();
        format!("[{}]", items.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_shows_in_the_largest_exact_unit_and_reads_back() {
        for (text, shown) in [("90s", "90s"), ("60s", "1m"), ("1500ms", "1500ms"), ("24h", "1d"), ("0s", "0s"), ("7us", "7us")] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(show_duration(duration), shown);
            assert_eq!(parse_duration(shown), Some(duration));
        }
        for wrong in ["", "15", "s", "1.5s", "-1s", "15 s", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }
}
