//! One symbol of the tape: its newest trades, its bars, its touch and its mark, and the streams that somebody listens to. It is
//! told what the market shows and what time it is, and says what is to be sent.

use super::bars::{Bar, Bars, Window};
use super::depth::{Gathered, IdRange, top};
use super::interval::{DAY_MS, HOUR_MS, Interval, MINUTE_MS};
use super::trades::{Aggregate, Trades};
use super::{Sink, Statistics};
use crate::domain::book::{BookSync, SequenceRule, SyncOutcome, SyncState};
use crate::domain::instrument::{Instrument, InstrumentKind, Ticks};
use crate::domain::market_data::{BookTicker, Candle, DepthSnapshot, DepthUpdate, Level, TradePrint};
use crate::domain::money::Price;
use crate::domain::time::Timestamp;
use crate::exchange::core::margin::ForcedOrder;
use crate::exchange::stream::names::{Naming, StreamKind, Topic};
use crate::exchange::stream::payload::{self, Kline};
use crate::venues::binance::interval::candle_interval;
use crate::venues::binance::market::{Encoder, Premium};

/// Flat bars that a silence is filled with; what is longer begins anew.
const FLAT_BARS_MAX: i64 = 120;

/// Rolling statistics, ready to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticker {
    pub window: Window,
    pub opens: i64,
    pub closes: i64,
    pub last_lots: i64,
    pub touch: (Level, Level),
}

/// A stream that has a pace of its own.
#[derive(Debug, Clone)]
struct Stream {
    kind: StreamKind,
    pace: i64,
    /// It may speak again from here on.
    due: i64,
    /// There is something to say.
    changed: bool,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Diff(Gathered),
    Partial(Option<IdRange>),
    Kline(Interval, i64, Option<Bar>),
    /// What is computed when it is said.
    Statistics,
    Mark,
    Forced(Option<ForcedOrder>),
}

#[derive(Debug)]
pub(super) struct Board {
    pub(super) instrument: Instrument,
    pub(super) encoder: Encoder,
    naming: Naming,
    pub(super) trades: Trades,
    pub(super) bars: Bars,
    pub(super) ticker: Option<BookTicker>,
    pub(super) premium: Option<Premium>,
    /// The market itself shows marks.
    pub(super) shows_marks: bool,
    /// Counts what statistics are made of: trades and touches.
    pub(super) version: u64,
    traded_at: i64,
    depth_at: i64,
    book: Option<BookSync>,
    /// The book waits for a snapshot that it can join.
    pub(super) needs_snapshot: bool,
    streams: Vec<Stream>,
}

impl Board {
    pub(super) fn new(instrument: Instrument, encoder: Encoder, naming: Naming) -> Self {
        Self {
            instrument,
            encoder,
            naming,
            trades: Trades::default(),
            bars: Bars::default(),
            ticker: None,
            premium: None,
            shows_marks: false,
            version: 0,
            traded_at: 0,
            depth_at: 0,
            book: None,
            needs_snapshot: false,
            streams: Vec::new(),
        }
    }

    fn topic(&self, kind: StreamKind) -> Topic {
        Topic { symbol: Some(self.instrument.symbol), kind }
    }

    /// Somebody listens to a stream that nobody listened to before.
    pub(super) fn want(&mut self, kind: StreamKind, now: i64) {
        if self.streams.iter().any(|stream| stream.kind == kind) {
            return;
        }
        let state = match kind {
            StreamKind::Depth(0) | StreamKind::AggregateTrade | StreamKind::Trade | StreamKind::BookTicker => return,
            StreamKind::Depth(_) => State::Diff(Gathered::default()),
            StreamKind::PartialDepth(..) => {
                self.keep_book();
                State::Partial(None)
            }
            StreamKind::Kline(interval, offset) => State::Kline(interval, offset, self.bars.open(interval, offset, now)),
            StreamKind::ContinuousKline(interval) => State::Kline(interval, 0, self.bars.open(interval, 0, now)),
            StreamKind::MiniTicker | StreamKind::Ticker | StreamKind::WindowTicker(_) | StreamKind::AveragePrice => State::Statistics,
            StreamKind::MarkPrice(_) => State::Mark,
            StreamKind::ForceOrder => State::Forced(None),
        };
        let pace = self.naming.pace(kind, false);
        self.streams.push(Stream { kind, pace, due: i64::MIN, changed: true, state });
    }

