//! The state of one symbol's market: book, best prices, last trade, bars, and whether any of it is stale. The machine takes
//! decoded frames and gives conflated updates; strategies and risk see nothing else of the market.

use std::time::Duration;

use smallvec::SmallVec;

use super::bars::{BarError, GridBar, TimeBars};
use super::book::{BookSync, SequenceRule, SyncOutcome, SyncState};
use super::ids::Symbol;
use super::instrument::{Instrument, InstrumentKind, Lots, Ticks};
use super::market_data::{BookTicker, Candle, DepthSnapshot, DepthUpdate, Level, MarketEventRef};
use super::money::{Price, Quantity};
use super::time::Timestamp;

/// The market of one symbol as a strategy and risk see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarketView {
    pub symbol: Symbol,
    /// The venue's time of the newest frame in it.
    pub at: Timestamp,
    /// When the newest frame came in by the driver's clock. A view's age is measured from here: the venue's clock is not ours.
    pub heard_at: Timestamp,
    pub bid: Option<(Price, Quantity)>,
    pub ask: Option<(Price, Quantity)>,
    pub last: Option<Price>,
    /// The venue's mark price; where the venue sends none, the last price.
    pub mark: Option<Price>,
    /// A gap in the stream or silence past the limit: nothing may be decided on it.
    pub stale: bool,
    /// Counts the frames that went into it.
    pub sequence: u64,
}

impl MarketView {
    /// Half of best bid plus best ask, where both stand.
    #[must_use]
    pub fn mid(&self) -> Option<Price> {
        let ((bid, _), (ask, _)) = (self.bid?, self.ask?);
        Some(Price((bid.0 + ask.0) / rust_decimal::Decimal::TWO))
    }

    /// What an order is valued at: the mark, else the last trade, else the mid.
    #[must_use]
    pub fn reference(&self) -> Option<Price> {
        self.mark.or(self.last).or_else(|| self.mid())
    }
}

/// A conflated update: the newest view, and every bar that closed since the update before it. Views may be skipped,
/// closed bars never.
#[derive(Debug, Clone, PartialEq)]
pub struct MarketUpdate {
    pub view: MarketView,
    pub closed: Vec<ClosedBar>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedBar {
    pub interval: Duration,
    pub candle: Candle,
}

/// What a frame or the passing of time changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changed {
    /// The view differs from before.
    pub view: bool,
    /// The book broke off or began without a snapshot: fetch one.
    pub needs_snapshot: bool,
    /// A hole in the stream was seen right now.
    pub gap: bool,
}

/// One symbol's market, stepped by frames. Its book, its bars and its staleness.
#[derive(Debug)]
pub struct MarketMachine {
    instrument: Instrument,
    sync: Option<BookSync>,
    bars: Vec<TimeBars>,
    closed: Vec<ClosedBar>,
    scratch: Vec<GridBar>,
    /// Best levels, from whichever of bookTicker and book is newer by update id.
    top: Option<(Level, Level)>,
    top_id: u64,
    last: Option<Ticks>,
    mark: Option<Price>,
    at: Timestamp,
    heard_at: Timestamp,
    stale_after: Duration,
    silent: bool,
    sequence: u64,
}

impl MarketMachine {
    /// `intervals` are the bars wanted.
    ///
    /// # Errors
    /// When an interval is out of range.
    pub fn new(instrument: Instrument, intervals: &[Duration], stale_after: Duration) -> Result<Self, BarError> {
        let mut machine = Self {
            instrument,
            sync: None,
            bars: Vec::new(),
            closed: Vec::new(),
            scratch: Vec::new(),
            top: None,
            top_id: 0,
            last: None,
            mark: None,
            at: Timestamp::ZERO,
            heard_at: Timestamp::ZERO,
            stale_after,
            silent: true,
            sequence: 0,
        };
        intervals.iter().try_for_each(|interval| machine.want_bars(*interval).map(drop))?;
        Ok(machine)
    }

    /// Builds bars of this length from now on. Says whether that is new: the first of them then is half seen.
    ///
    /// # Errors
    /// When the interval is out of range.
    pub fn want_bars(&mut self, interval: Duration) -> Result<bool, BarError> {
        let new = !self.bars.iter().any(|bars| bars.interval() == interval);
        if new {
            self.bars.push(TimeBars::new(interval)?);
        }
        Ok(new)
    }

