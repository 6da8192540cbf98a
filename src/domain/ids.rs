//! Names of things: accounts, symbols, strategies, orders. Each is a small `Copy` value with its text inside, so that
//! machines, messages and maps pass names around without allocating. Nothing here generates an id from a clock or a
//! random source: whoever creates one passes in the epoch and the counter.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// Why a text is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("{kind} expected 1 to {max} characters, found {found} in {text:?}")]
    Length { kind: &'static str, max: usize, found: usize, text: String },
    #[error("{kind} expected only {allowed}, found {found:?} in {text:?}")]
    Character { kind: &'static str, allowed: &'static str, found: char, text: String },
}

/// A short ASCII text kept inline, zeros behind it. No name has a zero in it, so that the bytes alone tell names apart and put
/// them in the order of their texts.
#[derive(Clone, Copy)]
struct Inline<const N: usize> {
    bytes: [u8; N],
    length: u8,
}

/// Names are the keys of nearly every map there is: they are compared and hashed eight bytes at a time, which costs a fifth of
/// what a byte slice costs.
impl<const N: usize> Inline<N> {
    const WHOLE: () = assert!(N.is_multiple_of(4), "a name's capacity is a multiple of four");

    /// The eights from the front, and what is left behind them.
    #[inline]
    fn words(&self) -> (&[[u8; 8]], u32) {
        let () = Self::WHOLE;
        let (words, rest) = self.bytes.as_chunks::<8>();
        (words, rest.first_chunk().map_or(0, |rest| u32::from_be_bytes(*rest)))
    }
}

impl<const N: usize> PartialEq for Inline<N> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<const N: usize> Eq for Inline<N> {}

impl<const N: usize> Ord for Inline<N> {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let ((ours, our_rest), (theirs, their_rest)) = (self.words(), other.words());
        for (ours, theirs) in ours.iter().zip(theirs) {
            if ours != theirs {
                return u64::from_be_bytes(*ours).cmp(&u64::from_be_bytes(*theirs));
            }
        }
        our_rest.cmp(&their_rest)
    }
}

impl<const N: usize> PartialOrd for Inline<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const N: usize> Hash for Inline<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // An odd constant with its bits well spread (the golden ratio's); the map's own hasher does the rest.
        let fold = |mixed: u64, word: u64| (mixed.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let (words, rest) = self.words();
        state.write_u64(words.iter().map(|word| u64::from_be_bytes(*word)).chain([u64::from(rest)]).fold(0, fold));
    }
}

impl<const N: usize> Inline<N> {
    fn new(kind: &'static str, text: &str, allowed: &'static str, valid: fn(char) -> bool) -> Result<Self, NameError> {
        if text.is_empty() || text.len() > N {
            return Err(NameError::Length { kind, max: N, found: text.len(), text: text.to_owned() });
        }
        if let Some(found) = text.chars().find(|c| !valid(*c)) {
            return Err(NameError::Character { kind, allowed, found, text: text.to_owned() });
        }
        let mut bytes = [0; N];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { bytes, length: text.len() as u8 })
    }

    /// Appends allowed characters for which there is room.
    fn push(&mut self, text: &[u8]) {
        let from = self.length as usize;
        self.bytes[from..from + text.len()].copy_from_slice(text);
        self.length += text.len() as u8;
    }

    fn push_hexadecimal(&mut self, number: u64) {
        let digits = (64 - number.leading_zeros()).div_ceil(4).max(1);
        for digit in (0..digits).rev() {
            self.push(&[b"0123456789abcdef"[(number >> (4 * digit)) as usize & 0xF]]);
        }
    }

    fn as_str(&self) -> &str {
        // Invariant: `new` admitted ASCII only.
        std::str::from_utf8(&self.bytes[..self.length as usize]).unwrap_or_default()
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:literal, $allowed:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Inline<$max>);

        impl $name {
            /// # Errors
            /// When the text is empty, too long, or has a character that the name does not allow.
            pub fn new(text: &str) -> Result<Self, NameError> {
                Inline::new($kind, text, $allowed, $valid).map(Self)
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                &self.0.bytes[..self.0.length as usize]
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

fn lower_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-')
}

fn upper_name(c: char) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '_' | '-')
}

fn client_order_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '/' | '_' | '-')
}

name!(
    /// A trading account, as the operator named it. Twelve characters, so that it fits into a client order id.
    AccountId, "account id", 12, "a-z, 0-9, '_' and '-'", lower_name
);
name!(
    /// One configured strategy instance.
    StrategyId, "strategy id", 24, "a-z, 0-9, '_' and '-'", lower_name
);
name!(
    /// Who an account belongs to in the end: orders of one owner's accounts never meet.
    OwnerId, "owner id", 24, "a-z, 0-9, '_' and '-'", lower_name
);
name!(
    /// A configured venue.
    VenueId, "venue id", 24, "a-z, 0-9, '_' and '-'", lower_name
);
name!(
    /// A venue's symbol in the venue's spelling, upper case: `BTCUSDT`.
    Symbol, "symbol", 20, "A-Z, 0-9, '_' and '-'", upper_name
);
name!(
    /// A currency in the venue's spelling, upper case: `USDT`, `1000SATS`.
    Asset, "asset", 16, "A-Z, 0-9, '_' and '-'", upper_name
);
name!(
    /// The id we give an order: at most 36 characters of `[.A-Z:/a-z0-9_-]`, the USD-M rule
    /// (<https://developers.binance.com/docs/derivatives/usds-margined-futures/trade/rest-api/New-Order>).
    ClientOrderId, "client order id", 36, "A-Z, a-z, 0-9 and . : / _ -", client_order_char
);

