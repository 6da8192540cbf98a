//! CSV rows: candles with a header, and Binance's public files of aggTrades, trades and klines with and without one. The
//! columns are settled once for a file; a row is then split and read in place.

use std::str::FromStr;
use std::time::Duration;

use smallvec::SmallVec;

use crate::domain::market_data::{Candle, TradePrint};
use crate::domain::time::Timestamp;
use crate::venues::binance::market::time_of;
use crate::venues::grid::{Grid, Step, StepMiss};

/// 2009-01-03, the first Bitcoin block: nothing was traded before it.
const EARLIEST: Timestamp = Timestamp(1_230_940_800_000_000_000);
/// 2100-01-01.
const LATEST: Timestamp = Timestamp(4_102_444_800_000_000_000);
/// Below it a number counts seconds: 10^11 ms is 1973.
const SECONDS_BELOW: u64 = 100_000_000_000;

/// Which column holds what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Columns {
    Trades(TradeColumns),
    Candles(CandleColumns),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TradeColumns {
    pub id: usize,
    pub price: usize,
    pub quantity: usize,
    pub time: usize,
    pub maker: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CandleColumns {
    pub open: usize,
    pub high: usize,
    pub low: usize,
    pub close: usize,
    pub volume: usize,
    pub quote_volume: Option<usize>,
    pub trades: Option<usize>,
    pub open_time: Option<usize>,
    pub close_time: Option<usize>,
}

pub(super) type Cells<'a> = SmallVec<[&'a str; 16]>;

pub(super) fn cells(line: &[u8]) -> Result<Cells<'_>, String> {
    let line = std::str::from_utf8(line).map_err(|error| format!("expected text, found {error}"))?;
    Ok(line.split(',').map(|cell| cell.trim().trim_matches('"')).collect())
}

impl Columns {
    /// From a header row.
    pub(super) fn from_header(cells: &[&str]) -> Option<Self> {
        let names: Vec<String> = cells.iter().map(|name| name.to_ascii_lowercase().replace([' ', '-', '_', '.'], "")).collect();
        let find = |wanted: &[&str]| wanted.iter().find_map(|name| names.iter().position(|found| found == name));
        if let (Some(open), Some(high), Some(low), Some(close), Some(volume)) =
            (find(&["open"]), find(&["high"]), find(&["low"]), find(&["close"]), find(&["volume", "vol"]))
        {
            return Some(Self::Candles(CandleColumns {
                open,
                high,
                low,
                close,
                volume,
                quote_volume: find(&["quotevolume", "quoteassetvolume"]),
                trades: find(&["trades", "count", "numberoftrades", "tradecount"]),
                open_time: find(&["opentime", "opendatetime", "timestamp", "datetime", "time", "date"]),
                close_time: find(&["closetime", "closedatetime"]),
            }));
        }
        Some(Self::Trades(TradeColumns {
            id: find(&["aggtradeid", "id", "tradeid", "a"])?,
            price: find(&["price", "p"])?,
            quantity: find(&["quantity", "qty", "q"])?,
            time: find(&["transacttime", "time", "timestamp"])?,
            maker: find(&["isbuyermaker", "m"])?,
        }))
    }

    /// From the first row of Binance's headerless files, which differ in the number of columns and in where the flag is:
    /// klines 12; aggTrades 8 (spot) or 7; trades 7 (spot) or 6.
    pub(super) fn from_row(cells: &[&str]) -> Option<Self> {
        let flag_at = cells.iter().position(|cell| flag(cell).is_some());
        let trades = |time| TradeColumns { id: 0, price: 1, quantity: 2, time, maker: time + 1 };
        match (cells.len(), flag_at) {
            (7 | 8, Some(6)) => Some(Self::Trades(trades(5))),
            (6 | 7, Some(5)) => Some(Self::Trades(trades(4))),
            (12, None) if cells[0].bytes().all(|b| b.is_ascii_digit()) => Some(Self::Candles(CandleColumns {
                open: 1,
                high: 2,
                low: 3,
                close: 4,
                volume: 5,
                quote_volume: Some(7),
                trades: Some(8),
                open_time: Some(0),
                close_time: Some(6),
            })),
            _ => None,
        }
    }

    /// The columns that hold prices and quantities on the instrument's grid.
    pub(super) fn grid_cells<'a>(&self, cells: &[&'a str]) -> (SmallVec<[&'a str; 4]>, Option<&'a str>) {
        let at = |index: usize| cells.get(index).copied();
        match self {
            Self::Trades(columns) => (at(columns.price).into_iter().collect(), at(columns.quantity)),
            Self::Candles(columns) => {
                let prices = [columns.open, columns.high, columns.low, columns.close];
                (prices.into_iter().filter_map(at).collect(), at(columns.volume))
            }
        }
    }
}