    #[must_use]
    pub fn instrument(&self) -> &Instrument {
        &self.instrument
    }

    /// `heard` is when the frame came in by the driver's clock; the view's time is the venue's.
    pub fn frame(&mut self, heard: Timestamp, venue_time: Timestamp, event: MarketEventRef<'_>) -> Changed {
        self.heard_at = self.heard_at.max(heard);
        self.at = self.at.max(venue_time);
        self.silent = false;
        self.sequence += 1;
        match event {
            MarketEventRef::Ticker(ticker) => self.ticker(&ticker),
            MarketEventRef::Trade(trade) => {
                self.last = Some(trade.price);
                self.add_to_bars(venue_time, trade.price, trade.quantity);
                Changed { view: true, ..Changed::default() }
            }
            MarketEventRef::Depth(update) => self.depth(update),
            MarketEventRef::Snapshot(snapshot) => self.snapshot(snapshot),
            MarketEventRef::Mark(mark) => {
                self.mark = Some(mark);
                Changed { view: true, ..Changed::default() }
            }
            MarketEventRef::Candle(candle) => self.candle(candle),
        }
    }

    fn ticker(&mut self, ticker: &BookTicker) -> Changed {
        if ticker.id < self.top_id {
            return Changed::default();
        }
        self.top = Some((ticker.bid, ticker.ask));
        self.top_id = ticker.id;
        Changed { view: true, ..Changed::default() }
    }

    fn depth(&mut self, update: &DepthUpdate) -> Changed {
        let sync = self.sync.get_or_insert_with(|| BookSync::new(rule(&self.instrument)));
        let first = sync.state() == SyncState::NeedsSnapshot;
        let outcome = sync.on_diff(update);
        let gap = matches!(outcome, SyncOutcome::Gap { .. });
        self.take_top();
        Changed { view: outcome == SyncOutcome::Applied, needs_snapshot: first || gap, gap }
    }

    fn snapshot(&mut self, snapshot: &DepthSnapshot) -> Changed {
        let sync = self.sync.get_or_insert_with(|| BookSync::new(rule(&self.instrument)));
        let outcome = sync.on_snapshot(snapshot);
        self.take_top();
        let gap = matches!(outcome, SyncOutcome::Gap { .. });
        Changed { view: outcome == SyncOutcome::Applied, needs_snapshot: gap, gap }
    }

    fn take_top(&mut self) {
        let Some(sync) = &self.sync else { return };
        if let Some(book) = sync.book()
            && sync.last_id() > self.top_id
            && let Some(top) = book.top()
        {
            self.top = Some(top);
            self.top_id = sync.last_id();
        }
    }

    fn add_to_bars(&mut self, at: Timestamp, price: Ticks, quantity: Lots) {
        for bars in &mut self.bars {
            bars.on_trade(at, price, quantity, &mut self.scratch);
            if !self.scratch.is_empty() {
                let interval = bars.interval();
                let closed = self.scratch.drain(..).map(|bar| ClosedBar { interval, candle: bar.candle(&self.instrument) });
                self.closed.extend(closed);
            }
        }
    }

    /// A candle is a bar already where bars of its length or shorter ones are asked for: a recording of candles knows
    /// nothing finer. Longer bars are made from its four prices.
    fn candle(&mut self, candle: &Candle) -> Changed {
        let grid = |price: Price| self.instrument.ticks(self.instrument.price_down(price));
        self.last = grid(candle.close).or(self.last);
        let length = (candle.close_time + Duration::from_millis(1)).since(candle.open_time);
        let length = Duration::from_secs((length.as_millis() as u64 + 500) / 1000);
        let quarter = self.instrument.lots(self.instrument.quantity_down(Quantity(candle.volume.0 / rust_decimal::Decimal::from(4))));
        let path = if candle.close >= candle.open {
            [candle.open, candle.low, candle.high, candle.close]
        } else {
            [candle.open, candle.high, candle.low, candle.close]
        };
        let path: SmallVec<[Ticks; 4]> = path.into_iter().filter_map(grid).collect();
        for bars in &mut self.bars {
            let interval = bars.interval();
            if interval <= length {
                self.closed.push(ClosedBar { interval, candle: *candle });
                continue;
            }
            for price in &path {
                bars.on_trade(candle.open_time, *price, quarter.unwrap_or_default(), &mut self.scratch);
            }
            bars.on_time(candle.close_time + Duration::from_millis(1), &mut self.scratch);
            let closed = self.scratch.drain(..).map(|bar| ClosedBar { interval, candle: bar.candle(&self.instrument) });
            self.closed.extend(closed);
        }
        Changed { view: true, ..Changed::default() }
    }

