//! One synthetic symbol: a book that follows the fair price, takers who trade against it, and the frames that tell of both.

use std::collections::BTreeSet;
use std::time::Duration;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::domain::book::Book;
use crate::domain::instrument::{Instrument, InstrumentKind, Lots, Ticks};
use crate::domain::market_data::{BookTicker, Candle, DepthSnapshot, DepthUpdate, Level, MarketEvent, MarketFrame, TradePrint};
use crate::domain::money::Price;
use crate::domain::order::Side;
use crate::domain::time::Timestamp;

use super::history;
use super::process::{Dice, Process};
use super::{STEP, SyntheticSymbol};
use crate::exchange::sources::history::History;

/// Levels that market makers hold on each side; close ones a tick apart, far ones wider.
const DEPTH: usize = 26;
/// Whoever looks sees at least so many levels a side, whenever they look: a venue's `depth20` and smallest pages are always full.
const DEPTH_MIN: usize = 20;
/// A symbol with more ticks in its price than this has finer ticks than makers care for.
const TICKS_PER_ROUND: f64 = 600_000.0;
/// Diffs come at every fifth step (100 ms) at the latest, the mark every fiftieth (1 s).
const STEPS_PER_DIFF: u64 = 5;
const STEPS_PER_MARK: u64 = 50;
/// Makers look after the first levels in each step, after the others in turns.
const WATCHED: usize = 3;
const TURNS: usize = 5;
/// How likely a missing level is quoted again, and a standing one is changed, in one step.
const REQUOTE: f64 = 0.9;
const CHANGE: f64 = 0.08;
/// A taker follows a price move this often; otherwise the makers just step back.
const MOVE_BY_TRADE: f64 = 0.45;
/// Trades excite trades: each adds this much to the rate, which fades to a half in about two seconds.
const EXCITEMENT: f64 = 0.25;
const EXCITEMENT_DECAY: f64 = 0.991;
const EXCITEMENT_MAX: f64 = 4.0;
/// The largest trade, in small trades.
const LARGEST_TRADE: f64 = 400.0;
/// A step has at most this many takers, so that no seed makes a storm.
const TAKERS_MAX: u32 = 12;

#[derive(Debug, Clone)]
pub(super) struct SyntheticMarket {
    pub(super) instrument: Instrument,
    process: Process,
    dice: Dice,
    history: History,
    book: Book,
    /// The book as it can be known from outside: the last diff, and what the touches since have taken off it.
    told: Book,
    changed_bids: BTreeSet<i64>,
    changed_asks: BTreeSet<i64>,
    touch_lots: f64,
    trade_lots: f64,
    trades_per_step: f64,
    excitement: f64,
    steps: u64,
    /// Ticks between two round prices.
    spacing: i64,
    update_id: u64,
    diff_id: u64,
    trade_id: u64,
    shown: (Level, Level),
}

/// How far level `n` is from the touch, in ticks.
const fn offset(n: usize) -> i64 {
    (n + n * n / 12) as i64
}

/// A configured decimal as a whole number of steps, for statistics.
fn steps_of(value: Decimal, step: Decimal) -> f64 {
    (value / step).to_f64().unwrap_or(1.0).max(1.0)
}

