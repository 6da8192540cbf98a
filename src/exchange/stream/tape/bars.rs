//! The bars of one symbol as its tape has heard them, with what takers bought: seconds, minutes and hours, each kept for as long
//! as a question may reach back; every other length and every rolling window is added up from these.

use std::collections::VecDeque;

use rust_decimal::prelude::ToPrimitive as _;

use super::interval::{DAY_MS, HOUR_MS, Interval, MINUTE_MS};
use crate::domain::instrument::Instrument;
use crate::domain::market_data::{Candle, TradePrint};
use crate::domain::money::Price;

/// A page of one-second bars, the most that the venue gives at once.
pub const SECONDS_KEPT: usize = 1_000;
/// A day and an hour: the rolling day at a minute's grain.
pub const MINUTES_KEPT: usize = 25 * 60;
/// The longest month and a day: the open bar of `1M`.
pub const HOURS_KEPT: usize = 32 * 24;
const TIERS: [(i64, usize); 3] = [(1_000, SECONDS_KEPT), (MINUTE_MS, MINUTES_KEPT), (HOUR_MS, HOURS_KEPT)];

/// One bar in whole ticks and lots. All three tiers are some 400 KB a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// Milliseconds since 1970.
    pub opens: i64,
    pub open: i64,
    pub high: i64,
    pub low: i64,
    pub close: i64,
    pub lots: i64,
    /// Ticks times lots.
    pub turnover: i128,
    /// What takers bought of it.
    pub bought: i64,
    pub bought_turnover: i128,
    /// -1 where nothing has traded, as the venue writes it.
    pub first_id: i64,
    pub last_id: i64,
    pub trades: u64,
}

impl Bar {
    /// A bar in which nothing has traded yet, at the price before it.
    #[must_use]
    pub const fn flat(opens: i64, price: i64) -> Self {
        Self {
            opens,
            open: price,
            high: price,
            low: price,
            close: price,
            lots: 0,
            turnover: 0,
            bought: 0,
            bought_turnover: 0,
            first_id: -1,
            last_id: -1,
            trades: 0,
        }
    }

    #[must_use]
    pub fn of_trade(at: i64, trade: &TradePrint) -> Self {
        let turnover = i128::from(trade.price.0) * i128::from(trade.quantity.0);
        let id = i64::try_from(trade.id).unwrap_or(i64::MAX);
        let taken = !trade.buyer_is_maker;
        Self {
            lots: trade.quantity.0,
            turnover,
            bought: if taken { trade.quantity.0 } else { 0 },
            bought_turnover: if taken { turnover } else { 0 },
            first_id: id,
            last_id: id,
            trades: 1,
            ..Self::flat(at, trade.price.0)
        }
    }

    /// A candle on the grid. What takers bought of it, and which trades it had, it does not say.
    #[must_use]
    pub fn of_candle(instrument: &Instrument, candle: &Candle) -> Option<Self> {
        let ticks = |price: Price| instrument.ticks(instrument.price_down(price)).map(|ticks| ticks.0);
        let unit = instrument.price_step * instrument.quantity_step;
        let lots = instrument.lots(instrument.quantity_down(candle.volume))?.0;
        Some(Self {
            opens: candle.open_time.as_millis(),
            open: ticks(candle.open)?,
            high: ticks(candle.high)?,
            low: ticks(candle.low)?,
            close: ticks(candle.close)?,
            lots,
            turnover: candle.quote_volume.0.checked_div(unit.0).map(|turnover| turnover.round())?.to_i128()?,
            bought: 0,
            bought_turnover: 0,
            first_id: -1,
            last_id: -1,
            trades: u64::from(candle.trades),
        })
    }

    /// Candles of some sources do not count their trades.
    const fn is_empty(&self) -> bool {
        self.lots == 0 && self.trades == 0
    }

    /// Adds what came later; a bar without a trade changes nothing.
    pub fn add(&mut self, later: &Self) {
        if later.is_empty() {
            return;
        }
        if self.is_empty() {
            *self = Self { opens: self.opens, ..*later };
            return;
        }
        self.high = self.high.max(later.high);
        self.low = self.low.min(later.low);
        self.close = later.close;
        // Saturating: a source with absurd quantities may spoil a bar but not the exchange.
        self.lots = self.lots.saturating_add(later.lots);
        self.turnover = self.turnover.saturating_add(later.turnover);
        self.bought = self.bought.saturating_add(later.bought);
        self.bought_turnover = self.bought_turnover.saturating_add(later.bought_turnover);
        self.trades = self.trades.saturating_add(later.trades);
        if self.first_id < 0 {
            self.first_id = later.first_id;
        }
        self.last_id = if later.last_id < 0 { self.last_id } else { later.last_id };
    }
}

#[derive(Debug, Clone)]
struct Tier {
    length: i64,
    kept: usize,
    bars: VecDeque<Bar>,
}

