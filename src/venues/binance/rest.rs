//! The market questions that are asked over HTTP: a book to start from, and closed candles to learn from. Answers are read
//! strictly: a number off the grid, a missing field or a float where Binance has a text is an error. It keeps no state, retries
//! nothing and counts no rate limit.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::codec::exchange_info::{ExchangeInfo, exchange_info};
use super::codec::outcome::Answer;
use super::codec::product::Product;
use super::interval::{candle_interval, interval_name};
use super::market::{Decoded, Decoder};
use crate::domain::ids::Symbol;
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::market_data::{Candle, DepthSnapshot, MarketEventRef};
use crate::domain::money::{DecimalError, Money, Price, Quantity};
use crate::domain::time::Timestamp;

/// A venue that cannot accept by then is not there.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Binance answers in well under a second; a book of 1,000 levels over a slow line takes a few.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// 5,000 levels a side are 400 KB, 1,500 klines 250 KB; spot's exchangeInfo of 3,000 symbols is some 20 MB.
const BODY_BYTES_MAX: usize = 32 << 20;
/// USD-M refuses to give more at once, spot gives fewer.
const KLINES_MAX: usize = 1_500;
const SPOT_PATH: &str = "api/v3";
/// What of a wrong answer is shown: enough to recognise it, little enough for a log line.
const EXCERPT_MAX: usize = 200;

/// Why a market question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    #[error("an HTTP client cannot be made: {0}")]
    Client(reqwest::Error),
    #[error("{url} cannot be reached: {source}")]
    Unreachable { url: String, source: reqwest::Error },
    /// The venue's definite word, in its own code.
    #[error("{url} was refused with HTTP status {status}, code {code}: {message}")]
    Refused { url: String, status: u16, code: i64, message: String },
    #[error("{url} expected status 200, found {status}: {answer}")]
    Status { url: String, status: u16, answer: String },
    #[error("{url} expected an answer of at most {BODY_BYTES_MAX} bytes, found more")]
    TooLarge { url: String },
    #[error("{url} expected {expected}, found {found}")]
    Malformed { url: String, expected: &'static str, found: String },
    #[error("a kline interval expected a whole number of seconds from 1 s to 30 days, found {found:?}")]
    Interval { found: Duration },
}

/// Asks one venue's market questions.
#[derive(Debug, Clone)]
pub struct MarketRest {
    http: reqwest::Client,
    base: String,
    path: &'static str,
}