/// Who owns what nobody said the owner of: all of it has one owner.
impl Default for OwnerId {
    fn default() -> Self {
        let mut id = Inline { bytes: [0; 24], length: 0 };
        id.push(b"one");
        Self(id)
    }
}

/// How often this data directory was opened for trading. It makes ids unique across restarts and tells an old process
/// from a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u32);

/// How often a supervised child was started in this process; the first start is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Names one decision of a strategy to trade. Unique over the life of a data directory: the epoch, the strategy's slot
/// and incarnation-wide counter are all inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct IntentId(pub u64);

impl IntentId {
    /// 20 bits of epoch (a million restarts), 12 of the proposer's slot, 32 of its counter.
    #[must_use]
    pub fn compose(epoch: Epoch, slot: u16, counter: u32) -> Self {
        Self((u64::from(epoch.0 & 0xF_FFFF) << 44) | (u64::from(slot & 0xFFF) << 32) | u64::from(counter))
    }

    /// Who made it in which epoch: everything but the counter.
    #[must_use]
    pub const fn proposer(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl fmt::Display for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl ClientOrderId {
    /// `rf-<account>-<epoch>-<intent>`, hexadecimal numbers: at most 3 + 12 + 1 + 8 + 1 + … characters. The epoch is also
    /// inside the intent id; it is spelled out so that a foreign epoch is visible to a person reading the venue's page.
    #[must_use]
    pub fn compose(account: AccountId, epoch: Epoch, intent: IntentId) -> Self {
        // Invariant: 3 + 12 + 1 + 5 + 1 + 11 = 33 ≤ 36, all characters allowed. Written by hand because every order is named
        // on its way out, and the formatter takes ten times as long.
        let mut id = Inline { bytes: [0; 36], length: 0 };
        id.push(b"rf-");
        id.push(account.as_bytes());
        id.push(b"-");
        id.push_hexadecimal(u64::from(epoch.0 & 0xF_FFFF));
        id.push(b"-");
        id.push_hexadecimal(intent.0 & 0xFFF_FFFF_FFFF);
        Self(id)
    }

    /// The intent of an order of ours, read back out of its id.
    #[must_use]
    pub fn intent(&self, account: AccountId) -> Option<IntentId> {
        let rest = self.as_str().strip_prefix("rf-")?.strip_prefix(account.as_str())?.strip_prefix('-')?;
        let (epoch, intent) = rest.split_once('-')?;
        let (epoch, intent) = (u64::from_str_radix(epoch, 16).ok()?, u64::from_str_radix(intent, 16).ok()?);
        (epoch <= 0xF_FFFF && intent <= 0xFFF_FFFF_FFFF).then_some(IntentId(epoch << 44 | intent))
    }

    /// Whether this id was made by Ringfence for that account.
    #[must_use]
    pub fn is_ours(&self, account: AccountId) -> bool {
        self.as_str().strip_prefix("rf-").and_then(|rest| rest.strip_prefix(account.as_str())).is_some_and(|rest| rest.starts_with('-'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_as_their_texts_are() {
        let mut texts =
            ["b", "a", "ab", "a-b", "rf-alpha-1-100000010", "rf-alpha-1-10000000f", "rf-alpha-1-1000000100", "zzzzzzzzz", "zzzzzzzz"];
        let mut names = texts.map(|text| ClientOrderId::new(text).unwrap());
        names.sort_unstable();
        texts.sort_unstable();
        assert_eq!(names.map(|name| name.to_string()), texts);
    }

    #[test]
    fn a_composed_id_spells_account_epoch_and_intent_in_hexadecimal() {
        let account = AccountId::new("abcdefghijkl").unwrap();
        for (epoch, counter, expected) in [(0, 0, "rf-abcdefghijkl-0-100000000"), (0xF_FFFF, u32::MAX, "rf-abcdefghijkl-fffff-1ffffffff")] {
            let id = ClientOrderId::compose(account, Epoch(epoch), IntentId::compose(Epoch(epoch), 1, counter));
            assert_eq!(id, ClientOrderId::new(expected).unwrap());
            assert_eq!(id.as_str(), expected);
            assert_eq!(id.intent(account), Some(IntentId::compose(Epoch(epoch), 1, counter)), "and is read back");
        }
    }

    #[test]
    fn a_composed_client_order_id_fits_the_venues_rule_at_its_largest() {
        let account = AccountId::new("abcdefghijkl").unwrap();
        let id = ClientOrderId::compose(account, Epoch(u32::MAX), IntentId(u64::MAX));
        assert!(id.as_str().len() <= 36, "{id}");
        assert!(id.is_ours(account));
        assert!(!id.is_ours(AccountId::new("abc").unwrap()));
    }

    #[test]
    fn a_bad_name_says_what_was_expected_and_found() {
        assert_eq!(
            AccountId::new("Main").unwrap_err().to_string(),
            "account id expected only a-z, 0-9, '_' and '-', found 'M' in \"Main\""
        );
        assert_eq!(Symbol::new("").unwrap_err().to_string(), "symbol expected 1 to 20 characters, found 0 in \"\"");
    }
}
