//! Bars of a synthetic symbol: the past before the market opened, made by the same process that makes its future, and the
//! bars of what has traded since. Three tiers cover 300 bars of every interval up to a day in about two megabytes.

use std::collections::VecDeque;
use std::time::Duration;

use rust_decimal::Decimal;

use crate::domain::instrument::{Instrument, Lots, Ticks};
use crate::domain::market_data::Candle;
use crate::domain::money::{Money, Quantity};
use crate::domain::time::Timestamp;

use super::process::{Dice, Process};

/// Bar length in seconds and how many are kept: 300 bars of any interval below a minute, below an hour, and up to a day.
const SECOND: (i64, usize) = (1, 300 * 60);
const MINUTE: (i64, usize) = (60, 300 * 60);
const HOUR: (i64, usize) = (3_600, 300 * 24);
/// Price points inside a generated bar.
const POINTS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Bar {
    /// Seconds since 1970, a multiple of the tier's length.
    opens: i64,
    open: i64,
    high: i64,
    low: i64,
    close: i64,
    lots: i64,
    trades: u32,
}

impl Bar {
    fn flat(opens: i64, price: i64) -> Self {
        Self { opens, open: price, high: price, low: price, close: price, lots: 0, trades: 0 }
    }

    fn add(&mut self, later: &Self) {
        self.high = self.high.max(later.high);
        self.low = self.low.min(later.low);
        self.close = later.close;
        self.lots += later.lots;
        self.trades = self.trades.saturating_add(later.trades);
    }
}

#[derive(Debug, Clone)]
struct Tier {
    seconds: i64,
    kept: usize,
    bars: VecDeque<Bar>,
}

impl Tier {
    fn new((seconds, kept): (i64, usize)) -> Self {
        Self { seconds, kept, bars: VecDeque::new() }
    }

    /// Adds a shorter bar, or a trade as a bar; a silent stretch becomes flat bars, as a venue shows it.
    fn add(&mut self, part: &Bar) {
        let opens = part.opens.div_euclid(self.seconds) * self.seconds;
        if let Some(last) = self.bars.back_mut() {
            if last.opens >= opens {
                last.add(part);
                return;
            }
            let (mut next, close) = (last.opens + self.seconds, last.close);
            // More flat bars than the tier keeps would only push each other out.
            next = next.max(opens - self.seconds * self.kept as i64);
            while next < opens {
                self.push(Bar::flat(next, close));
                next += self.seconds;
            }
        }
        self.push(Bar { opens, ..*part });
    }

    fn push(&mut self, bar: Bar) {
        if self.bars.len() >= self.kept {
            self.bars.pop_front();
        }
        self.bars.push_back(bar);
    }
}

#[derive(Debug, Clone)]
pub(super) struct History {
    seconds: Tier,
    minutes: Tier,
    hours: Tier,
}

/// A bar before it is put on the grid.
struct RawBar {
    opens: i64,
    length: i64,
    prices: [f64; POINTS],
    lots: i64,
}

impl History {
    /// Makes the past up to `start` and leaves `process` where it ends: at `price` (in ticks).
    pub(super) fn generate(process: &mut Process, dice: &mut Dice, start: Timestamp, price: f64, lots_per_second: f64) -> Self {
        let now = start.0.div_euclid(1_000_000_000);
        let hour = |seconds: i64| seconds.div_euclid(3_600) * 3_600;
        let from_hours = hour(now) - HOUR.0 * HOUR.1 as i64;
        let from_minutes = hour(now - MINUTE.0 * MINUTE.1 as i64);
        let from_seconds = hour(now - SECOND.0 * SECOND.1 as i64);
        let mut raw = Vec::new();
        for (from, to, length) in [(from_hours, from_minutes, 3_600), (from_minutes, from_seconds, 60), (from_seconds, now, 1)] {
            let mut opens = from;
            while opens < to {
                raw.push(raw_bar(process, dice, opens, length, lots_per_second));
                opens += length;
            }
        }
        // The past is scaled so that it ends at the price that the market opens with. The anchor stays where it was.
        let scale = price / process.price;
        process.price = price;
        let mut history = Self { seconds: Tier::new(SECOND), minutes: Tier::new(MINUTE), hours: Tier::new(HOUR) };
        raw.iter().for_each(|bar| history.add_raw(bar, scale));
        history
    }