    pub(super) fn unwant(&mut self, kind: StreamKind) {
        self.streams.retain(|stream| stream.kind != kind);
        if !self.streams.iter().any(|stream| matches!(stream.state, State::Partial(_))) {
            (self.book, self.needs_snapshot) = (None, false);
        }
    }

    fn keep_book(&mut self) {
        if self.book.is_none() {
            let rule = if self.is_spot() { SequenceRule::Spot } else { SequenceRule::UsdM };
            (self.book, self.needs_snapshot) = (Some(BookSync::new(rule)), true);
        }
    }

    fn is_spot(&self) -> bool {
        self.instrument.kind == InstrumentKind::Spot
    }

    pub(super) fn trade(&mut self, now: i64, at: Timestamp, print: TradePrint, sink: &mut impl Sink) {
        let millis = at.as_millis();
        self.version += 1;
        self.traded_at = millis;
        sink.send(self.topic(StreamKind::Trade), |out| self.encoder.trade(at, &print, out));
        let span = self.naming.pace(StreamKind::AggregateTrade, false);
        if let Some(ended) = self.trades.add(millis, print, span) {
            self.say_aggregate(now, &ended, sink);
        }
        self.add_to_bars(now, &Bar::of_trade(millis, &print), 0, sink);
    }

    /// Ends what nothing more may be added to.
    pub(super) fn end_aggregate(&mut self, now: i64, sink: &mut impl Sink) {
        let span = self.naming.pace(StreamKind::AggregateTrade, false);
        if let Some(ended) = self.trades.end_before(now, span) {
            self.say_aggregate(now, &ended, sink);
        }
    }

    fn say_aggregate(&self, now: i64, ended: &Aggregate, sink: &mut impl Sink) {
        let traded_at = Timestamp::from_millis(ended.at);
        let said_at = Timestamp::from_millis(now.max(ended.at));
        let ids = (ended.first, ended.last);
        let topic = self.topic(StreamKind::AggregateTrade);
        sink.send(topic, |out| self.encoder.aggregate(said_at, traded_at, ended.id, &ended.print, ids, out));
    }

    fn add_to_bars(&mut self, now: i64, part: &Bar, length: i64, sink: &mut impl Sink) {
        if !self.bars.add(part, length) {
            return;
        }
        self.close_klines(part.opens, now, sink);
        for stream in &mut self.streams {
            match &mut stream.state {
                State::Kline(interval, offset, bar) => {
                    let opens = interval.opens(part.opens, *offset);
                    match bar {
                        Some(bar) if bar.opens >= opens => bar.add(part),
                        _ => *bar = Some(Bar { opens, ..*part }),
                    }
                    stream.changed = true;
                }
                State::Statistics => stream.changed = true,
                _ => {}
            }
        }
    }

    pub(super) fn touch(&mut self, at: Timestamp, ticker: BookTicker, sink: &mut impl Sink) {
        self.ticker = Some(ticker);
        self.version += 1;
        sink.send(self.topic(StreamKind::BookTicker), |out| self.encoder.ticker(at, &ticker, out));
        if self.is_spot() {
            self.streams.iter_mut().filter(|stream| stream.kind == StreamKind::Ticker).for_each(|stream| stream.changed = true);
        }
    }

    pub(super) fn depth(&mut self, now: i64, at: Timestamp, update: &DepthUpdate, sink: &mut impl Sink) {
        self.depth_at = at.as_millis();
        sink.send(self.topic(StreamKind::Depth(0)), |out| self.encoder.diff(at, at, update, out));
        if let Some(book) = &mut self.book {
            let outcome = book.on_diff(update);
            self.needs_snapshot |= matches!(outcome, SyncOutcome::Gap { .. });
        }
        for stream in &mut self.streams {
            match &mut stream.state {
                State::Diff(gathered) => gathered.add(update),
                State::Partial(ids) => *ids = Some(ids.map_or_else(|| IdRange::of(update), |before| before.and(IdRange::of(update)))),
                _ => continue,
            }
            stream.changed = true;
        }
        // At once, so that a diff is not told after a touch that is newer.
        self.say_due(now, |state| matches!(state, State::Diff(_) | State::Partial(_)), sink);
    }

    pub(super) fn snapshot(&mut self, snapshot: &DepthSnapshot) {
        let Some(book) = &mut self.book else { return };
        book.on_snapshot(snapshot);
        self.needs_snapshot = book.state() == SyncState::NeedsSnapshot;
    }

