//! A market out of a seed that costs little: some frames a second for each symbol, a price that walks, books of a few levels, prints
//! that go up to or through the touch, so that resting orders fill whole, in parts, and in races. Whole numbers only; it knows no
//! account and no order.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use super::super::Random;
use crate::domain::ids::Symbol;
use crate::domain::instrument::{Instrument, Lots, Ticks};
use crate::domain::market_data::{BookTicker, Candle, DepthSnapshot, DepthUpdate, Level, MarketEvent, MarketFrame, TradePrint};
use crate::domain::money::Price;
use crate::domain::order::Side;
use crate::domain::time::Timestamp;
use crate::exchange::sources::MarketSource;

/// Levels a side.
const LEVELS: i64 = 5;
/// What a level is worth, in quote currency: so little that an order of some hundreds fills in parts.
const LEVEL_WORTH: i64 = 1_500;
/// Between two things that happen on a symbol.
const PAUSE_MS: (u64, u64) = (60, 520);
/// The mark is told so often, as the venue does.
const MARK_EVERY: Duration = Duration::from_secs(3);

struct SymbolMarket {
    instrument: Instrument,
    random: Random,
    /// The price in the middle, and where it began: it never goes beyond a tenth of that.
    mid: i64,
    anchor: i64,
    /// Half the distance between bid and ask, and between levels.
    half: i64,
    lots: i64,
    next: Timestamp,
    next_mark: Timestamp,
    bids: Vec<Level>,
    asks: Vec<Level>,
    update_id: u64,
    diff_id: u64,
    trade_id: u64,
}

/// All symbols.
pub struct SparseMarket {
    markets: Vec<SymbolMarket>,
    opened: bool,
    /// When something happens next, for whoever moves the exchange on.
    due: Arc<AtomicI64>,
}

impl SparseMarket {
    pub fn new(start: Timestamp, instruments: &[(Instrument, Ticks)], random: &Random, due: Arc<AtomicI64>) -> Self {
        let open = |(instrument, price): &(Instrument, Ticks)| {
            SymbolMarket::new(start, instrument.clone(), *price, random.split(instrument.symbol.as_str()))
        };
        Self { markets: instruments.iter().map(open).collect(), opened: false, due }
    }
}

impl MarketSource for SparseMarket {
    fn instruments(&self) -> Vec<Instrument> {
        self.markets.iter().map(|market| market.instrument.clone()).collect()
    }

    fn poll(&mut self, now: Timestamp, out: &mut Vec<MarketFrame>) {
        if !std::mem::replace(&mut self.opened, true) {
            self.markets.iter().for_each(|market| market.open(now, out));
        }
        while let Some(market) = self.markets.iter_mut().filter(|market| market.next_due() <= now).min_by_key(|market| market.next_due()) {
            market.step(out);
        }
        let next = self.markets.iter().map(SymbolMarket::next_due).min().unwrap_or(now);
        self.due.store(next.0, Ordering::Relaxed);
    }

    fn book(&self, symbol: Symbol, limit: usize) -> Option<DepthSnapshot> {
        self.markets.iter().find(|market| market.instrument.symbol == symbol).map(|market| market.book(limit))
    }

    fn candles(&self, _: Symbol, _: Duration, _: usize) -> Vec<Candle> {
        Vec::new()
    }
}

impl SymbolMarket {
    fn new(start: Timestamp, instrument: Instrument, price: Ticks, random: Random) -> Self {
        let lot = instrument.price_step.0 * Decimal::from(price.0) * instrument.quantity_step.0;
        let lots = Decimal::from(LEVEL_WORTH).checked_div(lot).and_then(|lots| lots.to_i64()).unwrap_or(1).max(1);
        let first_id = start.as_millis().unsigned_abs();
        let mut market = Self {
            instrument,
            random,
            mid: price.0,
            anchor: price.0,
            half: (price.0 / 40_000).max(1),
            lots,
            next: start,
            next_mark: start,
            bids: Vec::new(),
            asks: Vec::new(),
            update_id: first_id,
            diff_id: first_id,
            trade_id: first_id,
        };
        (market.bids, market.asks) = (market.levels(Side::Buy), market.levels(Side::Sell));
        market
    }

