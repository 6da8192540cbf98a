//! Stream names as clients ask for them: `btcusdt@depth@100ms`, `!ticker@arr`. Reads them, and says which of USD-M's addresses
//! carries which. A name that is well formed and means nothing here is no error: as on the venue, nothing ever comes on it.

use crate::domain::ids::Symbol;
use crate::domain::instrument::InstrumentKind;

use super::tape::{HOUR_MS, Interval};

/// Binance's own limit for one connection.
pub(super) const STREAMS_MAX: usize = 1_024;
/// The longest of the venue's names is half as long.
const NAME_BYTES_MAX: usize = 128;

/// Milliseconds between two frames of a stream; zero is as they come.
pub(super) type Speed = u16;

/// What a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamKind {
    AggregateTrade,
    Trade,
    BookTicker,
    Depth(Speed),
    PartialDepth(u8, Speed),
    /// With what the client's clock is ahead of UTC, in milliseconds.
    Kline(Interval, i64),
    ContinuousKline(Interval),
    MiniTicker,
    Ticker,
    /// A rolling window of so many hours.
    WindowTicker(u8),
    AveragePrice,
    MarkPrice(Speed),
    ForceOrder,
}

/// One stream: of a symbol, or of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic {
    pub symbol: Option<Symbol>,
    pub kind: StreamKind,
}

/// The address that a socket came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Spot's, and the ones that USD-M had before it was routed: everything.
    Plain,
    /// USD-M's books and touches.
    Public,
    /// USD-M's trades, klines, statistics and marks.
    Market,
    /// USD-M's accounts: nothing of the market.
    Private,
}

/// What names mean to one product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Naming {
    pub product: InstrumentKind,
    /// Klines of any whole number of seconds, which no venue has: the daemon's own.
    pub extended: bool,
}

impl Route {
    /// Whether a stream is heard at this address. Trades of USD-M are in no table of the venue; clients ask for them at either.
    pub(super) fn carries(self, kind: StreamKind) -> bool {
        use StreamKind::*;
        match self {
            Self::Plain => true,
            Self::Private => false,
            Self::Public => matches!(kind, BookTicker | Depth(_) | PartialDepth(..) | Trade),
            Self::Market => !matches!(kind, BookTicker | Depth(_) | PartialDepth(..)),
        }
    }
}

/// Whether a name can be one at all: what cannot is an error on the venue too.
pub(super) fn is_well_formed(name: &str) -> bool {
    let good = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '"' | '\\' | '/' | '<' | '>');
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(good)
}

impl Naming {
    /// What a stream's name means; `None` for one that nothing will ever come on.
    pub(super) fn topic(self, name: &str) -> Option<Topic> {
        if let Some(all) = name.strip_prefix('!') {
            return Some(Topic { symbol: None, kind: self.of_all(all)? });
        }
        let (subject, kind) = name.split_once('@')?;
        if subject.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        if let Some(interval) = kind.strip_prefix("continuousKline_") {
            let pair = subject.strip_suffix("_perpetual").filter(|_| self.is_usdm())?;
            // It alone has seconds on USD-M.
            let kind = StreamKind::ContinuousKline(Interval::of(interval, true, self.extended)?);
            return Some(Topic { symbol: Some(symbol_of(pair)?), kind });
        }
        Some(Topic { symbol: Some(symbol_of(subject)?), kind: self.of_one(kind)? })
    }

    fn is_usdm(self) -> bool {
        self.product == InstrumentKind::Perpetual
    }

    fn of_one(self, kind: &str) -> Option<StreamKind> {
        Some(match kind {
            "aggTrade" => StreamKind::AggregateTrade,
            "trade" => StreamKind::Trade,
            "bookTicker" => StreamKind::BookTicker,
            "miniTicker" => StreamKind::MiniTicker,
            "ticker" => StreamKind::Ticker,
            "avgPrice" if !self.is_usdm() => StreamKind::AveragePrice,
            // The long form is in no table, and in clients.
            "markPrice" | "markPrice@3s" if self.is_usdm() => StreamKind::MarkPrice(3_000),
            "markPrice@1s" if self.is_usdm() => StreamKind::MarkPrice(1_000),
            "forceOrder" if self.is_usdm() => StreamKind::ForceOrder,
            "rpiDepth@500ms" if self.is_usdm() => StreamKind::Depth(500),
            _ => return self.of_depth(kind).or_else(|| self.of_kline(kind)).or_else(|| self.of_window(kind.strip_prefix("ticker_")?)),
        })
    }

