//! What the exchange's market looks like to the public: a machine that is told frames and the time, and says what is to be sent on
//! which stream, at each stream's pace; it answers what has traded, what the bars are and what the last day was like. It has no
//! clock, no socket and no lock, and it computes only what somebody listens to. All it keeps is bounded: see `bars` and `trades`.

mod bars;
mod board;
mod depth;
mod interval;
#[cfg(test)]
mod tests;
mod trades;

use std::collections::BTreeMap;

use super::names::{Naming, StreamKind, Topic};
use super::payload;
use crate::domain::ids::Symbol;
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::market_data::{BookTicker, Candle, DepthSnapshot, MarketEvent, MarketFrame};
use crate::domain::money::{Price, Ratio};
use crate::domain::time::Timestamp;
use crate::venues::binance::market::{Encoder, Premium};
use crate::venues::grid::StepError;

pub use crate::exchange::core::margin::ForcedOrder;
pub use bars::{Bar, HOURS_KEPT, MINUTES_KEPT, SECONDS_KEPT, Window};
pub use board::Ticker;
use board::{Board, next_due};
pub use interval::{DAY_MS, HOUR_MS, Interval, MINUTE_MS};
pub use trades::{Aggregate, Trade};

const FUNDING_MS: i64 = 8 * HOUR_MS;
/// The shortest bar.
const SECOND_MS: i64 = 1_000;

/// Where a tape's words go. It asks for a text only where somebody listens; one that stays empty is not sent.
pub trait Sink {
    fn send(&mut self, topic: Topic, write: impl FnOnce(&mut String));
}

/// Over which time statistics are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    /// The rolling day.
    Day,
    /// A rolling window of so many milliseconds; it opens at a full minute.
    Window(i64),
    /// From an opening up to, and without, a close.
    Since(i64, i64),
}

/// The rate of the next funding and its time, where the exchange knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Funding {
    pub symbol: Symbol,
    pub rate: Ratio,
    pub next: Timestamp,
    /// The exchange's own mark, for markets that show none.
    pub mark: Option<Price>,
    /// The index price, where it is another than the mark.
    pub index: Option<Price>,
}

/// One stream of all symbols.
#[derive(Debug)]
struct AllStream {
    kind: StreamKind,
    pace: i64,
    due: i64,
    /// Each board's version when it was last told.
    told: Vec<u64>,
}

#[derive(Debug)]
pub struct Tape {
    naming: Naming,
    boards: Vec<Board>,
    index: BTreeMap<Symbol, usize>,
    all: Vec<AllStream>,
    fundings: BTreeMap<Symbol, Funding>,
    now: i64,
}

impl Tape {
    /// # Errors
    /// When a step of an instrument cannot be a grid.
    pub fn new(instruments: &[Instrument], naming: Naming, plain: bool, now: Timestamp) -> Result<Self, StepError> {
        let board = |instrument: &Instrument| {
            let encoder = Encoder::new(instrument)?;
            Ok(Board::new(instrument.clone(), if plain { encoder.plain() } else { encoder }, naming))
        };
        let boards: Vec<Board> = instruments.iter().map(board).collect::<Result<_, StepError>>()?;
        let index = boards.iter().enumerate().map(|(at, board)| (board.instrument.symbol, at)).collect();
        Ok(Self { naming, boards, index, all: Vec::new(), fundings: BTreeMap::new(), now: now.as_millis() })
    }

    fn board(&self, symbol: Symbol) -> Option<&Board> {
        self.index.get(&symbol).map(|at| &self.boards[*at])
    }

    fn board_mut(&mut self, symbol: Symbol) -> Option<&mut Board> {
        self.index.get(&symbol).map(|at| &mut self.boards[*at])
    }

    /// Takes over the closed bars of a second, a minute and an hour from before the tape began.
    pub fn seed(&mut self, symbol: Symbol, past: [&[Candle]; 3]) {
        let Some(board) = self.board_mut(symbol) else { return };
        let past = past.map(|candles| candles.iter().filter_map(|candle| Bar::of_candle(&board.instrument, candle)).collect());
        board.bars.seed(past);
    }

    /// Somebody listens to a stream that nobody listened to.
    pub fn want(&mut self, topic: Topic) {
        let now = self.now;
        match topic.symbol {
            Some(symbol) => {
                if let Some(board) = self.board_mut(symbol) {
                    board.want(topic.kind, now);
                }
            }
            None if self.all.iter().all(|stream| stream.kind != topic.kind) => {
                let pace = self.naming.pace(topic.kind, true);
                let told = vec![u64::MAX; self.boards.len()];
                self.all.push(AllStream { kind: topic.kind, pace, due: i64::MIN, told });
            }
            None => {}
        }
    }

