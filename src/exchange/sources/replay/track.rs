//! One symbol of a replayed recording: what was recorded becomes what a venue that never restarted would have sent. Diffs form
//! one unbroken chain across rounds and across holes in the recording; ids never go back.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::book::{Book, BookSync, SequenceRule, SyncOutcome, SyncState};
use crate::domain::ids::Symbol;
use crate::domain::instrument::{Instrument, InstrumentKind, Lots, Ticks};
use crate::domain::market_data::{BookTicker, Candle, DepthSnapshot, DepthUpdate, Level, MarketEvent, MarketFrame, TradePrint};
use crate::domain::order::Side;
use crate::domain::time::Timestamp;
use crate::exchange::sources::history::{Bar, History};

pub(in crate::exchange::sources) struct Track {
    pub instrument: Instrument,
    pub history: History,
    /// Seconds of the recording's candles: nothing finer can be told from them.
    candle: i64,
    /// The recorded book of this round.
    sync: BookSync,
    /// What readers of the stream have now.
    shown: Book,
    ticker: Option<BookTicker>,
    /// Diffs were seen: the symbol has a book.
    has_depth: bool,
    /// The recording has a snapshot that its diffs join. Without one the book begins empty with the first diff.
    has_snapshot: bool,
    /// Touches were seen.
    has_touches: bool,
    left_out: LeftOut,
    /// A diff was told: readers have a book to follow.
    has_told: bool,
    /// The id of the newest diff told, and the newest of diffs and tickers.
    diff_id: u64,
    book_id: u64,
    trade_id: u64,
    /// Added to recorded ids; unknown until the round's first.
    book_shift: Option<i128>,
    trade_shift: Option<i128>,
}

/// What a recording leaves out of what a venue tells of a book, and is made from the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum LeftOut {
    #[default]
    Nothing,
    /// It has diffs and no touches: the best levels that the diffs make are the touch.
    Touches,
    /// It has touches and no diffs: they are a book of one level.
    Diffs,
}

impl Track {
    pub(in crate::exchange::sources) fn new(instrument: Instrument) -> Self {
        let rule = match instrument.kind {
            InstrumentKind::Spot => SequenceRule::Spot,
            InstrumentKind::Perpetual => SequenceRule::UsdM,
        };
        Self {
            instrument,
            history: History::new(),
            candle: 0,
            sync: BookSync::new(rule),
            shown: Book::new(),
            ticker: None,
            has_depth: false,
            // Until the first frames have shown otherwise.
            has_snapshot: true,
            has_touches: false,
            left_out: LeftOut::Nothing,
            has_told: false,
            diff_id: 0,
            book_id: 0,
            trade_id: 0,
            book_shift: None,
            trade_shift: None,
        }
    }

    /// After the first look at the recording: diffs that no snapshot was found for must do without, and what it never shows is
    /// made up for.
    pub(in crate::exchange::sources) fn settle(&mut self) {
        self.has_snapshot = self.diff_id > 0;
        self.left_out = match (self.has_depth, self.has_touches) {
            (true, false) => LeftOut::Touches,
            (false, true) => LeftOut::Diffs,
            _ => LeftOut::Nothing,
        };
    }

    pub(in crate::exchange::sources) fn begin_round(&mut self) {
        self.sync.reset();
        self.book_shift = None;
        self.trade_shift = None;
    }

    pub(in crate::exchange::sources) fn waits_for_snapshot(&self) -> bool {
        self.has_depth && self.has_snapshot && self.book_shift.is_none()
    }

    /// The book as readers have it; none where it was never whole.
    pub(in crate::exchange::sources) fn snapshot(&self, at: Timestamp) -> Option<MarketFrame> {
        (self.has_depth && self.has_snapshot).then(|| self.show(at))
    }

    fn show(&self, at: Timestamp) -> MarketFrame {
        frame(self.instrument.symbol, at, MarketEvent::Snapshot(snapshot_of(&self.shown, self.diff_id, usize::MAX)))
    }