    pub(super) fn mark(&mut self, premium: Premium) {
        self.premium = Some(premium);
        self.streams.iter_mut().filter(|stream| matches!(stream.state, State::Mark)).for_each(|stream| stream.changed = true);
    }

    /// A candle of a source that has nothing finer: its four prices and its volume, all at once, when it has closed.
    pub(super) fn candle(&mut self, now: i64, candle: &Candle, sink: &mut impl Sink) {
        let Some(bar) = Bar::of_candle(&self.instrument, candle) else { return };
        self.version += 1;
        self.traded_at = candle.close_time.as_millis();
        let length = i64::try_from(candle_interval(candle).as_millis()).unwrap_or(MINUTE_MS);
        self.add_to_bars(now, &bar, length, sink);
        self.close_klines(bar.opens.saturating_add(length), now, sink);
    }

    /// A liquidation. Of several in a second the largest is told.
    pub(super) fn force(&mut self, order: ForcedOrder) {
        for stream in &mut self.streams {
            if let State::Forced(largest) = &mut stream.state {
                if largest.is_none_or(|largest| largest.quantity < order.quantity) {
                    *largest = Some(order);
                }
                stream.changed = true;
            }
        }
    }

    /// Time has passed: klines close, and who has something to say and may say it does.
    pub(super) fn tick(&mut self, now: i64, sink: &mut impl Sink) {
        self.close_klines(now, now, sink);
        self.say_due(now, |_| true, sink);
    }

    fn say_due(&mut self, now: i64, which: impl Fn(&State) -> bool, sink: &mut impl Sink) {
        for index in 0..self.streams.len() {
            let stream = &mut self.streams[index];
            if stream.changed && now >= stream.due && which(&stream.state) {
                let (kind, pace) = (stream.kind, stream.pace);
                if self.say(index, kind, now, sink) {
                    let stream = &mut self.streams[index];
                    // Aligned, so that streams of one pace speak together and none drifts.
                    (stream.changed, stream.due) = (false, next_due(now, pace));
                }
            }
        }
    }

    /// Klines that have ended by `until` are told once more, as closed.
    fn close_klines(&mut self, until: i64, now: i64, sink: &mut impl Sink) {
        for index in 0..self.streams.len() {
            let kind = self.streams[index].kind;
            let State::Kline(interval, offset, Some(bar)) = &mut self.streams[index].state else { continue };
            let mut closed = Vec::new();
            loop {
                let next = interval.next(bar.opens, *offset);
                if next > until {
                    break;
                }
                closed.push(Kline { bar: *bar, interval: *interval, closes: next - 1, closed: true });
                let far = (until - next) / interval.longest_ms().max(1) > FLAT_BARS_MAX;
                *bar = Bar::flat(if far { interval.opens(until, *offset) } else { next }, bar.close);
            }
            if !closed.is_empty() {
                self.streams[index].changed = true;
            }
            for kline in closed {
                self.say_kline(kind, now, &kline, sink);
            }
        }
    }

    fn say_kline(&self, kind: StreamKind, now: i64, kline: &Kline, sink: &mut impl Sink) {
        let encoder = &self.encoder;
        match kind {
            StreamKind::ContinuousKline(_) => sink.send(self.topic(kind), |out| payload::continuous_kline(encoder, now, kline, out)),
            _ => sink.send(self.topic(kind), |out| payload::kline(encoder, now, kline, out)),
        }
    }

    /// Says whether there was something to say.
    fn say(&mut self, index: usize, kind: StreamKind, now: i64, sink: &mut impl Sink) -> bool {
        let at = Timestamp::from_millis(now);
        let depth_at = Timestamp::from_millis(self.depth_at);
        let topic = self.topic(kind);
        match &mut self.streams[index].state {
            State::Diff(gathered) => {
                let Some(update) = gathered.take() else { return false };
                sink.send(topic, |out| self.encoder.diff(at, depth_at, &update, out));
            }
            State::Partial(ids) => {
                let Some((book, last_id)) = self.book.as_ref().and_then(|sync| Some((sync.book()?, sync.last_id()))) else { return false };
                let StreamKind::PartialDepth(levels, _) = kind else { return false };
                let ids = ids.take().unwrap_or(IdRange { first: last_id, last: last_id, previous: last_id });
                let best = top(book, usize::from(levels), last_id);
                sink.send(topic, |out| self.encoder.partial(at, depth_at, &best, (ids.first, ids.last, ids.previous), out));
            }
            State::Kline(interval, offset, bar) => {
                let Some(bar) = *bar else { return false };
                let kline = Kline { bar, interval: *interval, closes: interval.next(bar.opens, *offset) - 1, closed: false };
                self.say_kline(kind, now, &kline, sink);
            }
            State::Statistics => return self.say_statistics(topic, now, sink),
            State::Mark => {
                let Some(premium) = self.premium else { return false };
                sink.send(topic, |out| self.encoder.mark_with(at, &premium, out));
            }
            State::Forced(largest) => {
                let Some(order) = largest.take() else { return false };
                sink.send(topic, |out| payload::forced_order(&self.encoder, now, &order, false, out));
            }
        }
        true
    }

