//! The bars of one symbol of a market source: what was before it opened, as the source gives it, and what has traded since.
//! Three tiers cover 300 bars of every interval up to a day in about two megabytes. It invents nothing.

use std::collections::VecDeque;
use std::time::Duration;

use rust_decimal::Decimal;

use crate::domain::instrument::{Instrument, Lots, Ticks};
use crate::domain::market_data::Candle;
use crate::domain::money::{Money, Quantity};
use crate::domain::time::Timestamp;

/// Bar length in seconds and how many are kept: 300 bars of any interval below a minute, below an hour, and up to a day.
pub(super) const SECOND: (i64, usize) = (1, 300 * 60);
pub(super) const MINUTE: (i64, usize) = (60, 300 * 60);
pub(super) const HOUR: (i64, usize) = (3_600, 300 * 24);
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bar {
    /// Seconds since 1970, a multiple of the tier's length.
    pub opens: i64,
    pub open: i64,
    pub high: i64,
    pub low: i64,
    pub close: i64,
    pub lots: i64,
    pub trades: u32,
}

impl Bar {
    pub(super) fn flat(opens: i64, price: i64) -> Self {
        Self { opens, open: price, high: price, low: price, close: price, lots: 0, trades: 0 }
    }

    pub(super) fn add(&mut self, later: &Self) {
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

impl History {
    pub(super) fn new() -> Self {
        Self { seconds: Tier::new(SECOND), minutes: Tier::new(MINUTE), hours: Tier::new(HOUR) }
    }

    /// Adds a bar to every tier that its detail (in seconds) is fine enough for.
    pub(super) fn add(&mut self, bar: &Bar, detail: i64) {
        if detail <= SECOND.0 {
            self.seconds.add(bar);
        }
        if detail <= MINUTE.0 {
            self.minutes.add(bar);
        }
        self.hours.add(bar);
    }

    pub(super) fn trade(&mut self, at: Timestamp, price: Ticks, lots: i64) {
        let opens = at.0.div_euclid(1_000_000_000);
        self.add(&Bar { lots, trades: 1, ..Bar::flat(opens, price.0) }, SECOND.0);
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