    fn add_raw(&mut self, raw: &RawBar, scale: f64) {
        // A price is at least one tick.
        let ticks = raw.prices.map(|price| ((price * scale) as i64).max(1));
        let bar = Bar {
            opens: raw.opens,
            open: ticks[0],
            high: ticks.into_iter().max().unwrap_or(ticks[0]),
            low: ticks.into_iter().min().unwrap_or(ticks[0]),
            close: ticks[POINTS - 1],
            lots: raw.lots,
            trades: u32::try_from(raw.length).unwrap_or(u32::MAX).saturating_mul(8),
        };
        if raw.length <= 1 {
            self.seconds.add(&bar);
        }
        if raw.length <= 60 {
            self.minutes.add(&bar);
        }
        self.hours.add(&bar);
    }

    pub(super) fn trade(&mut self, at: Timestamp, price: Ticks, lots: i64) {
        let opens = at.0.div_euclid(1_000_000_000);
        let bar = Bar { lots, trades: 1, ..Bar::flat(opens, price.0) };
        self.seconds.add(&bar);
        self.minutes.add(&bar);
        self.hours.add(&bar);
    }

    /// The last `limit` bars of `interval` that closed at or before `now`, oldest first.
    pub(super) fn candles(&self, instrument: &Instrument, interval: Duration, limit: usize, now: Timestamp) -> Vec<Candle> {
        let length = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX).max(1);
        let tier = [&self.hours, &self.minutes, &self.seconds].into_iter().find(|tier| length % tier.seconds == 0);
        let Some(tier) = tier else { return Vec::new() };
        let now = now.0.div_euclid(1_000_000_000);
        let mut bars: Vec<Bar> = Vec::new();
        // One more than asked for: the oldest may be cut by the tier's end.
        for bar in tier.bars.iter().rev() {
            let opens = bar.opens.div_euclid(length) * length;
            if opens + length > now {
                continue;
            }
            let full = bars.len() > limit;
            match bars.last_mut() {
                Some(newer) if newer.opens == opens => prepend(newer, bar),
                _ if full => break,
                _ => bars.push(Bar { opens, ..*bar }),
            }
        }
        bars.truncate(limit);
        bars.reverse();
        bars.iter().map(|bar| candle_of(instrument, bar, length)).collect()
    }
}

/// Adds the bar before what is there already.
fn prepend(newer: &mut Bar, older: &Bar) {
    let mut whole = Bar { opens: newer.opens, ..*older };
    whole.add(newer);
    *newer = whole;
}

fn raw_bar(process: &mut Process, dice: &mut Dice, opens: i64, length: i64, lots_per_second: f64) -> RawBar {
    let mut prices = [process.price; POINTS];
    for price in prices.iter_mut().skip(1) {
        process.step(length as f64 / (POINTS - 1) as f64, dice);
        *price = process.price;
    }
    let busy = process.activity() * (0.5 + dice.unit());
    RawBar { opens, length, prices, lots: (lots_per_second * length as f64 * busy) as i64 + 1 }
}

fn candle_of(instrument: &Instrument, bar: &Bar, length: i64) -> Candle {
    let price = |ticks| instrument.price(Ticks(ticks));
    let volume = instrument.quantity(Lots(bar.lots));
    let typical = (price(bar.high).0 + price(bar.low).0 + price(bar.close).0) / Decimal::from(3);
    Candle {
        open_time: Timestamp(bar.opens.saturating_mul(1_000_000_000)),
        close_time: Timestamp((bar.opens + length).saturating_mul(1_000_000_000) - 1_000_000),
        open: price(bar.open),
        high: price(bar.high),
        low: price(bar.low),
        close: price(bar.close),
        volume: Quantity(volume.0),
        quote_volume: Money((volume.0 * typical).round_dp(8)),
        trades: bar.trades,
    }
}