    /// Time passes: bars close though nothing trades, and silence is noticed. `venue_now` is the venue's time by our
    /// reckoning, less what a trade may be late by.
    pub fn tick(&mut self, now: Timestamp, venue_now: Timestamp) -> Changed {
        for bars in &mut self.bars {
            bars.on_time(venue_now, &mut self.scratch);
            let interval = bars.interval();
            let closed = self.scratch.drain(..).map(|bar| ClosedBar { interval, candle: bar.candle(&self.instrument) });
            self.closed.extend(closed);
        }
        let silent = now.since(self.heard_at) > self.stale_after;
        let changed = silent != self.silent;
        self.silent = silent;
        Changed { view: changed, needs_snapshot: false, gap: false }
    }

    /// The stream broke off: the book is void until a snapshot.
    pub fn disconnected(&mut self) {
        if let Some(sync) = &mut self.sync {
            sync.reset();
        }
        self.silent = true;
    }

    /// Whether bars have closed that nobody was given yet.
    #[must_use]
    pub fn has_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    /// The newest view and the bars closed since the last one.
    pub fn take_update(&mut self) -> MarketUpdate {
        MarketUpdate { view: self.view(), closed: std::mem::take(&mut self.closed) }
    }

    #[must_use]
    pub fn view(&self) -> MarketView {
        let level = |level: Level| (self.instrument.price(level.price), self.instrument.quantity(level.quantity));
        let price = |ticks: Ticks| self.instrument.price(ticks);
        MarketView {
            symbol: self.instrument.symbol,
            at: self.at,
            heard_at: self.heard_at,
            bid: self.top.map(|(bid, _)| level(bid)),
            ask: self.top.map(|(_, ask)| level(ask)),
            last: self.last.map(price),
            mark: self.mark.or(self.last.map(price)),
            stale: self.is_stale(),
            sequence: self.sequence,
        }
    }

    /// Silent for too long, or with a depth stream whose book is broken.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.silent || self.sync.as_ref().is_some_and(|sync| sync.book().is_none())
    }

    #[must_use]
    pub fn book(&self) -> Option<&super::book::Book> {
        self.sync.as_ref().and_then(BookSync::book)
    }
}

fn rule(instrument: &Instrument) -> SequenceRule {
    match instrument.kind {
        InstrumentKind::Spot => SequenceRule::Spot,
        InstrumentKind::Perpetual => SequenceRule::UsdM,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instrument() -> Instrument {
        Instrument {
            symbol: Symbol::new("BTCUSDT").unwrap(),
            kind: InstrumentKind::Perpetual,
            base: "BTC".into(),
            quote: "USDT".into(),
            price_step: "0.1".parse().unwrap(),
            quantity_step: "0.001".parse().unwrap(),
            min_quantity: "0.001".parse().unwrap(),
            max_quantity: "1000".parse().unwrap(),
            min_notional: "5".parse().unwrap(),
            price_band: "0.05".parse().unwrap(),
            maker_fee: "0".parse().unwrap(),
            taker_fee: "0".parse().unwrap(),
            max_leverage: 20,
        }
    }

    #[test]
    fn a_view_ages_from_when_its_last_frame_was_heard_whatever_the_venues_clock_says() {
        let (second, heard) = (Duration::from_secs(1), Timestamp::from_millis(1_800_000_000_000));
        for venues in [heard - second * 3_600, heard, heard + second * 3_600] {
            let mut machine = MarketMachine::new(instrument(), &[], second * 5).unwrap();
            machine.frame(heard, venues, MarketEventRef::Mark("100".parse().unwrap()));
            for (later, stale) in [(second * 5, false), (second * 6, true)] {
                machine.tick(heard + later, heard + later);
                let view = machine.view();
                assert_eq!((view.at, view.heard_at, view.stale), (venues, heard, stale), "a look is no frame");
            }
        }
    }
}