impl SyntheticMarket {
    pub(super) fn new(symbol: &SyntheticSymbol, start: Timestamp, mut dice: Dice, resume: Option<Ticks>) -> Self {
        let instrument = symbol.instrument.clone();
        let opens_at = steps_of(symbol.opens_at.0, instrument.price_step.0);
        let price = resume.map_or(opens_at, |ticks| ticks.0.max(1) as f64);
        // The anchor is the configured price: a market that wandered off before a restart is still pulled back.
        let mut process = Process::new(f64::from(symbol.volatility_millionths) / 1e6, opens_at);
        let trade_lots = steps_of(symbol.trade.0, instrument.quantity_step.0);
        let lots_per_second = trade_lots * 2.0 * f64::from(symbol.trades_per_second);
        let history = history::generate(&mut process, &mut dice, start, price, lots_per_second);
        // Ids go on across restarts: no market makes more than 1,000 updates a millisecond.
        let first_id = (start.as_millis().max(1) as u64).saturating_mul(1_000);
        let mut market = Self {
            process,
            dice,
            history,
            book: Book::new(),
            told: Book::new(),
            changed_bids: BTreeSet::new(),
            changed_asks: BTreeSet::new(),
            touch_lots: steps_of(symbol.touch.0, instrument.quantity_step.0),
            trade_lots,
            trades_per_step: f64::from(symbol.trades_per_second) * STEP.as_secs_f64(),
            excitement: 0.0,
            steps: 0,
            spacing: ((opens_at / TICKS_PER_ROUND) as i64).max(1),
            update_id: first_id,
            diff_id: first_id,
            trade_id: first_id,
            shown: (Level::default(), Level::default()),
            instrument,
        };
        market.open_book();
        market
    }

    fn open_book(&mut self) {
        let (bid, ask) = self.fair_touch();
        for n in 0..DEPTH {
            for (side, touch) in [(Side::Buy, bid), (Side::Sell, ask)] {
                let lots = self.quote(n);
                self.set(side, level_price(side, touch, n, self.spacing), lots);
            }
        }
        self.diff_id = self.update_id;
        self.told = self.book.clone();
        self.changed_bids.clear();
        self.changed_asks.clear();
    }

    pub(super) fn snapshot(&self, at: Timestamp) -> MarketFrame {
        self.frame(at, MarketEvent::Snapshot(self.depth(usize::MAX)))
    }

    pub(super) fn depth(&self, limit: usize) -> DepthSnapshot {
        let levels = |side| self.book.levels(side).take(limit).collect();
        DepthSnapshot { last_id: self.update_id, bids: levels(Side::Buy), asks: levels(Side::Sell) }
    }

    pub(super) fn candles(&self, interval: Duration, limit: usize, now: Timestamp) -> Vec<Candle> {
        self.history.candles(&self.instrument, interval, limit, now)
    }

    /// One step of the market.
    pub(super) fn step(&mut self, at: Timestamp, out: &mut Vec<MarketFrame>) {
        self.steps += 1;
        self.process.step(STEP.as_secs_f64(), &mut self.dice);
        let (bid, ask) = self.fair_touch();
        self.clear_way(at, Side::Sell, bid, out);
        self.clear_way(at, Side::Buy, ask, out);
        self.requote(bid, ask);
        self.show_touch(at, out);
        self.trade(at, out);
        self.deepen(Side::Buy);
        self.deepen(Side::Sell);
        // A price that runs takes level after level off what was told last: then the next diff does not wait for its turn.
        let is_thin = |side| self.told.depth(side) < DEPTH_MIN;
        if self.steps.is_multiple_of(STEPS_PER_DIFF) || is_thin(Side::Buy) || is_thin(Side::Sell) {
            self.show_diff(at, out);
        }
        // Spot has no mark.
        if self.steps.is_multiple_of(STEPS_PER_MARK)
            && self.instrument.kind == InstrumentKind::Perpetual
            && let Some((bid, ask)) = self.book.top()
        {
            let sum = self.instrument.price(bid.price).0 + self.instrument.price(ask.price).0;
            out.push(self.frame(at, MarketEvent::Mark(Price(sum / Decimal::TWO))));
        }
    }

    /// Where makers want the touch to be. Prices stay at a tick or more.
    fn fair_touch(&mut self) -> (i64, i64) {
        // Bounded to what whole ticks can be, far beyond any real price.
        let fair = self.process.price.clamp((DEPTH * DEPTH) as f64, 1e15);
        self.process.price = fair;
        let bid = fair as i64;
        let wide = match self.dice.below(16) {
            0 => 3,
            1 | 2 => 2,
            _ => 1,
        };
        (bid, bid + wide)
    }

