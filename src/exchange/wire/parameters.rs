//! A request's parameters: read from a query string and a form body (the query wins), or from the JSON object of a WebSocket
//! API frame or of a batch's member, decoded once, and asked for by name and type. Each getter answers a bad value with the
//! venue's own error. It knows no route; a handler that has asked for all that it takes calls [`Parameters::finish`], which
//! refuses the rest where the venue does.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use percent_encoding::percent_decode;
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::domain::ids::Symbol;
use crate::domain::time::Timestamp;

use super::problem::Problem;

/// More than any route has; a bit of a word for each remembers what was read.
pub const PARAMETERS_MAX: usize = 64;

pub const DECIMAL_RANGE: &str = "^([0-9]{1,20})(\\.[0-9]{1,20})?$";
pub const INTEGER_RANGE: &str = "^[0-9]{1,20}$";
pub const CLIENT_ID_RANGE: &str = "^[\\.A-Z\\:/a-z0-9_-]{1,36}$";
pub const SYMBOL_RANGE: &str = "^[A-Z0-9-_.]{1,20}$";

/// Above this a time is in microseconds: as milliseconds it would be the year 5138.
const MICROSECONDS_FROM: u64 = 100_000_000_000_000;

/// What the product does with parameters that a route does not have, and how it writes numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    /// Spot's `/api`: refuses strangers, takes no sign.
    Strict,
    /// USD-M and `/sapi`: ignores strangers; a negative number is a number, which the rules then refuse.
    Lenient,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Given {
    name: String,
    value: String,
}

/// What was sent, in the order in which it was sent.
#[derive(Debug)]
pub struct Parameters {
    manners: Manners,
    given: Vec<Given>,
    /// One bit for each of `given`. Atomic because handlers keep references over their awaits; nobody shares it in fact.
    read: AtomicU64,
}

impl Parameters {
    #[must_use]
    pub const fn empty(manners: Manners) -> Self {
        Self { manners, given: Vec::new(), read: AtomicU64::new(0) }
    }

    /// From the raw query string and the raw form body.
    ///
    /// # Errors
    /// The venue's, for bad encoding, a name twice in one place, or too many parameters.
    pub fn parse(manners: Manners, query: &[u8], body: &[u8]) -> Result<Self, Problem> {
        let mut parameters = Self::empty(manners);
        parameters.add_pairs(query, 0)?;
        let queried = parameters.given.len();
        parameters.add_pairs(body, queried)?;
        Ok(parameters)
    }

    /// From the members of a JSON object: a frame's `params`, an order of a batch. A number keeps the text that it was sent in,
    /// an array or an object its JSON.
    ///
    /// # Errors
    /// When it is no object, or has too many members.
    pub fn of_object(manners: Manners, object: &RawValue) -> Result<Self, Problem> {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(object.get()).map_err(|_| Problem::INVALID_JSON)?;
        let mut parameters = Self::empty(manners);
        for (name, value) in members {
            let value = match value.get() {
                // As if it had not been sent.
                "null" => continue,
                text if text.starts_with('"') => serde_json::from_str(text).map_err(|_| Problem::INVALID_JSON)?,
                text => text.to_owned(),
            };
            parameters.push(name, value)?;
        }
        Ok(parameters)
    }