    fn of_all(self, kind: &str) -> Option<StreamKind> {
        Some(match kind {
            "bookTicker" => StreamKind::BookTicker,
            // The slower form is in no table any more, and in clients.
            "miniTicker@arr" | "miniTicker@arr@3000ms" => StreamKind::MiniTicker,
            "ticker@arr" if self.is_usdm() => StreamKind::Ticker,
            "markPrice@arr" | "markPrice@arr@3s" if self.is_usdm() => StreamKind::MarkPrice(3_000),
            "markPrice@arr@1s" if self.is_usdm() => StreamKind::MarkPrice(1_000),
            "forceOrder@arr" if self.is_usdm() => StreamKind::ForceOrder,
            _ => return self.of_window(kind.strip_prefix("ticker_")?.strip_suffix("@arr")?),
        })
    }

    /// `depth`, `depth@100ms`, `depth20`, `depth20@100ms`
    fn of_depth(self, kind: &str) -> Option<StreamKind> {
        let (levels, speed) = match kind.strip_prefix("depth")?.split_once('@') {
            Some((levels, speed)) => (levels, Some(speed)),
            None => (kind.strip_prefix("depth")?, None),
        };
        let speed = match (self.product, speed) {
            (InstrumentKind::Spot, None | Some("1000ms")) => 1_000,
            (_, Some("100ms")) => 100,
            (InstrumentKind::Perpetual, None | Some("250ms")) => 250,
            (InstrumentKind::Perpetual, Some("500ms")) => 500,
            // In no table of the venue, and yet it has it.
            (InstrumentKind::Perpetual, Some("0ms")) if levels.is_empty() => 0,
            _ => return None,
        };
        Some(match levels {
            "" => StreamKind::Depth(speed),
            "5" => StreamKind::PartialDepth(5, speed),
            "10" => StreamKind::PartialDepth(10, speed),
            "20" => StreamKind::PartialDepth(20, speed),
            _ => return None,
        })
    }

    fn of_kline(self, kind: &str) -> Option<StreamKind> {
        let name = kind.strip_prefix("kline_")?;
        let (interval, offset) = match name.split_once('@') {
            Some((interval, "+08:00")) if !self.is_usdm() => (interval, 8 * HOUR_MS),
            Some(_) => return None,
            None => (name, 0),
        };
        Some(StreamKind::Kline(Interval::of(interval, !self.is_usdm(), self.extended)?, offset))
    }

    fn of_window(self, window: &str) -> Option<StreamKind> {
        let hours = match window {
            "1h" => 1,
            "4h" => 4,
            "1d" => 24,
            _ => return None,
        };
        (!self.is_usdm()).then_some(StreamKind::WindowTicker(hours))
    }

    /// How often such a stream may speak, in milliseconds.
    pub(super) fn pace(self, kind: StreamKind, of_all: bool) -> i64 {
        use StreamKind::*;
        match kind {
            Depth(speed) | PartialDepth(_, speed) | MarkPrice(speed) => i64::from(speed),
            Kline(..) | ContinuousKline(_) if self.is_usdm() => 250,
            Kline(Interval::Seconds(1), _) => 1_000,
            Kline(..) | ContinuousKline(_) => 2_000,
            MiniTicker | Ticker if self.is_usdm() && !of_all => 2_000,
            MiniTicker | Ticker | WindowTicker(_) | AveragePrice | ForceOrder => 1_000,
            BookTicker if of_all && self.is_usdm() => 5_000,
            AggregateTrade if self.is_usdm() => 100,
            BookTicker | Trade | AggregateTrade => 0,
        }
    }
}

