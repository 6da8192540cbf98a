//! Stream names as clients ask for them: `btcusdt@depth@100ms`. Reads them and says what is wrong with the others.

use std::time::Duration;

use crate::domain::ids::Symbol;
use crate::domain::market_data::MarketEvent;
use crate::venues::binance::interval::{candle_interval, interval_of};

use super::problem::Problem;

/// Binance's own limit for one connection.
const STREAMS_MAX: usize = 1_024;

/// What a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum StreamKind {
    Depth,
    Ticker,
    Trade,
    /// Trades again, as aggregates of one.
    AggregateTrade,
    Mark,
    Kline(Duration),
}

/// One stream that a client asked for, with its own spelling: that is what its frames are labelled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StreamName {
    pub(super) symbol: Symbol,
    pub(super) kind: StreamKind,
    pub(super) text: String,
}

impl StreamKind {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "depth" | "depth@100ms" => Self::Depth,
            "bookTicker" => Self::Ticker,
            "trade" => Self::Trade,
            "aggTrade" => Self::AggregateTrade,
            "markPrice" | "markPrice@1s" => Self::Mark,
            _ => Self::Kline(interval_of(text.strip_prefix("kline_")?)?),
        })
    }

    /// The kinds that carry such an event. A snapshot has no stream: it is asked for.
    pub(super) fn of(event: &MarketEvent) -> &'static [Self] {
        match event {
            MarketEvent::Depth(_) => &[Self::Depth],
            MarketEvent::Ticker(_) => &[Self::Ticker],
            MarketEvent::Trade(_) => &[Self::Trade, Self::AggregateTrade],
            MarketEvent::Mark(_) => &[Self::Mark],
            MarketEvent::Snapshot(_) | MarketEvent::Candle(_) => &[],
        }
    }

    /// The kind of a candle depends on its length.
    pub(super) fn of_candle(event: &MarketEvent) -> Option<Self> {
        match event {
            MarketEvent::Candle(candle) => Some(Self::Kline(candle_interval(candle))),
            _ => None,
        }
    }
}

impl StreamName {
    fn parse(text: &str, is_listed: impl Fn(Symbol) -> bool) -> Result<Self, Problem> {
        let unknown = || Problem::unknown_stream(text);
        let (symbol, kind) = text.split_once('@').ok_or_else(unknown)?;
        if symbol.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(unknown());
        }
        let symbol = Symbol::new(&symbol.to_ascii_uppercase()).ok().filter(|symbol| is_listed(*symbol)).ok_or(Problem::INVALID_SYMBOL)?;
        let kind = StreamKind::parse(kind).ok_or_else(unknown)?;
        Ok(Self { symbol, kind, text: text.to_owned() })
    }

    /// Reads `a/b/c`; a name that is there twice counts once.
    pub(super) fn parse_all(text: &str, is_listed: impl Fn(Symbol) -> bool) -> Result<Vec<Self>, Problem> {
        let asked: Vec<&str> = text.split('/').collect();
        if asked.len() > STREAMS_MAX {
            return Err(Problem::too_many_streams(asked.len(), STREAMS_MAX));
        }
        let mut names: Vec<Self> = asked.into_iter().map(|text| Self::parse(text, &is_listed)).collect::<Result<_, _>>()?;
        names.sort_unstable_by(|a, b| a.text.cmp(&b.text));
        names.dedup();
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<StreamName>, Problem> {
        StreamName::parse_all(text, |symbol| symbol.as_str() == "BTCUSDT")
    }

    #[test]
    fn binances_names_are_read() {
        let cases = [
            ("btcusdt@depth", StreamKind::Depth),
            ("btcusdt@depth@100ms", StreamKind::Depth),
            ("btcusdt@bookTicker", StreamKind::Ticker),
            ("btcusdt@trade", StreamKind::Trade),
            ("btcusdt@aggTrade", StreamKind::AggregateTrade),
            ("btcusdt@markPrice", StreamKind::Mark),
            ("btcusdt@markPrice@1s", StreamKind::Mark),
            ("btcusdt@kline_15m", StreamKind::Kline(Duration::from_secs(900))),
        ];
        for (text, kind) in cases {
            let names = parse(text).unwrap();
            assert_eq!((names[0].kind, names[0].text.as_str()), (kind, text));
        }
    }

    #[test]
    fn what_is_not_served_is_refused_and_named() {
        for text in ["", "btcusdt", "btcusdt@", "btcusdt@depth20", "btcusdt@kline_7m", "BTCUSDT@trade", "!ticker@arr", "btcusdt@trade/"] {
            let problem = parse(text).unwrap_err();
            assert_ne!(problem.code, 0, "{text}");
        }
        assert_eq!(parse("ethusdt@trade").unwrap_err(), Problem::INVALID_SYMBOL);
        assert!(parse("btcusdt@depth20").unwrap_err().msg.contains("\"btcusdt@depth20\""));
    }

    #[test]
    fn a_stream_that_is_asked_for_twice_comes_once() {
        assert_eq!(parse("btcusdt@trade/btcusdt@depth/btcusdt@trade").unwrap().len(), 2);
    }
}