    /// `first` is where this place's parameters begin: a name that stands before it was in the query, which wins.
    fn add_pairs(&mut self, text: &[u8], first: usize) -> Result<(), Problem> {
        for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let (name, value) = match memchr::memchr(b'=', pair) {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            let name = decode(name)?;
            match self.given.iter().position(|given| given.name == name) {
                Some(at) if at < first => {}
                Some(_) => return Err(Problem::DUPLICATE_VALUES),
                None => {
                    let value = decode(value)?.into_owned();
                    self.push(name.into_owned(), value)?;
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, name: String, value: String) -> Result<(), Problem> {
        if self.given.len() == PARAMETERS_MAX {
            return Err(Problem::of(-1101, "Too many parameters sent for this endpoint."));
        }
        self.given.push(Given { name, value });
        Ok(())
    }

    /// As many as were sent.
    #[must_use]
    pub fn len(&self) -> usize {
        self.given.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    #[must_use]
    pub const fn manners(&self) -> Manners {
        self.manners
    }

    /// Names and values as decoded; nothing counts as read.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.given.iter().map(|given| (given.name.as_str(), given.value.as_str()))
    }

    /// Whether it was sent at all; counts as reading it.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The value as it was sent, which may be empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.given.iter().position(|given| given.name == name)?;
        self.read.fetch_or(1 << at, Ordering::Relaxed);
        Some(&self.given[at].value)
    }

    /// # Errors
    /// When it was sent and is empty.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        match self.get(name) {
            Some("") => Err(Problem::empty(name)),
            value => Ok(value),
        }
    }

    /// A word out of a set that may be left out. An empty one is left out too: clients send what nobody has set as empty, and the
    /// venue takes their orders.
    #[must_use]
    pub fn word(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|word| !word.is_empty())
    }

    /// # Errors
    /// When it was not sent, or is empty.
    pub fn required(&self, name: &str) -> Result<&str, Problem> {
        self.text(name)?.ok_or_else(|| Problem::missing(name))
    }

    /// # Errors
    /// When it is not a plain decimal number.
    pub fn decimal(&self, name: &str) -> Result<Option<Decimal>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let digits = text.strip_prefix('-').filter(|_| self.manners == Manners::Lenient).unwrap_or(text);
        let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
        let plain = |digits: &str| (1..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !plain(whole) || !plain(part) {
            return Err(Problem::illegal(name, DECIMAL_RANGE));
        }
        // Twenty digits before the point and twenty behind it are more than a Decimal holds exactly.
        Decimal::from_str_exact(text).map(Some).map_err(|_| Problem::precision(name))
    }

    /// # Errors
    /// When it was not sent or is not a plain decimal number.
    pub fn required_decimal(&self, name: &str) -> Result<Decimal, Problem> {
        self.decimal(name)?.ok_or_else(|| Problem::missing(name))
    }

    /// A whole number without a sign.
    ///
    /// # Errors
    /// When it is something else, or does not fit.
    pub fn integer<T: TryFrom<u64>>(&self, name: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        if text.len() > 20 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Problem::illegal(name, INTEGER_RANGE));
        }
        let number = text.parse::<u64>().ok().and_then(|number| T::try_from(number).ok());
        number.map(Some).ok_or_else(|| Problem::overflow(name))
    }

    /// # Errors
    /// When it was not sent, is not a whole number, or does not fit.
    pub fn required_integer<T: TryFrom<u64>>(&self, name: &str) -> Result<T, Problem> {
        self.integer(name)?.ok_or_else(|| Problem::missing(name))
    }

    /// `true` or `false`, in any case.
    ///
    /// # Errors
    /// When it is something else.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, Problem> {
        match self.text(name)? {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(Problem::invalid(name)),
        }
    }

    /// One of a set of words; `otherwise` is what the venue says to any other.
    ///
    /// # Errors
    /// `otherwise`.
    pub fn choice<T>(&self, name: &str, parse: impl FnOnce(&str) -> Option<T>, otherwise: Problem) -> Result<Option<T>, Problem> {
        self.word(name).map(|word| parse(word).ok_or(otherwise)).transpose()
    }

    /// A member of a type that parses its words.
    ///
    /// # Errors
    /// `otherwise` for an unknown word, the venue's when it was not sent.
    pub fn required_choice<T: FromStr>(&self, name: &str, otherwise: Problem) -> Result<T, Problem> {
        self.required(name)?.parse().map_err(|_| otherwise)
    }

    /// The symbol that must be there; whether it is listed is the handler's question.
    ///
    /// # Errors
    /// When it was not sent or cannot be a symbol's name.
    pub fn symbol(&self) -> Result<Symbol, Problem> {
        self.optional_symbol()?.ok_or_else(|| Problem::missing("symbol"))
    }

    /// # Errors
    /// When it cannot be a symbol's name.
    pub fn optional_symbol(&self) -> Result<Option<Symbol>, Problem> {
        let Some(text) = self.text("symbol")? else { return Ok(None) };
        let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
        if self.manners == Manners::Strict && !(text.len() <= 20 && text.bytes().all(legal)) {
            return Err(Problem::illegal("symbol", SYMBOL_RANGE));
        }
        // USD-M forgives small letters.
        Symbol::new(&text.to_ascii_uppercase()).map(Some).map_err(|_| Problem::INVALID_SYMBOL)
    }

    /// A client's own id of an order.
    ///
    /// # Errors
    /// When it has a character or a length that the venue does not take.
    pub fn client_id(&self, name: &str) -> Result<Option<&str>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'/' | b'_' | b'-');
        if text.len() > 36 || !text.bytes().all(legal) {
            return Err(Problem::illegal(name, CLIENT_ID_RANGE));
        }
        Ok(Some(text))
    }

    /// A time in milliseconds, or in microseconds where it is too large for them.
    ///
    /// # Errors
    /// When it is not a whole number.
    pub fn time(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        Ok(self.integer::<u64>(name)?.map(timestamp))
    }

    /// JSON in a parameter: a list of symbols, a batch of orders.
    ///
    /// # Errors
    /// When it is not JSON of that type.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let wrong = |_| Problem::said(-1135, format!("JSON sent for parameter '{name}' is not valid"));
        serde_json::from_str(text).map(Some).map_err(wrong)
    }

    /// Refuses a parameter that does not go with the others.
    ///
    /// # Errors
    /// When any of them was sent.
    pub fn refuse(&self, names: &[&str]) -> Result<(), Problem> {
        names.iter().find(|name| self.has(name)).map_or(Ok(()), |name| Err(Problem::not_required(name)))
    }

    /// Marks parameters as known that change nothing here.
    pub fn ignore(&self, names: &[&str]) {
        names.iter().for_each(|name| {
            let _known = self.get(name);
        });
    }

    /// Everything that the route takes was asked for. Call it before anything is done.
    ///
    /// # Errors
    /// When something else was sent, and the venue minds.
    pub fn finish(&self) -> Result<(), Problem> {
        let read = self.read.load(Ordering::Relaxed).count_ones() as usize;
        match self.manners {
            Manners::Strict if read < self.given.len() => Err(Problem::unread(read, self.given.len())),
            _ => Ok(()),
        }
    }
}