    /// The book as the diffs told make it; none before the first.
    pub(in crate::exchange::sources) fn depth(&self, limit: usize) -> Option<DepthSnapshot> {
        self.has_told.then(|| snapshot_of(&self.shown, self.diff_id, limit))
    }

    /// Appends what a venue would have sent for a recorded frame.
    pub(in crate::exchange::sources) fn play(&mut self, recorded: &MarketFrame, out: &mut Vec<MarketFrame>) {
        let at = recorded.received_at;
        match &recorded.event {
            MarketEvent::Depth(update) => self.diff(update, at, out),
            MarketEvent::Snapshot(snapshot) => self.resnapshot(snapshot, at, out),
            // Beside the old book the new round's trades and touches would make no sense.
            _ if self.waits_for_snapshot() => {}
            MarketEvent::Ticker(ticker) => self.touch(ticker, at, out),
            MarketEvent::Trade(trade) => self.trade(trade, at, out),
            MarketEvent::Mark(_) | MarketEvent::Candle(_) => out.push(recorded.clone()),
        }
    }

    /// Puts a played trade or candle into the bars.
    pub(in crate::exchange::sources) fn remember(&mut self, played: &MarketFrame) {
        match &played.event {
            MarketEvent::Trade(trade) => self.history.trade(played.received_at, trade.price, trade.quantity.0),
            MarketEvent::Candle(candle) => {
                self.candle = self.candle.max(length_of(candle));
                if let Some(bar) = bar_of(&self.instrument, candle) {
                    self.history.add(&bar, detail(length_of(candle)));
                }
            }
            _ => {}
        }
    }