fn symbol_of(lower: &str) -> Option<Symbol> {
    Symbol::new(&lower.to_ascii_uppercase()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(product: InstrumentKind, name: &str) -> Option<StreamKind> {
        Naming { product, extended: false }.topic(name).map(|topic| topic.kind)
    }

    fn minute() -> Interval {
        Interval::Seconds(60)
    }

    #[test]
    fn both_products_names_are_read() {
        use StreamKind::*;
        let spot = [
            ("btcusdt@depth", Depth(1_000)),
            ("btcusdt@depth@100ms", Depth(100)),
            ("btcusdt@depth20@100ms", PartialDepth(20, 100)),
            ("btcusdt@depth5", PartialDepth(5, 1_000)),
            ("btcusdt@kline_1s", Kline(Interval::Seconds(1), 0)),
            ("btcusdt@kline_1M", Kline(Interval::Month, 0)),
            ("btcusdt@kline_1d@+08:00", Kline(Interval::Seconds(86_400), 8 * HOUR_MS)),
            ("btcusdt@ticker_4h", WindowTicker(4)),
            ("btcusdt@avgPrice", AveragePrice),
            ("!miniTicker@arr", MiniTicker),
            ("!ticker_1h@arr", WindowTicker(1)),
        ];
        let usdm = [
            ("btcusdt@depth", Depth(250)),
            ("btcusdt@depth@500ms", Depth(500)),
            ("btcusdt@depth@0ms", Depth(0)),
            ("btcusdt@depth10@100ms", PartialDepth(10, 100)),
            ("btcusdt@kline_1m", Kline(minute(), 0)),
            ("btcusdt_perpetual@continuousKline_1m", ContinuousKline(minute())),
            ("btcusdt@markPrice", MarkPrice(3_000)),
            ("btcusdt@markPrice@1s", MarkPrice(1_000)),
            ("!markPrice@arr@1s", MarkPrice(1_000)),
            ("!ticker@arr", Ticker),
            ("!bookTicker", BookTicker),
            ("!forceOrder@arr", ForceOrder),
        ];
        for (name, expected) in spot {
            assert_eq!(kind(InstrumentKind::Spot, name), Some(expected), "{name}");
        }
        for (name, expected) in usdm {
            assert_eq!(kind(InstrumentKind::Perpetual, name), Some(expected), "{name}");
        }
    }

    #[test]
    fn what_a_product_does_not_have_is_silent() {
        for name in [
            "btcusdt@depth@250ms",
            "btcusdt@markPrice",
            "btcusdt@depth7",
            "BTCUSDT@trade",
            "!ticker@arr",
            "btcusdt",
            "@",
            "btcusdt@kline_7m",
        ] {
            assert_eq!(kind(InstrumentKind::Spot, name), None, "{name}");
        }
        for name in ["btcusdt@kline_1s", "btcusdt@depth@1000ms", "btcusdt@depth20@0ms", "!contractInfo", "btcusdt@ticker_1h"] {
            assert_eq!(kind(InstrumentKind::Perpetual, name), None, "{name}");
        }
    }

    #[test]
    fn a_name_that_would_break_its_label_is_no_name() {
        for bad in ["", "not a stream", "a\"b", "a\\b", "a\nb", "a/b", &"x".repeat(200)] {
            assert!(!is_well_formed(bad), "{bad:?}");
        }
        assert!(is_well_formed("币安人生usdt@aggTrade") && is_well_formed("btcusdt@kline_1d@+08:00"));
    }

    #[test]
    fn each_routed_address_has_its_own_streams() {
        assert!(Route::Public.carries(StreamKind::Depth(100)) && !Route::Public.carries(StreamKind::AggregateTrade));
        assert!(Route::Market.carries(StreamKind::MarkPrice(1_000)) && !Route::Market.carries(StreamKind::BookTicker));
        assert!(Route::Plain.carries(StreamKind::Depth(100)) && Route::Plain.carries(StreamKind::MiniTicker));
    }
}