    /// The fair price has moved into `side`'s quotes: a taker or the makers themselves remove what is at or beyond `limit`.
    fn clear_way(&mut self, at: Timestamp, side: Side, limit: i64, out: &mut Vec<MarketFrame>) {
        let in_the_way = |price: i64| if side == Side::Sell { price <= limit } else { price >= limit };
        let mut by_trade = self.dice.chance(MOVE_BY_TRADE);
        while let Some(level) = self.best(side).filter(|level| in_the_way(level.price.0)) {
            if by_trade {
                let lots = self.trade_size().min(level.quantity.0);
                self.print(at, side, level, lots, out);
                by_trade = lots == level.quantity.0 && self.dice.chance(MOVE_BY_TRADE);
            }
            self.set(side, level.price.0, 0);
        }
    }

    /// Makers fill the gaps around the touch, change a few quotes, and leave what is far away.
    fn requote(&mut self, bid: i64, ask: i64) {
        for (side, touch) in [(Side::Buy, bid), (Side::Sell, ask)] {
            let turn = (self.steps % TURNS as u64) as usize;
            for n in (0..DEPTH).filter(|n| *n < WATCHED || n % TURNS == turn) {
                let price = level_price(side, touch, n, self.spacing);
                let standing = self.book.quantity_at(side, Ticks(price)).0;
                let chance = if standing > 0 { CHANGE } else { REQUOTE };
                // The touch itself is always quoted, so that there is one.
                if (n == 0 && standing == 0) || self.dice.chance(chance) {
                    let lots = self.quote(n);
                    self.set(side, price, lots);
                }
            }
        }
        if self.steps.is_multiple_of(STEPS_PER_DIFF) {
            self.leave_far(Side::Buy, bid);
            self.leave_far(Side::Sell, ask);
        }
    }

    /// Behind what a run or a large taker has left of a side, makers quote at once.
    fn deepen(&mut self, side: Side) {
        let Some(best) = self.best(side).filter(|_| self.book.depth(side) < DEPTH_MIN) else { return };
        for n in 1..DEPTH {
            let price = level_price(side, best.price.0, n, self.spacing);
            if self.book.quantity_at(side, Ticks(price)).0 == 0 {
                let lots = self.quote(n);
                self.set(side, price, lots);
            }
        }
    }

    /// Quotes far behind the touch are taken back, the rest of the depth stays.
    fn leave_far(&mut self, side: Side, touch: i64) {
        let farthest = level_price(side, touch, DEPTH + 4, self.spacing);
        let far = |price: i64| if side == Side::Buy { price < farthest } else { price > farthest };
        let gone: Vec<i64> = self.book.levels(side).skip(DEPTH).map(|level| level.price.0).filter(|price| far(*price)).collect();
        for price in gone {
            self.set(side, price, 0);
        }
    }

    /// Takers come, in bursts.
    fn trade(&mut self, at: Timestamp, out: &mut Vec<MarketFrame>) {
        self.excitement = (self.excitement * EXCITEMENT_DECAY).min(EXCITEMENT_MAX);
        let mut expected = self.trades_per_step * (0.5 * self.process.activity() + self.excitement);
        for _ in 0..TAKERS_MAX {
            if !self.dice.chance(expected.min(0.95)) {
                break;
            }
            expected -= 1.0;
            self.excitement += EXCITEMENT * self.trades_per_step.min(1.0) * 0.1;
            let buys = self.dice.chance(self.process.buyer_chance());
            let side = if buys { Side::Sell } else { Side::Buy };
            self.take(at, side, out);
            self.show_touch(at, out);
        }
    }

    /// One taker walks the side until the size is filled; the last two levels stay, so that the side is never empty.
    fn take(&mut self, at: Timestamp, side: Side, out: &mut Vec<MarketFrame>) {
        let mut left = self.trade_size();
        while left > 0 && self.book.depth(side) > 2 {
            let Some(level) = self.best(side) else { return };
            let lots = left.min(level.quantity.0);
            left -= lots;
            self.print(at, side, level, lots, out);
            self.set(side, level.price.0, level.quantity.0 - lots);
        }
    }