impl Tier {
    fn add(&mut self, part: &Bar) {
        let opens = part.opens.div_euclid(self.length) * self.length;
        if let Some(last) = self.bars.back_mut() {
            if last.opens >= opens {
                last.add(part);
                return;
            }
            let (mut next, close) = (last.opens + self.length, last.close);
            // More flat bars than are kept would only push each other out.
            next = next.max(opens - self.length * self.kept as i64);
            while next < opens {
                self.push(Bar::flat(next, close));
                next += self.length;
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

    /// Bars that open in the half-open range.
    fn range(&self, from: i64, to: i64) -> impl Iterator<Item = &Bar> {
        let first = self.bars.partition_point(|bar| bar.opens < from);
        self.bars.range(first..).take_while(move |bar| bar.opens < to)
    }
}

/// What a rolling window shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub bar: Bar,
    /// The close before it: spot's `prevClosePrice`.
    pub before: i64,
}

#[derive(Debug, Clone)]
pub struct Bars {
    tiers: [Tier; 3],
    /// Trades before this are in the bars already.
    heard_from: i64,
}

impl Default for Bars {
    fn default() -> Self {
        Self { tiers: TIERS.map(|(length, kept)| Tier { length, kept, bars: VecDeque::new() }), heard_from: i64::MIN }
    }
}

impl Bars {
    /// Takes over what was before the tape began: closed bars of a second, a minute and an hour, oldest first.
    pub fn seed(&mut self, past: [Vec<Bar>; 3]) {
        let finest = past.iter().zip(TIERS).find_map(|(bars, (length, _))| bars.last().map(|bar| bar.opens + length));
        self.heard_from = finest.unwrap_or(i64::MIN);
        let mut whole_until = i64::MIN;
        // Hours first; then the minutes of the hour that is open, then the seconds of the minute that is.
        for tier in (0..past.len()).rev() {
            for bar in &past[tier] {
                self.tiers[tier].add(bar);
            }
            for longer in tier + 1..self.tiers.len() {
                past[tier].iter().filter(|bar| bar.opens >= whole_until).for_each(|bar| self.tiers[longer].add(bar));
            }
            whole_until = past[tier].last().map_or(whole_until, |bar| whole_until.max(bar.opens + self.tiers[tier].length));
        }
    }

    /// Adds a trade, or a candle of that length in milliseconds. Says whether it was new.
    pub fn add(&mut self, part: &Bar, length: i64) -> bool {
        if part.opens < self.heard_from {
            return false;
        }
        // Of a long candle the seconds are not known; rolling windows need it among the minutes all the same.
        self.tiers.iter_mut().filter(|tier| tier.length >= MINUTE_MS || length < MINUTE_MS).for_each(|tier| tier.add(part));
        true
    }

    /// The newest price, if anything has ever traded.
    #[must_use]
    pub fn last_price(&self) -> Option<i64> {
        let newest = |tier: &Tier| tier.bars.back().map(|bar| (bar.opens, bar.close));
        self.tiers.iter().filter_map(newest).max_by_key(|(opens, _)| *opens).map(|(_, close)| close)
    }

    /// Everything that traded in the half-open range as one bar, which opens at `from`; `None` where nothing is known of it.
    #[must_use]
    pub fn sum(&self, from: i64, to: i64) -> Option<Bar> {
        let mut sum: Option<Bar> = None;
        for bar in self.parts(from, to) {
            match &mut sum {
                Some(sum) => sum.add(bar),
                None => sum = Some(Bar { opens: from, ..*bar }),
            }
        }
        sum
    }

    /// The bars that make up a range, of the coarsest tier that begins where it does. Its end is a bar's end, or now.
    fn parts(&self, from: i64, to: i64) -> impl Iterator<Item = &Bar> {
        let fits = |tier: &&Tier| from.rem_euclid(tier.length) == 0 && to.saturating_sub(from) >= tier.length;
        self.tiers.iter().rev().find(fits).unwrap_or(&self.tiers[0]).range(from, to)
    }

    /// The rolling window of that length that ends now. It opens at a full minute, as the venue's do.
    #[must_use]
    pub fn window(&self, now: i64, length: i64) -> Option<Window> {
        let from = (now - length).div_euclid(MINUTE_MS) * MINUTE_MS;
        // Further back than minutes are kept the grain is an hour.
        let from = if length > DAY_MS { from.div_euclid(HOUR_MS) * HOUR_MS } else { from };
        let last = self.last_price()?;
        let bar = self.sum(from, now + 1).unwrap_or(Bar::flat(from, last));
        let before = self.tiers[1].range(i64::MIN, from).last().map_or(bar.open, |bar| bar.close);
        Some(Window { bar: Bar { opens: from, ..bar }, before })
    }

    /// The bar of an interval that is open at `now`.
    #[must_use]
    pub fn open(&self, interval: Interval, offset: i64, now: i64) -> Option<Bar> {
        let opens = interval.opens(now, offset);
        let bar = self.sum(opens, interval.next(opens, offset));
        bar.or_else(|| self.last_price().map(|price| Bar::flat(opens, price)))
    }

    /// From when on every trade has been heard here, with what takers bought.
    #[must_use]
    pub fn heard_from(&self) -> i64 {
        self.heard_from
    }
}