    /// Nobody listens to it any more.
    pub fn unwant(&mut self, topic: Topic) {
        match topic.symbol {
            Some(symbol) => {
                if let Some(board) = self.board_mut(symbol) {
                    board.unwant(topic.kind);
                }
            }
            None => self.all.retain(|stream| stream.kind != topic.kind),
        }
    }

    /// Takes one frame of the market.
    pub fn frame(&mut self, frame: &MarketFrame, sink: &mut impl Sink) {
        let at = frame.venue_time;
        self.now = self.now.max(at.as_millis());
        let now = self.now;
        let Some(index) = self.index.get(&frame.symbol).copied() else { return };
        if let MarketEvent::Mark(mark) = &frame.event {
            let premium = self.premium_of(frame.symbol, *mark);
            self.boards[index].shows_marks = true;
            return self.boards[index].mark(premium);
        }
        let board = &mut self.boards[index];
        match &frame.event {
            // A trade that was on its way while the clock closed its second is of the next one: a bar is the trades that say so.
            MarketEvent::Trade(print) => board.trade(now, at.max(Timestamp::from_millis(now - now.rem_euclid(SECOND_MS))), *print, sink),
            MarketEvent::Ticker(ticker) => {
                board.touch(at, *ticker, sink);
                if self.naming.pace(StreamKind::BookTicker, true) == 0 {
                    let topic = Topic { symbol: None, kind: StreamKind::BookTicker };
                    sink.send(topic, |out| board.encoder.ticker(at, ticker, out));
                }
            }
            MarketEvent::Depth(update) => board.depth(now, at, update, sink),
            MarketEvent::Snapshot(snapshot) => board.snapshot(snapshot),
            MarketEvent::Candle(candle) => board.candle(now, candle, sink),
            MarketEvent::Mark(_) => {}
        }
    }

    fn premium_of(&self, symbol: Symbol, mark: Price) -> Premium {
        let funding = self.fundings.get(&symbol);
        let next = || Timestamp::from_millis((self.now.div_euclid(FUNDING_MS) + 1) * FUNDING_MS);
        Premium {
            mark,
            index: funding.and_then(|funding| funding.index).unwrap_or(mark),
            rate: funding.map_or(Ratio::ZERO, |funding| funding.rate),
            next_funding: funding.map_or_else(next, |funding| funding.next),
        }
    }

    /// What the exchange says of funding.
    pub fn fund(&mut self, funding: Funding) {
        self.fundings.insert(funding.symbol, funding);
        let shown = self.board(funding.symbol).filter(|board| board.shows_marks).and_then(|board| board.premium);
        if let Some(mark) = shown.map(|premium| premium.mark).or(funding.mark) {
            let premium = self.premium_of(funding.symbol, mark);
            if let Some(board) = self.board_mut(funding.symbol).filter(|board| board.premium != Some(premium)) {
                board.mark(premium);
            }
        }
    }

    /// A liquidation. On its symbol's own stream the largest of each second is told, on that of all symbols too.
    pub fn force(&mut self, symbol: Symbol, order: ForcedOrder, sink: &mut impl Sink) {
        let now = self.now;
        let Some(board) = self.board_mut(symbol) else { return };
        board.force(order);
        let topic = Topic { symbol: None, kind: StreamKind::ForceOrder };
        sink.send(topic, |out| payload::forced_order(&board.encoder, now, &order, true, out));
    }

    /// Nothing more of this moment is to come for a symbol: what waited for that, and may be told, is.
    pub fn settle(&mut self, symbol: Symbol, sink: &mut impl Sink) {
        let now = self.now;
        if let Some(board) = self.board_mut(symbol) {
            board.end_aggregate(now, sink);
            board.tick(now, sink);
        }
    }

    /// Time has passed for all.
    pub fn tick(&mut self, now: Timestamp, sink: &mut impl Sink) {
        self.now = self.now.max(now.as_millis());
        for board in &mut self.boards {
            board.end_aggregate(self.now, sink);
            board.tick(self.now, sink);
        }
        for stream in &mut self.all {
            if self.now >= stream.due && stream.tell(&self.boards, self.now, sink) {
                stream.due = next_due(self.now, stream.pace);
            }
        }
    }

    /// Symbols whose book waits for a snapshot.
    pub fn snapshots_needed(&self) -> impl Iterator<Item = Symbol> {
        self.boards.iter().filter(|board| board.needs_snapshot).map(|board| board.instrument.symbol)
    }

    pub fn snapshot(&mut self, symbol: Symbol, snapshot: &DepthSnapshot) {
        if let Some(board) = self.board_mut(symbol) {
            board.snapshot(snapshot);
        }
    }

    #[must_use]
    pub fn now(&self) -> i64 {
        self.now
    }

    #[must_use]
    pub fn instrument(&self, symbol: Symbol) -> Option<&Instrument> {
        self.board(symbol).map(|board| &board.instrument)
    }