impl MarketRest {
    /// `base` is the scheme and the host, `http://127.0.0.1:9443`; the product's path (`/fapi/v1`, `/api/v3`) comes of `kind`.
    ///
    /// # Errors
    /// When the machine has no TLS to offer.
    pub fn new(base: &str, kind: InstrumentKind) -> Result<Self, RestError> {
        let http = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_MAX).timeout(ANSWER_MAX).build();
        let path = match kind {
            InstrumentKind::Spot => SPOT_PATH,
            InstrumentKind::Perpetual => "fapi/v1",
        };
        Ok(Self { http: http.map_err(RestError::Client)?, base: base.trim_end_matches('/').to_owned(), path })
    }

    /// The book of an instrument, `limit` levels a side; USD-M takes 5, 10, 20, 50, 100, 500 and 1,000.
    ///
    /// # Errors
    /// When the venue refuses, cannot be reached, or answers what is no book on the instrument's grid.
    pub async fn depth(&self, instrument: &Instrument, limit: usize) -> Result<DepthSnapshot, RestError> {
        let symbol = instrument.symbol;
        let url = format!("{}/{}/depth?symbol={symbol}&limit={limit}", self.base, self.path);
        let body = self.get(&url).await?;
        read_depth(instrument, &body).map_err(|found| RestError::Malformed { url, expected: DEPTH, found })
    }

    /// The newest closed candles, oldest first. The venue's last one is open as a rule; what has closed is told by the date of its
    /// answer, which is of whole seconds as the ends of candles are.
    ///
    /// # Errors
    /// When the interval has no name, the venue refuses, cannot be reached, or answers what are no such klines.
    pub async fn klines(&self, symbol: Symbol, interval: Duration, limit: usize) -> Result<Vec<Candle>, RestError> {
        let name = interval_name(interval).ok_or(RestError::Interval { found: interval })?;
        // One more for the open one.
        let url = format!("{}/{}/klines?symbol={symbol}&interval={name}&limit={}", self.base, self.path, (limit + 1).min(KLINES_MAX));
        let (body, date) = self.get_dated(&url).await?;
        let mut candles = read_klines(&body, interval).map_err(|found| RestError::Malformed { url, expected: KLINES, found })?;
        candles.retain(|candle| date.is_none_or(|date| candle.close_time < date));
        candles.drain(..candles.len().saturating_sub(limit));
        Ok(candles)
    }

    /// What the venue lists.
    ///
    /// # Errors
    /// When the venue refuses, cannot be reached, or answers what is no such list.
    pub async fn exchange_info(&self) -> Result<ExchangeInfo, RestError> {
        let url = format!("{}/{}/exchangeInfo", self.base, self.path);
        let body = self.get(&url).await?;
        let product = if self.path == SPOT_PATH { Product::BinanceSpot } else { Product::BinanceUsdm };
        let answer = Answer { status: 200, retry_after: None, body: &body };
        exchange_info(product, answer).map_err(|_| malformed(&url, "an exchangeInfo", &body))
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, RestError> {
        Ok(self.get_dated(url).await?.0)
    }

    /// An answer, and when the venue gave it by its own clock.
    async fn get_dated(&self, url: &str) -> Result<(Vec<u8>, Option<Timestamp>), RestError> {
        let unreachable = |source: reqwest::Error| RestError::Unreachable { url: url.to_owned(), source: source.without_url() };
        let mut response = self.http.get(url).send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let date = response.headers().get(reqwest::header::DATE).and_then(|date| date_of(date.to_str().ok()?));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(RestError::TooLarge { url: url.to_owned() });
            }
            body.extend_from_slice(&chunk);
        }
        if status == 200 { Ok((body, date)) } else { Err(refusal(url, status, &body)) }
    }
}

/// `Fri, 20 Nov 2026 10:17:47 GMT`
fn date_of(text: &str) -> Option<Timestamp> {
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp::from_millis(date.timestamp().as_millisecond()))
}

/// Binance's refusal.
#[derive(Deserialize)]
struct Refusal {
    code: i64,
    msg: String,
}

fn refusal(url: &str, status: u16, body: &[u8]) -> RestError {
    let url = url.to_owned();
    match serde_json::from_slice::<Refusal>(body) {
        Ok(Refusal { code, msg }) => RestError::Refused { url, status, code, message: msg.chars().take(EXCERPT_MAX).collect() },
        Err(_) => RestError::Status { url, status, answer: excerpt(body) },
    }
}

fn malformed(url: &str, expected: &'static str, body: &[u8]) -> RestError {
    RestError::Malformed { url: url.to_owned(), expected, found: excerpt(body) }
}

fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(EXCERPT_MAX).collect()
}

const DEPTH: &str = "a book on the instrument's grid";
const KLINES: &str = "an array of klines of the interval asked for, oldest first, each an array of twelve";

/// Open time, open, high, low, close, volume, close time, quote volume, trades; then what takers bought, which no candle here
/// keeps, and a field that Binance says to ignore.
#[derive(Deserialize)]
#[serde(bound = "'de: 'a")]
struct Kline<'a>(
    i64,
    Cow<'a, str>,
    Cow<'a, str>,
    Cow<'a, str>,
    Cow<'a, str>,
    Cow<'a, str>,
    i64,
    Cow<'a, str>,
    u32,
    IgnoredAny,
    IgnoredAny,
    IgnoredAny,
);

/// Reads an answer to a depth request.
///
/// # Errors
/// What was found instead.
pub fn read_depth(instrument: &Instrument, body: &[u8]) -> Result<DepthSnapshot, String> {
    let mut decoder = Decoder::new([instrument]).map_err(|error| error.to_string())?;
    // Only the levels and their id are used, so the time of receipt is nobody's.
    match decoder.decode_for(instrument.symbol, body, Timestamp::ZERO) {
        Ok(Decoded::Frame(frame)) if let MarketEventRef::Snapshot(snapshot) = frame.event => Ok(snapshot.clone()),
        Ok(_) => Err(excerpt(body)),
        Err(error) => Err(error.to_string()),
    }
}