    pub(in crate::exchange::sources) fn candles(&self, interval: Duration, limit: usize, now: Timestamp) -> Vec<Candle> {
        let seconds = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX);
        if self.candle > 0 && seconds % self.candle != 0 {
            return Vec::new();
        }
        self.history.candles(&self.instrument, interval, limit, now)
    }

    fn diff(&mut self, update: &DepthUpdate, at: Timestamp, out: &mut Vec<MarketFrame>) {
        self.has_depth = true;
        if self.left_out == LeftOut::Diffs {
            self.left_out = LeftOut::Nothing;
        }
        if !self.has_snapshot && self.sync.state() == SyncState::NeedsSnapshot {
            self.sync.on_snapshot(&DepthSnapshot { last_id: id_before(update), ..DepthSnapshot::default() });
            self.join(at, out);
        }
        match self.sync.on_diff(update) {
            SyncOutcome::Applied => self.tell_diff(update, at, out),
            SyncOutcome::Gap { found, .. } if self.book_shift.is_some() => self.bridge(update, found, at, out),
            SyncOutcome::Buffered | SyncOutcome::Stale | SyncOutcome::Gap { .. } => {}
        }
        self.tell_best(at, out);
    }

    /// A hole in the recording is none in the market: it goes on with what is known, and nobody is told of the ids between.
    fn bridge(&mut self, update: &DepthUpdate, follows: u64, at: Timestamp, out: &mut Vec<MarketFrame>) {
        if self.sync.on_snapshot(&snapshot_of(&self.shown, follows, usize::MAX)) == SyncOutcome::Applied {
            self.book_shift = Some(i128::from(self.diff_id) - i128::from(follows));
            self.tell_diff(update, at, out);
        }
    }

    fn resnapshot(&mut self, snapshot: &DepthSnapshot, at: Timestamp, out: &mut Vec<MarketFrame>) {
        // One alone is a book too.
        self.has_depth = true;
        if self.sync.on_snapshot(snapshot) == SyncOutcome::Applied {
            self.join(at, out);
            out.push(self.show(at));
            self.tell_best(at, out);
        }
    }

    /// The touch of a recording that has none of its own.
    fn tell_best(&mut self, at: Timestamp, out: &mut Vec<MarketFrame>) {
        let (LeftOut::Touches, Some(bid), Some(ask)) = (self.left_out, self.shown.best_bid(), self.shown.best_ask()) else { return };
        let is_new = self.ticker.is_none_or(|told| (told.bid, told.ask) != (bid, ask));
        // A book that was begun without a snapshot has levels that are long gone.
        if is_new && self.book_shift.is_some() && bid.price < ask.price {
            let told = BookTicker { id: self.diff_id, bid, ask };
            self.ticker = Some(told);
            out.push(frame(self.instrument.symbol, at, MarketEvent::Ticker(told)));
        }
    }

    /// The diff of a recording that has none of its own: from one touch to the next.
    fn tell_step(&mut self, told: BookTicker, at: Timestamp, out: &mut Vec<MarketFrame>) -> BookTicker {
        let side = |before: Option<Level>, now: Level| {
            let gone = before.filter(|before| before.price != now.price).map(|before| Level { quantity: Lots(0), ..before });
            gone.into_iter().chain([now]).filter(|level| level.price.0 > 0).collect()
        };
        let first_id = if self.has_told { self.diff_id + 1 } else { told.id };
        let final_id = told.id.max(first_id);
        let update = DepthUpdate {
            first_id,
            final_id,
            previous_id: self.previous_id(),
            bids: side(self.ticker.map(|before| before.bid), told.bid),
            asks: side(self.ticker.map(|before| before.ask), told.ask),
        };
        self.shown.apply_update(&update);
        (self.diff_id, self.has_told) = (final_id, true);
        out.push(frame(self.instrument.symbol, at, MarketEvent::Depth(update)));
        BookTicker { id: final_id, ..told }
    }

    /// The recorded book is whole again: one diff leads from what readers have to it, and ids go on behind the newest.
    fn join(&mut self, at: Timestamp, out: &mut Vec<MarketFrame>) {
        let Some(book) = self.sync.book() else { return };
        let recorded = self.sync.last_id();
        if self.book_id == 0 {
            // Nobody has seen anything yet: the first round has the recorded ids.
            (self.diff_id, self.book_id) = (recorded, recorded);
        } else {
            let update = self.way_to(book, self.book_id + 1);
            (self.diff_id, self.book_id) = (update.final_id, update.final_id);
            out.push(frame(self.instrument.symbol, at, MarketEvent::Depth(update)));
        }
        self.shown = book.clone();
        self.ticker = None;
        self.book_shift = Some(i128::from(self.diff_id) - i128::from(recorded));
    }

    /// The diff that makes `book` of whatever a reader of the stream has, who may or may not have followed the touches.
    fn way_to(&self, book: &Book, id: u64) -> DepthUpdate {
        let side = |side: Side, touch: Option<Level>| {
            let gone = self.shown.levels(side).chain(touch).map(|level| level.price);
            let prices: BTreeSet<Ticks> = gone.chain(book.levels(side).map(|level| level.price)).collect();
            let level = |price| Level { price, quantity: book.quantity_at(side, price) };
            prices.into_iter().map(level).filter(|level| level.price.0 > 0).collect()
        };
        DepthUpdate {
            first_id: self.diff_id + 1,
            final_id: id,
            previous_id: self.previous_id(),
            bids: side(Side::Buy, self.ticker.map(|ticker| ticker.bid)),
            asks: side(Side::Sell, self.ticker.map(|ticker| ticker.ask)),
        }
    }

    fn tell_diff(&mut self, update: &DepthUpdate, at: Timestamp, out: &mut Vec<MarketFrame>) {
        self.shown.apply_update(update);
        let Some(shift) = self.book_shift else { return };
        let final_id = shifted(update.final_id, shift);
        if final_id <= self.diff_id {
            // The snapshot has it already.
            return;
        }
        let told = DepthUpdate {
            first_id: shifted(update.first_id, shift).max(self.diff_id + 1),
            final_id,
            previous_id: self.previous_id(),
            bids: update.bids.clone(),
            asks: update.asks.clone(),
        };
        self.diff_id = final_id;
        self.book_id = self.book_id.max(final_id);
        self.has_told = true;
        out.push(frame(self.instrument.symbol, at, MarketEvent::Depth(told)));
    }

    fn previous_id(&self) -> Option<u64> {
        (self.instrument.kind == InstrumentKind::Perpetual).then_some(self.diff_id)
    }

    fn touch(&mut self, ticker: &BookTicker, at: Timestamp, out: &mut Vec<MarketFrame>) {
        let next = i128::from(self.book_id) + 1;
        let first = self.book_id == 0;
        let shift = *self.book_shift.get_or_insert(if first { 0 } else { next - i128::from(ticker.id) });
        let told = BookTicker { id: shifted(ticker.id, shift), ..*ticker };
        if self.ticker.is_some_and(|newest| told.id < newest.id) {
            return;
        }
        self.has_touches = true;
        let told = match self.left_out {
            LeftOut::Diffs => self.tell_step(told, at, out),
            // It has touches after all.
            LeftOut::Touches | LeftOut::Nothing => {
                self.left_out = LeftOut::Nothing;
                told
            }
        };
        self.book_id = self.book_id.max(told.id);
        self.ticker = Some(told);
        out.push(frame(self.instrument.symbol, at, MarketEvent::Ticker(told)));
    }

    fn trade(&mut self, trade: &TradePrint, at: Timestamp, out: &mut Vec<MarketFrame>) {
        let next = i128::from(self.trade_id) + 1;
        let first = self.trade_id == 0;
        let shift = *self.trade_shift.get_or_insert(if first { 0 } else { next - i128::from(trade.id) });
        let told = TradePrint { id: shifted(trade.id, shift), ..*trade };
        // Recorders that listen twice write twice; a venue tells each trade once, in the order of ids.
        if !first && told.id <= self.trade_id {
            return;
        }
        self.trade_id = self.trade_id.max(told.id);
        out.push(frame(self.instrument.symbol, at, MarketEvent::Trade(told)));
    }
}