    fn next_due(&self) -> Timestamp {
        self.next.min(self.next_mark)
    }

    fn levels(&mut self, side: Side) -> Vec<Level> {
        let away = if side == Side::Buy { -1 } else { 1 };
        (0..LEVELS).map(|level| Level { price: Ticks(self.mid + away * self.half * (level + 1)), quantity: self.amount(40, 260) }).collect()
    }

    /// So many hundredths of what is usual.
    fn amount(&mut self, low: u64, high: u64) -> Lots {
        let share = i64::try_from(self.random.between(low, high)).unwrap_or(100);
        Lots((self.lots * share / 100).max(1))
    }

    fn open(&self, now: Timestamp, out: &mut Vec<MarketFrame>) {
        out.push(self.frame(now, MarketEvent::Snapshot(self.book(usize::MAX))));
        out.push(self.frame(now, self.mark()));
    }

    fn book(&self, limit: usize) -> DepthSnapshot {
        let side = |levels: &[Level]| levels.iter().take(limit).copied().collect();
        DepthSnapshot { last_id: self.update_id, bids: side(&self.bids), asks: side(&self.asks) }
    }

    fn frame(&self, at: Timestamp, event: MarketEvent) -> MarketFrame {
        MarketFrame { symbol: self.instrument.symbol, venue_time: at, received_at: at, event }
    }

    fn mark(&self) -> MarketEvent {
        MarketEvent::Mark(Price(self.instrument.price_step.0 * Decimal::from(self.mid)))
    }

    fn step(&mut self, out: &mut Vec<MarketFrame>) {
        if self.next_mark <= self.next {
            out.push(self.frame(self.next_mark, self.mark()));
            self.next_mark = self.next_mark + MARK_EVERY;
            return;
        }
        let at = self.next;
        self.next = at + Duration::from_millis(self.random.between(PAUSE_MS.0, PAUSE_MS.1));
        match self.random.below(10) {
            0..5 => self.print(at, out),
            _ => self.walk(at, out),
        }
    }

    /// A taker: at the touch, or through it.
    fn print(&mut self, at: Timestamp, out: &mut Vec<MarketFrame>) {
        let buyer_is_maker = self.random.below(2) == 0;
        let levels = if buyer_is_maker { &self.bids } else { &self.asks };
        let deep = usize::try_from(self.random.below(3)).unwrap_or_default();
        let Some(price) = levels.get(deep).map(|level| level.price) else { return };
        self.trade_id += 1;
        let quantity = self.amount(5, 180);
        out.push(self.frame(at, MarketEvent::Trade(TradePrint { id: self.trade_id, price, quantity, buyer_is_maker })));
    }

    /// The price moves and everybody quotes anew.
    fn walk(&mut self, at: Timestamp, out: &mut Vec<MarketFrame>) {
        let far = self.half * 3;
        let step = i64::try_from(self.random.below(far.unsigned_abs() * 2 + 1)).unwrap_or(far) - far;
        let room = self.anchor / 10;
        self.mid = (self.mid + step).clamp(self.anchor - room, self.anchor + room);
        let (bids, asks) = (self.levels(Side::Buy), self.levels(Side::Sell));
        let diff = |old: &[Level], new: &[Level]| {
            let gone = old.iter().filter(|old| !new.iter().any(|new| new.price == old.price));
            gone.map(|old| Level { price: old.price, quantity: Lots(0) }).chain(new.iter().copied()).collect()
        };
        let previous_id = Some(self.diff_id);
        self.update_id += 2;
        let first_id = self.update_id - 1;
        let update =
            DepthUpdate { first_id, final_id: self.update_id, previous_id, bids: diff(&self.bids, &bids), asks: diff(&self.asks, &asks) };
        self.diff_id = self.update_id;
        let ticker = BookTicker { id: self.update_id, bid: bids[0], ask: asks[0] };
        (self.bids, self.asks) = (bids, asks);
        out.push(self.frame(at, MarketEvent::Depth(update)));
        out.push(self.frame(at, MarketEvent::Ticker(ticker)));
    }
}
