//! A market's rules around its machine. Frames wait in a slot; a wake-up drains it, so that however many came the mailbox had one
//! message. What it learns goes onto the board and into the readers' slots.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::Around;
use crate::domain::bars::BarError;
use crate::domain::ids::Symbol;
use crate::domain::instrument::Instrument;
use crate::domain::market::{Changed, ClosedBar, MarketMachine};
use crate::domain::market_data::{MarketEventRef, MarketFrame};
use crate::domain::mode::{FaultClass, Scope};
use crate::domain::time::Timestamp;
use crate::messages::{FrameSlot, KillWord, MarketMessage, StrategyMessage, Wires};

/// How late a trade may be and still belong to its bar: frames over loopback or a good line come within 100 ms, a venue's
/// batches within another 100.
const BAR_GRACE: Duration = Duration::from_millis(250);
/// Between two questions for a book that is not given.
const FETCH_EVERY: Duration = Duration::from_secs(1);

/// A venue's past, the slots, and whoever logs.
pub trait Outside {
    fn wires(&self) -> &Wires;
    /// Asks for the book; `SnapshotFetched` or `SnapshotFailed` comes back to this incarnation.
    fn fetch_book(&mut self, symbol: Symbol);

    fn dropped(&mut self, _symbol: Symbol, _count: u64) {}
    fn gap(&mut self, _symbol: Symbol) {}
    fn freshness(&mut self, _symbol: Symbol, _stale: bool) {}
}

pub struct MarketRules {
    machine: MarketMachine,
    symbol: Symbol,
    slot: Arc<FrameSlot>,
    frames: VecDeque<MarketFrame>,
    fetching: bool,
    /// After a question that failed: not with every beat again.
    fetch_again: Timestamp,
    /// Bars that began before this are half seen: they are not told, their readers ask the venue for them.
    whole_since: Option<Timestamp>,
    /// The same for bars that somebody wanted later.
    wanted_since: Vec<(Duration, Timestamp)>,
    /// The newest time of the venue's.
    newest: Timestamp,
    was_stale: bool,
}

impl MarketRules {
    /// # Errors
    /// When an interval is out of range.
    pub fn new(instrument: Instrument, intervals: &[Duration], stale_after: Duration, wires: &Wires) -> Result<Self, BarError> {
        let symbol = instrument.symbol;
        Ok(Self {
            machine: MarketMachine::new(instrument, intervals, stale_after)?,
            symbol,
            slot: wires.frames(symbol),
            frames: VecDeque::new(),
            fetching: false,
            fetch_again: Timestamp::ZERO,
            whole_since: None,
            wanted_since: Vec::new(),
            newest: Timestamp::ZERO,
            was_stale: true,
        })
    }

    pub fn start(&mut self, around: &mut impl Around, outside: &mut impl Outside) {
        self.fetch_snapshot(around, outside);
        // Frames that came while nobody was here have woken somebody who is gone.
        self.drain(around, outside);
    }

    pub fn message(&mut self, message: MarketMessage, around: &mut impl Around, outside: &mut impl Outside) {
        match message {
            MarketMessage::Wake => self.drain(around, outside),
            MarketMessage::Tick => {
                // A wake-up that fell between two incarnations is never sent again: the slot believes that it was.
                self.drain(around, outside);
                self.tick(around, outside);
            }
            MarketMessage::Reconnected => {
                self.machine.disconnected();
                self.whole_since = None;
                self.fetch_snapshot(around, outside);
            }
            MarketMessage::SnapshotFetched(snapshot) => {
                self.fetching = false;
                let changed = self.machine.frame(around.now(), Timestamp::ZERO, MarketEventRef::Snapshot(&snapshot));
                self.changed(changed, around, outside);
                self.tell(around, outside);
            }
            MarketMessage::SnapshotFailed(why) => {
                (self.fetching, self.fetch_again) = (false, around.now() + FETCH_EVERY);
                self.fault(format!("no book snapshot: {why}"), around);
            }
            MarketMessage::WantBars(interval) => match self.machine.want_bars(interval) {
                Ok(true) => self.wanted_since.push((interval, self.newest)),
                Ok(false) => {}
                Err(error) => self.fault(error.to_string(), around),
            },
        }
    }

    fn drain(&mut self, around: &mut impl Around, outside: &mut impl Outside) {
        let mut frames = std::mem::take(&mut self.frames);
        let dropped = self.slot.take(&mut frames);
        if dropped > 0 {
            outside.dropped(self.symbol, dropped);
            self.machine.disconnected();
            // Trades are missing: the bars that are open now are not whole.
            self.whole_since = None;
            self.fetch_snapshot(around, outside);
        }
        for frame in frames.drain(..) {
            self.whole_since.get_or_insert(frame.venue_time);
            self.newest = self.newest.max(frame.venue_time);
            let changed = self.machine.frame(frame.received_at, frame.venue_time, frame.borrowed().event);
            self.changed(changed, around, outside);
        }
        self.frames = frames;
        self.tell(around, outside);
    }

    fn changed(&mut self, changed: Changed, around: &mut impl Around, outside: &mut impl Outside) {
        if changed.gap {
            outside.gap(self.symbol);
            self.fault("a gap in the depth stream".to_owned(), around);
        }
        if changed.needs_snapshot {
            self.fetch_snapshot(around, outside);
        }
    }

    fn tick(&mut self, around: &mut impl Around, outside: &mut impl Outside) {
        let now = around.now();
        self.machine.tick(now, now - BAR_GRACE);
        self.tell(around, outside);
        let stale = self.machine.is_stale();
        if stale != self.was_stale {
            self.was_stale = stale;
            outside.freshness(self.symbol, stale);
        }
        if stale && self.machine.book().is_none() {
            self.fetch_snapshot(around, outside);
        }
    }

    /// The newest view onto the board; view and whole bars to the readers.
    fn tell(&mut self, around: &mut impl Around, outside: &mut impl Outside) {
        let mut update = self.machine.take_update();
        let (since, wanted) = (self.whole_since, &self.wanted_since);
        let whole = |bar: &ClosedBar| {
            let wanted = wanted.iter().find(|(interval, _)| *interval == bar.interval).map_or(Timestamp::ZERO, |(_, since)| *since);
            since.is_some_and(|since| bar.candle.open_time >= since.max(wanted))
        };
        let half_seen = !update.closed.iter().all(whole);
        update.closed.retain(|bar| whole(bar));
        around.board().post(update.view);
        if !update.view.stale {
            around.ready();
        }
        let symbol = self.symbol;
        for slot in outside.wires().readers(symbol).iter() {
            let wake = slot.put(&update);
            // A reader that is gone makes slots of its own when it is back, and asks for its history.
            if half_seen {
                drop(around.strategy(slot.strategy, StrategyMessage::Hole { symbol }, None));
            }
            if wake {
                drop(around.strategy(slot.strategy, StrategyMessage::Wake, None));
            }
        }
    }

    fn fetch_snapshot(&mut self, around: &impl Around, outside: &mut impl Outside) {
        // The beat comes back to it while there is no book.
        if around.now() < self.fetch_again || std::mem::replace(&mut self.fetching, true) {
            return;
        }
        outside.fetch_book(self.symbol);
    }

    fn fault(&self, detail: String, around: &mut impl Around) {
        around.kill_switch(KillWord::Fault { scope: Scope::Symbol(self.symbol), class: FaultClass::Data, detail });
    }
}