/// A bar's length in whole seconds; venues end it a millisecond, or nothing, before the next.
pub(in crate::exchange::sources) fn length_of(candle: &Candle) -> i64 {
    let nanos = candle.close_time.0.saturating_sub(candle.open_time.0);
    nanos.saturating_add(500_000_000).div_euclid(1_000_000_000).max(1)
}

/// Which of the history's tiers a candle is fine enough for: whole minutes are kept as minutes.
pub(in crate::exchange::sources) fn detail(seconds: i64) -> i64 {
    if seconds % 60 == 0 { 60 } else { 1 }
}

/// A candle on the instrument's grid; `None` where a price does not fit it.
pub(in crate::exchange::sources) fn bar_of(instrument: &Instrument, candle: &Candle) -> Option<Bar> {
    let ticks = |price| instrument.ticks(instrument.price_down(price)).map(|ticks| ticks.0);
    Some(Bar {
        opens: candle.open_time.0.div_euclid(1_000_000_000),
        open: ticks(candle.open)?,
        high: ticks(candle.high)?,
        low: ticks(candle.low)?,
        close: ticks(candle.close)?,
        lots: instrument.lots(instrument.quantity_down(candle.volume)).unwrap_or(Lots(0)).0,
        trades: candle.trades,
    })
}

fn frame(symbol: Symbol, at: Timestamp, event: MarketEvent) -> MarketFrame {
    MarketFrame { symbol, venue_time: at, received_at: at, event }
}

fn snapshot_of(book: &Book, last_id: u64, limit: usize) -> DepthSnapshot {
    let levels = |side| book.levels(side).take(limit).collect();
    DepthSnapshot { last_id, bids: levels(Side::Buy), asks: levels(Side::Sell) }
}

/// The id that a diff follows.
fn id_before(update: &DepthUpdate) -> u64 {
    update.previous_id.unwrap_or_else(|| update.first_id.saturating_sub(1))
}

fn shifted(id: u64, shift: i128) -> u64 {
    u64::try_from(i128::from(id) + shift).unwrap_or(0)
}