/// What the number of a time parameter means.
#[must_use]
pub fn timestamp(number: u64) -> Timestamp {
    let unit = if number >= MICROSECONDS_FROM { 1_000 } else { 1_000_000 };
    Timestamp(i64::try_from(number.saturating_mul(unit)).unwrap_or(i64::MAX))
}

fn decode(text: &[u8]) -> Result<Cow<'_, str>, Problem> {
    if text.contains(&b'+') {
        let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        return percent_decode(&spaced).decode_utf8().map(|text| Cow::Owned(text.into_owned())).map_err(|_| Problem::ILLEGAL_CHARACTERS);
    }
    percent_decode(text).decode_utf8().map_err(|_| Problem::ILLEGAL_CHARACTERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(manners: Manners, query: &str, body: &str) -> Result<Parameters, Problem> {
        Parameters::parse(manners, query.as_bytes(), body.as_bytes())
    }

    fn code<T>(result: Result<T, Problem>) -> i32 {
        result.err().map_or(0, |problem| problem.code)
    }

    #[test]
    fn the_query_wins_over_the_body_and_values_are_decoded() {
        let parameters = parse(Manners::Strict, "symbol=BTCUSDT&note=a%20b+c", "symbol=ETHUSDT&side=BUY").unwrap();
        let texts: Vec<(&str, &str)> = parameters.iter().collect();
        assert_eq!(texts, [("symbol", "BTCUSDT"), ("note", "a b c"), ("side", "BUY")]);
    }

    #[test]
    fn a_name_twice_in_one_place_bad_encoding_and_too_many_names_are_refused() {
        assert_eq!(code(parse(Manners::Strict, "a=1&a=2", "")), -1101);
        assert_eq!(code(parse(Manners::Strict, "", "a=1&a=2")), -1101);
        assert_eq!(code(parse(Manners::Strict, "a=%ff", "")), -1100);
        let many: String = (0..=PARAMETERS_MAX).map(|index| format!("p{index}=1&")).collect();
        assert_eq!(code(parse(Manners::Strict, &many, "")), -1101);
    }

    #[test]
    fn each_type_refuses_what_it_is_not_in_the_venues_words() {
        let query = "price=1e5&quantity=0.5&limit=-3&flag=maybe&empty=&id=a%20b&symbols=%5B1&huge=99999999999&long=1.123456789012345678901";
        let parameters = parse(Manners::Strict, query, "").unwrap();
        let price = parameters.decimal("price").unwrap_err();
        assert_eq!(price.msg, "Illegal characters found in parameter 'price'; legal range is '^([0-9]{1,20})(\\.[0-9]{1,20})?$'.");
        assert_eq!(parameters.decimal("quantity").unwrap(), Some(Decimal::new(5, 1)));
        assert_eq!(code(parameters.integer::<u32>("limit")), -1100);
        assert_eq!(code(parameters.integer::<u32>("huge")), -1108);
        assert_eq!(code(parameters.boolean("flag")), -1130);
        assert_eq!(code(parameters.text("empty")), -1105);
        assert_eq!(code(parameters.client_id("id")), -1100);
        assert_eq!(code(parameters.json::<Vec<String>>("symbols")), -1135);
        assert_eq!(code(parameters.required("absent")), -1102);
        assert_eq!(code(parameters.decimal("long")), -1100);
    }

    #[test]
    fn strangers_are_refused_on_spot_and_ignored_elsewhere() {
        let strict = parse(Manners::Strict, "symbol=BTCUSDT&created=1", "").unwrap();
        assert_eq!(strict.symbol().unwrap().as_str(), "BTCUSDT");
        let problem = strict.finish().unwrap_err();
        assert_eq!((problem.code, &*problem.msg), (-1104, "Not all sent parameters were read; read '1' parameter(s) but was sent '2'."));
        assert_eq!(code(parse(Manners::Strict, "x=1", "").unwrap().finish()), -1101);
        assert!(parse(Manners::Lenient, "x=1", "").unwrap().finish().is_ok());
    }

    #[test]
    fn a_json_object_keeps_the_text_of_its_numbers() {
        let object = RawValue::from_string(r#"{"price":0.10,"ids":[1,2],"side":"BUY","gone":null,"go":true}"#.to_owned()).unwrap();
        let parameters = Parameters::of_object(Manners::Strict, &object).unwrap();
        let texts: Vec<(&str, &str)> = parameters.iter().collect();
        assert_eq!(texts, [("go", "true"), ("ids", "[1,2]"), ("price", "0.10"), ("side", "BUY")]);
        assert_eq!(code(Parameters::of_object(Manners::Strict, &RawValue::from_string("[1]".to_owned()).unwrap())), -1135);
    }

    #[test]
    fn times_are_milliseconds_or_microseconds() {
        assert_eq!(timestamp(1_700_000_000_000), Timestamp::from_millis(1_700_000_000_000));
        assert_eq!(timestamp(1_700_000_000_000_123).0, 1_700_000_000_000_123_000);
        assert_eq!(timestamp(u64::MAX).0, i64::MAX);
    }
}