impl TradeColumns {
    pub(super) fn read(&self, cells: &[&str], grid: Grid) -> Result<(Timestamp, TradePrint), String> {
        let id = cell(cells, self.id, "trade id")?;
        let maker = cell(cells, self.maker, "is_buyer_maker")?;
        let trade = TradePrint {
            id: id.parse().map_err(|_| format!("expected a whole number as trade id, found {id:?}"))?,
            price: crate::domain::instrument::Ticks(steps(grid.price, "price", cell(cells, self.price, "price")?)?),
            quantity: crate::domain::instrument::Lots(steps(grid.quantity, "quantity", cell(cells, self.quantity, "quantity")?)?),
            buyer_is_maker: flag(maker).ok_or_else(|| format!("expected true or false as is_buyer_maker, found {maker:?}"))?,
        };
        Ok((time(cell(cells, self.time, "time")?)?, trade))
    }
}

impl CandleColumns {
    /// `interval` serves where only one of the two times is in the file.
    pub(super) fn read(&self, cells: &[&str], interval: Duration) -> Result<Candle, String> {
        let (open_time, close_time) = self.times(cells, interval)?;
        let trades = match self.trades {
            Some(column) => {
                let text = cell(cells, column, "trades")?;
                text.parse().map_err(|_| format!("expected a whole number of trades, found {text:?}"))?
            }
            None => 0,
        };
        let candle = Candle {
            open_time,
            close_time,
            open: decimal(cells, self.open, "open")?,
            high: decimal(cells, self.high, "high")?,
            low: decimal(cells, self.low, "low")?,
            close: decimal(cells, self.close, "close")?,
            volume: decimal(cells, self.volume, "volume")?,
            quote_volume: match self.quote_volume {
                Some(column) => decimal(cells, column, "quote_volume")?,
                None => crate::domain::money::Money::ZERO,
            },
            trades,
        };
        if candle.high < candle.low || candle.high < candle.open.max(candle.close) || candle.low > candle.open.min(candle.close) {
            let Candle { open, high, low, close, .. } = candle;
            return Err(format!("expected low ≤ open, close ≤ high, found open {open}, high {high}, low {low}, close {close}"));
        }
        Ok(candle)
    }

    pub(super) fn times(&self, cells: &[&str], interval: Duration) -> Result<(Timestamp, Timestamp), String> {
        const LAST_INSTANT: Duration = Duration::from_millis(1);
        let at = |column: Option<usize>, name| column.map(|column| time(cell(cells, column, name)?)).transpose();
        match (at(self.open_time, "open_time")?, at(self.close_time, "close_time")?) {
            (Some(open), Some(close)) if close > open => Ok((open, close)),
            (Some(open), Some(close)) => Err(format!("expected the close time after the open time, found {open} and {close}")),
            (Some(open), None) => Ok((open, open + interval - LAST_INSTANT)),
            (None, Some(close)) => {
                // Written as the last instant (…:59.999) or as the next bar's open: both end at the same whole second.
                let end =
                    Timestamp(close.0.div_euclid(1_000_000_000) * 1_000_000_000 + i64::from(close.0 % 1_000_000_000 != 0) * 1_000_000_000);
                Ok((end - interval, end - LAST_INSTANT))
            }
            (None, None) => Err("expected a column open_time or close_time, found neither".to_owned()),
        }
    }
}

/// A time in seconds, milliseconds, microseconds or nanoseconds since 1970, or as a date with or without an offset (then UTC).
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    let parsed = match text.parse::<u64>() {
        Ok(seconds) if seconds < SECONDS_BELOW => Some(Timestamp::from_millis(seconds as i64 * 1_000)),
        Ok(number) => time_of(number),
        Err(_) => date(text),
    };
    parsed.filter(|time| is_sane(*time)).ok_or_else(|| format!("expected a time between 2009 and 2100, found {text:?}"))
}

pub(super) fn is_sane(time: Timestamp) -> bool {
    (EARLIEST..LATEST).contains(&time)
}

fn date(text: &str) -> Option<Timestamp> {
    let instant = jiff::Timestamp::from_str(text)
        .ok()
        .or_else(|| Some(jiff::civil::DateTime::from_str(text).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp()))?;
    i64::try_from(instant.as_nanosecond()).ok().map(Timestamp)
}

fn cell<'a>(cells: &[&'a str], index: usize, name: &str) -> Result<&'a str, String> {
    let found = cells.len();
    cells.get(index).copied().ok_or_else(|| format!("expected {name} in column {}, found {found} columns", index + 1))
}

fn decimal<T: FromStr>(cells: &[&str], index: usize, name: &str) -> Result<T, String> {
    let text = cell(cells, index, name)?;
    text.parse().map_err(|_| format!("expected a decimal number as {name}, found {text:?}"))
}

fn steps(step: Step, name: &str, text: &str) -> Result<i64, String> {
    step.parse(text.as_bytes()).map_err(|miss| match miss {
        StepMiss::OffGrid => {
            let mut size = String::new();
            step.write(1, 0, &mut size);
            format!("expected {name} on the grid of {size}, found {text:?}")
        }
        StepMiss::NotDecimal | StepMiss::TooLarge => format!("expected a decimal number as {name}, found {text:?}"),
    })
}

fn flag(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        return Some(true);
    }
    text.eq_ignore_ascii_case("false").then_some(false)
}