    /// Says it under `topic`, which may be another symbol's or all symbols'.
    fn say_statistics(&self, topic: Topic, now: i64, sink: &mut impl Sink) -> bool {
        let mut said = false;
        sink.send(topic, |out| said = self.write_statistics(topic.kind, now, out));
        said
    }

    /// Appends the object of a stream of statistics; says whether there is one.
    pub(super) fn write_statistics(&self, kind: StreamKind, now: i64, out: &mut String) -> bool {
        let encoder = &self.encoder;
        match kind {
            StreamKind::MiniTicker => self.statistics(Statistics::Day, now).map(|ticker| payload::mini_ticker(encoder, now, &ticker, out)),
            StreamKind::Ticker => {
                let kind = self.instrument.kind;
                self.statistics(Statistics::Day, now).map(|ticker| payload::ticker(encoder, kind, now, &ticker, out))
            }
            StreamKind::WindowTicker(hours) => {
                let window = Statistics::Window(i64::from(hours) * HOUR_MS);
                self.statistics(window, now).map(|ticker| payload::window_ticker(encoder, now, hours, &ticker, out))
            }
            StreamKind::AveragePrice => self.average(now).map(|bar| payload::average_price(encoder, now, &bar, self.traded_at, out)),
            StreamKind::MarkPrice(_) => self.premium.map(|premium| encoder.mark_with(Timestamp::from_millis(now), &premium, out)),
            _ => None,
        }
        .is_some()
    }

    /// What traded in the last five minutes.
    pub(super) fn average(&self, now: i64) -> Option<Bar> {
        self.bars.window(now, 5 * MINUTE_MS).map(|window| window.bar)
    }

    pub(super) fn statistics(&self, over: Statistics, now: i64) -> Option<Ticker> {
        let (length, opens) = match over {
            Statistics::Day => (DAY_MS, Some(now - DAY_MS)),
            Statistics::Window(length) => (length, None),
            Statistics::Since(opens, _) => (now - opens, Some(opens)),
        };
        let mut window = match over {
            Statistics::Since(opens, closes) => {
                let bar = self.bars.sum(opens, closes).or_else(|| Some(Bar::flat(opens, self.bars.last_price()?)))?;
                Window { bar, before: bar.open }
            }
            _ => self.bars.window(now, length)?,
        };
        // Trades of before the tape are counted, and their ids were never heard: they are those before the first that was.
        let counted = i64::try_from(window.bar.trades).unwrap_or(i64::MAX);
        if window.bar.last_id >= counted {
            window.bar.first_id = window.bar.first_id.min(window.bar.last_id - counted + 1);
        }
        let closes = if let Statistics::Since(_, closes) = over { closes - 1 } else { now };
        let none = Level::default();
        Some(Ticker {
            window,
            opens: opens.unwrap_or(window.bar.opens),
            closes,
            last_lots: self.trades.last().map_or(0, |trade| trade.print.quantity.0),
            touch: self.ticker.map_or((none, none), |ticker| (ticker.bid, ticker.ask)),
        })
    }

    pub(super) fn traded_at(&self) -> i64 {
        self.traded_at
    }

    /// The newest price: of a trade, or of what was before the tape began.
    pub(super) fn last_price(&self) -> Option<Price> {
        self.bars.last_price().map(|ticks| self.instrument.price(Ticks(ticks)))
    }
}

/// When a stream of that pace may speak after `now`.
pub(super) fn next_due(now: i64, pace: i64) -> i64 {
    if pace <= 0 { now } else { (now.div_euclid(pace) + 1) * pace }
}