/// Reads an answer to a kline request: candles of the interval, oldest first.
///
/// # Errors
/// What was found instead.
pub fn read_klines(body: &[u8], interval: Duration) -> Result<Vec<Candle>, String> {
    let rows: Vec<Kline<'_>> = serde_json::from_slice(body).map_err(|error| format!("{error} in {}", excerpt(body)))?;
    let mut candles: Vec<Candle> = Vec::with_capacity(rows.len());
    for row in &rows {
        let candle = candle_of(row).map_err(|error| error.to_string())?;
        let text = |candle: &Candle| format!("one from {} to {}", candle.open_time, candle.close_time);
        if candle_interval(&candle) != interval {
            return Err(text(&candle));
        }
        if let Some(before) = candles.last().filter(|before| before.open_time >= candle.open_time) {
            return Err(format!("{} after {}", text(&candle), text(before)));
        }
        candles.push(candle);
    }
    Ok(candles)
}

fn candle_of(row: &Kline<'_>) -> Result<Candle, DecimalError> {
    let price = |text: &str| text.parse::<Price>();
    Ok(Candle {
        open_time: Timestamp::from_millis(row.0),
        close_time: Timestamp::from_millis(row.6),
        open: price(&row.1)?,
        high: price(&row.2)?,
        low: price(&row.3)?,
        close: price(&row.4)?,
        volume: row.5.parse::<Quantity>()?,
        quote_volume: row.7.parse::<Money>()?,
        trades: row.8,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const FIRST: &str = r#"[1499040000000,"0.01634790","0.80000000","0.01575800","0.01577100","148976.11427815",1499040059999,"2434.19055334",308,"1756.87402397","28.46694368","0"]"#;

    fn read(rows: &[&str]) -> Result<Vec<Candle>, String> {
        read_klines(format!("[{}]", rows.join(",")).as_bytes(), MINUTE)
    }

    #[test]
    fn klines_of_binance_are_read_exactly() {
        let candles = read(&[FIRST]).unwrap();
        assert_eq!(candles.len(), 1);
        assert_eq!(candles[0].open_time, Timestamp::from_millis(1_499_040_000_000));
        assert_eq!(candles[0].open.to_string(), "0.0163479");
        assert_eq!(candles[0].quote_volume.to_string(), "2434.19055334");
        assert_eq!(candles[0].trades, 308);
        assert_eq!(read(&[]).unwrap(), Vec::new());
    }

    #[test]
    fn the_date_of_an_answer_is_read() {
        assert_eq!(date_of("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Timestamp::from_millis(784_111_777_000)));
        assert_eq!(date_of("yesterday"), None);
    }

    #[test]
    fn klines_that_are_not_what_was_asked_for_are_refused() {
        let cases = [
            (FIRST.replace("\"0.01634790\"", "0.01634790"), "invalid type: floating point"),
            (FIRST.replace("1499040059999", "1499040299999"), "one from 2017-07-03T00:00:00.000Z to 2017-07-03T00:04:59.999Z"),
            (FIRST.replace(",\"0\"]", "]"), "invalid length 11"),
            (FIRST.replace("0.80000000", "8e-1"), "\"8e-1\""),
            (format!("{FIRST},{FIRST}"), "after one from"),
        ];
        for (rows, expected) in cases {
            let error = read(&[&rows]).unwrap_err();
            assert!(error.contains(expected), "{rows}\n{error}");
        }
    }

    #[test]
    fn a_refusal_keeps_the_venues_code() {
        let error = refusal("http://x/fapi/v1/depth", 400, br#"{"code":-1121,"msg":"Invalid symbol."}"#);
        assert_eq!(error.to_string(), "http://x/fapi/v1/depth was refused with HTTP status 400, code -1121: Invalid symbol.");
        let error = refusal("http://x", 502, b"<html>bad gateway");
        assert!(matches!(error, RestError::Status { status: 502, .. }), "{error}");
    }
}