    /// Tells of a trade with a quote on `side`.
    fn print(&mut self, at: Timestamp, side: Side, level: Level, lots: i64, out: &mut Vec<MarketFrame>) {
        self.trade_id += 1;
        self.history.trade(at, level.price, lots);
        let print = TradePrint { id: self.trade_id, price: level.price, quantity: Lots(lots), buyer_is_maker: side == Side::Buy };
        out.push(self.frame(at, MarketEvent::Trade(print)));
    }

    fn show_touch(&mut self, at: Timestamp, out: &mut Vec<MarketFrame>) {
        if let Some((bid, ask)) = self.book.top()
            && (bid, ask) != self.shown
        {
            self.shown = (bid, ask);
            let ticker = BookTicker { id: self.update_id, bid, ask };
            self.told.apply_ticker(&ticker);
            out.push(self.frame(at, MarketEvent::Ticker(ticker)));
        }
    }

    fn show_diff(&mut self, at: Timestamp, out: &mut Vec<MarketFrame>) {
        let bids = std::mem::take(&mut self.changed_bids);
        let asks = std::mem::take(&mut self.changed_asks);
        if bids.is_empty() && asks.is_empty() {
            return;
        }
        let level = |side, price: i64| Level { price: Ticks(price), quantity: self.book.quantity_at(side, Ticks(price)) };
        let update = DepthUpdate {
            first_id: self.diff_id + 1,
            final_id: self.update_id,
            previous_id: Some(self.diff_id),
            bids: bids.into_iter().rev().map(|price| level(Side::Buy, price)).collect(),
            asks: asks.into_iter().map(|price| level(Side::Sell, price)).collect(),
        };
        self.diff_id = self.update_id;
        self.told.apply_update(&update);
        out.push(self.frame(at, MarketEvent::Depth(update)));
    }

    fn frame(&self, at: Timestamp, event: MarketEvent) -> MarketFrame {
        MarketFrame { symbol: self.instrument.symbol, venue_time: at, received_at: at, event }
    }

    fn best(&self, side: Side) -> Option<Level> {
        if side == Side::Buy { self.book.best_bid() } else { self.book.best_ask() }
    }

    fn set(&mut self, side: Side, price: i64, lots: i64) {
        self.update_id += 1;
        self.book.set(side, Ticks(price), Lots(lots));
        let changed = if side == Side::Buy { &mut self.changed_bids } else { &mut self.changed_asks };
        changed.insert(price);
    }

    /// What makers quote at level `n`: thin at the touch, a hump behind it, and now and then a wall.
    fn quote(&mut self, n: usize) -> i64 {
        let shape = (1.0 + n as f64 * 0.35) / (1.0 + n as f64 * n as f64 * 0.012);
        let wall = if self.dice.below(64) == 0 { 6.0 } else { 1.0 };
        let lots = self.touch_lots * shape * wall * (0.15 + self.dice.unit() * 0.6) * self.dice.heavy(3.0) * 0.5;
        (lots as i64).max(1)
    }

    fn trade_size(&mut self) -> i64 {
        let size = self.trade_lots * self.dice.heavy(LARGEST_TRADE) * (0.5 + self.dice.unit());
        (size as i64).max(1)
    }
}

/// Behind the touch, makers keep to round prices: where ticks are fine, quotes stand where they stood when the touch has moved by
/// many.
fn level_price(side: Side, touch: i64, n: usize, spacing: i64) -> i64 {
    let round = |up: bool| if n == 0 { touch } else { (touch + if up { spacing - 1 } else { 0 }).div_euclid(spacing) * spacing };
    match side {
        Side::Buy => (round(false) - offset(n) * spacing).max(1),
        Side::Sell => round(true) + offset(n) * spacing,
    }
}