    /// By name.
    pub fn instruments(&self) -> impl Iterator<Item = &Instrument> {
        self.index.values().map(|at| &self.boards[*at].instrument)
    }

    #[must_use]
    pub fn encoder(&self, symbol: Symbol) -> Option<&Encoder> {
        self.board(symbol).map(|board| &board.encoder)
    }

    #[must_use]
    pub fn ticker(&self, symbol: Symbol) -> Option<BookTicker> {
        self.board(symbol)?.ticker
    }

    #[must_use]
    pub fn premium(&self, symbol: Symbol) -> Option<Premium> {
        self.board(symbol)?.premium
    }

    #[must_use]
    pub fn last_price(&self, symbol: Symbol) -> Option<Price> {
        self.board(symbol)?.last_price()
    }

    /// Since the tape began.
    #[must_use]
    pub fn has_traded(&self, symbol: Symbol) -> bool {
        self.board(symbol).is_some_and(|board| board.trades.last().is_some())
    }

    /// When the symbol last traded, in milliseconds.
    #[must_use]
    pub fn traded_at(&self, symbol: Symbol) -> Option<i64> {
        self.board(symbol).map(Board::traded_at)
    }

    #[must_use]
    pub fn statistics(&self, symbol: Symbol, over: Statistics) -> Option<Ticker> {
        self.board(symbol)?.statistics(over, self.now)
    }

    /// What traded within the last five minutes.
    #[must_use]
    pub fn average(&self, symbol: Symbol) -> Option<Bar> {
        self.board(symbol)?.average(self.now)
    }

    /// The bar of an interval that opens at `opens`, if it is of the tape's own time: open, or closed since it began.
    #[must_use]
    pub fn bar(&self, symbol: Symbol, interval: Interval, offset: i64, opens: i64) -> Option<Bar> {
        let board = self.board(symbol)?;
        let next = interval.next(opens, offset);
        let is_open = next > self.now;
        let bar = board.bars.sum(opens, next);
        if is_open {
            return bar.or_else(|| board.bars.last_price().map(|price| Bar::flat(opens, price)));
        }
        bar.filter(|_| opens >= board.bars.heard_from())
    }

    /// The newest trades, or those from an id on; oldest first.
    #[must_use]
    pub fn trades(&self, symbol: Symbol, from_id: Option<u64>, limit: usize) -> Vec<Trade> {
        let Some(board) = self.board(symbol) else { return Vec::new() };
        match from_id {
            Some(id) => board.trades.starting_at(id, limit).copied().collect(),
            None => board.trades.newest(limit).copied().collect(),
        }
    }

    /// Aggregates that pass, oldest first: the first ones where there is a beginning to count from, else the newest.
    pub fn aggregates(&self, symbol: Symbol, passes: impl Fn(&Aggregate) -> bool, from_start: bool, limit: usize) -> Vec<Aggregate> {
        let Some(board) = self.board(symbol) else { return Vec::new() };
        let passing = board.trades.aggregates().filter(|aggregate| passes(aggregate));
        if from_start {
            return passing.take(limit).copied().collect();
        }
        let mut newest: Vec<Aggregate> = passing.rev().take(limit).copied().collect();
        newest.reverse();
        newest
    }

    #[must_use]
    pub fn product(&self) -> InstrumentKind {
        self.naming.product
    }
}

impl AllStream {
    /// Says whether there was anything to tell.
    fn tell(&mut self, boards: &[Board], now: i64, sink: &mut impl Sink) -> bool {
        let topic = Topic { symbol: None, kind: self.kind };
        let changed: Vec<usize> = (0..boards.len()).filter(|at| self.told[*at] != boards[*at].version).collect();
        match self.kind {
            // Told as they come.
            StreamKind::ForceOrder => return false,
            StreamKind::BookTicker => {
                for at in &changed {
                    let board = &boards[*at];
                    let Some(ticker) = board.ticker.filter(|_| self.pace > 0) else { continue };
                    sink.send(topic, |out| board.encoder.ticker(Timestamp::from_millis(now), &ticker, out));
                }
            }
            kind => sink.send(topic, |out| {
                // Marks are told whether they moved or not.
                let all: Vec<usize> = (0..boards.len()).collect();
                let told = if matches!(kind, StreamKind::MarkPrice(_)) { &all } else { &changed };
                out.push('[');
                for at in told {
                    let (length, comma) = (out.len(), if out.len() > 1 { "," } else { "" });
                    out.push_str(comma);
                    if !boards[*at].write_statistics(kind, now, out) {
                        out.truncate(length);
                    }
                }
                // Nothing at all is not sent.
                if out.len() == 1 { out.clear() } else { out.push(']') }
            }),
        }
        for at in &changed {
            self.told[*at] = boards[*at].version;
        }
        !changed.is_empty() || matches!(self.kind, StreamKind::MarkPrice(_))
    }
}
